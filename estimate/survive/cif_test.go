package survive

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func mustCIF(t testing.TB, at []float64, f *Competing) *estimate.Result {
	t.Helper()
	res, err := CumulativeIncidence{At: at}.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// fourCauses: cause x at 1 and 3, cause y at 2, one censored at 2.5.
func fourCauses() *Competing {
	return &Competing{Stratified: Stratified{Times: Times{
		Unit: []string{"a", "b", "c", "d"}, Time: []float64{1, 2, 2.5, 3}, Level: 0.95,
	}}, Cause: []int{0, 1, Censored, 0}, CauseNames: []string{"x", "y"}}
}

// By hand. S = 3/4, 1/2 from 1, 2; at 3 the one left has the event. F_x = 1/4, 1/4, 1/4 + 1/2 =
// 3/4; F_y = 0, 3/4·1/3 = 1/4, 1/4. Nobody is censored before 2.5, so that F_x(1), F_y(2)
// are shares of four: se = √(3/16/4). Nobody is left at 3: F_x(3) = 1 − F_y(2), with its error.
func TestCumulativeIncidenceByHand(t *testing.T) {
	res := mustCIF(t, nil, fourCauses())
	se := math.Sqrt(3.0 / 64)
	for q, w := range []struct {
		term      string
		value, se float64
	}{
		{"time=1,cause=x", 0.25, se},
		{"time=1,cause=y", 0, 0},
		{"time=2,cause=x", 0.25, se},
		{"time=2,cause=y", 0.25, se},
		{"time=3,cause=x", 0.75, se},
		{"time=3,cause=y", 0.25, se},
	} {
		e := res.Estimates[q]
		require.Equal(t, w.term, e.Term)
		require.Equal(t, CumulativeIncidenceMeasure, e.Measure)
		reftest.Near(t, w.term, e.Value, w.value, 1e-15)
		reftest.Near(t, w.term+" se", e.SE, w.se, 1e-15)
		reftest.Near(t, "Cov", res.Cov.At(q, q), w.se*w.se, 1e-15)
		if w.se > 0 {
			require.Equal(t, Logit(e.Value, e.SE, 0.95), e.CI)
		}
	}
	// Shares of one four: −(1/4)(1/4)/4.
	reftest.Agree(t, "covariance of the causes", res.Cov.At(2, 3), -1.0/64, 13)
	require.Contains(t, codes(res), "boundary")
	require.Equal(t, []CauseCount{{"", "x", 4, 2}, {"", "y", 4, 1}}, res.Details["counts"])
	// With one late the risk set at 1 is three: F_x(1) = 1/3.
	f := fourCauses()
	f.Entry = []float64{0, 0, 0, 1}
	reftest.Agree(t, "late entry", mustCIF(t, []float64{1}, f).Estimates[0].Value, 1.0/3, 14)
	// Weight 3 for the first: 3 of 6.
	f = fourCauses()
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{3, 1, 1, 1}}
	res = mustCIF(t, []float64{1}, f)
	reftest.Agree(t, "weighted", res.Estimates[0].Value, 0.5, 14)
	// IF = w(1{x} − 1/2)/6: 3/12, −1/12 three times.
	reftest.Agree(t, "weighted se", res.Estimates[0].SE, math.Sqrt(12)/12, 14)
	require.Contains(t, codes(res), "weights-fixed")
}

func competing(seed uint64, n, causes int, late bool) *Competing {
	f := &Competing{Stratified: Stratified{Times: *kmSample(seed, n, late)}, CauseNames: []string{"p", "q", "r"}[:causes]}
	for i, e := range f.Event {
		c := Censored
		if e {
			c = num.NewStream(seed, "cause", uint64(i)).Intn(causes)
		}
		f.Cause = append(f.Cause, c)
	}
	f.Event = nil
	return f
}

