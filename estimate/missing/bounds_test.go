package missing

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// Four treated with outcomes 1, 0, 1, ? and four others with 0, 1, ?, ? in [0, 1]:
// L = 2/4 - 3/4 = -1/4, U = 3/4 - 1/4 = 1/2; each difference of shares p has the error
// √(Σ_a p(1-p)/4·8/6): the four means are 1/2, 3/4, 3/4, 1/4, so V_L = (1/16 + 3/64)·8/6
// = 7/48 and V_U = (3/64 + 3/64)·8/6 = 1/8. The reference distribution is t on 6.
func TestManskiByHand(t *testing.T) {
	f := frame([]float64{1, 0, 1, math.NaN(), 0, 1, 9, 9}, []bool{true, true, true, true, false, false, false, false}, nil)
	m := Manski{Observed: []bool{true, true, true, false, true, true, false, false}, Low: 0, High: 1}
	r, err := m.Fit(t.Context(), f)
	require.NoError(t, err)
	checkBounds(t, r)
	near(t, -.25, r.Estimates[0].Value, 14)
	near(t, .5, r.Estimates[1].Value, 14)
	near(t, math.Sqrt(7./48), r.Estimates[0].SE, 14)
	near(t, math.Sqrt(1./8), r.Estimates[1].SE, 14)
	require.Equal(t, estimate.RiskDifference, r.Estimates[0].Measure)
	require.Equal(t, 1, r.Details["missing_treated"])
	require.Equal(t, 2, r.Details["missing_control"])
	c := r.Details["critical"].(float64)
	width := .75 / math.Sqrt(7./48)
	near(t, .95, 1-num.StudentTail(c, 6)/2-num.StudentTail(c+width, 6)/2, 12)
	near(t, .5+c*math.Sqrt(1./8), r.Estimates[1].CI.Hi, 13)
	q := 2.4469118511449692 // t on 6 at 0.975, from tables
	near(t, -.25-q*math.Sqrt(7./48), r.Details["set_interval"].([]float64)[0], 12)
	require.Less(t, c, q)
	require.Greater(t, c, 1.943180280) // at 0.95
	require.Equal(t, 6., r.Details["df"])

	// A wider range widens, and the width is (high - low)(1/4 + 2/4).
	m.Low, m.High = -1, 3
	r, err = m.Fit(t.Context(), f)
	require.NoError(t, err)
	near(t, 3, r.Estimates[1].Value-r.Estimates[0].Value, 13)
}

// Width 0 is the usual two-sided interval, a large one the one-sided quantile.
func TestImbensManskiEnds(t *testing.T) {
	near(t, num.NormalQuantile(.975), imbensManski(0, 1, .95, math.Inf(1)), 13)
	near(t, num.NormalQuantile(.95), imbensManski(50, 1, .95, math.Inf(1)), 13)
	near(t, num.NormalQuantile(.95), imbensManski(1, 0, .95, math.Inf(1)), 13)
	// Imbens and Manski (2004), table: at Δ/σ = 1 the factor for 95 % solves
	// Φ(C+1) - Φ(-C) = .95.
	near(t, 2.4469118511449692, imbensManski(0, 1, .95, 6), 12)
	near(t, 1.9431802805153022, imbensManski(1e9, 1, .95, 6), 12)
	c := imbensManski(1, 1, .95, math.Inf(1))
	near(t, .95, num.NormalTail(-c-1)/2*-1+1-num.NormalTail(c)/2, 12)
}

// Everybody observed: the plain difference.
func TestManskiWithoutMissing(t *testing.T) {
	f := frame([]float64{3, 1, 4, 1, 5, 9}, []bool{true, false, true, false, true, false}, nil)
	r, err := Manski{Observed: slices.Repeat([]bool{true}, 6), Low: 0, High: 10}.Fit(t.Context(), f)
	require.NoError(t, err)
	near(t, 4-11./3, r.Estimates[0].Value, 13)
	require.Equal(t, r.Estimates[0].Value, r.Estimates[1].Value)
	near(t, num.StudentQuantile(.95, 4), r.Details["critical"].(float64), 12)
	require.Equal(t, estimate.MeanDifference, r.Estimates[0].Measure)
}

