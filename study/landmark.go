package study

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// landmarkSpells are the spells of the cohort, states merged, with both states of the question among them.
func (s *state) landmarkSpells(q *Landmark) (*survive.Spells, error) {
	b := s.cohorts[q.Cohort]
	st := &States{Merge: q.Merge}
	if err := checkMerge(b.paths.States, st); err != nil {
		return nil, err
	}
	sp, err := s.cohortSpells(b, st)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{q.State, q.To} {
		if !slices.Contains(sp.States, name) {
			return nil, fmt.Errorf("%w: landmark: nobody is in the state %q; after merge there are %s", ErrSpec, name, strings.Join(sp.States, ", "))
		}
	}
	return sp, nil
}

// landmarkCounts are the people of an arm who are in the state at the landmark, and of them those
// who are in the other state in a month, and in any month after the landmark.
type landmarkCounts struct {
	in   release.Arms
	at   map[int]*release.Arms
	ever release.Arms
}

func (q *Landmark) counts(b *built) landmarkCounts {
	p := b.paths
	states, code := mergeStates(p.States, q.Merge)
	from, to := int8(slices.Index(states, q.State)), int8(slices.Index(states, q.To))
	of := func(u, m int) int8 {
		if c := p.At(u, m); c >= 0 {
			return int8(code[c])
		}
		return -1
	}
	n := landmarkCounts{at: map[int]*release.Arms{}}
	for _, m := range q.At {
		n.at[m] = &release.Arms{}
	}
	for u, treated := range b.treated {
		if of(u, q.Month) != from {
			continue
		}
		add := func(a *release.Arms) {
			if treated {
				a.Treated++
			} else {
				a.Control++
			}
		}
		add(&n.in)
		ever := false
		for m := q.Month + 1; m <= q.Tau; m++ {
			if of(u, m) != to {
				continue
			}
			ever = true
			if a := n.at[m]; a != nil {
				add(a)
			}
		}
		if ever {
			add(&n.ever)
		}
	}
	return n
}

func (s *state) landmark(a *Analysis) (analysisResult, error) {
	q, b := a.Landmark, s.cohorts[a.Landmark.Cohort]
	r := analysisResult{method: "landmark", kind: "association", notes: slices.Clone(b.notes)}
	sp, err := s.landmarkSpells(q)
	if err != nil {
		return r, err
	}
	at := make([]float64, len(q.At))
	for k, m := range q.At {
		at[k] = float64(m)
	}
	main := "time=" + strconv.Itoa(slices.Max(q.At))
	res, err := survive.Landmark{State: q.State, Time: float64(q.Month), At: at, Tau: float64(q.Tau), Workers: s.o.Workers}.Fit(s.ctx, sp)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return r, err
		}
		r.numbers = []found{refuse(main, estimate.RiskDifference, why.why, why.fix)}
		return r, s.markov(&r, a, sp)
	}
	for _, n := range res.Notes {
		if n.Code != "boundary" { // it counts numbers that are not asked for
			r.notes = append(r.notes, n)
		}
	}
	n, all := q.counts(b), arms(b.treated)
	for _, e := range res.Estimates {
		parts := termParts(e.Term)
		if parts["state"] != q.To {
			continue
		}
		events := n.ever
		e.Term = "months"
		if parts["time"] != "" {
			m, err := strconv.Atoi(parts["time"])
			if err != nil {
				return r, err
			}
			events, e.Term = *n.at[m], "time="+parts["time"]
		}
		x := found{e: e, basis: release.Basis{Treated: n.in.Treated, Control: n.in.Control, Cohort: all, DF: math.Inf(1), Events: &events}}
		if g := parts["group"]; g != "" {
			e.Term += ",group=" + g
			x.term, x.kind = e.Term, "description"
			x = oneArm(x)
			x.basis.Cohort = release.Arms{Treated: all.Treated}
			if g == "control" {
				x.basis.Cohort.Treated = all.Control
			}
		}
		x.term, x.e.Term = e.Term, e.Term
		if x.term == main && e.Measure == estimate.RiskDifference {
			r.numbers = append([]found{x}, r.numbers...)
		} else {
			r.numbers = append(r.numbers, x)
		}
	}
	return r, s.markov(&r, a, sp)
}

