package survive

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

func TestBadSpells(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Spells)
		err    error
		row    int
	}{
		"stop before start": {func(s *Spells) { s.Stop[2] = 0 }, ErrTimes, 2},
		"not a number":      {func(s *Spells) { s.Stop[2] = math.NaN() }, ErrTimes, 2},
		"never ends":        {func(s *Spells) { s.Stop[2] = math.Inf(1) }, ErrTimes, 2},
		"before the clock":  {func(s *Spells) { s.Start[0] = -1 }, ErrTimes, 0},
		"overlap":           {func(s *Spells) { s.Start[1] = 1.5 }, ErrOverlap, 1},
		"gap":               {func(s *Spells) { s.Start[4] = 3.5 }, ErrGap, 4},
		"splice":            {func(s *Spells) { s.From[4] = 1; s.States = append(s.States, "C"); s.To[3] = 2 }, ErrSplice, 4},
		"after the end":     {func(s *Spells) { s.To[0] = Censored }, ErrAfter, 1},
		"to itself":         {func(s *Spells) { s.To[2] = 0 }, ErrSelf, 2},
		"unknown state":     {func(s *Spells) { s.To[2] = 7 }, ErrState, 2},
		"no such from":      {func(s *Spells) { s.From[5] = -1 }, ErrState, 5},
		"no such person":    {func(s *Spells) { s.Person[5] = 9 }, estimate.ErrInvalidFrame, 5},
		"person twice":      {func(s *Spells) { s.ID[1] = "1" }, estimate.ErrInvalidFrame, -1},
		"person unseen":     {func(s *Spells) { s.ID = append(s.ID, "5") }, estimate.ErrInvalidFrame, -1},
		"level":             {func(s *Spells) { s.Level = 95 }, estimate.ErrInvalidFrame, -1},
		"frequency":         {func(s *Spells) { s.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 2, 1, 1}} }, estimate.ErrWeights, -1},
		"negative weight":   {func(s *Spells) { s.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{1, -2, 1, 1}} }, estimate.ErrInvalidFrame, -1},
		"state twice":       {func(s *Spells) { s.States[1] = "A" }, estimate.ErrInvalidFrame, -1},
		"no rows":           {func(s *Spells) { *s = Spells{Level: 0.95} }, estimate.ErrInvalidFrame, -1},
		"one cluster":       {func(s *Spells) { s.Cluster = []int{1, 1, 1, 1} }, estimate.ErrTooFew, -1},
		"empty group":       {func(s *Spells) { s.Group, s.GroupNames = []int{0, 0, 0, 0}, []string{"a", "b"} }, estimate.ErrTooFew, -1},
		"nobody from 0": {func(s *Spells) {
			for r := range s.Start {
				s.Start[r]++
				s.Stop[r]++
			}
		}, estimate.ErrNotIdentified, -1},
	} {
		t.Run(name, func(t *testing.T) {
			s := four()
			c.change(s)
			_, err := AalenJohansen{Tau: 4}.Fit(t.Context(), s)
			require.ErrorIs(t, err, c.err)
			var row *estimate.RowError
			require.Equal(t, c.row >= 0, errors.As(err, &row))
			if c.row >= 0 {
				require.Equal(t, c.row, row.Row)
			}
		})
	}
	for _, e := range []AalenJohansen{{Tau: -1}, {Tau: math.NaN()}, {Tau: 4, At: []float64{1, 1}}, {Tau: 4, At: []float64{-1}}} {
		_, err := e.Fit(t.Context(), four())
		require.Error(t, err)
	}
}

func TestRowsBecomeSpells(t *testing.T) {
	r := Rows{
		Person: []string{"b", "a", "b"}, From: []string{"U", "W", "W"}, To: []string{"W", "cens", ""},
		Start: []float64{0, 0, 3}, Stop: []float64{3, 5, 6}, Group: []string{"t", "c", "t"},
		Weight: []float64{2, 1, 2}, WeightKind: estimate.Sampling, Cluster: []string{"k", "l", "k"}, Level: 0.9,
	}
	s, err := r.Spells()
	require.NoError(t, err)
	require.Equal(t, &Spells{
		Person: []int{1, 0, 1}, From: []int{0, 1, 1}, To: []int{1, Censored, Censored}, Start: r.Start, Stop: r.Stop,
		States: []string{"U", "W"}, ID: []string{"a", "b"}, Group: []int{0, 1}, GroupNames: []string{"c", "t"},
		Weight: estimate.Weights{Kind: estimate.Sampling, Values: []float64{1, 2}}, Cluster: []int{1, 0}, Level: 0.9,
	}, s)
	r.Weight[2] = 3
	_, err = r.Spells()
	require.ErrorIs(t, err, ErrVaries)
	var row *estimate.RowError
	require.ErrorAs(t, err, &row)
	require.Equal(t, 2, row.Row)
	r.Weight[2] = 2
	r.States = []string{"W"}
	_, err = r.Spells()
	require.ErrorIs(t, err, ErrState)
}
