package panel

import (
	"fmt"
	"math"

	"utfall/estimate"
)

// An Edge says that a unit has a neighbour, who counts with a weight (the share of
// commuters who go there, say).
type Edge struct {
	Unit, Neighbour string
	Weight          float64 // above 0
}

// ExposureByNeighbours returns for each row the share of the unit's neighbours that are
// treated in its period, Σ weight·treated/Σ weight; cohort is 0 for never. Neighbours
// that are not among the units count as untreated: missing is their number.
//
// Errors: [estimate.ErrInvalidFrame] when a unit is its own neighbour, an edge is there
// twice or its weight is not a finite number above 0.
func ExposureByNeighbours(unit []string, time, cohort []int, edges []Edge) (exposure []float64, missing int, err error) {
	first := map[string]int{}
	for i, u := range unit {
		first[u] = cohort[i]
	}
	bad := func(i int, what string) error {
		return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, what)}
	}
	of := map[string][]Edge{}
	seen := map[[2]string]bool{}
	unknown := map[string]bool{}
	for i, e := range edges {
		switch {
		case e.Unit == e.Neighbour:
			return nil, 0, bad(i, "a unit is its own neighbour")
		case !(e.Weight > 0) || math.IsInf(e.Weight, 1):
			return nil, 0, bad(i, "the weight of a neighbour is not a finite number above 0")
		case seen[[2]string{e.Unit, e.Neighbour}]:
			return nil, 0, bad(i, "this unit and neighbour are there twice")
		}
		seen[[2]string{e.Unit, e.Neighbour}] = true
		of[e.Unit] = append(of[e.Unit], e)
		if _, ok := first[e.Neighbour]; !ok {
			unknown[e.Neighbour] = true
		}
	}
	exposure = make([]float64, len(unit))
	for i, u := range unit {
		var treated, all float64
		for _, e := range of[u] {
			all += e.Weight
			if g := first[e.Neighbour]; g != 0 && g <= time[i] {
				treated += e.Weight
			}
		}
		if all > 0 {
			exposure[i] = treated / all
		}
	}
	return exposure, len(unknown), nil
}

// ExposureByRegion returns for each row the share of the other units of its region (a
// commuting region, say) that are treated in its period; a unit that is alone has 0.
//
// Errors: [ErrNotNested] with the row in which a unit changes region.
func ExposureByRegion(unit []string, time, cohort []int, region []string) ([]float64, error) {
	of, first := map[string]string{}, map[string]int{}
	members := map[string][]string{}
	for i, u := range unit {
		if was, ok := of[u]; !ok {
			of[u] = region[i]
			members[region[i]] = append(members[region[i]], u)
		} else if was != region[i] {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: it must be in the same region in all periods", ErrNotNested)}
		}
		first[u] = cohort[i]
	}
	out := make([]float64, len(unit))
	for i, u := range unit {
		treated := 0
		for _, v := range members[region[i]] {
			if g := first[v]; v != u && g != 0 && g <= time[i] {
				treated++
			}
		}
		if n := len(members[region[i]]) - 1; n > 0 {
			out[i] = float64(treated) / float64(n)
		}
	}
	return out, nil
}
