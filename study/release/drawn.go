package release

import (
	"math"
	"strings"

	"utfall/cohort"
)

// Balance gives the shown rows in the form that a figure draws: differences only.
func (t BalanceTable) Balance() cohort.Balance {
	nan := math.NaN()
	out := cohort.Balance{Denominator: t.Denominator, ESSTreated: nan, ESSControl: nan}
	for _, r := range t.Rows {
		before, ok := r.Before.SMD.Float()
		after, ok2 := r.After.SMD.Float()
		if !ok || !ok2 {
			continue
		}
		only := func(smd float64) cohort.BalanceStat {
			return cohort.BalanceStat{MeanTreated: nan, MeanControl: nan, SMD: smd, VarianceRatio: nan, ECDFMean: nan, ECDFMax: nan}
		}
		out.Rows = append(out.Rows, cohort.BalanceRow{Variable: r.Variable, Before: only(before), After: only(after)})
	}
	return out
}

// MergedName joins the names of steps that [Attrition.Merged] made one.
const MergedName = " + "

// Merged gives the flow as steps that a figure draws: steps whose box is withheld in
// a group are one with the next that is shown in both; their names are joined by
// [MergedName]. It is empty when the start or the end is withheld.
func (a Attrition) Merged() []cohort.Step {
	var out []cohort.Step
	in := a.Start
	var names, rules []string
	for _, s := range a.Steps {
		names, rules = append(names, s.Name), append(rules, s.Rule)
		if in.Units().Suppressed() {
			return nil
		}
		if s.Left.Units().Suppressed() {
			continue
		}
		out = append(out, cohort.Step{Name: strings.Join(names, MergedName), Rule: strings.Join(rules, "; "),
			UnitsIn: in.Units().n, UnitsOut: s.Left.Units().n, TreatedIn: in.Treated.n, TreatedOut: s.Left.Treated.n})
		in, names, rules = s.Left, nil, nil
	}
	if len(names) > 0 {
		return nil
	}
	return out
}

// Areas gives a curve as areas that add up to 1 at each time: withheld states are
// in the last column, which is named together and left out when it is empty throughout.
func (c Curve) Areas(together string) (states []string, p [][]float64) {
	states = append(append(states, c.States...), together)
	empty := true
	for t, row := range c.P {
		areas := make([]float64, len(row)+1)
		for s, v := range row {
			if x, ok := v.Float(); ok {
				areas[s] = x
			}
		}
		areas[len(row)], _ = c.Together[t].Float()
		empty = empty && areas[len(row)] == 0
		p = append(p, areas)
	}
	if empty {
		states = states[:len(c.States)]
		for t := range p {
			p[t] = p[t][:len(c.States)]
		}
	}
	return states, p
}
