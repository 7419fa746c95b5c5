package num

import (
	"math"
	"testing"

	"utfall/internal/reftest"
)

// Four rows at x = 1, 2, 3, 4 with y = 0, 0, 6, 10, one split a tree, shrinkage ½: the mean
// is 4; the first cut is at 2½ (errors of the halves 0 and 8, the least), so that the
// leaves get 4 + ½·(-4) = 2 and 4 + ½·4 = 6. A new row at 2.4 is left of the cut, one at
// 2.6 right of it. Residuals are then -2, -2, 0, 4, and the second cut is at 3½ (leaf means
// -4/3 and 4; halves would be -2 and 2: Σ(Σr)²/n 16/3+16 against 8+8).
func TestBoostSquaredByHand(t *testing.T) {
	d := BoostData{N: 4, K: 1, X: []float64{1, 2, 3, 4}, Y: []float64{0, 0, 6, 10}, Squared: true, Depth: 1, MinLeaf: 1, Bins: 256, Rounds: 1, Shrinkage: 0.5, New: []float64{2.4, 2.6, -9, 99}}
	f, err := Boost(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{2, 2, 6, 6} {
		reftest.Agree(t, "after one tree", f.Linear[i], want, 13)
	}
	for i, want := range []float64{2, 6, 2, 6} {
		reftest.Agree(t, "new rows", f.New[i], want, 13)
	}
	reftest.Agree(t, "RSS of the mean", f.Deviance[0], 72, 13)
	reftest.Agree(t, "RSS after one tree", f.Deviance[1], 4+4+0+16, 13)
	d.Rounds = 2
	if f, err = Boost(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{2 - 2.0/3, 2 - 2.0/3, 6 - 2.0/3, 8} {
		reftest.Agree(t, "after two trees", f.Linear[i], want, 13)
	}
}

// Held-out errors without a tree: fold {0, 6} by the mean 5 of the others, (25 + 1)/2, fold
// {0, 10} by 3, (9 + 49)/2: 21 on average, with an error of 8.
func TestBoostSquaredHeldOutByHand(t *testing.T) {
	d := BoostData{N: 4, K: 1, X: []float64{1, 2, 3, 4}, Y: []float64{0, 0, 6, 10}, Squared: true, Depth: 1, MinLeaf: 1, Bins: 256, Rounds: 3, Shrinkage: 0.5, Patience: 1, Fold: []int32{0, 1, 0, 1}, Folds: 2}
	f, err := Boost(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "held out", f.CV.Mean[0], 21, 13)
	reftest.Agree(t, "its error", f.CV.SE[0], 8, 13)
}

// New rows that are the rows get what the rows have, for both losses and with the number
// of trees by cross-validation; the unit of y changes nothing but the unit.
func TestBoostPredictsNewRows(t *testing.T) {
	x, y, _ := arithmeticData()
	d := BoostData{N: 240, K: 5, X: x, Y: y, Depth: 2, MinLeaf: 5, Bins: 16, Rounds: 40, Shrinkage: 0.1, Patience: 10, Folds: 4, New: x}
	for i := range d.N {
		d.Fold = append(d.Fold, int32(i%4))
	}
	for _, squared := range []bool{false, true} {
		d.Squared = squared
		if squared {
			d.Y = linearData().Y
		}
		f, err := Boost(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if f.Rounds == 0 {
			t.Fatal("no tree")
		}
		for i, v := range f.Linear {
			if squared {
				reftest.Agree(t, "new row", f.New[i], v, 12)
			} else if f.New[i] != v {
				t.Fatalf("row %d: %g, as a new row %g", i, v, f.New[i])
			}
		}
		if !squared {
			continue
		}
		moved := d
		moved.Y = make([]float64, d.N)
		for i, v := range d.Y {
			moved.Y[i] = 1e6 + 1024*v
		}
		g, err := Boost(t.Context(), moved)
		if err != nil {
			t.Fatal(err)
		}
		if g.Rounds != f.Rounds {
			t.Errorf("%d trees, %d in another unit", f.Rounds, g.Rounds)
		}
		reftest.Agree(t, "in another unit", (g.Linear[5]-1e6)/1024, f.Linear[5], 8)
		reftest.Agree(t, "error in another unit", g.CV.Mean[0]/(1024*1024), f.CV.Mean[0], 8)
	}
	d.Y = make([]float64, d.N)
	f, err := Boost(t.Context(), d)
	if err != nil || f.Rounds != 0 || f.New[0] != 0 || math.IsNaN(f.Linear[3]) {
		t.Error("an outcome without spread", err, f)
	}
}
