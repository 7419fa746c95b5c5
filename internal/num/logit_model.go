package num

import (
	"fmt"
	"math"
	"sync"
)

// logitModel is the data with the columns' centres and scales.
type logitModel struct {
	LogitData
	constant      int       // the first constant column, -1 if none
	centre, scale []float64 // column j is used as (x-centre)·scale; the constant one as exactly 1
	reach         []float64 // largest |value| of each used column
	sumW, meanY   float64
	saturated     float64 // log-likelihood of the saturated model
	fitted        []float64
	pool          *sync.Pool // of *logitBlock
}

// newLogitModel checks the data and finds constant column, centres and scales.
func newLogitModel(d LogitData) (*logitModel, error) {
	m := &logitModel{LogitData: d, constant: -1}
	n, k := d.N, d.K
	chunks := (n + Chunk - 1) / Chunk
	type moments struct {
		badX, badY, badW int // row + 1
		badXColumn       int
		lo, hi           []float64
	}
	parts := make([]moments, chunks)
	binomial := d.glm == nil || d.glm.family == Binomial
	// w, w·y, saturated log-likelihood, then w·(x-x₀) and w·(x-x₀)² per column.
	var x0 []float64
	if n > 0 {
		x0 = d.X[:k]
	}
	sums := SumChunks(n, 3+2*k, d.Workers, func(lo, hi int, acc []float64) {
		p := &parts[lo/Chunk]
		p.lo, p.hi = make([]float64, k), make([]float64, k)
		for j := range k {
			p.lo[j], p.hi[j] = math.Inf(1), math.Inf(-1)
		}
		for i := lo; i < hi; i++ {
			w, y := 1.0, d.Y[i]
			if d.Weight != nil {
				w = d.Weight[i]
			}
			if !(w >= 0) || math.IsInf(w, 1) {
				p.badW = i + 1
				return
			}
			if d.glm == nil && !(y >= 0 && y <= 1) {
				p.badY = i + 1
				return
			}
			row := d.X[i*k : i*k+k]
			acc[0] += w
			acc[1] += float64(w * y)
			if binomial && y > 0 && y < 1 {
				acc[2] += w * (float64(y*math.Log(y)) + float64((1-y)*math.Log1p(-y)))
			}
			for j, v := range row {
				dx := v - x0[j]
				if math.IsNaN(dx) || math.IsInf(dx, 0) {
					p.badX, p.badXColumn = i+1, j
					return
				}
				if w == 0 {
					continue
				}
				if v < p.lo[j] {
					p.lo[j] = v
				}
				if v > p.hi[j] {
					p.hi[j] = v
				}
				acc[3+j] += float64(w * dx)
				acc[3+k+j] += float64(w * float64(dx*dx))
			}
		}
	})
	lo, hi := make([]float64, k), make([]float64, k)
	for j := range k {
		lo[j], hi[j] = math.Inf(1), math.Inf(-1)
	}
	for _, p := range parts {
		switch {
		case p.badX > 0:
			return nil, fmt.Errorf("%w: row %d of column %d is not a finite number", ErrDomain, p.badX, p.badXColumn)
		case p.badY > 0:
			return nil, fmt.Errorf("%w: outcome of row %d is not between 0 and 1", ErrDomain, p.badY)
		case p.badW > 0:
			return nil, fmt.Errorf("%w: weight of row %d is not a finite number of at least 0", ErrDomain, p.badW)
		}
		for j := range k {
			lo[j], hi[j] = math.Min(lo[j], p.lo[j]), math.Max(hi[j], p.hi[j])
		}
	}
	m.sumW = sums[0]
	if !(m.sumW > 0) {
		return nil, fmt.Errorf("%w: no row has a positive weight", ErrDomain)
	}
	m.meanY, m.saturated = sums[1]/sums[0], sums[2]
	for j := range k {
		if lo[j] == hi[j] {
			if lo[j] == 0 || m.constant >= 0 {
				return nil, &SingularColumn{Column: j}
			}
			m.constant = j
		}
	}
	if m.glm == nil && m.constant >= 0 && (m.meanY == 0 || m.meanY == 1) {
		return nil, ErrSeparated
	}
	m.centre, m.scale, m.reach = make([]float64, k), make([]float64, k), make([]float64, k)
	for j := range k {
		mean := sums[3+j] / m.sumW
		variance := sums[3+k+j]/m.sumW - float64(mean*mean)
		mean += x0[j]
		switch {
		case j == m.constant:
			m.scale[j] = 1 / x0[j]
			m.reach[j] = 1
			if lo[j] != x0[j] { // the first row has weight 0
				m.scale[j] = 1 / lo[j]
			}
			continue
		case m.constant < 0:
			size := math.Max(math.Abs(lo[j]), math.Abs(hi[j]))
			if s := math.Sqrt(math.Max(variance, 0) + float64(mean*mean)); s > 1e-3*size {
				size = s
			}
			m.scale[j] = powerOfTwo(1 / size)
		default:
			// Any centre and scale near the mean and SD give the same fit: round ones make
			// (x-centre)·scale exact for data with few digits.
			size := (hi[j] - lo[j]) / 2
			if s := math.Sqrt(math.Max(variance, 0)); s > 1e-3*size {
				size = s
			}
			m.scale[j] = powerOfTwo(1 / size)
			grid := 0.125 / m.scale[j]
			m.centre[j] = math.Round(mean/grid) * grid
		}
		m.reach[j] = m.scale[j] * math.Max(math.Abs(lo[j]-m.centre[j]), math.Abs(hi[j]-m.centre[j]))
	}
	m.fitted = make([]float64, n)
	m.pool = &sync.Pool{New: func() any { return newLogitBlock(k) }}
	return m, nil
}

