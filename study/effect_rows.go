package study

import (
	"fmt"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/table"
)

// effectRows selects the rows of an analysis: the subgroup, and complete outcomes. In
// a matched cohort a set stays only if all its members do, so that what is compared
// stays comparable; every set that goes is counted.
func (s *state) effectRows(b *built, e *Effect) ([]int, []table.Note, error) {
	n := b.table.Rows()
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = true
	}
	var notes []table.Note
	drop := func(code, text string, ok func(i int) bool) {
		gone := map[int]bool{}
		rows := 0
		for i := range keep {
			if keep[i] && !ok(i) {
				keep[i] = false
				rows++
				if b.whole {
					gone[b.set[i]] = true
				}
			}
		}
		if b.whole {
			for i := range keep {
				if keep[i] && gone[b.set[i]] {
					keep[i] = false
					rows++
				}
			}
		}
		switch {
		case rows == 0 || code == "":
		case b.whole:
			notes = append(notes, table.Note{Code: code, Text: fmt.Sprintf(text, rows, len(gone)), Args: map[string]any{"rows": rows, "sets": len(gone)}})
		default:
			notes = append(notes, withoutValue(rows))
		}
	}
	if e.Where != "" {
		rule, err := table.CompileFilter(e.Where, b.table.Fields())
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		if err := s.spec.afterZero(b.spec, "where", rule.Columns()); err != nil {
			return nil, nil, err
		}
		in, unknown, err := rule.Apply(b.table)
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		notes = append(notes, subgroupUnknown(unknown)...)
		mixed := 0
		if b.whole {
			side := map[int][2]bool{}
			for i, set := range b.set {
				v := side[set]
				if in[i] {
					v[0] = true
				} else {
					v[1] = true
				}
				side[set] = v
			}
			for _, v := range side {
				if v[0] && v[1] {
					mixed++
				}
			}
		}
		drop("", "", func(i int) bool { return in[i] })
		if mixed > 0 {
			notes = append(notes, table.Note{
				Code: "sets-mixed", Text: fmt.Sprintf("%d matched sets have members inside and outside the subgroup and were left out", mixed),
				Args: map[string]any{"sets": mixed},
			})
		}
	}
	y, err := b.table.Float(e.Outcome)
	if err != nil {
		return nil, nil, err
	}
	if b.censored == nil {
		drop("outcome-missing", "%d rows were left out because an outcome is missing in their matched set (%d sets)", y.Has)
	} else {
		notes = append(notes, dropLost(keep, y.Has)...)
	}
	for _, name := range e.Covariates {
		c, err := b.table.Column(name)
		if err != nil {
			return nil, nil, err
		}
		drop("covariate-missing", "%d rows were left out because a covariate is missing in their matched set (%d sets)", c.Has)
	}
	var rows []int
	for i, k := range keep {
		if k {
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("%w: no row is left: no whole matched set (no row, without a match) of cohort %s has a value of %q and of every covariate within the subgroup", estimate.ErrTooFew, b.spec.Name, e.Outcome)
	}
	alike, err := oneLevel(b.table, rows, e.Covariates)
	return rows, append(notes, alike...), err
}

func withoutValue(rows int) table.Note {
	return table.Note{Code: "rows-without-value", Text: fmt.Sprintf("%d rows have no outcome or lack a covariate and were left out", rows), Args: map[string]any{"rows": rows}}
}

// dropLost leaves out the units alone whose outcome is not known, not their sets: those
// whose follow-up ended when they started are made up for by weights.
func dropLost(keep []bool, has func(i int) bool) []table.Note {
	lost := 0
	for i := range keep {
		if keep[i] && !has(i) {
			keep[i] = false
			lost++
		}
	}
	if lost == 0 {
		return nil
	}
	return []table.Note{{Code: "outcome-lost", Text: fmt.Sprintf("%d rows have no outcome: comparison people whose follow-up ended when they started themselves, for whom weights make up, and people who are not observed that long", lost), Args: map[string]any{"rows": lost}}}
}

