package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// PlausibleShares counts who improved and who worsened by more than an important change between two waves,
// from plausible values ([PlausibleValues], [BeyondChange]), with errors that hold the model, its weights and the draws. With
// n_i = P(class | answers of i, group) at the parameters of the model, S = Σw·n/Σw the share of a group and s_i the score,
//
//	IF_i = w_i·(n_i − S)/Σw + (∂S/∂η)'·I⁻¹·w_i·s_i,  V = Σ IF² (clusters: G/(G−1)·Σ_c(Σ IF)²) + b/m
//
// b the variance between the m data sets, which given the answers are independent draws about S. All of IF_i is
// proportional to w_i, so that a model of the weights can be carried into it afterwards.
//
// Estimates: as [BeyondChange]. Details: those of BeyondChange, draw_variance (b/m, by estimate) and rubin_se (by estimate), the
// error of Rubin's rules, for comparison. Errors as [LatentChange], [PlausibleValues] and [BeyondChange].
//
// Robins and Wang (2000), Biometrika 87:113–124; Mislevy (1991).
type PlausibleShares struct {
	MIC       float64 // minimal important change, in units of the trait
	Draws     int     // data sets; 0 = 20
	Seed      uint64
	MinPerArm int // fewest persons per group; 0 means 15
	Workers   int // goroutines; 0 means all cores. Never changes a result
}

// Fit counts in the waves; change is the model and what may differ between the waves.
func (e PlausibleShares) Fit(ctx context.Context, w *Waves, change LatentChange) (*estimate.Result, error) {
	res, err := e.fit(ctx, w, change)
	if err != nil {
		return nil, fmt.Errorf("plausible shares: %w", err)
	}
	return res, nil
}

func (e PlausibleShares) fit(ctx context.Context, w *Waves, change LatentChange) (*estimate.Result, error) {
	if !(e.MIC > 0) || math.IsInf(e.MIC, 0) {
		return nil, invalid("the important change must be above 0")
	}
	if w.Treated == nil {
		return nil, invalid("shares are compared between two groups")
	}
	draw, err := PlausibleValues{Model: change.Model, Draws: e.Draws, Seed: e.Seed, Workers: e.Workers}.check(w.Weight)
	if err != nil {
		return nil, err
	}
	change.Model, change.NoErrors, change.Workers = draw.Model, false, e.Workers
	f, err := change.fitWaves(ctx, w)
	if err != nil {
		return nil, err
	}
	inf := f.shareInfluence(e.MIC, e.Workers)
	values, err := draw.drawWaves(ctx, f, w.Unit)
	if err != nil {
		return nil, err
	}
	moved := make([][]float64, len(values.Before))
	for k := range moved {
		moved[k] = make([]float64, len(w.Unit))
		floats.SubTo(moved[k], values.After[k], values.Before[k])
	}
	people := &Persons{Unit: w.Unit, Treated: w.Treated, Weight: w.Weight, Cluster: w.Cluster, Level: w.Level}
	res, err := BeyondChange{MIC: e.MIC, MinPerArm: e.MinPerArm, Workers: e.Workers}.fit(ctx, people, moved)
	if err != nil {
		return nil, err
	}
	order := make([]int32, 0, len(f.d.order))
	for _, i := range f.d.order {
		order = append(order, int32(i))
	}
	if res.Cov, res.N.Clusters, err = survive.Covariance(inf, order, f.d.cluster, e.Workers); err != nil {
		return nil, err
	}
	if f.d.cluster == nil {
		res.N.Clusters = 0
	}
	between, rubin := make([]float64, len(res.Estimates)), make([]float64, len(res.Estimates))
	for a, v := range e.spread(people, moved) {
		was := res.Estimates[a]
		between[a], rubin[a] = v, was.SE
		res.Estimates[a] = estimate.Wald(was.Term, was.Measure, was.Value, math.Sqrt(res.Cov.At(a, a)+v), math.Inf(1), w.Level)
		if was.Measure != NetImproved {
			res.Estimates[a].Test = noTest()
		}
	}
	res.Method, res.Influence, res.InfluenceUnit = "plausible-shares", inf, w.Unit
	res.Details["draw_variance"], res.Details["rubin_se"] = between, rubin
	return res, nil
}

// spread is b/m of each estimate.
func (e PlausibleShares) spread(p *Persons, change [][]float64) []float64 {
	var all [][]float64
	for _, c := range change {
		class, known := BeyondChange{MIC: e.MIC}.Classify(c)
		var in, up, down [2]float64
		for i := range class {
			if !known[i] {
				continue
			}
			g, w := 0, 1.0
			if p.Treated[i] {
				g = 1
			}
			if p.Weight.Values != nil {
				w = p.Weight.Values[i]
			}
			in[g] += w
			switch class[i] {
			case 1:
				up[g] += w
			case -1:
				down[g] += w
			}
		}
		all = append(all, shareRows(func(g int) float64 { return up[g] / in[g] }, func(g int) float64 { return down[g] / in[g] }))
	}
	m := float64(len(all))
	out := make([]float64, len(all[0]))
	for a := range out {
		mean := 0.0
		for _, v := range all {
			mean += v[a] / m
		}
		for _, v := range all {
			out[a] += float64((v[a]-mean)*(v[a]-mean)) / (m - 1) / m
		}
	}
	return out
}

// shareRows are the estimates of [BeyondChange] of two groups from the shares improved and worsened.
func shareRows(up, down func(g int) float64) []float64 {
	return []float64{up(1) - down(1) - up(0) + down(0), up(0), down(0), up(0) - down(0), up(1), down(1), up(1) - down(1)}
}

