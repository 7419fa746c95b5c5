package survive

import (
	"fmt"
	"math"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand, θ = e^β: at 1 a (x = 1) and b (0) of a, b, c (1), d (0) have the event: of the six pairs one has the
// product 1, four θ, one θ². At 2 c of c and d has it: L = θ/(θ²+4θ+1)·θ/(θ+1), whose maximum is at θ³ − 5θ − 2 = 0,
// (θ+2)(θ²−2θ−1) = 0: θ = 1 + √2. Information: the variance of the sum of x over the pairs, and of x over c and d.
func TestCoxExactByHand(t *testing.T) {
	f := &Covaried{Stratified: Stratified{Times: Times{
		Unit: []string{"a", "b", "c", "d"}, Time: []float64{1, 1, 2, 3}, Event: []bool{true, true, true, false}, Level: 0.95,
	}}, X: mat.NewDense(4, 1, []float64{1, 0, 1, 0}), XNames: []string{"x"}}
	res := mustCox(t, Cox{Ties: "exact"}, f)
	th := 1 + math.Sqrt2
	reftest.Agree(t, "beta", res.Estimates[0].Value, math.Log(th), 13)
	all := th*th + 4*th + 1
	mean := (2*th*th + 4*th) / all
	info := (4*th*th+4*th)/all - mean*mean + th/(1+th)/(1+th)
	reftest.Agree(t, "se", res.Estimates[0].SE, 1/math.Sqrt(info), 12)
	ll := res.Details["loglik"].([]float64)
	reftest.Agree(t, "null", ll[0], -math.Log(12), 14)
	reftest.Agree(t, "loglik", ll[1], math.Log(th/all*th/(th+1)), 14)
	require.Nil(t, res.Influence)
	require.Equal(t, "exact", res.Details["ties"])
	// Score test at β = 0: U = 1 − 1 + 1 − 1/2, variance 1/3 + 1/4.
	reftest.Agree(t, "score", res.Details["score"].(ChiSquareRow).Statistic, 0.25/(1.0/3+0.25), 13)
}

// The likelihood, its score and its information are those of all subsets written out.
func TestCoxExactIsTheSumOverSubsets(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := coxSample(3, 14, late)
		for i := range f.Time {
			f.Time[i] = math.Ceil(f.Time[i]/4) * 4
			if late {
				f.Entry[i] = math.Min(f.Entry[i], f.Time[i]-1)
			}
		}
		f.Stratum = nil
		order, err := idOrder(f.Unit)
		require.NoError(t, err)
		m, err := newCoxModel(f, order, false, 1)
		require.NoError(t, err)
		x, err := newCoxExact(m)
		require.NoError(t, err)
		b := []float64{0.4, -0.3, 0.2}
		p := x.point(b)
		ll, tied := 0.0, 0
		for q, ties := range m.ties {
			if ties == 0 {
				continue
			}
			tied = max(tied, int(ties))
			var set []int
			for i := range m.row {
				if m.at[i] >= m.time[q] && (!late || f.Entry[m.row[i]] < m.time[q]) {
					set = append(set, i)
				}
				if m.event[i] && m.at[i] == m.time[q] {
					ll += m.eta[i]
				}
			}
			sum := 0.0
			for s := range uint(1) << len(set) {
				if bits.OnesCount(s) != int(ties) {
					continue
				}
				eta := 0.0
				for k, i := range set {
					if s>>k&1 == 1 {
						eta += m.eta[i]
					}
				}
				sum += math.Exp(eta)
			}
			ll -= math.Log(sum)
		}
		require.Greater(t, tied, 2)
		reftest.Agree(t, "loglik", p.ll, ll, 12)
		const h = 1e-5
		for a := range b {
			up, down := append([]float64(nil), b...), append([]float64(nil), b...)
			up[a] += h
			down[a] -= h
			pu, pd := x.point(up), x.point(down)
			reftest.Near(t, "score", p.u[a], (pu.ll-pd.ll)/(2*h), 1e-7)
			for c := range b {
				reftest.Near(t, "information", p.info.At(a, c), -(pu.u[c]-pd.u[c])/(2*h), 1e-7)
			}
		}
	}
}

