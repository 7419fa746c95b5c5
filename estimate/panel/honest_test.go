package panel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func coefficients(pre int, value []float64, cov func(i, j int) float64) Coefficients {
	c := Coefficients{Value: value, Pre: pre, Cov: mat.NewSymDense(len(value), nil)}
	for i := range value {
		for j := i; j < len(value); j++ {
			c.Cov.SetSym(i, j, cov(i, j))
		}
	}
	return c
}

func diagonal(v ...float64) func(i, j int) float64 {
	return func(i, j int) float64 {
		if i == j {
			return v[i]
		}
		return 0
	}
}

func mustHonest(t testing.TB, h Honest, c Coefficients) *estimate.Result {
	t.Helper()
	h.Level = 0.95
	res, err := h.Fit(t.Context(), c)
	require.NoError(t, err)
	return res
}

// By hand. One period on each side: a straight line through -1 and 0 goes on to 1, so v = (1, 1), standard deviation √(9 + 16) = 5 and bias M. At
// M = 0 it is 1.96 of them; at M = 100, where the other tail is nothing, M + 1.645 of them. Breakdown: 60 = M + 1.645·5 about, from |N(M/5, 1)|.
// Two periods before, unit variances: v = (κ, 1 - 2κ, 1), 1 + κ² + (1 - 2κ)² is least at κ = 2/5: v = (0.4, 0.2, 1) and variance 6/5.
func TestHonestSmoothnessByHand(t *testing.T) {
	c := coefficients(1, []float64{10, 50}, diagonal(9, 16))
	res := mustHonest(t, Honest{Type: Smoothness, M: []float64{0, 100}}, c)
	z, one := num.NormalQuantile(0.975), num.NormalQuantile(0.95)
	e := res.Estimates
	require.Equal(t, "M=0", e[0].Term)
	reftest.Agree(t, "estimate", e[0].Value, 60, 13)
	reftest.Agree(t, "error", e[0].SE, 5, 13)
	reftest.Agree(t, "low", e[0].CI.Lo, 60-5*z, 12)
	reftest.Agree(t, "high", e[1].CI.Hi, 60+100+5*one, 12)
	reftest.Agree(t, "breakdown", res.Details["breakdown"].(float64), 60-5*one, 8)
	o := res.Details["original"].(map[string]float64)
	reftest.Agree(t, "original", o["conf_high"], 50+4*z, 13)

	res = mustHonest(t, Honest{Type: Smoothness, M: []float64{0}}, coefficients(2, []float64{1, 10, 100}, diagonal(1, 1, 1)))
	reftest.Agree(t, "estimate", res.Estimates[0].Value, 0.4+2+100, 12)
	reftest.Agree(t, "error", res.Estimates[0].SE, math.Sqrt(1.2), 12)
}

// By hand: M = 0 for one period on each side: η = |β - θ|/σ, which the test conditions to lie between 0 and the limit; the truncated quantile at size
// (0.05 - 0.005)/0.995 is then 1.96, up to the drawn limit (2.807 without simulation): β ± 1.96σ. In the limit of no noise
// before treatment, a step of 3 there lets M = 2 add 6 on either side.
func TestHonestRelativeByHand(t *testing.T) {
	res := mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{0}}, coefficients(1, []float64{3, 50}, diagonal(1, 16)))
	require.InDelta(t, 50-4*1.96, res.Estimates[0].CI.Lo, 0.05)
	require.InDelta(t, 50+4*1.96, res.Estimates[0].CI.Hi, 0.05)
	require.True(t, math.IsNaN(res.Estimates[0].Value))
	require.True(t, hasNote(res, "interval-only"))
	res = mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{2}}, coefficients(1, []float64{3, 50}, diagonal(1e-8, 1e-6)))
	require.InDelta(t, 44, res.Estimates[0].CI.Lo, 0.01)
	require.InDelta(t, 56, res.Estimates[0].CI.Hi, 0.01)
	require.InDelta(t, 50.0/3, res.Details["breakdown"], 0.01)
	// Two periods after: departures of 6 and 12 at most, so that 1/2·50 + 1/4·70 has ± 1/2·6 + 1/4·12, and 1/4·50 + 1/2·70 has ± 7.5.
	c := coefficients(1, []float64{3, 50, 70}, diagonal(1e-8, 1e-6, 1e-6))
	res = mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{2}, Target: []float64{0.5, 0.25}}, c)
	require.InDelta(t, 42.5-6, res.Estimates[0].CI.Lo, 0.01)
	require.InDelta(t, 42.5+6, res.Estimates[0].CI.Hi, 0.01)
	res = mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{2}, Target: []float64{0.25, 0.5}}, c)
	require.InDelta(t, 47.5-7.5, res.Estimates[0].CI.Lo, 0.01)
	require.InDelta(t, 47.5+7.5, res.Estimates[0].CI.Hi, 0.01)
}

