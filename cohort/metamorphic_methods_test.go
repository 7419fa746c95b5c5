package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// The relations M1 to M15 between the results of two related inputs, for every method
// that makes a comparison group. "Equal" is bit by bit.

// maker is a method with its spec; m or w is set.
type maker struct {
	name string
	d    Spec
	m    Matcher
	w    *Weighting
}

var (
	modelSpec  = Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "x2", "group"}}
	metricSpec = Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "x2"}}
	cellSpec   = Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "group"}}
)

func everyMethod() []maker {
	thirds := map[string]Coarsening{"x0": {Cuts: []float64{-0.5, 0.5}}, "x1": {Cuts: []float64{0}}}
	out := []maker{
		{name: "nearest logit", d: modelSpec, m: Nearest{Caliper: 0.3}},
		{name: "nearest linear-logit", d: modelSpec, m: Nearest{Distance: LinearLogitDistance, Ratio: 2, Order: SmallestOrder}},
		{name: "nearest score, closest", d: scoreSpec, m: Nearest{Order: ClosestOrder, Exact: []string{"group"}}},
		{name: "nearest score, atc", d: scoreSpec, m: Nearest{Estimand: ATC, CaliperOn: map[string]float64{"x0": 1}}},
		{name: "nearest score, random", d: scoreSpec, m: Nearest{Order: RandomOrder, Ratio: 2, CaliperRaw: 0.5}},
		{name: "nearest replacement", d: scoreSpec, m: Nearest{Replace: true, Ratio: 3, Caliper: 0.5}},
		{name: "nearest mahalanobis", d: metricSpec, m: Nearest{Distance: MahalanobisDistance}},
		{name: "nearest robust-mahalanobis", d: modelSpec, m: Nearest{Distance: RobustMahalanobisDistance, CaliperScore: 0.5}},
		{name: "nearest euclidean", d: metricSpec, m: Nearest{Distance: EuclideanDistance, Exact: []string{"group"}, Replace: true}},
		{name: "optimal", d: scoreSpec, m: Optimal{Caliper: 0.5}},
		{name: "optimal pairs of two", d: modelSpec, m: Optimal{Distance: MahalanobisDistance, Ratio: 2, Exact: []string{"group"}}},
		{name: "full", d: scoreSpec, m: Full{}},
		{name: "full, ate", d: scoreSpec, m: Full{Exact: []string{"group"}, Estimand: ATE, MaxControls: 4}},
		{name: "exact", d: Spec{Treatment: "treated", ID: "id", Covariates: []string{"group"}}, m: Exact{}},
		{name: "cem", d: cellSpec, m: CEM{Bins: thirds}},
		{name: "cem, pairs", d: cellSpec, m: CEM{Bins: thirds, PairWithin: true}},
		{name: "subclass", d: modelSpec, m: Subclass{}},
		{name: "subclass, ate", d: scoreSpec, m: Subclass{Number: 4, Estimand: ATE}},
	}
	for _, w := range []Weighting{{}, {Estimand: ATE}, {Method: OverlapMethod}, {Method: MatchingWeightsMethod}, {Method: EntropyMethod}, {Method: CBPSMethod, Estimand: ATE}} {
		out = append(out, maker{name: "weights " + w.Method + " " + w.Estimand, d: modelSpec, w: &w})
	}
	return out
}

// image is a result by the ids of the units.
type image struct {
	Estimand string
	Weight   map[string]float64
	Together map[string]string // the ids of a unit's set
	Pairs    []string
	Distance map[string]float64
	Counts   MatchCounts
	Notes    string
}

