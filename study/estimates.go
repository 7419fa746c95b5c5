package study

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/panel"
	"utfall/study/release"
	"utfall/table"
)

// analysisResult is what one analysis found, before disclosure control.
type analysisResult struct {
	spec    *Analysis
	method  string // as in methodTexts
	kind    string // effect, association, description
	numbers []found
	notes   []table.Note
	event   []found // event study, for its figure
	states  *stateCurves
	trend   []trendPoint
	refused string // why there is no number
}

// found is an estimate with the units it rests on.
type found struct {
	term  string
	e     estimate.Estimate
	basis release.Basis
	notes []table.Note
}

func (s *state) estimate() error {
	for i := range s.spec.Analyses {
		a := &s.spec.Analyses[i]
		s.o.report("estimate", a.Name, i, len(s.spec.Analyses))
		if err := s.ctx.Err(); err != nil {
			return err
		}
		var r analysisResult
		var err error
		switch {
		case a.Effect != nil:
			r, err = s.effect(a)
		case a.DID != nil:
			r, err = s.did(a)
		case a.States != nil:
			r, err = s.states(a)
		case a.BeforeAfter != nil:
			r, err = s.beforeAfter(a)
		case a.Describe != nil:
			r, err = s.describe(a)
		}
		if err != nil {
			return fmt.Errorf("analysis %s: %w", a.Name, cohortError(err))
		}
		r.spec = a
		s.results = append(s.results, r)
	}
	s.o.report("estimate", "", len(s.spec.Analyses), len(s.spec.Analyses))
	var err error
	s.bundle, err = s.assemble()
	return err
}

// effect estimates the effect of treatment on an outcome in a cohort.
func (s *state) effect(a *Analysis) (analysisResult, error) {
	e, b := a.Effect, s.cohorts[a.Effect.Cohort]
	r := analysisResult{method: "effect." + e.Method, kind: "association"}
	if b.weight != nil {
		r.kind = "effect"
	}
	rows, notes, err := s.effectRows(b, e)
	if err != nil {
		return r, err
	}
	f, err := s.effectFrame(b, e, rows)
	if err != nil {
		return r, err
	}
	vcov := e.Vcov
	if vcov == "" {
		vcov = "hc1"
		if f.Cluster != nil {
			vcov = "cr1"
		}
	}
	var m estimate.Estimator = effect.Difference{Vcov: effect.Vcov(vcov)}
	if e.Method == "regression" {
		m = effect.Regression{Vcov: effect.Vcov(vcov), Interactions: e.Interactions}
	}
	res, err := m.Fit(s.ctx, f)
	if err != nil {
		return r, err
	}
	r.notes = append(append(notes, b.notes...), res.Notes...)
	arms := release.Arms{}
	var events *release.Arms
	if zeroOne(f.Y) {
		events = &release.Arms{}
	}
	for i, treated := range f.Treated {
		n, ev := &arms.Control, (*int)(nil)
		if events != nil {
			ev = &events.Control
		}
		if treated {
			n = &arms.Treated
			if events != nil {
				ev = &events.Treated
			}
		}
		*n++
		if ev != nil && f.Y[i] == 1 {
			*ev++
		}
	}
	for _, est := range res.Estimates {
		if est.Term != "att" {
			continue // covariate coefficients of the outcome model are not results of the study
		}
		df := est.Test.DF
		r.numbers = append(r.numbers, found{est.Term, est, release.Basis{
			Treated: arms.Treated, Control: arms.Control, DF: df, Events: events,
		}, nil})
	}
	if len(r.numbers) == 0 {
		return r, errors.New("the method gave no effect")
	}
	return r, nil
}

func zeroOne(y []float64) bool {
	for _, v := range y {
		if v != 0 && v != 1 {
			return false
		}
	}
	return true
}

