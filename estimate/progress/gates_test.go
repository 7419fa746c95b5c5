package progress

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

func between(lo, hi float64) estimate.Interval {
	return estimate.Interval{Lo: lo, Hi: hi, Level: 0.95, Method: "normal"}
}

// claimed is an effect whose interval leaves 0 out, unclaimed one whose interval holds it.
func claimed(v float64) estimate.Estimate {
	return estimate.Estimate{Value: v, CI: between(v-math.Abs(v)/2, v+math.Abs(v)/2)}
}

func unclaimed(v float64) estimate.Estimate {
	return estimate.Estimate{Value: v, CI: between(v-10, v+10)}
}

// Each row stands on one side of a limit, or on it; on it is met.
func TestGatesAtTheirLimits(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		g      Gate
		id     string
		status GateStatus
		cons   Consequence
	}{
		{Coverage(95, 100), "G0", Met, NoConsequence},
		{Coverage(94.9, 100), "G0", NotMet, Cautioned},
		{Coverage(0, 0), "G0", CannotTest, Cautioned},
		{Overlaps(0), "G0", Met, NoConsequence},
		{Overlaps(1), "G0", NotMet, NotShown},
		{FollowUp(5, 0.01, false), "G0", Met, NoConsequence},
		{FollowUp(5, 0.0099, false), "G0", NotMet, Cautioned},
		{FollowUp(5, 0.0099, true), "G0", Met, NoConsequence},
		{FollowUp(0, nan, false), "G0", Met, NoConsequence},
		{FollowUp(5, nan, false), "G0", CannotTest, Cautioned},
		{Placebo(between(-0.5, 0.4), claimed(2), 0.5), "G1", Met, NoConsequence},
		{Placebo(between(-0.51, 0.4), claimed(2), 0.5), "G1", NotMet, NotCausal},
		{Placebo(between(-0.1, 0.51), claimed(-2), 0.5), "G1", NotMet, NotCausal},
		{Placebo(estimate.Interval{}, claimed(2), 0.5), "G1", CannotTest, NotCausal},
		{Placebo(between(-0.1, 0.5), unclaimed(0.2), 0.5), "G1", Met, NoConsequence},
		{Placebo(between(-0.1, 0.51), unclaimed(0.2), 0.5), "G1", NotMet, NotCausal},
		{Placebo(between(-0.1, 0.5), unclaimed(0.2), 0), "G1", NotMet, NotCausal},
		{Placebo(between(-0.1, 0.5), unclaimed(-4), 0.5), "G1", Met, NoConsequence},
		{LogScoreGain(between(0.001, 0.1)), "G2", Met, NoConsequence},
		{LogScoreGain(between(0, 0.1)), "G2", NotMet, NotShown},
		{LogScoreGain(estimate.Interval{}), "G2", CannotTest, NotShown},
		{CalibrationSlope(0.8), "G2", Met, NoConsequence},
		{CalibrationSlope(0.79), "G2", NotMet, NotShown},
		{CalibrationSlope(1.25), "G2", Met, NoConsequence},
		{CalibrationSlope(1.26), "G2", NotMet, NotShown},
		{CalibrationSlope(-1), "G2", NotMet, NotShown},
		{InTheLarge(-0.02), "G2", Met, NoConsequence},
		{InTheLarge(0.021), "G2", NotMet, NotShown},
		{InTheLargeGroup(0.01, -0.03), "G2", Met, NoConsequence},
		{InTheLargeGroup(0.01, -0.031, 0.02), "G2", NotMet, NotShown},
		{InTheLargeGroup(0.01, nan, 0.02), "G2", CannotTest, NotShown},
		{InTheLargeGroup(), "G2", CannotTest, NotShown},
		{Responds(0.049), "G3", Met, NoConsequence},
		{Responds(0.03, 0.8), "G3", NotMet, OnlyDescription},
		{Responds(0.02, 0.8), "G3", Met, NoConsequence},
		{Responds(nan, 0.02), "G3", Met, NoConsequence},
		{Responds(), "G3", CannotTest, OnlyDescription},
		{Truth(), "G4", CannotTest, Unconfirmed},
		{Truth(SurrogateTruth{Verdict: "unproven"}), "G4", CannotTest, Unconfirmed},
		{Truth(SurrogateTruth{Verdict: "unproven"}, SurrogateTruth{Verdict: "validated"}), "G4", Met, NoConsequence},
		{Truth(SurrogateTruth{Verdict: "withdrawn"}, SurrogateTruth{Verdict: "validated"}), "G4", NotMet, NotShown},
		{Horizon(36, 36), "G4", Met, NoConsequence},
		{Horizon(37, 36), "G4", NotMet, Unconfirmed},
		{Horizon(37, 0), "G4", CannotTest, Unconfirmed},
		{Invariant(Invariance{}), "G5", CannotTest, Cautioned},
		{Invariant(Invariance{Tested: true, Anchors: 2}), "G5", Met, NoConsequence},
		{Invariant(Invariance{Tested: true, Anchors: 1}), "G5", NotMet, WithinGroup},
		{Invariant(Invariance{Tested: true, Anchors: 2, SignChanges: true}), "G5", NotMet, WithinGroup},
		{Invariant(Invariance{Tested: true, Anchors: 2, DiffersShift: true}), "G5", NotMet, WithinGroup},
		{Invariant(Invariance{Tested: true, Anchors: 2, SharedShift: true}), "G5", NotMet, Cautioned},
		{Tipping(-1), "G6", Met, NoConsequence},
		{Tipping(0.9), "G6", NotMet, Cautioned},
		{Tipping(math.Inf(1)), "G6", Met, NoConsequence},
		{Tipping(nan), "G6", CannotTest, Cautioned},
		{Response(0.6, 0.9), "G6", Met, NoConsequence},
		{Response(0.9, 0.59), "G6", NotMet, Cautioned},
		{Response(0.9, 0.39), "G6", NotMet, NotShown},
		{ResponseGap(0.6, 0.65), "G6", Met, NoConsequence},
		{ResponseGap(0.6, 0.71), "G6", NotMet, Cautioned},
		{Orders(OrderCheck{Verdict: Agree}), "G7", Met, NoConsequence},
		{Orders(OrderCheck{Verdict: Disagree}), "G7", NotMet, NoDirection},
		{Orders(OrderCheck{Verdict: NotChecked}), "G7", CannotTest, Cautioned},
		{ArmSize(15, 20), "G8", Met, NoConsequence},
		{ArmSize(20, 14), "G8", NotMet, NotShown},
		{EventCount(10), "G8", Met, NoConsequence},
		{EventCount(9), "G8", NotMet, NotShown},
	} {
		require.Equal(t, c.id, c.g.ID, "%+v", c.g)
		require.Equal(t, c.status, c.g.Status, "%+v", c.g)
		require.Equal(t, c.cons, c.g.Consequence, "%+v", c.g)
		require.NotEmpty(t, c.g.Meaning.Text)
	}
}

