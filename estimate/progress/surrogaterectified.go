package progress

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// switchShare is the share of the programme's own outcomes from which they lead and the forecast fills in.
const switchShare = 3

// rectified estimates the long-term effect in the programme from the outcomes that have come (R = 1) and, for
// the others, from the surrogates, without surrogacy:
//
//	τ = Σψ_i/n₀,  ψ = μ₁ − μ₀ + W/ϱ·[h₁ − μ₁ + R/r₁·(Y − h₁)] − (1−W)/(1−ϱ)·[h₀ − μ₀ + R/r₀·(Y − h₀)]
//
// over the n₀ people of the programme, h_w = E[Y|S,X,W=w,R=1] (Y itself in an arm in which all have come), μ_w = E[h_w|X,W=w], r_w = P(R=1|S,X,W=w), models
// and folds those of the index.
func (f *surrogateFit) rectified(ctx context.Context) (float64, []float64, error) {
	h, mu, r := make([]float64, f.n), [2][]float64{make([]float64, f.n), make([]float64, f.n)}, make([]float64, f.n)
	came := make([]float64, f.n)
	for i, k := range f.known {
		if k && !f.older[i] {
			came[i] = 1
		}
	}
	folds := 1
	if f.fold != nil {
		folds = f.folds
	}
	width := len(f.names)
	for k := range folds {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		for w := range 2 {
			in := func(i int) bool { return !f.older[i] && f.treated[i] == float64(w) }
			fit := func(i int) bool { return in(i) && (f.fold == nil || f.fold[i] != k) }
			to := func(i int) bool { return f.fold == nil || f.fold[i] == k }
			with, all, columns, own := 0, 0, f.base, f.y // nothing is filled in where all have come
			for i := range f.n {
				if fit(i) {
					all++
					with += int(came[i])
				}
				if in(i) && came[i] == 0 {
					columns = width
				}
			}
			if with <= columns {
				return 0, nil, fmt.Errorf("%w: an arm has %d outcomes that have come, for %d columns", estimate.ErrTooFew, with, columns)
			}
			if columns == width {
				own = make([]float64, f.n)
				if err := f.model("the outcome that has come", f.outcome == "logistic", width, f.y, own,
					func(i int) bool { return fit(i) && came[i] == 1 }, in); err != nil {
					return 0, nil, err
				}
			}
			if err := f.model("the rectified index", false, f.base, own, mu[w], fit, to); err != nil {
				return 0, nil, err
			}
			here := func(i int) bool { return in(i) && to(i) }
			for i := range f.n {
				if here(i) {
					h[i], r[i] = own[i], 1
				}
			}
			if with < all {
				if err := f.model("whether the outcome has come", true, width, came, r, fit, here); err != nil {
					return 0, nil, err
				}
			}
		}
	}
	psi := make([]float64, f.n)
	n := 0.0
	for i, old := range f.older {
		if old {
			continue
		}
		w, p := int(f.treated[i]), f.rhoX[i]
		if w == 0 {
			p = 1 - p
		}
		part := h[i] - mu[w][i]
		if came[i] == 1 {
			part += (f.y[i] - h[i]) / r[i]
		}
		psi[i] = f.weight(i) * (mu[1][i] - mu[0][i] + float64(2*w-1)*part/p)
		n += f.weight(i)
	}
	tau := num.Sum(psi) / n
	if math.IsNaN(tau) || math.IsInf(tau, 0) {
		return 0, nil, fmt.Errorf("%w: a weight of the rectified estimate is infinite", estimate.ErrNotIdentified)
	}
	for i, old := range f.older {
		if !old {
			psi[i] = (psi[i] - float64(f.weight(i)*tau)) / n
		}
	}
	return tau, psi, nil
}

// rectify adds the term rectified, once a third of the programme's outcomes have come, and says in
// details.headline which term is to be shown: it, or the forecast.
func (f *surrogateFit) rectify(ctx context.Context, res *estimate.Result, forecast string) error {
	res.Details["headline"], res.Details["arrived"] = forecast, float64(f.arrived)/float64(f.count[0]+f.count[1])
	if switchShare*f.arrived < f.count[0]+f.count[1] {
		return nil
	}
	if f.e.Population == "older" {
		return nil // the outcomes that have come are those of the programme
	}
	tau, inf, err := f.rectified(ctx)
	if err != nil {
		if ctx.Err() != nil || !errors.Is(err, estimate.ErrTooFew) && !errors.Is(err, estimate.ErrSeparated) && !errors.Is(err, estimate.ErrNotIdentified) {
			return err
		}
		res.Notes = append(res.Notes, table.Note{Code: "rectified-not-possible", Text: "A third or more of the programme's own outcomes have come, but not in both arms or not from all kinds of people: the forecast is still shown."})
		return nil
	}
	k := len(res.Estimates)
	wide := mat.NewDense(f.n, k+1, nil)
	for i := range f.n {
		wide.SetRow(i, append(append([]float64(nil), res.Influence.RawRowView(i)[:k]...), inf[i]))
	}
	cov, _, err := f.covariance(wide)
	if err != nil {
		return err
	}
	res.Influence, res.Cov = wide, cov
	res.Estimates = append(res.Estimates, estimate.Wald("rectified", f.measure(), tau, math.Sqrt(cov.At(k, k)), math.Inf(1), f.s.Level))
	res.Details["headline"] = "rectified"
	return nil
}
