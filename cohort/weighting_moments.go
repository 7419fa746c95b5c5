package cohort

import (
	"fmt"
	"math"

	"utfall/internal/num"
)

// momentSet says which columns beyond those of [Design] have their means balanced.
type momentSet struct {
	power        int // 1, 2 or 3
	interactions bool
}

// add appends to the columns of x, all taken as z = (x - mean)/SD (divisor n): z² and z³
// of numbers with more than two values ("column^2"), and the products of every two columns
// of different covariates ("a:b"). Those of which less than 1e-10 of the variance is
// their own, given the columns before, follow from them; they are left out and returned.
func (m momentSet) add(x *Matrix, workers int) (implied []string) {
	if m.power < 2 && !m.interactions {
		return nil
	}
	n, k := x.Rows, len(x.Columns)
	mean, sd := columnMoments(x.Values, n, k, workers)
	type term struct{ a, b, power int }
	var terms []term
	var columns []MatrixColumn
	for a, c := range x.Columns {
		if c.Level == "" && !twoValued(x.Values, n, k, a) {
			for p := 2; p <= m.power; p++ {
				terms = append(terms, term{a, -1, p})
				columns = append(columns, MatrixColumn{Name: fmt.Sprintf("%s^%d", c.Name, p), Source: c.Source})
			}
		}
	}
	if m.interactions {
		for a, c := range x.Columns {
			for b, e := range x.Columns[:a] {
				if c.Source != e.Source {
					terms = append(terms, term{b, a, 1})
					columns = append(columns, MatrixColumn{Name: e.Name + ":" + c.Name, Source: e.Source + ":" + c.Source})
				}
			}
		}
	}
	all := k + len(terms)
	v := make([]float64, n*all)
	num.ForChunks(n, workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			from, to := x.Values[i*k:(i+1)*k], v[i*all:(i+1)*all]
			copy(to, from)
			for j, t := range terms {
				z := (from[t.a] - mean[t.a]) / sd[t.a]
				w := z
				for range t.power - 1 {
					w *= z
				}
				if t.b >= 0 {
					w = z * (from[t.b] - mean[t.b]) / sd[t.b]
				}
				to[k+j] = w
			}
		}
	})
	x.Columns, x.Values = append(x.Columns, columns...), v
	return x.dropDependent(k, workers)
}

// dropDependent takes out the columns from first on that depend on those before.
func (x *Matrix) dropDependent(first, workers int) (names []string) {
	n, k := x.Rows, len(x.Columns)
	mean, sd := columnMoments(x.Values, n, k, workers)
	cross := num.SumChunks(n, k*k, workers, func(lo, hi int, acc []float64) {
		z := make([]float64, k)
		for i := lo; i < hi; i++ {
			for a, v := range x.Values[i*k : (i+1)*k] {
				z[a] = 0
				if sd[a] > 0 {
					z[a] = (v - mean[a]) / sd[a]
				}
				for b := 0; b <= a; b++ {
					acc[a*k+b] += float64(z[a] * z[b])
				}
			}
		}
	})
	l := make([]float64, k*k)
	keep := make([]bool, k)
	for a := range k {
		left := 1.0
		for b := range a {
			if !keep[b] {
				continue
			}
			s := cross[a*k+b] / float64(n)
			for c := range b {
				s -= float64(l[a*k+c] * l[b*k+c])
			}
			l[a*k+b] = s / l[b*k+b]
			left -= float64(l[a*k+b] * l[a*k+b])
		}
		if keep[a] = a < first || sd[a] > 1e-12 && left > 1e-10; !keep[a] {
			names = append(names, x.Columns[a].Name)
			clear(l[a*k : a*k+k])
			continue
		}
		l[a*k+a] = math.Sqrt(math.Max(left, 1e-10))
	}
	if len(names) == 0 {
		return nil
	}
	var columns []MatrixColumn
	for a, c := range x.Columns {
		if keep[a] {
			columns = append(columns, c)
		}
	}
	values := x.Values[:0]
	for i := range n {
		for a := range k {
			if keep[a] {
				values = append(values, x.Values[i*k+a])
			}
		}
	}
	x.Columns, x.Values = columns, values
	return names
}

// columnMoments are the means and the SDs, divisor n, in two passes.
func columnMoments(x []float64, n, k, workers int) (mean, sd []float64) {
	mean = num.SumChunks(n, k, workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, v := range x[i*k : (i+1)*k] {
				acc[j] += v
			}
		}
	})
	for j := range mean {
		mean[j] /= float64(n)
	}
	sd = num.SumChunks(n, k, workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			for j, v := range x[i*k : (i+1)*k] {
				acc[j] += float64((v - mean[j]) * (v - mean[j]))
			}
		}
	})
	for j := range sd {
		sd[j] = math.Sqrt(sd[j] / float64(n))
	}
	return mean, sd
}

// twoValued reports whether a column has two values at most: its powers say nothing new.
func twoValued(x []float64, n, k, j int) bool {
	first := x[j]
	var second float64
	found := false
	for i := range n {
		v := x[i*k+j]
		switch {
		case v == first || found && v == second:
		case found:
			return false
		default:
			second, found = v, true
		}
	}
	return true
}
