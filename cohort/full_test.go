package cohort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
)

// By hand: treated a = 1, b = 2, c = 10; untreated d = 1.5, e = 11, f = 12, g = 30. d has a and b (0.5 each); c has
// e (1), f (2) and g (20): 24. Weights (att): d 2/1, e, f, g 1/3 each, times 4 untreated over 3 treated.
func TestFullByHand(t *testing.T) {
	tab := line(t, []bool{true, true, true, false, false, false, false}, []float64{1, 2, 10, 1.5, 11, 12, 30})
	m, err := Full{}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 2, 1, 2, 2, 2}, m.Set)
	require.Equal(t, [][2]int{{0, 3}, {1, 3}, {2, 4}, {2, 5}, {2, 6}}, m.Pairs)
	require.Equal(t, 24.0, m.Optimum.Total)
	for i, w := range []float64{1, 1, 1, 8. / 3, 4. / 9, 4. / 9, 4. / 9} {
		require.InDelta(t, w, m.Weight[i], 1e-14)
	}
	require.Equal(t, ATT, m.Estimand)
	require.Empty(t, codes(m.Notes))
	// At most two untreated for a treated: one of c's three goes to b, which leaves d to a: whichever
	// it is, 0.5 + 28 + 1 + 2, 0.5 + 10 + 1 + 20 and 0.5 + 9 + 2 + 20 are 31.5.
	m, err = Full{MaxControls: 2}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, 7, m.Counts.MatchedTreated+m.Counts.MatchedControl)
	require.Equal(t, 31.5, m.Optimum.Total)
}

// divisions calls visit for every choice of edges that makes stars.
func divisions(left, right int, allowed func(i, j int) bool, visit func(edges [][2]int, dl, dr []int)) {
	var edges [][2]int
	for i := range left {
		for j := range right {
			if allowed(i, j) {
				edges = append(edges, [2]int{i, j})
			}
		}
	}
	dl, dr := make([]int, left), make([]int, right)
	var chosen [][2]int
	var next func(k int)
	next = func(k int) {
		if k == len(edges) {
			for _, e := range chosen {
				if dl[e[0]] > 1 && dr[e[1]] > 1 {
					return
				}
			}
			visit(chosen, dl, dr)
			return
		}
		next(k + 1)
		e := edges[k]
		dl[e[0]]++
		dr[e[1]]++
		chosen = append(chosen, e)
		next(k + 1)
		chosen = chosen[:len(chosen)-1]
		dl[e[0]]--
		dr[e[1]]--
	}
	next(0)
}

// M14: against every division into sets, n ≤ 8, with calipers, exact groups and limits.
func TestFullBruteForce(t *testing.T) {
	done := map[string]int{}
	for rep := range 240 {
		s := num.NewStream(51, "full", uint64(rep))
		p := fuzzed(s, 4+s.Intn(5))
		m := Full{Seed: uint64(s.Intn(2))}
		switch rep % 6 {
		case 1:
			m.MaxControls = 2
		case 2:
			m.MinControls, m.MaxControls = 0.5, 2
		case 3:
			m.MinControls = 1
		case 4:
			m.MinControls = 2
		case 5:
			m.MaxControls = 0.5
		}
		if s.Bernoulli(0.4) {
			m.CaliperRaw = 0.1 + 0.4*s.Float()
		}
		if s.Bernoulli(0.3) {
			m.Exact = []string{"group"}
		}
		var units, partners []int
		for i, a := range p.treat {
			if a {
				units = append(units, i)
			} else {
				partners = append(partners, i)
			}
		}
		dist := func(i, j int) float64 { return math.Abs(p.score[units[i]] - p.score[partners[j]]) }
		treated, untreated := m.degrees()
		most, least := 0, math.Inf(1)
		divisions(len(units), len(partners), func(i, j int) bool {
			return !(m.CaliperRaw > 0 && dist(i, j) > m.CaliperRaw) && (m.Exact == nil || p.group[units[i]] == p.group[partners[j]])
		}, func(edges [][2]int, dl, dr []int) {
			n, sum := 0, 0.0
			for side, b := range map[*[]int]num.Degree{&dl: treated, &dr: untreated} {
				for _, k := range *side {
					if k > b.Max || k > 0 && k < b.Min {
						return
					}
					if k > 0 {
						n++
					}
				}
			}
			for _, e := range edges {
				sum += dist(e[0], e[1])
			}
			if n > most || n == most && sum < least {
				most, least = n, sum
			}
		})
		got, err := m.Match(t.Context(), p.table(t), scoreSpec)
		if err != nil {
			require.ErrorIs(t, err, ErrNoSupport)
			if treated.Min == 1 && untreated.Min == 1 {
				require.Zero(t, most, "rep %d", rep)
			}
			continue
		}
		in := got.Counts.MatchedTreated + got.Counts.MatchedControl
		require.Equal(t, most, in, "rep %d %+v", rep, m)
		require.InDelta(t, least, got.Optimum.Total, 1e-11, "rep %d", rep)
		done[fmt.Sprint(m.MinControls, m.MaxControls)]++
	}
	for _, k := range []string{"0 0", "0 2", "0.5 2", "1 0", "2 0", "0 0.5"} {
		require.Greater(t, done[k], 4, k)
	}
}

