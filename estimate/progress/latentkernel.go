package progress

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

const (
	waveChunk   = 256 // patterns; a constant, so that rounding never depends on workers
	waveBlocks  = 16  // parts of the information
	waveStep    = 0.2 // distance of the nodes; halved where a posterior is narrower
	waveEM      = 12
	chordFactor = 0.02 // a step that shrinks less gets a new information matrix
)

// wavePatterns are the patterns of both waves: the first half of the columns is before.
type wavePatterns struct {
	irtPatterns
	half   int
	ranges [][3]int // chunks: group, from, to
}

func newWavePatterns(p *irtPatterns, size int) *wavePatterns {
	w := &wavePatterns{irtPatterns: *p, half: p.columns / 2}
	for lo := 0; lo < p.n; {
		hi := lo
		for hi < p.n && hi-lo < size && p.group[hi] == p.group[lo] {
			hi++
		}
		w.ranges = append(w.ranges, [3]int{int(p.group[lo]), lo, hi})
		lo = hi
	}
	return w
}

// product writes the product of the probabilities of the answers, raised by 2^(300·up).
func (t *waveTables) product(dst []float64, cells []int32) (up int) {
	for q := range dst {
		dst[q] = 1
	}
	for c, at := range cells {
		if at < 0 {
			continue
		}
		pr := t.prob[at][:len(dst)]
		for q := range dst {
			dst[q] *= pr[q]
		}
		if c%8 == 7 {
			if top := floats.Max(dst); top > 0 && top < math.Ldexp(1, -rescale) {
				floats.Scale(math.Ldexp(1, rescale), dst)
				up++
			}
		}
	}
	return up
}

// waveChunkResult is the likelihood of the patterns of a chunk: before·prior and after by
// node, their products with the transition, and the log likelihood.
type waveChunkResult struct {
	before, after *mat.Dense // n × node
	toAfter       *mat.Dense // before·next: by node of wave 2
	toBefore      *mat.Dense // after·next': by node of wave 1
	total, log    []float64
}

func (p *wavePatterns) likelihood(t *waveTables, r [3]int) *waveChunkResult {
	g, lo, hi := r[0], r[1], r[2]
	n := hi - lo
	c := &waveChunkResult{before: mat.NewDense(n, t.nq, nil), after: mat.NewDense(n, t.nq, nil),
		toAfter: mat.NewDense(n, t.nq, nil), toBefore: mat.NewDense(n, t.nq, nil), total: make([]float64, n), log: make([]float64, n)}
	up := make([]int, n)
	for i := range n {
		cells := p.cell[(lo+i)*p.columns : (lo+i+1)*p.columns]
		b := c.before.RawRowView(i)
		up[i] = t.product(b, cells[:p.half])
		floats.Mul(b, t.first[g])
		up[i] += t.product(c.after.RawRowView(i), cells[p.half:])
	}
	c.toAfter.Mul(c.before, t.next[g])
	c.toBefore.Mul(c.after, t.next[g].T())
	for i := range n {
		c.total[i] = floats.Dot(c.before.RawRowView(i), c.toBefore.RawRowView(i))
		c.log[i] = math.Log(c.total[i]) - float64(up[i]*rescale)*math.Ln2
	}
	return c
}

