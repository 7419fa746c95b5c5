package study

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/ingest/synthetic"
	"utfall/internal/lang"
	"utfall/study/report"
)

// progressStudy is the study file "both" with the three headlines alone.
func progressStudy(t *testing.T) string {
	t.Helper()
	b, err := Template("both")
	require.NoError(t, err)
	s := string(withoutRare(b))
	from, to := strings.Index(s, "\nfamilies:\n"), strings.Index(s, "# What the design must meet")
	lock := strings.Index(s, "known_truth:")
	require.True(t, from < to && to < lock)
	return s[:from] + "\n" + progressAnalysis + s[lock:]
}

const progressAnalysis = `analyses:
  - name: progress
    headline: true
    good: up
    unit: units
    truth: {net-months: study_population.overall.versus_wait.net_months, forecast: study_population.overall.versus_wait.stable_36, life: study_population.overall.life_12.versus_wait.net_share}
    progress:
      cohort: deltagare
      ladder: ladder.yaml
      tau: 24
      at: [12, 24]
      self_support: [work, studies]
      groups: [sex]
      relevant: {months: 0.5, forecast: 0.02, life: 0.05}
      forecast: {older_to: 2013-12, as_of: 2016-12, at: 12, within: 36, run: 12, background: [age, sex], folds: 5}
      assessments: {data: assessments, rater: self, items: [health, coping, hope, everyday], after: 12, window: 1, model: graded, mic: 0.5, draws: 20}
      bouncing: {ping_pong: 6, return: 12}
`

// progressRegister is one register that the quick tests read.
var progressRegister struct {
	once sync.Once
	dir  string
	err  error
}

func progressData(t *testing.T) string {
	t.Helper()
	progressRegister.once.Do(func() {
		if progressRegister.dir, progressRegister.err = os.MkdirTemp("", "progress"); progressRegister.err == nil {
			_, progressRegister.err = synthetic.Write(t.Context(), filepath.Join(progressRegister.dir, "r"), synthetic.Options{People: 7000, Seed: 3}, nil)
		}
	})
	require.NoError(t, progressRegister.err)
	return filepath.Join(progressRegister.dir, "r")
}

// opened is a run up to the point where outcomes are open.
func opened(t *testing.T, dir, text string) *state {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	s := &state{ctx: t.Context(), spec: spec, o: Options{DataDir: dir, Workers: 2}, lang: lang.EN, policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}
	for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock} {
		require.NoError(t, step())
	}
	return s
}

// reask asks the analyses of another study file of the data and cohorts of s.
func (s *state) reask(t *testing.T, text string) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	again := *s
	again.spec, again.results, again.figures, again.lang = spec, nil, nil, lang.Lang(spec.Language)
	if err := again.estimate(); err != nil {
		return "", err
	}
	b, err := json.Marshal(again.bundle.records)
	require.NoError(t, err)
	text = string(b)
	for _, f := range spec.Analyses[0].Progress.findings(&again, &again.results[0]) {
		text += strings.Join(f.Says, "\n") + string(f.Kind) + f.Why + fmt.Sprint(f.Relevance)
		for _, g := range f.Gates {
			text += g.What + g.Status + g.Value
		}
	}
	return text, nil
}

