package plots

import (
	"fmt"
	"math"

	"utfall/estimate"
)

// FunnelPoint is a place's own estimate. Differs marks one of which it is said that it
// differs from the whole.
type FunnelPoint struct {
	Label    string
	Estimate estimate.Estimate
	Differs  bool
}

// FunnelData is what a funnel plot shows.
type FunnelData struct {
	Points []FunnelPoint
	Centre float64 // the pooled effect
	YLabel string
	// PercentagePoints says that the estimates are differences of proportions.
	PercentagePoints bool
}

// funnelLimits are the multiples of the standard error between which 95 and 99.8 per
// cent of places lie that do not differ.
var funnelLimits = [2]float64{1.959963984540054, 3.090232306167813}

// Funnel draws the estimate of each place against how precise it is, one over its
// standard error, within the limits between which chance alone would put 95 and 99.8 per
// cent of places that do not differ. Places are not ranked.
func Funnel(d FunnelData, s Style) (Figure, error) {
	const name = "funnel plot"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(d.Points) == 0 {
		return Figure{}, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	if !drawable(d.Centre) {
		return Figure{}, fmt.Errorf("%s: centre: %w", name, ErrNotFinite)
	}
	l := s.Lang
	least, most := math.Inf(1), 0.0
	values := []float64{d.Centre}
	for _, p := range d.Points {
		e := p.Estimate
		if !drawable(e.Value, e.SE) || !(e.SE > 0) {
			return Figure{}, fmt.Errorf("%s: %q: %w", name, p.Label, ErrNotFinite)
		}
		least, most = min(least, 1/e.SE), max(most, 1/e.SE)
		values = append(values, e.Value)
	}
	x0, x1 := 0.75*least, 1.08*most
	if x1-x0 < 1e-9*x1 {
		x0, x1 = 0.5*least, 1.5*most
	}
	values = append(values, d.Centre-funnelLimits[1]/(0.95*least), d.Centre+funnelLimits[1]/(0.95*least))
	lo, hi := span(values...)
	pad := 0.04 * (hi - lo)
	style := decimalTicks
	yLabel := d.YLabel
	if d.PercentagePoints {
		style = pointTicks
		yLabel = l.Text("plots.points", "label", yLabel)
	}
	same, differs := funnelLooks()
	keys := []key{
		{l.Text("plots.funnel-same"), func(s *scene, at point) { s.mark(same.marker, at, 2.6, same.color, false) }},
		{l.Text("plots.funnel-differs"), func(s *scene, at point) { s.mark(differs.marker, at, 3.2, differs.color, false) }},
		{l.Text("plots.funnel-centre"), func(s *scene, at point) {
			s.line(ink, axisWidth, nil, point{at.x - 8, at.y}, point{at.x + 8, at.y})
		}},
	}
	for i, text := range []string{"plots.funnel-limit-inner", "plots.funnel-limit-outer"} {
		dash := funnelDash(i)
		keys = append(keys, key{l.Text(text), func(s *scene, at point) { s.line(soft, axisWidth, dash, point{at.x - 8, at.y}, point{at.x + 8, at.y}) }})
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	xLabel := l.Text("plots.funnel-x")
	p, err := s.page(name, legendHeight+4+axisTitleHeight(xLabel, yLabel, s.innerWidth(), s.innerWidth())+110, 0)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	p.axisTitles(xLabel, yLabel, p.body.width())
	a := newAxes(p.body, x0, x1, lo-pad, hi+pad, decimalTicks, style, l, true)
	p.drawAxes(a, true)
	p.line(ink, axisWidth, nil, point{a.area.x0, a.y.at(d.Centre)}, point{a.area.x1, a.y.at(d.Centre)})
	const steps = 60
	for i, z := range funnelLimits {
		for _, side := range []float64{-1, 1} {
			var curve []point
			for k := range steps + 1 {
				x := x0 + (x1-x0)*float64(k)/steps
				y := d.Centre + side*z/x
				if y >= lo-pad && y <= hi+pad {
					curve = append(curve, point{a.x.at(x), a.y.at(y)})
				}
			}
			if len(curve) > 1 {
				p.line(soft, axisWidth, funnelDash(i), curve...)
			}
		}
	}
	out := sheet{header: []string{"label", "estimate", "std_error", "precision", "differs", "lower_95", "upper_95", "lower_998", "upper_998", "centre"}}
	count := 0
	for _, pt := range d.Points {
		e := pt.Estimate
		look, r, mark := same, 2.6, "no"
		if pt.Differs {
			look, r, mark = differs, 3.2, "yes"
			count++
		}
		p.mark(look.marker, point{a.x.at(1 / e.SE), a.y.at(e.Value)}, r, look.color, false)
		out.add(pt.Label, e.Value, e.SE, 1/e.SE, mark, d.Centre-float64(funnelLimits[0]*e.SE), d.Centre+float64(funnelLimits[0]*e.SE),
			d.Centre-float64(funnelLimits[1]*e.SE), d.Centre+float64(funnelLimits[1]*e.SE), d.Centre)
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	write := l.Significant(d.Centre, 2)
	if d.PercentagePoints {
		write = l.PercentPoints(d.Centre, 1)
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, l.Text("plots.funnel-alt", "n", len(d.Points), "centre", write, "differ", count)), lang: l}, nil
}

func funnelLooks() (same, differs seriesLook) {
	return seriesLook{color: blue, marker: round}, seriesLook{color: vermilion, marker: triangle}
}

func funnelDash(i int) []float64 {
	if i == 0 {
		return []float64{5, 2.5}
	}
	return []float64{1.5, 2}
}
