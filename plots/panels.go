package plots

import (
	"fmt"
	"math"
	"slices"

	"utfall/internal/lang"
)

// Panel is one small plot: its name above it, and lines that are told apart by their names:
// a name looks the same in every panel.
type Panel struct {
	Name   string
	Series []Series
}

// PanelData is what small multiples show: the same axes for every panel, so that heights
// can be compared, unless OwnY says that each has a unit of its own.
type PanelData struct {
	Panels         []Panel
	Columns        int // 0 = 3
	XLabel, YLabel string
	Level          float64 // of the bands; required where there is one
	Simultaneous   bool    // the bands hold together, over all panels and places
	// PercentagePoints says that the values are differences of proportions.
	PercentagePoints bool
	OwnY             bool
}

const (
	panelGap      = 14.0
	leastPanel    = 62.0
	leastPanelRow = 70.0
)

// Panels draws small plots of lines in a grid, with a band where there is one.
func Panels(d PanelData, labels Labels, s Style) (Figure, error) {
	const name = "panels"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	columns := d.Columns
	if columns == 0 {
		columns = 3
	}
	columns = min(columns, len(d.Panels))
	rows := (len(d.Panels) + columns - 1) / columns
	yLabel, style := d.YLabel, decimalTicks
	if d.PercentagePoints {
		yLabel, style = l.Text("plots.points", "label", yLabel), pointTicks
	}
	xlo, xhi, ylo, yhi := d.ranges(0, len(d.Panels))
	ks, legendHeight := legend(d.keys(labels, l), s.innerWidth())
	axisLeft := 0.0
	for k := range d.Panels { // the widest number decides, so that columns stay in line
		if d.OwnY {
			_, _, ylo, yhi = d.ranges(k, k+1)
		}
		a := newAxes(box{0, 0, 200, leastPanelRow}, xlo, xhi, ylo, yhi, xTickStyle(d), style, l, true)
		axisLeft = max(axisLeft, a.area.x0)
		a = newAxes(box{0, 0, 200, 3 * leastPanelRow}, xlo, xhi, ylo, yhi, xTickStyle(d), style, l, true)
		axisLeft = max(axisLeft, a.area.x0)
	}
	left := axisLeft
	if d.OwnY {
		left = axisLeft * float64(columns)
	}
	width := (s.innerWidth() - left - panelGap*float64(columns-1)) / float64(columns)
	if width < leastPanel {
		return Figure{}, fmt.Errorf("%s: %w: %d panels side by side", name, ErrTooSmall, columns)
	}
	heads, headLines := make([][]string, len(d.Panels)), 0
	for i, p := range d.Panels {
		heads[i] = wrap(labels.of(p.Name), labelSize, true, width-4)
		headLines = max(headLines, len(heads[i]))
	}
	headHeight := labelLeading*float64(headLines) + 2
	need := legendHeight + 4 + axisTitleHeight(d.XLabel, yLabel, s.innerWidth(), s.innerWidth()) + float64(rows)*(headHeight+leastPanelRow+xAxisHeight) + panelGap*float64(rows-1)
	p, err := s.page(name, need, 0)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	p.axisTitles(d.XLabel, yLabel, p.body.width())
	height := (p.body.height() - panelGap*float64(rows-1)) / float64(rows)
	out := sheet{header: []string{"panel", "panel_label", "series", "label", "x", "y", "conf_low", "conf_high", "conf_level"}}
	clear := 0
	for k, panel := range d.Panels {
		col, row := k%columns, k/columns
		showY := col == 0 || d.OwnY
		x0 := p.body.x0 + float64(col)*(width+panelGap) + axisLeft
		if d.OwnY {
			x0 += axisLeft * float64(col)
		}
		y0 := p.body.y0 + float64(row)*(height+panelGap)
		b := box{x0, y0 + headHeight, x0 + width, y0 + height}
		if d.OwnY {
			_, _, ylo, yhi = d.ranges(k, k+1)
		}
		if showY { // newAxes takes the room of the numbers off the box
			b.x0 -= newAxes(b, xlo, xhi, ylo, yhi, xTickStyle(d), style, l, true).area.x0 - b.x0
		}
		a := newAxes(b, xlo, xhi, ylo, yhi, xTickStyle(d), style, l, showY)
		p.textBlock(heads[k], x0, y0+ascent*labelSize, labelSize, true, ink, start)
		p.drawAxes(a, showY)
		if a.y.lo < 0 && a.y.hi > 0 {
			p.line(ink, axisWidth, nil, point{a.area.x0, a.y.at(0)}, point{a.area.x1, a.y.at(0)})
		}
		if d.panel(p, a, k, panel, labels, &out) {
			clear++
		}
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	alt := l.Text("plots.panels-alt", "panels", len(d.Panels))
	if d.hasBand() {
		alt = l.Text("plots.panels-alt-band", "panels", len(d.Panels), "clear", clear)
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// panel draws the lines of one panel and reports whether a band leaves 0 out somewhere.
func (d PanelData) panel(p *page, a axes, k int, panel Panel, labels Labels, out *sheet) (clear bool) {
	looks, names := seriesLooks(), d.names()
	for _, g := range panel.Series {
		i := slices.Index(names, g.Name)
		var line, upper, lower []point
		for j, x := range g.X {
			line = append(line, point{a.x.at(x), a.y.at(g.Y[j])})
			lo, hi, level := math.NaN(), math.NaN(), math.NaN()
			if g.Lo != nil {
				lo, hi, level = g.Lo[j], g.Hi[j], d.Level
				upper, lower = append(upper, point{a.x.at(x), a.y.at(hi)}), append(lower, point{a.x.at(x), a.y.at(lo)})
				clear = clear || lo > 0 || hi < 0
			}
			out.add(panel.Name, labels.of(panel.Name), g.Name, labels.of(g.Name), x, g.Y[j], lo, hi, level)
		}
		for j := len(lower) - 1; j >= 0; j-- {
			upper = append(upper, lower[j])
		}
		if len(upper) > 2 {
			p.area(faded(looks[i].color, 50), nil, 0, upper...)
		}
		p.line(looks[i].color, lineWidth, looks[i].dash, line...)
	}
	return clear
}

// keys are the legend: the lines where there are several, and what the band is.
func (d PanelData) keys(labels Labels, l lang.Lang) []key {
	var keys []key
	looks := seriesLooks()
	names := d.names()
	if len(names) > 1 {
		for i, n := range names {
			look := looks[i]
			keys = append(keys, key{labels.of(n), func(s *scene, at point) {
				s.line(look.color, lineWidth, look.dash, point{at.x - 8, at.y}, point{at.x + 8, at.y})
			}})
		}
	}
	if d.hasBand() {
		text := "plots.interval"
		if d.Simultaneous {
			text = "plots.band"
		}
		keys = append(keys, key{l.Text(text, "level", levelText(l, d.Level)), func(s *scene, at point) {
			s.rect(faded(soft, 50), nil, 0, box{at.x - 8, at.y - 4.5, at.x + 8, at.y + 4.5})
		}})
	}
	return keys
}

// names are those of the lines, in order of appearance.
func (d PanelData) names() []string {
	var out []string
	for _, p := range d.Panels {
		for _, g := range p.Series {
			if !slices.Contains(out, g.Name) {
				out = append(out, g.Name)
			}
		}
	}
	return out
}

func (d PanelData) hasBand() bool {
	for _, p := range d.Panels {
		for _, g := range p.Series {
			if g.Lo != nil {
				return true
			}
		}
	}
	return false
}

// ranges are those of x over all panels and of y over some, zero included.
func (d PanelData) ranges(from, to int) (xlo, xhi, ylo, yhi float64) {
	var xs []float64
	ys := []float64{0}
	for k, p := range d.Panels {
		for _, g := range p.Series {
			xs = append(xs, g.X...)
			if k >= from && k < to {
				ys = append(append(append(ys, g.Y...), g.Lo...), g.Hi...)
			}
		}
	}
	xlo, xhi = span(xs...)
	ylo, yhi = span(ys...)
	return
}

func xTickStyle(d PanelData) tickStyle {
	for _, p := range d.Panels {
		for _, g := range p.Series {
			if !allWhole(g.X) {
				return decimalTicks
			}
		}
	}
	return wholeTicks
}

func (d PanelData) check() error {
	if d.Columns < 0 {
		return fmt.Errorf("%w: columns are 0 or more", ErrStyle)
	}
	if len(d.Panels) == 0 {
		return ErrEmpty
	}
	if n := len(d.names()); n > len(seriesLooks()) {
		return fmt.Errorf("%w: %d series, at most %d can be told apart", ErrInconsistent, n, len(seriesLooks()))
	}
	for _, p := range d.Panels {
		if err := (TrendData{Series: p.Series, Level: d.Level}).check(); err != nil {
			return fmt.Errorf("%q: %w", p.Name, err)
		}
		for i, g := range p.Series {
			if slices.ContainsFunc(p.Series[:i], func(o Series) bool { return o.Name == g.Name }) {
				return fmt.Errorf("%q: %w: two series are called %q", p.Name, ErrInconsistent, g.Name)
			}
		}
	}
	return nil
}
