package cohort

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// life is a person who lives month by month with the same random numbers whatever is
// done: sick or at work, harder to bring back to work with more hidden frailty. Someone
// starts with a probability that depends on state and time spent in it alone, and
// finds work more often from the second month after.
type life struct {
	frailty     float64
	move, enter []float64
}

const (
	lifeMonths = 48
	lifeFirst  = 24 // intake months 24 to 35, of 0 to 47
	lifeAfter  = 12
)

func newLife(seed uint64, i int) *life {
	s := num.NewStream(seed, "life", uint64(i))
	l := &life{frailty: s.Normal()}
	for range lifeMonths {
		l.move, l.enter = append(l.move, s.Float()), append(l.enter, s.Float())
	}
	return l
}

// hazard of a start, given the state of the month before and how long it had lasted.
func lifeHazard(work bool, lasted int) float64 {
	switch {
	case work:
		return 0.010
	case lasted >= 12:
		return 0.060
	case lasted >= 6:
		return 0.035
	case lasted >= 3:
		return 0.020
	}
	return 0.010
}

// live gives work by month, and the start that allowed decides on (-1 = none).
func (l *life) live(allowed func(m int) bool) (work []bool, start int) {
	start = -1
	w, lasted := false, 0
	for m := range lifeMonths {
		if start < 0 && m >= 13 && l.enter[m] < lifeHazard(w, lasted) && allowed(m) {
			start = m
		}
		find := -2.6 - 1.0*l.frailty
		if start >= 0 && m >= start+2 {
			find += 1.2
		}
		p := 1 / (1 + math.Exp(-find))
		if w {
			p = 0.04
		}
		if l.move[m] < p {
			w, lasted = !w, 0
		}
		lasted++
		work = append(work, w)
	}
	return work, start
}

// lifeRegister is n lives as a register, with the truth about those who start in the
// window: work at month lifeAfter as it was, had they waited, and had they never started.
func lifeRegister(seed uint64, n int) (rows registerRows, truth lifeTruth) {
	base := Month(12 * 2010)
	for i := range n {
		l := newLife(seed, i)
		id := fmt.Sprintf("P%05d", i)
		rows.person, rows.birth = append(rows.person, id), append(rows.birth, 1980)
		work, start := l.live(func(int) bool { return true })
		for m, from := 0, 0; m < lifeMonths; m++ {
			if m+1 == lifeMonths || work[m+1] != work[m] {
				rows.spells = append(rows.spells, spellRow{id, map[bool]string{true: "work", false: "sick"}[work[m]], base + Month(from), base + Month(m+1)})
				from = m + 1
			}
		}
		if start < 0 {
			truth.neverStarters++
			truth.neverWork += arm(work[lifeFirst+i%12+lifeAfter])
			continue
		}
		rows.participations = append(rows.participations, partRow{id, base + Month(start), 0})
		if start < lifeFirst || start >= lifeFirst+12 {
			continue
		}
		other, _ := l.live(func(m int) bool { return m != start })
		none, _ := l.live(func(int) bool { return false })
		truth.participants++
		truth.with += arm(work[start+lifeAfter])
		truth.wait += arm(other[start+lifeAfter])
		truth.never += arm(none[start+lifeAfter])
	}
	return rows, truth
}

// lifeTruth counts people, and those of them who are at work lifeAfter months later.
type lifeTruth struct {
	participants, with, wait, never int // those who start in the window, in three lives
	neverStarters, neverWork        int // those who never start, from a month of the window
}

func (t *lifeTruth) add(o lifeTruth) {
	t.participants, t.with, t.wait, t.never = t.participants+o.participants, t.with+o.with, t.wait+o.wait, t.never+o.never
	t.neverStarters, t.neverWork = t.neverStarters+o.neverStarters, t.neverWork+o.neverWork
}

// weightedDifference is mean of the treated less weighted mean of the others among those
// with an outcome, with the error of the influence function summed over persons,
// weights taken as known.
func weightedDifference(y []float64, ok, treated []bool, w []float64, person []string) (estimate, se float64) {
	var sum, mean [2]float64
	for u := range y {
		if ok[u] {
			sum[arm(treated[u])] += w[u]
			mean[arm(treated[u])] += w[u] * y[u]
		}
	}
	mean[0], mean[1] = mean[0]/sum[0], mean[1]/sum[1]
	by := map[string]float64{}
	for u := range y {
		if ok[u] {
			a := arm(treated[u])
			by[person[u]] += float64(2*a-1) * w[u] * (y[u] - mean[a]) / sum[a]
		}
	}
	for _, v := range by {
		se += v * v
	}
	g := float64(len(by))
	return mean[1] - mean[0], math.Sqrt(se * g / (g - 1))
}

