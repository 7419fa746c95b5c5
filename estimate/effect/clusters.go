package effect

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// checkClusters refuses a single cluster and notes when g clusters are few, or fewer
// than the coefficients.
func (l *linear) checkClusters(s *solution, g int) error {
	if g < 2 {
		return fmt.Errorf("%w: clustered errors need at least 2 clusters, there is %d", estimate.ErrTooFew, g)
	}
	if g < 30 {
		s.notes = append(s.notes, table.Note{Code: "few-clusters",
			Text: fmt.Sprintf("Only %d clusters: clustered standard errors are too small when clusters are few; compare cr2 and the wild bootstrap.", g),
			Args: map[string]any{"clusters": g}})
	}
	if g <= s.fit.Rank {
		s.notes = append(s.notes, table.Note{Code: "clusters-below-coefficients",
			Text: fmt.Sprintf("%d clusters for %d coefficients: their joint covariance is singular, so that no joint test of all of them exists.", g, s.fit.Rank),
			Args: map[string]any{"clusters": g, "coefficients": s.fit.Rank}})
	}
	return nil
}

// concentration measures how evenly the clusters carry each coefficient. With
// t_r = w·c'Bx of row r, cluster g has γ_g = (Σ_{r∈g} t_r)² if errors within it move
// as one and γ_g = Σ t_r² if they are independent, and the effective number is
//
//	G* = G/(1 + Γ),  Γ = Σ(γ_g - γ̄)²/(G·γ̄²) = (Σγ_g)²/Σγ_g²
//
// (Carter, Schnepel and Steigerwald 2017). The leverage of a cluster is
// tr(Z_g'W_gZ_g): they add up to the number of coefficients.
func (l *linear) concentration(s *solution, names []string) {
	sets, g := dense(l.cluster)
	if l.second != nil {
		if other, h := dense(l.second); h < g {
			sets, g = other, h
		}
	}
	q := s.fit.Rank
	rows := rowsOf(sets, g)
	// Of each chunk of clusters: per coefficient Σγ and Σγ², the two kinds, and the
	// largest leverages, which are no sums.
	type part struct {
		row, cluster float64
		alone        []bool
	}
	parts := make([]part, (g+num.Chunk-1)/num.Chunk)
	sum := num.SumChunks(g, 4*q+1, l.workers, func(lo, hi int, acc []float64) {
		p := part{alone: make([]bool, q)}
		z, one, ind := make([]float64, q), make([]float64, q), make([]float64, q)
		for c := lo; c < hi; c++ {
			clear(one)
			clear(ind)
			lever := 0.0
			for _, r := range rows[c] {
				s.fit.Basis(l.x[r*l.k:(r+1)*l.k], z)
				w, h := l.w(r), 0.0
				for _, v := range z {
					h += float64(v * v)
				}
				lever += float64(w * h)
				if l.kind != estimate.Frequency {
					h *= w
				}
				p.row = math.Max(p.row, h)
				s.fit.Unbasis(z)
				for j, v := range z {
					one[j] += float64(w * v)
					if l.kind == estimate.Frequency {
						ind[j] += float64(w * float64(v*v))
					} else {
						ind[j] += float64(float64(w*v) * float64(w*v))
					}
				}
			}
			for j := range q {
				a := float64(one[j] * one[j])
				acc[4*j] += a
				acc[4*j+1] += float64(a * a)
				acc[4*j+2] += ind[j]
				acc[4*j+3] += float64(ind[j] * ind[j])
			}
			acc[4*q] += lever
			p.cluster = math.Max(p.cluster, lever)
			if lever > 1-1e-9 {
				l.sole(s, rows[c], p.alone)
			}
		}
		parts[lo/num.Chunk] = p
	})
	c := &concentration{effective: nans(l.k), independent: nans(l.k), meanCluster: sum[4*q] / float64(g)}
	alone := make([]bool, q)
	for _, p := range parts {
		c.maxRow, c.maxCluster = math.Max(c.maxRow, p.row), math.Max(c.maxCluster, p.cluster)
		for j, a := range p.alone {
			alone[j] = alone[j] || a
		}
	}
	var few, one []string
	for j, a := range s.fit.Kept {
		// A coefficient that absorbed effects identify within clusters has sums of 0.
		if sum[4*j] > 1e-20*float64(g)*sum[4*j+2] {
			c.effective[a] = sum[4*j] / sum[4*j+1] * sum[4*j]
			if c.effective[a] < 30 && g >= 30 && names[a] != "(intercept)" {
				few = append(few, names[a])
			}
		}
		if sum[4*j+3] > 0 {
			c.independent[a] = sum[4*j+2] / sum[4*j+3] * sum[4*j+2]
		}
		if alone[j] && names[a] != "(intercept)" {
			one = append(one, names[a])
		}
	}
	s.concentration = c
	if len(few) > 0 {
		s.notes = append(s.notes, table.Note{Code: "few-effective-clusters",
			Text: fmt.Sprintf("There are %d clusters, but so unequal that they count as fewer than 30 for %s: clustered standard errors are then too small; compare cr2 and the wild bootstrap.", g, listed(few)),
			Args: map[string]any{"clusters": g, "columns": few}})
	}
	if len(one) > 0 {
		s.notes = append(s.notes, table.Note{Code: "one-cluster-decides",
			Text: fmt.Sprintf("One cluster alone decides %s: no clustered standard error can show how far that would move with another cluster in its place. The error printed is far too small: hold the number against what the other clusters give in its place instead (placebo, as fit synth --se placebo; randomisation).", listed(one)),
			Args: map[string]any{"columns": one}})
	}
}

