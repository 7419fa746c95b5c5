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

func mustFactor(t testing.TB, m FactorModel, f *Frame, d []bool) *estimate.Result {
	t.Helper()
	res, err := m.Fit(t.Context(), f, d)
	require.NoError(t, err)
	return res
}

func number(v float64) *float64 { return &v }

// With a penalty that leaves no factor, mc is the imputation estimator of two-way effects; without factors ife is unit and period effects of the never treated.
func TestFactorModelsWithoutFactors(t *testing.T) {
	f, d := waves(3, 12, 5, 10, []int{6, 8}, 1)
	dated := f.clone()
	dated.Cohort = make([]int, len(f.Y))
	first := map[string]int{}
	for i := range d {
		if d[i] && first[f.Unit[i]] == 0 {
			first[f.Unit[i]] = f.Time[i]
		}
	}
	for i, u := range f.Unit {
		dated.Cohort[i] = first[u]
	}
	want := byTerm(mustStudy(t, Imputation{EventOptions: EventOptions{Bands: Pointwise}}, dated))
	got := mustFactor(t, FactorModel{Method: MatrixCompletion, Errors: NoErrors, Lambda: number(1e9)}, f, d)
	require.Zero(t, got.Details["rank"])
	for _, e := range got.Estimates {
		reftest.Agree(t, e.Term, e.Value, want[e.Term].Value, 9)
	}
	did := mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: NoErrors}, f, d)
	ife := mustFactor(t, FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(0)}, f, d)
	reftest.Agree(t, Overall, byTerm(ife)[Overall].Value, byTerm(did)[Overall].Value, 11)
}

// Outcomes that are two factors without noise: ife with two finds the effect to rounding, chooses two by itself, and does not with one; mc with next to no penalty does too.
func TestFactorModelsFindFactors(t *testing.T) {
	f, d := &Frame{Level: 0.95}, []bool(nil)
	for u := range 20 {
		r := num.NewStream(4, "exact", uint64(u))
		a, b, level := r.Normal(), r.Normal(), r.Normal()
		for p := 1; p <= 12; p++ {
			y := level + 0.2*float64(p) + a*math.Sin(float64(p)) + b*float64(p*p)/20
			if u >= 16 && p >= 8+u%2 {
				y += 3
			}
			f.Unit, f.Time, f.Y, d = append(f.Unit, fmt.Sprintf("u%02d", u)), append(f.Time, p), append(f.Y, y), append(d, u >= 16 && p >= 8+u%2)
		}
	}
	two := mustFactor(t, FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(2)}, f, d)
	for _, e := range two.Estimates {
		reftest.Agree(t, e.Term, e.Value, 3, 9)
	}
	require.Greater(t, math.Abs(byTerm(mustFactor(t, FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(1)}, f, d))[Overall].Value-3), 0.05)
	chosen := mustFactor(t, FactorModel{Method: InteractiveEffects, Errors: NoErrors}, f, d)
	require.Equal(t, 2, chosen.Details["factors"])
	mc := mustFactor(t, FactorModel{Method: MatrixCompletion, Errors: NoErrors, Lambda: number(0.02)}, f, d)
	require.InDelta(t, 3, byTerm(mc)[Overall].Value, 0.1)
	_, err := FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(4)}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrCollinear)
}

// The optimum: with R the residuals of the untreated rows, U and V the singular vectors of L, R = λ(UV' + W) with W of norm 1 at most and outside of them: the largest singular
// value of R is λ, and R V = λU. Residuals add up to 0 by unit and by period.
func TestMatrixCompletionIsOptimal(t *testing.T) {
	f, d := waves(8, 14, 4, 9, []int{5, 7}, 1)
	p, _, err := layFactor(f, d)
	require.NoError(t, err)
	c := newCompletion(p, nil)
	const lambda = 1.5
	require.NoError(t, c.solve(lambda, 1e-12))
	require.Positive(t, c.rank)
	r := mat.NewDense(len(p.y), 9, nil)
	fitted := c.fitted()
	for u, y := range p.y {
		sum := 0.0
		for q, in := range c.in[u] {
			if in {
				r.Set(u, q, y[q]-fitted[u][q])
				sum += y[q] - fitted[u][q]
			}
		}
		require.InDelta(t, 0, sum, 1e-9)
	}
	for q := range 9 {
		require.InDelta(t, 0, mat.Sum(r.ColView(q)), 1e-9)
	}
	var svd, low mat.SVD
	require.True(t, svd.Factorize(r, mat.SVDNone))
	require.InDelta(t, lambda, svd.Values(nil)[0], 1e-8)
	require.True(t, low.Factorize(c.low, mat.SVDThin))
	var u, v, rv mat.Dense
	low.UTo(&u)
	low.VTo(&v)
	rv.Mul(r, &v)
	for j := range c.rank {
		for i := range len(p.y) {
			require.InDelta(t, lambda*u.At(i, j), rv.At(i, j), 1e-7)
		}
	}
}

