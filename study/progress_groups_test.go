package study

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate/progress"
	"utfall/table"
)

// A group that is everybody has everybody's number and error; one with too few answers, or too few older people, is refused and says so; a group's number is
// exploratory, and where everybody's is refused no group has one.
func TestHeadlinesWithinGroups(t *testing.T) {
	s, a, u, err := simStudy(t, 3, 900, Cohort{Match: &cohort.MatchSpec{Method: "nearest", Distance: "linear-logit", Ratio: 2}})
	require.NoError(t, err)
	own := &progressResult{ladder: s.ladders["l"], notes: map[string][]table.Note{}, groups: map[string][]groupMonths{}}
	r := &analysisResult{own: own, kind: "effect"}
	codes, big := make([]int32, len(u.id)), make([]int32, len(u.id))
	for i := range codes {
		if i < 40 {
			big[i] = 1
		}
	}
	all, err := table.NewCategory(table.Field{Name: "all"}, codes, []string{"everybody", "nobody"}, nil)
	require.NoError(t, err)
	some, err := table.NewCategory(table.Field{Name: "some"}, big, []string{"most", "few"}, nil)
	require.NoError(t, err)
	u.b.table, err = u.b.table.With(all)
	require.NoError(t, err)
	u.b.table, err = u.b.table.With(some)
	require.NoError(t, err)
	a.Progress.Groups = []string{"all", "some"}
	a.Progress.Forecast, a.Progress.Assessments.Draws = nil, 2
	h := &headline{term: termLife, measure: progress.NetImproved}
	require.NoError(t, s.life(r, a, u, h))
	require.Nil(t, h.not)
	own.heads = append(own.heads, h)
	before := len(r.numbers)
	require.NoError(t, s.byGroup(r, a.Progress, u))
	numbers := r.numbers[before:]
	require.Len(t, numbers, 3, "nobody has no number")
	require.Equal(t, "life,all=everybody", numbers[0].term)
	require.InDelta(t, h.estimate.Value, numbers[0].e.Value, 1e-12)
	require.InDelta(t, h.estimate.SE, numbers[0].e.SE, 1e-12)
	require.Equal(t, "exploratory-group", numbers[0].notes[0].Code)
	require.NotEqual(t, numbers[0].e.Value, numbers[1].e.Value)
	require.Less(t, numbers[1].basis.Treated+numbers[1].basis.Control, numbers[0].basis.Treated+numbers[0].basis.Control)
	require.Equal(t, "life,some=few", numbers[2].term)
	require.Equal(t, "refused-too-few", numbers[2].not.why.Code)
	require.Len(t, own.groups[termLife], 2)

	h.not = &refusal{}
	r.numbers = nil
	require.NoError(t, s.byGroup(r, a.Progress, u))
	require.Empty(t, r.numbers)
}

// The forecast in a group: everybody's is everybody's, with the same test on older people; a group with fewer than 400 of them is refused.
func TestForecastWithinGroups(t *testing.T) {
	s, a, u, err := simStudy(t, 4, 2600, Cohort{})
	require.NoError(t, err)
	own := &progressResult{ladder: s.ladders["l"], notes: map[string][]table.Note{}, groups: map[string][]groupMonths{}}
	r, h := &analysisResult{own: own, kind: "effect"}, &headline{term: termForecast}
	require.NoError(t, s.forecast(r, a, u, h))
	require.Nil(t, h.not)
	n, err := h.within(slices.Repeat([]bool{true}, len(u.id)))
	require.NoError(t, err)
	require.InDelta(t, h.estimate.Value, n.estimate.Value, 1e-12)
	require.InDelta(t, h.benchmark, n.benchmark, 1e-12)
	half, few := make([]bool, len(u.id)), make([]bool, len(u.id))
	for i := range half {
		half[i], few[i] = i%2 == 0, i%6 == 0
	}
	n, err = h.within(half)
	require.NoError(t, err)
	require.Greater(t, n.estimate.SE, 1.2*h.estimate.SE)
	require.Less(t, math.Abs(n.estimate.Value-h.estimate.Value), 4*n.estimate.SE)
	_, err = h.within(few)
	require.ErrorContains(t, err, "fewer than 400")
}
