package num

// RowPanel holds up to [PanelRows] rows of numbers by columns, so that what is done to
// each row is done side by side, out of the first-level cache.
type RowPanel struct {
	k, n     int
	z        []float64 // k columns of stride panelStride
	wz0, wz1 [PanelRows]float64
}

// PanelRows is how many rows a [RowPanel] holds. The stride keeps its columns off one cache set.
const (
	PanelRows   = 128
	panelStride = PanelRows + 8
)

// NewRowPanel makes a panel of k columns.
func NewRowPanel(k int) *RowPanel { return &RowPanel{k: k, z: make([]float64, k*panelStride)} }

// Load takes n ≤ PanelRows rows of x, each width wide, and of them the given columns, one for each of the panel.
func (p *RowPanel) Load(x []float64, n, width int, columns []int) {
	p.n = n
	for j, c := range columns {
		z := p.column(j)
		for r, at := 0, c; r < len(z); r, at = r+1, at+width {
			z[r] = x[at]
		}
	}
}

// Store writes the panel times f by row to rows of y: the reverse of Load.
func (p *RowPanel) Store(y []float64, width int, columns []int, f []float64) {
	for j, c := range columns {
		z := p.column(j)
		for r, at := 0, c; r < len(z); r, at = r+1, at+width {
			y[at] = z[r] * f[r]
		}
	}
}

func (p *RowPanel) column(j int) []float64 { return p.z[j*panelStride : j*panelStride+p.n] }

// SolveTransposed overwrites each row b with R⁻ᵀb for a k×k upper triangle by rows.
func (p *RowPanel) SolveTransposed(r []float64) {
	for j := range p.k {
		p.eliminate(j, 0, j, r[j:], p.k, 1/r[j*p.k+j])
	}
}

// Solve overwrites each row b with R⁻¹b.
func (p *RowPanel) Solve(r []float64) {
	for j := p.k - 1; j >= 0; j-- {
		p.eliminate(j, j+1, p.k, r[j*p.k:], 1, 1/r[j*p.k+j])
	}
}

// eliminate takes from column j the columns from ≤ i < to times c[i·stride], in that order, and multiplies by f.
func (p *RowPanel) eliminate(j, from, to int, c []float64, stride int, f float64) {
	z := p.column(j)
	i := from
	for ; i+3 < to; i += 4 {
		c0, c1, c2, c3 := c[i*stride], c[(i+1)*stride], c[(i+2)*stride], c[(i+3)*stride]
		z0, z1, z2, z3 := p.column(i)[:len(z)], p.column(i + 1)[:len(z)], p.column(i + 2)[:len(z)], p.column(i + 3)[:len(z)]
		for r, v := range z {
			z[r] = v - float64(c0*z0[r]) - float64(c1*z1[r]) - float64(c2*z2[r]) - float64(c3*z3[r])
		}
	}
	for ; i < to; i++ {
		c0, z0 := c[i*stride], p.column(i)[:len(z)]
		for r := range z {
			z[r] -= float64(c0 * z0[r])
		}
	}
	for r := range z {
		z[r] *= f
	}
}

// Squares stores the sum of squares of each row in h.
func (p *RowPanel) Squares(h []float64) {
	h = h[:p.n]
	clear(h)
	for j := range p.k {
		z := p.column(j)[:len(h)]
		for r, v := range z {
			h[r] += float64(v * v)
		}
	}
}

// AddProducts adds Σ v·z over the rows to one number a column.
func (p *RowPanel) AddProducts(v, acc []float64) { p.addProducts(v[:p.n], acc, p.k) }

func (p *RowPanel) addProducts(v, acc []float64, columns int) {
	j := 0
	for ; j+3 < columns; j += 4 {
		a, b, c, d := dotFour(v, p.column(j), p.column(j+1), p.column(j+2), p.column(j+3))
		acc[j] += a
		acc[j+1] += b
		acc[j+2] += c
		acc[j+3] += d
	}
	for ; j < columns; j++ {
		acc[j] += dot1(v, p.column(j))
	}
}

// AddOuter adds Σ w·zz' over the rows to a lower triangle by rows.
func (p *RowPanel) AddOuter(w, acc []float64) {
	w = w[:p.n]
	for j := 0; j < p.k; j += 2 {
		row0, zj, p0 := acc[j*(j+1)/2:], p.column(j), p.wz0[:p.n]
		for r, v := range zj {
			p0[r] = float64(w[r] * v)
		}
		if j+1 == p.k {
			p.addProducts(p0, row0, p.k)
			return
		}
		row1, zk, p1 := acc[(j+1)*(j+2)/2:], p.column(j+1), p.wz1[:p.n]
		for r, v := range zk {
			p1[r] = float64(w[r] * v)
		}
		for l := 0; l <= j; l += 2 {
			a, b, c, d := dotTwoTwo(p0, p1, p.column(l), p.column(l+1))
			row0[l] += a
			row1[l] += c
			row1[l+1] += d
			if l < j { // above the diagonal otherwise
				row0[l+1] += b
			}
		}
	}
}

func dot1(p, q []float64) float64 {
	var s float64
	q = q[:len(p)]
	for r, v := range p {
		s += float64(v * q[r])
	}
	return s
}

// dotFour returns the products of p with four columns in one pass: independent sums keep the multipliers busy, and
// more than four leave the registers.
func dotFour(p, q0, q1, q2, q3 []float64) (a, b, c, d float64) {
	q0, q1, q2, q3 = q0[:len(p)], q1[:len(p)], q2[:len(p)], q3[:len(p)]
	for r, v := range p {
		a += float64(v * q0[r])
		b += float64(v * q1[r])
		c += float64(v * q2[r])
		d += float64(v * q3[r])
	}
	return a, b, c, d
}

// dotTwoTwo returns p0·q0, p0·q1, p1·q0 and p1·q1.
func dotTwoTwo(p0, p1, q0, q1 []float64) (a, b, c, d float64) {
	p1, q0, q1 = p1[:len(p0)], q0[:len(p0)], q1[:len(p0)]
	for r, v := range p0 {
		u, x, y := p1[r], q0[r], q1[r]
		a += float64(v * x)
		b += float64(v * y)
		c += float64(u * x)
		d += float64(u * y)
	}
	return a, b, c, d
}
