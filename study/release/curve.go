package release

import (
	"fmt"
	"math"
)

// Occupation is the share of one group in each state over time: States names the
// columns of P, Times its rows, and AtRisk counts the people still followed at each time.
type Occupation struct {
	Times  []float64
	States []string
	AtRisk []int
	P      [][]float64 // times × states, each row adding up to 1
}

// Curve is a released [Occupation]. P is suppressed where a state holds too few at a
// time; Together is the share in the suppressed states of that time as one, so that
// each row still adds up to 1.
type Curve struct {
	Times    []float64 `json:"times"`
	States   []string  `json:"states"`
	AtRisk   []Count   `json:"at_risk"`
	P        [][]Value `json:"p"`
	Together []Value   `json:"together"`
}

// Curve releases state occupation shares. It ends before the first time at which
// fewer than twice the threshold are followed. At each time the number of people in
// a state is taken as share times people followed, at least 1 where the share is not
// 0; a state with 1 to threshold-1 is withheld together with the next smallest ones.
// Shares come from counts rounded to the base and add up to 1. The error wraps [ErrInput].
func (p Policy) Curve(place string, o Occupation) (Curve, []Withheld, error) {
	if len(o.AtRisk) != len(o.Times) || len(o.P) != len(o.Times) {
		return Curve{}, nil, fmt.Errorf("%w: %d times, %d rows of shares, %d people at risk", ErrInput, len(o.Times), len(o.P), len(o.AtRisk))
	}
	out, withheld := Curve{States: o.States}, []Withheld{}
	for t, row := range o.P {
		if o.AtRisk[t] < 2*p.Threshold() {
			return out, append(withheld, Withheld{place, AtRisk, len(o.States) * (len(o.Times) - t)}), nil
		}
		if len(row) != len(o.States) {
			return Curve{}, nil, fmt.Errorf("%w: %d shares for %d states", ErrInput, len(row), len(o.States))
		}
		classes := make([]Class, len(row))
		for s, share := range row {
			if math.IsNaN(share) || share < -1e-9 || share > 1+1e-9 {
				return Curve{}, nil, fmt.Errorf("%w: a share of state %q is not between 0 and 1", ErrInput, o.States[s])
			}
			n := int(math.Round(share * float64(o.AtRisk[t])))
			if share > 1e-9 {
				n = max(n, 1)
			}
			// Nobody or everybody in a state at a time is how a process starts and ends.
			classes[s] = Class{Label: o.States[s], N: n, Structural: n == 0 || share > 1-1e-9}
		}
		d, w := p.Distribution(place, classes)
		withheld = append(withheld, w...)
		values := make([]Value, len(row))
		for s, c := range d.Classes {
			values[s] = c.Value
		}
		out.Times = append(out.Times, o.Times[t])
		out.AtRisk = append(out.AtRisk, p.Count(o.AtRisk[t]))
		out.P = append(out.P, values)
		out.Together = append(out.Together, d.Together.Value)
	}
	return out, withheld, nil
}
