package study

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

const synthStudy = `utfall: 1
name: synth
seed: 3
disclosure: {min_count: 3, round_to: 1}
data:
  places: {kind: municipalities, path: places.csv, published: true, columns: [{name: municipality, type: category, role: unit, required: true}, {name: year, type: integer, role: time, required: true}, {name: first, type: integer}, {name: x, type: number}, {name: z, type: number}, {name: y, type: number}]}
analyses:
  - {name: path, question: {en: What happened?}, outcome_label: {en: Y}, synth: {data: places, unit: municipality, time: year, cohort: first, outcome: y, inference: none}}
`

// synthFile: 0180 is treated from 2004 and is, before, the mean of 0114 and 0115; they
// stay and it goes up by 1 and 3. The others are far off.
func synthFile(t testing.TB, dir string) {
	var b strings.Builder
	b.WriteString("municipality,year,first,x,z,y\n")
	for u, row := range [][6]float64{{2, 5, 3, 9, 7, 9}, {4, 3, 7, 5, 1, 5}, {30, 22, 35, 20, 41, 30}, {-20, -31, -18, -35, -22, -30}, {50, 44, 41, 58, 66, 40}} {
		for k, y := range row {
			fmt.Fprintf(&b, "%s,%d,,%d,%d,%g\n", []string{"0114", "0115", "0117", "0120", "0123"}[u], 2000+k, u, (u*u+k)%7, y)
		}
	}
	for k, y := range []float64{3, 4, 5, 7, 5, 10} {
		fmt.Fprintf(&b, "0180,%d,2004,1,%d,%g\n", 2000+k, k%2, y)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(b.String()), 0o600))
}

// records of a run by address.
func byAddress(o *Outcome) map[string]*Record {
	out := map[string]*Record{}
	for i, r := range o.Records {
		out[r.Address] = &o.Records[i]
	}
	return out
}

// By hand: the mixture is half of 0114 and half of 0115, exact before 2004; after it is 4
// and 7, the treated 5 and 10: the effect is the mean of 1 and 3. It rests on one place,
// whose figures are published, and is shown.
func TestSynthByHand(t *testing.T) {
	dir := t.TempDir()
	synthFile(t, dir)
	o, bundle, err := placesRun(t, dir, synthStudy, StageReport)
	require.NoError(t, err)
	r := byAddress(o)
	reftest.Agree(t, "effect", *r["path/overall/mean-difference"].Estimate, 2, 6)
	require.Equal(t, 1, *r["path/overall/mean-difference"].Treated)
	require.Equal(t, 5, *r["path/overall/mean-difference"].Control)
	require.Equal(t, "effect", r["path/overall/mean-difference"].Kind)
	reftest.Agree(t, "weight", *r["path/unit=0114/weight"].Estimate, 0.5, 6)
	reftest.Agree(t, "weight", *r["path/unit=0115/weight"].Estimate, 0.5, 6)
	require.Less(t, *r["path/overall/gap-before"].Estimate, 1e-5)
	require.NotContains(t, text(t, o), "reference-period")
	for a, x := range r {
		if x.Measure == "weight" {
			require.GreaterOrEqual(t, math.Abs(*x.Estimate), 1e-6, a)
		}
		if x.Measure != "mean-difference" {
			require.Equal(t, "description", x.Kind, a)
		}
	}
	for k, want := range []float64{3, 4, 5, 7, 4, 7} {
		reftest.Agree(t, "synthetic", *r[fmt.Sprintf("path/series=synthetic,time=%d/mean", 2000+k)].Estimate, want, 5)
	}
	require.Equal(t, 10.0, *r["path/series=treated,time=2005/mean"].Estimate)
	page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
	require.NoError(t, err)
	for _, text := range []string{"Part of the mixture: municipality 0114", "The mixture is chosen to be like them", "published statistics about places", "The mixture of others"} {
		require.True(t, strings.Contains(string(page), text), text)
	}
	csv, err := os.ReadFile(filepath.Join(bundle, "figures", "path-path.csv"))
	require.NoError(t, err)
	require.Contains(t, string(csv), ",2005,10,")
	v, err := Verify(t.Context(), bundle, dir, Options{})
	require.NoError(t, err)
	require.Empty(t, v.Problems)
}

