package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/reftest"
)

// gappy is 60 people and four visits with gaps and drop-out, made without a random number generator so that other software can make them again:
// u(i, j) is the fraction of 43758.5453·sin(12.9898(i + 1) + 78.233(j + 1)) and z its normal quantile.
func gappy() *VisitScores {
	const n = 60
	u := func(i, j int) float64 {
		x := math.Sin(12.9898*float64(i+1)+78.233*float64(j+1)) * 43758.5453
		return x - math.Floor(x)
	}
	z := func(i, j int) float64 { return num.NormalQuantile(math.Min(math.Max(u(i, j), 1e-6), 1-1e-6)) }
	round := func(x float64) float64 { return math.RoundToEven(x*1e4) / 1e4 }
	s := &VisitScores{Visits: []string{"1", "2", "3", "4"}, X: mat.NewDense(n, 2, nil), XNames: []string{"before", "age"}, After: mat.NewDense(n, 4, nil)}
	s.Level = .95
	for i := range n {
		a := 0.0
		if i >= n/2 {
			a = 1
		}
		s.Unit, s.Treated = append(s.Unit, fmt.Sprintf("p%02d", i)), append(s.Treated, a == 1)
		trait, age := z(i, 0), 30+20*u(i, 9)
		s.X.SetRow(i, []float64{round(trait + .7*z(i, 1)), round(age)})
		lost := int(u(i, 30) * 9)
		for t := range 4 {
			y := round(10 * (trait + .25*float64(t+1)*a + .02*(age-40) + (.5+.1*float64(t+1))*z(i, 2+t)))
			if u(i, 21+t) < .12 || t >= lost {
				y = math.NaN()
			}
			s.After.Set(i, t, y)
		}
	}
	return s
}

// The same data and model in R 4.2.2, own code with dense matrices: restricted likelihood to the last digits, and Kenward and Roger's error and degrees of freedom. nlme 3.1-162 gls
// (corSymm, varIdent, REML) gives one covariance's coefficients 3.958970 3.320460 7.041839 11.309953 and errors without their correction 2.249302 2.912068 3.275683 3.497683, the digits of its optimiser.
func TestVisitModelIsThatOfR(t *testing.T) {
	for _, c := range []struct {
		byArm bool
		want  [4][3]float64 // coefficient, error, degrees of freedom
	}{
		{false, [4][3]float64{{3.958970226329, 2.264141874889, 45.07836713139}, {3.320460265064, 2.956230308923, 39.90646095264}, {7.041838700120, 3.337904082996, 34.59301653612}, {11.309952594816, 3.580217370146, 32.89423996262}}},
		{true, [4][3]float64{{4.126864617873, 2.397308473393, 38.27328083500}, {5.312851944747, 3.186889125124, 38.35869579729}, {6.880109186760, 3.467173578630, 35.36654270875}, {11.045961587797, 3.654173643987, 31.59132115789}}},
	} {
		r, err := ReferenceBased{ByArm: c.byArm, MinPerArm: 5}.Fit(t.Context(), gappy())
		require.NoError(t, err)
		for k, w := range c.want {
			e := visitTerm(t, r, fmt.Sprintf("visit=%d,model", k+1))
			reftest.Near(t, "coefficient", e.Value, w[0], 1e-9)
			reftest.Near(t, "error", e.SE, w[1], 1e-9)
			reftest.Near(t, "degrees of freedom", e.Test.DF, w[2], 1e-9)
		}
	}
}

// Filled in person by person in R (own code): the five strategies at the four visits, with gaps, with one covariance and with one an arm, and the jackknife over the 60 people with one covariance.
func TestReferenceBasedIsThatOfR(t *testing.T) {
	for _, c := range []struct {
		e    ReferenceBased
		want [4][5]float64
		se   bool
	}{
		{ReferenceBased{}, [4][5]float64{{3.95897022633, 3.55716913942, 3.55716913942, 3.55716913942, 3.95897022633}, {3.32046026506, 2.54548118550, 2.91087869404, 3.06768425979, 3.38658074977},
			{7.04183870012, 4.92305948052, 5.09972933061, 5.66935807902, 6.32623672845}, {11.30995259482, 7.16296040978, 7.62850568956, 8.37249326865, 9.49908619527}}, false},
		{ReferenceBased{ByArm: true}, [4][5]float64{{4.10251214989, 3.68367124071, 3.68367124071, 3.68367124071, 4.10251214989}, {5.33389060338, 3.81487343673, 4.13690146199, 4.35922241322, 5.09989434467},
			{6.90247382688, 4.85731263440, 5.08055133215, 5.76022224602, 6.32115544101}, {11.05657186787, 6.90643269112, 7.32279965037, 8.26193748791, 9.47447969995}}, false},
		{ReferenceBased{Repeated: true}, [4][5]float64{{2.47975918327, 2.23747213803, 2.23747213803, 2.23747213803, 2.47975918327}, {3.03476075775, 2.31637478116, 2.43856791146, 2.50458205415, 2.80043554325},
			{3.53991470828, 2.50921172097, 2.55657644435, 2.58102988035, 3.00567628802}, {3.82769089388, 2.54036689785, 2.54463266084, 2.59172978249, 2.93700344664}}, true},
	} {
		c.e.MinPerArm = 5
		r, err := c.e.Fit(t.Context(), gappy())
		require.NoError(t, err)
		for k, row := range c.want {
			for q, w := range row {
				e := visitTerm(t, r, fmt.Sprintf("visit=%d,strategy=%s", k+1, allStrategies[q]))
				got := e.Value
				if c.se {
					got = e.SE
				}
				reftest.Near(t, e.Term, got, w, 2e-9)
			}
		}
	}
}

// Scores before the event have the own covariance, those after it lean on them, and are spread around, as the reference's do: with e = 1, own variance 2 and reference [[4, 2], [2, 3]] the slope is 1/2, the
// covariance 2/2 and the variance 3 − (4 − 2)/4.
func TestJoinedCovarianceByHand(t *testing.T) {
	got := joined(mat.NewSymDense(2, []float64{2, .3, .3, 9}), mat.NewSymDense(2, []float64{4, 2, 2, 3}), 1)
	require.True(t, mat.EqualApprox(got, mat.NewSymDense(2, []float64{2, 1, 1, 2.5}), 1e-14))
}

// With a covariance an arm scores after the event lean on those before as the reference's do, around the means of the strategy; a gap before the event is filled in with it, too.
func TestStrategiesHaveTheirCovariance(t *testing.T) {
	d, err := takeVisits(gappy(), 5)
	require.NoError(t, err)
	m, err := newVisitModel(d, []string{"1", "2", "3", "4"}, true, false, false)
	require.NoError(t, err)
	own, reference := m.sigma[1], m.sigma[0]
	for _, c := range []struct {
		arm, event int
		s          Strategy
		want       *mat.SymDense
	}{
		{1, 2, MissingAtRandom, own}, {1, 4, CopyReference, own}, {1, 2, LastMean, own}, {1, 2, CopyReference, reference}, {1, 0, JumpToReference, reference},
		{1, 2, JumpToReference, joined(own, reference, 2)}, {1, 2, CopyIncrements, joined(own, reference, 2)}, {0, 2, JumpToReference, reference}, {0, 2, LastMean, reference},
	} {
		_, got := d.distribution(m, &visitGroup{arm: c.arm, event: c.event}, c.s)
		require.True(t, mat.Equal(got, c.want), "%+v", c)
	}
}
