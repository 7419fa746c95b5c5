package study

import (
	"errors"
	"fmt"
	"slices"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/panel"
	"utfall/internal/num"
	"utfall/table"
)

// built is a cohort ready for estimation.
type built struct {
	spec       *Cohort
	before     *table.Table     // eligible units, before the match
	beforeIn   []bool           // treated, of before
	table      *table.Table     // matched units (all eligible ones without a match)
	rows       []int            // of table: the rows of the base, or of what time_zero made
	beforeRows []int            // of before, as rows is of table
	score      []float64        // of before; nil without a match on a score
	full       []float64        // of before: the weight, 0 where left out; nil without a design
	made       *cohort.Built    // by time_zero; nil without it
	paths      *cohort.Paths    // nil until outcomes are open
	censored   *cohort.Censored // weights for later starts, units of table; nil without them
	treated    []bool
	weight     []float64 // of table; nil without a match
	set        []int     // of table, dense from 0; nil without a match
	whole      bool      // sets are pairs, or one participant with some: a set that loses a member is left out
	cluster    []int     // of table, dense from 0: sets that share a person; people without a match; nil where each row is a person
	clusters   int
	attrition  []cohort.Step
	balance    cohort.Balance
	pairs      int
	estimand   string // of the design: att; atm where some participants found no comparison; …
	notes      []table.Note
}

func (s *state) buildCohorts() error {
	for i := range s.spec.Cohorts {
		co := &s.spec.Cohorts[i]
		s.o.report("cohort", co.Name, i, len(s.spec.Cohorts))
		b, err := s.buildCohort(co)
		if err != nil {
			return fmt.Errorf("cohort %s: %w", co.Name, cohortError(err))
		}
		s.cohorts[co.Name] = b
	}
	s.o.report("cohort", "", len(s.spec.Cohorts), len(s.spec.Cohorts))
	return s.pass()
}

// cohortError gives an error of the design its exit code: what the study file asked
// for is a study-file problem, what the data do not hold an input problem.
func cohortError(err error) error {
	if errors.Is(err, cohort.ErrOption) || errors.Is(err, effect.ErrOption) || errors.Is(err, panel.ErrOption) || errors.Is(err, table.ErrNoColumn) || errors.Is(err, table.ErrFilter) {
		return fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if errors.Is(err, ErrSpec) || errors.Is(err, ErrInput) || errors.Is(err, cohort.ErrConstraint) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrInput, err)
}

func (s *state) buildCohort(co *Cohort) (*built, error) {
	b := &built{spec: co}
	units := s.data[co.Base].table
	if co.TimeZero != nil {
		notes, err := s.lintRegister(co)
		if err != nil {
			return nil, err
		}
		made, err := cohort.BuildDesign(s.register(co), co.TimeZero.Timing, co.TimeZero.Drop, s.spec.Seed, s.o.Workers)
		if err != nil {
			return nil, err
		}
		units, b.made, b.attrition, b.notes = made.Table, made, made.Attrition, append(notes, made.Notes...)
	}
	units, rows, err := s.eligible(b, units)
	if err != nil {
		return nil, err
	}
	b.rows, b.beforeRows = rows, rows
	b.before, b.table = units, units
	if graceOf(co) {
		b.beforeIn = make([]bool, units.Rows()) // who starts within the grace period is not known yet
	} else if b.beforeIn, err = marks(units, co.Treatment); err != nil {
		return nil, s.rowAt(co, rows, err)
	}
	b.treated = b.beforeIn
	notes, err := s.lintFlat(co, units)
	if err != nil {
		return nil, err
	}
	b.notes = append(b.notes, notes...)
	if co.Propensity != nil {
		if units, err = s.completeCovariates(b, units); err != nil {
			return nil, err
		}
	}
	switch {
	case co.Match != nil:
		if err := s.match(b, units); err != nil {
			return nil, err
		}
	case co.Weight != nil:
		if err := s.weigh(b, units); err != nil {
			return nil, err
		}
	case co.TimeZero != nil: // the rows of one person
		persons, _, err := b.table.Text(cohort.PersonColumn)
		if err != nil {
			return nil, err
		}
		rows := make([]int, len(persons))
		for i := range rows {
			rows[i] = i
		}
		b.cluster, b.clusters = components(rows, persons)
	}
	return b, cohort.CheckAttrition(b.attrition)
}

// register gives the builder the tables of a cohort.
func (s *state) register(co *Cohort) cohort.Register {
	t := co.TimeZero
	r := cohort.Register{People: s.data[co.Base].table, Spells: s.data[t.Spells].table, Participations: s.data[t.Participations].table, KnownFrom: t.KnownFrom}
	if t.Amounts != "" {
		r.Amounts = s.data[t.Amounts].table
	}
	return r
}

// eligible applies the rules in order, one attrition row each, and gives the rows kept.
func (s *state) eligible(b *built, t *table.Table) (*table.Table, []int, error) {
	var filters []cohort.Filter
	for _, f := range b.spec.Eligibility {
		columns, err := table.FilterColumns(f.Keep)
		if err != nil {
			return nil, nil, fmt.Errorf("eligibility %s: %w", f.Name, err)
		}
		if err := s.spec.afterZero(b.spec, "eligibility "+f.Name, columns); err != nil {
			return nil, nil, err
		}
		if _, err := table.CompileFilter(f.Keep, t.Fields()); err != nil {
			return nil, nil, fmt.Errorf("eligibility %s: %w", f.Name, err)
		}
		filters = append(filters, cohort.Filter{Name: f.Name, Keep: f.Keep})
	}
	treatment := b.spec.Treatment
	if b.grace() {
		treatment = ""
	}
	rows, steps, err := cohort.Apply(t, filters, treatment)
	if err != nil {
		return nil, nil, fmt.Errorf("eligibility: %w", err)
	}
	b.attrition = append(b.attrition, steps...)
	return t.Take(rows), rows, nil
}

