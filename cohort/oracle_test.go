package cohort

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// plain is a small data set in plain slices, from which the oracle matches.
type plain struct {
	id    []string
	treat []bool
	score []float64
	x     [3][]float64
	group []string
}

// fuzzed draws a data set full of ties: scores on a grid, or continuous ones.
func fuzzed(s *num.Stream, n int) plain {
	p := plain{}
	grid := []float64{0, 4, 16, 1000}[s.Intn(4)]
	groups := 1 + s.Intn(4)
	share := 0.1 + 0.5*s.Float()
	for i := range n {
		p.id = append(p.id, fmt.Sprintf("u%d", s.Intn(1_000_000)*1000+i))
		p.treat = append(p.treat, i == 0 || i != 1 && s.Bernoulli(share))
		v := s.Float()
		if grid > 0 {
			v = math.Floor(v*grid) / grid
		}
		p.score = append(p.score, v)
		for j := range p.x {
			p.x[j] = append(p.x[j], float64(s.Intn(7)))
		}
		p.group = append(p.group, string(rune('a'+s.Intn(groups))))
	}
	return p
}

func (p plain) table(t testing.TB) *table.Table {
	t.Helper()
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, slices.Clone(p.id), nil),
		table.NewBoolean(table.Field{Name: "treated"}, slices.Clone(p.treat), nil),
		table.NewFloat(table.Field{Name: "score"}, slices.Clone(p.score), nil),
		table.NewFloat(table.Field{Name: "x0"}, slices.Clone(p.x[0]), nil),
		table.NewFloat(table.Field{Name: "x1"}, slices.Clone(p.x[1]), nil),
		table.NewFloat(table.Field{Name: "x2"}, slices.Clone(p.x[2]), nil),
		table.NewText(table.Field{Name: "group"}, slices.Clone(p.group), nil),
	)
	require.NoError(t, err)
	return tab
}

func (p plain) take(rows []int) plain {
	q := plain{}
	for _, r := range rows {
		q.id, q.treat, q.score, q.group = append(q.id, p.id[r]), append(q.treat, p.treat[r]), append(q.score, p.score[r]), append(q.group, p.group[r])
		for j := range p.x {
			q.x[j] = append(q.x[j], p.x[j][r])
		}
	}
	return q
}

// randomDesign draws options that go together.
func randomDesign(s *num.Stream, metric bool) Nearest {
	m := Nearest{Ratio: 1 + s.Intn(3), Replace: s.Bernoulli(0.3), Seed: uint64(s.Intn(3))}
	orders := []string{"", LargestOrder, SmallestOrder, DataOrder, ClosestOrder, RandomOrder}
	m.Order = orders[s.Intn(len(orders))]
	if m.Order != DataOrder && s.Bernoulli(0.3) {
		m.Ties = DataTies
	}
	if s.Bernoulli(0.3) {
		m.Estimand = ATC
	}
	if s.Bernoulli(0.4) {
		m.Exact = []string{"group"}
	}
	if s.Bernoulli(0.4) {
		m.CaliperOn = map[string]float64{"x0": float64(1 + s.Intn(3))}
	}
	if metric {
		m.Distance = []string{MahalanobisDistance, EuclideanDistance, RobustMahalanobisDistance}[s.Intn(3)]
		if s.Bernoulli(0.5) || m.Order == LargestOrder || m.Order == SmallestOrder {
			m.CaliperScore = 0.2 + s.Float()
		}
		if s.Bernoulli(0.3) {
			m.CaliperRaw = 1 + s.Float()
		}
		return m
	}
	switch s.Intn(3) {
	case 0:
		m.Caliper = 0.05 + s.Float()
	case 1:
		m.CaliperRaw = float64(1+s.Intn(4)) / 16 // exactly on the grid: the bound itself is allowed
	}
	return m
}

