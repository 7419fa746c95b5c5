package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// dtaVars are variables of every type, with what must be read from them, by hand.
func dtaVars(version int) (vars []dtaVar, want [][]string) {
	name := "Åsa"
	if version < 118 {
		name = "\xc5sa"
	}
	vars = []dtaVar{
		{name: "id", kind: dtaString, width: 6, format: "%6s", cells: []any{"0114", name, "b", ""}},
		{name: "b", kind: dtaByte, format: "%8.0g", cells: []any{-127.0, 100.0, '.', 'z'}},
		{name: "i", kind: dtaInt, format: "%8.0g", cells: []any{-32767.0, 'a', 32740.0, '.'}},
		{name: "l", kind: dtaLong, format: "%12.0g", cells: []any{-2147483647.0, 'b', '.', 2147483620.0}},
		{name: "f", kind: dtaFloat, format: "%9.0g", cells: []any{0.5, '.', 'c', 0x1.fffffep126}},
		{name: "d", kind: dtaDouble, format: "%10.0g", label: "a number", cells: []any{0.1, 'd', -1e-300, '.'}},
		{name: "sex", kind: dtaByte, format: "%8.0g", table: "sexlab", cells: []any{2.0, 1.0, '.', 2.0}},
		{name: "part", kind: dtaDouble, format: "%8.0g", table: "sexlab", cells: []any{1.0, 2.0, 3.0, '.'}},
		{name: "day", kind: dtaInt, format: "%tdD_m_CY", cells: []any{0.0, -1.0, 21915.0, '.'}},
		{name: "old", kind: dtaLong, format: "%d", cells: []any{366.0, '.', 59.0, 60.0}}, // 1960 is a leap year
		{name: "month", kind: dtaInt, format: "%tm", cells: []any{0.0, -1.0, 663.0, '.'}},
		{name: "clock", kind: dtaDouble, format: "%tc", cells: []any{0.0, 86_400_000.0, 3_600_000.0, 'q'}},
	}
	want = [][]string{
		{"id", "b", "i", "l", "f", "d", "sex", "part", "day", "old", "month", "clock"},
		{"0114", "-127", "-32767", "-2147483647", "0.5", "0.1", "kvinna", "1", "1960-01-01", "1961-01-01", "0", "1960-01-01"},
		{"Åsa", "100", "", "", "", "", "1,5", "2", "1959-12-31", "", "-1", "1960-01-02"},
		{"b", "", "32740", "", "", "-1e-300", "", "3", "2020-01-01", "1960-02-29", "663", "1960-01-01T01:00:00Z"},
		{"", "", "", "2147483620", "8.507058665569325e+37", "", "kvinna", "", "", "1960-03-01", "", ""},
	}
	want[4][4] = string(appendFloat(nil, 0x1.fffffep126))
	if version >= 117 {
		vars = append(vars, dtaVar{name: "long", kind: dtaLongString, format: "%9s", cells: []any{"abc", "", name, "abc"}})
		for i, s := range []string{"long", "abc", "", "Åsa", "abc"} {
			want[i] = append(want[i], s)
		}
	}
	return vars, want
}

func dtaBytes(version int, big bool) []byte {
	w := &dtaWriter{version: version, order: binary.LittleEndian, tables: map[string]map[int32]string{"sexlab": {1: "1,5", 2: "kvinna"}}}
	if big {
		w.order = binary.BigEndian
	}
	vars, _ := dtaVars(version)
	return w.write(vars, 4)
}

var dtaVersions = []int{113, 114, 115, 117, 118, 119}

// Every version in both byte orders gives the same cells: missing values of every type at
// their limits, labels, dates, long texts.
func TestDTAByHand(t *testing.T) {
	for _, version := range dtaVersions {
		for _, big := range []bool{false, true} {
			what := fmt.Sprint(version, big)
			_, want := dtaVars(version)
			r, err := ReadFlat(context.Background(), dataFile(t, "x.dta", string(dtaBytes(version, big))), FlatOptions{})
			require.NoError(t, err, what)
			require.Equal(t, want, cellsOf(t, r.Table), what)
			require.Equal(t, "dta", r.Report.Format)
			require.Equal(t, map[bool]string{false: "windows-1252", true: "utf-8"}[version >= 118], r.Report.Encoding)
			require.Equal(t, "a number", r.Report.Columns[5].Label)
			require.Equal(t, 4, r.Line(3))
			sex, err := r.Table.Column("sex")
			require.NoError(t, err)
			require.Equal(t, table.CategoryKind, sex.Kind, "labels that look like numbers are labels")
			codes := map[string]string{}
			for _, n := range r.Report.Notes {
				codes[n.Code] += n.Args["column"].(string)
			}
			require.Equal(t, "sex", codes["labels-used"], what)
			require.Equal(t, "part", codes["labels-partial"], what)
		}
	}
}

