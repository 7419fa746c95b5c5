package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// fifthShare is a share of the people in a fifth.
const fifthShare estimate.Measure = "share-of-fifth"

// distanceTerm is a part of the index: everything is about comparison people.
func distanceTerm(part string) string { return "part=" + part + ",group=control" }

// distanceData are comparison people, one row a person, whose outcome is known and who have not reached it at the month on the way.
type distanceData struct {
	sample *progress.DistanceSample
	notes  []table.Note
	all    int // comparison people of the cohort
}

func (s *state) distanceSample(q *Distance, seed uint64) (*distanceData, error) {
	b := s.cohorts[q.Cohort]
	u, err := newProgressUnits(b)
	if err != nil {
		return nil, err
	}
	support, err := countedStates(b.paths.States, q.SelfSupport)
	if err != nil {
		return nil, err
	}
	var answered map[int][]float64
	d := &distanceData{sample: &progress.DistanceSample{Level: s.spec.Level}, all: u.sizes.Control}
	if w := q.Answers; w != nil {
		x, err := s.questionnaires(b, &Assessments{Data: w.Data, Rater: w.Rater, Items: w.Items, After: q.At, Window: w.Window})
		if err != nil {
			return nil, err
		}
		answered = map[int][]float64{}
		has := known(x.after, len(w.Items))
		for k, i := range x.unit {
			if has(k) {
				answered[i] = mat.Row(nil, k, x.after)
			}
		}
	}
	chosen, unknown, there, silent := map[string]int{}, 0, 0, 0
	y := make([]float64, len(u.id))
	for i := range u.id {
		if b.treated[i] {
			continue
		}
		y[i] = stableBy(b.paths, i, support, q.Run, q.Within, math.MaxInt32)
		switch {
		case math.IsNaN(y[i]):
			unknown++
			continue
		case q.At+1 >= q.Run && stableBy(b.paths, i, support, q.Run, q.At+1, math.MaxInt32) == 1: // nothing is left to tell
			there++
			continue
		case answered != nil && answered[i] == nil:
			silent++
			continue
		}
		if o, twice := chosen[u.person[i]]; !twice || keyedBefore(seed, u.id[i], u.id[o]) {
			chosen[u.person[i]] = i
		}
	}
	if unknown > 0 {
		d.notes = append(d.notes, table.Note{Code: "distance-unknown", Text: "Of some people it is not known whether they came to support themselves, and they are left out.", Args: map[string]any{"rows": unknown}})
	}
	if there > 0 {
		d.notes = append(d.notes, table.Note{Code: "distance-there", Text: "Some people had reached self-support by then and are left out: they have no distance.", Args: map[string]any{"people": there}})
	}
	if silent > 0 {
		d.notes = append(d.notes, table.Note{Code: "distance-silent", Text: "Some people did not answer on the way and are left out: the index is about those who did.", Args: map[string]any{"people": silent}})
	}
	var unit []int
	for i := range u.id {
		if o, ok := chosen[u.person[i]]; ok && o == i {
			unit = append(unit, i)
		}
	}
	x := d.sample
	for _, i := range unit {
		x.Unit, x.Y, x.Year = append(x.Unit, u.id[i]), append(x.Y, y[i]), append(x.Year, u.zero[i]/12)
	}
	d.onTheWay(q, b, unit, support, answered)
	if len(x.SNames) == 0 {
		return nil, fmt.Errorf("%w: in no state on the way there are people with and people without the outcome", estimate.ErrTooFew)
	}
	if len(q.Background) > 0 {
		m, err := cohort.Design(b.table.Take(unit), q.Background, cohort.DesignOptions{Workers: s.o.Workers})
		if err != nil {
			return nil, fmt.Errorf("distance: background: %w", err)
		}
		x.X, x.XNames = m.Values, m.Names()
		alike, err := oneLevel(b.table, unit, q.Background)
		if err != nil {
			return nil, err
		}
		d.notes = append(d.notes, alike...)
	}
	return d, nil
}

