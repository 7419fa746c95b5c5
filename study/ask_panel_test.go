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

// placeFiles writes towns of five kinds, twelve of each, over four years. y by kind and year is given; half of a kind's towns have 0.1·year more and half as much
// less, so that means are as given. member goes on and off by kind.
func placeFiles(t testing.TB, dir string, y map[string][]float64, spells map[string]string) {
	t.Helper()
	var towns, members strings.Builder
	towns.WriteString("municipality;year;y\n")
	members.WriteString("municipality;association;from;to;source\n")
	for i, kind := range sortedKeys(y) {
		for k := range 12 {
			for year, v := range y[kind] {
				fmt.Fprintf(&towns, "%d;%d;%g\n", 1000+100*i+k, 2001+year, v+0.1*float64(year+1)*float64(1-2*(k%2)))
			}
			if s := spells[kind]; s != "" {
				fmt.Fprintf(&members, "%d;f;%s;own\n", 1000+100*i+k, s)
			}
		}
	}
	for name, text := range map[string]string{"towns.csv": towns.String(), "members.csv": members.String()} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

const memberStudy = `utfall: 1
name: members
data:
  towns: {kind: municipalities, path: towns.csv, columns: [{name: municipality, type: category, required: true}, {name: year, type: integer, required: true}, {name: y, type: number}], panel: {members: members, on: "07-01"}}
  members: {kind: memberships, path: members.csv, columns: [{name: municipality, type: category}, {name: association, type: category}, {name: from, type: date}, {name: to, type: date}, {name: source, type: category}]}
analyses:
  - {name: member, question: {en: What did membership do?, sv: Vad gjorde medlemskapet?}, outcome_label: {en: Sick, sv: Sjuka}, unit: points, good: down, switching: {data: towns, unit: municipality, time: year, treatment: member, outcome: y}}
`

func placeRun(t testing.TB, dir, text, language string) (*Outcome, string) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	bundle := filepath.Join(t.TempDir(), "b")
	out, err := Run(context.Background(), spec, Options{DataDir: dir, OutDir: bundle, Lang: language, Workers: 2})
	require.NoError(t, err)
	return out, bundle
}

func recordOf(t testing.TB, out *Outcome, term string) Record {
	t.Helper()
	for _, r := range out.Records {
		if r.Term == term {
			return r
		}
	}
	t.Fatalf("no number has the term %q", term)
	return Record{}
}

// Members by a dated table, by hand. a joins in 2003 and stays, b leaves in 2004 again, c is never a member, d leaves in 2003, e is a member throughout.
// Changes since 2002: in 2003 a 5 - 1 - 1 = 3, b 3 - 1 = 2 (c has 1), d down: -(-1 - 1) = 2 (e has 1); in 2004 a 7 - 2 = 5, b 4 - 2 = 2, d -(-2 - 2) = 4.
// Before: a from 2002 to 2001 -1.6 against -1 of c: -0.6. Event 0: 7/3, event 1: 11/3, event -2: -0.2. Per year of membership: 18 over 3 + 2.
func TestSwitchingByHand(t *testing.T) {
	dir := t.TempDir()
	placeFiles(t, dir, map[string][]float64{"a": {-0.6, 1, 5, 8}, "b": {2, 3, 6, 7}, "c": {1, 2, 3, 4}, "d": {5, 6, 5, 4}, "e": {3, 4, 5, 6}},
		map[string]string{"a": "2003-01-01;", "b": "2003-01-01;2003-12-31", "d": "1999-01-01;2002-12-31", "e": "1999-01-01;"})
	for _, l := range []string{"en", "sv"} {
		out, bundle := placeRun(t, dir, memberStudy, l)
		for term, want := range map[string]float64{"event=-2": -0.2, "event=-1": 0, "event=0": 7.0 / 3, "event=1": 11.0 / 3, "overall": 3.6} {
			r := recordOf(t, out, term)
			require.InDelta(t, want, *r.Estimate, 1e-12, term)
			require.Equal(t, "effect", r.Kind)
			require.Equal(t, 35, *r.Treated, term)
			require.Equal(t, 10, *r.Control, term)
		}
		codes := map[string]bool{}
		for _, n := range recordOf(t, out, "event=0").Notes {
			codes[n.Code] = true
		}
		require.True(t, codes["few-comparison"], "12 towns are few to compare with")
		b, err := os.ReadFile(filepath.Join(bundle, "report.html"))
		require.NoError(t, err)
		text := string(b)
		for _, room := range []string{"[[study.", "[[report.", "[[notes.", "[[plots."} {
			require.False(t, strings.Contains(text, room), room)
		}
		if l == "sv" {
			require.True(t, strings.Contains(text, "Effekten är räknad per enhet och år med behandlingen"))
			require.True(t, strings.Contains(text, "1 år efter den första ändringen"))
		}
		require.FileExists(t, filepath.Join(bundle, "figures", "member-event-study.csv"))
		read, err := OpenBundle(bundle)
		require.NoError(t, err)
		d, err := read.EventStudy("member", l)
		require.NoError(t, err)
		require.Len(t, d.Estimates, 4)
		said, err := read.Say("member/overall/mean-difference", l)
		require.NoError(t, err)
		require.NotEmpty(t, said.Sentence)
		require.NoError(t, read.Close())
	}
	// With a minimum of 15 every number rests on too few.
	out, _ := placeRun(t, dir, strings.Replace(memberStudy, "data:\n", "disclosure: {min_count: 15}\ndata:\n", 1), "en")
	for _, r := range out.Records {
		require.True(t, r.Withheld, r.Term)
	}
}

