package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"utfall/table"
)

// VerifyExact re-checks a matching in cells of equal values against the table, by code
// of its own: two rows are in one set if and only if all their values are equal, every
// combination of values with both groups is a set and no other is; weights, counts
// and the estimand follow from the sets. A breach is [ErrConstraint].
func VerifyExact(t *table.Table, d Spec, m Exact, got *Matched) error {
	columns := m.Columns
	if columns == nil {
		columns = d.Covariates
	}
	v := &cellVerifier{t: t, d: d, aim: m.Estimand, got: got, key: make([]strings.Builder, t.Rows())}
	return v.run(func() error { return v.equal(columns) })
}

// VerifyCEM re-checks a coarsened exact matching as [VerifyExact] does: the bin of a
// value is found by counting the cut points that are not above it, and the cut points
// are those that the design gives. Of pairs within cells see [Verify].
func VerifyCEM(t *table.Table, d Spec, m CEM, got *Matched) error {
	v := &cellVerifier{t: t, d: d, aim: m.Estimand, got: got, key: make([]strings.Builder, t.Rows())}
	return v.run(func() error {
		if err := v.bins(m); err != nil {
			return err
		}
		return v.equal(m.Exact)
	})
}

// VerifySubclass re-checks a subclassification: every row is in a subclass, every
// subclass has both groups, within a group a larger score is never in a smaller
// subclass, rows that were not moved are between the cut points of theirs; weights,
// counts and the estimand.
func VerifySubclass(t *table.Table, d Spec, m Subclass, got *Matched) error {
	v := &cellVerifier{t: t, d: d, aim: m.Estimand, got: got}
	return v.run(v.subclasses)
}

type cellVerifier struct {
	t       *table.Table
	d       Spec
	aim     string
	got     *Matched
	treated []float64
	sets    int
	cells   int
	pairs   int               // that the sets come with
	key     []strings.Builder // by row
}

func (v *cellVerifier) run(sets func() error) error {
	if v.aim == "" {
		v.aim = ATT
	}
	for _, step := range []func() error{v.shapes, sets, v.groups, v.weights, v.counts} {
		if err := step(); err != nil {
			return fmt.Errorf("%w: %w", ErrConstraint, err)
		}
	}
	return nil
}

func (v *cellVerifier) shapes() error {
	n, g := v.t.Rows(), v.got
	if len(g.Set) != n || len(g.Weight) != n {
		return fmt.Errorf("%d sets and %d weights for %d rows", len(g.Set), len(g.Weight), n)
	}
	if len(g.Pairs) != v.pairs || len(g.PairDistance) != v.pairs || g.Replaced {
		return fmt.Errorf("sets of cells have no pairs, unless they are made of them, and no replacement")
	}
	for i, s := range g.Set {
		if s < 0 {
			return fmt.Errorf("row %d is in set %d", i+1, s)
		}
		v.sets = max(v.sets, s)
	}
	f, err := v.t.Float(v.d.Treatment)
	if err != nil {
		return err
	}
	v.treated = f.Values
	return nil
}

// equal adds the values of the columns to the rows' keys and, at the end, compares keys with sets.
func (v *cellVerifier) equal(columns []string) error {
	for _, name := range columns {
		col, err := v.t.Column(name)
		if err != nil {
			return err
		}
		var text []string
		if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
			if text, _, err = v.t.Text(name); err != nil {
				return err
			}
		} else {
			f, err := v.t.Float(name)
			if err != nil {
				return err
			}
			text = make([]string, len(f.Values))
			for i, x := range f.Values {
				text[i] = strconv.FormatFloat(x+0, 'g', -1, 64) // -0 is 0
			}
		}
		for i, s := range text {
			v.key[i].WriteString(strconv.Quote(s))
		}
	}
	set, arms := map[string]int{}, map[string][2]int{}
	owner := map[int]string{}
	for i := range v.key {
		k, s := v.key[i].String(), v.got.Set[i]
		if other, ok := set[k]; ok && other != s {
			return fmt.Errorf("row %d is in another set than a row of its cell", i+1)
		}
		if k2, ok := owner[s]; s > 0 && ok && k2 != k {
			return fmt.Errorf("row %d differs from its set in a variable of the cells", i+1)
		}
		set[k], owner[s] = s, k
		a := arms[k]
		a[arm(v.treated[i] == 1)]++
		arms[k] = a
	}
	for k, a := range arms {
		if (a[0] > 0 && a[1] > 0) != (set[k] > 0) {
			return fmt.Errorf("a cell with %d treated and %d untreated is in set %d", a[1], a[0], set[k])
		}
	}
	v.cells = len(set)
	return nil
}

