package release

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
)

const prime = 1<<61 - 1

func mulmod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	_, r := bits.Div64(hi, lo, prime)
	return r
}

func invmod(a uint64) uint64 { // Fermat
	r := uint64(1)
	for e := uint64(prime - 2); e > 0; e >>= 1 {
		if e&1 == 1 {
			r = mulmod(r, a)
		}
		a = mulmod(a, a)
	}
	return r
}

// space is the row space of what a reader knows, kept in echelon form.
type space struct {
	rows   [][]uint64
	pivots []int
}

func (s *space) reduce(v []uint64) []uint64 {
	v = append([]uint64(nil), v...)
	for i, row := range s.rows {
		if f := v[s.pivots[i]]; f != 0 {
			for j := range v {
				v[j] = (v[j] + prime - mulmod(f, row[j])) % prime
			}
		}
	}
	return v
}

func (s *space) add(v []uint64) {
	v = s.reduce(v)
	for j, x := range v {
		if x != 0 {
			inv := invmod(x)
			for i := range v {
				v[i] = mulmod(v[i], inv)
			}
			s.rows, s.pivots = append(s.rows, v), append(s.pivots, j)
			return
		}
	}
}

func (s *space) knows(v []uint64) bool {
	for _, x := range s.reduce(v) {
		if x != 0 {
			return false
		}
	}
	return true
}

func TestSpace(t *testing.T) {
	var s space
	s.add([]uint64{1, 1, 1})
	s.add([]uint64{0, 1, 1})
	require.True(t, s.knows([]uint64{1, 0, 0}))
	require.False(t, s.knows([]uint64{0, 1, 0}))
	require.True(t, s.knows([]uint64{3, 5, 5}))
}

// attack holds one arm of a study: atoms are the exclusions before the design, and
// every combination of level and kept-or-left-out for one categorical covariate.
type attack struct {
	exclusions []int    // before the design step
	levels     [][2]int // kept, left out by the design
}

func (a attack) atoms() int { return len(a.exclusions) + 2*len(a.levels) }

func (a attack) vector(f func(v []uint64)) []uint64 {
	v := make([]uint64, a.atoms())
	f(v)
	return v
}

// kept and out set the atoms of a level.
func (a attack) kept(v []uint64, l int) { v[len(a.exclusions)+2*l] = 1 }
func (a attack) out(v []uint64, l int)  { v[len(a.exclusions)+2*l+1] = 1 }

// box is the people left after i steps; the design is the last step.
func (a attack) box(i int) []uint64 {
	return a.vector(func(v []uint64) {
		for j := i; j < len(a.exclusions); j++ {
			v[j] = 1
		}
		for l := range a.levels {
			a.kept(v, l)
			if i <= len(a.exclusions) {
				a.out(v, l)
			}
		}
	})
}

func (a attack) value(v []uint64) int {
	n := 0
	for i, e := range a.exclusions {
		n += int(v[i]) * e
	}
	for l, x := range a.levels {
		n += int(v[len(a.exclusions)+2*l])*x[0] + int(v[len(a.exclusions)+2*l+1])*x[1]
	}
	return n
}

// targets are the cells that must not be known when they hold 1..k-1 people.
func (a attack) targets() [][]uint64 {
	var out [][]uint64
	m := len(a.exclusions)
	for i := 0; i <= m+1; i++ { // boxes, and the exclusions of consecutive steps
		out = append(out, a.box(i))
		for j := i + 1; j <= m+1; j++ {
			x, y := a.box(i), a.box(j)
			out = append(out, a.vector(func(v []uint64) {
				for k := range v {
					v[k] = x[k] - y[k]
				}
			}))
		}
	}
	for l := range a.levels { // levels, and unions of two levels
		for l2 := l; l2 < len(a.levels); l2++ {
			kept := a.vector(func(v []uint64) { a.kept(v, l); a.kept(v, l2) })
			left := a.vector(func(v []uint64) { a.out(v, l); a.out(v, l2) })
			both := a.vector(func(v []uint64) { a.kept(v, l); a.kept(v, l2); a.out(v, l); a.out(v, l2) })
			out = append(out, kept, left, both)
		}
	}
	return out
}

