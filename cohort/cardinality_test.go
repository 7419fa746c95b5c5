package cohort

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

var cardinalitySpec = Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates}

// By hand: treated 0, 2, 10 (SD √28), untreated 1, 1, 3, 20. With equal means (tolerance 0) the largest pairs
// of sums are 0 + 2 = 1 + 1; three from each have 12 against 5, 22 or 24; one pair has no equal values. With a
// tolerance of 1 SD three of each may differ by 3·√28 = 15.9 in the sum: all three are kept.
func TestCardinalityByHand(t *testing.T) {
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, []string{"a", "b", "c", "d", "e", "f", "g"}, nil),
		table.NewBoolean(table.Field{Name: "treated"}, []bool{true, true, true, false, false, false, false}, nil),
		table.NewFloat(table.Field{Name: "x"}, []float64{0, 2, 10, 1, 1, 3, 20}, nil),
	)
	require.NoError(t, err)
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"x"}}
	m, err := Cardinality{Tolerance: Width(0)}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 0, 1, 1, 0, 0}, m.Set)
	require.Equal(t, []float64{1, 1, 0, 1, 1, 0, 0}, m.Weight)
	require.True(t, m.Cardinality.Optimal)
	require.Equal(t, []int{2, 2}, []int{m.Cardinality.Kept, m.Cardinality.Bound})
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, []string{"estimand-changed"}, codes(m.Notes))
	m, err = Cardinality{Tolerance: Width(1)}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, 3, m.Cardinality.Kept)
	require.Equal(t, ATT, m.Estimand)
	require.InDelta(t, math.Sqrt(28), m.Cardinality.Width[0], 1e-12)
	// The pairs of least Mahalanobis distance of the four kept at tolerance 0 are any, at distance 1 each.
	m, err = Cardinality{Tolerance: Width(0), PairWithin: true}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Len(t, m.Pairs, 2)
	require.Equal(t, 2, m.Counts.Sets)
	// Two untreated for one treated: 2 with 1 and 3.
	m, err = Cardinality{Tolerance: Width(0), Ratio: 2}.Match(t.Context(), tab, d)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 0, 1, 0, 1, 0}[1], m.Set[1])
	require.Equal(t, 1, m.Cardinality.Kept)
	require.True(t, m.Cardinality.Optimal)
	_, err = Cardinality{Tolerance: Width(0), Ratio: 3}.Match(t.Context(), tab, d)
	require.ErrorIs(t, err, ErrNoSupport)
}

// Against every choice of units.
func TestCardinalityBruteForce(t *testing.T) {
	proven, left, none := 0, 0, 0
	for rep := range 300 {
		s := num.NewStream(61, "cardinality", uint64(rep))
		p := fuzzed(s, 6+s.Intn(6))
		for i := range p.id {
			p.x[0][i] = float64(s.Intn(3))
			p.x[1][i] = float64(s.Intn(2))
		}
		m := Cardinality{Ratio: 1 + s.Intn(2), Tolerance: Width([]float64{0, 0.1, 0.4}[s.Intn(3)])}
		if s.Bernoulli(0.4) {
			m.Exact = []string{"group"}
		}
		if s.Bernoulli(0.3) {
			m.ToleranceOn = map[string]float64{"x1": 0.6}
		}
		if s.Bernoulli(0.3) {
			m.Estimand = ATC
		}
		got, err := m.Match(t.Context(), p.table(t), cardinalitySpec)
		if err != nil && !errors.Is(err, ErrNoSupport) {
			require.True(t, errorsIsDesign(err), "%v", err)
			continue
		}
		if err != nil {
			none++
		}
		best := bestSubset(p, m)
		if err != nil {
			require.Zero(t, best, "rep %d", rep)
			continue
		}
		require.Equal(t, best, got.Cardinality.Kept, "rep %d %+v", rep, m)
		require.GreaterOrEqual(t, got.Cardinality.Bound, best)
		require.GreaterOrEqual(t, got.Cardinality.RootBound, best)
		require.True(t, got.Cardinality.Optimal, "rep %d", rep)
		proven++
		if got.Estimand == ATM {
			left++
		}
	}
	require.Greater(t, proven, 60)
	require.Greater(t, left, 20)
	require.Greater(t, none, 20)
}

