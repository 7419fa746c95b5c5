package cohort

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"

	"utfall/table"
)

// CEM matches units that are equal after every number column has been cut into bins
// (coarsened exact matching). Bin k of cut points c₁ < … < c_m is [c_k, c_{k+1}), with
// c₀ = -∞ and c_{m+1} = ∞: a value equal to a cut point is in the bin above it.
// Categories are equal or not. What is said of cells in [Exact] holds here too.
//
// Without cut points a number column gets Sturges' ⌈log₂ n⌉ + 1 bins of one width over
// its range, n all rows: cut k is min + k·(max-min)/bins.
//
// Source: Iacus, King and Porro (2012), Political Analysis 20(1); Sturges (1926),
// JASA 21. Registry: cohort/METHODS.md#exact-and-coarsened-exact.
type CEM struct {
	Bins     map[string]Coarsening // by covariate; the others have Sturges' bins
	Exact    []string              // columns beside the covariates that are not coarsened
	Estimand string                // att (default), atc or ate
	// PairWithin makes 1:1 pairs inside the cells, nearest by Mahalanobis distance of
	// the covariates over all units (see [Nearest]); for att and atc.
	PairWithin bool
	Seed       uint64 // of ties of PairWithin
}

// Coarsening says how a number column is cut: one of its fields.
type Coarsening struct {
	Cuts      []float64 `yaml:"cuts,omitempty"`      // finite and different
	Quantiles int       `yaml:"quantiles,omitempty"` // that many bins between quantiles (type 7) of all rows, ≥ 2
	Width     int       `yaml:"width,omitempty"`     // that many bins of one width over the range, ≥ 2
}

func (c Coarsening) problem() string {
	given := 0
	if c.Cuts != nil {
		given++
	}
	if c.Quantiles != 0 {
		given++
	}
	if c.Width != 0 {
		given++
	}
	switch {
	case given != 1:
		return "needs cut points, a number of quantiles or a number of bins: one of them"
	case c.Cuts == nil && c.Quantiles < 2 && c.Width < 2:
		return "needs at least 2 bins"
	case c.Cuts != nil && len(c.Cuts) == 0:
		return "has no cut points"
	}
	for i, v := range c.Cuts {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "has a cut point that is not a finite number"
		}
		if slices.Contains(c.Cuts[:i], v) {
			return "has a cut point twice"
		}
	}
	return ""
}

// Match runs the design on all rows of the table.
func (m CEM) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	columns := slices.Concat(d.Covariates, m.Exact)
	if errs := slices.Concat(m.Check(), checkCells(d, columns), m.checkSpec(d)); len(errs) > 0 {
		return nil, joined(errs)
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	s := newStrata(u, d, m.Estimand)
	if err := m.cells(t, s); err != nil {
		return nil, err
	}
	if m.PairWithin {
		return m.pairs(ctx, t, s)
	}
	if err := s.finishCells(columns); err != nil {
		return nil, err
	}
	if err := VerifyCEM(t, d, m, s.out); err != nil {
		return nil, err
	}
	return s.out, ctx.Err()
}

// Check lists every problem with the options, each as an [ErrOption].
func (m CEM) Check() []error {
	errs := checkCellEstimand(m.Estimand)
	names := make([]string, 0, len(m.Bins))
	for c := range m.Bins {
		names = append(names, c)
	}
	sort.Strings(names)
	for _, c := range names {
		if p := m.Bins[c].problem(); p != "" {
			errs = append(errs, fmt.Errorf("%w: the coarsening of column %q %s", ErrOption, c, p))
		}
	}
	if m.PairWithin && m.Estimand == ATE {
		errs = append(errs, fmt.Errorf("%w: pairs within cells serve one group, so that they cannot aim at the effect on all (ate)", ErrOption))
	}
	if !m.PairWithin && m.Seed != 0 {
		errs = append(errs, fmt.Errorf("%w: the seed is of ties between pairs, and without pairs within cells there are none", ErrOption))
	}
	return errs
}

func (m CEM) checkSpec(d Spec) []error {
	var errs []error
	names := make([]string, 0, len(m.Bins))
	for c := range m.Bins {
		names = append(names, c)
	}
	sort.Strings(names)
	for _, c := range names {
		switch {
		case !slices.Contains(d.Covariates, c):
			errs = append(errs, fmt.Errorf("%w: column %q is coarsened but is not among the covariates", ErrOption, c))
		case slices.Contains(d.Categorical, c):
			errs = append(errs, fmt.Errorf("%w: column %q is a category, which has no cut points", ErrOption, c))
		}
	}
	return errs
}

