package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study"
	"utfall/table"
)

// fitOutput is the answer of a method.
type fitOutput struct {
	Method    string
	n         map[string]int
	estimates []estimate.Estimate
	details   map[string]any
	notes     []table.Note
	tables    []fitTable // for people; the first is the CSV of a method without estimates
	noteWord  string     // before a note in the text; empty = note
	// tablesOnly says that the tables show people everything that the estimates do.
	tablesOnly bool
}

// fitTable is a table for people; the first column is text, the others numbers.
type fitTable struct {
	title  string
	header []string
	rows   [][]any // string, int, float64 or nil
}

// newFitOutput takes over an estimator's result. wanted names the counts that are
// shown also when they are 0.
func newFitOutput(r *estimate.Result, wanted ...string) *fitOutput {
	out := &fitOutput{estimates: r.Estimates, details: r.Details, notes: r.Notes, n: map[string]int{"units": r.N.Units}}
	for name, v := range map[string]int{"treated": r.N.Treated, "sets": r.N.Sets, "clusters": r.N.Clusters, "events": r.N.Events} {
		for _, w := range wanted {
			if w == name {
				out.n[name] = v
			}
		}
		if v > 0 {
			out.n[name] = v
		}
	}
	if out.details == nil {
		out.details = map[string]any{}
	}
	if r.Fit.Iterations > 0 {
		out.details["iterations"] = r.Fit.Iterations
	}
	return out
}

// whyNull adds the notes that explain values that do not exist.
func (o *fitOutput) whyNull() {
	value, se, test, only, certain := 0, 0, 0, 0, 0
	for i, e := range o.estimates {
		if e.Certain() && e.Measure != estimate.Survival { // a curve is 1 to 1 before its first event, wherever it is drawn
			certain++
			o.estimates[i].CI.Lo, o.estimates[i].CI.Hi = math.NaN(), math.NaN()
		}
		switch {
		case !finite(e.Value):
			value++
		case !finite(e.SE) && finite(e.Test.P):
			only++
		case !finite(e.SE):
			se++
		case !finite(e.Test.P):
			test++
		}
	}
	add := func(n int, code, text string) {
		if n > 0 {
			o.notes = append(o.notes, table.Note{Code: code, Text: fmt.Sprintf(text, n, len(o.estimates)), Args: map[string]any{"estimates": n, "of": len(o.estimates)}})
		}
	}
	add(certain, "no-variation", "%d of %d numbers have a standard error of 0: nothing varied in the data, which does not make them certain, and their interval is null.")
	add(value, "no-estimate", "%d of %d estimates do not exist for these data and are null.")
	add(se, "no-standard-error", "%d of %d numbers have no standard error, so that interval, statistic and p-value are null.")
	add(only, "test-only", "%d of %d numbers are test statistics, which have no standard error and no interval.")
	add(test, "no-test", "For %d of %d numbers a test of 0 has no meaning or no spread, so that statistic and p-value are null.")
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// orNull is the JSON form of a number that may not exist.
func orNull(v float64) *float64 {
	if !finite(v) {
		return nil
	}
	return &v
}

type fitEstimateJSON struct {
	Term       string   `json:"term"`
	Measure    string   `json:"measure"`
	Estimate   *float64 `json:"estimate"`
	StdError   *float64 `json:"std_error"`
	ConfLow    *float64 `json:"conf_low"`
	ConfHigh   *float64 `json:"conf_high"`
	ConfLevel  *float64 `json:"conf_level"`
	ConfMethod *string  `json:"conf_method"`
	Statistic  *float64 `json:"statistic"`
	DF         *float64 `json:"df"`
	PValue     *float64 `json:"p_value"`
}

func estimateJSON(e estimate.Estimate) fitEstimateJSON {
	out := fitEstimateJSON{
		Term: e.Term, Measure: string(e.Measure), Estimate: orNull(e.Value), StdError: orNull(e.SE),
		ConfLow: orNull(e.CI.Lo), ConfHigh: orNull(e.CI.Hi), Statistic: orNull(e.Test.Stat), DF: orNull(e.Test.DF), PValue: orNull(e.Test.P),
	}
	if e.CI.Level > 0 && e.CI.Method != "" {
		out.ConfLevel, out.ConfMethod = orNull(e.CI.Level), &e.CI.Method
	}
	if out.Statistic == nil {
		out.DF = nil
	}
	return out
}

// writeFit writes the answer in one piece, so that a broken pipe or an error leaves no half of it.
func (a *app) writeFit(format string, o *fitOutput) error {
	o.whyNull()
	o.translate(a.lang)
	var b bytes.Buffer
	var err error
	switch format {
	case "json":
		err = o.json(&b)
	case "csv":
		err = o.csv(&b)
	default:
		o.text(&b)
	}
	if err != nil {
		return err
	}
	if format != "json" && !a.quiet {
		for _, n := range o.notes {
			if n.Code == "data-read" || format == "csv" {
				fmt.Fprintf(a.err, "%s\n", n.Text)
			}
		}
	}
	_, err = a.out.Write(b.Bytes())
	return err
}

// translate puts the notes into the language that --lang asks for. Without the flag they are in the words of the method:
// the bytes of an answer do not depend on LANG. A note that has no such words stays in English and says so.
func (o *fitOutput) translate(flag string) {
	l, err := lang.Parse(flag)
	if err != nil || l == lang.EN {
		return
	}
	o.noteWord = l.Text("cli.note")
	for i, n := range o.notes {
		if n.Code == "data-read" {
			o.notes[i].Text = dataReadIn(l, n.Args)
		} else if text := l.Note(n.Code, n.Text, n.Args); text != n.Text {
			o.notes[i].Text = text
		} else {
			o.notes[i].Text += " " + l.Text("report.note-foreign")
		}
	}
}

func (o *fitOutput) json(w io.Writer) error {
	type note struct {
		Code string `json:"code"`
		Text string `json:"text"`
		Args any    `json:"args,omitempty"`
	}
	out := struct {
		Method    string            `json:"method"`
		Version   string            `json:"version"`
		N         map[string]int    `json:"n"`
		Estimates []fitEstimateJSON `json:"estimates"`
		Details   any               `json:"details"`
		Notes     []note            `json:"notes"`
	}{Method: o.Method, Version: study.ProgramVersion, N: o.n, Estimates: []fitEstimateJSON{}, Details: plain(reflect.ValueOf(o.details)), Notes: []note{}}
	for _, e := range o.estimates {
		out.Estimates = append(out.Estimates, estimateJSON(e))
	}
	for _, n := range o.notes {
		var args any
		if len(n.Args) > 0 {
			args = plain(reflect.ValueOf(n.Args))
		}
		out.Notes = append(out.Notes, note{n.Code, n.Text, args})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// plain turns a value into what JSON can hold: numbers that do not exist become null.
func plain(v reflect.Value) any {
	if v.IsValid() && v.CanInterface() {
		if m, ok := v.Interface().(json.Marshaler); ok { // writes itself
			return m
		}
	}
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Float32, reflect.Float64:
		return orNull(v.Float())
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			out[fmt.Sprint(k.Interface())] = plain(v.MapIndex(k))
		}
		return out
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.IsExported() || name == "-" || strings.Contains(opts, "omitempty") && v.Field(i).IsZero() {
				continue
			}
			if name == "" {
				name = f.Name
			}
			out[name] = plain(v.Field(i))
		}
		return out
	}
	return v.Interface()
}

