package survive

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
)

// Censored is the To of a spell that ends because observation ends.
const Censored = -1

// Spells are state histories on a clock that starts at 0 for everybody: one row a
// spell, persons as dense numbers, and what belongs to a person indexed by that
// number. Rows may come in any order. A spell covers (Start, Stop]; a person's
// spells abut, and the To of one is the From of the next. A spell written in
// abutting parts of the same state is one spell.
type Spells struct {
	Person      []int // rows: index into ID
	From        []int // rows: index into States
	To          []int // rows: index into States, or Censored
	Start, Stop []float64
	States      []string

	ID         []string         // persons, unique
	Group      []int            // persons: index into GroupNames; nil if one group
	GroupNames []string         // nil if one group
	Weight     estimate.Weights // persons; sampling or matching
	Cluster    []int            // persons, dense from 0; set numbers of a matched cohort, say; nil if independent
	Level      float64
}

// Errors about one row of spells; they come wrapped in an [estimate.RowError].
var (
	ErrOverlap = errors.New("the spell overlaps the person's spell before it: decide which counts (by a declared priority) and cut the other")
	ErrGap     = errors.New("no spell covers the time just before this one: give the time between a state of its own (\"none\", say), or end the history where observation ends")
	ErrSplice  = errors.New("the person's spell before this one ends in another state than this one starts in")
	ErrAfter   = errors.New("the person's spell before this one ends observation: a history cannot go on after it")
	ErrSelf    = errors.New("a history cannot end with a move to the state it is in: write the end of observation")
	ErrTimes   = errors.New("times no spell can have")
	ErrState   = errors.New("unknown state")
)

// Check reports the first breach of the contract of Spells: an [estimate.RowError]
// where one row is at fault, else an error that wraps [estimate.ErrInvalidFrame].
func (s *Spells) Check() error {
	_, err := s.histories()
	return err
}

func (s *Spells) checkShape() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	rows, n := len(s.Person), len(s.ID)
	switch {
	case rows == 0 || n == 0:
		return bad("no spells")
	case rows > math.MaxInt32:
		return bad("%d spells; at most 2^31-1", rows)
	case len(s.From) != rows || len(s.To) != rows || len(s.Start) != rows || len(s.Stop) != rows:
		return bad("person, from, to, start and stop have lengths %d, %d, %d, %d, %d", rows, len(s.From), len(s.To), len(s.Start), len(s.Stop))
	case len(s.States) == 0 || len(s.States) > 1000:
		return bad("%d states; between 1 and 1000", len(s.States))
	case (s.Group == nil) != (len(s.GroupNames) == 0):
		return bad("groups without names, or names without groups")
	case s.Group != nil && len(s.Group) != n:
		return bad("%d group numbers for %d persons", len(s.Group), n)
	case s.Cluster != nil && len(s.Cluster) != n:
		return bad("%d cluster numbers for %d persons", len(s.Cluster), n)
	case s.Weight.Values != nil && len(s.Weight.Values) != n:
		return bad("%d weights for %d persons", len(s.Weight.Values), n)
	case (s.Weight.Values == nil) != (s.Weight.Kind == estimate.NoWeights):
		return bad("weights without a kind, or a kind without weights")
	case !(s.Level > 0 && s.Level < 1):
		return bad("confidence level %v is not between 0 and 1", s.Level)
	}
	if err := distinct("state", s.States); err != nil {
		return bad("%v", err)
	}
	if err := distinct("group", s.GroupNames); err != nil {
		return bad("%v", err)
	}
	for i, g := range s.Group {
		if g < 0 || g >= len(s.GroupNames) {
			return bad("group number of person %d is not the number of a group", i+1)
		}
	}
	for i, c := range s.Cluster {
		if c < 0 {
			return bad("cluster number of person %d is negative", i+1)
		}
	}
	switch s.Weight.Kind {
	case estimate.NoWeights, estimate.Sampling, estimate.Matching:
	default:
		return fmt.Errorf("%w: kind %q; state histories take sampling or matching weights, a frequency is written as that many persons", estimate.ErrWeights, s.Weight.Kind)
	}
	return checkWeights(s.Weight.Values, "person")
}

func checkWeights(w []float64, what string) error {
	for i, v := range w {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return fmt.Errorf("%w: weight of %s %d is not a finite number of at least 0", estimate.ErrInvalidFrame, what, i+1)
		}
	}
	return nil
}

func distinct(what string, names []string) error {
	seen := make(map[string]bool, len(names))
	for i, s := range names {
		if s == "" {
			return fmt.Errorf("%s %d has an empty name", what, i+1)
		}
		if seen[s] {
			return fmt.Errorf("%s %q is listed twice", what, s)
		}
		seen[s] = true
	}
	return nil
}

// histories are checked spells by person, in order of time, with split spells joined.
type histories struct {
	order  []int32 // persons in byte order of their id: the order of every sum
	offset []int32 // by person, n+1: spells offset[i]:offset[i+1]
	from   []int16
	to     []int16 // Censored, or the state
	start  []float64
	stop   []float64
	late   int // persons whose first spell starts after 0
}

