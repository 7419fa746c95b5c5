package progress

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func events(rows ...any) *Recurrent { // person, time, occurrence, group
	r := &Recurrent{Level: 0.95}
	for i := 0; i < len(rows); i += 4 {
		r.Person, r.Time = append(r.Person, rows[i].(string)), append(r.Time, float64(rows[i+1].(int)))
		r.Event, r.Group = append(r.Event, rows[i+2].(Occurrence)), append(r.Group, rows[i+3].(int))
	}
	r.GroupNames = []string{"a", "b"}[:1+slices.Max(r.Group)]
	return r
}

func mcf(t *testing.T, r *Recurrent, at ...float64) *estimate.Result {
	t.Helper()
	res, err := MeanCumulative{At: at}.Fit(t.Context(), r)
	require.NoError(t, err)
	return res
}

// p has events at 1 and 3 and is followed to 4, q one at 1 and is followed to 2, s none to 4.
// μ(1) = 2/3, μ(3) = 2/3 + 1/2 = 7/6. Influences at 3: p (1 − 2/3)/3 + (1 − 1/2)/2 = 13/36,
// q (1 − 2/3)/3 = 4/36, s −(2/3)/3 − (1/2)/2 = −17/36; SE² = (169 + 16 + 289)/1296.
func TestMeanCountByHand(t *testing.T) {
	r := events("p", 1, Happens, 0, "p", 3, Happens, 0, "p", 4, Ends, 0, "q", 1, Happens, 0, "q", 2, Ends, 0, "s", 4, Ends, 0)
	res := mcf(t, r, 1, 3)
	reftest.Agree(t, "μ(1)", res.Estimates[0].Value, 2.0/3, 15)
	reftest.Agree(t, "μ(3)", res.Estimates[1].Value, 7.0/6, 15)
	se := math.Sqrt(474.0 / 1296)
	reftest.Agree(t, "se", res.Estimates[1].SE, se, 14)
	reftest.Agree(t, "lo", res.Estimates[1].CI.Lo, 7.0/6*math.Exp(-1.959963984540054*se/(7.0/6)), 13)
	reftest.Agree(t, "p", res.Influence.At(0, 1), 13.0/36, 14)
	require.Equal(t, []string{"p", "q", "s"}, res.InfluenceUnit)
	require.Equal(t, []EventGroup{{"a", 3, 3, 0, 10, 0.3}}, res.Details["groups"])
	require.Equal(t, []MCFPoint{{"a", 1, 3, 2, 2.0 / 3}, {"a", 3, 2, 1, res.Estimates[1].Value}}, res.Details["curve"])
	require.Empty(t, res.Notes)
	// The same as spells at risk; the last of p's rows is an event if its end is left out.
	spell := *r
	spell.Start = []float64{0, 1, 3, 0, 1, 0}
	require.Equal(t, fmt.Sprint(res.Estimates), fmt.Sprint(mcf(t, &spell, 1, 3).Estimates))
	cut := events("p", 1, Happens, 0, "p", 3, Happens, 0, "q", 2, Ends, 0)
	require.Contains(t, codes(mcf(t, cut, 3)), "ends-with-event")
	// A gap at risk: q is away at 1.
	spell.Start[3], spell.Start[4], spell.Event = 0.5, 1.5, slices.Clone(r.Event)
	spell.Time = slices.Clone(r.Time)
	spell.Time[3], spell.Event[3] = 0.75, Ends
	reftest.Agree(t, "gap", mcf(t, &spell, 1).Estimates[0].Value, 0.5, 15)
	// Two events at one time count twice; beyond follow-up there is no number.
	twice := events("p", 1, Happens, 0, "p", 1, Happens, 0, "p", 4, Ends, 0, "q", 4, Ends, 0)
	res = mcf(t, twice, 1, 5)
	require.Equal(t, 1.0, res.Estimates[0].Value)
	require.True(t, math.IsNaN(res.Estimates[1].Value))
	require.Equal(t, []string{"beyond-follow-up"}, codes(res))
}