// A declaration decides between a label and its number, a date and its count.
func TestDTADeclared(t *testing.T) {
	path := dataFile(t, "x.dta", string(dtaBytes(118, true)))
	src := Source{Path: "x.dta", Extra: "ignore", Columns: []Column{
		{Name: "sex", Type: "integer"}, {Name: "day", Type: "date"}, {Name: "days", Source: "old", Type: "date"}, {Name: "month", Type: "month"}, {Name: "part", Type: "category"}}}
	r, err := Read(context.Background(), path, src, Options{})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"sex", "day", "days", "month", "part"},
		{"2", "1960-01-01", "1961-01-01", "1960-01-01", "1"}, {"1", "1959-12-31", "", "1959-12-01", "2"},
		{"", "2020-01-01", "1960-02-29", "2015-04-01", "3"}, {"2", "", "1960-03-01", "", ""}}, cellsOf(t, r.Table))
	require.Len(t, r.Report.Notes, 1)
	src.Columns = []Column{{Name: "sex", Type: "category", Levels: []string{"kvinna", "1,5"}}, {Name: "day", Type: "integer"}, {Name: "month", Type: "date"}}
	r, err = Read(context.Background(), path, src, Options{})
	require.NoError(t, err)
	require.Equal(t, []string{"kvinna", "0", "1960-01-01"}, cellsOf(t, r.Table)[1])
	src.Columns = []Column{{Name: "clock", Type: "date"}}
	_, err = Read(context.Background(), path, src, Options{})
	require.ErrorContains(t, err, `x.dta:3: column "clock": not a date`)
}

// Labels that would make two values one, or a value missing, are not used.
func TestDTAAmbiguousLabels(t *testing.T) {
	for _, labels := range []map[int32]string{{1: "a", 2: "a"}, {1: "a", 2: " a"}, {1: "a", 2: ""}, {1: "NA", 2: "a"}, {1: ".", 2: "a"}} {
		w := &dtaWriter{version: 118, order: binary.LittleEndian, tables: map[string]map[int32]string{"lab": labels}}
		body := w.write([]dtaVar{{name: "x", table: "lab", kind: dtaByte, cells: []any{1.0, 2.0}}}, 2)
		r, err := ReadFlat(context.Background(), dataFile(t, "x.dta", string(body)), FlatOptions{})
		require.NoError(t, err)
		require.Equal(t, [][]string{{"x"}, {"1"}, {"2"}}, cellsOf(t, r.Table))
		require.Equal(t, "labels-ambiguous", r.Report.Notes[0].Code)
	}
}

// Files that R wrote (testdata/dta.R) read as the same table as their CSV.
func TestDTAFromR(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.dta")
	require.NoError(t, err)
	require.Len(t, paths, 11)
	csv, err := ReadFlat(context.Background(), "testdata/dta.csv", FlatOptions{})
	require.NoError(t, err)
	for _, path := range paths {
		want := cellsOf(t, csv.Table)
		base := filepath.Base(path)
		if base[0] == 'f' || base == "haven117.dta" { // written without letters beyond ASCII
			want[2][0], want[6][0] = "b2", "f6"
		}
		if base[0] == 'f' { // foreign gives dates no format
			for i, s := range []string{"0", "-1", "23435", "", "14610", "-21855", "22280"} {
				want[i+1][3] = s
			}
		}
		r, err := ReadFlat(context.Background(), path, FlatOptions{Workers: 2})
		require.NoError(t, err, base)
		require.Equal(t, want, cellsOf(t, r.Table), base)
	}
}

func TestDTARefused(t *testing.T) {
	good := dtaBytes(118, false)
	old := dtaBytes(115, false)
	many := bytes.Replace(good, append([]byte("<N>"), 4, 0, 0, 0, 0, 0, 0, 0), append([]byte("<N>"), 0, 0, 0, 0, 0, 1, 0, 0), 1)
	utf := bytes.Replace(old, []byte("\xc5sa"), []byte("\xc3\xa5a")[:3], 1)
	for _, c := range []struct {
		name, encoding string
		body           []byte
		want           string
	}{
		{"empty", "", nil, "x.dta: this is not a Stata file"},
		{"text", "", []byte("id,x\n1,2\n"), "x.dta: this is not a Stata file"},
		{"version 110", "", append([]byte{110, 2, 1, 0}, old[4:]...), "x.dta: the file has Stata's format 110; 113"},
		{"version 120", "", bytes.Replace(good, []byte(">118<"), []byte(">120<"), 1), "x.dta: the file has Stata's format 120; 113"},
		{"cut", "", good[:len(good)-200], "x.dta: the file ends before what it announces"},
		{"cut old", "", old[:1900], "x.dta: the file ends before what it announces"},
		{"2^40 rows", "", many, "x.dta: the file ends before what it announces"},
		{"utf-8 in an old file", "", utf, `x.dta:2: column "id": the text is UTF-8`},
		{"encoding", "windows-1252", good, "x.dta: a Stata file of format 118 cannot have the encoding"},
		{"encoding", "utf-8", old, `x.dta:2: column "id": the text is not UTF-8`},
		{"identity number", "", bytes.Replace(good, []byte("a number\x00\x00\x00\x00\x00"), []byte("19121212-1212"), 1), "personal identity number"},
		{"no such text", "", bytes.Replace(good, []byte("GSO\x0d"), []byte("GSO\x0c"), 1), `x.dta:1: column "long": the text that the value points to`},
	} {
		_, err := ReadFlat(context.Background(), dataFile(t, "x.dta", string(c.body)), FlatOptions{Encoding: c.encoding})
		require.ErrorIs(t, err, ErrInput, c.name)
		require.ErrorContains(t, err, c.want, c.name)
	}
	r, err := ReadFlat(context.Background(), dataFile(t, "x.dta", string(utf)), FlatOptions{Encoding: "utf-8"})
	require.NoError(t, err)
	require.Equal(t, "åa", cellsOf(t, r.Table)[2][0])
	_, err = ReadFlat(context.Background(), dataFile(t, "x.dta", string(good)), FlatOptions{Separator: ","})
	require.ErrorIs(t, err, ErrSpec)
}

