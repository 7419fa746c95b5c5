package lang

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// Load itself refuses an empty language, arguments that differ, a key of another
// room, an unknown field and a key that stands twice.
func TestCatalogueIsWhole(t *testing.T) {
	all, err := catalogue()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	require.Len(t, Keys(), len(all))
	for key := range all {
		require.True(t, Has(key), key)
	}
}

func TestCatalogueMistakes(t *testing.T) {
	for what, content := range map[string]string{
		"empty language":      `room.a: {sv: "ja", en: " "}`,
		"missing language":    `room.a: {sv: "ja"}`,
		"arguments differ":    `room.a: {sv: "{n} rader", en: "{m} rows"}`,
		"argument left out":   `room.a: {sv: "{n} rader", en: "rows"}`,
		"key twice":           "room.a: {sv: a, en: a}\nroom.a: {sv: b, en: b}",
		"unknown field":       `room.a: {sv: a, en: a, de: a}`,
		"another room's key":  `other.a: {sv: a, en: a}`,
		"key in other form":   `room.A: {sv: a, en: a}`,
		"brace not closed":    `room.a: {sv: "{n", en: "{n"}`,
		"brace not opened":    `room.a: {sv: "n}", en: "n}"}`,
		"unreadable argument": `room.a: {sv: "{n:x}", en: "{n:x}"}`,
	} {
		_, err := load(fstest.MapFS{"catalogue/room.yaml": {Data: []byte(content)}})
		require.ErrorIs(t, err, ErrCatalogue, what)
		require.ErrorContains(t, err, "room.yaml", what)
	}
	all, err := load(fstest.MapFS{"catalogue/room.yaml": {Data: []byte(`room.a: {sv: "{n", en: "n"}`)}, "catalogue/other.yaml": {Data: []byte(`other.before_after: {sv: a, en: a}`)}})
	require.ErrorIs(t, err, ErrCatalogue)
	require.Contains(t, all, "other.before_after", "a mistake in one room leaves the others their texts")
	all, err = load(fstest.MapFS{"catalogue/room.yaml": {Data: []byte("# nothing yet\n")}})
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestFill(t *testing.T) {
	for _, c := range []struct {
		text string
		args map[string]any
		sv   string
		en   string
	}{
		{"{n} st", map[string]any{"n": 1234}, "1\u00a0234 st", "1,234 st"},
		{"{n} st", map[string]any{"n": 0.5}, "0,5 st", "0.5 st"},
		{"{n}", map[string]any{"n": json.Number("-2.25")}, "−2,25", "−2.25"},
		{"{n:2}", map[string]any{"n": 1}, "1,00", "1.00"},
		{"{y:plain}", map[string]any{"y": 2019.0}, "2019", "2019"},
		{"{p:percent1}", map[string]any{"p": 0.305}, "30,5\u00a0%", "30.5%"},
		{"{n} {n?rad|rader}", map[string]any{"n": 1}, "1 rad", "1 rad"},
		{"{n} {n?rad|rader}", map[string]any{"n": 2.0}, "2 rader", "2 rader"},
		{"{n} {n?rad|rader}", map[string]any{"n": 0}, "0 rader", "0 rader"},
		{"{n} {n?rad|rader}", map[string]any{"n": ".."}, ".. rader", ".. rader"},
		{"{x:1} ggr", map[string]any{"x": ".."}, ".. ggr", ".. ggr"},
		{"{{{a}}}", map[string]any{"a": "x"}, "{x}", "{x}"},
		{"{a}", map[string]any{"a": []string{"x", "y"}}, "x och y", "x and y"},
		{"{a}", map[string]any{"a": "{b}"}, "{b}", "{b}"}, // a value is never read as a text
	} {
		pieces, err := split(c.text)
		require.NoError(t, err, c.text)
		sv, err := SV.fill(pieces, c.args)
		require.NoError(t, err, c.text)
		require.Equal(t, c.sv, sv)
		en, err := EN.fill(pieces, c.args)
		require.NoError(t, err, c.text)
		require.Equal(t, c.en, en)
	}
}

func TestFillMistakes(t *testing.T) {
	for text, args := range map[string]map[string]any{
		"{n}":       {},
		"n":         {"n": 1},
		"{n:2}":     {"n": "x"},
		"{n:plain}": {"n": 0.5},
		"{n?a|b}":   {"n": "x"},
	} {
		pieces, err := split(text)
		require.NoError(t, err, text)
		_, err = SV.fill(pieces, args)
		require.ErrorIs(t, err, ErrArgument, text)
	}
	_, err := named([]any{"n"})
	require.ErrorIs(t, err, ErrArgument)
	_, err = named([]any{1, 2})
	require.ErrorIs(t, err, ErrArgument)
}

func TestLookup(t *testing.T) {
	s, err := SV.Lookup("notes.rows-dropped", "rows", 1)
	require.NoError(t, err)
	require.Contains(t, s, "1 rad saknar")
	require.Contains(t, EN.Text("notes.rows-dropped", map[string]any{"rows": 1500}), "1,500 rows have")

	_, err = SV.Lookup("notes.no-such-note")
	require.ErrorIs(t, err, ErrUnknownKey)
	require.Equal(t, "[[notes.no-such-note]]", SV.Text("notes.no-such-note"))
	require.Equal(t, "[[notes.rows-dropped]]", SV.Text("notes.rows-dropped"))
	_, err = Lang("de").Lookup("notes.rows-dropped", "rows", 1)
	require.ErrorIs(t, err, ErrUnknownLanguage)
}

func TestNote(t *testing.T) {
	require.Contains(t, SV.Note("rows-dropped", "x", map[string]any{"rows": 3.0, "column": "unused"}), "3 rader")
	require.Equal(t, "own words", SV.Note("no-such-note", "own words", nil))
	require.Equal(t, "own words", SV.Note("rows-dropped", "own words", nil), "a sentence without its number is not shown")
}

// A key that a source file asks for by name must exist: a report never shows [[key]].
func TestSourcesAskForKeysThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // the compiler says so with more words
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			lit, isLit := call.Args[0].(*ast.BasicLit)
			if !ok || !isLit || lit.Kind != token.STRING || (sel.Sel.Name != "Text" && sel.Sel.Name != "Lookup") {
				return true
			}
			if key, err := strconv.Unquote(lit.Value); err == nil && keyForm.MatchString(key) {
				require.True(t, Has(key), "%s asks for the text %q, which the catalogue does not have", path, key)
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
}
