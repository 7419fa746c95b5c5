package ingest

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the package. Test with [errors.Is].
var (
	// ErrSpec: a source is declared wrongly, before any file is opened.
	ErrSpec = errors.New("invalid data declaration")
	// ErrInput: a file cannot be used. What is wrong is a [*Problem].
	ErrInput = errors.New("input rejected")
	// ErrIdentifier: a file holds what look like personal identity numbers. It is also an ErrInput.
	ErrIdentifier = errors.New("personal identity numbers in the data")
	// ErrNotBuilt: files of this format cannot be read yet. It is also an ErrSpec.
	ErrNotBuilt = errors.New("not built yet")
	// ErrResource: memory, disk space or a size that Arrow cannot hold ran out.
	ErrResource = errors.New("out of resources")
)

// Problem is something wrong with a file, at a place in it. It never holds a value.
type Problem struct {
	File   string
	Line   int // from 1, the header's included; for Arrow, Parquet, Stata, SAS and JSON the row from 1; 0 = the whole file
	Column string
	Code   string // stable: "ragged", "not-a-number", …
	Text   string
	kind   error // a further sentinel beside ErrInput
}

func (p *Problem) Error() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
	}
	if p.Column != "" {
		s += fmt.Sprintf(": column %q", p.Column)
	}
	return s + ": " + p.Text
}

// Unwrap makes every Problem an [ErrInput].
func (p *Problem) Unwrap() []error {
	if p.kind != nil {
		return []error{ErrInput, p.kind}
	}
	return []error{ErrInput}
}

func problem(file string, line int, column, code, format string, a ...any) *Problem {
	return &Problem{File: file, Line: line, Column: column, Code: code, Text: fmt.Sprintf(format, a...)}
}

// Problems are several at once, one a line.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems.
func (ps Problems) Unwrap() []error {
	out := make([]error, len(ps))
	for i, p := range ps {
		out[i] = p
	}
	return out
}

// The reasons for which a row is rejected, with what a reader is told.
var reasonText = map[string]string{
	"ragged":             "the row has another number of fields than the header",
	"bare-quote":         "a quotation mark inside a field that does not begin with one",
	"not-a-number":       "not a number",
	"not-a-whole-number": "not a whole number",
	"overflow":           "a number too large to be held",
	"not-a-boolean":      "neither true nor false",
	"not-a-date":         "not a date (YYYY-MM-DD)",
	"not-a-month":        "not a month (YYYY-MM)",
	"out-of-range":       "outside the declared range",
	"not-a-level":        "not one of the declared levels",
	"required":           "a value is required",
	"control-character":  "a control character in the text",
	"encoding":           "text that is not UTF-8",
	"too-long":           "longer than the declared width",
	"duplicate-row":      "the same row as another",
	"duplicate-key":      "another row has the same key",
	"unknown-person":     "the person is not among the people",
	"end-before-start":   "ends before it starts",
	"death-before-start": "ends before the person takes part",
	"overlap":            "overlaps another spell of the person",
	"birth-after-end":    "ends before birth",
	"municipality-code":  "not a municipality code of four digits",
}
