package study

import (
	"fmt"

	"utfall/cohort"
	"utfall/table"
)

// match chooses comparison people among the eligible units, and leaves the balance
// before and after.
func (s *state) match(b *built, t *table.Table) error {
	co := b.spec
	spec := *co.Match
	d := cohort.Spec{Treatment: co.Treatment, ID: co.ID, Covariates: co.Propensity.Covariates, Workers: s.o.Workers}
	if fit, err := s.otherScore(co, t, d); err != nil {
		return err
	} else if fit != nil {
		b.notes = append(b.notes, fit.Notes...)
		values := fit.Score
		if spec.Distance == cohort.LinearLogitDistance {
			values = fit.Linear
		}
		if spec.Distance == cohort.LogitDistance || spec.Distance == cohort.LinearLogitDistance {
			spec.Distance = "" // the column is the distance
		}
		if t, err = t.With(table.NewFloat(table.Field{Name: scoreColumn}, values, nil)); err != nil {
			return err
		}
		d.Score = scoreColumn
	}
	design, err := spec.Matcher()
	if err != nil {
		return err
	}
	if e, ok := design.(interface {
		MemoryEstimate(*table.Table, cohort.Spec) (int64, error)
	}); ok && s.o.Large != nil {
		if n, err := e.MemoryEstimate(t, d); err == nil { // else Match says what is wrong
			s.o.Large(t.Rows(), n)
		}
	}
	m, err := design.Match(s.ctx, t, d)
	if err != nil {
		return err
	}
	t = t.Without(scoreColumn)
	b.notes, b.score = append(b.notes, m.Notes...), m.Score
	persons, _, err := t.Text(personColumn(t, co))
	if err != nil {
		return err
	}
	b.whole = spec.Method == cohort.NearestMethod || spec.Method == cohort.OptimalMethod || spec.PairWithin
	pairs, gone := m.Pairs, 0
	if b.whole {
		pairs, gone = withoutSelf(m, persons)
	}
	weight, set := m.Weight, m.Set
	if gone > 0 {
		weight = weightsOf(m, pairs)
	}
	if m.Replaced {
		set = pairSets(pairs, t.Rows())
	}
	if gone > 0 {
		b.notes = append(b.notes, table.Note{
			Code: "matched-with-self", Text: fmt.Sprintf("%d participants were matched with their own earlier time as comparison person; these sets were left out", gone),
			Args: map[string]any{"sets": gone},
		})
	}
	if !b.whole && spec.Method != cohort.FullMethod {
		set = nil // cells and classes are strata of people, not groups that stand or fall together
	}
	b.keepDesigned(t, b.beforeIn, weight, set, persons)
	b.pairs, b.estimand = len(pairs), m.Estimand
	if err := b.step("matched", matchRule(co), t); err != nil {
		return err
	}
	if err := verifyWritten(m, b.beforeIn, pairs, weight, spec.Estimand); err != nil {
		return err
	}
	b.balance, err = s.balanceOf(b, t, m.Score, pairs, weight)
	return err
}

// verifyWritten checks the weights against the sets, or the pairs, that are left when those
// that hold a person twice are gone: [cohort.Matcher] checked what it gave itself.
func verifyWritten(m *cohort.Matched, treated []bool, pairs [][2]int, weight []float64, aim string) error {
	left := *m
	left.Pairs, left.Weight, left.Set = pairs, weight, make([]int, len(m.Set))
	for i, s := range m.Set {
		if weight[i] > 0 {
			left.Set[i] = s
		}
	}
	return left.VerifyWritten(treated, aim)
}

// scoreColumn holds the scores of a model that matching does not fit itself.
const scoreColumn = "utfall_score"

// otherScore fits the propensity model where it is another than the logit that matching
// fits itself; nil where it is that one.
func (s *state) otherScore(co *Cohort, t *table.Table, d cohort.Spec) (*cohort.PropensityFit, error) {
	p := co.Propensity
	if (p.Model == "" || p.Model == cohort.LogitModel) && p.Link == "logit" && !p.CrossFit {
		return nil, nil
	}
	return p.Fit(s.ctx, t, d)
}

