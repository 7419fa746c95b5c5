package progress

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func steps(treated, control []float64) *Steps {
	s := &Steps{}
	s.Level = 0.95
	for i, y := range slices.Concat(treated, control) {
		s.Unit, s.Y = append(s.Unit, fmt.Sprintf("u%05d", i)), append(s.Y, y)
		s.Treated = append(s.Treated, i < len(treated))
	}
	return s
}

func wins(t *testing.T, s *Steps) *estimate.Result {
	t.Helper()
	r, err := Wins{MinPerArm: 1}.Fit(t.Context(), s)
	require.NoError(t, err)
	return r
}

// Participants on 3 and 1, comparison people on 1 and 2. Pairs: 3>1, 3>2, 1=1, 1<2, so
// w = ½, l = ¼, WP = .625. h of participants 1 and .25, of comparison people .75 and .5:
// V = 2·.375²/2²·2 + 2·.125²/2²·2 = .15625, half of it with divisor n. For the log of the win
// ratio the influences are ±1 and ±½: V = (2 + ½)·2 = 5.
func TestWinsByHand(t *testing.T) {
	r := wins(t, steps([]float64{3, 1}, []float64{1, 2}))
	e, se := r.Estimates, math.Sqrt(0.15625)
	for m, want := range []float64{0.625, 5.0 / 3, 0.25, 2} {
		reftest.Agree(t, string(e[m].Measure), e[m].Value, want, 14)
		reftest.Agree(t, "cov", r.Cov.At(m, m), e[m].SE*e[m].SE, 13)
	}
	reftest.Agree(t, "se", e[0].SE, se, 14)
	reftest.Agree(t, "se of net benefit", e[2].SE, 2*se, 14)
	reftest.Agree(t, "se of win odds", e[1].SE, se/(0.375*0.375), 14)
	reftest.Agree(t, "se of win ratio", e[3].SE, 2*math.Sqrt(5), 14)
	u := 1.959963984540054 * se / (0.625 * 0.375)
	reftest.Agree(t, "logit interval", e[0].CI.Lo, 1/(1+math.Exp(-(math.Log(5.0/3)-u))), 13)
	reftest.Agree(t, "interval of the odds", e[1].CI.Hi, math.Exp(math.Log(5.0/3)+u), 12)
	reftest.Agree(t, "interval of the benefit", e[2].CI.Lo, 2*e[0].CI.Lo-1, 12)
	reftest.Agree(t, "interval of the ratio", e[3].CI.Lo, 2*math.Exp(-1.959963984540054*math.Sqrt(5)), 13)
	reftest.Agree(t, "test", e[0].Test.Stat, math.Log(5.0/3)/(se/(0.625*0.375)), 13)
	require.Equal(t, []float64{0.5, 1, 0, 1}, []float64{e[0].Test.Null, e[1].Test.Null, e[2].Test.Null, e[3].Test.Null})
	require.Equal(t, e[0].Test.P, e[1].Test.P)
	reftest.Agree(t, "ratio test", e[3].Test.Stat, math.Log(2)/math.Sqrt(5), 13)
	require.Equal(t, map[string]float64{"wins": 2, "losses": 1, "ties": 1}, r.Details["pairs"])
	require.Equal(t, 0.25, r.Details["tie_share"])
	require.Equal(t, []StepShare{{1, 0.5, 0.5}, {2, 0, 0.5}, {3, 0.5, 0}}, r.Details["step_table"])
	require.Equal(t, estimate.Counts{Units: 4, Treated: 2}, r.N)
}

// hce divides the variance by n and so understates it; DeLong's n−1 is unbiased.
func TestWinsVarianceIsUnbiased(t *testing.T) {
	r := wins(t, steps([]float64{3, 1}, []float64{1, 2}))
	reftest.Agree(t, "divisor n", r.Details["std_error_divisor_n"].(float64), math.Sqrt(0.078125), 14)
	reftest.Agree(t, "ratio", r.Estimates[0].SE/r.Details["std_error_divisor_n"].(float64), math.Sqrt(2), 14)
	// Over all 6⁴ samples of 2 and 2 from three steps, the mean of the variance estimate is the variance.
	p1, p0 := []float64{0.5, 0.2, 0.3}, []float64{0.1, 0.6, 0.3}
	var mean, square, estimated float64
	for x := range 81 {
		a, b, c, d := x%3, x/3%3, x/9%3, x/27
		q := p1[a] * p1[b] * p0[c] * p0[d]
		r := wins(t, steps([]float64{float64(a), float64(b)}, []float64{float64(c), float64(d)}))
		mean += q * r.Estimates[0].Value
		square += q * r.Estimates[0].Value * r.Estimates[0].Value
		estimated += q * r.Cov.At(0, 0)
	}
	require.InDelta(t, 0.5+(0.5*0+0.2*0.1+0.3*0.7-(0.5*0.9+0.2*0.3))/2, mean, 1e-12)
	variance := square - mean*mean
	require.Greater(t, estimated, variance, "DeLong errs to the safe side by the interaction term")
	require.Less(t, estimated/2, variance, "divisor n errs to the other")
}

