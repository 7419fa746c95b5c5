package survive

import (
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// fewErrors is how many standard errors a share must be from 0 and from 1 for a normal interval: nearer, few people
// carry it, the error follows the share, and the interval covers too little (design D3: .79 to .93).
const fewErrors = 5

// rareShare is a share between 0 and 1, or a time as a share of the horizon, of one group. n persons stand behind it, in effect.
type rareShare struct{ value, se, n float64 }

// rare says whether a normal interval of the share covers too little.
func (r rareShare) rare() bool {
	return r.value < fewErrors*r.se || 1-r.value < fewErrors*r.se || !(r.value > tiny) || !(r.value < 1-tiny)
}

// score is Wilson's interval with the persons that the standard error is worth, ñ = p(1 − p)/se²; at 0 and 1, where
// the error says nothing, those in the group.
func (r rareShare) score(z float64) (lo, hi float64) {
	p, n := r.value, r.n
	switch {
	case p <= tiny:
		return 0, z * z / (n + z*z)
	case p >= 1-tiny:
		return n / (n + z*z), 1
	}
	v := r.se * r.se
	// Wilson's formula with n = p(1 − p)/v, written without n.
	k := float64(z * z * v)
	centre := float64(p*p*(1-p)) + k/2
	half := z * math.Sqrt(float64(p*p*(1-p)*(1-p)*v)+k*v/4)
	below := float64(p*(1-p)) + k
	return max(0, (centre-half)/below), min(1, (centre+half)/below)
}

// hybrid joins the intervals of two shares a and b into one of b − a (Newcombe; Zou and Donner), rho the correlation of the two:
//
//	lower = d − √{(b − l_b)² − 2ρ(b − l_b)(u_a − a) + (u_a − a)²}
func hybrid(a, b rareShare, rho, z float64) (lo, hi float64) {
	la, ua := a.score(z)
	lb, ub := b.score(z)
	reach := func(x, y float64) float64 {
		return math.Sqrt(max(0, float64(x*x)-float64(2*rho*x*y)+float64(y*y)))
	}
	d := b.value - a.value
	return d - reach(b.value-lb, ua-a.value), d + reach(ub-b.value, a.value-la)
}

// hybridScore replaces interval and test of the difference b − a, whose standard error is e.SE/span, where one of the shares
// is rare; span is what turns shares into the unit of e. The p-value is the level at which the interval reaches 0.
func hybridScore(e *estimate.Estimate, a, b rareShare, span float64) {
	if !(e.SE > 0) || !a.rare() && !b.rare() {
		return
	}
	rho := 0.0
	if a.se > 0 && b.se > 0 {
		d := e.SE / span
		rho = (float64(a.se*a.se) + float64(b.se*b.se) - float64(d*d)) / (2 * a.se * b.se)
		rho = min(1, max(-1, rho))
	}
	lo, hi := hybrid(a, b, rho, num.StudentQuantile(e.CI.Level, math.Inf(1)))
	e.CI.Lo, e.CI.Hi, e.CI.Method = span*lo, span*hi, "hybrid-score"
	if e.Value == 0 {
		e.Test.Stat, e.Test.P = 0, 1
		return
	}
	apart := func(z float64) bool { // 0 is outside
		lo, hi := hybrid(a, b, rho, z)
		return lo > 0 || hi < 0
	}
	from, to := 0.0, 1.0
	for apart(to) && to < 64 {
		to *= 2
	}
	for range 60 {
		if mid := (from + to) / 2; apart(mid) {
			from = mid
		} else {
			to = mid
		}
	}
	e.Test.Stat = math.Copysign(from, e.Value)
	e.Test.P = num.StudentTail(from, math.Inf(1))
}

// groupScore is the interval of one restricted mean time over the horizon span, score where it is rare.
func groupScore(ci estimate.Interval, r rareShare, span float64) estimate.Interval {
	if !(r.se > 0) || !r.rare() {
		return ci
	}
	lo, hi := r.score(num.StudentQuantile(ci.Level, math.Inf(1)))
	return estimate.Interval{Lo: span * lo, Hi: span * hi, Level: ci.Level, Method: "score"}
}

// effective is how many persons, or clusters, of equal weight those of a group are worth.
func (s *Spells) effective(persons []int) float64 {
	sum := map[int]float64{}
	var order []int
	for _, p := range persons {
		c, w := p, 1.0
		if s.Cluster != nil {
			c = s.Cluster[p]
		}
		if s.Weight.Values != nil {
			w = s.Weight.Values[p]
		}
		if _, seen := sum[c]; !seen {
			order = append(order, c)
		}
		sum[c] += w
	}
	var total, square float64
	for _, c := range order {
		total, square = total+sum[c], square+float64(sum[c]*sum[c])
	}
	return total * total / square
}
