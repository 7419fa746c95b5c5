package main

import (
	"context"
	"slices"

	"utfall/cohort"
	"utfall/table"
)

// addBalance adds the rows of a balance table; after says that there is a design, ks
// that the Kolmogorov-Smirnov statistics are shown under their own name too.
func addBalance(out *fitOutput, b cohort.Balance, after, ks bool) {
	rows := make([]any, 0, len(b.Rows))
	t := fitTable{title: "Balance (SMD by the SD of " + b.Denominator + ", before the design)",
		header: []string{"variable", "treated", "control", "smd before", "smd after", "var.ratio before", "after", "ecdf max before", "after"}}
	undefined := 0
	for _, r := range b.Rows {
		row := map[string]any{"variable": r.Variable}
		put := func(when string, s cohort.BalanceStat) {
			row["mean_treated_"+when], row["mean_control_"+when] = s.MeanTreated, s.MeanControl
			row["smd_"+when], row["variance_ratio_"+when] = s.SMD, s.VarianceRatio
			row["ecdf_mean_"+when], row["ecdf_max_"+when] = s.ECDFMean, s.ECDFMax
			if ks {
				row["ks_"+when] = s.ECDFMax
			}
		}
		put("before", r.Before)
		put("after", r.After)
		if after {
			row["pair_distance_after"] = r.After.PairDistance
		}
		if !finite(r.Before.VarianceRatio) {
			undefined++
		}
		rows = append(rows, row)
		a := r.After
		t.rows = append(t.rows, []any{r.Variable, r.Before.MeanTreated, r.Before.MeanControl, r.Before.SMD, a.SMD, r.Before.VarianceRatio, a.VarianceRatio, r.Before.ECDFMax, a.ECDFMax})
	}
	out.details["balance"], out.details["denominator"] = rows, b.Denominator
	out.tables = append([]fitTable{t}, out.tables...)
	if undefined > 0 {
		out.notes = append(out.notes, table.Note{Code: "variance-ratio-undefined", Text: "A variance ratio says nothing new about a column of only 0 and 1, or does not exist for one without spread, and is null.", Args: map[string]any{"rows": undefined}})
	}
}

// fitBalance compares two groups before and after weighting.
type fitBalance struct {
	treatment                  string
	covariates                 []string
	weights, sets, denominator string
}

func (m *fitBalance) flags(f *flagSet) {
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.column(&m.weights, "weights", "weights of the design, at least 0; 0 = not in it")
	f.column(&m.sets, "sets", "matched sets; empty = in none. Without --weights the sets give the weights")
	f.text(&m.denominator, "denominator", cohort.TreatedSD, "standard deviation that differences are divided by: treated, control or pooled")
	f.need("treatment", "covariates")
}

func (m *fitBalance) check() []string {
	return oneOf("denominator", m.denominator, cohort.TreatedSD, cohort.ControlSD, cohort.PooledSD)
}

func (m *fitBalance) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	c.apart("covariates", m.covariates...)
	c.add("weights", m.weights)
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	return c
}

func (m *fitBalance) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	treated, err := d.treated(m.treatment)
	if err != nil {
		return nil, err
	}
	o := cohort.BalanceOptions{Denominator: m.denominator}
	if o.Weight, err = d.weights(m.weights); err != nil {
		return nil, err
	}
	out := &fitOutput{n: map[string]int{"units": d.t.Rows(), "treated": count(treated)}, details: map[string]any{}}
	if m.sets != "" {
		set, names, err := d.codes(m.sets)
		if err != nil {
			return nil, err
		}
		out.n["sets"] = len(names)
		var many bool
		o.Pairs, many = setPairs(set, treated, len(names), o.Weight)
		if many {
			out.notes = append(out.notes, table.Note{Code: "no-pairs", Text: "Some sets have several units of both groups, so that there are no pairs whose distance could be measured (pair_distance_after is null)."})
		}
		if o.Weight == nil {
			o.Weight = setWeights(set, treated, len(names))
			out.notes = append(out.notes, table.Note{Code: "weights-from-sets", Text: "The weights follow from the sets: 1 for a treated unit, treated over untreated of the set for the others, scaled to their number."})
			if !slices.ContainsFunc(o.Weight, func(w float64) bool { return w > 0 }) {
				return nil, cohort.ErrNoSupport
			}
		}
	}
	if o.Weight == nil {
		out.notes = append(out.notes, table.Note{Code: "before-only", Text: "Neither weights nor sets are given: the numbers after the design are null."})
	}
	t, err := d.named()
	if err != nil {
		return nil, err
	}
	b, notes, err := cohort.Compare(ctx, t, cohort.Spec{Treatment: m.treatment, ID: unitName, Covariates: m.covariates, Workers: d.workers}, o)
	if err != nil {
		return nil, err
	}
	out.notes = append(out.notes, notes...)
	addBalance(out, b, o.Pairs != nil, true)
	if o.Weight != nil {
		out.details["ess"] = map[string]any{"treated": b.ESSTreated, "control": b.ESSControl}
	}
	return out, nil
}

func count(v []bool) int {
	n := 0
	for _, t := range v {
		if t {
			n++
		}
	}
	return n
}

// setPairs lists the pairs (treated, control) of sets with one unit of either group;
// many says that a set has several of both, in which case there are none.
func setPairs(set []int, treated []bool, sets int, weight []float64) (pairs [][2]int, many bool) {
	members := make([][2][]int, sets)
	for i, s := range set {
		if s < 0 || weight != nil && weight[i] == 0 {
			continue
		}
		arm := 0
		if treated[i] {
			arm = 1
		}
		members[s][arm] = append(members[s][arm], i)
	}
	for _, m := range members {
		if len(m[0]) > 1 && len(m[1]) > 1 {
			return nil, true
		}
		for _, t := range m[1] {
			for _, c := range m[0] {
				pairs = append(pairs, [2]int{t, c})
			}
		}
	}
	return pairs, false
}

// setWeights are the weights for the effect on the treated that sets imply.
func setWeights(set []int, treated []bool, sets int) []float64 {
	arms := make([][2]float64, sets)
	for i, s := range set {
		if s >= 0 && treated[i] {
			arms[s][1]++
		} else if s >= 0 {
			arms[s][0]++
		}
	}
	w := make([]float64, len(set))
	sum, controls := 0.0, 0.0
	for i, s := range set {
		switch {
		case s < 0 || arms[s][0] == 0 || arms[s][1] == 0:
		case treated[i]:
			w[i] = 1
		default:
			w[i] = arms[s][1] / arms[s][0]
			sum += w[i]
			controls++
		}
	}
	for i := range w {
		if !treated[i] {
			w[i] *= controls / sum
		}
	}
	return w
}
