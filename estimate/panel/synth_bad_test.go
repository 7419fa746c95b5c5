package panel

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

func TestSyntheticBadInput(t *testing.T) {
	f, d := factors(1, 6, 2, 5, 3, 0)
	lambda, zero := 1.0, 0.0
	for name, s := range map[string]Synthetic{
		"method":          {Method: "scm", Errors: NoErrors},
		"no errors named": {Method: SyntheticControl},
		"lambda":          {Method: SyntheticControl, Errors: NoErrors, Lambda: &lambda},
		"lambda of 0":     {Method: AugmentedSynthetic, Errors: NoErrors, Lambda: &zero},
		"seed":            {Method: SyntheticDID, Errors: JackknifeErrors, Seed: 1},
		"replicates":      {Method: SyntheticDID, Errors: NoErrors, Replicates: 10},
		"one replicate":   {Method: SyntheticDID, Errors: PlaceboErrors, Replicates: 1},
		"predictors":      {Method: SyntheticDID, Errors: NoErrors, Predictors: []Predictor{{Name: "a", Values: f.Y}}},
		"weights":         {Method: SyntheticControl, Errors: NoErrors, Predictors: []Predictor{{Name: "a", Values: f.Y}}, PredictorWeights: []float64{1, 2}},
		"weights of 0":    {Method: SyntheticControl, Errors: NoErrors, Predictors: []Predictor{{Name: "a", Values: f.Y}}, PredictorWeights: []float64{0}},
		"window":          {Method: SyntheticControl, Errors: NoErrors, Predictors: []Predictor{{Name: "a", Values: f.Y, To: ptr(6)}}},
		"jackknife":       {Method: AugmentedSynthetic, Errors: JackknifeErrors},
	} {
		_, err := s.Fit(t.Context(), f, d)
		require.ErrorIs(t, err, ErrOption, name)
	}
	fit := func(s Synthetic, n1, t0 int, y [][]float64) error {
		f, d := blocks(n1, t0, y)
		_, err := s.Fit(t.Context(), f, d)
		return err
	}
	three := [][]float64{{1, 2, 3, 4}, {2, 2, 5, 1}, {0, 1, 1, 7}}
	sdid := Synthetic{Method: SyntheticDID, Errors: PlaceboErrors}
	require.ErrorIs(t, fit(sdid, 2, 2, three), estimate.ErrTooFew, "as many treated as controls")
	require.ErrorIs(t, fit(sdid, 1, 1, three), estimate.ErrTooFew, "one period before")
	err := fit(sdid, 1, 1, three)
	require.ErrorIs(t, err, ErrFewPeriods)
	require.ErrorContains(t, err, "too few periods: 1 before treatment, 2 are needed")
	require.NotContains(t, err.Error(), "units")
	require.ErrorIs(t, fit(sdid, 3, 2, three), estimate.ErrNoControls)
	require.ErrorIs(t, fit(sdid, 1, 0, three), estimate.ErrNoTreated, "treated throughout")
	require.ErrorIs(t, fit(sdid, 1, 4, three), estimate.ErrNoTreated)
	require.ErrorIs(t, fit(Synthetic{Method: SyntheticDID, Errors: JackknifeErrors}, 1, 2, three), estimate.ErrTooFew)
	require.ErrorIs(t, fit(Synthetic{Method: SyntheticDID, Errors: BootstrapErrors}, 1, 2, three), estimate.ErrTooFew)
	require.ErrorIs(t, fit(Synthetic{Method: AugmentedSynthetic, Errors: NoErrors}, 1, 2, three), estimate.ErrTooFew)

	g, marks := marked(rect([]int{0, 3, 4}, three))
	_, err = Synthetic{Method: SyntheticDID, Errors: ConformalErrors}.Fit(t.Context(), g, marks)
	require.ErrorIs(t, err, ErrStaggered)
}

