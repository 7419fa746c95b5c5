package effect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// tiny is x = 0, 1, 2, 3 with y = 0, 2, 1, 5: x̄ = 3/2, Sxx = 5, ȳ = 2, Sxy = 7, so
// that the slope is 7/5, the intercept -1/10, and the residuals are 1/10, 7/10,
// -17/10, 9/10 with RSS = 21/5.
func tiny() *estimate.Frame {
	return &estimate.Frame{Unit: []string{"a", "b", "c", "d"}, Y: []float64{0, 2, 1, 5}, X: mat.NewDense(4, 1, []float64{0, 1, 2, 3}), XNames: []string{"x"}, Level: 0.95}
}

// By hand, for the slope with deviations d = -3/2, -1/2, 1/2, 3/2 and leverages
// h = 1/4 + d²/5 = 7/10, 3/10, 3/10, 7/10:
//
//	iid  (21/5/2)/5 = 21/50
//	hc0  Σd²e²/25 = (9/4·(1+81) + 1/4·(49+289))/100/25 = 269/2500
//	hc1  4/2·hc0 = 269/1250
//	hc2  Σd²e²/(1-h)/25 = (9/4·82/100·10/3 + 1/4·338/100·10/7)/25 = 103/350
//	hc3  the same with (1-h)²: (9/4·82/100·100/9 + 1/4·338/100·100/49)/25 = 1089/1225
//
// Clusters {a,b}, {c,d}: Σde = -3/20-7/20 = -1/2 and -17/20+27/20 = 1/2, so that
// cr0 = (1/4+1/4)/25 = 1/50 and cr1 = 2·3/2·cr0 = 3/50.
func TestOLSByHand(t *testing.T) {
	f := tiny()
	res := mustFit(t, OLS{}, f)
	if res.Estimates[0].Term != "(intercept)" || res.Estimates[1].Term != "x" || res.Estimates[1].Measure != estimate.Coefficient {
		t.Fatalf("terms %v", res.Estimates)
	}
	reftest.Agree(t, "intercept", res.Estimates[0].Value, -0.1, 14)
	reftest.Agree(t, "slope", res.Estimates[1].Value, 1.4, 14)
	reftest.Agree(t, "sigma", res.Details["sigma"].(float64), math.Sqrt(2.1), 14)
	reftest.Agree(t, "R²", res.Details["r_squared"].(float64), 1-4.2/14, 14)
	reftest.Agree(t, "adjusted R²", res.Details["adj_r_squared"].(float64), 1-0.3*3/2, 14)
	if res.Details["rank"] != 2 || res.Details["vcov"] != vcovText[IID] {
		t.Errorf("details %v", res.Details)
	}
	for vcov, want := range map[Vcov]float64{IID: 21.0 / 50, HC0: 269.0 / 2500, HC1: 269.0 / 1250, HC2: 103.0 / 350, HC3: 1089.0 / 1225} {
		e := mustFit(t, OLS{Vcov: vcov}, f).Estimates[1]
		reftest.Agree(t, string(vcov), e.SE*e.SE, want, 13)
		if e.Test.DF != 2 {
			t.Errorf("%s: %g degrees of freedom", vcov, e.Test.DF)
		}
	}
	f.Cluster = []int{0, 0, 1, 1}
	for vcov, want := range map[Vcov]float64{CR0: 1.0 / 50, CR1: 3.0 / 50, "": 3.0 / 50} {
		e := mustFit(t, OLS{Vcov: vcov}, f).Estimates[1]
		reftest.Agree(t, "clustered "+string(vcov), e.SE*e.SE, want, 13)
		if e.Test.DF != 1 {
			t.Errorf("%s: %g degrees of freedom", vcov, e.Test.DF)
		}
	}
	// Without an intercept: Σxy/Σx² = 19/14.
	reftest.Agree(t, "no intercept", func() float64 {
		res, err := OLS{NoIntercept: true, Vcov: HC0}.Fit(t.Context(), f)
		if err != nil || len(res.Estimates) != 1 {
			t.Fatal(err)
		}
		return res.Estimates[0].Value
	}(), 19.0/14, 14)
}

