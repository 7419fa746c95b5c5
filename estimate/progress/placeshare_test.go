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

// Places with 1, 2 and 4, 6, 8: means 1.5 and 6, W = (.5 + 8)/3, B = 2·2.7² + 3·1.8² = 24.3, n₀ = 5 − 13/5 = 2.4.
func TestPlaceShareByHand(t *testing.T) {
	s := &Placed{Unit: []string{"a", "b", "c", "d", "e"}, Y: []float64{1, 2, 4, 6, 8}, Place: []int{7, 7, 3, 3, 3}, Level: 0.95}
	r, err := PlaceShare{}.Fit(t.Context(), s)
	require.NoError(t, err)
	W := 8.5 / 3
	e := r.Estimates[0]
	require.InDelta(t, (24.3-W)/(24.3+1.4*W), e.Value, 1e-12)
	require.InDelta(t, 24.3/W, e.Test.Stat, 1e-12)
	require.InDelta(t, 0.0610716473, e.Test.P, 1e-9) // R: pf(8.576471, 1, 3, lower.tail = FALSE)
	// Two places: Σ w(ȳ − ȳ_w)² = w₁w₂/(w₁ + w₂)·4.5², so that 1/(1/2 + λ + 1/3 + λ)·20.25/W is the quantile: λ in closed form.
	for _, x := range []struct{ F, bound float64 }{{17.44344, e.CI.Lo}, {1 / 864.1630, e.CI.Hi}} { // qf(.975, 1, 3), 1/qf(.975, 3, 1)
		lambda := (20.25/W/x.F - 5.0/6) / 2
		require.InDelta(t, lambda/(1+lambda), x.bound, 2e-6)
	}
	again, err := PlaceShare{}.Fit(t.Context(), &Placed{Unit: []string{"e", "d", "c", "b", "a"}, Y: []float64{8, 6, 4, 2, 1}, Place: []int{0, 0, 0, 1, 1}, Level: 0.95})
	require.NoError(t, err)
	require.Equal(t, r.Estimates[0].CI, again.Estimates[0].CI)
}

// Places of one size are the persons of ICC(1,1), their people its raters.
func TestPlaceShareIsICCWithPlacesOfOneSize(t *testing.T) {
	const places, each = 12, 4
	st := num.NewStream(4, "places", 0)
	x := &Scores{X: mat.NewDense(places, each, nil), Raters: true, Level: 0.9, Names: []string{"a", "b", "c", "d"}}
	p := &Placed{Level: 0.9}
	for i := range places {
		x.Unit = append(x.Unit, fmt.Sprintf("%02d", i))
		a := st.Normal()
		for j := range each {
			v := a + 1.5*st.Normal()
			x.X.Set(i, j, v)
			p.Unit, p.Y, p.Place = append(p.Unit, fmt.Sprintf("%02d-%d", i, j)), append(p.Y, v), append(p.Place, i)
		}
	}
	want, err := Reliability{}.Fit(t.Context(), x)
	require.NoError(t, err)
	got, err := PlaceShare{}.Fit(t.Context(), p)
	require.NoError(t, err)
	w, g := want.Estimates[0], got.Estimates[0]
	require.Equal(t, "icc-1-1", w.Term)
	for _, v := range [][2]float64{{w.Value, g.Value}, {w.CI.Lo, g.CI.Lo}, {w.CI.Hi, g.CI.Hi}} {
		require.InDelta(t, v[0], v[1], 1e-10)
	}
}

func TestPlaceShareCoverage(t *testing.T) {
	if testing.Short() {
		t.Skip("long simulation")
	}
	const reps, places, share = 400 * sim.Factor, 20, 0.2
	covered := 0
	for rep := range reps {
		p := &Placed{Level: 0.95}
		for i := range places {
			st := num.NewStream(9, "place", uint64(rep)<<32|uint64(i))
			a := math.Sqrt(share) * st.Normal()
			for j := range 2 + i%11 {
				p.Unit, p.Place = append(p.Unit, fmt.Sprintf("%d-%d", i, j)), append(p.Place, i)
				p.Y = append(p.Y, a+math.Sqrt(1-share)*st.Normal())
			}
		}
		r, err := PlaceShare{}.Fit(t.Context(), p)
		require.NoError(t, err)
		if ci := r.Estimates[0].CI; ci.Lo <= share && share <= ci.Hi {
			covered++
		}
	}
	sim.Share(t, "share of places", float64(covered)/reps, reps)
	require.InDelta(t, .95, float64(covered)/reps, .0359)
}

func TestPlaceShareBad(t *testing.T) {
	for _, c := range []struct {
		s    Placed
		want error
	}{
		{Placed{Unit: []string{"a", "b"}, Y: []float64{1, 2}, Place: []int{0, 0}, Level: 0.95}, estimate.ErrTooFew},
		{Placed{Unit: []string{"a", "b"}, Y: []float64{1, 2}, Place: []int{0, 1}, Level: 0.95}, estimate.ErrTooFew},
		{Placed{Unit: []string{"a", "b", "c"}, Y: []float64{1, 1, 2}, Place: []int{0, 0, 1}, Level: 0.95}, estimate.ErrNotIdentified},
		{Placed{Unit: []string{"a", "b", "c"}, Y: []float64{1, math.NaN(), 2}, Place: []int{0, 0, 1}, Level: 0.95}, estimate.ErrInvalidFrame},
		{Placed{Unit: []string{"a", "b", "c"}, Y: []float64{1, 2}, Place: []int{0, 0, 1}, Level: 0.95}, estimate.ErrInvalidFrame},
		{Placed{Unit: []string{"a", "b", "c"}, Y: []float64{1, 3, 2}, Place: []int{0, 0, 1}}, estimate.ErrInvalidFrame},
	} {
		_, err := PlaceShare{}.Fit(t.Context(), &c.s)
		require.ErrorIs(t, err, c.want)
	}
}
