package num

import "fmt"

// Certify checks in whole numbers that the links are a choice that the graph allows and that no
// other is better (complementary slackness of the linear programme): with prices p,
//
//	cost - p(i) - p(j) ≥ 0 for every arc, and ≤ 0 for every link;
//	p ≥ 0 at a node that may have more links, p ≤ 0 at one with more than it needs;
//	p ≥ Forfeit (2·Forfeit) at a node that lacks links (all of them), and p ≤ that of the next one.
//
// It shares no code with the search.
func (l *Links) Certify(g Bipartite, left, right Degree) error {
	linked := make(map[[2]int32]bool, len(l.Pairs))
	size := [2]int{g.Left, g.Right}
	var degree [2][]int
	for s := range degree {
		degree[s] = make([]int, size[s])
		if len(l.Price[s]) != size[s] || len(l.Deficit[s]) != size[s] {
			return fmt.Errorf("%d prices and %d deficits for %d nodes", len(l.Price[s]), len(l.Deficit[s]), size[s])
		}
	}
	for _, p := range l.Pairs {
		if linked[p] {
			return fmt.Errorf("link %v is there twice", p)
		}
		linked[p] = true
		degree[0][p[0]]++
		degree[1][p[1]]++
	}
	found := 0
	for i := range g.Left {
		for a := g.Start[i]; a < g.Start[i+1]; a++ {
			j := g.To[a]
			reduced := g.Cost[a] - l.Price[0][i] - l.Price[1][j]
			if linked[[2]int32{int32(i), j}] {
				found++
				reduced = -reduced
			}
			if reduced < 0 {
				return fmt.Errorf("arc (%d, %d) would make the links cheaper", i, j)
			}
		}
	}
	if found != len(l.Pairs) {
		return fmt.Errorf("%d links are no arcs", len(l.Pairs)-found)
	}
	for s, bound := range [2]Degree{left, right} {
		for x, p := range l.Price[s] {
			has, lacks := degree[s][x], int(l.Deficit[s][x])
			spare := has - (bound.Min - lacks)
			switch {
			case lacks < 0 || lacks > bound.Min || spare < 0 || has > bound.Max:
				return fmt.Errorf("node %d of side %d has %d links and lacks %d", x, s, has, lacks)
			case has+lacks < bound.Max && p < 0, spare > 0 && p > 0:
				return fmt.Errorf("the price of node %d of side %d does not go with its %d links", x, s, has)
			case lacks > 0 && p < l.lackOf(lacks, bound.Min), lacks < bound.Min && p > l.lackOf(lacks+1, bound.Min):
				return fmt.Errorf("the price of node %d of side %d does not go with the %d links it lacks", x, s, lacks)
			}
		}
	}
	return nil
}

// lackOf is the cost of the k-th link that a node with `need` lacks.
func (l *Links) lackOf(k, need int) int64 {
	if k == need {
		return 2 * l.Forfeit
	}
	return l.Forfeit
}
