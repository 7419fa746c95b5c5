package study

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/study/release"
	"utfall/table"
)

// missingRun is one analysis of missing at work. Rows are all units that are compared.
type missingRun struct {
	s     *state
	m     *Missing
	a     *Analysis
	e     *Effect // the effect that it is of
	b     *built
	rows  []int
	y     []float64
	known []bool
	r     *analysisResult
}

// missing answers each method in turn; a method that finds nothing to do is refused.
func (s *state) missing(a *Analysis) (analysisResult, error) {
	of := s.answered(a.Missing.Of)
	r := analysisResult{method: "missing", kind: "check"}
	x := &missingRun{s: s, m: a.Missing, a: a, e: of.spec.Effect, b: s.cohorts[of.spec.Effect.Cohort], r: &r}
	y, err := x.b.table.Float(x.e.Outcome)
	if err != nil {
		return r, err
	}
	x.y = slices.Clone(y.Values)
	for i := range x.y {
		x.rows, x.known = append(x.rows, i), append(x.known, y.Has(i))
		if !y.Has(i) {
			x.y[i] = 0
		}
	}
	for _, method := range x.m.Methods {
		if err := s.ctx.Err(); err != nil {
			return r, err
		}
		var err error
		switch method {
		case worstCase, leeBounds:
			err = x.bounds(method)
		case indicatorOf:
			err = x.indicator()
		case imputation:
			err = x.imputation()
		case consentWeights:
			err = x.consent()
		}
		if err != nil {
			return r, fmt.Errorf("missing: %s: %w", method, err)
		}
	}
	return r, nil
}

// nothing refuses a method that has no gap to work on.
func (x *missingRun) nothing(term string) {
	x.r.numbers = append(x.r.numbers, refuse(term, estimate.MeanDifference,
		table.Note{Code: "missing-nothing", Text: "Nothing that this way of handling gaps works on is missing."},
		table.Note{Code: "missing-nothing-fix", Text: "Leave it out: the effect above has everybody already."}))
}

// basis counts the rows that a number rests on and, as a cell of its own, those whose
// value it makes up for: the distance between two bounds is their share.
func (x *missingRun) basis(f *estimate.Frame, gone [2]int, df float64) release.Basis {
	out := effectBasis(f)
	out.DF = df
	least := func(n, events, gone int) int {
		cell := n
		if zeroOne(f.Y) {
			cell = min(events, n-events)
		}
		if gone > 0 {
			cell = min(cell, gone)
		}
		return min(cell, n/2) // the smaller of a cell and the rest is then the cell
	}
	var ev release.Arms
	if out.Events != nil {
		ev = *out.Events
	}
	out.Events = &release.Arms{Treated: least(out.Treated, ev.Treated, gone[1]), Control: least(out.Control, ev.Control, gone[0])}
	return out
}

// gone counts the units of each group that ok leaves out.
func (x *missingRun) gone(ok func(i int) bool) (n [2]int) {
	for i, t := range x.b.treated {
		if !ok(i) {
			n[int(indicator(t))]++
		}
	}
	return n
}

// frame is that of some rows for bounds and weights: no covariates, and what is matched or
// the same person as clusters, so that a set need not be complete.
func (x *missingRun) frame(rows []int) (*estimate.Frame, error) {
	y := make([]float64, len(rows))
	for k, i := range rows {
		y[k] = x.y[i]
	}
	f, err := x.s.frameOf(x.b, &Effect{}, rows, y, x.b.weight)
	if err != nil {
		return nil, err
	}
	if f.Cluster == nil && strings.HasPrefix(x.e.Vcov, "cr") {
		f.Cluster = f.Set
	}
	if !strings.HasPrefix(x.e.Vcov, "cr") {
		f.Cluster = nil
	}
	f.Set = nil
	return f, nil
}

// knownOnly is the frame of the rows that are known.
func knownOnly(f *estimate.Frame, known []bool) *estimate.Frame {
	var rows []int
	for i, k := range known {
		if k {
			rows = append(rows, i)
		}
	}
	return subframe(f, rows)
}

