package cohort

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// By hand: of ten people two start in month 0, two in month 1 (g = 2), one in month 2.
// p(0) = 1/5, p(1) = 1/4, p(2) = 1/6; a polynomial of time through them is saturated.
// Every strategy's weights add up to ten in every month.
func TestCloneByHand(t *testing.T) {
	zero, first, end := Month(12*2012+2), Month(12*2010), Month(12*2015)
	rows := registerRows{}
	for i := range 10 {
		id := fmt.Sprintf("P%02d", i)
		rows.person, rows.birth = append(rows.person, id), append(rows.birth, 1980)
		rows.spells = append(rows.spells, spellRow{id, "none", first, end})
	}
	starts := map[string]int{"P00": 0, "P01": 0, "P02": 1, "P03": 1, "P04": 2}
	for id, m := range starts {
		rows.participations = append(rows.participations, partRow{id, zero + Month(m), 0})
	}
	timing := Timing{From: "2012-03", To: "2012-03", LookBack: []int{3}, FollowUp: 6, Design: GracePeriod, Grace: 2}
	y := Outcome{Name: "y", States: []string{"none"}, At: 2}
	for _, c := range []struct {
		later, initiation string
		start, not        map[int][3]float64 // start (-1 = none) → weights in months 0, 1, 2
	}{
		{LaterStays, "", map[int][3]float64{0: {1, 1, 1}, 1: {1, 4, 4}, 2: {1, 0, 0}, -1: {1, 0, 0}},
			map[int][3]float64{0: {0, 0, 0}, 1: {5. / 4, 0, 0}, 2: {5. / 4, 5. / 3, 5. / 3}, -1: {5. / 4, 5. / 3, 5. / 3}}},
		{LaterCensors, NaturalInitiation, map[int][3]float64{0: {1, 1, 1}, 1: {1, 4, 4}, 2: {1, 0, 0}, -1: {1, 0, 0}},
			map[int][3]float64{0: {0, 0, 0}, 1: {5. / 4, 0, 0}, 2: {5. / 4, 5. / 3, 0}, -1: {5. / 4, 5. / 3, 2}}},
		{LaterStays, UniformInitiation, map[int][3]float64{0: {2.5, 2.5, 2.5}, 1: {5. / 8, 2.5, 2.5}, 2: {5. / 8, 0, 0}, -1: {5. / 8, 0, 0}},
			map[int][3]float64{0: {0, 0, 0}, 1: {5. / 4, 0, 0}, 2: {5. / 4, 5. / 3, 5. / 3}, -1: {5. / 4, 5. / 3, 5. / 3}}},
	} {
		timing.Later = c.later
		require.Empty(t, timing.Check())
		b, o, err := buildAndOpen(rows.tables(t), timing, y, 1)
		require.NoError(t, err)
		require.False(t, b.Table.Has(ParticipantColumn))
		require.NoError(t, CheckAttrition(b.Attrition))
		cl, err := o.Clone(t.Context(), CloneSpec{CensorSpec: CensorSpec{Horizon: 2}, Initiation: c.initiation}, 1)
		require.NoError(t, err)
		require.Equal(t, 20, cl.Table.Rows())
		names, _, err := cl.Table.Text(UnitColumn)
		require.NoError(t, err)
		strategy, seen := column(t, cl.Table, ParticipantColumn), column(t, cl.Table, "y")
		var sum [2][3]float64
		for i, name := range names {
			s, started := starts[b.units[i/2].person]
			if !started {
				s = -1
			}
			require.Equal(t, s, o.Start[i/2])
			want, ending := c.start[s], "/start"
			if i%2 == 1 {
				want, ending = c.not[s], "/not"
			}
			require.Contains(t, name, ending)
			require.Equal(t, float64(1-i%2), strategy[name])
			for m := range 3 {
				require.InDelta(t, want[m], cl.At(i, m), 1e-9, "%s month %d", name, m)
				sum[i%2][m] += cl.At(i, m)
			}
			_, has := seen[name]
			require.Equal(t, want[2] > 0, has, name)
			require.Equal(t, want[1] > 0, cl.Paths.At(i, 1) >= 0, name)
			require.Equal(t, int8(-1), cl.Paths.At(i, 3)) // after the horizon
		}
		for k := range sum {
			for m := range 3 {
				require.InDelta(t, 10, sum[k][m], 1e-9)
			}
		}
		require.Equal(t, "clone-weights", cl.Notes[0].Code)
	}
}

