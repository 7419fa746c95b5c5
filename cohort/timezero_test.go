package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

func day(y, m, d int) int32 {
	// Days from civil (Hinnant), the inverse of civil, independent of the standard library's clock types.
	if m <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int32(era*146097 + doe - 719468)
}

func TestMonthsOfDays(t *testing.T) {
	require.Equal(t, int32(0), day(1970, 1, 1))
	for _, c := range []struct {
		y, m, d int
	}{{1970, 1, 1}, {1969, 12, 31}, {2000, 2, 29}, {1900, 2, 28}, {2013, 12, 31}, {2016, 3, 1}} {
		require.Equal(t, Month(12*c.y+c.m-1), MonthOfDays(day(c.y, c.m, c.d)), c)
	}
	// Every day of 400 years, against counting.
	d := day(1800, 1, 1)
	for y := 1800; y < 2200; y++ {
		for m, n := range []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31} {
			if m == 1 && (y%4 == 0 && y%100 != 0 || y%400 == 0) {
				n = 29
			}
			for range n {
				if MonthOfDays(d) != Month(12*y+m) {
					t.Fatalf("day %d", d)
				}
				d++
			}
		}
	}
	require.Equal(t, Month(12*2013), monthOnOrAfter(day(2013, 1, 1)))
	require.Equal(t, Month(12*2013+1), monthOnOrAfter(day(2013, 1, 2)))
}

// toy is a register of five people over 2010-01 to 2014-12:
//
//	A  takes part from 2012-03
//	B  never takes part
//	C  took part before the window
//	D  takes part after the window
//	E  is in the register only from 2012-01 on
func toy(t *testing.T) Register {
	t.Helper()
	people, err := table.New(
		table.NewText(table.Field{Name: "person"}, []string{"A", "B", "C", "D", "E"}, nil),
		table.NewInteger(table.Field{Name: "birth_year"}, []int64{1980, 1981, 1982, 1983, 1984}, nil),
	)
	require.NoError(t, err)
	var id, state []string
	var from, to []int32
	add := func(p, s string, a, b int32) {
		id, state, from, to = append(id, p), append(state, s), append(from, a), append(to, b)
	}
	add("A", "none", day(2010, 1, 1), day(2011, 12, 1))
	add("A", "sick", day(2011, 12, 1), day(2012, 9, 1))
	add("A", "work", day(2012, 9, 1), day(2015, 1, 1))
	for _, p := range []string{"B", "C", "D"} {
		add(p, "none", day(2010, 1, 1), day(2015, 1, 1))
	}
	add("E", "work", day(2012, 1, 1), day(2015, 1, 1))
	spells, err := table.New(
		table.NewText(table.Field{Name: "person"}, id, nil), table.CategoryOf(table.Field{Name: "state"}, state),
		table.NewDate(table.Field{Name: "from"}, from, nil), table.NewDate(table.Field{Name: "to"}, to, nil))
	require.NoError(t, err)
	parts, err := table.New(
		table.NewText(table.Field{Name: "person"}, []string{"A", "A", "C", "D"}, nil),
		table.NewDate(table.Field{Name: "start"}, []int32{day(2013, 5, 1), day(2012, 3, 1), day(2011, 6, 1), day(2013, 2, 1)}, nil))
	require.NoError(t, err)
	return Register{People: people, Spells: spells, Participations: parts}
}

var toyTiming = Timing{From: "2012-01", To: "2012-12", LookBack: []int{3, 12}, FollowUp: 12}

func column(t *testing.T, tb *table.Table, name string) map[string]float64 {
	t.Helper()
	units, _, err := tb.Text(UnitColumn)
	require.NoError(t, err)
	f, err := tb.Float(name)
	require.NoError(t, err)
	out := map[string]float64{}
	for i, u := range units {
		if f.Has(i) {
			out[u] = f.Values[i]
		}
	}
	return out
}

func TestBuildByHand(t *testing.T) {
	b, err := Build(toy(t), toyTiming, []Outcome{{Name: "work_6", States: []string{"work"}, At: 6}, {Name: "months", States: []string{"work"}, Over: 12}}, nil, 5, 1)
	require.NoError(t, err)
	part := column(t, b.Table, ParticipantColumn)
	// A's first participation is 2012-03 although another row comes first; C started before the window; D after it.
	require.Equal(t, 1.0, part["A"])
	require.NotContains(t, part, "C")
	require.NotContains(t, part, "D")
	treated := 0
	for u, p := range part {
		if p == 1 {
			treated++
			continue
		}
		require.Regexp(t, `^[ABDE]@2012-\d\d$`, u)
	}
	require.Equal(t, 1, treated)
	// Before 2012-03: sick in 2011-12, 2012-01, 2012-02, none in the nine months before.
	require.Equal(t, 3.0, column(t, b.Table, "months_sick_3")["A"])
	require.Equal(t, 3.0, column(t, b.Table, "months_sick_12")["A"])
	require.Equal(t, 9.0, column(t, b.Table, "months_none_12")["A"])
	require.Equal(t, 3.0, column(t, b.Table, DurationColumn)["A"])
	require.Equal(t, 32.0, column(t, b.Table, AgeColumn)["A"])
	// From 2012-03: sick to 2012-08, work from 2012-09, which is month 6.
	require.Equal(t, 1.0, column(t, b.Table, "work_6")["A"])
	require.Equal(t, 6.0, column(t, b.Table, "months")["A"])
	// E's twelve months of look-back are not all observed.
	for u := range part {
		require.NotContains(t, u, "E")
	}
	require.Equal(t, []string{"candidates", "at-risk", "look-back"}, []string{b.Attrition[0].Name, b.Attrition[1].Name, b.Attrition[2].Name})
	require.Equal(t, 6, b.Attrition[0].UnitsIn) // one participant in the window and a draw for each of five people
	for i := 1; i < len(b.Attrition); i++ {
		require.Equal(t, b.Attrition[i-1].UnitsOut, b.Attrition[i].UnitsIn)
	}
}

