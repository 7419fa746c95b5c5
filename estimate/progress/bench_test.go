package progress

import (
	"math"
	"testing"
)

// 25,000 persons an arm, six states, 24 months, two further orders, four times.
func BenchmarkNetMonths(b *testing.B) {
	s := far(1, 0, 25000, d1, nil)
	b.Logf("%d spells", len(s.Person))
	merged := Ladder{"0": 0, "1": 1, "2": 2, "3": 3, "4": 3, "5": 4}
	e := NetMonths{Ladder: sixSteps, Tau: 24, At: []float64{6, 12, 18, 24}, Alternatives: map[string]Ladder{"a": merged, "b": sixSteps}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Fit(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}

// 250 people an arm, three visits with gaps and drop-out, five strategies, 500 fits without one.
func BenchmarkReferenceBased(b *testing.B) {
	s := visits(3, 250)
	for i := range s.Unit {
		if i%9 == 0 && !math.IsNaN(s.After.At(i, 2)) {
			s.After.Set(i, 1, math.NaN())
		}
	}
	for b.Loop() {
		if _, err := (ReferenceBased{}).Fit(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}