// Ten treated, eight of them known with outcomes 1 … 8; ten others, six known with mean 2.
// κ = .6/.8 = 3/4: L = mean(1 … 6) - 2 = 3/2, U = mean(3 … 8) - 2 = 7/2.
// Lee's Proposition 3 with E[SD] = 8/20: for L the variance of the kept is 35/12, the cut 6.
func TestLeeByHand(t *testing.T) {
	y := []float64{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 0, 0}
	treated := slices.Concat(slices.Repeat([]bool{true}, 10), slices.Repeat([]bool{false}, 10))
	known := slices.Concat(slices.Repeat([]bool{true}, 8), []bool{false, false}, slices.Repeat([]bool{true}, 6), slices.Repeat([]bool{false}, 4))
	r, err := Lee{Observed: known}.Fit(t.Context(), frame(y, treated, nil))
	require.NoError(t, err)
	checkBounds(t, r)
	near(t, 1.5, r.Estimates[0].Value, 14)
	near(t, 3.5, r.Estimates[1].Value, 14)
	require.Equal(t, "treated", r.Details["trimmed_arm"])
	near(t, .25, r.Details["trimmed_share"].(float64), 14)
	near(t, .8, r.Details["observed_treated"].(float64), 14)
	// The variance of 1, 1, 2, 2, 3, 3 is 2/3. Everything below is Lee's, times 20/18.
	n, sd1, p := 20., .4, .25
	vp := (1 - p) * (1 - p) * (.2/(.5*.8) + .4/(.5*.6))
	lee := func(variance, gap float64) float64 {
		trimmed := variance/(sd1*(1-p)) + gap*gap*p/(sd1*(1-p)) + gap*gap/((1-p)*(1-p))*vp
		return math.Sqrt((trimmed + 2./3/.3) / n * 20 / 18)
	}
	near(t, lee(35./12, 6-3.5), r.Estimates[0].SE, 13)
	near(t, lee(35./12, 3-5.5), r.Estimates[1].SE, 13)

	// Arms swapped: the bounds change sign and place, and the comparison arm is trimmed.
	for i := range treated {
		treated[i] = !treated[i]
	}
	s, err := Lee{Observed: known}.Fit(t.Context(), frame(y, treated, nil))
	require.NoError(t, err)
	near(t, -3.5, s.Estimates[0].Value, 14)
	near(t, r.Estimates[1].SE, s.Estimates[0].SE, 13)
	require.Equal(t, "control", s.Details["trimmed_arm"])
}

// With every outcome known both bounds are the weighted difference in means with its error, by row and by cluster.
func TestBoundsOfKnownOutcomes(t *testing.T) {
	y, treated, _, w, _ := random(60, 4)
	known := slices.Repeat([]bool{true}, 60)
	for _, clustered := range []bool{false, true} {
		f, vcov := frame(y, treated, w), effect.HC1
		if clustered {
			vcov = effect.CR1
			for i := range y {
				f.Cluster = append(f.Cluster, i/5)
			}
		}
		want, err := effect.Difference{Vcov: vcov}.Fit(t.Context(), f)
		require.NoError(t, err)
		for name, e := range map[string]estimate.Estimator{"manski": Manski{Observed: known, Low: -9, High: 9}, "lee": Lee{Observed: known}} {
			r, err := e.Fit(t.Context(), f)
			require.NoError(t, err)
			for _, b := range r.Estimates {
				near(t, want.Estimates[0].Value, b.Value, 13)
				near(t, want.Estimates[0].SE, b.SE, 12)
				near(t, want.Estimates[0].CI.Lo, b.CI.Lo, 11)
				near(t, want.Estimates[0].CI.Hi, b.CI.Hi, 11)
			}
			codes := []string{}
			for _, n := range r.Notes {
				codes = append(codes, n.Code)
			}
			require.Equal(t, clustered, slices.Contains(codes, "few-clusters"), name)
		}
	}
}

func random(n int, seed uint64) (y []float64, treated, known []bool, w []float64, cells []int) {
	for i := range n {
		s := num.NewStream(seed, "bounds", uint64(i))
		d := i%2 == 0
		cell := s.Intn(2)
		p := .55 + .3*float64(cell)
		if d {
			p += .12
		}
		y, treated, known = append(y, s.Normal()+float64(cell)), append(treated, d), append(known, s.Bernoulli(p))
		w, cells = append(w, .5+s.Float()), append(cells, cell)
	}
	return y, treated, known, w, cells
}

