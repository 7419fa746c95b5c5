package cohort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// line is a table with a score column and ids "a", "b", …
func line(t *testing.T, treated []bool, score []float64) *table.Table {
	t.Helper()
	id := make([]string, len(score))
	for i := range id {
		id[i] = string(rune('a' + i))
	}
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, id, nil),
		table.NewBoolean(table.Field{Name: "treated"}, treated, nil),
		table.NewFloat(table.Field{Name: "score"}, score, nil),
	)
	require.NoError(t, err)
	return tab
}

// By hand: treated a = 10, b = 8; untreated c = 9, d = 0, e = 13. Greedy (a first) takes c for a at
// 1 and e for b at 5: 6. Best is c for b and e for a: 1 + 3 = 4.
func TestOptimalByHand(t *testing.T) {
	tab := line(t, []bool{true, true, false, false, false}, []float64{10, 8, 9, 0, 13})
	m, err := Optimal{}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, [][2]int{{0, 4}, {1, 2}}, m.Pairs)
	require.Equal(t, []float64{3, 1}, m.PairDistance)
	require.Equal(t, 4.0, m.Optimum.Total)
	require.Equal(t, []float64{1, 1, 1, 0, 1}, m.Weight)
	require.Equal(t, 6, m.Optimum.Pairs)
	// Within 2, a and b both have c alone: one goes without, a pair at distance 1 stays.
	m, err = Optimal{CaliperRaw: 2}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, 1, m.Counts.Pairs)
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, []string{"few-controls", "estimand-changed", "caliper-excluded"}, codes(m.Notes))
	require.Equal(t, CaliperUse{"distance", 2, 6, 4}, m.Calipers[0])
	// Within 3.5 both have a partner, although one pair is farther than a single one would be.
	m, err = Optimal{CaliperRaw: 3.5}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, [][2]int{{0, 4}, {1, 2}}, m.Pairs)
	// Two for each: a has three to choose from and b too, so that one lacks its second. a: c, e; b: d
	// at 1 + 3 + 8; a: e; b: c, d at 3 + 1 + 8; a: e, d and b: c is 3 + 10 + 1.
	m, err = Optimal{Ratio: 2}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, 12.0, m.Optimum.Total)
	require.Equal(t, 1, m.Counts.Incomplete)
}

// assignments calls visit for every choice of at most one of n partners for each of m units.
func assignments(m, n int, visit func(of []int)) {
	of, used := make([]int, m), make([]bool, n)
	var next func(i int)
	next = func(i int) {
		if i == m {
			visit(of)
			return
		}
		of[i] = -1
		next(i + 1)
		for j := range n {
			if !used[j] {
				used[j], of[i] = true, j
				next(i + 1)
				used[j] = false
			}
		}
	}
	next(0)
}

// M14: against every choice of pairs, n ≤ 8, with and without calipers and exact groups.
func TestOptimalBruteForce(t *testing.T) {
	done := 0
	for rep := range 300 {
		s := num.NewStream(41, "pairs", uint64(rep))
		p := fuzzed(s, 4+s.Intn(5))
		m := Optimal{Seed: uint64(s.Intn(2))}
		if s.Bernoulli(0.5) {
			m.CaliperRaw = 0.1 + 0.4*s.Float()
		}
		if s.Bernoulli(0.3) {
			m.Exact = []string{"group"}
		}
		if s.Bernoulli(0.3) {
			m.CaliperOn = map[string]float64{"x0": 3}
		}
		if s.Bernoulli(0.3) {
			m.Estimand = ATC
		}
		var units, partners []int
		for i, a := range p.treat {
			if a == (m.Estimand != ATC) {
				units = append(units, i)
			} else {
				partners = append(partners, i)
			}
		}
		most, least := 0, math.Inf(1)
		assignments(len(units), len(partners), func(of []int) {
			n, sum := 0, 0.0
			for i, j := range of {
				if j < 0 {
					continue
				}
				a, b := units[i], partners[j]
				d := math.Abs(p.score[a] - p.score[b])
				if m.CaliperRaw > 0 && d > m.CaliperRaw || m.Exact != nil && p.group[a] != p.group[b] || m.CaliperOn != nil && math.Abs(p.x[0][a]-p.x[0][b]) > 3 {
					return
				}
				n++
				sum += d
			}
			if n > most || n == most && sum < least {
				most, least = n, sum
			}
		})
		got, err := m.Match(t.Context(), p.table(t), scoreSpec)
		if most == 0 {
			require.ErrorIs(t, err, ErrNoSupport)
			continue
		}
		require.NoError(t, err, "rep %d %+v", rep, m)
		require.Equal(t, most, got.Counts.Pairs, "rep %d", rep)
		require.InDelta(t, least, got.Optimum.Total, 1e-11, "rep %d", rep)
		done++
	}
	require.Greater(t, done, 200)
}

