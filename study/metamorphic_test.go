package study

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of the relations M16 to M23 between files and results, M16 to M20 are in package cohort
// (M16 also in TestOutcomesDecideNothing), M20 and M21 of single files in package ingest,
// M1 and M22 of a whole study in TestResultsDependOnTheDataAlone.

// elsewhere is the variable that makes TestM23 the child process; it holds the folder of
// the data, and the child writes its bundle beside it.
const elsewhere = "UTFALL_TEST_ELSEWHERE"

// Time zone, language, home, user, host and working folder are none of a study's business.
func TestM23SameResultsElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a study twice")
	}
	run := func(data, out string) {
		_, err := Run(t.Context(), template(t, "both"), Options{DataDir: data, OutDir: out})
		require.NoError(t, err)
	}
	if data := os.Getenv(elsewhere); data != "" {
		run(data, filepath.Join(filepath.Dir(data), "elsewhere"))
		return
	}
	data := register(t, 7)
	here, there := filepath.Join(filepath.Dir(data), "here"), filepath.Join(filepath.Dir(data), "elsewhere")
	run(data, here)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestM23SameResultsElsewhere$")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{elsewhere + "=" + data, "TZ=Pacific/Chatham", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "HOME=" + cmd.Dir,
		"USER=someone", "HOSTNAME=somewhere", "TMPDIR=" + t.TempDir(), "GOMAXPROCS=1"}
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	for _, name := range []string{resultsFile, csvFile, attritionCSV, balanceCSV, specFile, reportFile, manifestFile} {
		a, err := os.ReadFile(filepath.Join(here, name))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(there, name))
		require.NoError(t, err)
		require.True(t, string(a) == string(b), "%s differs elsewhere", name)
	}
}
