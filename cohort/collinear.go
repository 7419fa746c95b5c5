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
	// fill writes the complete rows of lo to hi, by column, less the centres, and returns
	// how many they are. Rows are taken as they come in the table, which is fast: what is
	// decided has five digits more room than their order has influence.
	fill := func(lo, hi int, centre, out []float64) int {
		keep := make([]bool, hi-lo)
		m := 0
		for i := range keep {
			keep[i] = true
			for c := range cov {
				keep[i] = keep[i] && (cov[c].has == nil || cov[c].has[lo+i])
			}
			m += arm(keep[i])
		}
		j := 0
		for c := range cov {
			first, last := -1, -1
			if cov[c].codes != nil {
				first, last = 1, len(cov[c].levels)-1
			}
			for l := first; l <= last; l++ {
				to, k := out[j*num.Chunk:(j+1)*num.Chunk], 0
				for i, ok := range keep {
					switch {
					case !ok:
						continue
					case l < 0:
						to[k] = cov[c].values[lo+i] - centre[j]
					default:
						to[k] = float64(arm(int(cov[c].codes[lo+i]) == l)) - centre[j]
					}
					k++
				}
				j++
			}
		}
		return m
	}
	// One pass about the means of the first chunk, which are near enough to those of
	// all that no digits cancel.
	centre := make([]float64, k)
	block := make([]float64, k*num.Chunk)
	head := fill(0, min(u.n, num.Chunk), centre, block)
	for j := range k {
		for _, v := range block[j*num.Chunk : j*num.Chunk+head] {
			centre[j] += v / float64(head)
		}
	}
	free := make(chan []float64, u.n/num.Chunk+1) // blocks that no worker uses now
	// The last cell counts the rows.
	cross := num.SumChunks(u.n, k*(k+1)+1, workers, func(lo, hi int, acc []float64) {
		var block []float64
		select {
		case block = <-free:
		default:
			block = make([]float64, k*num.Chunk)
		}
		defer func() { free <- block }()
		m := fill(lo, hi, centre, block)
		acc[k*(k+1)] = float64(m)
		for a := range k {
			x := block[a*num.Chunk : a*num.Chunk+m]
			for _, v := range x {
				acc[k*k+a] += v
			}
			for b := 0; b <= a; b++ {
				acc[a*k+b] = num.DotFast(x, block[b*num.Chunk:b*num.Chunk+m])
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
