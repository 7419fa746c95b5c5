package study

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each stage leaves what it made, and the store lets the next one skip reading; the
// last stage gives the bundle of a run in one go.
func TestStagesLeaveWhatTheyMade(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the study five times")
	}
	data, dir := register(t, 7), t.TempDir()
	spec := template(t, "both")
	has := map[Stage][]string{
		StageCohort:   {attritionCSV, balanceCSV, specFile, protocolFile, manifestFile},
		StageEstimate: {resultsFile, csvFile},
		StagePlot:     {figuresDir},
		StageReport:   {reportFile},
	}
	for stage := StageIngest; stage <= StageReport; stage++ {
		out := filepath.Join(dir, "out")
		_, err := Run(t.Context(), spec, Options{DataDir: data, OutDir: out, StoreDir: filepath.Join(dir, "store"), Resume: true, Until: stage})
		require.NoError(t, err)
		require.FileExists(t, filepath.Join(dir, "store", storeIndex))
		for from, files := range has {
			for _, f := range files {
				_, err := os.Stat(filepath.Join(out, f))
				require.Equal(t, from <= stage, err == nil, "%v after stage %v", f, stage)
			}
		}
	}
	staged, err := os.ReadFile(filepath.Join(dir, "out", resultsFile))
	require.NoError(t, err)
	require.Equal(t, string(runTo(t, spec, Options{DataDir: data})), string(staged))
}
