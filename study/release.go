package study

import (
	"strings"

	"utfall/cohort"
	"utfall/study/release"
	"utfall/table"
)

// balanceOf compares the groups of t before and after the match.
func (s *state) balanceOf(b *built, t *table.Table, score []float64, pairs [][2]int, weight []float64) (cohort.Balance, error) {
	d := cohort.Spec{Treatment: b.spec.Treatment, ID: b.spec.ID, Covariates: b.spec.Balance, Workers: s.o.Workers}
	bal, notes, err := cohort.Compare(s.ctx, t, d, cohort.BalanceOptions{Weight: weight, Pairs: pairs, Score: score, Denominator: denominator(b.estimand)})
	b.notes = append(b.notes, notes...)
	return bal, err
}

// denominator is the standard deviation that differences are divided by: of the group
// that the effect is about.
func denominator(estimand string) string {
	switch {
	case strings.HasPrefix(estimand, cohort.ATE), strings.HasPrefix(estimand, cohort.ATO):
		return cohort.PooledSD
	case strings.HasPrefix(estimand, cohort.ATC):
		return cohort.ControlSD
	}
	return cohort.TreatedSD
}

// releaseCohort releases a cohort's attrition and balance.
func (s *state) releaseCohort(a *assembled, b *built, keep func([]release.Withheld)) error {
	name := b.spec.Name
	if len(b.attrition) > 0 {
		flow, w, err := s.policy.Attrition(b.attrition)
		if err != nil {
			return err
		}
		keep(w)
		a.attrition[name] = flow
	}
	if !b.designed() {
		return nil
	}
	about, err := balanceCounts(b)
	if err != nil {
		return err
	}
	s.markUndeclared(b, about)
	box := release.Box{}
	if flow, ok := a.attrition[name]; ok {
		box = flow.Start
		for _, st := range flow.Steps[:len(flow.Steps)-1] {
			box = st.Left
		}
	}
	t, w, err := s.policy.Balance(b.balance, about, arms(b.beforeIn), arms(b.treated), box)
	if err != nil {
		return err
	}
	keep(w)
	a.balance[name] = t
	return nil
}

func arms(treated []bool) release.Arms {
	var a release.Arms
	for _, t := range treated {
		if t {
			a.Treated++
		} else {
			a.Control++
		}
	}
	return a
}

// balanceCounts says for each row of the balance table what it is about and how many
// people it rests on.
func balanceCounts(b *built) ([]release.Covariate, error) {
	out := make([]release.Covariate, len(b.balance.Rows))
	before, after := arms(b.beforeIn), arms(b.treated)
	for i, row := range b.balance.Rows {
		column, level := row.Variable, ""
		if b.before.Has(row.Variable) {
			c, err := b.before.Column(row.Variable)
			if err != nil {
				return nil, err
			}
			f, err := b.before.Float(row.Variable)
			if c.Kind == table.CategoryKind || c.Kind == table.TextKind || err != nil || !zeroOne(f.Values) {
				out[i] = release.Covariate{Before: before, After: after}
				continue
			}
			out[i].Group = row.Variable
		} else if cut := strings.LastIndex(row.Variable, "["); cut > 0 && strings.HasSuffix(row.Variable, "]") && b.before.Has(row.Variable[:cut]) {
			column, level = row.Variable[:cut], row.Variable[cut+1:len(row.Variable)-1]
			out[i].Group = column
		} else { // the score
			out[i] = release.Covariate{Before: before, After: after}
			continue
		}
		var err error
		if out[i].Before, err = atLevel(b.before, b.beforeIn, column, level); err != nil {
			return nil, err
		}
		if out[i].After, err = atLevel(b.table, b.treated, column, level); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// atLevel counts the people at a level of a category, or with a 1 in a 0/1 column.
func atLevel(t *table.Table, treated []bool, column, level string) (release.Arms, error) {
	var a release.Arms
	add := func(i int) {
		if treated[i] {
			a.Treated++
		} else {
			a.Control++
		}
	}
	if level == "" {
		f, err := t.Float(column)
		if err != nil {
			return a, err
		}
		for i, v := range f.Values {
			if f.Has(i) && v == 1 {
				add(i)
			}
		}
		return a, nil
	}
	c, err := t.Category(column)
	if err != nil {
		return a, err
	}
	for i, code := range c.Codes {
		if c.Has(i) && c.Levels[code] == level {
			add(i)
		}
	}
	return a, nil
}
