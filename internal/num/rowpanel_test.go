package num

import (
	"math"
	"testing"
)

// R = [2 1; 0 4] and x = (2, 9): R⁻ᵀx = (1, 2), R⁻¹ of that (1/4, 1/2). Rows (1, 2) and, of x = (4, 2), (2, 0): with weights
// 3 and 1 their squares and products are 7, 6, 12; with 5 and -1 their sums 3 and 10.
func TestRowPanelByHand(t *testing.T) {
	p, r := NewRowPanel(2), []float64{2, 1, 0, 4}
	p.Load([]float64{9, 0, 2, 2, 0, 4}, 2, 3, []int{2, 0})
	p.SolveTransposed(r)
	check := func(what string, got []float64, want ...float64) {
		t.Helper()
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-15 {
				t.Errorf("%s: %v, want %v", what, got, want)
				return
			}
		}
	}
	h, outer, sums := make([]float64, 2), make([]float64, 3), make([]float64, 2)
	p.Squares(h)
	p.AddOuter([]float64{3, 1}, outer)
	p.AddProducts([]float64{5, -1}, sums)
	check("squares", h, 5, 4)
	check("outer", outer, 7, 6, 12)
	check("products", sums, 3, 10)
	p.Solve(r)
	y := []float64{7, 7, 7, 7, 7, 7}
	p.Store(y, 3, []int{2, 0}, []float64{4, 2})
	check("stored", y, 2, 7, 1, 0, 7, 2)
}

// A panel of any width gives what the rows give one at a time.
func TestRowPanelEveryWidth(t *testing.T) {
	for k := 1; k <= 11; k++ {
		s := NewStream(3, "panel", uint64(k))
		n, columns := 37, make([]int, k)
		x, w, tri := make([]float64, n*k), make([]float64, n), make([]float64, k*k)
		for j := range k {
			columns[j] = j
			for l := j; l < k; l++ {
				tri[j*k+l] = s.Normal()
			}
			tri[j*k+j] += math.Copysign(3, tri[j*k+j])
		}
		for i := range x {
			x[i] = s.Normal()
		}
		for i := range w {
			w[i] = s.Float()
		}
		p := NewRowPanel(k)
		p.Load(x, n, k, columns)
		p.SolveTransposed(tri)
		outer, sums, want, total := make([]float64, k*(k+1)/2), make([]float64, k), make([]float64, k*(k+1)/2), make([]float64, k)
		p.AddOuter(w, outer)
		p.AddProducts(w, sums)
		p.Solve(tri)
		y := make([]float64, n*k)
		p.Store(y, k, columns, w)
		close := func(a, b float64) bool { return math.Abs(a-b) <= 1e-13*(1+math.Abs(b)) }
		for i := range n {
			z := append([]float64(nil), x[i*k:i*k+k]...)
			solveTransposed(tri, k, z)
			for j := range k {
				total[j] += w[i] * z[j]
				for l := 0; l <= j; l++ {
					want[j*(j+1)/2+l] += w[i] * z[j] * z[l]
				}
			}
			solveUpper(tri, k, z)
			for j := range k {
				if !close(y[i*k+j], w[i]*z[j]) {
					t.Fatalf("width %d row %d column %d: %v, want %v", k, i, j, y[i*k+j], w[i]*z[j])
				}
			}
		}
		for i := range want {
			if !close(outer[i], want[i]) {
				t.Fatalf("width %d: outer %v, want %v", k, outer, want)
			}
		}
		for i := range total {
			if !close(sums[i], total[i]) {
				t.Fatalf("width %d: sums %v, want %v", k, sums, total)
			}
		}
	}
}
