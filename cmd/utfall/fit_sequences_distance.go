package main

import (
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// fitDistances are the flags of sequences for distances between people.
type fitDistances struct {
	metric       string
	permutations int
	seed         uint64
}

// mostDistances bounds the table of distances, which grows with the square of the people.
const mostDistances = 5000

// distanceNames are the values of --distance.
func distanceNames() map[string]progress.SequenceMetric {
	return map[string]progress.SequenceMetric{"ham": progress.Hamming, "dhd": progress.DynamicHamming, "lcs": progress.LongestCommon, "om": progress.OptimalMatching, "omtr": progress.OptimalMatchingRates}
}

func (d *fitDistances) flags(f *flagSet) {
	f.text(&d.metric, "distance", "", "between two people's months: `ham` (Hamming), dhd (dynamic Hamming), lcs (longest common subsequence), om (optimal matching, substitution 2), omtr (with transition rates); with --treatment how much of it goes with the group")
	f.whole(&d.permutations, "permutations", 999, "of the groups, within --cluster where that is given; 0 = no test")
	f.seed(&d.seed, "of the permutations")
}

func (d *fitDistances) check(f *flagSet, weights string) (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if d.metric == "" {
		for _, n := range []string{"permutations", "seed"} {
			if f.given(n) {
				bad("--%s goes with --distance", n)
			}
		}
		return problems
	}
	problems = append(problems, oneOf("distance", d.metric, "ham", "dhd", "lcs", "om", "omtr")...)
	if d.permutations != 0 && d.permutations < 99 {
		bad("--permutations must be 0 or at least 99")
	}
	if weights != "" {
		bad("--distance takes people as they are: --weights is not used")
	}
	return problems
}

// add puts distances and the discrepancy into the output. Only those who are observed in all months have a distance.
func (d *fitDistances) add(m *progress.Months, workers int, out *fitOutput) error {
	var rows []int
	for i := range m.Unit {
		if !slices.Contains(m.Code[i*m.Length:(i+1)*m.Length], -1) {
			rows = append(rows, i)
		}
	}
	if gone := len(m.Unit) - len(rows); gone > 0 {
		out.notes = append(out.notes, table.Note{Code: "distance-needs-all-months", Args: map[string]any{"persons": gone}, Text: fmt.Sprintf("%d people are not observed in every month and have no distance.", gone)})
	}
	if len(rows) < 2 || len(rows) > mostDistances {
		return fmt.Errorf("%w: %d people are observed in every month; distances need 2 to %d: take a sample with --where", estimate.ErrTooFew, len(rows), mostDistances)
	}
	distance, err := progress.SequenceDistances(m, distanceNames()[d.metric], rows, workers)
	if err != nil {
		return err
	}
	n := len(rows)
	sum, largest := 0.0, 0.0
	for a := range n {
		for b := range a {
			sum, largest = sum+distance[a*n+b], max(largest, distance[a*n+b])
		}
	}
	details := map[string]any{"metric": d.metric, "people": n, "mean": sum / float64(n*(n-1)/2), "largest": largest}
	out.details["distance"] = details
	if m.Treated == nil {
		return nil
	}
	group, unit := make([]int, n), make([]string, n)
	var block []int
	for k, i := range rows {
		unit[k] = m.Unit[i]
		if m.Treated[i] {
			group[k] = 1
		}
		if m.Cluster != nil {
			block = append(block, m.Cluster[i])
		}
	}
	e := nullEstimate("discrepancy", "discrepancy-r2")
	if why := noDiscrepancy(group, largest); why != "" {
		out.estimates = append(out.estimates, e)
		out.notes = append(out.notes, table.Note{Code: "no-discrepancy", Args: map[string]any{"why": why}, Text: "How much of the distances goes with the group cannot be said: " + why + "."})
		return nil
	}
	r, err := progress.Discrepancies(distance, group, unit, block, d.permutations, d.seed, workers)
	if err != nil {
		return err
	}
	e.Value, e.Test.Stat, e.Test.P = r.R2, r.F, r.P
	out.estimates = append(out.estimates, e)
	details["total"], details["within"], details["permutations"] = r.Total, r.Within, d.permutations
	return nil
}

// noDiscrepancy says why groups have nothing to share out; the other numbers stand.
func noDiscrepancy(group []int, largest float64) string {
	switch {
	case !slices.Contains(group, 0):
		return "no comparison person is observed in every month"
	case !slices.Contains(group, 1):
		return "no participant is observed in every month"
	case largest == 0:
		return "everybody has the same months"
	}
	return ""
}