func randomSteps(seed uint64, n int) *Steps {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &Steps{StratumNames: []string{"a", "b", "c"}}
	s.Level, s.Weight = 0.9, estimate.Weights{Kind: estimate.Sampling}
	for i := range n {
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("u%05d", i)), append(s.Treated, r.IntN(2) == 0)
		s.Y, s.Stratum = append(s.Y, float64(r.IntN(5))), append(s.Stratum, r.IntN(3))
		s.Weight.Values = append(s.Weight.Values, float64(1+r.IntN(4)))
	}
	return s
}

// Against all pairs, one by one, and against the definition of the influence function: the
// derivative with respect to a person's weight.
func TestWinsAgainstAllPairs(t *testing.T) {
	s := randomSteps(5, 120)
	brute := func(w []float64, omega []float64) float64 {
		out := 0.0
		for g := range 3 {
			var score, total float64
			for i := range s.Y {
				for j := range s.Y {
					if s.Stratum[i] != g || s.Stratum[j] != g || !s.Treated[i] || s.Treated[j] {
						continue
					}
					total += w[i] * w[j]
					score += w[i] * w[j] * (float64(sign(s.Y[i]-s.Y[j])) + 1) / 2
				}
			}
			out += omega[g] * score / total
		}
		return out
	}
	r := wins(t, s)
	var omega []float64
	for _, g := range r.Details["per_stratum"].([]StratumWins) {
		omega = append(omega, g.Weight)
	}
	reftest.Agree(t, "all pairs", r.Estimates[0].Value, brute(s.Weight.Values, omega), 13)
	for _, i := range []int{0, 17, 63, 119} {
		w := slices.Clone(s.Weight.Values)
		const h = 1e-5
		w[i] += h
		up := brute(w, omega)
		w[i] -= 2 * h
		reftest.Agree(t, "influence", r.Influence.At(i, 0), (up-brute(w, omega))/(2*h)*s.Weight.Values[i], 6)
	}
	require.Contains(t, codes(r), "weights-fixed")
}

func codes(r *estimate.Result) (out []string) {
	for _, n := range r.Notes {
		out = append(out, n.Code)
	}
	return out
}

