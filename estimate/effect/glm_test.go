package effect

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// groups makes a frame of one dummy: rows of x = 0, then of x = 1.
func groups(zero, one []float64) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x"}, Y: append(slices.Clone(zero), one...)}
	f.X = mat.NewDense(len(f.Y), 1, nil)
	for i := range f.Y {
		f.Unit = append(f.Unit, strconv.Itoa(i+1))
		if i >= len(zero) {
			f.X.Set(i, 0, 1)
		}
	}
	return f
}

// Two groups are saturated, so that every mean is the group's. Poisson with means 2
// (rows 1, 3) and 4 (rows 2, 4, 6): coefficients log 2 and log 2, information 2·2 = 4
// and 3·4 = 12 of the group's own log mean, so that Var(slope) = 1/4 + 1/12 = 1/3;
// hc0: Σ(y-μ)²/information² = 2/16 + 8/144 = 13/72; hc1 times 5/3; hc3: leverage 1/2
// and 1/3: 4·2/16 + (9/4)·8/144 = 5/8. Pearson's χ² = 2/2 + 8/4 = 3, dispersion 1.
func TestGLMPoissonByHand(t *testing.T) {
	f := groups([]float64{1, 3}, []float64{2, 4, 6})
	for vcov, want := range map[Vcov]float64{IID: 1.0 / 3, HC0: 13.0 / 72, HC1: 13.0 / 72 * 5 / 3, HC3: 5.0 / 8} {
		res := mustFit(t, GLM{Family: num.Poisson, Vcov: vcov}, f)
		reftest.Agree(t, "intercept", res.Estimates[0].Value, math.Log(2), 13)
		e := res.Estimates[1]
		reftest.Agree(t, "slope", e.Value, math.Log(2), 13)
		reftest.Agree(t, string(vcov), e.SE*e.SE, want, 13)
		if !math.IsInf(e.Test.DF, 1) {
			t.Errorf("%s: df %g", vcov, e.Test.DF)
		}
		reftest.Agree(t, "Pearson", res.Details["pearson_chisq"].(float64), 3, 13)
		// Σ y·log μ - μ - log y!
		want := 4*math.Log(2) - 4 + 12*math.Log(4) - 12 - math.Log(6*2*24*720)
		reftest.Agree(t, "logLik", res.Details["logLik"].(float64), want, 13)
	}
	res := mustFitQuasi(t, GLM{Family: num.Poisson, Pearson: true}, f)
	reftest.Agree(t, "quasi", res.Estimates[1].SE, math.Sqrt(1.0/3), 13)
	if res.Estimates[1].Test.DF != 3 || !math.IsNaN(res.Details["aic"].(float64)) || !hasNote(res, "no-likelihood") {
		t.Errorf("quasi-Poisson: %v %v", res.Estimates[1].Test, res.Details["aic"])
	}
	f.Cluster = []int{0, 1, 0, 1, 1}
	// Scores (y-μ)/information by group: -1/4, 1/4; -2/12, 0, 2/12 with the sign of the
	// slope -,-,+,+,+: cluster 0 has 1/4 - 1/6 = 1/12, cluster 1 -1/12.
	res = mustFit(t, GLM{Family: num.Poisson, Vcov: CR0}, f)
	reftest.Agree(t, "cr0", res.Estimates[1].SE, math.Sqrt(2.0/144), 12)
	if res.Estimates[1].Test.DF != 1 {
		t.Error("clusters give Student's t on G-1")
	}
}

