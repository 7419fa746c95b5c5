package study

import (
	"fmt"
	"slices"

	"utfall/cohort"
	"utfall/ingest"
	"utfall/table"
)

// sealedOf names the outcome columns of a data set: those with the role outcome, and
// those that an analysis names as its outcome where no design reads them (a column
// that a design reads was there before time zero, such as a placebo outcome).
func (s *Spec) sealedOf(name string) []string {
	var out []string
	named := map[string]bool{}
	for i := range s.Analyses {
		rests := s.Analyses[i].rests()
		if co := s.findCohort(rests.cohort); (co != nil && co.Base == name) || (co == nil && slices.Contains(rests.data, name)) {
			for _, o := range rests.outcomes {
				named[o] = true
			}
		}
	}
	for _, c := range s.Data[name].Columns {
		if c.Role == "outcome" || (named[c.Name] && !slices.Contains(s.designReads(name), c.Name)) {
			out = append(out, c.Name)
		}
	}
	return out
}

// designReads names the columns of a data set that a cohort's design or a panel's
// layout may read.
func (s *Spec) designReads(name string) []string {
	var out []string
	for i := range s.Cohorts {
		co := &s.Cohorts[i]
		if co.Base != name {
			continue
		}
		out = append(append(append(out, co.ID, co.Treatment), co.Balance...), co.BalanceBy...)
		if co.Propensity != nil {
			out = append(out, co.Propensity.Covariates...)
		}
		if co.Match != nil {
			out = append(append(out, co.Match.Exact...), sortedKeys(co.Match.CaliperOn)...)
		}
		for _, f := range co.Eligibility {
			if columns, err := table.FilterColumns(f.Keep); err == nil { // else it is a problem that check reports
				out = append(out, columns...)
			}
		}
	}
	for i := range s.Analyses {
		if rests := s.Analyses[i].rests(); rests.layout != nil && rests.data[0] == name {
			out = append(out, rests.layout...)
		}
	}
	return append(out, s.Data[name].Key...)
}

// seal takes the outcome columns out of every data set: the design stage has none.
func (s *state) seal() {
	for _, name := range sortedKeys(s.data) {
		d := s.data[name]
		columns := s.spec.sealedOf(name)
		if len(columns) == 0 || d.sealed != nil {
			continue
		}
		whole := d.table
		d.sealed = func() (*table.Table, error) { return pick(whole, columns) }
		d.table = whole.Without(columns...)
	}
}

// pick is a table of the columns.
func pick(t *table.Table, names []string) (*table.Table, error) {
	cols := make([]table.Column, len(names))
	for i, n := range names {
		var err error
		if cols[i], err = t.Column(n); err != nil {
			return nil, err
		}
	}
	return table.New(cols...)
}

// open puts the outcomes back, and gives every cohort its own.
func (s *state) open() error {
	for _, name := range sortedKeys(s.data) {
		d := s.data[name]
		if d.sealed == nil {
			continue
		}
		outcomes, err := d.sealed()
		if err != nil {
			return err
		}
		if d.table, err = joined(d.table, outcomes); err != nil {
			return fmt.Errorf("%w: data %s: %w", ErrInput, name, err)
		}
		d.sealed = nil
	}
	for i := range s.spec.Cohorts {
		co := &s.spec.Cohorts[i]
		if err := s.openCohort(s.cohorts[co.Name]); err != nil {
			return fmt.Errorf("cohort %s: %w", co.Name, cohortError(err))
		}
	}
	return nil
}

