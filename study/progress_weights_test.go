package study

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// A design whose weights differ between people has a forecast, made with them: other weights, another number; even ones, the number
// without.
func TestForecastTakesTheWeightsOfTheDesign(t *testing.T) {
	s := opened(t, progressData(t), progressStudy(t))
	a := &s.spec.Analyses[0]
	b := *s.cohorts[a.Progress.Cohort]
	ask := func(weight func(i int) float64) *headline {
		b.weight = make([]float64, len(b.treated))
		for i, in := range b.treated {
			if b.weight[i] = 1; !in {
				b.weight[i] = weight(i)
			}
		}
		s.cohorts[a.Progress.Cohort] = &b
		u, err := newProgressUnits(&b)
		require.NoError(t, err)
		r, h := &analysisResult{own: &progressResult{ladder: s.ladders[a.Progress.Ladder], notes: map[string][]table.Note{}}}, &headline{term: termForecast}
		require.NoError(t, s.forecast(r, a, u, h))
		require.Nil(t, h.not)
		told := slices.ContainsFunc(r.own.(*progressResult).notes[termForecast], func(n table.Note) bool { return n.Code == "forecast-few-older" })
		require.True(t, told, "the older people of so small a register are few")
		return h
	}
	even, uneven := ask(func(int) float64 { return 1 }), ask(func(i int) float64 { return 1 + float64(i%3) })
	require.NotEqual(t, even.estimate.Value, uneven.estimate.Value)
	require.Greater(t, uneven.estimate.SE, even.estimate.SE)
	require.Equal(t, even.estimate, ask(func(int) float64 { return 2 }).estimate)
}
