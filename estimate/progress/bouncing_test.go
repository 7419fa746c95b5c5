package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// inMonths reads one letter a month: s social office, f insurance, e employment office, n nobody, w work, x dead, . not observed.
func inMonths(rows ...string) *Months {
	m := &Months{States: []string{"s", "f", "e", "n", "w", "x"}}
	m.Level = 0.95
	for i, r := range rows {
		m.Unit, m.Length = append(m.Unit, fmt.Sprintf("p%04d", i)), max(m.Length, len(r))
	}
	for _, r := range rows {
		for t := range m.Length {
			c := int8(-1)
			if t < len(r) {
				c = int8(slices.Index(m.States, r[t:t+1]))
			}
			m.Code = append(m.Code, c)
		}
	}
	return m
}

var offices = Map{"s": "social", "f": "insurance", "e": "employment", "n": Nobody, "w": OwnSupport, "x": Left}

func find(t *testing.T, r *estimate.Result, term string) estimate.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Term == term {
			return e
		}
	}
	t.Fatalf("no term %q", term)
	return estimate.Estimate{}
}

func TestBouncingOfOnePersonByHand(t *testing.T) {
	step := []int{2, 2, 2, 1, 3, 0}
	for _, c := range []struct {
		code                       string
		change, gap, pong, up, low float64
		months                     float64
	}{
		{"ssff", 1, 0, 0, 0, 0, 4},
		{"sfs", 2, 0, 1, 0, 0, 3},
		{"snns", 0, 2, 0, 1, 1, 4},
		{"snf", 1, 1, 0, 1, 1, 3},
		{"sffffffs", 2, 0, 1, 0, 0, 8},      // away for 6 months
		{"sfffffffs", 2, 0, 0, 0, 0, 9},     // away for 7
		{"sfffnnns", 2, 3, 1, 1, 1, 8},      // 6 months away, three of them with nobody
		{"sfes", 3, 0, 0, 0, 0, 4},          // not back to the one before
		{"sfsfs", 4, 0, 3, 0, 0, 5},         // every return counts
		{"swf", 0, 0, 0, 1, 1, 3},           // nothing across work
		{"sfws", 1, 0, 0, 1, 1, 4},          // nor a return
		{"sxxx", 0, 0, 0, 0, 0, 1},          // death ends it; it is no step down
		{"s", 0, 0, 0, 0, 0, 1},             //
		{"nnwn", 0, 3, 0, 1, 1, 4},          // nobody, work, nobody
		{"wsnnnnnnsf", 1, 6, 0, 1, 2, 10},   // the same authority after a gap is no change
		{"snnnnnnnfs", 2, 7, 0, 1, 1, 10},   // social left after month 1, back in month 10
		{"ffsnnnnfsf", 4, 4, 3, 1, 1, 10},   // f away for 5 months, s for 5, f for 1
		{"ffsnnnnnnfsf", 4, 6, 1, 1, 1, 12}, // f away for 7, s for 7, f for 1
	} {
		m := inMonths(c.code)
		who, err := offices.of(m.States)
		require.NoError(t, err)
		got := Bouncing{PingPong: 6}.tally(m.seen(0), nil, who, step, nil)
		require.Equal(t, [5]float64{c.change, c.gap, c.pong, c.up, c.low}, [5]float64(got.event[:5]), c.code)
		require.Equal(t, c.months, got.months, c.code)
	}
}

