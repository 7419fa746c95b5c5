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

// The overall effect of every aggregation is Σ weight·effect of its events where it is a mean of them by event, and its target has the
// value and error of the aggregate itself everywhere; the weights add up to 1.
func TestCurveGivesTheReportedOverall(t *testing.T) {
	f := staggered{units: 120, periods: 7, cohorts: []int{4, 5, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64((t - g + 1) * g) }}.draw(5)
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = u[:3]
	}
	r := mustFit(t, GroupTime{}, f)
	for _, kind := range []Aggregation{Simple, Group, Dynamic, Calendar} {
		c, err := r.Curve(kind, AggregateOptions{})
		require.NoError(t, err)
		require.Equal(t, []int{-4, -3, -2, 0, 1, 2, 3}, c.Event)
		require.Equal(t, -1, c.Reference)
		reftest.Agree(t, "weights", num.Sum(c.Weight), 1, 13)
		res := mustAggregate(t, r, kind, AggregateOptions{})
		want := res.Estimates[len(res.Estimates)-1]
		p, l, err := c.Coefficients(Overall)
		require.NoError(t, err)
		require.Equal(t, 3, p.Pre)
		full := append(make([]float64, 3), l...)
		reftest.Agree(t, string(kind), num.Dot(full, p.Value), want.Value, 11)
		v := mat.NewVecDense(7, full)
		reftest.Agree(t, string(kind)+" error", math.Sqrt(mat.Inner(v, p.Cov, v)), want.SE, 10)
		_, l, err = c.Coefficients("event=2")
		require.NoError(t, err)
		require.Equal(t, []float64{0, 0, 1, 0}, l)
	}
	// By hand: cohort 5 is seen for 2 events more, cohort 4 for 3: simple weights events by the cohorts seen at them.
	c, err := r.Curve(Simple, AggregateOptions{})
	require.NoError(t, err)
	w := map[int]float64{}
	for _, k := range r.Cohorts() {
		w[k.Group] = k.Weight
	}
	total := float64(4*w[4]) + float64(3*w[5])
	reftest.Agree(t, "event 3", c.Weight[6], w[4]/total, 13)
	reftest.Agree(t, "event 0", c.Weight[3], (w[4]+w[5])/total, 13)
	none, err := r.Curve(Cells, AggregateOptions{})
	require.NoError(t, err)
	require.True(t, math.IsNaN(none.Overall))
	_, _, err = none.Coefficients(Overall)
	require.ErrorIs(t, err, ErrOption)
	_, _, err = c.Coefficients("event=-3")
	require.ErrorIs(t, err, ErrOption)
	_, err = mustFit(t, GroupTime{Base: Varying}, f).Curve(Simple, AggregateOptions{})
	require.ErrorIs(t, err, ErrNoReference)
}

// A departure that is the same for all cohorts moves the overall effect by Σ weight·departure, whatever the aggregation.
func TestCurveWeightsCarryDepartures(t *testing.T) {
	f := staggered{units: 90, periods: 7, cohorts: []int{4, 6, 0}, noise: 1, effect: func(g, t int) float64 { return float64((t - g + 1) * g) }}.draw(6)
	off := func(e int) float64 { return float64(e*e*e+3) / 7 }
	moved := mapY(f, func(i int, y float64) float64 {
		if g := f.Cohort[i]; g != 0 {
			y += off(f.Time[i] - g)
		}
		return y
	})
	r, s := mustFit(t, GroupTime{Control: NeverTreated}, f), mustFit(t, GroupTime{Control: NeverTreated}, moved)
	for _, kind := range []Aggregation{Simple, Group, Dynamic, Calendar} {
		c, err := r.Curve(kind, AggregateOptions{})
		require.NoError(t, err)
		d, err := s.Curve(kind, AggregateOptions{})
		require.NoError(t, err)
		want := 0.0
		for i, e := range c.Event {
			want += float64(c.Weight[i] * (off(e) - off(-1)))
		}
		reftest.Agree(t, string(kind), d.Overall-c.Overall, want, 10)
	}
}

