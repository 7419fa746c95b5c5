package panel

import (
	"math"

	"utfall/internal/num"
)

// joiners is DID_M: from one period to the next, units that change their treatment against units that had the same and keep it,
//
//	DID_M = Σ_t Σ w·S·(Δy - mean Δy of the stayers)/Σ_t Σ w·|ΔD|,   Δ from t-1 to t, S the direction of the change
//
// the effect of the treatment in its period on those who change it then. It needs that past treatment has no effect. The placebo is the same for
// Δ from t-2 to t-1, of units whose treatment did not change between these.
//
// Source: de Chaisemartin and D'Haultfœuille (2020), AER 110(9).
type joiners struct {
	value, placebo         float64
	inf, placeboInf        []float64
	switchers, placeboUsed int
}

// contemporaneous estimates DID_M.
func (s *switching) contemporaneous(times []float64, influence bool) *joiners {
	out := &joiners{}
	out.value, out.inf, out.switchers = s.overPeriods(0, times, influence)
	out.placebo, out.placeboInf, out.placeboUsed = s.overPeriods(1, times, influence)
	return out
}

// overPeriods compares changes that lie lag periods before those of the treatment.
func (s *switching) overPeriods(lag int, times []float64, influence bool) (float64, []float64, int) {
	c, dose := compared{}, 0.0
	if influence {
		c.inf = make([]float64, len(s.l.names))
	}
	for t := 1 + lag; t < len(s.l.periods); t++ {
		levels := map[float64]bool{}
		var order []float64
		for _, d := range s.d {
			if !levels[d[t-1]] {
				levels[d[t-1]] = true
				order = append(order, d[t-1])
			}
		}
		for _, from := range order {
			m := match{from: t - 1 - lag, to: t - lag, sign: func(u int) float64 {
				if s.d[u][t] > s.d[u][t-1] {
					return 1
				}
				return -1
			}}
			for u, d := range s.d {
				switch {
				case d[t-1] != from || lag > 0 && d[t-2] != from:
				case d[t] != from:
					m.switchers = append(m.switchers, u)
				default:
					m.stayers = append(m.stayers, u)
				}
			}
			if len(m.switchers) == 0 || !s.add(&c, m, times) {
				continue
			}
			for _, u := range m.switchers {
				dose += float64(s.weight(u, m.from, times) * math.Abs(s.d[u][t]-s.d[u][t-1]))
			}
		}
	}
	for u := range c.inf {
		c.inf[u] /= dose
	}
	return c.total / dose, c.inf, c.units
}

// json are the details of DID_M; null where nothing can be compared.
func (j *joiners) json(l *long) map[string]any {
	one := func(value float64, inf []float64, units int) map[string]any {
		if units == 0 {
			return map[string]any{"estimate": nil, "std_error": nil, "switchers": 0}
		}
		sums := l.clusterTotals(inf)
		return map[string]any{"estimate": value, "std_error": math.Sqrt(num.Dot(sums, sums)), "switchers": units}
	}
	out := one(j.value, j.inf, j.switchers)
	out["placebo"] = one(j.placebo, j.placeboInf, j.placeboUsed)
	return out
}
