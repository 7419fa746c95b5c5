package release

import (
	"cmp"
	"slices"
)

// level is one class of a partition of people, with the counts that a reader could
// know of it. Each entry of positive must reach the threshold to be shown; each
// entry of zeroOr may also be 0.
type level struct {
	label    string
	positive []int
	zeroOr   []int
	whole    bool // the class is everybody, which says the same of each of them
	rest     bool // everybody in no listed class: never printed, yet known by subtraction
}

// size is the smallest count that would make the level withheld.
func (l level) size() int {
	if l.whole {
		return 0
	}
	s := int(^uint(0) >> 1)
	for _, n := range l.positive {
		s = min(s, n)
	}
	for _, n := range l.zeroOr {
		if n > 0 {
			s = min(s, n)
		}
	}
	return s
}

// hide says which classes of a partition are withheld and why, by index; the rest
// may be shown. If any is withheld then together they are at least two and reach
// the threshold in every count, so that subtraction from the total gives no class
// and no small sum. Withheld classes are always the first in the order (size,
// label), which does not depend on the threshold: a larger one withholds a superset.
func (p Policy) hide(levels []level) map[int]Why {
	order := make([]int, len(levels))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := levels[a], levels[b]
		return cmp.Or(cmp.Compare(x.size(), y.size()), cmp.Compare(x.label, y.label), cmp.Compare(a, b))
	})
	out := make(map[int]Why)
	k := p.Threshold()
	for _, i := range order {
		if levels[i].size() >= k {
			break
		}
		out[i] = BelowMinimum
		if levels[i].whole {
			out[i] = WholeGroup
		}
	}
	if len(out) == 0 {
		return out
	}
	for n := len(out); n < len(order) && !p.safe(levels, order[:n]); n++ {
		out[order[n]] = Complementary
	}
	return out
}

func (p Policy) safe(levels []level, hidden []int) bool {
	if len(hidden) < 2 {
		return false
	}
	k := p.Threshold()
	sum := func(of func(level) []int) []int {
		var total []int
		for _, i := range hidden {
			for j, n := range of(levels[i]) {
				if j == len(total) {
					total = append(total, 0)
				}
				total[j] += n
			}
		}
		return total
	}
	for _, n := range sum(func(l level) []int { return l.positive }) {
		if n < k {
			return false
		}
	}
	for _, n := range sum(func(l level) []int { return l.zeroOr }) {
		if p.small(n) {
			return false
		}
	}
	return true
}

// Class is one class of a distribution: how many people of those counted are in it.
type Class struct {
	Label string
	N     int
	// Structural marks a class that nobody, or everybody, is in by construction.
	Structural bool
}

// Distribution is a released distribution of people over classes: shares that come
// from the rounded counts and add up to 1 with Together.
type Distribution struct {
	N       Count   `json:"n"`
	Classes []Share `json:"classes"`
	// Together is the withheld classes as one, when there are any.
	Together Share `json:"together"`
}

// Share is one released class. Value is N over the total, both rounded.
type Share struct {
	Label string `json:"label"`
	N     Count  `json:"n"`
	Value Value  `json:"share"`
}

// Distribution releases a distribution over classes that exclude each other and
// cover everybody. A class below the threshold is withheld with the next smallest,
// so that it cannot be worked out from the others; an empty class is shown as 0, and
// one that holds everybody as 1, only when that is structural. All is withheld when everybody together is too few.
func (p Policy) Distribution(place string, classes []Class) (Distribution, []Withheld) {
	total, levels := 0, make([]level, 0, len(classes))
	for _, c := range classes {
		total += c.N
	}
	out := Distribution{N: p.Count(total), Classes: make([]Share, len(classes))}
	at := make([]int, 0, len(classes)) // place in classes of each level
	for i, c := range classes {
		out.Classes[i].Label = c.Label
		if c.Structural && c.N == 0 {
			out.Classes[i].N, out.Classes[i].Value = StructuralZero(), show(0)
			continue
		}
		at = append(at, i)
		levels = append(levels, level{label: c.Label, positive: []int{c.N}, whole: c.N == total && !c.Structural})
	}
	hidden := p.hide(levels)
	if out.N.Suppressed() {
		for i := range levels {
			hidden[i] = BelowMinimum
		}
	}
	counts, withheld := make([]int, len(classes)+1), []Withheld{}
	for i, l := range levels {
		if why, ok := hidden[i]; ok {
			counts[len(classes)] += l.positive[0]
			withheld = append(withheld, Withheld{place, why, 1})
		} else {
			counts[at[i]] = l.positive[0]
		}
	}
	if out.N.Suppressed() {
		return out, withheld
	}
	labels := make([]string, len(counts))
	for i, c := range classes {
		labels[i] = c.Label
	}
	parts := p.apportion(counts, out.N.n, labels)
	give := func(n int) (Count, Value) { return exact(n), show(float64(n) / float64(out.N.n)) }
	for i := range levels {
		if _, ok := hidden[i]; !ok {
			s := &out.Classes[at[i]]
			s.N, s.Value = give(parts[at[i]])
		}
	}
	if len(hidden) > 0 {
		out.Together.N, out.Together.Value = give(parts[len(classes)])
	} else {
		out.Together.N, out.Together.Value = StructuralZero(), show(0)
	}
	return out, withheld
}

// apportion rounds counts to the base so that they add up to the rounded total:
// each down, then one base more in the order of the largest remainders, ties by
// label. A count that is a multiple already never grows before one that is not,
// and a count of 0 stays 0.
func (p Policy) apportion(counts []int, total int, labels []string) []int {
	b := p.must().RoundTo
	out, order, sum := make([]int, len(counts)), []int{}, 0
	for i, n := range counts {
		out[i] = n / b * b
		sum += out[i]
		if n > 0 {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(counts[j]%b, counts[i]%b), cmp.Compare(labels[i], labels[j]), cmp.Compare(i, j))
	})
	for _, i := range order {
		if sum >= total {
			break
		}
		out[i] += b
		sum += b
	}
	return out
}
