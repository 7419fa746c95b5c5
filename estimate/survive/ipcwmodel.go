package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// censored is the model of the time to censoring, with the groups as strata.
type censored struct {
	f          *CompetingCovaried
	gamma      []float64
	iterations int
	inf        *mat.Dense // of γ
	groups     []censoredGroup
	at         []int32   // by row: censoring times of the group before the own event or censoring
	risk       []float64 // by row: e^{x'γ}
	most       float64   // largest weight 1/G of an event
}

type censoredGroup struct {
	where  string
	rows   []int32 // in the order of units
	weight float64
	last   float64
	total  []float64 // by censoring time: Σ w e^{x'γ} of those at risk
	rate   []float64 // by censoring time: dΛ
	cum    []float64 // Λ before the time, one more after the last
	mean   []float64 // k a time: Σ dΛ·e up to and without the time, one more after the last
}

// newCensored fits the model. Times are places, so that a censoring comes after the events at its time.
func newCensored(ctx context.Context, f *CompetingCovaried, order []int32, workers int) (*censored, error) {
	n, k := len(f.Time), len(f.XNames)
	_, rank := num.Ranks(f.Time)
	x := &Covaried{Stratified: Stratified{Times: Times{Unit: f.Unit, Time: make([]float64, n), Event: make([]bool, n), Weight: f.Weight, Level: f.Level}, Stratum: f.Group}, X: f.X, XNames: f.XNames}
	some := false
	for i := range n {
		x.Time[i] = float64(2 * rank[i])
		if f.Cause[i] == Censored {
			x.Time[i]++
			x.Event[i], some = true, true
		}
	}
	if !some {
		return nil, fmt.Errorf("%w: nobody is censored, so that censoring needs no weights", estimate.ErrTooFew)
	}
	m, err := newCoxModel(x, order, false, workers)
	if err != nil {
		return nil, fmt.Errorf("model of censoring: %w", err)
	}
	p, err := newton(ctx, f.XNames, m.point)
	if err != nil {
		return nil, fmt.Errorf("model of censoring: %w", err)
	}
	c := &censored{f: f, gamma: make([]float64, k), iterations: p.iterations, inf: m.influence(p), at: make([]int32, n), risk: make([]float64, n)}
	for j := range k {
		c.gamma[j] = p.b[j] / m.sd[j]
	}
	for _, i := range order {
		eta := 0.0
		for j, v := range f.X.RawRowView(int(i)) {
			eta += float64(c.gamma[j] * (v - m.mean[j]))
		}
		c.risk[i] = math.Exp(eta)
	}
	if err := c.baseline(x, order, m.mean); err != nil {
		return nil, err
	}
	return c, nil
}

// baseline finds Λ and the means of the covariates at risk, of each group.
func (c *censored) baseline(x *Covaried, order []int32, centre []float64) error {
	f, k := c.f, len(c.gamma)
	for g := range max(1, len(f.GroupNames)) {
		var b censoredGroup
		for _, i := range order {
			if f.Times.groupOf(i) == g {
				b.rows = append(b.rows, i)
				b.weight += f.weight(i)
				b.last = max(b.last, f.Time[i])
			}
		}
		if len(f.GroupNames) > 0 {
			b.where = fmt.Sprintf(" of group %q", f.GroupNames[g])
		}
		if len(b.rows) == 0 {
			return fmt.Errorf("%w: no row%s has a weight above 0", estimate.ErrTooFew, b.where)
		}
		sorted := byTime(x.Time, b.rows)
		sum, sumX := 0.0, make([]float64, k)
		var total, rate, mean []float64 // from the last time
		for hi := len(sorted); hi > 0; {
			lo, t, out := hi, x.Time[sorted[hi-1]], 0.0
			for ; lo > 0 && x.Time[sorted[lo-1]] == t; lo-- {
				i := sorted[lo-1]
				w := f.weight(i)
				sum += float64(w * c.risk[i])
				for j, v := range f.X.RawRowView(int(i)) {
					sumX[j] += float64(w * c.risk[i] * (v - centre[j]))
				}
				if x.Event[i] {
					out += w
				}
			}
			hi = lo
			if out > 0 {
				total, rate = append(total, sum), append(rate, out/sum)
				for j := range k {
					mean = append(mean, sumX[j]/sum)
				}
			}
		}
		E := len(rate)
		b.total, b.rate, b.cum, b.mean = make([]float64, E), make([]float64, E), make([]float64, E+1), make([]float64, (E+1)*k)
		for s := range E {
			from := E - 1 - s
			b.total[s], b.rate[s] = total[from], rate[from]
			b.cum[s+1] = b.cum[s] + rate[from]
			for j := range k {
				b.mean[(s+1)*k+j] = b.mean[s*k+j] + float64(rate[from]*mean[from*k+j])
			}
		}
		s := 0
		for q := 0; q < len(sorted); {
			t, hi, censored := x.Time[sorted[q]], q, false
			for ; hi < len(sorted) && x.Time[sorted[hi]] == t; hi++ {
				c.at[sorted[hi]] = int32(s)
				censored = censored || x.Event[sorted[hi]]
				if !x.Event[sorted[hi]] {
					c.most = max(c.most, math.Exp(b.cum[s]*c.risk[sorted[hi]]))
				}
			}
			if censored {
				s++
			}
			q = hi
		}
		c.groups = append(c.groups, b)
	}
	c.centre(centre)
	return nil
}