// Ghosh–Lin by hand: p has an event at 1 and dies at 2, q has events at 1 and 3, s none; q and s
// are followed to 4. S(3−) = 2/3, so μ(3) = 2/3 + 2/3·1/2 = 1, where the count that takes
// death for the end of observation gives 7/6: too many, as the dead have no events.
func TestGhoshLinByHand(t *testing.T) {
	r := events("p", 1, Happens, 0, "p", 2, Terminal, 0, "q", 1, Happens, 0, "q", 3, Happens, 0, "q", 4, Ends, 0, "s", 4, Ends, 0)
	res := mcf(t, r, 1, 3)
	reftest.Agree(t, "μ(1)", res.Estimates[0].Value, 2.0/3, 15)
	reftest.Agree(t, "μ(3)", res.Estimates[1].Value, 1, 15)
	censored := *r
	censored.Event = slices.Clone(r.Event)
	censored.Event[1] = Ends
	reftest.Agree(t, "death as end", mcf(t, &censored, 3).Estimates[0].Value, 7.0/6, 15)
	// Nobody left: the mean stays, also beyond the last death.
	all := events("p", 1, Happens, 0, "p", 2, Terminal, 0, "q", 2, Terminal, 0)
	res = mcf(t, all, 9)
	require.Equal(t, 0.5, res.Estimates[0].Value)
	// Without censoring the estimate is the mean number of events, its error that of a mean.
	reftest.Agree(t, "se of a mean", res.Estimates[0].SE, math.Sqrt(2*0.25/4), 14)
}

func randomEvents(seed uint64, n int, death float64) *Recurrent {
	r := &Recurrent{Level: 0.95, GroupNames: []string{"a", "b"}, Weight: estimate.Weights{Kind: estimate.Sampling}}
	for i := range n {
		s := num.NewStream(seed, "events", uint64(i))
		group, end := i%2, 1+math.Floor(3*12*s.Float())/12
		rate, w := (1.2-0.4*float64(i%2))*2*s.Float(), 0.5+s.Float()
		dies := math.Inf(1)
		if death > 0 {
			dies = s.Exp() / death
		}
		add := func(t float64, what Occurrence) {
			r.Person, r.Time, r.Event = append(r.Person, fmt.Sprintf("p%05d", i)), append(r.Time, t), append(r.Event, what)
			r.Group, r.Weight.Values = append(r.Group, group), append(r.Weight.Values, w)
		}
		for t := s.Exp() / rate; t < min(end, dies); t += s.Exp() / rate {
			add(math.Ceil(t*24)/24, Happens) // ties
		}
		end = math.Ceil(min(end, dies)*24) / 24
		what := Ends
		if dies < 1 || dies*24 <= end*24 {
			what = Terminal
		}
		add(end, what)
	}
	return r
}

// The influence function is the derivative of each estimate with respect to a person's weight.
func TestMeanCountInfluence(t *testing.T) {
	for _, death := range []float64{0, 0.3} {
		r := randomEvents(3, 80, death)
		for _, ties := range []string{"efron", "breslow"} {
			if ties == "breslow" && death > 0 {
				continue
			}
			e := MeanCumulative{At: []float64{0.5, 1.5, 2.5}, Ties: ties}
			res, err := e.Fit(t.Context(), r)
			require.NoError(t, err)
			for _, who := range []string{"p00004", "p00031", "p00060"} {
				const h = 1e-5
				var value [2][]estimate.Estimate
				for k, d := range []float64{-h, h} {
					c := *r
					c.Weight.Values = slices.Clone(r.Weight.Values)
					for i, p := range r.Person {
						if p == who {
							c.Weight.Values[i] *= 1 + d
						}
					}
					got, err := e.Fit(t.Context(), &c)
					require.NoError(t, err)
					value[k] = got.Estimates
				}
				row := slices.Index(res.InfluenceUnit, who)
				for q, est := range res.Estimates {
					reftest.Near(t, fmt.Sprint(who, est.Term, est.Measure), res.Influence.At(row, q), (value[1][q].Value-value[0][q].Value)/(2*h), 1e-8)
				}
			}
			for q, est := range res.Estimates {
				reftest.Agree(t, est.Term, math.Sqrt(res.Cov.At(q, q)), est.SE, 12)
			}
		}
	}
}