func total(m *Matched) float64 { return num.Sum(m.PairDistance) }

// M14: never worse than the greedy match where both match everybody; M1, M22: rows in another order and
// other numbers of workers change nothing; M15: treatment the other way round.
func TestOptimalRelations(t *testing.T) {
	for rep := range 40 {
		s := num.NewStream(42, "relations", uint64(rep))
		p := fuzzed(s, 120)
		d := Spec{Treatment: "treated", ID: "id", Score: "score", Workers: 1}
		m := Optimal{Ratio: 1 + s.Intn(3), Seed: uint64(s.Intn(3))}
		if rep%3 == 0 {
			m.Distance, d.Score, d.Covariates = []string{MahalanobisDistance, EuclideanDistance, RobustMahalanobisDistance}[s.Intn(3)], "", threeCovariates
		}
		if rep%2 == 0 {
			m.Exact = []string{"group"}
		}
		got, err := m.Match(t.Context(), p.table(t), d)
		if err != nil {
			require.True(t, errorsIsDesign(err), "%v", err)
			continue
		}
		greedy, err := Nearest{Distance: m.Distance, Ratio: m.Ratio, Exact: m.Exact}.Match(t.Context(), p.table(t), d)
		require.NoError(t, err)
		require.GreaterOrEqual(t, got.Counts.Pairs, greedy.Counts.Pairs)
		require.GreaterOrEqual(t, got.Counts.Sets, greedy.Counts.Sets)
		if got.Counts.Pairs == greedy.Counts.Pairs && got.Counts.Sets == greedy.Counts.Sets {
			require.LessOrEqual(t, total(got), total(greedy)*(1+1e-12))
		}
		order := num.OrderKeys(func() (k []uint64) {
			for range p.id {
				k = append(k, s.Uint64())
			}
			return k
		}())
		var rows []int
		for _, o := range order {
			rows = append(rows, int(o))
		}
		d.Workers = 5
		other, err := m.Match(t.Context(), p.take(rows).table(t), d)
		require.NoError(t, err)
		var back [][2]int
		for _, pair := range other.Pairs {
			back = append(back, [2]int{rows[pair[0]], rows[pair[1]]})
		}
		require.Equal(t, got.Pairs, back, "rep %d", rep)
		require.Equal(t, got.PairDistance, other.PairDistance)
		require.Equal(t, got.Optimum.Total, other.Optimum.Total)
		swapped := p.take(indices(120))
		for i := range swapped.treat {
			swapped.treat[i] = !swapped.treat[i]
		}
		m.Estimand = ATC
		turned, err := m.Match(t.Context(), swapped.table(t), d)
		require.NoError(t, err)
		reftest.Near(t, "total", turned.Optimum.Total, got.Optimum.Total, 1e-9)
		require.Equal(t, got.Counts.Pairs, turned.Counts.Pairs)
	}
}

// M10: a narrower caliper never gives more pairs. M13: exact is the groups one by one.
func TestOptimalCaliperAndGroups(t *testing.T) {
	for rep := range 10 {
		p := smooth(num.NewStream(43, "caliper", uint64(rep)), 150)
		for i := range p.group {
			p.group[i] = string(rune('a' + i%2))
		}
		last := math.MaxInt
		for _, w := range []float64{2, 0.5, 0.1, 0.02} {
			m, err := Optimal{CaliperRaw: w}.Match(t.Context(), p.table(t), scoreSpec)
			require.NoError(t, err)
			require.LessOrEqual(t, m.Counts.Pairs, last)
			require.LessOrEqual(t, slices.Max(m.PairDistance), w)
			greedy := mustMatch(t, p, Nearest{CaliperRaw: w}, scoreSpec)
			require.GreaterOrEqual(t, m.Counts.Pairs, greedy.Counts.Pairs)
			last = m.Counts.Pairs
		}
		joint, err := Optimal{Exact: []string{"group"}}.Match(t.Context(), p.table(t), scoreSpec)
		require.NoError(t, err)
		sum := 0.0
		for _, g := range []string{"a", "b"} {
			var rows []int
			for i := range p.group {
				if p.group[i] == g {
					rows = append(rows, i)
				}
			}
			m, err := Optimal{}.Match(t.Context(), p.take(rows).table(t), scoreSpec)
			require.NoError(t, err)
			sum += m.Optimum.Total
		}
		reftest.Agree(t, "total by group", joint.Optimum.Total, sum, 10)
	}
}

