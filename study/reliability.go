package study

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// instrumentRun is the reliability of the scales of one cohort.
type instrumentRun struct {
	s    *state
	q    *Instrument
	name string
	u    *progressUnits
	r    *analysisResult
}

// asked is a scale as answers are read.
func (q *Instrument) asked(scale Scale) *Assessments {
	items := slices.Clone(scale.Items)
	if x := q.Anchor; x != nil && x.Rater == scale.Rater && !slices.Contains(items, x.Item) {
		items = append(items, x.Item)
	}
	return &Assessments{Data: q.Data, Rater: scale.Rater, Items: items, After: q.After, Window: q.Window}
}

func (s *state) instrument(a *Analysis) (analysisResult, error) {
	q, b := a.Instrument, s.cohorts[a.Instrument.Cohort]
	r := analysisResult{method: "reliability", kind: "description", notes: slices.Clone(b.notes)}
	u, err := newProgressUnits(b)
	if err != nil {
		return r, err
	}
	t := &instrumentRun{s, q, a.Name, u, &r}
	for _, scale := range q.Scales {
		if err := t.scale(scale); err != nil {
			return r, err
		}
	}
	return r, t.raters()
}

// basis counts the people of both groups among units of the cohort.
func (t *instrumentRun) basis(unit []int) release.Basis {
	n := arms(pickBool(t.u.b.treated, unit))
	return release.Basis{Treated: n.Treated, Control: n.Control, Cohort: t.u.sizes, DF: math.Inf(1)}
}

func (t *instrumentRun) add(term string, e estimate.Estimate, on release.Basis, notes ...table.Note) {
	e.Term = term
	t.r.numbers = append(t.r.numbers, found{term: term, e: e, basis: on, notes: notes})
}

// without stands in the place of a number that the method does not have; other errors stand.
func (t *instrumentRun) without(term string, m estimate.Measure, err error) error {
	why, ok := refusable(err)
	if !ok {
		return err
	}
	t.r.numbers = append(t.r.numbers, refuse(term, m, why.why, why.fix))
	return nil
}

// complete are the rows of answers in which all of some columns of the matrices are known, one of each person by keyed hash.
func (t *instrumentRun) complete(w *answers, of ...func(k int) bool) []int {
	seed := t.s.seedOf("reliability/" + t.name)
	chosen := map[string]int{}
	for k, i := range w.unit {
		if slices.ContainsFunc(of, func(has func(int) bool) bool { return !has(k) }) {
			continue
		}
		p := t.u.person[i]
		if o, twice := chosen[p]; twice && !keyedBefore(seed, t.u.id[i], t.u.id[w.unit[o]]) {
			continue
		}
		chosen[p] = k
	}
	var rows []int
	for k, i := range w.unit {
		if o, ok := chosen[t.u.person[i]]; ok && o == k {
			rows = append(rows, k)
		}
	}
	return rows
}

func keyedBefore(seed uint64, a, b string) bool {
	x, y := num.KeyedHash(seed, a), num.KeyedHash(seed, b)
	return x < y || x == y && a < b
}

// known says whether a row has the first n columns.
func known(x *mat.Dense, n int) func(k int) bool {
	return func(k int) bool {
		for j := range n {
			if math.IsNaN(x.At(k, j)) {
				return false
			}
		}
		return true
	}
}

// sums adds up the first n columns of some rows.
func sums(x *mat.Dense, rows []int, n int) []float64 {
	out := make([]float64, len(rows))
	for r, k := range rows {
		for j := range n {
			out[r] += x.At(k, j)
		}
	}
	return out
}

func (t *instrumentRun) units(w *answers, rows []int) (unit []int, id []string) {
	for _, k := range rows {
		unit, id = append(unit, w.unit[k]), append(id, t.u.id[w.unit[k]])
	}
	return unit, id
}

