package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// Nearest matches each unit of one group (the treated for att, the untreated for atc)
// to up to Ratio partners of the other, nearest first, greedily: a unit's partner is
//
//	argmin over the free partners j that keep every constraint of (d(i,j), tie(j)).
//
// Without replacement a partner serves once; units are served in Order, in rounds, so
// that every unit has its first partner before any has a second. With replacement
// every unit gets its Ratio nearest and the order has no part. d is |sᵢ - sⱼ| of a
// score (a column, or the [Propensity] of the covariates) or a [Metric].
//
// Constraints: d ≤ Caliper·SD(s), SD with divisor n-1 over all units, or d ≤
// CaliperRaw; |xᵢ - xⱼ| ≤ CaliperOn[x]; |sᵢ - sⱼ| ≤ CaliperScore·SD(s) beside a
// metric; equal values in Exact. A difference equal to the width keeps a caliper.
//
// The result does not depend on the order of the rows (unless Order or Ties say data)
// or on the number of workers. Every result has passed [Verify]. Units that find no
// partner are left out and a note says that the estimand changed.
//
// Errors: [ErrOption], [ErrNoTreated], [ErrNoControls], [ErrCovariate],
// [ErrSeparation]; [ErrNoSupport] when no unit finds a partner.
// Source: Rubin (1973), Matching to Remove Bias in Observational Studies, Biometrics
// 29; Stuart (2010), Statistical Science 25. Registry: cohort/METHODS.md#nearest.
type Nearest struct {
	Distance     string             // default logit, or the score column where Spec has one
	Ratio        int                // most partners per unit; 0 = 1
	Replace      bool               // a partner may serve several units
	Caliper      float64            // in SD of the score; 0 = none
	CaliperRaw   float64            // in units of the distance; 0 = none
	CaliperOn    map[string]float64 // in the column's units
	CaliperScore float64            // in SD of the score, when the distance is a metric; 0 = none
	Exact        []string           // any columns without missing values
	// Order is who is served first: largest (default for att with a score), smallest
	// (default for atc with a score), data, closest (default without a score), random.
	Order string
	// Ties chooses among partners at exactly one distance, and among units that Order
	// leaves equal: hash (default; of the id, keyed by Seed) or data (default, and
	// the only one, with Order data).
	Ties     string
	Estimand string // att (default) or atc
	Seed     uint64 // key of the hash of ties and of the random order
}

// Match runs the design on all rows of the table.
func (m Nearest) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	if errs := append(m.Check(), m.checkSpec(d)...); len(errs) > 0 {
		return nil, joined(errs)
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	j := &job{Nearest: m.defaults(), asked: m.Order, d: d, u: u, out: &Matched{}}
	if err := j.distances(ctx, t); err != nil {
		return nil, err
	}
	if err := j.constraints(t); err != nil {
		return nil, err
	}
	j.tie = u.tiesBy(j.Ties, j.Seed, d.Workers)
	if err := j.serve(ctx); err != nil {
		return nil, err
	}
	if err := j.finish(); err != nil {
		return nil, err
	}
	if err := Verify(t, d, m, j.out); err != nil {
		return nil, err
	}
	return j.out, ctx.Err()
}

// checkSpec lists what the options ask of the table that the spec does not give.
func (m Nearest) checkSpec(d Spec) []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if d.Score != "" && (m.Distance == LogitDistance || m.Distance == LinearLogitDistance) {
		bad("distance %q is estimated from covariates, and the score column %q is another: give one", m.Distance, d.Score)
	}
	if d.Score != "" && m.metric() && m.CaliperScore == 0 {
		bad("score column %q has no use with %s distance without caliper-score", d.Score, m.Distance)
	}
	needsCovariates := m.metric() || d.Score == ""
	switch {
	case needsCovariates && len(d.Covariates) == 0:
		bad("matching needs covariates or a score column")
	case len(d.Categorical) > 0 && len(d.Covariates) == 0:
		bad("columns are called categorical but there are no covariates")
	}
	for _, c := range append([]string{d.Treatment}, d.ID) {
		if c == "" {
			continue
		}
		if slices.Contains(m.Exact, c) {
			bad("column %q in exact is the treatment or the id", c)
		}
		if _, ok := m.CaliperOn[c]; ok {
			bad("column %q in caliper-on is the treatment or the id", c)
		}
	}
	if len(m.CaliperOn) > 60 {
		bad("caliper-on takes at most 60 columns")
	}
	return errs
}

