//go:build reference

package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/survive"
	"utfall/internal/reftest"
)

func mvadMonths(t *testing.T) (*Months, []int) {
	csv := reftest.ReadCSV(t, "progress", "mvad-sequences", "data.csv")
	m := &Months{States: []string{"EM", "FE", "HE", "JL", "SC", "TR"}, Length: 70}
	m.Level = 0.95
	number := map[string]int8{}
	for j, s := range m.States {
		number[s] = int8(j)
	}
	m.Unit = csv["id"]
	m.Code = make([]int8, len(m.Unit)*m.Length)
	for k := range m.Length {
		for i, s := range csv[fmt.Sprintf("m%02d", k+1)] {
			m.Code[i*m.Length+k] = number[s]
		}
	}
	var group []int
	for _, g := range csv.Floats(t, "gcse5eq") {
		group = append(group, int(g))
	}
	return m, group
}

// TraMineR 2.2-12 as stored: 1e-12 relative for what is printed with 13 digits.
func TestSequencesReference(t *testing.T) {
	var want struct {
		TraMineR struct {
			Entropy     sequenceNumbers `json:"entropy_norm"`
			Transitions sequenceNumbers `json:"transitions"`
			Turbulence  sequenceNumbers `json:"turbulence_type1"`
			Complexity  sequenceNumbers `json:"complexity"`
			Distinct    sequenceNumbers `json:"n_subseq_dss"`
			Distances   map[string]struct {
				First6 [][]float64 `json:"first6"`
				Mean   float64     `json:"mean_all_pairs"`
				Max    float64     `json:"max"`
			} `json:"distances"`
			R2 float64 `json:"discrepancy_R2_OMconst_gcse5eq"`
			F  float64 `json:"discrepancy_pseudoF"`
		} `json:"traminer"`
	}
	reftest.ReadJSON(t, &want, "progress", "mvad-sequences", "expected.json")
	m, group := mvadMonths(t)
	rows, err := DescribeSequences(m)
	require.NoError(t, err)
	w := want.TraMineR
	for name, c := range map[string]struct {
		want sequenceNumbers
		of   func(SequenceRow) float64
	}{
		"entropy":     {w.Entropy, func(r SequenceRow) float64 { return r.Entropy }},
		"transitions": {w.Transitions, func(r SequenceRow) float64 { return float64(r.Transitions) }},
		"turbulence":  {w.Turbulence, func(r SequenceRow) float64 { return r.Turbulence }},
		"complexity":  {w.Complexity, func(r SequenceRow) float64 { return r.Complexity }},
		"distinct":    {w.Distinct, func(r SequenceRow) float64 { return r.Distinct }},
	} {
		mean, least, largest := 0.0, math.Inf(1), math.Inf(-1)
		for i, r := range rows {
			v := c.of(r)
			if i < 10 {
				require.InDelta(t, c.want.First10[i], v, 1e-11, "%s of person %d", name, i+1)
			}
			mean, least, largest = mean+v/float64(len(rows)), min(least, v), max(largest, v)
		}
		if name != "distinct" {
			require.InDelta(t, c.want.Mean, mean, 1e-11, name)
			require.InDelta(t, c.want.Min, least, 1e-11, name)
			require.InDelta(t, c.want.Max, largest, 1e-11, name)
		}
	}
	all := make([]int, len(m.Unit))
	for i := range all {
		all[i] = i
	}
	for name, metric := range map[string]SequenceMetric{"OM_const2_indel1": OptimalMatching, "OM_TRATE_indel1": OptimalMatchingRates, "HAM": Hamming, "DHD": DynamicHamming, "LCS": LongestCommon} {
		d, err := SequenceDistances(m, metric, all, 0)
		require.NoError(t, err)
		n := len(all)
		sum, largest := 0.0, 0.0
		for i := range n {
			for j := range i {
				sum, largest = sum+d[i*n+j], max(largest, d[i*n+j])
			}
		}
		for i := range 6 {
			for j := range 6 {
				require.InDelta(t, w.Distances[name].First6[i][j], d[i*n+j], 1e-8, "%s of %d and %d", name, i+1, j+1)
			}
		}
		require.InDelta(t, w.Distances[name].Mean, sum/float64(n*(n-1)/2), 1e-9, name)
		require.InDelta(t, w.Distances[name].Max, largest, 1e-9, name)
		if metric == OptimalMatching {
			r, err := Discrepancies(d, group, m.Unit, nil, 99, 1, 0)
			require.NoError(t, err)
			require.InDelta(t, w.R2, r.R2, 1e-11)
			require.InDelta(t, w.F, r.F, 1e-8)
			require.Equal(t, 0.01, r.P)
		}
	}
}

type sequenceNumbers struct {
	First10        []float64 `json:"first10"`
	Mean, Min, Max float64
}

// Own numbers of the case (base R and survival): stable exit is the first of 12 months or more of EM, in months from the first
// (here from 0: one less); return is the next JL month.
func TestStableExitReference(t *testing.T) {
	m, group := mvadMonths(t)
	own := Map{"EM": OwnSupport, "FE": "school", "HE": "school", "JL": "office", "SC": "school", "TR": "office"}
	r, err := StableExit{Authority: own, At: []float64{11, 23, 47}}.Fit(t.Context(), m)
	require.NoError(t, err)
	for k, s := range []float64{0.7949438202247, 0.6193820224719, 0.3370786516854} {
		require.InDelta(t, 1-s, r.Estimates[2*k].Value, 1e-12)
		require.Zero(t, r.Estimates[2*k+1].Value, "nobody leaves")
	}
	require.InDelta(t, 0.01819633608904, r.Estimates[2].SE, 1e-12)
	for i := range m.Unit {
		m.Treated = append(m.Treated, group[i] == 1)
	}
	r, err = StableExit{Authority: own, At: []float64{23}}.Fit(t.Context(), m)
	require.NoError(t, err)
	require.InDelta(t, 1-0.5176991150442, r.Estimates[0].Value, 1e-12)
	require.InDelta(t, 1-0.7961538461538, r.Estimates[2].Value, 1e-12)
	m.Treated = nil

	// The case's clock starts with the first month outside JL after one in it: everything else is support of one's own.
	r, err = Return{Authority: Map{"JL": "office", "EM": OwnSupport, "FE": OwnSupport, "HE": OwnSupport, "SC": OwnSupport, "TR": OwnSupport}, At: []float64{12, 24}}.Fit(t.Context(), m)
	require.NoError(t, err)
	require.InDelta(t, 0.180937582964, r.Estimates[0].Value, 1e-11)
	require.InDelta(t, 0.02900315689768, r.Estimates[0].SE, 1e-11)
	require.InDelta(t, 0.2970639009384, r.Estimates[2].Value, 1e-11)
	counts := r.Details["counts"].([]survive.CauseCount)
	require.Equal(t, 72, counts[0].Events)
}
