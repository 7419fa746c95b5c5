package cohort

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// smooth is a data set without ties: scores and covariates are continuous.
func smooth(s *num.Stream, n int) plain {
	p := fuzzed(s, n)
	for i := range n {
		p.treat[i] = i == 0 || i != 1 && s.Bernoulli(0.3)
		p.score[i] = s.Normal() + 0.5*float64(arm(p.treat[i]))
		for j := range p.x {
			p.x[j][i] = s.Normal() + 0.3*float64(arm(p.treat[i]))
		}
	}
	return p
}

func mustMatch(t *testing.T, p plain, m Nearest, d Spec) *Matched {
	t.Helper()
	got, err := m.Match(t.Context(), p.table(t), d)
	require.NoError(t, err)
	return got
}

var scoreSpec = Spec{Treatment: "treated", ID: "id", Score: "score"}

// byUnit is the pairs without the numbering of the sets.
func byUnit(m *Matched) [][2]int { return sortedPairs(m.Pairs, 0) }

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// M2, M4, M5, M6: columns in another order, levels renamed, units changed, and an
// invertible linear map of the covariates leave Mahalanobis pairs as they are.
func TestMetricInvariances(t *testing.T) {
	p := smooth(num.NewStream(22, "metric", 0), 120)
	d := Spec{Treatment: "treated", ID: "id", Covariates: append(slices.Clone(threeCovariates), "group")}
	base := map[string]*Matched{}
	for _, dist := range []string{MahalanobisDistance, RobustMahalanobisDistance, EuclideanDistance} {
		base[dist] = mustMatch(t, p, Nearest{Distance: dist}, d)
		e := d
		e.Covariates = []string{"group", "x2", "x0", "x1"}
		require.Equal(t, byUnit(base[dist]), byUnit(mustMatch(t, p, Nearest{Distance: dist}, e)), "%s: column order", dist)
		q := p.take(indices(120))
		for i := range q.id {
			q.group[i] = "level " + q.group[i]
			q.x[0][i] *= 1024
			q.x[1][i] *= 0.001
		}
		scaled := mustMatch(t, q, Nearest{Distance: dist}, d)
		require.Equal(t, byUnit(base[dist]), byUnit(scaled), "%s: units", dist)
		for i := range scaled.PairDistance {
			reftest.Agree(t, "distance", scaled.PairDistance[i], base[dist].PairDistance[i], 11)
		}
	}
	q := p.take(indices(120))
	for i := range q.id {
		a, b, c := p.x[0][i], p.x[1][i], p.x[2][i]
		q.x[0][i], q.x[1][i], q.x[2][i] = 3*a+b+100, b-2*c, a+b+c
	}
	mapped := mustMatch(t, q, Nearest{Distance: MahalanobisDistance}, d)
	require.Equal(t, byUnit(base[MahalanobisDistance]), byUnit(mapped))
	for i := range mapped.PairDistance {
		reftest.Agree(t, "mapped distance", mapped.PairDistance[i], base[MahalanobisDistance].PairDistance[i], 10)
	}
}

// M9: every control twice, with replacement and twice the ratio: each original has the same weight as with its twin.
func TestNearestControlsTwice(t *testing.T) {
	p := smooth(num.NewStream(24, "twice", 0), 80)
	base := mustMatch(t, p, Nearest{Replace: true, Ratio: 2}, scoreSpec)
	rows := indices(80)
	for i, tr := range p.treat {
		if !tr {
			rows = append(rows, i)
		}
	}
	q := p.take(rows)
	for i := 80; i < len(q.id); i++ {
		q.id[i] += "-twin"
	}
	got := mustMatch(t, q, Nearest{Replace: true, Ratio: 4}, scoreSpec)
	sum := make([]float64, 80)
	for i, r := range rows {
		sum[r] += got.Weight[i]
	}
	for i := range sum {
		if !p.treat[i] {
			reftest.Near(t, "weight of a control and its twin", sum[i], 2*base.Weight[i], 1e-12)
		}
	}
}