// By hand, two inequalities of scale 1 without nuisance parameters: η is the larger y. Independent ones: it stays the larger one above the
// other, so that 2.5 is compared with the 95.48 % point above 2.3 (3.3), above 0 (2.00), and 1.8 with that above -5 (1.69). With covariance
// 3/2 and variances 1, 4 the second moves 3/2 as fast and takes over at 5/2 if it is 3/2·y - 5/4: the point below 5/2 is 1.634.
func TestHonestConditionalByHand(t *testing.T) {
	for _, c := range []struct {
		y, cov []float64
		limit  float64
		keeps  bool
	}{
		{[]float64{2.5, 2.3}, []float64{1, 0, 0, 1}, 10, true}, {[]float64{2.3, 2.5}, []float64{1, 0, 0, 1}, 10, true}, {[]float64{2.5, 0}, []float64{1, 0, 0, 1}, 10, false},
		{[]float64{1.9, 0}, []float64{1, 0, 0, 1}, 10, true}, {[]float64{1.8, -5}, []float64{1, 0, 0, 1}, 10, false}, {[]float64{1.65, -5}, []float64{1, 0, 0, 1}, 10, true},
		{[]float64{1.66, 1.24}, []float64{1, 1.5, 1.5, 4}, 10, false}, {[]float64{1.62, 1.18}, []float64{1, 1.5, 1.5, 4}, 10, true},
		{[]float64{2.5, 2.3}, []float64{1, 0, 0, 1}, 2.4, false}, {[]float64{-1, -2}, []float64{1, 0, 0, 1}, 2.4, true},
	} {
		p := &polyhedron{cov: mat.NewSymDense(2, c.cov), w: []float64{1, 1}, size: 2, upper: math.Inf(1), limit: c.limit}
		lp := p.programme()
		eta, ok := lp.Solve(c.y)
		require.True(t, ok)
		got, err := (&relative{trends: &trends{alpha: 0.05}}).keeps(p, lp, c.y, eta)
		require.NoError(t, err)
		require.Equal(t, c.keeps, got, "%v", c.y)
	}
}

func TestFoldedAndTruncatedQuantiles(t *testing.T) {
	for _, b := range []float64{0, 0.3, 2, 10} {
		c := foldedQuantile(0.9, b)
		inside := (math.Erfc((-c-b)/math.Sqrt2) - math.Erfc((c-b)/math.Sqrt2)) / 2
		reftest.Agree(t, "folded", inside, 0.9, 12)
	}
	for _, c := range [][2]float64{{-1, 2}, {0.5, 3}, {-4, -1}, {6, 9}, {-9, -6}, {math.Inf(-1), 0.5}, {2, math.Inf(1)}} {
		q := truncatedQuantile(0.9, c[0], c[1])
		upper := func(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }
		lower := func(z float64) float64 { return upper(-z) }
		if c[0] > 0 {
			reftest.Agree(t, "truncated", (upper(c[0])-upper(q))/(upper(c[0])-upper(c[1])), 0.9, 9)
		} else {
			reftest.Agree(t, "truncated", (lower(q)-lower(c[0]))/(lower(c[1])-lower(c[0])), 0.9, 9)
		}
	}
	require.InDelta(t, 50+math.Log(10)/50, truncatedQuantile(0.9, 50, 60), 1e-4)
	require.Equal(t, 1.0, truncatedQuantile(0.9, 1, 1))
}

// eventDesign has correlated errors, as event studies do.
func eventDesign(pre, post int) func(i, j int) float64 {
	return func(i, j int) float64 {
		v := 0.01
		if i == j {
			v = 0.02 + 0.002*float64(i)
		}
		return v
	}
}