// Without published, places are counted as people are: one treated place shows nothing.
func TestSynthOfFewPlacesIsWithheld(t *testing.T) {
	dir := t.TempDir()
	synthFile(t, dir)
	o, _, err := placesRun(t, dir, strings.Replace(synthStudy, "published: true, ", "", 1), StageReport)
	require.NoError(t, err)
	for _, r := range o.Records {
		require.True(t, r.Withheld, r.Address)
		require.Nil(t, r.Estimate, r.Address)
	}
}

// synthMany: 24 places of one factor, some of them treated, in one period or two.
func synthMany(t testing.TB, dir string, starts ...int) {
	var b strings.Builder
	b.WriteString("municipality,year,first,x,z,y\n")
	for u := range 24 {
		s := num.NewStream(7, "synth-study", uint64(u))
		level, load, first := s.Normal(), s.Normal(), 0
		if u < 6 {
			first = starts[u%len(starts)]
		}
		for k := range 14 {
			y := level + load*float64(k*k)/40 + 0.3*s.Normal()
			if first != 0 && 2000+k >= first {
				y += 2
			}
			fmt.Fprintf(&b, "%04d,%d,%d,%g,%g,%g\n", 101+u, 2000+k, first, load, s.Normal(), y)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(b.String()), 0o600))
}

// keyCase is a key of a study file: what stands instead of what, and what the error says
// ("" = another result).
type keyCase struct{ key, old, new, says string }

const synthAsked = "cohort: first, outcome: y, replicates: 25"

// synthKeys are the keys of synth and of published data.
var synthKeys = []keyCase{
	{"analyses.synth.method", synthAsked, synthAsked + ", method: sdid", ""}, {"analyses.synth.method", synthAsked, synthAsked + ", method: did", ""},
	{"analyses.synth.method", synthAsked, synthAsked + ", method: augmented", ""}, {"analyses.synth.method", synthAsked, synthAsked + ", method: mc", ""},
	{"analyses.synth.method", synthAsked, synthAsked + ", method: ife", ""}, {"analyses.synth.method", synthAsked, synthAsked + ", method: best", "is not one of"},
	{"analyses.synth.inference", synthAsked, "cohort: first, outcome: y, method: sdid, inference: jackknife", ""}, {"analyses.synth.inference", synthAsked, synthAsked + ", inference: bootstrap", ""},
	{"analyses.synth.inference", synthAsked, "cohort: first, outcome: y, inference: conformal", "too few periods"}, // 14 give no p below 0.05
	{"analyses.synth.inference", synthAsked, synthAsked + ", inference: none", "replicates are for"},
	{"analyses.synth.inference", synthAsked, "cohort: first, outcome: y, method: augmented, inference: jackknife", "holds weights fixed"},
	{"analyses.synth.inference", synthAsked, "cohort: first, outcome: y, method: mc, inference: conformal", "conformal inference is for"},
	{"analyses.synth.replicates", "replicates: 25", "replicates: 30", ""}, {"analyses.synth.replicates", "replicates: 25", "replicates: 5", "between 19"},
	{"analyses.synth.predictors", synthAsked, synthAsked + ", predictors: [x, 'y:2000-2004', y:2008]", ""}, {"analyses.synth.predictors", synthAsked, synthAsked + ", method: did, predictors: [x]", "predictors are for"},
	{"analyses.synth.predictors", synthAsked, synthAsked + ", predictors: [nothing]", "no column"}, {"analyses.synth.predictors", synthAsked, synthAsked + ", predictors: ['x:5-2']", "written column"},
	{"analyses.synth.predictors", synthAsked, synthAsked + ", predictors: [x, x]", "twice"}, {"analyses.synth.predictors", synthAsked, synthAsked + ", predictors: ['y:2000-2012']", "does not lie within the periods before"},
	{"analyses.synth.predictor_weights", synthAsked, synthAsked + ", predictors: [x, z], predictor_weights: [1, 2]", ""}, {"analyses.synth.predictor_weights", synthAsked, synthAsked + ", predictors: [x], predictor_weights: [1, 2]", "one weight for each"},
	{"analyses.synth.lambda", synthAsked, synthAsked + ", method: augmented, lambda: 3", ""}, {"analyses.synth.lambda", synthAsked, synthAsked + ", lambda: 1", "lambda is for"},
	{"analyses.synth.lambda", synthAsked, synthAsked + ", method: mc, lambda: -1", "above 0"},
	{"analyses.synth.factors", synthAsked, synthAsked + ", method: ife, factors: 0", ""}, {"analyses.synth.factors", synthAsked, synthAsked + ", factors: 1", "factors are for"},
	{"analyses.synth.where", synthAsked, synthAsked + ", where: x < 1", ""}, {"analyses.synth.label", synthAsked, synthAsked + ", label: {en: The places}", ""},
	{"analyses.synth.groups", synthAsked, synthAsked + ", groups: {treated: {en: the happy few}}", ""}, {"analyses.synth.groups", synthAsked, synthAsked + ", groups: {others: {en: x}}", "is not one of"},
	{"analyses.synth.data", "data: places,", "data: nowhere,", "no data named"}, {"analyses.synth.unit", "unit: municipality", "unit: year", "one first treated period"}, {"analyses.synth.time", "time: year", "time: first", "the same unit and period twice"},
	{"analyses.synth.cohort", "cohort: first, ", "", "cohort: name the column"}, {"analyses.synth.outcome", "outcome: y", "outcome: z", ""},
	{"data.published", "published: true, ", "", ""},
}

