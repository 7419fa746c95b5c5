package cohort

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Risk sets of 200,000 people over a year: 20 draws, and everybody at risk.
func BenchmarkRiskSets(b *testing.B) {
	rows := randomRegister(1, 200_000)
	kept := rows.participations[:0]
	for i, p := range rows.participations {
		if i%20 == 0 {
			kept = append(kept, p)
		}
	}
	rows.participations = kept
	r := rows.tables(b)
	for _, k := range []int{20, 0} {
		timing := riskTiming
		timing.Draws, timing.LookBack = draws(k), []int{6, 24}
		b.Run(fmt.Sprintf("draws=%d", k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				made, err := BuildDesign(r, timing, nil, 1, 0)
				require.NoError(b, err)
				b.ReportMetric(float64(made.Table.Rows()), "units")
			}
		})
	}
}
