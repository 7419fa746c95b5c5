package effect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// covariance returns the covariance of the kept coefficients in the coordinates z =
// R⁻ᵀx, in which the bread is the identity, and the degrees of freedom per
// coefficient. It sets the solution's clusters, vcov text and notes.
func (l *linear) covariance(s *solution) (*mat.SymDense, []float64, error) {
	q := s.fit.Rank
	s.vcov = vcovText[l.vcov]
	open := s.units - float64(s.params)
	plain := repeat(open, q)
	if l.normal {
		plain = repeat(math.Inf(1), q)
	}
	switch {
	case l.vcov == IID:
		sigma2 := s.fit.RSS / open
		if l.dispersion > 0 {
			sigma2 = l.dispersion
		}
		inner := mat.NewSymDense(q, nil)
		for i := range q {
			inner.SetSym(i, i, sigma2)
		}
		return inner, plain, nil
	case l.vcov == Spatial:
		inner, err := l.meatConley(s)
		return inner, plain, err
	case !l.vcov.clustered():
		inner, err := l.meatHC(s)
		return inner, plain, err
	}
	if l.second != nil {
		return l.twoWay(s)
	}
	sets, g := dense(l.cluster)
	s.clusters = g
	rows := rowsOf(sets, g)
	if err := l.checkClusters(s, g); err != nil {
		return nil, nil, err
	}
	if l.vcov == CR2 {
		return l.meatCR2(s, rows)
	}
	inner, err := l.meatCR(s, rows)
	if err != nil {
		return nil, nil, err
	}
	inner.ScaleSym(l.clusterFactor(s, g), inner)
	if l.rawY != nil && l.vcov == CR1 {
		s.vcov += "; absorbed effects nested in clusters are counted once in K"
	}
	return inner, repeat(float64(g-1), q), nil
}

// clusterFactor is the finite-sample factor of a clustered covariance with g clusters.
func (l *linear) clusterFactor(s *solution, g int) float64 {
	gf := float64(g)
	switch l.vcov {
	case CR1, Wild:
		k := float64(s.fit.Rank + l.absorbedOpen)
		return gf / (gf - 1) * (s.units - 1) / (s.units - k)
	case Jackknife:
		return (gf - 1) / gf
	}
	return 1
}

// meatHC returns Σ w²e²zz' with the leverage correction of hc2, hc3 and hc4 and the
// factor of hc1. A frequency weight counts its copies: Σ w·e²zz' and the leverage
// of one copy.
func (l *linear) meatHC(s *solution) (*mat.SymDense, error) {
	q := s.fit.Rank
	lever := l.vcov == HC2 || l.vcov == HC3 || l.vcov == HC4
	bad := make([]int, (l.n+num.Chunk-1)/num.Chunk)
	sum := num.SumChunks(l.n, q*(q+1)/2, l.workers, func(lo, hi int, acc []float64) {
		p := num.NewRowPanel(q)
		f, h := make([]float64, num.PanelRows), make([]float64, num.PanelRows)
		for at := lo; at < hi; at += num.PanelRows {
			n := min(num.PanelRows, hi-at)
			p.Load(l.x[at*l.k:], n, l.k, s.fit.Kept)
			p.SolveTransposed(s.fit.R)
			if lever {
				p.Squares(h)
			}
			for r := range n {
				e := l.factor(s, at+r)
				f[r] = e * e
				if l.kind == estimate.Frequency {
					f[r] /= l.weight[at+r]
				}
				if lever {
					by, ok := l.correction(s, at+r, h[r])
					if !ok {
						bad[lo/num.Chunk]++
					}
					f[r] *= by
				}
			}
			p.AddOuter(f, acc)
			if l.spent {
				l.influenceOf(s, at, n, p, f, l.x)
			}
		}
	})
	if l.spent {
		s.influence = l.x
	}
	count := 0
	for _, b := range bad {
		count += b
	}
	if count > 0 {
		return nil, fmt.Errorf("%w: vcov %s: %d rows alone determine a coefficient (leverage 1); use hc1, or drop the columns that single them out", estimate.ErrNotIdentified, l.vcov, count)
	}
	if l.vcov == HC1 {
		f := s.units / (s.units - float64(s.params))
		for i := range sum {
			sum[i] *= f
		}
	}
	return symmetric(sum, q), nil
}

