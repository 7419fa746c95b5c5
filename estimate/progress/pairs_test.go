package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

func pairs(arm string, outcomes ...Outcome) *PairSample {
	s := &PairSample{Outcomes: outcomes}
	s.Level = 0.95
	for i, a := range arm {
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("u%04d", i)), append(s.Treated, a == 't')
	}
	return s
}

// Two of each arm. Times: participants 4 (died) and 2 (followed to 2), comparison people 1 (died) and 3 (died); horizon 5.
// S of participants: 0 from 4 on; of comparison people ½ from 1, 0 from 3. Pairs: 4 > 1 and 4 > 3: won. 2+ against 1: won.
// 2+ against 3: given more than 2 the participant dies at 4: P(X > 3) = S(3)/S(2) = 1: won. Net benefit 1.
// With the comparison person at 3 followed to 3 and one more who died at 5: below.
func TestPrioritisedPairsByHand(t *testing.T) {
	o := Outcome{Name: "life", Value: []float64{4, 2, 1, 3}, Event: []bool{true, false, true, true}}
	r, err := PrioritisedPairs{Horizon: 5, MinPerArm: 2}.Fit(t.Context(), pairs("ttcc", o))
	require.NoError(t, err)
	require.InDelta(t, 1, r.Estimates[2].Value, 1e-12)

	// Participants 2, 6 died, 3 followed to 3; comparison people 1, 4 died, 2.5 followed to it. Curves: participants 2/3 from 2, 0 from 6;
	// comparison people 2/3 from 1, 0 from 4. Threshold 1.
	//	2 against 1: won. 2 against 4: lost. 2 against 2.5+: Y = 4 for certain: lost.
	//	6 against 1, 4: won; against 2.5+ (Y = 4): won.
	//	3+ (X = 6): against 1, 4 won; against 2.5+ (4): won.
	// 7 of 9 won, 2 lost.
	o = Outcome{Name: "life", Value: []float64{2, 6, 3, 1, 4, 2.5}, Event: []bool{true, true, false, true, true, false}, Threshold: 1}
	r, err = PrioritisedPairs{Horizon: 7, MinPerArm: 3}.Fit(t.Context(), pairs("tttccc", o))
	require.NoError(t, err)
	require.InDelta(t, 7.0/9, r.Details["win_share"], 1e-12)
	require.InDelta(t, 2.0/9, r.Details["loss_share"], 1e-12)
	require.InDelta(t, 5.0/9, r.Estimates[2].Value, 1e-12)

	// Half open: comparison people 2, 4, 5 died, one followed to 1: S ¾·… = 2/3, 1/3, 0 after 2, 4, 5 (3 at risk at 2). A participant
	// who dies at 3 against the one followed to 1: won with 1/3, lost with 2/3; the second outcome has no part, as nothing is left.
	o = Outcome{Name: "life", Value: []float64{3, 2, 4, 5, 1}, Event: []bool{true, true, true, true, false}}
	r, err = PrioritisedPairs{Horizon: 9, MinPerArm: 1}.Fit(t.Context(), pairs("tcccc", o, Outcome{Name: "health", Value: []float64{0, 9, 9, 9, 9}}))
	require.NoError(t, err)
	require.InDelta(t, (1+1.0/3)/4, r.Details["win_share"], 1e-12)
	require.InDelta(t, (2+2.0/3)/4, r.Details["loss_share"], 1e-12)
	l := r.Details["levels"].([]OutcomeLevel)
	require.InDelta(t, 0, l[1].Reached, 1e-12)

	// Up to horizon 3 it ties with whoever lives that long: with 4 and 5, and with 2/3 of the one followed to 1; there the second
	// outcome, of which less is better here, is won.
	second := Outcome{Name: "health", Value: []float64{0, 9, 9, 9, 9}, Lower: true}
	r, err = PrioritisedPairs{Horizon: 3, MinPerArm: 1}.Fit(t.Context(), pairs("tcccc", o, second))
	require.NoError(t, err)
	l = r.Details["levels"].([]OutcomeLevel)
	require.InDelta(t, (1+1.0/3)/4, l[0].Won, 1e-12)
	require.InDelta(t, 0, l[0].Lost, 1e-12)
	require.InDelta(t, (2+2.0/3)/4, l[1].Won, 1e-12)
	require.InDelta(t, 1, r.Estimates[2].Value, 1e-12)
	// An earlier event is better: the same pairs the other way round.
	o.Lower = true
	turned, err := PrioritisedPairs{Horizon: 9, MinPerArm: 1}.Fit(t.Context(), pairs("tcccc", o))
	require.NoError(t, err)
	require.InDelta(t, (2+2.0/3)/4, turned.Details["win_share"], 1e-12)
}

