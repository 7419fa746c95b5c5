package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// waveFit is a fitted two-wave model.
type waveFit struct {
	d     *irtData
	m     *waveModel
	p     *wavePatterns
	conv  estimate.Convergence
	post  *wavePosterior
	score *mat.Dense     // pattern × free
	v     *mat.SymDense  // covariance of the free parameters
	from  []int          // of each free parameter, the item or latent one that it starts from; −1 = 0
	at    map[string]int // free parameter of shift/ITEM and differ/ITEM
	equal bool           // one slope for all items
	freed map[string]bool
	free  []float64 // free parameters where the fit ended
}

// itemsOfWave is what may differ between the waves, by item, and whether all slopes are equal.
type itemsOfWave struct {
	shift, free, differ map[string]bool
	equal               bool
}

// newWaveFit lays out the items of both waves and links their parameters.
func newWaveFit(d *irtData, o itemsOfWave) *waveFit {
	f := &waveFit{d: d, at: map[string]int{}}
	G := len(d.groups)
	m := &waveModel{mean1: make([]float64, G), gamma: make([]float64, G), kappa: 0.6 / 0.64, omega: -1 / (2 * 0.64), step: waveStep}
	f.m = m
	// second is the index of the item of wave 2 for comparison people and for participants.
	second := make([][2]int, len(d.items))
	base := d.items
	m.items = append(m.items, base...)
	for j, it := range base {
		c := *it
		c.d = append([]float64{}, it.d...)
		m.items = append(m.items, &c)
		second[j] = [2]int{len(m.items) - 1, len(m.items) - 1}
	}
	for j, it := range base {
		if o.differ[it.name] && G > 1 {
			c := *it
			c.d = append([]float64{}, it.d...)
			m.items = append(m.items, &c)
			second[j][1] = len(m.items) - 1
		}
	}
	par, cell := 0, 0
	for _, it := range m.items {
		it.par, it.cell = par, cell
		par, cell = par+it.parameters(), cell+it.cats
	}
	m.own = par
	f.equal, f.freed = o.equal, o.free
	type entry struct {
		par, free int
		by        float64
	}
	var entries []entry
	param := func(start int) int {
		f.from = append(f.from, start)
		return len(f.from) - 1
	}
	slope := -1
	for j, it := range base {
		own := make([]int, it.parameters()) // free parameters of the item before
		after := make([]int, it.parameters())
		for l := range own {
			if l == 0 && o.equal {
				if slope < 0 {
					slope = param(it.par)
				}
				own[l], after[l] = slope, slope
				continue
			}
			own[l] = param(it.par + l)
			after[l] = own[l]
		}
		if o.free[it.name] {
			for l := range after {
				if l > 0 || !o.equal {
					after[l] = param(it.par + l)
				}
			}
		}
		shift, differ := -1, -1
		if o.shift[it.name] {
			shift = param(-1)
			f.at["shift/"+it.name] = shift
		}
		if second[j][1] != second[j][0] {
			differ = param(-1)
			f.at["differ/"+it.name] = differ
		}
		for l := range own {
			entries = append(entries, entry{it.par + l, own[l], 1})
			for g := range 2 {
				if g == 1 && differ < 0 {
					continue
				}
				v := m.items[second[j][g]]
				entries = append(entries, entry{v.par + l, after[l], 1})
				by := 1.0
				if !it.graded { // intercepts of partial credit add up
					by = float64(l)
				}
				if l > 0 && shift >= 0 {
					entries = append(entries, entry{v.par + l, shift, by})
				}
				if l > 0 && g == 1 {
					entries = append(entries, entry{v.par + l, differ, by})
				}
			}
		}
	}
	for l := range m.latent() {
		entries = append(entries, entry{m.own + l, param(m.own + l), 1})
	}
	m.link = mat.NewDense(m.own+m.latent(), len(f.from), nil)
	for _, e := range entries {
		m.link.Set(e.par, e.free, e.by)
	}
	p := d.patterns()
	for i := range p.n {
		for c := p.columns / 2; c < p.columns; c++ {
			at := &p.cell[i*p.columns+c]
			if *at < 0 {
				continue
			}
			j := d.columns[c].item
			*at += int32(m.items[second[j][min(int(p.group[i]), 1)]].cell - base[j].cell)
		}
	}
	f.p = newWavePatterns(p, waveChunk)
	return f
}

// point is the free parameters at the present items of wave 1 and the latent ones.
func (f *waveFit) point() []float64 {
	out := make([]float64, len(f.from))
	local := f.m.local()
	for a, from := range f.from {
		if from >= 0 {
			out[a] = local[from]
		}
	}
	return out
}