// M15: with the treatment the other way round att is atc, on a score and on covariates.
func TestNearestSwappedTreatment(t *testing.T) {
	p := smooth(num.NewStream(27, "swap", 0), 100)
	q := p.take(indices(100))
	for i := range q.treat {
		q.treat[i] = !q.treat[i]
		q.score[i] = -q.score[i]
	}
	for _, m := range []Nearest{{}, {Ratio: 2, Caliper: 0.5}, {Replace: true}} {
		other := m
		other.Estimand = ATC
		a, b := mustMatch(t, p, m, scoreSpec), mustMatch(t, q, other, scoreSpec)
		var turned [][2]int
		for _, pair := range b.Pairs {
			turned = append(turned, [2]int{pair[1], pair[0]})
		}
		require.Equal(t, a.Pairs, turned)
		require.Equal(t, a.Weight, b.Weight)
	}
}

// Nothing that goes in is changed.
func TestNearestLeavesItsInputAlone(t *testing.T) {
	p := fuzzed(num.NewStream(28, "alone", 0), 90)
	tab := p.table(t)
	d := Spec{Treatment: "treated", ID: "id", Covariates: append(slices.Clone(threeCovariates), "group")}
	for _, m := range []Nearest{{Ratio: 2}, {Distance: RobustMahalanobisDistance}, {Distance: EuclideanDistance, Exact: []string{"group"}}} {
		got, err := m.Match(t.Context(), tab, d)
		require.NoError(t, err)
		_, _, err = got.Balance(t.Context(), tab, d)
		require.NoError(t, err)
	}
	for j, name := range threeCovariates {
		f, err := tab.Float(name)
		require.NoError(t, err)
		require.Equal(t, p.x[j], f.Values)
	}
	f, err := tab.Float("score")
	require.NoError(t, err)
	require.Equal(t, p.score, f.Values)
}

