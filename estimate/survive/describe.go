package survive

import (
	"math"

	"utfall/table"
)

// describe fills counts, details and the notes about follow-up.
func (f *ajFit) describe() {
	res, K := f.res, len(f.s.States)
	_, n := f.res.Influence.Dims()
	var moves []Transition
	var curves []Curve
	late, midway, boundary := 0, 0, 0
	for _, o := range f.groups {
		res.N.Units += len(o.Persons)
		late, midway = late+o.late, midway+o.midway
		for c, count := range o.Counts {
			if count > 0 {
				res.N.Events += count
				moves = append(moves, Transition{Group: o.Group, From: o.States[c/K], To: o.States[c%K], Count: count, Weight: o.Moves[c]})
			}
		}
		curves = append(curves, o.curve(f.tau))
		res.Notes = append(res.Notes, o.Notes(f.at, f.tau)...)
	}
	for _, e := range res.Estimates {
		if e.SE == 0 {
			boundary++
		}
	}
	if dropped := len(f.s.ID) - res.N.Units; dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Persons with weight 0 take no part.", Args: map[string]any{"persons": dropped},
		})
	}
	if late > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "late-entry", Text: "Some persons are observed only from after time 0; they count from then on, which is right if the rates do not depend on the earlier history.",
			Args: map[string]any{"persons": late},
		})
	}
	if midway > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "ends-in-transient", Text: "Some histories end with a move to a state that others leave again; observation of them ends there.",
			Args: map[string]any{"persons": midway},
		})
	}
	if boundary > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "boundary", Text: "Some estimates are exactly on the boundary of what is possible, or constant; their standard error is 0 and says nothing.",
			Args: map[string]any{"estimates": boundary, "of": n},
		})
	}
	res.Details = map[string]any{
		"states": f.s.States, "tau": f.tau, "transitions": moves, "curve": curves, "vcov": vcovName(res.N.Clusters),
	}
}

// Notes returns the caveats about follow-up for probabilities at given times and mean times to tau.
func (o *Occupation) Notes(at []float64, tau float64) []table.Note {
	var notes []table.Note
	reach := tau
	for _, t := range at {
		if o.Observed(t) {
			reach = max(reach, t)
			continue
		}
		notes = append(notes, table.Note{
			Code: "beyond-follow-up", Text: "Nobody of the group is observed at this time any more, so its numbers do not exist.",
			Args: map[string]any{"time": t, "group": o.Group, "last": o.Last},
		})
	}
	end := o.At(math.Min(reach, o.horizon))
	for j, p := range end {
		if p > tiny && !o.absorb[j] && o.lastRisk[j] < reach {
			notes = append(notes, table.Note{
				Code: "state-unobserved", Text: "Observation of everybody in this state ends before the horizon; from then on nobody is taken to leave it.",
				Args: map[string]any{"state": o.States[j], "group": o.Group, "last": o.lastRisk[j], "probability": p},
			})
		}
	}
	return notes
}

func (o *Occupation) curve(tau float64) Curve {
	const most = 500
	c := Curve{Group: o.Group}
	if o.Index(tau) < most {
		for k := range o.Index(tau) + 1 {
			c.add(o, o.Times[k])
		}
		return c
	}
	for i := range most + 1 {
		c.add(o, tau*float64(i)/most)
	}
	return c
}

func (c *Curve) add(o *Occupation, t float64) {
	c.Times = append(c.Times, t)
	c.P = append(c.P, append([]float64(nil), o.At(t)...))
}