// shareInfluence is the influence function (n × estimates of [BeyondChange]) of the shares beyond a limit at the fit.
func (f *waveFit) shareInfluence(limit float64, workers int) *mat.Dense {
	s := f.shares(limit, workers)
	n := len(f.p.of)
	out := mat.NewDense(n, 7, nil)
	// The part of the model: score·V·∂S/∂η, by pattern.
	grad := mat.NewDense(4, len(f.from), nil)
	for k, g := range s.grad {
		free, _ := f.m.linked(g, nil)
		grad.SetRow(k, free)
	}
	var gv, model mat.Dense
	gv.Mul(grad, f.v)
	model.Mul(f.score, gv.T()) // pattern × (improved 0, worsened 0, improved 1, worsened 1)
	for i, p := range f.p.of {
		if p < 0 {
			continue
		}
		own := int(f.p.group[p])
		part := func(g, class int) float64 {
			v := model.At(int(p), 2*g+class)
			if g == own {
				v += (s.by[class][p] - s.mean[g][class]) / s.total[g]
			}
			return f.d.weight[i] * v
		}
		out.SetRow(i, shareRows(func(g int) float64 { return part(g, 0) }, func(g int) float64 { return part(g, 1) }))
	}
	return out
}

// modelShares are the shares improved (class 0) and worsened (1) of the groups at the fit.
type modelShares struct {
	by    [2][]float64  // class → pattern
	total [2]float64    // weight of the groups
	mean  [2][2]float64 // group → class
	grad  [4][]float64  // ∂mean/∂parameters before the links, by 2·group + class
}

func (f *waveFit) shares(limit float64, workers int) *modelShares {
	m, p := f.m, f.p
	t := m.tables()
	size := m.own + m.latent()
	sc := make([][]irtScore, len(t.prob))
	for _, it := range m.items {
		copy(sc[it.cell:], it.scores(m.theta))
	}
	var beyond [2]*mat.Dense
	h := m.theta[1] - m.theta[0]
	for class, sign := range []float64{1, -1} {
		beyond[class] = mat.NewDense(t.nq, t.nq, nil)
		for q, x := range m.theta {
			for r, y := range m.theta {
				beyond[class].Set(q, r, aboveInCells((sign*(y-x)-limit)/h))
			}
		}
	}
	s := &modelShares{by: [2][]float64{make([]float64, p.n), make([]float64, p.n)}}
	parts := make([][]float64, len(p.ranges))
	num.ForEach(len(p.ranges), workers, func(k int) {
		g, lo, hi := p.ranges[k][0], p.ranges[k][1], p.ranges[k][2]
		which, lat := m.latentScores(t, g)
		c := p.likelihood(t, p.ranges[k])
		acc := make([]float64, 2*(size+1)+1)
		post := mat.NewDense(t.nq, t.nq, nil)
		row, first, second, own := make([]float64, t.nq), make([]float64, t.nq), make([]float64, t.nq), make([]float64, size)
		for i := range hi - lo {
			w := p.weight[lo+i]
			after := c.after.RawRowView(i)
			for q, b := range c.before.RawRowView(i) {
				dst := post.RawRowView(q)
				floats.MulTo(dst, t.next[g].RawRowView(q), after)
				floats.Scale(b/c.total[i], dst)
			}
			// expected class and class·score, in the complete data, given the answers
			for class := range 2 {
				clear(second)
				clear(own)
				for q := range t.nq {
					floats.MulTo(row, post.RawRowView(q), beyond[class].RawRowView(q))
					first[q] = floats.Sum(row)
					floats.Add(second, row)
					for l, by := range lat {
						own[m.own+which[l]] += floats.Dot(row, by.RawRowView(q))
					}
				}
				for col, at := range p.cell[(lo+i)*p.columns : (lo+i+1)*p.columns] {
					if at < 0 {
						continue
					}
					side := first
					if col >= p.half {
						side = second
					}
					for _, x := range sc[at] {
						own[x.par] += floats.Dot(side, x.by)
					}
				}
				share := floats.Sum(first)
				s.by[class][lo+i] = share
				floats.AddScaled(own, -share, f.post.score.RawRowView(lo+i))
				dst := acc[class*(size+1) : (class+1)*(size+1)]
				floats.AddScaled(dst[:size], w, own)
				dst[size] += float64(w * share)
			}
			acc[2*(size+1)] += w
		}
		parts[k] = acc
	})
	for k, acc := range parts {
		g := p.ranges[k][0]
		s.total[g] += acc[2*(size+1)]
		for class := range 2 {
			if s.grad[2*g+class] == nil {
				s.grad[2*g+class] = make([]float64, size)
			}
			floats.Add(s.grad[2*g+class], acc[class*(size+1):class*(size+1)+size])
			s.mean[g][class] += acc[class*(size+1)+size]
		}
	}
	for g := range 2 {
		for class := range 2 {
			floats.Scale(1/s.total[g], s.grad[2*g+class])
			s.mean[g][class] /= s.total[g]
		}
	}
	return s
}

// aboveInCells is the probability that the difference of two values, each uniform in a cell, is above a limit that lies
// t widths of a cell under the difference of the cells' middles.
func aboveInCells(t float64) float64 {
	switch {
	case t <= -1:
		return 0
	case t <= 0:
		return (1 + t) * (1 + t) / 2
	case t < 1:
		return 1 - (1-t)*(1-t)/2
	}
	return 1
}
