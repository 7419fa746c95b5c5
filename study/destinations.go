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
	states           []string // shown states, best first
	treated, control release.Distribution
}

// destinations says of each arm where its people are at the last time of each
// analysis of states.
func (s *state) destinations(keep func([]release.Withheld)) []destination {
	var out []destination
	for i := range s.results {
		st := s.results[i].spec.States
		if st == nil || st.Cohort == "" || len(st.At) == 0 {
			continue
		}
		b := s.cohorts[st.Cohort]
		if !evenWeights(b) {
			continue // people counted one by one would not be the groups that were compared
		}
		states, code := mergeStates(b.paths.States, st.Merge)
		d := destination{cohort: b.spec, at: int(slices.Max(st.At)), states: slices.Clone(st.Order)}
		if d.states == nil {
			d.states = slices.Clone(states)
		}
		slices.Reverse(d.states)
		for _, arm := range []bool{true, false} {
			n := make([]int, len(states))
			for u, treated := range b.treated {
				if c := b.paths.At(u, min(d.at, b.paths.After-1)); treated == arm && c >= 0 {
					n[code[c]]++
				}
			}
			var classes []release.Class
			for _, name := range d.states {
				classes = append(classes, release.Class{Label: name, N: n[slices.Index(states, name)]})
			}
			dist, w := s.policy.Distribution(s.results[i].spec.Name+"/destination", classes)
			keep(w)
			if arm {
				d.treated = dist
			} else {
				d.control = dist
			}
		}
		out = append(out, d)
	}
	return out
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
		out.Names[name] = s.label(name)
	}
	return out
}
