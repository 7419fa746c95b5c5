package survive

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// robust adds the strata with weights or clusters: U as without, and its variance from what each unit adds,
//
//	U_i = w_i·[δ_i·L(T_i)(e_i − p(T_i)) − Σ_{entry_i < t ≤ T_i} L·d/Y·(e_i − p)],  V = Σ_c (Σ_{i∈c} U_i)(Σ_{i∈c} U_i)'
//
// with L = S(t−)^ρ, e_i the indicators of the groups and p = Y_g/Y. It returns the number of clusters, 0 without.
func (s *rankSums) robust(rows [][]int32) (clusters int, err error) {
	f, G := s.f, len(s.groups)
	parts := mat.NewDense(len(f.Time), G, nil)
	for _, r := range rows {
		s.robustStratum(r, parts)
	}
	order, err := idOrder(f.Unit)
	if err != nil {
		return 0, err
	}
	v, clusters, err := Covariance(parts, active(f.Weight.Values, order), f.Cluster, s.workers)
	if err != nil {
		return 0, err
	}
	s.v.ScaleSym(1/clusterFactor(clusters), v)
	for g := range s.groups {
		s.u[g] = s.groups[g].Observed - s.groups[g].Expected
	}
	return clusters, nil
}

// rankTimes are the event times of a stratum, ascending: the weight L, the hazard d/Y, and by group the share at risk.
type rankTimes struct {
	time, weight, hazard []float64
	share                []float64 // G a time
}

// times finds the event times of rows. Weights at risk are sums from the last time on.
func (s *rankSums) times(rows []int32) rankTimes {
	f, G := s.f, len(s.groups)
	sorted := byTime(f.Time, rows)
	var late []int32
	if f.Entry != nil {
		late = byTime(f.Entry, rows)
	}
	var x rankTimes
	risk, left, in := make([]float64, G), make([]float64, 0), len(late)
	for hi := len(sorted); hi > 0; {
		lo, t, died := hi, f.Time[sorted[hi-1]], 0.0
		for ; lo > 0 && f.Time[sorted[lo-1]] == t; lo-- {
			i := sorted[lo-1]
			risk[f.groupOf(i)] += f.weight(i)
			if f.Event[i] {
				died += f.weight(i)
			}
		}
		for ; in > 0 && f.Entry[late[in-1]] >= t; in-- {
			risk[f.groupOf(late[in-1])] -= f.weight(late[in-1])
		}
		hi = lo
		if died == 0 {
			continue
		}
		y := 0.0
		for _, r := range risk {
			y += r
		}
		x.time, x.hazard = append(x.time, t), append(x.hazard, died/y)
		for g := G - 1; g >= 0; g-- { // turned round below, with the times
			x.share = append(x.share, risk[g]/y)
		}
		left = append(left, max(0, y-died)/y)
	}
	for _, v := range [][]float64{x.time, x.hazard, x.share, left} {
		slices.Reverse(v)
	}
	surv := 1.0
	for _, stay := range left {
		w := 1.0
		if s.rho != 0 {
			w = math.Pow(surv, s.rho)
		}
		x.weight = append(x.weight, w)
		surv *= stay
	}
	return x
}

func (s *rankSums) robustStratum(rows []int32, parts *mat.Dense) {
	f, G := s.f, len(s.groups)
	x := s.times(rows)
	all, each := make([]float64, len(x.time)+1), make([]float64, (len(x.time)+1)*G) // Σ L·d/Y, Σ L·d/Y·p
	for q := range x.time {
		h := x.weight[q] * x.hazard[q]
		all[q+1] = all[q] + h
		for g := range G {
			each[(q+1)*G+g] = each[q*G+g] + float64(h*x.share[q*G+g])
		}
	}
	upTo := func(t float64) int {
		q, found := slices.BinarySearch(x.time, t)
		if found {
			q++
		}
		return q
	}
	for _, i := range rows {
		own, w, to, from := f.groupOf(i), f.weight(i), upTo(f.Time[i]), 0
		if f.Entry != nil {
			from = upTo(f.Entry[i])
		}
		u := parts.RawRowView(int(i))
		for g := range G {
			u[g] += each[to*G+g] - each[from*G+g]
		}
		u[own] -= all[to] - all[from]
		group := &s.groups[own]
		group.Units++
		group.Expected += float64(w * (all[to] - all[from]))
		if f.Event[i] {
			l := x.weight[to-1]
			group.Events++
			group.Observed += float64(w * l)
			u[own] += l
			for g := range G {
				u[g] -= float64(l * x.share[(to-1)*G+g])
			}
		}
		for g := range u {
			u[g] *= w
		}
	}
}

// checkRobust refuses what the variance from units cannot use.
func (f *Times) checkRobust() error {
	if f.Weight.Kind == estimate.Frequency && f.Cluster != nil {
		return fmt.Errorf("%w: frequency weights with clusters; write one unit a row", estimate.ErrWeights)
	}
	return nil
}
