package cohort

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// propensityData is what a model of treatment is fitted to, rows in the order of u.order.
type propensityData struct {
	s     PropensitySpec
	d     Spec
	u     *units
	t     *table.Table
	cov   []covariate
	x     *Matrix   // with the constant
	y     []float64 // 1 = treated
	fold  []int32   // nil without folds
	folds int
	notes []table.Note
}

func (s PropensitySpec) prepare(t *table.Table, d Spec, u *units) (*propensityData, error) {
	if len(s.Covariates) == 0 {
		return nil, fmt.Errorf("%w: a propensity model needs at least one covariate", ErrOption)
	}
	if err := notTheTreatment(s.Covariates, d); err != nil {
		return nil, err
	}
	cov, err := readCovariates(t, s.Covariates, s.Categorical)
	if err != nil {
		return nil, err
	}
	if names := constantColumns(cov); len(names) > 0 {
		return nil, fmt.Errorf("%w: constant in all of the %d rows: %s; leave it out", ErrCovariate, u.n, strings.Join(names, ", "))
	}
	p := &propensityData{s: s, d: d, u: u, t: t, cov: cov, y: make([]float64, u.n)}
	p.x = fillDesign(cov, u.n, DesignOptions{Intercept: true, Workers: d.Workers}, u.order)
	for i, r := range u.order {
		if u.treated[r] {
			p.y[i] = 1
		}
	}
	if !s.Folded() {
		return p, nil
	}
	return p, p.makeFolds()
}

// makeFolds puts persons into folds: those with a treated row and the others, each in the
// order of the keyed hash of the person, go to the folds in turn. So folds are of one size
// and have treated rows alike, and a person's rows are in one fold.
func (p *propensityData) makeFolds() error {
	p.folds = p.s.Folds
	if p.folds == 0 {
		p.folds = defaultFolds
	}
	person := p.u.id
	if p.s.Person != "" {
		text, has, err := p.t.Text(p.s.Person)
		if err != nil {
			return fmt.Errorf("person: %w", err)
		}
		if missing := countFalse(has); missing > 0 {
			return fmt.Errorf("%w: person: column %q has %d missing values", ErrCovariate, p.s.Person, missing)
		}
		person = func(row int) string { return text[row] }
	}
	type who struct {
		name    string
		hash    uint64
		treated bool
	}
	index := make(map[string]int, p.u.n)
	var all []who
	of := make([]int, p.u.n)
	for i, r := range p.u.order {
		name := person(int(r))
		k, known := index[name]
		if !known {
			k = len(all)
			index[name] = k
			all = append(all, who{name: name, hash: num.KeyedHash(p.s.Seed, "fold/"+name)})
		}
		of[i] = k
		all[k].treated = all[k].treated || p.u.treated[r]
	}
	order := make([]int, len(all))
	treated := 0
	for k := range all {
		order[k] = k
		treated += arm(all[k].treated)
	}
	if p.folds > treated || p.folds > len(all)-treated {
		return fmt.Errorf("%w: %d folds, but %d persons with a treated row and %d without: use fewer folds", ErrOption, p.folds, treated, len(all)-treated)
	}
	sort.Slice(order, func(a, b int) bool {
		x, y := all[order[a]], all[order[b]]
		switch {
		case x.treated != y.treated:
			return x.treated
		case x.hash != y.hash:
			return x.hash < y.hash
		}
		return x.name < y.name
	})
	fold := make([]int32, len(all))
	for rank, k := range order {
		fold[k] = int32(rank % p.folds)
	}
	p.fold = make([]int32, p.u.n)
	for i, k := range of {
		p.fold[i] = fold[k]
	}
	return nil
}

func (p *propensityData) note(code string, args map[string]any, format string, a ...any) {
	p.notes = append(p.notes, table.Note{Code: code, Args: args, Text: fmt.Sprintf(format, a...)})
}

// result puts linear predictors, by u.order, into the order of the table.
func (p *propensityData) result(model string, linear []float64, heldOut bool) *PropensityFit {
	out := &PropensityFit{
		Model: model, Link: string(num.LogitLink), Units: p.u.n, Treated: p.u.count, Notes: p.notes,
		Score: make([]float64, p.u.n), Linear: make([]float64, p.u.n), NullDev: p.nullDeviance(),
	}
	if heldOut {
		out.CrossFit = p.folds
	}
	for i, r := range p.u.order {
		out.Linear[r], out.Score[r] = linear[i], num.LogitLink.Mean(linear[i])
	}
	return out
}

func (p *propensityData) nullDeviance() float64 {
	n, k := float64(p.u.n), float64(p.u.count)
	return -2 * (float64(k*math.Log(k/n)) + float64((n-k)*math.Log1p(-k/n)))
}

// linear is the linear predictor of a row at coefficients of the columns.
func (p *propensityData) linear(coef []float64, i int) float64 {
	k := len(coef)
	eta := 0.0
	for j, v := range p.x.Values[i*k : (i+1)*k] {
		eta += float64(coef[j] * v)
	}
	return eta
}

func (p *propensityData) linears(coef []float64) []float64 {
	out := make([]float64, p.u.n)
	num.ForChunks(p.u.n, p.d.Workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			out[i] = p.linear(coef, i)
		}
	})
	return out
}

// crossFit gives every row the linear predictor of a model of the other folds: fit gets
// the rows, and returns the predictor of any row.
func (p *propensityData) crossFit(ctx context.Context, fit func(rows []int32, x, y []float64) (func(i int) float64, error)) ([]float64, error) {
	out := make([]float64, p.u.n)
	k := len(p.x.Columns)
	for f := range p.folds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var rows []int32
		var x, y []float64
		for i, g := range p.fold {
			if int(g) != f {
				rows = append(rows, int32(i))
				x, y = append(x, p.x.Values[i*k:(i+1)*k]...), append(y, p.y[i])
			}
		}
		predict, err := fit(rows, x, y)
		if err != nil {
			return nil, fmt.Errorf("without fold %d of %d: %w", f+1, p.folds, propensityError(err, p.x, p.cov, p.u))
		}
		for i, g := range p.fold {
			if int(g) == f {
				out[i] = predict(i)
			}
		}
	}
	return out, nil
}

// crossLogit is the plain model with scores from the other folds.
func (p *propensityData) crossLogit(ctx context.Context) (*PropensityFit, error) {
	out, err := Propensity{Covariates: p.s.Covariates, Categorical: p.s.Categorical, Link: p.s.Link}.fit(ctx, p.t, p.d, p.u)
	if err != nil {
		return nil, err
	}
	link := num.Link(out.Link)
	linear, err := p.crossFit(ctx, func(rows []int32, x, y []float64) (func(int) float64, error) {
		fit, err := num.Logit(num.LogitData{N: len(rows), K: len(p.x.Columns), X: x, Y: y, Link: link, Workers: p.d.Workers})
		if err != nil {
			return nil, err
		}
		return func(i int) float64 { return p.linear(fit.Coef, i) }, nil
	})
	if err != nil {
		return nil, err
	}
	for i, r := range p.u.order {
		out.Linear[r], out.Score[r] = linear[i], link.Mean(linear[i])
	}
	out.CrossFit = p.folds
	return out, nil
}
