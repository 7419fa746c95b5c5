package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/cohort"
	"utfall/table"
)

// addBalance adds the rows of a balance table; after says that there is a design, ks
// that the Kolmogorov-Smirnov statistics, under their own name too, and the overlap
// coefficients are shown.
func addBalance(out *fitOutput, b cohort.Balance, after, ks bool) {
	rows, t, undefined := balanceRows(b, after, ks)
	out.details["balance"], out.details["denominator"] = rows, b.Denominator
	out.tables = append([]fitTable{t}, out.tables...)
	if undefined > 0 {
		out.notes = append(out.notes, table.Note{Code: "variance-ratio-undefined", Text: "A variance ratio says nothing new about a column of only 0 and 1, or does not exist for one without spread, and is null.", Args: map[string]any{"rows": undefined}})
	}
}

// balanceRows are the rows of details and of the table for people; undefined counts those without a variance ratio.
func balanceRows(b cohort.Balance, after, ks bool) (rows []any, t fitTable, undefined int) {
	rows = make([]any, 0, len(b.Rows))
	t = fitTable{title: "Balance (SMD by the SD of " + b.Denominator + ", before the design)",
		header: []string{"variable", "treated", "control", "smd before", "smd after", "var.ratio before", "var.ratio after", "ecdf max before", "ecdf max after"}}
	if ks {
		t.header = append(t.header, "overlap before", "overlap after")
	}
	for _, o := range b.Others {
		t.header = append(t.header, "smd "+o.Name)
	}
	for _, r := range b.Rows {
		row := map[string]any{"variable": r.Variable}
		put := func(row map[string]any, when string, s cohort.BalanceStat) {
			row["mean_treated"+when], row["mean_control"+when] = s.MeanTreated, s.MeanControl
			row["smd"+when], row["variance_ratio"+when] = s.SMD, s.VarianceRatio
			row["ecdf_mean"+when], row["ecdf_max"+when] = s.ECDFMean, s.ECDFMax
			if ks {
				row["ks"+when], row["overlap"+when] = s.ECDFMax, s.Overlap
			}
		}
		put(row, "_before", r.Before)
		put(row, "_after", r.After)
		if after {
			row["pair_distance_after"] = r.After.PairDistance
		}
		if ks {
			row["kind"], row["column"], row["n_treated"], row["n_control"] = string(r.Kind), r.Column, r.Treated, r.Control
			if r.Kind == cohort.LevelRow || r.Level != "" {
				row["level"] = r.Level
			}
			if r.Kind == cohort.InteractionRow {
				row["column_2"] = r.Column2
				if r.Level2 != "" {
					row["level_2"] = r.Level2
				}
			}
		}
		if !finite(r.Before.VarianceRatio) {
			undefined++
		}
		a := r.After
		cells := []any{r.Variable, r.Before.MeanTreated, r.Before.MeanControl, r.Before.SMD, a.SMD, r.Before.VarianceRatio, a.VarianceRatio, r.Before.ECDFMax, a.ECDFMax}
		if ks {
			cells = append(cells, r.Before.Overlap, a.Overlap)
		}
		if len(b.Others) > 0 {
			others := map[string]any{}
			for k, o := range b.Others {
				other := map[string]any{}
				put(other, "", r.Others[k])
				others[o.Name] = other
				cells = append(cells, r.Others[k].SMD)
			}
			row["designs"] = others
		}
		rows = append(rows, row)
		t.rows = append(t.rows, cells)
	}
	return rows, t, undefined
}

// balanceSummary is the largest and mean imbalance of each side of a table.
func balanceSummary(b cohort.Balance, after bool) map[string]any {
	one := func(s cohort.BalanceSummary) map[string]any {
		name := func(row int) any {
			if row < 0 {
				return nil
			}
			return b.Rows[row].Variable
		}
		return map[string]any{"rows": s.Rows, "max_smd": s.MaxSMD, "max_smd_variable": name(s.MaxSMDRow), "mean_smd": s.MeanSMD,
			"threshold": s.Threshold, "above": s.Above, "undefined": s.Undefined, "max_ks": s.MaxKS, "max_ks_variable": name(s.MaxKSRow)}
	}
	out := map[string]any{"before": one(b.SummaryBefore(cohort.SmallSMD))}
	if after {
		out["after"] = one(b.SummaryAfter(cohort.SmallSMD))
	}
	for k, o := range b.Others {
		out["design "+o.Name] = one(b.SummaryOther(k, cohort.SmallSMD))
	}
	return out
}

// fitBalance compares two groups before and after weighting.
type fitBalance struct {
	treatment             string
	covariates            []string
	weights               []string
	sets, denominator     string
	squares, interactions bool
	by                    []string
}

