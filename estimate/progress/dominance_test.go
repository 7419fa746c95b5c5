package progress

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

// onSteps puts people on steps 1, 2, … for good: counts by arm and step.
func onSteps(control, treated []int) *survive.Spells {
	s := &survive.Spells{GroupNames: []string{"c", "t"}, Level: 0.95}
	for k := range control {
		s.States = append(s.States, fmt.Sprintf("s%d", k+1))
	}
	for g, counts := range [][]int{control, treated} {
		for k, n := range counts {
			for range n {
				p := len(s.ID)
				s.ID, s.Group = append(s.ID, fmt.Sprintf("p%05d", p)), append(s.Group, g)
				s.Person, s.From, s.To = append(s.Person, p), append(s.From, k), append(s.To, survive.Censored)
				s.Start, s.Stop = append(s.Start, 0), append(s.Stop, 2)
			}
		}
	}
	return s
}

func numbered(s *survive.Spells) Ladder {
	l := Ladder{}
	for k, name := range s.States {
		l[name] = k + 1
	}
	return l
}

func dominanceOf(t *testing.T, s *survive.Spells) Dominance {
	t.Helper()
	res := mustFit(t, NetMonths{Ladder: numbered(s), Tau: 1.5, At: []float64{1}}, s)
	return res.Details["dominance"].([]Dominance)[0]
}

// By hand, 50 an arm. At or below step 1: 10/50 of participants, 25/50 of the others, δ = −.3 with variance (.2·.8 + .5·.5)/50 = .0082;
// at or below step 2: .5 and .8, δ = −.3 with (.25 + .16)/50 = .0082; at or below step 3: .9 and .92, δ = −.02 with (.09 + .0736)/50.
// D = −.02, T = −.02/√.003272 = −.34964, p = Φ(T) = .36331: not shown. Without step 4 the first two decide: T = −.3/√.0082 = −3.31295.
func TestDominanceByHand(t *testing.T) {
	d := dominanceOf(t, onSteps([]int{25, 15, 6, 4}, []int{10, 15, 20, 5}))
	se := math.Sqrt(.003272)
	reftest.Agree(t, "D", d.Largest, -.02, 12)
	reftest.Agree(t, "T", d.Stat, -.02/se, 12)
	reftest.Agree(t, "p", d.P, .5*math.Erfc(.02/se/math.Sqrt2), 12)
	reftest.Agree(t, "high", d.High, -.02+1.959963984540054*se, 12)
	// 1 − .025/3 = .9916667: z = 2.3939798.
	reftest.Agree(t, "low", d.Low, max(-.3-2.3939798*math.Sqrt(.0082), -.02-2.3939798*se), 6)
	require.True(t, d.Holds)
	require.False(t, d.Shown)
	reftest.Agree(t, "comparison people at or below", d.AtOrBelow[0], .92, 12)
	reftest.Agree(t, "participants at or below", d.AtOrBelow[1], .9, 12)
	d = dominanceOf(t, onSteps([]int{25, 15, 10}, []int{10, 15, 25}))
	reftest.Agree(t, "T of three steps", d.Stat, -.3/math.Sqrt(.0082), 12)
	require.True(t, d.Shown)
	require.InDelta(t, .000461, d.P, 2e-6)
	// The other way round D is .3, and p is near 1.
	d = dominanceOf(t, onSteps([]int{10, 15, 25}, []int{25, 15, 10}))
	reftest.Agree(t, "the other way", d.Largest, .3, 12)
	require.Greater(t, d.P, .999)
	require.False(t, d.Holds)
	// Nobody at all on the lowest step tells nothing about it.
	d = dominanceOf(t, onSteps([]int{0, 40, 10}, []int{0, 15, 35}))
	require.True(t, math.IsNaN(d.Stat) && math.IsNaN(d.High))
	require.Equal(t, 1.0, d.P)
	require.False(t, d.Shown)
	b, err := json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(b), `"p_value":1,`)
	require.Contains(t, string(b), `"statistic":null`)
	require.True(t, math.IsNaN(d.Estimate("x", .95).Test.P))
}

// At the least favourable point (no difference at one step, participants far higher at the others) the test rejects in 5 %, with
// no difference at all far less; the interval holds D at least as often as it says.
func TestDominanceSize(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, arm = 400 * sim.Factor, 200
	equal := []float64{.25, .25, .25, .25}
	for name, c := range map[string]struct {
		treated []float64
		d       float64
		atLeast float64
	}{
		"least favourable": {[]float64{.25, .05, .10, .60}, 0, .05 - sim.Band(reps)},
		"no difference":    {equal, 0, 0},
		"higher":           {[]float64{.10, .15, .25, .50}, -.15, .9},
	} {
		shown, covered := 0.0, 0.0
		for rep := range reps {
			st := num.NewStream(uint64(rep), "dominance "+name, 0)
			d := dominanceOf(t, onSteps(drawSteps(st, arm, equal), drawSteps(st, arm, c.treated)))
			if d.Shown {
				shown += 1. / reps
			}
			if d.Low <= c.d && c.d <= d.High {
				covered += 1. / reps
			}
		}
		sim.Share(t, "dominance shown, "+name, shown, reps)
		sim.Share(t, "interval of the largest difference, "+name, covered, reps)
		require.Greater(t, covered, .95-sim.Band(reps), name)
		require.GreaterOrEqual(t, shown, c.atLeast, name)
		if c.d == 0 {
			require.Less(t, shown, .05+sim.Band(reps), name)
		}
	}
}

func drawSteps(st *num.Stream, n int, p []float64) []int {
	out := make([]int, len(p))
	for range n {
		u, k := st.Float(), 0
		for ; k < len(p)-1 && u >= p[k]; k++ {
			u -= p[k]
		}
		out[k]++
	}
	return out
}
