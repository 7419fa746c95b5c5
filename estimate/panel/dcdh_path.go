package panel

import (
	"math"

	"utfall/internal/num"
)

// terms are the events with the reference in its place, and overall.
func (p *path) terms(anticipation int) []term {
	reference := -1 - anticipation
	zero := term{name: eventTerm(reference), df: math.Inf(1)}
	var out []term
	placed := false
	for _, h := range p.effects {
		if h.event > reference && !placed {
			out, placed = append(out, zero), true
		}
		out = append(out, term{name: eventTerm(h.event), value: h.value, inf: h.inf, df: math.Inf(1)})
	}
	return append(out, term{name: Overall, value: p.total / p.dose, inf: p.inf, df: math.Inf(1)})
}

// compared counts who is under each number: units that changed, the fewest that they were compared with in any period and first treatment, and the number that the typical one was.
func (p *path) compared() []map[string]any {
	fewest, met, times := math.MaxInt, 0, 0
	var out []map[string]any
	for _, h := range p.effects {
		out = append(out, map[string]any{"term": eventTerm(h.event), "switchers": h.units, "stayers": h.fewest, "typical": float64(h.met) / float64(h.units)})
		if h.event >= 0 {
			fewest, met, times = min(fewest, h.fewest), met+h.met, times+h.units
		}
	}
	return append(out, map[string]any{"term": Overall, "switchers": len(p.units), "stayers": fewest, "typical": float64(met) / float64(times)})
}

// normalised divides effects by the mean of the treatment cumulated since the first change.
func (p *path) normalised(l *long) []map[string]any {
	var out []map[string]any
	for _, h := range p.effects {
		if h.event < 0 || h.sum == 0 {
			continue
		}
		per := h.sum / h.weight
		sums := l.clusterTotals(h.inf)
		out = append(out, map[string]any{"event": h.event, "estimate": h.value / per, "std_error": math.Sqrt(num.Dot(sums, sums)) / math.Abs(per),
			"treatment": per, "switchers": h.units})
	}
	return out
}
