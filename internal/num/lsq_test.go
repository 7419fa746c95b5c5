package num

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"

	"utfall/internal/reftest"
)

func mustLsq(t testing.TB, d LsqData) LsqFit {
	t.Helper()
	f, err := LeastSquares(d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// By hand: y = 1, 2, 4 on x = 0, 1, 3 with weights 1, 2, 1. Σw = 4, Σwx = 5,
// Σwx² = 11, Σwy = 9, Σwxy = 16; the determinant is 44-25 = 19, so that
// b = ((99-80)/19, (64-45)/19) = (1, 1), every residual 0. With y = 1, 2, 5:
// Σwy = 10, Σwxy = 19, b = (15/19, 26/19), residuals 4/19, -3/19, 2/19,
// RSS = (16+18+4)/361 = 2/19, leverages (11, 2(11-10+4), 11-30+36)/19 = (11, 10, 17)/19.
func TestLeastSquaresByHand(t *testing.T) {
	d := LsqData{N: 3, K: 2, X: []float64{1, 0, 1, 1, 1, 3}, Y: []float64{1, 2, 4}, Weight: []float64{1, 2, 1}}
	f := mustLsq(t, d)
	reftest.Agree(t, "exact intercept", f.Coef[0], 1, 15)
	reftest.Agree(t, "exact slope", f.Coef[1], 1, 15)
	reftest.Near(t, "exact RSS", f.RSS, 0, 1e-30)

	d.Y = []float64{1, 2, 5}
	f = mustLsq(t, d)
	reftest.Agree(t, "intercept", f.Coef[0], 15.0/19, 15)
	reftest.Agree(t, "slope", f.Coef[1], 26.0/19, 15)
	reftest.Agree(t, "RSS", f.RSS, 2.0/19, 14)
	for i, want := range []float64{4.0 / 19, -3.0 / 19, 2.0 / 19} {
		reftest.Agree(t, "residual", f.Residual[i], want, 14)
	}
	for i, want := range []float64{11.0 / 19, 10.0 / 19, 17.0 / 19} {
		reftest.Agree(t, "leverage", f.Leverage(d)[i], want, 14)
	}
	reftest.Agree(t, "inverse 00", f.Inverse.At(0, 0), 11.0/19, 14)
	reftest.Agree(t, "inverse 01", f.Inverse.At(0, 1), -5.0/19, 14)
	reftest.Agree(t, "inverse 11", f.Inverse.At(1, 1), 4.0/19, 14)
	// R'R = [[4,5],[5,11]]: R = [[2, 5/2],[0, √19/2]].
	for i, want := range []float64{2, 2.5, 0, math.Sqrt(19) / 2} {
		reftest.Agree(t, "R", f.R[i], want, 14)
	}
	// Unit columns have the inner product c = 5/√44; the condition number is √((1+c)/(1-c)).
	c := 5 / math.Sqrt(44)
	reftest.Agree(t, "condition", f.Condition, math.Sqrt((1+c)/(1-c)), 13)
	if f.Rank != 2 || len(f.Kept) != 2 || f.Collinear != nil {
		t.Errorf("rank %d, kept %v, collinear %v", f.Rank, f.Kept, f.Collinear)
	}
}

func simLsq(seed uint64, n, k int) LsqData {
	s := NewStream(seed, "lsq test", 0)
	d := LsqData{N: n, K: k, X: make([]float64, n*k), Y: make([]float64, n), Weight: make([]float64, n)}
	for i := range n {
		row := d.X[i*k : (i+1)*k]
		row[0] = 1
		y := 3.0
		for j := 1; j < k; j++ {
			z := s.Normal()
			row[j] = z
			if j%3 == 1 {
				row[j] = 2e5 + 3e4*z
			}
			y += z / float64(j)
		}
		d.Y[i] = y + s.Normal()
		d.Weight[i] = float64(1 + s.Intn(3))
	}
	return d
}

// Exact rational arithmetic on the data as stored is the judge of the last digits,
// below and above one chunk.
func TestLeastSquaresAgainstExactArithmetic(t *testing.T) {
	for _, n := range []int{7, 300, Chunk + 700} {
		d := simLsq(8, n, 4)
		f := mustLsq(t, d)
		want, inv := exactLsq(d)
		for j := range want {
			reftest.Agree(t, fmt.Sprintf("n=%d coefficient %d", n, j), f.Coef[j], want[j], 15)
			reftest.Agree(t, fmt.Sprintf("n=%d inverse %d", n, j), f.Inverse.At(j, j), inv[j], 13)
		}
		var h float64
		for _, v := range f.Leverage(d) {
			h += v
		}
		reftest.Agree(t, "Σ leverage = rank", h, 4, 12)
	}
}

func exactLsq(d LsqData) (coef, inverse []float64) {
	k := d.K
	m := make([][]*big.Rat, k) // X'WX | X'Wy | 1
	for i := range m {
		m[i] = make([]*big.Rat, 2*k+1)
		for j := range m[i] {
			m[i][j] = new(big.Rat)
		}
		m[i][k+1+i].SetInt64(1)
	}
	for r := range d.N {
		w := new(big.Rat).SetFloat64(d.Weight[r])
		for i := range k {
			xi := new(big.Rat).SetFloat64(d.X[r*k+i])
			xi.Mul(xi, w)
			for j := i; j < k; j++ {
				m[i][j].Add(m[i][j], new(big.Rat).Mul(xi, new(big.Rat).SetFloat64(d.X[r*k+j])))
				m[j][i] = m[i][j]
			}
			m[i][k].Add(m[i][k], new(big.Rat).Mul(xi, new(big.Rat).SetFloat64(d.Y[r])))
		}
	}
	for i := range m { // unalias the symmetric entries before eliminating
		for j := range m[i] {
			m[i][j] = new(big.Rat).Set(m[i][j])
		}
	}
	for p := range k {
		inv := new(big.Rat).Inv(m[p][p])
		for j := range m[p] {
			m[p][j].Mul(m[p][j], inv)
		}
		for i := range k {
			if i == p {
				continue
			}
			f := new(big.Rat).Set(m[i][p])
			for j := range m[i] {
				m[i][j].Sub(m[i][j], new(big.Rat).Mul(f, m[p][j]))
			}
		}
	}
	for i := range k {
		c, _ := m[i][k].Float64()
		v, _ := m[i][k+1+i].Float64()
		coef, inverse = append(coef, c), append(inverse, v)
	}
	return coef, inverse
}

func TestLeastSquaresCollinear(t *testing.T) {
	for _, n := range []int{60, 3 * Chunk} {
		base := simLsq(4, n, 4)
		d := base
		d.K = 7
		d.X = make([]float64, n*7)
		for i := range n {
			x := base.X[i*4 : i*4+4]
			// Columns 2 (a multiple), 4 (a combination) and 6 (zero) add nothing.
			copy(d.X[i*7:], []float64{x[0], x[1], 7e-5*x[1] - 3, x[2], x[1]/3 + 1e6*x[2], x[3], 0})
		}
		_, err := LeastSquares(d)
		var sing *SingularColumn
		if !errors.As(err, &sing) || sing.Column != 2 || !errors.Is(err, ErrSingular) {
			t.Fatalf("n=%d: %v", n, err)
		}
		d.DropCollinear = true
		f, want := mustLsq(t, d), mustLsq(t, base)
		if fmt.Sprint(f.Kept, f.Collinear, f.Rank) != "[0 1 3 5] [2 4 6] 4" {
			t.Errorf("kept %v, collinear %v", f.Kept, f.Collinear)
		}
		for j := range want.Coef {
			reftest.Agree(t, "coefficient", f.Coef[j], want.Coef[j], 14)
			reftest.Agree(t, "inverse", f.Inverse.At(j, j), want.Inverse.At(j, j), 11)
		}
	}
	// Fewer rows than columns.
	d := LsqData{N: 2, K: 3, X: []float64{1, 2, 3, 1, 5, 7}, Y: []float64{1, 2}}
	var sing *SingularColumn
	if _, err := LeastSquares(d); !errors.As(err, &sing) || sing.Column != 2 {
		t.Errorf("underdetermined: %v", err)
	}
	// A year's square and cube beside the year are honest columns.
	d = LsqData{N: 40, K: 4, X: make([]float64, 160), Y: make([]float64, 40)}
	for i := range 40 {
		y := float64(1985 + i)
		copy(d.X[i*4:], []float64{1, y, y * y, y * y * y})
		d.Y[i] = 5 + y*y*y
	}
	f := mustLsq(t, d)
	reftest.Agree(t, "cubic", f.Coef[3], 1, 13)
	if f.Condition < 1e7 {
		t.Errorf("condition number %g of a raw cubic in the year", f.Condition)
	}
}

func TestLeastSquaresRelations(t *testing.T) {
	d := simLsq(12, 9000, 5)
	base := mustLsq(t, d)

	copies := d // M30
	copies.N, copies.X, copies.Y, copies.Weight = 0, nil, nil, nil
	for i := range d.N {
		for range int(d.Weight[i]) {
			copies.X = append(copies.X, d.X[i*d.K:(i+1)*d.K]...)
			copies.Y = append(copies.Y, d.Y[i])
			copies.N++
		}
	}
	c := mustLsq(t, copies)
	scaled := d // M31
	scaled.Weight = make([]float64, d.N)
	for i, w := range d.Weight {
		scaled.Weight[i] = 0.3 * w
	}
	s := mustLsq(t, scaled)
	for j := range base.Coef {
		reftest.Agree(t, "copies", c.Coef[j], base.Coef[j], 14)
		reftest.Agree(t, "copies inverse", c.Inverse.At(j, j), base.Inverse.At(j, j), 12)
		reftest.Agree(t, "weights × 0.3", s.Coef[j], base.Coef[j], 13)
		reftest.Agree(t, "weights × 0.3 inverse", s.Inverse.At(j, j), base.Inverse.At(j, j)/0.3, 12)
	}
	reftest.Agree(t, "copies RSS", c.RSS, base.RSS, 13)

	zero := d // a row of weight 0 counts for nothing but gets its residual
	zero.Weight = append([]float64(nil), d.Weight...)
	zero.Weight[17] = 0
	zero.Y = append([]float64(nil), d.Y...)
	zero.Y[17] = 1e9
	z := mustLsq(t, zero)
	if math.Abs(z.Residual[17]-1e9) > 1e3 || math.Abs(z.Coef[2]-base.Coef[2]) > 0.01 || z.Leverage(zero)[17] != 0 {
		t.Errorf("residual %g, coefficient %g", z.Residual[17], z.Coef[2])
	}

	for _, workers := range []int{1, 2, 5} {
		d.Workers = workers
		f := mustLsq(t, d)
		for j := range f.Coef {
			if f.Coef[j] != base.Coef[j] || f.Inverse.At(0, j) != base.Inverse.At(0, j) {
				t.Fatalf("workers %d change a bit of column %d", workers, j)
			}
		}
		if f.RSS != base.RSS {
			t.Fatalf("workers %d change a bit of the RSS", workers)
		}
	}
}

func TestLeastSquaresErrors(t *testing.T) {
	for name, f := range map[string]func(d *LsqData){
		"NaN":             func(d *LsqData) { d.X[3] = math.NaN() },
		"infinite":        func(d *LsqData) { d.X[5] = math.Inf(-1) },
		"outcome":         func(d *LsqData) { d.Y[2] = math.NaN() },
		"negative weight": func(d *LsqData) { d.Weight[1] = -1 },
	} {
		d := simLsq(1, 30, 3)
		f(&d)
		if fit, err := LeastSquares(d); !errors.Is(err, ErrDomain) || fit.Coef != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := LsqData{N: 3, K: 0, Y: []float64{1, 2, 3}}
	if f := mustLsq(t, d); f.RSS != 14 || f.Rank != 0 {
		t.Errorf("no columns: RSS %g", f.RSS)
	}
	d = LsqData{N: 3, K: 1, X: []float64{1, 1, 1}, Y: []float64{0, 0, 0}}
	if f := mustLsq(t, d); f.RSS != 0 || f.Coef[0] != 0 {
		t.Errorf("outcome 0: %v", f.Coef)
	}
}

func BenchmarkLeastSquares(b *testing.B) {
	for _, k := range []int{8, 20} {
		d := simLsq(1, 1_000_000, k)
		b.Run(fmt.Sprintf("1Mx%d", k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustLsq(b, d)
			}
		})
	}
	d := simLsq(1, 200, 6)
	b.Run("200x6", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustLsq(b, d)
		}
	})
}

