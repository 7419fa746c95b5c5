package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// tiltCells has one binary surrogate and no covariates: in the older cohort P(Y) is ¼ at s = 0 and ½ at s = 1; of 20 treated 15 have s = 1, of 20 others 5.
func tiltCells() (*SurrogateSample, []float64) {
	s := &SurrogateSample{SNames: []string{"s"}, Level: .95}
	var cells []float64
	add := func(older, treated bool, x, y float64, n int) {
		for range n {
			s.Unit, s.Older, s.Treated = append(s.Unit, string(rune('a'+len(s.Unit)/26%26))+string(rune('a'+len(s.Unit)%26))+string(rune('a'+len(s.Unit)/676))), append(s.Older, older), append(s.Treated, treated)
			s.Y, cells = append(s.Y, y), append(cells, x)
		}
	}
	for _, w := range []bool{false, true} {
		add(true, w, 0, 0, 15)
		add(true, w, 0, 1, 5)
		add(true, w, 1, 0, 10)
		add(true, w, 1, 1, 10)
	}
	add(false, true, 1, noOutcome, 15)
	add(false, true, 0, noOutcome, 5)
	add(false, false, 1, noOutcome, 5)
	add(false, false, 0, noOutcome, 15)
	s.S = mat.NewDense(len(cells), 1, cells)
	return s, cells
}

// One binary surrogate, no covariates, constant treatment: by hand. In the older cohort P(Y) is ¼ at s = 0 and ½ at s = 1; of 20 treated 15 have s = 1, of 20
// others 5: index ½·¼ = .125. With odds thrice as large P is ½ and ¾, the same difference; with odds a third 1/10 and ¼: ½·.15 = .075.
func TestTiltByHand(t *testing.T) {
	s, cells := tiltCells()
	r, err := Surrogate{TreatmentModel: "constant", Tilt: []float64{0, math.Log(3), -math.Log(3)}}.Fit(t.Context(), s)
	require.NoError(t, err)
	k := len(r.Estimates) - 3
	for q, want := range []float64{.125, .125, .075} {
		reftest.Near(t, "tilt", r.Estimates[k+q].Value, want, 1e-9)
	}
	require.Equal(t, "index,tilt=0", r.Estimates[k].Term)
	reftest.Agree(t, "error of tilt 0", r.Estimates[k].SE, r.Estimates[0].SE, 12)
	// dν_η/dν = 3/(1 + 2ν)² is 4/3 at ν = ¼ and ¾ at ½: so much more or less do the people of the older cohort move it.
	rows := map[string]int{}
	for i, u := range r.InfluenceUnit {
		rows[u] = i
	}
	for i, u := range s.Unit {
		if s.Older[i] {
			want := 4.0 / 3
			if cells[i] == 1 {
				want = .75
			}
			reftest.Agree(t, "older", r.Influence.At(rows[u], k+1)/r.Influence.At(rows[u], 0), want, 9)
		}
	}
	n, _ := r.Influence.Dims()
	require.Equal(t, len(s.Unit), n)
	require.Equal(t, len(r.Estimates), r.Cov.SymmetricDim())
	for _, bad := range []Surrogate{{Tilt: []float64{1, 1}}, {Tilt: []float64{math.NaN()}}, {Tilt: []float64{11}}, {Tilt: []float64{1}, OutcomeModel: "linear"}} {
		_, err := bad.Fit(t.Context(), s)
		require.Error(t, err)
	}
}

// Without comparability: the programme's odds are e^.7 times the older cohort's, at the same surrogates. The index misses, the tilt of .7 does not.
func TestTiltRecoversWhatComparabilityLacks(t *testing.T) {
	const n, eta = 40000, .7
	s := d5(77, 0, n, 0, false)
	// The older cohort's outcomes drawn anew with lower odds; those of the programme are not seen.
	for i := range n {
		st := num.NewStream(78, "tilt", uint64(i))
		s.Y[i] = noOutcome
		if s.Older[i] {
			if s.Y[i] = 0; st.Bernoulli(logistic(-1.2 - eta + .8*s.S.At(i, 0) + .5*s.S.At(i, 1) + .4*s.X.At(i, 0))) {
				s.Y[i] = 1
			}
		}
	}
	r, err := Surrogate{Tilt: []float64{eta}}.Fit(t.Context(), s)
	require.NoError(t, err)
	var at estimate.Estimate
	for _, e := range r.Estimates {
		if e.Term == "index,tilt=0.7" {
			at = e
		}
	}
	truth := d5Truth()
	t.Logf("truth %.4f, index %.4f (%.4f), tilted %.4f (%.4f)", truth, r.Estimates[0].Value, r.Estimates[0].SE, at.Value, at.SE)
	require.InDelta(t, truth, at.Value, 3.5*at.SE)
	require.Greater(t, math.Abs(truth-r.Estimates[0].Value), 3.5*r.Estimates[0].SE)
}

