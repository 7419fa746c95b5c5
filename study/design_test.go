package study

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/effect"
)

// designStudy is a flat study with the design given in two lines.
func designStudy(design string) string {
	return `utfall: 1
name: designs
seed: 3
disclosure: {min_count: 3, round_to: 1}
data:
  flat: {kind: flat, path: flat.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer, min: 0, max: 1, required: true}, {name: t2, type: integer}, {name: x, type: number}, {name: z, type: number}, {name: g, type: category, levels: [a, b]}, {name: y, type: number, role: outcome}, {name: id2, type: text}, {name: y2, type: number}]}
cohorts:
  - name: all
    base: flat
    id: id
    treatment: t
    ` + strings.ReplaceAll(design, "; ", "\n    ") + `
analyses:
  - {name: a, effect: {cohort: all, outcome: y}}
`
}

// designKeys are the keys of a study file that make a design, each with two designs
// that differ in it; "refused" where the second is an error.
var designKeys = map[string][3]string{
	"cohorts.propensity.link":        {"propensity: {covariates: [x, z]}; match: {ratio: 1}", "propensity: {covariates: [x, z], link: cloglog}; match: {ratio: 1}", ""},
	"cohorts.propensity.model":       {"propensity: {covariates: [x, z]}; match: {ratio: 1}", "propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; match: {ratio: 1}", ""},
	"cohorts.propensity.categorical": {"propensity: {covariates: [x, t2]}; weight: {method: ipw}", "propensity: {covariates: [x, t2], categorical: [x]}; weight: {method: ipw}", refused},
	"cohorts.propensity.lambda":      {"propensity: {covariates: [x, z], model: ridge, lambda: 0.01}; match: {ratio: 1}", "propensity: {covariates: [x, z], model: ridge, lambda: 2}; match: {ratio: 1}", ""},
	"cohorts.propensity.lambda_rule": {"propensity: {covariates: [x, z], model: lasso}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: lasso, lambda_rule: 1se}; weight: {method: ipw}", ""},
	"cohorts.propensity.site":        {"propensity: {covariates: [x, z], model: multilevel, site: g}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: multilevel, site: t2}; weight: {method: ipw}", ""},
	"cohorts.propensity.site_effect": {"propensity: {covariates: [x, z], model: multilevel, site: g}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: multilevel, site: g, site_effect: fixed}; weight: {method: ipw}", ""},
	"cohorts.propensity.nodes":       {"propensity: {covariates: [x, z], model: multilevel, site: t2}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: multilevel, site: t2, nodes: 99}; weight: {method: ipw}", refused},
	"cohorts.propensity.depth":       {"propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none, depth: 1}; weight: {method: ipw}", ""},
	"cohorts.propensity.shrinkage":   {"propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none, shrinkage: 0.3}; weight: {method: ipw}", ""},
	"cohorts.propensity.rounds":      {"propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, rounds: 40, stop: none}; weight: {method: ipw}", ""},
	"cohorts.propensity.min_leaf":    {"propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none, min_leaf: 200}; weight: {method: ipw}", ""},
	"cohorts.propensity.stop":        {"propensity: {covariates: [x, z], model: boosted, rounds: 60, stop: none}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, rounds: 60, stop: cv}; weight: {method: ipw}", ""},
	"cohorts.propensity.estimand":    {"propensity: {covariates: [x, z], model: boosted, stop: balance, rounds: 20}; weight: {method: ipw}", "propensity: {covariates: [x, z], model: boosted, stop: balance, rounds: 20, estimand: atc}; weight: {method: ipw}", refused},
	"cohorts.propensity.folds":       {"propensity: {covariates: [x, z], cross_fit: true}; weight: {method: ipw}", "propensity: {covariates: [x, z], cross_fit: true, folds: 3}; weight: {method: ipw}", ""},
	"cohorts.propensity.person":      {"propensity: {covariates: [x, z], cross_fit: true}; weight: {method: ipw}", "propensity: {covariates: [x, z], cross_fit: true, person: id2}; weight: {method: ipw}", ""},
	"cohorts.propensity.cross_fit":   {"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z], cross_fit: true}; weight: {method: ipw}", ""},
	"cohorts.propensity.seed":        {"propensity: {covariates: [x, z], cross_fit: true}; weight: {method: ipw}", "propensity: {covariates: [x, z], cross_fit: true, seed: 9}; weight: {method: ipw}", refused},

	"cohorts.balance_by":             {"propensity: {covariates: [x, z]}; match: {ratio: 1}", "propensity: {covariates: [x, z]}; balance_by: [g]; match: {ratio: 1}", ""},
	"cohorts.weight.method":          {"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z]}; weight: {method: entropy}", ""},
	"cohorts.weight.estimand":        {"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z]}; weight: {method: ipw, estimand: ate}", ""},
	"cohorts.weight.moments":         {"propensity: {covariates: [x, z]}; weight: {method: entropy}", "propensity: {covariates: [x, z]}; weight: {method: entropy, moments: 2}", ""},
	"cohorts.weight.interactions":    {"propensity: {covariates: [x, z]}; weight: {method: entropy}", "propensity: {covariates: [x, z]}; weight: {method: entropy, interactions: true}", ""},
	"cohorts.weight.truncate":        {"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z]}; weight: {method: ipw, truncate: 0.8}", ""},
	"cohorts.weight.trim.rule":       {"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: sturmer}}", ""},
	"cohorts.weight.trim.percentile": {"propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: sturmer}}", "propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: sturmer, percentile: 20}}", ""},
	"cohorts.weight.trim.refit":      {"propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: sturmer, percentile: 20}}", "propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: sturmer, percentile: 20, refit: true}}", ""},
	"cohorts.weight.trim.low":        {"propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: fixed, low: 0.1, high: 0.9}}", "propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: fixed, low: 0.15, high: 0.9}}", ""},
	"cohorts.weight.trim.high":       {"propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: fixed, low: 0.1, high: 0.9}}", "propensity: {covariates: [x, z]}; weight: {method: ipw, trim: {rule: fixed, low: 0.1, high: 0.2}}", ""},

	"cohorts.match.method":              {"propensity: {covariates: [x, z]}; match: {ratio: 1}", "propensity: {covariates: [x, z]}; match: {method: full}", ""},
	"cohorts.match.subclasses":          {"propensity: {covariates: [x, z]}; match: {method: subclass}", "propensity: {covariates: [x, z]}; match: {method: subclass, subclasses: 3}", ""},
	"cohorts.match.min_controls":        {"propensity: {covariates: [x, z]}; match: {method: full}", "propensity: {covariates: [x, z]}; match: {method: full, min_controls: 2}", ""},
	"cohorts.match.max_controls":        {"propensity: {covariates: [x, z]}; match: {method: full}", "propensity: {covariates: [x, z]}; match: {method: full, max_controls: 8}", ""},
	"cohorts.match.cutpoints.cuts":      {"propensity: {covariates: [x, z]}; match: {method: cem}", "propensity: {covariates: [x, z]}; match: {method: cem, cutpoints: {x: {cuts: [0.5, 1]}}}", ""},
	"cohorts.match.cutpoints.quantiles": {"propensity: {covariates: [x, z]}; match: {method: cem}", "propensity: {covariates: [x, z]}; match: {method: cem, cutpoints: {x: {quantiles: 3}}}", ""},
	"cohorts.match.cutpoints.width":     {"propensity: {covariates: [x, z]}; match: {method: cem}", "propensity: {covariates: [x, z]}; match: {method: cem, cutpoints: {x: {width: 3}}}", ""},
	"cohorts.match.tolerance":           {"propensity: {covariates: [x, z]}; match: {method: cardinality}", "propensity: {covariates: [x, z]}; match: {method: cardinality, tolerance: 0.3}", ""},
	"cohorts.match.tolerance_on":        {"propensity: {covariates: [x, z]}; match: {method: cardinality, tolerance: 0.1}", "propensity: {covariates: [x, z]}; match: {method: cardinality, tolerance: 0.1, tolerance_on: {x: 0.9}}", ""},
	"cohorts.match.pair_within":         {"propensity: {covariates: [x, z]}; match: {method: cem}", "propensity: {covariates: [x, z]}; match: {method: cem, pair_within: true}", ""},
}

