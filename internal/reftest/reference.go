package reftest

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// ReferenceDir returns the folder of reference cases: UTFALL_REFERENCE, or
// shared/reference beside the checkout. The comparison suite (build tag
// "reference") fails when it is absent: a missing reference is never a skip.
func ReferenceDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("UTFALL_REFERENCE")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			up := filepath.Dir(root)
			if up == root {
				t.Fatal("no go.mod above the test's folder")
			}
			root = up
		}
		dir = filepath.Join(root, "..", "shared", "reference")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("reference folder: %v", err)
	}
	return dir
}

// CSV holds the columns of a reference file as text.
type CSV map[string][]string

// ReadCSV reads a comma-separated UTF-8 file with a header from the reference folder.
func ReadCSV(t testing.TB, elem ...string) CSV {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{ReferenceDir(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := CSV{}
	for j, name := range rows[0] {
		col := make([]string, len(rows)-1)
		for i, r := range rows[1:] {
			col[i] = r[j]
		}
		out[name] = col
	}
	return out
}

// Floats returns a column as numbers; an empty cell or "NA" is NaN.
func (c CSV) Floats(t testing.TB, name string) []float64 {
	t.Helper()
	col, ok := c[name]
	if !ok {
		t.Fatalf("reference data have no column %q", name)
	}
	out := make([]float64, len(col))
	for i, s := range col {
		if s == "" || s == "NA" {
			out[i] = math.NaN()
			continue
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("column %q row %d: %v", name, i+1, err)
		}
		out[i] = v
	}
	return out
}

// ReadJSON decodes a JSON file of the reference folder into v.
func ReadJSON(t testing.TB, v any, elem ...string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{ReferenceDir(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
