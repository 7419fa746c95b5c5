package release

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
)

func TestMerged(t *testing.T) {
	a, _, err := Policy{}.Attrition(flowSteps([]int{30, 3, 12}, []int{100, 40, 41}, 85, 400))
	require.NoError(t, err)
	require.Equal(t, []cohort.Step{
		{Name: "step-0", UnitsIn: 710, UnitsOut: 580, TreatedIn: 130, TreatedOut: 100},
		{Name: "step-1 + step-2", Rule: "; ", UnitsIn: 580, UnitsOut: 485, TreatedIn: 100, TreatedOut: 85},
	}, a.Merged())
	a, _, err = Policy{}.Attrition(flowSteps([]int{3}, []int{30}, 100, 100))
	require.NoError(t, err)
	require.Nil(t, a.Merged(), "the start is withheld")
	a, _, err = Policy{}.Attrition(flowSteps([]int{50}, []int{50}, 4, 100))
	require.NoError(t, err)
	require.Nil(t, a.Merged(), "the end is withheld")
}

func TestAreas(t *testing.T) {
	c, _, err := Policy{}.Curve("x", Occupation{Times: []float64{0, 1}, States: []string{"a", "b", "c"}, AtRisk: []int{100, 100},
		P: [][]float64{{0.5, 0.5, 0}, {0.04, 0.16, 0.8}}})
	require.NoError(t, err)
	states, p := c.Areas("few")
	require.Equal(t, []string{"a", "b", "c", "few"}, states)
	require.Equal(t, [][]float64{{0.5, 0.5, 0, 0}, {0, 0, 0.8, 0.2}}, p)
	c.P, c.Together = c.P[:1], c.Together[:1]
	states, p = c.Areas("few")
	require.Equal(t, []string{"a", "b", "c"}, states)
	require.Len(t, p[0], 3)
}

func TestReleasedBalanceLeavesOutWithheldRows(t *testing.T) {
	table := BalanceTable{Rows: []BalanceRow{{Variable: "a", Before: BalanceSide{SMD: show(0.3)}, After: BalanceSide{SMD: show(0.1)}}, {Variable: "b"}}}
	b := table.Balance()
	require.Len(t, b.Rows, 1)
	require.Equal(t, "a", b.Rows[0].Variable)
	require.Equal(t, 0.3, b.Rows[0].Before.SMD)
	require.Equal(t, 0.1, b.Rows[0].After.SMD)
}
