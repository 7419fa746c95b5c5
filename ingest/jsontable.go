package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
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

// readJSONStat reads a data set of JSON-stat 2.
func readJSONStat(name string, pages []map[string]json.RawMessage) (*tableRows, error) {
	page := pages[0]
	if len(pages) > 1 {
		return nil, problem(name, 0, "", "json-shape", "the file holds several tables: save each alone")
	}
	var class string
	if has(page, "class") {
		if err := decodeKey(name, page, "class", &class); err != nil {
			return nil, err
		}
	}
	if class != "" && class != "dataset" {
		return nil, problem(name, 0, "", "json-shape", "the class is not \"dataset\": collections and single dimensions hold no numbers")
	}
	var ids []string
	var size []int
	var dims map[string]struct {
		Category struct {
			Index json.RawMessage   `json:"index"`
			Label map[string]string `json:"label"`
		} `json:"category"`
	}
	for _, x := range []struct {
		key  string
		into any
	}{{"id", &ids}, {"size", &size}, {"dimension", &dims}} {
		if err := decodeKey(name, page, x.key, x.into); err != nil {
			return nil, err
		}
	}
	if len(ids) != len(size) || len(ids) == 0 {
		return nil, problem(name, 0, "", "json-shape", "id and size are not of one length")
	}
	codes := make([][]string, len(ids))
	for j, id := range ids {
		d, ok := dims[id]
		if !ok {
			return nil, problem(name, 0, "", "json-shape", "dimension: %q is missing", id)
		}
		var err error
		if codes[j], err = categoryCodes(name, "dimension."+id+".category", d.Category.Index, d.Category.Label, size[j]); err != nil {
			return nil, err
		}
	}
	cells, err := cellCount(name, codes)
	if err != nil {
		return nil, err
	}
	value, err := sparse(name, page, "value", cells)
	if err != nil {
		return nil, err
	}
	header := append(append([]string(nil), ids...), "value")
	var status [][]byte
	if has(page, "status") {
		if status, err = sparse(name, page, "status", cells); err != nil {
			return nil, err
		}
		header = append(header, "status")
	}
	at := crossed(codes)
	return &tableRows{header: header, rows: cells, fill: func(row int, fields [][]byte) {
		at(row, fields)
		fields[len(ids)] = value[row]
		if status != nil {
			fields[len(ids)+1] = status[row]
		}
	}}, nil
}

// categoryCodes are a dimension's codes in order: a list, or an object from code to
// place; with one category it may be left out.
func categoryCodes(name, key string, index json.RawMessage, label map[string]string, n int) ([]string, error) {
	var list []string
	switch {
	case len(index) == 0 || bytes.Equal(index, []byte("null")):
		for code := range label {
			list = append(list, code)
		}
		if len(list) != 1 {
			return nil, problem(name, 0, "", "json-shape", "%s.index is missing", key)
		}
	case index[0] == '[':
		if err := json.Unmarshal(index, &list); err != nil {
			return nil, jsonProblem(name, key+".index", index, err)
		}
	default:
		var places map[string]int
		if err := json.Unmarshal(index, &places); err != nil {
			return nil, jsonProblem(name, key+".index", index, err)
		}
		list = make([]string, len(places))
		taken := make([]bool, len(places))
		for code, k := range places {
			if k < 0 || k >= len(list) || taken[k] {
				return nil, problem(name, 0, "", "json-shape", "%s.index: the places are not 0, 1, 2 … each once", key)
			}
			list[k], taken[k] = code, true
		}
	}
	if len(list) != n || n == 0 {
		return nil, problem(name, 0, "", "json-shape", "%s: the number of categories is not what size says, or none", key)
	}
	return list, distinct(name, key, list)
}

func distinct(name, key string, list []string) error {
	seen := make(map[string]bool, len(list))
	for _, code := range list {
		if seen[code] {
			return problem(name, 0, "", "duplicate-code", "%s: a code comes twice", key)
		}
		seen[code] = true
	}
	return nil
}

// cellCount is the product of the dimensions' sizes.
func cellCount(name string, codes [][]string) (int, error) {
	n := 1
	for _, c := range codes {
		if n *= len(c); n > maxTableCells {
			return 0, problem(name, 0, "", "too-large", "the table has more than %d cells", maxTableCells)
		}
	}
	return n, nil
}

// crossed writes the codes of a cell: the last dimension runs fastest.
func crossed(codes [][]string) func(cell int, fields [][]byte) {
	bytesOf := make([][][]byte, len(codes))
	for j, list := range codes {
		for _, code := range list {
			bytesOf[j] = append(bytesOf[j], []byte(code))
		}
	}
	return func(cell int, fields [][]byte) {
		for j := len(codes) - 1; j >= 0; j-- {
			n := len(codes[j])
			fields[j] = bytesOf[j][cell%n]
			cell /= n
		}
	}
}

// sparse reads a value per cell: a list, an object from the cell's number to its value,
// or, for status, one text for all.
func sparse(name string, page map[string]json.RawMessage, key string, cells int) ([][]byte, error) {
	raw, ok := page[key]
	if !ok {
		return nil, problem(name, 0, "", "json-shape", "the key %q is missing", key)
	}
	out := make([][]byte, cells)
	switch raw[0] {
	case '[':
		var list []scalar
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, jsonProblem(name, key, raw, err)
		}
		if len(list) != cells {
			return nil, problem(name, 0, "", "json-shape", "%s has %d entries and the dimensions make %d cells", key, len(list), cells)
		}
		for i, v := range list {
			out[i] = v
		}
	case '{':
		var some map[string]scalar
		if err := json.Unmarshal(raw, &some); err != nil {
			return nil, jsonProblem(name, key, raw, err)
		}
		for k, v := range some {
			i, err := strconv.Atoi(k)
			if err != nil || i < 0 || i >= cells {
				return nil, problem(name, 0, "", "json-shape", "%s: a cell's number is not between 0 and %d", key, cells-1)
			}
			out[i] = v
		}
	default:
		var one scalar
		if err := json.Unmarshal(raw, &one); err != nil || key != "status" {
			return nil, jsonProblem(name, key, raw, errors.New("not a list"))
		}
		for i := range out {
			out[i] = one
		}
	}
	return out, nil
}
