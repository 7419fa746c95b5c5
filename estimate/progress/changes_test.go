package progress

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// FK, AF: a change at 1; nobody between FK and AF: at 3 all the same; own support between them: none; after death nothing.
func TestAuthorityChangesByHand(t *testing.T) {
	m := &Months{
		Persons: Persons{Unit: []string{"a", "b", "c", "d"}, Level: .95}, States: []string{"fk", "af", "none", "work", "dead"}, Length: 6,
		Code: []int8{
			0, 1, 1, 0, 0, -1,
			0, 2, 2, 1, 1, 1,
			0, 3, 1, 1, 1, 1,
			0, 1, 4, 4, 4, 4,
		},
	}
	who := Map{"fk": "FK", "af": "AF", "none": Nobody, "work": OwnSupport, "dead": Left}
	changes, left, err := AuthorityChanges(m, who)
	require.NoError(t, err)
	require.Equal(t, [][]int{{1, 3}, {3}, nil, {1}}, changes)
	require.Equal(t, []int{-1, -1, -1, 2}, left)
	_, _, err = AuthorityChanges(m, Map{"fk": "FK"})
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	m.Code[0] = 9
	_, _, err = AuthorityChanges(m, who)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}

// What is counted by month is what is counted by year.
func TestAuthorityChangesAreThoseOfBouncing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := &Months{Persons: Persons{Level: .95}, States: []string{"fk", "af", "none", "work", "dead"}, Length: 30}
	for i := range 60 {
		m.Unit = append(m.Unit, string(rune('A'+i)))
		for range m.Length {
			m.Code = append(m.Code, []int8{0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4}[rng.IntN(12)])
		}
	}
	who := Map{"fk": "FK", "af": "AF", "none": Nobody, "work": OwnSupport, "dead": Left}
	changes, _, err := AuthorityChanges(m, who)
	require.NoError(t, err)
	n := 0
	for _, c := range changes {
		n += len(c)
	}
	res, err := Bouncing{Authority: who}.Fit(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, []float64{float64(n)}, res.Details["events"].(map[string][]float64)["authority-changes"])
}
