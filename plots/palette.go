package plots

import (
	"fmt"
	"image/color"
)

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

func faded(c color.NRGBA, alpha uint8) color.NRGBA { c.A = alpha; return c }

// Okabe and Ito's colours (2008), which people with any colour vision tell apart.
var (
	ink       = rgb(0x1A1A1A)
	soft      = rgb(0x5A5A5A)
	faint     = rgb(0xD9D9D9)
	white     = rgb(0xFFFFFF)
	blue      = rgb(0x0072B2)
	sky       = rgb(0x56B4E9)
	green     = rgb(0x009E73)
	yellow    = rgb(0xF0E442)
	orange    = rgb(0xE69F00)
	vermilion = rgb(0xD55E00)
	purple    = rgb(0xCC79A7)
)

// seriesLook is how the i-th series is drawn: colour, line and marker all differ, so
// that a copy in grey keeps them apart.
type seriesLook struct {
	color  color.NRGBA
	dash   []float64
	marker marker
}

func seriesLooks() []seriesLook {
	return []seriesLook{
		{blue, nil, round},
		{vermilion, []float64{5, 2.5}, square},
		{green, []float64{1.5, 2}, triangle},
		{ink, []float64{7, 2, 1.5, 2}, diamond},
		{purple, []float64{3, 1.5}, round},
		{orange, []float64{9, 3}, square},
	}
}

// stateColors are for areas stacked on each other: neighbours differ in lightness.
// The first eight are Okabe and Ito's, then shades of them.
func stateColors() []color.NRGBA {
	return []color.NRGBA{
		blue, sky, green, yellow, vermilion, orange, rgb(0x7A3B63), purple,
		rgb(0x5C5C5C), rgb(0xBFBFBF), rgb(0x00415F), rgb(0x9AD5C3), rgb(0x7A3600), rgb(0xF6CF8A), rgb(0x1A1A1A), rgb(0xDCEBF5),
	}
}

func parseColor(s string) (color.NRGBA, error) {
	var hex uint32
	if len(s) != 7 || s[0] != '#' {
		return color.NRGBA{}, fmt.Errorf("%w: colour %q is not of the form #RRGGBB", ErrStyle, s)
	}
	for _, r := range s[1:] {
		var d uint32
		switch {
		case r >= '0' && r <= '9':
			d = uint32(r - '0')
		case r >= 'a' && r <= 'f':
			d = uint32(r-'a') + 10
		case r >= 'A' && r <= 'F':
			d = uint32(r-'A') + 10
		default:
			return color.NRGBA{}, fmt.Errorf("%w: colour %q is not of the form #RRGGBB", ErrStyle, s)
		}
		hex = hex<<4 | d
	}
	return rgb(hex), nil
}

type marker int

const (
	round marker = iota
	square
	triangle
	diamond
)

// mark draws a marker of about equal weight whatever its form. Hollow has a white
// inside.
func (s *scene) mark(m marker, at point, r float64, c color.NRGBA, hollow bool) {
	fill := color.Color(c)
	if hollow {
		fill = white
	}
	const ring = 1
	x, y := at.x, at.y
	switch m {
	case round:
		s.disc(at, r, fill, c, ring)
	case square:
		d := 0.88 * r
		s.rect(fill, c, ring, box{x - d, y - d, x + d, y + d})
	case triangle:
		s.area(fill, c, ring, point{x, y - 1.2*r}, point{x + 1.1*r, y + 0.75*r}, point{x - 1.1*r, y + 0.75*r})
	case diamond:
		d := 1.25 * r
		s.area(fill, c, ring, point{x, y - d}, point{x + d, y}, point{x, y + d}, point{x - d, y})
	}
}
