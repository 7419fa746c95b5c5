package num

import "math"

// The rows that are folded into the running triangle at a time: the panel of 20
// columns stays in the second-level cache.
const qrRows = 512

// triangle returns the K×K upper triangle R, by rows, of a QR factorisation of the
// rows √w·x·scale: a Householder factorisation of each chunk, folded block by
// block, and of pairs of triangles in an ordered tree.
func (d *LsqData) triangle(scale []float64) []float64 {
	k := d.K
	if d.N <= Chunk {
		return d.fold(0, d.N, max(d.N, 1), scale, dotDD)
	}
	parts := make([][]float64, (d.N+Chunk-1)/Chunk)
	ForChunks(d.N, d.Workers, func(c, lo, hi int) {
		parts[c] = d.fold(lo, hi, qrRows, scale, DotFast)
	})
	for m := len(parts); m > 1; m = (m + 1) / 2 {
		ForEach(m/2, d.Workers, func(i int) {
			a := make([]float64, 2*k*k) // two triangles, one over the other, by columns
			for j := range k {
				for r := 0; r <= j; r++ {
					a[j*2*k+r] = parts[2*i][r*k+j]
					a[j*2*k+k+r] = parts[2*i+1][r*k+j]
				}
			}
			householder(a, 2*k, 2*k, k, dotDD)
			// Even places are read by their own i only, so that writing them is safe.
			parts[2*i] = rows(a, 2*k, k)
		})
		for i := 0; i < m/2; i++ {
			parts[i] = parts[2*i]
		}
		if m%2 == 1 {
			parts[m/2] = parts[m-1]
		}
	}
	return parts[0]
}

// fold factorises the rows lo to hi, blockRows at a time under the triangle so far.
func (d *LsqData) fold(lo, hi, blockRows int, scale []float64, dot func(a, b []float64) float64) []float64 {
	k := d.K
	height := k + blockRows
	a := make([]float64, height*k)
	for at := lo; at < hi; at += blockRows {
		n := min(blockRows, hi-at)
		for j := range k {
			col := a[j*height+k : j*height+k+n]
			s := scale[j]
			x := d.X[at*k+j:]
			for r := range col {
				col[r] = x[r*k] * s
			}
			if d.Weight != nil {
				for r, w := range d.Weight[at : at+n] {
					col[r] *= math.Sqrt(w)
				}
			}
		}
		householder(a, height, k+n, k, dot)
		for j := range k {
			clear(a[j*height+j+1 : j*height+k])
		}
	}
	return rows(a, height, k)
}

// householder overwrites the upper triangle of the m×k matrix a (by columns of the
// given stride) with R; what it leaves below is of no use.
func householder(a []float64, stride, m, k int, dot func(a, b []float64) float64) {
	for j := 0; j < k && j < m; j++ {
		v := a[j*stride+j : j*stride+m]
		norm2 := dot(v, v)
		if norm2 == 0 {
			continue
		}
		alpha := -math.Copysign(math.Sqrt(norm2), v[0])
		head := v[0] - alpha
		beta := -1 / float64(alpha*head) // 2/‖v‖² of the reflected vector
		v[0] = head
		for l := j + 1; l < k; l++ {
			c := a[l*stride+j : l*stride+m]
			t := beta * dot(v, c)
			for i, x := range v {
				c[i] -= float64(t * x)
			}
		}
		v[0] = alpha
	}
}

// rows copies the k×k upper triangle out of columns, by rows, zeros below.
func rows(a []float64, stride, k int) []float64 {
	r := make([]float64, k*k)
	for j := range k {
		for i := 0; i <= j; i++ {
			r[i*k+j] = a[j*stride+i]
		}
	}
	return r
}

// dropCollinear triangularises the columns of r (k×k by rows) in their order,
// leaving out each whose part outside the columns kept before it is below tol of
// its length. It returns the kept columns and their triangle by rows, with a
// positive diagonal.
func dropCollinear(r []float64, k int, tol float64) (kept []int, triangle []float64) {
	a := make([]float64, k*k) // by columns
	length := make([]float64, k)
	for j := range k {
		for i := 0; i <= j; i++ {
			a[j*k+i] = r[i*k+j]
		}
		length[j] = math.Sqrt(dotDD(a[j*k:(j+1)*k], a[j*k:(j+1)*k]))
	}
	for j := range k {
		p := len(kept)
		v := a[j*k+p : (j+1)*k]
		norm := math.Sqrt(dotDD(v, v))
		if norm <= tol*length[j] {
			continue
		}
		kept = append(kept, j)
		alpha := -math.Copysign(norm, v[0])
		head := v[0] - alpha
		beta := -1 / float64(alpha*head)
		v[0] = head
		for l := j + 1; l < k; l++ {
			c := a[l*k+p : (l+1)*k]
			t := beta * dotDD(v, c)
			for i, x := range v {
				c[i] -= float64(t * x)
			}
		}
		v[0] = alpha
	}
	q := len(kept)
	triangle = make([]float64, q*q)
	for i := range q {
		sign := 1.0
		if a[kept[i]*k+i] < 0 {
			sign = -1
		}
		for j := i; j < q; j++ {
			triangle[i*q+j] = sign * a[kept[j]*k+i]
		}
	}
	return kept, triangle
}