var estimateHeader = []string{"term", "measure", "estimate", "std_error", "conf_low", "conf_high", "conf_level", "conf_method", "statistic", "df", "p_value"}

func (o *fitOutput) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	num := func(p *float64) string {
		if p == nil {
			return ""
		}
		return shortest(*p)
	}
	if len(o.estimates) == 0 && len(o.tables) > 0 {
		c.Write(o.tables[0].header)
		for _, r := range o.tables[0].rows {
			row := make([]string, len(r))
			for i, v := range r {
				row[i] = cell(v, shortest, "")
			}
			c.Write(row)
		}
		c.Flush()
		return c.Error()
	}
	c.Write(estimateHeader)
	for _, e := range o.estimates {
		j := estimateJSON(e)
		method := ""
		if j.ConfMethod != nil {
			method = *j.ConfMethod
		}
		c.Write([]string{j.Term, j.Measure, num(j.Estimate), num(j.StdError), num(j.ConfLow), num(j.ConfHigh), num(j.ConfLevel), method, num(j.Statistic), num(j.DF), num(j.PValue)})
	}
	c.Flush()
	return c.Error()
}

func shortest(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func cell(v any, number func(float64) string, none string) string {
	switch x := v.(type) {
	case nil:
		return none
	case float64:
		if !finite(x) {
			return none
		}
		return number(x)
	case *float64:
		if x == nil {
			return none
		}
		return number(*x)
	}
	return fmt.Sprint(v)
}

func (o *fitOutput) text(w io.Writer) {
	var counts []string
	for _, k := range []string{"units", "treated", "sets", "clusters", "events", "persons"} {
		if v, ok := o.n[k]; ok {
			counts = append(counts, fmt.Sprintf("%d %s", v, k))
		}
	}
	fmt.Fprintf(w, "%s: %s\n", o.Method, strings.Join(counts, ", "))
	if len(o.estimates) > 0 && !o.tablesOnly {
		t := fitTable{header: []string{"term", "measure", "estimate", "std.error", "", "interval", "p"}}
		level := 0.0
		for _, e := range o.estimates {
			j := estimateJSON(e)
			if j.ConfLevel != nil {
				level = *j.ConfLevel
			}
			t.rows = append(t.rows, []any{j.Term, j.Measure, j.Estimate, j.StdError, j.ConfLow, j.ConfHigh, j.PValue})
		}
		if level > 0 {
			t.header[4], t.header[5] = fmt.Sprintf("%g %% from", 100*level), "to"
		}
		t.text(w)
	}
	for _, t := range o.tables {
		t.text(w)
	}
	if len(o.notes) > 0 {
		fmt.Fprintln(w)
	}
	said := map[string]bool{} // one sentence for several times or groups is said once; JSON has all
	for _, n := range o.notes {
		if n.Code != "data-read" && !said[n.Text] {
			said[n.Text] = true
			fmt.Fprintf(w, "%s: %s\n", cmp.Or(o.noteWord, "note"), n.Text)
		}
	}
}

func (t *fitTable) text(w io.Writer) {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	lines := [][]string{t.header}
	for _, r := range t.rows {
		line := make([]string, len(r))
		for i, v := range r {
			line[i] = cell(v, number, "-")
		}
		lines = append(lines, line)
	}
	width := make([]int, len(t.header))
	for _, l := range lines {
		for i, s := range l {
			width[i] = max(width[i], utf8.RuneCountInString(s))
		}
	}
	fmt.Fprintln(w)
	if t.title != "" {
		fmt.Fprintln(w, t.title)
	}
	for _, l := range lines {
		var b strings.Builder
		for i, s := range l {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			switch {
			case i == 0 || i == 1 && t.header[1] == "measure":
				b.WriteString(s + pad + "  ")
			default:
				b.WriteString(pad + s + "  ")
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
