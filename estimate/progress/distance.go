package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// The measures of [DistanceIndex].
const (
	AUC              estimate.Measure = "auc"
	AUCDifference    estimate.Measure = "auc-difference"
	Brier            estimate.Measure = "brier-score"
	CalibrationRatio estimate.Measure = "calibration-slope"
	MeanOff          estimate.Measure = "calibration-in-the-large"
	CalibrationDrift estimate.Measure = "calibration-drift"
)

// DistanceSample are n people whose outcome is known and who did not take part: who is to be scored by the index has no part
// in making it.
type DistanceSample struct {
	Unit   []string
	Y      []float64 // 0 or 1
	S      []float64 // n×len(SNames) by rows: what is known on the way
	SNames []string
	X      []float64 // n×len(XNames) by rows: background
	XNames []string
	Fold   []int // n, from 0: a split made elsewhere; nil for none
	Groups map[string][]bool
	Year   []int // n: of entry; nil for none
	Level  float64
}

// DistanceIndex is the chance of a later outcome, given what is known on the way, as the distance to it: a penalised logistic
// regression on S and X, judged on people of folds that it was not fitted to, against the same on X alone. The penalty is a ridge on
// standardised columns, λ by cross-validation inside each fold: a column that tells the outcome for certain (separation) gets a finite weight.
//
// Estimates: auc,background and auc,index (auc), auc,gain (auc-difference), with DeLong's variance; brier (brier-score, no error); slope
// (calibration-slope: of logit P(Y=1) = a + b·logit p, tested against 1) and off (mean prediction less mean outcome). Details: quintiles
// ([]DistanceBin), groups (mean prediction less mean outcome), lambda (by fold), folds. With Year: drift (calibration-drift: slope of
// prediction less outcome on the year of entry, HC0), years ([]DistanceYear): an index that was made of some years and is off in others
// is out of date. The areas have logit intervals, the others normal ones.
//
// The index is for groups: it says nothing certain of one person, is not for choosing who gets what, and changes of it over time hold
// regression to the mean.
//
// Errors: [estimate.ErrInvalidFrame]; [estimate.ErrTooFew] under 10 of either outcome.
//
// Friedman, Hastie and Tibshirani (2010); DeLong, DeLong and Clarke-Pearson (1988).
type DistanceIndex struct {
	Folds   int // at least 2, unless the sample has folds
	Seed    uint64
	Lambda  float64 // of the ridge; 0 chooses by cross-validation
	Workers int     // never changes a result
}