func TestSyntheticFrame(t *testing.T) {
	f, d := factors(1, 6, 1, 5, 3, 0)
	sc := Synthetic{Method: SyntheticControl, Errors: NoErrors}
	base := mustSynth(t, sc, f, d)
	// One control loses a period: it is left out and counted.
	short := &Frame{Unit: f.Unit[1:], Time: f.Time[1:], Y: f.Y[1:], Level: 0.95}
	res := mustSynth(t, sc, short, d[1:])
	require.True(t, hasNote(res, "unbalanced-units-dropped"))
	require.Equal(t, base.N.Units-1, res.N.Units)
	require.False(t, hasNote(res, "treated-units-dropped"))
	// So is one of two treated units, and the estimand says so.
	two, both := factors(1, 6, 2, 5, 3, 0)
	cut := &Frame{Unit: two.Unit[:len(two.Unit)-1], Time: two.Time[:len(two.Unit)-1], Y: two.Y[:len(two.Unit)-1], Level: 0.95}
	res = mustSynth(t, sc, cut, both[:len(both)-1])
	require.True(t, hasNote(res, "treated-units-dropped"))
	require.Equal(t, 1, res.N.Treated)
	// A unit treated throughout is left out and counted.
	more := &Frame{Unit: append([]string(nil), f.Unit...), Time: append([]int(nil), f.Time...), Y: append([]float64(nil), f.Y...), Level: 0.95}
	marks := append([]bool(nil), d...)
	for p := 1; p <= 8; p++ {
		more.Unit, more.Time, more.Y, marks = append(more.Unit, "always"), append(more.Time, p), append(more.Y, 1), append(marks, true)
	}
	res = mustSynth(t, sc, more, marks)
	require.True(t, hasNote(res, "always-treated-dropped"))
	require.Equal(t, base.Estimates[0].Value, res.Estimates[0].Value)
	// A treatment that ends, a period twice, a bad outcome, a predictor without values or without spread.
	marks = append([]bool(nil), d...)
	marks[len(marks)-1] = false
	_, err := sc.Fit(t.Context(), f, marks)
	require.ErrorIs(t, err, ErrNotAbsorbing)
	twice := &Frame{Unit: append([]string{f.Unit[0]}, f.Unit...), Time: append([]int{f.Time[0]}, f.Time...), Y: append([]float64{1}, f.Y...), Level: 0.95}
	_, err = sc.Fit(t.Context(), twice, append([]bool{false}, d...))
	require.ErrorIs(t, err, ErrDuplicate)
	bad := &Frame{Unit: f.Unit, Time: f.Time, Y: append([]float64{math.NaN()}, f.Y[1:]...), Level: 0.95}
	_, err = sc.Fit(t.Context(), bad, d)
	var row *estimate.RowError
	require.True(t, errors.As(err, &row))
	gone := append([]float64(nil), f.Y...)
	for i := range 8 {
		gone[i] = math.NaN()
	}
	sc.Predictors = []Predictor{{Name: "p", Values: gone}}
	_, err = sc.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	sc.Predictors[0].Values = make([]float64, len(f.Y))
	_, err = sc.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrCollinear)
}

// Coverage of placebo (3 treated of 30, no effect beyond 1) and of the jackknife (10 of 40) for synthetic DiD: 400 data sets, 95 % ± 3.59 points.
func TestSyntheticCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	for _, c := range []struct {
		errors string
		n0, n1 int
	}{{PlaceboErrors, 30, 3}, {JackknifeErrors, 30, 10}} {
		covered := 0
		for rep := range 400 {
			f, d := factors(uint64(1000+rep), c.n0, c.n1, 10, 4, 1)
			s := Synthetic{Method: SyntheticDID, Errors: c.errors}
			if c.errors == PlaceboErrors {
				s.Replicates, s.Seed = 100, 1
			}
			ci := mustSynth(t, s, f, d).Estimates[0].CI
			if ci.Lo <= 1 && 1 <= ci.Hi {
				covered++
			}
		}
		t.Logf("%s: %.4f", c.errors, float64(covered)/400)
		require.InDelta(t, 0.95, float64(covered)/400, 0.0359, c.errors)
	}
}

func BenchmarkSyntheticDID(b *testing.B) {
	f, d := factors(1, 250, 40, 15, 5, 1)
	s := Synthetic{Method: SyntheticDID, Errors: PlaceboErrors, Replicates: 200, Seed: 1}
	b.ReportAllocs()
	for b.Loop() {
		mustSynth(b, s, f, d)
	}
	start := time.Now()
	top := peak(func() { mustSynth(b, s, f, d) })
	b.Logf("one fit %v, peak %.1f MiB", time.Since(start), float64(top)/(1<<20))
}
