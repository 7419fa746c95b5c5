package cohort

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// Edges 0, 1, 2, 4: 0 is in the first bin, 1 in the second, 2 in the third, and 4, the last edge, in the third too.
func TestCountBinsByHand(t *testing.T) {
	tab, err := table.New(
		table.NewBoolean(table.Field{Name: "t"}, []bool{true, false, true, false, false, true}, nil),
		table.NewFloat(table.Field{Name: "x"}, []float64{0, 0.5, 1, 2, 4, 9}, []bool{true, true, true, true, true, false}))
	require.NoError(t, err)
	x, err := tab.Float("x")
	require.NoError(t, err)
	d, edges := Spec{Treatment: "t"}, []float64{0, 1, 2, 4}
	b, err := CountBins(tab, d, x, []float64{1, 0, 2, 0.5, 0.25, 1}, edges)
	require.NoError(t, err)
	require.Equal(t, Bins{edges, []Bin{
		{TreatedBefore: 1, ControlBefore: 1, TreatedAfter: 1, WeightTreated: 1},
		{TreatedBefore: 1, TreatedAfter: 1, WeightTreated: 2},
		{ControlBefore: 2, ControlAfter: 2, WeightControl: 0.75},
	}}, b)
	both := func(c Bin) bool { return c.TreatedBefore > 0 && c.ControlBefore > 0 }
	require.Equal(t, Bins{[]float64{0, 1, 4}, []Bin{b.Bins[0], b.Bins[1].plus(b.Bins[2])}}, b.Merge(both))
	require.Equal(t, Bins{[]float64{0, 4}, []Bin{b.Bins[0].plus(b.Bins[1]).plus(b.Bins[2])}}, b.Merge(func(c Bin) bool { return c.ControlAfter > 0 }))
	require.Empty(t, b.Merge(func(Bin) bool { return false }).Edges)
	// The rest at the right joins the last bin.
	require.Equal(t, Bins{[]float64{0, 4}, []Bin{b.Bins[0].plus(b.Bins[1]).plus(b.Bins[2])}}, b.Merge(func(c Bin) bool { return c == b.Bins[0] }))
	none, err := CountBins(tab, d, x, nil, edges)
	require.NoError(t, err)
	require.Equal(t, Bin{TreatedBefore: 1, ControlBefore: 1}, none.Bins[0])

	_, err = CountBins(tab, d, x, nil, []float64{0, 1, 3})
	require.ErrorContains(t, err, "1 values lie outside")
	_, err = CountBins(tab, d, x, nil, []float64{0, 0})
	require.ErrorIs(t, err, ErrOption)
	_, err = CountBins(tab, d, x, []float64{1}, edges)
	require.ErrorContains(t, err, "1 weights for 6 rows")
	even, err := EvenEdges(0, 1, 10)
	require.NoError(t, err)
	require.Equal(t, []any{11, 0.0, 0.3, 1.0}, []any{len(even), even[0], even[3], even[10]})
	_, err = EvenEdges(1, 1, 3)
	require.ErrorIs(t, err, ErrOption)
}
