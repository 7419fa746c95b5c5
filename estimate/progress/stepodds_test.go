package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// counted makes persons of counts by arm and step.
func counted(counts ...[]int) *estimate.Frame {
	f := &estimate.Frame{Level: .95}
	for a, steps := range counts {
		for k, n := range steps {
			for range n {
				f.Unit, f.Y, f.Treated = append(f.Unit, fmt.Sprintf("p%04d", len(f.Unit))), append(f.Y, float64(k+1)), append(f.Treated, a == 1)
			}
		}
	}
	return f
}

// Without covariates the partial model is saturated: odds ratios of the 2×2 tables at each cut, log likelihood Σ n log share. Comparison 20, 15,
// 5; participants 10, 12, 18: at step 2 (30/10)/(20/20), at step 3 (18/22)/(5/35); errors √(Σ 1/n) of the table.
func TestStepOddsByHand(t *testing.T) {
	f := counted([]int{20, 15, 5}, []int{10, 12, 18})
	r, err := StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, "step>=2", r.Estimates[1].Term)
	require.InDelta(t, math.Log(3), r.Estimates[1].Value, 1e-9)
	require.InDelta(t, math.Log(18.0/22*35/5), r.Estimates[2].Value, 1e-9)
	require.InDelta(t, math.Sqrt(1.0/30+1.0/10+1.0/20+1.0/20), r.Estimates[1].SE, 1e-8)
	require.InDelta(t, math.Sqrt(1.0/18+1.0/22+1.0/5+1.0/35), r.Estimates[2].SE, 1e-8)
	like := 0.0
	for _, arm := range [][]float64{{20, 15, 5}, {10, 12, 18}} {
		for _, n := range arm {
			like += n * math.Log(n/40)
		}
	}
	require.InDelta(t, like, r.Details["loglik"].([]float64)[1], 1e-9)
	// MASS polr of the same counts (R 4.2, reltol 1e-14).
	require.InDelta(t, 1.360719886, r.Estimates[0].Value, 1e-7)
	require.InDelta(t, -82.324624161, r.Details["loglik"].([]float64)[0], 1e-8)
	h := r.Details["proportional_odds"].(Heterogeneity)
	require.Equal(t, 1, h.DF)
	require.InDelta(t, 2*(like-r.Details["loglik"].([]float64)[0]), h.Statistic, 1e-9)
	// Two logits of one arm have the covariance 1/(n·P(Y ≥ 2)·P(Y < 3)).
	w, v := r.Details["proportional_odds_wald"].(Heterogeneity), 0.0
	for k := range 2 {
		v += r.Estimates[k+1].SE * r.Estimates[k+1].SE
	}
	v -= 2 * (1/(40*.75*.55) + 1/(40*.5*.875))
	require.Equal(t, 1, w.DF)
	require.InDelta(t, math.Pow(r.Estimates[2].Value-r.Estimates[1].Value, 2)/v, w.Statistic, 1e-8)

	// Two steps: both models are the logit, and there is nothing to test.
	f = counted([]int{20, 20}, []int{10, 30})
	r, err = StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.InDelta(t, math.Log(3), r.Estimates[0].Value, 1e-9)
	require.InDelta(t, math.Log(3), r.Estimates[1].Value, 1e-9)
	require.True(t, math.IsNaN(r.Details["proportional_odds"].(Heterogeneity).P))

	// A programme that lifts from the lowest step and takes from the highest.
	r, err = StepOdds{}.Fit(t.Context(), counted([]int{40, 20, 20, 40}, []int{20, 50, 40, 10}))
	require.NoError(t, err)
	require.Contains(t, noteCodes(r.Notes), "odds-not-proportional")
	require.Positive(t, r.Estimates[1].CI.Lo)
	require.Negative(t, r.Estimates[3].CI.Hi)
}

