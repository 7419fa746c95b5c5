package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"os"
)

// sasInput is a SAS data set as rows of text. Numbers with a date format are dates
// unless a number is declared.
type sasInput struct {
	*cellFile
	d    *sasFile
	as   []string // declared type of each column
	bad  *Problem
	line int
}

func openSAS(f *os.File, size int64, name, encoding string, rep *Report) (input, error) {
	var d *sasFile
	err := guarded(name, func() (err error) {
		d, err = parseSAS(f, size, name, encoding)
		return err
	})
	if err != nil {
		return nil, err
	}
	rep.Encoding = d.encoding
	return newSASInput(d, f), nil
}

func newSASInput(d *sasFile, f *os.File) *sasInput {
	x := &sasInput{cellFile: &cellFile{file: d.file, f: f}, d: d, as: make([]string, len(d.cols))}
	for i := range d.cols {
		x.header = append(x.header, d.cols[i].name)
	}
	x.rows = x.each
	return x
}

func (x *sasInput) plan(p *plan) {
	x.cellFile.plan(p)
	clear(x.as)
	if p != nil {
		for _, t := range p.targets {
			x.as[t.field] = t.Type
		}
	}
}

// label is the variable label.
func (x *sasInput) label(field int) string { return x.d.cols[field].label }

func (x *sasInput) each(ctx context.Context, need []bool, take func(int, [][]byte) error) error {
	d := x.d
	x.bad, x.line = nil, 0
	var row []byte
	write := make([]func([]byte, int) []byte, len(d.cols))
	for j := range d.cols {
		if need == nil || need[j] {
			cell := x.writer(j)
			c := &d.cols[j]
			write[j] = func(b []byte, _ int) []byte { return cell(b, row[c.at:c.at+c.width]) }
		}
	}
	err := d.eachRow(ctx, func(r []byte) error {
		row = r
		if err := rowsOf(1, write, &x.line, take); err != nil {
			return err
		}
		if x.bad != nil {
			return x.bad
		}
		return nil
	})
	if err == nil && x.line != d.rows {
		return problem(d.file, 0, "", "row-count", "the file announces %d rows and holds %d: it is damaged, or rows are marked as deleted (save it again)", d.rows, x.line)
	}
	return err
}

func (x *sasInput) writer(j int) func(b, cell []byte) []byte {
	d, c, as := x.d, &x.d.cols[j], x.as[j]
	if c.text {
		return func(b, cell []byte) []byte {
			s, bad := d.decode(bytes.TrimRight(cell, " \x00"))
			if bad != "" && x.bad == nil {
				x.bad = problem(x.file, x.line+1, c.name, "encoding", "%s", bad)
			}
			return append(b, s...)
		}
	}
	perDay := sasPerDay(c.format)
	if as == "number" || as == "integer" || as == "boolean" {
		perDay = 0
	}
	return func(b, cell []byte) []byte {
		v := d.value(cell)
		switch {
		case math.IsNaN(v): // every NaN is one of SAS's 28 missing values
			return b
		case perDay != 0:
			return appendMoment(b, v, perDay)
		}
		return appendFloat(b, v)
	}
}

// value is a float64 of which the file keeps the leading 3 to 8 bytes.
func (d *sasFile) value(cell []byte) float64 {
	var full [8]byte
	if d.in.order == binary.LittleEndian {
		copy(full[8-len(cell):], cell)
	} else {
		copy(full[:], cell)
	}
	return math.Float64frombits(d.in.order.Uint64(full[:]))
}

// sasPerDay is how many units of a date format make a day: 1 for dates, seconds for
// datetimes, 0 for every other format.
func sasPerDay(format string) float64 {
	n := len(format)
	for n > 0 && (format[n-1] == '.' || format[n-1]-'0' <= 9) {
		n--
	}
	switch format[:n] {
	case "DATE", "DDMMYY", "MMDDYY", "YYMMDD", "DDMMYYB", "DDMMYYC", "DDMMYYD", "DDMMYYN", "DDMMYYP", "DDMMYYS",
		"MMDDYYB", "MMDDYYC", "MMDDYYD", "MMDDYYN", "MMDDYYP", "MMDDYYS", "YYMMDDB", "YYMMDDC", "YYMMDDD", "YYMMDDN", "YYMMDDP", "YYMMDDS",
		"E8601DA", "B8601DA", "IS8601DA", "JULIAN", "WEEKDATE", "WEEKDATX", "WORDDATE", "WORDDATX", "MONYY", "YYMON", "NLDATE", "EURDFDD", "EURDFDE":
		return 1
	case "DATETIME", "E8601DT", "B8601DT", "IS8601DT", "DTDATE", "DATEAMPM", "MDYAMPM", "NLDATM", "EURDFDT":
		return 86_400
	}
	return 0
}