// progressKeys are the keys that TestEveryProgressKeyMatters shows to matter.
func progressKeys() map[string][3]string {
	at := func(key string) string { return "analyses.progress." + key }
	cases := map[string][3]string{
		"cohort": {"cohort: deltagare\n", "cohort: nobody\n", refused}, "ladder": {"      ladder: ladder.yaml\n", "", refused}, "tau": {"tau: 24", "tau: 30", ""}, "at": {"at: [12, 24]", "at: [6, 24]", ""},
		"self_support": {"self_support: [work, studies]", "self_support: [work, studies, subsidised-work]", ""}, "groups": {"groups: [sex]", "groups: [sex, education]", ""}, "reweigh_loss": {"tau: 24", "tau: 24\n      reweigh_loss: true", ""},
		"relevant.months": {"months: 0.5", "months: 9", ""}, "relevant.forecast": {"forecast: 0.02", "forecast: 0.9", ""}, "relevant.life": {"life: 0.05", "life: 0.9", ""},
		"forecast.assume": {"older_to: 2013-12", "older_to: 2013-12, assume: latent-unconfoundedness", ""}, "forecast.tilt": {"older_to: 2013-12", "older_to: 2013-12, tilt: [0.2]", ""},
		"forecast.older_to": {"older_to: 2013-12", "older_to: 2013-10", ""}, "forecast.as_of": {"as_of: 2016-12", "as_of: 2017-06", ""}, "forecast.at": {"at: 12, within", "at: 9, within", ""},
		"forecast.within": {"within: 36", "within: 30", ""}, "forecast.run": {"run: 12", "run: 9", ""}, "forecast.background": {"background: [age, sex]", "background: [age]", ""}, "forecast.folds": {"folds: 5", "folds: 3", ""},
		"assessments.data": {"data: assessments, rater", "data: spells, rater", refused}, "assessments.rater": {"rater: self", "rater: nobody", refused}, "assessments.items": {"hope, everyday]", "hope]", ""},
		"assessments.after": {"after: 12", "after: 9", ""}, "assessments.window": {"window: 1", "window: 2", ""}, "assessments.model": {"model: graded", "model: partial-credit", ""},
		"assessments.mic": {"mic: 0.5", "mic: 0.8", ""}, "assessments.draws": {"draws: 20}", "draws: 5}", ""},
		"bouncing.ping_pong": {"ping_pong: 6", "ping_pong: 2", ""}, "bouncing.return": {"return: 12", "return: 6", ""},
	}
	out := map[string][3]string{}
	for k, c := range cases {
		out[at(k)] = c
	}
	return out
}

// Every key of the method changes its numbers or words, or is an error.
func TestEveryProgressKeyMatters(t *testing.T) {
	if testing.Short() {
		t.Skip("estimates once a key")
	}
	text := progressStudy(t)
	cases := progressKeys()
	for key := range keysOf(reflect.TypeFor[Headlines](), "analyses.progress.") {
		require.Contains(t, cases, key)
	}
	s := opened(t, progressData(t), text)
	// The costliest questions are asked only where the key is about them.
	parts := map[string]string{
		"life":     withoutBlock(text, "      forecast:", ", forecast: 0.02", ", forecast: study_population.overall.versus_wait.stable_36"),
		"forecast": withoutBlock(text, "      assessments:", ", life: 0.05", ", life: study_population.overall.life_12.versus_wait.net_share"),
	}
	base := map[string]string{}
	for part, text := range parts {
		var err error
		base[part], err = s.reask(t, text)
		require.NoError(t, err)
	}
	for _, key := range slices.Sorted(maps.Keys(cases)) {
		c, part := cases[key], "forecast"
		if strings.Contains(key, "assessments") || strings.Contains(key, "life") {
			part = "life"
		}
		require.Contains(t, parts[part], c[0], key)
		now, err := s.reask(t, strings.Replace(parts[part], c[0], c[1], 1))
		if c[2] == refused {
			require.ErrorIs(t, err, ErrSpec, key)
			continue
		}
		require.NoError(t, err, key)
		require.True(t, base[part] != now, "%s has no effect", key)
	}
}

func withoutBlock(text, line string, parts ...string) string {
	from := strings.Index(text, line)
	to := from + strings.Index(text[from:], "\n") + 1
	text = text[:from] + text[to:]
	for _, p := range parts {
		text = strings.Replace(text, p, "", 1)
	}
	return text
}

