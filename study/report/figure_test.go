package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDrawSVG(t *testing.T) {
	d, err := draw(Figure{SVG: []byte(`<?xml version="1.0"?><!-- c --><svg xmlns="http://www.w3.org/2000/svg" width="16cm" height="9cm" viewBox="0 0 1 1"><text x="1" y="2">a &lt; b</text></svg>`), Alt: "a"})
	require.NoError(t, err)
	require.Equal(t, `<svg viewBox="0 0 1 1"><text x="1" y="2">a &lt; b</text></svg>`, string(d.Markup))
}

// What is not a plain drawing is refused as a whole: a part left out would be a
// figure of something else.
func TestDrawRefuses(t *testing.T) {
	for _, inner := range []string{
		`<script>1</script>`, `<foreignObject/>`, `<image href="x"/>`, `<use href="#a"/>`, `<style>a{}</style>`, `<a href="x"/>`, `<svg/>`, `<animate/>`,
		`<path onclick="x"/>`, `<path style="fill:red"/>`, `<path fill="url(#a)"/>`, `<path fill="URL (#a)"/>`, `<path id="a"/>`, `<path href="x"/>`, `<path`, `</path>`,
		`<text font-family="javascript:x"/>`,
	} {
		_, err := draw(Figure{SVG: []byte(`<svg viewBox="0 0 1 1">` + inner + `</svg>`), Alt: "a"})
		require.ErrorIs(t, err, ErrFigure, inner)
	}
	for _, f := range []Figure{
		{SVG: []byte("<svg/>")}, {Alt: "a"}, {SVG: []byte("<svg/>"), PNG: []byte("x"), Alt: "a"},
		{PNG: []byte("GIF89a"), Alt: "a"}, {SVG: []byte("<g/>"), Alt: "a"}, {SVG: []byte(" "), Alt: "a"},
	} {
		_, err := draw(f)
		require.ErrorIs(t, err, ErrFigure)
	}
}

func TestDrawPNG(t *testing.T) {
	d, err := draw(Figure{PNG: []byte("\x89PNG\r\n\x1a\nx"), Alt: "a"})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(d.Image), "data:image/png;base64,"))
}
