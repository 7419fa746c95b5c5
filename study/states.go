package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// stateCurves is what the state occupation figure draws, per group.
type stateCurves struct {
	states []string
	groups []string
	occ    []release.Occupation
}

// states estimates where people are over time and, with a ladder, how long the
// treated are on a higher step than the others.
func (s *state) states(a *Analysis) (analysisResult, error) {
	st := a.States
	r := analysisResult{method: "states", kind: "association"}
	if b, ok := s.cohorts[st.Cohort]; ok {
		if b.weight != nil {
			r.kind = "effect"
		}
		r.notes = append(r.notes, b.notes...)
	}
	sp, err := s.spells(st)
	if err != nil {
		return r, err
	}
	res, err := s.occupation(sp, survive.AalenJohansen{At: st.At, Tau: st.Tau, Workers: s.o.Workers}, st.ReweighLoss)
	if err != nil {
		return r, s.rowError(st.Data, err)
	}
	r.notes = append(r.notes, res.Notes...)
	sizes := groupSizes(sp)
	bases, err := stateBases(res.Estimates, sp, st.Tau)
	if err != nil {
		return r, err
	}
	for i, e := range res.Estimates {
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: bases[i]})
	}
	if len(st.Ladder) > 0 {
		net := progress.NetMonths{Ladder: st.Ladder, Alternatives: ladders(st.Orders), Tau: st.Tau, At: st.At, ReweighLoss: st.ReweighLoss, Workers: s.o.Workers}
		nm, err := net.Fit(s.ctx, sp)
		if err != nil {
			return r, err
		}
		r.notes = append(r.notes, nm.Notes...)
		arms := release.Basis{Treated: sizes[1], Control: sizes[0], DF: math.Inf(1)}
		for _, e := range nm.Estimates {
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: arms})
		}
	}
	if r.states, err = s.curves(sp, st); err != nil {
		return r, err
	}
	return r, nil
}

// occupation fits spells, or with reweigh those in which who is still followed stands in for who was lost in the same state at
// the same time; the result is about the persons of the spells.
func (s *state) occupation(sp *survive.Spells, e survive.AalenJohansen, reweigh bool) (*estimate.Result, error) {
	if !reweigh {
		return e.Fit(s.ctx, sp)
	}
	w, err := survive.ReweighLoss(sp)
	if err != nil {
		return nil, err
	}
	res, err := e.Fit(s.ctx, w.Spells)
	if err != nil {
		return nil, err
	}
	w.Collapse(res, sp.ID)
	res.Notes = append(res.Notes, table.Note{Code: "loss-reweighed", Text: "Those who are still followed stand in for those who were lost in the same state at the same time.", Args: map[string]any{"persons": w.Lost, "largest": math.Round(10*w.Largest) / 10}})
	return res, nil
}

// spells are those of a cohort or of a table, merged.
func (s *state) spells(st *States) (sp *survive.Spells, err error) {
	if b, ok := s.cohorts[st.Cohort]; !ok {
		sp, err = s.tableSpells(st)
	} else if err = checkMerge(b.paths.States, st); err == nil {
		sp, err = s.cohortSpells(b, st)
	}
	if err != nil {
		return nil, err
	}
	return sp, checkOrder(sp.States, st.Order)
}

func ladders(m map[string]map[string]int) map[string]progress.Ladder {
	if len(m) == 0 {
		return nil
	}
	out := map[string]progress.Ladder{}
	for name, l := range m {
		out[name] = l
	}
	return out
}

func groupSizes(sp *survive.Spells) []int {
	if sp.Group == nil {
		return []int{len(sp.ID)}
	}
	n := make([]int, len(sp.GroupNames))
	for _, g := range sp.Group {
		n[g]++
	}
	return n
}

// cohortSpells makes spells of the units of a cohort from time zero on: a change of
// state between two months is a move at the later one. Whoever is not observed in a
// month is not followed to its start: nobody knows whether he or she moved then, and at
// risk of a move are only those of whom that is known. So observation ends in the middle
// of the last month seen, before the moves at the next.
func (s *state) cohortSpells(b *built, st *States) (*survive.Spells, error) {
	p := b.paths
	ids, _, err := b.table.Text(cohort.UnitColumn)
	if err != nil {
		return nil, err
	}
	states, code := mergeStates(p.States, st.Merge)
	sp := &survive.Spells{ID: ids, States: states, Level: s.spec.Level, GroupNames: []string{"control", "treated"}, Cluster: b.cluster}
	if b.weight != nil {
		sp.Weight = estimate.Weights{Kind: estimate.Matching, Values: b.weight}
	}
	add := func(u, from, to, start int, stop float64) {
		sp.Person, sp.From, sp.To = append(sp.Person, u), append(sp.From, from), append(sp.To, to)
		sp.Start, sp.Stop = append(sp.Start, float64(start)), append(sp.Stop, stop)
	}
	for u := range ids {
		g := 0
		if b.treated[u] {
			g = 1
		}
		sp.Group = append(sp.Group, g)
		start, m := 0, 0
		for ; m < p.After && p.At(u, m) >= 0; m++ {
			if m > 0 && code[p.At(u, m)] != code[p.At(u, m-1)] {
				add(u, code[p.At(u, m-1)], code[p.At(u, m)], start, float64(m))
				start = m
			}
		}
		add(u, code[p.At(u, m-1)], survive.Censored, start, float64(m)-0.5)
	}
	return sp, nil
}

// checkMerge tests that every state to be merged exists: a slip would leave one unmerged.
func checkMerge(original []string, st *States) error {
	for _, from := range sortedKeys(st.Merge) {
		if !slices.Contains(original, from) {
			return fmt.Errorf("%w: states: merge: no spell has the state %q", ErrSpec, from)
		}
	}
	return nil
}