// Two people a group. Comparison: sfsf (3 changes in 4 months) and ssss: 3 in 8 months, 4.5 a year; participants: ssff, ss: 1 in 6
// months, 2 a year. IF = (events − rate·years)/Σ years: comparison (3 − 4.5/3)/(2/3) = 2.25 and −2.25, participants
// (1 − 2/3)/½ = 2/3 and −2/3.
func TestBouncingByHand(t *testing.T) {
	m := inMonths("sfsf", "ssss", "ssff", "ss")
	m.Treated = []bool{false, false, true, true}
	e := Bouncing{Authority: offices, MinPerArm: 2}
	r, err := e.Fit(t.Context(), m)
	require.NoError(t, err)
	require.InDelta(t, 4.5, find(t, r, "authority-changes,group=0").Value, 1e-12)
	require.InDelta(t, 2, find(t, r, "authority-changes,group=1").Value, 1e-12)
	d := find(t, r, "authority-changes,difference")
	require.InDelta(t, -2.5, d.Value, 1e-12)
	require.InDelta(t, math.Sqrt(2*2.25*2.25+8.0/9), d.SE, 1e-12)
	require.Equal(t, PerPersonYearDifference, d.Measure)
	require.InDelta(t, 2.0/(8.0/12), find(t, r, "ping-pong,group=0").Value, 1e-12)
	gap := find(t, r, "gap-months,group=0")
	require.Zero(t, gap.Value)
	require.True(t, math.IsNaN(gap.SE), "a rate of 0 has no error")
	require.Equal(t, []float64{8, 6}, r.Details["months"])
	require.Equal(t, []float64{3, 1}, r.Details["events"].(map[string][]float64)["authority-changes"])
	require.Contains(t, noteCodes(r.Notes), "process-measure")
	for _, x := range r.Estimates {
		require.NotContains(t, x.Term, "steps-", "without a ladder there is no direction")
		require.NotContains(t, x.Term, "parallel")
	}

	m.Parallel = []int8{1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1, 0, 0}
	e.Ladder = Ladder{"s": 1, "f": 2, "e": 2, "n": 0, "w": 3, "x": -1}
	r, err = e.Fit(t.Context(), m)
	require.NoError(t, err)
	require.InDelta(t, 10.0/8, find(t, r, "parallel-authorities,group=0").Value, 1e-12)
	require.InDelta(t, 8.0/6, find(t, r, "parallel-authorities,group=1").Value, 1e-12)
	require.InDelta(t, 2*12.0/8, find(t, r, "steps-up,group=0").Value, 1e-12)
	require.InDelta(t, 1*12.0/8, find(t, r, "steps-down,group=0").Value, 1e-12)
	require.InDelta(t, 1*12.0/6, find(t, r, "steps-up,group=1").Value, 1e-12)

	// Weights: twice the first person of the comparison people is as good as two of them, for the value.
	m.Weight = estimate.Weights{Kind: estimate.Matching, Values: []float64{2, 1, 1, 1}}
	r, err = e.Fit(t.Context(), m)
	require.NoError(t, err)
	require.InDelta(t, 6.0, find(t, r, "authority-changes,group=0").Value, 1e-12)

	one := inMonths("sfsf", "ssss")
	r, err = Bouncing{Authority: offices, MinPerArm: 2}.Fit(t.Context(), one)
	require.NoError(t, err)
	require.InDelta(t, 4.5, find(t, r, "authority-changes,overall").Value, 1e-12)
	strict, err := Bouncing{Authority: offices, MinPerArm: 1, PingPong: 1}.Fit(t.Context(), inMonths("sffs"))
	require.NoError(t, err)
	require.Zero(t, find(t, strict, "ping-pong,overall").Value, "back after 2 months is not within 1")
}

// randomMonths draws histories in which some people die and some are followed for less long.
func randomMonths(seed uint64, n, length int) *Months {
	rows := make([]string, n)
	for i := range rows {
		st := num.NewStream(seed, "months", uint64(i))
		state := "sfenw"[st.Intn(5)]
		end := length - st.Intn(10)
		dead := false
		for range end {
			if dead = dead || st.Bernoulli(.01); dead {
				state = 'x'
			} else if st.Bernoulli(.25) {
				state = "sfenw"[st.Intn(5)]
			}
			rows[i] += string(state)
		}
	}
	m := inMonths(rows...)
	for i := range rows {
		m.Treated = append(m.Treated, i%2 == 0)
	}
	return m
}

// take gives the people in another order, in memory of their own.
func (m *Months) take(order []int) *Months {
	o := &Months{States: m.States, Length: m.Length}
	o.Level, o.Weight.Kind = m.Level, m.Weight.Kind
	for _, i := range order {
		o.Unit, o.Treated = append(o.Unit, m.Unit[i]), append(o.Treated, m.Treated[i])
		o.Code = append(o.Code, m.row(i)...)
		if m.Weight.Values != nil {
			o.Weight.Values = append(o.Weight.Values, m.Weight.Values[i])
		}
	}
	return o
}

func TestMonthsInAnyOrder(t *testing.T) {
	m := randomMonths(3, 200, 48)
	m.Weight = estimate.Weights{Kind: estimate.Matching}
	for i := range m.Unit {
		m.Weight.Values = append(m.Weight.Values, .5+float64(i%7)/3)
	}
	order := make([]int, len(m.Unit))
	for i := range order {
		order[i] = (i*37 + 11) % len(order)
	}
	turned := m.take(order)
	for name, fit := range map[string]func(*Months, int) (*estimate.Result, error){
		"bouncing": func(m *Months, w int) (*estimate.Result, error) {
			return Bouncing{Authority: offices, Workers: w}.Fit(t.Context(), m)
		},
		"stable": func(m *Months, w int) (*estimate.Result, error) {
			return StableExit{Authority: offices, Run: 3, At: []float64{12, 24}, Workers: w}.Fit(t.Context(), m)
		},
		"return": func(m *Months, w int) (*estimate.Result, error) {
			return Return{Authority: offices, At: []float64{6, 12}, Workers: w}.Fit(t.Context(), m)
		},
	} {
		a, err := fit(m, 1)
		require.NoError(t, err)
		b, err := fit(turned, 8)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(a.Estimates), fmt.Sprint(b.Estimates), name)
		require.Equal(t, noteCodes(a.Notes), noteCodes(b.Notes))
	}
}

