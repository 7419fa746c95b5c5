package study

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

const displacementStudy = `utfall: 1
name: displacement
seed: 3
data:
  people: {kind: flat, path: people.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: place, type: text}, {name: share, type: number}, {name: x, type: number}, {name: y, type: number}, {name: z, type: number}, {name: work, type: integer}]}
cohorts:
  - {name: all, base: people, id: id, treatment: t}
  - {name: some, base: people, id: id, treatment: t, eligibility: [{name: low, keep: x < 1}]}
  - {name: pairs, base: people, id: id, treatment: t, propensity: {covariates: [x]}, match: {method: nearest}}
analyses:
  - {name: others, question: {en: What of the others?}, outcome_label: {en: Y}, displacement: {cohort: all, outcome: y, place: place}}
`

// displacementFile: 12 places without the measure, where y is 10; 12 in which two of
// eight take part, y is 14 for them and 9 for others; 12 in which six do, 15 and 7. Half
// of the places of a kind are 0.1 above, half below.
func displacementFile(t testing.TB, dir string) {
	var b strings.Builder
	b.WriteString("id,t,place,share,x,y,z,work\n")
	for p := range 36 {
		kind := p / 12
		taking := []int{0, 2, 6}[kind]
		for i := range 8 {
			s := num.NewStream(4, "displacement-study", uint64(8*p+i))
			y, treated := []float64{10, 9, 7}[kind], 0
			if i < taking {
				y, treated = []float64{0, 14, 15}[kind], 1
			}
			y += 0.1 - 0.2*float64(p%2)
			work := 0
			if s.Float() < 0.5 {
				work = 1
			}
			fmt.Fprintf(&b, "%d,%d,p%d,%d,%g,%g,%g,%d\n", 8*p+i+1, treated, p, []int{0, 10, 40}[kind], s.Normal(), y, s.Normal(), work)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(b.String()), 0o600))
}

// By hand: against 10, others have -1 where few take part and -3 where many do,
// participants 4 and 5; within places the difference looks like 5 and 8; everybody there
// has ¼·4 - ¾·1 and ¾·5 - ¼·3.
func TestDisplacementByHand(t *testing.T) {
	dir := t.TempDir()
	displacementFile(t, dir)
	study := strings.Replace(displacementStudy, "place: place", "place: place, borders: [0.5]", 1)
	o, bundle, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	r := byAddress(o)
	for term, want := range map[string]float64{
		"non-participants,above=0": -1, "participants,above=0": 4, "within,above=0": 5, "net,above=0": 0.25,
		"non-participants,above=0.5": -3, "participants,above=0.5": 5, "within,above=0.5": 8, "net,above=0.5": 3,
	} {
		rec := r["others/"+term+"/mean-difference"]
		require.NotNil(t, rec, term)
		reftest.Agree(t, term, *rec.Estimate, want, 10)
		require.Equal(t, "association", rec.Kind)
	}
	adjusted, _, err := placesRun(t, dir, strings.Replace(study, "place: place", "place: place, covariates: [x]", 1), StageEstimate)
	require.NoError(t, err)
	for _, rec := range adjusted.Records {
		require.Equal(t, "association", rec.Kind, "a covariate makes no effect, as in a regression of the same cohort")
	}
	require.Equal(t, "others/non-participants,above=0.5/mean-difference", o.Records[0].Address)
	require.Equal(t, 25, *o.Records[0].Treated, "24 others, rounded")
	require.Equal(t, 95, *o.Records[0].Control, "96 people in places without it")
	require.Equal(t, 25, *r["others/within,above=0.5/mean-difference"].Control, "the others of the same places")
	page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(page), "Those who did not take part, share of participants above 0.5"), "Those who did not take part, share of participants above 0.5")
	v, err := Verify(t.Context(), bundle, dir, Options{})
	require.NoError(t, err)
	require.Empty(t, v.Problems)
	reverseRows(t, filepath.Join(dir, "people.csv"))
	again, _, err := placesRun(t, dir, study, StageReport)
	require.NoError(t, err)
	require.Equal(t, text(t, o), text(t, again))
}

const displacementAsked = "cohort: all, outcome: y, place: place"

// displacementKeys are the keys of displacement.
var displacementKeys = []keyCase{
	{"analyses.displacement.cohort", "cohort: all,", "cohort: some,", ""}, {"analyses.displacement.cohort", "cohort: all,", "cohort: pairs,", "has match or weight"}, {"analyses.displacement.cohort", "cohort: all,", "cohort: none,", "no cohort"},
	{"analyses.displacement.outcome", "outcome: y,", "outcome: z,", ""}, {"analyses.displacement.outcome", "outcome: y,", "", "outcome: name the column"},
	{"analyses.displacement.place", "place: place}", "place: x}", "a category is needed"}, {"analyses.displacement.place", ", place: place}", "}", "place: name the column"}, {"analyses.displacement.place", "place: place}", "place: y}", "outcome"},
	{"analyses.displacement.intensity", displacementAsked, displacementAsked + ", intensity: share, borders: [20]", ""}, {"analyses.displacement.intensity", displacementAsked, displacementAsked + ", intensity: x", "intensity"},
	{"analyses.displacement.borders", displacementAsked, displacementAsked + ", borders: [0.5]", ""}, {"analyses.displacement.borders", displacementAsked, displacementAsked + ", borders: [0.5, 0.2]", "ascend"},
	{"analyses.displacement.borders", displacementAsked, displacementAsked + ", borders: [0.9]", "no participants"},
	{"analyses.displacement.covariates", displacementAsked, displacementAsked + ", covariates: [x]", ""}, {"analyses.displacement.covariates", displacementAsked, displacementAsked + ", covariates: [y]", "outcome"},
	{"analyses.displacement.where", displacementAsked, displacementAsked + ", where: x < 1", ""},
}

func TestDisplacementKeys(t *testing.T) {
	dir := t.TempDir()
	displacementFile(t, dir)
	tryKeys(t, dir, displacementStudy, displacementKeys)
}

// A level with too few people is given away by the others and the whole: none is shown.
// Of a 0/1 outcome events count, and within and net count the thinner group.
func TestDisplacementRelease(t *testing.T) {
	dir := t.TempDir()
	displacementFile(t, dir)
	study := strings.Replace(displacementStudy, "place: place", "place: place, borders: [0.5]", 1)
	o, _, err := placesRun(t, dir, strings.Replace(study, "seed: 3", "seed: 3\ndisclosure: {min_count: 30}", 1), StageEstimate)
	require.NoError(t, err)
	require.Len(t, o.Records, 1)
	require.Equal(t, "refused", o.Records[0].Kind)
	require.Equal(t, "displacement-thin", o.Records[0].Notes[0].Code)
	g := &displacementGroups{part: []exposedGroup{{40, 4}}, others: []exposedGroup{{60, 30}}, without: exposedGroup{90, 50}, binary: true}
	p := Disclosure{}.Policy()
	for kind, shown := range map[string]bool{"non-participants": true, "participants": false, "within": false, "net": false} {
		on := g.basis(0, kind, 20)
		require.Equal(t, shown, min(on.Events.Treated, on.Treated-on.Events.Treated, on.Events.Control) >= p.Threshold(), kind)
	}
}