func TestCloneProblems(t *testing.T) {
	r := randomRegister(9, 300).tables(t)
	timing := riskTiming
	timing.Design, timing.Grace = GracePeriod, 3
	y := Outcome{Name: "y", States: []string{"work"}, At: 12}
	_, o, err := buildAndOpen(r, timing, y, 1)
	require.NoError(t, err)
	for want, spec := range map[string]CloneSpec{
		"stabilised": {CensorSpec: CensorSpec{Stabilised: true}}, "initiation": {Initiation: "late"}, "grace period of 3": {CensorSpec: CensorSpec{Horizon: 2}},
	} {
		_, err := o.Clone(t.Context(), spec, 1)
		require.ErrorIs(t, err, ErrOption)
		require.ErrorContains(t, err, want)
	}
	_, err = o.Censor(t.Context(), CensorSpec{}, 1)
	require.ErrorIs(t, err, ErrOption)
	_, err = o.Clone(t.Context(), CloneSpec{CensorSpec: CensorSpec{Absorbing: []string{"sick", "none", "work"}}}, 1)
	require.ErrorContains(t, err, "absorbing")
	_, drawn, err := buildAndOpen(r, randomTiming, y, 1)
	require.NoError(t, err)
	_, err = drawn.Clone(t.Context(), CloneSpec{}, 1)
	require.ErrorContains(t, err, "grace-period")
	for _, g := range []Timing{{Design: GracePeriod}, {Design: GracePeriod, Grace: 13}, {Design: RiskSet, Grace: 2}, {Design: GracePeriod, Grace: -1}} {
		g.From, g.To, g.LookBack, g.FollowUp = timing.From, timing.To, timing.LookBack, timing.FollowUp
		require.Len(t, g.Check(), 1)
	}
	none := randomRegister(9, 300)
	none.participations = none.participations[:0]
	_, o, err = buildAndOpen(none.tables(t), timing, y, 1)
	require.NoError(t, err)
	_, err = o.Clone(t.Context(), CloneSpec{}, 1)
	require.ErrorIs(t, err, ErrNoTreated)

	// Natural initiation needs somebody who starts in the last month of grace.
	early := randomRegister(9, 300)
	timing.Grace = 5
	base, err := BuildDesign(early.tables(t), timing, nil, 1, 1)
	require.NoError(t, err)
	zero := map[string]Month{}
	for _, u := range base.units {
		zero[u.person] = u.zero
	}
	for i, p := range early.participations {
		if p.start == zero[p.person]+4 {
			early.participations[i].start++
		}
	}
	_, o, err = buildAndOpen(early.tables(t), timing, y, 1)
	require.NoError(t, err)
	_, err = o.Clone(t.Context(), CloneSpec{}, 1)
	require.ErrorIs(t, err, ErrNoSupport)
	_, err = o.Clone(t.Context(), CloneSpec{Initiation: UniformInitiation}, 1)
	require.NoError(t, err)
}

type lifeState int

const (
	lifeSick lifeState = iota
	lifeWork
	lifeDead
)

// graceMonths are those of the register, 2010-01 to 2012-06.
const graceMonths = 30

// graceLife is a person as [life], who can start and can die from month 12 on.
type graceLife struct {
	frailty          float64
	move, die, enter []float64
}