func TestMeanCountRelations(t *testing.T) {
	r := randomEvents(4, 200, 0)
	e := MeanCumulative{At: []float64{1, 2}}
	base, err := e.Fit(t.Context(), r)
	require.NoError(t, err)
	require.Len(t, base.Estimates, 9)
	mixed := *r
	mixed.Person, mixed.Time, mixed.Event, mixed.Group, mixed.Weight.Values = nil, nil, nil, nil, nil
	for _, i := range rand.New(rand.NewPCG(8, 8)).Perm(len(r.Time)) {
		mixed.Person, mixed.Time, mixed.Event = append(mixed.Person, r.Person[i]), append(mixed.Time, r.Time[i]), append(mixed.Event, r.Event[i])
		mixed.Group, mixed.Weight.Values = append(mixed.Group, r.Group[i]), append(mixed.Weight.Values, r.Weight.Values[i])
	}
	e.Workers = 5
	got, err := e.Fit(t.Context(), &mixed)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates, base.Details, base.Influence.RawMatrix()), fmt.Sprint(got.Estimates, got.Details, got.Influence.RawMatrix()))
	// Swapped groups turn the log rate ratio, and a clock in months changes only times and rates.
	swapped := *r
	swapped.Group = slices.Clone(r.Group)
	swapped.Time = slices.Clone(r.Time)
	for i := range r.Group {
		swapped.Group[i] = 1 - r.Group[i]
		swapped.Time[i] *= 12
	}
	got, err = MeanCumulative{At: []float64{12, 24}}.Fit(t.Context(), &swapped)
	require.NoError(t, err)
	last := len(base.Estimates) - 1
	require.Equal(t, LogRateRatio, base.Estimates[last].Measure)
	reftest.Agree(t, "LWYY", got.Estimates[last].Value, -base.Estimates[last].Value, 10)
	reftest.Agree(t, "LWYY se", got.Estimates[last].SE, base.Estimates[last].SE, 10)
	reftest.Agree(t, "μ", got.Estimates[0].Value, base.Estimates[2].Value, 12)
	reftest.Agree(t, "ratio", got.Estimates[5].Value*base.Estimates[5].Value, 1, 12)
	breslow, err := MeanCumulative{At: []float64{1}, Ties: "breslow"}.Fit(t.Context(), r)
	require.NoError(t, err)
	require.NotEqual(t, base.Estimates[last].Value, breslow.Estimates[len(breslow.Estimates)-1].Value)
	require.Equal(t, "breslow", breslow.Details["ties"])
}

