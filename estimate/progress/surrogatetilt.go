package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// The least η that undoes a forecast is sought up to a factor of e³ = 20, first in steps and then by halving.
const (
	farthestTilt = 3.0
	tiltStep     = 0.25
	tiltDigits   = 1e-4
)

// checkTilt is what tilts and regions need.
func (e Surrogate) checkTilt() error {
	for _, x := range []struct {
		what   string
		values []float64
		least  float64
	}{{"tilt", e.Tilt, -10}, {"region", e.Region, 0}} {
		for k, eta := range x.values {
			if math.IsNaN(eta) || eta < x.least || eta > 10 || x.least == 0 && eta == 0 {
				return fmt.Errorf("a %s is a logarithm of odds between %v and 10", x.what, x.least)
			}
			for _, other := range x.values[:k] {
				if other == eta {
					return fmt.Errorf("a %s is asked for once", x.what)
				}
			}
		}
	}
	return nil
}

// tiltable says whether the outcome has odds.
func (f *surrogateFit) tiltable() error {
	if len(f.e.Tilt)+len(f.e.Region) > 0 && f.outcome != "logistic" {
		return fmt.Errorf("%w: a tilt of the odds needs an outcome of 0 and 1 and a logistic model", estimate.ErrInvalidFrame)
	}
	return nil
}

// tilted is the index if the odds of the outcome, given surrogates and covariates, were e^η₁ times those of the older cohort
// for participants and e^η₀ times for the others: ν_η = e^η ν/(1 − ν + e^η ν).
func (f *surrogateFit) tilted(eta1, eta0 float64) (float64, []float64, error) {
	s := indexScores{}
	for _, v := range []*[]float64{&s.own, &s.mean1, &s.mean0, &s.slope1, &s.slope0} {
		*v = make([]float64, f.n)
	}
	odds := [2]float64{math.Exp(eta0), math.Exp(eta1)}
	for i, v := range f.nu {
		for w, slope := range [][]float64{s.slope0, s.slope1} {
			below := 1 - v + float64(odds[w]*v)
			slope[i] = odds[w] / (below * below)
			if f.treated[i] == float64(w) {
				s.own[i] = odds[w] * v / below
			}
		}
	}
	for k, nu := range f.nuOf {
		to := func(i int) bool { return f.fold == nil || f.fold[i] == k }
		for w, mean := range [][]float64{s.mean0, s.mean1} {
			own := make([]float64, f.n)
			for i, v := range nu {
				own[i] = odds[w] * v / (1 - v + float64(odds[w]*v))
			}
			arm := func(i int) bool {
				return !f.older[i] && f.treated[i] == float64(w) && (f.fold == nil || f.fold[i] != k)
			}
			if err := f.model("the tilted index of an arm", false, f.base, own, mean, arm, to); err != nil {
				return 0, nil, err
			}
		}
	}
	return f.indexOf(s)
}

// tilt adds the terms of Tilt and Region to those of the index, which is called main, and says whether one of them undoes the forecast.
func (f *surrogateFit) tilt(ctx context.Context, res *estimate.Result, main string) error {
	var terms []string
	var etas [][2]float64
	for _, eta := range f.e.Tilt {
		terms, etas = append(terms, fmt.Sprintf("%s,tilt=%v", main, eta)), append(etas, [2]float64{eta, eta})
	}
	for _, eta := range f.e.Region {
		term := fmt.Sprintf("%s,tilt=%v,bound=", main, eta)
		terms, etas = append(terms, term+"low", term+"high"), append(etas, [2]float64{-eta, eta}, [2]float64{eta, -eta})
	}
	if len(terms) == 0 {
		return ctx.Err()
	}
	k := len(res.Estimates)
	wide := mat.NewDense(f.n, k+len(terms), nil)
	values := make([]float64, len(terms))
	for i := range f.n {
		copy(wide.RawRowView(i), res.Influence.RawRowView(i)[:k])
	}
	for q, eta := range etas {
		if err := ctx.Err(); err != nil {
			return err
		}
		tau, inf, err := f.tilted(eta[0], eta[1])
		if err != nil {
			return err
		}
		values[q] = tau
		for i, v := range inf {
			wide.Set(i, k+q, v)
		}
	}
	cov, _, err := f.covariance(wide)
	if err != nil {
		return err
	}
	res.Influence, res.Cov = wide, cov
	plain, undone := res.Estimates[0], false
	for q, term := range terms {
		e := estimate.Wald(term, f.measure(), values[q], math.Sqrt(cov.At(k+q, k+q)), math.Inf(1), f.s.Level)
		undone = undone || undoes(e, plain)
		res.Estimates = append(res.Estimates, e)
	}
	if undone && !covers(plain) {
		res.Notes = append(res.Notes, table.Note{Code: "tilt-within-reach", Text: "If the odds of the outcome given the steps differ from those of the older cohort by a factor that was asked about, the forecast can no longer be told from no effect."})
	}
	if len(f.e.Region) == 0 {
		return nil
	}
	least, found, err := f.tiltBreakdown(ctx, plain)
	if err != nil {
		return err
	}
	res.Details["tilt_breakdown"] = nil
	if found {
		res.Details["tilt_breakdown"] = least
	}
	return nil
}

func covers(e estimate.Estimate) bool { return e.CI.Lo <= 0 && e.CI.Hi >= 0 }

// undoes is whether the interval of e reaches 0 from the side on which plain is, or lies beyond it.
func undoes(e, plain estimate.Estimate) bool {
	if plain.Value > 0 {
		return e.CI.Lo <= 0
	}
	return e.CI.Hi >= 0
}

// tiltBreakdown is the least η at which the interval of the region's bound on the side of 0 holds 0; false where it
// is above farthestTilt.
func (f *surrogateFit) tiltBreakdown(ctx context.Context, plain estimate.Estimate) (float64, bool, error) {
	if covers(plain) {
		return 0, true, nil
	}
	side := 1.0
	if plain.Value > 0 {
		side = -1
	}
	undone := func(eta float64) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		tau, inf, err := f.tilted(side*eta, -side*eta)
		if err != nil {
			return false, err
		}
		cov, _, err := f.covariance(mat.NewDense(f.n, 1, inf))
		if err != nil {
			return false, err
		}
		e := estimate.Wald("", f.measure(), tau, math.Sqrt(cov.At(0, 0)), math.Inf(1), f.s.Level)
		return undoes(e, plain), nil
	}
	for hi := tiltStep; hi <= farthestTilt; hi += tiltStep {
		yes, err := undone(hi)
		if err != nil {
			return 0, false, err
		}
		if !yes {
			continue
		}
		lo := hi - tiltStep
		for hi-lo > tiltDigits {
			mid := (lo + hi) / 2
			if yes, err = undone(mid); err != nil {
				return 0, false, err
			}
			if yes {
				hi = mid
			} else {
				lo = mid
			}
		}
		return hi, true, nil
	}
	return 0, false, nil
}
