package study

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const small = `utfall: 1
name: small
question: {en: What?}
seed: 1
data:
  people:
    kind: flat
    path: people.csv
    columns:
      - {name: id, type: text, role: unit}
      - {name: treat, type: integer}
      - {name: y, type: number}
cohorts:
  - {name: all, base: people, id: id, treatment: treat}
analyses:
  - name: effect
    effect: {cohort: all, outcome: y, method: difference}
`

func TestParseFillsInDefaults(t *testing.T) {
	s, err := Parse("s.yaml", strings.NewReader(small))
	require.NoError(t, err)
	require.Equal(t, 0.95, s.Level)
	require.Equal(t, Disclosure{MinCount: 10, RoundTo: 5}, s.Disclosure)
	require.Equal(t, "en", s.Language)
	b, err := s.resolved()
	require.NoError(t, err)
	again, err := Parse("r.yaml", strings.NewReader(string(b)))
	require.NoError(t, err)
	require.Equal(t, s, again)
}

// Each problem has its line; a typing slip never passes.
func TestParseProblems(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown key", "seed: 1", "sede: 1", `s.yaml:4: unknown key "sede"`},
		{"wrong type", "seed: 1", "seed: [1]", "s.yaml:4: wrong type: a whole number is needed, this is a list"},
		{"key twice", "seed: 1", "seed: 1\nseed: 2", `s.yaml:5: key "seed" is given twice, first on line 4`},
		{"no such cohort", "cohort: all", "cohort: al", `s.yaml:17: there is no cohort "al" (there are: all)`},
		{"no such column", "treatment: treat", "treatment: tret", `s.yaml:14: data "people" have no column "tret"`},
		{"no such method", "method: difference", "method: magic", `s.yaml:17: method "magic" is not one of difference, regression`},
		{"unused option", "method: difference", "method: difference, covariates: [id]", "uses no covariates"},
		{"alias", "seed: 1", "seed: &x 1", "s.yaml:4: anchors and aliases"},
		{"kind", "kind: flat", "kind: flatt", `kind "flatt" is not one of`},
		{"type", "type: number", "type: numbr", `type "numbr"`},
		{"two methods", "    effect:", "    describe: {cohort: all, columns: [y]}\n    effect:", "must name one method, and it names 2"},
		{"version", "utfall: 1", "utfall: 9", "s.yaml:1: utfall: 9 is not a version"},
		{"empty", small, "", "the study file is empty"},
		{"two documents", "seed: 1", "seed: 1\n---\nname: x", "more than one document"},
		{"minimum", "seed: 1", "seed: 1\ndisclosure: {min_count: 1}", "s.yaml:5: invalid disclosure policy"},
		{"rule", "treatment: treat}", "treatment: treat, eligibility: [{name: r, keep: 'y >'}]}", "s.yaml:14:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, small, c.from)
			_, err := Parse("s.yaml", strings.NewReader(strings.Replace(small, c.from, c.to, 1)))
			require.ErrorIs(t, err, ErrSpec)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestParseSaysEveryProblem(t *testing.T) {
	text := strings.NewReplacer("cohort: all", "cohort: al", "treatment: treat", "treatment: tret", "kind: flat", "kind: flatt").Replace(small)
	_, err := Parse("s.yaml", strings.NewReader(text))
	var e *SpecError
	require.True(t, errors.As(err, &e))
	require.GreaterOrEqual(t, len(e.Problems), 3)
}

func TestTemplatesParse(t *testing.T) {
	for _, tpl := range templates {
		b, err := Template(tpl.name)
		require.NoError(t, err)
		s, err := Parse(tpl.name+".yaml", strings.NewReader(string(b)))
		require.NoError(t, err)
		for _, a := range s.Analyses {
			require.NotEmpty(t, a.Outcome["sv"], a.Name)
			require.NotEmpty(t, a.Outcome["en"], a.Name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	for _, tpl := range templates {
		b, _ := Template(tpl.name)
		f.Add(string(b))
	}
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f.yaml", strings.NewReader(text))
		if (s == nil) == (err == nil) {
			t.Error("either a study or an error")
		}
	})
}
