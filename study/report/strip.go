package report

import (
	"fmt"
	"html"
	"html/template"
	"math"

	"utfall/internal/lang"
)

// strip draws the interval of a key result on a line with "no difference" marked and
// the differences too small to matter shaded. The words beside it say the same, so
// that a screen reader passes it by.
func strip(l lang.Lang, f Finding) template.HTML {
	ci, v := f.Estimate.Number.CI, f.Estimate.Number.Value
	for _, x := range []float64{ci.Lo, ci.Hi, v} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return ""
		}
	}
	lo, hi := min(ci.Lo, v, 0, -f.Relevance), max(ci.Hi, v, 0, f.Relevance)
	if lo == hi {
		return ""
	}
	const width, edge = 300.0, 14.0
	at := func(x float64) float64 {
		return math.Round(10*(edge+(width-2*edge)*(x-lo)/(hi-lo))) / 10
	}
	s := fmt.Sprintf(`<svg viewBox="0 0 %g 44" class="strip" aria-hidden="true">`, width)
	if f.Relevance > 0 {
		s += fmt.Sprintf(`<rect x="%g" y="4" width="%g" height="20" fill="#E4E4E4"/>`, at(-f.Relevance), at(f.Relevance)-at(-f.Relevance))
	}
	s += fmt.Sprintf(`<line x1="%g" y1="14" x2="%g" y2="14" stroke="#8A8A8A" stroke-width="1"/>`, edge/2, width-edge/2)
	s += fmt.Sprintf(`<line x1="%g" y1="2" x2="%g" y2="26" stroke="#1A1A1A" stroke-width="1.5" stroke-dasharray="3 2"/>`, at(0), at(0))
	s += fmt.Sprintf(`<line x1="%g" y1="14" x2="%g" y2="14" stroke="#00415F" stroke-width="6"/>`, at(ci.Lo), at(ci.Hi))
	s += fmt.Sprintf(`<circle cx="%g" cy="14" r="6" fill="#00415F" stroke="#FFFFFF" stroke-width="1.5"/>`, at(v))
	// The words stay inside the drawing at both ends.
	anchor := "middle"
	if at(0) < 60 {
		anchor = "start"
	} else if at(0) > width-60 {
		anchor = "end"
	}
	x := at(0)
	if anchor != "middle" {
		x = math.Min(math.Max(x, 4), width-4)
	}
	s += fmt.Sprintf(`<text x="%g" y="40" font-size="12" fill="#444444" text-anchor="%s">%s</text></svg>`, x, anchor, html.EscapeString(l.Text("report.strip-zero")))
	return template.HTML(s)
}
