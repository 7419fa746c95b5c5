package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

func panel() Source {
	return Source{Path: "panel.csv", Key: []string{"unit", "year"}, Columns: []Column{
		{Name: "unit", Type: "text"}, {Name: "year", Type: "integer"}, {Name: "y", Type: "number"}}}
}

// The golden corpus of bad files: one clear message each, with file, line and column.
func TestBadInput(t *testing.T) {
	long := strings.Repeat("a", maxField+10)
	wide := strings.Repeat("a,", maxColumns+1)
	many := "unit,year,y\n" + strings.Repeat("a,1,2\n", 5)
	for _, c := range []struct{ name, body, want string }{
		{"missing column", "unit,y\na,1\n", `panel.csv:1: column "year": the file has no such column`},
		{"all missing columns", "z\n1\n", "panel.csv:1: column \"unit\": the file has no such column\npanel.csv:1: column \"year\": the file has no such column\npanel.csv:1: column \"y\": the file has no such column\npanel.csv:1: column \"z\": the column is not declared (extra: ignore leaves such columns out)"},
		{"capital letters", "Unit,year,y\na,1,2\n", "panel.csv:1: column \"unit\": the file has no such column, but one that differs only in capital letters\npanel.csv:1: column \"Unit\": the column is not declared (extra: ignore leaves such columns out)"},
		{"duplicate person-time", "unit,year,y\na,2004,1\nb,2004,1\na,2004,2\n", `panel.csv:4: columns "unit", "year": the same values as in line 2`},
		{"three of a kind", "unit,year,y\na,1,1\na,1,1\na,1,2\n", `panel.csv:3: columns "unit", "year": the same values as in line 2 (and 1 more such rows)`},
		{"year in two ways", "unit,year,y\na,2004,1\nb,-04,1\nc,zero,1\n", `panel.csv:4: column "year": not a whole number`},
		{"key missing", "unit,year,y\na,,1\n", `panel.csv:2: column "year": a value is required`},
		{"non-UTF-8 in UTF-8", "unit,year,y\n\xc3\xa5,1,2\n\xe5,2,2\n", "panel.csv:3: byte 19 of the file is not UTF-8, though text before it is: the file mixes encodings; declare one if that is wrong"},
		{"UTF-8 in 1252", "unit,year,y\n\xe5,1,2\n\xc3\xa5,2,2\n", "panel.csv:3: byte 18 of the file is UTF-8, though other text is not: the file mixes encodings; declare one if that is wrong"},
		{"ragged row", "unit,year,y\na,1\n", "panel.csv:2: the row has another number of fields than the header"},
		{"ragged long row", "unit,year,y\na,1,2\nb,1,2,3\n", "panel.csv:3: the row has another number of fields than the header"},
		{"header twice", many[:12] + "a,1,2\nunit,year,y\nb,1,2\n", "panel.csv:3: the header comes a second time: two files were put together"},
		{"duplicate header", "unit,unit,year,y\n", "panel.csv:1: the header names column \"unit\" twice"},
		{"empty header", "unit,year,y,\na,1,2,\n", "panel.csv:1: column 4 has no name"},
		{"empty file", "", "panel.csv: the file is empty"},
		{"only blank lines", "\n\n", "panel.csv: the file has no header line"},
		{"NUL", "unit,year,y\na,1,\x002\n", "panel.csv:2: a NUL byte: this is not a text file (byte 16 of the file)"},
		{"unclosed quote", "unit,year,y\na,1,2\n\"b,1,2\n" + strings.Repeat("c,1,2\n", 100000), "panel.csv:3: a quotation mark is opened here and never closed"},
		{"unclosed quote far", "unit,year,y\na,1,2\n\"b,1,2\n" + strings.Repeat("c,1,2\n", 600000), "panel.csv:3: a quotation mark is opened here and not closed within 1 MiB"},
		{"quote and text", "unit,year,y\na,1,2\n\"b\nc\"d,1,2\n", "panel.csv:3: a quotation mark is opened here, and text follows the one that closes it: one of the two is missing or must be doubled"},
		{"bare quote", "unit,year,y\n5\" pipe,1,2\n", "panel.csv:2: a quotation mark inside a field that does not begin with one"},
		{"long field", "unit,year,y\n" + long + ",1,2\n", "panel.csv:2: a field is longer than 1 MiB"},
		{"many columns", wide + "\n", "panel.csv:1: the row has more than 10000 fields"},
		{"no newline at all", strings.Repeat("a", 17<<20), "panel.csv:1: a row is longer than 16 MiB"},
		{"control character", "unit,year,y\na\x07b,1,2\n", `panel.csv:2: column "unit": a control character in the text`},
		{"carriage return only", "unit,year,y\ra,1,2\r", "panel.csv:1: column \"y\": the file has no such column"},
		{"a zip", "PK\x03\x04aaa", "panel.csv: this is not a text file: the name must end as its format does (.xlsx, .parquet, .arrow)"},
		{"two separators", "unit,year;y,b;c\n1,2;3,4;5\n", "panel.csv: the separator could be more than one character: declare it"},
	} {
		path := dataFile(t, "panel.csv", c.body)
		for _, workers := range []int{1, 8} {
			_, err := Read(context.Background(), path, panel(), Options{Workers: workers})
			require.Error(t, err, c.name)
			require.ErrorIs(t, err, ErrInput, c.name)
			if c.name == "carriage return only" {
				require.Contains(t, err.Error(), c.want)
				continue
			}
			require.Equal(t, c.want, err.Error(), c.name)
		}
	}
	_, err := Read(context.Background(), "/nowhere/panel.csv", panel(), Options{})
	require.EqualError(t, err, "panel.csv: there is no such file")
	_, err = Read(context.Background(), t.TempDir(), panel(), Options{})
	require.EqualError(t, err, "panel.csv: this is not an ordinary file")
}

