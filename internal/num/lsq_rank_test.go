package num

import (
	"slices"
	"testing"
)

// Rank and LeastSquares call the same columns collinear.
func TestRankIsThatOfLeastSquares(t *testing.T) {
	s := NewStream(1, "rank", 0)
	const n, k = 5000, 6
	d := LsqData{N: n, K: k, X: make([]float64, n*k), Y: make([]float64, n)}
	for i := range n {
		x := d.X[i*k : (i+1)*k]
		x[0], x[1], x[2] = 1, s.Normal(), 1e6*s.Normal()
		x[3], x[4], x[5] = x[1]-2*x[2], s.Normal(), 7
		d.Y[i] = s.Normal()
	}
	d.DropCollinear = true
	fit, err := LeastSquares(d)
	if err != nil {
		t.Fatal(err)
	}
	kept, collinear, condition, err := Rank(d)
	if err != nil || !slices.Equal(kept, fit.Kept) || !slices.Equal(collinear, fit.Collinear) || condition != fit.Condition || !slices.Equal(collinear, []int{3, 5}) {
		t.Errorf("%v %v %g %v, want %v %v %g", kept, collinear, condition, err, fit.Kept, fit.Collinear, fit.Condition)
	}
}
