package progress

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// irtPatterns are the different sets of answers, sorted, each with the weight of its persons.
// Neighbours share their first answers, whose products are computed once.
type irtPatterns struct {
	n, columns int
	cell       []int32 // n×columns; −1 = no answer
	group      []int32
	weight     []float64
	of         []int32 // of each person, the pattern; −1 = none
}

// patterns collapses persons.
func (d *irtData) patterns() *irtPatterns {
	p := &irtPatterns{columns: len(d.columns), of: make([]int32, len(d.unit))}
	for i := range p.of {
		p.of[i] = -1
	}
	for r, i := range d.order {
		if r == 0 || d.key[i] != d.key[d.order[r-1]] {
			p.n++
			p.group = append(p.group, int32(d.group[i]))
			p.weight = append(p.weight, 0)
			for _, col := range d.columns {
				at := int32(-1)
				if col.x[i] >= 0 {
					at = int32(d.items[col.item].cell) + int32(col.x[i])
				}
				p.cell = append(p.cell, at)
			}
		}
		p.weight[p.n-1] += d.weight[i]
		p.of[i] = int32(p.n - 1)
	}
	return p
}

// irtTables are the model at the nodes.
type irtTables struct {
	nq    int
	prob  [][]float64 // cell → node
	prior [][]float64 // group → node
}

func flat(rows, nq int) ([]float64, [][]float64) {
	all := make([]float64, rows*nq)
	out := make([][]float64, rows)
	for r := range out {
		out[r] = all[r*nq : (r+1)*nq : (r+1)*nq]
	}
	return all, out
}

func (m *irtModel) tables() *irtTables {
	t := &irtTables{nq: len(m.theta)}
	_, t.prob = flat(m.cells, t.nq)
	for _, it := range m.items {
		it.probabilities(m.theta, t.prob[it.cell:it.cell+it.cats])
	}
	for _, g := range m.latent {
		t.prior = append(t.prior, num.NormalWeights(m.theta, g.mean(), g.sd()))
	}
	return t
}

// irtPath holds the products along the answers of a pattern. A product that becomes tiny is
// raised by 2^300; up counts how often.
type irtPath struct {
	t    *irtTables
	p    *irtPatterns
	prod [][]float64
	up   []int
	last int // pattern before, −1 at the start
}

func newIRTPath(t *irtTables, p *irtPatterns) *irtPath {
	_, prod := flat(p.columns+1, t.nq)
	return &irtPath{t: t, p: p, prod: prod, up: make([]int, p.columns+1), last: -1}
}

// shared is how many first answers two patterns have in common; −1 if not even the group.
func (p *irtPatterns) shared(i, j int) int {
	if i < 0 || j < 0 || p.group[i] != p.group[j] {
		return -1
	}
	c, a, b := 0, p.cell[i*p.columns:(i+1)*p.columns], p.cell[j*p.columns:(j+1)*p.columns]
	for c < len(a) && a[c] == b[c] {
		c++
	}
	return c
}

const rescale = 300

// go to pattern i; the likelihood times prior by node, its total and the log of it.
func (w *irtPath) step(i int) (prod []float64, total, log float64) {
	from := w.p.shared(w.last, i)
	w.last = i
	if from < 0 {
		copy(w.prod[0], w.t.prior[w.p.group[i]])
		from = 0
	}
	cells := w.p.cell[i*w.p.columns : (i+1)*w.p.columns]
	for c := from; c < len(cells); c++ {
		a, b := w.prod[c], w.prod[c+1]
		w.up[c+1] = w.up[c]
		if cells[c] < 0 {
			copy(b, a)
			continue
		}
		pr := w.t.prob[cells[c]]
		pr, a = pr[:len(b)], a[:len(b)]
		for q := range b {
			b[q] = a[q] * pr[q]
		}
		if (c+1)%8 == 0 {
			if top := floats.Max(b); top > 0 && top < math.Ldexp(1, -rescale) {
				floats.Scale(math.Ldexp(1, rescale), b)
				w.up[c+1]++
			}
		}
	}
	prod = w.prod[len(cells)]
	total = floats.Sum(prod)
	return prod, total, math.Log(total) - float64(w.up[len(cells)]*rescale)*math.Ln2
}

