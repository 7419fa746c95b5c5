package missing

import (
	"fmt"
	"slices"

	"utfall/table"
)

// Reason says why a value is not there, or that it is.
type Reason uint8

// The reasons, in the order in which they are counted. A true zero is a value: the person
// had no days, no income, no visit. It is here because registers leave it out as they
// leave out what they do not know.
const (
	Observed          Reason = iota
	TrueZero                 // nothing happened, and the register would have shown it
	NotInRegister            // the person is outside what the register covers
	Emigrated                // left the country before the value could arise
	Dead                     // died before the value could arise
	ProtectedIdentity        // withheld because the identity is protected
	Anonymous                // took part without leaving an identity
	Lag                      // the register has not come that far yet
	Unknown                  // none of the above is known
	reasons
)

// names are those of files and study files.
func (r Reason) String() string {
	switch r {
	case Observed:
		return "observed"
	case TrueZero:
		return "true-zero"
	case NotInRegister:
		return "not-in-register"
	case Emigrated:
		return "emigrated"
	case Dead:
		return "dead"
	case ProtectedIdentity:
		return "protected-identity"
	case Anonymous:
		return "anonymous"
	case Lag:
		return "lag"
	}
	return "unknown"
}

// Reasons are all of them, in order.
func Reasons() []Reason {
	out := make([]Reason, 0, reasons)
	for r := Observed; r < reasons; r++ {
		out = append(out, r)
	}
	return out
}

// ParseReason reads the name of a reason.
func ParseReason(name string) (Reason, error) {
	for _, r := range Reasons() {
		if r.String() == name {
			return r, nil
		}
	}
	return Unknown, fmt.Errorf("%w: a value is missing for one of the reasons not-in-register, emigrated, dead, protected-identity, anonymous, lag, unknown, or it is a true-zero", ErrOption)
}

// HasValue reports whether a value with this reason may be used as a number.
func (r Reason) HasValue() bool { return r == Observed || r == TrueZero }

// Exists reports whether there is a value that is not known. Death and emigration end what can be known of a person: a value after them is not
// missing, it does not exist, and imputing it would answer another question.
func (r Reason) Exists() bool { return r != Dead && r != Emigrated }

// Typed is a variable with the reason of each value; nil means all observed.
type Typed struct {
	Name   string
	Reason []Reason
}

// Missingness counts rows by variable and reason.
type Missingness struct {
	Rows, Complete int
	Variables      []VariableMissing
	// Patterns are the sets of variables that are missing together, most frequent first.
	Patterns []Pattern
}

// VariableMissing counts one variable's values by reason; Count is indexed by [Reason].
type VariableMissing struct {
	Name    string
	Missing int
	Count   [reasons]int
}

// Pattern is a set of variables that lack a value in the same rows.
type Pattern struct {
	Missing []string
	Rows    int
}

// CompleteCases marks the rows with a value in every variable, and counts why the others
// have none. A row that lacks several values is counted under each variable and once in
// Rows - Complete.
//
// The note "complete-case" says how many rows are left out; a mean over the others is
// that of the population only if being complete has nothing to do with it, given what the
// analysis adjusts for. Errors: lengths that differ ([ErrOption]).
func CompleteCases(n int, vars []Typed) (keep []bool, m *Missingness, notes []table.Note, err error) {
	keep = make([]bool, n)
	patterns := map[string]*Pattern{}
	m = &Missingness{Rows: n}
	for _, v := range vars {
		if v.Reason != nil && len(v.Reason) != n {
			return nil, nil, nil, fmt.Errorf("%w: %d reasons of %q for %d rows", ErrOption, len(v.Reason), v.Name, n)
		}
		m.Variables = append(m.Variables, VariableMissing{Name: v.Name})
	}
	for i := range n {
		var gone []string
		for j, v := range vars {
			r := Observed
			if v.Reason != nil {
				r = v.Reason[i]
			}
			if r >= reasons {
				return nil, nil, nil, fmt.Errorf("%w: row %d of %q has a reason that is none", ErrOption, i+1, v.Name)
			}
			m.Variables[j].Count[r]++
			if !r.HasValue() {
				m.Variables[j].Missing++
				gone = append(gone, v.Name)
			}
		}
		if keep[i] = len(gone) == 0; keep[i] {
			m.Complete++
			continue
		}
		slices.Sort(gone)
		key := fmt.Sprintf("%q", gone)
		if patterns[key] == nil {
			patterns[key] = &Pattern{Missing: gone}
		}
		patterns[key].Rows++
	}
	for _, p := range patterns {
		m.Patterns = append(m.Patterns, *p)
	}
	slices.SortFunc(m.Patterns, func(a, b Pattern) int {
		if a.Rows != b.Rows {
			return b.Rows - a.Rows
		}
		return slices.Compare(a.Missing, b.Missing)
	})
	if m.Complete < n {
		notes = append(notes, table.Note{Code: "complete-case", Args: map[string]any{"rows": n - m.Complete, "all": n},
			Text: fmt.Sprintf("%d of %d rows lack a value and are left out; the rest stands for all only if lacking one has nothing to do with the answer.", n-m.Complete, n)})
	}
	return keep, m, notes, nil
}
