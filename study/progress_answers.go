package study

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// waves are the answers as the library reads them. Clusters are used in the analysis of plausible values.
func (w *answers) waves(u *progressUnits, q *Assessments, level float64) *progress.Waves {
	out := &progress.Waves{Names: q.Items, Before: w.before, After: w.after, Level: level}
	for _, i := range w.unit {
		out.Unit, out.Treated = append(out.Unit, u.id[i]), append(out.Treated, u.b.treated[i])
	}
	return out
}

// arms counts those who answered at the start, or of them those marked.
func (w *answers) arms(u *progressUnits, only []bool) release.Arms {
	var n release.Arms
	for k, i := range w.unit {
		switch {
		case only != nil && !only[k]:
		case u.b.treated[i]:
			n.Treated++
		default:
			n.Control++
		}
	}
	return n
}

func pickFloat(v []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for k, i := range rows {
		out[k] = v[i]
	}
	return out
}

// questionnaires finds for each unit the answers nearest to its start and to the later wave.
func (s *state) questionnaires(b *built, q *Assessments) (*answers, error) {
	t := s.data[q.Data].table
	person, _, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	date, err := t.Integer("date")
	if err != nil {
		return nil, err
	}
	item, err := t.Category("item")
	if err != nil {
		return nil, err
	}
	rater, err := t.Category("rater")
	if err != nil {
		return nil, err
	}
	value, err := t.Float("value")
	if err != nil {
		return nil, err
	}
	question := make([]int, len(item.Levels))
	for k, name := range item.Levels {
		question[k] = slices.Index(q.Items, name)
	}
	persons, _, err := b.table.Text(cohort.PersonColumn)
	if err != nil {
		return nil, err
	}
	zero, err := b.table.Integer(cohort.ZeroColumn)
	if err != nil {
		return nil, err
	}
	of := map[string][]int{}
	for i, p := range persons {
		of[p] = append(of[p], i)
	}
	w := &answers{}
	type wave struct{ off, month int }
	const none = math.MaxInt32
	best := make([][2]wave, len(persons))
	for i := range best {
		best[i] = [2]wave{{off: none}, {off: none}}
	}
	unrated, used := 0, 0
	// wavesOf visits the units and waves that a row may belong to.
	each := func(row int, visit func(unit, wave, off, month int)) {
		if !item.Has(row) || question[item.Codes[row]] < 0 || !value.Has(row) || !date.Has(row) {
			return
		}
		month := int(cohort.MonthOfDays(int32(date.Values[row])))
		for _, i := range of[person[row]] {
			for k, target := range []int{0, q.After} {
				if off := month - int(zero.Values[i]) - target; off >= -q.Window && off <= q.Window {
					visit(i, k, max(off, -off), month)
				}
			}
		}
	}
	mine := func(row int) bool { return rater.Has(row) && rater.Levels[rater.Codes[row]] == q.Rater }
	for row := range person {
		if !rater.Has(row) {
			each(row, func(int, int, int, int) { unrated++ })
			continue
		}
		if !mine(row) {
			continue
		}
		each(row, func(i, k, off, month int) {
			used++
			if x := best[i][k]; off < x.off || off == x.off && month < x.month {
				best[i][k] = wave{off, month}
			}
		})
	}
	if used == 0 {
		return nil, fmt.Errorf("%w: assessments: nobody of the cohort was asked these questions within %d months of the start by this rater", estimate.ErrTooFew, q.Window)
	}
	if err := oneVersion(t, question, item, mine); err != nil {
		return nil, err
	}
	place := make([]int, len(persons))
	for i := range persons {
		place[i] = -1
		if best[i][0].off < none {
			place[i] = len(w.unit)
			w.unit = append(w.unit, i)
			w.again = append(w.again, best[i][1].off < none)
		}
	}
	if len(w.unit) == 0 {
		return nil, fmt.Errorf("%w: assessments: nobody of the cohort answered within %d months of the start", estimate.ErrTooFew, q.Window)
	}
	w.before, w.after = missingAnswers(len(w.unit), len(q.Items)), missingAnswers(len(w.unit), len(q.Items))
	for row := range person {
		if !mine(row) {
			continue
		}
		each(row, func(i, k, _, month int) {
			if place[i] >= 0 && best[i][k].month == month && best[i][k].off < none {
				[]*mat.Dense{w.before, w.after}[k].Set(place[i], question[item.Codes[row]], value.Values[row])
			}
		})
	}
	if unrated > 0 {
		w.notes = append(w.notes, table.Note{Code: "rater-missing", Text: fmt.Sprintf("%d answers do not say whose they are and were left out", unrated), Args: map[string]any{"rows": unrated}})
	}
	return w, nil
}

func missingAnswers(n, items int) *mat.Dense {
	x := mat.NewDense(n, items, nil)
	for i := range n {
		for j := range items {
			x.Set(i, j, math.NaN())
		}
	}
	return x
}

// oneVersion refuses answers to several versions of an instrument: a link between them would
// have to be made first.
func oneVersion(t *table.Table, question []int, item table.Categories, mine func(row int) bool) error {
	for _, name := range []string{"instrument", "version"} {
		if !t.Has(name) {
			continue
		}
		at, _, err := t.TextAt(name)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for row := range item.Codes {
			if item.Has(row) && question[item.Codes[row]] >= 0 && mine(row) {
				seen[at(row)] = true
			}
		}
		if len(seen) > 1 {
			return fmt.Errorf("%w: assessments: the answers come from %d values of the column %q: answers to different versions cannot be compared without a link; read one version, or link them first", ErrInput, len(seen), name)
		}
	}
	return nil
}
