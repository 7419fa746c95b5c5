package plots

import (
	"strings"
	"sync"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
)

// The faces are the package's own, so that no other code in the program can change
// the font of a figure.
var fonts = sync.OnceValue(func() *font.Cache { return font.NewCache(liberation.Collection()) })

func face(size float64, bold bool) font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return fonts().Lookup(f, vg.Length(size))
}

func textWidth(s string, size float64, bold bool) float64 {
	f := face(size, bold)
	return f.Width(s).Points()
}

// wrap breaks a cleaned text into lines of at most the given width: between words,
// and inside a word that is wider than a line (long Swedish compounds), with a hyphen.
func wrap(s string, size float64, bold bool, width float64) []string {
	var lines []string
	line := ""
	fits := func(s string) bool { return textWidth(s, size, bold) <= width }
	for _, word := range strings.FieldsFunc(clean(s), func(r rune) bool { return r == ' ' }) {
		joined := word
		if line != "" {
			joined = line + " " + word
		}
		if fits(joined) {
			line = joined
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for !fits(word) {
			runes := []rune(word)
			n := len(runes) - 1
			for n > 1 && !fits(string(runes[:n])+"-") {
				n--
			}
			if n < 1 {
				break
			}
			lines = append(lines, string(runes[:n])+"-")
			word = string(runes[n:])
		}
		line = word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
