package table

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// NewTextBytes makes a text column of rows that lie one after the other in data: row i
// is data[offsets[i]:offsets[i+1]]. There is one offset more than rows. The slices
// are taken over, not copied. See [NewFloat] for valid.
func NewTextBytes(f Field, data []byte, offsets []int32, valid []bool) (Column, error) {
	f.Kind = TextKind
	if len(offsets) == 0 || offsets[0] != 0 || int(offsets[len(offsets)-1]) != len(data) {
		return Column{}, fmt.Errorf("column %q: offsets do not cover the text: %w", f.Name, ErrShape)
	}
	n := len(offsets) - 1
	if valid != nil && len(valid) != n {
		return Column{}, fmt.Errorf("column %q has %d rows and %d validity marks: %w", f.Name, n, len(valid), ErrShape)
	}
	for i := range n {
		if offsets[i] > offsets[i+1] {
			return Column{}, fmt.Errorf("column %q: offsets go down at row %d: %w", f.Name, i+1, ErrShape)
		}
	}
	var nulls *memory.Buffer
	missing := 0
	if valid != nil {
		bits, set := bitmap(valid)
		if missing = n - set; missing > 0 {
			nulls = memory.NewBufferBytes(bits)
		}
	}
	d := array.NewData(arrow.BinaryTypes.String, n, []*memory.Buffer{
		nulls, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(data),
	}, nil, missing, 0)
	return Column{f, array.NewStringData(d)}, nil
}

// Levels returns the levels of a category column without unpacking its rows; nil for
// every other kind.
func (c Column) Levels() []string {
	d, ok := c.data.(*array.Dictionary)
	if !ok {
		return nil
	}
	dict := d.Dictionary().(*array.String)
	out := make([]string, dict.Len())
	for i := range out {
		out[i] = dict.Value(i)
	}
	return out
}