// clubFrame is the cohort of the clubSandwich numbers below.
func clubFrame(n int, cluster func(i int) int) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 2, nil), XNames: []string{"x", "z"}}
	for i := 1; i <= n; i++ {
		x, z := float64((i*37)%11)/3, 0.0
		if (i*5)%7 > 3 {
			z = 1
		}
		c := cluster(i)
		f.Unit = append(f.Unit, fmt.Sprint(i))
		f.X.SetRow(i-1, []float64{x, z})
		f.Y = append(f.Y, 1+0.5*x-z+float64((i*29)%13)/5+float64(c)/2)
		f.Cluster = append(f.Cluster, c)
	}
	return f
}

func clubWeights(n int, kind estimate.WeightKind) estimate.Weights {
	w := estimate.Weights{Kind: kind}
	for i := 1; i <= n; i++ {
		w.Values = append(w.Values, float64(1+(i*3)%4))
	}
	return w
}

// clubSandwich 0.5.8 (vcovCR, coef_test) and sandwich 3.0-2 on R 4.2.2: without
// weights, with weights (identity working covariance), and on a data set with the
// rows repeated. One cluster has one row; in the last case the clusters are larger
// than twice the number of columns.
func TestOLSAgainstClubSandwich(t *testing.T) {
	f := clubFrame(24, func(i int) int {
		if i == 24 {
			return 5
		}
		return i * 7 % 5
	})
	big := clubFrame(60, func(i int) int { return i % 3 })
	big.Weight = clubWeights(60, estimate.Sampling)
	for _, c := range []struct {
		kind   estimate.WeightKind
		frame  *estimate.Frame
		vcov   Vcov
		se, df []float64
	}{
		{"", f, CR0, []float64{0.44425012197160102, 0.15686553113956531, 0.38756163899908697}, nil},
		{"", f, CR2, []float64{0.52041287878625886, 0.18612776482607415, 0.44376345319512489}, []float64{3.6416638292978449, 3.8588519100015120, 4.0968352413436673}},
		{"", f, CR3, []float64{0.61101517784574000, 0.22259869665950729, 0.51162549485257669}, nil},
		{estimate.Sampling, f, CR0, []float64{0.57088507769313201, 0.21315156025218640, 0.47745531886660980}, nil},
		{estimate.Sampling, f, CR2, []float64{0.69292349053545899, 0.26574880048193422, 0.55495246699377532}, []float64{3.0307328502950406, 3.6547718123730055, 3.6046728906264387}},
		{estimate.Matching, f, CR3, []float64{0.81741380499336158, 0.31580916866778680, 0.65603595870574616}, nil},
		{estimate.Frequency, f, CR1, []float64{0.63625014187203766, 0.23755693702612113, 0.53212288468631319}, nil},
		{estimate.Frequency, f, CR2, []float64{0.68230141801731570, 0.25916718391008658, 0.55779122830125105}, []float64{3.3874296801814521, 3.8089742617523181, 3.8075098151776210}},
		{estimate.Frequency, f, CR3, []float64{0.81741380499336180, 0.31580916866778680, 0.65603595870574605}, nil},
		{estimate.Frequency, f, HC0, []float64{0.25384603540139417, 0.12867544339959480, 0.27781258436296791}, nil},
		{estimate.Frequency, f, HC1, []float64{0.26044053708447246, 0.13201821937294306, 0.28502969749323565}, nil},
		{estimate.Frequency, f, HC2, []float64{0.26017184447229436, 0.13234802349497105, 0.28488048899055018}, nil},
		{estimate.Frequency, f, HC3, []float64{0.26669945851876370, 0.13615066298510389, 0.29216764652865723}, nil},
		{estimate.Sampling, big, CR2, []float64{0.365639612250017898, 0.068524364983995806, 0.157271155736278867}, []float64{1.9880281860219258, 1.9874719343438483, 1.9992425289215363}},
	} {
		g := *c.frame
		if c.kind != "" {
			g.Weight = clubWeights(len(g.Y), c.kind)
		}
		res := mustFit(t, OLS{Vcov: c.vcov}, &g)
		for j, e := range res.Estimates {
			what := fmt.Sprintf("%s %s %s", c.kind, c.vcov, e.Term)
			reftest.Agree(t, what, e.SE, c.se[j], 11)
			if c.df != nil {
				reftest.Agree(t, what+" df", e.Test.DF, c.df[j], 10)
			}
		}
	}
}

