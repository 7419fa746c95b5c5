package progress

import (
	"fmt"
	"maps"
	"slices"

	"utfall/estimate"
)

// Months are n people month by month from their start.
type Months struct {
	Persons
	States []string
	Length int // months per person
	// Code is n×Length, the number of the month's state; −1 from where observation ends. A history has no holes: a
	// month without any state is a state of its own ("nothing").
	Code []int8
	// Parallel is n×Length, how many authorities are responsible at once; nil if not known.
	Parallel []int8
}

// An Authority is who is responsible for a person in a state.
type Authority string

// What is no authority.
const (
	Nobody     Authority = "" // between the chairs: no authority and no support of one's own
	OwnSupport Authority = "own support"
	Left       Authority = "left" // death, emigration, pension: competing events, never an end of observation
)

// A Map says for each state who is responsible in it.
type Map map[string]Authority

// of gives the authority of each state.
func (m Map) of(states []string) ([]Authority, error) {
	out, missing := make([]Authority, len(states)), 0
	for j, s := range states {
		a, ok := m[s]
		if !ok {
			missing++
		}
		out[j] = a
	}
	if missing > 0 { // not by name: it is a value of the data that nobody declared
		return nil, fmt.Errorf("%w: it is not said who is responsible in %d of the %d states of the data; it is for %q", estimate.ErrInvalidFrame, missing, len(states), slices.Sorted(maps.Keys(m)))
	}
	for _, s := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(states, s) {
			return nil, fmt.Errorf("%w: %q, for which it is said who is responsible, is no state of the data", estimate.ErrInvalidFrame, s)
		}
	}
	return out, nil
}

// check reports the first breach of the contract.
func (m *Months) check() error {
	n := len(m.Unit)
	f := &estimate.Frame{Unit: m.Unit, Y: make([]float64, n), Treated: m.Treated, Weight: m.Weight, Cluster: m.Cluster, Level: m.Level}
	if err := f.Check(); err != nil {
		return err
	}
	if m.Weight.Kind == estimate.Frequency {
		return fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	}
	switch {
	case m.Length < 1 || len(m.States) == 0 || len(m.States) > 127:
		return invalid("%d months and %d states", m.Length, len(m.States))
	case len(m.Code) != n*m.Length:
		return invalid("%d states for %d persons and %d months", len(m.Code), n, m.Length)
	case m.Parallel != nil && len(m.Parallel) != n*m.Length:
		return invalid("%d numbers of authorities for %d persons and %d months", len(m.Parallel), n, m.Length)
	}
	seen := map[string]bool{}
	for i, u := range m.Unit {
		if seen[u] {
			return &estimate.RowError{Row: i, Err: invalid("a person comes twice")}
		}
		seen[u] = true
		over := false
		for t, c := range m.row(i) {
			switch {
			case int(c) >= len(m.States) || c < -1:
				return &estimate.RowError{Row: i, Err: invalid("month %d has a state that is not named", t+1)}
			case c >= 0 && over:
				return &estimate.RowError{Row: i, Err: invalid("month %d is observed after a month that is not: give the months between a state of their own", t+1)}
			case c >= 0 && m.Parallel != nil && m.Parallel[i*m.Length+t] < 0:
				return &estimate.RowError{Row: i, Err: invalid("month %d has a number of authorities below 0", t+1)}
			}
			over = c < 0
		}
	}
	return nil
}

func (m *Months) row(i int) []int8 { return m.Code[i*m.Length : (i+1)*m.Length] }

// seen gives the observed months of a person.
func (m *Months) seen(i int) []int8 {
	row := m.row(i)
	if k := slices.Index(row, -1); k >= 0 {
		return row[:k]
	}
	return row
}

func (m *Months) weight(i int) float64 {
	if m.Weight.Values == nil {
		return 1
	}
	return m.Weight.Values[i]
}

// group is 1 for participants.
func (m *Months) group(i int) int {
	if m.Treated != nil && m.Treated[i] {
		return 1
	}
	return 0
}
