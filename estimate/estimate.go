// Package estimate says what an effect is: the frame an estimator reads, the
// estimate it gives, and the influence function that lets later code aggregate,
// cluster or bootstrap the estimate correctly. Each family of estimators is a
// sub-package: effect (individuals), panel (municipalities), survive (time to
// event and states), progress (the open question).
package estimate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/table"
)

// Errors that any estimator may wrap. Test with [errors.Is].
var (
	ErrNoTreated     = errors.New("no treated units")
	ErrNoControls    = errors.New("no comparison units")
	ErrTooFew        = errors.New("too few units")
	ErrCollinear     = errors.New("collinear columns")
	ErrNotConverged  = errors.New("did not converge")
	ErrSeparated     = errors.New("perfect separation")
	ErrWeights       = errors.New("weights of a kind this method cannot use")
	ErrNotIdentified = errors.New("not identified by these data")
	ErrInvalidFrame  = errors.New("invalid frame")
)

// A Measure names the scale of a number: the scale is part of the number.
type Measure string

// The measures. A term with a log scale says so in its measure.
const (
	MeanDifference     Measure = "mean-difference"
	RiskDifference     Measure = "risk-difference"
	Coefficient        Measure = "coefficient"
	LogOddsRatio       Measure = "log-odds-ratio"
	LogHazardRatio     Measure = "log-hazard-ratio"
	Mean               Measure = "mean"
	Survival           Measure = "survival"
	Occupation         Measure = "occupation-probability"
	RestrictedMeanTime Measure = "restricted-mean-time"
	NetMonths          Measure = "net-months"
	WinMonths          Measure = "win-months"
	LossMonths         Measure = "loss-months"
	WinProbability     Measure = "win-probability"
	LossProbability    Measure = "loss-probability"
)

// Interval is a confidence interval; level and method cannot drift from the bounds.
type Interval struct {
	Lo, Hi float64
	Level  float64 // two-sided, e.g. 0.95; 0 means no interval exists
	Method string  // "normal", "t", "log", "uniform-band", …
}

// Test is a test of the value Null.
type Test struct {
	Stat, DF, P float64 // DF = +Inf for the normal distribution; NaN where there is none
	Null        float64
}

// Estimate is one number with its uncertainty. Value, SE, CI and Test are on the
// scale that Measure names. SE is NaN where no standard error exists (a reference
// period, say); the estimate's result then carries a note that says why.
type Estimate struct {
	Term      string
	Measure   Measure
	Value, SE float64
	CI        Interval
	Test      Test
}

// HasSE reports whether the estimate has a standard error.
func (e Estimate) HasSE() bool { return !math.IsNaN(e.SE) }

// Certain reports whether the interval has no width: nothing varied in the data, which
// does not make the number certain. Whoever shows estimates leaves such an interval out.
func (e Estimate) Certain() bool { return e.SE == 0 && e.CI.Lo == e.CI.Hi }

// Wald builds the estimate of a term from its value and standard error, with the
// interval value ± q·SE and the two-sided test of 0, on df degrees of freedom of
// Student's t; df = +Inf gives the normal distribution. A standard error of 0 or
// NaN gives a test without p-value; of NaN an interval without bounds, of 0 one without
// width ([Estimate.Certain]), which nobody is shown.
func Wald(term string, m Measure, value, se, df, level float64) Estimate {
	e := Estimate{Term: term, Measure: m, Value: value, SE: se, Test: Test{Stat: math.NaN(), DF: df, P: math.NaN()}}
	method := "t"
	if math.IsInf(df, 1) {
		method = "normal"
	}
	e.CI = Interval{Lo: math.NaN(), Hi: math.NaN(), Level: level, Method: method}
	if math.IsNaN(se) || se < 0 {
		e.SE = math.NaN()
		return e
	}
	q := num.StudentQuantile(level, df)
	e.CI.Lo, e.CI.Hi = value-float64(q*se), value+float64(q*se)
	if se > 0 {
		e.Test.Stat = value / se
		e.Test.P = num.StudentTail(e.Test.Stat, df)
	}
	return e
}

// WeightKind says what a weight means. A kind is never guessed.
type WeightKind string

// The kinds of weights.
const (
	NoWeights WeightKind = ""
	Frequency WeightKind = "frequency" // the row stands for so many identical units
	Sampling  WeightKind = "sampling"  // inverse probability of being in the data
	Matching  WeightKind = "matching"  // made by the design: sets or propensity
)

