package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/study/report"
)

// thinStudy has questions that its data answer and questions that they cannot, one for each reason.
const thinStudy = `utfall: 1
name: thin
seed: 3
disclosure: {min_count: 3, round_to: 1}
data:
  people: {kind: flat, path: people.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: x, type: number}, {name: sure, type: number}, {name: y, type: number}, {name: w, type: number}, {name: unknown, type: number}]}
  towns: {kind: flat, path: towns.csv, columns: [{name: town, type: text, role: unit, required: true}, {name: year, type: integer, role: time, required: true}, {name: first, type: integer}, {name: late, type: integer}, {name: on, type: integer}, {name: y, type: number}]}
cohorts:
  - {name: c, base: people, id: id, treatment: t}
families:
  - {name: main, analyses: [claim, nobody-left, separated]}
analyses:
  - {name: claim, effect: {cohort: c, outcome: y}}
  - {name: nobody-left, effect: {cohort: c, outcome: y, where: x > 99}}
  - {name: separated, effect: {cohort: c, outcome: y, method: ipw, covariates: [sure]}}
  - {name: of-the-refused, trust: {of: separated, evalue: true}}
  - {name: control, role: negative-control, effect: {cohort: c, outcome: w, where: x > 99}}
  - {name: calibrated, trust: {of: claim, evalue: true, negative_controls: [control], placebo: {analyses: [zero], share: 0.4}}}
  - {name: columns, describe: {cohort: c, columns: [x, unknown]}}
  - {name: towns, did: {data: towns, unit: town, time: year, cohort: first, outcome: y}}
  - {name: nobody-starts, did: {data: towns, unit: town, time: year, cohort: late, outcome: y}}
  - {name: trends, trends: {of: nobody-starts, estimators: [twfe]}}
  - {name: steady, switching: {data: towns, unit: town, time: year, treatment: on, outcome: y}}
  - {name: donors, synth: {data: towns, unit: town, time: year, cohort: first, outcome: y, inference: conformal}}
`