// A ladder file says all of its mistakes with their lines.
func TestLadderFile(t *testing.T) {
	good := `name: ours
decided_by: the board
decided_on: 2025-03-01
steps: {work: 3, training: 2, benefit: 1, dead: 0}
labels: {3: {sv: Arbete, en: Work}}
absorbing: [dead]
administrative: [2]
orders: {other: {training: 1}}
authorities: {benefit: FK, training: nobody}
`
	l, err := readLadder("ladder.yaml", []byte(good))
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3}, l.values())
	states := []string{"work", "benefit", "training"}
	main, err := l.of(states)
	require.NoError(t, err)
	require.Equal(t, progress.Ladder{"work": 3, "benefit": 1, "training": 2}, main)
	orders, err := l.orders(states)
	require.NoError(t, err)
	require.Equal(t, map[string]progress.Ladder{"other": {"work": 3, "benefit": 1, "training": 1}}, orders)
	orders, err = l.orders([]string{"work", "benefit"})
	require.NoError(t, err)
	require.Empty(t, orders, "an order that differs for no state that occurs is no other order")
	require.Equal(t, []string{"training"}, l.administrative(states))
	who, err := l.authority(append(states, "dead"), []string{"work"})
	require.NoError(t, err)
	require.Equal(t, progress.Map{"work": progress.OwnSupport, "benefit": "FK", "training": progress.Nobody, "dead": progress.Left}, who)
	_, err = l.of([]string{"work", "prison"})
	require.ErrorIs(t, err, ErrSpec)
	require.ErrorContains(t, err, `"prison"`)
	other, err := readLadder("ladder.yaml", []byte(strings.Replace(good, "training: 2", "training: 1", 1)))
	require.Error(t, err, "the order and the administrative step are none then")
	require.Nil(t, other)
	for text, want := range map[string]string{
		"steps: {work: 3, training: 2, benefit: 1, dead: 0}": "steps", "decided_by: the board\n": "decided_by", "2025-03-01": "decided_on", "[dead]": "absorbing", "administrative: [2]": "administrative",
		"{other: {training: 1}}": "orders", "benefit: FK": "authorities", "name: ours": "name",
	} {
		bad := map[string]string{"steps": "steps: {work: 3}", "decided_by": "", "decided_on": "spring", "absorbing": "[gone]", "administrative": "administrative: [7]", "orders": "{other: {training: 2}}", "authorities": "prison: FK", "name": "name: \"\""}[want]
		_, err := readLadder("ladder.yaml", []byte(strings.Replace(good, text, bad, 1)))
		require.ErrorIs(t, err, ErrSpec, want)
		require.ErrorContains(t, err, want)
	}
	_, err = readLadder("ladder.yaml", nil)
	require.ErrorIs(t, err, ErrSpec)
	_, err = readLadder("ladder.yaml", []byte("a: &x 1\nb: *x\n"))
	require.ErrorIs(t, err, ErrSpec)
}

// Stable self-support is known only when the whole time has passed, also for those who reach it early.
func TestStableSelfSupportIsKnownOnlyInTheEnd(t *testing.T) {
	p := &cohort.Paths{States: []string{"benefit", "work"}, After: 6, Code: []int8{0, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, -1}}
	support := []bool{false, true}
	require.Equal(t, 1.0, stableBy(p, 0, support, 3, 6, 5))
	require.Equal(t, 0.0, stableBy(p, 0, support, 4, 6, 5))
	require.True(t, isNaN(stableBy(p, 0, support, 3, 6, 4)), "the last month is not known yet")
	require.True(t, isNaN(stableBy(p, 1, support, 2, 6, 5)), "not observed to the end, though two months in a row were seen")
	require.Equal(t, 1.0, stableBy(p, 1, support, 2, 5, 5))
	require.Equal(t, 0.0, stableBy(p, 1, support, 3, 5, 9))
}

func isNaN(v float64) bool { return v != v }