func TestEveryDesignKeyMatters(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	done := map[string]string{}
	run := func(design string) (string, error) {
		if out, ok := done[design]; ok {
			return out, nil
		}
		spec, err := Parse("study.yaml", strings.NewReader(designStudy(design)))
		if err != nil {
			return "", err
		}
		out, err := optionTry(t, dir, spec, false)
		if err == nil {
			done[design] = out
		}
		return out, err
	}
	for key, c := range designKeys {
		a, err := run(c[0])
		require.NoError(t, err, key)
		for _, room := range []string{"study.", "report.", "notes."} {
			if _, after, missing := strings.Cut(a, "[["+room); missing {
				t.Errorf("%s: the text %s%s is missing", key, room, after[:40])
			}
		}
		b, err := run(c[1])
		if c[2] == refused {
			require.ErrorIs(t, err, ErrSpec, key)
			continue
		}
		require.NoError(t, err, key)
		if a == b {
			t.Errorf("%s has no effect", key)
		}
	}
}

// A design of the study file is the design of the library: the effect is the difference
// of the means under its weights.
func TestStudyDesignsAreTheLibrarys(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	for _, design := range []string{
		"propensity: {covariates: [x, z]}; weight: {method: ipw}", "propensity: {covariates: [x, z]}; weight: {method: overlap}", "propensity: {covariates: [x, z]}; weight: {method: matching-weights}",
		"propensity: {covariates: [x, z]}; weight: {method: cbps}", "propensity: {covariates: [x, z]}; weight: {method: entropy, estimand: ate}", "propensity: {covariates: [x, z], model: ridge, lambda: 0.1}; weight: {method: ipw, trim: {rule: sturmer, percentile: 20}}",
		"propensity: {covariates: [x, g]}; match: {method: exact, exact: [g]}", "propensity: {covariates: [x, z]}; match: {method: cem, exact: [g]}", "propensity: {covariates: [x, z]}; match: {method: subclass}",
		"propensity: {covariates: [x, z]}; match: {method: optimal, caliper: 0.2}", "propensity: {covariates: [x, z]}; match: {method: full, exact: [g]}", "propensity: {covariates: [x, z], model: boosted, rounds: 20, stop: none}; match: {ratio: 2, distance: linear-logit}",
	} {
		spec, err := Parse("study.yaml", strings.NewReader(designStudy(design)))
		require.NoError(t, err, design)
		s, err := newState(context.Background(), spec, Options{DataDir: dir, Workers: 2})
		require.NoError(t, err)
		for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
			require.NoError(t, step(), design)
		}
		co, b := &spec.Cohorts[0], s.cohorts["all"]
		whole := s.data["flat"].table
		d := cohort.Spec{Treatment: "t", ID: "id", Covariates: co.Propensity.Covariates, Workers: 1}
		var weight []float64
		if co.Weight != nil {
			w := *co.Weight
			if w.Method != "entropy" && w.Method != "cbps" {
				w.Propensity = co.Propensity
			}
			got, err := w.Weigh(context.Background(), whole, d)
			require.NoError(t, err, design)
			weight = got.Weight
		} else if co.Propensity.Model == cohort.LogitModel {
			m, err := co.Match.Matcher()
			require.NoError(t, err)
			got, err := m.Match(context.Background(), whole, d)
			require.NoError(t, err, design)
			weight = got.Weight
		} else {
			weight = make([]float64, whole.Rows()) // the score of another model: only the sum below is checked
			for k, r := range b.rows {
				weight[r] = b.weight[k]
			}
		}
		y, err := whole.Float("y")
		require.NoError(t, err)
		in, err := whole.Float("t")
		require.NoError(t, err)
		var sum, total [2]float64
		for i, w := range weight {
			sum[int(in.Values[i])] += w * y.Values[i]
			total[int(in.Values[i])] += w
		}
		require.InDelta(t, sum[1]/total[1]-sum[0]/total[0], s.results[0].numbers[0].e.Value, 1e-10, design)
		require.NotEmpty(t, b.balance.Rows, design)
		want := "att" // the name says whom the effect is about
		for _, c := range [][2]string{{"overlap", "ato"}, {"matching-weights", "atm"}, {"estimand: ate", "ate"}, {"sturmer", "att-trimmed"}} {
			if strings.Contains(design, c[0]) {
				want = c[1]
			}
		}
		require.Equal(t, want, s.results[0].numbers[0].term, design)
		require.NotContains(t, s.methodOf(&s.results[0]).Estimand, "[[", design)
		require.NotEmpty(t, fmt.Sprint(s.designWords(co)))
	}
}

