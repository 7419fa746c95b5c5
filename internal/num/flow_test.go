package num

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// randomGraph draws a graph with few different costs, so that many optima tie.
func randomGraph(s *Stream, left, right int) Bipartite {
	g := Bipartite{Left: left, Right: right, Start: []int{0}}
	density, top := 0.3+0.7*s.Float(), 1+s.Intn(30)
	for range left {
		for j := range right {
			if s.Bernoulli(density) {
				g.To, g.Cost = append(g.To, int32(j)), append(g.Cost, int64(s.Intn(top)))
			}
		}
		g.Start = append(g.Start, len(g.To))
	}
	return g
}

// value is forfeits and costs of a choice of arcs; false where a node has too many links.
func value(g Bipartite, bounds [2]Degree, forfeit int64, chosen func(arc int) bool) (int64, bool) {
	degree := [2][]int{make([]int, g.Left), make([]int, g.Right)}
	total := int64(0)
	for i := range g.Left {
		for a := g.Start[i]; a < g.Start[i+1]; a++ {
			if chosen(a) {
				degree[0][i]++
				degree[1][g.To[a]]++
				total += g.Cost[a]
			}
		}
	}
	for s, b := range bounds {
		for _, d := range degree[s] {
			if d > b.Max {
				return 0, false
			}
			total += forfeit * int64(max(b.Min-d, 0))
			if d == 0 && b.Min > 0 {
				total += forfeit
			}
		}
	}
	return total, true
}

var flowBounds = [][2]Degree{
	{{1, 1}, {0, 1}}, {{2, 2}, {0, 1}}, {{3, 3}, {0, 1}}, // pairs, k:1
	{{1, Unlimited}, {1, Unlimited}}, {{1, 2}, {1, 3}}, {{1, 3}, {1, 1}}, {{1, 1}, {2, 3}}, {{2, 3}, {1, 1}}, // full
}

// Against every choice of arcs, on graphs of up to 14 arcs.
func TestMinCostLinksBruteForce(t *testing.T) {
	for rep := range 400 {
		s := NewStream(1, "flow", uint64(rep))
		g := randomGraph(s, 1+s.Intn(4), 1+s.Intn(5))
		if len(g.To) > 14 {
			continue
		}
		b := flowBounds[rep%len(flowBounds)]
		l, err := MinCostLinks(t.Context(), g, b[0], b[1])
		require.NoError(t, err)
		require.NoError(t, l.Certify(g, b[0], b[1]), "rep %d %v", rep, b)
		best := int64(math.MaxInt64)
		for set := range 1 << len(g.To) {
			if v, ok := value(g, b, l.Forfeit, func(a int) bool { return set>>a&1 == 1 }); ok {
				best = min(best, v)
			}
		}
		linked := map[[2]int32]bool{}
		for _, p := range l.Pairs {
			linked[p] = true
		}
		of := make([]int32, len(g.To))
		for i := range g.Left {
			for a := g.Start[i]; a < g.Start[i+1]; a++ {
				of[a] = int32(i)
			}
		}
		got, ok := value(g, b, l.Forfeit, func(a int) bool { return linked[[2]int32{of[a], g.To[a]}] })
		require.True(t, ok)
		require.Equal(t, best, got, "rep %d %v", rep, b)
	}
}

// Larger graphs have a certificate.
func TestMinCostLinksCertified(t *testing.T) {
	for rep := range 80 {
		s := NewStream(2, "flow", uint64(rep))
		g := randomGraph(s, 1+s.Intn(60), 1+s.Intn(60))
		b := flowBounds[rep%len(flowBounds)]
		l, err := MinCostLinks(t.Context(), g, b[0], b[1])
		require.NoError(t, err)
		require.NoError(t, l.Certify(g, b[0], b[1]), "rep %d %v", rep, b)
	}
}

