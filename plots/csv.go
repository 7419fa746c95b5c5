package plots

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sheet collects the rows of a figure's CSV. Cells are strings, ints or float64s; a
// NaN is an empty cell.
type sheet struct {
	header []string
	rows   [][]any
}

func (t *sheet) add(cells ...any) { t.rows = append(t.rows, cells) }

func (t *sheet) bytes() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(t.header); err != nil {
		return nil, err
	}
	record := make([]string, len(t.header))
	for _, row := range t.rows {
		if len(row) != len(record) {
			return nil, fmt.Errorf("a row of %d cells under %d headings", len(row), len(record))
		}
		for i, cell := range row {
			switch v := cell.(type) {
			case string:
				record[i] = harmless(v)
			case int:
				record[i] = strconv.Itoa(v)
			case float64:
				record[i] = ""
				if !math.IsNaN(v) {
					record[i] = strconv.FormatFloat(v, 'g', -1, 64)
				}
			default:
				return nil, fmt.Errorf("a cell of type %T", cell)
			}
		}
		if err := w.Write(record); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// harmless puts an apostrophe before a label that a spreadsheet would run as a
// formula: one where a line, after spaces, begins with = + - @, tab or carriage
// return. Numbers do not come here, so a negative estimate stays a number.
func harmless(s string) string {
	if strings.HasPrefix(s, "\r") {
		return "'" + s
	}
	for _, line := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimLeft(line, " \u00a0\u2007\u202f\ufeff")
		if line != "" && strings.ContainsRune("=+-@\t", rune(line[0])) {
			return "'" + s
		}
	}
	return s
}
