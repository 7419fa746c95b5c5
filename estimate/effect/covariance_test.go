package effect

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// crossFrame is the cohort of the sandwich numbers below, with two ways of clustering.
func crossFrame() (f *estimate.Frame, second []int) {
	f = &estimate.Frame{Level: 0.95, XNames: []string{"x", "z"}, X: mat.NewDense(20, 2, nil)}
	for i := 1; i <= 20; i++ {
		x, z := float64((i*37)%11)/3, 0.0
		if (i*5)%7 > 3 {
			z = 1
		}
		f.X.SetRow(i-1, []float64{x, z})
		f.Y = append(f.Y, float64((i*i*7)%13)/2+x-z)
		f.Unit, f.Cluster, second = append(f.Unit, strconv.Itoa(i)), append(f.Cluster, i%5), append(second, i/7)
	}
	return f, second
}

// sandwich 3.0-2 on R 4.2.2: vcovHC(type = "HC4") and vcovCL of two ways (type = "HC0",
// cadjust = FALSE, fix = TRUE), whose covariance needs the repair of negative eigenvalues.
func TestHC4AndTwoWaysAgainstSandwich(t *testing.T) {
	f, second := crossFrame()
	for j, want := range []float64{0.63104249422813541, 0.44882913529480517, 0.85732189438453110} {
		reftest.Agree(t, "hc4", mustFit(t, OLS{Vcov: HC4}, withoutClusters(f)).Estimates[j].SE, want, 12)
	}
	plain := mustFit(t, OLS{Vcov: CR0, Second: second}, f)
	factor := mustFit(t, OLS{Vcov: CR1, Second: second}, f)
	for j, want := range []float64{0.55568756478623071, 0.48870446287293745, 0.69671122515082085} {
		reftest.Agree(t, "cr0", plain.Estimates[j].SE, want, 12)
		if !hasNote(plain, "covariance-repaired") {
			t.Error("not repaired")
		}
		// 5 and 3 clusters: G = 3.
		reftest.Agree(t, "cr1", factor.Estimates[j].SE, want*math.Sqrt(3.0/2*19/17), 12)
		if plain.Estimates[j].Test.DF != 2 {
			t.Errorf("df %g", plain.Estimates[j].Test.DF)
		}
	}
	// By hand for tiny: leverages 7/10, 3/10 and N/K = 2 give δ = 7/5 and 3/5.
	e := mustFit(t, OLS{Vcov: HC4}, tiny()).Estimates[1]
	want := (9.0/4*82/100*math.Pow(0.3, -1.4) + 1.0/4*338/100*math.Pow(0.7, -0.6)) / 25
	reftest.Agree(t, "hc4 by hand", e.SE*e.SE, want, 13)
	// The same clusters twice are one way; V₁₂ = V₁.
	once, twice := mustFit(t, OLS{Vcov: CR1}, f), mustFit(t, OLS{Vcov: CR1, Second: f.Cluster}, f)
	reftest.Agree(t, "twice the same", twice.Estimates[1].SE, once.Estimates[1].SE, 12)
}

// The difference of the cross terms can be negative: rows (1,1), (1,2), (2,1), (2,2) with
// residuals of a mean +, -, -, +: V₁ = V₂ = 0 and V₁₂ = Σe²/16 > 0. The error is then 0
// with a note, not the root of a negative number.
func TestTwoWayRepair(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, Unit: []string{"a", "b", "c", "d"}, Y: []float64{2, 0, 0, 2}, Cluster: []int{0, 0, 1, 1}}
	res, err := OLS{Vcov: CR0, Second: []int{0, 1, 0, 1}}.Fit(t.Context(), f)
	if err != nil || res.Estimates[0].SE != 0 || !hasNote(res, "covariance-repaired") || !hasNote(res, "no-residual-variation") {
		t.Errorf("%v %v", res, err)
	}
}

