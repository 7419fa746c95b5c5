package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// maxTableCells bounds a table of an agency: beyond it the file is damaged or made to do harm.
const maxTableCells = 50_000_000

// tableRows are the rows of a table of an agency: fill writes the cells of a row.
type tableRows struct {
	header []string
	rows   int
	fill   func(row int, fields [][]byte)
}

// openTable makes an input of rows that are in memory.
func openTable(f *os.File, name string, t *tableRows) input {
	c := &cellFile{file: name, f: f, header: t.header}
	c.rows = func(ctx context.Context, _ []bool, take func(int, [][]byte) error) error {
		fields := make([][]byte, len(t.header))
		for i := range t.rows {
			if i%10_000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			t.fill(i, fields)
			if err := take(i+1, fields); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// readAll reads a text file of at most 1 GiB.
func readAll(f *os.File, size int64, name string) ([]byte, error) {
	if size > maxUnzipped {
		return nil, problem(name, 0, "", "too-large", "the file is larger than 1 GiB: save the table as CSV or Parquet")
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, problem(name, 0, "", "read", "the file cannot be read")
	}
	return bytes.TrimPrefix(b, bomUTF8), nil
}

// openJSON reads a table in one of the agencies' JSON forms, told apart by their keys.
func openJSON(f *os.File, size int64, name string, rep *Report) (input, error) {
	b, err := readAll(f, size, name)
	if err != nil {
		return nil, err
	}
	pages, err := jsonPages(name, b)
	if err != nil {
		return nil, err
	}
	var t *tableRows
	switch first := pages[0]; {
	case has(first, "dimension"), has(first, "class"):
		rep.Format = "json-stat"
		t, err = readJSONStat(name, pages)
	case has(first, "columns") && has(first, "data"):
		rep.Format = "pxweb"
		t, err = readPxWeb(name, pages)
	case has(first, "values"):
		rep.Format = "kolada"
		t, err = readKolada(name, pages)
	default:
		err = problem(name, 0, "", "json-shape", "this is no JSON table that can be read: JSON-stat 2, an answer of PxWeb, or of Kolada; a list of records is best saved as CSV")
	}
	if err != nil {
		return nil, err
	}
	return openTable(f, name, t), nil
}

func has(page map[string]json.RawMessage, key string) bool { _, ok := page[key]; return ok }

// jsonPages splits a file into its objects: one, several one after the other, or a list.
func jsonPages(name string, b []byte) (pages []map[string]json.RawMessage, err error) {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		err = json.Unmarshal(b, &pages)
	} else {
		d := json.NewDecoder(bytes.NewReader(b))
		for {
			var page map[string]json.RawMessage
			if err = d.Decode(&page); errors.Is(err, io.EOF) {
				err = nil
				break
			}
			if err != nil {
				break
			}
			pages = append(pages, page)
		}
	}
	switch {
	case err != nil:
		return nil, jsonProblem(name, "", b, err)
	case len(pages) == 0:
		return nil, problem(name, 0, "", "empty", "the file is empty")
	}
	for _, p := range pages {
		if p == nil {
			return nil, problem(name, 0, "", "json-shape", "a page of the file is null")
		}
	}
	return pages, nil
}

// jsonProblem says where a file stops being JSON, or what key has another type, without
// the value that stands there.
func jsonProblem(name, key string, b []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && key == "":
		line := 1 + bytes.Count(b[:min(int(syntax.Offset), len(b))], []byte{'\n'})
		return problem(name, line, "", "json", "the file is not JSON from here on, or it is cut off")
	case errors.As(err, &kind):
		if kind.Field != "" && key != "" {
			key += "."
		}
		return problem(name, 0, "", "json-shape", "the key %q does not hold what this format has there", key+kind.Field)
	case key != "":
		return problem(name, 0, "", "json-shape", "the key %q does not hold what this format has there", key)
	}
	return problem(name, 0, "", "json", "the file is not JSON, or it is cut off")
}

// decodeKey reads one key of a page.
func decodeKey(name string, page map[string]json.RawMessage, key string, into any) error {
	raw, ok := page[key]
	if !ok {
		return problem(name, 0, "", "json-shape", "the key %q is missing", key)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return jsonProblem(name, key, raw, err)
	}
	return nil
}

// scalar is a JSON number, text or null as a cell: numbers as they are written.
type scalar []byte

func (s *scalar) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		*s = nil
	case b[0] == '"':
		var text string
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		*s = []byte(text)
	case b[0] == '{' || b[0] == '[':
		return errors.New("not a value")
	default:
		*s = bytes.Clone(b)
	}
	return nil
}