func (x maker) image(t *testing.T, tab *table.Table, workers int) image {
	t.Helper()
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	d := x.d
	d.Workers = workers
	out := image{Weight: map[string]float64{}, Together: map[string]string{}, Distance: map[string]float64{}}
	if x.w != nil {
		w, err := x.w.Fit(t.Context(), tab, d)
		require.NoError(t, err, x.name)
		for i, id := range ids {
			out.Weight[id] = w.Weight[i]
		}
		out.Estimand, out.Notes = w.Estimand, fmt.Sprint(w.Notes)
		return out
	}
	m, err := x.m.Match(t.Context(), tab, d)
	require.NoError(t, err, x.name)
	members := map[int][]string{}
	for i, id := range ids {
		out.Weight[id] = m.Weight[i]
		members[m.Set[i]] = append(members[m.Set[i]], id)
	}
	for s, list := range members {
		sort.Strings(list)
		for _, id := range list {
			if out.Together[id] = strings.Join(list, " "); s == 0 {
				out.Together[id] = ""
			}
		}
	}
	for i, p := range m.Pairs {
		pair := ids[p[0]] + " " + ids[p[1]]
		out.Pairs, out.Distance[pair] = append(out.Pairs, pair), m.PairDistance[i]
	}
	sort.Strings(out.Pairs)
	out.Estimand, out.Counts, out.Notes = m.Estimand, m.Counts, fmt.Sprint(m.Notes)
	return out
}

// alike holds two images against each other: the same sets and pairs, and numbers to
// a tolerance.
func (a image) alike(t *testing.T, b image, what string) {
	t.Helper()
	require.Equal(t, a.Together, b.Together, what)
	require.Equal(t, a.Pairs, b.Pairs, what)
	require.Len(t, b.Weight, len(a.Weight), what)
	for id, w := range a.Weight {
		reftest.Near(t, what+": weight", b.Weight[id], w, 1e-7*(1+w)) // balancing weights stop at 1e-10 SD
	}
}

// total is the sum of the distances of pairs.
func (a image) total() float64 {
	sum := 0.0
	for _, p := range a.Pairs {
		sum += a.Distance[p]
	}
	return sum
}

// renamed gives an image other ids.
func (a image) renamed(to func(string) string) image {
	all := func(s string) string {
		f := strings.Fields(s)
		for i := range f {
			f[i] = to(f[i])
		}
		sort.Strings(f)
		return strings.Join(f, " ")
	}
	out := image{Estimand: a.Estimand, Counts: a.Counts, Notes: a.Notes, Weight: map[string]float64{}, Together: map[string]string{}}
	for id, w := range a.Weight {
		out.Weight[to(id)] = w
		if set, ok := a.Together[id]; ok {
			out.Together[to(id)] = all(set)
		}
	}
	for _, p := range a.Pairs {
		f := strings.Fields(p)
		out.Pairs = append(out.Pairs, to(f[0])+" "+to(f[1]))
	}
	sort.Strings(out.Pairs)
	return out
}

// relation runs every method on two tables: the first as it is, the second as made of it.
func relation(t *testing.T, stage string, change func(s *num.Stream, p plain) *table.Table, compare func(t *testing.T, x maker, a, b image)) {
	s := num.NewStream(41, stage, 0)
	p := smooth(s, 150)
	groups := []string{"a", "b", "c"}
	for i := range p.group {
		p.group[i] = groups[s.Intn(3)]
	}
	first, second := p.table(t), change(s, p.take(indices(len(p.id))))
	for _, x := range everyMethod() {
		t.Run(x.name, func(t *testing.T) { compare(t, x, x.image(t, first, 1), x.image(t, second, 1)) })
	}
}

