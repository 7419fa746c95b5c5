package main

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// unitNumbers is {id: number} in byte order of the ids. With a million units a map would
// take longer to write than the matching takes.
type unitNumbers struct {
	d     *fitData
	value func(row int) (v float64, has bool)
}

// byUnit is {id: value} for all rows.
func (d *fitData) byUnit(v []float64) unitNumbers {
	return unitNumbers{d, func(i int) (float64, bool) { return v[i], true }}
}

// ordered lists the rows in byte order of their names.
func (d *fitData) ordered() []int {
	if len(d.order) != len(d.units) {
		d.order = make([]int, len(d.units))
		for i := range d.order {
			d.order[i] = i
		}
		slices.SortFunc(d.order, func(a, b int) int { return strings.Compare(d.units[a], d.units[b]) })
	}
	return d.order
}

// MarshalJSON implements [json.Marshaler].
func (u unitNumbers) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for _, i := range u.d.ordered() {
		v, has := u.value(i)
		if !has {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		key, err := json.Marshal(u.d.units[i])
		if err != nil {
			return nil, err
		}
		b = append(append(b, key...), ':')
		switch {
		case !finite(v):
			b = append(b, "null"...)
		case v != 0 && (math.Abs(v) < 1e-6 || math.Abs(v) >= 1e21):
			b = strconv.AppendFloat(b, v, 'e', -1, 64)
		default:
			b = strconv.AppendFloat(b, v, 'f', -1, 64)
		}
	}
	return append(b, '}'), nil
}
