package effect

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// outcomes of a family on columns far from their mean, the last of which is a sum of two others.
func glmFrame(family num.GLMFamily, n int) *estimate.Frame {
	f := &estimate.Frame{Y: make([]float64, n), X: mat.NewDense(n, 4, nil), XNames: []string{"a", "b", "c", "d"}, Level: 0.95}
	for i := range n {
		s := num.NewStream(6, "glm-errors", uint64(i))
		a, b := s.Normal(), s.Float()
		f.X.SetRow(i, []float64{100 + a, b, float64(i % 2), 100 + a + b})
		f.Unit = append(f.Unit, fmt.Sprint(i))
		switch eta := -0.5 + 0.4*a + 0.3*float64(i%2); family {
		case num.Binomial:
			if s.Float() < 1/(1+math.Exp(-eta)) {
				f.Y[i] = 1
			}
		default:
			f.Y[i] = math.Floor(3 * math.Exp(eta) * s.Float() * s.Float() * 3)
		}
	}
	return f
}

// What the last Newton step leaves gives the errors and the influence that least squares of that step gives, for
// every family, weight, offset, number of trials, without a constant and with a column left out.
func TestGLMErrorsFromLastStep(t *testing.T) {
	const n = 700
	weight, trials, offset := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		weight[i], trials[i], offset[i] = float64(1+i%3), float64(1+i%4), float64(i%5)/10
	}
	for _, family := range []num.GLMFamily{num.Binomial, num.Poisson, num.NegBin} {
		base := glmFrame(family, n)
		for name, c := range map[string]struct {
			g    GLM
			kind estimate.WeightKind
		}{
			"iid": {g: GLM{Vcov: IID}}, "hc0": {g: GLM{Vcov: HC0}}, "hc1": {g: GLM{Vcov: HC1}},
			"frequency iid": {g: GLM{Vcov: IID}, kind: estimate.Frequency}, "frequency hc1": {g: GLM{Vcov: HC1}, kind: estimate.Frequency},
			"sampling": {g: GLM{Vcov: HC1}, kind: estimate.Sampling},
			"offset":   {g: GLM{Vcov: HC1, Offset: offset}}, "trials": {g: GLM{Vcov: HC1, Trials: trials}},
			"no constant": {g: GLM{Vcov: HC0, NoIntercept: true}}, "Pearson": {g: GLM{Vcov: IID, Pearson: true}},
		} {
			if name == "trials" && family != num.Binomial || name == "Pearson" && family == num.NegBin {
				continue
			}
			f := *base
			if c.kind != estimate.NoWeights {
				f.Weight = estimate.Weights{Kind: c.kind, Values: weight}
			}
			c.g.Family = family
			got, slow := solveBoth(t, c.g, &f)
			for j := range got.coef {
				if !near(got.coef[j], slow.coef[j], 1e-11*(1+math.Abs(slow.coef[j]))) || !near(got.se[j], slow.se[j], 1e-10*slow.se[j]) {
					t.Errorf("%s %s: term %d: %v (%v), least squares %v (%v)", family, name, j, got.coef[j], got.se[j], slow.coef[j], slow.se[j])
				}
			}
			for i, v := range got.influence {
				if !near(v, slow.influence[i], 1e-10*slow.se[i%len(slow.se)]) {
					t.Fatalf("%s %s: influence %d: %v, least squares %v", family, name, i, v, slow.influence[i])
				}
			}
		}
	}
}

func near(a, b, tol float64) bool { return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= tol }

// solveBoth gives errors from the last step and, as for a condition that is too bad for them, by least squares.
func solveBoth(t *testing.T, g GLM, f *estimate.Frame) (last, least *solution) {
	t.Helper()
	for _, again := range []bool{false, true} {
		s, err := newSample(f, nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &linear{normal: !g.Pearson}
		if err := (&errorKind{vcov: g.Vcov}).into(l, s); err != nil {
			t.Fatal(err)
		}
		names, err := l.fill(s, !g.NoIntercept)
		if err != nil {
			t.Fatal(err)
		}
		fit, err := g.maximise(t.Context(), l, s, names)
		if err != nil {
			t.Fatal(err)
		}
		if again {
			fit.Condition = math.Inf(1)
		}
		sol, _, err := g.solve(l, names, fit)
		if err != nil {
			t.Fatal(err)
		}
		if (l.scores == nil) != again {
			t.Fatalf("condition %g: errors from the last step %v", fit.Condition, l.scores != nil)
		}
		if again {
			return last, sol
		}
		last = sol
	}
	panic("unreachable")
}

// Numbers and influence have the same bits for any number of workers.
func TestGLMErrorsOfWorkers(t *testing.T) {
	f := glmFrame(num.Binomial, 3*num.Chunk)
	for _, vcov := range []Vcov{IID, HC1, HC3} {
		one, many := mustFit(t, GLM{Vcov: vcov, Workers: 1}, f), mustFit(t, GLM{Vcov: vcov, Workers: 5}, f)
		for j, e := range one.Estimates {
			if o := many.Estimates[j]; math.Float64bits(o.Value) != math.Float64bits(e.Value) || math.Float64bits(o.SE) != math.Float64bits(e.SE) {
				t.Errorf("%s %s: %v with one worker, %v with five", vcov, e.Term, e, o)
			}
		}
		a, b := one.Influence.RawMatrix().Data, many.Influence.RawMatrix().Data
		for i, v := range a {
			if math.Float64bits(v) != math.Float64bits(b[i]) {
				t.Fatalf("%s: influence %d is %v with one worker, %v with five", vcov, i, v, b[i])
			}
		}
	}
}

// The interval that a left-out column does not have is of the others' method: normal, or t with clusters.
func TestGLMMethodOfLeftOutColumn(t *testing.T) {
	f := glmFrame(num.Poisson, 300)
	for i := range f.Y {
		f.Cluster = append(f.Cluster, i%40)
	}
	for _, vcov := range []Vcov{IID, HC1, HC3, CR1, CR2} {
		res := mustFit(t, GLM{Family: num.Poisson, Vcov: vcov}, f)
		last := res.Estimates[len(res.Estimates)-1]
		if !math.IsNaN(last.Value) || !math.IsNaN(last.CI.Lo) {
			t.Fatalf("%s: %v", vcov, last)
		}
		if last.CI.Method != res.Estimates[1].CI.Method {
			t.Errorf("%s: method %s of the column left out, %s of the others", vcov, last.CI.Method, res.Estimates[1].CI.Method)
		}
	}
}
