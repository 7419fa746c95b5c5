package effect

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// ClusterBootstrap is [Difference] with its error from resampling clusters: in each
// replicate G of the G clusters of f.Cluster are drawn with replacement, all rows of a
// drawn cluster with them, and
//
//	θ* = Σm_gA_g/Σm_ga_g - Σm_gB_g/Σm_gb_g
//
// where m_g counts the draws of cluster g and A, a (B, b) are its sums of w·y and w over
// the treated (comparison) rows: a replicate costs G, whatever the rows. SE is the
// standard deviation of θ* (divisor Replicates - 1), the interval θ̂ ± z·SE.
//
// Clusters must hold whole matched sets for the matching to be resampled with its
// people; the matches themselves are kept (Abadie and Spiess 2022). Details beside
// those of Difference: bootstrap {replicates, bias, percentile_low, percentile_high}.
// Replicates without weight in an arm are left out: note "bootstrap-replicates-empty".
//
// Errors: those of Difference; [ErrOption] (no clusters, fewer than 99 replicates),
// [estimate.ErrNotIdentified] (more than a tenth of the replicates without an arm).
type ClusterBootstrap struct {
	Estimand   string // as in Difference
	Replicates int    // 0 = 999
	Seed       uint64
	Workers    int // never changes the result; < 1 means all processors
}

var _ estimate.Estimator = ClusterBootstrap{}

// Fit implements [estimate.Estimator].
func (b ClusterBootstrap) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := b.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("cluster bootstrap: %w", err)
	}
	return res, nil
}

func (b ClusterBootstrap) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if b.Replicates == 0 {
		b.Replicates = 999
	}
	if b.Replicates < 99 || b.Replicates > 1<<22 {
		return nil, fmt.Errorf("%w: %d replicates; between 99 and %d", ErrOption, b.Replicates, 1<<22)
	}
	if f.Cluster == nil {
		return nil, fmt.Errorf("%w: a cluster bootstrap needs clusters", ErrOption)
	}
	res, err := Difference{Vcov: CR0, Estimand: b.Estimand}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	use, _, _, err := usableSets(f)
	if err != nil {
		return nil, err
	}
	s, err := newSample(f, use)
	if err != nil {
		return nil, err
	}
	codes, g := ranked(s.codes(f.Cluster))
	sums := make([]float64, 4*g)
	for i, r := range s.rows {
		at := 4 * codes[i]
		if !f.Treated[r] {
			at += 2
		}
		w := 1.0
		if s.weight != nil {
			w = s.weight[i]
		}
		sums[at] += float64(w * s.y[i])
		sums[at+1] += w
	}
	draws := make([]float64, b.Replicates)
	num.ForEach((b.Replicates+63)/64, b.Workers, func(block int) {
		for rep := block * 64; rep < min(block*64+64, b.Replicates); rep++ {
			stream := num.NewStream(b.Seed, "cluster bootstrap", uint64(rep))
			var t [4]float64
			for range g {
				at := sums[4*stream.Intn(g):][:4]
				for j, v := range at {
					t[j] += v
				}
			}
			draws[rep] = t[0]/t[1] - t[2]/t[3] // NaN without weight in an arm
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.result(res, f, draws, g)
}

// result replaces error, interval and test.
func (b ClusterBootstrap) result(res *estimate.Result, f *estimate.Frame, draws []float64, g int) (*estimate.Result, error) {
	kept := slices.DeleteFunc(slices.Clone(draws), math.IsNaN)
	empty := len(draws) - len(kept)
	if 10*empty > len(draws) {
		return nil, fmt.Errorf("%w: %d of %d replicates have no treated or no comparison cluster", estimate.ErrNotIdentified, empty, len(draws))
	}
	if empty > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "bootstrap-replicates-empty",
			Text: fmt.Sprintf("%d of %d bootstrap replicates drew no treated or no comparison cluster and are left out: the error is uncertain.", empty, len(draws)),
			Args: map[string]any{"replicates": len(draws), "empty": empty}})
	}
	n := float64(len(kept))
	mean := num.Sum(kept) / n
	ss := 0.0
	for _, v := range kept {
		ss += float64((v - mean) * (v - mean))
	}
	e := res.Estimates[0]
	se := math.Sqrt(ss / (n - 1))
	res.Method = "cluster-bootstrap"
	res.Estimates[0] = estimate.Wald(e.Term, e.Measure, e.Value, se, math.Inf(1), f.Level)
	res.Estimates[0].CI.Method = "bootstrap-normal"
	res.Cov = one(se * se)
	slices.Sort(kept)
	at := func(p float64) float64 { // type 7
		h := p * (n - 1)
		i := min(int(h), len(kept)-2)
		return kept[i] + float64((h-float64(i))*(kept[i+1]-kept[i]))
	}
	res.Details["vcov"] = fmt.Sprintf("bootstrap of %d clusters, standard deviation of %d replicates; normal", g, len(kept))
	res.Details["bootstrap"] = map[string]any{"replicates": len(kept), "bias": mean - e.Value,
		"percentile_low": at((1 - f.Level) / 2), "percentile_high": at((1 + f.Level) / 2)}
	return res, nil
}
