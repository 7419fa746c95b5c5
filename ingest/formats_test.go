package ingest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"utfall/table"
)

// formatsSource declares the table that formatsTable gives.
func formatsSource() Source {
	return Source{Path: "x", Columns: []Column{
		{Name: "id", Type: "text", Required: true}, {Name: "n", Type: "integer"}, {Name: "x", Type: "number"},
		{Name: "yes", Type: "boolean"}, {Name: "day", Type: "date"}, {Name: "group", Type: "category"}, {Name: "month", Type: "month"},
	}}
}

func formatsTable(t testing.TB, n int) *table.Table {
	t.Helper()
	ids, ns, xs, bs, ds, gs, ms, ok := make([]string, n), make([]int64, n), make([]float64, n), make([]bool, n), make([]int32, n), make([]int32, n), make([]int32, n), make([]bool, n)
	for i := range n {
		ids[i], ns[i], xs[i] = fmt.Sprintf("å%04d", i), int64(i*i)-7, float64(i)/7-3
		bs[i], ds[i], gs[i], ok[i] = i%3 == 0, int32(16000+i), int32(i%3), i%5 != 2
		ms[i] = epochDays(2015+i/12%10, 1+i%12, 1)
	}
	ns[n-1] = 1<<53 + 1
	g, err := table.NewCategory(table.Field{Name: "group"}, gs, []string{"a", "b", "ö"}, ok)
	require.NoError(t, err)
	tab, err := table.New(table.NewText(table.Field{Name: "id"}, ids, nil), table.NewInteger(table.Field{Name: "n"}, ns, nil),
		table.NewFloat(table.Field{Name: "x"}, xs, ok), table.NewBoolean(table.Field{Name: "yes"}, bs, ok),
		table.NewDate(table.Field{Name: "day"}, ds, ok), g, table.NewDate(table.Field{Name: "month"}, ms, nil))
	require.NoError(t, err)
	return tab
}

// cellsOf writes every row as text, the way a CSV file has it.
func cellsOf(t testing.TB, tab *table.Table) [][]string {
	t.Helper()
	out := make([][]string, tab.Rows()+1)
	for _, f := range tab.Fields() {
		out[0] = append(out[0], f.Name)
		c, err := tab.Column(f.Name)
		require.NoError(t, err)
		w := text(tab.Record().Column(len(out[0]) - 1).DataType())(tab.Record().Column(len(out[0]) - 1))
		require.Equal(t, tab.Rows(), c.Len())
		for i := range tab.Rows() {
			out[i+1] = append(out[i+1], string(w(nil, i)))
		}
	}
	return out
}

func writeCSV(t testing.TB, tab *table.Table) string {
	var b strings.Builder
	for _, r := range cellsOf(t, tab) {
		b.WriteString(strings.Join(r, ",") + "\n")
	}
	return dataFile(t, "x.csv", b.String())
}

func writeXLSX(t testing.TB, tab *table.Table) string {
	x := excelize.NewFile()
	defer x.Close()
	style, err := x.NewStyle(&excelize.Style{NumFmt: 14})
	require.NoError(t, err)
	for i, r := range cellsOf(t, tab) {
		for j, v := range r {
			cell, err := excelize.CoordinatesToCellName(j+1, i+1)
			require.NoError(t, err)
			var set any = v
			kind := tab.Fields()[j].Kind
			switch {
			case v == "":
				continue
			case i > 0 && kind == table.FloatKind:
				f, err := tab.Float(tab.Fields()[j].Name)
				require.NoError(t, err)
				set = f.Values[i-1]
			case i > 0 && kind == table.IntegerKind && len(v) < 15:
				f, err := tab.Integer(tab.Fields()[j].Name)
				require.NoError(t, err)
				set = f.Values[i-1]
			case i > 0 && kind == table.BooleanKind:
				set = v == "true"
			case i > 0 && kind == table.DateKind:
				f, err := tab.Float(tab.Fields()[j].Name)
				require.NoError(t, err)
				set = time.Unix(int64(f.Values[i-1])*86400, 0).UTC()
			}
			require.NoError(t, x.SetCellValue("Sheet1", cell, set))
			if i > 0 && kind == table.DateKind {
				require.NoError(t, x.SetCellStyle("Sheet1", cell, cell, style))
			}
		}
	}
	path := filepath.Join(t.TempDir(), "x.xlsx")
	require.NoError(t, x.SaveAs(path))
	return path
}

func writeParquet(t testing.TB, tab *table.Table) string {
	path := filepath.Join(t.TempDir(), "x.parquet")
	f, err := os.Create(path)
	require.NoError(t, err)
	at := array.NewTableFromRecords(tab.Schema(), []arrow.Record{tab.Record()})
	require.NoError(t, pqarrow.WriteTable(at, f, 300, parquet.NewWriterProperties(parquet.WithDataPageSize(64<<10)), pqarrow.DefaultWriterProps()))
	return path
}

