package effect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// bruteWild is the restricted bootstrap by its definition: fit with β_j = b, draw
// residuals with signs by cluster, refit, cr0 t of b; over all sign patterns.
func bruteWild(t *testing.T, f *estimate.Frame, j int, b float64) float64 {
	t.Helper()
	cols := len(f.XNames)
	others, drop := *f, *f
	others.Y = slices.Clone(f.Y)
	others.XNames = append([]string{}, slices.Delete(slices.Clone(f.XNames), j, j+1)...)
	others.X = mat.NewDense(len(f.Y), cols-1, nil)
	for i := range f.Y {
		row := slices.Delete(slices.Clone(f.X.RawRowView(i)), j, j+1)
		others.X.SetRow(i, row)
		others.Y[i] -= b * f.X.At(i, j)
	}
	restricted := mustFit(t, OLS{Vcov: CR0}, &others)
	fitted := make([]float64, len(f.Y))
	for i := range f.Y {
		fitted[i] = restricted.Estimates[0].Value + b*f.X.At(i, j)
		for c := range cols - 1 {
			fitted[i] += restricted.Estimates[c+1].Value * others.X.At(i, c)
		}
	}
	stat := func(y []float64) float64 {
		drop.Y = y
		e := mustFit(t, OLS{Vcov: CR0}, &drop).Estimates[j+1]
		return math.Abs(e.Value-b) / e.SE
	}
	codes, g := ranked(f.Cluster)
	at, count := stat(f.Y), 0
	for pattern := range 1 << g {
		y := make([]float64, len(f.Y))
		for i := range y {
			sign := 1.0
			if pattern>>codes[i]&1 == 1 {
				sign = -1
			}
			y[i] = fitted[i] + sign*(f.Y[i]-fitted[i])
		}
		if stat(y) >= at*(1-1e-9) {
			count++
		}
	}
	return float64(count) / float64(int(1)<<g)
}

// The p-values are those of the definition, and the interval holds exactly the values
// that it does not reject: just inside the ends p ≥ 5 %, just outside p < 5 %.
func TestWildByDefinition(t *testing.T) {
	f := simFrame(31, 2, 7, 4, 2, 0.6)
	f.Treated = nil
	for _, weighted := range []bool{false, true} {
		g := *f
		if weighted {
			g.Weight = estimate.Weights{Kind: estimate.Sampling}
			for i := range g.Y {
				g.Weight.Values = append(g.Weight.Values, 1+float64(i%3))
			}
		}
		res := mustFit(t, OLS{Vcov: Wild}, &g)
		cr1 := mustFit(t, OLS{Vcov: CR1}, &g)
		if d := res.Details["wild"].(map[string]any); d["enumerated"] != true || d["draws"] != 128 {
			t.Errorf("%v", d)
		}
		for j := range 2 {
			e := res.Estimates[j+1]
			if e.SE != cr1.Estimates[j+1].SE || e.Test.Stat != cr1.Estimates[j+1].Test.Stat || e.CI.Method != "wild-bootstrap" || !math.IsNaN(e.Test.DF) {
				t.Errorf("%v", e)
			}
			if want := bruteWild(t, &g, j, 0); math.Abs(e.Test.P-want) > 1e-12 {
				t.Errorf("p %g, by definition %g", e.Test.P, want)
			}
			step := 1e-6 * e.SE
			for _, end := range [][2]float64{{e.CI.Lo + step, e.CI.Lo - step}, {e.CI.Hi - step, e.CI.Hi + step}} {
				if in, out := bruteWild(t, &g, j, end[0]), bruteWild(t, &g, j, end[1]); in < 0.05 || out >= 0.05 {
					t.Errorf("p %g inside, %g outside", in, out)
				}
			}
		}
	}
}

// With four clusters the smallest p is 2/16: no value is rejected, and the ends of the
// interval do not exist.
func TestWildUnbounded(t *testing.T) {
	f := simFrame(3, 1, 4, 10, 1, 0.4)
	res, err := OLS{Vcov: Wild}.Fit(t.Context(), f)
	if err != nil || !math.IsNaN(res.Estimates[1].CI.Lo) || !math.IsNaN(res.Estimates[1].CI.Hi) || !hasNote(res, "wild-unbounded") {
		t.Errorf("%v %v", res.Estimates, err)
	}
	f.Level = 0.8
	if e := mustFit(t, OLS{Vcov: Wild}, f).Estimates[1]; !(e.CI.Lo < e.Value && e.Value < e.CI.Hi) {
		t.Errorf("80 %%: %v", e.CI)
	}
}

