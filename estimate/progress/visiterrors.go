package progress

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// modelErrors gives the model's own error of the effect at each visit and its degrees of freedom. With the (co)variances θ linear in V,
// P_k = −X'V⁻¹E_kV⁻¹X, Q_kl = X'V⁻¹E_kV⁻¹E_lV⁻¹X and W the inverse of the restricted information ½tr(PE_kPE_l) the covariance of the means is
//
//	Φ_A = Φ + 2Φ[Σ_kl W_kl(Q_kl − P_kΦP_l)]Φ
//
// and a contrast l'β has 2(l'Φl)²/(g'Wg) degrees of freedom, g_k = l'ΦP_kΦl (Kenward and Roger 1997, one contrast).
func (d *visitData) modelErrors(m *visitModel) (se, df []float64, ok bool) {
	groups := d.groups
	e, ok := m.evaluate(groups, m.sigma)
	if !ok {
		return nil, nil, false
	}
	n, q := m.params(), d.p*d.T
	phi := mat.NewSymDense(q, e.phi)
	type entry struct{ c, s, t int }
	var of []entry
	for c := range m.sigma {
		for s := range d.T {
			for t := range s + 1 {
				of = append(of, entry{c, s, t})
			}
		}
	}
	// wew gives V⁻¹E_kV⁻¹ at a group's visits.
	unit := func(at []int, k entry) *mat.SymDense {
		x := mat.NewSymDense(len(at), nil)
		for a, s := range at {
			for b, t := range at[:a+1] {
				if s == k.s && t == k.t {
					x.SetSym(a, b, 1)
				}
			}
		}
		return x
	}
	p := make([]*mat.Dense, n) // X'V⁻¹E_kV⁻¹X
	for k := range p {
		p[k] = mat.NewDense(q, q, nil)
	}
	info := m.expected(groups, e)
	spread := func(out *mat.Dense, at []int, x mat.Matrix, g *visitGroup, factor float64) {
		for a, s := range at {
			for b, t := range at {
				v := factor * x.At(a, b)
				for i := range d.p {
					for j := range d.p {
						out.Set(s*d.p+i, t*d.p+j, out.At(s*d.p+i, t*d.p+j)+float64(v*g.zz[i*d.p+j]))
					}
				}
			}
		}
	}
	turn := make([][]*mat.Dense, len(groups)) // E_kV⁻¹
	for gi := range groups {
		g, at := &groups[gi], e.at[gi]
		if len(at) == 0 {
			continue
		}
		inv := mat.NewSymDense(len(at), e.inverse[gi])
		turn[gi] = make([]*mat.Dense, n)
		for k, o := range of {
			if o.c != m.which(g) {
				continue
			}
			turn[gi][k] = new(mat.Dense)
			turn[gi][k].Mul(unit(at, o), inv)
			var x mat.Dense
			x.Mul(inv, turn[gi][k])
			spread(p[k], at, &x, g, 1)
		}
	}
	lean := make([]*mat.Dense, n) // ΦX'V⁻¹E_kV⁻¹X
	for k := range lean {
		lean[k] = new(mat.Dense)
		lean[k].Mul(phi, p[k])
	}
	third := make([]*mat.Dense, n*n) // Q_kl
	for gi := range groups {
		g, at := &groups[gi], e.at[gi]
		if len(at) == 0 {
			continue
		}
		inv := mat.NewSymDense(len(at), e.inverse[gi])
		for k := range n {
			for l := range k + 1 {
				if turn[gi][k] == nil || turn[gi][l] == nil {
					continue
				}
				if third[k*n+l] == nil {
					third[k*n+l] = mat.NewDense(q, q, nil)
				}
				var half, x mat.Dense
				half.Mul(inv, turn[gi][k])
				x.Mul(&half, turn[gi][l])
				spread(third[k*n+l], at, &x, g, 1)
			}
		}
	}
	for k := range n {
		for l := range k + 1 {
			x := 0.0
			if third[k*n+l] != nil {
				x -= 2 * traceProduct(phi, third[k*n+l])
			}
			x += traceProduct(lean[k], lean[l])
			info.SetSym(k, l, info.At(k, l)+x/2)
		}
	}
	w := inverted(info)
	if w == nil {
		return nil, nil, false
	}
	inner := mat.NewDense(q, q, nil)
	for k := range n {
		for l := range k + 1 {
			factor := w.At(k, l)
			if k != l {
				factor *= 2
			}
			var x mat.Dense
			x.Mul(p[k], lean[l])
			x.Scale(-1, &x)
			if t := third[k*n+l]; t != nil {
				x.Add(&x, t)
			}
			x.Scale(factor, &x)
			inner.Add(inner, &x)
		}
	}
	var half, more mat.Dense
	half.Mul(phi, inner)
	more.Mul(&half, phi)
	g, wg := mat.NewVecDense(n, nil), new(mat.VecDense)
	for t := range d.T {
		l := mat.NewVecDense(q, nil)
		for i, h := range d.step {
			l.SetVec(t*d.p+i, h)
		}
		var toward mat.VecDense
		toward.MulVec(phi, l)
		v := mat.Dot(l, &toward)
		for k := range n {
			g.SetVec(k, mat.Inner(&toward, p[k], &toward))
		}
		wg.MulVec(w, g)
		adjusted := v + 2*mat.Inner(l, &more, l)
		if !(adjusted > 0) {
			return nil, nil, false
		}
		se, df = append(se, d.scale[t]*math.Sqrt(adjusted)), append(df, 2*v*v/mat.Dot(g, wg))
	}
	return se, df, true
}

// traceProduct is tr AB.
func traceProduct(a, b mat.Matrix) float64 {
	n, _ := a.Dims()
	x := 0.0
	for i := range n {
		for j := range n {
			x += float64(a.At(i, j) * b.At(j, i))
		}
	}
	return x
}
