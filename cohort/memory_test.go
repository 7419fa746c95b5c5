package cohort

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// heapOf runs f and returns the most that the heap grew by, looked at every
// millisecond, and all that was allocated: what is alive at the peak lies between.
func heapOf(f func()) (peak, total int64) {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		var seen runtime.MemStats
		for !stop.Load() {
			runtime.ReadMemStats(&seen)
			peak = max(peak, int64(seen.HeapAlloc)-int64(before.HeapAlloc))
			time.Sleep(time.Millisecond)
		}
	}()
	f()
	stop.Store(true)
	<-done
	runtime.ReadMemStats(&now)
	return peak, int64(now.TotalAlloc - before.TotalAlloc)
}

// The estimate is at most twice what the heap grew by and at least half of it, at two
// sizes. Between two looks a short peak can pass unseen, so that the best of three counts.
func TestMemoryEstimate(t *testing.T) {
	if testing.Short() {
		t.Skip("needs tables of some size")
	}
	for _, n := range []int{40_000, 160_000} {
		tab, names := register(t, n)
		fit, err := Propensity{Covariates: names}.Fit(t.Context(), tab, Spec{Treatment: "treated", ID: "id"})
		require.NoError(t, err)
		tab, err = tab.With(table.NewFloat(table.Field{Name: "score"}, fit.Score, nil))
		require.NoError(t, err)
		model := Spec{Treatment: "treated", ID: "id", Covariates: names}
		score := Spec{Treatment: "treated", ID: "id", Score: "score"}
		both := score
		both.Covariates = names
		few := model
		few.Covariates = names[:3]
		for _, c := range []struct {
			name string
			m    Nearest
			d    Spec
		}{
			{"model", Nearest{Caliper: 0.2}, model},
			{"score", Nearest{Caliper: 0.2}, score},
			{"exact", Nearest{Caliper: 0.2, Ratio: 3, Exact: []string{"region", "x5"}}, score},
			{"replacement", Nearest{Ratio: 3, Replace: true}, score},
			{"metric", Nearest{Distance: EuclideanDistance}, few},
			{"metric within a caliper", Nearest{Distance: MahalanobisDistance, CaliperScore: 0.2}, both},
		} {
			if n > 100_000 && c.m.metric() && len(c.d.Covariates) > 3 {
				continue // seconds
			}
			want, err := c.m.MemoryEstimate(tab, c.d)
			require.NoError(t, err)
			peak, total := int64(0), int64(0)
			for try := 0; try < 3 && 2*peak < want; try++ {
				p, all := heapOf(func() {
					_, err := c.m.Match(t.Context(), tab, c.d)
					require.NoError(t, err)
				})
				peak, total = max(peak, p), all
			}
			t.Logf("%-24s %7d units: estimate %4d bytes a unit, peak %4d, allocated in all %4d", c.name, n, want/int64(n), peak/int64(n), total/int64(n))
			require.LessOrEqual(t, want, 2*peak, "%s, %d units: the estimate is too high", c.name, n)
			require.LessOrEqual(t, peak, 2*want, "%s, %d units: the estimate is too low", c.name, n)
		}
	}
	// By hand, 7 units: a model of age and a constant is 116 + 48 + 2·8 bytes; of the seven ages as
	// categories 116 + 48 + 8·8; of sex too (two levels) 16 more; a metric on age 116 + 36.
	for _, c := range []struct {
		m    Nearest
		d    Spec
		each int64
	}{
		{Nearest{}, Spec{Covariates: []string{"age"}}, 180},
		{Nearest{}, Spec{Covariates: []string{"age"}, Categorical: []string{"age"}}, 228},
		{Nearest{Exact: []string{"sex"}}, Spec{Covariates: []string{"age", "sex"}}, 212},
		{Nearest{Distance: EuclideanDistance}, Spec{Covariates: []string{"age"}}, 152},
	} {
		got, err := c.m.MemoryEstimate(byHand(t), c.d)
		require.NoError(t, err)
		require.Equal(t, 7*c.each, got, "%+v", c)
	}
	_, err := Nearest{}.MemoryEstimate(byHand(t), Spec{Treatment: "treated", Covariates: []string{"absent"}})
	require.ErrorIs(t, err, table.ErrNoColumn)
}
