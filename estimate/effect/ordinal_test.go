package effect

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// Without covariates a threshold is the quantile of the cumulative share, and its
// error that of a share: √(p(1-p)/n)/f(α). 3, 4 and 5 of 12 rows: shares 1/4 and 7/12.
func TestOrdinalByHand(t *testing.T) {
	f := &estimate.Frame{Level: 0.95}
	for i, n := range []int{3, 4, 5} {
		for range n {
			f.Y, f.Unit = append(f.Y, float64(i)), append(f.Unit, strconv.Itoa(len(f.Y)))
		}
	}
	for _, link := range []num.Link{num.LogitLink, num.ProbitLink, num.CloglogLink} {
		for _, vcov := range []Vcov{IID, HC0} { // saturated: the same
			res := mustFit(t, Ordinal{Link: link, Levels: []string{"a", "b", "c"}, Vcov: vcov}, f)
			for j, p := range []float64{1.0 / 4, 7.0 / 12} {
				e := res.Estimates[j]
				a := map[num.Link]float64{num.LogitLink: math.Log(p / (1 - p)), num.ProbitLink: num.NormalQuantile(p), num.CloglogLink: math.Log(-math.Log(1 - p))}[link]
				d := map[num.Link]float64{num.LogitLink: p * (1 - p), num.ProbitLink: math.Exp(-a*a/2) / math.Sqrt(2*math.Pi), num.CloglogLink: -(1 - p) * math.Log(1-p)}[link]
				reftest.Agree(t, string(link), e.Value, a, 12)
				reftest.Agree(t, string(link)+" se", e.SE, math.Sqrt(p*(1-p)/12)/d, 11)
			}
			if res.Estimates[0].Term != "a|b" || res.Estimates[1].Term != "b|c" {
				t.Errorf("terms %v", res.Estimates)
			}
			reftest.Agree(t, "logLik", res.Details["logLik"].(float64), 3*math.Log(0.25)+4*math.Log(1.0/3)+5*math.Log(5.0/12), 13)
		}
	}
}

// steps is an outcome of four levels with two covariates and clusters.
func steps(seed uint64, n int) *estimate.Frame {
	s := num.NewStream(seed, "ordinal test", 0)
	f := &estimate.Frame{Level: 0.95, XNames: []string{"x1", "x2"}, X: mat.NewDense(n, 2, nil), Y: make([]float64, n), Cluster: make([]int, n)}
	for i := range n {
		x1, x2 := 1990+3*s.Normal(), s.Float()
		f.X.SetRow(i, []float64{x1, x2})
		u := s.Float()
		latent := 0.3*(x1-1990) - x2 + math.Log(u/(1-u))
		for _, cut := range []float64{-1, 0.2, 1} {
			if latent > cut {
				f.Y[i]++
			}
		}
		f.Unit, f.Cluster[i] = append(f.Unit, strconv.Itoa(i)), i%11
	}
	return f
}

var four = []string{"0", "1", "2", "3"}

// Two levels are a binary regression: P(Y ≤ 0) = F(α - x'β), so that for the symmetric
// links the slopes are those of P(Y = 1) and the threshold minus the intercept; for
// cloglog the event is Y = 0 and the slopes change sign. Canonical logit has the same
// observed and expected information.
func TestOrdinalOfTwoLevelsIsBinary(t *testing.T) {
	f := steps(3, 250)
	up, down := *f, *f
	up.Y, down.Y = nil, nil
	for _, y := range f.Y {
		v := 0.0
		if y > 1 {
			v = 1
		}
		up.Y, down.Y = append(up.Y, v), append(down.Y, 1-v)
	}
	for _, vcov := range []Vcov{IID, HC0, HC1, CR0, CR1} {
		o, g := up, up
		if !vcov.clustered() {
			o.Cluster, g.Cluster = nil, nil
		}
		a, b := mustFit(t, Ordinal{Levels: four[:2], Vcov: vcov}, &o), mustFit(t, GLM{Vcov: vcov}, &g)
		for j := range 2 {
			reftest.Agree(t, "slope", a.Estimates[j].Value, b.Estimates[j+1].Value, 9)
			reftest.Agree(t, string(vcov)+" se", a.Estimates[j].SE, b.Estimates[j+1].SE, 8)
			reftest.Agree(t, "df", a.Estimates[j].Test.DF, b.Estimates[j+1].Test.DF, 12)
		}
		reftest.Agree(t, "threshold", a.Estimates[2].Value, -b.Estimates[0].Value, 9)
		reftest.Agree(t, "threshold se", a.Estimates[2].SE, b.Estimates[0].SE, 8)
		reftest.Agree(t, "logLik", a.Details["logLik"].(float64), b.Details["logLik"].(float64), 12)
	}
	up.Cluster, down.Cluster = nil, nil
	a, b := mustFit(t, Ordinal{Link: num.CloglogLink, Levels: four[:2]}, &up), mustFit(t, GLM{Link: num.CloglogLink}, &down)
	reftest.Agree(t, "cloglog slope", a.Estimates[0].Value, -b.Estimates[1].Value, 9)
	reftest.Agree(t, "cloglog threshold", a.Estimates[2].Value, b.Estimates[0].Value, 9)
}

