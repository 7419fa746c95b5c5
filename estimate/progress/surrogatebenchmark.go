package progress

import (
	"math"

	"utfall/estimate"
)

// SurrogateBenchmark is details.benchmark: the interval of the forecast if it errs by as much, to either side, as the forecast for the
// older cohort did (Bias, |long-term less index| of details.truth), and by twice as much. Breakdown is how many times as much it takes
// for the interval to reach 0: 0 where it does so already, nil where the forecast for the older cohort did not err.
type SurrogateBenchmark struct {
	Sample    string     `json:"sample"`
	Bias      float64    `json:"bias"`
	Once      [2]float64 `json:"once"`
	Twice     [2]float64 `json:"twice"`
	Breakdown *float64   `json:"breakdown"`
}

// benchmark holds a forecast against the error of an older one.
func benchmark(e estimate.Estimate, truth SurrogateTruth) SurrogateBenchmark {
	b := SurrogateBenchmark{Sample: truth.Sample, Bias: math.Abs(truth.Difference)}
	b.Once, b.Twice = [2]float64{e.CI.Lo - b.Bias, e.CI.Hi + b.Bias}, [2]float64{e.CI.Lo - 2*b.Bias, e.CI.Hi + 2*b.Bias}
	near := 0.0
	if !covers(e) {
		near = min(math.Abs(e.CI.Lo), math.Abs(e.CI.Hi))
	}
	if k := near / b.Bias; near == 0 {
		b.Breakdown = &near
	} else if !math.IsInf(k, 0) {
		b.Breakdown = &k
	}
	return b
}
