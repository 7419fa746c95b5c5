package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

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
