package study

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
)

// effectStudy asks one analysis of a cohort that is bare, in pairs, or from a register.
func effectStudy(analysis string) string {
	head, _, _ := strings.Cut(optionStudy, "cohorts:\n")
	out := head + "cohorts:\n"
	for name, cohort := range map[string]string{
		"bare":     "base: flat, id: id, treatment: t",
		"pairs":    "base: flat, id: id, treatment: t, propensity: {covariates: [x, z]}, match: {ratio: 1}",
		"several":  "base: flat, id: id, treatment: t, propensity: {covariates: [x, z]}, match: {ratio: 2}",
		"weighted": "base: flat, id: id, treatment: t, propensity: {covariates: [x, z]}, weight: {method: ipw}",
		"register": "base: people, time_zero: {spells: spells, participations: starts, from: 2013-01, to: 2015-12, look_back: [24], follow_up: 36, outcomes: [{name: work, states: [work], at: 24}]}",
	} {
		if strings.Contains(analysis, "cohort: "+name) {
			out += "  - {name: " + name + ", " + cohort + "}\n"
		}
	}
	return out + "analyses:\n  - {name: one, outcome_label: {en: The outcome}, " + analysis + "}\n"
}

func effectRun(t *testing.T, dir, analysis string) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(effectStudy(analysis)))
	if err != nil {
		return "", err
	}
	return optionTry(t, dir, spec, strings.Contains(analysis, "from: -3")) // figures of one course are enough
}

// effectKeys are the keys of an effect and of a course with two analyses each that differ
// in it; "refused" where the second is an error.
var effectKeys = map[string][3]string{
	"analyses.effect.estimand":        {"effect: {cohort: bare, outcome: y, method: aipw, covariates: [x, z]}", "effect: {cohort: bare, outcome: y, method: aipw, covariates: [x, z], estimand: ate}", ""},
	"analyses.effect.measure":         {"effect: {cohort: bare, outcome: t2, method: ipw, covariates: [x, z]}", "effect: {cohort: bare, outcome: t2, method: ipw, covariates: [x, z], measure: odds-ratio}", ""},
	"analyses.effect.quantiles":       {"effect: {cohort: bare, outcome: y, method: ipw, covariates: [x, z]}", "effect: {cohort: bare, outcome: y, method: ipw, covariates: [x, z], quantiles: [0.5]}", ""},
	"analyses.effect.outcome_model":   {"effect: {cohort: bare, outcome: t2, method: g-computation, covariates: [x, z]}", "effect: {cohort: bare, outcome: t2, method: g-computation, covariates: [x, z], outcome_model: linear}", ""},
	"analyses.effect.nuisance":        {"effect: {cohort: bare, outcome: y, method: dml, covariates: [x, z], folds: 2, repeats: 1}", "effect: {cohort: bare, outcome: y, method: dml, covariates: [x, z], folds: 2, repeats: 1, nuisance: ridge}", ""},
	"analyses.effect.folds":           {"effect: {cohort: bare, outcome: y, method: tmle, covariates: [x, z]}", "effect: {cohort: bare, outcome: y, method: tmle, covariates: [x, z], folds: 3}", ""},
	"analyses.effect.repeats":         {"effect: {cohort: bare, outcome: y, method: dml, covariates: [x, z], folds: 2}", "effect: {cohort: bare, outcome: y, method: dml, covariates: [x, z], folds: 2, repeats: 3}", ""},
	"analyses.effect.subgroups.name":  {"effect: {cohort: pairs, outcome: y, subgroups: [{name: a, where: x < 1}, {name: b, where: x >= 1}]}", "effect: {cohort: pairs, outcome: y, subgroups: [{name: a, where: x < 1}, {name: c, where: x >= 1}]}", ""},
	"analyses.effect.subgroups.label": {"effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}, {name: b, where: x >= 1}]}", "effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}, {name: b, label: {en: The others}, where: x >= 1}]}", ""},
	"analyses.effect.subgroups.where": {"effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}, {name: b, where: x >= 1}]}", "effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}, {name: b, where: x >= 0.9}]}", ""},
	"analyses.course.cohort":          {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: bare, states: [work], to: 6}", refused},
	"analyses.course.states":          {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work, sickness-benefit], to: 6}", ""},
	"analyses.course.from":            {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], from: -2, to: 6}", ""},
	"analyses.course.to":              {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], to: 8}", ""},
	"analyses.course.base":            {"course: {cohort: register, states: [work], from: -3, to: 6}", "course: {cohort: register, states: [work], from: -3, to: 6, base: -1}", ""},
	"analyses.course.method":          {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], to: 6, method: regression}", refused},
	"analyses.course.covariates":      {"course: {cohort: register, states: [work], to: 6, method: regression, covariates: [age]}", "course: {cohort: register, states: [work], to: 6, method: regression, covariates: [age, months_work_24]}", ""},
	"analyses.course.vcov":            {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], to: 6, vcov: hc0}", ""},
	"analyses.course.bands":           {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], to: 6, bands: pointwise}", ""},
	"analyses.course.replicates":      {"course: {cohort: register, states: [work], to: 6}", "course: {cohort: register, states: [work], to: 6, replicates: 999}", ""},
}

