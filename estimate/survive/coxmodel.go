package survive

import (
	"fmt"
	"sort"

	"utfall/estimate"
	"utfall/internal/num"
)

// coxModel holds the rows with a weight in the order in which the likelihood visits them:
// stratum by stratum, from the last time to the first, units in byte order within a time.
//
// Each stratum has a slot for each event time, from the last to the first, and one more for
// what lies before its first event. Rows from start[q] to start[q+1] come into the
// risk set at slot q: their time is at or after the slot's and before that of the slot before.
type coxModel struct {
	f        *Covaried
	k        int
	efron    bool
	workers  int
	row      []int32   // of the frame
	at       []float64 // time of each row
	z        []float64 // n×k: (x − mean)/sd
	w        []float64
	event    []bool
	mean, sd []float64
	events   int

	strata []coxStratum
	time   []float64 // by slot; of the last of a stratum without meaning
	start  []int32   // slots and one more
	own    []int32   // by slot: first row whose time is that of the slot
	ties   []int32   // by slot: events; 0 marks the last slot of a stratum
	wd     []float64 // by slot: their weight
	wz     []float64 // Σ w z over all events
	last   []int32   // by row: slot from which it has not yet entered; nil without entry times
	out    []int32   // rows by that slot, those left out that are in no risk set
	outAt  []int32   // slots and one more: places in out

	chunks []int // slots at which the pieces of work begin, and the end
	eta, r []float64
	room   [2][]float64 // by slot, of point
	state  []float64    // by chunk: (1+k) sums of the risk set before its first slot
}

// coxStratum are rows lo ≤ i < hi and slots from ≤ q < to.
type coxStratum struct{ lo, hi, from, to int }

func newCoxModel(f *Covaried, order []int32, efron bool, workers int) (*coxModel, error) {
	_, k := f.X.Dims()
	n := len(order)
	m := &coxModel{f: f, k: k, efron: efron, workers: workers, row: make([]int32, 0, n), at: make([]float64, 0, n), wz: make([]float64, k)}
	var err error
	if m.mean, m.sd, err = columnScale(f.X, f.XNames, f.Weight.Values, order, workers); err != nil {
		return nil, err
	}
	for _, rows := range strata(f.Stratum, order) {
		lo := len(m.row)
		m.fromLast(rows)
		m.strata = append(m.strata, coxStratum{lo: lo, hi: len(m.row)})
	}
	m.z, m.w, m.event = make([]float64, n*k), make([]float64, n), make([]bool, n)
	m.eta, m.r = make([]float64, n), make([]float64, n)
	num.ForChunks(n, workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			r := m.row[i]
			m.w[i], m.event[i] = f.weight(r), f.Event[r]
			z := m.z[i*k : i*k+k]
			for j, x := range f.X.RawRowView(int(r)) {
				z[j] = (x - m.mean[j]) / m.sd[j]
			}
		}
	})
	for s := range m.strata {
		m.slots(&m.strata[s])
	}
	m.start = append(m.start, int32(n))
	if m.events == 0 {
		return nil, fmt.Errorf("%w: no event among %d units", estimate.ErrTooFew, n)
	}
	if f.Entry != nil {
		m.entries()
	}
	m.chunks = []int{0}
	for q, from := 1, 0; q < len(m.time); q++ {
		if int(m.start[q])-from >= num.Chunk {
			m.chunks, from = append(m.chunks, q), int(m.start[q])
		}
	}
	m.chunks = append(m.chunks, len(m.time))
	m.state = make([]float64, len(m.chunks)*(1+k))
	m.room = [2][]float64{make([]float64, len(m.time)), make([]float64, len(m.time))}
	return m, nil
}

// fromLast appends rows in descending order of their times; rows of one time stay in the given order.
func (m *coxModel) fromLast(rows []int32) {
	t := make([]float64, len(rows))
	for i, r := range rows {
		t[i] = -m.f.Time[r]
	}
	order, _ := num.SortFloats(t, m.workers)
	for i, o := range order {
		m.row, m.at = append(m.row, rows[o]), append(m.at, 0-t[i])
	}
}

func (m *coxModel) slots(s *coxStratum) {
	s.from = len(m.time)
	put := func(t float64, lo, own, ties int, wd float64) {
		m.time, m.start, m.own = append(m.time, t), append(m.start, int32(lo)), append(m.own, int32(own))
		m.ties, m.wd = append(m.ties, int32(ties)), append(m.wd, wd)
	}
	from := s.lo // first row without a slot
	for lo := s.lo; lo < s.hi; {
		t, hi, ties, wd := m.at[lo], lo, 0, 0.0
		for ; hi < s.hi && m.at[hi] == t; hi++ {
			if m.event[hi] {
				ties++
				wd += m.w[hi]
				for a, z := range m.z[hi*m.k : hi*m.k+m.k] {
					m.wz[a] += float64(m.w[hi] * z)
				}
			}
		}
		if ties > 0 {
			put(t, from, lo, ties, wd)
			m.events += ties
			from = hi
		}
		lo = hi
	}
	put(0, from, s.hi, 0, 0)
	s.to = len(m.time)
}

// entries finds the slot from which each row has not yet entered: of the last event time that is not after its entry.
func (m *coxModel) entries() {
	m.last = make([]int32, len(m.row))
	count := make([]int32, len(m.time)+1)
	for _, s := range m.strata {
		times := m.time[s.from : s.to-1]
		for q := s.from; q < s.to; q++ {
			for i := m.start[q]; i < m.start[q+1]; i++ {
				entry := m.f.Entry[m.row[i]]
				m.last[i] = int32(s.from + sort.Search(len(times), func(x int) bool { return times[x] <= entry }))
				if int(m.last[i]) > q {
					count[m.last[i]+1]++
				}
			}
		}
	}
	for q := range m.time {
		count[q+1] += count[q]
	}
	m.outAt = count
	m.out = make([]int32, count[len(m.time)])
	next := append([]int32(nil), count...)
	for q := range m.time {
		for i := m.start[q]; i < m.start[q+1]; i++ {
			if l := m.last[i]; int(l) > q {
				m.out[next[l]] = i
				next[l]++
			}
		}
	}
}
