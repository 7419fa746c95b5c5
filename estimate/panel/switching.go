package panel

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// switching is a balanced panel of units whose treatment may change more than once.
type switching struct {
	l     *long
	first []int       // row of each unit's first period; those of the others follow
	d     [][]float64 // treatment of each unit by period
	start []int       // index of the period of the first change; unchanged if there is none

	adjust *adjustment // nil = no covariates
}

// unchanged is the start of units whose treatment never changes: later than any period with its anticipation.
const unchanged = math.MaxInt / 2

// laySwitching lays out the rows. treatment has a number for each row of f; nil: 1 from the cohort on, and units treated from the
// first period on are left out and counted.
func laySwitching(f *Frame, treatment []float64, anticipation int) (*switching, error) {
	offset := 0
	if treatment != nil {
		if len(treatment) != len(f.Y) {
			return nil, fmt.Errorf("%w: %d treatments for %d outcomes", estimate.ErrInvalidFrame, len(treatment), len(f.Y))
		}
		if f.Cohort != nil {
			return nil, fmt.Errorf("%w: give the treatment or the cohort, not both", ErrOption)
		}
		if len(f.Unit) != len(f.Y) || len(f.Time) != len(f.Y) || len(f.Y) == 0 {
			return nil, fmt.Errorf("%w: %d units and %d periods for %d outcomes", estimate.ErrInvalidFrame, len(f.Unit), len(f.Time), len(f.Y))
		}
		for i, v := range treatment {
			if !finite(v) {
				return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the treatment is not a finite number", estimate.ErrInvalidFrame)}
			}
		}
		// Counted from 1: a change in period 0 is no cohort 0.
		offset = slices.Min(f.Time) - 1
		dated := *f
		dated.Time = make([]int, len(f.Time))
		for i, t := range f.Time {
			dated.Time[i] = t - offset
		}
		dated.Cohort = firstChange(&dated, treatment)
		f = &dated
	}
	l, err := layLong(f, anticipation, false)
	if err != nil {
		return nil, err
	}
	if err := l.balance(); err != nil {
		return nil, err
	}
	for p := range l.periods[1:] {
		if l.periods[p+1] != l.periods[p]+1 {
			return nil, fmt.Errorf("%w: periods must be one apart; number them 1, 2, 3, …", ErrOption)
		}
	}
	s := &switching{l: l, d: make([][]float64, len(l.names)), start: make([]int, len(l.names)), first: make([]int, len(l.names))}
	values := map[string]map[int]float64{}
	for i := range treatment {
		if values[f.Unit[i]] == nil {
			values[f.Unit[i]] = map[int]float64{}
		}
		values[f.Unit[i]][f.Time[i]] = treatment[i]
	}
	for i, u := range l.unit {
		if l.period[i] == 0 {
			s.first[u] = i
			s.d[u] = make([]float64, len(l.periods))
		}
		if treatment != nil {
			s.d[u][l.period[i]] = values[l.names[u]][l.periods[l.period[i]]]
		} else {
			s.d[u][l.period[i]] = dummy(l.treated(i, 0))
		}
	}
	for p := range l.periods {
		l.periods[p] += offset
	}
	for i, g := range l.cohort {
		if g != never {
			l.cohort[i] += offset
		}
	}
	switches := false
	for u, d := range s.d {
		s.start[u] = unchanged
		for p := range d {
			if d[p] != d[0] {
				s.start[u], switches = p, true
				break
			}
		}
	}
	if !switches {
		return nil, fmt.Errorf("%w: no unit that is seen in every period changes its treatment", estimate.ErrNoTreated)
	}
	return s, nil
}

// firstChange is, for each row, the period in which its unit's treatment differs first from that of the unit's first period; 0 = never.
func firstChange(f *Frame, treatment []float64) []int {
	order := make([]int, len(f.Y))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return f.Time[a] - f.Time[b] })
	from, change := map[string]float64{}, map[string]int{}
	for _, i := range order {
		u := f.Unit[i]
		if d, ok := from[u]; !ok {
			from[u] = treatment[i]
		} else if _, done := change[u]; !done && treatment[i] != d {
			change[u] = f.Time[i]
		}
	}
	out := make([]int, len(f.Y))
	for i, u := range f.Unit {
		out[i] = change[u]
	}
	return out
}

