// Package notebooks_test runs every notebook of this folder and compares what it gives
// with the outputs stored in it. After a change of numbers, words or figures,
//
//	go test ./notebooks -update
//
// stores the new ones; read them before they are committed, the prose around them must
// still be true.
package notebooks_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/notebooks/run"
	"utfall/study"
)

var update = flag.Bool("update", false, "store the outputs that the notebooks give")

// The register of `utfall demo` without options, so that a reader who makes the bundle
// sees the numbers that are stored here.
const (
	demoPeople = 50000
	demoSeed   = 1
)

func TestNotebooksGiveTheirStoredOutputs(t *testing.T) {
	paths, err := filepath.Glob("*.ipynb")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	out := t.TempDir()
	demo, err := study.Demo(t.Context(), out, demoPeople, demoSeed, study.Options{})
	require.NoError(t, err)
	root, err := run.Root(".")
	require.NoError(t, err)
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			nb, err := run.Read(path)
			require.NoError(t, err)
			got, err := run.Execute(t.Context(), nb, path, run.Options{Root: root, Env: []string{"UTFALL_BUNDLE=" + demo.Bundle}})
			require.NoError(t, err)
			if *update {
				run.Update(nb, got)
				require.NoError(t, run.Write(path, nb))
				return
			}
			if err := run.Compare(nb, got); err != nil {
				t.Fatalf("%v\nIf the new outputs are right: go test ./notebooks -update", err)
			}
			// The file is as this package writes it, so that an update changes outputs alone.
			stored, err := os.ReadFile(path)
			require.NoError(t, err)
			written, err := nb.Bytes()
			require.NoError(t, err)
			require.Equal(t, string(written), string(stored))
		})
	}
}