func (m CEM) cells(t *table.Table, s *strata) error {
	cov, err := readCovariates(t, s.d.Covariates, withinCovariates(s.d))
	if err != nil {
		return err
	}
	s.out.Cuts = map[string][]float64{}
	for _, c := range cov {
		if c.codes != nil {
			if _, ok := m.Bins[c.name]; ok {
				return fmt.Errorf("%w: column %q is a category, which has no cut points", ErrOption, c.name)
			}
			s.split(c.codes)
			continue
		}
		cuts := m.Bins[c.name].cuts(c.values)
		s.out.Cuts[c.name] = cuts
		codes := make([]int32, len(c.values))
		for i, v := range c.values {
			codes[i] = int32(binOf(cuts, v))
		}
		s.split(codes)
	}
	for _, name := range m.Exact {
		codes, problem := cellCodes(t, name, slices.Contains(s.d.Categorical, name))
		if problem != "" {
			return fmt.Errorf("%w: exact: %s", ErrCovariate, problem)
		}
		s.split(codes)
	}
	return nil
}

// withinCovariates is d.Categorical without columns of CEM.Exact.
func withinCovariates(d Spec) []string {
	var out []string
	for _, c := range d.Categorical {
		if slices.Contains(d.Covariates, c) {
			out = append(out, c)
		}
	}
	return out
}

// binOf counts the cut points that are at most v.
func binOf(cuts []float64, v float64) int {
	return sort.Search(len(cuts), func(i int) bool { return cuts[i] > v })
}

// cuts returns the cut points in ascending order; the zero Coarsening is Sturges'.
func (c Coarsening) cuts(x []float64) []float64 {
	switch {
	case c.Cuts != nil:
		out := slices.Clone(c.Cuts)
		slices.Sort(out)
		return out
	case c.Quantiles > 0:
		sorted := slices.Clone(x)
		slices.Sort(sorted)
		out := make([]float64, 0, c.Quantiles-1)
		for k := 1; k < c.Quantiles; k++ {
			out = append(out, quantile7(sorted, k, c.Quantiles))
		}
		return slices.Compact(out)
	}
	n := c.Width
	if n == 0 {
		n = bits.Len(uint(len(x)-1)) + 1
	}
	lo, hi := slices.Min(x), slices.Max(x)
	if lo == hi {
		return nil
	}
	width := (hi - lo) / float64(n)
	out := make([]float64, n-1)
	for k := range out {
		out[k] = lo + float64(float64(k+1)*width)
	}
	return slices.Compact(out)
}

// quantile7 is the quantile k/of of ascending numbers: linear between the order
// statistics ⌊h⌋ and ⌊h⌋+1 of h = (n-1)k/of, whose fraction is exact in integers.
func quantile7(sorted []float64, k, of int) float64 {
	at := (len(sorted) - 1) * k
	lo, rest := at/of, at%of
	if rest == 0 || sorted[lo+1] == sorted[lo] {
		return sorted[lo]
	}
	h := float64(rest) / float64(of)
	return float64((1-h)*sorted[lo]) + float64(h*sorted[lo+1])
}

// CellColumn is the exact variable of pairs within cells; no file's column has the name.
const CellColumn = "(cell)"

// pairs is nearest-neighbour matching exact on the cell.
func (m CEM) pairs(ctx context.Context, t *table.Table, s *strata) (*Matched, error) {
	code := make([]int64, len(s.cell))
	for i, c := range s.cell {
		code[i] = int64(c)
	}
	t, err := t.With(table.NewInteger(table.Field{Name: CellColumn}, code, nil))
	if err != nil {
		return nil, err
	}
	d := s.d
	d.Categorical = withinCovariates(d)
	out, err := Nearest{Distance: MahalanobisDistance, Exact: []string{CellColumn}, Estimand: m.Estimand, Seed: m.Seed}.Match(ctx, t, d)
	if err != nil {
		return nil, err
	}
	out.Cuts = s.out.Cuts
	return out, verifyBins(t, d, m, out)
}
