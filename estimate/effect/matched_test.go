package effect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

// pairs is three matched pairs: treated 5, 3, 4 with comparison units 2, 2, 5.
func pairs() *estimate.Frame {
	return &estimate.Frame{
		Unit: []string{"a", "b", "c", "d", "e", "f", "g"}, Level: 0.95,
		Y:       []float64{5, 2, 3, 2, 4, 5, 99},
		Treated: []bool{true, false, true, false, true, false, false},
		Set:     []int{0, 0, 1, 1, 2, 2, -1},
		X:       mat.NewDense(7, 1, []float64{1, 0, 0, 1, 2, 1, 8}), XNames: []string{"x"},
	}
}

// By hand: means 4 and 3, θ = 1. Within-pair differences 3, 1, -1: the cluster sums of
// the influence are (d-θ)/3 = 2/3, 0, -2/3, so that cr0 = 8/9 and cr1 with G = 3, N = 6,
// K = 2 is 3/2·5/4·8/9 = 5/3. Residuals 1, -1, 0 and -1, -1, 2 give
// hc0 = (2+6)/9 = 8/9 and hc1 = 6/4·8/9 = 4/3.
func TestDifferenceByHand(t *testing.T) {
	f := pairs()
	res := mustFit(t, Difference{}, f)
	e := res.Estimates[0]
	if e.Term != "att" || e.Measure != estimate.MeanDifference || e.Test.DF != 2 || res.Method != "difference" {
		t.Errorf("%+v", e)
	}
	reftest.Agree(t, "value", e.Value, 1, 14)
	reftest.Agree(t, "cr1", e.SE*e.SE, 5.0/3, 13)
	if (res.N != estimate.Counts{Units: 6, Treated: 3, Sets: 3, Clusters: 3}) {
		t.Errorf("counts %+v", res.N)
	}
	if !hasNote(res, "rows-in-no-set") || !hasNote(res, "few-clusters") || res.Influence.At(6, 0) != 0 {
		t.Errorf("notes %v", res.Notes)
	}
	reftest.Agree(t, "mean treated", res.Details["mean_treated"].(float64), 4, 15)
	reftest.Agree(t, "mean control", res.Details["mean_control"].(float64), 3, 15)
	for vcov, want := range map[Vcov]float64{CR0: 8.0 / 9, HC0: 8.0 / 9, HC1: 4.0 / 3} {
		e := mustFit(t, Difference{Vcov: vcov}, f).Estimates[0]
		reftest.Agree(t, string(vcov), e.SE*e.SE, want, 13)
	}
	f.Set = nil
	if res := mustFit(t, Difference{}, f); res.Details["vcov"] != vcovText[HC1] || res.N.Units != 7 {
		t.Errorf("unmatched default %v", res.Details["vcov"])
	}

	// 2:1 and 1:1 with ATT weights: set means of the comparison units 3 and 5, treated 6
	// and 4, so that θ = 5 - (3+5)/2 = 1.
	g := &estimate.Frame{Unit: []string{"a", "b", "c", "d", "e"}, Level: 0.95, Y: []float64{6, 1, 5, 4, 5},
		Treated: []bool{true, false, false, true, false}, Set: []int{0, 0, 0, 1, 1},
		Weight: estimate.Weights{Kind: estimate.Matching, Values: []float64{1, 0.75, 0.75, 1, 1.5}}}
	reftest.Agree(t, "unequal ratio", mustFit(t, Difference{}, g).Estimates[0].Value, 1, 14)
	g.Weight = estimate.Weights{}
	if _, err := (Difference{}).Fit(t.Context(), g); !errors.Is(err, estimate.ErrWeights) {
		t.Errorf("unequal ratio without weights: %v", err)
	}
	// A set without one arm is left out and counted.
	f = pairs()
	f.Treated[2] = false
	res = mustFit(t, Difference{}, f)
	if !hasNote(res, "sets-dropped") || res.N.Sets != 2 || res.N.Units != 4 {
		t.Errorf("%+v %v", res.N, res.Notes)
	}
	reftest.Agree(t, "without the broken set", res.Estimates[0].Value, 1, 14)
}

// Clusters given beside sets are the clusters of the errors.
func TestDifferenceUsesGivenClusters(t *testing.T) {
	f := pairs()
	f.Cluster = []int{7, 7, 7, 7, 8, 8, 9}
	res := mustFit(t, Difference{Vcov: CR0}, f)
	// Influence sums: (2+0)/3 and -2/3.
	reftest.Agree(t, "cr0", res.Estimates[0].SE*res.Estimates[0].SE, 8.0/9, 13)
	if res.N.Clusters != 2 || res.N.Sets != 3 {
		t.Errorf("%+v", res.N)
	}
	reftest.Agree(t, "influence", clusterVar(res, f.Cluster, 0), 8.0/9, 13)
}

