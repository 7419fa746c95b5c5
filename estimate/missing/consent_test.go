package missing

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// Cell 0: 4 people, 2 known with outcomes 1 and 3; cell 1: 6 people, 3 known with 4, 5, 6.
// The model is saturated: p is 1/2 in both, every weight 2 and the weighted mean that of
// the post-stratified, .4·2 + .6·5 = 3.8. Its influence is
// [1{known}/p·(y - ȳ_cell) + ȳ_cell - 3.8]/10, which Adjust must give from that of the
// weighted mean.
func TestConsentByHand(t *testing.T) {
	known := []float64{1, 1, 0, 0, 1, 1, 1, 0, 0, 0}
	y := []float64{1, 3, 0, 0, 4, 5, 6, 0, 0, 0}
	x := mat.NewDense(10, 1, []float64{0, 0, 0, 0, 1, 1, 1, 1, 1, 1})
	f := &estimate.Frame{Unit: names(10), Y: known, X: x, XNames: []string{"cell"}, Level: .95}
	c, err := Consent{}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, 5, c.Known)
	near(t, 5, c.Effective, 12)
	require.InDelta(t, 0, c.Coef["cell"], 1e-12)
	phi := mat.NewDense(10, 1, nil)
	sum := 0.0
	for i := range y {
		require.InDelta(t, 2*known[i], c.Weight[i], 1e-11)
		sum += c.Weight[i] * y[i] / 10
		phi.Set(i, 0, c.Weight[i]*(y[i]-3.8)/10)
	}
	near(t, 3.8, sum, 12)
	adjusted, err := c.Adjust(phi)
	require.NoError(t, err)
	for i := range y {
		m := 2 + 3*x.At(i, 0)
		require.InDelta(t, (2*known[i]*(y[i]-m)+m-3.8)/10, adjusted.At(i, 0), 1e-12)
	}
	require.Less(t, SE(adjusted, 0), SE(phi, 0))
	require.Equal(t, "consent-weighted", c.Notes[0].Code)

	c, err = Consent{Cap: 1.5}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, 1.5, c.Weight[0])
	require.Equal(t, "consent-capped", c.Notes[1].Code)
	require.Equal(t, map[string]any{"rows": 5}, c.Notes[1].Args)
	_, err = c.Adjust(phi)
	require.ErrorIs(t, err, ErrOption)
}

// The same with weights of the frame, as if known: the post-stratified mean is Σ_cell B_cell·ȳ_cell/B with B the sum of the weights b in a cell, of
// those who are not known too, and p the weighted share known there: its influence is [b·1{known}/p·(y − ȳ_cell) + b·(ȳ_cell − ȳ)]/B. A row of weight 0 has none.
func TestConsentAdjustWithWeightsByHand(t *testing.T) {
	known := []float64{1, 1, 0, 0, 1, 1, 1, 0, 0, 0}
	y := []float64{1, 3, 0, 0, 4, 5, 6, 0, 0, 0}
	b := []float64{1, 2, 3, 1, 2, 1, 1, 4, 2, 0}
	cell := []float64{0, 0, 0, 0, 1, 1, 1, 1, 1, 1}
	f := &estimate.Frame{Unit: names(10), Y: known, X: mat.NewDense(10, 1, cell), XNames: []string{"cell"}, Level: .95, Weight: estimate.Weights{Kind: estimate.Sampling, Values: b}}
	c, err := Consent{}.Fit(t.Context(), f)
	require.NoError(t, err)
	p := []float64{3.0 / 7, .4}
	mean := []float64{(1*1 + 2*3) / 3.0, (2*4 + 5 + 6) / 4.0}
	all := (7*mean[0] + 10*mean[1]) / 17
	phi := mat.NewDense(10, 1, nil)
	for i := range y {
		require.InDelta(t, known[i]/p[int(cell[i])], c.Weight[i], 1e-9)
		phi.Set(i, 0, b[i]*c.Weight[i]*(y[i]-all)/17)
	}
	adjusted, err := c.Adjust(phi)
	require.NoError(t, err)
	for i := range y {
		k := int(cell[i])
		require.InDelta(t, b[i]*(known[i]/p[k]*(y[i]-mean[k])+mean[k]-all)/17, adjusted.At(i, 0), 1e-9, i)
	}
}

