package plots

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/cohort"
)

// loveThreshold is the usual limit below which an imbalance is called small.
const loveThreshold = 0.1

// Love draws the absolute standardised mean difference of each covariate before and
// after the design, the largest before on top, with a line at 0.1.
func Love(b cohort.Balance, labels Labels, s Style) (Figure, error) {
	const name = "Love plot"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(b.Rows) == 0 {
		return Figure{}, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	rows := slices.Clone(b.Rows)
	above, maxBefore, maxAfter := 0, 0.0, 0.0
	for _, r := range rows {
		if !drawable(r.Before.SMD, r.After.SMD) {
			return Figure{}, fmt.Errorf("%s: %q: %w", name, r.Variable, ErrNotFinite)
		}
		maxBefore = max(maxBefore, math.Abs(r.Before.SMD))
		maxAfter = max(maxAfter, math.Abs(r.After.SMD))
		if math.Abs(r.After.SMD) > loveThreshold {
			above++
		}
	}
	slices.SortStableFunc(rows, func(a, c cohort.BalanceRow) int {
		switch d := math.Abs(c.Before.SMD) - math.Abs(a.Before.SMD); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return strings.Compare(a.Variable, c.Variable)
	})

	l := s.Lang
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = labels.of(r.Variable)
	}
	rowLabels := newRowLabels(names, 0.45*s.innerWidth())
	const ring, dot = 3.5, 2.5
	before, after := seriesLook{vermilion, nil, round}, seriesLook{blue, nil, round}
	ks, legendHeight := legend([]key{
		{l.Text("plots.before"), func(s *scene, at point) { s.mark(before.marker, at, ring, before.color, true) }},
		{l.Text("plots.after"), func(s *scene, at point) { s.mark(after.marker, at, dot, after.color, false) }},
		{l.Text("plots.love-threshold", "threshold", loveThreshold), func(s *scene, at point) {
			s.line(soft, axisWidth, []float64{3, 2}, point{at.x - 8, at.y}, point{at.x + 8, at.y})
		}},
	}, s.innerWidth())
	xLabel := l.Text("plots.love-x")
	axisTitle := axisTitleHeight(xLabel, "", 0, s.innerWidth()-rowLabels.width-8)
	frame := legendHeight + 8 + xAxisHeight + axisTitle
	p, err := s.page(name, frame+rowLabels.height, frame+rowLabels.comfortable())
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	left := p.body.x0
	p.body.x0 += rowLabels.width + 8
	p.axisTitles(xLabel, "", p.body.width())
	_, hi := span(0, loveThreshold*1.2, maxBefore*1.02, maxAfter*1.02)
	// The y axis counts rows, so it has no numbers: rows are placed by hand.
	a := newAxes(p.body, 0, hi, 0, 1, decimalTicks, decimalTicks, l, false)
	a.area.y0 = p.body.y0
	a.yTicks = nil
	p.drawAxes(a, false)
	p.line(soft, axisWidth, []float64{3, 2}, point{a.x.at(loveThreshold), a.area.y0}, point{a.x.at(loveThreshold), a.area.y1})
	out := sheet{header: []string{"variable", "label", "abs_smd_before", "abs_smd_after", "smd_before", "smd_after", "denominator"}}
	ys := rowLabels.centres(a.area.y0, a.area.y1)
	for i, r := range rows {
		y := ys[i]
		p.rowLabel(rowLabels.lines[i], left+rowLabels.width, y, false, end)
		p.line(faint, gridWidth, nil, point{a.area.x0, y}, point{a.area.x1, y})
		xb, xa := a.x.at(math.Abs(r.Before.SMD)), a.x.at(math.Abs(r.After.SMD))
		p.line(rgb(0x9A9A9A), axisWidth, nil, point{xb, y}, point{xa, y})
		// The ring is wider than the dot, so that it shows where both are alike.
		p.mark(before.marker, point{xb, y}, ring, before.color, true)
		p.mark(after.marker, point{xa, y}, dot, after.color, false)
		out.add(r.Variable, names[i], math.Abs(r.Before.SMD), math.Abs(r.After.SMD), r.Before.SMD, r.After.SMD, b.Denominator)
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	alt := l.Text("plots.love-alt", "n", len(rows), "before", maxBefore, "after", maxAfter, "above", above, "threshold", loveThreshold)
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}
