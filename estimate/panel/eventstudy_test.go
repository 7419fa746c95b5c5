package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

type eventEstimator interface {
	Fit(ctx context.Context, f *Frame) (*estimate.Result, error)
}

// eventMethods is every event-study estimator; robust are those that staggered entry
// with effects that differ does not bias.
func eventMethods(o EventOptions) map[string]eventEstimator {
	return map[string]eventEstimator{"twfe": TwoWay{o}, "sun-abraham": SunAbraham{EventOptions: o}, "imputation": Imputation{EventOptions: o}, "two-stage": TwoStage{EventOptions: o}, "etwfe": ExtendedTwoWay{EventOptions: o}}
}

var robust = []string{"sun-abraham", "imputation", "two-stage", "etwfe"}

func mustStudy(t testing.TB, e eventEstimator, f *Frame) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), f)
	require.NoError(t, err)
	checkResult(t, res)
	return res
}

// By hand. Units entering in 2 and 3, two never treated with means 0, 1, 2:
// y = (0,2,6), (1,1,2), (0,1,1), (0,1,3).
//
// Sun–Abraham: δ(2,2) = 2-1 = 1, δ(2,3) = 6-2 = 4, δ(3,1) = (1-1)-(0-1) = 1,
// δ(3,3) = 1-1 = 0. Events -2: 1, -1: reference, 0: 1/2, 1: 4, overall 5/3. Only the never
// treated have residuals; event 1 takes off their mean change from 1 to 3, which is off
// by ∓1, so ψ = ±1/2 and Σψ² = 1/2; overall takes off 2/3 of it, Σψ² = 2/9. The factor is
// G/(G-1)·(N-1)/(N-K) = 4/3·11/5 with K = 10 - 3 (10 coefficients, units counted once).
//
// Imputation: untreated rows are unit 1 in 1, unit 2 in 1 and 2, units 3 and 4 always.
// After unit means the normal equations of λ2 and λ3 (λ1 = 0) have, from unit 2, 1/2 and
// from units 3 and 4 each 2/3 and -1/3: A = [[1/2+4/3, -2/3], [-2/3, 4/3]], and right
// sides 0 + (1-2/3) + (1-4/3) = 0 and (1-2/3) + (3-4/3) = 2. The determinant is
// 11/6·4/3 - 4/9 = 2: λ2 = (2/3·2)/2 = 2/3, λ3 = (11/6·2)/2 = 11/6.
// τ(2,2) = 2 - 2/3 = 4/3, τ(2,3) = 6 - 11/6 = 25/6; unit 2 has α = 1 - λ2/2 = 2/3, so
// τ(3,3) = 2 - 2/3 - 11/6 = -1/2. Event 0: (4/3 - 1/2)/2 = 5/12, event 1: 25/6, overall
// (4/3 + 25/6 - 1/2)/3 = 5/3. Every cell has one unit, so that treated rows add nothing
// to the error of event 1. τ(2,3) counts λ3, A⁻¹(0,1)' = (1/3, 11/12): row t of a unit has
// v = -(z̃2/3 + 11/12·z̃3), and the residuals are of unit 2 (1/3, -1/3)·(…): with α = 2/3,
// 1 - 2/3 = 1/3 and 1 - 4/3 = -1/3; of unit 3, α = 2/3 - 5/6 = -1/6: 1/6, 1/2, -2/3; of unit
// 4, α = 4/3 - 5/6 = 1/2: -1/2, -1/6, 2/3. A unit's residuals sum to 0, so that Σ v·ε is
// -(ε2/3 + 11/12·ε3): 1/9 for unit 2, -1/6 + 11/18 = 4/9 for 3 and 1/18 - 11/18 = -5/9 for
// 4. Unit 1 has no residual. SE² = (1 + 16 + 25)/81 = 42/81.
func TestEventStudiesByHand(t *testing.T) {
	f := rect([]int{2, 3, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {0, 1, 3}})
	point := EventOptions{Bands: Pointwise}
	sa := byTerm(mustStudy(t, SunAbraham{EventOptions: point}, f))
	for term, want := range map[string]float64{"event=-2": 1, "event=0": 0.5, "event=1": 4, Overall: 5.0 / 3} {
		reftest.Agree(t, "sun-abraham "+term, sa[term].Value, want, 13)
	}
	require.Zero(t, sa["event=-1"].Value)
	require.False(t, sa["event=-1"].HasSE())
	factor := 4.0 / 3 * 11.0 / 5
	reftest.Agree(t, "event 1 se", sa["event=1"].SE, math.Sqrt(factor/2), 12)
	reftest.Agree(t, "overall se", sa[Overall].SE, math.Sqrt(factor*2/9), 12)
	require.Equal(t, 3.0, sa[Overall].Test.DF)

	im := byTerm(mustStudy(t, Imputation{EventOptions: point}, f))
	require.Len(t, im, 3)
	for term, want := range map[string]float64{"event=0": 5.0 / 12, "event=1": 25.0 / 6, Overall: 5.0 / 3} {
		reftest.Agree(t, "imputation "+term, im[term].Value, want, 13)
	}
	reftest.Agree(t, "imputation event 1 se", im["event=1"].SE, math.Sqrt(42)/9, 12)
	reftest.Agree(t, "twfe is the decomposed coefficient", byTerm(mustStudy(t, TwoWay{point}, f))[Overall].Value, twoWay(f), 12)
}

