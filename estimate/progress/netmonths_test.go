package progress

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func mustFit(t testing.TB, e NetMonths, s *survive.Spells) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	return res
}

// two people an arm: c1 low 0–4; c2 low 0–2, high 2–4; t1 low 0–1, high 1–4; t2 low 0–3, high 3–4.
func twoEach() *survive.Spells {
	c := survive.Censored
	return &survive.Spells{
		Person: []int{0, 1, 1, 2, 2, 3, 3}, From: []int{1, 1, 0, 1, 0, 1, 0}, To: []int{c, 0, c, 0, c, 0, c},
		Start: []float64{0, 0, 2, 0, 1, 0, 3}, Stop: []float64{4, 2, 4, 1, 4, 3, 4},
		States: []string{"high", "low"}, ID: []string{"c1", "c2", "t1", "t2"},
		Group: []int{0, 0, 1, 1}, GroupNames: []string{"c", "t"}, Level: 0.95,
	}
}

var twoSteps = Ladder{"low": 1, "high": 2}

// By hand. P(high) is 0, ½ from 2 (comparison) and 0, ½ from 1, 1 from 3 (participants).
// Win months ½·1 + ½·½ + 1·½ = 5/4 over [1,2), [2,3), [3,4); loss months ½·½ = 1/4 over
// [2,3). Nobody is censored, so φ is (own − mean)/2 and, over persons c1, c2, t1, t2,
// win ±3/8 (c1: (¼+½)/2, t1: (½+¼)/2), net ±1/2, loss ∓1/8.
func TestNetMonthsByHand(t *testing.T) {
	res := mustFit(t, NetMonths{Ladder: twoSteps, Tau: 4, At: []float64{2, 3}, MinPerArm: 2}, twoEach())
	for q, w := range []struct {
		term      string
		measure   estimate.Measure
		value, se float64
		inf       []float64
	}{
		{"net-months", estimate.NetMonths, 1, 1, []float64{4, -4, 4, -4}},
		{"win-months", estimate.WinMonths, 1.25, 0.75, []float64{3, -3, 3, -3}},
		{"loss-months", estimate.LossMonths, 0.25, 0.25, []float64{-1, 1, -1, 1}},
		// At 2 both arms have ½ on high: win ½·½; c1 is low: ½·(1−½)/2, t1 is high: ½·(1−½)/2.
		{"time=2", estimate.WinProbability, 0.25, 0.25, []float64{1, -1, 1, -1}},
		{"time=2", estimate.LossProbability, 0.25, 0.25, []float64{-1, 1, -1, 1}},
		// At 3 all participants are high: win ½, and only the comparison persons differ.
		{"time=3", estimate.WinProbability, 0.5, math.Sqrt(2) / 4, []float64{2, -2, 0, 0}},
		{"time=3", estimate.LossProbability, 0, 0, []float64{0, 0, 0, 0}},
	} {
		e := res.Estimates[q]
		require.Equal(t, w.term, e.Term)
		require.Equal(t, w.measure, e.Measure)
		reftest.Near(t, w.term, e.Value, w.value, 1e-15)
		reftest.Near(t, w.term+" se", e.SE, w.se, 1e-15)
		for i, x := range w.inf {
			reftest.Near(t, w.term+" influence", res.Influence.At(i, q), x/8, 1e-15)
		}
	}
	require.Len(t, res.Estimates, 7)
	require.Equal(t, OrderCheck{Verdict: NotChecked, Orders: []OrderResult{{NetMonths: 1, StdError: 1}}}, res.Details["order"])
	// F1(low) − F0(low) is ½ − ½ at 2 and 0 − ½ at 3 with standard error √2/4.
	d := res.Details["dominance"].([]Dominance)
	require.False(t, d[0].Holds)
	require.True(t, d[1].Holds)
	require.False(t, d[1].Shown) // −½ + 1.645·0.354 > 0
	reftest.Agree(t, "largest", d[1].Largest, -0.5, 14)
	reftest.Agree(t, "bound", d[1].Bound, -0.5+1.6448536269514722*math.Sqrt(2)/4, 14)
	reftest.Agree(t, "p", res.Estimates[0].Test.P, math.Erfc(1/math.Sqrt2), 12)
	require.Equal(t, map[string]int{"c": 2, "t": 2}, res.Details["persons"])
}

