package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// D2 with the loss weighed up: the bias does not grow and the intervals hold.
func TestD2Reweighed(t *testing.T) {
	reps := 200 * sim.Factor
	if testing.Short() {
		reps = 60
	}
	truth, _ := d1.truth()
	type draw struct{ plain, weighed estimate.Estimate }
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(r int) {
		s := far(102, r, 200, d1, dropOut)
		for k, e := range []NetMonths{{Ladder: sixSteps, Tau: months, Workers: 1}, {Ladder: sixSteps, Tau: months, ReweighLoss: true, Workers: 1}} {
			res, err := e.Fit(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			if k == 0 {
				draws[r].plain = res.Estimates[0]
			} else {
				draws[r].weighed = res.Estimates[0]
			}
		}
	})
	require.False(t, t.Failed())
	var plain, weighed, square, se, covered float64
	for _, d := range draws {
		plain, weighed, square, se = plain+d.plain.Value/float64(reps), weighed+d.weighed.Value/float64(reps), square+d.weighed.Value*d.weighed.Value/float64(reps), se+d.weighed.SE/float64(reps)
		if d.weighed.CI.Lo <= truth && truth <= d.weighed.CI.Hi {
			covered += 1 / float64(reps)
		}
	}
	sd := math.Sqrt(square - weighed*weighed)
	t.Logf("truth %.3f; plain %.3f, weighed %.3f, SD %.3f, mean SE %.3f, coverage %.3f", truth, plain, weighed, sd, se, covered)
	require.Less(t, math.Abs(weighed-truth), math.Abs(plain-truth)+3*sd/math.Sqrt(float64(reps)))
	require.InDelta(t, truth, weighed, 3.5*sd/math.Sqrt(float64(reps)))
	require.InDelta(t, .95, covered, 3.09*math.Sqrt(.95*.05/float64(reps)))

	s := far(102, 0, 200, d1, dropOut)
	res := mustFit(t, NetMonths{Ladder: sixSteps, Tau: months, ReweighLoss: true}, s)
	n, _ := res.Influence.Dims()
	require.Equal(t, len(s.ID), n)
	require.Equal(t, len(s.ID), res.N.Units)
	require.Zero(t, res.N.Clusters)
	require.Contains(t, noteCodes(res.Notes), "loss-reweighed")
	ss := 0.0
	for i := range n {
		ss += res.Influence.At(i, 0) * res.Influence.At(i, 0)
	}
	require.InDelta(t, res.Estimates[0].SE*res.Estimates[0].SE, ss*float64(n)/float64(n-1), 1e-9)
	_, err := NetMonths{Ladder: sixSteps, Tau: months, ReweighLoss: true, MinPerArm: 201}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	swapped := mustFit(t, NetMonths{Ladder: sixSteps, Tau: months, ReweighLoss: true, Participants: "c"}, s)
	require.InDelta(t, -res.Estimates[0].Value, swapped.Estimates[0].Value, 1e-10)
}
