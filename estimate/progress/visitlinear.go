package progress

import "math"

// Small positive definite systems, row by row in one slice: the jackknife solves thousands of them.

// choleskyOf replaces the lower triangle of a (n×n) by L with a = LL' and gives log|a|; false where a is not positive definite to its last digits.
func choleskyOf(a []float64, n int) (logDet float64, ok bool) {
	for j := range n {
		row := a[j*n : j*n+j+1]
		size := row[j]
		d := size
		for _, v := range row[:j] {
			d -= float64(v * v)
		}
		if !(d > 1e-13*size) || math.IsInf(d, 1) {
			return 0, false
		}
		root := math.Sqrt(d)
		row[j] = root
		logDet += 2 * math.Log(root)
		for i := j + 1; i < n; i++ {
			below := a[i*n : i*n+j+1]
			v := below[j]
			for k, u := range row[:j] {
				v -= float64(u * below[k])
			}
			below[j] = v / root
		}
	}
	return logDet, true
}

// inverseOf writes (LL')⁻¹ into out (n×n, both triangles); work holds n×n.
func inverseOf(l []float64, n int, out, work []float64) {
	// work = L⁻¹, lower triangle.
	for j := range n {
		work[j*n+j] = 1 / l[j*n+j]
		for i := j + 1; i < n; i++ {
			v := 0.0
			for k := j; k < i; k++ {
				v -= float64(l[i*n+k] * work[k*n+j])
			}
			work[i*n+j] = v / l[i*n+i]
		}
	}
	for i := range n {
		for j := range i + 1 {
			v := 0.0
			for k := i; k < n; k++ {
				v += float64(work[k*n+i] * work[k*n+j])
			}
			out[i*n+j], out[j*n+i] = v, v
		}
	}
}
