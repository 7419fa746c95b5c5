package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate/survive"
)

// Two months in a row of w count from the first; d precludes them. Six months (0 to 5) tell who began such a row up to month 4.
func TestTimeToTheFirstOfMonthsInARow(t *testing.T) {
	const u, w, d, no = 0, 1, 2, -1
	p := &cohort.Paths{States: []string{"u", "w", "d"}, Before: 1, After: 6, Code: []int8{
		u, u, u, w, w, u, u, // a row from 2 on
		u, u, w, u, w, w, w, // one month at 1 is no row: 3
		u, u, u, d, d, d, d, // d at 2
		u, u, u, u, u, u, w, // whether 5 begins a row is not seen, of anybody
		w, w, w, w, u, u, u, // there at the start: the row from 1 on
		u, u, u, w, no, no, no, // seen to 2: known to 1
		u, u, w, d, d, d, d, // d at 2 ends a row of one
		u, u, u, u, u, u, d, // d at 5, after 4
		u, no, no, no, no, no, no,
		u, u, u, u, u, w, w, // begins at 4, the last month that is known
		u, w, u, u, u, u, u, // in w in month 0 only
	}}
	q := &TimeTo{States: []string{"w"}, Stable: 2, Competing: map[string][]string{"dead": {"d"}}}
	r, err := q.rows(p, 11)
	require.NoError(t, err)
	require.Equal(t, []string{reached, "dead"}, r.causes)
	require.Equal(t, []float64{2, 3, 2, 4.5, 1, 1.5, 2, 4.5, 0.5, 4, 4.5}, r.time)
	c := survive.Censored
	require.Equal(t, []int{0, 0, 1, c, 0, c, 1, c, c, 0, c}, r.cause)
	require.Equal(t, []bool{false, false, false, false, true, false, false, false, false, false, true}, r.was)
	// One month is enough: the second comes at 1, the fourth at 5.
	q.Stable = 1
	r, err = q.rows(p, 11)
	require.NoError(t, err)
	require.Equal(t, []float64{2, 1, 2, 5, 1, 2, 1, 5, 0.5, 4, 5.5}, r.time)
	q.Competing = map[string][]string{"dead": {"x"}}
	_, err = q.rows(p, 11)
	require.ErrorIs(t, err, ErrSpec)
}

// Between two months of a curve that are shown enough people come: with 10, months 2 (12 people), 4 (asked for, 22), and 7 (33) of 0, 6, 12, 14, 22, 25, 31, 33, 34.
// At month 6 nine more than at 4, and after 7 too few.
func TestCurvesAreThinned(t *testing.T) {
	c := &timeToCurve{people: 100, value: make([]float64, 9), events: []int{0, 6, 12, 14, 22, 25, 31, 33, 34}}
	kept, gone := c.thin([]int{4, 7}, 10)
	require.Equal(t, []int{0, 2, 4, 7}, kept)
	require.Equal(t, 5, gone)
	// A month asked for whose people are too few is left out.
	kept, _ = c.thin([]int{1, 4}, 10)
	require.Equal(t, []int{0, 2, 4, 8}, kept)
	// Too few who have not come.
	c.people = 40
	kept, _ = c.thin([]int{4}, 10)
	require.Equal(t, []int{0, 2, 4}, kept)
	for _, enough := range []int{3, 5, 8, 11} {
		less, _ := c.thin([]int{4}, enough)
		for i := 1; i < len(less); i++ {
			require.GreaterOrEqual(t, c.events[less[i]]-c.events[less[i-1]], enough)
		}
	}
	kept, gone = (&timeToCurve{}).thin(nil, 10)
	require.Empty(t, kept)
	require.Zero(t, gone)
}