func TestRiskDifference(t *testing.T) {
	f := pairs()
	f.Y = []float64{1, 0, 1, 1, 0, 0, 1}
	e := mustFit(t, Difference{Estimand: "ate"}, f).Estimates[0]
	if e.Measure != estimate.RiskDifference || e.Term != "ate" {
		t.Errorf("%+v", e)
	}
	reftest.Agree(t, "risk difference", e.Value, 1.0/3, 14)
}

// Regression with interactions is g-computation on the treated: the mean over the
// treated of y minus the line fitted to the comparison units alone. Without them and
// with x balanced to the last bit it is the difference in means.
func TestRegressionIsGComputation(t *testing.T) {
	f := simFrame(6, 1, 40, 3, 2, 0)
	f.Weight = estimate.Weights{Kind: estimate.Matching}
	for i := range f.Y {
		f.Weight.Values = append(f.Weight.Values, 0.5+float64(i%5))
		if f.Treated[i] {
			f.Y[i] += 3 * f.X.At(i, 0)
		}
	}
	got := mustFit(t, Regression{Interactions: true}, f).Estimates[0].Value
	var rows []int
	for i, d := range f.Treated {
		if !d {
			rows = append(rows, i)
		}
	}
	line := mustFit(t, OLS{Vcov: HC0}, take(f, rows))
	var sum, total float64
	for i, d := range f.Treated {
		if d {
			pred := line.Estimates[0].Value + line.Estimates[1].Value*f.X.At(i, 0) + line.Estimates[2].Value*f.X.At(i, 1)
			sum += f.Weight.Values[i] * (f.Y[i] - pred)
			total += f.Weight.Values[i]
		}
	}
	reftest.Agree(t, "g-computation", got, sum/total, 11)
	plain := mustFit(t, Regression{}, f).Estimates[0].Value
	if math.Abs(plain-got) < 1e-3 {
		t.Error("interactions change nothing where slopes differ")
	}

	g := simFrame(7, 1, 20, 2, 1, 0)
	for i := range g.Y { // the same covariate values in both arms
		g.X.Set(i, 0, float64(i/4))
	}
	reftest.Agree(t, "balanced covariate", mustFit(t, Regression{}, g).Estimates[0].Value, mustFit(t, Difference{}, g).Estimates[0].Value, 12)
}

func TestMatchedMetamorphic(t *testing.T) {
	f := simFrame(8, 1, 40, 2, 2, 0.5)
	f.Set, f.Cluster = nil, nil
	for i := range f.Y { // pairs (0,1), (2,3), …
		f.Treated[i] = i%2 == 0
		f.Set = append(f.Set, i/2)
	}
	for name, est := range map[string]estimate.Estimator{"difference": Difference{}, "regression": Regression{}, "interactions": Regression{Interactions: true}, "cr2": Difference{Vcov: CR2}, "hc3": Regression{Vcov: HC3}} {
		base := mustFit(t, est, f).Estimates[0]
		same := func(what string, g *estimate.Frame, scale float64) {
			t.Helper()
			e := mustFit(t, est, g).Estimates[0]
			reftest.Agree(t, name+" "+what, e.Value, scale*base.Value, 10)
			reftest.Agree(t, name+" "+what+" se", e.SE, math.Abs(scale)*base.SE, 9)
		}
		mapped := func(fn func(i int, y float64) float64) *estimate.Frame {
			g := *f
			g.Y = slices.Clone(f.Y)
			for i := range g.Y {
				g.Y[i] = fn(i, g.Y[i])
			}
			return &g
		}
		same("M24", mapped(func(_ int, y float64) float64 { return y - 500 }), 1)
		same("M27", mapped(func(_ int, y float64) float64 { return -4 * y }), -4)
		weighted := *f
		weighted.Weight = estimate.Weights{Kind: estimate.Matching, Values: slices.Repeat([]float64{17}, len(f.Y))}
		same("M31", &weighted, 1)
		order := make([]int, len(f.Y))
		for i := range order {
			order[i] = (i*37 + 5) % len(order)
		}
		same("M1", take(f, order), 1)
		swap := *f // the treated and their pairs change places
		swap.Treated = make([]bool, len(f.Y))
		for i, d := range f.Treated {
			swap.Treated[i] = !d
		}
		if name != "interactions" { // whose centre moves with the treated
			same("M15", &swap, -1)
		}
		if name != "difference" && name != "cr2" {
			extra := *f // M36
			extra.X = mat.NewDense(len(f.Y), 3, nil)
			for i := range f.Y {
				extra.X.SetRow(i, []float64{f.X.At(i, 0), f.X.At(i, 1), 3 - f.X.At(i, 0)})
			}
			extra.XNames = []string{"x1", "x2", "mirror"}
			same("M36", &extra, 1)
			if !hasNote(mustFit(t, est, &extra), "collinear-dropped") {
				t.Error("M36 without a note")
			}
		}
		narrow := *f // M37
		narrow.Level = 0.9
		if e := mustFit(t, est, &narrow).Estimates[0]; !(e.CI.Lo > base.CI.Lo && e.CI.Hi < base.CI.Hi) {
			t.Errorf("M37: %v", e.CI)
		}
	}
	// M30 with the copies in their sets.
	freq, rows := *f, []int{}
	freq.Weight = estimate.Weights{Kind: estimate.Frequency}
	for i := range f.Y {
		w := 1 + (i/2)%3
		freq.Weight.Values = append(freq.Weight.Values, float64(w))
		for range w {
			rows = append(rows, i)
		}
	}
	g := take(f, rows)
	for i := range g.Unit {
		g.Unit[i] = fmt.Sprint(i)
	}
	a, b := mustFit(t, Regression{}, &freq).Estimates[0], mustFit(t, Regression{}, g).Estimates[0]
	reftest.Agree(t, "M30", a.Value, b.Value, 12)
	reftest.Agree(t, "M30 se", a.SE, b.SE, 11)
}

