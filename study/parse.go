package study

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Errors of the package; each maps to an exit code. Test with [errors.Is].
var (
	ErrSpec       = errors.New("study file")          // exit 2
	ErrInput      = errors.New("input data")          // exit 3
	ErrDisclosure = errors.New("disclosure")          // exit 4
	ErrResource   = errors.New("resource")            // exit 5
	ErrDiffers    = errors.New("verification failed") // exit 6
	ErrLocked     = errors.New("locked")              // exit 7
)

// Problem is one thing wrong with a study file.
type Problem struct {
	File string
	Line int // 0 = about the file as a whole
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// SpecError is every problem of a study file, in line order. It is an [ErrSpec].
type SpecError struct{ Problems []Problem }

func (e *SpecError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (e *SpecError) Unwrap() error { return ErrSpec }

// Limits on a study file: it is written by hand, so these are generous.
const (
	maxSpecBytes = 1 << 20
	maxSpecDepth = 32
)

// Parse reads a study file. Unknown keys, keys given twice, anchors and aliases,
// more than one document and values of the wrong type are problems; all of them are
// reported at once, with their lines, in a [*SpecError]. The spec is returned with
// its defaults filled in.
func Parse(name string, r io.Reader) (*Spec, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSpecBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	one := func(line int, format string, a ...any) error {
		return &SpecError{[]Problem{{name, line, fmt.Sprintf(format, a...)}}}
	}
	if len(b) > maxSpecBytes {
		return nil, one(0, "the study file is larger than %d bytes", maxSpecBytes)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, one(0, "the study file is empty")
		}
		return nil, &SpecError{yamlProblems(name, err)}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, one(0, "the study file holds more than one document (---)")
	}
	if p := plain(&doc, 0); p != nil {
		p.File = name
		return nil, &SpecError{[]Problem{*p}}
	}
	spec := &Spec{}
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	if err := strict.Decode(spec); err != nil {
		return nil, &SpecError{yamlProblems(name, err)}
	}
	spec.defaults()
	if problems := spec.check(name, &doc); len(problems) > 0 {
		sort.SliceStable(problems, func(i, j int) bool { return problems[i].Line < problems[j].Line })
		return nil, &SpecError{problems}
	}
	return spec, nil
}

// plain refuses what a study file never needs and an attacker might: anchors,
// aliases, custom tags and deep nesting.
func plain(n *yaml.Node, depth int) *Problem {
	switch {
	case depth > maxSpecDepth:
		return &Problem{Line: n.Line, Text: fmt.Sprintf("nested deeper than %d levels", maxSpecDepth)}
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return &Problem{Line: n.Line, Text: "anchors and aliases (& and *) are not allowed: write the value out"}
	case n.Style&yaml.TaggedStyle != 0:
		return &Problem{Line: n.Line, Text: "tags (!) are not allowed"}
	}
	for _, c := range n.Content {
		if p := plain(c, depth+1); p != nil {
			return p
		}
	}
	return nil
}

var (
	yamlLine    = regexp.MustCompile(`line (\d+)(?:, column \d+)?: ?(.*)`)
	yamlUnknown = regexp.MustCompile(`field (\S+) not found in type \S+`)
	yamlKind    = regexp.MustCompile("cannot (?:unmarshal|construct) !!(\\S+) (?:`[^`]*` )?into (\\S+)")
	yamlTwice   = regexp.MustCompile(`mapping key "([^"]+)" already defined at line (\d+)`)
)

// yamlProblems turns the decoder's messages into ours: a line, what is wrong, and no
// Go type names.
func yamlProblems(name string, err error) []Problem {
	var out []Problem
	for _, line := range strings.Split(err.Error(), "\n") {
		m := yamlLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		text := m[2]
		switch {
		case yamlUnknown.MatchString(text):
			text = fmt.Sprintf("unknown key %q", yamlUnknown.FindStringSubmatch(text)[1])
		case yamlTwice.MatchString(text):
			k := yamlTwice.FindStringSubmatch(text)
			text = fmt.Sprintf("key %q is given twice, first on line %s", k[1], k[2])
		case yamlKind.MatchString(text):
			k := yamlKind.FindStringSubmatch(text)
			text = fmt.Sprintf("wrong type: %s is needed, this is %s", goKind(k[2]), yamlTag(k[1]))
		}
		out = append(out, Problem{name, n, text})
	}
	if len(out) == 0 {
		out = []Problem{{name, 0, strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	return out
}

func goKind(t string) string {
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case strings.HasPrefix(t, "map["), strings.Contains(t, "."):
		return "a mapping (key: value)"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "a whole number"
	case strings.HasPrefix(t, "float"):
		return "a number"
	case t == "bool":
		return "true or false"
	}
	return "text"
}

func yamlTag(t string) string {
	switch t {
	case "seq":
		return "a list"
	case "map":
		return "a mapping"
	case "str":
		return "text"
	case "int", "float":
		return "a number"
	case "bool":
		return "true or false"
	}
	return t
}

// lineOf finds the line of a value by its path of keys and list positions; where the
// path ends early, the line of the deepest part that exists.
func lineOf(doc *yaml.Node, path ...any) int {
	n := doc
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := n.Line
	for _, p := range path {
		var next *yaml.Node
		switch key := p.(type) {
		case string:
			for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
				if n.Content[i].Value == key {
					next, line = n.Content[i+1], n.Content[i].Line
				}
			}
		case int:
			if n.Kind == yaml.SequenceNode && key < len(n.Content) {
				next = n.Content[key]
				line = next.Line
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}
