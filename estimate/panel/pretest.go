package panel

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// PreTest is the Wald test that all effects before treatment are 0.
type PreTest struct {
	Stat, DF, P float64 // chi-square; NaN where there is no test
	Reason      string  // why there is none
}

func (p PreTest) json() map[string]any {
	out := map[string]any{"statistic": orNull(p.Stat), "df": orNull(p.DF), "p_value": orNull(p.P)}
	if p.Reason != "" {
		out["reason"] = p.Reason
	}
	return out
}

// orNull is the JSON form of a number that may not exist.
func orNull(v float64) any {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return v
}

// PreTest returns W = a'V⁻¹a over the effects a of the periods before g-lead, with V
// their covariance, chi-square on as many degrees of freedom as there are such
// effects. lead = 0 takes every period before treatment, as R's did does; lead =
// Anticipation leaves out those in which effects are allowed.
//
// There is no test without such effects, or when V is singular (correlation matrix
// with a condition number above 1e12): more effects than independent units, say.
func (r *GroupTimeResult) PreTest(lead int) PreTest {
	var cells []int
	for i := range r.Cells {
		if c := &r.Cells[i]; c.Identified() && c.Time < c.Group-lead && c.SE > 0 {
			cells = append(cells, i)
		}
	}
	none := PreTest{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()}
	if len(cells) == 0 {
		none.Reason = "no effect before treatment has a standard error"
		return none
	}
	v := r.covariance(cells)
	z := mat.NewVecDense(len(cells), nil)
	for a, i := range cells {
		z.SetVec(a, r.Cells[i].ATT/r.Cells[i].SE)
		for b := range a + 1 {
			v.SetSym(a, b, v.At(a, b)/r.Cells[i].SE/r.Cells[cells[b]].SE)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(v) || chol.Cond() > 1e12 {
		none.Reason = "the covariance of the effects before treatment is singular"
		return none
	}
	var s mat.VecDense
	if err := chol.SolveVecTo(&s, z); err != nil {
		none.Reason = "the covariance of the effects before treatment is singular"
		return none
	}
	df := float64(len(cells))
	w := mat.Dot(z, &s)
	return PreTest{Stat: w, DF: df, P: num.ChiSquareTail(w, df)}
}
