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

// splitting says how units are split for cross-fitting.
type splitting struct {
	folds, repeats int
	seed           uint64
}

// Repeat is one split of the units: its first estimate and standard error.
type Repeat struct {
	Repeat   int     `json:"repeat"` // from 1
	Estimate float64 `json:"estimate"`
	StdError float64 `json:"std_error"`
}

// nuisanceSpec is one split: the fold of each row; nil for no split.
type nuisanceSpec struct {
	fold  []int
	folds int
}

// split runs an estimator once without folds, or once for each repeat and takes the
// median.
func (c *causal) split(ctx context.Context, s splitting, o *causalOptions, run func(*nuisanceSpec) (*potential, error)) (*estimate.Result, error) {
	if s.folds == 0 {
		if s.repeats != 0 || s.seed != 0 {
			return nil, fmt.Errorf("%w: repeats and seed go with folds", ErrOption)
		}
		p, err := run(&nuisanceSpec{})
		if err != nil {
			return nil, err
		}
		return c.result(o, p)
	}
	if s.repeats == 0 {
		s.repeats = 5
	}
	if s.folds < 2 || s.repeats < 1 || s.repeats%2 == 0 {
		return nil, fmt.Errorf("%w: folds must be at least 2 and repeats an odd number", ErrOption)
	}
	results := make([]*estimate.Result, s.repeats)
	notes := slices.Clone(c.notes)
	for r := range results {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		fold, err := c.fold(s, uint64(r))
		if err != nil {
			return nil, err
		}
		c.notes = slices.Clone(notes)
		p, err := run(&nuisanceSpec{fold: fold, folds: s.folds})
		if err != nil {
			return nil, fmt.Errorf("without one of %d folds: %w", s.folds, err)
		}
		if results[r], err = c.result(o, p); err != nil {
			return nil, err
		}
	}
	return c.median(s, results), nil
}

// fold assigns rows to folds: in each arm in turn, in the order of the keyed hash of
// their unit, so that every fold has its share of both. Rows of a cluster go together,
// in the order of the smallest hash in the cluster.
func (c *causal) fold(s splitting, repeat uint64) ([]int, error) {
	key := num.NewStream(s.seed, "cross-fitting", repeat).Uint64()
	hash := make([]uint64, c.n)
	for i, r := range c.rows {
		hash[i] = num.KeyedHash(key, c.frame.Unit[r])
	}
	fold := make([]int, c.n)
	if c.cluster != nil {
		least := least(hash, c.cluster, c.tally.Clusters)
		if s.folds > len(least) {
			return nil, fmt.Errorf("%w: %d folds for %d clusters", estimate.ErrTooFew, s.folds, len(least))
		}
		place := make([]int, len(least))
		for at, g := range num.OrderKeys(least) {
			place[g] = at % s.folds
		}
		for i, g := range c.cluster {
			fold[i] = place[g]
		}
		return fold, nil
	}
	next := [2]int{}
	for _, i := range num.OrderKeys(hash) {
		a := index(c.treated[i])
		fold[i] = next[a] % s.folds
		next[a]++
	}
	if least := min(next[0], next[1]); s.folds > least {
		return nil, fmt.Errorf("%w: %d folds for %d units of the smaller arm", estimate.ErrTooFew, s.folds, least)
	}
	return fold, nil
}

