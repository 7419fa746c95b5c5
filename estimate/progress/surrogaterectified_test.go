package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// Cells of one surrogate, half of each known: treated s = 1 (4 people, 2 and 4 known: h = 3), s = 0 (2 people, 1 known);
// others s = 1 (2 people, 2 known), s = 0 (4 people, 0 and 1 known: h = ½). τ = (4·3 + 2·1)/6 − (2·2 + 4·½)/6 = 4/3.
// ψ − τ = ±2·[h − μ + 2R(Y − h)], μ₁ = 7/3, μ₀ = 1: treated 2·(−4/3, 8/3, 2/3, 2/3, −4/3, −4/3), others
// −2·(1, 1, −3/2, ½, −½, −½). Σ(ψ − τ)² = 480/9 + 20, SE = √(660/9)/12.
func TestRectifiedByHand(t *testing.T) {
	rows := [][4]float64{
		{1, 0, 1, 3}, {1, 1, 1, 2}, {1, 0, 0, 1}, {1, 1, 0, 0},
		{0, 1, 1, 2}, {0, 1, 1, 4}, {0, 1, 1, noOutcome}, {0, 1, 1, noOutcome}, {0, 1, 0, 1}, {0, 1, 0, noOutcome},
		{0, 0, 1, 2}, {0, 0, 1, noOutcome}, {0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0, 0, noOutcome}, {0, 0, 0, noOutcome},
	}
	r, err := Surrogate{MinPerArm: 1}.Fit(t.Context(), surrogateCells(rows...))
	require.NoError(t, err)
	e := r.Estimates[len(r.Estimates)-1]
	require.Equal(t, "rectified", e.Term)
	require.InDelta(t, 4.0/3, e.Value, 1e-10)
	require.InDelta(t, math.Sqrt(660.0/9)/12, e.SE, 1e-10)
	require.Equal(t, "rectified", r.Details["headline"])
	require.Equal(t, 0.5, r.Details["arrived"])
	n, k := r.Influence.Dims()
	require.Equal(t, len(r.Estimates), k)
	require.Equal(t, 16, n)

	// Under a third the forecast leads; at a third the outcomes that have come do.
	for i := range rows {
		if i == 13 || i == 8 {
			rows[i][3] = noOutcome
		}
	}
	r, err = Surrogate{MinPerArm: 1}.Fit(t.Context(), surrogateCells(rows...))
	require.NoError(t, err)
	require.Equal(t, "index", r.Details["headline"])
	require.Contains(t, noteCodes(r.Notes), "rectified-not-possible", "4 of 12 have come, 2 an arm for 2 columns")
	rows[4][3] = noOutcome
	r, err = Surrogate{MinPerArm: 1}.Fit(t.Context(), surrogateCells(rows...))
	require.NoError(t, err)
	require.NotContains(t, noteCodes(r.Notes), "rectified-not-possible")
	require.NotContains(t, noteCodes(r.Notes), "outcome-arrived")
}

// d8 is design D8: the surrogates carry .335 of an effect of .400, and the outcome has come for a share of the programme
// that depends on the surrogates.
func d8(rep uint64, n int) *SurrogateSample {
	s := &SurrogateSample{S: mat.NewDense(n, 2, nil), SNames: []string{"s", "s2"}, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: 0.95}
	for i := range n {
		st := num.NewStream(8, "d8", rep<<32|uint64(i))
		x, w := st.Normal(), 0.0
		older, treated := st.Bernoulli(.3), st.Bernoulli(.5)
		if treated {
			w = 1
		}
		a := .5*x + .5*w + st.Normal()
		b := .3*a + .3*w + st.Normal()
		y := .4*a + .3*b + .4*x + st.Normal()
		if !older {
			y += .065 * w // the older cohort had the same programme without this part
		}
		if !older && !st.Bernoulli(logistic(-.9+.3*a-.2*w)) {
			y = noOutcome
		}
		s.Unit = append(s.Unit, fmt.Sprintf("u%06d", i))
		s.Older, s.Treated, s.Y = append(s.Older, older), append(s.Treated, treated), append(s.Y, y)
		s.X.Set(i, 0, x)
		s.S.SetRow(i, []float64{a, b})
	}
	return s
}

// D8: the rectified estimate covers the truth where the index, which assumes surrogacy, does not, and is
// more exact than the outcomes that have come alone.
func TestD8PartialFollowUp(t *testing.T) {
	reps := 200 * sim.Factor
	if testing.Short() {
		reps = 50
	}
	const truth = .4
	var covered, share, mean, square, errors, index, alone, alone2 float64
	k := float64(reps)
	for rep := range reps {
		s := d8(uint64(rep), 2000)
		e, err := Surrogate{}.check(s)
		require.NoError(t, err)
		f, err := newSurrogateFit(e, s)
		require.NoError(t, err)
		require.NoError(t, f.nuisances(t.Context()))
		tau, inf, err := f.rectified(t.Context())
		require.NoError(t, err)
		plain, _, err := f.index()
		require.NoError(t, err)
		se := math.Sqrt(num.Dot(inf, inf))
		if math.Abs(tau-truth) < 1.959963984540054*se {
			covered++
		}
		share += float64(f.arrived) / float64(f.count[0]+f.count[1]) / k
		mean, square, errors, index = mean+tau/k, square+tau*tau/k, errors+se/k, index+plain/k
		var sum, count [2]float64
		for i, known := range f.known {
			if known && !f.older[i] {
				sum[int(f.treated[i])] += f.y[i]
				count[int(f.treated[i])]++
			}
		}
		d := sum[1]/count[1] - sum[0]/count[0]
		alone, alone2 = alone+d/k, alone2+d*d/k
	}
	sd := math.Sqrt(square - mean*mean)
	t.Logf("arrived %.2f; rectified %.4f, SD %.4f, mean SE %.4f, coverage %.3f; index %.4f; arrived alone %.4f, SD %.4f",
		share, mean, sd, errors, covered/k, index, alone, math.Sqrt(alone2-alone*alone))
	require.InDelta(t, truth, mean, 3*sd/math.Sqrt(k))
	require.InDelta(t, .95, covered/k, 1.96*math.Sqrt(.95*.05/k)+.015)
	require.InEpsilon(t, sd, errors, .12)
	require.InDelta(t, .335, index, .02, "the forecast misses the direct part")
	require.Less(t, sd, .9*math.Sqrt(alone2-alone*alone))
}
