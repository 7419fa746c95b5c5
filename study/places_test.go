package study

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

const placesStudy = `utfall: 1
name: places
seed: 3
data:
  people: {kind: flat, path: people.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: x, type: number}, {name: county, type: category}, {name: area, type: category, levels: [north, south, east, west]}, {name: name, type: text}, {name: y, type: number}]}
cohorts:
  - {name: c, base: people, id: id, treatment: t, propensity: {covariates: [x]}, match: {exact: [county]}}
analyses:
  - {name: y, outcome_label: {en: Y}, unit: months, effect: {cohort: c, outcome: y}}
  - {name: y-places, outcome_label: {en: Y by county}, unit: months, places: {of: y, by: county, map: {tiles: true}}}
`

// placesFiles: twelve counties; the effect is 1 everywhere but in 12, where it is 2;
// county 25 has four participants.
func placesFiles(t testing.TB, dir string) {
	var b strings.Builder
	b.WriteString("id,t,x,county,area,name,y\n")
	id := 0
	for k, county := range []string{"01", "03", "04", "05", "06", "07", "08", "10", "12", "13", "14", "25"} {
		n := 60 + 10*k
		if county == "25" {
			n = 4
		}
		for i := range 3 * n {
			id++
			s := num.NewStream(5, "places", uint64(id))
			treated := 0
			effect := 0.0
			if i < n {
				treated, effect = 1, 1
				if county == "12" {
					effect = 2
				}
			}
			x := s.Normal()
			fmt.Fprintf(&b, "%d,%d,%g,%s,%s,p%d,%g\n", id, treated, x, county, []string{"north", "south", "east", "west"}[k%4], id, x+effect+s.Normal())
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(b.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "map.json"), []byte(squares("01", "03", "04", "05", "06", "07", "08", "10", "12", "13", "14", "25")), 0o600))
}

func squares(codes ...string) string {
	var fs []string
	for i, c := range codes {
		x := float64(i)
		fs = append(fs, fmt.Sprintf(`{"type":"Feature","properties":{"code":%q},"geometry":{"type":"Polygon","coordinates":[[[%g,57],[%g,57],[%g,58],[%g,58],[%g,57]]]}}`, c, x, x+1, x+1, x, x))
	}
	return `{"type":"FeatureCollection","features":[` + strings.Join(fs, ",") + `]}`
}

func placesRun(t testing.TB, dir, text string, until Stage) (*Outcome, string, error) {
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return nil, "", err
	}
	out := filepath.Join(t.TempDir(), "b")
	o, err := Run(context.Background(), spec, Options{DataDir: dir, OutDir: out, Until: until})
	return o, out, err
}

// A place that differs is found, the others are not called different, thin places are in
// nothing (and one more, so that the whole does not give the single one away), and the
// shrunken effect lies between the place's own and the pooled one.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	placesFiles(t, dir)
	o, bundle, err := placesRun(t, dir, placesStudy, StageReport)
	require.NoError(t, err)
	number := map[string]*Record{}
	for i, r := range o.Records {
		number[r.Address] = &o.Records[i]
	}
	pooled := number["y-places/pooled/mean"]
	require.NotNil(t, pooled)
	for _, thin := range []string{"25", "01"} {
		require.NotContains(t, number, "y-places/place="+thin+"/mean-difference", "the place with few people, and the next smallest beside it")
	}
	for _, code := range []string{"03", "08", "12", "14"} {
		raw, shrunk := number["y-places/place="+code+"/mean-difference"], number["y-places/place="+code+"/shrunken-effect"]
		require.NotNil(t, raw, code)
		lo, hi := min(*raw.Estimate, *pooled.Estimate), max(*raw.Estimate, *pooled.Estimate)
		require.True(t, *shrunk.Estimate >= lo && *shrunk.Estimate <= hi, code)
	}
	page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(page), "1 of 10 places differs from the whole"))
	require.True(t, strings.Contains(string(page), "county 12: differs from the whole"))
	require.True(t, strings.Contains(string(page), "county 14: does not differ from the whole"))
	require.True(t, strings.Contains(string(page), `class="finding under"`))
	csv, err := os.ReadFile(filepath.Join(bundle, "figures", "y-places-map.csv"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(csv), "1280,Higher than the whole,"))
	require.True(t, strings.Contains(string(csv), "2580,Not shown,,"))
	require.FileExists(t, filepath.Join(bundle, "figures", "y-places-funnel.svg"))
}

func TestPlacesKeys(t *testing.T) {
	dir := t.TempDir()
	placesFiles(t, dir)
	base, _, err := placesRun(t, dir, placesStudy, StageEstimate)
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new, says string }{
		"by":        {"by: county", "by: area", ""},
		"method":    {"by: county", "by: county, method: dl", ""},
		"test":      {"by: county", "by: county, test: z", ""},
		"of":        {"of: y", "of: y-places", "no analysis"},
		"of what":   {"{of: y, by", "{by", "no analysis"},
		"no by":     {"by: county, ", "", "name the column"},
		"names":     {"by: county", "by: name", "declare it as a category with levels"},
		"no method": {"by: county", "by: county, method: best", "not one of"},
		"map":       {"{tiles: true}", "{property: code}", "either tiles"},
		"both":      {"{tiles: true}", "{tiles: true, boundaries: map.json}", "either tiles"},
		"property":  {"{tiles: true}", "{boundaries: map.json}", "name the property"},
	} {
		require.Contains(t, placesStudy, c.old, name)
		got, _, err := placesRun(t, dir, strings.Replace(placesStudy, c.old, c.new, 1), StageEstimate)
		if c.says != "" {
			require.ErrorContains(t, err, c.says, name)
			continue
		}
		require.NoError(t, err, name)
		require.NotEqual(t, base.Records[1], got.Records[1], name)
	}
	// A map by boundaries, and boundaries that do not fit.
	mine := strings.Replace(placesStudy, "{tiles: true}", "{boundaries: map.json, property: code}", 1)
	_, bundle, err := placesRun(t, dir, mine, StageReport)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(bundle, "figures", "y-places-map.png"))
	for what, text := range map[string]string{"not GeoJSON": "{}", "no text under": strings.Replace(squares("01"), `"01"`, `1`, 1), "neither a Polygon": strings.Replace(squares("01"), "Polygon", "Point", 1)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "map.json"), []byte(text), 0o600))
		_, _, err = placesRun(t, dir, mine, StageReport)
		require.ErrorIs(t, err, ErrInput, what)
		require.ErrorContains(t, err, what)
	}
	_, _, err = placesRun(t, dir, strings.Replace(placesStudy, "by: county", "by: area", 1), StageReport)
	require.ErrorContains(t, err, "tiles need codes")
}

// With fewer than three places nothing is said of their differences.
func TestPlacesTooFew(t *testing.T) {
	dir := t.TempDir()
	placesFiles(t, dir)
	text := strings.Replace(placesStudy, "match: {exact: [county]}", `match: {exact: [county]}, eligibility: [{name: two, keep: 'county in ["12", "14"]'}]`, 1)
	o, bundle, err := placesRun(t, dir, text, StageReport)
	require.NoError(t, err)
	require.Equal(t, "refused", o.Records[1].Kind)
	page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(page), "Choose larger places"))
}
