package release

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"utfall/table"
)

// countArgs are the note arguments that count people or their rows; other whole
// numbers (a period, a state's order, a number of estimates) are no cells.
func countArgs() []string {
	return []string{"n", "people", "persons", "participants", "treated", "control", "controls", "units", "rows", "sets", "pairs", "dropped", "entering", "events", "matched", "all", "partners", "attempts", "bound", "count", "blocks"}
}

// Note releases a caveat: its counts go through [Policy.Count], in the arguments and
// in the English text, where a withheld one is "..". A count of 0 stays. Columns are named
// without their levels, which may be found in the data. Other arguments are left as they are.
func (p Policy) Note(n table.Note) table.Note {
	out := table.Note{Code: n.Code, Text: n.Text}
	if n.Args == nil {
		return out
	}
	out.Args = make(map[string]any, len(n.Args))
	for k, v := range n.Args {
		out.Args[k] = v
	}
	if columns, ok := n.Args["columns"].([]string); ok {
		plain := withoutLevels(columns)
		out.Args["columns"] = plain
		out.Text = strings.ReplaceAll(out.Text, strings.Join(columns, ", "), strings.Join(plain, ", "))
	}
	var pairs []string
	if share, ok := n.Args["share"].(float64); ok && share >= 0 && share <= 1 {
		// A share to a tenth of a percent gives back the counts that were rounded.
		out.Args["share"] = math.Round(100*share) / 100
		pairs = append(pairs, fmt.Sprintf("%.1f", 100*share), fmt.Sprintf("%.0f", 100*share))
	}
	for _, name := range countArgs() {
		if _, columns := n.Args["columns"]; columns || n.Code == "collinear-covariate" {
			break // a number of columns
		}
		count, ok := whole(n.Args[name])
		if !ok || count <= 0 {
			continue
		}
		c := p.Count(count)
		if v, ok := c.Int(); ok {
			out.Args[name] = v
		} else {
			out.Args[name] = c.String()
		}
		pairs = append(pairs, fmt.Sprint(count), c.String())
	}
	if largest, ok := n.Args["largest"].(float64); ok && n.Args["persons"] != nil {
		// The largest weight of those who stand in for the lost is n/(n − lost) where it is largest.
		if out.Args["largest"] = math.Round(10*largest) / 10; out.Args["persons"] == (Count{}).String() {
			out.Args["largest"] = (Count{}).String()
		}
	}
	if len(pairs) > 0 {
		r := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			r[pairs[i]] = pairs[i+1]
		}
		out.Text = numeral.ReplaceAllStringFunc(out.Text, func(s string) string {
			if to, ok := r[strings.TrimRight(s, ".,")]; ok {
				return to + s[len(strings.TrimRight(s, ".,")):]
			}
			return s
		})
	}
	return out
}

// withoutLevels turns column[level] into column, each once.
func withoutLevels(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if from, to := strings.Index(name, "["), strings.LastIndex(name, "]"); from > 0 && to > from {
			name = name[:from] + name[to+1:]
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

var numeral = regexp.MustCompile(`[0-9][0-9.,]*`)

func whole(v any) (int, bool) {
	switch n := v.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case float64: // from a results file
		return int(n), n == math.Trunc(n) && math.Abs(n) < 1e15
	}
	return 0, false
}
