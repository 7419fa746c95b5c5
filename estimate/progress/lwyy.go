package progress

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"utfall/estimate"
)

// rateModel is the marginal rate model of Lin, Wei, Yang and Ying (2000) for two groups:
// dμ_B(t) = e^β·dμ_A(t), by the Cox score over all events with persons as clusters.
type rateModel struct {
	efron  bool
	at     []float64
	risk   [2][]float64
	dead   [2][]float64 // weight of events
	ties   []int
	beta   float64
	naive  float64      // 1/information
	drift  [2][]float64 // running sums of Σ_k (x − x̄_k)·h_k
	iters  int
	moved  float64
	groups [2]*mcfCurve
}

func fitRates(groups [2]*mcfCurve, efron bool) (*rateModel, error) {
	m := &rateModel{efron: efron, groups: groups}
	for _, g := range groups {
		for _, p := range g.persons {
			m.at = append(m.at, p.events...)
		}
	}
	slices.Sort(m.at)
	m.at = slices.Compact(m.at)
	m.ties = make([]int, len(m.at))
	for x, g := range groups {
		m.risk[x] = riskSets(m.at, g.persons)
		m.dead[x] = make([]float64, len(m.at))
		for _, p := range g.persons {
			for _, t := range p.events {
				k := sort.SearchFloat64s(m.at, t)
				m.dead[x][k] += p.weight
				m.ties[k]++
			}
		}
	}
	for m.iters = 1; m.iters <= 50; m.iters++ {
		score, info := m.score()
		if !(info > 0) {
			break
		}
		step := max(-2, min(2, score/info))
		m.beta += step
		m.moved, m.naive = math.Abs(step), 1/info
		if m.moved < 1e-12*(1+math.Abs(m.beta)) {
			_, info = m.score()
			m.naive = 1 / info
			m.sums()
			return m, nil
		}
	}
	return nil, fmt.Errorf("%w: the rate ratio of the groups has no finite estimate; compare the mean counts instead", estimate.ErrNotConverged)
}

// each calls f once for each tied event k of m at time j with the share x̄ of the second group
// among those at risk and the increment h of the baseline; Efron takes k/m of the tied events out.
func (m *rateModel) each(j int, f func(out, mean, h float64)) {
	r := math.Exp(m.beta)
	n, dead := m.ties[j], m.dead[0][j]+m.dead[1][j]
	for k := range n {
		out := 0.0
		if m.efron {
			out = float64(k) / float64(n)
		}
		one := float64(r * (m.risk[1][j] - float64(out*m.dead[1][j])))
		all := one + m.risk[0][j] - float64(out*m.dead[0][j])
		f(out, one/all, dead/float64(n)/all)
	}
}

func (m *rateModel) score() (score, info float64) {
	for j := range m.at {
		share := (m.dead[0][j] + m.dead[1][j]) / float64(m.ties[j])
		score += m.dead[1][j]
		m.each(j, func(_, mean, _ float64) {
			score -= float64(share * mean)
			info += float64(share * mean * (1 - mean))
		})
	}
	return score, info
}

func (m *rateModel) sums() {
	for x := range m.drift {
		m.drift[x] = make([]float64, len(m.at))
		sum := 0.0
		for j := range m.at {
			m.each(j, func(_, mean, h float64) { sum += float64((float64(x) - mean) * h) })
			m.drift[x][j] = sum
		}
	}
}

// influence is the score residual of person p of group x over the information.
func (m *rateModel) influence(p *recurrent, x int) float64 {
	r := 1.0
	if x == 1 {
		r = math.Exp(m.beta)
	}
	upTo := func(t float64) float64 {
		k := sort.Search(len(m.at), func(j int) bool { return m.at[j] > t })
		if k == 0 {
			return 0
		}
		return m.drift[x][k-1]
	}
	var u float64
	for k := range p.start {
		u -= float64(r * (upTo(p.stop[k]) - upTo(p.start[k])))
	}
	for _, t := range p.events {
		j := sort.SearchFloat64s(m.at, t)
		m.each(j, func(out, mean, h float64) {
			d := float64(x) - mean
			u += d/float64(m.ties[j]) + float64(out*r*d*h)
		})
	}
	return float64(p.weight * u * m.naive)
}
