package study

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/release"
	"utfall/table"
)

// The scales of the numbers of trust beside those of package sensitivity.
const (
	// standardised is a difference over the outcome's standard deviation within groups.
	standardised estimate.Measure = "standardised-difference"
)

// groups codes a column of the cohort's table, or of its participations: then a
// participant has the value of the participation that starts at time zero, and
// comparison people are in no group but go with their set.
func (t *trustRun) groups(column string) (group []int, names []string, err error) {
	rows := t.of.fitted.rows
	values := make([]string, len(rows))
	if t.b.table.Has(column) {
		if values, err = textOf(t.b.table.Take(rows), column); err != nil {
			return nil, nil, err
		}
	} else if err := t.participated(column, values); err != nil {
		return nil, nil, err
	}
	names = slices.Compact(slices.Sorted(slices.Values(values)))
	if len(names) > 0 && names[0] == "" {
		names = names[1:]
	}
	group = make([]int, len(values))
	for i, v := range values {
		group[i] = slices.Index(names, v) // -1 without a value
	}
	return group, names, nil
}

// textOf is a column as text, "" where there is no value.
func textOf(t *table.Table, column string) ([]string, error) {
	text, has, err := t.Text(column)
	if err != nil {
		f, ferr := t.Float(column)
		if ferr != nil {
			return nil, err
		}
		text = make([]string, len(f.Values))
		for i, v := range f.Values {
			if f.Has(i) {
				text[i] = fmt.Sprintf("%g", v)
			}
		}
		return text, nil
	}
	out := slices.Clone(text)
	for i := range out {
		if has != nil && !has[i] {
			out[i] = ""
		}
	}
	return out, nil
}

// participated fills in the participants' values of a column of the participations.
func (t *trustRun) participated(column string, values []string) error {
	zero := t.b.spec.TimeZero
	if zero == nil || !t.s.data[zero.Participations].table.Has(column) {
		return fmt.Errorf("%w: leave_out: cohort %s has no column %q, and neither have its participations", ErrSpec, t.b.spec.Name, column)
	}
	parts := t.s.data[zero.Participations].table
	persons, _, err := parts.Text("person")
	if err != nil {
		return err
	}
	starts, err := parts.Float("start")
	if err != nil {
		return err
	}
	of, err := textOf(parts, column)
	if err != nil {
		return err
	}
	type start struct {
		person string
		month  cohort.Month
	}
	began := map[start]string{}
	for i, p := range persons {
		if !starts.Has(i) {
			continue
		}
		k := start{p, cohort.MonthOfDays(int32(starts.Values[i])) + cohort.Month(zero.Shift)}
		if old, twice := began[k]; !twice || of[i] < old { // two in one month: the first by name, whatever the order of rows
			began[k] = of[i]
		}
	}
	rows := t.of.fitted.rows
	person, _, err := t.b.table.Text(cohort.PersonColumn)
	if err != nil {
		return err
	}
	month, err := t.b.table.Integer(cohort.ZeroColumn)
	if err != nil {
		return err
	}
	for k, i := range rows {
		if t.b.treated[i] {
			values[k] = began[start{person[i], cohort.Month(month.Values[i])}]
		}
	}
	return nil
}