// joined puts the columns of b behind those of a, row by row.
func joined(a, b *table.Table) (*table.Table, error) {
	var err error
	for _, f := range b.Fields() {
		c, cerr := b.Column(f.Name)
		if cerr != nil {
			return nil, cerr
		}
		if a, err = a.With(c); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// openCohort gives the units that are compared their outcomes.
func (s *state) openCohort(b *built) error {
	if b.made != nil {
		return s.openRegister(b)
	}
	columns := s.spec.sealedOf(b.spec.Base)
	if len(columns) == 0 {
		return nil
	}
	outcomes, err := pick(s.data[b.spec.Base].table.Take(b.rows), columns)
	if err != nil {
		return err
	}
	b.table, err = joined(b.table, outcomes)
	return err
}

// rowColumn numbers the rows of a stored table, so that its two parts can be joined again.
const rowColumn = "utfall_row"

// withRow adds the row number to a stored table.
func withRow(t *table.Table) (*table.Table, error) {
	rows := make([]int64, t.Rows())
	for i := range rows {
		rows[i] = int64(i)
	}
	return t.With(table.NewInteger(table.Field{Name: rowColumn}, rows, nil))
}

// inRowOrder undoes withRow.
func inRowOrder(t *table.Table) (*table.Table, error) {
	row, err := t.Integer(rowColumn)
	if err != nil {
		return nil, err
	}
	at := make([]int, t.Rows())
	for i, r := range row.Values {
		if r < 0 || int(r) >= len(at) {
			return nil, fmt.Errorf("%w: the store is damaged: remove it", ErrResource)
		}
		at[r] = i
	}
	return t.Take(at).Without(rowColumn), nil
}

// storedOutcomes opens the outcomes of a data set that lie apart in the store.
func storedOutcomes(dir, name string, columns []string) (*table.Table, error) {
	store, err := ingest.OpenStore(dir)
	if err != nil {
		return nil, err
	}
	t, err := store.Table(name)
	if err != nil {
		return nil, err
	}
	if t, err = inRowOrder(t); err != nil {
		return nil, err
	}
	return pick(t, columns)
}

// openRegister reads what came after time zero for the units that are compared.
func (s *state) openRegister(b *built) error {
	t := b.spec.TimeZero
	// Who starts when is learnt from all eligible people, also where few are compared.
	rows := b.rows
	if t.Censoring != nil {
		rows = b.beforeRows
	}
	opened, err := b.made.Open(s.register(b.spec), rows, t.Outcomes, s.o.Workers)
	if err != nil {
		return err
	}
	switch {
	case b.grace():
		return s.openClones(b, opened)
	case t.Censoring != nil:
		if b.censored, err = opened.Censor(s.ctx, t.Censoring.CensorSpec, s.o.Workers); err != nil {
			return fmt.Errorf("censoring: %w", err)
		}
		b.notes = append(b.notes, b.censored.Notes...)
		if opened, err = b.made.Open(s.register(b.spec), b.rows, t.Outcomes, s.o.Workers); err != nil {
			return err
		}
		b.censored = takeCensored(b.censored, rows, b.rows)
	}
	b.paths = opened.Paths
	var names []string
	for _, o := range t.Outcomes {
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		return nil
	}
	outcomes, err := pick(opened.Table, names)
	if err != nil {
		return err
	}
	b.table, err = joined(b.table, outcomes)
	return err
}

// openClones puts two clones in the place of each person: who started within the grace
// period is known only now.
func (s *state) openClones(b *built, opened *cohort.Opened) error {
	c, err := opened.Clone(s.ctx, *b.spec.TimeZero.Censoring, s.o.Workers)
	if err != nil {
		return fmt.Errorf("censoring: %w", err)
	}
	b.table, b.paths, b.censored = c.Table, c.Paths, &c.Censored
	b.notes = append(b.notes, c.Notes...)
	if b.treated, err = marks(b.table, b.spec.Treatment); err != nil {
		return err
	}
	persons, _, err := b.table.Text(cohort.PersonColumn)
	if err != nil {
		return err
	}
	rows := make([]int, len(persons))
	for i := range rows {
		rows[i] = i
	}
	b.cluster, b.clusters = components(rows, persons)
	return nil
}

// takeCensored are the weights of the rows kept, of weights of all.
func takeCensored(c *cohort.Censored, all, kept []int) *cohort.Censored {
	place := make(map[int]int, len(all))
	for i, r := range all {
		place[r] = i
	}
	out, width := *c, c.Horizon+1
	out.Weight = make([]float64, 0, len(kept)*width)
	for _, r := range kept {
		i := place[r]
		out.Weight = append(out.Weight, c.Weight[i*width:(i+1)*width]...)
	}
	return &out
}
