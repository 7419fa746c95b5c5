package panel

import (
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// lone is the leverage from which a cluster is all of its arm: its own error is then
// fitted away and says nothing.
const lone = 1 - 1e-9

// sandwich is the cluster-robust error of a term with adjusted residuals,
//
//	V = Σ_clusters (Σ W[c]·ψ[c,i]/(1-h[c,i])^power)² / (1 - alone)
//
// power ½ is cr2, 1 is cr3. Rows of a cluster that is all of its arm have no residual:
// alone is their share of the variance if errors were independent and equally large.
func (t *fewTerm) sandwich(power float64) float64 {
	sums := make([]float64, t.w.groups)
	for a, c := range t.cells {
		c.rows(func(row, pos int, _ bool) {
			if h := c.lever[row]; h < lone {
				sums[t.w.cluster[pos]] += float64(t.weight[a]*c.inf[row]) / math.Pow(1-h, power)
			}
		})
	}
	return num.Dot(sums, sums) / (1 - t.design.Alone)
}

// spread fills degrees of freedom, effective clusters and shares of the term's design.
// With K[i] the weights of unit i in the periods and v[c] the variance that cluster c
// brings if errors are independent and equally large, Σ‖K[i]‖² over its units (or
// ‖ΣK[i]‖² if they move as one: what gives less is taken),
//
//	G* = (Σv)²/Σv²,  df = (Σv)²/Σ(v²/(1-h))
//
// h the mean leverage of the cluster's rows by their squared weight. For two groups of
// independent units df is that of Bell and McCaffrey (2002).
func (t *fewTerm) spread() {
	w := t.w
	square, lever := make([]float64, w.groups), make([]float64, w.groups)
	weight, aloneOf := make([]float64, w.groups), make([]float64, w.groups)
	for a, c := range t.cells {
		c.rows(func(row, pos int, _ bool) {
			g := w.cluster[pos]
			v := float64(t.weight[a] * c.k[row])
			v *= v
			weight[g] += v
			lever[g] += float64(v * c.lever[row])
			if c.lever[row] >= lone {
				aloneOf[g] += v
			}
		})
	}
	one := make([][]float64, w.groups)
	for i, k := range t.kernel {
		if k == nil {
			continue
		}
		g := w.cluster[i]
		square[g] += num.Dot(k, k)
		if one[g] == nil {
			one[g] = make([]float64, len(k))
		}
		for p, v := range k {
			one[g][p] += v
		}
	}
	together := make([]float64, w.groups)
	moving := 0.0
	for g, v := range one {
		if v != nil {
			together[g] = num.Dot(v, v)
			moving += together[g]
		}
	}
	var alone, total float64
	for g, v := range square {
		if weight[g] > 0 {
			alone += float64(v * aloneOf[g] / weight[g])
		}
		total += v
	}
	t.design.Alone = alone / total
	t.design.DF, t.design.Effective = math.Inf(1), math.Inf(1)
	count := func(v []float64) {
		var sum, sq, adjusted, largest float64
		for g, x := range v {
			if !(x > 0) || !(weight[g] > 0) {
				continue
			}
			sum += x
			sq += float64(x * x)
			h := min(lever[g]/weight[g], lone)
			adjusted += float64(x*x) / (1 - h)
			largest = max(largest, x)
		}
		if sum > 0 {
			t.design.DF = min(t.design.DF, sum*sum/adjusted)
			t.design.Effective = min(t.design.Effective, sum*sum/sq)
			t.design.Largest = max(t.design.Largest, largest/sum)
		}
	}
	count(square)
	// Errors that move as one within clusters: not looked at where every cluster's
	// weights cancel, so that nothing would be left.
	if w.l.cluster != nil && moving > 1e-12*total {
		count(together)
	}
}

// robust is the interval of cr2 or cr3 by t on the design's degrees of freedom.
func (t *fewTerm) robust(power, level float64, method FewMethod) estimate.Estimate {
	e := estimate.Wald(t.name, estimate.MeanDifference, t.value, math.Sqrt(t.sandwich(power)), t.design.DF, level)
	e.CI.Method = string(method)
	return e
}

// bySize fits E[e²] = a + b/size to the donors, both at least 0 (Ferman and Pinto 2019),
// and tests b = 0 by n·R² of the fit without that bound, whose b is slope: chi-square on
// 1 (Koenker 1981).
func (t *fewTerm) bySize(e []float64) (a, b, slope, p float64) {
	n := len(e)
	x, y := make([]float64, n), make([]float64, n)
	var mx, my float64
	for i, pos := range t.donor {
		x[i], y[i] = 1/t.w.size[pos], e[i]*e[i]
		mx += x[i] / float64(n)
		my += y[i] / float64(n)
	}
	var sxx, sxy, syy, xx, xy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		sxx += float64(dx * dx)
		sxy += float64(dx * dy)
		syy += float64(dy * dy)
		xx += float64(x[i] * x[i])
		xy += float64(x[i] * y[i])
	}
	if !(sxx > 1e-24*mx*mx*float64(n)) || !(syy > 0) {
		return my, 0, 0, math.NaN()
	}
	slope = sxy / sxx
	b = slope
	a = my - float64(b*mx)
	p = num.ChiSquareTail(float64(n)*sxy/sxx*sxy/syy, 1)
	switch {
	case b < 0:
		a, b = my, 0
	case a < 0:
		a, b = 0, xy/xx
	}
	return a, b, slope, p
}
