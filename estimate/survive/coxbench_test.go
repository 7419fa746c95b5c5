package survive

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

func coxRows(n, k int, whole bool) *Covaried {
	f := &Covaried{Stratified: Stratified{Times: *kmTimes(n, false)}, X: mat.NewDense(n, k, nil)}
	for j := range k {
		f.XNames = append(f.XNames, fmt.Sprintf("x%d", j))
	}
	for i := range n {
		st := num.NewStream(3, "bench", uint64(i))
		eta := 0.0
		row := f.X.RawRowView(i)
		for j := range row {
			row[j] = st.Normal()
			eta += float64(0.1 * float64(j%3-1) * row[j])
		}
		if f.Time[i] *= math.Exp(-eta); whole {
			f.Time[i] = math.Ceil(30 * f.Time[i])
		}
	}
	return f
}

// A million people, ten covariates, seven of ten with the event: with days as times, and all times distinct.
func BenchmarkCox(b *testing.B) {
	for _, whole := range []bool{true, false} {
		f := coxRows(1000000, 10, whole)
		b.Run(fmt.Sprintf("million/days=%v", whole), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (Cox{}).Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Curves of two groups at three times and the log-rank test, on the same data.
func BenchmarkCurvesAndTest(b *testing.B) {
	for _, whole := range []bool{true, false} {
		f := &Stratified{Times: *kmTimes(1000000, false)}
		f.Group, f.GroupNames = make([]int, len(f.Time)), []string{"a", "b"}
		for i := range f.Time {
			f.Group[i] = num.NewStream(5, "bench", uint64(i)).Intn(2)
			if whole {
				f.Time[i] = math.Ceil(30 * f.Time[i])
			}
		}
		b.Run(fmt.Sprintf("million/days=%v", whole), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (KaplanMeier{At: []float64{12, 24, 36}}).Fit(b.Context(), &f.Times); err != nil {
					b.Fatal(err)
				}
				if _, err := (LogRank{}).Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