// full draws complete histories over four states and whole or broken months.
func full(seed uint64, n int, weighted bool) *survive.Spells {
	s := &survive.Spells{States: []string{"a", "b", "c", "d"}, GroupNames: []string{"c", "t"}, Level: 0.95}
	for p := range n {
		st := num.NewStream(seed, "full", uint64(p))
		s.ID, s.Group = append(s.ID, fmt.Sprintf("p%04d", p)), append(s.Group, st.Intn(2))
		if weighted {
			s.Weight.Kind = estimate.Matching
			s.Weight.Values = append(s.Weight.Values, 0.2+st.Float())
		}
		now, start := st.Intn(4), 0.0
		for start < 12 {
			stop, to := start+float64(1+st.Intn(5)), (now+1+st.Intn(3))%4
			if seed%2 == 1 {
				stop = start + 4*st.Exp()
			}
			if stop >= 12 {
				stop, to = 12, survive.Censored
			}
			s.Person, s.From, s.To = append(s.Person, p), append(s.From, now), append(s.To, to)
			s.Start, s.Stop = append(s.Start, start), append(s.Stop, stop)
			now, start = to, stop
		}
	}
	return s
}

var tied = Ladder{"a": 2, "b": 2, "c": 1, "d": 5}

// Without censoring net months are the weighted mean over pairs of the time one is above
// the other less the time below, and the influence is its projection on each person.
func TestCompleteHistoriesArePairs(t *testing.T) {
	for seed := range uint64(4) {
		s := full(seed, 60, seed >= 2)
		res := mustFit(t, NetMonths{Ladder: tied, Tau: 11}, s)
		step := []int{2, 2, 1, 5}
		spells := make([][]int, len(s.ID))
		for r, p := range s.Person {
			spells[p] = append(spells[p], r)
		}
		w := func(p int) float64 {
			if s.Weight.Values == nil {
				return 1
			}
			return s.Weight.Values[p]
		}
		var win, loss float64
		total := [2]float64{}
		pairs := make([]float64, len(s.ID)) // of each person, against the weighted other arm
		for p := range s.ID {
			total[s.Group[p]] += w(p)
		}
		for i := range s.ID {
			for j := range s.ID {
				if s.Group[i] != 1 || s.Group[j] != 0 {
					continue
				}
				for _, a := range spells[i] {
					for _, b := range spells[j] {
						d := min(s.Stop[a], s.Stop[b], 11) - max(s.Start[a], s.Start[b])
						if d <= 0 {
							continue
						}
						sgn := 0.0
						switch x := step[s.From[a]] - step[s.From[b]]; {
						case x > 0:
							sgn = 1
							win += d * w(i) * w(j)
						case x < 0:
							sgn = -1
							loss += d * w(i) * w(j)
						}
						pairs[i] += sgn * d * w(j)
						pairs[j] += sgn * d * w(i)
					}
				}
			}
		}
		win, loss = win/total[0]/total[1], loss/total[0]/total[1]
		reftest.Agree(t, "win", res.Estimates[1].Value, win, 12)
		reftest.Agree(t, "loss", res.Estimates[2].Value, loss, 12)
		reftest.Near(t, "net", res.Estimates[0].Value, win-loss, 1e-12)
		for i := range s.ID {
			g := s.Group[i]
			want := w(i) / total[g] * (pairs[i]/total[1-g] - (win - loss))
			reftest.Near(t, "influence", res.Influence.At(i, 0), want, 1e-13)
		}
	}
}

