// Package lint holds the rules of the house that the compiler does not know.
package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type pkg struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "utfall/...").Output()
	require.NoError(t, err)
	var ps []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		ps = append(ps, p)
	}
	require.Greater(t, len(ps), 5)
	return ps
}

// room is the top folder of a package, "internal/num" counting as one.
func room(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "utfall/"), "/")
	if parts[0] == "internal" && len(parts) > 1 {
		return "internal/" + parts[1]
	}
	return parts[0]
}

// Which rooms a room may import: the arrows of the architecture.
var arrows = map[string][]string{
	"cmd":              {"study", "ingest", "cohort", "estimate", "table", "internal/lang"},
	"notebooks":        {"study", "ingest", "cohort", "estimate", "plots", "table", "internal/lang"},
	"study":            {"ingest", "cohort", "estimate", "plots", "table", "internal/lang", "internal/num"},
	"plots":            {"estimate", "cohort", "table", "internal/lang", "internal/places"},
	"ingest":           {"table", "internal/num", "internal/places"},
	"cohort":           {"table", "internal/num"},
	"estimate":         {"table", "internal/num"},
	"table":            {},
	"internal/num":     {},
	"internal/lang":    {},
	"internal/reftest": {},
	"internal/sim":     {"internal/num"},
	"internal/lint":    {},
	"internal/places":  {},
}

func TestRoomsImportOnlyAlongTheArrows(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		allowed, known := arrows[from]
		if !known {
			t.Errorf("%s: a new room needs a decision record and a line in this test", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if to := room(imp); strings.HasPrefix(imp, "utfall/") && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s may not know %s", p.ImportPath, imp, from, to)
			}
		}
	}
}

// Each of these libraries is known in a few rooms only.
var keepers = map[string][]string{
	"github.com/apache/arrow/": {"ingest", "table"},
	"github.com/spf13/cobra":   {"cmd"},
	"gonum.org/v1/plot":        {"plots"},
}

func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for lib, rooms := range keepers {
				if strings.HasPrefix(imp, lib) && !slices.Contains(rooms, room(p.ImportPath)) {
					t.Errorf("%s imports %s: only %s may", p.ImportPath, imp, strings.Join(rooms, ", "))
				}
			}
		}
	}
}

// The rooms where numbers are made know no files, no clock and no global state.
func TestNumericRoomsAreClosed(t *testing.T) {
	closed := []string{"table", "cohort", "estimate", "internal/num"}
	for _, p := range packages(t) {
		if !slices.Contains(closed, room(p.ImportPath)) {
			continue
		}
		for _, banned := range []string{"os", "log", "log/slog", "math/rand"} {
			if slices.Contains(p.Imports, banned) {
				t.Errorf("%s imports %s", p.ImportPath, banned)
			}
		}
		for _, name := range p.GoFiles {
			checkFile(t, filepath.Join(p.Dir, name))
		}
	}
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, 0)
	require.NoError(t, err)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			t.Errorf("%s: init function", fset.Position(f.Pos()))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		switch {
		case x.Name == "time" && sel.Sel.Name == "Now":
			t.Errorf("%s: time.Now", fset.Position(n.Pos()))
		case x.Name == "rand" && slices.Contains([]string{"Float64", "IntN", "Intn", "NormFloat64", "Perm", "Shuffle", "Uint64", "Int63"}, sel.Sel.Name):
			t.Errorf("%s: global random source", fset.Position(n.Pos()))
		}
		return true
	})
}