func TestWordsComeFromTheIntervalOnly(t *testing.T) {
	for _, c := range []struct {
		lo, hi, relevance float64
		want              Word
	}{
		{0.1, 2, 1, Better}, {-2, -0.1, 1, Worse}, {0.1, 0.2, 1, Better},
		{-0.5, 0.5, 0.5, NoImportance}, {-0.5, 0.51, 0.5, CannotBeKnown}, {-0.51, 0.5, 0.5, CannotBeKnown},
		{0, 0.5, 0.5, NoImportance}, {-0.1, 0.1, 0, CannotBeKnown}, {0, 0, 0, CannotBeKnown},
		{math.NaN(), 1, 1, NothingIsSaid}, {1, math.NaN(), 1, NothingIsSaid}, {2, 1, 1, NothingIsSaid},
	} {
		require.Equal(t, c.want, Say(between(c.lo, c.hi), c.relevance), "%+v", c)
	}
	require.Equal(t, NothingIsSaid, Say(estimate.Interval{Lo: 1, Hi: 2}, 0), "no level is no interval")
}

func TestGatesDecideWhatMayBeSaid(t *testing.T) {
	claim := func(change func(*Claim)) Finding {
		c := Claim{Estimate: estimate.Wald("net-months", estimate.NetMonths, 2, 0.5, math.Inf(1), 0.95), Compared: true, Designed: true, Registered: true,
			Gates: []Gate{ArmSize(100, 100)}}
		change(&c)
		return c.Judge()
	}
	f := claim(func(*Claim) {})
	require.Equal(t, Effect, f.Kind)
	require.Equal(t, Better, f.Word)
	require.False(t, f.Exploratory)
	require.Empty(t, f.Cautions)
	require.True(t, claim(func(c *Claim) { c.Registered = false }).Exploratory)

	f = claim(func(c *Claim) { c.Designed = false })
	require.Equal(t, Association, f.Kind)
	require.Equal(t, Better, f.Word)
	f = claim(func(c *Claim) { c.Designed, c.Compared = false, false })
	require.Equal(t, Description, f.Kind)
	require.Equal(t, NothingIsSaid, f.Word, "no comparison, no word")

	f = claim(func(c *Claim) { c.Gates = append(c.Gates, Placebo(between(-1, 1), claimed(2), 0.5)) })
	require.Equal(t, Association, f.Kind)
	require.Len(t, f.Cautions, 1)
	f = claim(func(c *Claim) {
		c.Gates = append(c.Gates, Placebo(between(-1, 1), claimed(2), 0.5), Invariant(Invariance{Tested: true}))
	})
	require.Equal(t, Description, f.Kind)
	f = claim(func(c *Claim) {
		c.Compared = false
		c.Gates = append(c.Gates, Placebo(between(-1, 1), claimed(2), 0.5))
	})
	require.Equal(t, Description, f.Kind, "an association is no promotion")

	f = claim(func(c *Claim) { c.Gates = append(c.Gates, Orders(OrderCheck{Verdict: Disagree})) })
	require.Equal(t, Effect, f.Kind)
	require.Equal(t, NothingIsSaid, f.Word, "no direction word where the order decides it")

	f = claim(func(c *Claim) { c.Gates = append(c.Gates, ArmSize(14, 100), EventCount(2)) })
	require.Equal(t, Refused, f.Kind)
	require.Equal(t, "gate-arm-size", f.Reason.Code)
	require.Equal(t, "fix-more-people", f.Fix.Code)
	require.True(t, math.IsNaN(f.Interval.Lo))
	for g, fix := range map[*Gate]string{ptr(Overlaps(1)): "fix-overlaps", ptr(InTheLarge(1)): "fix-forecast",
		ptr(Truth(SurrogateTruth{Verdict: "withdrawn"})): "fix-truth", ptr(Response(0.1, 0.1)): "fix-response"} {
		f = claim(func(c *Claim) { c.Gates = append(c.Gates, *g) })
		require.Equal(t, Refused, f.Kind)
		require.Equal(t, fix, f.Fix.Code)
	}
}

