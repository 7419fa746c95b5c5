package study

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/ingest/synthetic"
)

// A programme that moves people up the ladder without giving them jobs shows it in what happened
// and in what people say themselves, and its forecast is held against what came; one that only moves
// people between benefits shows nothing, whatever the number of authorities changed.
func TestProgressTellsMovesFromJobs(t *testing.T) {
	if testing.Short() {
		t.Skip("two registers of 20,000 people")
	}
	for name, c := range map[string]struct {
		months, life, jobs bool
	}{"progress-only": {months: true, life: true}, "shuffle": {}} {
		dir := filepath.Join(t.TempDir(), "r")
		_, err := synthetic.Write(t.Context(), dir, synthetic.Options{People: 20_000, Seed: 11, Scenario: name}, nil)
		require.NoError(t, err)
		s := opened(t, dir, progressStudy(t))
		require.NoError(t, s.estimate())
		r := &s.results[0]
		own := r.own.(*progressResult)
		months, forecast, life := own.heads[0], own.heads[1], own.heads[2]
		for _, h := range []*headline{months, life} {
			require.Nil(t, h.not, "%s: %s", name, h.term)
			truth, ok := s.truthOf(r.spec, h.term)
			require.True(t, ok)
			require.InDelta(t, truth, h.estimate.Value, 4*h.estimate.SE, "%s: %s", name, h.term)
		}
		says := func(h *headline) bool {
			return h.not == nil && (h.finding.Word == progress.Better || h.finding.Word == progress.Worse)
		}
		require.Equal(t, c.months, says(months), "%s: what happened: %+v", name, months.estimate)
		require.Equal(t, c.life, says(life), "%s: their own word: %+v", name, life.estimate)
		require.False(t, says(forecast), "%s: nobody got a job by it", name)
		graded := false
		for _, g := range forecast.gates {
			graded = graded || g.ID == "G4" && g.Check == "truth"
		}
		require.True(t, graded, "%s: the forecast is held against what came", name)
		if c.months {
			require.Equal(t, progress.Better, months.finding.Word)
			require.Greater(t, own.share, 0.5, "most of it is the programme's own steps, and that is said")
		}
		for _, n := range r.numbers {
			if n.term == termSupport {
				require.Less(t, math.Abs(n.e.Value), 3.5*n.e.SE, "%s: the old yardstick sees nothing", name)
			}
		}
	}
}
