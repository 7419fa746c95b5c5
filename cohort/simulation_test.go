package cohort

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// pool is a simulated pool: treated covariates are shifted by one SD, the outcome is the
// covariate plus half an SD for the treated plus noise, so that the effect is ½ for
// everybody and confounding is strong.
func pool(s *num.Stream, treated, controls int) plain {
	p := plain{}
	for i := range treated + controls {
		a := i < treated
		x := s.Normal() + float64(arm(a))
		p.id, p.treat, p.group = append(p.id, fmt.Sprint("u", i)), append(p.treat, a), append(p.group, "all")
		p.score = append(p.score, x)
		p.x[0] = append(p.x[0], x)
		p.x[1] = append(p.x[1], x+0.5*float64(arm(a))+s.Normal()) // the outcome
		p.x[2] = append(p.x[2], 0)
	}
	return p
}

// pairedInterval is mean difference within pairs ± t·SD/√n, t on n-1 degrees of freedom: the analysis
// that takes matched pairs for what they should be.
func pairedInterval(m *Matched, y []float64) (mean, half float64) {
	n := float64(len(m.Pairs))
	for _, p := range m.Pairs {
		mean += (y[p[0]] - y[p[1]]) / n
	}
	ss := 0.0
	for _, p := range m.Pairs {
		d := y[p[0]] - y[p[1]] - mean
		ss += d * d
	}
	return mean, num.StudentQuantile(0.95, n-1) * math.Sqrt(ss/(n-1)/n)
}

// Pair matching holds its promise in a rich pool and breaks it in a thin one: those who
// choose late get whoever is left, a bias that the interval knows nothing of (Rubin 1973).
// The tool must say so beforehand. A caliper repairs the coverage, of the effect on fewer.
// METHODS.md has the table.
func TestCoverageOfPairMatchingInRichAndThinPools(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, truth = 400 * sim.Factor, 0.5
	for _, c := range []struct {
		name     string
		controls int
		m        Nearest
		covers   bool
		warns    bool
		least    float64 // share of the treated kept
	}{
		{"rich pool", 2000, Nearest{}, true, false, 1},
		{"thin pool", 110, Nearest{}, false, true, 1},
		{"thin pool, caliper 0.1 SD", 110, Nearest{Caliper: 0.1}, true, true, 0.4},
	} {
		covered, warned, matched, bias, width := 0, 0, 0, 0.0, 0.0
		for r := range reps {
			p := pool(num.NewStream(2026, c.name, uint64(r)), 80, c.controls)
			m := mustMatch(t, p, c.m, scoreSpec)
			mean, half := pairedInterval(m, p.x[1])
			if math.Abs(mean-truth) <= half {
				covered++
			}
			if slices.Contains(codes(m.Notes), "few-controls") {
				warned++
			}
			bias += (mean - truth) / reps
			width += half / reps
			matched += m.Counts.MatchedTreated
		}
		rate, kept := float64(covered)/reps, float64(matched)/80/reps
		t.Logf("%-26s 80 treated, %4d controls: coverage %.3f, bias %+.3f, half width %.3f, treated kept %.3f, warned in %d of %d", c.name, c.controls, rate, bias, width, kept, warned, reps)
		require.Equal(t, c.covers, math.Abs(rate-0.95) <= 0.0359, "%s: coverage %.3f", c.name, rate)
		require.Equal(t, c.warns, warned == reps, c.name)
		if !c.warns {
			require.Zero(t, warned, c.name)
		}
		require.GreaterOrEqual(t, kept, c.least, c.name)
		if !c.covers {
			require.Less(t, rate, 0.75, "the failure that the warning is about")
			require.Greater(t, bias, 0.2)
		}
	}
}
