package progress

import "testing"

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
