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

// waveTruth is a design of two waves: D10 of the progress design without a shift.
type waveTruth struct {
	change, effect, sd2, rho float64
	shift, differ            float64 // of the thresholds of the last item after, for all and for participants
}

func d10() waveTruth { return waveTruth{change: 0.2, effect: 0.35, sd2: 1.1, rho: 0.7} }

// simWaves draws n persons, half of them participants, with the items of the reference case.
func simWaves(seed uint64, rep, n int, w waveTruth) *Waves {
	a := []float64{1.2, 1.8, 1.5, 1.0, 2.0, 1.4}
	b := [][]float64{{-1.5, -0.2, 1}, {-1, 0.1, 1.3}, {-1.2, -0.1, 1.1}, {-0.8, 0.4, 1.8}, {-1.3, 0, 1.2}, {-1, 0.2, 1.4}}
	out := &Waves{Before: mat.NewDense(n, 6, nil), After: mat.NewDense(n, 6, nil), Level: 0.95}
	for j := range a {
		out.Names = append(out.Names, fmt.Sprint("i", j+1))
	}
	for i := range n {
		st := num.NewStream(seed, fmt.Sprint("waves", rep), uint64(i))
		treated := i%2 == 1
		out.Unit, out.Treated = append(out.Unit, fmt.Sprintf("p%06d", i)), append(out.Treated, treated)
		t1 := st.Normal()
		t2 := w.change + float64(w.rho*w.sd2*t1) + w.sd2*math.Sqrt(1-w.rho*w.rho)*st.Normal()
		moved := w.shift
		if treated {
			t2 += w.effect
			moved += w.differ
		}
		for j := range a {
			out.Before.Set(i, j, grade(st, a[j], t1, b[j]))
			after := append([]float64{}, b[j]...)
			if j == 5 {
				for k := range after {
					after[k] += moved
				}
			}
			out.After.Set(i, j, grade(st, a[j], t2, after))
		}
	}
	return out
}

func latentChange(t testing.TB, e LatentChange, w *Waves) *estimate.Result {
	t.Helper()
	r, err := e.Fit(t.Context(), w)
	require.NoError(t, err)
	return r
}

func BenchmarkLatentChange(b *testing.B) {
	const n, J = 20000, 12
	slopes, cut := gradedItems(J, 5)
	w := &Waves{Before: mat.NewDense(n, J, nil), After: mat.NewDense(n, J, nil), Level: 0.95}
	for j := range J {
		w.Names = append(w.Names, fmt.Sprint("q", j+1))
	}
	for i := range n {
		st := num.NewStream(1, "bench", uint64(i))
		w.Unit, w.Treated = append(w.Unit, fmt.Sprintf("p%06d", i)), append(w.Treated, i%2 == 1)
		t1 := st.Normal()
		t2 := 0.2 + float64(0.7*t1) + 0.7*st.Normal()
		if i%2 == 1 {
			t2 += 0.3
		}
		for j := range J {
			w.Before.Set(i, j, grade(st, slopes[j], t1, cut[j]))
			w.After.Set(i, j, grade(st, slopes[j], t2, cut[j]))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := LatentChange{}.Fit(b.Context(), w)
		require.NoError(b, err)
	}
}
