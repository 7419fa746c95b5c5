package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"utfall/table"
)

// Verify re-checks every pair, set, weight and count of a matching against the table
// and the design, by code of its own that shares nothing with the search: it reads
// the columns again and goes through the pairs one by one. [Nearest.Match] calls it
// before it returns; call it again on a matching that was stored.
//
// It checks shapes; that pairs join a treated with an untreated row, once; that a
// partner is used once without replacement; that no unit has more than Ratio
// partners; distances, calipers and exact equality of each pair; that sets and
// weights follow from the pairs and the other way round; and the counts. That the
// pairs are the nearest it does not check. A breach is [ErrConstraint].
func Verify(t *table.Table, d Spec, m Nearest, got *Matched) error {
	v := &verifier{t: t, d: d, m: m.defaults(), got: got, n: t.Rows()}
	for _, step := range []func() error{v.shapes, v.pairs, v.exact, v.columns, v.distances, v.sets, v.weights, v.counts} {
		if err := step(); err != nil {
			return fmt.Errorf("%w: %w", ErrConstraint, err)
		}
	}
	return nil
}

type verifier struct {
	t        *table.Table
	d        Spec
	m        Nearest
	got      *Matched
	n        int
	treated  []float64
	has      []int32 // by row: partners of a unit served
	uses     []int32 // by row: sets that a partner is in
	units    int     // served
	partners int     // distinct
}

func (v *verifier) shapes() error {
	g := v.got
	if len(g.Set) != v.n || len(g.Weight) != v.n {
		return fmt.Errorf("%d sets and %d weights for %d rows", len(g.Set), len(g.Weight), v.n)
	}
	if g.Score != nil && len(g.Score) != v.n {
		return fmt.Errorf("%d scores for %d rows", len(g.Score), v.n)
	}
	if len(g.PairDistance) != len(g.Pairs) || len(g.Pairs) == 0 {
		return fmt.Errorf("%d distances for %d pairs", len(g.PairDistance), len(g.Pairs))
	}
	if g.Replaced != v.m.Replace {
		return fmt.Errorf("the matching says replacement %t, the design %t", g.Replaced, v.m.Replace)
	}
	f, err := v.t.Float(v.d.Treatment)
	if err != nil {
		return err
	}
	v.treated = f.Values
	return nil
}

// ends returns the unit served and its partner.
func (v *verifier) ends(p [2]int) (unit, partner int) {
	if v.m.Estimand == ATC {
		return p[1], p[0]
	}
	return p[0], p[1]
}

func (v *verifier) pairs() error {
	v.has, v.uses = make([]int32, v.n), make([]int32, v.n)
	keys := make([]uint64, len(v.got.Pairs))
	for i, p := range v.got.Pairs {
		if p[0] < 0 || p[0] >= v.n || p[1] < 0 || p[1] >= v.n {
			return fmt.Errorf("pair %d has a row outside the table", i+1)
		}
		if v.treated[p[0]] != 1 || v.treated[p[1]] != 0 {
			return fmt.Errorf("pair %d is not of a treated and an untreated unit", i+1)
		}
		unit, partner := v.ends(p)
		if v.has[unit]++; v.has[unit] == 1 {
			v.units++
		}
		if v.uses[partner]++; v.uses[partner] == 1 {
			v.partners++
		}
		if !v.m.Replace && v.uses[partner] > 1 {
			return fmt.Errorf("the partner of pair %d is in two sets of a matching without replacement", i+1)
		}
		if int(v.has[unit]) > v.m.Ratio {
			return fmt.Errorf("the unit of pair %d has more partners than the ratio %d", i+1, v.m.Ratio)
		}
		keys[i] = uint64(unit)<<32 | uint64(partner)
	}
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if keys[i] == keys[i-1] {
			return fmt.Errorf("a pair is there twice")
		}
	}
	return nil
}

func (v *verifier) exact() error {
	for _, name := range v.m.Exact {
		col, err := v.t.Column(name)
		if err != nil {
			return err
		}
		if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
			text, _, err := v.t.Text(name)
			if err != nil {
				return err
			}
			for i, p := range v.got.Pairs {
				if text[p[0]] != text[p[1]] {
					return fmt.Errorf("pair %d differs in the exact variable %q", i+1, name)
				}
			}
			continue
		}
		f, err := v.t.Float(name)
		if err != nil {
			return err
		}
		for i, p := range v.got.Pairs {
			if f.Values[p[0]] != f.Values[p[1]] {
				return fmt.Errorf("pair %d differs in the exact variable %q", i+1, name)
			}
		}
	}
	return nil
}

