package plots

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/internal/lang"
)

// ForestGroup is a heading with its rows; an empty heading takes no room.
type ForestGroup struct {
	Heading string
	Rows    []ForestRow
}

// ForestRow is one estimate. Label "" takes the label of the estimate's term.
type ForestRow struct {
	Label    string
	Estimate estimate.Estimate
	Overall  bool // drawn as a diamond, in bold: the total of the rows above
	// Known is the true value, where the data are simulated; nil = not known.
	Known *float64
}

// ForestData is what a forest plot shows.
type ForestData struct {
	Groups []ForestGroup
	XLabel string
	// PercentagePoints says that the estimates are differences of proportions: numbers
	// are then written in percentage points.
	PercentagePoints bool
	// Decimals of the numbers in the right-hand column, 0 to 6; -1 takes what the
	// narrowest interval deserves (two significant digits of its half width).
	Decimals int
}

// Forest draws estimates with their intervals under each other, with the numbers in
// text beside them. All intervals have one confidence level. Where some intervals are
// many times wider than the others the axis follows the others, and an arrow shows
// that an interval goes on.
func Forest(d ForestData, labels Labels, s Style) (Figure, error) {
	const name = "forest plot"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	rows, level, err := forestRows(d, labels)
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	lo, hi, clipped := forestRange(rows)
	numbers := forestNumbers(rows, d, l)
	const gaps, leastAxis, indentation = 24, 90, 8
	head := l.Text("plots.forest-column-plain")
	if level > 0 {
		head = l.Text("plots.forest-column", "level", levelText(l, level))
	}
	columnHead := wrap(head, labelSize, false, 0.3*s.innerWidth())
	column := 0.0
	for i, n := range numbers {
		column = max(column, textWidth(n, labelSize, rows[i].bold))
	}
	for _, n := range columnHead {
		column = max(column, textWidth(n, labelSize, false))
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.label
	}
	rl := newRowLabels(names, max(min(0.36*s.innerWidth(), s.innerWidth()-column-gaps-leastAxis-indentation), 50))
	for i, r := range rows {
		indent := 0.0
		if r.indent {
			indent = indentation
		}
		for _, line := range rl.lines[i] {
			rl.width = max(rl.width, indent+textWidth(line, labelSize, r.bold))
		}
	}
	if clipped {
		note := l.Text("plots.forest-clipped")
		if s.Caption != "" {
			note = s.Caption + " " + note
		}
		s.Caption = note
	}
	var ks []placed
	headHeight := rowLeading*float64(len(columnHead)) + 4
	if slices.ContainsFunc(rows, func(r forestRow) bool { return r.known != nil }) {
		var height float64
		ks, height = legend([]key{knownKey(l)}, s.innerWidth()-column-12)
		headHeight = max(headHeight, height+4)
	}
	axisWidthPoints := s.innerWidth() - rl.width - column - gaps
	if axisWidthPoints < leastAxis-1 {
		return Figure{}, fmt.Errorf("%s: %w: the labels leave no room for the axis", name, ErrTooSmall)
	}
	xLabel := d.XLabel
	if d.PercentagePoints {
		xLabel = l.Text("plots.points", "label", xLabel)
	}
	// The axis title may reach under the columns beside it.
	titleWidth := axisWidthPoints + 2*min(rl.width, column)
	frame := headHeight + xAxisHeight + 6 + axisTitleHeight(xLabel, "", 0, titleWidth)
	p, err := s.page(name, frame+rl.height, frame+rl.comfortable())
	if err != nil {
		return Figure{}, err
	}
	right, left := p.body.x1, p.body.x0
	body := p.body
	p.drawLegend(ks, 0)
	for i, line := range columnHead {
		p.text(text{at: point{right, p.body.y0 + ascent*labelSize + rowLeading*float64(i)}, s: line, size: labelSize, color: soft, anchor: end})
	}
	p.body = box{left + rl.width + 12, body.y0 + headHeight, right - column - 12, body.y1}
	p.axisTitles(xLabel, "", titleWidth)
	style := decimalTicks
	if d.PercentagePoints {
		style = pointTicks
	}
	a := newAxes(p.body, lo, hi, 0, 1, style, decimalTicks, l, false)
	a.area.y0, a.yTicks = p.body.y0, nil
	p.drawAxes(a, false)
	if lo <= 0 && hi >= 0 {
		p.line(soft, axisWidth, []float64{3, 2}, point{a.x.at(0), a.area.y0}, point{a.x.at(0), a.area.y1})
	}
	out := sheet{header: []string{"heading", "label", "term", "measure", "estimate", "std_error", "conf_low", "conf_high", "conf_level", "conf_method", "overall", "known"}}
	ys := rl.centres(a.area.y0, a.area.y1)
	clear, lowest, highest, count := 0, math.Inf(1), math.Inf(-1), 0
	for i, r := range rows {
		x := left
		if r.indent {
			x += indentation
		}
		p.rowLabel(rl.lines[i], x, ys[i], r.bold, start)
		if r.heading {
			continue
		}
		p.text(text{at: point{right, ys[i] + midHeight*labelSize}, s: numbers[i], size: labelSize, bold: r.bold, color: ink, anchor: end})
		if r.known != nil {
			p.knownMark(point{a.x.at(*r.known), ys[i]})
		}
		p.forestMark(a, r, ys[i])
		e := r.est
		out.add(r.group, r.label, e.Term, string(e.Measure), e.Value, e.SE, e.CI.Lo, e.CI.Hi, e.CI.Level, e.CI.Method, strconv.FormatBool(r.overall), orNaN(r.known))
		count++
		lowest, highest = min(lowest, e.Value), max(highest, e.Value)
		if e.CI.Lo > 0 || e.CI.Hi < 0 {
			clear++
		}
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	write := func(v float64) string {
		if d.PercentagePoints {
			return l.PercentPoints(v, forestDecimals(rows, d))
		}
		return d.number(v, l, forestDecimals(rows, d))
	}
	alt := l.Text("plots.forest-alt", "n", count, "lowest", write(lowest), "highest", write(highest), "clear", clear)
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// forestRow is a line of the figure: a heading or an estimate.
type forestRow struct {
	heading, indent, bold, overall bool
	group, label                   string
	est                            estimate.Estimate
	known                          *float64
}

// bare says that an estimate has neither variation nor interval: a point is all there is to draw.
func bare(e estimate.Estimate) bool {
	return e.SE == 0 && math.IsNaN(e.CI.Lo) && math.IsNaN(e.CI.Hi)
}

func (r forestRow) hasInterval() bool { return !r.heading && finite(r.est.CI.Lo, r.est.CI.Hi) }

func forestRows(d ForestData, labels Labels) (rows []forestRow, level float64, err error) {
	if d.Decimals < -1 || d.Decimals > 6 {
		return nil, 0, fmt.Errorf("%w: decimals are -1 or 0 to 6", ErrStyle)
	}
	n := 0
	for _, g := range d.Groups {
		if g.Heading != "" {
			rows = append(rows, forestRow{heading: true, bold: true, label: g.Heading})
		}
		for _, r := range g.Rows {
			e := r.Estimate
			label := r.Label
			if label == "" {
				label = labels.of(e.Term)
			}
			switch {
			case !drawable(e.Value):
				return nil, 0, fmt.Errorf("%q: %w", e.Term, ErrNotFinite)
			case r.Known != nil && !drawable(*r.Known):
				return nil, 0, fmt.Errorf("%q: known value: %w", e.Term, ErrNotFinite)
			case e.HasSE() && !bare(e) && !drawable(e.CI.Lo, e.CI.Hi):
				return nil, 0, fmt.Errorf("%q: interval: %w", e.Term, ErrNotFinite)
			case e.HasSE() && (e.Value < e.CI.Lo || e.Value > e.CI.Hi):
				return nil, 0, fmt.Errorf("%q: %w: the value lies outside its interval", e.Term, ErrInconsistent)
			}
			row := forestRow{indent: g.Heading != "", bold: r.Overall, overall: r.Overall, group: g.Heading, label: label, est: e, known: r.Known}
			if row.hasInterval() {
				if level != 0 && e.CI.Level != level {
					return nil, 0, fmt.Errorf("%q: %w: intervals of two levels", e.Term, ErrInconsistent)
				}
				level = e.CI.Level
			}
			rows = append(rows, row)
			n++
		}
	}
	if n == 0 {
		return nil, 0, ErrEmpty
	}
	return rows, level, nil
}

// forestRange is the range of the axis: all values, zero, and all intervals that are
// not more than five times as wide as the one in the middle.
func forestRange(rows []forestRow) (lo, hi float64, clipped bool) {
	var widths []float64
	for _, r := range rows {
		if r.hasInterval() {
			widths = append(widths, r.est.CI.Hi-r.est.CI.Lo)
		}
	}
	limit := math.Inf(1)
	if slices.Sort(widths); len(widths) > 2 {
		limit = 5 * widths[(len(widths)-1)/2]
	}
	values := []float64{0}
	for _, r := range rows {
		if r.heading {
			continue
		}
		values = append(values, r.est.Value)
		if r.known != nil {
			values = append(values, *r.known)
		}
		if r.hasInterval() && r.est.CI.Hi-r.est.CI.Lo <= limit {
			values = append(values, r.est.CI.Lo, r.est.CI.Hi)
		}
	}
	lo, hi = span(values...)
	pad := 0.03 * (hi - lo)
	lo, hi = lo-pad, hi+pad
	for _, r := range rows {
		clipped = clipped || r.hasInterval() && (r.est.CI.Lo < lo || r.est.CI.Hi > hi)
	}
	return lo, hi, clipped
}

// forestDecimals gives two significant digits of the narrowest half width.
func forestDecimals(rows []forestRow, d ForestData) int {
	if d.Decimals >= 0 {
		return d.Decimals
	}
	narrowest := math.Inf(1)
	for _, r := range rows {
		if h := (r.est.CI.Hi - r.est.CI.Lo) / 2; r.hasInterval() && h > 0 {
			narrowest = min(narrowest, h)
		}
	}
	if d.PercentagePoints {
		narrowest *= 100
	}
	if math.IsInf(narrowest, 1) {
		return 2
	}
	return min(max(1-int(math.Floor(math.Log10(narrowest))), 0), 6)
}

func (d ForestData) number(v float64, l lang.Lang, decimals int) string {
	if d.PercentagePoints {
		v *= 100
	}
	return l.Number(v, decimals)
}

func forestNumbers(rows []forestRow, d ForestData, l lang.Lang) []string {
	decimals := forestDecimals(rows, d)
	write := func(v float64) string { return d.number(v, l, decimals) }
	out := make([]string, len(rows))
	for i, r := range rows {
		switch {
		case r.heading:
		case !r.hasInterval():
			out[i] = write(r.est.Value)
		default:
			out[i] = l.Text("plots.forest-number", "value", write(r.est.Value), "lo", write(r.est.CI.Lo), "hi", write(r.est.CI.Hi))
		}
	}
	return out
}

// forestMark draws one estimate; an interval that leaves the axis ends in an arrow.
func (s *page) forestMark(a axes, r forestRow, y float64) {
	x := a.x.at(r.est.Value)
	if r.hasInterval() && r.overall && r.est.CI.Lo >= a.x.lo && r.est.CI.Hi <= a.x.hi {
		s.area(ink, ink, 0.5, point{a.x.at(r.est.CI.Lo), y}, point{x, y - 4}, point{a.x.at(r.est.CI.Hi), y}, point{x, y + 4})
		return
	}
	if r.hasInterval() {
		x0, x1 := a.x.at(max(r.est.CI.Lo, a.x.lo)), a.x.at(min(r.est.CI.Hi, a.x.hi))
		s.line(blue, 1.3, nil, point{x0, y}, point{x1, y})
		if r.est.CI.Lo < a.x.lo {
			s.area(blue, nil, 0, point{x0 - 4, y}, point{x0 + 1, y - 3}, point{x0 + 1, y + 3})
		}
		if r.est.CI.Hi > a.x.hi {
			s.area(blue, nil, 0, point{x1 + 4, y}, point{x1 - 1, y - 3}, point{x1 - 1, y + 3})
		}
	}
	m := square
	if r.overall {
		m = diamond
	}
	s.mark(m, point{x, y}, 3, blue, !r.hasInterval())
}