// tryDTA reads bytes as a Stata file: an error is one of ours.
func tryDTA(t *testing.T, path string, b []byte) {
	require.NoError(t, os.WriteFile(path, b, 0o600))
	if _, err := ReadFlat(context.Background(), path, FlatOptions{Workers: 1}); err != nil {
		require.ErrorIs(t, err, ErrInput)
	}
}

func TestDTADamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.dta")
	for _, version := range []int{115, 118} {
		whole := dtaBytes(version, false)
		step := 31
		if testing.Short() {
			step = 211
		}
		for n := 0; n < len(whole); n += step {
			tryDTA(t, path, whole[:n])
			b := bytes.Clone(whole)
			b[n] ^= 0xFF
			tryDTA(t, path, b)
		}
	}
}

func FuzzDTA(f *testing.F) {
	for _, version := range dtaVersions {
		f.Add(dtaBytes(version, version%2 == 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) { // the parser alone, without a file: thousands a second
		err := guarded("x.dta", func() error {
			d, err := parseDTA(bytes.NewReader(b), int64(len(b)), "x.dta", "")
			if err != nil {
				return err
			}
			require.LessOrEqual(t, d.rows*d.width, len(b))
			if err := d.useLabels(); err != nil {
				return err
			}
			rows := 0
			x := newDTAInput(d, nil, &Report{})
			err = x.each(context.Background(), nil, func(_ int, fields [][]byte) error {
				require.Len(t, fields, len(d.cols))
				rows++
				return nil
			})
			if err == nil {
				require.Equal(t, d.rows, rows)
			}
			return err
		})
		if err != nil {
			require.ErrorIs(t, err, ErrInput)
		}
	})
}

// A part of a day, however small, is no midnight; years beyond four digits are no dates.
func TestMoments(t *testing.T) {
	for _, c := range []struct {
		v, perDay float64
		want      string
	}{{0, 1, "1960-01-01"}, {-0.5, 1, "1959-12-31T12:00:00Z"}, {21915.75, 1, "2020-01-01T18:00:00Z"}, {86_399_999, 86_400_000, "1960-01-01T23:59:59.999Z"},
		{1e-15, 1, "1960-01-01T00:00:00.000000001Z"}, {20150101, 1, "20150101d"}, {1e300, 1, "1e+300d"}, {-400_000, 1, "-400000d"}, {86_400, 86_400, "1960-01-02"}} {
		require.Equal(t, c.want, string(appendMoment(nil, c.v, c.perDay)), c.v)
	}
	for _, c := range []struct {
		v      float64
		period byte
		as     string
		want   string
	}{{-1, 'q', "date", "1959-10-01"}, {221, 'q', "month", "2015-04-01"}, {1, 'h', "date", "1960-07-01"}, {2015, 'y', "date", "2015-01-01"}, {2015, 'y', "", "2015"},
		{663, 'm', "date", "2015-04-01"}, {663, 'm', "category", "663"}, {0.5, 'm', "date", "0.5"}, {201504, 'm', "date", "201504p"}} {
		require.Equal(t, c.want, string(appendPeriod(nil, c.v, c.period, c.as)), c)
	}
}

// A million cells: 100,000 observations of ten doubles.
func BenchmarkDTA(b *testing.B) {
	vars := make([]dtaVar, 10)
	for j := range vars {
		vars[j] = dtaVar{name: fmt.Sprintf("x%d", j), kind: dtaDouble, format: "%10.0g", cells: make([]any, 100_000)}
		for i := range vars[j].cells {
			vars[j].cells[i] = float64(i*j) / 7
		}
	}
	w := &dtaWriter{version: 118, order: binary.LittleEndian}
	body := w.write(vars, 100_000)
	path := dataFile(b, "x.dta", string(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := ReadFlat(context.Background(), path, FlatOptions{Workers: 1})
		require.NoError(b, err)
	}
}
