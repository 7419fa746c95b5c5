package study

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/study/release"
)

// noCell is the cell under a number about a state without people: it is a share of 0 by the model and hides noCell.
const noCell = -1

// stateBases counts the people under estimates of where people are and for how long (survive.AalenJohansen): in each group those
// who are in the state at the time, or come there before tau, and those who do not. Shares add up to 1 and months to tau, so that
// a number which is withheld alone follows from the others: the smallest state takes the next along until those withheld have
// people enough. A contrast rests on the smaller cell of both groups.
func stateBases(es []estimate.Estimate, sp *survive.Spells, tau float64) ([]release.Basis, error) {
	sizes, states := groupSizes(sp), len(sp.States)
	groups := len(sizes)
	blocks := groups
	if groups == 2 {
		blocks++ // contrasts
	}
	if states == 0 || len(es)%(blocks*states) != 0 {
		return nil, fmt.Errorf("%d estimates of %d states in %d groups", len(es), states, groups)
	}
	per := len(es) / blocks
	had := hadState(sp, tau)
	cells := make([]int, len(es))
	for g, n := range sizes {
		for from := g * per; from < (g+1)*per; from += states {
			for j := range states {
				e := es[from+j]
				if e.Measure == estimate.RestrictedMeanTime {
					cells[from+j] = had.cell(g, j, n)
				} else {
					cells[from+j] = shareCell(e.Value, n)
				}
			}
			companions(cells[from : from+states])
		}
	}
	out := make([]release.Basis, len(es))
	for i := range es {
		b := release.Basis{DF: math.Inf(1)}
		q := i % per
		if i >= groups*per {
			b.Treated, b.Control = sizes[1], sizes[0]
			control, treated := cells[q], cells[per+q]
			if control != noCell || treated != noCell {
				// The half of a group is no small cell of its own: the cells hold those who are not there, too.
				b.Events = &release.Arms{Treated: sizes[1] / 2, Control: sizes[0] / 2}
				if treated != noCell {
					b.Events.Treated = min(treated, sizes[1]/2)
				}
				if control != noCell {
					b.Events.Control = min(control, sizes[0]/2)
				}
			}
		} else {
			b.Single, b.Treated = true, sizes[i/per]
			if cells[i] != noCell {
				b.Events = &release.Arms{Treated: min(cells[i], b.Treated/2)}
			}
		}
		out[i] = b
	}
	return out, nil
}

// shareCell is the smaller one of those in a state and the others.
func shareCell(share float64, n int) int {
	if !(share > 0) {
		return noCell
	}
	in := max(int(math.Round(share*float64(n))), 1)
	return max(min(in, n-in), 0)
}

// companions gives each state the cell that it must be withheld with: that of the smallest for the next one, and what the
// smaller ones hold together for those after it.
func companions(cells []int) {
	var order []int
	for j, c := range cells {
		if c != noCell {
			order = append(order, j)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cells[a], cells[b]) })
	sum := 0
	for k, j := range order {
		own := cells[j]
		if k > 0 {
			cells[j] = min(own, sum)
		}
		sum += own
	}
}

// stateVisits counts the people of each group who are in a state at any time before tau, and those who are in any other.
type stateVisits struct{ there, elsewhere [][]int }

func hadState(sp *survive.Spells, tau float64) stateVisits {
	been := make([][]bool, len(sp.ID))
	for p := range been {
		been[p] = make([]bool, len(sp.States))
	}
	for i, p := range sp.Person {
		if sp.Start[i] < tau {
			been[p][sp.From[i]] = true
		}
		if sp.Stop[i] < tau && sp.To[i] != survive.Censored {
			been[p][sp.To[i]] = true
		}
	}
	var v stateVisits
	for range groupSizes(sp) {
		v.there, v.elsewhere = append(v.there, make([]int, len(sp.States))), append(v.elsewhere, make([]int, len(sp.States)))
	}
	for p, states := range been {
		g := 0
		if sp.Group != nil {
			g = sp.Group[p]
		}
		for j, there := range states {
			if there {
				v.there[g][j]++
			}
			for k, other := range states {
				if other && k != j {
					v.elsewhere[g][j]++
					break
				}
			}
		}
	}
	return v
}

// cell is the smallest number of people, of those ever in the state, never in it and ever out of it, where there are any.
func (v stateVisits) cell(g, j, n int) int {
	there := v.there[g][j]
	if there == 0 {
		return noCell
	}
	cell := there
	for _, x := range []int{n - there, v.elsewhere[g][j]} {
		if x > 0 {
			cell = min(cell, x)
		}
	}
	return cell
}