// An outcome drawn from the model: both fits find it, and the test keeps its level.
func TestStepOddsRecovers(t *testing.T) {
	reps, rejected := 100, 0
	if testing.Short() {
		reps = 30
	}
	var mean, covered float64
	for rep := range reps {
		f := &estimate.Frame{Level: .95, X: mat.NewDense(300, 1, nil), XNames: []string{"x"}}
		for i := range 300 {
			st := num.NewStream(3, "odds", uint64(rep)<<32|uint64(i))
			x, w, u := st.Normal(), st.Bernoulli(.5), st.Float()
			eta := .5*x + .6*float64(arm(w)) + math.Log(u/(1-u))
			y := 1.0
			for _, cut := range []float64{-.8, .4, 1.5} {
				if eta > cut {
					y++
				}
			}
			f.Unit, f.Y, f.Treated = append(f.Unit, fmt.Sprintf("p%03d", i)), append(f.Y, y), append(f.Treated, w)
			f.X.Set(i, 0, x)
		}
		r, err := StepOdds{}.Fit(t.Context(), f)
		require.NoError(t, err)
		mean += r.Estimates[0].Value / float64(reps)
		if r.Estimates[0].CI.Lo <= .6 && .6 <= r.Estimates[0].CI.Hi {
			covered += 1 / float64(reps)
		}
		if r.Details["proportional_odds"].(Heterogeneity).P < .05 {
			rejected++
		}
	}
	require.InDelta(t, .6, mean, .08)
	require.Greater(t, covered, .95-3.1*math.Sqrt(.95*.05/float64(reps)))
	require.LessOrEqual(t, float64(rejected)/float64(reps), .05+3.1*math.Sqrt(.95*.05/float64(reps)))
}

func TestStepOddsRelationsAndRefusals(t *testing.T) {
	f := counted([]int{20, 15, 5}, []int{10, 12, 18})
	base, err := StepOdds{Workers: 1}.Fit(t.Context(), f)
	require.NoError(t, err)
	turned := &estimate.Frame{Level: .95}
	for i := range f.Unit {
		k := (i*7 + 3) % len(f.Unit)
		turned.Unit, turned.Y, turned.Treated = append(turned.Unit, f.Unit[k]), append(turned.Y, 10*f.Y[k]), append(turned.Treated, f.Treated[k])
	}
	again, err := StepOdds{Workers: 8}.Fit(t.Context(), turned)
	require.NoError(t, err)
	for k := range base.Estimates {
		require.Equal(t, base.Estimates[k].Value, again.Estimates[k].Value, "only the order of the steps counts")
		require.Equal(t, base.Estimates[k].SE, again.Estimates[k].SE)
	}
	for i := range f.Y {
		turned.Y[i] = -turned.Y[i]
	}
	down, err := StepOdds{}.Fit(t.Context(), turned)
	require.NoError(t, err)
	require.InDelta(t, -base.Estimates[0].Value, down.Estimates[0].Value, 1e-9)
	require.InDelta(t, -base.Estimates[1].Value, down.Estimates[2].Value, 1e-9)

	f.Cluster = make([]int, len(f.Y))
	for i := range f.Cluster {
		f.Cluster[i] = i % 20
	}
	r, err := StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Contains(t, noteCodes(r.Notes), "odds-test-left-out")
	require.NotContains(t, r.Details, "proportional_odds")
	require.NotEqual(t, base.Estimates[0].SE, r.Estimates[0].SE)
	f.Cluster = nil
	f.Weight = estimate.Weights{Kind: estimate.Matching, Values: make([]float64, len(f.Y))}
	for i := range f.Y {
		f.Weight.Values[i] = 1 + float64(i%3)
	}
	r, err = StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.NotEqual(t, base.Estimates[0].Value, r.Estimates[0].Value)
	f.Weight.Kind = estimate.Frequency
	_, err = StepOdds{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrWeights)

	for what, c := range map[string]struct {
		f    *estimate.Frame
		want error
	}{
		"few":       {counted([]int{5, 5}, []int{5, 5}), estimate.ErrTooFew},
		"one step":  {counted([]int{20}, []int{20}), estimate.ErrTooFew},
		"separated": {counted([]int{20, 10, 0}, []int{10, 12, 18}), estimate.ErrSeparated},
		"nobody":    {counted([]int{20, 10}), estimate.ErrNoTreated},
		// Comparison people are above and below step 3, never on it: not a fit that does not end, but an edge with a name.
		"gap in one arm": {counted([]int{10, 12, 0, 4}, []int{5, 6, 8, 4}), estimate.ErrSeparated},
	} {
		_, err := StepOdds{}.Fit(t.Context(), c.f)
		require.ErrorIs(t, err, c.want, what)
	}
	f = counted([]int{20, 15, 5}, []int{10, 12, 18})
	f.X, f.XNames = mat.NewDense(len(f.Y), 1, nil), []string{"copy"}
	for i, w := range f.Treated {
		f.X.Set(i, 0, float64(arm(w)))
	}
	_, err = StepOdds{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	f.Set = make([]int, len(f.Y))
	_, err = StepOdds{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
