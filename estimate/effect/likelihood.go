package effect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// likelihood is a log-likelihood of p parameters to be climbed.
type likelihood struct {
	p int
	// at returns value, gradient and the negative of the second derivatives, as a lower
	// triangle by rows; NaN or -Inf for a point outside the parameter space.
	at func(theta []float64) (value float64, gradient, curve []float64)
}

// climb finds the maximum by Newton's method with step halving, to a Newton decrement
// g'H⁻¹g below 1e-20 or one that rounding no longer lets shrink below 1e-12. It
// returns the point, its value and the Cholesky factor of H.
func (l likelihood) climb(theta []float64) (best []float64, value float64, chol *mat.Cholesky, iterations int, err error) {
	value, g, h := l.at(theta)
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil, 0, nil, 0, fmt.Errorf("%w: the likelihood is not finite at the start", estimate.ErrNotConverged)
	}
	for iter := 0; ; iter++ {
		chol = &mat.Cholesky{}
		if !chol.Factorize(symmetric(h, l.p)) || chol.Cond() > 1e14 {
			return nil, 0, nil, iter, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
		}
		step := mat.NewVecDense(l.p, nil)
		if err := chol.SolveVecTo(step, mat.NewVecDense(l.p, g)); err != nil {
			return nil, 0, nil, iter, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
		}
		decrement := mat.Dot(step, mat.NewVecDense(l.p, g))
		if decrement <= 1e-20 {
			return theta, value, chol, iter, nil
		}
		if iter >= 100 {
			return nil, 0, nil, iter, fmt.Errorf("%w: Newton decrement %.2g after %d steps", estimate.ErrNotConverged, decrement, iter)
		}
		moved := false
		next := make([]float64, l.p)
		for half := 1.0; half > 1e-10; half /= 2 {
			for j := range next {
				next[j] = theta[j] + float64(half*step.AtVec(j))
			}
			v, ng, nh := l.at(next)
			if v >= value-1e-13*(1+math.Abs(value)) {
				// At the rounding of the sum only a shrinking decrement counts as progress.
				if v <= value && decrement <= 1e-12 {
					return next, v, chol, iter + 1, nil
				}
				theta, value, g, h, moved = next, v, ng, nh, true
				break
			}
		}
		if !moved {
			return nil, 0, nil, iter, fmt.Errorf("%w: no step raises the likelihood", estimate.ErrNotConverged)
		}
	}
}

// sandwich is the covariance of a maximum-likelihood estimate from its information
// and its scores by unit (n×p by rows, weights included).
type sandwich struct {
	scores   []float64
	n, p     int
	inverse  *mat.SymDense // of the information
	cluster  []int
	vcov     Vcov
	units    float64
	weight   []float64 // frequency weights: a score is of all copies
	clusters int
	text     string
	notes    []table.Note
}

