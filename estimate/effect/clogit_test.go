package effect

import (
	"errors"
	"math"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// casePairs has a pair for each of n01, n10 and n00 + n11, of which the event row is
// exposed in n10, the other row in n01.
func casePairs(n10, n01, same int) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x"}}
	var x []float64
	for p := range n10 + n01 + same {
		a, b := 1.0, 0.0
		switch {
		case p >= n10+n01:
			a, b = float64(p%2), float64(p%2)
		case p >= n10:
			a, b = 0, 1
		}
		x = append(x, a, b)
		f.Y, f.Set = append(f.Y, 1, 0), append(f.Set, p, p)
	}
	f.X = mat.NewDense(len(x), 1, x)
	for i := range x {
		f.Unit = append(f.Unit, strconv.Itoa(i))
	}
	return f
}

// Pairs: L = Π 1/(1+e^{-β}) over n10 and 1/(1+e^β) over n01: β = log(n10/n01), information
// n10·n01/(n10+n01); pairs alike say nothing. By pair the scores are 1-p and -p with
// p = n10/n: Σs² = n10·n01/n too, so that cr0 equals iid, and cr1 is 26/25·51/51 of it.
func TestCLogitPairsByHand(t *testing.T) {
	f := casePairs(12, 5, 9)
	res := mustFit(t, CLogit{}, f)
	e := res.Estimates[0]
	if e.Measure != estimate.LogOddsRatio || res.N.Sets != 26 || res.N.Events != 26 {
		t.Errorf("%v %v", e, res.N)
	}
	reftest.Agree(t, "log odds ratio", e.Value, math.Log(12.0/5), 12)
	reftest.Agree(t, "se", e.SE, math.Sqrt(1.0/12+1.0/5), 12)
	ll := res.Details["logLik"].([]float64)
	reftest.Agree(t, "null", ll[0], -26*math.Ln2, 13)
	reftest.Agree(t, "logLik", ll[1], 12*math.Log(12.0/17)+5*math.Log(5.0/17)-9*math.Ln2, 13)
	// McNemar's χ² is the score test.
	reftest.Agree(t, "score", res.Details["score"].(map[string]float64)["statistic"], 49.0/17, 12)
	reftest.Agree(t, "cr0", mustFit(t, CLogit{Vcov: CR0}, f).Estimates[0].SE, e.SE, 12)
	reftest.Agree(t, "cr1", mustFit(t, CLogit{Vcov: CR1}, f).Estimates[0].SE, e.SE*math.Sqrt(26.0/25), 12)
}

// Sets of 8 with 2 to 4 events: survival 3.5-3, clogit(method = "exact"), R 4.2.2.
func TestCLogitExact(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(40, 2, nil), XNames: []string{"x", "z"}}
	for i := range 40 {
		z, y := 0.0, 0.0
		if (i*5)%7 > 3 {
			z = 1
		}
		if (i*13+i/8)%5 < 2 {
			y = 1
		}
		f.X.SetRow(i, []float64{float64((i*37)%11) / 3, z})
		f.Y, f.Set, f.Unit = append(f.Y, y), append(f.Set, i/8), append(f.Unit, strconv.Itoa(i))
	}
	res := mustFit(t, CLogit{}, f)
	for j, want := range [][2]float64{{0.618944205003638226, 0.31356617395189795}, {-0.048708662401962186, 0.64599096000678902}} {
		reftest.Agree(t, "coefficient", res.Estimates[j].Value, want[0], 10)
		reftest.Agree(t, "se", res.Estimates[j].SE, want[1], 10)
	}
	ll := res.Details["logLik"].([]float64)
	reftest.Agree(t, "null", ll[0], -21.242476210246796, 13)
	reftest.Agree(t, "logLik", ll[1], -19.040003753492527, 13)

	// M36, M46: a column that does not vary within sets, and a common shift of one, change
	// nothing; flat sets are left out and counted; nor do workers and set numbers.
	g := *f
	g.XNames, g.X = []string{"x", "fixed", "z"}, mat.NewDense(40, 3, nil)
	g.Set = nil
	for i := range 40 {
		g.X.SetRow(i, []float64{f.X.At(i, 0) + 1e4, 1e5 + 0.1*float64(f.Set[i]), f.X.At(i, 1)})
		g.Set = append(g.Set, 100-f.Set[i])
	}
	b := mustFit(t, CLogit{Workers: 3}, &g)
	if !hasNote(b, "collinear-dropped") || !math.IsNaN(b.Estimates[1].Value) {
		t.Errorf("fixed within sets: %v", b.Estimates[1])
	}
	reftest.Agree(t, "shifted", b.Estimates[0].Value, res.Estimates[0].Value, 9)
	reftest.Agree(t, "shifted se", b.Estimates[2].SE, res.Estimates[1].SE, 9)
	h := *f
	h.Y = append([]float64(nil), f.Y...)
	for i := range 8 {
		h.Y[i] = 1
	}
	c := mustFit(t, CLogit{}, &h)
	if !hasNote(c, "sets-without-contrast") || c.N.Sets != 4 {
		t.Errorf("flat set: %v", c.N)
	}
}

// A set of 1,200 rows, 600 of them events, whose number of subsets is no float.
func TestCLogitLargeSet(t *testing.T) {
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(1200, 1, nil), XNames: []string{"x"}}
	for i := range 1200 {
		f.X.Set(i, 0, float64((i*i+7)%13))
		f.Y, f.Set, f.Unit = append(f.Y, float64((i*i*i+i/3)%2)), append(f.Set, 0), append(f.Unit, strconv.Itoa(i))
	}
	res := mustFit(t, CLogit{}, f)
	g := *f
	g.Set = nil
	full := mustFit(t, GLM{}, &g) // differs by the one nuisance parameter only
	if d := res.Estimates[0].Value - full.Estimates[1].Value; math.Abs(d) > 1e-3*full.Estimates[1].SE+0.002*math.Abs(full.Estimates[1].Value) {
		t.Errorf("conditional %g, unconditional %g", res.Estimates[0].Value, full.Estimates[1].Value)
	}
}

func TestCLogitErrors(t *testing.T) {
	f := casePairs(6, 3, 2)
	noSet, weighted, two, none := *f, *f, *f, *f
	noSet.Set = nil
	weighted.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, len(f.Y))}
	two.Y = append([]float64{2}, f.Y[1:]...)
	none.Y = make([]float64, len(f.Y))
	flat := *f
	flat.X = mat.NewDense(len(f.Y), 1, nil)
	for name, c := range map[string]struct {
		c    CLogit
		f    *estimate.Frame
		want error
	}{
		"no sets":        {CLogit{}, &noSet, estimate.ErrInvalidFrame},
		"weights":        {CLogit{}, &weighted, estimate.ErrWeights},
		"outcome 2":      {CLogit{}, &two, estimate.ErrInvalidFrame},
		"no event":       {CLogit{}, &none, estimate.ErrTooFew},
		"vcov":           {CLogit{Vcov: HC1}, f, ErrOption},
		"separated":      {CLogit{}, casePairs(6, 0, 3), estimate.ErrSeparated},
		"nothing varies": {CLogit{}, &flat, estimate.ErrCollinear},
	} {
		if res, err := c.c.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
