package effect

import (
	"errors"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// Clusters {1,3}, {5,9}, {6,12} about their mean 6: r = -5,-3,-1,3,0,6, φ = 80/6; the
// products 15, -3, 0 average 4, so that α = 4/φ = 3/10, for ar1 too (pairs of one lag).
// cr0 of a mean of equal clusters: sums -8, 2, 6 over 6: (64+4+36)/36.
func TestGEEByHand(t *testing.T) {
	f := grouped([]float64{1, 3}, []float64{5, 9}, []float64{6, 12})
	for correlation, alpha := range map[string]float64{"exchangeable": 0.3, "ar1": 0.3, "independence": 0} {
		res := mustFit(t, GEE{Correlation: correlation, Vcov: CR0}, f)
		reftest.Agree(t, "mean", res.Estimates[0].Value, 6, 13)
		reftest.Agree(t, "scale", res.Details["scale"].(float64), 80.0/6, 13)
		reftest.Agree(t, "cr0", res.Estimates[0].SE, math.Sqrt(104.0/36), 12)
		if correlation != "independence" {
			reftest.Agree(t, correlation, res.Details["alpha"].(float64), alpha, 12)
		} else if res.Details["alpha"] != nil {
			t.Errorf("alpha %v", res.Details["alpha"])
		}
	}
}

// The estimating equations hold with R and V written out, the moments are those of the
// definition, and cr0 is B⁻¹·ΣD'V⁻¹rr'V⁻¹D·B⁻¹.
func TestGEESolvesItsEquations(t *testing.T) {
	base := steps(5, 90)
	for _, family := range []num.GLMFamily{num.Gaussian, num.Binomial, num.Poisson} {
		f := *base
		f.Y = slices.Clone(base.Y)
		f.Cluster = nil
		f.X = mat.DenseCopyOf(base.X)
		for i := range f.Y {
			f.Cluster = append(f.Cluster, (i*i)%17)
			f.X.Set(i, 0, (f.X.At(i, 0)-1990)/3)
			if family == num.Binomial {
				f.Y[i] = math.Min(f.Y[i], 1)
			}
		}
		for _, correlation := range []string{"exchangeable", "ar1"} {
			res := mustFit(t, GEE{Family: family, Correlation: correlation, Vcov: CR0}, &f)
			alpha, phi := res.Details["alpha"].(float64), res.Details["scale"].(float64)
			codes, g := ranked(f.Cluster)
			bread, meat, total := mat.NewDense(3, 3, nil), mat.NewDense(3, 3, nil), mat.NewVecDense(3, nil)
			moment, sum := 0.0, 0.0
			for _, rs := range rowsOf(codes, g) {
				n := len(rs)
				v, d, r := mat.NewDense(n, n, nil), mat.NewDense(n, 3, nil), mat.NewVecDense(n, nil)
				sd := make([]float64, n)
				for a, i := range rs {
					eta := res.Estimates[0].Value + res.Estimates[1].Value*f.X.At(i, 0) + res.Estimates[2].Value*f.X.At(i, 1)
					mu, slope, variance := eta, 1.0, 1.0
					switch family {
					case num.Binomial:
						mu = 1 / (1 + math.Exp(-eta))
						slope, variance = mu*(1-mu), mu*(1-mu)
					case num.Poisson:
						mu = math.Exp(eta)
						slope, variance = mu, mu
					}
					d.SetRow(a, []float64{slope, slope * f.X.At(i, 0), slope * f.X.At(i, 1)})
					r.SetVec(a, f.Y[i]-mu)
					sd[a] = math.Sqrt(variance)
					sum += r.AtVec(a) * r.AtVec(a) / variance
				}
				for a := range n {
					for b := range n {
						rho, lag := 1.0, math.Abs(float64(a-b))
						if a != b {
							rho = alpha
							if correlation == "ar1" {
								rho = math.Pow(alpha, lag)
							}
							z := r.AtVec(a) * r.AtVec(b) / (sd[a] * sd[b] * phi)
							if correlation == "ar1" {
								moment += lag * math.Pow(alpha, lag-1) * (z - rho)
							} else {
								moment += z - rho
							}
						}
						v.Set(a, b, sd[a]*rho*sd[b])
					}
				}
				var inverse, dv, part mat.Dense
				if err := inverse.Inverse(v); err != nil {
					t.Fatal(err)
				}
				dv.Mul(d.T(), &inverse)
				part.Mul(&dv, d)
				bread.Add(bread, &part)
				var score mat.VecDense
				score.MulVec(&dv, r)
				total.AddVec(total, &score)
				part.Outer(1, &score, &score)
				meat.Add(meat, &part)
			}
			if mat.Norm(total, 2) > 1e-8 || math.Abs(moment) > 1e-7 {
				t.Errorf("%s %s: equations %v, moment %g", family, correlation, total, moment)
			}
			reftest.Agree(t, "scale", phi, sum/90, 10)
			var b, half, v mat.Dense
			if err := b.Inverse(bread); err != nil {
				t.Fatal(err)
			}
			half.Mul(&b, meat)
			v.Mul(&half, &b)
			for j := range 3 {
				reftest.Agree(t, string(family)+" "+correlation, res.Estimates[j].SE, math.Sqrt(v.At(j, j)), 8)
			}
		}
	}
}

// Independence is the generalised linear model; the order of rows within clusters
// matters for ar1 only, and Order restores it; a collinear column is left out.
func TestGEEMetamorphic(t *testing.T) {
	f := counts(12, 120, 2)
	a, b := mustFit(t, GEE{Family: num.Poisson, Correlation: "independence"}, f), mustFit(t, GLM{Family: num.Poisson}, f)
	for j := range a.Estimates {
		reftest.Agree(t, "independence", a.Estimates[j].Value, b.Estimates[j].Value, 10)
		reftest.Agree(t, "independence se", a.Estimates[j].SE, b.Estimates[j].SE, 9)
	}
	back := seq(120)
	slices.Reverse(back)
	order := make([]float64, 120)
	for i := range order {
		order[i] = float64(i * i)
	}
	at := func(correlation string, f *estimate.Frame, order []float64) float64 {
		return mustFit(t, GEE{Correlation: correlation, Order: order}, f).Estimates[1].Value
	}
	mixed := make([]float64, 120)
	for i := range mixed {
		mixed[i] = float64((i * 7) % 120)
	}
	reversed := slices.Clone(order)
	slices.Reverse(reversed)
	reftest.Agree(t, "order given", at("ar1", take(f, back), reversed), at("ar1", f, nil), 11)
	if math.Abs(at("ar1", f, mixed)-at("ar1", f, nil)) < 1e-9 {
		t.Error("the order of ar1 has no effect")
	}
	reftest.Agree(t, "exchangeable", at("exchangeable", f, mixed), at("exchangeable", f, nil), 11)
	g := *f
	g.XNames, g.X = []string{"x1", "x2", "twice"}, mat.NewDense(120, 3, nil)
	for i := range 120 {
		g.X.SetRow(i, []float64{f.X.At(i, 0), f.X.At(i, 1), 2 * f.X.At(i, 0)})
	}
	c, d := mustFit(t, GEE{Family: num.Poisson}, &g), mustFit(t, GEE{Family: num.Poisson}, f)
	if !hasNote(c, "collinear-dropped") || !math.IsNaN(c.Estimates[3].Value) {
		t.Errorf("collinear: %v", c.Estimates)
	}
	reftest.Agree(t, "collinear", c.Estimates[1].SE, d.Estimates[1].SE, 9)

	weighted, alone := *f, *f
	weighted.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{1}, 120)}
	alone.Cluster = seq(120)
	for name, c := range map[string]struct {
		g    GEE
		f    *estimate.Frame
		want error
	}{
		"weights":     {GEE{}, &weighted, estimate.ErrWeights},
		"no clusters": {GEE{}, withoutClusters(f), ErrOption},
		"correlation": {GEE{Correlation: "unstructured"}, f, ErrOption},
		"family":      {GEE{Family: num.NegBin}, f, ErrOption},
		"vcov":        {GEE{Vcov: HC1}, f, ErrOption},
		"order":       {GEE{Order: []float64{1}}, f, ErrOption},
		"ties":        {GEE{Correlation: "ar1", Order: make([]float64, 120)}, f, estimate.ErrInvalidFrame},
		"rows alone":  {GEE{}, &alone, estimate.ErrNotIdentified},
		"not 0 or 1":  {GEE{Family: num.Binomial}, f, estimate.ErrInvalidFrame},
	} {
		if res, err := c.g.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
