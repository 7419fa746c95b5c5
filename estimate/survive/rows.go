package survive

import (
	"errors"
	"fmt"
	"slices"

	"utfall/estimate"
)

// Rows are spells as a flat file has them: one row a spell, everything as text or
// number of the row. [Rows.Spells] turns them into [Spells].
type Rows struct {
	Person      []string
	From, To    []string // To "" or "cens" is the end of observation
	Start, Stop []float64
	Group       []string  // nil if one group; the same for all rows of a person
	Weight      []float64 // nil if none; the same for all rows of a person
	WeightKind  estimate.WeightKind
	Cluster     []string // nil if independent; the same for all rows of a person
	States      []string // the order of the states; nil takes the names found, in byte order
	Level       float64
}

// ErrVaries is about a row whose group, weight or cluster is not that of the person's first row.
var ErrVaries = errors.New("the group, weight or cluster of a person differs between rows: it must be fixed at the start of the clock")

// Spells numbers persons (byte order of their ids), states, groups and clusters
// (byte order of their names). Errors about a row are [estimate.RowError].
func (r *Rows) Spells() (*Spells, error) {
	rows := len(r.Person)
	for _, l := range []struct {
		what     string
		n        int
		optional bool
	}{
		{"from", len(r.From), false}, {"to", len(r.To), false}, {"start", len(r.Start), false}, {"stop", len(r.Stop), false},
		{"group", len(r.Group), true}, {"weight", len(r.Weight), true}, {"cluster", len(r.Cluster), true},
	} {
		if l.n != rows && !(l.optional && l.n == 0) {
			return nil, fmt.Errorf("%w: column %s has %d rows, %d expected", estimate.ErrInvalidFrame, l.what, l.n, rows)
		}
	}
	s := &Spells{Start: r.Start, Stop: r.Stop, States: r.States, Level: r.Level}
	s.ID, s.Person = numbered(r.Person)
	if s.States == nil {
		var names []string
		for i, to := range r.To {
			names = append(names, r.From[i])
			if to != "" && to != "cens" {
				names = append(names, to)
			}
		}
		s.States, _ = numbered(names)
	}
	index := make(map[string]int, len(s.States))
	for j, name := range s.States {
		index[name] = j
	}
	s.From, s.To = make([]int, rows), make([]int, rows)
	for i := range rows {
		var ok bool
		if s.From[i], ok = index[r.From[i]]; !ok {
			return nil, &estimate.RowError{Row: i, Err: ErrState}
		}
		if r.To[i] == "" || r.To[i] == "cens" {
			s.To[i] = Censored
		} else if s.To[i], ok = index[r.To[i]]; !ok {
			return nil, &estimate.RowError{Row: i, Err: ErrState}
		}
	}
	first := make([]int, len(s.ID))
	for i := range first {
		first[i] = -1
	}
	for i, p := range s.Person {
		f := first[p]
		if f < 0 {
			first[p] = i
			continue
		}
		if len(r.Group) > 0 && r.Group[i] != r.Group[f] || len(r.Weight) > 0 && r.Weight[i] != r.Weight[f] || len(r.Cluster) > 0 && r.Cluster[i] != r.Cluster[f] {
			return nil, &estimate.RowError{Row: i, Err: ErrVaries}
		}
	}
	if len(r.Group) > 0 {
		names, number := numbered(r.Group)
		s.GroupNames, s.Group = names, byPerson(first, number)
	}
	if len(r.Cluster) > 0 {
		_, number := numbered(r.Cluster)
		s.Cluster = byPerson(first, number)
	}
	if len(r.Weight) > 0 {
		s.Weight = estimate.Weights{Kind: r.WeightKind, Values: byPerson(first, r.Weight)}
	}
	return s, s.Check()
}

func byPerson[T any](first []int, v []T) []T {
	out := make([]T, len(first))
	for p, i := range first {
		out[p] = v[i]
	}
	return out
}

// numbered returns the distinct texts in byte order and the place of each text among them.
func numbered(text []string) ([]string, []int) {
	seen := make(map[string]int)
	var names []string
	for _, t := range text {
		if _, ok := seen[t]; !ok {
			seen[t] = 0
			names = append(names, t)
		}
	}
	slices.Sort(names)
	for i, t := range names {
		seen[t] = i
	}
	number := make([]int, len(text))
	for i, t := range text {
		number[i] = seen[t]
	}
	return names, number
}
