package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
)

// pairLevel is one outcome of the comparison. For times S[0] is the curve of the comparison people, S[1] of the
// participants.
type pairLevel struct {
	o                  Outcome
	value              []float64
	event              []bool // nil for a number
	reached, won, lost float64

	curve [2]*pairCurve
	// Of each person, in the curve of the other arm: the number of steps that lie a threshold or more below the
	// person's time, and of those before a threshold above it; the latter is not known beyond the other arm's follow-up.
	below, above []int
	known        []bool
	// Of step l of arm c: where the other arm's curve stands a threshold above it, its height there (0 where it is not known),
	// and the sum over steps ≥ l of the fall of c's curve times that height.
	over   [2][]int
	height [2][]float64
	rest   [2][]float64
	// sure[c][i] is the last step of arm c that lies a threshold or more below every time of the other arm's curve after its step i.
	sure [2][]int
}

func newPairLevel(p *pairing, o Outcome, horizon float64) (*pairLevel, error) {
	l := &pairLevel{o: o, value: o.Value}
	if o.Event == nil {
		return l, nil
	}
	n := len(o.Value)
	l.value, l.event = make([]float64, n), make([]bool, n)
	for i, v := range o.Value {
		l.value[i], l.event[i] = v, o.Event[i]
		if v >= horizon {
			l.value[i], l.event[i] = horizon, true // min(T, horizon) is known
		}
	}
	var last [2]float64 // of an arm's follow-up, +Inf where its curve reaches 0
	for a := range 2 {
		l.curve[a] = newPairCurve(p.arm[a], l.value, l.event, p.weight)
		last[a] = math.Inf(1)
		if c := l.curve[a]; c.surv[len(c.surv)-1] > 0 {
			last[a] = 0
			for _, i := range p.arm[a] {
				last[a] = max(last[a], l.value[i])
			}
			if !math.IsInf(horizon, 1) {
				return nil, fmt.Errorf("%w: nobody of an arm is followed to the horizon for outcome %q; choose a shorter one", estimate.ErrNotIdentified, o.Name)
			}
		}
	}
	below := func(c *pairCurve, t float64) int {
		if o.Threshold > 0 {
			return c.index(t - o.Threshold)
		}
		return c.before(t)
	}
	above := func(c *pairCurve, t float64) int {
		if o.Threshold > 0 {
			return c.before(t + o.Threshold)
		}
		return c.index(t)
	}
	l.below, l.above, l.known = make([]int, n), make([]int, n), make([]bool, n)
	for a := range 2 {
		other := l.curve[1-a]
		for _, i := range p.arm[a] {
			l.below[i], l.above[i], l.known[i] = below(other, l.value[i]), above(other, l.value[i]), l.value[i]+o.Threshold <= last[1-a]
		}
		own := l.curve[a]
		K := len(own.time)
		l.over[a], l.height[a], l.rest[a] = make([]int, K+1), make([]float64, K+1), make([]float64, K+2)
		unknown := K + 1
		for k := K; k >= 1; k-- {
			t := own.time[k-1]
			l.over[a][k] = above(other, t)
			if t+o.Threshold <= last[1-a] {
				l.height[a][k] = other.surv[l.over[a][k]]
			} else {
				unknown = k
			}
			l.rest[a][k] = l.rest[a][k+1] + float64((own.surv[k-1]-own.surv[k])*l.height[a][k])
		}
		l.sure[a] = make([]int, len(other.time)+1)
		k := 0
		for i := range l.sure[a] {
			for k+1 < unknown && l.over[a][k+1] <= i {
				k++
			}
			l.sure[a][i] = k
		}
	}
	return l, nil
}

// decide gives the share of a pair that the participant i wins and loses; for times also how both are made up, so that
// their derivatives can be pushed back.
func (l *pairLevel) decide(i, j int) (win, loss float64) {
	x, y := l.value[i], l.value[j]
	var up, down float64
	if l.event == nil || l.event[i] && l.event[j] {
		switch d := x - y; {
		case d >= l.o.Threshold && d > 0:
			up = 1
		case -d >= l.o.Threshold && d < 0:
			down = 1
		}
	} else {
		up, down = l.later(1, i, j), l.later(0, j, i)
	}
	if l.o.Lower {
		return down, up
	}
	return up, down
}

// later is P(T_i ≥ T_j + threshold) for person i of arm a, j of the other.
func (l *pairLevel) later(a, i, j int) float64 {
	own, other := l.curve[a], l.curve[1-a]
	si, sj := own.surv[own.at[i]], other.surv[other.at[j]]
	switch {
	case l.event[i]: // T_j > t_j
		return 1 - other.surv[max(l.below[i], other.at[j])]/sj
	case l.event[j]: // T_i > t_i
		if !l.known[j] {
			return 0
		}
		return own.surv[max(l.above[j], own.at[i])] / si
	}
	m := max(other.at[j], l.sure[1-a][own.at[i]])
	return 1 - other.surv[m]/sj + l.rest[1-a][m+1]/(si*sj)
}