// leaveOut is (G-1)/G·Σ(β₋g - β)² by refitting without each cluster.
func leaveOut(t *testing.T, f *estimate.Frame, o OLS, j int) float64 {
	t.Helper()
	_, g := dense(f.Cluster)
	at := mustFit(t, o, f).Estimates[j].Value
	var sum float64
	for c := range g {
		var rows []int
		for i, v := range f.Cluster {
			if v != c {
				rows = append(rows, i)
			}
		}
		less := o
		less.Absorb = nil
		for _, codes := range o.Absorb {
			var part []int
			for _, i := range rows {
				part = append(part, codes[i])
			}
			less.Absorb = append(less.Absorb, part)
		}
		sub := take(f, rows)
		if f.Weight.Values != nil {
			sub.Weight.Kind, sub.Weight.Values = f.Weight.Kind, nil
			for _, i := range rows {
				sub.Weight.Values = append(sub.Weight.Values, f.Weight.Values[i])
			}
		}
		d := mustFit(t, less, sub).Estimates[j].Value - at
		sum += d * d
	}
	return float64(g-1) / float64(g) * sum
}

// The jackknife is the one of the definition, and cr3 G/(G-1) times it: plain, with
// weights, and with absorbed effects nested in the clusters.
func TestJackknifeByDefinition(t *testing.T) {
	f := simFrame(21, 0, 8, 6, 2, 0.7)
	pairsOf := make([]int, len(f.Y)) // effects within clusters: halves
	for i := range pairsOf {
		pairsOf[i] = i / 3
	}
	for _, weighted := range []bool{false, true} {
		g := *f
		if weighted {
			g.Weight = estimate.Weights{Kind: estimate.Sampling}
			for i := range g.Y {
				g.Weight.Values = append(g.Weight.Values, 0.5+float64(i%4))
			}
		}
		for _, o := range []OLS{{Vcov: Jackknife}, {Vcov: Jackknife, Absorb: [][]int{pairsOf}, AbsorbNames: []string{"half"}}} {
			res := mustFit(t, o, &g)
			j := len(res.Estimates) - 1
			want := leaveOut(t, &g, o, j)
			reftest.Agree(t, "jackknife", res.Estimates[j].SE, math.Sqrt(want), 10)
			o.Vcov = CR3
			reftest.Agree(t, "cr3", mustFit(t, o, &g).Estimates[j].SE, math.Sqrt(want*8/7), 10)
		}
	}
}