func TestWinsRelations(t *testing.T) {
	s := randomSteps(9, 300)
	base := wins(t, s)
	same := func(name string, got *estimate.Result) {
		t.Helper()
		for m := range 4 {
			reftest.Agree(t, name+" value", got.Estimates[m].Value, base.Estimates[m].Value, 12)
			reftest.Agree(t, name+" se", got.Estimates[m].SE, base.Estimates[m].SE, 11)
		}
	}
	other := *s
	other.Y = slices.Clone(s.Y)
	for i, y := range s.Y {
		other.Y[i] = math.Exp(3*y) - 7 // only the order counts
	}
	same("monotone", wins(t, &other))
	other = *s
	other.Weight.Values = slices.Clone(s.Weight.Values)
	for i := range s.Y {
		if s.Treated[i] {
			other.Weight.Values[i] *= 9 // only weights relative to the arm count
		}
	}
	same("scale", wins(t, &other))
	// Swapping the arms and turning the ladder round are inverses.
	other = *s
	other.Treated = slices.Clone(s.Treated)
	for i, x := range s.Treated {
		other.Treated[i] = !x
	}
	r := wins(t, &other)
	reftest.Agree(t, "WP", r.Estimates[0].Value, 1-base.Estimates[0].Value, 12)
	reftest.Agree(t, "WO", r.Estimates[1].Value, 1/base.Estimates[1].Value, 12)
	reftest.Agree(t, "NB", r.Estimates[2].Value, -base.Estimates[2].Value, 11)
	reftest.Agree(t, "WR", r.Estimates[3].Value, 1/base.Estimates[3].Value, 12)
	reftest.Agree(t, "p", r.Estimates[0].Test.P, base.Estimates[0].Test.P, 10)
	other.Y = make([]float64, len(s.Y))
	for i, y := range s.Y {
		other.Y[i] = -y
	}
	same("turned twice", wins(t, &other))
	// Order of rows and workers change no bit.
	perm := rand.New(rand.NewPCG(1, 2)).Perm(len(s.Y))
	mixed := &Steps{StratumNames: s.StratumNames}
	mixed.Level, mixed.Weight.Kind = s.Level, s.Weight.Kind
	for _, i := range perm {
		mixed.Unit, mixed.Y, mixed.Treated = append(mixed.Unit, s.Unit[i]), append(mixed.Y, s.Y[i]), append(mixed.Treated, s.Treated[i])
		mixed.Stratum, mixed.Weight.Values = append(mixed.Stratum, s.Stratum[i]), append(mixed.Weight.Values, s.Weight.Values[i])
	}
	r, err := Wins{MinPerArm: 1, Workers: 7}.Fit(t.Context(), mixed)
	require.NoError(t, err)
	require.Equal(t, base.Estimates, r.Estimates)
	require.Equal(t, base.Details, r.Details)
	// A frequency is that many persons; each its own cluster changes the factor alone.
	counts, long := *s, &Steps{StratumNames: s.StratumNames}
	counts.Weight.Kind, long.Level = estimate.Frequency, s.Level
	for i, w := range s.Weight.Values {
		for k := range int(w) {
			long.Unit, long.Y, long.Treated = append(long.Unit, fmt.Sprint(s.Unit[i], "-", k)), append(long.Y, s.Y[i]), append(long.Treated, s.Treated[i])
			long.Stratum = append(long.Stratum, s.Stratum[i])
			long.Cluster = append(long.Cluster, len(long.Cluster))
		}
	}
	clustered := wins(t, long)
	long.Cluster = nil
	base = wins(t, long)
	same("frequency", wins(t, &counts))
	G := float64(len(long.Y))
	reftest.Agree(t, "clusters of one", clustered.Estimates[0].SE, base.Details["std_error_divisor_n"].(float64)*math.Sqrt(G/(G-1)), 12)
	require.Equal(t, len(long.Y), clustered.N.Clusters)
	var sum float64
	for i := range long.Y {
		sum += base.Influence.At(i, 0) * base.Influence.At(i, 0)
	}
	reftest.Agree(t, "sum of squares", math.Sqrt(sum), base.Details["std_error_divisor_n"].(float64), 12)
}

