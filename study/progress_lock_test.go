package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/ingest/synthetic"
)

// copied is a register that a test may change.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r")
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	return dir
}

// edit changes a file of a register.
func edit(t *testing.T, dir, name string, change func(string) string) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	text := change(string(b))
	require.NotEqual(t, string(b), text)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// monthsOnly is the study without forecast and questionnaires: quick.
func monthsOnly(t *testing.T) string {
	t.Helper()
	return withoutBlock(withoutBlock(progressStudy(t), "      assessments:", ", life: 0.05", ", life: study_population.overall.life_12.versus_wait.net_share"),
		"      forecast:", ", forecast: 0.02", ", forecast: study_population.overall.versus_wait.stable_36")
}

// A ladder that changes after the plan was locked is a deviation, and its digest is among the inputs.
func TestLadderIsPartOfThePlan(t *testing.T) {
	dir := copied(t, progressData(t))
	text := monthsOnly(t)
	s := opened(t, dir, text)
	before, err := s.plan()
	require.NoError(t, err)
	require.Equal(t, s.ladders["ladder.yaml"].digest, before.Data["ladder.yaml"])
	found := false
	for _, f := range s.inputs() {
		found = found || f.File == "ladder.yaml" && f.SHA256 == s.ladders["ladder.yaml"].digest
	}
	require.True(t, found)
	edit(t, dir, "ladder.yaml", func(s string) string { return strings.Replace(s, "rehab: 3", "rehab: 2", 1) })
	again := opened(t, dir, text)
	after, err := again.plan()
	require.NoError(t, err)
	deviations := before.deviations(after)
	require.Equal(t, []Deviation{{"data-content/ladder.yaml", "changed"}}, deviations)
	require.Contains(t, again.spec.uses(&again.spec.Analyses[0]), "data-content/ladder.yaml")
	require.NotContains(t, again.deviationText(deviations[0]), "[[")
	// What was locked is no longer exploratory; what departs from it is.
	again.locked = before
	require.NoError(t, again.estimate())
	require.False(t, again.results[0].own.(*progressResult).heads[0].finding.Exploratory)
	again.results, again.deviations = nil, deviations
	require.NoError(t, again.estimate())
	require.True(t, again.results[0].own.(*progressResult).heads[0].finding.Exploratory)
}

// Bad input is an error that names the file and what to do, or a refusal of one number.
func TestProgressBadInput(t *testing.T) {
	text := progressStudy(t)
	small := filepath.Join(t.TempDir(), "r")
	_, err := synthetic.Write(t.Context(), small, synthetic.Options{People: 3000, Seed: 2}, nil)
	require.NoError(t, err)
	fails := func(dir, text string, want error, words ...string) {
		t.Helper()
		spec, err := Parse("study.yaml", strings.NewReader(text))
		require.NoError(t, err)
		s := &state{ctx: t.Context(), spec: spec, o: Options{DataDir: dir, Workers: 2}, lang: "en", policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}
		for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
			if err = step(); err != nil {
				break
			}
		}
		require.ErrorIs(t, err, want)
		for _, w := range words {
			require.ErrorContains(t, err, w)
		}
	}
	dir := copied(t, small)
	edit(t, dir, "ladder.yaml", func(s string) string { return strings.Replace(s, "  rehab: 3\n", "", 1) })
	fails(dir, monthsOnly(t), ErrSpec, "authorities", "rehab")

	dir = copied(t, small)
	edit(t, dir, "ladder.yaml", func(s string) string {
		return strings.Replace(strings.Replace(s, "  rehab: 3\n", "", 1), "  rehab: region\n", "", 1)
	})
	fails(dir, monthsOnly(t), ErrSpec, "ladder.yaml", `"rehab"`, "no step")
	require.NoError(t, os.Remove(filepath.Join(dir, "ladder.yaml")))
	fails(dir, monthsOnly(t), ErrInput, "ladder")

	dir = copied(t, small)
	edit(t, dir, "ladder.yaml", func(s string) string {
		return strings.Replace(s, "absorbing: [death", "absorbing: [sickness-benefit, death", 1)
	})
	fails(dir, monthsOnly(t), ErrInput, "absorbing", `"sickness-benefit"`)

	dir = copied(t, small)
	edit(t, dir, "assessments.csv", func(s string) string { return strings.Replace(s, ";1;health", ";2;health", 400) })
	fails(dir, text, ErrInput, "version", "link")

	// Answers that do not say whose they are take no part, and are counted.
	dir = copied(t, small)
	edit(t, dir, "assessments.csv", func(s string) string { return strings.Replace(s, ";self\n", ";\n", 3000) })
	life := withoutBlock(text, "      forecast:", ", forecast: 0.02", ", forecast: study_population.overall.versus_wait.stable_36")
	s := opened(t, dir, life)
	require.NoError(t, s.estimate())
	codes := ""
	for _, n := range s.results[0].own.(*progressResult).notes[termLife] {
		codes += n.Code + " "
	}
	require.Contains(t, codes, "rater-missing")

	// All answers at the ceiling, and nobody who answers again: the number is refused, the others stand.
	for what, change := range map[string]func(string) string{
		"ceiling": func(s string) string {
			for _, v := range []string{"1", "2", "3", "4"} {
				s = strings.ReplaceAll(s, ";"+v+";self", ";5;self")
			}
			return s
		},
		"nobody again": func(s string) string {
			var kept strings.Builder
			seen := map[string]bool{}
			for _, line := range strings.SplitAfter(s, "\n") {
				f := strings.Split(line, ";")
				if len(f) < 5 || !seen[f[0]+f[4]] {
					kept.WriteString(line)
				}
				if len(f) > 4 {
					seen[f[0]+f[4]] = true
				}
			}
			return kept.String()
		},
	} {
		dir := copied(t, small)
		edit(t, dir, "assessments.csv", change)
		s := opened(t, dir, life)
		require.NoError(t, s.estimate(), what)
		own := s.results[0].own.(*progressResult)
		require.NotNil(t, own.heads[1].not, what)
		require.Nil(t, own.heads[0].not, "the first headline stands")
		require.Equal(t, "refused", s.results[0].numbers[1].kind)
	}
}

// Words come from the interval of the family and the gates alone.
func TestWordsFollowGates(t *testing.T) {
	s := opened(t, progressData(t), monthsOnly(t))
	require.NoError(t, s.estimate())
	r := &s.results[0]
	own := r.own.(*progressResult)
	h := own.heads[0]
	design := "effect"
	say := func(gates ...progress.Gate) string {
		kept := *h
		kept.gates = gates
		again := &analysisResult{spec: r.spec, kind: design, own: &progressResult{ladder: own.ladder, heads: []*headline{&kept}}}
		require.NoError(t, s.judge(again, r.spec, &progressUnits{cluster: make([]string, 1)}))
		if kept.not != nil {
			return "refused"
		}
		return string(kept.finding.Word) + " " + string(kept.finding.Kind)
	}
	met := progress.ArmSize(100, 100)
	require.Contains(t, say(met), "effect")
	require.Equal(t, "refused", say(met, progress.ArmSize(5, 100)))
	require.Equal(t, "nothing effect", say(met, progress.Orders(progress.OrderCheck{Verdict: progress.Disagree})))
	design = "association"
	require.Contains(t, say(met), "association", "groups that no design made alike")
	design = "effect"
	small := h.estimate
	small.Value, small.CI.Lo, small.CI.Hi = h.estimate.Value/100, h.estimate.Value/200, h.estimate.Value/50
	require.Contains(t, say(met, progress.Placebo(h.estimate.CI, small, 0)), "association")
}
