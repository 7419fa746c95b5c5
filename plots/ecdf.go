package plots

import (
	"fmt"
	"math"
)

// ECDF draws the distribution functions of a covariate in two groups, before the
// design and after it: the share of a group with a value below each edge of the bins,
// joined by straight lines. What lies inside a bin is not shown.
func ECDF(d DistributionData, s Style) (Figure, error) {
	const name = "distribution functions"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	stages := d.stages(l)
	p, panels, err := d.layout(name, stages, l.Text("plots.ecdf-y"), [2]float64{0, 1}, s)
	if err != nil {
		return Figure{}, err
	}
	out := sheet{header: []string{"stage", "value", "treated", "control", "share_below_treated", "share_below_control"}}
	gaps := make([]float64, len(stages))
	for i, st := range stages {
		a := panels[i]
		below := Binned{cumulated(st.shares.Treated), cumulated(st.shares.Control)}
		var treated, control []point
		people := Binned{cumulated(st.counts.Treated), cumulated(st.counts.Control)}
		for k, x := range d.Edges {
			treated = append(treated, point{a.x.at(x), a.y.at(min(below.Treated[k], 1))})
			control = append(control, point{a.x.at(x), a.y.at(min(below.Control[k], 1))})
			gaps[i] = max(gaps[i], math.Abs(below.Treated[k]-below.Control[k]))
			out.add(st.name, x, people.Treated[k], people.Control[k], below.Treated[k], below.Control[k])
		}
		p.line(vermilion, lineWidth, ecdfDash(), control...)
		p.line(blue, lineWidth, nil, treated...)
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, d.alt("plots.ecdf-alt", gaps, l)), lang: l}, nil
}

// ecdfDash sets the comparison group's line apart on a copy in grey.
func ecdfDash() []float64 { return []float64{5, 2.5} }

// cumulated are the sums below each edge: the first is 0.
func cumulated(v []float64) []float64 {
	out := make([]float64, len(v)+1)
	for i, x := range v {
		out[i+1] = out[i] + x
	}
	return out
}
