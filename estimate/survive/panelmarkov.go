package survive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// Measures of a panel-observed Markov model.
const (
	Intensity             estimate.Measure = "intensity"
	MeanSojournTime       estimate.Measure = "mean-sojourn-time"
	TransitionProbability estimate.Measure = "transition-probability"
)

// PanelIntervals are pairs of consecutive observations of persons: From is seen at Start and
// To at Stop, and what happens between them is not. Rows may come in any order and leave gaps.
type PanelIntervals struct {
	Person      []string
	From, To    []string // To "" or "cens": the state at Stop is not seen
	Start, Stop []float64
	Level       float64
	single      int // persons with one visit
}

// Errors about one row of visits; they come wrapped in an [estimate.RowError].
var (
	ErrVisitTwice = errors.New("the person has two visits at this time: keep one")
	ErrAfterDeath = errors.New("the person is seen after the state whose time is exact, which nobody leaves")
)

// PanelVisits makes intervals of visits, one row each: the state that is seen at a time.
func PanelVisits(person, state []string, time []float64, level float64) (*PanelIntervals, error) {
	if len(state) != len(person) || len(time) != len(person) {
		return nil, fmt.Errorf("%w: %d persons, %d states, %d times", estimate.ErrInvalidFrame, len(person), len(state), len(time))
	}
	order := make([]int, len(person))
	for i := range order {
		order[i] = i
		if math.IsNaN(time[i]) || math.IsInf(time[i], 0) {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the time is not a finite number", ErrTimes)}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if c := strings.Compare(person[a], person[b]); c != 0 || time[a] == time[b] {
			return c
		}
		if time[a] < time[b] {
			return -1
		}
		return 1
	})
	p := &PanelIntervals{Level: level}
	for k, i := range order {
		first := k == 0 || person[order[k-1]] != person[i]
		if first && (k+1 == len(order) || person[order[k+1]] != person[i]) {
			p.single++
		}
		if first {
			continue
		}
		before := order[k-1]
		if time[before] == time[i] {
			return nil, &estimate.RowError{Row: max(i, before), Err: ErrVisitTwice}
		}
		p.Person, p.From, p.To = append(p.Person, person[i]), append(p.From, state[before]), append(p.To, state[i])
		p.Start, p.Stop = append(p.Start, time[before]), append(p.Stop, time[i])
	}
	return p, nil
}

