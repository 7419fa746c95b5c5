package release

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

var infinite = math.Inf(1)

func TestEstimate(t *testing.T) {
	e := estimate.Wald("att", estimate.RiskDifference, 0.1, 0.02, infinite, 0.95)
	for name, c := range map[string]struct {
		on  Basis
		why Why
	}{
		"shown":                {Basis{Treated: 100, Control: 100, DF: 98}, ""},
		"few treated":          {Basis{Treated: 9, Control: 100, DF: 98}, BelowMinimum},
		"few controls":         {Basis{Treated: 100, Control: 9, DF: 98}, BelowMinimum},
		"no degrees given":     {Basis{Treated: 100, Control: 100}, FewDF},
		"few degrees":          {Basis{Treated: 100, Control: 100, DF: 9}, FewDF},
		"degrees not defined":  {Basis{Treated: 100, Control: 100, DF: math.NaN()}, FewDF},
		"few events":           {Basis{Treated: 100, Control: 100, DF: infinite, Events: &Arms{50, 4}}, EventCell},
		"few without":          {Basis{Treated: 100, Control: 100, DF: infinite, Events: &Arms{97, 50}}, EventCell},
		"few controls without": {Basis{Treated: 100, Control: 100, DF: infinite, Events: &Arms{50, 97}}, EventCell},
		"no event at all":      {Basis{Treated: 100, Control: 100, DF: infinite, Events: &Arms{0, 50}}, EventCell},
		"events enough":        {Basis{Treated: 100, Control: 100, DF: infinite, Events: &Arms{10, 90}}, ""},
		"one group":            {Basis{Treated: 100, Single: true, DF: infinite}, ""},
	} {
		out, w := Policy{}.Estimate("effect", e, c.on)
		require.Equal(t, c.why, out.Why, name)
		require.Equal(t, c.why == "", out.Shown, name)
		if c.why == "" {
			require.Equal(t, e, out.Number, name)
			require.Empty(t, w)
			continue
		}
		require.Equal(t, []Withheld{{"effect", c.why, 1}}, w, name)
		require.True(t, math.IsNaN(out.Number.Value) && math.IsNaN(out.Number.SE) && math.IsNaN(out.Number.CI.Lo) &&
			math.IsNaN(out.Number.CI.Hi) && math.IsNaN(out.Number.Test.P) && math.IsNaN(out.Number.Test.Stat), name)
		require.True(t, out.Treated.Suppressed() && out.Control.Suppressed())
		require.Equal(t, "att", out.Number.Term)
	}
	// 5 people of the cohort had no outcome: the number under the estimate would tell.
	out, _ := Policy{}.Estimate("effect", e, Basis{Treated: 95, Control: 80, Cohort: Arms{100, 100}, DF: infinite})
	require.True(t, out.Shown)
	require.True(t, out.Treated.Suppressed())
	require.Equal(t, "80", out.Control.String())
}

// One event time on 4 units is withheld; the overall average would give it away, so
// that the next smallest goes with it.
func TestSeries(t *testing.T) {
	var es []estimate.Estimate
	var on []Basis
	for i, n := range []int{40, 30, 20, 4} {
		es = append(es, estimate.Wald(string(rune('a'+i)), estimate.MeanDifference, float64(i), 1, infinite, 0.95))
		on = append(on, Basis{Treated: n, Control: 100, DF: infinite})
	}
	out, _, err := Policy{}.Series("es", es, on, false)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, true, false}, []bool{out[0].Shown, out[1].Shown, out[2].Shown, out[3].Shown})
	out, w, err := Policy{}.Series("es", es, on, true)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true, false, false}, []bool{out[0].Shown, out[1].Shown, out[2].Shown, out[3].Shown})
	require.Equal(t, []Withheld{{"es", Complementary, 1}, {"es", BelowMinimum, 1}}, w)
	_, _, err = Policy{}.Series("es", es, nil, false)
	require.ErrorIs(t, err, ErrInput)
}

// Whether an estimate is shown never depends on its value, and a larger minimum
// never shows more.
// Places with published values are not counted as people are; degrees of freedom are.
func TestPublishedPlaces(t *testing.T) {
	e := estimate.Wald("overall", estimate.MeanDifference, 1, 1, infinite, 0.95)
	on := Basis{Treated: 1, Control: 7, DF: infinite, Published: true}
	out, w := Policy{}.Estimate("x", e, on)
	require.True(t, out.Shown)
	require.Empty(t, w)
	require.Equal(t, []string{"1", "7"}, []string{out.Treated.String(), out.Control.String()})
	on.DF = 3
	out, _ = Policy{}.Estimate("x", e, on)
	require.False(t, out.Shown)
	on.DF, on.Published = infinite, false
	out, _ = Policy{}.Estimate("x", e, on)
	require.False(t, out.Shown)
}

func TestSeriesLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 2000 {
		n := rng.IntN(6) + 1
		es, other, on := make([]estimate.Estimate, n), make([]estimate.Estimate, n), make([]Basis, n)
		for i := range n {
			term := string(rune('a' + i))
			es[i] = estimate.Wald(term, estimate.MeanDifference, rng.NormFloat64(), 1, infinite, 0.95)
			other[i] = estimate.Wald(term, estimate.MeanDifference, 1e6*rng.NormFloat64(), 3, infinite, 0.95)
			on[i] = Basis{Treated: rng.IntN(40), Control: rng.IntN(40), DF: float64(rng.IntN(60))}
		}
		seen := make([]bool, n)
		for k := 25; k >= 3; k-- {
			p := Policy{k, 5}
			out, _, err := p.Series("x", es, on, true)
			require.NoError(t, err)
			blind, _, err := p.Series("x", other, on, true)
			require.NoError(t, err)
			for i := range n {
				require.Equal(t, out[i].Shown, blind[i].Shown)
				require.True(t, out[i].Shown || !seen[i])
				seen[i] = out[i].Shown
			}
		}
	}
}

func TestCurve(t *testing.T) {
	o := Occupation{
		Times: []float64{0, 1, 2, 3}, States: []string{"work", "study", "benefit"}, AtRisk: []int{200, 200, 100, 19},
		P: [][]float64{{0, 0, 1}, {0.02, 0.08, 0.9}, {0.3, 0.2, 0.5}, {0.4, 0.2, 0.4}},
	}
	c, w, err := Policy{}.Curve("curve", o)
	require.NoError(t, err)
	require.Equal(t, []float64{0, 1, 2}, c.Times, "fewer than 20 at risk ends the curve")
	value := func(t, s int) float64 { x, _ := c.P[t][s].Float(); return x }
	require.Equal(t, []float64{0, 0, 1}, []float64{value(0, 0), value(0, 1), value(0, 2)})
	require.True(t, c.P[1][0].Suppressed(), "4 people")
	require.True(t, c.P[1][1].Suppressed(), "4 people would follow")
	require.Equal(t, 0.9, value(1, 2))
	together, _ := c.Together[1].Float()
	require.Equal(t, 0.1, together)
	require.Equal(t, 0.3, value(2, 0))
	require.Equal(t, Withheld{"curve", AtRisk, 3}, w[len(w)-1])
	// A share that is not 0 is somebody, even where it rounds to nobody.
	c, _, err = Policy{}.Curve("curve", Occupation{Times: []float64{0}, States: []string{"a", "b", "c"}, AtRisk: []int{100}, P: [][]float64{{0.003, 0.497, 0.5}}})
	require.NoError(t, err)
	require.True(t, c.P[0][0].Suppressed())
	_, _, err = Policy{}.Curve("curve", Occupation{Times: []float64{0}})
	require.ErrorIs(t, err, ErrInput)
	o.P[0][0] = math.NaN()
	_, _, err = Policy{}.Curve("curve", o)
	require.ErrorIs(t, err, ErrInput)
}

func TestCurveLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		states, times := rng.IntN(5)+2, 4
		o := Occupation{States: make([]string, states)}
		atRisk := rng.IntN(200) + 20
		for s := range states {
			o.States[s] = string(rune('a' + s))
		}
		for i := range times {
			row, sum := make([]float64, states), 0.0
			for s := range row {
				row[s] = rng.ExpFloat64() * float64(rng.IntN(3))
				sum += row[s]
			}
			if sum == 0 {
				row[0], sum = 1, 1
			}
			for s := range row {
				row[s] /= sum
			}
			o.Times, o.P, o.AtRisk = append(o.Times, float64(i)), append(o.P, row), append(o.AtRisk, atRisk)
			atRisk -= rng.IntN(20)
		}
		type cell struct{ t, s int }
		seen := map[cell]bool{}
		for k := 20; k >= 3; k-- {
			c, _, err := Policy{k, 5}.Curve("x", o)
			require.NoError(t, err)
			now := map[cell]bool{}
			for i := range c.Times {
				sum, _ := c.Together[i].Float()
				for s, v := range c.P[i] {
					if x, ok := v.Float(); ok {
						now[cell{i, s}] = true
						sum += x
					}
				}
				require.InDelta(t, 1, sum, 1e-12)
			}
			for key := range seen {
				require.True(t, now[key])
			}
			seen = now
		}
	}
}
