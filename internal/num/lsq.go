package num

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// CollinearTolerance is the share of a column's length, outside the space of the
// columns before it, under which [LeastSquares] calls it collinear. Rounding of an
// exactly dependent column leaves about 1e-15; NIST's Filip, the worst honest
// polynomial of the StRD, leaves 1e-10 (R's default of 1e-7 drops it).
const CollinearTolerance = 1e-12

// LsqData is what [LeastSquares] fits. Nothing in it is changed.
type LsqData struct {
	N, K   int
	X      []float64 // N×K by rows; the caller includes an intercept column if one is wanted
	Y      []float64 // N
	Weight []float64 // N numbers ≥ 0; nil = all 1. A row of weight 0 is left out of the fit
	// DropCollinear leaves collinear columns out and reports them; without it they
	// are an error.
	DropCollinear bool
	// Start, K numbers, is where refinement begins instead of at 0. From a point so near that
	// its step is below 1e-9 of the fit one step is taken; residuals are then those at Start.
	Start   []float64
	Workers int // < 1 = GOMAXPROCS; never changes the result
}

// LsqFit is a least-squares fit on r = Rank ≤ K columns.
type LsqFit struct {
	Coef      []float64     // r, in the order of Kept
	Kept      []int         // r column numbers, ascending
	Collinear []int         // columns that depend on kept columns before them, ascending
	Rank      int           // r
	Residual  []float64     // N, y - x'Coef, rows of weight 0 too; rounded once from double-double
	RSS       float64       // Σ w·residual²
	R         []float64     // r×r upper triangle by rows, positive diagonal, R'R = X'WX
	Inverse   *mat.SymDense // r×r, (X'WX)⁻¹ = R⁻¹R⁻ᵀ
	// Condition is the 2-norm condition number of the kept columns scaled to unit
	// length: about log10(Condition) digits of the data's own precision are lost.
	Condition float64
	Steps     int // refinement steps taken
}

// LeastSquares minimises Σ w·(y - x'b)² by Householder QR of √w·X, its columns
// scaled by powers of two, and iterative refinement in double-double arithmetic:
//
//	b ← b + (R'R)⁻¹·X'W(y - Xb)
//
// with the residual and the product exact to 106 bits, until the step is below
// 1e-16 of b in every column (Björck 1967; the augmented system with its residual
// unknowns eliminated). R comes from an orthogonal factorisation, X'X is never
// formed: each step gains the digits of 1/(condition·1e-16), and the coefficients
// end correct to their last bits for the data as stored. Up to [Chunk] rows the
// inner products of the factorisation are double-double too; above, rows are
// factorised in fixed blocks combined in an ordered tree.
//
// Collinear columns (see [CollinearTolerance]) are a [*SingularColumn], or left out
// if DropCollinear is set. Fewer rows of positive weight than columns is collinear
// too. A value that is not finite or a negative weight is [ErrDomain]; refinement
// that does not settle is [ErrNoConvergence]. The result has the same bits for any
// Workers.
func LeastSquares(d LsqData) (LsqFit, error) {
	if d.N < 0 || d.K < 0 || len(d.X) != d.N*d.K || len(d.Y) != d.N || (d.Weight != nil && len(d.Weight) != d.N) || (d.Start != nil && len(d.Start) != d.K) {
		panic("num: LeastSquares with data of inconsistent lengths")
	}
	scale, err := d.scales()
	if err != nil {
		return LsqFit{}, err
	}
	kept, r := dropCollinear(d.triangle(scale), d.K, CollinearTolerance)
	q := len(kept)
	fit := LsqFit{Kept: kept, Rank: q, Condition: 1}
	for j, next := 0, 0; j < d.K; j++ {
		if next < q && kept[next] == j {
			next++
			continue
		}
		if !d.DropCollinear {
			return LsqFit{}, &SingularColumn{Column: j}
		}
		fit.Collinear = append(fit.Collinear, j)
	}
	if q > 0 {
		fit.Condition = equilibratedCondition(r, q)
	}
	// Undo the power-of-two scales: exact.
	for i := range q {
		for j := i; j < q; j++ {
			r[i*q+j] /= scale[kept[j]]
		}
	}
	fit.R = r
	if err := fit.refine(&d); err != nil {
		return LsqFit{}, err
	}
	if q > 0 {
		fit.Inverse = inverseOf(r, q)
	}
	return fit, nil
}

