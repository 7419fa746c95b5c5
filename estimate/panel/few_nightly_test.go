//go:build nightly

package panel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The table of METHODS.md#few: size of every method in every design, 2,000 data sets.
func TestFewSizeOfEveryMethod(t *testing.T) {
	const draws = 2000
	cases := fewCases()
	var b strings.Builder
	b.WriteString("| design | chosen | its size |")
	for _, m := range FewMethods() {
		fmt.Fprintf(&b, " %s |", m)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(FewMethods())) + "\n")
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		got := c.rejections(t, draws, 1, FewOptions{Draws: 199, Alternatives: true, onlyTest: true})
		chosen, size := "refused", "–"
		if c.want != "" {
			chosen, size = string(c.want), fmt.Sprintf("%.3f", got["auto"])
			if got["auto"] > 0.05+band {
				t.Errorf("%s: %s rejects in %.4f", name, c.want, got["auto"])
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |", name, chosen, size)
		for _, m := range FewMethods() {
			switch {
			case got[string(m)+"?"] == 0:
				b.WriteString(" – |")
			case got[string(m)+"!"] < 0.5:
				fmt.Fprintf(&b, " (%.3f) |", got[string(m)])
			default:
				fmt.Fprintf(&b, " %.3f |", got[string(m)])
			}
		}
		b.WriteString("\n")
	}
	t.Log("\n" + b.String())
}
