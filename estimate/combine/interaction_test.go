package combine_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// parts are effects of subgroups of people of their own: member j has n people.
func parts(values, se []float64, df float64) []combine.Member {
	var out []combine.Member
	for j, v := range values {
		m := combine.Member{Name: fmt.Sprint("g", j), Estimate: estimate.Wald("att", estimate.RiskDifference, v, se[j], df, 0.95)}
		for i := range 20 {
			m.Influence = append(m.Influence, se[j]/math.Sqrt(20)*float64(1-2*(i%2)))
			m.Group = append(m.Group, fmt.Sprint(j, "/", i))
		}
		out = append(out, m)
	}
	return out
}

// By hand: 0.3 ± 0.03 and 0.2 ± 0.04 of different people: difference -0.1 ± 0.05, W = 4, so
// that W is the square of the difference's own statistic. Three groups 1, 2, 4 with
// variances 1, 1, 2: V of the contrasts is [[2,1],[1,3]], its inverse [[3,-1],[-1,2]]/5, and
// W = (3·1 - 2·3 + 2·9)/5 = 3 for the contrasts 1, 3.
func TestInteractionByHand(t *testing.T) {
	res, err := combine.Interaction(parts([]float64{0.3, 0.2}, []float64{0.03, 0.04}, math.Inf(1)), 0.95)
	require.NoError(t, err)
	require.Equal(t, []string{"g1-g0", combine.InteractionTerm}, []string{res.Estimates[0].Term, res.Estimates[1].Term})
	require.InDelta(t, -0.1, res.Estimates[0].Value, 1e-15)
	require.InDelta(t, 0.05, res.Estimates[0].SE, 1e-12)
	require.InDelta(t, 4, res.Estimates[1].Value, 1e-10)
	require.Equal(t, combine.ChiSquare, res.Estimates[1].Measure)
	require.InDelta(t, res.Estimates[0].Test.P, res.Estimates[1].Test.P, 1e-12)
	three, err := combine.Interaction(parts([]float64{1, 2, 4}, []float64{1, 1, math.Sqrt2}, math.Inf(1)), 0.95)
	require.NoError(t, err)
	require.InDelta(t, 3, three.Estimates[2].Value, 1e-10)
	require.InDelta(t, math.Exp(-1.5), three.Estimates[2].Test.P, 1e-10) // chi-square on 2
	// R 4.2.2: pf(1.5, 2, 12, lower.tail = FALSE)
	of, err := combine.Interaction(parts([]float64{1, 2, 4}, []float64{1, 1, math.Sqrt2}, 12), 0.95)
	require.NoError(t, err)
	require.Equal(t, combine.FStatistic, of.Estimates[2].Measure)
	require.InDelta(t, 1.5, of.Estimates[2].Value, 1e-10)
	require.InDelta(t, 0.262144, of.Estimates[2].Test.P, 1e-6) // (1 + 2·1.5/12)^-6 = 0.8^6
}

// A subgroup inside another shares its people: the test is then that against the rest.
func TestInteractionCountsSharedPeople(t *testing.T) {
	// Effects are means of one number: all people, and the first half of them.
	var y []float64
	for i := range 40 {
		y = append(y, num.NewStream(3, "interaction", uint64(i)).Normal()+float64(i/20))
	}
	member := func(name string, from, to int) combine.Member {
		n := float64(to - from)
		mean := num.Sum(y[from:to]) / n
		m := combine.Member{Name: name}
		ss := 0.0
		for i := from; i < to; i++ {
			v := (y[i] - mean) / n
			ss += v * v
			m.Influence, m.Group = append(m.Influence, v), append(m.Group, fmt.Sprint(i))
		}
		m.Estimate = estimate.Wald("mean", estimate.MeanDifference, mean, math.Sqrt(ss), math.Inf(1), 0.95)
		return m
	}
	nested, err := combine.Interaction([]combine.Member{member("all", 0, 40), member("first", 0, 20)}, 0.95)
	require.NoError(t, err)
	apart, err := combine.Interaction([]combine.Member{member("second", 20, 40), member("first", 0, 20)}, 0.95)
	require.NoError(t, err)
	// first - all is half of first - second; the influences' cross terms follow only nearly.
	require.InDelta(t, apart.Estimates[0].Value/2, nested.Estimates[0].Value, 1e-12)
	require.InEpsilon(t, apart.Estimates[0].Test.Stat, nested.Estimates[0].Test.Stat, 0.15)
}

// The null is rejected in 5 % of 400 samples of three subgroups, within 3.6 points.
func TestInteractionSize(t *testing.T) {
	wrong := 0
	for rep := range 400 * sim.Factor {
		var members []combine.Member
		for g := range 3 {
			m := combine.Member{Name: fmt.Sprint(g)}
			s := num.NewStream(9, "interaction size", uint64(3*rep+g))
			var y []float64
			for range 40 {
				y = append(y, s.Normal()*float64(g+1))
			}
			mean := num.Sum(y) / 40
			ss := 0.0
			for i, v := range y {
				phi := (v - mean) / 40
				ss += phi * phi
				m.Influence, m.Group = append(m.Influence, phi), append(m.Group, fmt.Sprint(g, i))
			}
			m.Estimate = estimate.Wald("mean", estimate.MeanDifference, mean, math.Sqrt(ss*40/39), 39, 0.95)
			members = append(members, m)
		}
		res, err := combine.Interaction(members, 0.95)
		require.NoError(t, err)
		if res.Estimates[2].Test.P < 0.05 {
			wrong++
		}
	}
	share := float64(wrong) / (400 * sim.Factor)
	sim.Share(t, "interaction test rejects", share, 400*sim.Factor)
	require.InDelta(t, 0.05, share, 0.036)
}

func TestInteractionRefuses(t *testing.T) {
	m := parts([]float64{0.3, 0.2}, []float64{0.03, 0.04}, math.Inf(1))
	_, err := combine.Interaction(m[:1], 0.95)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	same := []combine.Member{m[0], m[0]}
	_, err = combine.Interaction(same, 0.95)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	m[1].Estimate.Measure = estimate.MeanDifference
	_, err = combine.Interaction(m, 0.95)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	m = parts([]float64{0.3, 0.2}, []float64{0.03, 0}, math.Inf(1))
	_, err = combine.Interaction(m, 0.95)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	m = parts([]float64{0.3, 0.2}, []float64{0.03, 0.04}, math.Inf(1))
	m[0].Estimate.Test.Null = 1
	_, err = combine.Interaction(m, 0.95)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
