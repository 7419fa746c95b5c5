package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// registerRows is a register as rows, so that a test can change some of them.
type registerRows struct {
	person         []string
	birth          []int64
	spells         []spellRow
	participations []partRow
}

type spellRow struct {
	person, state string
	from, to      Month // to 0 = goes on
}

type partRow struct {
	person     string
	start, end Month // end 0 = goes on
}

// firstDay is the day count of the first day of a month.
func firstDay(m Month) int32 { return day(int(m)/12, int(m)%12+1, 1) }

func (r registerRows) tables(t testing.TB) Register {
	t.Helper()
	n := len(r.spells)
	id, state, from, to, ok := make([]string, n), make([]string, n), make([]int32, n), make([]int32, n), make([]bool, n)
	for i, s := range r.spells {
		id[i], state[i], from[i] = s.person, s.state, firstDay(s.from)
		if ok[i] = s.to > 0; ok[i] {
			to[i] = firstDay(s.to)
		}
	}
	people, err := table.New(table.NewText(table.Field{Name: "person"}, r.person, nil), table.NewInteger(table.Field{Name: "birth_year"}, r.birth, nil))
	require.NoError(t, err)
	spells, err := table.New(table.NewText(table.Field{Name: "person"}, id, nil), table.CategoryOf(table.Field{Name: "state"}, state),
		table.NewDate(table.Field{Name: "from"}, from, nil), table.NewDate(table.Field{Name: "to"}, to, ok))
	require.NoError(t, err)
	n = len(r.participations)
	who, start, end, has := make([]string, n), make([]int32, n), make([]int32, n), make([]bool, n)
	for i, p := range r.participations {
		who[i], start[i] = p.person, firstDay(p.start)
		if has[i] = p.end > 0; has[i] {
			end[i] = firstDay(p.end)
		}
	}
	parts, err := table.New(table.NewText(table.Field{Name: "person"}, who, nil), table.NewDate(table.Field{Name: "start"}, start, nil),
		table.NewDate(table.Field{Name: "end"}, end, has))
	require.NoError(t, err)
	return Register{People: people, Spells: spells, Participations: parts}
}

// randomRegister lives n people from 2010-01 to 2014-12 in four states, some of whom
// take part, some twice, some with a gap in their spells.
func randomRegister(seed uint64, n int) registerRows {
	var r registerRows
	first, last := Month(12*2010), Month(12*2015)
	states := []string{"none", "sick", "work", "zzz"}
	for i := range n {
		s := num.NewStream(seed, "register", uint64(i))
		id := fmt.Sprintf("P%04d", i)
		r.person, r.birth = append(r.person, id), append(r.birth, int64(1950+s.Intn(40)))
		for m := first; m < last; {
			to := m + 1 + Month(s.Intn(14))
			if !s.Bernoulli(0.04) {
				row := spellRow{id, states[s.Intn(4)], m, to}
				if to >= last {
					row.to = 0
				}
				r.spells = append(r.spells, row)
			}
			m = to
		}
		for m := first + 12 + Month(s.Intn(60)); m < last && s.Bernoulli(0.6); m += 9 + Month(s.Intn(12)) {
			row := partRow{id, m, m + 2 + Month(s.Intn(10))}
			if row.end >= last {
				row.end = 0
			}
			r.participations = append(r.participations, row)
		}
	}
	r.spells = append(r.spells, spellRow{"P0000", "none", first - 1, first}, spellRow{"nobody", "none", first, last})
	return r
}

// rowsOf gives a table's rows as text, by unit.
func rowsOf(t testing.TB, tab *table.Table) map[string]string {
	t.Helper()
	out := map[string]string{}
	units, _, err := tab.Text(UnitColumn)
	require.NoError(t, err)
	text := make([]string, tab.Rows())
	for _, f := range tab.Fields() {
		if f.Kind == table.TextKind || f.Kind == table.CategoryKind {
			v, ok, err := tab.Text(f.Name)
			require.NoError(t, err)
			for i := range v {
				text[i] += fmt.Sprintf("%s=%s/%t ", f.Name, v[i], ok == nil || ok[i])
			}
			continue
		}
		v, err := tab.Float(f.Name)
		require.NoError(t, err)
		for i, x := range v.Values {
			text[i] += fmt.Sprintf("%s=%v/%t ", f.Name, x, v.Has(i))
		}
	}
	for i, u := range units {
		out[u] = text[i]
	}
	return out
}

var randomTiming = Timing{From: "2012-01", To: "2012-12", LookBack: []int{6, 12}, FollowUp: 12,
	Features: []string{MonthFeatures, ChangeFeatures, TrendFeatures, ParticipationFeatures}}

