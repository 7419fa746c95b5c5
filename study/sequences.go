package study

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// sequenceRows are people who are seen in every month, with their months.
type sequenceRows struct {
	rows   []int // of the cohort
	months *progress.Months
	notes  []table.Note
}

// sequenceMonths finds those who are seen in all months, whole sets where sets belong together.
func (s *state) sequenceMonths(b *built, q *Sequences) (*sequenceRows, error) {
	if err := checkMerge(b.paths.States, &States{Merge: q.Merge}); err != nil {
		return nil, err
	}
	out := &sequenceRows{}
	var gone int
	out.rows, gone = b.complete(func(i int) bool {
		for m := 0; m <= q.To; m++ {
			if b.paths.At(i, m) < 0 {
				return false
			}
		}
		return true
	})
	if gone > 0 {
		out.notes = append(out.notes, table.Note{Code: "not-seen-throughout", Args: map[string]any{"rows": gone},
			Text: fmt.Sprintf("%d rows are left out because somebody in them, or in their matched set, is not seen in every month or lacks a covariate.", gone)})
	}
	u, err := newProgressUnits(b)
	if err != nil {
		return nil, err
	}
	states, code := mergeStates(b.paths.States, q.Merge)
	m := &progress.Months{Persons: progress.Persons{Level: s.spec.Level}, States: states, Length: q.To + 1}
	for _, i := range out.rows {
		m.Unit, m.Treated = append(m.Unit, u.id[i]), append(m.Treated, b.treated[i])
		for k := range m.Length {
			m.Code = append(m.Code, int8(code[b.paths.At(i, k)]))
		}
	}
	out.months = m
	return out, nil
}

// sequences describes months one after the other: means by group, and how much of the distances goes with the group.
func (s *state) sequences(a *Analysis) (analysisResult, error) {
	q, b := a.Sequences, s.cohorts[a.Sequences.Cohort]
	r := analysisResult{method: "sequences", kind: "description", notes: slices.Clone(b.notes)}
	d, err := s.sequenceMonths(b, q)
	if err != nil {
		return r, err
	}
	r.notes = append(append(r.notes, d.notes...), table.Note{Code: "sequences-no-direction",
		Text: "Entropy, turbulence and complexity have no direction: who climbs and who falls score the same, and who is parked scores least."})
	all := arms(d.months.Treated)
	if min(all.Treated, all.Control) < progress.MinArm {
		why, _ := refusable(estimate.ErrTooFew)
		r.numbers = []found{refuse("discrepancy", discrepancyR2, why.why, why.fix)}
		return r, nil
	}
	if err := s.discrepancy(&r, a, d); err != nil {
		return r, err
	}
	rows, err := progress.DescribeSequences(d.months)
	if err != nil {
		return r, fmt.Errorf("sequences: %w", err)
	}
	e := &Effect{Cohort: q.Cohort, Method: "difference", Vcov: "cr1"}
	for _, name := range sequenceMeasures() {
		y := make([]float64, len(rows))
		for k, row := range rows {
			y[k] = sequenceMeasure(row, name)
		}
		f, err := s.frameOf(b, e, d.rows, y, b.weight)
		if err != nil {
			return r, err
		}
		res, err := s.estimator(e).Fit(s.ctx, f)
		if err != nil {
			if why, ok := refusable(err); ok {
				r.numbers = append(r.numbers, refuse(name, estimate.MeanDifference, why.why, why.fix))
				continue
			}
			return r, err
		}
		x := res.Estimates[0]
		x.Term, x.Measure = name, estimate.MeanDifference // also where everybody has 0 or 1
		r.numbers = append(r.numbers, found{term: name, e: x, basis: release.Basis{Treated: all.Treated, Control: all.Control, DF: x.Test.DF}})
		for g, n := range []int{all.Control, all.Treated} {
			term, v := name+",group="+[]string{"control", "treated"}[g], groupMean(f, g == 1)
			shown, _ := s.policy.Mean(a.Name+"/"+term, v, n) // as all means of groups; withheld below where few are in it
			if x, ok := shown.Value.Float(); ok {
				v = x
			}
			mean := bare(term, estimate.Mean, v)
			mean.basis = release.Basis{Single: true, Treated: n, DF: math.Inf(1)}
			r.numbers = append(r.numbers, mean)
		}
	}
	return r, nil
}