func (m Nearest) defaults() Nearest {
	if m.Ratio == 0 {
		m.Ratio = 1
	}
	if m.Estimand == "" {
		m.Estimand = ATT
	}
	if m.Order == "" {
		switch {
		case m.metric() && m.CaliperScore == 0:
			m.Order = ClosestOrder
		case m.Estimand == ATC:
			m.Order = SmallestOrder
		default:
			m.Order = LargestOrder
		}
	}
	if m.Ties == "" {
		m.Ties = HashTies
		if m.Order == DataOrder {
			m.Ties = DataTies
		}
	}
	return m
}

// job is one run of the design.
type job struct {
	Nearest
	asked  string // the order as given
	d      Spec
	u      *units
	out    *Matched
	points *whitened // of a metric
	limits calipers
	block  []int32 // by row; nil = one block
	blocks int
	tie    ties
	done   []served
}

// distances makes the score or the metric, and the width of the caliper on it.
func (j *job) distances(ctx context.Context, t *table.Table) error {
	if j.d.Score != "" {
		f, err := t.Float(j.d.Score)
		if err != nil {
			return fmt.Errorf("score: %w", err)
		}
		c, problem := readCovariate(t, j.d.Score, false)
		if problem != "" {
			return fmt.Errorf("%w: score: %s", ErrCovariate, problem)
		}
		j.out.Score, j.out.ScoreName = c.values, f.Name
	} else if !j.metric() || j.CaliperScore > 0 {
		fit, err := Propensity{Covariates: j.d.Covariates, Categorical: j.d.Categorical}.fit(ctx, t, j.d, j.u)
		if err != nil {
			return err
		}
		j.out.Propensity = fit
		j.out.Score, j.out.ScoreName = fit.Score, LogitDistance
		if j.Distance == LinearLogitDistance {
			j.out.Score, j.out.ScoreName = fit.Linear, LinearLogitDistance
		}
	}
	if j.metric() {
		if err := notTheTreatment(j.d.Covariates, j.d); err != nil {
			return err
		}
		cov, err := readCovariates(t, j.d.Covariates, j.d.Categorical)
		if err != nil {
			return err
		}
		if j.points, err = whiten(j.Distance, cov, j.u, j.d.Workers); err != nil {
			return err
		}
		j.out.Metric = j.points.metric
		j.out.Notes = append(j.out.Notes, j.points.notes...)
	}
	j.limits.distance = math.Inf(1)
	if j.CaliperRaw > 0 {
		j.limits.distance = j.CaliperRaw
	}
	if w := max(j.Caliper, j.CaliperScore); w > 0 {
		sd := scoreSD(j.out.Score, j.u, j.d.Workers)
		if !(sd > 0) {
			return fmt.Errorf("%w: the score is the same for everyone, so that a caliper in its SD has no width", ErrOption)
		}
		j.out.ScoreSD = sd
		if j.metric() {
			j.limits.within = append(j.limits.within, caliper{name: "score", values: j.out.Score, width: w * sd})
		} else {
			j.limits.distance = w * sd
		}
	}
	return ctx.Err()
}

// scoreSD is the standard deviation over all units, divisor n-1.
func scoreSD(score []float64, u *units, workers int) float64 {
	n := float64(u.n)
	sum := num.SumExact(u.n, 1, workers, func(lo, hi int, sums []num.ExactSum) {
		for _, s := range score[lo:hi] {
			sums[0].Add(s)
		}
	})
	mean := sum[0] / n
	ss := num.SumExact(u.n, 1, workers, func(lo, hi int, sums []num.ExactSum) {
		for _, s := range score[lo:hi] {
			sums[0].Add((s - mean) * (s - mean))
		}
	})
	return math.Sqrt(ss[0] / (n - 1))
}

