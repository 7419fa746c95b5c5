package cohort

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

func draws(k int) *int { return &k }

var riskTiming = Timing{From: "2012-01", To: "2012-12", LookBack: []int{6, 12}, FollowUp: 12, Design: RiskSet}

// By hand: A, B and C are in none from 2010-01 on and C in sick from 2012-01; A starts
// 2012-03, after 26 months of none (12, the longest look-back, count): B is at risk
// there, C is not. D starts in the same month from work, where nobody else is.
func TestRiskSetByHand(t *testing.T) {
	first, end := Month(12*2010), Month(12*2015)
	rows := registerRows{person: []string{"A", "B", "C", "D"}, birth: []int64{1, 2, 3, 4}}
	rows.spells = []spellRow{
		{"A", "none", first, end}, {"B", "none", first, end}, {"C", "none", first, 12 * 2012}, {"C", "sick", 12 * 2012, end}, {"D", "work", first, end},
	}
	rows.participations = []partRow{{"A", 12*2012 + 2, 0}, {"D", 12*2012 + 2, 0}}
	b, err := BuildDesign(rows.tables(t), riskTiming, nil, 1, 1)
	require.NoError(t, err)
	units, _, err := b.Table.Text(UnitColumn)
	require.NoError(t, err)
	require.Equal(t, []string{"A", "B@2012-03"}, units)
	cell, _, err := b.Table.Text(RiskSetColumn)
	require.NoError(t, err)
	require.Equal(t, []string{"2012-03/none/12+", "2012-03/none/12+"}, cell)
	require.Equal(t, []Step{
		{Name: "candidates", UnitsIn: 4, UnitsOut: 4, TreatedIn: 2, TreatedOut: 2}, {Name: "observed", UnitsIn: 4, UnitsOut: 4, TreatedIn: 2, TreatedOut: 2},
		{Name: "look-back", UnitsIn: 4, UnitsOut: 4, TreatedIn: 2, TreatedOut: 2}, {Name: "risk-set", UnitsIn: 4, UnitsOut: 2, TreatedIn: 2, TreatedOut: 1},
		{Name: "draws", UnitsIn: 2, UnitsOut: 2, TreatedIn: 1, TreatedOut: 1},
	}, withoutRules(b.Attrition))

	require.Equal(t, "nobody-at-risk", b.Notes[0].Code)
	require.Equal(t, 1, b.Notes[0].Args["participants"]) // D

	timing := riskTiming
	timing.Origin = []string{"work"}
	b, err = BuildDesign(rows.tables(t), timing, nil, 1, 1)
	require.NoError(t, err)
	require.Zero(t, b.Table.Rows())
	timing.Origin = []string{"wrk"}
	_, err = BuildDesign(rows.tables(t), timing, nil, 1, 1)
	require.ErrorIs(t, err, ErrOption)
}

func withoutRules(steps []Step) []Step {
	out := slices.Clone(steps)
	for i := range out {
		out[i].Rule = ""
	}
	return out
}

// riskSetOracle expands risk sets from each unit's own past, one person-month at a time.
func riskSetOracle(t *testing.T, r Register, timing Timing, seed uint64) []string {
	t.Helper()
	s, err := readSources(r, timing)
	require.NoError(t, err)
	from, _ := ParseMonth(timing.From)
	to, _ := ParseMonth(timing.To)
	d := &riskSetDrawer{s: s, t: timing, cuts: timing.durationCuts()}
	type member struct {
		unit string
		hash uint64
		id   string
	}
	treated, atRisk := map[string][]string{}, map[string][]member{}
	for p, id := range s.ids {
		for m := from; m <= to; m++ {
			past := s.h.past(p, m, make([]int8, timing.pastMonths()))
			if !whole(past) || !s.parts.ready(p, m) {
				continue
			}
			known := past.known(timing.maxLookBack(), timing.lag(SpellSource))
			origin := known[len(known)-1]
			if len(timing.Origin) > 0 && !slices.Contains(timing.Origin, s.h.states[origin]) {
				continue
			}
			cell := d.name(&riskCell{month: m, origin: origin, band: d.band(runLength(known))})
			if s.parts.starts(p, m) {
				unit := id
				if timing.participation() != FirstParticipation {
					unit += "@" + m.String()
				}
				treated[cell] = append(treated[cell], unit+" 1 "+cell)
				continue
			}
			atRisk[cell] = append(atRisk[cell], member{id + "@" + m.String() + " 0 " + cell, num.KeyedHash(num.KeyedHash(seed, "risk-set/"+cell), id), id})
		}
	}
	var out []string
	for cell, units := range treated {
		others := atRisk[cell]
		if len(others) == 0 {
			continue
		}
		sort.Slice(others, func(i, j int) bool { return others[i].hash < others[j].hash })
		if k := timing.draws(); k > 0 {
			others = others[:min(len(others), k*len(units))]
		}
		out = append(out, units...)
		for _, o := range others {
			out = append(out, o.unit)
		}
	}
	slices.Sort(out)
	return out
}

