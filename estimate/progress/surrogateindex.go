package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// indexScores are what an index is the mean of: predictions of the outcome, their means given the covariates in each arm, and
// by how much the outcomes of the older cohort move them.
type indexScores struct {
	own, mean1, mean0 []float64
	slope1, slope0    []float64 // derivatives of the arms' scores; nil for 1
}

// index returns τ and its influence function, and keeps what the weights were.
func (f *surrogateFit) index() (float64, []float64, error) {
	tau, inf, err := f.indexOf(indexScores{own: f.nu, mean1: f.nu1, mean0: f.nu0})
	if err != nil {
		return 0, nil, err
	}
	f.weigh()
	return tau, inf, nil
}

func (f *surrogateFit) target(i int) bool { return f.older[i] == (f.e.Population == "older") }

// odds of the programme for a person of the older cohort, times those of the population where it is that cohort.
func (f *surrogateFit) odds(i int) (h, tilt float64) {
	tilt = 1
	if f.e.Population == "older" {
		tilt = f.gammaX[i] / (1 - f.gammaX[i])
	}
	return tilt * (1 - f.gammaS[i]) / f.gammaS[i], tilt
}

// carries is by how much an error of the prediction for a person of the older cohort moves the index.
func (f *surrogateFit) carries(i int, s indexScores) float64 {
	h, _ := f.odds(i)
	rho := f.rhoX[i]
	switch {
	case f.e.bridge && f.treated[i] == 1:
		return h / rho * at(s.slope1, i)
	case f.e.bridge:
		return -h / (1 - rho) * at(s.slope0, i)
	case s.slope1 == nil:
		return h * (f.rhoS[i] - rho) / (rho * (1 - rho))
	}
	return h * (f.rhoS[i]/rho*s.slope1[i] - (1-f.rhoS[i])/(1-rho)*s.slope0[i])
}

func at(v []float64, i int) float64 {
	if v == nil {
		return 1
	}
	return v[i]
}

// indexOf is the index of scores, with its influence function.
func (f *surrogateFit) indexOf(s indexScores) (float64, []float64, error) {
	n, inside := 0.0, 0.0
	for i := range f.n {
		n += f.weight(i)
		if f.target(i) {
			inside += f.weight(i)
		}
	}
	share := inside / n
	psi := make([]float64, f.n)
	for i := range f.n {
		if f.older[i] {
			psi[i] = f.carries(i, s) * (f.y[i] - f.nu[i])
		} else {
			_, tilt := f.odds(i)
			w, rho := f.treated[i], f.rhoX[i]
			psi[i] = tilt * (float64(w*(s.own[i]-s.mean1[i]))/rho - float64((1-w)*(s.own[i]-s.mean0[i]))/(1-rho))
		}
		if f.target(i) {
			psi[i] += s.mean1[i] - s.mean0[i]
		}
		psi[i] *= f.weight(i) / share
	}
	tau := num.Sum(psi) / n
	if math.IsNaN(tau) || math.IsInf(tau, 0) {
		return 0, nil, fmt.Errorf("%w: a weight is infinite, because people of one cohort or arm have no counterpart in the other", estimate.ErrNotIdentified)
	}
	for i := range psi {
		if f.target(i) {
			psi[i] -= float64(f.weight(i) * tau / share)
		}
		psi[i] /= n
	}
	return tau, psi, nil
}

// weigh keeps the largest weight, the effective size of the older cohort and the share of the outcome's variation there that
// is predicted, and notes where few people carry the correction. Of a bridge each arm has its own weights: the arm in which
// fewer carry them counts.
func (f *surrogateFit) weigh() {
	var sum, square, people [2]float64
	var residual, scatter, total, mean float64
	for i, g := range f.older {
		if g {
			total, mean = total+f.weight(i), mean+float64(f.weight(i)*f.y[i])
		}
	}
	mean /= total
	for i, g := range f.older {
		if !g {
			continue
		}
		h, _ := f.odds(i)
		arm := 0
		if f.e.bridge {
			arm = int(f.treated[i])
			h = math.Abs(f.carries(i, indexScores{}))
		}
		f.maxWeight = max(f.maxWeight, h)
		carried := float64(f.weight(i) * h)
		sum[arm], square[arm], people[arm] = sum[arm]+carried, square[arm]+float64(carried*carried), people[arm]+1
		e := f.y[i] - f.nu[i]
		residual, scatter = residual+float64(f.weight(i)*e*e), scatter+float64(f.weight(i)*(f.y[i]-mean)*(f.y[i]-mean))
	}
	few := 0
	if f.e.bridge && sum[1]*sum[1]/square[1]/people[1] < sum[0]*sum[0]/square[0]/people[0] {
		few = 1
	}
	f.ess, f.r2 = sum[few]*sum[few]/square[few], math.NaN()
	if scatter > 0 {
		f.r2 = 1 - residual/scatter
	}
	if f.ess < people[few]/10 {
		f.notes = append(f.notes, table.Note{Code: "few-like-programme", Text: "Few people of the older cohort are like those of the programme: they carry most of the weight of the correction.",
			Args: map[string]any{"ess": f.ess, "persons": int(people[few])}})
	}
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
