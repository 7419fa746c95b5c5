package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
)

// cellFile is a file of typed cells (Arrow, Parquet, XLSX, Stata, SAS) read as rows of text in one
// form: point as decimal mark, shortest digits that give the number back, ISO dates.
// One path types and checks all formats, so that the same table comes out of each.
type cellFile struct {
	file   string
	header []string
	f      *os.File
	// rows gives every row to take, which may keep nothing of it; only the fields in
	// need have to be filled, all if it is nil.
	rows func(ctx context.Context, need []bool, take func(line int, fields [][]byte) error) error
	need []bool
	shut func()
}

func (c *cellFile) name() string    { return c.file }
func (c *cellFile) names() []string { return c.header }
func (c *cellFile) mark() byte      { return '.' }

func (c *cellFile) close() {
	if c.shut != nil {
		c.shut()
	}
	c.f.Close()
}

func (c *cellFile) plan(p *plan) {
	c.need = nil
	if p != nil {
		c.need = make([]bool, len(c.header))
		for _, t := range p.targets {
			c.need[t.field] = true
		}
	}
}

func (c *cellFile) sum() (string, int64, error) {
	h := sha256.New()
	if _, err := c.f.Seek(0, io.SeekStart); err != nil {
		return "", 0, problem(c.file, 0, "", "read", "the file cannot be read")
	}
	n, err := io.Copy(h, c.f)
	if err != nil {
		return "", 0, problem(c.file, 0, "", "read", "the file cannot be read")
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// cellBatch is the number of rows of a part.
const cellBatch = 1 << 14

func (c *cellFile) parts(ctx context.Context, _ int, make_ func() *part, each func(*part) error) error {
	return batches(ctx, c, make_, each)
}

func (c *cellFile) kinds(ctx context.Context, _ int, make_ func() *guess, each func(*guess) error) error {
	return batches(ctx, c, make_, each)
}

// batches runs the rows through consumers of some thousand rows each. A library that
// panics on a damaged file is an ordinary error: everything runs in this goroutine.
func batches[C consumer](ctx context.Context, c *cellFile, make_ func() C, each func(C) error) (err error) {
	inside := false // our own code is at work: its panics are not the file's
	defer func() {
		if p := recover(); p != nil {
			if inside {
				panic(p)
			}
			err = damaged(c.file)
		}
	}()
	var out C
	n := 0
	err = c.rows(ctx, c.need, func(line int, fields [][]byte) error {
		inside = true
		defer func() { inside = false }()
		if n == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			out = make_()
		}
		out.row(line, fields)
		if n++; n == cellBatch {
			n = 0
			return each(out)
		}
		return nil
	})
	if err != nil {
		var p *Problem
		if !errors.As(err, &p) && ctx.Err() == nil && !errors.Is(err, ErrResource) {
			return damaged(c.file)
		}
		return err
	}
	if n > 0 {
		inside = true
		return each(out)
	}
	return nil
}

func damaged(file string) error {
	return problem(file, 0, "", "damaged", "the file is damaged or not of the format its name says")
}

// guarded runs a library's code on an untrusted file: a panic is a damaged file.
func guarded(file string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(file)
		}
	}()
	err = f()
	var p *Problem
	if err != nil && !errors.As(err, &p) {
		return damaged(file)
	}
	return err
}
