package cohort

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// cellTable is 4 treated and 6 untreated in cells of sex: f has 1 treated (a) and 2
// untreated (d, e), m has 2 (b, c) and 1 (f), x has 1 treated (g) alone, y 3 untreated.
func cellTable(t testing.TB) *table.Table {
	t.Helper()
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, []string{"j", "a", "b", "c", "d", "e", "f", "g", "h", "i"}, nil),
		table.NewInteger(table.Field{Name: "treated"}, []int64{0, 1, 1, 1, 0, 0, 0, 1, 0, 0}, nil),
		table.NewText(table.Field{Name: "sex"}, []string{"y", "f", "m", "m", "f", "f", "m", "x", "y", "y"}, nil),
		table.NewFloat(table.Field{Name: "age"}, []float64{70, 20, 30, 31, 21, 29, 39, 90, 50, 60}, nil),
	)
	require.NoError(t, err)
	return tab
}

var sexSpec = Spec{Treatment: "treated", ID: "id", Covariates: []string{"sex"}}

func noteOf(m *Matched, code string) map[string]any {
	for _, n := range m.Notes {
		if n.Code == code {
			return n.Args
		}
	}
	return nil
}

func TestExactByHand(t *testing.T) {
	tab := cellTable(t)
	for _, c := range []struct {
		estimand string
		want     map[string]float64
		kept     int
	}{
		// Untreated: 1/2, 1/2 in f and 2/1 in m add up to 3, the number of them.
		{ATT, map[string]float64{"a": 1, "b": 1, "c": 1, "d": 0.5, "e": 0.5, "f": 2}, 3},
		// Treated: 2/1 in f, 1/2 and 1/2 in m.
		{ATC, map[string]float64{"a": 2, "b": 0.5, "c": 0.5, "d": 1, "e": 1, "f": 1}, 3},
		// Treated: 3/1, 3/2, 3/2 add up to 6, times 3/6; untreated 3/2, 3/2, 3/1.
		{ATE, map[string]float64{"a": 1.5, "b": 0.75, "c": 0.75, "d": 0.75, "e": 0.75, "f": 1.5}, 6},
	} {
		m, err := Exact{Estimand: c.estimand}.Match(t.Context(), tab, sexSpec)
		require.NoError(t, err)
		ids, _, err := tab.Text("id")
		require.NoError(t, err)
		for i, id := range ids {
			require.InDelta(t, c.want[id], m.Weight[i], 1e-15, "%s %s", c.estimand, id)
		}
		require.Equal(t, []int{0, 1, 2, 2, 1, 1, 2, 0, 0, 0}, m.Set, "a is the first id of all, so that f is set 1")
		require.Equal(t, ATM, m.Estimand)
		require.Equal(t, c.kept, noteOf(m, "estimand-changed")["matched"])
		require.Equal(t, c.estimand, noteOf(m, "estimand-changed")["from"])
		require.Equal(t, 4, m.Counts.Blocks)
		require.Equal(t, 2, m.Counts.Sets)
		require.Nil(t, m.Pairs)
		b, _, err := m.Balance(t.Context(), tab, sexSpec)
		require.NoError(t, err)
		require.Equal(t, map[string]string{ATT: TreatedSD, ATC: ControlSD, ATE: PooledSD}[c.estimand], b.Denominator)
		for _, r := range b.Rows {
			require.InDelta(t, r.After.MeanTreated, r.After.MeanControl, 1e-15, "exact cells are balanced")
		}
		out, err := m.Table(tab)
		require.NoError(t, err)
		require.Equal(t, 6, out.Rows())
	}
	// Without the lonely cells nothing is lost and the estimand keeps its name.
	whole := tab.Take([]int{1, 2, 3, 4, 5, 6})
	m, err := Exact{Estimand: ATE}.Match(t.Context(), whole, sexSpec)
	require.NoError(t, err)
	require.Equal(t, ATE, m.Estimand)
	require.Empty(t, m.Notes)
}

