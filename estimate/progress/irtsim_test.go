package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// grade draws an answer 0 … len(b) of the graded response model.
func grade(st *num.Stream, a, theta float64, b []float64) float64 {
	u := st.Float()
	v := math.Log(u / (1 - u))
	k := 0.0
	for _, c := range b {
		if float64(a*(theta-c))+v > 0 {
			k++
		}
	}
	return k
}

// gradedAnswers draws n persons from a graded response model with J items of cats categories.
func gradedAnswers(seed uint64, n, J, cats int) *Answers {
	a := &Answers{X: mat.NewDense(n, J, nil), Level: 0.95}
	for j := range J {
		a.Names = append(a.Names, fmt.Sprint("q", j+1))
	}
	slopes, b := gradedItems(J, cats)
	for i := range n {
		a.Unit = append(a.Unit, fmt.Sprintf("p%06d", i))
		st := num.NewStream(seed, "graded", uint64(i))
		theta := st.Normal()
		for j := range J {
			a.X.Set(i, j, grade(st, slopes[j], theta, b[j]))
		}
	}
	return a
}

func gradedItems(J, cats int) (slopes []float64, b [][]float64) {
	for j := range J {
		slopes = append(slopes, 0.9+0.25*float64(j%6))
		var row []float64
		for k := 1; k < cats; k++ {
			row = append(row, 0.3*float64(j%4)-0.4+2.4*(float64(k)/float64(cats)-0.5))
		}
		b = append(b, row)
	}
	return slopes, b
}

func graded(t testing.TB, a *Answers) *estimate.Result {
	t.Helper()
	r, err := GradedResponse{}.Fit(t.Context(), a)
	require.NoError(t, err)
	return r
}

func BenchmarkGradedResponse(b *testing.B) {
	a := gradedAnswers(1, 20000, 12, 5)
	for _, noErrors := range []bool{true, false} {
		b.Run(fmt.Sprint("errors=", !noErrors), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := GradedResponse{NoErrors: noErrors}.Fit(b.Context(), a)
				require.NoError(b, err)
			}
		})
	}
}