func unitsOf(t *testing.T, b *Built) []string {
	t.Helper()
	units, _, err := b.Table.Text(UnitColumn)
	require.NoError(t, err)
	cell, _, err := b.Table.Text(RiskSetColumn)
	require.NoError(t, err)
	out := slices.Clone(units)
	for i := range out {
		out[i] += fmt.Sprintf(" %d %s", arm(b.units[i].treated), cell[i])
	}
	slices.Sort(out)
	return out
}

// The risk sets are those that a search of every person-month finds, for every option,
// number of workers and order of the rows (M1, M22).
func TestRiskSetsAreThoseOfTheOracle(t *testing.T) {
	rows := randomRegister(4, 500)
	r := rows.tables(t)
	shuffled := rows
	shuffled.person, shuffled.spells, shuffled.participations = slices.Clone(rows.person), slices.Clone(rows.spells), slices.Clone(rows.participations)
	slices.Reverse(shuffled.person)
	slices.Reverse(shuffled.spells)
	slices.Reverse(shuffled.participations)
	for i, timing := range []Timing{
		{}, {Draws: draws(0)}, {Draws: draws(1)}, {Draws: draws(1), Durations: []int{0, 2, 4}}, {Origin: []string{"sick", "none"}},
		{Participation: EachParticipation, Draws: draws(2)}, {Participation: WashoutParticipation, Washout: 8}, {Lag: 3},
	} {
		timing.From, timing.To, timing.LookBack, timing.FollowUp, timing.Design = riskTiming.From, riskTiming.To, riskTiming.LookBack, riskTiming.FollowUp, RiskSet
		require.Empty(t, timing.Check())
		want := riskSetOracle(t, r, timing, 8)
		require.Greater(t, len(want), 30, i)
		b, err := BuildDesign(r, timing, nil, 8, 1)
		require.NoError(t, err)
		require.Equal(t, want, unitsOf(t, b), i)
		require.NoError(t, CheckAttrition(b.Attrition))
		require.Equal(t, b.Table.Rows(), b.Attrition[len(b.Attrition)-1].UnitsOut)
		src, err := readSources(r, timing)
		require.NoError(t, err)
		for _, wave := range []int{7, 100} {
			d, cands, steps, err := src.riskSets(timing, 8, wave, 2)
			require.NoError(t, err)
			var units []string
			for _, c := range cands {
				unit := src.ids[c.person] + "@" + c.zero.String()
				if c.treated && timing.participation() == FirstParticipation {
					unit = src.ids[c.person]
				}
				units = append(units, fmt.Sprintf("%s %d %s", unit, arm(c.treated), d.name(&d.cells[c.cell])))
			}
			slices.Sort(units)
			require.Equal(t, want, units, i)
			require.Equal(t, b.Attrition, steps)
		}
		again, err := BuildDesign(shuffled.tables(t), timing, nil, 8, 4)
		require.NoError(t, err)
		birth := func(b *Built) map[string]string { return rowsOf(t, b.Table.Without("birth_year", "age")) }
		require.Equal(t, birth(b), birth(again), i)
		require.Equal(t, b.Attrition, again.Attrition)
	}
}

