package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// How those who leave for good (the ladder's absorbing states) can count besides on the declared step.
const (
	leaveLastStep = "last-step" // they stay on the last step they held
	leaveLowest   = "lowest"    // on a step of its own below all others
	leaveCensored = "censored"  // they are not followed any more
)

// leavers are the units who come to an absorbing state before the horizon, and what is known of them.
type leavers struct {
	end  []bool // by state: nobody leaves it
	at   []int  // by unit: the first month in such a state; -1 = none before the horizon
	last []int8 // by unit who left: the state held before; -1 = none was seen
	// cell is the fewest people in an arm by whom two of the rows differ.
	cell     release.Arms
	all      int
	at0      int // of all, those there in the first month
	unplaced int // of these, those of whom no earlier state was seen
}

// leaversOf finds who leaves before month tau, among those followed until then.
func leaversOf(u *progressUnits, l *Ladder, tau int) leavers {
	p := u.b.paths
	out := leavers{end: make([]bool, len(p.States)), at: make([]int, len(u.id)), last: make([]int8, len(u.id))}
	for j, name := range p.States {
		out.end[j] = slices.Contains(l.Absorbing, name)
	}
	ranked := make([]bool, len(p.States)) // the lowest step changes how the state stands to others
	for j, name := range p.States {
		for k, other := range p.States {
			step, with := l.Steps[name], l.Steps[other]
			ranked[j] = ranked[j] || out.end[j] && (out.end[k] && with != step || !out.end[k] && with <= step)
		}
	}
	var left, moved, lowered [2]int
	for i := range u.id {
		out.at[i], out.last[i] = -1, -1
		for m := 0; m < tau && p.At(i, m) >= 0; m++ {
			if !out.end[p.At(i, m)] {
				continue
			}
			out.at[i] = m
			for before := m - 1; before >= -p.Before && out.last[i] < 0; before-- {
				if c := p.At(i, before); c >= 0 && !out.end[c] {
					out.last[i] = c
				}
			}
			break
		}
		if out.at[i] < 0 || u.b.weight != nil && u.b.weight[i] == 0 {
			continue
		}
		g := 0
		if u.b.treated[i] {
			g = 1
		}
		to := p.At(i, out.at[i])
		left[g]++
		if c := out.last[i]; c >= 0 && l.Steps[p.States[c]] != l.Steps[p.States[to]] {
			moved[g]++
		}
		if ranked[to] {
			lowered[g]++
		}
		if out.at[i] == 0 {
			out.at0++
			if out.last[i] < 0 {
				out.unplaced++
			}
		}
	}
	out.all = left[0] + left[1]
	for g, n := range []int{u.sizes.Control, u.sizes.Treated} {
		cell := min(left[g], n-left[g])
		for _, some := range []int{moved[g], lowered[g]} {
			if some > 0 { // where nobody is placed elsewhere the two rows are equal, and say nothing
				cell = min(cell, some)
			}
		}
		*[]*int{&out.cell.Control, &out.cell.Treated}[g] = cell
	}
	return out
}

// leaveAs gives the paths and the ladder under which those who leave count as asked.
func (s *state) leaveAs(how string, u *progressUnits, l *Ladder, who leavers) (*cohort.Paths, progress.Ladder, error) {
	p := u.b.paths
	ladder, err := l.of(p.States)
	if err != nil {
		return nil, nil, err
	}
	if how == leaveLowest {
		under := l.values()[0] - 1
		for j, name := range p.States {
			if who.end[j] {
				ladder[name] = under
			}
		}
		return p, ladder, nil
	}
	out := &cohort.Paths{States: slices.Clone(p.States), Before: p.Before, After: p.After, Code: slices.Clone(p.Code)}
	stay := map[int]int8{} // step → the state of those who left from it: one that nobody leaves
	for i, from := range who.at {
		if from < 0 || how == leaveLastStep && who.last[i] < 0 {
			continue
		}
		to := int8(-1)
		if how == leaveLastStep {
			step, ok := l.Steps[p.States[who.last[i]]], false
			if to, ok = stay[step]; !ok {
				if len(out.States) >= math.MaxInt8 {
					return nil, nil, fmt.Errorf("%w: %s: too many states to tell those who left from each step apart", ErrInput, l.file)
				}
				name := fmt.Sprintf("left from step %d", step)
				for slices.Contains(out.States, name) {
					name += "'"
				}
				to = int8(len(out.States))
				stay[step], ladder[name], out.States = to, step, append(out.States, name)
			}
		}
		row := out.Code[i*(p.Before+p.After):]
		for m := from; m < p.After; m++ {
			if row[p.Before+m] >= 0 {
				row[p.Before+m] = to
			}
		}
	}
	return out, ladder, nil
}

