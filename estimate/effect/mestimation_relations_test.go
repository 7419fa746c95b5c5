package effect

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// meansFrame has n units, two covariates, confounding, and an outcome of the kind named.
func meansFrame(seed, rep uint64, n int, kind string) *estimate.Frame {
	s := num.NewStream(seed, "means test", rep)
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 2, nil), XNames: []string{"x1", "x2"}}
	for i := range n {
		a, b := s.Normal(), s.Normal()
		f.X.SetRow(i, []float64{a, b})
		treated := s.Bernoulli(num.LogitLink.Mean(-0.3 + 0.7*a - 0.4*b))
		eta := 0.6*a + 0.5*b
		if treated {
			eta += 0.8 + 0.3*a
		}
		y := eta + s.Normal()
		if kind == "binary" {
			y = float64(index(s.Bernoulli(num.LogitLink.Mean(eta - 0.5))))
		}
		f.Unit, f.Treated, f.Y = append(f.Unit, "u"+strconv.Itoa(i)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

// meanEstimators are all methods of means with an estimand.
func meanEstimators(estimand string) map[string]estimate.Estimator {
	out := map[string]estimate.Estimator{"ipw": IPW{Estimand: estimand}}
	if estimand != "ato" {
		out["g-computation"] = GComputation{Estimand: estimand}
		out["aipw"] = AIPW{Estimand: estimand}
		out["aipw stacked"] = AIPW{Estimand: estimand, Errors: "stacked"}
		out["aipw folds"] = AIPW{Estimand: estimand, Folds: 3, Repeats: 3}
		out["tmle"] = TMLE{Estimand: estimand}
		out["tmle folds"] = TMLE{Estimand: estimand, Folds: 3, Repeats: 3}
		out["matching"] = BiasCorrectedMatching{Estimand: estimand, Variance: 3}
	}
	return out
}

// The influence of a unit is the derivative of the estimate by its sampling weight: for
// every estimator whose errors are those of all its equations.
func TestInfluenceIsDerivative(t *testing.T) {
	for _, kind := range []string{"number", "binary"} {
		f := meansFrame(3, 0, 60, kind)
		ratios := kind == "binary"
		n := len(f.Y)
		list := map[string]estimate.Estimator{}
		for _, estimand := range []string{"att", "atc", "ate", "ato"} {
			list["ipw "+estimand] = IPW{Estimand: estimand, Ratios: ratios}
			if estimand == "ato" {
				continue
			}
			list["g-computation "+estimand] = GComputation{Estimand: estimand, Ratios: ratios}
			list["aipw "+estimand] = AIPW{Estimand: estimand, Errors: "stacked", Ratios: ratios}
			list["aipw linear "+estimand] = AIPW{Estimand: estimand, Errors: "stacked", OutcomeModel: LinearOutcome}
		}
		for name, e := range list {
			at := func(unit int, delta float64) *estimate.Result {
				g := *f
				g.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{1}, n)}
				g.Weight.Values[unit] += delta
				res, err := e.Fit(t.Context(), &g)
				if err != nil {
					t.Fatal(name, err)
				}
				return res
			}
			base := at(0, 0)
			for _, unit := range []int{0, 7, 31, 59} {
				const h = 1e-4
				up, down := at(unit, h), at(unit, -h)
				for j := range base.Estimates {
					want := (up.Estimates[j].Value - down.Estimates[j].Value) / (2 * h)
					reftest.Near(t, kind+" "+name, base.Influence.At(unit, j), want, 1e-7*(1+math.Abs(want)))
				}
			}
		}
	}
}

func sameBits(t *testing.T, what string, a, b *estimate.Result) {
	t.Helper()
	for j, e := range a.Estimates {
		if g := b.Estimates[j]; math.Float64bits(e.Value) != math.Float64bits(g.Value) || math.Float64bits(e.SE) != math.Float64bits(g.SE) {
			t.Errorf("%s: %v±%v and %v±%v", what, e.Value, e.SE, g.Value, g.SE)
		}
	}
}

