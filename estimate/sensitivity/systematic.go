package sensitivity

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// systematic is the model y ~ N(μ1, Σ + τ²I), turned so that Σ is diagonal.
type systematic struct {
	lambda, z, x []float64  // Σ's eigenvalues; Q'y; Q'1
	q            *mat.Dense // eigenvectors in columns
}

// systematicFit is the model at the likeliest τ².
type systematicFit struct {
	mu, tau2 float64
	variance float64   // of mu: a'Va
	weight   []float64 // a, of the estimates
}

func newErrors(y []float64, cov *mat.SymDense) (*systematic, error) {
	k := len(y)
	s := &systematic{lambda: make([]float64, k), z: make([]float64, k), x: make([]float64, k), q: mat.NewDense(k, k, nil)}
	diagonal := true
	for i := range k {
		for j := range i {
			diagonal = diagonal && cov.At(i, j) == 0
		}
	}
	if diagonal { // left as it is, so that independent controls lose no digit
		for i := range k {
			s.lambda[i] = cov.At(i, i)
			s.q.Set(i, i, 1)
		}
	} else {
		var eig mat.EigenSym
		if !eig.Factorize(cov, true) {
			return nil, fmt.Errorf("%w: eigenvalues of the controls' covariance", estimate.ErrNotConverged)
		}
		eig.Values(s.lambda)
		eig.VectorsTo(s.q)
	}
	largest := 0.0
	for _, v := range s.lambda {
		largest = math.Max(largest, v)
	}
	for i, v := range s.lambda {
		if !(v > 1e-12*largest) {
			return nil, fmt.Errorf("%w: the covariance of the controls is not positive definite; leave out a control that repeats others", ErrOption)
		}
		for j := range k {
			s.z[i] += float64(s.q.At(j, i) * y[j])
			s.x[i] += s.q.At(j, i)
		}
	}
	return s, nil
}

// at returns μ̂, its information and the score in τ².
func (s *systematic) at(tau2 float64, restricted bool) (mu, information, score float64) {
	var xy float64
	for i, l := range s.lambda {
		w := 1 / (l + tau2)
		information += float64(w * s.x[i] * s.x[i])
		xy += float64(w * s.x[i] * s.z[i])
	}
	mu = xy / information
	var sum, sum2, rss2 float64
	for i, l := range s.lambda {
		w := 1 / (l + tau2)
		r := s.z[i] - float64(s.x[i]*mu)
		sum += w
		sum2 += float64(w * w * s.x[i] * s.x[i])
		rss2 += float64(w * w * r * r)
	}
	score = (rss2 - sum) / 2
	if restricted {
		score += sum2 / information / 2
	}
	return mu, information, score
}

// loglik is the log-likelihood up to a constant.
func (s *systematic) loglik(tau2 float64, restricted bool) float64 {
	mu, information, _ := s.at(tau2, restricted)
	v := 0.0
	for i, l := range s.lambda {
		r := s.z[i] - float64(s.x[i]*mu)
		v -= (math.Log(l+tau2) + r*r/(l+tau2)) / 2
	}
	if restricted {
		v -= math.Log(information) / 2
	}
	return v
}

// fit finds the likeliest τ². The likelihood may have several peaks: every change of
// sign of the score on a grid is followed to the last bit.
func (s *systematic) fit(restricted bool) systematicFit {
	least, most, mean := math.Inf(1), 0.0, 0.0
	for i, l := range s.lambda {
		least = math.Min(least, l)
		mean += float64(s.x[i] * s.z[i])
	}
	mean /= float64(len(s.z)) // of y, since x'x = k
	for i := range s.z {
		r := s.z[i] - float64(s.x[i]*mean)
		most += float64(r * r)
	}
	score := func(t float64) float64 { _, _, v := s.at(t, restricted); return v }
	best, top := 0.0, s.loglik(0, restricted)
	from, before := 0.0, score(0)
	low := math.Min(least, most) * 1e-6
	const points = 32
	for i := range points {
		if !(low > 0) {
			break // no spread at all
		}
		to := low * math.Pow(2*most/low, float64(i)/(points-1))
		after := score(to)
		if before > 0 && after <= 0 {
			lo, hi := from, to
			for range 400 {
				mid := lo + (hi-lo)/2
				if mid == lo || mid == hi {
					break
				}
				if score(mid) > 0 {
					lo = mid
				} else {
					hi = mid
				}
			}
			if v := s.loglik(hi, restricted); v > top {
				best, top = hi, v
			}
		}
		from, before = to, after
	}
	mu, information, _ := s.at(best, restricted)
	f := systematicFit{mu: mu, tau2: best, variance: 1 / information, weight: make([]float64, len(s.z))}
	for i, l := range s.lambda {
		w := s.x[i] / (l + best) / information
		for j := range f.weight {
			f.weight[j] += float64(s.q.At(j, i) * w)
		}
	}
	return f
}

// homogeneity is y'Py at τ = 0.
func (s *systematic) homogeneity() float64 {
	mu, _, _ := s.at(0, false)
	q := 0.0
	for i, l := range s.lambda {
		r := s.z[i] - float64(s.x[i]*mu)
		q += r * r / l
	}
	return q
}

// calibrate takes the systematic error off an estimate; with are its covariances with
// the controls, nil = 0.
func (f systematicFit) calibrate(term string, m estimate.Measure, value, se, df float64, with []float64, level float64) (estimate.Estimate, error) {
	if math.IsNaN(value) {
		return bare(term, m, math.NaN()), nil
	}
	u := f.tau2 + f.variance
	v := float64(se*se) + u
	for i, c := range with {
		v -= 2 * f.weight[i] * c
	}
	if !(v > 0) {
		return estimate.Estimate{}, fmt.Errorf("%w: the covariances with the controls are larger than the errors allow", ErrOption)
	}
	d := v * v / (float64(u*u)/float64(len(f.weight)-1) + se*se*se*se/df)
	return estimate.Wald(term, m, value-f.mu, math.Sqrt(v), d, level), nil
}
