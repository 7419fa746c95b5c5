package plots

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
)

var gallery = flag.String("gallery", "", "folder to write every sample figure to, for looking at")

func TestGallery(t *testing.T) {
	if *gallery == "" {
		return // there is nothing to check: the flag is for a reader's eyes
	}
	for _, sm := range append(samples(), edgeSamples()...) {
		for _, l := range lang.All() {
			f, err := sm.make(l)
			require.NoError(t, err, sm.name)
			r, err := f.Render(context.Background())
			require.NoError(t, err, sm.name)
			t.Log(r.Alt)
			for ext, b := range map[string][]byte{"png": r.PNG, "svg": r.SVG, "pdf": r.PDF, "csv": r.CSV} {
				require.NoError(t, os.WriteFile(filepath.Join(*gallery, sm.name+"-"+string(l)+"."+ext), b, 0o644))
			}
		}
	}
}
