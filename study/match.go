package study

import (
	"fmt"

	"utfall/cohort"
	"utfall/table"
)

// match pairs the eligible units, and leaves the balance before and after.
func (s *state) match(b *built, t *table.Table) error {
	co := b.spec
	design, err := co.Match.Nearest()
	if err != nil {
		return err
	}
	d := cohort.Spec{Treatment: co.Treatment, ID: co.ID, Covariates: co.Propensity.Covariates, Workers: s.o.Workers}
	m, err := design.Match(s.ctx, t, d)
	if err != nil {
		return err
	}
	b.notes = append(b.notes, m.Notes...)
	persons, _, err := t.Text(personColumn(t, co))
	if err != nil {
		return err
	}
	weight, set := m.Weight, m.Set
	if m.Replaced {
		set = pairSets(m, t.Rows())
	} else if gone := selfPairs(m, persons); gone > 0 {
		weight = dropSelf(m, persons)
		b.notes = append(b.notes, table.Note{
			Code: "matched-with-self", Text: fmt.Sprintf("%d participants were matched with their own earlier time as comparison person; these sets were left out", gone),
			Args: map[string]any{"sets": gone},
		})
	}
	treatedBefore := b.beforeIn
	b.keepMatched(t, treatedBefore, weight, set, persons)
	b.pairs = len(m.Pairs)
	st := cohort.Step{Name: "matched", Rule: matchRule(co), UnitsIn: t.Rows(), UnitsOut: b.table.Rows()}
	for _, x := range treatedBefore {
		if x {
			st.TreatedIn++
		}
	}
	for _, x := range b.treated {
		if x {
			st.TreatedOut++
		}
	}
	b.attrition = append(b.attrition, st)
	if st.TreatedOut == 0 {
		return fmt.Errorf("%w: no participant found a comparison person", cohort.ErrNoSupport)
	}
	b.balance, err = s.balanceOf(b, t, m, weight)
	return err
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
func pairSets(m *cohort.Matched, n int) []int {
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
	for _, p := range m.Pairs {
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

// selfPairs counts sets that hold a person twice.
func selfPairs(m *cohort.Matched, persons []string) int {
	sets := map[int]bool{}
	for _, p := range m.Pairs {
		if persons[p[0]] == persons[p[1]] {
			sets[m.Set[p[0]]] = true
		}
	}
	return len(sets)
}

// dropSelf gives the weights without the sets that hold a person twice.
func dropSelf(m *cohort.Matched, persons []string) []float64 {
	gone := map[int]bool{}
	for _, p := range m.Pairs {
		if persons[p[0]] == persons[p[1]] {
			gone[m.Set[p[0]]] = true
		}
	}
	weight := append([]float64(nil), m.Weight...)
	for i, set := range m.Set {
		if gone[set] {
			weight[i] = 0
		}
	}
	return weight
}

// matchRule says the design in one line.
func matchRule(co *Cohort) string {
	m := co.Match
	rule := fmt.Sprintf("nearest neighbour on %s, %d:1", m.Distance, m.Ratio)
	if m.Replace {
		rule += " with replacement"
	} else {
		rule += " without replacement"
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
