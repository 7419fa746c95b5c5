package study

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/internal/num"
)

// missingStudy asks of a bare cohort; the second outcome is a number.
func missingStudy(asked string, language string) string {
	return `utfall: 1
name: gaps
seed: 5
language: ` + language + `
data:
  people: {kind: flat, path: people.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: x, type: number}, {name: z, type: number}, {name: g, type: category, levels: [a, b, c]}, {name: y, type: number}, {name: v, type: number}, {name: full, type: number}, {name: u, type: number}]}
cohorts:
  - {name: c, base: people, id: id, treatment: t}
  - {name: pairs, base: people, id: id, treatment: t, propensity: {covariates: [x]}, match: {}}
analyses:
  - {name: y, outcome_label: {en: Y, sv: Y}, unit: percentage-points, effect: {cohort: c, outcome: y}}
  - {name: v, effect: {cohort: c, outcome: v, method: regression, covariates: [x, g]}}
  - {name: full, effect: {cohort: c, outcome: full}}
  - {name: paired, effect: {cohort: pairs, outcome: v}}
  - {name: part-of-one, effect: {cohort: c, outcome: u}}
  - {name: part, effect: {cohort: c, outcome: v, where: x > 0}}
  - {name: gaps, outcome_label: {en: With the gaps, sv: Med luckorna}, unit: percentage-points, ` + asked + `}
`
}

// missingFiles: 400 people; v = t + x + noise, known less often where x is high; y is 0 or
// 1, unknown for a fifth of the treated and a tenth of the others; g lacks some.
func missingFiles(t testing.TB, dir string) (y, v []float64, treated []bool) {
	var b strings.Builder
	b.WriteString("id,t,x,z,g,y,v,full,u\n")
	for i := range 400 {
		s := num.NewStream(8, "gaps", uint64(i))
		d := float64(i % 2)
		x := s.Normal()
		val := d + x + s.Normal()
		bin := 0.0
		if s.Bernoulli(.3 + .2*d) {
			bin = 1
		}
		ys, vs, gs := fmt.Sprint(bin), fmt.Sprint(val), []string{"a", "b", "c"}[s.Intn(3)]
		if i%10 == 1 || i%10 == 3 || i%10 == 4 {
			ys, bin = "", math.NaN()
		}
		if s.Bernoulli(1 / (1 + math.Exp(1-x))) {
			vs, val = "", math.NaN()
		}
		if i%7 < 2 {
			gs = ""
		}
		part := "0.5" // within 0 and 1, and no outcome of 0 and 1
		if i%10 == 0 {
			part = ""
		}
		fmt.Fprintf(&b, "%d,%v,%v,%v,%s,%s,%s,%v,%s\n", i, d, x, x+s.Normal(), gs, ys, vs, x, part)
		y, v, treated = append(y, bin), append(v, val), append(treated, d == 1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(b.String()), 0o600))
	return y, v, treated
}

func missingRunOf(t testing.TB, dir, asked, language string, until Stage) (map[string]*Record, string, error) {
	spec, err := Parse("study.yaml", strings.NewReader(missingStudy(asked, language)))
	if err != nil {
		return nil, "", err
	}
	out := filepath.Join(t.TempDir(), "b")
	o, err := Run(context.Background(), spec, Options{DataDir: dir, OutDir: out, Until: until})
	if err != nil {
		return nil, "", err
	}
	found := map[string]*Record{}
	for i, r := range o.Records {
		if r.Analysis == "gaps" {
			found[r.Term] = &o.Records[i]
		}
	}
	if until != StageAll {
		return found, "", nil
	}
	page, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	return found, string(page), nil
}

