package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func visitTerm(t *testing.T, r *estimate.Result, term string) estimate.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Term == term {
			return e
		}
	}
	t.Fatalf("no term %s", term)
	return estimate.Estimate{}
}

// By hand, one visit: comparison people (x, y) = (0, 0), (0, 2), (2, 4), (2, 6), participants (0, 3), (0, 5), (2, 8) and (2, missing). Least squares is
// 1 + 3a + 2x (the residuals are −1, 1 in pairs and 0), so that the missing score is 8 by the own arm and 5 by the reference; x is balanced: effects 6 − 3 and
// 5.25 − 3, and a shift of 4 adds one.
func TestReferenceBasedByHand(t *testing.T) {
	nan := math.NaN()
	s := &VisitScores{Visits: []string{"12"}, Before: []float64{0, 0, 2, 2, 0, 0, 2, 2}, After: mat.NewDense(8, 1, []float64{0, 2, 4, 6, 3, 5, 8, nan})}
	s.Level = .95
	for i := range 8 {
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("p%d", i)), append(s.Treated, i >= 4)
	}
	r, err := ReferenceBased{Delta: []float64{4}, MinPerArm: 2}.Fit(t.Context(), s)
	require.NoError(t, err)
	for term, want := range map[string]float64{"strategy=mar": 3, "strategy=jump-to-reference": 2.25, "strategy=copy-reference": 2.25, "strategy=copy-increments": 2.25, "delta=4": 4} {
		reftest.Near(t, term, visitTerm(t, r, "visit=12,"+term).Value, want, 1e-12)
	}
	require.Equal(t, map[string]map[string]int{"0": {}, "1": {"12": 1}}, r.Details["missing"])
	require.Equal(t, visitTerm(t, r, "visit=12,strategy=mar").SE, visitTerm(t, r, "visit=12,strategy=jump-to-reference").SE, "information-anchored")
}

// visits are n people an arm and three visits: correlated, an effect that grows to .6, lost by the last score seen.
func visits(rep uint64, n int) *VisitScores {
	s := &VisitScores{Visits: []string{"1", "2", "3"}, After: mat.NewDense(2*n, 3, nil)}
	s.Level = .95
	for i := range 2 * n {
		st := num.NewStream(71, "visits", rep<<32|uint64(i))
		a, trait := float64(i/n), st.Normal()
		s.Unit, s.Treated, s.Before = append(s.Unit, fmt.Sprintf("p%05d", i)), append(s.Treated, i >= n), append(s.Before, trait+.7*st.Normal())
		gone, last := false, s.Before[i]
		for k := range 3 {
			v := trait + .2*float64(k+1)*a + .7*st.Normal()
			if gone = gone || st.Bernoulli(logistic(-1.8-.6*last+.3*a)); gone {
				v = math.NaN()
			}
			s.After.Set(i, k, v)
			last = v
		}
	}
	return s
}

// The recursion is the conditional mean of the multivariate normal: m_M + Σ_MO Σ_OO⁻¹(y_O − m_O), checked for every person lost and
// every strategy with matrices built from the regressions.
func TestReferenceBasedIsTheConditionalMean(t *testing.T) {
	s := visits(5, 60)
	f, err := ReferenceBased{}.take(s)
	require.NoError(t, err)
	none := func(int) bool { return false }
	got, err := f.effects(none)
	require.NoError(t, err)
	// Regressions once more, and Σ = L D L' with rows of (I − Φ)⁻¹.
	coef, d := make([][]float64, 3), mat.NewDiagDense(3, nil)
	back := mat.NewDense(3, 3, nil)
	for k := range 3 {
		var z, y []float64
		for p := range f.y {
			if f.seen[p] > k {
				z, y = append(append(z, 1, float64(f.arm[p]), f.x[p]), f.y[p][:k]...), append(y, f.y[p][k])
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: len(y), K: 3 + k, X: z, Y: y})
		require.NoError(t, err)
		coef[k] = fit.Coef
		d.SetDiag(k, fit.RSS/float64(len(y)))
		back.Set(k, k, 1)
		for j := range k {
			back.Set(k, j, -fit.Coef[3+j])
		}
	}
	var l, sigma, ld mat.Dense
	require.NoError(t, l.Inverse(back))
	ld.Mul(&l, d)
	sigma.Mul(&ld, l.T())
	mean := func(a, x float64) *mat.VecDense {
		var m mat.VecDense
		m.MulVec(&l, mat.NewVecDense(3, []float64{coef[0][0] + coef[0][1]*a + coef[0][2]*x, coef[1][0] + coef[1][1]*a + coef[1][2]*x, coef[2][0] + coef[2][1]*a + coef[2][2]*x}))
		return &m
	}
	for q, name := range strategies {
		full := mat.NewDense(len(f.y), 3, nil)
		for p := range f.y {
			own, reference, seen := mean(float64(f.arm[p]), f.x[p]), mean(0, f.x[p]), f.seen[p]
			m := []float64{own.AtVec(0), own.AtVec(1), own.AtVec(2)}
			for k := range m {
				switch {
				case f.arm[p] == 0 || name == "mar":
				case name == "copy-reference" || name == "jump-to-reference" && k >= seen || name == "copy-increments" && seen == 0:
					m[k] = reference.AtVec(k)
				case k >= seen:
					m[k] = own.AtVec(seen-1) + reference.AtVec(k) - reference.AtVec(seen-1)
				}
			}
			for k := range 3 {
				full.Set(p, k, f.y[p][k])
				if k < seen {
					continue
				}
				v := m[k]
				if seen > 0 {
					var w mat.VecDense
					r := mat.NewVecDense(seen, nil)
					for j := range seen {
						r.SetVec(j, f.y[p][j]-m[j])
					}
					require.NoError(t, w.SolveVec(sigma.Slice(0, seen, 0, seen), r))
					for j := range seen {
						v += sigma.At(k, j) * w.AtVec(j)
					}
				}
				full.Set(p, k, v)
			}
		}
		for k := range 3 {
			var z, y []float64
			for p := range f.y {
				z, y = append(z, 1, float64(f.arm[p]), f.x[p]), append(y, full.At(p, k))
			}
			fit, err := num.LeastSquares(num.LsqData{N: len(y), K: 3, X: z, Y: y})
			require.NoError(t, err)
			reftest.Near(t, name, got[q*3+k], fit.Coef[1], 1e-11)
		}
	}
}

