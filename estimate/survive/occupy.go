package survive

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"utfall/estimate"
	"utfall/internal/num"
)

// An Occupation is the Aalen–Johansen estimate of one group: the probability of
// each state as a step function, with what is needed for the influence function of
// any linear functional of it ([Occupation.Influences]).
type Occupation struct {
	Group  string // "" if the spells have no groups
	States []string
	// Times are 0 and the times up to the horizon at which somebody moves, ascending.
	Times []float64
	// P[k*K+j] is the probability of state j from Times[k] up to the next time; K = len(States).
	P []float64
	// AtRisk[k*K+j] is the weight at risk in state j just before Times[k]; at k = 0, of those who start there.
	AtRisk []float64
	// Moves[h*K+j] is the weight of moves from h to j up to the horizon, Counts their number.
	Moves  []float64
	Counts []int
	// Persons are the group's persons, as indices into ID, in byte order of id.
	Persons []int
	// Last is the last time at which anybody of the group is observed outside an
	// absorbing state; +Inf if by then everybody is in one.
	Last float64

	horizon  float64
	lastRisk []float64 // by state: the last time anybody is at risk in it
	absorb   []bool    // by state: nobody of any group is ever observed in it with time to go
	cells    []move    // by time: cells[cellAt[k]:cellAt[k+1]]
	cellAt   []int32
	stays    []stay // by person: stays[stayAt[r]:stayAt[r+1]]
	stayAt   []int32
	weight   []float64 // by person
	w0       float64   // weight of those who start at 0
	late     int       // persons who enter after 0
	midway   int       // histories that end with a move to a state that others leave
}

// move is all moves h→j at one time.
type move struct {
	h, j  int16
	rate  float64 // weight of moves over weight at risk
	scale float64 // p_h(t-) over weight at risk
}

// stay is a spell on the grid of the group: at risk in h at times lo+1 … hi; cell is
// the move that ends it, -1 if none is counted.
type stay struct {
	lo, hi, cell int32
	h, first     int16 // first is 1 for the state at time 0
}

// Occupy estimates the occupation probabilities of each group up to the horizon
// (same time unit as the spells); see METHODS.md, Aalen–Johansen. It returns the
// errors of [Spells.Check], and [estimate.ErrNotIdentified] if nobody of a group is
// observed from time 0.
func Occupy(s *Spells, horizon float64) ([]*Occupation, error) {
	if !(horizon > 0) {
		return nil, fmt.Errorf("horizon %v must be above 0", horizon)
	}
	h, err := s.histories()
	if err != nil {
		return nil, err
	}
	return s.occupy(h, horizon)
}

func (s *Spells) occupy(h *histories, horizon float64) ([]*Occupation, error) {
	times := make([]float64, 0, 2*len(h.start))
	times = append(append(times, h.start...), h.stop...)
	distinctTimes, rank := num.Ranks(times)
	startRank, stopRank := rank[:len(h.start)], rank[len(h.start):]
	absorb := make([]bool, len(s.States))
	for j := range absorb {
		absorb[j] = true
	}
	for _, f := range h.from {
		absorb[f] = false
	}
	groups := max(1, len(s.GroupNames))
	out := make([]*Occupation, groups)
	members := make([][]int, groups)
	for _, p := range h.order {
		g := 0
		if s.Group != nil {
			g = s.Group[p]
		}
		if s.Weight.Values != nil && s.Weight.Values[p] == 0 {
			continue
		}
		members[g] = append(members[g], int(p))
	}
	for g := range out {
		o := &Occupation{States: s.States, Persons: members[g], horizon: horizon, absorb: absorb}
		if s.GroupNames != nil {
			o.Group = s.GroupNames[g]
		}
		o.weight = make([]float64, len(o.Persons))
		for r, p := range o.Persons {
			o.weight[r] = 1
			if s.Weight.Values != nil {
				o.weight[r] = s.Weight.Values[p]
			}
		}
		if err := o.fit(h, distinctTimes, startRank, stopRank); err != nil {
			return nil, err
		}
		out[g] = o
	}
	return out, nil
}

