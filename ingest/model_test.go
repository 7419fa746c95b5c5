package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// register reads people, spells, participations and municipalities as they would come.
func register(t testing.TB, people, spells, parts, muni string) []*Member {
	t.Helper()
	all := 1.0
	col := func(typ string, names ...string) (out []Column) {
		for _, n := range names {
			out = append(out, Column{Name: n, Type: typ})
		}
		return out
	}
	ms := []*Member{
		{Name: "people", Kind: People, Source: &Source{Columns: append(col("text", "person"), append(col("integer", "birth_year"), col("date", "end_date")...)...)}},
		{Name: "spells", Kind: Spells, Source: &Source{Columns: append(col("text", "person"), append(col("category", "state"), col("date", "from", "to")...)...)}},
		{Name: "parts", Kind: Participations, Source: &Source{Columns: append(col("text", "person"), col("date", "start", "end")...)}},
		{Name: "muni", Kind: Municipalities, Source: &Source{Columns: []Column{{Name: "municipality", Source: "kod", Type: "category", Pad: 4}, {Name: "year", Type: "integer"}, {Name: "rate", Type: "number"}}}},
	}
	for i, body := range []string{people, spells, parts, muni} {
		m := ms[i]
		m.Source.Path, m.Source.MaxRejected, m.Source.Decimal = m.Name+".csv", &all, "comma"
		r, err := Read(context.Background(), dataFile(t, m.Name+".csv", body), *m.Source, Options{})
		require.NoError(t, err, m.Name)
		m.Result = r
	}
	return ms
}

// rejects lists line, column and reason of a member's quarantine.
func rejects(m *Member) string {
	var out []string
	for _, q := range m.Result.Quarantine {
		out = append(out, fmt.Sprintf("%d %s %s", q.Line, q.Column, q.Code))
	}
	return strings.Join(out, ", ")
}

const (
	peopleBody = "person;birth_year;end_date\na;1980;2020-01-01\nb;1990;1989-12-31\nc;1970;2014-01-01\nd;1970;\nd;1970;\ne;1960;\ne;1961;\n"
	spellsBody = "person;state;from;to\n" +
		"a;ill;2015-01-01;2015-03-01\n" + // 2
		"a;work;2015-03-01;2015-04-01\n" + // 3 abuts: fine
		"a;work;2015-03-15;2015-05-01\n" + // 4 overlaps 3
		"a;work;2015-05-01;2015-05-01\n" + // 5 empty
		"a;work;2015-06-01;2015-05-01\n" + // 6 backwards
		"a;work;2015-07-01;\n" + // 7 goes on
		"a;ill;2016-01-01;2016-02-01\n" + // 8 overlaps 7
		"d;work;2015-01-01;2015-02-01\n" + // 9
		"d;work;2015-01-01;2015-02-01\n" + // 10 a copy
		"x;work;2015-01-01;2015-02-01\n" // 11 not among the people
	partsBody = "person;start;end\na;2015-01-01;2015-06-01\nc;2015-01-01;\nd;2015-05-01;2015-04-01\nx;2015-01-01;\n"
	muniBody  = "kod;year;rate\n114;2015;1,5\n0114;2016;2\n1480;2015;1\n1480;2015;2\n14800;2015;1\nAB;2015;1\n1490;2015;3\n1490;2015;3\n"
)

func TestRegister(t *testing.T) {
	ms := register(t, peopleBody, spellsBody, partsBody, muniBody)
	require.NoError(t, CheckRegister(RegisterOptions{}, ms...))
	require.Equal(t, "3 end_date birth-after-end, 4 end_date death-before-start, 6  duplicate-row, 7  duplicate-key, 8  duplicate-key", rejects(ms[0]))
	require.Equal(t, "4 from overlap, 5 to end-before-start, 6 to end-before-start, 8 from overlap, 10  duplicate-row, 11 person unknown-person", rejects(ms[1]))
	require.Equal(t, "3 person unknown-person, 4 end end-before-start, 5 person unknown-person", rejects(ms[2]), "c was rejected among the people")
	require.Equal(t, "4  duplicate-key, 5  duplicate-key, 6 municipality too-long, 7 municipality municipality-code, 9  duplicate-row", rejects(ms[3]))
	codes, _, err := ms[3].Result.Table.Text("municipality")
	require.NoError(t, err)
	require.Equal(t, []string{"0114", "0114", "1490"}, codes, "114 was repaired")
	for _, m := range ms {
		r := m.Result.Report
		require.Equal(t, r.Rows, r.Kept+r.Rejected, m.Name)
		require.Equal(t, r.Kept, m.Result.Table.Rows(), m.Name)
		require.Equal(t, "rows-rejected", r.Notes[len(r.Notes)-1].Code)
	}
	require.Equal(t, 2, ms[0].Result.Line(0))
	require.Equal(t, 5, ms[0].Result.Line(1), "a and the first d stay")
	require.Equal(t, []int{2, 3, 7, 9}, []int{ms[1].Result.Line(0), ms[1].Result.Line(1), ms[1].Result.Line(2), ms[1].Result.Line(3)})

	ms = register(t, peopleBody, spellsBody, partsBody, muniBody)
	require.NoError(t, CheckRegister(RegisterOptions{Overlap: "keep"}, ms...))
	require.NotContains(t, rejects(ms[1]), "overlap")
	require.ErrorIs(t, CheckRegister(RegisterOptions{Overlap: "maybe"}, ms...), ErrSpec)

	// the share of rejected rows is judged again
	ms = register(t, peopleBody, spellsBody, partsBody, muniBody)
	ms[1].Source.MaxRejected = nil
	err = CheckRegister(RegisterOptions{}, ms...)
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "spells.csv: 6 of 10 rows cannot be used")
}