// em raises the likelihood with all items held equal: a start.
func (f *waveFit) em(ctx context.Context, workers int) error {
	m := f.m
	before := math.Inf(-1)
	for range waveEM {
		ll, t, cell, joint := m.expect(f.p, true, workers)
		if !(ll-before > 1e-5*math.Abs(ll)) && !math.IsInf(before, -1) {
			return nil
		}
		before = ll
		for _, v := range m.items[len(f.d.items):] { // every item after to its item before
			for j, it := range f.d.items {
				if it.name != v.name {
					continue
				}
				for k := range it.cats {
					floats.Add(cell[f.d.items[j].cell+k], cell[v.cell+k])
				}
			}
		}
		one := irtModel{items: f.d.items, theta: m.theta}
		one.maximise(cell, nil)
		if f.equal {
			f.d.equalSlopes()
		}
		m.regress(t, joint)
		m.get(f.point())
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// regress gives the latent distribution the moments of the expected persons.
func (m *waveModel) regress(t *waveTables, joint []*mat.Dense) {
	G := m.groups()
	n, x1, x2 := make([]float64, G), make([]float64, G), make([]float64, G)
	var s11, s12, s22, all float64
	for g := range G {
		for q, x := range m.theta {
			for r, w := range joint[g].RawRowView(q) {
				n[g] += w
				x1[g] += float64(w * x)
				x2[g] += float64(w * m.theta[r])
			}
		}
		if n[g] == 0 {
			continue
		}
		x1[g], x2[g] = x1[g]/n[g], x2[g]/n[g]
		all += n[g]
		for q, x := range m.theta {
			for r, w := range joint[g].RawRowView(q) {
				a, b := x-x1[g], m.theta[r]-x2[g]
				s11, s12, s22 = s11+float64(w*a*a), s12+float64(w*a*b), s22+float64(w*b*b)
			}
		}
	}
	beta := s12 / s11
	tau2 := max((s22-float64(beta*s12))/all, 0.01)
	m.kappa, m.omega = beta/tau2, -1/(2*tau2)
	for g := range G {
		if g > 0 {
			m.mean1[g] = x1[g]
		}
		m.gamma[g] = (x2[g] - float64(beta*x1[g])) / tau2
	}
}

// solve maximises the log likelihood: EM on coarse nodes, then Newton steps.
func (f *waveFit) solve(ctx context.Context, workers int) error {
	m := f.m
	one := irtModel{items: m.items}
	m.nodes(coarseStep)
	if err := f.em(ctx, workers); err != nil {
		return err
	}
	var info *mat.SymDense
	last := math.Inf(1)
	at := f.point()
	var ll, limit float64 // at the present point, on nodes up to limit; 0 = not computed
	var t *waveTables
	var cell [][]float64
	var joint []*mat.Dense
	for iter := 1; iter <= newtonMax; iter++ {
		if err := m.sane(); err != nil {
			return err
		}
		m.nodes(m.step)
		if top := m.theta[len(m.theta)-1]; limit != top {
			ll, t, cell, joint = m.expect(f.p, true, workers)
			limit = top
		}
		grad, hess := m.linked(m.complete(t, cell, joint))
		fresh := info == nil
		for {
			if info == nil {
				if iter <= coarseNewton {
					m.nodes(coarseStep)
				}
				_, info = m.linked(nil, m.posterior(f.p, true, workers).info)
				m.nodes(m.step)
			}
			delta, decrement := ascent(info, hess, grad)
			if delta == nil {
				return one.unidentified()
			}
			if decrement < 1e-16 {
				f.conv = estimate.Convergence{Converged: true, Iterations: iter, Tolerance: norm(grad)}
				f.free = at
				return nil
			}
			if !fresh && decrement > chordFactor*last { // the old information steers badly
				info, fresh = nil, true
				continue
			}
			last = decrement
			moved := false
			next := make([]float64, len(at))
			for half := 1.0; half > 1e-9 && !moved; half /= 2 {
				for a := range at {
					next[a] = at[a] + float64(half*delta[a])
				}
				if m.get(next); !m.valid() {
					continue
				}
				now, tables, c, j := m.expect(f.p, true, workers)
				// A step below the rounding of the log likelihood cannot raise it.
				if moved = now >= ll-1e-12*math.Abs(ll) || decrement < 1e-14*math.Abs(ll); moved {
					ll, t, cell, joint = now, tables, c, j
				}
			}
			if !moved {
				m.get(at)
				return one.stuck()
			}
			at = next
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return one.stuck()
}

// finish computes posteriors, scores and, with errors, the covariance.
func (f *waveFit) finish(ctx context.Context, errors bool, workers int) error {
	for {
		if err := f.solve(ctx, workers); err != nil {
			return err
		}
		f.orient()
		f.post = f.m.posterior(f.p, errors, workers)
		least := math.Sqrt(f.m.tau2())
		for w := range 2 {
			for _, s := range f.post.sd[w] {
				least = min(least, s)
			}
		}
		if least >= f.m.step || f.m.step < waveStep/4 {
			break
		}
		f.m.step /= 2
	}
	if !errors {
		return nil
	}
	_, info := f.m.linked(nil, f.post.info)
	var chol mat.Cholesky
	if !chol.Factorize(info) || chol.Cond() > 1e13 {
		one := irtModel{items: f.m.items}
		return one.unidentified()
	}
	free := len(f.from)
	f.v = mat.NewSymDense(free, nil)
	if err := chol.InverseTo(f.v); err != nil {
		return fmt.Errorf("%w: the covariance of the parameters", estimate.ErrNotIdentified)
	}
	f.score = mat.NewDense(f.p.n, free, nil)
	f.score.Mul(f.post.score, f.m.link)
	return nil
}

// orient turns the trait round if most slopes before are negative.
func (f *waveFit) orient() {
	slopes := make([]float64, 0, len(f.d.items))
	for _, it := range f.d.items {
		if it.fixed {
			return
		}
		slopes = append(slopes, it.a)
	}
	if !against(slopes) {
		return
	}
	for _, it := range f.m.items {
		it.a = -it.a
	}
	for g := range f.m.gamma {
		f.m.mean1[g], f.m.gamma[g] = -f.m.mean1[g], -f.m.gamma[g]
	}
	turned := f.point()
	for _, at := range f.at { // intercepts, and with them their shifts, stay as they are
		turned[at] = f.free[at]
	}
	f.free = turned
}

// equalSlopes gives all items the mean size of their slopes.
func (d *irtData) equalSlopes() {
	sum := 0.0
	for _, it := range d.items {
		sum += math.Abs(it.a)
	}
	for _, it := range d.items {
		it.a = sum / float64(len(d.items))
	}
}
