package table

import "github.com/apache/arrow/go/v15/arrow/array"

// TextAt returns the reader of a row's value as [Table.Text] has it, and the number of
// missing values. Of a text column nothing is copied, which for the identifiers of ten
// million people is 160 MB.
func (t *Table) TextAt(name string) (at func(row int) string, missing int, err error) {
	c, err := t.Column(name)
	if err != nil {
		return nil, 0, err
	}
	if a, is := c.data.(*array.String); is {
		if c.Missing() == 0 {
			return a.Value, 0, nil
		}
		return func(row int) string {
			if a.IsNull(row) {
				return ""
			}
			return a.Value(row)
		}, c.Missing(), nil
	}
	values, _, err := t.Text(name)
	if err != nil {
		return nil, 0, err
	}
	return func(row int) string { return values[row] }, c.Missing(), nil
}
