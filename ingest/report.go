package ingest

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"utfall/table"
)

// Report is what reading a file was like. It holds counts and places, never values.
type Report struct {
	File      string         `json:"file"`
	Format    string         `json:"format"` // csv, xlsx, arrow, parquet, dta, sas7bdat, px, json-stat, pxweb or kolada
	Bytes     int64          `json:"bytes"`
	SHA256    string         `json:"sha256"`
	Encoding  string         `json:"encoding,omitempty"`
	Separator string         `json:"separator,omitempty"` // comma, semicolon, tab or bar
	Decimal   string         `json:"decimal,omitempty"`   // point or comma
	Rows      int            `json:"rows"`                // = Kept + Rejected
	Kept      int            `json:"kept"`
	Rejected  int            `json:"rejected"`
	Blank     int            `json:"blank"` // empty lines, which are no rows
	Reasons   []Reason       `json:"reasons"`
	Columns   []ColumnReport `json:"columns"`
	Notes     []table.Note   `json:"notes"`
}

// Reason counts the rejected cells of one column for one cause. A row with two bad
// cells counts once under each.
type Reason struct {
	Column    string `json:"column"` // "" for the row as a whole
	Code      string `json:"code"`
	Text      string `json:"text"`
	Count     int    `json:"count"`
	FirstLine int    `json:"first_line"`
}

// ColumnReport counts what was done to the values of a column; Missing is of kept rows.
type ColumnReport struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Label   string `json:"label,omitempty"` // what a Stata or SAS file calls the variable in words
	Missing int    `json:"missing"`
	Padded  int    `json:"padded,omitempty"`
	Trimmed int    `json:"trimmed,omitempty"`
	Recoded int    `json:"recoded,omitempty"`
	// MissingAs counts the marks of missing_as by reason, in the rows read.
	MissingAs  map[string]int `json:"missing_as,omitempty"`
	Normalised int            `json:"normalised,omitempty"` // written with combining marks in the file
	Invisible  int            `json:"invisible,omitempty"`  // with invisible or direction-changing characters
}

// Result is a file as a table, with what was left out.
type Result struct {
	Table      *table.Table // nil where rows were handed out as they were read
	Report     Report
	Quarantine []Reject // in line order; at most a million entries, Report counts all
	lines      []lineBreak
}

// maxQuarantine bounds the list of rejected cells in memory.
const maxQuarantine = 1_000_000

// Line is the line of the file on which a row of Table (from 0) begins; 0 if unknown.
func (r *Result) Line(row int) int {
	i := sort.Search(len(r.lines), func(i int) bool { return r.lines[i].row > row }) - 1
	if i < 0 || r.Table == nil || row >= r.Table.Rows() {
		return 0
	}
	return r.lines[i].line + row - r.lines[i].row
}

// WriteQuarantine writes the rejected rows as CSV: file, line, column and reason. The
// values stay in the file that was read, where whoever may see them finds them by line.
func WriteQuarantine(w io.Writer, results ...*Result) error {
	b := bufio.NewWriter(w)
	b.WriteString("file,line,column,code,reason\n")
	for _, r := range results {
		for _, q := range r.Quarantine {
			fmt.Fprintf(b, "%s,%d,%s,%s,%s\n", quote(r.Report.File), q.Line, quote(q.Column), q.Code, quote(reasonText[q.Code]))
		}
	}
	return b.Flush()
}

func quote(s string) string {
	if strings.ContainsAny(s, ",\"\n\r;") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// Text gives the report as lines for a terminal.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rows, %d kept, %d rejected", r.File, r.Rows, r.Kept, r.Rejected)
	if r.Separator != "" {
		fmt.Fprintf(&b, " (separator %s, decimal %s, %s)", r.Separator, r.Decimal, r.Encoding)
	}
	for _, q := range r.Reasons {
		fmt.Fprintf(&b, "\n  %s", r.reason(q))
	}
	return b.String()
}