func TestCoarsenings(t *testing.T) {
	x := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 10}
	// n = 10: ⌈log₂ 10⌉ + 1 = 5 bins of width 2.
	require.Equal(t, []float64{2, 4, 6, 8}, Coarsening{}.cuts(x))
	// n = 8 is a power of two: 3 + 1 bins; n = 9: 5.
	require.Len(t, Coarsening{}.cuts(x[:8]), 3)
	require.Len(t, Coarsening{}.cuts(x[:9]), 4)
	require.Equal(t, []float64{5}, Coarsening{Width: 2}.cuts(x))
	// Type 7 at 1/4 of 9 steps: h = 2.25 → 2 + 0.25·1; 2/4: 4.5; 3/4: 6.75.
	require.Equal(t, []float64{2.25, 4.5, 6.75}, Coarsening{Quantiles: 4}.cuts(x))
	require.Equal(t, []float64{1, 3}, Coarsening{Cuts: []float64{3, 1}}.cuts(x))
	require.Nil(t, Coarsening{}.cuts([]float64{4, 4, 4}))
	// A value equal to a cut point is in the bin above it.
	require.Equal(t, []int{0, 1, 1, 2}, []int{binOf([]float64{1, 3}, 0.9), binOf([]float64{1, 3}, 1), binOf([]float64{1, 3}, 2.9), binOf([]float64{1, 3}, 3)})
}

func TestCEMByHand(t *testing.T) {
	tab := cellTable(t)
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}
	sets := func(m CEM) []int {
		got, err := m.Match(t.Context(), tab, d)
		require.NoError(t, err)
		return got.Set
	}
	at := func(cuts ...float64) CEM { return CEM{Bins: map[string]Coarsening{"age": {Cuts: cuts}}} }
	// [-∞,30): a (20) with d, e; [30,40): b, c with f; above: g with h, i, j.
	require.Equal(t, []int{3, 1, 2, 2, 1, 1, 2, 3, 3, 3}, sets(at(30, 40)))
	// 31 as the bound leaves b (30) below it.
	require.Equal(t, []int{3, 1, 1, 2, 1, 1, 2, 3, 3, 3}, sets(at(31, 40)))
	// Sex beside it is not coarsened: the third cell falls apart.
	m := at(30, 40)
	m.Exact = []string{"sex"}
	require.Equal(t, []int{0, 1, 2, 2, 1, 1, 2, 0, 0, 0}, sets(m))
	// In pairs: a-d (1 year), c-f (8) or b-f (9): c is nearer; g (90) to j (70).
	m = at(30, 40)
	m.PairWithin = true
	got, err := m.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, []string{"a-d", "c-f", "g-j"}, named(t, tab, got))
	require.Equal(t, ATM, got.Estimand)
}

// scored has scores with one group at the top and few of it below.
func scored(t testing.TB, treated []int64, score []float64) *table.Table {
	t.Helper()
	id := make([]int64, len(score))
	for i := range id {
		id[i] = int64(i + 1)
	}
	tab, err := table.New(table.NewInteger(table.Field{Name: "id"}, id, nil), table.NewInteger(table.Field{Name: "treated"}, treated, nil),
		table.NewFloat(table.Field{Name: "score"}, score, nil))
	require.NoError(t, err)
	return tab
}

func TestSubclassByHand(t *testing.T) {
	// Treated 0.2 0.4 0.6 0.8: the median 0.5 cuts two subclasses; 0.5 itself is above.
	tab := scored(t, []int64{1, 1, 1, 1, 0, 0, 0}, []float64{0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.5})
	m, err := Subclass{Number: 2}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []float64{0.5}, m.Cuts[SubclassCuts])
	require.Equal(t, []int{1, 1, 2, 2, 1, 1, 2}, m.Set)
	// Untreated: 2/2 and 2/1 add up to 4, scaled to 3.
	for i, w := range []float64{1, 1, 1, 1, 0.75, 0.75, 1.5} {
		require.InDelta(t, w, m.Weight[i], 1e-15)
	}
	require.Equal(t, ATT, m.Estimand)
	// For the untreated the median 0.3 cuts; 0.3 is above.
	m, err = Subclass{Number: 2, Estimand: ATC}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []float64{0.3}, m.Cuts[SubclassCuts])
	require.Equal(t, []int{1, 2, 2, 2, 1, 2, 2}, m.Set)
	// For all: 0.1 … 0.8 without 0.7: the median of 7 is 0.4.
	m, err = Subclass{Number: 2, Estimand: ATE}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []float64{0.4}, m.Cuts[SubclassCuts])
	require.Equal(t, []int{1, 2, 2, 2, 1, 1, 2}, m.Set)
}