// nuisance fits the models that the estimand needs, to all rows or fold by fold.
func (c *causal) nuisance(estimand, kind string, y []float64, s *nuisanceSpec) (*nuisance, error) {
	u := &nuisance{}
	if s.fold == nil {
		var err error
		if u.ps, err = c.propensity(nil); err != nil {
			return nil, err
		}
		u.eta = u.ps.eta
		for a := range 2 {
			if owns(estimand, a) {
				continue
			}
			if u.om[a], err = c.outcome(kind, y, a, nil); err != nil {
				return nil, err
			}
			u.mu[a], u.link[a] = u.om[a].mu, u.om[a].eta
		}
	} else {
		u.eta = make([]float64, c.n)
		for a := range 2 {
			if !owns(estimand, a) {
				u.mu[a], u.link[a] = make([]float64, c.n), make([]float64, c.n)
			}
		}
		for k := range s.folds {
			keep := func(i int) bool { return s.fold[i] != k }
			ps, err := c.propensity(keep)
			if err != nil {
				return nil, err
			}
			c.fill(u.eta, ps.eta, s.fold, k)
			for a := range 2 {
				if u.mu[a] == nil {
					continue
				}
				m, err := c.outcome(kind, y, a, keep)
				if err != nil {
					return nil, err
				}
				c.fill(u.mu[a], m.mu, s.fold, k)
				c.fill(u.link[a], m.eta, s.fold, k)
			}
		}
	}
	if c.guarded {
		if err := c.bounded(estimand, u.eta); err != nil {
			return nil, err
		}
	}
	c.overlap(estimand, u.eta)
	return u, nil
}

// fill copies a fold's predictions from models fitted without it.
func (c *causal) fill(to, from []float64, fold []int, k int) {
	for i, f := range fold {
		if f == k {
			to[i] = from[i]
		}
	}
}

// median takes each estimate's median over the repeats, and as its variance the
// median of V + (estimate - median)². Influence is that of the repeat whose first
// estimate is the median, scaled to the errors that are reported; so is Cov.
func (c *causal) median(s splitting, results []*estimate.Result) *estimate.Result {
	first := make([]float64, len(results))
	repeats := make([]Repeat, len(results))
	for r, res := range results {
		first[r] = res.Estimates[0].Value
		repeats[r] = Repeat{Repeat: r + 1, Estimate: first[r], StdError: res.Estimates[0].SE}
	}
	out := results[num.OrderFloats(first)[len(first)/2]]
	k := len(out.Estimates)
	scale := make([]float64, k)
	for j, e := range out.Estimates {
		value, variance := make([]float64, len(results)), make([]float64, len(results))
		for r, res := range results {
			value[r] = res.Estimates[j].Value
		}
		m := middle(value)
		for r, res := range results {
			d := value[r] - m
			variance[r] = float64(res.Estimates[j].SE*res.Estimates[j].SE) + float64(d*d)
		}
		se := math.Sqrt(middle(variance))
		scale[j] = 1
		if e.SE > 0 {
			scale[j] = se / e.SE
		}
		if e.Measure == RiskRatio || e.Measure == OddsRatio {
			out.Estimates[j] = naturalRatio(e.Term, e.Measure, m, se, c.df(), c.frame.Level)
		} else {
			out.Estimates[j] = estimate.Wald(e.Term, e.Measure, m, se, c.df(), c.frame.Level)
		}
	}
	for i := range k {
		for j := i; j < k; j++ {
			out.Cov.SetSym(i, j, scale[i]*scale[j]*out.Cov.At(i, j))
		}
	}
	rows, _ := out.Influence.Dims()
	for i := range rows {
		for j, v := range out.Influence.RawRowView(i) {
			out.Influence.Set(i, j, scale[j]*v)
		}
	}
	low, high := slices.Min(first), slices.Max(first)
	out.Details["folds"], out.Details["repeats"], out.Details["seed"] = s.folds, repeats, s.seed
	out.Details["spread"] = map[string]float64{"low": low, "high": high}
	if se := out.Estimates[0].SE; high-low > se/2 {
		out.Notes = append(out.Notes, table.Note{Code: "split-matters", Args: map[string]any{"repeats": len(results)},
			Text: fmt.Sprintf("How the units were split for cross-fitting moves the estimate by more than half a standard error over %d repeats: use more of them.", len(results))})
	}
	return out
}

// middle is the median of an odd number of values; NaN if one is.
func middle(v []float64) float64 {
	for _, x := range v {
		if math.IsNaN(x) {
			return x
		}
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
