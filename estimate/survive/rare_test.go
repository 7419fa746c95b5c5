package survive

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// moved are n people a group, of whom the first k move from low to high at time 1.
func moved(n int, k [2]int) *Spells {
	s := &Spells{States: []string{"low", "high"}, GroupNames: []string{"c", "t"}, Level: 0.95}
	for i := range 2 * n {
		s.ID, s.Group = append(s.ID, fmt.Sprintf("p%04d", i)), append(s.Group, i/n)
		if i%n < k[i/n] {
			s.Person, s.From, s.To, s.Start, s.Stop = append(s.Person, i, i), append(s.From, 0, 1), append(s.To, 1, Censored), append(s.Start, 0, 1), append(s.Stop, 1, 2)
			continue
		}
		s.Person, s.From, s.To, s.Start, s.Stop = append(s.Person, i), append(s.From, 0), append(s.To, Censored), append(s.Start, 0), append(s.Stop, 2)
	}
	return s
}

func termOf(t *testing.T, res *estimate.Result, term string) estimate.Estimate {
	t.Helper()
	for _, e := range res.Estimates {
		if e.Term == term {
			return e
		}
	}
	t.Fatalf("no term %s", term)
	return estimate.Estimate{}
}

// By hand, z = 1.96: Wilson of 3 of 10 is .1078 to .6032, of 0 of 10 it is 0 to 3.8415/13.8415 = .2775. Newcombe's hybrid of
// 3/10 − 0/10 is .3 − √((.3 − .1078)² + .2775²) = −.0376 to .3 + (.6032 − .3) = .6032. Everybody who moves does so at 1, so that the
// months in the state up to 2 are the share at 1 and span 2 halves it: their interval is that of the share 3/20 with the error halved.
func TestRareStatesHaveScoreIntervals(t *testing.T) {
	res, err := AalenJohansen{At: []float64{1}, Tau: 2}.Fit(t.Context(), moved(10, [2]int{0, 3}))
	require.NoError(t, err)
	e := termOf(t, res, "time=1,state=high,contrast=t-c")
	require.Equal(t, "hybrid-score", e.CI.Method)
	reftest.Near(t, "lower", e.CI.Lo, -.0376, 5e-5)
	reftest.Near(t, "upper", e.CI.Hi, .6032, 5e-5)
	reftest.Near(t, "error", e.SE, math.Sqrt(.021), 1e-14)
	// The two states are each other's complement: the interval turns round.
	low := termOf(t, res, "time=1,state=low,contrast=t-c")
	reftest.Near(t, "lower", low.CI.Lo, -e.CI.Hi, 1e-12)
	reftest.Near(t, "upper", low.CI.Hi, -e.CI.Lo, 1e-12)
	reftest.Near(t, "p", low.Test.P, e.Test.P, 1e-9)
	// The test is the interval's: at the level 1 − p it touches 0.
	lo, _ := hybrid(rareShare{0, 0, 10}, rareShare{.3, math.Sqrt(.021), 10}, 0, e.Test.Stat)
	reftest.Near(t, "touches 0", lo, 0, 1e-9)
	reftest.Near(t, "p", e.Test.P, num.StudentTail(e.Test.Stat, math.Inf(1)), 1e-15)
	months := termOf(t, res, "state=high,contrast=t-c")
	require.Equal(t, "hybrid-score", months.CI.Method)
	p, v := .15, .021/4
	n := p * (1 - p) / v
	z := num.StudentQuantile(.95, math.Inf(1))
	centre, half := (p+z*z/2/n)/(1+z*z/n), z/(1+z*z/n)*math.Sqrt(p*(1-p)/n+z*z/4/n/n)
	group := termOf(t, res, "state=high,group=t")
	require.Equal(t, "score", group.CI.Method)
	reftest.Near(t, "group", group.CI.Lo, 2*(centre-half), 1e-12)
	reftest.Near(t, "group", group.CI.Hi, 2*(centre+half), 1e-12)
	reftest.Near(t, "months", months.CI.Lo, .3-2*math.Hypot(p-(centre-half), z*z/(10+z*z)), 1e-12)

	// A state that is not rare has its normal interval; a state without anybody none.
	res, err = AalenJohansen{At: []float64{1}, Tau: 2}.Fit(t.Context(), moved(200, [2]int{60, 100}))
	require.NoError(t, err)
	e = termOf(t, res, "time=1,state=high,contrast=t-c")
	require.Equal(t, estimate.Wald(e.Term, e.Measure, e.Value, e.SE, math.Inf(1), .95), e)
	res, err = AalenJohansen{At: []float64{1}, Tau: 2}.Fit(t.Context(), moved(10, [2]int{}))
	require.NoError(t, err)
	require.Zero(t, termOf(t, res, "time=1,state=high,contrast=t-c").SE)
}

// Sets over both groups: the correlation of the groups narrows the interval, and weights and clusters count as what they are worth.
func TestHybridScoreKnowsTheCorrelation(t *testing.T) {
	s := moved(10, [2]int{2, 4})
	apart, err := AalenJohansen{At: []float64{1}, Tau: 2}.Fit(t.Context(), s)
	require.NoError(t, err)
	for i := range s.ID {
		s.Cluster = append(s.Cluster, i%10)
	}
	sets, err := AalenJohansen{At: []float64{1}, Tau: 2}.Fit(t.Context(), s)
	require.NoError(t, err)
	a, b := termOf(t, apart, "time=1,state=high,contrast=t-c"), termOf(t, sets, "time=1,state=high,contrast=t-c")
	require.Less(t, b.SE, a.SE)
	require.Less(t, b.CI.Hi-b.CI.Lo, a.CI.Hi-a.CI.Lo)
	require.Less(t, b.Test.P, a.Test.P)
	s.Cluster, s.Weight = nil, estimate.Weights{Kind: estimate.Matching}
	for i := range s.ID {
		s.Weight.Values = append(s.Weight.Values, float64(1+i%2))
	}
	require.InDelta(t, 9.0, s.effective([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), 1e-12, "15²/25")
}