// The regressions that have one reference event give a curve; the others say why not.
func TestCurveOfEventStudies(t *testing.T) {
	f := staggered{units: 90, periods: 7, cohorts: []int{3, 5, 0}, noise: 1, effect: func(g, t int) float64 { return float64(t - g + g) }}.draw(7)
	for name, e := range map[string]eventEstimator{"sun-abraham": SunAbraham{}, "stacked": Stacked{}, "lpdid": LocalProjections{}, "twfe": TwoWay{}} {
		res := mustStudy(t, e, f)
		c, err := CurveOf(res)
		require.NoError(t, err, name)
		require.Equal(t, -1, c.Reference)
		if name == "twfe" {
			require.Nil(t, c.Weight)
			continue
		}
		p, l, err := c.Coefficients(Overall)
		require.NoError(t, err)
		full := append(make([]float64, p.Pre), l...)
		want := byTerm(res)[Overall]
		reftest.Agree(t, name, num.Dot(full, p.Value), want.Value, 9)
		v := mat.NewVecDense(len(full), full)
		reftest.Agree(t, name+" error", math.Sqrt(mat.Inner(v, p.Cov, v)), want.SE, 8)
	}
	for _, e := range []eventEstimator{Imputation{}, TwoStage{}, ExtendedTwoWay{}} {
		_, err := CurveOf(mustStudy(t, e, f))
		require.ErrorIs(t, err, ErrNoReference)
	}
}

// By hand, one coefficient: |Z + μ| ≤ z, so that both tests are the same: power 1 - Φ(z-μ) + Φ(-z-μ), and the mean of a normal number
// cut to [-z, z], which moves a target that is correlated by ρ with it. Half the power where μ is z, up to Φ(-2z).
// Two independent ones: power of each 1 - (1 - p₁)(1 - p₂), of joint 1 - F(χ²(2), λ = 5μ²), mean with F(χ²(4)).
func TestPreTestPowerByHand(t *testing.T) {
	z := num.NormalQuantile(0.975)
	lower := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	density := func(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }
	c := coefficients(1, []float64{3, 8}, func(i, j int) float64 { return []float64{4, 1, 1, 9}[2*i+j] })
	r, err := PreTestPower{Slope: []float64{2}}.Fit(t.Context(), c, []int{-3, -1}, -2, []float64{1})
	require.NoError(t, err)
	reftest.Agree(t, "statistic", r.Stat, 9.0/4, 14)
	require.Equal(t, 1.5, r.Largest)
	m := -1.0 // slope 2, one period before, in standard errors of 2
	in := lower(z-m) - lower(-z-m)
	cut := (density(-z-m) - density(z-m)) / in
	require.Len(t, r.Trends, 6)
	for _, i := range []int{2, 5} {
		e := r.Trends[i]
		require.InDelta(t, 1-in, e.Power, 1e-9, e.Test)
		require.Equal(t, 2.0, e.Bias)
		require.InDelta(t, 2+0.25*2*cut, e.BiasNotRejected, 1e-3, e.Test) // Σ_tp/Σ_pp = 1/4, standard error 2
	}
	for i, power := range []float64{0.5, 0.8} {
		for _, e := range []TrendPower{r.Trends[i], r.Trends[3+i]} {
			require.InDelta(t, power, e.Power, 1e-6)
			require.Greater(t, e.BiasNotRejected, 0.0)
		}
	}
	require.InDelta(t, z*2, r.Trends[0].Slope, 1e-3)

	c = coefficients(2, []float64{0, 0, 8}, diagonal(1, 1, 9))
	r, err = PreTestPower{Slope: []float64{1}}.Fit(t.Context(), c, []int{-3, -2, 0}, -1, []float64{1})
	require.NoError(t, err)
	each := r.Trends[5]
	one := lower(z-1) - lower(-z-1)
	two := lower(z-2) - lower(-z-2)
	require.InDelta(t, 1-one*two, each.Power, 1e-9)
	require.InDelta(t, 1, each.BiasNotRejected, 1e-9) // uncorrelated
	// P(χ²(2; 5) ≤ c) = ∫ over the disc, by polar integration of the density.
	joint := r.Trends[2]
	limit := math.Sqrt(-2 * math.Log(0.05))
	sum, steps := 0.0, 2000
	for i := range steps {
		for j := range 400 {
			rho, phi := limit*(float64(i)+0.5)/float64(steps), 2*math.Pi*float64(j)/400
			x, y := rho*math.Cos(phi), rho*math.Sin(phi)
			sum += density(x-math.Sqrt(5)) * density(y) * rho
		}
	}
	sum *= limit / float64(steps) * 2 * math.Pi / 400
	require.InDelta(t, 1-sum, joint.Power, 1e-5)
}

