package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// index returns τ and its influence function.
func (f *surrogateFit) index() (float64, []float64, error) {
	return f.indexOf(f.nu, f.nu1, f.nu0, ones(f.n))
}

// indexOf is the index of any function of ν with its means in the arms; slope is the function's derivative.
func (f *surrogateFit) indexOf(nu, nu1, nu0, slope []float64) (float64, []float64, error) {
	n, inside := 0.0, 0.0
	target := func(i int) bool { return f.older[i] == (f.e.Population == "older") }
	for i := range f.n {
		n += f.weight(i)
		if target(i) {
			inside += f.weight(i)
		}
	}
	share := inside / n
	psi := make([]float64, f.n)
	var sum, square, mean, scatter, residual float64
	cohort, people := 0.0, 0
	for i, g := range f.older {
		if g {
			cohort, people = cohort+f.weight(i), people+1
			mean += float64(f.weight(i) * f.y[i])
		}
	}
	mean /= cohort
	for i := range f.n {
		tilt := 1.0
		if f.e.Population == "older" {
			tilt = f.gammaX[i] / (1 - f.gammaX[i])
		}
		rho := f.rhoX[i]
		if f.older[i] {
			h := tilt * (1 - f.gammaS[i]) / f.gammaS[i]
			f.maxWeight = max(f.maxWeight, h)
			carried := float64(f.weight(i) * h)
			sum, square = sum+carried, square+float64(carried*carried)
			e := f.y[i] - f.nu[i]
			psi[i] = h * (f.rhoS[i] - rho) / (rho * (1 - rho)) * e * slope[i]
			residual, scatter = residual+float64(f.weight(i)*e*e), scatter+float64(f.weight(i)*(f.y[i]-mean)*(f.y[i]-mean))
		} else {
			w := f.treated[i]
			psi[i] = tilt * (float64(w*(nu[i]-nu1[i]))/rho - float64((1-w)*(nu[i]-nu0[i]))/(1-rho))
		}
		if target(i) {
			psi[i] += nu1[i] - nu0[i]
		}
		psi[i] *= f.weight(i) / share
	}
	tau := num.Sum(psi) / n
	if math.IsNaN(tau) || math.IsInf(tau, 0) {
		return 0, nil, fmt.Errorf("%w: a weight is infinite, because people of one cohort or arm have no counterpart in the other", estimate.ErrNotIdentified)
	}
	for i := range psi {
		if target(i) {
			psi[i] -= float64(f.weight(i) * tau / share)
		}
		psi[i] /= n
	}
	f.ess, f.r2 = sum*sum/square, math.NaN()
	if scatter > 0 {
		f.r2 = 1 - residual/scatter
	}
	if f.ess < float64(people)/10 {
		f.notes = append(f.notes, table.Note{Code: "few-like-programme", Text: "Few people of the older cohort are like those of the programme: they carry most of the weight of the correction.",
			Args: map[string]any{"ess": f.ess, "persons": people}})
	}
	return tau, psi, nil
}

// plugIn is the mean of ν̄₁ - ν̄₀ over the population, without correction.
func (f *surrogateFit) plugIn() float64 {
	var d []float64
	total := 0.0
	for i, g := range f.older {
		if g == (f.e.Population == "older") {
			d, total = append(d, float64(f.weight(i)*(f.nu1[i]-f.nu0[i]))), total+f.weight(i)
		}
	}
	return num.Sum(d) / total
}

// residuals regresses y on the first k columns over rows.
func (f *surrogateFit) residuals(rows []int, y []float64, k int) ([]float64, error) {
	width := len(f.names)
	x, z := make([]float64, 0, len(rows)*k), make([]float64, 0, len(rows))
	for _, i := range rows {
		x, z = append(x, f.design[i*width:i*width+k]...), append(z, y[i])
	}
	fit, err := num.LeastSquares(num.LsqData{N: len(rows), K: k, X: x, Y: z, Weight: f.weightsOf(rows), DropCollinear: true, Workers: f.e.Workers})
	if err != nil {
		return nil, fmt.Errorf("least squares of treatment or outcome: %w", err)
	}
	return fit.Residual, nil
}
