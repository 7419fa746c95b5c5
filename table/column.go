package table

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Kind is the type of a column's values.
type Kind string

// The kinds. A date is a civil date, counted in days since 1970-01-01.
const (
	FloatKind    Kind = "number"
	IntegerKind  Kind = "integer"
	BooleanKind  Kind = "boolean"
	CategoryKind Kind = "category" // text with few distinct values, coded
	TextKind     Kind = "text"     // identifiers and other text that is never analysed
	DateKind     Kind = "date"
)

// Role says what a column is for; a study file may give one to a column.
type Role string

// The roles.
const (
	UnitRole      Role = "unit"
	TimeRole      Role = "time"
	TreatmentRole Role = "treatment"
	OutcomeRole   Role = "outcome"
	CovariateRole Role = "covariate"
	WeightRole    Role = "weight"
	ClusterRole   Role = "cluster"
	SetRole       Role = "set"
)

// Field describes a column: its name, kind, unit of measurement and role.
type Field struct {
	Name string
	Kind Kind
	Unit string
	Role Role
}

// Column is a field with its values. It is immutable; several tables may share it.
type Column struct {
	Field
	data arrow.Array
}

// Len is the number of rows.
func (c Column) Len() int { return c.data.Len() }

// Missing is the number of rows without a value.
func (c Column) Missing() int { return c.data.NullN() }

// Has reports whether row i has a value.
func (c Column) Has(i int) bool { return c.data.IsValid(i) }

// NewFloat makes a column of numbers. valid marks the rows that have a value; nil
// means all do. The slices are taken over, not copied.
func NewFloat(f Field, values []float64, valid []bool) Column {
	f.Kind = FloatKind
	return fixed(f, arrow.PrimitiveTypes.Float64, arrow.Float64Traits.CastToBytes(values), len(values), valid)
}

// NewInteger makes a column of whole numbers; see [NewFloat].
func NewInteger(f Field, values []int64, valid []bool) Column {
	f.Kind = IntegerKind
	return fixed(f, arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(values), len(values), valid)
}

// NewDate makes a column of civil dates in days since 1970-01-01; see [NewFloat].
func NewDate(f Field, days []int32, valid []bool) Column {
	f.Kind = DateKind
	return fixed(f, arrow.FixedWidthTypes.Date32, arrow.Int32Traits.CastToBytes(days), len(days), valid)
}

// NewBoolean makes a column of true and false; see [NewFloat].
func NewBoolean(f Field, values, valid []bool) Column {
	f.Kind = BooleanKind
	buf, _ := bitmap(values)
	return fixed(f, arrow.FixedWidthTypes.Boolean, buf, len(values), valid)
}

// NewCategory makes a column of coded text: row i has levels[codes[i]]. Levels must
// be distinct. See [NewFloat] for valid; the code of a missing row is not read.
func NewCategory(f Field, codes []int32, levels []string, valid []bool) (Column, error) {
	f.Kind = CategoryKind
	seen := make(map[string]bool, len(levels))
	for _, l := range levels {
		if seen[l] {
			return Column{}, fmt.Errorf("column %q: a level is listed twice", f.Name)
		}
		seen[l] = true
	}
	for i, c := range codes {
		if (valid == nil || valid[i]) && (c < 0 || int(c) >= len(levels)) {
			return Column{}, fmt.Errorf("column %q: code of row %d is outside the levels", f.Name, i+1)
		}
		if valid != nil && !valid[i] {
			codes[i] = 0
		}
	}
	dict := stringArray(levels, nil)
	idx := fixed(f, arrow.PrimitiveTypes.Int32, arrow.Int32Traits.CastToBytes(codes), len(codes), valid).data
	typ := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	return Column{f, array.NewDictionaryArray(typ, idx, dict)}, nil
}

// NewText makes a column of text that is carried along and not analysed; see [NewFloat].
func NewText(f Field, values []string, valid []bool) Column {
	f.Kind = TextKind
	return Column{f, stringArray(values, valid)}
}

func stringArray(values []string, valid []bool) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(values, valid)
	return b.NewArray()
}

// fixed wraps a slice of fixed-width values as an Arrow array without copying it.
func fixed(f Field, t arrow.DataType, values []byte, n int, valid []bool) Column {
	var nulls *memory.Buffer
	count := 0
	if valid != nil {
		if len(valid) != n {
			panic(fmt.Sprintf("table: column %q has %d values and %d validity marks", f.Name, n, len(valid)))
		}
		bits, set := bitmap(valid)
		if count = n - set; count > 0 {
			nulls = memory.NewBufferBytes(bits)
		}
	}
	d := array.NewData(t, n, []*memory.Buffer{nulls, memory.NewBufferBytes(values)}, nil, count, 0)
	return Column{f, array.MakeFromData(d)}
}

// bitmap packs marks into Arrow's bit order and counts those set.
func bitmap(marks []bool) (bits []byte, set int) {
	bits = make([]byte, bitutil.CeilByte(len(marks))/8)
	for i, m := range marks {
		if m {
			bits[i/8] |= 1 << (i % 8)
			set++
		}
	}
	return bits, set
}

// valid unpacks an array's validity; nil means that every row has a value.
func valid(a arrow.Array) []bool {
	if a.NullN() == 0 {
		return nil
	}
	out := make([]bool, a.Len())
	for i := range out {
		out[i] = a.IsValid(i)
	}
	return out
}

// CategoryOf makes a category column from text: levels are the distinct values in
// byte order, and no row is missing.
func CategoryOf(f Field, values []string) Column {
	codes, levels := code(len(values), func(int) bool { return true }, func(i int) string { return values[i] }, func(a, b string) bool { return a < b })
	c, err := NewCategory(f, codes, levels, nil)
	if err != nil {
		panic(err) // levels are distinct and codes are theirs
	}
	return c
}
