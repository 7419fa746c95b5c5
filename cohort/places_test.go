package cohort

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// placesTable has a row per place and year: people and a share of them.
func placesTable(t testing.TB, unit []string, year []int64, people []int64, share []float64) *table.Table {
	t.Helper()
	levels := slices.Compact(slices.Sorted(slices.Values(unit)))
	codes := make([]int32, len(unit))
	for i, u := range unit {
		k, _ := slices.BinarySearch(levels, u)
		codes[i] = int32(k)
	}
	u, err := table.NewCategory(table.Field{Name: "place"}, codes, levels, nil)
	require.NoError(t, err)
	out, err := table.New(u, table.NewInteger(table.Field{Name: "year"}, year, nil), table.NewInteger(table.Field{Name: "people"}, people, nil), table.NewFloat(table.Field{Name: "share"}, share, nil))
	require.NoError(t, err)
	return out
}

var placesSpec = RecodeSpec{Unit: "place", Time: "year", Sum: []string{"people"}, Mean: map[string]string{"share": "people"}}

// By hand. a (100 people, .2) and b (300, .4) become c in 2002: c in 2001 has 400 people
// and (100·.2 + 300·.4)/400 = .35. d (200, .5) is divided in 2002, a quarter to e: e 50,
// f 150 people in 2001, both .5. g stays.
func TestRecodeByHand(t *testing.T) {
	tab := placesTable(t,
		[]string{"a", "b", "c", "d", "e", "f", "g", "g"}, []int64{2001, 2001, 2002, 2001, 2002, 2002, 2001, 2002},
		[]int64{100, 300, 410, 200, 60, 150, 7, 8}, []float64{.2, .4, .3, .5, .6, .7, .1, .1})
	changes := []CodeChange{{"a", "c", 2002, 1, 0}, {"b", "c", 2002, 1, 1}, {"d", "e", 2002, .25, 2}, {"d", "f", 2002, .75, 3}}
	out, origin, n, err := Recode(tab, placesSpec, changes)
	require.NoError(t, err)
	units, _, err := out.Text("place")
	require.NoError(t, err)
	require.Equal(t, []string{"c", "c", "e", "e", "f", "f", "g", "g"}, units)
	people, err := out.Float("people")
	require.NoError(t, err)
	require.Equal(t, []float64{400, 410, 50, 60, 150, 150, 7, 8}, people.Values)
	share, err := out.Float("share")
	require.NoError(t, err)
	require.InDeltaSlice(t, []float64{.35, .3, .5, .6, .5, .7, .1, .1}, share.Values, 1e-15)
	require.Equal(t, RecodeCounts{Rows: 3, Merged: 1, Split: 1}, n)
	require.Equal(t, []int{0, 2, 3, 4, 3, 5, 6, 7}, origin)
	total := func(t2 *table.Table) float64 {
		p, err := t2.Float("people")
		require.NoError(t, err)
		return num.Sum(p.Values)
	}
	require.Equal(t, total(tab), total(out), "nobody appears or is lost")
	// Rows in another order: the same table.
	again, _, _, err := Recode(tab.Take([]int{7, 3, 1, 0, 5, 6, 2, 4}), placesSpec, []CodeChange{changes[3], changes[0], changes[2], changes[1]})
	require.NoError(t, err)
	more, err := again.Float("share")
	require.NoError(t, err)
	require.InDeltaSlice(t, share.Values, more.Values, 1e-15)
}

func TestRecodeChainsAndCopies(t *testing.T) {
	tab := placesTable(t, []string{"a", "b", "c"}, []int64{2000, 2001, 2002}, []int64{1, 2, 3}, []float64{.1, .2, .3})
	out, _, n, err := Recode(tab, RecodeSpec{Unit: "place", Time: "year"}, []CodeChange{{"a", "b", 2001, 1, 0}, {"b", "c", 2002, 1, 1}})
	require.NoError(t, err)
	units, _, _ := out.Text("place")
	require.Equal(t, []string{"c", "c", "c"}, units)
	require.Equal(t, RecodeCounts{Rows: 2}, n)
	share, _ := out.Float("share")
	require.Equal(t, []float64{.1, .2, .3}, share.Values, "a code that only changes its name keeps its numbers")
}

func TestRecodeErrors(t *testing.T) {
	tab := placesTable(t, []string{"a", "b", "c"}, []int64{2001, 2001, 2002}, []int64{1, 2, 3}, []float64{.1, .2, .3})
	for name, c := range map[string]struct {
		spec    RecodeSpec
		changes []CodeChange
		says    string
	}{
		"shares":          {placesSpec, []CodeChange{{"a", "c", 2002, .5, 0}}, "sum to 0.5"},
		"itself":          {placesSpec, []CodeChange{{"a", "a", 2002, 1, 0}}, "itself"},
		"round":           {placesSpec, []CodeChange{{"a", "b", 2002, 1, 0}, {"b", "a", 2003, 1, 1}}, "round"},
		"after it ceased": {placesSpec, []CodeChange{{"a", "c", 2001, 1, 0}}, "ceased"},
		"before it began": {placesSpec, []CodeChange{{"a", "b", 2002, 1, 0}}, "row of its own"},
		"not named":       {RecodeSpec{Unit: "place", Time: "year", Sum: []string{"people"}}, []CodeChange{{"a", "c", 2002, 1, 0}, {"b", "c", 2002, 1, 1}}, `"share"`},
		"twice":           {placesSpec, []CodeChange{{"a", "c", 2002, .5, 0}, {"a", "c", 2002, .5, 1}}, "twice"},
		"two periods":     {placesSpec, []CodeChange{{"a", "c", 2002, .5, 0}, {"a", "b", 2003, .5, 1}}, "two periods"},
	} {
		_, _, _, err := Recode(tab, c.spec, c.changes)
		require.ErrorContains(t, err, c.says, name)
	}
}

