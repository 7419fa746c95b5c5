package release

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Crosstab is a released table of people by two partitions, such as the step they started on
// and the step they are on later. Values are shares of the total, from rounded counts; a cell
// that is withheld is not in the margins either: From and To are what the shown cells of the row
// and of the column add up to, and Rest is the share of all withheld cells together.
type Crosstab struct {
	N        Count
	Cells    [][]Value // rows × columns
	From, To []float64 // sums of the shown cells
	Rest     float64
}

// Crosstab releases a table of counts. A cell below the threshold, an empty one among them, is
// withheld. In a row or column with withheld people its smallest cells are, until they are at least two
// and together at least the threshold: the margin may be known from elsewhere, so that one withheld cell,
// or few people in several, could be worked out. This is repeated until nothing changes. What is withheld is the
// least set that the rule closes, so that a larger threshold never shows more. The error wraps [ErrInput].
func (p Policy) Crosstab(place string, n [][]int) (Crosstab, []Withheld, error) {
	if len(n) == 0 {
		return Crosstab{}, nil, fmt.Errorf("%w: a table without rows", ErrInput)
	}
	rows, cols := len(n), len(n[0])
	total := 0
	hidden := make([][]bool, rows)
	for i, row := range n {
		if len(row) != cols {
			return Crosstab{}, nil, fmt.Errorf("%w: rows of different length", ErrInput)
		}
		hidden[i] = make([]bool, cols)
		for j, c := range row {
			if c < 0 {
				return Crosstab{}, nil, fmt.Errorf("%w: a count below 0", ErrInput)
			}
			total += c
			hidden[i][j] = c < p.Threshold()
		}
	}
	out := Crosstab{N: p.Count(total), From: make([]float64, rows), To: make([]float64, cols)}
	type cell struct{ i, j int }
	line := func(k int) []cell { // rows first, then columns
		var cs []cell
		if k < rows {
			for j := range cols {
				cs = append(cs, cell{k, j})
			}
			return cs
		}
		for i := range rows {
			cs = append(cs, cell{i, k - rows})
		}
		return cs
	}
	withheld := []Withheld{}
	for again := true; again; {
		again = false
		for k := range rows + cols {
			var people []cell
			touched := false
			for _, c := range line(k) {
				if n[c.i][c.j] > 0 {
					people = append(people, c)
					touched = touched || hidden[c.i][c.j]
				}
			}
			if !touched {
				continue
			}
			slices.SortFunc(people, func(a, b cell) int {
				return cmp.Or(cmp.Compare(n[a.i][a.j], n[b.i][b.j]), cmp.Compare(a.i, b.i), cmp.Compare(a.j, b.j))
			})
			sum := 0
			for m, c := range people {
				if m >= 2 && sum >= p.Threshold() {
					break
				}
				sum += n[c.i][c.j]
				if !hidden[c.i][c.j] {
					hidden[c.i][c.j], again = true, true
				}
			}
		}
	}
	rounded, rest := 0, 0
	small, with := 0, 0
	for i, row := range n {
		for j, c := range row {
			switch {
			case !hidden[i][j]:
				rounded += p.round(c)
			case c == 0:
			case c < p.Threshold():
				small++
				rest += c
			default:
				with++
				rest += c
			}
		}
	}
	rounded += p.round(rest)
	if small > 0 {
		withheld = append(withheld, Withheld{place, BelowMinimum, small})
	}
	if with > 0 {
		withheld = append(withheld, Withheld{place, Complementary, with})
	}
	if out.N.Suppressed() {
		rounded = 0
	}
	for i, row := range n {
		values := make([]Value, cols)
		for j, c := range row {
			if hidden[i][j] || rounded == 0 {
				continue
			}
			x := float64(p.round(c)) / float64(rounded)
			values[j] = show(x)
			out.From[i], out.To[j] = out.From[i]+x, out.To[j]+x
		}
		out.Cells = append(out.Cells, values)
	}
	out.Rest = math.NaN()
	if rounded > 0 {
		out.Rest = float64(p.round(rest)) / float64(rounded)
	}
	return out, withheld, nil
}
