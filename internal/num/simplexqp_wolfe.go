package num

import (
	"math"
	"slices"
)

// wolfe is the active-set method for the nearest point of a hull: a set of columns whose affine hull's nearest point lies
// inside their own hull; the column that improves most joins it, columns whose weight would be negative leave it.
func (s *simplexQP) wolfe() (w []float64, steps int) {
	w = make([]float64, s.n)
	first := 0
	for i := range s.n {
		if DotFast(s.column(i), s.column(i)) < DotFast(s.column(first), s.column(first)) {
			first = i
		}
	}
	w[first] = 1
	set := []int{first}
	inside := make([]bool, s.n)
	inside[first] = true
	value := s.value(w)
	for limit := 20*s.n + 200; steps < limit; steps++ {
		s.gradient(w)
		next, high := -1, s.g[set[0]]
		for i, g := range s.g {
			if inside[i] {
				high = max(high, g)
			} else if next < 0 || g < s.g[next] {
				next = i
			}
		}
		if next < 0 || s.g[next] >= high-float64(1e-15*s.scale) {
			break
		}
		kept, keptSet := slices.Clone(w), slices.Clone(set)
		set = append(set, next)
		inside[next] = true
		for len(set) > 1 {
			v := s.affine(set, w)
			theta, out := 1.0, -1
			for k, i := range set {
				if v[k] <= 0 {
					if t := w[i] / (w[i] - v[k]); out < 0 || t < theta {
						theta, out = t, i
					}
				}
			}
			for k, i := range set {
				w[i] += float64(theta * (v[k] - w[i]))
			}
			if out < 0 {
				for k, i := range set {
					w[i] = v[k]
				}
				break
			}
			w[out] = 0
			set = slices.DeleteFunc(set, func(i int) bool {
				if w[i] <= 0 {
					w[i], inside[i] = 0, false
					return true
				}
				return false
			})
		}
		if len(set) == 1 {
			w[set[0]] = 1
		}
		now := s.value(w)
		if now >= value { // what is left to gain is rounding
			w = kept
			for _, i := range set {
				inside[i] = false
			}
			for _, i := range keptSet {
				inside[i] = true
			}
			break
		}
		value = now
	}
	return w, steps
}

// value is |Pw|² + ridge·|w|².
func (s *simplexQP) value(w []float64) float64 {
	s.gradient(w)
	return DotFast(s.x, s.x) + float64(s.ridge*DotFast(w, w))
}

// affine returns the weights of the columns of set that add up to 1, of any sign, with the least value.
func (s *simplexQP) affine(set []int, w []float64) []float64 {
	ref := 0
	for k, i := range set {
		if w[i] > w[set[ref]] {
			ref = k
		}
	}
	q, rows := len(set)-1, s.m+len(set)
	root := math.Sqrt(s.ridge)
	a := make([]float64, (q+1)*rows) // differences from the reference column, then the right side
	base := s.column(set[ref])
	at := 0
	for k, i := range set {
		if k == ref {
			continue
		}
		c := a[at*rows : (at+1)*rows]
		for r, x := range s.column(i) {
			c[r] = x - base[r]
		}
		c[s.m+k], c[s.m+ref] = root, -root
		at++
	}
	rhs := a[q*rows:]
	for r, x := range base {
		rhs[r] = -x
	}
	rhs[s.m+ref] = -root
	householder(a, rows, rows, q+1, DotFast)
	out := make([]float64, len(set))
	coef := rhs[:q]
	for j := q - 1; j >= 0; j-- {
		d := a[j*rows+j]
		if abs := max(d, -d); !(abs > 1e-15*math.Sqrt(s.scale)) { // equal columns share: either may carry the weight
			coef[j] = 0
			continue
		}
		coef[j] /= d
		for i := range j {
			coef[i] -= float64(a[j*rows+i] * coef[j])
		}
	}
	at, rest := 0, 1.0
	for k := range set {
		if k != ref {
			out[k] = coef[at]
			rest -= coef[at]
			at++
		}
	}
	out[ref] = rest
	return out
}