// correction is what the square of a residual is multiplied by under hc2, hc3 and hc4, with the row's
// zz; false where the row alone determines a coefficient.
func (l *linear) correction(s *solution, r int, h float64) (float64, bool) {
	if l.kind != estimate.Frequency {
		h *= l.w(r)
	}
	if l.hat != nil {
		h += l.hat[r]
	}
	rest := 1 - h
	switch {
	case rest < 1e-10:
		return 0, false
	case l.vcov == HC2:
		return 1 / rest, true
	case l.vcov == HC3:
		return 1 / (rest * rest), true
	}
	return math.Pow(rest, -math.Min(4, s.units*h/float64(s.params))), true
}

// meatCR returns Σ s̃s̃' over clusters, s̃ = Z'We for cr0 and cr1 and (I-N)⁻¹Z'We,
// N = Z'WZ of the cluster, for cr3 and the jackknife: by Woodbury Z'W(I-H)⁻¹e, which
// is what leaving the cluster out takes from the coefficients.
func (l *linear) meatCR(s *solution, rows [][]int) (*mat.SymDense, error) {
	q := s.fit.Rank
	bad := make([]int, (len(rows)+num.Chunk-1)/num.Chunk)
	sum := num.SumChunks(len(rows), q*(q+1)/2, l.workers, func(lo, hi int, acc []float64) {
		score, z := make([]float64, q), make([]float64, q)
		for c := lo; c < hi; c++ {
			clear(score)
			for _, r := range rows[c] {
				l.score(s, r, z)
				for i, v := range z {
					score[i] += v
				}
			}
			if l.vcov == CR3 || l.vcov == Jackknife {
				rest := l.gram(s, rows[c])
				for i := range q {
					for j := i; j < q; j++ {
						v := -rest.At(i, j)
						if i == j {
							v++
						}
						rest.SetSym(i, j, v)
					}
				}
				var eig mat.EigenSym
				if !eig.Factorize(rest, false) || eig.Values(nil)[0] < 1e-10 {
					bad[lo/num.Chunk]++
					continue
				}
				var chol mat.Cholesky
				chol.Factorize(rest)
				v := mat.NewVecDense(q, score)
				if err := chol.SolveVecTo(v, v); err != nil {
					bad[lo/num.Chunk]++
					continue
				}
			}
			addOuter(acc, score, 1)
		}
	})
	count := 0
	for _, b := range bad {
		count += b
	}
	if count > 0 {
		return nil, fmt.Errorf("%w: vcov %s: %d clusters alone determine a coefficient, of which no clustered error is valid; drop the columns that single them out, or hold the number against what other clusters give in their place (placebo, as fit synth --se placebo)", estimate.ErrNotIdentified, l.vcov, count)
	}
	return symmetric(sum, q), nil
}

// gram returns N = Σ w·zz' over the rows of a cluster.
func (l *linear) gram(s *solution, rows []int) *mat.SymDense {
	q := s.fit.Rank
	acc, z := make([]float64, q*(q+1)/2), make([]float64, q)
	for _, r := range rows {
		s.fit.Basis(l.x[r*l.k:(r+1)*l.k], z)
		addOuter(acc, z, l.w(r))
	}
	return symmetric(acc, q)
}

// addOuter adds f·zz' to a lower triangle by rows.
func addOuter(acc, z []float64, f float64) {
	at := 0
	for i, a := range z {
		fa := float64(f * a)
		for _, b := range z[:i+1] {
			acc[at] += float64(fa * b)
			at++
		}
	}
}

func symmetric(lower []float64, q int) *mat.SymDense {
	m := mat.NewSymDense(q, nil)
	at := 0
	for i := range q {
		for j := range i + 1 {
			m.SetSym(i, j, lower[at])
			at++
		}
	}
	return m
}

func repeat(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// rowsOf lists the rows of each cluster in row order.
func rowsOf(cluster []int, g int) [][]int {
	count := make([]int, g)
	for _, c := range cluster {
		count[c]++
	}
	all := make([]int, len(cluster))
	rows := make([][]int, g)
	at := 0
	for c, n := range count {
		rows[c] = all[at : at : at+n]
		at += n
	}
	for i, c := range cluster {
		rows[c] = append(rows[c], i)
	}
	return rows
}