// Rows 1 to 4 by hand with Run 3 and no benefit: w at once: 0; from month 2 (after 1 month): 1; a broken run: 3; dead after 2
// months; nobody's run is known later than 3 months before the end, so the last ends at 6 − 3 = 3.
func TestStableExitTimes(t *testing.T) {
	e := StableExit{Run: 3}
	for _, c := range []struct {
		code      string
		benefit   int
		time, how int
	}{
		{"wwwsss", 0, 0, event},
		{"swwwss", 0, 1, event},
		{"wwswww", 0, 3, event},
		{"wswsss", 1, 0, event},
		{"swswss", 1, 1, event},
		{"ssxxxx", 0, 2, left},
		{"sswxxx", 0, 3, left},
		{"sswwxx", 0, 3, ended},
		{"ssssww", 0, 3, ended},
		{"sswwww", 0, 2, event},
		{"www", 0, 0, event},
		{"ww", 0, 0, outside},
		{"sss", 0, 0, ended},
		{"wwxxx", 0, 2, left},
	} {
		m := inMonths(c.code)
		who, _ := offices.of(m.States)
		e.Benefit = c.benefit
		at, how, _ := e.time(m.seen(0), who)
		require.Equal(t, [2]int{c.time, c.how}, [2]int{at, how}, c.code)
	}
	for _, c := range []struct {
		code      string
		time, how int
	}{
		{"swws", 2, event}, {"swwn", 2, ended}, {"swwnns", 4, event}, {"swx", 1, left}, {"sx", 0, outside}, {"ssss", 0, outside},
		{"wwss", 0, outside}, {"wsws", 1, event}, {"ssw", 0, outside}, {"ssww", 1, ended}, {"nwf", 1, event},
	} {
		m := inMonths(c.code)
		who, _ := offices.of(m.States)
		at, how, _ := Return{}.time(m.seen(0), who)
		require.Equal(t, [2]int{c.time, c.how}, [2]int{at, how}, c.code)
	}
}

// d12Rows are histories of design D12: monthly into work .06, out of it .05.
func d12Rows(seed, n int) []string {
	rows := make([]string, n)
	for i := range rows {
		st := num.NewStream(uint64(seed), "d12", uint64(i))
		work := false
		for range 61 {
			letter := "s"
			if work {
				letter = "w"
			}
			rows[i] += letter
			if work {
				work = !st.Bernoulli(.05)
			} else {
				work = st.Bernoulli(.06)
			}
		}
	}
	return rows
}

// d12Truth is exact: share in U and in each length of a run so far, month by month; a run in months 25 to 36 begins after 25.
func d12Truth() float64 {
	length := [13]float64{1}
	for range 36 {
		next := [13]float64{.94 * length[0], .06 * length[0]}
		next[12] = length[12]
		for k := 1; k < 12; k++ {
			next[0] += .05 * length[k]
			next[k+1] += .95 * length[k]
		}
		length = next
	}
	return length[12]
}

// D12: into work with .06 a month and out with .05. A run of 12 begun by month 24 is complete by month 36: .5342. With
// more follow-up nothing that was known before changes.
func TestD12StableRun(t *testing.T) {
	rows := d12Rows(12, 4000)
	m := inMonths(rows...)
	r, err := StableExit{Authority: offices, At: []float64{12, 24, 25}}.Fit(t.Context(), m)
	require.NoError(t, err)
	truth := d12Truth()
	require.InDelta(t, .5342, truth, 5e-5)
	e := find(t, r, "time=25,cause=stable")
	t.Logf("begun by 25: %.4f (%.4f), exact %.4f", e.Value, e.SE, truth)
	require.InDelta(t, truth, e.Value, 3*e.SE)

	for i, row := range rows {
		rows[i] = row[:40]
	}
	short, err := StableExit{Authority: offices, At: []float64{12, 24, 25}}.Fit(t.Context(), inMonths(rows...))
	require.NoError(t, err)
	for k := range r.Estimates {
		require.Equal(t, r.Estimates[k].Value, short.Estimates[k].Value)
	}
	_, err = StableExit{Authority: offices}.Fit(t.Context(), m)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame, "no time")
}

