package ingest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// dataFile writes a data file into a folder of the test's own.
func dataFile(t testing.TB, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(body), 0o600))
	return path
}

func visits(path string) Source {
	one := 120.0
	zero := 0.0
	return Source{Path: path, Columns: []Column{
		{Name: "id", Type: "text", Role: "unit", Required: true},
		{Name: "age", Type: "integer", Unit: "years", Min: &zero, Max: &one},
		{Name: "amount", Type: "number", Unit: "SEK"},
		{Name: "from", Type: "date"},
		{Name: "sex", Type: "category", Levels: []string{"woman", "man"}, Of: map[string]string{"K": "woman", "M": "man"}},
	}}
}

const swedish = "id;age;amount;from;sex\n" +
	"å1;17;1 234,5;2015-01-01;K\n" +
	"å2;;−3,25;20160229;man\n" +
	"\"b;\"\"3\";100;;;M\n"

func TestReadCSV(t *testing.T) {
	path := dataFile(t, "visits.csv", swedish)
	r, err := Read(context.Background(), path, visits("visits.csv"), Options{})
	require.NoError(t, err)
	id, ok, err := r.Table.Text("id")
	require.NoError(t, err)
	require.Nil(t, ok)
	require.Equal(t, []string{"å1", "å2", `b;"3`}, id)
	amount, err := r.Table.Float("amount")
	require.NoError(t, err)
	require.Equal(t, []float64{1234.5, -3.25, 0}, amount.Values)
	require.Equal(t, []bool{true, true, false}, amount.Valid)
	require.Equal(t, "SEK", amount.Unit)
	from, err := r.Table.Float("from")
	require.NoError(t, err)
	require.Equal(t, []float64{16436, 16860, 0}, from.Values) // 45 years and 11 leap days; 2016-02-29 is 59 days into the year after
	sex, err := r.Table.Category("sex")
	require.NoError(t, err)
	require.Equal(t, []string{"woman", "man"}, sex.Levels, "declared order")
	require.Equal(t, []int32{0, 1, 1}, sex.Codes)
	require.Equal(t, table.UnitRole, r.Table.Fields()[0].Role)
	require.Equal(t, "semicolon", r.Report.Separator)
	require.Equal(t, "comma", r.Report.Decimal)
	require.Equal(t, "utf-8", r.Report.Encoding)
	require.Equal(t, 3, r.Report.Kept)
	require.Equal(t, 1, r.Report.Columns[1].Missing)
	require.Equal(t, 2, r.Report.Columns[4].Recoded)
	require.Equal(t, int64(len(swedish)), r.Report.Bytes)
	require.Len(t, r.Report.SHA256, 64)
	for i := range 3 {
		require.Equal(t, i+2, r.Line(i))
	}
	require.Zero(t, r.Line(3))
}

// A level that only a rejected row has is no level.
func TestLevelsOfKeptRows(t *testing.T) {
	all := 1.0
	src := Source{Path: "l.csv", MaxRejected: &all, Columns: []Column{{Name: "group", Type: "category"}, {Name: "n", Type: "integer"}}}
	r, err := Read(context.Background(), dataFile(t, "l.csv", "group,n\nb,1\nghost,x\na,2\n"), src, Options{})
	require.NoError(t, err)
	c, err := r.Table.Category("group")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, c.Levels)
	require.Equal(t, []int32{1, 0}, c.Codes)
}

func TestReadFlatCSV(t *testing.T) {
	path := dataFile(t, "d.csv", "id,y,x,code,n\na,1,0.5,0114,9007199254740993\nb,NA,.,1480,2\nc,3,2,0114,3\n")
	r, err := ReadFlat(context.Background(), path, FlatOptions{})
	require.NoError(t, err)
	kinds := map[string]table.Kind{}
	for _, f := range r.Table.Fields() {
		kinds[f.Name] = f.Kind
	}
	require.Equal(t, map[string]table.Kind{"id": "category", "y": "integer", "x": "number", "code": "category", "n": "integer"}, kinds)
	n, err := r.Table.Integer("n")
	require.NoError(t, err)
	require.Equal(t, int64(9007199254740993), n.Values[0])
	code, err := r.Table.Category("code")
	require.NoError(t, err)
	require.Equal(t, []string{"0114", "1480"}, code.Levels)
	require.Equal(t, "codes-kept", r.Report.Notes[0].Code)
}

// NaN is how R and Python write a missing number, with a decimal comma too. Words among
// numbers make categories, and that is said: a year column would silently become dummies.
func TestReadFlatWordsAmongNumbers(t *testing.T) {
	body := "y;x;w;k\n"
	for i := range 20 {
		x, w, k := "1,5", "3", "a"
		switch i {
		case 3:
			x, w = "NaN", "okänd"
		case 4:
			x = "nan"
		case 5, 6, 7:
			k = "2"
		}
		body += "0,5;" + x + ";" + w + ";" + k + "\n"
	}
	r, err := ReadFlat(context.Background(), dataFile(t, "d.csv", body), FlatOptions{})
	require.NoError(t, err)
	x, err := r.Table.Column("x")
	require.NoError(t, err)
	require.Equal(t, table.Kind("number"), x.Kind)
	require.Equal(t, 2, x.Missing())
	require.Len(t, r.Report.Notes, 1)
	n := r.Report.Notes[0]
	require.Equal(t, "mostly-numbers", n.Code)
	require.Equal(t, map[string]any{"file": "d.csv", "column": "w", "numbers": 19, "of": 20}, n.Args)
	require.NotContains(t, n.Text, "okänd")
	r, err = ReadFlat(context.Background(), dataFile(t, "d.csv", body), FlatOptions{Categorical: []string{"w"}})
	require.NoError(t, err)
	require.Empty(t, r.Report.Notes)
}

func BenchmarkReadCSV(b *testing.B) {
	var w bytes.Buffer
	w.WriteString("id,a,b,c,d,e,f,g\n")
	for i := 0; w.Len() < 55_000_000; i++ {
		row := [8]int{i, i % 97, i * 7 % 1000, i * 13 % 100000, i % 2, i * 31 % 7919, i % 12, i * 17 % 65537}
		for j, v := range row {
			if j > 0 {
				w.WriteByte(',')
			}
			w.Write(appendCell(nil, v, j))
		}
		w.WriteByte('\n')
	}
	path := dataFile(b, "big.csv", w.String())
	src := Source{Path: "big.csv"}
	for i, n := range []string{"id", "a", "b", "c", "d", "e", "f", "g"} {
		typ := "number"
		if i%4 == 0 {
			typ = "integer"
		}
		src.Columns = append(src.Columns, Column{Name: n, Type: typ})
	}
	b.SetBytes(int64(w.Len()))
	for _, workers := range []int{1, 2} {
		b.Run("workers="+string(rune('0'+workers)), func(b *testing.B) {
			b.SetBytes(int64(w.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Read(context.Background(), path, src, Options{Workers: workers}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// appendCell writes plain numbers, with decimals in most columns.
func appendCell(out []byte, v, j int) []byte {
	s := make([]byte, 0, 12)
	for n := v; ; n /= 10 {
		s = append(s, byte('0'+n%10))
		if n < 10 {
			break
		}
	}
	for i := len(s) - 1; i >= 0; i-- {
		out = append(out, s[i])
		if i == 2 && j%4 != 0 {
			out = append(out, '.')
		}
	}
	return out
}
