package synthetic

import (
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// The hazard sees an observed history and county terms; the type has no field that
// could carry the frailty.
func TestHazardSeesOnlyWhatARegisterShows(t *testing.T) {
	kind := reflect.TypeFor[observed]()
	var names []string
	for f := range kind.NumField() {
		names = append(names, kind.Field(f).Name)
		require.NotEqual(t, reflect.Float64, kind.Field(f).Type.Kind(), "whole numbers only: a frailty does not fit")
	}
	require.Equal(t, []string{"months", "last", "age", "woman", "abroad", "education", "county", "year", "previous"}, names)
	method := reflect.TypeOf((*observed).hazard)
	require.Equal(t, 2, method.NumIn())
}

// By hand: a woman of 50 born in Sweden with compulsory school, sickness benefit for
// 24 months, in 2016, county term 0.1:
// -5.50 + 0.05 + 0.25 + 0.10 + 24·0.008 + 0.16 - 0.016·10 + 0.05·2 - 0.20 = -5.008.
func TestHazardByHand(t *testing.T) {
	o := observed{last: sickness, age: 50, woman: true, education: compulsory, county: 1, year: 2016}
	o.months[sickness] = 24
	reftest.Agree(t, "hazard", o.hazard([]float64{0, 0.1}), 1/(1+math.Exp(5.008)), 12)
	o.previous, o.abroad = 1, true
	reftest.Agree(t, "again, born abroad", o.hazard([]float64{0, 0.1}), 1/(1+math.Exp(4.808)), 12)
}

// Given observed history nothing hidden predicts participation, and those who start
// and those who do not are alike once weighted by the known hazard: weighting finds
// the effect that counting finds, and comparing without weights does not.
func TestParticipationIsIgnorable(t *testing.T) {
	const people = 30_000
	o := Options{People: people, Seed: 11}.withDefaults()
	s := newSimulator(o, newGeography(o.Seed))
	type visit struct {
		month   int
		h       float64
		started bool
	}
	var visits []visit
	s.observer = func(_ *observed, month int, started bool, h float64) {
		require.Less(t, h, s.bound)
		visits = append(visits, visit{month, h, started})
	}
	var score, variance, frailty, starts, expected float64 // score: Σ (D-h)·frailty
	var n, treated, waiting, weight, weighted, rest, plain float64
	for i := range people {
		visits = visits[:0]
		s.simulate(i)
		for _, v := range visits {
			d := indicator(v.started)
			score += (d - v.h) * s.d.frailty
			variance += v.h * (1 - v.h) * s.d.frailty * s.d.frailty
			starts, expected, frailty = starts+d, expected+v.h, frailty+d*s.d.frailty
			if v.month+horizon >= s.months {
				continue
			}
			y := indicator(s.fact.shown[v.month+horizon] == work)
			if v.started {
				n, treated = n+1, treated+y
				waiting += indicator(s.waiting.shown[v.month+horizon] == work)
				continue
			}
			weight, weighted = weight+v.h/(1-v.h), weighted+v.h/(1-v.h)*y
			rest, plain = rest+1, plain+y
		}
	}
	z := score / math.Sqrt(variance)
	require.Less(t, math.Abs(z), 4.0, "participation depends on the frailty beyond history: z = %.2f", z)
	require.Less(t, math.Abs(starts-expected)/math.Sqrt(expected), 4.0, "hazards add up to starts")
	require.Greater(t, frailty/starts, 0.1, "participants have a worse frailty: there is selection to remove")
	truth, byWeights, byNothing := (treated-waiting)/n, treated/n-weighted/weight, treated/n-plain/rest
	t.Logf("truth %.4f, weighted %.4f, unweighted %.4f", truth, byWeights, byNothing)
	reftest.Near(t, "weighted by the known hazard", byWeights, truth, 4*math.Sqrt(0.2/n))
	require.Greater(t, math.Abs(byNothing-truth), 0.08, "without weights the comparison is wrong")
}

// The three lives of a participant are one life until the start, and without an
// effect they stay one: the history that the hazard reads is kept up in each arm.
func TestArmsShareTheirPast(t *testing.T) {
	o := Options{People: 1, Seed: 4}.withDefaults()
	s := newSimulator(o, newGeography(o.Seed))
	seen := 0
	for i := range 4000 {
		s.simulate(i)
		if !s.hasArms {
			continue
		}
		seen++
		first := s.fact.first()
		require.Equal(t, s.fact.shown[:first], s.untreat.shown[:first])
		require.Equal(t, s.fact.shown[:first], s.waiting.shown[:first])
		require.Zero(t, s.untreat.n)
		require.True(t, s.waiting.n == 0 || s.waiting.first() > first)
		for _, a := range []*arm{&s.untreat, &s.waiting} {
			to := min(first+longHorizon+1, s.months, s.p.end)
			var want [nStates]int16
			for m := to - window - 1; m < to; m++ {
				want[a.shown[m]]++
			}
			require.Equal(t, want, a.counts, "counts of the last months")
		}
		if s.waiting.n == 0 {
			require.Equal(t, s.untreat.shown[:first+horizon+1], s.waiting.shown[:first+horizon+1])
		}
	}
	require.Greater(t, seen, 300)
}

func TestGainPeaksAndFades(t *testing.T) {
	require.Zero(t, gain(-1))
	require.Zero(t, gain(0))
	require.Greater(t, gain(9), gain(3))
	require.Greater(t, gain(10), gain(24))
	require.Greater(t, gain(24), 0.2)
}

func TestReasonsFollowTheState(t *testing.T) {
	for want, states := range map[string][]state{
		"work": {work, subsidised}, "studies": {studies}, "moved": {emigration}, "other": {death, pension, disability},
	} {
		for _, at := range states {
			require.Equal(t, want, reasonNames[reasonFor(at, 0.5)])
		}
	}
	require.Equal(t, "illness", reasonNames[reasonFor(sickness, 0.34)])
	require.Equal(t, "continued-rehab", reasonNames[reasonFor(rehab, 0.36)])
	require.Equal(t, "other", reasonNames[reasonFor(social, 0.9)])
}

// By hand: out of disability benefit lead work .0010, sickness .0012 and none .0002,
// so a man of 40 in 2012 with secondary education, born in Sweden, u = 0, county term 0
// moves with q = .0010·e^(.06-.10) + .0012 + .0002 and P = q/(1+q).
func TestMoveByHand(t *testing.T) {
	o := Options{People: 1}.withDefaults()
	g := newGeography(1)
	clear(g.jobs)
	s := newSimulator(o, g)
	s.p = person{birthYear: 1972, education: secondary, end: s.months}
	s.d.move = make([]float64, s.months)
	toWork := 0.0010 * math.Exp(0.06-0.10)
	q := toWork + 0.0012 + 0.0002
	a := &s.fact
	for _, c := range []struct {
		x    float64
		want state
	}{
		{0, work}, {toWork/(1+q) - 1e-9, work}, {toWork/(1+q) + 1e-9, sickness},
		{(toWork+0.0012)/(1+q) - 1e-9, sickness}, {(toWork+0.0012)/(1+q) + 1e-9, none},
		{q/(1+q) - 1e-9, none}, {q/(1+q) + 1e-9, disability}, {0.999, disability},
	} {
		a.latent, s.d.move[24] = disability, c.x
		require.Equal(t, c.want, s.move(a, 24), "draw %.9f", c.x)
	}
	// In the effect phase of a man under 50 with strength 1 the factors are e^.85, e^-.35 and 1.
	s.sc, _ = findScenario("finsam")
	treatments(&a.treat, &s.p, 40, 0, 1)
	a.phase = phaseEffect
	s.forget()
	q = toWork*math.Exp(0.85) + 0.0012*math.Exp(-0.35) + 0.0002
	for x, want := range map[float64]state{q/(1+q) - 1e-9: none, q/(1+q) + 1e-9: disability} {
		a.latent, s.d.move[24] = disability, x
		require.Equal(t, want, s.move(a, 24))
	}
}

func TestPhases(t *testing.T) {
	a := &arm{}
	require.Equal(t, phaseNone, a.phaseAt(50))
	a.n, a.episodes[0] = 1, episode{start: 30, end: 40}
	for month, want := range map[int]int{30: phaseLockIn, 35: phaseLockIn, 36: phaseEffect, 59: phaseEffect, 60: phaseFaded} {
		require.Equal(t, want, a.phaseAt(month), "month %d", month)
	}
	a.n, a.episodes[1] = 2, episode{start: 50, end: 60}
	require.Equal(t, phaseLockIn, a.phaseAt(52), "a second participation locks in again")
	require.Equal(t, phaseFaded, a.phaseAt(70))
}

// climb never lowers a step and never touches work; shift never changes a step.
func TestOverlays(t *testing.T) {
	for s := range state(nStates) {
		for since := -1; since < 40; since++ {
			for _, d := range []*draw{{respond: 0.1, kind: 0.1}, {respond: 0.1, kind: 0.9}, {respond: 0.99}} {
				require.GreaterOrEqual(t, steps[climb(s, since, 40, d)], steps[s])
				require.Equal(t, s == work, climb(s, since, 40, d) == work)
				require.Equal(t, steps[s], steps[shift(s, since, 40, d)])
				if d.respond > 0.9 || since < 0 {
					require.Equal(t, s, climb(s, since, 40, d))
					require.Equal(t, s, shift(s, since, 40, d))
				}
			}
		}
	}
	yes := &draw{respond: 0.1, kind: 0.1}
	require.Equal(t, []state{rehab, training, subsidised}, []state{climb(none, 0, 40, yes), climb(none, 6, 40, yes), climb(none, 15, 40, yes)})
	require.Equal(t, []state{disability, activity}, []state{shift(sickness, 3, 30, yes), shift(sickness, 3, 29, yes)})
}
