package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"

	"golang.org/x/text/unicode/norm"

	"utfall/table"
)

// Options are the reader's own; none changes the result.
type Options struct {
	Name    string // what messages call the file; the source's Path if empty
	Workers int    // goroutines that parse; GOMAXPROCS if below 1
}

func (o Options) workers() int {
	if o.Workers < 1 {
		return runtime.GOMAXPROCS(0)
	}
	return o.Workers
}

// Read reads a file by its declaration. Rows that break the declaration are left out,
// counted and listed; too many of them are an error. The result does not depend on the
// number of workers.
//
// Errors wrap [ErrSpec] for the declaration, [ErrInput] for the file ([ErrIdentifier]
// too, where it holds personal identity numbers) and [ErrResource].
func Read(ctx context.Context, path string, src Source, o Options) (*Result, error) {
	var parts []*part
	r, p, err := read(ctx, path, &src, o, func(q *part) error {
		parts = append(parts, q)
		return nil
	})
	if err != nil {
		return r, err
	}
	at := 0
	for _, q := range parts {
		for _, b := range q.breaks {
			r.lines = append(r.lines, lineBreak{at + b.row, b.line})
		}
		at += q.rows
	}
	r.lines = mergeBreaks(r.lines)
	if r.Table, err = assemble(p, parts); err != nil {
		return nil, err
	}
	d := newDetectors(r.Table)
	for i := range d {
		d[i].column(r.Table)
	}
	if err := judge(r.Report.File, d); err != nil {
		return nil, err
	}
	if err := r.duplicates(&src); err != nil {
		return r, err
	}
	return r, r.finish(&src)
}

// ReadStream reads a file by its declaration and hands its rows out in tables of some
// ten thousand, in file order, so that a file larger than memory can be read. Levels of
// a category that the declaration does not list are those of each table alone. Result
// has no Table. Rows that share a Key are an error, whatever Duplicates says: a stream
// cannot take back rows that it has handed out.
func ReadStream(ctx context.Context, path string, src Source, o Options, each func(*table.Table) error) (*Result, error) {
	if src.Duplicates == "quarantine" {
		return nil, fmt.Errorf("%w: duplicates \"quarantine\" needs the whole file at once", ErrSpec)
	}
	var d []*detector
	keys := newKeyChecks(&src)
	r, _, err := read(ctx, path, &src, o, func(q *part) error {
		batch := &Result{lines: q.breaks}
		t, err := assemble(q.plan, []*part{q})
		if err != nil {
			return err
		}
		if d == nil {
			d = newDetectors(t)
		}
		for i := range d {
			d[i].column(t)
		}
		batch.Table = t
		for _, k := range keys {
			if err := k.add(t, batch.Line); err != nil {
				return err
			}
		}
		return each(t)
	})
	if err != nil {
		return r, err
	}
	if err := judge(r.Report.File, d); err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := k.check(r.Report.File); err != nil {
			return r, err
		}
	}
	return r, r.finish(&src)
}

func mergeBreaks(in []lineBreak) []lineBreak {
	out := in[:0]
	for _, b := range in {
		if n := len(out); n == 0 || out[n-1].line+b.row-out[n-1].row != b.line {
			out = append(out, b)
		}
	}
	return out
}