func TestStableExitGroupsAndRefusals(t *testing.T) {
	m := randomMonths(5, 300, 40)
	e := StableExit{Authority: offices, Run: 4, At: []float64{12}}
	r, err := e.Fit(t.Context(), m)
	require.NoError(t, err)
	a, b, d := find(t, r, "time=12,cause=stable,group=0"), find(t, r, "time=12,cause=stable,group=1"), find(t, r, "time=12,cause=stable,difference")
	require.InDelta(t, b.Value-a.Value, d.Value, 1e-15)
	require.InDelta(t, math.Hypot(a.SE, b.SE), d.SE, 1e-12)
	require.Equal(t, estimate.RiskDifference, d.Measure)
	require.Equal(t, survive.CumulativeIncidenceMeasure, a.Measure)
	n, k := r.Influence.Dims()
	require.Equal(t, len(r.Estimates), k)
	require.Equal(t, len(r.InfluenceUnit), n)
	loose, err := StableExit{Authority: offices, Run: 4, Benefit: 1, At: []float64{12}}.Fit(t.Context(), m)
	require.NoError(t, err)
	require.Greater(t, find(t, loose, "time=12,cause=stable,group=0").Value, a.Value)
	back, err := Return{Authority: offices, At: []float64{12}}.Fit(t.Context(), m)
	require.NoError(t, err)
	require.Contains(t, noteCodes(back.Notes), "after-exit-only")
	require.Contains(t, noteCodes(back.Notes), "clock-not-started")

	for what, x := range map[string]StableExit{
		"run":     {Authority: offices, Run: -1, At: []float64{12}},
		"benefit": {Authority: offices, Run: 3, Benefit: 3, At: []float64{12}},
		"map":     {Authority: Map{"s": "social"}, At: []float64{12}},
	} {
		_, err := x.Fit(t.Context(), m)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame, what)
	}
	_, err = StableExit{Authority: offices, Run: 30, At: []float64{5}}.Fit(t.Context(), m)
	require.ErrorIs(t, err, estimate.ErrTooFew, "under 10 runs")
	few := m.take([]int{0, 1, 2, 3})
	for _, fit := range []func() error{
		func() error { _, err := e.Fit(t.Context(), few); return err },
		func() error { _, err := Bouncing{Authority: offices}.Fit(t.Context(), few); return err },
	} {
		require.ErrorIs(t, fit(), estimate.ErrTooFew)
	}
}

func TestMonthsRefusals(t *testing.T) {
	fit := func(change func(m *Months, e *Bouncing)) error {
		m, e := inMonths("sfsf", "ssss"), Bouncing{Authority: offices, MinPerArm: 1}
		change(m, &e)
		_, err := e.Fit(t.Context(), m)
		return err
	}
	require.NoError(t, fit(func(*Months, *Bouncing) {}))
	for what, change := range map[string]func(m *Months, e *Bouncing){
		"hole":     func(m *Months, _ *Bouncing) { m.Code[1] = -1 },
		"state":    func(m *Months, _ *Bouncing) { m.Code[1] = 9 },
		"length":   func(m *Months, _ *Bouncing) { m.Length = 3 },
		"parallel": func(m *Months, _ *Bouncing) { m.Parallel = []int8{1} },
		"below 0":  func(m *Months, _ *Bouncing) { m.Parallel = []int8{1, 1, 1, -1, 1, 1, 1, 1} },
		"twice":    func(m *Months, _ *Bouncing) { m.Unit[1] = m.Unit[0] },
		"level":    func(m *Months, _ *Bouncing) { m.Level = 0 },
		"unknown": func(_ *Months, e *Bouncing) {
			e.Authority = Map{"s": "a", "f": "b", "e": "c", "n": Nobody, "w": OwnSupport, "x": Left, "q": "d"}
		},
		"without":      func(_ *Months, e *Bouncing) { e.Authority = Map{"s": "a"} },
		"ladder":       func(_ *Months, e *Bouncing) { e.Ladder = Ladder{"s": 1} },
		"negative":     func(_ *Months, e *Bouncing) { e.PingPong = -1 },
		"fewest below": func(_ *Months, e *Bouncing) { e.MinPerArm = -1 },
	} {
		require.ErrorIs(t, fit(change), estimate.ErrInvalidFrame, what)
	}
	require.ErrorIs(t, fit(func(m *Months, _ *Bouncing) {
		m.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1}}
	}), estimate.ErrWeights)
}