// leakKeys are the keys of questions about mixtures, neighbours and others nearby.
func leakKeys() []keyCase {
	return slices.Concat(synthKeys, spilloverKeys, displacementKeys, reconcileKeys)
}

// tryKeys runs a study with each key changed: another result, or an error.
func tryKeys(t *testing.T, dir, study string, cases []keyCase) {
	t.Helper()
	run := func(text string) (string, error) {
		spec, err := Parse("study.yaml", strings.NewReader(text))
		if err != nil {
			return "", err
		}
		return optionTry(t, dir, spec, false)
	}
	was, err := run(study)
	require.NoError(t, err)
	for _, c := range cases {
		require.Contains(t, study, c.old, c.key)
		now, err := run(strings.Replace(study, c.old, c.new, 1))
		if c.says != "" {
			require.ErrorContains(t, err, c.says, c.new)
			continue
		}
		require.NoError(t, err, c.new)
		require.False(t, was == now, "%s: %s has no effect", c.key, c.new)
	}
}

// Every key changes the numbers or the report, or is an error.
func TestSynthKeys(t *testing.T) {
	dir := t.TempDir()
	synthMany(t, dir, 2009)
	tryKeys(t, dir, strings.Replace(synthStudy, "cohort: first, outcome: y, inference: none", synthAsked, 1), synthKeys)
}

// Where courses differ, plain difference-in-differences fails and a mixture or factors do not.
func TestSynthFindsTheEffect(t *testing.T) {
	dir := t.TempDir()
	synthMany(t, dir, 2009)
	for method, near := range map[string]bool{"sc": true, "sdid": true, "augmented": true, "ife": true, "did": false} {
		o, _, err := placesRun(t, dir, strings.Replace(synthStudy, "inference: none", "inference: none, method: "+method, 1), StageEstimate)
		require.NoError(t, err, method)
		off := *byAddress(o)["path/overall/mean-difference"].Estimate - 2
		require.Equal(t, near, off > -0.6 && off < 0.6, "%s: %v", method, off)
	}
}

func text(t testing.TB, o *Outcome) string {
	var b strings.Builder
	require.NoError(t, writeResults(&b, o.Records))
	return b.String()
}

// Places that start in two periods have mixtures of their own, and a figure by time since
// the start; the whole does not depend on workers or on the order of the rows.
func TestSynthStaggered(t *testing.T) {
	dir := t.TempDir()
	synthMany(t, dir, 2007, 2010)
	study := strings.Replace(synthStudy, "inference: none", "method: sdid, replicates: 25", 1)
	o, bundle, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	r := byAddress(o)
	for _, a := range []string{"overall/mean-difference", "overall/placebo-p", "group=2007/mean-difference", "group=2010/mean-difference", "group=2007/gap-before", "event=-7/gap", "event=6/gap"} {
		require.NotNil(t, r["path/"+a], a)
	}
	require.NotNil(t, r["path/overall/mean-difference"].StdError)
	require.Equal(t, 3, *r["path/group=2007/mean-difference"].Treated)
	csv, err := os.ReadFile(filepath.Join(bundle, "figures", "path-path.csv"))
	require.NoError(t, err)
	require.Contains(t, string(csv), "Difference from what was expected")
	reverseRows(t, filepath.Join(dir, "places.csv"))
	again, _, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	require.Equal(t, text(t, o), text(t, again))
}

