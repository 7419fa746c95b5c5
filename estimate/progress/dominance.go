package progress

import (
	"encoding/json"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// LargestShareDifference is the largest difference of two groups in the share at or below a step.
const LargestShareDifference estimate.Measure = "largest-share-difference"

// dominanceSize is the level of the test of dominance.
const dominanceSize = 0.05

// A Dominance is a row of details.dominance: first-order dominance of the participants' steps at a
// time, with δ_k = P(Y1 ≤ k) − P(Y0 ≤ k) for the steps k below the highest. If it is shown, any increasing
// points for the steps give participants a higher mean.
type Dominance struct {
	Time float64 `json:"time"`
	// Largest is D = max over steps k of δ_k; dominance is at most 0.
	Largest float64 `json:"largest_difference"`
	// Low and High hold D at least as often as the level of the spells says.
	Low  float64 `json:"conf_low"`
	High float64 `json:"conf_high"`
	// Bound is the max over steps of difference + 1.645 standard errors.
	Bound float64 `json:"upper_bound"`
	// Stat is max_k δ_k/se_k, and P = Φ(Stat) the p-value of the intersection–union test of D ≥ 0. Where a
	// step has no error P is 1, and Stat, Low and High are NaN.
	Stat  float64 `json:"statistic"`
	P     float64 `json:"p_value"`
	Holds bool    `json:"holds"` // in the estimates
	Shown bool    `json:"shown"` // by the test at 5%
	// AtOrBelow is, in the comparison group and among participants, the share at or below the step where the
	// difference is largest.
	AtOrBelow [2]float64 `json:"-"`
}

// Estimate is D with its interval and the one-sided test of D ≥ 0; the largest of several differences has no
// standard error.
func (d Dominance) Estimate(term string, level float64) estimate.Estimate {
	e := estimate.Estimate{Term: term, Measure: LargestShareDifference, Value: d.Largest, SE: math.NaN(), CI: noInterval(), Test: noTest()}
	if !math.IsNaN(d.Stat) {
		e.CI = estimate.Interval{Lo: d.Low, Hi: d.High, Level: level, Method: "intersection-union"}
		e.Test = estimate.Test{Stat: d.Stat, DF: math.Inf(1), P: d.P}
	}
	return e
}

// MarshalJSON writes a statistic or limit that does not exist as null.
func (d Dominance) MarshalJSON() ([]byte, error) {
	type plain Dominance
	return json.Marshal(struct {
		plain
		Low  *float64 `json:"conf_low"`
		High *float64 `json:"conf_high"`
		Stat *float64 `json:"statistic"`
	}{plain(d), orNull(d.Low), orNull(d.High), orNull(d.Stat)})
}

// dominance compares the distribution of steps at each time.
func (c *contrast) dominance(at, se []float64, level float64) []Dominance {
	var out []Dominance
	for a, t := range at {
		from := c.reported() + a*len(c.cuts)
		if len(c.cuts) == 0 || math.IsNaN(c.value[from]) {
			continue // one step, or the time lies beyond follow-up; a note says so
		}
		d := dominance(c.value[from:from+len(c.cuts)], se[from:from+len(c.cuts)], level)
		d.Time = t
		for arm, o := range c.arms {
			k, K := c.index[arm][a], len(o.States)
			for j := range K {
				if c.ladders[0][j] <= c.cuts[d.cut] {
					d.AtOrBelow[arm] += o.P[k*K+j]
				}
			}
		}
		out = append(out, d.Dominance)
	}
	return out
}

// atCut is a dominance with the number of the difference that is largest.
type atCut struct {
	Dominance
	cut int
}

// dominance tests whether every difference lies below 0.
func dominance(value, se []float64, level float64) atCut {
	d := atCut{Dominance: Dominance{Largest: math.Inf(-1), Bound: math.Inf(-1), Low: math.Inf(-1), High: math.Inf(-1), Stat: math.Inf(-1)}}
	tested := 0
	for _, s := range se {
		if s > 0 {
			tested++
		}
	}
	alpha := 1 - level
	lower, upper := num.NormalQuantile(1-alpha/2/float64(max(tested, 1))), num.NormalQuantile(1-alpha/2)
	size := num.NormalQuantile(1 - dominanceSize)
	below := false
	for k, v := range value {
		if v > d.Largest {
			d.Largest, d.cut = v, k
		}
		below = below || v < 0
		d.Bound, d.High = max(d.Bound, v+float64(size*se[k])), max(d.High, v+float64(upper*se[k]))
		if se[k] > 0 {
			d.Low, d.Stat = max(d.Low, v-float64(lower*se[k])), max(d.Stat, v/se[k])
		}
	}
	d.Holds = below && d.Largest <= 0
	d.P = num.NormalTail(d.Stat) / 2
	if d.Stat > 0 {
		d.P = 1 - d.P
	}
	if tested < len(value) {
		d.Stat, d.P, d.Low, d.High = math.NaN(), 1, math.NaN(), math.NaN()
	}
	d.Shown = d.P < dominanceSize
	return d
}
