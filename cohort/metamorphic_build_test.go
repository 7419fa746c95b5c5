package cohort

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// The relations M17 to M20 of the step from a register to a cohort. M16 is in known_test.go
// and riskset_test.go.

// timings are the designs of time zero, with features of everything.
func timings() map[string]Timing {
	each := randomTiming
	each.Participation = EachParticipation
	sets := randomTiming
	everybody := 0
	sets.Design, sets.Draws = RiskSet, &everybody
	return map[string]Timing{"drawn month": randomTiming, "each participation": each, "risk sets": sets}
}

var workAfter = []Outcome{{Name: "work_6", States: []string{"work"}, At: 6}, {Name: "sick_months", States: []string{"sick"}, Over: 12}}

// undated is the rows without what is printed of calendar time, by person and how often
// the person came before.
func undated(t *testing.T, tab *table.Table) []string {
	t.Helper()
	persons, _, err := tab.Text(PersonColumn)
	require.NoError(t, err)
	rest := tab.Without(ZeroColumn, QuarterColumn, "birth_year", RiskSetColumn, UnitColumn)
	rest, err = rest.With(table.NewText(table.Field{Name: UnitColumn}, numberedRows(len(persons)), nil))
	require.NoError(t, err)
	rows := rowsOf(t, rest)
	out := make([]string, len(persons))
	for i, u := range numberedRows(len(persons)) {
		out[i] = persons[i] + ": " + rows[u]
	}
	return out
}

func numberedRows(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("row %06d", i)
	}
	return out
}

// 146,097 days are 400 years of the calendar, leap days and all.
func TestM17AllDatesMovedBy400Years(t *testing.T) {
	rows := randomRegister(2, 200)
	moved := rows
	moved.birth, moved.spells, moved.participations = slices.Clone(rows.birth), slices.Clone(rows.spells), slices.Clone(rows.participations)
	const months = 400 * 12 // back, as dates after 2200 are taken for marks of no end
	for i := range moved.birth {
		moved.birth[i] -= 400
	}
	for i := range moved.spells {
		s := &moved.spells[i]
		s.from -= months
		if s.to > 0 {
			s.to -= months
		}
	}
	for i := range moved.participations {
		p := &moved.participations[i]
		p.start -= months
		if p.end > 0 {
			p.end -= months
		}
	}
	require.Equal(t, firstDay(12*2012)-146097, firstDay(12*2012-months))
	for name, timing := range timings() {
		a, err := Build(rows.tables(t), timing, workAfter, nil, 7, 1)
		require.NoError(t, err)
		timing.From, timing.To = "1612-01", "1612-12"
		b, err := Build(moved.tables(t), timing, workAfter, nil, 7, 1)
		require.NoError(t, err)
		require.Equal(t, undated(t, a.Table), undated(t, b.Table), name)
		require.Equal(t, a.Paths, b.Paths, name)
		require.Len(t, b.Attrition, len(a.Attrition))
		for i, s := range a.Attrition {
			s.Rule = b.Attrition[i].Rule // it prints the window
			require.Equal(t, s, b.Attrition[i], name)
		}
	}
}

// same builds both registers with every timing and holds every byte against the other.
func same(t *testing.T, a, b Register) {
	t.Helper()
	for name, timing := range timings() {
		x, err := Build(a, timing, workAfter, nil, 7, 1)
		require.NoError(t, err)
		y, err := Build(b, timing, workAfter, nil, 7, 3)
		require.NoError(t, err)
		require.Equal(t, rowsOf(t, x.Table), rowsOf(t, y.Table), name)
		require.Equal(t, x.Paths, y.Paths, name)
		require.Equal(t, x.Attrition, y.Attrition, name)
	}
}

// A spell that is cut into two that touch says the same.
func TestM18SpellsCutInTwo(t *testing.T) {
	rows := randomRegister(3, 200)
	cut := rows
	cut.spells = nil
	for _, s := range rows.spells {
		end := s.to
		if end == 0 {
			end = s.from + 3
		}
		if middle := s.from + (end-s.from)/2; middle > s.from {
			cut.spells = append(cut.spells, spellRow{s.person, s.state, middle, s.to})
			s.to = middle
		}
		cut.spells = append(cut.spells, s)
	}
	require.Greater(t, len(cut.spells), len(rows.spells)*3/2)
	same(t, rows.tables(t), cut.tables(t))
}

// The same spell or participation told twice counts once; a person or a unit told twice
// is an error that says so.
func TestM19RecordsToldTwice(t *testing.T) {
	rows := randomRegister(4, 200)
	twice := rows
	twice.spells = append(slices.Clone(rows.spells), rows.spells...)
	same(t, rows.tables(t), twice.tables(t))
	twice.participations = append(slices.Clone(rows.participations), rows.participations...)
	same(t, rows.tables(t), twice.tables(t))

	twice.person, twice.birth = append(slices.Clone(rows.person), rows.person[0]), append(slices.Clone(rows.birth), rows.birth[0])
	_, err := Build(twice.tables(t), randomTiming, nil, nil, 7, 1)
	require.ErrorContains(t, err, "twice")

	b, err := Build(rows.tables(t), randomTiming, nil, nil, 7, 1)
	require.NoError(t, err)
	again := b.Table.Take(append(indices(b.Table.Rows()), 0, 1, 2))
	_, err = Nearest{}.Match(t.Context(), again, Spec{Treatment: ParticipantColumn, ID: UnitColumn, Score: AgeColumn})
	require.ErrorContains(t, err, "3 rows")
}

// Two deliveries one after the other, in either order.
func TestM20DeliveriesInEitherOrder(t *testing.T) {
	r := randomRegister(5, 200).tables(t)
	join := func(tab *table.Table, turned bool) *table.Table {
		var halves [2][]int
		for i := range tab.Rows() {
			halves[i%2] = append(halves[i%2], i)
		}
		a, b := tab.Take(halves[0]), tab.Take(halves[1])
		if turned {
			a, b = b, a
		}
		out, err := table.Concat(a, b)
		require.NoError(t, err)
		return out
	}
	all := func(turned bool) Register {
		return Register{People: join(r.People, turned), Spells: join(r.Spells, turned), Participations: join(r.Participations, turned)}
	}
	same(t, r, all(false))
	same(t, r, all(true))
}