func TestQuarantine(t *testing.T) {
	body := "id;age;amount;from;sex\n"
	for i := range 100 {
		body += fmt.Sprintf("p%d;30;1,5;2015-01-01;K\n", i)
	}
	bad := body + "x1;4O;1.5;2015-02-30;Q\n" + "x2;30\n" + ";30;1;2015-01-01;K\n" + "x4;200;;;K\n\n"
	share := 0.04
	src := visits("visits.csv")
	src.MaxRejected = &share
	r, err := Read(context.Background(), dataFile(t, "visits.csv", bad), src, Options{})
	require.NoError(t, err)
	require.Equal(t, 104, r.Report.Rows)
	require.Equal(t, 100, r.Report.Kept)
	require.Equal(t, 4, r.Report.Rejected)
	require.Equal(t, 1, r.Report.Blank)
	require.Equal(t, 100, r.Table.Rows())
	var b bytes.Buffer
	require.NoError(t, WriteQuarantine(&b, r))
	require.Equal(t, `file,line,column,code,reason
visits.csv,102,age,not-a-whole-number,not a whole number
visits.csv,102,amount,not-a-number,not a number
visits.csv,102,from,not-a-date,not a date (YYYY-MM-DD)
visits.csv,102,sex,not-a-level,not one of the declared levels
visits.csv,103,,ragged,the row has another number of fields than the header
visits.csv,104,id,required,a value is required
visits.csv,105,age,out-of-range,outside the declared range
`, b.String())
	require.Equal(t, "rows-rejected", r.Report.Notes[len(r.Report.Notes)-1].Code)
	// one share lower and the file is refused, with every reason
	share = 0.03
	_, err = Read(context.Background(), dataFile(t, "visits.csv", bad), src, Options{})
	require.ErrorIs(t, err, ErrInput)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 8)
	require.Equal(t, "visits.csv: 4 of 104 rows cannot be used, more than the share of 0.03 that max_rejected allows", lines[0])
	require.Contains(t, lines, `visits.csv:102: column "age": not a whole number`)
}

