package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"utfall/table"
)

// Cardinality keeps as many units of one group (the treated for att, the untreated for atc)
// as there can be with Ratio partners each whose means are alike: for every covariate column x
// (every level of a category)
//
//	|mean of x among the partners kept - mean among the units kept| ≤ tolerance · SD(x),
//
// SD of the group of the estimand before matching, as in [Matched.Balance]. In every
// group of units that are equal in Exact there are Ratio partners for each unit.
//
// That is an integer programme. Units that are equal in all covariates are one whole number. It is solved by
// branch and bound on the linear relaxation, and units are exchanged to mend what rounding breaks.
// The search is cut off after a fixed amount of work: [CardinalityFit] has the number kept, a bound
// that no choice can exceed, and says optimal only where the two are equal.
//
// The kept units are one set per group of Exact or, with PairWithin, the closest sets of one unit and its partners
// ([Optimal], Mahalanobis distance of the covariates over the kept). All weights are 1. A unit
// of the estimand's group that is not kept makes it atm, with a note: those kept are often few of those
// asked about, and are chosen so that the groups are alike, not so that they are like the rest.
//
// Errors: [ErrOption], [ErrCovariate], [ErrNoTreated], [ErrNoControls]; [ErrNoSupport] when nobody can be kept.
// Source: Zubizarreta, Paredes and Rosenbaum (2014), Ann. Appl. Stat. 8. Registry: cohort/METHODS.md#cardinality-matching.
type Cardinality struct {
	Ratio       int                // partners per unit; 0 = 1
	Tolerance   *float64           // in SD; nil = 0.05; 0 = equal means
	ToleranceOn map[string]float64 // by covariate, instead of Tolerance
	Exact       []string           // any columns without missing values
	PairWithin  bool               // make sets of one unit and its partners
	Estimand    string             // att (default) or atc
	Seed        uint64             // key of the hash by which one of several equal units is kept
	Work        int                // 0 = 3,000 million steps, some 10 seconds; more may close the gap
}

// CardinalityFit says how near to the largest match the one found is.
type CardinalityFit struct {
	Kept    int  // units of the estimand's group
	Bound   int  // no choice keeps more
	Optimal bool // Kept = Bound
	Gap     int  // Bound - Kept
	Nodes   int  // of branch and bound
	// Columns that were balanced, with tolerance · SD and the difference of means that is left.
	Columns   []string
	Width     []float64
	Remaining []float64
	// Price of each constraint in the linear relaxation of the whole problem, which proves RootBound:
	// two for each column, one for each group of Exact, in order of its first id.
	Price     []float64
	RootBound int
}

const defaultWork = 3_000_000_000

// balanceSlack is the rounding that a difference of means may have beyond its tolerance, in SD.
const balanceSlack = 1e-9

// Check lists every problem with the options, each as an [ErrOption].
func (m Cardinality) Check() []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if m.Ratio < 0 {
		bad("ratio must be at least 1")
	}
	ok := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	if m.Tolerance != nil && !ok(*m.Tolerance) {
		bad("tolerance must be a finite number of at least 0")
	}
	for _, c := range sortedKeys(m.ToleranceOn) {
		if !ok(m.ToleranceOn[c]) {
			bad("tolerance-on for column %q must be a finite number of at least 0", c)
		}
	}
	switch m.Estimand {
	case "", ATT, ATC:
	case ATE:
		bad("cardinality matching keeps units of both groups that are alike, so that it cannot aim at the effect on all (ate): use att or atc")
	default:
		bad("estimand %q does not exist; there are: att, atc", m.Estimand)
	}
	for i, c := range m.Exact {
		if slices.Contains(m.Exact[:i], c) {
			bad("column %q is named twice in exact", c)
		}
	}
	if m.Work < 0 {
		bad("work must be at least 1")
	}
	return errs
}

func (m Cardinality) checkSpec(d Spec) []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if len(d.Covariates) == 0 {
		bad("cardinality matching needs covariates")
	}
	if d.Score != "" {
		bad("score column %q has no use in cardinality matching", d.Score)
	}
	for _, c := range sortedKeys(m.ToleranceOn) {
		if !slices.Contains(d.Covariates, c) {
			bad("column %q has a tolerance but is not among the covariates", c)
		}
	}
	for _, c := range m.Exact {
		if c == d.Treatment || c == d.ID {
			bad("column %q in exact is the treatment or the id", c)
		}
	}
	return errs
}