// It is the occupation of absorbing states of a history with one step: value, error and influence function.
func TestCumulativeIncidenceIsOccupation(t *testing.T) {
	at := []float64{2, 7, 13}
	for seed := range uint64(4) {
		f := competing(60+seed, 150, 2, seed%2 == 1)
		s := &Spells{States: []string{"in", "p", "q"}, ID: f.Unit, Level: 0.95, Stop: f.Time, Start: f.Entry, Group: f.Group, GroupNames: f.GroupNames}
		if s.Start == nil {
			s.Start = make([]float64, 150)
		}
		f.Weight.Kind = estimate.Matching
		for i, c := range f.Cause {
			f.Weight.Values = append(f.Weight.Values, 0.3+num.NewStream(seed, "w", uint64(i)).Float())
			s.Person, s.From, s.To = append(s.Person, i), append(s.From, 0), append(s.To, Censored)
			if c != Censored {
				s.To[i] = 1 + c
			}
			if seed >= 2 {
				f.Cluster = append(f.Cluster, i%19)
			}
		}
		s.Weight, s.Cluster = f.Weight, f.Cluster
		res, aj := mustCIF(t, at, f), mustFit(t, AalenJohansen{At: at, Tau: 13}, s)
		want := map[string]int{}
		for q, e := range aj.Estimates {
			want[e.Term] = q
		}
		for q, e := range res.Estimates {
			r, ok := want["time="+FormatTime(at[q/2%3])+",state="+f.CauseNames[q%2]+",group="+f.GroupNames[q/6]]
			require.True(t, ok)
			reftest.Agree(t, e.Term, e.Value, aj.Estimates[r].Value, 12)
			reftest.Agree(t, e.Term+" se", e.SE, aj.Estimates[r].SE, 11)
			for i := range f.Unit {
				reftest.Near(t, "influence", res.Influence.At(i, q), aj.Influence.At(i, r), 1e-14)
			}
		}
		_, err := json.Marshal([]any{res.Details, res.Notes})
		require.NoError(t, err)
	}
}

// All causes and survival add up to 1 at every time; one cause is one less survival, with its error.
func TestCausesAndSurvivalAddUp(t *testing.T) {
	f := competing(5, 200, 3, true)
	km := &Times{Unit: f.Unit, Time: f.Time, Entry: f.Entry, Group: f.Group, GroupNames: f.GroupNames, Level: 0.95}
	one := *f
	one.CauseNames, one.Cause = []string{"any"}, nil
	for _, c := range f.Cause {
		km.Event = append(km.Event, c != Censored)
		one.Cause = append(one.Cause, min(c, 0))
	}
	s, all, single := mustKM(t, KaplanMeier{}, km), mustCIF(t, nil, f), mustCIF(t, nil, &one)
	require.Len(t, all.Estimates, 3*len(s.Estimates))
	for q, e := range s.Estimates {
		reftest.Agree(t, e.Term, e.Value+all.Estimates[3*q].Value+all.Estimates[3*q+1].Value+all.Estimates[3*q+2].Value, 1, 12)
		reftest.Agree(t, e.Term, single.Estimates[q].Value, 1-e.Value, 12)
	}
	plain := competing(5, 200, 1, false)
	km = &Times{Unit: plain.Unit, Time: plain.Time, Level: 0.95}
	plain.Group, plain.GroupNames = nil, nil
	for _, c := range plain.Cause {
		km.Event = append(km.Event, c != Censored)
	}
	at := []float64{3, 9}
	a, b := mustCIF(t, at, plain), mustKM(t, KaplanMeier{At: at}, km)
	for q := range at {
		reftest.Agree(t, "Greenwood", a.Estimates[q].SE, b.Estimates[q].SE, 12)
	}
}