// By hand: two treated units from 2, two never treated, two periods: the two-by-two
// difference. Changes 3, 5 and 1, 2: effect 4 - 3/2 = 5/2. With one cohort and one event
// the conservative residual of the treated is their change less the mean, ±1 of which
// ψ = 1/2; of the never treated ±1/2 with 1/2: SE² = 2·(1/2)² + 2·(1/4)² = 5/8. Regression: the same Σψ² times G/(G-1)·(N-1)/(N-K) = 4/3·7/5,
// K = 6 - 3.
func TestEventStudyTwoByTwo(t *testing.T) {
	f := rect([]int{2, 2, 0, 0}, [][]float64{{7, 10}, {1, 6}, {2, 3}, {0, 2}})
	for name, e := range eventMethods(EventOptions{Bands: Pointwise}) {
		o := byTerm(mustStudy(t, e, f))
		want := math.Sqrt(5.0 / 8)
		if name != "imputation" && name != "two-stage" {
			want *= math.Sqrt(4.0 / 3 * 7.0 / 5)
		}
		for _, term := range []string{Overall, "event=0"} {
			reftest.Agree(t, name, o[term].Value, 2.5, 13)
			reftest.Agree(t, name+" se", o[term].SE, want, 12)
		}
	}
}

// What a treated unit's outcome does after its treatment moves its own effect and no
// other: 10 more for the treated rows of cohort 3 raise event e by 10 times the
// cohort's share there, and leave every event in which it has no part, and every event
// before treatment, alone. Two-way fixed effects fail this: units already treated, their
// own cohort's later periods too, are their comparison.
func TestEventStudiesNoTreatedRow(t *testing.T) {
	f := staggered{units: 60, periods: 7, cohorts: []int{3, 5, 0}, noise: 1, balanced: true}.draw(9)
	up := mapY(f, func(i int, y float64) float64 {
		if f.Cohort[i] == 3 && f.Time[i] >= 3 {
			return y + 10
		}
		return y
	})
	share := func(term string) float64 {
		switch term { // cohort 3 has events 0 … 4, cohort 5 events 0 … 2, of 20 units each
		case "event=0", "event=1", "event=2":
			return 0.5
		case "event=3", "event=4":
			return 1
		case Overall:
			return 5.0 / 8
		}
		return 0
	}
	methods := eventMethods(EventOptions{Bands: Pointwise})
	for name, e := range methods {
		a, b := byTerm(mustStudy(t, e, f)), byTerm(mustStudy(t, e, up))
		worst := 0.0
		for term := range a {
			worst = max(worst, math.Abs(b[term].Value-a[term].Value-10*share(term)))
		}
		if name == "twfe" {
			require.Greater(t, worst, 0.5)
		} else {
			require.Less(t, worst, 1e-10, name)
		}
	}
	// Nor does the cohort's later level matter for the other's effects within its own cells.
	res := mustStudy(t, SunAbraham{EventOptions: EventOptions{Bands: Pointwise}}, f)
	moved := mustStudy(t, SunAbraham{EventOptions: EventOptions{Bands: Pointwise}}, up)
	for i, row := range res.Details["cells"].([]map[string]any) {
		if other := moved.Details["cells"].([]map[string]any)[i]; row["group"] == 5 {
			reftest.Near(t, "cell of cohort 5", other["estimate"].(float64), row["estimate"].(float64), 1e-11)
		}
	}
}