// No other weights give a shorter interval, the bias formula is the largest over departures of the set, and a straight line adds nothing.
func TestHonestSmoothnessIsShortest(t *testing.T) {
	c := coefficients(4, []float64{0.3, 0.1, 0.2, -0.1, 0.5, 0.4, 0.9}, eventDesign(4, 3))
	for _, target := range [][]float64{nil, {0.2, 0.3, 0.5}, {0, 0, 1}} {
		for _, m := range []float64{0, 0.01, 0.05, 0.2, 2} {
			h := Honest{Type: Smoothness, M: []float64{m}, Target: target, Level: 0.95}
			tr, err := h.trends(c)
			require.NoError(t, err)
			s := &smooth{tr}
			ci, _, _, err := s.interval(t.Context(), m)
			require.NoError(t, err)
			half := (ci.Hi - ci.Lo) / 2
			r := num.NewStream(3, "honest-random", 0)
			for trial := range 400 {
				kappa := make([]float64, 3)
				for i := range kappa {
					kappa[i] = r.Normal() * math.Pow(4, float64(trial%6)-3)
				}
				v, bias := s.affine(kappa)
				line := 0.0
				for i, w := range v {
					line += w * float64(s.period(i))
				}
				require.InDelta(t, 0, line, 1e-9)
				require.LessOrEqual(t, half, s.sd(v)*foldedQuantile(0.95, m*bias/s.sd(v))+1e-10)
				// δ from changes of slope of ±1 at -3 … 2: every sign pattern; the largest is the formula.
				worst := 0.0
				for mask := range 1 << 6 {
					d := func(at int) float64 { return float64(2*(mask>>(at+3)&1) - 1) }
					delta := map[int]float64{0: 0, 1: 0}
					for p := 1; p < 3; p++ {
						delta[p+1] = 2*delta[p] - delta[p-1] + d(p)
					}
					delta[-1] = d(0) - delta[1]
					for p := -1; p > -4; p-- {
						delta[p-1] = 2*delta[p] - delta[p+1] + d(p)
					}
					sum := 0.0
					for i, w := range v {
						sum += w * delta[s.period(i)]
					}
					worst = max(worst, math.Abs(sum))
				}
				require.InDelta(t, worst, bias, 1e-9*(1+bias))
			}
		}
	}
	res := mustHonest(t, Honest{Type: Smoothness, M: []float64{0.1}}, c)
	moved := c
	moved.Value = nil
	for i, v := range c.Value {
		p := i - 4
		if i >= 4 {
			p++
		}
		moved.Value = append(moved.Value, v+0.7*float64(p))
	}
	require.InDelta(t, res.Estimates[0].Value, mustHonest(t, Honest{Type: Smoothness, M: []float64{0.1}}, moved).Estimates[0].Value, 1e-9)
}

// period of a coefficient, the reference is 0.
func (t *trends) period(i int) int {
	if i < t.pre {
		return i - t.pre
	}
	return i - t.pre + 1
}

func TestHonestRelations(t *testing.T) {
	c := coefficients(3, []float64{0.05, -0.1, 0.1, 0.6, 0.8, 0.7}, eventDesign(3, 3))
	for _, kind := range []string{RelativeMagnitudes, Smoothness} {
		h := Honest{Type: kind, M: []float64{0, 0.3, 1}, Target: []float64{0.5, 0.25, 0.25}, Workers: 1}
		base := mustHonest(t, h, c)
		many := h
		many.Workers = 4
		again := mustHonest(t, many, c)
		scaled, negative := c, c
		scaled.Value, negative.Value = nil, nil
		for _, v := range c.Value {
			scaled.Value, negative.Value = append(scaled.Value, 1024*v), append(negative.Value, -v)
		}
		scaled.Cov = mat.NewSymDense(6, nil)
		scaled.Cov.ScaleSym(1024*1024, c.Cov)
		big := h
		if kind == Smoothness {
			big.M = []float64{0, 0.3 * 1024, 1024}
		}
		large := mustHonest(t, big, scaled)
		mirror := mustHonest(t, h, negative)
		for i, e := range base.Estimates {
			require.Equal(t, e.CI, again.Estimates[i].CI, "workers")
			require.Equal(t, 1024*e.CI.Lo, large.Estimates[i].CI.Lo, "scale")
			require.Equal(t, 1024*e.CI.Hi, large.Estimates[i].CI.Hi, "scale")
			require.InDelta(t, e.CI.Lo, -mirror.Estimates[i].CI.Hi, 0.02, "sign")
			if i > 0 {
				before := base.Estimates[i-1].CI
				require.Greater(t, e.CI.Hi-e.CI.Lo, before.Hi-before.Lo)
			}
		}
		m := base.Details["breakdown"].(float64)
		at := h
		at.M = []float64{m * 0.99, m * 1.01}
		near := mustHonest(t, at, c).Estimates
		require.Positive(t, near[0].CI.Lo)
		require.Negative(t, near[1].CI.Lo)
	}
	one := mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{1}}, c)
	seeded := mustHonest(t, Honest{Type: RelativeMagnitudes, M: []float64{1}, Seed: 8}, c)
	require.NotEqual(t, one.Estimates[0].CI, seeded.Estimates[0].CI)
	require.InDelta(t, one.Estimates[0].CI.Hi, seeded.Estimates[0].CI.Hi, 0.03)
	zero := mustHonest(t, Honest{Type: Smoothness, M: []float64{1}}, coefficients(1, []float64{0, 0.1}, diagonal(1, 1)))
	require.Zero(t, zero.Details["breakdown"])
	require.True(t, hasNote(zero, "breakdown-at-zero"))
}

