//go:build reference

package progress

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// Reference: ordinal 2022.11.16, case progress/insomnia-two-wave: two waves of cumulative logit under independence, and the test that the
// interaction's odds ratio is the same at all steps. The case's cluster errors are of the observed information without a factor.
func TestStepOddsReference(t *testing.T) {
	d := reftest.ReadCSV(t, "progress", "insomnia-two-wave", "data.csv")
	treat, initial, followup, count := d.Floats(t, "treat"), d.Floats(t, "initial"), d.Floats(t, "followup"), d.Floats(t, "count")
	f := &estimate.Frame{Level: .95}
	var x []float64
	person := 0
	for i := range count {
		for range int(count[i]) {
			for wave, y := range []float64{initial[i], followup[i]} {
				// The case models P(Y ≤ j): fast sleep is high here.
				f.Unit, f.Y = append(f.Unit, fmt.Sprintf("p%03d-%d", person, wave)), append(f.Y, 5-y)
				f.Treated = append(f.Treated, wave == 1 && treat[i] == 1)
				x = append(x, float64(wave), treat[i])
				f.Cluster = append(f.Cluster, person)
			}
			person++
		}
	}
	f.X, f.XNames = mat.NewDense(len(f.Y), 2, x), []string{"occasion", "treat"}
	c, err := StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	reftest.Agree(t, "interaction", c.Estimates[0].Value, 0.7077589112, 6)
	reftest.Agree(t, "cluster error", c.Estimates[0].SE, 0.24342321179, 2.5)
	f.Cluster = nil
	r, err := StepOdds{}.Fit(t.Context(), f)
	require.NoError(t, err)
	reftest.Agree(t, "log likelihood", r.Details["loglik"].([]float64)[0], -620.9941700301, 10)
	h := r.Details["proportional_odds"].(Heterogeneity)
	reftest.Agree(t, "likelihood ratio", h.Statistic, 7.7032379024, 7)
	reftest.Agree(t, "p", h.P, 0.021245313456, 6)
}
