package panel

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// PreTestPower says what a test of the effects before treatment could have found: its power against trends that differ by a
// straight line, and how far the effect is off when such a line is there and the test does not reject.
//
// β ~ N(δ + effects, Σ), δ[e] = slope·(e - reference). With p the K coefficients before treatment, μ their δ, t the target Σ l·β after it and b = Σ l·δ:
//
//	joint  rejects when p'Σ_pp⁻¹p > c, the 1 - Size quantile of χ²(K); with λ = μ'Σ_pp⁻¹μ and F_K(·;λ) the noncentral χ²
//	       power = 1 - F_K(c;λ);   E[t off | not rejected] = b + Σ_tp Σ_pp⁻¹ μ·(F_{K+2}(c;λ)/F_K(c;λ) - 1)
//	each   rejects when any |p[k]| > z·√Σ[k,k] (z the normal quantile of Size): the same two numbers by Genz's sequence over a
//	       lattice of 2,039 points, error below about 1e-3
//
// Source: Roth (2022), AER: Insights 4(3); the truncated mean of joint by E[X·1{X'X ≤ c}] = μ·F_{K+2}(c;λ).
type PreTestPower struct {
	Size  float64   // of the test; 0 = 0.05
	Power []float64 // for which the slope is found; nil = 0.5 and 0.8
	Slope []float64 // further slopes, outcome units per period
	Test  string    // joint or each; "" = both
}

// A TrendPower is what the tests do when a straight line of this slope is there.
type TrendPower struct {
	Test            string  `json:"test"`              // joint or each
	Slope           float64 `json:"slope"`             // outcome units per period
	Power           float64 `json:"power"`             // probability of rejecting
	Bias            float64 `json:"bias"`              // of the target, whatever the test says
	BiasNotRejected float64 `json:"bias_not_rejected"` // mean over the data sets that the test does not reject
}

// A PreTestReport is the joint test with what both tests could find.
type PreTestReport struct {
	Stat    float64      `json:"statistic"`
	DF      float64      `json:"df"`
	P       float64      `json:"p_value"`
	Largest float64      `json:"largest_z"` // the largest |effect| / standard error before treatment
	Size    float64      `json:"size"`
	Trends  []TrendPower `json:"trends"`
}

// maxEach is how many coefficients before treatment the test of each is worked out for.
const maxEach = 30

// Fit works out the report. events are the times since treatment of the coefficients, reference that of the period left out, target the
// weights of the coefficients after it.
//
// Errors: [ErrOption], [estimate.ErrInvalidFrame], [estimate.ErrCollinear] (covariance before treatment not positive definite).
func (o PreTestPower) Fit(ctx context.Context, c Coefficients, events []int, reference int, target []float64) (*PreTestReport, error) {
	r, err := o.fit(ctx, c, events, reference, target)
	if err != nil {
		return nil, fmt.Errorf("power of the pre-test: %w", err)
	}
	return r, nil
}