// scales checks the data and returns a power of two near 1/max|x| for each column.
func (d *LsqData) scales() ([]float64, error) {
	k := d.K
	chunks := (d.N + Chunk - 1) / Chunk
	largest := make([][]float64, chunks)
	bad := make([]error, chunks)
	ForChunks(d.N, d.Workers, func(c, lo, hi int) {
		big := make([]float64, k)
		for i := lo; i < hi; i++ {
			if y := d.Y[i]; math.IsNaN(y) || math.IsInf(y, 0) {
				bad[c] = fmt.Errorf("%w: outcome of row %d is not a finite number", ErrDomain, i+1)
				return
			}
			if d.Weight != nil {
				if w := d.Weight[i]; !(w >= 0) || math.IsInf(w, 1) {
					bad[c] = fmt.Errorf("%w: weight of row %d is not a finite number of at least 0", ErrDomain, i+1)
					return
				}
			}
			for j, x := range d.X[i*k : i*k+k] {
				a := math.Abs(x)
				if !(a <= math.MaxFloat64) {
					bad[c] = fmt.Errorf("%w: row %d of column %d is not a finite number", ErrDomain, i+1, j)
					return
				}
				if a > big[j] {
					big[j] = a
				}
			}
		}
		largest[c] = big
	})
	scale := make([]float64, k)
	for c, big := range largest {
		if bad[c] != nil {
			return nil, bad[c]
		}
		for j, v := range big {
			scale[j] = math.Max(scale[j], v)
		}
	}
	for j, v := range scale {
		scale[j] = 1
		if v > 0 {
			_, e := math.Frexp(v)
			scale[j] = math.Ldexp(1, -max(min(e, 1000), -1000))
		}
	}
	return scale, nil
}

// refine finds coefficients and residuals.
func (fit *LsqFit) refine(d *LsqData) error {
	q, k := fit.Rank, d.K
	b := make([]dd, q)
	for j, c := range fit.Kept {
		if d.Start != nil {
			b[j].hi = d.Start[c]
		}
	}
	fit.Residual = make([]float64, d.N)
	last := math.Inf(1)
	for step := 0; ; step++ {
		// X'W(y-Xb) and the residuals, to 106 bits.
		g := sumChunksDD(d.N, q+1, d.Workers, func(lo, hi int, acc []dd) {
			for i := lo; i < hi; i++ {
				row := d.X[i*k : i*k+k]
				r := dd{hi: d.Y[i]}
				for j, c := range fit.Kept {
					x := -row[c]
					r = r.addProduct(x, b[j].hi)
					r.lo += float64(x * b[j].lo)
				}
				r = dd{}.add(r)
				fit.Residual[i] = r.hi
				if d.Weight != nil {
					acc[q] = acc[q].addProduct(r.hi, float64(d.Weight[i]*r.hi))
					r = r.times(d.Weight[i])
				} else {
					acc[q] = acc[q].addProduct(r.hi, r.hi)
				}
				for j, c := range fit.Kept {
					a := acc[j].addProduct(r.hi, row[c])
					a.lo += float64(r.lo * row[c])
					acc[j] = a
				}
			}
		})
		delta := make([]float64, q)
		for j := range delta {
			delta[j] = g[j].hi + g[j].lo
		}
		solveTransposed(fit.R, q, delta)
		// Measured in R-coordinates: the movement of the fitted values against their size.
		move, size := math.Sqrt(dotDD(delta, delta)), 0.0
		for i := range q {
			var s float64
			for j := i; j < q; j++ {
				s += float64(fit.R[i*q+j] * b[j].hi)
			}
			size += float64(s * s)
		}
		size = math.Sqrt(size)
		solveUpper(fit.R, q, delta)
		settled := move <= 1e-16*size
		for j, v := range delta {
			// A coefficient whose true value is 0 has no last bit to wait for.
			settled = settled && (math.Abs(v) <= 1e-16*math.Abs(b[j].hi) || move <= 1e-24*size)
		}
		fit.RSS = g[q].hi
		fit.Steps = step
		// A step that no longer shrinks has reached the rounding of the last bits.
		stuck := step >= 2 && move >= last/2
		near := d.Start != nil && step == 0 && move <= 1e-9*size
		done := settled || near || (stuck && move <= 1e-9*size) || move == 0
		if !done && (stuck || step >= 12 || math.IsNaN(move)) {
			return fmt.Errorf("%w: least squares with condition number %.2g", ErrNoConvergence, fit.Condition)
		}
		last = move
		for j, v := range delta {
			b[j] = b[j].add(dd{hi: v})
		}
		if done {
			break
		}
	}
	fit.Coef = make([]float64, q)
	for j := range b {
		fit.Coef[j] = b[j].hi
	}
	return nil
}

