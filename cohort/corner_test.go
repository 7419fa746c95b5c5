package cohort

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// corner is a table of ids, arms, scores, ages and groups, where corners of several
// options meet that other software got wrong.
func corner(t *testing.T, ids []string, treated []bool, score, age []float64, group []string) *table.Table {
	t.Helper()
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, ids, nil), table.NewBoolean(table.Field{Name: "treated"}, treated, nil),
		table.NewFloat(table.Field{Name: "score"}, score, nil), table.NewFloat(table.Field{Name: "age"}, age, nil),
		table.NewText(table.Field{Name: "group"}, group, nil),
	)
	require.NoError(t, err)
	return tab
}

// A caliper with replacement and several partners (MatchIt issue 163: the caliper was
// passed over). t1 (0.50) has c1 (0.52) and c2 (0.56) within 0.10 and not c3 (0.75); t2
// (0.60) has c2 and c1 and not c3 (0.15 off); t3 (0.95) has nobody. c1 and c2 have ½ in
// either set, in all 1 and 1, which is their number. Nobody has three.
func TestCornerCaliperWithReplacementAndRatio(t *testing.T) {
	tab := corner(t, []string{"t1", "t2", "t3", "c1", "c2", "c3"}, []bool{true, true, true, false, false, false},
		[]float64{0.50, 0.60, 0.95, 0.52, 0.56, 0.75}, make([]float64, 6), make([]string, 6))
	m, err := Nearest{Ratio: 3, Replace: true, CaliperRaw: 0.10}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []string{"t1-c1", "t1-c2", "t2-c2", "t2-c1"}, named(t, tab, m))
	for i, w := range []float64{1, 1, 0, 1, 1, 0} {
		reftest.Agree(t, "weight", m.Weight[i], w, 14)
	}
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, 2, m.Counts.Incomplete)
	require.Equal(t, 2, m.Counts.MaxReuse)
	require.Subset(t, codes(m.Notes), []string{"estimand-changed", "incomplete-sets", "caliper-bound"})
}

// A caliper on a column within exact groups (MatchIt issue 207). The nearest of t1 is c1, of
// the other group; then c2, who is 6 years older; then c3. t2 has only c4, who is too old
// by the caliper: c5 is young enough and of the other group.
func TestCornerCaliperOnAColumnWithinExactGroups(t *testing.T) {
	tab := corner(t, []string{"t1", "t2", "c1", "c2", "c3", "c4", "c5"}, []bool{true, true, false, false, false, false, false},
		[]float64{0.50, 0.20, 0.50, 0.51, 0.60, 0.20, 0.21}, []float64{30, 40, 30, 36, 33, 50, 40}, []string{"a", "b", "b", "a", "a", "b", "a"})
	m, err := Nearest{Exact: []string{"group"}, CaliperOn: map[string]float64{"age": 5}}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	// t1 takes c3 of group a; in group b c4 is 10 years off and c1 exactly 10: nobody.
	require.Equal(t, []string{"t1-c3"}, named(t, tab, m))
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, []CaliperUse{{On: "age", Width: 5, Attempts: 2, Bound: 2}}, m.Calipers)
}

// Rounds (MatchIt issue 236: all partners of one unit before the first of the next). Largest
// first: t2 (0.60) takes c2 (0.58), t1 (0.50) takes c1 (0.52); then t2 takes c3 (0.46),
// the last within 0.15, and t1 finds nobody. Unit by unit t2 would have had c2 and c1.
// t3 (0.10) has nobody in the first round, so that it is not asked again.
func TestCornerRounds(t *testing.T) {
	tab := corner(t, []string{"t1", "t2", "t3", "c1", "c2", "c3", "c4"}, []bool{true, true, true, false, false, false, false},
		[]float64{0.50, 0.60, 0.10, 0.52, 0.58, 0.46, 0.90}, make([]float64, 7), make([]string, 7))
	m, err := Nearest{Ratio: 2, CaliperRaw: 0.15}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []string{"t1-c1", "t2-c2", "t2-c3"}, named(t, tab, m))
	require.Equal(t, CaliperUse{On: "distance", Width: 0.15, Attempts: 5, Bound: 2}, m.Calipers[0])
	// Shares 1, ½ and ½ add up to two sets; three partners: times 3/2.
	for i, w := range []float64{1, 1, 0, 1.5, 0.75, 0.75, 0} {
		reftest.Agree(t, "weight", m.Weight[i], w, 14)
	}
}