func groupMean(f *estimate.Frame, treated bool) float64 {
	var y, w []float64
	for i, in := range f.Treated {
		if in != treated {
			continue
		}
		v := 1.0
		if f.Weight.Values != nil {
			v = f.Weight.Values[i]
		}
		y, w = append(y, f.Y[i]*v), append(w, v)
	}
	return num.Sum(y) / num.Sum(w)
}

// discrepancy is the share of the distances between people that goes with the group.
func (s *state) discrepancy(r *analysisResult, a *Analysis, d *sequenceRows) error {
	q, b := a.Sequences, s.cohorts[a.Sequences.Cohort]
	if !evenWeights(b) {
		not := weightsDiffer()
		r.numbers = append(r.numbers, refuse("discrepancy", discrepancyR2, not.why, not.fix))
		return nil
	}
	chosen := s.sequenceSample(b, d, q.People, s.seedOf("sequences/"+a.Name))
	if len(chosen) < len(d.rows) {
		r.notes = append(r.notes, table.Note{Code: "distances-of-some", Args: map[string]any{"people": len(chosen)},
			Text: fmt.Sprintf("Distances are between %d people, drawn by lot.", len(chosen))})
	}
	distance, err := progress.SequenceDistances(d.months, progress.SequenceMetric(q.Distance), chosen, s.o.Workers)
	if err != nil {
		return fmt.Errorf("sequences: %w", err)
	}
	group, unit, treated := make([]int, len(chosen)), make([]string, len(chosen)), make([]bool, len(chosen))
	var block []int
	permutations := q.Permutations
	seen := map[int]bool{}
	for k, i := range chosen {
		unit[k], treated[k] = d.months.Unit[i], d.months.Treated[i]
		if treated[k] {
			group[k] = 1
		}
		switch row := d.rows[i]; {
		case b.whole:
			block = append(block, b.set[row])
		case b.cluster != nil && seen[b.cluster[row]]:
			permutations = 0
		case b.cluster != nil:
			seen[b.cluster[row]] = true
		}
	}
	found, err := progress.Discrepancies(distance, group, unit, block, permutations, s.seedOf("discrepancy/"+a.Name), s.o.Workers)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		r.numbers = append(r.numbers, refuse("discrepancy", discrepancyR2, why.why, why.fix))
		return nil
	}
	n, size := bare("discrepancy", discrepancyR2, found.R2), arms(treated)
	n.e.Test = estimate.Test{Stat: found.F, DF: math.NaN(), P: found.P}
	n.basis = release.Basis{Treated: size.Treated, Control: size.Control, Cohort: arms(b.treated), DF: math.Inf(1)}
	if permutations == 0 {
		n.notes = append(n.notes, table.Note{Code: "no-permutation", Text: "Some people have several rows, which labels cannot be exchanged between: no p-value."})
	}
	r.numbers = append(r.numbers, n)
	return nil
}

// sequenceSample draws people by the keyed hash of their rows, whole sets where sets belong together, and gives their places
// in d in order.
func (s *state) sequenceSample(b *built, d *sequenceRows, most int, seed uint64) []int {
	members := map[int][]int{}
	first := map[int]string{}
	for k, row := range d.rows {
		set := k
		if b.whole {
			set = b.set[row]
		}
		members[set] = append(members[set], k)
		if id := d.months.Unit[k]; first[set] == "" || id < first[set] {
			first[set] = id
		}
	}
	sets := make([]int, 0, len(members))
	for set := range members {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(x, y int) int {
		return cmp.Or(cmp.Compare(num.KeyedHash(seed, first[x]), num.KeyedHash(seed, first[y])), cmp.Compare(first[x], first[y]))
	})
	var out []int
	for _, set := range sets {
		if len(out)+len(members[set]) > most {
			break
		}
		out = append(out, members[set]...)
	}
	slices.Sort(out)
	return out
}