func powerOfTwo(x float64) float64 {
	_, e := math.Frexp(x)
	return math.Ldexp(1, e)
}

// thin returns the model of every stride-th row when there are enough rows for it
// to pay; nil otherwise.
func (m *logitModel) thin() *logitModel {
	const rows = 16384
	stride := m.N / rows
	if stride < 4 {
		return nil
	}
	sub := *m
	sub.N = rows
	sub.X = make([]float64, rows*m.K)
	sub.Y = make([]float64, rows)
	sub.fitted = make([]float64, rows)
	if m.Weight != nil {
		sub.Weight = make([]float64, rows)
	}
	for i := range rows {
		copy(sub.X[i*m.K:(i+1)*m.K], m.X[i*stride*m.K:(i*stride+1)*m.K])
		sub.Y[i] = m.Y[i*stride]
		if m.Weight != nil {
			sub.Weight[i] = m.Weight[i*stride]
		}
	}
	return &sub
}

// separates reports whether a direction orders the rows by outcome: some threshold
// (0 without a constant column) has no row with y=1 below it and none with y=0 above
// it, or the reverse, and not all rows lie on it. Then moving along the direction
// raises the likelihood for ever (Albert and Anderson 1984). A row between 0 and 1
// must lie on the threshold. Differences below 1e-6 of the spread count as none.
func (m *logitModel) separates(direction []float64) bool {
	if m.glm != nil {
		return m.glm.separates(m, direction)
	}
	k := m.K
	type span struct{ min1, max1, min0, max0 float64 }
	none := span{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
	parts := make([]span, (m.N+Chunk-1)/Chunk)
	ForChunks(m.N, m.Workers, func(c, lo, hi int) {
		p := none
		for i := lo; i < hi; i++ {
			if m.Weight != nil && m.Weight[i] == 0 {
				continue
			}
			var s float64
			for j, x := range m.X[i*k : i*k+k] {
				if j != m.constant {
					s += float64(direction[j] * float64((x-m.centre[j])*m.scale[j]))
				}
			}
			if m.Y[i] > 0 {
				p.min1, p.max1 = math.Min(p.min1, s), math.Max(p.max1, s)
			}
			if m.Y[i] < 1 {
				p.min0, p.max0 = math.Min(p.min0, s), math.Max(p.max0, s)
			}
		}
		parts[c] = p
	})
	t := none
	if m.constant < 0 { // a fixed threshold is a row that must lie on it
		t = span{}
	}
	for _, p := range parts {
		t.min1, t.max1 = math.Min(t.min1, p.min1), math.Max(t.max1, p.max1)
		t.min0, t.max0 = math.Min(t.min0, p.min0), math.Max(t.max0, p.max0)
	}
	spread := math.Max(t.max1, t.max0) - math.Min(t.min1, t.min0)
	tol := 1e-6 * spread
	return spread > 0 && (t.min1 >= t.max0-tol || t.max1 <= t.min0+tol)
}
