package num

import "math"

// eval is the marginal log-likelihood at theta = (γ, σ); it moves the sites' modes.
func (s *siteModel) eval(theta []float64) sitePoint {
	sites, k := len(s.mode), s.k
	parts := make([]float64, sites*(k+2))
	ForEach(sites, s.workers, func(j int) {
		s.site(j, theta[:k], theta[k], parts[j*(k+2):(j+1)*(k+2)])
	})
	out := SumChunks(sites, k+2, 1, func(lo, hi int, acc []float64) {
		for j := lo; j < hi; j++ {
			for c, v := range parts[j*(k+2) : (j+1)*(k+2)] {
				acc[c] += v
			}
		}
	})
	return sitePoint{value: out[0], grad: out[1:]}
}

// site adds one site's log-likelihood and gradient to out.
func (s *siteModel) site(j int, gamma []float64, sigma float64, out []float64) {
	lo, hi, k := s.from[j], s.from[j+1], s.k
	n := hi - lo
	eta := make([]float64, n)
	for i := range eta {
		for c, v := range s.z[(lo+i)*k : (lo+i+1)*k] {
			eta[i] += float64(gamma[c] * v)
		}
	}
	y := s.y[lo:hi]
	b := s.findMode(j, eta, y, sigma)

	// At the mode: Σw, Σw', Σ(y-μ), Σwx and Σw'x.
	var sumW, sumW1, sumR float64
	wx, w1x := make([]float64, k), make([]float64, k)
	for i, e := range eta {
		p := LogitLink.at(e + float64(sigma*b))
		w := p.a * p.b
		w1 := w * (p.a - p.b) // a = 1-μ, b = μ
		sumW += w
		sumW1 += w1
		sumR += y[i] - p.mu
		for c, v := range s.z[(lo+i)*k : (lo+i+1)*k] {
			wx[c] += float64(w * v)
			w1x[c] += float64(w1 * v)
		}
	}
	d := 1 + float64(sigma*sigma*sumW)
	spread := 1 / math.Sqrt(d)

	// The nodes' shares of the likelihood, and the residuals under them.
	nodes := len(s.nodes)
	logs, sums := make([]float64, nodes), make([]float64, nodes)
	residual := make([]float64, n*nodes)
	at := make([]float64, nodes)
	top := math.Inf(-1)
	for q, z := range s.nodes {
		at[q] = b + float64(math.Sqrt2*spread*z)
		f := -at[q] * at[q] / 2
		for i, e := range eta {
			p := LogitLink.at(e + float64(sigma*at[q]))
			f += float64(y[i]*p.logMu) + float64((1-y[i])*p.logQ)
			r := y[i] - p.mu
			residual[i*nodes+q] = r
			sums[q] += r
		}
		logs[q] = f + s.logs[q]
		top = math.Max(top, logs[q])
	}
	total := 0.0
	for q := range logs {
		logs[q] = math.Exp(logs[q] - top)
		total += logs[q]
	}
	out[0] = top + math.Log(total) + math.Log(spread) - math.Log(math.Pi)/2

	// a and c are the shares' mean of f' and of f'·√2·z.
	var a, c, own float64
	for q, z := range s.nodes {
		logs[q] /= total
		slope := float64(sigma*sums[q]) - at[q]
		a += float64(logs[q] * slope)
		c += float64(logs[q] * slope * math.Sqrt2 * z)
		own += float64(logs[q] * at[q] * sums[q])
	}
	byMode := func(db, dd float64) float64 { // through the mode and the spread
		ds := -spread * dd / (2 * d)
		return float64(a*db) + float64((c+1/spread)*ds)
	}
	for i := range eta {
		r := 0.0
		for q, p := range logs {
			r += float64(p * residual[i*nodes+q])
		}
		for l, v := range s.z[(lo+i)*k : (lo+i+1)*k] {
			out[1+l] += float64(r * v)
		}
	}
	for l := range k {
		db := -sigma * wx[l] / d
		out[1+l] += byMode(db, sigma*sigma*(w1x[l]+float64(sigma*db*sumW1)))
	}
	db := (sumR - float64(sigma*b*sumW)) / d
	out[1+k] = own + byMode(db, float64(2*sigma*sumW)+float64(sigma*sigma*(b+float64(sigma*db))*sumW1))
}

// findMode is where Σ log P(y | η + σb) - b²/2 is largest, from where it was before.
func (s *siteModel) findMode(j int, eta, y []float64, sigma float64) float64 {
	f := func(b float64) (value, slope, d float64) {
		value, slope, d = -b*b/2, -b, 1
		for i, e := range eta {
			p := LogitLink.at(e + float64(sigma*b))
			value += float64(y[i]*p.logMu) + float64((1-y[i])*p.logQ)
			slope += float64(sigma * (y[i] - p.mu))
			d += float64(sigma * sigma * p.a * p.b)
		}
		return value, slope, d
	}
	b := s.mode[j]
	value, slope, d := f(b)
	for range 100 {
		step := slope / d
		if math.Abs(step) <= 1e-13*(1+math.Abs(b)) {
			break
		}
		moved := false
		for t := 1.0; t > 1e-6; t /= 2 {
			v, sl, dd := f(b + float64(t*step))
			if v >= value || math.Abs(sl) < math.Abs(slope) { // concave: a smaller slope is nearer
				b, value, slope, d, moved = b+float64(t*step), v, sl, dd, true
				break
			}
		}
		if !moved {
			break
		}
	}
	s.mode[j] = b
	return b
}