// 40 % of the treated and 20 % of the others have no outcome: the worst case is .6 wide,
// whatever the data. With 20 % of participants that nobody can follow it is the mixture of
// that and of the whole range: .8·.6 + .2·2.
func TestMissingBounds(t *testing.T) {
	dir := t.TempDir()
	y, _, treated := missingFiles(t, dir)
	r, page, err := missingRunOf(t, dir, "missing: {of: y, methods: [worst-case, lee]}", "en", StageAll)
	require.NoError(t, err)
	gone, n, sum := [2]float64{}, [2]float64{}, [2]float64{}
	for i, v := range y {
		a := 0
		if treated[i] {
			a = 1
		}
		n[a]++
		if math.IsNaN(v) {
			gone[a]++
		} else {
			sum[a] += v
		}
	}
	width := gone[0]/n[0] + gone[1]/n[1]
	require.InDelta(t, sum[1]/n[1]-(sum[0]+gone[0])/n[0], *r["worst-case-lower"].Estimate, 1e-12)
	require.InDelta(t, width, *r["worst-case-upper"].Estimate-*r["worst-case-lower"].Estimate, 1e-12)
	require.Equal(t, "imbens-manski", r["worst-case-lower"].ConfMethod)
	require.Nil(t, r["worst-case-lower"].PValue)
	require.Equal(t, "check", r["lee-lower"].Kind)
	require.True(t, strings.Contains(page, "Lowest possible effect, whatever holds for the missing"))
	require.True(t, strings.Contains(page, "120 of 400 people have no outcome."))
	require.True(t, strings.Contains(page, "they do not tell whether it is positive or negative"))
	require.False(t, strings.Contains(page, "[["))
	require.False(t, strings.Contains(page, "NaN"))
	lee, err := missing.Lee{Observed: observed(y)}.Fit(t.Context(), plainFrame(y, treated))
	require.NoError(t, err)
	require.InDelta(t, lee.Estimates[1].Value, *r["lee-upper"].Estimate, 1e-12)

	more, page, err := missingRunOf(t, dir, "missing: {of: y, methods: [worst-case, lee], unlinked: 0.2}", "sv", StageAll)
	require.NoError(t, err)
	require.InDelta(t, .8*width+.4, *more["worst-case-upper"].Estimate-*more["worst-case-lower"].Estimate, 1e-12)
	require.Greater(t, *more["lee-upper"].Estimate-*more["lee-lower"].Estimate, *r["lee-upper"].Estimate-*r["lee-lower"].Estimate)
	require.True(t, strings.Contains(page, "20 av 100 deltagare kan inte följas alls"))
	require.False(t, strings.Contains(page, "[["))
	require.Equal(t, r["worst-case-lower"].Treated, more["worst-case-lower"].Treated, "nobody is counted who is not there")
}

