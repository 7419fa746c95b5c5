package combine

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// InteractionTerm is the term of the joint test of [Interaction].
const InteractionTerm = "interaction"

// FStatistic is the measure of the joint test of [Interaction] where its members have
// degrees of freedom; otherwise it is [ChiSquare].
const FStatistic estimate.Measure = "f-statistic"

// Interaction tests whether k effects, of subgroups say, are one: with V the joint
// covariance and C the contrasts of each with the first,
//
//	W = (Cθ̂)'(CVC')⁻¹(Cθ̂),  chi-square on k-1; with degrees of freedom of the members' own
//	(the fewest, ν), F = W/(k-1) on k-1 and ν
//
// V has each member's SE² on its diagonal and, off it, SEₐ·SE_b times the correlation of
// their influence summed by group, so that people who are in two subgroups, or clusters
// that subgroups share, are counted as what they are.
//
// Estimates: term "NAME-FIRST" for each member but the first (measure of the members, its
// difference with interval and test), then "interaction" (measure chi-square or
// f-statistic: value the statistic, no error and no interval, the test's p-value). Details:
// df, df_residual (null where there is none).
//
// Errors: [estimate.ErrTooFew] (fewer than two members), [estimate.ErrInvalidFrame] (a
// member without an error or of another measure; influence as in [Family]),
// [estimate.ErrNotIdentified] (effects of which one follows from the others).
func Interaction(members []Member, level float64) (*estimate.Result, error) {
	res, err := interaction(members, level)
	if err != nil {
		return nil, fmt.Errorf("interaction of %d effects: %w", len(members), err)
	}
	return res, nil
}

func interaction(members []Member, level float64) (*estimate.Result, error) {
	k := len(members)
	if k < 2 {
		return nil, fmt.Errorf("%w: two effects are the least that can differ", estimate.ErrTooFew)
	}
	df := math.Inf(1)
	in := make([]int, k)
	for i, m := range members {
		e := m.Estimate
		switch {
		case !(e.SE > 0) || math.IsNaN(e.Value):
			return nil, fmt.Errorf("%w: member %q has no error", estimate.ErrInvalidFrame, m.Name)
		case e.Measure != members[0].Estimate.Measure:
			return nil, fmt.Errorf("%w: members %q and %q are of different measures", estimate.ErrInvalidFrame, m.Name, members[0].Name)
		case e.Test.Null != 0:
			return nil, fmt.Errorf("%w: member %q: give the logarithm of a ratio", estimate.ErrInvalidFrame, m.Name)
		}
		df = math.Min(df, e.Test.DF)
		in[i] = i
	}
	r, err := Family{Members: members, Method: "the interaction test"}.correlation(in)
	if err != nil {
		return nil, err
	}
	v := func(a, b int) float64 {
		return float64(members[a].Estimate.SE*members[b].Estimate.SE) * r.At(a, b)
	}
	res := &estimate.Result{Method: "interaction", Fit: estimate.Convergence{Converged: true}, Details: map[string]any{"df": k - 1, "df_residual": df}}
	d := mat.NewVecDense(k-1, nil)
	cov := mat.NewSymDense(k-1, nil)
	for a := 1; a < k; a++ {
		d.SetVec(a-1, members[a].Estimate.Value-members[0].Estimate.Value)
		for b := 1; b <= a; b++ {
			cov.SetSym(a-1, b-1, v(a, b)-v(a, 0)-v(b, 0)+v(0, 0))
		}
		res.Estimates = append(res.Estimates, estimate.Wald(members[a].Name+"-"+members[0].Name, members[0].Estimate.Measure,
			d.AtVec(a-1), math.Sqrt(math.Max(0, cov.At(a-1, a-1))), df, level))
	}
	nested := false // a contrast whose variance is the rounding of what it is made of
	for a := 1; a < k; a++ {
		nested = nested || cov.At(a-1, a-1) < 1e-12*(v(a, a)+v(0, 0))
	}
	var chol mat.Cholesky
	if nested || !chol.Factorize(cov) || chol.Cond() > 1e12 {
		return nil, fmt.Errorf("%w: one of the effects follows from the others", estimate.ErrNotIdentified)
	}
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, d); err != nil {
		return nil, fmt.Errorf("%w: %w", estimate.ErrNotIdentified, err)
	}
	w := mat.Dot(d, &x)
	nan := math.NaN()
	e := estimate.Estimate{Term: InteractionTerm, Measure: ChiSquare, Value: w, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan}}
	e.Test = estimate.Test{Stat: w, DF: float64(k - 1), P: num.ChiSquareTail(w, float64(k-1))}
	if !math.IsInf(df, 1) {
		f := w / float64(k-1)
		e.Measure, e.Value = FStatistic, f
		e.Test.Stat, e.Test.P = f, fTail(f, float64(k-1), df)
	}
	res.Estimates = append(res.Estimates, e)
	return res, nil
}
