package study

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// scored is the cohort by hand with columns before and after, row by row; NaN is not there.
func scored(t *testing.T, treated []bool, columns map[string][]float64) *state {
	t.Helper()
	var paths []handPath
	for _, a := range treated {
		paths = append(paths, handPath{a, 1, "a", 0})
	}
	s := byHand(t, paths...)
	b := s.cohorts["c"]
	for _, name := range sortedKeys(columns) {
		has := make([]bool, len(treated))
		values := slices.Clone(columns[name])
		for i, v := range values {
			if has[i] = !math.IsNaN(v); !has[i] {
				values[i] = 0
			}
		}
		var err error
		b.table, err = b.table.With(table.NewFloat(table.Field{Name: name}, values, has))
		require.NoError(t, err)
	}
	return s
}

// followUpByHand is 20 comparison people with (x, y) = (0, 0), (0, 2), (2, 4), (2, 6) in turn and 20 participants with (0, 3), (0, 5), (2, 8) and, of four of the last
// five, (2, missing); the fifth is (2, 8). Least squares of those seen is 1 + 3a + 2x without error of it, so that a missing score is 8 by the own arm and 5 by the reference.
func followUpByHand(t *testing.T) *state {
	var treated []bool
	var before, after []float64
	for i := range 40 {
		k := i % 20 / 5
		a := i >= 20
		y := [2][4]float64{{0, 2, 4, 6}, {3, 5, 8, 8}}[map[bool]int{false: 0, true: 1}[a]][k]
		if a && k == 3 && i%5 > 0 {
			y = math.NaN()
		}
		treated, before, after = append(treated, a), append(before, float64(k/2*2)), append(after, y)
	}
	return scored(t, treated, map[string][]float64{"x": before, "y": after})
}

// Of 20 participants 4 with x = 2 are lost: by reference each loses 3, and x is balanced, so that the effect is 3 − 4·3/20. Twelve people lost would be shown, four are not.
func TestFollowUpByHand(t *testing.T) {
	s := followUpByHand(t)
	ask := func(q FollowUp) analysisResult {
		q.Cohort, q.Columns, q.Before, q.MIC = "c", []string{"y"}, "x", 2
		a := &Analysis{Name: "f", FollowUp: &q}
		q.defaults(s.spec, a)
		r, err := s.followUp(a)
		require.NoError(t, err)
		return r
	}
	r := ask(FollowUp{})
	value := func(r analysisResult, address string) float64 { return numberOf(t, r, "visit=y,"+address).e.Value }
	require.Equal(t, "association", r.kind)
	require.Equal(t, "visit=y,strategy=mar", r.numbers[0].term)
	require.InDelta(t, 3, value(r, "strategy=mar/mean-difference"), 1e-10)
	for _, name := range []string{"jump-to-reference", "copy-reference", "copy-increments"} {
		require.InDelta(t, 3-12./20, value(r, "strategy="+name+"/mean-difference"), 1e-10)
	}
	require.InDelta(t, 3, value(r, "strategy=last-mean-carried-forward/mean-difference"), 1e-10, "no mean to carry")
	require.InDelta(t, 16./20, value(r, "group=treated/response-share"), 1e-12)
	require.InDelta(t, 1, value(r, "group=control/response-share"), 1e-12)
	mar := numberOf(t, r, "visit=y,strategy=mar/mean-difference")
	require.Equal(t, mar.e.SE, numberOf(t, r, "visit=y,strategy=jump-to-reference/mean-difference").e.SE)
	require.NotEqual(t, mar.e.SE, numberOf(t, ask(FollowUp{Errors: "jackknife"}), "visit=y,strategy=jump-to-reference/mean-difference").e.SE)

	// A shift of d important changes takes d·2·4/20; with the error held the interval touches 0 at (3 − 1.96·se)/.4.
	held := ask(FollowUp{Tipping: "held"})
	tip := value(held, "tipping/important-changes")
	require.InDelta(t, -mar.e.CI.Lo/(2*4./20), tip, 1e-9)
	require.Greater(t, value(r, "tipping/important-changes"), tip, "errors that grow tip earlier")
	places := 0
	for _, n := range held.numbers {
		if strings.Contains(n.term, "delta=") {
			places++
			require.False(t, (&FollowUp{}).shows(nil, n))
		}
	}
	require.Equal(t, 25, places)
	require.InDelta(t, 3, value(held, "delta=0/mean-difference"), 1e-10)

	// Four lost are too few for what differs from at random by them alone.
	shown := func(r analysisResult, address string) bool {
		n := numberOf(t, r, "visit=y,"+address)
		out, _ := release.Policy{}.Estimate("f", n.e, n.basis)
		return out.Shown
	}
	require.True(t, shown(r, "strategy=mar/mean-difference"))
	for _, address := range []string{"strategy=jump-to-reference/mean-difference", "tipping/important-changes", "delta=0/mean-difference", "group=treated/response-share"} {
		require.False(t, shown(r, address), address)
	}
	lost := map[string]map[string]int{"0": {"y": 3}, "1": {"y": 12}}
	run := &followUpRun{s: s, b: s.cohorts["c"], scores: &progress.VisitScores{}}
	run.scores.Treated = s.cohorts["c"].treated
	require.Equal(t, release.Arms{Treated: 12, Control: 10}, *run.basis(lost, "y", true, false).Events)
	require.Equal(t, release.Arms{Treated: 12, Control: 3}, *run.basis(lost, "y", true, true).Events)
	require.Nil(t, run.basis(lost, "y", false, false).Events)
}

