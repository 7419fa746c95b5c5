package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
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
	s := &VisitScores{Visits: []string{"12"}, X: mat.NewDense(8, 1, []float64{0, 0, 2, 2, 0, 0, 2, 2}), XNames: []string{"before"}, After: mat.NewDense(8, 1, []float64{0, 2, 4, 6, 3, 5, 8, nan})}
	s.Level = .95
	for i := range 8 {
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("p%d", i)), append(s.Treated, i >= 4)
	}
	r, err := ReferenceBased{Delta: []DeltaShift{{Participants: 4}}, MinPerArm: 2}.Fit(t.Context(), s)
	require.NoError(t, err)
	for term, want := range map[string]float64{"strategy=mar": 3, "strategy=jump-to-reference": 2.25, "strategy=copy-reference": 2.25, "strategy=copy-increments": 2.25, "strategy=last-mean-carried-forward": 3, "model": 3, "delta=4": 4} {
		reftest.Near(t, term, visitTerm(t, r, "visit=12,"+term).Value, want, 1e-12)
	}
	require.Equal(t, map[string]map[string]int{"0": {}, "1": {"12": 1}}, r.Details["missing"])
	require.Equal(t, visitTerm(t, r, "visit=12,strategy=mar").SE, visitTerm(t, r, "visit=12,strategy=jump-to-reference").SE, "information-anchored")
}

