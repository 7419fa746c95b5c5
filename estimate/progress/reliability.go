package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// Measures of how well an instrument measures.
const (
	ReliabilityCoefficient estimate.Measure = "reliability"
	MeasurementError       estimate.Measure = "standard-error-of-measurement"
	DetectableChange       estimate.Measure = "smallest-detectable-change"
	ImportantChange        estimate.Measure = "minimal-important-change"
)

// Scores are the answers of n persons, one row each without missing values.
type Scores struct {
	Unit   []string   // n, unique
	X      *mat.Dense // n×k items or raters; nil if only the important change is wanted
	Names  []string   // k
	Raters bool       // columns are raters (or occasions) of one thing, not items of a scale
	Change []float64  // n, change of the score; nil without anchor
	Anchor []bool     // n, important improvement by the person's own word; nil without change
	Level  float64
}

// Reliability says how reliable a score is and which change of it means something.
//
// Items: alpha (Cronbach), omega (McDonald's total of one factor by maximum likelihood; NaN
// below three items), sem = SD·√(1−alpha), sdc = 1.96·√2·sem, with standard errors from the
// influence function. Raters: icc-1-1, icc-2-1, icc-3-1, icc-1-k, icc-2-k, icc-3-k (Shrout and
// Fleiss) with exact F intervals (McGraw and Wong), sem and sdc of agreement, sem-consistency
// and sdc-consistency; standard errors by the delta method under normality, no influence
// function. With an anchor: mic (predictive) and mic-adjusted (Terluin), NaN with a
// note unless 20 to 80 % improved and the anchor correlates at least .3 with the change.
//
// Details: items: item_rest, sd_total, loadings, uniquenesses; raters: mean_squares, df;
// anchor: mic ([MICFit]).
//
// Errors: [estimate.ErrTooFew] below 3 persons or 2 columns; [estimate.ErrNotIdentified] if
// all answers of an item, or of everybody, are the same; [estimate.ErrInvalidFrame].
type Reliability struct {
	Workers int // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from scores, which it does not change.
func (e Reliability) Fit(ctx context.Context, s *Scores) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("reliability: %w", err)
	}
	return res, nil
}

type reliabilityFit struct {
	s     *Scores
	order []int // persons in byte order of unit
	res   *estimate.Result
	inf   [][]float64 // by estimate, persons in the order given
}

func (e Reliability) fit(ctx context.Context, s *Scores) (*estimate.Result, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	f := &reliabilityFit{s: s, order: byUnit(s.Unit), res: &estimate.Result{
		Method: "reliability", InfluenceUnit: s.Unit, N: estimate.Counts{Units: len(s.Unit)},
		Fit: estimate.Convergence{Converged: true}, Details: map[string]any{},
	}}
	var err error
	switch {
	case s.X == nil:
	case s.Raters:
		err = f.raters()
	default:
		err = f.items()
	}
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.Anchor != nil {
		if err := f.important(e.Workers); err != nil {
			return nil, err
		}
	}
	if s.X != nil && s.Raters { // raters are sampled too: no influence function over persons
		return f.res, nil
	}
	n, m := len(s.Unit), len(f.inf)
	f.res.Influence = mat.NewDense(n, m, nil)
	order := make([]int32, n)
	for a, col := range f.inf {
		for i, v := range col {
			f.res.Influence.Set(i, a, v)
		}
	}
	for r, i := range f.order {
		order[r] = int32(i)
	}
	f.res.Cov, _, err = survive.Covariance(f.res.Influence, order, nil, e.Workers)
	return f.res, err
}

func (s *Scores) check() error {
	n := len(s.Unit)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case s.X == nil && s.Anchor == nil:
		return bad("neither answers nor an anchor")
	case (s.Change == nil) != (s.Anchor == nil):
		return bad("a change and an anchor go together")
	case s.Anchor != nil && (len(s.Change) != n || len(s.Anchor) != n):
		return bad("%d changes and %d anchors for %d persons", len(s.Change), len(s.Anchor), n)
	case !(s.Level > 0 && s.Level < 1):
		return bad("confidence level %v is not between 0 and 1", s.Level)
	case n < 3:
		return fmt.Errorf("%w: %d persons; at least 3 are needed", estimate.ErrTooFew, n)
	}
	for i, v := range s.Change {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return &estimate.RowError{Row: i, Err: bad("the change is not a finite number")}
		}
	}
	if s.X == nil {
		return nil
	}
	rows, k := s.X.Dims()
	switch {
	case rows != n || k != len(s.Names):
		return bad("answers are %d×%d, %d×%d expected", rows, k, n, len(s.Names))
	case k < 2:
		return fmt.Errorf("%w: %d column; reliability needs 2 or more items or raters", estimate.ErrTooFew, k)
	}
	same := true
	for j, name := range s.Names {
		constant := true
		for i := range n {
			v := s.X.At(i, j)
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return &estimate.RowError{Row: i, Err: bad("column %q is not a finite number", name)}
			}
			constant = constant && v == s.X.At(0, j)
		}
		same = same && constant
		if constant && !s.Raters {
			return fmt.Errorf("%w: all answers to %q are the same (floor or ceiling), so that it tells nothing; leave it out", estimate.ErrNotIdentified, name)
		}
	}
	if same {
		return fmt.Errorf("%w: each rater gives everybody the same value, so that persons cannot be told apart", estimate.ErrNotIdentified)
	}
	return nil
}

func (f *reliabilityFit) note(code, text string, args map[string]any) {
	f.res.Notes = append(f.res.Notes, table.Note{Code: code, Text: text, Args: args})
}

// sum adds over persons in byte order of unit.
func (f *reliabilityFit) sum(g func(i int) float64) float64 {
	v := make([]float64, len(f.order))
	for r, i := range f.order {
		v[r] = g(i)
	}
	return num.Sum(v)
}

// record appends an estimate with its influence function. A coefficient has its interval on the
// log of 1 − value, what is above 0 on the log, else the normal one.
func (f *reliabilityFit) record(term string, m estimate.Measure, value float64, inf []float64) {
	se := math.Sqrt(f.sum(func(i int) float64 { return inf[i] * inf[i] }))
	f.inf = append(f.inf, inf)
	f.res.Estimates = append(f.res.Estimates, f.estimate(term, m, value, se))
}

func (f *reliabilityFit) estimate(term string, m estimate.Measure, value, se float64) estimate.Estimate {
	est := estimate.Estimate{Term: term, Measure: m, Value: value, SE: se, CI: noInterval(), Test: noTest()}
	if !(se > 0) || math.IsNaN(value) {
		est.SE = math.NaN()
		return est
	}
	switch m {
	case ReliabilityCoefficient:
		ci := logInterval(LogRatio{math.Log(1 - value), se / (1 - value)}, f.s.Level)
		est.CI = estimate.Interval{Lo: 1 - ci.Hi, Hi: 1 - ci.Lo, Level: f.s.Level, Method: "log(1-r)"}
	case MeasurementError, DetectableChange:
		est.CI = logInterval(LogRatio{math.Log(value), se / value}, f.s.Level)
	default:
		est.CI = estimate.Wald(term, m, value, se, math.Inf(1), f.s.Level).CI
	}
	return est
}

// detectable is 1.96·√2: a change beyond so many errors of measurement is not noise at 95 %.
func detectable() float64 { return num.NormalQuantile(0.975) * math.Sqrt2 }
