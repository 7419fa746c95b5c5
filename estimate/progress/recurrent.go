package progress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
)

// An Occurrence says what happens at the end of a row of [Recurrent].
type Occurrence int8

// The occurrences.
const (
	Ends     Occurrence = iota // observation ends, or goes on in the next row
	Happens                    // the event that is counted
	Terminal                   // an event after which no other can come: death
)

// Recurrent are rows of persons under observation: person Person[i] is at risk in
// (Start[i], Time[i]] and Event[i] happens at Time[i]. Without Start a row begins where the
// person's row before ended, the first at 0. Two events of a person at one time are two
// rows without Start. Group, weight and cluster must not change within a person.
type Recurrent struct {
	Person     []string
	Start      []float64 // nil = where the row before ended
	Time       []float64 // at least 0; who has nothing after 0 was never at risk
	Event      []Occurrence
	Group      []int // dense from 0; nil = one group
	GroupNames []string
	Weight     estimate.Weights // sampling or matching
	Cluster    []int            // dense from 0; nil = persons are independent
	Level      float64
}

// recurrent is a person: intervals at risk, times of events, end by a terminal event.
type recurrent struct {
	id         string
	group      int
	cluster    int
	weight     float64
	start      []float64
	stop       []float64
	events     []float64
	terminal   float64 // NaN = none
	lastIsMark bool    // observation ends with an event
}

func (p *recurrent) last() float64 { return p.stop[len(p.stop)-1] }

func (r *Recurrent) check() error {
	n := len(r.Time)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case n == 0:
		return bad("no rows")
	case len(r.Person) != n || len(r.Event) != n:
		return bad("%d persons and %d events for %d times", len(r.Person), len(r.Event), n)
	case r.Start != nil && len(r.Start) != n:
		return bad("%d starts for %d times", len(r.Start), n)
	case r.Group != nil && len(r.Group) != n:
		return bad("%d group numbers for %d times", len(r.Group), n)
	case r.Weight.Values != nil && len(r.Weight.Values) != n:
		return bad("%d weights for %d times", len(r.Weight.Values), n)
	case r.Cluster != nil && len(r.Cluster) != n:
		return bad("%d cluster numbers for %d times", len(r.Cluster), n)
	case (r.Weight.Values == nil) != (r.Weight.Kind == estimate.NoWeights):
		return bad("weights without a kind, or a kind without weights")
	case !(r.Level > 0 && r.Level < 1):
		return bad("confidence level %v is not between 0 and 1", r.Level)
	}
	switch r.Weight.Kind {
	case estimate.NoWeights, estimate.Sampling, estimate.Matching:
	default:
		return fmt.Errorf("%w: kind %q; repeated events take sampling or matching weights, a frequency is written as that many persons", estimate.ErrWeights, r.Weight.Kind)
	}
	for i, t := range r.Time {
		why := ""
		switch {
		case !(t >= 0) || math.IsInf(t, 1):
			why = "a time must be finite and at least 0: everybody's clock starts at 0"
		case r.Start != nil && !(r.Start[i] >= 0 && r.Start[i] <= t):
			why = "a row must start at 0 or later, and not after it ends"
		case r.Event[i] < Ends || r.Event[i] > Terminal:
			why = fmt.Sprintf("unknown occurrence %d", r.Event[i])
		case r.Group != nil && (r.Group[i] < 0 || r.Group[i] >= len(r.GroupNames)):
			why = "the group has no name"
		case r.Cluster != nil && r.Cluster[i] < 0:
			why = "a cluster number is below 0"
		case r.Weight.Values != nil && (!(r.Weight.Values[i] >= 0) || math.IsInf(r.Weight.Values[i], 1)):
			why = "a weight must be finite and at least 0"
		}
		if why != "" {
			return &estimate.RowError{Row: i, Err: bad("%s", why)}
		}
	}
	return nil
}

// persons puts the rows of each person together, persons in byte order of their ids, and apart those who were never at risk.
func (r *Recurrent) persons() (persons, never []*recurrent, err error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	rank := [3]int{Ends: 1, Happens: 0, Terminal: 2} // at one time
	order := make([]int, len(r.Time))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		start := 0
		if r.Start != nil {
			start = cmp.Compare(r.Start[a], r.Start[b]) // a row of no length comes after the row that it ends
		}
		return cmp.Or(strings.Compare(r.Person[a], r.Person[b]), cmp.Compare(r.Time[a], r.Time[b]), start, cmp.Compare(rank[r.Event[a]], rank[r.Event[b]]))
	})
	var out []*recurrent
	var p *recurrent
	first := 0
	for _, i := range order {
		bad := func(format string, a ...any) error {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))}
		}
		if p == nil || p.id != r.Person[i] {
			p, first = &recurrent{id: r.Person[i], weight: 1, terminal: math.NaN()}, i
			if r.Group != nil {
				p.group = r.Group[i]
			}
			if r.Cluster != nil {
				p.cluster = r.Cluster[i]
			}
			if r.Weight.Values != nil {
				p.weight = r.Weight.Values[i]
			}
			out = append(out, p)
		}
		before := 0.0
		if len(p.stop) > 0 {
			before = p.last()
		}
		start := before
		if r.Start != nil {
			start = r.Start[i]
		}
		switch {
		case r.Group != nil && r.Group[i] != r.Group[first]:
			return nil, nil, bad("the group changes within a person")
		case r.Weight.Values != nil && r.Weight.Values[i] != r.Weight.Values[first]:
			return nil, nil, bad("the weight changes within a person")
		case r.Cluster != nil && r.Cluster[i] != r.Cluster[first]:
			return nil, nil, bad("the cluster changes within a person")
		case !math.IsNaN(p.terminal):
			return nil, nil, bad("a row after the person's terminal event")
		case start < before:
			return nil, nil, bad("the row overlaps another row of the person")
		}
		still := start == r.Time[i] && (len(p.stop) == 0 || start > before) // nobody is at risk in it
		if still && (r.Event[i] == Happens || r.Event[i] == Terminal && r.Time[i] > 0) {
			return nil, nil, bad("something happens in a row of no length to a person who is not at risk then")
		}
		if still && r.Event[i] == Ends {
			continue
		}
		switch {
		case still: // dead at 0
		case r.Time[i] == before: // a further event at the same time
		case len(p.stop) > 0 && start == before:
			p.stop[len(p.stop)-1] = r.Time[i]
		default:
			p.start, p.stop = append(p.start, start), append(p.stop, r.Time[i])
		}
		p.lastIsMark = r.Event[i] == Happens
		switch r.Event[i] {
		case Happens:
			p.events = append(p.events, r.Time[i])
		case Terminal:
			p.terminal = r.Time[i]
		}
	}
	for _, p := range out {
		if len(p.stop) == 0 {
			never = append(never, p)
		} else {
			persons = append(persons, p)
		}
	}
	return persons, never, nil
}
