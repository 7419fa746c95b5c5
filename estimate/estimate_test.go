package estimate

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

// By hand: 1.5 ± z·0.5 with z = 1.959963984540054; p of |z| = 3 is 0.002699796063260189.
// t on 1 degree of freedom is Cauchy: the 95 % half-width factor is tan(0.475π).
func TestWaldByHand(t *testing.T) {
	e := Wald("x", MeanDifference, 1.5, 0.5, math.Inf(1), 0.95)
	reftest.Agree(t, "low", e.CI.Lo, 1.5-0.5*1.959963984540054, 14)
	reftest.Agree(t, "high", e.CI.Hi, 1.5+0.5*1.959963984540054, 14)
	reftest.Agree(t, "p", e.Test.P, 0.002699796063260189, 13)
	require.Equal(t, "normal", e.CI.Method)
	c := Wald("x", MeanDifference, 0, 1, 1, 0.95)
	reftest.Agree(t, "Cauchy", c.CI.Hi, math.Tan(0.475*math.Pi), 12)
	require.Equal(t, "t", c.CI.Method)
	reftest.Agree(t, "far tail", Wald("x", Mean, 30, 1, math.Inf(1), 0.95).Test.P, 9.813e-198, 3)
}

// A 90 % interval lies inside the 95 % one, and p < 0.05 exactly when 0 lies outside (M37).
func TestWaldAgreesWithItself(t *testing.T) {
	for _, df := range []float64{3, 20, math.Inf(1)} {
		for v := -4.0; v <= 4; v += 0.37 {
			wide, narrow := Wald("x", Mean, v, 1, df, 0.95), Wald("x", Mean, v, 1, df, 0.90)
			require.True(t, wide.CI.Lo < narrow.CI.Lo && narrow.CI.Hi < wide.CI.Hi)
			require.Equal(t, wide.Test.P < 0.05, wide.CI.Lo > 0 || wide.CI.Hi < 0)
		}
	}
}

func TestWaldWithoutError(t *testing.T) {
	e := Wald("x", Mean, 1, math.NaN(), 5, 0.95)
	require.False(t, e.HasSE())
	require.True(t, math.IsNaN(e.CI.Lo) && math.IsNaN(e.Test.P))
	z := Wald("x", Mean, 1, 0, 5, 0.95)
	require.True(t, z.HasSE() && math.IsNaN(z.Test.P))
	require.Equal(t, 1.0, z.CI.Lo)
	require.True(t, z.Certain())
	require.False(t, e.Certain())
	require.False(t, Wald("x", Mean, 1, 0.1, 5, 0.95).Certain())
}

func TestFrameCheck(t *testing.T) {
	good := func() *Frame {
		return &Frame{Unit: []string{"a", "b"}, Y: []float64{1, 2}, Treated: []bool{true, false}, X: mat.NewDense(2, 1, []float64{0, 1}), XNames: []string{"x"}, Level: 0.95}
	}
	require.NoError(t, good().Check())
	for name, spoil := range map[string]func(f *Frame){
		"no rows":         func(f *Frame) { f.Y = nil },
		"units":           func(f *Frame) { f.Unit = f.Unit[:1] },
		"treated":         func(f *Frame) { f.Treated = f.Treated[:1] },
		"sets":            func(f *Frame) { f.Set = []int{0} },
		"clusters":        func(f *Frame) { f.Cluster = []int{0} },
		"weights":         func(f *Frame) { f.Weight = Weights{Matching, []float64{1}} },
		"kind":            func(f *Frame) { f.Weight.Values = []float64{1, 1} },
		"negative weight": func(f *Frame) { f.Weight = Weights{Matching, []float64{1, -1}} },
		"level":           func(f *Frame) { f.Level = 95 },
		"outcome":         func(f *Frame) { f.Y[1] = math.NaN() },
		"names":           func(f *Frame) { f.XNames = nil },
		"covariate":       func(f *Frame) { f.X.Set(0, 0, math.Inf(1)) },
	} {
		f := good()
		spoil(f)
		require.ErrorIs(t, f.Check(), ErrInvalidFrame, name)
	}
}

func TestRowErrorSaysTheRow(t *testing.T) {
	err := error(&RowError{Row: 4, Err: ErrCollinear})
	require.EqualError(t, err, "row 5: collinear columns")
	require.True(t, errors.Is(err, ErrCollinear))
}
