package num

import (
	"math"
	"testing"
)

// By hand: of 1, 2, 4 with weights 1, 2, 1 the mean is 9/4 and Σw(y−m)² = 25/16 + 2/16 + 49/16 = 19/4; about 0 it is 1 + 8 + 16.
// A level of 10¹² costs no digits: 10¹² + (0, 1/4, 1/2) have 1/8.
func TestSumOfSquares(t *testing.T) {
	y, w := []float64{1, 2, 4}, []float64{1, 2, 1}
	for what, c := range map[string][2]float64{
		"weighted":   {SumOfSquares(y, w, true, 1), 19.0 / 4},
		"about 0":    {SumOfSquares(y, w, false, 1), 25},
		"unweighted": {SumOfSquares(y, nil, true, 0), 14.0 / 3},
		"level":      {SumOfSquares([]float64{1e12, 1e12 + 0.25, 1e12 + 0.5}, nil, true, 1), 0.125},
		"none":       {SumOfSquares(nil, nil, true, 1), 0},
	} {
		if math.Abs(c[0]-c[1]) > 4e-16*c[1] {
			t.Errorf("%s: %v, want %v", what, c[0], c[1])
		}
	}
	long := make([]float64, 3*Chunk+17)
	for i := range long {
		long[i] = 1e6 + float64(i%7)
	}
	if a, b := SumOfSquares(long, nil, true, 1), SumOfSquares(long, nil, true, 7); a != b {
		t.Errorf("workers change the sum: %v, %v", a, b)
	}
}
