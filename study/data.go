package study

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sort"

	"utfall/estimate"
	"utfall/ingest"
	"utfall/study/release"
	"utfall/table"
)

// dataset is one data file as it was read, rows in an order that the file's does not decide.
type dataset struct {
	name    string
	table   *table.Table
	result  *ingest.Result
	line    func(row int) int            // of the file, for a row of table
	sealed  func() (*table.Table, error) // the outcome columns, row by row; nil = none, or they are open
	logical string
}

// ingest reads every data file of the study, or takes them from the store.
func (s *state) ingest() error {
	s.data = map[string]*dataset{}
	stored := false
	var err error
	if s.o.Resume && s.o.StoreDir != "" {
		if stored, err = s.loadStore(); err != nil {
			return err
		}
	}
	if !stored {
		if err := s.readAll(); err != nil {
			return err
		}
		if s.o.StoreDir != "" && s.o.Resume {
			if err := s.saveStore(); err != nil {
				return err
			}
		}
	}
	s.seal()
	if s.truth, err = s.loadTruth(); err != nil {
		return err
	}
	if err := s.loadLadders(); err != nil {
		return err
	}
	return s.checkTruth()
}

func (s *state) readAll() error {
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
	return s.settle()
}

// read reads one data file by its declaration.
func (s *state) read(ctx context.Context, name string) (*dataset, error) {
	src := s.spec.Data[name]
	res, err := ingest.Read(ctx, filepath.Join(s.o.DataDir, filepath.FromSlash(src.Path)), src.Source, ingest.Options{Name: src.Path, Workers: s.o.Workers})
	if err != nil {
		return nil, inputError(name, err)
	}
	return &dataset{name: name, result: res}, nil
}

// settle checks the files of a register against each other, and orders the rows.
func (s *state) settle() error {
	var members []*ingest.Member
	names := sortedKeys(s.data)
	for _, name := range names {
		src := s.spec.Data[name]
		members = append(members, &ingest.Member{Name: src.Path, Kind: ingest.Kind(src.Kind), Source: &src.Source, Result: s.data[name].result})
	}
	if err := ingest.CheckRegister(ingest.RegisterOptions{}, members...); err != nil {
		return err
	}
	for _, name := range names {
		d := s.data[name]
		t := d.result.Table
		order, err := sortRows(t, s.spec.Data[name])
		if err != nil {
			return err
		}
		d.table = t.Take(order)
		d.line = func(row int) int { return d.result.Line(order[row]) }
		sum, err := ingest.LogicalHash(t, nil)
		if err != nil {
			return err
		}
		d.logical = hex.EncodeToString(sum[:])
	}
	return s.panels()
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

// rejected releases a number of rejected rows: none is a number that says nothing of anybody.
func (s *state) rejected(n, of int) release.Count {
	if n == 0 {
		return release.StructuralZero()
	}
	return s.policy.Part(n, of)
}

// inputs describes the data files for the manifest.
func (s *state) inputs() []InputFile {
	var out []InputFile
	for _, name := range sortedKeys(s.data) {
		d := s.data[name]
		r := d.result.Report
		out = append(out, InputFile{
			Name: name, File: r.File, Bytes: r.Bytes, SHA256: r.SHA256, Logical: d.logical, Encoding: r.Encoding,
			Rows: s.policy.Count(r.Rows).String(), Kept: s.policy.Part(r.Kept, r.Rows).String(), Rejected: s.rejected(r.Rejected, r.Rows).String(),
		})
	}
	for _, name := range sortedKeys(s.ladders) {
		l := s.ladders[name]
		out = append(out, InputFile{Name: "ladder", File: name, Bytes: l.bytes, SHA256: l.digest, Logical: l.digest})
	}
	if s.truth != nil {
		out = append(out, InputFile{Name: "known_truth", File: s.spec.KnownTruth, Bytes: s.truth.bytes, SHA256: s.truth.sum, Logical: s.truth.sum})
	}
	return out
}
