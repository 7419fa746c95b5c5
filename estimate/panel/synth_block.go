package panel

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// block is a balanced panel in which all treated units start in one period.
type block struct {
	y       [][]float64 // by unit, controls first, each in byte order of names; one number a period
	names   []string
	periods []int
	n0, t0  int         // controls, periods before treatment
	x       [][]float64 // by unit: predictors; nil without
	xnames  []string
}

// block lays out the frame.
func (s *Synthetic) block(f *Frame, treated []bool) (*block, []table.Note, error) {
	switch {
	case len(treated) != len(f.Y):
		return nil, nil, fmt.Errorf("%w: %d treatment marks for %d outcomes", estimate.ErrInvalidFrame, len(treated), len(f.Y))
	case f.X != nil || f.Weight != nil || f.Cluster != nil:
		return nil, nil, fmt.Errorf("%w: synthetic controls have no covariates in regressions, weights or clusters", ErrOption)
	}
	l, offset, err := layWhole(f, treated)
	if err != nil {
		return nil, nil, err
	}
	cohorts := l.cohortsIn()
	switch {
	case len(cohorts) == 0:
		return nil, nil, fmt.Errorf("%w: none is left that is untreated first and treated later, and seen in every period", estimate.ErrNoTreated)
	case len(cohorts) > 1:
		return nil, nil, fmt.Errorf("%w: in %d; estimate one starting period at a time, with units never treated", ErrStaggered, len(cohorts))
	case !l.hasNever():
		return nil, nil, fmt.Errorf("%w: no unit that is never treated is seen in every period", estimate.ErrNoControls)
	}
	b := &block{}
	for _, p := range l.periods {
		b.periods = append(b.periods, p+offset)
		if p < cohorts[0] {
			b.t0++
		}
	}
	k := len(l.periods)
	for _, control := range []bool{true, false} {
		for u, name := range l.names { // balanced: k rows each, sorted by cohort and name
			if (l.cohort[u*k] == never) == control {
				b.names = append(b.names, name)
				b.y = append(b.y, l.y[u*k:(u+1)*k])
			}
		}
		if control {
			b.n0 = len(b.names)
		}
	}
	least := 2
	switch s.Method {
	case DifferenceInMeans:
		least = 1
	case AugmentedSynthetic:
		least = 3
	}
	if b.t0 < least {
		return nil, nil, fmt.Errorf("%w: %d before treatment, %d are needed", ErrFewPeriods, b.t0, least)
	}
	return b, l.notes, b.predict(s.Predictors, f)
}

// treatedUnits counts the units that are treated at some time.
func (l *long) treatedUnits() int {
	n := 0
	for i, g := range l.cohort {
		if g != never && (i == 0 || l.unit[i] != l.unit[i-1]) {
			n++
		}
	}
	return n
}