// thinFiles: 60 people, sure is who takes part; 12 towns in 4 years, on never changes.
func thinFiles(t *testing.T, dir string) {
	t.Helper()
	var people, towns strings.Builder
	people.WriteString("id,t,x,sure,y,w,unknown\n")
	for i := range 60 {
		x := float64(i*7%10) / 4
		fmt.Fprintf(&people, "%d,%d,%g,%d,%g,%d,\n", i, i%2, x, i%2, float64(i%2)+x+float64(i*3%11)/7, i%3)
	}
	towns.WriteString("town,year,first,late,on,y\n")
	for k := range 12 {
		for year := 2001; year <= 2004; year++ {
			fmt.Fprintf(&towns, "t%d,%d,%d,2020,1,%g\n", k, year, 2003*(k%2), float64(k%5)+float64(k*year%7)/3)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(people.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(towns.String()), 0o600))
}

// What the data cannot answer is refused alone, with its reason and what would help, in the
// results, the report of both languages and on stderr; the others are what they are without it.
func TestRefusedAlone(t *testing.T) {
	dir := t.TempDir()
	thinFiles(t, dir)
	study := strings.Replace(thinStudy, "  - {name: calibrated", "  - {name: zero, role: placebo, effect: {cohort: c, outcome: w, where: x > 99}}\n  - {name: calibrated", 1)
	o, bundle, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	why := map[string][2]string{}
	for _, r := range o.Records {
		if r.Kind == "refused" {
			require.Nil(t, r.Estimate, r.Address)
			require.False(t, r.Withheld, r.Address)
			why[r.Address] = [2]string{r.Notes[0].Code, r.Notes[1].Code}
		}
	}
	few, alike := [2]string{"refused-too-few", "fix-more-people"}, [2]string{"refused-separated", "fix-coarser"}
	for address, want := range map[string][2]string{
		"nobody-left/att/mean-difference":                    few,
		"separated/att/mean-difference":                      alike,
		"of-the-refused/answer/mean-difference":              {"refused-with-another", "fix-the-other"},
		"columns/unknown/mean":                               few,
		"nobody-starts/overall/mean-difference":              few,
		"trends/answer/mean-difference":                      {"refused-with-another", "fix-the-other"},
		"control/att/mean-difference":                        few,
		"calibrated/control=control/standardised-difference": {"trust-too-little", "trust-more-people"},
	} {
		require.Equal(t, want, why[address], "%s of %v", address, why)
	}
	for _, name := range []string{"steady", "donors"} {
		found := false
		for address := range why {
			found = found || strings.HasPrefix(address, name+"/")
		}
		require.True(t, found, name)
	}
	// The others are the numbers of a study that asks them alone.
	alone := study
	for _, name := range []string{"nobody-left", "separated", "of-the-refused", "nobody-starts", "trends", "steady", "donors"} {
		from := strings.Index(alone, "  - {name: "+name+",")
		alone = alone[:from] + alone[from+strings.Index(alone[from:], "\n")+1:]
	}
	alone = alone[:strings.Index(alone, "families:")] + alone[strings.Index(alone, "analyses:\n  - "):]
	b, _, err := placesRun(t, dir, alone, StageEstimate)
	require.NoError(t, err)
	there := byAddress(o)
	for _, r := range b.Records {
		x := there[r.Address]
		require.NotNil(t, x, r.Address)
		require.Equal(t, [3]any{r.Estimate, r.StdError, r.ConfLow}, [3]any{x.Estimate, x.StdError, x.ConfLow}, r.Address)
	}
	// A refused member of a family is told and counts for nothing.
	p := there["claim/att,family=main/adjusted-p"]
	require.Equal(t, *there["claim/att/mean-difference"].PValue, *p.Estimate)
	require.Contains(t, fmt.Sprint(p.Notes), "family-without-test")

	v, err := Verify(t.Context(), bundle, dir, Options{})
	require.NoError(t, err)
	require.NoError(t, v.Err())
	text, err := Explain(bundle, "separated/att/mean-difference")
	require.NoError(t, err)
	require.Contains(t, text, "refused     refused-separated")
	require.Contains(t, text, "would help  fix-coarser")

	for _, l := range []lang.Lang{lang.SV, lang.EN} {
		spec, err := Parse("study.yaml", strings.NewReader(study))
		require.NoError(t, err)
		o, err := Run(t.Context(), spec, Options{DataDir: dir, OutDir: filepath.Join(t.TempDir(), "b"), Lang: string(l)})
		require.NoError(t, err)
		page, err := os.ReadFile(filepath.Join(o.Bundle, reportFile))
		require.NoError(t, err)
		for _, code := range []string{"refused-separated", "refused-with-another", "fix-the-other", "refused-too-few", "fix-coarser"} {
			require.Contains(t, string(page), l.Note(code, "", nil), code)
		}
		said := strings.Join(o.RefusedLines(), "\n")
		require.Contains(t, said, l.Text("study.refused-count", "n", len(o.Refused)))
		require.Contains(t, said, "separated: "+l.Note("refused-separated", "", nil)+" "+l.Note("fix-coarser", "", nil))
		require.Len(t, o.Refused, len(o.RefusedLines())-1)
	}
}

// A category with one value among those who take part makes no column: that is said, with the column's name.
func TestCategoryWithOneLevelIsTold(t *testing.T) {
	dir := t.TempDir()
	thinFiles(t, dir)
	edit(t, dir, "people.csv", func(s string) string {
		lines := strings.Split(strings.TrimSpace(s), "\n")
		for i := range lines {
			lines[i] += map[bool]string{true: ",kind,other", false: ",a," + string("ab"[i%3/2])}[i == 0]
		}
		return strings.Join(lines, "\n") + "\n"
	})
	study := strings.Replace(thinStudy, "{name: unknown, type: number}]", "{name: unknown, type: number}, {name: kind, type: category, levels: [a, b]}, {name: other, type: category, levels: [a, b]}]", 1)
	study = study[:strings.Index(study, "families:")] + "analyses:\n  - {name: claim, effect: {cohort: c, outcome: y, method: regression, covariates: [x, kind, other]}}\n"
	o, _, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	var columns []any
	for _, n := range o.Records[0].Notes {
		if n.Code == "covariate-one-level" {
			columns = append(columns, n.Args["column"])
		}
	}
	require.Equal(t, []any{"kind"}, columns)
}

// Before outcomes are opened check says what cannot be answered, and is content.
func TestCheckForeseesRefusals(t *testing.T) {
	dir := t.TempDir()
	thinFiles(t, dir)
	spec, err := Parse("study.yaml", strings.NewReader(strings.Replace(thinStudy, ", placebo: {analyses: [zero], share: 0.4}", "", 1)))
	require.NoError(t, err)
	lines, err := Check(t.Context(), spec, Options{DataDir: dir})
	require.NoError(t, err)
	said := strings.Join(lines, "\n")
	require.Contains(t, said, "nobody-left will not be answered: "+lang.EN.Note("refused-too-few", "", nil))
	require.NotContains(t, said, "claim will not")
}

// An error of the study file, a wrong row and what nobody foresaw stop the run, with their exit codes.
func TestWhatIsWrongStopsTheRun(t *testing.T) {
	dir := t.TempDir()
	thinFiles(t, dir)
	study := strings.Replace(thinStudy, ", placebo: {analyses: [zero], share: 0.4}", "", 1)
	_, _, err := placesRun(t, dir, strings.Replace(study, "where: x > 99", "where: nothing > 99", 1), StageReport)
	require.ErrorIs(t, err, ErrSpec)
	b, err := os.ReadFile(filepath.Join(dir, "people.csv"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), bytes.Replace(b, []byte("\n1,1,"), []byte("\n1,7,"), 1), 0o600))
	_, _, err = placesRun(t, dir, study, StageReport)
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "people.csv:3")
	for _, err := range []error{
		nil, errors.New("unforeseen"), context.Canceled, fmt.Errorf("%w: %w", ErrSpec, estimate.ErrTooFew), fmt.Errorf("%w: %w", ErrInput, estimate.ErrTooFew),
		fmt.Errorf("%w: %w", panel.ErrOption, estimate.ErrTooFew), &estimate.RowError{Row: 1, Err: estimate.ErrWeights}, estimate.ErrInvalidFrame, cohort.ErrOption, panel.ErrDuplicate,
	} {
		_, ok := refusable(err)
		require.False(t, ok, "%v", err)
	}
	for err, code := range map[error]string{
		estimate.ErrTooFew: "refused-too-few", estimate.ErrNoTreated: "refused-too-few", estimate.ErrNoControls: "refused-too-few", estimate.ErrSeparated: "refused-separated",
		estimate.ErrCollinear: "refused-collinear", estimate.ErrNotConverged: "refused-unstable", estimate.ErrNotIdentified: "refused-not-identified", estimate.ErrWeights: "refused-weights",
		cohort.ErrSeparation: "refused-separated", cohort.ErrNoSupport: "refused-separated", panel.ErrOnePeriod: "refused-one-period", missing.ErrConstant: "refused-constant",
		errUnanswered: "refused-with-another",
	} {
		why, ok := refusable(fmt.Errorf("an analysis: %w", err))
		require.True(t, ok, "%v", err)
		require.Equal(t, code, why.why.Code)
	}
}