func TestConsentErrors(t *testing.T) {
	ok := func() *estimate.Frame {
		return &estimate.Frame{Unit: names(6), Y: []float64{0, 1, 0, 1, 0, 1}, X: mat.NewDense(6, 1, []float64{1, 2, 3, 1, 2, 3}), XNames: []string{"x"}, Level: .95}
	}
	for i, c := range []struct {
		change func(f *estimate.Frame)
		o      Consent
		is     error
	}{
		{func(f *estimate.Frame) { f.Y[0] = 2 }, Consent{}, estimate.ErrInvalidFrame},
		{func(*estimate.Frame) {}, Consent{Cap: .5}, ErrOption},
		{func(f *estimate.Frame) { f.Y = []float64{1, 1, 1, 1, 1, 1} }, Consent{}, ErrConstant},
		{func(f *estimate.Frame) { f.Y = []float64{0, 0, 0, 1, 1, 1} }, Consent{}, nil},
		{func(f *estimate.Frame) { f.X = mat.NewDense(6, 1, []float64{1, 2, 1, 2, 1, 2}) }, Consent{}, estimate.ErrSeparated},
		{func(f *estimate.Frame) { f.X = mat.NewDense(6, 1, []float64{4, 4, 4, 4, 4, 4}) }, Consent{}, estimate.ErrCollinear},
		{func(f *estimate.Frame) { f.Level = 0 }, Consent{}, estimate.ErrInvalidFrame},
	} {
		f := ok()
		c.change(f)
		_, err := c.o.Fit(t.Context(), f)
		if c.is == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, c.is, "%d", i)
	}
	c, err := Consent{}.Fit(t.Context(), ok())
	require.NoError(t, err)
	_, err = c.Adjust(mat.NewDense(2, 1, nil))
	require.ErrorIs(t, err, ErrOption)
}

// Consent depends on x, the outcome too: the mean of those who consented is wrong, the
// weighted one right, with an interval that covers 95 % when the model's own error is in.
func TestConsentCoverage(t *testing.T) {
	reps := 400 * sim.Factor
	const n = 400
	var weighted, naive int
	for r := range reps {
		f := &estimate.Frame{Unit: names(n), X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: .95}
		y := make([]float64, n)
		for i := range n {
			s := num.NewStream(21, "consent", uint64(r*n+i))
			x := s.Normal()
			f.X.Set(i, 0, x)
			y[i] = 1 + x + s.Normal()
			k := 0.0
			if s.Bernoulli(logistic(.5 + .8*x)) {
				k = 1
			}
			f.Y = append(f.Y, k)
		}
		c, err := Consent{Workers: 1}.Fit(t.Context(), f)
		require.NoError(t, err)
		var sw, swy, sy float64
		for i := range y {
			sw, swy, sy = sw+c.Weight[i], swy+c.Weight[i]*y[i], sy+f.Y[i]*y[i]
		}
		phi, plain := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
		for i := range y {
			phi.Set(i, 0, c.Weight[i]*(y[i]-swy/sw)/sw)
			plain.Set(i, 0, f.Y[i]*(y[i]-sy/float64(c.Known))/float64(c.Known))
		}
		adjusted, err := c.Adjust(phi)
		require.NoError(t, err)
		if math.Abs(swy/sw-1) <= 1.96*SE(adjusted, 0) {
			weighted++
		}
		if math.Abs(sy/float64(c.Known)-1) <= 1.96*SE(plain, 0) {
			naive++
		}
	}
	sim.Share(t, "consent weights", float64(weighted)/float64(reps), reps)
	sim.Share(t, "consenting people only (must fail)", float64(naive)/float64(reps), reps)
	require.InDelta(t, .95, float64(weighted)/float64(reps), .0359)
	require.Less(t, float64(naive)/float64(reps), .2)
}
