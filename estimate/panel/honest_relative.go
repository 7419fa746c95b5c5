package panel

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

const (
	leastFavourable = 2000 // draws of its critical value
	stages          = 10   // its size is α over this
	scanPoints      = 10   // a standard error of the target, if the range is no longer than 400 of them: values between two points are not tried
)

// relative gives intervals for departures after treatment bounded by the largest step before it, by tests of every value.
type relative struct {
	*trends
	seed    uint64
	workers int
	steps   [][]float64 // of each draw of the coefficients, the same for all M so that intervals move smoothly with it
}

// polyhedron is one set of the union: the largest step before treatment is at one place, with one sign, and every step
// after treatment is at most m times as large. With A δ ≤ 0 these inequalities, y(θ) = A β - A_τ θ and nuisance columns X
// (effects after treatment that leave θ as it is), the test statistic is η = min over τ of the largest (y - Xτ)[i]/σ[i].
type polyhedron struct {
	a     *mat.Dense // 2L × (K+L)
	cov   *mat.SymDense
	w     []float64 // 2L × L: σ, X
	slope []float64 // of y in θ
	size  int
	// The bound on a step after treatment is factor times that from period largest on.
	largest int
	factor  float64
	upper   float64 // no smaller than the critical value of the first stage
	limit   float64 // that value; NaN until it is needed
}