// All quantiles of 1…9 in thirds: cuts 3.67 and 6.33. The treated are 4 5 6 7 8: none
// below. Untreated 1 2 3 9: none in the middle.
func TestSubclassFilled(t *testing.T) {
	tab := scored(t, []int64{0, 0, 0, 1, 1, 1, 1, 1, 0}, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9})
	m, err := Subclass{Number: 3, Estimand: ATE}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	// Treated: 1 is empty and the first, so that the smallest of 2 (4) comes. Untreated:
	// left of 2 (3-1)/1 = 2, right (1-1)/1 = 0: the largest of 1 (3) comes.
	require.Equal(t, []int{1, 1, 2, 1, 2, 2, 3, 3, 3}, m.Set)
	require.Equal(t, 2, m.Moved)
	require.Equal(t, 2, noteOf(m, "subclass-filled")["n"])
	// Equal scores: of 4 and 4 the first row moves with ties by data; the hash of the id
	// chooses one and the same in any order of the rows.
	tab = scored(t, []int64{0, 0, 0, 1, 1, 1, 1, 1, 0}, []float64{1, 2, 3, 4, 4, 6, 7, 8, 9})
	m, err = Subclass{Number: 3, Estimand: ATE, Ties: DataTies}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, m.Set[3:5])
	turned := tab.Take([]int{8, 7, 6, 5, 4, 3, 2, 1, 0})
	m, err = Subclass{Number: 3, Estimand: ATE}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	other, err := Subclass{Number: 3, Estimand: ATE}.Match(t.Context(), turned, scoreSpec)
	require.NoError(t, err)
	slices.Reverse(other.Set)
	require.Equal(t, m.Set, other.Set)
	// Scores that fall together leave fewer subclasses than asked for.
	tab = scored(t, []int64{0, 0, 0, 1, 1, 1}, []float64{1, 1, 2, 1, 1, 2})
	m, err = Subclass{Number: 3}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, 2, noteOf(m, "fewer-subclasses")["n"])
	_, err = Subclass{Number: 4}.Match(t.Context(), scored(t, []int64{0, 0, 1, 1, 1, 1, 1}, []float64{1, 2, 3, 4, 5, 6, 7}), scoreSpec)
	require.ErrorIs(t, err, ErrNoSupport)
}

// Row order, workers and other ids leave sets and weights as they are; swapping the
// groups and the estimand swaps nothing but names.
func TestCellsInvariances(t *testing.T) {
	s := num.NewStream(31, "cells", 0)
	for round := range 40 {
		p := fuzzed(s, 150)
		perm := indices(150)
		for i := range perm {
			j := s.Intn(i + 1)
			perm[i], perm[j] = perm[j], perm[i]
		}
		d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "group"}}
		q := p.take(perm)
		r := p.take(indices(150))
		for i := range r.treat {
			r.treat[i] = !r.treat[i]
		}
		swap := map[string]string{ATT: ATC, ATC: ATT, ATE: ATE}
		estimand := []string{ATT, ATC, ATE}[round%3]
		for _, c := range []struct {
			a, swapped Matcher
			d          Spec
		}{
			{Exact{Estimand: estimand}, Exact{Estimand: swap[estimand]}, d},
			{CEM{Estimand: estimand}, CEM{Estimand: swap[estimand]}, d},
			{Subclass{Estimand: estimand, Number: 4}, Subclass{Estimand: swap[estimand], Number: 4}, scoreSpec},
		} {
			d, e := c.d, c.d
			d.Workers, e.Workers = 1, 3
			got, err := c.a.Match(t.Context(), p.table(t), d)
			if errorsIsDesign(err) {
				continue
			}
			require.NoError(t, err)
			same, err := c.a.Match(t.Context(), q.table(t), e)
			require.NoError(t, err)
			for i, k := range perm {
				require.Equal(t, got.Set[k], same.Set[i])
				require.Equal(t, math.Float64bits(got.Weight[k]), math.Float64bits(same.Weight[i]))
			}
			mirror, err := c.swapped.Match(t.Context(), r.table(t), d)
			require.NoError(t, err)
			require.Equal(t, got.Set, mirror.Set)
			require.Equal(t, got.Weight, mirror.Weight)
		}
	}
}

