package study

import (
	"fmt"
	"math"
	"strconv"

	"utfall/cohort"
	"utfall/plots"
	"utfall/table"
)

// drawnBins is about how many bins a distribution is drawn with.
const drawnBins = 24

// distributions releases what the figures of the score and of the covariate that
// differed most draw: rounded counts in bins that hold enough people of each group,
// before and after the design.
func (s *state) distributions(a *assembled, b *built) error {
	if b.score != nil {
		d, err := s.binned(b, table.Floats{Values: b.score})
		if err != nil {
			return fmt.Errorf("cohort %s: score: %w", b.spec.Name, err)
		}
		if d != nil {
			d.XLabel = s.label("distance")
			a.scores[b.spec.Name] = d
		}
	}
	name, worst := "", 0.0
	for _, row := range b.balance.Rows {
		if v := math.Abs(row.Before.SMD); row.Kind == cohort.NumberRow && !row.Binary && v > worst {
			name, worst = row.Column, v
		}
	}
	if name == "" {
		return nil
	}
	x, err := b.before.Float(name)
	if err != nil {
		return err
	}
	d, err := s.binned(b, x)
	if err != nil {
		return fmt.Errorf("cohort %s: %s: %w", b.spec.Name, name, err)
	}
	if d != nil {
		d.XLabel = s.derivedLabel(name)
		a.covariates[b.spec.Name] = d
	}
	return nil
}

// binned counts people by bins of x; nil where too few people are there for two bins.
func (s *state) binned(b *built, x table.Floats) (*plots.DistributionData, error) {
	edges := niceEdges(x)
	if edges == nil {
		return nil, nil
	}
	d := cohort.Spec{Treatment: b.spec.Treatment, ID: b.spec.ID, Workers: s.o.Workers}
	bins, err := cohort.CountBins(b.before, d, x, b.full, edges)
	if err != nil {
		return nil, err
	}
	least := s.policy.Threshold()
	bins = bins.Merge(func(n cohort.Bin) bool {
		return min(n.TreatedBefore, n.ControlBefore, n.TreatedAfter, n.ControlAfter) >= least
	})
	if len(bins.Bins) < 2 {
		return nil, nil
	}
	out := &plots.DistributionData{Edges: bins.Edges, After: &plots.Binned{}}
	for _, n := range bins.Bins {
		for _, c := range []struct {
			to *[]float64
			v  float64
		}{
			{&out.Before.Treated, float64(n.TreatedBefore)}, {&out.Before.Control, float64(n.ControlBefore)},
			{&out.After.Treated, n.WeightTreated}, {&out.After.Control, n.WeightControl},
		} {
			shown, ok := s.policy.Count(int(math.Round(c.v))).Int()
			if !ok {
				return nil, nil // weights make of enough people too few: nothing is drawn
			}
			*c.to = append(*c.to, float64(shown))
		}
	}
	return out, nil
}

// niceEdges are the edges of about drawnBins bins of a round width that hold every
// value; they lie at multiples of the width, so that no person's value is one. Nil
// where the values do not vary.
func niceEdges(x table.Floats) []float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, v := range x.Values {
		if x.Has(i) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if !(lo < hi) {
		return nil
	}
	raw := (hi - lo) / drawnBins
	scale := math.Pow(10, math.Floor(math.Log10(raw)))
	width := 10 * scale
	for _, m := range []float64{1, 2, 5} {
		if m*scale >= raw {
			width = m * scale
			break
		}
	}
	from, to := math.Floor(lo/width), math.Floor(hi/width)+1
	var out []float64
	for k := from; k <= to; k++ {
		edge, _ := strconv.ParseFloat(strconv.FormatFloat(k*width, 'g', 12, 64), 64) // -4.6 and not -4.6000000000000005
		out = append(out, edge)
	}
	out[0], out[len(out)-1] = min(out[0], lo), max(out[len(out)-1], hi)
	return out
}
