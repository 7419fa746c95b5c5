package cohort

import (
	"math"

	"utfall/internal/num"
)

// collinear names the columns of the treatment-coded design that are a linear
// combination of those before them (and a constant): those of whose variance a
// share below 1e-10 is their own, by Cholesky's decomposition of the correlations.
// Constant columns are not among them.
func collinear(cov []covariate, u *units, workers int) []string {
	x := fillDesign(cov, 0, DesignOptions{}, nil) // the columns' names alone
	k := len(x.Columns)
	if k < 2 {
		return nil
	}
	// fill writes rows of u.order, by column, and returns how many have every value.
	fill := func(rows []int32, out []float64, keep []int32) int {
		keep = keep[:0]
	row:
		for _, r := range rows {
			for c := range cov {
				if cov[c].has != nil && !cov[c].has[r] {
					continue row
				}
			}
			keep = append(keep, r)
		}
		j := 0
		for c := range cov {
			if cov[c].codes == nil {
				to := out[j*num.Chunk:]
				for i, r := range keep {
					to[i] = cov[c].values[r]
				}
				j++
				continue
			}
			for l := 1; l < len(cov[c].levels); l++ {
				to := out[j*num.Chunk:]
				for i, r := range keep {
					to[i] = float64(arm(int(cov[c].codes[r]) == l))
				}
				j++
			}
		}
		return len(keep)
	}
	// One pass about the means of the first chunk, which are near enough to those of
	// all that no digits cancel.
	centre := make([]float64, k)
	block, keep := make([]float64, k*num.Chunk), make([]int32, 0, num.Chunk)
	head := fill(u.order[:min(u.n, num.Chunk)], block, keep)
	for j := range k {
		for _, v := range block[j*num.Chunk : j*num.Chunk+head] {
			centre[j] += v / float64(head)
		}
	}
	// The last cell counts the rows.
	cross := num.SumChunks(u.n, k*(k+1)+1, workers, func(lo, hi int, acc []float64) {
		block, keep := make([]float64, k*num.Chunk), make([]int32, 0, num.Chunk)
		m := fill(u.order[lo:hi], block, keep)
		acc[k*(k+1)] = float64(m)
		for a := range k {
			x := block[a*num.Chunk : a*num.Chunk+m]
			for i := range x {
				x[i] -= centre[a]
				acc[k*k+a] += x[i]
			}
			for b := 0; b <= a; b++ {
				acc[a*k+b] = dotBlock(x, block[b*num.Chunk:b*num.Chunk+m])
			}
		}
	})
	n := cross[k*(k+1)]
	for a := range k {
		for b := 0; b <= a; b++ {
			cross[a*k+b] -= float64(cross[k*k+a] * cross[k*k+b] / n)
		}
	}
	// l is the factor of the correlations; a column that is left out has a row of zeros.
	l := make([]float64, k*k)
	var names []string
	for a := range k {
		if !(cross[a*k+a] > 1e-24*n*centre[a]*centre[a]) {
			continue // constant but for rounding
		}
		left := 1.0
		for b := range a {
			if l[b*k+b] == 0 {
				continue
			}
			s := cross[a*k+b] / math.Sqrt(cross[a*k+a]) / math.Sqrt(cross[b*k+b])
			for c := range b {
				s -= float64(l[a*k+c] * l[b*k+c])
			}
			l[a*k+b] = s / l[b*k+b]
			left -= float64(l[a*k+b] * l[a*k+b])
		}
		if left < 1e-10 {
			names = append(names, x.Columns[a].Name)
			clear(l[a*k : a*k+k])
			continue
		}
		l[a*k+a] = math.Sqrt(left)
	}
	return names
}

// dotBlock is Σ x·y in four interleaved sums, which keeps the processor busy.
func dotBlock(x, y []float64) float64 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += float64(x[i] * y[i])
		s1 += float64(x[i+1] * y[i+1])
		s2 += float64(x[i+2] * y[i+2])
		s3 += float64(x[i+3] * y[i+3])
	}
	for ; i < len(x); i++ {
		s0 += float64(x[i] * y[i])
	}
	return (s0 + s1) + (s2 + s3)
}