// Whatever a study asks can be refused: the results, the figures and the report of both languages stand.
func TestEveryQuestionCanBeRefused(t *testing.T) {
	dir := t.TempDir()
	optionData(t, dir)
	place := t.TempDir()
	placePanel(t, place, true)
	synth, spill, displaced, places, gaps, trusted := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	trustData(t, trusted)
	placesFiles(t, places)
	missingFiles(t, gaps)
	synthMany(t, synth, 2009)
	spilloverFiles(t, spill)
	displacementFile(t, displaced)
	seen := map[string]bool{}
	for _, c := range [][2]string{
		{dir, optionStudy}, {place, placeStudy(askedTriple)}, {place, placeStudy(askedSwitching)}, {place, placeStudy(askedDose)},
		{synth, synthStudy}, {spill, strings.Replace(spilloverStudy, "name: neighbour, type: text, required: true}", "name: neighbour, type: text, required: true}, {name: weight, type: number}", 1)}, {displaced, displacementStudy},
		{dir, effectStudy("course: {cohort: register, states: [work], to: 6}")}, {trusted, trustStudy}, {places, placesStudy}, {gaps, missingStudy("missing: {of: y, methods: [worst-case]}", "en")},
		{progressData(t), progressStudy(t)}, {progressData(t), costsStudy(t)}, {progressData(t), underStudy(t, underPairs, underLadder, underScales, underDistance, underFollowUp, underReturns, underLandmark, underSequences)},
	} {
		s := opened(t, c[0], c[1])
		for _, l := range []lang.Lang{lang.SV, lang.EN} {
			s.lang, s.results, s.figures = l, nil, nil
			for i := range s.spec.Analyses {
				a := &s.spec.Analyses[i]
				seen[a.Methods()[0]] = true
				r := s.refuseAlone(a, fmt.Errorf("%w: for the test", estimate.ErrTooFew))
				require.Contains(t, methodTexts, r.method, a.Name)
				s.results = append(s.results, r)
			}
			require.NoError(t, s.adjust())
			var err error
			s.bundle, err = s.assemble()
			require.NoError(t, err)
			require.NoError(t, s.draw())
			in, err := s.reportInput("")
			require.NoError(t, err)
			var page bytes.Buffer
			require.NoError(t, report.Write(&page, in))
			for _, r := range s.bundle.records {
				require.Equal(t, "refused", r.Kind)
			}
			for _, f := range in.Findings {
				require.Equal(t, report.Refused, f.Kind, f.Address)
			}
		}
	}
	kinds := reflect.TypeFor[Analysis]()
	for i := range kinds.NumField() {
		f := kinds.Field(i)
		if !f.Type.Implements(reflect.TypeFor[question]()) {
			continue
		}
		if !f.Type.Implements(reflect.TypeFor[chief]()) {
			t.Errorf("%s does not name the number that it leads with", yamlName(f))
		}
		if !seen[yamlName(f)] {
			t.Errorf("%s is not tried here", yamlName(f))
		}
	}
}
