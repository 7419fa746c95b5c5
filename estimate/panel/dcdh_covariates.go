package panel

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// adjustment is what covariates say of the outcome of units that have not changed their treatment, for each first treatment d:
//
//	Δy[u,t] = λ[d,t] + Δx[u,t]'θ[d] + e,   consecutive periods t-1, t with t before the unit's first change and its anticipation
//
// by least squares with the weight of t-1. Effects are those of y - x'θ[d]. Needs that untreated outcomes less x'θ would have grown alike, and that x
// does not react to treatment.
//
// Source: de Chaisemartin and D'Haultfœuille (2024), Rev. Econ. Statistics, web appendix. METHODS.md#dcdh.
type adjustment struct {
	names []string
	coef  map[float64][]float64   // θ by first treatment
	inf   map[float64][][]float64 // of each unit, on θ; nil in draws of the bootstrap
	rows  map[float64]int
}

// adjusted estimates θ for the first treatments of units that change; nil without covariates. times is how often each unit counts.
//
// Errors: [estimate.ErrCollinear] names the covariate; [estimate.ErrTooFew].
func (s *switching) adjusted(anticipation int, times []float64) (*adjustment, error) {
	if len(s.l.xnames) == 0 {
		return nil, nil
	}
	levels := map[float64]bool{}
	for u, p := range s.start {
		if p < len(s.l.periods) {
			levels[s.d[u][0]] = true
		}
	}
	a := &adjustment{names: s.l.xnames, coef: map[float64][]float64{}, inf: map[float64][][]float64{}, rows: map[float64]int{}}
	for _, d := range slices.Sorted(maps.Keys(levels)) {
		if err := s.adjustLevel(a, d, anticipation, times); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// adjustLevel estimates θ for one first treatment.
func (s *switching) adjustLevel(a *adjustment, d float64, anticipation int, times []float64) error {
	l, k := s.l, len(a.names)
	data := num.LsqData{K: k}
	var of []int // unit of each row
	periods := 0
	largest := make([]float64, k) // of the covariates and of their changes between units
	spread := make([]float64, k)
	for t := 1; t < len(l.periods); t++ {
		from := len(of)
		weight, mean := 0.0, make([]float64, k+1)
		for u := range s.start {
			if s.d[u][0] != d || t+anticipation >= s.start[u] {
				continue
			}
			w := s.weight(u, t-1, times)
			if w == 0 {
				continue
			}
			row := s.first[u] + t
			for j := range k {
				x := l.x[j][row] - l.x[j][row-1]
				data.X = append(data.X, x)
				mean[j] += float64(w * x)
				largest[j] = max(largest[j], math.Abs(l.x[j][row]), math.Abs(l.x[j][row-1]))
			}
			y := l.y[row] - l.y[row-1]
			mean[k] += float64(w * y)
			weight += w
			data.Y, data.Weight, of = append(data.Y, y), append(data.Weight, w), append(of, u)
		}
		if len(of) > from {
			periods++
		}
		for i := from; i < len(of); i++ {
			for j := range k {
				data.X[i*k+j] -= mean[j] / weight
				spread[j] = max(spread[j], math.Abs(data.X[i*k+j]))
			}
			data.Y[i] -= mean[k] / weight
		}
	}
	for j, name := range a.names {
		if spread[j] <= 1e-12*largest[j] {
			return fmt.Errorf("%w: covariate %q changes alike, or not at all, in units that have not changed their treatment; leave it out", estimate.ErrCollinear, name)
		}
	}
	data.N = len(of)
	if data.N <= periods+k {
		return fmt.Errorf("%w: %d rows before a change for %d periods and %d covariates; use fewer covariates", estimate.ErrTooFew, data.N, periods, k)
	}
	fit, err := num.LeastSquares(data)
	var column *num.SingularColumn
	switch {
	case errors.As(err, &column):
		return fmt.Errorf("%w: changes of covariate %q follow from those of covariates before it; leave it out", estimate.ErrCollinear, a.names[column.Column])
	case err != nil:
		return err
	}
	a.coef[d], a.rows[d] = fit.Coef, data.N
	if times != nil {
		return nil
	}
	sum := make([][]float64, len(l.names))
	for i, u := range of {
		if sum[u] == nil {
			sum[u] = make([]float64, k)
		}
		for j := range k {
			sum[u][j] += float64(data.Weight[i] * data.X[i*k+j] * fit.Residual[i])
		}
	}
	for _, v := range sum {
		if v == nil {
			continue
		}
		z := make([]float64, k)
		fit.Basis(v, z)
		fit.Unbasis(z)
		copy(v, z)
	}
	a.inf[d] = sum
	return nil
}

// move adds up how far θ moves a match: Σ w·S·(Δx - mean Δx of the stayers) over its switchers.
func (s *switching) move(moved map[float64][]float64, m match) {
	if s.adjust == nil {
		return
	}
	d := s.d[m.switchers[0]][0]
	if moved[d] == nil {
		moved[d] = make([]float64, len(s.adjust.names))
	}
	for j, x := range s.l.x {
		change := func(u int) float64 { return x[s.first[u]+m.to] - x[s.first[u]+m.from] }
		mean, weight := 0.0, 0.0
		for _, u := range m.stayers {
			w := s.weight(u, m.from, nil)
			mean += float64(w * change(u))
			weight += w
		}
		mean /= weight
		for _, u := range m.switchers {
			moved[d][j] += float64(s.weight(u, m.from, nil) * m.sign(u) * (change(u) - mean))
		}
	}
}

// spread takes the influence of θ off that of a sum of matches.
func (a *adjustment) spread(inf []float64, moved map[float64][]float64) {
	if a == nil || inf == nil {
		return
	}
	for _, d := range slices.Sorted(maps.Keys(moved)) {
		for u, v := range a.inf[d] {
			if v != nil {
				inf[u] -= num.Dot(moved[d], v)
			}
		}
	}
}

// json are the coefficients by first treatment.
func (a *adjustment) json(l *long) []map[string]any {
	out := []map[string]any{}
	for _, d := range slices.Sorted(maps.Keys(a.coef)) {
		for j, name := range a.names {
			one := make([]float64, len(l.names))
			for u, v := range a.inf[d] {
				if v != nil {
					one[u] = v[j]
				}
			}
			sums := l.clusterTotals(one)
			out = append(out, map[string]any{"first_treatment": d, "term": name, "estimate": a.coef[d][j], "std_error": math.Sqrt(num.Dot(sums, sums)), "rows": a.rows[d]})
		}
	}
	return out
}