// randomPairs has two times, a number, ties in all of them, and people followed for less long.
func randomPairs(seed uint64, n int, weighted bool) *PairSample {
	var a string
	o := []Outcome{{Name: "life", Threshold: 1, Event: []bool{}}, {Name: "job", Event: []bool{}, Lower: true}, {Name: "health", Threshold: 2}}
	for i := range n {
		st := num.NewStream(seed, "pairs", uint64(i))
		a += string("tc"[st.Intn(2)])
		for k := range 2 {
			x, c := math.Ceil(6*st.Exp()), math.Ceil(9*st.Exp())
			o[k].Value, o[k].Event = append(o[k].Value, min(x, c, 12)), append(o[k].Event, x <= min(c, 12))
		}
		o[2].Value = append(o[2].Value, float64(st.Intn(5)))
	}
	s := pairs(a, o...)
	if weighted {
		s.Weight.Kind = estimate.Matching
		for i := range n {
			s.Weight.Values = append(s.Weight.Values, .5+num.NewStream(seed, "w", uint64(i)).Float())
		}
	}
	return s
}

// The influence function is the derivative of the estimate by the weight of a person, curves included.
func TestPrioritisedPairsInfluence(t *testing.T) {
	for _, e := range []PrioritisedPairs{{Horizon: 8, MinPerArm: 2}, {Horizon: math.Inf(1), MinPerArm: 2}} {
		for seed := range uint64(3) {
			s := randomPairs(seed, 40, true)
			r, err := e.Fit(t.Context(), s)
			require.NoError(t, err)
			for i := range s.Unit {
				const h = 1e-5
				w := s.Weight.Values[i]
				at := func(v float64) *estimate.Result {
					s.Weight.Values[i] = v
					x, err := e.Fit(t.Context(), s)
					require.NoError(t, err)
					return x
				}
				up, down := at(w+h), at(w-h)
				s.Weight.Values[i] = w
				for k := range r.Estimates {
					d := (up.Estimates[k].Value - down.Estimates[k].Value) / (2 * h) * w
					require.InDelta(t, d, r.Influence.At(i, k), 2e-8, "person %d, %s", i, r.Estimates[k].Measure)
				}
			}
		}
	}
}

// Without an unfinished time, and with one outcome, it is Wins, but for its factor n/(n − 1).
func TestPrioritisedPairsAreWins(t *testing.T) {
	s := randomPairs(9, 60, false)
	steps := &Steps{Frame: estimate.Frame{Unit: s.Unit, Y: s.Outcomes[2].Value, Treated: s.Treated, Level: 0.95}}
	w, err := Wins{}.Fit(t.Context(), steps)
	require.NoError(t, err)
	s.Outcomes = s.Outcomes[2:]
	s.Outcomes[0].Threshold = 0
	r, err := PrioritisedPairs{}.Fit(t.Context(), s)
	require.NoError(t, err)
	for k, e := range r.Estimates {
		require.InDelta(t, w.Estimates[k].Value, e.Value, 1e-12)
		require.Equal(t, w.Estimates[k].Measure, e.Measure)
	}
	require.InDelta(t, w.Details["std_error_divisor_n"].(float64), r.Estimates[0].SE, 1e-12)
}

