//go:build reference

package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

func prodige(t *testing.T) *PairSample {
	csv := reftest.ReadCSV(t, "progress", "prioritised-gpc", "data.csv")
	s := &PairSample{Outcomes: []Outcome{
		{Name: "OS", Value: csv.Floats(t, "OS"), Threshold: 0.5},
		{Name: "toxicity", Value: csv.Floats(t, "toxicity"), Threshold: 2, Lower: true},
	}}
	s.Unit, s.Level = csv["id"], 0.95
	for i, a := range csv["treatment"] {
		s.Treated = append(s.Treated, a == "T")
		s.Outcomes[0].Event = append(s.Outcomes[0].Event, csv["statusOS"][i] == "1")
	}
	return s
}

// BuyseTest 3.3.3, Péron scoring, open horizon. One participant died at .581 and one comparison person at 1.081, the threshold of .5
// apart: BuyseTest counts such a difference as decided where both died and as undecided where it reads a curve at that time; here it is decided
// in both. (Reading the curve after its fall gives BuyseTest's numbers to 10 digits.) Its error is .07 % larger; ours is the derivative by the
// persons' weights (tested).
func TestPrioritisedPairsReference(t *testing.T) {
	r, err := PrioritisedPairs{Horizon: math.Inf(1)}.Fit(t.Context(), prodige(t))
	require.NoError(t, err)
	const pairs = 421 * 402
	l := r.Details["levels"].([]OutcomeLevel)
	reftest.Agree(t, "won", l[0].Won*pairs, 85352.2053661771, 12)
	reftest.Agree(t, "lost", l[0].Lost*pairs, 67658.4381724781, 5)
	reftest.Agree(t, "won then", l[1].Won*pairs, 761.7340437225, 3.9)
	reftest.Agree(t, "lost then", l[1].Lost*pairs, 1676.190428828, 5)
	reftest.Agree(t, "benefit", r.Estimates[2].Value, 0.099143893411, 4.8)
	reftest.Agree(t, "error", r.Estimates[2].SE, 0.04363755457, 3.1)
	reftest.Agree(t, "ratio", r.Estimates[3].Value, 1.2420047694, 5)
	reftest.Agree(t, "ratio error", r.Estimates[3].SE, 0.11912669742, 3)
}