func TestReferenceBasedRelations(t *testing.T) {
	s := visits(6, 40)
	base, err := ReferenceBased{Delta: []float64{-.5, 0}, Workers: 1}.Fit(t.Context(), s)
	require.NoError(t, err)
	many, err := ReferenceBased{Delta: []float64{-.5, 0}, Workers: 4}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, base.Estimates, many.Estimates)
	o := &VisitScores{Visits: s.Visits, After: mat.NewDense(80, 3, nil)}
	o.Level = .95
	for k := range 80 {
		i := 79 - k
		o.Unit, o.Treated, o.Before = append(o.Unit, s.Unit[i]), append(o.Treated, s.Treated[i]), append(o.Before, s.Before[i])
		o.After.SetRow(k, s.After.RawRowView(i))
	}
	turned, err := ReferenceBased{Delta: []float64{-.5, 0}}.Fit(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, base.Estimates, turned.Estimates)
	mar, zero := visitTerm(t, base, "visit=3,strategy=mar"), visitTerm(t, base, "visit=3,delta=0")
	require.Equal(t, mar.Value, zero.Value)
	require.Equal(t, mar.SE, zero.SE)
	require.Less(t, visitTerm(t, base, "visit=3,delta=-0.5").Value, mar.Value)
	jump, copied, steps := visitTerm(t, base, "visit=3,strategy=jump-to-reference").Value, visitTerm(t, base, "visit=3,strategy=copy-reference").Value, visitTerm(t, base, "visit=3,strategy=copy-increments").Value
	require.Less(t, jump, mar.Value)
	require.NotEqual(t, jump, copied)
	require.NotEqual(t, jump, steps)
	require.Less(t, base.Details["repeated_std_error"].(map[string]float64)["visit=3,strategy=jump-to-reference"], mar.SE)
	gap := *s
	gap.After = mat.DenseCopyOf(s.After)
	for i := range 80 {
		if !math.IsNaN(gap.After.At(i, 2)) {
			gap.After.Set(i, 0, math.NaN())
			break
		}
	}
	_, err = ReferenceBased{}.Fit(t.Context(), &gap)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = ReferenceBased{MinPerArm: 41}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	_, err = ReferenceBased{Delta: []float64{1, 1}}.Fit(t.Context(), s)
	require.Error(t, err)
	bad := *s
	bad.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, 80)}
	_, err = ReferenceBased{}.Fit(t.Context(), &bad)
	require.ErrorIs(t, err, estimate.ErrWeights)
	one := *s
	one.Cluster = make([]int, 80)
	_, err = ReferenceBased{}.Fit(t.Context(), &one)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// Loss hangs on the last score seen: mar covers the effect of .6 at the third visit, where those who stayed alone do not give it.
func TestReferenceBasedCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("jackknife of many samples")
	}
	const reps, n = 400 * sim.Factor, 25
	type draw struct{ mar, jump estimate.Estimate }
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(rep int) {
		r, err := ReferenceBased{MinPerArm: 5, Workers: 1}.Fit(t.Context(), visits(uint64(1000+rep), n))
		if err != nil {
			t.Error(err)
			return
		}
		draws[rep].mar, draws[rep].jump = r.Estimates[8], r.Estimates[9]
	})
	require.False(t, t.Failed())
	var mean, square, se, covered, jump float64
	for _, d := range draws {
		require.Equal(t, "visit=3,strategy=mar", d.mar.Term)
		mean, square, se, jump = mean+d.mar.Value/reps, square+d.mar.Value*d.mar.Value/reps, se+d.mar.SE/reps, jump+d.jump.Value/reps
		if d.mar.CI.Lo <= .6 && .6 <= d.mar.CI.Hi {
			covered += 1. / reps
		}
	}
	sd := math.Sqrt(square - mean*mean)
	t.Logf("mar %.3f of .600, SD %.3f, mean SE %.3f, coverage %.3f; jump to reference %.3f", mean, sd, se, covered, jump)
	require.InDelta(t, .6, mean, 3.5*sd/math.Sqrt(reps))
	require.InDelta(t, .95, covered, 3.09*math.Sqrt(.95*.05/reps))
	require.InEpsilon(t, sd, se, .2)
	require.Less(t, jump, mean-.1)
}