// newYear is the first of January in days since 1970-01-01.
func newYear(year int) int32 {
	d := int32(0)
	for y := 1970; y < year; y++ {
		d += 365
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			d++
		}
	}
	return d
}

// By hand: a joins x in 2002 and passes to y in 2003 (a merger of groups: no exit); b joins
// in 2002 and leaves in 2003; c never; d is told by two sources, of which the second says
// 2003; e was a member before the panel begins.
func TestMembershipsByHand(t *testing.T) {
	var unit []string
	var year []int64
	for _, u := range []string{"a", "b", "c", "d", "e"} {
		for y := int64(2001); y <= 2003; y++ {
			unit, year = append(unit, u), append(year, y)
		}
	}
	n := len(unit)
	tab := placesTable(t, unit, year, make([]int64, n), make([]float64, n))
	d := newYear
	spells := []MemberSpell{
		{"a", "x", "s", d(2002), d(2003), 0}, {"a", "y", "s", d(2003), Ongoing, 1}, {"b", "x", "s", d(2002), d(2003), 2},
		{"d", "x", "s", d(2002), Ongoing, 3}, {"d", "x", "r", d(2003), Ongoing, 4}, {"e", "z", "s", d(1999), Ongoing, 5},
	}
	spec := MembershipSpec{Unit: "place", Time: "year", Priority: []string{"s", "r"}}
	out, kept, counts, err := Memberships(tab, spec, spells, nil)
	require.NoError(t, err)
	require.Len(t, kept, n)
	column := func(tab *table.Table, name string) []float64 {
		f, err := tab.Float(name)
		require.NoError(t, err)
		return f.Values
	}
	require.Equal(t, []float64{0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, column(out, MemberColumn))
	require.Equal(t, []float64{2002, 2002, 2002, 2002, 2002, 2002, 0, 0, 0, 2002, 2002, 2002, 1999, 1999, 1999}, column(out, FirstMemberColumn))
	require.Equal(t, []float64{0, 0, 0, 2003, 2003, 2003, 0, 0, 0, 0, 0, 0, 0, 0, 0}, column(out, LeftColumn))
	groups, ok, err := out.Text(GroupColumn)
	require.NoError(t, err)
	require.Equal(t, "y", groups[2])
	require.False(t, ok[0])
	require.Equal(t, MembershipCounts{Places: 5, Ever: 4, Left: 1, Moved: 1, Differ: 1, DifferPlaces: 1}, counts)
	// The other source first: d joins a year later, and the day of the year matters.
	spec.Priority = []string{"r"}
	out, _, _, err = Memberships(tab, spec, spells, nil)
	require.NoError(t, err)
	require.Equal(t, 2003.0, column(out, FirstMemberColumn)[9])
	spells[0].From += 200
	spec.On = "01-01"
	out, _, _, err = Memberships(tab, spec, spells, nil)
	require.NoError(t, err)
	require.Equal(t, 2003.0, column(out, FirstMemberColumn)[0])
}

// Places that became one: a member when all its parts were; left out while only some were.
func TestMembershipsOfMergedPlaces(t *testing.T) {
	tab := placesTable(t, []string{"c", "c", "c", "k", "k", "k"}, []int64{2001, 2002, 2003, 2001, 2002, 2003}, make([]int64, 6), make([]float64, 6))
	changes := []CodeChange{{"a", "c", 2002, 1, 0}, {"b", "c", 2002, 1, 1}}
	d := newYear
	spec := MembershipSpec{Unit: "place", Time: "year"}
	both := []MemberSpell{{"a", "x", "s", d(2000), d(2002), 0}, {"b", "x", "s", d(2001), d(2002), 1}, {"c", "x", "s", d(2002), Ongoing, 2}}
	out, _, n, err := Memberships(tab, spec, both, changes)
	require.NoError(t, err)
	require.Zero(t, n.Mixed)
	f, err := out.Float(FirstMemberColumn)
	require.NoError(t, err)
	require.Equal(t, 2001.0, f.Values[0], "from the year in which both parts were members")
	_, kept, n, err := Memberships(tab, spec, both[1:], changes)
	require.NoError(t, err)
	require.Equal(t, 1, n.Mixed, "b was a member in 2001 and a was not")
	require.Equal(t, []int{3, 4, 5}, kept)
	// The old code told on and on counts for its successor.
	old := []MemberSpell{{"a", "x", "s", d(2003), Ongoing, 0}}
	out, _, n, err = Memberships(tab, spec, old, changes)
	require.NoError(t, err)
	require.Zero(t, n.Mixed)
	f, err = out.Float(FirstMemberColumn)
	require.NoError(t, err)
	require.Equal(t, 2003.0, f.Values[0])
	_, _, _, err = Memberships(tab, spec, []MemberSpell{{"a", "x", "s", 5, 5, 7}}, changes)
	require.ErrorContains(t, err, "row 8")
	_, _, _, err = Memberships(tab, MembershipSpec{Unit: "place", Time: "year", On: "13-01"}, old, changes)
	require.ErrorIs(t, err, ErrOption)
}
