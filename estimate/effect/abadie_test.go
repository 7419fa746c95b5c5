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

func line(x, y []float64, treated int) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, Y: y, X: mat.NewDense(len(x), 1, x), XNames: []string{"x"}}
	for i := range y {
		f.Unit, f.Treated = append(f.Unit, strconv.Itoa(i)), append(f.Treated, i < treated)
	}
	return f
}

// By hand. Treated (x, y): (0, 5), (4, 10), (0, 9); untreated (0, 3), (3, 6), (5, 8). The
// second treated has two partners at distance 1, the others share (0, 3): K = 2, 1/2, 1/2
// and K' = 2, 1/4, 1/4. Differences 2, 3, 6, effect 11/3.
//
// Homoscedastic: pairs differ by 2; 4 and 2; 6: σ² = (25/9 + (1/9+25/9)/2 + 49/9)/6 = 29/18,
// V = (25/9 + 4/9 + 49/9 + (2² - 2)·29/18)/9 = 107/81.
//
// Variance from one neighbour: of (0, 3) with (3, 6) it is 9/2, and K² - K' is 0 for the
// other two: V = (78/9 + 2·9/2)/9 = 159/81.
//
// The matched untreated lie on y = 3 + x, so that the adjustment changes nothing but the
// pairs: both of the second treated are then 10 - 7 = 3, σ² = (25/9 + 4/9 + 49/9)/6 = 13/9.
func TestAbadieImbensByHand(t *testing.T) {
	f := line([]float64{0, 4, 0, 0, 3, 5}, []float64{5, 10, 9, 3, 6, 8}, 3)
	for _, c := range []struct {
		b        BiasCorrectedMatching
		variance float64
	}{
		{BiasCorrectedMatching{Unadjusted: true}, 107.0 / 81}, {BiasCorrectedMatching{Unadjusted: true, Variance: 1}, 159.0 / 81},
		{BiasCorrectedMatching{}, (78.0/9 + 2*13.0/9) / 9}, {BiasCorrectedMatching{Metric: MahalanobisMetric, Variance: 1}, 159.0 / 81},
	} {
		res := mustFit(t, c.b, f)
		reftest.Agree(t, "effect", res.Estimates[0].Value, 11.0/3, 13)
		reftest.Agree(t, "variance", res.Cov.At(0, 0), c.variance, 12)
		if res.Details["pairs"] != 4 || res.Details["largest_use"] != 2.0 || res.Estimates[0].Term != "att" {
			t.Errorf("%v", res.Details)
		}
	}
	// All: the untreated (3, 6) is nearest to (4, 10), difference 4, and so is (5, 8), 2; (0, 3)
	// has two partners, 5 and 9, difference 4. Effect (11 + 4 + 4 + 2)/6 = 7/2.
	reftest.Agree(t, "ate", mustFit(t, BiasCorrectedMatching{Estimand: "ate", Unadjusted: true}, f).Estimates[0].Value, 3.5, 13)
	reftest.Agree(t, "atc", mustFit(t, BiasCorrectedMatching{Estimand: "atc", Unadjusted: true}, f).Estimates[0].Value, 10.0/3, 13)

	// Treated (0, 5), (4, 10), untreated (0, 3), (3, 6), (9, 0): partners on y = 3 + x, so that
	// the second is compared with 6 + 1: differences 2 and 3 instead of 2 and 4.
	g := line([]float64{0, 4, 0, 3, 9}, []float64{5, 10, 3, 6, 0}, 2)
	res := mustFit(t, BiasCorrectedMatching{}, g)
	reftest.Agree(t, "corrected", res.Estimates[0].Value, 2.5, 13)
	reftest.Agree(t, "as matched", res.Details["estimate_unadjusted"].(float64), 3, 13)
	reftest.Agree(t, "mean imputed", res.Details["mean_control"].(float64), 5, 13)

	// Both partners at x = 0: no slope, and a note.
	h := line([]float64{0, 1, 0, 0, 9}, []float64{5, 7, 3, 4, 0}, 2)
	res = mustFit(t, BiasCorrectedMatching{}, h)
	reftest.Agree(t, "no slope", res.Estimates[0].Value, 2.5, 13)
	if !hasNote(res, "bias-not-corrected") || hasNote(mustFit(t, BiasCorrectedMatching{Unadjusted: true}, h), "bias-not-corrected") {
		t.Errorf("%v", res.Notes)
	}
}