func mustFitQuasi(t *testing.T, g GLM, f *estimate.Frame) *estimate.Result {
	t.Helper()
	res, err := g.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// The link only relabels the two means: log odds, normal quantiles, cloglog. The
// error of a group's predictor is √(p(1-p)/n)/μ'(η).
func TestGLMBinomialLinksByHand(t *testing.T) {
	f := groups([]float64{0, 0, 0, 1}, []float64{0, 1, 1, 1, 1})
	p := [2]float64{0.25, 0.8}
	n := [2]float64{4, 5}
	for link, of := range map[num.Link][2]func(float64) float64{
		num.LogitLink:   {func(p float64) float64 { return math.Log(p / (1 - p)) }, func(p float64) float64 { return p * (1 - p) }},
		num.ProbitLink:  {num.NormalQuantile, func(p float64) float64 { z := num.NormalQuantile(p); return math.Exp(-z*z/2) / math.Sqrt(2*math.Pi) }},
		num.CloglogLink: {func(p float64) float64 { return math.Log(-math.Log(1 - p)) }, func(p float64) float64 { return -(1 - p) * math.Log(1-p) }},
	} {
		res := mustFit(t, GLM{Link: link}, f)
		eta, slope := of[0], of[1]
		reftest.Agree(t, string(link), res.Estimates[1].Value, eta(p[1])-eta(p[0]), 12)
		var v, ame float64
		for g := range p {
			v += p[g] * (1 - p[g]) / n[g] / (slope(p[g]) * slope(p[g]))
			ame += n[g] / 9 * slope(p[g])
		}
		reftest.Agree(t, string(link)+" se", res.Estimates[1].SE, math.Sqrt(v), 12)
		reftest.Agree(t, string(link)+" marginal", res.Details["average_marginal_effects"].(map[string]float64)["x"], ame*res.Estimates[1].Value, 12)
	}
	// M38: the other outcome negates the coefficients. Trials: the same shares.
	a := mustFit(t, GLM{}, f)
	g := *f
	g.Y = nil
	for _, y := range f.Y {
		g.Y = append(g.Y, 1-y)
	}
	b := mustFit(t, GLM{}, &g)
	h := groups([]float64{0.25}, []float64{0.8})
	h.Unit = []string{"a", "b"}
	h.X = mat.NewDense(3, 1, []float64{0, 1, 1})
	h.Y, h.Unit = []float64{0.25, 1, 0.75}, []string{"a", "b", "c"}
	c := mustFitQuasi(t, GLM{Trials: []float64{4, 1, 4}}, h)
	for j := range 2 {
		reftest.Agree(t, "flipped", b.Estimates[j].Value, -a.Estimates[j].Value, 12)
		reftest.Agree(t, "trials", c.Estimates[j].Value, a.Estimates[j].Value, 12)
		reftest.Agree(t, "trials se", c.Estimates[j].SE, a.Estimates[j].SE, 12)
	}
	// log C(4,1) and log C(4,3) are what the shares of several trials add.
	reftest.Agree(t, "trials logLik", c.Details["logLik"].(float64), a.Details["logLik"].(float64)+2*math.Log(4), 12)
}

// gaussian with identity is least squares, of every kind of error; with log the mean
// of each group is e^η and, for two groups, the error of the slope by the delta method.
func TestGLMGaussian(t *testing.T) {
	f := simFrame(5, 1, 12, 7, 2, 0.5)
	for _, vcov := range []Vcov{HC0, HC3, HC4, CR1, CR3, Jackknife} {
		g := *f
		if !vcov.clustered() {
			g.Cluster = nil
		}
		a, b := mustFit(t, GLM{Family: num.Gaussian, Vcov: vcov}, &g), mustFit(t, OLS{Vcov: vcov}, &g)
		for j := range a.Estimates {
			reftest.Agree(t, string(vcov), a.Estimates[j].Value, b.Estimates[j].Value, 12)
			reftest.Agree(t, string(vcov)+" se", a.Estimates[j].SE, b.Estimates[j].SE, 11)
			reftest.Agree(t, string(vcov)+" df", a.Estimates[j].Test.DF, b.Estimates[j].Test.DF, 12)
		}
	}
	g := *f
	g.Cluster = nil
	a, b := mustFit(t, GLM{Family: num.Gaussian}, &g), mustFit(t, OLS{}, &g)
	reftest.Agree(t, "iid", a.Estimates[2].SE, b.Estimates[2].SE, 12)
	h := groups([]float64{1, 3}, []float64{2, 4, 6})
	a, b = mustFit(t, GLM{Family: num.Gaussian, Link: num.LogLink, Vcov: HC1}, h), mustFit(t, OLS{Vcov: HC1, NoIntercept: true}, withBoth(h))
	reftest.Agree(t, "log link", a.Estimates[1].Value, math.Log(2), 12)
	reftest.Agree(t, "log link se", a.Estimates[1].SE, math.Hypot(b.Estimates[0].SE/2, b.Estimates[1].SE/4), 12)
}

// withBoth has a dummy for each group.
func withBoth(f *estimate.Frame) *estimate.Frame {
	g := *f
	g.XNames, g.X = []string{"zero", "one"}, mat.NewDense(len(f.Y), 2, nil)
	for i := range f.Y {
		g.X.SetRow(i, []float64{1 - f.X.At(i, 0), f.X.At(i, 0)})
	}
	return &g
}

// M30, M31, M49: frequency weights are copies for every covariance; sampling weights
// have no unit; Poisson on rows is Poisson on cells with the log of their size.
func TestGLMWeights(t *testing.T) {
	f := counts(8, 60, 0)
	w := *f
	w.Weight = estimate.Weights{Kind: estimate.Frequency}
	copies := &estimate.Frame{Level: 0.95, XNames: f.XNames}
	var x []float64
	for i := range f.Y {
		k := 1 + i%3
		w.Weight.Values = append(w.Weight.Values, float64(k))
		for c := range k {
			copies.Y, copies.Cluster = append(copies.Y, f.Y[i]), append(copies.Cluster, f.Cluster[i])
			copies.Unit = append(copies.Unit, f.Unit[i]+"."+strconv.Itoa(c))
			x = append(x, f.X.RawRowView(i)...)
		}
	}
	copies.X = mat.NewDense(len(copies.Y), 2, x)
	for _, family := range []num.GLMFamily{num.Poisson, num.Gaussian} {
		for _, vcov := range []Vcov{IID, HC0, HC1, HC2, HC3, HC4, CR0, CR1, CR2, CR3} {
			a, b := w, *copies
			if !vcov.clustered() {
				a.Cluster, b.Cluster = nil, nil
			}
			ra, rb := mustFitQuasi(t, GLM{Family: family, Vcov: vcov}, &a), mustFitQuasi(t, GLM{Family: family, Vcov: vcov}, &b)
			for j := range ra.Estimates {
				what := string(family) + " " + string(vcov)
				reftest.Agree(t, what, ra.Estimates[j].Value, rb.Estimates[j].Value, 11)
				reftest.Agree(t, what+" se", ra.Estimates[j].SE, rb.Estimates[j].SE, 9)
				reftest.Agree(t, what+" df", ra.Estimates[j].Test.DF, rb.Estimates[j].Test.DF, 7)
			}
			reftest.Agree(t, "logLik", ra.Details["logLik"].(float64), rb.Details["logLik"].(float64), 11)
			reftest.Agree(t, "null deviance", ra.Details["null_deviance"].(float64), rb.Details["null_deviance"].(float64), 11)
		}
	}
	s := w
	s.Weight.Kind = estimate.Sampling
	a := mustFit(t, GLM{Family: num.Poisson}, &s)
	double := s
	double.Weight.Values = nil
	for _, v := range s.Weight.Values {
		double.Weight.Values = append(double.Weight.Values, 7*v)
	}
	b := mustFit(t, GLM{Family: num.Poisson}, &double)
	reftest.Agree(t, "unit of weights", a.Estimates[1].SE, b.Estimates[1].SE, 11)
	if !math.IsNaN(a.Details["logLik"].(float64)) || !hasNote(a, "no-likelihood") {
		t.Error("sampling weights have no likelihood")
	}
	if _, err := (GLM{Vcov: IID, Family: num.Poisson}).Fit(t.Context(), &s); !errors.Is(err, ErrOption) && !errors.Is(err, estimate.ErrWeights) {
		t.Errorf("iid with sampling weights: %v", err)
	}

	rows := groups([]float64{1, 0, 3, 2, 2}, []float64{4, 1, 2})
	cells := groups([]float64{8}, []float64{7})
	offset := []float64{math.Log(5), math.Log(3)}
	cells.Y, cells.Unit, cells.X = []float64{4, 4, 7}, []string{"a", "b", "c"}, mat.NewDense(3, 1, []float64{0, 0, 1})
	offset = []float64{math.Log(3), math.Log(2), offset[1]}
	ra, rb := mustFit(t, GLM{Family: num.Poisson}, rows), mustFit(t, GLM{Family: num.Poisson, Offset: offset}, cells)
	for j := range 2 {
		reftest.Agree(t, "cells", rb.Estimates[j].Value, ra.Estimates[j].Value, 12)
		reftest.Agree(t, "cells se", rb.Estimates[j].SE, ra.Estimates[j].SE, 12)
	}
	// The null model with an offset has rate 15/8.
	null := 0.0
	for i, y := range cells.Y {
		mu := 15.0 / 8 * math.Exp(offset[i])
		null += 2 * (y*math.Log(y/mu) - (y - mu))
	}
	reftest.Agree(t, "null deviance with offset", rb.Details["null_deviance"].(float64), null, 11)
}

// M36, M46: a collinear column is left out with a note; centring moves only the
// intercept. Workers and order of rows change nothing that matters.
func TestGLMMetamorphic(t *testing.T) {
	f := counts(4, 300, 2)
	for _, family := range []num.GLMFamily{num.Poisson, num.NegBin} {
		a := mustFit(t, GLM{Family: family, Vcov: CR1}, f)
		g := *f
		g.XNames, g.X = []string{"x1", "twice", "x2"}, mat.NewDense(300, 3, nil)
		h := *f
		h.X = mat.DenseCopyOf(f.X)
		for i := range 300 {
			g.X.SetRow(i, []float64{f.X.At(i, 0), 2*f.X.At(i, 0) - 1, f.X.At(i, 1)})
			h.X.Set(i, 0, f.X.At(i, 0)-1000)
		}
		b, c := mustFit(t, GLM{Family: family, Vcov: CR1}, &g), mustFit(t, GLM{Family: family, Vcov: CR1}, &h)
		if !hasNote(b, "collinear-dropped") || !math.IsNaN(b.Estimates[2].Value) {
			t.Errorf("collinear: %v", b.Estimates)
		}
		reftest.Agree(t, "collinear", b.Estimates[3].Value, a.Estimates[2].Value, 10)
		reftest.Agree(t, "collinear se", b.Estimates[3].SE, a.Estimates[2].SE, 9)
		reftest.Agree(t, "centred", c.Estimates[1].Value, a.Estimates[1].Value, 9)
		reftest.Agree(t, "centred se", c.Estimates[1].SE, a.Estimates[1].SE, 8)
		for _, w := range []int{1, 5} {
			d := mustFit(t, GLM{Family: family, Vcov: CR1, Workers: w}, f)
			if d.Estimates[1].Value != a.Estimates[1].Value || d.Estimates[1].SE != a.Estimates[1].SE {
				t.Error("workers change a bit")
			}
		}
	}
}

// Every way in which no number can be given, and the terms of a separation.
func TestGLMErrors(t *testing.T) {
	f := groups([]float64{0, 1, 0, 1}, []float64{0, 1, 1})
	g := *f
	g.XNames, g.X = []string{"x", "splits"}, mat.NewDense(7, 2, nil)
	for i := range 7 {
		g.X.SetRow(i, []float64{f.X.At(i, 0), 3 * f.Y[i]})
	}
	_, err := GLM{}.Fit(t.Context(), &g)
	if !errors.Is(err, estimate.ErrSeparated) || !strings.Contains(err.Error(), "splits") || strings.Contains(err.Error(), "along x") {
		t.Errorf("separation: %v", err)
	}
	// Counts that are all 0 where x = 1.
	_, err = GLM{Family: num.Poisson}.Fit(t.Context(), groups([]float64{1, 2, 0, 3}, []float64{0, 0, 0}))
	if !errors.Is(err, estimate.ErrSeparated) || !strings.Contains(err.Error(), "along x") {
		t.Errorf("Poisson separation: %v", err)
	}
	sampling := *f
	sampling.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{2}, 7)}
	negative := groups([]float64{1, -1, 2}, []float64{2, 3})
	for name, c := range map[string]struct {
		g    GLM
		f    *estimate.Frame
		want error
	}{
		"family":           {GLM{Family: "gamma"}, f, ErrOption},
		"link":             {GLM{Family: num.Poisson, Link: num.ProbitLink}, f, ErrOption},
		"wild":             {GLM{Vcov: Wild}, withClusters(f), ErrOption},
		"no clusters":      {GLM{Vcov: CR2}, f, ErrOption},
		"trials":           {GLM{Family: num.Poisson, Trials: slices.Repeat([]float64{1}, 7)}, f, ErrOption},
		"zero trials":      {GLM{Trials: make([]float64, 7)}, f, estimate.ErrInvalidFrame},
		"offset":           {GLM{Offset: []float64{1}}, f, ErrOption},
		"offset NaN":       {GLM{Offset: slices.Repeat([]float64{math.NaN()}, 7)}, f, estimate.ErrInvalidFrame},
		"pearson and hc1":  {GLM{Vcov: HC1, Pearson: true}, f, ErrOption},
		"pearson, gauss":   {GLM{Family: num.Gaussian, Pearson: true}, f, ErrOption},
		"iid and sampling": {GLM{Vcov: IID}, &sampling, estimate.ErrWeights},
		"all 0":            {GLM{}, groups([]float64{0, 0, 0}, []float64{0, 0}), estimate.ErrNotIdentified},
		"all 0 counts":     {GLM{Family: num.Poisson}, groups([]float64{0, 0, 0}, []float64{0, 0}), estimate.ErrNotIdentified},
		"negative count":   {GLM{Family: num.Poisson}, negative, estimate.ErrInvalidFrame},
		"outcome 2":        {GLM{}, groups([]float64{1, 0, 2}, []float64{1, 0}), estimate.ErrInvalidFrame},
		"too few":          {GLM{Family: num.Poisson}, groups([]float64{1}, []float64{2}), estimate.ErrTooFew},
	} {
		if res, err := c.g.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func withClusters(f *estimate.Frame) *estimate.Frame {
	g := *f
	g.Cluster = make([]int, len(f.Y))
	for i := range g.Cluster {
		g.Cluster[i] = i % 3
	}
	return &g
}

// clubSandwich 0.5.8 on R 4.2.2 (glm, MASS::glm.nb): cr2 with the variance of the family
// as working covariance, and Satterthwaite's degrees of freedom.
func TestGLMAgainstClubSandwich(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x", "z"}, X: mat.NewDense(36, 2, nil)}
	for i := 1; i <= 36; i++ {
		z := 0.0
		if (i*5)%7 > 3 {
			z = 1
		}
		f.X.SetRow(i-1, []float64{float64((i*37)%11) / 3, z})
		f.Y, f.Unit, f.Cluster = append(f.Y, float64((i*i*7)%13)), append(f.Unit, strconv.Itoa(i)), append(f.Cluster, i%6)
	}
	binary := *f
	binary.Y = nil
	for _, y := range f.Y {
		v := 0.0
		if y > 5 {
			v = 1
		}
		binary.Y = append(binary.Y, v)
	}
	for _, c := range []struct {
		family num.GLMFamily
		frame  *estimate.Frame
		digits reftest.Digits
		se, df []float64
	}{
		{num.Poisson, f, 8, []float64{0.104357851395121728, 0.083845702953415382, 0.176718465741969671}, []float64{4.7049628151178622, 4.9470870718052771, 4.9428156848200926}},
		{num.NegBin, f, 7, []float64{0.101062558395810909, 0.082516082489734133, 0.174891518407409990}, []float64{4.7132698857532880, 4.9476695662478036, 4.9404109710575064}},
		{num.Binomial, &binary, 10, []float64{0.48562619929862194, 0.39843440069202235, 0.93147198066900627}, []float64{4.7252378006445550, 4.9459485379857417, 4.9390886138665060}},
	} {
		for j, e := range mustFit(t, GLM{Family: c.family, Vcov: CR2}, c.frame).Estimates {
			reftest.Agree(t, string(c.family)+" cr2", e.SE, c.se[j], c.digits)
			reftest.Agree(t, string(c.family)+" df", e.Test.DF, c.df[j], 7)
		}
	}
}

// Shares and amounts have a mean that poisson can model and no probability as counts: R 4.2.2
// glm gives them AIC Inf. Doubled counts keep their slope.
func TestGLMOutcomeThatIsNoCount(t *testing.T) {
	whole, half := groups([]float64{1, 3}, []float64{2, 4, 7}), groups([]float64{0.5, 1.5}, []float64{1, 2, 3.5})
	a, b := mustFit(t, GLM{Family: num.Poisson}, whole), mustFitQuasi(t, GLM{Family: num.Poisson}, half)
	reftest.Agree(t, "slope", b.Estimates[1].Value, a.Estimates[1].Value, 13)
	if hasNote(a, "outcome-not-counts") || !hasNote(b, "outcome-not-counts") || !math.IsNaN(b.Details["logLik"].(float64)) || !math.IsNaN(b.Details["bic"].(float64)) {
		t.Errorf("notes %v, %v, logLik %v", a.Notes, b.Notes, b.Details["logLik"])
	}
}
