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
	row := func(r int32, out []float64) {
		j := 0
		for c := range cov {
			if cov[c].codes == nil {
				out[j] = cov[c].values[r]
				j++
				continue
			}
			for l := 1; l < len(cov[c].levels); l++ {
				out[j] = 0
				if int(cov[c].codes[r]) == l {
					out[j] = 1
				}
				j++
			}
		}
	}
	// One pass about the means of the first chunk, which are near enough to those of
	// all that no digits cancel.
	head := u.order[:min(u.n, num.Chunk)]
	centre, v := make([]float64, k), make([]float64, k)
	for _, r := range head {
		row(r, v)
		for j := range k {
			centre[j] += v[j] / float64(len(head))
		}
	}
	cross := num.SumChunks(u.n, k*(k+1), workers, func(lo, hi int, acc []float64) {
		v := make([]float64, k)
		for _, r := range u.order[lo:hi] {
			row(r, v)
			for a := range k {
				v[a] -= centre[a]
				acc[k*k+a] += v[a]
				for b := 0; b <= a; b++ {
					acc[a*k+b] += float64(v[a] * v[b])
				}
			}
		}
	})
	for a := range k {
		for b := 0; b <= a; b++ {
			cross[a*k+b] -= float64(cross[k*k+a] * cross[k*k+b] / float64(u.n))
		}
	}
	// l is the factor of the correlations; a column that is left out has a row of zeros.
	l := make([]float64, k*k)
	var names []string
	for a := range k {
		if !(cross[a*k+a] > 1e-24*float64(u.n)*centre[a]*centre[a]) {
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