// effectRows selects the rows of an analysis: the subgroup, and complete outcomes. In
// a matched cohort a set stays only if all its members do, so that what is compared
// stays comparable; every set that goes is counted.
func (s *state) effectRows(b *built, e *Effect) ([]int, []table.Note, error) {
	n := b.table.Rows()
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = true
	}
	var notes []table.Note
	drop := func(code, text string, ok func(i int) bool) {
		gone := map[int]bool{}
		rows := 0
		for i := range keep {
			if keep[i] && !ok(i) {
				keep[i] = false
				rows++
				if b.set != nil {
					gone[b.set[i]] = true
				}
			}
		}
		if b.set != nil {
			for i := range keep {
				if keep[i] && gone[b.set[i]] {
					keep[i] = false
					rows++
				}
			}
		}
		if rows > 0 && code != "" {
			notes = append(notes, table.Note{Code: code, Text: fmt.Sprintf(text, rows, len(gone)), Args: map[string]any{"rows": rows, "sets": len(gone)}})
		}
	}
	if e.Where != "" {
		rule, err := table.CompileFilter(e.Where, b.table.Fields())
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		in, _, err := rule.Apply(b.table)
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		mixed := 0
		if b.set != nil {
			side := map[int][2]bool{}
			for i, set := range b.set {
				v := side[set]
				if in[i] {
					v[0] = true
				} else {
					v[1] = true
				}
				side[set] = v
			}
			for _, v := range side {
				if v[0] && v[1] {
					mixed++
				}
			}
		}
		drop("", "", func(i int) bool { return in[i] })
		if mixed > 0 {
			notes = append(notes, table.Note{
				Code: "sets-mixed", Text: fmt.Sprintf("%d matched sets have members inside and outside the subgroup and were left out", mixed),
				Args: map[string]any{"sets": mixed},
			})
		}
	}
	y, err := b.table.Float(e.Outcome)
	if err != nil {
		return nil, nil, err
	}
	drop("outcome-missing", "%d rows were left out because an outcome is missing in their matched set (%d sets)", y.Has)
	for _, name := range e.Covariates {
		c, err := b.table.Column(name)
		if err != nil {
			return nil, nil, err
		}
		drop("covariate-missing", "%d rows were left out because a covariate is missing in their matched set (%d sets)", c.Has)
	}
	var rows []int
	for i, k := range keep {
		if k {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("no row has a value of %q in this group", e.Outcome)
	}
	return rows, notes, nil
}

// effectFrame resolves the columns of an effect analysis to arrays.
func (s *state) effectFrame(b *built, e *Effect, rows []int) (*estimate.Frame, error) {
	t := b.table.Take(rows)
	y, err := t.Float(e.Outcome)
	if err != nil {
		return nil, err
	}
	id := b.spec.ID
	units, _, err := t.Text(id)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: units, Y: y.Values, Treated: pickBool(b.treated, rows), Level: s.spec.Level}
	if b.weight != nil {
		w := make([]float64, len(rows))
		for k, i := range rows {
			w[k] = b.weight[i]
		}
		f.Weight = estimate.Weights{Kind: estimate.Matching, Values: w}
		f.Set, f.Cluster = dense(b.set, rows), dense(b.cluster, rows)
	}
	if len(e.Covariates) > 0 {
		x, err := cohort.Design(t, e.Covariates, cohort.DesignOptions{Workers: s.o.Workers})
		if err != nil {
			return nil, err
		}
		f.XNames = x.Names()
		f.X = mat.NewDense(x.Rows, len(x.Columns), x.Values)
	}
	return f, nil
}

func pickBool(v []bool, rows []int) []bool {
	out := make([]bool, len(rows))
	for k, i := range rows {
		out[k] = v[i]
	}
	return out
}

// dense renumbers the values of the rows from 0 in order of appearance.
func dense(v, rows []int) []int {
	number := map[int]int{}
	out := make([]int, len(rows))
	for k, i := range rows {
		if _, ok := number[v[i]]; !ok {
			number[v[i]] = len(number)
		}
		out[k] = number[v[i]]
	}
	return out
}

// did estimates the effect of staggered entry in a panel.
func (s *state) did(a *Analysis) (analysisResult, error) {
	d := a.DID
	r := analysisResult{method: "did", kind: "effect"}
	f, notes, err := s.panelFrame(d)
	if err != nil {
		return r, err
	}
	gt, err := panel.GroupTime{
		Method: d.Method, Control: d.Control, Base: d.Base, Anticipation: d.Anticipation, Workers: s.o.Workers,
	}.Fit(s.ctx, f)
	if err != nil {
		return r, s.rowError(d.Data, err)
	}
	cells, err := gt.Result()
	if err != nil {
		return r, err
	}
	r.notes = append(notes, cells.Notes...)
	for _, kind := range d.Aggregate {
		o := panel.AggregateOptions{Bands: d.Bands, Replicates: d.Replicates, Seed: s.seedOf("did/" + a.Name + "/" + kind), Level: s.spec.Level}
		if kind == "dynamic" {
			o.BalanceEvent = d.BalanceEvent
		}
		if kind == "simple" || kind == "none" {
			o.Bands, o.Replicates = panel.Pointwise, 0
		}
		res, err := gt.Aggregate(panel.Aggregation(kind), o)
		if err != nil {
			return r, err
		}
		bases := didBases(gt, kind, res)
		for i, est := range res.Estimates {
			n := found{est.Term, est, bases[i], nil}
			if kind != "simple" && est.Term == panel.Overall {
				n.term = kind + ":" + est.Term
			}
			r.numbers = append(r.numbers, n)
			if kind == "dynamic" && est.Term != panel.Overall {
				r.event = append(r.event, n)
			}
		}
	}
	return r, nil
}