func (o *Occupation) where() string {
	if o.Group == "" {
		return ""
	}
	return fmt.Sprintf(" of group %q", o.Group)
}

func (o *Occupation) fit(h *histories, times []float64, startRank, stopRank []int32) error {
	K := len(o.States)
	if len(o.Persons) == 0 {
		return fmt.Errorf("%w: no person%s has a weight above 0", estimate.ErrTooFew, o.where())
	}
	// grid[r] is the number of move times up to the r-th distinct time.
	grid := make([]int32, len(times))
	spells := 0
	for _, p := range o.Persons {
		spells += int(h.offset[p+1] - h.offset[p])
		for q := h.offset[p]; q < h.offset[p+1]; q++ {
			if h.to[q] >= 0 && h.stop[q] <= o.horizon {
				grid[stopRank[q]] = 1
			}
		}
	}
	o.Times = []float64{0}
	for r, t := range times {
		if grid[r] == 1 {
			o.Times = append(o.Times, t)
		}
		grid[r] = int32(len(o.Times) - 1)
	}
	E := len(o.Times)
	o.lastRisk = make([]float64, K)
	o.P = make([]float64, E*K)
	o.AtRisk = make([]float64, E*K)
	o.stays = make([]stay, 0, spells)
	o.stayAt = make([]int32, len(o.Persons)+1)
	enter := make([]float64, (E+1)*K) // weight that comes to be at risk from a time on, less the weight that ceases
	count := make([]int32, (E+1)*K)   // the same in persons: exact whatever the weights
	moveCount := make([]int32, E+1)
	for r, p := range o.Persons {
		w := o.weight[r]
		for q := h.offset[p]; q < h.offset[p+1]; q++ {
			st := stay{lo: grid[startRank[q]], hi: grid[stopRank[q]], cell: -1, h: h.from[q]}
			if q == h.offset[p] {
				if h.start[q] == 0 {
					st.first = 1
					o.w0 += w
					o.P[st.h] += w
				} else {
					o.late++
				}
			}
			if h.to[q] >= 0 && h.stop[q] <= o.horizon {
				st.cell = int32(h.to[q]) // the state, until the cells are numbered
				moveCount[st.hi]++
			}
			if q == h.offset[p+1]-1 && h.to[q] >= 0 && !o.absorb[h.to[q]] {
				o.midway++
			}
			enter[int(st.lo+1)*K+int(st.h)] += w
			count[int(st.lo+1)*K+int(st.h)]++
			if int(st.hi) < E {
				enter[int(st.hi+1)*K+int(st.h)] -= w
				count[int(st.hi+1)*K+int(st.h)]--
			}
			o.lastRisk[st.h] = max(o.lastRisk[st.h], h.stop[q])
			o.stays = append(o.stays, st)
		}
		o.stayAt[r+1] = int32(len(o.stays))
	}
	if o.w0 == 0 {
		return fmt.Errorf("%w: nobody%s is observed from time 0, so where they start is unknown", estimate.ErrNotIdentified, o.where())
	}
	for j := range K {
		o.AtRisk[j] = o.P[j]
		o.P[j] /= o.w0
	}
	o.forward(enter, count, moveCount)
	o.last()
	return nil
}

