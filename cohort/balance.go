package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Denominators of a standardised mean difference: a standard deviation in the sample
// before matching, for before and after alike.
const (
	TreatedSD = "treated" // of the treated
	ControlSD = "control" // of the untreated
	PooledSD  = "pooled"  // root of the mean of the two variances
	AllSD     = "all"     // of everybody, as if there were one group
)

// BalanceOptions are the choices of [Compare].
type BalanceOptions struct {
	Denominator string        // TreatedSD (default), ControlSD, PooledSD or AllSD
	Weight      []float64     // by row, ≥ 0: the design; nil = none, and After is NaN
	Others      []NamedWeight // further designs, shown beside it in BalanceRow.Others
	Pairs       [][2]int      // rows; nil = no pair distances
	Score       []float64     // by row: shown first, as "distance"; nil = no such row

	Squares      bool // a row for the square of each number column that is not 0/1
	Interactions bool // a row for the product of each two columns, levels as 0/1 columns
	// Missing allows missing values: a covariate with some gets a row column[missing],
	// and its other rows are of the units that have a value. Without it they are [ErrCovariate].
	Missing bool
}

// NamedWeight is a design by its weights, by row, ≥ 0.
type NamedWeight struct {
	Name   string
	Weight []float64
}

// Balance compares the groups of t before and after the matching, for the covariates
// of d (or those given there, if others) and the score. The denominator is that of
// the group which the estimand keeps.
func (m *Matched) Balance(ctx context.Context, t *table.Table, d Spec) (Balance, []table.Note, error) {
	o := BalanceOptions{Weight: m.Weight, Pairs: m.Pairs, Score: m.Score, Denominator: TreatedSD}
	switch m.served() {
	case ATC:
		o.Denominator = ControlSD
	case ATE:
		o.Denominator = PooledSD
	}
	return Compare(ctx, t, d, o)
}

// served is the estimand that was aimed at, also when units were left out.
func (m *Matched) served() string {
	for _, n := range m.Notes {
		if n.Code == "estimand-changed" {
			if from, ok := n.Args["from"].(string); ok {
				return from
			}
		}
	}
	return m.Estimand
}

// Compare measures how alike the groups are, before (all weights 1) and after
// (o.Weight, and o.Others each). For each number column and for every level of each
// category:
//
//	mean      Σw·x / Σw in each group
//	SMD       (mean treated - mean control) / SD, SD of o.Denominator before matching
//	variance  Σw(x-mean)² / (1 - Σw²) with the group's w scaled to add up to 1;
//	          p(1-p) for a column of only 0 and 1, in SD too
//	ratio     variance treated / variance control; NaN for a column of only 0 and 1
//	eCDF      mean and largest |F₁(v) - F₀(v)| over the distinct values v of all rows,
//	          F the weighted distribution functions; |difference of means| for 0/1
//	overlap   Σ min(f₁, f₀) over a grid of step h/8, f the weights of a group spread to
//	          the two nearest points, smoothed by a normal kernel of bandwidth h cut at
//	          4h, adding up to 1; h = 1.06·min(SD, IQR/1.34)·n^(-1/5) of the smaller
//	          group before matching, at least 1/8192 of the range. 1 - |difference of
//	          means| for 0/1; 0 where the ranges of the groups do not meet
//	pairs     mean |x_t - x_c| over o.Pairs, over the same SD
//
// A number that a zero SD leaves undefined is NaN with a note. ESS is (Σw)²/Σw².
//
// Work and memory: one sort of each column that is neither binary nor of few whole
// numbers, shared by before and all designs; per worker 33 bytes a row.
//
// Source: Stuart (2010), Statistical Science 25, §2.3; Ho, Imai, King and Stuart
// (2011), J. Stat. Softw. 42(8); Franklin et al. (2014), Statistics in Medicine 33
// (overlap). Registry: cohort/METHODS.md#balance.
func Compare(ctx context.Context, t *table.Table, d Spec, o BalanceOptions) (Balance, []table.Note, error) {
	u, err := readUnits(t, d)
	if err != nil {
		return Balance{}, nil, err
	}
	if err := o.check(u); err != nil {
		return Balance{}, nil, err
	}
	if err := notTheTreatment(d.Covariates, d); err != nil {
		return Balance{}, nil, err
	}
	read := readCovariate
	if o.Missing {
		read = readWithMissing
	}
	cov, err := readColumns(t, d.Covariates, d.Categorical, read)
	if err != nil {
		return Balance{}, nil, err
	}
	if o.Squares || o.Interactions {
		if names := overflows(cov); len(names) > 0 {
			return Balance{}, nil, fmt.Errorf("%w: the squares and products of %s are too large to be numbers", ErrCovariate, quoted(names))
		}
	}
	designs := make([][]float64, 0, 1+len(o.Others))
	if o.Weight != nil {
		designs = append(designs, o.Weight)
	}
	for _, other := range o.Others {
		designs = append(designs, other.Weight)
	}
	var score *covariate
	if o.Score != nil {
		score = &covariate{name: "distance", values: o.Score}
	}
	c := newComparison(u, o, designs, d.Workers)
	rows := runPlan(c.plan(score, cov), d.Workers, func() bool { return ctx.Err() != nil })
	if err := ctx.Err(); err != nil {
		return Balance{}, nil, err
	}
	b := Balance{Denominator: o.Denominator}
	for _, r := range rows {
		b.Rows = append(b.Rows, r...)
	}
	b.ESSTreated, b.ESSControl = float64(u.count), float64(u.n-u.count)
	if o.Weight != nil {
		b.ESSTreated, b.ESSControl = kish(o.Weight, u, d.Workers)
	}
	for _, other := range o.Others {
		size := DesignSize{Name: other.Name}
		size.ESSTreated, size.ESSControl = kish(other.Weight, u, d.Workers)
		b.Others = append(b.Others, size)
	}
	notes := balanceNotes(b)
	if names := collinear(cov, u, d.Workers); len(names) > 0 {
		notes = append(notes, table.Note{
			Code: "collinear-covariate", Args: map[string]any{"columns": names, "n": len(names)},
			Text: fmt.Sprintf("%d columns (%s) are a linear combination of the ones before them.", len(names), strings.Join(names, ", ")),
		})
	}
	return b, notes, ctx.Err()
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, ", ")
}

