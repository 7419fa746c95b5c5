package survive

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/sim"
)

// Times to the event have the hazard λ·exp(βx), so that log(−log(1 − P(T ≤ t|x))) = log(λt) + βx: the coefficient of cloglog is β = log 2. A third
// are lost before, whatever x.
func TestPseudoRegressionCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("long simulation")
	}
	const reps, n, beta = 400 * sim.Factor, 150, math.Ln2
	covered, sum := 0, 0.0
	for rep := range reps {
		r := Rows{States: []string{"free", "came"}, Level: 0.95}
		x := map[string]float64{}
		for i := range n {
			st := num.NewStream(7, "pseudo", uint64(rep)<<32|uint64(i))
			id, g := strconv.Itoa(i), float64(i%2)
			event, lost, to := st.Exp()/(.06*math.Exp(beta*g)), 24*st.Float(), "came"
			if lost < event {
				event, to = lost, "cens"
			}
			x[id] = g
			r.Person, r.From, r.To, r.Start, r.Stop = append(r.Person, id), append(r.From, "free"), append(r.To, to), append(r.Start, 0), append(r.Stop, event)
		}
		s, err := r.Spells()
		require.NoError(t, err)
		m := mat.NewDense(n, 1, nil)
		for p, id := range s.ID {
			m.Set(p, 0, x[id])
		}
		f, err := PseudoRegression{State: "came", Time: 12, Link: "cloglog", X: m, Names: []string{"x"}, Workers: 1}.Fit(t.Context(), s)
		require.NoError(t, err)
		e := f.Estimates[1]
		sum += e.Value
		if e.CI.Lo <= beta && beta <= e.CI.Hi {
			covered++
		}
	}
	share := float64(covered) / reps
	sim.Share(t, "pseudo-values, cloglog", share, reps)
	t.Logf("mean %.4f, truth %.4f", sum/reps, beta)
	require.InDelta(t, .95, share, .0359)
	require.InDelta(t, beta, sum/reps, .05)
}