// maxPairs is the largest table of pairs of answers by node; where it would be larger, the products
// are summed person by person.
const maxPairs = 1 << 24

const irtChunk = 512 // patterns; a constant, so that rounding never depends on workers

// expect is the log likelihood and the expected number of answers in each cell, and of
// persons in each group, by node.
func (m *irtModel) expect(p *irtPatterns, workers int) (ll float64, cell, group [][]float64) {
	t := m.tables()
	rows := m.cells + len(m.latent)
	size := rows*t.nq + 1
	chunks := (p.n + irtChunk - 1) / irtChunk
	parts := make([][]float64, chunks)
	num.ForEach(chunks, workers, func(c int) {
		acc := make([]float64, size)
		lo, hi := c*irtChunk, min((c+1)*irtChunk, p.n)
		path := newIRTPath(t, p)
		_, tail := flat(p.columns+1, t.nq) // posteriors of the patterns that share a beginning
		at := func(r int) []float64 { return acc[r*t.nq : (r+1)*t.nq] }
		before := -1
		for i := lo; i < hi; i++ {
			prod, total, log := path.step(i)
			acc[size-1] += float64(p.weight[i] * log)
			f := p.weight[i] / total
			next := -1
			if i+1 < hi {
				next = p.shared(i, i+1)
			}
			own := max(before, next, 0)
			cells := p.cell[i*p.columns : (i+1)*p.columns]
			for c := own; c < p.columns; c++ {
				if cells[c] >= 0 {
					floats.AddScaled(at(int(cells[c])), f, prod)
				}
			}
			floats.AddScaled(tail[own], f, prod)
			for d := own; d > next; d-- {
				if d == 0 {
					floats.Add(at(m.cells+int(p.group[i])), tail[0])
				} else {
					if cells[d-1] >= 0 {
						floats.Add(at(int(cells[d-1])), tail[d])
					}
					floats.Add(tail[d-1], tail[d])
				}
				clear(tail[d])
			}
			before = next
		}
		parts[c] = acc
	})
	sum := num.AddParts(parts, size)
	for r := range rows {
		row := sum[r*t.nq : (r+1)*t.nq]
		if r < m.cells {
			cell = append(cell, row)
		} else {
			group = append(group, row)
		}
	}
	return sum[size-1], cell, group
}

// irtPosterior is what the posterior of each pattern gives.
type irtPosterior struct {
	eap, sd []float64
	score   *mat.Dense // n×parameters: the expected score, the derivative of log P(pattern)
	info    *mat.SymDense
	grad    []float64
	ll      float64
}