// pushLater adds c times the derivative of later to the gradients: with respect to the curves, and to rest.
func (l *pairLevel) pushLater(c float64, a, i, j int, curve [2][]float64, rest [2][]float64) {
	own, other := l.curve[a], l.curve[1-a]
	si, sj := own.surv[own.at[i]], other.surv[other.at[j]]
	switch {
	case l.event[i]:
		m := max(l.below[i], other.at[j])
		curve[1-a][m] -= c / sj
		curve[1-a][other.at[j]] += c * other.surv[m] / (sj * sj)
		return
	case l.event[j]:
		if !l.known[j] {
			return
		}
		m := max(l.above[j], own.at[i])
		curve[a][m] += c / si
		curve[a][own.at[i]] -= c * own.surv[m] / (si * si)
		return
	}
	m := max(other.at[j], l.sure[1-a][own.at[i]])
	q := l.rest[1-a][m+1]
	curve[1-a][m] -= c / sj
	curve[1-a][other.at[j]] += c * (other.surv[m] - q/si) / (sj * sj)
	curve[a][own.at[i]] -= c * q / (sj * si * si)
	rest[1-a][m+1] += c / (si * sj)
}

// expand turns the gradient with respect to rest into that with respect to the curves.
func (l *pairLevel) expand(curve, rest [2][]float64) {
	for a := range 2 {
		own, g := l.curve[a], 0.0
		for k := 1; k < len(own.surv); k++ {
			g += rest[a][k]
			curve[a][k-1] += float64(g * l.height[a][k])
			curve[a][k] -= float64(g * l.height[a][k])
			if l.height[a][k] > 0 {
				curve[1-a][l.over[a][k]] += float64(g * (own.surv[k-1] - own.surv[k]))
			}
		}
	}
}

// pairPart holds the sums over the pairs of some participants.
type pairPart struct {
	treated, control [2][]float64      // kind (won, lost): with both weights
	share            [][3]float64      // by level: reached, won, lost
	curve, rest      [][2][2][]float64 // by level, kind, arm
	fav, unf, reach  []float64         // of the pair under way
}

func (p *pairing) newPart(rows int) *pairPart {
	part := &pairPart{share: make([][3]float64, len(p.level)), curve: make([][2][2][]float64, len(p.level)), rest: make([][2][2][]float64, len(p.level)),
		fav: make([]float64, len(p.level)), unf: make([]float64, len(p.level)), reach: make([]float64, len(p.level)+1)}
	for kind := range 2 {
		part.treated[kind], part.control[kind] = make([]float64, rows), make([]float64, len(p.arm[0]))
		for k, l := range p.level {
			if l.event == nil {
				continue
			}
			for a := range 2 {
				part.curve[k][kind][a] = make([]float64, len(l.curve[a].surv))
				part.rest[k][kind][a] = make([]float64, len(l.curve[a].surv)+1)
			}
		}
	}
	return part
}

// add takes in the sums that persons do not divide.
func (t *pairPart) add(o *pairPart) {
	for k := range t.share {
		for q := range 3 {
			t.share[k][q] += o.share[k][q]
		}
		for kind := range 2 {
			for a := range 2 {
				for m, v := range o.curve[k][kind][a] {
					t.curve[k][kind][a][m] += v
				}
				for m, v := range o.rest[k][kind][a] {
					t.rest[k][kind][a][m] += v
				}
			}
		}
	}
}

// pair compares the a-th participant, the row-th of the part, with the b-th comparison person.
func (p *pairing) pair(t *pairPart, a, b, row int) {
	i, j := p.arm[1][a], p.arm[0][b]
	w := p.weight[i] * p.weight[j]
	last := 0
	t.reach[0] = 1
	for k, l := range p.level {
		t.fav[k], t.unf[k] = l.decide(i, j)
		left := 1 - t.fav[k] - t.unf[k]
		if left < rounding {
			left = 0
		}
		t.reach[k+1] = t.reach[k] * left
		t.share[k][0] += w * t.reach[k]
		t.share[k][1] += w * t.reach[k] * t.fav[k]
		t.share[k][2] += w * t.reach[k] * t.unf[k]
		last = k
		if left == 0 {
			break
		}
	}
	var ahead [2]float64 // what the levels after this one win and lose of a pair that reaches them
	for k := last; k >= 0; k-- {
		l := p.level[k]
		left := 1 - t.fav[k] - t.unf[k]
		if l.event != nil && !(l.event[i] && l.event[j]) {
			for kind := range 2 {
				win, loss := -ahead[kind], -ahead[kind]
				if kind == 0 {
					win++
				} else {
					loss++
				}
				if l.o.Lower {
					win, loss = loss, win
				}
				c := w * t.reach[k]
				l.pushLater(c*win, 1, i, j, t.curve[k][kind], t.rest[k][kind])
				l.pushLater(c*loss, 0, j, i, t.curve[k][kind], t.rest[k][kind])
			}
		}
		ahead[0] = t.fav[k] + float64(left*ahead[0])
		ahead[1] = t.unf[k] + float64(left*ahead[1])
	}
	for kind, v := range ahead {
		t.treated[kind][row] += w * v
		t.control[kind][b] += w * v
	}
}