// unpublished is a study of the same columns about people.
func unpublished(study string) string {
	return strings.NewReplacer("kind: municipalities", "kind: flat", "published: true, ", "").Replace(study)
}

// Of data that are not published no weight is shown, nor a name, be it four digits; the
// effect stands where the mixture is of enough, and is withheld with all else where it is not.
func TestSynthWithoutNames(t *testing.T) {
	dir := t.TempDir()
	synthMany(t, dir, 2009)
	codes := unpublished(strings.Replace(synthStudy, "inference: none", "inference: none, method: sdid", 1))
	o, _, err := placesRun(t, dir, codes, StageReport)
	require.NoError(t, err)
	require.NotNil(t, byAddress(o)["path/overall/mean-difference"].Estimate)
	require.NotContains(t, text(t, o), "/weight")
	b, err := os.ReadFile(filepath.Join(dir, "places.csv"))
	require.NoError(t, err)
	b = []byte(strings.ReplaceAll("\n"+string(b), "\n01", "\nplace-01"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), b[1:], 0o600))
	study := unpublished(strings.Replace(synthStudy, "inference: none", "replicates: 25", 1))
	o, _, err = placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	r := byAddress(o)
	require.NotNil(t, r["path/overall/mean-difference"].Estimate)
	require.Contains(t, text(t, o), "synth-unpublished")
	require.NotContains(t, text(t, o), "place-01")
	require.NotContains(t, text(t, o), "unit=")
	_, _, err = placesRun(t, dir, strings.Replace(study, "kind: flat", "kind: flat, published: true", 1), StageReport)
	require.ErrorContains(t, err, "published is used only")
}

// Three treated people are, before, as one of five others is: the mixture is that one, and
// neither its values nor what gives them back are shown. Of two cohorts one such mixture
// withholds the whole, too, but not the other cohort.
func TestSynthOfOneIsWithheld(t *testing.T) {
	dir := t.TempDir()
	write := func(second func(k int) float64) {
		var b strings.Builder
		b.WriteString("municipality,year,first,x,z,y\n")
		twin := func(k int) float64 { return 50 + float64((k*k*7)%5) }
		for u := range 8 {
			for k := range 10 {
				y := float64(10*u+(u*k)%3) + float64((k*(u+1))%4)
				if u == 7 {
					y = twin(k)
				}
				fmt.Fprintf(&b, "%04d,%d,,0,0,%g\n", 1+u, 2000+k, y)
			}
		}
		for u := range 6 {
			for k := range 10 {
				y, start := twin(k), 2006
				if u >= 3 && second != nil {
					y, start = second(k), 2007
				}
				if 2000+k >= start {
					y += 2
				}
				fmt.Fprintf(&b, "%04d,%d,%d,0,0,%g\n", 100+u, 2000+k, start, y+float64(u%3-1)/1000)
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(b.String()), 0o600))
	}
	write(nil)
	o, _, err := placesRun(t, dir, unpublished(synthStudy), StageReport)
	require.NoError(t, err)
	for _, r := range o.Records {
		require.True(t, r.Withheld, r.Address)
		require.Nil(t, r.Estimate, r.Address)
	}
	o, _, err = placesRun(t, dir, synthStudy, StageReport) // published it is shown
	require.NoError(t, err)
	require.Greater(t, *byAddress(o)["path/unit=0008/weight"].Estimate, 0.99)

	write(func(k int) float64 { // the mean of the first seven
		sum := 0.0
		for u := range 7 {
			sum += (float64(10*u+(u*k)%3) + float64((k*(u+1))%4)) / 7
		}
		return sum
	})
	o, _, err = placesRun(t, dir, unpublished(synthStudy), StageReport)
	require.NoError(t, err)
	for a, r := range byAddress(o) {
		require.Equal(t, !strings.HasPrefix(a, "path/group=2007/"), r.Withheld, a)
	}
}