// polyhedra builds the union for a bound m.
func (r *relative) polyhedra(m float64) ([]*polyhedron, error) {
	out := make([]*polyhedron, 2*r.pre)
	errs := make([]error, len(out))
	r.draw()
	num.ForEach(len(out), r.workers, func(k int) {
		sign := 1.0
		if k%2 == 1 {
			sign = -1
		}
		out[k], errs[k] = r.polyhedron(m, k/2, sign)
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// step fills a row with the step from period p to p + 1 (0 = from the first coefficient), times f; the reference period is 0.
func (r *relative) step(row []float64, p int, f float64) {
	add := func(position int, v float64) { // positions 0 … K+L, K the reference
		switch {
		case position < r.pre:
			row[position] += v
		case position > r.pre:
			row[position-1] += v
		}
	}
	add(p+1, f)
	add(p, -f)
}

func (r *relative) polyhedron(m float64, largest int, sign float64) (*polyhedron, error) {
	n, l := r.pre+r.post, r.post
	p := &polyhedron{a: mat.NewDense(2*l, n, nil), size: 2 * l, largest: largest, factor: sign * m, w: make([]float64, 2*l*l), slope: make([]float64, 2*l)}
	for t := range l {
		for half, f := range []float64{1, -1} {
			row := p.a.RawRowView(t + half*l)
			r.step(row, r.pre+t, f)
			r.step(row, largest, -p.factor)
		}
	}
	var left mat.Dense
	left.Mul(p.a, r.cov)
	var full mat.Dense
	full.Mul(&left, p.a.T())
	p.cov = mat.NewSymDense(2*l, nil)
	for i := range 2 * l {
		for j := i; j < 2*l; j++ {
			p.cov.SetSym(i, j, full.At(i, j))
		}
	}
	// Effects after treatment are (θ, others) by a matrix whose first row is the target: the unit vector of its largest entry is replaced.
	pivot := 0
	for t, v := range r.target {
		if math.Abs(v) > math.Abs(r.target[pivot]) {
			pivot = t
		}
	}
	for i := range 2 * l {
		row := p.a.RawRowView(i)[r.pre:]
		p.w[i*l] = math.Sqrt(p.cov.At(i, i))
		p.slope[i] = row[pivot] / r.target[pivot]
		at := 1
		for t, v := range row {
			if t != pivot {
				p.w[i*l+at] = v - float64(row[pivot]*r.target[t]/r.target[pivot])
				at++
			}
		}
	}
	if p.programme() == nil {
		return nil, fmt.Errorf("%w: the target and the covariance leave no test", estimate.ErrNotIdentified)
	}
	p.limit, p.upper = math.NaN(), r.above(p)
	return p, nil
}

// programme is a fresh linear programme. A step and its opposite have opposite nuisance parts, so that both together, or one without any, are a start.
func (p *polyhedron) programme() *num.MomentLP {
	l := p.size / 2
	for t := range l {
		start := []int{t, t + l}
		size := 0.0
		for _, v := range p.w[t*l+1 : (t+1)*l] {
			size += math.Abs(v)
		}
		if size < 1e-12 {
			start = start[:1]
		}
		if lp := num.NewMomentLP(p.size, l, p.w, start); lp != nil {
			return lp
		}
	}
	return nil
}

// errStuck is a linear programme of the test that did not end.
var errStuck = fmt.Errorf("%w: linear programme of the test", estimate.ErrNotConverged)

// keeps reports whether the test does not reject that y(θ) has mean ≤ Xτ for a τ, with eta its statistic, from which lp stands. The critical value of the first stage is worked out
// only where the answer depends on it: it cuts off the conditional test, which rejects the more the lower it is.
func (r *relative) keeps(p *polyhedron, lp *num.MomentLP, y []float64, eta float64) (bool, error) {
	alpha := r.alpha
	if eta <= 1e-12 {
		return true, nil
	}
	gamma := lp.Weights()
	n := p.size
	var image mat.VecDense
	image.MulVec(p.cov, mat.NewVecDense(n, gamma))
	variance := mat.Dot(mat.NewVecDense(n, gamma), &image)
	if !(variance > 1e-20) { // σ = 1 in the units of η: no sampling error left
		return false, nil
	}
	sd := math.Sqrt(variance)
	c, s := make([]float64, n), make([]float64, n)
	for i := range c {
		c[i] = image.AtVec(i) / variance
		s[i] = y[i] - float64(c[i]*eta)
	}
	low, high := math.Inf(-1), math.Inf(1)
	for _, sign := range []float64{-1, 1} { // where along c another γ takes over
		at := make([]float64, n)
		for i := range at {
			at[i] = sign * c[i]
		}
		x := math.NaN()
		for range 200 {
			if _, ok := lp.Solve(at); !ok {
				return false, errStuck
			}
			g := lp.Weights()
			slope, level := num.Dot(g, c)-1, num.Dot(g, s)
			if sign*slope <= 1e-9 || !math.IsNaN(x) && level+float64(slope*x) <= 1e-10*max(1, math.Abs(x)) {
				break
			}
			x = -level / slope
			for i := range at {
				at[i] = s[i] + float64(c[i]*x)
			}
		}
		if math.IsNaN(x) {
			continue
		}
		if sign < 0 {
			low = min(x, eta)
		} else {
			high = max(x, eta)
		}
	}
	size := (alpha - alpha/stages) / (1 - alpha/stages)
	if eta/sd > max(0, truncatedQuantile(1-size, low/sd, high/sd))+1e-9 {
		return false, nil
	}
	limit, err := r.critical(p)
	if err != nil || eta > limit {
		return false, err
	}
	return eta/sd <= max(0, truncatedQuantile(1-size, low/sd, min(high, limit)/sd)), nil
}

// truncatedQuantile is the p quantile of a standard normal number between low and high.
func truncatedQuantile(p, low, high float64) float64 {
	if low >= high {
		return high
	}
	if low < 0 && -low > high {
		return -truncatedQuantile(1-p, -high, -low)
	}
	upper := func(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }
	a, b := upper(low), upper(high)
	if a < 1e-290 { // beyond the tail's reach: exponential there
		return min(high, low-math.Log1p(p*math.Expm1(-low*(high-low)))/low)
	}
	tail := float64((1-p)*a) + float64(p*b)
	return min(max(-num.NormalQuantile(tail), low), high)
}

// tester tests values of the target for one M.
type tester struct {
	r    *relative
	sets []*polyhedron
	lps  []*num.MomentLP
	y    [][]float64 // Aβ
	// No value of the target below left or above right is kept by a set: weights γ that reject one bound the statistic of all by a straight line.
	left, right []float64
}

func (r *relative) tester(m float64, beta []float64) (*tester, error) {
	sets, err := r.polyhedra(m)
	if err != nil {
		return nil, err
	}
	t := &tester{r: r, sets: sets}
	for _, p := range sets {
		var y mat.VecDense
		y.MulVec(p.a, mat.NewVecDense(len(beta), beta))
		t.y, t.lps = append(t.y, y.RawVector().Data), append(t.lps, p.programme())
		t.left, t.right = append(t.left, math.Inf(-1)), append(t.right, math.Inf(1))
	}
	return t, nil
}

func (t *tester) keeps(theta float64) (bool, error) {
	for k, p := range t.sets {
		if theta < t.left[k] || theta > t.right[k] {
			continue
		}
		y := make([]float64, p.size)
		for i := range y {
			y[i] = t.y[k][i] - float64(p.slope[i]*theta)
		}
		eta, ok := t.lps[k].Solve(y)
		if !ok {
			return false, errStuck
		}
		if t.excludes(k, theta, eta) {
			continue
		}
		if ok, err := t.r.keeps(p, t.lps[k], y, eta); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// excludes reports whether the first stage rejects for a set, and notes for how far it does.
func (t *tester) excludes(k int, theta, eta float64) bool {
	p := t.sets[k]
	limit := p.upper
	if !math.IsNaN(p.limit) {
		limit = p.limit
	}
	if !(eta > limit) {
		return false
	}
	falls := num.Dot(t.lps[k].Weights(), p.slope)
	switch at := theta + float64((1-1e-9)*(eta-limit)/falls); {
	case falls > 0:
		t.left[k] = max(t.left[k], at)
	case falls < 0:
		t.right[k] = min(t.right[k], at)
	}
	return true
}

func (r *relative) has(_ context.Context, m float64) (bool, error) {
	t, err := r.tester(m, r.beta)
	if err != nil {
		return false, err
	}
	return t.keeps(0)
}

// interval scans outward from both ends of a range that is doubled until its ends are rejected, then halves to 1e-6 standard errors.
func (r *relative) interval(ctx context.Context, m float64) (estimate.Interval, float64, float64, error) {
	nan := math.NaN()
	none := estimate.Interval{Lo: nan, Hi: nan, Method: "conditional-least-favourable"}
	t, err := r.tester(m, r.beta)
	if err != nil {
		return none, nan, nan, err
	}
	reach := 10 * r.se
	lever := 0.0
	for p, w := range r.target {
		lever += math.Abs(w) * float64(p+1)
	}
	row := make([]float64, r.pre+r.post)
	for p := range r.pre {
		clear(row)
		r.step(row, p, 1)
		reach = max(reach, 10*r.se+float64(m*lever*(math.Abs(num.Dot(row, r.beta))+5*r.sd(row))))
	}
	find := func(sign float64) (float64, error) {
		for try := range 12 {
			wide := reach * float64(int(1)<<try)
			points := int(min(4000, max(100, wide/r.se*scanPoints)))
			last := math.NaN()
			for k := 0; k <= 2*points; k++ { // from far on this side to far on the other
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				theta := r.value + float64(sign*wide*(1-float64(k)/float64(points)))
				in, err := t.keeps(theta)
				if err != nil {
					return 0, err
				}
				if !in {
					last = theta
					continue
				}
				if k == 0 {
					break
				}
				inside, outside := theta, last
				for math.Abs(outside-inside) > 1e-6*r.se {
					middle := (inside + outside) / 2
					if in, err = t.keeps(middle); err != nil {
						return 0, err
					} else if in {
						inside = middle
					} else {
						outside = middle
					}
				}
				return inside, nil
			}
			if math.IsNaN(last) || try == 11 {
				continue
			}
			return 0, fmt.Errorf("%w: the test rejects every value", estimate.ErrNotIdentified)
		}
		return 0, fmt.Errorf("%w: the interval reaches beyond %.3g standard errors", estimate.ErrNotIdentified, reach/r.se*4096)
	}
	if none.Hi, err = find(1); err != nil {
		return none, nan, nan, err
	}
	none.Lo, err = find(-1)
	return none, nan, nan, err
}
