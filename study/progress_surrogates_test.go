package study

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand: 15 older people on each of four of five steps, of whom 0, 2, 12 and 15 came to the outcome. No step has 10 of either kind: the lowest joins the
// second (2 of 30), they join the third (14 of 45: 10 of either kind), and the highest, who all came to it, joins them; from the highest
// down the two upper ones have 27 of 30, with the second 29 of 45, and the lowest joins them. Nothing is left to compare.
func TestRareStepsJoinTheirNeighbour(t *testing.T) {
	d := &forecastData{}
	columns := make([][]float64, 5)
	for k := range columns {
		columns[k] = make([]float64, 61)
	}
	put := func(step int, with, without int) {
		for k := range with + without {
			i := len(d.y)
			columns[step][i] = float64(1 + k%3)
			d.older, d.y = append(d.older, true), append(d.y, 0)
			if k < with {
				d.y[i] = 1
			}
		}
	}
	put(0, 0, 15)
	put(1, 2, 13)
	put(2, 12, 3)
	put(4, 15, 0) // nobody is on the fourth
	d.older, d.y = append(d.older, false), append(d.y, 1)
	columns[4][60] = 7 // a participant of today decides nothing
	got := d.joined(columns)
	require.Len(t, got, 1)
	require.ElementsMatch(t, []int{0, 1, 2, 4}, got[0].steps)

	// Enough on the two in the middle: the highest counts as the step below it, the lowest as the one above, months added up.
	d.older, d.y = nil, nil
	for k := range columns {
		columns[k] = make([]float64, 90)
	}
	put(0, 1, 19)
	put(1, 11, 14)
	put(2, 12, 18)
	put(4, 14, 1)
	got = d.joined(columns)
	require.Len(t, got, 2)
	require.Equal(t, []int{0, 1}, got[0].steps)
	require.Equal(t, []int{2, 4}, got[1].steps)
	require.Equal(t, columns[4][80], got[1].of[80])
	require.Equal(t, columns[2][50], got[1].of[50])
	require.Positive(t, got[1].of[50])
	require.Zero(t, got[1].of[3])

	// From the lowest up the third (4 with) joins the second, and the highest (4 without) them: two groups. From the highest down it joins the third: three.
	d.older, d.y = nil, nil
	for k := range columns {
		columns[k] = make([]float64, 104)
	}
	put(0, 10, 30)
	put(1, 10, 10)
	put(2, 4, 20)
	put(4, 16, 4)
	got = d.joined(columns)
	require.Len(t, got, 3)
	require.Equal(t, []int{2, 4}, got[2].steps)
}
