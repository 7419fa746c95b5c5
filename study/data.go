package study

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sort"

	"utfall/estimate"
	"utfall/ingest"
	"utfall/table"
)

// dataset is one data file as it was read, rows in an order that the file's does not decide.
type dataset struct {
	name    string
	table   *table.Table
	result  *ingest.Result
	line    func(row int) int // of the file, for a row of table
	logical string
}

// ingest reads every data file of the study.
func (s *state) ingest() error {
	s.data = map[string]*dataset{}
	names := sortedKeys(s.spec.Data)
	for i, name := range names {
		s.o.report("ingest", name, i, len(names))
		d, err := s.read(s.ctx, name)
		if err != nil {
			return err
		}
		s.data[name] = d
	}
	s.o.report("ingest", "", len(names), len(names))
	var err error
	if s.truth, err = s.loadTruth(); err != nil {
		return err
	}
	return s.checkTruth()
}

func (s *state) read(ctx context.Context, name string) (*dataset, error) {
	src := s.spec.Data[name]
	res, err := ingest.Read(ctx, filepath.Join(s.o.DataDir, filepath.FromSlash(src.Path)), src.Source, ingest.Options{Name: src.Path, Workers: s.o.Workers})
	if err != nil {
		return nil, inputError(name, err)
	}
	d := &dataset{name: name, result: res}
	order, err := sortRows(res.Table, src)
	if err != nil {
		return nil, err
	}
	d.table = res.Table.Take(order)
	d.line = func(row int) int { return res.Line(order[row]) }
	d.logical, err = logicalHash(res.Table)
	return d, err
}

// inputError says which data an error of ingest is about.
func inputError(name string, err error) error {
	if errors.Is(err, ingest.ErrSpec) {
		return fmt.Errorf("%w: data %s: %w", ErrSpec, name, err)
	}
	return err
}

// rowError turns the row an estimator names into a line of the file.
func (s *state) rowError(data string, err error) error {
	var row *estimate.RowError
	d, ok := s.data[data]
	if !ok || !errors.As(err, &row) {
		return err
	}
	if line := d.line(row.Row); line > 0 {
		return fmt.Errorf("%w: %s:%d: %w", ErrInput, d.result.Report.File, line, row.Err)
	}
	return fmt.Errorf("%w: %s: %w", ErrInput, d.result.Report.File, err)
}

// sortRows orders the rows by the columns that identify them (the key, or the columns
// with role unit and time, or all columns), so that the order of the file carries no information.
func sortRows(t *table.Table, src Source) ([]int, error) {
	var by []string
	by = append(by, src.Key...)
	if by == nil {
		for _, role := range []string{"unit", "time"} {
			for _, c := range src.Columns {
				if c.Role == role {
					by = append(by, c.Name)
				}
			}
		}
	}
	for _, c := range src.Columns {
		by = append(by, c.Name)
	}
	type comparer func(i, j int) int
	var cmps []comparer
	seen := map[string]bool{}
	for _, name := range by {
		if seen[name] {
			continue
		}
		seen[name] = true
		c, err := comparerOf(t, name)
		if err != nil {
			return nil, err
		}
		cmps = append(cmps, c)
	}
	rows := make([]int, t.Rows())
	for i := range rows {
		rows[i] = i
	}
	sort.SliceStable(rows, func(a, b int) bool {
		for _, c := range cmps {
			if d := c(rows[a], rows[b]); d != 0 {
				return d < 0
			}
		}
		return false
	})
	return rows, nil
}

// comparerOf orders rows by one column, missing values first.
func comparerOf(t *table.Table, name string) (func(i, j int) int, error) {
	c, err := t.Column(name)
	if err != nil {
		return nil, err
	}
	missing := func(i, j int) (int, bool) {
		a, b := c.Has(i), c.Has(j)
		switch {
		case a && b:
			return 0, false
		case a == b:
			return 0, true
		case a:
			return 1, true
		}
		return -1, true
	}
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		text, _, err := t.Text(name)
		if err != nil {
			return nil, err
		}
		return func(i, j int) int {
			if d, done := missing(i, j); done {
				return d
			}
			switch {
			case text[i] < text[j]:
				return -1
			case text[i] > text[j]:
				return 1
			}
			return 0
		}, nil
	}
	f, err := t.Float(name)
	if err != nil {
		return nil, err
	}
	return func(i, j int) int {
		if d, done := missing(i, j); done {
			return d
		}
		switch {
		case f.Values[i] < f.Values[j]:
			return -1
		case f.Values[i] > f.Values[j]:
			return 1
		}
		return 0
	}, nil
}

// logicalHash is the sum over rows of a keyed hash of each row: the same for any
// order of the rows and any format of the file.
func logicalHash(t *table.Table) (string, error) {
	type cell func(i int, h []byte) []byte
	var cells []cell
	names := ""
	for _, f := range t.Fields() {
		names += f.Name + "\x00" + string(f.Kind) + "\x00"
		c, err := t.Column(f.Name)
		if err != nil {
			return "", err
		}
		if f.Kind == table.CategoryKind || f.Kind == table.TextKind {
			text, _, err := t.Text(f.Name)
			if err != nil {
				return "", err
			}
			cells = append(cells, func(i int, h []byte) []byte {
				if !c.Has(i) {
					return append(h, 0)
				}
				return append(append(append(h, 1), text[i]...), 0)
			})
			continue
		}
		v, err := t.Float(f.Name)
		if err != nil {
			return "", err
		}
		cells = append(cells, func(i int, h []byte) []byte {
			if !c.Has(i) {
				return append(h, 0)
			}
			return binary.BigEndian.AppendUint64(append(h, 1), math.Float64bits(v.Values[i]))
		})
	}
	key := sha256.Sum256([]byte(names))
	mac := hmac.New(sha256.New, key[:])
	var sum [32]byte
	var row, one []byte
	for i := range t.Rows() {
		row = row[:0]
		for _, c := range cells {
			row = c(i, row)
		}
		mac.Reset()
		mac.Write(row)
		one = mac.Sum(one[:0])
		carry := 0
		for b := 31; b >= 0; b-- {
			carry += int(sum[b]) + int(one[b])
			sum[b] = byte(carry)
			carry >>= 8
		}
	}
	return hex.EncodeToString(sum[:]), nil
}

// inputs describes the data files for the manifest.
func (s *state) inputs() []InputFile {
	var out []InputFile
	for _, name := range sortedKeys(s.data) {
		d := s.data[name]
		r := d.result.Report
		out = append(out, InputFile{
			Name: name, File: r.File, Bytes: r.Bytes, SHA256: r.SHA256, Logical: d.logical, Encoding: r.Encoding,
			Rows: r.Rows, Kept: r.Kept, Rejected: r.Rejected,
		})
	}
	return out
}