// forward runs through the move times: weights at risk, rates, probabilities.
func (o *Occupation) forward(enter []float64, count, moveCount []int32) {
	K, E := len(o.States), len(o.Times)
	o.Moves, o.Counts = make([]float64, K*K), make([]int, K*K)
	at := make([]int32, E+1)
	for k := 1; k <= E; k++ {
		at[k] = at[k-1] + moveCount[k-1]
	}
	total := int(at[E])
	byTime := make([]int32, total)     // stays that end in a move, by time
	who := make([]int32, len(o.stays)) // the person of a stay
	for r := range o.Persons {
		for q := o.stayAt[r]; q < o.stayAt[r+1]; q++ {
			who[q] = int32(r)
		}
	}
	next := slices.Clone(at)
	for q := range o.stays {
		if st := &o.stays[q]; st.cell >= 0 {
			byTime[next[st.hi]] = int32(q)
			next[st.hi]++
		}
	}
	o.cellAt = make([]int32, E+1)
	y, lost := make([]float64, K), make([]float64, K)
	n := make([]int32, K)
	slot := make([]int32, K*K)
	leave, leavers := make([]float64, K), make([]int32, K)
	for i := range slot {
		slot[i] = -1
	}
	for k := 1; k < E; k++ {
		o.cellAt[k] = int32(len(o.cells))
		for j := range K {
			y[j], lost[j] = add(y[j], lost[j], enter[k*K+j])
			n[j] += count[k*K+j]
			leave[j], leavers[j] = 0, 0
		}
		for _, q := range byTime[at[k]:at[k+1]] {
			st := &o.stays[q]
			c := int(st.h)*K + int(st.cell)
			if slot[c] < 0 {
				slot[c] = int32(len(o.cells))
				o.cells = append(o.cells, move{h: st.h, j: int16(st.cell)})
			}
			w := o.weight[who[q]]
			o.Counts[c]++
			o.cells[slot[c]].rate += w
			leave[st.h] += w
			leavers[st.h]++
			st.cell = slot[c]
		}
		before, after := o.P[(k-1)*K:k*K], o.P[k*K:(k+1)*K]
		copy(after, before)
		risk := o.AtRisk[k*K : (k+1)*K]
		for j := range K {
			switch {
			case n[j] == 0:
				risk[j] = 0
			case leavers[j] == n[j]:
				risk[j], after[j] = leave[j], 0 // everybody leaves: exactly nothing stays
			default:
				risk[j] = y[j] + lost[j]
				after[j] -= float64(before[j] * (leave[j] / risk[j]))
			}
		}
		for c := o.cellAt[k]; c < int32(len(o.cells)); c++ {
			m := &o.cells[c]
			o.Moves[int(m.h)*K+int(m.j)] += m.rate
			m.rate /= risk[m.h]
			m.scale = before[m.h] / risk[m.h]
			after[m.j] += float64(before[m.h] * m.rate)
			slot[int(m.h)*K+int(m.j)] = -1
		}
	}
	o.cellAt[E] = int32(len(o.cells))
}

// add is one step of Neumaier's compensated sum: weights that come and go leave no residue.
func add(sum, lost, x float64) (float64, float64) {
	t := sum + x
	if math.Abs(sum) >= math.Abs(x) {
		return t, lost + ((sum - t) + x)
	}
	return t, lost + ((x - t) + sum)
}

// tiny is a probability that is 0 but for rounding.
const tiny = 1e-12

func (o *Occupation) last() {
	K := len(o.States)
	o.Last = math.Inf(1)
	end := o.P[len(o.P)-K:]
	for j, p := range end {
		if p > tiny && !o.absorb[j] {
			o.Last = slices.Max(o.lastRisk)
		}
	}
}

// Index returns the k of the step that holds at time t: Times[k] ≤ t < Times[k+1].
func (o *Occupation) Index(t float64) int {
	return sort.Search(len(o.Times), func(k int) bool { return o.Times[k] > t }) - 1
}

// At returns the probabilities of the states at time t; the slice is the estimate's own.
func (o *Occupation) At(t float64) []float64 {
	k, K := o.Index(t), len(o.States)
	return o.P[k*K : (k+1)*K]
}

// Duration returns the length of the part of step k that lies before tau.
func (o *Occupation) Duration(k int, tau float64) float64 {
	end := tau
	if k+1 < len(o.Times) {
		end = min(end, o.Times[k+1])
	}
	return max(0, end-o.Times[k])
}

// MeanTime returns ∫_0^tau p_j(t)dt for each state.
func (o *Occupation) MeanTime(tau float64) []float64 {
	K := len(o.States)
	sum, lost := make([]float64, K), make([]float64, K)
	for k := range o.Times {
		d := o.Duration(k, tau)
		for j := range K {
			sum[j], lost[j] = add(sum[j], lost[j], float64(d*o.P[k*K+j]))
		}
	}
	for j := range K {
		sum[j] += lost[j]
	}
	return sum
}

// Observed reports whether the probabilities at time t are identified: somebody is
// still observed then, or everybody has reached an absorbing state.
func (o *Occupation) Observed(t float64) bool { return t <= o.Last }