func TestEveryEffectKeyMatters(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	done := map[string]string{}
	for key, c := range effectKeys {
		a, ok := done[c[0]]
		if !ok {
			var err error
			a, err = effectRun(t, dir, c[0])
			require.NoError(t, err, key)
			done[c[0]] = a
			for _, room := range []string{"study.", "report.", "notes.", "plots."} {
				if _, after, missing := strings.Cut(a, "[["+room); missing {
					t.Errorf("%s: the text %s%s is missing", key, room, after[:40])
				}
			}
		}
		b, err := effectRun(t, dir, c[1])
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

// What a method or a cohort cannot use is said before anything runs.
func TestEffectRefuses(t *testing.T) {
	for analysis, says := range map[string]string{
		"effect: {cohort: bare, outcome: y, estimand: ate}":                                                 "the design decides",
		"effect: {cohort: bare, outcome: y, method: aipw, covariates: [x], estimand: ato}":                  "ato",
		"effect: {cohort: bare, outcome: y, measure: risk-ratio}":                                           "risk-ratio",
		"effect: {cohort: bare, outcome: y, method: aipw, covariates: [x], quantiles: [0.5]}":               "quantiles",
		"effect: {cohort: bare, outcome: y, method: ipw, covariates: [x], quantiles: [1]}":                  "between 0 and 1",
		"effect: {cohort: bare, outcome: y, method: ipw, covariates: [x], folds: 3}":                        "folds",
		"effect: {cohort: bare, outcome: y, method: ipw, covariates: [x], outcome_model: linear}":           "outcome_model",
		"effect: {cohort: bare, outcome: y, method: aipw, covariates: [x], nuisance: lasso}":                "needs folds",
		"effect: {cohort: bare, outcome: y, method: aipw, covariates: [x], nuisance: forest, folds: 2}":     "forest",
		"effect: {cohort: bare, outcome: y, method: dml, covariates: [x], nuisance: lasso, vcov: hc1}":      "hc0",
		"effect: {cohort: bare, outcome: y, method: dml, covariates: [x], repeats: 2}":                      "odd",
		"effect: {cohort: bare, outcome: y, method: dml, covariates: [x], folds: 1}":                        "at least 2",
		"effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}]}":                          "at least two",
		"effect: {cohort: bare, outcome: y, subgroups: [{name: a, where: x < 1}, {name: a, where: x > 1}]}": "two subgroups",
		"effect: {cohort: bare, outcome: y, subgroups: [{name: A b, where: x < 1}, {name: c}]}":             "letters, digits",
		"effect: {cohort: pairs, outcome: y, method: bias-corrected-matching, covariates: [x]}":             "matches itself",
		"effect: {cohort: bare, outcome: y, method: bias-corrected-matching, covariates: [x], vcov: hc1}":   "errors of its own",
		"effect: {cohort: pairs, outcome: y, method: ipw, covariates: [x]}":                                 "without match",
		"effect: {cohort: pairs, outcome: y, method: aipw, covariates: [x], estimand: ate}":                 "estimand att",
		"effect: {cohort: several, outcome: y, method: dml, covariates: [x]}":                               "ratio 1",
		"effect: {cohort: weighted, outcome: y, method: g-computation, covariates: [x]}":                    "without match, weight",
		"course: {cohort: register, states: [work], to: 36}":                                                "follow_up",
		"course: {cohort: register, states: [work], from: -25, to: 6}":                                      "look_back",
		"course: {cohort: register, states: [work], from: -2, to: 6, base: -3}":                             "base",
		"course: {cohort: register, states: [work], from: -2, to: 6, base: 0}":                              "base",
		"course: {cohort: register, states: [sleep], to: 6}":                                                "sleep",
		"course: {cohort: register, states: [work], to: 6, bands: pointwise, replicates: 999}":              "replicates",
		"course: {cohort: register, states: [work], to: 6, method: difference, covariates: [age]}":          "regression",
		"course: {cohort: register, states: [work], to: 6, method: regression, covariates: [work]}":         "outcome",
	} {
		_, err := Parse("study.yaml", strings.NewReader(effectStudy(analysis)))
		require.ErrorIs(t, err, ErrSpec, analysis)
		require.ErrorContains(t, err, says, analysis)
	}
}

// effectState runs a study and gives its state.
func effectState(t *testing.T, dir, analysis string) *state {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(effectStudy(analysis)))
	require.NoError(t, err)
	s := &state{ctx: t.Context(), spec: spec, o: Options{DataDir: dir, Workers: 2}, lang: lang.EN, policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}
	for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
		require.NoError(t, step(), analysis)
	}
	return s
}

