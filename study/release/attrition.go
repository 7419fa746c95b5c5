package release

import (
	"fmt"

	"utfall/cohort"
)

// Attrition is the released flow of people through the filters, for participants
// and comparison people apart. The two are disjoint, so that one says nothing about
// the other; units are the sum of the two released parts.
type Attrition struct {
	Start Box    `json:"start"`
	Steps []Step `json:"steps"`
	// Missing is how many of all the excluded had no value in a column a filter needs.
	Missing Count `json:"missing"`
}

// Box is how many are left at one place of the flow.
type Box struct {
	Treated Count `json:"treated"`
	Control Count `json:"control"`
}

// Units is the sum of the parts, suppressed if one part is.
func (b Box) Units() Count { return add(b.Treated, b.Control) }

// Step is one filter: how many are left after it and how many it excluded since the
// last shown box. A suppressed Left was merged: the exclusion is counted in the
// next step that shows a box for the same group.
type Step struct {
	Name     string `json:"name"`
	Rule     string `json:"rule"`
	Left     Box    `json:"left"`
	Excluded Box    `json:"excluded"`
}

func add(a, b Count) Count {
	if a.Suppressed() || b.Suppressed() {
		return Count{}
	}
	n := a.n + b.n
	if n == 0 {
		return StructuralZero()
	}
	return Count{state: shown, n: n}
}

// Attrition releases the flow chart of a cohort. In each group every shown box and
// every difference between two shown boxes is 0 or at least the threshold: a step
// that excludes fewer is merged with the next exclusion (the last with the one
// before). A difference of 0 is shown, since it says of nobody that they were
// excluded. Boxes are rounded, and differences are those of the rounded boxes.
//
// The merging always joins the smallest exclusion first, in an order that does not
// depend on the threshold, which makes the boxes of a larger minimum a subset.
//
// The error wraps [ErrInput]: a step that adds people or does not start where the
// one before ended.
func (p Policy) Attrition(steps []cohort.Step) (Attrition, []Withheld, error) {
	if err := checkSteps(steps); err != nil {
		return Attrition{}, nil, err
	}
	a := Attrition{Steps: make([]Step, len(steps))}
	if len(steps) == 0 {
		return a, nil, nil
	}
	first, last := steps[0], steps[len(steps)-1]
	a.Start = Box{raw(first.TreatedIn), raw(first.UnitsIn - first.TreatedIn)}
	missing := 0
	for i, s := range steps {
		a.Steps[i] = Step{Name: s.Name, Rule: s.Rule, Left: Box{raw(s.TreatedOut), raw(s.UnitsOut - s.TreatedOut)}}
		missing += s.Missing
	}
	a, withheld := p.AttritionAgain(a)
	excluded := first.UnitsIn - last.UnitsOut
	switch {
	case missing == 0:
		a.Missing = StructuralZero()
	case !p.small(excluded - missing):
		a.Missing = p.Count(missing)
	}
	if a.Missing.Suppressed() {
		withheld = append(withheld, Withheld{"attrition/missing", BelowMinimum, 1})
	}
	return a, withheld, nil
}

// AttritionAgain applies the policy to a flow that is released already.
func (p Policy) AttritionAgain(a Attrition) (Attrition, []Withheld) {
	out := Attrition{Steps: make([]Step, len(a.Steps)), Missing: p.Again(a.Missing)}
	withheld := []Withheld{}
	group := func(name string, pick func(*Box) *Count) {
		in, counts := a, make([]Count, len(a.Steps)+1)
		counts[0] = *pick(&in.Start)
		for i := range a.Steps {
			left := a.Steps[i].Left
			counts[i+1] = *pick(&left)
		}
		before := countShown(counts)
		counts = p.flow(counts)
		*pick(&out.Start) = counts[0]
		previous := counts[0]
		for i, c := range counts[1:] {
			*pick(&out.Steps[i].Left) = c
			if !c.Suppressed() && !previous.Suppressed() {
				*pick(&out.Steps[i].Excluded) = exact(previous.n - c.n)
			}
			if !c.Suppressed() {
				previous = c
			}
		}
		if n := before - countShown(counts); n > 0 {
			withheld = append(withheld, Withheld{"attrition/" + name, Difference, n})
		}
	}
	for i, s := range a.Steps {
		out.Steps[i].Name, out.Steps[i].Rule = s.Name, s.Rule
	}
	group("treated", func(b *Box) *Count { return &b.Treated })
	group("control", func(b *Box) *Count { return &b.Control })
	return out, withheld
}

// flow withholds boxes until the exclusions between shown boxes, and what is left
// at the end, are each 0 or at least the threshold; then it rounds.
func (p Policy) flow(boxes []Count) []Count {
	out := make([]Count, len(boxes))
	var at []int // places of the boxes still shown
	for i, b := range boxes {
		if !b.Suppressed() {
			at = append(at, i)
		}
	}
	n := func(i int) int { return boxes[at[i]].n }
	// Atom i < len(at)-1 is the exclusion between shown boxes i and i+1; the last is
	// what is left in the last shown box.
	atom := func(i int) int {
		if i == len(at)-1 {
			return n(i)
		}
		return n(i) - n(i+1)
	}
	for len(at) > 0 {
		smallest := -1
		for i := range at {
			if atom(i) > 0 && (smallest < 0 || atom(i) < atom(smallest)) {
				smallest = i
			}
		}
		if smallest < 0 || !p.small(atom(smallest)) {
			break
		}
		drop := smallest + 1 // joins exclusion i with exclusion i+1
		switch exclusions := len(at) - 1; {
		case smallest == exclusions: // too few are left: the last box goes
			drop = smallest
		case smallest == exclusions-1: // the last joins the one before; an only one hides the start, not the result
			drop = smallest
		}
		at = append(at[:drop], at[drop+1:]...)
	}
	for _, i := range at {
		out[i] = exact(p.round(boxes[i].n))
	}
	return out
}

func raw(n int) Count { return Count{state: shown, n: n} }

func exact(n int) Count {
	if n == 0 {
		return StructuralZero()
	}
	return raw(n)
}

func countShown(c []Count) int {
	n := 0
	for _, x := range c {
		if !x.Suppressed() {
			n++
		}
	}
	return n
}

func checkSteps(steps []cohort.Step) error {
	for i, s := range steps {
		switch {
		case s.TreatedOut < 0 || s.TreatedIn > s.UnitsIn || s.TreatedOut > s.UnitsOut,
			s.UnitsOut > s.UnitsIn || s.TreatedOut > s.TreatedIn,
			s.UnitsOut-s.TreatedOut > s.UnitsIn-s.TreatedIn,
			s.Missing < 0 || s.Missing > s.UnitsIn-s.UnitsOut:
			return fmt.Errorf("%w: attrition step %q", ErrInput, s.Name)
		case i > 0 && (s.UnitsIn != steps[i-1].UnitsOut || s.TreatedIn != steps[i-1].TreatedOut):
			return fmt.Errorf("%w: attrition step %q does not start where %q ended", ErrInput, s.Name, steps[i-1].Name)
		}
	}
	return nil
}
