package study

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/study/release"
)

// A cohort of one place is withheld, and what would give it back with the numbers shown:
// overall is (40·3·[2005] + 1·[2007]) / 121 and group:overall (40·[2005] + [2007]) / 41.
func TestWithheldCohortDoesNotFollow(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("municipality;year;g;y\n")
	for k := range 101 {
		g := 0
		switch {
		case k == 40:
			g = 2007
		case k < 40:
			g = 2005
		}
		for year := 2003; year < 2008; year++ {
			y := (k*7+year*3)%11 + (k*year)%5
			if g != 0 && year >= g {
				y += 5
			}
			fmt.Fprintf(&b, "t%03d;%d;%d;%d\n", k, year, g, y)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
	study := `utfall: 1
name: cohorts
data:
  towns: {kind: flat, path: towns.csv, key: [municipality, year], columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: g, type: integer}, {name: y, type: number}]}
analyses:
  - {name: c, question: {en: What?}, outcome_label: {en: Sick}, did: {data: towns, unit: municipality, time: year, cohort: g, outcome: y, inference: standard, aggregate: [KINDS]}}
`
	for kinds, shown := range map[string][]string{
		"simple, group":     {"overall"},
		"group":             {"group:overall"},
		"group, simple":     {"group:overall"},
		"simple":            {"overall"},
		"none, simple":      {"overall"},
		"dynamic, calendar": nil,
	} {
		out, _ := placeRun(t, dir, strings.Replace(study, "KINDS", kinds, 1), "en")
		known := map[string]bool{}
		for _, r := range out.Records {
			known[r.Term] = r.Estimate != nil && !r.Withheld
		}
		if strings.Contains(kinds, "group") {
			require.Contains(t, known, "group=2007", kinds)
			require.False(t, known["group=2007"], kinds)
			require.False(t, known["group=2005"], "%s: with the total it gives 2007", kinds)
			require.False(t, known["overall"] && known["group:overall"], "%s: two totals of two cohorts", kinds)
		}
		for _, term := range shown {
			require.True(t, known[term], "%s: %s", kinds, term)
		}
		if kinds == "dynamic, calendar" { // event 0 is of both cohorts, 2005 of one: together the other
			require.False(t, known["event=0"] && known["time=2005"], kinds)
		}
		if kinds == "none, simple" {
			n := 0
			for term, ok := range known {
				if ok && strings.HasPrefix(term, "group=2005") {
					n++
				}
			}
			require.Positive(t, n)
			require.False(t, known["group=2005,time=2005"] && known["group=2005,time=2006"] && known["group=2005,time=2007"], kinds)
		}
	}
}

// The same of a synthetic control: two cohorts of three and a total.
func TestWithheldSyntheticCohort(t *testing.T) {
	g := func(term string, n int) found {
		return found{term: term, e: estimate.Estimate{Term: term, Measure: estimate.MeanDifference}, basis: release.Basis{Treated: n, Control: 90, DF: math.Inf(1)}}
	}
	r := &analysisResult{spec: &Analysis{Name: "a"}, numbers: []found{g("overall", 64), g("group=2005", 40), g("group=2006", 21), g("group=2007", 3)}}
	r.mixed = byCohort(r.numbers)
	released := []release.Estimate{{Shown: true}, {Shown: true}, {Shown: true}, {}}
	(&state{}).complement(r, released, func([]release.Withheld) {})
	require.Equal(t, []bool{true, true, false, false}, []bool{released[0].Shown, released[1].Shown, released[2].Shown, released[3].Shown})
}