func TestWinsEdges(t *testing.T) {
	one := make([]float64, 20)
	two := slices.Repeat([]float64{1}, 20)
	r := wins(t, steps(one, one)) // all tie
	require.Equal(t, 0.5, r.Estimates[0].Value)
	require.True(t, math.IsNaN(r.Estimates[0].SE) && math.IsNaN(r.Estimates[3].Value) && math.IsNaN(r.Estimates[0].CI.Lo))
	require.Contains(t, codes(r), "wins-one-sided")
	require.Contains(t, codes(r), "many-ties")
	r = wins(t, steps(two, one)) // all win
	require.Equal(t, 1.0, r.Estimates[0].Value)
	require.True(t, math.IsNaN(r.Estimates[1].Value) && math.IsNaN(r.Estimates[0].CI.Hi) && math.IsNaN(r.Estimates[0].Test.P))
	r = wins(t, steps([]float64{1, 1, 0}, []float64{0, 0, 0})) // none lost: WP has an interval, the ratio none
	require.Less(t, r.Estimates[0].CI.Lo, r.Estimates[0].Value)
	require.True(t, math.IsNaN(r.Estimates[3].Value))

	fit := func(change func(*Steps)) error {
		s := steps(slices.Concat(one, two), slices.Concat(two, one, one))
		change(s)
		_, err := Wins{}.Fit(t.Context(), s)
		return err
	}
	require.NoError(t, fit(func(*Steps) {}))
	n := 100
	for name, c := range map[string]struct {
		want   error
		change func(*Steps)
	}{
		"none treated":       {estimate.ErrNoTreated, func(s *Steps) { s.Treated = make([]bool, n) }},
		"no arms":            {estimate.ErrInvalidFrame, func(s *Steps) { s.Treated = nil }},
		"all treated":        {estimate.ErrNoControls, func(s *Steps) { s.Treated = slices.Repeat([]bool{true}, n) }},
		"few":                {estimate.ErrTooFew, func(s *Steps) { s.Treated = append(slices.Repeat([]bool{true}, 14), make([]bool, n-14)...) }},
		"step unknown":       {estimate.ErrInvalidFrame, func(s *Steps) { s.Y[3] = math.NaN() }},
		"covariates":         {estimate.ErrInvalidFrame, func(s *Steps) { s.X, s.XNames = mat.NewDense(n, 1, nil), []string{"x"} }},
		"sets":               {estimate.ErrInvalidFrame, func(s *Steps) { s.Set = make([]int, n) }},
		"stratum":            {estimate.ErrInvalidFrame, func(s *Steps) { s.Stratum = slices.Repeat([]int{1}, n) }},
		"strata of one arm":  {estimate.ErrNotIdentified, func(s *Steps) { byArm(s) }},
		"one person in half": {estimate.ErrTooFew, func(s *Steps) { byArm(s); clear(s.Stratum); s.Stratum[0], s.Stratum[98], s.Stratum[99] = 1, 1, 1 }},
		"half a copy": {estimate.ErrWeights, func(s *Steps) {
			s.Weight = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{1.5}, n)}
		}},
		"copies in clusters": {estimate.ErrWeights, func(s *Steps) {
			s.Weight, s.Cluster = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{1}, n)}, make([]int, n)
		}},
		"one cluster":    {estimate.ErrTooFew, func(s *Steps) { s.Cluster = make([]int, n) }},
		"unknown weight": {estimate.ErrWeights, func(s *Steps) { s.Weight = estimate.Weights{Kind: "x", Values: slices.Repeat([]float64{1}, n)} }},
	} {
		require.ErrorIs(t, fit(c.change), c.want, name)
	}
	// A stratum with one arm takes no part and is counted.
	s := steps(slices.Concat(one, two), slices.Concat(two, one, one))
	s.Stratum, s.StratumNames = make([]int, n), []string{"both", "alone"}
	s.Stratum[n-1], s.Stratum[n-2] = 1, 1
	r = wins(t, s)
	require.Contains(t, codes(r), "stratum-one-arm")
	require.Equal(t, 98, r.N.Units)
}

func byArm(s *Steps) {
	s.StratumNames, s.Stratum = []string{"t", "c"}, make([]int, len(s.Y))
	for i, x := range s.Treated {
		if !x {
			s.Stratum[i] = 1
		}
	}
}

// d14 is design D14, n persons an arm.
func d14(rep, n int) *Steps {
	st := num.NewStream(14, "d14", uint64(rep))
	draw := func(p ...float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			u := st.Float()
			for k := 0; k < len(p)-1 && u > p[k]; k++ {
				u -= p[k]
				out[i]++
			}
		}
		return out
	}
	return steps(draw(0.3, 0.3, 0.2, 0.2), draw(0.4, 0.3, 0.2, 0.1))
}

// D14: shares (.3, .3, .2, .2) against (.4, .3, .2, .1), truth .575. The logit interval holds
// its level with 15 an arm, a little above it as printed there (.952 to .958): .95 to .965, ±2
// Monte Carlo errors, 99.8% band with -short.
func TestWinsCoverage(t *testing.T) {
	reps, band := 4000, 2.0
	if testing.Short() {
		reps, band = 1000, 3.09
	}
	for _, n := range []int{15, 30, 60} {
		covered, failed := 0, 0
		var mean float64
		for rep := range reps {
			r := wins(t, d14(rep, n))
			e := r.Estimates[0]
			mean += e.Value / float64(reps)
			if math.IsNaN(e.CI.Lo) {
				failed++
			}
			if e.CI.Lo <= 0.575 && 0.575 <= e.CI.Hi {
				covered++
			}
		}
		coverage := float64(covered) / float64(reps)
		t.Logf("n = %d: mean %.4f, coverage %.4f", n, mean, coverage)
		require.Zero(t, failed)
		require.InDelta(t, 0.575, mean, 0.01)
		se := math.Sqrt(0.95 * 0.05 / float64(reps))
		require.Greater(t, coverage, 0.95-band*se)
		require.Less(t, coverage, 0.965+band*se)
	}
}
