package cohort

import (
	"context"
	"fmt"
	"math"

	"utfall/internal/num"
	"utfall/table"
)

// Denominators of a standardised mean difference: a standard deviation in the sample
// before matching, for before and after alike.
const (
	TreatedSD = "treated" // of the treated
	ControlSD = "control" // of the untreated
	PooledSD  = "pooled"  // root of the mean of the two variances
)

// BalanceOptions are the choices of [Compare].
type BalanceOptions struct {
	Denominator string    // TreatedSD (default), ControlSD or PooledSD
	Weight      []float64 // by row, ≥ 0: the design; nil = none, and After is NaN
	Pairs       [][2]int  // rows; nil = no pair distances
	Score       []float64 // by row: shown first, as "distance"; nil = no such row
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
// (o.Weight). For each number column and for every level of each category:
//
//	mean      Σw·x / Σw in each group
//	SMD       (mean treated - mean control) / SD, SD of o.Denominator before matching
//	variance  Σw(x-mean)² / (1 - Σw²) with the group's w scaled to add up to 1;
//	          p(1-p) for a column of only 0 and 1, in SD too
//	ratio     variance treated / variance control; NaN for a column of only 0 and 1
//	eCDF      mean and largest |F₁(v) - F₀(v)| over the distinct values v of all rows,
//	          F the weighted distribution functions; |difference of means| for 0/1
//	pairs     mean |x_t - x_c| over o.Pairs, over the same SD
//
// A number that a zero SD leaves undefined is NaN with a note. ESS is (Σw)²/Σw².
//
// Source: Stuart (2010), Statistical Science 25, §2.3; Ho, Imai, King and Stuart
// (2011), J. Stat. Softw. 42(8). Registry: cohort/METHODS.md#balance.
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
	cov, err := readCovariates(t, d.Covariates, d.Categorical)
	if err != nil {
		return Balance{}, nil, err
	}
	c := newComparison(u, o)
	b := Balance{Denominator: o.Denominator}
	if o.Score != nil {
		cov = append([]covariate{{name: "distance", values: o.Score}}, cov...)
	}
	rows := make([][]BalanceRow, len(cov))
	num.ForEach(len(cov), d.Workers, func(i int) {
		switch {
		case ctx.Err() != nil:
		case cov[i].codes != nil:
			rows[i] = c.category(cov[i])
		default:
			rows[i] = c.number(cov[i])
		}
	})
	if err := ctx.Err(); err != nil {
		return Balance{}, nil, err
	}
	for _, r := range rows {
		b.Rows = append(b.Rows, r...)
	}
	b.ESSTreated, b.ESSControl = float64(u.count), float64(u.n-u.count)
	if o.Weight != nil {
		b.ESSTreated, b.ESSControl = kish(o.Weight, u, d.Workers)
	}
	notes := balanceNotes(b)
	if o.Score != nil {
		cov = cov[1:] // the score is made of the others
	}
	if names := collinear(cov, u, d.Workers); len(names) > 0 {
		notes = append(notes, table.Note{
			Code: "collinear-covariate", Args: map[string]any{"columns": names, "n": len(names)},
			Text: fmt.Sprintf("%d columns are a linear combination of the ones before them.", len(names)),
		})
	}
	return b, notes, ctx.Err()
}

func (o *BalanceOptions) check(u *units) error {
	switch o.Denominator {
	case "":
		o.Denominator = TreatedSD
	case TreatedSD, ControlSD, PooledSD:
	default:
		return fmt.Errorf("%w: denominator %q is not treated, control or pooled", ErrOption, o.Denominator)
	}
	if o.Score != nil && len(o.Score) != u.n {
		return fmt.Errorf("balance: %d scores for %d rows", len(o.Score), u.n)
	}
	for _, p := range o.Pairs {
		for _, r := range p {
			if r < 0 || r >= u.n {
				return fmt.Errorf("balance: a pair has a row outside the table")
			}
		}
	}
	if o.Weight == nil {
		return nil
	}
	if len(o.Weight) != u.n {
		return fmt.Errorf("balance: %d weights for %d rows", len(o.Weight), u.n)
	}
	var sum [2]float64
	for i, w := range o.Weight {
		if !(w >= 0) || math.IsInf(w, 1) {
			return fmt.Errorf("balance: the weight of row %d is not a finite number of at least 0", i+1)
		}
		sum[arm(u.treated[i])] += w
	}
	switch {
	case sum[1] == 0:
		return fmt.Errorf("balance: %w with a weight above 0", ErrNoTreated)
	case sum[0] == 0:
		return fmt.Errorf("balance: %w with a weight above 0", ErrNoControls)
	}
	return nil
}

func balanceNotes(b Balance) []table.Note {
	var same, flat []string
	for _, r := range b.Rows {
		if !math.IsNaN(r.Before.SMD) {
			continue
		}
		if r.Before.MeanTreated == r.Before.MeanControl {
			same = append(same, r.Variable)
		} else {
			flat = append(flat, r.Variable)
		}
	}
	var notes []table.Note
	if len(same) > 0 {
		notes = append(notes, table.Note{
			Code: "constant-covariate", Args: map[string]any{"columns": same, "n": len(same)},
			Text: fmt.Sprintf("%d columns have no spread, so that no standardised difference exists.", len(same)),
		})
	}
	if len(flat) > 0 {
		notes = append(notes, table.Note{
			Code: "no-denominator", Args: map[string]any{"columns": flat, "n": len(flat), "denominator": b.Denominator},
			Text: fmt.Sprintf("%d columns differ between the groups but have no spread in the one whose SD is the denominator (%s); the pooled SD would exist.", len(flat), b.Denominator),
		})
	}
	return notes
}
