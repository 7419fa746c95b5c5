package cohort

import (
	"fmt"
	"strings"

	"utfall/table"
)

// Filter is one named rule of who takes part: a row stays where the expression is
// true. A row for which it cannot be told, because a value is missing, goes and is
// counted as such.
type Filter struct {
	Name  string            `yaml:"name"`  // stable name, "working-age"
	Keep  string            `yaml:"keep"`  // expression, see [table.CompileFilter]
	Label map[string]string `yaml:"label"` // what reports call it, by language
}

// CheckFilters lists every problem with the filters against the columns that the
// table will have: no name, a name twice, an expression that cannot be read.
func CheckFilters(filters []Filter, fields []table.Field) []error {
	var errs []error
	seen := map[string]bool{}
	for i, f := range filters {
		switch {
		case strings.TrimSpace(f.Name) == "":
			errs = append(errs, fmt.Errorf("%w: filter %d has no name", ErrOption, i+1))
		case seen[f.Name]:
			errs = append(errs, fmt.Errorf("%w: two filters are named %q", ErrOption, f.Name))
		}
		seen[f.Name] = true
		if _, err := table.CompileFilter(f.Keep, fields); err != nil {
			errs = append(errs, fmt.Errorf("filter %q: %w", f.Name, err))
		}
	}
	return errs
}

// Apply runs the filters one after the other, each on the rows that are left, and
// gives the rows of t that stay, in order, with one [Step] for each. treatment names the column of 0 and 1 by which the
// treated are counted; "" counts none. A row whose treatment is missing is not
// counted as treated.
func Apply(t *table.Table, filters []Filter, treatment string) (kept []int, steps []Step, err error) {
	if errs := CheckFilters(filters, t.Fields()); len(errs) > 0 {
		return nil, nil, joined(errs)
	}
	treated := func(t *table.Table) (int, error) {
		if treatment == "" {
			return 0, nil
		}
		f, err := t.Float(treatment)
		if err != nil {
			return 0, fmt.Errorf("treatment: %w", err)
		}
		n := 0
		for i, v := range f.Values {
			if f.Has(i) && v == 1 {
				n++
			}
		}
		return n, nil
	}
	kept = make([]int, t.Rows())
	for i := range kept {
		kept[i] = i
	}
	for _, f := range filters {
		compiled, err := table.CompileFilter(f.Keep, t.Fields())
		if err != nil {
			return nil, nil, fmt.Errorf("filter %q: %w", f.Name, err)
		}
		keep, missing, err := compiled.Apply(t)
		if err != nil {
			return nil, nil, fmt.Errorf("filter %q: %w", f.Name, err)
		}
		s := Step{Name: f.Name, Rule: f.Keep, UnitsIn: t.Rows(), Missing: missing}
		if s.TreatedIn, err = treated(t); err != nil {
			return nil, nil, err
		}
		var rows, left []int
		for i, k := range keep {
			if k {
				rows, left = append(rows, i), append(left, kept[i])
			}
		}
		kept = left
		if len(rows) < t.Rows() {
			t = t.Take(rows)
		}
		s.UnitsOut = t.Rows()
		if s.TreatedOut, err = treated(t); err != nil {
			return nil, nil, err
		}
		steps = append(steps, s)
	}
	return kept, steps, CheckAttrition(steps)
}

// CheckAttrition says whether the counts of an attrition table add up: each step
// starts with what the one before left, none gains units, treated are among the
// units, and no more went for a missing value than went. A breach is [ErrConstraint].
func CheckAttrition(steps []Step) error {
	for i, s := range steps {
		bad := ""
		switch {
		case s.UnitsOut < 0 || s.TreatedOut < 0 || s.Missing < 0:
			bad = "a count is negative"
		case s.UnitsOut > s.UnitsIn || s.TreatedOut > s.TreatedIn:
			bad = "more go out than came in"
		case s.TreatedIn > s.UnitsIn || s.TreatedOut > s.UnitsOut:
			bad = "there are more treated than units"
		case s.UnitsIn-s.TreatedIn < s.UnitsOut-s.TreatedOut:
			bad = "more untreated go out than came in"
		case s.Missing > s.UnitsIn-s.UnitsOut:
			bad = "more went for a missing value than went"
		case i > 0 && (s.UnitsIn != steps[i-1].UnitsOut || s.TreatedIn != steps[i-1].TreatedOut):
			bad = fmt.Sprintf("it does not start with what step %q left", steps[i-1].Name)
		}
		if bad != "" {
			return fmt.Errorf("%w: attrition step %q: %s", ErrConstraint, s.Name, bad)
		}
	}
	return nil
}