func shuffledRows(s *num.Stream, n int) []int {
	rows := indices(n)
	for i := range rows {
		j := s.Intn(i + 1)
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

func TestM01RowsInAnotherOrder(t *testing.T) {
	relation(t, "M1", func(s *num.Stream, p plain) *table.Table { return p.take(shuffledRows(s, len(p.id))).table(t) },
		func(t *testing.T, x maker, a, b image) { require.Equal(t, a, b) })
}

func TestM02ColumnsInAnotherOrder(t *testing.T) {
	relation(t, "M2", func(_ *num.Stream, p plain) *table.Table {
		tab := p.table(t)
		var cols []table.Column
		for _, f := range slices.Backward(tab.Fields()) {
			c, err := tab.Column(f.Name)
			require.NoError(t, err)
			cols = append(cols, c)
		}
		out, err := table.New(cols...)
		require.NoError(t, err)
		return out
	}, func(t *testing.T, x maker, a, b image) { require.Equal(t, a, b) })
}

// Nothing ties in these data, so that other ids choose the same; where scores tie see
// TestNearestEqualsLookingAtEveryPair. Of several pairings on a line with one total the
// ids choose the one, so that optimal and full matching keep the total.
func TestM03OtherIDs(t *testing.T) {
	other := func(id string) string { return "other-" + id }
	relation(t, "M3", func(_ *num.Stream, p plain) *table.Table {
		for i := range p.id {
			p.id[i] = other(p.id[i])
		}
		return p.table(t)
	}, func(t *testing.T, x maker, a, b image) {
		if strings.Contains(x.name, "random") {
			t.Skip("the random order is that of the ids")
		}
		if x.name == "optimal" || strings.HasPrefix(x.name, "full") {
			require.Equal(t, a.Counts.MatchedTreated, b.Counts.MatchedTreated)
			require.Equal(t, a.Counts.MatchedControl, b.Counts.MatchedControl)
			reftest.Near(t, "total", b.total(), a.total(), 1e-9)
			return
		}
		a.renamed(other).alike(t, b, x.name)
	})
}

func TestM04CategoriesRenamedInTheirOrder(t *testing.T) {
	relation(t, "M4", func(_ *num.Stream, p plain) *table.Table {
		for i := range p.group {
			p.group[i] = "level-" + p.group[i]
		}
		return p.table(t)
	}, func(t *testing.T, x maker, a, b image) { require.Equal(t, a, b) })
}

func TestM05CovariatesInOtherUnits(t *testing.T) {
	for _, c := range []float64{1024, 0.001, 7} {
		relation(t, "M5", func(_ *num.Stream, p plain) *table.Table {
			for i := range p.id {
				p.x[1][i] *= c
			}
			return p.table(t)
		}, func(t *testing.T, x maker, a, b image) {
			if strings.HasPrefix(x.name, "cem") && c != 1 { // the cut points are in the old units, and 0 is in both
				require.Equal(t, a.Together, b.Together)
				return
			}
			if c == 1024 && x.m != nil && !strings.Contains(x.name, "logit") {
				require.Equal(t, a, b)
				return
			}
			a.alike(t, b, x.name)
		})
	}
}

// The propensity of a logit model and Mahalanobis distance do not change under an
// invertible linear map of the covariates.
func TestM06LinearMapOfTheCovariates(t *testing.T) {
	relation(t, "M6", func(_ *num.Stream, p plain) *table.Table {
		for i := range p.id {
			a, b, c := p.x[0][i], p.x[1][i], p.x[2][i]
			p.x[0][i], p.x[1][i], p.x[2][i] = 3*a+b+100, b-2*c, a+b+c
		}
		return p.table(t)
	}, func(t *testing.T, x maker, a, b image) {
		if strings.Contains(x.name, "robust") || strings.Contains(x.name, "euclidean") || strings.HasPrefix(x.name, "cem") || strings.Contains(x.name, "atc") {
			t.Skip("of the columns themselves")
		}
		a.alike(t, b, x.name)
	})
}

// Rows that no filter keeps change the count of the first filter and nothing else.
func TestM07PeopleWhoWereNeverEligible(t *testing.T) {
	rules := []Filter{{Name: "in-range", Keep: "x0 < 50"}}
	eligible := func(tab *table.Table) (*table.Table, []Step) {
		rows, steps, err := Apply(tab, rules, "treated")
		require.NoError(t, err)
		return tab.Take(rows), steps
	}
	added := 0
	relation(t, "M7", func(s *num.Stream, p plain) *table.Table {
		_, before := eligible(p.table(t))
		q := p.take(append(indices(len(p.id)), 3, 7, 11, 20))
		for i := len(p.id); i < len(q.id); i++ {
			q.id[i], q.x[0][i] = fmt.Sprint("new-", i), 99
			added++
		}
		out, after := eligible(q.take(shuffledRows(s, len(q.id))).table(t))
		require.Equal(t, before[0].UnitsIn+added, after[0].UnitsIn)
		require.Equal(t, before[0].UnitsOut, after[0].UnitsOut)
		return out
	}, func(t *testing.T, x maker, a, b image) { require.Equal(t, a, b) })
}

func TestM08ControlFarOutsideTheCaliper(t *testing.T) {
	p := smooth(num.NewStream(42, "M8", 0), 100)
	q := p.take(append(indices(100), slices.Index(p.treat, false)))
	q.id[100], q.score[100] = "far", 1e6
	for j := range q.x {
		q.x[j][100] = 1e3
	}
	for _, x := range []maker{
		{name: "nearest", d: scoreSpec, m: Nearest{CaliperRaw: 0.2}},
		{name: "replacement", d: scoreSpec, m: Nearest{CaliperRaw: 0.2, Ratio: 2, Replace: true}},
		{name: "closest", d: scoreSpec, m: Nearest{CaliperRaw: 0.2, Order: ClosestOrder}},
		{name: "column", d: scoreSpec, m: Nearest{CaliperOn: map[string]float64{"x0": 0.5}}},
		{name: "optimal", d: scoreSpec, m: Optimal{CaliperRaw: 0.2}},
		{name: "full", d: scoreSpec, m: Full{CaliperRaw: 0.2}},
	} {
		a, b := x.image(t, p.table(t), 1), x.image(t, q.table(t), 1)
		require.Equal(t, a.Pairs, b.Pairs, x.name)
		require.Zero(t, b.Weight["far"], x.name)
		require.Equal(t, a.Counts.Control-a.Counts.MatchedControl+1, b.Counts.Control-b.Counts.MatchedControl, x.name)
		delete(b.Weight, "far")
		require.Equal(t, a.Weight, b.Weight, x.name)
	}
}

// effect is the weighted difference of means of an outcome made of the covariates.
func effect(p plain, weight func(i int) float64) float64 {
	var sum, total [2]float64
	for i := range p.id {
		a, w := arm(p.treat[i]), weight(i)
		sum[a] += w * (p.x[0][i] + p.x[1][i]*p.x[1][i] + float64(a))
		total[a] += w
	}
	return sum[1]/total[1] - sum[0]/total[0]
}

func (a image) effect(p plain) float64 {
	return effect(p, func(i int) float64 { return a.Weight[p.id[i]] })
}

func TestM09EveryControlTwiceWithReplacement(t *testing.T) {
	p := smooth(num.NewStream(43, "M9", 0), 90)
	rows := indices(90)
	for i, treated := range p.treat {
		if !treated {
			rows = append(rows, i)
		}
	}
	q := p.take(rows)
	for i := 90; i < len(q.id); i++ {
		q.id[i] += "-twin"
	}
	for _, distance := range []string{"", MahalanobisDistance} {
		d := scoreSpec
		if distance != "" {
			d = metricSpec
		}
		one := maker{d: d, m: Nearest{Distance: distance, Replace: true, Ratio: 2}}.image(t, p.table(t), 1)
		two := maker{d: d, m: Nearest{Distance: distance, Replace: true, Ratio: 4}}.image(t, q.table(t), 1)
		if distance == "" { // the twins change the covariance that the metric is made of
			reftest.Near(t, "effect", two.effect(q), one.effect(p), 1e-10)
		}
		// The nearest of a treated unit and its twin are both its partners.
		for _, pair := range two.Pairs {
			twin := pair + "-twin"
			if strings.HasSuffix(pair, "-twin") {
				twin = strings.TrimSuffix(pair, "-twin")
			}
			require.Contains(t, two.Pairs, twin)
		}
	}
}

// A narrower caliper cannot match more where as many as possible are matched, and no
// pair is wider than it in any method.
func TestM10NarrowerCaliper(t *testing.T) {
	for rep := range 10 {
		p := smooth(num.NewStream(44, "M10", uint64(rep)), 80)
		before := math.MaxInt
		for _, w := range []float64{2, 0.5, 0.2, 0.1, 0.05} {
			for _, m := range []Matcher{Optimal{CaliperRaw: w}, Nearest{CaliperRaw: w}, Nearest{CaliperRaw: w, Replace: true, Ratio: 3}} {
				got, err := m.Match(t.Context(), p.table(t), scoreSpec)
				require.NoError(t, err)
				require.LessOrEqual(t, slices.Max(got.PairDistance), w)
				if _, optimal := m.(Optimal); optimal {
					require.LessOrEqual(t, got.Counts.Sets, before)
					before = got.Counts.Sets
				}
			}
		}
	}
}
