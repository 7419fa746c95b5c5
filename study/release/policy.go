// Package release decides what of a result may leave the room where the data are:
// disclosure control on typed values. Counts come first; a ratio, a mean or an
// effect is released only where the counts under it are. What is withheld is a
// value of its own, never zero and never empty, and is listed in the [Protocol].
//
// All rules are monotone (a larger minimum count never shows more), idempotent (a
// release of a release is the release), independent of the order of the rows, and
// blind to the size of an effect. METHODS.md holds each rule with its argument and
// what the rules do not protect against.
package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Errors of the package. Test with [errors.Is].
var (
	ErrPolicy = errors.New("invalid disclosure policy")
	ErrInput  = errors.New("counts that cannot be true")
)

// Defaults and the floor of a policy.
const (
	DefaultMinCount = 10
	DefaultRoundTo  = 5
	FloorMinCount   = 3
)

// fewestDF is the smallest number of residual degrees of freedom of an estimate
// that is shown.
const fewestDF = 10

// Policy says how few are too few. The zero value is the default policy.
type Policy struct {
	// MinCount is the smallest number of people (or other units) that is shown or
	// that a shown number may rest on, at least 3. Zero means 10.
	MinCount int
	// RoundTo is the base to which shown counts are rounded; 1 does not round. Zero
	// means 5.
	RoundTo int
}

// Resolve fills in the defaults and checks the ranges; the error wraps [ErrPolicy].
func (p Policy) Resolve() (Policy, error) {
	if p.MinCount == 0 {
		p.MinCount = DefaultMinCount
	}
	if p.RoundTo == 0 {
		p.RoundTo = DefaultRoundTo
	}
	if p.MinCount < FloorMinCount {
		return p, fmt.Errorf("%w: minimum count %d; at least %d is needed", ErrPolicy, p.MinCount, FloorMinCount)
	}
	if p.RoundTo < 1 || p.RoundTo > 1000 {
		return p, fmt.Errorf("%w: rounding base %d is not between 1 and 1000", ErrPolicy, p.RoundTo)
	}
	return p, nil
}

// Threshold is the number below which nothing is shown: MinCount, raised to the
// next multiple of RoundTo, because a count of 12 that is allowed by a minimum of
// 12 would be printed as 10, which is not. It panics on a policy that [Policy.Resolve] refuses.
func (p Policy) Threshold() int {
	p = p.must()
	return (p.MinCount + p.RoundTo - 1) / p.RoundTo * p.RoundTo
}

func (p Policy) must() Policy {
	r, err := p.Resolve()
	if err != nil {
		panic("release: " + err.Error())
	}
	return r
}

// round gives the multiple of RoundTo nearest to n, halves upwards.
func (p Policy) round(n int) int {
	b := p.must().RoundTo
	return (2*n + b) / (2 * b) * b
}

// small reports whether a cell of n is a cell that must not be known: 1..k-1.
func (p Policy) small(n int) bool { return n > 0 && n < p.Threshold() }

type state uint8

// The zero value withholds, so that a field nobody filled shows nothing.
const (
	suppressed state = iota
	shown
	zero
	undefined
)

// Count is a number of people that went through disclosure control. Its zero value
// is suppressed.
type Count struct {
	state state
	n     int
}

// StructuralZero is a count that is zero by construction, not by chance: nobody can
// be in such a cell, so that it says nothing about a person.
func StructuralZero() Count { return Count{state: zero} }

// Count releases a number of people: rounded, or suppressed when below the
// threshold. Zero is below it; a zero by construction is [StructuralZero].
func (p Policy) Count(n int) Count {
	if n < p.Threshold() {
		return Count{}
	}
	return Count{state: shown, n: p.round(n)}
}

// Part releases a number of people out of a total that is released as well. A
// reader can subtract, so that the rest must be nobody or enough.
func (p Policy) Part(n, total int) Count {
	if p.small(total-n) || n > total {
		return Count{}
	}
	return p.Count(n)
}

// Again applies the policy to a count that is released already.
func (p Policy) Again(c Count) Count {
	if c.state != shown {
		return c
	}
	return p.Count(c.n)
}

// Int gives the count and whether it may be shown.
func (c Count) Int() (n int, ok bool) { return c.n, c.state == shown || c.state == zero }

// Suppressed reports whether the count is withheld.
func (c Count) Suppressed() bool { return c.state == suppressed }

// Zero reports whether the count is a zero that may be shown.
func (c Count) Zero() bool { return c.state == zero }

func (c Count) String() string {
	if c.Suppressed() {
		return ".."
	}
	return strconv.Itoa(c.n)
}

// MarshalJSON writes the number, or ".." where it is withheld.
func (c Count) MarshalJSON() ([]byte, error) {
	if c.Suppressed() {
		return []byte(`".."`), nil
	}
	return strconv.AppendInt(nil, int64(c.n), 10), nil
}

// Value is a mean, share or difference that went through disclosure control: shown,
// suppressed, or undefined in the data (NaN). Its zero value is suppressed.
type Value struct {
	state state
	x     float64
}

func show(x float64) Value {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Value{state: undefined}
	}
	if x == 0 {
		x = 0 // no negative zero
	}
	return Value{state: shown, x: x}
}

// Float gives the value, NaN when it is withheld or undefined, and whether it may be shown.
func (v Value) Float() (x float64, ok bool) {
	if v.state != shown {
		return math.NaN(), false
	}
	return v.x, true
}

// Suppressed reports whether the value is withheld; an undefined value is not.
func (v Value) Suppressed() bool { return v.state == suppressed }

// MarshalJSON writes the number in shortest form, ".." where it is withheld and
// null where it does not exist.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.state {
	case suppressed:
		return []byte(`".."`), nil
	case undefined:
		return []byte("null"), nil
	}
	return json.Marshal(v.x)
}

// significant rounds to so many significant digits.
func significant(x float64, digits int) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'e', digits-1, 64), 64)
	return r
}
