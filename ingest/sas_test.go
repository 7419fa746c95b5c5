package ingest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sasMissing is a SAS missing value: a NaN whose third byte is the complement of its letter.
func sasMissing(letter byte) float64 {
	return math.Float64frombits(0xFFFF<<48 | uint64(^letter)<<40)
}

// 1/3 in three bytes keeps twelve bits of the mantissa: 3F D5 55 is (1 + 0x555/4096)/4 = 5461/16384.
func sasRows() (rows [][4]any, want [][]string) {
	rows = [][4]any{{"a", 0.1, 8192.0, 0.0}, {"åb", -1e300, 1.0 / 3, 23435.0}, {"0114", sasMissing('.'), sasMissing('A'), sasMissing('_')}, {"", 1e-5, -2.0, -1.0}}
	want = [][]string{{"id", "x", "short", "day"}, {"a", "0.1", "8192", "1960-01-01"}, {"åb", "-1e+300", "0.33331298828125", "2024-02-29"}, {"0114", "", "", ""}, {"", "1e-05", "-2", "1959-12-31"}}
	return rows, want
}

func TestSASByHand(t *testing.T) {
	rows, want := sasRows()
	for k := range 8 {
		what := fmt.Sprint(k)
		path := dataFile(t, "x.sas7bdat", string(sasBytes(k&1 > 0, k&2 > 0, k&4 > 0, rows)))
		r, err := ReadFlat(context.Background(), path, FlatOptions{})
		require.NoError(t, err, what)
		require.Equal(t, want, cellsOf(t, r.Table), what)
		require.Equal(t, "sas7bdat", r.Report.Format)
		require.Equal(t, "utf-8", r.Report.Encoding)
		require.Equal(t, "Datum", r.Report.Columns[3].Label)
		require.Equal(t, 4, r.Line(3))
		src := Source{Path: "x", Extra: "ignore", Columns: []Column{{Name: "day", Type: "date"}, {Name: "x", Type: "number"}}}
		r, err = Read(context.Background(), path, src, Options{})
		require.NoError(t, err, what)
		require.Equal(t, []string{"2024-02-29", "-1e+300"}, cellsOf(t, r.Table)[2])
		src.Columns[0].Type = "integer"
		r, err = Read(context.Background(), path, src, Options{})
		require.NoError(t, err, what)
		require.Equal(t, []string{"23435", "-1e+300"}, cellsOf(t, r.Table)[2])
	}
}

// In big-endian files of 64 bit a signature may have its zeros first.
func TestSASWideSignature(t *testing.T) {
	rows, want := sasRows()
	body := sasBytes(true, true, false, rows)
	for _, s := range []string{"\xF7\xF7\xF7\xF7", "\xF6\xF6\xF6\xF6"} {
		require.True(t, bytes.Contains(body, []byte(s+"\x00\x00\x00\x00")))
		body = bytes.Replace(body, []byte(s+"\x00\x00\x00\x00"), []byte("\x00\x00\x00\x00"+s), 1)
	}
	r, err := ReadFlat(context.Background(), dataFile(t, "x.sas7bdat", string(body)), FlatOptions{})
	require.NoError(t, err)
	require.Equal(t, want, cellsOf(t, r.Table))
}

// Files that ReadStat wrote (testdata/sas.c), over several pages.
func TestSASFromReadStat(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.sas7bdat")
	require.NoError(t, err)
	require.Len(t, paths, 4)
	for _, path := range paths {
		r, err := ReadFlat(context.Background(), path, FlatOptions{Workers: 2})
		require.NoError(t, err, path)
		got := cellsOf(t, r.Table)
		require.Len(t, got, 61)
		require.Equal(t, "a number", r.Report.Columns[1].Label)
		for i, row := range got[1:] {
			id, x, day, note := fmt.Sprintf("a%d", i+1), string(appendFloat(nil, float64(i-3)/7)), string(appendMoment(nil, float64(i*37-400), 1)), ""
			if i%3 == 0 {
				id = fmt.Sprintf("å%d", i+1)
			}
			if i%5 == 2 || i%5 == 3 {
				x = ""
			}
			if i%4 == 3 {
				day = ""
			}
			for k := range i % 40 {
				if k < 20 {
					note += "z"
				} else {
					note += string(rune(' ' + (i+k)%90))
				}
			}
			if i%7 == 0 {
				note = ""
			}
			require.Equal(t, []string{id, x, day, strings.TrimRight(note, " ")}, row, "%s %d", path, i)
		}
	}
}

