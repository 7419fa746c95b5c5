package cohort

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand: A works until March 2010 and is on no support afterwards, starts in 2012-03. 24 months before the start
// (March 2010) A did not work any more, 26 months before A did; B, who never starts, works always. Beyond the data nothing is known.
func TestOutcomesBeforeTimeZero(t *testing.T) {
	rows := registerRows{person: []string{"A", "B"}, birth: []int64{1980, 1981}}
	first, end := Month(12*2010), Month(12*2015)
	rows.spells = []spellRow{{"A", "work", first, first + 2}, {"A", "none", first + 2, end}, {"B", "work", first, end}}
	rows.participations = []partRow{{"A", 12*2012 + 2, 0}}
	timing := Timing{From: "2012-03", To: "2012-03", LookBack: []int{3}, FollowUp: 12}
	outcomes := []Outcome{{Name: "gone", States: []string{"work"}, At: -24}, {Name: "was", States: []string{"work"}, At: -26}, {Name: "unknown", States: []string{"work"}, At: -27}}
	d, err := BuildDesign(rows.tables(t), timing, nil, 1, 1)
	require.NoError(t, err)
	o, err := d.Open(rows.tables(t), nil, outcomes, 1)
	require.NoError(t, err)
	for name, want := range map[string]map[bool]float64{"gone": {true: 0, false: 1}, "was": {true: 1, false: 1}, "unknown": nil} {
		f, err := o.Table.Float(name)
		require.NoError(t, err)
		for k, u := range d.units {
			require.Equal(t, want != nil, f.Has(k), name)
			if want != nil {
				require.Equal(t, want[u.treated], f.Values[k], name)
			}
		}
	}
	require.Equal(t, 27, o.Paths.Before)
	require.NotEmpty(t, Outcome{Name: "x", States: []string{"work"}, At: -241}.Check(12))
	require.Empty(t, Outcome{Name: "x", States: []string{"work"}, At: -36}.Check(12))
	_, err = (&Censored{Horizon: 3}).For(outcomes[0])
	require.ErrorIs(t, err, ErrOption)
}

// A placebo time zero is the start moved: its background is that of N months before, its outcome lies before the
// real start, and shift by 0 is the usual design.
func TestPlaceboTimeZeroMovesTheStart(t *testing.T) {
	r := randomRegister(3, 300).tables(t)
	usual, err := BuildDesign(r, randomTiming, nil, 4, 1)
	require.NoError(t, err)
	back := randomTiming
	from, _ := ParseMonth(back.From)
	to, _ := ParseMonth(back.To)
	back.From, back.To, back.FollowUp, back.Shift = (from - 5).String(), (to - 5).String(), 4, -5
	require.Empty(t, back.Check())
	moved, err := BuildDesign(r, back, nil, 4, 1)
	require.NoError(t, err)
	start := map[string]Month{}
	for _, u := range usual.units {
		if u.treated {
			start[u.person] = u.zero
		}
	}
	same := 0
	for _, u := range moved.units {
		if u.treated {
			if s, ok := start[u.person]; ok {
				require.Equal(t, s-5, u.zero)
				same++
			}
		}
	}
	require.Positive(t, same)
	require.Equal(t, "placebo-time-zero", moved.Notes[0].Code)
	for _, bad := range []Timing{{Shift: 1}, {Shift: -121}, {Shift: -3, FollowUp: 3}} {
		b := randomTiming
		b.Shift = bad.Shift
		if bad.FollowUp > 0 {
			b.FollowUp = bad.FollowUp
		}
		require.NotEmpty(t, b.Check())
	}
}
