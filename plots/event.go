package plots

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/internal/lang"
)

// EventStudyData is what an event study shows: one estimate per event time, terms
// "event=E". An estimate without a standard error is a reference period and is drawn
// hollow. One with a standard error of 0 and no interval, where nothing varied, is drawn
// as a point. Intervals whose method is "uniform-band" are drawn as a band, others as bars.
type EventStudyData struct {
	Estimates []estimate.Estimate
	XLabel    string // "" = time relative to the start
	YLabel    string // "" = the effect
	// Known holds true effects by event time, where the data are simulated.
	Known map[int]float64
	// PercentagePoints says that the estimates are differences of proportions: the
	// axis is then written in percentage points.
	PercentagePoints bool
}

type eventPoint struct {
	e         int
	est       estimate.Estimate
	reference bool
	lo, hi    float64 // what is drawn as the interval
}

// EventStudy draws effects before and after the start, with a line at zero and one
// between the last period before and the first after.
func EventStudy(d EventStudyData, s Style) (Figure, error) {
	const name = "event study"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	points, uniform, err := eventPoints(d.Estimates)
	if err == nil {
		err = d.checkKnown(points)
	}
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	xLabel, yLabel := d.XLabel, d.YLabel
	if xLabel == "" {
		xLabel = l.Text("plots.event-x")
	}
	if yLabel == "" {
		yLabel = l.Text("plots.event-y")
	}

	if d.PercentagePoints {
		yLabel = l.Text("plots.points", "label", yLabel)
	}

	before, after := seriesLook{soft, nil, square}, seriesLook{blue, nil, round}
	values := []float64{0}
	for _, v := range d.Known {
		values = append(values, v)
	}
	level := 0.0
	hasBefore, hasAfter, hasReference := false, false, false
	for _, p := range points {
		values = append(values, p.est.Value)
		switch {
		case p.reference:
			hasReference = true
		default:
			values = append(values, p.lo, p.hi)
			level = p.est.CI.Level
			hasBefore, hasAfter = hasBefore || p.e < 0, hasAfter || p.e >= 0
		}
	}
	var keys []key
	interval := "plots.interval"
	if uniform {
		interval = "plots.band"
	}
	for _, k := range []struct {
		show bool
		text string
		look seriesLook
	}{{hasBefore, "plots.event-before", before}, {hasAfter, "plots.event-after", after}} {
		if k.show {
			keys = append(keys, intervalKey(l.Text(k.text, "interval", l.Text(interval, "level", levelText(l, level))), k.look, uniform))
		}
	}
	if hasReference {
		keys = append(keys, key{l.Text("plots.event-reference"), func(s *scene, at point) {
			s.mark(before.marker, at, 2.6, before.color, true)
		}})
	}
	if len(d.Known) > 0 {
		keys = append(keys, knownLevelKey(l))
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	p, err := s.page(name, legendHeight+4+axisTitleHeight(xLabel, yLabel, s.innerWidth(), s.innerWidth())+110, 0)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	p.axisTitles(xLabel, yLabel, p.body.width())
	first, last := float64(points[0].e), float64(points[len(points)-1].e)
	ylo, yhi := span(values...)
	style := decimalTicks
	if d.PercentagePoints {
		style = pointTicks
	}
	a := newAxes(p.body, first-0.5, last+0.5, ylo, yhi, wholeTicks, style, l, true)
	p.drawAxes(a, true)
	p.startLine(a, -0.5)
	zero := a.y.at(0)
	p.line(ink, axisWidth, nil, point{a.area.x0, zero}, point{a.area.x1, zero})

	spacing := a.x.at(1) - a.x.at(0)
	r := min(2.6, max(1.2, spacing*0.3))
	look := func(q eventPoint) seriesLook {
		if q.e < 0 {
			return before
		}
		return after
	}
	if uniform {
		p.eventBand(a, points, look)
	}
	for _, q := range points {
		x := a.x.at(float64(q.e))
		if !q.reference && !uniform {
			p.line(look(q).color, min(1.3, r*0.5), nil, point{x, a.y.at(q.lo)}, point{x, a.y.at(q.hi)})
		}
	}
	for _, q := range points {
		if v, ok := d.Known[q.e]; ok {
			p.knownLevel(point{a.x.at(float64(q.e)), a.y.at(v)}, min(7, max(1.5, spacing*0.4)))
		}
		p.mark(look(q).marker, point{a.x.at(float64(q.e)), a.y.at(q.est.Value)}, r, look(q).color, q.reference)
	}

	out := sheet{header: []string{"term", "event", "estimate", "std_error", "conf_low", "conf_high", "conf_level", "conf_method", "reference", "known"}}
	clear := 0
	for _, q := range points {
		known := math.NaN()
		if v, ok := d.Known[q.e]; ok {
			known = v
		}
		out.add(q.est.Term, q.e, q.est.Value, q.est.SE, q.est.CI.Lo, q.est.CI.Hi, q.est.CI.Level, q.est.CI.Method, strconv.FormatBool(q.reference), known)
		if q.e >= 0 && !q.reference && (q.est.CI.Lo > 0 || q.est.CI.Hi < 0) {
			clear++
		}
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	lastPoint := points[len(points)-1]
	number := func(v float64) string {
		if d.PercentagePoints {
			return l.PercentPoints(v, 1)
		}
		return l.Significant(v, 3)
	}
	alt := l.Text("plots.event-alt", "first", points[0].e, "last", lastPoint.e, "value", number(lastPoint.est.Value), "clear", clear)
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// eventPoints reads and checks the estimates, and orders them by event time.
func eventPoints(es []estimate.Estimate) (points []eventPoint, uniform bool, err error) {
	if len(es) == 0 {
		return nil, false, ErrEmpty
	}
	bands := 0
	for _, est := range es {
		digits, ok := strings.CutPrefix(est.Term, "event=")
		e, convErr := strconv.Atoi(digits)
		if !ok || convErr != nil {
			return nil, false, fmt.Errorf("%w: term %q is not of the form event=E", ErrInconsistent, est.Term)
		}
		q := eventPoint{e, est, !est.HasSE(), est.CI.Lo, est.CI.Hi}
		if bare(est) { // drawn, the point is its own interval
			q.lo, q.hi = est.Value, est.Value
		}
		if !drawable(est.Value) || (!q.reference && !drawable(q.lo, q.hi)) {
			return nil, false, fmt.Errorf("%s: %w", est.Term, ErrNotFinite)
		}
		if !q.reference {
			if q.lo > q.hi || est.Value < q.lo || est.Value > q.hi {
				return nil, false, fmt.Errorf("%s: %w: the value lies outside its interval", est.Term, ErrInconsistent)
			}
			if est.CI.Level != es[firstWithSE(es)].CI.Level {
				return nil, false, fmt.Errorf("%s: %w: intervals of two levels", est.Term, ErrInconsistent)
			}
			if est.CI.Method == "uniform-band" {
				bands++
			}
		}
		points = append(points, q)
	}
	slices.SortStableFunc(points, func(a, b eventPoint) int { return a.e - b.e })
	intervals := 0
	for i, q := range points {
		if i > 0 && q.e == points[i-1].e {
			return nil, false, fmt.Errorf("%s: %w: the event time stands twice", q.est.Term, ErrInconsistent)
		}
		if !q.reference {
			intervals++
		}
	}
	if bands != 0 && bands != intervals {
		return nil, false, fmt.Errorf("%w: pointwise intervals and a uniform band in one figure", ErrInconsistent)
	}
	return points, bands > 0, nil
}

// checkKnown wants each known value to be a number at an event time that is drawn.
func (d EventStudyData) checkKnown(points []eventPoint) error {
	found := 0
	for _, q := range points {
		if v, ok := d.Known[q.e]; ok {
			found++
			if !drawable(v) {
				return fmt.Errorf("known value at %d: %w", q.e, ErrNotFinite)
			}
		}
	}
	if found != len(d.Known) {
		return fmt.Errorf("%w: a known value at an event time without an estimate", ErrInconsistent)
	}
	return nil
}

func firstWithSE(es []estimate.Estimate) int {
	return max(0, slices.IndexFunc(es, estimate.Estimate.HasSE))
}

// eventBand shades between the bounds of neighbours; a reference period has none and
// breaks the band.
func (s *page) eventBand(a axes, points []eventPoint, look func(eventPoint) seriesLook) {
	for i := 0; i < len(points); {
		j := i
		for j < len(points) && !points[j].reference && (j == i || (points[j].e == points[j-1].e+1 && (points[j].e < 0) == (points[i].e < 0))) {
			j++
		}
		if j == i {
			i++
			continue
		}
		run := points[i:j]
		var upper, lower []point
		for _, q := range run {
			x, lo, hi := a.x.at(float64(q.e)), a.y.at(q.lo), a.y.at(q.hi)
			if len(run) == 1 { // one period alone still needs an area
				w := 0.2 * (a.x.at(1) - a.x.at(0))
				upper = append(upper, point{x - w, hi}, point{x + w, hi})
				lower = append(lower, point{x - w, lo}, point{x + w, lo})
				break
			}
			upper = append(upper, point{x, hi})
			lower = append(lower, point{x, lo})
		}
		slices.Reverse(lower)
		s.area(faded(look(run[0]).color, 60), nil, 0, append(upper, lower...)...)
		i = j
	}
}

// startLine marks the moment between before and after.
func (s *scene) startLine(a axes, at float64) {
	if at > a.x.lo && at < a.x.hi {
		s.line(soft, axisWidth, []float64{3, 2}, point{a.x.at(at), a.area.y0}, point{a.x.at(at), a.area.y1})
	}
}

func intervalKey(label string, look seriesLook, band bool) key {
	return key{label, func(s *scene, at point) {
		if band {
			s.rect(faded(look.color, 60), nil, 0, box{at.x - 8, at.y - 4.5, at.x + 8, at.y + 4.5})
		} else {
			s.line(look.color, 1.2, nil, point{at.x, at.y - 5}, point{at.x, at.y + 5})
		}
		s.mark(look.marker, at, 2.4, look.color, false)
	}}
}

// levelText writes a confidence level without rounding 97.5 % to 98 %.
func levelText(l lang.Lang, level float64) string {
	if whole := math.Round(100 * level); math.Abs(100*level-whole) < 1e-9 {
		return l.Percent(level, 0)
	}
	return l.Percent(level, 1)
}

// altText puts the title before the sentence that says what the figure shows.
func altText(title, sentence string) string {
	if title = clean(title); title != "" {
		return title + ": " + clean(sentence)
	}
	return clean(sentence)
}
