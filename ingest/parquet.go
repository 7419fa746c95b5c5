package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

// openParquet reads column chunks one after the other in the calling goroutine: the
// library's own parallel reader panics in goroutines of its own on damaged files,
// which nothing can catch.
func openParquet(f *os.File, size int64, name string) (input, error) {
	if err := checkFooter(f, size); err != nil {
		return nil, damaged(name)
	}
	c := &cellFile{file: name, f: f}
	var r *file.Reader
	var kinds []*schema.Column
	err := guarded(name, func() (err error) {
		if r, err = file.NewParquetReader(f, file.WithReadProps(parquet.NewReaderProperties(newLimit(size)))); err != nil {
			return err
		}
		s := r.MetaData().Schema
		for j := range s.NumColumns() {
			d := s.Column(j)
			if d.MaxRepetitionLevel() > 0 || len(d.ColumnPath()) != 1 || d.MaxDefinitionLevel() > 1 {
				return problem(name, 0, d.Name(), "nested", "the column is nested: only plain columns can be read")
			}
			kinds = append(kinds, d)
			c.header = append(c.header, d.Name())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.rows = func(ctx context.Context, need []bool, take func(int, [][]byte) error) error {
		line := 0
		for g := range r.NumRowGroups() {
			rg := r.RowGroup(g)
			n := int(rg.NumRows())
			write := make([]func([]byte, int) []byte, len(kinds))
			for j, d := range kinds {
				if need != nil && !need[j] {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				col, err := rg.Column(j)
				if err != nil {
					return err
				}
				cells, err := readChunk(col, d, n)
				if err != nil {
					return fmt.Errorf("column %d: %w", j, err)
				}
				write[j] = cells.append
			}
			if err := rowsOf(n, write, &line, take); err != nil {
				return err
			}
		}
		return nil
	}
	return c, nil
}

// checkFooter checks the marks and that the footer lies inside the file.
func checkFooter(f io.ReaderAt, size int64) error {
	var b [8]byte
	if size < 12 {
		return io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(b[:4], 0); err != nil || string(b[:4]) != "PAR1" {
		return io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(b[:], size-8); err != nil || string(b[4:]) != "PAR1" {
		return io.ErrUnexpectedEOF
	}
	if n := int64(binary.LittleEndian.Uint32(b[:4])); n > size-12 || n > 256<<20 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// cellText is one column of a row group as text.
type cellText struct {
	data []byte
	ends []int
}

func (c *cellText) append(b []byte, i int) []byte {
	from := 0
	if i > 0 {
		from = c.ends[i-1]
	}
	return append(b, c.data[from:c.ends[i]]...)
}

const parquetBatch = 8192

var errShort = errors.New("fewer values than rows")

func readChunk(col file.ColumnChunkReader, d *schema.Column, rows int) (*cellText, error) {
	out := &cellText{}
	var err error
	switch c := col.(type) {
	case *file.BooleanColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, strconv.AppendBool)
	case *file.Int32ColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v int32) []byte { return appendInteger(b, int64(v), 32, d.LogicalType()) })
	case *file.Int64ColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v int64) []byte { return appendInteger(b, v, 64, d.LogicalType()) })
	case *file.Int96ColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v parquet.Int96) []byte { return appendTime(b, v.ToTime()) })
	case *file.Float32ColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v float32) []byte { return appendFloat(b, float64(v)) })
	case *file.Float64ColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, appendFloat)
	case *file.ByteArrayColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v parquet.ByteArray) []byte { return appendBytes(b, v, d.LogicalType()) })
	case *file.FixedLenByteArrayColumnChunkReader:
		err = readValues(c.ReadBatch, d, rows, out, func(b []byte, v parquet.FixedLenByteArray) []byte { return appendBytes(b, v, d.LogicalType()) })
	default:
		err = errors.New("unknown physical type")
	}
	return out, err
}

func readValues[T any](read func(int64, []T, []int16, []int16) (int64, int, error), d *schema.Column, rows int, out *cellText, write func([]byte, T) []byte) error {
	values, levels := make([]T, parquetBatch), make([]int16, parquetBatch)
	for len(out.ends) < rows {
		total, got, err := read(int64(min(parquetBatch, rows-len(out.ends))), values, levels, nil)
		if err != nil {
			return err
		}
		if total <= 0 {
			return errShort
		}
		k := 0
		for i := range total {
			if d.MaxDefinitionLevel() == 0 || levels[i] == d.MaxDefinitionLevel() {
				if k >= got {
					return errShort
				}
				out.data = write(out.data, values[k])
				k++
			}
			out.ends = append(out.ends, len(out.data))
		}
	}
	return nil
}

func appendInteger(b []byte, v int64, width int, t schema.LogicalType) []byte {
	switch t := t.(type) {
	case schema.DateLogicalType:
		return appendTime(b, time.Unix(v*86400, 0))
	case schema.TimestampLogicalType:
		switch t.TimeUnit() {
		case schema.TimeUnitMillis:
			return appendTime(b, time.UnixMilli(v))
		case schema.TimeUnitMicros:
			return appendTime(b, time.UnixMicro(v))
		}
		return appendTime(b, time.Unix(v/1e9, v%1e9))
	case schema.DecimalLogicalType:
		return appendScaled(b, big.NewInt(v), int(t.Scale()))
	case schema.IntLogicalType:
		if !t.IsSigned() {
			if width == 32 {
				return strconv.AppendUint(b, uint64(uint32(v)), 10)
			}
			return strconv.AppendUint(b, uint64(v), 10)
		}
	}
	return strconv.AppendInt(b, v, 10)
}

// appendBytes writes text, or a decimal number in two's complement, big end first.
func appendBytes(b, v []byte, t schema.LogicalType) []byte {
	d, ok := t.(schema.DecimalLogicalType)
	if !ok || len(v) == 0 {
		return append(b, v...)
	}
	n := new(big.Int).SetBytes(v)
	if v[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v))))
	}
	return appendScaled(b, n, int(d.Scale()))
}

// appendScaled writes n·10^-scale exactly.
func appendScaled(b []byte, n *big.Int, scale int) []byte {
	s := new(big.Int).Abs(n).String()
	for len(s) <= scale {
		s = "0" + s
	}
	if n.Sign() < 0 {
		b = append(b, '-')
	}
	b = append(b, s[:len(s)-scale]...)
	if scale > 0 {
		b = append(append(b, '.'), s[len(s)-scale:]...)
	}
	return b
}

var _ memory.Allocator = (*limitAllocator)(nil)
