package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// Measures of costs against effects.
const (
	CostPerUnit     estimate.Measure = "cost-per-unit"
	NetBenefitMoney estimate.Measure = "incremental-net-benefit"
	Acceptability   estimate.Measure = "acceptability"
)

// CostAndEffect are a difference in costs and an effect of the same people, with their influence functions.
type CostAndEffect struct {
	Unit                           []string // n
	Cost, Effect                   float64
	CostInfluence, EffectInfluence []float64 // n; 0 for who takes no part
	Cluster                        []int     // n, dense from 0; nil if persons are independent
	Level                          float64
}

// CostPerEffect estimates what one more unit of effect costs, ρ = Δc/Δe, with Fieller's set, and the net benefit
// λΔe − Δc at declared prices λ.
//
// Estimates: ratio (cost-per-unit; no standard error, and an interval only where Fieller's set is one), then for each
// Willingness L willingness=L (incremental-net-benefit) and willingness=L (acceptability, Φ(benefit/se), no test).
//
// Details: fieller (Fieller), words (CostWords), cost and effect (WithError), their correlation, acceptability ([]AcceptabilityPoint), vcov.
//
// Errors: [estimate.ErrInvalidFrame]; [estimate.ErrNotIdentified] for an effect of 0 or numbers without spread.
type CostPerEffect struct {
	Willingness []float64 // prices of a unit of effect, above 0, each once
	Workers     int       // goroutines; 0 means all cores. Never changes a result
}

// FiellerShape says what kind of set of ratios the data allow.
type FiellerShape string

// The shapes of Fieller's set.
const (
	FiellerInterval   FiellerShape = "interval"   // from Low to High
	FiellerComplement FiellerShape = "complement" // all numbers but those between Low and High
	FiellerLine       FiellerShape = "line"       // all numbers
)

// Fieller is a set of ratios that the data allow at a level. Low and High are NaN for the whole line.
type Fieller struct {
	Shape     FiellerShape
	Low, High float64
}

// MarshalJSON writes an end that does not exist as null.
func (f Fieller) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Shape FiellerShape `json:"shape"`
		Low   *float64     `json:"low"`
		High  *float64     `json:"high"`
	}{f.Shape, orNull(f.Low), orNull(f.High)})
}

// WithError is a number with its standard error.
type WithError struct {
	Value    float64 `json:"value"`
	StdError float64 `json:"std_error"`
}

// CostWords is what a cost per unit of effect may be said to be.
type CostWords string

// What may be said of costs and effects.
const (
	CostsDearer    CostWords = "dearer"    // more effect, at more cost
	CostsCheaper   CostWords = "cheaper"   // more effect, at less cost
	CostsEither    CostWords = "either"    // more effect; cost may be more or less
	CostsLoss      CostWords = "loss"      // less effect: a cost per unit is no price
	CostsUnbounded CostWords = "unbounded" // the effect cannot be told from 0
)

// AcceptabilityPoint is a row of details.acceptability.
type AcceptabilityPoint struct {
	Willingness float64 `json:"willingness"`
	Probability float64 `json:"probability"`
}

// curveSteps is the number of prices of the acceptability curve above 0.
const curveSteps = 40

// FiellerSet is {ρ: (y − ρx)² ≤ z²(vy − 2ρ·vxy + ρ²·vx)}.
func FiellerSet(y, x, vy, vxy, vx, z float64) Fieller {
	a := float64(x*x) - float64(z*z*vx)
	b := float64(y*x) - float64(z*z*vxy)
	c := float64(y*y) - float64(z*z*vy)
	d := float64(b*b) - float64(a*c)
	nan := math.NaN()
	if a == 0 { // one root, the other at infinity
		switch root := c / (2 * b); {
		case b > 0:
			return Fieller{FiellerComplement, math.Inf(-1), root}
		case b < 0:
			return Fieller{FiellerComplement, root, math.Inf(1)}
		}
		return Fieller{FiellerLine, nan, nan}
	}
	if d < 0 || a < 0 && d == 0 {
		return Fieller{FiellerLine, nan, nan}
	}
	q := b + math.Copysign(math.Sqrt(d), b) // no cancellation
	one, two := q/a, c/q
	if q == 0 {
		one, two = 0, 0
	}
	f := Fieller{FiellerInterval, min(one, two), max(one, two)}
	if a < 0 {
		f.Shape = FiellerComplement
	}
	return f
}

// words is what may be said of a set of ratios with this effect.
func (f Fieller) words(effect float64) CostWords {
	switch {
	case f.Shape != FiellerInterval:
		return CostsUnbounded
	case effect < 0:
		return CostsLoss
	case f.Low > 0:
		return CostsDearer
	case f.High < 0:
		return CostsCheaper
	}
	return CostsEither
}

// Fit estimates from a cost and an effect, which it does not change.
func (e CostPerEffect) Fit(ctx context.Context, j *CostAndEffect) (*estimate.Result, error) {
	res, err := e.fit(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("cost per unit of effect: %w", err)
	}
	return res, nil
}

