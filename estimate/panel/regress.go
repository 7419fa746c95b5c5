package panel

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
)

// dummies is a regression of the outcome on disjoint dummies, the covariates, and unit
// and period effects: column(i) is the dummy of row i, -1 for none.
type dummies struct {
	names  []string
	column func(row int) int
}

// regressed are the coefficients of the dummies; NaN where collinear.
type regressed struct {
	coef       []float64
	inf        [][]float64 // of each dummy and unit, with the root of the cr1 factor in it
	df         float64
	covariates []map[string]any // coefficients beside the dummies, for details
}

// combine returns Σ weight·coefficient as a term.
func (r *regressed) combine(name string, columns []int, weights []float64) term {
	t := term{name: name, df: r.df}
	for a, j := range columns {
		t.value += float64(weights[a] * r.coef[j])
		if r.inf[j] == nil {
			continue
		}
		if t.inf == nil {
			t.inf = make([]float64, len(r.inf[j]))
		}
		for u, v := range r.inf[j] {
			t.inf[u] += float64(weights[a] * v)
		}
	}
	return t
}

// regress fits with cr1 errors: G/(G-1)·(N-1)/(N-K), unit effects nested in the clusters
// counted once in K (fixest's rule); t on G-1.
func (l *long) regress(ctx context.Context, d dummies, workers int) (*regressed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if out, ok := l.regressSparse(d); ok {
		return out, nil
	}
	return l.regressDense(ctx, d, workers)
}

// regressDense is regress by [effect.OLS].
func (l *long) regressDense(ctx context.Context, d dummies, workers int) (*regressed, error) {
	n, k := len(l.y), len(d.names)
	x := mat.NewDense(n, k+len(l.x), nil)
	f := &estimate.Frame{Unit: make([]string, n), Y: l.fromFirst(), X: x, XNames: append(append([]string{}, d.names...), l.xnames...), Cluster: make([]int, n), Level: 0.95}
	for i := range n {
		if j := d.column(i); j >= 0 {
			x.Set(i, j, 1)
		}
		f.Cluster[i] = l.cluster[l.unit[i]]
	}
	for j, column := range l.x { // a covariate fixed in each unit is then exactly 0, and not rounding of one
		for i, v := range l.fromUnits(column) {
			x.Set(i, k+j, v)
		}
	}
	if l.w != nil {
		f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: l.w}
	}
	o := effect.OLS{Vcov: effect.CR1, Absorb: [][]int{l.unit, l.period}, AbsorbNames: []string{"unit", "period"}, Workers: workers}
	res, err := o.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &regressed{coef: make([]float64, k), inf: make([][]float64, k), df: float64(l.clusters - 1)}
	root := math.Sqrt(l.factor(res))
	for j := range k {
		e := res.Estimates[j]
		out.coef[j] = e.Value
		if !finite(e.Value) {
			continue
		}
		out.inf[j] = make([]float64, len(l.names))
		for i := range n {
			out.inf[j][l.unit[i]] += float64(root * res.Influence.At(i, j))
		}
	}
	for _, e := range res.Estimates[k:] {
		out.covariates = append(out.covariates, map[string]any{"name": e.Term, "estimate": orNull(e.Value), "std_error": orNull(e.SE)})
	}
	for _, note := range res.Notes {
		if note.Code != "few-clusters" || !l.noted("few-clusters") {
			l.notes = append(l.notes, note)
		}
	}
	return out, nil
}

// fromFirst is the outcome counted from each unit's first: the unit effects take that
// up, and a high level costs no digits.
func (l *long) fromFirst() []float64 { return l.fromUnits(l.y) }

func (l *long) fromUnits(column []float64) []float64 {
	out := make([]float64, len(column))
	first := 0
	for i, v := range column {
		if l.unit[i] != l.unit[first] {
			first = i
		}
		out[i] = v - column[first]
	}
	return out
}

func (l *long) noted(code string) bool {
	for _, n := range l.notes {
		if n.Code == code {
			return true
		}
	}
	return false
}

// factor is the finite-sample factor between the influence function and the standard
// errors: that which the regression used.
func (l *long) factor(res *estimate.Result) float64 {
	with, without := 0.0, 0.0
	for j, e := range res.Estimates {
		if !finite(e.SE) {
			continue
		}
		sums := make([]float64, l.clusters)
		for i, u := range l.unit {
			sums[l.cluster[u]] += res.Influence.At(i, j)
		}
		// Totals, so that a column whose error is rounding does not count.
		with += e.SE * e.SE
		without += num.Dot(sums, sums)
	}
	if without == 0 {
		return 1
	}
	return with / without
}

// static is the coefficient of being treated: the two-way fixed-effects estimate. Rows
// within the anticipation have dummies of their own, one for each time until treatment.
func (l *long) static(ctx context.Context, anticipation int, workers int) (term, error) {
	names := []string{Overall}
	for e := 1; e <= anticipation; e++ {
		names = append(names, eventTerm(-e))
	}
	fit, err := l.regress(ctx, dummies{names: names, column: func(i int) int {
		switch {
		case l.treated(i, 0):
			return 0
		case l.treated(i, anticipation):
			return -l.event(i)
		}
		return -1
	}}, workers)
	switch {
	case errors.Is(err, estimate.ErrCollinear):
		return term{}, fmt.Errorf("%w: the treatment cannot be told from unit and period effects if all units enter together: %w", estimate.ErrNoControls, err)
	case err != nil:
		return term{}, err
	}
	if !finite(fit.coef[0]) {
		return term{}, fmt.Errorf("%w: the treatment cannot be told from unit and period effects", estimate.ErrNoControls)
	}
	return term{Overall, fit.coef[0], fit.inf[0], fit.df}, nil
}

// eventTerm is the term of the effect at a time since treatment.
func eventTerm(e int) string { return fmt.Sprintf("event=%d", e) }

// denseOf copies columns of n into a matrix.
func denseOf(columns [][]float64, n int) *mat.Dense {
	m := mat.NewDense(n, len(columns), nil)
	for j, c := range columns {
		m.SetCol(j, c)
	}
	return m
}