func writeArrow(t testing.TB, tab *table.Table, stream bool) string {
	var b bytes.Buffer
	path := filepath.Join(t.TempDir(), "x.arrow")
	if stream {
		w := ipc.NewWriter(&b, ipc.WithSchema(tab.Schema()))
		require.NoError(t, w.Write(tab.Record().NewSlice(0, 10)))
		require.NoError(t, w.Write(tab.Record().NewSlice(10, int64(tab.Rows()))))
		require.NoError(t, w.Close())
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
		return path
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	w, err := ipc.NewFileWriter(f, ipc.WithSchema(tab.Schema()))
	require.NoError(t, err)
	require.NoError(t, w.Write(tab.Record()))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return path
}

// M21: one table, five files, the same table again.
func TestSameTableFromEveryFormat(t *testing.T) {
	want := formatsTable(t, 1000)
	paths := map[string]string{"csv": writeCSV(t, want), "xlsx": writeXLSX(t, want), "parquet": writeParquet(t, want),
		"arrow file": writeArrow(t, want, false), "arrow stream": writeArrow(t, want, true)}
	hash, err := LogicalHash(want, nil)
	require.NoError(t, err)
	var flat [][]string
	for _, name := range []string{"csv", "xlsx", "parquet", "arrow file", "arrow stream"} {
		r, err := Read(context.Background(), paths[name], formatsSource(), Options{Workers: 2})
		require.NoError(t, err, name)
		require.Equal(t, want.Rows(), r.Report.Kept, name)
		require.Equal(t, cellsOf(t, want), cellsOf(t, r.Table), name)
		got, err := LogicalHash(r.Table, nil)
		require.NoError(t, err)
		require.Equal(t, hash, got, name)

		f, err := ReadFlat(context.Background(), paths[name], FlatOptions{Needed: []string{"id", "n", "x", "day", "group"}})
		require.NoError(t, err, name)
		if flat == nil {
			flat = cellsOf(t, f.Table)
		}
		require.Equal(t, flat, cellsOf(t, f.Table), name)
	}
}

func TestWorkbookSheets(t *testing.T) {
	x := excelize.NewFile()
	_, err := x.NewSheet("Besök")
	require.NoError(t, err)
	for cell, v := range map[string]any{"A1": "id", "B1": "v", "A2": "a", "B2": 1.5, "A4": "b", "B4": "2"} { // row 3 is empty
		require.NoError(t, x.SetCellValue("Besök", cell, v))
	}
	path := filepath.Join(t.TempDir(), "bok.xlsx")
	require.NoError(t, x.SaveAs(path))
	src := Source{Path: "bok.xlsx", Columns: []Column{{Name: "id", Type: "text"}, {Name: "v", Type: "integer"}}}
	_, err = Read(context.Background(), path+"#Besök", src, Options{})
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, `bok.xlsx:2: column "v": not a whole number`)
	src.Columns[1].Type = "number"
	r, err := Read(context.Background(), path+"#Besök", src, Options{})
	require.NoError(t, err)
	require.Equal(t, 2, r.Report.Rows)
	require.Equal(t, 4, r.Line(1))
	_, err = Read(context.Background(), path+"#Annat", src, Options{})
	require.ErrorContains(t, err, "no sheet of that name")
	_, err = Read(context.Background(), path, src, Options{})
	require.ErrorContains(t, err, "empty")
	src.Separator = ";"
	_, err = Read(context.Background(), path, src, Options{})
	require.ErrorIs(t, err, ErrSpec)
}

func TestSerialDates(t *testing.T) {
	for _, c := range []struct {
		v    string
		mac  bool
		want string
	}{{"1", false, "1900-01-01"}, {"59", false, "1900-02-28"}, {"60", false, "60"}, {"61", false, "1900-03-01"},
		{"42005", false, "2015-01-01"}, {"40543", true, "2015-01-01"}, {"42005.5", false, "2015-01-01T12:00:00Z"},
		{"2015-01-01", false, "2015-01-01"}, {"20150101", false, "20150101"}, {"0", false, "0"}} {
		require.Equal(t, c.want, serialDate(c.v, c.mac), c.v)
	}
}

func TestFormatsNotBuilt(t *testing.T) {
	for _, name := range []string{"a.sav", "a.xpt"} {
		_, err := ReadFlat(context.Background(), dataFile(t, name, "x"), FlatOptions{})
		require.ErrorIs(t, err, ErrNotBuilt, name)
		require.ErrorIs(t, err, ErrSpec, name)
	}
}

// A damaged file is an ordinary error, and quickly so: cut at many places, and with
// each of the first and last bytes changed.
func TestDamagedFiles(t *testing.T) {
	tab := formatsTable(t, 400)
	for name, path := range map[string]string{"parquet": writeParquet(t, tab), "arrow": writeArrow(t, tab, false), "stream": writeArrow(t, tab, true), "xlsx": writeXLSX(t, tab)} {
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		step := 23
		if name == "xlsx" {
			step = 997
		}
		if testing.Short() {
			step *= 10
		}
		bad := filepath.Join(t.TempDir(), filepath.Base(path))
		try := func(b []byte, what string) {
			require.NoError(t, os.WriteFile(bad, b, 0o600))
			start := time.Now()
			_, err := Read(context.Background(), bad, formatsSource(), Options{})
			require.Less(t, time.Since(start), 5*time.Second, "%s %s", name, what)
			if err != nil {
				require.ErrorIs(t, err, ErrInput, "%s %s", name, what)
			}
		}
		for n := 0; n < len(whole); n += 1 + len(whole)/40 {
			try(whole[:n], fmt.Sprint("cut at ", n))
		}
		for i := 0; i < len(whole); i += step {
			if i > 4096 && i < len(whole)-4096 {
				continue
			}
			for _, x := range []byte{0xFF, 0x01, 0x80} {
				b := bytes.Clone(whole)
				b[i] ^= x
				try(b, fmt.Sprintf("byte %d ^ %x", i, x))
			}
		}
	}
}
