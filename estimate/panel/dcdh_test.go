package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// switched is a panel of outcomes with a treatment path for each unit, periods from first on.
func switched(first int, d, y [][]float64) (*Frame, []float64) {
	f, treatment := &Frame{Level: 0.95}, []float64(nil)
	for u := range y {
		for t := range y[u] {
			f.Unit = append(f.Unit, fmt.Sprintf("%c", 'a'+u))
			f.Time = append(f.Time, first+t)
			f.Y = append(f.Y, y[u][t])
			treatment = append(treatment, d[u][t])
		}
	}
	return f, treatment
}

// By hand, on the panel of TestEventStudiesByHand: a and b enter in 2 and 3, c and d never, y = (0,2,6), (1,1,2), (0,1,1), (0,1,3).
// Event 0: a changes by 2, b, c and d by 0, 1 and 1: 4/3; b by 1, c and d by 0 and 2: 0. Mean 2/3. Event 1: 6 - (1 + 3)/2 = 4. Event -2: b by 0
// from 2 to 1, c and d by -1: 1. Overall (4/3 + 0 + 4)/3.
// Error of event 0: a and b are alone, so counted from the mean of all: a 2 - (2 + 0 + 1 + 1)/4 = 1, b 1 - (1 + 0 + 2)/3 = 0; controls of a: b, c, d 2/3, -1/3, -1/3 over 3 times
// √(3/2); of b: c, d 1, -1 over 2 times √2. Halved: a 1/2, b √(3/2)/9, c and d -√(3/2)/18 ± √2/4.
// DID_M: period 2: a against b, c, d 4/3; period 3: b against c, d 0, a against nobody: 2/3. Placebo: b from 1 to 2: 0 - 1.
func TestIntertemporalByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	res := mustStudy(t, Intertemporal{}, f)
	got := byTerm(res)
	require.Len(t, got, 5)
	for term, want := range map[string]float64{"event=-2": 1, "event=-1": 0, "event=0": 2.0 / 3, "event=1": 4, Overall: 16.0 / 9} {
		reftest.Near(t, term, got[term].Value, want, 1e-13)
	}
	require.False(t, got["event=-1"].HasSE())
	r := math.Sqrt(1.5)
	want := 0.25 + r*r/81 + math.Pow(-r/18+math.Sqrt2/4, 2) + math.Pow(-r/18-math.Sqrt2/4, 2)
	reftest.Agree(t, "error", got["event=0"].SE, math.Sqrt(want), 12)
	require.True(t, hasNote(res, "switchers-alone"))
	m := res.Details["did_m"].(map[string]any)
	require.InDelta(t, 2.0/3, m["estimate"], 1e-13)
	require.InDelta(t, -1, m["placebo"].(map[string]any)["estimate"], 1e-13)
	// The same by treatment; periods from -1 on, so that b changes in period 1 and a in 0.
	g, d := switched(-1, [][]float64{{0, 1, 1}, {0, 0, 1}, {0, 0, 0}, {0, 0, 0}}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	again := mustStudy(t, Intertemporal{Treatment: d}, g)
	require.Equal(t, fmt.Sprint(res.Estimates), fmt.Sprint(again.Estimates))
	require.Equal(t, 2, again.N.Treated)
}

