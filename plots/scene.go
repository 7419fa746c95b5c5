package plots

import (
	"image/color"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A scene is what a figure consists of, in points from the upper left corner, in the
// order in which it is painted.
type scene struct {
	w, h  float64
	items []any // shape, disc or text
}

type point struct{ x, y float64 }

// shape is a line or an area. A nil colour paints nothing.
type shape struct {
	points       []point
	closed       bool
	fill, stroke color.Color
	width        float64
	dash         []float64
}

// disc is a filled circle with a ring around it.
type disc struct {
	at           point
	r            float64
	fill, stroke color.Color
	width        float64
}

// anchor is the side of a text that stays at its place.
type anchor int

const (
	start anchor = iota
	middle
	end
)

// text stands on a baseline.
type text struct {
	at     point
	s      string
	size   float64
	bold   bool
	color  color.Color
	anchor anchor
}

// Text reaches about this far over and under its baseline, in font sizes.
const (
	ascent    = 0.74
	descent   = 0.22
	midHeight = 0.36 // half the height of a capital letter
)

// snap moves a place to the nearest 1/1024 of a point, so that the last bit of a sum,
// which differs between processors, cannot reach a file. Sizes here are decimal, and no
// number of at most three decimals lies halfway between two such places.
func snap(p point) point {
	const steps = 1024
	return point{math.Round(p.x*steps) / steps, math.Round(p.y*steps) / steps}
}

func snapped(ps []point) []point {
	out := make([]point, len(ps))
	for i, p := range ps {
		out[i] = snap(p)
	}
	return out
}

func (s *scene) line(c color.Color, width float64, dash []float64, ps ...point) {
	s.items = append(s.items, shape{points: snapped(ps), stroke: c, width: width, dash: dash})
}

func (s *scene) area(fill, stroke color.Color, width float64, ps ...point) {
	s.items = append(s.items, shape{points: snapped(ps), closed: true, fill: fill, stroke: stroke, width: width})
}

func (s *scene) rect(fill, stroke color.Color, width float64, r box) {
	s.area(fill, stroke, width, point{r.x0, r.y0}, point{r.x1, r.y0}, point{r.x1, r.y1}, point{r.x0, r.y1})
}

func (s *scene) disc(at point, r float64, fill, stroke color.Color, width float64) {
	s.items = append(s.items, disc{snap(at), r, fill, stroke, width})
}

func (s *scene) text(t text) {
	if t.s != "" {
		t.at = snap(t.at)
		s.items = append(s.items, t)
	}
}

// box is a rectangle; y grows downwards.
type box struct{ x0, y0, x1, y1 float64 }

func (b box) width() float64  { return b.x1 - b.x0 }
func (b box) height() float64 { return b.y1 - b.y0 }

// box gives the space that the text takes.
func (t text) box() box {
	w := textWidth(t.s, t.size, t.bold)
	x := t.at.x
	switch t.anchor {
	case middle:
		x -= w / 2
	case end:
		x -= w
	}
	return box{x, t.at.y - ascent*t.size, x + w, t.at.y + descent*t.size}
}

// clean makes a label safe to draw: one line, no control or direction marks, and only
// characters that all three formats can hold.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			b.WriteByte(' ')
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
		case r > 0xFFFD || unicode.Is(unicode.Cs, r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return strings.Join(strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' }), " ")
}
