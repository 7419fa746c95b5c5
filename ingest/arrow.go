package ingest

import (
	"context"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// limitAllocator refuses sizes that no intact file of the given length asks for: a
// damaged length could otherwise take all memory, which cannot be recovered from.
type limitAllocator struct {
	memory.Allocator
	limit int
}

func (a *limitAllocator) Allocate(n int) []byte {
	if n < 0 || n > a.limit {
		panic("allocation beyond the limit")
	}
	return a.Allocator.Allocate(n)
}

func (a *limitAllocator) Reallocate(n int, b []byte) []byte {
	if n < 0 || n > a.limit {
		panic("allocation beyond the limit")
	}
	return a.Allocator.Reallocate(n, b)
}

// newLimit allows an allocation of 1000 times the file, at most 2 GiB and at least 64 MiB.
func newLimit(size int64) *limitAllocator {
	return &limitAllocator{memory.NewGoAllocator(), int(min(max(size, 64<<10)*1000, math.MaxInt32))}
}

// openArrow opens an IPC file or stream. Both are read as a stream: a file is a stream
// between two marks.
func openArrow(f *os.File, size int64, name string) (input, error) {
	c := &cellFile{file: name, f: f}
	var stream *io.SectionReader
	open := func() (*ipc.Reader, error) {
		if _, err := stream.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return ipc.NewReader(stream, ipc.WithAllocator(newLimit(size)))
	}
	err := guarded(name, func() (err error) {
		if stream, err = checkMessages(f, size); err != nil {
			return err
		}
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Release()
		for _, fd := range r.Schema().Fields() {
			if text(fd.Type) == nil {
				return problem(name, 0, fd.Name, "nested", "columns of the Arrow type %s cannot be read", fd.Type)
			}
			c.header = append(c.header, fd.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.rows = func(ctx context.Context, need []bool, take func(int, [][]byte) error) error {
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Release()
		line := 0
		for r.Next() {
			rec := r.Record()
			write := make([]func(b []byte, i int) []byte, rec.NumCols())
			for j, a := range rec.Columns() {
				if need == nil || need[j] {
					write[j] = text(a.DataType())(a)
				}
			}
			if err := rowsOf(int(rec.NumRows()), write, &line, take); err != nil {
				return err
			}
		}
		return r.Err()
	}
	return c, nil
}

// rowsOf writes the cells of rows into one buffer and hands them over row by row.
func rowsOf(n int, write []func([]byte, int) []byte, line *int, take func(int, [][]byte) error) error {
	fields, ends := make([][]byte, len(write)), make([]int, len(write))
	var buf []byte
	for i := range n {
		buf = buf[:0]
		for j, w := range write {
			if w != nil {
				buf = w(buf, i)
			}
			ends[j] = len(buf)
		}
		from := 0
		for j, e := range ends {
			fields[j] = buf[from:e:e]
			from = e
		}
		*line++
		if err := take(*line, fields); err != nil {
			return err
		}
	}
	return nil
}

// text returns how cells of an Arrow type are written, nil for types without a form.
func text(t arrow.DataType) func(a arrow.Array) func(b []byte, i int) []byte {
	cells := func(f func(a arrow.Array) func(b []byte, i int) []byte) func(arrow.Array) func([]byte, int) []byte {
		return func(a arrow.Array) func([]byte, int) []byte {
			w := f(a)
			return func(b []byte, i int) []byte {
				if a.IsNull(i) {
					return b
				}
				return w(b, i)
			}
		}
	}
	switch t := t.(type) {
	case *arrow.NullType:
		return func(arrow.Array) func([]byte, int) []byte { return func(b []byte, _ int) []byte { return b } }
	case *arrow.BooleanType:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Boolean)
			return func(b []byte, i int) []byte { return strconv.AppendBool(b, v.Value(i)) }
		})
	case *arrow.Int8Type:
		return cells(signed(func(a arrow.Array) []int8 { return a.(*array.Int8).Int8Values() }))
	case *arrow.Int16Type:
		return cells(signed(func(a arrow.Array) []int16 { return a.(*array.Int16).Int16Values() }))
	case *arrow.Int32Type:
		return cells(signed(func(a arrow.Array) []int32 { return a.(*array.Int32).Int32Values() }))
	case *arrow.Int64Type:
		return cells(signed(func(a arrow.Array) []int64 { return a.(*array.Int64).Int64Values() }))
	case *arrow.Uint8Type:
		return cells(unsigned(func(a arrow.Array) []uint8 { return a.(*array.Uint8).Uint8Values() }))
	case *arrow.Uint16Type:
		return cells(unsigned(func(a arrow.Array) []uint16 { return a.(*array.Uint16).Uint16Values() }))
	case *arrow.Uint32Type:
		return cells(unsigned(func(a arrow.Array) []uint32 { return a.(*array.Uint32).Uint32Values() }))
	case *arrow.Uint64Type:
		return cells(unsigned(func(a arrow.Array) []uint64 { return a.(*array.Uint64).Uint64Values() }))
	case *arrow.Float32Type:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Float32).Float32Values()
			return func(b []byte, i int) []byte { return appendFloat(b, float64(v[i])) }
		})
	case *arrow.Float64Type:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Float64).Float64Values()
			return func(b []byte, i int) []byte { return appendFloat(b, v[i]) }
		})
	case *arrow.Date32Type:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Date32).Date32Values()
			return func(b []byte, i int) []byte { return appendTime(b, time.Unix(int64(v[i])*86400, 0)) }
		})
	case *arrow.Date64Type:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Date64).Date64Values()
			return func(b []byte, i int) []byte { return appendTime(b, time.UnixMilli(int64(v[i]))) }
		})
	case *arrow.TimestampType:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			v := a.(*array.Timestamp).TimestampValues()
			return func(b []byte, i int) []byte { return appendTime(b, v[i].ToTime(t.Unit)) }
		})
	case *arrow.StringType, *arrow.LargeStringType, *arrow.Decimal128Type, *arrow.Decimal256Type:
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			if v, ok := a.(*array.String); ok {
				return func(b []byte, i int) []byte { return append(b, v.Value(i)...) }
			}
			return func(b []byte, i int) []byte { return append(b, a.ValueStr(i)...) }
		})
	case *arrow.DictionaryType:
		values := text(t.ValueType)
		if values == nil {
			return nil
		}
		return cells(func(a arrow.Array) func([]byte, int) []byte {
			d := a.(*array.Dictionary)
			w := values(d.Dictionary())
			return func(b []byte, i int) []byte { return w(b, d.GetValueIndex(i)) }
		})
	}
	return nil
}

func signed[T int8 | int16 | int32 | int64](values func(arrow.Array) []T) func(arrow.Array) func([]byte, int) []byte {
	return func(a arrow.Array) func([]byte, int) []byte {
		v := values(a)
		return func(b []byte, i int) []byte { return strconv.AppendInt(b, int64(v[i]), 10) }
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](values func(arrow.Array) []T) func(arrow.Array) func([]byte, int) []byte {
	return func(a arrow.Array) func([]byte, int) []byte {
		v := values(a)
		return func(b []byte, i int) []byte { return strconv.AppendUint(b, uint64(v[i]), 10) }
	}
}

// appendFloat writes the shortest digits that give the number back; a NaN or an
// infinity becomes a word that no number column accepts.
func appendFloat(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// appendTime writes a date, or a moment that no date column accepts where it is not midnight.
func appendTime(b []byte, t time.Time) []byte {
	if t = t.UTC(); t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 && t.Nanosecond() == 0 {
		return t.AppendFormat(b, "2006-01-02")
	}
	return t.AppendFormat(b, time.RFC3339Nano)
}