// checkOrder tests that the order holds exactly the shown states: one that is left out
// would be missing from the figure and from where people are.
func checkOrder(states, order []string) error {
	if order == nil {
		return nil
	}
	for _, name := range states {
		if !slices.Contains(order, name) {
			return fmt.Errorf("%w: states: order: the state %q is not in it; name every state that is left after merge", ErrSpec, name)
		}
	}
	for _, name := range order {
		if !slices.Contains(states, name) {
			return fmt.Errorf("%w: states: order: no spell has the state %q", ErrSpec, name)
		}
	}
	return nil
}

// mergeStates gives the states shown and, for each original state, its number among
// them. Order is that of the originals.
func mergeStates(original []string, merge map[string]string) (states []string, code []int) {
	code = make([]int, len(original))
	for i, name := range original {
		if to, ok := merge[name]; ok {
			name = to
		}
		k := slices.Index(states, name)
		if k < 0 {
			k = len(states)
			states = append(states, name)
		}
		code[i] = k
	}
	return states, code
}

// tableSpells reads spells from a table with one row a spell.
func (s *state) tableSpells(st *States) (*survive.Spells, error) {
	t := s.data[st.Data].table
	person, err := t.Category(st.ID)
	if err != nil {
		return nil, err
	}
	from, err := t.Category(st.From)
	if err != nil {
		return nil, err
	}
	to, err := t.Category(st.To)
	if err != nil {
		return nil, err
	}
	start, err := t.Float(st.Start)
	if err != nil {
		return nil, err
	}
	stop, err := t.Float(st.Stop)
	if err != nil {
		return nil, err
	}
	// States in byte order over both columns; "cens" and a missing value end observation.
	var names []string
	for _, l := range append(slices.Clone(from.Levels), to.Levels...) {
		if l != censored && !slices.Contains(names, l) {
			names = append(names, l)
		}
	}
	slices.Sort(names)
	if err := checkMerge(names, st); err != nil {
		return nil, err
	}
	states, code := mergeStates(names, st.Merge)
	sp := &survive.Spells{ID: person.Levels, States: states, Start: start.Values, Stop: stop.Values, Level: s.spec.Level}
	number := func(level string) int { return code[slices.Index(names, level)] }
	for i := range start.Values {
		if !person.Has(i) || !from.Has(i) || !start.Has(i) || !stop.Has(i) {
			return nil, s.rowError(st.Data, &estimate.RowError{Row: i, Err: fmt.Errorf("a spell needs %s, %s, %s and %s", st.ID, st.From, st.Start, st.Stop)})
		}
		end := survive.Censored
		if to.Has(i) && to.Levels[to.Codes[i]] != censored {
			end = number(to.Levels[to.Codes[i]])
		}
		sp.Person = append(sp.Person, int(person.Codes[i]))
		sp.From = append(sp.From, number(from.Levels[from.Codes[i]]))
		sp.To = append(sp.To, end)
	}
	if st.By != "" {
		if err := s.spellGroups(sp, t, st); err != nil {
			return nil, err
		}
	}
	return sp, nil
}

// censored is the level of the to column that ends observation.
const censored = "cens"

// spellGroups reads each person's group, which may not vary between rows.
func (s *state) spellGroups(sp *survive.Spells, t *table.Table, st *States) error {
	by, err := t.Category(st.By)
	if err != nil {
		return err
	}
	sp.GroupNames, sp.Group = by.Levels, make([]int, len(sp.ID))
	for p := range sp.Group {
		sp.Group[p] = -1
	}
	for i, p := range sp.Person {
		switch {
		case !by.Has(i):
			return s.rowError(st.Data, &estimate.RowError{Row: i, Err: fmt.Errorf("column %q has no value", st.By)})
		case sp.Group[p] < 0:
			sp.Group[p] = int(by.Codes[i])
		case sp.Group[p] != int(by.Codes[i]):
			return s.rowError(st.Data, &estimate.RowError{Row: i, Err: survive.ErrVaries})
		}
	}
	return nil
}

// curves gives what the figure draws: shares at whole time units up to the horizon.
func (s *state) curves(sp *survive.Spells, st *States) (*stateCurves, error) {
	people, err := survive.Occupy(sp, st.Tau)
	if err != nil {
		return nil, err
	}
	groups := people
	if st.ReweighLoss {
		w, err := survive.ReweighLoss(sp)
		if err != nil {
			return nil, err
		}
		if groups, err = survive.Occupy(w.Spells, st.Tau); err != nil {
			return nil, err
		}
	}
	c := &stateCurves{states: sp.States}
	step := math.Max(1, math.Ceil(st.Tau/72))
	for g, o := range groups {
		occ := release.Occupation{States: sp.States}
		for t := 0.0; t <= st.Tau; t += step {
			if !o.Observed(t) {
				break
			}
			occ.Times = append(occ.Times, t)
			occ.P = append(occ.P, slices.Clone(o.At(t)))
			occ.AtRisk = append(occ.AtRisk, followed(sp, people[g], t))
		}
		c.groups = append(c.groups, o.Group)
		c.occ = append(c.occ, occ)
	}
	return c, nil
}

// followed counts the people of a group still observed at a time.
func followed(sp *survive.Spells, o *survive.Occupation, t float64) int {
	last := map[int]float64{}
	for i, p := range sp.Person {
		last[p] = math.Max(last[p], sp.Stop[i])
	}
	n := 0
	for _, p := range o.Persons {
		if last[p] > t {
			n++
		}
	}
	return n
}