// The joint identities of the covariances: each cluster one row makes cr0 = hc0,
// cr1 = N/(N-1)·(N-1)/(N-K)·hc0 = hc1, cr2 = hc2 and cr3 = hc3; the influence function
// gives hc0 and cr0.
func TestOLSIdentities(t *testing.T) {
	f := simFrame(1, 1, 40, 5, 3, 0.5)
	clusters := f.Cluster
	for j := range 4 {
		res := mustFit(t, OLS{Vcov: CR0}, f)
		reftest.Agree(t, "influence by cluster", clusterVar(res, clusters, j), res.Cov.At(j, j), 12)
		res = mustFit(t, OLS{Vcov: HC0}, f)
		reftest.Agree(t, "influence by row", clusterVar(res, nil, j), res.Cov.At(j, j), 12)
	}
	f.Cluster = make([]int, len(f.Y))
	for i := range f.Cluster {
		f.Cluster[i] = len(f.Y) - i
	}
	for hc, cr := range map[Vcov]Vcov{HC0: CR0, HC1: CR1, HC2: CR2, HC3: CR3} {
		a, b := mustFit(t, OLS{Vcov: hc}, f), mustFit(t, OLS{Vcov: cr}, f)
		for i := range 4 {
			for j := range 4 {
				reftest.Near(t, string(cr), b.Cov.At(i, j)/math.Sqrt(a.Cov.At(i, i)*a.Cov.At(j, j)), a.Cov.At(i, j)/math.Sqrt(a.Cov.At(i, i)*a.Cov.At(j, j)), 1e-11)
			}
		}
	}
	// The influence is the derivative: with row i at weight 1+ε the estimate moves by ε·influence.
	res := mustFit(t, OLS{Vcov: HC0}, f)
	for _, i := range []int{0, 57, 199} {
		g := *f
		g.Weight = estimate.Weights{Kind: estimate.Sampling, Values: slices.Repeat([]float64{1}, len(f.Y))}
		g.Weight.Values[i] += 1e-6
		moved := mustFit(t, OLS{Vcov: HC0}, &g)
		reftest.Agree(t, "derivative", (moved.Estimates[2].Value-res.Estimates[2].Value)/1e-6, res.Influence.At(i, 2), 4)
	}
}

func TestOLSMetamorphic(t *testing.T) {
	f := simFrame(2, 1, 35, 6, 3, 0.7)
	f.Weight = estimate.Weights{Kind: estimate.Sampling}
	for i := range f.Y {
		f.Weight.Values = append(f.Weight.Values, float64(1+i%4))
	}
	for _, vcov := range []Vcov{HC0, HC1, HC2, HC3, CR0, CR1, CR2, CR3} {
		o := OLS{Vcov: vcov}
		base := mustFit(t, o, f)
		same := func(what string, g *estimate.Frame, shift, scale float64) {
			t.Helper()
			res := mustFit(t, o, g)
			for j, e := range res.Estimates {
				want := base.Estimates[j].Value * scale
				if j == 0 {
					want += shift
				}
				reftest.Agree(t, fmt.Sprintf("%s %s %s", vcov, what, e.Term), e.Value, want, 10)
				reftest.Agree(t, fmt.Sprintf("%s %s se %s", vcov, what, e.Term), e.SE, base.Estimates[j].SE*scale, 9)
				reftest.Agree(t, fmt.Sprintf("%s %s df %s", vcov, what, e.Term), e.Test.DF, base.Estimates[j].Test.DF, 8)
			}
		}
		mapped := func(y func(i int, v float64) float64, w func(v float64) float64) *estimate.Frame {
			g := *f
			g.Y, g.Weight.Values = slices.Clone(f.Y), slices.Clone(f.Weight.Values)
			for i := range g.Y {
				g.Y[i] = y(i, g.Y[i])
				g.Weight.Values[i] = w(g.Weight.Values[i])
			}
			return &g
		}
		keep := func(v float64) float64 { return v }
		same("M24", mapped(func(_ int, v float64) float64 { return v + 1000 }, keep), 1000, 1)
		same("M27", mapped(func(_ int, v float64) float64 { return 3.7 * v }, keep), 0, 3.7)
		same("M31", mapped(func(_ int, v float64) float64 { return v }, func(w float64) float64 { return 0.01 * w }), 0, 1)

		order := make([]int, len(f.Y)) // M1
		for i := range order {
			order[i] = (i*97 + 13) % len(order)
		}
		same("M1", take(f, order), 0, 1)

		extra := *f // M36
		extra.X = mat.NewDense(len(f.Y), 5, nil)
		for i := range f.Y {
			x := f.X.RawRowView(i)
			extra.X.SetRow(i, []float64{x[0], x[1], x[2], 4, x[0] - 2*x[1]})
		}
		extra.XNames = []string{"x1", "x2", "x3", "four", "mix"}
		res := mustFit(t, o, &extra)
		for j := range 4 {
			reftest.Agree(t, "M36", res.Estimates[j].Value, base.Estimates[j].Value, 11)
			reftest.Agree(t, "M36 se", res.Estimates[j].SE, base.Estimates[j].SE, 10)
		}
		if !hasNote(res, "collinear-dropped") || !math.IsNaN(res.Estimates[4].Value) || !math.IsNaN(res.Estimates[5].SE) || hasNote(base, "collinear-dropped") {
			t.Errorf("M36: notes %v", res.Notes)
		}
		narrow := *f // M37
		narrow.Level = 0.9
		for j, e := range mustFit(t, o, &narrow).Estimates {
			if !(e.CI.Lo > base.Estimates[j].CI.Lo && e.CI.Hi < base.Estimates[j].CI.Hi) {
				t.Errorf("M37: %v outside %v", e.CI, base.Estimates[j].CI)
			}
		}
	}
}