func (r *Report) reason(q Reason) string {
	p := problem(r.File, q.FirstLine, q.Column, q.Code, "%s", q.Text)
	if q.Count > 1 {
		p.Text += fmt.Sprintf(" (%d times, first here)", q.Count)
	}
	return p.Error()
}

// count adds rejected cells to the report.
func (r *Result) count(order map[string]int, rejects []Reject) {
	at := map[[2]string]int{}
	for i, q := range r.Report.Reasons {
		at[[2]string{q.Column, q.Code}] = i
	}
	for _, q := range rejects {
		k := [2]string{q.Column, q.Code}
		i, ok := at[k]
		if !ok {
			i = len(r.Report.Reasons)
			at[k] = i
			r.Report.Reasons = append(r.Report.Reasons, Reason{q.Column, q.Code, reasonText[q.Code], 0, q.Line})
		}
		r.Report.Reasons[i].Count++
		r.Report.Reasons[i].FirstLine = min(r.Report.Reasons[i].FirstLine, q.Line)
	}
	sort.SliceStable(r.Report.Reasons, func(i, j int) bool {
		a, b := r.Report.Reasons[i], r.Report.Reasons[j]
		if order[a.Column] != order[b.Column] {
			return order[a.Column] < order[b.Column]
		}
		return a.Code < b.Code
	})
	r.Quarantine = append(r.Quarantine, rejects[:min(len(rejects), max(0, maxQuarantine-len(r.Quarantine)))]...)
}

// notes says in words what was done to values.
func (r *Report) notes() {
	add := func(code, text string, n int, column string) {
		if n > 0 {
			r.Notes = append(r.Notes, table.Note{Code: code, Text: fmt.Sprintf("%s: column %q: %d values %s.", r.File, column, n, text),
				Args: map[string]any{"file": r.File, "column": column, "count": n}})
		}
	}
	for _, c := range r.Columns {
		add("values-padded", "were given leading zeros", c.Padded, c.Name)
		add("values-trimmed", "had spaces before or after them, which were removed", c.Trimmed, c.Name)
		add("values-recoded", "were recoded as declared", c.Recoded, c.Name)
		r.noteReasons(&c)
		add("values-normalised", "were written with combining marks and put into the usual form", c.Normalised, c.Name)
		add("invisible-characters", "hold invisible or direction-changing characters", c.Invisible, c.Name)
	}
	r.noteRejected()
}

func (r *Report) noteRejected() {
	if r.Rejected > 0 {
		r.Notes = append(r.Notes, table.Note{Code: "rows-rejected", Text: fmt.Sprintf("%s: %d of %d rows were rejected and put into quarantine.", r.File, r.Rejected, r.Rows),
			Args: map[string]any{"file": r.File, "count": r.Rejected, "rows": r.Rows}})
	}
}

// tooMany is the error of a file of which more rows are rejected than it may be.
func (r *Report) tooMany(limit float64) error {
	if r.Rows == 0 || float64(r.Rejected) <= float64(limit*float64(r.Rows)) {
		return nil
	}
	if r.Rejected == 1 || limit == 0 {
		first := slices.MinFunc(r.Reasons, func(a, b Reason) int { return a.FirstLine - b.FirstLine })
		p := problem(r.File, first.FirstLine, first.Column, first.Code, "%s", first.Text)
		if r.Rejected > 1 {
			p.Text += fmt.Sprintf(" (and %d more rows that cannot be used)", r.Rejected-1)
		}
		return p
	}
	text := fmt.Sprintf("%d of %d rows cannot be used, more than the share of %v that max_rejected allows", r.Rejected, r.Rows, limit)
	ps := Problems{problem(r.File, 0, "", "too-many-rejected", "%s", text)}
	for _, q := range r.Reasons {
		p := problem(r.File, q.FirstLine, q.Column, q.Code, "%s", q.Text)
		if q.Count > 1 {
			p.Text += fmt.Sprintf(" (%d times, first here)", q.Count)
		}
		ps = append(ps, p)
	}
	return ps
}
