package survive

import "gonum.org/v1/gonum/mat"

// panel adds up Σ c·x·x' of vectors of length k: vectors are put side by side, and each
// pair of entries is then a sum over the panel that needs no memory but registers.
type panel struct {
	k, wide, n int // wide is k made even
	x, y, c    []float64
	acc        []float64 // wide×wide; its upper triangle counts
}

const panelRows = 64

func newPanel(k int) *panel {
	wide := k + k&1
	return &panel{
		k: k, wide: wide, x: make([]float64, wide*panelRows), y: make([]float64, wide*panelRows), c: make([]float64, panelRows),
		acc: make([]float64, wide*wide),
	}
}

func (p *panel) add(c float64, x []float64) {
	p.c[p.n] = c
	at := p.n
	for _, v := range x {
		p.x[at] = v
		at += panelRows
	}
	if p.n++; p.n == panelRows {
		p.flush()
	}
}

func (p *panel) flush() {
	n := p.n
	p.n = 0
	c := p.c[:n]
	for a := range p.k {
		x, y := p.x[a*panelRows:][:n], p.y[a*panelRows:][:n]
		for i, v := range x {
			y[i] = c[i] * v
		}
	}
	for a := 0; a < p.wide; a += 2 {
		y0, y1 := p.y[a*panelRows:][:n], p.y[(a+1)*panelRows:][:n]
		for b := a; b < p.wide; b += 2 {
			x0, x1 := p.x[b*panelRows:][:n], p.x[(b+1)*panelRows:][:n]
			var s00, s01, s10, s11 float64
			for i, u := range y0 {
				v, s, t := y1[i], x0[i], x1[i]
				s00 += float64(u * s)
				s01 += float64(u * t)
				s10 += float64(v * s)
				s11 += float64(v * t)
			}
			row, next := p.acc[a*p.wide+b:], p.acc[(a+1)*p.wide+b:]
			row[0] += s00
			row[1] += s01
			next[0] += s10
			next[1] += s11
		}
	}
}

// gather adds up panels in order.
func gather(panels []*panel) *panel {
	total := newPanel(panels[0].k)
	for _, p := range panels {
		p.flush()
		for i, v := range p.acc {
			total.acc[i] += v
		}
	}
	return total
}

// into sets the sum as a symmetric matrix.
func (p *panel) into(s *mat.SymDense) {
	for a := range p.k {
		for b := a; b < p.k; b++ {
			s.SetSym(a, b, p.acc[a*p.wide+b])
		}
	}
}
