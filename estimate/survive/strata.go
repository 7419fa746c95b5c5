package survive

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// Stratified are times whose risk sets are kept apart by stratum.
type Stratified struct {
	Times
	Stratum []int // n, from 0; nil if one stratum
}

// Check is that of [Times.Check] and of the strata.
func (f *Stratified) Check() error {
	if err := f.Times.Check(); err != nil {
		return err
	}
	if f.Stratum != nil && len(f.Stratum) != len(f.Time) {
		return fmt.Errorf("%w: %d stratum numbers for %d times", estimate.ErrInvalidFrame, len(f.Stratum), len(f.Time))
	}
	for i, s := range f.Stratum {
		if s < 0 {
			return fmt.Errorf("%w: stratum number of row %d is negative", estimate.ErrInvalidFrame, i+1)
		}
	}
	return nil
}

// strata lists rows by stratum, strata in ascending order of their number and rows in
// the given order.
func strata(stratum []int, order []int32) [][]int32 {
	if stratum == nil {
		return [][]int32{order}
	}
	place := map[int]int{}
	var numbers []int
	for _, i := range order {
		if _, ok := place[stratum[i]]; !ok {
			place[stratum[i]] = 0
			numbers = append(numbers, stratum[i])
		}
	}
	slices.Sort(numbers)
	for p, s := range numbers {
		place[s] = p
	}
	out := make([][]int32, len(numbers))
	for _, i := range order {
		p := place[stratum[i]]
		out[p] = append(out[p], i)
	}
	return out
}

// byTime puts rows into the order of a time; rows of one time stay in the given order.
func byTime(time []float64, rows []int32) []int32 {
	t := make([]float64, len(rows))
	for k, i := range rows {
		t[k] = time[i]
	}
	out := make([]int32, len(rows))
	for k, r := range num.OrderFloats(t) {
		out[k] = rows[r]
	}
	return out
}

// allRows lists the rows with a weight above 0 as given.
func (f *Times) allRows() []int32 {
	order := make([]int32, len(f.Time))
	for i := range order {
		order[i] = int32(i)
	}
	return active(f.Weight.Values, order)
}

// chiSquare is x'V⁻x with its degrees of freedom where V is singular by construction: the
// groups that contribute (use) less one. It fails where V has no more rank than that.
func chiSquare(u []float64, v *mat.SymDense, use []bool) (stat float64, df int, err error) {
	var at []int
	for g, ok := range use {
		if ok {
			at = append(at, g)
		}
	}
	if len(at) < 2 {
		return 0, 0, fmt.Errorf("%w: fewer than two groups are at risk when an event happens", estimate.ErrNotIdentified)
	}
	at = at[1:]
	k := len(at)
	// Scaled to a unit diagonal, so that a pivot near 0 means groups that never meet.
	scale := make([]float64, k)
	b := make([]float64, k)
	for a, g := range at {
		if !(v.At(g, g) > 0) {
			return 0, 0, fmt.Errorf("%w: the groups are never at risk together", estimate.ErrNotIdentified)
		}
		scale[a] = math.Sqrt(v.At(g, g))
		b[a] = u[g] / scale[a]
	}
	s := mat.NewSymDense(k, nil)
	for a, g := range at {
		for c := a; c < k; c++ {
			s.SetSym(a, c, v.At(g, at[c])/(scale[a]*scale[c]))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(s) || chol.Cond() > 1e12 {
		return 0, 0, fmt.Errorf("%w: some groups are never at risk together with the others", estimate.ErrNotIdentified)
	}
	x := mat.NewVecDense(k, nil)
	if err := chol.SolveVecTo(x, mat.NewVecDense(k, b)); err != nil {
		return 0, 0, fmt.Errorf("%w: the variance of the test is singular", estimate.ErrNotIdentified)
	}
	for a := range at {
		stat += float64(b[a] * x.AtVec(a))
	}
	return stat, k, nil
}

// chiSquareTest builds the estimate of a test statistic: the value is the statistic.
func chiSquareTest(term string, stat float64, df int) estimate.Estimate {
	return estimate.Estimate{
		Term: term, Measure: ChiSquare, Value: stat, SE: math.NaN(),
		CI:   estimate.Interval{Lo: math.NaN(), Hi: math.NaN()},
		Test: estimate.Test{Stat: stat, DF: float64(df), P: num.ChiSquareTail(stat, float64(df))},
	}
}
