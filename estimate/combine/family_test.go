package combine_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// By hand, m = 4, p = .01 .02 .03 .5: Holm 4·.01, 3·.02, 2·.03, .5; BH .04 for the
// first three (4/3·.03 is the least of .04, .04, .04), .5; BY is that times 25/12.
func TestAdjustedByHand(t *testing.T) {
	p := []float64{0.03, 0.01, 0.5, 0.02}
	holm, err := combine.Holm(p)
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{0.06, 0.04, 0.5, 0.06}, holm, 1e-15)
	bh, err := combine.BenjaminiHochberg(p)
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{0.04, 0.04, 0.5, 0.04}, bh, 1e-15)
	by, err := combine.BenjaminiYekutieli(p)
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{1.0 / 12, 1.0 / 12, 1, 1.0 / 12}, by, 1e-15)
	// Holm is a running maximum: a later, smaller product does not go below.
	holm, _ = combine.Holm([]float64{0.02, 0.021, 0.4})
	require.InDeltaSlice(t, []float64{0.06, 0.06, 0.4}, holm, 1e-15)
}

// R 4.2.2, p.adjust(p, "holm" | "BH" | "BY").
func TestAdjustedAgreesWithR(t *testing.T) {
	p := []float64{0.01, 0.04, 0.03, 0.005, 0.2, 0.04}
	want := map[string][]float64{
		combine.HolmMethod:               {0.05, 0.12, 0.12, 0.03, 0.2, 0.12},
		combine.BenjaminiHochbergMethod:  {0.03, 0.048, 0.048, 0.03, 0.2, 0.048},
		combine.BenjaminiYekutieliMethod: {0.0735, 0.1176, 0.1176, 0.0735, 0.49, 0.1176},
	}
	for method, values := range want {
		f := combine.Family{Method: method}
		for i, v := range p {
			f.Members = append(f.Members, combine.Member{Name: fmt.Sprint(i), Estimate: estimate.Estimate{Test: estimate.Test{P: v}}})
		}
		out, err := f.Adjust(context.Background())
		require.NoError(t, err)
		require.InDeltaSlice(t, values, out.P, 1e-14, method)
	}
}

// family makes k estimates of 0 (or of shift) from n people whose numbers have
// correlation rho between the estimates.
func family(seed uint64, n, k int, rho, shift float64) combine.Family {
	f := combine.Family{Method: combine.RomanoWolfMethod, Seed: seed, Replicates: 499}
	group := make([]string, n)
	values := make([][]float64, k)
	for j := range values {
		values[j] = make([]float64, n)
	}
	for i := range n {
		s := num.NewStream(seed, "family", uint64(i))
		group[i] = fmt.Sprint(i)
		common := s.Normal()
		for j := range values {
			values[j][i] = math.Sqrt(rho)*common + math.Sqrt(1-rho)*s.Normal()
		}
	}
	for j, v := range values {
		mean := num.Sum(v) / float64(n)
		phi, ss := make([]float64, n), 0.0
		for i, x := range v {
			phi[i] = (x - mean) / float64(n)
			ss += phi[i] * phi[i]
		}
		if j == 0 {
			mean += shift
		}
		f.Members = append(f.Members, combine.Member{Name: fmt.Sprint("m", j), Influence: phi, Group: group,
			Estimate: estimate.Wald("x", estimate.MeanDifference, mean, math.Sqrt(ss), math.Inf(1), 0.95)})
	}
	return f
}

// Independent tests: the chance that the largest of m deviates passes z is 1-(1-p)^m,
// of the last one of the step-down p. Copies of one estimate are one test.
func TestRomanoWolfBetweenIndependentAndIdentical(t *testing.T) {
	f := family(1, 4000, 4, 0, 0)
	for j, p := range []float64{0.02, 0.2, 0.5, 0.9} {
		f.Members[j].Estimate.Test.P = p
	}
	f.Replicates = 200000
	out, err := f.Adjust(context.Background())
	require.NoError(t, err)
	for j, p := range []float64{0.02, 0.2, 0.5, 0.9} {
		want := 1 - math.Pow(1-p, float64(4-j))
		require.InDelta(t, want, out.P[j], 0.02, "member %d", j) // correlations of 4,000 people are near 0, not 0
	}
	// The second, alone in what is left, would have .047: it is not below the first's .089.
	f.Members[0].Estimate.Test.P, f.Members[1].Estimate.Test.P = 0.0455, 0.0466
	two := f
	two.Members = f.Members[:2]
	out, err = two.Adjust(context.Background())
	require.NoError(t, err)
	require.InDelta(t, 0.089, out.P[0], 0.006)
	require.Equal(t, out.P[0], out.P[1])
	for seed := range uint64(20) { // few draws: never below the test's own
		one := combine.Family{Method: combine.SupTMethod, Members: f.Members[2:3], Replicates: 199, Seed: seed}
		out, err = one.Adjust(context.Background())
		require.NoError(t, err)
		require.GreaterOrEqual(t, out.P[0], 0.5)
	}
	same := family(1, 400, 1, 0, 0)
	for j := range 3 {
		m := same.Members[0]
		m.Name = fmt.Sprint("copy", j)
		same.Members = append(same.Members, m)
	}
	same.Replicates = 100000
	out, err = same.Adjust(context.Background())
	require.NoError(t, err)
	for _, p := range out.P {
		require.InDelta(t, same.Members[0].Estimate.Test.P, p, 0.005)
	}
}

