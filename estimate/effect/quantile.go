package effect

import (
	"fmt"

	"utfall/estimate"
)

func checkQuantiles(q []float64) error {
	for _, p := range q {
		if !(p > 0 && p < 1) {
			return fmt.Errorf("%w: a quantile must be strictly between 0 and 1", ErrOption)
		}
	}
	return nil
}

func (c *causal) quantiles(res *estimate.Result, estimand string, ps *model, h []tilted, at []float64) error {
	return nil
}