// Against simulation: correlated coefficients, both tests, mean of those that are not rejected. A size of 0.05 at slope 0 on the way.
func TestPreTestPowerAgainstDraws(t *testing.T) {
	c := coefficients(3, []float64{0, 0, 0, 0, 0}, eventDesign(3, 2))
	events, target := []int{-4, -3, -2, 0, 1}, []float64{0.5, 0.5}
	r, err := PreTestPower{Slope: []float64{0, 0.1}}.Fit(t.Context(), c, events, -1, target)
	require.NoError(t, err)
	var chol mat.Cholesky
	require.True(t, chol.Factorize(c.Cov))
	var half mat.TriDense
	chol.LTo(&half)
	pp := mat.NewSymDense(3, nil)
	for i := range 3 {
		for j := range i + 1 {
			pp.SetSym(i, j, c.Cov.At(i, j))
		}
	}
	var pre mat.Cholesky
	require.True(t, pre.Factorize(pp))
	const draws = 40000
	for _, slope := range []float64{0, 0.1} {
		kept := map[string][]float64{}
		s := num.NewStream(9, "power", 0)
		for range draws {
			z := mat.NewVecDense(5, nil)
			for i := range 5 {
				z.SetVec(i, s.Normal())
			}
			var v mat.VecDense
			v.MulVec(&half, z)
			in := true
			for i := range 5 {
				v.SetVec(i, v.AtVec(i)+slope*float64(events[i]+1))
				in = in && (i > 2 || math.Abs(v.AtVec(i)) <= 1.959964*math.Sqrt(c.Cov.At(i, i)))
			}
			var q mat.VecDense
			require.NoError(t, pre.SolveVecTo(&q, v.SliceVec(0, 3)))
			value := (v.AtVec(3) + v.AtVec(4)) / 2
			if in {
				kept["each"] = append(kept["each"], value)
			}
			if mat.Dot(&q, v.SliceVec(0, 3)) <= 7.814728 {
				kept["joint"] = append(kept["joint"], value)
			}
		}
		for _, e := range r.Trends {
			if e.Slope == slope {
				got := kept[e.Test]
				require.InDelta(t, 1-float64(len(got))/draws, e.Power, 0.009, "%s %v", e.Test, slope)
				require.InDelta(t, num.Sum(got)/float64(len(got)), e.BiasNotRejected, 4*deviation(got, 1)/math.Sqrt(float64(len(got))), "%s %v", e.Test, slope)
			}
		}
	}
	require.InDelta(t, 0.05, r.Trends[2].Power, 1e-9)
	require.Zero(t, r.Trends[2].BiasNotRejected)
}

// R 4.2.2: power of each by pmvnorm of mvtnorm (GenzBretz, 1e-8), of joint by pchisq.
func TestPreTestPowerAgreesWithR(t *testing.T) {
	v := [][]float64{{2, 1, 0.5, 0}, {1, 1.5, 0.7, 0}, {0.5, 0.7, 1, 0}, {0, 0, 0, 1}}
	r, err := PreTestPower{Slope: []float64{0.6}}.Fit(t.Context(), coefficients(3, []float64{0, 0, 0, 0}, func(i, j int) float64 { return v[i][j] }), []int{-4, -3, -2, 0}, -1, []float64{1})
	require.NoError(t, err)
	reftest.Agree(t, "joint", r.Trends[2].Power, 0.169243437292, 8)
	require.InDelta(t, 0.3496696701, r.Trends[5].Power, 3e-4)
}

func TestPreTestPowerRefuses(t *testing.T) {
	c := coefficients(1, []float64{3, 8}, diagonal(4, 9))
	for _, o := range []PreTestPower{{Size: 1}, {Power: []float64{0.04}}, {Power: []float64{1}}, {Test: "magic"}} {
		_, err := o.Fit(t.Context(), c, []int{-2, 0}, -1, []float64{1})
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := PreTestPower{}.Fit(t.Context(), c, []int{-2}, -1, []float64{1})
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = PreTestPower{}.Fit(t.Context(), coefficients(2, []float64{3, 3, 8}, func(i, j int) float64 { return 1 }), []int{-3, -2, 0}, -1, []float64{1})
	require.ErrorIs(t, err, estimate.ErrCollinear)
}