// posterior computes scores and, with louis, the observed information
//
//	−Σ w_i·{E_i[∂²ℓ] + E_i[s s'] − E_i[s] E_i[s]'}
//
// (Louis 1982), E_i over the posterior of pattern i: exact for the quadrature. E_i[s s']
// between items is summed from the expected counts of pairs of answers by node.
func (m *irtModel) posterior(p *irtPatterns, louis bool, workers int) *irtPosterior {
	t := m.tables()
	sc := m.scores()
	P := m.parameters()
	out := &irtPosterior{eap: make([]float64, p.n), sd: make([]float64, p.n), score: mat.NewDense(p.n, max(P, 1), nil)}
	rows := m.cells + len(m.latent) // the group is one more answer
	pairs, blocks := 0, 8
	table := louis && rows*rows*t.nq <= maxPairs
	if table {
		pairs = rows * rows
		blocks = min(blocks, max(2, 2*maxPairs/(pairs*t.nq)))
	}
	size := (pairs+rows)*t.nq + P*P + 1
	each := (p.n + blocks - 1) / blocks
	parts := make([][]float64, blocks)
	num.ForEach(blocks, workers, func(b int) {
		acc := make([]float64, size)
		lo, hi := min(b*each, p.n), min((b+1)*each, p.n)
		path := newIRTPath(t, p)
		post, row := make([]float64, t.nq), make([]float64, t.nq)
		cells := make([]int, 0, p.columns+1)
		for i := lo; i < hi; i++ {
			prod, total, log := path.step(i)
			acc[size-1] += float64(p.weight[i] * log)
			floats.ScaleTo(post, 1/total, prod)
			mean := floats.Dot(post, m.theta)
			square := 0.0
			for q, v := range post {
				e := m.theta[q] - mean
				square += float64(v * e * e)
			}
			out.eap[i], out.sd[i] = mean, math.Sqrt(square)
			cells = cells[:0]
			for _, c := range p.cell[i*p.columns : (i+1)*p.columns] {
				if c >= 0 {
					cells = append(cells, int(c))
				}
			}
			cells = append(cells, m.cells+int(p.group[i]))
			s := out.score.RawRowView(i)
			for _, c := range cells {
				for _, e := range sc[c] {
					s[e.par] += floats.Dot(post, e.by)
				}
			}
			if !louis {
				continue
			}
			for a, c := range cells {
				floats.AddScaled(acc[(pairs+c)*t.nq:(pairs+c+1)*t.nq], p.weight[i], post)
				if !table {
					for _, x := range sc[c] {
						floats.MulTo(row, post, x.by)
						for _, e := range cells[a+1:] {
							for _, y := range sc[e] {
								acc[(pairs+rows)*t.nq+x.par*P+y.par] -= float64(p.weight[i] * floats.Dot(row, y.by))
							}
						}
					}
					continue
				}
				for _, e := range cells[a+1:] {
					at := (c*rows + e) * t.nq
					floats.AddScaled(acc[at:at+t.nq], p.weight[i], post)
				}
			}
		}
		if louis && hi > lo && P > 0 {
			gram := blas64.Symmetric{N: P, Stride: P, Uplo: blas.Upper, Data: acc[(pairs+rows)*t.nq : size-1]}
			scaled := mat.NewDense(hi-lo, P, nil)
			for i := lo; i < hi; i++ {
				floats.ScaleTo(scaled.RawRowView(i-lo), math.Sqrt(p.weight[i]), out.score.RawRowView(i)[:P])
			}
			blas64.Syrk(blas.Trans, 1, scaled.RawMatrix(), 1, gram)
		}
		parts[b] = acc
	})
	sum := num.AddParts(parts, size)
	out.ll = sum[size-1]
	if !louis {
		return out
	}
	out.info = mat.NewSymDense(max(P, 1), nil)
	gram := sum[(pairs+rows)*t.nq : size-1]
	for a := range P {
		for b := a; b < P; b++ {
			out.info.SetSym(a, b, gram[a*P+b])
		}
	}
	sub := func(a, b int, v float64) { out.info.SetSym(a, b, out.info.At(a, b)-v) }
	at := func(r int) []float64 { return sum[r*t.nq : (r+1)*t.nq] }
	w := make([]float64, t.nq)
	for c := range rows {
		for x, e := range sc[c] { // within one item
			floats.MulTo(w, at(pairs+c), e.by)
			for _, f := range sc[c][x:] {
				sub(e.par, f.par, floats.Dot(w, f.by))
			}
		}
		for e := c + 1; table && e < rows; e++ {
			n := at(c*rows + e)
			for _, x := range sc[c] {
				floats.MulTo(w, n, x.by)
				for _, y := range sc[e] {
					if v := floats.Dot(w, y.by); x.par == y.par {
						sub(x.par, y.par, 2*v) // one parameter in both columns
					} else {
						sub(x.par, y.par, v)
					}
				}
			}
		}
	}
	cell := make([][]float64, rows)
	for c := range cell {
		cell[c] = at(pairs + c)
	}
	grad, hess := m.complete(cell[:m.cells], cell[m.cells:])
	out.grad = grad
	for a := range P {
		for b := a; b < P; b++ {
			sub(a, b, hess.At(a, b))
		}
	}
	return out
}
