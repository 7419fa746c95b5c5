// Package lang holds the words and the number formats of the two languages that a
// reader meets: Swedish and English. Every text that reaches a reader stands in one
// catalogue, once per language, so that the two cannot drift apart.
//
// A text names its arguments in braces:
//
//	{name}             the argument as it is written in the language
//	{name:plain}       a whole number without thousands marks (a year)
//	{name:2}           a number with two decimals
//	{name:percent1}    a proportion as a percentage with one decimal
//	{name?one|other}   the first word when the argument is 1, else the second
//	{{ and }}          a brace
package lang

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the package. Test with [errors.Is].
var (
	ErrUnknownLanguage = errors.New("unknown language")
	ErrUnknownKey      = errors.New("no such text")
	ErrArgument        = errors.New("text arguments do not fit")
	ErrCatalogue       = errors.New("invalid text catalogue")
)

// Lang is a language a report can be written in.
type Lang string

// The languages.
const (
	SV Lang = "sv"
	EN Lang = "en"
)

// All gives the languages in the order in which they are documented.
func All() []Lang { return []Lang{SV, EN} }

// Parse reads a language from what a user or an environment variable says: a
// language code, alone or with territory and encoding ("sv", "en-GB",
// "sv_SE.UTF-8"), in any case. Anything else is [ErrUnknownLanguage].
func Parse(s string) (Lang, error) {
	code := strings.ToLower(strings.TrimSpace(s))
	if i := strings.IndexAny(code, "_-.@"); i >= 0 {
		code = code[:i]
	}
	for _, l := range All() {
		if code == string(l) {
			return l, nil
		}
	}
	return "", fmt.Errorf("%w %q: use sv or en", ErrUnknownLanguage, s)
}

// FromEnvironment is the language that the value of LANG asks for: English where
// it is empty or names a language that has no catalogue.
func FromEnvironment(value string) Lang {
	l, err := Parse(value)
	if err != nil {
		return EN
	}
	return l
}

// Valid reports whether l is one of the languages.
func (l Lang) Valid() bool { return l == SV || l == EN }

// And joins words into an enumeration: "a, b och c", "a, b and c".
func (l Lang) And(words []string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	word := " and "
	if l == SV {
		word = " och "
	}
	return strings.Join(words[:n-1], ", ") + word + words[n-1]
}