func (o PreTestPower) fit(ctx context.Context, c Coefficients, events []int, reference int, target []float64) (*PreTestReport, error) {
	n, k := len(c.Value), c.Pre
	if o.Size == 0 {
		o.Size = 0.05
	}
	if o.Power == nil {
		o.Power = []float64{0.5, 0.8}
	}
	switch {
	case !(o.Size > 0 && o.Size < 1):
		return nil, fmt.Errorf("%w: size %v is not between 0 and 1", ErrOption, o.Size)
	case k < 1 || k >= n || c.Cov == nil || c.Cov.SymmetricDim() != n || len(events) != n || len(target) != n-k:
		return nil, fmt.Errorf("%w: coefficients, covariance, events and target do not fit each other", estimate.ErrInvalidFrame)
	}
	if o.Test != "" && o.Test != "joint" && o.Test != "each" {
		return nil, fmt.Errorf("%w: test %q is not joint or each", ErrOption, o.Test)
	}
	for _, p := range o.Power {
		if !(p > o.Size && p < 1) {
			return nil, fmt.Errorf("%w: power %v is not between the size and 1", ErrOption, p)
		}
	}
	w := &preTests{k: k, line: make([]float64, k), pp: mat.NewSymDense(k, nil), size: o.Size}
	for i := range k {
		w.line[i] = float64(events[i] - reference)
		for j := range i + 1 {
			w.pp.SetSym(i, j, c.Cov.At(i, j))
		}
	}
	tp := mat.NewVecDense(k, nil)
	for i, l := range target {
		w.bias += float64(l * float64(events[k+i]-reference))
		for j := range k {
			tp.SetVec(j, tp.AtVec(j)+float64(l*c.Cov.At(k+i, j)))
		}
	}
	if !w.chol.Factorize(w.pp) || w.chol.Cond() > 1e15 {
		return nil, fmt.Errorf("%w: the covariance of the effects before treatment is not positive definite", estimate.ErrCollinear)
	}
	var solved, turned mat.VecDense
	if err := w.chol.SolveVecTo(&solved, mat.NewVecDense(k, c.Value[:k])); err != nil {
		return nil, fmt.Errorf("%w: %w", estimate.ErrCollinear, err)
	}
	if err := w.chol.SolveVecTo(&turned, tp); err != nil {
		return nil, fmt.Errorf("%w: %w", estimate.ErrCollinear, err)
	}
	w.onto = turned.RawVector().Data
	out := &PreTestReport{Stat: mat.Dot(&solved, mat.NewVecDense(k, c.Value[:k])), DF: float64(k), Size: o.Size}
	out.P = num.ChiSquareTail(out.Stat, out.DF)
	for i := range k {
		out.Largest = math.Max(out.Largest, math.Abs(c.Value[i])/math.Sqrt(c.Cov.At(i, i)))
	}
	if err := w.prepare(); err != nil {
		return nil, err
	}
	var tests []func(slope float64) TrendPower
	if o.Test != "each" {
		tests = append(tests, w.joint)
	}
	if o.Test != "joint" && k <= maxEach {
		tests = append(tests, w.each)
	}
	for _, test := range tests {
		for _, p := range o.Power {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			out.Trends = append(out.Trends, test(w.slope(p, test)))
		}
		for _, s := range o.Slope {
			out.Trends = append(out.Trends, test(s))
		}
	}
	return out, nil
}

// preTests are both tests of one set of coefficients.
type preTests struct {
	k    int
	line []float64 // distance of each coefficient from the reference
	pp   *mat.SymDense
	chol mat.Cholesky
	onto []float64 // Σ_pp⁻¹Σ_pt
	bias float64   // of the target for slope 1
	size float64

	unit   float64 // λ of slope 1
	limit  float64 // c
	half   *mat.TriDense
	points [][]float64
}

// lattice is the number of points of the test of each; a prime keeps the sequence from repeating.
const lattice = 2039

func (w *preTests) prepare() error {
	var v mat.VecDense
	if err := w.chol.SolveVecTo(&v, mat.NewVecDense(w.k, w.line)); err != nil {
		return fmt.Errorf("%w: %w", estimate.ErrCollinear, err)
	}
	w.unit = mat.Dot(&v, mat.NewVecDense(w.k, w.line))
	low, high := 0.0, 1.0
	for num.ChiSquareTail(high, float64(w.k)) > w.size {
		high *= 2
	}
	for range 200 {
		middle := (low + high) / 2
		if num.ChiSquareTail(middle, float64(w.k)) > w.size {
			low = middle
		} else {
			high = middle
		}
	}
	w.limit = high
	w.half = mat.NewTriDense(w.k, mat.Lower, nil)
	w.chol.LTo(w.half)
	// Richtmyer's sequence: fractional parts of multiples of square roots of primes, folded so that the two ends meet.
	w.points = make([][]float64, w.k)
	prime := 1
	for j := range w.points {
		prime = nextPrime(prime)
		root := math.Sqrt(float64(prime))
		w.points[j] = make([]float64, lattice)
		for i := range w.points[j] {
			_, f := math.Modf(float64(float64(i+1) * root))
			w.points[j][i] = math.Abs(float64(2*f) - 1)
		}
	}
	return nil
}

func nextPrime(p int) int {
	for p++; ; p++ {
		prime := true
		for d := 2; d*d <= p; d++ {
			prime = prime && p%d != 0
		}
		if prime {
			return p
		}
	}
}

