package survive

import (
	"utfall/internal/num"
)

// influenceCells bounds the running sums that one sweep of Influences holds.
const influenceCells = 1 << 22

// Influences returns the influence functions, already divided by the number of
// persons (METHODS.md), of m functionals θ_f = Σ_k Σ_h P[k,h]·c_f(k,h): row r of the
// result, r*m to r*m+m, belongs to Persons[r]. cost adds c_f(k,h) for the functionals
// from ≤ f < to into c[h*(to-from)+f-from]; it is called once for each time, from the
// last to the first, and again for the next functionals when they do not fit in one
// sweep. A value at time t is c = 1 at k = Index(t); an integral to tau is
// c = Duration(k, tau) at every k.
func (o *Occupation) Influences(m, workers int, cost func(k, from, to int, c []float64)) []float64 {
	E, K := len(o.Times), len(o.States)
	out := make([]float64, len(o.Persons)*m)
	block := max(1, min(m, influenceCells/(E*K)))
	for from := 0; from < m; from += block {
		o.sweep(out, m, from, min(from+block, m), workers, cost)
	}
	return out
}

func (o *Occupation) sweep(out []float64, stride, from, to, workers int, cost func(k, from, to int, c []float64)) {
	E, K, m := len(o.Times), len(o.States), to-from
	// tail[(h*(E+1)+k)*m+f] is the sum over l ≥ k of p_h(t_l-)/Y_h(t_l)·(v_l[h] − (P_l v_l)[h]).
	tail := make([]float64, K*(E+1)*m)
	gain := make([]float64, len(o.cells)*m) // of a move: p_h/Y_h·(v[j] − v[h])
	v := make([]float64, K*m)
	drop := make([]float64, K*m)
	for k := E - 1; k >= 0; k-- {
		cost(k, from, to, v)
		for h := range K {
			copy(tail[(h*(E+1)+k)*m:(h*(E+1)+k+1)*m], tail[(h*(E+1)+k+1)*m:])
		}
		cells := o.cells[o.cellAt[k]:o.cellAt[k+1]]
		for i, c := range cells {
			vh, vj := v[int(c.h)*m:int(c.h+1)*m], v[int(c.j)*m:int(c.j+1)*m]
			g := gain[(int(o.cellAt[k])+i)*m:]
			t := tail[(int(c.h)*(E+1)+k)*m:]
			d := drop[int(c.h)*m:]
			for f := range vh {
				diff := vj[f] - vh[f]
				g[f] = c.scale * diff
				t[f] -= float64(c.scale * float64(c.rate*diff))
				d[f] += float64(c.rate * diff)
			}
		}
		for _, c := range cells {
			vh, d := v[int(c.h)*m:int(c.h+1)*m], drop[int(c.h)*m:int(c.h+1)*m]
			for f := range vh {
				vh[f] += d[f]
				d[f] = 0
			}
		}
	}
	mean := make([]float64, m)
	for h := range K {
		for f := range m {
			mean[f] += float64(o.P[h] * v[h*m+f])
		}
	}
	num.ForChunks(len(o.Persons), workers, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			row := out[r*stride+from : r*stride+to]
			stays := o.stays[o.stayAt[r]:o.stayAt[r+1]]
			if stays[0].first == 1 {
				start := v[int(stays[0].h)*m:]
				for f := range row {
					row[f] = (start[f] - mean[f]) / o.w0
				}
			}
			for _, st := range stays {
				base := int(st.h) * (E + 1)
				a, b := tail[(base+int(st.lo)+1)*m:][:m], tail[(base+int(st.hi)+1)*m:][:m]
				if st.cell >= 0 {
					g := gain[int(st.cell)*m:][:m]
					for f := range row {
						row[f] += a[f] - b[f] + g[f]
					}
				} else if st.lo < st.hi {
					for f := range row {
						row[f] += a[f] - b[f]
					}
				}
			}
			w := o.weight[r]
			if w != 1 {
				for f := range row {
					row[f] *= w
				}
			}
		}
	})
}
