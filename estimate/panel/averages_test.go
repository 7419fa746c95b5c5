package panel

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// averaged is the estimators that take [Averages].
func averaged(o EventOptions, a Averages) map[string]eventEstimator {
	return map[string]eventEstimator{
		"sun-abraham": SunAbraham{EventOptions: o, Averages: a}, "etwfe": ExtendedTwoWay{EventOptions: o, Averages: a},
		"imputation": Imputation{EventOptions: o, Averages: a}, "two-stage": TwoStage{EventOptions: o, Averages: a},
	}
}

// By hand, on the panel of TestEventStudiesByHand: δ(2,2) = 1, δ(2,3) = 4, δ(3,1) = 1, δ(3,3) = 0 for sun-abraham; τ(2,2) = 4/3, τ(2,3) = 25/6,
// τ(3,3) = -1/2 for the others. By cohort the mean over its treated periods, by period over the treated cohorts (one unit each), overall the same
// throughout. Balanced at 1 only cohort 2 is seen for as long, at the events -1 … 1 that the window of three periods has for it.
func TestEventStudyAveragesByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	o := EventOptions{Bands: Pointwise}
	sun := map[Aggregation]map[string]float64{
		Group:    {"group=2": 5.0 / 2, "group=3": 0, Overall: 5.0 / 3},
		Calendar: {"time=2": 1, "time=3": 2, Overall: 5.0 / 3},
		Simple:   {Overall: 5.0 / 3},
		Cells:    {"group=2,time=1": 0, "group=2,time=2": 1, "group=2,time=3": 4, "group=3,time=1": 1, "group=3,time=2": 0, "group=3,time=3": 0, Overall: 5.0 / 3},
	}
	imputed := map[Aggregation]map[string]float64{
		Group:    {"group=2": 11.0 / 4, "group=3": -1.0 / 2, Overall: 5.0 / 3},
		Calendar: {"time=2": 4.0 / 3, "time=3": 11.0 / 6, Overall: 5.0 / 3},
		Simple:   {Overall: 5.0 / 3},
		Cells:    {"group=2,time=2": 4.0 / 3, "group=2,time=3": 25.0 / 6, "group=3,time=3": -1.0 / 2, Overall: 5.0 / 3},
	}
	for kind := range sun {
		for name, e := range averaged(o, Averages{Aggregate: kind}) {
			want := imputed[kind]
			if name == "sun-abraham" {
				want = sun[kind]
			}
			res := mustStudy(t, e, f)
			got := byTerm(res)
			if name == "two-stage" && kind == Cells { // and the residuals of rows before treatment
				require.Greater(t, len(got), len(want))
			} else {
				require.Len(t, got, len(want), "%s %s", name, kind)
			}
			for term, v := range want {
				reftest.Near(t, fmt.Sprint(name, kind, term), got[term].Value, v, 1e-12)
			}
			require.Equal(t, Overall, res.Estimates[len(res.Estimates)-1].Term)
			require.Equal(t, string(kind), res.Details["aggregate"])
		}
	}
	got := byTerm(mustStudy(t, SunAbraham{EventOptions: o, Averages: Averages{BalanceEvent: pointer(1)}}, f))
	require.Len(t, got, 4)
	for term, v := range map[string]float64{"event=-1": 0, "event=0": 1, "event=1": 4, Overall: 2.5} {
		reftest.Near(t, "balanced "+term, got[term].Value, v, 1e-12)
	}
	for name, e := range averaged(o, Averages{BalanceEvent: pointer(2)}) {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, estimate.ErrNotIdentified, name)
	}
	for _, bad := range []Averages{{Aggregate: "magic"}, {BalanceEvent: pointer(-1)}, {Aggregate: Group, BalanceEvent: pointer(1)}} {
		for name, e := range averaged(o, bad) {
			_, err := e.Fit(t.Context(), f)
			require.ErrorIs(t, err, ErrOption, name)
		}
	}
}

// The parts agree with each other: an average of cells by their rows is what is said of a cohort, a period and an event; in cells of equal size the
// overall effect is the mean of the cells. The curve of a balanced study is that of its own overall effect.
func TestEventStudyAveragesAddUp(t *testing.T) {
	f := gappy(21, 0)
	f.Weight = nil
	rows := map[string]float64{}
	for i, g := range f.Cohort {
		if g != 0 && f.Time[i] >= g {
			rows[fmt.Sprintf("group=%d,time=%d", g, f.Time[i])]++
		}
	}
	o := EventOptions{Bands: Pointwise}
	for name, e := range averaged(o, Averages{Aggregate: Cells}) {
		cells := byTerm(mustStudy(t, e, f))
		for _, kind := range []Aggregation{Group, Calendar, Dynamic} {
			for term, got := range byTerm(mustStudy(t, averaged(o, Averages{Aggregate: kind})[name], f)) {
				sum, total := 0.0, 0.0
				for cell, n := range rows {
					var g, p, v int
					_, err := fmt.Sscanf(cell, "group=%d,time=%d", &g, &p)
					require.NoError(t, err)
					in := term == Overall
					for format, key := range map[string]int{"group=%d": g, "time=%d": p, "event=%d": p - g} {
						if k, _ := fmt.Sscanf(term, format, &v); k == 1 {
							in = v == key
						}
					}
					if in {
						sum += n * cells[cell].Value
						total += n
					}
				}
				if total > 0 {
					reftest.Near(t, fmt.Sprint(name, " ", term), got.Value, sum/total, 1e-12)
				}
			}
		}
	}
	res := mustStudy(t, SunAbraham{EventOptions: o, Averages: Averages{BalanceEvent: pointer(2)}}, f)
	c, err := CurveOf(res)
	require.NoError(t, err)
	sum := 0.0
	for i, w := range c.Weight {
		sum += w * c.Value[i]
	}
	reftest.Near(t, "overall of the curve", sum, c.Overall, 1e-12)
}