// PanelMarkov fits a Markov process in continuous time, with constant intensities q_rs, to
// states that are seen at visits only:
//
//	L = Π P_rs(Δt),  P(t) = exp(Qt);  entry to ExactDeath D:  Σ_{k≠D} P_rk(Δt)·q_kD
//
// by Newton's method on log q. Standard errors from the observed information, by the delta
// method for all but log q. METHODS.md has assumptions and computation.
//
// Estimates, in this order: from=R,to=S (intensity, log interval) for each transition;
// state=R (mean-sojourn-time, log interval) for each state that can be left; for each time T
// and such R time=T,from=R,state=S (transition-probability, logit interval); with Tau
// from=R,state=S (restricted-mean-time, normal interval).
//
// Details: states, transitions (rows from, to, count: seen one after the other),
// minus2loglik, loglik, exact_death, tau, intervals, vcov.
//
// Errors: [estimate.ErrInvalidFrame]; [ErrOverlap], [ErrSplice], [ErrTimes], [ErrAfterDeath] with
// their row; [estimate.ErrNotIdentified] naming the transition; [estimate.ErrNotConverged].
type PanelMarkov struct {
	// Transitions are the moves {from, to} that can happen at once; nil means every pair of
	// different states that is seen one after the other.
	Transitions [][2]string
	ExactDeath  string    // state whose time of entry is known exactly; "" if none
	At          []float64 // times of transition probabilities
	Tau         float64   // horizon of mean times in state; 0 for none
	Workers     int       // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from intervals, which it does not change.
func (e PanelMarkov) Fit(ctx context.Context, p *PanelIntervals) (*estimate.Result, error) {
	res, err := e.fit(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("panel-observed Markov model: %w", err)
	}
	return res, nil
}

func (e PanelMarkov) fit(ctx context.Context, p *PanelIntervals) (*estimate.Result, error) {
	for _, t := range e.At {
		if !(t > 0) || math.IsInf(t, 1) {
			return nil, fmt.Errorf("times of transition probabilities must be finite and above 0")
		}
	}
	if e.Tau < 0 || math.IsNaN(e.Tau) || math.IsInf(e.Tau, 0) {
		return nil, fmt.Errorf("tau must be a finite number above 0, or 0 for none")
	}
	m, err := newPanelModel(e, p)
	if err != nil {
		return nil, err
	}
	if err := m.climb(ctx); err != nil {
		return nil, err
	}
	return m.result(p.Level)
}

// panelCell is all intervals of one length with the same states.
type panelCell struct {
	gap      float64
	from, to int
	count    float64
}

// panelModel is the data by length of interval, and the parameters.
type panelModel struct {
	e       PanelMarkov
	states  []string
	pairs   [][2]int
	seen    []int // by pair: intervals in which they follow one another
	leaves  []bool
	death   int // -1 if none
	cells   []panelCell
	at      []int // cells of the g-th length: at[g] to at[g+1]
	exposed []float64
	shorts  float64 // the shortest interval
	person  []string
	rows    [][]int // by person: cells of its intervals
	notes   []table.Note

	theta      []float64 // log q
	loglik     float64
	gradient   []float64
	info       *mat.SymDense // -Hessian in θ
	iterations int
	step       float64
}

func newPanelModel(e PanelMarkov, p *PanelIntervals) (*panelModel, error) {
	n := len(p.Person)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case n == 0:
		return nil, bad("nobody is seen twice")
	case len(p.From) != n || len(p.To) != n || len(p.Start) != n || len(p.Stop) != n:
		return nil, bad("person, from, to, start and stop have lengths %d, %d, %d, %d, %d", n, len(p.From), len(p.To), len(p.Start), len(p.Stop))
	case !(p.Level > 0 && p.Level < 1):
		return nil, bad("confidence level %v is not between 0 and 1", p.Level)
	}
	m := &panelModel{e: e, death: -1}
	order, unseen, err := p.order()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, i := range order {
		names[p.From[i]], names[p.To[i]] = true, true
	}
	for _, t := range e.Transitions {
		for _, s := range t {
			if !names[s] {
				return nil, fmt.Errorf("%w: transition %s to %s: nobody is ever seen in %q", estimate.ErrNotIdentified, t[0], t[1], s)
			}
		}
	}
	index := map[string]int{}
	for s := range names {
		m.states = append(m.states, s)
	}
	slices.Sort(m.states)
	for k, s := range m.states {
		index[s] = k
	}
	if e.ExactDeath != "" {
		k, ok := index[e.ExactDeath]
		if !ok {
			return nil, fmt.Errorf("%w: nobody is ever seen in %q, the state whose time is exact", estimate.ErrNotIdentified, e.ExactDeath)
		}
		m.death = k
	}
	type key struct {
		gap      float64
		from, to int
	}
	number := map[key]float64{}
	for _, i := range order {
		k := key{p.Stop[i] - p.Start[i], index[p.From[i]], index[p.To[i]]}
		if m.death >= 0 && k.from == m.death && k.to != m.death {
			return nil, &estimate.RowError{Row: i, Err: ErrAfterDeath}
		}
		number[k]++
	}
	for k, count := range number {
		m.cells = append(m.cells, panelCell{k.gap, k.from, k.to, count})
	}
	slices.SortFunc(m.cells, func(a, b panelCell) int {
		switch {
		case a.gap < b.gap || a.gap == b.gap && (a.from < b.from || a.from == b.from && a.to < b.to):
			return -1
		}
		return 1
	})
	place := map[key]int{}
	for c, x := range m.cells {
		place[key{x.gap, x.from, x.to}] = c
		if c == 0 || m.cells[c-1].gap != x.gap {
			m.at = append(m.at, c)
		}
	}
	m.at = append(m.at, len(m.cells))
	m.shorts = m.cells[0].gap
	for _, i := range order {
		if k := len(m.person); k == 0 || m.person[k-1] != p.Person[i] {
			m.person, m.rows = append(m.person, p.Person[i]), append(m.rows, nil)
		}
		last := len(m.rows) - 1
		m.rows[last] = append(m.rows[last], place[key{p.Stop[i] - p.Start[i], index[p.From[i]], index[p.To[i]]}])
	}
	if unseen > 0 {
		m.notes = append(m.notes, table.Note{Code: "intervals-unseen", Text: "Some intervals end without the state being seen; they tell nothing here.", Args: map[string]any{"rows": unseen}})
	}
	if p.single > 0 {
		m.notes = append(m.notes, table.Note{Code: "one-visit", Text: "Some people are seen once only; they tell nothing of moves.", Args: map[string]any{"persons": p.single}})
	}
	return m, m.parameters(index)
}

