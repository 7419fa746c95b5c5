package study

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/study/release"
	"utfall/table"
)

// ladderOf is a run by hand with the ladder a < b < w and another order in which a and b are one step.
func ladderOf(t *testing.T, paths ...handPath) *state {
	s := byHand(t, paths...)
	s.ladders = map[string]*Ladder{"l": {Steps: map[string]int{"a": 1, "b": 2, "w": 5}, Orders: map[string]map[string]int{"merged": {"b": 1}}}}
	return s
}

// In month 1 participants are 10 on a, 20 on b, 30 on w; comparison people 30, 20 and 10. Of 3,600 pairs the participant is higher in
// 20·30 + 30·50 = 2,100 and lower in 10·30 + 20·10 = 500. With a and b as one: 30·50 − 30·10 = 1,200.
func TestLadderByHand(t *testing.T) {
	s := ladderOf(t, handPath{true, 10, "aaa", 0}, handPath{true, 20, "abb", 1}, handPath{true, 30, "awa", 0}, handPath{false, 30, "aaa", 0}, handPath{false, 20, "aba", 1}, handPath{false, 10, "aww", 0})
	r, err := s.ladderSteps(&Analysis{Name: "l", Steps: &Steps{Cohort: "c", Ladder: "l", At: []int{1}, Odds: true}})
	require.NoError(t, err)
	require.Equal(t, "association", r.kind)
	value := func(address string) float64 { return numberOf(t, r, address).e.Value }
	require.Equal(t, "time=1", r.numbers[0].term)
	require.InDelta(t, 1600.0/3600, r.numbers[0].e.Value, 1e-12)
	require.InDelta(t, 1600.0/3600, value("time=1/net-benefit"), 1e-12)
	require.InDelta(t, (2100+500.0)/3600, value("time=1/win-probability"), 1e-12)
	require.InDelta(t, 2600.0/1000, value("time=1/win-odds"), 1e-12)
	require.InDelta(t, 2100.0/500, value("time=1/win-ratio"), 1e-12)
	require.InDelta(t, 1000.0/3600, value("time=1,part=left/share-of-pairs"), 1e-12)
	require.InDelta(t, 2100.0/3600, value("time=1,part=won/share-of-pairs"), 1e-12)
	require.InDelta(t, 1200.0/3600, value("time=1,order=merged/net-benefit"), 1e-12)
	require.InDelta(t, math.Log(50.0/10*30/30), value("time=1,odds=step-2/log-odds-ratio"), 1e-8)
	require.InDelta(t, math.Log(30.0/30*50/10), value("time=1,odds=step-5/log-odds-ratio"), 1e-8)
	// The two are alike, so that one for all is the same and the test says nothing.
	require.InDelta(t, math.Log(5), value("time=1,odds=all/log-odds-ratio"), 1e-7)
	n := numberOf(t, r, "time=1,steps=alike/chi-square")
	require.InDelta(t, 0, n.e.Value, 1e-12)
	require.InDelta(t, 1, n.e.Test.P, 1e-6)
	require.Equal(t, "check", n.kind)
	ci := numberOf(t, r, "time=1/win-probability").e.CI
	require.InDelta(t, 2*ci.Hi-1, numberOf(t, r, "time=1/net-benefit").e.CI.Hi, 1e-12)

	// Of 60 in each group 30 are not on w in participants; 20 are moved by the order.
	require.Equal(t, release.Arms{Treated: 30, Control: 30}, *numberOf(t, r, "time=1/net-benefit").basis.Events)
	require.Equal(t, release.Arms{Treated: 20, Control: 10}, *numberOf(t, r, "time=1,order=merged/net-benefit").basis.Events) // 10 on w
	require.Equal(t, release.Arms{Treated: 10, Control: 20}, *numberOf(t, r, "time=1,odds=step-2/log-odds-ratio").basis.Events)
	require.Equal(t, release.Arms{Treated: 20, Control: 10}, *numberOf(t, r, "time=1,odds=step-5/log-odds-ratio").basis.Events)

	// Within the two values of a column: those who have been on b, and the others.
	b := s.cohorts["c"]
	score, err := b.table.Float("score")
	require.NoError(t, err)
	code := make([]int32, len(score.Values))
	for i, v := range score.Values {
		code[i] = int32(v)
	}
	cat, err := table.NewCategory(table.Field{Name: "kind"}, code, []string{"other", "b"}, nil)
	require.NoError(t, err)
	b.table, err = b.table.With(cat)
	require.NoError(t, err)
	r, err = s.ladderSteps(&Analysis{Name: "l", Steps: &Steps{Cohort: "c", Ladder: "l", At: []int{1}, Strata: []string{"kind"}}})
	require.NoError(t, err)
	// On b all are tied. Of the 40 and 40 others 30·30 pairs are won and 10·10 lost of 1,600; weights 40·40/80 and 20·20/40.
	require.InDelta(t, (20*800.0/1600+10*0)/30, r.numbers[0].e.Value, 1e-12)
}

// Ten of sixty who are not seen are left out and counted; a fifth may be, more not.
func TestLadderWithoutTheLost(t *testing.T) {
	ask := func(lost int) analysisResult {
		s := ladderOf(t, handPath{true, 30, "aw", 0}, handPath{true, 30 - lost, "aa", 0}, handPath{true, lost, "a.", 0}, handPath{false, 20, "aw", 0}, handPath{false, 40, "ab", 0})
		r, err := s.ladderSteps(&Analysis{Name: "l", Steps: &Steps{Cohort: "c", Ladder: "l", At: []int{1}}})
		require.NoError(t, err)
		return r
	}
	r := ask(12)
	require.Nil(t, r.numbers[0].not)
	require.True(t, slices.ContainsFunc(r.numbers[0].notes, func(n table.Note) bool { return n.Code == "not-seen-at" && n.Args["rows"] == 12 }))
	require.InDelta(t, 30.0/48*40/60-18.0/48, r.numbers[0].e.Value, 1e-12)
	r = ask(13)
	require.NotNil(t, r.numbers[0].not)
	require.Equal(t, "refused-many-lost", r.numbers[0].not.why.Code)
}

// A step with few people on it is in no number from which it follows: neither the odds on its two sides nor the order that moves it.
func TestLadderStepsOfFewAreWithheld(t *testing.T) {
	s := ladderOf(t, handPath{true, 40, "aa", 0}, handPath{true, 4, "ab", 0}, handPath{true, 40, "aw", 0}, handPath{false, 40, "aa", 0}, handPath{false, 20, "ab", 0}, handPath{false, 30, "aw", 0})
	r, err := s.ladderSteps(&Analysis{Name: "l", Steps: &Steps{Cohort: "c", Ladder: "l", At: []int{1}, Odds: true}})
	require.NoError(t, err)
	shown := func(address string) bool {
		n := numberOf(t, r, address)
		out, _ := release.Policy{}.Estimate("l", n.e, n.basis)
		return out.Shown
	}
	require.True(t, shown("time=1/net-benefit"))
	require.False(t, shown("time=1,order=merged/net-benefit"))
	require.False(t, shown("time=1,odds=step-2/log-odds-ratio"))
	require.False(t, shown("time=1,odds=step-5/log-odds-ratio"))
}
