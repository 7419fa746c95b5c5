package ingest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"

	"utfall/table"
)

// The same small table in every form that an agency gives it: two municipalities, two
// years, one cell that does not exist.
const (
	agencyCSV = "Region;Tid;value\n0114;2020;1.5\n0114;2021;2\n0180;2020;\n0180;2021;-4.25\n"

	agencyPX = `CHARSET="ANSI";
AXIS-VERSION="2013";
CODEPAGE="windows-1252";
LANGUAGE="sv";
LANGUAGES="sv","en";
TITLE="Andel; med ""citat"
" över två rader";
STUB="Region";
STUB[en]="region";
HEADING="Tid";
HEADING[en]="year";
VALUES("Region")="Upplands Väsby","Stock"
"holm";
VALUES[en]("region")="A","B";
VALUES("Tid")="2020","2021";
TIMEVAL("Tid")=TLIST(A1,"2020"-"2021");
CODES("Region")="0114","0180";
CODES("Tid")="2020","2021";
DECIMALS=2;
DATA=
1.5 2
".." -4.25;
`
	agencyStat = `{"version":"2.0","class":"dataset","id":["Region","Tid"],"size":[2,2],
"dimension":{"Region":{"category":{"index":{"0180":1,"0114":0},"label":{"0114":"Upplands Väsby"}}},"Tid":{"category":{"index":["2020","2021"]}}},
"value":[1.5,2,null,-4.25]}`

	agencyStatSparse = `{"version":"2.0","class":"dataset","id":["Region","Tid"],"size":[2,2],
"dimension":{"Region":{"category":{"index":["0114","0180"]}},"Tid":{"category":{"index":["2020","2021"]}}},
"value":{"0":1.5,"1":2,"3":-4.25}}`

	agencyWeb = `{"columns":[{"code":"Region","text":"region","type":"d"},{"code":"Tid","text":"år","type":"t"},{"code":"value","text":"Andel","type":"c"}],"comments":[],
"data":[{"key":["0114","2020"],"values":["1.5"]},{"key":["0114","2021"],"values":["2"]},{"key":["0180","2020"],"values":[".."]},{"key":["0180","2021"],"values":["-4.25"]}]}`

	agencyKolada = `{"count":2,"next_page":"http://x/2","values":[{"kpi":"N1","municipality":"0114","period":2020,"values":[{"count":1,"gender":"T","status":"","value":1.5}]},
{"kpi":"N1","municipality":"0114","period":2021,"values":[{"gender":"T","status":"","value":2}]}]}
{"count":2,"values":[{"kpi":"N1","municipality":"0180","period":2020,"values":[{"gender":"T","status":"Missing","value":null}]},
{"kpi":"N1","municipality":"0180","period":2021,"values":[{"gender":"T","status":"","value":-4.25}]}]}`
)

func agencySource(path, region, year string) Source {
	return Source{Path: path, Extra: "ignore", Key: []string{"municipality", "year"}, Columns: []Column{
		{Name: "municipality", Source: region, Type: "category", Pad: 4}, {Name: "year", Source: year, Type: "integer"}, {Name: "y", Source: "value", Type: "number"},
	}}
}

// One table, one result, whatever form it came in.
func TestAgencyTablesAreOneTable(t *testing.T) {
	px, err := charmap.Windows1252.NewEncoder().String(agencyPX)
	require.NoError(t, err)
	read := func(name, text, region, year string) *table.Table {
		r, err := Read(context.Background(), dataFile(t, name, text), agencySource(name, region, year), Options{})
		require.NoError(t, err, name)
		require.Zero(t, r.Report.Rejected)
		return r.Table
	}
	want := cellsOf(t, read("x.csv", agencyCSV, "Region", "Tid"))
	require.Equal(t, []string{"0180", "2020", ""}, want[3])
	for _, c := range []struct{ name, text, region, year, format string }{
		{"a.px", px, "Region", "Tid", "px"}, {"a.json", agencyStat, "Region", "Tid", "json-stat"}, {"b.json", agencyStatSparse, "Region", "Tid", "json-stat"},
		{"c.json", agencyWeb, "Region", "Tid", "pxweb"}, {"d.json", agencyKolada, "municipality", "period", "kolada"},
	} {
		require.Equal(t, want, cellsOf(t, read(c.name, c.text, c.region, c.year)), c.name)
		r, err := Read(context.Background(), dataFile(t, c.name, c.text), agencySource(c.name, c.region, c.year), Options{})
		require.NoError(t, err)
		require.Equal(t, c.format, r.Report.Format)
	}
}