func (s *state) number(t *testing.T, term string, m estimate.Measure) found {
	t.Helper()
	for _, n := range s.results[0].numbers {
		if n.term == term && n.e.Measure == m {
			return n
		}
	}
	t.Fatalf("no number %s/%s", term, m)
	return found{}
}

// A subgroup's effect is that of the analysis with its where; two subgroups of different
// people differ by the difference, and the joint test is its square.
func TestSubgroupsAreAnalysesOfTheirOwn(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	for _, method := range []string{"cohort: bare, outcome: y", "cohort: bare, outcome: y, method: aipw, covariates: [x, z]", "cohort: bare, outcome: y, method: regression, covariates: [x, z], where: z < 1.5"} {
		s := effectState(t, dir, "effect: {"+method+", subgroups: [{name: low, where: x < 1}, {name: high, where: x >= 1}]}")
		alone := []string{"x < 1", "x >= 1"}
		if base, has := strings.CutSuffix(method, ", where: z < 1.5"); has {
			method = base
			alone = []string{"z < 1.5 and x < 1", "z < 1.5 and x >= 1"}
		}
		var parts [2]estimate.Estimate
		for k, name := range []string{"low", "high"} {
			one := effectState(t, dir, "effect: {"+method+", where: "+alone[k]+"}")
			want := one.results[0].numbers[0].e
			got := s.number(t, "subgroup="+name, estimate.MeanDifference).e
			require.Equal(t, want.Value, got.Value, method)
			require.Equal(t, want.SE, got.SE, method)
			parts[k] = got
		}
		d := s.number(t, "subgroup-difference=high-low", estimate.MeanDifference).e
		require.InDelta(t, parts[1].Value-parts[0].Value, d.Value, 1e-12)
		require.InDelta(t, math.Hypot(parts[0].SE, parts[1].SE), d.SE, 1e-10)
		joint := s.results[0].numbers[len(s.results[0].numbers)-1].e
		require.Equal(t, "interaction", joint.Term)
		require.InDelta(t, d.Test.Stat*d.Test.Stat, joint.Value, 1e-8)
		require.InDelta(t, d.Test.P, joint.Test.P, 1e-8)
	}
}

// One small subgroup takes the next one and every contrast with it: otherwise it would
// follow from the whole and the others.
func TestSmallSubgroupCannotBeWorkedOut(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	s := effectState(t, dir, "effect: {cohort: bare, outcome: y, subgroups: [{name: low, where: x < 0.1}, {name: mid, where: x >= 0.1 and x < 1}, {name: high, where: x >= 1}]}")
	require.Less(t, s.number(t, "subgroup=low", estimate.MeanDifference).basis.Treated, 10)
	shown := func(term string, m estimate.Measure) bool {
		return s.bundle.findings["one/"+term+"/"+string(m)].Shown
	}
	require.True(t, shown("att", estimate.MeanDifference))
	require.False(t, shown("subgroup=low", estimate.MeanDifference))
	hidden := 0
	for _, name := range []string{"mid", "high"} {
		if !shown("subgroup="+name, estimate.MeanDifference) {
			hidden++
		}
		require.False(t, shown("subgroup-difference="+name+"-low", estimate.MeanDifference))
	}
	require.Equal(t, 1, hidden)
	require.False(t, shown("interaction", "chi-square"))
}