// å ä ö and a no-break space in six encodings: the same table.
func TestEncodings(t *testing.T) {
	body := "id;kommun;belopp\n1;Malmö\u00a0å;1\u00a0234,5\n2;Älmhult;-2\n3;Mönsterås é;0\n"
	src := Source{Path: "k.csv", Columns: []Column{{Name: "id", Type: "text"}, {Name: "kommun", Type: "category"}, {Name: "belopp", Type: "number"}}}
	w1252, err := charmap.Windows1252.NewEncoder().String(body)
	require.NoError(t, err)
	latin, err := charmap.ISO8859_1.NewEncoder().String(body)
	require.NoError(t, err)
	le, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(body)
	require.NoError(t, err)
	be, err := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder().String(body)
	require.NoError(t, err)
	var first [][]string
	for name, text := range map[string]string{"utf-8": body, "utf-8-bom": "\ufeff" + body, "windows-1252": w1252, "iso-8859-1": latin, "utf-16le": le, "utf-16be": be} {
		for _, declared := range []bool{true, false} {
			if !declared && name == "iso-8859-1" {
				continue // the same bytes as windows-1252
			}
			src.Encoding = ""
			if declared {
				src.Encoding = name
			}
			r, err := Read(context.Background(), dataFile(t, "k.csv", text), src, Options{})
			require.NoError(t, err, name)
			require.Equal(t, name, r.Report.Encoding)
			got := cellsOf(t, r.Table)
			if first == nil {
				first = got
				require.Equal(t, "Malmö\u00a0å", got[1][1])
				require.Equal(t, "1234.5", got[1][2])
			}
			require.Equal(t, first, got, name)
		}
	}
	// declared wrongly
	for name, text := range map[string]string{"utf-8": w1252, "utf-8-bom": body, "utf-16le": body[:len(body)-1]} {
		src.Encoding = name
		_, err := Read(context.Background(), dataFile(t, "k.csv", text), src, Options{})
		require.ErrorIs(t, err, ErrInput, name)
	}
	src.Encoding = "iso-8859-1"
	_, err = Read(context.Background(), dataFile(t, "k.csv", "id;kommun;belopp\n1;\x80;2\n"), src, Options{})
	require.ErrorContains(t, err, "k.csv:2: byte 19 of the file is not iso-8859-1")
	// the first character that is not ASCII may come late
	src.Encoding = ""
	late := "id;kommun;belopp\n" + strings.Repeat("1;Lund;1\n", 60000)
	r, err := Read(context.Background(), dataFile(t, "k.csv", late+"2;\xd6land;3\n"), src, Options{})
	require.NoError(t, err)
	require.Equal(t, "windows-1252", r.Report.Encoding)
	r, err = Read(context.Background(), dataFile(t, "k.csv", late+"2;Öland;3\n"), src, Options{})
	require.NoError(t, err)
	require.Equal(t, "utf-8", r.Report.Encoding)
	// written with a combining ring: the same level
	r, err = Read(context.Background(), dataFile(t, "k.csv", "id;kommun;belopp\n1;A\u030are;1\n2;Åre;1\n"), src, Options{})
	require.NoError(t, err)
	c, err := r.Table.Category("kommun")
	require.NoError(t, err)
	require.Equal(t, []string{"Åre"}, c.Levels)
	require.Equal(t, 1, r.Report.Columns[1].Normalised)
}

const canary = "CANARY7f3a"

// No value of the data reaches a message, a report or the quarantine file, whatever is
// wrong with the file.
func TestCanary(t *testing.T) {
	see := func(what string, err error, r *Result) {
		var b strings.Builder
		if err != nil {
			b.WriteString(err.Error())
			for e := err; e != nil; e = errors.Unwrap(e) {
				fmt.Fprintf(&b, "%v %+v", e, e)
			}
		}
		if r != nil {
			fmt.Fprintf(&b, "%+v %s", r.Report, r.Report.Text())
			require.NoError(t, WriteQuarantine(&b, r))
		}
		require.NotContains(t, b.String(), canary, what)
	}
	row := strings.Repeat(";"+canary, 4)
	head := "id;age;amount;from;sex\n"
	share := 1.0
	for name, body := range map[string]string{
		"values": head + canary + row + "\n", "ragged": head + canary + "\n", "quote": head + `"` + canary + row + "\n", "after quote": head + `"` + canary + `"` + canary + row + "\n",
		"bare": head + canary + `"` + row + "\n", "nul": head + canary + "\x00" + row + "\n", "encoding": head + "å" + canary + "\xff" + row + "\n", "control": head + canary + "\x01;1;1;2015-01-01;K\n",
		"twice": head + canary + ";1;1;2015-01-01;K\n" + canary + ";1;1;2015-01-01;K\n", "no header": canary + row + "\n" + canary + row + "\n",
	} {
		for _, limit := range []*float64{nil, &share} {
			src := visits("visits.csv")
			src.MaxRejected, src.Key = limit, []string{"id"}
			path := dataFile(t, "visits.csv", body)
			r, err := Read(context.Background(), path, src, Options{})
			if name == "no header" {
				continue // the names of columns are not values
			}
			see(name, err, r)
			r, err = ReadFlat(context.Background(), path, FlatOptions{})
			see(name, err, r)
		}
	}
}

