package report

import "utfall/internal/lang"

// Said is how the report writes one finding.
type Said struct {
	Value    string // with sign and unit, ".." where withheld
	Interval string // both bounds with the unit
	Sentence string // what the interval allows to be said
}

// Say gives the words of the report about one finding to other readers of a bundle,
// so that a number is rounded in one place and reads the same wherever it stands.
// treated and control are what the groups are called; empty = the report's own words.
// A number that is no difference, one group's share say, is said as a description.
func Say(f Finding, l lang.Lang, treated, control string) Said {
	if (f.Kind == Effect || f.Kind == Association) && !differs(f.Estimate) {
		f.Kind = Description
	}
	row := (&page{Lang: l}).estimateRow("", f.Unit, f.Estimate, f.Kind != Description || differs(f.Estimate))
	return Said{Value: row.Value, Interval: row.Interval, Sentence: upper(f.sentence(l, namesOf(l, treated, control)))}
}