// No peeking (M16): whatever is changed in spells and participations after a unit's time
// zero, down to there being nothing any more, leaves the unit's row as it was; and whatever
// is changed after the window leaves every byte of the design as it was.
func TestM16DesignSeesNothingAfterTimeZero(t *testing.T) {
	rows := randomRegister(1, 300)
	for _, rule := range []Timing{
		{}, {Participation: EachParticipation}, {Participation: WashoutParticipation, Washout: 6}, {Lag: 2},
	} {
		timing := randomTiming
		timing.Participation, timing.Washout, timing.Lag = rule.Participation, rule.Washout, rule.Lag
		base, err := BuildDesign(rows.tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		want := rowsOf(t, base.Table)
		require.Greater(t, len(want), 100)

		to, _ := ParseMonth(timing.To)
		changed, err := BuildDesign(rows.after(func(string) Month { return to }).tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		require.Equal(t, want, rowsOf(t, changed.Table))
		require.Equal(t, base.Attrition, changed.Attrition)
		require.Equal(t, base.Features, changed.Features)

		zero := map[string]Month{}
		for _, u := range base.units { // the last row of a person with several
			zero[u.person] = u.zero
		}
		changed, err = BuildDesign(rows.after(func(p string) Month { return zero[p] }).tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		got := rowsOf(t, changed.Table)
		for u, row := range want {
			require.Equal(t, row, got[u], u)
		}
	}
}

// after rewrites everything that happens after a person's month (0 = leaves the person
// alone): what began later is gone or another thing, what went on ends at once or never.
func (r registerRows) after(zero func(person string) Month) registerRows {
	out := r
	out.spells, out.participations = nil, nil
	for i, s := range r.spells {
		switch z := zero(s.person); {
		case z == 0:
		case s.from > z && i%2 == 0:
			continue
		case s.from > z:
			s.state = "zzz"
		case (s.to == 0 || s.to > z+1) && i%2 == 0:
			s.to = z + 1
		case s.to > z+1:
			s.to = 0
		}
		out.spells = append(out.spells, s)
	}
	for i, p := range r.participations {
		switch z := zero(p.person); {
		case z == 0:
		case p.start > z && i%2 == 0:
			continue
		case p.start > z:
			p.start += 3
		}
		if z := zero(p.person); z > 0 && p.end > z {
			p.end = 0
		}
		out.participations = append(out.participations, p)
	}
	return out
}

// A value that became known after time zero is taken away, whatever it was, and so is its date.
func TestValuesKnownLaterAreTakenAway(t *testing.T) {
	people := func(diagnosis []string, date []int32) Register {
		r := toy(t)
		var err error
		r.People, err = r.People.With(table.CategoryOf(table.Field{Name: "diagnosis"}, diagnosis))
		require.NoError(t, err)
		r.People, err = r.People.With(table.NewDate(table.Field{Name: "diagnosed"}, date, []bool{true, true, true, true, false}))
		require.NoError(t, err)
		r.KnownFrom = map[string]string{"diagnosis": "diagnosed"}
		return r
	}
	// A starts 2012-03. The first day of the month is known, the second is not.
	known, err := BuildDesign(people([]string{"x", "x", "x", "x", "x"}, []int32{day(2012, 3, 1), 0, 0, 0, 0}), toyTiming, nil, 5, 1)
	require.NoError(t, err)
	require.Empty(t, known.Notes)
	require.Contains(t, rowsOf(t, known.Table)["A"], "diagnosis=x/true")
	later, err := BuildDesign(people([]string{"x", "x", "x", "x", "x"}, []int32{day(2012, 3, 2), 0, 0, 0, 0}), toyTiming, nil, 5, 1)
	require.NoError(t, err)
	require.Contains(t, rowsOf(t, later.Table)["A"], "diagnosis=/false diagnosed=0/false")
	require.Equal(t, "not-yet-known", later.Notes[0].Code)
	other, err := BuildDesign(people([]string{"y", "x", "x", "x", "x"}, []int32{day(2014, 5, 6), 0, 0, 0, 0}), toyTiming, nil, 5, 1)
	require.NoError(t, err)
	require.Equal(t, rowsOf(t, later.Table)["A"], rowsOf(t, other.Table)["A"])
	var listed []Feature
	for _, f := range later.Features {
		if f.Known == KnownDated {
			listed = append(listed, f)
		}
	}
	require.Equal(t, []Feature{{Column: "diagnosis", Source: "people", Known: KnownDated, Dated: "diagnosed"}, {Column: "diagnosed", Source: "people", Known: KnownDated, Dated: "diagnosed"}}, listed)
	r := people([]string{"x", "x", "x", "x", "x"}, make([]int32, 5))
	for _, from := range []map[string]string{{"diagnosis": "nothing"}, {"nothing": "diagnosed"}, {"diagnosis": "birth_year"}} {
		r.KnownFrom = from
		_, err = BuildDesign(r, toyTiming, nil, 5, 1)
		require.Error(t, err)
	}
	r.KnownFrom = map[string]string{"diagnosis": "diagnosed"}
	_, err = BuildDesign(r, toyTiming, []string{"diagnosed"}, 5, 1)
	require.ErrorContains(t, err, "known_from")
}

// By hand: A is in none to 2011-11, sick from 2011-12, and starts 2012-03. Without a lag
// the twelve months before are nine of none and three of sick; two months later they are
// eleven of none and one of sick.
func TestLagMovesTheLookBack(t *testing.T) {
	timing := toyTiming
	timing.Features = []string{MonthFeatures, ChangeFeatures, TrendFeatures}
	b, err := BuildDesign(toy(t), timing, nil, 5, 1)
	require.NoError(t, err)
	get := func(name string) float64 { return column(t, b.Table, name)["A"] }
	for name, want := range map[string]float64{
		"months_none_12": 9, "months_sick_12": 3, "months_work_12": 0, DurationColumn: 3, "changes_12": 1, "changes_3": 0,
		"spells_sick_12": 1, "spells_none_12": 1, "spells_work_12": 0, "spells_none_3": 0,
		"trend_sick_12": 3, "trend_none_12": -3, "trend_sick_3": 0, // of three months the last two are compared, one with one
	} {
		require.Equal(t, want, get(name), name)
	}
	timing.Lag = 2
	timing.Lags = map[string]int{SpellSource: 2}
	b, err = BuildDesign(toy(t), timing, nil, 5, 1)
	require.NoError(t, err)
	for name, want := range map[string]float64{
		"months_none_12": 11, "months_sick_12": 1, "months_sick_3": 1, DurationColumn: 1, "changes_3": 1, "trend_sick_3": 1, "trend_none_3": -1,
	} {
		require.Equal(t, want, get(name), name)
	}
	for _, f := range b.Features {
		if f.Column == "months_sick_12" {
			require.Equal(t, Feature{Column: "months_sick_12", Source: SpellSource, Known: KnownLookBack, From: 14, To: 2}, f)
			require.Equal(t, "months_sick_12: from spells, months 14 to 3 before time zero", f.String())
		}
	}
	// Every column of the table but names and treatment is listed once.
	listed := map[string]int{}
	for _, f := range b.Features {
		listed[f.Column]++
	}
	for _, f := range b.Table.Fields() {
		if f.Name != UnitColumn && f.Name != PersonColumn && f.Name != ParticipantColumn {
			require.Equal(t, 1, listed[f.Name], f.Name)
		}
	}
}

// By hand: A gets 100 and 20 in 2012-01, 3 in 2012-02, 7 in 2012-03 and 1000 in 2011-01.
func TestAmountFeaturesByHand(t *testing.T) {
	r := toy(t)
	amounts, err := table.New(table.NewText(table.Field{Name: "person"}, []string{"A", "A", "A", "A", "A", "stranger"}, nil),
		table.NewDate(table.Field{Name: "month"}, []int32{day(2012, 1, 1), day(2012, 2, 1), day(2012, 1, 31), day(2012, 3, 1), day(2011, 1, 1), day(2012, 1, 1)}, nil),
		table.NewFloat(table.Field{Name: "amount"}, []float64{100, 3, 20, 7, 1000, 5}, nil))
	require.NoError(t, err)
	timing := toyTiming
	timing.LookBack, timing.Features = []int{2, 12}, []string{AmountFeatures}
	_, err = BuildDesign(r, timing, nil, 5, 1)
	require.ErrorContains(t, err, "amounts")
	r.Amounts = amounts
	b, err := BuildDesign(r, timing, nil, 5, 1)
	require.NoError(t, err)
	get := func(name string) float64 { return column(t, b.Table, name)["A"] }
	require.Equal(t, 123.0, get("amount_2"))
	require.Equal(t, 3.0-120, get("amount_trend_2"))
	require.Equal(t, 123.0, get("amount_12")) // 2011-01 is fourteen months before
	require.False(t, b.Table.Has("months_sick_12"))
	timing.Lags = map[string]int{AmountSource: 1}
	b, err = BuildDesign(r, timing, nil, 5, 1)
	require.NoError(t, err)
	require.Equal(t, 120.0, get("amount_2"))
	require.Equal(t, 120.0, get("amount_trend_2"))
	require.Equal(t, 3.0, get(DurationColumn))
}

// By hand: starts in 2011-06 and in 2012-03, the month of time zero, which is not before it.
func TestParticipationFeaturesByHand(t *testing.T) {
	first, end := Month(12*2010), Month(12*2015)
	rows := registerRows{person: []string{"A"}, birth: []int64{1980}, spells: []spellRow{{"A", "none", first, end}}}
	rows.participations = []partRow{{"A", 12*2011 + 5, 12*2011 + 8}, {"A", 12*2012 + 2, 0}}
	for lag, want := range map[int][2]float64{0: {0, 1}, 2: {0, 1}, 3: {1, 1}, 8: {1, 1}, 9: {0, 0}} {
		timing := Timing{From: "2012-01", To: "2012-06", LookBack: []int{6, 12}, FollowUp: 12, Participation: EachParticipation,
			Features: []string{ParticipationFeatures}, Lags: map[string]int{ParticipationSource: lag}}
		b, err := BuildDesign(rows.tables(t), timing, nil, 1, 1)
		require.NoError(t, err)
		for k, name := range []string{"participations_6", "participations_12"} {
			require.Equal(t, want[k], column(t, b.Table, name)["A@2012-03"], "%s with a lag of %d", name, lag)
		}
	}
}
