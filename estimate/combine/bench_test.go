package combine

import (
	"math"
	"strconv"
	"testing"

	"utfall/internal/num"
)

// All municipalities, REML, Knapp-Hartung, shrunken effects.
func BenchmarkMeta290(b *testing.B) {
	s := num.NewStream(1, "bench", 0)
	f := effects(nil, nil)
	for i := range 290 {
		f.Unit, f.Variance = append(f.Unit, strconv.Itoa(i)), append(f.Variance, .1+s.Exp())
		f.Y = append(f.Y, s.Normal()+math.Sqrt(f.Variance[i])*s.Normal())
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Meta{Test: "knapp-hartung"}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