// centre keeps the covariates as deviations from the means that the baseline is at.
func (c *censored) centre(mean []float64) {
	n, k := c.f.X.Dims()
	x := mat.NewDense(n, k, nil)
	for i := range n {
		for j, v := range c.f.X.RawRowView(i) {
			x.Set(i, j, v-mean[j])
		}
	}
	f := *c.f
	f.X = x
	c.f = &f
}

// column finds a number and gives the influence of each unit on it, with Y_j = h_j/G_j(T_j−),
//
//	θ = Σ w Y/W,  IF_i = w_i(Y_i − θ)/W + D'IF^γ_i + w_i·[1{censored}·b(T_i) − e^{x_i'γ}Σ_{u ≤ T_i} b(u)dΛ(u)]/W
//	b(u) = Σ_{j: T_j > u} w_j Y_j e^{x_j'γ} / Σ_R w e^{x'γ},  D = Σ_j w_j Y_j e^{x_j'γ}(Λ(T_j−)x_j − Σ_{u<T_j} e(u)dΛ(u))/W
//
// over the censoring times u of the group.
func (c *censored) column(q ipcwColumn, put func(i int32, x float64)) float64 {
	b, k, f := &c.groups[q.group], len(c.gamma), c.f
	E := len(b.rate)
	y := make([]float64, len(b.rows))
	ahead, d := make([]float64, E+1), make([]float64, k)
	theta := 0.0
	for r, i := range b.rows {
		if f.Cause[i] == Censored {
			continue
		}
		s := int(c.at[i])
		y[r] = q.h(f.Time[i], f.Cause[i]) * math.Exp(float64(b.cum[s]*c.risk[i]))
		if y[r] == 0 {
			continue
		}
		w := f.weight(i) * y[r]
		theta += w
		w *= c.risk[i]
		ahead[s] += w
		for j, x := range f.X.RawRowView(int(i)) {
			d[j] += float64(w * (float64(b.cum[s]*x) - b.mean[s*k+j]))
		}
	}
	theta /= b.weight
	// ahead[s] becomes what has an event after the censoring times before s; of time u = s it is ahead[s+1].
	for s := E - 1; s >= 0; s-- {
		ahead[s] += ahead[s+1]
	}
	gone := make([]float64, E+1)
	for s := range E {
		gone[s+1] = gone[s] + float64(ahead[s+1]/b.total[s]*b.rate[s])
	}
	add := make([]float64, len(f.Time))
	for r, i := range b.rows {
		s, w := int(c.at[i]), f.weight(i)
		to, x := s, y[r]-theta
		if f.Cause[i] == Censored {
			to++
			x += ahead[s+1] / b.total[s]
		}
		add[i] = w * (x - float64(c.risk[i]*gone[to])) / b.weight
	}
	for i := range f.Time {
		x := add[i]
		for j, v := range c.inf.RawRowView(i) {
			x += float64(d[j] * v / b.weight)
		}
		put(int32(i), x)
	}
	return theta
}
