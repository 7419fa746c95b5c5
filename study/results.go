package study

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/table"
)

// Record is one released number: a line of results.jsonl and of estimates.csv. A
// number that does not exist, or that disclosure control withheld, is null, and a
// note says why.
type Record struct {
	Address    string       `json:"address"` // analysis/term/measure, unique in a bundle
	Analysis   string       `json:"analysis"`
	Method     string       `json:"method"`
	Kind       string       `json:"kind"` // effect, association, description, refused
	Plan       string       `json:"plan"` // locked, deviation or none: where the number stands towards the plan
	Term       string       `json:"term"`
	Measure    string       `json:"measure"`
	Estimate   *float64     `json:"estimate"`
	StdError   *float64     `json:"std_error"`
	ConfLow    *float64     `json:"conf_low"`
	ConfHigh   *float64     `json:"conf_high"`
	ConfLevel  *float64     `json:"conf_level"`
	ConfMethod string       `json:"conf_method"`
	Statistic  *float64     `json:"statistic"`
	DF         *float64     `json:"df"` // null for the normal distribution
	PValue     *float64     `json:"p_value"`
	Treated    *int         `json:"n_treated"` // released counts: rounded, null where withheld
	Control    *int         `json:"n_control"`
	Withheld   bool         `json:"withheld"`
	Notes      []table.Note `json:"notes"`
}

// number returns a pointer to a finite number, nil for NaN and infinities.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// newRecord makes the record of an estimate, before disclosure control.
func newRecord(analysis, method, kind, term string, e estimate.Estimate, notes []table.Note) Record {
	r := Record{
		Address:  strings.Join([]string{analysis, term, string(e.Measure)}, "/"),
		Analysis: analysis, Method: method, Kind: kind, Term: term, Measure: string(e.Measure),
		Estimate: number(e.Value), StdError: number(e.SE), ConfLow: number(e.CI.Lo), ConfHigh: number(e.CI.Hi),
		ConfMethod: e.CI.Method, Statistic: number(e.Test.Stat), DF: number(e.Test.DF), PValue: number(e.Test.P),
		Notes: notes,
	}
	if e.CI.Level > 0 {
		r.ConfLevel = number(e.CI.Level)
	}
	if r.Notes == nil {
		r.Notes = []table.Note{}
	}
	return r
}

// withhold removes the number and everything it could be worked out from.
func (r *Record) withhold(why table.Note) {
	r.Withheld = true
	r.Estimate, r.StdError, r.ConfLow, r.ConfHigh, r.Statistic, r.DF, r.PValue = nil, nil, nil, nil, nil, nil, nil
	r.Treated, r.Control = nil, nil
	r.Notes = []table.Note{why}
}

// writeResults writes the records as JSON lines, floats in shortest round-trip form.
func writeResults(w io.Writer, records []Record) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("%s: %w", r.Address, err)
		}
	}
	return nil
}

// readResults reads what writeResults wrote; unknown keys are an error.
func readResults(b []byte) ([]Record, error) {
	var out []Record
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<24)
	for line := 1; sc.Scan(); line++ {
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.DisallowUnknownFields()
		var r Record
		if err := dec.Decode(&r); err != nil {
			return nil, fmt.Errorf("results.jsonl:%d: %w", line, err)
		}
		out = append(out, r)
	}
	return out, sc.Err()
}

// csvHeader names the columns of estimates.csv.
var csvHeader = []string{"address", "analysis", "method", "kind", "plan", "term", "measure", "estimate", "std_error", "conf_low", "conf_high",
	"conf_level", "conf_method", "statistic", "df", "p_value", "n_treated", "n_control", "withheld", "notes"}

// cells are the record's columns in the order of csvHeader.
func (r Record) cells() []string {
	codes := make([]string, len(r.Notes))
	for i, n := range r.Notes {
		codes[i] = n.Code
	}
	return []string{r.Address, r.Analysis, r.Method, r.Kind, r.Plan, r.Term, r.Measure, float(r.Estimate), float(r.StdError), float(r.ConfLow),
		float(r.ConfHigh), float(r.ConfLevel), r.ConfMethod, float(r.Statistic), float(r.DF), float(r.PValue),
		integer(r.Treated), integer(r.Control), strconv.FormatBool(r.Withheld), strings.Join(codes, " ")}
}

func float(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

func integer(v *int) string {
	if v == nil {
		return ""
	}
	return strconv.Itoa(*v)
}

func writeCSV(w io.Writer, header []string, rows [][]string) error {
	c := csv.NewWriter(w)
	if err := c.Write(header); err != nil {
		return err
	}
	for _, r := range rows {
		for i := range r {
			r[i] = safeCell(r[i])
		}
	}
	if err := c.WriteAll(rows); err != nil {
		return err
	}
	return c.Error()
}

// safeCell keeps a spreadsheet from reading a label as a formula. A number stays a number.
func safeCell(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil || s == "" {
		return s
	}
	if t := strings.TrimLeft(s, " \u00a0\t\r\n"); t != "" && strings.ContainsRune("=+-@", rune(t[0])) {
		return "'" + s
	}
	return s
}

func writeEstimates(w io.Writer, records []Record) error {
	rows := make([][]string, len(records))
	for i, r := range records {
		rows[i] = r.cells()
	}
	return writeCSV(w, csvHeader, rows)
}