func TestOptimalOptionsAndErrors(t *testing.T) {
	p := smooth(num.NewStream(44, "options", 0), 90)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
	}
	tab := p.table(t)
	d := Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates, Score: ""}
	seen := map[string]string{}
	for name, m := range map[string]Optimal{
		"plain": {}, "linear": {Distance: LinearLogitDistance}, "mahalanobis": {Distance: MahalanobisDistance}, "robust": {Distance: RobustMahalanobisDistance},
		"euclid": {Distance: EuclideanDistance}, "ratio": {Ratio: 2}, "caliper": {Caliper: 0.05}, "raw": {CaliperRaw: 0.01}, "on": {CaliperOn: map[string]float64{"x0": 0.3}},
		"score": {Distance: MahalanobisDistance, CaliperScore: 0.1}, "exact": {Exact: []string{"group"}}, "atc": {Estimand: ATC},
	} {
		got, err := m.Match(t.Context(), tab, d)
		require.NoError(t, err, name)
		key := fmt.Sprint(got.Pairs, got.Optimum.Total)
		require.Empty(t, seen[key], "%s and %s are the same", name, seen[key])
		seen[key] = name
	}
	for _, m := range []Optimal{{Estimand: ATE}, {Ratio: -1}, {Distance: "other"}, {Caliper: 0.1, CaliperRaw: 1}, {MaxArcs: -1}} {
		require.NotEmpty(t, m.Check())
		_, err := m.Match(t.Context(), tab, d)
		require.ErrorIs(t, err, ErrOption)
	}
	_, err := Optimal{MaxArcs: 100}.Match(t.Context(), tab, d)
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "exact")
	_, err = Full{MaxArcs: 10}.Match(t.Context(), tab, d)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = Optimal{CaliperRaw: 1e-12}.Match(t.Context(), tab, d)
	require.ErrorIs(t, err, ErrNoSupport)
}

// The seed chooses among optima, never their total.
func TestOptimalSeedBreaksTies(t *testing.T) {
	s := num.NewStream(45, "seed", 0)
	p := fuzzed(s, 100)
	for i := range p.score {
		p.score[i] = float64(s.Intn(4))
		p.treat[i] = i%4 == 0
	}
	a, err := Optimal{}.Match(t.Context(), p.table(t), scoreSpec)
	require.NoError(t, err)
	b, err := Optimal{Seed: 1}.Match(t.Context(), p.table(t), scoreSpec)
	require.NoError(t, err)
	require.NotEqual(t, a.Pairs, b.Pairs)
	require.Equal(t, a.Optimum.Total, b.Optimum.Total)
}

// Distances are whole numbers of a unit that follows the data: neither a caliper far wider than they are nor
// their scale changes the pairs, and a power of two changes nothing at all.
func TestOptimalUnit(t *testing.T) {
	p := smooth(num.NewStream(47, "unit", 0), 120)
	base, err := Optimal{}.Match(t.Context(), p.table(t), scoreSpec)
	require.NoError(t, err)
	wide, err := Optimal{CaliperRaw: 1e200}.Match(t.Context(), p.table(t), scoreSpec)
	require.NoError(t, err)
	require.Equal(t, base.Pairs, wide.Pairs)
	require.Equal(t, base.Optimum.Unit, wide.Optimum.Unit)
	require.Contains(t, codes(wide.Notes), "caliper-unused")
	require.LessOrEqual(t, base.Optimum.Unit, 1e-13*(slices.Max(p.score)-slices.Min(p.score)))
	for _, factor := range []float64{math.Ldexp(1, 300), math.Ldexp(1, -300)} {
		q := p.take(indices(120))
		for i := range q.score {
			q.score[i] *= factor
		}
		got, err := Optimal{}.Match(t.Context(), q.table(t), scoreSpec)
		require.NoError(t, err)
		require.Equal(t, base.Pairs, got.Pairs)
		require.Equal(t, base.Optimum.Price, got.Optimum.Price)
		require.Equal(t, base.Optimum.Unit*factor, got.Optimum.Unit)
	}
	for i := range p.score {
		p.score[i] = 7
	}
	same, err := Optimal{}.Match(t.Context(), p.table(t), scoreSpec)
	require.NoError(t, err)
	require.Zero(t, same.Optimum.Total)
}