// M1, M22 on all distances and estimands; the weights of an estimand are its own.
func TestFullRelations(t *testing.T) {
	for rep := range 24 {
		s := num.NewStream(52, "relations", uint64(rep))
		p := fuzzed(s, 120)
		d := Spec{Treatment: "treated", ID: "id", Score: "score", Workers: 1}
		m := Full{Estimand: []string{ATT, ATC, ATE}[rep%3]}
		if rep%2 == 0 {
			m.Distance, d.Score, d.Covariates = []string{MahalanobisDistance, EuclideanDistance, RobustMahalanobisDistance}[s.Intn(3)], "", threeCovariates
		}
		if rep%4 == 1 {
			m.MaxControls, m.MinControls = 5, 1./3
		}
		if rep%5 == 0 {
			m.Exact = []string{"group"}
		}
		got, err := m.Match(t.Context(), p.table(t), d)
		if err != nil {
			require.True(t, errorsIsDesign(err), "%v", err)
			continue
		}
		var rows []int
		for i := range p.id {
			rows = append(rows, len(p.id)-1-i)
		}
		d.Workers = 4
		other, err := m.Match(t.Context(), p.take(rows).table(t), d)
		require.NoError(t, err)
		for i, r := range rows {
			require.Equal(t, got.Set[r], other.Set[i], "rep %d", rep)
			require.Equal(t, got.Weight[r], other.Weight[i])
		}
		require.Equal(t, got.Optimum.Total, other.Optimum.Total)
		// Optimal pairs, and each other untreated unit with its nearest treated, are such sets too.
		if m.Exact == nil && m.MaxControls == 0 && d.Score != "" {
			pairs, err := Optimal{}.Match(t.Context(), p.table(t), d)
			require.NoError(t, err)
			if pairs.Counts.MatchedTreated < pairs.Counts.Treated {
				continue
			}
			sum := pairs.Optimum.Total
			for i, w := range pairs.Weight {
				near := math.Inf(1)
				for k := range p.id {
					if p.treat[k] {
						near = min(near, math.Abs(p.score[i]-p.score[k]))
					}
				}
				if w == 0 {
					sum += near
				}
			}
			require.LessOrEqual(t, got.Optimum.Total, sum+1e-9)
		}
	}
}

// A unit beyond the caliper of everybody is left out: the estimand is renamed if it is of the group it is about.
func TestFullLeavesOut(t *testing.T) {
	tab := line(t, []bool{true, true, false, false, false}, []float64{1, 9, 1.5, 2, 30})
	m, err := Full{CaliperRaw: 3}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0, 1, 1, 0}, m.Set)
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, []string{"estimand-changed", "caliper-excluded"}, codes(m.Notes))
	m, err = Full{CaliperRaw: 8}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, ATT, m.Estimand, "only an untreated unit is left out")
	m, err = Full{CaliperRaw: 8, Estimand: ATC}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	require.Equal(t, ATM, m.Estimand)
	_, err = Full{MinControls: 2, CaliperRaw: 8}.Match(t.Context(), tab, scoreSpec)
	require.ErrorContains(t, err, "min-controls")
	_, err = Full{MaxControls: 0.5, CaliperRaw: 8}.Match(t.Context(), tab, scoreSpec)
	require.ErrorContains(t, err, "max-controls")
}