// The normal draw is the multiplier bootstrap: against sums over groups with a
// multiplier each, written out.
func TestDrawIsTheMultiplierBootstrap(t *testing.T) {
	f := family(3, 60, 3, 0.6, 0)
	for j := range f.Members { // two rows a person
		f.Members[j].Group = slices.Clone(f.Members[j].Group)
		for i := range f.Members[j].Group {
			f.Members[j].Group[i] = fmt.Sprint(i / 2)
		}
	}
	f.Method, f.Replicates = combine.SupTMethod, 100000
	out, err := f.Adjust(context.Background())
	require.NoError(t, err)
	const draws = 40000
	top := make([]float64, draws)
	for b := range top {
		s := num.NewStream(9, "by hand", uint64(b))
		var xi [30]float64
		for g := range xi {
			xi[g] = s.Normal()
		}
		for _, m := range f.Members {
			sum, ss := 0.0, 0.0
			for g := range xi {
				psi := m.Influence[2*g] + m.Influence[2*g+1]
				sum += xi[g] * psi
				ss += psi * psi
			}
			top[b] = math.Max(top[b], math.Abs(sum)/math.Sqrt(ss))
		}
	}
	slices.Sort(top)
	require.InDelta(t, top[int(0.95*draws)], out.Critical, 0.02)
	for j, m := range f.Members {
		z := -num.NormalQuantile(m.Estimate.Test.P / 2)
		at, _ := slices.BinarySearch(top, z)
		require.InDelta(t, float64(draws-at)/draws, out.P[j], 0.01)
		require.InDelta(t, m.Estimate.Value-out.Critical*m.Estimate.SE, out.Interval[j].Lo, 1e-12)
		require.InDelta(t, m.Estimate.Value+out.Critical*m.Estimate.SE, out.Interval[j].Hi, 1e-12)
	}
}

// Intervals follow the member's own reference: t on its degrees of freedom, logs of a ratio.
func TestIntervalsKeepTheirReference(t *testing.T) {
	f := family(4, 100, 2, 0.3, 0)
	f.Method = combine.SupTMethod
	f.Members[0].Estimate = estimate.Wald("a", estimate.MeanDifference, 1, 0.5, 7, 0.95)
	f.Members[1].Estimate = estimate.Estimate{Value: 2, SE: 0.4, Test: estimate.Test{P: 0.01, DF: math.Inf(1), Null: 1}}
	out, err := f.Adjust(context.Background())
	require.NoError(t, err)
	q := (out.Interval[0].Hi - 1) / 0.5
	require.InDelta(t, num.NormalTail(out.Critical), num.StudentTail(q, 7), 1e-12)
	require.InDelta(t, 4, out.Interval[1].Lo*out.Interval[1].Hi, 1e-12)
	require.InDelta(t, out.Critical*0.4/2, math.Log(out.Interval[1].Hi/2), 1e-12)
}

// Neither the order of members and rows nor the number of workers moves a byte; the seed does.
func TestFamilyIsDeterministic(t *testing.T) {
	for _, method := range []string{combine.RomanoWolfMethod, combine.SupTMethod} {
		f := family(5, 300, 5, 0.4, 0.3)
		f.Method, f.Workers = method, 1
		want, err := f.Adjust(context.Background())
		require.NoError(t, err)
		g := f
		g.Workers, g.Members = 8, slices.Clone(f.Members)
		slices.Reverse(g.Members)
		for j := range g.Members {
			g.Members[j].Influence, g.Members[j].Group = slices.Clone(g.Members[j].Influence), slices.Clone(g.Members[j].Group)
			slices.Reverse(g.Members[j].Influence)
			slices.Reverse(g.Members[j].Group)
		}
		got, err := g.Adjust(context.Background())
		require.NoError(t, err)
		slices.Reverse(got.P)
		require.Equal(t, want.P, got.P)
		f.Seed++
		other, err := f.Adjust(context.Background())
		require.NoError(t, err)
		require.NotEqual(t, want.P, other.P)
		f.Replicates = 999
		more, err := f.Adjust(context.Background())
		require.NoError(t, err)
		require.NotEqual(t, other.P, more.P)
	}
}

