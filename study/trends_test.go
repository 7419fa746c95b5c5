package study

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/ingest/synthetic"
	"utfall/internal/lang"
)

// municipalPart is the demo's study without its people.
func municipalPart(t *testing.T) *Spec {
	t.Helper()
	spec := template(t, "both")
	for name := range spec.Data {
		if name != "municipalities" {
			delete(spec.Data, name)
		}
	}
	spec.Cohorts, spec.Lock = nil, &Lock{Required: new(bool)}
	var kept []Analysis
	for _, a := range spec.Analyses {
		if a.Name == "municipal-sickness" || a.Trends != nil {
			kept = append(kept, a)
		}
	}
	spec.Analyses, spec.Families = kept, nil
	return spec
}

// On the synthetic register two-way fixed effects miss the truth by far, and most of their comparisons are with municipalities that are in
// already; the other estimators agree with the effect; entry pretended to be earlier shows nothing; the report says how little the test before entry proves.
func TestTrendsOnTheSyntheticRegister(t *testing.T) {
	dir := t.TempDir()
	_, err := synthetic.Write(t.Context(), dir, synthetic.Options{People: 1000, Seed: 1}, nil)
	require.NoError(t, err)
	spec := municipalPart(t)
	said := map[string]string{}
	s := &state{ctx: t.Context(), spec: spec, o: Options{DataDir: dir, Workers: 2}, lang: lang.SV, policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}
	s.truth, err = s.loadTruth()
	require.NoError(t, err)
	for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
		require.NoError(t, step())
	}
	for _, l := range []lang.Lang{lang.SV, lang.EN} {
		s.lang = l
		truth, ok := s.truth.at("municipal.aggregates.sickness_benefit_share.simple")
		require.True(t, ok)
		by := map[string]Record{}
		for _, r := range s.bundle.records {
			by[r.Analysis+"/"+r.Term] = r
		}
		near := by["municipal-sickness/overall"]
		for _, name := range []string{"imputation", "two-stage"} {
			r := by["municipal-trends/estimator="+name]
			require.InDelta(t, truth, *r.Estimate, 3**r.StdError+0.01, name)
			require.Equal(t, "check", r.Kind)
		}
		twfe := by["municipal-trends/estimator=twfe"]
		require.Greater(t, math.Abs(*twfe.Estimate-truth), 10**twfe.StdError)
		require.LessOrEqual(t, math.Abs(*near.Estimate-truth), 3**near.StdError)
		require.Greater(t, *by["municipal-trends/twfe-forbidden-share"].Estimate, 0.4)
		require.Greater(t, *by["municipal-trends/breakdown"].Estimate, 0.001)
		straight := by["municipal-trends/honest:M=0"]
		require.True(t, *straight.ConfLow <= truth && truth <= *straight.ConfHigh)
		require.Less(t, *by["municipal-trends/honest:M=0.005"].ConfLow, *straight.ConfLow)
		for _, term := range []string{"placebo-date=2", "placebo-date=4"} {
			r := by["municipal-trends/"+term]
			require.Less(t, math.Abs(*r.Estimate), 3**r.StdError, term)
		}
		for i := range s.results {
			r := &s.results[i]
			if r.spec.Trends == nil {
				continue
			}
			text := strings.Join(r.spec.Trends.say(s, r), " ")
			said[string(l)] = text
			for _, n := range r.numbers {
				require.NotContains(t, s.termLabel(r.spec, n), "study.", n.term)
			}
		}
		in, err := s.reportInput("")
		require.NoError(t, err)
		require.Len(t, in.Findings, 2)
		require.True(t, in.Findings[1].Under)
	}
	require.Contains(t, said["sv"], "ska inte användas")
	require.Contains(t, said["sv"], "bevisar inte")
	require.Contains(t, said["sv"], "−0,")
	require.Contains(t, said["en"], "should not be used")
	for _, text := range said {
		for _, word := range []string{"passed", "godkän", "study.", "NaN"} {
			require.NotContains(t, text, word)
		}
	}
	t.Log(said["sv"])
	t.Log(said["en"])
}

// Bad study files: every problem with its place.
func TestTrendsAreChecked(t *testing.T) {
	const head = "utfall: 1\nname: x\ndata:\n  p: {kind: flat, path: p.csv, key: [u, t], columns: [{name: u, type: text, role: unit, required: true}, {name: t, type: integer, role: time, required: true}, {name: g, type: integer}, {name: y, type: number}, {name: z, type: number}]}\nanalyses:\n"
	did := "  - name: d\n    did: {data: p, unit: u, time: t, cohort: g, outcome: y}\n"
	for text, want := range map[string]string{
		"  - name: q\n    trends: {of: d, estimators: [twfe]}\n" + did:                                                        "no analysis \"d\" before this one",
		did + "  - name: q\n    trends: {of: d}\n":                                                                            "name estimators, honest",
		did + "  - name: q\n    trends: {of: d, estimators: [magic]}\n":                                                       "magic",
		did + "  - name: q\n    trends: {of: d, estimators: [twfe, twfe]}\n":                                                  "twice",
		did + "  - name: q\n    trends: {of: d, placebo_dates: [0]}\n":                                                        "at least 1",
		did + "  - name: q\n    trends: {of: d, honest: {type: magic}}\n":                                                     "magic",
		did + "  - name: q\n    trends: {of: d, honest: {m: [-1]}}\n":                                                         "at least 0",
		did + "  - name: q\n    trends: {of: d, negative_outcomes: [y]}\n":                                                    "another column than the outcome",
		did + "  - name: q\n    trends: {of: d, negative_outcomes: [nope]}\n":                                                 "nope",
		strings.Replace(did, "outcome: y", "outcome: y, base: varying", 1) + "  - name: q\n    trends: {of: d, honest: {}}\n": "base: universal",
	} {
		_, err := Parse(filepath.Base("study.yaml"), strings.NewReader(head+text))
		require.ErrorContains(t, err, want, text)
	}
}