// Without a score before a person is left out and counted; an arm with few scores has no number; where nobody is lost there is only the number itself.
func TestFollowUpCountsAndRefuses(t *testing.T) {
	s := followUpByHand(t)
	b := s.cohorts["c"]
	x, err := b.table.Float("x")
	require.NoError(t, err)
	values, has := slices.Clone(x.Values), make([]bool, 40)
	for i := range has {
		has[i] = i != 0 && i != 21
	}
	b.table, err = b.table.With(table.NewFloat(table.Field{Name: "some"}, values, has))
	require.NoError(t, err)
	ask := func(before string) (analysisResult, error) {
		q := &FollowUp{Cohort: "c", Columns: []string{"y"}, Before: before, MIC: 2}
		a := &Analysis{Name: "f", FollowUp: q}
		q.defaults(s.spec, a)
		return s.followUp(a)
	}
	r, err := ask("some")
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "no-score-before" && n.Args["rows"] == 2 }))
	require.Equal(t, 19, r.numbers[0].basis.Treated)
	require.Equal(t, release.Arms{Treated: 20, Control: 20}, r.numbers[0].basis.Cohort)

	y, err := b.table.Float("y")
	require.NoError(t, err)
	values, has = slices.Clone(y.Values), make([]bool, 40)
	for i := range has {
		has[i] = i < 34
	}
	b.table, err = b.table.Without("y").With(table.NewFloat(table.Field{Name: "y"}, values, has))
	require.NoError(t, err)
	_, err = ask("x")
	why, ok := refusable(err)
	require.True(t, ok)
	require.Equal(t, "refused-too-few", why.why.Code)
}

// A score is the mean of what was answered, of at least half of the questions.
func TestMeanOfItems(t *testing.T) {
	nan := math.NaN()
	require.Equal(t, 2., meanOfItems([]float64{1, 3, nan, nan}))
	require.True(t, math.IsNaN(meanOfItems([]float64{1, nan, nan})))
	require.True(t, math.IsNaN(meanOfItems([]float64{nan})))
}

// What cannot be used is said before anything runs.
func TestFollowUpRefusesBeforehand(t *testing.T) {
	for _, c := range []struct{ from, what, to, says string }{
		{underFollowUp, "data: assessments, ", "", "give either data"},
		{underFollowUp, "mic: 0.3", "columns: [months_work], mic: 0.3", "give either data"},
		{underFollowUp, "mic: 0.3", "before: months_work_24, mic: 0.3", "before goes with columns"},
		{underFollowUp, ", mic: 0.3", "", "smallest change"},
		{underFollowUp, "rater: self, ", "", "whose answers"},
		{underFollowUp, "items: [health, coping, hope, everyday], ", "", "name the questions"},
		{underFollowUp, "hope, everyday]", "hope, hope]", "twice"},
		{underFollowUp, "hope, everyday]", "hope, luck]", "not a level"},
		{underFollowUp, "at: [6, 12]", "at: [12, 6]", "in their order"},
		{underFollowUp, "at: [6, 12]", "at: [6, 80]", "follow_up"},
		{underFollowUp, "window: 2", "window: 3", "less than half"},
		{underFollowUp, "covariates: [age, sex]", "covariates: [age, months_work]", "an outcome"},
		{underFollowUp, "covariates: [age, sex]", "covariates: [age, age]", "twice"},
		{underFollowUp, "mic: 0.3", "strategies: [locf], mic: 0.3", "is not one of"},
		{underFollowUp, "mic: 0.3", "strategies: [copy-reference, copy-reference], mic: 0.3", "twice"},
		{underFollowUp, "mic: 0.3", "covariance: ar1, mic: 0.3", "is not one of"},
		{underFollowUp, "mic: 0.3", "errors: wild, mic: 0.3", "is not one of"},
		{underFollowUp, "mic: 0.3", "tipping: none, mic: 0.3", "is not one of"},
		{underColumns, "before: months_work_24, ", "", "score before"},
		{underColumns, "mic: 2", "at: [6], mic: 2", "go with data"},
		{underColumns, "[months_work, sickness_24]", "[months_work, months_work]", "twice"},
		{underColumns, "before: months_work_24", "before: months_work", "an outcome"},
	} {
		require.Contains(t, c.from, c.what)
		_, err := Parse("study.yaml", strings.NewReader(underStudy(t, strings.Replace(c.from, c.what, c.to, 1))))
		require.ErrorIs(t, err, ErrSpec, c.to)
		require.Contains(t, err.Error(), c.says)
	}
}
