package study

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
	// Unless they are published statistics about places.
	out, _ = placeRun(t, dir, strings.Replace(strings.Replace(memberStudy, "data:\n", "disclosure: {min_count: 15}\ndata:\n", 1), "path: towns.csv,", "path: towns.csv, published: true,", 1), "en")
	require.Equal(t, 36, *recordOf(t, out, "overall").Treated)
}

// The same numbers, figures and words for any order of rows and number of workers; a bundle is verified by running it again.
func TestPlaceQuestionsAreReproduced(t *testing.T) {
	dir, turned := t.TempDir(), t.TempDir()
	placePanel(t, dir, true)
	b, err := os.ReadFile(filepath.Join(dir, "towns.csv"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Reverse(lines[1:])
	require.NoError(t, os.WriteFile(filepath.Join(turned, "towns.csv"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	eligible := func(asked string) string {
		return strings.Replace(asked, "outcome: y", "outcome: y, where: part > 0", 1)
	}
	text := placeStudy(askedTriple) + "  - {name: two, outcome_label: {en: Two}, " + strings.Replace(eligible(askedSwitching), "outcome: y", "outcome: y, covariates: [x], errors: bootstrap, bands: uniform, replicates: 99", 1) +
		"}\n  - {name: three, outcome_label: {en: Three}, " + strings.Replace(eligible(askedDose), "outcome: y", "outcome: y, covariates: [x]", 1) + "}\n"
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	var files [2]map[string]string
	for i, from := range []string{dir, turned} {
		bundle := filepath.Join(t.TempDir(), "b")
		_, err := Run(t.Context(), spec, Options{DataDir: from, OutDir: bundle, Workers: 1 + 2*i})
		require.NoError(t, err)
		files[i] = map[string]string{}
		for _, name := range []string{resultsFile, "figures/one-event-study.csv", "figures/two-event-study.csv", "figures/three-dose.csv"} {
			b, err := os.ReadFile(filepath.Join(bundle, name))
			require.NoError(t, err)
			files[i][name] = string(b)
		}
		v, err := Verify(t.Context(), bundle, from, Options{Workers: 2})
		require.NoError(t, err)
		require.Empty(t, v.Problems)
	}
	require.Equal(t, files[0], files[1])
}

// With sizes the sentence is about a unit of treatment, not about units with and without,
// and what matters cannot be judged by it.
func TestSwitchingSizes(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("municipality;year;kronor;y\n")
	for k := range 40 {
		for year := 2001; year < 2005; year++ {
			d := 0
			if k < 20 && year > 2002 {
				d = 50
			}
			fmt.Fprintf(&b, "t%02d;%d;%d;%d\n", k, year, d, (k*7+year*3)%5+d)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
	study := `utfall: 1
name: sizes
data:
  towns: {kind: flat, path: towns.csv, key: [municipality, year], columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: kronor, type: integer}, {name: y, type: number}]}
analyses:
  - {name: money, question: {en: What?, sv: Vad?}, outcome_label: {en: Sick, sv: Sjuka}, switching: {data: towns, unit: municipality, time: year, treatment: kronor, outcome: y}}
`
	for l, words := range map[string][2]string{"en": {"Per unit of the measure and year the effect is", "compared with units without it:"}, "sv": {"Per enhet av insatsen och år är effekten", "jämfört med enheter utan den:"}} {
		_, bundle := placeRun(t, dir, study, l)
		page, err := os.ReadFile(filepath.Join(bundle, "report.html"))
		require.NoError(t, err)
		require.True(t, strings.Contains(string(page), words[0]), words[0])
		require.False(t, strings.Contains(string(page), words[1]), words[1])
	}
	spec, err := Parse("study.yaml", strings.NewReader(strings.Replace(study, "outcome_label:", "relevant: 0.5, outcome_label:", 1)))
	require.NoError(t, err)
	_, err = Run(context.Background(), spec, Options{DataDir: dir, OutDir: filepath.Join(t.TempDir(), "b")})
	require.ErrorIs(t, err, ErrSpec)
	require.ErrorContains(t, err, "per unit of treatment")
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

// Twenty that enter and fifty that do not: the smallest comparison group is that of the 20 others who entered, which are as many as the treated and
// not few to compare with; of 30 not yet in they are few.
func TestTripleCounts(t *testing.T) {
	for never, few := range map[int]bool{50: false, 30: true} {
		dir := t.TempDir()
		var b strings.Builder
		b.WriteString("municipality;year;part;g;y\n")
		for k := range 20 + never {
			g := 0
			if k < 20 {
				g = 2002
			}
			for part := range 2 {
				for year := range 2 {
					fmt.Fprintf(&b, "t%02d;%d;%d;%d;%d\n", k, 2001+year, part, g, (k*7+year*3+part*5)%11)
				}
			}
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "towns.csv"), []byte(b.String()), 0o600))
		out, _ := placeRun(t, dir, `utfall: 1
name: triple
data:
  towns: {kind: flat, path: towns.csv, key: [municipality, year, part], columns: [{name: municipality, type: text, role: unit, required: true}, {name: year, type: integer, required: true}, {name: part, type: integer}, {name: g, type: integer}, {name: y, type: number}]}
analyses:
  - {name: target, question: {en: What?}, outcome_label: {en: Sick}, triple: {data: towns, unit: municipality, time: year, cohort: g, eligible: part, outcome: y}}
`, "en")
		r := recordOf(t, out, "overall")
		require.Equal(t, []int{20, 20}, []int{*r.Treated, *r.Control})
		codes := map[string]bool{}
		for _, n := range r.Notes {
			codes[n.Code] = true
		}
		require.True(t, codes["triple-smallest"])
		require.Equal(t, few, codes["few-comparison"], never)
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
			require.True(t, strings.Contains(text, "Effekt (kronor per invånare: 1,75)"))
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
