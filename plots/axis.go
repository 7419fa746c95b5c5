package plots

import (
	"fmt"
	"math"

	"utfall/internal/lang"
)

// scale takes data to points along one direction.
type scale struct{ lo, hi, a, b float64 }

func (s scale) at(v float64) float64 {
	return s.a + float64((v-s.lo)/(s.hi-s.lo)*(s.b-s.a))
}

// tickStyle is how numbers on an axis are chosen and written.
type tickStyle int

const (
	decimalTicks tickStyle = iota
	percentTicks           // proportions, written as percentages
	pointTicks             // differences of proportions, in percentage points, the unit on the axis title
	wholeTicks             // relative time: whole steps, in twelves where the window is long
	yearTicks              // calendar years: whole steps, no thousands mark
)

type tick struct {
	v     float64
	label string
}

// ticks gives about n round numbers from lo to hi, ends included where they are round.
func ticks(lo, hi float64, n int, style tickStyle, l lang.Lang) []tick {
	step, decimals := tickStep((hi-lo)/float64(max(n, 1)), style, hi-lo)
	return ticksOf(lo, hi, step, decimals, style, l)
}

func ticksOf(lo, hi, step float64, decimals int, style tickStyle, l lang.Lang) []tick {
	var out []tick
	const slack = 1e-9
	first, last := math.Ceil(lo/step-slack), math.Floor(hi/step+slack)
	for k := first; k <= last; k++ {
		v := k * step
		label := l.Number(v, decimals)
		switch style {
		case percentTicks:
			label = l.Percent(v, max(decimals-2, 0))
		case pointTicks:
			label = l.Number(100*v, max(decimals-2, 0))
		case yearTicks:
			label = fmt.Sprintf("%.0f", v)
		}
		out = append(out, tick{v, label})
	}
	return out
}

// tickStep gives the smallest round step of at least raw, and the decimals it needs.
func tickStep(raw float64, style tickStyle, span float64) (step float64, decimals int) {
	if style == wholeTicks || style == yearTicks {
		steps := []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}
		if style == wholeTicks && span >= 24 {
			steps = []float64{1, 2, 3, 6, 12, 24, 36, 60, 120, 240, 600, 1200}
		}
		for _, s := range steps {
			if s >= raw {
				return s, 0
			}
		}
		return math.Ceil(raw), 0
	}
	exponent := math.Floor(math.Log10(raw))
	unit := math.Pow(10, exponent)
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*unit >= raw*(1-1e-9) {
			decimals = int(max(-exponent, 0))
			switch m {
			case 2.5:
				decimals++
				if exponent >= 1 {
					decimals = 0
				}
			case 10:
				decimals = int(max(-exponent-1, 0))
			}
			return m * unit, decimals
		}
	}
	return 10 * unit, int(max(-exponent-1, 0))
}

// span gives the least range that holds all values, widened where they are all the
// same so that an axis exists.
func span(values ...float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	if least := 1e-9 * max(math.Abs(lo), math.Abs(hi)); hi-lo <= least {
		d := max(least, 0.5*math.Abs(hi))
		if d == 0 {
			d = 0.5
		}
		lo, hi = lo-d, hi+d
	}
	return lo, hi
}

// drawable reports whether all values are numbers that can stand on an axis.
func drawable(vs ...float64) bool {
	for _, v := range vs {
		if !finite(v) || math.Abs(v) > 1e15 {
			return false
		}
	}
	return true
}

// Sizes of type and lines, in points.
const (
	titleSize   = 11.5
	subSize     = 8.5
	labelSize   = 8
	captionSize = 7
	gridWidth   = 0.5
	axisWidth   = 0.75
	lineWidth   = 1.4
)

// xTicks takes as many ticks as fit side by side.
func xTicks(lo, hi, width float64, style tickStyle, l lang.Lang) []tick {
	var ts []tick
	for n := 12; n >= 1; n-- {
		ts = ticks(lo, hi, n, style, l)
		widest := 0.0
		for _, t := range ts {
			widest = max(widest, textWidth(t.label, labelSize, false))
		}
		if len(ts) < 2 || (widest+7) <= width*(ts[1].v-ts[0].v)/(hi-lo) {
			break
		}
	}
	return ts
}

// axes is a plotting area with its two scales.
type axes struct {
	area   box
	x, y   scale
	xTicks []tick
	yTicks []tick
}

const xAxisHeight = 14.0

// newAxes lays two axes out in a box: room for the tick labels on the left and below.
func newAxes(b box, xlo, xhi, ylo, yhi float64, xs, ys tickStyle, l lang.Lang, showY bool) axes {
	n := min(max(int(b.height()/26), 3), 8)
	// The axis ends on ticks, of the step that suits the data.
	step, decimals := tickStep((yhi-ylo)/float64(n), ys, yhi-ylo)
	ylo, yhi = step*math.Floor(ylo/step+1e-9), step*math.Ceil(yhi/step-1e-9)
	a := axes{yTicks: ticksOf(ylo, yhi, step, decimals, ys, l)}
	left := 0.0
	if showY {
		for _, t := range a.yTicks {
			left = max(left, textWidth(t.label, labelSize, false)+6)
		}
	}
	a.area = box{b.x0 + left, b.y0 + labelSize/2, b.x1, b.y1 - xAxisHeight}
	inset := 5.0
	for range 2 { // the ends of the axis must leave room for half a label
		a.x = scale{xlo, xhi, a.area.x0 + inset, a.area.x1 - inset}
		a.xTicks = xTicks(xlo, xhi, a.area.width()-2*inset, xs, l)
		for _, t := range a.xTicks {
			half := textWidth(t.label, labelSize, false) / 2
			over := max(a.x.at(t.v)+half-b.x1, b.x0-(a.x.at(t.v)-half))
			inset = max(inset, inset+over)
		}
	}
	a.y = scale{ylo, yhi, a.area.y1, a.area.y0}
	return a
}

func (s *scene) drawAxes(a axes, showY bool) {
	for _, t := range a.yTicks {
		y := a.y.at(t.v)
		s.line(faint, gridWidth, nil, point{a.area.x0, y}, point{a.area.x1, y})
		if showY {
			s.text(text{at: point{a.area.x0 - 5, y + midHeight*labelSize}, s: t.label, size: labelSize, color: soft, anchor: end})
		}
	}
	s.line(soft, axisWidth, nil, point{a.area.x0, a.area.y1}, point{a.area.x1, a.area.y1})
	for _, t := range a.xTicks {
		x := a.x.at(t.v)
		s.line(soft, axisWidth, nil, point{x, a.area.y1}, point{x, a.area.y1 + 3})
		s.text(text{at: point{x, a.area.y1 + 4 + labelSize}, s: t.label, size: labelSize, color: soft, anchor: middle})
	}
}