// Few without an outcome are a cell: the distance between the bounds would tell their number.
func TestMissingBoundsOfFewAreWithheld(t *testing.T) {
	dir := t.TempDir()
	missingFiles(t, dir)
	path := filepath.Join(dir, "people.csv")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i, l := range lines[1:] {
		if c := strings.Split(l, ","); c[5] == "" && i > 40 {
			c[5] = "1"
			lines[1+i] = strings.Join(c, ",")
		}
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	r, _, err := missingRunOf(t, dir, "missing: {of: y, methods: [worst-case, lee]}", "en", StageAll)
	require.NoError(t, err)
	for _, term := range []string{"worst-case-lower", "worst-case-upper", "lee-lower", "lee-upper"} {
		require.True(t, r[term].Withheld, term)
		require.Nil(t, r[term].Estimate)
	}
}

func observed(y []float64) []bool {
	out := make([]bool, len(y))
	for i, v := range y {
		out[i] = !math.IsNaN(v)
	}
	return out
}

func plainFrame(y []float64, treated []bool) *estimate.Frame {
	f := &estimate.Frame{Y: make([]float64, len(y)), Treated: treated, Level: .95}
	for i, v := range y {
		f.Unit = append(f.Unit, fmt.Sprint(i))
		if !math.IsNaN(v) {
			f.Y[i] = v
		}
	}
	return f
}

// The models: imputation and weights put right what complete cases get wrong, in the
// regression people who lack a covariate come back.
func TestMissingModels(t *testing.T) {
	dir := t.TempDir()
	missingFiles(t, dir)
	r, page, err := missingRunOf(t, dir, "missing: {of: v, methods: [indicator, imputation, consent-weights], imputations: 5, iterations: 3}", "en", StageAll)
	require.NoError(t, err)
	for _, term := range []string{"indicator", "imputation", "consent-weights"} {
		require.NotNil(t, r[term].Estimate, term)
		require.InDelta(t, 1, *r[term].Estimate, .35, term)
		require.NotEmpty(t, r[term].Notes)
	}
	require.True(t, strings.Contains(page, "Effect with missing values filled in many times"))
	require.False(t, strings.Contains(page, "[["))
	// Everybody's outcome known: nothing for weights and bounds to do, and that is said.
	none, _, err := missingRunOf(t, dir, "missing: {of: full, methods: [worst-case, lee, consent-weights, imputation], background: [x]}", "sv", StageAll)
	require.NoError(t, err)
	for _, term := range []string{"worst-case-lower", "lee-lower", "consent-weights", "imputation"} {
		require.Equal(t, "refused", none[term].Kind)
	}
}

func TestMissingKeys(t *testing.T) {
	dir := t.TempDir()
	missingFiles(t, dir)
	show := func(asked string) string {
		r, _, err := missingRunOf(t, dir, asked, "en", StageEstimate)
		require.NoError(t, err, asked)
		var b strings.Builder
		for _, k := range sortedKeys(r) {
			fmt.Fprint(&b, k, " ", deref(r[k].Estimate), " ", deref(r[k].StdError), "; ")
		}
		return b.String()
	}
	for key, c := range map[string][2]string{
		"of":          {"missing: {of: y}", "missing: {of: v, range: [-9, 9]}"},
		"methods":     {"missing: {of: y}", "missing: {of: y, methods: [lee]}"},
		"range":       {"missing: {of: v, range: [-9, 9]}", "missing: {of: v, range: [-9, 10]}"},
		"unlinked":    {"missing: {of: y}", "missing: {of: y, unlinked: 0.3}"},
		"background":  {"missing: {of: v, methods: [consent-weights]}", "missing: {of: v, methods: [consent-weights], background: [z]}"},
		"imputations": {"missing: {of: v, methods: [imputation], imputations: 4, iterations: 2}", "missing: {of: v, methods: [imputation], imputations: 5, iterations: 2}"},
		"iterations":  {"missing: {of: v, methods: [imputation], imputations: 4, iterations: 2}", "missing: {of: v, methods: [imputation], imputations: 4, iterations: 3}"},
		"sets":        {"missing: {of: v, methods: [lee]}", "missing: {of: paired, methods: [lee]}"},
	} {
		require.NotEqual(t, show(c[0]), show(c[1]), key)
	}
	for asked, says := range map[string]string{
		"missing: {of: nobody}":                                                      "no analysis",
		"missing: {of: part}":                                                        "whole cohort",
		"missing: {of: y, methods: [magic]}":                                         "magic",
		"missing: {of: y, methods: [lee, lee]}":                                      "twice",
		"missing: {of: y, methods: [lee], range: [0, 1]}":                            "range is of",
		"missing: {of: y, range: [1, 0]}":                                            "lower one first",
		"missing: {of: y, range: [0, .inf]}":                                         "lower one first",
		"missing: {of: y, unlinked: 1.5}":                                            "between 0 and 1",
		"missing: {of: v, methods: [imputation], unlinked: 0.3}":                     "unlinked is of",
		"missing: {of: y, background: [x]}":                                          "background is of",
		"missing: {of: y, methods: [indicator]}":                                     "by regression",
		"missing: {of: y, methods: [consent-weights]}":                               "give background",
		"missing: {of: v, methods: [consent-weights], background: [x]}":              "part of the effect",
		"missing: {of: v, methods: [consent-weights], background: [y]}":              "y",
		"missing: {of: y, imputations: 5}":                                           "imputations is of",
		"missing: {of: y, iterations: 5}":                                            "iterations is of",
		"missing: {of: v, methods: [imputation], imputations: 1}":                    "between 2 and 1000",
		"missing: {of: part-of-one}":                                                 "say how low",
		"missing: {of: v}":                                                           "say how low",
		"missing: {of: v, methods: [worst-case], range: [0, 1]}":                     "say how low",
		"missing: {of: v, methods: [imputation], background: [nope], iterations: 2}": "nope",
	} {
		_, _, err := missingRunOf(t, dir, asked, "en", StageEstimate)
		require.ErrorContains(t, err, says, asked)
	}
}

func deref(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}
