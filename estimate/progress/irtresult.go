package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// Measures of item response models.
const (
	ItemSlope     estimate.Measure = "slope"
	ItemThreshold estimate.Measure = "threshold"
	TraitMean     estimate.Measure = "trait-mean"
	TraitVariance estimate.Measure = "trait-variance"
)

// TraitScores are details.scores: posterior mean and standard deviation of the trait of each
// person; NaN for a person without answers. They are for description: as an outcome in
// another model they understate differences; use [PlausibleValues].
type TraitScores struct {
	Unit    []string
	EAP, SE []float64
}

// MarshalJSON writes {unit: {eap, se}} in byte order of the units.
func (s TraitScores) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	number := func(v float64) {
		if math.IsNaN(v) {
			b = append(b, "null"...)
			return
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	for r, i := range byUnit(s.Unit) {
		key, err := json.Marshal(s.Unit[i])
		if err != nil {
			return nil, err
		}
		if r > 0 {
			b = append(b, ',')
		}
		b = append(append(b, key...), `:{"eap":`...)
		number(s.EAP[i])
		b = append(b, `,"se":`...)
		number(s.SE[i])
		b = append(b, '}')
	}
	return append(b, '}'), nil
}

// Intercept is an intercept of an item: P(Y ≥ k) = logistic(a·θ + d_k), or P(Y = k) ∝ exp(k·a·θ + d_k).
type Intercept struct {
	Estimate float64 `json:"estimate"`
	StdError float64 `json:"std_error"`
}

// irtFit is a fitted model.
type irtFit struct {
	d    *irtData
	m    *irtModel
	p    *irtPatterns
	conv estimate.Convergence
	post *irtPosterior
	v    *mat.SymDense // covariance of the parameters; nil without errors
}

// fitIRT fits the model to data whose items have been laid out.
func fitIRT(ctx context.Context, d *irtData, freeSpan, errors bool, workers int) (*irtFit, error) {
	d.start()
	f := &irtFit{d: d, m: newIRTModel(d, freeSpan), p: d.patterns()}
	if f.p.n == 0 {
		return nil, fmt.Errorf("%w: nobody answered anything", estimate.ErrTooFew)
	}
	if err := d.groupsAnswered(); err != nil {
		return nil, err
	}
	return f, f.refit(ctx, errors, workers)
}

// refit starts from the model's point.
func (f *irtFit) refit(ctx context.Context, errors bool, workers int) error {
	for {
		var err error
		if f.conv, err = f.m.solve(ctx, f.p, workers); err != nil {
			return err
		}
		f.m.orient()
		f.post = f.m.posterior(f.p, errors, workers)
		// Nodes that are wider apart than a posterior is wide cannot integrate it.
		least := math.Inf(1)
		for _, s := range f.post.sd {
			least = min(least, s)
		}
		if least >= f.m.fine || f.m.fine < fineStep/8 {
			break
		}
		f.m.fine /= 2
	}
	if !errors || f.m.parameters() == 0 {
		return nil
	}
	var chol mat.Cholesky
	if !chol.Factorize(f.post.info) || chol.Cond() > 1e13 {
		return f.m.unidentified()
	}
	f.v = mat.NewSymDense(f.m.parameters(), nil)
	if err := chol.InverseTo(f.v); err != nil {
		return f.m.unidentified()
	}
	return nil
}

// groupsAnswered checks that every group has somebody with an answer.
func (d *irtData) groupsAnswered() error {
	has := make([]bool, len(d.groups))
	for i, g := range d.group {
		for _, c := range d.columns {
			has[g] = has[g] || c.x[i] >= 0
		}
	}
	for g, ok := range has {
		if !ok {
			return fmt.Errorf("%w: nobody in group %q answered anything", estimate.ErrTooFew, d.groups[g])
		}
	}
	return nil
}

// irtRows collects estimates with their derivatives in the parameters.
type irtRows struct {
	terms    []string
	measures []estimate.Measure
	values   []float64
	jac      [][]float64 // nil = fixed by the model
}

func (r *irtRows) put(term string, m estimate.Measure, v float64, jac []float64) {
	r.terms, r.measures = append(r.terms, term), append(r.measures, m)
	r.values, r.jac = append(r.values, v), append(r.jac, jac)
}

// items adds slopes and thresholds.
func (r *irtRows) items(items []*irtItem, P int) {
	for _, it := range items {
		off := 0
		if it.fixed {
			off = 1
			r.put(it.name+"/a", ItemSlope, 1, nil)
		} else {
			j := make([]float64, P)
			j[it.par] = 1
			r.put(it.name+"/a", ItemSlope, it.a, j)
		}
		b, jac := it.thresholds()
		for k := range b {
			j := make([]float64, P)
			for c := off; c < it.cats; c++ {
				j[it.par+c-off] = jac[k][c]
			}
			r.put(fmt.Sprintf("%s/b%d", it.name, k+1), ItemThreshold, b[k], j)
		}
	}
}

// traits adds what is free of the distributions.
func (r *irtRows) traits(m *irtModel, groups []string) {
	P := m.parameters()
	for g, t := range m.latent {
		name := ""
		if len(groups) > 1 {
			name = ",group=" + groups[g]
		}
		mean, span, at := make([]float64, P), make([]float64, P), t.par
		if t.freeMean {
			mean[at], at = -1/(2*t.e2), at+1
		}
		if t.freeSpan {
			mean[at] = t.e1 / (2 * t.e2 * t.e2)
			span[at] = 1 / (2 * t.e2 * t.e2)
		}
		if t.freeMean {
			r.put("trait/mean"+name, TraitMean, t.mean(), mean)
		}
		if t.freeSpan {
			r.put("trait/variance"+name, TraitVariance, -1/(2*t.e2), span)
		}
	}
}

// result turns rows into estimates. Without weights and clusters, and with frequencies, the
// covariance is the inverse observed information; else it is that of the influence function.
func (r *irtRows) result(method string, d *irtData, of []int32, score *mat.Dense, v *mat.SymDense, workers int) (*estimate.Result, error) {
	m := len(r.values)
	res := &estimate.Result{Method: method, Details: map[string]any{}, InfluenceUnit: d.unit}
	for i := range of {
		if of[i] >= 0 {
			res.N.Units++
		}
	}
	if v == nil {
		for a := range m {
			res.Estimates = append(res.Estimates, estimate.Estimate{Term: r.terms[a], Measure: r.measures[a], Value: r.values[a], SE: math.NaN(), CI: noInterval(), Test: noTest()})
		}
		return res, nil
	}
	P, _ := v.Dims()
	jac := mat.NewDense(m, P, nil)
	for a, row := range r.jac {
		if row != nil {
			jac.SetRow(a, row)
		}
	}
	var jv, ifp mat.Dense
	jv.Mul(jac, v)
	ifp.Mul(score, jv.T()) // pattern × estimate
	res.Influence = mat.NewDense(len(d.unit), m, nil)
	root := d.kind == estimate.Frequency
	for i, p := range of {
		if p < 0 {
			continue
		}
		w := d.weight[i]
		if root { // w persons in one row: their squares add up to that of √w
			w = math.Sqrt(w)
		}
		dst, src := res.Influence.RawRowView(i), ifp.RawRowView(int(p))
		for a := range dst {
			dst[a] = w * src[a]
		}
	}
	if d.cluster == nil && d.kind != estimate.Sampling && d.kind != estimate.Matching {
		var cov mat.Dense
		cov.Mul(&jv, jac.T())
		res.Cov = mat.NewSymDense(m, nil)
		for a := range m {
			for b := a; b < m; b++ {
				res.Cov.SetSym(a, b, (cov.At(a, b)+cov.At(b, a))/2)
			}
		}
		res.Details["vcov"] = "inverse observed information"
	} else {
		order := make([]int32, 0, len(d.order))
		for _, i := range d.order {
			order = append(order, int32(i))
		}
		var err error
		if res.Cov, res.N.Clusters, err = survive.Covariance(res.Influence, order, d.cluster, workers); err != nil {
			return nil, err
		}
		if d.cluster == nil {
			res.N.Clusters = 0
		} else if res.N.Clusters < fewClusters {
			d.note("few-clusters", "Few clusters: the sandwich variance and its normal intervals are too small.", map[string]any{"clusters": res.N.Clusters})
		}
		res.Details["vcov"] = "influence function (sandwich)"
	}
	for a := range m {
		if r.jac[a] == nil {
			res.Estimates = append(res.Estimates, estimate.Estimate{Term: r.terms[a], Measure: r.measures[a], Value: r.values[a], SE: math.NaN(), CI: noInterval(), Test: noTest()})
			continue
		}
		e := estimate.Wald(r.terms[a], r.measures[a], r.values[a], math.Sqrt(res.Cov.At(a, a)), math.Inf(1), d.level)
		if e.Measure == TraitVariance { // above 0: an interval on the log, and no test of 0
			e.Test = noTest()
			if e.HasSE() {
				e.CI = logInterval(LogRatio{math.Log(e.Value), e.SE / e.Value}, d.level)
			}
		}
		res.Estimates = append(res.Estimates, e)
	}
	return res, nil
}

// rows are the estimates in their documented order.
func (f *irtFit) rows() *irtRows {
	rows := &irtRows{}
	rows.items(f.m.items, f.m.parameters())
	rows.traits(f.m, f.d.groups)
	return rows
}

// result is the answer of a model of one wave.
func (f *irtFit) result(method string, workers int) (*estimate.Result, error) {
	fixed := false
	for _, it := range f.m.items {
		if fixed = it.fixed; !fixed && it.a < 0 {
			f.d.reversed(it.name)
		}
	}
	if fixed {
		f.d.note("slopes-fixed", "In this model every slope is 1 and has no error; the variance of the trait is free instead.", nil)
	}
	res, err := f.rows().result(method, f.d, f.p.of, f.post.score, f.v, workers)
	if err != nil {
		return nil, err
	}
	res.Fit = f.conv
	s := TraitScores{Unit: f.d.unit, EAP: make([]float64, len(f.d.unit)), SE: make([]float64, len(f.d.unit))}
	for i, p := range f.p.of {
		s.EAP[i], s.SE[i] = math.NaN(), math.NaN()
		if p >= 0 {
			s.EAP[i], s.SE[i] = f.post.eap[p], f.post.sd[p]
		}
	}
	res.Details["scores"] = s
	f.describe(res)
	res.Notes = f.d.notes
	return res, nil
}

// describe adds what is said about the fit and the scale.
func (f *irtFit) describe(res *estimate.Result) {
	m, P := f.m, f.m.parameters()
	total := num.Sum(f.p.weight)
	mean := num.Dot(f.p.weight, f.post.eap) / total
	var between, within float64
	for i, w := range f.p.weight {
		e := f.post.eap[i] - mean
		between += float64(w * e * e)
		within += float64(w * f.post.sd[i] * f.post.sd[i])
	}
	between, within = between/(total-1), within/total
	res.Details["reliability"] = between / (between + within)
	t := m.latent[0]
	prior := num.NormalWeights(m.theta, t.mean(), t.sd())
	marginal := 0.0
	for q, w := range prior {
		i := m.information(m.theta[q]) * t.sd() * t.sd()
		marginal += float64(w * i / (1 + i))
	}
	res.Details["marginal_reliability"], res.Details["variance"] = marginal, t.sd()*t.sd()
	information, byItem := map[string]float64{}, map[string]map[string]float64{}
	categories, intercepts := map[string][]float64{}, map[string]map[string]Intercept{}
	for _, it := range m.items {
		byItem[it.name], intercepts[it.name] = map[string]float64{}, map[string]Intercept{}
		categories[it.name] = it.values
		for k, d := range it.d {
			se := math.NaN()
			if f.v != nil {
				at := it.par + k
				if !it.fixed {
					at++
				}
				se = math.Sqrt(f.v.At(at, at))
			}
			intercepts[it.name][fmt.Sprint("d", k+1)] = Intercept{d, se}
		}
	}
	for x := -3; x <= 3; x++ {
		information[fmt.Sprint(x)] = m.information(float64(x))
		for _, it := range m.items {
			byItem[it.name][fmt.Sprint(x)] = it.information(float64(x))
		}
	}
	res.Details["information"], res.Details["item_information"] = information, byItem
	res.Details["categories"], res.Details["intercepts"] = categories, intercepts
	res.Details["loglik"], res.Details["parameters"] = f.post.ll, P
	res.Details["aic"], res.Details["bic"] = -2*f.post.ll+2*float64(P), -2*f.post.ll+math.Log(total)*float64(P)
	res.Details["gradient_norm"], res.Details["patterns"] = f.conv.Tolerance, f.p.n
	res.Details["nodes"] = len(m.theta)
}

// information is that of the test at θ.
func (m *irtModel) information(theta float64) float64 {
	total := 0.0
	for _, it := range m.items {
		total += it.information(theta)
	}
	return total
}