// tipping shifts the outcomes that are missing. It takes everybody in the subgroup, also
// sets that the effect left out because a member has no outcome.
func (t *trustRun) tipping() error {
	e := *t.of.spec.Effect
	outcome := e.Outcome
	e.Outcome, e.Covariates = t.b.spec.Treatment, nil // everybody has one
	rows, _, err := t.s.effectRows(t.b, &e)
	if err != nil {
		return err
	}
	f, err := t.s.effectFrame(t.b, &e, rows)
	if err != nil {
		return err
	}
	y, err := t.b.table.Take(rows).Float(outcome)
	if err != nil {
		return err
	}
	o := sensitivity.Tipping{Missing: make([]bool, len(rows)), Delta: t.q.Tipping.Delta}
	f.Y = make([]float64, len(rows))
	var known, gone [2]int
	for i := range rows {
		arm := 0
		if f.Treated[i] {
			arm = 1
		}
		if o.Missing[i] = !y.Has(i); o.Missing[i] {
			gone[arm]++
			continue
		}
		known[arm]++
		f.Y[i] = y.Values[i]
	}
	if gone == [2]int{} {
		t.refuse("tipping,path=opposite", sensitivity.Shift, note("nothing-missing", "No outcome is missing, so that there is nothing to shift."), note("trust-nothing-to-do", "Nothing needs to change."))
		return nil
	}
	res, err := o.Fit(t.s.ctx, f)
	if err != nil {
		return err
	}
	var codes []string
	for _, n := range res.Notes {
		codes = append(codes, n.Code)
	}
	// The numbers tell how many have no outcome: those must be many enough to be counted.
	cells := []int{known[0], known[1]}
	for _, n := range gone {
		if n > 0 {
			cells = append(cells, n)
		}
	}
	for _, x := range res.Estimates {
		if math.IsNaN(x.Value) {
			continue
		}
		t.add(x, nil, cells...)
	}
	if slices.Contains(codes, "no-tipping") {
		t.r.notes = append(t.r.notes, note("no-tipping", "On some paths no possible shift of the missing outcomes brings the interval to 0: the finding stands whatever they are."))
	}
	return nil
}

// scaled is an effect over its outcome's standard deviation, with what calibration needs.
type scaled struct {
	name  string
	e     estimate.Estimate
	sd    float64
	sums  map[int]float64 // influence by cluster of the cohort
	basis release.Basis
}

func (t *trustRun) scaled(r *analysisResult) (*scaled, error) {
	if r.unanswered() {
		return nil, fmt.Errorf("%w: %s", errUnanswered, r.spec.Name)
	}
	e, f := r.numbers[0].e, r.fitted
	sd := spread(f.frame)
	if !(sd > 0) || !(e.SE > 0) {
		return nil, fmt.Errorf("%w: analysis %s: everybody has the same outcome, so that it shows nothing", estimate.ErrNotIdentified, r.spec.Name)
	}
	s := &scaled{name: r.spec.Name, sd: sd, basis: r.numbers[0].basis, sums: map[int]float64{}, e: estimate.Wald(r.spec.Name, standardised, e.Value/sd, e.SE/sd, e.Test.DF, t.s.spec.Level)}
	if f.result.Influence == nil {
		return nil, fmt.Errorf("%w: analysis %s: its method keeps no influence function, by which effects of the same people are compared; take another method", ErrSpec, r.spec.Name)
	}
	column := r.column()
	b := t.s.cohorts[r.spec.Effect.Cohort]
	for k, i := range f.rows {
		s.sums[b.dependent(i)] += f.result.Influence.At(k, column)
	}
	return s, nil
}

// dependent is the number of the cluster of a row of the cohort's table.
func (b *built) dependent(row int) int {
	switch {
	case b.cluster != nil:
		return b.cluster[row]
	case b.set != nil:
		return b.set[row]
	}
	return row
}

// covariance of two effects of one cohort: their errors, and the correlation of their
// influence summed over clusters.
func covariance(a, b *scaled) float64 {
	keys := sortedInts(a.sums)
	var ab, aa, bb float64
	for _, k := range keys {
		ab += float64(a.sums[k] * b.sums[k])
		aa += float64(a.sums[k] * a.sums[k])
	}
	for _, k := range sortedInts(b.sums) {
		bb += float64(b.sums[k] * b.sums[k])
	}
	return a.e.SE * b.e.SE * ab / math.Sqrt(aa*bb)
}

