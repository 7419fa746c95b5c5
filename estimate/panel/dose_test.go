package panel

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// By hand, a line: doses 1, 2, 3 twice, changes 3, 4, 8 and 5, 6, 10 less that of the controls, 0 and 2, mean 1: δ = 2, 3, 7, 4, 5, 9. Slope
// Σ(d - 2)δ/Σ(d - 2)² = (7 + 9 - 2 - 4)/4 = 2.5, mean 5: dose=1 is 2.5, dose=3 7.5. Residuals -0.5, -2, -0.5, 1.5, 0, 1.5. Error of the slope: treated
// Σ((d - 2)e)²/16 = (0.25 + 0.25 + 2.25 + 2.25)/16; controls move all δ alike and not the slope. Overall: Σ(δ - 5)²/36 = (9 + 4 + 4 + 1 + 0 + 16)/36 and controls (1 + 1)/4.
func TestDoseByHand(t *testing.T) {
	f := rect([]int{2, 2, 2, 2, 2, 2, 0, 0}, [][]float64{{0, 3}, {1, 5}, {0, 8}, {2, 7}, {0, 6}, {0, 10}, {4, 4}, {1, 3}})
	var doses []float64
	for _, d := range []float64{1, 2, 3, 1, 2, 3, 0, 0} {
		doses = append(doses, 0, d)
	}
	res, err := Dose{Dose: doses, Degree: 1, At: []float64{1, 3}}.Fit(t.Context(), f)
	require.NoError(t, err)
	got := byTerm(res)
	for term, want := range map[string]float64{"dose=1": 2.5, "dose=3": 7.5, "acrt=1": 2.5, Overall: 5, "overall-acrt": 2.5} {
		reftest.Agree(t, term, got[term].Value, want, 12)
	}
	reftest.Agree(t, "slope's error", got["acrt=3"].SE, math.Sqrt(5.0/16), 12)
	reftest.Agree(t, "overall's error", got[Overall].SE, math.Sqrt(34.0/36+0.5), 12)
	require.True(t, hasNote(res, "strong-parallel-trends"))
	did := mustAggregate(t, mustFit(t, GroupTime{}, f), Simple, AggregateOptions{}).Estimates[0]
	reftest.Agree(t, "overall is did's", got[Overall].SE, did.SE, 12)
}

// By hand, with a covariate: of the controls x 0, 0, 2, 2 and changes 0, 2, 4, 6, so γ = (1, 2), residuals -1, 1, -1, 1. Doses 1, 2, 3 twice with x 0, 1, 2, 0, 1, 0 and
// changes 3, 6, 12, 5, 8, 10: δ = 2, 3, 7, 4, 5, 9 as above, slope 2.5, mean 5. H = (8, -4; -4, 4)/16: the controls move γ by (∓1/2, ±1/4), (0, ∓1/4). Slope: Σ(d - 2)x/4 = 1/2 of the
// second, 4·(1/8)²; overall: the first and the mean x 2/3 of the second, ∓1/3, ∓1/6: 2/9 + 2/36.
func TestDoseCovariatesByHand(t *testing.T) {
	f := rect([]int{2, 2, 2, 2, 2, 2, 0, 0, 0, 0}, [][]float64{{0, 3}, {1, 7}, {0, 12}, {2, 7}, {0, 8}, {0, 10}, {4, 4}, {1, 3}, {0, 4}, {1, 7}})
	var doses []float64
	f.X, f.XNames = mat.NewDense(20, 1, nil), []string{"x"}
	for i, d := range []float64{1, 2, 3, 1, 2, 3, 0, 0, 0, 0} {
		doses = append(doses, 0, d)
		x := []float64{0, 1, 2, 0, 1, 0, 0, 0, 2, 2}[i]
		f.X.Set(2*i, 0, x)
		f.X.Set(2*i+1, 0, 100+x*float64(i)) // after the base period it plays no part
	}
	res, err := Dose{Dose: doses, Degree: 1, At: []float64{1, 3}}.Fit(t.Context(), f)
	require.NoError(t, err)
	checkInfluence(t, res)
	got := byTerm(res)
	for term, want := range map[string]float64{"dose=1": 2.5, "dose=3": 7.5, "acrt=1": 2.5, Overall: 5, "overall-acrt": 2.5} {
		reftest.Agree(t, term, got[term].Value, want, 12)
	}
	reftest.Agree(t, "slope's error", got["acrt=3"].SE, math.Sqrt(6.0/16), 12)
	reftest.Agree(t, "overall's error", got[Overall].SE, math.Sqrt(34.0/36+5.0/18), 12)
	did := mustAggregate(t, mustFit(t, GroupTime{Method: Regression}, f), Simple, AggregateOptions{}).Estimates[0]
	reftest.Agree(t, "overall is did's", got[Overall].Value, did.Value, 12)
	reftest.Agree(t, "its error is did's", got[Overall].SE, did.SE, 12)
	f.X.Set(12, 0, 2) // three controls have 2, and one more
	f.X.Set(14, 0, 2)
	_, err = Dose{Dose: doses, Degree: 1}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	require.ErrorContains(t, err, `"x"`)
	f.X, f.XNames = mat.NewDense(20, 3, nil), []string{"x", "z", "v"}
	_, err = Dose{Dose: doses, Degree: 1}.Fit(t.Context(), f) // four controls, four coefficients
	require.ErrorIs(t, err, estimate.ErrNoControls)
}