// expect is the log likelihood, the expected answers in each cell by node, and the expected
// persons of each group by nodes of both waves. Without counts only the likelihood.
func (m *waveModel) expect(p *wavePatterns, counts bool, workers int) (ll float64, t *waveTables, cell [][]float64, joint []*mat.Dense) {
	t = m.tables()
	rows, G := len(t.prob), m.groups()
	size := 1
	if counts {
		size += rows*t.nq + G*t.nq*t.nq
	}
	parts := make([][]float64, len(p.ranges))
	num.ForEach(len(p.ranges), workers, func(k int) {
		r := p.ranges[k]
		g, lo, hi := r[0], r[1], r[2]
		c := p.likelihood(t, r)
		acc := make([]float64, size)
		for i := range hi - lo {
			acc[size-1] += float64(p.weight[lo+i] * c.log[i])
		}
		parts[k] = acc
		if !counts {
			return
		}
		// toBefore and toAfter become posteriors, before becomes its share for the joint counts.
		for i := range hi - lo {
			f := p.weight[lo+i] / c.total[i]
			a, b := c.toBefore.RawRowView(i), c.toAfter.RawRowView(i)
			floats.Mul(a, c.before.RawRowView(i))
			floats.Mul(b, c.after.RawRowView(i))
			cells := p.cell[(lo+i)*p.columns : (lo+i+1)*p.columns]
			for col, at := range cells {
				if at < 0 {
					continue
				}
				post := a
				if col >= p.half {
					post = b
				}
				floats.AddScaled(acc[int(at)*t.nq:(int(at)+1)*t.nq], f, post)
			}
			floats.Scale(f, c.before.RawRowView(i))
		}
		at := rows*t.nq + g*t.nq*t.nq
		mat.NewDense(t.nq, t.nq, acc[at:at+t.nq*t.nq]).Mul(c.before.T(), c.after)
	})
	sum := num.AddParts(parts, size)
	if !counts {
		return sum[size-1], t, nil, nil
	}
	for r := range rows {
		cell = append(cell, sum[r*t.nq:(r+1)*t.nq])
	}
	for g := range G {
		at := rows*t.nq + g*t.nq*t.nq
		j := mat.NewDense(t.nq, t.nq, sum[at:at+t.nq*t.nq])
		j.MulElem(j, t.next[g])
		joint = append(joint, j)
	}
	return sum[size-1], t, cell, joint
}

// wavePosterior is what the posterior of each pattern gives.
type wavePosterior struct {
	eap, sd [2][]float64
	score   *mat.Dense    // pattern × (items + latent): expected score before the links
	info    *mat.SymDense // observed information before the links
	ll      float64
}

// posterior computes scores and the observed information (Louis 1982): as [irtModel.posterior], with
// the posterior over the nodes of both waves.
func (m *waveModel) posterior(p *wavePatterns, louis bool, workers int) *wavePosterior {
	_, t, cell, joint := m.expect(p, true, workers)
	size := m.own + m.latent()
	sc := make([][]irtScore, len(t.prob))
	for _, it := range m.items {
		copy(sc[it.cell:], it.scores(m.theta))
	}
	out := &wavePosterior{score: mat.NewDense(p.n, size, nil)}
	for w := range 2 {
		out.eap[w], out.sd[w] = make([]float64, p.n), make([]float64, p.n)
	}
	lat := make([][]*mat.Dense, m.groups())
	which := make([][]int, m.groups())
	for g := range lat {
		which[g], lat[g] = m.latentScores(t, g)
	}
	each := (len(p.ranges) + waveBlocks - 1) / waveBlocks
	parts := make([][]float64, waveBlocks)
	num.ForEach(waveBlocks, workers, func(b int) {
		w := &waveWorker{m: m, t: t, sc: sc, out: out, which: which, lat: lat, acc: make([]float64, size*size+1), size: size, louis: louis}
		w.init()
		for k := b * each; k < min((b+1)*each, len(p.ranges)); k++ {
			c := p.likelihood(t, p.ranges[k])
			for i := range c.total {
				w.person(p, c, p.ranges[k], i)
			}
		}
		parts[b] = w.acc
	})
	sum := num.AddParts(parts, size*size+1)
	out.ll = sum[size*size]
	if !louis {
		return out
	}
	row := make([]float64, t.nq)
	// E[s s'] of the latent parameters from the joint counts of all persons.
	for g, by := range lat {
		for l := range by {
			for k := l; k < len(by); k++ {
				v := 0.0
				for q := range t.nq {
					floats.MulTo(row, joint[g].RawRowView(q), by[l].RawRowView(q))
					v += floats.Dot(row, by[k].RawRowView(q))
				}
				a, b := m.own+which[g][l], m.own+which[g][k]
				sum[min(a, b)*size+max(a, b)] += v
			}
		}
	}
	_, hess := m.complete(t, cell, joint)
	out.info = mat.NewSymDense(size, nil)
	for a := range size {
		for b := a; b < size; b++ {
			out.info.SetSym(a, b, -sum[a*size+b]-hess.At(a, b))
		}
	}
	return out
}