// constraints reads the calipers' columns and the exact blocks.
func (j *job) constraints(t *table.Table) error {
	for _, name := range sortedKeys(j.CaliperOn) {
		c, problem := readCovariate(t, name, false)
		if problem != "" {
			return fmt.Errorf("%w: caliper-on: %s", ErrCovariate, problem)
		}
		if c.codes != nil {
			return fmt.Errorf("%w: caliper-on: column %q is a category, which has no differences: use exact", ErrCovariate, name)
		}
		j.limits.within = append(j.limits.within, caliper{name: name, values: c.values, width: j.CaliperOn[name]})
	}
	j.blocks = 1
	for _, name := range j.Exact {
		codes, problem := exactCodes(t, name)
		if problem != "" {
			return fmt.Errorf("%w: exact: %s", ErrCovariate, problem)
		}
		j.refine(codes)
	}
	return nil
}

// refine splits the blocks by the values of one more column.
func (j *job) refine(codes []int32) {
	if j.block == nil {
		j.block = make([]int32, j.u.n)
	}
	levels := 1 + int64(slices.Max(codes))
	key := func(row int) int64 { return int64(j.block[row])*levels + int64(codes[row]) }
	if cells := int64(j.blocks) * levels; cells <= 4*int64(j.u.n)+1024 {
		number := make([]int32, cells) // from 1 where the cell occurs
		for i := range codes {
			number[key(i)] = 1
		}
		j.blocks = 0
		for c, occurs := range number {
			if occurs == 1 {
				j.blocks++
				number[c] = int32(j.blocks)
			}
		}
		for i := range codes {
			j.block[i] = number[key(i)] - 1
		}
		return
	}
	number := map[int64]int32{}
	for i := range codes {
		b, ok := number[key(i)]
		if !ok {
			b = int32(len(number))
			number[key(i)] = b
		}
		j.block[i] = b
	}
	j.blocks = len(number)
}

// exactCodes numbers the values of a column of any kind.
func exactCodes(t *table.Table, name string) ([]int32, string) {
	col, err := t.Column(name)
	if err != nil {
		return nil, err.Error()
	}
	if missing := col.Missing(); missing > 0 {
		return nil, fmt.Sprintf("column %q has %d missing values", name, missing)
	}
	switch col.Kind {
	case table.CategoryKind, table.TextKind:
		cat, err := t.Category(name)
		if err != nil {
			return nil, err.Error()
		}
		return cat.Codes, ""
	}
	c, problem := readCovariate(t, name, false)
	if problem != "" {
		return nil, problem
	}
	_, codes := num.Ranks(c.values)
	return codes, ""
}

// serve matches block by block.
func (j *job) serve(ctx context.Context) error {
	focal, pool := j.split()
	j.done = make([]served, j.blocks)
	errs := make([]error, j.blocks)
	within := 1 // workers of a block
	if j.blocks == 1 {
		within = j.d.Workers
	}
	num.ForEach(j.blocks, j.d.Workers, func(b int) {
		if len(focal[b]) == 0 || len(pool[b]) == 0 {
			return
		}
		j.done[b], errs[b] = j.serveBlock(ctx, focal[b], pool[b], within)
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	j.blockNotes(focal, pool)
	return nil
}

func (j *job) serveBlock(ctx context.Context, focal, pool []int32, workers int) (served, error) {
	var f finder
	if j.metric() {
		f = newMetricFinder(pool, j.points, j.tie, &j.limits)
	} else {
		rows, score := j.byScore(pool, 1, workers)
		f = newScoreFinder(rows, score, j.out.Score, j.tie, &j.limits, j.Replace)
	}
	switch j.Order {
	case LargestOrder:
		focal, _ = j.byScore(focal, -1, workers)
	case SmallestOrder:
		focal, _ = j.byScore(focal, 1, workers)
	case RandomOrder:
		j.byTie(focal)
		focal = j.u.hashOrder(focal, j.Seed^randomKey, workers)
	default:
		j.byTie(focal)
	}
	run := serveOrdered
	switch {
	case j.Replace:
		run = serveReplacing
	case j.Order == ClosestOrder:
		run = serveClosest
	}
	return run(ctx, f, focal, j.Ratio, 1+len(j.limits.within))
}