// By hand: a leaves in 3 and comes back in 4; b, c stay treated; d enters in 3 and leaves in 4; e, f are never treated.
// Event 0: a changes by -5, b and c by 1 and 3: S·(-5 - 2) = 7. d by 4, e and f by 0 and 0: 4. Mean 11/2. Event 1: a by 1, b and c by 2 and 4:
// -(1 - 3) = 2; d by 1: 1; mean 3/2. Overall (7 + 4 + 2 + 1) over treatment 1 + 1 + 0 + 0 = 14/2: per unit and period of a changed treatment.
// Normalised: event 1 has had one unit of treatment: 3/2; DID_M: period 3 7 and 4; period 4: a joins from 0 against e, f: 6 - 0; d leaves against b, c:
// -(-3 - 1) = 4: mean of four.
func TestIntertemporalOnAndOffByHand(t *testing.T) {
	f, d := switched(1,
		[][]float64{{1, 1, 0, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {0, 0, 1, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}},
		[][]float64{{8, 9, 4, 10}, {5, 5, 6, 7}, {5, 6, 9, 10}, {1, 0, 4, 1}, {2, 2, 2, 2}, {7, 7, 7, 7}})
	res := mustStudy(t, Intertemporal{Treatment: d}, f)
	got := byTerm(res)
	reftest.Agree(t, "event 0", got["event=0"].Value, 5.5, 13)
	reftest.Agree(t, "event 1", got["event=1"].Value, 1.5, 13)
	reftest.Agree(t, "overall", got[Overall].Value, 7, 13)
	n := res.Details["normalised"].([]map[string]any)
	require.InDelta(t, 5.5, n[0]["estimate"], 1e-13)
	require.InDelta(t, 1.5, n[1]["estimate"], 1e-13)
	require.InDelta(t, 1.0, n[1]["treatment"], 1e-13)
	require.InDelta(t, (7+4+6+4)/4.0, res.Details["did_m"].(map[string]any)["estimate"], 1e-13)
	// A size: d gets 2 units and then 4: per unit 1/2, and cumulated 6 over two periods.
	for i := range d {
		if f.Unit[i] == "d" {
			d[i] = []float64{0, 0, 2, 4}[f.Time[i]-1]
		}
	}
	res = mustStudy(t, Intertemporal{Treatment: d[12:]}, f.where(func(i int) bool { return f.Unit[i] > "c" }))
	reftest.Agree(t, "overall", byTerm(res)[Overall].Value, (4+1)/6.0, 13)
	n = res.Details["normalised"].([]map[string]any)
	require.InDelta(t, 6.0, n[1]["treatment"], 1e-13)
	// One that goes below its first treatment after it was above counts until then.
	d[15] = -1
	res, err := Intertemporal{Treatment: d[12:]}.Fit(t.Context(), f.where(func(i int) bool { return f.Unit[i] > "c" }))
	require.NoError(t, err)
	require.Len(t, res.Estimates, 4) // events -2, -1, 0, overall
}

// Who is under a number: of the panel by hand a and b at event 0, against 3 and 2 units. A unit that goes up and one that goes down in the same period
// are each alone, however many events they have, and the note says so once.
func TestIntertemporalCounts(t *testing.T) {
	res := mustStudy(t, Intertemporal{}, rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}}))
	want := []map[string]any{{"term": "event=-2", "switchers": 1, "stayers": 2, "typical": 2.0}, {"term": "event=0", "switchers": 2, "stayers": 2, "typical": 2.5},
		{"term": "event=1", "switchers": 1, "stayers": 2, "typical": 2.0}, {"term": Overall, "switchers": 2, "stayers": 2, "typical": 7.0 / 3}}
	require.Equal(t, want, res.Details["compared"])
	f, d := switched(1, [][]float64{{0, 1, 1}, {0, -1, -1}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}, [][]float64{{0, 2, 3}, {1, 0, 0}, {0, 1, 2}, {1, 1, 1}, {2, 1, 0}})
	res = mustStudy(t, Intertemporal{Treatment: d}, f)
	said := 0
	for _, n := range res.Notes {
		if n.Code == "switchers-alone" {
			require.Equal(t, 2, n.Args["units"])
			said++
		}
	}
	require.Equal(t, 1, said)
}

// Absorbing treatment: events from 0 on are ATT(g,t) against those not yet treated, with weights, anticipation and clusters.
func TestIntertemporalIsGroupTime(t *testing.T) {
	f := staggered{units: 90, periods: 8, cohorts: []int{4, 5, 6, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64((t - g) * g) }}.draw(61)
	for _, anticipation := range []int{0, 1} {
		o := EventOptions{Bands: Pointwise, Anticipation: anticipation}
		got := byTerm(mustStudy(t, Intertemporal{EventOptions: o}, f))
		want := byTerm(mustAggregate(t, mustFit(t, GroupTime{Anticipation: anticipation}, f), Dynamic, AggregateOptions{Bands: Pointwise}))
		simple := mustAggregate(t, mustFit(t, GroupTime{Anticipation: anticipation}, f), Simple, AggregateOptions{}).Estimates[0]
		for h := range 5 {
			reftest.Near(t, eventTerm(h), got[eventTerm(h)].Value, want[eventTerm(h)].Value, 1e-11)
		}
		reftest.Near(t, Overall, got[Overall].Value, simple.Value, 1e-11)
	}
}

