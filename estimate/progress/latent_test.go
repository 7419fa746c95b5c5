package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// waveTruth is a design of two waves: D10 of the progress design without a shift.
type waveTruth struct {
	change, effect, sd2, rho float64
	shift, differ            float64 // of the thresholds of the last item after, for all and for participants
}

func d10() waveTruth { return waveTruth{change: 0.2, effect: 0.35, sd2: 1.1, rho: 0.7} }

// simWaves draws n persons, half of them participants, with the items of the reference case.
func simWaves(seed uint64, rep, n int, w waveTruth) *Waves {
	a := []float64{1.2, 1.8, 1.5, 1.0, 2.0, 1.4}
	b := [][]float64{{-1.5, -0.2, 1}, {-1, 0.1, 1.3}, {-1.2, -0.1, 1.1}, {-0.8, 0.4, 1.8}, {-1.3, 0, 1.2}, {-1, 0.2, 1.4}}
	out := &Waves{Before: mat.NewDense(n, 6, nil), After: mat.NewDense(n, 6, nil), Level: 0.95}
	for j := range a {
		out.Names = append(out.Names, fmt.Sprint("i", j+1))
	}
	for i := range n {
		st := num.NewStream(seed, fmt.Sprint("waves", rep), uint64(i))
		treated := i%2 == 1
		out.Unit, out.Treated = append(out.Unit, fmt.Sprintf("p%06d", i)), append(out.Treated, treated)
		t1 := st.Normal()
		t2 := w.change + float64(w.rho*w.sd2*t1) + w.sd2*math.Sqrt(1-w.rho*w.rho)*st.Normal()
		moved := w.shift
		if treated {
			t2 += w.effect
			moved += w.differ
		}
		for j := range a {
			out.Before.Set(i, j, grade(st, a[j], t1, b[j]))
			after := append([]float64{}, b[j]...)
			if j == 5 {
				for k := range after {
					after[k] += moved
				}
			}
			out.After.Set(i, j, grade(st, a[j], t2, after))
		}
	}
	return out
}

func latentChange(t testing.TB, e LatentChange, w *Waves) *estimate.Result {
	t.Helper()
	r, err := e.Fit(t.Context(), w)
	require.NoError(t, err)
	return r
}