// Each command of the run-length encoding, by hand.
func TestSASRunLength(t *testing.T) {
	long := strings.Repeat("q", 64+256+2)
	for _, c := range []struct{ in, want string }{
		{"\x82abc", "abc"}, {"\x90" + long[:17], long[:17]}, {"\xA1" + long[:34], long[:34]}, {"\xB2" + long[:51], long[:51]},
		{"\x00\x01" + long[:65], long[:65]}, {"\x01\x02" + long, long}, {"\xC1y", "yyyy"}, {"\xD0", "@@"}, {"\xE3", "     "}, {"\xF0", "\x00\x00"},
		{"\x40\x02x", strings.Repeat("x", 20)}, {"\x41\x02x", strings.Repeat("x", 36)}, {"\x50\x01", strings.Repeat("@", 18)}, {"\x60\x00", strings.Repeat(" ", 17)},
		{"\x71\x00", strings.Repeat("\x00", 273)}, {"\x80a\xF1\x80b", "a\x00\x00\x00b"},
	} {
		got, ok := unpackRLE(nil, []byte(c.in), len(c.want))
		require.True(t, ok, "%x", c.in)
		require.Equal(t, c.want, string(got), "%x", c.in)
		_, ok = unpackRLE(nil, []byte(c.in), len(c.want)-1)
		require.False(t, ok, "%x", c.in)
		_, ok = unpackRLE(nil, []byte(c.in), len(c.want)+1)
		require.False(t, ok, "%x", c.in)
		_, ok = unpackRLE(nil, []byte(c.in)[:len(c.in)-1], len(c.want))
		require.False(t, ok, "%x", c.in)
	}
	_, ok := unpackRLE(nil, []byte{0x10, 0}, 4)
	require.False(t, ok)
}

func TestSASFormats(t *testing.T) {
	for f, want := range map[string]float64{"DATE9.": 1, "DATE": 1, "YYMMDD10.": 1, "DATETIME20.": 86400, "E8601DA": 1, "BEST12.": 0, "TIME8.": 0, "": 0, "YEAR4.": 0, "$": 0, "DATES": 0} {
		require.Equal(t, want, sasPerDay(f), f)
	}
}

func TestSASRefused(t *testing.T) {
	rows, _ := sasRows()
	good := sasBytes(false, false, false, rows)
	set := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	count := bytes.Index(good, w32(24)) + 4
	for _, c := range []struct {
		name, encoding string
		body           []byte
		want           string
	}{
		{"empty", "", nil, "x.sas7bdat: this is not a SAS data set"},
		{"text", "", []byte("id,x\n1,2\n"), "x.sas7bdat: this is not a SAS data set"},
		{"cut", "", good[:len(good)-1], "x.sas7bdat: the file ends before what it announces"},
		{"2^32 pages", "", set(204, 0xFF, 0xFF, 0xFF, 0xFF), "x.sas7bdat: the file ends before what it announces"},
		{"deleted rows", "", set(1024+16, 0x80, 0x02), "x.sas7bdat: the file holds rows that are marked as deleted"},
		{"binary compression", "", bytes.Replace(good, []byte("        DATASTEP"), []byte("SASYZCR2DATASTEP"), 1), "COMPRESS=BINARY"},
		{"encoding", "", set(70, 125), "SAS's number 125"},
		{"encoding", "utf-16le", good, "encoding"},
		{"latin 1", "", bytes.Replace(good, []byte("\xc3\xa5b"), []byte("\xe5b "), 1), `x.sas7bdat:2: column "id": the text is not UTF-8`},
		{"rows", "", set(count, 5), "the file announces 5 rows and holds 4"},
		{"2^31 rows", "", set(count+3, 0x7F), "rows and holds 4"},
	} {
		_, err := ReadFlat(context.Background(), dataFile(t, "x.sas7bdat", string(c.body)), FlatOptions{Encoding: c.encoding})
		require.ErrorIs(t, err, ErrInput, c.name)
		require.ErrorContains(t, err, c.want, c.name)
	}
}

func w32(v byte) []byte { return []byte{v, 0, 0, 0} }

func trySAS(t *testing.T, path string, b []byte) {
	require.NoError(t, os.WriteFile(path, b, 0o600))
	if _, err := ReadFlat(context.Background(), path, FlatOptions{Workers: 1}); err != nil {
		require.ErrorIs(t, err, ErrInput)
	}
}

func TestSASDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sas7bdat")
	rows, _ := sasRows()
	for k := range 2 {
		whole := sasBytes(false, false, k > 0, rows)
		step := 61
		if testing.Short() {
			step = 401
		}
		for n := 0; n < len(whole); n += step {
			trySAS(t, path, whole[:n])
			b := bytes.Clone(whole)
			b[n] ^= 0xFF
			trySAS(t, path, b)
		}
	}
}

func FuzzSAS(f *testing.F) {
	rows, _ := sasRows()
	for k := range 8 {
		f.Add(sasBytes(k&1 > 0, k&2 > 0, k&4 > 0, rows))
	}
	f.Fuzz(func(t *testing.T, b []byte) { // the parser alone, without a file
		err := guarded("x.sas7bdat", func() error {
			d, err := parseSAS(bytes.NewReader(b), int64(len(b)), "x.sas7bdat", "")
			if err != nil {
				return err
			}
			rows := 0
			err = newSASInput(d, nil).each(context.Background(), nil, func(_ int, fields [][]byte) error {
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
