package ingest

import (
	"context"
	"math"
	"os"
	"slices"
	"strconv"

	"utfall/table"
)

// dtaColumn is a variable as a Stata file describes it.
type dtaColumn struct {
	name, format, label string
	table               string // the name of its value labels
	kind                dtaKind
	width, at           int              // bytes, and where in the row
	labels              map[int32]string // of the codes that occur; nil where numbers are read
	note                *table.Note      // about its labels; nil if there is nothing to say
}

type dtaKind byte

const (
	dtaByte dtaKind = iota
	dtaInt
	dtaLong
	dtaFloat
	dtaDouble
	dtaString
	dtaLongString
)

// The largest values that are not missing; Stata's 27 missing values lie above them.
const (
	maxDTAByte  = 100
	maxDTAInt   = 32740
	maxDTALong  = 2147483620
	minDTAFloat = 0x1p127  // the first missing value of a float
	minDTAReal  = 0x1p1023 // and of a double
)

// maxLongText bounds what cells that point to the same long text add up to.
const maxLongText = 1 << 30

// dtaInput is a Stata file as rows of text. It gives what its columns are declared to be:
// numbers where a number is asked for, labels and dates elsewhere.
type dtaInput struct {
	*cellFile
	d    *dtaFile
	rep  *Report
	as   []string // declared type of each column; "" without a declaration
	bad  *Problem // the first cell that cannot be read
	line int
	long int64 // bytes of long texts handed out: many cells may point to one
}

func openDTA(f *os.File, size int64, name, encoding string, rep *Report) (input, error) {
	var d *dtaFile
	err := guarded(name, func() (err error) {
		if d, err = parseDTA(f, size, name, encoding); err != nil {
			return err
		}
		return d.useLabels()
	})
	if err != nil {
		return nil, err
	}
	rep.Encoding = d.encoding
	return newDTAInput(d, f, rep), nil
}

func newDTAInput(d *dtaFile, f *os.File, rep *Report) *dtaInput {
	x := &dtaInput{cellFile: &cellFile{file: d.file, f: f}, d: d, rep: rep, as: make([]string, len(d.cols))}
	for i := range d.cols {
		x.header = append(x.header, d.cols[i].name)
	}
	x.rows = x.each
	return x
}

// plan also keeps what the columns are declared to be, and says what became of labels.
func (x *dtaInput) plan(p *plan) {
	x.cellFile.plan(p)
	clear(x.as)
	if p == nil {
		return
	}
	for _, t := range p.targets {
		c := &x.d.cols[t.field]
		x.as[t.field] = t.Type
		if c.note != nil && (t.Type == "category" || t.Type == "text" || c.labels == nil) {
			x.rep.Notes = append(x.rep.Notes, *c.note)
		}
	}
}

// labelled says that a column is read by its labels where nothing else is declared.
func (x *dtaInput) labelled(field int) bool { return x.d.cols[field].labels != nil }

// label is the variable label.
func (x *dtaInput) label(field int) string { return x.d.cols[field].label }

// each reads the rows in blocks of a mebibyte.
func (x *dtaInput) each(ctx context.Context, need []bool, take func(int, [][]byte) error) error {
	d := x.d
	x.bad, x.line, x.long = nil, 0, 0
	var block []byte
	write := make([]func([]byte, int) []byte, len(d.cols))
	for j := range d.cols {
		if need == nil || need[j] {
			cell := x.writer(j, need == nil)
			c := &d.cols[j]
			write[j] = func(b []byte, i int) []byte {
				from := i*d.width + c.at
				return cell(b, block[from:from+c.width])
			}
		}
	}
	return d.blocks(ctx, func(b []byte, n int) error {
		block = b
		if err := rowsOf(n, write, &x.line, take); err != nil {
			return err
		}
		if x.bad != nil {
			return x.bad
		}
		return nil
	})
}

// blocks reads the data in pieces of whole rows.
func (d *dtaFile) blocks(ctx context.Context, each func(b []byte, rows int) error) error {
	if d.rows == 0 {
		return nil
	}
	per := min(max(1, (1<<20)/d.width), d.rows)
	block := make([]byte, per*d.width)
	for at := 0; at < d.rows; at += per {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(per, d.rows-at)
		if _, err := d.in.r.ReadAt(block[:n*d.width], d.data+int64(at)*int64(d.width)); err != nil {
			return err
		}
		if err := each(block[:n*d.width], n); err != nil {
			return err
		}
	}
	return nil
}

// fail notes the first cell that cannot be read; the rows of the block go on, and the file is refused.
func (x *dtaInput) fail(j int, code, text string) {
	if x.bad == nil {
		x.bad = problem(x.file, x.line+1, x.d.cols[j].name, code, "%s", text)
	}
}