// Weights are n numbers ≥ 0 of one kind; nil Values with NoWeights means all 1.
type Weights struct {
	Kind   WeightKind
	Values []float64
}

// Frame is what an estimator of individual effects reads: n units, row-aligned,
// read-only in Fit. [Frame.Check] is called by every Fit.
type Frame struct {
	Unit    []string   // n, unique
	Y       []float64  // n, outcome units
	Treated []bool     // n; nil where the method has no treatment
	X       *mat.Dense // n×k, no intercept; nil if none
	XNames  []string   // k
	Weight  Weights
	Set     []int // n, dense from 0; -1 = in no set; nil if unmatched
	Cluster []int // n, dense from 0; nil if independent
	Level   float64
}

// Check reports the first way in which the frame breaks its contract, as an error
// that wraps [ErrInvalidFrame].
func (f *Frame) Check() error {
	n := len(f.Y)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case n == 0:
		return bad("no rows")
	case len(f.Unit) != n:
		return bad("%d units for %d outcomes", len(f.Unit), n)
	case f.Treated != nil && len(f.Treated) != n:
		return bad("%d treatment marks for %d outcomes", len(f.Treated), n)
	case f.Set != nil && len(f.Set) != n:
		return bad("%d set numbers for %d outcomes", len(f.Set), n)
	case f.Cluster != nil && len(f.Cluster) != n:
		return bad("%d cluster numbers for %d outcomes", len(f.Cluster), n)
	case f.Weight.Values != nil && len(f.Weight.Values) != n:
		return bad("%d weights for %d outcomes", len(f.Weight.Values), n)
	case (f.Weight.Values == nil) != (f.Weight.Kind == NoWeights):
		return bad("weights without a kind, or a kind without weights")
	case !(f.Level > 0 && f.Level < 1):
		return bad("confidence level %v is not between 0 and 1", f.Level)
	}
	for i, v := range f.Y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return bad("outcome of row %d is not a finite number", i+1)
		}
	}
	for i, v := range f.Weight.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return bad("weight of row %d is not a finite number of at least 0", i+1)
		}
	}
	if f.X != nil {
		r, k := f.X.Dims()
		if r != n || k != len(f.XNames) {
			return bad("covariates are %d×%d, %d×%d expected", r, k, n, len(f.XNames))
		}
		first := make([]int, (n+num.Chunk-1)/num.Chunk) // of each chunk, row of the first such number + 1
		num.ForChunks(n, 0, func(c, lo, hi int) {
			for i := lo; i < hi && first[c] == 0; i++ {
				for _, v := range f.X.RawRowView(i) {
					if !(math.Abs(v) <= math.MaxFloat64) {
						first[c] = i + 1
						break
					}
				}
			}
		})
		for _, i := range first {
			for j := 0; i > 0 && j < k; j++ {
				if v := f.X.At(i-1, j); math.IsNaN(v) || math.IsInf(v, 0) {
					return bad("covariate %q of row %d is not a finite number", f.XNames[j], i)
				}
			}
		}
	}
	return nil
}

// Counts says how many of what an estimate rests on. Fields that do not apply are 0.
type Counts struct {
	Units, Treated, Sets, Clusters, Events int
}

// Convergence is the record of an iterative fit; a closed form has Converged true and no iterations.
type Convergence struct {
	Converged  bool
	Iterations int
	Tolerance  float64 // reached, on the criterion that the method documents
}

// Result is what a method gives: estimates in its documented order, their joint
// covariance, and the influence function.
type Result struct {
	Method    string
	Estimates []Estimate
	Cov       *mat.SymDense // same order as Estimates; nil if undefined
	// Influence is n×len(Estimates), already divided by n: with independent units
	// SE² = Σᵢ Influence[i]² up to the finite-sample factor the method documents.
	// Row i belongs to InfluenceUnit[i].
	Influence     *mat.Dense
	InfluenceUnit []string
	N             Counts
	Fit           Convergence
	Details       map[string]any // method's own, JSON-ready, keys documented per method
	Notes         []table.Note
}

// Estimator is a method: one struct each, its exported fields are its options and
// its zero value is usable unless its documentation says otherwise.
type Estimator interface {
	Fit(ctx context.Context, f *Frame) (*Result, error)
}

// RowError is an error about one row of the data: whoever read the file turns the
// row into a line of it.
type RowError = table.RowError
