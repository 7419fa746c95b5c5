package plots

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
)

var update = flag.Bool("update", false, "write the golden images anew")

func TestRenderedFormats(t *testing.T) {
	hyphenNumber := regexp.MustCompile(`>[^<]*(^|[ (>])-\d`)
	for _, sm := range samples() {
		f, err := sm.make(lang.SV)
		require.NoError(t, err, sm.name)
		r, err := f.Render(context.Background())
		require.NoError(t, err, sm.name)

		cfg, err := png.DecodeConfig(bytes.NewReader(r.PNG))
		require.NoError(t, err, sm.name)
		require.InDelta(t, f.scene.w*dotsPerInch/72, cfg.Width, 1, sm.name)
		require.True(t, bytes.Contains(r.PNG[:64], []byte("pHYs\x00\x00\x1e\xc2\x00\x00\x1e\xc2\x01")), "200 dots per inch are 7874 per metre")

		dec := xml.NewDecoder(bytes.NewReader(r.SVG))
		var words strings.Builder
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, sm.name)
			if chars, ok := token.(xml.CharData); ok {
				words.Write(chars)
			}
		}
		svg := string(r.SVG)
		require.NotContains(t, svg, "NaN")
		require.NotRegexp(t, hyphenNumber, svg, "a minus sign is U+2212")
		require.Contains(t, svg, fontFamily)
		require.Contains(t, svg, `aria-label="`+escape(r.Alt)+`"`)
		require.Contains(t, words.String(), "Källa: simulerat register", "text is text")
		require.NotContains(t, strings.ReplaceAll(svg, "http://www.w3.org/2000/svg", ""), "http")

		require.True(t, bytes.HasPrefix(r.PDF, []byte("%PDF-")), sm.name)
		require.True(t, bytes.Contains(r.PDF, []byte("D:20000101000000")), sm.name)
		require.NotContains(t, r.Alt, "[[", sm.name)
		require.Equal(t, 1, strings.Count(strings.TrimSpace(r.Alt), "\n")+1)

		rows, err := csv.NewReader(bytes.NewReader(r.CSV)).ReadAll()
		require.NoError(t, err, sm.name)
		require.Greater(t, len(rows), 1, sm.name)
		require.NotContains(t, string(r.CSV), "NaN", sm.name)
	}
}

func TestSwedishHasDecimalCommaEnglishPoint(t *testing.T) {
	for l, want := range map[lang.Lang]string{lang.SV: ">0,1<", lang.EN: ">0.1<"} {
		f, err := sampleLove(l, 8)
		require.NoError(t, err)
		require.Contains(t, string(paintSVG(f.scene, f.alt, l)), want)
	}
}

// The bytes depend on the input alone: two figures made anew are the same, and so is
// the same one rendered twice.
func TestRenderIsDeterministic(t *testing.T) {
	for _, sm := range []string{"love-few", "event-months", "states-thirteen", "attrition", "trend-naive"} {
		var first Rendered
		for i := range 2 {
			for _, s := range samples() {
				if s.name != sm {
					continue
				}
				f, err := s.make(lang.SV)
				require.NoError(t, err)
				for range 2 - i {
					r, err := f.Render(context.Background())
					require.NoError(t, err)
					if first.PNG == nil {
						first = r
					}
					require.True(t, bytes.Equal(first.PNG, r.PNG), "%s png", sm)
					require.True(t, bytes.Equal(first.SVG, r.SVG), "%s svg", sm)
					require.True(t, bytes.Equal(first.PDF, r.PDF), "%s pdf", sm)
					require.True(t, bytes.Equal(first.CSV, r.CSV), "%s csv", sm)
					require.Equal(t, first.Alt, r.Alt)
				}
			}
		}
	}
}

// Figures are made and rendered side by side in a study.
func TestRenderInParallel(t *testing.T) {
	f, err := sampleLove(lang.SV, 8)
	require.NoError(t, err)
	want, err := f.Render(context.Background())
	require.NoError(t, err)
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			g, err := sampleLove(lang.SV, 8)
			require.NoError(t, err)
			got, err := g.Render(context.Background())
			require.NoError(t, err)
			require.True(t, bytes.Equal(want.PDF, got.PDF) && bytes.Equal(want.PNG, got.PNG))
			_, err = f.Render(context.Background())
			require.NoError(t, err)
		})
	}
}

func TestRenderStopsWhenAsked(t *testing.T) {
	f, err := sampleLove(lang.SV, 3)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = f.Render(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "Love plot")
	_, err = Figure{}.Render(context.Background())
	require.ErrorIs(t, err, ErrEmpty)
}

func TestMarkupInLabelsStaysText(t *testing.T) {
	f, err := Trend(TrendData{Series: []Series{{Name: `<script>alert("x")</script>&`, X: []float64{0, 1}, Y: []float64{1, 2}}}}, nil,
		Style{Lang: lang.EN, Title: `" onload="x`})
	require.NoError(t, err)
	svg := string(paintSVG(f.scene, f.alt, lang.EN))
	require.NotContains(t, svg, "<script")
	require.NotContains(t, svg, `" onload`)
}

// Golden images at a low resolution: they catch a figure that looks different, not a
// different rounding of a coordinate.
func TestGoldenImages(t *testing.T) {
	const dpi = 60
	for _, sm := range samples() {
		if sm.name == "love-many" || sm.name == "states-four" || sm.name == "event-months" || sm.name == "trend-difference" {
			continue
		}
		f, err := sm.make(lang.SV)
		require.NoError(t, err)
		got, err := paintPNG(f.scene, dpi)
		require.NoError(t, err)
		path := filepath.Join("testdata", "golden", sm.name+".png")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, got, 0o644))
			continue
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err, "make it with go test ./plots -update and look at it")
		share, err := differentShare(want, got)
		require.NoError(t, err, sm.name)
		require.LessOrEqual(t, share, 0.0005, "%s: share of pixels that differ visibly", sm.name)
	}
}

// differentShare is the share of pixels of which a channel differs by more than 1/16.
func differentShare(a, b []byte) (float64, error) {
	x, err := png.Decode(bytes.NewReader(a))
	if err != nil {
		return 0, err
	}
	y, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	if x.Bounds() != y.Bounds() {
		return 1, nil
	}
	different := 0
	far := func(p, q uint8) bool { return math.Abs(float64(p)-float64(q)) > 16 }
	at := func(m image.Image, i, j int) color.NRGBA {
		return color.NRGBAModel.Convert(m.At(i, j)).(color.NRGBA)
	}
	r := x.Bounds()
	for j := r.Min.Y; j < r.Max.Y; j++ {
		for i := r.Min.X; i < r.Max.X; i++ {
			p, q := at(x, i, j), at(y, i, j)
			if far(p.R, q.R) || far(p.G, q.G) || far(p.B, q.B) {
				different++
			}
		}
	}
	return float64(different) / float64(r.Dx()*r.Dy()), nil
}
