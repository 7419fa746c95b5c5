package lang

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

//go:embed catalogue/*.yaml
var files embed.FS

// entry is one text in each language.
type entry struct {
	SV string `yaml:"sv"`
	EN string `yaml:"en"`
}

// text is an entry taken apart once, at start.
type text map[Lang][]piece

var catalogue = sync.OnceValues(func() (map[string]text, error) { return load(files) })

var keyForm = regexp.MustCompile(`^[a-z]+(\.[a-z0-9]+([-_][a-z0-9]+)*)+$`)

// load reads every catalogue file. A key starts with the name of its file, so that a
// text is found from its key and no two rooms can use the same one. A mistake in one
// text takes that text away and no other: it comes back as an error for the tests,
// beside all texts that are whole.
func load(fsys fs.FS) (map[string]text, error) {
	names, err := fs.Glob(fsys, "catalogue/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
	}
	all := make(map[string]text)
	var problems []error
	for _, name := range names {
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCatalogue, err)
		}
		var entries map[string]entry
		dec := yaml.NewDecoder(bytes.NewReader(content))
		dec.KnownFields(true)
		if err := dec.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
			problems = append(problems, fmt.Errorf("%w: %s: %w", ErrCatalogue, name, err))
			continue
		}
		room := strings.TrimSuffix(path.Base(name), ".yaml")
		for key, e := range entries {
			t, err := e.compile()
			if err == nil && (!keyForm.MatchString(key) || !strings.HasPrefix(key, room+".")) {
				err = fmt.Errorf("the key must be %s. and words in lower case with hyphens or underscores", room)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%w: %s: %q: %w", ErrCatalogue, name, key, err))
				continue
			}
			all[key] = t
		}
	}
	// Map order must not decide which problem is named first.
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return all, errors.Join(problems...)
}

// compile checks that both languages say something and name the same arguments.
func (e entry) compile() (text, error) {
	t := make(text, 2)
	for l, s := range map[Lang]string{SV: e.SV, EN: e.EN} {
		if strings.TrimSpace(s) == "" {
			return nil, fmt.Errorf("the text in %s is empty", l)
		}
		pieces, err := split(s)
		if err != nil {
			return nil, fmt.Errorf("the text in %s: %w", l, err)
		}
		t[l] = pieces
	}
	if sv, en := arguments(t[SV]), arguments(t[EN]); !slices.Equal(sv, en) {
		return nil, fmt.Errorf("arguments differ: %v in sv, %v in en", sv, en)
	}
	return t, nil
}

// Has reports whether the catalogue holds the key.
func Has(key string) bool {
	all, _ := catalogue()
	_, ok := all[key]
	return ok
}

// Keys gives all keys in order.
func Keys() []string {
	all, _ := catalogue()
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Text gives the text of a key with its arguments filled in: pairs of name and value
// ("n", 12, "unit", "månader"), or one map[string]any. A mistake (no such key, an
// argument that is missing or not used) shows as [[key]] in the text, because a report
// must not stop for a word; [Lang.Lookup] gives it as an error, and the tests of the
// package look through the sources for it.
func (l Lang) Text(key string, args ...any) string {
	s, err := l.Lookup(key, args...)
	if err != nil {
		return "[[" + key + "]]"
	}
	return s
}

// Lookup is Text with the mistake as an error: [ErrUnknownKey], [ErrArgument],
// [ErrUnknownLanguage] or [ErrCatalogue].
func (l Lang) Lookup(key string, args ...any) (string, error) {
	all, broken := catalogue()
	if !l.Valid() {
		return "", fmt.Errorf("%w %q", ErrUnknownLanguage, string(l))
	}
	t, ok := all[key]
	if !ok {
		return "", errors.Join(fmt.Errorf("%w: %q", ErrUnknownKey, key), broken)
	}
	values, err := named(args)
	if err != nil {
		return "", fmt.Errorf("%q: %w", key, err)
	}
	s, err := l.fill(t[l], values)
	if err != nil {
		return "", fmt.Errorf("%q: %w", key, err)
	}
	return s, nil
}

// Note gives the sentence of a note: the text "notes."+code with the note's
// arguments (arguments that the sentence does not use are ignored, since a program
// that reads the note may want more), or the note's own English text where the
// catalogue has none that fits.
func (l Lang) Note(code, english string, args map[string]any) string {
	all, _ := catalogue()
	t, ok := all["notes."+code]
	if !ok || !l.Valid() {
		return english
	}
	used := make(map[string]any)
	for _, name := range arguments(t[l]) {
		if v, ok := args[name]; ok {
			used[name] = v
		}
	}
	s, err := l.fill(t[l], used)
	if err != nil {
		return english
	}
	return s
}