// An influence function is the derivative by the weights.
func TestBoundsInfluenceIsTheDerivative(t *testing.T) {
	y, treated, known, w, cells := random(60, 3)
	for name, e := range map[string]estimate.Estimator{
		"manski": Manski{Observed: known, Low: -5, High: 5}, "lee": Lee{Observed: known}, "lee by cell": Lee{Observed: known, Cells: cells},
	} {
		r, err := e.Fit(t.Context(), frame(y, treated, w))
		require.NoError(t, err)
		checkBounds(t, r)
		for j := range 2 {
			for i := range y {
				d := derivative(w, i, func(w []float64) float64 {
					r, err := e.Fit(t.Context(), frame(y, treated, w))
					require.NoError(t, err)
					return r.Estimates[j].Value
				})
				require.InDelta(t, d, r.Influence.At(i, j), 2e-7, "%s %d %d", name, j, i)
			}
		}
	}
}

// Cells cannot widen; copies in one cluster and shifted outcomes change nothing; scale scales.
func TestLeeRelations(t *testing.T) {
	y, treated, known, w, cells := random(400, 5)
	at := func(y []float64, w []float64, l Lee) *estimate.Result {
		r, err := l.Fit(t.Context(), frame(y, treated, w))
		require.NoError(t, err)
		return r
	}
	one, by := at(y, w, Lee{Observed: known}), at(y, w, Lee{Observed: known, Cells: cells})
	require.Greater(t, one.Estimates[1].Value-one.Estimates[0].Value, by.Estimates[1].Value-by.Estimates[0].Value)
	shifted, scaled, heavier := slices.Clone(y), slices.Clone(y), slices.Clone(w)
	for i := range y {
		shifted[i] += 7
		scaled[i] *= -3
		heavier[i] *= 4
	}
	near(t, by.Estimates[0].Value, at(shifted, w, Lee{Observed: known, Cells: cells}).Estimates[0].Value, 11)
	near(t, -3*by.Estimates[0].Value, at(scaled, w, Lee{Observed: known, Cells: cells}).Estimates[1].Value, 11)
	near(t, by.Estimates[0].SE, at(y, heavier, Lee{Observed: known, Cells: cells}).Estimates[0].SE, 11)
	f := frame(slices.Concat(y, y), slices.Concat(treated, treated), slices.Concat(w, w))
	for i := range f.Y {
		f.Cluster = append(f.Cluster, i%len(y))
	}
	two, err := Lee{Observed: slices.Concat(known, known)}.Fit(t.Context(), f)
	require.NoError(t, err)
	near(t, one.Estimates[0].Value, two.Estimates[0].Value, 12)
	// Without clusters 400/398, with them 400/399·799/798.
	near(t, one.Estimates[1].SE, two.Estimates[1].SE*math.Sqrt(400./398/(400./399*799/798)), 12)
	require.Equal(t, 400, two.N.Clusters)

	same, err := Lee{Observed: slices.Repeat([]bool{true}, 400)}.Fit(t.Context(), frame(y, treated, w))
	require.NoError(t, err)
	require.Equal(t, "none", same.Details["trimmed_arm"])
	require.Equal(t, same.Estimates[0].Value, same.Estimates[1].Value)
}

// Outcomes 0 and 1 are cut in part: treated 6 of 8 known with four ones, others 3 of 6
// known: κ = 2/3, kept 4 of 6; L keeps two ones (1/2), U four (1).
func TestLeeCutsTiesInPart(t *testing.T) {
	y := []float64{1, 1, 1, 1, 0, 0, 9, 9, 1, 0, 0, 9, 9, 9}
	var treated, known []bool
	for i := range y {
		treated, known = append(treated, i < 8), append(known, y[i] != 9)
	}
	r, err := Lee{Observed: known}.Fit(t.Context(), frame(y, treated, nil))
	require.NoError(t, err)
	near(t, .5-1./3, r.Estimates[0].Value, 13)
	near(t, 1-1./3, r.Estimates[1].Value, 13)
}