// Adjusted p-values are never below the raw ones; step-down is never above single step,
// nor Holm above Bonferroni; stronger dependence costs less.
func TestFamilyRelations(t *testing.T) {
	f := family(6, 500, 6, 0.9, 0.05)
	f.Replicates = 4999
	rw, err := f.Adjust(context.Background())
	require.NoError(t, err)
	f.Method = combine.SupTMethod
	sup, err := f.Adjust(context.Background())
	require.NoError(t, err)
	f.Method, f.Replicates, f.Seed = combine.HolmMethod, 0, 0
	holm, err := f.Adjust(context.Background())
	require.NoError(t, err)
	for j, m := range f.Members {
		p := m.Estimate.Test.P
		require.GreaterOrEqual(t, rw.P[j], p)
		require.LessOrEqual(t, rw.P[j], sup.P[j])
		require.LessOrEqual(t, holm.P[j], math.Min(1, 6*p)+1e-15)
	}
	require.Less(t, sup.Critical, 2.45) // independent: 2.63
}

// The chance of any false rejection at 5 %, 400 families of which one member is no
// null: within ±2.5 points of 5 % for those that use the dependence, above 5 % by none.
func TestFamilyWiseError(t *testing.T) {
	const reps = 400 * sim.Factor
	wrong := map[string]int{}
	found := map[string]int{}
	for rep := range reps {
		f := family(uint64(1000+rep), 120, 6, 0.8, 0.3)
		raw := false
		for _, m := range f.Members[1:] {
			raw = raw || m.Estimate.Test.P < 0.05
		}
		if raw {
			wrong["raw"]++
		}
		for _, method := range []string{combine.HolmMethod, combine.RomanoWolfMethod, combine.SupTMethod} {
			f.Method = method
			f.Seed, f.Replicates = 0, 0
			if method != combine.HolmMethod {
				f.Replicates = 499
			}
			out, err := f.Adjust(context.Background())
			require.NoError(t, err)
			if slices.ContainsFunc(out.P[1:], func(p float64) bool { return p < 0.05 }) {
				wrong[method]++
			}
			if out.P[0] < 0.05 {
				found[method]++
			}
		}
	}
	t.Log(wrong, found)
	require.Greater(t, wrong["raw"], reps*9/100)
	for _, method := range []string{combine.HolmMethod, combine.RomanoWolfMethod, combine.SupTMethod} {
		require.LessOrEqual(t, wrong[method], reps*75/1000, method)
	}
	require.GreaterOrEqual(t, wrong[combine.RomanoWolfMethod], reps*25/1000)
	require.Greater(t, found[combine.RomanoWolfMethod], found[combine.HolmMethod])
}

func TestFamilyRefuses(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		change func(*combine.Family)
		want   error
	}{
		"method":     {func(f *combine.Family) { f.Method = "bonferroni" }, combine.ErrOption},
		"replicates": {func(f *combine.Family) { f.Replicates = 100 }, combine.ErrOption},
		"seed":       {func(f *combine.Family) { f.Method, f.Replicates = combine.HolmMethod, 0 }, combine.ErrOption},
		"level":      {func(f *combine.Family) { f.Level = 1 }, combine.ErrOption},
		"names":      {func(f *combine.Family) { f.Members[1].Name = "m0" }, estimate.ErrInvalidFrame},
		"p":          {func(f *combine.Family) { f.Members[1].Estimate.Test.P = 1.2 }, estimate.ErrInvalidFrame},
		"influence":  {func(f *combine.Family) { f.Members[1].Influence = nil }, estimate.ErrInvalidFrame},
		"zero":       {func(f *combine.Family) { f.Members[1].Influence = make([]float64, 50) }, estimate.ErrInvalidFrame},
		"finite": {func(f *combine.Family) {
			f.Members[1].Influence = slices.Repeat([]float64{math.NaN()}, 50)
		}, estimate.ErrInvalidFrame},
		"none": {func(f *combine.Family) { f.Members = nil }, estimate.ErrTooFew},
	} {
		f := family(7, 50, 3, 0, 0)
		c.change(&f)
		_, err := f.Adjust(ctx)
		require.ErrorIs(t, err, c.want, name)
	}
	f := family(7, 50, 3, 0, 0)
	f.Members[1].Estimate.Test.P = math.NaN()
	out, err := f.Adjust(ctx)
	require.NoError(t, err)
	require.True(t, math.IsNaN(out.P[1]) && !math.IsNaN(out.P[0]))
	require.Equal(t, "family-without-test", out.Notes[0].Code)
	two := combine.Family{Method: f.Method, Seed: f.Seed, Replicates: f.Replicates, Members: []combine.Member{f.Members[0], f.Members[2]}}
	without, err := two.Adjust(ctx)
	require.NoError(t, err)
	require.Equal(t, []float64{without.P[0], without.P[1]}, []float64{out.P[0], out.P[2]})
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	_, err = two.Adjust(stopped)
	require.ErrorIs(t, err, context.Canceled)
}
