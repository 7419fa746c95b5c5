package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/reftest"
)

// parked has n persons an arm: comparison people stay in out; participants are in training for 10 months, and the
// last half of them then work for 2.
func parked(n int) *survive.Spells {
	s := &survive.Spells{States: []string{"out", "training", "work"}, GroupNames: []string{"c", "t"}, Level: 0.95}
	add := func(p, from, to int, start, stop float64) {
		s.Person, s.From, s.To = append(s.Person, p), append(s.From, from), append(s.To, to)
		s.Start, s.Stop = append(s.Start, start), append(s.Stop, stop)
	}
	for p := range 2 * n {
		s.ID, s.Group = append(s.ID, fmt.Sprintf("p%03d", p)), append(s.Group, p/n)
		switch {
		case p < n:
			add(p, 0, survive.Censored, 0, 12)
		case p < n+n/2:
			add(p, 1, survive.Censored, 0, 12)
		default:
			add(p, 1, 2, 0, 10)
			add(p, 2, survive.Censored, 10, 12)
		}
	}
	return s
}

// By hand: participants are always above comparison people, 12 net months; with training on the step of out only the 2
// months of work of one half are, 1 net month: 11/12 of the net months are the programme itself.
func TestAdministrativeStepsByHand(t *testing.T) {
	ladder := Ladder{"out": 1, "training": 2, "work": 3}
	res := mustFit(t, NetMonths{Ladder: ladder, Tau: 12, Administrative: []string{"training"}}, parked(20))
	last := res.Estimates[len(res.Estimates)-1]
	require.Equal(t, "net-months,administrative=merged", last.Term)
	reftest.Agree(t, "net", res.Estimates[0].Value, 12, 12)
	reftest.Agree(t, "merged", last.Value, 1, 12)
	// 20 participants, half with 2 months more: variance of the mean Σ(±1/20)² = 1/20.
	reftest.Agree(t, "error", last.SE, math.Sqrt(0.05), 12)
	a := res.Details["administrative"].(AdministrativeShare)
	reftest.Agree(t, "share", a.Share, 11.0/12, 12)
	require.Equal(t, "administrative-steps", res.Notes[len(res.Notes)-1].Code)
	require.Equal(t, NotChecked, res.Details["order"].(OrderCheck).Verdict, "the merged ladder is no declared order")

	// It is the ladder with training on the step below, whatever else is asked for.
	alt := Ladder{"out": 1, "training": 1, "work": 2}
	all := mustFit(t, NetMonths{Ladder: ladder, Alternatives: map[string]Ladder{"merged": alt}, Tau: 12, At: []float64{11}, Administrative: []string{"training"}}, parked(20))
	k := len(all.Estimates)
	require.Equal(t, all.Estimates[k-2].Value, all.Estimates[k-1].Value)
	require.Equal(t, all.Estimates[k-2].SE, all.Estimates[k-1].SE)

	// At half or less the sentence is not needed: work that comes at once.
	s := parked(20)
	for i := range s.Stop {
		switch {
		case s.To[i] == 2:
			s.Stop[i] = 1
		case s.From[i] == 2:
			s.Start[i] = 1
		}
	}
	res = mustFit(t, NetMonths{Ladder: ladder, Tau: 12, Administrative: []string{"training"}}, s)
	reftest.Agree(t, "share", res.Details["administrative"].(AdministrativeShare).Share, 1-5.5/12, 12)
	require.Equal(t, "administrative-steps", res.Notes[len(res.Notes)-1].Code)
	less, none := administrative(nil, 2, 1)
	require.Equal(t, 0.5, less.Share)
	require.Empty(t, none, "one half is not more than half")
	zero, _ := administrative(nil, 0, 1)
	require.True(t, math.IsNaN(zero.Share))
}

func TestAdministrativeStatesGoOneStepDown(t *testing.T) {
	states, steps := []string{"a", "b", "c", "d", "e"}, []int{1, 2, 3, 4, 5}
	for _, c := range []struct {
		names []string
		want  []int
	}{
		{[]string{"c"}, []int{1, 2, 2, 4, 5}},
		{[]string{"c", "d"}, []int{1, 2, 2, 2, 5}},
		{[]string{"a"}, []int{1, 2, 3, 4, 5}}, // there is none below: merged upwards it would add to the effect
		{[]string{"b", "d"}, []int{1, 1, 3, 3, 5}},
	} {
		got, err := withoutAdministrative(states, steps, c.names)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	for _, names := range [][]string{{"x"}, {"a", "a"}, {"a", "b", "c", "d"}, states} {
		_, err := withoutAdministrative(states, steps, names)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
}
