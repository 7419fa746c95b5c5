package progress

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// costFit holds the persons in byte order of their id, and their payments, discounted, in cells: the months
// that everybody is followed are one, each later month is one of its own.
type costFit struct {
	e       Costs
	p       *Payments
	order   []int32 // persons of weight above 0 who are followed at all
	arm     []int   // by person
	weight  []float64
	need    []int          // by cell: months that must be followed
	paid    [][]float64    // by payer: persons × cells
	total   [2][]float64   // by arm, cell: weight of those followed
	mean    [][2][]float64 // by payer, arm, cell
	persons [2]int
	last    [2]int // persons followed to the horizon
	zero    int    // of weight 0
	never   int    // followed in no month
	lost    int    // followed in some month but not to the horizon
}

func newCostFit(e Costs, p *Payments) (*costFit, error) {
	n := len(p.Unit)
	f := &costFit{e: e, p: p, arm: make([]int, n), weight: make([]float64, n)}
	least := p.Months
	for _, i := range byUnit(p.Unit) {
		w := 1.0
		if p.Weight.Values != nil {
			w = p.Weight.Values[i]
		}
		switch {
		case w == 0:
			f.zero++
			continue
		case p.followed(int(i)) == 0:
			f.never++
			continue
		}
		f.order, f.weight[i] = append(f.order, int32(i)), w
		if p.Treated[i] {
			f.arm[i] = 1
		}
		f.persons[f.arm[i]]++
		least = min(least, p.followed(int(i)))
		if p.followed(int(i)) == p.Months {
			f.last[f.arm[i]]++
		} else {
			f.lost++
		}
	}
	fewest := e.MinPerArm
	if fewest == 0 {
		fewest = MinArm
	}
	switch {
	case f.persons[1] == 0:
		return nil, estimate.ErrNoTreated
	case f.persons[0] == 0:
		return nil, estimate.ErrNoControls
	case min(f.persons[0], f.persons[1]) < fewest:
		return nil, fmt.Errorf("%w: %d participants and %d comparison people; at least %d of each are needed", estimate.ErrTooFew, f.persons[1], f.persons[0], fewest)
	case min(f.last[0], f.last[1]) < fewest:
		return nil, fmt.Errorf("%w: %d participants and %d comparison people are followed to month %d; at least %d of each are needed: choose a nearer horizon", estimate.ErrTooFew, f.last[1], f.last[0], p.Months, fewest)
	}
	f.need = []int{least}
	for m := least + 1; m <= p.Months; m++ {
		f.need = append(f.need, m)
	}
	f.collect(least)
	return f, nil
}

// factor is what an amount of month m, from 0, counts today.
func (f *costFit) factor(m int) float64 { return math.Pow(1+f.e.Discount, -float64(m)/12) }

// collect adds up the payments in cells, and their means.
func (f *costFit) collect(least int) {
	n, cells, months := len(f.p.Unit), len(f.need), f.p.Months
	for a := range f.total {
		f.total[a] = make([]float64, cells)
	}
	for _, i := range f.order {
		for c, need := range f.need {
			if f.p.followed(int(i)) >= need {
				f.total[f.arm[i]][c] += f.weight[i]
			}
		}
	}
	for k := range f.p.Payers {
		paid := make([]float64, n*cells)
		for _, i := range f.order {
			for m := range months {
				paid[int(i)*cells+max(m-least+1, 0)] += float64(f.factor(m) * f.p.Amount[k][int(i)*months+m])
			}
		}
		f.paid = append(f.paid, paid)
		f.mean = append(f.mean, [2][]float64{make([]float64, cells), make([]float64, cells)})
		for _, i := range f.order {
			a := f.arm[i]
			for c, need := range f.need {
				if f.p.followed(int(i)) >= need {
					f.mean[k][a][c] += float64(f.weight[i] / f.total[a][c] * paid[int(i)*cells+c])
				}
			}
		}
	}
}

