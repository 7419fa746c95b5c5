package survive

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// Reweighted are spells in which those who are still followed stand in for those of the same group who were lost in the
// same state at the same time. Every piece of a history between two losses is a row of Spells.ID of its own, with weight 1/Ĝ(t−);
// pieces of a person are one cluster.
type Reweighted struct {
	Spells *Spells
	Owner  []int // by piece: the person
	// Largest is the largest Ĝ⁻¹ of anybody; Lost the number of persons lost before the last time of anybody in the group.
	Largest float64
	Lost    int
}

// ReweighLoss weighs spells for loss that depends on the state (Datta and Satten 2002): with c_j(u) the weight of those of a
// group who are lost at u in state j, after moves at u, and n_j(u) of those in it,
//
//	Ĝ_i(t) = Π_{u ≤ t} (1 − c_{X_i(u)}(u)/n_{X_i(u)}(u)),  weight of person i at t: w_i/Ĝ_i(t−)
//
// in both moves and at risk. Estimates from the result are right when loss, given the state now, has nothing to do with what would
// come; without weights that is so only if in addition the past has no part in later moves. Errors take Ĝ as known, which is
// slightly too large.
//
// Errors: those of [Spells.Check]; [estimate.ErrInvalidFrame] with clusters that cut persons' groups.
func ReweighLoss(s *Spells) (*Reweighted, error) {
	h, err := s.histories()
	if err != nil {
		return nil, err
	}
	K := len(s.States)
	absorb := make([]bool, K)
	for j := range absorb {
		absorb[j] = true
	}
	for _, f := range h.from {
		absorb[f] = false
	}
	groups := max(1, len(s.GroupNames))
	group := func(p int) int {
		if s.Group == nil {
			return 0
		}
		return s.Group[p]
	}
	base := func(p int) float64 {
		if s.Weight.Values == nil {
			return 1
		}
		return s.Weight.Values[p]
	}
	// end is when and where a person is lost; state −1 for somebody who reaches an absorbing state.
	end := func(p int) (float64, int) {
		q := h.offset[p+1] - 1
		switch to := int(h.to[q]); {
		case to == Censored:
			return h.stop[q], int(h.from[q])
		case absorb[to]:
			return h.stop[q], -1
		default:
			return h.stop[q], to
		}
	}
	out := &Reweighted{Spells: &Spells{States: s.States, GroupNames: s.GroupNames, Level: s.Level, Weight: estimate.Weights{Kind: s.Weight.Kind}}, Largest: 1}
	if s.Weight.Values == nil {
		out.Spells.Weight.Kind = estimate.Sampling
	}
	for g := range groups {
		var members []int
		var times []float64
		last := 0.0
		for _, p := range h.order {
			if group(int(p)) != g || base(int(p)) == 0 {
				continue
			}
			members = append(members, int(p))
			if u, state := end(int(p)); state >= 0 {
				times = append(times, u)
				last = max(last, u)
			}
		}
		slices.Sort(times)
		times = slices.Compact(times)
		lost, held := make([][]float64, len(times)*K), make([][]float64, len(times)*K)
		for _, p := range members {
			u, state := end(p)
			if state >= 0 {
				k, _ := slices.BinarySearch(times, u)
				lost[k*K+state] = append(lost[k*K+state], base(p))
				if u < last {
					out.Lost++
				}
			}
			for q := h.offset[p]; q < h.offset[p+1]; q++ {
				// In the state just after u: start ≤ u < stop.
				k, _ := slices.BinarySearch(times, h.start[q])
				for ; k < len(times) && times[k] < h.stop[q]; k++ {
					held[k*K+int(h.from[q])] = append(held[k*K+int(h.from[q])], base(p))
				}
			}
		}
		factor := make([]float64, len(times)*K)
		for c := range factor {
			l, stay := num.Sum(lost[c]), num.Sum(held[c])
			if factor[c] = 1; l > 0 && stay > 0 {
				factor[c] = (l + stay) / stay
			}
		}
		for _, p := range members {
			out.pieces(s, h, p, times, factor, base(p))
		}
	}
	if len(out.Owner) == 0 {
		return nil, fmt.Errorf("%w: no person has a weight above 0", estimate.ErrTooFew)
	}
	return out, nil
}

// pieces cuts one history where its weight changes.
func (r *Reweighted) pieces(s *Spells, h *histories, p int, times, factor []float64, w float64) {
	K, inverse, piece := len(s.States), 1.0, -1
	o := r.Spells
	row := func(from, to int, start, stop float64) {
		o.Person, o.From, o.To, o.Start, o.Stop = append(o.Person, piece), append(o.From, from), append(o.To, to), append(o.Start, start), append(o.Stop, stop)
	}
	begin := func() {
		piece = len(o.ID)
		o.ID = append(o.ID, fmt.Sprintf("%s\x00%06d", s.ID[p], piece))
		r.Owner = append(r.Owner, p)
		o.Weight.Values = append(o.Weight.Values, w*inverse)
		if s.Group != nil {
			o.Group = append(o.Group, s.Group[p])
		}
		c := p
		if s.Cluster != nil {
			c = s.Cluster[p]
		}
		o.Cluster = append(o.Cluster, c)
		r.Largest = max(r.Largest, inverse)
	}
	begin()
	for q := h.offset[p]; q < h.offset[p+1]; q++ {
		start := h.start[q]
		k, _ := slices.BinarySearch(times, start)
		for ; k < len(times) && times[k] < h.stop[q]; k++ {
			f := factor[k*K+int(h.from[q])]
			if f == 1 {
				continue
			}
			if times[k] > start {
				row(int(h.from[q]), Censored, start, times[k])
			}
			inverse *= f
			begin()
			start = times[k]
		}
		row(int(h.from[q]), int(h.to[q]), start, h.stop[q])
	}
}

// Collapse gives the influence function of the persons from that of the pieces: a result on the result's own persons.
func (r *Reweighted) Collapse(res *estimate.Result, id []string) {
	_, k := res.Influence.Dims()
	out := mat.NewDense(len(id), k, nil)
	for piece, p := range r.Owner {
		row := out.RawRowView(p)
		for j, v := range res.Influence.RawRowView(piece) {
			row[j] += v
		}
	}
	res.Influence, res.InfluenceUnit = out, id
}