// Units treated throughout have no untreated row: the robust estimators leave them out,
// count them and give the same numbers as without them; two-way fixed effects compare
// with them and say so.
func TestEventStudiesAlwaysTreated(t *testing.T) {
	f := staggered{units: 60, periods: 6, cohorts: []int{1, 3, 5, 0}, noise: 1, balanced: true, effect: func(g, t int) float64 { return float64(t - g) }}.draw(10)
	without := f.where(func(i int) bool { return f.Cohort[i] != 1 })
	for name, e := range eventMethods(EventOptions{Bands: Pointwise}) {
		a, b := mustStudy(t, e, f), mustStudy(t, e, without)
		if name == "twfe" {
			require.True(t, hasNote(a, "always-treated-compared"))
			require.NotEqual(t, byTerm(a)[Overall].Value, byTerm(b)[Overall].Value)
			continue
		}
		require.True(t, hasNote(a, "always-treated-dropped"), name)
		require.Equal(t, fmt.Sprint(b.Estimates), fmt.Sprint(a.Estimates), name)
		require.Equal(t, 45, a.N.Units)
	}
}

// Without never-treated units the last cohort is the comparison until it enters; what is
// after that has none and is named. No effect is made up where there is nothing to
// compare with: the events are those before the last cohort's entry.
func TestEventStudiesNeverAbsent(t *testing.T) {
	f := staggered{units: 60, periods: 7, cohorts: []int{3, 5, 6}, noise: 0, balanced: true,
		effect: func(g, t int) float64 { return float64(t-g+1) * float64(7-g) }}.draw(11)
	// Cohort 3: 4(e+1), cohort 5: 2(e+1), seen until period 5: events 0, 1, 2 and 0.
	for _, name := range robust {
		res := mustStudy(t, eventMethods(EventOptions{Bands: Pointwise})[name], f)
		got := byTerm(res)
		for term, want := range map[string]float64{"event=0": 3, "event=1": 8, "event=2": 12, Overall: (4 + 8 + 12 + 2) / 4.0} {
			reftest.Agree(t, name+" "+term, got[term].Value, want, 10)
		}
		for term := range got {
			require.NotContains(t, []string{"event=3", "event=4"}, term, name)
		}
		require.True(t, hasNote(res, map[string]string{"sun-abraham": "last-cohort-compared", "etwfe": "last-cohort-compared"}[name]) || hasNote(res, "rows-not-imputed"), name)
	}
	res, err := TwoWay{EventOptions{Bands: Pointwise}}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.True(t, hasNote(res, "events-not-identified"))
	for _, e := range res.Estimates {
		require.Equal(t, e.Term != Overall, math.IsNaN(e.Value), e.Term)
	}
	// One cohort and nobody else: nothing can be compared.
	alone := f.where(func(i int) bool { return f.Cohort[i] == 3 })
	for name, e := range eventMethods(EventOptions{}) {
		_, err := e.Fit(t.Context(), alone)
		require.Error(t, err, name)
	}
}