// A third of the partners is enough, one more asked for is not: 2 for each of 2 of 12, and of 11;
// counted block by block, and not at all with replacement.
func TestCornerFewControls(t *testing.T) {
	build := func(controls int) *table.Table {
		n := 2 * (2 + controls)
		ids, treated, score, group := make([]string, n), make([]bool, n), make([]float64, n), make([]string, n)
		for i := range n {
			ids[i], treated[i], score[i], group[i] = string(rune('a'+i/10))+string(rune('a'+i%10)), i%(2+controls) < 2, float64(i), string(rune('x'+i/(2+controls)))
		}
		return corner(t, ids, treated, score, make([]float64, n), group)
	}
	for _, c := range []struct {
		controls int
		m        Nearest
		blocks   int
	}{
		{12, Nearest{Ratio: 2, Exact: []string{"group"}}, 0},
		{11, Nearest{Ratio: 2, Exact: []string{"group"}}, 2},
		{11, Nearest{Ratio: 2, Exact: []string{"group"}, Replace: true}, 0},
		{11, Nearest{Ratio: 2}, 1},
		{11, Nearest{Ratio: 1}, 0},
	} {
		m, err := c.m.Match(t.Context(), build(c.controls), scoreSpec)
		require.NoError(t, err)
		blocks := 0
		for _, n := range m.Notes {
			if n.Code == "few-controls" {
				blocks = n.Args["blocks"].(int)
				require.Equal(t, 4, n.Args["units"])
				require.Equal(t, 2*c.controls, n.Args["partners"])
			}
		}
		require.Equal(t, c.blocks, blocks, "%d controls, %+v", c.controls, c.m)
	}
}

// Bad input is an error that names the column and counts the rows.
func TestCornerBadInput(t *testing.T) {
	good := func() (ids []string, treated []bool, score, age []float64, group []string) {
		return []string{"a", "b", "c", "d"}, []bool{true, false, true, false}, []float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, []string{"x", "y", "x", "y"}
	}
	ids, treated, score, age, group := good()
	base := corner(t, ids, treated, score, age, group)
	with := func(c table.Column) *table.Table {
		out, err := base.With(c)
		require.NoError(t, err)
		return out
	}
	for name, c := range map[string]struct {
		tab  *table.Table
		m    Nearest
		says []string
	}{
		"people twice":      {with(table.NewText(table.Field{Name: "id"}, []string{"a", "b", "a", "b"}, nil)), Nearest{}, []string{`"id"`, "2 rows"}},
		"score missing":     {with(table.NewFloat(table.Field{Name: "score"}, score, []bool{true, false, false, true})), Nearest{}, []string{`"score"`, "2 missing"}},
		"treatment missing": {with(table.NewBoolean(table.Field{Name: "treated"}, treated, []bool{true, false, true, true})), Nearest{}, []string{`"treated"`, "1 missing"}},
		"caliper":           {base, Nearest{CaliperRaw: 0.5}, []string{"none of the 2 units", "distance (0.5)"}},
		"empty strata":      {base, Nearest{Exact: []string{"group"}}, []string{"none of the 2 groups", "group"}},
	} {
		_, err := c.m.Match(t.Context(), c.tab, scoreSpec)
		require.Error(t, err, name)
		for _, s := range c.says {
			require.ErrorContains(t, err, s, name)
		}
	}
	// An empty stratum beside one with both groups, and more treated than untreated: notes with the numbers.
	tab := corner(t, []string{"a", "b", "c", "d"}, []bool{true, true, true, false}, score, age, []string{"x", "x", "y", "x"})
	m, err := Nearest{Exact: []string{"group"}}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	args := map[string]map[string]any{}
	for _, n := range m.Notes {
		args[n.Code] = n.Args
	}
	require.Equal(t, 1, args["no-exact-partner"]["n"])
	require.Equal(t, 1, args["fewer-controls-than-treated"]["n"])
	require.Equal(t, 1, args["estimand-changed"]["matched"])
	require.Equal(t, 3, args["estimand-changed"]["all"])
	require.Equal(t, ATM, m.Estimand)
}