// concentration is how evenly clusters carry the coefficients.
type concentration struct {
	effective, independent          []float64 // k
	maxRow, maxCluster, meanCluster float64
}

// sole marks the coefficients that do not exist without the cluster: those that an
// eigenvector of eigenvalue 1 of Z_g'W_gZ_g moves. With fewer rows than coefficients the
// eigenvectors are Z_g'W_g^½ times those of W_g^½Z_gZ_g'W_g^½, which is the smaller.
func (l *linear) sole(s *solution, rows []int, alone []bool) {
	q, n := s.fit.Rank, len(rows)
	var z *mat.Dense
	square := l.gram
	if n < q {
		z = mat.NewDense(n, q, nil)
		for i, r := range rows {
			row := z.RawRowView(i)
			s.fit.Basis(l.x[r*l.k:(r+1)*l.k], row)
			root := math.Sqrt(l.w(r))
			for j := range row {
				row[j] *= root
			}
		}
		square = func(*solution, []int) *mat.SymDense {
			var m mat.SymDense
			m.SymOuterK(1, z)
			return &m
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(square(s, rows), true) {
		panic("effect: eigenvalues of a symmetric matrix did not converge")
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	col := make([]float64, q)
	for j, lambda := range eig.Values(nil) {
		if lambda < 1-1e-9 {
			continue
		}
		if z == nil {
			mat.Col(col, j, &v)
		} else {
			mat.NewVecDense(q, col).MulVec(z.T(), v.ColView(j))
		}
		s.fit.Unbasis(col)
		for i, x := range col {
			// Against the length of row i of R⁻¹: the error of the coefficient.
			alone[i] = alone[i] || math.Abs(x) > 1e-6*math.Sqrt(s.fit.Inverse.At(i, i))
		}
	}
}

// details of concentration, by term; a collinear one has none.
func (c *concentration) into(d map[string]any, names []string) {
	effective, independent := map[string]float64{}, map[string]float64{}
	for j, n := range names {
		effective[n], independent[n] = c.effective[j], c.independent[j]
	}
	d["effective_clusters"], d["effective_clusters_independent"] = effective, independent
	d["leverage"] = map[string]float64{"row_max": c.maxRow, "cluster_max": c.maxCluster, "cluster_mean": c.meanCluster}
}

// listed joins names, at most ten of them.
func listed(names []string) string {
	if len(names) > 10 {
		return strings.Join(names[:10], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