func TestMatchedErrors(t *testing.T) {
	change := func(fn func(f *estimate.Frame)) *estimate.Frame {
		f := pairs()
		fn(f)
		return f
	}
	for name, c := range map[string]struct {
		e    estimate.Estimator
		f    *estimate.Frame
		want error
	}{
		"no treated":       {Difference{}, change(func(f *estimate.Frame) { f.Set, f.Treated = nil, make([]bool, 7) }), estimate.ErrNoTreated},
		"no controls":      {Difference{}, change(func(f *estimate.Frame) { f.Set, f.Treated = nil, slices.Repeat([]bool{true}, 7) }), estimate.ErrNoControls},
		"no usable set":    {Difference{}, change(func(f *estimate.Frame) { f.Treated = make([]bool, 7) }), estimate.ErrTooFew},
		"no treatment":     {Difference{}, change(func(f *estimate.Frame) { f.Treated = nil }), estimate.ErrInvalidFrame},
		"estimand":         {Difference{Estimand: "late"}, pairs(), ErrOption},
		"interactions ate": {Regression{Estimand: "ate", Interactions: true}, pairs(), ErrOption},
		"no covariates":    {Regression{}, change(func(f *estimate.Frame) { f.X, f.XNames = nil, nil }), estimate.ErrInvalidFrame},
		"wild":             {Difference{Vcov: "wild"}, pairs(), ErrOption},
		"iid and matching weights": {Difference{Vcov: IID}, change(func(f *estimate.Frame) {
			f.Weight = estimate.Weights{Kind: estimate.Matching, Values: slices.Repeat([]float64{1}, 7)}
		}), estimate.ErrWeights},
		"covariate is the treatment": {Regression{Vcov: HC1}, change(func(f *estimate.Frame) {
			for i, d := range f.Treated {
				f.X.Set(i, 0, 3)
				if d {
					f.X.Set(i, 0, 5)
				}
			}
		}), estimate.ErrNotIdentified},
		"one cluster": {Difference{}, change(func(f *estimate.Frame) { f.Cluster = make([]int, 7) }), estimate.ErrTooFew},
	} {
		res, err := c.e.Fit(t.Context(), c.f)
		if res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// No variation about the means: a value without a test.
	f := pairs()
	f.Y = []float64{2, 1, 2, 1, 2, 1, 0}
	res, err := Difference{}.Fit(t.Context(), f)
	if err != nil || res.Estimates[0].Value != 1 || !hasNote(res, "no-residual-variation") || !math.IsNaN(res.Estimates[0].Test.P) {
		t.Errorf("no variation: %v %+v", err, res)
	}
}

// Nominal 95 % intervals over 400 fixed cohorts must cover within ±3.59 points (a
// 99.9 % binomial band). Where treatment is by cluster and clusters share a shock,
// hc1 must fall below the band and the clustered errors stay inside; in pairs that
// share a background, cr1 by pair must cover where hc1 covers too often.
func TestCoverage(t *testing.T) {
	const reps, band = 400 * sim.Factor, 0.0359
	rate := func(frame func(rep uint64) *estimate.Frame, e estimate.Estimator) float64 {
		hit := make([]int, reps)
		num.ForEach(reps, 0, func(r int) {
			res, err := e.Fit(t.Context(), frame(uint64(r)))
			if err != nil {
				t.Error(err)
				return
			}
			if ci := res.Estimates[0].CI; ci.Lo <= 1 && 1 <= ci.Hi {
				hit[r] = 1
			}
		})
		total := 0
		for _, h := range hit {
			total += h
		}
		return float64(total) / reps
	}
	independent := func(rep uint64) *estimate.Frame {
		f := simFrame(100, rep, 200, 1, 1, 0)
		f.Cluster = nil
		return f
	}
	clustered := func(rep uint64) *estimate.Frame { return simFrame(101, rep, 60, 8, 1, 0.7) }
	few := func(rep uint64) *estimate.Frame { return simFrame(102, rep, 14, 8, 0, 0.7) }
	paired := func(rep uint64) *estimate.Frame {
		s := num.NewStream(103, "pairs", rep)
		f := &estimate.Frame{Level: 0.95}
		for p := range 80 {
			u := s.Normal()
			for d := range 2 {
				f.Unit = append(f.Unit, fmt.Sprint(2*p+d))
				f.Treated, f.Set = append(f.Treated, d == 1), append(f.Set, p)
				f.Y = append(f.Y, u+0.7*s.Normal()+float64(d)*(1+0.5*s.Normal()))
			}
		}
		return f
	}
	for _, c := range []struct {
		what   string
		frame  func(uint64) *estimate.Frame
		e      estimate.Estimator
		lo, hi float64
	}{
		{"independent, hc1", independent, Difference{Vcov: HC1}, 0.95 - band, 0.95 + band},
		{"independent, regression hc3", independent, Regression{Vcov: HC3}, 0.95 - band, 0.95 + band},
		{"clustered, hc1 (must fail)", clustered, Difference{Vcov: HC1}, 0, 0.85},
		{"clustered, cr1", clustered, Difference{Vcov: CR1}, 0.95 - band, 0.95 + band},
		{"clustered, regression cr1", clustered, Regression{Vcov: CR1, Interactions: true}, 0.95 - band, 0.95 + band},
		{"14 clusters, cr2", few, Difference{Vcov: CR2}, 0.95 - band, 0.95 + band},
		{"pairs, cr1", paired, Difference{}, 0.95 - band, 0.95 + band},
		{"pairs, hc1 (must hold too often)", paired, Difference{Vcov: HC1}, 0.97, 1},
	} {
		r := rate(c.frame, c.e)
		sim.Share(t, c.what, r, 400*sim.Factor)
		if r < c.lo || r > c.hi {
			t.Errorf("%s: coverage %.4f outside [%.4f, %.4f]", c.what, r, c.lo, c.hi)
		}
	}
}

func BenchmarkRegression(b *testing.B) {
	f := simFrame(9, 1, 28500, 2, 8, 0.5)
	f.Cluster = nil
	for i := range f.Y {
		f.Treated[i] = i%2 == 0
		f.Set = append(f.Set, i/2)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Regression{}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}

// A rare level of a covariate rests on few clusters; the effect does not, and nothing is
// said of it. Treatment by few clusters is said.
func TestNotesOnClustersAreAboutTheEffect(t *testing.T) {
	s := num.NewStream(104, "rare-level", 0)
	f := &estimate.Frame{Level: 0.95, XNames: []string{"rare"}, X: mat.NewDense(400, 1, nil)}
	for i := range 400 {
		f.Unit, f.Cluster = append(f.Unit, fmt.Sprint(i)), append(f.Cluster, i/4)
		f.Treated, f.Y = append(f.Treated, i%2 == 0), append(f.Y, s.Normal())
		if i < 8 {
			f.X.Set(i, 0, 1)
		}
	}
	res, err := Regression{Vcov: CR1}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.False(t, hasNote(res, "few-effective-clusters"), "%v", res.Notes)
	ols, err := OLS{Vcov: CR1}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.True(t, hasNote(ols, "few-effective-clusters"))
	for i := range 400 {
		f.Treated[i] = i < 12
	}
	res, err = Regression{Vcov: CR1}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.True(t, hasNote(res, "few-effective-clusters"))
	for _, n := range res.Notes {
		if n.Code == "few-effective-clusters" {
			require.Equal(t, []string{"treatment"}, n.Args["columns"])
			require.NotContains(t, n.Text, "rare")
		}
	}
}