func ptr[T any](v T) *T { return &v }

// An unconfirmed forecast of 2 ± .98 that a direct effect of 1.1 could explain is no longer above 0.
func TestUnconfirmedForecastIsWidened(t *testing.T) {
	c := Claim{Estimate: estimate.Wald("index", estimate.RiskDifference, 2, 0.5, math.Inf(1), 0.95), Compared: true, Designed: true, Registered: true,
		Benchmark: 1.1, Gates: []Gate{Truth()}}
	f := c.Judge()
	require.True(t, f.Unconfirmed)
	require.Equal(t, CannotBeKnown, f.Word)
	require.InDelta(t, 1.02002-1.1, f.Interval.Lo, 1e-5)
	require.InDelta(t, 2.97998+1.1, f.Interval.Hi, 1e-5)
	c.Gates = []Gate{Truth(SurrogateTruth{Verdict: "validated"}), Horizon(36, 48)}
	f = c.Judge()
	require.False(t, f.Unconfirmed)
	require.Equal(t, Better, f.Word)
}

// Design D4: a reliability of .671 and a cut that leaves people at -1.305 SD below the mean of 0 on average gives a
// rise of .329·1.305 = .429 with no effect at all.
func TestRegressionToTheMeanByHand(t *testing.T) {
	require.InDelta(t, 0.429, RegressionToMean(0.671, 0, -1.305), 5e-4)
	require.Zero(t, RegressionToMean(1, 0, -2))
	require.True(t, math.IsNaN(RegressionToMean(1.2, 0, -2)))
}

func TestDominanceAtAllTimes(t *testing.T) {
	d := []Dominance{{Time: 12, Shown: true}, {Time: 24}}
	require.True(t, DominatesAt(d, 12))
	require.False(t, DominatesAt(d, 12, 24))
	require.False(t, DominatesAt(d, 6))
	require.False(t, DominatesAt(d))
}

func TestGateInJSON(t *testing.T) {
	b, err := json.Marshal(Tipping(math.NaN()))
	require.NoError(t, err)
	require.Contains(t, string(b), `"value":null,"limit":1`)
	require.Contains(t, string(b), `"status":"cannot-be-tested"`)
	b, err = json.Marshal(Response(0.5, 0.7))
	require.NoError(t, err)
	require.Contains(t, string(b), `"value":0.5,"limit":0.6`)
}