// A pair is counted for the first caliper that it breaks. Treated 0 with x = 0; untreated 1, 2, 9, 9 with x = 0, 5, 0, 5:
// the distance (3) rules out two, and x (1) one of those that it leaves.
func TestOptimalCountsCalipers(t *testing.T) {
	tab := line(t, []bool{true, false, false, false, false}, []float64{0, 1, 2, 9, 9})
	tab, err := tab.With(table.NewFloat(table.Field{Name: "x"}, []float64{0, 0, 5, 0, 5}, nil))
	require.NoError(t, err)
	m, err := Optimal{CaliperRaw: 3, CaliperOn: map[string]float64{"x": 1}}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []CaliperUse{{"distance", 3, 4, 2}, {"x", 1, 4, 1}}, m.Calipers)
	require.Equal(t, []int{4, 1}, []int{m.Optimum.Pairs, m.Optimum.Kept})
}

func TestSmallest(t *testing.T) {
	for rep := range 300 {
		s := num.NewStream(48, "smallest", uint64(rep))
		all := make([]offer, s.Intn(60))
		for i := range all {
			all[i] = offer{int64(s.Intn(8)), int32(i)}
		}
		k := s.Intn(len(all) + 3)
		want := slices.Clone(all)
		less := func(a, b offer) int {
			if a.before(b) {
				return -1
			}
			return 1
		}
		slices.SortFunc(want, less)
		want = want[:min(k, len(want))]
		got := smallest(all, k)
		slices.SortFunc(got, less)
		require.Equal(t, want, got)
	}
}

// Each corruption of a proof or of pairs is seen.
func TestVerifyOptimalSeesCorruption(t *testing.T) {
	p := smooth(num.NewStream(46, "verify", 0), 100)
	tab := p.table(t)
	metric := Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates}
	for _, c := range []struct {
		m Optimal
		d Spec
	}{{Optimal{CaliperRaw: 0.3}, scoreSpec}, {Optimal{Distance: MahalanobisDistance, Ratio: 2}, metric}, {Optimal{Estimand: ATC, CaliperOn: map[string]float64{"x0": 1}}, scoreSpec}} {
		for name, spoil := range map[string]func(m *Matched){
			"no proof":    func(m *Matched) { m.Optimum = nil },
			"short":       func(m *Matched) { m.Optimum.Price = m.Optimum.Price[1:] },
			"total":       func(m *Matched) { m.Optimum.Total *= 1.001 },
			"unit":        func(m *Matched) { m.Optimum.Unit *= 2 },
			"price up":    func(m *Matched) { m.Optimum.Price[m.Pairs[0][0]] += 1 << 44 },
			"price down":  func(m *Matched) { m.Optimum.Price[m.Pairs[0][1]] -= 1 << 44 },
			"pairs count": func(m *Matched) { m.Optimum.Pairs++ },
			"prices moved from one group to the other": func(m *Matched) {
				served := arm(c.m.Estimand != ATC) // a partner that is free must cost nothing
				for i := range m.Optimum.Price {
					m.Optimum.Price[i] += int64(2*arm(arm(p.treat[i]) == served)-1) << 44
				}
			},
			"forfeit": func(m *Matched) { m.Optimum.Forfeit[m.Pairs[0][0]] = 0 },
		} {
			m, err := c.m.Match(t.Context(), tab, c.d)
			require.NoError(t, err)
			spoil(m)
			require.ErrorIs(t, VerifyOptimal(tab, c.d, c.m, m), ErrConstraint, name)
		}
	}
	// Greedy pairs with the proof of the best ones: their total is what it is.
	best, err := Optimal{}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	greedy := mustMatch(t, p, Nearest{}, scoreSpec)
	require.NotEqual(t, total(best), total(greedy))
	greedy.Optimum = best.Optimum
	greedy.Optimum.Total = total(greedy)
	require.ErrorContains(t, VerifyOptimal(tab, scoreSpec, Optimal{}, greedy), "would make the total distance smaller")
	// A unit that is left out must be dearer to serve than anything saves.
	best, err = Optimal{CaliperRaw: 0.01}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	alone := slices.IndexFunc(indices(100), func(i int) bool { return p.treat[i] && best.Set[i] == 0 })
	best.Optimum.Price[alone] = -1 << 50
	require.ErrorContains(t, VerifyOptimal(tab, scoreSpec, Optimal{CaliperRaw: 0.01}, best), "does not go with its 0 partners")
	best, err = Optimal{CaliperRaw: 0.3}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	best.Optimum.Kept++
	require.ErrorContains(t, VerifyOptimal(tab, scoreSpec, Optimal{CaliperRaw: 0.3}, best), "keep the constraints")
}