// Triple differences by hand: the eligible of those who enter change by 9 and the others there by 4, the eligible of the never treated by 3 and the others by 1:
// (9 - 4) - (3 - 1) = 3. Twelve towns each, with both parts.
func TestTripleQuestionByHand(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("municipality;year;part;g;y\n")
	for k := range 24 {
		g, change := 2002, [2]int{4, 9}
		if k >= 12 {
			g, change = 0, [2]int{1, 3}
		}
		for part := range 2 {
			for year := range 2 {
				fmt.Fprintf(&b, "t%02d;%d;%d;%d;%d\n", k, 2001+year, part, g, k+year*(change[part]+1-2*(k%2)*(1+part)+part))
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
	study := `utfall: 1
name: triple
data:
  towns: {kind: flat, path: towns.csv, key: [municipality, year, part], columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: part, type: integer}, {name: g, type: integer}, {name: y, type: number}]}
analyses:
  - {name: target, question: {en: What about the target group?, sv: Hur gick det för målgruppen?}, outcome_label: {en: Sick, sv: Sjuka}, triple: {data: towns, unit: municipality, time: year, cohort: g, eligible: part, outcome: y}}
`
	for _, l := range []string{"en", "sv"} {
		out, bundle := placeRun(t, dir, study, l)
		for _, term := range []string{"overall", "event=0"} {
			r := recordOf(t, out, term)
			require.InDelta(t, 3, *r.Estimate, 1e-12, term)
			require.Equal(t, []int{10, 10}, []int{*r.Treated, *r.Control}, term)
			require.Positive(t, *r.StdError)
		}
		require.FileExists(t, filepath.Join(bundle, "figures", "target-event-study.csv"))
		text, err := os.ReadFile(filepath.Join(bundle, "report.html"))
		require.NoError(t, err)
		require.False(t, strings.Contains(string(text), "[["))
	}
}

const doseStudy = `utfall: 1
name: money
data:
  towns: {kind: flat, path: towns.csv, key: [municipality, year], columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: g, type: integer}, {name: kronor, type: number}, {name: y, type: number}]}
labels:
  kronor: {en: kronor per inhabitant, sv: kronor per invånare}
analyses:
  - {name: money, question: {en: Does more money do more?, sv: Ger mer pengar mer?}, outcome_label: {en: Sick, sv: Sjuka}, dose: {data: towns, unit: municipality, time: year, cohort: g, dose: kronor, outcome: y, degree: 1}}
`

// doseFiles: n[d] towns with d kronor per inhabitant, whose y changes by change[d].
func doseFiles(t testing.TB, dir string, n []int, change []float64) {
	t.Helper()
	var b strings.Builder
	b.WriteString("municipality;year;g;kronor;y\n")
	for d := range n {
		for k := range n[d] {
			g := 2002
			if d == 0 {
				g = 0
			}
			for year := range 2 {
				y := float64(k) + float64(year)*(change[d]+0.5-float64(k%2))
				fmt.Fprintf(&b, "t%d-%02d;%d;%d;%d;%g\n", d, k, 2001+year, g, d, y)
			}
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
}

// Doses by hand: 1, 2 and 3 kronor with changes of 3, 5 and 9, 1 without: 2, 4, 8. A line has slope (8 - 2)/2 = 3 and mean 14/3: 5/3 at 1, 23/3 at 3. Round numbers from
// the tenth smallest (1) to the tenth largest (3): steps of 0.1 and 0.2 make more than ten, of 0.25 nine.
func TestDoseQuestionByHand(t *testing.T) {
	dir := t.TempDir()
	doseFiles(t, dir, []int{12, 12, 12, 12}, []float64{1, 3, 5, 9})
	for _, l := range []string{"en", "sv"} {
		out, bundle := placeRun(t, dir, doseStudy, l)
		for term, want := range map[string]float64{"dose=1": 5.0 / 3, "dose=1.75": 14.0/3 - 0.75, "dose=3": 23.0 / 3, "acrt=2.25": 3, "overall": 14.0 / 3, "overall-acrt": 3} {
			r := recordOf(t, out, term)
			require.InDelta(t, want, *r.Estimate, 1e-12, term)
			require.Equal(t, []int{35, 10}, []int{*r.Treated, *r.Control}, term)
		}
		require.Len(t, out.Records, 9+9+2)
		curve, err := os.ReadFile(filepath.Join(bundle, "figures", "money-dose.csv"))
		require.NoError(t, err)
		require.Len(t, strings.Split(strings.TrimSpace(string(curve)), "\n"), 10)
		b, err := os.ReadFile(filepath.Join(bundle, "report.html"))
		require.NoError(t, err)
		text := string(b)
		require.False(t, strings.Contains(text, "[["))
		require.False(t, strings.Contains(text, ">Slope at"), "slopes by size are in the results only")
		if l == "sv" {
			require.True(t, strings.Contains(text, "Effekt för dem med kronor per invånare 1,75"))
		}
	}
	// Five towns have 3 kronor: what rests on them is withheld, and asked for by name too.
	doseFiles(t, dir, []int{12, 12, 12, 5}, []float64{1, 3, 5, 9})
	out, _ := placeRun(t, dir, doseStudy, "en")
	for _, r := range out.Records {
		require.False(t, r.Withheld, r.Term)
		require.NotEqual(t, "dose=2.5", r.Term)
	}
	out, bundle := placeRun(t, dir, strings.Replace(doseStudy, "degree: 1", "degree: 1, at: [1, 2, 2.5, 3]", 1), "en")
	for term, withheld := range map[string]bool{"dose=1": false, "dose=2": false, "dose=2.5": true, "dose=3": true, "acrt=3": true, "overall": false} {
		require.Equal(t, withheld, recordOf(t, out, term).Withheld, term)
	}
	curve, err := os.ReadFile(filepath.Join(bundle, "figures", "money-dose.csv"))
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(string(curve)), "\n"), 3)
}

// Round numbers say of the sizes only between which of them k units lie.
func TestRoundDoses(t *testing.T) {
	var sizes []float64
	for i := range 100 {
		sizes = append(sizes, 0.0317+0.00713*float64(i))
	}
	require.Equal(t, []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}, roundDoses(sizes, 10))
	require.Empty(t, roundDoses(sizes[:19], 10))
	require.Empty(t, roundDoses([]float64{1, 1, 1, 1, 1, 1}, 3))
	for i := range sizes {
		sizes[i] *= 1e6
	}
	require.Equal(t, []float64{1e5, 2e5, 3e5, 4e5, 5e5, 6e5}, roundDoses(sizes, 10))
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
		if name == "triple" {
			with("covariates", "covariates: [x]", "")
		} else {
			with("covariates", "covariates: [x]", refused)
		}
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

func placeTry(t *testing.T, dir, analysis string) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(placeStudy(analysis)))
	if err != nil {
		return "", err
	}
	return optionTry(t, dir, spec, true)
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
			a, err = placeTry(t, dir, c[0])
			require.NoError(t, err, key)
			done[c[0]] = a
			require.False(t, strings.Contains(a, "[["), key)
		}
		b, err := placeTry(t, dir, c[1])
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
		_, err := placeTry(t, dir, analysis)
		if says == "" {
			require.NoError(t, err, analysis)
			continue
		}
		require.ErrorContains(t, err, says, analysis)
	}
}

// Plans hold what these questions rest on, texts apart; the columns of the layout are read before outcomes are opened, the outcome is not.
func TestPlaceQuestionsAreLocked(t *testing.T) {
	for _, asked := range []string{askedTriple, askedSwitching, askedDose} {
		a, err := Parse("study.yaml", strings.NewReader(placeStudy(asked)))
		require.NoError(t, err)
		b, err := Parse("study.yaml", strings.NewReader(placeStudy(strings.Replace(asked, "outcome: y", "outcome: y, label: {en: Named}, groups: {control: {en: others}}", 1))))
		require.NoError(t, err)
		bare := [2]Analysis{}
		for i, s := range []*Spec{a, b} {
			bare[i] = s.Analyses[0]
			s.Analyses[0].ask().(unplanned).plan(&bare[i])
		}
		require.Equal(t, bare[0], bare[1])
		require.NotEqual(t, a.Analyses[0], b.Analyses[0])
		require.Equal(t, []string{"y"}, a.sealedOf("towns"))
		require.Contains(t, a.designReads("towns"), "municipality")
		require.True(t, claims(&a.Analyses[0]))
	}
}
