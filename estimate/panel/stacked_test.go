package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func pointer(v int) *int { return &v }

// By hand, on the panel of TestEventStudiesByHand: units a, b entering in 2 and 3, c and d
// never, y = (0,2,6), (1,1,2), (0,1,1), (0,1,3). Cohort 2 is seen 1 before and 1 after,
// cohort 3 2 and 0: the window is -1 … 0. Stack of 2: a changes by 2, its controls b (not
// treated by the end of the window), c, d by 0, 1, 1. Stack of 3: b changes by 1, c, d by
// 0, 2. Shares 1/2: θ = ½(2 - 2/3) + ½(1 - 1) = 2/3. Means over the stack are 3/2 and 5/6:
// a ½·½ = 18/72; b ½·(-½) + (1/6)(5/6) = -8/72; c -(1/6)(1/6) + ¼·5/6 = 13/72; d
// -(1/6)(1/6) - ¼·7/6 = -23/72. SE² = (324 + 64 + 169 + 529)/72² times the factor
// 4/3·13/10: 4 units, (4 + 3)·2 rows, 4 coefficients.
func TestStackedByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	res := mustStudy(t, Stacked{}, f)
	got := byTerm(res)
	require.Len(t, got, 3)
	require.False(t, got["event=-1"].HasSE())
	se := math.Sqrt(1086.0 / 5184 * 4 / 3 * 13 / 10)
	for _, term := range []string{"event=0", Overall} {
		reftest.Agree(t, term, got[term].Value, 2.0/3, 13)
		reftest.Agree(t, term+" se", got[term].SE, se, 13)
		require.Equal(t, 3.0, got[term].Test.DF)
	}
	require.Equal(t, []map[string]any{{"group": 2, "treated": 1, "controls": 3, "share": 0.5}, {"group": 3, "treated": 1, "controls": 2, "share": 0.5}}, res.Details["stacks"])
	require.Equal(t, map[string]any{"before": 1, "after": 0}, res.Details["window"])
	// One period after: cohort 3 is not seen so long; a against c and d, whom b joins not.
	late := mustStudy(t, Stacked{After: pointer(1)}, f)
	require.True(t, hasNote(late, "stack-cohort-left-out"))
	got = byTerm(late)
	reftest.Agree(t, "event 0", got["event=0"].Value, 2-1.0, 13)
	reftest.Agree(t, "event 1", got["event=1"].Value, 6-2.0, 13)
	reftest.Agree(t, "overall", got[Overall].Value, 2.5, 13)
	require.Equal(t, 3, late.N.Units)
}

// Two-by-two (TestEventStudyTwoByTwo): the difference of differences 5/2; each pair of
// changes has Σψ² = 2·(1/2)² + 2·(1/4)², and 8 rows have 4 coefficients.
func TestStackedTwoByTwo(t *testing.T) {
	f := rect([]int{2, 2, 0, 0}, [][]float64{{7, 10}, {1, 6}, {2, 3}, {0, 2}})
	e := byTerm(mustStudy(t, Stacked{}, f))[Overall]
	reftest.Agree(t, "value", e.Value, 2.5, 13)
	reftest.Agree(t, "se", e.SE, math.Sqrt(5.0/8*4/3*7/4), 13)
}

// Where the controls of all cohorts are the never treated, stacked with corrective weights is
// ATT(g,t) against them from the last period before treatment, averaged by event with the
// cohorts' shares over the cohorts that are seen in the whole window; with weights too.
func TestStackedIsGroupTime(t *testing.T) {
	s := staggered{units: 90, periods: 8, cohorts: []int{4, 5, 6, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64((t - g) * g) }}
	f := s.draw(51)
	for _, anticipation := range []int{0, 1} {
		o := EventOptions{Bands: Pointwise, Anticipation: anticipation}
		res := mustStudy(t, Stacked{EventOptions: o}, f)
		require.Equal(t, map[string]any{"before": 3, "after": 2}, res.Details["window"])
		r := mustFit(t, GroupTime{Control: NeverTreated, Base: Universal, Anticipation: anticipation}, f)
		want := byTerm(mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise}))
		mean := 0.0
		for _, e := range res.Estimates {
			if e.Term != Overall {
				reftest.Near(t, e.Term, e.Value, want[e.Term].Value, 1e-12)
			}
		}
		for v := range 3 {
			mean += want[eventTerm(v)].Value / 3
		}
		reftest.Near(t, "overall", byTerm(res)[Overall].Value, mean, 1e-12)
	}
}