// Draws: each option matters, the order of rows and the workers do not; M37, a
// narrower level lies inside; with absorbed effects nested in clusters the answer is
// that of the dummies.
func TestWildDraws(t *testing.T) {
	f := simFrame(17, 0, 20, 5, 1, 0.5)
	f.Treated = nil
	at := func(w WildBootstrap, f *estimate.Frame, workers int) estimate.Estimate {
		return mustFit(t, OLS{Vcov: Wild, Wild: w, Workers: workers}, f).Estimates[1]
	}
	a := at(WildBootstrap{Replicates: 999}, f, 1)
	// The data are one more draw: p is a multiple of 1/1000 and never 0.
	if k := 1000 * a.Test.P; math.Abs(k-math.Round(k)) > 1e-9 || k < 0.5 {
		t.Errorf("p %g of 999 draws", a.Test.P)
	}
	for name, w := range map[string]WildBootstrap{"seed": {Replicates: 999, Seed: 1}, "replicates": {Replicates: 1999}, "webb": {Replicates: 999, Webb: true}} {
		if b := at(w, f, 1); b.CI == a.CI || math.Abs(b.CI.Lo-a.CI.Lo) > 0.3*a.SE {
			t.Errorf("%s: %v beside %v", name, b.CI, a.CI)
		}
	}
	if b := at(WildBootstrap{Replicates: 999}, f, 4); b != a && !(math.IsNaN(a.Test.DF) && b.CI == a.CI && b.Test.P == a.Test.P) {
		t.Error("workers change a bit")
	}
	back := seq(len(f.Y))
	slices.Reverse(back)
	b := at(WildBootstrap{Replicates: 999}, take(f, back), 1)
	if math.Abs(b.CI.Lo-a.CI.Lo) > 1e-10 || b.Test.P != a.Test.P {
		t.Errorf("rows reversed: %v beside %v", b.CI, a.CI)
	}
	g := *f
	g.Level = 0.9
	if c := at(WildBootstrap{Replicates: 999}, &g, 1); !(c.CI.Lo > a.CI.Lo && c.CI.Hi < a.CI.Hi) {
		t.Errorf("90 %% %v in 95 %% %v", c.CI, a.CI)
	}
	h := simFrame(18, 0, 7, 8, 1, 0.5)
	half := make([]int, len(h.Y))
	for i := range half {
		half[i] = i / 4
	}
	x := mustFit(t, OLS{Vcov: Wild, Absorb: [][]int{half}, AbsorbNames: []string{"half"}}, h).Estimates[0]
	y := mustFit(t, OLS{Vcov: Wild, NoIntercept: true}, withDummies(h, [][]int{half})).Estimates[0]
	if x.Test.P != y.Test.P {
		t.Errorf("absorbed p %g, dummies %g", x.Test.P, y.Test.P)
	}
	for name, o := range map[string]OLS{
		"replicates": {Vcov: Wild, Wild: WildBootstrap{Replicates: 10}}, "not wild": {Vcov: CR1, Wild: WildBootstrap{Seed: 1}},
		"two ways": {Vcov: Wild, Second: half},
	} {
		if _, err := o.Fit(t.Context(), h); !errors.Is(err, ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The size of a 5 % test of a covariate that varies by cluster only, in clusters of
// unequal size with a common shock, over 400 samples: the wild bootstrap is within 3.59
// points of 5 %, cr1 with t on G-1 is not.
func TestWildSize(t *testing.T) {
	if testing.Short() {
		t.Skip("a simulation")
	}
	const reps = 400 * sim.Factor
	for _, g := range []int{6, 10, 20} {
		wild, cr1 := 0, 0
		for rep := range reps {
			s := num.NewStream(uint64(g), "wild size", uint64(rep))
			f := &estimate.Frame{Level: 0.95, XNames: []string{"x"}}
			var x []float64
			for c := range g {
				n := 4 + 3*c
				if c == g-1 {
					n *= 4
				}
				u, v := s.Normal(), math.Exp(s.Normal())
				for range n {
					f.Y, f.Cluster, x = append(f.Y, u+s.Normal()), append(f.Cluster, c), append(x, v)
					f.Unit = append(f.Unit, "")
				}
			}
			f.X = mat.NewDense(len(x), 1, x)
			a, err := OLS{Vcov: Wild, Wild: WildBootstrap{Replicates: 1099, Seed: uint64(rep)}, Workers: 1}.Fit(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if a.Estimates[1].Test.P < 0.05 {
				wild++
			}
			if num.StudentTail(a.Estimates[1].Test.Stat, float64(g-1)) < 0.05 {
				cr1++
			}
		}
		sim.Share(t, fmt.Sprintf("wild bootstrap rejects, %d clusters", g), float64(wild)/reps, reps)
		sim.Share(t, fmt.Sprintf("cr1 rejects, %d clusters (must fail)", g), float64(cr1)/reps, reps)
		if math.Abs(float64(wild)/reps-0.05) > 0.0359 {
			t.Errorf("%d clusters: wild rejects %.4f", g, float64(wild)/reps)
		}
		if float64(cr1)/reps < 0.0859 {
			t.Errorf("%d clusters: cr1 rejects %.4f; the scenario must be one in which it fails", g, float64(cr1)/reps)
		}
	}
}