func (t *instrumentRun) scale(scale Scale) error {
	at, n := "scale="+scale.Name, len(scale.Items)
	w, err := t.s.questionnaires(t.u.b, t.q.asked(scale))
	if err != nil { // a rater whom nobody asked leaves the other scales standing
		return t.without(at+",coefficient=alpha", progress.ReliabilityCoefficient, err)
	}
	t.r.notes = append(t.r.notes, w.notes...)
	rows := t.complete(w, known(w.before, n))
	unit, id := t.units(w, rows)
	var notes []table.Note
	if gone := len(t.complete(w)) - len(rows); gone > 0 {
		notes = append(notes, table.Note{Code: "scale-incomplete", Text: "Some people lack an answer to an item of the scale and are left out.", Args: map[string]any{"people": gone}})
	}
	x := mat.NewDense(max(len(rows), 1), n, nil)
	for r, k := range rows {
		for j := range n {
			x.Set(r, j, w.before.At(k, j))
		}
	}
	s := &progress.Scores{Unit: id, X: x, Names: scale.Items, Level: t.s.spec.Level}
	if len(rows) == 0 {
		s.X = nil
		err = estimate.ErrTooFew
	} else {
		var res *estimate.Result
		if res, err = (progress.Reliability{Workers: t.s.o.Workers}).Fit(t.s.ctx, s); err == nil {
			on := t.basis(unit)
			for _, e := range res.Estimates {
				if e.Measure != progress.ReliabilityCoefficient {
					t.add(at, e, on)
				} else if !math.IsNaN(e.Value) { // omega of two items: a note says why
					t.add(at+",coefficient="+e.Term, e, on, append(notes, res.Notes...)...)
					notes, res.Notes = nil, nil
				}
			}
		}
	}
	if err != nil {
		if err := t.without(at+",coefficient=alpha", progress.ReliabilityCoefficient, err); err != nil {
			return err
		}
	}
	if err := t.retest(scale, w); err != nil {
		return err
	}
	if err := t.anchor(scale, w); err != nil {
		return err
	}
	return t.places(scale, w, rows)
}

// retest is how far the score of comparison people, to whom nothing was done, agrees with itself some months later.
func (t *instrumentRun) retest(scale Scale, w *answers) error {
	if !t.q.Retest {
		return nil
	}
	n, term := len(scale.Items), "scale="+scale.Name+",retest=agreement,group=control"
	rows := t.complete(w, known(w.before, n), known(w.after, n), func(k int) bool { return !t.u.b.treated[w.unit[k]] })
	if len(rows) < progress.MinArm {
		return t.without(term, progress.ReliabilityCoefficient, estimate.ErrTooFew)
	}
	_, id := t.units(w, rows)
	x := mat.NewDense(len(rows), 2, nil)
	x.SetCol(0, sums(w.before, rows, n))
	x.SetCol(1, sums(w.after, rows, n))
	res, err := progress.Reliability{Workers: t.s.o.Workers}.Fit(t.s.ctx, &progress.Scores{Unit: id, X: x, Names: []string{"before", "after"}, Raters: true, Level: t.s.spec.Level})
	if err != nil {
		return t.without(term, progress.ReliabilityCoefficient, err)
	}
	on := release.Basis{Single: true, Treated: len(rows), Cohort: release.Arms{Treated: t.u.sizes.Control}, DF: math.Inf(1)}
	notes := res.Notes
	for _, e := range res.Estimates {
		switch e.Term {
		case "icc-2-1", "sem", "sdc":
			t.add(term, e, on, notes...)
			notes = nil
		}
	}
	return nil
}

// anchor is the smallest change of the sum that people themselves call important.
func (t *instrumentRun) anchor(scale Scale, w *answers) error {
	a := t.q.Anchor
	if a == nil || a.Rater != scale.Rater {
		return nil
	}
	n, term := len(scale.Items), "scale="+scale.Name+",mic="
	column := slices.Index(t.q.asked(scale).Items, a.Item)
	rows := t.complete(w, known(w.before, n), known(w.after, n), func(k int) bool { return !math.IsNaN(w.after.At(k, column)) })
	if len(rows) < progress.MinArm {
		return t.without(term+"predictive", progress.ImportantChange, estimate.ErrTooFew)
	}
	unit, id := t.units(w, rows)
	s := &progress.Scores{Unit: id, Level: t.s.spec.Level, Change: sums(w.after, rows, n)}
	on := t.basis(unit)
	on.Events = &release.Arms{}
	for r, before := range sums(w.before, rows, n) {
		s.Change[r] -= before
		better := w.after.At(rows[r], column) >= a.AtLeast
		s.Anchor = append(s.Anchor, better)
		switch {
		case !better:
		case t.u.b.treated[unit[r]]:
			on.Events.Treated++
		default:
			on.Events.Control++
		}
	}
	res, err := progress.Reliability{Workers: t.s.o.Workers}.Fit(t.s.ctx, s)
	if err != nil {
		return t.without(term+"predictive", progress.ImportantChange, err)
	}
	for k, e := range res.Estimates {
		word := term + []string{"predictive", "adjusted"}[k]
		if math.IsNaN(e.Value) {
			t.r.numbers = append(t.r.numbers, refuse(word, e.Measure,
				whyNot(res.Notes),
				table.Note{Code: "fix-mic", Text: "Ask about the change in another way, or at another time, or take the important change from a published study of the same questionnaire."}))
			continue
		}
		t.add(word, e, on)
	}
	return nil
}

