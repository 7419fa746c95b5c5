package survive

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// lose ends histories early: in b twice as often as elsewhere.
func lose(seed uint64, s *Spells) *Spells {
	out := *s
	out.Person, out.From, out.To, out.Start, out.Stop = nil, nil, nil, nil, nil
	gone := map[int]bool{}
	for i, p := range s.Person {
		if gone[p] {
			continue
		}
		stop, to := s.Stop[i], s.To[i]
		hash := (uint64(p)*2654435761 + uint64(i)*40503 + seed) % 100
		limit := uint64(8)
		if s.From[i] == 1 {
			limit = 25
		}
		if hash < limit && stop-s.Start[i] > 1 {
			stop, to = s.Start[i]+1, Censored
		}
		gone[p] = to == Censored
		out.Person, out.From, out.To, out.Start, out.Stop = append(out.Person, p), append(out.From, s.From[i]), append(out.To, to), append(out.Start, s.Start[i]), append(out.Stop, stop)
	}
	return &out
}

// Four people in a; one is lost at 1, so that the others weigh 4/3 from then on. At 2 one of the three moves to b (absorbing): the rate
// is 1/3 either way, as all who are left weigh alike.
func TestReweighLossByHand(t *testing.T) {
	s := &Spells{Person: []int{0, 1, 2, 3}, From: []int{0, 0, 0, 0}, To: []int{Censored, 1, Censored, Censored}, Start: []float64{0, 0, 0, 0}, Stop: []float64{1, 2, 3, 3},
		States: []string{"a", "b"}, ID: []string{"w", "x", "y", "z"}, Level: .95}
	r, err := ReweighLoss(s)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 1, 2, 2, 3, 3}, r.Owner)
	for k, w := range []float64{1, 1, 4.0 / 3, 1, 4.0 / 3, 1, 4.0 / 3} {
		require.InDelta(t, w, r.Spells.Weight.Values[k], 1e-15)
	}
	require.Equal(t, 1, r.Lost)
	require.InDelta(t, 4.0/3, r.Largest, 1e-15)
	a, err := AalenJohansen{At: []float64{2}, Tau: 2.5}.Fit(t.Context(), r.Spells)
	require.NoError(t, err)
	require.InDelta(t, 1.0/3, term(t, a, "time=2,state=b").Value, 1e-12)
	r.Collapse(a, s.ID)
	n, _ := a.Influence.Dims()
	require.Equal(t, 4, n)
}

// Where everybody is in one state until the event, all who are left weigh alike and nothing changes; nor without loss.
func TestReweighLossChangesNothingWithOneState(t *testing.T) {
	for _, c := range []struct {
		s    *Spells
		name string
	}{{single(300), "one state"}, {fickle(7, 100, .4, 20), "no loss"}} {
		plain, err := AalenJohansen{At: []float64{5, 10}, Tau: 12}.Fit(t.Context(), c.s)
		require.NoError(t, err)
		r, err := ReweighLoss(c.s)
		require.NoError(t, err)
		w, err := AalenJohansen{At: []float64{5, 10}, Tau: 12}.Fit(t.Context(), r.Spells)
		require.NoError(t, err)
		for k := range plain.Estimates {
			require.InDelta(t, plain.Estimates[k].Value, w.Estimates[k].Value, 1e-11, c.name)
		}
	}
}

// single has one transient state, with loss.
func single(n int) *Spells {
	s := fickle(9, n, 0, 30)
	out := &Spells{States: []string{"a", "end"}, ID: s.ID, Level: .95}
	seen := map[int]bool{}
	for i, p := range s.Person {
		if seen[p] {
			continue
		}
		seen[p] = true
		to := Censored
		if p%3 > 0 && s.Stop[i] < 14 {
			to = 1
		}
		out.Person, out.From, out.To, out.Start, out.Stop = append(out.Person, p), append(out.From, 0), append(out.To, to), append(out.Start, 0), append(out.Stop, min(14, s.Stop[i]))
	}
	return out
}

func TestReweighLossRelations(t *testing.T) {
	s := lose(3, fickle(7, 150, .5, 20))
	fit := func(s *Spells) *estimate.Result {
		r, err := ReweighLoss(s)
		require.NoError(t, err)
		a, err := AalenJohansen{At: []float64{9}, Tau: 12}.Fit(t.Context(), r.Spells)
		require.NoError(t, err)
		return a
	}
	base := fit(s)
	turned := *s
	turned.Person, turned.From, turned.To, turned.Start, turned.Stop = nil, nil, nil, nil, nil
	for i := len(s.Person) - 1; i >= 0; i-- {
		turned.Person, turned.From, turned.To = append(turned.Person, s.Person[i]), append(turned.From, s.From[i]), append(turned.To, s.To[i])
		turned.Start, turned.Stop = append(turned.Start, s.Start[i]), append(turned.Stop, s.Stop[i])
	}
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(fit(&turned).Estimates))
	plain, err := AalenJohansen{At: []float64{9}, Tau: 12}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.NotEqual(t, plain.Estimates[0].Value, base.Estimates[0].Value)
	sum := 0.0
	for _, x := range s.States {
		sum += term(t, base, "time=9,state="+x).Value
	}
	require.InDelta(t, 1, sum, 1e-12)
	weighted := *s
	weighted.Weight = estimate.Weights{Kind: estimate.Matching}
	for p := range s.ID {
		weighted.Weight.Values = append(weighted.Weight.Values, float64(p%3))
	}
	r, err := ReweighLoss(&weighted)
	require.NoError(t, err)
	for k, p := range r.Owner {
		require.NotZero(t, p%3)
		require.Positive(t, r.Spells.Weight.Values[k])
	}
	require.Equal(t, estimate.Matching, r.Spells.Weight.Kind)
	for p := range weighted.Weight.Values {
		weighted.Weight.Values[p] = 0
	}
	_, err = ReweighLoss(&weighted)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}
