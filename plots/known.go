package plots

import (
	"math"

	"utfall/internal/lang"
)

// A known true value, in simulated data, is an upright stroke in orange under the
// estimate's marker, long enough to show on both sides of it.
func (s *scene) knownMark(at point) {
	s.line(orange, 2.2, nil, point{at.x, at.y - 6.5}, point{at.x, at.y + 6.5})
}

// knownLevel is the same, lying, for an axis that goes upwards.
func (s *scene) knownLevel(at point, half float64) {
	s.line(orange, 2.2, nil, point{at.x - half, at.y}, point{at.x + half, at.y})
}

func knownKey(l lang.Lang) key {
	return key{l.Text("plots.known"), func(s *scene, at point) { s.knownMark(at) }}
}

func knownLevelKey(l lang.Lang) key {
	return key{l.Text("plots.known"), func(s *scene, at point) { s.knownLevel(at, 7) }}
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}
