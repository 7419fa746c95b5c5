package study

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/table"
)

// column is a column as what may be imputed or have an indicator.
func (x *missingRun) column(name string, rows []int) (missing.Variable, error) {
	t := x.b.table.Take(rows)
	col, err := t.Column(name)
	if err != nil {
		return missing.Variable{}, err
	}
	v := missing.Variable{Name: name, Values: make([]float64, len(rows)), Missing: make([]bool, len(rows))}
	for i := range rows {
		v.Missing[i] = !col.Has(i)
	}
	if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
		text, _, err := t.Text(name)
		if err != nil {
			return v, err
		}
		v.Kind = missing.Nominal
		for i, s := range text {
			if !v.Missing[i] {
				v.Levels = append(v.Levels, s)
			}
		}
		v.Levels = slices.Compact(slices.Sorted(slices.Values(v.Levels)))
		for i, s := range text {
			if !v.Missing[i] {
				v.Values[i] = float64(slices.Index(v.Levels, s))
			}
		}
		if len(v.Levels) < 2 {
			return v, fmt.Errorf("%w: %q has one value only: leave it out", ErrSpec, name)
		}
		return v, nil
	}
	if col.Kind == table.DateKind {
		return v, fmt.Errorf("%w: %q is a date, which is neither a number nor a category here: leave it out", ErrSpec, name)
	}
	f, err := t.Float(name)
	if err != nil {
		return v, err
	}
	v.Kind = missing.Binary
	for i, y := range f.Values {
		if !v.Missing[i] {
			if v.Values[i] = y; y != 0 && y != 1 {
				v.Kind = missing.Number
			}
		}
	}
	return v, nil
}

// design codes variables as the study's regressions do: a dummy for each level but the first.
func design(f *estimate.Frame, vars []missing.Variable) {
	n := len(f.Y)
	var cols [][]float64
	f.XNames = nil
	for _, v := range vars {
		if v.Levels == nil {
			f.XNames, cols = append(f.XNames, v.Name), append(cols, v.Values)
			continue
		}
		for l := 1; l < len(v.Levels); l++ {
			c := make([]float64, n)
			for i, y := range v.Values {
				c[i] = indicator(y == float64(l))
			}
			f.XNames, cols = append(f.XNames, v.Name+"["+v.Levels[l]+"]"), append(cols, c)
		}
	}
	f.X = nil
	if len(cols) == 0 {
		return
	}
	f.X = mat.NewDense(n, len(cols), nil)
	for j, c := range cols {
		f.X.SetCol(j, c)
	}
}

// plain is the effect's own method without subgroups, ratios and the like.
func (x *missingRun) plain(vcov string) estimate.Estimator {
	return x.s.estimator(&Effect{Method: x.e.Method, Interactions: x.e.Interactions, Vcov: vcov})
}

// add puts a number beside the effect.
func (x *missingRun) add(term string, res *estimate.Result, f *estimate.Frame, gone [2]int, df float64, notes []table.Note) {
	e := res.Estimates[0]
	e.Term = term
	x.r.numbers = append(x.r.numbers, found{term: term, e: e, basis: x.basis(f, gone, df), notes: notes})
}

// indicator is the effect with people who lack a covariate, and a mark that they do.
func (x *missingRun) indicator() error {
	var rows []int
	for i, k := range x.known {
		if k {
			rows = append(rows, i)
		}
	}
	lacks := make([]bool, len(x.rows))
	var vars []missing.Variable
	for _, name := range x.e.Covariates {
		v, err := x.column(name, rows)
		if err != nil {
			return err
		}
		for k, gone := range v.Missing {
			lacks[rows[k]] = lacks[rows[k]] || gone
		}
		vars = append(vars, v)
	}
	gone := x.gone(func(i int) bool { return !lacks[i] })
	if gone[0]+gone[1] == 0 {
		x.nothing(indicatorOf)
		return nil
	}
	coded, notes, err := missing.Indicator(vars)
	if err != nil {
		return err
	}
	f, err := x.frame(rows)
	if err != nil {
		return err
	}
	design(f, coded)
	res, err := x.plain(x.e.Vcov).Fit(x.s.ctx, f)
	if err != nil {
		return err
	}
	x.add(indicatorOf, res, f, gone, res.Estimates[0].Test.DF, append(append(notes, x.covariatesMissing(gone)), res.Notes...))
	return nil
}

func (x *missingRun) covariatesMissing(gone [2]int) table.Note {
	n := gone[0] + gone[1]
	return table.Note{Code: "missing-values", Text: fmt.Sprintf("%d rows of %d lack a value", n, len(x.rows)), Args: map[string]any{"rows": n, "all": len(x.rows)}}
}

