package num

import "math"

// SymmetricNodes returns equally spaced nodes from -limit to limit, at least step
// apart no more than asked for: 2·⌈limit/step⌉+1 of them, symmetric around 0. With
// [NormalWeights] they are the trapezoid rule for the mean of a smooth function of a
// normal variable, whose error falls as exp(−2π²s²/step²) for a function times density
// with the width s: at ten nodes a standard deviation it is rounding.
func SymmetricNodes(limit, step float64) []float64 {
	if !(limit > 0) || !(step > 0) || limit/step > 1e6 {
		panic("num: SymmetricNodes needs a limit and a step above 0")
	}
	half := int(math.Ceil(limit/step - 1e-9))
	x := make([]float64, 2*half+1)
	for i := range x {
		x[i] = limit * float64(i-half) / float64(half)
	}
	return x
}

// NormalWeights returns weights proportional to the normal density at equally spaced
// nodes, normed to sum 1.
func NormalWeights(x []float64, mean, sd float64) []float64 {
	if !(sd > 0) {
		panic("num: NormalWeights needs a standard deviation above 0")
	}
	w := make([]float64, len(x))
	top := math.Inf(1)
	for _, v := range x {
		top = min(top, math.Abs(v-mean)/sd)
	}
	total := 0.0
	for i, v := range x {
		z := (v - mean) / sd
		w[i] = math.Exp((float64(top*top) - float64(z*z)) / 2)
		total += w[i]
	}
	for i := range w {
		w[i] /= total
	}
	return w
}

// AddParts adds the vectors of length k in an ordered pairwise tree and overwrites them.
// Parts that stand for fixed ranges of rows give one result for any number of workers.
func AddParts(parts [][]float64, k int) []float64 {
	if len(parts) == 0 {
		return make([]float64, k)
	}
	for m := len(parts); m > 1; m = (m + 1) / 2 {
		for i := 0; i < m/2; i++ {
			a, b := parts[2*i], parts[2*i+1]
			for j := range a {
				a[j] += b[j]
			}
			parts[i] = a
		}
		if m%2 == 1 {
			parts[m/2] = parts[m-1]
		}
	}
	return parts[0]
}