// The regression over the stack by dense algebra, with the corrective weights as columns of
// numbers: values and errors, with sampling weights and clusters. Without the corrective
// weights the answer is another, and one that a change of level in period 3 alone moves.
func TestStackedDense(t *testing.T) {
	s := staggered{units: 50, periods: 7, cohorts: []int{3, 5, 7, 0}, noise: 1, weights: true, effect: func(g, t int) float64 { return float64(t - g) }}
	f := s.draw(52)
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = fmt.Sprint(num.KeyedHash(2, u) % 17)
	}
	before, after := 2, 1
	dense := func(f *Frame, corrective bool) (b *mat.VecDense, v *mat.Dense) {
		type row struct {
			a, e, i int
			d       bool
		}
		var rows []row
		sumD, sumC := map[int]float64{}, map[int]float64{}
		for _, a := range []int{3, 5} {
			for i, g := range f.Cohort {
				if e := f.Time[i] - a; e >= -before && e <= after && (g == a || g == 0 || g > a+after) {
					rows = append(rows, row{a, e, i, g == a})
					if g == a {
						sumD[a] += f.Weight[i]
					} else {
						sumC[a] += f.Weight[i]
					}
				}
			}
		}
		width := before + 1 + after
		k := 2 * width
		x, y := mat.NewDense(len(rows), k, nil), mat.NewVecDense(len(rows), nil)
		wx := mat.NewDense(len(rows), k, nil)
		w := make([]float64, len(rows))
		for j, r := range rows {
			w[j] = f.Weight[r.i]
			if !r.d && corrective {
				w[j] *= sumD[r.a] / (sumD[3] + sumD[5]) / (sumC[r.a] / (sumC[3] + sumC[5]))
			}
			x.Set(j, r.e+before, 1)
			if r.d {
				x.Set(j, width, 1)
				for at, e := width+1, -before; e <= after; e++ {
					if e != -1 {
						if e == r.e {
							x.Set(j, at, 1)
						}
						at++
					}
				}
			}
			y.SetVec(j, f.Y[r.i])
			for c := range k {
				wx.Set(j, c, w[j]*x.At(j, c))
			}
		}
		var gram, inv mat.Dense
		gram.Mul(x.T(), wx)
		require.NoError(t, inv.Inverse(&gram))
		var right, fitted mat.VecDense
		right.MulVec(wx.T(), y)
		b = mat.NewVecDense(k, nil)
		b.MulVec(&inv, &right)
		fitted.MulVec(x, b)
		clusters := map[string]int{}
		for _, r := range rows {
			if _, ok := clusters[f.Cluster[r.i]]; !ok {
				clusters[f.Cluster[r.i]] = len(clusters)
			}
		}
		score := mat.NewDense(len(clusters), k, nil)
		for j, r := range rows {
			for c := range k {
				at := clusters[f.Cluster[r.i]]
				score.Set(at, c, score.At(at, c)+wx.At(j, c)*(y.AtVec(j)-fitted.AtVec(j)))
			}
		}
		var meat, half mat.Dense
		meat.Mul(score.T(), score)
		half.Mul(&inv, &meat)
		v = new(mat.Dense)
		v.Mul(&half, &inv)
		g, n := float64(len(clusters)), float64(len(rows))
		v.Scale(g/(g-1)*(n-1)/(n-float64(k)), v)
		return b, v
	}
	e := Stacked{EventOptions: EventOptions{Bands: Pointwise}, Before: pointer(before), After: pointer(after)}
	got := byTerm(mustStudy(t, e, f))
	b, v := dense(f, true)
	for at, event := range []int{-2, 0, 1} {
		j := before + 1 + after + 1 + at
		reftest.Agree(t, eventTerm(event), got[eventTerm(event)].Value, b.AtVec(j), 10)
		reftest.Agree(t, eventTerm(event)+" se", got[eventTerm(event)].SE, math.Sqrt(v.At(j, j)), 10)
	}
	reftest.Agree(t, "overall se", got[Overall].SE, math.Sqrt((v.At(6, 6)+2*v.At(6, 7)+v.At(7, 7))/4), 10)
	bent := mapY(f, func(i int, y float64) float64 {
		if f.Time[i] == 3 {
			return y + 10
		}
		return y
	})
	plain, _ := dense(f, false)
	moved, _ := dense(bent, false)
	require.Greater(t, math.Abs(moved.AtVec(6)-plain.AtVec(6)), 0.01)
	reftest.Near(t, "period effect", byTerm(mustStudy(t, e, bent))["event=0"].Value, b.AtVec(6), 1e-10)
}

// Row order and workers change no bit; level, units' levels and scale do what they must;
// what treated rows do moves their own event, and no unit outside the window counts.
func TestStackedInvariants(t *testing.T) {
	f := staggered{units: 60, periods: 7, cohorts: []int{3, 5, 0}, noise: 1, balanced: true}.draw(53)
	base := mustStudy(t, Stacked{EventOptions: EventOptions{Seed: 1}}, f)
	var shuffled []int
	for i := range f.Y {
		shuffled = append(shuffled, (i*7919+11)%len(f.Y))
	}
	again := mustStudy(t, Stacked{EventOptions: EventOptions{Seed: 1, Workers: 4}}, f.rows(shuffled))
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	affine := mustStudy(t, Stacked{EventOptions: EventOptions{Seed: 1}}, mapY(f, func(i int, y float64) float64 {
		return 1e6 - 3*y + float64(num.KeyedHash(1, f.Unit[i])%1000)
	}))
	up := mustStudy(t, Stacked{EventOptions: EventOptions{Seed: 1}}, mapY(f, func(i int, y float64) float64 {
		if f.Cohort[i] == 3 && f.Time[i] >= 3 {
			return y + 10
		}
		return y
	}))
	for i, e := range base.Estimates {
		reftest.Near(t, e.Term, affine.Estimates[i].Value, -3*e.Value, 1e-8)
		if e.HasSE() {
			reftest.Agree(t, e.Term+" se", affine.Estimates[i].SE, 3*e.SE, 7)
		}
		want := e.Value
		if e.Term == Overall || e.Term >= "event=0" {
			want += 5
		}
		reftest.Near(t, "no treated row "+e.Term, up.Estimates[i].Value, want, 1e-10)
	}
	gaps := f.where(func(i int) bool { return i != 4 })
	require.True(t, hasNote(mustStudy(t, Stacked{}, gaps), "unbalanced-units-dropped"))
}