// Row order and workers change nothing; a unit's level and a period's do not either; scale does what it must.
func TestFactorModelRelations(t *testing.T) {
	f, d := waves(5, 14, 4, 10, []int{6, 8}, 1)
	for _, m := range []FactorModel{{Method: MatrixCompletion, Errors: PlaceboErrors, Replicates: 12, Seed: 2}, {Method: MatrixCompletion, Errors: JackknifeErrors}, {Method: InteractiveEffects, Errors: BootstrapErrors, Replicates: 12, Seed: 2}} {
		base := mustFactor(t, m, f, d)
		m.Workers = 3
		var rows []int
		var mark []bool
		for i := range f.Y {
			rows = append(rows, (i*7919+11)%len(f.Y))
			mark = append(mark, d[rows[i]])
		}
		require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(mustFactor(t, m, f.rows(rows), mark).Estimates))
		affine := mustFactor(t, m, mapY(f, func(i int, y float64) float64 {
			return 4*y + float64(num.KeyedHash(1, f.Unit[i])%50) + float64(f.Time[i]*f.Time[i])
		}), d)
		for i, e := range base.Estimates {
			reftest.Near(t, e.Term, affine.Estimates[i].Value, 4*e.Value, 1e-5)
			require.Greater(t, e.SE, 0.0)
		}
	}
}

// One factor that treated units load on more: two-way imputation is off, mc is nearer and ife covers with the jackknife.
func TestFactorModelsCover(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		r := num.NewStream(seed, "factor-cover", 0)
		f, d := &Frame{Level: 0.95}, []bool(nil)
		for u := range 40 {
			level, load := r.Normal(), 1+r.Normal() // a factor weak among controls would be found too flat
			if u >= 30 {
				load++
			}
			for p := 1; p <= 12; p++ {
				y := level + load*float64(p)/4 + 0.5*math.Sin(float64(p)) + 0.5*r.Normal()
				if u >= 30 && p >= 9 {
					y += 2
				}
				f.Unit, f.Time, f.Y, d = append(f.Unit, fmt.Sprintf("u%02d", u)), append(f.Time, p), append(f.Y, y), append(d, u >= 30 && p >= 9)
			}
		}
		res, err := FactorModel{Method: InteractiveEffects, Errors: JackknifeErrors, Factors: ptr(1), Workers: 1}.Fit(t.Context(), f, d)
		if err != nil {
			panic(err)
		}
		e := res.Estimates[len(res.Estimates)-1]
		two, err := FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(0), Workers: 1}.Fit(t.Context(), f, d)
		if err != nil {
			panic(err)
		}
		plain := two.Estimates[len(two.Estimates)-1].Value
		return map[string]bool{"ife": e.CI.Lo <= 2 && 2 <= e.CI.Hi, "two-way": math.Abs(plain-2) <= 2*e.SE}
	})
	if math.Abs(got["ife"]-0.95) > band {
		t.Errorf("ife covers in %.4f", got["ife"])
	}
	if got["two-way"] > 0.3 {
		t.Errorf("two-way effects cover in %.4f: the scenario has no factor to find", got["two-way"])
	}
	t.Log(fmt.Sprint(got))
}

func TestFactorModelRefuses(t *testing.T) {
	f, d := waves(5, 14, 4, 10, []int{6, 8}, 1)
	for name, m := range map[string]FactorModel{"method": {Method: "sc", Errors: NoErrors}, "errors": {Method: MatrixCompletion, Errors: "magic"}, "replicates": {Method: MatrixCompletion, Errors: NoErrors, Replicates: 9},
		"lambda": {Method: InteractiveEffects, Errors: NoErrors, Lambda: number(1)}, "negative": {Method: MatrixCompletion, Errors: NoErrors, Lambda: number(-1)}, "factors": {Method: MatrixCompletion, Errors: NoErrors, Factors: ptr(1)},
		"seed": {Method: InteractiveEffects, Errors: NoErrors, Seed: 1}} {
		_, err := m.Fit(t.Context(), f, d)
		require.ErrorIs(t, err, ErrOption, name)
	}
	_, err := FactorModel{Method: InteractiveEffects, Errors: NoErrors, Factors: ptr(6)}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	few, mark := waves(5, 3, 4, 10, []int{6, 8}, 1)
	_, err = FactorModel{Method: InteractiveEffects, Errors: PlaceboErrors, Factors: ptr(0)}.Fit(t.Context(), few, mark)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	_, err = FactorModel{Method: InteractiveEffects, Errors: NoErrors}.Fit(t.Context(), f, make([]bool, len(f.Y)))
	require.ErrorIs(t, err, estimate.ErrNoTreated)
}

// A period that is left out is predicted, not fitted: the error of leaving one out is above that of the fit.
func TestFactorsAreChosenOutOfSample(t *testing.T) {
	f, d := waves(5, 14, 4, 10, []int{6, 8}, 1)
	p, _, err := layFactor(f, d)
	require.NoError(t, err)
	_, errs, err := p.chooseFactors()
	require.NoError(t, err)
	for r, left := range errs {
		fitted, err := p.interactive(r, -1)
		require.NoError(t, err)
		sum, n := 0.0, 0.0
		for u, s := range p.start {
			if s == len(p.periods) {
				continue
			}
			for q := range s {
				sum += (p.y[u][q] - fitted[u][q]) * (p.y[u][q] - fitted[u][q])
				n++
			}
		}
		require.Greater(t, left, 1.2*sum/n, r)
	}
}

// One unit has all the untreated rows of a period that the others lack: period effects cannot be told, which is said.
func TestCompletionSaysThatPeriodsCannotBeTold(t *testing.T) {
	p := &factorPanel{periods: []int{1, 2, 3}, names: []string{"a", "b"}, y: [][]float64{{1, 2, 3}, {2, 1, 5}}, start: []int{3, 1}}
	c := newCompletion(p, func(u, t int) bool { return t == 2 })
	require.ErrorIs(t, c.effects(), estimate.ErrCollinear)
}