func (s *Spells) histories() (*histories, error) {
	if err := s.checkShape(); err != nil {
		return nil, err
	}
	order, err := idOrder(s.ID)
	if err != nil {
		return nil, err
	}
	rows, n, states := len(s.Person), len(s.ID), len(s.States)
	offset := make([]int32, n+1)
	for r, p := range s.Person {
		switch {
		case p < 0 || p >= n:
			return nil, &estimate.RowError{Row: r, Err: fmt.Errorf("%w: person number outside the list of persons", estimate.ErrInvalidFrame)}
		case s.From[r] < 0 || s.From[r] >= states || s.To[r] < Censored || s.To[r] >= states:
			return nil, &estimate.RowError{Row: r, Err: ErrState}
		}
		why := clockRule("the start", s.Start[r])
		if why == "" {
			if why = clockRule("the stop", s.Stop[r]); why == "" && s.Stop[r] <= s.Start[r] {
				why = "the stop is not after the start"
			}
		}
		if why != "" {
			return nil, &estimate.RowError{Row: r, Err: fmt.Errorf("%w: %s", ErrTimes, why)}
		}
		offset[p+1]++
	}
	for i := range n {
		if offset[i+1] == 0 {
			return nil, fmt.Errorf("%w: person %d of the list of persons has no spell", estimate.ErrInvalidFrame, i+1)
		}
		offset[i+1] += offset[i]
	}
	at := slices.Clone(offset[:n])
	row := make([]int32, rows)
	for r, p := range s.Person {
		row[at[p]] = int32(r)
		at[p]++
	}
	h := &histories{
		order: order, offset: make([]int32, n+1),
		from: make([]int16, 0, rows), to: make([]int16, 0, rows),
		start: make([]float64, 0, rows), stop: make([]float64, 0, rows),
	}
	for i := range n {
		mine := row[offset[i]:offset[i+1]]
		if err := s.append(h, mine); err != nil {
			return nil, err
		}
		h.offset[i+1] = int32(len(h.from))
	}
	return h, nil
}

// append checks the rows of one person and adds them in order of time.
func (s *Spells) append(h *histories, mine []int32) error {
	for k := 1; k < len(mine); k++ {
		if s.Start[mine[k]] < s.Start[mine[k-1]] {
			slices.SortStableFunc(mine, func(a, b int32) int {
				switch {
				case s.Start[a] < s.Start[b]:
					return -1
				case s.Start[a] > s.Start[b]:
					return 1
				}
				return 0
			})
			break
		}
	}
	joined := false
	for k, r := range mine {
		if k > 0 {
			p := mine[k-1]
			var err error
			switch {
			case s.Start[r] < s.Stop[p]:
				err = ErrOverlap
			case s.To[p] == Censored:
				err = ErrAfter
			case s.Start[r] > s.Stop[p]:
				err = ErrGap
			case s.To[p] != s.From[r]:
				err = ErrSplice
			}
			if err != nil {
				return &estimate.RowError{Row: int(r), Err: err}
			}
		} else if s.Start[r] > 0 {
			h.late++
		}
		if k == len(mine)-1 && s.To[r] == s.From[r] {
			return &estimate.RowError{Row: int(r), Err: ErrSelf}
		}
		if joined {
			last := len(h.from) - 1
			h.to[last], h.stop[last] = int16(s.To[r]), s.Stop[r]
		} else {
			h.from = append(h.from, int16(s.From[r]))
			h.to = append(h.to, int16(s.To[r]))
			h.start = append(h.start, s.Start[r])
			h.stop = append(h.stop, s.Stop[r])
		}
		joined = s.To[r] == s.From[r]
	}
	return nil
}

// idOrder returns the persons in byte order of their id.
func idOrder(id []string) ([]int32, error) {
	order := make([]int32, len(id))
	sorted := true
	for i := range order {
		order[i] = int32(i)
		sorted = sorted && (i == 0 || id[i-1] < id[i])
	}
	if sorted {
		return order, nil
	}
	slices.SortFunc(order, func(a, b int32) int {
		switch {
		case id[a] < id[b]:
			return -1
		case id[a] > id[b]:
			return 1
		}
		return 0
	})
	for r := 1; r < len(order); r++ {
		if id[order[r]] == id[order[r-1]] {
			return nil, fmt.Errorf("%w: persons %d and %d have the same id", estimate.ErrInvalidFrame, order[r-1]+1, order[r]+1)
		}
	}
	return order, nil
}

func (s *Spells) active(order []int32) []int32 { return active(s.Weight.Values, order) }

// active leaves out those with weight 0, so that a cluster of them is not counted.
func active(weight []float64, order []int32) []int32 {
	if weight == nil {
		return order
	}
	var kept []int32
	for _, p := range order {
		if weight[p] > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}
