package survive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// intervals are n copies of from → to over gap, each of a person of its own.
func (p *PanelIntervals) intervals(n int, from, to string, gap float64) {
	for range n {
		p.Person = append(p.Person, fmt.Sprintf("p%05d", len(p.Person)))
		p.From, p.To, p.Start, p.Stop = append(p.From, from), append(p.To, to), append(p.Start, 1), append(p.Stop, 1+gap)
	}
}

// Two states seen at a distance of 1: P_AB = q_AB/S·(1-e^{-S}), S = q_AB + q_BA, is the share
// 12/40 and P_BA 10/50, so that S = -log(1-.3-.2) = log 2, q_AB = .6·log 2, q_BA = .4·log 2. With
// a = P_AB, b = P_BA independent shares: dS = (da+db)/(1-a-b), q_AB = S·a/(a+b).
func TestPanelMarkovTwoStatesByHand(t *testing.T) {
	p := &PanelIntervals{Level: 0.95}
	p.intervals(28, "A", "A", 1)
	p.intervals(12, "A", "B", 1)
	p.intervals(40, "B", "B", 1)
	p.intervals(10, "B", "A", 1)
	r, err := PanelMarkov{At: []float64{1, 3}, Tau: 2}.Fit(t.Context(), p)
	require.NoError(t, err)
	S := math.Ln2
	require.InDelta(t, .6*S, r.Estimates[0].Value, 1e-12)
	require.InDelta(t, .4*S, r.Estimates[1].Value, 1e-12)
	va, vb := .3*.7/40, .2*.8/50
	da, db := 2*.6+S*.4/.5, 2*.6-S*.6/.5
	require.InEpsilon(t, math.Sqrt(da*da*va+db*db*vb), r.Estimates[0].SE, 1e-9)
	require.Equal(t, "from=A,to=B", r.Estimates[0].Term)
	require.InDelta(t, 1/(.6*S), r.Estimates[2].Value, 1e-12)
	require.InEpsilon(t, r.Estimates[0].SE/math.Pow(.6*S, 2), r.Estimates[2].SE, 1e-12)
	require.InEpsilon(t, .6*S*math.Exp(1.959963984540054*r.Estimates[0].SE/(.6*S)), r.Estimates[0].CI.Hi, 1e-9)
	// time=1: the shares and their errors; time=3: .6(1-2^{-3}).
	byTerm := map[string]estimate.Estimate{}
	for _, e := range r.Estimates {
		byTerm[e.Term+" "+string(e.Measure)] = e
	}
	ab := byTerm["time=1,from=A,state=B transition-probability"]
	require.InDelta(t, .3, ab.Value, 1e-12)
	require.InEpsilon(t, math.Sqrt(va), ab.SE, 1e-9)
	require.InDelta(t, .6*7/8, byTerm["time=3,from=A,state=B transition-probability"].Value, 1e-12)
	// ∫_0^2 .6(1-2^{-u})du = .6(2 - (1-¼)/log 2); all of the time is spent somewhere.
	require.InDelta(t, .6*(2-.75/S), byTerm["from=A,state=B restricted-mean-time"].Value, 1e-12)
	require.InDelta(t, 2, byTerm["from=A,state=B restricted-mean-time"].Value+byTerm["from=A,state=A restricted-mean-time"].Value, 1e-12)
	require.InDelta(t, -2*(12*math.Log(.3)+28*math.Log(.7)+10*math.Log(.2)+40*math.Log(.8)), r.Details["minus2loglik"], 1e-10)
	require.Equal(t, 22, r.N.Events)
	// Visits taken for the times of change would say .3 and .2.
	require.Greater(t, r.Estimates[0].Value, .35)
}

// Deaths at exact times: deaths over time, with error q/√d. Seen at visits only, the same data
// say that death came some time before, so that the rate is higher.
func TestPanelMarkovExactDeathByHand(t *testing.T) {
	p := &PanelIntervals{Level: 0.95}
	p.intervals(5, "alive", "dead", 2)
	p.intervals(4, "alive", "dead", 0.5)
	p.intervals(20, "alive", "alive", 4)
	p.intervals(3, "dead", "dead", 1)
	r, err := PanelMarkov{ExactDeath: "dead"}.Fit(t.Context(), p)
	require.NoError(t, err)
	q := 9 / (5*2 + 4*.5 + 20*4)
	require.InEpsilon(t, q, r.Estimates[0].Value, 1e-10)
	require.InEpsilon(t, q/3, r.Estimates[0].SE, 1e-8)
	visits, err := PanelMarkov{}.Fit(t.Context(), p)
	require.NoError(t, err)
	require.Greater(t, visits.Estimates[0].Value, q)
}

