package effect

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/table"
)

// sample is the part of a frame that a fit uses: rows of positive weight, in frame
// order.
type sample struct {
	frame  *estimate.Frame
	rows   []int // frame row of each sample row
	y      []float64
	weight []float64 // nil without weights
	kind   estimate.WeightKind
	notes  []table.Note
}

// newSample checks the frame and takes the rows of positive weight; use says which
// other rows to leave out (nil = none).
func newSample(f *estimate.Frame, use func(row int) bool) (*sample, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	s := &sample{frame: f, kind: f.Weight.Kind}
	switch s.kind {
	case estimate.NoWeights, estimate.Frequency, estimate.Sampling, estimate.Matching:
	default:
		return nil, fmt.Errorf("%w: weights of kind %q; known are frequency, sampling and matching", estimate.ErrWeights, string(s.kind))
	}
	empty := 0
	s.rows, s.y = make([]int, 0, len(f.Y)), make([]float64, 0, len(f.Y))
	if f.Weight.Values != nil {
		s.weight = make([]float64, 0, len(f.Y))
	}
	for i := range f.Y {
		if f.Weight.Values != nil {
			w := f.Weight.Values[i]
			if s.kind == estimate.Frequency && w != math.Trunc(w) {
				return nil, fmt.Errorf("%w: frequency weights are whole numbers; that of row %d is not", estimate.ErrWeights, i+1)
			}
			if w == 0 {
				empty++
				continue
			}
			if use == nil || use(i) {
				s.weight = append(s.weight, w)
			}
		}
		if use == nil || use(i) {
			s.rows = append(s.rows, i)
			s.y = append(s.y, f.Y[i])
		}
	}
	if empty > 0 {
		s.notes = append(s.notes, table.Note{Code: "rows-without-weight",
			Text: fmt.Sprintf("%d rows with weight 0 are not part of the estimate.", empty),
			Args: map[string]any{"rows": empty}})
	}
	if len(s.rows) == 0 {
		return nil, fmt.Errorf("%w: no row with positive weight", estimate.ErrTooFew)
	}
	return s, nil
}

func (s *sample) codes(all []int) []int {
	if all == nil {
		return nil
	}
	out := make([]int, len(s.rows))
	for i, r := range s.rows {
		out[i] = all[r]
	}
	return out
}

// count is the number of units that the sample rows stand for.
func (s *sample) count(which func(row int) bool) int {
	n := 0.0
	for i, r := range s.rows {
		if which == nil || which(r) {
			if s.kind == estimate.Frequency {
				n += s.weight[i]
			} else {
				n++
			}
		}
	}
	return int(n)
}