func TestHonestBadInput(t *testing.T) {
	c := coefficients(1, []float64{1, 2}, diagonal(1, 1))
	for name, h := range map[string]Honest{
		"type": {Type: "rm", M: []float64{1}, Level: 0.95}, "no M": {Type: Smoothness, Level: 0.95}, "M below 0": {Type: Smoothness, M: []float64{-1}, Level: 0.95},
		"M twice": {Type: Smoothness, M: []float64{1, 1}, Level: 0.95}, "level": {Type: Smoothness, M: []float64{1}, Level: 1},
		"target": {Type: Smoothness, M: []float64{1}, Level: 0.95, Target: []float64{1, 2}}, "target of 0": {Type: Smoothness, M: []float64{1}, Level: 0.95, Target: []float64{0}},
		"seed": {Type: Smoothness, M: []float64{1}, Level: 0.95, Seed: 1},
	} {
		_, err := h.Fit(t.Context(), c)
		require.ErrorIs(t, err, ErrOption, name)
	}
	good := Honest{Type: RelativeMagnitudes, M: []float64{1}, Level: 0.95}
	for _, pre := range []int{0, 2} {
		bad := c
		bad.Pre = pre
		_, err := good.Fit(t.Context(), bad)
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := good.Fit(t.Context(), coefficients(1, []float64{1, math.NaN()}, diagonal(1, 1)))
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = good.Fit(t.Context(), coefficients(1, []float64{1, 2}, func(i, j int) float64 { return 1 }))
	require.ErrorIs(t, err, estimate.ErrCollinear)
}

// Coverage with the largest departures allowed: 400 data sets, at least 95 % - 3.59 points; the fixed-length interval at most
// 3.59 points above. Without any departure and M = 0 the test has its size.
func TestHonestCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const pre, post, reps = 3, 2, 400
	cov := eventDesign(pre, post)
	for _, c := range []struct {
		name  string
		delta []float64
		m     float64
		kind  string
		top   float64
	}{
		{"smooth", nil, 0.1, Smoothness, 0.9859},
		{"largest step, up", []float64{-0.5, -0.6, -0.4, 0.4, 0.8}, 1, RelativeMagnitudes, 1},
		{"largest step, down", []float64{-0.5, -0.6, -0.4, -0.4, -0.8}, 1, RelativeMagnitudes, 1},
		{"none", []float64{0, 0, 0, 0, 0}, 0, RelativeMagnitudes, 0.9859},
	} {
		h := Honest{Type: c.kind, M: []float64{c.m}, Level: 0.95}
		tr, err := h.trends(coefficients(pre, make([]float64, pre+post), cov))
		require.NoError(t, err)
		draw := func(rep int) []float64 {
			s := num.NewStream(17, "honest-coverage", uint64(rep))
			z := make([]float64, pre+post)
			for i := range z {
				z[i] = s.Normal()
			}
			out := append([]float64(nil), c.delta...)
			for i := range out {
				for j := 0; j <= i; j++ {
					out[i] += tr.half.At(i, j) * z[j]
				}
			}
			return out
		}
		covered := 0
		if c.kind == Smoothness {
			c.delta = []float64{-0.3, -0.1, 0, -0.1, -0.3} // bends by 0.1 before, at and after the reference, the same way
			for rep := range reps {
				tr.beta = draw(rep)
				ci, _, _, err := (&smooth{tr}).interval(t.Context(), c.m)
				require.NoError(t, err)
				if ci.Lo <= 0 && 0 <= ci.Hi {
					covered++
				}
			}
		} else {
			r := &relative{trends: tr}
			test, err := r.tester(c.m, tr.beta)
			require.NoError(t, err)
			for rep := range reps {
				beta := draw(rep)
				for k, p := range test.sets {
					var y mat.VecDense
					y.MulVec(p.a, mat.NewVecDense(len(beta), beta))
					test.y[k] = y.RawVector().Data
					test.left[k], test.right[k] = math.Inf(-1), math.Inf(1) // what was left out was of the last data
				}
				in, err := test.keeps(0)
				require.NoError(t, err)
				if in {
					covered++
				}
			}
		}
		t.Logf("%s: %.4f", c.name, float64(covered)/reps)
		require.GreaterOrEqual(t, float64(covered)/reps, 0.9141, c.name)
		require.LessOrEqual(t, float64(covered)/reps, c.top, c.name)
	}
}

func BenchmarkHonestRelative(b *testing.B) {
	c := coefficients(4, []float64{0.3, 0.1, 0.2, -0.1, 0.5, 0.4, 0.9, 0.8}, eventDesign(4, 4))
	for b.Loop() {
		mustHonest(b, Honest{Type: RelativeMagnitudes, M: []float64{0.5, 1, 2}}, c)
	}
}
