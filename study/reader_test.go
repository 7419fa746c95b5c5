package study

import (
	"bytes"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/plots"
)

// A bundle read back says what was written: every record, and the figure with the
// same numbers, byte by byte.
func TestBundleReadsWhatWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	run, err := Run(t.Context(), template(t, "both"), Options{DataDir: register(t, 7), OutDir: dir})
	require.NoError(t, err)
	b, err := OpenBundle(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()

	var ran, read bytes.Buffer // as JSON: a whole number in a note's arguments is read as a float
	require.NoError(t, writeResults(&ran, run.Records))
	require.NoError(t, writeResults(&read, b.Records()))
	require.True(t, bytes.Equal(ran.Bytes(), read.Bytes()))
	one, err := b.Number("work-24/att/risk-difference")
	require.NoError(t, err)
	require.Equal(t, "work-24", one.Analysis)
	_, err = b.Number("work-24/att/nothing")
	require.ErrorIs(t, err, ErrInput)

	require.Contains(t, b.Question("sv"), "Kom deltagarna")
	require.Contains(t, b.Question("en"), "Did participants")
	require.Len(t, b.Caveats("sv"), 4)

	steps, err := b.Attrition()
	require.NoError(t, err)
	require.Equal(t, "start", steps[0].Step)
	steps = slices.DeleteFunc(steps, func(x AttritionStep) bool { return x.Cohort != "deltagare" })
	last := steps[len(steps)-1]
	require.Equal(t, "matched", last.Step)
	require.Equal(t, last.TreatedKept, strconv.Itoa(*one.Treated), "attrition and the number speak of the same people")

	for _, analysis := range []string{"municipal-sickness", "municipal-disability"} {
		d, err := b.EventStudy(analysis, "sv")
		require.NoError(t, err)
		f, err := plots.EventStudy(d, plots.Style{Lang: "sv"})
		require.NoError(t, err)
		drawn, err := f.Render(t.Context())
		require.NoError(t, err)
		written, err := b.File("figures/" + analysis + "-event-study.csv")
		require.NoError(t, err)
		require.Equal(t, string(written), string(drawn.CSV))
		require.NotEmpty(t, d.Known)
	}
	_, err = b.EventStudy("work-24", "sv")
	require.ErrorIs(t, err, ErrInput)
}

// A statement reads as in the report: the same value, interval and sentence.
func TestSayUsesTheWordsOfTheReport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	_, err := Run(t.Context(), template(t, "both"), Options{DataDir: register(t, 7), OutDir: dir, Lang: "sv"})
	require.NoError(t, err)
	b, err := OpenBundle(dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	source, err := b.File(reportFile)
	require.NoError(t, err)
	page := html.UnescapeString(string(source))
	says := func(text, address string) {
		t.Helper()
		require.NotEmpty(t, text, address)
		require.True(t, strings.Contains(page, text), "%s: the report does not say %q", address, text)
	}
	for _, address := range []string{
		"work-24/att/risk-difference", "sickness-24/att/risk-difference", "ladder/net-months/net-months",
		"work-months/att/mean-difference", "municipal-sickness/overall/mean-difference", "before-after/participants/change-before-after",
	} {
		s, err := b.Say(address, "sv")
		require.NoError(t, err)
		says(s.Value, address)
		says(s.Interval, address)
		if !strings.HasPrefix(address, "before-after") { // the report gives that one as part of another answer
			says(s.Sentence, address)
		}
	}
	// A change is one with its sign, in points; a share is a level.
	for address, want := range map[string]string{"change-before-after": "procentenheter", "share-after": "%"} {
		s, err := b.Say("before-after/participants/"+address, "sv")
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(s.Value, want), s.Value)
		require.Equal(t, address == "change-before-after", strings.HasPrefix(s.Value, "+"), s.Value)
	}
	// A number that was withheld has none in its words either.
	for _, r := range b.Records() {
		if r.Withheld {
			s, err := b.Say(r.Address, "en")
			require.NoError(t, err)
			require.Equal(t, "..", s.Value)
			require.NotContains(t, s.Sentence+s.Interval, "NaN")
		}
	}
	_, err = b.Say("work-24/att/risk-difference", "de")
	require.ErrorIs(t, err, ErrSpec)
}

// The verdict of an analysis belongs to its main number and to no other.
func TestSayJudgesTheMainNumberAlone(t *testing.T) {
	rec := func(term, measure string, value, lo, hi float64) Record {
		level := 0.95
		return Record{Address: "a/" + term + "/" + measure, Analysis: "a", Kind: "effect", Term: term, Measure: measure, Estimate: &value, ConfLow: &lo, ConfHigh: &hi, ConfLevel: &level}
	}
	b := &Bundle{
		spec: &Spec{Analyses: []Analysis{{Name: "a", Unit: "months", Good: "up", Relevant: 0.5, States: &States{}}}},
		contents: &contents{records: []Record{
			rec("state=work,contrast=treated-control", "restricted-mean-time-difference", 1, 0.8, 1.2),
			rec("net-months", "net-months", 0.1, -0.2, 0.4), rec("loss-months", "loss-months", 2, 1.5, 2.5),
			rec("net-months,order=x", "net-months", 1, 0.8, 1.2),
		}},
	}
	say := func(i int) Statement {
		s, err := b.Say(b.contents.records[i].Address, "en")
		require.NoError(t, err)
		return s
	}
	require.NotContains(t, say(0).Sentence, "better")
	require.Contains(t, say(0).Sentence, "1.0\u00a0months more")
	require.Contains(t, say(1).Sentence, "0.5", "the smallest difference that matters")
	require.Equal(t, "2.0\u00a0months", say(2).Value)
	require.NotContains(t, say(2).Sentence, "more")
	require.Contains(t, say(3).Sentence, "better")
}

func TestOpenBundleSaysWhatIsWrong(t *testing.T) {
	_, err := OpenBundle(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, ErrInput)
	_, err = OpenBundle(t.TempDir())
	require.ErrorIs(t, err, ErrInput)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestFile), []byte("{"), 0o644))
	_, err = OpenBundle(dir)
	require.ErrorIs(t, err, ErrDiffers)
}
