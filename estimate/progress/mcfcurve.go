package progress

import (
	"math"
	"slices"
	"sort"

	"utfall/internal/num"
)

// mcfCurve is the mean cumulative function of one group, as a step function of the times
// at which something happens.
type mcfCurve struct {
	persons []*recurrent
	index   []int // of each person, the row of the influence function
	last    float64
	events  int
	deaths  int
	at      []float64 // times
	risk    []float64 // weight at risk
	count   []float64 // weight of events
	dead    []float64 // weight of terminal events
	mean    []float64
	surv    []float64 // just before each time
	// Running sums: a of S(u−)·dN/Y², c of dD/(Y·(Y−dD)), e of mean·dD/(Y·(Y−dD)).
	a, c, e []float64
}

func newMCF(persons []*recurrent, index []int) *mcfCurve {
	m := &mcfCurve{persons: persons, index: index}
	for _, p := range persons {
		m.at = append(m.at, p.events...)
		m.events += len(p.events)
		m.last = max(m.last, p.last())
		if !math.IsNaN(p.terminal) {
			m.at = append(m.at, p.terminal)
			m.deaths++
		}
	}
	slices.Sort(m.at)
	m.at = slices.Compact(m.at)
	n := len(m.at)
	m.count, m.dead = make([]float64, n), make([]float64, n)
	m.risk = riskSets(m.at, persons)
	for _, p := range persons {
		for _, t := range p.events {
			m.count[m.place(t)] += p.weight
		}
		if !math.IsNaN(p.terminal) {
			m.dead[m.place(p.terminal)] += p.weight
		}
	}
	surv := 1.0
	var mean, a, c, e float64
	for k := range m.at {
		y := m.risk[k]
		m.surv = append(m.surv, surv)
		mean += float64(surv * m.count[k] / y)
		a += float64(surv * m.count[k] / (y * y))
		if alive := y - m.dead[k]; m.dead[k] > 0 && alive > 1e-12*y {
			c += m.dead[k] / (y * alive)
			e += float64(mean * m.dead[k] / (y * alive))
			surv *= alive / y
		} else if m.dead[k] > 0 {
			surv = 0 // nobody is left, and nothing that follows moves the mean
		}
		m.mean, m.a, m.c, m.e = append(m.mean, mean), append(m.a, a), append(m.c, c), append(m.e, e)
	}
	return m
}

// riskSets is the weight at risk just before each of the sorted times.
func riskSets(at []float64, persons []*recurrent) []float64 {
	change := make([][]float64, len(at)+1)
	for _, p := range persons {
		for k := range p.start {
			from := sort.Search(len(at), func(j int) bool { return at[j] > p.start[k] })
			to := sort.Search(len(at), func(j int) bool { return at[j] > p.stop[k] })
			if from < to {
				change[from] = append(change[from], p.weight)
				change[to] = append(change[to], -p.weight)
			}
		}
	}
	out := make([]float64, len(at))
	now := 0.0
	for k := range at {
		now += num.Sum(change[k])
		out[k] = now
	}
	return out
}

// place is the index of a time at which something happens.
func (m *mcfCurve) place(t float64) int { return sort.SearchFloat64s(m.at, t) }

// step is the value of a running sum at time t.
func (m *mcfCurve) step(sum []float64, t float64) float64 {
	k := sort.Search(len(m.at), func(j int) bool { return m.at[j] > t })
	if k == 0 {
		return 0
	}
	return sum[k-1]
}

// known says whether the mean at t is identified: somebody is followed to t, or all have died.
func (m *mcfCurve) known(t float64) bool {
	return t <= m.last || len(m.at) > 0 && m.dead[len(m.dead)-1] >= m.risk[len(m.risk)-1]*(1-1e-12)
}

// influence is that of person p on the mean at t.
func (m *mcfCurve) influence(p *recurrent, t float64) float64 {
	var x float64
	for _, u := range p.events {
		if u <= t {
			k := m.place(u)
			x += m.surv[k] / m.risk[k]
		}
	}
	mean := m.step(m.mean, t)
	for k := range p.start {
		from, to := min(p.start[k], t), min(p.stop[k], t)
		x -= m.step(m.a, to) - m.step(m.a, from)
		x += float64(mean*(m.step(m.c, to)-m.step(m.c, from))) - (m.step(m.e, to) - m.step(m.e, from))
	}
	if p.terminal <= t {
		k := m.place(p.terminal)
		if alive := m.risk[k] - m.dead[k]; alive > 1e-12*m.risk[k] {
			x -= (mean - m.mean[k]) / alive
		}
	}
	return float64(p.weight * x)
}