// leavingMonths are the net months with those who leave counted as asked.
func (s *state) leavingMonths(how string, u *progressUnits, l *Ladder, who leavers, net progress.NetMonths) (estimate.Estimate, error) {
	paths, ladder, err := s.leaveAs(how, u, l, who)
	if err != nil {
		return estimate.Estimate{}, err
	}
	b, again := *u.b, *u
	b.paths, again.b = paths, &b
	net.Ladder, net.At, net.Alternatives, net.Administrative = ladder, nil, nil, nil
	res, err := net.Fit(s.ctx, s.pathSpells(&again, identity(len(u.id)), 0, paths.After, paths.States, identity(len(paths.States))))
	if err != nil {
		return estimate.Estimate{}, err
	}
	e := res.Estimates[0]
	e.Term = termMonths + ",leaving=" + how
	return e, nil
}

// leaving puts net months beside the headline with those who leave for good counted in three other ways, where somebody
// did, and lets their signs join gate G7. Rows of few leavers are withheld and have no part in the gate: what the
// rows differ by is those few.
func (s *state) leaving(r *analysisResult, u *progressUnits, own *progressResult, net progress.NetMonths, on release.Basis, check progress.OrderCheck) (progress.OrderCheck, error) {
	who := leaversOf(u, own.ladder, int(net.Tau))
	if who.all == 0 {
		return check, nil
	}
	on.Events = &who.cell
	few := min(who.cell.Treated, who.cell.Control) < s.policy.Threshold()
	if few {
		own.notes[termMonths] = append(own.notes[termMonths], table.Note{Code: "leaving-few", Text: "Too few people in a group left for good (died, moved abroad, reached pension) for the net months with them counted in other ways to be shown. Nor has gate G7 tried them."})
	}
	var orders []progress.OrderResult
	for _, how := range []string{leaveLastStep, leaveLowest, leaveCensored} {
		e, err := s.leavingMonths(how, u, own.ladder, who, net)
		if err != nil {
			why, ok := refusable(err)
			if !ok {
				return check, err
			}
			r.numbers = append(r.numbers, refuse(termMonths+",leaving="+how, estimate.NetMonths, why.why, why.fix))
			continue
		}
		n := found{term: e.Term, e: e, basis: on}
		switch {
		case few:
		case how == leaveLastStep && who.unplaced > 0:
			n.notes = append(n.notes, table.Note{Code: "leaving-unplaced", Text: "People who had left for good in the first month, and of whom no earlier state is known, stay on the step that the ladder gives them.", Args: map[string]any{"people": who.unplaced}})
		case how == leaveCensored:
			n.notes = append(n.notes, table.Note{Code: "leaving-censored", Text: "Those who leave for good are not followed from then on: the number is what there would be if nobody left and those who left had gone on like those who stayed. The data cannot show whether they would have."})
			if who.at0 > 0 {
				n.notes = append(n.notes, table.Note{Code: "leaving-at-start", Text: "People who had left for good in the first month take no part in this number.", Args: map[string]any{"people": who.at0}})
			}
		}
		r.numbers = append(r.numbers, n)
		orders = append(orders, progress.OrderResult{Name: "leaving=" + how, NetMonths: e.Value, StdError: e.SE})
	}
	if few {
		return check, nil
	}
	joined := check.With(orders...)
	if joined.Verdict == progress.Disagree && slices.ContainsFunc(orders, func(o progress.OrderResult) bool { return check.Turns(o) }) {
		own.notes[termMonths] = append(own.notes[termMonths], table.Note{Code: "leaving-sensitive", Text: "Whether there were more or fewer months on a higher step depends on how those count who left for good (died, moved abroad, reached pension): all ways are shown, and neither better nor worse is said."})
	}
	return joined, nil
}
