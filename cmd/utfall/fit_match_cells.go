package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"utfall/cohort"
	"utfall/table"
)

// fitCells are the flags of matching in cells and subclasses.
type fitCells struct {
	f          *flagSet
	subclasses int
	cutpoints  []string
	pairWithin bool
}

func (c *fitCells) flags(f *flagSet) {
	c.f = f
	f.whole(&c.subclasses, "subclasses", 6, "of --method subclass: how many")
	f.list(&c.cutpoints, "cutpoints", "of --method cem: `column=1:2:3` cut points, column=q4 between quartiles, column=n4 bins of one width (default: Sturges' bins)")
	f.yes(&c.pairWithin, "pair-within", false, "of --method cem and cardinality: pairs inside the cells, or of the units kept")
}

// spec reads the flags into s.
func (c *fitCells) spec(s *cohort.MatchSpec) (problems []string) {
	s.PairWithin = c.pairWithin
	if c.f.given("subclasses") {
		s.Subclasses = c.subclasses
		if c.subclasses < 2 {
			problems = append(problems, "--subclasses must be at least 2")
			s.Subclasses = 0
		}
	}
	for _, text := range c.cutpoints {
		name, value, _ := cutLast(text)
		bins, ok := parseCuts(value)
		_, twice := s.Bins[name]
		switch {
		case name == "" || !ok:
			problems = append(problems, fmt.Sprintf("--cutpoints: %q is not COLUMN=1:2:3, COLUMN=q4 or COLUMN=n4", text))
		case twice:
			problems = append(problems, fmt.Sprintf("--cutpoints names %q twice", name))
		default:
			if s.Bins == nil {
				s.Bins = map[string]cohort.Coarsening{}
			}
			s.Bins[name] = bins
		}
	}
	return problems
}

// cutLast divides a term at its last equals sign, as a column's name may have one.
func cutLast(s string) (before, after string, found bool) {
	at := strings.LastIndex(s, "=")
	if at < 0 {
		return "", s, false
	}
	return s[:at], s[at+1:], true
}

func parseCuts(s string) (cohort.Coarsening, bool) {
	var c cohort.Coarsening
	if len(s) > 1 && (s[0] == 'q' || s[0] == 'n') {
		k, err := strconv.Atoi(s[1:])
		if s[0] == 'q' {
			c.Quantiles = k
		} else {
			c.Width = k
		}
		return c, err == nil && k >= 2
	}
	for _, v := range strings.Split(s, ":") {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || !finite(x) {
			return c, false
		}
		c.Cuts = append(c.Cuts, x)
	}
	return c, true
}

// ofCells reports whether the method sorts units into cells or subclasses.
func (m *fitMatch) ofCells() bool {
	return slices.Contains([]string{cohort.ExactMethod, cohort.CEMMethod, cohort.SubclassMethod, cohort.CardinalityMethod}, m.method)
}

// matchUses are the flags that a matching method uses of those that not every one does.
func matchUses(method string) (uses, all []string) {
	seen := map[string]bool{}
	for _, m := range cohort.MatchMethods() {
		for _, name := range cohort.Uses(m) {
			if !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	all = append(all, "score")
	if uses = cohort.Uses(method); uses == nil {
		return all, all // the method itself is the problem
	}
	if slices.Contains(uses, "distance") {
		uses = append(uses, "score")
	}
	return uses, all
}

// unused lists the flags that are given and that the method does not use, and takes
// them out of s, so that each is named once.
func (m *fitMatch) unused(s *cohort.MatchSpec) (problems []string) {
	uses, all := matchUses(m.method)
	for _, name := range all {
		if !m.f.given(name) || slices.Contains(uses, name) {
			continue
		}
		problems = append(problems, fmt.Sprintf("--method %s does not use --%s", m.method, name))
		switch name {
		case "distance":
			s.Distance = ""
		case "ratio":
			s.Ratio = 0
		case "replace":
			s.Replace = false
		case "caliper":
			s.Caliper = nil
		case "caliper-raw":
			s.CaliperRaw = nil
		case "caliper-on":
			s.CaliperOn = nil
		case "caliper-score":
			s.CaliperScore = nil
		case "exact":
			s.Exact = nil
		case "order":
			s.Order = ""
		case "ties":
			s.Ties = ""
		case "seed":
			s.Seed = 0
		case "min-controls":
			s.MinControls = 0
		case "max-controls":
			s.MaxControls = 0
		case "subclasses":
			s.Subclasses = 0
		case "cutpoints":
			s.Bins = nil
		case "pair-within":
			s.PairWithin = false
		case "tolerance":
			s.Tolerance = nil
		case "tolerance-on":
			s.ToleranceOn = nil
		}
	}
	return problems
}

func (m *fitMatch) checkCells() (problems []string) {
	if len(m.covariates) == 0 {
		problems = append(problems, "--covariates is needed")
	}
	if m.method == cohort.CardinalityMethod && m.ratio == 0 {
		problems = append(problems, "--ratio must be at least 1")
	}
	for _, text := range m.flow.toleranceOn {
		if name, _, ok := cutLast(text); ok && m.method == cohort.CardinalityMethod && !slices.Contains(m.covariates, name) {
			problems = append(problems, fmt.Sprintf("--tolerance-on names %q, which is not among the covariates", name))
		}
	}
	if m.method == cohort.CEMMethod && m.f.given("seed") && !m.cells.pairWithin {
		problems = append(problems, "--seed is not used without --pair-within")
	}
	if m.score != "" && m.distance != "" && m.method == cohort.SubclassMethod {
		problems = append(problems, "--score is the distance itself; leave --distance "+m.distance+" out")
	}
	if m.f.given("seed") && m.ties == cohort.DataTies && m.method == cohort.SubclassMethod {
		problems = append(problems, "--seed is not used with --ties data")
	}
	for _, text := range m.cells.cutpoints {
		if name, _, ok := cutLast(text); ok && m.method == cohort.CEMMethod && !slices.Contains(m.covariates, name) {
			problems = append(problems, fmt.Sprintf("--cutpoints names %q, which is not among the covariates", name))
		}
	}
	return slices.Compact(problems)
}

// cellsOutput changes what is said of pairs to what holds of cells and subclasses.
func cellsOutput(got *cohort.Matched, out *fitOutput) {
	if got.Cuts != nil {
		out.details["cutpoints"] = got.Cuts
	}
	if got.Pairs != nil {
		return
	}
	for _, k := range []string{"pairs", "pair_distance", "sum_distance"} {
		delete(out.details, k)
	}
	counts := out.details["counts"].(map[string]any)
	for _, k := range []string{"pairs", "exact_groups", "incomplete_sets", "max_reuse"} {
		delete(counts, k)
	}
	counts["cells"] = got.Counts.Blocks
	if got.Score != nil {
		counts["moved"] = got.Moved
	}
	out.notes = append(out.notes, table.Note{Code: "no-pairs", Text: "Sets have several units of both groups, so that there are no pairs whose distance could be measured (pair_distance_after is null)."})
}