// survival's bladder1 has two people whose only row ends at 0, one of them dead there: nobody is at risk then,
// and the mean of placebo at 48 months is 2.17196595699 in R 4.2.2 (2.1267 if a death at 0 lowered S).
func TestRowsOfNoLength(t *testing.T) {
	r := events("p", 1, Happens, 0, "p", 3, Terminal, 0, "q", 2, Happens, 0, "q", 4, Ends, 0)
	want := mcf(t, r, 3, 4)
	more := events("p", 1, Happens, 0, "p", 3, Terminal, 0, "q", 2, Happens, 0, "q", 4, Ends, 0, "a", 0, Terminal, 0, "z", 0, Ends, 0, "q", 0, Ends, 0)
	got := mcf(t, more, 3, 4)
	require.Equal(t, fmt.Sprint(want.Estimates), fmt.Sprint(got.Estimates))
	require.Equal(t, []string{"p", "q"}, got.InfluenceUnit)
	require.Equal(t, "never-at-risk", got.Notes[0].Code)
	require.Equal(t, map[string]any{"persons": 2, "count": 1}, got.Notes[0].Args)
	// The death of p is a row that starts where the row before ended; q's row without anything in a gap says nothing.
	spells := events("p", 1, Happens, 0, "p", 3, Terminal, 0, "p", 3, Ends, 0, "q", 2, Happens, 0, "q", 4, Ends, 0, "q", 5, Ends, 0)
	spells.Start = []float64{0, 3, 1, 0, 2, 5}
	require.Equal(t, fmt.Sprint(want.Estimates), fmt.Sprint(mcf(t, spells, 3, 4).Estimates))
	for _, what := range []Occurrence{Happens, Terminal} {
		spells.Event[5] = what
		_, err := MeanCumulative{At: []float64{1}}.Fit(t.Context(), spells)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
		_, err = MeanCumulative{At: []float64{1}}.Fit(t.Context(), events("p", 0, Happens, 0, "p", 3, Ends, 0, "q", 2, Ends, 0))
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
}

func TestMeanCountRefuses(t *testing.T) {
	good := func() *Recurrent {
		return events("p", 1, Happens, 0, "p", 3, Ends, 0, "q", 2, Happens, 0, "q", 4, Ends, 0, "s", 1, Ends, 1, "u", 4, Ends, 1)
	}
	res := mcf(t, good(), 1)
	require.Equal(t, []string{"no-rate-ratio"}, codes(res)) // the second group has no event
	require.True(t, math.IsNaN(res.Estimates[len(res.Estimates)-1].Value))
	require.Equal(t, 0.0, res.Estimates[1].Value)
	require.True(t, math.IsNaN(res.Estimates[1].SE))
	for name, c := range map[string]struct {
		want   error
		change func(*Recurrent)
	}{
		"time 0":         {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Time[0] = 0 }},
		"no time":        {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Time[0] = math.NaN() }},
		"group changes":  {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Group[0] = 1 }},
		"after death":    {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Event[2] = Terminal }},
		"overlap":        {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Start = []float64{0, 0.5, 0, 2, 0, 0} }},
		"ends too early": {estimate.ErrInvalidFrame, func(r *Recurrent) { r.Start = []float64{1, 2, 0, 2, 0, 0} }},
		"one person":     {estimate.ErrTooFew, func(r *Recurrent) { r.Group[5], r.Person[5] = 0, "s2" }},
		"frequency": {estimate.ErrWeights, func(r *Recurrent) {
			r.Weight = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{1}, 6)}
		}},
		"weight changes": {estimate.ErrInvalidFrame, func(r *Recurrent) {
			r.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{1, 2, 1, 1, 1, 1}}
		}},
	} {
		r := good()
		c.change(r)
		_, err := MeanCumulative{At: []float64{1}}.Fit(t.Context(), r)
		require.ErrorIs(t, err, c.want, name)
	}
	for _, e := range []MeanCumulative{{}, {At: []float64{0}}, {At: []float64{1, 1}}, {At: []float64{1}, Ties: "exact"}} {
		_, err := e.Fit(t.Context(), good())
		require.Error(t, err)
	}
}

// d11 is design D11, 200 persons.
func d11(rep int) *Recurrent {
	r := &Recurrent{Level: 0.95}
	for i := range 200 {
		s := num.NewStream(11, fmt.Sprint("d11", rep), uint64(i))
		add := func(t float64, what Occurrence) {
			r.Person, r.Time, r.Event = append(r.Person, fmt.Sprintf("%03d", i)), append(r.Time, t), append(r.Event, what)
		}
		dies, end := s.Exp()/0.2, min(3.0, 1.5+3*s.Float())
		for t := s.Exp() / 1.2; t < min(dies, end); t += s.Exp() / 1.2 {
			add(t, Happens)
		}
		if dies < end {
			add(dies, Terminal)
		} else {
			add(end, Ends)
		}
	}
	return r
}

// D11: events at 1.2 a year, death at .2 a year, 3 years. The truth is ∫ 1.2·e^{−.2u}du = 2.707;
// to take death for the end of observation gives 1.2·3 = 3.6.
func TestGhoshLinCoverage(t *testing.T) {
	reps, band := 600, 2.0
	if testing.Short() {
		reps, band = 200, 3.09
	}
	truth := 6 * (1 - math.Exp(-0.6))
	var mean, wrong float64
	covered := 0
	for rep := range reps {
		r := d11(rep)
		e := mcf(t, r, 3).Estimates[0]
		mean += e.Value / float64(reps)
		if e.CI.Lo <= truth && truth <= e.CI.Hi {
			covered++
		}
		for i, what := range r.Event {
			if what == Terminal {
				r.Event[i] = Ends
			}
		}
		wrong += mcf(t, r, 3).Estimates[0].Value / float64(reps)
	}
	coverage := float64(covered) / float64(reps)
	t.Logf("truth %.4f, mean %.4f, coverage %.3f; deaths as ends %.3f", truth, mean, coverage, wrong)
	require.InDelta(t, 2.707, truth, 5e-4)
	require.InDelta(t, truth, mean, 0.03)
	require.InDelta(t, 3.6, wrong, 0.04)
	require.InDelta(t, 0.95, coverage, band*math.Sqrt(0.95*0.05/float64(reps)))
}
