package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// tilted is the index if the odds of the outcome, given surrogates and covariates, were e^η times those of the older cohort:
// ν_η = e^η ν/(1 − ν + e^η ν) in the programme.
type tilted struct {
	eta          float64
	nu, nu1, nu0 []float64 // ν_η and its mean in each arm
	slope        []float64 // dν_η/dν
}

// checkTilt is what a tilt needs.
func (e Surrogate) checkTilt() error {
	for k, eta := range e.Tilt {
		if math.IsNaN(eta) || math.Abs(eta) > 10 {
			return fmt.Errorf("a tilt is a logarithm of odds between -10 and 10")
		}
		for _, other := range e.Tilt[:k] {
			if other == eta {
				return fmt.Errorf("a tilt is asked for once")
			}
		}
	}
	return nil
}

// newTilts makes room for the tilts; an outcome that is not 0 or 1 has no odds.
func (f *surrogateFit) newTilts() error {
	if len(f.e.Tilt) == 0 {
		return nil
	}
	if f.outcome != "logistic" {
		return fmt.Errorf("%w: a tilt of the odds needs an outcome of 0 and 1 and a logistic model", estimate.ErrInvalidFrame)
	}
	for _, eta := range f.e.Tilt {
		t := &tilted{eta: eta}
		for _, v := range []*[]float64{&t.nu, &t.nu1, &t.nu0, &t.slope} {
			*v = make([]float64, f.n)
		}
		f.tilts = append(f.tilts, t)
	}
	return nil
}

// tiltArms tilts the predictions nu of all and fits their means in the arms.
func (f *surrogateFit) tiltArms(nu []float64, arm func(w float64) func(i int) bool, to func(i int) bool) error {
	for _, t := range f.tilts {
		odds := math.Exp(t.eta)
		own := make([]float64, f.n)
		for i, v := range nu {
			below := 1 - v + float64(odds*v)
			if own[i] = odds * v / below; to(i) {
				t.nu[i], t.slope[i] = own[i], odds/(below*below)
			}
		}
		if err := f.model("the tilted index of the treated", false, f.base, own, t.nu1, arm(1), to); err != nil {
			return err
		}
		if err := f.model("the tilted index of the untreated", false, f.base, own, t.nu0, arm(0), to); err != nil {
			return err
		}
	}
	return nil
}

// tilt adds the terms index,tilt=η, and says whether one of them undoes the forecast.
func (f *surrogateFit) tilt(ctx context.Context, res *estimate.Result) error {
	if len(f.tilts) == 0 {
		return ctx.Err()
	}
	k := len(res.Estimates)
	wide := mat.NewDense(f.n, k+len(f.tilts), nil)
	values := make([]float64, len(f.tilts))
	for i := range f.n {
		copy(wide.RawRowView(i), res.Influence.RawRowView(i)[:k])
	}
	notes, most, ess, r2 := f.notes, f.maxWeight, f.ess, f.r2
	for q, t := range f.tilts {
		tau, inf, err := f.indexOf(t.nu, t.nu1, t.nu0, t.slope)
		if err != nil {
			return err
		}
		values[q] = tau
		for i, v := range inf {
			wide.Set(i, k+q, v)
		}
	}
	f.notes, f.maxWeight, f.ess, f.r2 = notes, most, ess, r2 // those of the forecast itself
	cov, _, err := f.covariance(wide)
	if err != nil {
		return err
	}
	res.Influence, res.Cov = wide, cov
	plain, undone := res.Estimates[0], false
	for q, t := range f.tilts {
		e := estimate.Wald(fmt.Sprintf("index,tilt=%v", t.eta), f.measure(), values[q], math.Sqrt(cov.At(k+q, k+q)), math.Inf(1), f.s.Level)
		undone = undone || e.CI.Lo <= 0 && e.CI.Hi >= 0
		res.Estimates = append(res.Estimates, e)
	}
	if undone && !(plain.CI.Lo <= 0 && plain.CI.Hi >= 0) {
		res.Notes = append(res.Notes, table.Note{Code: "tilt-within-reach", Text: "If the odds of the outcome given the steps differ from those of the older cohort by a factor that was asked about, the forecast can no longer be told from no effect."})
	}
	return ctx.Err()
}

// ones are the slope without a tilt.
func ones(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}
