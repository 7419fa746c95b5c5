package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// confounded has an effect of .5: .2 through s and .3 beside it. In the older cohort people with a high s take part, for reasons that
// nobody wrote down and that move the outcome only through s.
func confounded(seed, rep uint64, n int, binary bool) *SurrogateSample {
	s := &SurrogateSample{S: mat.NewDense(n, 1, nil), SNames: []string{"s"}, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: 0.95}
	for i := range n {
		st := num.NewStream(seed, "bridge", rep<<32|uint64(i))
		x, u := st.Normal(), st.Normal()
		older := st.Bernoulli(logistic(.2 + .4*x))
		p := .5
		if older {
			p = logistic(-.4 + 1.2*u)
		}
		treated, w := st.Bernoulli(p), 0.0
		if treated {
			w = 1
		}
		a := .5*x + .5*w + .8*u + .6*st.Normal()
		y := .4*a + .2*x + .3*w + .5*st.Normal()
		if binary {
			y = 0
			if st.Bernoulli(logistic(-1 + .8*a + .4*x + .6*w)) {
				y = 1
			}
		}
		if !older {
			y = noOutcome
		}
		s.Unit = append(s.Unit, fmt.Sprintf("u%06d", i))
		s.Older, s.Treated, s.Y = append(s.Older, older), append(s.Treated, treated), append(s.Y, y)
		s.X.Set(i, 0, x)
		s.S.Set(i, 0, a)
	}
	return s
}

// confoundedTruth of an outcome of 0 and 1: the predictor is -1 + .8x + 1.0W + N(0, .8²), less W's .6 + .4.
func confoundedTruth() float64 {
	return average(func(x float64) float64 {
		return average(func(v float64) float64 { return logistic(-1+.8*x+.8*v+1) - logistic(-1+.8*x+.8*v) }, func(float64) float64 { return 1 })
	}, func(x float64) float64 { return 1 - logistic(.2+.4*x) })
}

// Where surrogacy fails and the older cohort is confounded through the surrogate, the bridge covers and the index does not.
func TestOutcomeBridgeCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("long simulation")
	}
	for name, c := range map[string]struct {
		binary bool
		truth  float64
	}{"numbers": {false, .5}, "binary": {true, confoundedTruth()}} {
		const reps = 400 * sim.Factor
		covered, indexCovered, differs := 0, 0, 0
		var sum, square, errors, index float64
		for rep := range reps {
			r, err := OutcomeBridge{Folds: 2}.Fit(t.Context(), confounded(51, uint64(rep), 1000, c.binary))
			require.NoError(t, err)
			for k, e := range r.Estimates {
				in := e.CI.Lo <= c.truth && c.truth <= e.CI.Hi
				switch {
				case k == 0 && in:
					covered++
				case k == 1 && in:
					indexCovered++
				case k == 2 && !covers(e):
					differs++
				}
			}
			e := r.Estimates[0]
			sum, square, errors, index = sum+e.Value, square+e.Value*e.Value, errors+e.SE, index+r.Estimates[1].Value
		}
		mean := sum / reps
		sd := math.Sqrt(square/reps - mean*mean)
		t.Logf("%s: truth %.4f, bridge %.4f, SD %.4f, mean SE %.4f, coverage %.3f; index %.4f, coverage %.3f; differs %.2f", name, c.truth, mean, sd, errors/reps,
			float64(covered)/reps, index/reps, float64(indexCovered)/reps, float64(differs)/reps)
		require.InDelta(t, c.truth, mean, 3*sd/math.Sqrt(reps))
		require.InDelta(t, .95, float64(covered)/reps, .0359)
		require.InEpsilon(t, sd, errors/reps, .12)
		require.Less(t, float64(indexCovered)/reps, .5)
	}
}

// The estimator stands where μ is wrong and the weights are right, in both populations; published software's weights do not, and the plug-in does not.
// s is N(.5x + .5w, 1) in the programme and shifted by .6 for the treated and -.4 for the others in the older cohort, so that the logit of γ_w is
// linear; the outcome is s² + w·s.
func TestOutcomeBridgeIsDoublyRobust(t *testing.T) {
	const n = 60000
	s := &SurrogateSample{S: mat.NewDense(n, 1, nil), SNames: []string{"s"}, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: 0.95}
	for i := range n {
		st := num.NewStream(52, "robust", uint64(i))
		x := st.Normal()
		older := st.Bernoulli(logistic(.5 * x))
		treated, w := st.Bernoulli(.5), 0.0
		if older {
			treated = st.Bernoulli(.7)
		}
		a := .5*x + st.Normal()
		if treated {
			w = 1
			a += .5
		}
		switch {
		case older && treated:
			a += .6
		case older:
			a -= .4
		}
		s.Unit, s.Older, s.Treated = append(s.Unit, fmt.Sprintf("u%06d", i)), append(s.Older, older), append(s.Treated, treated)
		s.Y = append(s.Y, a*a+w*a+st.Normal())
		if !older {
			s.Y[i] = noOutcome
		}
		s.X.Set(i, 0, x)
		s.S.Set(i, 0, a)
	}
	for population, weight := range map[string]func(x float64) float64{
		"programme": func(x float64) float64 { return 1 - logistic(.5*x) },
		"older":     func(x float64) float64 { return logistic(.5 * x) },
	} {
		// E[S(1)² + S(1) - S(0)²|x] = .25 + .5x + .5x + .5
		truth := average(func(x float64) float64 { return .75 + x }, weight)
		r, err := OutcomeBridge{Population: population}.Fit(t.Context(), s)
		require.NoError(t, err)
		e, plain := r.Estimates[0], r.Details["plug_in"].(float64)
		t.Logf("%s: truth %.4f, bridge %.4f (%.4f), without corrections %.4f", population, truth, e.Value, e.SE, plain)
		require.InDelta(t, truth, e.Value, 3*e.SE)
		require.Greater(t, math.Abs(plain-truth), 3.5*e.SE)
		if population == "older" {
			continue
		}
		// The same with the published software's weights.
		f, err := newSurrogateFit(Surrogate{Population: population, TreatmentModel: "logistic", MinPerArm: 15, bridge: true}, s)
		require.NoError(t, err)
		require.NoError(t, f.nuisances(t.Context()))
		for i := range f.n {
			if f.treated[i] == 0 {
				// ρ is .7 for both arms, and P(G=0|x,w)/P(G=1|x,w) is left out.
				gx := logistic(.5 * covariate(f, i))
				right, wrong := .3, .7
				odds := (1 - gx) / gx * .5 / .3
				factor := right * odds / wrong
				g := (1 - f.gammaS[i]) / f.gammaS[i] * factor
				f.gammaS[i] = 1 / (1 + g)
			} else {
				gx := logistic(.5 * covariate(f, i))
				g := (1 - f.gammaS[i]) / f.gammaS[i] * (1 - gx) / gx * .5 / .7
				f.gammaS[i] = 1 / (1 + g)
			}
		}
		wrong, _, err := f.index()
		require.NoError(t, err)
		t.Logf("published weights %.4f", wrong)
		require.Greater(t, math.Abs(wrong-truth), 4*e.SE)
	}
}

func covariate(f *surrogateFit, i int) float64 { return f.s.X.At(f.rows[i], 0) }