func (v *verifier) columns() error {
	for name, width := range v.m.CaliperOn {
		f, err := v.t.Float(name)
		if err != nil {
			return err
		}
		for i, p := range v.got.Pairs {
			if gap := f.Values[p[0]] - f.Values[p[1]]; gap > width || -gap > width {
				return fmt.Errorf("pair %d breaks the caliper on column %q", i+1, name)
			}
		}
	}
	return nil
}

// relative is the rounding that two ways to compute one distance may differ by.
const relative = 1e-7

func (v *verifier) distances() error {
	g := v.got
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
	raw := v.m.CaliperRaw
	if v.m.Caliper > 0 || v.m.CaliperScore > 0 {
		mean, ss, rest := 0.0, 0.0, 0.0
		for _, s := range g.Score {
			mean += s
		}
		mean /= float64(v.n)
		for _, s := range g.Score {
			ss += (s - mean) * (s - mean)
			rest += s - mean // what rounding left in the mean
		}
		sd := math.Sqrt((ss - rest*rest/float64(v.n)) / float64(v.n-1))
		if math.Abs(sd-g.ScoreSD) > relative*sd {
			return fmt.Errorf("the SD of the score is not the one that the calipers used")
		}
		if v.m.Caliper > 0 {
			raw = v.m.Caliper * g.ScoreSD
		}
		for i, p := range g.Pairs {
			if gap := math.Abs(g.Score[p[0]] - g.Score[p[1]]); v.m.CaliperScore > 0 && gap > v.m.CaliperScore*g.ScoreSD {
				return fmt.Errorf("pair %d breaks the caliper on the score", i+1)
			}
		}
	}
	var between func(a, b int) float64
	if v.m.metric() {
		var err error
		if between, err = v.quadraticForm(); err != nil {
			return err
		}
	} else {
		between = func(a, b int) float64 { return math.Abs(g.Score[a] - g.Score[b]) }
	}
	for i, p := range g.Pairs {
		dist := between(p[0], p[1])
		if slack := relative * (1 + dist); v.m.metric() && math.Abs(dist-g.PairDistance[i]) > slack || !v.m.metric() && dist != g.PairDistance[i] {
			return fmt.Errorf("the distance of pair %d is not the one that its columns give", i+1)
		}
		if raw > 0 && g.PairDistance[i] > raw {
			return fmt.Errorf("pair %d breaks the caliper on the distance", i+1)
		}
	}
	return nil
}

// quadraticForm is √((x-y)'M(x-y)) on the columns themselves.
func (v *verifier) quadraticForm() (func(a, b int) float64, error) {
	x, err := Design(v.t, v.d.Covariates, DesignOptions{Categorical: v.d.Categorical, AllLevels: true})
	if err != nil {
		return nil, err
	}
	metric := v.got.Metric
	if metric == nil || metric.Kind != v.m.Distance {
		return nil, fmt.Errorf("the matching has no %s metric", v.m.Distance)
	}
	k := len(x.Columns)
	at := map[string]int{}
	for j, c := range x.Columns {
		at[c.Name] = j
	}
	var cols []int
	var value []func(row int) float64
	for _, name := range metric.Columns {
		j, ok := at[name]
		if !ok {
			return nil, fmt.Errorf("the metric has a column %q that the design does not", name)
		}
		cols = append(cols, j)
		number := func(row int) float64 { return x.Values[row*k+j] }
		if metric.ranks {
			sorted := make([]float64, v.n)
			for i := range sorted {
				sorted[i] = number(i)
			}
			sort.Float64s(sorted)
			value = append(value, func(row int) float64 {
				lo := sort.SearchFloat64s(sorted, number(row))
				hi := sort.Search(v.n, func(i int) bool { return sorted[i] > number(row) })
				return float64(lo+hi+1) / 2
			})
			continue
		}
		value = append(value, number)
	}
	return func(a, b int) float64 {
		gap := make([]float64, len(cols))
		for j := range cols {
			gap[j] = value[j](a) - value[j](b)
		}
		sum := 0.0
		for i := range gap {
			for j := range gap {
				sum += gap[i] * metric.M.At(i, j) * gap[j]
			}
		}
		return math.Sqrt(max(sum, 0))
	}, nil
}