// onTheWay makes the indicators: the state in the month, the months of self-support until then, and answers. A state that few people with, or
// without, the outcome are in has no column.
func (d *distanceData) onTheWay(q *Distance, b *built, unit []int, support []bool, answered map[int][]float64) {
	x := d.sample
	var columns [][]float64
	for j, name := range b.paths.States {
		col, in := make([]float64, len(unit)), [2]int{}
		for k, i := range unit {
			if int(b.paths.At(i, q.At)) == j {
				col[k] = 1
				in[int(x.Y[k])]++
			}
		}
		if min(in[0], in[1]) >= fewOnStep {
			columns, x.SNames = append(columns, col), append(x.SNames, "state="+name)
		}
	}
	months := make([]float64, len(unit))
	for k, i := range unit {
		for m := range q.At + 1 {
			if c := b.paths.At(i, m); c >= 0 && support[c] {
				months[k]++
			}
		}
	}
	if len(unit) > 0 && slices.Min(months) < slices.Max(months) {
		columns, x.SNames = append(columns, months), append(x.SNames, "months")
	}
	if answered != nil {
		for j, name := range q.Answers.Items {
			col := make([]float64, len(unit))
			for k, i := range unit {
				col[k] = answered[i][j]
			}
			if len(unit) > 0 && slices.Min(col) < slices.Max(col) {
				columns, x.SNames = append(columns, col), append(x.SNames, "item="+name)
			}
		}
	}
	for k := range unit {
		for _, col := range columns {
			x.S = append(x.S, col[k])
		}
	}
}

func (s *state) distance(a *Analysis) (analysisResult, error) {
	q := a.Distance
	r := analysisResult{method: "distance", kind: "description", notes: slices.Clone(s.cohorts[q.Cohort].notes)}
	seed := s.seedOf("distance/" + a.Name)
	d, err := s.distanceSample(q, seed)
	var res *estimate.Result
	if err == nil {
		r.notes = append(r.notes, d.notes...)
		res, err = progress.DistanceIndex{Folds: q.Folds, Seed: seed, Workers: s.o.Workers}.Fit(s.ctx, d.sample)
	}
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return r, err
		}
		r.numbers = []found{refuse(distanceTerm("gain"), progress.AUCDifference, why.why, why.fix)}
		return r, nil
	}
	r.notes = append(r.notes, res.Notes...)
	on := func(n, events int) release.Basis {
		return release.Basis{Single: true, Treated: n, Cohort: release.Arms{Treated: d.all}, Events: &release.Arms{Treated: events}, DF: math.Inf(1)}
	}
	whole := on(res.N.Units, res.N.Events)
	names := map[string]string{"auc,background": "background", "auc,index": "index", "auc,gain": "gain"}
	for _, e := range res.Estimates {
		part := names[e.Term]
		if part == "" {
			part = e.Term
		}
		if part == "drift" && math.IsNaN(e.Value) {
			continue // people of one year
		}
		e.Term = distanceTerm(part)
		n := found{term: e.Term, e: e, basis: whole}
		if part == "gain" {
			r.numbers = append([]found{n}, r.numbers...)
		} else {
			r.numbers = append(r.numbers, n)
		}
	}
	bins, _ := res.Details["quintiles"].([]progress.DistanceBin)
	years, _ := res.Details["years"].([]progress.DistanceYear)
	// All fifths, and all years, or none: with the whole, those that are shown would give the one that is not.
	fewest := func(n int, of func(k int) (people int, observed float64)) release.Basis {
		least := on(math.MaxInt, math.MaxInt/2)
		for k := range n {
			people, share := of(k)
			came := int(math.Round(share * float64(people)))
			if cell := min(came, people-came); cell < least.Events.Treated {
				least = on(people, cell)
			}
		}
		return least
	}
	fifth := fewest(len(bins), func(k int) (int, float64) { return bins[k].Persons, bins[k].Observed })
	for k, b := range bins {
		for _, x := range []struct {
			part  string
			value float64
		}{{"predicted", b.Predicted}, {"observed", b.Observed}} {
			n := bare("fifth="+strconv.Itoa(k+1)+",part="+x.part+",group=control", fifthShare, x.value)
			n.basis = fifth
			n.basis.Treated = b.Persons
			n.basis.Events = &release.Arms{Treated: min(fifth.Events.Treated, b.Persons/2)}
			r.numbers = append(r.numbers, n)
		}
	}
	if len(years) < 2 {
		return r, nil
	}
	yearly := fewest(len(years), func(k int) (int, float64) { return years[k].Persons, years[k].Observed })
	for _, y := range years {
		n := bare("year="+strconv.Itoa(y.Year)+",part=off,group=control", progress.MeanOff, y.Predicted-y.Observed)
		n.basis = yearly
		n.basis.Treated = y.Persons
		n.basis.Events = &release.Arms{Treated: min(yearly.Events.Treated, y.Persons/2)}
		r.numbers = append(r.numbers, n)
	}
	return r, nil
}
