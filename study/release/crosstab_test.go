package release

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// By hand, with threshold 10 and base 5: of 4 in a cell nothing is shown; so that it cannot be had
// from its row the smallest other cell of the row goes too, and so on until each row and column with
// withheld people has two cells and 10 people of them.
func TestCrosstabByHand(t *testing.T) {
	n := [][]int{{100, 40, 4}, {30, 60, 52}, {20, 33, 80}}
	c, w, err := Policy{}.Crosstab("x", n)
	require.NoError(t, err)
	shown := func(i, j int) bool { _, ok := c.Cells[i][j].Float(); return ok }
	require.False(t, shown(0, 2), "4 people")
	require.False(t, shown(0, 1), "the smallest other of the row")
	require.False(t, shown(1, 2), "the smallest other of the column")
	require.True(t, shown(0, 0))
	sum := 0
	for _, x := range w {
		sum += x.Cells
	}
	hidden := 0
	for i := range n {
		for j := range n {
			if !shown(i, j) {
				hidden++
			}
		}
	}
	require.Equal(t, hidden, sum)
	_, _, err = Policy{}.Crosstab("x", [][]int{{1}, {1, 2}})
	require.ErrorIs(t, err, ErrInput)
	_, _, err = Policy{}.Crosstab("x", [][]int{{-1}})
	require.ErrorIs(t, err, ErrInput)
	few, _, err := Policy{}.Crosstab("x", [][]int{{3, 2}, {1, 0}})
	require.NoError(t, err)
	require.True(t, few.N.Suppressed())
	require.False(t, func() bool { _, ok := few.Cells[0][0].Float(); return ok }())
}

// Attack: who knows every margin exactly finds no cell and no few people.
func TestCrosstabMarginsGiveNothingAway(t *testing.T) {
	rng := num.NewStream(5, "crosstab", 0)
	p := Policy{}
	for range 400 {
		n := make([][]int, 5)
		for i := range n {
			n[i] = make([]int, 5)
			for j := range n[i] {
				n[i][j] = rng.Intn(30) * rng.Intn(4)
			}
		}
		c, _, err := p.Crosstab("x", n)
		require.NoError(t, err)
		for k := range 10 {
			people, cells, open := 0, 0, 0
			for l := range 5 {
				i, j := k, l
				if k >= 5 {
					i, j = l, k-5
				}
				if _, ok := c.Cells[i][j].Float(); ok {
					open++
					require.GreaterOrEqual(t, n[i][j], p.Threshold())
				} else if n[i][j] > 0 {
					people, cells = people+n[i][j], cells+1
				}
			}
			if people > 0 && open > 0 {
				require.GreaterOrEqual(t, cells, 2)
				require.GreaterOrEqual(t, people, p.Threshold())
			}
		}
		sum := c.Rest
		for i := range n {
			sum += c.From[i]
			require.InDelta(t, c.From[i], sumOf(c.Cells[i]), 1e-12)
		}
		if !c.N.Suppressed() {
			require.InDelta(t, 1, sum, 1e-9)
		}
	}
}

func sumOf(row []Value) float64 {
	s := 0.0
	for _, v := range row {
		if x, ok := v.Float(); ok {
			s += x
		}
	}
	return s
}