// predict fills in the predictors of each unit: means over their windows of the values that exist.
func (b *block) predict(predictors []Predictor, f *Frame) error {
	if len(predictors) == 0 {
		return nil
	}
	unit, period := map[string]int{}, map[int]int{}
	for i, n := range b.names {
		unit[n] = i
	}
	for t, p := range b.periods {
		period[p] = t
	}
	b.x = make([][]float64, len(b.names))
	for _, p := range predictors {
		if len(p.Values) != len(f.Y) {
			return fmt.Errorf("%w: predictor %q has %d values for %d rows", estimate.ErrInvalidFrame, p.Name, len(p.Values), len(f.Y))
		}
		from, to := b.periods[0], b.periods[b.t0-1]
		if p.From != nil {
			from = *p.From
		}
		if p.To != nil {
			to = *p.To
		}
		if from > to || from < b.periods[0] || to > b.periods[b.t0-1] {
			return fmt.Errorf("%w: the window %d-%d of predictor %q does not lie within the periods before treatment, %d-%d", ErrOption, from, to, p.Name, b.periods[0], b.periods[b.t0-1])
		}
		cells := make([][]float64, len(b.names))
		for i := range cells {
			cells[i] = slices.Repeat([]float64{math.NaN()}, len(b.periods))
		}
		for r, v := range p.Values {
			if math.IsInf(v, 0) {
				return &estimate.RowError{Row: r, Err: fmt.Errorf("%w: predictor %q is not finite", estimate.ErrInvalidFrame, p.Name)}
			}
			u, ok := unit[f.Unit[r]]
			if t, in := period[f.Time[r]]; ok && in {
				cells[u][t] = v
			}
		}
		lacking := 0
		for u, row := range cells {
			sum, n := 0.0, 0
			for t, v := range row {
				if b.periods[t] >= from && b.periods[t] <= to && !math.IsNaN(v) {
					sum += v
					n++
				}
			}
			if n == 0 {
				lacking++
				continue
			}
			b.x[u] = append(b.x[u], sum/float64(n))
		}
		if lacking > 0 {
			return fmt.Errorf("%w: predictor %q has no value in %d-%d for %d of %d units", estimate.ErrNotIdentified, p.Name, from, to, lacking, len(b.names))
		}
		b.xnames = append(b.xnames, p.Name)
	}
	return nil
}

// pick is the block of the units given, the first n0 of them as controls.
func (b *block) pick(units []int, n0 int) *block {
	out := &block{periods: b.periods, n0: n0, t0: b.t0, xnames: b.xnames}
	for _, u := range units {
		out.y = append(out.y, b.y[u])
		if b.x != nil {
			out.x = append(out.x, b.x[u])
		}
	}
	return out
}

func (b *block) treatedMean(t int) float64 {
	sum := 0.0
	for _, y := range b.y[b.n0:] {
		sum += y[t]
	}
	return sum / float64(len(b.y)-b.n0)
}

// noise is the standard deviation of the controls' changes between neighbouring periods before treatment.
func (b *block) noise() float64 {
	var d []float64
	for _, y := range b.y[:b.n0] {
		for t := 1; t < b.t0; t++ {
			d = append(d, y[t]-y[t-1])
		}
	}
	return deviation(d, 1)
}

// deviation is the standard deviation with divisor n - lost; 0 for fewer than two numbers.
func deviation(d []float64, lost int) float64 {
	if len(d) < 2 {
		return 0
	}
	mean := num.Sum(d) / float64(len(d))
	squares := make([]float64, len(d))
	for i, v := range d {
		squares[i] = float64((v - mean) * (v - mean))
	}
	return math.Sqrt(num.Sum(squares) / float64(len(d)-lost))
}

// effect returns θ and the gap of each period.
func (b *block) effect(w *synthWeights) (float64, []float64) {
	gaps := make([]float64, len(b.periods))
	for t := range gaps {
		sum := 0.0
		for i, v := range w.omega {
			sum += float64(v * b.y[i][t])
		}
		gaps[t] = b.treatedMean(t) - sum
	}
	after, before := 0.0, 0.0
	for t, g := range gaps {
		if t < b.t0 {
			before += float64(w.lambda[t] * g)
		} else {
			after += g
		}
	}
	return after/float64(len(gaps)-b.t0) - before, gaps
}

// layWhole lays out the frame of a method that needs every unit in every period: units that lack one are left out,
// treated ones counted in a note of their own. offset is what dateEntry says.
func layWhole(f *Frame, treated []bool) (l *long, offset int, err error) {
	dated, offset, err := dateEntry(f, treated)
	if err != nil {
		return nil, 0, err
	}
	if l, err = layLong(dated, 0, false); err != nil {
		return nil, 0, err
	}
	before := l.treatedUnits()
	if err := l.balance(); err != nil {
		return nil, 0, err
	}
	if left := l.treatedUnits(); left < before {
		l.note("treated-units-dropped", map[string]any{"units": before - left, "of": before},
			"%d of %d treated units lack a period and were left out: the effect is that on the others.", before-left, before)
	}
	return l, offset, nil
}
