package panel

import (
	"runtime"
	"testing"
	"time"
)

func benchFrame(units, periods, cohorts, covariates int) *Frame {
	s := staggered{units: units, periods: periods, covariates: covariates, noise: 1, trend: 0.1,
		effect: func(g, t int) float64 { return float64(t - g) }}
	for c := range cohorts {
		s.cohorts = append(s.cohorts, 2+c*(periods-2)/max(1, cohorts-1))
	}
	s.cohorts = append(s.cohorts, 0)
	return s.draw(1)
}

// peak runs f and returns by how much the heap grew at most, sampled each millisecond.
func peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start, top := m.HeapAlloc, m.HeapAlloc
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapAlloc)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	f()
	close(stop)
	<-done
	return top - start
}

func run(b *testing.B, g GroupTime, f *Frame, o AggregateOptions) {
	work := func() {
		r, err := g.Fit(b.Context(), f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Aggregate(Dynamic, o); err != nil {
			b.Fatal(err)
		}
	}
	grown := peak(work)
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64(grown)/(1<<20), "MiB-peak")
}

// Target: under 0.5 s.
func BenchmarkGroupTime20000x10x6(b *testing.B) {
	run(b, GroupTime{}, benchFrame(20000, 10, 6, 2), AggregateOptions{Bands: Pointwise})
}

// Target: under 1 s and 1 GiB.
func BenchmarkGroupTime100000x10x6(b *testing.B) {
	run(b, GroupTime{}, benchFrame(100000, 10, 6, 2), AggregateOptions{Bands: Pointwise})
}

// Target: under 0.7 s.
func BenchmarkGroupTimeUniformBands(b *testing.B) {
	run(b, GroupTime{}, benchFrame(20000, 10, 6, 2), AggregateOptions{Bands: Uniform, Replicates: 999})
}

// Target: under 0.05 s.
func BenchmarkGroupTimeMunicipalities(b *testing.B) {
	run(b, GroupTime{}, benchFrame(290, 20, 12, 2), AggregateOptions{Bands: Pointwise})
}

func BenchmarkGroupTimeCrossSections(b *testing.B) {
	run(b, GroupTime{RepeatedCrossSection: true}, benchFrame(20000, 10, 6, 2), AggregateOptions{Bands: Pointwise})
}
