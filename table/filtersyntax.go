package table

import (
	"errors"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// CheckFilterSyntax tests the grammar of a filter expression before the columns of
// its table are known; [CompileFilter] tests the rest. The error is a [*FilterError].
func CheckFilterSyntax(src string) error {
	if len(src) > maxFilter {
		return &FilterError{1, "the expression is too long"}
	}
	if _, err := parser.Parse(src); err != nil {
		var e *file.Error
		if errors.As(err, &e) {
			return &FilterError{e.From + 1, e.Message}
		}
		return &FilterError{1, "the expression cannot be read"}
	}
	return nil
}

// names collects the identifiers of an expression.
type names struct{ found []string }

// Visit implements the visitor of the expression library.
func (n *names) Visit(node *ast.Node) {
	if id, ok := (*node).(*ast.IdentifierNode); ok && !slices.Contains(n.found, id.Value) {
		n.found = append(n.found, id.Value)
	}
}

// FilterColumns lists the names that a filter expression mentions, in order of first
// use, before the columns of its table are known. The error is a [*FilterError].
func FilterColumns(src string) ([]string, error) {
	if err := CheckFilterSyntax(src); err != nil {
		return nil, err
	}
	tree, err := parser.Parse(src)
	if err != nil {
		return nil, &FilterError{1, "the expression cannot be read"}
	}
	var n names
	ast.Walk(&tree.Node, &n)
	return n.found, nil
}
