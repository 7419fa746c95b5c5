package lang

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// piece is a stretch of fixed text, or an argument with the way it is written.
type piece struct {
	fixed      string
	name       string // empty for fixed text
	format     string // "", "plain", decimals, "percent" + decimals
	one, other string
	choice     bool
}

var argument = regexp.MustCompile(`^([a-z][a-z0-9_]*)(?::(plain|[0-9]|percent[0-9])|\?([^|]*)\|(.*))?$`)

// split takes a text apart at its braces.
func split(s string) ([]piece, error) {
	var out []piece
	var fixed strings.Builder
	flush := func() {
		if fixed.Len() > 0 {
			out = append(out, piece{fixed: fixed.String()})
			fixed.Reset()
		}
	}
	for len(s) > 0 {
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			fixed.WriteByte(s[0])
			s = s[2:]
		case s[0] == '{':
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return nil, fmt.Errorf("a brace is not closed")
			}
			m := argument.FindStringSubmatch(s[1:end])
			if m == nil {
				return nil, fmt.Errorf("argument %s cannot be read", s[:end+1])
			}
			flush()
			out = append(out, piece{name: m[1], format: m[2], one: m[3], other: m[4], choice: strings.Contains(s[:end], "?")})
			s = s[end+1:]
		case s[0] == '}':
			return nil, fmt.Errorf("a brace is closed that was not opened")
		default:
			fixed.WriteByte(s[0])
			s = s[1:]
		}
	}
	flush()
	return out, nil
}

// arguments gives the names in a text, each once, in order of name.
func arguments(pieces []piece) []string {
	var names []string
	for _, p := range pieces {
		if p.name != "" {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// named reads the arguments of Text.
func named(args []any) (map[string]any, error) {
	if len(args) == 1 {
		if m, ok := args[0].(map[string]any); ok {
			return m, nil
		}
	}
	if len(args)%2 != 0 {
		return nil, fmt.Errorf("%w: pairs of name and value expected", ErrArgument)
	}
	m := make(map[string]any, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		name, ok := args[i].(string)
		if !ok {
			return nil, fmt.Errorf("%w: argument %d is not a name", ErrArgument, i+1)
		}
		m[name] = args[i+1]
	}
	return m, nil
}

func (l Lang) fill(pieces []piece, values map[string]any) (string, error) {
	var b strings.Builder
	used := make(map[string]bool)
	for _, p := range pieces {
		if p.name == "" {
			b.WriteString(p.fixed)
			continue
		}
		v, ok := values[p.name]
		if !ok {
			return "", fmt.Errorf("%w: {%s} has no value", ErrArgument, p.name)
		}
		used[p.name] = true
		s, err := l.write(p, v)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	for name := range values {
		if !used[name] {
			return "", fmt.Errorf("%w: %q is not used", ErrArgument, name)
		}
	}
	return b.String(), nil
}

// withheld stands in the place of a count that disclosure control does not show: its sentence is said all the same.
const withheld = ".."

func (l Lang) write(p piece, v any) (string, error) {
	number, isNumber := toFloat(v)
	if p.choice {
		switch {
		case v == withheld:
			return p.other, nil
		case !isNumber:
			return "", fmt.Errorf("%w: {%s} is not a number", ErrArgument, p.name)
		case number == 1:
			return p.one, nil
		}
		return p.other, nil
	}
	if !isNumber {
		if p.format != "" && v != withheld {
			return "", fmt.Errorf("%w: {%s} is not a number", ErrArgument, p.name)
		}
		if words, ok := v.([]string); ok {
			return l.And(words), nil
		}
		return fmt.Sprint(v), nil
	}
	if decimals, ok := strings.CutPrefix(p.format, "percent"); ok {
		d, _ := strconv.Atoi(decimals)
		return l.Percent(number, d), nil
	}
	switch p.format {
	case "":
		if _, ok := notFinite(number); ok || math.Abs(number) >= 1e15 || (number != 0 && math.Abs(number) < 1e-6) {
			return l.Significant(number, 3), nil
		}
		return l.fixed(strconv.FormatFloat(number, 'f', -1, 64)), nil
	case "plain":
		if number != math.Trunc(number) || math.Abs(number) >= 1e15 {
			return "", fmt.Errorf("%w: {%s} is not a whole number", ErrArgument, p.name)
		}
		return strings.Replace(strconv.FormatInt(int64(number), 10), "-", minus, 1), nil
	}
	d, _ := strconv.Atoi(p.format)
	return l.Number(number, d), nil
}

// toFloat reads the kinds of number that an argument can be: those of Go's own
// counts and estimates, and those that come back from a results file.
func toFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float32:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}