// With effects absorbed the leverage corrections are those of the dummies: hc2, hc3 and
// hc4 with one set, cr2 with its degrees of freedom where the set is nested.
func TestAbsorbedLeverageEqualsDummies(t *testing.T) {
	f, codes := panelFrame(8)
	f.Weight = estimate.Weights{}
	names := []string{"u"}
	for _, kind := range []estimate.WeightKind{estimate.NoWeights, estimate.Sampling, estimate.Frequency} {
		g := *f
		if kind != estimate.NoWeights {
			g.Weight = estimate.Weights{Kind: kind}
			for i := range g.Y {
				g.Weight.Values = append(g.Weight.Values, float64(2+i%3)) // no unit of one row
			}
		}
		// Rows that are alone in their unit have leverage 1: two copies of each row.
		both := take(&g, append(seq(len(g.Y)), seq(len(g.Y))...))
		both.Unit = nil
		unit := append(append([]int(nil), codes[0]...), codes[0]...)
		both.Cluster = nil
		for i := range both.Y {
			both.Unit = append(both.Unit, strconv.Itoa(i))
			both.Y[i] += float64(i%7) / 3
		}
		if kind != estimate.NoWeights {
			both.Weight = estimate.Weights{Kind: kind, Values: append(append([]float64(nil), g.Weight.Values...), g.Weight.Values...)}
		}
		full := withDummies(both, [][]int{unit})
		for _, vcov := range []Vcov{HC2, HC3, HC4} {
			a, b := mustFit(t, OLS{Vcov: vcov, Absorb: [][]int{unit}, AbsorbNames: names}, both), mustFit(t, OLS{Vcov: vcov, NoIntercept: true}, full)
			for j := range 2 {
				reftest.Agree(t, fmt.Sprintf("%s %s", kind, vcov), a.Estimates[j].SE, b.Estimates[j].SE, 9)
			}
		}
		if kind == estimate.Sampling {
			continue
		}
		both.Cluster, full.Cluster = unit, unit
		a, b := mustFit(t, OLS{Vcov: CR2, Absorb: [][]int{unit}, AbsorbNames: names}, both), mustFit(t, OLS{Vcov: CR2, NoIntercept: true}, full)
		for j := range 2 {
			reftest.Agree(t, fmt.Sprintf("%s cr2", kind), a.Estimates[j].SE, b.Estimates[j].SE, 9)
			reftest.Agree(t, fmt.Sprintf("%s cr2 df", kind), a.Estimates[j].Test.DF, b.Estimates[j].Test.DF, 7)
		}
	}
	g := *f
	g.Cluster = codes[1] // periods: units cut across them
	for _, vcov := range []Vcov{CR2, CR3, Jackknife, Wild} {
		if _, err := (OLS{Vcov: vcov, Absorb: codes[:1], AbsorbNames: names}).Fit(t.Context(), &g); !errors.Is(err, ErrOption) {
			t.Errorf("%s with effects across clusters: %v", vcov, err)
		}
	}
	g.Cluster = nil
	if _, err := (OLS{Vcov: HC3, Absorb: codes[:2], AbsorbNames: []string{"u", "p"}}).Fit(t.Context(), &g); !errors.Is(err, ErrOption) {
		t.Errorf("hc3 with two sets: %v", err)
	}
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// tiny in clusters {a,b} and {c,d}. Slope: t = d/5 sums to ∓2/5: both clusters alike, G* =
// 2. Intercept: t = 1/4 - 3/2·d/5 = 7/10, 4/10, 1/10, -2/10 sums to 11/10 and -1/10: G* =
// (1.22)²/(1.21² + 0.01²); within independent: 0.65 and 0.05, (0.7)²/(0.65² + 0.05²).
// Leverages 0.7 and 0.3 add up to 1 in each cluster.
func TestEffectiveClustersByHand(t *testing.T) {
	f := tiny()
	f.Cluster = []int{7, 7, 3, 3}
	d := mustFit(t, OLS{}, f).Details
	effective, independent := d["effective_clusters"].(map[string]float64), d["effective_clusters_independent"].(map[string]float64)
	reftest.Agree(t, "slope", effective["x"], 2, 13)
	reftest.Agree(t, "intercept", effective["(intercept)"], 1.22*1.22/(1.21*1.21+0.0001), 13)
	reftest.Agree(t, "independent", independent["(intercept)"], 0.49/(0.65*0.65+0.0025), 13)
	lever := d["leverage"].(map[string]float64)
	reftest.Agree(t, "row", lever["row_max"], 0.7, 13)
	reftest.Agree(t, "cluster", lever["cluster_max"], 1, 13)
	reftest.Agree(t, "mean", lever["cluster_mean"], 1, 13)
	// Weights of 2 each: the same.
	f.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{2, 2, 2, 2}}
	e := mustFit(t, OLS{}, f).Details
	reftest.Agree(t, "weighted", e["effective_clusters"].(map[string]float64)["(intercept)"], effective["(intercept)"], 12)
	reftest.Agree(t, "weighted lever", e["leverage"].(map[string]float64)["row_max"], 0.7, 12)
}

