package survive

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// rates are exp(θ); generator is Q, in the upper left of an n×n matrix.
func (m *panelModel) rates(theta []float64) []float64 {
	q := make([]float64, len(theta))
	for a, v := range theta {
		q[a] = math.Exp(v)
	}
	return q
}

func (m *panelModel) generator(q []float64, n int) []float64 {
	out := make([]float64, n*n)
	for a, pair := range m.pairs {
		out[pair[0]*n+pair[1]] += q[a]
		out[pair[0]*n+pair[0]] -= q[a]
	}
	return out
}

// cell returns the likelihood of an interval and its derivatives by the rates.
func (m *panelModel) cell(x *panelExp, c panelCell, q, d, dd []float64) float64 {
	K := len(m.states)
	if c.to != m.death || c.from == m.death {
		at := c.from*K + c.to
		for a := range d {
			d[a] = x.d[a][at]
		}
		for a := range dd {
			dd[a] = x.dd[a][at]
		}
		return x.p[at]
	}
	like := 0.0
	clear(d)
	clear(dd)
	for e, pair := range m.pairs {
		if pair[1] != m.death {
			continue
		}
		at := c.from*K + pair[0]
		like += float64(x.p[at] * q[e])
		for a := range d {
			d[a] += float64(x.d[a][at] * q[e])
		}
		if d != nil {
			d[e] += x.p[at]
		}
		if dd == nil {
			continue
		}
		i := 0
		for a := range m.pairs {
			for b := a; b < len(m.pairs); b++ {
				dd[i] += float64(x.dd[i][at] * q[e])
				if b == e {
					dd[i] += x.d[a][at]
				}
				if a == e {
					dd[i] += x.d[b][at]
				}
				i++
			}
		}
	}
	return like
}

// evaluate returns the log likelihood at θ and, if full, gradient and information there.
func (m *panelModel) evaluate(theta []float64, full bool) (loglik float64, gradient []float64, info *mat.SymDense) {
	p, K := len(theta), len(m.states)
	q := m.rates(theta)
	Q := m.generator(q, K)
	order, width := 0, 1
	if full {
		order, width = 2, 1+p+p*(p+1)/2
	}
	acc := num.SumChunks(len(m.at)-1, width, m.e.Workers, func(lo, hi int, acc []float64) {
		x := newPanelExp(K, m.pairs, order)
		var d, dd []float64
		if full {
			d, dd = make([]float64, p), make([]float64, p*(p+1)/2)
		}
		for g := lo; g < hi; g++ {
			x.eval(Q, m.cells[m.at[g]].gap)
			for _, c := range m.cells[m.at[g]:m.at[g+1]] {
				like := m.cell(x, c, q, d, dd)
				acc[0] += float64(c.count * math.Log(like))
				i := 1 + p
				for a := range d {
					acc[1+a] += c.count * d[a] / like
					for b := a; b < p; b++ {
						acc[i] += c.count * (dd[i-1-p]/like - float64(d[a]/like*(d[b]/like)))
						i++
					}
				}
			}
		}
	})
	if !full {
		return acc[0], nil, nil
	}
	gradient, info = make([]float64, p), mat.NewSymDense(p, nil)
	i := 1 + p
	for a := range p {
		gradient[a] = q[a] * acc[1+a]
		for b := a; b < p; b++ {
			v := -float64(q[a] * q[b] * acc[i])
			if a == b {
				v -= gradient[a]
			}
			info.SetSym(a, b, v)
			i++
		}
	}
	return acc[0], gradient, info
}

