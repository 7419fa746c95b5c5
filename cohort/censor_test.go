package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// By hand: of ten comparison people at risk two start in month 1 and two of the other
// eight in month 2. Month alone is a saturated model of two months: p = 1/5, then 1/4.
// Each of the six who are left at month 2 counts as 1/(4/5 · 3/4) = 5/3, together ten;
// stabilised by the same model as 1. One more, who is dead, cannot start: weight 1.
func TestCensorByHand(t *testing.T) {
	first, end := Month(12*2010), Month(12*2015)
	rows := registerRows{}
	zero := Month(12*2012 + 2)
	for i := range 12 {
		id := fmt.Sprintf("P%02d", i)
		rows.person, rows.birth = append(rows.person, id), append(rows.birth, 1980)
		if i < 11 {
			rows.spells = append(rows.spells, spellRow{id, "none", first, end})
		} else {
			rows.spells = append(rows.spells, spellRow{id, "none", first, zero}, spellRow{id, "dead", zero, end})
		}
	}
	rows.participations = []partRow{{"P00", zero, 0}, {"P01", zero + 1, 0}, {"P02", zero + 1, 0}, {"P03", zero + 2, 0}, {"P04", zero + 2, 0}, {"P05", zero + 3, 0}}
	timing := Timing{From: "2012-03", To: "2012-03", LookBack: []int{3}, FollowUp: 6, Design: RiskSet, Later: LaterCensors}
	outcomes := []Outcome{{Name: "y", States: []string{"none"}, At: 2}, {Name: "months", States: []string{"none"}, Over: 2}}
	b, err := BuildDesign(rows.tables(t), timing, nil, 1, 1)
	require.NoError(t, err)
	require.Equal(t, 12, b.Table.Rows())
	o, err := b.Open(rows.tables(t), nil, outcomes, 1)
	require.NoError(t, err)
	spec := CensorSpec{Absorbing: []string{"dead"}, Horizon: 2}
	c, err := o.Censor(t.Context(), spec, 1)
	require.NoError(t, err)
	at2, err := c.For(outcomes[0])
	require.NoError(t, err)
	at1, err := c.For(outcomes[1])
	require.NoError(t, err)
	y := column(t, o.Table, "y")
	units, _, err := o.Table.Text(UnitColumn)
	require.NoError(t, err)
	for u, unit := range o.b.units {
		want1, want2 := 5.0/4, 5.0/3
		switch unit.person {
		case "P00", "P11":
			want1, want2 = 1, 1
		case "P01", "P02":
			want1, want2 = 0, 0
		case "P03", "P04":
			want2 = 0
		}
		require.InDelta(t, want1, at1[u], 1e-12, unit.person)
		require.InDelta(t, want2, at2[u], 1e-12, unit.person)
		_, has := y[units[u]]
		require.Equal(t, want2 > 0, has, unit.person)
	}
	// Six of 5/3 and one of 1.
	require.InDelta(t, 121.0/(150.0/9+1), c.ESS, 1e-10)
	require.InDelta(t, 5.0/3, c.Max, 1e-12)
	require.Equal(t, 18, c.Months)
	spec.Stabilised = true
	stable, err := o.Censor(t.Context(), spec, 1)
	require.NoError(t, err)
	for u, unit := range o.b.units {
		require.InDelta(t, map[bool]float64{true: 1, false: 0}[c.At(u, 2) > 0], stable.At(u, 2), 1e-12, unit.person)
	}
	require.Equal(t, 4, c.Starts)
	// With data to month 1 no start can be seen in month 2.
	timing.DataEnd = "2012-04"
	_, short, err := buildAndOpen(rows.tables(t), timing, outcomes[0], 1)
	require.NoError(t, err)
	s, err := short.Censor(t.Context(), CensorSpec{Absorbing: []string{"dead"}, Horizon: 2}, 1)
	require.NoError(t, err)
	require.Equal(t, []int{10, 2}, []int{s.Months, s.Starts})
	// Nobody is left when everybody starts.
	for i := 5; i < 11; i++ {
		rows.participations = append(rows.participations, partRow{fmt.Sprintf("P%02d", i), zero + 1, 0})
	}
	rows.participations = append(rows.participations, partRow{"P11", zero + 1, 0})
	_, all, err := buildAndOpen(rows.tables(t), timing, outcomes[0], 1)
	require.NoError(t, err)
	_, err = all.Censor(t.Context(), CensorSpec{Horizon: 1, Absorbing: []string{"dead"}}, 1)
	require.ErrorContains(t, err, "absorbing: 1 units start")
	require.Equal(t, "censoring-weights", c.Notes[0].Code)
	_, err = c.For(Outcome{Name: "z", States: []string{"none"}, At: 3})
	require.ErrorIs(t, err, ErrOption)
}

