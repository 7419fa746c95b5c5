package lang

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// emission is a place in the sources where a note is made.
type emission struct {
	at, code string
	args     []string
	open     bool // the arguments are made elsewhere
}

// Every note that a room of the pipeline can make has a sentence in both languages (load
// refuses one language alone), and the sentence names no argument that the note lacks.
func TestEveryNoteHasASentence(t *testing.T) {
	all, err := catalogue()
	require.NoError(t, err)
	made := map[string]bool{}
	for _, room := range []string{"table", "ingest", "cohort", "estimate", "study"} {
		for _, e := range notesOf(t, filepath.Join("..", "..", room)) {
			made["notes."+e.code] = true
			if !Has("notes." + e.code) {
				t.Errorf("%s makes the note %q, which has no text in the catalogue", e.at, e.code)
				continue
			}
			for _, name := range arguments(all["notes."+e.code][EN]) {
				if !e.open && !slices.Contains(e.args, name) {
					t.Errorf("%s makes the note %q without the argument {%s} that its text names", e.at, e.code, name)
				}
			}
		}
	}
	require.Greater(t, len(made), 40, "the search must find the notes")
	files, err := filepath.Glob(filepath.Join("..", "..", "cmd", "utfall", "fit*.go"))
	require.NoError(t, err)
	var command strings.Builder // the command line makes notes of its own on the file that fit reads
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			source, err := os.ReadFile(f)
			require.NoError(t, err)
			command.Write(source)
		}
	}
	for key := range all {
		if code, ok := strings.CutPrefix(key, "notes."); ok && !made[key] && !strings.Contains(command.String(), `"`+code+`"`) {
			t.Errorf("no room makes the note of the text %q", key)
		}
	}
}

// A withheld count reaches a sentence as NaN, which must not stop it.
func TestNotesWithWithheldCounts(t *testing.T) {
	all, err := catalogue()
	require.NoError(t, err)
	for key := range all {
		code, ok := strings.CutPrefix(key, "notes.")
		if !ok || code == "cohort-without-base-period" { // its argument is a period, which is never withheld
			continue
		}
		args := map[string]any{}
		for _, name := range arguments(all[key][SV]) {
			args[name] = math.NaN()
		}
		for _, l := range All() {
			require.NotEqual(t, "own words", l.Note(code, "own words", args), "%s in %s", key, l)
		}
	}
}

// notesOf finds the notes that the sources below a folder make: literals of table.Note,
// and calls of the functions that pass a code on to one.
func notesOf(t *testing.T, root string) []emission {
	t.Helper()
	var out []emission
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" {
			return filepath.SkipDir
		}
		out = append(out, notesOfPackage(t, path)...)
		return nil
	})
	require.NoError(t, err)
	return out
}

// helper is a function that makes a note of the code it is given.
type helper struct {
	code, args int // positions of its parameters; args -1 where the literal has them
	keys       []string
}

func notesOfPackage(t *testing.T, dir string) []emission {
	set := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var files []*ast.File
	for _, p := range paths {
		if !strings.HasSuffix(p, "_test.go") {
			f, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	var out []emission
	helpers := map[string]helper{}
	for _, f := range files {
		functions(f, func(name string, params []string, body *ast.BlockStmt) {
			for _, lit := range noteLiterals(body) {
				e := emission{at: set.Position(lit.Pos()).String()}
				code, args := field(lit, "Code"), field(lit, "Args")
				e.args, e.open = keysOf(args)
				if s, ok := literal(code); ok {
					e.code = s
					out = append(out, e)
					continue
				}
				at := slices.Index(params, identifier(code))
				if at < 0 {
					continue // copies a note, or belongs to a function inside this one
				}
				helpers[name] = helper{at, slices.Index(params, identifier(args)), e.args}
			}
		})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			h, ok := helpers[called(call)]
			if !ok || h.code >= len(call.Args) {
				return true
			}
			code, ok := literal(call.Args[h.code])
			if !ok || code == "" {
				return true
			}
			e := emission{at: set.Position(call.Pos()).String(), code: code, args: h.keys}
			if h.args >= 0 && h.args < len(call.Args) {
				e.args, e.open = keysOf(call.Args[h.args])
			}
			out = append(out, e)
			return true
		})
	}
	return out
}

// functions calls visit for each function: declared ones, and those given a name inside.
func functions(f *ast.File, visit func(name string, params []string, body *ast.BlockStmt)) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch d := n.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				visit(d.Name.Name, parameters(d.Type), d.Body)
			}
		case *ast.AssignStmt:
			for i, r := range d.Rhs {
				if lit, ok := r.(*ast.FuncLit); ok && i < len(d.Lhs) {
					// Notes with their own code are found in the function around this one.
					visit(identifier(d.Lhs[i]), parameters(lit.Type), withoutLiteralCodes(lit.Body))
				}
			}
		}
		return true
	})
}

// withoutLiteralCodes keeps the statements of a body for the search of passed-on codes only.
func withoutLiteralCodes(b *ast.BlockStmt) *ast.BlockStmt {
	out := &ast.BlockStmt{}
	for _, s := range b.List {
		own := false
		for _, lit := range noteLiterals(s) {
			if _, ok := literal(field(lit, "Code")); ok {
				own = true
			}
		}
		if !own {
			out.List = append(out.List, s)
		}
	}
	return out
}

func parameters(t *ast.FuncType) (names []string) {
	for _, p := range t.Params.List {
		for _, n := range p.Names {
			names = append(names, n.Name)
		}
	}
	return names
}

// noteLiterals finds composite literals of table.Note, also inside a list of them.
func noteLiterals(root ast.Node) (out []*ast.CompositeLit) {
	isNote := func(e ast.Expr) bool {
		if s, ok := e.(*ast.SelectorExpr); ok {
			return s.Sel.Name == "Note" && identifier(s.X) == "table"
		}
		return identifier(e) == "Note"
	}
	ast.Inspect(root, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if isNote(lit.Type) {
			out = append(out, lit)
		}
		if list, ok := lit.Type.(*ast.ArrayType); ok && isNote(list.Elt) {
			for _, e := range lit.Elts {
				if inner, ok := e.(*ast.CompositeLit); ok && inner.Type == nil {
					out = append(out, inner)
				}
			}
		}
		return true
	})
	return out
}

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok && identifier(kv.Key) == name {
			return kv.Value
		}
	}
	return nil
}

// keysOf gives the keys of a map literal; open where the map is made elsewhere.
func keysOf(e ast.Expr) (keys []string, open bool) {
	if e == nil || identifier(e) == "nil" {
		return nil, false
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil, true
	}
	for _, el := range lit.Elts {
		if kv, ok := el.(*ast.KeyValueExpr); ok {
			if s, ok := literal(kv.Key); ok {
				keys = append(keys, s)
			}
		}
	}
	return keys, false
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func identifier(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func called(c *ast.CallExpr) string {
	if s, ok := c.Fun.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return identifier(c.Fun)
}