// No peeking: what happens from time zero on changes neither who is in the cohort nor
// any background column (M16).
func TestBuildDoesNotSeeTheFuture(t *testing.T) {
	base, err := Build(toy(t), toyTiming, nil, nil, 5, 1)
	require.NoError(t, err)
	r := toy(t)
	spells, err := r.Spells.Category("state")
	require.NoError(t, err)
	from, err := r.Spells.Float("from")
	require.NoError(t, err)
	state := make([]string, len(spells.Codes))
	for i, c := range spells.Codes {
		state[i] = spells.Levels[c]
		if from.Values[i] >= float64(day(2012, 9, 1)) && state[i] == "work" {
			state[i] = "none" // A's later life
		}
	}
	r.Spells, err = r.Spells.With(table.CategoryOf(table.Field{Name: "state"}, state))
	require.NoError(t, err)
	changed, err := Build(r, toyTiming, nil, nil, 5, 1)
	require.NoError(t, err)
	for _, f := range base.Table.Fields() {
		if f.Kind == table.IntegerKind {
			require.Equal(t, column(t, base.Table, f.Name)["A"], column(t, changed.Table, f.Name)["A"], f.Name)
		}
	}
}

// Row order, workers, and spells cut in two carry no information (M1, M18, M22).
func TestBuildInvariants(t *testing.T) {
	want, err := Build(toy(t), toyTiming, nil, nil, 5, 1)
	require.NoError(t, err)
	r := toy(t)
	reverse := func(tb *table.Table) *table.Table {
		rows := make([]int, tb.Rows())
		for i := range rows {
			rows[i] = len(rows) - 1 - i
		}
		return tb.Take(rows)
	}
	got, err := Build(Register{People: reverse(r.People), Spells: reverse(r.Spells), Participations: reverse(r.Participations)}, toyTiming, nil, nil, 5, 4)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(want.Paths), fmt.Sprint(got.Paths))
	for _, f := range want.Table.Fields() {
		if f.Kind == table.IntegerKind {
			require.Equal(t, column(t, want.Table, f.Name), column(t, got.Table, f.Name), f.Name)
		}
	}
}

// The month drawn for comparison has every month of the window, whatever the outcome.
func TestComparisonMonthsAreSpread(t *testing.T) {
	ids := make([]string, 12000)
	for i := range ids {
		ids[i] = fmt.Sprintf("P%05d", i)
	}
	nobody := &participations{spans: make([][]span, len(ids)), rule: FirstParticipation}
	c, steps := drawnMonths(ids, nobody, 100, 111, false, 9, func(int, Month) bool { return true })
	require.Equal(t, len(ids), steps[1].UnitsOut)
	n := map[Month]int{}
	for _, x := range c {
		n[x.zero]++
	}
	require.Len(t, n, 12)
	for m, k := range n {
		require.InDelta(t, 1000, k, 125, "month %v: four standard deviations", m) // binomial SD 30
	}
}

func TestTimingProblems(t *testing.T) {
	for _, c := range []Timing{
		{From: "2013-1", To: "2013-12", LookBack: []int{1}, FollowUp: 1}, {From: "2013-02", To: "2013-01", LookBack: []int{1}, FollowUp: 1},
		{From: "2013-01", To: "2013-13", LookBack: []int{1}, FollowUp: 1}, {From: "2013-01", To: "2013-12", FollowUp: 1},
		{From: "2013-01", To: "2013-12", LookBack: []int{0}, FollowUp: 1}, {From: "2013-01", To: "2013-12", LookBack: []int{1}},
	} {
		require.NotEmpty(t, c.Check(), c)
	}
	require.Empty(t, toyTiming.Check())
	require.NotEmpty(t, Outcome{Name: "x", States: []string{"work"}, At: 3, Over: 3}.Check(12))
	require.NotEmpty(t, Outcome{Name: "x", States: []string{"work"}, At: 13}.Check(12))
	_, err := Build(toy(t), toyTiming, []Outcome{{Name: "x", States: []string{"wrk"}, At: 1}}, nil, 1, 1)
	require.ErrorContains(t, err, `"wrk"`)
}

// A date that stands for no end would make the data go on for ever, and every open spell
// with them.
func TestMarksOfNoEndAreRefused(t *testing.T) {
	day := func(m Month) float64 { return float64(int(m)/12-1970) * 365.25 }
	of := func(to float64) *table.Table {
		tab, err := table.New(table.NewFloat(table.Field{Name: "from"}, []float64{0}, nil), table.NewFloat(table.Field{Name: "to"}, []float64{to}, nil))
		require.NoError(t, err)
		return tab
	}
	_, err := lastMonth(of(day(12 * 2030)))
	require.NoError(t, err)
	_, err = lastMonth(of(2932896)) // 9999-12-31
	require.ErrorContains(t, err, "missing")
}
