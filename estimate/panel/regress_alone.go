package panel

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// alone marks the columns that do not exist without one of the clusters: those that an eigenvector of eigenvalue 1 of its
// leverage H = W^½ z̃ A⁻¹ z̃'W^½ moves. ok is false if a cluster with as many rows as there are columns may be one of these.
func (s *sparse) alone() (alone []bool, ok bool) {
	l, k := s.l, s.k
	alone = make([]bool, k)
	members := make([][]int, l.clusters)
	rows := make([]int, l.clusters)
	for u, c := range l.cluster {
		members[c] = append(members[c], u)
		rows[c] += s.first[u+1] - s.first[u]
	}
	for c, units := range members {
		if rows[c] < k {
			s.aloneIn(units, rows[c], alone)
			continue
		}
		a := make([]float64, k*k)
		at := s.marks()
		in := map[int]bool{}
		for _, u := range units {
			in[u] = true
		}
		for u := range l.names {
			if !in[u] {
				s.addGram(a, u, at, nil)
			}
		}
		var chol mat.Cholesky
		if !chol.Factorize(s.scaled(a)) || chol.Cond() > 1e3*wellConditioned {
			return nil, false
		}
	}
	return alone, true
}

// aloneIn does so for one cluster of n rows, in the columns that its rows have.
func (s *sparse) aloneIn(units []int, n int, alone []bool) {
	l := s.l
	at := s.marks() // place of a column among them
	var columns []int
	for _, u := range units {
		for i := s.first[u]; i < s.first[u+1]; i++ {
			for _, c := range s.rows[i] {
				if at[c.column] < 0 {
					at[c.column] = len(columns)
					columns = append(columns, c.column)
				}
			}
		}
	}
	if len(columns) == 0 {
		return
	}
	z := mat.NewDense(n, len(columns), nil) // W^½ z̃
	row, mean := 0, make([]float64, len(columns))
	for _, u := range units {
		clear(mean)
		for i := s.first[u]; i < s.first[u+1]; i++ {
			for _, c := range s.rows[i] {
				mean[at[c.column]] += float64(l.weight(i) * c.value / s.weight[u])
			}
		}
		for i := s.first[u]; i < s.first[u+1]; i++ {
			to, root := z.RawRowView(row), math.Sqrt(l.weight(i))
			for j, v := range mean {
				to[j] = -float64(root * v)
			}
			for _, c := range s.rows[i] {
				to[at[c.column]] += float64(root * c.value)
			}
			row++
		}
	}
	inner := mat.NewDense(len(columns), len(columns), nil)
	for a, i := range columns {
		for b, j := range columns {
			inner.Set(a, b, s.inverse.At(i, j))
		}
	}
	var half, h mat.Dense
	half.Mul(z, inner)
	h.Mul(&half, z.T())
	if mat.Trace(&h) <= 1-1e-9 {
		return
	}
	lever, rest := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			lever.SetSym(i, j, h.At(i, j))
			rest.SetSym(i, j, -h.At(i, j))
		}
		rest.SetSym(i, i, 1-h.At(i, i))
	}
	var chol mat.Cholesky
	if chol.Factorize(rest) && chol.Cond() < 1e6 {
		return
	}
	var eig mat.EigenSym
	if !eig.Factorize(lever, true) {
		panic("panel: eigenvalues of a symmetric matrix did not converge")
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	var moved mat.VecDense
	for j, lambda := range eig.Values(nil) {
		if lambda < 1-1e-9 {
			continue
		}
		moved.MulVec(z.T(), v.ColView(j))
		for i := range alone {
			x := 0.0
			for b, c := range columns {
				x += float64(s.inverse.At(i, c) * moved.AtVec(b))
			}
			alone[i] = alone[i] || math.Abs(x) > 1e-6*math.Sqrt(s.inverse.At(i, i))
		}
	}
}