// visits are n people an arm and three visits: correlated, an effect that grows to .6, lost by the last score seen.
func visits(rep uint64, n int) *VisitScores {
	s := &VisitScores{Visits: []string{"1", "2", "3"}, After: mat.NewDense(2*n, 3, nil), X: mat.NewDense(2*n, 1, nil), XNames: []string{"before"}}
	s.Level = .95
	for i := range 2 * n {
		st := num.NewStream(71, "visits", rep<<32|uint64(i))
		a, trait := float64(i/n), st.Normal()
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("p%05d", i)), append(s.Treated, i >= n)
		gone, last := false, trait+.7*st.Normal()
		s.X.Set(i, 0, last)
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

// With loss for good the likelihood falls apart into the regressions of each visit on those before: model, maximum likelihood, and the conditional means m_M + Σ_MO Σ_OO⁻¹(y_O − m_O), for every person
// lost and every strategy, with matrices built from these regressions.
func TestReferenceBasedIsTheConditionalMean(t *testing.T) {
	s := visits(5, 60)
	r, err := ReferenceBased{ML: true}.Fit(t.Context(), s)
	require.NoError(t, err)
	coef, d := make([][]float64, 3), mat.NewDiagDense(3, nil)
	back, seen := mat.NewDense(3, 3, nil), make([]int, len(s.Unit))
	y := func(p, k int) float64 { return s.After.At(p, k) }
	a := func(p int) float64 { return float64(arm(s.Treated[p])) }
	for p := range s.Unit {
		for seen[p] < 3 && !math.IsNaN(y(p, seen[p])) {
			seen[p]++
		}
	}
	for k := range 3 {
		var z, out []float64
		for p := range s.Unit {
			if seen[p] > k {
				z, out = append(append(z, 1, a(p), s.X.At(p, 0)), s.After.RawRowView(p)[:k]...), append(out, y(p, k))
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: len(out), K: 3 + k, X: z, Y: out})
		require.NoError(t, err)
		coef[k] = fit.Coef
		d.SetDiag(k, fit.RSS/float64(len(out)))
		back.Set(k, k, 1)
		for j := range k {
			back.Set(k, j, -fit.Coef[3+j])
		}
	}
	var l, sigma, ld mat.Dense
	require.NoError(t, l.Inverse(back))
	ld.Mul(&l, d)
	sigma.Mul(&ld, l.T())
	for k := range 3 {
		for j := range k + 1 {
			reftest.Near(t, "covariance", r.Details["covariance"].(map[string][][]float64)["both"][k][j], sigma.At(k, j), 1e-9)
		}
	}
	mean := func(a, x float64) *mat.VecDense {
		var m mat.VecDense
		m.MulVec(&l, mat.NewVecDense(3, []float64{coef[0][0] + coef[0][1]*a + coef[0][2]*x, coef[1][0] + coef[1][1]*a + coef[1][2]*x, coef[2][0] + coef[2][1]*a + coef[2][2]*x}))
		return &m
	}
	for _, name := range allStrategies {
		full := mat.NewDense(len(s.Unit), 3, nil)
		for p := range s.Unit {
			own, reference, seen := mean(a(p), s.X.At(p, 0)), mean(0, s.X.At(p, 0)), seen[p]
			m := []float64{own.AtVec(0), own.AtVec(1), own.AtVec(2)}
			for k := range m {
				switch {
				case name == LastMean:
					if k >= seen && seen > 0 {
						m[k] = own.AtVec(seen - 1)
					}
				case a(p) == 0 || name == MissingAtRandom:
				case name == CopyReference || name == JumpToReference && k >= seen || name == CopyIncrements && seen == 0:
					m[k] = reference.AtVec(k)
				case k >= seen:
					m[k] = own.AtVec(seen-1) + reference.AtVec(k) - reference.AtVec(seen-1)
				}
			}
			for k := range 3 {
				full.Set(p, k, y(p, k))
				if k < seen {
					continue
				}
				v := m[k]
				if seen > 0 {
					var w mat.VecDense
					r := mat.NewVecDense(seen, nil)
					for j := range seen {
						r.SetVec(j, y(p, j)-m[j])
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
			var z, out []float64
			for p := range s.Unit {
				z, out = append(z, 1, a(p), s.X.At(p, 0)), append(out, full.At(p, k))
			}
			fit, err := num.LeastSquares(num.LsqData{N: len(out), K: 3, X: z, Y: out})
			require.NoError(t, err)
			reftest.Near(t, string(name), visitTerm(t, r, fmt.Sprintf("visit=%d,strategy=%s", k+1, name)).Value, fit.Coef[1], 1e-9)
		}
	}
}

// turned is the scores with the rows in the opposite order.
func turned(s *VisitScores) *VisitScores {
	n := len(s.Unit)
	_, T := s.After.Dims()
	o := &VisitScores{Visits: s.Visits, XNames: s.XNames, X: mat.NewDense(n, len(s.XNames), nil), After: mat.NewDense(n, T, nil)}
	o.Level = s.Level
	for k := range n {
		i := n - 1 - k
		o.Unit, o.Treated = append(o.Unit, s.Unit[i]), append(o.Treated, s.Treated[i])
		o.X.SetRow(k, s.X.RawRowView(i))
		o.After.SetRow(k, s.After.RawRowView(i))
		if s.Event != nil {
			o.Event = append(o.Event, s.Event[i])
		}
	}
	return o
}

func TestReferenceBasedRelations(t *testing.T) {
	s := visits(6, 40)
	by := []DeltaShift{{Participants: -.5}, {}, {Participants: -.5, Comparison: -.5}}
	base, err := ReferenceBased{Delta: by, Workers: 1}.Fit(t.Context(), s)
	require.NoError(t, err)
	many, err := ReferenceBased{Delta: by, Workers: 4}.Fit(t.Context(), turned(s))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(many.Estimates)) // NaN is not NaN
	mar, zero := visitTerm(t, base, "visit=3,strategy=mar"), visitTerm(t, base, "visit=3,delta=0")
	require.Equal(t, mar.Value, zero.Value)
	require.Equal(t, mar.SE, zero.SE)
	reftest.Near(t, "the completed scores have the model's own coefficient", visitTerm(t, base, "visit=3,model").Value, mar.Value, 1e-9)
	require.Less(t, visitTerm(t, base, "visit=3,delta=-0.5").Value, mar.Value)
	require.Greater(t, visitTerm(t, base, "visit=3,delta=-0.5:-0.5").Value, visitTerm(t, base, "visit=3,delta=-0.5").Value)
	values := map[float64]bool{}
	for _, name := range allStrategies {
		e := visitTerm(t, base, "visit=3,strategy="+string(name))
		values[e.Value] = true
		require.Equal(t, mar.SE, e.SE, "information-anchored")
	}
	require.Len(t, values, 5)
	jump := visitTerm(t, base, "visit=3,strategy=jump-to-reference")
	require.Less(t, jump.Value, mar.Value)
	require.Less(t, base.Details["repeated_std_error"].(map[string]float64)["visit=3,strategy=jump-to-reference"], mar.SE)

	// Scores in other units, and covariates in any: effects follow.
	scaled := *s
	scaled.After, scaled.X = mat.DenseCopyOf(s.After), mat.DenseCopyOf(s.X)
	scaled.After.Apply(func(_, _ int, v float64) float64 { return 10*v + 1e4 }, s.After)
	scaled.X.Apply(func(_, _ int, v float64) float64 { return 7 - 1e3*v }, s.X)
	other, err := ReferenceBased{Delta: []DeltaShift{{Participants: -5}}}.Fit(t.Context(), &scaled)
	require.NoError(t, err)
	for _, name := range []string{"strategy=mar", "strategy=jump-to-reference", "strategy=copy-increments", "strategy=last-mean-carried-forward", "model"} {
		reftest.Near(t, name, visitTerm(t, other, "visit=3,"+name).Value/10, visitTerm(t, base, "visit=3,"+name).Value, 1e-8)
		reftest.Near(t, name, visitTerm(t, other, "visit=3,"+name).SE/10, visitTerm(t, base, "visit=3,"+name).SE, 1e-7)
	}
	// Everybody twice: the same numbers.
	twice := *s
	twice.Weight = estimate.Weights{Kind: estimate.Sampling, Values: make([]float64, 80)}
	for i := range twice.Weight.Values {
		twice.Weight.Values[i] = 3
	}
	weighted, err := ReferenceBased{}.Fit(t.Context(), &twice)
	require.NoError(t, err)
	reftest.Near(t, "weights alike", visitTerm(t, weighted, "visit=3,strategy=copy-reference").Value, visitTerm(t, base, "visit=3,strategy=copy-reference").Value, 1e-12)
}

// Each option changes a number: with gaps, an event before the loss and arms of unlike spread.
func TestReferenceBasedOptionsMatter(t *testing.T) {
	s := visits(8, 60)
	s.Event = make([]int, len(s.Unit))
	for i := range s.Unit {
		s.Event[i] = 3
		for k := 2; k >= 0 && math.IsNaN(s.After.At(i, k)); k-- {
			s.Event[i] = k
		}
		if i%7 == 0 {
			s.After.Set(i, 1, math.NaN()) // a gap
		}
		if s.Event[i] == 3 && i%11 == 0 {
			s.Event[i] = 2 // seen after the event
		}
		if s.Treated[i] {
			for k := range 3 {
				s.After.Set(i, k, 2*s.After.At(i, k))
			}
		}
	}
	base := ReferenceBased{}
	first, err := base.Fit(t.Context(), s)
	require.NoError(t, err)
	jump := func(e ReferenceBased, s *VisitScores) (estimate.Estimate, estimate.Estimate) {
		r, err := e.Fit(t.Context(), s)
		require.NoError(t, err)
		return visitTerm(t, r, "visit=3,strategy=jump-to-reference"), visitTerm(t, r, "visit=3,tipping")
	}
	was, tip := visitTerm(t, first, "visit=3,strategy=jump-to-reference"), visitTerm(t, first, "visit=3,tipping")
	e, _ := jump(ReferenceBased{ByArm: true}, s)
	require.NotEqual(t, was.Value, e.Value)
	e, _ = jump(ReferenceBased{ML: true}, s)
	require.NotEqual(t, was.Value, e.Value)
	e, _ = jump(ReferenceBased{Repeated: true}, s)
	require.Less(t, e.SE, was.SE)
	_, held := jump(ReferenceBased{HoldErrors: true}, s)
	require.NotEqual(t, tip.Value, held.Value)
	_, small := jump(ReferenceBased{MIC: .5}, s)
	require.Equal(t, ImportantChanges, small.Measure)
	reftest.Near(t, "in important changes", small.Value, tip.Value/.5, 1e-12)
	plain := *s
	plain.Event = nil
	e, _ = jump(ReferenceBased{}, &plain)
	require.NotEqual(t, was.Value, e.Value, "scores seen after the event are not of the model")
	// At random everything seen counts, whatever the event; without an event nothing is shifted and nothing filled in by reference.
	without := *s
	without.Event = slices.Repeat([]int{3}, len(s.Unit))
	for name, other := range map[string]*VisitScores{"plain": &plain, "without": &without} {
		r, err := ReferenceBased{Delta: []DeltaShift{{-1, -1}}}.Fit(t.Context(), other)
		require.NoError(t, err)
		reftest.Near(t, name, visitTerm(t, r, "visit=3,strategy=mar").Value, visitTerm(t, first, "visit=3,strategy=mar").Value, 1e-9)
		if name == "without" {
			for _, term := range []string{"strategy=jump-to-reference", "strategy=copy-reference", "strategy=last-mean-carried-forward", "delta=-1:-1"} {
				reftest.Near(t, term, visitTerm(t, r, "visit=2,"+term).Value, visitTerm(t, r, "visit=2,strategy=mar").Value, 1e-12)
			}
		}
	}
	bare := *s
	bare.X, bare.XNames = nil, nil
	e, _ = jump(ReferenceBased{}, &bare)
	require.NotEqual(t, was.Value, e.Value)
	apart := *s
	apart.Cluster = make([]int, len(s.Unit))
	for i := range apart.Cluster {
		apart.Cluster[i] = i / 4
	}
	e, _ = jump(ReferenceBased{}, &apart)
	require.NotEqual(t, was.SE, e.SE)
	few, err := ReferenceBased{Strategies: []Strategy{CopyReference}}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Len(t, few.Estimates, 3*4) // model, mar, copy-reference, tipping
}

func TestReferenceBasedBadInput(t *testing.T) {
	s := visits(6, 40)
	for name, c := range map[string]struct {
		e    ReferenceBased
		f    func(s *VisitScores)
		want error
	}{
		"few":      {e: ReferenceBased{MinPerArm: 41}, want: estimate.ErrTooFew},
		"twice":    {e: ReferenceBased{Delta: []DeltaShift{{Participants: 1}, {Participants: 1}}}, want: estimate.ErrInvalidFrame},
		"nan":      {e: ReferenceBased{Delta: []DeltaShift{{Comparison: math.NaN()}}}, want: estimate.ErrInvalidFrame},
		"strategy": {e: ReferenceBased{Strategies: []Strategy{"locf"}}, want: estimate.ErrInvalidFrame},
		"mic":      {e: ReferenceBased{MIC: -1}, want: estimate.ErrInvalidFrame},
		"frequency": {f: func(s *VisitScores) {
			s.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, 80)}
		}, want: estimate.ErrWeights},
		"one group": {f: func(s *VisitScores) { s.Cluster = make([]int, 80) }, want: estimate.ErrTooFew},
		"no arm":    {f: func(s *VisitScores) { s.Treated = make([]bool, 80) }, want: estimate.ErrNoTreated},
		"event":     {f: func(s *VisitScores) { s.Event = make([]int, 80); s.Event[3] = 4 }, want: estimate.ErrInvalidFrame},
		"collinear": {f: func(s *VisitScores) {
			s.X, s.XNames = mat.NewDense(80, 1, slices.Repeat([]float64{3}, 80)), []string{"x"}
		}, want: estimate.ErrCollinear},
		"infinite":   {f: func(s *VisitScores) { s.After.Set(2, 0, math.Inf(1)) }, want: estimate.ErrInvalidFrame},
		"one number": {f: func(s *VisitScores) { s.After.SetCol(0, make([]float64, 80)) }, want: estimate.ErrNotIdentified},
		"never both": {f: func(s *VisitScores) {
			for i := range 80 {
				s.After.Set(i, 0, float64(i%5))
				s.After.Set(i, 1, float64(i%3))
				s.After.Set(i, i/2%2, math.NaN())
			}
		}, want: estimate.ErrNotIdentified},
	} {
		bad := *s
		bad.After = mat.DenseCopyOf(s.After)
		if c.f != nil {
			c.f(&bad)
		}
		c.e.MinPerArm = max(c.e.MinPerArm, 5)
		_, err := c.e.Fit(t.Context(), &bad)
		require.ErrorIs(t, err, c.want, name)
	}
}