// live gives the states of months 0 to to, and the start; starts decides on it given
// whether the person would start by nature.
func (l *graceLife) live(to int, starts func(m int, natural bool) bool) (path []lifeState, start int) {
	start = -1
	at, lasted := lifeSick, 0
	for m := 0; m <= to; m++ {
		hazard := 1 / (1 + math.Exp(2.4-0.1*float64(min(lasted, 12))))
		if start < 0 && m >= 12 && at != lifeDead && starts(m, l.enter[m] < hazard) {
			start = m
		}
		dies, moves := 0.06*math.Exp(0.3*l.frailty), 0.08
		if at == lifeSick {
			find := -2.6 - l.frailty
			if start >= 0 && m >= start+2 {
				find += 1.2
			}
			moves = 1 / (1 + math.Exp(-find))
		}
		switch {
		case at == lifeDead:
		case m >= 12 && l.die[m] < dies:
			at, lasted = lifeDead, 0
		case l.move[m] < moves:
			at, lasted = lifeWork-at, 0
		}
		lasted++
		path = append(path, at)
	}
	return path, start
}

// liveTo is the state in month to.
func (l *graceLife) liveTo(to int, starts func(m int, natural bool) bool) lifeState {
	path, _ := l.live(to, starts)
	return path[to]
}

// graceRegister is n such lives as a register.
func graceRegister(seed uint64, n int) (rows registerRows, lives map[string]*graceLife) {
	base, names := Month(12*2010), []string{"sick", "work", "dead"}
	lives = map[string]*graceLife{}
	for i := range n {
		s := num.NewStream(seed, "grace", uint64(i))
		l := &graceLife{frailty: s.Normal()}
		for range graceMonths {
			l.move, l.die, l.enter = append(l.move, s.Float()), append(l.die, s.Float()), append(l.enter, s.Float())
		}
		id := fmt.Sprintf("P%05d", i)
		lives[id] = l
		rows.person, rows.birth = append(rows.person, id), append(rows.birth, 1980)
		path, start := l.live(graceMonths-1, func(_ int, natural bool) bool { return natural })
		for m, from := 0, 0; m < graceMonths; m++ {
			if m+1 == graceMonths || path[m+1] != path[m] {
				rows.spells = append(rows.spells, spellRow{id, names[path[m]], base + Month(from), base + Month(m+1)})
				from = m + 1
			}
		}
		if start >= 0 {
			rows.participations = append(rows.participations, partRow{id, base + Month(start), 0})
		}
	}
	return rows, lives
}

