package survive

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// Without censoring a pseudo-value is the person's own state, and the regression on a group of it that of the shares: difference
// p₁ − p₀ with error √(Σ p(1 − p)/n), and the log odds ratio.
func TestPseudoValuesWithoutCensoring(t *testing.T) {
	s := fickle(1, 200, .4, 20)
	x := mat.NewDense(200, 1, nil)
	var share, n [2]float64
	e := PseudoRegression{State: "c", Time: 10, X: x, Names: []string{"g"}}
	_, values, err := e.PseudoValues(t.Context(), s)
	require.NoError(t, err)
	for p := range s.ID {
		g := p % 2
		x.Set(p, 0, float64(g))
		own := 0.0
		for i := range s.Person {
			if s.Person[i] == p && s.From[i] == 2 && s.Start[i] <= 10 && 10 < s.Stop[i] {
				own = 1
			}
		}
		require.InDelta(t, own, values[p], 1e-10)
		share[g] += own
		n[g]++
	}
	for g := range share {
		share[g] /= n[g]
	}
	r, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, share[1]-share[0], r.Estimates[1].Value, 1e-10)
	require.InDelta(t, math.Sqrt(share[0]*(1-share[0])/n[0]+share[1]*(1-share[1])/n[1]), r.Estimates[1].SE, 1e-10)
	e.Link = "logit"
	r, err = e.Fit(t.Context(), s)
	require.NoError(t, err)
	odds := func(p float64) float64 { return math.Log(p / (1 - p)) }
	require.InDelta(t, odds(share[1])-odds(share[0]), r.Estimates[1].Value, 1e-8)
	require.InDelta(t, math.Sqrt(1/(n[0]*share[0]*(1-share[0]))+1/(n[1]*share[1]*(1-share[1]))), r.Estimates[1].SE, 1e-8)
	require.Equal(t, estimate.LogOddsRatio, r.Estimates[1].Measure)
	e.Link = "cloglog"
	r, err = e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, math.Log(math.Log1p(-share[1])/math.Log1p(-share[0])), r.Estimates[1].Value, 1e-8)
}

// Pseudo-values average to the estimate also where people start in several states and some are lost; survival's pseudo() does not (.148 for
// .430 in its own version).
func TestPseudoValuesAverageToTheEstimate(t *testing.T) {
	s := fickle(4, 150, .4, 20)
	for p := range 40 { // these are followed to their first move only, if that is early
		for i := range s.Person {
			if s.Person[i] == p && s.Start[i] == 0 && s.Stop[i] < 6 {
				s.To[i] = Censored
			}
		}
	}
	var kept Spells
	kept.States, kept.ID, kept.Level = s.States, s.ID, s.Level
	over := map[int]bool{}
	for i, p := range s.Person {
		if over[p] {
			continue
		}
		kept.Person, kept.From, kept.To, kept.Start, kept.Stop = append(kept.Person, p), append(kept.From, s.From[i]), append(kept.To, s.To[i]), append(kept.Start, s.Start[i]), append(kept.Stop, s.Stop[i])
		over[p] = s.To[i] == Censored
	}
	for _, e := range []PseudoRegression{{State: "b", Time: 12}, {State: "b", Tau: 15}} {
		theta, values, err := e.PseudoValues(t.Context(), &kept)
		require.NoError(t, err)
		require.InDelta(t, theta, num.Sum(values)/float64(len(values)), 1e-12)
		r, err := e.Fit(t.Context(), &kept)
		require.NoError(t, err)
		require.InDelta(t, theta, r.Estimates[0].Value, 1e-12, "without covariates the intercept is the estimate")
	}
	e := PseudoRegression{State: "b", Tau: 15, Link: "log"}
	r, err := e.Fit(t.Context(), &kept)
	require.NoError(t, err)
	require.InDelta(t, r.Details["estimate"].(float64), math.Exp(r.Estimates[0].Value), 1e-10)
}

func TestPseudoRegressionRelationsAndRefusals(t *testing.T) {
	s := fickle(2, 120, .4, 20)
	x := mat.NewDense(120, 2, nil)
	for p := range 120 {
		st := num.NewStream(2, "x", uint64(p))
		x.SetRow(p, []float64{st.Normal(), st.Normal()})
	}
	e := PseudoRegression{State: "b", Time: 9, X: x, Names: []string{"u", "v"}, Workers: 1}
	base, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	e.Workers = 8
	again, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	s.Cluster = make([]int, 120)
	for p := range s.Cluster {
		s.Cluster[p] = p / 4
	}
	clustered, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, base.Estimates[1].Value, clustered.Estimates[1].Value)
	require.NotEqual(t, base.Estimates[1].SE, clustered.Estimates[1].SE)
	s.Cluster = nil
	hole := mat.DenseCopyOf(x)
	hole.Set(3, 1, math.NaN())
	e.X = hole
	r, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, codes(r), "rows-missing")
	require.Equal(t, 119, r.N.Units)
	e.X = x

	for what, change := range map[string]func(e *PseudoRegression){
		"link":     func(e *PseudoRegression) { e.Link = "probit" },
		"log":      func(e *PseudoRegression) { e.Link = "log" },
		"both":     func(e *PseudoRegression) { e.Tau = 9 },
		"neither":  func(e *PseudoRegression) { e.Time = 0 },
		"state":    func(e *PseudoRegression) { e.State = "x" },
		"names":    func(e *PseudoRegression) { e.Names = nil },
		"width":    func(e *PseudoRegression) { e.Names = e.Names[:1] },
		"infinite": func(e *PseudoRegression) { e.X = mat.DenseCopyOf(x); e.X.Set(2, 0, math.Inf(1)) },
	} {
		c := e
		change(&c)
		_, err := c.Fit(t.Context(), s)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame, what)
	}
	twice := mat.DenseCopyOf(x)
	for p := range 120 {
		twice.Set(p, 1, 2*x.At(p, 0))
	}
	e.X = twice
	_, err = e.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	e.X = x
	s.Weight = estimate.Weights{Kind: estimate.Matching, Values: make([]float64, 120)}
	_, err = e.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrWeights)
	s.Weight = estimate.Weights{}
	s.Group, s.GroupNames = make([]int, 120), []string{"g"}
	_, err = e.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