func TestPrioritisedPairsRelations(t *testing.T) {
	s := randomPairs(4, 50, true)
	e := PrioritisedPairs{Horizon: 10, MinPerArm: 2, Workers: 1}
	base, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	turned := &PairSample{}
	turned.Level, turned.Weight.Kind = s.Level, s.Weight.Kind
	for _, o := range s.Outcomes {
		turned.Outcomes = append(turned.Outcomes, Outcome{Name: o.Name, Threshold: o.Threshold, Lower: o.Lower})
	}
	for i := range s.Unit {
		k := (i*7 + 3) % len(s.Unit)
		turned.Unit, turned.Treated, turned.Weight.Values = append(turned.Unit, s.Unit[k]), append(turned.Treated, s.Treated[k]), append(turned.Weight.Values, s.Weight.Values[k])
		for q, o := range s.Outcomes {
			turned.Outcomes[q].Value = append(turned.Outcomes[q].Value, o.Value[k])
			if o.Event != nil {
				turned.Outcomes[q].Event = append(turned.Outcomes[q].Event, o.Event[k])
			}
		}
	}
	e.Workers = 8
	again, err := e.Fit(t.Context(), turned)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	for i := range s.Treated {
		s.Treated[i] = !s.Treated[i]
	}
	swapped, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.InDelta(t, -base.Estimates[2].Value, swapped.Estimates[2].Value, 1e-12)
	require.InDelta(t, base.Estimates[2].SE, swapped.Estimates[2].SE, 1e-12)
}

// A time of 0 is a time like any other: everything a month later, the horizon too, changes nothing. (BuyseTest 3.3.3 stops at events at 0.)
func TestPrioritisedPairsFromTimeZero(t *testing.T) {
	at := func(shift float64) *estimate.Result {
		s := randomPairs(11, 80, false)
		for k := range 2 {
			for i := range s.Outcomes[k].Value {
				s.Outcomes[k].Value[i] += shift - 1
			}
		}
		r, err := PrioritisedPairs{Horizon: 7 + shift}.Fit(t.Context(), s)
		require.NoError(t, err)
		return r
	}
	zero, one := at(0), at(1)
	seen := false
	for i, v := range randomPairs(11, 80, false).Outcomes[0].Value {
		seen = seen || v == 1 && randomPairs(11, 80, false).Outcomes[0].Event[i]
	}
	require.True(t, seen, "somebody has the event at 0")
	for k, e := range one.Estimates {
		require.InDelta(t, e.Value, zero.Estimates[k].Value, 1e-12)
		require.InDelta(t, e.SE, zero.Estimates[k].SE, 1e-12)
	}
}

func TestPrioritisedPairsRefusals(t *testing.T) {
	fit := func(change func(s *PairSample, e *PrioritisedPairs)) error {
		s, e := randomPairs(1, 60, false), PrioritisedPairs{Horizon: 8}
		change(s, &e)
		_, err := e.Fit(t.Context(), s)
		return err
	}
	require.NoError(t, fit(func(*PairSample, *PrioritisedPairs) {}))
	for what, change := range map[string]func(s *PairSample, e *PrioritisedPairs){
		"no horizon":   func(_ *PairSample, e *PrioritisedPairs) { e.Horizon = 0 },
		"horizon":      func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes = s.Outcomes[2:] },
		"missing":      func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes[2].Value[3] = math.NaN() },
		"negative":     func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes[0].Value[3] = -1 },
		"threshold":    func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes[2].Threshold = -1 },
		"twice":        func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes[1].Name = "life" },
		"no outcomes":  func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes = nil },
		"short":        func(s *PairSample, _ *PrioritisedPairs) { s.Outcomes[1].Value = s.Outcomes[1].Value[1:] },
		"fewest below": func(_ *PairSample, e *PrioritisedPairs) { e.MinPerArm = -1 },
	} {
		require.ErrorIs(t, fit(change), estimate.ErrInvalidFrame, what)
	}
	require.ErrorIs(t, fit(func(_ *PairSample, e *PrioritisedPairs) { e.MinPerArm = 40 }), estimate.ErrTooFew)
	require.ErrorIs(t, fit(func(_ *PairSample, e *PrioritisedPairs) { e.Horizon = 13 }), estimate.ErrNotIdentified)
	require.ErrorIs(t, fit(func(s *PairSample, _ *PrioritisedPairs) { s.Treated = nil }), estimate.ErrNoTreated)
	require.ErrorIs(t, fit(func(s *PairSample, _ *PrioritisedPairs) {
		s.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, len(s.Unit))}
	}), estimate.ErrWeights)
	s := randomPairs(1, 60, false)
	r, err := PrioritisedPairs{Horizon: math.Inf(1)}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, noteCodes(r.Notes), "horizon-open")
}