// Each corruption of a result breaks a constraint that Verify must see.
func TestVerifySeesEveryCorruption(t *testing.T) {
	p := smooth(num.NewStream(29, "verify", 0), 120)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
	}
	tab := p.table(t)
	d := Spec{Treatment: "treated", ID: "id", Score: "score"}
	control := func(m *Matched, matched bool) int {
		for i := range p.id {
			if !p.treat[i] && (m.Weight[i] > 0) == matched {
				return i
			}
		}
		panic("no such control")
	}
	plainDesign := Nearest{Ratio: 2, Caliper: 0.4, CaliperOn: map[string]float64{"x0": 2}, Exact: []string{"group"}}
	metric := Nearest{Distance: MahalanobisDistance, CaliperScore: 0.5, CaliperRaw: 3}
	metricSpec := Spec{Treatment: "treated", ID: "id", Score: "score", Covariates: threeCovariates}
	reuse := Nearest{Ratio: 2, Replace: true}
	type corruption struct {
		name string
		do   func(m *Matched)
		says string
	}
	swapPartner := func(to func(m *Matched) int) func(m *Matched) {
		return func(m *Matched) { m.Pairs[0][1] = to(m) }
	}
	common := []corruption{
		{"short sets", func(m *Matched) { m.Set = m.Set[1:] }, "rows"},
		{"short weights", func(m *Matched) { m.Weight = m.Weight[1:] }, "weights"},
		{"short scores", func(m *Matched) { m.Score = m.Score[1:] }, "scores"},
		{"short distances", func(m *Matched) { m.PairDistance = m.PairDistance[1:] }, "distances"},
		{"no pairs", func(m *Matched) { m.Pairs, m.PairDistance = nil, nil }, "pairs"},
		{"replacement mislabelled", func(m *Matched) { m.Replaced = !m.Replaced }, "replacement"},
		{"row outside", func(m *Matched) { m.Pairs[0][0] = 120 }, "outside"},
		{"negative row", func(m *Matched) { m.Pairs[0][1] = -1 }, "outside"},
		{"pair turned", func(m *Matched) { m.Pairs[0][0], m.Pairs[0][1] = m.Pairs[0][1], m.Pairs[0][0] }, "not of a treated"},
		{"pair of two treated", func(m *Matched) { m.Pairs[0][1] = m.Pairs[len(m.Pairs)-1][0] }, "not of a treated"},
		{"pair of two untreated", func(m *Matched) { m.Pairs[0][0] = m.Pairs[len(m.Pairs)-1][1] }, "not of a treated"},
		{"pair twice", func(m *Matched) {
			m.Pairs, m.PairDistance = append(m.Pairs, m.Pairs[0]), append(m.PairDistance, m.PairDistance[0])
		}, ""},
		{"pair dropped", func(m *Matched) { m.Pairs, m.PairDistance = m.Pairs[1:], m.PairDistance[1:] }, ""},
		{"distance", func(m *Matched) { m.PairDistance[0] += 1e-5 }, "distance of pair 1"},
		{"score", func(m *Matched) { m.Score[m.Pairs[0][0]] += 1e-9 }, "score of row"},
		{"partner exchanged", swapPartner(func(m *Matched) int { return control(m, false) }), ""},
		{"set exchanged", func(m *Matched) {
			a, b := m.Pairs[0][0], m.Pairs[len(m.Pairs)-1][0]
			m.Set[a], m.Set[b] = m.Set[b], m.Set[a]
			m.Set[m.Pairs[0][1]] = 99
		}, "set"},
		{"set lost", func(m *Matched) { m.Set[m.Pairs[0][0]] = 0 }, "in no set"},
		{"set invented", func(m *Matched) { m.Set[control(m, false)] = 1 }, "set that its pairs do not give"},
		{"two units in a set", func(m *Matched) { m.Set[m.Pairs[0][0]] = m.Set[m.Pairs[len(m.Pairs)-1][0]] }, "two units served"},
		{"weight of a unit", func(m *Matched) { m.Weight[m.Pairs[0][0]] = 2 }, "weight of row"},
		{"weight of a partner", func(m *Matched) { m.Weight[m.Pairs[0][1]] *= 1.0001 }, "weight of row"},
		{"weight NaN", func(m *Matched) { m.Weight[m.Pairs[0][1]] = math.NaN() }, "weight of row"},
		{"weight invented", func(m *Matched) { m.Weight[control(m, false)] = 0.5 }, "weight of row"},
		{"count of pairs", func(m *Matched) { m.Counts.Pairs++ }, "count of pairs"},
		{"count of sets", func(m *Matched) { m.Counts.Sets-- }, "count of sets"},
		{"count of treated", func(m *Matched) { m.Counts.Treated++ }, "count of treated"},
		{"count of untreated", func(m *Matched) { m.Counts.Control++ }, "count of untreated"},
		{"count of matched", func(m *Matched) { m.Counts.MatchedControl++ }, "matched untreated"},
		{"count of reuse", func(m *Matched) { m.Counts.MaxReuse++ }, "reuse"},
		{"count of incomplete", func(m *Matched) { m.Counts.Incomplete++ }, "incomplete"},
		{"ESS", func(m *Matched) { m.Counts.ESSControl *= 1.01 }, "effective"},
		{"estimand", func(m *Matched) { m.Estimand = ATE }, "estimand"},
	}
	for _, c := range []struct {
		name  string
		m     Nearest
		d     Spec
		extra []corruption
	}{
		{"score", plainDesign, d, []corruption{
			{"scale of the caliper", func(m *Matched) { m.ScoreSD *= 3 }, "SD of the score"},
			{"control in two sets", swapPartner(func(m *Matched) int { return m.Pairs[len(m.Pairs)-1][1] }), "in two sets"},
		}},
		{"metric", metric, metricSpec, []corruption{
			{"metric lost", func(m *Matched) { m.Metric = nil }, "metric"},
			{"metric scaled", func(m *Matched) { m.Metric.M.SetSym(0, 0, 9) }, "distance of pair"},
			{"control in two sets", swapPartner(func(m *Matched) int { return m.Pairs[len(m.Pairs)-1][1] }), "in two sets"},
		}},
		{"replacement", reuse, d, []corruption{
			{"set of a partner", func(m *Matched) { m.Set[m.Pairs[0][1]] = 1 }, "set that its pairs do not give"},
		}},
	} {
		for _, x := range append(slices.Clone(common), c.extra...) {
			m, err := c.m.Match(t.Context(), tab, c.d)
			require.NoError(t, err)
			m.Score = slices.Clone(m.Score) // the table's own otherwise
			require.NoError(t, Verify(tab, c.d, c.m, m))
			x.do(m)
			err = Verify(tab, c.d, c.m, m)
			require.ErrorIs(t, err, ErrConstraint, "%s: %s", c.name, x.name)
			if x.says != "" && (c.name != "replacement" || x.name != "set exchanged") {
				require.ErrorContains(t, err, x.says, "%s: %s", c.name, x.name)
			}
		}
	}
	// A matching held against a design that asks for more.
	m, err := Nearest{Ratio: 2, Replace: true}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	for says, stricter := range map[string]Nearest{
		"more partners than the ratio": {Ratio: 1, Replace: true},
		"exact variable":               {Ratio: 2, Replace: true, Exact: []string{"group"}},
		"caliper on column":            {Ratio: 2, Replace: true, CaliperOn: map[string]float64{"x0": 0.01}},
		"caliper on the distance":      {Ratio: 2, Replace: true, CaliperRaw: 1e-9},
		"says replacement":             {Ratio: 2},
		"SD of the score":              {Ratio: 2, Replace: true, Caliper: 0.001},
	} {
		require.ErrorContains(t, Verify(tab, d, stricter, m), says)
	}
	require.ErrorContains(t, Verify(tab, d, Nearest{Ratio: 2, Replace: true, Exact: []string{"x0"}}, m), `exact variable "x0"`) // a number
	m, err = Nearest{Distance: MahalanobisDistance, CaliperScore: 2}.Match(t.Context(), tab, metricSpec)
	require.NoError(t, err)
	require.ErrorContains(t, Verify(tab, metricSpec, Nearest{Distance: MahalanobisDistance, CaliperScore: 0.001}, m), "caliper on the score")
	require.ErrorContains(t, Verify(tab, metricSpec, Nearest{Distance: EuclideanDistance, CaliperScore: 2}, m), "no euclidean metric")
	m, err = Nearest{Caliper: 2}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.ErrorContains(t, Verify(tab, d, Nearest{Caliper: 0.001}, m), "caliper on the distance")
	// A width between half of the widest pair and all of it.
	widest := slices.Max(m.PairDistance) / m.ScoreSD
	require.NoError(t, Verify(tab, d, Nearest{Caliper: widest * 1.001}, m))
	require.ErrorContains(t, Verify(tab, d, Nearest{Caliper: widest / 1.5}, m), "caliper on the distance")
}