// Trends that go with a covariate, and doses too: covered with it, missed without it. Weights, row order and clusters as without covariates.
func TestDoseCovariatesCover(t *testing.T) {
	draw := func(seed uint64, units int) (*Frame, []float64) {
		f, doses := dosed(seed, units)
		f.X, f.XNames = mat.NewDense(len(f.Y), 1, nil), []string{"x"}
		for i, u := range f.Unit {
			x := num.NewStream(seed, "dose-x", num.KeyedHash(1, u)).Normal() + 0.6*doses[i]
			f.X.Set(i, 0, x)
			f.Y[i] += 0.5 * x * float64(f.Time[i])
		}
		return f, doses
	}
	got := simulate(t, func(seed uint64) map[string]bool {
		f, doses := draw(seed, 240)
		out := map[string]bool{}
		for _, with := range []bool{true, false} {
			g := *f
			if !with {
				g.X, g.XNames = nil, nil
			}
			res, err := Dose{Dose: doses, Degree: 2, At: []float64{1, 2, 3}}.Fit(t.Context(), &g)
			if err != nil {
				panic(err)
			}
			for _, e := range res.Estimates {
				want := 1.0
				if d, ok := strings.CutPrefix(e.Term, "dose="); ok {
					want = map[string]float64{"1": 1.75, "2": 3, "3": 3.75}[d]
				} else if d, ok := strings.CutPrefix(e.Term, "acrt="); ok {
					want = map[string]float64{"1": 1.5, "2": 1, "3": 0.5}[d]
				} else if e.Term == Overall {
					want = 4 - (4+0.75)/4
				}
				out[fmt.Sprint(e.Term, with)] = e.CI.Lo <= want && want <= e.CI.Hi
			}
		}
		return out
	})
	for term, share := range got {
		if name, ok := strings.CutSuffix(term, "true"); ok && math.Abs(share-0.95) > band {
			t.Errorf("%s covers in %.4f", name, share)
		}
	}
	require.Less(t, got["overallfalse"], 0.5)
	t.Log(fmt.Sprint(got))
}

// dosed is two cohorts and never treated; the effect of dose d in every period is 2d - d²/4.
func dosed(seed uint64, units int) (*Frame, []float64) {
	f, doses := &Frame{Level: 0.95}, []float64(nil)
	for u := range units {
		r := num.NewStream(seed, "dose", uint64(u))
		g := []int{3, 4, 0}[u%3]
		d := 0.5 + 3*r.Float()
		if g == 0 {
			d = 0
		}
		level := 2*r.Normal() + d
		for t := 1; t <= 6; t++ {
			y := level + 0.3*float64(t) + r.Normal()
			if g > 0 && t >= g {
				y += 2*d - d*d/4
			}
			f.Unit, f.Time, f.Cohort, f.Y = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t), append(f.Cohort, g), append(f.Y, y)
			doses = append(doses, d)
		}
	}
	return f, doses
}

// The curve and its slope are covered; the regression of the outcome on the dose received with unit and period effects misses the mean slope, 2 - 1 = 1 (mean dose 2).
func TestDoseCovers(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f, doses := dosed(seed, 240)
		res, err := Dose{Dose: doses, Degree: 2, At: []float64{1, 2, 3}}.Fit(t.Context(), f)
		if err != nil {
			panic(err)
		}
		out := map[string]bool{}
		for _, e := range res.Estimates {
			var d float64
			var want float64
			if n, _ := fmt.Sscanf(e.Term, "dose=%f", &d); n == 1 {
				want = 2*d - d*d/4
			} else if n, _ := fmt.Sscanf(e.Term, "acrt=%f", &d); n == 1 {
				want = 2 - d/2
			} else if e.Term == Overall {
				want = 4 - (4+0.75)/4 // E d² = 2² + 3²/12
			} else {
				want = 1
			}
			out[e.Term] = e.CI.Lo <= want && want <= e.CI.Hi
		}
		return out
	})
	for term, share := range got {
		if math.Abs(share-0.95) > band {
			t.Errorf("%s covers in %.4f", term, share)
		}
	}
	t.Log(fmt.Sprint(got))
}