// cellWeights are those of exact matching on the risk set, for the effect on participants.
func cellWeights(t *testing.T, b *Built) []float64 {
	t.Helper()
	cell, err := b.Table.Category(RiskSetColumn)
	require.NoError(t, err)
	count := make([][2]float64, len(cell.Levels))
	for u, c := range cell.Codes {
		count[c][arm(b.units[u].treated)]++
	}
	w := make([]float64, len(cell.Codes))
	for u, c := range cell.Codes {
		w[u] = 1
		if !b.units[u].treated {
			w[u] = count[c][1] / count[c][0]
		}
	}
	return w
}

func buildAndOpen(r Register, timing Timing, y Outcome, seed uint64) (*Built, *Opened, error) {
	b, err := BuildDesign(r, timing, nil, seed, 1)
	if err != nil {
		return nil, nil, err
	}
	o, err := b.Open(r, nil, []Outcome{y}, 1)
	return b, o, err
}

// read gives an outcome with arms and persons.
func (o *Opened) read(t *testing.T, name string) (values []float64, ok, treated []bool, person []string) {
	t.Helper()
	f, err := o.Table.Float(name)
	require.NoError(t, err)
	person, _, err = o.Table.Text(PersonColumn)
	require.NoError(t, err)
	for u := range person {
		treated, ok = append(treated, o.b.units[o.Units[u]].treated), append(ok, f.Has(u))
	}
	return f.Values, ok, treated, person
}

// Dynamic assignment: those who ever start are compared wrongly with those who never do;
// the risk-set design finds the effect against waiting, and with censoring and weights
// that against not starting within the follow-up. The truth of each comes from the
// participants' own other lives.
func TestRiskSetRecoversTheTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n = 400 * sim.Factor, 600
	timing := Timing{
		From: "2012-01", To: "2012-12", LookBack: []int{12}, FollowUp: lifeAfter, DataEnd: "2013-12", Design: RiskSet,
		Durations: []int{1, 3, 6, 12}, Draws: draws(4),
	}
	y := Outcome{Name: "y", States: []string{"work"}, At: lifeAfter}
	type result struct {
		truth        lifeTruth
		estimate, se [2]float64 // stay, censor
		unweighted   float64    // censored without weights
		err          error
	}
	results := make([]result, reps)
	num.ForEach(reps, 0, func(rep int) {
		r := &results[rep]
		var rows registerRows
		rows, r.truth = lifeRegister(uint64(rep), n)
		register := rows.tables(t)
		for k, later := range []string{LaterStays, LaterCensors} {
			timing := timing
			timing.Later = later
			b, o, err := buildAndOpen(register, timing, y, uint64(rep))
			if err != nil {
				r.err = err
				return
			}
			values, ok, treated, person := o.read(t, "y")
			w := cellWeights(t, b)
			if later == LaterCensors {
				r.unweighted, _ = weightedDifference(values, ok, treated, w, person)
				c, err := o.Censor(t.Context(), CensorSpec{Covariates: []string{LastStateColumn, DurationColumn}, Horizon: lifeAfter}, 1)
				if err != nil {
					r.err = err
					return
				}
				for u := range w {
					w[u] *= c.At(u, lifeAfter)
				}
			}
			r.estimate[k], r.se[k] = weightedDifference(values, ok, treated, w, person)
		}
	})
	var total lifeTruth
	for _, r := range results {
		require.NoError(t, r.err)
		total.add(r.truth)
	}
	n1 := float64(total.participants)
	truth := [2]float64{float64(total.with-total.wait) / n1, float64(total.with-total.never) / n1}
	unweighted := 0.0
	for k, name := range []string{"against waiting", "against not starting"} {
		covered, mean, spread, se := 0, 0.0, 0.0, 0.0
		for _, r := range results {
			covered += arm(math.Abs(r.estimate[k]-truth[k]) < 1.959964*r.se[k])
			mean += r.estimate[k] / reps
			se += r.se[k] / reps
			unweighted += r.unweighted / reps / 2
		}
		for _, r := range results {
			spread += (r.estimate[k] - mean) * (r.estimate[k] - mean) / (reps - 1)
		}
		sd := math.Sqrt(spread)
		t.Logf("%s: truth %.4f, mean %.4f, covered %.2f %%, SD %.4f, mean error %.4f", name, truth[k], mean, 100*float64(covered)/reps, sd, se)
		require.InDelta(t, truth[k], mean, 3*sd/math.Sqrt(reps), name)
		require.InDelta(t, 0.95, float64(covered)/reps, 0.0359, name)
		require.Greater(t, se, 0.93*sd, name)
	}
	// What is wrong: those who never start found work themselves; those who are left are not
	// all who were there.
	naive := float64(total.with)/n1 - float64(total.neverWork)/float64(total.neverStarters)
	t.Logf("ever against never %.4f, censored without weights %.4f, participants %d", naive, unweighted, total.participants/reps)
	require.Less(t, naive, truth[0]-0.10)
	require.Less(t, unweighted, truth[1]-0.05)
	require.Greater(t, truth[1], truth[0]+0.03)
}
