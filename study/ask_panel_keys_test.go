package study

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// placeStudy asks one analysis of a panel of places with members.
func placeStudy(analysis string) string {
	return `utfall: 1
name: places
seed: 3
data:
  towns: {kind: flat, path: towns.csv, columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: year2, type: integer}, {name: part, type: integer}, {name: part2, type: integer}, {name: u2, type: text}, {name: d, type: number}, {name: d2, type: number}, {name: g, type: integer}, {name: g2, type: integer}, {name: on, type: number}, {name: x, type: number}, {name: w, type: number}, {name: c, type: text}, {name: y, type: number}, {name: y2, type: number}], extra: ignore}
  flat: {kind: flat, path: towns.csv, columns: [{name: year2, type: integer}, {name: municipality, type: text}], extra: ignore}
analyses:
  - {name: one, question: {en: The question}, outcome_label: {en: The outcome}, ` + analysis + `}
`
}

// placePanel writes a panel with everything in it: 150 towns, 8 years, entry in 3 or 5, some leave, sizes, both parts of each town where part is asked for.
func placePanel(t testing.TB, dir string, parts bool) {
	t.Helper()
	var b strings.Builder
	b.WriteString("municipality,year,year2,part,part2,u2,d,d2,g,g2,on,x,w,c,y,y2\n")
	for k := range 150 {
		s := num.NewStream(4, "place-panel", uint64(k))
		g, d, x, w := []int{0, 3, 5}[k%3], 1+3*s.Float(), s.Normal(), 0.5+s.Float()
		g2 := g
		if g == 5 {
			g2 = 6
		}
		leaves := k%4 == 0
		if g == 0 {
			d = 0
		}
		for part := range 2 {
			if part == 0 && !parts {
				continue
			}
			for year := 1; year <= 8; year++ {
				on, effect := 0, 0.0
				if g > 0 && year >= g && !(leaves && year >= 7) {
					on = 1
				}
				if g > 0 && year >= g {
					effect = float64(part) * (1 + d)
				}
				fmt.Fprintf(&b, "t%03d,%d,%d,%d,%d,v%03d,%g,%g,%d,%d,%d,%g,%g,c%d,%g,%g\n", k, year, 9-year, part, part^k&1, k^1, d, d*d, g, g2, on, x+0.1*s.Normal(), w, k/3, effect+x*float64(year)/4+s.Normal(), s.Normal())
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
}

const (
	askedTriple    = "triple: {data: towns, unit: municipality, time: year, cohort: g, eligible: part, outcome: y, aggregate: [dynamic]}"
	askedSwitching = "switching: {data: towns, unit: municipality, time: year, treatment: on, outcome: y}"
	askedDose      = "dose: {data: towns, unit: municipality, time: year, cohort: g, dose: d, outcome: y}"
)

// placeKeys are the keys of these questions: what stands instead of what, in which question, and "refused" where that is an error.
var placeKeys = func() map[string][3]string {
	out := map[string][3]string{}
	for name, asked := range map[string]string{"triple": askedTriple, "switching": askedSwitching, "dose": askedDose} {
		add := func(key, old, new, says string) {
			out["analyses."+name+"."+key] = [3]string{asked, strings.Replace(asked, old, new, 1), says}
		}
		with := func(key, more, says string) { add(key, "outcome: y", "outcome: y, "+more, says) }
		with("label", "label: {en: The panel}", "")
		with("groups", "groups: {treated: {en: some}}", "")
		with("covariates", "covariates: [x]", "")
		with("weights", "weights: w", "")
		with("cluster", "cluster: c", "")
		with("where", "where: x < 0.5", "")
		with("anticipation", "anticipation: 1", "")
		add("data", "data: towns", "data: flat", refused)
		add("unit", "unit: municipality", "unit: u3", refused)
		add("time", "time: year", "time: year2", "")
		add("outcome", "outcome: y", "outcome: y2", "")
		if name != "switching" {
			add("cohort", "cohort: g", "cohort: g2", "")
			with("control", "control: never", "")
		}
	}
	add := func(name, asked, key, old, new, says string) {
		out["analyses."+name+"."+key] = [3]string{asked, strings.Replace(asked, old, new, 1), says}
	}
	add("triple", askedTriple, "eligible", "eligible: part", "eligible: part2", "")
	add("triple", askedTriple, "aggregate", "aggregate: [dynamic]", "aggregate: [group]", "")
	for key, more := range map[string]string{"method": "covariates: [x], method: reg", "base": "base: varying", "balance_event": "balance_event: 2", "window": "window: [-1, 1]", "bands": "bands: uniform, replicates: 199"} {
		add("triple", askedTriple, key, "outcome: y", "outcome: y, "+more, "")
	}
	base := strings.Replace(askedTriple, "outcome: y", "outcome: y, covariates: [x]", 1)
	out["analyses.triple.method"] = [3]string{base, strings.Replace(base, "covariates: [x]", "covariates: [x], method: reg", 1), ""}
	uniform := strings.Replace(askedTriple, "outcome: y", "outcome: y, bands: uniform", 1)
	out["analyses.triple.replicates"] = [3]string{uniform, strings.Replace(uniform, "bands: uniform", "bands: uniform, replicates: 199", 1), ""}
	add("triple", askedTriple, "inference", "outcome: y", "outcome: y, inference: cr2", refused)
	add("triple", askedTriple, "size", "outcome: y", "outcome: y, size: w", refused)
	add("switching", askedSwitching, "treatment", "treatment: on", "treatment: part", refused+" at the run")
	for key, more := range map[string]string{"before": "before: 2", "after": "after: 1", "errors": "errors: bootstrap, replicates: 99", "bands": "bands: uniform", "replicates": "bands: uniform, replicates: 199"} {
		add("switching", askedSwitching, key, "outcome: y", "outcome: y, "+more, "")
	}
	add("dose", askedDose, "dose", "dose: d", "dose: d2", "")
	for key, more := range map[string]string{"at": "at: [2, 3]", "degree": "degree: 2", "knots": "knots: 1"} {
		add("dose", askedDose, key, "outcome: y", "outcome: y, "+more, "")
	}
	return out
}()

func placeTry(t *testing.T, dir, analysis string, figures bool) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(placeStudy(analysis)))
	if err != nil {
		return "", err
	}
	return optionTry(t, dir, spec, figures)
}

func TestEveryPlaceKeyMatters(t *testing.T) {
	one, both := t.TempDir(), t.TempDir()
	placePanel(t, one, false)
	placePanel(t, both, true)
	done := map[string]string{}
	for key, c := range placeKeys {
		dir := one
		if strings.HasPrefix(c[0], "triple") {
			dir = both
		}
		a, ok := done[c[0]]
		if !ok {
			var err error
			a, err = placeTry(t, dir, c[0], true)
			require.NoError(t, err, key)
			require.False(t, strings.Contains(a, "[["), key)
			a, err = placeTry(t, dir, c[0], false)
			require.NoError(t, err, key)
			done[c[0]] = a
		}
		b, err := placeTry(t, dir, c[1], false)
		switch {
		case c[2] == refused:
			require.ErrorIs(t, err, ErrSpec, key)
		case c[2] != "":
			require.Error(t, err, key)
		default:
			require.NoError(t, err, key)
			if a == b {
				t.Errorf("%s has no effect", key)
			}
		}
	}
}

// Bad study files: every problem is said before anything runs.
func TestPlaceQuestionsRefuse(t *testing.T) {
	with := func(asked, more string) string { return strings.Replace(asked, "outcome: y", "outcome: y, "+more, 1) }
	for analysis, says := range map[string]string{
		with(askedTriple, "inference: wild"):                    "know no parts",
		strings.Replace(askedTriple, "eligible: part, ", "", 1): "eligible: name the column",
		strings.Replace(askedTriple, "part", "party", 1):        "no column",
		with(askedTriple, "window: [-1, 1], aggregate: [none]"): "twice",
		with(askedSwitching, "errors: guess"):                   "guess",
		with(askedSwitching, "before: 0"):                       "before must be",
		with(askedSwitching, "after: -1"):                       "after must be",
		with(askedSwitching, "anticipation: -1"):                "anticipation",
		with(askedSwitching, "replicates: 199"):                 "only with",
		with(askedSwitching, "bands: uniform, replicates: 9"):   "at least 99",
		with(askedSwitching, "groups: {other: {en: x}}"):        "other",
		strings.Replace(askedSwitching, "on", "off", 1):         "no column",
		with(askedDose, "at: [0]"):                              "above 0",
		with(askedDose, "at: [1, 1]"):                           "once",
		with(askedDose, "degree: 6"):                            "from 1 to 5",
		with(askedDose, "knots: -1"):                            "knots",
		with(askedDose, "control: sometimes"):                   "sometimes",
		strings.Replace(askedDose, "dose: d, ", "", 1):          "dose: name the column",
	} {
		_, err := Parse("study.yaml", strings.NewReader(placeStudy(analysis)))
		require.ErrorIs(t, err, ErrSpec, analysis)
		require.ErrorContains(t, err, says, analysis)
	}
}

// What the data do not allow is an error without a value in it.
func TestPlaceQuestionsRefuseData(t *testing.T) {
	dir := t.TempDir()
	placePanel(t, dir, false)
	for analysis, says := range map[string]string{
		strings.Replace(askedTriple, "eligible: part", "eligible: d", 1): "must be 0 or 1",
		askedTriple: "not eligible",
		strings.Replace(askedSwitching, "treatment: on", "treatment: part", 1):   "changes its treatment",
		strings.Replace(askedDose, "dose: d", "dose: x", 1):                      "has a dose",
		strings.Replace(askedDose, "outcome: y", "outcome: y, at: [99.5]", 1):    "outside those of treated units",
		strings.Replace(askedDose, "outcome: y", "outcome: y, where: d > -1", 1): "",
	} {
		_, err := placeTry(t, dir, analysis, false)
		if says == "" {
			require.NoError(t, err, analysis)
			continue
		}
		require.ErrorContains(t, err, says, analysis)
	}
}
