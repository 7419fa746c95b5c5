package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/table"
)

// Six people in pairs, two months before and three after. One is not seen in the last month,
// and one lacks age: both leave with their pair where sets are whole, and alone where not.
func TestCourseIsAboutPeopleSeenThroughout(t *testing.T) {
	age := table.NewFloat(table.Field{Name: "age"}, []float64{30, 30, 40, 40, 50, 50}, []bool{true, true, true, true, true, false})
	people, err := table.New(table.NewText(table.Field{Name: cohort.UnitColumn}, []string{"1", "2", "3", "4", "5", "6"}, nil), age)
	require.NoError(t, err)
	paths := &cohort.Paths{States: []string{"none", "work"}, Before: 2, After: 3, Code: []int8{
		0, 1, 1, 1, 0,
		0, 0, 0, 0, 0,
		1, 1, 1, 1, -1,
		0, 0, 1, 1, 1,
		1, 1, 1, 1, 1,
		0, 0, 0, 0, 0,
	}}
	b := &built{spec: &Cohort{Name: "c"}, table: people, paths: paths, whole: true, set: []int{0, 0, 1, 1, 2, 2}}
	s := &state{}
	k := &Course{States: []string{"work"}, From: -1, To: 2}
	m, notes, err := s.courseMonths(b, k)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 4, 5}, m.rows)
	require.Equal(t, [][]float64{{1, 0, 1, 0}, {1, 0, 1, 0}, {1, 0, 1, 0}, {0, 0, 1, 0}}, m.levels)
	require.Equal(t, "not-seen-throughout", notes[0].Code)
	require.Equal(t, 2, notes[0].Args["rows"])
	k.To = 1 // before the month that is missing
	m, notes, err = s.courseMonths(b, k)
	require.NoError(t, err)
	require.Len(t, m.rows, 6)
	require.Empty(t, notes)
	k.Covariates = []string{"age"}
	m, _, err = s.courseMonths(b, k)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3}, m.rows)
	b.whole = false
	m, _, err = s.courseMonths(b, k)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3, 4}, m.rows)
	k.From = -3
	_, _, err = s.courseMonths(b, k)
	require.ErrorIs(t, err, ErrSpec)
}