// Row order changes nothing; levels and periods do not either; the unit of doses divides slopes; a spline with knots fits what has a bend; a higher degree that is not needed changes little.
func TestDoseRelations(t *testing.T) {
	f, doses := dosed(3, 120)
	fit := func(o Dose, g *Frame) *estimate.Result {
		res, err := o.Fit(t.Context(), g)
		require.NoError(t, err)
		checkInfluence(t, res)
		return res
	}
	o := Dose{Dose: doses, At: []float64{1, 2}}
	base := fit(o, f)
	var rows []int
	var moved []float64
	for i := range f.Y {
		rows = append(rows, (i*7919+11)%len(f.Y))
		moved = append(moved, doses[rows[i]])
	}
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(fit(Dose{Dose: moved, At: o.At}, f.rows(rows)).Estimates))
	affine := fit(o, mapY(f, func(i int, y float64) float64 {
		return 3*y + float64(num.KeyedHash(1, f.Unit[i])%50) + float64(f.Time[i]*f.Time[i])
	}))
	tenfold := Dose{At: []float64{10, 20}}
	for _, d := range doses {
		tenfold.Dose = append(tenfold.Dose, 10*d)
	}
	scaled := fit(tenfold, f)
	for i, e := range base.Estimates {
		reftest.Near(t, e.Term, affine.Estimates[i].Value, 3*e.Value, 1e-8)
		want := e.Value
		if e.Measure == estimate.Coefficient {
			want /= 10
		}
		reftest.Near(t, e.Term, scaled.Estimates[i].Value, want, 1e-8)
	}
	for name, other := range map[string]Dose{"degree": {Dose: doses, At: o.At, Degree: 1}, "knots": {Dose: doses, At: o.At, Knots: 2}, "control": {Dose: doses, At: o.At, Control: NeverTreated}, "anticipation": {Dose: doses, At: o.At, Anticipation: 1}} {
		require.NotEqual(t, base.Estimates[0].Value, fit(other, f).Estimates[0].Value, name)
	}
	bent := mapY(f, func(i int, y float64) float64 {
		if g := f.Cohort[i]; g > 0 && f.Time[i] >= g {
			y += 30 * math.Max(doses[i]-2, 0)
		}
		return y
	})
	line, spline := fit(Dose{Dose: doses, At: o.At, Degree: 1}, bent), fit(Dose{Dose: doses, At: o.At, Degree: 1, Knots: 3}, bent)
	require.InDelta(t, 1.75, spline.Estimates[0].Value, 1.5)
	require.Greater(t, math.Abs(line.Estimates[0].Value-1.75), 3.0)
}

// checkInfluence holds for results that need not be mean differences.
func checkInfluence(t *testing.T, res *estimate.Result) {
	t.Helper()
	for j, e := range res.Estimates {
		reftest.Agree(t, e.Term, e.SE*e.SE, res.Cov.At(j, j), 10)
	}
}

func TestDoseRefuses(t *testing.T) {
	f, doses := dosed(3, 60)
	for name, o := range map[string]Dose{"degree": {Dose: doses, Degree: 9}, "knots": {Dose: doses, Knots: -1}, "at": {Dose: doses, At: []float64{99}}, "control": {Dose: doses, Control: "magic"}} {
		_, err := o.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
	change := func(at int, v float64) []float64 {
		out := append([]float64(nil), doses...)
		out[at] = v
		return out
	}
	for name, d := range map[string][]float64{"changes": change(5, 9), "negative": change(5, -1), "never": change(12, 1), "short": doses[1:]} {
		_, err := Dose{Dose: d}.Fit(t.Context(), f)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame, name)
	}
	none := append([]float64(nil), doses...)
	for i := range 6 {
		none[i] = 0
	}
	_, err := Dose{Dose: none}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	same := make([]float64, len(doses))
	for i, d := range doses {
		if d > 0 {
			same[i] = 2
		}
	}
	_, err = Dose{Dose: same}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	_, err = Dose{Dose: doses, Knots: 20}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}

// The influence function is the derivative in the weight of each unit, of units that are treated and compared with too.
func TestDoseInfluenceIsTheDerivative(t *testing.T) {
	for _, covariate := range []bool{false, true} {
		f, doses := dosed(5, 30)
		f.Weight = ones(len(f.Y))
		if covariate {
			f.X, f.XNames = mat.NewDense(len(f.Y), 1, nil), []string{"x"}
			for i, u := range f.Unit {
				f.X.Set(i, 0, float64(num.KeyedHash(uint64(f.Time[i]), u)%100)/25)
			}
		}
		fit := func(g *Frame) *estimate.Result {
			res, err := Dose{Dose: doses, Degree: 1, At: []float64{2}}.Fit(t.Context(), g)
			require.NoError(t, err)
			return res
		}
		base := fit(f)
		const h = 1e-4
		for at, u := range base.InfluenceUnit {
			var values [2][]estimate.Estimate
			for side, factor := range []float64{math.Exp(h), math.Exp(-h)} {
				g := f.clone()
				for i := range g.Unit {
					if g.Unit[i] == u {
						g.Weight[i] = factor
					}
				}
				values[side] = fit(g).Estimates
			}
			for j := range base.Estimates {
				require.InDelta(t, (values[0][j].Value-values[1][j].Value)/(2*h), base.Influence.At(at, j), 1e-6, "%s %s", u, base.Estimates[j].Term)
			}
		}
	}
}
