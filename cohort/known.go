package cohort

import (
	"fmt"
	"sort"

	"utfall/table"
)

// past is what had happened to a person by a time zero: the state of each month up to
// and including that of time zero, -1 where none was recorded. It is the only view of
// a history that the design stage has. It ends where time zero does, so that nothing
// that reads it can look further.
type past []int8

// present says whether the person was observed in the month of time zero and in the one before.
func (p past) present() bool { return p[len(p)-1] >= 0 && p[len(p)-2] >= 0 }

// known returns the n last months of which the register told by time zero, oldest
// first, when it tells of a month lag months after its end.
func (p past) known(n, lag int) []int8 {
	end := len(p) - 1 - lag
	return p[end-n : end]
}

// whole says whether every month was observed.
func whole(months []int8) bool {
	for _, c := range months {
		if c < 0 {
			return false
		}
	}
	return true
}

// Ways in which the value of a [Feature] was known at time zero.
const (
	KnownAtZero   = "time-zero"      // it is time zero itself, or made from it
	KnownLookBack = "look-back"      // from months before time zero: From and To
	KnownDated    = "dated"          // missing where the date in the column Dated is after time zero
	KnownTaken    = "taken-as-known" // the register has no date for it: that it was known is an assumption
)

// Feature is a column that the design stage made or took over: where it is from, and
// when it was known.
type Feature struct {
	Column string
	Source string // people, spells, participations, amounts, or design
	Known  string // one of KnownAtZero, KnownLookBack, KnownDated, KnownTaken
	// Months before time zero that it was made from, the first From months before, the
	// last To+1 before: a look-back of 12 with a lag of 3 has From 15 and To 3.
	From, To int
	Dated    string // the people column whose date says when it became known
}

// String says it in English.
func (f Feature) String() string {
	switch f.Known {
	case KnownLookBack:
		return fmt.Sprintf("%s: from %s, months %d to %d before time zero", f.Column, f.Source, f.From, f.To+1)
	case KnownDated:
		return fmt.Sprintf("%s: from %s, missing where %s is after time zero", f.Column, f.Source, f.Dated)
	case KnownTaken:
		return fmt.Sprintf("%s: from %s, taken as known at time zero", f.Column, f.Source)
	}
	return fmt.Sprintf("%s: from %s, at time zero", f.Column, f.Source)
}

// notYetKnown takes away the values of people columns that became known after time
// zero: those whose date in knownFrom is missing or after the first day of the month
// of time zero. The columns with the dates say no more than the values did: dates
// after time zero are taken away too. It counts, by column, the units that had a value
// and lost it.
func notYetKnown(background *table.Table, knownFrom map[string]string, zero []int64) (*table.Table, map[string]int, error) {
	lost := map[string]int{}
	dateOf := map[string]string{}
	for column, date := range knownFrom {
		if !background.Has(column) || !background.Has(date) {
			return nil, nil, fmt.Errorf("people: known_from: there is no column %q with the date %q among those that are kept", column, date)
		}
		dateOf[column] = date
	}
	for _, date := range knownFrom {
		if _, own := dateOf[date]; !own {
			dateOf[date] = date
		}
	}
	columns := make([]string, 0, len(dateOf))
	for c := range dateOf {
		columns = append(columns, c)
	}
	sort.Strings(columns)
	keep := map[string][]bool{}
	for _, column := range columns {
		date := dateOf[column]
		if keep[date] != nil {
			continue
		}
		c, err := background.Column(date)
		if err != nil {
			return nil, nil, err
		}
		if c.Kind != table.DateKind {
			return nil, nil, fmt.Errorf("people: known_from: column %q is %s, a date is needed", date, c.Kind)
		}
		d, err := background.Float(date)
		if err != nil {
			return nil, nil, err
		}
		ok := make([]bool, len(zero))
		for u := range ok {
			ok[u] = d.Has(u) && monthOnOrAfter(int32(d.Values[u])) <= Month(zero[u])
		}
		keep[date] = ok
	}
	for _, column := range columns {
		c, err := background.Column(column)
		if err != nil {
			return nil, nil, err
		}
		ok := make([]bool, len(zero))
		for u, k := range keep[dateOf[column]] {
			ok[u] = k && c.Has(u)
			if !k && c.Has(u) && knownFrom[column] != "" {
				lost[column]++
			}
		}
		if c, err = withValidity(background, c, ok); err != nil {
			return nil, nil, err
		}
		if background, err = background.With(c); err != nil {
			return nil, nil, err
		}
	}
	return background, lost, nil
}

// withValidity returns the column with values only where ok is true; the others are
// gone, not hidden.
func withValidity(t *table.Table, c table.Column, ok []bool) (table.Column, error) {
	switch c.Kind {
	case table.TextKind:
		v, _, err := t.Text(c.Name)
		return table.NewText(c.Field, only(v, ok), ok), err
	case table.CategoryKind:
		v, err := t.Category(c.Name)
		if err != nil {
			return c, err
		}
		return table.NewCategory(c.Field, only(v.Codes, ok), v.Levels, ok)
	case table.IntegerKind:
		v, err := t.Integer(c.Name)
		return table.NewInteger(c.Field, only(v.Values, ok), ok), err
	}
	v, err := t.Float(c.Name)
	if err != nil {
		return c, err
	}
	switch c.Kind {
	case table.BooleanKind:
		b := make([]bool, len(v.Values))
		for i, x := range v.Values {
			b[i] = ok[i] && x == 1
		}
		return table.NewBoolean(c.Field, b, ok), nil
	case table.DateKind:
		d := make([]int32, len(v.Values))
		for i, x := range only(v.Values, ok) {
			d[i] = int32(x)
		}
		return table.NewDate(c.Field, d, ok), nil
	}
	return table.NewFloat(c.Field, only(v.Values, ok), ok), nil
}

// only copies the values that are ok.
func only[T any](v []T, ok []bool) []T {
	out := make([]T, len(v))
	for i, k := range ok {
		if k {
			out[i] = v[i]
		}
	}
	return out
}
