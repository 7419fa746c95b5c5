// Package reftest compares numbers in agreeing digits, the measure of NIST's StRD.
// Only tests import it.
package reftest

import (
	"math"
	"testing"
)

// Digits is a number of agreeing significant decimal digits.
type Digits float64

// LRE returns -log10(|got-want|/|want|), capped at 15; -log10(|got|) when want
// is 0; -Inf for any NaN and for an infinity that is not matched exactly.
func LRE(got, want float64) Digits {
	switch {
	case got == want:
		return 15
	case math.IsNaN(got) || math.IsNaN(want) || math.IsInf(got, 0) || math.IsInf(want, 0):
		return Digits(math.Inf(-1))
	}
	d := math.Abs(got - want)
	if want != 0 {
		d /= math.Abs(want)
	}
	return Digits(math.Min(15, -math.Log10(d)))
}

// Agree fails the test unless got and want agree to at least the given digits.
func Agree(t testing.TB, what string, got, want float64, digits Digits) {
	t.Helper()
	if l := LRE(got, want); l < digits {
		t.Errorf("%s: got %.17g, want %.17g: %.1f digits agree, %.1f asked", what, got, want, float64(l), float64(digits))
	}
}

// Near fails the test unless |got-want| ≤ abs: for numbers whose true value is near zero.
func Near(t testing.TB, what string, got, want, abs float64) {
	t.Helper()
	if d := math.Abs(got - want); !(d <= abs) {
		t.Errorf("%s: got %.17g, want %.17g: off by %.3g, at most %.3g allowed", what, got, want, d, abs)
	}
}