// exp and its derivatives against differences, where eigenvalues are equal (a chain with one
// rate) and complex (a circle); small and large times.
func TestPanelExpDerivatives(t *testing.T) {
	for name, pairs := range map[string][][2]int{"chain": {{0, 1}, {1, 2}}, "circle": {{0, 1}, {1, 2}, {2, 0}}} {
		for _, time := range []float64{1e-3, 1, 40} {
			q := []float64{.5, .5, .5}[:len(pairs)]
			m := &panelModel{pairs: pairs, states: []string{"a", "b", "c"}}
			at := func(q []float64, order int) *panelExp {
				x := newPanelExp(3, pairs, order)
				x.eval(m.generator(q, 3), time)
				return x
			}
			x := at(q, 2)
			for i := range 3 {
				require.InDelta(t, 1, x.p[3*i]+x.p[3*i+1]+x.p[3*i+2], 1e-14)
			}
			if name == "chain" { // a gamma time: e^{-qt}, qt·e^{-qt}
				require.InEpsilon(t, math.Exp(-.5*time), x.p[0], 1e-13)
				require.InEpsilon(t, .5*time*math.Exp(-.5*time), x.p[1], 1e-13)
			}
			h := 1e-5 / max(1, time/10)
			k := 0
			for a := range pairs {
				up, down := slices.Clone(q), slices.Clone(q)
				up[a], down[a] = q[a]+h, q[a]-h
				hi, lo := at(up, 1), at(down, 1)
				for c := range x.p {
					require.InDelta(t, (hi.p[c]-lo.p[c])/(2*h), x.d[a][c], 1e-7*max(1, time))
				}
				for b := a; b < len(pairs); b++ {
					for c := range x.p {
						require.InDelta(t, (hi.d[b][c]-lo.d[b][c])/(2*h), x.dd[k][c], 1e-6*max(1, time*time))
					}
					k++
				}
			}
		}
	}
}

// illness are n persons of a reversible illness-death process, seen at times 0, 1, … and at death.
func illness(seed, rep uint64, n, visits int) *PanelIntervals {
	rate := [2][3]float64{{0, .4, .05}, {.3, 0, .2}}
	var person, state []string
	var time []float64
	for i := range n {
		st := num.NewStream(seed, "illness", rep<<32|uint64(i))
		now, at, next := 0.0, 0, 0
		see := func(s int, when float64) {
			person, state, time = append(person, fmt.Sprintf("p%05d", i)), append(state, []string{"well", "ill", "dead"}[s]), append(time, when)
		}
		for {
			total := rate[at][0] + rate[at][1] + rate[at][2]
			leave := now + st.Exp()/total
			for next < visits && float64(next) < leave {
				see(at, float64(next))
				next++
			}
			if next == visits {
				break
			}
			now = leave
			if st.Float()*total < rate[at][2] {
				see(2, now)
				break
			}
			at = 1 - at
		}
	}
	p, err := PanelVisits(person, state, time, 0.95)
	if err != nil {
		panic(err)
	}
	return p
}

var illnessMoves = [][2]string{{"well", "ill"}, {"well", "dead"}, {"ill", "well"}, {"ill", "dead"}}

func TestPanelMarkovCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("long simulation")
	}
	truth := map[string]float64{"from=well,to=ill": .4, "from=well,to=dead": .05, "from=ill,to=well": .3, "from=ill,to=dead": .2, "state=well": 1 / .45, "state=ill": 2}
	covered, refused := map[string]int{}, 0
	const reps = 400 * sim.Factor
	for rep := range reps {
		r, err := PanelMarkov{Transitions: illnessMoves, ExactDeath: "dead"}.Fit(t.Context(), illness(1, uint64(rep), 250, 5))
		if errors.Is(err, estimate.ErrNotIdentified) { // nobody died of the well, once in thousands of samples
			refused++
			continue
		}
		require.NoError(t, err)
		for _, e := range r.Estimates {
			if e.CI.Lo <= truth[e.Term] && truth[e.Term] <= e.CI.Hi {
				covered[e.Term]++
			}
		}
	}
	require.LessOrEqual(t, refused, reps/400)
	for term := range truth {
		sim.Share(t, "panel-observed Markov, "+term, float64(covered[term])/float64(reps-refused), reps-refused)
		require.InDelta(t, .95, float64(covered[term])/float64(reps-refused), .0359, term)
	}
}

