package panel

import (
	"maps"
	"math"
	"slices"

	"utfall/internal/num"
)

func sortedCopy(v []int) []int {
	out := slices.Clone(v)
	slices.Sort(out)
	return out
}

func sortedValues(m map[int]int) []int {
	out := make([]int, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

// donorErrors are, for each cohort treated in the term, what its weights over the
// periods make of each donor: Σ W[c]·(change - mean change of the comparison group) over
// the cohort's cells, over √(1-h) for what the mean takes of the donor's own error.
func (t *fewTerm) donorErrors() map[int][]float64 {
	t.adjust()
	out := map[int][]float64{}
	for a, c := range t.cells {
		e := out[c.cohort]
		if e == nil {
			e = make([]float64, len(t.donor))
			out[c.cohort] = e
		}
		total := 0.0
		c.rows(func(_, pos int, treated bool) {
			if !treated {
				total += t.w.weight[pos]
			}
		})
		for i, pos := range t.donor {
			h := min(t.w.weight[pos]/total, lone)
			e[i] += float64(t.weight[a]*(t.changes[a][pos]-t.control[a])) / math.Sqrt(1-h)
		}
	}
	return out
}

// donors draws the estimate's error from donors (Conley and Taber 2011): each treated
// unit gets the error of a donor under its own cohort's weights, with bySize rescaled
// by the root of the variance that sizes predict (Ferman and Pinto 2019). The draws are
// scaled so that their variance includes that of the comparison groups' means, if
// errors are alike.
func (t *fewTerm) donors(bySize bool) *num.RatioTest {
	w := t.w
	errors := t.donorErrors()
	type part struct {
		weight float64
		e      []float64
	}
	members := map[int]float64{} // weight of the cohort's treated units
	for _, pos := range t.treated {
		members[w.cohort[pos]] += w.weight[pos]
	}
	parts := make([]part, len(t.treated))
	for i, pos := range t.treated {
		e := errors[w.cohort[pos]]
		if bySize {
			a, b, _, _ := t.bySize(e)
			variance := func(p int) float64 { return a + b/w.size[p] }
			own := make([]float64, len(e))
			for j, v := range e {
				own[j] = v * math.Sqrt(variance(pos)/variance(t.donor[j]))
			}
			e = own
		}
		parts[i] = part{w.weight[pos] / members[w.cohort[pos]], e}
	}
	var ofTreated, ofAll float64
	isTreated := make([]bool, w.l.n)
	for _, pos := range t.treated {
		isTreated[pos] = true
	}
	for i, k := range t.kernel {
		if k != nil {
			v := num.Dot(k, k)
			ofAll += v
			if isTreated[i] {
				ofTreated += v
			}
		}
	}
	factor := math.Sqrt(ofAll / ofTreated)
	n := len(t.donor)
	total := 0
	if float64(len(parts))*math.Log(float64(n)) <= math.Log(float64(w.o.Draws))+1e-9 {
		total = 1
		for range parts {
			total *= n
		}
	}
	draws := w.o.Draws
	if total > 0 {
		draws = total
	}
	r := &num.RatioTest{Sums: make([]float64, 5*draws), Variance: 1}
	num.ForEach((draws+255)/256, w.o.Workers, func(block int) {
		for b := block * 256; b < min(block*256+256, draws); b++ {
			sum := 0.0
			if total > 0 {
				code := b
				for _, p := range parts {
					sum += float64(p.weight * p.e[code%n])
					code /= n
				}
			} else {
				s := num.NewStream(w.o.Seed, "few-donors", uint64(b))
				for _, p := range parts {
					sum += float64(p.weight * p.e[s.Intn(n)])
				}
			}
			r.Sums[5*b], r.Sums[5*b+2] = factor*sum, 1
		}
	})
	return r
}

// sizeTest is the test that the variance of donors does not depend on their size.
func (t *fewTerm) sizeTest() float64 {
	if t.w.size == nil || len(t.donor) < 10 {
		return math.NaN()
	}
	e := make([]float64, len(t.donor))
	errors := t.donorErrors()
	for _, g := range slices.Sorted(maps.Keys(errors)) {
		for i, v := range errors[g] {
			e[i] += v
		}
	}
	_, _, slope, p := t.bySize(e)
	t.larger = slope < 0
	return p
}
