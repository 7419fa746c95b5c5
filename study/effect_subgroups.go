package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// The terms of subgroups: the effect in one, one less the first, and the joint test.
const (
	subgroupTerm   = "subgroup="
	differenceTerm = "subgroup-difference="
)

// isSubgroup reports whether a number is about a part of the people that another number
// is about: if one of several is withheld, it must not follow from the others.
func isSubgroup(term string) bool { return strings.HasPrefix(term, subgroupTerm) }

// subgroups estimates the effect in each subgroup as in the whole, and tests whether the
// effects are one by the influence functions: people in two subgroups, and clusters that
// subgroups share, count as what they are. main is the effect in the whole.
func (s *state) subgroups(b *built, e *Effect, main found) ([]found, []table.Note, error) {
	var out []found
	var notes []table.Note
	var members []combine.Member
	var bases []release.Basis
	for _, g := range e.Subgroups {
		part := *e
		part.Where, part.Subgroups, part.Measure, part.Quantiles = g.Where, nil, "", nil
		if e.Where != "" {
			part.Where = "(" + e.Where + ") and (" + g.Where + ")"
		}
		rows, more, err := s.effectRows(b, &part)
		if err != nil {
			return nil, nil, fmt.Errorf("subgroup %s: %w", g.Name, err)
		}
		notes = append(notes, more...)
		f, err := s.effectFrame(b, &part, rows)
		if err != nil {
			return nil, nil, fmt.Errorf("subgroup %s: %w", g.Name, err)
		}
		res, err := s.estimator(&part).Fit(s.ctx, f)
		if _, ok := refusable(err); ok {
			out = append(out, refuse(subgroupTerm+g.Name, main.e.Measure,
				table.Note{Code: "subgroup-too-small", Text: "The subgroup has too few people, or too like ones, for the method."},
				table.Note{Code: "subgroup-join", Text: "A wider subgroup, or a method with fewer covariates, would give a number."}))
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("subgroup %s: %w", g.Name, err)
		}
		notes = append(notes, res.Notes...)
		numbers, err := s.effectNumbers(&part, b, f, res)
		if err != nil {
			return nil, nil, fmt.Errorf("subgroup %s: %w", g.Name, err)
		}
		n := numbers[0]
		at := slices.IndexFunc(res.Estimates, func(x estimate.Estimate) bool { return x.Value == n.e.Value && x.Measure == n.e.Measure })
		n.term = subgroupTerm + g.Name
		n.e.Term = n.term
		n.basis.Cohort = release.Arms{Treated: main.basis.Treated, Control: main.basis.Control}
		out, bases = append(out, n), append(bases, n.basis)
		if n.e.SE > 0 {
			members = append(members, combine.Member{Name: g.Name, Estimate: n.e, Influence: mat.Col(nil, at, res.Influence), Group: b.independent(rows, e.Vcov)})
		}
	}
	if len(members) < len(e.Subgroups) {
		out = append(out, refuse(combine.InteractionTerm, combine.ChiSquare,
			table.Note{Code: "interaction-untested", Text: "Whether the subgroups differ is not tested, because one of them has no number."},
			table.Note{Code: "subgroup-join", Text: "A wider subgroup, or a method with fewer covariates, would give a number."}))
		return out, notes, nil
	}
	res, err := combine.Interaction(members, s.spec.Level)
	if errors.Is(err, estimate.ErrNotIdentified) {
		return nil, nil, fmt.Errorf("%w: subgroups: two of them are the same people", ErrSpec)
	}
	if err != nil {
		return nil, nil, err
	}
	// A contrast tells as much as the smallest subgroup: with that one withheld it is, too.
	least := bases[0]
	for _, x := range bases[1:] {
		least.Treated, least.Control = min(least.Treated, x.Treated), min(least.Control, x.Control)
		least.DF = math.Min(least.DF, x.DF)
		if x.Events != nil && least.Events != nil {
			least.Events = smallest(least, x)
		}
	}
	for _, x := range res.Estimates {
		n := found{term: x.Term, e: x, basis: least}
		if x.Term != combine.InteractionTerm {
			n.term = differenceTerm + x.Term
			n.e.Term = n.term
		} else {
			n.notes = []table.Note{{Code: "joint-test", Text: "A joint test is a statistic with a p-value: it has neither standard error nor interval."}}
		}
		out = append(out, n)
	}
	return out, notes, nil
}

// smallest are events such that, among the people of a, the smaller cell of either group is
// that of a or of b, whichever has fewer.
func smallest(a, b release.Basis) *release.Arms {
	cell := func(n, events int) int { return min(events, n-events) }
	return &release.Arms{
		Treated: min(cell(a.Treated, a.Events.Treated), cell(b.Treated, b.Events.Treated)),
		Control: min(cell(a.Control, a.Events.Control), cell(b.Control, b.Events.Control)),
	}
}

// independent names what is independent under the errors: the cluster, the set or the row.
func (b *built) independent(rows []int, vcov string) []string {
	of := b.cluster
	if of == nil {
		of = b.set
	}
	out := make([]string, len(rows))
	for k, i := range rows {
		out[k] = strconv.Itoa(i)
		if strings.HasPrefix(vcov, "cr") && of != nil {
			out[k] = strconv.Itoa(of[i])
		}
	}
	return out
}

// plan leaves out what subgroups are called.
func (e *Effect) plan(a *Analysis) {
	bare := *e
	bare.Subgroups = slices.Clone(e.Subgroups)
	for i := range bare.Subgroups {
		bare.Subgroups[i].Label = nil
	}
	a.Effect = &bare
}

func (e *Effect) label(s *state, a *Analysis, n found) string {
	name := func(key string) string {
		for _, g := range e.Subgroups {
			if g.Name == key {
				return or(g.Label.In(s.spec.Language), s.label(key))
			}
		}
		return s.label(key)
	}
	if key, ok := strings.CutPrefix(n.term, subgroupTerm); ok {
		return capital(name(key))
	}
	if keys, ok := strings.CutPrefix(n.term, differenceTerm); ok {
		first := e.Subgroups[0].Name
		return s.lang.Text("study.term-subgroup-difference", "a", name(strings.TrimSuffix(keys, "-"+first)), "b", name(first))
	}
	if n.term == combine.InteractionTerm {
		if !s.bundle.findings[a.Name+"/"+n.term+"/"+string(n.e.Measure)].Shown {
			return s.lang.Text("study.term-interaction-withheld")
		}
		return s.lang.Text("study.term-interaction", "p", s.lang.PValue(n.e.Test.P))
	}
	if p, ok := termParts(n.term)["quantile"]; ok {
		share, _ := strconv.ParseFloat(p, 64)
		return s.lang.Text("study.term-quantile", "p", s.lang.Number(100*share, 0))
	}
	if isRatio(n.e.Measure) {
		return s.lang.Text("study.term-" + string(n.e.Measure))
	}
	return ""
}

func isRatio(m estimate.Measure) bool { return m == "risk-ratio" || m == "odds-ratio" }

func (e *Effect) unit(_ *Analysis, n found) report.Unit {
	if n.term == combine.InteractionTerm || isRatio(n.e.Measure) {
		return report.Plain
	}
	return ""
}

func (e *Effect) shows(*Analysis, found) bool { return true }