// By hand: 1 – a costs 1, 1 – b 2, 2 – a 1, 2 – b 9: the greedy 1 – a, 2 – b costs 10, the best 3.
// Prices: 2 takes a from 1, which pays 2 - 1 more for b.
func TestMinCostLinksByHand(t *testing.T) {
	g := Bipartite{Left: 2, Right: 2, Start: []int{0, 2, 4}, To: []int32{0, 1, 0, 1}, Cost: []int64{1, 2, 1, 9}}
	one, free := Degree{1, 1}, Degree{0, 1}
	l, err := MinCostLinks(t.Context(), g, one, free)
	require.NoError(t, err)
	require.Equal(t, [][2]int32{{0, 1}, {1, 0}}, l.Pairs)
	require.Equal(t, [2][]int64{{2, 2}, {-1, 0}}, l.Price)
	// Without the arc 1 – b one of the two goes without.
	g = Bipartite{Left: 2, Right: 2, Start: []int{0, 1, 2}, To: []int32{0, 0}, Cost: []int64{4, 3}}
	l, err = MinCostLinks(t.Context(), g, one, free)
	require.NoError(t, err)
	require.Equal(t, [][2]int32{{1, 0}}, l.Pairs)
	require.Equal(t, []int32{1, 0}, l.Deficit[0])
}

// Serving 3 costs three exchanges of 10, more than any single arc: 1 and 2 free of cost would leave 3 out.
func TestMinCostLinksServesBeforeItSaves(t *testing.T) {
	g := Bipartite{Left: 3, Right: 3, Start: []int{0, 2, 4, 5}, To: []int32{0, 1, 1, 2, 0}, Cost: []int64{0, 10, 0, 10, 10}}
	l, err := MinCostLinks(t.Context(), g, Degree{1, 1}, Degree{0, 1})
	require.NoError(t, err)
	require.Equal(t, [][2]int32{{0, 1}, {1, 2}, {2, 0}}, l.Pairs)
	require.NoError(t, l.Certify(g, Degree{1, 1}, Degree{0, 1}))
}

// Every breach of a certificate is seen.
func TestCertifySeesBreaches(t *testing.T) {
	g := Bipartite{Left: 2, Right: 3, Start: []int{0, 3, 5}, To: []int32{0, 1, 2, 0, 1}, Cost: []int64{1, 2, 7, 1, 9}}
	one, free := Degree{1, 1}, Degree{0, 1}
	for name, spoil := range map[string]func(l *Links){
		"pair twice":     func(l *Links) { l.Pairs = append(l.Pairs, l.Pairs[0]) },
		"no arc":         func(l *Links) { l.Pairs[1][1] = 2 },
		"dearer":         func(l *Links) { l.Pairs = [][2]int32{{0, 0}, {1, 1}} },
		"link lost":      func(l *Links) { l.Pairs = l.Pairs[1:] },
		"price":          func(l *Links) { l.Price[0][0]++ },
		"lower price":    func(l *Links) { l.Price[0][0]-- },
		"price of spare": func(l *Links) { l.Price[1][2]-- },
		"deficit":        func(l *Links) { l.Deficit[0][0] = 1 },
		"shape":          func(l *Links) { l.Price[1] = l.Price[1][1:] },
		"left out":       func(l *Links) { l.Pairs, l.Deficit[0][0] = l.Pairs[1:], 1 },
	} {
		l, err := MinCostLinks(t.Context(), g, one, free)
		require.NoError(t, err)
		require.NoError(t, l.Certify(g, one, free))
		spoil(l)
		require.Error(t, l.Certify(g, one, free), name)
	}
}

func TestMinCostLinksContract(t *testing.T) {
	g := Bipartite{Left: 1, Right: 1, Start: []int{0, 1}, To: []int32{0}, Cost: []int64{-1}}
	require.Panics(t, func() { _, _ = MinCostLinks(context.Background(), g, Degree{1, 1}, Degree{0, 1}) })
	g.Cost[0] = MaxForfeit
	require.Panics(t, func() { _, _ = MinCostLinks(context.Background(), g, Degree{1, 1}, Degree{0, 1}) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g.Cost[0] = 1
	_, err := MinCostLinks(ctx, g, Degree{1, 1}, Degree{0, 1})
	require.ErrorIs(t, err, context.Canceled)
}
