package effect

import (
	"fmt"
	"math"

	"utfall/internal/num"
)

// MinimumDetectable is the smallest difference of two means that a two-sided test at
// level 1-level finds with the given power, known before any outcome is seen:
//
//	MDE = (z_{(1+level)/2} + z_power)·√(sd²·(1/n₁ + 1/n₀))
//
// n₁ and n₀ are the effective numbers of treated and comparison units ((Σw)²/Σw² of
// their weights), sd the outcome's standard deviation within a group, √(p(1-p)) for a
// share p. Likeness within matched pairs is not counted on, so that the number is on
// the safe side. Normal approximation.
//
// Errors: [ErrOption] for n below 2, sd not above 0, power or level outside (0, 1).
//
// Source: Bloom (1995), Evaluation Review 19(5), 547–556.
func MinimumDetectable(n1, n0, sd, level, power float64) (float64, error) {
	switch {
	case !(n1 >= 2) || !(n0 >= 2):
		return math.NaN(), fmt.Errorf("%w: power needs two units in each group", ErrOption)
	case !(sd > 0) || math.IsInf(sd, 0):
		return math.NaN(), fmt.Errorf("%w: the standard deviation must be above 0", ErrOption)
	case !(level > 0 && level < 1) || !(power > 0 && power < 1):
		return math.NaN(), fmt.Errorf("%w: level and power lie between 0 and 1", ErrOption)
	}
	z := num.NormalQuantile((1+level)/2) + num.NormalQuantile(power)
	return z * sd * math.Sqrt(1/n1+1/n0), nil
}