// writer returns how the cells of a column are written; guess is the pass that only asks what the values could be.
func (x *dtaInput) writer(j int, guess bool) func(b, cell []byte) []byte {
	d, c, as := x.d, &x.d.cols[j], x.as[j]
	switch c.kind {
	case dtaString:
		return func(b, cell []byte) []byte { return x.appendText(b, j, upToNUL(cell)) }
	case dtaLongString:
		return func(b, cell []byte) []byte {
			s, err := d.longString(cell)
			switch {
			case err != nil:
				x.fail(j, "damaged", "the text that the value points to is not in the file: the file is damaged")
				return b
			case s.size > maxField && guess:
				return append(b, "long"...)
			case s.size > maxField:
				x.fail(j, "too-long", "a text longer than 1 MiB")
				return b
			}
			if x.long += s.size; x.long > maxLongText || x.bad != nil {
				x.fail(j, "too-large", "the long texts unpack to more than 1 GiB: leave the column out")
				return b
			}
			raw := make([]byte, s.size)
			if _, err := d.in.r.ReadAt(raw, s.at); err != nil {
				x.fail(j, "damaged", "the file is damaged")
				return b
			}
			if s.text {
				raw = upToNUL(raw)
			}
			return x.appendText(b, j, raw)
		}
	}
	number := as == "number" || as == "integer" || as == "boolean"
	labels := c.labels
	if number || as == "date" || as == "month" {
		labels = nil
	}
	period := dtaPeriod(c.format)
	if number {
		period = 0
	}
	return func(b, cell []byte) []byte {
		v, ok := d.value(c.kind, cell)
		switch {
		case !ok:
			return b
		case labels != nil:
			return append(b, labels[int32(v)]...)
		case period != 0:
			return appendPeriod(b, v, period, as)
		}
		return appendFloat(b, v)
	}
}

func (x *dtaInput) appendText(b []byte, j int, raw []byte) []byte {
	s, err := x.d.decode(raw)
	if err != "" {
		x.fail(j, "encoding", err)
	}
	return append(b, s...)
}

// value is a number of the file; ok is false where it is one of Stata's missing values.
// Whole numbers of four bytes are exact in a float64.
func (d *dtaFile) value(k dtaKind, cell []byte) (v float64, ok bool) {
	switch k {
	case dtaByte:
		n := int8(cell[0])
		return float64(n), n <= maxDTAByte
	case dtaInt:
		n := int16(d.in.order.Uint16(cell))
		return float64(n), n <= maxDTAInt
	case dtaLong:
		n := int32(d.in.order.Uint32(cell))
		return float64(n), n <= maxDTALong
	case dtaFloat:
		v = float64(math.Float32frombits(d.in.order.Uint32(cell)))
		return v, !(v >= minDTAFloat && !math.IsInf(v, 1))
	}
	v = math.Float64frombits(d.in.order.Uint64(cell))
	return v, !(v >= minDTAReal && !math.IsInf(v, 1))
}

// useLabels reads the data once and lets a column have its labels where every value
// has one and no two values would become the same, or missing.
func (d *dtaFile) useLabels() error {
	var cols []*dtaColumn
	seen := map[*dtaColumn]map[int32]string{}
	for j := range d.cols {
		c := &d.cols[j]
		if len(d.tables[c.table]) > 0 && c.kind < dtaString && dtaPeriod(c.format) == 0 {
			cols, seen[c] = append(cols, c), map[int32]string{}
		}
	}
	if len(cols) == 0 {
		return nil
	}
	err := d.blocks(context.Background(), func(b []byte, rows int) error {
		for _, c := range cols {
			used, labels := seen[c], d.tables[c.table]
			for i := 0; used != nil && i < rows; i++ {
				at := i*d.width + c.at
				v, ok := d.value(c.kind, b[at:at+c.width])
				if !ok {
					continue
				}
				code := int32(v)
				if _, known := used[code]; known && float64(code) == v {
					continue
				}
				raw, labelled := labels[code]
				if !labelled || float64(code) != v {
					used = nil
					break
				}
				text, bad := d.decode(raw)
				if bad != "" {
					return problem(d.file, 0, c.name, "encoding", "the value labels: %s", bad)
				}
				used[code] = headerName(string(text))
			}
			seen[c] = used
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range cols {
		c.takeLabels(d.file, seen[c])
	}
	return nil
}

func (c *dtaColumn) takeLabels(file string, used map[int32]string) {
	text := file + ": column " + strconv.Quote(c.name) + " "
	if used == nil {
		c.note = &table.Note{Code: "labels-partial", Text: text + "has values without a value label, and is read as numbers.",
			Args: map[string]any{"file": file, "column": c.name}}
		return
	}
	twice := make(map[string]bool, len(used))
	for _, l := range used {
		if l == "" || l == "." || slices.Contains(flatMissing, l) || twice[l] {
			c.note = &table.Note{Code: "labels-ambiguous", Text: text + "has value labels that are empty, marks of missing values or the same for two values, and is read as numbers.",
				Args: map[string]any{"file": file, "column": c.name}}
			return
		}
		twice[l] = true
	}
	if len(used) > 0 {
		c.labels = used
		c.note = &table.Note{Code: "labels-used", Text: text + "is read by its value labels, not as numbers.",
			Args: map[string]any{"file": file, "column": c.name}}
	}
}