// Effects that start one period early: with Anticipation 1 the period before treatment
// is no comparison any more and overall is right.
func TestEventStudiesAnticipation(t *testing.T) {
	f := staggered{units: 30, periods: 6, cohorts: []int{4, 5, 0}, noise: 0, balanced: true,
		effect: func(int, int) float64 { return 2 }}.draw(12)
	f = mapY(f, func(i int, y float64) float64 {
		if f.Cohort[i] != 0 && f.Time[i] == f.Cohort[i]-1 {
			return y + 1
		}
		return y
	})
	for name, e := range eventMethods(EventOptions{Anticipation: 1, Bands: Pointwise}) {
		got := byTerm(mustStudy(t, e, f))
		reftest.Agree(t, name, got[Overall].Value, 2, 10)
		reftest.Agree(t, name, got["event=-1"].Value, 1, 10)
	}
	got := byTerm(mustStudy(t, SunAbraham{EventOptions: EventOptions{Bands: Pointwise}}, f))
	reftest.Agree(t, "without", got[Overall].Value, 1, 10)
}

// Row order and workers change no bit; the outcome is affine; a constant per unit or
// period changes nothing; weights 2 are weights 1, and copies of a unit its weight.
func TestEventStudiesInvariants(t *testing.T) {
	s := small
	s.weights = true
	f := s.draw(13)
	f = f.where(func(i int) bool { return i%17 != 3 }) // gaps
	f.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		f.Cluster[i] = fmt.Sprint(num.KeyedHash(5, u) % 12)
		f.X.Set(i, 0, f.X.At(i, 0)*float64(f.Time[i])+float64(i%5))
		f.Weight[i] = float64(num.KeyedHash(3, u)%3) + 1
	}
	var shuffled, list, copyNo []int
	for i := range f.Y {
		shuffled = append(shuffled, (i*7919+11)%len(f.Y))
		for c := range int(f.Weight[i]) {
			list, copyNo = append(list, i), append(copyNo, c)
		}
	}
	copies := f.rows(list)
	copies.Weight = nil
	for i := range copies.Unit {
		copies.Unit[i] = fmt.Sprintf("%s-%d", copies.Unit[i], copyNo[i])
	}
	scaled := mapY(f, func(i int, y float64) float64 {
		return 3*y + 100*float64(f.Time[i]*f.Time[i]) + float64(num.KeyedHash(1, f.Unit[i])%1000)
	})
	for i := range scaled.Weight {
		scaled.Weight[i] *= 2
	}
	for _, workers := range []int{1, 8} {
		for name, e := range eventMethods(EventOptions{Workers: workers, Seed: 3, Replicates: 199}) {
			base, again := mustStudy(t, e, f), mustStudy(t, eventMethods(EventOptions{Workers: 3, Seed: 3, Replicates: 199})[name], f.rows(shuffled))
			require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates), name)
			require.True(t, hasNote(base, "unbalanced-units-kept"), name)
			copied, other := mustStudy(t, e, copies), mustStudy(t, e, scaled)
			for i, v := range base.Estimates {
				reftest.Near(t, name+" copies "+v.Term, copied.Estimates[i].Value, v.Value, 1e-9)
				reftest.Near(t, name+" affine "+v.Term, other.Estimates[i].Value, 3*v.Value, 1e-8)
				if v.HasSE() {
					reftest.Agree(t, name+" affine se "+v.Term, other.Estimates[i].SE, 3*v.SE, 8)
				}
			}
		}
	}
}

// The band is that of cluster sums: two copies of each unit in one cluster know what the
// unit knows, and share its sign in every draw.
func TestEventStudiesBandOfClusters(t *testing.T) {
	f := small.draw(16)
	f.X, f.XNames, f.Cluster = nil, nil, slices.Clone(f.Unit)
	copies := f.rows(append(f.all(), f.all()...))
	for i := range copies.Unit {
		copies.Unit[i] = fmt.Sprintf("%s-%d", copies.Unit[i], i/len(f.Y))
	}
	a, b := mustStudy(t, Imputation{EventOptions: EventOptions{Seed: 3}}, f), mustStudy(t, Imputation{EventOptions: EventOptions{Seed: 3}}, copies)
	for i, e := range a.Estimates {
		reftest.Agree(t, e.Term, b.Estimates[i].SE, e.SE, 9)
		reftest.Agree(t, e.Term+" high", b.Estimates[i].CI.Hi, e.CI.Hi, 9)
		require.Equal(t, e.Term != Overall, e.CI.Method == "uniform-band")
		if half := (e.CI.Hi - e.CI.Lo) / 2; e.Term != Overall {
			require.Greater(t, half, 2.1*e.SE) // three terms: wider than pointwise
		}
	}
}

