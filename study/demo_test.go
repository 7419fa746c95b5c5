package study

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The demo, as its user runs it: every effect that was put in lies inside its interval
// (fixed seed; 95 of 100 would), the naive before/after does not come near, and
// two-way fixed effects on the same panel miss the municipal effect.
func TestDemoRecoversTheTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo at full size")
	}
	out := t.TempDir()
	done, err := Demo(t.Context(), out, 50000, 1, Options{Lang: "sv"})
	require.NoError(t, err)
	s := &state{spec: done.Spec, o: Options{DataDir: filepath.Join(out, "data")}}
	s.truth, err = s.loadTruth()
	require.NoError(t, err)
	compared := 0
	byAddress := map[string]Record{}
	for _, r := range done.Records {
		byAddress[r.Address] = r
		for i := range s.spec.Analyses {
			a := &s.spec.Analyses[i]
			want, ok := s.truthOf(a, r.Term)
			if a.Name != r.Analysis || !ok || r.StdError == nil || strings.HasPrefix(r.Term, "event=") {
				continue
			}
			compared++
			require.True(t, *r.ConfLow <= want && want <= *r.ConfHigh, "%s: %v is not in [%v, %v]", r.Address, want, *r.ConfLow, *r.ConfHigh)
		}
	}
	require.GreaterOrEqual(t, compared, 10)

	naive, effect := byAddress["before-after/participants/change-before-after"], byAddress["work-24/att/risk-difference"]
	require.Equal(t, "description", naive.Kind)
	require.Equal(t, "effect", effect.Kind)
	truth, ok := s.truth.at("study_population.overall.versus_wait.work_24")
	require.True(t, ok)
	require.Greater(t, *naive.Estimate, 3*truth, "the naive number must be visibly wrong")
	require.Greater(t, *naive.ConfLow, *effect.ConfHigh)

	b, err := os.ReadFile(filepath.Join(done.Bundle, reportFile))
	require.NoError(t, err)
	page := string(b)
	require.NotContains(t, page, "http://")
	require.NotContains(t, page, "https://")
	require.NotContains(t, page, "<script")
	require.GreaterOrEqual(t, strings.Count(page, "<figure"), 6)
	v, err := Verify(t.Context(), done.Bundle, "", Options{})
	require.NoError(t, err)
	require.NoError(t, v.Err(), "a bundle with a locked plan and a ladder is unchanged since its run")
}

// A small register does not pass the gate: the demo says so and goes on without a plan.
func TestSmallDemoGoesOnWithoutAPlan(t *testing.T) {
	for seed := range uint64(3) { // rare background must not stop the smallest
		_, err := Demo(t.Context(), t.TempDir(), 1000, seed+1, Options{})
		require.NoError(t, err)
	}
	out := t.TempDir()
	done, err := Demo(t.Context(), out, 3000, 1, Options{Lang: "en"})
	require.NoError(t, err)
	said := strings.Join(done.Summary(), "\n")
	require.Contains(t, said, "NOT MET")
	require.Contains(t, said, "without a locked plan")
	for _, r := range done.Records {
		require.Equal(t, PlanNone, r.Plan)
	}
	v, err := Verify(t.Context(), done.Bundle, filepath.Join(out, "data"), Options{})
	require.NoError(t, err)
	require.NoError(t, v.Err())
}
