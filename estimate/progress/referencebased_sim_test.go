package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// visitTally is the mean, spread, mean error and coverage of a number over replicates.
type visitTally struct{ n, mean, square, se, covered float64 }

func (c *visitTally) add(e estimate.Estimate, truth float64) {
	c.n++
	c.mean += (e.Value - c.mean) / c.n
	c.square += (e.Value*e.Value - c.square) / c.n
	c.se += (e.SE - c.se) / c.n
	hit := 0.0
	if e.CI.Lo <= truth && truth <= e.CI.Hi {
		hit = 1
	}
	c.covered += (hit - c.covered) / c.n
}

func (c *visitTally) sd() float64 { return math.Sqrt(c.square - c.mean*c.mean) }

func (c *visitTally) holds(t *testing.T, name string, truth float64) {
	t.Helper()
	t.Logf("%s: %.3f of %.3f, SD %.3f, mean error %.3f, coverage %.3f", name, c.mean, truth, c.sd(), c.se, c.covered)
	require.InDelta(t, truth, c.mean, 3.5*c.sd()/math.Sqrt(c.n), name)
	require.InDelta(t, .95, c.covered, 3.09*math.Sqrt(.95*.05/c.n), name)
}

// Loss hangs on the last score seen, and what happens then is not seen: the same samples are those of three worlds. At random: the effect at the third visit is .6. Jump to reference: who is lost has from then on
// nothing of the programme, .6·P(stay). Shifted: everybody lost of the participants is .5 worse, .6 − .5·P(lost). Each strategy covers in its world; the information-anchored error of jump to reference is above
// its spread, that of the jackknife is its spread.
func TestReferenceBasedCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("jackknife of many samples")
	}
	const reps, n, many = 400 * sim.Factor, 25, 100_000
	stay := 0.0
	big := visits(900_000, many)
	for i := many; i < 2*many; i++ {
		if !math.IsNaN(big.After.At(i, 2)) {
			stay += 1. / many
		}
	}
	type draw struct{ mar, shifted, anchored, repeated estimate.Estimate }
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(rep int) {
		r, err := ReferenceBased{Strategies: []Strategy{JumpToReference}, Delta: []DeltaShift{{Participants: -.5}}, MinPerArm: 5, Workers: 1}.Fit(t.Context(), visits(uint64(1000+rep), n))
		if err != nil {
			t.Error(err)
			return
		}
		const jump = "visit=3,strategy=jump-to-reference"
		d := draw{mar: visitTerm(t, r, "visit=3,strategy=mar"), shifted: visitTerm(t, r, "visit=3,delta=-0.5"), anchored: visitTerm(t, r, jump)}
		d.repeated = estimate.Wald(jump, estimate.MeanDifference, d.anchored.Value, r.Details["repeated_std_error"].(map[string]float64)[jump], math.Inf(1), .95)
		draws[rep] = d
	})
	require.False(t, t.Failed())
	var mar, shifted, anchored, repeated visitTally
	for _, d := range draws {
		mar.add(d.mar, .6)
		shifted.add(d.shifted, .6-.5*(1-stay))
		anchored.add(d.anchored, .6*stay)
		repeated.add(d.repeated, .6*stay)
	}
	mar.holds(t, "at random", .6)
	shifted.holds(t, "shifted", .6-.5*(1-stay))
	repeated.holds(t, "jump to reference, repeated error", .6*stay)
	t.Logf("jump to reference, information-anchored: mean error %.3f, SD %.3f, coverage %.3f", anchored.se, anchored.sd(), anchored.covered)
	require.Greater(t, anchored.covered, repeated.covered+.01)
	require.Greater(t, anchored.se, 1.25*anchored.sd())
	require.InEpsilon(t, mar.sd(), mar.se, .2)
}

// lostByOwnScore is n people an arm and three visits with an effect of .3, lost for good from a visit on with logit(−2.2 − .8y + .5·arm), y the score that is then not seen (D9 over visits).
func lostByOwnScore(rep uint64, n int) (s *VisitScores, truth *mat.Dense) {
	s = &VisitScores{Visits: []string{"1", "2", "3"}, After: mat.NewDense(2*n, 3, nil), X: mat.NewDense(2*n, 1, nil), XNames: []string{"before"}}
	s.Level, truth = .95, mat.NewDense(2*n, 3, nil)
	for i := range 2 * n {
		st := num.NewStream(73, "lost by own score", rep<<32|uint64(i))
		a, trait, gone := float64(i/n), st.Normal(), false
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("p%06d", i)), append(s.Treated, i >= n)
		s.X.Set(i, 0, trait+.7*st.Normal())
		for k := range 3 {
			v := trait + .3*a + .7*st.Normal()
			truth.Set(i, k, v)
			if gone = gone || st.Bernoulli(logistic(-2.2-.8*v+.5*a)); gone {
				v = math.NaN()
			}
			s.After.Set(i, k, v)
		}
	}
	return s, truth
}