// bestSubset is the most units served by looking at all subsets.
func bestSubset(p plain, m Cardinality) int {
	m = m.defaults()
	n := len(p.id)
	served := func(i int) bool { return p.treat[i] == (m.Estimand == ATT) }
	var limit [3]float64
	var use [3]bool
	for j := range p.x {
		var of []float64
		binary := true
		for i, v := range p.x[j] {
			binary = binary && (v == 0 || v == 1)
			if served(i) {
				of = append(of, v)
			}
			use[j] = use[j] || v != p.x[j][0]
		}
		_, sd := meanSD(of, binary)
		limit[j] = m.tolerance(fmt.Sprintf("x%d", j)) * sd
	}
	best := 0
	for set := range 1 << n {
		if bits.OnesCount(uint(set)) <= best*(1+m.Ratio) {
			continue
		}
		var count [2]int
		var sum [2][3]float64
		cells := map[string]int{}
		for i := range n {
			if set>>i&1 == 0 {
				continue
			}
			a := arm(served(i))
			count[a]++
			for j := range p.x {
				sum[a][j] += p.x[j][i]
			}
			key := ""
			if m.Exact != nil {
				key = p.group[i]
			}
			if served(i) {
				cells[key] -= m.Ratio
			} else {
				cells[key]++
			}
		}
		ok := count[0] == m.Ratio*count[1]
		for _, c := range cells {
			ok = ok && c == 0
		}
		for j := range p.x {
			gap := math.Abs(sum[0][j]/float64(count[0]) - sum[1][j]/float64(count[1]))
			ok = ok && (!use[j] || gap <= limit[j]+1e-9)
		}
		if ok {
			best = max(best, count[1])
		}
	}
	return best
}

// M1, M22, and the options: each changes something.
func TestCardinalityRelations(t *testing.T) {
	s := num.NewStream(62, "relations", 0)
	p := smooth(s, 160)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
		p.x[2][i] = math.Floor(2 * p.x[2][i])
	}
	seen := map[string]string{}
	for name, m := range map[string]Cardinality{
		"plain": {}, "ratio": {Ratio: 2}, "wide": {Tolerance: Width(0.2)}, "one wide": {ToleranceOn: map[string]float64{"x0": 0.4}},
		"exact": {Exact: []string{"group"}}, "pairs": {PairWithin: true}, "atc": {Estimand: ATC, Tolerance: Width(0.3)},
	} {
		m.Work = 20_000_000
		d := cardinalitySpec
		d.Workers = 1
		got, err := m.Match(t.Context(), p.table(t), d)
		require.NoError(t, err, name)
		require.LessOrEqual(t, got.Cardinality.Kept, got.Cardinality.Bound)
		key := fmt.Sprint(got.Set, got.Pairs)
		require.Empty(t, seen[key], "%s and %s are the same", name, seen[key])
		seen[key] = name
		var rows []int
		for i := range p.id {
			rows = append(rows, (i*7+3)%len(p.id))
		}
		d.Workers = 3
		other, err := m.Match(t.Context(), p.take(rows).table(t), d)
		require.NoError(t, err, name)
		for i, r := range rows {
			require.Equal(t, got.Set[r], other.Set[i], name)
			require.Equal(t, got.Weight[r], other.Weight[i])
		}
		// What is within the tolerances is so in the balance table.
		b, _, err := got.Balance(t.Context(), p.table(t), d)
		require.NoError(t, err)
		for _, r := range b.Rows {
			tol := m.defaults().tolerance(r.Variable)
			require.LessOrEqual(t, math.Abs(r.After.SMD), tol+1e-8, "%s: %s", name, r.Variable)
		}
	}
	wide, err := Cardinality{Tolerance: Width(0.5), Work: 20_000_000}.Match(t.Context(), p.table(t), cardinalitySpec)
	require.NoError(t, err)
	narrow, err := Cardinality{Tolerance: Width(0.01), Work: 20_000_000}.Match(t.Context(), p.table(t), cardinalitySpec)
	require.NoError(t, err)
	require.LessOrEqual(t, narrow.Cardinality.Kept, wide.Cardinality.Bound)
}

// A search that is cut off says so.
func TestCardinalityGap(t *testing.T) {
	p := smooth(num.NewStream(63, "gap", 0), 60)
	m, err := Cardinality{Tolerance: Width(0.001), Work: 1}.Match(t.Context(), p.table(t), cardinalitySpec)
	if err != nil {
		require.ErrorIs(t, err, ErrNoSupport)
		return
	}
	require.False(t, m.Cardinality.Optimal)
	require.Contains(t, codes(m.Notes), "cardinality-gap")
	require.Equal(t, m.Cardinality.Bound-m.Cardinality.Kept, m.Cardinality.Gap)
}

