package survive

import (
	"context"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/table"
)

// Landmark estimates where people who are in State at Time are later: the Aalen–Johansen estimate over the persons who are in it
// and under observation then (start ≤ Time < stop), from that time on. It needs random censoring only; transition
// probabilities by the product over everybody's moves need the Markov property, which lives seldom have ([MarkovTest]).
//
// Estimates as [AalenJohansen], times on the clock of the spells, each term with from=STATE@TIME before it; Tau is on that
// clock as well. Persons who are not in the state then have rows of 0 in the influence function. Details: those of
// [AalenJohansen], landmark_persons (by group).
//
// With groups the note landmark-selected: who is in the state then was picked by what happened since the start, so that a
// contrast is no effect.
//
// Errors: [estimate.ErrTooFew] under MinPersons persons in the state in a group; those of [AalenJohansen].
//
// Putter and Spitoni (2018), Statistical Methods in Medical Research 27.
type Landmark struct {
	State      string
	Time       float64
	At         []float64 // after Time
	Tau        float64   // horizon of mean times, after Time; 0 takes the longest that all groups allow
	MinPersons int       // 0 means 15
	Workers    int       // never changes a result
}

// Fit estimates from spells, which it does not change.
func (e Landmark) Fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("landmark: %w", err)
	}
	return res, nil
}

func (e Landmark) fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	if !(e.Time >= 0) || math.IsInf(e.Time, 1) {
		return nil, fmt.Errorf("%w: the landmark must be finite and at least 0", estimate.ErrInvalidFrame)
	}
	state := -1
	for j, name := range s.States {
		if name == e.State {
			state = j
		}
	}
	if state < 0 {
		return nil, fmt.Errorf("%w: no state %q among the %d states", estimate.ErrInvalidFrame, e.State, len(s.States))
	}
	h, err := s.histories()
	if err != nil {
		return nil, err
	}
	sub, persons := s.from(h, func(p int) bool {
		q := h.at(p, e.Time)
		return q >= 0 && int(h.from[q]) == state
	}, e.Time)
	least := e.MinPersons
	if least == 0 {
		least = 15
	}
	count := make([]int, max(1, len(s.GroupNames)))
	for _, p := range persons {
		if s.Weight.Values != nil && s.Weight.Values[p] == 0 {
			continue
		}
		g := 0
		if s.Group != nil {
			g = s.Group[p]
		}
		count[g]++
	}
	named := map[string]int{}
	for g, n := range count {
		name := ""
		if s.GroupNames != nil {
			name = s.GroupNames[g]
		}
		named[name] = n
		if n < least {
			return nil, fmt.Errorf("%w: %d persons of a group are in state %q at time %s, at least %d are needed: choose another landmark, or join groups", estimate.ErrTooFew, n, e.State, FormatTime(e.Time), least)
		}
	}
	aj := AalenJohansen{Workers: e.Workers}
	for _, t := range e.At {
		if !(t > e.Time) {
			return nil, fmt.Errorf("%w: time %s does not lie after the landmark", estimate.ErrInvalidFrame, FormatTime(t))
		}
		aj.At = append(aj.At, t-e.Time)
	}
	if e.Tau != 0 {
		if aj.Tau = e.Tau - e.Time; !(aj.Tau > 0) {
			return nil, fmt.Errorf("%w: tau does not lie after the landmark", estimate.ErrInvalidFrame)
		}
	}
	res, err := aj.fit(ctx, sub)
	if err != nil {
		return nil, err
	}
	return e.shift(res, s, persons, named), nil
}

// shift puts the result on the clock and the persons of the spells.
func (e Landmark) shift(res *estimate.Result, s *Spells, persons []int, named map[string]int) *estimate.Result {
	res.Method = "landmark"
	res.Influence, res.InfluenceUnit = spread(res.Influence, persons, len(s.ID)), s.ID
	shifted := map[string]string{}
	for _, t := range e.At {
		shifted["time="+FormatTime(t-e.Time)+","] = "time=" + FormatTime(t) + ","
	}
	from := "from=" + e.State + "@" + FormatTime(e.Time) + ","
	for k := range res.Estimates {
		term := res.Estimates[k].Term
		if at := strings.Index(term, ","); strings.HasPrefix(term, "time=") && at > 0 {
			term = shifted[term[:at+1]] + term[at+1:]
		}
		res.Estimates[k].Term = from + term
	}
	if tau, ok := res.Details["tau"].(float64); ok {
		res.Details["tau"] = tau + e.Time
	}
	if curves, ok := res.Details["curve"].([]Curve); ok {
		for c := range curves {
			for k := range curves[c].Times {
				curves[c].Times[k] += e.Time
			}
		}
	}
	for k, n := range res.Notes {
		for _, name := range []string{"time", "tau", "last"} {
			if v, ok := n.Args[name].(float64); ok {
				res.Notes[k].Args[name] = v + e.Time
			}
		}
	}
	res.Details["landmark_persons"] = named
	if s.GroupNames != nil {
		res.Notes = append(res.Notes, table.Note{Code: "landmark-selected", Text: "Who is in the state at the landmark was picked by what happened since the start: a difference between the groups is no effect.", Args: map[string]any{"state": e.State}})
	}
	return res
}

// at gives the spell of person p at time t (start ≤ t < stop), −1 if there is none.
func (h *histories) at(p int, t float64) int {
	for q := int(h.offset[p]); q < int(h.offset[p+1]); q++ {
		if h.start[q] <= t && t < h.stop[q] {
			return q
		}
	}
	return -1
}

// from gives the histories of the chosen persons from time t on, on a clock that starts there, and who they are.
func (s *Spells) from(h *histories, chosen func(p int) bool, t float64) (*Spells, []int) {
	out := &Spells{States: s.States, GroupNames: s.GroupNames, Level: s.Level}
	out.Weight.Kind = s.Weight.Kind
	var persons []int
	for p := range s.ID {
		if !chosen(p) {
			continue
		}
		own := len(persons)
		persons = append(persons, p)
		out.ID = append(out.ID, s.ID[p])
		if s.Group != nil {
			out.Group = append(out.Group, s.Group[p])
		}
		if s.Weight.Values != nil {
			out.Weight.Values = append(out.Weight.Values, s.Weight.Values[p])
		}
		if s.Cluster != nil {
			out.Cluster = append(out.Cluster, s.Cluster[p])
		}
		for q := h.offset[p]; q < h.offset[p+1]; q++ {
			if h.stop[q] <= t {
				continue
			}
			out.Person, out.From, out.To = append(out.Person, own), append(out.From, int(h.from[q])), append(out.To, int(h.to[q]))
			out.Start, out.Stop = append(out.Start, max(0, h.start[q]-t)), append(out.Stop, h.stop[q]-t)
		}
	}
	return out, persons
}
