package effect

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// QuantileDifference is a quantile of the outcome with treatment less the same
// quantile without.
const QuantileDifference estimate.Measure = "quantile-difference"

// quantileSlack is the rounding of a share of the weights: a share that reaches p but
// for its rounding has reached it.
const quantileSlack = 1e-12

func checkQuantiles(q []float64) error {
	for i, p := range q {
		if !(p > 0 && p < 1) || slices.Contains(q[:i], p) {
			return fmt.Errorf("%w: quantiles must be strictly between 0 and 1, each given once", ErrOption)
		}
	}
	return nil
}

// curve is the weighted distribution function of an arm.
type curve struct {
	y     []float64 // distinct values, ascending
	share []float64 // of weight at or below
}

func (c *causal) curve(h []tilted, arm int) curve {
	var y, w []float64
	for i, t := range h {
		if index(c.treated[i]) == arm && c.w(i)*t.h > 0 {
			y, w = append(y, c.y[i]), append(w, c.w(i)*t.h)
		}
	}
	total, at := num.Sum(w), 0.0
	var out curve
	for _, i := range num.OrderFloats(y) {
		at += w[i]
		if k := len(out.y); k > 0 && out.y[k-1] == y[i] {
			out.share[k-1] = at / total
		} else {
			out.y, out.share = append(out.y, y[i]), append(out.share, at/total)
		}
	}
	return out
}

// inverse is the smallest value whose share is at least p; infinite where p is not
// strictly between 0 and 1.
func (c curve) inverse(p float64) float64 {
	if p <= 0 {
		return math.Inf(-1)
	}
	at, _ := slices.BinarySearch(c.share, p-quantileSlack)
	if p >= 1 || at == len(c.y) {
		return math.Inf(1)
	}
	return c.y[at]
}

// quantiles adds to a result, for each p, the difference of the p-quantiles of the
// weighted distributions F̂ₐ, q̂ₐ = inf{y: F̂ₐ(y) ≥ p} (Firpo 2007). The interval of q̂ₐ is
// Woodruff's, from Lₐ = F̂ₐ⁻¹(p - z·seₐ) to Uₐ = F̂ₐ⁻¹(p + z·seₐ) with seₐ the error of
// F̂ₐ(q̂ₐ), propensity step included: it needs no density and so allows a mass at one value.
// That of the difference combines them (MOVER, Donner and Zou 2012), ρ the correlation of
// both F̂:
//
//	lower = d - √((q̂₁-L₁)² + (U₀-q̂₀)² - 2ρ(q̂₁-L₁)(U₀-q̂₀)),  upper alike
//
// The standard error is from sₐ = (Uₐ-Lₐ)/2z, and the influence -φ(F̂ₐ)·sₐ/seₐ. Where both
// quantiles lie within one mass each there is a value but no error.
func (c *causal) quantiles(res *estimate.Result, estimand string, ps *model, h []tilted, at []float64) error {
	var phi [][]float64
	for j := range res.Estimates {
		col := make([]float64, c.n)
		for i, r := range c.rows {
			col[i] = res.Influence.At(r, j)
		}
		phi = append(phi, col)
	}
	z := num.StudentQuantile(c.frame.Level, c.df())
	curves := [2]curve{c.curve(h, 0), c.curve(h, 1)}
	list := []map[string]any{}
	masses, open := 0, 0
	for _, p := range at {
		var q, lo, hi, s, se [2]float64
		below := c.newPotential()
		for a := range 2 {
			q[a] = curves[a].inverse(p)
			under := make([]float64, c.n)
			for i, y := range c.y {
				if y <= q[a] {
					under[i] = 1
				}
			}
			below.phi[a] = c.weighted(ps, h, under).phi[a]
		}
		cov := c.covariance(below.phi[:])
		for a := range 2 {
			se[a] = math.Sqrt(cov.At(a, a))
			lo[a], hi[a] = curves[a].inverse(p-z*se[a]), curves[a].inverse(p+z*se[a])
			if se[a] == 0 && len(curves[a].y) > 1 { // the largest value: nothing beyond it is known
				hi[a] = math.Inf(1)
			}
			s[a] = (hi[a] - lo[a]) / (2 * z)
		}
		rho := 0.0
		if v := se[0] * se[1]; v > 0 {
			rho = cov.At(0, 1) / v
		}
		combine := func(x, y float64) float64 {
			return math.Sqrt(math.Max(0, float64(x*x)+float64(y*y)-float64(2*rho*float64(x*y))))
		}
		e := estimate.Estimate{Term: estimand + ",quantile=" + strconv.FormatFloat(p, 'g', -1, 64), Measure: QuantileDifference, Value: q[1] - q[0], SE: combine(s[0], s[1])}
		e.Test = estimate.Test{Stat: math.NaN(), DF: c.df(), P: math.NaN()}
		e.CI = estimate.Interval{Lo: e.Value - combine(q[1]-lo[1], hi[0]-q[0]), Hi: e.Value + combine(hi[1]-q[1], q[0]-lo[0]), Level: c.frame.Level, Method: "woodruff-mover"}
		mass := s[0] == 0 && s[1] == 0
		if mass || math.IsInf(e.SE, 0) || math.IsNaN(e.SE) {
			if mass {
				masses++
			} else {
				open++
			}
			e.SE, e.CI.Lo, e.CI.Hi = math.NaN(), math.NaN(), math.NaN()
		}
		col := make([]float64, c.n)
		for i := range col {
			if math.IsNaN(e.SE) {
				col[i] = math.NaN()
				continue
			}
			for a, sign := range [2]float64{1, -1} {
				if se[a] > 0 {
					col[i] += sign * s[a] / se[a] * below.phi[a][i]
				}
			}
		}
		phi = append(phi, col)
		res.Estimates = append(res.Estimates, e)
		list = append(list, map[string]any{"p": p, "treated": q[1], "control": q[0], "in_mass": mass})
	}
	res.Cov = c.covariance(phi)
	c.place(res, phi)
	for j, e := range res.Estimates { // the sums' last bit is that of the error reported
		if e.HasSE() && e.Measure == QuantileDifference {
			res.Estimates[j].SE = math.Sqrt(res.Cov.At(j, j))
		}
	}
	if masses > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "quantile-in-mass", Args: map[string]any{"quantiles": masses},
			Text: fmt.Sprintf("For %d quantiles both groups are at a value that many units share, with all of its uncertainty: there is no standard error and no interval.", masses)})
	}
	if open > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "quantile-open", Args: map[string]any{"quantiles": open},
			Text: fmt.Sprintf("For %d quantiles the interval reaches beyond the observed outcomes: there is no standard error and no interval.", open)})
	}
	zero := [2]float64{}
	for a := range curves {
		if i, found := slices.BinarySearch(curves[a].y, 0); found {
			zero[a] = curves[a].share[i]
			if i > 0 {
				zero[a] -= curves[a].share[i-1]
			}
		}
	}
	res.Details["quantiles"] = list
	res.Details["share_zero"] = map[string]float64{"treated": zero[1], "control": zero[0]}
	return nil
}
