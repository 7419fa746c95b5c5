package progress

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// Answers are the answers of n persons to the J items of one scale at one time. The
// categories of an item are the values that occur, in order; only the order counts. A
// missing answer is NaN: the others of the person are used (missing at random).
type Answers struct {
	Unit   []string   // n, unique
	Names  []string   // J items
	X      *mat.Dense // n×J, NaN = no answer
	Weight estimate.Weights
	// Group splits the persons: the trait has mean 0 and variance 1 in group 0 and its own in
	// the others (latent regression on groups). nil = one group.
	Group      []int
	GroupNames []string
	Cluster    []int // n, dense from 0; nil if persons are independent
	Level      float64
}

const (
	maxCategories  = 100 // more is a measurement, not an answer
	sparseCategory = 5   // answers below which a threshold is badly known
	fewForSlopes   = 200 // persons below which slopes are badly known
	fullShare      = 0.15
	fewClusters    = 30
)

// irtColumn is a column of answers: the item it measures, and its answers as categories.
type irtColumn struct {
	item int
	x    []int16 // −1 = no answer
}

// irtData is what a model is fitted to.
type irtData struct {
	unit    []string
	items   []*irtItem
	columns []irtColumn
	group   []int // 0 … groups−1
	groups  []string
	weight  []float64
	kind    estimate.WeightKind
	cluster []int
	level   float64
	key     []string // of each person, group and answers; "" = takes no part
	order   []int    // persons who take part by key, weight and unit: never the order of the rows
	notes   []table.Note
}

func (d *irtData) note(code, text string, args map[string]any) {
	d.notes = append(d.notes, table.Note{Code: code, Text: text, Args: args})
}

func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
}

// irtKind says what the items are and which of their parameters are free.
type irtKind struct {
	graded, fixedSlope bool
	equalSlopes        bool   // one free slope for all: fixedSlope on the scale of a variance of 1
	cats               int    // of every item; 0 = any number
	instead            string // method for items with more categories
}

// irtFrame is what one or two waves of answers share.
type irtFrame struct {
	unit    []string
	weight  estimate.Weights
	group   []int
	groups  []string
	cluster []int
	level   float64
}

// newIRTData checks the frame; waves are n×J answers to the same items.
func newIRTData(f irtFrame, names []string, waves []*mat.Dense, kind irtKind) (*irtData, error) {
	n := len(f.unit)
	d := &irtData{unit: f.unit, group: f.group, groups: f.groups, cluster: f.cluster, kind: f.weight.Kind, level: f.level}
	switch {
	case n == 0:
		return nil, invalid("no persons")
	case !(f.level > 0 && f.level < 1):
		return nil, invalid("confidence level %v is not between 0 and 1", f.level)
	case f.group != nil && len(f.group) != n:
		return nil, invalid("%d group numbers for %d persons", len(f.group), n)
	case f.cluster != nil && len(f.cluster) != n:
		return nil, invalid("%d cluster numbers for %d persons", len(f.cluster), n)
	case f.weight.Values != nil && len(f.weight.Values) != n:
		return nil, invalid("%d weights for %d persons", len(f.weight.Values), n)
	case (f.weight.Values == nil) != (f.weight.Kind == estimate.NoWeights):
		return nil, invalid("weights without a kind, or a kind without weights")
	case f.weight.Kind == estimate.Frequency && f.cluster != nil:
		return nil, fmt.Errorf("%w: frequency weights with clusters; write one person a row", estimate.ErrWeights)
	}
	switch f.weight.Kind {
	case estimate.NoWeights, estimate.Frequency, estimate.Sampling, estimate.Matching:
	default:
		return nil, fmt.Errorf("%w: unknown kind %q", estimate.ErrWeights, f.weight.Kind)
	}
	if d.group == nil {
		d.group, d.groups = make([]int, n), []string{""}
	}
	for i, g := range d.group {
		if g < 0 || g >= len(d.groups) {
			return nil, &estimate.RowError{Row: i, Err: invalid("group number %d has no name", g)}
		}
	}
	for i, c := range f.cluster {
		if c < 0 {
			return nil, &estimate.RowError{Row: i, Err: invalid("a cluster number below 0")}
		}
	}
	if err := d.weights(f.weight); err != nil {
		return nil, err
	}
	order := byUnit(f.unit)
	for r, i := range order[1:] {
		if f.unit[i] == f.unit[order[r]] {
			return nil, &estimate.RowError{Row: i, Err: invalid("the person is there twice; one row a person is needed")}
		}
	}
	return d, d.code(names, waves, kind)
}

