package progress

import (
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
)

// response gives how many answered, by arm and by arm and third of the score before (thirds of everybody, ties to the lower).
func (f *followUp) response() (out []rate, terms []string) {
	sorted := slices.Sorted(slices.Values(f.x))
	cut := [2]float64{sorted[(len(sorted)-1)/3], sorted[2*(len(sorted)-1)/3]}
	third := func(x float64) int {
		switch {
		case x <= cut[0]:
			return 1
		case x <= cut[1]:
			return 2
		}
		return 3
	}
	add := func(term string, in func(k int) bool) {
		var above, below []float64
		for k := range f.x {
			if in(k) {
				below = append(below, f.w[k])
				if !math.IsNaN(f.y[k]) {
					above = append(above, f.w[k])
				}
			}
		}
		r := rate{value: num.Sum(above) / num.Sum(below), inf: make([]float64, len(f.x))}
		if len(below) == 0 {
			r.value = math.NaN()
		}
		for k := range f.x {
			if in(k) {
				y := 0.0
				if !math.IsNaN(f.y[k]) {
					y = 1
				}
				r.inf[k] = f.w[k] * (y - r.value) / num.Sum(below)
			}
		}
		out, terms = append(out, r), append(terms, term)
	}
	for a := range 2 {
		add(fmt.Sprint("response,group=", a), func(k int) bool { return f.arm[k] == a })
	}
	for a := range 2 {
		for t := 1; t <= 3; t++ {
			add(fmt.Sprint("response,group=", a, ",tercile=", t), func(k int) bool { return f.arm[k] == a && third(f.x[k]) == t })
		}
	}
	return out, terms
}