// What Censor refuses, and what it says.
func TestCensorProblems(t *testing.T) {
	rows := randomRegister(7, 400)
	r := rows.tables(t)
	timing := riskTiming
	stay, err := BuildDesign(r, timing, nil, 1, 1)
	require.NoError(t, err)
	o, err := stay.Open(r, nil, nil, 1)
	require.NoError(t, err)
	_, err = o.Censor(t.Context(), CensorSpec{}, 1)
	require.ErrorContains(t, err, "later: censor")
	timing.Later = LaterCensors
	b, err := BuildDesign(r, timing, nil, 1, 1)
	require.NoError(t, err)
	outcome := Outcome{Name: "y", States: []string{"work"}, At: 6}
	o, err = b.Open(r, nil, []Outcome{outcome}, 1)
	require.NoError(t, err)
	for want, spec := range map[string]CensorSpec{
		"horizon": {Horizon: 13}, "twice": {Covariates: []string{"age", "age"}}, `"dead"`: {Absorbing: []string{"dead"}}, "no such column": {Covariates: []string{"y"}},
		"treatment": {Covariates: []string{ParticipantColumn}}, `"birth_year"`: {Covariates: []string{"age", ZeroColumn, "birth_year", AgeColumn + "2"}},
		"linear combination": {Covariates: []string{"months_none_12", "months_sick_12", "months_work_12", "months_zzz_12"}},
	} {
		_, err := o.Censor(t.Context(), spec, 1)
		require.Error(t, err, want)
		if want != `"birth_year"` {
			require.ErrorContains(t, err, want)
		}
	}
	// A state from which nobody starts separates, and the error names the column.
	var late registerRows = rows
	late.participations = nil
	s, err := readSources(r, timing)
	require.NoError(t, err)
	for _, p := range rows.participations {
		if k := s.h.past(s.person[p.person], p.start, make([]int8, 2)); k[0] >= 0 && s.h.states[k[0]] != "zzz" {
			late.participations = append(late.participations, p)
		}
	}
	r = late.tables(t)
	b, err = BuildDesign(r, timing, nil, 1, 1)
	require.NoError(t, err)
	o, err = b.Open(r, nil, nil, 1)
	require.NoError(t, err)
	_, err = o.Censor(t.Context(), CensorSpec{Covariates: []string{LastStateColumn}}, 1)
	require.ErrorIs(t, err, ErrSeparation)
	require.ErrorContains(t, err, `column "last_state" (nobody starts at 1 of its levels)`)
	c, err := o.Censor(t.Context(), CensorSpec{Covariates: []string{LastStateColumn, "age"}, Absorbing: []string{"zzz"}}, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"(intercept)", "month", "month^2", "last_state[sick]", "last_state[work]", "age"}, c.Names)
	// Workers and the order in which units are asked for change no bit.
	rowsAsked := every(b.Table.Rows())
	rowsAsked[3], rowsAsked[70] = 70, 3
	other, err := b.Open(r, rowsAsked, nil, 2)
	require.NoError(t, err)
	d, err := other.Censor(t.Context(), CensorSpec{Covariates: []string{LastStateColumn, "age"}, Absorbing: []string{"zzz"}}, 3)
	require.NoError(t, err)
	require.Equal(t, c.Coef, d.Coef)
	require.Equal(t, c.At(3, 12), d.At(70, 12))
}
