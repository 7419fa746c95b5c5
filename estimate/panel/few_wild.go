package panel

import "utfall/internal/num"

// wild is the restricted wild cluster bootstrap of Student's t (Cameron, Gelbach and
// Miller 2008) in the regression whose coefficient is the term: changes of all cells
// stacked, a constant a cell, treated or not, row weights
//
//	ω = w·W[c]·(w₁+w₀)/(w₁·w₀),  w₁, w₀ the sums of weights in the arms of cell c
//
// under which the coefficient is Σ W[c]·ATT[c]. With a = ω·D̃ the weight of a row in the
// estimate, D̃ treatment less its mean in the cell, and ẽ = ê + δ·D̃ the residuals when
// the coefficient is the estimate less δ, a draw of signs v has
//
//	θ* = Σ v[g]·s[g], s[g] = Σ_{r∈g} a·ẽ
//	score[h] = v[h]·s[h] - Σ_c P[h,c]·m[c] - θ*·q[h],  m[c] = Σ v[g]·E[g,c]
//
// with E[g,c] = Σ_{r∈g∩c} w·ẽ/(w₁+w₀), P[h,c] = Σ a, q[h] = Σ a·D̃, and t* = θ*/√Σ score².
// In one cell of independent units it is the bootstrap of the regression of changes
// on treatment.
func (t *fewTerm) wild() *num.RatioTest {
	w := t.w
	t.adjust()
	groups, cells := w.groups, len(t.cells)
	// Of each cluster, with the second number the part that δ multiplies.
	s := make([][2]float64, groups)
	q := make([]float64, groups)
	e := make([][2]float64, groups*cells)
	p := make([]float64, groups*cells)
	touched := make([]bool, groups)
	for a, c := range t.cells {
		d := t.changes[a]
		var sum, total [2]float64
		arm := func(treated bool) int {
			if treated {
				return 0
			}
			return 1
		}
		c.rows(func(_, pos int, treated bool) {
			sum[arm(treated)] += float64(w.weight[pos] * d[pos])
			total[arm(treated)] += w.weight[pos]
		})
		all := total[0] + total[1]
		mean := (sum[0] + sum[1]) / all
		c.rows(func(_, pos int, treated bool) {
			g := w.cluster[pos]
			touched[g] = true
			tilde, sign := total[1]/all, 1.0
			if !treated {
				tilde, sign = -total[0]/all, -1
			}
			residual := d[pos] - mean - float64(t.value*tilde)
			own := sign * t.weight[a] * w.weight[pos] / total[arm(treated)]
			s[g][0] += float64(own * residual)
			s[g][1] += float64(own * tilde)
			q[g] += float64(own * tilde)
			p[g*cells+a] += own
			share := w.weight[pos] / all
			e[g*cells+a][0] += float64(share * residual)
			e[g*cells+a][1] += float64(share * tilde)
		})
	}
	var active []int
	for g, is := range touched {
		if is {
			active = append(active, g)
		}
	}
	evaluate := func(v []float64, out []float64) {
		var theta [2]float64
		m := make([][2]float64, cells)
		for i, g := range active {
			for k := range 2 {
				theta[k] += float64(v[i] * s[g][k])
			}
			for a := range m {
				m[a][0] += float64(v[i] * e[g*cells+a][0])
				m[a][1] += float64(v[i] * e[g*cells+a][1])
			}
		}
		out[0], out[1] = theta[0], theta[1]
		out[2], out[3], out[4] = 0, 0, 0
		for i, h := range active {
			var score [2]float64
			for k := range 2 {
				score[k] = float64(v[i]*s[h][k]) - float64(theta[k]*q[h])
			}
			for a := range m {
				score[0] -= float64(p[h*cells+a] * m[a][0])
				score[1] -= float64(p[h*cells+a] * m[a][1])
			}
			out[2] += float64(score[0] * score[0])
			out[3] += float64(score[0] * score[1])
			out[4] += float64(score[1] * score[1])
		}
	}
	n := len(active)
	r := &num.RatioTest{}
	for _, g := range active { // the data: unrestricted residuals, whose sums are the scores
		r.Variance += float64(s[g][0] * s[g][0])
	}
	if n < 23 && 1<<n <= w.o.Draws { // mirrored patterns have one |t|
		r.Exact = true
		r.Sums = make([]float64, 5<<(n-1))
		v := make([]float64, n)
		for b := range 1 << (n - 1) {
			for i := range v {
				v[i] = 1
				if i > 0 && b>>(i-1)&1 == 1 {
					v[i] = -1
				}
			}
			evaluate(v, r.Sums[5*b:5*b+5])
		}
		return r
	}
	r.Sums = make([]float64, 5*w.o.Draws)
	num.ForEach(w.o.Draws, w.o.Workers, func(b int) {
		v := make([]float64, n)
		rademacher(num.NewStream(w.o.Seed, "few-wild", uint64(b)), v)
		evaluate(v, r.Sums[5*b:5*b+5])
	})
	return r
}
