package study

import (
	"fmt"

	"utfall/table"
)

// oneLevel says of each category among the covariates that all rows have one value of it: it makes no column, and the model
// is that without it. Numbers that do not vary are told by the methods.
func oneLevel(t *table.Table, rows []int, names []string) ([]table.Note, error) {
	var notes []table.Note
	for _, name := range names {
		c, err := t.Column(name)
		if err != nil {
			return nil, err
		}
		if c.Kind != table.CategoryKind && c.Kind != table.TextKind {
			continue
		}
		v, err := t.Category(name)
		if err != nil {
			return nil, err
		}
		levels, first := 0, int32(-1)
		for _, i := range rows {
			if !v.Has(i) || levels > 1 {
				continue
			}
			if code := int32(v.Codes[i]); levels == 0 || code != first {
				levels, first = levels+1, code
			}
		}
		if levels == 1 {
			notes = append(notes, table.Note{Code: "covariate-one-level", Args: map[string]any{"column": name},
				Text: fmt.Sprintf("The column %s has one value only among those who take part, and has no part in the model.", name)})
		}
	}
	return notes, nil
}