// order sorts rows by person and time and checks that they fit together; rows whose end is
// not seen are left out.
func (p *PanelIntervals) order() (rows []int, unseen int, err error) {
	all := make([]int, len(p.Person))
	for i := range all {
		all[i] = i
		if !(p.Stop[i] > p.Start[i]) || math.IsInf(p.Start[i], 0) || math.IsInf(p.Stop[i], 0) {
			return nil, 0, &estimate.RowError{Row: i, Err: fmt.Errorf("an interval needs start < stop, both finite")}
		}
		if p.From[i] == "" {
			return nil, 0, &estimate.RowError{Row: i, Err: ErrState}
		}
	}
	slices.SortStableFunc(all, func(a, b int) int {
		if c := strings.Compare(p.Person[a], p.Person[b]); c != 0 || p.Start[a] == p.Start[b] {
			return c
		}
		if p.Start[a] < p.Start[b] {
			return -1
		}
		return 1
	})
	ends := func(i int) bool { return p.To[i] != "" && p.To[i] != "cens" }
	for k, i := range all {
		if k > 0 && p.Person[all[k-1]] == p.Person[i] {
			before := all[k-1]
			switch {
			case p.Start[i] < p.Stop[before]:
				return nil, 0, &estimate.RowError{Row: i, Err: ErrOverlap}
			case p.Start[i] == p.Stop[before] && ends(before) && p.To[before] != p.From[i]:
				return nil, 0, &estimate.RowError{Row: i, Err: ErrSplice}
			}
		}
		if ends(i) {
			rows = append(rows, i)
		} else {
			unseen++
		}
	}
	if len(rows) == 0 {
		return nil, 0, fmt.Errorf("%w: no interval ends in a state that is seen", estimate.ErrInvalidFrame)
	}
	return rows, unseen, nil
}

// parameters lists the transitions, checks that every move seen can happen, and starts from
// moves over time.
func (m *panelModel) parameters(index map[string]int) error {
	K := len(m.states)
	count := make([]float64, K*K)
	m.exposed, m.leaves = make([]float64, K), make([]bool, K)
	for _, c := range m.cells {
		count[c.from*K+c.to] += c.count
		m.exposed[c.from] += float64(c.count * c.gap)
	}
	allowed := make([]bool, K*K)
	add := func(r, s int) error {
		switch {
		case r == s:
			return fmt.Errorf("%w: transition %s to %s is no move", estimate.ErrInvalidFrame, m.states[r], m.states[s])
		case r == m.death:
			return fmt.Errorf("%w: transition %s to %s leaves the state whose time is exact", estimate.ErrInvalidFrame, m.states[r], m.states[s])
		case allowed[r*K+s]:
			return fmt.Errorf("%w: transition %s to %s is listed twice", estimate.ErrInvalidFrame, m.states[r], m.states[s])
		case m.exposed[r] == 0:
			return fmt.Errorf("%w: transition %s to %s: nobody who was in %q is seen again", estimate.ErrNotIdentified, m.states[r], m.states[s], m.states[r])
		}
		allowed[r*K+s] = true
		m.pairs, m.seen = append(m.pairs, [2]int{r, s}), append(m.seen, int(count[r*K+s]))
		m.theta = append(m.theta, math.Log((count[r*K+s]+0.5)/m.exposed[r]))
		m.leaves[r] = true
		return nil
	}
	for r := range K {
		for s := range K {
			listed := m.e.Transitions == nil && r != s && count[r*K+s] > 0
			times := 0
			for _, t := range m.e.Transitions {
				if index[t[0]] == r && index[t[1]] == s {
					times++
				}
			}
			if listed {
				times = 1
			}
			for range times {
				if err := add(r, s); err != nil {
					return err
				}
			}
		}
	}
	if len(m.pairs) == 0 {
		return fmt.Errorf("%w: nobody is seen in two states", estimate.ErrNotIdentified)
	}
	reach := slices.Clone(allowed)
	for k := range K {
		reach[k*K+k] = true
	}
	for k := range K {
		for r := range K {
			for s := range K {
				reach[r*K+s] = reach[r*K+s] || reach[r*K+k] && reach[k*K+s]
			}
		}
	}
	for r := range K {
		for s := range K {
			if count[r*K+s] > 0 && !reach[r*K+s] {
				return fmt.Errorf("%w: people are seen in %s and next in %s, which the transitions do not allow", estimate.ErrNotIdentified, m.states[r], m.states[s])
			}
		}
	}
	return nil
}