// weigh gives the eligible units weights that make the groups alike.
func (s *state) weigh(b *built, t *table.Table) error {
	co := b.spec
	spec := *co.Weight
	d := cohort.Spec{Treatment: co.Treatment, ID: co.ID, Covariates: co.Propensity.Covariates, Workers: s.o.Workers}
	if spec.Method != cohort.EntropyMethod && spec.Method != cohort.CBPSMethod || spec.Trim != nil {
		spec.Propensity = co.Propensity
	}
	w, err := spec.Weigh(s.ctx, t, d)
	if err != nil {
		return err
	}
	b.notes, b.score = append(b.notes, w.Notes...), w.Score
	persons, _, err := t.Text(personColumn(t, co))
	if err != nil {
		return err
	}
	b.keepDesigned(t, b.beforeIn, w.Weight, nil, persons)
	b.estimand = w.Estimand
	if err := b.step("weighted", "weights by "+spec.Method+" for "+w.Estimand, t); err != nil {
		return err
	}
	b.balance, err = s.balanceOf(b, t, w.Score, nil, w.Weight)
	return err
}

// step records who is left after the design.
func (b *built) step(name, rule string, t *table.Table) error {
	st := cohort.Step{Name: name, Rule: rule, UnitsIn: t.Rows(), UnitsOut: b.table.Rows(), TreatedIn: arms(b.beforeIn).Treated, TreatedOut: arms(b.treated).Treated}
	b.attrition = append(b.attrition, st)
	if st.TreatedOut == 0 {
		return fmt.Errorf("%w: no participant found a comparison person", cohort.ErrNoSupport)
	}
	return nil
}

// personColumn is the column that says which units are one person.
func personColumn(t *table.Table, co *Cohort) string {
	if co.TimeZero != nil && t.Has(cohort.PersonColumn) {
		return cohort.PersonColumn
	}
	return co.ID
}

// pairSets numbers sets for matching with replacement: units linked by any pair are
// one set, so that errors are clustered on everything that shares a control.
func pairSets(pairs [][2]int, n int) []int {
	parent := make([]int, n)
	for i := range parent {
		parent[i] = i
	}
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	for _, p := range pairs {
		if a, c := find(p[0]), find(p[1]); a != c {
			parent[max(a, c)] = min(a, c)
		}
	}
	set := make([]int, n)
	for i := range set {
		set[i] = find(i) + 1
	}
	return set
}

// withoutSelf leaves out the sets that hold a person twice (all pairs of the participant
// served), and counts them.
func withoutSelf(m *cohort.Matched, persons []string) (pairs [][2]int, sets int) {
	gone := map[int]bool{}
	for _, p := range m.Pairs {
		if persons[p[0]] == persons[p[1]] {
			gone[p[0]] = true
		}
	}
	if len(gone) == 0 {
		return m.Pairs, 0
	}
	for _, p := range m.Pairs {
		if !gone[p[0]] {
			pairs = append(pairs, p)
		}
	}
	return pairs, len(gone)
}

// weightsOf gives the weights of the sets that pairs are: 1 for a participant, and for a
// comparison unit the sum over its sets of one over their size, times one factor that
// makes these add up to the number of comparison units, as [cohort.Matched] has it.
func weightsOf(m *cohort.Matched, pairs [][2]int) []float64 {
	weight, size := make([]float64, len(m.Weight)), map[int]int{}
	for _, p := range pairs {
		size[p[0]]++
	}
	controls := 0
	for _, p := range pairs {
		if weight[p[1]] == 0 {
			controls++
		}
		weight[p[0]] = 1
		weight[p[1]] += 1 / float64(size[p[0]])
	}
	factor := float64(controls) / float64(len(size))
	done := map[int]bool{}
	for _, p := range pairs {
		if !done[p[1]] {
			done[p[1]] = true
			weight[p[1]] *= factor
		}
	}
	return weight
}

// matchRule says the design in one line.
func matchRule(co *Cohort) string {
	m := co.Match
	rule := m.Method
	switch m.Method {
	case cohort.NearestMethod:
		rule = fmt.Sprintf("nearest neighbour on %s, %d:1", m.Distance, m.Ratio)
		if m.Replace {
			rule += " with replacement"
		} else {
			rule += " without replacement"
		}
	case cohort.OptimalMethod, cohort.FullMethod:
		rule += " matching on " + m.Distance
	}
	switch {
	case m.Caliper != nil:
		rule += fmt.Sprintf(", caliper %g SD", *m.Caliper)
	case m.CaliperRaw != nil:
		rule += fmt.Sprintf(", caliper %g", *m.CaliperRaw)
	}
	for i, c := range m.Exact {
		if i == 0 {
			rule += ", exact on "
		} else {
			rule += ", "
		}
		rule += c
	}
	return rule
}