func TestBoundsErrors(t *testing.T) {
	y, treated, known, w, cells := random(40, 9)
	f := frame(y, treated, w)
	all := slices.Repeat([]bool{true}, 40)
	copies := frame(y, treated, nil)
	copies.Weight = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{1}, 40)}
	for i, c := range []struct {
		e  estimate.Estimator
		f  *estimate.Frame
		is error
	}{
		{Manski{Observed: known, Low: 1, High: 1}, f, ErrOption},
		{Manski{Observed: known, Low: 0, High: math.Inf(1)}, f, ErrOption},
		{Manski{Observed: all, Low: -.1, High: .1}, f, estimate.ErrInvalidFrame},
		{Manski{Observed: known[:3], Low: -9, High: 9}, f, ErrOption},
		{Manski{Observed: known, Low: -9, High: 9}, copies, estimate.ErrWeights},
		{Manski{Observed: known, Low: -9, High: 9}, frame(y, nil, nil), estimate.ErrInvalidFrame},
		{Manski{Observed: known, Low: -9, High: 9}, frame(y, make([]bool, 40), nil), estimate.ErrNoTreated},
		{Manski{Observed: known, Low: -9, High: 9}, frame(y, all, nil), estimate.ErrNoControls},
		{Lee{Observed: known, Cells: cells[:2]}, f, ErrOption},
		{Lee{Observed: make([]bool, 40)}, f, estimate.ErrNotIdentified},
		{Lee{Observed: known, Cells: slices.Concat([]int{7}, cells[1:])}, f, estimate.ErrNotIdentified},
	} {
		_, err := c.e.Fit(t.Context(), c.f)
		require.ErrorIs(t, err, c.is, "%d", i)
	}
}

// Not at random: outcomes are hidden because of what they are, less often where treated.
// Complete cases miss the effect on those always known, Lee's interval covers it; the
// worst-case interval covers the effect on all.
func TestBoundsCoverageNotAtRandom(t *testing.T) {
	reps := 400 * sim.Factor
	if testing.Short() {
		reps = 100
	}
	lee, manski, naive := 0, 0, 0
	for r := range reps {
		var y []float64
		var treated, known []bool
		for i := range 400 {
			s := num.NewStream(77, "nature", uint64(r*1000+i))
			u, d := s.Normal(), i%2 == 0
			// Known untreated: u > 0; known treated: u > -.7. The effect is .5 for all.
			v := u
			if d {
				v += .5
			}
			v = math.Max(-3, math.Min(3, v))
			y, treated, known = append(y, v), append(treated, d), append(known, u > 0 || d && u > -.7)
		}
		f := frame(y, treated, nil)
		l, err := Lee{Observed: known}.Fit(t.Context(), f)
		require.NoError(t, err)
		m, err := Manski{Observed: known, Low: -3, High: 3}.Fit(t.Context(), f)
		require.NoError(t, err)
		covers := func(e estimate.Estimate) int {
			if e.CI.Lo <= .5 && .5 <= e.CI.Hi {
				return 1
			}
			return 0
		}
		lee, manski = lee+covers(l.Estimates[0]), manski+covers(m.Estimates[0])
		var mean, n, ss [2]float64
		for i := range y {
			if known[i] {
				mean[arm(treated[i])] += y[i]
				ss[arm(treated[i])] += y[i] * y[i]
				n[arm(treated[i])]++
			}
		}
		v := 0.0
		for k := range mean {
			mean[k] /= n[k]
			v += (ss[k]/n[k] - mean[k]*mean[k]) / n[k]
		}
		naive += covers(estimate.Wald("", "", mean[1]-mean[0], math.Sqrt(v), math.Inf(1), .95))
	}
	for what, k := range map[string]int{"lee bounds": lee, "worst-case bounds": manski, "complete cases (must fail)": naive} {
		sim.Share(t, what, float64(k)/float64(reps), reps)
	}
	// The truth is the lower end of neither's range but U for Lee: trimming from below
	// recovers the always-known exactly, so that its coverage is the nominal one.
	require.InDelta(t, .95, float64(lee)/float64(reps), map[bool]float64{true: .0718, false: .0359}[testing.Short()])
	require.GreaterOrEqual(t, float64(manski)/float64(reps), .95-.0359)
	require.Less(t, float64(naive)/float64(reps), .5)
}

// A range beyond 0 and 1 is not that of a share, also where every known outcome is 0 or 1.
func TestManskiMeasureFollowsTheRange(t *testing.T) {
	f := &estimate.Frame{Level: 0.95}
	for i := range 12 {
		f.Unit, f.Treated, f.Y = append(f.Unit, string(rune('a'+i))), append(f.Treated, i%2 == 0), append(f.Y, float64(i%3%2))
	}
	observed := make([]bool, 12)
	for i := range observed {
		observed[i] = i > 2
	}
	for _, c := range []struct {
		high float64
		want estimate.Measure
	}{{1, estimate.RiskDifference}, {10, estimate.MeanDifference}} {
		res, err := Manski{Observed: observed, Low: 0, High: c.high}.Fit(t.Context(), f)
		require.NoError(t, err)
		require.Equal(t, c.want, res.Estimates[0].Measure)
	}
}
