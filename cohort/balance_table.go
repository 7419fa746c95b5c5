package cohort

import "math"

// Balance compares the groups before and after the design.
type Balance struct {
	// Denominator says what a standardised mean difference is divided by.
	Denominator string
	Rows        []BalanceRow
	// Effective sample size (Kish) by group, after weighting; without weights the
	// numbers of units.
	ESSTreated, ESSControl float64
	// Others are the further designs of BalanceOptions.Others, in that order.
	Others []DesignSize
}

// DesignSize is a design beside the first, with its effective sample size by group.
type DesignSize struct {
	Name                   string
	ESSTreated, ESSControl float64
}

// RowKind says what a row of a balance table is about.
type RowKind string

// Kinds of rows.
const (
	ScoreRow       RowKind = "score"       // the distance of the design
	NumberRow      RowKind = "number"      // a number column
	LevelRow       RowKind = "level"       // a level of a category: its share
	MissingRow     RowKind = "missing"     // the share of units without a value
	SquareRow      RowKind = "square"      // the square of a number column
	InteractionRow RowKind = "interaction" // the product of two columns, or levels of them
)

// BalanceRow is one covariate (a level of one, for categories). Numbers that are
// not defined are NaN: the variance ratio of a binary column, for example.
type BalanceRow struct {
	// Variable names the row: column, column[level], column[missing], column^2, or two
	// of the first joined by *. Column and Level are its parts, so that a caller who may
	// not print a level can write the name of the column alone; Column2 and Level2 are
	// those of the second factor of an interaction.
	Variable        string
	Kind            RowKind
	Column, Level   string
	Column2, Level2 string
	// Binary says that the row is of a level, of missing values, or of numbers that are
	// all 0 or 1: means are shares.
	Binary bool
	// Treated and Control count the units with a value, whatever their weight.
	Treated, Control int
	Before, After    BalanceStat
	Others           []BalanceStat // by the designs of Balance.Others
}

// BalanceStat compares the distribution of one covariate in two groups.
type BalanceStat struct {
	MeanTreated, MeanControl float64
	SMD                      float64 // standardised mean difference; the denominator is Balance.Denominator, before and after
	VarianceRatio            float64 // treated over control; NaN for binary columns
	ECDFMean, ECDFMax        float64 // mean and largest distance between the empirical distribution functions; the largest is the Kolmogorov–Smirnov statistic
	PairDistance             float64 // mean distance within pairs over the denominator of SMD; NaN where no pairs are given
	Overlap                  float64 // overlap coefficient, from 0 (nothing in common) to 1 (alike)
}

// missingStat is the stat of a design that there is not.
func missingStat() BalanceStat {
	nan := math.NaN()
	return BalanceStat{nan, nan, nan, nan, nan, nan, nan, nan}
}

// SmallSMD is the usual limit below which an imbalance is called small.
const SmallSMD = 0.1

// BalanceSummary is the largest and the mean imbalance of a table. Rows of the score
// are not in it.
type BalanceSummary struct {
	Rows      int     // with a standardised difference
	Threshold float64 // of Above
	Above     int     // rows whose |SMD| exceeds Threshold
	MaxSMD    float64 // largest |SMD|; NaN without a row
	MaxSMDRow int     // its place in Rows of the table; -1 without one
	MeanSMD   float64 // mean |SMD|; NaN without a row
	MaxKS     float64
	MaxKSRow  int
	// Undefined counts rows whose means differ although they have no standardised
	// difference, because nobody in the group of the denominator differs from the
	// others, and rows without a value in one of the groups: a gate must not take them for balance.
	Undefined int
}

// SummaryBefore summarises the table before the design.
func (b Balance) SummaryBefore(threshold float64) BalanceSummary {
	return b.summary(threshold, func(r BalanceRow) BalanceStat { return r.Before })
}

// SummaryAfter summarises the table after the design; without one no row has a number
// and all are Undefined.
func (b Balance) SummaryAfter(threshold float64) BalanceSummary {
	return b.summary(threshold, func(r BalanceRow) BalanceStat { return r.After })
}

// SummaryOther summarises the table after the k-th of the designs beside the first.
func (b Balance) SummaryOther(k int, threshold float64) BalanceSummary {
	return b.summary(threshold, func(r BalanceRow) BalanceStat { return r.Others[k] })
}

func (b Balance) summary(threshold float64, of func(BalanceRow) BalanceStat) BalanceSummary {
	s := BalanceSummary{Threshold: threshold, MaxSMD: math.NaN(), MeanSMD: math.NaN(), MaxKS: math.NaN(), MaxSMDRow: -1, MaxKSRow: -1}
	sum := 0.0
	for i, r := range b.Rows {
		if r.Kind == ScoreRow {
			continue
		}
		v := of(r)
		if !(v.ECDFMax <= s.MaxKS) && !math.IsNaN(v.ECDFMax) {
			s.MaxKS, s.MaxKSRow = v.ECDFMax, i
		}
		d := math.Abs(v.SMD)
		if math.IsNaN(d) {
			if v.MeanTreated != v.MeanControl { // or one of them does not exist
				s.Undefined++
			}
			continue
		}
		s.Rows++
		sum += d
		if !(d <= s.MaxSMD) {
			s.MaxSMD, s.MaxSMDRow = d, i
		}
		if d > threshold {
			s.Above++
		}
	}
	if s.Rows > 0 {
		s.MeanSMD = sum / float64(s.Rows)
	}
	return s
}