// Two-by-two with both sides: SE² = s1²/n1 + s0²/n0, the unequal-variance error.
func TestIntertemporalTwoByTwo(t *testing.T) {
	f := rect([]int{2, 2, 0, 0, 0}, [][]float64{{7, 10}, {1, 6}, {2, 3}, {0, 2}, {0, 6}})
	e := byTerm(mustStudy(t, Intertemporal{}, f))[Overall]
	reftest.Agree(t, "value", e.Value, 4-3.0, 13)
	reftest.Agree(t, "error", e.SE, math.Sqrt(2.0/2+7.0/3), 13)
}

// Row order and workers change no bit; level, units' levels, period effects and scale do what they must.
func TestIntertemporalInvariants(t *testing.T) {
	f, d := onAndOff(3, 60)
	for _, draws := range []int{0, 99} {
		fit := func(g *Frame, d []float64, workers int) *estimate.Result {
			res, err := Intertemporal{EventOptions: EventOptions{Seed: 1, Workers: workers}, Treatment: d, Bootstrap: draws}.Fit(t.Context(), g)
			require.NoError(t, err)
			return res
		}
		base := fit(f, d, 1)
		var shuffled []int
		var moved []float64
		for i := range f.Y {
			shuffled = append(shuffled, (i*7919+11)%len(f.Y))
			moved = append(moved, d[shuffled[i]])
		}
		require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(fit(f.rows(shuffled), moved, 4).Estimates))
		affine := fit(mapY(f, func(i int, y float64) float64 {
			return 1e4 - 3*y + float64(num.KeyedHash(1, f.Unit[i])%1000) + 50*float64(f.Time[i]*f.Time[i])
		}), d, 1)
		for i, e := range base.Estimates {
			reftest.Near(t, e.Term, affine.Estimates[i].Value, -3*e.Value, 1e-8)
			if e.HasSE() {
				reftest.Agree(t, e.Term+" se", affine.Estimates[i].SE, 3*e.SE, 7)
			}
		}
	}
	a := mustStudy(t, Intertemporal{Treatment: d}, f)
	b, err := Intertemporal{Treatment: d, Bootstrap: 999}.Fit(t.Context(), f)
	require.NoError(t, err)
	for i, e := range a.Estimates {
		if e.HasSE() {
			// Analytic errors are given the treatments; the bootstrap draws who switches when too, and effects differ here.
			require.Greater(t, b.Estimates[i].SE/e.SE, 0.8, e.Term)
			require.Less(t, b.Estimates[i].SE/e.SE, 1.6, e.Term)
		}
	}
	// Swapping 0 and 1 turns every effect around and changes no error, with clusters across first treatments too.
	c := f.clone()
	c.Cohort, c.Cluster = nil, make([]string, len(f.Y))
	swapped := make([]float64, len(d))
	for i, u := range f.Unit {
		c.Cluster[i], swapped[i] = u[len(u)-1:], 1-d[i]
	}
	up, down := mustStudy(t, Intertemporal{Treatment: d}, c), mustStudy(t, Intertemporal{Treatment: swapped}, c)
	for i, e := range up.Estimates {
		reftest.Near(t, e.Term, down.Estimates[i].Value, -e.Value, 1e-12)
		if e.HasSE() {
			reftest.Agree(t, e.Term+" se", down.Estimates[i].SE, e.SE, 11)
		}
	}
	w := mustStudy(t, Intertemporal{Treatment: d, Before: pointer(2), After: pointer(1)}, f)
	require.Len(t, w.Estimates, 5)
}

// onAndOff is units that enter in 3 or 4; a third of them leave two periods later; a third of the units are never treated, a sixth always, of
// which half leave in 5. The effect of each period of treatment is 1, larger for those who enter in 3, and lasts.
func onAndOff(seed uint64, units int) (*Frame, []float64) {
	f, d := &Frame{Level: 0.95}, []float64(nil)
	for u := range units {
		r := num.NewStream(seed, "on-and-off", uint64(u))
		level := 2 * r.Normal()
		kind := u % 12
		total := 0.0
		for t := 1; t <= 6; t++ {
			on := 0.0
			switch {
			case kind < 4: // never
			case kind == 4 || kind == 5 && t < 5: // always, and leaving in 5
				on = 1
			case kind == 5:
			default:
				entry := 3 + kind%2
				if t >= entry && !(kind >= 10 && t >= entry+2) {
					on = 1
				}
			}
			size := 1.0
			if kind > 5 && kind%2 == 0 {
				size = 2
			}
			total += on * size
			f.Unit, f.Time = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t)
			f.Y, d = append(f.Y, level+0.5*float64(t)+total+r.Normal()), append(d, on)
		}
	}
	return f, d
}