// M30: an integer frequency weight is so many copies, for every covariance.
func TestOLSFrequencyWeightsAreCopies(t *testing.T) {
	f := simFrame(3, 1, 32, 4, 2, 0.5)
	f.Weight = estimate.Weights{Kind: estimate.Frequency}
	var rows []int
	for i := range f.Y {
		w := i % 4
		f.Weight.Values = append(f.Weight.Values, float64(w))
		for range w {
			rows = append(rows, i)
		}
	}
	g := take(f, rows)
	g.Weight = estimate.Weights{}
	for i := range g.Unit {
		g.Unit[i] = fmt.Sprint(i)
	}
	for _, vcov := range []Vcov{IID, HC0, HC1, HC2, HC3, CR0, CR1, CR2, CR3} {
		a, b := mustFit(t, OLS{Vcov: vcov}, f), mustFit(t, OLS{Vcov: vcov}, g)
		for j := range a.Estimates {
			reftest.Agree(t, string(vcov), a.Estimates[j].Value, b.Estimates[j].Value, 12)
			reftest.Agree(t, string(vcov)+" se", a.Estimates[j].SE, b.Estimates[j].SE, 11)
			reftest.Agree(t, string(vcov)+" df", a.Estimates[j].Test.DF, b.Estimates[j].Test.DF, 9)
		}
		for _, key := range []string{"sigma", "r_squared", "adj_r_squared"} {
			reftest.Agree(t, key, a.Details[key].(float64), b.Details[key].(float64), 11)
		}
		if a.N.Units != b.N.Units || !hasNote(a, "rows-without-weight") {
			t.Errorf("%d and %d units, notes %v", a.N.Units, b.N.Units, a.Notes)
		}
	}
}

