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

// covered counts, per replicate and term, whether the interval holds the truth, and collects estimates.
type covered struct {
	in, value, se map[string][]float64
}

func newCovered() *covered {
	return &covered{map[string][]float64{}, map[string][]float64{}, map[string][]float64{}}
}

// check holds coverage to 95 % ± three Monte Carlo errors of reps replicates, the bias to four, and the mean error to a
// tenth of the spread.
func (c *covered) check(t *testing.T, truth map[string]float64, least int) {
	t.Helper()
	for term, want := range truth {
		n := float64(len(c.in[term]))
		require.GreaterOrEqual(t, int(n), least, term)
		cover, mean, se := num.Sum(c.in[term])/n, num.Sum(c.value[term])/n, num.Sum(c.se[term])/n
		square := 0.0
		for _, v := range c.value[term] {
			square += (v - mean) * (v - mean)
		}
		sd := math.Sqrt(square / (n - 1))
		t.Logf("%-28s truth %.3f mean %.3f sd %.3f mean se %.3f coverage %.3f", term, want, mean, sd, se, cover)
		require.InDelta(t, 0.95, cover, 3*math.Sqrt(0.95*0.05/n)+0.004, term)
		require.InDelta(t, 1, se/sd, 3/math.Sqrt(2*n)+0.05, term)
	}
}

// Graded response model of 400 persons in two groups: slopes, thresholds and the difference of the groups.
func TestGradedCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("400 replicates")
	}
	const reps, n = 400 * sim.Factor, 400
	slopes, b := gradedItems(5, 3)
	truth := map[string]float64{"q1/a": slopes[0], "q4/a": slopes[3], "q1/b1": b[0][0], "q4/b2": b[3][1], "trait/mean,group=1": 0.4, "trait/variance,group=1": 1.21}
	type one struct {
		term          string
		value, se, in float64
	}
	results := make([][]one, reps)
	num.ForEach(reps, 0, func(rep int) {
		a := &Answers{X: mat.NewDense(n, 5, nil), GroupNames: []string{"0", "1"}, Level: 0.95}
		for j := range 5 {
			a.Names = append(a.Names, fmt.Sprint("q", j+1))
		}
		for i := range n {
			st := num.NewStream(61, fmt.Sprint("coverage", rep), uint64(i))
			a.Unit, a.Group = append(a.Unit, fmt.Sprintf("p%04d", i)), append(a.Group, i%2)
			theta := st.Normal()
			if i%2 == 1 {
				theta = 0.4 + 1.1*theta
			}
			for j := range 5 {
				v := grade(st, slopes[j], theta, b[j])
				if st.Bernoulli(0.05) {
					v = math.NaN()
				}
				a.X.Set(i, j, v)
			}
		}
		r, err := GradedResponse{Workers: 1}.Fit(t.Context(), a)
		if err != nil {
			return
		}
		for _, e := range r.Estimates {
			if want, has := truth[e.Term]; has {
				in := 0.0
				if e.CI.Lo <= want && want <= e.CI.Hi {
					in = 1
				}
				results[rep] = append(results[rep], one{e.Term, e.Value, e.SE, in})
			}
		}
	})
	c := newCovered()
	for _, r := range results {
		for _, o := range r {
			c.in[o.term], c.value[o.term], c.se[o.term] = append(c.in[o.term], o.in), append(c.value[o.term], o.value), append(c.se[o.term], o.se)
		}
	}
	c.check(t, truth, reps-2)
}

// D10: difference in change .35; a shift of participants only biases it (.22 in the design note), unless it is modelled.
func TestD10(t *testing.T) {
	if testing.Short() {
		t.Skip("replicates of two waves")
	}
	const reps, n = 64, 240
	c := newCovered()
	type one struct{ value, se, in [2]float64 }
	results := make([]one, reps)
	num.ForEach(reps, 0, func(rep int) {
		r, err := LatentChange{Workers: 1}.Fit(t.Context(), simWaves(62, rep, n, d10()))
		if err != nil {
			return
		}
		for k, want := range []float64{0.35, 0.2} {
			e := r.Estimates[k]
			results[rep].value[k], results[rep].se[k] = e.Value, e.SE
			if e.CI.Lo <= want && want <= e.CI.Hi {
				results[rep].in[k] = 1
			}
		}
	})
	for _, o := range results {
		for k, term := range []string{"difference", "change,group=0"} {
			if o.se[k] > 0 {
				c.in[term], c.value[term], c.se[term] = append(c.in[term], o.in[k]), append(c.value[term], o.value[k]), append(c.se[term], o.se[k])
			}
		}
	}
	c.check(t, map[string]float64{"difference": 0.35, "change,group=0": 0.2}, reps)
	truth := d10()
	truth.differ = 0.6
	w := simWaves(63, 0, 1000, truth)
	naive := latentChange(t, LatentChange{}, w)
	right := latentChange(t, LatentChange{Differ: []string{"i6"}}, w)
	require.Less(t, naive.Estimates[0].Value, right.Estimates[0].Value-0.05)
	require.InDelta(t, 0.35, right.Estimates[0].Value, 3*right.Estimates[0].SE)
	shift := named(t, right, "i6/shift-difference")
	require.InDelta(t, 0.6, shift.Value, 3*shift.SE)
}
