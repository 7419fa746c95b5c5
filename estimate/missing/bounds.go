package missing

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// arms are the rows of a frame with positive weight.
type arms struct {
	rows    []int
	treated []bool
	w       []float64
	cluster []int // dense codes; nil = each row
	total   [2]float64
	count   [2]int
}

// newArms checks a frame whose outcome may be anything where observed is false.
func newArms(f *estimate.Frame, observed []bool) (*arms, error) {
	n := len(f.Y)
	if len(observed) != n {
		return nil, fmt.Errorf("%w: %d marks of an observed outcome for %d rows", ErrOption, len(observed), n)
	}
	g := *f
	g.Y = make([]float64, n)
	for i, y := range f.Y {
		if observed[i] {
			g.Y[i] = y
		}
	}
	if err := g.Check(); err != nil {
		return nil, err
	}
	if f.Treated == nil {
		return nil, fmt.Errorf("%w: a comparison needs to know who is treated", estimate.ErrInvalidFrame)
	}
	a := &arms{}
	for i := range n {
		w := 1.0
		if f.Weight.Values != nil {
			w = f.Weight.Values[i]
		}
		if w == 0 {
			continue
		}
		if f.Weight.Kind == estimate.Frequency {
			return nil, fmt.Errorf("%w: bounds take sampling and matching weights; write a row for each copy", estimate.ErrWeights)
		}
		a.rows, a.treated, a.w = append(a.rows, i), append(a.treated, f.Treated[i]), append(a.w, w)
		if f.Cluster != nil {
			a.cluster = append(a.cluster, f.Cluster[i])
		}
		a.total[arm(f.Treated[i])] += w
		a.count[arm(f.Treated[i])]++
	}
	switch {
	case a.count[1] == 0:
		return nil, estimate.ErrNoTreated
	case a.count[0] == 0:
		return nil, estimate.ErrNoControls
	}
	return a, nil
}

func arm(treated bool) int {
	if treated {
		return 1
	}
	return 0
}

// fewClusters is the number of clusters below which errors of them carry a note.
const fewClusters = 30

// covariance sums influence products with the factors of a difference in means, so that bounds of outcomes that
// are all known have its error: N/(N-2) and N-2 degrees of freedom, or within clusters G/(G-1)·(N-1)/(N-2) and G-1.
func (a *arms) covariance(phi ...[]float64) (v [][]float64, clusters int, df float64) {
	sums := phi
	g := len(a.rows)
	if a.cluster != nil {
		code := map[int]int{}
		for _, c := range a.cluster {
			if _, ok := code[c]; !ok {
				code[c] = len(code)
			}
		}
		g = len(code)
		sums = nil
		for _, p := range phi {
			s := make([]float64, g)
			for i, x := range p {
				s[code[a.cluster[i]]] += x
			}
			sums = append(sums, s)
		}
	}
	n := float64(len(a.rows))
	df = n - 2
	factor := n / df
	if a.cluster != nil {
		df = float64(g - 1)
		factor = float64(g) / df * (n - 1) / (n - 2)
	}
	for _, p := range sums {
		row := make([]float64, len(sums))
		for j, q := range sums {
			row[j] = factor * num.Dot(p, q)
		}
		v = append(v, row)
	}
	return v, g, df
}

// imbensManski is C with F(C + Δ/σ) - F(-C) = level, F Student's t: the interval [L - C·s_L, U + C·s_U]
// then covers the parameter, wherever it lies between the bounds, with that probability.
// Imbens and Manski (2004), Econometrica 72:1845–1857, who have the normal distribution for F.
func imbensManski(width, sigma, level, df float64) float64 {
	if sigma == 0 {
		return num.StudentQuantile(2*level-1, df)
	}
	upper := func(c float64) float64 { // F(c + Δ/σ) - F(-c), from its tails
		return 1 - num.StudentTail(c+width/sigma, df)/2 - num.StudentTail(c, df)/2
	}
	lo, hi := 0.0, num.StudentQuantile(level, df)+1
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if upper(mid) < level {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// result makes the two estimates of bounds. Their interval is that of the parameter
// between them and not of the bound itself; a bound has no test of 0.
func (a *arms) result(method string, f *estimate.Frame, m estimate.Measure, lower, upper float64, phiL, phiU []float64) (*estimate.Result, error) {
	v, g, df := a.covariance(phiL, phiU)
	if len(a.rows) < 3 || df < 1 {
		return nil, fmt.Errorf("%w: a standard error needs three rows, and two clusters where they are given", estimate.ErrTooFew)
	}
	sl, su := math.Sqrt(v[0][0]), math.Sqrt(v[1][1])
	c := imbensManski(math.Max(0, upper-lower), math.Max(sl, su), f.Level, df)
	q := num.StudentQuantile(f.Level, df)
	ci := estimate.Interval{Lo: lower - float64(c*sl), Hi: upper + float64(c*su), Level: f.Level, Method: "imbens-manski"}
	none := estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()}
	r := &estimate.Result{Method: method, Fit: estimate.Convergence{Converged: true},
		Estimates: []estimate.Estimate{
			{Term: "lower", Measure: m, Value: lower, SE: sl, CI: ci, Test: none},
			{Term: "upper", Measure: m, Value: upper, SE: su, CI: ci, Test: none},
		},
		Cov:       mat.NewSymDense(2, []float64{v[0][0], v[0][1], v[0][1], v[1][1]}),
		Influence: mat.NewDense(len(a.rows), 2, nil),
		N:         estimate.Counts{Units: len(a.rows), Treated: a.count[1]},
		Details: map[string]any{"critical": c, "df": df,
			"set_interval": []float64{lower - float64(q*sl), upper + float64(q*su)}},
		Notes: []table.Note{{Code: "bounds-interval", Text: "The interval is that of the effect, which lies somewhere between the two bounds."}},
	}
	if a.cluster != nil {
		r.N.Clusters = g
		if g < fewClusters {
			r.Notes = append(r.Notes, table.Note{Code: "few-clusters", Args: map[string]any{"clusters": g},
				Text: fmt.Sprintf("Only %d clusters: clustered standard errors are too small when clusters are few.", g)})
		}
	}
	for i, row := range a.rows {
		r.Influence.SetRow(i, []float64{phiL[i], phiU[i]})
		r.InfluenceUnit = append(r.InfluenceUnit, f.Unit[row])
	}
	return r, nil
}

// measureOf is a risk difference where every observed outcome is 0 or 1.
func measureOf(f *estimate.Frame, observed []bool) estimate.Measure {
	for i, y := range f.Y {
		if observed[i] && y != 0 && y != 1 {
			return estimate.MeanDifference
		}
	}
	return estimate.RiskDifference
}
