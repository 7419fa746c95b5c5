package study

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/ingest/synthetic"
)

// people in the register of these tests: enough that no covariate separates the groups.
const people = 15000

func register(t *testing.T, seed uint64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := synthetic.Write(t.Context(), dir, synthetic.Options{People: people, Seed: seed}, nil)
	require.NoError(t, err)
	return dir
}

func template(t *testing.T, name string, edits ...string) *Spec {
	t.Helper()
	b, err := Template(name)
	require.NoError(t, err)
	text := string(b)
	for i := 0; i < len(edits); i += 2 {
		require.Contains(t, text, edits[i])
		text = strings.ReplaceAll(text, edits[i], edits[i+1])
	}
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	return spec
}

func runTo(t *testing.T, spec *Spec, o Options) []byte {
	t.Helper()
	o.OutDir = filepath.Join(t.TempDir(), "bundle")
	_, err := Run(t.Context(), spec, o)
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(o.OutDir, resultsFile))
	require.NoError(t, err)
	return b
}

// shuffled copies a folder of CSV files with the data rows in another order.
func shuffled(t *testing.T, dir string) string {
	t.Helper()
	out := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		if strings.HasSuffix(f.Name(), ".csv") {
			lines := bytes.SplitAfter(b, []byte("\n"))
			if len(lines[len(lines)-1]) == 0 {
				lines = lines[:len(lines)-1]
			}
			rows := lines[1:]
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			b = bytes.Join(lines, nil)
		}
		require.NoError(t, os.WriteFile(filepath.Join(out, f.Name()), b, 0o644))
	}
	return out
}

// Neither the number of workers, nor the order of the rows, nor the language of the
// report changes a byte of the results.
func TestResultsDependOnTheDataAlone(t *testing.T) {
	data := register(t, 7)
	spec := template(t, "both")
	want := runTo(t, spec, Options{DataDir: data, Workers: 1})
	require.Greater(t, bytes.Count(want, []byte("\n")), 100)
	require.True(t, bytes.Equal(want, runTo(t, spec, Options{DataDir: data, Workers: 8, Lang: "en"})), "workers or language changed a result")
	require.True(t, bytes.Equal(want, runTo(t, spec, Options{DataDir: shuffled(t, data), Workers: 3})), "row order changed a result")
}

func TestVerifyNamesWhatChanged(t *testing.T) {
	data := register(t, 7)
	out := filepath.Join(t.TempDir(), "bundle")
	_, err := Run(t.Context(), template(t, "both"), Options{DataDir: data, OutDir: out})
	require.NoError(t, err)

	v, err := Verify(t.Context(), out, data, Options{})
	require.NoError(t, err)
	require.NoError(t, v.Err())
	require.Len(t, v.Levels, 8)

	// One digit of one number.
	path := filepath.Join(out, resultsFile)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.SplitAfter(string(b), "\n")
	for i, l := range lines {
		if strings.Contains(l, `"address":"work-24/att/risk-difference"`) {
			at := strings.Index(l, `"estimate":`) + len(`"estimate":0.0`)
			digit := byte('1')
			if l[at] == '1' {
				digit = '2'
			}
			lines[i] = l[:at] + string(digit) + l[at+1:]
		}
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644))
	v, err = Verify(t.Context(), out, "", Options{})
	require.NoError(t, err)
	require.ErrorIs(t, v.Err(), ErrDiffers)
	require.ErrorContains(t, v.Err(), "work-24/att/risk-difference")
	require.ErrorContains(t, v.Err(), "estimate")
	require.ErrorContains(t, v.Err(), "results.jsonl: its content has changed")

	// A zipped bundle verifies like the folder; other data are named.
	require.NoError(t, os.WriteFile(path, b, 0o644))
	archive := filepath.Join(t.TempDir(), "bundle.zip")
	f, err := os.Create(archive)
	require.NoError(t, err)
	require.NoError(t, Zip(f, out))
	require.NoError(t, f.Close())
	v, err = Verify(t.Context(), archive, "", Options{})
	require.NoError(t, err)
	require.NoError(t, v.Err())

	other := register(t, 8)
	v, err = Verify(t.Context(), out, other, Options{})
	require.NoError(t, err)
	require.ErrorContains(t, v.Err(), "data people")
}

func TestDiffSaysSameWithinDiffers(t *testing.T) {
	x, y := 1.0, 1.0+1e-12
	z := 1.1
	rec := func(v *float64) Record { return Record{Address: "a/b/c", Estimate: v} }
	for _, c := range []struct {
		a, b *float64
		want Verdict
	}{{&x, &x, Same}, {&x, &y, Within}, {&x, &z, Differs}, {&x, nil, Differs}, {nil, nil, Same}} {
		got := compare([]Record{rec(c.a)}, []Record{rec(c.b)})
		require.Equal(t, c.want, got[0].Verdict)
	}
	got := compare([]Record{rec(&x)}, []Record{{Address: "a/b/d"}})
	require.Equal(t, []Verdict{OnlyInA, OnlyInB}, []Verdict{got[0].Verdict, got[1].Verdict})
}

// An interrupted run leaves neither a bundle nor the folder it was made in.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	data := register(t, 7)
	for _, stage := range []string{"ingest", "cohort", "estimate", "plot", "report"} {
		parent := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Run(ctx, template(t, "both"), Options{DataDir: data, OutDir: filepath.Join(parent, "bundle"), Progress: func(p Progress) {
			if p.Stage == stage {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled, stage)
		left, err := os.ReadDir(parent)
		require.NoError(t, err)
		require.Empty(t, left, stage)
	}
}

func TestOtherFoldersAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.docx"), []byte("x"), 0o644))
	require.ErrorIs(t, replaceable(dir, "finsam"), ErrResource)
	require.NoError(t, replaceable(filepath.Join(dir, "new"), "finsam"))
}

func TestExplainSaysWhereANumberCameFrom(t *testing.T) {
	data := register(t, 7)
	out := filepath.Join(t.TempDir(), "bundle")
	_, err := Run(t.Context(), template(t, "both"), Options{DataDir: data, OutDir: out})
	require.NoError(t, err)
	text, err := Explain(out, "work-24/att/risk-difference")
	require.NoError(t, err)
	for _, want := range []string{"study.resolved.yaml:", "people.csv", "working-age", "coefficient of treatment", "Abadie and Spiess"} {
		require.Contains(t, text, want)
	}
	_, err = Explain(out, "work-24/atx/risk-difference")
	require.ErrorContains(t, err, "work-24/att/risk-difference")
}
