package panel

import (
	"fmt"
	"testing"

	"utfall/internal/num"
)

// 290 municipalities over 20 years, twelve entry dates: what a study asks for.
func municipalities() *Frame {
	f := &Frame{Level: 0.95}
	for u := range 290 {
		s := num.NewStream(7, "few-bench", uint64(u))
		g := 0
		if u%13 > 0 {
			g = 2004 + u%13
		}
		for t := 2003; t <= 2022; t++ {
			f.Unit, f.Time, f.Cohort, f.Y = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t), append(f.Cohort, g), append(f.Y, s.Normal())
		}
	}
	return f
}

func benchmarkFew(b *testing.B, o FewOptions) {
	r, err := GroupTime{}.Fit(b.Context(), municipalities())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Infer(b.Context(), Dynamic, o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInferChosen(b *testing.B) { benchmarkFew(b, FewOptions{}) }

func BenchmarkInferAllMethods(b *testing.B) { benchmarkFew(b, FewOptions{Alternatives: true}) }
