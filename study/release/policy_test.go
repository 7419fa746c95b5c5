package release

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPolicyResolve(t *testing.T) {
	p, err := Policy{}.Resolve()
	require.NoError(t, err)
	require.Equal(t, Policy{MinCount: 10, RoundTo: 5}, p)
	for _, bad := range []Policy{{MinCount: 2}, {MinCount: -1}, {RoundTo: -5}, {RoundTo: 1001}} {
		_, err := bad.Resolve()
		require.ErrorIs(t, err, ErrPolicy)
		require.Panics(t, func() { bad.Count(100) })
	}
}

// The threshold is the minimum raised to a multiple of the base: 12 is allowed by a
// minimum of 12 but would print as 10.
func TestThreshold(t *testing.T) {
	for _, c := range []struct{ min, base, want int }{{10, 5, 10}, {12, 5, 15}, {3, 5, 5}, {7, 1, 7}, {0, 0, 10}, {20, 6, 24}} {
		require.Equal(t, c.want, Policy{c.min, c.base}.Threshold())
	}
}

func TestCount(t *testing.T) {
	p := Policy{}
	for n, want := range map[int]string{0: "..", 1: "..", 9: "..", 10: "10", 12: "10", 13: "15", 17: "15", 18: "20", 1002: "1000"} {
		require.Equal(t, want, p.Count(n).String(), n)
	}
	require.Equal(t, "11", Policy{10, 1}.Count(11).String())
	require.True(t, Count{}.Suppressed(), "a count nobody filled shows nothing")
	require.Equal(t, "0", StructuralZero().String())
	require.False(t, StructuralZero().Suppressed())
	n, ok := p.Count(13).Int()
	require.True(t, ok)
	require.Equal(t, 15, n)
	_, ok = p.Count(3).Int()
	require.False(t, ok)
}

// 95 of 100 leaves 5, which a reader finds by subtraction; 100 of 100 leaves nobody.
func TestPart(t *testing.T) {
	p := Policy{}
	require.True(t, p.Part(95, 100).Suppressed())
	require.False(t, p.Part(100, 100).Suppressed())
	require.False(t, p.Part(90, 100).Suppressed())
	require.True(t, p.Part(110, 100).Suppressed())
	require.True(t, p.Part(9, 100).Suppressed())
}

func TestCountLaws(t *testing.T) {
	for n := range 200 {
		for k := 3; k < 60; k++ {
			for _, b := range []int{1, 3, 5, 10} {
				p := Policy{k, b}
				c := p.Count(n)
				require.Equal(t, c, p.Again(c), "a release of a release is the release")
				if v, ok := c.Int(); ok {
					require.GreaterOrEqual(t, v, k)
					require.Zero(t, v%b)
					require.False(t, Policy{k - min(1, k-3), b}.Count(n).Suppressed(), "a smaller minimum shows it too")
				}
			}
		}
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal([]any{Count{}, StructuralZero(), Policy{}.Count(12), Value{}, show(0.25), show(math.NaN()), show(math.Inf(1))})
	require.NoError(t, err)
	require.JSONEq(t, `["..",0,10,"..",0.25,null,null]`, string(b))
	x, ok := Value{}.Float()
	require.False(t, ok)
	require.True(t, math.IsNaN(x))
	require.True(t, Value{}.Suppressed())
	require.False(t, show(math.NaN()).Suppressed(), "undefined is not withheld")
	require.Equal(t, 12.35, significant(12.3456, 4))
}

func TestProtocol(t *testing.T) {
	a := []Withheld{{"b", BelowMinimum, 2}, {"a", Difference, 1}}
	b := []Withheld{{"b", BelowMinimum, 3}, {"a", BelowMinimum, 1}}
	want := []Withheld{{"a", BelowMinimum, 1}, {"a", Difference, 1}, {"b", BelowMinimum, 5}}
	require.Equal(t, want, Policy{}.Protocol(a, b).Withheld)
	require.Equal(t, Policy{}.Protocol(b, a), Policy{}.Protocol(a, b))
	require.Equal(t, 7, Policy{}.Protocol(a, b).Cells())
	out, err := json.Marshal(Policy{MinCount: 12}.Protocol())
	require.NoError(t, err)
	require.JSONEq(t, `{"min_count":12,"round_to":5,"threshold":15,"withheld":[]}`, string(out))
}
