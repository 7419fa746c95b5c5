package study

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// Displacement is what a measure does to those who take part and to those who do not, by
// how many take part where they live.
type Displacement struct {
	Cohort     string    `yaml:"cohort,omitempty"`
	Outcome    string    `yaml:"outcome,omitempty"`
	Place      string    `yaml:"place,omitempty"`     // column: where a person lives
	Intensity  string    `yaml:"intensity,omitempty"` // column: how many take part there; the share among the rows of the place if absent
	Borders    []float64 `yaml:"borders,omitempty"`   // of levels of intensity
	Covariates []string  `yaml:"covariates,omitempty"`
	Where      string    `yaml:"where,omitempty"`
}

var (
	_ question  = (*Displacement)(nil)
	_ namer     = (*Displacement)(nil)
	_ sentencer = (*Displacement)(nil)
)

func (q *Displacement) defaults(*Spec, *Analysis) {}

func (q *Displacement) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.cohortRef(c, at(path, "cohort"), q.Cohort)
	for _, x := range []struct{ key, column string }{{"outcome", q.Outcome}, {"place", q.Place}} {
		if x.column == "" {
			c.add(path, "displacement: %s: name the column", x.key)
		}
	}
	last := 0.0
	for i, b := range q.Borders {
		if !(b > last) || math.IsInf(b, 1) {
			c.add(at(path, "borders", i), "displacement: borders ascend and are above 0")
		}
		last = b
	}
	if co == nil {
		return
	}
	if co.Match != nil || co.Weight != nil {
		c.add(at(path, "cohort"), "displacement: cohort %q has match or weight, which choose who the others are; name a cohort without, and covariates", q.Cohort)
	}
	s.checkSteady(c, path, a, q.Cohort)
	for _, name := range append([]string{q.Place, q.Intensity}, q.Covariates...) {
		if why := s.whyLate(co, name, false); why != "" && name != "" {
			c.add(path, why, "displacement", name)
		} else if name == q.Outcome && name != "" {
			c.add(path, "displacement: %q is the outcome", name)
		}
	}
}

func (q *Displacement) rests() basis {
	return basis{cohort: q.Cohort, outcomes: []string{q.Outcome}}
}

// effect is the question's rows and covariates, as an effect names them.
func (q *Displacement) effect(covariates ...string) *Effect {
	return &Effect{Cohort: q.Cohort, Outcome: q.Outcome, Covariates: append(covariates, q.Covariates...), Where: q.Where}
}

// rows are those with an outcome, a place and all else that is needed.
func (q *Displacement) rows(s *state) ([]int, []table.Note, error) {
	needed := []string{q.Place}
	if q.Intensity != "" {
		needed = append(needed, q.Intensity)
	}
	return s.effectRows(s.cohorts[q.Cohort], q.effect(needed...))
}

func (q *Displacement) dry(s *state, _ *Analysis) error {
	rows, _, err := q.rows(s)
	if err == nil {
		_, err = s.effectFrame(s.cohorts[q.Cohort], q.effect(), rows)
	}
	return err
}

func (q *Displacement) estimate(s *state, _ *Analysis) (analysisResult, error) {
	b := s.cohorts[q.Cohort]
	r := analysisResult{method: "displacement", kind: "association"}
	if b.designed() || b.censored != nil { // as for effect: covariates in a regression do not make it one
		r.kind = "effect"
	}
	rows, notes, err := q.rows(s)
	if err != nil {
		return r, err
	}
	f, err := s.effectFrame(b, q.effect(), rows)
	if err != nil {
		return r, err
	}
	place, _, err := b.table.Take(rows).Text(q.Place)
	if err != nil {
		return r, err
	}
	f.Cluster = codesOf(place)
	intensity, err := q.intensities(b.table.Take(rows), f.Cluster, f.Treated)
	if err != nil {
		return r, err
	}
	res, err := panel.Displacement{Borders: q.Borders, Workers: s.o.Workers}.Fit(s.ctx, f, intensity)
	if err != nil {
		return r, unnumbered(b.spec.Base, err)
	}
	r.notes = append(append(notes, b.notes...), res.Notes...)
	groups := q.groups(f.Y, f.Treated, intensity)
	if len(q.Borders) > 0 && groups.thin(s.policy) {
		// With the others and the whole, the level that is too thin would follow.
		r.numbers = []found{refuse("non-participants", res.Estimates[0].Measure,
			table.Note{Code: "displacement-thin", Text: "A level of intensity has too few participants, or too few others, to be shown; with the other levels and the whole it would be known."},
			table.Note{Code: "displacement-thin-fix", Text: "Choose borders with more people on each side."})}
		return r, nil
	}
	for k := len(q.Borders); k >= 0; k-- { // where most take part first: it is what is asked about
		border := append([]float64{0}, q.Borders...)[k]
		for _, kind := range []string{"non-participants", "participants", "within", "net"} {
			term := fmt.Sprintf("%s,above=%v", kind, border)
			for _, e := range res.Estimates {
				if e.Term == term {
					r.numbers = append(r.numbers, found{term: term, e: e, basis: groups.basis(k, kind, e.Test.DF)})
				}
			}
		}
	}
	return r, nil
}