// oracle matches by looking at every pair again for every choice. dist is the distance.
func oracle(p plain, m Nearest, dist func(a, b int) float64) (pairs [][2]int, bound map[string]int) {
	m = m.defaults()
	n := len(p.id)
	key := func(k uint64, i int) uint64 { return num.KeyedHash(k, p.id[i]) }
	tie := func(i int) float64 {
		if m.Ties == DataTies {
			return float64(i)
		}
		rank := 0 // the hash's place, found by counting
		for o := range n {
			if key(m.Seed, o) < key(m.Seed, i) {
				rank++
			}
		}
		return float64(rank)
	}
	ties := make([]float64, n)
	for i := range ties {
		ties[i] = tie(i)
	}
	sd := bigSD(p.score)
	raw := math.Inf(1)
	if m.CaliperRaw > 0 {
		raw = m.CaliperRaw
	} else if m.Caliper > 0 {
		raw = m.Caliper * sd
	}
	bound = map[string]int{}
	broken := func(u, c int) (out []string) {
		if dist(u, c) > raw {
			out = append(out, "distance")
		}
		if m.CaliperScore > 0 && math.Abs(p.score[u]-p.score[c]) > m.CaliperScore*sd {
			out = append(out, "score")
		}
		if w, ok := m.CaliperOn["x0"]; ok && math.Abs(p.x[0][u]-p.x[0][c]) > w {
			out = append(out, "x0")
		}
		return out
	}
	used, mine := make([]bool, n), make([][]int, n)
	var focal []int
	for i := range n {
		if p.treat[i] == (m.Estimand == ATT) {
			focal = append(focal, i)
		}
	}
	slices.SortStableFunc(focal, func(a, b int) int {
		less := func(x, y float64) int {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
		c := 0
		switch m.Order {
		case LargestOrder:
			c = less(p.score[b], p.score[a])
		case SmallestOrder:
			c = less(p.score[a], p.score[b])
		case RandomOrder:
			if x, y := key(m.Seed^randomKey, a), key(m.Seed^randomKey, b); x < y {
				c = -1
			} else if x > y {
				c = 1
			}
		}
		if c == 0 {
			c = less(ties[a], ties[b])
		}
		return c
	})
	choose := func(u int, keep bool) int {
		best := -1
		for c := range n {
			if p.treat[c] == p.treat[u] || used[c] || slices.Contains(mine[u], c) {
				continue
			}
			if m.Exact != nil && p.group[c] != p.group[u] {
				continue
			}
			if keep && len(broken(u, c)) > 0 {
				continue
			}
			if best < 0 || dist(u, c) < dist(u, best) || dist(u, c) == dist(u, best) && ties[c] < ties[best] {
				best = c
			}
		}
		return best
	}
	note := func(u int) {
		if c := choose(u, false); c >= 0 {
			for _, name := range broken(u, c) {
				bound[name]++
			}
		}
	}
	assign := func(u, c int) {
		mine[u] = append(mine[u], c)
		used[c] = !m.Replace
	}
	for round := range m.Ratio {
		if m.defaults().Order == ClosestOrder && !m.Replace {
			done := map[int]bool{}
			for {
				bu, bc := -1, -1
				for _, u := range focal {
					if done[u] || len(mine[u]) != round {
						continue
					}
					if c := choose(u, true); c >= 0 && (bu < 0 || dist(u, c) < dist(bu, bc)) {
						bu, bc = u, c
					}
				}
				if bu < 0 {
					break
				}
				done[bu] = true
				assign(bu, bc)
			}
			continue
		}
		for _, u := range focal {
			if len(mine[u]) != round {
				continue
			}
			if !m.Replace || round == 0 {
				note(u)
			}
			if c := choose(u, true); c >= 0 {
				assign(u, c)
			}
		}
	}
	for u, cs := range mine {
		for _, c := range cs {
			if m.Estimand == ATC {
				pairs = append(pairs, [2]int{c, u})
			} else {
				pairs = append(pairs, [2]int{u, c})
			}
		}
	}
	return pairs, bound
}

// bigSD is the standard deviation by exact sums.
func bigSD(x []float64) float64 {
	sum := new(big.Rat)
	for _, v := range x {
		sum.Add(sum, new(big.Rat).SetFloat64(v))
	}
	mean := sum.Quo(sum, big.NewRat(int64(len(x)), 1))
	ss := new(big.Rat)
	for _, v := range x {
		d := new(big.Rat).SetFloat64(v)
		d.Sub(d, mean)
		ss.Add(ss, d.Mul(d, d))
	}
	f, _ := ss.Quo(ss, big.NewRat(int64(len(x)-1), 1)).Float64()
	return math.Sqrt(f)
}

// sortedPairs orders pairs by unit served, keeping the order of the rounds.
func sortedPairs(pairs [][2]int, unit int) [][2]int {
	out := slices.Clone(pairs)
	slices.SortStableFunc(out, func(a, b [2]int) int { return a[unit] - b[unit] })
	return out
}

func TestNearestEqualsLookingAtEveryPair(t *testing.T) {
	reps := 1500
	if testing.Short() {
		reps = 400
	}
	matched, refused := 0, 0
	for rep := range reps {
		s := num.NewStream(11, "oracle", uint64(rep))
		metric := rep%3 == 0
		n := 5 + s.Intn(60)
		if rep%50 == 0 {
			n = 300 // deep enough for several levels of the tree
		}
		p := fuzzed(s, n)
		m := randomDesign(s, metric)
		tab := p.table(t)
		d := Spec{Treatment: "treated", ID: "id", Score: "score"}
		dist := func(a, b int) float64 { return math.Abs(p.score[a] - p.score[b]) }
		if metric {
			d.Covariates = []string{"x0", "x1", "x2", "group"}
			if m.CaliperScore == 0 {
				d.Score = ""
			}
			u, err := readUnits(tab, d)
			require.NoError(t, err)
			cov, err := readCovariates(tab, d.Covariates, nil)
			require.NoError(t, err)
			w, err := whiten(m.Distance, cov, u, 1)
			if err != nil {
				require.ErrorIs(t, err, ErrCovariate)
				continue
			}
			dist = func(a, b int) float64 { return w.between(int32(a), int32(b), make([]float64, len(w.scale))) }
		}
		want, bound := oracle(p, m, dist)
		got, err := m.Match(t.Context(), tab, d)
		what := fmt.Sprintf("rep %d: %d units, %+v", rep, n, m)
		if len(want) == 0 {
			require.Error(t, err, what)
			refused++
			continue
		}
		require.NoError(t, err, what)
		matched++
		unit := 0
		if m.Estimand == ATC {
			unit = 1
		}
		require.Equal(t, sortedPairs(want, unit), sortedPairs(got.Pairs, unit), what)
		if m.defaults().Order == ClosestOrder && !m.Replace {
			continue // a unit's last look is before its turn, and the oracle looks at its turn
		}
		for _, c := range got.Calipers {
			require.Equal(t, bound[c.On], c.Bound, "%s: caliper on %s", what, c.On)
		}
	}
	t.Logf("%d matchings compared, %d without support", matched, refused)
	require.Greater(t, matched, reps*3/5)
}
