package study

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
	"utfall/study/report"
)

// How people are passed about always stands beside the headlines: no key leaves it out, and a ladder file that does not say who
// answers for whom leaves what can be known, with a note.
func TestBouncingIsAlwaysThere(t *testing.T) {
	dir := copied(t, progressData(t))
	text := monthsOnly(t)
	asked := regexp.MustCompile(`(?m)^      bouncing: .*\n`)
	require.True(t, asked.MatchString(text))
	bare := asked.ReplaceAllString(text, "")
	s := opened(t, dir, text)
	with, err := s.reask(t, text)
	require.NoError(t, err)
	without, err := s.reask(t, bare)
	require.NoError(t, err)
	require.Equal(t, with, without, "the usual months are those that the study file names")
	for _, term := range []string{"bouncing,authority-changes,difference", "bouncing,ping-pong,group=treated", "stable-exit,time=24,difference", "return,time=12,group=control"} {
		require.Contains(t, without, term)
	}

	edit(t, dir, "ladder.yaml", func(s string) string {
		from := strings.Index(s, "authorities:")
		rest := s[from:]
		end := strings.Index(rest, "orders:")
		require.True(t, from > 0 && end > 0)
		return s[:from] + rest[end:]
	})
	s = opened(t, dir, bare)
	page := ""
	for _, l := range []lang.Lang{lang.SV, lang.EN} {
		s.lang, s.results = l, nil
		require.NoError(t, s.estimate())
		in, err := s.reportInput("")
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, report.Write(&b, in))
		page = b.String()
		require.NotContains(t, page, "[[")
	}
	require.Contains(t, page, "does not say who answers for people in")
	require.Contains(t, page, s.lang.Text("study.progress-outcome-bouncing"))
	codes := map[string]bool{}
	for _, r := range s.bundle.records {
		require.NotContains(t, r.Term, "return,")
		require.NotContains(t, r.Term, "bouncing,")
		codes[r.Term] = true
	}
	require.True(t, codes["stable-exit,time=24,difference"])

	// With some states said and others not, the file is wrong.
	edit(t, dir, "ladder.yaml", func(s string) string { return s + "authorities: {rehab: region}\n" })
	spec, err := Parse("study.yaml", strings.NewReader(bare))
	require.NoError(t, err)
	_, err = Check(t.Context(), spec, Options{DataDir: dir})
	require.ErrorIs(t, err, ErrSpec)
}

// Loss that is weighed up reaches how people are passed about, too, with its note at each number.
func TestReweighLossReachesBouncing(t *testing.T) {
	text := withoutBlock(progressStudy(t), "      assessments:", ", life: 0.05", ", life: study_population.overall.life_12.versus_wait.net_share")
	s := opened(t, progressData(t), text)
	paths := s.cohorts["deltagare"].paths
	lost := slices.Index(paths.States, "sickness-benefit")
	for u := range s.cohorts["deltagare"].treated {
		if u%3 == 0 && int(paths.At(u, 9)) == lost {
			for m := paths.Before + 10; m < paths.Before+paths.After; m++ {
				paths.Code[u*(paths.Before+paths.After)+m] = -1
			}
		}
	}
	numbers := map[bool]map[string]Record{}
	for _, reweigh := range []bool{false, true} {
		asked := text
		if reweigh {
			asked = strings.Replace(text, "      tau: 24\n", "      tau: 24\n      reweigh_loss: true\n", 1)
		}
		spec, err := Parse("study.yaml", strings.NewReader(asked))
		require.NoError(t, err)
		again := *s
		again.spec, again.results = spec, nil
		require.NoError(t, again.estimate())
		numbers[reweigh] = map[string]Record{}
		for _, r := range again.bundle.records {
			numbers[reweigh][r.Term] = r
		}
	}
	for _, term := range []string{"bouncing,authority-changes,difference", "stable-exit,time=24,difference", "return,time=12,group=control", "forecast"} {
		a, b := numbers[false][term], numbers[true][term]
		require.NotNil(t, a.Estimate, term)
		require.NotNil(t, b.Estimate, term)
		require.NotEqual(t, *a.Estimate, *b.Estimate, term)
		codes := ""
		for _, n := range b.Notes {
			codes += n.Code + " "
		}
		want := "loss-reweighed"
		if strings.HasPrefix(term, "forecast") {
			want = "loss-before-forecast"
		}
		require.Contains(t, codes, want, term)
	}
}

// Without a single answer the question of a better life is refused alone: net months stand.
func TestNobodyAnsweredRefusesOneHeadline(t *testing.T) {
	text := withoutBlock(progressStudy(t), "      forecast:", ", forecast: 0.02", ", forecast: study_population.overall.versus_wait.stable_36")
	s := opened(t, progressData(t), text)
	s.data["assessments"].table = s.data["assessments"].table.Take([]int{})
	require.NoError(t, s.spec.Analyses[0].Progress.dry(s, &s.spec.Analyses[0]))
	require.NoError(t, s.estimate())
	kinds := map[string]string{}
	for _, r := range s.bundle.records {
		kinds[r.Term] = r.Kind
	}
	require.Equal(t, "refused", kinds[termLife])
	require.NotEqual(t, "refused", kinds[termMonths])
	in, err := s.reportInput("")
	require.NoError(t, err)
	require.NoError(t, report.Write(&bytes.Buffer{}, in))
}