func TestFullOptions(t *testing.T) {
	for x, want := range map[float64][2]int{0: {0, 0}, 3: {3, 1}, 0.5: {1, 2}, 0.333: {1, 3}, 1. / 7: {1, 7}, 1: {1, 1}} {
		a, b, ok := perUnit(x)
		require.True(t, ok)
		require.Equal(t, want, [2]int{a, b}, "%g", x)
	}
	for _, m := range []Full{{MinControls: -1}, {MaxControls: 0.7}, {MinControls: 1.5}, {MinControls: math.NaN()}, {MinControls: 3, MaxControls: 2}, {Estimand: "x"}, {MaxArcs: -2}, {Caliper: -1}} {
		require.NotEmpty(t, m.Check(), "%+v", m)
	}
	p := smooth(num.NewStream(53, "options", 0), 60)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
	}
	seen := map[string]string{}
	for name, m := range map[string]Full{
		"plain": {}, "min": {MinControls: 1}, "max": {MaxControls: 3}, "exact": {Exact: []string{"group"}}, "caliper": {Caliper: 0.1}, "raw": {CaliperRaw: 0.3},
		"on": {CaliperOn: map[string]float64{"x0": 0.5}}, "atc": {Estimand: ATC}, "ate": {Estimand: ATE},
	} {
		got, err := m.Match(t.Context(), p.table(t), scoreSpec)
		require.NoError(t, err, name)
		key := fmt.Sprint(got.Set, got.Weight)
		require.Empty(t, seen[key], "%s and %s are the same", name, seen[key])
		seen[key] = name
	}
}

func TestVerifyFullSeesCorruption(t *testing.T) {
	p := smooth(num.NewStream(54, "verify", 0), 80)
	for i := range p.group {
		p.group[i] = string(rune('a' + i%2))
	}
	tab := p.table(t)
	design := Full{MaxControls: 4}
	for name, spoil := range map[string]func(m *Matched){
		"set":            func(m *Matched) { m.Set[m.Pairs[0][0]] = m.Counts.Sets },
		"set lost":       func(m *Matched) { m.Set[m.Pairs[0][1]] = 0 },
		"pair turned":    func(m *Matched) { m.Pairs[0][0], m.Pairs[0][1] = m.Pairs[0][1], m.Pairs[0][0] },
		"pair outside":   func(m *Matched) { m.Pairs[0][0] = 80 },
		"pair twice":     func(m *Matched) { m.Pairs[1] = m.Pairs[0] },
		"pair dropped":   func(m *Matched) { m.Pairs, m.PairDistance = m.Pairs[1:], m.PairDistance[1:] },
		"distance":       func(m *Matched) { m.PairDistance[0] += 1e-6 },
		"weight":         func(m *Matched) { m.Weight[m.Pairs[0][1]] *= 1.001 },
		"count of pairs": func(m *Matched) { m.Counts.Pairs++ },
		"blocks":         func(m *Matched) { m.Counts.Blocks++ },
		"estimand":       func(m *Matched) { m.Estimand = ATE },
		"score":          func(m *Matched) { m.Score[0] += 1 },
		"price":          func(m *Matched) { m.Optimum.Price[m.Pairs[0][0]] += 1 << 40 },
		"no proof":       func(m *Matched) { m.Optimum = nil },
	} {
		m, err := design.Match(t.Context(), tab, scoreSpec)
		require.NoError(t, err)
		m.Score = slices.Clone(m.Score)
		require.NoError(t, VerifyFull(tab, scoreSpec, design, m))
		spoil(m)
		require.ErrorIs(t, VerifyFull(tab, scoreSpec, design, m), ErrConstraint, name)
	}
	m, err := Full{}.Match(t.Context(), tab, scoreSpec)
	require.NoError(t, err)
	// A price at the centre of a set (a: 0 with d: 1 and e: 2) that its partners pay back: only its own sign tells.
	small := line(t, []bool{true, false, false, true, false, false}, []float64{0, 1, 2, 100, 101, 102})
	forged, err := Full{}.Match(t.Context(), small, scoreSpec)
	require.NoError(t, err)
	for row, step := range []int64{1, -1, -1, 0, 0, 0} {
		forged.Optimum.Price[row] += step
	}
	require.ErrorContains(t, VerifyFull(small, scoreSpec, Full{}, forged), "does not go with its 2 partners")
	require.ErrorContains(t, VerifyFull(tab, scoreSpec, Full{MaxControls: 2}, m), "limits")
	require.ErrorContains(t, VerifyFull(tab, scoreSpec, Full{Exact: []string{"group"}}, m), "exact")
	require.ErrorContains(t, VerifyFull(tab, scoreSpec, Full{CaliperRaw: 1e-6}, m), "caliper")
	require.ErrorContains(t, VerifyFull(tab, scoreSpec, Full{CaliperOn: map[string]float64{"x1": 1e-6}}, m), "caliper")
}
