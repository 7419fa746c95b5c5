package progress

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

func byUnit(unit []string) []int {
	order := make([]int, len(unit))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(unit[a], unit[b]) })
	return order
}

// items estimates alpha, omega and the error of the sum score.
func (f *reliabilityFit) items() error {
	n, k := f.s.X.Dims()
	N, K := float64(n), float64(k)
	z := mat.NewDense(n, k, nil)
	total := make([]float64, n)
	for j := range k {
		mean := f.sum(func(i int) float64 { return f.s.X.At(i, j) }) / N
		for i := range n {
			z.Set(i, j, f.s.X.At(i, j)-mean)
			total[i] += f.s.X.At(i, j) - mean
		}
	}
	S := mat.NewSymDense(k, nil) // divisor n
	trace := 0.0
	for a := range k {
		for b := a; b < k; b++ {
			S.SetSym(a, b, f.sum(func(i int) float64 { return z.At(i, a) * z.At(i, b) })/N)
		}
		trace += S.At(a, a)
	}
	all := f.sum(func(i int) float64 { return total[i] * total[i] }) / N
	if all <= 1e-12*trace {
		return fmt.Errorf("%w: the sum of the items does not vary; are some of them reversed?", estimate.ErrNotIdentified)
	}
	alpha := K / (K - 1) * (1 - trace/all)
	inf := make([]float64, n)
	for i := range n {
		own := 0.0
		for j := range k {
			own += float64(z.At(i, j) * z.At(i, j))
		}
		inf[i] = K / (K - 1) * (float64(trace*total[i]*total[i]/(all*all)) - own/all) / N
	}
	if 1-alpha < 1e-12 { // every item is a copy of the others: an error of 1e-17 would claim to know that
		alpha = 1
		for i := range inf {
			inf[i] = math.NaN()
		}
	}
	f.record("alpha", ReliabilityCoefficient, alpha, inf)
	f.omega(z, S)
	v := all * N / (N - 1)
	sem := math.Sqrt(v * (1 - alpha))
	errs, sdc := make([]float64, n), make([]float64, n)
	for i := range n {
		errs[i] = N / (N - 1) * (float64((1-alpha)*(total[i]*total[i]-all)/N) - float64(all*inf[i])) / (2 * sem)
		sdc[i] = detectable() * errs[i]
	}
	f.record("sem", MeasurementError, sem, errs)
	f.record("sdc", DetectableChange, detectable()*sem, sdc)
	rest := map[string]float64{}
	for j, name := range f.s.Names {
		cov := f.sum(func(i int) float64 { return z.At(i, j) * (total[i] - z.At(i, j)) }) / N
		other := all - 2*cov - S.At(j, j)
		rest[name] = cov / math.Sqrt(S.At(j, j)*other)
		if !(other > 1e-12*all) {
			rest[name] = math.NaN()
		}
		if cov < 0 {
			f.note("item-reversed", fmt.Sprintf("Item %q goes against the rest of the scale: turn its answers round if it is worded the other way.", name), map[string]any{"item": name})
		}
	}
	f.res.Details["item_rest"], f.res.Details["sd_total"] = rest, math.Sqrt(v)
	return nil
}

