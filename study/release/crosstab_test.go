package release

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// By hand, with threshold 10 and base 5: the 4 take the 40 of their row and the 52 of their column with
// them; the 40 takes the 33 of its column, the 52 the 30 of its row, the 33 the 20 of its row. Left are 100, 60, 80.
func TestCrosstabByHand(t *testing.T) {
	n := [][]int{{100, 40, 4}, {30, 60, 52}, {20, 33, 80}}
	c, w, err := Policy{}.Crosstab("x", n)
	require.NoError(t, err)
	shown := func(i, j int) bool { _, ok := c.Cells[i][j].Float(); return ok }
	require.False(t, shown(0, 2), "4 people")
	require.False(t, shown(0, 1), "the smallest other of the row")
	require.False(t, shown(1, 2), "the smallest other of the column")
	for i := range n {
		for j := range n {
			require.Equal(t, i == j, shown(i, j))
		}
	}
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

// A larger minimum shows a subset.
func TestCrosstabIsMonotone(t *testing.T) {
	rng := num.NewStream(6, "crosstab", 0)
	for range 400 {
		n := make([][]int, 4)
		for i := range n {
			n[i] = make([]int, 5)
			for j := range n[i] {
				n[i][j] = rng.Intn(40) * rng.Intn(5)
			}
		}
		before, _, err := Policy{MinCount: 5, RoundTo: 1}.Crosstab("x", n)
		require.NoError(t, err)
		for _, least := range []int{8, 10, 15, 30} {
			now, _, err := Policy{MinCount: least, RoundTo: 1}.Crosstab("x", n)
			require.NoError(t, err)
			for i := range n {
				for j := range n[i] {
					if !now.Cells[i][j].Suppressed() {
						require.False(t, before.Cells[i][j].Suppressed())
					}
				}
			}
			before = now
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
