package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Build is the design stage and the opening of all units, and opening some units gives
// what opening all gives for them.
func TestOpenGivesWhatBuildGives(t *testing.T) {
	r := randomRegister(2, 200).tables(t)
	outcomes := []Outcome{{Name: "work_6", States: []string{"work"}, At: 6}, {Name: "sick", States: []string{"sick"}, Over: 12}}
	whole, err := Build(r, randomTiming, outcomes, nil, 4, 2)
	require.NoError(t, err)
	d, err := BuildDesign(r, randomTiming, nil, 4, 1)
	require.NoError(t, err)
	require.Nil(t, d.Paths)
	require.False(t, d.Table.Has("work_6"))
	require.Equal(t, whole.Attrition, d.Attrition)
	all, err := d.Open(r, nil, outcomes, 1)
	require.NoError(t, err)
	require.Equal(t, rowsOf(t, whole.Table), rowsOf(t, all.Table))
	require.Equal(t, whole.Paths, all.Paths)
	rows := []int{40, 3, 77, 12}
	some, err := d.Open(r, rows, outcomes, 1)
	require.NoError(t, err)
	require.Equal(t, rowsOf(t, whole.Table.Take(rows)), rowsOf(t, some.Table))
	require.Equal(t, whole.Paths.Take(rows), some.Paths)
	_, err = d.Open(r, []int{d.Table.Rows()}, outcomes, 1)
	require.Error(t, err)
	_, err = d.Open(r, nil, []Outcome{{Name: "age", States: []string{"work"}, At: 6}}, 1)
	require.ErrorContains(t, err, "name of another column")
}

// By hand: B's comparison month is before 2012-12, in which it is made to start; with
// censoring its follow-up ends the month before.
func TestLaterStartsStayOrCensor(t *testing.T) {
	rows := registerRows{person: []string{"A", "B"}, birth: []int64{1980, 1981}}
	first, end := Month(12*2010), Month(12*2015)
	rows.spells = []spellRow{{"A", "none", first, end}, {"B", "work", first, end}}
	timing := Timing{From: "2012-01", To: "2012-06", LookBack: []int{3}, FollowUp: 12}
	start := Month(12*2012 + 8)
	rows.participations = []partRow{{"A", 12*2012 + 2, 0}, {"B", start, 0}}
	outcomes := []Outcome{{Name: "late", States: []string{"work"}, At: 12}, {Name: "soon", States: []string{"work"}, At: 1}, {Name: "months", States: []string{"work"}, Over: 12}}
	for _, later := range []string{"", LaterStays, LaterCensors} {
		timing.Later = later
		d, err := BuildDesign(rows.tables(t), timing, nil, 1, 1)
		require.NoError(t, err)
		o, err := d.Open(rows.tables(t), nil, outcomes, 1)
		require.NoError(t, err)
		for k, u := range d.units {
			if u.person == "A" && u.treated {
				require.Zero(t, o.Start[k])
			}
			if u.person != "B" {
				continue
			}
			require.Equal(t, int(start-u.zero), o.Start[k])
			name := "B@" + u.zero.String()
			require.Equal(t, 1.0, column(t, o.Table, "soon")[name])
			late, seen := column(t, o.Table, "late")[name]
			months, whole := column(t, o.Table, "months")[name]
			if later == LaterCensors {
				require.Equal(t, StartVersusNot, d.Estimand)
				require.False(t, seen || whole)
				require.Equal(t, int8(-1), o.Paths.At(k, o.Start[k]))
				require.Equal(t, int8(1), o.Paths.At(k, o.Start[k]-1))
				continue
			}
			require.Equal(t, StartVersusWait, d.Estimand)
			require.Equal(t, []float64{1, 12}, []float64{late, months})
		}
	}
}

// The end of the data: months after it are not observed, and a window after it is refused.
func TestDataEnd(t *testing.T) {
	r := toy(t)
	outcomes := []Outcome{{Name: "work_12", States: []string{"work"}, At: 12}}
	timing := toyTiming
	timing.DataEnd = "2013-02" // A's month 11
	b, err := Build(r, timing, outcomes, nil, 5, 1)
	require.NoError(t, err)
	require.NotContains(t, column(t, b.Table, "work_12"), "A")
	timing.DataEnd = "2013-03"
	b, err = Build(r, timing, outcomes, nil, 5, 1)
	require.NoError(t, err)
	require.Equal(t, 1.0, column(t, b.Table, "work_12")["A"])
	timing = toyTiming
	timing.To = "2016-01"
	_, err = Build(r, timing, nil, nil, 5, 1)
	require.ErrorIs(t, err, ErrOption)
	require.ErrorContains(t, err, "data_end")
	_, err = BuildDesign(r, timing, nil, 5, 1)
	require.NoError(t, err)
	timing.DataEnd = "2015-12"
	require.NotEmpty(t, timing.Check())
}

// By hand: participations [10, 14), [16, 20) and [17, 30); at month m the washout asks for none in [m-w, m).
func TestParticipationRules(t *testing.T) {
	spans := [][]span{{{10, 14}, {16, 20}, {17, 30}, {40, endless}, {40, endless}}}
	for _, c := range []struct {
		rule    string
		washout Month
		zeros   []Month
		ready   []Month // of 9, 10, 12, 15, 16, 31, 35, 41
	}{
		{FirstParticipation, 0, []Month{10}, []Month{9, 10}},
		{EachParticipation, 0, []Month{10, 16, 40}, []Month{9, 10, 15, 16, 31, 35}},
		{WashoutParticipation, 2, []Month{10, 16, 40}, []Month{9, 10, 16, 35}},
		{WashoutParticipation, 3, []Month{10, 40}, []Month{9, 10, 35}},
		{WashoutParticipation, 11, []Month{10}, []Month{9, 10}},
	} {
		p := &participations{spans: spans, rule: c.rule, washout: c.washout}
		require.Equal(t, c.zeros, p.zeros(0, 0, 100), fmt.Sprint(c.rule, c.washout))
		var ready []Month
		for _, m := range []Month{9, 10, 12, 15, 16, 31, 35, 41} {
			if p.ready(0, m) {
				ready = append(ready, m)
			}
		}
		require.Equal(t, c.ready, ready, fmt.Sprint(c.rule, c.washout))
	}
	p := &participations{spans: spans, rule: EachParticipation}
	require.True(t, p.starts(0, 16))
	require.False(t, p.starts(0, 15))
	next, ok := p.next(0, 17)
	require.True(t, ok)
	require.Equal(t, Month(17), next)
	_, ok = p.next(0, 41)
	require.False(t, ok)
	require.Empty(t, p.zeros(0, 11, 15))

	r := toy(t)
	timing := toyTiming
	timing.Participation = EachParticipation
	_, err := Build(r, timing, nil, nil, 1, 1)
	require.ErrorContains(t, err, `"end"`)
}