// read runs the parts of a file past each, in file order, and counts.
func read(ctx context.Context, path string, src *Source, o Options, each func(*part) error) (*Result, *plan, error) {
	if errs := src.Check(); len(errs) > 0 {
		return nil, nil, errors.Join(errs...)
	}
	r := &Result{}
	in, err := openFile(path, src, o, &r.Report, func(h string) bool { return src.numeric(h) })
	if err != nil {
		return nil, nil, err
	}
	defer in.close()
	p, err := newPlan(in.name(), src, in.names(), in.mark())
	if err != nil {
		return nil, nil, err
	}
	in.plan(p)
	labels, _ := in.(interface{ label(field int) string })
	order := map[string]int{"": -1}
	cols := make([]ColumnReport, len(p.targets))
	for k, t := range p.targets {
		order[t.Name] = k
		cols[k] = ColumnReport{Name: t.Name, Type: t.Type}
		if labels != nil {
			cols[k].Label = labels.label(t.field)
		}
	}
	err = in.parts(ctx, o.workers(), func() *part { return newPart(p) }, func(q *part) error {
		if q.fatal != nil {
			return q.fatal
		}
		r.Report.Rows += q.rows + q.rejected
		r.Report.Kept += q.rows
		r.Report.Rejected += q.rejected
		r.Report.Blank += q.blank
		r.count(order, q.rejects)
		q.rejects = nil
		for k := range cols {
			v := &q.vecs[k]
			for _, ok := range v.valid {
				if !ok {
					cols[k].Missing++
				}
			}
			cols[k].Padded += v.padded
			cols[k].Trimmed += v.trimmed
			cols[k].Recoded += v.recoded
			cols[k].addReasons(v.why)
			cols[k].Normalised += v.folded
			cols[k].Invisible += v.odd
		}
		return each(q)
	})
	if err != nil {
		return nil, nil, err
	}
	r.Report.Columns = cols
	if r.Report.SHA256, r.Report.Bytes, err = in.sum(); err != nil {
		return nil, nil, err
	}
	return r, p, nil
}

// finish judges the share of rejected rows.
func (r *Result) finish(src *Source) error {
	r.Report.notes()
	return r.Report.tooMany(src.maxRejected())
}

// numeric says whether the header belongs to a declared number.
func (s *Source) numeric(header string) bool {
	for i := range s.Columns {
		if c := &s.Columns[i]; c.header() == header {
			return c.Type == "number" || c.Type == "integer"
		}
	}
	return false
}

