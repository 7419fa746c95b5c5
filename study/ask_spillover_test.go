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

const spilloverStudy = `utfall: 1
name: spillover
seed: 3
disclosure: {min_count: 3, round_to: 1}
data:
  places: {kind: municipalities, path: places.csv, published: true, columns: [{name: municipality, type: category, role: unit, required: true}, {name: year, type: integer, role: time, required: true}, {name: first, type: integer}, {name: region, type: category}, {name: near, type: number}, {name: x, type: number}, {name: w, type: number}, {name: y, type: number}, {name: z, type: number}]}
  borders: {kind: flat, path: borders.csv, columns: [{name: unit, type: text, required: true}, {name: neighbour, type: text, required: true}]}
analyses:
  - {name: leak, question: {en: What of the neighbours?}, outcome_label: {en: Y}, spillover: {data: places, unit: municipality, time: year, cohort: first, outcome: y, neighbours: borders}}
`

// By hand: 0114 is treated in 2002, 0115 is its neighbour, 0117 and 0120 are not, and a
// place that is not in the data borders on 0117. Since 2001 they change by 4 and 5, by 1
// and 2, and the two by 1 and 1 on average: the effect on the treated is the mean of 3 and
// 4, on the neighbour of 0 and 1. With the neighbour among those compared with the treated
// have 4 - 1 and 5 - 4/3.
func TestSpilloverByHand(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("municipality,year,first,region,near,x,w,y,z\n")
	for u, row := range [][4]float64{{1, 1, 5, 6}, {3, 0, 1, 2}, {0, 0, 0, 1}, {2, 0, 2, 1}} {
		for k, y := range row {
			first := ""
			if u == 0 {
				first = "2002"
			}
			fmt.Fprintf(&b, "%s,%d,%s,r,0,0,1,%g,0\n", []string{"0114", "0115", "0117", "0120"}[u], 2000+k, first, y)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(b.String()), 0o600))
	borders := "unit,neighbour\n0114,0115\n0115,0114\n0117,0123\n0123,0117\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "borders.csv"), []byte(borders), 0o600))
	o, bundle, err := placesRun(t, dir, spilloverStudy, StageReport)
	require.NoError(t, err)
	r := byAddress(o)
	reftest.Agree(t, "treated", *r["leak/treated/mean-difference"].Estimate, 3.5, 12)
	reftest.Agree(t, "exposed", *r["leak/exposed/mean-difference"].Estimate, 0.5, 12)
	reftest.Agree(t, "naive", *r["leak/naive/mean-difference"].Estimate, (3+5-4.0/3)/2, 12)
	require.Equal(t, 1, *r["leak/exposed/mean-difference"].Treated)
	require.Equal(t, 2, *r["leak/exposed/mean-difference"].Control)
	require.Contains(t, text(t, o), "neighbours-missing")
	page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
	require.NoError(t, err)
	for _, words := range []string{"Effect on the neighbours", "Neighbours not allowed for (not to be used)", "places without the measure and without neighbours that have it"} {
		require.True(t, strings.Contains(string(page), words), words)
	}
	v, err := Verify(t.Context(), bundle, dir, Options{})
	require.NoError(t, err)
	require.Empty(t, v.Problems)

	// Without a treated neighbour there is nothing to tell spillover by.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "borders.csv"), []byte("unit,neighbour\n0115,0117\n"), 0o600))
	o, _, err = placesRun(t, dir, spilloverStudy, StageReport)
	require.NoError(t, err)
	require.Len(t, o.Records, 1)
	require.Equal(t, "refused", o.Records[0].Kind)
	require.Equal(t, "spillover-none-exposed", o.Records[0].Notes[0].Code)
	// A place that is its own neighbour is an error with the line of its file.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "borders.csv"), []byte("unit,neighbour\n0114,0115\n0117,0117\n"), 0o600))
	_, _, err = placesRun(t, dir, spilloverStudy, StageReport)
	require.ErrorContains(t, err, "borders.csv:3: ")
}