// A DistanceBin is a fifth of the people by their prediction.
type DistanceBin struct {
	Persons   int     `json:"persons"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

// A DistanceYear is the people who entered in a year.
type DistanceYear struct {
	Year      int     `json:"year"`
	Persons   int     `json:"persons"`
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
}

// Fit judges the index.
func (e DistanceIndex) Fit(ctx context.Context, s *DistanceSample) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("distance index: %w", err)
	}
	return res, nil
}

func (e DistanceIndex) check(s *DistanceSample) error {
	n := len(s.Unit)
	f := &estimate.Frame{Unit: s.Unit, Y: s.Y, Level: s.Level}
	if err := f.Check(); err != nil {
		return err
	}
	switch {
	case len(s.SNames) == 0 || len(s.S) != n*len(s.SNames) || len(s.X) != n*len(s.XNames):
		return invalid("%d persons, %d and %d columns, %d and %d values", n, len(s.SNames), len(s.XNames), len(s.S), len(s.X))
	case s.Fold != nil && (len(s.Fold) != n || e.Folds != 0 || e.Seed != 0):
		return invalid("a split made elsewhere has a fold for each person, and takes neither a number of folds nor a seed")
	case s.Year != nil && len(s.Year) != n:
		return invalid("%d years of entry for %d persons", len(s.Year), n)
	case s.Fold == nil && e.Folds < 2:
		return invalid("%d folds, at least 2", e.Folds)
	case e.Lambda < 0 || math.IsNaN(e.Lambda) || math.IsInf(e.Lambda, 0):
		return invalid("the penalty must be finite and at least 0")
	}
	events := 0
	for i, y := range s.Y {
		if y != 0 && y != 1 {
			return &estimate.RowError{Row: i, Err: invalid("the outcome is 0 or 1")}
		}
		if y == 1 {
			events++
		}
	}
	for _, v := range append(slices.Clone(s.S), s.X...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return invalid("a column holds a value that is not finite")
		}
	}
	if min(events, n-events) < MinExits {
		return fmt.Errorf("%w: %d persons with one of the outcomes, at least %d are needed", estimate.ErrTooFew, min(events, n-events), MinExits)
	}
	for name, in := range s.Groups {
		if len(in) != n {
			return invalid("group %q has %d marks for %d persons", name, len(in), n)
		}
	}
	return nil
}

func (e DistanceIndex) fit(ctx context.Context, s *DistanceSample) (*estimate.Result, error) {
	if err := e.check(s); err != nil {
		return nil, err
	}
	order := byUnit(s.Unit)
	n := len(order)
	for k := 1; k < n; k++ {
		if s.Unit[order[k]] == s.Unit[order[k-1]] {
			return nil, &estimate.RowError{Row: order[k], Err: invalid("a unit comes twice")}
		}
	}
	fold, folds := e.split(s, order)
	y := make([]float64, n)
	for k, i := range order {
		y[k] = s.Y[i]
	}
	with, without := len(s.XNames)+len(s.SNames)+1, len(s.XNames)+1
	var both, base []float64
	for _, i := range order {
		row := append([]float64{1}, s.X[i*len(s.XNames):(i+1)*len(s.XNames)]...)
		base = append(base, row...)
		both = append(append(both, row...), s.S[i*len(s.SNames):(i+1)*len(s.SNames)]...)
	}
	p, lambda, err := e.predict(ctx, both, with, y, fold, folds)
	if err != nil {
		return nil, err
	}
	q, _, err := e.predict(ctx, base, without, y, fold, folds)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "distance-index", N: estimate.Counts{Units: n}, Fit: estimate.Convergence{Converged: true},
		Details: map[string]any{"lambda": lambda, "folds": folds, "quintiles": quintiles(p, y), "vcov": "DeLong; predictions as given"}}
	a, b := newROC(p, y), newROC(q, y)
	put := func(term string, m estimate.Measure, v, se, null float64) {
		est := estimate.Wald(term, m, v-null, se, math.Inf(1), s.Level)
		est.Value, est.Test.Null = v, null
		est.CI.Lo, est.CI.Hi = est.CI.Lo+null, est.CI.Hi+null
		res.Estimates = append(res.Estimates, est)
	}
	area := func(term string, v, se float64) {
		put(term, AUC, v, se, .5)
		res.Estimates[len(res.Estimates)-1].CI = survive.Logit(v, se, s.Level)
	}
	area("auc,background", b.auc, b.against(nil))
	area("auc,index", a.auc, a.against(nil))
	put("auc,gain", AUCDifference, a.auc-b.auc, a.against(b), 0)
	squares, off := make([]float64, n), make([]float64, n)
	x := make([]float64, 0, 2*n)
	for k := range y {
		off[k] = p[k] - y[k]
		squares[k] = off[k] * off[k]
		c := clampShare(p[k])
		x = append(x, 1, math.Log(c/(1-c)))
		res.N.Events += int(y[k])
	}
	res.Estimates = append(res.Estimates, estimate.Estimate{Term: "brier", Measure: Brier, Value: num.Sum(squares) / float64(n), SE: math.NaN(), CI: noInterval(), Test: noTest()})
	slope, se := math.NaN(), math.NaN()
	if fit, err := num.Logit(num.LogitData{N: n, K: 2, X: x, Y: y, Workers: e.Workers}); err == nil {
		slope, se = fit.Coef[1], math.Sqrt(fit.Cov.At(1, 1))
	}
	put("slope", CalibrationRatio, slope, se, 1)
	mean := num.Sum(off) / float64(n)
	for k := range off {
		off[k] = (off[k] - mean) * (off[k] - mean)
	}
	put("off", MeanOff, mean, math.Sqrt(num.Sum(off))/float64(n), 0)
	if s.Year != nil {
		slope, se := drift(s, order, p, y)
		put("drift", CalibrationDrift, slope, se, 0)
		res.Details["years"] = byYear(s, order, p, y)
	}
	groups := map[string]float64{}
	for name, in := range s.Groups {
		sum, people := 0.0, 0.0
		for k, i := range order {
			if in[i] {
				sum, people = sum+p[k]-y[k], people+1
			}
		}
		groups[name] = sum / people
	}
	res.Details["groups"] = groups
	res.Notes = append(res.Notes, table.Note{Code: "index-of-groups", Text: "The index is for groups: of one person it says nothing certain, and it is not for choosing who gets what."})
	return res, nil
}

// split gives folds by the keyed hash of the unit, those with the outcome and those without in turn.
func (e DistanceIndex) split(s *DistanceSample, order []int) ([]int32, int) {
	fold := make([]int32, len(order))
	folds := e.Folds
	if s.Fold != nil {
		for k, i := range order {
			fold[k] = int32(s.Fold[i])
			folds = max(folds, s.Fold[i]+1)
		}
		return fold, folds
	}
	key := num.NewStream(e.Seed, "distance-index", 0).Uint64()
	hash := make([]uint64, len(order))
	for k, i := range order {
		hash[k] = num.KeyedHash(key, s.Unit[i])
	}
	next := [2]int{}
	for _, k := range num.OrderKeys(hash) {
		a := int(s.Y[order[k]])
		fold[k] = int32(next[a] % folds)
		next[a]++
	}
	return fold, folds
}

// predict gives each person's chance by the fit without its fold, and the penalties.
func (e DistanceIndex) predict(ctx context.Context, x []float64, width int, y []float64, fold []int32, folds int) ([]float64, []float64, error) {
	p, lambdas := make([]float64, len(y)), make([]float64, folds)
	for f := range folds {
		var z, out []float64
		var inner []int32
		here := 0
		for k := range y {
			if int(fold[k]) == f {
				here++
				continue
			}
			z, out = append(z, x[k*width:(k+1)*width]...), append(out, y[k])
			inner = append(inner, int32(len(inner)%5))
		}
		if here == 0 || here == len(y) {
			return nil, nil, invalid("fold %d has nobody, or everybody", f+1)
		}
		if slices.Min(out) == slices.Max(out) {
			return nil, nil, fmt.Errorf("%w: without one fold everybody has the same outcome", estimate.ErrTooFew)
		}
		coef := make([]float64, width)
		if width == 1 {
			m := num.Sum(out) / float64(len(out))
			coef[0] = math.Log(m / (1 - m))
		} else {
			d := num.PenalisedData{N: len(out), K: width, X: z, Y: out, Workers: e.Workers}
			if e.Lambda > 0 {
				d.Lambda = []float64{e.Lambda}
			} else {
				d.Fold, d.Folds = inner, 5
			}
			fit, err := num.PenalisedLogit(ctx, d)
			if err != nil {
				return nil, nil, err
			}
			coef, lambdas[f] = fit.Coef[fit.Best], fit.Lambda[fit.Best]
		}
		for k := range y {
			if int(fold[k]) == f {
				p[k] = num.LogitLink.Mean(num.Dot(x[k*width:(k+1)*width], coef))
			}
		}
	}
	return p, lambdas, nil
}