// markov tests in each group by itself whether the state in an earlier month has a part in later moves. One row of each
// person takes part, by lot: the test takes people as independent.
func (s *state) markov(r *analysisResult, a *Analysis, sp *survive.Spells) error {
	q, b := a.Landmark, s.cohorts[a.Landmark.Cohort]
	if len(q.Markov) == 0 {
		return nil
	}
	at := make([]float64, len(q.Markov))
	for k, m := range q.Markov {
		at[k] = float64(m)
	}
	u, err := newProgressUnits(b)
	if err != nil {
		return err
	}
	for g, name := range sp.GroupNames {
		term, seed := "markov,group="+name, s.seedOf("landmark/"+a.Name+"/"+sp.GroupNames[g])
		if !evenWeights(b) {
			not := weightsDiffer()
			r.numbers = append(r.numbers, refuse(term, survive.MeanAbsZ, not.why, not.fix))
			continue
		}
		own, out := oneRowEach(sp, g, u.person, seed)
		res, err := survive.MarkovTest{At: at, Draws: q.Draws, Seed: seed, Workers: s.o.Workers}.Fit(s.ctx, own)
		if err != nil {
			why, ok := refusable(err)
			if !ok {
				return err
			}
			r.numbers = append(r.numbers, refuse(term, survive.MeanAbsZ, why.why, why.fix))
			continue
		}
		e := res.Estimates[len(res.Estimates)-1] // overall
		e.Term = term
		notes := slices.Clone(res.Notes)
		if out > 0 {
			notes = append(notes, table.Note{Code: "one-row-a-person", Args: map[string]any{"rows": out},
				Text: fmt.Sprintf("%d rows of people who have another one take no part in the test, by lot.", out)})
		}
		r.numbers = append(r.numbers, found{term: term, e: e, kind: "check", notes: notes,
			basis: release.Basis{Single: true, Treated: len(own.ID), Events: &release.Arms{Treated: min(res.N.Events, len(own.ID)/2)}, DF: math.Inf(1)}})
	}
	return nil
}

// oneRowEach takes the spells of a group, one row of each person by the keyed hash of the row, and counts those left out.
func oneRowEach(sp *survive.Spells, g int, person []string, seed uint64) (own *survive.Spells, out int) {
	mine := func(p int) bool { return sp.Group[p] == g && (sp.Weight.Values == nil || sp.Weight.Values[p] > 0) }
	chosen := map[string]int{}
	before := func(p, o int) bool {
		return cmp.Or(cmp.Compare(num.KeyedHash(seed, sp.ID[p]), num.KeyedHash(seed, sp.ID[o])), cmp.Compare(sp.ID[p], sp.ID[o])) < 0
	}
	for p := range sp.ID {
		if !mine(p) {
			continue
		}
		if o, twice := chosen[person[p]]; twice {
			out++
			if !before(p, o) {
				continue
			}
		}
		chosen[person[p]] = p
	}
	own = &survive.Spells{States: sp.States, Level: sp.Level}
	place := make([]int, len(sp.ID))
	for p, id := range sp.ID {
		place[p] = -1
		if o, ok := chosen[person[p]]; ok && o == p {
			place[p] = len(own.ID)
			own.ID = append(own.ID, id)
		}
	}
	for i, p := range sp.Person {
		if place[p] < 0 {
			continue
		}
		own.Person, own.From, own.To = append(own.Person, place[p]), append(own.From, sp.From[i]), append(own.To, sp.To[i])
		own.Start, own.Stop = append(own.Start, sp.Start[i]), append(own.Stop, sp.Stop[i])
	}
	return own, out
}