func (v *verifier) sets() error {
	taken := make([]bool, v.units+1)
	for row, s := range v.got.Set {
		if s == 0 && v.has[row] == 0 && v.uses[row] == 0 {
			continue
		}
		switch unit, partner := v.has[row] > 0, v.uses[row] > 0; {
		case s < 0 || s > v.units:
			return fmt.Errorf("row %d is in set %d of %d", row+1, s, v.units)
		case unit && s == 0:
			return fmt.Errorf("row %d is matched and in no set", row+1)
		case unit && taken[s]:
			return fmt.Errorf("set %d has two units served", s)
		case unit:
			taken[s] = true
		case partner && s == 0 && !v.m.Replace:
			return fmt.Errorf("row %d is a partner and in no set", row+1)
		case s != 0 && (!partner || v.m.Replace):
			return fmt.Errorf("row %d has a set that its pairs do not give", row+1)
		}
	}
	for i, p := range v.got.Pairs {
		if unit, partner := v.ends(p); !v.m.Replace && v.got.Set[unit] != v.got.Set[partner] {
			return fmt.Errorf("the units of pair %d are in different sets", i+1)
		}
	}
	return nil
}

func (v *verifier) weights() error {
	share := make([]float64, v.n)
	for _, p := range v.got.Pairs {
		unit, partner := v.ends(p)
		share[partner] += 1 / float64(v.has[unit])
	}
	factor := float64(v.partners) / float64(v.units)
	total := 0.0
	for row, w := range v.got.Weight {
		if w == 0 && v.has[row] == 0 && v.uses[row] == 0 {
			continue
		}
		want := share[row] * factor
		if v.has[row] > 0 {
			want = 1
		} else {
			total += w
		}
		if !(math.Abs(w-want) <= 1e-12*(1+want)) {
			return fmt.Errorf("the weight of row %d is not the one that its pairs give", row+1)
		}
	}
	if !(math.Abs(total-float64(v.partners)) <= 1e-9*(1+total)) {
		return fmt.Errorf("the partners' weights do not add up to their number")
	}
	if v.m.Replace {
		return nil
	}
	// The same weights from the sets alone.
	size := make([]int32, v.units+1)
	for row, s := range v.got.Set {
		if s > 0 && v.has[row] == 0 {
			size[s]++
		}
	}
	for row, s := range v.got.Set {
		if s > 0 && v.has[row] == 0 {
			if w := factor / float64(size[s]); !(math.Abs(w-v.got.Weight[row]) <= 1e-12*(1+w)) {
				return fmt.Errorf("the weight of row %d is not the one that its set gives", row+1)
			}
		}
	}
	return nil
}

func (v *verifier) counts() error {
	c := v.got.Counts
	treated, reuse, incomplete := 0, 0, 0
	var sum, squares [2]float64
	for row, a := range v.treated {
		if a == 1 {
			treated++
		}
		if v.has[row] > 0 && int(v.has[row]) < v.m.Ratio {
			incomplete++
		}
		reuse = max(reuse, int(v.uses[row]))
		w := v.got.Weight[row]
		sum[arm(a == 1)] += w
		squares[arm(a == 1)] += w * w
	}
	a, b, group := v.units, v.partners, treated
	if v.m.Estimand == ATC {
		a, b, group = b, a, v.n-treated
	}
	for _, x := range []struct {
		name      string
		got, want int
	}{
		{"treated", c.Treated, treated}, {"untreated", c.Control, v.n - treated},
		{"matched treated", c.MatchedTreated, a}, {"matched untreated", c.MatchedControl, b},
		{"sets", c.Sets, v.units}, {"pairs", c.Pairs, len(v.got.Pairs)},
		{"incomplete sets", c.Incomplete, incomplete}, {"largest reuse", c.MaxReuse, reuse},
	} {
		if x.got != x.want {
			return fmt.Errorf("the count of %s is %d and the pairs give %d", x.name, x.got, x.want)
		}
	}
	for _, x := range []struct{ got, want float64 }{
		{c.ESSControl, sum[0] * sum[0] / squares[0]}, {c.ESSTreated, sum[1] * sum[1] / squares[1]},
	} {
		if !(math.Abs(x.got-x.want) <= 1e-9*(1+x.want)) {
			return fmt.Errorf("an effective sample size is not the one that the weights give")
		}
	}
	want := v.m.Estimand
	if v.units < group {
		want = ATM
	}
	if v.got.Estimand != want {
		return fmt.Errorf("the estimand is named %q and the pairs give %q", v.got.Estimand, want)
	}
	return nil
}