// Fewer draws are among more, a person is drawn at most once a month, and more draws are asked for in vain.
func TestDrawsAreNested(t *testing.T) {
	r := randomRegister(5, 400).tables(t)
	var last []string
	for _, k := range []int{1, 3, 50, 0} {
		timing := riskTiming
		timing.Draws = draws(k)
		b, err := BuildDesign(r, timing, nil, 2, 2)
		require.NoError(t, err)
		units := unitsOf(t, b)
		require.Len(t, units, len(slices.Compact(slices.Clone(units))))
		for _, u := range last {
			require.Contains(t, units, u)
		}
		last = units
	}
}

// Trimming in waves gives the draws of all at once, however the people are cut into waves.
func TestTrimKeepsTheSmallestHashes(t *testing.T) {
	d := &riskSetDrawer{t: Timing{Draws: draws(3)}, s: &sources{ids: strings.Split("abcdefghijklmnopqrstuvwxyz", "")}}
	c := riskCell{treated: 2}
	for i := range 26 {
		h := uint64((i * 7) % 26 / 2) // ties are broken by the id
		if c.full && h > c.limit {
			continue
		}
		c.drawn = append(c.drawn, riskDraw{h, int32(i)})
		if i%4 == 3 {
			d.trim(&c)
		}
	}
	d.trim(&c)
	require.Equal(t, []riskDraw{{0, 0}, {0, 15}, {1, 4}, {1, 19}, {2, 8}, {2, 23}}, c.drawn)
}

// No peeking in risk sets (M16): what comes after the window changes no byte.
func TestM16RiskSetsSeeNothingAfterTheWindow(t *testing.T) {
	rows := randomRegister(6, 300)
	to, _ := ParseMonth(riskTiming.To)
	for _, rule := range []string{FirstParticipation, EachParticipation} {
		timing := riskTiming
		timing.Participation = rule
		base, err := BuildDesign(rows.tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		changed, err := BuildDesign(rows.after(func(string) Month { return to }).tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		require.Equal(t, rowsOf(t, base.Table), rowsOf(t, changed.Table))
		require.Equal(t, base.Attrition, changed.Attrition)
		// Nor does a person's life after a month in which it was at risk: with all at risk
		// taken, the row stays though the later ones go.
		timing.Draws = draws(0)
		base, err = BuildDesign(rows.tables(t), timing, nil, 3, 2)
		require.NoError(t, err)
		first := map[string]Month{}
		for _, u := range base.units {
			if _, ok := first[u.person]; !ok && !u.treated {
				first[u.person] = u.zero
			}
		}
		want := rowsOf(t, base.Table)
		for _, person := range []string{"P0011", "P0042", "P0100", "P0101"} {
			if first[person] == 0 {
				continue
			}
			changed, err = BuildDesign(rows.after(func(p string) Month {
				if p == person {
					return first[p]
				}
				return 0
			}).tables(t), timing, nil, 3, 2)
			require.NoError(t, err)
			name := person + "@" + first[person].String()
			got, ok := rowsOf(t, changed.Table)[name]
			if !ok { // the only participant of the cell may have been this person, later
				t.Logf("%s: no participant in the cell any more", name)
				continue
			}
			require.Equal(t, want[name], got)
		}
	}
}

func TestRiskSetProblems(t *testing.T) {
	for _, c := range []Timing{
		{Draws: draws(-1)}, {Durations: []int{3, 3}}, {Durations: []int{-1, 3}}, {Durations: []int{1, 13}}, {Origin: []string{"a", "a"}}, {Washout: 3},
		{Participation: WashoutParticipation}, {Participation: "all"}, {Later: "drop"}, {Lag: -1}, {Lags: map[string]int{"people": 1}},
		{Lags: map[string]int{AmountSource: 1}}, {Features: []string{"more"}}, {Features: []string{MonthFeatures, MonthFeatures}}, {Design: "ever-never"},
	} {
		if c.Design == "" {
			c.Design = RiskSet
		}
		c.From, c.To, c.LookBack, c.FollowUp = riskTiming.From, riskTiming.To, riskTiming.LookBack, riskTiming.FollowUp
		require.Len(t, c.Check(), 1, c)
	}
	c := toyTiming
	c.Draws, c.Durations, c.Origin = draws(1), []int{1}, []string{"a"}
	require.Len(t, c.Check(), 3)
}