func BenchmarkLatentChange(b *testing.B) {
	const n, J = 20000, 12
	slopes, cut := gradedItems(J, 5)
	w := &Waves{Before: mat.NewDense(n, J, nil), After: mat.NewDense(n, J, nil), Level: 0.95}
	for j := range J {
		w.Names = append(w.Names, fmt.Sprint("q", j+1))
	}
	for i := range n {
		st := num.NewStream(1, "bench", uint64(i))
		w.Unit, w.Treated = append(w.Unit, fmt.Sprintf("p%06d", i)), append(w.Treated, i%2 == 1)
		t1 := st.Normal()
		t2 := 0.2 + float64(0.7*t1) + 0.7*st.Normal()
		if i%2 == 1 {
			t2 += 0.3
		}
		for j := range J {
			w.Before.Set(i, j, grade(st, slopes[j], t1, cut[j]))
			w.After.Set(i, j, grade(st, slopes[j], t2, cut[j]))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := LatentChange{}.Fit(b.Context(), w)
		require.NoError(b, err)
	}
}

// Before the links: the information is minus the derivative of the gradient, the gradient that of the likelihood,
// with items that shift, are free, or differ, answers missing and a group without some of them.
func TestWaveDerivatives(t *testing.T) {
	w := simWaves(31, 0, 160, d10())
	for i := range 160 {
		if i%9 == 0 {
			for j := range 6 {
				w.After.Set(i, j, math.NaN())
			}
		}
		if i%11 == 0 {
			w.Before.Set(i, i%6, math.NaN())
		}
	}
	for _, e := range []LatentChange{{Shift: []string{"i6"}, Free: []string{"i2"}, Differ: []string{"i6"}}, {Model: PartialCreditModel, Shift: []string{"i1"}}} {
		kind, err := e.Model.kind()
		if e.Model == "" {
			kind, err = Graded.kind()
		}
		require.NoError(t, err)
		if kind.fixedSlope {
			kind.fixedSlope, kind.equalSlopes = false, true
		}
		o, err := e.options(w.Names, kind)
		require.NoError(t, err)
		group := make([]int, 160)
		for i, v := range w.Treated {
			if v {
				group[i] = 1
			}
		}
		d, err := newIRTData(irtFrame{unit: w.Unit, group: group, groups: []string{"0", "1"}, level: 0.95}, w.Names, []*mat.Dense{w.Before, w.After}, kind)
		require.NoError(t, err)
		d.start()
		if o.equal {
			d.equalSlopes()
		}
		f := newWaveFit(d, o)
		at := f.point()
		for a := range at {
			at[a] += 0.03 * float64(a%3)
		}
		m := f.m
		m.get(at)
		m.theta = num.SymmetricNodes(6, 0.3)
		post := m.posterior(f.p, true, 1)
		_, info := m.linked(nil, post.info)
		score, _ := m.linked(totals(f.p, post.score), nil)
		grad := func() []float64 {
			_, tab, cell, joint := m.expect(f.p, true, 1)
			g, _ := m.linked(m.complete(tab, cell, joint))
			return g
		}
		g0 := grad()
		const h = 1e-5
		for a := range at {
			move := func(by float64) (float64, []float64) {
				q := append([]float64{}, at...)
				q[a] += by
				m.get(q)
				defer m.get(at)
				ll, _, _, _ := m.expect(f.p, false, 1)
				return ll, grad()
			}
			up, gu := move(h)
			down, gd := move(-h)
			require.InDelta(t, (up-down)/(2*h), g0[a], 1e-4, "%d", a)
			require.InDelta(t, g0[a], score[a], 1e-8, "%d", a)
			for b := range at {
				require.InDelta(t, (gu[b]-gd[b])/(2*h), -info.At(a, b), 2e-4, "%d %d", a, b)
			}
		}
	}
}

// totals adds the pattern scores.
func totals(p *wavePatterns, score *mat.Dense) []float64 {
	_, k := score.Dims()
	out := make([]float64, k)
	for i := range p.n {
		for a := range out {
			out[a] += p.weight[i] * score.At(i, a)
		}
	}
	return out
}

// A wave that repeats the answers of the one before shows no change; swapping the waves turns
// the change round in the unit of the other wave; the difference has the sign of the arms.
func TestLatentChangeRelations(t *testing.T) {
	w := simWaves(32, 0, 300, d10())
	r := latentChange(t, LatentChange{}, w)
	swapped := *w
	swapped.Treated = make([]bool, 300)
	for i, v := range w.Treated {
		swapped.Treated[i] = !v
	}
	s := latentChange(t, LatentChange{}, &swapped)
	require.InDelta(t, -value(t, r, "difference"), value(t, s, "difference"), 1e-6)
	require.InDelta(t, value(t, r, "change,group=1"), value(t, s, "change,group=0"), 1e-6)
	require.InDelta(t, r.Details["loglik"].(float64), s.Details["loglik"].(float64), 1e-6)
	one := *w
	one.Treated = nil
	all := latentChange(t, LatentChange{}, &one)
	require.InDelta(t, (value(t, r, "change,group=0")+value(t, r, "change,group=1"))/2, value(t, all, "change"), 0.05)
	back := one
	back.Before, back.After = one.After, one.Before
	turned := latentChange(t, LatentChange{}, &back)
	sd := math.Sqrt(value(t, all, "trait/variance,wave=2"))
	require.InDelta(t, -value(t, all, "change")/sd, value(t, turned, "change"), 1e-5)
	require.InDelta(t, value(t, all, "trait/correlation"), value(t, turned, "trait/correlation"), 1e-6)
	require.InDelta(t, all.Details["loglik"].(float64), turned.Details["loglik"].(float64), 1e-6)
	require.InDelta(t, value(t, all, "i1/a")*sd, value(t, turned, "i1/a"), 1e-5)
	for workers, same := range map[int]LatentChange{1: {Workers: 1}, 3: {Workers: 3}} {
		other := latentChange(t, same, w)
		for i, e := range r.Estimates {
			require.True(t, e.Value == other.Estimates[i].Value && e.SE == other.Estimates[i].SE, "%s %d", e.Term, workers)
		}
	}
}

func TestLatentChangeOptions(t *testing.T) {
	truth := d10()
	truth.shift = 0.6
	w := simWaves(33, 0, 700, truth)
	plain := latentChange(t, LatentChange{}, w)
	shift := latentChange(t, LatentChange{Shift: []string{"i6"}}, w)
	free := latentChange(t, LatentChange{Free: []string{"i6"}}, w)
	differ := latentChange(t, LatentChange{Shift: []string{"i6"}, Differ: []string{"i6"}}, w)
	ll := func(r *estimate.Result) float64 { return r.Details["loglik"].(float64) }
	require.Greater(t, 2*(ll(shift)-ll(plain)), 20.0)
	require.InDelta(t, ll(shift), ll(free), 8)
	require.Greater(t, ll(free), ll(shift))
	require.Equal(t, 29, plain.Details["parameters"])
	require.Equal(t, 30, shift.Details["parameters"])
	require.Equal(t, 33, free.Details["parameters"])
	require.Equal(t, 31, differ.Details["parameters"])
	e := named(t, shift, "i6/shift")
	require.InDelta(t, 0.6, e.Value, 3*e.SE)
	require.Equal(t, ThresholdShift, e.Measure)
	d := named(t, differ, "i6/shift-difference")
	require.InDelta(t, 0, d.Value, 3*d.SE)
	require.InDelta(t, value(t, free, "i6/b1,wave=2")-value(t, free, "i6/b1"), 0.6, 0.35)
	for _, e := range shift.Estimates {
		require.True(t, e.HasSE(), e.Term)
	}
	none, err := LatentChange{NoErrors: true}.Fit(t.Context(), w)
	require.NoError(t, err)
	require.False(t, none.Estimates[0].HasSE())
	require.Equal(t, plain.Estimates[0].Value, none.Estimates[0].Value)
	w.Weight = estimate.Weights{Kind: estimate.Matching, Values: make([]float64, 700)}
	for i := range w.Weight.Values {
		w.Weight.Values[i] = float64(1 + i%3)
	}
	weighted := latentChange(t, LatentChange{}, w)
	require.NotEqual(t, plain.Estimates[0].Value, weighted.Estimates[0].Value)
	require.Contains(t, weighted.Details["vcov"], "influence")
	require.Equal(t, 350, weighted.N.Treated)
}

func TestLatentChangeBad(t *testing.T) {
	for name, c := range map[string]struct {
		e      LatentChange
		change func(w *Waves)
		is     error
		says   string
	}{
		"unknown item": {LatentChange{Shift: []string{"x"}}, func(*Waves) {}, estimate.ErrInvalidFrame, `"x"`},
		"both":         {LatentChange{Shift: []string{"i1"}, Free: []string{"i1"}}, func(*Waves) {}, estimate.ErrInvalidFrame, "both"},
		"no anchor":    {LatentChange{Shift: []string{"i1", "i2", "i3", "i4", "i5"}}, func(*Waves) {}, estimate.ErrNotIdentified, "anchors"},
		"model":        {LatentChange{Model: "other"}, func(*Waves) {}, estimate.ErrInvalidFrame, "other"},
		"rasch":        {LatentChange{Model: RaschModel}, func(*Waves) {}, estimate.ErrInvalidFrame, "pcm"},
		"one wave":     {LatentChange{}, func(w *Waves) { w.After = nil }, estimate.ErrInvalidFrame, "both waves"},
		"differ":       {LatentChange{Differ: []string{"i1"}}, func(w *Waves) { w.Treated = nil }, estimate.ErrInvalidFrame, "Differ"},
		"nobody after": {LatentChange{}, func(w *Waves) { fill(w.After, math.NaN()) }, estimate.ErrTooFew, ""},
		"no controls":  {LatentChange{}, func(w *Waves) { mark(w.Treated, true) }, estimate.ErrNoControls, ""},
		"no treated":   {LatentChange{}, func(w *Waves) { mark(w.Treated, false) }, estimate.ErrNoTreated, ""},
		"marks":        {LatentChange{}, func(w *Waves) { w.Treated = w.Treated[:3] }, estimate.ErrInvalidFrame, "3 treatment"},
		"all the same": {LatentChange{}, func(w *Waves) { fill(w.After, 1); fill(w.Before, 1) }, estimate.ErrNotIdentified, `"i1"`},
		"free, not chosen": {LatentChange{Free: []string{"i2"}}, func(w *Waves) {
			for i := range w.Unit {
				w.After.Set(i, 1, min(w.After.At(i, 1), 2))
			}
		}, estimate.ErrNotIdentified, `"i2"`},
		"same answers": {LatentChange{}, func(w *Waves) { w.After = w.Before }, nil, ""},
	} {
		w := simWaves(34, 0, 120, d10())
		c.change(w)
		_, err := c.e.Fit(t.Context(), w)
		require.Error(t, err, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
		}
		require.ErrorContains(t, err, c.says, name)
	}
	w := simWaves(35, 0, 400, d10())
	for i := range 400 {
		for j := range 6 {
			if i%2 == 0 {
				w.After.Set(i, j, math.NaN())
			}
		}
	}
	w.Treated = nil
	r := latentChange(t, LatentChange{}, w)
	require.Contains(t, codes(r), "second-wave-low")
}

func fill(x *mat.Dense, v float64) { x.Apply(func(int, int, float64) float64 { return v }, x) }

func mark(v []bool, to bool) {
	for i := range v {
		v[i] = to
	}
}

// The item that moved is found, and what moves for participants only is told from what moves for all.
func TestResponseShift(t *testing.T) {
	truth := d10()
	truth.shift, truth.differ = 0.5, 0.9
	w := simWaves(36, 0, 500, truth)
	r, err := ResponseShift{}.Fit(t.Context(), w)
	require.NoError(t, err)
	require.Len(t, r.Estimates, 12)
	six := r.Details["shifts"].([]DIFItem)[5]
	require.True(t, six.Flagged)
	require.InDelta(t, 0.95, six.Effect, 0.3) // between the groups
	more := r.Details["differences"].([]DIFItem)
	require.True(t, more[5].Flagged)
	require.InDelta(t, 0.9, more[5].Effect, 0.45)
	require.Equal(t, named(t, r, "i6/shift-difference").Value, more[5].Total)
	require.Contains(t, codes(r), "response-shift-differs")
	lr := 2 * (latentChange(t, LatentChange{Shift: []string{"i6"}, NoErrors: true}, w).Details["loglik"].(float64) -
		latentChange(t, LatentChange{NoErrors: true}, w).Details["loglik"].(float64))
	require.InDelta(t, lr, six.Total, 1e-9)
	w.Cluster = make([]int, 500)
	_, err = ResponseShift{}.Fit(t.Context(), w)
	require.ErrorIs(t, err, estimate.ErrWeights)
	_, err = ResponseShift{Alpha: -1}.Fit(t.Context(), w)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
