package survive

import (
	"fmt"
	"slices"
	"sort"

	"utfall/estimate"
)

// entering is the reverse-time product limit of the entry time in one censoring stratum: at an entry time l those who
// enter, of those at risk just after it, entry ≤ l < T.
type entering struct {
	time    []float64
	die, in []float64 // by time: weight of those at risk, of those who enter
	surv    []float64 // Π over the times from each on of 1 − in/die; one more, 1, after the last
}

// from returns the number of entry times before t.
func (c *entering) from(t float64) int { return sort.SearchFloat64s(c.time, t) }

func (m *fineGrayModel) entries(rows []int32) entering {
	f := m.f
	byEntry, byExit := byTime(f.Entry, rows), byTime(f.Time, rows)
	var c entering
	risk, out := 0.0, 0
	for lo := 0; lo < len(byEntry); {
		l, in := f.Entry[byEntry[lo]], 0.0
		for ; lo < len(byEntry) && f.Entry[byEntry[lo]] == l; lo++ {
			in += f.weight(byEntry[lo])
		}
		for ; out < len(byExit) && f.Time[byExit[out]] <= l; out++ {
			risk -= f.weight(byExit[out])
		}
		risk += in
		c.time, c.die, c.in = append(c.time, l), append(c.die, max(risk, in)), append(c.in, in)
	}
	c.surv = make([]float64, len(c.time)+1)
	c.surv[len(c.time)] = 1
	for u := len(c.time) - 1; u >= 0; u-- {
		c.surv[u] = c.surv[u+1]
		if x := (c.die[u] - c.in[u]) / c.die[u]; x > 0 {
			c.surv[u] *= x // a factor of 0 belongs to no weight: checked by bridged
		}
	}
	return c
}

// bridged fails where a weight w(t) after an event of another cause would span a time at which everybody at risk is censored, or has just entered:
// of what happens on the way nothing is known.
func (m *fineGrayModel) bridged() error {
	for g := range m.censoring {
		var gaps []float64
		for u, t := range m.censoring[g].time {
			if m.censoring[g].out[u] >= m.censoring[g].die[u] {
				gaps = append(gaps, t)
			}
		}
		for u, t := range m.entry[g].time {
			if m.entry[g].in[u] >= m.entry[g].die[u] {
				gaps = append(gaps, t)
			}
		}
		for _, s := range m.strata {
			first := -1
			for i := s.lo; i < s.hi && first < 0; i++ {
				if m.kind[i] == fgOther && int(m.group[i]) == g {
					first = i
				}
			}
			if first < 0 || s.from == s.to {
				continue
			}
			for _, t := range gaps {
				if m.f.Time[m.row[first]] <= t && t < m.time[s.to-1] {
					return fmt.Errorf("%w: at time %s nobody is at risk who was there before, so that censoring and entry cannot be told apart from the event; start the clock later", estimate.ErrNotIdentified, FormatTime(t))
				}
			}
		}
	}
	return nil
}

// lateRisk is the weight of those who enter at t or later, times in descending order of calls.
func (m *fineGrayModel) lateRisk(rows []int32) func(t float64) float64 {
	if m.f.Entry == nil {
		return func(float64) float64 { return 0 }
	}
	sorted := byTime(m.f.Entry, rows)
	slices.Reverse(sorted)
	sum, at := 0.0, 0
	return func(t float64) float64 {
		for ; at < len(sorted) && m.f.Entry[sorted[at]] >= t; at++ {
			sum += m.f.weight(sorted[at])
		}
		return sum
	}
}

// enters fills in the event times up to the entry of each row and the rows in the order of it, from the last.
func (m *fineGrayModel) enters() {
	m.in = make([]int32, len(m.row))
	for _, s := range m.strata {
		times := m.time[s.from:s.to]
		var rows []int32
		for i := s.lo; i < s.hi; i++ {
			entry := m.f.Entry[m.row[i]]
			m.in[i] = int32(s.from + sort.Search(len(times), func(q int) bool { return times[q] > entry }))
			rows = append(rows, int32(i))
		}
		slices.SortStableFunc(rows, func(a, b int32) int { return int(m.in[b]) - int(m.in[a]) })
		m.late = append(m.late, rows...)
	}
}
