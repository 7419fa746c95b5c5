package study

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// Every method of an analysis is found by its key, and an analysis asks one.
func TestQuestionsAreTheFieldsThatAsk(t *testing.T) {
	require.Subset(t, questionNames(), []string{"describe", "before_after", "effect", "did", "states"})
	a := Analysis{Effect: &Effect{}, DID: &DID{}}
	require.Equal(t, []string{"effect", "did"}, a.Methods())
	require.Empty(t, (&Analysis{}).questions())
}

// Every method has the words that the report and explain print.
func TestQuestionsHaveWords(t *testing.T) {
	for _, name := range questionNames() {
		found := false
		for key := range methodTexts {
			found = found || key == name || strings.HasPrefix(key, name+".")
		}
		require.True(t, found, "study/methods.go has nothing on %s", name)
	}
}

// What is about another finding stands right behind it; without that one it stands alone.
func TestFindingsStandUnderTheirs(t *testing.T) {
	var all []report.Finding
	for _, n := range []string{"work/att/x", "months/att/x", "lost/e/x", "trust/e/x", "trust-of-trust/e/x", "placebo/e/x"} {
		all = append(all, report.Finding{Address: n})
	}
	var got []string
	for _, f := range nested(all, map[string]string{"trust": "work", "placebo": "work", "trust-of-trust": "trust", "lost": "withheld"}) {
		mark := ""
		if f.Under {
			mark = "> "
		}
		got = append(got, mark+f.Address)
	}
	several := []report.Finding{{Address: "progress/net/x"}, {Address: "progress/life/x"}, {Address: "costs/total/x"}}
	require.Equal(t, []report.Finding{several[0], several[1], {Address: "costs/total/x", Under: true}}, nested(several, map[string]string{"costs": "progress"}), "once, behind the last")
	require.Equal(t, []string{"work/att/x", "> trust/e/x", "> trust-of-trust/e/x", "> placebo/e/x", "months/att/x", "lost/e/x"}, got)
}

// A number that is not given leaves a record without a number that says why, and is no
// cell that disclosure control withheld.
func TestRefusedNumberSaysWhy(t *testing.T) {
	s := &state{spec: &Spec{Level: 0.95}, policy: Disclosure{MinCount: 10, RoundTo: 5}.Policy(), lang: lang.EN}
	a := &Analysis{Name: "life", Describe: &Describe{}}
	r := &analysisResult{spec: a, method: "describe", kind: "effect", numbers: []found{
		refuse("net-improved", estimate.Mean, table.Note{Code: "rows-missing", Text: "why"}, table.Note{Code: "rows-missing", Text: "fix"}),
	}}
	out := &assembled{findings: map[string]release.Estimate{}}
	require.NoError(t, s.releaseAnalysis(out, r, map[string]bool{}, func(w []release.Withheld) { require.Empty(t, w) }))
	require.Len(t, out.records, 1)
	rec := out.records[0]
	require.Equal(t, "refused", rec.Kind)
	require.Nil(t, rec.Estimate)
	require.False(t, rec.Withheld)
	require.Len(t, rec.Notes, 2)
	require.Equal(t, "why", rec.Notes[0].Text)
}

// A number whose data did not vary leaves a study without an interval, and says why.
func TestCertainNumberHasNoInterval(t *testing.T) {
	s := &state{spec: &Spec{Level: 0.95}, policy: Disclosure{MinCount: 10, RoundTo: 5}.Policy(), lang: lang.EN}
	e := estimate.Wald("att", estimate.MeanDifference, 1, 0, 40, 0.95)
	r := &analysisResult{spec: &Analysis{Name: "life", Describe: &Describe{}}, method: "describe", kind: "effect",
		numbers: []found{{term: "att", e: e, basis: release.Basis{Treated: 50, Control: 50, DF: 40}}}}
	out := &assembled{findings: map[string]release.Estimate{}}
	require.NoError(t, s.releaseAnalysis(out, r, map[string]bool{}, func([]release.Withheld) {}))
	rec := out.records[0]
	require.Equal(t, 1.0, *rec.Estimate)
	require.Nil(t, rec.ConfLow)
	require.Nil(t, rec.ConfHigh)
	require.Equal(t, "no-variation", rec.Notes[0].Code)
}
