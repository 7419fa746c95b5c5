package main

import (
	"fmt"
	"runtime"

	"utfall/cohort"
	"utfall/table"
)

// largeJob is the memory from which a job is announced with what it will take.
const largeJob = 256 << 20

// memory is what the design says that it will need beside the data; 0 = it does not say.
func (m *fitMatch) memory(d *fitData) int64 {
	s, _ := m.spec()
	design, err := s.Matcher()
	if err != nil {
		return 0
	}
	estimator, ok := design.(interface {
		MemoryEstimate(*table.Table, cohort.Spec) (int64, error)
	})
	if !ok {
		return 0
	}
	n, err := estimator.MemoryEstimate(d.t, cohort.Spec{Treatment: m.treatment, Covariates: m.covariates, Score: m.score})
	if err != nil {
		return 0 // the fit says what is wrong
	}
	return n
}

// announce says on stderr what a large job will take.
func (a *app) announce(m fitMethod, d *fitData) {
	large, ok := m.(interface{ memory(*fitData) int64 })
	if !ok || a.quiet {
		return
	}
	a.large(d.t.Rows(), large.memory(d))
}

// large says on stderr what a job of so many units needs, where that is much.
func (a *app) large(units int, bytes int64) {
	if bytes < largeJob {
		return
	}
	var held runtime.MemStats
	runtime.ReadMemStats(&held)
	fmt.Fprintf(a.err, "utfall: %d units: this needs about %d MiB of memory beside the %d MiB held now\n", units, bytes>>20, held.HeapAlloc>>20)
}
