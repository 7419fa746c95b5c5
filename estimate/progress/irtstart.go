package progress

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// start gives every item parameters to begin with: slopes from the first principal component of
// the correlations of the answers, thresholds from the shares of the categories. An item that goes
// against the others starts with a negative slope.
func (d *irtData) start() {
	J := len(d.items)
	corr := mat.NewSymDense(J, nil)
	col := make([][]int16, J)
	for _, c := range d.columns {
		if col[c.item] == nil { // the first wave that has the item
			col[c.item] = c.x
		}
	}
	for a := range J {
		corr.SetSym(a, a, 1)
		for b := range a {
			corr.SetSym(a, b, d.correlation(col[a], col[b]))
		}
	}
	load := firstComponent(corr)
	if against(load) {
		for j := range load {
			load[j] = -load[j]
		}
	}
	for j, it := range d.items {
		l := max(-0.9, min(0.9, load[j]))
		if it.a = 1.7 * l / math.Sqrt(1-float64(l*l)); it.fixed {
			it.a = 1
			if l < 0 {
				d.reversed(it.name)
			}
		}
		total := 0.0
		for _, n := range it.used {
			total += n + 0.5
		}
		above, grow := total, math.Sqrt(1+it.a*it.a/2.9)
		for k := 1; k < it.cats; k++ {
			if above -= it.used[k-1] + 0.5; it.graded {
				it.d[k-1] = grow * math.Log(above/(total-above))
				continue
			}
			it.d[k-1] = math.Log((it.used[k] + 0.5) / (it.used[k-1] + 0.5))
			if k > 1 {
				it.d[k-1] += it.d[k-2]
			}
		}
	}
}

// firstComponent are 0.85 times the loadings of the first principal component, by power iteration
// from the row with the largest sum of squares: a start does not need more.
func firstComponent(corr *mat.SymDense) []float64 {
	J := corr.SymmetricDim()
	best, v := -1.0, mat.NewVecDense(J, nil)
	for a := range J {
		sum := 0.0
		for b := range J {
			sum += float64(corr.At(a, b) * corr.At(a, b))
		}
		if sum > best {
			best = sum
			for b := range J {
				v.SetVec(b, corr.At(a, b))
			}
		}
	}
	value, next := 0.0, mat.NewVecDense(J, nil)
	for range 30 {
		v.ScaleVec(1/mat.Norm(v, 2), v)
		next.MulVec(corr, v)
		value = mat.Dot(next, v)
		v, next = next, v
	}
	v.ScaleVec(0.85*math.Sqrt(max(value, 0))/mat.Norm(v, 2), v)
	return v.RawVector().Data
}

func (d *irtData) reversed(item string) {
	d.note("item-reversed", fmt.Sprintf("Item %q goes against the rest of the scale: turn its answers round if it is worded the other way.", item), map[string]any{"item": item})
}

// against says that most signs are negative: the trait then points the other way.
func against(v []float64) bool {
	minus, sum := 0, 0.0
	for _, x := range v {
		if x < 0 {
			minus++
		} else if x > 0 {
			minus--
		}
		sum += x
	}
	return minus > 0 || minus == 0 && sum < 0
}

// correlation is that of the category numbers of two items over persons who answered both.
func (d *irtData) correlation(a, b []int16) float64 {
	var n, ma, mb, va, vb, c float64
	for _, i := range d.order {
		if a[i] < 0 || b[i] < 0 {
			continue
		}
		w, x, y := d.weight[i], float64(a[i]), float64(b[i])
		n += w
		ma, mb = ma+float64(w*x), mb+float64(w*y)
		va, vb, c = va+float64(w*x*x), vb+float64(w*y*y), c+float64(w*x*y)
	}
	if n == 0 {
		return 0
	}
	ma, mb = ma/n, mb/n
	va, vb, c = va/n-float64(ma*ma), vb/n-float64(mb*mb), c/n-float64(ma*mb)
	if !(va > 1e-12) || !(vb > 1e-12) {
		return 0
	}
	return c / math.Sqrt(va*vb)
}

// orient turns the trait round if most slopes are negative.
func (m *irtModel) orient() {
	slopes := make([]float64, 0, len(m.items))
	for _, it := range m.items {
		if it.fixed {
			return
		}
		slopes = append(slopes, it.a)
	}
	if !against(slopes) {
		return
	}
	for _, it := range m.items {
		it.a = -it.a
	}
	for g := range m.latent {
		m.latent[g].e1 = -m.latent[g].e1
	}
}