// A grace period, simulated: within five months of a month drawn by lot people start
// measures that bring some of them to work and save nobody's life. To have started within
// five months one had to be alive, and still sick, so that those who had live longer and
// work less than the others; cloning, censoring and weighting finds both truths.
func TestClonesRecoverTheTruthWhereImmortalTimeDeceives(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n, grace = 400 * sim.Factor, 700, 5
	timing := Timing{From: "2011-01", To: "2011-04", LookBack: []int{12}, FollowUp: lifeAfter, DataEnd: "2012-06", Design: GracePeriod, Grace: grace}
	outcomes := []Outcome{{Name: "work", States: []string{"work"}, At: lifeAfter}, {Name: "dead", States: []string{"dead"}, At: lifeAfter}}
	initiations := []string{NaturalInitiation, UniformInitiation}
	type result struct {
		units        int
		truth        [2][2]int     // initiation × outcome: sum of differences over units
		estimate, se [2][2]float64 // the same
		naive        [2]float64    // outcome: started within grace against not
		err          error
	}
	results := make([]result, reps)
	num.ForEach(reps, 0, func(rep int) {
		r := &results[rep]
		rows, lives := graceRegister(uint64(rep), n)
		register := rows.tables(t)
		b, err := BuildDesign(register, timing, []string{"birth_year"}, uint64(rep), 1)
		if err != nil {
			r.err = err
			return
		}
		sick, _, err := Apply(b.Table, []Filter{{Name: "sick", Keep: `last_state == "sick"`}}, "")
		if err != nil {
			r.err = err
			return
		}
		o, err := b.Open(register, sick, outcomes, 1)
		if err != nil {
			r.err = err
			return
		}
		r.units = len(o.Units)
		var y [2][]float64
		started, all, ones := make([]bool, r.units), make([]bool, r.units), make([]float64, r.units)
		for k, out := range outcomes {
			f, err := o.Table.Float(out.Name)
			require.NoError(t, err)
			y[k] = f.Values
		}
		person := make([]string, r.units)
		for u, row := range o.Units {
			unit := b.units[row]
			l, zero := lives[unit.person], int(unit.zero)-12*2010
			started[u], all[u], ones[u], person[u] = o.Start[u] >= 0 && o.Start[u] < grace, true, 1, unit.person
			not := l.liveTo(zero+lifeAfter, func(m int, natural bool) bool { return natural && (m < zero || m >= zero+grace) })
			natural := l.liveTo(zero+lifeAfter, func(m int, natural bool) bool { return natural || m == zero+grace-1 })
			lot := zero + int(num.KeyedHash(uint64(rep), "lot/"+unit.person)%grace)
			uniform := l.liveTo(zero+lifeAfter, func(m int, natural bool) bool { return m == lot || natural && m < zero })
			for k, state := range []lifeState{lifeWork, lifeDead} {
				r.truth[0][k] += arm(natural == state) - arm(not == state)
				r.truth[1][k] += arm(uniform == state) - arm(not == state)
			}
		}
		for k := range outcomes {
			r.naive[k], _ = weightedDifference(y[k], all, started, ones, person)
		}
		for i, initiation := range initiations {
			c, err := o.Clone(t.Context(), CloneSpec{CensorSpec: CensorSpec{Covariates: []string{DurationColumn}, Absorbing: []string{"dead"}}, Initiation: initiation}, 1)
			if err != nil {
				r.err = err
				return
			}
			for k, out := range outcomes {
				w, err := c.For(out)
				require.NoError(t, err)
				f, err := c.Table.Float(out.Name)
				require.NoError(t, err)
				strategy, err := c.Table.Float(ParticipantColumn)
				require.NoError(t, err)
				who, _, err := c.Table.Text(PersonColumn)
				require.NoError(t, err)
				treated, ok := make([]bool, len(who)), make([]bool, len(who))
				for j := range who {
					treated[j], ok[j] = strategy.Values[j] == 1, f.Has(j)
				}
				r.estimate[i][k], r.se[i][k] = weightedDifference(f.Values, ok, treated, w, who)
			}
		}
	})
	units, naive := 0, [2]float64{}
	var truth [2][2]float64
	for _, r := range results {
		require.NoError(t, r.err)
		units += r.units
		for k := range naive {
			naive[k] += r.naive[k] / reps
			for i := range initiations {
				truth[i][k] += float64(r.truth[i][k])
			}
		}
	}
	for i, initiation := range initiations {
		for k, out := range outcomes {
			truth[i][k] /= float64(units)
			covered, mean, se, spread := 0, 0.0, 0.0, 0.0
			for _, r := range results {
				covered += arm(math.Abs(r.estimate[i][k]-truth[i][k]) < 1.959964*r.se[i][k])
				mean += r.estimate[i][k] / reps
				se += r.se[i][k] / reps
			}
			for _, r := range results {
				spread += (r.estimate[i][k] - mean) * (r.estimate[i][k] - mean) / (reps - 1)
			}
			sd := math.Sqrt(spread)
			t.Logf("%s, %s: truth %.4f, mean %.4f, naive %.4f, covered %.2f %%, SD %.4f, mean error %.4f", initiation, out.Name, truth[i][k], mean, naive[k], 100*float64(covered)/reps, sd, se)
			require.InDelta(t, truth[i][k], mean, 3*sd/math.Sqrt(reps))
			require.InDelta(t, 0.95, float64(covered)/reps, 0.0359)
		}
	}
	// Naively the measure saves lives, which nothing in the simulation does.
	require.Zero(t, truth[0][1])
	require.Zero(t, truth[1][1])
	require.Less(t, naive[1], -0.07)
}