// Two states and one way: the difference of restricted mean times, with its error.
func TestOneEventIsTheRestrictedMeanDifference(t *testing.T) {
	s := far(7, 0, 60, params{start: []float64{0, 1}, up: [3]float64{-2, 0.5, 0.4}, down: [2]float64{-40, 0}, top: 2}, nil)
	s.States = []string{"gone", "low", "high", "x", "y", "z"}
	l := Ladder{"gone": 1, "low": 1, "high": 2, "x": 1, "y": 1, "z": 1}
	res := mustFit(t, NetMonths{Ladder: l, Tau: 24}, s)
	aj, err := survive.AalenJohansen{Tau: 24}.Fit(t.Context(), s)
	require.NoError(t, err)
	for _, e := range aj.Estimates {
		if e.Term == "state=high,contrast=t-c" {
			reftest.Agree(t, "value", res.Estimates[0].Value, e.Value, 12)
			reftest.Agree(t, "se", res.Estimates[0].SE, e.SE, 12)
			require.NotZero(t, e.Value)
			return
		}
	}
	t.Fatal("no contrast")
}

func TestRelations(t *testing.T) {
	s := far(3, 1, 50, d1, nil)
	e := NetMonths{Ladder: sixSteps, Tau: 24, At: []float64{12, 24}, Workers: 1}
	base := mustFit(t, e, s)
	same := func(name string, r *estimate.Result) {
		t.Helper()
		for q := range base.Estimates {
			a, b := base.Estimates[q], r.Estimates[q]
			require.Equal(t, math.Float64bits(a.Value), math.Float64bits(b.Value), name+" "+a.Term)
			require.Equal(t, math.Float64bits(a.SE), math.Float64bits(b.SE), name+" "+a.Term)
		}
	}
	many := e
	many.Workers = 8
	same("workers", mustFit(t, many, s))
	// Only the order of the steps counts.
	points := e
	points.Ladder = Ladder{"0": -70, "1": 0, "2": 1, "3": 9, "4": 10, "5": 1000}
	same("points", mustFit(t, points, s))
	// Spells split at every month, rows backwards.
	x := *s
	x.Person, x.From, x.To, x.Start, x.Stop = nil, nil, nil, nil, nil
	for r := len(s.Person) - 1; r >= 0; r-- {
		for m := s.Stop[r]; m > s.Start[r]; m-- {
			to := s.From[r]
			if m == s.Stop[r] {
				to = s.To[r]
			}
			x.Person, x.From, x.To = append(x.Person, s.Person[r]), append(x.From, s.From[r]), append(x.To, to)
			x.Start, x.Stop = append(x.Start, m-1), append(x.Stop, m)
		}
	}
	same("splits", mustFit(t, e, &x))
	// Swapping the arms, or turning the ladder round, swaps win and loss.
	swap := e
	swap.Participants = "c"
	turn := e
	turn.Ladder = Ladder{"0": 6, "1": 5, "2": 4, "3": 3, "4": 2, "5": 1}
	for _, r := range []*estimate.Result{mustFit(t, swap, s), mustFit(t, turn, s)} {
		reftest.Agree(t, "net", r.Estimates[0].Value, -base.Estimates[0].Value, 11)
		reftest.Agree(t, "se", r.Estimates[0].SE, base.Estimates[0].SE, 11)
		for q := 1; q < 7; q += 2 {
			reftest.Agree(t, "win", r.Estimates[q].Value, base.Estimates[q+1].Value, 11)
			reftest.Agree(t, "loss", r.Estimates[q+1].SE, base.Estimates[q].SE, 11)
		}
	}
	// States in another order; merged labels within a step; time in other units.
	p := *s
	p.States = []string{"5", "4", "3", "2", "1", "0"}
	p.From, p.To = nil, nil
	half := *s
	half.Start, half.Stop = nil, nil
	for r := range s.Person {
		p.From = append(p.From, 5-s.From[r])
		to := s.To[r]
		if to != survive.Censored {
			to = 5 - to
		}
		p.To = append(p.To, to)
		half.Start, half.Stop = append(half.Start, s.Start[r]/2), append(half.Stop, s.Stop[r]/2)
	}
	short := e
	short.Tau, short.At = 12, []float64{6, 12}
	a, b := mustFit(t, e, &p), mustFit(t, short, &half)
	for q, est := range base.Estimates {
		reftest.Agree(t, "labels", a.Estimates[q].Value, est.Value, 11)
		reftest.Agree(t, "labels", a.Estimates[q].SE, est.SE, 11)
		factor := 1.0
		if q < 3 {
			factor = 2
		}
		reftest.Agree(t, "unit of time", factor*b.Estimates[q].Value, est.Value, 12)
		reftest.Agree(t, "unit of time", factor*b.Estimates[q].SE, est.SE, 12)
	}
	require.InDelta(t, base.Estimates[0].Value, base.Estimates[1].Value-base.Estimates[2].Value, 1e-12)
}

