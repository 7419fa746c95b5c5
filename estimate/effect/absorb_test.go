package effect

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// panelFrame is an unbalanced panel with weights, codes for unit, period and a third
// set, and two slopes.
func panelFrame(seed uint64) (f *estimate.Frame, codes [3][]int) {
	s := num.NewStream(seed, "absorb test", 0)
	f = &estimate.Frame{Level: 0.95, XNames: []string{"x1", "x2"}, Weight: estimate.Weights{Kind: estimate.Sampling}}
	var x []float64
	for u := range 40 {
		for p := range 9 {
			if s.Bernoulli(0.45) { // sparse, so that the sweeps have work to do
				continue
			}
			a, b := s.Normal()+float64(u)/7, s.Normal()*float64(1+p)
			x = append(x, a, 1e4*b)
			f.Y = append(f.Y, 2*a-b+math.Sin(float64(u))*5+float64(p*p)+s.Normal())
			f.Weight.Values = append(f.Weight.Values, 0.5+s.Float())
			f.Unit = append(f.Unit, fmt.Sprint(len(f.Y)))
			codes[0], codes[1], codes[2] = append(codes[0], u), append(codes[1], 100-p), append(codes[2], (u+3*p)%5)
		}
	}
	f.X = mat.NewDense(len(f.Y), 2, x)
	f.Cluster = codes[0]
	return f, codes
}

// withDummies adds all levels of the codes as covariates: what absorbing must equal.
func withDummies(f *estimate.Frame, codes [][]int) *estimate.Frame {
	g := *f
	g.XNames = append([]string(nil), f.XNames...)
	n := len(f.Y)
	rows := make([][]float64, n)
	for i := range n {
		rows[i] = append([]float64(nil), f.X.RawRowView(i)...)
	}
	for s, c := range codes {
		d, levels := dense(c)
		for l := range levels {
			g.XNames = append(g.XNames, fmt.Sprintf("d%d_%d", s, l))
			for i := range n {
				v := 0.0
				if d[i] == l {
					v = 1
				}
				rows[i] = append(rows[i], v)
			}
		}
	}
	g.X = mat.NewDense(n, len(g.XNames), nil)
	for i, r := range rows {
		g.X.SetRow(i, r)
	}
	return &g
}

// Absorbing equals dummies: coefficients, iid, hc1 and cr0 for one to three sets.
func TestAbsorbEqualsDummies(t *testing.T) {
	f, codes := panelFrame(3)
	for sets := 1; sets <= 3; sets++ {
		use := codes[:sets]
		for _, weighted := range []bool{false, true} {
			g := *f
			if !weighted {
				g.Weight = estimate.Weights{}
			}
			full := withDummies(&g, use)
			for _, vcov := range []Vcov{IID, HC0, HC1, CR0} {
				if vcov == IID && weighted {
					continue
				}
				a := mustFit(t, OLS{Vcov: vcov, Absorb: use, AbsorbNames: []string{"u", "p", "q"}[:sets]}, &g)
				b := mustFit(t, OLS{Vcov: vcov, NoIntercept: true}, full)
				for j := range 2 {
					what := fmt.Sprintf("%d sets, weighted %t, %s", sets, weighted, vcov)
					reftest.Agree(t, what, a.Estimates[j].Value, b.Estimates[j].Value, 11)
					reftest.Agree(t, what+" se", a.Estimates[j].SE, b.Estimates[j].SE, 10)
					reftest.Agree(t, what+" df", a.Estimates[j].Test.DF, b.Estimates[j].Test.DF, 12)
				}
				if a.Details["rank"] != b.Details["rank"] {
					t.Errorf("rank %v absorbed, %v with dummies", a.Details["rank"], b.Details["rank"])
				}
				if a.Fit.Tolerance > 1e-12 {
					t.Errorf("tolerance %g", a.Fit.Tolerance)
				}
			}
		}
	}
}

// Two groups of units that never share a period are two connected parts: the second
// set adds its levels less two.
func TestAbsorbConnectedParts(t *testing.T) {
	e := newEffects([][]int{{0, 0, 1, 1, 2, 2, 3, 3}, {0, 1, 0, 1, 5, 6, 5, 6}}, nil)
	if e.rank() != 4+4-2 {
		t.Errorf("rank %d, want 6", e.rank())
	}
	// Units nested in clusters count once; periods do not lie within clusters.
	if k := e.open([]int{0, 0, 0, 0, 1, 1, 1, 1}); k != 6-3-3 && k != 1 {
		t.Errorf("open %d", k)
	}
	if k := e.open([]int{0, 0, 1, 1, 2, 2, 3, 3}); k != 6-3 {
		t.Errorf("open %d, want 3", k)
	}
}

// A column that does not vary within the effects has no coefficient, and says so.
func TestAbsorbCollinear(t *testing.T) {
	f, codes := panelFrame(5)
	g := *f
	g.XNames = []string{"x1", "fixed", "x2"}
	g.X = mat.NewDense(len(f.Y), 3, nil)
	for i := range f.Y {
		g.X.SetRow(i, []float64{f.X.At(i, 0), 1e6 + 0.1*float64(codes[0][i]) + 1/float64(1+codes[1][i]), f.X.At(i, 1)})
	}
	o := OLS{Absorb: codes[:2], AbsorbNames: []string{"u", "p"}}
	a, b := mustFit(t, o, f), mustFit(t, o, &g)
	if !math.IsNaN(b.Estimates[1].Value) || !hasNote(b, "collinear-dropped") {
		t.Errorf("fixed column: %v", b.Estimates[1])
	}
	reftest.Agree(t, "other column", b.Estimates[2].Value, a.Estimates[1].Value, 11)
	reftest.Agree(t, "other column se", b.Estimates[2].SE, a.Estimates[1].SE, 10)
	for _, workers := range []int{1, 4} {
		o.Workers = workers
		if c := mustFit(t, o, f); c.Estimates[0].Value != a.Estimates[0].Value || c.Estimates[1].SE != a.Estimates[1].SE {
			t.Error("workers change a bit")
		}
	}
}