// spilloverFiles: 16 regions of four places, two of them treated in some regions, some of whose
// neighbours gain, too.
func spilloverFiles(t testing.TB, dir string) {
	var b, e strings.Builder
	b.WriteString("municipality,year,first,region,near,x,w,y,z\n")
	e.WriteString("unit,neighbour,weight\n")
	for u := range 64 {
		s := num.NewStream(9, "spill-study", uint64(u))
		region, first, near := u/4, 0, 0
		if region < 8 && u%4 == 0 {
			first = 2004 + region%2
		}
		if region < 8 {
			near = 2004 + region%2
		}
		x, w := s.Normal(), 0.5+s.Float()
		for k := range 8 {
			year := 2000 + k
			y, share := x*float64(k)/5+0.3*s.Normal(), 0.0
			switch {
			case first != 0 && year >= first:
				y += 2
			case first == 0 && near != 0 && year >= near:
				share = []float64{0, 0, 0.5, 0.75}[u%4]
				y += share
			}
			fmt.Fprintf(&b, "%04d,%d,%d,r%d,%g,%g,%g,%g,%g\n", 101+u, year, first, region, share, x, w, y, s.Normal())
		}
		for v := region * 4; v < region*4+4; v++ {
			if v != u {
				fmt.Fprintf(&e, "%04d,%04d,%d\n", 101+u, 101+v, 1+v%3)
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(b.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "borders.csv"), []byte(e.String()), 0o600))
}

const spilloverAsked = "cohort: first, outcome: y, exposure: near"

// spilloverKeys are the keys of spillover.
var spilloverKeys = []keyCase{
	{"analyses.spillover.exposure", spilloverAsked, "cohort: first, outcome: y", "give one of"}, {"analyses.spillover.exposure", "exposure: near", "exposure: far", "no column"},
	{"analyses.spillover.region", spilloverAsked, "cohort: first, outcome: y, region: region", ""}, {"analyses.spillover.region", spilloverAsked, spilloverAsked + ", region: region", "give one of"},
	{"analyses.spillover.neighbours", spilloverAsked, "cohort: first, outcome: y, neighbours: borders", ""}, {"analyses.spillover.neighbours", spilloverAsked, "cohort: first, outcome: y, neighbours: places", "no column"},
	{"analyses.spillover.threshold", spilloverAsked, spilloverAsked + ", threshold: 0.6", ""}, {"analyses.spillover.threshold", spilloverAsked, spilloverAsked + ", threshold: -1", "at least 0"},
	{"analyses.spillover.borders", spilloverAsked, spilloverAsked + ", borders: [0.3, 0.6]", ""}, {"analyses.spillover.borders", spilloverAsked, spilloverAsked + ", borders: [0.6, 0.3]", "ascend"},
	{"analyses.spillover.by_event", spilloverAsked, spilloverAsked + ", by_event: true", ""}, {"analyses.spillover.anticipation", spilloverAsked, spilloverAsked + ", anticipation: 1", ""},
	{"analyses.spillover.anticipation", spilloverAsked, spilloverAsked + ", anticipation: -1", "at least 0"}, {"analyses.spillover.covariates", spilloverAsked, spilloverAsked + ", covariates: [x]", ""},
	{"analyses.spillover.weights", spilloverAsked, spilloverAsked + ", weights: w", ""}, {"analyses.spillover.cluster", spilloverAsked, spilloverAsked + ", cluster: region", ""},
	{"analyses.spillover.where", spilloverAsked, spilloverAsked + ", where: x < 1", ""}, {"analyses.spillover.label", spilloverAsked, spilloverAsked + ", label: {en: Near and far}", ""},
	{"analyses.spillover.groups", spilloverAsked, spilloverAsked + ", groups: {treated: {en: some}}", ""}, {"analyses.spillover.data", "data: places,", "data: nowhere,", "no data named"},
	{"analyses.spillover.unit", "unit: municipality", "unit: year", "cohort"}, {"analyses.spillover.time", "time: year", "time: first", "twice"},
	{"analyses.spillover.cohort", "cohort: first, ", "", "cohort: name the column"}, {"analyses.spillover.outcome", "outcome: y", "outcome: z", ""},
}

func TestSpilloverKeys(t *testing.T) {
	dir := t.TempDir()
	spilloverFiles(t, dir)
	study := strings.NewReplacer("outcome: y, neighbours: borders", "outcome: y, exposure: near", "{name: neighbour, type: text, required: true}", "{name: neighbour, type: text, required: true}, {name: weight, type: number}").Replace(spilloverStudy)
	tryKeys(t, dir, study, spilloverKeys)
}

// Places that are not published are counted: 8 treated are withheld where 10 are needed,
// 24 neighbours are shown; events do not depend on the order of rows or neighbours.
func TestSpilloverRelease(t *testing.T) {
	dir := t.TempDir()
	spilloverFiles(t, dir)
	study := strings.NewReplacer("published: true, ", "", "disclosure: {min_count: 3, round_to: 1}\n", "", "neighbours: borders", "neighbours: borders, cluster: region, by_event: true",
		"{name: neighbour, type: text, required: true}", "{name: neighbour, type: text, required: true}, {name: weight, type: number}").Replace(spilloverStudy)
	o, _, err := placesRun(t, dir, study, StageEstimate)
	require.NoError(t, err)
	r := byAddress(o)
	require.True(t, r["leak/treated/mean-difference"].Withheld)
	require.True(t, r["leak/naive/mean-difference"].Withheld)
	require.NotNil(t, r["leak/exposed/mean-difference"].Estimate)
	require.InDelta(t, 1.25/3, *r["leak/exposed/mean-difference"].Estimate, 0.2)
	for _, name := range []string{"places.csv", "borders.csv"} {
		reverseRows(t, filepath.Join(dir, name))
	}
	again, _, err := placesRun(t, dir, study, StageEstimate)
	require.NoError(t, err)
	require.Equal(t, text(t, o), text(t, again))
}

// With the effect on the treated, the naive number gives that on neighbours, and the
// levels of exposure add up to it: what is withheld does not follow.
func TestSpilloverDoesNotFollow(t *testing.T) {
	for _, c := range []struct {
		min, keys string
		hidden    []string
		shown     []string
	}{
		{"7", "", nil, []string{"treated", "exposed", "naive"}},
		{"9", "", []string{"treated", "naive"}, []string{"exposed"}},
		{"7", ", where: x < -0.4 or first > 0", []string{"exposed", "naive"}, []string{"treated"}},
		{"7", ", where: x < 0.2 or near != 0.75, borders: [0.6]", []string{"exposed,above=0", "exposed,above=0.6", "naive"}, nil},
	} {
		dir := t.TempDir()
		spilloverFiles(t, dir)
		study := strings.NewReplacer("published: true, ", "", "min_count: 3", "min_count: "+c.min, "outcome: y, neighbours: borders", "outcome: y, exposure: near"+c.keys,
			"{name: neighbour, type: text, required: true}", "{name: neighbour, type: text, required: true}, {name: weight, type: number}").Replace(spilloverStudy)
		o, _, err := placesRun(t, dir, study, StageEstimate)
		require.NoError(t, err, c.keys)
		r := byAddress(o)
		if r := r["leak/naive/mean-difference"]; !r.Withheld && c.keys == "" {
			require.Equal(t, 56, *r.Control, "all that are not treated, not only the clean")
			require.Equal(t, 8, *r.Treated)
		}
		for _, term := range c.hidden {
			require.True(t, r["leak/"+term+"/mean-difference"].Withheld, "%s%s: %s", c.min, c.keys, term)
		}
		for _, term := range c.shown {
			require.False(t, r["leak/"+term+"/mean-difference"].Withheld, "%s%s: %s", c.min, c.keys, term)
		}
	}
}

// reverseRows turns the rows of a file around.
func reverseRows(t testing.TB, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i, j := 1, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}
