package study

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/study/release"
)

// mixture is what a number is a weighted sum of, by part.
type mixture map[string]float64

// mixtures say of the numbers of an analysis what they are sums of, so that none that
// is withheld follows from those that are shown.
type mixtures struct {
	of   map[string]mixture // by term
	size map[string]int     // of each part, the units of the group that it is of
}

func newMixtures() *mixtures { return &mixtures{map[string]mixture{}, map[string]int{}} }

// complement withholds more numbers until no weighted sum of those shown is about parts
// of groups below the threshold alone. The first total stays longest, then the numbers
// with the largest basis; further totals go first. It may withhold more than it must:
// small groups are guarded together, even if they reach the threshold so.
func (s *state) complement(r *analysisResult, released []release.Estimate, keep func([]release.Withheld)) {
	if r.mixed == nil {
		return
	}
	small, columns := map[string]bool{}, map[string]int{}
	var order []int
	for i, n := range r.numbers {
		of, ok := r.mixed.of[n.term]
		if !ok || !released[i].Shown || n.e.Measure != estimate.MeanDifference || n.basis.Published {
			continue
		}
		order = append(order, i)
		for part := range of {
			columns[part] = 0
			if r.mixed.size[part] < s.policy.Threshold() {
				small[part] = true
			}
		}
	}
	if len(small) == 0 {
		return
	}
	total := func(i int) int { // 0 the first total, 1 a member, 2 another total
		if r.numbers[i].term == "naive" {
			return 2
		}
		if !strings.HasSuffix(r.numbers[i].term, panel.Overall) {
			return 1
		}
		for j := range i {
			if _, ok := r.mixed.of[r.numbers[j].term]; ok && strings.HasSuffix(r.numbers[j].term, panel.Overall) {
				return 2
			}
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := r.numbers[a].basis, r.numbers[b].basis
		return cmp.Or(cmp.Compare(total(a), total(b)), -cmp.Compare(x.Treated, y.Treated), cmp.Compare(a, b))
	})
	names := sortedKeys(columns)
	slices.SortStableFunc(names, func(a, b string) int { // guarded parts last
		return cmp.Compare(indicator(small[a]), indicator(small[b]))
	})
	guarded := 0
	for k, name := range names {
		columns[name] = k
		guarded += int(indicator(small[name]))
	}
	known := &span{open: len(names) - guarded}
	for _, i := range order {
		row := make([]float64, len(names))
		for part, w := range r.mixed.of[r.numbers[i].term] {
			row[columns[part]] = w
		}
		if known.add(row) {
			continue
		}
		n := &r.numbers[i]
		hidden := estimate.Estimate{Term: n.e.Term, Measure: n.e.Measure, Value: math.NaN(), SE: math.NaN()}
		hidden.CI, hidden.Test = noInterval()
		released[i] = release.Estimate{Number: hidden, Why: release.Complementary, Single: n.basis.Single}
		keep([]release.Withheld{{Place: r.spec.Name + "/" + n.term, Why: release.Complementary, Cells: 1}})
	}
}

// span is what follows from the numbers shown so far, in echelon form.
type span struct {
	open   int // columns that are not guarded come first
	rows   [][]float64
	pivots []int
}

// add takes a number in, unless something about guarded parts alone would follow.
func (k *span) add(v []float64) bool {
	largest := 0.0
	for _, x := range v {
		largest = max(largest, math.Abs(x))
	}
	for i, row := range k.rows {
		if f := v[k.pivots[i]]; f != 0 {
			for j := range v {
				v[j] -= float64(f * row[j])
			}
			v[k.pivots[i]] = 0
		}
	}
	at, size := -1, 1e-9*largest
	for j, x := range v {
		if j == k.open && at >= 0 {
			break // the pivot is a part that is not guarded
		}
		if math.Abs(x) > size {
			at, size = j, math.Abs(x)
		}
	}
	switch {
	case at < 0:
		return true // it follows already
	case at >= k.open:
		return false
	}
	pivot := v[at]
	for j := range v {
		v[j] /= pivot
	}
	k.rows, k.pivots = append(k.rows, v), append(k.pivots, at)
	return true
}

// aggregated adds what the terms of an aggregation are sums of, by cohort and time.
func (m *mixtures) aggregated(gt *panel.GroupTimeResult, kind string, res *estimate.Result) {
	name := func(term string) string {
		if kind != "simple" && term == panel.Overall {
			return kind + ":" + term
		}
		return term
	}
	cohort := map[int]int{}
	for _, c := range gt.Cells {
		cohort[c.Group] = max(cohort[c.Group], c.Treated)
	}
	for _, c := range gt.Cells {
		part := fmt.Sprintf("%d|%d", c.Group, c.Time)
		m.size[part] = cohort[c.Group]
		if kind == "none" && c.Identified() && !c.Reference {
			m.of[fmt.Sprintf("group=%d,time=%d", c.Group, c.Time)] = mixture{part: 1}
		}
	}
	rows, _ := res.Details["weights"].([]map[string]any)
	for _, row := range rows { // terms stand before the overall that is of them
		term, w := row["term"].(string), row["weight"].(float64)
		to := m.of[name(term)]
		if to == nil {
			to = mixture{}
			m.of[name(term)] = to
		}
		if part, ok := row["of"].(string); ok {
			for k, v := range m.of[part] {
				to[k] += float64(w * v)
			}
			continue
		}
		to[fmt.Sprintf("%d|%d", row["group"], row["time"])] += w
	}
}

// byCohort says that overall is an average of the numbers of the cohorts.
func byCohort(numbers []found) *mixtures {
	m := newMixtures()
	all := mixture{}
	for _, n := range numbers {
		if strings.HasPrefix(n.term, "group=") && !strings.Contains(n.term, ",") && n.e.Measure == estimate.MeanDifference {
			m.of[n.term], m.size[n.term], all[n.term] = mixture{n.term: 1}, n.basis.Treated, 1
		}
	}
	if len(all) > 0 {
		m.of[panel.Overall] = all
	}
	return m
}
