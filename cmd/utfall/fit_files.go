package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"utfall/ingest"
	"utfall/table"
)

// replaceFile puts a file in its place whole or not at all.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("%w: %w", ingest.ErrResource, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("%w: %w", ingest.ErrResource, err)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeTable gives a table as CSV: comma, decimal point, empty = missing.
func writeTable(w io.Writer, t *table.Table) error {
	c := csv.NewWriter(w)
	fields := t.Fields()
	cols := make([][]string, len(fields))
	header := make([]string, len(fields))
	for j, f := range fields {
		header[j] = f.Name
		cols[j] = make([]string, t.Rows())
		if f.Kind == table.FloatKind {
			v, err := t.Float(f.Name)
			if err != nil {
				return err
			}
			for i, x := range v.Values {
				if v.Has(i) {
					cols[j][i] = shortest(x)
				}
			}
			continue
		}
		text, has, err := t.Text(f.Name)
		if err != nil {
			return err
		}
		for i, s := range text {
			if len(has) == 0 || has[i] {
				cols[j][i] = s
			}
		}
	}
	c.Write(header)
	row := make([]string, len(fields))
	for i := range t.Rows() {
		for j := range cols {
			row[j] = cols[j][i]
		}
		c.Write(row)
	}
	c.Flush()
	return c.Error()
}
