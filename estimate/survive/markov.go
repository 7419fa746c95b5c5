package survive

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// spread puts rows of persons into a matrix of all.
func spread(inf *mat.Dense, persons []int, n int) *mat.Dense {
	if inf == nil {
		return nil
	}
	_, k := inf.Dims()
	out := mat.NewDense(n, k, nil)
	for r, p := range persons {
		copy(out.RawRowView(p), inf.RawRowView(r))
	}
	return out
}

// MarkovTest asks of each transition whether its rate, given the state now, still depends on the state at an earlier time: a
// log-rank test at each landmark s and earlier state l, among persons under observation at s,
//
//	U(s,l) = Σ_{moves h→j at t > s} (Z − Z̄(t)),  Z = 1{X(s) = l},  z = U/√V
//
// with V the hypergeometric variance, groups as strata. The statistic of a transition is the mean of |z| over landmarks and states; its
// p-value is from a wild bootstrap that multiplies each person's martingale residual ∫_s (Z − Z̄)dM̂ by a standard normal number,
// the same at all landmarks: p = (1 + #{as large})/(1 + Draws). Cells with under 5 persons in or outside the state, or without a
// move, are left out.
//
// Estimates: move=H->J (measure mean-abs-z) for each transition seen, and overall, the largest of them over their bootstrap means, with its
// p-value; without standard errors. Details: cells ([]MarkovCell), draws.
//
// A p-value that is not small is no licence for Markov probabilities: take [Landmark] for conditional statements.
//
// Errors: [estimate.ErrWeights] with weights; [estimate.ErrTooFew] without a cell; those of [Spells.Check].
//
// Titman and Putter (2022), Biostatistics 23.
type MarkovTest struct {
	At      []float64 // landmarks, at least 0; required
	Draws   int       // 0 means 999
	Seed    uint64
	Workers int // never changes a result
}

// MeanAbsZ is the mean of |z| over landmarks.
const MeanAbsZ estimate.Measure = "mean-abs-z"

// MarkovCell is a row of details.cells.
type MarkovCell struct {
	Move    string  `json:"move"`
	Time    float64 `json:"time"`
	State   string  `json:"state"`
	Z       float64 `json:"z"`
	Persons int     `json:"persons"` // in the state then
	Moves   int     `json:"moves"`
}

// minCell is the least number of persons in, and outside, a state at a landmark.
const minCell = 5

// Fit tests spells, which it does not change.
func (e MarkovTest) Fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("test of the Markov property: %w", err)
	}
	return res, nil
}

// markovScore is one landmark test, with the residuals of its persons.
type markovScore struct {
	cell     MarkovCell
	move     int // number of the transition
	root     float64
	person   []int32 // place in the order of persons
	residual []float64
}

func (e MarkovTest) fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	if err := checkTimes(e.At); err != nil {
		return nil, err
	}
	if e.Draws == 0 {
		e.Draws = 999
	}
	switch {
	case len(e.At) == 0:
		return nil, fmt.Errorf("%w: the test needs landmarks", estimate.ErrInvalidFrame)
	case e.Draws < 99:
		return nil, fmt.Errorf("%w: at least 99 draws", estimate.ErrInvalidFrame)
	case s.Weight.Values != nil:
		return nil, fmt.Errorf("%w: the test takes persons as they are", estimate.ErrWeights)
	case s.Cluster != nil:
		return nil, fmt.Errorf("%w: the test takes persons as independent; clusters have no part", estimate.ErrInvalidFrame)
	}
	h, err := s.histories()
	if err != nil {
		return nil, err
	}
	K := len(s.States)
	seen := make([]int, K*K)
	for q, to := range h.to {
		if to >= 0 {
			seen[int(h.from[q])*K+int(to)]++
		}
	}
	var scores []*markovScore
	var moves []int
	for c, n := range seen {
		if n == 0 {
			continue
		}
		found := false
		for _, t := range e.At {
			for l := range K {
				if m := s.markovScore(h, c/K, c%K, t, l); m != nil {
					m.move = len(moves)
					scores, found = append(scores, m), true
				}
			}
		}
		if found {
			moves = append(moves, c)
		}
	}
	if len(moves) == 0 {
		return nil, fmt.Errorf("%w: at no landmark are %d persons in a state and %d in others, with moves after it", estimate.ErrTooFew, minCell, minCell)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	means := func(z func(m *markovScore) float64) []float64 {
		sum, n := make([]float64, len(moves)), make([]float64, len(moves))
		for _, m := range scores {
			sum[m.move] += math.Abs(z(m))
			n[m.move]++
		}
		for k := range sum {
			sum[k] /= n[k]
		}
		return sum
	}
	stat := means(func(m *markovScore) float64 { return m.cell.Z })
	drawn := make([][]float64, e.Draws)
	num.ForEach(e.Draws, e.Workers, func(d int) {
		st := num.NewStream(e.Seed, "markov-test", uint64(d))
		g := make([]float64, len(h.order))
		for i := range g {
			g[i] = st.Normal()
		}
		drawn[d] = means(func(m *markovScore) float64 {
			u := 0.0
			for k, p := range m.person {
				u += float64(g[p] * m.residual[k])
			}
			return u / m.root
		})
	})
	scale := make([]float64, len(moves)) // of each statistic without dependence, so that the largest is of like things
	for _, d := range drawn {
		for k, v := range d {
			scale[k] += v / float64(e.Draws)
		}
	}
	largest := func(v []float64) float64 {
		out := 0.0
		for k, x := range v {
			out = max(out, x/scale[k])
		}
		return out
	}
	res := &estimate.Result{Method: "markov-test", Fit: estimate.Convergence{Converged: true}, N: estimate.Counts{Units: len(s.ID)}}
	p := func(as func(d []float64) bool) float64 {
		n := 1
		for _, d := range drawn {
			if as(d) {
				n++
			}
		}
		return float64(n) / float64(e.Draws+1)
	}
	put := func(term string, v, pv float64) {
		nan := math.NaN()
		res.Estimates = append(res.Estimates, estimate.Estimate{Term: term, Measure: MeanAbsZ, Value: v, SE: nan, CI: estimate.Interval{Lo: nan, Hi: nan}, Test: estimate.Test{Stat: v, DF: nan, P: pv}})
	}
	for k, c := range moves {
		put("move="+s.States[c/K]+"->"+s.States[c%K], stat[k], p(func(d []float64) bool { return d[k] >= stat[k] }))
		res.N.Events += seen[c]
	}
	top := largest(stat)
	put("overall", top, p(func(d []float64) bool { return largest(d) >= top }))
	var cells []MarkovCell
	for _, m := range scores {
		m.cell.Move = "move=" + s.States[moves[m.move]/K] + "->" + s.States[moves[m.move]%K]
		cells = append(cells, m.cell)
	}
	res.Details = map[string]any{"cells": cells, "draws": e.Draws, "seed": e.Seed}
	res.Notes = append(res.Notes, table.Note{Code: "markov-no-licence", Text: "A test that finds nothing does not show that the past has no part: conditional statements rest on those who are in the state then."})
	return res, nil
}

