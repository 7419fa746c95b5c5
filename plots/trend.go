package plots

import (
	"fmt"
	"math"

	"utfall/internal/lang"
)

// Series is one line of a trend: Y at each X, and bounds where a band exists.
type Series struct {
	Name   string
	X, Y   []float64
	Lo, Hi []float64 // nil = no band
}

// Mark is a vertical line with a word beside it.
type Mark struct {
	X     float64
	Label string
}

// TrendData is what a trend shows.
type TrendData struct {
	Series         []Series
	Marks          []Mark
	XLabel, YLabel string  // XLabel "" = time relative to the start
	Level          float64 // of the bands; required where there is one
	Percent        bool    // write the y axis as percentages
	Years          bool    // X are calendar years
}

// Trend draws a line per group over time, with a band where there is one. It serves
// for raw means beside each other and for a difference over time alike.
func Trend(d TrendData, labels Labels, s Style) (Figure, error) {
	const name = "trend"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	xLabel := d.XLabel
	if xLabel == "" {
		xLabel = l.Text("plots.trend-x")
	}
	var keys []key
	var xs, ys []float64
	band := false
	looks := seriesLooks()
	for i, g := range d.Series {
		keys = append(keys, lineKey(labels.of(g.Name), looks[i], false))
		xs, ys = append(xs, g.X...), append(ys, g.Y...)
		ys = append(append(ys, g.Lo...), g.Hi...)
		band = band || g.Lo != nil
	}
	for _, m := range d.Marks {
		xs = append(xs, m.X)
	}
	if band {
		keys = append(keys, key{l.Text("plots.trend-band", "level", levelText(l, d.Level)), func(s *scene, at point) {
			s.rect(faded(soft, 50), nil, 0, box{at.x - 8, at.y - 4.5, at.x + 8, at.y + 4.5})
		}})
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	p, err := s.page(name, legendHeight+4+axisTitleHeight(xLabel, d.YLabel, s.innerWidth(), s.innerWidth())+110, 0)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	p.axisTitles(xLabel, d.YLabel, p.body.width())
	xlo, xhi := span(xs...)
	ylo, yhi := span(ys...)
	xStyle, yStyle := decimalTicks, decimalTicks
	if d.Percent {
		yStyle = percentTicks
	}
	if d.Years {
		xStyle = yearTicks
	} else if allWhole(xs) {
		xStyle = wholeTicks
	}
	// An axis that nearly reaches zero starts there: a small change must not look large.
	if ylo > 0 && ylo < 0.35*yhi {
		ylo = 0
	}
	layout := func() axes { return newAxes(p.body, xlo, xhi, ylo, yhi, xStyle, yStyle, l, true) }
	marks, markHeight := placeMarks(layout(), d.Marks, p.w-margin)
	p.body.y0 += markHeight
	a := layout()
	p.drawAxes(a, true)
	if a.y.lo < 0 && a.y.hi > 0 {
		p.line(ink, axisWidth, nil, point{a.area.x0, a.y.at(0)}, point{a.area.x1, a.y.at(0)})
	}
	for _, m := range marks {
		x := a.x.at(m.X)
		p.line(soft, axisWidth, []float64{3, 2}, point{x, a.area.y0 - 7 - markHeight + m.row*labelLeading + labelLeading}, point{x, a.area.y1})
		m.text.at.y = a.area.y0 - markHeight + m.row*labelLeading + labelLeading - 5
		p.text(m.text)
	}
	for i, g := range d.Series {
		if g.Lo == nil {
			continue
		}
		var outline []point
		for j, x := range g.X {
			outline = append(outline, point{a.x.at(x), a.y.at(g.Hi[j])})
		}
		for j := len(g.X) - 1; j >= 0; j-- {
			outline = append(outline, point{a.x.at(g.X[j]), a.y.at(g.Lo[j])})
		}
		p.area(faded(looks[i].color, 45), nil, 0, outline...)
	}
	out := sheet{header: []string{"series", "label", "x", "y", "conf_low", "conf_high", "conf_level"}}
	var ends []string
	for i, g := range d.Series {
		var line []point
		for j, x := range g.X {
			line = append(line, point{a.x.at(x), a.y.at(g.Y[j])})
			lo, hi, level := math.NaN(), math.NaN(), math.NaN()
			if g.Lo != nil {
				lo, hi, level = g.Lo[j], g.Hi[j], d.Level
			}
			out.add(g.Name, labels.of(g.Name), x, g.Y[j], lo, hi, level)
		}
		p.line(looks[i].color, lineWidth, looks[i].dash, line...)
		every := int(math.Ceil(float64(len(line)) * 9 / a.area.width())) // markers must not run together
		for j := 0; j < len(line); j += max(every, 1) {
			p.mark(looks[i].marker, line[j], 2, looks[i].color, false)
		}
		ends = append(ends, l.Text("plots.trend-value", "group", labels.of(g.Name), "value", d.number(g.Y[len(g.Y)-1], l)))
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	at := func(v float64) string {
		switch {
		case d.Years:
			return fmt.Sprintf("%.0f", v)
		case v == math.Trunc(v):
			return l.Number(v, 0)
		}
		return l.Significant(v, 3)
	}
	first, last := span(xs...)
	alt := l.Text("plots.trend-alt", "groups", len(d.Series), "first", at(first), "last", at(last), "values", l.And(ends))
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

func (d TrendData) number(v float64, l lang.Lang) string {
	if d.Percent {
		return l.Percent(v, 1)
	}
	return l.Significant(v, 3)
}

type placedMark struct {
	Mark
	text text
	row  float64
}

// placeMarks puts the words of the marks above the area, on the side that has room,
// and on a row of their own where they would meet.
func placeMarks(a axes, marks []Mark, edge float64) ([]placedMark, float64) {
	out := make([]placedMark, 0, len(marks))
	height := 0.0
	for _, m := range marks {
		x := a.x.at(m.X)
		t := text{at: point{x + 3, 0}, s: clean(m.Label), size: labelSize, color: soft}
		if t.box().x1 > edge {
			t.at.x, t.anchor = x-3, end
		}
		row := 0.0
		for again := true; again; {
			again = false
			for _, o := range out {
				if b, c := t.box(), o.text.box(); o.row == row && b.x0 < c.x1+6 && c.x0 < b.x1+6 {
					row, again = row+1, true
				}
			}
		}
		out = append(out, placedMark{m, t, row})
		if t.s != "" {
			height = max(height, (row+1)*labelLeading+2)
		}
	}
	return out, height
}

func (d TrendData) check() error {
	if len(d.Series) == 0 {
		return ErrEmpty
	}
	if n := len(seriesLooks()); len(d.Series) > n {
		return fmt.Errorf("%w: %d series, at most %d can be told apart", ErrInconsistent, len(d.Series), n)
	}
	for _, g := range d.Series {
		n := len(g.X)
		switch {
		case n == 0:
			return fmt.Errorf("%q: %w", g.Name, ErrEmpty)
		case len(g.Y) != n || (g.Lo == nil) != (g.Hi == nil) || (g.Lo != nil && (len(g.Lo) != n || len(g.Hi) != n)):
			return fmt.Errorf("%q: %w: columns of different length", g.Name, ErrInconsistent)
		case !drawable(g.X...) || !drawable(g.Y...) || !drawable(g.Lo...) || !drawable(g.Hi...):
			return fmt.Errorf("%q: %w", g.Name, ErrNotFinite)
		case g.Lo != nil && !(d.Level > 0 && d.Level < 1):
			return fmt.Errorf("%q: %w: a band without a confidence level", g.Name, ErrInconsistent)
		}
		for i := range n {
			if i > 0 && g.X[i] <= g.X[i-1] {
				return fmt.Errorf("%q: %w: times that do not grow", g.Name, ErrInconsistent)
			}
			if g.Lo != nil && (g.Lo[i] > g.Y[i] || g.Hi[i] < g.Y[i]) {
				return fmt.Errorf("%q: %w: a value lies outside its band", g.Name, ErrInconsistent)
			}
		}
		if d.Years && !allWhole(g.X) {
			return fmt.Errorf("%q: %w: calendar years that are not whole", g.Name, ErrInconsistent)
		}
	}
	for _, m := range d.Marks {
		if !drawable(m.X) {
			return fmt.Errorf("mark %q: %w", m.Label, ErrNotFinite)
		}
	}
	return nil
}

func allWhole(vs []float64) bool {
	for _, v := range vs {
		if v != math.Trunc(v) {
			return false
		}
	}
	return true
}