func TestCellsBadInput(t *testing.T) {
	tab := cellTable(t)
	d := sexSpec
	for name, c := range map[string]struct {
		m    Matcher
		d    Spec
		want error
		text string
	}{
		"no column":             {Exact{}, Spec{Treatment: "treated"}, ErrOption, "at least one column"},
		"twice":                 {Exact{Columns: []string{"sex", "sex"}}, d, ErrOption, "twice"},
		"treatment":             {Exact{Columns: []string{"treated"}}, d, ErrOption, "treatment"},
		"score":                 {Exact{}, Spec{Treatment: "treated", Covariates: []string{"sex"}, Score: "age"}, ErrOption, "score"},
		"estimand":              {Exact{Estimand: "ato"}, d, ErrOption, "ato"},
		"no cell":               {Exact{}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrNoSupport, "age"},
		"cut points":            {CEM{Bins: map[string]Coarsening{"age": {}}}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrOption, "age"},
		"two ways":              {CEM{Bins: map[string]Coarsening{"age": {Width: 2, Quantiles: 3}}}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrOption, "one of them"},
		"one bin":               {CEM{Bins: map[string]Coarsening{"age": {Width: 1}}}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrOption, "2 bins"},
		"cut at infinity":       {CEM{Bins: map[string]Coarsening{"age": {Cuts: []float64{math.Inf(1)}}}}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrOption, "finite"},
		"cut twice":             {CEM{Bins: map[string]Coarsening{"age": {Cuts: []float64{1, 1}}}}, Spec{Treatment: "treated", Covariates: []string{"age"}}, ErrOption, "twice"},
		"cut of another column": {CEM{Bins: map[string]Coarsening{"age": {Width: 3}}}, d, ErrOption, "not among"},
		"cut of a category":     {CEM{Bins: map[string]Coarsening{"sex": {Width: 3}}}, d, ErrOption, "category"},
		"pairs for all":         {CEM{PairWithin: true, Estimand: ATE}, d, ErrOption, "ate"},
		"seed without pairs":    {CEM{Seed: 3}, d, ErrOption, "seed"},
		"one subclass":          {Subclass{Number: 1}, d, ErrOption, "2 subclasses"},
		"metric":                {Subclass{Distance: MahalanobisDistance}, d, ErrOption, "mahalanobis"},
		"score and distance":    {Subclass{Distance: LogitDistance}, Spec{Treatment: "treated", Score: "age"}, ErrOption, "give one"},
		"score of text":         {Subclass{}, Spec{Treatment: "treated", Score: "sex"}, ErrCovariate, "sex"},
		"seed of ties data":     {Subclass{Ties: DataTies, Seed: 2}, d, ErrOption, "seed"},
	} {
		_, err := c.m.Match(t.Context(), tab, c.d)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.text, name)
	}
}

func TestMatcherOfSpec(t *testing.T) {
	for _, c := range []struct {
		s    MatchSpec
		want any
	}{
		{MatchSpec{}, Nearest{}}, {MatchSpec{Method: "exact", Exact: []string{"a"}}, Exact{Columns: []string{"a"}}},
		{MatchSpec{Method: "cem", PairWithin: true, Seed: 2}, CEM{PairWithin: true, Seed: 2}},
		{MatchSpec{Method: "optimal", Ratio: 2, Caliper: Width(0.2), Seed: 1}, Optimal{Ratio: 2, Caliper: 0.2, Seed: 1}},
		{MatchSpec{Method: "full", MinControls: 0.5, MaxControls: 3, Estimand: ATE, Exact: []string{"a"}}, Full{MinControls: 0.5, MaxControls: 3, Estimand: ATE, Exact: []string{"a"}}},
		{MatchSpec{Method: "cardinality", Ratio: 2, Tolerance: Width(0), ToleranceOn: map[string]float64{"a": 1}, PairWithin: true, Exact: []string{"b"}, Seed: 3},
			Cardinality{Ratio: 2, Tolerance: Width(0), ToleranceOn: map[string]float64{"a": 1}, PairWithin: true, Exact: []string{"b"}, Seed: 3}},
		{MatchSpec{Method: "subclass", Subclasses: 5, Estimand: ATE}, Subclass{Number: 5, Estimand: ATE}},
	} {
		m, err := c.s.Matcher()
		require.NoError(t, err)
		require.IsType(t, c.want, m)
		require.Equal(t, c.want, m)
		require.Empty(t, c.s.Check())
	}
	for _, s := range []MatchSpec{
		{Method: "other"}, {Method: "optimal", Replace: true}, {Method: "full", Ratio: 2}, {Method: "optimal", MinControls: 2}, {Method: "full", Order: RandomOrder}, {Tolerance: Width(0.1)}, {Method: "cem", ToleranceOn: map[string]float64{"a": 1}}, {Method: "cardinality", Caliper: Width(0.2)}, {Subclasses: 4}, {PairWithin: true}, {Method: "exact", Caliper: Width(1)}, {Method: "exact", Subclasses: 3},
		{Method: "cem", Ratio: 2}, {Method: "cem", Distance: "logit"}, {Method: "subclass", Exact: []string{"a"}}, {Method: "subclass", PairWithin: true},
		{Method: "exact", Seed: 1}, {Method: "exact", Ties: HashTies}, {Method: "subclass", Order: DataOrder}, {Method: "subclass", Replace: true},
	} {
		_, err := s.Matcher()
		require.ErrorIs(t, err, ErrOption, "%+v", s)
		require.NotEmpty(t, s.Check())
	}
	for _, method := range []string{"optimal", "full", "exact", "cem", "subclass", "cardinality"} {
		_, err := MatchSpec{Method: method}.Nearest()
		require.ErrorIs(t, err, ErrNotBuilt)
	}
}

