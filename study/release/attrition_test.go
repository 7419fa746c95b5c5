package release

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
)

// flowSteps makes steps from the exclusions of each group and what is left.
func flowSteps(treated, control []int, leftTreated, leftControl int) []cohort.Step {
	t, c := leftTreated, leftControl
	for i := range treated {
		t, c = t+treated[i], c+control[i]
	}
	steps := make([]cohort.Step, len(treated))
	for i := range steps {
		s := cohort.Step{Name: fmt.Sprintf("step-%d", i), UnitsIn: t + c, TreatedIn: t}
		t, c = t-treated[i], c-control[i]
		s.UnitsOut, s.TreatedOut = t+c, t
		steps[i] = s
	}
	return steps
}

func shownBoxes(a Attrition, pick func(Box) Count) map[int]int {
	out := map[int]int{}
	boxes := []Box{a.Start}
	for _, s := range a.Steps {
		boxes = append(boxes, s.Left)
	}
	for i, b := range boxes {
		if n, ok := pick(b).Int(); ok {
			out[i] = n
		}
	}
	return out
}

func treatedOf(b Box) Count { return b.Treated }
func controlOf(b Box) Count { return b.Control }

// Participants 103 → 100 → 88 → 85: the last exclusion of 3 joins the 12 before it,
// the first of 3 joins that. Shown: 103→105 and 85→85, difference 20.
func TestAttritionByHand(t *testing.T) {
	a, w, err := Policy{}.Attrition(flowSteps([]int{3, 12, 3}, []int{0, 100, 41}, 85, 400))
	require.NoError(t, err)
	require.Equal(t, map[int]int{0: 105, 3: 85}, shownBoxes(a, treatedOf))
	require.Equal(t, 20, a.Steps[2].Excluded.Treated.n)
	require.Equal(t, map[int]int{0: 540, 1: 540, 2: 440, 3: 400}, shownBoxes(a, controlOf))
	require.True(t, a.Steps[0].Excluded.Control.Zero(), "nobody was excluded, and that may be said")
	require.True(t, a.Steps[0].Left.Units().Suppressed(), "a sum with a withheld part is withheld")
	require.Equal(t, 485, a.Steps[2].Left.Units().n)
	require.Equal(t, []Withheld{{"attrition/treated", Difference, 2}}, w)
	require.True(t, a.Missing.Zero())
}

func TestAttritionEdges(t *testing.T) {
	// One exclusion of 3: the start is withheld, the result stays.
	a, _, err := Policy{}.Attrition(flowSteps([]int{3}, []int{0}, 100, 100))
	require.NoError(t, err)
	require.Equal(t, map[int]int{1: 100}, shownBoxes(a, treatedOf))
	// Too few left at the end: the box before is what is shown.
	a, _, err = Policy{}.Attrition(flowSteps([]int{50}, []int{50}, 4, 100))
	require.NoError(t, err)
	require.Equal(t, map[int]int{0: 55}, shownBoxes(a, treatedOf))
	// Too few at all.
	a, _, err = Policy{}.Attrition(flowSteps([]int{3}, []int{50}, 4, 100))
	require.NoError(t, err)
	require.Empty(t, shownBoxes(a, treatedOf))
	a, _, err = Policy{}.Attrition(nil)
	require.NoError(t, err)
	require.Empty(t, a.Steps)
}

func TestAttritionMissing(t *testing.T) {
	steps := flowSteps([]int{30}, []int{30}, 100, 100)
	for missing, want := range map[int]string{0: "0", 5: "..", 20: "20", 55: "..", 60: "60"} {
		steps[0].Missing = missing
		a, _, err := Policy{}.Attrition(steps)
		require.NoError(t, err)
		require.Equal(t, want, a.Missing.String(), missing)
	}
}

func TestAttritionImpossible(t *testing.T) {
	good := flowSteps([]int{10, 20}, []int{10, 20}, 50, 50)
	for name, spoil := range map[string]func(s []cohort.Step){
		"gap":          func(s []cohort.Step) { s[1].UnitsIn++ },
		"grows":        func(s []cohort.Step) { s[0].UnitsOut = s[0].UnitsIn + 1; s[1].UnitsIn = s[0].UnitsOut },
		"missing":      func(s []cohort.Step) { s[0].Missing = 21 },
		"more treated": func(s []cohort.Step) { s[1].TreatedOut = s[1].UnitsOut + 1 },
	} {
		bad := append([]cohort.Step(nil), good...)
		spoil(bad)
		_, _, err := Policy{}.Attrition(bad)
		require.ErrorIs(t, err, ErrInput, name)
	}
}

func randomFlow(rng *rand.Rand) []cohort.Step {
	m := rng.IntN(7) + 1
	t, c := make([]int, m), make([]int, m)
	for i := range m {
		t[i], c[i] = rng.IntN(25)*rng.IntN(2), rng.IntN(40)
	}
	return flowSteps(t, c, rng.IntN(60), rng.IntN(60))
}

// Law of the flow: exclusions and rest are 0 or enough, a larger minimum shows a
// subset of the boxes (M51), and releasing twice is releasing once (M52).
func TestAttritionLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	for range 3000 {
		steps := randomFlow(rng)
		base := []int{1, 5, 3}[rng.IntN(3)]
		for _, pick := range []func(Box) Count{treatedOf, controlOf} {
			var previous map[int]int
			for k := 25; k >= 3; k-- {
				p := Policy{k, base}
				a, _, err := p.Attrition(steps)
				require.NoError(t, err)
				boxes := shownBoxes(a, pick)
				for i := range previous {
					require.Contains(t, boxes, i, "minimum %d shows a box that %d does not: %+v", k+1, k, steps)
				}
				previous = boxes
				last := -1
				for i := range len(steps) + 1 {
					n, ok := boxes[i]
					if !ok {
						continue
					}
					if last >= 0 && last != n {
						require.GreaterOrEqual(t, last-n, p.Threshold())
					}
					last = n
				}
				if last > 0 {
					require.GreaterOrEqual(t, last, p.Threshold())
				}
				again, _ := p.AttritionAgain(a)
				require.Equal(t, a, again)
			}
		}
	}
}
