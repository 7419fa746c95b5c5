package table

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Metadata keys under which a field's kind, unit and role travel in an Arrow schema.
const (
	metaKind = "utfall.kind"
	metaUnit = "utfall.unit"
	metaRole = "utfall.role"
)

// Schema returns the Arrow schema of the table, with kinds, units and roles as field metadata.
func (t *Table) Schema() *arrow.Schema {
	fields := make([]arrow.Field, len(t.cols))
	for i, c := range t.cols {
		fields[i] = arrow.Field{
			Name: c.Name, Type: c.data.DataType(), Nullable: true,
			Metadata: arrow.NewMetadata([]string{metaKind, metaUnit, metaRole}, []string{string(c.Kind), c.Unit, string(c.Role)}),
		}
	}
	return arrow.NewSchema(fields, nil)
}

// Record returns the table as one Arrow record that shares its memory.
func (t *Table) Record() arrow.Record {
	arrays := make([]arrow.Array, len(t.cols))
	for i, c := range t.cols {
		arrays[i] = c.data
	}
	return array.NewRecord(t.Schema(), arrays, int64(t.rows))
}

// FromRecord returns a table that shares the memory of a record. Arrow types other
// than those the constructors make (float64, int64, bool, date32, utf8, and
// dictionaries of int32 to utf8) are [ErrKind].
func FromRecord(rec arrow.Record) (*Table, error) {
	cols := make([]Column, rec.NumCols())
	for i, a := range rec.Columns() {
		af := rec.Schema().Field(i)
		f := Field{Name: af.Name}
		switch d := a.DataType().(type) {
		case *arrow.Float64Type:
			f.Kind = FloatKind
		case *arrow.Int64Type:
			f.Kind = IntegerKind
		case *arrow.BooleanType:
			f.Kind = BooleanKind
		case *arrow.Date32Type:
			f.Kind = DateKind
		case *arrow.StringType:
			f.Kind = TextKind
		case *arrow.DictionaryType:
			if d.IndexType.ID() == arrow.INT32 && d.ValueType.ID() == arrow.STRING {
				f.Kind = CategoryKind
			}
		}
		if f.Kind == "" {
			return nil, fmt.Errorf("column %q has the Arrow type %s: %w", af.Name, a.DataType(), ErrKind)
		}
		if k := af.Metadata.FindKey(metaUnit); k >= 0 {
			f.Unit = af.Metadata.Values()[k]
		}
		if k := af.Metadata.FindKey(metaRole); k >= 0 {
			f.Role = Role(af.Metadata.Values()[k])
		}
		a.Retain() // a reader of records releases each one when it gives the next
		cols[i] = Column{f, a}
	}
	return New(cols...)
}