// weights takes the weights over; sampling and matching weights are scaled to mean 1.
func (d *irtData) weights(w estimate.Weights) error {
	n := len(d.unit)
	d.weight = make([]float64, n)
	total := 0.0
	for i := range d.weight {
		d.weight[i] = 1
		if w.Values != nil {
			d.weight[i] = w.Values[i]
		}
		v := d.weight[i]
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || w.Kind == estimate.Frequency && v != math.Trunc(v) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a weight must be a finite number of at least 0, a frequency a whole one", estimate.ErrWeights)}
		}
		total += v
	}
	if total == 0 {
		return fmt.Errorf("%w: every weight is 0", estimate.ErrWeights)
	}
	if w.Kind == estimate.Sampling || w.Kind == estimate.Matching {
		persons, sum := 0.0, 0.0
		for _, v := range slices.Sorted(slices.Values(d.weight)) {
			if v > 0 {
				persons, sum = persons+1, sum+v
			}
		}
		for i := range d.weight {
			d.weight[i] *= persons / sum
		}
	}
	return nil
}

// code turns answers into categories and checks every item.
func (d *irtData) code(names []string, waves []*mat.Dense, kind irtKind) error {
	n, J := len(d.unit), len(names)
	for _, x := range waves {
		if r, c := x.Dims(); r != n || c != J {
			return invalid("answers are %d×%d, %d×%d expected", r, c, n, J)
		}
	}
	need := 2
	if !kind.fixedSlope && !kind.equalSlopes {
		need = 3
	}
	if J < need {
		what := "give more items"
		if J >= 2 { // equal slopes leave less to be found
			what = "give more items, or take a model in which all items have one slope (rasch, pcm)"
		}
		return fmt.Errorf("%w: %d %s; this model needs %d or more: %s", estimate.ErrTooFew, J, plural(J, "item", "items"), need, what)
	}
	missing, cell := 0, 0
	var single []string
	for j, name := range names {
		if slices.Contains(names[:j], name) {
			return invalid("item %q is there twice", name)
		}
		it := &irtItem{name: name, graded: kind.graded, fixed: kind.fixedSlope, a: 1}
		for _, x := range waves {
			for i := range n {
				v := x.At(i, j)
				if math.IsInf(v, 0) {
					return &estimate.RowError{Row: i, Err: invalid("item %q is not a finite number", name)}
				}
				if math.IsNaN(v) || d.weight[i] == 0 {
					continue
				}
				if at, found := slices.BinarySearch(it.values, v); !found {
					if it.values = slices.Insert(it.values, at, v); len(it.values) > maxCategories {
						return invalid("item %q has more than %d different answers: it is a measurement, not an item with categories", name, maxCategories)
					}
				}
			}
		}
		it.cats, it.cell = len(it.values), cell
		cell += it.cats
		switch {
		case it.cats == 0:
			return fmt.Errorf("%w: nobody answered item %q; leave it out", estimate.ErrNotIdentified, name)
		case it.cats == 1:
			single = append(single, name)
		case kind.cats > 0 && it.cats > kind.cats:
			return fmt.Errorf("%w: item %q has %d categories and this model takes %d; use %s", estimate.ErrInvalidFrame, name, it.cats, kind.cats, kind.instead)
		}
		it.used, it.d = make([]float64, it.cats), make([]float64, max(0, it.cats-1))
		d.items = append(d.items, it)
	}
	if len(single) > 0 {
		return fmt.Errorf("%w: all answers to %s are the same (floor or ceiling), so that %s nothing; leave %s out",
			estimate.ErrNotIdentified, quoted(single), plural(len(single), "it tells", "they tell"), plural(len(single), "it", "them"))
	}
	for _, x := range waves {
		for j, it := range d.items {
			c := irtColumn{item: j, x: make([]int16, n)}
			for i := range n {
				c.x[i] = -1
				if v := x.At(i, j); !math.IsNaN(v) && d.weight[i] > 0 {
					k, _ := slices.BinarySearch(it.values, v)
					c.x[i] = int16(k)
				} else if d.weight[i] > 0 {
					missing++
				}
			}
			d.columns = append(d.columns, c)
		}
	}
	if missing > 0 {
		d.note("answers-missing", "Some answers are missing; the other answers of these persons are used, as if what is missing hangs on them alone.",
			map[string]any{"count": missing, "of": n * J * len(waves)})
	}
	d.layout()
	d.sort()
	for _, i := range d.order { // not in the order of the rows, which decides the last digit of a sum
		for _, c := range d.columns {
			if c.x[i] >= 0 {
				d.items[c.item].used[c.x[i]] += d.weight[i]
			}
		}
	}
	d.remarks(kind)
	return nil
}