// Where refinement begins changes nothing but the number of steps: near the solution one is enough, and from afar the last bits are those from 0.
func TestLeastSquaresFromAStart(t *testing.T) {
	const n, k = 400, 3
	x, y := make([]float64, n*k), make([]float64, n)
	for i := range n {
		st := NewStream(8, "start", uint64(i))
		x[i*k], x[i*k+1], x[i*k+2] = 1, st.Normal(), 100+st.Normal()
		y[i] = 3 + x[i*k+1] - 2*x[i*k+2] + st.Normal()
	}
	base, err := LeastSquares(LsqData{N: n, K: k, X: x, Y: y})
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []float64{0, 1e-13, 1, 1e6} {
		start := []float64{base.Coef[0] + off, base.Coef[1], base.Coef[2] - off}
		fit, err := LeastSquares(LsqData{N: n, K: k, X: x, Y: y, Start: start})
		if err != nil {
			t.Fatal(err)
		}
		for j := range k {
			if math.Abs(fit.Coef[j]-base.Coef[j]) > 2e-16*math.Abs(base.Coef[j]) {
				t.Errorf("start off by %g: coefficient %d differs by %g", off, j, fit.Coef[j]-base.Coef[j])
			}
		}
		if near := off <= 1e-13; near != (fit.Steps == 0) {
			t.Errorf("start off by %g: %d steps", off, fit.Steps)
		}
		for i := range n {
			if math.Abs(fit.Residual[i]-base.Residual[i]) > 1e-10 {
				t.Fatalf("start off by %g: residual %d differs", off, i)
			}
		}
	}
}
