package ingest

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// Column declares what a column of a file holds.
type Column struct {
	Name   string `yaml:"name,omitempty"`   // what the table calls it
	Source string `yaml:"source,omitempty"` // what the file's header calls it, where that differs
	// Type is number, integer, boolean, category, text, date (YYYY-MM-DD) or month
	// (YYYY-MM, held as the date of its first day). Identifiers are text.
	Type    string   `yaml:"type,omitempty"`
	Unit    string   `yaml:"unit,omitempty"`    // of measurement
	Role    string   `yaml:"role,omitempty"`    // unit, time, treatment, outcome, covariate, weight, cluster or set
	Min     *float64 `yaml:"min,omitempty"`     // smallest value allowed; number and integer
	Max     *float64 `yaml:"max,omitempty"`     // largest value allowed
	Levels  []string `yaml:"levels,omitempty"`  // values allowed, in the order the table keeps; category
	Missing []string `yaml:"missing,omitempty"` // marks of a missing value, beside the empty field
	// MissingAs says why a mark is in the place of a value: not-in-register, emigrated, dead,
	// protected-identity, anonymous, lag or unknown; they are missing and counted apart. The
	// mark of a true-zero is the value 0: nothing happened, and the register would have it.
	MissingAs map[string]string `yaml:"missing_as,omitempty"`
	Required  bool              `yaml:"required,omitempty"` // a missing value rejects the row
	Unique    bool              `yaml:"unique,omitempty"`   // no value may come twice
	Pad       int               `yaml:"pad,omitempty"`      // zeros are put before shorter values of digits up to this width: 114 → 0114; category and text
	Of        map[string]string `yaml:"of,omitempty"`       // values of the file → values of the table, before anything else is checked
}

// Source declares a data file. Empty Separator, Decimal and Encoding are sniffed from
// the file and reported.
type Source struct {
	Path      string   `yaml:"path,omitempty"`      // relative to the data folder; for a workbook also book.xlsx#Sheet
	Separator string   `yaml:"separator,omitempty"` // comma, semicolon, tab or bar, or the character
	Decimal   string   `yaml:"decimal,omitempty"`   // point or comma, or the character
	Encoding  string   `yaml:"encoding,omitempty"`  // utf-8, utf-8-bom, windows-1252, iso-8859-1, utf-16le or utf-16be
	Columns   []Column `yaml:"columns,omitempty"`
	Extra     string   `yaml:"extra,omitempty"` // ignore: columns of the file that are not declared, and those without a name, are left out; default: they are an error
	Key       []string `yaml:"key,omitempty"`   // columns whose values together may come only once; a row without a value in one of them is rejected
	// Duplicates says what happens to rows with the same key: "error" (the default)
	// stops; "quarantine" keeps one of rows that are the same in every column and
	// rejects all rows that share a key and differ, so that the order of rows decides nothing.
	Duplicates string `yaml:"duplicates,omitempty"`
	// MaxRejected is the largest share of rows that may be rejected; 0.05 if absent.
	// A few broken rows are the normal state of a register extract; one in twenty
	// means that the declaration does not fit the file.
	MaxRejected *float64 `yaml:"max_rejected,omitempty"`
}

const defaultMaxRejected = 0.05

func (s *Source) maxRejected() float64 {
	if s.MaxRejected == nil {
		return defaultMaxRejected
	}
	return *s.MaxRejected
}

var columnTypes = []string{"number", "integer", "boolean", "category", "text", "date", "month"}

var columnRoles = []string{"", "unit", "time", "treatment", "outcome", "covariate", "weight", "cluster", "set"}

