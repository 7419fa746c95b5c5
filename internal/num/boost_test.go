package num

import (
	"errors"
	"math"
	"testing"

	"utfall/internal/reftest"
)

func boostExample() BoostData {
	x, y, _ := arithmeticData()
	d := BoostData{N: 240, K: 4, Y: y, Depth: 3, MinLeaf: 5, Bins: 256, Rounds: 40, Shrinkage: 0.1}
	for i := range 240 {
		d.X = append(d.X, x[5*i+1:5*i+5]...)
		// Sums that differ in the last bit are one value, as in a program with 32-bit columns.
		d.X[4*i+2] = math.Round(1000*d.X[4*i+2]) / 1000
	}
	return d
}

func mustBoost(t *testing.T, d BoostData) *BoostFit {
	t.Helper()
	f, err := Boost(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// By hand: x = 0 four times with one y = 1, x = 1 four times with three. F starts at 0,
// p = 1/2; the leaves are Σ(y-p)/Σp(1-p) = (1-2)/(4/4) = -1 and +1; with shrinkage ½ F = ∓½.
// The next leaf at 1 is (3-4p)/(4p(1-p)) with p = logistic(½). The gain is 1/4+1/4 = ½ first.
func TestBoostByHand(t *testing.T) {
	d := BoostData{N: 8, K: 2, X: []float64{0, 5, 0, 5, 0, 5, 0, 5, 1, 5, 1, 5, 1, 5, 1, 5}, Y: []float64{1, 0, 0, 0, 1, 1, 1, 0}, Depth: 2, MinLeaf: 1, Bins: 256, Rounds: 1, Shrinkage: 0.5}
	f := mustBoost(t, d)
	reftest.Agree(t, "first tree", f.Linear[7], 0.5, 14)
	reftest.Agree(t, "first tree", f.Linear[0], -0.5, 14)
	reftest.Agree(t, "deviance before", f.Deviance[0], 16*math.Ln2, 14)
	p := LogitLink.Mean(0.5)
	reftest.Agree(t, "deviance", f.Deviance[1], -4*(3*math.Log(p)+math.Log(1-p)), 13)
	if f.Gain[0] != 1 || f.Gain[1] != 0 {
		t.Errorf("gain %v", f.Gain)
	}
	d.Rounds = 2
	reftest.Agree(t, "second tree", mustBoost(t, d).Linear[7], 0.5+0.5*(3-4*p)/(4*p*(1-p)), 13)
	d.MinLeaf = 5 // no split keeps five rows on both sides
	f = mustBoost(t, d)
	if f.Rounds != 0 || f.Linear[3] != 0 {
		t.Errorf("%d trees, %g", f.Rounds, f.Linear[3])
	}
}

// scikit-learn 1.2.1: GradientBoostingClassifier(criterion='squared_error'), the same for
// its random states 0 to 5, of which it needs one to order columns that split equally well.
func TestBoostAgreesWithScikitLearn(t *testing.T) {
	d := boostExample()
	for _, c := range []struct {
		depth, rounds int
		linear        []float64
		deviance      float64
	}{
		{1, 50, []float64{-0.1840287522855096, 1.3358818545515987, -0.9089488908515299, 0.17770445416177427, 1.3524862092530199, -0.021022174980214133}, 257.52731932399826},
		{3, 40, []float64{0.1295794322768706, 2.0717085004416442, -1.1202185711409516, 0.5027424648442683, 1.7345998052149518, -0.6344366605362483}, 199.96758779341377},
	} {
		d.Depth, d.Rounds = c.depth, c.rounds
		f := mustBoost(t, d)
		for i, want := range c.linear {
			reftest.Agree(t, "linear predictor", f.Linear[i], want, 10)
		}
		reftest.Agree(t, "deviance", f.Deviance[c.rounds], c.deviance, 12)
	}
}

func TestBoostRelations(t *testing.T) {
	d := boostExample()
	d.Folds, d.Fold, d.HeldOut, d.Patience, d.Rounds = 4, make([]int32, 240), true, 20, 300
	for i := range d.Fold {
		d.Fold[i] = int32(i % 4)
	}
	base := mustBoost(t, d)
	if base.Rounds < 5 || base.Rounds != base.CV.Min || len(base.CV.Mean) != base.Rounds+21 || len(base.Deviance) != base.Rounds+1 {
		t.Errorf("%d rounds of %d, %d deviances", base.Rounds, len(base.CV.Mean), len(base.Deviance))
	}
	for _, w := range []int{1, 2, 5} {
		d.Workers = w
		f := mustBoost(t, d)
		if f.Linear[5] != base.Linear[5] || f.HeldOut[9] != base.HeldOut[9] || f.Rounds != base.Rounds {
			t.Fatalf("workers %d change a bit", w)
		}
	}
	// A rising transformation of a column changes no tree.
	s := d
	s.X = append([]float64(nil), d.X...)
	for i := range s.N {
		s.X[4*i] = math.Exp(s.X[4*i] / 3)
	}
	for i, v := range mustBoost(t, s).Linear {
		if v != base.Linear[i] {
			t.Fatalf("row %d: a rising transformation changes %g to %g", i, base.Linear[i], v)
		}
	}
	// Held-out predictions come from the trees without the fold.
	sub := BoostData{K: 4, Depth: 3, MinLeaf: 5, Bins: 256, Rounds: base.Rounds, Shrinkage: 0.1}
	for i := range d.N {
		if i%4 != 1 {
			sub.N++
			sub.X, sub.Y = append(sub.X, d.X[4*i:4*i+4]...), append(sub.Y, d.Y[i])
		}
	}
	m, err := newBoosting(sub, newBoostBins(sub), seq(sub.N), 1)
	if err != nil {
		t.Fatal(err)
	}
	eta := m.start
	bins := newBoostBins(d)
	full, err := newBoostFolds(d, bins)
	if err != nil {
		t.Fatal(err)
	}
	for range base.Rounds {
		m.grow()
		full[1].step()
		eta = full[1].f[3]
	}
	if full[1].test[3] != 13 || eta != base.HeldOut[13] {
		t.Errorf("held out %g, %g", base.HeldOut[13], eta)
	}
	reftest.Agree(t, "trees without the fold", full[1].m.f[0], m.f[0], 9) // bins of all rows tell the same apart here
	// The same trees without a choice, and cross-fitting with a given number.
	d.Patience, d.Rounds = 0, base.Rounds
	fixed := mustBoost(t, d)
	if fixed.Linear[5] != base.Linear[5] || fixed.HeldOut[9] != base.HeldOut[9] || fixed.CV != nil {
		t.Error("a given number of trees is not the chosen one")
	}
	// A loss chooses, too: it is least after three trees here.
	calls := 0
	d.Patience, d.Rounds = 10, 100
	d.Loss = func(f []float64) float64 { calls++; return math.Abs(float64(calls - 4)) }
	byLoss := mustBoost(t, d)
	if byLoss.Rounds != 3 || calls != 14 || len(byLoss.Loss) != 14 {
		t.Errorf("%d rounds after %d calls", byLoss.Rounds, calls)
	}
	d.Loss, d.Patience, d.Rounds = nil, 0, 3
	if got := mustBoost(t, d); got.Linear[7] != byLoss.Linear[7] || got.HeldOut[7] != byLoss.HeldOut[7] || got.Gain[1] != byLoss.Gain[1] {
		t.Error("the trees that the loss chose are others")
	}
	// Few bins: 97 values of a column in at most 8.
	d.Bins = 8
	if b := newBoostBins(d); b.bins[1] != 8 || b.bins[3] != 2 {
		t.Errorf("bins %v", b.bins)
	}
	d.Fold, d.HeldOut, d.Y = nil, false, make([]float64, 240)
	if _, err := Boost(t.Context(), d); !errors.Is(err, ErrDomain) {
		t.Errorf("no outcome: %v", err)
	}
}

func seq(n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

func BenchmarkBoost(b *testing.B) {
	s := simLogit(4, 100_000, 21)
	d := BoostData{N: s.N, K: 20, Y: s.Y, Depth: 3, MinLeaf: 20, Bins: 256, Rounds: 20, Shrinkage: 0.1}
	for i := range s.N {
		d.X = append(d.X, s.X[21*i+1:21*i+21]...)
	}
	for b.Loop() {
		if _, err := Boost(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
}