// M1, M22, M24, M27, M30, M31, M36 and swapped arms, for every method.
func TestMeansRelations(t *testing.T) {
	f := meansFrame(5, 1, 150, "number")
	n := len(f.Y)
	before := *f
	before.Y, before.X = slices.Clone(f.Y), mat.DenseCopyOf(f.X)
	take := func(rows []int) *estimate.Frame {
		g := &estimate.Frame{Level: f.Level, XNames: f.XNames, X: mat.NewDense(len(rows), 2, nil)}
		for i, r := range rows {
			g.Unit, g.Y, g.Treated = append(g.Unit, f.Unit[r]), append(g.Y, f.Y[r]), append(g.Treated, f.Treated[r])
			g.X.SetRow(i, f.X.RawRowView(r))
			if f.Cluster != nil {
				g.Cluster = append(g.Cluster, f.Cluster[r])
			}
		}
		return g
	}
	var all, reversed, doubled []int
	for i := range n {
		all, reversed = append(all, i), append(reversed, n-1-i)
		doubled = append(doubled, i, i)
	}
	swapped := take(all)
	for i := range swapped.Treated {
		swapped.Treated[i] = !swapped.Treated[i]
	}
	mirror := map[string]string{"att": "atc", "atc": "att", "ate": "ate", "ato": "ato"}
	for _, estimand := range []string{"att", "atc", "ate", "ato"} {
		opposite := meanEstimators(mirror[estimand])
		for name, e := range meanEstimators(estimand) {
			what := name + " " + estimand
			base := mustFit(t, e, f)
			sameBits(t, what+" M1", base, mustFit(t, e, take(reversed)))

			g := take(all)
			for i := range g.Y {
				g.Y[i] = 8 * (f.Y[i] + 3)
			}
			scaled := mustFit(t, e, g)
			reftest.Agree(t, what+" M24 M27", scaled.Estimates[0].Value, 8*base.Estimates[0].Value, 9)
			reftest.Agree(t, what+" M27 se", scaled.Estimates[0].SE, 8*base.Estimates[0].SE, 9)

			g = take(all)
			g.X, g.XNames = mat.NewDense(n, 4, nil), []string{"x1", "k", "x2", "sum"}
			for i := range n {
				r := f.X.RawRowView(i)
				g.X.SetRow(i, []float64{r[0], 7, r[1], r[0] - 2*r[1]})
			}
			collinear := mustFit(t, e, g)
			reftest.Agree(t, what+" M36", collinear.Estimates[0].Value, base.Estimates[0].Value, 11)
			if !hasNote(collinear, "collinear-dropped") {
				t.Errorf("%s: %v", what, collinear.Notes)
			}

			other := mustFit(t, opposite[name], swapped)
			reftest.Agree(t, what+" M15", other.Estimates[0].Value, -base.Estimates[0].Value, 9)
			reftest.Agree(t, what+" M15 se", other.Estimates[0].SE, base.Estimates[0].SE, 9)

			if name == "matching" {
				continue
			}
			g = take(all)
			g.Cluster = slices.Clone(all)
			if name != "aipw folds" && name != "tmle folds" { // folds follow the clusters
				reftest.Agree(t, what+" own clusters", mustFit(t, e, g).Estimates[0].SE, base.Estimates[0].SE, 12)

				// M31, and M30: weight 2 is two copies, whose variance is half.
				for _, w := range []float64{0.25, 3} {
					g = take(all)
					g.Weight = estimate.Weights{Kind: estimate.Sampling, Values: repeat(w, n)}
					weighted := mustFit(t, e, g)
					reftest.Agree(t, what+" M31", weighted.Estimates[0].Value, base.Estimates[0].Value, 10)
					reftest.Agree(t, what+" M31 se", weighted.Estimates[0].SE, base.Estimates[0].SE, 10)
				}
				g = take(all)
				g.Weight = estimate.Weights{Kind: estimate.Frequency, Values: repeat(2, n)}
				for i := range 20 {
					g.Weight.Values[i] = 1
				}
				twice := take(append(doubled[40:], all[:20]...))
				for i := range twice.Unit {
					twice.Unit[i] = strconv.Itoa(i)
				}
				frequency, copied := mustFit(t, e, g), mustFit(t, e, twice)
				reftest.Agree(t, what+" M30", frequency.Estimates[0].Value, copied.Estimates[0].Value, 9)
				reftest.Agree(t, what+" M30 se", frequency.Estimates[0].SE, copied.Estimates[0].SE, 9)
				if frequency.N != copied.N {
					t.Errorf("%s: %+v %+v", what, frequency.N, copied.N)
				}
			}
		}
	}
	if !slices.Equal(before.Y, f.Y) || !mat.Equal(before.X, f.X) {
		t.Error("the frame was changed")
	}
	// M22.
	big := meansFrame(6, 0, 9000, "binary")
	for name, pair := range map[string][2]estimate.Estimator{
		"ipw": {IPW{Workers: 1}, IPW{Workers: 8}}, "g-computation": {GComputation{Workers: 1}, GComputation{Workers: 8}},
		"aipw": {AIPW{Workers: 1, Folds: 2}, AIPW{Workers: 8, Folds: 2}}, "tmle": {TMLE{Workers: 1}, TMLE{Workers: 8}},
		"matching": {BiasCorrectedMatching{Workers: 1, Variance: 2}, BiasCorrectedMatching{Workers: 8, Variance: 2}},
	} {
		sameBits(t, name+" M22", mustFit(t, pair[0], big), mustFit(t, pair[1], big))
	}
}

// M38 for effects: with the outcome flipped differences negate and odds ratios invert.
func TestMeansFlippedOutcome(t *testing.T) {
	f := meansFrame(7, 0, 300, "binary")
	g := *f
	g.Y = make([]float64, len(f.Y))
	for i, y := range f.Y {
		g.Y[i] = 1 - y
	}
	for name, e := range map[string]estimate.Estimator{"ipw": IPW{Ratios: true}, "g-computation": GComputation{Ratios: true, Estimand: "ate"}, "aipw": AIPW{Ratios: true}, "tmle": TMLE{Ratios: true, Estimand: "ate"}} {
		a, err := e.Fit(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Fit(t.Context(), &g)
		if err != nil {
			t.Fatal(err)
		}
		reftest.Agree(t, name, b.Estimates[0].Value, -a.Estimates[0].Value, 9)
		reftest.Agree(t, name+" se", b.Estimates[0].SE, a.Estimates[0].SE, 9)
		reftest.Agree(t, name+" odds ratio", b.Estimates[2].Value, 1/a.Estimates[2].Value, 9)
	}
}
