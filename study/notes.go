package study

import "utfall/table"

// releaseNotes releases caveats: counts in them go through disclosure control, and a
// caveat that is there twice is said once.
func (s *state) releaseNotes(notes []table.Note) []table.Note {
	out := []table.Note{}
	seen := map[string]bool{}
	for _, n := range notes {
		n = s.policy.Note(withoutFlowCounts(n))
		if key := n.Code + "\x00" + n.Text; !seen[key] {
			seen[key] = true
			out = append(out, n)
		}
	}
	return out
}

// withoutFlowCounts takes the counts out of caveats whose counts differ by a few
// people from others that are shown: the attrition table has them, released.
func withoutFlowCounts(n table.Note) table.Note {
	switch n.Code {
	case "estimand-changed":
		return table.Note{Code: "estimand-matched", Text: "Some participants found no comparison person near enough; the effect is that on the matched. The attrition table counts those left out."}
	case "caliper-bound":
		return table.Note{Code: "caliper-refused", Text: "The caliper refused the nearest comparison person for some participants."}
	case "matched-with-self":
		return table.Note{Code: "matched-with-self", Text: "Some participants were matched with their own earlier time as comparison person; these sets were left out."}
	}
	return n
}