// A gap is too wide on either side: the treated's value below the partner's, or above.
func TestVerifyCaliperOnBothSides(t *testing.T) {
	for _, x := range [][]float64{{0, 5}, {5, 0}} {
		tab, err := table.New(
			table.NewBoolean(table.Field{Name: "treated"}, []bool{true, false}, nil),
			table.NewFloat(table.Field{Name: "x"}, x, nil),
			table.NewFloat(table.Field{Name: "score"}, []float64{1, 2}, nil),
		)
		require.NoError(t, err)
		d := Spec{Treatment: "treated", Score: "score"}
		m, err := Nearest{CaliperOn: map[string]float64{"x": 5}}.Match(t.Context(), tab, d)
		require.NoError(t, err)
		require.ErrorContains(t, Verify(tab, d, Nearest{CaliperOn: map[string]float64{"x": 4.9}}, m), `caliper on column "x"`)
	}
}

// Ids that share a hash are ordered by their bytes, and an id that is there twice is counted.
func TestUnitsWithOneHash(t *testing.T) {
	u := &units{n: 4, ids: func(row int) string { return []string{"c", "b", "d", "a"}[row] }, order: []int32{0, 1, 2, 3}}
	require.NoError(t, u.settleCollisions("id", []uint64{7, 7, 7, 7}, []int32{1, 2, 3}))
	require.Equal(t, []int32{3, 1, 0, 2}, u.order)
	u = &units{n: 3, ids: func(row int) string { return []string{"b", "a", "b"}[row] }, order: []int32{0, 1, 2}}
	require.ErrorContains(t, u.settleCollisions("id", []uint64{7, 7, 7}, []int32{1, 2}), "1 rows")
}

// A pair that is there twice, apart from its twin, where no count of partners is broken.
func TestVerifyPairTwiceApart(t *testing.T) {
	p := smooth(num.NewStream(30, "twice", 0), 60)
	m := mustMatch(t, p, Nearest{Ratio: 2, Replace: true}, scoreSpec)
	last := len(m.Pairs) - 1
	m.Pairs[1], m.PairDistance[1] = m.Pairs[last], m.PairDistance[last]
	m.Pairs[last], m.PairDistance[last] = m.Pairs[0], m.PairDistance[0]
	require.ErrorContains(t, Verify(p.table(t), scoreSpec, Nearest{Ratio: 2, Replace: true}, m), "there twice")
}