func TestPanelMarkovRelations(t *testing.T) {
	e := PanelMarkov{Transitions: illnessMoves, ExactDeath: "dead", At: []float64{2}, Tau: 5}
	fit := func(e PanelMarkov, p *PanelIntervals) *estimate.Result {
		t.Helper()
		r, err := e.Fit(t.Context(), p)
		require.NoError(t, err)
		return r
	}
	p := illness(2, 0, 150, 6)
	base := fit(e, p)
	n := len(p.Person)
	turned := &PanelIntervals{Level: p.Level}
	for k := range n {
		i := (k*101 + 5) % n
		turned.Person, turned.From, turned.To = append(turned.Person, p.Person[i]), append(turned.From, p.From[i]), append(turned.To, p.To[i])
		turned.Start, turned.Stop = append(turned.Start, p.Start[i]), append(turned.Stop, p.Stop[i])
	}
	turned.single = p.single
	one := e
	one.Workers = 1
	again := fit(one, turned)
	same := func(a, b *estimate.Result) { // to the last digit; NaN is NaN
		t.Helper()
		require.Equal(t, fmt.Sprintf("%x", a.Estimates), fmt.Sprintf("%x", b.Estimates))
	}
	same(base, again)
	require.Equal(t, base.Influence, again.Influence)
	// Another unit of time: intensities per year instead of month.
	for i := range turned.Start {
		turned.Start[i], turned.Stop[i] = turned.Start[i]/12, turned.Stop[i]/12
	}
	yearly := fit(PanelMarkov{Transitions: illnessMoves, ExactDeath: "dead", At: []float64{2.0 / 12}, Tau: 5.0 / 12}, turned)
	for k, est := range base.Estimates {
		factor := 1.0
		switch est.Measure {
		case Intensity:
			factor = 12
		case MeanSojournTime, estimate.RestrictedMeanTime:
			factor = 1.0 / 12
		}
		require.InDelta(t, est.Value*factor, yearly.Estimates[k].Value, 1e-8*factor)
		require.InDelta(t, est.SE*factor, yearly.Estimates[k].SE, 1e-6*factor)
	}
	// Everybody twice: errors by √2 smaller.
	double := &PanelIntervals{Level: p.Level}
	for k := range 2 {
		for i := range n {
			double.Person, double.From, double.To = append(double.Person, fmt.Sprint(p.Person[i], "-", k)), append(double.From, p.From[i]), append(double.To, p.To[i])
			double.Start, double.Stop = append(double.Start, p.Start[i]), append(double.Stop, p.Stop[i])
		}
	}
	for k, est := range fit(e, double).Estimates {
		require.InDelta(t, base.Estimates[k].Value, est.Value, 1e-8)
		require.InDelta(t, base.Estimates[k].SE/math.Sqrt2, est.SE, 1e-8)
	}
	// Scores are 0 in sum at the maximum, and the sandwich is near the errors.
	for k, est := range base.Estimates {
		sum, square := 0.0, 0.0
		for i := range base.InfluenceUnit {
			v := base.Influence.At(i, k)
			sum, square = sum+v, square+v*v
		}
		require.InDelta(t, 0, sum, 1e-6*max(1e-3, est.SE))
		if est.SE > 0 {
			require.InEpsilon(t, est.SE, math.Sqrt(square), .35, est.Term)
		}
	}
	// Options matter: exact death, the list of transitions.
	blunt := e
	blunt.ExactDeath = ""
	require.NotEqual(t, base.Estimates[0].Value, fit(blunt, p).Estimates[0].Value)
	less := e
	less.Transitions = append(slices.Clone(illnessMoves[:1]), illnessMoves[2:]...)
	require.Greater(t, base.Details["loglik"], fit(less, p).Details["loglik"])
	all := e
	all.Transitions = nil
	same(base, fit(all, p)) // every pair that is seen
	var codes []string
	for _, note := range base.Notes {
		codes = append(codes, note.Code)
	}
	require.Contains(t, codes, "panel-markov-assumed")
}