// imputation completes outcome and covariates in each group apart and pools the effect.
func (x *missingRun) imputation() error {
	f, err := x.frame(x.rows)
	if err != nil {
		return err
	}
	y := missing.Variable{Name: x.e.Outcome, Kind: missing.Number, Values: x.y, Missing: make([]bool, len(x.y))}
	lacks := make([]bool, len(x.rows))
	for i, k := range x.known {
		y.Missing[i], lacks[i] = !k, !k
	}
	if zeroOne(x.y) {
		y.Kind = missing.Binary
	}
	data := missing.Data{Unit: f.Unit, Variables: []missing.Variable{y}}
	for _, name := range append(slices.Clone(x.e.Covariates), x.m.Background...) {
		v, err := x.column(name, x.rows)
		if err != nil {
			return err
		}
		for i, gone := range v.Missing {
			lacks[i] = lacks[i] || gone
		}
		data.Variables = append(data.Variables, v)
	}
	for _, t := range f.Treated {
		data.Arm = append(data.Arm, int(indicator(t)))
	}
	gone := x.gone(func(i int) bool { return !lacks[i] })
	if gone[0]+gone[1] == 0 {
		x.nothing(imputation)
		return nil
	}
	o := missing.Impute{M: x.m.Imputations, Iterations: x.m.Iterations, Seed: x.s.seedOf("missing/" + x.a.Name), Workers: x.s.o.Workers}
	im, err := o.Run(x.s.ctx, data)
	if err != nil {
		return err
	}
	res, err := im.Pool(x.s.ctx, x.s.spec.Level, x.s.o.Workers, func(ctx context.Context, _ []int, v []missing.Variable) (*estimate.Result, error) {
		g := *f
		g.Y = v[0].Values
		design(&g, v[1:1+len(x.e.Covariates)])
		r, err := x.plain(x.e.Vcov).Fit(ctx, &g)
		if err == nil {
			r.Estimates = r.Estimates[:1]
		}
		return r, err
	})
	if err != nil {
		return err
	}
	// What the number rests on are the people of whom everything is known.
	var whole []bool
	for _, l := range lacks {
		whole = append(whole, !l)
	}
	x.add(imputation, res, knownOnly(f, whole), gone, float64(len(f.Y)-2), append([]table.Note{x.covariatesMissing(gone)}, res.Notes...))
	return nil
}

// consent is the effect among those with an outcome, weighted to stand for all. People who
// lack what the weights are made of are left out and counted.
func (x *missingRun) consent() error {
	names := append(slices.Clone(x.e.Covariates), x.m.Background...)
	has := make([]bool, len(x.rows))
	for i := range has {
		has[i] = true
	}
	for _, name := range names {
		c, err := x.b.table.Column(name)
		if err != nil {
			return err
		}
		for i := range has {
			has[i] = has[i] && c.Has(i)
		}
	}
	var rows []int
	for i, ok := range has {
		if ok {
			rows = append(rows, i)
		}
	}
	gone := x.gone(func(i int) bool { return x.known[i] || !has[i] })
	if gone[0]+gone[1] == 0 {
		x.nothing(consentWeights)
		return nil
	}
	f, err := x.frame(rows)
	if err != nil {
		return err
	}
	var vars []missing.Variable
	for _, name := range names {
		v, err := x.column(name, rows)
		if err != nil {
			return err
		}
		vars = append(vars, v)
	}
	who := *f
	who.Y, who.Weight = make([]float64, len(rows)), estimate.Weights{}
	treated := missing.Variable{Name: "treatment", Values: make([]float64, len(rows))}
	known := make([]bool, len(rows))
	for k, i := range rows {
		known[k] = x.known[i]
		who.Y[k], treated.Values[k] = indicator(known[k]), indicator(f.Treated[k])
	}
	design(&who, append(slices.Clone(vars), treated))
	c, err := missing.Consent{Workers: x.s.o.Workers}.Fit(x.s.ctx, &who)
	if errors.Is(err, estimate.ErrSeparated) {
		x.r.numbers = append(x.r.numbers, refuse(consentWeights, estimate.MeanDifference,
			table.Note{Code: "missing-separated", Text: "For some people no outcome is ever known, so that nobody can stand for them."},
			table.Note{Code: "missing-separated-fix", Text: "Less background, or coarser groups, would give a number; the bounds do without."}))
		return nil
	}
	if err != nil {
		return err
	}
	if x.e.Method == "regression" {
		design(f, vars[:len(x.e.Covariates)])
	}
	if f.Weight.Values == nil {
		f.Weight.Values = slices.Repeat([]float64{1}, len(rows))
	}
	f.Weight.Kind = estimate.Sampling
	var keep []int
	for k := range rows {
		f.Weight.Values[k] *= c.Weight[k]
		if known[k] {
			keep = append(keep, k)
		}
	}
	g := subframe(f, keep)
	if f.X != nil {
		g.X, g.XNames = mat.NewDense(len(keep), len(f.XNames), nil), f.XNames
		for k, at := range keep {
			g.X.SetRow(k, f.X.RawRowView(at))
		}
	}
	res, err := x.plain(x.e.Vcov).Fit(x.s.ctx, g)
	if err != nil {
		return err
	}
	notes := c.Notes
	if n := len(x.rows) - len(rows); n > 0 {
		notes = append(notes, withoutValue(n))
	}
	x.add(consentWeights, res, g, gone, res.Estimates[0].Test.DF, append(notes, res.Notes...))
	return nil
}
