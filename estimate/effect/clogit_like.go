package effect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// clogitModel is the conditional likelihood of sets.
type clogitModel struct {
	x       []float64 // n×q, centred within sets and scaled
	y       []float64
	q       int
	set     []int
	rows    [][]int
	workers int
}

// within centres the columns in each set, which changes nothing but the digits, and
// scales them; columns constant within every set are collinear.
func (m *clogitModel) within(s *sample, workers int) (*standardised, error) {
	f := *s.frame
	n, k := len(s.rows), len(f.XNames)
	x := mat.NewDense(len(f.Y), k, nil)
	for _, rows := range m.rows {
		for j := range k {
			var mean float64
			first := f.X.At(s.rows[rows[0]], j)
			for _, i := range rows {
				mean += (f.X.At(s.rows[i], j) - first) / float64(len(rows))
			}
			for _, i := range rows {
				x.Set(s.rows[i], j, (f.X.At(s.rows[i], j)-first)-mean)
			}
		}
	}
	// What rounding leaves of a column that is constant within sets is no column.
	for j := range k {
		var left, size float64
		for i := range n {
			left = math.Max(left, math.Abs(x.At(s.rows[i], j)))
			size = math.Max(size, math.Abs(f.X.At(s.rows[i], j)))
		}
		if left <= 1e-13*size {
			for i := range n {
				x.Set(s.rows[i], j, 0)
			}
		}
	}
	f.X = x
	inner := *s
	inner.frame = &f
	d, err := standardise(&inner, false, workers)
	if err != nil {
		return nil, err
	}
	if len(d.kept) == 0 {
		return nil, fmt.Errorf("%w: no covariate varies within a set", estimate.ErrCollinear)
	}
	m.x, m.q = d.x, len(d.kept)
	return d, nil
}

// at adds the sets' log-likelihoods. With r_i = exp(x_i'β), B(m) the sum over subsets
// of m rows of the products of their r: B(j; 1…i) = B(j; 1…i-1) + r_i·B(j-1; 1…i-1),
// and the same recursion for its first and second derivatives.
func (m *clogitModel) at(theta []float64) (float64, []float64, []float64) {
	q := m.q
	tri := q * (q + 1) / 2
	s := num.SumChunks(len(m.rows), 1+q+tri, m.workers, func(lo, hi int, acc []float64) {
		for g := lo; g < hi; g++ {
			events := 0
			for _, i := range m.rows[g] {
				if m.y[i] == 1 {
					events++
					for j, x := range m.x[i*q : (i+1)*q] {
						acc[0] += float64(x * theta[j])
						acc[1+j] += x
					}
				}
			}
			logB, first, second := m.subsets(theta, m.rows[g], events)
			acc[0] -= logB
			for j := range q {
				acc[1+j] -= first[j]
				for h := 0; h <= j; h++ {
					acc[1+q+j*(j+1)/2+h] += second[j*(j+1)/2+h] - float64(first[j]*first[h])
				}
			}
		}
	})
	if math.IsNaN(s[0]) {
		return math.Inf(-1), nil, nil
	}
	return s[0], s[1 : 1+q], s[1+q:]
}

// subsets returns log B, B'/B and B”/B for subsets of m of the rows.
func (mo *clogitModel) subsets(theta []float64, rows []int, m int) (logB float64, first, second []float64) {
	q := mo.q
	width := 1 + q + q*(q+1)/2
	largest := math.Inf(-1)
	eta := make([]float64, len(rows))
	for a, i := range rows {
		for j, x := range mo.x[i*q : (i+1)*q] {
			eta[a] += float64(x * theta[j])
		}
		largest = math.Max(largest, eta[a])
	}
	b := make([]float64, (m+1)*width)
	b[0] = 1
	scale := 0.0 // log of what the table was divided by
	for a, i := range rows {
		r := math.Exp(eta[a] - largest)
		x := mo.x[i*q : (i+1)*q]
		for j := min(m, a+1); j >= 1; j-- {
			now, before := b[j*width:(j+1)*width], b[(j-1)*width:j*width]
			b0 := before[0]
			now[0] += float64(r * b0)
			for c := range q {
				now[1+c] += float64(r * (before[1+c] + float64(x[c]*b0)))
				for d := 0; d <= c; d++ {
					at := 1 + q + c*(c+1)/2 + d
					now[at] += float64(r * (before[at] + float64(x[c]*before[1+d]) + float64(x[d]*before[1+c]) + float64(float64(x[c]*x[d])*b0)))
				}
			}
		}
		// All entries may be divided by one number; the largest B decides when.
		big := 0.0
		for j := range m + 1 {
			big = math.Max(big, b[j*width])
		}
		if big > 1e200 {
			for j := range b {
				b[j] /= big
			}
			scale += math.Log(big)
		}
	}
	last := b[m*width:]
	first, second = make([]float64, q), make([]float64, len(last)-1-q)
	for j := range first {
		first[j] = last[1+j] / last[0]
	}
	for j := range second {
		second[j] = last[1+q+j] / last[0]
	}
	return math.Log(last[0]) + scale + float64(m)*largest, first, second
}

// scores are by row: y_i·x_i less the set's expectation divided evenly among its rows,
// so that they add up to the score of the set.
func (m *clogitModel) scores(theta []float64) []float64 {
	out := make([]float64, len(m.y)*m.q)
	num.ForEach(len(m.rows), m.workers, func(g int) {
		events := 0
		for _, i := range m.rows[g] {
			events += int(m.y[i])
		}
		_, first, _ := m.subsets(theta, m.rows[g], events)
		for _, i := range m.rows[g] {
			for j := range m.q {
				out[i*m.q+j] = m.y[i]*m.x[i*m.q+j] - first[j]/float64(len(m.rows[g]))
			}
		}
	})
	return out
}