// bins adds the bins of the covariates to the rows' keys.
func (v *cellVerifier) bins(m CEM) error {
	if err := verifyBins(v.t, v.d, m, v.got); err != nil {
		return err
	}
	for _, name := range v.d.Covariates {
		cuts, ok := v.got.Cuts[name]
		if !ok {
			text, _, err := v.t.Text(name)
			if err != nil {
				f, err := v.t.Float(name) // a category of numbers
				if err != nil {
					return err
				}
				text = make([]string, len(f.Values))
				for i, x := range f.Values {
					text[i] = strconv.FormatFloat(x+0, 'g', -1, 64)
				}
			}
			for i, s := range text {
				v.key[i].WriteString(strconv.Quote(s))
			}
			continue
		}
		f, err := v.t.Float(name)
		if err != nil {
			return err
		}
		for i, x := range f.Values {
			bin := 0
			for _, c := range cuts {
				if x >= c {
					bin++
				}
			}
			fmt.Fprintf(&v.key[i], "%d;", bin)
		}
	}
	return nil
}

// verifyBins checks that the cut points are those that the design asks for.
func verifyBins(t *table.Table, d Spec, m CEM, got *Matched) error {
	for _, name := range d.Covariates {
		cuts, ok := got.Cuts[name]
		b, asked := m.Bins[name]
		if !ok {
			if asked {
				return fmt.Errorf("%w: column %q has no cut points", ErrConstraint, name)
			}
			continue
		}
		f, err := t.Float(name)
		if err != nil {
			return err
		}
		x := slices.Clone(f.Values)
		sort.Float64s(x)
		n, lo, hi := float64(len(x)), x[0], x[len(x)-1]
		if !sort.Float64sAreSorted(cuts) {
			return fmt.Errorf("%w: the cut points of column %q are not in order", ErrConstraint, name)
		}
		bins := float64(b.Width)
		switch {
		case b.Cuts != nil:
			for _, c := range b.Cuts {
				if !slices.Contains(cuts, c) || len(cuts) != len(b.Cuts) {
					return fmt.Errorf("%w: column %q is not cut where the design says", ErrConstraint, name)
				}
			}
			continue
		case b.Quantiles > 0:
			for k := 1; k < b.Quantiles; k++ {
				// At most a share k/K lies below quantile k, and at most 1 - k/K above.
				h := (n - 1) * float64(k) / float64(b.Quantiles)
				a, c := x[int(math.Floor(h+1e-9))], x[int(math.Ceil(h-1e-9))]
				if !slices.ContainsFunc(cuts, func(q float64) bool { return q >= a && q <= c }) {
					return fmt.Errorf("%w: column %q has no cut at a quantile", ErrConstraint, name)
				}
			}
			continue
		case b.Width == 0:
			for bins = 1; math.Pow(2, bins-1) < n; bins++ { // bins - 1 ≥ log₂ n
			}
		}
		if lo < hi && len(cuts) != int(bins)-1 {
			return fmt.Errorf("%w: column %q has %d cut points for %g bins", ErrConstraint, name, len(cuts), bins)
		}
		for k, c := range cuts {
			if want := lo + (hi-lo)*(float64(k+1)/bins); math.Abs(c-want) > 1e-9*(hi-lo) {
				return fmt.Errorf("%w: the bins of column %q are not of one width", ErrConstraint, name)
			}
		}
	}
	return nil
}