// Effects that adjust by models, in a cohort without a match, are the library's.
func TestAdjustedEffects(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	for method, e := range map[string]estimate.Estimator{
		"g-computation": effect.GComputation{Vcov: "hc1"}, "ipw": effect.IPW{Vcov: "hc1"}, "aipw": effect.AIPW{Errors: "stacked", Vcov: "hc1"}, "tmle": effect.TMLE{Vcov: "hc1"},
	} {
		text := strings.Replace(designStudy("label: {en: All}"), "outcome: y}", "outcome: y, method: "+method+", covariates: [x, z]}", 1)
		spec, err := Parse("study.yaml", strings.NewReader(text))
		require.NoError(t, err, method)
		out, err := optionTry(t, dir, spec, true)
		require.NoError(t, err, method)
		require.NotContains(t, out, "[[study.", method)
		s, err := newState(context.Background(), spec, Options{DataDir: dir, Workers: 2})
		require.NoError(t, err)
		for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
			require.NoError(t, step(), method)
		}
		require.Equal(t, "effect", s.results[0].kind)
		f, err := s.effectFrame(s.cohorts["all"], spec.Analyses[0].Effect, every(s.cohorts["all"].table.Rows()))
		require.NoError(t, err)
		want, err := e.Fit(context.Background(), f)
		require.NoError(t, err)
		require.Equal(t, want.Estimates[0].Value, s.results[0].numbers[0].e.Value, method)
		require.Equal(t, want.Estimates[0].SE, s.results[0].numbers[0].e.SE, method)
		for _, bad := range []string{", interactions: true", ", vcov: cr2"} {
			_, err := Parse("s.yaml", strings.NewReader(strings.Replace(text, "covariates: [x, z]}", "covariates: [x, z]"+bad+"}", 1)))
			require.ErrorIs(t, err, ErrSpec, bad)
		}
		_, err = Parse("s.yaml", strings.NewReader(strings.Replace(text, "label: {en: All}", "propensity: {covariates: [x]}\n    weight: {method: ipw}", 1)))
		require.ErrorIs(t, err, ErrSpec)
		_, err = Parse("s.yaml", strings.NewReader(strings.Replace(text, ", covariates: [x, z]", "", 1)))
		require.ErrorIs(t, err, ErrSpec)
	}
}

func every(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}