// withoutSymbol is nil for the agencies' symbols of a value that does not exist: one to
// six points.
func withoutSymbol(b []byte) []byte {
	if n := len(b); n >= 1 && n <= 6 && bytes.Count(b, []byte{'.'}) == n {
		return nil
	}
	return b
}

// readKolada reads answers of Kolada's data interface, page by page.
func readKolada(name string, pages []map[string]json.RawMessage) (*tableRows, error) {
	type answer struct {
		KPI          scalar `json:"kpi"`
		Municipality scalar `json:"municipality"`
		OU           scalar `json:"ou"`
		Period       scalar `json:"period"`
		Values       []struct {
			Gender scalar `json:"gender"`
			Status scalar `json:"status"`
			Value  scalar `json:"value"`
		} `json:"values"`
	}
	t := &tableRows{}
	var cells [][6][]byte
	place := "municipality"
	for i, page := range pages {
		var answers []answer
		if err := decodeKey(name, page, "values", &answers); err != nil {
			return nil, err
		}
		for _, a := range answers {
			where := a.Municipality
			if a.OU != nil {
				if place = "ou"; a.Municipality != nil {
					return nil, problem(name, 0, "", "json-shape", "values: an answer is about a municipality and a unit at once")
				}
				where = a.OU
			}
			if a.KPI == nil || where == nil || a.Period == nil {
				return nil, problem(name, 0, "", "json-shape", "values: an answer lacks kpi, municipality (or ou), or period: this is not Kolada's data")
			}
			for _, v := range a.Values {
				cells = append(cells, [6][]byte{a.KPI, where, a.Period, v.Gender, v.Status, v.Value})
			}
		}
		for _, key := range []string{"next_page", "next_url"} {
			var next scalar
			if has(page, key) {
				if err := decodeKey(name, page, key, &next); err != nil {
					return nil, err
				}
			}
			if len(next) > 0 && i == len(pages)-1 {
				return nil, problem(name, 0, "", "more-pages", "the file is one page of several (%s): put the others behind it, one after the other", key)
			}
		}
	}
	t.header = []string{"kpi", place, "period", "gender", "status", "value"}
	t.rows = len(cells)
	t.fill = func(row int, fields [][]byte) { copy(fields, cells[row][:]) }
	return t, nil
}

// readPxWeb reads an answer of version 1 of PxWeb's interface.
func readPxWeb(name string, pages []map[string]json.RawMessage) (*tableRows, error) {
	if len(pages) > 1 {
		return nil, problem(name, 0, "", "json-shape", "the file holds several tables: save each alone")
	}
	var columns []struct {
		Code string `json:"code"`
		Type string `json:"type"`
	}
	if err := decodeKey(name, pages[0], "columns", &columns); err != nil {
		return nil, err
	}
	var data []struct {
		Key    []scalar `json:"key"`
		Values []scalar `json:"values"`
	}
	if err := decodeKey(name, pages[0], "data", &data); err != nil {
		return nil, err
	}
	t := &tableRows{rows: len(data)}
	var from []int // column → place among the keys, or -1-place among the values
	keys, values := 0, 0
	for _, c := range columns {
		t.header = append(t.header, c.Code)
		if c.Type == "c" {
			from, values = append(from, -1-values), values+1
		} else {
			from, keys = append(from, keys), keys+1
		}
	}
	for i, d := range data {
		if len(d.Key) != keys || len(d.Values) != values {
			return nil, problem(name, i+1, "", "ragged", "data: the row has another number of keys or values than columns says")
		}
	}
	t.fill = func(row int, fields [][]byte) {
		for j, k := range from {
			if k >= 0 {
				fields[j] = data[row].Key[k]
			} else {
				fields[j] = withoutSymbol(data[row].Values[-1-k])
			}
		}
	}
	return t, nil
}
