package sensitivity

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// world is a treatment, two covariates and a cause of both, which comes last.
func world(hidden bool) *estimate.Frame {
	s := num.NewStream(3, "world", 0)
	n := 60
	f := &estimate.Frame{Level: .95, XNames: []string{"d", "x1", "x2"}}
	k := 3
	if hidden {
		f.XNames, k = append(f.XNames, "z"), 4
	}
	f.X = mat.NewDense(n, k, nil)
	for i := range n {
		z, x1, x2 := s.Normal(), s.Normal(), s.Normal()
		d := .5*z + .4*x1 + s.Normal()
		f.Unit = append(f.Unit, strconv.Itoa(i))
		f.Y = append(f.Y, .6*d+.7*z+.5*x1-.2*x2+s.Normal())
		copy(f.X.RawRowView(i), []float64{d, x1, x2, z}[:k])
	}
	return f
}

// With the partial R² of a real covariate the bounds give the regression that has it:
// Cinelli and Hazlett's identity, exact for any data.
func TestAdjustIsTheLongRegression(t *testing.T) {
	short, long := world(false), world(true)
	a, err := OmittedVariable{Treatment: "d"}.Fit(t.Context(), short)
	require.NoError(t, err)
	b, err := OmittedVariable{Treatment: "d"}.Fit(t.Context(), long)
	require.NoError(t, err)
	d := mat.Col(nil, 0, long.X)
	treatment, err := regress(long, d, 0, 1)
	require.NoError(t, err)
	outcome, err := regress(long, long.Y, -1, 1)
	require.NoError(t, err)
	z := Benchmark{"z", []string{"z"}}
	dz, err := treatment.partialR2(z)
	require.NoError(t, err)
	yz, err := outcome.partialR2(z)
	require.NoError(t, err)
	got, se := adjust(a.Details["estimate"].(float64), a.Details["se"].(float64), a.Details["dof"].(float64), dz, yz)
	require.Equal(t, 56., a.Details["dof"])
	require.Greater(t, a.Details["estimate"].(float64), b.Details["estimate"].(float64), "z biases away from 0")
	require.GreaterOrEqual(t, reftest.LRE(got, b.Details["estimate"].(float64)), reftest.Digits(12))
	require.GreaterOrEqual(t, reftest.LRE(se, b.Details["se"].(float64)), reftest.Digits(12))
}

// A covariate with both partial R² at RVq takes the fraction q away; at RVqα it brings t to its critical value.
func TestRobustnessValuesDoWhatTheySay(t *testing.T) {
	for _, q := range []float64{1, .5, 1.5} {
		r, err := OmittedVariable{Treatment: "d", Q: q, Alpha: .1}.Fit(t.Context(), world(false))
		require.NoError(t, err)
		v := func(key string) float64 { return r.Details[key].(float64) }
		got, _ := adjust(v("estimate"), v("se"), v("dof"), v("rv_q"), v("rv_q"))
		require.InDelta(t, (1-q)*v("estimate"), got, 1e-12)
		require.Less(t, v("rv_qa"), v("rv_q"))
		if q == 1 {
			got, se := adjust(v("estimate"), v("se"), v("dof"), v("rv_qa"), v("rv_qa"))
			require.InDelta(t, num.StudentQuantile(.9, v("dof")-1), got/se, 1e-10)
		}
	}
}

// t = 4 on 16 degrees of freedom: R² = 16/32, f = 1, RV = (√5-1)/2. Half of it: f = ½,
// f² = ¼, RV = ½(√(1/16+1)-1/4) = (√17-1)/8. q·f below the critical value: RVα 0.
func TestRobustnessByHand(t *testing.T) {
	rv, _ := OmittedVariable{Q: 1, Alpha: .05}.robustness(4, 16)
	close14(t, (math.Sqrt(5)-1)/2, rv)
	rv, rva := OmittedVariable{Q: .5, Alpha: .05}.robustness(4, 16)
	close14(t, (math.Sqrt(17)-1)/8, rv)
	require.Zero(t, rva)
	// One degree of freedom for the critical value, t{.95, 1}: f* = 6.3138 > 1/f, so f > 1/f* rules.
	c := num.StudentQuantile(.9, 1)
	_, rva = OmittedVariable{Q: 1, Alpha: .1}.robustness(10*math.Sqrt2, 2)
	close14(t, (100-c*c)/101, rva)
}