func TestPanelMarkovBad(t *testing.T) {
	rows := func(build func(p *PanelIntervals)) *PanelIntervals {
		p := &PanelIntervals{Level: 0.95}
		build(p)
		return p
	}
	usual := func(p *PanelIntervals) {
		p.intervals(30, "A", "A", 1)
		p.intervals(10, "A", "B", 1)
		p.intervals(30, "B", "B", 1)
		p.intervals(10, "B", "C", 1)
	}
	for name, c := range map[string]struct {
		e    PanelMarkov
		p    *PanelIntervals
		is   error
		says string
	}{
		"nobody":        {p: rows(func(*PanelIntervals) {}), is: estimate.ErrInvalidFrame},
		"one state":     {p: rows(func(p *PanelIntervals) { p.intervals(5, "A", "A", 1) }), is: estimate.ErrNotIdentified},
		"time":          {e: PanelMarkov{At: []float64{0}}, p: rows(usual), says: "above 0"},
		"tau":           {e: PanelMarkov{Tau: -1}, p: rows(usual), says: "tau"},
		"unknown state": {e: PanelMarkov{Transitions: [][2]string{{"A", "Z"}}}, p: rows(usual), is: estimate.ErrNotIdentified, says: "A to Z"},
		"unknown death": {e: PanelMarkov{ExactDeath: "Z"}, p: rows(usual), is: estimate.ErrNotIdentified, says: `"Z"`},
		"no way":        {e: PanelMarkov{Transitions: [][2]string{{"A", "B"}}}, p: rows(usual), is: estimate.ErrNotIdentified, says: "B and next in C"},
		"from the end":  {e: PanelMarkov{Transitions: [][2]string{{"A", "B"}, {"B", "C"}, {"C", "A"}}}, p: rows(usual), is: estimate.ErrNotIdentified, says: "C to A"},
		"from death":    {e: PanelMarkov{ExactDeath: "C", Transitions: [][2]string{{"A", "B"}, {"B", "C"}, {"C", "A"}}}, p: rows(usual), is: estimate.ErrInvalidFrame, says: "C to A"},
		"twice":         {e: PanelMarkov{Transitions: [][2]string{{"A", "B"}, {"B", "C"}, {"A", "B"}}}, p: rows(usual), is: estimate.ErrInvalidFrame, says: "twice"},
		"itself":        {e: PanelMarkov{Transitions: [][2]string{{"A", "A"}}}, p: rows(usual), is: estimate.ErrInvalidFrame, says: "no move"},
		// Nobody goes from A to C within a unit, so that A to C at once has no place.
		"never at once": {e: PanelMarkov{Transitions: [][2]string{{"A", "B"}, {"B", "C"}, {"A", "C"}}}, p: rows(usual), is: estimate.ErrNotIdentified, says: "A to C runs to 0"},
		// Half change at each visit: P = ½ only in the limit of infinite rates.
		"too fast": {p: rows(func(p *PanelIntervals) {
			p.intervals(10, "A", "A", 1)
			p.intervals(12, "A", "B", 1)
			p.intervals(10, "B", "B", 1)
			p.intervals(12, "B", "A", 1)
		}), is: estimate.ErrNotIdentified, says: "A"},
		"after death": {e: PanelMarkov{ExactDeath: "B"}, p: rows(usual), is: ErrAfterDeath},
		"backwards": {p: rows(func(p *PanelIntervals) {
			usual(p)
			p.Stop[3] = 0
		}), says: "start < stop"},
		"overlap": {p: rows(func(p *PanelIntervals) {
			usual(p)
			p.Person[1], p.Start[1], p.Stop[1] = p.Person[0], 1.5, 3
		}), is: ErrOverlap},
		"splice": {p: rows(func(p *PanelIntervals) {
			usual(p)
			p.Person[1], p.Start[1], p.Stop[1], p.From[1] = p.Person[0], 2, 3, "B"
		}), is: ErrSplice},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.e.Fit(t.Context(), c.p)
			require.Error(t, err)
			require.Nil(t, r)
			require.ErrorContains(t, err, c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
	_, err := PanelVisits([]string{"a", "a"}, []string{"x", "y"}, []float64{1, 1}, .95)
	require.ErrorIs(t, err, ErrVisitTwice)
	_, err = PanelVisits([]string{"a", "a"}, []string{"x", "y"}, []float64{1, math.NaN()}, .95)
	require.ErrorIs(t, err, ErrTimes)
	// Ends that are not seen, and persons seen once, are counted.
	p, err := PanelVisits([]string{"a", "b", "b", "c", "c"}, []string{"x", "x", "y", "x", "x"}, []float64{0, 0, 1, 0, 1}, .95)
	require.NoError(t, err)
	p.intervals(1, "x", "cens", 1)
	r, err := PanelMarkov{}.Fit(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, "intervals-unseen", r.Notes[0].Code)
	require.Equal(t, map[string]any{"persons": 1}, r.Notes[1].Args)
	require.InDelta(t, math.Ln2, r.Estimates[0].Value, 1e-10)
	require.Equal(t, 2, r.N.Units)
}

// 5,000 persons, 8 monthly visits, exact deaths: about 3,000 lengths of interval.
func BenchmarkPanelMarkov(b *testing.B) {
	p := illness(3, 0, 5000, 8)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (PanelMarkov{Transitions: illnessMoves, ExactDeath: "dead"}).Fit(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
}
