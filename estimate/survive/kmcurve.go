package survive

import (
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// kmCurve is the estimate of one group. surv, se and green have one value before the
// first event time (index 0) and one from each event time on.
type kmCurve struct {
	group string
	rows  []int32 // weight above 0
	time  []float64
	surv  []float64
	se    []float64
	green []float64 // Σ d/(Y(Y−d)), the H of METHODS.md
	last  float64   // last time anybody is observed

	f        *Times
	distinct []float64 // times and entries, of all groups or of this one
	rank     []int32   // rows: place of the time in distinct; rows n…2n−1 the entries
	place    []place   // one for each value of distinct, and one after the last
	died     []int32   // by event time: events up to it
	gain     []float64 // by event time, from 1: 1/(Y−d)
	clusters int

	lateAfterZero int
}

// place is what a curve knows about one of the distinct times; together, because rows
// in arbitrary order visit places at random.
type place struct {
	risk, die     float64 // weight at risk, of events
	number, event int32   // rows at risk, of events
	left          int32   // censored before it
	step          int32   // event times of the group up to it
}

// robust reports whether standard errors come from the influence function.
func (f *Times) robust() bool {
	return f.Cluster != nil || f.Weight.Kind == estimate.Sampling || f.Weight.Kind == estimate.Matching
}

func (f *Times) weight(i int32) float64 {
	if f.Weight.Values == nil {
		return 1
	}
	return f.Weight.Values[i]
}

// curves estimates the curve of each group, with workers goroutines where that helps; their number changes nothing.
func (f *Times) curves(workers int) ([]*kmCurve, error) {
	n := len(f.Time)
	all := f.Time
	if f.Entry != nil {
		all = make([]float64, 0, 2*n)
		all = append(append(all, f.Time...), f.Entry...)
	}
	distinctTimes, rank, order := num.RanksOrder(all, workers)
	groups := max(1, len(f.GroupNames))
	size := make([]int, groups)
	for i := range n {
		size[f.groupOf(int32(i))]++
	}
	members := make([][]int32, groups)
	for g := range members {
		members[g] = make([]int32, 0, size[g])
	}
	take := func(i int32) {
		if f.weight(i) > 0 {
			g := f.groupOf(i)
			members[g] = append(members[g], i)
		}
	}
	if f.robust() {
		order, err := idOrder(f.Unit)
		if err != nil {
			return nil, err
		}
		for _, i := range order {
			take(i)
		}
	} else if order != nil && f.Entry == nil { // in the order of time all that follows reads memory in order
		for _, i := range order {
			take(i)
		}
	} else { // sums of whole numbers: any order gives the same
		for i := range n {
			take(int32(i))
		}
	}
	own := groups > 1 && order != nil && f.Entry == nil && !f.robust() // rows stand in the order of time
	out, failed := make([]*kmCurve, groups), make([]error, groups)
	num.ForEach(groups, workers, func(g int) {
		c := &kmCurve{f: f, rows: members[g], distinct: distinctTimes, rank: rank}
		if f.GroupNames != nil {
			c.group = f.GroupNames[g]
		}
		if len(c.rows) == 0 {
			failed[g] = fmt.Errorf("%w: group %q has no row with a weight above 0", estimate.ErrTooFew, c.group)
		} else {
			if own {
				c.rankOwn()
			}
			failed[g] = c.fit()
		}
		out[g] = c
	})
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rankOwn ranks rows that stand in the order of time among those of the group, so that what the curve knows of each
// time takes room for its own alone.
func (c *kmCurve) rankOwn() {
	all, before := c.distinct, int32(-1)
	c.distinct = make([]float64, 0, len(c.rows))
	for _, i := range c.rows {
		if r := c.rank[i]; r != before {
			c.distinct, before = append(c.distinct, all[r]), r
		}
		c.rank[i] = int32(len(c.distinct) - 1)
	}
}

func (f *Times) groupOf(i int32) int {
	if f.Group == nil {
		return 0
	}
	return f.Group[i]
}

func (c *kmCurve) fit() error {
	f, D, n := c.f, len(c.distinct), len(c.f.Time)
	c.place = make([]place, D+1)
	last := int32(0)
	for _, i := range c.rows {
		w, r := f.weight(i), c.rank[i]
		p := &c.place[r]
		p.number++
		p.risk += w
		if f.Event[i] {
			p.die += w
			p.event++
		} else {
			c.place[r+1].left++
		}
		if f.Entry != nil {
			e := &c.place[c.rank[n+int(i)]]
			e.number--
			e.risk -= w
		}
		last = max(last, r)
	}
	c.last = c.distinct[last]
	// At risk at a place: all who leave there or later, less all who enter there or later.
	var sum, lost float64
	steps := 1
	for r := D - 1; r >= 0; r-- {
		p := &c.place[r]
		p.number += c.place[r+1].number
		sum, lost = add(sum, lost, p.risk)
		p.risk = sum + lost
		if p.event > 0 {
			steps++
		}
	}
	c.time = make([]float64, 0, steps-1)
	c.surv, c.green, c.gain = make([]float64, 1, steps), make([]float64, 1, steps), make([]float64, 1, steps)
	c.died = make([]int32, 1, steps)
	c.surv[0] = 1
	for r := range D {
		p := &c.place[r]
		c.place[r+1].left += p.left
		if p.event > 0 {
			s, h, y := c.surv[len(c.surv)-1], c.green[len(c.green)-1], p.risk
			stay := y - p.die
			if p.event == p.number {
				stay, y = 0, p.die
			}
			c.time = append(c.time, c.distinct[r])
			c.surv = append(c.surv, s*(stay/y))
			c.green = append(c.green, h+p.die/y/stay)
			c.gain = append(c.gain, 1/stay)
			c.died = append(c.died, c.died[len(c.died)-1]+p.event)
			if stay == 0 && s > 0 && f.Entry != nil {
				c.lateAfterZero = int(c.entering(int32(r)))
			}
		}
		p.step = int32(len(c.time))
	}
	if f.robust() {
		return c.robustErrors()
	}
	c.se = make([]float64, len(c.surv))
	for s, v := range c.surv {
		c.se[s] = v * math.Sqrt(c.green[s]) // 0·Inf is NaN where the curve is 0
	}
	return nil
}

// entering counts the rows that enter at or after a place.
func (c *kmCurve) entering(r int32) (n int32) {
	for _, i := range c.rows {
		if c.rank[len(c.f.Time)+int(i)] >= r {
			n++
		}
	}
	return n
}

// robustErrors are the standard errors at every event time in one pass. Within cluster k
// the influence functions at t add up to −S(t)(A_k − H(t)B_k): A_k holds what those who
// have left came to, plus w·H(entry) of those at risk; B_k their weight. The sums of
// A², AB and B² over clusters change by one cluster for each row that comes or goes.
func (c *kmCurve) robustErrors() error {
	f, n := c.f, len(c.f.Time)
	number, K := make([]int32, n), 0
	if f.Cluster == nil {
		for k, i := range c.rows {
			number[i] = int32(k)
		}
		K = len(c.rows)
	} else {
		seen := map[int]int32{}
		for _, i := range c.rows {
			k, ok := seen[f.Cluster[i]]
			if !ok {
				k = int32(len(seen))
				seen[f.Cluster[i]] = k
			}
			number[i] = k
		}
		K = len(seen)
		c.clusters = f.clusters()
		if c.clusters < 2 {
			return fmt.Errorf("%w: %d cluster; a clustered standard error needs 2 or more", estimate.ErrTooFew, c.clusters)
		}
	}
	// Entries take effect after the exits at the same time: a row is at risk from just after it.
	out, in := c.byStep(func(i int32) int32 { return c.place[c.rank[i]].step }), [][]int32(nil)
	if f.Entry != nil {
		in = c.byStep(func(i int32) int32 { return c.place[c.rank[n+int(i)]].step })
	}
	A, B := make([]float64, K), make([]float64, K)
	var aa, ab, bb, laa, lab, lbb float64
	change := func(i int32, da, db float64) {
		k := number[i]
		a, b := A[k], B[k]
		A[k], B[k] = a+da, b+db
		aa, laa = add(aa, laa, A[k]*A[k]-a*a)
		ab, lab = add(ab, lab, A[k]*B[k]-a*b)
		bb, lbb = add(bb, lbb, B[k]*B[k]-b*b)
	}
	if f.Entry == nil {
		for _, i := range c.rows {
			change(i, 0, f.weight(i))
		}
	}
	c.se = make([]float64, len(c.surv))
	factor := clusterFactor(c.clusters)
	for s := range c.surv {
		// Before the event time of step s: those who left between the events; at it: those with step s.
		h := c.green[s]
		if c.surv[s] == 0 {
			c.se[s] = math.NaN()
			continue
		}
		for _, i := range out[s] {
			w, x := f.weight(i), 0.0
			if f.Event[i] {
				x = c.gain[s]
			}
			change(i, float64(w*(x-h)), -w)
		}
		v := (aa + laa) - float64(2*h*(ab+lab)) + float64(h*h*(bb+lbb))
		c.se[s] = c.surv[s] * math.Sqrt(max(0, v)*factor)
		if in != nil {
			for _, i := range in[s] {
				w := f.weight(i)
				change(i, float64(w*h), w)
			}
		}
	}
	return nil
}

// clusters counts the clusters of rows with a weight, over all groups.
func (f *Times) clusters() int {
	seen := map[int]bool{}
	for i, c := range f.Cluster {
		if f.weight(int32(i)) > 0 {
			seen[c] = true
		}
	}
	return len(seen)
}

// byStep lists the rows by a step number.
func (c *kmCurve) byStep(step func(i int32) int32) [][]int32 {
	out := make([][]int32, len(c.surv))
	for _, i := range c.rows {
		out[step(i)] = append(out[step(i)], i)
	}
	return out
}

func (c *kmCurve) influence(dst *mat.Dense, from int, steps []int, workers int) {
	f, n := c.f, len(c.f.Time)
	num.ForChunks(len(c.rows), workers, func(_, lo, hi int) {
		for _, i := range c.rows[lo:hi] {
			row := dst.RawRowView(int(i))[from : from+len(steps)]
			own, in := int(c.place[c.rank[i]].step), 0
			if f.Entry != nil {
				in = int(c.place[c.rank[n+int(i)]].step)
			}
			w := f.weight(i)
			if f.Weight.Kind == estimate.Frequency {
				w = math.Sqrt(w)
			}
			for a, s := range steps {
				if c.surv[s] == 0 {
					continue // the influence on a curve that is 0 is 0
				}
				x := c.green[min(in, s)] - c.green[min(own, s)]
				if f.Event[i] && own <= s {
					x += c.gain[own]
				}
				row[a] = -c.surv[s] * w * x
			}
		}
	})
}

// stepTime is the time from which step s holds.
func (c *kmCurve) stepTime(s int) float64 {
	if s == 0 {
		return 0
	}
	return c.time[s-1]
}

// atRisk returns the number and weight at risk just before t.
func (c *kmCurve) atRisk(t float64) (int, float64) {
	r := sort.SearchFloat64s(c.distinct, t)
	return int(c.place[r].number), c.place[r].risk
}

func (c *kmCurve) eventsTo(step int) int { return int(c.died[step]) }

// censoredTo counts the censored up to and including t.
func (c *kmCurve) censoredTo(t float64) int {
	return int(c.place[sort.Search(len(c.distinct), func(i int) bool { return c.distinct[i] > t })].left)
}
