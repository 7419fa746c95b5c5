package study

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInitWritesTheStudyAndItsLadder(t *testing.T) {
	for _, tpl := range templates {
		dir := filepath.Join(t.TempDir(), "new")
		said, err := Init(dir, tpl.name)
		require.NoError(t, err)
		require.Contains(t, said[len(said)-2], tpl.wants)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		if tpl.ladder {
			require.Len(t, entries, 2, tpl.name)
		} else {
			require.Len(t, entries, 1, tpl.name)
		}
		_, err = Init(dir, tpl.name)
		require.ErrorIs(t, err, ErrSpec, "a study file is never overwritten")
	}
	_, err := Init(t.TempDir(), "progres")
	require.ErrorIs(t, err, ErrTemplate)
}

func TestInitKeepsALadderThatWasDecided(t *testing.T) {
	dir := t.TempDir()
	own := []byte("name: ours\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ladder.yaml"), own, 0o644))
	said, err := Init(dir, "progress")
	require.NoError(t, err)
	require.Contains(t, said[1], "left as it is")
	kept, err := os.ReadFile(filepath.Join(dir, "ladder.yaml"))
	require.NoError(t, err)
	require.Equal(t, own, kept)
}

// The files that Init writes for progress answer all three questions on a register, as they are.
func TestProgressTemplateRuns(t *testing.T) {
	dir := t.TempDir()
	_, err := Init(dir, "progress")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "study.yaml"))
	require.NoError(t, err)
	spec, err := Parse("study.yaml", bytes.NewReader(text))
	require.NoError(t, err)
	data := progressData(t)
	for _, name := range []string{"people.csv", "spells.csv", "participations.csv", "assessments.csv"} {
		require.NoError(t, os.Link(filepath.Join(data, name), filepath.Join(dir, name)))
	}
	r := map[string]Record{}
	for line := range bytes.Lines(runTo(t, spec, Options{DataDir: dir})) {
		var one Record
		require.NoError(t, json.Unmarshal(line, &one))
		r[one.Address] = one
	}
	// In a register as small as this the forecast may be too bold or too timid to be shown: then it says so.
	forecast := r["progress/forecast/risk-difference"]
	require.NotEmpty(t, forecast.Notes)
	require.True(t, forecast.Estimate != nil || forecast.Kind == "refused" && forecast.Notes[0].Code == "gate-slope")
	for _, address := range []string{"progress/net-months/net-months", "progress/life/net-improved", "before-after/participants/change-before-after"} {
		require.NotNil(t, r[address].Estimate, address)
	}
	require.Positive(t, *r["progress/net-months/net-months"].StdError)
}