// Bad input has its error, with the row where there is one.
func TestEventStudiesRefuse(t *testing.T) {
	f := small.draw(15)
	for name, e := range eventMethods(EventOptions{}) {
		fit := func(g *Frame) error {
			_, err := e.Fit(t.Context(), g)
			return err
		}
		twice := f.rows(append(f.all(), 0))
		require.ErrorIs(t, fit(twice), ErrDuplicate, name)
		moved := f.clone()
		moved.Cohort[1] = 2
		require.ErrorIs(t, fit(moved), ErrCohortChanges, name)
		loose := f.clone()
		loose.Cluster = make([]string, len(f.Y))
		loose.Cluster[1] = "x"
		require.ErrorIs(t, fit(loose), ErrNotNested, name)
		require.ErrorIs(t, fit(f.where(func(i int) bool { return f.Time[i] == 1 })), ErrOnePeriod, name)
		require.ErrorIs(t, fit(f.where(func(i int) bool { return f.Cohort[i] == 0 })), estimate.ErrNoTreated, name)
		zero := f.clone()
		zero.Weight = ones(len(f.Y))
		zero.Weight[2] = 0
		require.ErrorIs(t, fit(zero), estimate.ErrWeights, name)
	}
	for _, o := range []EventOptions{{Anticipation: -1}, {Bands: "wide"}, {Replicates: 9}, {Bands: Pointwise, Replicates: 99}} {
		for name, e := range eventMethods(o) {
			_, err := e.Fit(t.Context(), f)
			require.ErrorIs(t, err, ErrOption, name)
		}
	}
	_, err := Imputation{}.Fit(t.Context(), f) // x does not vary within units
	require.ErrorIs(t, err, estimate.ErrCollinear)
	require.ErrorContains(t, err, `"x1"`)
}

// Staggered entry, effects that grow and are larger for early cohorts: two-way fixed
// effects miss the average effect of the treated rows, the others cover it. The shares of
// the cohorts are fixed, as the errors count them as known.
func TestEventStudiesCover(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const draws, wide = 200, 0.0507 // 3.29 Monte Carlo errors
	truth := map[string]float64{"event=0": 0.75, "event=1": 1.5, "event=2": 2.25, "event=3": 4, "event=4": 5, Overall: 18.0 / 8}
	covers := make([]map[string]bool, draws)
	num.ForEach(draws, 2, func(i int) {
		s := growing
		s.units, s.balanced = 90, true
		f := s.draw(uint64(1000 + i))
		covers[i] = map[string]bool{}
		for name, e := range eventMethods(EventOptions{Bands: Pointwise, Workers: 1}) {
			for _, v := range mustStudy(t, e, f).Estimates {
				if want, ok := truth[v.Term]; ok {
					covers[i][name+" "+v.Term] = v.CI.Lo <= want && want <= v.CI.Hi
				}
			}
		}
	})
	share := map[string]float64{}
	for _, c := range covers {
		for key, in := range c {
			if in {
				share[key] += 1.0 / draws
			}
		}
	}
	if share["twfe "+Overall] > 0.3 {
		t.Errorf("two-way fixed effects cover in %.3f: the scenario does not show their bias", share["twfe "+Overall])
	}
	for _, name := range robust {
		for _, term := range []string{"event=0", "event=1", "event=2", "event=3", "event=4", Overall} {
			if got := share[name+" "+term]; math.Abs(got-0.95) > wide {
				t.Errorf("%s %s covers in %.4f, want 0.95 ± %.4f", name, term, got, wide)
			}
		}
	}
	t.Log(fmt.Sprint(share))
}
