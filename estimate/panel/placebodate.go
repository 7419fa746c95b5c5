package panel

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// PlaceboDate is the effect that would be found if every cohort had entered so many periods earlier, from periods before its treatment only:
// with b its base period and c the period so many before b,
//
//	cohort g:  mean over c < t ≤ b of ATT(g,t) - ATT(g,c)        placebo-date=N: mean over cohorts, weighted by p[g]
//
// The comparison units are those of ATT(g,c) and ATT(g,t): untreated until b. The standard error has the errors of the cells, jointly, and that of the
// shares p[g]; normal. An effect that is not 0 is a trend that differs, or anticipation. Cohorts without a period c are left out.
//
// Errors: [ErrOption]; [ErrNoReference] with base "varying"; [estimate.ErrNotIdentified] when no cohort has so many periods before its base.
//
// counts has the treated units of the cohorts that take part and, as Units, these and the fewest comparison units of a cell.
func (r *GroupTimeResult) PlaceboDate(earlier int) (e estimate.Estimate, counts estimate.Counts, err error) {
	if e, counts, err = r.placeboDate(earlier); err != nil {
		return e, counts, fmt.Errorf("placebo date: %w", err)
	}
	return e, counts, nil
}

func (r *GroupTimeResult) placeboDate(earlier int) (none estimate.Estimate, n estimate.Counts, err error) {
	switch {
	case earlier < 1:
		return none, n, fmt.Errorf("%w: %d periods earlier; at least 1 is needed", ErrOption, earlier)
	case r.Options.Base != Universal:
		return none, n, fmt.Errorf("%w: base %s gives steps; use base universal", ErrNoReference, r.Options.Base)
	}
	l := r.layout
	type cohort struct {
		at    int // index
		value float64
		cells []int
		times []float64
	}
	var cohorts []cohort
	for c := range l.cohorts {
		one := cohort{at: c}
		whole := false
		for i, x := range r.index {
			if x.cohort != c || !r.Cells[i].Identified() {
				continue
			}
			w := 0.0
			switch from := x.base - earlier; {
			case x.period == from:
				w, whole = -1, true
			case x.period > from && x.period <= x.base:
				w = 1 / float64(earlier)
			}
			if w != 0 {
				one.cells, one.times = append(one.cells, i), append(one.times, w)
				one.value += float64(w * r.Cells[i].ATT)
			}
		}
		if whole && len(one.cells) == earlier+1 {
			cohorts = append(cohorts, one)
		}
	}
	if len(cohorts) == 0 {
		return none, n, fmt.Errorf("%w: no cohort has %d periods before its base period", estimate.ErrNotIdentified, earlier)
	}
	weight, total, value := l.cohortWeight(), 0.0, 0.0
	for _, c := range cohorts {
		total += weight[c.at]
	}
	control := l.n
	inf := make([]float64, l.n)
	for _, c := range cohorts {
		share := weight[c.at] / total
		value += float64(share * c.value)
		n.Treated += l.start[c.at+1] - l.start[c.at]
		for a, i := range c.cells {
			if !r.Cells[i].Reference {
				control = min(control, r.Cells[i].Control)
			}
			r.Influence(i, share*c.times[a], inf)
		}
	}
	for _, c := range cohorts {
		for p := l.start[c.at]; p < l.start[c.at+1]; p++ {
			inf[p] += float64((c.value - value) / total * l.w[0][p])
		}
	}
	sums := inf
	if l.cluster != nil {
		sums = l.clusterSums([]span{{0, l.n}}, inf)
	}
	v := mat.NewVecDense(len(sums), sums)
	n.Units, n.Clusters = n.Treated+control, l.clusters
	return estimate.Wald(fmt.Sprintf("placebo-date=%d", earlier), estimate.MeanDifference, value, math.Sqrt(mat.Dot(v, v)), math.Inf(1), r.Level), n, nil
}
