package release

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func labels(d Distribution) map[string]string {
	out := map[string]string{}
	for _, s := range d.Classes {
		out[s.Label] = s.N.String()
	}
	return out
}

// 4 people in one class: it and the next smallest, 12, are withheld (together 16);
// 4 and 3 make 7, which is below 10, so that the 12 goes too.
func TestDistributionByHand(t *testing.T) {
	d, w := Policy{}.Distribution("x", []Class{{Label: "a", N: 50}, {Label: "b", N: 4}, {Label: "c", N: 12}, {Label: "d", N: 34}})
	require.Equal(t, map[string]string{"a": "50", "b": "..", "c": "..", "d": "35"}, labels(d))
	require.Equal(t, 15, d.Together.N.n)
	require.Equal(t, "100", d.N.String())
	require.Equal(t, []Withheld{{"x", BelowMinimum, 1}, {"x", Complementary, 1}}, w)
	d, _ = Policy{}.Distribution("x", []Class{{Label: "a", N: 81}, {Label: "b", N: 4}, {Label: "c", N: 12}, {Label: "d", N: 3}})
	require.Equal(t, map[string]string{"a": "80", "b": "..", "c": "..", "d": ".."}, labels(d))
	v, ok := d.Classes[0].Value.Float()
	require.True(t, ok)
	require.Equal(t, 0.8, v)
}

func TestDistributionEdges(t *testing.T) {
	d, _ := Policy{}.Distribution("x", []Class{{Label: "a", N: 100}, {Label: "b", N: 0}})
	require.True(t, d.Classes[0].N.Suppressed(), "everybody in one class says the same of each")
	require.True(t, d.Classes[1].N.Suppressed(), "0 by chance is fewer than 10")
	d, _ = Policy{}.Distribution("x", []Class{{Label: "a", N: 60}, {Label: "b", N: 40}, {Label: "c", Structural: true}})
	require.Equal(t, map[string]string{"a": "60", "b": "40", "c": "0"}, labels(d))
	require.True(t, d.Together.N.Zero())
	d, w := Policy{}.Distribution("x", []Class{{Label: "a", N: 5}, {Label: "b", N: 3}})
	require.True(t, d.N.Suppressed())
	require.True(t, d.Together.N.Suppressed())
	require.Len(t, w, 2)
}

func TestDistributionLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 3000 {
		classes := make([]Class, rng.IntN(6)+1)
		for i := range classes {
			classes[i] = Class{Label: fmt.Sprint(i), N: rng.IntN(40)}
			classes[i].Structural = classes[i].N == 0 && rng.IntN(2) == 0
		}
		base := []int{1, 5, 3}[rng.IntN(3)]
		var previous map[string]string
		for k := 25; k >= 3; k-- {
			p := Policy{k, base}
			d, _ := p.Distribution("x", classes)
			got := labels(d)
			for label, n := range previous {
				if n != ".." {
					require.NotEqual(t, "..", got[label], "minimum %d shows more than %d of %+v", k+1, k, classes)
				}
			}
			previous = got
			// Rounded parts add up, and none falls below the threshold.
			sum := 0
			for _, s := range append(d.Classes[:len(d.Classes):len(d.Classes)], d.Together) {
				if n, ok := s.N.Int(); ok {
					require.True(t, n == 0 || n >= p.Threshold())
					sum += n
				}
			}
			require.Equal(t, d.N.n, sum)
			// Releasing what was released changes nothing.
			var again []Class
			for _, s := range d.Classes {
				if !s.N.Suppressed() {
					again = append(again, Class{Label: s.Label, N: s.N.n, Structural: s.N.Zero()})
				}
			}
			if n, ok := d.Together.N.Int(); ok && n > 0 && len(again) > 0 {
				again = append(again, Class{Label: "", N: n, Structural: n == d.N.n})
			}
			twice, _ := p.Distribution("x", again)
			for _, s := range twice.Classes {
				if s.Label != "" && !d.Together.N.Suppressed() {
					require.Equal(t, got[s.Label], s.N.String())
				}
			}
			// The order of the classes carries no information.
			perm := rng.Perm(len(classes))
			shuffled := make([]Class, len(classes))
			for i, j := range perm {
				shuffled[i] = classes[j]
			}
			other, _ := p.Distribution("x", shuffled)
			require.Equal(t, got, labels(other))
		}
	}
}

func TestProportion(t *testing.T) {
	m, w := Policy{}.Proportion("x", 25, 100)
	v, ok := m.Value.Float()
	require.True(t, ok)
	require.Equal(t, 0.25, v)
	require.Empty(t, w)
	for _, e := range []int{0, 4, 96, 100} {
		m, w = Policy{}.Proportion("x", e, 100)
		require.True(t, m.Value.Suppressed(), e)
		require.Len(t, w, 1)
	}
}

func TestMean(t *testing.T) {
	for n, want := range map[int]float64{9: math.NaN(), 10: 12000, 29: 12000, 30: 12350} {
		m, _ := Policy{}.Mean("x", 12345.6, n)
		v, ok := m.Value.Float()
		require.Equal(t, n >= 10, ok)
		if ok {
			require.Equal(t, want, v)
		}
	}
}