// sort orders the persons by what they answered.
func (d *irtData) sort() {
	d.key, d.order = make([]string, len(d.unit)), nil
	for i := range d.unit {
		b := make([]byte, 2+len(d.columns))
		b[0], b[1] = byte(d.group[i]>>8), byte(d.group[i])
		any := false
		for c, col := range d.columns {
			b[2+c] = byte(col.x[i] + 1)
			any = any || col.x[i] >= 0
		}
		if any && d.weight[i] > 0 {
			d.key[i] = string(b)
			d.order = append(d.order, i)
		}
	}
	slices.SortFunc(d.order, func(a, b int) int {
		return cmp.Or(strings.Compare(d.key[a], d.key[b]), cmp.Compare(d.weight[a], d.weight[b]), strings.Compare(d.unit[a], d.unit[b]))
	})
}

// layout numbers parameters and cells of the items.
func (d *irtData) layout() {
	par, cell := 0, 0
	for _, it := range d.items {
		it.par, it.cell = par, cell
		par, cell = par+it.parameters(), cell+it.cats
	}
}

// remarks are the notes about single items and persons.
func (d *irtData) remarks(kind irtKind) {
	count := map[float64]int{}
	for _, it := range d.items {
		for _, v := range it.values {
			count[v]++
		}
	}
	persons, empty, full, zero := 0, 0, 0, 0
	for _, it := range d.items {
		gap := false
		for k, v := range it.values[1:] {
			gap = gap || v == math.Trunc(v) && it.values[k] == math.Trunc(it.values[k]) && v-it.values[k] != 1
		}
		for v, items := range count { // a category that most items have and this one lacks
			_, has := slices.BinarySearch(it.values, v)
			gap = gap || !has && 2*items > len(d.items)
		}
		if gap {
			d.note("category-empty", fmt.Sprintf("Nobody chose one of the categories of item %q, which is then treated as if it did not exist.", it.name), map[string]any{"item": it.name})
		}
		if slices.Min(it.used) < sparseCategory {
			d.note("category-sparse", fmt.Sprintf("A category of item %q has fewer than five answers: the thresholds next to it are badly known.", it.name), map[string]any{"item": it.name})
		}
	}
	for i := range d.unit {
		n := 1
		if d.kind == estimate.Frequency {
			n = int(d.weight[i])
		}
		if d.weight[i] == 0 {
			zero++
			continue
		}
		persons += n
		answered, low, high := 0, true, true
		for _, c := range d.columns {
			if c.x[i] >= 0 {
				answered++
				low = low && c.x[i] == 0
				high = high && int(c.x[i]) == d.items[c.item].cats-1
			}
		}
		switch {
		case answered == 0:
			empty += n
		case low || high:
			full += n
		}
	}
	if zero > 0 {
		d.note("zero-weight", "Persons with weight 0 take no part.", map[string]any{"persons": zero})
	}
	if empty > 0 {
		d.note("persons-without-answers", "Some persons answered no item and were left out; they have no score.", map[string]any{"persons": empty})
	}
	if float64(full) > fullShare*float64(persons) {
		d.note("scores-at-limit", "More than 15 % of the persons have the lowest or the highest answer to everything: the items do not tell them apart.", map[string]any{"share": float64(full) / float64(persons)})
	}
	if !kind.fixedSlope && !kind.equalSlopes && persons < fewForSlopes {
		d.note("few-for-slopes", "There are fewer than 200 persons: slopes are badly known. A model with equal slopes (rasch, pcm) needs fewer.", map[string]any{"persons": persons})
	}
	if d.kind == estimate.Sampling || d.kind == estimate.Matching {
		d.note("weights-fixed", "Standard errors take the weights as known; the step that estimated them is not in them.", nil)
	}
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(out, ", ")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// data checks the answers and codes them.
func (a *Answers) data(model ItemModel) (*irtData, irtKind, error) {
	kind, err := model.kind()
	if err != nil {
		return nil, kind, err
	}
	if a.X == nil {
		return nil, kind, invalid("no answers")
	}
	f := irtFrame{unit: a.Unit, weight: a.Weight, group: a.Group, groups: a.GroupNames, cluster: a.Cluster, level: a.Level}
	d, err := newIRTData(f, a.Names, []*mat.Dense{a.X}, kind)
	return d, kind, err
}