// didBases counts the units under each estimate: the treated of the cells it
// averages, and the fewest comparison units of any of them.
func didBases(gt *panel.GroupTimeResult, kind string, res *estimate.Result) []release.Basis {
	out := make([]release.Basis, len(res.Estimates))
	size, most := map[int]int{}, 0 // a reference cell is a zero by definition: it counts as its cohort
	for _, g := range gt.Cohorts() {
		size[g.Group] = g.Units
	}
	for _, c := range gt.Cells {
		most = max(most, c.Control)
	}
	for i, est := range res.Estimates {
		groups := map[int]int{}
		control := math.MaxInt
		for _, c := range gt.Cells {
			if !(c.Identified() || c.Reference) || !cellIn(c, kind, est.Term) {
				continue
			}
			groups[c.Group] = max(groups[c.Group], c.Treated, size[c.Group])
			if c.Control > 0 {
				control = min(control, c.Control)
			}
		}
		treated := 0
		for _, n := range groups {
			treated += n
		}
		if control == math.MaxInt {
			control = most
		}
		out[i] = release.Basis{Treated: treated, Control: control, DF: math.Inf(1)}
	}
	return out
}

// cellIn reports whether a cell is averaged into a term of an aggregation.
func cellIn(c panel.Cell, kind, term string) bool {
	var g, t int
	switch kind {
	case "none":
		n, _ := fmt.Sscanf(term, "group=%d,time=%d", &g, &t)
		return n == 2 && c.Group == g && c.Time == t
	case "dynamic":
		if n, _ := fmt.Sscanf(term, "event=%d", &t); n == 1 {
			return c.Time-c.Group == t
		}
	case "group":
		if n, _ := fmt.Sscanf(term, "group=%d", &g); n == 1 {
			return c.Post && c.Group == g
		}
	case "calendar":
		if n, _ := fmt.Sscanf(term, "time=%d", &t); n == 1 {
			return c.Post && c.Time == t
		}
	}
	return c.Post
}

// panelFrame resolves the columns of a panel, leaving out rows without a value in one
// of them, counted.
func (s *state) panelFrame(d *DID) (*panel.Frame, []table.Note, error) {
	t := s.data[d.Data].table
	needed := append([]string{d.Unit, d.Time, d.Outcome}, d.Covariates...)
	for _, c := range []string{d.Weights, d.Cluster} {
		if c != "" {
			needed = append(needed, c)
		}
	}
	keep := make([]bool, t.Rows())
	for i := range keep {
		keep[i] = true
	}
	if d.Where != "" {
		rule, err := table.CompileFilter(d.Where, t.Fields())
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		if keep, _, err = rule.Apply(t); err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
	}
	missing := 0
	var rows []int
	columns := make([]table.Column, len(needed))
	for j, name := range needed {
		var err error
		if columns[j], err = t.Column(name); err != nil {
			return nil, nil, err
		}
	}
	for i, k := range keep {
		if !k {
			continue
		}
		whole := true
		for _, c := range columns {
			whole = whole && c.Has(i)
		}
		if !whole {
			missing++
			continue
		}
		rows = append(rows, i)
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("no row of %q has a value in all of the columns %v", d.Data, needed)
	}
	var notes []table.Note
	if missing > 0 {
		notes = append(notes, table.Note{Code: "rows-missing", Text: fmt.Sprintf("%d rows without a value in a needed column were left out", missing), Args: map[string]any{"rows": missing}})
	}
	f, err := panelColumns(t.Take(rows), d)
	if err != nil {
		return nil, nil, err
	}
	f.Level = s.spec.Level
	return f, notes, nil
}

func panelColumns(t *table.Table, d *DID) (*panel.Frame, error) {
	f := &panel.Frame{}
	var err error
	if f.Unit, _, err = t.Text(d.Unit); err != nil {
		return nil, err
	}
	times, err := t.Integer(d.Time)
	if err != nil {
		return nil, err
	}
	first, err := t.Integer(d.Cohort)
	if err != nil {
		return nil, err
	}
	y, err := t.Float(d.Outcome)
	if err != nil {
		return nil, err
	}
	f.Y = y.Values
	for i := range times.Values {
		f.Time = append(f.Time, int(times.Values[i]))
		g := 0
		if first.Has(i) {
			g = int(first.Values[i])
		}
		f.Cohort = append(f.Cohort, g)
	}
	if d.Weights != "" {
		w, err := t.Float(d.Weights)
		if err != nil {
			return nil, err
		}
		f.Weight = w.Values
	}
	if d.Cluster != "" {
		if f.Cluster, _, err = t.Text(d.Cluster); err != nil {
			return nil, err
		}
	}
	if len(d.Covariates) > 0 {
		x, err := cohort.Design(t, d.Covariates, cohort.DesignOptions{})
		if err != nil {
			return nil, err
		}
		f.XNames = x.Names()
		f.X = mat.NewDense(x.Rows, len(x.Columns), x.Values)
	}
	return f, nil
}