// Effects that last and differ, treatment that goes on and off. Truth by kinds: 6, 8 enter in 3 and stay with size 2, 10 leaves in 5; 7, 9 enter in 4 with size
// 1, 11 leaves in 6; 5 is treated from the first period, with size 1, and leaves in 5: without treatment it loses 1 a period, S·effect 1 and then 2. Event 0:
// (3·2 + 3·1 + 1)/7; event 1: (3·4 + 3·2 + 2)/7; event 2: 6 and 8 6, 10 4, 7 and 9 3, 11 2. Two-way fixed effects on the treatment miss the mean per period.
func TestIntertemporalCovers(t *testing.T) {
	truth := map[string]float64{"event=-3": 0, "event=-2": 0, "event=0": 10.0 / 7, "event=1": 20.0 / 7, "event=2": (6 + 6 + 4 + 3 + 3 + 2) / 6.0}
	got := simulate(t, func(seed uint64) map[string]bool {
		f, d := onAndOff(seed, 120)
		out := map[string]bool{}
		res, err := Intertemporal{EventOptions: EventOptions{Bands: Pointwise}, Treatment: d}.Fit(t.Context(), f)
		if err != nil {
			panic(err)
		}
		for _, e := range res.Estimates {
			if want, ok := truth[e.Term]; ok && e.HasSE() {
				out[e.Term] = e.CI.Lo <= want && want <= e.CI.Hi
			}
		}
		if seed%8 == 0 { // the bootstrap is slow
			res, err = Intertemporal{Treatment: d, Bootstrap: 99, EventOptions: EventOptions{Seed: seed, Bands: Pointwise}}.Fit(t.Context(), f)
			if err != nil {
				panic(err)
			}
			e := byTerm(res)["event=1"]
			out["bootstrap"] = e.CI.Lo <= truth["event=1"] && truth["event=1"] <= e.CI.Hi
		}
		return out
	})
	for term, share := range got {
		if term == "bootstrap" {
			if share*8 < 0.8 {
				t.Errorf("the bootstrap covers in %.3f", share*8)
			}
			continue
		}
		if math.Abs(share-0.95) > band {
			t.Errorf("%s covers in %.4f, want 0.95 ± %.4f", term, share, band)
		}
	}
	t.Log(fmt.Sprint(got))
}

func TestIntertemporalRefuses(t *testing.T) {
	f := staggered{units: 40, periods: 5, cohorts: []int{3, 4, 0}, noise: 1, balanced: true}.draw(65)
	for name, e := range map[string]Intertemporal{
		"anticipation": {EventOptions: EventOptions{Anticipation: -1}}, "before": {Before: pointer(0)}, "after": {After: pointer(-1)},
		"draws": {Bootstrap: 9}, "replicates": {Bootstrap: 99, EventOptions: EventOptions{Replicates: 99}}, "both": {Treatment: make([]float64, len(f.Y))}} {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
	_, err := Intertemporal{}.Fit(t.Context(), small.draw(1)) // its covariates do not change
	require.ErrorIs(t, err, estimate.ErrCollinear)
	_, err = Intertemporal{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 3 }))
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = Intertemporal{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 0 }))
	require.ErrorIs(t, err, estimate.ErrNoTreated)
	_, err = Intertemporal{}.Fit(t.Context(), f.where(func(i int) bool { return f.Time[i] != 2 }))
	require.ErrorIs(t, err, ErrOption)
	_, err = Intertemporal{}.Fit(t.Context(), f.rows(append(f.all(), 0)))
	require.ErrorIs(t, err, ErrDuplicate)
	g := f.clone()
	g.Cohort = nil
	d := make([]float64, len(g.Y))
	_, err = Intertemporal{Treatment: d[1:]}.Fit(t.Context(), g)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	d[7] = math.NaN()
	var row *estimate.RowError
	_, err = Intertemporal{Treatment: d}.Fit(t.Context(), g)
	require.ErrorAs(t, err, &row)
	require.Equal(t, 7, row.Row)
}