// leak runs the release of a random study and returns a description of the first
// cell of 1..k-1 people that follows from what was released; listed is how many of
// the levels have a row of their own.
func leak(t *testing.T, p Policy, treated, control attack, listed int) string {
	sum := func(a attack) (kept, left int) {
		for _, x := range a.levels {
			kept, left = kept+x[0], left+x[1]
		}
		return kept, left
	}
	tk, tl := sum(treated)
	ck, cl := sum(control)
	steps := flowSteps(append(append([]int{}, treated.exclusions...), tl), append(append([]int{}, control.exclusions...), cl), tk, ck)
	flow, _, err := p.Attrition(steps)
	require.NoError(t, err)
	before := flow.Start
	if len(steps) > 1 {
		before = flow.Steps[len(steps)-2].Left
	}
	var b cohort.Balance
	var about []Covariate
	for l := range listed {
		b.Rows = append(b.Rows, cohort.BalanceRow{Variable: fmt.Sprintf("v-%d", l)})
		about = append(about, Covariate{Group: "v",
			Before: Arms{treated.levels[l][0] + treated.levels[l][1], control.levels[l][0] + control.levels[l][1]},
			After:  Arms{treated.levels[l][0], control.levels[l][0]}})
	}
	table, _, err := p.Balance(b, about, Arms{tk + tl, ck + cl}, Arms{tk, ck}, before)
	require.NoError(t, err)
	for arm, a := range map[string]attack{"treated": treated, "control": control} {
		var s space
		pick, side := treatedOf, func(b BalanceSide) Count { return b.Treated }
		if arm == "control" {
			pick, side = controlOf, func(b BalanceSide) Count { return b.Control }
		}
		for i := range shownBoxes(flow, pick) {
			s.add(a.box(i))
		}
		for l, r := range table.Rows {
			if !side(r.After).Suppressed() {
				s.add(a.vector(func(v []uint64) { a.kept(v, l) }))
			}
			if !side(r.Before).Suppressed() {
				s.add(a.vector(func(v []uint64) { a.kept(v, l); a.out(v, l) }))
			}
		}
		for _, v := range a.targets() {
			if n := a.value(v); p.small(n) && s.knows(v) {
				return fmt.Sprintf("%s: %d people of %+v: %v", arm, n, a, v)
			}
		}
	}
	return ""
}

func randomArm(rng *rand.Rand, steps, levels int) attack {
	a := attack{exclusions: make([]int, steps), levels: make([][2]int, levels)}
	for i := range a.exclusions {
		a.exclusions[i] = rng.IntN(30)
	}
	for l := range a.levels {
		a.levels[l] = [2]int{rng.IntN(40), rng.IntN(2) * rng.IntN(20)}
	}
	return a
}

// Nothing that is released exactly (no rounding, the worst case) lets a reader work
// out a cell of 1..k-1 people, in the flow, in the balance table or from both.
func TestAttackFindsNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	released := 0
	for range 6000 {
		steps, levels := rng.IntN(4), rng.IntN(5)+1
		p := Policy{MinCount: rng.IntN(10) + 3, RoundTo: 1}
		treated, control := randomArm(rng, steps, levels), randomArm(rng, steps, levels)
		listed := max(1, levels-rng.IntN(2))
		require.Empty(t, leak(t, p, treated, control, listed))
		released++
	}
	require.Positive(t, released)
}

// The attack is worth something only if it finds a leak that is there: shown without
// complementary suppression, a level of 4 follows from the rest.
func TestAttackFindsPlantedLeak(t *testing.T) {
	a := attack{exclusions: []int{20}, levels: [][2]int{{30, 0}, {25, 0}, {4, 0}}}
	var s space
	for i := range 3 {
		s.add(a.box(i))
	}
	s.add(a.vector(func(v []uint64) { a.kept(v, 0) }))
	require.False(t, s.knows(a.vector(func(v []uint64) { a.kept(v, 2) })))
	s.add(a.vector(func(v []uint64) { a.kept(v, 1) }))
	third := a.vector(func(v []uint64) { a.kept(v, 2) })
	require.True(t, s.knows(third), "the last box, less two levels")
	require.Equal(t, 4, a.value(third))
}
