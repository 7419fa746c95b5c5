package progress

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/table"
)

func (e *ReferenceBased) result(s *VisitScores, d *visitData, all *visitModel, value *visitAnswer, left []*visitAnswer) *estimate.Result {
	res := &estimate.Result{Method: "reference-based", N: estimate.Counts{Units: len(d.order), Treated: d.all[1]}, Fit: estimate.Convergence{Converged: true, Iterations: all.steps, Tolerance: all.reached}}
	repeated, lines := map[string]float64{}, map[string]ShiftLine{}
	var own, df []float64
	if s.Weight.Values == nil && s.Cluster == nil {
		own, df, _ = d.modelErrors(all)
	}
	for t, visit := range s.Visits {
		put := func(term string, v, se, df float64) {
			res.Estimates = append(res.Estimates, estimate.Wald("visit="+visit+","+term, estimate.MeanDifference, v, se, df, s.Level))
		}
		if own != nil {
			coefficient := 0.0
			for i, h := range d.step {
				coefficient += float64(h * (d.coef[t][i] + float64(d.scale[t]*all.beta.At(i, t))))
			}
			put("model", coefficient, own[t], df[t])
		}
		mar := func(v *visitAnswer) float64 { return v.by[MissingAtRandom][t] }
		slope := func(v *visitAnswer) float64 { return v.slope[1][t] }
		line := ShiftLine{Value: mar(value), Slope: slope(value), Var: jackknifed(left, mar, mar), Cov: jackknifed(left, mar, slope), SlopeVar: jackknifed(left, slope, slope)}
		if e.HoldErrors {
			line = line.Held()
		}
		lines[visit] = line
		for _, name := range e.Strategies {
			at := func(v *visitAnswer) float64 { return v.by[name][t] }
			se := math.Sqrt(jackknifed(left, at, at))
			repeated["visit="+visit+",strategy="+string(name)] = se
			if !e.Repeated {
				se = math.Sqrt(line.Var)
			}
			put("strategy="+string(name), at(value), se, math.Inf(1))
		}
		for _, by := range e.Delta {
			at := func(v *visitAnswer) float64 {
				return v.by[MissingAtRandom][t] + float64(by.Participants*v.slope[1][t]) + float64(by.Comparison*v.slope[0][t])
			}
			se := math.Sqrt(line.Var)
			if !e.HoldErrors {
				se = math.Sqrt(jackknifed(left, at, at))
			}
			put(by.term(), at(value), se, math.Inf(1))
		}
		tip, measure := line.Tips(s.Level), Shift
		if e.MIC > 0 {
			tip, measure = tip/e.MIC, ImportantChanges
		}
		res.Estimates = append(res.Estimates, estimate.Estimate{Term: "visit=" + visit + ",tipping", Measure: measure, Value: tip, SE: math.NaN(), CI: noInterval(), Test: noTest()})
	}
	missing, late := map[string]map[string]int{"0": {}, "1": {}}, map[string]map[string]int{"0": {}, "1": {}}
	for _, g := range d.groups {
		for t, visit := range s.Visits {
			if g.seen&(1<<t) == 0 {
				missing[fmt.Sprint(g.arm)][visit] += g.people
				if t >= g.event {
					late[fmt.Sprint(g.arm)][visit] += g.people
				}
			}
		}
	}
	res.Details = map[string]any{
		"missing": missing, "from_event": late, "jackknife_groups": len(left), "repeated_std_error": repeated, "tipping": lines, "covariance": d.covariances(all), "iterations": all.steps,
		"vcov": "jackknife, both steps; strategies based on the reference information-anchored",
	}
	if e.Repeated {
		res.Details["vcov"] = "jackknife, both steps, all strategies"
	}
	res.Notes = e.notes(s, d, lines, own == nil)
	return res
}

// covariances are those of the model in the unit of the scores, row by row on and below the diagonal.
func (d *visitData) covariances(m *visitModel) map[string][][]float64 {
	out := map[string][][]float64{}
	for c, sigma := range m.sigma {
		name := "both"
		if m.byArm {
			name = fmt.Sprint(c)
		}
		for s := range d.T {
			var row []float64
			for t := range s + 1 {
				row = append(row, float64(d.scale[s]*d.scale[t]*sigma.At(s, t)))
			}
			out[name] = append(out[name], row)
		}
	}
	return out
}

// notes say why a tipping point is not there, and what was not used.
func (e *ReferenceBased) notes(s *VisitScores, d *visitData, lines map[string]ShiftLine, withoutModel bool) (out []table.Note) {
	last := lines[s.Visits[d.T-1]]
	switch tip := last.Tips(s.Level); {
	case last.Slope == 0:
		out = append(out, table.Note{Code: "nothing-missing", Text: "Everybody answered: there is no tipping point."})
	case tip == 0:
		out = append(out, table.Note{Code: "already-tipped", Text: "The interval covers 0 without any shift: there is nothing to tip."})
	case math.IsNaN(tip):
		out = append(out, table.Note{Code: "no-tipping", Text: "No shift of the scores that were not given makes the interval cover 0."})
	}
	early := 0
	for _, g := range d.groups {
		if g.event == 0 {
			early += g.people
		}
	}
	if early > 0 && slices.Contains(e.Strategies, LastMean) {
		out = append(out, table.Note{Code: "no-mean-to-carry", Args: map[string]any{"people": early}, Text: fmt.Sprintf("%d people have no visit before the event: there is no mean to carry forward, and they are filled in as missing at random.", early)})
	}
	if withoutModel && s.Weight.Values == nil && s.Cluster == nil {
		out = append(out, table.Note{Code: "no-model-error", Text: "The information about the covariance cannot be inverted: the model's own errors are not given."})
	}
	if s.Weight.Values != nil {
		out = append(out, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(s.Weight.Kind)}})
	}
	return out
}