// Check lists everything that is wrong with the declaration. Each error wraps [ErrSpec].
func (s *Source) Check() []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrSpec, fmt.Sprintf(format, a...)))
	}
	if s.Path == "" {
		bad("path is missing")
	}
	if _, err := separatorOf(s.Separator); err != nil {
		bad("%v", err)
	}
	if _, err := decimalOf(s.Decimal); err != nil {
		bad("%v", err)
	}
	if s.Encoding != "" && !slices.Contains(encodings, s.Encoding) {
		bad("encoding %q is none of: %s", s.Encoding, strings.Join(encodings, ", "))
	}
	if sep, _ := separatorOf(s.Separator); sep == ',' && s.Separator != "" {
		if dec, _ := decimalOf(s.Decimal); dec == ',' {
			bad("separator and decimal mark are both a comma: only quoted numbers could be read, declare one of them differently")
		}
	}
	if s.Extra != "" && s.Extra != "ignore" {
		bad("extra %q is neither empty nor \"ignore\"", s.Extra)
	}
	if !slices.Contains([]string{"", "error", "quarantine"}, s.Duplicates) {
		bad("duplicates %q is neither \"error\" nor \"quarantine\"", s.Duplicates)
	}
	if m := s.maxRejected(); !(m >= 0 && m <= 1) {
		bad("max_rejected %v is not between 0 and 1", m)
	}
	if len(s.Columns) == 0 {
		bad("no columns are declared")
	}
	names, sources := map[string]bool{}, map[string]bool{}
	for i := range s.Columns {
		c := &s.Columns[i]
		if c.Name == "" {
			bad("column %d has no name", i+1)
			continue
		}
		if names[c.Name] {
			bad("column %q is declared twice", c.Name)
		}
		if names[c.Name] = true; sources[c.header()] {
			bad("column %q reads the header %q, which another column reads too", c.Name, c.header())
		}
		sources[c.header()] = true
		for _, text := range c.check() {
			bad("column %q: %s", c.Name, text)
		}
	}
	seen := map[string]bool{}
	for _, k := range s.Key {
		if !names[k] {
			bad("key %q is not a declared column", k)
		}
		if seen[k] {
			bad("key %q is listed twice", k)
		}
		seen[k] = true
	}
	if s.Duplicates != "" && len(s.Key) == 0 {
		bad("duplicates is set and key is not: there is nothing to compare")
	}
	return errs
}

// header is what the file calls the column.
func (c *Column) header() string {
	if c.Source != "" {
		return c.Source
	}
	return c.Name
}

func (c *Column) check() (bad []string) {
	say := func(format string, a ...any) { bad = append(bad, fmt.Sprintf(format, a...)) }
	if !slices.Contains(columnTypes, c.Type) {
		say("type %q is none of: %s", c.Type, strings.Join(columnTypes, ", "))
		return bad
	}
	if !slices.Contains(columnRoles, c.Role) {
		say("role %q is none of: %s", c.Role, strings.Join(columnRoles[1:], ", "))
	}
	numeric := c.Type == "number" || c.Type == "integer"
	text := c.Type == "category" || c.Type == "text"
	if (c.Min != nil || c.Max != nil) && !numeric {
		say("min and max belong to numbers and integers, not to %s", c.Type)
	}
	for _, v := range []*float64{c.Min, c.Max} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			say("min and max must be finite: leave out a bound that does not exist")
		}
	}
	if c.Min != nil && c.Max != nil && *c.Min > *c.Max {
		say("min is above max")
	}
	if c.Levels != nil && c.Type != "category" {
		say("levels belong to categories, not to %s", c.Type)
	}
	seen := map[string]bool{}
	for _, l := range c.Levels {
		switch {
		case seen[l]:
			say("level %q is listed twice", l)
		case l != strings.TrimSpace(l) || l == "":
			say("level %q is empty or begins or ends with a space", l)
		}
		seen[l] = true
	}
	for _, m := range c.Missing {
		if seen[m] {
			say("%q is both a level and a mark of a missing value", m)
		}
	}
	bad = append(bad, c.checkReasons(seen, numeric)...)
	switch {
	case c.Pad < 0 || c.Pad > 64:
		say("pad %d is not between 1 and 64", c.Pad)
	case c.Pad > 0 && !text:
		say("pad belongs to categories and text, not to %s", c.Type)
	}
	froms := make([]string, 0, len(c.Of))
	for from := range c.Of {
		froms = append(froms, from)
	}
	sort.Strings(froms)
	for _, from := range froms {
		to := c.Of[from]
		if to == "" {
			say("of: %q becomes nothing: list it under missing instead", from)
		}
		if c.Levels != nil && to != "" && !seen[to] {
			say("of: %q becomes %q, which is not a level", from, to)
		}
	}
	return bad
}

func separatorOf(s string) (byte, error) {
	switch s {
	case "", ",", ";", "\t", "|":
		if s == "" {
			return 0, nil
		}
		return s[0], nil
	case "comma":
		return ',', nil
	case "semicolon":
		return ';', nil
	case "tab", `\t`:
		return '\t', nil
	case "bar":
		return '|', nil
	}
	return 0, fmt.Errorf("separator %q is none of: comma, semicolon, tab, bar", s)
}

func decimalOf(s string) (byte, error) {
	switch s {
	case "":
		return 0, nil
	case ".", "point":
		return '.', nil
	case ",", "comma":
		return ',', nil
	}
	return 0, fmt.Errorf("decimal mark %q is neither point nor comma", s)
}