func (v *cellVerifier) subclasses() error {
	g, n := v.got, v.t.Rows()
	if len(g.Score) != n {
		return fmt.Errorf("%d scores for %d rows", len(g.Score), n)
	}
	if v.d.Score != "" {
		f, err := v.t.Float(v.d.Score)
		if err != nil {
			return err
		}
		for i := range g.Score {
			if g.Score[i] != f.Values[i] {
				return fmt.Errorf("the score of row %d is not that of column %q", i+1, v.d.Score)
			}
		}
	}
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	sort.Slice(rows, func(a, b int) bool { return g.Score[rows[a]] < g.Score[rows[b]] })
	var top [2]int        // largest subclass of the group so far
	var below [2]struct { // the same, of smaller scores alone
		set   int
		score float64
	}
	outside, interval, used := 0, make([]int, n), map[int]bool{}
	for _, i := range rows {
		a := arm(v.treated[i] == 1)
		if g.Set[i] == 0 {
			return fmt.Errorf("row %d is in no subclass", i+1)
		}
		if g.Score[i] != below[a].score || top[a] == 0 {
			below[a].set, below[a].score = top[a], g.Score[i]
		}
		if g.Set[i] < below[a].set {
			return fmt.Errorf("row %d is in a smaller subclass than a smaller score of its group", i+1)
		}
		top[a] = max(top[a], g.Set[i])
		for _, c := range g.Cuts[SubclassCuts] {
			if g.Score[i] >= c {
				interval[i]++
			}
		}
		used[interval[i]] = true
	}
	for i, k := range interval {
		rank := 0
		for other := range used {
			if other <= k {
				rank++
			}
		}
		if rank != g.Set[i] {
			outside++
		}
	}
	if outside != g.Moved {
		return fmt.Errorf("%d rows are not between the cut points of their subclass, and %d were moved", outside, g.Moved)
	}
	v.cells = v.sets
	return nil
}

func (v *cellVerifier) groups() error {
	seen := make([][2]bool, v.sets+1)
	for i, s := range v.got.Set {
		seen[s][arm(v.treated[i] == 1)] = true
	}
	for s, a := range seen[1:] {
		if !a[0] || !a[1] {
			return fmt.Errorf("set %d lacks one of the groups", s+1)
		}
	}
	if v.sets == 0 {
		return fmt.Errorf("there is no set")
	}
	return nil
}

// weights checks, set by set, what the weights must give: the groups' sums, and in
// each group the share of each set that the estimand's distribution has.
func (v *cellVerifier) weights() error {
	sum, count := make([][2]float64, v.sets+1), make([][2]float64, v.sets+1)
	first := make([][2]float64, v.sets+1)
	var total, in [2]float64
	for i, s := range v.got.Set {
		a, w := arm(v.treated[i] == 1), v.got.Weight[i]
		if s == 0 {
			if w != 0 {
				return fmt.Errorf("row %d is in no set and has a weight", i+1)
			}
			continue
		}
		if count[s][a] == 0 {
			first[s][a] = w
		}
		if w != first[s][a] || !(w > 0) {
			return fmt.Errorf("the weight of row %d is not that of its group in its set", i+1)
		}
		sum[s][a] += w
		count[s][a]++
		total[a] += w
		in[a]++
	}
	for a := range 2 {
		if !(math.Abs(total[a]-in[a]) <= 1e-9*in[a]) {
			return fmt.Errorf("the weights of a group do not add up to its number")
		}
		for s := 1; s <= v.sets; s++ {
			want := count[s][1] / in[1]
			switch v.aim {
			case ATC:
				want = count[s][0] / in[0]
			case ATE:
				want = (count[s][0] + count[s][1]) / (in[0] + in[1])
			}
			if !(math.Abs(sum[s][a]/total[a]-want) <= 1e-9) {
				return fmt.Errorf("the weights of set %d do not give it its share", s)
			}
		}
	}
	return nil
}

func (v *cellVerifier) counts() error {
	var all, in [2]int
	var sum, squares [2]float64
	for i, s := range v.got.Set {
		a, w := arm(v.treated[i] == 1), v.got.Weight[i]
		all[a]++
		if s > 0 {
			in[a]++
		}
		sum[a] += w
		squares[a] += w * w
	}
	c := v.got.Counts
	if want := (MatchCounts{Treated: all[1], Control: all[0], MatchedTreated: in[1], MatchedControl: in[0], Sets: v.sets, Pairs: v.pairs, Blocks: v.cells,
		ESSTreated: c.ESSTreated, ESSControl: c.ESSControl}); c != want {
		return fmt.Errorf("the counts are %+v and the sets give %+v", c, want)
	}
	for a, got := range [2]float64{c.ESSControl, c.ESSTreated} {
		if want := sum[a] * sum[a] / squares[a]; !(math.Abs(got-want) <= 1e-9*(1+want)) {
			return fmt.Errorf("an effective sample size is not the one that the weights give")
		}
	}
	lost := map[string]int{ATT: all[1] - in[1], ATC: all[0] - in[0], ATE: all[0] + all[1] - in[0] - in[1]}[v.aim]
	want := v.aim
	if lost > 0 {
		want = ATM
	}
	if v.got.Estimand != want {
		return fmt.Errorf("the estimand is named %q and the sets give %q", v.got.Estimand, want)
	}
	return nil
}