// What the study file may not say.
func TestProgressStudyMistakes(t *testing.T) {
	text := progressStudy(t)
	for what, c := range map[string][3]string{
		"relevant of the analysis":       {"    good: up\n", "    good: up\n    relevant: 1\n", "units of their own"},
		"tau beyond follow-up":           {"tau: 24", "tau: 48", "follow_up"},
		"at beyond tau":                  {"at: [12, 24]", "at: [12, 30]", "between 1 and tau"},
		"outcome as group":               {"groups: [sex]", "groups: [work_24]", "outcome-in-design"},
		"group without declared levels":  {"groups: [sex]", "groups: [municipality]", "levels"},
		"outcome as background":          {"background: [age, sex]", "background: [age, work_24]", "outcome-in-design"},
		"forecast after its horizon":     {"at: 12, within: 36", "at: 36, within: 36", "before within"},
		"nobody older":                   {"older_to: 2013-12", "older_to: 2012-12", "intake"},
		"as of before the outcome":       {"as_of: 2016-12", "as_of: 2015-12", "as_of"},
		"state unknown":                  {"self_support: [work, studies]", "self_support: [employed]", "employed"},
		"two questions":                  {"items: [health, coping, hope, everyday]", "items: [health, coping]", "at least 3"},
		"overlapping windows":            {"window: 1", "window: 6", "window"},
		"no important change":            {"mic: 0.5, ", "", "mic"},
		"ladder missing":                 {"      ladder: ladder.yaml\n", "", "ladder file"},
		"relevance of what is not asked": {"      bouncing:", "      assessments2:", "assessments2"},
	} {
		require.Contains(t, text, c[0], what)
		_, err := Parse("study.yaml", strings.NewReader(strings.Replace(text, c[0], c[1], 1)))
		require.ErrorIs(t, err, ErrSpec, what)
		require.ErrorContains(t, err, c[2], what)
	}
	_, err := Parse("study.yaml", strings.NewReader(withoutBlock(text, "      forecast:", ", forecast: study_population.overall.versus_wait.stable_36")))
	require.ErrorContains(t, err, "used only where that question is asked")
}

// In a small register each headline has a number or says why not, and the words follow the interval.
func TestProgressHeadlines(t *testing.T) {
	text := progressStudy(t)
	s := opened(t, progressData(t), text)
	require.NoError(t, s.estimate())
	r := &s.results[0]
	own := r.own.(*progressResult)
	require.Len(t, own.heads, 3)
	for _, h := range own.heads {
		require.NotEmpty(t, h.gates)
		require.True(t, h.finding.Exploratory || h.not != nil, "no plan was locked")
	}
	fs := r.spec.Progress.findings(s, r)
	require.Len(t, fs, 5)
	for _, f := range fs {
		require.NotContains(t, strings.Join(f.Says, " ")+f.Outcome+f.Question+f.Why+f.Fix, "[[")
		require.NotEmpty(t, f.Address)
		for _, g := range f.Gates {
			require.NotContains(t, g.What+g.Status+g.Means+g.Consequence+g.Must, "[[")
		}
		for _, row := range f.Rows {
			require.NotContains(t, row.Label, "[[")
			require.NotEmpty(t, row.Label)
		}
	}
	require.Equal(t, report.Description, fs[4].Kind, "how people are passed about is never success")
	// The intervals of the family are wider than each by itself.
	plain := withoutBlock(withoutBlock(text, "      assessments:", ", life: 0.05", ", life: study_population.overall.life_12.versus_wait.net_share"), "      forecast:", ", forecast: 0.02", ", forecast: study_population.overall.versus_wait.stable_36")
	alone := opened(t, progressData(t), plain)
	require.NoError(t, alone.estimate())
	a, b := alone.results[0].numbers[0].e, r.numbers[0].e
	require.Equal(t, a.Value, b.Value)
	if own.heads[2].not == nil {
		require.Greater(t, b.CI.Hi-b.CI.Lo, a.CI.Hi-a.CI.Lo)
		require.Equal(t, "max-t", b.CI.Method)
	}
	// By hand: the placebo is the net months of the same spells a year earlier.
	for _, n := range r.numbers {
		if n.term == termBefore {
			require.Equal(t, "check", n.kind)
			require.InDelta(t, 0, n.e.Value, 4*n.e.SE, "risk sets are alike before the start")
		}
	}
	require.NoError(t, s.draw())
	names := map[string]bool{}
	for _, f := range s.figures {
		names[f.name] = true
		require.NotContains(t, string(f.drawn.SVG), "[[")
	}
	for _, end := range []string{"flow", "steps", "groups"} {
		require.True(t, names["progress-"+end], end)
	}
	require.Equal(t, estimate.NetMonths, r.numbers[0].e.Measure)
}