// omega fits one factor, Σ = λλ' + Ψ, by Fisher scoring of the normal likelihood:
// δ = −M⁻¹g with M = [tr(Σ⁻¹Σ_aΣ⁻¹Σ_b)] and g = [tr(Σ⁻¹Σ_a) − tr(Σ⁻¹SΣ⁻¹Σ_a)].
func (f *reliabilityFit) omega(z *mat.Dense, S *mat.SymDense) {
	n, k := z.Dims()
	inf := make([]float64, n)
	none := func() {
		for i := range inf {
			inf[i] = math.NaN()
		}
		f.record("omega", ReliabilityCoefficient, math.NaN(), inf)
	}
	if k < 3 {
		f.note("omega-few-items", "Omega needs three items: with fewer the loadings are not identified.", map[string]any{"items": k})
		none()
		return
	}
	failed := func() {
		f.note("omega-not-fitted", "One factor does not fit these items (an item without error of its own), so that omega does not exist.", map[string]any{"items": k})
		none()
	}
	theta := make([]float64, 2*k) // loadings, uniquenesses
	for j := range k {
		theta[j], theta[k+j] = math.Sqrt(S.At(j, j)/2), S.At(j, j)/2
	}
	var m *factorStep
	for iter := 1; ; iter++ {
		if m = newFactorStep(theta, S); m == nil || iter > 500 {
			failed()
			return
		}
		delta := m.solve(m.gradient)
		if delta == nil {
			failed()
			return
		}
		size := 0.0
		for a, d := range delta {
			scale := math.Sqrt(S.At(a%k, a%k))
			if a >= k {
				scale *= scale
			}
			size = max(size, math.Abs(d)/scale)
		}
		if size < 1e-11 {
			f.res.Fit = estimate.Convergence{Converged: true, Iterations: iter, Tolerance: size}
			break
		}
		next := make([]float64, 2*k)
		better := false
		for half := 1.0; half > 1e-6 && !better; half /= 2 {
			for a := range next {
				next[a] = theta[a] - float64(half*delta[a])
			}
			if t := newFactorStep(next, S); t != nil {
				better = t.objective <= m.objective+1e-12*(1+math.Abs(m.objective))
			}
		}
		if !better {
			failed()
			return
		}
		copy(theta, next)
	}
	sum, unique := 0.0, 0.0
	for j := range k {
		sum, unique = sum+theta[j], unique+theta[k+j]
	}
	D := float64(sum*sum) + unique
	grad := make([]float64, 2*k)
	for j := range k {
		grad[j], grad[k+j] = 2*sum*unique/(D*D), -sum*sum/(D*D)
	}
	a := m.solve(grad)
	for i := range n {
		g := m.score(z.RawRowView(i))
		for q := range a {
			inf[i] -= float64(a[q] * g[q])
		}
		inf[i] /= float64(n)
	}
	loadings, uniquenesses := map[string]float64{}, map[string]float64{}
	for j, name := range f.s.Names {
		loadings[name], uniquenesses[name] = theta[j], theta[k+j]
	}
	f.res.Details["loadings"], f.res.Details["uniquenesses"] = loadings, uniquenesses
	f.record("omega", ReliabilityCoefficient, sum*sum/D, inf)
}

// factorStep is the likelihood of one factor at a point.
type factorStep struct {
	k         int
	theta     []float64
	w         *mat.SymDense // Σ⁻¹
	wl        []float64     // Σ⁻¹λ
	objective float64       // log|Σ| + tr(SΣ⁻¹)
	gradient  []float64
	chol      mat.Cholesky
}

// newFactorStep is nil where the point is not inside the parameter space.
func newFactorStep(theta []float64, S *mat.SymDense) *factorStep {
	k := len(theta) / 2
	sigma := mat.NewSymDense(k, nil)
	for a := range k {
		if !(theta[k+a] > 1e-8*S.At(a, a)) {
			return nil
		}
		for b := a; b < k; b++ {
			sigma.SetSym(a, b, theta[a]*theta[b])
		}
		sigma.SetSym(a, a, sigma.At(a, a)+theta[k+a])
	}
	m := &factorStep{k: k, theta: theta, w: mat.NewSymDense(k, nil), wl: make([]float64, k)}
	var chol mat.Cholesky
	if !chol.Factorize(sigma) || chol.InverseTo(m.w) != nil {
		return nil
	}
	var ws, wsw mat.Dense
	ws.Mul(m.w, S)
	wsw.Mul(&ws, m.w)
	m.objective = chol.LogDet() + mat.Trace(&ws)
	c := 0.0
	for a := range k {
		for b := range k {
			m.wl[a] += float64(m.w.At(a, b) * theta[b])
		}
		c += float64(m.wl[a] * theta[a])
	}
	m.gradient = make([]float64, 2*k)
	info := mat.NewSymDense(2*k, nil)
	for a := range k {
		for b := range k {
			m.gradient[a] += 2 * float64((m.w.At(a, b)-wsw.At(a, b))*theta[b])
			x := m.w.At(a, b)
			if b >= a {
				info.SetSym(a, b, 2*(float64(x*c)+float64(m.wl[a]*m.wl[b])))
				info.SetSym(k+a, k+b, x*x)
			}
			info.SetSym(a, k+b, 2*x*m.wl[b])
		}
		m.gradient[k+a] = m.w.At(a, a) - wsw.At(a, a)
	}
	if !m.chol.Factorize(info) {
		return nil
	}
	return m
}

func (m *factorStep) solve(g []float64) []float64 {
	out := mat.NewVecDense(len(g), nil)
	if m.chol.SolveVecTo(out, mat.NewVecDense(len(g), g)) != nil {
		return nil
	}
	return out.RawVector().Data
}

// score is one person's part of the gradient.
func (m *factorStep) score(z []float64) []float64 {
	q := make([]float64, m.k)
	l := 0.0
	for a := range q {
		for b, v := range z {
			q[a] += float64(m.w.At(a, b) * v)
		}
		l += float64(q[a] * m.theta[a])
	}
	g := make([]float64, 2*m.k)
	for a := range q {
		g[a] = 2 * (m.wl[a] - float64(q[a]*l))
		g[m.k+a] = m.w.At(a, a) - float64(q[a]*q[a])
	}
	return g
}