// b with k 1, r = s = ½ does not exist; r = 1/5, s = 1/10: dz = 1/4, g = (1/25)/(16/25) = 1/16,
// yz = ((1+¼)/√(15/16))²/9 = (25/15)/9 = 5/27.
func TestBoundByHand(t *testing.T) {
	m := Benchmark{Name: "x"}
	b, e, clipped, err := OmittedVariable{}.bound(m, 1, .2, .1, -1, .1, 27, .95)
	require.NoError(t, err)
	require.False(t, clipped)
	close14(t, .25, b.R2DZ)
	close14(t, 5./27, b.R2YZ)
	close14(t, -1+.1*math.Sqrt(5./3), b.Estimate) // 27·5/27·(¼/¾)
	close14(t, .1*math.Sqrt(22./27/.75*27/26), b.SE)
	require.Equal(t, "1x x", e.Term)
	close14(t, b.Estimate-num.StudentQuantile(.95, 27)*b.SE, b.Lower)
	// k 2: dz = 1/2, g = .08/(.6·.8) = 1/6, yz = ((√2+√(1/6))/√(5/6))²/9.
	b, _, _, err = OmittedVariable{}.bound(m, 2, .2, .1, -1, .1, 27, .95)
	require.NoError(t, err)
	close14(t, .5, b.R2DZ)
	close14(t, math.Pow(math.Sqrt2+math.Sqrt(1./6), 2)*1.2/9, b.R2YZ)
	_, _, clipped, err = OmittedVariable{}.bound(m, 1, .2, .6, -1, .1, 27, .95)
	require.NoError(t, err)
	require.True(t, clipped)
	_, _, _, err = OmittedVariable{}.bound(m, 1, .5, .1, -1, .1, 27, .95)
	require.ErrorIs(t, err, ErrBenchmark)
}

func TestOmittedVariableOptionsAndErrors(t *testing.T) {
	f := world(false)
	ok := OmittedVariable{Treatment: "d", Benchmarks: []Benchmark{{"x1", []string{"x1"}}, {"both", []string{"x1", "x2"}}}, Strength: []float64{1, 2}}
	r, err := ok.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Len(t, r.Details["bounds"], 4)
	require.Equal(t, "2x both", r.Estimates[len(r.Estimates)-1].Term)
	same, err := OmittedVariable{Treatment: "d", Alpha: .05, Q: 1}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, r.Details["rv_qa"], same.Details["rv_qa"])
	for _, o := range []OmittedVariable{{Treatment: "nope"}, {Treatment: "d", Q: -1}, {Treatment: "d", Alpha: 1}, {Treatment: "d", Strength: []float64{0}},
		{Treatment: "d", Benchmarks: []Benchmark{{"d", []string{"d"}}}}, {Treatment: "d", Benchmarks: []Benchmark{{"e", nil}}}} {
		_, err := o.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption)
	}
	double := world(true)
	for i := range double.Y {
		double.X.Set(i, 3, 2*double.X.At(i, 1))
	}
	_, err = OmittedVariable{Treatment: "d", Benchmarks: []Benchmark{{"z", []string{"z"}}}}.Fit(t.Context(), double)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	r, err = OmittedVariable{Treatment: "d"}.Fit(t.Context(), double)
	require.NoError(t, err)
	require.Equal(t, "collinear-dropped", r.Notes[0].Code)
	exact := world(false)
	for i := range exact.Y {
		exact.Y[i] = 1 + 2*exact.X.At(i, 0)
	}
	_, err = OmittedVariable{Treatment: "d"}.Fit(t.Context(), exact)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	weighted := world(false)
	weighted.Weight = estimate.Weights{Kind: estimate.Sampling, Values: make([]float64, 60)}
	weighted.Weight.Values[0] = 1
	_, err = OmittedVariable{Treatment: "d"}.Fit(t.Context(), weighted)
	require.ErrorIs(t, err, estimate.ErrWeights)
}
