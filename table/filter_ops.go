package table

import (
	"math"
	"time"

	"github.com/expr-lang/expr/ast"
)

const functionNames = "abs, between, column, date, day, is_missing, max, min, month, year"

// compare compiles a comparison of two operands of one type.
func (c *compiler) compare(op string, a, b operand, pos int) (operand, error) {
	if a.typ == wordType && b.typ == textType {
		a, b = b, a // only == and != can follow, so the order does not matter
	}
	ordered := op != "==" && op != "!="
	out := operand{typ: truthType, pos: pos, col: -1}
	switch {
	case a.typ == textType || a.typ == wordType:
		if b.typ != textType && b.typ != wordType {
			return operand{}, at(pos, "%s cannot be compared with %s", a.typ, b.typ)
		}
		if ordered {
			return operand{}, at(pos, "text has no order here: only == and != compare it")
		}
		switch {
		case a.typ == wordType:
			return operand{}, at(pos, "two constants are compared")
		case b.typ == wordType:
			out.truth = c.member(a.col, []string{b.word}, b.pos)
		default:
			out.truth = sameText(a.col, b.col)
		}
		if op == "!=" {
			out.truth = negate(out.truth)
		}
		return out, nil
	case a.typ == listType || b.typ == listType:
		return operand{}, at(pos, "a list can only stand after in")
	case a.typ != b.typ:
		hint := ""
		if (a.typ == dateType && b.typ == wordType) || (b.typ == dateType && a.typ == wordType) {
			hint = `: write date("2015-01-31")`
		}
		return operand{}, at(pos, "%s cannot be compared with %s%s", a.typ, b.typ, hint)
	case a.typ == truthType:
		if ordered {
			return operand{}, at(pos, "true and false have no order: only == and != compare them")
		}
		out.truth = sameTruth(a.truth, b.truth)
		if op == "!=" {
			out.truth = negate(out.truth)
		}
		return out, nil
	}
	if a.fixed && b.fixed {
		return operand{}, at(pos, "two constants are compared")
	}
	out.truth = compareNumbers(op, a.num, b.num)
	return out, nil
}

func compareNumbers(op string, a, b numExpr) boolExpr {
	var test func(x, y float64) bool
	switch op {
	case "==":
		test = func(x, y float64) bool { return x == y }
	case "!=":
		test = func(x, y float64) bool { return x != y }
	case "<":
		test = func(x, y float64) bool { return x < y }
	case "<=":
		test = func(x, y float64) bool { return x <= y }
	case ">":
		test = func(x, y float64) bool { return x > y }
	default:
		test = func(x, y float64) bool { return x >= y }
	}
	return func(e *filterEnv, lo, hi int, out []tri) {
		x, xok := e.scratch()
		y, yok := e.scratch()
		a(e, lo, hi, x, xok)
		b(e, lo, hi, y, yok)
		for i := range out[:hi-lo] {
			out[i] = unknown
			if xok[i] && yok[i] {
				out[i] = truth(test(x[i], y[i]))
			}
		}
		e.release(x, xok)
		e.release(y, yok)
	}
}

func (c *compiler) member(col int, values []string, pos int) boolExpr {
	c.f.members = append(c.f.members, member{col, values, pos})
	return memberExpr(col, len(c.f.members)-1)
}

func negate(b boolExpr) boolExpr {
	return func(e *filterEnv, lo, hi int, out []tri) {
		b(e, lo, hi, out)
		for i, t := range out[:hi-lo] {
			if t != unknown {
				out[i] = yes - t
			}
		}
	}
}

func sameText(a, b int) boolExpr {
	return func(e *filterEnv, lo, hi int, out []tri) {
		x, y := &e.cols[a], &e.cols[b]
		for i := lo; i < hi; i++ {
			out[i-lo] = unknown
			if x.has(i) && y.has(i) {
				out[i-lo] = truth(x.string(i) == y.string(i))
			}
		}
	}
}

func sameTruth(a, b boolExpr) boolExpr {
	return func(e *filterEnv, lo, hi int, out []tri) {
		other := e.scratchTri()
		a(e, lo, hi, out)
		b(e, lo, hi, other)
		for i, t := range out[:hi-lo] {
			if t == unknown || other[i] == unknown {
				out[i] = unknown
			} else {
				out[i] = truth(t == other[i])
			}
		}
		e.releaseTri(other)
	}
}

func arithmetic(op string, a, b operand, pos int) (operand, error) {
	out := operand{typ: numberType, pos: pos, col: -1}
	dates := 0
	for _, v := range []operand{a, b} {
		switch v.typ {
		case dateType:
			dates++
		case numberType:
		default:
			return operand{}, at(v.pos, "this is %s, %s needs numbers", v.typ, op)
		}
	}
	switch {
	case dates == 0, dates == 2 && op == "-":
	case dates == 1 && (op == "+" || op == "-" && a.typ == dateType):
		out.typ = dateType
	default:
		return operand{}, at(pos, "dates cannot be combined by %s this way", op)
	}
	out.num = combine(op, a.num, b.num)
	return out, nil
}

// combine applies an operator row by row; a result that is not finite has no value.
func combine(op string, a, b numExpr) numExpr {
	var f func(x, y float64) float64
	switch op {
	case "+":
		f = func(x, y float64) float64 { return x + y }
	case "-":
		f = func(x, y float64) float64 { return x - y }
	case "*":
		f = func(x, y float64) float64 { return x * y }
	case "/":
		f = func(x, y float64) float64 { return x / y }
	case "min":
		f = math.Min
	default:
		f = math.Max
	}
	return func(e *filterEnv, lo, hi int, out []float64, ok []bool) {
		y, yok := e.scratch()
		a(e, lo, hi, out, ok)
		b(e, lo, hi, y, yok)
		for i := range out[:hi-lo] {
			if ok[i] = ok[i] && yok[i]; ok[i] {
				out[i] = f(out[i], y[i])
				ok[i] = !math.IsNaN(out[i]) && !math.IsInf(out[i], 0)
			}
		}
		e.release(y, yok)
	}
}