// step records an attrition row and takes the kept rows.
func (s *state) step(b *built, name, rule string, t *table.Table, rows, kept []int, missing int) (*table.Table, []int, error) {
	before, err := marks(t, b.spec.Treatment)
	if err != nil {
		return nil, nil, err
	}
	st := cohort.Step{Name: name, Rule: rule, UnitsIn: t.Rows(), UnitsOut: len(kept), Missing: missing}
	for _, m := range before {
		if m {
			st.TreatedIn++
		}
	}
	next := make([]int, len(kept))
	for i, k := range kept {
		if before[k] {
			st.TreatedOut++
		}
		next[i] = rows[k]
	}
	b.attrition = append(b.attrition, st)
	return t.Take(kept), next, nil
}

// completeCovariates leaves out units without a value in a covariate, counted as a step.
func (s *state) completeCovariates(b *built, t *table.Table) (*table.Table, error) {
	missing := make([]bool, t.Rows())
	columns := append(slices.Clone(b.spec.Propensity.Covariates), b.spec.Balance...)
	if b.spec.Match != nil {
		columns = append(columns, b.spec.Match.Exact...)
	}
	if site := b.spec.Propensity.Site; site != "" {
		columns = append(columns, site)
	}
	for _, name := range columns {
		c, err := t.Column(name)
		if err != nil {
			return nil, err
		}
		for i := range missing {
			missing[i] = missing[i] || !c.Has(i)
		}
	}
	var kept, rows []int
	for i, m := range missing {
		rows = append(rows, i)
		if !m {
			kept = append(kept, i)
		}
	}
	if len(kept) == len(missing) {
		return t, nil
	}
	t, rows, err := s.step(b, "covariates-known", "a value in every covariate of the design", t, rows, kept, len(missing)-len(kept))
	if err != nil {
		return nil, err
	}
	b.before, b.table, b.rows = t, t, pickInt(b.rows, rows)
	b.beforeRows = b.rows
	if b.beforeIn, err = marks(t, b.spec.Treatment); err != nil {
		return nil, err
	}
	b.treated = b.beforeIn
	return t, nil
}

// marks reads the treatment column.
func marks(t *table.Table, name string) ([]bool, error) {
	f, err := t.Float(name)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(f.Values))
	for i, v := range f.Values {
		if !f.Has(i) || (v != 0 && v != 1) {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("column %q must be 0 or 1 in every row: declare it required, with min: 0 and max: 1", name)}
		}
		out[i] = v == 1
	}
	return out, nil
}

// rowAt names the line of the cohort's base for a row that an error is about; rows are
// those of the base that the error counts.
func (s *state) rowAt(co *Cohort, rows []int, err error) error {
	var row *estimate.RowError
	if co.TimeZero != nil || !errors.As(err, &row) {
		return err
	}
	return s.rowError(co.Base, &estimate.RowError{Row: rows[row.Row], Err: row.Err})
}

// keepDesigned takes the units with a weight: dense set numbers (nil without sets), and
// clusters of sets, or of units, that share a person.
func (b *built) keepDesigned(t *table.Table, treated []bool, weight []float64, set []int, persons []string) {
	var rows []int
	for i, w := range weight {
		if w > 0 {
			rows = append(rows, i)
		}
	}
	b.full = weight
	b.table, b.rows = t.Take(rows), pickInt(b.rows, rows)
	b.treated, b.weight, b.set = pickBool(treated, rows), make([]float64, len(rows)), nil
	kept, link := make([]string, len(rows)), make([]int, len(rows))
	for k, i := range rows {
		b.weight[k], kept[k], link[k] = weight[i], persons[i], k
	}
	if set != nil {
		b.set = dense(set, rows)
		link = b.set
	}
	b.cluster, b.clusters = components(link, kept)
}

// components numbers the groups of sets that are linked by a person who is in both.
func components(set []int, person []string) (cluster []int, n int) {
	parent := make([]int, 0, len(set))
	for range set {
		parent = append(parent, len(parent))
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	bySet, byPerson := map[int]int{}, map[string]int{}
	link := func(i, j int) {
		if a, c := find(i), find(j); a != c {
			parent[max(a, c)] = min(a, c)
		}
	}
	for i := range set {
		if j, ok := bySet[set[i]]; ok {
			link(i, j)
		} else {
			bySet[set[i]] = i
		}
		if j, ok := byPerson[person[i]]; ok {
			link(i, j)
		} else {
			byPerson[person[i]] = i
		}
	}
	number := map[int]int{}
	cluster = make([]int, len(set))
	for i := range set {
		r := find(i)
		if _, ok := number[r]; !ok {
			number[r] = len(number)
		}
		cluster[i] = number[r]
	}
	return cluster, len(number)
}

func pickInt(v, rows []int) []int {
	out := make([]int, len(rows))
	for k, i := range rows {
		out[k] = v[i]
	}
	return out
}

// seedOf keys a random stage of the run.
func (s *state) seedOf(stage string) uint64 { return num.KeyedHash(s.spec.Seed, stage) }