// waveWorker adds persons to Σ w·(E[s s'] − E[s] E[s]').
type waveWorker struct {
	m          *waveModel
	t          *waveTables
	sc         [][]irtScore
	out        *wavePosterior
	which      [][]int
	lat        [][]*mat.Dense
	acc        []float64
	size       int
	louis      bool
	post       *mat.Dense // joint posterior
	one        [2][]float64
	rows       [2][]irtScore
	y, z       []float64
	r1, r2, sl []float64
}

func (w *waveWorker) init() {
	nq := w.t.nq
	w.post = mat.NewDense(nq, nq, nil)
	w.one = [2][]float64{make([]float64, nq), make([]float64, nq)}
	w.y, w.z, w.r1, w.r2, w.sl = make([]float64, nq), make([]float64, nq), make([]float64, nq), make([]float64, nq), make([]float64, nq)
}

func (w *waveWorker) add(a, b int, v float64) {
	if a > b {
		a, b = b, a
	}
	w.acc[a*w.size+b] += v
}

func (w *waveWorker) person(p *wavePatterns, c *waveChunkResult, r [3]int, i int) {
	g, row := r[0], r[1]+i
	weight, theta := p.weight[row], w.m.theta
	w.acc[w.size*w.size] += float64(weight * c.log[i])
	floats.MulTo(w.one[0], c.before.RawRowView(i), c.toBefore.RawRowView(i))
	floats.MulTo(w.one[1], c.after.RawRowView(i), c.toAfter.RawRowView(i))
	s := w.out.score.RawRowView(row)
	for v := range 2 {
		floats.Scale(1/c.total[i], w.one[v])
		mean, square := floats.Dot(w.one[v], theta), 0.0
		for q, x := range w.one[v] {
			e := theta[q] - mean
			square += float64(x * e * e)
		}
		w.out.eap[v][row], w.out.sd[v][row] = mean, math.Sqrt(square)
		w.rows[v] = w.rows[v][:0]
		for col := v * p.half; col < (v+1)*p.half; col++ {
			if at := p.cell[row*p.columns+col]; at >= 0 {
				w.rows[v] = append(w.rows[v], w.sc[at]...)
			}
		}
		for _, x := range w.rows[v] {
			s[x.par] += floats.Dot(w.one[v], x.by)
		}
	}
	// The joint posterior.
	after := c.after.RawRowView(i)
	for q, b := range c.before.RawRowView(i) {
		dst := w.post.RawRowView(q)
		floats.MulTo(dst, w.t.next[g].RawRowView(q), after)
		floats.Scale(b/c.total[i], dst)
	}
	own := w.m.own
	for l, by := range w.lat[g] {
		clear(w.r2)
		for q := range w.r1 {
			floats.MulTo(w.sl, w.post.RawRowView(q), by.RawRowView(q))
			w.r1[q] = floats.Sum(w.sl)
			floats.Add(w.r2, w.sl)
		}
		at := own + w.which[g][l]
		s[at] += floats.Sum(w.r1)
		if !w.louis {
			continue
		}
		for _, x := range w.rows[0] {
			w.add(x.par, at, weight*floats.Dot(x.by, w.r1))
		}
		for _, x := range w.rows[1] {
			w.add(x.par, at, weight*floats.Dot(x.by, w.r2))
		}
	}
	if !w.louis {
		return
	}
	for v := range 2 {
		for a, x := range w.rows[v] {
			floats.MulTo(w.y, w.one[v], x.by)
			for _, e := range w.rows[v][a:] {
				w.add(x.par, e.par, weight*floats.Dot(w.y, e.by))
			}
		}
	}
	for _, e := range w.rows[1] {
		for q := range w.y {
			w.y[q] = floats.Dot(w.post.RawRowView(q), e.by)
		}
		for _, x := range w.rows[0] {
			w.add(x.par, e.par, weight*floats.Dot(w.y, x.by))
		}
	}
	for a, x := range s {
		if x == 0 {
			continue
		}
		for b := a; b < len(s); b++ {
			w.acc[a*w.size+b] -= float64(weight * x * s[b])
		}
	}
}