func (c *compiler) in(a, b operand, pos int) (operand, error) {
	if b.typ != listType {
		return operand{}, at(b.pos, "in needs a list: x in [1, 2]")
	}
	if len(b.list) == 0 {
		return operand{}, at(b.pos, "the list is empty")
	}
	if a.typ == textType {
		var words []string
		for _, v := range b.list {
			if v.typ != wordType {
				return operand{}, at(v.pos, "this is %s, text is needed", v.typ)
			}
			words = append(words, v.word)
		}
		return operand{typ: truthType, pos: pos, col: -1, truth: c.member(a.col, words, b.pos)}, nil
	}
	if a.typ != numberType && a.typ != dateType {
		return operand{}, at(a.pos, "this is %s, in needs a column", a.typ)
	}
	var any operand
	for i, v := range b.list {
		if !v.fixed && v.typ != dateType {
			return operand{}, at(v.pos, "a list holds constants only")
		}
		eq, err := c.compare("==", a, v, v.pos)
		if err != nil {
			return operand{}, err
		}
		if i == 0 {
			any = eq
		} else {
			any = logic(any.truth, eq.truth, false, pos)
		}
	}
	return any, nil
}

// call compiles a function of the filter language.
func (c *compiler) call(name string, args []ast.Node, pos int) (operand, error) {
	vs := make([]operand, len(args))
	for i, a := range args {
		v, err := c.compile(a)
		if err != nil {
			return operand{}, err
		}
		vs[i] = v
	}
	want := map[string]int{"abs": 1, "between": 3, "column": 1, "date": 1, "day": 1, "is_missing": 1, "month": 1, "year": 1}
	n, known := want[name]
	switch {
	case name == "min" || name == "max":
		if len(vs) < 2 {
			return operand{}, at(pos, "%s needs at least two numbers", name)
		}
	case !known:
		return operand{}, at(pos, "there is no function %s (there are: %s)", name, functionNames)
	case len(vs) != n:
		return operand{}, at(pos, "%s takes %d argument(s), not %d", name, n, len(vs))
	}
	out := operand{typ: numberType, pos: pos, col: -1}
	switch name {
	case "column", "date":
		if vs[0].typ != wordType {
			return operand{}, at(vs[0].pos, "%s needs text between quotes", name)
		}
		if name == "column" {
			return c.column(vs[0].word, vs[0].pos)
		}
		d, err := time.Parse("2006-01-02", vs[0].word)
		if err != nil {
			return operand{}, at(vs[0].pos, "not a date: write date(\"2015-01-31\")")
		}
		return constant(float64(d.Unix()/86400), dateType, pos), nil
	case "is_missing":
		if vs[0].col < 0 {
			return operand{}, at(vs[0].pos, "is_missing needs a column")
		}
		k := vs[0].col
		out.typ = truthType
		out.truth = func(e *filterEnv, lo, hi int, o []tri) {
			b := &e.cols[k]
			for i := lo; i < hi; i++ {
				o[i-lo] = truth(!b.has(i) || b.values != nil && math.IsNaN(b.values[i]))
			}
		}
		return out, nil
	case "between":
		low, err := c.compare("<=", vs[1], vs[0], pos)
		if err != nil {
			return operand{}, err
		}
		high, err := c.compare("<=", vs[0], vs[2], pos)
		if err != nil {
			return operand{}, err
		}
		if vs[1].fixed && vs[2].fixed && vs[1].number > vs[2].number {
			return operand{}, at(pos, "the lower bound is above the upper one")
		}
		return logic(low.truth, high.truth, true, pos), nil
	case "year", "month", "day":
		if vs[0].typ != dateType {
			return operand{}, at(vs[0].pos, "this is %s, %s needs a date", vs[0].typ, name)
		}
		out.num = datePart(name, vs[0].num)
		return out, nil
	}
	for _, v := range vs {
		if v.typ != numberType && (v.typ != dateType || name == "abs" || vs[0].typ != dateType) || v.typ != vs[0].typ {
			return operand{}, at(v.pos, "this is %s, %s needs numbers", v.typ, name)
		}
	}
	out.typ = vs[0].typ
	if name == "abs" {
		out.num = combine("max", vs[0].num, func(e *filterEnv, lo, hi int, o []float64, ok []bool) {
			vs[0].num(e, lo, hi, o, ok)
			for i := range o[:hi-lo] {
				o[i] = -o[i]
			}
		})
		return out, nil
	}
	out.num = vs[0].num
	for _, v := range vs[1:] {
		out.num = combine(name, out.num, v.num)
	}
	return out, nil
}

func datePart(part string, d numExpr) numExpr {
	return func(e *filterEnv, lo, hi int, out []float64, ok []bool) {
		d(e, lo, hi, out, ok)
		for i := range out[:hi-lo] {
			if !ok[i] {
				continue
			}
			y, m, day := time.Unix(int64(math.Floor(out[i]))*86400, 0).UTC().Date()
			switch part {
			case "year":
				out[i] = float64(y)
			case "month":
				out[i] = float64(m)
			default:
				out[i] = float64(day)
			}
		}
	}
}