// Those who are lost are worse than the like of them, more of the participants: at random is too large. With the true shift of each arm, from 100,000 people an arm, the effect is found.
func TestReferenceBasedLostByOwnScore(t *testing.T) {
	if testing.Short() {
		t.Skip("jackknife of many samples")
	}
	const reps, n, many = 400 * sim.Factor, 40, 100_000
	big, truth := lostByOwnScore(900_000, many)
	d, err := takeVisits(big, 15)
	require.NoError(t, err)
	m, err := newVisitModel(d, big.Visits, false, false, false)
	require.NoError(t, err)
	var shift [2]float64
	for a := range 2 {
		// What the scores of the lost are beside what they are filled in with, on average.
		var lost, less float64
		for k, i := range d.order {
			g := d.groups[d.group[k]]
			if d.arm[k] != a || g.seen&4 != 0 {
				continue
			}
			one := visitGroup{arm: a, event: g.event, seen: g.seen, zz: make([]float64, d.p*d.p), zy: make([]float64, d.p*3), yy: make([]float64, 9)}
			one.add(d, k, 1)
			lost++
			less += truth.At(int(i), 2) - d.filled(&one, m, k, 2)
		}
		shift[a] = less / lost
	}
	all, err := d.effects(d.groups, m, MissingAtRandom)
	require.NoError(t, err)
	mended := all.effect[2] + shift[1]*all.slope[1][2] + shift[0]*all.slope[0][2]
	t.Logf("true shifts %.3f and %.3f: 200,000 people %.3f at random, %.3f shifted", shift[1], shift[0], all.effect[2], mended)
	require.Greater(t, all.effect[2], .31)
	require.InDelta(t, .3, mended, .012)
	type draw struct{ mar, shifted estimate.Estimate }
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(rep int) {
		s, _ := lostByOwnScore(uint64(1000+rep), n)
		r, err := ReferenceBased{Strategies: []Strategy{}, Delta: []DeltaShift{{shift[1], shift[0]}}, Workers: 1}.Fit(t.Context(), s)
		if err != nil {
			t.Error(err)
			return
		}
		draws[rep].mar = visitTerm(t, r, "visit=3,strategy=mar")
		for _, e := range r.Estimates {
			if e.Term != "visit=3,model" && e.Term != "visit=3,strategy=mar" && e.Measure == estimate.MeanDifference {
				draws[rep].shifted = e // the last visit's is the last one
			}
		}
	})
	require.False(t, t.Failed())
	var mar, shifted visitTally
	for _, d := range draws {
		mar.add(d.mar, .3)
		shifted.add(d.shifted, .3)
	}
	t.Logf("at random: %.3f of .300, SD %.3f, coverage %.3f", mar.mean, mar.sd(), mar.covered)
	require.Greater(t, mar.mean, shifted.mean+.01)
	shifted.holds(t, "true shifts", .3)
}

// filled is the score at visit t that person k of a group is filled in with at random, in the unit of the score.
func (d *visitData) filled(g *visitGroup, m *visitModel, k, t int) float64 {
	beta, sigma := d.distribution(m, g, MissingAtRandom)
	var seen []int
	for s := range d.T {
		if g.seen&(1<<s) != 0 {
			seen = append(seen, s)
		}
	}
	at := func(s int) float64 { return num.Dot(mat.Col(nil, s, beta), d.z[k]) }
	v := at(t)
	if len(seen) > 0 {
		within, cross, off := mat.NewSymDense(len(seen), nil), mat.NewVecDense(len(seen), nil), mat.NewVecDense(len(seen), nil)
		for a, s := range seen {
			off.SetVec(a, d.y[k][s]-at(s))
			cross.SetVec(a, sigma.At(s, t))
			for b, u := range seen {
				within.SetSym(min(a, b), max(a, b), sigma.At(s, u))
			}
		}
		var w mat.VecDense
		if w.SolveVec(within, off) == nil {
			v += mat.Dot(cross, &w)
		}
	}
	return num.Dot(d.coef[t], d.z[k]) + d.scale[t]*v
}
