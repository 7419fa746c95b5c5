package ingest

import (
	"fmt"
	"slices"

	"utfall/table"
)

// trueZero is the reason of a mark that stands for the value 0.
const trueZero = "true-zero"

// missingReasons are the values of missing_as; the same as those of package estimate/missing.
func missingReasons() []string {
	return []string{"not-in-register", "emigrated", "dead", "protected-identity", "anonymous", "lag", "unknown", trueZero}
}

// checkReasons says what is wrong with missing_as; levels are those declared.
func (c *Column) checkReasons(levels map[string]bool, numeric bool) (bad []string) {
	say := func(format string, a ...any) { bad = append(bad, fmt.Sprintf(format, a...)) }
	for _, mark := range sortedNames(c.MissingAs) {
		why := c.MissingAs[mark]
		switch {
		case !slices.Contains(missingReasons(), why):
			say("missing_as: %q is none of the reasons %v", why, missingReasons())
		case mark == "":
			say("missing_as: the empty field has no mark: it is missing without a reason")
		case levels[mark]:
			say("%q is both a level and a mark of a missing value", mark)
		case slices.Contains(c.Missing, mark):
			say("%q is in missing and in missing_as", mark)
		case why == trueZero && !numeric:
			say("missing_as: true-zero belongs to numbers and integers, not to %s", c.Type)
		}
		if _, twice := c.Of[mark]; twice {
			say("%q is in of and in missing_as", mark)
		}
	}
	return bad
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (c *ColumnReport) addReasons(n map[string]int) {
	for why, count := range n {
		if c.MissingAs == nil {
			c.MissingAs = map[string]int{}
		}
		c.MissingAs[why] += count
	}
}

// noteReasons says for each reason how many values it took, or made 0.
func (r *Report) noteReasons(c *ColumnReport) {
	for _, why := range sortedNames(c.MissingAs) {
		n := c.MissingAs[why]
		note := table.Note{Code: "values-missing-as", Text: fmt.Sprintf("%s: column %q: %d values are missing: %s.", r.File, c.Name, n, why),
			Args: map[string]any{"file": r.File, "column": c.Name, "reason": why, "count": n}}
		if why == trueZero {
			note = table.Note{Code: "values-true-zero", Text: fmt.Sprintf("%s: column %q: %d marks stand for 0.", r.File, c.Name, n),
				Args: map[string]any{"file": r.File, "column": c.Name, "count": n}}
		}
		r.Notes = append(r.Notes, note)
	}
}
