package study

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// By hand: Holm of two p-values doubles the smaller; the larger stays.
func TestFamilyAdjustsItsTests(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, strings.Replace(trustStudy, "analyses: [claim, share], method: sup-t", "analyses: [share, third]", 1))
	require.NoError(t, err)
	share, third := s.answered("share").numbers[0].e.Test.P, s.answered("third").numbers[0].e.Test.P
	require.Less(t, share, third)
	require.InDelta(t, 2*share, s.numberOf(t, "share", "att,family=main", adjustedP).e.Value, 1e-15)
	require.InDelta(t, max(third, 2*share), s.numberOf(t, "third", "att,family=main", adjustedP).e.Value, 1e-15)
	for _, n := range s.answered("share").numbers[1:] {
		require.Equal(t, adjustedP, n.e.Measure, "holm has no intervals")
	}
}

// sup-t widens every interval, and p-values are no smaller than before.
func TestFamilyWidensIntervals(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	for name, m := range map[string]estimate.Measure{"claim": estimate.MeanDifference, "share": estimate.RiskDifference} {
		alone, joint := s.answered(name).numbers[0].e, s.numberOf(t, name, "att,family=main", m).e
		require.Equal(t, alone.Value, joint.Value)
		require.Less(t, joint.CI.Lo, alone.CI.Lo)
		require.Greater(t, joint.CI.Hi, alone.CI.Hi)
		require.GreaterOrEqual(t, joint.Test.P, alone.Test.P)
		require.Equal(t, joint.Test.P, s.numberOf(t, name, "att,family=main", adjustedP).e.Value)
	}
}

// What is in no family is marked; checks and descriptions are not.
func TestExploratoryIsMarked(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	for _, r := range s.bundle.records {
		marked := false
		for _, n := range r.Notes {
			marked = marked || n.Code == "exploratory"
		}
		require.Equal(t, r.Analysis == "third", marked, r.Address)
	}
	none, err := trustRunOf(t, dir, strings.Replace(trustStudy, "families:\n  - {name: main, analyses: [claim, share], method: sup-t}\n", "", 1))
	require.NoError(t, err)
	for _, r := range none.bundle.records {
		for _, n := range r.Notes {
			require.NotEqual(t, "exploratory", n.Code, "without families nothing is said")
		}
	}
}

// A family is part of the plan of its members, and roles are part of their analysis.
func TestFamiliesAreLocked(t *testing.T) {
	parse := func(text string) *Spec {
		spec, err := Parse("s.yaml", strings.NewReader(text))
		require.NoError(t, err)
		return spec
	}
	was, now := parse(trustStudy), parse(strings.Replace(trustStudy, "method: sup-t", "method: holm", 1))
	a, err := was.parts()
	require.NoError(t, err)
	b, err := now.parts()
	require.NoError(t, err)
	d := (&Plan{Parts: a}).deviations(&Plan{Parts: b})
	require.Equal(t, []Deviation{{"family/main", "changed"}}, d)
	require.Equal(t, PlanDeviation, now.standing(now.findAnalysis("claim"), d))
	require.Equal(t, PlanLocked, now.standing(now.findAnalysis("third"), d))
	require.Equal(t, PlanDeviation, now.standing(now.findAnalysis("sure"), d), "it rests on the claim")
	control := parse(strings.Replace(trustStudy, "{name: n1, role: negative-control, effect: {cohort: pairs, outcome: b1}}", "{name: n1, role: negative-control, effect: {cohort: pairs, outcome: p1}}", 1))
	c, err := control.parts()
	require.NoError(t, err)
	d = (&Plan{Parts: a}).deviations(&Plan{Parts: c})
	require.Equal(t, PlanDeviation, control.standing(control.findAnalysis("sure"), d))
	require.Equal(t, PlanLocked, control.standing(control.findAnalysis("claim"), d))
}
