package sensitivity

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// gaps is a frame with missing outcomes.
func gaps(y []float64, treated, missing string) (*estimate.Frame, []bool) {
	f := &estimate.Frame{Level: .95, Y: y}
	var gone []bool
	for i := range y {
		f.Unit = append(f.Unit, fmt.Sprint(i))
		f.Treated = append(f.Treated, treated[i] == '1')
		gone = append(gone, missing[i] == '1')
	}
	return f, gone
}

func byTerm(r *estimate.Result) map[string]estimate.Estimate {
	out := map[string]estimate.Estimate{}
	for _, e := range r.Estimates {
		out[e.Term] = e
	}
	return out
}

func noteCodes(r *estimate.Result) (out []string) {
	for _, n := range r.Notes {
		out = append(out, n.Code)
	}
	return out
}

// Treated 10, 12, 14 and one missing: mean 12, π ¼. Comparison 0, 2, 4 and two missing: mean 2, π ⅖.
// N = 6, factor 6/4, t on 4. Known: 10, Σφ² = 2·(4+4)/9 = 16/9, variance 8/3.
// δ in the treated: 10 + δ/4, the added variance (6/4)·δ²·(3·(¼)² + (¾)²)/16 = (6/4)·δ²·¾/16; the cross
// term Σ(y-ȳ)/3·(-¼/4) is 0. In the comparison arm: 10 - ⅖δ, (6/4)·δ²·(3·(⅖)²+2·(⅗)²)/25 = (6/4)·δ²·1.2/25.
func TestTippingByHand(t *testing.T) {
	f, gone := gaps([]float64{10, 12, 14, 99, 0, 2, 4, 99, 99}, "111100000", "000100011")
	r, err := Tipping{Missing: gone, Delta: []float64{0, -8, 5}}.Fit(t.Context(), f)
	require.NoError(t, err)
	e := byTerm(r)
	require.InDelta(t, 10, e["known"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(8./3), e["known"].SE, 1e-14)
	require.Equal(t, 4., e["known"].Test.DF)
	require.Equal(t, .25, e["arm=treated"].Value)
	require.InDelta(t, .4, e["arm=control"].Value, 1e-15)
	require.InDelta(t, 8, e["path=treated,delta=-8"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(8./3+1.5*64*.75/16), e["path=treated,delta=-8"].SE, 1e-14)
	require.InDelta(t, 8, e["path=control,delta=5"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(8./3+1.5*25*1.2/25), e["path=control,delta=5"].SE, 1e-14)
	require.InDelta(t, 10-2-8*.4, e["path=opposite,delta=-8"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(8./3+1.5*64*(.75/16+1.2/25)), e["path=opposite,delta=-8"].SE, 1e-14)
	// The tipping point solves (10+δ/4)² = q²(8/3 + δ²·9/128): the root nearest 0.
	q2 := math.Pow(num.StudentQuantile(.95, 4), 2)
	A, B, C := 1./16-q2*9/128, 2.5, 100-q2*8/3
	want := (-B + math.Sqrt(B*B-A*C)) / A
	require.InDelta(t, want, e["tipping,path=treated"].Value, 1e-9)
	require.NotContains(t, e, "worst-low")
	require.Empty(t, r.Notes)
}

// sample is matched pairs with missing outcomes.
func tippingSample(binary bool) (*estimate.Frame, []bool) {
	s := num.NewStream(5, "tipping", 0)
	f := &estimate.Frame{Level: .9, Weight: estimate.Weights{Kind: estimate.Matching}}
	var gone []bool
	for i := range 400 {
		treated := i%2 == 0
		y := s.Normal()
		if treated {
			y += .5
		}
		if binary {
			y = math.Max(0, math.Copysign(1, y-.4))
		}
		f.Unit = append(f.Unit, fmt.Sprint(i))
		f.Y, f.Treated, f.Set, f.Cluster = append(f.Y, y), append(f.Treated, treated), append(f.Set, i/2), append(f.Cluster, i/8)
		f.Weight.Values = append(f.Weight.Values, 1+float64(i%3))
		gone = append(gone, s.Float() < .15)
	}
	return f, gone
}

// Without a shift it is the difference of those with an outcome; with one the value is
// that of the data with the missing filled in; at the tipping point the interval touches 0.
func TestTippingAgreesWithDifferenceAndImputation(t *testing.T) {
	for _, binary := range []bool{false, true} {
		f, gone := tippingSample(binary)
		r, err := Tipping{Missing: gone, Delta: []float64{-.2}}.Fit(t.Context(), f)
		require.NoError(t, err)
		e := byTerm(r)
		known := &estimate.Frame{Level: .9, Weight: estimate.Weights{Kind: estimate.Matching}}
		for i := range f.Y {
			if !gone[i] {
				known.Unit, known.Y, known.Treated, known.Cluster = append(known.Unit, f.Unit[i]), append(known.Y, f.Y[i]), append(known.Treated, f.Treated[i]), append(known.Cluster, f.Cluster[i])
				known.Weight.Values = append(known.Weight.Values, f.Weight.Values[i])
			}
		}
		d, err := effect.Difference{}.Fit(t.Context(), known)
		require.NoError(t, err)
		want := d.Estimates[0]
		require.InDelta(t, want.Value, e["known"].Value, 1e-14)
		require.InDelta(t, want.SE, e["known"].SE, 1e-13)
		require.InDelta(t, want.CI.Lo, e["known"].CI.Lo, 1e-13)
		require.Equal(t, want.Measure, e["known"].Measure)

		filled := *f
		filled.Y = slices.Clone(f.Y)
		for i := range f.Y {
			if gone[i] {
				filled.Y[i] = r.Details["mean_control"].(float64)
				if f.Treated[i] {
					filled.Y[i] = r.Details["mean_treated"].(float64) - .2
				}
			}
		}
		d, err = effect.Difference{}.Fit(t.Context(), &filled)
		require.NoError(t, err)
		require.InDelta(t, d.Estimates[0].Value, e["path=treated,delta=-0.2"].Value, 1e-13)

		// The variance from the definition, cluster by cluster.
		sums, seen := map[int]float64{}, map[int]bool{}
		var with, all, mean [2]float64
		rows := 0.
		for i, w := range f.Weight.Values {
			a := i % 2 // even rows are treated
			all[a] += w
			if !gone[i] {
				with[a] += w
				mean[a] += w * f.Y[i]
				rows++
				seen[f.Cluster[i]] = true
			}
		}
		for i, w := range f.Weight.Values {
			a, sign, delta := i%2, 1., -.2
			if a == 1 {
				sign, delta = -1, 0
			}
			known := 1.
			if gone[i] {
				known = 0
			}
			sums[f.Cluster[i]] += sign * w * (known*(f.Y[i]-mean[a]/with[a])/with[a] + delta*((1-known)-(1-with[a]/all[a]))/all[a])
		}
		v := 0.
		for _, s := range sums {
			v += s * s
		}
		g := float64(len(seen))
		require.InDelta(t, math.Sqrt(v*g/(g-1)*(rows-1)/(rows-2)), e["path=treated,delta=-0.2"].SE, 1e-13)

		tip := e["tipping,path=opposite"].Value
		if math.IsNaN(tip) {
			require.Contains(t, noteCodes(r), "no-tipping")
			continue
		}
		require.Less(t, tip, 0.)
		r, err = Tipping{Missing: gone, Delta: []float64{tip}}.Fit(t.Context(), f)
		require.NoError(t, err)
		require.InDelta(t, 0, r.Estimates[len(r.Estimates)-1].CI.Lo, 1e-12)
	}
}

// With 0/1 outcomes shifts beyond 0 and 1 are none.
func TestTippingOfSharesStaysPossible(t *testing.T) {
	y := make([]float64, 400)
	treated, missing := make([]byte, 400), make([]byte, 400)
	for i := range y {
		treated[i], missing[i] = '0'+byte(i%2), '0'
		if i%2 == 1 && i%10 != 1 || i%2 == 0 && i%5 == 0 { // 80 % against 20 %
			y[i] = 1
		}
		if i%40 < 2 {
			missing[i] = '1'
		}
	}
	f, gone := gaps(y, string(treated), string(missing))
	r, err := Tipping{Missing: gone, Delta: []float64{.5}}.Fit(t.Context(), f)
	require.NoError(t, err)
	e := byTerm(r)
	require.Equal(t, estimate.RiskDifference, e["known"].Measure)
	require.True(t, math.IsNaN(e["tipping,path=treated"].Value))
	require.True(t, math.IsNaN(e["path=treated,delta=0.5"].Value))
	require.ElementsMatch(t, []string{"no-tipping", "shift-impossible"}, noteCodes(r))
	// All missing treated 0, all missing comparison 1: shares of arm times what is known.
	m1, m0, p1, p0 := r.Details["mean_treated"].(float64), r.Details["mean_control"].(float64), e["arm=treated"].Value, e["arm=control"].Value
	require.InDelta(t, m1*(1-p1)-m0*(1-p0)-p0, e["worst-low"].Value, 1e-14)
	require.InDelta(t, m1*(1-p1)+p1-m0*(1-p0), e["worst-high"].Value, 1e-14)
}

func TestTippingNotesAndErrors(t *testing.T) {
	f, gone := gaps([]float64{1, 2, 3, 1, 2, 4}, "111000", "100001")
	r, err := Tipping{Missing: gone}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, []string{"already-tipped"}, noteCodes(r))
	require.Zero(t, byTerm(r)["tipping,path=control"].Value)
	r, err = Tipping{Missing: make([]bool, 6)}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, []string{"nothing-missing"}, noteCodes(r))
	require.True(t, math.IsNaN(byTerm(r)["tipping,path=control"].Value))

	sets := *f
	sets.Set = []int{0, 1, 2, 0, 1, -1} // the third lacks its comparison unit
	sets.Weight = estimate.Weights{Kind: estimate.Matching, Values: []float64{1, 1, 1, 1, 1, 1}}
	sets.Weight.Values[4] = 0
	sets.Set[4] = 0
	_, err = Tipping{Missing: gone}.Fit(t.Context(), &sets)
	require.ErrorIs(t, err, estimate.ErrNoTreated, "the known treated one of set 1 lost its comparison unit")
	sets.Weight.Values[4], sets.Set[4] = 1, 1
	sets.Unit, sets.Y, sets.Treated, sets.Set = append(f.Unit, "a"), append(f.Y, 7), append(f.Treated, true), append(sets.Set, 0)
	sets.Weight.Values = append(sets.Weight.Values, 0)
	r, err = Tipping{Missing: append(gone, false)}.Fit(t.Context(), &sets)
	require.NoError(t, err)
	require.Equal(t, []string{"rows-without-weight", "units-in-no-pair", "pairs-incomplete", "already-tipped", "nothing-missing-path"}, noteCodes(r))
	require.Equal(t, .5, byTerm(r)["known"].Value)
	require.Equal(t, estimate.Counts{Units: 4, Treated: 2, Clusters: 2}, r.N)
}

func TestTippingRefuses(t *testing.T) {
	f, gone := gaps([]float64{1, 2, 3, 1, 2, 4}, "111000", "100001")
	for _, o := range []Tipping{{}, {Missing: gone, Delta: []float64{math.NaN()}}, {Missing: gone, Delta: []float64{1, 1}}} {
		_, err := o.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := Tipping{Missing: []bool{true, true, true, false, false, false}}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrNoTreated)
	_, err = Tipping{Missing: []bool{false, false, false, true, true, true}}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrNoControls)
	_, err = Tipping{Missing: []bool{false, true, true, false, true, true}}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	frequency := *f
	frequency.Weight = estimate.Weights{Kind: estimate.Frequency, Values: []float64{1, 1, 1, 1, 1, 1}}
	_, err = Tipping{Missing: gone}.Fit(t.Context(), &frequency)
	require.ErrorIs(t, err, estimate.ErrWeights)
}

// Coverage when outcomes go missing by what they are: the known alone miss the effect, the
// right shift holds its level.
func TestTippingCoverage(t *testing.T) {
	const reps = 400 * sim.Factor
	naive, right := 0, 0
	for rep := range reps {
		s := num.NewStream(17, "tipping coverage", uint64(rep))
		f := &estimate.Frame{Level: .95}
		var gone []bool
		for i := range 300 {
			// Both arms N(0, 1) with an outcome (seven of ten); missing outcomes of the treated are 1 lower: effect -0.3.
			away := s.Float() < .3
			f.Unit, f.Y, f.Treated, gone = append(f.Unit, fmt.Sprint(i)), append(f.Y, s.Normal()), append(f.Treated, i%2 == 0), append(gone, away)
		}
		r, err := Tipping{Missing: gone, Delta: []float64{-1}}.Fit(t.Context(), f)
		require.NoError(t, err)
		e := byTerm(r)
		if ci := e["known"].CI; ci.Lo <= -.3 && -.3 <= ci.Hi {
			naive++
		}
		if ci := e["path=treated,delta=-1"].CI; ci.Lo <= -.3 && -.3 <= ci.Hi {
			right++
		}
	}
	sim.Share(t, "tipping: known outcomes alone (must fail)", float64(naive)/reps, reps)
	sim.Share(t, "tipping: at the true shift", float64(right)/reps, reps)
	require.Less(t, float64(naive)/reps, .6)
	require.InDelta(t, .95, float64(right)/reps, .0359)
}

// Comparison units all known: a path that shifts them has nothing to shift, whatever the finding, and what their mean would be
// shifted to rules no point of the curve out. Nobody missing: every point is the plain difference.
func TestTippingOfKnownArm(t *testing.T) {
	var y []float64
	var arms, away string
	for i := range 40 {
		y = append(y, map[bool]float64{true: 1}[i%8 == 0 || i < 16 && i%2 == 0])
		arms, away = arms+string("01"[map[bool]int{true: 1}[i < 20]]), away+string("01"[map[bool]int{true: 1}[i == 3]])
	}
	f, gone := gaps(y, arms, away)
	r, err := Tipping{Missing: gone, Delta: []float64{-0.3, 0.9}}.Fit(t.Context(), f)
	require.NoError(t, err)
	e := byTerm(r)
	require.Contains(t, noteCodes(r), "nothing-missing-path")
	require.True(t, math.IsNaN(e["tipping,path=control"].Value))
	require.Equal(t, e["known"].Value, e["path=control,delta=-0.3"].Value)
	require.Equal(t, e["known"].Value, e["path=control,delta=0.9"].Value)
	require.True(t, math.IsNaN(e["path=treated,delta=0.9"].Value))
	for _, n := range r.Notes {
		if n.Code == "no-tipping" {
			require.NotContains(t, n.Args["paths"], "control")
		}
	}
	r, err = Tipping{Missing: make([]bool, 40), Delta: []float64{0.9}}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, []string{"nothing-missing"}, noteCodes(r))
	require.Equal(t, byTerm(r)["known"].Value, byTerm(r)["path=opposite,delta=0.9"].Value)
}