// M30, M36, M47: copies, a collinear column, levels in reverse; workers change no bit.
func TestOrdinalMetamorphic(t *testing.T) {
	f := steps(7, 200)
	f.Cluster = nil
	for _, link := range []num.Link{num.LogitLink, num.ProbitLink} {
		a := mustFit(t, Ordinal{Link: link, Levels: four}, f)
		g := *f
		g.Y = nil
		for _, y := range f.Y {
			g.Y = append(g.Y, 3-y)
		}
		b := mustFit(t, Ordinal{Link: link, Levels: []string{"3", "2", "1", "0"}}, &g)
		for j := range 2 {
			reftest.Agree(t, "reversed", b.Estimates[j].Value, -a.Estimates[j].Value, 9)
			reftest.Agree(t, "reversed se", b.Estimates[j].SE, a.Estimates[j].SE, 8)
		}
		reftest.Agree(t, "reversed threshold", b.Estimates[4].Value, -a.Estimates[2].Value, 8)
		if b.Estimates[4].Term != "1|0" || a.Estimates[2].Term != "0|1" {
			t.Errorf("terms %s %s", b.Estimates[4].Term, a.Estimates[2].Term)
		}
		for _, w := range []int{1, 5} {
			if c := mustFit(t, Ordinal{Link: link, Levels: four, Workers: w}, f); c.Estimates[0].Value != a.Estimates[0].Value || c.Estimates[3].SE != a.Estimates[3].SE {
				t.Error("workers change a bit")
			}
		}
	}
	w, copies := *f, &estimate.Frame{Level: 0.95, XNames: f.XNames}
	w.Weight = estimate.Weights{Kind: estimate.Frequency}
	var x []float64
	for i := range f.Y {
		k := i % 3 // a weight of 0 is no row
		w.Weight.Values = append(w.Weight.Values, float64(k))
		for c := range k {
			copies.Y, copies.Unit = append(copies.Y, f.Y[i]), append(copies.Unit, f.Unit[i]+"."+strconv.Itoa(c))
			x = append(x, f.X.RawRowView(i)...)
		}
	}
	copies.X = mat.NewDense(len(copies.Y), 2, x)
	for _, vcov := range []Vcov{IID, HC0, HC1} {
		a, b := mustFitQuasi2(t, Ordinal{Levels: four, Vcov: vcov}, &w), mustFitQuasi2(t, Ordinal{Levels: four, Vcov: vcov}, copies)
		for j := range a.Estimates {
			reftest.Agree(t, "copies", a.Estimates[j].Value, b.Estimates[j].Value, 9)
			reftest.Agree(t, "copies "+string(vcov), a.Estimates[j].SE, b.Estimates[j].SE, 8)
		}
	}
	g := *f
	g.XNames, g.X = []string{"x1", "again", "x2"}, mat.NewDense(200, 3, nil)
	for i := range 200 {
		g.X.SetRow(i, []float64{f.X.At(i, 0), 3 - f.X.At(i, 0), f.X.At(i, 1)})
	}
	a, b := mustFit(t, Ordinal{Levels: four}, f), mustFit(t, Ordinal{Levels: four}, &g)
	if !hasNote(b, "collinear-dropped") || !math.IsNaN(b.Estimates[1].Value) || b.Estimates[1].Term != "again" {
		t.Errorf("collinear: %v", b.Estimates)
	}
	reftest.Agree(t, "collinear", b.Estimates[2].Value, a.Estimates[1].Value, 9)
	reftest.Agree(t, "collinear threshold", b.Estimates[3].SE, a.Estimates[2].SE, 8)
}

func mustFitQuasi2(t *testing.T, o Ordinal, f *estimate.Frame) *estimate.Result {
	t.Helper()
	res, err := o.Fit(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestOrdinalErrors(t *testing.T) {
	f := steps(9, 60)
	split := *f
	split.X, split.XNames = mat.NewDense(60, 1, nil), []string{"order"}
	for i, y := range f.Y {
		split.X.Set(i, 0, y)
	}
	if _, err := (Ordinal{Levels: four}).Fit(t.Context(), &split); !errors.Is(err, estimate.ErrSeparated) || !strings.Contains(err.Error(), "order") {
		t.Errorf("separated: %v", err)
	}
	sampling, half := *f, *f
	sampling.Weight = estimate.Weights{Kind: estimate.Sampling, Values: make([]float64, 60)}
	for i := range 60 {
		sampling.Weight.Values[i] = 1
	}
	half.Y = append([]float64{0.5}, f.Y[1:]...)
	for name, c := range map[string]struct {
		o    Ordinal
		f    *estimate.Frame
		want error
	}{
		"link":         {Ordinal{Link: "log", Levels: four}, f, ErrOption},
		"vcov":         {Ordinal{Vcov: CR2, Levels: four}, f, ErrOption},
		"empty level":  {Ordinal{Levels: append(four[:4:4], "4")}, f, estimate.ErrNotIdentified},
		"level beyond": {Ordinal{Levels: four[:3]}, f, estimate.ErrInvalidFrame},
		"half a level": {Ordinal{Levels: four}, &half, estimate.ErrInvalidFrame},
		"one level":    {Ordinal{Levels: four[:1]}, &estimate.Frame{Level: 0.9, Unit: []string{"a", "b"}, Y: []float64{0, 0}}, estimate.ErrNotIdentified},
		"iid sampling": {Ordinal{Levels: four, Vcov: IID}, &sampling, estimate.ErrWeights},
	} {
		if res, err := c.o.Fit(t.Context(), c.f); res != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	res := mustFit(t, Ordinal{Levels: four}, &sampling)
	if !hasNote(res, "no-likelihood") || !math.IsNaN(res.Details["aic"].(float64)) {
		t.Error("sampling weights have no likelihood")
	}
}