// codesOf numbers texts in the order of their first appearance.
func codesOf(names []string) []int {
	number := map[string]int{}
	out := make([]int, len(names))
	for i, n := range names {
		if _, ok := number[n]; !ok {
			number[n] = len(number)
		}
		out[i] = number[n]
	}
	return out
}

// intensities are how many take part where each row lives.
func (q *Displacement) intensities(t *table.Table, place []int, treated []bool) ([]float64, error) {
	if q.Intensity != "" {
		v, err := t.Float(q.Intensity)
		return v.Values, err
	}
	part, all := map[int]float64{}, map[int]float64{}
	for i, p := range place {
		all[p]++
		part[p] += indicator(treated[i])
	}
	out := make([]float64, len(place))
	for i, p := range place {
		out[i] = part[p] / all[p]
	}
	return out, nil
}

// exposedGroup counts people and, of a 0/1 outcome, those with a 1.
type exposedGroup struct{ n, events int }

// displacementGroups are the people of each level of intensity, and of places without.
type displacementGroups struct {
	part, others []exposedGroup // by level
	without      exposedGroup
	binary       bool
}

func (q *Displacement) groups(y []float64, treated []bool, intensity []float64) *displacementGroups {
	g := &displacementGroups{part: make([]exposedGroup, len(q.Borders)+1), others: make([]exposedGroup, len(q.Borders)+1), binary: zeroOne(y)}
	for i, v := range intensity {
		at := &g.without
		if v > 0 {
			k := 0
			for k < len(q.Borders) && v > q.Borders[k] {
				k++
			}
			at = &g.others[k]
			if treated[i] {
				at = &g.part[k]
			}
		}
		at.n++
		at.events += int(indicator(y[i] == 1))
	}
	return g
}

// thin reports whether a level has a group below the threshold.
func (g *displacementGroups) thin(p release.Policy) bool {
	for k := range g.part {
		if min(g.part[k].n, g.others[k].n) < p.Threshold() {
			return true
		}
	}
	return false
}

// basis is what a number of a level rests on: within and net on the thinner of both
// groups, because with one of them they give the other.
func (g *displacementGroups) basis(k int, kind string, df float64) release.Basis {
	one, other := g.others[k], g.without
	switch kind {
	case "participants":
		one = g.part[k]
	case "within":
		one, other = g.part[k], g.others[k]
	case "net":
		if g.binary && min(g.part[k].events, g.part[k].n-g.part[k].events) < min(one.events, one.n-one.events) || !g.binary && g.part[k].n < one.n {
			one = g.part[k]
		}
	}
	b := release.Basis{Treated: one.n, Control: other.n, DF: df}
	if g.binary {
		b.Events = &release.Arms{Treated: one.events, Control: other.events}
	}
	return b
}

func (q *Displacement) words(*state, *analysisResult) (estimand, errors, also string) {
	return "displacement", "displacement", ""
}

func (q *Displacement) label(s *state, _ *Analysis, n found) string {
	kind, _, _ := strings.Cut(n.term, ",")
	level := ""
	if len(q.Borders) > 0 {
		key, args := "study.displacement-level", []any{"above", s.border(termParts(n.term)["above"])}
		if q.Intensity != "" {
			key, args = "study.displacement-intensity", append(args, "name", strings.ToLower(s.label(q.Intensity)))
		}
		level = s.lang.Text(key, args...)
	}
	return s.lang.Text("study.displacement-"+kind, "level", level)
}

// border writes a border as the study file has it.
func (s *state) border(text string) string {
	v, _ := strconv.ParseFloat(text, 64)
	_, decimals, _ := strings.Cut(text, ".")
	return s.lang.Number(v, len(decimals))
}

func (q *Displacement) unit(*Analysis, found) report.Unit { return "" }

func (q *Displacement) shows(*Analysis, found) bool { return true }

// say puts what became of the others into words; participants are in the rows.
func (q *Displacement) say(s *state, r *analysisResult) []string {
	n := r.numbers[0]
	re := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
	lo, hi := re.Number.CI.Lo, re.Number.CI.Hi
	if n.not != nil || !re.Shown || math.IsNaN(lo) || math.IsNaN(hi) {
		return nil
	}
	key := "study.displacement-say-unclear"
	switch {
	case hi < 0:
		key = "study.displacement-say-lower"
	case lo > 0:
		key = "study.displacement-say-higher"
	}
	size := func(v float64) string { return s.amount(r.spec, v) }
	return []string{s.lang.Text(key, "value", size(math.Abs(re.Number.Value)), "lo", size(lo), "hi", size(hi))}
}

// unnumbered is an error without the number of its row: rows were left out, so that it is
// not that of the file.
func unnumbered(data string, err error) error {
	var row *estimate.RowError
	if errors.As(err, &row) {
		err = row.Err
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("data %s: %w", data, err)
}

func (q *Displacement) chief(_ *state, a *Analysis) (method, term string, m estimate.Measure) {
	return "displacement", "non-participants", differenceIn(a)
}