// The same people in both arms: nothing at all, under any order.
func TestNull(t *testing.T) {
	s := far(4, 0, 40, d1, nil)
	n := len(s.Person)
	for r := range n {
		s.Person = append(s.Person, s.Person[r]+80)
		s.From, s.To = append(s.From, s.From[r]), append(s.To, s.To[r])
		s.Start, s.Stop = append(s.Start, s.Start[r]), append(s.Stop, s.Stop[r])
	}
	for i := range 80 {
		s.ID = append(s.ID, "z"+s.ID[i])
		s.Group[i] = 0
		s.Group = append(s.Group, 1)
	}
	res := mustFit(t, NetMonths{Ladder: sixSteps, Tau: 24, Alternatives: map[string]Ladder{"turned": {"0": 6, "1": 5, "2": 4, "3": 3, "4": 2, "5": 1}}}, s)
	reftest.Near(t, "net", res.Estimates[0].Value, 0, 1e-13)
	require.Equal(t, Agree, res.Details["order"].(OrderCheck).Verdict)
}

func TestOrders(t *testing.T) {
	s := far(5, 0, 60, d1, nil)
	merged := Ladder{"0": 0, "1": 1, "2": 2, "3": 3, "4": 3, "5": 4}
	e := NetMonths{Ladder: sixSteps, Tau: 24, Alternatives: map[string]Ladder{"merged": merged}}
	res := mustFit(t, e, s)
	check := res.Details["order"].(OrderCheck)
	require.Equal(t, Agree, check.Verdict)
	last := res.Estimates[3]
	require.Equal(t, "net-months,order=merged", last.Term)
	direct := mustFit(t, NetMonths{Ladder: merged, Tau: 24}, s).Estimates[0]
	reftest.Agree(t, "value", last.Value, direct.Value, 13)
	reftest.Agree(t, "se", last.SE, direct.SE, 12)
	require.Equal(t, OrderResult{Name: "merged", NetMonths: last.Value, StdError: last.SE}, check.Orders[1])
	e.Alternatives["turned"] = Ladder{"0": 5, "1": 4, "2": 3, "3": 2, "4": 1, "5": 0}
	res = mustFit(t, e, s)
	require.Equal(t, Disagree, res.Details["order"].(OrderCheck).Verdict)
	require.Equal(t, "order-sensitive", res.Notes[len(res.Notes)-1].Code)
}