// y is the outcome less what covariates say of it.
func (s *switching) y(u, p int) float64 {
	y := s.l.y[s.first[u]+p]
	if s.adjust != nil {
		for j, b := range s.adjust.coef[s.d[u][0]] {
			y -= float64(b * s.l.x[j][s.first[u]+p])
		}
	}
	return y
}

// weight is that of the base row, times how often the unit counts (bootstrap; nil = once).
func (s *switching) weight(u, p int, times []float64) float64 {
	w := s.l.weight(s.first[u] + p)
	if times != nil {
		w *= times[u]
	}
	return w
}

// sign is the direction of a unit's first change.
func (s *switching) sign(u int) float64 {
	if s.d[u][s.start[u]] > s.d[u][0] {
		return 1
	}
	return -1
}

// oneWay reports whether a unit has been on one side only of its first treatment until period p.
func (s *switching) oneWay(u, p int) bool {
	sign := s.sign(u)
	for _, d := range s.d[u][s.start[u] : p+1] {
		if (d-s.d[u][0])*sign < 0 {
			return false
		}
	}
	return true
}

// a match is units that change their treatment and units that do not, from the same treatment and over the same two periods.
type match struct {
	from, to           int // periods of the change of the outcome
	switchers, stayers []int
	sign               func(u int) float64
}

// compared adds up Σ w·S·(Δ - mean Δ of the stayers) over the switchers of matches.
type compared struct {
	total  float64   // Σ w·S·(Δ - mean)
	weight float64   // Σ w of the switchers
	inf    []float64 // of each unit, on total; nil if not asked for
	units  int       // switchers
	fewest int       // stayers of the match that has fewest
	met    int       // Σ over switchers of their match's stayers
	alone  []int     // switchers without another of the same match and direction
}

// add compares; ok is false if a side is empty.
func (s *switching) add(c *compared, m match, times []float64) (ok bool) {
	change := func(u int) float64 { return s.y(u, m.to) - s.y(u, m.from) }
	mean := func(units []int, in func(u int) bool) (value, weight float64, n int) {
		for _, u := range units {
			if in(u) {
				w := s.weight(u, m.from, times)
				weight += w
				value += float64(w * change(u))
				if w > 0 {
					n++
				}
			}
		}
		return value / weight, weight, n
	}
	all := func(int) bool { return true }
	control, w0, n0 := mean(m.stayers, all)
	_, w1, n1 := mean(m.switchers, all)
	if n0 == 0 || n1 == 0 {
		return false
	}
	signed := 0.0
	for _, u := range m.switchers {
		w := float64(s.weight(u, m.from, times) * m.sign(u))
		signed += w
		c.total += float64(w * (change(u) - control))
	}
	c.weight += w1
	if c.units == 0 || n0 < c.fewest {
		c.fewest = n0
	}
	c.units += n1
	c.met += n1 * n0
	if c.inf == nil {
		return true
	}
	for _, sign := range []float64{1, -1} {
		in := func(u int) bool { return m.sign(u) == sign }
		own, w, n := mean(m.switchers, in)
		factor := math.Sqrt(float64(n) / float64(n-1))
		if n == 1 { // alone it has no spread: counted from the mean of it and its controls
			own = (float64(own*w) + float64(control*w0)) / (w + w0)
			factor = 1
		}
		for _, u := range m.switchers {
			if n > 0 && in(u) {
				if n == 1 {
					c.alone = append(c.alone, u)
				}
				c.inf[u] += float64(factor * s.weight(u, m.from, times) * sign * (change(u) - own))
			}
		}
	}
	factor := 1.0
	if n0 > 1 {
		factor = math.Sqrt(float64(n0) / float64(n0-1))
	}
	for _, u := range m.stayers {
		c.inf[u] -= float64(factor * (signed / w0) * s.weight(u, m.from, times) * (change(u) - control))
	}
	return true
}

// starts groups the units that change by the period of their first change and the treatment before it, in that order.
func (s *switching) starts() [][]int {
	type key struct {
		start int
		from  float64
	}
	groups := map[key][]int{}
	for u, p := range s.start {
		if p < len(s.l.periods) {
			groups[key{p, s.d[u][0]}] = append(groups[key{p, s.d[u][0]}], u)
		}
	}
	keys := make([]key, 0, len(groups))
	for k := range groups {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.start != b.start:
			return a.start - b.start
		case a.from < b.from:
			return -1
		}
		return 1
	})
	out := make([][]int, len(keys))
	for i, k := range keys {
		out[i] = groups[k]
	}
	return out
}
