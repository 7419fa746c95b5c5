package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// resampled are the units that the bootstrap draws: clusters, or the persons of each arm.
type resampled struct {
	of    []int   // by place in order: the unit
	pools [][]int // units that are drawn from one another
	units int
}

func (f *costFit) resampled() resampled {
	r := resampled{of: make([]int, len(f.order))}
	if f.p.Cluster == nil {
		r.pools = [][]int{nil, nil}
		for k, i := range f.order {
			r.of[k] = k
			r.pools[f.arm[i]] = append(r.pools[f.arm[i]], k)
		}
		r.units = len(f.order)
		return r
	}
	number := map[int]int{}
	r.pools = [][]int{nil}
	for k, i := range f.order {
		c, ok := number[f.p.Cluster[i]]
		if !ok {
			c = len(number)
			number[f.p.Cluster[i]] = c
			r.pools[0] = append(r.pools[0], c)
		}
		r.of[k] = c
	}
	r.units = len(number)
	return r
}

// bootstrap replaces intervals and tests of the differences by those of the bootstrap-t.
func (f *costFit) bootstrap(ctx context.Context, res *estimate.Result) error {
	replicates := f.e.Replicates
	if replicates == 0 {
		replicates = 999
	}
	numbers := len(res.Estimates) / 3
	r := f.resampled()
	t := make([][]float64, replicates) // by replicate: t of each difference; nil = an arm was lost
	num.ForEach(replicates, f.e.Workers, func(b int) {
		if ctx.Err() == nil {
			t[b] = f.replicate(&r, uint64(b), res.Estimates[:numbers])
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	lost := 0
	for _, x := range t {
		if x == nil {
			lost++
		}
	}
	if 10*lost > replicates {
		return fmt.Errorf("%w: %d of %d replicates have nobody who is followed in an arm, or no spread", estimate.ErrNotIdentified, lost, replicates)
	}
	if lost > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "bootstrap-replicates-empty", Text: fmt.Sprintf("%d of %d replicates have nobody in an arm and are left out.", lost, replicates), Args: map[string]any{"empty": lost, "replicates": replicates}})
	}
	for q := range numbers {
		var drawn []float64
		for _, x := range t {
			if x != nil {
				drawn = append(drawn, x[q])
			}
		}
		bootstrapT(&res.Estimates[q], drawn, f.p.Level)
	}
	res.Details["errors"], res.Details["replicates"], res.Details["seed"] = "bootstrap-t", replicates, f.e.Seed
	return nil
}

// bootstrapT puts the interval and test of drawn t values on an estimate with a standard error.
func bootstrapT(e *estimate.Estimate, drawn []float64, level float64) {
	if !(e.SE > 0) {
		return
	}
	slices.Sort(drawn)
	n := len(drawn)
	at := func(p float64) float64 { return drawn[min(max(int(math.Ceil(p*float64(n+1)-1e-9))-1, 0), n-1)] }
	alpha := 1 - level
	e.CI = estimate.Interval{Lo: e.Value - float64(at(1-alpha/2)*e.SE), Hi: e.Value - float64(at(alpha/2)*e.SE), Level: level, Method: "bootstrap-t"}
	below, above := 0, 0
	for _, x := range drawn {
		if x <= e.Test.Stat {
			below++
		}
		if x >= e.Test.Stat {
			above++
		}
	}
	e.Test.P = min(1, 2*float64(min(below, above)+1)/float64(n+1))
}

// replicate returns (θ* − θ̂)/se* of each difference in one resample.
func (f *costFit) replicate(r *resampled, number uint64, whole []estimate.Estimate) []float64 {
	st := num.NewStream(f.e.Seed, "costs-bootstrap", number)
	times := make([]float64, r.units)
	for _, pool := range r.pools {
		for range pool {
			times[pool[st.Intn(len(pool))]]++
		}
	}
	cells, payers := len(f.need), len(f.p.Payers)
	var total [2][]float64
	mean := make([]float64, payers*2*cells)
	for a := range total {
		total[a] = make([]float64, cells)
	}
	// Who is followed for c cells is in the first c.
	for k, i := range f.order {
		if w := f.weight[i] * times[r.of[k]]; w > 0 {
			for c := 0; c < cells && f.p.followed(int(i)) >= f.need[c]; c++ {
				total[f.arm[i]][c] += w
				for q := range payers {
					mean[(q*2+f.arm[i])*cells+c] += float64(w * f.paid[q][int(i)*cells+c])
				}
			}
		}
	}
	for a := range total {
		for c, w := range total[a] {
			if !(w > 0) {
				return nil
			}
			for q := range payers {
				mean[(q*2+a)*cells+c] /= w
			}
		}
	}
	inf := make([]float64, r.units*payers)
	for k, i := range f.order {
		if times[r.of[k]] == 0 {
			continue
		}
		a := f.arm[i]
		for c := 0; c < cells && f.p.followed(int(i)) >= f.need[c]; c++ {
			w := float64(2*a-1) * f.weight[i] / total[a][c]
			for q := range payers {
				inf[r.of[k]*payers+q] += float64(w * (f.paid[q][int(i)*cells+c] - mean[(q*2+a)*cells+c]))
			}
		}
	}
	value, variance := make([]float64, payers+1), make([]float64, payers+1) // the total is last
	for q := range payers {
		for c := range cells {
			value[q] += mean[(q*2+1)*cells+c] - mean[q*2*cells+c]
		}
		value[payers] += value[q]
	}
	drawn := 0.0
	for u, m := range times {
		sum := 0.0
		for q, x := range inf[u*payers : (u+1)*payers] {
			variance[q] += float64(m * x * x)
			sum += x
		}
		variance[payers] += float64(m * sum * sum)
		drawn += m
	}
	factor := 1.0
	if f.p.Cluster != nil {
		factor = drawn / (drawn - 1)
	}
	out := make([]float64, len(whole)) // the total is first
	for q := range out {
		at := (q + payers) % (payers + 1)
		se := math.Sqrt(variance[at] * factor)
		switch {
		case se > 0:
			out[q] = (value[at] - whole[q].Value) / se
		case whole[q].SE > 0:
			return nil
		}
	}
	return out
}
