// Package progress measures change for people for whom the outcome itself, work, is
// far away: how much longer they are on a higher step of a declared ladder.
// METHODS.md states each estimand, equation, variance and reference.
package progress

import (
	"fmt"
	"maps"
	"slices"

	"utfall/estimate"
)

// A Ladder gives each state its step: a larger number is a better step, equal numbers tie.
type Ladder map[string]int

// steps returns the step of each state, in their order; each state must be in the
// ladder and each step must belong to a state.
func (l Ladder) steps(states []string) ([]int, error) {
	out := make([]int, len(states))
	known, missing := make(map[string]bool, len(states)), 0
	for j, s := range states {
		step, ok := l[s]
		if !ok {
			missing++
			continue
		}
		out[j], known[s] = step, true
	}
	if missing > 0 { // not by name: it is a value of the data that nobody declared
		return nil, fmt.Errorf("%w: %d of the %d states of the data have no step on the ladder, which knows %q", estimate.ErrInvalidFrame, missing, len(states), slices.Sorted(maps.Keys(l)))
	}
	for _, s := range slices.Sorted(maps.Keys(l)) {
		if !known[s] {
			return nil, fmt.Errorf("%w: the ladder has a step for %q, which is not a state of the data", estimate.ErrInvalidFrame, s)
		}
	}
	if len(out) > 0 && slices.Min(out) == slices.Max(out) {
		return nil, fmt.Errorf("%w: the ladder has only one step, so nobody can be on a higher one", estimate.ErrInvalidFrame)
	}
	return out, nil
}

// A Verdict says whether a sign depends on the declared order of the steps.
type Verdict string

// The verdicts.
const (
	Agree      Verdict = "agree"       // every declared order gives the same sign
	Disagree   Verdict = "disagree"    // report every order and no direction word
	NotChecked Verdict = "not-checked" // only one order was declared
)

// An OrderCheck is details.order: net months under each declared order.
type OrderCheck struct {
	Verdict Verdict       `json:"verdict"`
	Orders  []OrderResult `json:"orders"`
}

// An OrderResult is the net months under one order; the main ladder has name "".
type OrderResult struct {
	Name      string  `json:"name"`
	NetMonths float64 `json:"net_months"`
	StdError  float64 `json:"std_error"`
}

func orderCheck(orders []OrderResult) OrderCheck {
	c := OrderCheck{Verdict: NotChecked, Orders: orders}
	if len(orders) < 2 {
		return c
	}
	c.Verdict = Agree
	for _, o := range orders[1:] {
		if sign(o.NetMonths) != sign(orders[0].NetMonths) {
			c.Verdict = Disagree
		}
	}
	return c
}

// Turns reports whether a result has another sign than the main order.
func (c OrderCheck) Turns(o OrderResult) bool {
	return sign(o.NetMonths) != sign(c.Orders[0].NetMonths)
}

// With joins results that were estimated apart, such as those with people who left for good counted in other ways. One of another
// sign makes the verdict Disagree. Equal signs leave it as it was: they are no declared orders, so that NotChecked stays.
func (c OrderCheck) With(more ...OrderResult) OrderCheck {
	out := OrderCheck{Verdict: c.Verdict, Orders: append(slices.Clone(c.Orders), more...)}
	if slices.ContainsFunc(more, c.Turns) {
		out.Verdict = Disagree
	}
	return out
}

// rounding is what separates a share from 0 or 1.
const rounding = 1e-12

// sign is 0 also for what is 0 but for rounding.
func sign(x float64) int {
	switch {
	case x > rounding:
		return 1
	case x < -rounding:
		return -1
	}
	return 0
}