func TestCardinalityOptions(t *testing.T) {
	p := smooth(num.NewStream(64, "options", 0), 40)
	for _, m := range []Cardinality{{Ratio: -1}, {Tolerance: Width(-1)}, {Tolerance: Width(math.NaN())}, {ToleranceOn: map[string]float64{"x0": -1}}, {Estimand: ATE}, {Estimand: "x"}, {Exact: []string{"group", "group"}}, {Work: -1}} {
		require.NotEmpty(t, m.Check(), "%+v", m)
		_, err := m.Match(t.Context(), p.table(t), cardinalitySpec)
		require.ErrorIs(t, err, ErrOption)
	}
	for _, c := range []struct {
		m Cardinality
		d Spec
	}{{Cardinality{}, scoreSpec}, {Cardinality{}, Spec{Treatment: "treated"}}, {Cardinality{ToleranceOn: map[string]float64{"score": 1}}, cardinalitySpec}, {Cardinality{Exact: []string{"treated"}}, cardinalitySpec}} {
		_, err := c.m.Match(t.Context(), p.table(t), c.d)
		require.ErrorIs(t, err, ErrOption)
	}
	q := p.take(indices(40))
	for i := range q.x[0] {
		q.x[0][i] = float64(arm(!q.treat[i])) * q.x[0][i]
	}
	_, err := Cardinality{}.Match(t.Context(), q.table(t), cardinalitySpec)
	require.ErrorIs(t, err, ErrCovariate)
	require.ErrorContains(t, err, "does not vary")
	for i := range q.x[0] {
		q.x[0][i] = 3
	}
	got, err := Cardinality{Tolerance: Width(0.3), Work: 1_000_000}.Match(t.Context(), q.table(t), cardinalitySpec)
	require.NoError(t, err)
	require.Contains(t, codes(got.Notes), "constant-covariate")
}

func TestVerifyCardinalitySeesCorruption(t *testing.T) {
	p := smooth(num.NewStream(65, "verify", 0), 120)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
	}
	tab := p.table(t)
	for _, design := range []Cardinality{{Tolerance: Width(0.1), Exact: []string{"group"}, Work: 5_000_000}, {Tolerance: Width(0.1), Ratio: 1, PairWithin: true, Work: 5_000_000}} {
		first := func(m *Matched, treated, kept bool) int {
			return slices.IndexFunc(indices(120), func(i int) bool { return p.treat[i] == treated && (m.Set[i] > 0) == kept })
		}
		for name, spoil := range map[string]func(m *Matched){
			"no record":   func(m *Matched) { m.Cardinality = nil },
			"kept":        func(m *Matched) { m.Cardinality.Kept++ },
			"bound":       func(m *Matched) { m.Cardinality.Bound++ },
			"gap":         func(m *Matched) { m.Cardinality.Gap++ },
			"optimal":     func(m *Matched) { m.Cardinality.Optimal = !m.Cardinality.Optimal },
			"root bound":  func(m *Matched) { m.Cardinality.RootBound++ },
			"price":       func(m *Matched) { m.Cardinality.Price = m.Cardinality.Price[1:] },
			"width":       func(m *Matched) { m.Cardinality.Width[0] *= 2 },
			"column":      func(m *Matched) { m.Cardinality.Columns[0] = "y" },
			"unit lost":   func(m *Matched) { m.Set[first(m, true, true)] = 0 },
			"unit added":  func(m *Matched) { m.Set[first(m, false, false)] = 1 },
			"weight":      func(m *Matched) { m.Weight[first(m, false, true)] = 2 },
			"blocks":      func(m *Matched) { m.Counts.Blocks++ },
			"pair":        func(m *Matched) { m.Pairs = append(m.Pairs, [2]int{0, 1}) },
			"estimand":    func(m *Matched) { m.Estimand = ATE },
			"replacement": func(m *Matched) { m.Replaced = true },
		} {
			m, err := design.Match(t.Context(), tab, cardinalitySpec)
			require.NoError(t, err)
			require.NoError(t, VerifyCardinality(tab, cardinalitySpec, design, m))
			spoil(m)
			require.ErrorIs(t, VerifyCardinality(tab, cardinalitySpec, design, m), ErrConstraint, name)
		}
		m, err := design.Match(t.Context(), tab, cardinalitySpec)
		require.NoError(t, err)
		narrow := design
		narrow.ToleranceOn = map[string]float64{"x1": 1e-7}
		require.ErrorIs(t, VerifyCardinality(tab, cardinalitySpec, narrow, m), ErrConstraint)
		m.Cardinality.Width[1] *= 1e-6
		require.ErrorContains(t, VerifyCardinality(tab, cardinalitySpec, narrow, m), "not within its tolerance")
	}
}