// The same cells, each arm with odds of its own, thrice or a third: at a third P(Y) is 1/10 and ¼, at thrice ½ and ¾. low = (¾·¼ + ¼·1/10) − (¼·¾ + ¾·½) = −.35,
// high = (¾·¾ + ¼·½) − (¼·¼ + ¾·1/10) = .55. An error of ν in the older cohort moves low by ϱ_S/ϱ·(1/3)/(1 − ⅔ν)² − (1−ϱ_S)/(1−ϱ)·3/(1 + 2ν)²: ¾ at s = 1 and
// ½·.48 − 1½·4/3 = −1.76 at s = 0, where it moves the index by 1 and −1.
func TestRegionByHand(t *testing.T) {
	s, cells := tiltCells()
	eta := math.Log(3)
	r, err := Surrogate{TreatmentModel: "constant", Region: []float64{eta}}.Fit(t.Context(), s)
	require.NoError(t, err)
	k := len(r.Estimates) - 2
	reftest.Near(t, "low", r.Estimates[k].Value, -.35, 1e-9)
	reftest.Near(t, "high", r.Estimates[k+1].Value, .55, 1e-9)
	rows := map[string]int{}
	for i, u := range r.InfluenceUnit {
		rows[u] = i
	}
	for i, u := range s.Unit {
		if s.Older[i] {
			want := 1.76
			if cells[i] == 1 {
				want = .75
			}
			reftest.Agree(t, "older", r.Influence.At(rows[u], k)/r.Influence.At(rows[u], 0), want, 9)
		}
	}
	require.Less(t, r.Details["tilt_breakdown"], .01, "the interval of the index nearly holds 0")
	require.Contains(t, noteCodes(r.Notes), "tilt-within-reach")
	for i := range s.Treated { // without an effect nothing is needed to undo it
		s.Treated[i] = i%2 == 0
	}
	r, err = Surrogate{TreatmentModel: "constant", Region: []float64{eta}}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, 0.0, r.Details["tilt_breakdown"])
	require.NotContains(t, noteCodes(r.Notes), "tilt-within-reach")
}

// The region holds every tilt within it and grows; the breakdown is where the interval of its end reaches 0, on either side of 0; and a forecast
// that nothing sought undoes has none.
func TestRegionHoldsWhatTiltsWithin(t *testing.T) {
	s := d5(79, 0, 4000, 0, false)
	for i := range s.Y {
		if !s.Older[i] {
			s.Y[i] = noOutcome
		}
	}
	for name, fit := range map[string]func(e Surrogate) (*estimate.Result, error){
		"index":  func(e Surrogate) (*estimate.Result, error) { return e.Fit(t.Context(), s) },
		"bridge": func(e Surrogate) (*estimate.Result, error) { return OutcomeBridge(e).Fit(t.Context(), s) },
	} {
		r, err := fit(Surrogate{Folds: 2, Tilt: []float64{.2, -.2, 0, .1}, Region: []float64{.1, .2}})
		require.NoError(t, err)
		value := map[string]estimate.Estimate{}
		for _, e := range r.Estimates {
			value[e.Term] = e
		}
		low, high := value[name+",tilt=0.2,bound=low"].Value, value[name+",tilt=0.2,bound=high"].Value
		for _, inside := range []string{",tilt=0.2", ",tilt=-0.2", ",tilt=0", ",tilt=0.1,bound=low", ",tilt=0.1,bound=high"} {
			require.Greater(t, value[name+inside].Value, low)
			require.Less(t, value[name+inside].Value, high)
		}
		reftest.Agree(t, "no tilt", value[name+",tilt=0"].Value, r.Estimates[0].Value, 12)
		reftest.Agree(t, "its error", value[name+",tilt=0"].SE, r.Estimates[0].SE, 12)
		require.Contains(t, []string{name}, r.Details["headline"])
		point := r.Details["tilt_breakdown"].(float64)
		require.Greater(t, point, .01)
		at, err := fit(Surrogate{Folds: 2, Region: []float64{point, point - 2*tiltDigits}})
		require.NoError(t, err)
		k := len(at.Estimates) - 4
		require.LessOrEqual(t, at.Estimates[k].CI.Lo, 0.0)
		require.Greater(t, at.Estimates[k+2].CI.Lo, 0.0)
		// The other way round it is the other end.
		for i := range s.Treated {
			s.Treated[i] = !s.Treated[i]
		}
		turned, err := fit(Surrogate{Folds: 2, Region: []float64{.1}})
		require.NoError(t, err)
		require.Less(t, turned.Estimates[0].CI.Hi, 0.0)
		require.InDelta(t, point, turned.Details["tilt_breakdown"], .05, "folds are others")
		for i := range s.Treated {
			s.Treated[i] = !s.Treated[i]
		}
	}
}