// Rows, workers, units of time and copies for frequencies carry no information.
func TestCumulativeIncidenceRelations(t *testing.T) {
	f := competing(6, 90, 2, true)
	f.Weight.Kind = estimate.Frequency
	long := &Competing{Stratified: Stratified{Times: Times{Level: 0.95, GroupNames: f.GroupNames}}, CauseNames: []string{"q", "p"}}
	for _, i := range permutation(num.NewStream(6, "p", 0), 90) {
		for r := range 1 + i%3 {
			long.Unit = append(long.Unit, f.Unit[i]+FormatTime(float64(r)))
			long.Time, long.Entry = append(long.Time, 4*f.Time[i]), append(long.Entry, 4*f.Entry[i])
			long.Group = append(long.Group, f.Group[i])
			c := f.Cause[i]
			if c != Censored {
				c = 1 - c
			}
			long.Cause = append(long.Cause, c)
		}
	}
	for i := range f.Unit {
		f.Weight.Values = append(f.Weight.Values, float64(1+i%3))
	}
	a, b := mustCIF(t, []float64{3, 8}, f).Estimates, mustCIF(t, []float64{12, 32}, long).Estimates
	for q := range a {
		reftest.Agree(t, "value", a[q].Value, b[q^1].Value, 12)
		reftest.Agree(t, "se", a[q].SE, b[q^1].SE, 12)
	}
	f.Cluster = make([]int, 90)
	_, err := CumulativeIncidence{}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrWeights)
	many, err := CumulativeIncidence{Workers: 5}.Fit(t.Context(), long)
	require.NoError(t, err)
	one, err := CumulativeIncidence{Workers: 1}.Fit(t.Context(), long)
	require.NoError(t, err)
	require.Equal(t, one.Influence, many.Influence)
	require.Equal(t, one.Cov, many.Cov)
}

func TestCumulativeIncidenceEdges(t *testing.T) {
	f := fourCauses()
	f.Cause[3] = Censored
	res := mustCIF(t, []float64{0, 4}, f)
	require.Zero(t, res.Estimates[0].Value)
	require.True(t, math.IsNaN(res.Estimates[2].Value) && math.IsNaN(res.Estimates[2].SE))
	require.Contains(t, codes(res), "beyond-follow-up")
	f.Cause = []int{Censored, Censored, Censored, Censored}
	require.Contains(t, codes(mustCIF(t, nil, f)), "no-events")
	for name, c := range map[string]struct {
		change func(e *CumulativeIncidence, f *Competing)
		err    error
	}{
		"cause":     {func(_ *CumulativeIncidence, f *Competing) { f.Cause[0] = 2 }, estimate.ErrInvalidFrame},
		"short":     {func(_ *CumulativeIncidence, f *Competing) { f.Cause = f.Cause[:3] }, estimate.ErrInvalidFrame},
		"no causes": {func(_ *CumulativeIncidence, f *Competing) { f.CauseNames = nil }, estimate.ErrTooFew},
		"twice":     {func(_ *CumulativeIncidence, f *Competing) { f.CauseNames[1] = "x" }, estimate.ErrInvalidFrame},
		"events":    {func(_ *CumulativeIncidence, f *Competing) { f.Event = make([]bool, 4) }, estimate.ErrInvalidFrame},
		"strata":    {func(_ *CumulativeIncidence, f *Competing) { f.Stratum = make([]int, 4) }, estimate.ErrInvalidFrame},
		"time":      {func(_ *CumulativeIncidence, f *Competing) { f.Time[0] = -1 }, ErrTime},
		"at":        {func(e *CumulativeIncidence, _ *Competing) { e.At = []float64{1, 1} }, nil},
		"cluster":   {func(_ *CumulativeIncidence, f *Competing) { f.Cluster = make([]int, 4) }, estimate.ErrTooFew},
		"unit":      {func(_ *CumulativeIncidence, f *Competing) { f.Unit[1] = "a" }, estimate.ErrInvalidFrame},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := CumulativeIncidence{}, fourCauses()
			c.change(&e, f)
			_, err := e.Fit(t.Context(), f)
			require.Error(t, err)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
}
