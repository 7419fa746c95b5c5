package table

import (
	"errors"

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