// climb finds the maximum by Newton's method; where the information is not positive
// definite, in its eigenvectors with the sizes of the eigenvalues.
func (m *panelModel) climb(ctx context.Context) error {
	const most = 200
	p := len(m.theta)
	var vectors mat.Dense
	for m.iterations = 1; m.iterations <= most; m.iterations++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		m.loglik, m.gradient, m.info = m.evaluate(m.theta, true)
		if math.IsNaN(m.loglik) || math.IsInf(m.loglik, 0) {
			return fmt.Errorf("%w: the likelihood cannot be worked out", estimate.ErrNotConverged)
		}
		var eigen mat.EigenSym
		if !eigen.Factorize(m.info, true) {
			return fmt.Errorf("%w: the information has no eigenvalues", estimate.ErrNotConverged)
		}
		values := eigen.Values(nil)
		vectors.Reset()
		eigen.VectorsTo(&vectors)
		largest := 0.0
		for _, v := range values {
			largest = max(largest, math.Abs(v))
		}
		step := make([]float64, p)
		for k, v := range values {
			along := 0.0
			for a := range p {
				along += float64(vectors.At(a, k) * m.gradient[a])
			}
			along /= max(math.Abs(v), 1e-10*largest)
			for a := range p {
				step[a] += float64(along * vectors.At(a, k))
			}
		}
		m.step = 0
		for _, v := range step {
			m.step = max(m.step, math.Abs(v))
		}
		if values[0] > 0 && m.step < 1e-9 {
			return m.identified(values, &vectors)
		}
		scale := min(1, 2/m.step)
		next := make([]float64, p)
		for range 40 {
			for a := range p {
				next[a] = m.theta[a] + float64(scale*step[a])
			}
			if l, _, _ := m.evaluate(next, false); l >= m.loglik-1e-13*math.Abs(m.loglik) {
				break
			}
			scale /= 2
		}
		copy(m.theta, next)
		if err := m.bounded(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: largest step %.3g after %d; the least that the data tell is of %s", estimate.ErrNotConverged, m.step, most, m.flattest(&vectors))
}

// bounded says which intensity runs away: one by which not a hundred-thousandth move is
// expected in all the time that was observed, or at least 10 in the shortest interval, where P no longer depends on it.
func (m *panelModel) bounded() error {
	for a, pair := range m.pairs {
		from, to := m.states[pair[0]], m.states[pair[1]]
		switch q := math.Exp(m.theta[a]); {
		case q*m.exposed[pair[0]] < 1e-5:
			return fmt.Errorf("%w: the intensity of %s to %s runs to 0, so that the data show no such move at once; leave the transition out", estimate.ErrNotIdentified, from, to)
		case q*m.shorts > 10:
			return fmt.Errorf("%w: the intensity of %s to %s grows beyond all bounds; join the states, or leave the transition out", estimate.ErrNotIdentified, from, to)
		}
	}
	return nil
}

// identified refuses a maximum along which the likelihood is flat.
func (m *panelModel) identified(values []float64, vectors *mat.Dense) error {
	if values[0] > 1e-9*slices.Max(values) && values[0] > 1e-4 {
		return nil
	}
	return fmt.Errorf("%w: the data do not tell the intensities apart or fix their size: %s; leave transitions out", estimate.ErrNotIdentified, m.flattest(vectors))
}

// flattest names the transitions of the direction with the least information.
func (m *panelModel) flattest(vectors *mat.Dense) string {
	var names []string
	for a, pair := range m.pairs {
		if math.Abs(vectors.At(a, 0)) > 0.3 {
			names = append(names, m.states[pair[0]]+" to "+m.states[pair[1]])
		}
	}
	return strings.Join(names, ", ")
}

// scores are the derivatives by θ of each person's log likelihood.
func (m *panelModel) scores() *mat.Dense {
	p := len(m.theta)
	q := m.rates(m.theta)
	Q := m.generator(q, len(m.states))
	cells := make([]float64, len(m.cells)*p)
	x := newPanelExp(len(m.states), m.pairs, 1)
	for g := range len(m.at) - 1 {
		x.eval(Q, m.cells[m.at[g]].gap)
		for c := m.at[g]; c < m.at[g+1]; c++ {
			d := cells[c*p : c*p+p]
			like := m.cell(x, m.cells[c], q, d, nil)
			for a := range d {
				d[a] *= q[a] / like
			}
		}
	}
	out := mat.NewDense(len(m.person), p, nil)
	for i, rows := range m.rows {
		row := out.RawRowView(i)
		for _, c := range rows {
			plusAll(row, cells[c*p:c*p+p])
		}
	}
	return out
}
