package effect

import (
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// bigPanel has n rows in units of ten and, at random, one of 100 places: a panel whose
// two sets of effects hang together.
func bigPanel(n int) (*estimate.Frame, [][]int) {
	s := num.NewStream(1, "big panel", 0)
	f := &estimate.Frame{Level: 0.95, Unit: make([]string, n), Y: make([]float64, n), Cluster: make([]int, n), XNames: []string{"x"}, X: mat.NewDense(n, 1, nil)}
	place := make([]int, n)
	for i := range n {
		f.Cluster[i], place[i] = i/10, s.Intn(100)
		x := s.Float() + float64(place[i])/100 + float64(f.Cluster[i]%7)
		f.X.Set(i, 0, x)
		f.Y[i] = x + s.Float() + float64(f.Cluster[i]%11) - float64(place[i])/30
	}
	return f, [][]int{f.Cluster, place}
}

// Two-way fixed effects, errors clustered on units. METHODS.md has the numbers.
func BenchmarkTwoWayEffects(b *testing.B) {
	for name, n := range map[string]int{"1M": 1_000_000, "10M": 10_000_000} {
		b.Run(name, func(b *testing.B) {
			if n > 1_000_000 && testing.Short() {
				b.Skip("large")
			}
			f, codes := bigPanel(n)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if _, err := (OLS{Absorb: codes, AbsorbNames: []string{"unit", "place"}}).Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
