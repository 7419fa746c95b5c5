package progress

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// A weight of 2 is two people who are alike, in every number and, as one cluster, in every error; doubling all weights changes nothing,
// and somebody of weight 0 might as well not be there.
func TestSurrogateWeightsAreCopies(t *testing.T) {
	plain := d8(3, 300)
	n := len(plain.Unit)
	weighted, copies := plain.pick(func(i int) int { return i }), &SurrogateSample{SNames: plain.SNames, XNames: plain.XNames, Level: plain.Level}
	weighted.Weight.Kind = estimate.Matching
	var s, x []float64
	for i := range n {
		w := 1 + i%2
		weighted.Weight.Values, weighted.Cluster = append(weighted.Weight.Values, float64(w)), append(weighted.Cluster, i)
		for c := range w {
			copies.Unit, copies.Older, copies.Treated = append(copies.Unit, fmt.Sprintf("%s-%d", plain.Unit[i], c)), append(copies.Older, plain.Older[i]), append(copies.Treated, plain.Treated[i])
			copies.Y, copies.Cluster = append(copies.Y, plain.Y[i]), append(copies.Cluster, i)
			s, x = append(s, plain.S.RawRowView(i)...), append(x, plain.X.RawRowView(i)...)
		}
	}
	copies.S, copies.X = mat.NewDense(len(copies.Unit), 2, s), mat.NewDense(len(copies.Unit), 1, x)
	for name, e := range map[string]Surrogate{"logistic": {}, "constant": {TreatmentModel: "constant"}, "older": {Population: "older"}} {
		a, err := e.Fit(t.Context(), weighted)
		require.NoError(t, err)
		b, err := e.Fit(t.Context(), copies)
		require.NoError(t, err)
		require.Len(t, a.Estimates, len(b.Estimates))
		for k := range a.Estimates {
			reftest.Agree(t, name+" "+a.Estimates[k].Term, a.Estimates[k].Value, b.Estimates[k].Value, 8)
			reftest.Agree(t, name+" error "+a.Estimates[k].Term, a.Estimates[k].SE, b.Estimates[k].SE, 7)
		}
		reftest.Agree(t, "plug-in", a.Details["plug_in"].(float64), b.Details["plug_in"].(float64), 8)
		for k, row := range a.Details["truth"].([]SurrogateTruth) {
			other := b.Details["truth"].([]SurrogateTruth)[k]
			reftest.Agree(t, "truth", row.Difference, other.Difference, 7)
			reftest.Agree(t, "error", row.StdError, other.StdError, 7)
		}
		unweighted, err := e.Fit(t.Context(), plain)
		require.NoError(t, err)
		require.NotEqual(t, unweighted.Estimates[0].Value, a.Estimates[0].Value)
		require.Contains(t, noteCodes(a.Notes), "weights-fixed")
	}
	base, err := Surrogate{}.Fit(t.Context(), weighted)
	require.NoError(t, err)
	double := *weighted
	double.Weight.Values = make([]float64, n)
	for i, w := range weighted.Weight.Values {
		double.Weight.Values[i] = 2 * w
	}
	twice, err := Surrogate{}.Fit(t.Context(), &double)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(twice.Estimates))
	double.Weight.Values[0] = 0
	without, err := Surrogate{}.Fit(t.Context(), &double)
	require.NoError(t, err)
	require.Contains(t, noteCodes(without.Notes), "zero-weight")
	require.Equal(t, base.N.Units-1, without.N.Units)
	for _, bad := range []estimate.Weights{{Kind: estimate.Frequency, Values: double.Weight.Values}, {Values: double.Weight.Values}, {Kind: estimate.Matching, Values: []float64{1}}, {Kind: estimate.Matching, Values: append([]float64{-1}, double.Weight.Values[1:]...)}} {
		double.Weight = bad
		_, err = Surrogate{}.Fit(t.Context(), &double)
		require.Error(t, err)
	}
	// The quality of the index, too: two folds made by clusters are the same in both.
	binary := d5(5, 4, 400, 0, false)
	binary.Weight.Kind = estimate.Sampling
	for i := range binary.Unit {
		binary.Weight.Values = append(binary.Weight.Values, 1)
		binary.Cluster = append(binary.Cluster, i)
	}
	one, err := IndexQuality{Folds: 2, Seed: 1}.Fit(t.Context(), binary, nil)
	require.NoError(t, err)
	binary.Weight = estimate.Weights{}
	none, err := IndexQuality{Folds: 2, Seed: 1}.Fit(t.Context(), binary, nil)
	require.NoError(t, err)
	reftest.Agree(t, "gain", one.Gain.Value, none.Gain.Value, 10)
	reftest.Agree(t, "error", one.Gain.SE, none.Gain.SE, 10)
	reftest.Agree(t, "slope", one.Slope, none.Slope, 8)
}

// Odds weights make it the effect on the participants: the effect on the surrogate is 1 + x, participants have more x, and comparison
// people weighted by e^x are alike them. Truth E[1 + x | W = 1]; unweighted the index is about everybody.
func TestSurrogateOddsWeightsAreAboutParticipants(t *testing.T) {
	const n = 20000
	s := &SurrogateSample{S: mat.NewDense(n, 1, nil), SNames: []string{"s"}, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: .95, Weight: estimate.Weights{Kind: estimate.Matching}}
	for i := range n {
		st := num.NewStream(31, "odds", uint64(i))
		x := st.Normal()
		older, treated := st.Bernoulli(.4), st.Bernoulli(logistic(x))
		a, w := .5*x+st.Normal(), 1.0
		if treated {
			a += 1 + x
		} else if !older {
			w = logistic(x) / (1 - logistic(x))
		}
		s.Unit, s.Older, s.Treated = append(s.Unit, fmt.Sprintf("u%05d", i)), append(s.Older, older), append(s.Treated, treated)
		s.Y, s.Weight.Values = append(s.Y, a+st.Normal()), append(s.Weight.Values, w)
		s.S.Set(i, 0, a)
		s.X.Set(i, 0, x)
	}
	truth := average(func(x float64) float64 { return 1 + x }, logistic)
	r, err := Surrogate{}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, truth, r.Estimates[0].Value, 3.5*r.Estimates[0].SE)
	s.Weight = estimate.Weights{}
	r, err = Surrogate{}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, 1, r.Estimates[0].Value, 3.5*r.Estimates[0].SE)
	require.Greater(t, truth, 1.3)
}