// A PX file with KEYS holds only the rows that exist.
func TestPXWithKeys(t *testing.T) {
	text := strings.Replace(agencyPX, "DECIMALS=2;", "KEYS(\"Region\")=CODES;\nDECIMALS=2;", 1)
	i := strings.Index(text, "DATA=")
	text = text[:i] + "DATA=\n\"0180\", 7 8;\n"
	r, err := Read(context.Background(), dataFile(t, "k.px", text), agencySource("k.px", "Region", "Tid"), Options{})
	require.NoError(t, err)
	require.Equal(t, [][]string{{"municipality", "year", "y"}, {"0180", "2020", "7"}, {"0180", "2021", "8"}}, cellsOf(t, r.Table))
	for _, bad := range []string{`"0199", 7 8;`, `"0180", 7;`, `"0180"`} {
		_, err = Read(context.Background(), dataFile(t, "k.px", text[:i]+"DATA=\n"+bad), agencySource("k.px", "Region", "Tid"), Options{})
		require.ErrorIs(t, err, ErrInput, bad)
	}
}

// Three kinds of nothing: a symbol is missing, a null is missing, a dash is for the owner
// of the table to say.
func TestAgencyDashIsNotGuessed(t *testing.T) {
	text := strings.Replace(agencyWeb, `["2"]`, `["-"]`, 1)
	src := agencySource("c.json", "Region", "Tid")
	all := 1.0
	src.MaxRejected = &all
	r, err := Read(context.Background(), dataFile(t, "c.json", text), src, Options{})
	require.NoError(t, err)
	require.Equal(t, 1, r.Report.Rejected)
	src.Columns[2].Of = map[string]string{"-": "0"}
	r, err = Read(context.Background(), dataFile(t, "c.json", text), src, Options{})
	require.NoError(t, err)
	require.Equal(t, "0", cellsOf(t, r.Table)[2][2])
}

func TestAgencyBadInput(t *testing.T) {
	for _, c := range []struct{ name, file, text, says string }{
		{"not JSON", "x.json", "{\"values\": [\n1,]}", "x.json:2"}, {"empty", "x.json", " ", "empty"}, {"a record list", "x.json", `[{"a":1}]`, "no JSON table"},
		{"one page of several", "x.json", `{"next_page":"u","values":[]}`, "one page of several"},
		{"no period", "x.json", `{"values":[{"kpi":"a","municipality":"b","values":[]}]}`, "lacks kpi"},
		{"size", "x.json", strings.Replace(agencyStat, "[2,2]", "[2,3]", 1), "what size says"}, {"too few values", "x.json", strings.Replace(agencyStat, "1.5,2,", "2,", 1), "make 4 cells"},
		{"place", "x.json", strings.Replace(agencyStat, `"0180":1`, `"0180":0`, 1), "each once"}, {"cell number", "x.json", strings.Replace(agencyStatSparse, `"3":`, `"4":`, 1), "between 0 and 3"},
		{"class", "x.json", strings.Replace(agencyStat, `"dataset"`, `"collection"`, 1), "dataset"}, {"ragged", "x.json", strings.Replace(agencyWeb, `["0180","2020"]`, `["0180"]`, 1), "x.json:3"},
		{"value of a list", "x.json", strings.Replace(agencyWeb, `[".."]`, `[["a"]]`, 1), `"data"`},
		{"cut", "x.px", agencyPX[:strings.Index(agencyPX, "-4.25")], "cut off"}, {"too many", "x.px", strings.Replace(agencyPX, "-4.25", "-4.25 1", 1), "more numbers"},
		{"no DATA", "x.px", agencyPX[:strings.Index(agencyPX, "DATA")], "no DATA"}, {"not PX", "x.px", "a;b\n1;2\n", "capital letters"},
		{"codes", "x.px", strings.Replace(agencyPX, `="0114","0180"`, `="0114"`, 1), "not of one length"}, {"twice", "x.px", strings.Replace(agencyPX, `="0114","0180"`, `="0114","0114"`, 1), "twice"},
		{"codepage", "x.px", strings.Replace(agencyPX, "windows-1252", "klingon", 1), "CODEPAGE"}, {"open quote", "x.px", agencyPX[:strings.Index(agencyPX, `holm"`)], "not closed"},
		{"two tables", "x.json", agencyStat + agencyStat, "several tables"},
	} {
		_, err := Read(context.Background(), dataFile(t, c.file, c.text), agencySource(c.file, "Region", "Tid"), Options{})
		require.ErrorIs(t, err, ErrInput, c.name)
		require.ErrorContains(t, err, c.says, c.name)
		require.NotContains(t, err.Error(), "4.25", c.name)
	}
	src := agencySource("x.px", "Region", "Tid")
	src.Decimal = "comma"
	_, err := Read(context.Background(), dataFile(t, "x.px", agencyPX), src, Options{})
	require.ErrorIs(t, err, ErrSpec)
}

// Damaged files are errors, never a panic or endless work.
func FuzzAgency(f *testing.F) {
	for _, s := range []string{agencyPX, agencyStat, agencyStatSparse, agencyWeb, agencyKolada} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"x.px", "x.json"} {
			_, _ = ReadFlat(context.Background(), dataFile(t, name, text), FlatOptions{})
		}
	})
}
