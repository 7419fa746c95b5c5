package study

import (
	"slices"

	"utfall/study/release"
	"utfall/study/report"
)

// destination is where the people of the two arms are at one time, released.
type destination struct {
	cohort           *Cohort
	at               int
	states           []string          // shown states, best first
	names            map[string]string // what they are called, where it is not the label of the state
	treated, control release.Distribution
}

// destinations says of each arm where its people are at the last time of each
// analysis of states, and, where none says so of a cohort, on which step at the horizon of its headlines.
func (s *state) destinations(keep func([]release.Withheld)) []destination {
	var out []destination
	told := map[string]bool{}
	for i := range s.results {
		st := s.results[i].spec.States
		if st == nil || st.Cohort == "" || len(st.At) == 0 {
			continue
		}
		b := s.cohorts[st.Cohort]
		told[st.Cohort] = true
		if !evenWeights(b) {
			continue // people counted one by one would not be the groups that were compared
		}
		states, code := mergeStates(b.paths.States, st.Merge)
		shown := slices.Clone(st.Order)
		if shown == nil {
			shown = slices.Clone(states)
		}
		slices.Reverse(shown)
		out = append(out, s.destination(s.results[i].spec.Name, b, int(slices.Max(st.At)), states, code, shown, keep))
	}
	for i := range s.results {
		p := s.results[i].spec.Progress
		if p == nil || told[p.Cohort] {
			continue
		}
		b, l := s.cohorts[p.Cohort], s.ladders[p.Ladder]
		told[p.Cohort] = true
		if !evenWeights(b) {
			continue
		}
		values := l.values()
		names, called := make([]string, len(values)), map[string]string{}
		for k, v := range values {
			names[k] = stepName(v)
			called[names[k]] = s.stepLabel(l, v)
		}
		code := make([]int, len(b.paths.States))
		for j, name := range b.paths.States {
			code[j] = slices.Index(values, l.Steps[name])
		}
		shown := slices.Clone(names)
		slices.Reverse(shown)
		d := s.destination(s.results[i].spec.Name, b, p.Tau, names, code, shown, keep)
		d.names = called
		out = append(out, d)
	}
	return out
}

// destination counts where the people of each arm are in a month: state j of the paths is states[code[j]].
func (s *state) destination(analysis string, b *built, month int, states []string, code []int, shown []string, keep func([]release.Withheld)) destination {
	d := destination{cohort: b.spec, at: month, states: shown}
	for _, arm := range []bool{true, false} {
		n := make([]int, len(states))
		for u, treated := range b.treated {
			if c := b.paths.At(u, min(month, b.paths.After-1)); treated == arm && c >= 0 {
				n[code[c]]++
			}
		}
		var classes []release.Class
		for _, name := range d.states {
			classes = append(classes, release.Class{Label: name, N: n[slices.Index(states, name)]})
		}
		dist, w := s.policy.Distribution(analysis+"/destination", classes)
		keep(w)
		if arm {
			d.treated = dist
		} else {
			d.control = dist
		}
	}
	return d
}

// evenWeights reports whether every unit of an arm counts the same.
func evenWeights(b *built) bool {
	first := map[bool]float64{}
	for u, w := range b.weight {
		arm := b.treated[u]
		if f, ok := first[arm]; !ok {
			first[arm] = w
		} else if w != f {
			return false
		}
	}
	return true
}

func (s *state) reportDestination(d destination) report.Destination {
	out := report.Destination{
		Label: s.lang.Text("study.destination", "months", d.at), Names: map[string]string{}, Treated: d.treated, Control: d.control,
		Treats: s.group(d.cohort, "treated"), Controls: s.group(d.cohort, "control"),
	}
	for _, name := range d.states {
		if out.Names[name] = d.names[name]; out.Names[name] == "" {
			out.Names[name] = s.label(name)
		}
	}
	return out
}