// Workers and chunk boundaries never change the table or the report.
func TestWorkersAndChunks(t *testing.T) {
	var b strings.Builder
	b.WriteString("id;age;amount;from;sex\n")
	for i := range 120_000 {
		switch {
		case i%1000 == 7:
			fmt.Fprintf(&b, "p%d;x;1;2015-01-01;K\n", i)
		case i%997 == 3:
			fmt.Fprintf(&b, "\"p%d\n\"\"next\"\"\";%d;%d,25;2015-01-%02d;M\r\n", i, i%100, i, 1+i%28)
		case i%5000 == 9:
			b.WriteString("\n")
		default:
			fmt.Fprintf(&b, "p%d;%d;%d,5;2015-01-%02d;K\n", i, i%100, i, 1+i%28)
		}
	}
	path := dataFile(t, "visits.csv", b.String())
	var want string
	for _, workers := range []int{1, 2, 8} {
		r, err := Read(context.Background(), path, visits("visits.csv"), Options{Workers: workers})
		require.NoError(t, err)
		h, err := LogicalHash(r.Table, nil)
		require.NoError(t, err)
		got := fmt.Sprintf("%x %+v %v", h, r.Report, r.Quarantine)
		for i := 0; i < r.Table.Rows(); i += 1009 {
			got += fmt.Sprint(" ", r.Line(i))
		}
		if want == "" {
			want = got
			lines := strings.Split(b.String(), "\n")
			id, _, err := r.Table.Text("id")
			require.NoError(t, err)
			for i := 0; i < len(id); i += 31 {
				require.Contains(t, lines[r.Line(i)-1], strings.Split(id[i], "\n")[0], "the line of row %d", i)
			}
		}
		require.Equal(t, want, got)
	}
}

// M20: two files one after the other, in either order, hold the same.
func TestConcatenationOrder(t *testing.T) {
	a, b := "", ""
	for i := range 500 {
		a += fmt.Sprintf("u%d,%d,%d\n", i, 2000+i%7, i)
		b += fmt.Sprintf("v%d,%d,%d.5\n", i, 2000+i%7, i)
	}
	var want [32]byte
	for i, body := range []string{a + b, b + a} {
		r, err := Read(context.Background(), dataFile(t, "panel.csv", "unit,year,y\n"+body), panel(), Options{})
		require.NoError(t, err)
		h, err := LogicalHash(r.Table, []byte("key"))
		require.NoError(t, err)
		if i == 0 {
			want = h
		}
		require.Equal(t, want, h)
	}
}

// FuzzCSV: nothing panics, rows add up, and one worker sees what four see.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"unit,year,y\na,1,2\n", "unit;year;y\n\"a\"\"\";1;2,5\n", "\xef\xbb\xbfunit,year,y\r\n\"a\n\",1,2", "unit,year,y\na,1\n\"", "\xff\xfeu\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		path := dataFile(t, "panel.csv", string(body))
		src := panel()
		share := 1.0
		src.MaxRejected = &share
		r, err := Read(context.Background(), path, src, Options{Workers: 1})
		if err == nil {
			require.Equal(t, r.Report.Rows, r.Report.Kept+r.Report.Rejected)
			require.Equal(t, r.Report.Kept, r.Table.Rows())
			require.Equal(t, int64(len(body)), r.Report.Bytes)
		} else {
			require.ErrorIs(t, err, ErrInput)
		}
		_, again := Read(context.Background(), path, src, Options{Workers: 4})
		require.Equal(t, fmt.Sprint(err), fmt.Sprint(again))
		_, err = ReadFlat(context.Background(), path, FlatOptions{})
		if err != nil {
			require.ErrorIs(t, err, ErrInput)
		}
	})
}