// whyNot is the first caveat of a number that does not exist, without its values.
func whyNot(notes []table.Note) table.Note {
	n := notes[0]
	n.Args = nil
	return n
}

// places is how much of the score goes with the place.
func (t *instrumentRun) places(scale Scale, w *answers, rows []int) error {
	if t.q.Places == "" {
		return nil
	}
	term := "scale=" + scale.Name + ",places=icc"
	place, _, err := t.u.b.table.Text(t.q.Places)
	if err != nil {
		return err
	}
	column, err := t.u.b.table.Column(t.q.Places)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(k int) bool { return !column.Has(w.unit[k]) })
	unit, id := t.units(w, rows)
	p := &progress.Placed{Unit: id, Y: sums(w.before, rows, len(scale.Items)), Level: t.s.spec.Level}
	var names []string
	for _, i := range unit {
		names = append(names, place[i])
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		k, _ := slices.BinarySearch(sorted, name)
		p.Place = append(p.Place, k)
	}
	res, err := progress.PlaceShare{}.Fit(t.s.ctx, p)
	if err != nil {
		return t.without(term, progress.ReliabilityCoefficient, err)
	}
	on := t.basis(unit)
	on.DF = float64(len(sorted) - 1)
	t.add(term, res.Estimates[0], on)
	return nil
}

// raters asks of items that two raters answer whether those who are alike otherwise get like answers of both.
func (t *instrumentRun) raters() error {
	x := t.q.RaterDIF
	if x == nil {
		return nil
	}
	type row struct {
		unit  int
		items []float64
	}
	of := make([]map[string]row, 2)
	for g, rater := range x.Raters {
		of[g] = map[string]row{}
		w, err := t.s.questionnaires(t.u.b, &Assessments{Data: t.q.Data, Rater: rater, Items: x.Items, Window: t.q.Window})
		if err != nil {
			return t.without("dif,item="+x.Items[0], survive.ChiSquare, err)
		}
		for _, k := range t.complete(w, known(w.before, len(x.Items))) {
			of[g][t.u.person[w.unit[k]]] = row{w.unit[k], mat.Row(nil, k, w.before)}
		}
	}
	seed := t.s.seedOf("reliability/" + t.name)
	a := &progress.Answers{Names: x.Items, GroupNames: x.Raters, Level: t.s.spec.Level}
	var data []float64
	var unit []int
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(sortedKeys(of[0]), sortedKeys(of[1])...)))) {
		g := int(num.KeyedHash(seed, name) >> 63) // who has answers of both gives those of one, by lot
		if _, has := of[g][name]; !has {
			g = 1 - g
		}
		from := of[g][name]
		a.Unit, a.Group = append(a.Unit, name), append(a.Group, g)
		data, unit = append(data, from.items...), append(unit, from.unit)
	}
	first := "dif,item=" + x.Items[0]
	if len(unit) == 0 {
		return t.without(first, survive.ChiSquare, estimate.ErrTooFew)
	}
	a.X = mat.NewDense(len(unit), len(x.Items), data)
	res, err := progress.DIFLogistic{Workers: t.s.o.Workers}.Fit(t.s.ctx, a)
	if err != nil {
		return t.without(first, survive.ChiSquare, err)
	}
	t.r.notes = append(t.r.notes, res.Notes...)
	items, _ := res.Details["items"].([]progress.DIFItem)
	for _, it := range items {
		n := bare("dif,item="+it.Item, survive.ChiSquare, it.Total)
		n.e.Test = estimate.Test{Stat: it.Total, DF: float64(it.DF), P: it.PBH}
		n.kind, n.basis = "check", t.basis(unit)
		t.r.numbers = append(t.r.numbers, n)
	}
	return nil
}