// slope is the slope above 0 at which a test has a power.
func (w *preTests) slope(power float64, test func(float64) TrendPower) float64 {
	high := 1 / math.Sqrt(w.unit)
	for test(high).Power < power {
		high *= 2
	}
	low := 0.0
	for range 60 {
		middle := (low + high) / 2
		if test(middle).Power < power {
			low = middle
		} else {
			high = middle
		}
		if high-low <= 1e-7*high {
			break
		}
	}
	return high
}

func (w *preTests) joint(slope float64) TrendPower {
	lambda := float64(slope * slope * w.unit)
	in := noncentralChiSquare(w.limit, float64(w.k), lambda)
	next := noncentralChiSquare(w.limit, float64(w.k+2), lambda)
	bias := float64(slope * w.bias)
	return TrendPower{Test: "joint", Slope: slope, Power: 1 - in, Bias: bias,
		BiasNotRejected: bias + float64(float64(slope*num.Dot(w.onto, w.line))*(next/in-1))}
}

// noncentralChiSquare is P(χ²(df; λ) ≤ x), the Poisson mixture of central ones from its largest term outwards.
func noncentralChiSquare(x, df, lambda float64) float64 {
	central := func(j int) float64 { return 1 - num.ChiSquareTail(x, df+float64(2*j)) }
	if lambda == 0 {
		return central(0)
	}
	weight := func(j int) float64 {
		lg, _ := math.Lgamma(float64(j) + 1)
		return math.Exp(float64(float64(j)*math.Log(lambda/2)) - lambda/2 - lg)
	}
	sum := 0.0
	middle := int(lambda / 2)
	for j := middle; j >= 0; j-- {
		w := weight(j)
		sum += float64(w * central(j))
		if w < 1e-18 {
			break
		}
	}
	for j := middle + 1; ; j++ {
		w := weight(j)
		sum += float64(w * central(j))
		if w < 1e-18 {
			return sum
		}
	}
}

// each integrates over the box by Genz's sequence: coefficient after coefficient, each drawn from its normal distribution given those before,
// cut to the box; the product of the shares left is the probability, and weights the mean.
func (w *preTests) each(slope float64) TrendPower {
	z := num.NormalQuantile(1 - w.size/2)
	total := 0.0
	mean := make([]float64, w.k) // of p less its own mean
	x := make([]float64, w.k)
	for i := range lattice {
		product := 1.0
		for j := range w.k {
			at := float64(slope * w.line[j])
			for h := range j {
				at += float64(w.half.At(j, h) * x[h])
			}
			own := w.half.At(j, j)
			edge := float64(z * math.Sqrt(w.pp.At(j, j)))
			lo, hi := (-edge-at)/own, (edge-at)/own
			share, quantile := normalBetween(lo, hi, w.points[j][i])
			product *= share
			x[j] = quantile
			if product == 0 {
				break
			}
		}
		if product == 0 {
			continue
		}
		total += product
		for j := range w.k {
			v := 0.0
			for h := range j + 1 {
				v += float64(w.half.At(j, h) * x[h])
			}
			mean[j] += float64(product * v)
		}
	}
	bias := float64(slope * w.bias)
	shift := 0.0
	for j, v := range mean {
		shift += float64(w.onto[j] * (v / total))
	}
	return TrendPower{Test: "each", Slope: slope, Power: 1 - total/lattice, Bias: bias, BiasNotRejected: bias + shift}
}

// normalBetween is P(lo ≤ Z ≤ hi) and the u-quantile of Z between them, in the tail that is near.
func normalBetween(lo, hi, u float64) (share, quantile float64) {
	sign := 1.0
	if lo > 0 {
		lo, hi, sign, u = -hi, -lo, -1, 1-u
	}
	lower := math.Erfc(-lo/math.Sqrt2) / 2
	upper := math.Erfc(-hi/math.Sqrt2) / 2
	share = upper - lower
	if !(share > 0) {
		return 0, 0
	}
	p := min(max(lower+float64(u*share), math.SmallestNonzeroFloat64), 1-1e-16)
	return share, sign * num.NormalQuantile(p)
}
