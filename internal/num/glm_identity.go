package num

import "math"

// solveIdentity is solve for least squares: its coefficients have the outcome's unit, in
// which an iteration cannot say what is small. The outcome less the offset and, with a
// constant, less its mean is brought to unit size by a power of two, and the answer back.
func (g *glmKernel) solveIdentity(m *logitModel, steps *int) ([]float64, *logitEval, error) {
	inner, kernel := *m, *g
	kernel.offset, kernel.sized = nil, true
	inner.glm, inner.Y = &kernel, append([]float64(nil), m.Y...)
	centre, sum, size := 0.0, 0.0, 0.0
	for i := range inner.Y {
		if m.Weight != nil && m.Weight[i] == 0 {
			inner.Y[i] = 0
			continue
		}
		if g.offset != nil {
			inner.Y[i] -= g.offset[i]
		}
		w := 1.0
		if m.Weight != nil {
			w = m.Weight[i]
		}
		sum += float64(w * inner.Y[i])
	}
	if m.constant >= 0 {
		centre = sum / m.sumW
	}
	for i := range inner.Y {
		if m.Weight == nil || m.Weight[i] != 0 {
			inner.Y[i] -= centre
			size = math.Max(size, math.Abs(inner.Y[i]))
		}
	}
	scale := 1.0
	if size > 0 && !math.IsInf(size, 0) {
		scale = powerOfTwo(1 / size)
	}
	for i := range inner.Y {
		inner.Y[i] *= scale
	}
	gamma, ev, err := kernel.solve(&inner, nil, steps)
	if err != nil {
		return nil, nil, err
	}
	for j := range gamma {
		gamma[j] /= scale
	}
	if m.constant >= 0 {
		gamma[m.constant] += centre
	}
	ev.score /= scale
	return gamma, ev, nil
}