func (m *fitBalance) flags(f *flagSet) {
	f.column(&m.treatment, "treatment", "0 or 1")
	f.list(&m.covariates, "covariates", "`columns`, comma separated")
	f.list(&m.weights, "weights", "`column` of weights of the design, at least 0; 0 = not in it. Further columns are designs to show beside it")
	f.column(&m.sets, "sets", "matched sets; empty = in none. Without --weights the sets give the weights")
	f.text(&m.denominator, "denominator", cohort.TreatedSD, "standard deviation that differences are divided by: treated, control, pooled or all")
	f.yes(&m.squares, "squares", false, "also the squares of the number columns")
	f.yes(&m.interactions, "interactions", false, "also the products of each two columns")
	f.list(&m.by, "by", "`columns`: also the balance within each combination of their values, for example sites")
	f.need("treatment", "covariates")
}

func (m *fitBalance) check() []string {
	problems := oneOf("denominator", m.denominator, cohort.TreatedSD, cohort.ControlSD, cohort.PooledSD, cohort.AllSD)
	if m.treatment != "" && slices.Contains(m.by, m.treatment) {
		problems = append(problems, fmt.Sprintf("column %q is named by --treatment and by --by", m.treatment))
	}
	return problems
}

func (m *fitBalance) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("treatment", m.treatment)
	for _, name := range m.covariates {
		c.put(fitColumn{flag: "covariates", name: name, apart: true, missing: true})
	}
	for _, name := range m.weights {
		c.add("weights", name)
	}
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	for _, name := range m.by {
		c.add("by", name)
	}
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
	o := cohort.BalanceOptions{Denominator: m.denominator, Squares: m.squares, Interactions: m.interactions, Missing: true}
	for i, name := range m.weights {
		w, err := d.weights(name)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			o.Weight = w
		} else {
			o.Others = append(o.Others, cohort.NamedWeight{Name: name, Weight: w})
		}
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
	if n, err := m.partly(t); err != nil {
		return nil, err
	} else if n > 0 {
		out.notes = append(out.notes, table.Note{Code: "values-missing", Args: map[string]any{"columns": n},
			Text: fmt.Sprintf("%d of the covariates lack some values: a row column[missing] compares the shares that do, and the other rows are of the units with a value.", n)})
	}
	spec := cohort.Spec{Treatment: m.treatment, ID: unitName, Covariates: m.covariates, Workers: d.workers}
	b, notes, err := cohort.Compare(ctx, t, spec, o)
	if err != nil {
		return nil, err
	}
	out.notes = append(out.notes, notes...)
	addBalance(out, b, o.Pairs != nil, true)
	out.details["summary"] = balanceSummary(b, o.Weight != nil)
	if o.Weight != nil {
		out.details["ess"] = map[string]any{"treated": b.ESSTreated, "control": b.ESSControl}
	}
	if len(b.Others) > 0 {
		sizes := map[string]any{}
		for _, s := range b.Others {
			sizes[s.Name] = map[string]any{"treated": s.ESSTreated, "control": s.ESSControl}
		}
		out.details["ess_designs"] = sizes
	}
	if len(m.by) > 0 {
		return out, m.strata(ctx, t, spec, o, out)
	}
	return out, nil
}

// partly counts the covariates that lack some values.
func (m *fitBalance) partly(t *table.Table) (n int, err error) {
	for _, name := range m.covariates {
		c, err := t.Column(name)
		if err != nil {
			return 0, err
		}
		if c.Missing() > 0 {
			n++
		}
	}
	return n, nil
}

// strata adds the balance within each stratum.
func (m *fitBalance) strata(ctx context.Context, t *table.Table, spec cohort.Spec, o cohort.BalanceOptions, out *fitOutput) error {
	strata, notes, err := cohort.CompareBy(ctx, t, spec, o, m.by)
	if err != nil {
		return err
	}
	out.notes = append(out.notes, notes...)
	list := make([]any, 0, len(strata))
	people := fitTable{title: "By " + strings.Join(m.by, ", "), header: []string{"stratum", "units", "treated", "largest |smd| before", "after", "above 0.1 after", "largest ks after"}}
	for _, s := range strata {
		levels, label := map[string]any{}, make([]string, len(m.by))
		for j, name := range m.by {
			levels[name], label[j] = s.Levels[j], s.Levels[j]
		}
		one := map[string]any{"by": levels, "n": map[string]any{"units": s.Units, "treated": s.Treated}}
		cells := []any{strings.Join(label, ", "), s.Units, s.Treated, nil, nil, nil, nil}
		if s.Gone != nil {
			one["balance"], one["reason"] = nil, s.Gone.Error()
		} else {
			one["balance"], _, _ = balanceRows(s.Balance, o.Pairs != nil, true)
			one["summary"] = balanceSummary(s.Balance, o.Weight != nil)
			before := s.Balance.SummaryBefore(cohort.SmallSMD)
			cells[3] = before.MaxSMD
			if o.Weight != nil {
				one["ess"] = map[string]any{"treated": s.Balance.ESSTreated, "control": s.Balance.ESSControl}
				after := s.Balance.SummaryAfter(cohort.SmallSMD)
				cells[4], cells[5], cells[6] = after.MaxSMD, after.Above, after.MaxKS
			}
		}
		list, people.rows = append(list, one), append(people.rows, cells)
	}
	out.details["strata"] = list
	out.tables = append(out.tables, people)
	return nil
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