// Match runs the design on all rows of the table.
func (m Cardinality) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	if errs := append(m.Check(), m.checkSpec(d)...); len(errs) > 0 {
		return nil, joined(errs)
	}
	if err := notTheTreatment(d.Covariates, d); err != nil {
		return nil, err
	}
	m = m.defaults()
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	s := newStrata(u, d, m.Estimand)
	for _, name := range m.Exact {
		codes, problem := exactCodes(t, name)
		if problem != "" {
			return nil, fmt.Errorf("%w: exact: %s", ErrCovariate, problem)
		}
		s.split(codes)
	}
	p, err := m.problem(t, s)
	if err != nil {
		return nil, err
	}
	best, fit, err := p.search(ctx)
	if err != nil {
		return nil, err
	}
	if fit.Kept == 0 {
		if fit.Bound == 0 {
			return nil, fmt.Errorf("%w: no choice of units has means within the tolerances: widen them", ErrNoSupport)
		}
		return nil, fmt.Errorf("%w: no choice of units with means within the tolerances was found (there could be one of %d): widen them", ErrNoSupport, fit.Bound)
	}
	kept := p.rows(best)
	s.out.Cardinality = fit
	if m.PairWithin {
		err = m.pairs(ctx, t, s, kept)
	} else {
		sort.Slice(kept, func(a, b int) bool { return idBefore(u.id(kept[a]), u.id(kept[b])) })
		number := map[int32]int{}
		s.out.Set = make([]int, u.n)
		for _, r := range kept {
			if number[s.cell[r]] == 0 {
				number[s.cell[r]] = len(number) + 1
			}
			s.out.Set[r] = number[s.cell[r]]
		}
		s.finish(len(number))
	}
	if err != nil {
		return nil, err
	}
	m.notes(s, fit)
	if err := VerifyCardinality(t, d, m, s.out); err != nil {
		return nil, err
	}
	return s.out, ctx.Err()
}

func (m Cardinality) defaults() Cardinality {
	if m.Ratio == 0 {
		m.Ratio = 1
	}
	if m.Estimand == "" {
		m.Estimand = ATT
	}
	if m.Tolerance == nil {
		m.Tolerance = Width(0.05)
	}
	if m.Work == 0 {
		m.Work = defaultWork
	}
	return m
}

// pairs makes sets of the kept rows.
func (m Cardinality) pairs(ctx context.Context, t *table.Table, s *strata, kept []int) error {
	slices.Sort(kept)
	d := s.d
	if d.ID == "" { // row numbers are those of the whole table
		id := make([]string, s.u.n)
		for i := range id {
			id[i] = s.u.id(i)
		}
		var err error
		if t, err = t.With(table.NewText(table.Field{Name: "(unit)"}, id, nil)); err != nil {
			return err
		}
		d.ID = "(unit)"
	}
	got, err := Optimal{Distance: MahalanobisDistance, Ratio: m.Ratio, Exact: m.Exact, Estimand: m.Estimand, Seed: m.Seed}.Match(ctx, t.Take(kept), d)
	if err != nil {
		return fmt.Errorf("pairs within the kept units: %w", err)
	}
	s.out.Set = make([]int, s.u.n)
	for i, r := range kept {
		s.out.Set[r] = got.Set[i]
	}
	s.out.Pairs, s.out.PairDistance, s.out.Metric = got.Pairs, got.PairDistance, got.Metric
	for i, p := range got.Pairs {
		s.out.Pairs[i] = [2]int{kept[p[0]], kept[p[1]]}
	}
	s.finish(got.Counts.Sets)
	s.out.Counts.Pairs = len(got.Pairs)
	return nil
}

func (m Cardinality) notes(s *strata, fit *CardinalityFit) {
	if fit.Gap > 0 {
		s.note("cardinality-gap", fmt.Sprintf("%d units are kept and at most %d could be: the search was cut off before it was known whether there is a larger match.", fit.Kept, fit.Bound),
			map[string]any{"kept": fit.Kept, "bound": fit.Bound, "gap": fit.Gap})
	}
	var none []string
	for j, w := range fit.Width {
		if math.IsNaN(w) {
			none = append(none, fit.Columns[j])
		}
	}
	if len(none) > 0 {
		s.note("constant-covariate", fmt.Sprintf("%d columns (%s) are the same for everyone and play no part in the distance.", len(none), strings.Join(none, ", ")), map[string]any{"columns": none, "n": len(none)})
	}
}

// VerifyCardinality re-checks a cardinality matching against the table by code of its own: there are Ratio partners for
// each unit in every group of Exact (and in every set of pairs), the means are within
// the tolerances, weights, counts and the estimand follow from the sets, and the bound is what the prices of the
// linear relaxation prove. A breach is [ErrConstraint].
func VerifyCardinality(t *table.Table, d Spec, m Cardinality, got *Matched) error {
	m = m.defaults()
	v := &cellVerifier{t: t, d: d, aim: m.Estimand, got: got, pairs: len(got.Pairs), key: make([]strings.Builder, t.Rows())}
	return v.run(func() error { return v.cardinality(m) })
}
