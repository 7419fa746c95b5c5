package plots

import (
	"fmt"
	"math"

	"utfall/estimate"
)

// GradedRow is one cohort: what was forecast for it and, where it has come, what came.
type GradedRow struct {
	Label    string
	Forecast estimate.Estimate
	Outcome  *estimate.Estimate // nil = has not come
	Verdict  string             // how the forecast did, in a word or two
	Known    *float64           // true value, where the data are simulated
}

// GradedData is what a figure of forecasts against truth shows.
type GradedData struct {
	Rows             []GradedRow
	XLabel           string
	PercentagePoints bool
}

// Graded draws forecasts and what came under each other, cohort by cohort, with their
// intervals and the grade beside them.
func Graded(d GradedData, s Style) (Figure, error) {
	const name = "graded forecast"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	level, err := d.check()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	forecast, outcome := seriesLook{blue, nil, round}, seriesLook{ink, nil, square}
	interval := l.Text("plots.interval", "level", levelText(l, level))
	keys := []key{
		intervalKey(l.Text("plots.graded-forecast", "interval", interval), forecast, false),
		intervalKey(l.Text("plots.graded-outcome", "interval", interval), outcome, false),
	}
	values := []float64{0}
	known := false
	names, column := make([]string, len(d.Rows)), 0.0
	for i, r := range d.Rows {
		names[i] = r.Label
		column = max(column, textWidth(clean(r.Verdict), labelSize, false))
		values = append(values, r.Forecast.Value, r.Forecast.CI.Lo, r.Forecast.CI.Hi)
		if r.Outcome != nil {
			values = append(values, r.Outcome.Value, r.Outcome.CI.Lo, r.Outcome.CI.Hi)
		}
		if r.Known != nil {
			known = true
			values = append(values, *r.Known)
		}
	}
	if known {
		keys = append(keys, knownKey(l))
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	rl := newRowLabels(names, 0.3*s.innerWidth())
	for i := range rl.heights {
		rl.heights[i] += 8 // two estimates in a row
		rl.height += 8
	}
	const gaps = 24
	if s.innerWidth()-rl.width-column-gaps < 90 {
		return Figure{}, fmt.Errorf("%s: %w: the labels leave no room for the axis", name, ErrTooSmall)
	}
	xLabel, style := d.XLabel, decimalTicks
	if d.PercentagePoints {
		xLabel, style = l.Text("plots.points", "label", xLabel), pointTicks
	}
	axisWidthPoints := s.innerWidth() - rl.width - column - gaps
	titleWidth := axisWidthPoints + 2*min(rl.width, column)
	frame := legendHeight + 4 + xAxisHeight + 6 + axisTitleHeight(xLabel, "", 0, titleWidth)
	p, err := s.page(name, frame+rl.height, frame+rl.comfortable())
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	left, right := p.body.x0, p.body.x1
	p.body.x0, p.body.x1 = left+rl.width+12, right-column-12
	p.axisTitles(xLabel, "", titleWidth)
	lo, hi := span(values...)
	pad := 0.03 * (hi - lo)
	a := newAxes(p.body, lo-pad, hi+pad, 0, 1, style, decimalTicks, l, false)
	a.area.y0, a.yTicks = p.body.y0, nil
	p.drawAxes(a, false)
	p.line(soft, axisWidth, []float64{3, 2}, point{a.x.at(0), a.area.y0}, point{a.x.at(0), a.area.y1})
	out := sheet{header: []string{"label", "forecast", "forecast_std_error", "forecast_low", "forecast_high", "outcome", "outcome_std_error", "outcome_low", "outcome_high", "conf_level", "verdict", "known"}}
	inside := 0
	come := 0
	for i, y := range rl.centres(a.area.y0, a.area.y1) {
		r := d.Rows[i]
		p.rowLabel(rl.lines[i], left, y, false, start)
		p.text(text{at: point{right, y + midHeight*labelSize}, s: clean(r.Verdict), size: labelSize, color: ink, anchor: end})
		o := estimate.Estimate{Value: math.NaN(), SE: math.NaN(), CI: estimate.Interval{Lo: math.NaN(), Hi: math.NaN()}}
		at := y
		if r.Outcome != nil {
			o, at = *r.Outcome, y-4
			come++
			if r.Forecast.CI.Lo <= o.Value && o.Value <= r.Forecast.CI.Hi {
				inside++
			}
		}
		if r.Known != nil {
			p.knownMark(point{a.x.at(*r.Known), y})
		}
		p.lying(a, r.Forecast, at, forecast)
		if r.Outcome != nil {
			p.lying(a, o, y+4, outcome)
		}
		f := r.Forecast
		out.add(r.Label, f.Value, f.SE, f.CI.Lo, f.CI.Hi, o.Value, o.SE, o.CI.Lo, o.CI.Hi, level, r.Verdict, orNaN(r.Known))
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	alt := l.Text("plots.graded-alt", "n", len(d.Rows), "come", come, "inside", inside)
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// lying draws an estimate with its interval along the axis.
func (s *page) lying(a axes, e estimate.Estimate, y float64, look seriesLook) {
	s.line(look.color, 1.3, nil, point{a.x.at(e.CI.Lo), y}, point{a.x.at(e.CI.Hi), y})
	s.mark(look.marker, point{a.x.at(e.Value), y}, 2.6, look.color, false)
}

func (d GradedData) check() (level float64, err error) {
	if len(d.Rows) == 0 {
		return 0, ErrEmpty
	}
	for _, r := range d.Rows {
		list := []estimate.Estimate{r.Forecast}
		if r.Outcome != nil {
			list = append(list, *r.Outcome)
		}
		if r.Known != nil && !drawable(*r.Known) {
			return 0, fmt.Errorf("%q: known value: %w", r.Label, ErrNotFinite)
		}
		for _, e := range list {
			switch {
			case !drawable(e.Value, e.CI.Lo, e.CI.Hi):
				return 0, fmt.Errorf("%q: %w", r.Label, ErrNotFinite)
			case e.Value < e.CI.Lo || e.Value > e.CI.Hi:
				return 0, fmt.Errorf("%q: %w: the value lies outside its interval", r.Label, ErrInconsistent)
			case level != 0 && e.CI.Level != level:
				return 0, fmt.Errorf("%q: %w: intervals of two levels", r.Label, ErrInconsistent)
			}
			level = e.CI.Level
		}
	}
	return level, nil
}