func sortedInts(m map[int]float64) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// controls calibrates the claimed effect by what the negative controls show. Effects are
// compared on one scale, that of the outcomes' standard deviations.
func (t *trustRun) controls() error {
	claim, err := t.scaled(t.of)
	if err != nil {
		return err
	}
	var list []*scaled
	o := sensitivity.Calibration{Estimate: claim.e.Value, SE: claim.e.SE, DF: finiteDF(claim.e.Test.DF), Measure: t.e.Measure, Level: t.s.spec.Level}
	var cells []int
	for _, name := range t.q.Controls {
		c, err := t.scaled(t.s.answered(name))
		if _, ok := refusable(err); ok {
			t.refuse("control="+name, standardised, note("trust-too-little", "There are too few people, or too little differs among them, for this check."), note("trust-more-people", "More people would make the comparison sharper."))
			continue
		}
		if err != nil {
			return err
		}
		list = append(list, c)
		o.Controls = append(o.Controls, sensitivity.Control{Name: name, Estimate: c.e.Value, SE: c.e.SE, DF: finiteDF(c.e.Test.DF)})
		o.With = append(o.With, covariance(claim, c))
		cells = append(cells, leastCell(c.basis))
	}
	k := len(list)
	if k == 0 {
		return nil // each said why
	}
	o.Cov = mat.NewSymDense(k, nil)
	for i, c := range list {
		for j := range i + 1 {
			o.Cov.SetSym(j, i, covariance(list[j], c))
		}
	}
	res, err := o.Value()
	if err != nil {
		return err
	}
	for i, c := range res.Details["controls"].([]sensitivity.CalibratedControl) {
		e := list[i].e
		e.Term = "control=" + c.Name
		t.add(e, nil, cells[i])
	}
	few := table.Note{Code: "too-few-controls", Args: map[string]any{"controls": k, "fewest": sensitivity.Fewest},
		Text: fmt.Sprintf("%d negative controls are too few to say how systematic error spreads; at least %d are needed. Each stands by itself.", k, sensitivity.Fewest)}
	for _, e := range res.Estimates {
		switch {
		case e.Term == "plug-in": // the published form, for comparison only
			continue
		case math.IsNaN(e.Value):
			if e.Term == "calibrated" {
				t.refuse(e.Term, e.Measure, few, note("trust-more-controls", "Name more background that the measure cannot have changed and that the design has not used."))
			}
			continue
		case e.Term == "calibrated": // back to the outcome's own unit
			e = estimate.Wald(e.Term, e.Measure, e.Value*claim.sd, e.SE*claim.sd, e.Test.DF, t.s.spec.Level)
		}
		t.add(e, nil, cells...)
	}
	if q, ok := res.Details["significant"].(int); ok {
		t.r.own = controlCount{q, k}
	}
	return nil
}

// controlCount is how many negative controls show a difference by themselves.
type controlCount struct{ significant, of int }

func finiteDF(df float64) float64 {
	if math.IsInf(df, 1) {
		return 0
	}
	return df
}

// leastCell is the smallest count under a number.
func leastCell(b release.Basis) int {
	n := min(b.Treated, b.Control)
	if b.Events != nil {
		n = min(n, b.Events.Treated, b.Events.Control, b.Treated-b.Events.Treated, b.Control-b.Events.Control)
	}
	return n
}

// placebos tests whether effects that must be 0 are small beside the claimed one.
func (t *trustRun) placebos() error {
	for _, name := range t.q.Placebo.Analyses {
		r := t.s.answered(name)
		p := r.numbers[0]
		if p.not != nil {
			t.refuse("placebo="+name, sensitivity.ShareOfClaim, note("trust-too-little", "There are too few people, or too little differs among them, for this check."), note("trust-more-people", "More people would make the comparison sharper."))
			continue
		}
		o := sensitivity.Equivalence{Placebo: p.e.Value, SE: p.e.SE, Claim: t.e.Value, ClaimSE: t.e.SE, Share: t.q.Placebo.Share, DF: finiteDF(math.Min(p.e.Test.DF, t.e.Test.DF)), Level: t.s.spec.Level}
		if r.spec.Effect.Cohort == t.of.spec.Effect.Cohort {
			a, err := t.scaled(t.of)
			if err != nil {
				return err
			}
			b, err := t.scaled(r)
			if err != nil {
				return err
			}
			o.Cov = covariance(a, b) * a.sd * b.sd
		}
		res, err := o.Value()
		if err != nil {
			return err
		}
		least := leastCell(p.basis)
		for _, e := range res.Estimates {
			switch e.Term {
			case "equivalence":
				e.Term = "placebo=" + name
				t.add(e, nil, least)
			case "smallest":
				e.Term = "placebo=" + name
				if math.IsNaN(e.Value) {
					t.refuse(e.Term, e.Measure, note("no-equivalence", "The effect is itself too uncertain to measure the control by it."), note("trust-more-people", "More people would make the comparison sharper."))
					continue
				}
				t.add(e, nil, least)
			}
		}
	}
	return nil
}