// Without never-treated units the cohort treated last is the control of the others, and has
// no effect of its own.
func TestStackedNeverAbsent(t *testing.T) {
	f := staggered{units: 60, periods: 8, cohorts: []int{3, 5, 7}, balanced: true, effect: func(g, t int) float64 { return float64(t-g+1) * float64(7-g) }}.draw(54)
	res := mustStudy(t, Stacked{}, f)
	got := byTerm(res) // cohorts 3 and 5 until 7 enters: events 0 and 1
	reftest.Agree(t, "event 0", got["event=0"].Value, 3, 10)
	reftest.Agree(t, "event 1", got["event=1"].Value, 6, 10)
	require.NotContains(t, got, "event=2")
	require.True(t, hasNote(res, "stack-cohort-left-out"))
}

func TestStackedRefuses(t *testing.T) {
	f := staggered{units: 40, periods: 5, cohorts: []int{3, 4, 0}, noise: 1, balanced: true}.draw(55)
	for name, e := range map[string]Stacked{
		"anticipation": {EventOptions: EventOptions{Anticipation: -1}}, "before": {Before: pointer(0)}, "after": {After: pointer(-1)},
		"reference": {EventOptions: EventOptions{Anticipation: 2}, Before: pointer(2)}, "bands": {EventOptions: EventOptions{Bands: "wide"}}} {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
	_, err := Stacked{}.Fit(t.Context(), small.draw(1))
	require.ErrorIs(t, err, ErrOption)
	require.ErrorContains(t, err, "covariates")
	_, err = Stacked{After: pointer(9)}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = Stacked{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 3 }))
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = Stacked{}.Fit(t.Context(), f.where(func(i int) bool { return f.Cohort[i] == 0 }))
	require.ErrorIs(t, err, estimate.ErrNoTreated)
	_, err = Stacked{}.Fit(t.Context(), rect([]int{2, 0}, [][]float64{{1, 2}, {3, 5}}))
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// Coverage in the scenario of TestEventStudiesCover, where two-way fixed effects fail.
// Cohort 5 is seen until event 2: events 0.75, 1.5, 2.25, mean 1.5. Differences between
// cohorts count as noise, so that errors are too wide, never too narrow.
func TestStackedCovers(t *testing.T) {
	s := growing
	s.units, s.balanced = 90, true
	got := simulate(t, func(seed uint64) map[string]bool {
		out := map[string]bool{}
		for _, e := range mustStudy(t, Stacked{EventOptions: EventOptions{Bands: Pointwise}}, s.draw(seed)).Estimates {
			want, ok := map[string]float64{"event=-2": 0, "event=0": 0.75, "event=1": 1.5, "event=2": 2.25, Overall: 1.5}[e.Term]
			if ok {
				out[e.Term] = e.CI.Lo <= want && want <= e.CI.Hi
			}
		}
		return out
	})
	for term, share := range got {
		if share < 0.95-band || share > 0.95+band && (term == "event=-2" || term == "event=0") {
			t.Errorf("%s covers in %.4f", term, share)
		}
	}
	t.Log(fmt.Sprint(got))
}

// Units within their anticipation are no clean controls: with K = 1 cohort 6 is none for
// cohort 4 until event 1, and where nobody is never treated the window ends a period earlier.
func TestStackedAnticipatingControls(t *testing.T) {
	f := staggered{units: 30, periods: 8, cohorts: []int{4, 6, 0}, noise: 1, balanced: true}.draw(57)
	for anticipation, controls := range []int{20, 10} {
		res := mustStudy(t, Stacked{EventOptions: EventOptions{Anticipation: anticipation}, After: pointer(1)}, f)
		require.Equal(t, controls, res.Details["stacks"].([]map[string]any)[0]["controls"])
	}
	f = f.where(func(i int) bool { return f.Cohort[i] != 0 })
	for anticipation, after := range []int{1, 0} {
		res := mustStudy(t, Stacked{EventOptions: EventOptions{Anticipation: anticipation}}, f)
		require.Equal(t, after, res.Details["window"].(map[string]any)["after"])
	}
}
