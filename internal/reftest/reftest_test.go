package reftest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLRE(t *testing.T) {
	require.Equal(t, Digits(15), LRE(1, 1))
	require.InDelta(t, 3, float64(LRE(1.001, 1)), 1e-9)
	require.InDelta(t, 4, float64(LRE(1e-4, 0)), 1e-9)
	require.Equal(t, Digits(15), LRE(math.Inf(1), math.Inf(1)))
	for _, c := range [][2]float64{{math.NaN(), 1}, {1, math.NaN()}, {math.NaN(), math.NaN()}, {math.Inf(1), 1}, {math.Inf(-1), math.Inf(1)}} {
		require.True(t, math.IsInf(float64(LRE(c[0], c[1])), -1), c)
	}
}

// The comparisons themselves must be able to fail.
func TestAgreeFails(t *testing.T) {
	for _, f := range []func(t testing.TB){
		func(t testing.TB) { Agree(t, "x", 1.01, 1, 3) },
		func(t testing.TB) { Agree(t, "x", math.NaN(), 1, 1) },
		func(t testing.TB) { Near(t, "x", 1.1, 1, 0.01) },
		func(t testing.TB) { Near(t, "x", math.NaN(), 1, 1) },
	} {
		spy := &spy{TB: t}
		f(spy)
		require.True(t, spy.failed)
	}
	ok := &spy{TB: t}
	Agree(ok, "x", 1.0001, 1, 3)
	Near(ok, "x", 1.001, 1, 0.01)
	require.False(t, ok.failed)
}

type spy struct {
	testing.TB
	failed bool
}

func (s *spy) Helper()               {}
func (s *spy) Errorf(string, ...any) { s.failed = true }
