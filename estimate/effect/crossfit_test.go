package effect

import (
	"math"
	"slices"
	"testing"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// One split, written out: each unit's p and m come from models of the other folds.
func TestCrossFittingWrittenOut(t *testing.T) {
	f := meansFrame(31, 0, 90, "number")
	o := &causalOptions{method: "aipw", estimand: "ate", estimands: []string{"ate"}, covariates: true}
	c, err := newCausal(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	fold, err := c.fold(splitting{folds: 3, repeats: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	psi := make([]float64, c.n)
	for k := range 3 {
		var x, a []float64
		var arm [2]struct{ x, y []float64 }
		for i := range c.n {
			if fold[i] == k {
				continue
			}
			v := index(c.treated[i])
			x, a = append(x, c.row(i)...), append(a, float64(v))
			arm[v].x, arm[v].y = append(arm[v].x, c.row(i)...), append(arm[v].y, c.y[i])
		}
		ps, err := num.Logit(num.LogitData{N: len(a), K: 3, X: x, Y: a})
		if err != nil {
			t.Fatal(err)
		}
		var coef [2][]float64
		for v := range 2 {
			fit, err := num.LeastSquares(num.LsqData{N: len(arm[v].y), K: 3, X: arm[v].x, Y: arm[v].y})
			if err != nil {
				t.Fatal(err)
			}
			coef[v] = fit.Coef
		}
		for i := range c.n {
			if fold[i] != k {
				continue
			}
			m0, m1, p := num.Dot(c.row(i), coef[0]), num.Dot(c.row(i), coef[1]), num.LogitLink.Mean(num.Dot(c.row(i), ps.Coef))
			psi[i] = m1 - m0
			if c.treated[i] {
				psi[i] += (c.y[i] - m1) / p
			} else {
				psi[i] -= (c.y[i] - m0) / (1 - p)
			}
		}
	}
	mean, square := num.Sum(psi)/float64(c.n), 0.0
	for _, v := range psi {
		square += (v - mean) * (v - mean)
	}
	e := mustFit(t, AIPW{Estimand: "ate", Folds: 3, Repeats: 1}, f).Estimates[0]
	reftest.Agree(t, "estimate", e.Value, mean, 11)
	reftest.Agree(t, "error", e.SE, math.Sqrt(square)/float64(c.n), 11)
}

// Folds share out both arms, or keep clusters whole.
func TestFolds(t *testing.T) {
	f := meansFrame(32, 0, 101, "number")
	o := &causalOptions{method: "aipw", estimand: "ate", estimands: []string{"ate"}}
	c, err := newCausal(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	s := splitting{folds: 4}
	fold, err := c.fold(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	var size [2][4]int
	for i, k := range fold {
		size[index(c.treated[i])][k]++
	}
	for _, arm := range size {
		if slices.Max(arm[:])-slices.Min(arm[:]) > 1 {
			t.Errorf("%v", size)
		}
	}
	again, _ := c.fold(s, 0)
	other, _ := c.fold(s, 1)
	seeded, _ := c.fold(splitting{folds: 4, seed: 9}, 0)
	if !slices.Equal(fold, again) || slices.Equal(fold, other) || slices.Equal(fold, seeded) {
		t.Error("folds must be those of seed and repeat")
	}
	f.Cluster = make([]int, len(f.Y))
	for i := range f.Cluster {
		f.Cluster[i] = i / 5
	}
	if c, err = newCausal(t.Context(), f, o); err != nil {
		t.Fatal(err)
	}
	if fold, err = c.fold(s, 0); err != nil {
		t.Fatal(err)
	}
	of := map[int]int{}
	var clusters [4]int
	for i, g := range c.cluster {
		if k, seen := of[g]; seen && k != fold[i] {
			t.Errorf("cluster %d is in two folds", g)
		} else if !seen {
			of[g] = fold[i]
			clusters[fold[i]]++
		}
	}
	if slices.Max(clusters[:])-slices.Min(clusters[:]) > 1 {
		t.Errorf("%v", clusters)
	}
}

// The estimate is the median of the repeats, its variance the median of theirs with the
// distance from it; influence and covariance are of that size.
func TestMedianOverSplits(t *testing.T) {
	f := meansFrame(33, 0, 80, "binary")
	for _, e := range []estimate.Estimator{AIPW{Folds: 3, Estimand: "ate"}, TMLE{Folds: 3, Repeats: 7}} {
		res := mustFit(t, e, f)
		list := res.Details["repeats"].([]Repeat)
		var value, variance []float64
		for _, r := range list {
			value = append(value, r.Estimate)
		}
		m := middle(value)
		for i, r := range list {
			if r.Repeat != i+1 {
				t.Errorf("%+v", list)
			}
			variance = append(variance, r.StdError*r.StdError+(r.Estimate-m)*(r.Estimate-m))
		}
		got := res.Estimates[0]
		if got.Value != m || !slices.Contains(value, got.Value) || value[0] == m && value[1] == m {
			t.Errorf("%v %+v", got, list)
		}
		reftest.Agree(t, "error", got.SE*got.SE, middle(variance), 12)
		// Everything else is that of the repeat which is the median.
		reftest.Agree(t, "means", res.Details["mean_treated"].(float64)-res.Details["mean_control"].(float64), m, 10)
		reftest.Agree(t, "influence", clusterVar(res, nil, 0), got.SE*got.SE, 12)
		if spread := res.Details["spread"].(map[string]float64); spread["low"] != slices.Min(value) || spread["high"] != slices.Max(value) {
			t.Errorf("%v", spread)
		}
	}
	// Heavy weights and few units: the split decides.
	g := meansFrame(34, 0, 40, "number")
	for i, a := range g.Treated {
		g.X.Set(i, 0, g.X.At(i, 0)+1.2*float64(index(a)))
	}
	res := mustFit(t, AIPW{Folds: 2, Estimand: "ate"}, g)
	spread := res.Details["spread"].(map[string]float64)
	if wide := spread["high"]-spread["low"] > res.Estimates[0].SE/2; !wide || !hasNote(res, "split-matters") {
		t.Errorf("%v %v %v", spread, res.Estimates[0].SE, res.Notes)
	}
	if big := mustFit(t, AIPW{Folds: 2, Estimand: "ate"}, meansFrame(35, 0, 3000, "number")); hasNote(big, "split-matters") {
		t.Errorf("%v", big.Details["spread"])
	}
	if a, b, c := middle([]float64{3, 1, 2}), middle([]float64{5}), middle([]float64{1, math.NaN(), 2}); a != 2 || b != 5 || !math.IsNaN(c) {
		t.Error(a, b, c)
	}
}
