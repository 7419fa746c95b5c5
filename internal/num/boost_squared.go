package num

import (
	"context"
	"fmt"
	"math"
)

// boostSquared grows the trees for y in its own SDs, so that the unit of y changes no
// tree, and gives the result in its unit again. A y without spread is its mean.
func boostSquared(ctx context.Context, d BoostData) (*BoostFit, error) {
	if d.Loss != nil {
		panic("num: Boost with Squared and Loss")
	}
	for i, v := range d.Y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%w: outcome of row %d is not finite", ErrDomain, i+1)
		}
	}
	n := float64(d.N)
	centre := Sum(d.Y) / n
	y := make([]float64, d.N)
	for i, v := range d.Y {
		y[i] = v - centre
	}
	sd := math.Sqrt(Dot(y, y) / n)
	if sd <= 1e-12*math.Abs(centre) {
		sd = 0
	}
	for i := range y {
		if y[i] /= sd; sd == 0 {
			y[i] = 0
		}
	}
	d.Y = y
	fit, err := boost(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, v := range [][]float64{fit.Linear, fit.HeldOut, fit.New} {
		for i := range v {
			v[i] = centre + float64(sd*v[i])
		}
	}
	scale := [][]float64{fit.Deviance}
	if fit.CV != nil {
		scale = append(scale, fit.CV.Mean, fit.CV.SE)
	}
	for _, v := range scale {
		for i := range v {
			v[i] *= sd * sd
		}
	}
	return fit, nil
}
