package table

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// filterType is the type of an expression.
type filterType int

const (
	numberType filterType = iota
	dateType
	truthType
	textType // a text or category column
	wordType // a text constant
	listType
)

func (t filterType) String() string {
	return [...]string{"a number", "a date", "true or false", "text", "text", "a list"}[t]
}

// operand is a compiled expression of any type.
type operand struct {
	typ    filterType
	pos    int
	num    numExpr  // number, date
	truth  boolExpr // true or false
	col    int      // the column it is, or -1
	word   string
	list   []operand
	number float64 // the value of a numeric constant
	fixed  bool    // a constant
}

type compiler struct {
	f      *Filter
	fields map[string]Field
	names  []string
	slot   map[string]int
	depth  int
}

func position(n ast.Node) int { return n.Location().From + 1 }

func at(pos int, format string, a ...any) error {
	return &FilterError{pos, fmt.Sprintf(format, a...)}
}

// maxDepth bounds the nesting of an expression, so that no input can exhaust the stack.
const maxDepth = 200

func (c *compiler) compile(n ast.Node) (operand, error) {
	if n == nil {
		return operand{}, at(1, "the expression is empty")
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maxDepth {
		return operand{}, at(position(n), "the expression is nested too deeply")
	}
	pos := position(n)
	switch x := n.(type) {
	case *ast.IdentifierNode:
		return c.column(x.Value, pos)
	case *ast.IntegerNode:
		if x.Value >= exactInteger || x.Value <= -exactInteger {
			return operand{}, at(pos, "whole numbers of 2^53 and more are not exact here")
		}
		return constant(float64(x.Value), numberType, pos), nil
	case *ast.FloatNode:
		return constant(x.Value, numberType, pos), nil
	case *ast.BoolNode:
		v := truth(x.Value)
		return operand{typ: truthType, pos: pos, col: -1, fixed: true, truth: func(_ *filterEnv, lo, hi int, out []tri) {
			for i := range out[:hi-lo] {
				out[i] = v
			}
		}}, nil
	case *ast.StringNode:
		return operand{typ: wordType, pos: pos, col: -1, word: x.Value, fixed: true}, nil
	case *ast.ArrayNode:
		out := operand{typ: listType, pos: pos, col: -1}
		for _, e := range x.Nodes {
			v, err := c.compile(e)
			if err != nil {
				return operand{}, err
			}
			out.list = append(out.list, v)
		}
		return out, nil
	case *ast.UnaryNode:
		return c.unary(x, pos)
	case *ast.BinaryNode:
		return c.binary(x, pos)
	case *ast.BuiltinNode:
		return c.call(x.Name, x.Arguments, pos)
	case *ast.CallNode:
		id, ok := x.Callee.(*ast.IdentifierNode)
		if !ok {
			return operand{}, at(pos, "only named functions can be called: %s", functionNames)
		}
		return c.call(id.Value, x.Arguments, position(x.Callee))
	case *ast.NilNode:
		return operand{}, at(pos, "nothing is ever equal to nil: use is_missing(column)")
	case *ast.ConditionalNode:
		return operand{}, at(pos, "conditions with ? : or if are not part of filters: use and, or, not")
	}
	return operand{}, at(pos, "this construct is not part of filters")
}

func constant(v float64, typ filterType, pos int) operand {
	return operand{typ: typ, pos: pos, col: -1, number: v, fixed: true, num: func(_ *filterEnv, lo, hi int, out []float64, ok []bool) {
		for i := range out[:hi-lo] {
			out[i], ok[i] = v, true
		}
	}}
}

func (c *compiler) column(name string, pos int) (operand, error) {
	f, ok := c.fields[name]
	if !ok {
		list := c.names
		if len(list) > 40 {
			list = append(slices.Clone(list[:40]), fmt.Sprintf("and %d more", len(c.names)-40))
		}
		return operand{}, at(pos, "there is no column %q (there are: %s)", name, strings.Join(list, ", "))
	}
	k, ok := c.slot[name]
	if !ok {
		k = len(c.f.columns)
		c.slot[name] = k
		c.f.columns = append(c.f.columns, f)
	}
	out := operand{pos: pos, col: k}
	switch f.Kind {
	case FloatKind, IntegerKind, DateKind:
		out.typ = numberType
		if f.Kind == DateKind {
			out.typ = dateType
		}
		out.num = func(e *filterEnv, lo, hi int, v []float64, ok []bool) {
			b := &e.cols[k]
			copy(v, b.values[lo:hi])
			for i := range v[:hi-lo] {
				ok[i] = b.has(lo+i) && !math.IsNaN(v[i])
			}
		}
	case BooleanKind:
		out.typ = truthType
		out.truth = func(e *filterEnv, lo, hi int, v []tri) {
			b := &e.cols[k]
			for i := lo; i < hi; i++ {
				v[i-lo] = unknown
				if b.has(i) {
					v[i-lo] = truth(b.values[i] != 0)
				}
			}
		}
	case CategoryKind, TextKind:
		out.typ = textType
	default:
		return operand{}, at(pos, "column %q has no kind", name)
	}
	return out, nil
}

// boolean makes a condition of an operand.
func (c *compiler) boolean(v operand) (boolExpr, error) {
	if v.typ != truthType {
		hint := ""
		if v.col >= 0 && v.typ == numberType {
			hint = fmt.Sprintf("; for a column of 0 and 1 write %s == 1", c.f.columns[v.col].Name)
		}
		return nil, at(v.pos, "this is %s, a condition is needed%s", v.typ, hint)
	}
	return v.truth, nil
}

func (c *compiler) unary(x *ast.UnaryNode, pos int) (operand, error) {
	v, err := c.compile(x.Node)
	if err != nil {
		return operand{}, err
	}
	switch x.Operator {
	case "not", "!":
		b, err := c.boolean(v)
		if err != nil {
			return operand{}, err
		}
		return operand{typ: truthType, pos: pos, col: -1, truth: func(e *filterEnv, lo, hi int, out []tri) {
			b(e, lo, hi, out)
			for i, t := range out[:hi-lo] {
				if t != unknown {
					out[i] = yes - t
				}
			}
		}}, nil
	case "-", "+":
		if v.typ != numberType {
			return operand{}, at(v.pos, "this is %s, a number is needed", v.typ)
		}
		if x.Operator == "+" {
			return v, nil
		}
		if v.fixed {
			return constant(-v.number, numberType, pos), nil
		}
		return operand{typ: numberType, pos: pos, col: -1, num: func(e *filterEnv, lo, hi int, out []float64, ok []bool) {
			v.num(e, lo, hi, out, ok)
			for i := range out[:hi-lo] {
				out[i] = -out[i]
			}
		}}, nil
	}
	return operand{}, at(pos, "the operator %s is not part of filters", x.Operator)
}

func (c *compiler) binary(x *ast.BinaryNode, pos int) (operand, error) {
	a, err := c.compile(x.Left)
	if err != nil {
		return operand{}, err
	}
	b, err := c.compile(x.Right)
	if err != nil {
		return operand{}, err
	}
	switch x.Operator {
	case "and", "&&", "or", "||":
		l, err := c.boolean(a)
		if err != nil {
			return operand{}, err
		}
		r, err := c.boolean(b)
		if err != nil {
			return operand{}, err
		}
		return logic(l, r, x.Operator == "and" || x.Operator == "&&", pos), nil
	case "==", "!=", "<", "<=", ">", ">=":
		return c.compare(x.Operator, a, b, pos)
	case "+", "-", "*", "/":
		return arithmetic(x.Operator, a, b, pos)
	case "in":
		return c.in(a, b, pos)
	case "..":
		return operand{}, at(pos, "ranges are not part of filters: use between(x, low, high)")
	}
	return operand{}, at(pos, "the operator %s is not part of filters", x.Operator)
}

// logic is and (or) of two conditions: false (true) decides, else unknown wins.
func logic(l, r boolExpr, and bool, pos int) operand {
	decides := truth(!and)
	return operand{typ: truthType, pos: pos, col: -1, truth: func(e *filterEnv, lo, hi int, out []tri) {
		other := e.scratchTri()
		l(e, lo, hi, out)
		r(e, lo, hi, other)
		for i, t := range out[:hi-lo] {
			switch {
			case t == decides || other[i] == decides:
				out[i] = decides
			case t == unknown || other[i] == unknown:
				out[i] = unknown
			}
		}
		e.releaseTri(other)
	}}
}
