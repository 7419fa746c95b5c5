package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate/survive"
	"utfall/table"
)

// fitStatesAfter are the flags of states about people who are in a state at a later time.
type fitStatesAfter struct {
	landmark string
	markov   []string
	draws    int
	seed     uint64
}

func (m *fitStatesAfter) flags(f *flagSet) {
	f.text(&m.landmark, "landmark", "", "`STATE@TIME`: where those who are in the state then are at the times of --at, and until --tau")
	f.list(&m.markov, "markov-test", "`times`: does it matter for later moves in which state people were then?")
	f.whole(&m.draws, "draws", 999, "of the Markov test's bootstrap")
	f.seed(&m.seed, "of the Markov test's bootstrap")
}

// names are those of the flags.
func (m *fitStatesAfter) names() []string {
	return []string{"landmark", "markov-test", "draws", "seed"}
}

func (m *fitStatesAfter) parsed() (state string, time float64, ok bool) {
	k := strings.LastIndex(m.landmark, "@")
	if k < 1 {
		return "", 0, false
	}
	t, err := strconv.ParseFloat(m.landmark[k+1:], 64)
	return m.landmark[:k], t, err == nil && t >= 0 && !math.IsInf(t, 0)
}

func (m *fitStatesAfter) check(f *flagSet, at []float64, tau float64) (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	_, more := parseTimes("markov-test", m.markov)
	problems = append(problems, more...)
	for _, n := range []string{"draws", "seed"} {
		if len(m.markov) == 0 && f.given(n) {
			bad("--%s goes with --markov-test", n)
		}
	}
	if m.draws < 99 {
		bad("--draws must be at least 99")
	}
	if !f.given("landmark") {
		return problems
	}
	_, time, ok := m.parsed()
	if !ok {
		bad("--landmark: %q is not STATE@TIME with a time of at least 0", m.landmark)
		return problems
	}
	for _, t := range at {
		if t <= time {
			bad("--at: with --landmark all times lie after it")
			break
		}
	}
	if tau != 0 && tau <= time {
		bad("--tau lies after the time of --landmark")
	}
	return problems
}

// add appends what is asked for to the output of states.
func (m *fitStatesAfter) add(ctx context.Context, d *fitData, s *survive.Spells, at []float64, tau float64, out *fitOutput) error {
	if m.landmark != "" {
		state, time, _ := m.parsed()
		r, err := survive.Landmark{State: state, Time: time, At: at, Tau: tau, MinPersons: 1, Workers: d.workers}.Fit(ctx, s)
		if err != nil {
			return err
		}
		out.estimates = append(out.estimates, r.Estimates...)
		out.details["landmark"] = map[string]any{"state": state, "time": time, "persons": r.Details["landmark_persons"], "tau": r.Details["tau"]}
		if persons, ok := r.Details["landmark_persons"].(map[string]int); ok {
			out.addNotes(fewInGroups(persons, "In the state at the landmark"))
		}
		out.addNotes(r.Notes)
	}
	if len(m.markov) > 0 {
		times, _ := parseTimes("markov-test", m.markov)
		r, err := survive.MarkovTest{At: times, Draws: m.draws, Seed: m.seed, Workers: d.workers}.Fit(ctx, s)
		if err != nil {
			return err
		}
		for k := range r.Estimates {
			r.Estimates[k].Term = "markov," + r.Estimates[k].Term
		}
		out.estimates = append(out.estimates, r.Estimates...)
		out.details["markov_test"] = r.Details
		out.addNotes(r.Notes)
	}
	return nil
}

// addNotes takes in notes that are not there yet.
func (o *fitOutput) addNotes(notes []table.Note) {
	seen := map[string]bool{}
	for _, n := range o.notes {
		seen[n.Code+fmt.Sprint(n.Args)] = true
	}
	for _, n := range notes {
		if !seen[n.Code+fmt.Sprint(n.Args)] {
			o.notes = append(o.notes, n)
		}
	}
}
