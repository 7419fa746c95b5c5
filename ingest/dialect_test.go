package ingest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSniff(t *testing.T) {
	for _, c := range []struct{ head, want string }{
		{"a,b\n1,2.5\n", "separator comma, decimal point, utf-8, with a header line"},
		{"a;b\n1;2,5\n", "separator semicolon, decimal comma, utf-8, with a header line"},
		{"a;b\n1,5;2,5\n3,5;4,5\n", "separator semicolon, decimal comma, utf-8, with a header line"}, // as many commas as semicolons in every row
		{"a;b\n1;2.5\n", "separator semicolon, decimal point, utf-8, with a header line"},
		{"a;b\nx;y\n", "separator semicolon, decimal comma, utf-8, with a header line"}, // no evidence
		{"a\tb\n1\t2,5\n", "separator tab, decimal comma, utf-8, with a header line"},
		{"a|b|c\n1|2|3.5\n", "separator bar, decimal point, utf-8, with a header line"},
		{"a,b\n\"1,5\",x\n", "separator comma, decimal comma, utf-8, with a header line"},
		{"a,b\n\"x;y;z\",1.5\n", "separator comma, decimal point, utf-8, with a header line"},
		{"only\n1\n", "separator comma, decimal point, utf-8, with a header line"},
		{"a;b\n1 234,5;x\n", "separator semicolon, decimal comma, utf-8, with a header line"},
		{"a;b\n1234,567;x\n", "separator semicolon, decimal comma, utf-8, with a header line"}, // four digits before: no thousands
		{"a;b\n0,123;x\n", "separator semicolon, decimal comma, utf-8, with a header line"},    // a zero before: no thousands
		{"a;b\n1,234;x\n1,5;x\n", "separator semicolon, decimal comma, utf-8, with a header line"},
		{"a;b\nNA;x\n.;y\n2,5;z\n", "separator semicolon, decimal comma, utf-8, with a header line"},
		{"1,2\n3,4\n", "separator comma, decimal point, utf-8, without a header line"},
		{"unit,2004,2005\nA,1,2\n", "separator comma, decimal point, utf-8, with a header line"}, // wide files
		{"2004,2005\n1,2\n", "separator comma, decimal point, utf-8, with a header line"},
		{"x1,5\na,b\n", "separator comma, decimal point, utf-8, with a header line"},
		{"namn;\xe5lder\nBo;3,5\n", "separator semicolon, decimal comma, windows-1252, with a header line"},
		{"\xef\xbb\xbfa;b\n1;2,5\n", "separator semicolon, decimal comma, utf-8-bom, with a header line"},
		{"a\x00;\x00b\x00\n\x001\x00;\x002\x00,\x005\x00\n\x00", "separator semicolon, decimal comma, utf-16le, with a header line"},
	} {
		d, err := Sniff([]byte(c.head))
		require.NoError(t, err, "%q", c.head)
		require.Equal(t, c.want, d.String(), "%q", c.head)
	}
	for head, want := range map[string]string{
		"a;b\n1,234;x\n":        "thousands or decimals",
		"a;b\n-12,345;x\n":      "thousands or decimals",
		"a;b\n1.5;2,5\n":        "some columns have a decimal point and others a decimal comma",
		"a,x;b,y\n1,2;3,4\n":    "the separator could be",
		"a\tx;b\n1\tx;2\n":      "the separator could be",
		"a;b\n1,234;x\n5,678;y": "thousands or decimals",
	} {
		_, err := Sniff([]byte(head))
		require.ErrorContains(t, err, want, "%q", head)
	}
}

// What is declared wins over what the file looks like, and only columns of numbers
// say what the decimal mark is.
func TestDeclaredDialect(t *testing.T) {
	src := Source{Path: "x.csv", Columns: []Column{{Name: "version", Type: "text"}, {Name: "v", Type: "number"}}}
	r, err := Read(context.Background(), dataFile(t, "x.csv", "version;v\n1.5;2,5\n"), src, Options{})
	require.NoError(t, err)
	require.Equal(t, "comma", r.Report.Decimal)
	src.Decimal = "point"
	_, err = Read(context.Background(), dataFile(t, "x.csv", "version;v\n1.5;2,5\n"), src, Options{})
	require.EqualError(t, err, `x.csv:2: column "v": not a number`)
	src.Separator = "bar"
	r, err = Read(context.Background(), dataFile(t, "x.csv", "version|v\na;b;c|2.5\n"), src, Options{})
	require.NoError(t, err)
	require.Equal(t, "bar", r.Report.Separator)
	src.Separator, src.Decimal = "", "comma"
	r, err = Read(context.Background(), dataFile(t, "x.csv", "version;v\nx;1,234\n"), src, Options{})
	require.NoError(t, err)
	f, err := r.Table.Float("v")
	require.NoError(t, err)
	require.Equal(t, 1.234, f.Values[0])
	// a tab-separated file by its name
	r, err = ReadFlat(context.Background(), dataFile(t, "x.tsv", "a b\tc;d\n1;2\t3;4\n"), FlatOptions{})
	require.NoError(t, err)
	require.Equal(t, "tab", r.Report.Separator)
}

func TestFlatErrors(t *testing.T) {
	for _, c := range []struct {
		body string
		o    FlatOptions
		want string
	}{
		{"1,2\n3,4\n", FlatOptions{}, "f.csv:1: the first line looks like data: a line that names the columns is needed"},
		{"a,b\n1,2\n3\n", FlatOptions{}, "f.csv:3: the row has 1 fields, the header 2"},
		{"a,b\n1,2\n", FlatOptions{Needed: []string{"b", "y"}}, `f.csv:1: column "y": the file has no such column (it has: a, b)`},
		{"a,b\n1,2\n", FlatOptions{Categorical: []string{"z"}}, `f.csv:1: column "z": the file has no such column (it has: a, b)`},
		{"a;b\nx;1\n" + strings.Repeat("x;1\n", 300) + "y;2.5\n", FlatOptions{}, `f.csv: column "b": the values are numbers if the decimal mark is a point: declare decimal point (or name the column as categorical)`},
	} {
		c.o.Name = "f.csv"
		_, err := ReadFlat(context.Background(), dataFile(t, "f.csv", c.body), c.o)
		require.ErrorIs(t, err, ErrInput, c.want)
		require.EqualError(t, err, c.want)
	}
	_, err := ReadFlat(context.Background(), "f.csv", FlatOptions{Separator: "x"})
	require.ErrorIs(t, err, ErrSpec)
	r, err := ReadFlat(context.Background(), dataFile(t, "f.csv", "\"\",a,b\n1,2,3\n2,3,1\n"), FlatOptions{Categorical: []string{"b"}})
	require.NoError(t, err, "R's row names have no header")
	require.Equal(t, 2, len(r.Table.Fields()))
	c, err := r.Table.Category("b")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3"}, c.Levels)
}