func TestCoxExactRelations(t *testing.T) {
	f := coxSample(4, 120, false)
	whole := func(f *Covaried) {
		for i := range f.Time {
			f.Time[i] = math.Ceil(f.Time[i])
		}
	}
	for i := range f.Time { // no ties: every handling is the same
		f.Time[i] += float64(i) * 1e-7
	}
	a, b := mustCox(t, Cox{Ties: "exact"}, f), mustCox(t, Cox{}, f)
	for j := range a.Estimates {
		reftest.Agree(t, "no ties", a.Estimates[j].Value, b.Estimates[j].Value, 9)
		reftest.Agree(t, "no ties, se", a.Estimates[j].SE, b.Estimates[j].SE, 9)
		za, zb := a.Details["zph"].([]ZPHRow)[j], b.Details["zph"].([]ZPHRow)[j]
		reftest.Agree(t, "no ties, zph", za.Statistic, zb.Statistic, 8)
	}
	f = coxSample(4, 120, false)
	whole(f)
	a = mustCox(t, Cox{Ties: "exact"}, f)
	require.NotEqual(t, a.Estimates[0].Value, mustCox(t, Cox{}, f).Estimates[0].Value)
	require.NotEqual(t, a.Estimates[0].Value, mustCox(t, Cox{Ties: "breslow"}, f).Estimates[0].Value)
	g := coxSample(4, 120, false)
	whole(g)
	g.Entry = make([]float64, 120)
	b = mustCox(t, Cox{Ties: "exact", Workers: 1}, g)
	for j := range a.Estimates {
		reftest.Agree(t, "entry at 0", b.Estimates[j].Value, a.Estimates[j].Value, 10)
	}
	// Thousands of subsets' products neither overflow nor vanish.
	big := coxSample(5, 3000, false)
	for i := range big.Time {
		big.Time[i], big.Event[i] = math.Ceil(big.Time[i]/15), i%2 == 0
	}
	big.Stratum = nil
	x := mustCox(t, Cox{Ties: "exact"}, big)
	e := mustCox(t, Cox{}, big)
	require.InDelta(t, e.Estimates[2].Value, x.Estimates[2].Value, e.Estimates[2].SE)

	for name, change := range map[string]func(*Cox, *Covaried){
		"robust":  func(c *Cox, _ *Covaried) { c.Robust = true },
		"cluster": func(_ *Cox, f *Covaried) { f.Cluster = make([]int, 120); f.Cluster[0] = 1 },
	} {
		e, f := Cox{Ties: "exact"}, coxSample(4, 120, false)
		change(&e, f)
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrExactTies, name)
	}
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: f.Time}
	_, err := Cox{Ties: "exact"}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrWeights)
	huge := coxSample(6, 30000, false)
	for i := range huge.Time {
		huge.Time[i], huge.Event[i] = 1, i > 0
	}
	huge.Stratum = nil
	_, err = Cox{Ties: "exact"}.Fit(t.Context(), huge)
	require.ErrorIs(t, err, estimate.ErrNotConverged)
	require.ErrorContains(t, err, "use efron")
}

// intervalSample cuts the time of each unit at whole tens; a covariate turns 1 at a time of its own.
func intervalSample(seed uint64, n int, change bool) (cut, whole *Covaried) {
	whole = coxSample(seed, n, false)
	whole.Stratum = nil
	cut = &Covaried{Stratified: Stratified{Times: Times{Level: 0.95}}, XNames: whole.XNames, Intervals: true}
	var x []float64
	for i, end := range whole.Time {
		turn := 2 + 20*num.NewStream(seed, "turn", uint64(i)).Float()
		for from := 0.0; from < end; from += 10 {
			to := math.Min(from+10, end)
			cut.Unit, cut.Entry, cut.Time = append(cut.Unit, whole.Unit[i]), append(cut.Entry, from), append(cut.Time, to)
			cut.Event = append(cut.Event, whole.Event[i] && to == end)
			row := append([]float64(nil), whole.X.RawRowView(i)...)
			if change && from > turn {
				row[2] = 1 - row[2]
			}
			x = append(x, row...)
		}
	}
	cut.X = mat.NewDense(len(cut.Unit), 3, x)
	return cut, whole
}