// subgroupUnknown counts the rows of which nobody knows whether they are in the subgroup.
func subgroupUnknown(rows int) []table.Note {
	if rows == 0 {
		return nil
	}
	return []table.Note{{Code: "subgroup-unknown", Text: fmt.Sprintf("%d rows without a value that the subgroup needs were not counted in it", rows), Args: map[string]any{"rows": rows}}}
}

// effectFrame resolves the columns of an effect analysis to arrays.
func (s *state) effectFrame(b *built, e *Effect, rows []int) (*estimate.Frame, error) {
	y, err := b.table.Take(rows).Float(e.Outcome)
	if err != nil {
		return nil, err
	}
	weight, err := b.weightsFor(e.Outcome)
	if err != nil {
		return nil, err
	}
	return s.frameOf(b, e, rows, y.Values, weight)
}

// frameOf is the frame of an outcome: y by row of rows, weight by row of the cohort (nil =
// none).
func (s *state) frameOf(b *built, e *Effect, rows []int, y, weight []float64) (*estimate.Frame, error) {
	t := b.table.Take(rows)
	units, _, err := t.Text(b.spec.ID)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: units, Y: y, Treated: pickBool(b.treated, rows), Level: s.spec.Level}
	if weight != nil {
		w := make([]float64, len(rows))
		for k, i := range rows {
			w[k] = weight[i]
		}
		f.Weight = estimate.Weights{Kind: estimate.Matching, Values: w}
	}
	if b.set != nil && b.censored == nil {
		f.Set = dense(b.set, rows)
	}
	if b.cluster != nil {
		f.Cluster = dense(b.cluster, rows)
	}
	if e.adjusts() && e.Method != "g-computation" && f.Set != nil {
		if err := pairsAsClusters(f, e); err != nil {
			return nil, err
		}
	}
	if len(e.Covariates) > 0 {
		x, err := cohort.Design(t, e.Covariates, cohort.DesignOptions{Workers: s.o.Workers})
		if err != nil {
			return nil, err
		}
		f.XNames = x.Names()
		f.X = mat.NewDense(x.Rows, len(x.Columns), x.Values)
	}
	return f, nil
}

// pairsAsClusters makes of a matched cohort what a method can use that models who takes
// part: people in pairs, each weighing 1, that belong together.
func pairsAsClusters(f *estimate.Frame, e *Effect) error {
	for _, w := range f.Weight.Values {
		if w != 1 {
			return fmt.Errorf("%w: the method %s in a matched cohort needs pairs, and people weigh differently here: use g-computation or regression", ErrSpec, e.Method)
		}
	}
	f.Weight = estimate.Weights{}
	if f.Cluster == nil && strings.HasPrefix(e.Vcov, "cr") {
		f.Cluster = f.Set
	}
	f.Set = nil
	return nil
}

// weightsFor are the weights of the design for an outcome; nil without any.
func (b *built) weightsFor(outcome string) ([]float64, error) {
	if b.censored == nil {
		return b.weight, nil
	}
	for _, o := range b.spec.TimeZero.Outcomes {
		if o.Name != outcome {
			continue
		}
		out, err := b.censored.For(o)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if b.weight != nil {
				out[i] *= b.weight[i]
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: %q is not an outcome of time_zero: with later: censor there are weights for those alone", ErrSpec, outcome)
}

func pickBool(v []bool, rows []int) []bool {
	out := make([]bool, len(rows))
	for k, i := range rows {
		out[k] = v[i]
	}
	return out
}

// dense renumbers the values of the rows from 0 in order of appearance.
func dense(v, rows []int) []int {
	number := map[int]int{}
	out := make([]int, len(rows))
	for k, i := range rows {
		if _, ok := number[v[i]]; !ok {
			number[v[i]] = len(number)
		}
		out[k] = number[v[i]]
	}
	return out
}
