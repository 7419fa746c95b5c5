package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/survive"
)

// later gives, exactly, P(step ≥ 4 at 24 | step at 12) in both arms together (the design's numbers are those without effect), and what the product of everybody's moves gives.
func (p params) later() (truth, markov [6]float64) {
	const points, s = 2001, 12
	var joint, at [6][6]float64 // by step at 12: step at 24, shares and product
	var flow [months][6][6]float64
	for w := range 2 {
		for i := range points {
			z := -8 + 16*float64(i)/(points-1)
			mass := math.Exp(-z * z / 2)
			up, down := p.rates(frailty*z, float64(w))
			step := [6][6]float64{{1}}
			for j := 1; j <= 5; j++ {
				step[j][0] += exit
				step[j][min(j+1, p.top)] += (1 - exit) * up
				step[j][max(j-1, 1)] += (1 - exit) * down
				step[j][j] += (1 - exit) * (1 - up - down)
			}
			var q [6]float64
			for j, x := range p.start {
				q[j+1] = x
			}
			var from [6][6]float64
			for m := range months {
				if m == s {
					for j, x := range q {
						from[j][j] = x
					}
				}
				var next [6]float64
				for j := range 6 {
					for h := range 6 {
						next[h] += q[j] * step[j][h]
						flow[m][j][h] += mass * q[j] * step[j][h]
					}
				}
				q = next
				if m >= s {
					var moved [6][6]float64
					for a := range 6 {
						for j := range 6 {
							for h := range 6 {
								moved[a][h] += from[a][j] * step[j][h]
							}
						}
					}
					from = moved
				}
			}
			for a := range 6 {
				for h := range 6 {
					joint[a][h] += mass * from[a][h]
				}
			}
		}
	}
	for a := range 6 {
		at[a][a] = 1
		for m := s; m < months; m++ {
			var next [6]float64
			for j := range 6 {
				total := 0.0
				for h := range 6 {
					total += flow[m][j][h]
				}
				if total == 0 {
					continue
				}
				for h := range 6 {
					next[h] += at[a][j] * flow[m][j][h] / total
				}
			}
			at[a] = next
		}
		total := 0.0
		for h := range 6 {
			total += joint[a][h]
		}
		truth[a], markov[a] = (joint[a][4]+joint[a][5])/total, at[a][4]+at[a][5]
	}
	return truth, markov
}

// D13: in the ladder with frailty the product of everybody's moves is biased and the landmark estimate is not. It is mild here, and a
// test of the Markov property sees it seldom with 1,000 persons: conditional statements rest on landmarks always.
func TestD13Landmark(t *testing.T) {
	p := d1
	p.up[2] = 0
	truth, markov := p.later()
	t.Logf("truth %.4f, by everybody's moves %.4f", truth[1:5], markov[1:5])
	for k, w := range []float64{.0486, .2162, .5089, .8034} {
		require.InDelta(t, w, truth[k+1], .006, "the design's own numbers are Monte Carlo")
		require.Greater(t, math.Abs(markov[k+1]-truth[k+1]), .002)
	}
	reps := 40
	if testing.Short() {
		reps = 8
	}
	var mean [6]float64
	for rep := range reps {
		s := far(113, rep, 500, p, make([]float64, 6))
		s.Group, s.GroupNames = nil, nil
		for step := 1; step <= 4; step++ {
			r, err := survive.Landmark{State: fmt.Sprint(step), Time: 12, At: []float64{24}}.Fit(t.Context(), s)
			require.NoError(t, err)
			for high := 4; high <= 5; high++ {
				mean[step] += find(t, r, fmt.Sprintf("from=%d@12,time=24,state=%d", step, high)).Value / float64(reps)
			}
		}
	}
	t.Logf("landmark %.4f", mean[1:5])
	for step := 1; step <= 4; step++ {
		require.InDelta(t, truth[step], mean[step], 3.5*math.Sqrt(truth[step]*(1-truth[step])/float64(150*reps)), "step %d", step)
	}
}
