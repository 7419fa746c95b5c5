package study

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
)

// The lock prints the simulated chance beside the analytic smallest difference; where the
// one says that a difference of this size is just found with 80 %, so does the other. What
// outcomes are plays no part.
func TestGateSimulatesPower(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	simulated := func(replace ...string) (GateResult, GateResult, []string) {
		lines, err := LockPlan(ctx, lockStudy(t, append([]string{"{min_kept: 0.5}", "{min_kept: 0.5, simulate: 1000}"}, replace...)...), o, true)
		require.NoError(t, err)
		b, err := os.ReadFile(o.LockFile)
		require.NoError(t, err)
		var p Plan
		require.NoError(t, json.Unmarshal(b, &p))
		n := len(p.Gate)
		require.Equal(t, "simulated", p.Gate[n-1].Check)
		require.Equal(t, "first", p.Gate[n-1].Analysis)
		require.Equal(t, "power", p.Gate[n-2].Check)
		return p.Gate[n-2], p.Gate[n-1], lines
	}
	mde, got, lines := simulated()
	require.True(t, got.Passed)
	require.Greater(t, *got.Value, .8)
	require.Contains(t, strings.Join(lines, "\n"), "chance to see a difference that matters, tried on the study's own people (first) "+lang.EN.Number(*got.Value, 2))
	require.Contains(t, got.text(lang.SV), "prövad på de egna deltagarna")
	require.InDelta(t, math.Round(*got.Value*100)/100, *got.Value, 1e-12)
	lockData(t, o.DataDir, 50)
	_, again, _ := simulated()
	require.Equal(t, got, again)
	// At the analytic smallest difference the chance is 80 %, within Monte Carlo error.
	_, at, _ := simulated("relevant: 4", "relevant: "+lang.EN.Number(*mde.Value, 4))
	require.InDelta(t, .8, *at.Value, .05)
	// An effect too small is not seen, and the outcomes stay closed.
	_, err := LockPlan(ctx, lockStudy(t, "{min_kept: 0.5}", "{min_kept: 0.5, power: 0.51, simulate: 1000}", "relevant: 4", "relevant: 1"), o, true)
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "tried on the study's own people")
	// Shares, and a decrease.
	_, share, _ := simulated("expect: {sd: 10}, relevant: 4", "expect: {share: 0.1}, relevant: 0.15")
	_, less, _ := simulated("expect: {sd: 10}, relevant: 4", "good: down, expect: {share: 0.3}, relevant: 0.15")
	require.NotEqual(t, *share.Value, *less.Value)

	_, err = Parse("study.yaml", strings.NewReader(strings.Replace(optionStudy, "power: 0.7}", "power: 0.7, simulate: 5}", 1)))
	require.ErrorContains(t, err, "simulate must lie between")
}