// Rows cut into intervals change no number, influence included; what changes in time does.
func TestCoxIntervals(t *testing.T) {
	cut, whole := intervalSample(7, 150, false)
	for _, e := range []Cox{{}, {Ties: "breslow"}, {Robust: true}, {Ties: "exact"}} {
		a, b := mustCox(t, e, cut), mustCox(t, e, whole)
		require.Equal(t, b.N, a.N)
		require.Equal(t, len(cut.Unit), a.Details["rows"])
		for j := range a.Estimates {
			reftest.Agree(t, "value", a.Estimates[j].Value, b.Estimates[j].Value, 9)
			reftest.Agree(t, "se", a.Estimates[j].SE, b.Estimates[j].SE, 9)
			reftest.Agree(t, "zph", a.Details["zph"].([]ZPHRow)[j].Statistic, b.Details["zph"].([]ZPHRow)[j].Statistic, 7)
		}
		reftest.Agree(t, "concordance", a.Details["concordance"].(float64), b.Details["concordance"].(float64), 12)
		if e.Ties == "exact" {
			continue
		}
		at := map[string]int{}
		for i, u := range b.InfluenceUnit {
			at[u] = i
		}
		for i, u := range a.InfluenceUnit {
			for j := range a.Estimates {
				reftest.Near(t, "influence", a.Influence.At(i, j), b.Influence.At(at[u], j), 1e-10)
			}
		}
	}
	moving, _ := intervalSample(7, 150, true)
	a := mustCox(t, Cox{Robust: true}, moving)
	require.NotEqual(t, a.Estimates[2].Value, mustCox(t, Cox{}, whole).Estimates[2].Value)
	// Robust by unit: the sum of the rows' influence, not that of each row; units as clusters of unique rows say the same.
	rows := *moving
	rows.Intervals = false
	rows.Unit, rows.Cluster = make([]string, len(moving.Unit)), make([]int, len(moving.Unit))
	for i, u := range moving.Unit {
		rows.Unit[i] = fmt.Sprintf("%06d", i)
		if i > 0 {
			rows.Cluster[i] = rows.Cluster[i-1]
			if u != moving.Unit[i-1] {
				rows.Cluster[i]++
			}
		}
	}
	b := mustCox(t, Cox{}, &rows)
	for j := range a.Estimates {
		reftest.Agree(t, "clusters", a.Estimates[j].SE, b.Estimates[j].SE, 9)
	}
	// The order of rows changes no byte.
	turned := *moving
	n := len(moving.Unit)
	turned.Unit, turned.Entry, turned.Time, turned.Event, turned.X = nil, nil, nil, nil, mat.NewDense(n, 3, nil)
	for i := n - 1; i >= 0; i-- {
		turned.X.SetRow(len(turned.Unit), moving.X.RawRowView(i))
		turned.Unit, turned.Entry = append(turned.Unit, moving.Unit[i]), append(turned.Entry, moving.Entry[i])
		turned.Time, turned.Event = append(turned.Time, moving.Time[i]), append(turned.Event, moving.Event[i])
	}
	b = mustCox(t, Cox{Robust: true, Workers: 1}, &turned)
	require.Equal(t, a.Estimates, b.Estimates)
	require.Equal(t, a.InfluenceUnit, b.InfluenceUnit)
}

func TestCoxIntervalsRefuseAndSay(t *testing.T) {
	cut, _ := intervalSample(8, 60, false)
	i := 0
	for cut.Unit[i] != cut.Unit[i+1] {
		i++
	}
	bad := func(change func(f *Covaried)) error {
		f := *cut
		f.Entry, f.Event = append([]float64(nil), cut.Entry...), append([]bool(nil), cut.Event...)
		change(&f)
		_, err := Cox{}.Fit(t.Context(), &f)
		return err
	}
	var at *estimate.RowError
	err := bad(func(f *Covaried) { f.Entry[i+1] -= 0.5 })
	require.ErrorIs(t, err, ErrOverlap)
	require.ErrorAs(t, err, &at)
	require.Equal(t, i+1, at.Row)
	require.ErrorIs(t, bad(func(f *Covaried) { f.Entry = nil }), estimate.ErrInvalidFrame)
	require.ErrorIs(t, bad(func(f *Covaried) { f.Cluster = make([]int, len(f.Unit)); f.Cluster[i] = 1 }), ErrVaries)
	require.ErrorIs(t, bad(func(f *Covaried) { f.Intervals = false }), estimate.ErrInvalidFrame)
	again := *cut
	again.Event = append([]bool(nil), cut.Event...)
	again.Event[i] = true
	res := mustCox(t, Cox{}, &again)
	require.Contains(t, codes(res), "recurrent-events")
	require.Equal(t, "influence", res.Details["vcov"])
	_, err = Cox{Ties: "exact"}.Fit(t.Context(), &again)
	require.ErrorIs(t, err, ErrExactTies)
}
