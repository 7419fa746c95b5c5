package effect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/table"
)

// twoWay is the covariance under two ways of clustering, V = V₁ + V₂ - V₁₂, V₁₂ that
// of the cells in which the two cross (Cameron, Gelbach and Miller 2011; Thompson
// 2011). cr1 multiplies all three by min(G₁,G₂)/(min-1)·(N-1)/(N-K), fixest's rule;
// t on min(G₁,G₂)-1.
func (l *linear) twoWay(s *solution) (*mat.SymDense, []float64, error) {
	first, g1 := dense(l.cluster)
	other, g2 := dense(l.second)
	cells := make([]int, l.n)
	for i := range cells {
		cells[i] = first[i]*g2 + other[i]
	}
	cells, g12 := dense(cells)
	q, g := s.fit.Rank, min(g1, g2)
	s.clusters = g
	if err := l.checkClusters(s, g); err != nil {
		return nil, nil, err
	}
	parts := make([]*mat.SymDense, 3)
	for i, c := range []struct {
		sets []int
		g    int
	}{{first, g1}, {other, g2}, {cells, g12}} {
		var err error
		if parts[i], err = l.meatCR(s, rowsOf(c.sets, c.g)); err != nil {
			return nil, nil, err
		}
	}
	total := parts[0]
	for a := range q {
		for b := a; b < q; b++ {
			total.SetSym(a, b, parts[0].At(a, b)+parts[1].At(a, b)-parts[2].At(a, b))
		}
	}
	total.ScaleSym(l.clusterFactor(s, g), total)
	s.vcov = fmt.Sprintf("%s, two ways: %d and %d clusters, G = %d", vcovText[l.vcov], g1, g2, g)
	return total, repeat(float64(g-1), q), nil
}

// nonNegative replaces negative eigenvalues of the covariance of the kept coefficients
// by 0, as sandwich and fixest do, and says so.
func (s *solution) nonNegative() {
	q := s.fit.Rank
	v := mat.NewSymDense(q, nil)
	for i, a := range s.fit.Kept {
		for j, b := range s.fit.Kept[:i+1] {
			v.SetSym(i, j, s.cov.At(a, b))
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(v, true) {
		panic("effect: eigenvalues of a symmetric matrix did not converge")
	}
	values := eig.Values(nil)
	if values[0] >= -1e-12*math.Abs(values[q-1]) {
		return
	}
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	for i, a := range s.fit.Kept {
		for j, b := range s.fit.Kept[:i+1] {
			var sum float64
			for h, x := range values {
				if x > 0 {
					sum += float64(x * float64(vectors.At(i, h)*vectors.At(j, h)))
				}
			}
			s.cov.SetSym(a, b, sum)
		}
		s.se[a] = math.Sqrt(math.Max(s.cov.At(a, a), 0))
	}
	s.notes = append(s.notes, table.Note{Code: "covariance-repaired",
		Text: "The covariance matrix had negative directions, as can happen where terms are subtracted; they are set to 0, which makes the errors larger."})
}