func TestRefusals(t *testing.T) {
	nobodyDropsOut := make([]float64, 6)
	s := far(6, 0, 15, d1, nobodyDropsOut)
	ok := NetMonths{Ladder: sixSteps, Tau: 24}
	mustFit(t, ok, s)
	fourteen := far(6, 0, 14, d1, nobodyDropsOut)
	_, err := ok.Fit(t.Context(), fourteen)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	require.ErrorContains(t, err, `"c" has 14 persons, at least 15 are needed for an effect: add persons`)
	for name, c := range map[string]struct {
		change func(e *NetMonths, s *survive.Spells)
		err    error
		text   string
	}{
		"no step":      {func(e *NetMonths, _ *survive.Spells) { e.Ladder = Ladder{"0": 0, "1": 1, "2": 2, "3": 3, "4": 4} }, estimate.ErrInvalidFrame, `1 of the 6 states of the data have no step on the ladder, which knows ["0" "1" "2" "3" "4"]`},
		"unknown step": {func(e *NetMonths, _ *survive.Spells) { e.Ladder = withStep(sixSteps, "work", 9) }, estimate.ErrInvalidFrame, `"work"`},
		"bad other":    {func(e *NetMonths, _ *survive.Spells) { e.Alternatives = map[string]Ladder{"alt": {"0": 1}} }, estimate.ErrInvalidFrame, `order "alt"`},
		"flat": {func(e *NetMonths, _ *survive.Spells) {
			e.Ladder = Ladder{"0": 1, "1": 1, "2": 1, "3": 1, "4": 1, "5": 1}
		}, estimate.ErrInvalidFrame, "one step"},
		"no horizon":     {func(e *NetMonths, _ *survive.Spells) { e.Tau = 0 }, nil, "need a horizon"},
		"beyond":         {func(e *NetMonths, _ *survive.Spells) { e.Tau = 25 }, estimate.ErrNotIdentified, "at most 24"},
		"no group":       {func(e *NetMonths, _ *survive.Spells) { e.Participants = "x" }, estimate.ErrInvalidFrame, `"x"`},
		"time twice":     {func(e *NetMonths, _ *survive.Spells) { e.At = []float64{3, 3} }, nil, "asked for once"},
		"negative least": {func(e *NetMonths, _ *survive.Spells) { e.MinPerArm = -1 }, nil, "fewest"},
		"one group":      {func(_ *NetMonths, s *survive.Spells) { s.Group, s.GroupNames = nil, nil }, estimate.ErrInvalidFrame, "two groups"},
	} {
		t.Run(name, func(t *testing.T) {
			e, x := ok, *s
			c.change(&e, &x)
			_, err := e.Fit(t.Context(), &x)
			require.ErrorContains(t, err, c.text)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
	// A time beyond follow-up does not exist, the rest stands.
	e := ok
	e.At = []float64{12, 30}
	res := mustFit(t, e, s)
	require.False(t, math.IsNaN(res.Estimates[3].SE))
	require.True(t, math.IsNaN(res.Estimates[5].Value) && math.IsNaN(res.Estimates[6].SE))
	require.Len(t, res.Details["dominance"], 1)
	_, err = json.Marshal([]any{res.Details, res.Notes})
	require.NoError(t, err)
	require.Equal(t, mustFit(t, ok, s).Estimates[0], res.Estimates[0])
}

func withStep(l Ladder, state string, step int) Ladder {
	out := Ladder{state: step}
	for s, k := range l {
		out[s] = k
	}
	return out
}

// Sets over both arms: the influences are added within a set before they are squared.
func TestSets(t *testing.T) {
	s := far(8, 0, 30, d1, nil)
	base := mustFit(t, NetMonths{Ladder: sixSteps, Tau: 24, At: []float64{12}}, s)
	for i := range s.ID {
		s.Cluster = append(s.Cluster, i%30) // person i of each arm
	}
	res := mustFit(t, NetMonths{Ladder: sixSteps, Tau: 24, At: []float64{12}}, s)
	require.Equal(t, 30, res.N.Clusters)
	for q, e := range res.Estimates {
		var v float64
		for c := range 30 {
			x := base.Influence.At(c, q) + base.Influence.At(c+30, q)
			v += x * x
		}
		reftest.Agree(t, e.Term, e.SE, math.Sqrt(v*30/29), 12)
		require.Equal(t, base.Estimates[q].Value, e.Value)
	}
}
