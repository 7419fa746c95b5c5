package run

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// displayPackage is GoNB's way to show pictures; the program has a stand-in for it.
const displayPackage = "github.com/janpfeifer/gonb/gonbui"

// Allowed are the packages a notebook may import: those that read bundles, draw and
// name types, and what it takes to print. Packages below internal are not there,
// because the module that GoNB makes around a notebook cannot import them.
var Allowed = []string{
	"bytes", "context", "fmt", "os", "slices", "strings", displayPackage,
	"utfall/cohort", "utfall/estimate", "utfall/plots", "utfall/study", "utfall/table",
}

// cellCode is a code cell taken apart.
type cellCode struct {
	number   int // of the cell in the notebook, from 1
	decls    string
	body     string
	bodyLine int // first line of body in the cell
}

// split finds the parts of a cell. A cell that only prepares GoNB's module is empty.
func split(number int, source string) (cellCode, error) {
	c := cellCode{number: number}
	all := strings.Split(source, "\n")
	if strings.HasPrefix(source, "!*") || strings.HasPrefix(source, "%goworkfix") {
		for i, l := range all {
			if l != "" && !strings.HasPrefix(l, "!*") && strings.TrimSpace(l) != "%goworkfix" {
				return c, refuse(number, i+1, `a cell that prepares the module holds nothing but lines of "!*" and "%%goworkfix"`)
			}
		}
		return c, nil
	}
	for i, l := range all {
		switch {
		case strings.TrimRight(l, " \t") == "%%" && c.bodyLine == 0:
			c.decls, c.body, c.bodyLine = strings.Join(all[:i], "\n"), strings.Join(all[i+1:], "\n"), i+2
		case strings.HasPrefix(l, "%") || strings.HasPrefix(l, "!"):
			return c, refuse(number, i+1, "%q: of GoNB's special lines only one %%%% is understood in a cell of code", l)
		}
	}
	if c.bodyLine == 0 {
		c.decls = source
	}
	return c, nil
}

func refuse(cell, line int, format string, a ...any) error {
	return fmt.Errorf("%w: cell %d, line %d: %s", ErrCell, cell, line, fmt.Sprintf(format, a...))
}

// program collects the parts of all cells.
type program struct {
	name    string // of the notebook, for positions in errors of the compiler
	imports []string
	decls   bytes.Buffer
	bodies  bytes.Buffer
	text    map[string]string // declared name → its declaration
	cell    map[string]int    // declared name → the first cell that declares it
	used    []use
	numbers []int // of the cells that are run
}

type use struct {
	name       string
	cell, line int
}

// source makes one Go program of all code cells. number i of the program's outputs
// belongs to cell numbers[i] of the notebook.
func (nb *Notebook) source(name string) (src []byte, numbers []int, err error) {
	p := &program{name: name, text: map[string]string{}, cell: map[string]int{}}
	for i, c := range nb.Cells {
		if c.Type != "code" {
			continue
		}
		code, err := split(i+1, c.Source.String())
		if err == nil {
			err = p.add(code)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, u := range p.used {
		if first, ok := p.cell[u.name]; ok && first > u.cell {
			return nil, nil, refuse(u.cell, u.line, "%s is declared in cell %d, which comes later", u.name, first)
		}
	}
	return p.assemble(), p.numbers, nil
}

func (p *program) add(c cellCode) error {
	const head, wrap = "package p;", "package p;func _(){"
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", head+c.decls, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("%w: cell %d: %w", ErrCell, c.number, err)
	}
	at := func(n ast.Node) int { return fset.Position(n.Pos()).Line }
	for _, spec := range file.Imports {
		if err := p.addImport(c.number, at(spec), spec); err != nil {
			return err
		}
	}
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			continue
		}
		text := c.decls[fset.Position(d.Pos()).Offset-len(head) : fset.Position(d.End()).Offset-len(head)]
		if err := p.addDecl(c.number, at(d), d, text); err != nil {
			return err
		}
	}
	if err := p.inspect(fset, file, c.number, 0); err != nil {
		return err
	}
	if c.bodyLine == 0 {
		return nil
	}
	bodySet := token.NewFileSet()
	body, err := parser.ParseFile(bodySet, "", wrap+"\n"+c.body+"\n}", parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("%w: cell %d, after %%%%: %w", ErrCell, c.number, err)
	}
	if len(body.Decls) != 1 {
		return refuse(c.number, c.bodyLine, "the statements after %%%% close more braces than they open")
	}
	if err := p.inspect(bodySet, body, c.number, c.bodyLine-2); err != nil {
		return err
	}
	fmt.Fprintf(&p.bodies, "func nb_cell_%d() {\n//line %s cell %d:%d\n%s\n}\n", c.number, p.name, c.number, c.bodyLine, c.body)
	p.numbers = append(p.numbers, c.number)
	return nil
}

