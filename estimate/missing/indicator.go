package missing

import (
	"fmt"
	"math"
	"slices"

	"utfall/table"
)

// Indicator keeps rows whose covariates lack a value: a number gets the mean of the
// observed ones and a second variable NAME[missing], 1 where it was missing; a category
// gets a further level "missing". Variables that lack nothing are returned as they are.
//
// For covariates only. The note "indicator-biased" goes with every use: regression with
// indicators is biased, even where values are missing completely at random, unless the
// covariate matters only where it is known (Greenland and Finkle 1995; Blake, Leyrat and
// others 2020). It is right for what decides who takes part: whoever decides sees the
// same gap.
//
// Errors: a variable without any value ([ErrConstant]).
func Indicator(vars []Variable) ([]Variable, []table.Note, error) {
	var out []Variable
	filled := 0
	for _, v := range vars {
		if err := v.check(); err != nil {
			return nil, nil, err
		}
		gone, sum, seen := 0, 0.0, 0
		for i, y := range v.Values {
			if v.missing(i) {
				gone++
			} else {
				sum += y
				seen++
			}
		}
		if gone == 0 {
			out = append(out, v)
			continue
		}
		if seen == 0 {
			return nil, nil, fmt.Errorf("missing indicator: %w: %q has no value in any row", ErrConstant, v.Name)
		}
		filled++
		instead := sum / float64(seen)
		w := Variable{Name: v.Name, Kind: v.Kind, Values: make([]float64, len(v.Values))}
		mark := Variable{Name: v.Name + "[missing]", Kind: Binary, Values: make([]float64, len(v.Values))}
		switch v.Kind {
		case Ordered, Nominal:
			w.Kind, w.Levels = Nominal, append(append([]string{}, v.Levels...), "missing")
			instead = float64(len(v.Levels))
		case Binary:
			w.Kind = Number // the mean of zeros and ones is neither
		}
		for i, y := range v.Values {
			if w.Values[i] = y; v.missing(i) {
				w.Values[i], mark.Values[i] = instead, 1
			}
		}
		if out = append(out, w); w.Kind != Nominal {
			out = append(out, mark)
		}
	}
	if filled == 0 {
		return out, nil, nil
	}
	return out, []table.Note{{Code: "indicator-biased", Args: map[string]any{"columns": filled},
		Text: fmt.Sprintf("%d covariates have missing values that an indicator stands for; the effect is biased where such a covariate matters also when it is not known.", filled)}}, nil
}

// Kind says what the values of a variable are.
type Kind string

// The kinds.
const (
	Number  Kind = "number"
	Binary  Kind = "binary"  // 0 or 1
	Ordered Kind = "ordered" // level numbers from 0, lowest first
	Nominal Kind = "nominal" // level numbers from 0
)

// Variable is a column: n values and which of them are missing.
type Variable struct {
	Name    string
	Kind    Kind
	Values  []float64 // n; level numbers for ordered and nominal; anything where missing
	Levels  []string  // of ordered and nominal
	Missing []bool    // n; nil = none
	Method  Method    // of imputing it; "" is the kind's own
}

func (v *Variable) missing(i int) bool { return v.Missing != nil && v.Missing[i] }

// check tests the variable's own contract.
func (v *Variable) check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: variable %q: %s", ErrOption, v.Name, fmt.Sprintf(format, a...))
	}
	if v.Missing != nil && len(v.Missing) != len(v.Values) {
		return bad("%d marks of missing values for %d rows", len(v.Missing), len(v.Values))
	}
	switch v.Kind {
	case Number, Binary:
		if v.Levels != nil {
			return bad("a %s has no levels", v.Kind)
		}
	case Ordered, Nominal:
		if len(v.Levels) < 2 {
			return bad("a category needs two levels")
		}
	default:
		return bad("kind %q; known are number, binary, ordered, nominal", string(v.Kind))
	}
	for i, y := range v.Values {
		switch {
		case v.missing(i):
		case math.IsNaN(y) || math.IsInf(y, 0):
			return bad("row %d is not a finite number", i+1)
		case v.Kind == Binary && y != 0 && y != 1:
			return bad("row %d is neither 0 nor 1", i+1)
		case v.Levels != nil && (y != math.Trunc(y) || y < 0 || y >= float64(len(v.Levels))):
			return bad("row %d is not a level number", i+1)
		}
	}
	return nil
}

// byDonors reports whether predictive mean matching fills the variable.
func (v Variable) byDonors() bool {
	return (v.Method == PMM || v.Method == "" && v.Kind == Number) && slices.Contains(v.Missing, true)
}