// d16 is design D16: participants live longer (rates .2 and .3) and have more trouble (.6 and .3); followed for an exponential
// time at the given rate.
func d16(rep uint64, n int, rate float64) *PairSample {
	life, trouble := Outcome{Name: "life", Event: []bool{}}, Outcome{Name: "trouble", Lower: true}
	var arm string
	for i := range 2 * n {
		st := num.NewStream(16, "d16", rep<<32|uint64(i))
		hazard, share, a := .2, .6, "t"
		if i >= n {
			hazard, share, a = .3, .3, "c"
		}
		x, c := st.Exp()/hazard, math.Inf(1)
		if rate > 0 {
			c = st.Exp() / rate
		}
		arm += a
		life.Value, life.Event = append(life.Value, min(x, c)), append(life.Event, x <= c)
		v := 0.0
		if st.Bernoulli(share) {
			v = 1
		}
		trouble.Value = append(trouble.Value, v)
	}
	return pairs(arm, life, trouble)
}

// Gehan's scoring decides a pair only if the one who is ahead saw the other's event.
func gehan(s *PairSample, horizon float64) float64 {
	var sum, count float64
	for i, a := range s.Treated {
		for j, b := range s.Treated {
			if !a || b {
				continue
			}
			x, dx, y, dy := s.Outcomes[0].Value[i], s.Outcomes[0].Event[i], s.Outcomes[0].Value[j], s.Outcomes[0].Event[j]
			count++
			switch {
			case dy && y < x && y < horizon:
				sum++
			case dx && x < y && x < horizon:
				sum--
			default:
				sum += s.Outcomes[1].Value[j] - s.Outcomes[1].Value[i]
			}
		}
	}
	return sum / count
}

// D16: one truth, only follow-up differs: .6(1 − e^−1.5) − .4(1 − e^−1.5) − .3·e^−1.5 = .0884 up to horizon 3. Gehan's scoring turns its
// sign; Péron's stays, and its intervals cover.
func TestD16OpposingEffects(t *testing.T) {
	all := 200 * sim.Factor
	if testing.Short() {
		all = 20
	}
	e15 := math.Exp(-1.5)
	truth := .2*(1-e15) - .3*e15
	for _, rate := range []float64{0, .15, .5, 1} {
		reps, n := all, 150
		if rate == 1 { // few are followed to the horizon
			reps, n = 12, 500
		}
		var mean, square, se, covered, naive float64
		for rep := range reps {
			s := d16(uint64(rep), n, rate)
			r, err := PrioritisedPairs{Horizon: 3}.Fit(t.Context(), s)
			require.NoError(t, err)
			b := r.Estimates[2]
			mean, square, se = mean+b.Value/float64(reps), square+b.Value*b.Value/float64(reps), se+b.SE/float64(reps)
			if b.CI.Lo <= truth && truth <= b.CI.Hi {
				covered++
			}
			if rep < 10 {
				naive += gehan(s, 3) / 10
			}
		}
		sd := math.Sqrt(square - mean*mean)
		t.Logf("censoring %.2f: Péron %.4f (truth %.4f), SD %.4f, mean SE %.4f, coverage %.3f; Gehan %.3f", rate, mean, truth, sd, se, covered/float64(reps), naive)
		require.InDelta(t, truth, mean, 3.5*sd/math.Sqrt(float64(reps))+.004)
		if rate >= .5 {
			require.Less(t, naive, -.05, "Gehan's sign has turned")
		}
		if reps >= 200 {
			require.InDelta(t, .95, covered/float64(reps), 2.6*math.Sqrt(.95*.05/float64(reps)))
			require.InEpsilon(t, sd, se, .15)
		}
	}
}
