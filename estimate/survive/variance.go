package survive

import (
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// maxCovariance is the number of estimates up to which the joint covariance is stored.
const maxCovariance = 256

// Covariance returns Σ_i IF_iᵀ·IF_i over the rows of an influence function in the
// given order, or with clusters G/(G−1)·Σ_c (Σ_{i∈c} IF_i)ᵀ(Σ_{i∈c} IF_i), and the
// number of clusters. Clusters are numbered from 0; order fixes the order of the sums.
// With one cluster the variance does not exist: [estimate.ErrTooFew].
func Covariance(inf *mat.Dense, order []int32, cluster []int, workers int) (*mat.SymDense, int, error) {
	rows, groups, err := clusterRows(inf, order, cluster)
	if err != nil {
		return nil, 0, err
	}
	_, m := inf.Dims()
	acc := num.SumChunks(len(rows), m*(m+1)/2, workers, func(lo, hi int, acc []float64) {
		for _, x := range rows[lo:hi] {
			at := 0
			for a, xa := range x {
				if xa == 0 { // most rows are 0 in the columns of the other groups
					at += m - a
					continue
				}
				for b := a; b < m; b++ {
					acc[at] += float64(xa * x[b])
					at++
				}
			}
		}
	})
	cov := mat.NewSymDense(m, nil)
	at := 0
	for a := range m {
		for b := a; b < m; b++ {
			cov.SetSym(a, b, acc[at]*clusterFactor(groups))
			at++
		}
	}
	return cov, groups, nil
}

// variances returns the diagonal of [Covariance].
func variances(inf *mat.Dense, order []int32, cluster []int, workers int) ([]float64, int, error) {
	rows, groups, err := clusterRows(inf, order, cluster)
	if err != nil {
		return nil, 0, err
	}
	_, m := inf.Dims()
	v := num.SumChunks(len(rows), m, workers, func(lo, hi int, acc []float64) {
		for _, x := range rows[lo:hi] {
			for a, xa := range x {
				acc[a] += float64(xa * xa)
			}
		}
	})
	for a := range v {
		v[a] *= clusterFactor(groups)
	}
	return v, groups, nil
}

func clusterFactor(groups int) float64 {
	if groups == 0 {
		return 1
	}
	return float64(groups) / float64(groups-1)
}

// clusterRows are the rows to square: those of inf in order, or their sums by
// cluster, clusters in the order of their first row.
func clusterRows(inf *mat.Dense, order []int32, cluster []int) ([][]float64, int, error) {
	_, m := inf.Dims()
	if cluster == nil {
		rows := make([][]float64, len(order))
		for r, i := range order {
			rows[r] = inf.RawRowView(int(i))
		}
		return rows, 0, nil
	}
	number := map[int]int{}
	var rows [][]float64
	for _, i := range order {
		c, ok := number[cluster[i]]
		if !ok {
			c = len(rows)
			number[cluster[i]] = c
			rows = append(rows, make([]float64, m))
		}
		for a, x := range inf.RawRowView(int(i)) {
			rows[c][a] += x
		}
	}
	if len(rows) < 2 {
		return nil, 0, fmt.Errorf("%w: %d cluster; a clustered standard error needs 2 or more", estimate.ErrTooFew, len(rows))
	}
	return rows, len(rows), nil
}

func vcovName(groups int) string {
	if groups == 0 {
		return "influence"
	}
	return "influence, clustered, factor G/(G-1)"
}

// Logit returns the interval of a probability on the logit scale,
// p·e^{±u}/(1−p+p·e^{±u}) with u = z·se/(p(1−p)); at p = 0 or 1 there is none.
func Logit(p, se, level float64) estimate.Interval {
	ci := estimate.Interval{Lo: math.NaN(), Hi: math.NaN(), Level: level, Method: "logit"}
	if !(p > tiny && p < 1-tiny) || math.IsNaN(se) {
		ci.Level = 0
		return ci
	}
	u := num.StudentQuantile(level, math.Inf(1)) * se / (p * (1 - p))
	// Odds e^{∓u} on each side, written so that neither end overflows.
	ci.Lo = p / (p + (1-p)*math.Exp(u))
	ci.Hi = 1 / (1 + (1-p)/p*math.Exp(-u))
	return ci
}

// level builds the estimate of a quantity for which a test of 0 has no meaning.
func level(term string, m estimate.Measure, value, se float64, ci estimate.Interval) estimate.Estimate {
	return estimate.Estimate{
		Term: term, Measure: m, Value: value, SE: se, CI: ci,
		Test: estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()},
	}
}

// FormatTime writes a time as terms have it: the shortest text that reads back as the same number.
func FormatTime(t float64) string { return strconv.FormatFloat(t, 'f', -1, 64) }

func checkTimes(at []float64) error {
	seen := make(map[float64]bool, len(at))
	for _, t := range at {
		switch {
		case math.IsNaN(t) || math.IsInf(t, 0) || t < 0:
			return fmt.Errorf("times to report must be finite and at least 0, got %v", t)
		case seen[t]:
			return fmt.Errorf("time %v is asked for twice", t)
		}
		seen[t] = true
	}
	return nil
}

func weightNote(w estimate.Weights) []table.Note {
	if w.Kind != estimate.Sampling && w.Kind != estimate.Matching {
		return nil
	}
	return []table.Note{{
		Code: "weights-fixed",
		Text: "Standard errors take the weights as known; the step that estimated them is not in them.",
		Args: map[string]any{"kind": string(w.Kind)},
	}}
}