// newPlan matches the header with the declaration and reports everything that does not
// fit at once.
func newPlan(file string, src *Source, header []string, mark byte) (*plan, error) {
	p := &plan{file: file, mark: mark, header: header}
	at, ps, err := headerNames(file, header, src.Extra == "ignore") // R's row names have no name
	if err != nil {
		return nil, err
	}
	declared := map[string]bool{}
	for i := range src.Columns {
		c := &src.Columns[i]
		want := norm.NFC.String(c.header())
		declared[want] = true
		k, ok := at[want]
		if !ok {
			text := "the file has no such column"
			for h := range at {
				if strings.EqualFold(h, want) {
					text += ", but one that differs only in capital letters"
				}
			}
			ps = append(ps, problem(file, 1, want, "missing-column", "%s", text))
			continue
		}
		t := newTarget(c, k)
		t.required = c.Required || slices.Contains(src.Key, c.Name)
		p.targets = append(p.targets, t)
	}
	if src.Extra != "ignore" {
		var extra []string
		for h := range at {
			if !declared[h] {
				extra = append(extra, h)
			}
		}
		sort.Slice(extra, func(i, j int) bool { return at[extra[i]] < at[extra[j]] })
		for _, h := range extra {
			ps = append(ps, problem(file, 1, h, "extra-column", "the column is not declared (extra: ignore leaves such columns out)"))
		}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return p, nil
}

// headerName is a name as the header has it, in the usual form.
func headerName(h string) string { return norm.NFC.String(string(trim([]byte(h)))) }

// headerNames gives each column its place and says what is wrong with the names.
func headerNames(file string, header []string, nameless bool) (at map[string]int, ps Problems, err error) {
	at = make(map[string]int, len(header))
	for i, h := range header {
		name := headerName(h)
		if holdsIdentifier(name) {
			return nil, nil, identifierProblem(file, fmt.Sprintf("the name of column %d", i+1))
		}
		switch _, twice := at[name]; {
		case name == "" && nameless:
		case name == "":
			ps = append(ps, problem(file, 1, "", "empty-header", "column %d has no name", i+1))
		case twice:
			ps = append(ps, problem(file, 1, "", "duplicate-header", "the header names column %q twice", name))
		default:
			at[name] = i
		}
	}
	return at, ps, nil
}

// input is a file of any format, as rows of text.
type input interface {
	name() string
	names() []string // the header
	mark() byte      // decimal
	plan(p *plan)    // what will be read: formats by column skip the rest
	parts(ctx context.Context, workers int, make_ func() *part, each func(*part) error) error
	kinds(ctx context.Context, workers int, make_ func() *guess, each func(*guess) error) error
	sum() (sha string, bytes int64, err error)
	close()
}

// openRegular opens a file that must be an ordinary one: a pipe or a device could block for ever.
func openRegular(path, name string) (*os.File, int64, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, &Problem{File: name, Code: "no-file", Text: "there is no such file", kind: fs.ErrNotExist}
	case err != nil:
		return nil, 0, &Problem{File: name, Code: "read", Text: "the file cannot be opened", kind: errors.Unwrap(err)}
	case !info.Mode().IsRegular():
		return nil, 0, problem(name, 0, "", "no-file", "this is not an ordinary file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, &Problem{File: name, Code: "read", Text: "the file cannot be opened", kind: errors.Unwrap(err)}
	}
	return f, info.Size(), nil
}

// openFile opens a file by the ending of its name.
func openFile(path string, src *Source, o Options, rep *Report, numeric func(string) bool) (input, error) {
	sheet := ""
	if i := strings.LastIndexByte(path, '#'); i >= 0 && strings.HasSuffix(strings.ToLower(path[:i]), ".xlsx") {
		path, sheet = path[:i], path[i+1:]
	}
	name := o.Name
	if name == "" {
		name = src.Path
	}
	if name == "" {
		name = filepath.Base(path)
	}
	if holdsIdentifier(filepath.Base(path)) || holdsIdentifier(sheet) {
		return nil, identifierProblem("a data file", "its name")
	}
	rep.File = name
	ext := strings.ToLower(filepath.Ext(path))
	switch ext {
	case ".sav", ".zsav", ".xpt", ".xls":
		return nil, fmt.Errorf("%w: %s: reading %s files is %w: save the data as CSV, XLSX or Parquet", ErrSpec, name, ext, ErrNotBuilt)
	}
	if (ext == ".dta" || ext == ".sas7bdat") && (src.Separator != "" || src.Decimal != "") {
		return nil, fmt.Errorf("%w: %s: separator and decimal belong to text files", ErrSpec, name)
	}
	if ext == ".xlsx" || ext == ".parquet" || ext == ".arrow" || ext == ".feather" || ext == ".ipc" || ext == ".arrows" || ext == ".json" || ext == ".px" {
		if src.Separator != "" || src.Decimal != "" || src.Encoding != "" {
			return nil, fmt.Errorf("%w: %s: separator, decimal and encoding belong to CSV and TSV files", ErrSpec, name)
		}
	}
	f, size, err := openRegular(path, name)
	if err != nil {
		return nil, err
	}
	var in input
	switch ext {
	case ".xlsx":
		rep.Format = "xlsx"
		in, err = openXLSX(f, size, name, sheet)
	case ".dta":
		rep.Format = "dta"
		in, err = openDTA(f, size, name, src.Encoding, rep)
	case ".sas7bdat":
		rep.Format = "sas7bdat"
		in, err = openSAS(f, size, name, src.Encoding, rep)
	case ".parquet":
		rep.Format = "parquet"
		in, err = openParquet(f, size, name)
	case ".arrow", ".feather", ".ipc", ".arrows":
		rep.Format = "arrow"
		in, err = openArrow(f, size, name)
	case ".json":
		in, err = openJSON(f, size, name, rep)
	case ".px":
		rep.Format = "px"
		in, err = openPX(f, size, name)
	default:
		rep.Format = "csv"
		in, err = openText(f, name, src, rep, numeric)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return in, nil
}