// Every kind of damage to a result is found.
func TestVerifyCellsFindsDamage(t *testing.T) {
	tab := cellTable(t)
	cem := CEM{Bins: map[string]Coarsening{"age": {Cuts: []float64{30, 40}}}}
	age := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}
	sub := Subclass{Number: 3, Estimand: ATE}
	scores := scored(t, []int64{0, 0, 0, 1, 1, 1, 1, 1, 0}, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9})
	for _, c := range []struct {
		m      Matcher
		t      *table.Table
		d      Spec
		verify func(*Matched) error
		spoil  []func(*Matched)
	}{
		{Exact{}, tab, sexSpec, func(m *Matched) error { return VerifyExact(tab, sexSpec, Exact{}, m) }, []func(*Matched){
			func(m *Matched) { m.Set[4] = 2 }, func(m *Matched) { m.Set[4] = 0; m.Weight[4] = 0 }, func(m *Matched) { m.Set[0], m.Set[7] = 3, 3 },
		}},
		{cem, tab, age, func(m *Matched) error { return VerifyCEM(tab, age, cem, m) }, []func(*Matched){
			func(m *Matched) { m.Cuts["age"][0] = 29 }, func(m *Matched) { m.Set[2] = 1 }, func(m *Matched) { delete(m.Cuts, "age") },
			func(m *Matched) { m.Cuts["age"] = m.Cuts["age"][:1] },
		}},
		{sub, scores, scoreSpec, func(m *Matched) error { return VerifySubclass(scores, scoreSpec, sub, m) }, []func(*Matched){
			func(m *Matched) { m.Set[5], m.Set[4] = 1, 2 }, func(m *Matched) { m.Moved = 1 }, func(m *Matched) { m.Score = slices.Clone(m.Score); m.Score[0] = 0 },
			func(m *Matched) { m.Set[0] = 0 },
		}},
	} {
		spoil := append(c.spoil,
			func(m *Matched) { m.Weight[1] *= 1.001 }, func(m *Matched) { m.Weight[4] = 0 }, func(m *Matched) { m.Estimand = "other" },
			func(m *Matched) { m.Counts.Sets++ }, func(m *Matched) { m.Counts.ESSControl *= 1.01 }, func(m *Matched) { m.Counts.MatchedTreated-- },
			func(m *Matched) { m.Set = m.Set[1:] }, func(m *Matched) { m.Pairs = [][2]int{{1, 4}} }, func(m *Matched) { m.Set[0] = -1 },
			func(m *Matched) {
				for i := range m.Weight {
					m.Weight[i] *= 2
				}
			})
		for k, f := range spoil {
			m, err := c.m.Match(t.Context(), c.t, c.d)
			require.NoError(t, err)
			require.NoError(t, c.verify(m))
			f(m)
			require.ErrorIs(t, c.verify(m), ErrConstraint, "%T %d", c.m, k)
		}
	}
}