// covariance: iid is the inverse information; hc0 and cr0 have Σss' between two of
// them, hc1 times N/(N-K), cr1 times G/(G-1)·(N-1)/(N-K).
func (s *sandwich) covariance() (*mat.SymDense, float64, error) {
	df := math.Inf(1)
	s.text = map[Vcov]string{
		IID: "iid: inverse of the information; normal",
		HC0: "hc0: sandwich, no factor; normal", HC1: "hc1: sandwich, factor N/(N-K); normal",
		CR0: "cr0: sandwich of cluster sums, no factor; t on G-1",
		CR1: "cr1: sandwich of cluster sums, factor G/(G-1)*(N-1)/(N-K); t on G-1",
	}[s.vcov]
	if s.units <= float64(s.p) {
		return nil, 0, fmt.Errorf("%w: %g units for %d coefficients", estimate.ErrTooFew, s.units, s.p)
	}
	if s.vcov == IID {
		return s.inverse, df, nil
	}
	meat := make([]float64, s.p*(s.p+1)/2)
	factor := 1.0
	switch s.vcov {
	case HC0, HC1:
		for i := range s.n {
			f := 1.0
			if s.weight != nil {
				f = 1 / s.weight[i]
			}
			addOuter(meat, s.scores[i*s.p:(i+1)*s.p], f)
		}
		if s.vcov == HC1 {
			factor = s.units / (s.units - float64(s.p))
		}
	case CR0, CR1:
		codes, g := ranked(s.cluster)
		l, sol := &linear{}, &solution{}
		sol.fit.Rank = s.p
		if err := l.checkClusters(sol, g); err != nil {
			return nil, 0, err
		}
		s.notes, s.clusters, df = sol.notes, g, float64(g-1)
		sum := make([]float64, s.p)
		for _, rows := range rowsOf(codes, g) {
			clear(sum)
			for _, r := range rows {
				for j, v := range s.scores[r*s.p : (r+1)*s.p] {
					sum[j] += v
				}
			}
			addOuter(meat, sum, 1)
		}
		if s.vcov == CR1 {
			factor = float64(g) / float64(g-1) * (s.units - 1) / (s.units - float64(s.p))
		}
	default:
		return nil, 0, fmt.Errorf("%w: vcov %s; this method has iid, hc0, hc1, cr0 and cr1", ErrOption, s.vcov)
	}
	var half, full mat.Dense
	half.Mul(s.inverse, symmetric(meat, s.p))
	full.Mul(&half, s.inverse)
	out := mat.NewSymDense(s.p, nil)
	for i := range s.p {
		for j := i; j < s.p; j++ {
			out.SetSym(i, j, factor*(full.At(i, j)+full.At(j, i))/2)
		}
	}
	return out, df, nil
}

// influence is H⁻¹s by unit.
func (s *sandwich) influence() *mat.Dense {
	m := mat.NewDense(s.n, s.p, nil)
	m.Mul(mat.NewDense(s.n, s.p, s.scores), s.inverse)
	return m
}

// standardised are columns (x-centre)/scale, and which of them are no combination of
// those before.
type standardised struct {
	x             []float64 // n×len(kept)
	kept          []int
	centre, scale []float64 // by kept column
	notes         []table.Note
}

// standardise centres (unless there is no constant to absorb it) and scales the
// frame's columns and leaves collinear ones out, with a note.
func standardise(s *sample, constant bool, workers int) (*standardised, error) {
	f := s.frame
	out := &standardised{}
	if f.X == nil {
		return out, nil
	}
	n, k := len(s.rows), len(f.XNames)
	p := k + 1
	full := make([]float64, n*p)
	for i, r := range s.rows {
		if constant {
			full[i*p] = 1
		}
		copy(full[i*p+1:(i+1)*p], f.X.RawRowView(r))
	}
	fit, err := num.LeastSquares(num.LsqData{N: n, K: p, X: full, Y: make([]float64, n), DropCollinear: true, Workers: workers})
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, j := range fit.Collinear {
		if j > 0 {
			gone = append(gone, f.XNames[j-1])
		}
	}
	if len(gone) > 0 {
		out.notes = append(out.notes, collinearNote(gone))
	}
	for _, j := range fit.Kept {
		if j == 0 {
			continue
		}
		out.kept = append(out.kept, j-1)
		var mean, size float64
		if constant {
			for i := range n {
				mean += (full[i*p+j] - full[j]) / float64(n)
			}
			mean += full[j]
		}
		for i := range n {
			d := full[i*p+j] - mean
			size += float64(d * d)
		}
		out.centre, out.scale = append(out.centre, mean), append(out.scale, math.Sqrt(size/float64(n)))
	}
	q := len(out.kept)
	out.x = make([]float64, n*q)
	for i := range n {
		for a, j := range out.kept {
			out.x[i*q+a] = (full[i*p+j+1] - out.centre[a]) / out.scale[a]
		}
	}
	return out, nil
}