func (p *program) addImport(cell, line int, spec *ast.ImportSpec) error {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return refuse(cell, line, "import %s: %v", spec.Path.Value, err)
	}
	if spec.Name != nil {
		return refuse(cell, line, "import %q under another name", path)
	}
	if !slices.Contains(Allowed, path) {
		return refuse(cell, line, "import %q: a notebook may import %s", path, strings.Join(Allowed, ", "))
	}
	if !slices.Contains(p.imports, path) {
		p.imports = append(p.imports, path)
	}
	return nil
}

func (p *program) addDecl(cell, line int, d ast.Decl, text string) error {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			return refuse(cell, line, "method %s: notebooks declare no methods", name)
		}
		if name == "main" || name == "init" {
			return refuse(cell, line, "func %s: statements stand after %%%%", name)
		}
		names = []string{name}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.ValueSpec:
				for _, n := range s.Names {
					names = append(names, n.Name)
				}
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			}
		}
	}
	fresh := 0
	for _, n := range names {
		switch have, ok := p.text[n]; {
		case n == "_" || strings.HasPrefix(n, "nb_") || n == "gonbui":
			return refuse(cell, line, "the name %s cannot be declared", n)
		case !ok:
			fresh++
			p.text[n], p.cell[n] = text, cell
		case have != text:
			return refuse(cell, line, "%s is declared in another way in cell %d", n, p.cell[n])
		}
	}
	if fresh > 0 {
		fmt.Fprintf(&p.decls, "//line %s cell %d:%d\n%s\n", p.name, cell, line, text)
	}
	return nil
}

// inspect notes the names that the code uses and refuses what computes a number. Lines
// of the parsed text are offset less than those of the cell.
func (p *program) inspect(fset *token.FileSet, file *ast.File, cell, offset int) error {
	var err error
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil || err != nil {
			return false
		}
		line := fset.Position(n.Pos()).Line + offset
		switch n := n.(type) {
		case *ast.SelectorExpr:
			ast.Inspect(n.X, func(x ast.Node) bool {
				if id, ok := x.(*ast.Ident); ok {
					p.used = append(p.used, use{id.Name, cell, line})
				}
				return true
			})
		case *ast.Ident:
			p.used = append(p.used, use{n.Name, cell, line})
		case *ast.BinaryExpr:
			if arithmetic(n.Op) {
				err = refuse(cell, line, "arithmetic (%s): a notebook shows numbers that exist", n.Op)
			}
		case *ast.AssignStmt:
			if n.Tok != token.ASSIGN && n.Tok != token.DEFINE {
				err = refuse(cell, line, "arithmetic (%s): a notebook shows numbers that exist", n.Tok)
			}
		case *ast.FuncType:
			if n.Results != nil && numeric(n.Results) {
				err = refuse(cell, line, "a function that gives a number: that belongs in a package with its tests")
			}
		}
		return true
	})
	return err
}

func arithmetic(op token.Token) bool {
	switch op {
	case token.LAND, token.LOR, token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		return false
	}
	return true
}

var numberTypes = []string{"float64", "float32", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "complex64", "complex128", "uintptr"}

func numeric(results *ast.FieldList) bool {
	found := false
	ast.Inspect(results, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && slices.Contains(numberTypes, id.Name) {
			found = true
		}
		return true
	})
	return found
}

// assemble writes the program: each cell's standard output and pictures go to files of
// their own, numbered in the order in which they were shown.
func (p *program) assemble() []byte {
	var b bytes.Buffer
	b.WriteString("package main\n\nimport (\n\tnb_fmt \"fmt\"\n\tnb_os \"os\"\n\tnb_path \"path/filepath\"\n)\n\n")
	for _, path := range p.imports {
		if path != displayPackage {
			fmt.Fprintf(&b, "import %q\n", path)
		}
	}
	b.WriteString(support)
	if slices.Contains(p.imports, displayPackage) {
		b.WriteString("\nvar gonbui nb_display\n")
	}
	b.WriteString("\nfunc main() {\n")
	for _, n := range p.numbers {
		fmt.Fprintf(&b, "\tnb_run(%d, nb_cell_%d)\n", n, n)
	}
	b.WriteString("}\n\n")
	b.Write(p.decls.Bytes())
	b.Write(p.bodies.Bytes())
	return b.Bytes()
}

const support = `
var nb_cell, nb_part int

func nb_must(err error) {
	if err != nil {
		panic(err)
	}
}

func nb_next(ending string) string {
	nb_part++
	return nb_path.Join(nb_os.Getenv("` + outVariable + `"), nb_fmt.Sprintf("%04d-%04d.%s", nb_cell, nb_part, ending))
}

func nb_text() {
	f, err := nb_os.Create(nb_next("txt"))
	nb_must(err)
	nb_os.Stdout = f
}

func nb_run(number int, cell func()) {
	nb_cell, nb_part = number, 0
	nb_text()
	cell()
	nb_must(nb_os.Stdout.Close())
}

type nb_display struct{}

func (nb_display) DisplayPng(png []byte) {
	nb_must(nb_os.Stdout.Close())
	nb_must(nb_os.WriteFile(nb_next("png"), png, 0o644))
	nb_text()
}
`