// By hand, on the same panel: against the never treated alone cohort 2 gains 2 - 1 = 1 at event 0 and cohort 3 gains 1 - (0+2)/2 = 0, mean 1/2 (each
// has one unit and two controls); the other control of cohort 2 makes that 2/3 (stacked) and 12/17 (lpdid). Extended two-way effects against the never
// treated are sun-abraham, errors and all.
func TestEventStudyControlNever(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	o := EventOptions{Bands: Pointwise}
	only := map[string]eventEstimator{
		"sun-abraham": SunAbraham{EventOptions: o, Control: NeverTreated}, "etwfe": ExtendedTwoWay{EventOptions: o, Control: NeverTreated},
		"stacked": Stacked{EventOptions: o, Control: NeverTreated}, "lpdid": LocalProjections{EventOptions: o, Control: NeverTreated},
	}
	for name, want := range map[string]float64{"sun-abraham": 0.5, "etwfe": 0.5, "stacked": 0.5, "lpdid": 0.5} {
		reftest.Near(t, name, byTerm(mustStudy(t, only[name], f))["event=0"].Value, want, 1e-12)
	}
	for name, want := range map[string]float64{"stacked": 2.0 / 3, "lpdid": 12.0 / 17} {
		e := map[string]eventEstimator{"stacked": Stacked{EventOptions: o, Control: NotYetTreated}, "lpdid": LocalProjections{EventOptions: o}}[name]
		reftest.Near(t, name, byTerm(mustStudy(t, e, f))["event=0"].Value, want, 1e-12)
	}
	gaps := gappy(22, 0)
	for _, anticipation := range []int{0, 1} {
		o.Anticipation = anticipation
		a := mustStudy(t, ExtendedTwoWay{EventOptions: o, Control: NeverTreated}, gaps)
		b := mustStudy(t, SunAbraham{EventOptions: o}, gaps)
		require.Equal(t, fmt.Sprint(b.Estimates), fmt.Sprint(a.Estimates))
		require.Equal(t, b.Details["overall_weights"], a.Details["overall_weights"])
		// Reweighted local projections are att-gt against the same comparison group.
		whole := staggered{units: 90, periods: 8, cohorts: []int{4, 5, 6, 0}, noise: 1, weights: true}.draw(61)
		got := byTerm(mustStudy(t, LocalProjections{EventOptions: o, After: pointer(3), Reweight: true, Control: NeverTreated}, whole))
		r := mustFit(t, GroupTime{Control: NeverTreated, Anticipation: anticipation}, whole)
		want := byTerm(mustAggregate(t, r, Dynamic, AggregateOptions{Bands: Pointwise}))
		for h := -2 - anticipation; h < 3; h++ {
			if got[eventTerm(h)].HasSE() {
				reftest.Near(t, eventTerm(h), got[eventTerm(h)].Value, want[eventTerm(h)].Value, 1e-11)
			}
		}
	}
	everybody := f.where(func(i int) bool { return f.Cohort[i] != 0 })
	for name, e := range only {
		_, err := e.Fit(t.Context(), everybody)
		require.ErrorIs(t, err, estimate.ErrNoControls, name)
	}
	for name, e := range map[string]eventEstimator{
		"sun-abraham": SunAbraham{Control: NotYetTreated}, "etwfe": ExtendedTwoWay{Control: "magic"}, "stacked": Stacked{Control: "magic"}, "lpdid": LocalProjections{Control: "magic"},
	} {
		_, err := e.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
}

// Extended two-way effects with a covariate and never-treated units alone: trends and effects that differ by x are right to rounding without noise,
// at the mean of the treated, and the events before treatment are 0.
func TestExtendedTwoWayNeverCovariate(t *testing.T) {
	f := staggered{units: 60, periods: 6, cohorts: []int{3, 5, 0}, covariates: 1}.draw(23)
	sum, n := 0.0, 0.0
	for i, g := range f.Cohort {
		x, p := f.X.At(i, 0), float64(f.Time[i])
		f.Y[i] += x * p * p
		if g != 0 && f.Time[i] >= g {
			f.Y[i] += 2 + x
			sum += 2 + x
			n++
		}
		f.Y[i] += 1e-9 * float64(i*7919%13) // an exact fit has no errors
	}
	got := byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: EventOptions{Bands: Pointwise}, Control: NeverTreated}, f))
	reftest.Near(t, "overall", got[Overall].Value, sum/n, 1e-7)
	reftest.Near(t, "before treatment", got["event=-2"].Value, 0, 1e-7)
	without := f.clone()
	without.X, without.XNames = nil, nil
	plain := byTerm(mustStudy(t, ExtendedTwoWay{EventOptions: EventOptions{Bands: Pointwise}, Control: NeverTreated}, without))
	require.Greater(t, plain[Overall].Value-sum/n, 0.1)
}
