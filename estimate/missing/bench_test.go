package missing

import "testing"

// 5,000 people, a number by pmm, a binary, a nominal and an ordered variable.
func BenchmarkImpute(b *testing.B) {
	d := people(5000, 1)
	for b.Loop() {
		if _, err := (Impute{M: 5, Iterations: 5, Seed: 1}).Run(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
}

// 200,000 units with cells.
func BenchmarkLee(b *testing.B) {
	y, treated, known, w, cells := random(200_000, 1)
	f := frame(y, treated, w)
	for b.Loop() {
		if _, err := (Lee{Observed: known, Cells: cells}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