func (e CostPerEffect) check(j *CostAndEffect) error {
	n := len(j.Unit)
	f := &estimate.Frame{Unit: j.Unit, Y: make([]float64, n), Cluster: j.Cluster, Level: j.Level}
	if err := f.Check(); err != nil {
		return err
	}
	if len(j.CostInfluence) != n || len(j.EffectInfluence) != n {
		return fmt.Errorf("%w: %d and %d influences for %d persons", estimate.ErrInvalidFrame, len(j.CostInfluence), len(j.EffectInfluence), n)
	}
	for k, l := range e.Willingness {
		if !(l > 0) || math.IsInf(l, 1) || slices.Contains(e.Willingness[:k], l) {
			return fmt.Errorf("a price of %v: prices of a unit of effect must be finite, above 0, and asked for once", l)
		}
	}
	for _, v := range append([]float64{j.Cost, j.Effect}, append(slices.Clone(j.CostInfluence), j.EffectInfluence...)...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: a cost, an effect or their influence is not a finite number", estimate.ErrInvalidFrame)
		}
	}
	return nil
}

func (e CostPerEffect) fit(ctx context.Context, j *CostAndEffect) (*estimate.Result, error) {
	if err := e.check(j); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := len(j.Unit)
	inf, order := mat.NewDense(n, 2, nil), make([]int32, 0, n)
	units := 0
	for _, i := range byUnit(j.Unit) {
		inf.Set(int(i), 0, j.CostInfluence[i])
		inf.Set(int(i), 1, j.EffectInfluence[i])
		order = append(order, int32(i))
		if j.CostInfluence[i] != 0 || j.EffectInfluence[i] != 0 {
			units++
		}
	}
	cov, clusters, err := survive.Covariance(inf, order, j.Cluster, e.Workers)
	if err != nil {
		return nil, err
	}
	vc, vce, ve := cov.At(0, 0), cov.At(0, 1), cov.At(1, 1)
	if !(ve > 0 && vc > 0) || j.Effect == 0 {
		return nil, fmt.Errorf("%w: costs or effects without spread, or no effect at all: there is no cost per unit", estimate.ErrNotIdentified)
	}
	z := num.StudentQuantile(j.Level, math.Inf(1))
	set := FiellerSet(j.Cost, j.Effect, vc, vce, ve, z)
	res := &estimate.Result{Method: "cost-per-effect", InfluenceUnit: j.Unit, N: estimate.Counts{Units: units, Clusters: clusters}, Fit: estimate.Convergence{Converged: true}}
	ratio := estimate.Estimate{Term: "ratio", Measure: CostPerUnit, Value: j.Cost / j.Effect, SE: math.NaN(), CI: noInterval(), Test: noTest()}
	if set.Shape == FiellerInterval {
		ratio.CI = estimate.Interval{Lo: set.Low, Hi: set.High, Level: j.Level, Method: "fieller"}
	} else {
		res.Notes = append(res.Notes, table.Note{Code: "no-ratio-interval", Args: map[string]any{"shape": string(set.Shape)},
			Text: "The effect cannot be told from 0, so that the cost of a unit of it has no interval: almost any number fits the data."})
	}
	if j.Effect < 0 {
		res.Notes = append(res.Notes, table.Note{Code: "ratio-of-loss", Text: "The effect is below 0: the ratio is what is paid or saved for a unit lost, no price of a gain."})
	}
	res.Estimates = []estimate.Estimate{ratio}
	columns := [][]float64{make([]float64, n)}
	for i := range n {
		columns[0][i] = (j.CostInfluence[i] - float64(ratio.Value*j.EffectInfluence[i])) / j.Effect
	}
	benefit := func(l float64) estimate.Estimate {
		v := vc - float64(2*l*vce) + float64(l*l*ve)
		return estimate.Wald("willingness="+survive.FormatTime(l), NetBenefitMoney, float64(l*j.Effect)-j.Cost, math.Sqrt(max(v, 0)), math.Inf(1), j.Level)
	}
	for _, l := range e.Willingness {
		b := benefit(l)
		res.Estimates = append(res.Estimates, b,
			estimate.Estimate{Term: b.Term, Measure: Acceptability, Value: acceptable(b), SE: math.NaN(), CI: noInterval(), Test: noTest()})
		gain := make([]float64, n)
		for i := range n {
			gain[i] = float64(l*j.EffectInfluence[i]) - j.CostInfluence[i]
		}
		columns = append(columns, gain, make([]float64, n))
	}
	res.Influence = mat.NewDense(n, len(columns), nil)
	for a, c := range columns {
		res.Influence.SetCol(a, c)
	}
	curve := []AcceptabilityPoint{}
	if len(e.Willingness) > 0 {
		top := 2 * slices.Max(e.Willingness)
		for k := range curveSteps + 1 {
			l := top * float64(k) / curveSteps
			curve = append(curve, AcceptabilityPoint{l, acceptable(benefit(l))})
		}
	}
	res.Details = map[string]any{"fieller": set, "words": set.words(j.Effect), "acceptability": curve, "vcov": "influence",
		"cost": WithError{j.Cost, math.Sqrt(vc)}, "effect": WithError{j.Effect, math.Sqrt(ve)}, "correlation": vce / math.Sqrt(vc*ve)}
	if clusters > 0 {
		res.Details["vcov"] = "influence, clustered, factor G/(G-1)"
	}
	return res, nil
}

// acceptable is Φ(B/se): one less the one-sided p-value of a net benefit above 0.
func acceptable(b estimate.Estimate) float64 {
	if math.IsNaN(b.Test.Stat) {
		return math.NaN()
	}
	p := num.NormalTail(b.Test.Stat) / 2
	if b.Test.Stat > 0 {
		return 1 - p
	}
	return p
}