// markovScore is nil where the cell is too small.
func (s *Spells) markovScore(h *histories, from, to int, t float64, state int) *markovScore {
	type row struct {
		person      int32
		group       int
		start, stop float64
		in, moved   bool
	}
	var rows []row
	persons, others := 0, 0
	for k, p := range h.order {
		now := h.at(int(p), t)
		if now < 0 {
			continue
		}
		in := int(h.from[now]) == state
		if in {
			persons++
		} else {
			others++
		}
		g := 0
		if s.Group != nil {
			g = s.Group[p]
		}
		for q := h.offset[p]; q < h.offset[p+1]; q++ {
			if h.stop[q] > t && int(h.from[q]) == from {
				rows = append(rows, row{int32(k), g, max(h.start[q], t), h.stop[q], in, int(h.to[q]) == to})
			}
		}
	}
	if persons < minCell || others < minCell {
		return nil
	}
	groups := max(1, len(s.GroupNames))
	m := &markovScore{cell: MarkovCell{Time: t, State: s.States[state], Persons: persons}}
	residual := make([]float64, len(rows))
	var u, v float64
	for g := range groups {
		var times []float64
		var mine []int
		for k, r := range rows {
			if r.group == g {
				mine = append(mine, k)
				if r.moved {
					times = append(times, r.stop)
				}
			}
		}
		slices.Sort(times)
		times = slices.Compact(times)
		// At risk and moved at each time, all and those in the state, from running sums.
		n := len(times)
		risk, inRisk, dead, inDead := make([]float64, n+1), make([]float64, n+1), make([]float64, n+1), make([]float64, n+1)
		lo, hi := make([]int, len(rows)), make([]int, len(rows))
		for _, k := range mine {
			r := rows[k]
			lo[k], _ = slices.BinarySearch(times, r.start)
			if lo[k] < n && times[lo[k]] == r.start {
				lo[k]++
			}
			at, found := slices.BinarySearch(times, r.stop)
			if hi[k] = at; found {
				hi[k]++
			}
			if lo[k] >= hi[k] {
				continue
			}
			risk[lo[k]]++
			risk[hi[k]]--
			if r.in {
				inRisk[lo[k]]++
				inRisk[hi[k]]--
			}
			if r.moved {
				dead[hi[k]-1]++
				m.cell.Moves++
				if r.in {
					inDead[hi[k]-1]++
				}
			}
		}
		share, rate, shareRate := make([]float64, n), make([]float64, n+1), make([]float64, n+1)
		for k := range n {
			if k > 0 {
				risk[k] += risk[k-1]
				inRisk[k] += inRisk[k-1]
			}
			share[k] = inRisk[k] / risk[k]
			u += inDead[k] - float64(dead[k]*share[k])
			if risk[k] > 1 {
				v += float64(dead[k]*share[k]) * (1 - share[k]) * (risk[k] - dead[k]) / (risk[k] - 1)
			}
			rate[k+1] = rate[k] + dead[k]/risk[k]
			shareRate[k+1] = shareRate[k] + float64(share[k]*dead[k]/risk[k])
		}
		for _, k := range mine {
			if lo[k] >= hi[k] {
				continue
			}
			z := 0.0
			if rows[k].in {
				z = 1
			}
			residual[k] = -float64(z*(rate[hi[k]]-rate[lo[k]])) + (shareRate[hi[k]] - shareRate[lo[k]])
			if rows[k].moved {
				residual[k] += z - share[hi[k]-1]
			}
		}
	}
	if !(v > 0) {
		return nil
	}
	m.root = math.Sqrt(v)
	m.cell.Z = u / m.root
	for k, r := range rows {
		if residual[k] != 0 {
			m.person, m.residual = append(m.person, r.person), append(m.residual, residual[k])
		}
	}
	return m
}