// Leverage returns the N weighted hat values w·x'(X'WX)⁻¹x of the fit's own data.
func (fit *LsqFit) Leverage(d LsqData) []float64 {
	h := make([]float64, d.N)
	ForChunks(d.N, d.Workers, func(_, lo, hi int) {
		z := make([]float64, fit.Rank)
		for i := lo; i < hi; i++ {
			fit.Basis(d.X[i*d.K:(i+1)*d.K], z)
			var s float64
			for _, v := range z {
				s += float64(v * v)
			}
			if d.Weight != nil {
				s *= d.Weight[i]
			}
			h[i] = s
		}
	})
	return h
}

// Basis stores R⁻ᵀx in z (length Rank) for a row x of K columns: the coordinates in
// which the kept columns are orthonormal under the weights.
func (fit *LsqFit) Basis(x, z []float64) {
	for j, c := range fit.Kept {
		z[j] = x[c]
	}
	solveTransposed(fit.R, fit.Rank, z)
}

// Unbasis overwrites z (length Rank) with R⁻¹z: from orthonormal coordinates to
// coefficients.
func (fit *LsqFit) Unbasis(z []float64) { solveUpper(fit.R, fit.Rank, z) }

// solveTransposed overwrites b with R⁻ᵀb for a q×q upper triangle by rows.
func solveTransposed(r []float64, q int, b []float64) {
	for i := range q {
		v := b[i] / r[i*q+i]
		b[i] = v
		row := r[i*q : i*q+q]
		for j := i + 1; j < q; j++ {
			b[j] -= float64(row[j] * v)
		}
	}
}

// solveUpper overwrites b with R⁻¹b.
func solveUpper(r []float64, q int, b []float64) {
	for i := q - 1; i >= 0; i-- {
		s := b[i]
		row := r[i*q : i*q+q]
		for j := i + 1; j < q; j++ {
			s -= float64(row[j] * b[j])
		}
		b[i] = s / row[i]
	}
}

// inverseOf returns R⁻¹R⁻ᵀ.
func inverseOf(r []float64, q int) *mat.SymDense {
	inv := make([]float64, q*q) // R⁻¹ by rows
	col := make([]float64, q)
	for j := range q {
		clear(col)
		col[j] = 1
		solveUpper(r, q, col)
		for i := 0; i <= j; i++ {
			inv[i*q+j] = col[i]
		}
	}
	out := mat.NewSymDense(q, nil)
	for i := range q {
		for j := i; j < q; j++ {
			out.SetSym(i, j, dotDD(inv[i*q+j:(i+1)*q], inv[j*q+j:(j+1)*q]))
		}
	}
	return out
}

// equilibratedCondition returns the 2-norm condition number of a q×q triangle whose
// columns are first scaled to unit length.
func equilibratedCondition(r []float64, q int) float64 {
	m := mat.NewDense(q, q, nil)
	for j := range q {
		var s float64
		for i := 0; i <= j; i++ {
			s += float64(r[i*q+j] * r[i*q+j])
		}
		s = math.Sqrt(s)
		for i := 0; i <= j; i++ {
			m.Set(i, j, r[i*q+j]/s)
		}
	}
	var svd mat.SVD
	if !svd.Factorize(m, mat.SVDNone) {
		return math.Inf(1)
	}
	v := svd.Values(nil)
	return v[0] / v[q-1]
}
