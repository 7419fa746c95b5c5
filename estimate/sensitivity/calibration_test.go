package sensitivity

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func controls(se float64, y ...float64) (out []Control) {
	for i, v := range y {
		out = append(out, Control{Name: fmt.Sprintf("c%d", i), Estimate: v, SE: se})
	}
	return out
}

func calibrated(t *testing.T, o Calibration) (map[string]estimate.Estimate, *estimate.Result) {
	t.Helper()
	r, err := o.Value()
	require.NoError(t, err)
	out := map[string]estimate.Estimate{}
	for _, e := range r.Estimates {
		out[e.Term] = e
	}
	return out, r
}

// Controls 1, 2, 3, 4, 5 with errors of 1: mean 3, Σ(y-3)² = 10. ML: 1+τ² = 10/5, τ² = 1. REML: 1+τ² = 10/4,
// τ² = 1.5, a'Va = 2.5/5 = .5, u = 2. Claimed 10 with error 2: plug-in 7 ± z√5; calibrated 7, v = 4+2 = 6,
// df = 36/(4/4 + 16/∞) = 36. Q = 10 on 4.
func TestCalibrationByHand(t *testing.T) {
	c, r := calibrated(t, Calibration{Controls: controls(1, 5, 1, 4, 2, 3), Estimate: 10, SE: 2, Measure: estimate.MeanDifference, Level: .95})
	require.InDelta(t, 7, c["plug-in"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(5), c["plug-in"].SE, 1e-12)
	require.InDelta(t, num.NormalTail(7/math.Sqrt(5)), c["plug-in"].Test.P, 1e-13)
	require.InDelta(t, 7, c["calibrated"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(6), c["calibrated"].SE, 1e-12)
	require.InDelta(t, 36, c["calibrated"].Test.DF, 1e-10)
	require.InDelta(t, 7-num.StudentQuantile(.95, 36)*math.Sqrt(6), c["calibrated"].CI.Lo, 1e-11)
	require.InDelta(t, 3, c["systematic-error"].Value, 1e-14)
	require.InDelta(t, math.Sqrt(.5), c["systematic-error"].SE, 1e-12)
	require.Equal(t, 4., c["systematic-error"].Test.DF)
	require.InDelta(t, math.Sqrt(1.5), c["spread"].Value, 1e-12)
	require.InDelta(t, 10, r.Details["q"].(float64), 1e-12)
	require.InDelta(t, 1, r.Details["tau_ml"].(float64), 1e-12)
	require.InDelta(t, num.ChiSquareTail(10, 4), r.Details["q_p"].(float64), 1e-14)
	// Without the 5, the others are 1, 2, 3, 4: mean 2.5, Σ = 5, 1+τ² = 5/3; v = 1 + 2/3 + 5/12 = 25/12.
	row := r.Details["controls"].([]CalibratedControl)[0]
	require.InDelta(t, 2.5, row.Without, 1e-14)
	require.InDelta(t, math.Sqrt(2./3), row.Spread, 1e-12)
	require.InDelta(t, 2.5, row.Calibrated, 1e-14)
	u := 13. / 12
	df := math.Pow(25./12, 2) / (u * u / 3)
	require.InDelta(t, num.StudentTail(2.5/math.Sqrt(25./12), df), row.P2, 1e-12)
	require.InDelta(t, num.NormalTail(5), row.P, 1e-16)
	require.Equal(t, 4, r.Details["significant"]) // 2, 3, 4, 5 beyond 1.96
	require.Equal(t, 0, r.Details["significant_calibrated"])
}

// Degrees of freedom of the estimates themselves: with DF 8 of the claimed, 36/(1 + 16/8) = 12.
func TestCalibrationUsesDegreesOfFreedom(t *testing.T) {
	list := controls(1, 5, 1, 4, 2, 3)
	list[0].DF = 3
	c, r := calibrated(t, Calibration{Controls: list, Estimate: 10, SE: 2, DF: 8, Level: .95})
	require.InDelta(t, 12, c["calibrated"].Test.DF, 1e-10)
	require.InDelta(t, num.StudentTail(5, 3), r.Details["controls"].([]CalibratedControl)[0].P, 1e-14)
}

// E|N(0, 1)| = √(2/π); without spread |μ|; E|N(1, 1)| = √(2/π)e^{-½} + 1 - 2Φ(-1).
func TestExpectedError(t *testing.T) {
	close14(t, math.Sqrt(2/math.Pi), expectedError(0, 1))
	close14(t, 3, expectedError(-3, 0))
	close14(t, math.Sqrt(2/math.Pi)*math.Exp(-.5)+1-num.NormalTail(1), expectedError(1, 1))
	close14(t, expectedError(1, 1), expectedError(-1, 1))
}

var (
	sevenY = []float64{.31, -.05, .42, .18, .27, .66, .02}
	sevenS = []float64{.10, .08, .15, .07, .12, .20, .09}
)

func seven(correlated bool) Calibration {
	o := Calibration{Estimate: .5, SE: .1, Level: .95}
	for i, y := range sevenY {
		o.Controls = append(o.Controls, Control{Name: fmt.Sprintf("c%d", i), Estimate: y, SE: sevenS[i]})
	}
	if correlated {
		o.Cov = mat.NewSymDense(7, nil)
		for i := range 7 {
			for j := i; j < 7; j++ {
				o.Cov.SetSym(i, j, sevenS[i]*sevenS[j]*math.Pow(.5, float64(j-i)))
			}
		}
	}
	return o
}

// metafor 3.8.1: rma(method ML, REML; threshold 1e-14), and rma.mv with the covariance .5^|i-j|.
func TestSystematicErrorAgreesWithMetafor(t *testing.T) {
	for _, c := range []struct {
		correlated                    bool
		muML, tau2ML, mu, se, tau2, q float64
		digits                        reftest.Digits
	}{
		{false, 0.21281875302036427, 0.023987333076248618, 0.21916189904314382, 0.079899488404212751, 0.03173330153896313, 0, 8},
		{true, 0.19637467357683569, 0.035158997104584977, 0.20284721448291146, 0.10042561019907668, 0.041330959589464214, 40.369462086590808, 7},
	} {
		e, r := calibrated(t, seven(c.correlated))
		tau := r.Details["tau_ml"].(float64)
		reftest.Agree(t, "mu ML", r.Details["mu_ml"].(float64), c.muML, c.digits)
		reftest.Agree(t, "tau2 ML", tau*tau, c.tau2ML, c.digits)
		reftest.Agree(t, "mu", e["systematic-error"].Value, c.mu, c.digits)
		reftest.Agree(t, "se", e["systematic-error"].SE, c.se, c.digits)
		reftest.Agree(t, "tau2", e["spread"].Value*e["spread"].Value, c.tau2, c.digits)
		if c.q > 0 {
			reftest.Agree(t, "Q", r.Details["q"].(float64), c.q, 12)
		}
	}
}

// With controls that agree the spread is 0; with covariance c of θ̂ with each of five equal
// controls v = se² + s²/5 - 2c.
func TestCalibrationWithoutSpread(t *testing.T) {
	o := Calibration{Controls: controls(1, 2, 2, 2, 2, 2), Cov: mat.NewSymDense(5, nil), With: []float64{.1, .1, .1, .1, .1}, Estimate: 3, SE: 1, Level: .9}
	for i := range 5 {
		o.Cov.SetSym(i, i, 1)
	}
	c, _ := calibrated(t, o)
	require.Zero(t, c["spread"].Value)
	require.Equal(t, 2., c["expected-error"].Value)
	require.InDelta(t, math.Sqrt(1+.2-.2), c["calibrated"].SE, 1e-14)
	require.Equal(t, .9, c["calibrated"].CI.Level)
}

// Each control against the others is the calibration of it by them.
func TestCalibrationLeavesOneOut(t *testing.T) {
	o := seven(true)
	_, r := calibrated(t, o)
	for i, row := range r.Details["controls"].([]CalibratedControl) {
		others, with := mat.NewSymDense(6, nil), []float64{}
		rest := Calibration{Estimate: row.Estimate, SE: row.SE, Level: .95}
		for j := range 7 {
			if j == i {
				continue
			}
			with = append(with, o.Cov.At(i, j))
			rest.Controls = append(rest.Controls, o.Controls[j])
			for k := range j + 1 {
				if k != i {
					others.SetSym(len(with)-1, len(with)-1-(j-k)+oneIf(k < i && i < j), o.Cov.At(j, k))
				}
			}
		}
		rest.Cov, rest.With = others, with
		c, _ := calibrated(t, rest)
		require.InDelta(t, c["calibrated"].Value, row.Calibrated, 1e-12)
		require.InDelta(t, c["calibrated"].Test.P, row.P2, 1e-12)
		require.InDelta(t, c["spread"].Value, row.Spread, 1e-12)
	}
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Order of controls, a shift of all and a change of unit.
func TestCalibrationRelations(t *testing.T) {
	for _, correlated := range []bool{false, true} {
		a, _ := calibrated(t, seven(correlated))
		o := seven(correlated)
		slices.Reverse(o.Controls)
		if correlated {
			for i := range 7 {
				for j := i; j < 7; j++ {
					o.Cov.SetSym(i, j, seven(true).Cov.At(6-i, 6-j))
				}
			}
		}
		b, _ := calibrated(t, o)
		require.InDelta(t, a["calibrated"].SE, b["calibrated"].SE, 1e-13)
		require.InDelta(t, a["calibrated"].Test.P, b["calibrated"].Test.P, 1e-13)
		o = seven(correlated)
		o.Estimate, o.SE = (o.Estimate+1)*100, o.SE*100
		if correlated {
			o.Cov.ScaleSym(1e4, o.Cov)
		}
		for i := range o.Controls {
			o.Controls[i].Estimate, o.Controls[i].SE = (o.Controls[i].Estimate+1)*100, o.Controls[i].SE*100
		}
		b, _ = calibrated(t, o)
		require.InDelta(t, 100*a["calibrated"].Value, b["calibrated"].Value, 1e-9)
		require.InDelta(t, 100*a["spread"].Value, b["spread"].Value, 1e-9)
		require.InDelta(t, a["calibrated"].Test.P, b["calibrated"].Test.P, 1e-11)
	}
}

func TestCalibrationCountsAndRefuses(t *testing.T) {
	c, r := calibrated(t, Calibration{Controls: controls(1, 5, 1, 4, 2), Estimate: 10, SE: 2, Level: .95})
	for _, e := range c {
		require.True(t, math.IsNaN(e.Value) && math.IsNaN(e.SE), e.Term)
	}
	require.Equal(t, "controls-independent", r.Notes[0].Code)
	require.Equal(t, "too-few-controls", r.Notes[1].Code)
	require.Len(t, r.Details["controls"], 4)
	nan := math.NaN()
	c, _ = calibrated(t, Calibration{Controls: controls(1, 5, 1, 4, 2, 3), Estimate: nan, SE: nan, Level: .95})
	require.True(t, math.IsNaN(c["calibrated"].Value))
	require.False(t, math.IsNaN(c["systematic-error"].Value))

	ok := func() Calibration { return seven(true) }
	for name, change := range map[string]func(o *Calibration){
		"none":      func(o *Calibration) { o.Controls = nil },
		"twice":     func(o *Calibration) { o.Controls[1].Name = o.Controls[0].Name },
		"se 0":      func(o *Calibration) { o.Controls[1].SE = 0 },
		"nan":       func(o *Calibration) { o.Controls[1].Estimate = nan },
		"claimed":   func(o *Calibration) { o.SE = nan },
		"level":     func(o *Calibration) { o.Level = 1 },
		"df":        func(o *Calibration) { o.DF = -1 },
		"diagonal":  func(o *Calibration) { o.Cov.SetSym(2, 2, 9) },
		"dimension": func(o *Calibration) { o.Cov = mat.NewSymDense(3, nil) },
		"singular":  func(o *Calibration) { o.Controls[0].SE = .08; o.Cov.SetSym(0, 0, .0064); o.Cov.SetSym(0, 1, .0065) },
		"with":      func(o *Calibration) { o.With = []float64{1} },
		"with nan":  func(o *Calibration) { o.With = []float64{nan, 0, 0, 0, 0, 0, 0} },
		"too large": func(o *Calibration) { o.With = []float64{1, 1, 1, 1, 1, 1, 1} },
	} {
		o := ok()
		change(&o)
		_, err := o.Value()
		require.ErrorIs(t, err, ErrOption, name)
	}
}

// coverCalibration counts how often nominal, plug-in and calibrated intervals hold a true
// effect of 0.2 when claimed effect and controls carry a hidden error N(bias, tau²).
func coverCalibration(reps, k int, bias, tau, rho float64) (nominal, plug, calibrated float64) {
	const se = .1
	cov := mat.NewSymDense(k, nil)
	with := make([]float64, k)
	for i := range k {
		for j := i; j < k; j++ {
			cov.SetSym(i, j, se*se*rho)
		}
		cov.SetSym(i, i, se*se)
		with[i] = se * se * rho
	}
	for rep := range reps {
		s := num.NewStream(41, "calibration", uint64(rep))
		shared := s.Normal()
		draw := func() float64 {
			return bias + tau*s.Normal() + se*(math.Sqrt(rho)*shared+math.Sqrt(1-rho)*s.Normal())
		}
		o := Calibration{Estimate: .2 + draw(), SE: se, Level: .95}
		for i := range k {
			o.Controls = append(o.Controls, Control{Name: fmt.Sprint(i), Estimate: draw(), SE: se})
		}
		if rho > 0 {
			o.Cov, o.With = cov, with
		}
		r, err := o.Value()
		if err != nil {
			panic(err)
		}
		if math.Abs(o.Estimate-.2) <= 1.959963984540054*se {
			nominal++
		}
		if ci := r.Estimates[0].CI; ci.Lo <= .2 && .2 <= ci.Hi {
			calibrated++
		}
		if ci := r.Estimates[1].CI; ci.Lo <= .2 && .2 <= ci.Hi {
			plug++
		}
	}
	n := float64(reps) / 100
	return nominal / n, plug / n, calibrated / n
}

// A hidden error makes nominal intervals miss; calibrated ones hold their level, with few
// controls, too, where the published plug-in form does not.
func TestCalibrationCoverage(t *testing.T) {
	for _, c := range []struct {
		k              int
		bias, tau, rho float64
	}{{5, .3, .2, 0}, {10, .3, .2, 0}, {30, .3, .2, 0}, {10, .3, .2, .7}, {10, .3, 0, 0}} {
		nominal, plug, got := coverCalibration(400*sim.Factor, c.k, c.bias, c.tau, c.rho)
		design := fmt.Sprintf("%d controls, bias %v, spread %v, correlation %v: ", c.k, c.bias, c.tau, c.rho)
		sim.Share(t, design+"nominal (must fail)", nominal/100, 400*sim.Factor)
		sim.Share(t, design+"plug-in", plug/100, 400*sim.Factor)
		sim.Share(t, design+"calibrated", got/100, 400*sim.Factor)
		require.Less(t, nominal, 50.)
		require.GreaterOrEqual(t, got, 95-3.59)
		if c.tau > 0 {
			require.LessOrEqual(t, got, 95+3.59)
		}
		if c.k == 5 {
			require.Less(t, plug, 90.)
		}
	}
}