func TestOLSErrors(t *testing.T) {
	base := simFrame(4, 1, 10, 4, 2, 0)
	lone := simFrame(4, 1, 10, 4, 2, 0)
	for i := range lone.Y {
		lone.X.Set(i, 1, 0)
	}
	lone.X.Set(7, 1, 1)
	weights := func(kind estimate.WeightKind, v float64) *estimate.Frame {
		g := *base
		g.Weight = estimate.Weights{Kind: kind, Values: slices.Repeat([]float64{v}, len(g.Y))}
		return &g
	}
	oneCluster, unclustered := *base, *base
	oneCluster.Cluster = make([]int, len(base.Y))
	unclustered.Cluster = nil
	few := take(base, []int{0, 1, 4})
	codes := base.Cluster
	for name, c := range map[string]struct {
		o    OLS
		f    *estimate.Frame
		want error
	}{
		"unknown vcov":            {OLS{Vcov: "hc9"}, base, ErrOption},
		"wild and too few draws":  {OLS{Vcov: Wild, Wild: WildBootstrap{Replicates: 3}}, base, ErrOption},
		"clusters missing":        {OLS{Vcov: CR1}, &unclustered, ErrOption},
		"one cluster":             {OLS{Vcov: CR1}, &oneCluster, estimate.ErrTooFew},
		"iid with sampling":       {OLS{Vcov: IID}, weights(estimate.Sampling, 2), estimate.ErrWeights},
		"iid with matching":       {OLS{Vcov: IID}, weights(estimate.Matching, 2), estimate.ErrWeights},
		"half a copy":             {OLS{}, weights(estimate.Frequency, 1.5), estimate.ErrWeights},
		"unknown kind":            {OLS{}, weights("analytic", 1), estimate.ErrWeights},
		"all weights 0":           {OLS{}, weights(estimate.Sampling, 0), estimate.ErrTooFew},
		"no residual":             {OLS{Vcov: HC1}, few, estimate.ErrTooFew},
		"leverage 1":              {OLS{Vcov: HC3}, lone, estimate.ErrNotIdentified},
		"cluster with leverage 1": {OLS{Vcov: CR3}, lone, estimate.ErrNotIdentified},
		"absorb without name":     {OLS{Absorb: [][]int{codes}}, base, ErrOption},
		"absorb of other length":  {OLS{Absorb: [][]int{{1}}, AbsorbNames: []string{"a"}}, base, ErrOption},
		"two absorbed and hc3":    {OLS{Vcov: HC3, Absorb: [][]int{codes, codes}, AbsorbNames: []string{"a", "b"}}, base, ErrOption},
		"absorb, no intercept":    {OLS{NoIntercept: true, Absorb: [][]int{codes}, AbsorbNames: []string{"a"}}, base, ErrOption},
		"invalid frame":           {OLS{}, &estimate.Frame{}, estimate.ErrInvalidFrame},
	} {
		res, err := c.o.Fit(t.Context(), c.f)
		if res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// hc1 and cr1 still stand where a row has leverage 1.
	mustFit(t, OLS{Vcov: HC1}, lone)
	if res := mustFit(t, OLS{}, base); !hasNote(res, "few-clusters") || res.Details["vcov"] != vcovText[CR1] {
		t.Errorf("10 clusters: notes %v, %v", res.Notes, res.Details["vcov"])
	}
	if res := mustFit(t, OLS{}, weights(estimate.Sampling, 2)); res.Details["vcov"] != vcovText[CR1] {
		t.Errorf("default %v", res.Details["vcov"])
	}
}

// The frame is read-only.
func TestFitLeavesTheFrameAlone(t *testing.T) {
	f := simFrame(5, 1, 31, 2, 2, 0.3)
	f.Weight = estimate.Weights{Kind: estimate.Matching, Values: slices.Repeat([]float64{2}, len(f.Y))}
	y, x, w := slices.Clone(f.Y), slices.Clone(f.X.RawMatrix().Data), slices.Clone(f.Weight.Values)
	mustFit(t, OLS{Absorb: [][]int{f.Cluster}, AbsorbNames: []string{"c"}, Vcov: CR1}, f)
	mustFit(t, Regression{Interactions: true}, f)
	if !slices.Equal(y, f.Y) || !slices.Equal(x, f.X.RawMatrix().Data) || !slices.Equal(w, f.Weight.Values) {
		t.Error("Fit changed its input")
	}
}

func hasNote(res *estimate.Result, code string) bool {
	for _, n := range res.Notes {
		if n.Code == code {
			return true
		}
	}
	return false
}

// take returns the rows of a frame.
func take(f *estimate.Frame, rows []int) *estimate.Frame {
	g := &estimate.Frame{Level: f.Level, XNames: f.XNames, Weight: estimate.Weights{Kind: f.Weight.Kind}}
	if f.X != nil {
		g.X = mat.NewDense(len(rows), len(f.XNames), nil)
	}
	for i, r := range rows {
		g.Unit, g.Y = append(g.Unit, f.Unit[r]), append(g.Y, f.Y[r])
		if f.X != nil {
			g.X.SetRow(i, f.X.RawRowView(r))
		}
		if f.Treated != nil {
			g.Treated = append(g.Treated, f.Treated[r])
		}
		if f.Weight.Values != nil {
			g.Weight.Values = append(g.Weight.Values, f.Weight.Values[r])
		}
		if f.Set != nil {
			g.Set = append(g.Set, f.Set[r])
		}
		if f.Cluster != nil {
			g.Cluster = append(g.Cluster, f.Cluster[r])
		}
	}
	return g
}