func (o *BalanceOptions) check(u *units) error {
	switch o.Denominator {
	case "":
		o.Denominator = TreatedSD
	case TreatedSD, ControlSD, PooledSD, AllSD:
	default:
		return fmt.Errorf("%w: denominator %q is not treated, control, pooled or all", ErrOption, o.Denominator)
	}
	if u.n > num.RankedIndex {
		return fmt.Errorf("balance: %d rows are more than the %d that can be ordered", u.n, num.RankedIndex)
	}
	if o.Score != nil && len(o.Score) != u.n {
		return fmt.Errorf("balance: %d scores for %d rows", len(o.Score), u.n)
	}
	for i, s := range o.Score {
		if s-s != 0 {
			return fmt.Errorf("balance: the score of row %d is not a finite number", i+1)
		}
	}
	for _, p := range o.Pairs {
		for _, r := range p {
			if r < 0 || r >= u.n {
				return fmt.Errorf("balance: a pair has a row outside the table")
			}
		}
	}
	if o.Weight != nil {
		if err := checkWeight("balance", o.Weight, u); err != nil {
			return err
		}
	}
	for i, other := range o.Others {
		if other.Name == "" || slices.ContainsFunc(o.Others[:i], func(w NamedWeight) bool { return w.Name == other.Name }) {
			return fmt.Errorf("%w: the designs beside the first need names of their own", ErrOption)
		}
		if err := checkWeight("balance: "+other.Name, other.Weight, u); err != nil {
			return err
		}
	}
	return nil
}

func checkWeight(what string, weight []float64, u *units) error {
	if len(weight) != u.n {
		return fmt.Errorf("%s: %d weights for %d rows", what, len(weight), u.n)
	}
	var sum [2]float64
	for i, w := range weight {
		if !(w >= 0) || math.IsInf(w, 1) {
			return fmt.Errorf("%s: the weight of row %d is not a finite number of at least 0", what, i+1)
		}
		sum[arm(u.treated[i])] += w
	}
	switch {
	case sum[1] == 0:
		return fmt.Errorf("%s: %w with a weight above 0", what, ErrNoTreated)
	case sum[0] == 0:
		return fmt.Errorf("%s: %w with a weight above 0", what, ErrNoControls)
	}
	return nil
}

// balanceNotes says which numbers do not exist, and why.
func balanceNotes(b Balance) []table.Note {
	var same, flat, none []string
	for _, r := range b.Rows {
		switch {
		case r.Treated == 0 || r.Control == 0:
			none = append(none, r.Variable)
		case !math.IsNaN(r.Before.SMD):
		case r.Before.MeanTreated == r.Before.MeanControl:
			same = append(same, r.Variable)
		default:
			flat = append(flat, r.Variable)
		}
	}
	var notes []table.Note
	if len(same) > 0 {
		notes = append(notes, table.Note{
			Code: "constant-covariate", Args: map[string]any{"columns": same, "n": len(same)},
			Text: fmt.Sprintf("%d columns (%s) have no spread, so that no standardised difference exists.", len(same), strings.Join(same, ", ")),
		})
	}
	if len(flat) > 0 {
		notes = append(notes, table.Note{
			Code: "no-denominator", Args: map[string]any{"columns": flat, "n": len(flat), "denominator": b.Denominator},
			Text: fmt.Sprintf("%d columns (%s) differ between the groups but have no spread in the one whose SD is the denominator (%s); the pooled SD would exist.", len(flat), strings.Join(flat, ", "), b.Denominator),
		})
	}
	if len(none) > 0 {
		notes = append(notes, table.Note{
			Code: "unobserved-covariate", Args: map[string]any{"columns": none, "n": len(none)},
			Text: fmt.Sprintf("%d columns (%s) have no value in one of the groups, so that nothing can be compared.", len(none), strings.Join(none, ", ")),
		})
	}
	return notes
}