// The tree finds what a look at every row finds, ties and rows in one place included.
func TestNeighboursEqualBruteForce(t *testing.T) {
	for rep := range uint64(40) {
		s := num.NewStream(1, "neighbours", rep)
		n, k, levels := 1+s.Intn(400), 1+s.Intn(4), 2+s.Intn(30)
		z := make([]float64, n*k)
		for i := range z {
			z[i] = float64(s.Intn(levels))
			if rep%2 == 0 {
				z[i] += 1e-3 * s.Normal()
			}
		}
		var rows []int32
		for i := range n {
			if i == 0 || s.Bernoulli(0.8) {
				rows = append(rows, int32(i))
			}
		}
		tree := newNeighbours(z, k, rows)
		for range 20 {
			p := z[s.Intn(n)*k:][:k]
			m := 1 + s.Intn(min(5, len(rows)))
			var d []float64
			for _, r := range rows {
				d = append(d, tree.squared(r, p))
			}
			sorted := slices.Sorted(slices.Values(d))
			var want []int32
			for i, r := range rows {
				if d[i] <= sorted[m-1]+tieTolerance {
					want = append(want, r)
				}
			}
			got := tree.near(p, m)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("repetition %d: %v, want %v", rep, got, want)
			}
		}
	}
}

// M5 and M6: units of the covariates, and for Mahalanobis any invertible mixture of them;
// M9: duplicated untreated units change no effect on the treated.
func TestMatchingRelations(t *testing.T) {
	f := meansFrame(11, 0, 200, "number")
	n := len(f.Y)
	scaled, mixed := *f, *f
	scaled.X, mixed.X = mat.NewDense(n, 2, nil), mat.NewDense(n, 2, nil)
	for i := range n {
		r := f.X.RawRowView(i)
		scaled.X.SetRow(i, []float64{3 * r[0], r[1] / 7})
		mixed.X.SetRow(i, []float64{r[0] + 2*r[1], r[0] - r[1]})
	}
	for _, b := range []BiasCorrectedMatching{{Ratio: 2}, {Ratio: 2, Metric: MahalanobisMetric}, {Estimand: "ate", Variance: 4}} {
		want := mustFit(t, b, f).Estimates[0]
		got := mustFit(t, b, &scaled).Estimates[0]
		reftest.Agree(t, "M5", got.Value, want.Value, 10)
		reftest.Agree(t, "M5 se", got.SE, want.SE, 10)
		if b.Metric == MahalanobisMetric {
			got = mustFit(t, b, &mixed).Estimates[0]
			reftest.Agree(t, "M6", got.Value, want.Value, 10)
		}
	}
	double := take(f, slices.Concat(indices(n), untreated(f)))
	for i := range double.Unit {
		double.Unit[i] = strconv.Itoa(i)
	}
	// The standard deviations of the columns move with the copies: one covariate has none to weigh.
	one := func(g *estimate.Frame) *estimate.Frame {
		h := *g
		h.X, h.XNames = mat.NewDense(len(g.Y), 1, nil), []string{"x"}
		for i := range g.Y {
			h.X.Set(i, 0, g.X.At(i, 0))
		}
		return &h
	}
	reftest.Agree(t, "M9", mustFit(t, BiasCorrectedMatching{}, one(double)).Estimates[0].Value, mustFit(t, BiasCorrectedMatching{}, one(f)).Estimates[0].Value, 10)

	// A measured effect that is the same for all comes out as it is when y is linear in x.
	for i := range n {
		r := f.X.RawRowView(i)
		f.Y[i] = 1 + 2*r[0] - r[1]
		if f.Treated[i] {
			f.Y[i] += 5
		}
	}
	res := mustFit(t, BiasCorrectedMatching{Estimand: "ate"}, f)
	reftest.Agree(t, "linear", res.Estimates[0].Value, 5, 12)
	if res.Estimates[0].SE != 0 || !hasNote(res, "no-residual-variation") {
		t.Errorf("standard error %g", res.Estimates[0].SE)
	}
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func untreated(f *estimate.Frame) (rows []int) {
	for i, a := range f.Treated {
		if !a {
			rows = append(rows, i)
		}
	}
	return rows
}

// The influence is Otsu and Rai's: near the error in size, and it adds up to 0.
func TestMatchingInfluence(t *testing.T) {
	f := meansFrame(12, 0, 2000, "number")
	for _, estimand := range []string{"att", "atc", "ate"} {
		res := mustFit(t, BiasCorrectedMatching{Estimand: estimand}, f)
		if ratio := math.Sqrt(clusterVar(res, nil, 0)) / res.Estimates[0].SE; ratio < 0.9 || ratio > 1.1 {
			t.Errorf("%s: %g", estimand, ratio)
		}
	}
}

func BenchmarkBiasCorrectedMatching(b *testing.B) {
	f := meansFrame(13, 0, 20000, "number")
	for b.Loop() {
		if _, err := (BiasCorrectedMatching{Variance: 4}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
