package effect

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// matchedPairs are pairs in clusters with a shared shock to the effect.
func matchedPairs(n, clusters int) *estimate.Frame {
	s := num.NewStream(2, "matched pairs", 0)
	f := &estimate.Frame{Level: 0.95}
	shock := make([]float64, clusters)
	for c := range shock {
		shock[c] = s.Normal()
	}
	for p := range n {
		c := s.Intn(clusters)
		base := s.Normal()
		for arm := range 2 {
			y := base + s.Normal()
			if arm == 1 {
				y += 1 + shock[c]
			}
			f.Y, f.Treated = append(f.Y, y), append(f.Treated, arm == 1)
			f.Set, f.Cluster = append(f.Set, p), append(f.Cluster, c)
			f.Unit = append(f.Unit, strconv.Itoa(2*p+arm))
		}
	}
	return f
}

// Three clusters of one pair each with differences 1, 2, 6: θ* is the mean of three
// draws with replacement from them, whose variance is that of the population over 3:
// ((1-3)² + (2-3)² + (6-3)²)/3/3 = 14/9.
func TestClusterBootstrapByHand(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, Unit: []string{"a", "b", "c", "d", "e", "f"}, Y: []float64{1, 0, 2, 0, 6, 0},
		Treated: []bool{true, false, true, false, true, false}, Set: []int{0, 0, 1, 1, 2, 2}, Cluster: []int{5, 5, 2, 2, 9, 9}}
	res := mustFit(t, ClusterBootstrap{Replicates: 200000}, f)
	e := res.Estimates[0]
	if e.Value != 3 || e.Term != "att" || math.Abs(e.SE/math.Sqrt(14.0/9)-1) > 0.01 {
		t.Errorf("%v, want 3 and %g", e, math.Sqrt(14.0/9))
	}
	d := res.Details["bootstrap"].(map[string]any)
	// The mean is 1 with probability 1/27 > 2.5 %, and 6 too.
	if d["percentile_low"].(float64) != 1 || d["percentile_high"].(float64) != 6 || math.Abs(d["bias"].(float64)) > 0.01 {
		t.Errorf("%v", d)
	}
}

// Many clusters: the bootstrap is the clustered error. Row order, cluster numbers in
// the same order, and workers change no bit; seed and replicates do; adding a constant
// changes nothing.
func TestClusterBootstrap(t *testing.T) {
	f := matchedPairs(3000, 150)
	boot := mustFit(t, ClusterBootstrap{Replicates: 4000}, f)
	cr0 := mustFit(t, Difference{Vcov: CR0}, f)
	if boot.Estimates[0].Value != cr0.Estimates[0].Value || math.Abs(boot.Estimates[0].SE/cr0.Estimates[0].SE-1) > 0.05 {
		t.Errorf("%v beside %v", boot.Estimates[0], cr0.Estimates[0])
	}
	at := func(b ClusterBootstrap, f *estimate.Frame) float64 { return mustFit(t, b, f).Estimates[0].SE }
	a := at(ClusterBootstrap{}, f)
	g := *f
	g.Cluster, g.Y = nil, nil
	for i, c := range f.Cluster {
		g.Cluster, g.Y = append(g.Cluster, 3*c+7), append(g.Y, f.Y[i]+1024)
	}
	if at(ClusterBootstrap{Workers: 1}, f) != a || at(ClusterBootstrap{Workers: 3}, f) != a {
		t.Error("workers change a bit")
	}
	reftest.Agree(t, "constant added, clusters renumbered", at(ClusterBootstrap{}, &g), a, 9)
	if at(ClusterBootstrap{Seed: 1}, f) == a || at(ClusterBootstrap{Replicates: 998}, f) == a {
		t.Error("an option without effect")
	}
	noClusters, arms := *f, *f
	noClusters.Cluster = nil
	arms.Set, arms.Cluster = nil, nil
	for i := range f.Y {
		c := 0
		if f.Treated[i] {
			c = 1
		}
		arms.Cluster = append(arms.Cluster, c)
	}
	for name, c := range map[string]struct {
		b    ClusterBootstrap
		f    *estimate.Frame
		want error
	}{
		"no clusters": {ClusterBootstrap{}, &noClusters, ErrOption}, "replicates": {ClusterBootstrap{Replicates: 20}, f, ErrOption},
		"an arm a cluster": {ClusterBootstrap{}, &arms, estimate.ErrNotIdentified},
	} {
		if res, err := c.b.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// 28,500 pairs in 290 clusters, 999 replicates.
func BenchmarkClusterBootstrap(b *testing.B) {
	f := matchedPairs(28500, 290)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (ClusterBootstrap{}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