// Who says what about clusters: few, fewer than coefficients, one that decides a
// coefficient, many of which few count.
func TestClusterNotes(t *testing.T) {
	f := simFrame(4, 0, 8, 5, 1, 0.3)
	f.XNames, f.X = []string{"x", "first"}, func() *mat.Dense {
		x := mat.NewDense(40, 2, nil)
		for i := range 40 {
			first := 0.0
			if f.Cluster[i] == 0 {
				first = 1
			}
			x.SetRow(i, []float64{f.X.At(i, 0), first})
		}
		return x
	}()
	res := mustFit(t, OLS{}, f)
	if !hasNote(res, "few-clusters") || !hasNote(res, "one-cluster-decides") || hasNote(res, "clusters-below-coefficients") {
		t.Errorf("notes %v", res.Notes)
	}
	for _, n := range res.Notes {
		if n.Code == "one-cluster-decides" && fmt.Sprint(n.Args["columns"]) != "[first]" {
			t.Errorf("%v", n.Args)
		}
	}
	two := *f
	two.Cluster = nil
	for i := range 40 {
		two.Cluster = append(two.Cluster, i%2)
	}
	if res := mustFit(t, OLS{}, &two); !hasNote(res, "clusters-below-coefficients") {
		t.Errorf("2 clusters, 3 coefficients: %v", res.Notes)
	}
	// 40 clusters, one of them with 400 rows of one group.
	big := &estimate.Frame{Level: 0.95, XNames: []string{"x"}}
	s := num.NewStream(9, "unequal", 0)
	var x []float64
	for c := range 40 {
		n := 2
		if c == 0 {
			n = 400
		}
		for range n {
			big.Y, big.Cluster, big.Unit = append(big.Y, s.Normal()), append(big.Cluster, c), append(big.Unit, strconv.Itoa(len(big.Y)))
			x = append(x, float64(c%2))
		}
	}
	big.X = mat.NewDense(len(x), 1, x)
	if res := mustFit(t, OLS{}, big); !hasNote(res, "few-effective-clusters") || hasNote(res, "few-clusters") {
		t.Errorf("unequal clusters: %v", res.Notes)
	}
}

