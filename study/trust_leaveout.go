package study

import (
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/release"
)

// leaveOut fits the effect again without each group.
func (t *trustRun) leaveOut() error {
	group, names, err := t.groups(t.q.LeaveOut)
	if err != nil {
		return err
	}
	f := t.frame()
	o := sensitivity.LeaveOut{Each: t.s.estimator(t.of.spec.Effect), Term: t.of.fitted.result.Estimates[t.of.column()].Term, Group: group, Names: names, Workers: t.s.o.Workers}
	res, err := o.Fit(t.s.ctx, f)
	if err != nil {
		return err
	}
	// The number with everybody less the one without a group is about the group: its people
	// must be many enough, and where one group alone is too small the next smallest hides it.
	stays := o.Stays(f)
	kept, least := make([]release.Basis, len(names)), make([]int, len(names))
	small := 0
	for g := range names {
		in := stays(g)
		kept[g] = basisOf(f, in, true, t.basis)
		least[g] = leastCell(basisOf(f, in, false, t.basis))
		if least[g] < t.s.policy.Threshold() {
			small++
		}
	}
	if small == 1 && len(names) > 1 {
		order := make([]int, len(names))
		for g := range order {
			order[g] = g
		}
		slices.SortStableFunc(order, func(a, b int) int { return least[a] - least[b] })
		least[order[1]] = 0
	}
	var smallest, largest *found
	unnamed := 0
	for g := range names {
		e := res.Estimates[g+1]
		if math.IsNaN(e.Value) {
			continue // the note says how many
		}
		if least[g] < t.s.policy.Threshold() && !t.declared(t.q.LeaveOut, names[g]) {
			unnamed++ // that a group of few is there is told by its name already
			continue
		}
		at := len(t.r.numbers)
		t.add(e, nil, least[g])
		if least[g] < t.s.policy.Threshold() {
			continue
		}
		n := &t.r.numbers[at]
		n.basis = kept[g]
		if smallest == nil || e.Value < smallest.e.Value {
			smallest = &found{e: e, basis: n.basis}
		}
		if largest == nil || e.Value > largest.e.Value {
			largest = &found{e: e, basis: n.basis}
		}
	}
	if unnamed > 0 {
		e := res.Estimates[0]
		e.Term = "without=.."
		t.add(e, nil, 0)
	}
	if smallest == nil {
		for _, term := range []string{"without-smallest", "without-largest"} {
			t.refuse(term, t.e.Measure, note("trust-groups-small", "Every group is too small to be left out without telling about it."), note("trust-coarser", "Take a coarser grouping."))
		}
	}
	if smallest != nil {
		for _, x := range []struct {
			term string
			n    found
		}{{"without-smallest", *smallest}, {"without-largest", *largest}} {
			x.n.e.Term, x.n.term = x.term, x.term
			t.r.numbers = append(t.r.numbers, x.n)
		}
	}
	for _, n := range res.Notes {
		if n.Code == "group-indispensable" {
			n.Args = map[string]any{"count": n.Args["count"]}
			t.r.notes = append(t.r.notes, n)
		}
	}
	return nil
}

// declared reports whether the study file itself names a level of a column.
func (t *trustRun) declared(column, level string) bool {
	sources := []string{t.b.spec.Base}
	if z := t.b.spec.TimeZero; z != nil {
		sources = append(sources, z.Participations)
	}
	for _, name := range sources {
		for _, c := range t.s.spec.Data[name].Columns {
			if c.Name == column && slices.Contains(c.Levels, level) {
				return true
			}
		}
	}
	return false
}

// basisOf counts the people of the rows in, or of the others.
func basisOf(f *estimate.Frame, in []int, kept bool, main release.Basis) release.Basis {
	mark := make([]bool, len(f.Y))
	for _, i := range in {
		mark[i] = true
	}
	out := release.Basis{DF: main.DF, Cohort: release.Arms{Treated: main.Treated, Control: main.Control}}
	var events release.Arms
	for i, t := range f.Treated {
		if mark[i] != kept {
			continue
		}
		n, ev := &out.Control, &events.Control
		if t {
			n, ev = &out.Treated, &events.Treated
		}
		*n++
		if f.Y[i] == 1 {
			*ev++
		}
	}
	if main.Events != nil {
		out.Events = &events
	}
	return out
}

// armMean is a group's mean of the outcome under the weights of the design.
func armMean(f *estimate.Frame, treated bool) float64 {
	var sum, total float64
	for i, t := range f.Treated {
		if t == treated {
			w := weightOf(f, i)
			sum += float64(w * f.Y[i])
			total += w
		}
	}
	return sum / total
}

func weightOf(f *estimate.Frame, i int) float64 {
	if f.Weight.Values == nil {
		return 1
	}
	return f.Weight.Values[i]
}

// spread is the standard deviation of the outcome within the groups, to two digits.
func spread(f *estimate.Frame) float64 {
	v := 0.0
	for _, treated := range []bool{false, true} {
		mean := armMean(f, treated)
		var sum, total float64
		for i, t := range f.Treated {
			if t == treated {
				w := weightOf(f, i)
				d := f.Y[i] - mean
				sum += float64(w * d * d)
				total += w
			}
		}
		v += sum / total / 2
	}
	if !(v > 0) {
		return 0
	}
	sd := math.Sqrt(v)
	p := math.Pow(10, 1-math.Floor(math.Log10(sd)))
	return math.Round(sd*p) / p
}