// bounds are the worst case or Lee's. Participants whom nobody can follow are rows without
// an outcome; in the worst case so are the people they would be compared with.
func (x *missingRun) bounds(method string) error {
	gone := x.gone(func(i int) bool { return x.known[i] })
	if gone[0]+gone[1] == 0 && x.m.Unlinked == 0 {
		x.nothing(method + "-lower")
		return nil
	}
	f, err := x.frame(x.rows)
	if err != nil {
		return err
	}
	basis := x.basis(knownOnly(f, x.known), gone, float64(len(f.Y)-2))
	known := slices.Clone(x.known)
	if x.m.Unlinked > 0 {
		unlinked(f, &known, true, x.m.Unlinked)
		if method == worstCase {
			unlinked(f, &known, false, x.m.Unlinked)
		}
	}
	var e estimate.Estimator = missing.Lee{Observed: known}
	if method == worstCase {
		low, high := 0.0, 1.0
		if x.m.Range != nil {
			low, high = x.m.Range[0], x.m.Range[1]
		}
		for i, k := range known {
			if k && (f.Y[i] < low || f.Y[i] > high || x.m.Range == nil && f.Y[i] != low && f.Y[i] != high) {
				return fmt.Errorf("%w: range: say how low and how high an outcome can be: some lie outside", ErrSpec)
			}
		}
		e = missing.Manski{Observed: known, Low: low, High: high}
	}
	res, err := e.Fit(x.s.ctx, f)
	if err != nil {
		return err
	}
	for _, n := range res.Estimates {
		n.Term = method + "-" + n.Term
		x.r.numbers = append(x.r.numbers, found{term: n.Term, e: n, basis: basis, notes: x.counted(res.Notes, gone)})
	}
	return nil
}

// unlinked adds rows without an outcome to one group, so that they are the share of its weight.
func unlinked(f *estimate.Frame, known *[]bool, treated bool, share float64) {
	total, people := 0.0, 0
	for i, t := range f.Treated {
		if t == treated {
			people++
			if f.Weight.Values == nil {
				total++
			} else {
				total += f.Weight.Values[i]
			}
		}
	}
	if f.Weight.Values == nil {
		f.Weight.Kind = estimate.Matching
		for range f.Y {
			f.Weight.Values = append(f.Weight.Values, 1)
		}
	}
	odds := share / (1 - share)
	n := max(1, int(math.Round(float64(people)*odds)))
	next := 0
	for _, c := range f.Cluster {
		next = max(next, c+1)
	}
	for k := range n {
		f.Unit, f.Y = append(f.Unit, fmt.Sprintf("unlinked/%t/%d", treated, k)), append(f.Y, 0)
		f.Treated, f.Weight.Values = append(f.Treated, treated), append(f.Weight.Values, total*odds/float64(n))
		*known = append(*known, false)
		if f.Cluster != nil {
			f.Cluster = append(f.Cluster, next+k)
		}
	}
}

// counted replaces a bound's own counts, which know of rows that stand for nobody, by those
// of people.
func (x *missingRun) counted(notes []table.Note, gone [2]int) []table.Note {
	var out []table.Note
	for _, n := range notes {
		if n.Code != "bounds-missing" && n.Code != "lee-missing" {
			out = append(out, n)
		}
	}
	if n := gone[0] + gone[1]; n > 0 {
		out = append(out, table.Note{Code: "missing-outcomes", Text: fmt.Sprintf("%d rows of %d have no outcome", n, len(x.rows)), Args: map[string]any{"rows": n, "all": len(x.rows)}})
	}
	if u := x.m.Unlinked; u > 0 {
		out = append(out, table.Note{Code: "missing-unlinked", Text: fmt.Sprintf("%g per cent of the participants cannot be followed at all, as the study file says", math.Round(100*u)), Args: map[string]any{"percent": math.Round(100 * u)}})
	}
	return out
}