// The rows that stay do not depend on their order in the file.
func TestRegisterRowOrder(t *testing.T) {
	reverse := func(body string) string {
		l := strings.Split(strings.TrimSpace(body), "\n")
		for i, j := 1, len(l)-1; i < j; i, j = i+1, j-1 {
			l[i], l[j] = l[j], l[i]
		}
		return strings.Join(l, "\n") + "\n"
	}
	a := register(t, peopleBody, spellsBody, partsBody, muniBody)
	b := register(t, reverse(peopleBody), reverse(spellsBody), reverse(partsBody), reverse(muniBody))
	require.NoError(t, CheckRegister(RegisterOptions{}, a...))
	require.NoError(t, CheckRegister(RegisterOptions{}, b...))
	for i := range a {
		x, err := LogicalHash(a[i].Result.Table, nil)
		require.NoError(t, err)
		y, err := LogicalHash(b[i].Result.Table, nil)
		require.NoError(t, err)
		require.Equal(t, x, y, a[i].Name)
	}
}

func TestCheckKind(t *testing.T) {
	src := &Source{Path: "x", Columns: []Column{{Name: "person", Type: "number"}}}
	errs := CheckKind(Spells, src)
	require.Len(t, errs, 4)
	require.ErrorIs(t, errs[0], ErrSpec)
	require.ErrorContains(t, errs[0], `column "person" of spells is number`)
	require.ErrorContains(t, errs[1], `spells need a column "state"`)
	require.Empty(t, CheckKind(Flat, src))
	require.Len(t, CheckKind("spell", src), 1)
}

func TestDuplicatesInQuarantine(t *testing.T) {
	src := panel()
	all := 1.0
	src.Duplicates, src.MaxRejected = "quarantine", &all
	r, err := Read(context.Background(), dataFile(t, "panel.csv", "unit,year,y\na,1,1\nb,1,1\na,1,1\nb,1,2\nc,1,5\n"), src, Options{})
	require.NoError(t, err)
	require.Equal(t, []Reject{{3, "", "duplicate-key"}, {4, "", "duplicate-row"}, {5, "", "duplicate-key"}}, r.Quarantine)
	require.Equal(t, 2, r.Table.Rows())
	require.Equal(t, 6, r.Line(1))
}

func TestSourceCheck(t *testing.T) {
	lo, hi, bad := 5.0, 1.0, 1.5
	src := Source{Separator: "x", Decimal: "x", Encoding: "latin", Extra: "keep", Duplicates: "drop", MaxRejected: &bad, Key: []string{"zz", "a", "a"},
		Columns: []Column{{}, {Name: "a", Type: "nr"}, {Name: "a", Type: "text", Source: "b"}, {Name: "b", Type: "number", Min: &lo, Max: &hi, Levels: []string{"x"}, Pad: 4},
			{Name: "c", Type: "category", Levels: []string{"x", "x", " y", "q"}, Missing: []string{"q"}, Role: "boss", Min: &lo, Of: map[string]string{"1": "w", "2": ""}}}}
	var text []string
	for _, err := range src.Check() {
		require.ErrorIs(t, err, ErrSpec)
		text = append(text, err.Error())
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{"path is missing", `separator "x"`, `decimal mark "x"`, `encoding "latin"`, `extra "keep"`, `duplicates "drop"`, "max_rejected 1.5", `key "zz"`, `key "a" is listed twice`,
		"column 1 has no name", `column "a": type "nr"`, `column "a" is declared twice`, `reads the header "b", which another`, "min is above max", "levels belong to categories, not to number", "pad belongs to",
		`level "x" is listed twice`, `level " y"`, `"q" is both`, `role "boss"`, "min and max belong to", `"2" becomes nothing`, `"1" becomes "w", which is not a level`} {
		require.Contains(t, all, want)
	}
	_, err := Read(context.Background(), "x", src, Options{})
	require.ErrorIs(t, err, ErrSpec)
}
