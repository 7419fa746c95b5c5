package missing

import (
	"context"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/table"
)

// Manski gives worst-case bounds on the difference of two means where outcomes are
// missing for any reason: with every outcome known to lie in [Low, High],
//
//	L = mean of y⁻ among the treated less that of y⁺ among the comparison units
//	U = mean of y⁺ among the treated less that of y⁻
//
// y⁻ (y⁺) being y where observed and Low (High) where not, means weighted as the frame is.
// U - L = (High - Low)·(share missing among the treated + share among the comparison
// units): it does not shrink with more people. Errors are of the two differences,
// φ_i = ± w_i(y_i - ȳ_a)/Σ_a w, with the factor and Student's t of a plain
// difference (hc1, or cr1 by f.Cluster: METHODS.md); the interval is Imbens and Manski's.
//
// It reads f.Y, f.Treated, f.Weight, f.Cluster. Estimates: lower, upper; measure
// risk-difference or mean-difference. Details: critical, df, set_interval (for the whole
// range between the bounds), low, high, missing_treated, missing_control (rows).
//
// Errors: [ErrOption] (range), [estimate.ErrInvalidFrame] (an observed outcome outside it), [estimate.ErrNoTreated],
// [estimate.ErrNoControls], [estimate.ErrWeights], [estimate.ErrTooFew].
//
// Source: Manski (1990), American Economic Review 80(2):319–323; Horowitz and Manski (2000).
type Manski struct {
	Observed  []bool  // n: whose outcome is known
	Low, High float64 // what an outcome can be at most and at least; 0 and 1 for a binary one
}

// Fit implements [estimate.Estimator].
func (m Manski) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := m.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("worst-case bounds: %w", err)
	}
	return res, nil
}

func (m Manski) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !(m.Low < m.High) || math.IsInf(m.Low, 0) || math.IsInf(m.High, 0) {
		return nil, fmt.Errorf("%w: the range of the outcome must be two finite numbers, the lower one first", ErrOption)
	}
	a, err := newArms(f, m.Observed)
	if err != nil {
		return nil, err
	}
	var gone [2]int
	var y [2][]float64
	for i, r := range a.rows {
		lo, hi := m.Low, m.High
		if m.Observed[r] {
			lo, hi = f.Y[r], f.Y[r]
			if lo < m.Low || hi > m.High {
				return nil, &estimate.RowError{Row: r, Err: fmt.Errorf("%w: the outcome lies outside the range that was given", estimate.ErrInvalidFrame)}
			}
		} else {
			gone[arm(a.treated[i])]++
		}
		if !a.treated[i] {
			lo, hi = hi, lo
		}
		y[0], y[1] = append(y[0], lo), append(y[1], hi)
	}
	var value [2]float64
	var phi [2][]float64
	for s := range y {
		value[s], phi[s] = a.difference(y[s])
	}
	measure := measureOf(f, m.Observed)
	if m.Low != 0 || m.High != 1 {
		measure = estimate.MeanDifference // the unknown outcomes may be more than 0 and 1
	}
	res, err := a.result("manski", f, measure, value[0], value[1], phi[0], phi[1])
	if err != nil {
		return nil, err
	}
	for k, v := range map[string]any{"low": m.Low, "high": m.High, "missing_treated": gone[1], "missing_control": gone[0]} {
		res.Details[k] = v
	}
	if n := gone[0] + gone[1]; n > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "bounds-missing", Args: map[string]any{"rows": n, "all": len(a.rows)},
			Text: fmt.Sprintf("%d of %d rows have no outcome; the bounds allow them the worst and the best.", n, len(a.rows))})
	}
	return res, nil
}

// difference is that of the weighted means of y, with its influence.
func (a *arms) difference(y []float64) (value float64, phi []float64) {
	var mean [2]float64
	for i, v := range y {
		k := arm(a.treated[i])
		mean[k] += float64(a.w[i] * v)
	}
	for k := range mean {
		mean[k] /= a.total[k]
	}
	phi = make([]float64, len(y))
	for i, v := range y {
		k := arm(a.treated[i])
		phi[i] = a.w[i] * (v - mean[k]) / a.total[k]
		if k == 0 {
			phi[i] = -phi[i]
		}
	}
	return mean[1] - mean[0], phi
}

var _ estimate.Estimator = Manski{}