// sums returns the mean sum of a payer and its influence: of arm 0 or 1, or (2) of the difference.
func (f *costFit) sums(payer, group int) (float64, []float64) {
	cells := len(f.need)
	value, inf := 0.0, make([]float64, len(f.p.Unit))
	var mean [2]float64
	for a := range mean {
		for c := range cells {
			mean[a] += f.mean[payer][a][c]
		}
	}
	switch group {
	case 2:
		value = mean[1] - mean[0]
	default:
		value = mean[group]
	}
	for _, i := range f.order {
		a := f.arm[i]
		if group < 2 && a != group {
			continue
		}
		x := 0.0
		for c, need := range f.need {
			if f.p.followed(int(i)) >= need {
				x += float64(f.weight[i] / f.total[a][c] * (f.paid[payer][int(i)*cells+c] - f.mean[payer][a][c]))
			}
		}
		if group == 2 && a == 0 {
			x = -x
		}
		inf[i] = x
	}
	return value, inf
}

// curve is the difference by month over all payers, and what has added up.
func (f *costFit) curve() ([]CostMonth, error) {
	n, months := len(f.p.Unit), f.p.Months
	var out []CostMonth
	inf := mat.NewDense(n, 2, nil)
	sum := make([]float64, n)
	add := 0.0
	for m := range months {
		v := f.factor(m)
		var total, mean [2]float64
		paid := make([]float64, n)
		for _, i := range f.order {
			if f.p.followed(int(i)) > m {
				for k := range f.p.Payers {
					paid[i] += float64(v * f.p.Amount[k][int(i)*months+m])
				}
				total[f.arm[i]] += f.weight[i]
			}
		}
		for _, i := range f.order {
			if f.p.followed(int(i)) > m {
				mean[f.arm[i]] += float64(f.weight[i] / total[f.arm[i]] * paid[i])
			}
		}
		for _, i := range f.order {
			x := 0.0
			if a := f.arm[i]; f.p.followed(int(i)) > m {
				x = float64(2*a-1) * f.weight[i] / total[a] * (paid[i] - mean[a])
			}
			sum[i] += x
			inf.Set(int(i), 0, x)
			inf.Set(int(i), 1, sum[i])
		}
		cov, _, err := survive.Covariance(inf, f.order, f.p.Cluster, f.e.Workers)
		if err != nil {
			return nil, err
		}
		add += mean[1] - mean[0]
		out = append(out, CostMonth{Month: m + 1, Difference: mean[1] - mean[0], StdError: math.Sqrt(cov.At(0, 0)), Sum: add, SumError: math.Sqrt(cov.At(1, 1)),
			Influence: append([]float64(nil), sum...)})
	}
	return out, nil
}

// largestShare is the share that one person, or one cluster, has in the variance.
func (f *costFit) largestShare(inf []float64) float64 {
	of, all, largest := map[int]float64{}, 0.0, 0.0
	for _, i := range f.order {
		c := int(i)
		if f.p.Cluster != nil {
			c = f.p.Cluster[i]
		}
		of[c] += inf[i]
	}
	for _, i := range f.order {
		c := int(i)
		if f.p.Cluster != nil {
			c = f.p.Cluster[i]
		}
		if x, ok := of[c]; ok {
			all, largest = all+float64(x*x), max(largest, float64(x*x))
			delete(of, c)
		}
	}
	if !(all > 0) {
		return 0
	}
	return largest / all
}

func (f *costFit) notes() []table.Note {
	var out []table.Note
	if f.p.Weight.Values != nil {
		out = append(out, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(f.p.Weight.Kind)}})
	}
	if f.zero > 0 {
		out = append(out, table.Note{Code: "zero-weight", Text: "Persons with weight 0 take no part.", Args: map[string]any{"persons": f.zero}})
	}
	if f.never > 0 {
		out = append(out, table.Note{Code: "costs-never-followed", Text: "Some persons are not followed in the first month; they were left out.", Args: map[string]any{"persons": f.never}})
	}
	if f.lost > 0 {
		out = append(out, table.Note{Code: "costs-lost", Text: "Some persons are not followed to the horizon; in the months after it those who are followed stand in for them.", Args: map[string]any{"persons": f.lost}})
	}
	return out
}
