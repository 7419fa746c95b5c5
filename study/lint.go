package study

import (
	"fmt"
	"slices"

	"utfall/cohort"
	"utfall/table"
)

// Dates say when a flat file's units were what: the design is tested against them.
type Dates struct {
	TimeZero string `yaml:"time_zero,omitempty"` // column: when follow-up of the unit begins
	Start    string `yaml:"start,omitempty"`     // column: when the unit starts the measure; missing = never
}

func (s *Spec) checkDates(c *checker, path []any, co *Cohort) {
	_, known := s.Data[co.Base]
	if co.TimeZero != nil && (co.Dates != nil || len(co.Known) > 0) {
		c.add(path, "cohort %q: time_zero makes the dates: leave dates and known out, and use known_from and drop", co.Name)
		return
	}
	if d := co.Dates; d != nil && known {
		for key, column := range map[string]string{"time_zero": d.TimeZero, "start": d.Start} {
			if column == "" {
				c.add(at(path, "dates"), "dates: %s: name the column", key)
				continue
			}
			s.column(c, at(path, "dates", key), co.Base, column)
		}
	}
	for _, column := range sortedKeys(co.Known) {
		when := co.Known[column]
		if known {
			s.column(c, at(path, "known", column), co.Base, column)
		}
		switch {
		case when == knownAfter:
		case co.Dates == nil:
			c.add(at(path, "known", column), "known: %q is compared with time zero: give dates: time_zero", when)
		case known:
			s.column(c, at(path, "known", column), co.Base, when)
		}
	}
}

// lintFlat tests the dates of a flat cohort's units. Every refusal says how many units
// it is about.
func (s *state) lintFlat(co *Cohort, t *table.Table) ([]table.Note, error) {
	d := co.Dates
	if d == nil {
		return nil, nil
	}
	treated, err := marks(t, co.Treatment)
	if err != nil {
		return nil, err
	}
	zero, err := t.Float(d.TimeZero)
	if err != nil {
		return nil, err
	}
	start, err := t.Float(d.Start)
	if err != nil {
		return nil, err
	}
	var missing, immortal, before, noStart, early, later int
	for i, in := range treated {
		switch {
		case !zero.Has(i):
			missing++
		case in && !start.Has(i):
			noStart++
		case in && start.Values[i] > zero.Values[i]:
			immortal++
		case in && start.Values[i] < zero.Values[i]:
			before++
		case !in && start.Has(i) && start.Values[i] <= zero.Values[i]:
			early++
		case !in && start.Has(i):
			later++
		}
	}
	for _, problem := range []struct {
		n    int
		text string
	}{
		{missing, "time-zero-missing: %d units have no time zero; an eligibility rule can leave them out, counted"},
		{noStart, "dates: %d treated units have no date of start: nobody can know when they were treated; complete the dates"},
		{immortal, lintImmortal + ": %d treated units start after their time zero: until then they could not have the outcome of a treated unit, and to be treated they had to stay untreated; set time zero to the start, or compare strategies with a grace period"},
		{before, lintPrevalent + ": %d treated units had started before their time zero: what the measure did until then is missed; set time zero to the start"},
		{early, lintPrevalent + ": %d comparison units have started by their time zero: they are treated"},
	} {
		if problem.n > 0 {
			return nil, fmt.Errorf("%w: "+problem.text, ErrInput, problem.n)
		}
	}
	if err := s.lintKnown(co, t, zero); err != nil {
		return nil, err
	}
	if later > 0 {
		return []table.Note{{
			Code: "controls-start-later", Text: fmt.Sprintf("%d comparison units start later themselves; they stay, and the effect is that of starting now against waiting", later),
			Args: map[string]any{"units": later},
		}}, nil
	}
	return nil, nil
}

// lintKnown refuses values of the design's columns that are dated after time zero.
func (s *state) lintKnown(co *Cohort, t *table.Table, zero table.Floats) error {
	used := map[string]bool{}
	for _, u := range co.designUses(nil) {
		for _, name := range u.columns {
			used[name] = true
		}
	}
	for _, f := range co.Eligibility {
		columns, err := table.FilterColumns(f.Keep)
		if err != nil {
			return err
		}
		for _, name := range columns {
			used[name] = true
		}
	}
	for _, column := range sortedKeys(co.Known) {
		when := co.Known[column]
		if !used[column] || when == knownAfter {
			continue
		}
		date, err := t.Float(when)
		if err != nil {
			return err
		}
		value, err := t.Column(column)
		if err != nil {
			return err
		}
		late := 0
		for i := range t.Rows() {
			if value.Has(i) && date.Has(i) && zero.Has(i) && date.Values[i] > zero.Values[i] {
				late++
			}
		}
		if late > 0 {
			return fmt.Errorf("%w: "+lintLate+": %q is dated after time zero in %d units: the measure may have changed it; use a value from before", ErrInput, column, late)
		}
	}
	return nil
}

// lintRegister tests whether the registers reach as far back as the design looks.
func (s *state) lintRegister(co *Cohort) ([]table.Note, error) {
	t := co.TimeZero
	from, err := cohort.ParseMonth(t.From)
	if err != nil {
		return nil, err
	}
	first, ok, err := firstMonth(s.data[t.Spells].table, "from")
	if err != nil || !ok {
		return nil, err
	}
	lag := t.Lag
	if own, ok := t.Lags[cohort.SpellSource]; ok {
		lag = own
	}
	need := from - cohort.Month(slices.Max(t.LookBack)+lag)
	if need < first {
		return nil, fmt.Errorf("%w: "+lintLookBack+": an intake from %s with a background of %d months needs data from %s, and the spells begin in %s: people would look as if nothing had happened before; begin the intake in %s, or look back at most %d months",
			ErrInput, t.From, slices.Max(t.LookBack), need, first, first+cohort.Month(slices.Max(t.LookBack)+lag), max(0, int(from-first)-lag))
	}
	earliest, ok, err := firstMonth(s.data[t.Participations].table, "start")
	if err != nil || !ok {
		return nil, err
	}
	if earliest >= from {
		return []table.Note{{
			Code: "participation-history-short", Text: "no participation before the intake is in the data: whoever took part before it cannot be told from a first-time participant",
		}}, nil
	}
	return nil, nil
}

// firstMonth is the earliest month of a date column.
func firstMonth(t *table.Table, column string) (cohort.Month, bool, error) {
	f, err := t.Float(column)
	if err != nil {
		return 0, false, err
	}
	found := false
	var first cohort.Month
	for i, v := range f.Values {
		if !f.Has(i) {
			continue
		}
		if m := cohort.MonthOfDays(int32(v)); !found || m < first {
			first, found = m, true
		}
	}
	return first, found, nil
}
