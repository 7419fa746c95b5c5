//go:build reference

package ingest

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
	"utfall/table"
)

// Every CSV file of the reference folder is read as Go's own CSV reader and strconv
// read it: the same columns, rows, missing values and bits.
func TestReferenceFiles(t *testing.T) {
	root := reftest.ReferenceDir(t)
	files := 0
	require.NoError(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || filepath.Ext(path) != ".csv" {
			return err
		}
		rel, err := filepath.Rel(root, path)
		require.NoError(t, err)
		files++
		want := reftest.ReadCSV(t, rel)
		r, err := ReadFlat(context.Background(), path, FlatOptions{})
		require.NoError(t, err, rel)
		for name, text := range want {
			if name == "" {
				continue
			}
			require.Equal(t, len(text), r.Table.Rows(), rel)
			c, err := r.Table.Column(name)
			require.NoError(t, err, rel)
			if c.Kind == table.CategoryKind {
				got, _, err := r.Table.Text(name)
				require.NoError(t, err)
				for i, s := range text {
					require.Equal(t, c.Has(i), s != "" && s != "NA", "%s %s", rel, name)
					if c.Has(i) {
						require.Equal(t, s, got[i], "%s %s", rel, name)
					}
				}
				continue
			}
			got, err := r.Table.Float(name)
			require.NoError(t, err)
			numbers := want.Floats(t, name)
			for i, v := range numbers {
				require.Equal(t, !math.IsNaN(v), got.Has(i), "%s %s row %d", rel, name, i+1)
				if got.Has(i) {
					require.Equal(t, v, got.Values[i], "%s %s row %d", rel, name, i+1)
				}
			}
		}
		return nil
	}))
	require.Greater(t, files, 50)
}
