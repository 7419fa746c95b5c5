package sensitivity

import (
	"testing"

	"utfall/internal/num"
)

// A matched programme as large as the field has: 28,500 pairs, four gammas, eight shifts.
func BenchmarkRosenbaum(b *testing.B) {
	s := num.NewStream(1, "bench", 0)
	d := make([]float64, 28500)
	for i := range d {
		d[i] = .1 + s.Normal()
	}
	f := withDifferences(d...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Rosenbaum{}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