// A subgroup that the method cannot do is refused with why, and so is the joint test.
func TestSubgroupThatCannotBeEstimatedIsRefused(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	s := effectState(t, dir, "effect: {cohort: bare, outcome: y, subgroups: [{name: those, where: t == 1}, {name: all, where: x >= 0}]}")
	require.NotNil(t, s.number(t, "subgroup=those", estimate.MeanDifference).not)
	require.NotNil(t, s.number(t, "interaction", "chi-square").not)
	require.Nil(t, s.number(t, "subgroup=all", estimate.MeanDifference).not)
	_, err := s.reportInput("")
	require.NoError(t, err)
}

// In pairs the doubly robust effect is about the participants that were matched, and near
// that of a regression; both know of the pairs.
func TestModelsInPairs(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	by := map[string]estimate.Estimate{}
	for _, method := range []string{"regression", "g-computation", "aipw", "dml, folds: 3, repeats: 1"} {
		s := effectState(t, dir, "effect: {cohort: pairs, outcome: y, method: "+method+", covariates: [x, z]}")
		n := s.results[0].numbers[0]
		require.Equal(t, "att", n.term)
		require.False(t, math.IsInf(n.e.Test.DF, 0), "errors on pairs")
		by[method] = n.e
		require.InDelta(t, by["regression"].Value, n.e.Value, by["regression"].SE, method)
		require.InEpsilon(t, by["regression"].SE, n.e.SE, 0.2, method)
	}
}

// A month of the course is the difference between the groups in that month, the overall
// number the mean over the months after the start, and the band is wider than the interval
// of one month.
func TestCourseMonthByMonth(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	s := effectState(t, dir, "course: {cohort: register, states: [work], from: -3, to: 24}")
	b := s.cohorts["register"]
	seen := func(i int) bool {
		for m := -3; m <= 24; m++ {
			if b.paths.At(i, m) < 0 {
				return false
			}
		}
		return true
	}
	share := func(m int) [2]float64 {
		var in, n [2]float64
		for i, treated := range b.treated {
			if seen(i) {
				n[int(indicator(treated))]++
				in[int(indicator(treated))] += indicator(b.paths.States[b.paths.At(i, m)] == "work")
			}
		}
		return [2]float64{in[0] / n[0], in[1] / n[1]}
	}
	diff := func(m int) float64 { x := share(m); return x[1] - x[0] }
	sum := 0.0
	for m := -3; m <= 24; m++ {
		n := s.number(t, fmt.Sprintf("event=%d", m), estimate.RiskDifference)
		require.InDelta(t, diff(m), n.e.Value, 1e-12, "month %d", m)
		if n.e.SE > 0 {
			require.Greater(t, n.e.CI.Hi-n.e.CI.Lo, 2*1.96*n.e.SE*1.05)
			require.Equal(t, "uniform-band", n.e.CI.Method)
		}
		if m > 0 {
			sum += diff(m)
		}
	}
	require.InDelta(t, sum/24, s.number(t, "overall", estimate.RiskDifference).e.Value, 1e-12)
	// The outcome of the cohort at month 24, estimated on the same people.
	change := effectState(t, dir, "course: {cohort: register, states: [work], from: -3, to: 24, base: -1}")
	for _, m := range []int{-3, 5, 24} {
		require.InDelta(t, diff(m)-diff(-1), change.number(t, fmt.Sprintf("event=%d", m), estimate.RiskDifference).e.Value, 1e-12)
	}
	base := change.number(t, "event=-1", estimate.RiskDifference).e
	require.Zero(t, base.Value)
	require.True(t, math.IsNaN(base.SE))
	says := change.results[0].spec.Course.say(change, &change.results[0])
	overall := change.number(t, "overall", estimate.RiskDifference).e
	require.Contains(t, says[0], lang.EN.Signed(100*overall.Value, 1))
	require.Contains(t, strings.Join(says, " "), "Before the start")
	require.NotContains(t, strings.Join(says, " "), "[[")
	require.Equal(t, "2, 4–6, 9–10", spans([]int{2, 4, 5, 6, 9, 10}))
}