// Conley's errors: alone at its place and with a cutoff below every distance a row is
// hc1; places far apart are clusters with the factor N/(N-K); the Bartlett kernel halves
// the cross term of two places at half the cutoff.
func TestConleyByHand(t *testing.T) {
	reftest.Agree(t, "a degree of latitude", distance(59, 18, 60, 18), earthRadius*math.Pi/180, 12)
	reftest.Agree(t, "antipodes", distance(0, 0, 0, 180), earthRadius*math.Pi, 12)
	f, _ := crossFrame()
	n := len(f.Y)
	far, near := Conley{Cutoff: 50}, Conley{Cutoff: 50}
	for i := range n {
		far.Lat, far.Lon = append(far.Lat, 40+float64(i)), append(far.Lon, 10)
		near.Lat, near.Lon = append(near.Lat, 40+float64(f.Cluster[i])), append(near.Lon, 10)
	}
	g := withoutClusters(f)
	alone, hc1 := mustFit(t, OLS{Conley: &far}, g), mustFit(t, OLS{Vcov: HC1}, g)
	places, cr0 := mustFit(t, OLS{Conley: &near}, g), mustFit(t, OLS{Vcov: CR0}, f)
	for j := range 3 {
		reftest.Agree(t, "alone", alone.Estimates[j].SE, hc1.Estimates[j].SE, 12)
		reftest.Agree(t, "places", places.Estimates[j].SE, cr0.Estimates[j].SE*math.Sqrt(20.0/17), 12)
	}
	// tiny at two places 1 degree apart, a, b and c, d: slope scores -1/2 and 1/2 (see
	// TestOLSByHand). Cutoff of 2 degrees: Σ = 1/4 + 1/4 - 2·k/4 with k = 1/2, uniform 0.
	two := &Conley{Cutoff: 2 * distance(10, 5, 11, 5), Lat: []float64{10, 10, 11, 11}, Lon: []float64{5, 5, 5, 5}, Bartlett: true}
	e := mustFit(t, OLS{Conley: two}, tiny()).Estimates[1]
	reftest.Agree(t, "bartlett", e.SE*e.SE, 4.0/2*(1.0/2-1.0/4)/25, 12)
	uniform := *two
	uniform.Bartlett = false
	if e := mustFit(t, OLS{Conley: &uniform}, tiny()).Estimates[1]; e.SE > 1e-8 {
		t.Errorf("uniform: %g", e.SE)
	}
	for name, c := range map[string]Conley{"cutoff": {Lat: far.Lat, Lon: far.Lon}, "lengths": {Lat: far.Lat, Cutoff: 1}} {
		if _, err := (OLS{Conley: &c}).Fit(t.Context(), g); !errors.Is(err, ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (OLS{Vcov: Spatial}).Fit(t.Context(), g); !errors.Is(err, ErrOption) {
		t.Error("conley without places")
	}
	bad := far
	bad.Lat = append([]float64{91}, far.Lat[1:]...)
	if _, err := (OLS{Conley: &bad}).Fit(t.Context(), g); !errors.Is(err, estimate.ErrInvalidFrame) {
		t.Errorf("latitude 91: %v", err)
	}
}

// M24–M27, M50 of the regression core, for every kind of error: a constant added, the
// outcome times 8, unit and period constants under absorbed effects, rows twice in
// their clusters; M37, a lower level inside.
func TestCoreMetamorphic(t *testing.T) {
	f := simFrame(41, 0, 9, 6, 2, 0.5)
	f.Treated = nil
	period := make([]int, len(f.Y))
	for i := range period {
		period[i] = i % 6
	}
	same := func(what string, a, b *estimate.Result, j, l int, factor float64) {
		t.Helper()
		x, y := a.Estimates[j], b.Estimates[l]
		reftest.Agree(t, what, y.Value, factor*x.Value, 9)
		reftest.Agree(t, what+" se", y.SE, factor*x.SE, 8)
		reftest.Agree(t, what+" low", y.CI.Lo, factor*x.CI.Lo, 7)
	}
	change := func(by func(i int, y float64) float64) *estimate.Frame {
		g := *f
		g.Y = nil
		for i, y := range f.Y {
			g.Y = append(g.Y, by(i, y))
		}
		return &g
	}
	for _, vcov := range []Vcov{IID, HC0, HC4, CR0, CR1, CR2, CR3, Jackknife, Wild} {
		use := func(g *estimate.Frame) *estimate.Frame {
			if vcov.clustered() {
				return g
			}
			return withoutClusters(g)
		}
		o := OLS{Vcov: vcov}
		a := mustFit(t, o, use(f))
		same("plus 100", a, mustFit(t, o, use(change(func(_ int, y float64) float64 { return y + 100 }))), 1, 1, 1)
		same("times 8", a, mustFit(t, o, use(change(func(_ int, y float64) float64 { return 8 * y }))), 2, 2, 8)
		lower := *use(f)
		lower.Level = 0.9
		if e := mustFit(t, o, &lower).Estimates[1]; !(e.CI.Lo > a.Estimates[1].CI.Lo && e.CI.Hi < a.Estimates[1].CI.Hi) {
			t.Errorf("%s: 90 %% %v in 95 %% %v", vcov, e.CI, a.Estimates[1].CI)
		}
	}
	two := OLS{Absorb: [][]int{f.Cluster, period}, AbsorbNames: []string{"unit", "period"}}
	same("unit and period constants", mustFit(t, two, f), mustFit(t, two, change(func(i int, y float64) float64 {
		return y + math.Sin(float64(f.Cluster[i])) + float64(period[i]*period[i])
	})), 1, 1, 1)
	flat := mustFit(t, two, change(func(i int, _ float64) float64 { return float64(f.Cluster[i]) }))
	if e := flat.Estimates[0]; math.Abs(e.Value) > 1e-12 || e.SE > 1e-12 {
		t.Errorf("an outcome of unit constants: %v", e)
	}
	twice := take(f, append(seq(len(f.Y)), seq(len(f.Y))...))
	for i := range twice.Unit {
		twice.Unit[i] = strconv.Itoa(i)
	}
	a, b := mustFit(t, OLS{Vcov: CR0}, f), mustFit(t, OLS{Vcov: CR0}, twice)
	same("rows twice, cr0", a, b, 1, 1, 1)
	a, b = mustFit(t, OLS{Vcov: HC0}, withoutClusters(f)), mustFit(t, OLS{Vcov: HC0}, withoutClusters(twice))
	reftest.Agree(t, "rows twice, hc0", b.Estimates[1].SE, a.Estimates[1].SE/math.Sqrt2, 10)
}
