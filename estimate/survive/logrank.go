package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// LogRank tests that the hazards of all groups are equal at every time (the rho family of
// Harrington and Fleming). At each event time t_k of each stratum, with Y_g at risk and d_g
// events in group g, Y and d over all groups, and S the stratum's Kaplan–Meier curve over
// all groups just before t_k:
//
//	U_g  = Σ S^ρ (d_g − d·Y_g/Y)
//	V_gh = Σ S^{2ρ} d (Y−d)/(Y−1) · (Y_g/Y)(1{g=h} − Y_h/Y)
//	χ²   = U' V⁻ U on (groups with an expected event) − 1 degrees of freedom
//
// ρ = 0 is the log-rank test, ρ = 1 the Peto–Peto modification of Gehan and Wilcoxon. With sampling or matching
// weights or clusters Y, d and S are weighted, and V is the sum of squares of what the units, or clusters, add to U
// (METHODS.md; without a factor): for ρ = 0 the robust score test of Cox regression with Breslow's ties.
//
// Estimate: one, term logrank, measure chi-square. Details: groups ([]LogRankGroup), rho, strata, vcov.
//
// Errors: those of [Stratified.Check]; [estimate.ErrWeights] for frequency weights with clusters;
// [estimate.ErrTooFew] for fewer than two groups or no event;
// [estimate.ErrNotIdentified] if groups are never at risk together.
//
// Source: Lin and Wei 1989 (weights and clusters); Mantel 1966; Peto and Peto 1972; Harrington and Fleming 1982.
type LogRank struct {
	Rho     float64 // power of the weight S^ρ, from 0; 0 is the log-rank test
	Workers int     // goroutines; 0 means all cores. Never changes a result
}

// A LogRankGroup is a row of details.groups. Observed and Expected are weighted by S^ρ.
type LogRankGroup struct {
	Group    string  `json:"group"`
	Units    int     `json:"units"`
	Events   int     `json:"events"`
	Observed float64 `json:"observed"`
	Expected float64 `json:"expected"`
}

// Fit tests, and does not change f.
func (e LogRank) Fit(ctx context.Context, f *Stratified) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("log-rank: %w", err)
	}
	return res, nil
}

func (e LogRank) fit(ctx context.Context, f *Stratified) (*estimate.Result, error) {
	if !(e.Rho >= 0) || math.IsInf(e.Rho, 0) {
		return nil, fmt.Errorf("rho %v must be a finite number of at least 0", e.Rho)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if len(f.GroupNames) < 2 {
		return nil, fmt.Errorf("%w: a log-rank test compares two groups or more", estimate.ErrTooFew)
	}
	if err := f.checkRobust(); err != nil {
		return nil, err
	}
	G := len(f.GroupNames)
	s := rankSums{rho: e.Rho, workers: e.Workers, f: &f.Times, groups: make([]LogRankGroup, G), u: make([]float64, G), v: mat.NewSymDense(G, nil)}
	all, name, clusters := f.allRows(), "hypergeometric", 0
	if f.robust() {
		order, err := idOrder(f.Unit)
		if err != nil {
			return nil, err
		}
		all = active(f.Weight.Values, order)
	}
	rows := strata(f.Stratum, all)
	if f.robust() {
		var err error
		if clusters, err = s.robust(rows); err != nil {
			return nil, err
		}
		if name = "influence"; clusters > 0 {
			name = "influence, clustered, no factor"
		}
	} else {
		for _, r := range rows {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s.stratum(r)
		}
	}
	events, use := 0, make([]bool, G)
	for g := range s.groups {
		s.groups[g].Group = f.GroupNames[g]
		if s.groups[g].Units == 0 {
			return nil, fmt.Errorf("%w: group %q has no row with a weight above 0", estimate.ErrTooFew, f.GroupNames[g])
		}
		events += s.groups[g].Events
		use[g] = s.groups[g].Expected > 0
	}
	if events == 0 {
		return nil, fmt.Errorf("%w: no event among %d units", estimate.ErrTooFew, len(all))
	}
	stat, df, err := chiSquare(s.u, s.v, use)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "logrank", Estimates: []estimate.Estimate{chiSquareTest("logrank", stat, df)},
		N: estimate.Counts{Units: len(all), Events: events, Clusters: clusters}, Fit: estimate.Convergence{Converged: true},
		Details: map[string]any{"groups": s.groups, "rho": e.Rho, "strata": len(rows), "vcov": name}, Notes: weightNote(f.Weight),
	}
	sayFewClusters(res)
	if dropped := len(f.Time) - len(all); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	return res, nil
}

type rankSums struct {
	rho     float64
	workers int
	f       *Times
	groups  []LogRankGroup
	u       []float64
	v       *mat.SymDense
}

// stratum adds one stratum: a sweep over its times with the numbers at risk. They are whole
// numbers, so that the order of rows changes nothing. Few times are counted by time, many are visited in order.
func (s *rankSums) stratum(rows []int32) {
	f, G, n := s.f, len(s.groups), len(rows)
	times := make([]float64, n, 2*n)
	for k, i := range rows {
		times[k] = f.Time[i]
	}
	if f.Entry != nil {
		for _, i := range rows {
			times = append(times, f.Entry[i])
		}
	}
	distinct, rank, order := num.RanksOrder(times, s.workers)
	risk := make([]float64, G)
	for _, i := range rows {
		g := f.groupOf(i)
		s.groups[g].Units++
		if f.Event[i] {
			s.groups[g].Events++
		}
		if f.Entry == nil {
			risk[g] += f.weight(i)
		}
	}
	if order != nil && len(distinct) > n/16 {
		if len(distinct) < len(order) {
			distinct = make([]float64, len(order))
			for r, k := range order {
				distinct[r] = times[k]
			}
		}
		s.visit(rows, distinct, order, risk)
		return
	}
	leave, die, enter := make([]float64, len(distinct)*G), make([]float64, len(distinct)*G), []float64(nil)
	for k, i := range rows {
		at, w := int(rank[k])*G+f.groupOf(i), f.weight(i)
		leave[at] += w
		if f.Event[i] {
			die[at] += w
		}
	}
	if f.Entry != nil {
		enter = make([]float64, len(distinct)*G)
		for k, i := range rows {
			enter[int(rank[n+k])*G+f.groupOf(i)] += f.weight(i)
		}
	}
	surv := 1.0
	for r := range distinct {
		died, d := die[r*G:r*G+G], 0.0
		for _, w := range died {
			d += w
		}
		if d > 0 {
			y := s.add(risk, died, d, surv)
			surv *= (y - d) / y
		}
		for g := range risk {
			risk[g] -= leave[r*G+g]
			if enter != nil {
				risk[g] += enter[r*G+g]
			}
		}
	}
}

// visit is the sweep in the order of the times, which are ascending; of the places in order those from n on are entries.
func (s *rankSums) visit(rows []int32, times []float64, order []int32, risk []float64) {
	f, n, G := s.f, len(rows), int32(len(risk))
	// What happens, and to which group, in the order of rows first: then one place in memory is sought for each row, not four.
	const enters, leaves, dies = 0, 1, 2
	what := make([]int32, n)
	num.ForChunks(n, s.workers, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			what[k] = leaves*G + int32(f.groupOf(rows[k]))
			if f.Event[rows[k]] {
				what[k] += (dies - leaves) * G
			}
		}
	})
	marks := make([]int32, len(order))
	num.ForChunks(len(order), s.workers, func(_, lo, hi int) {
		for r := lo; r < hi; r++ {
			if k := int(order[r]); k < n {
				marks[r] = what[k]
			} else {
				marks[r] = what[k-n]%G + enters*G
			}
		}
	})
	weight := func(r int) float64 {
		if f.Weight.Values == nil {
			return 1
		}
		k := int(order[r])
		if k >= n {
			k -= n
		}
		return f.Weight.Values[rows[k]]
	}
	die, surv := make([]float64, G), 1.0
	for lo := 0; lo < len(order); {
		t, hi, d := times[lo], lo, 0.0
		for ; hi < len(order) && times[hi] == t; hi++ {
			if m := marks[hi] - dies*G; m >= 0 {
				w := weight(hi)
				die[m] += w
				d += w
			}
		}
		if d > 0 {
			y := s.add(risk, die, d, surv)
			surv *= (y - d) / y
			clear(die)
		}
		for ; lo < hi; lo++ {
			switch m := marks[lo]; {
			case m < leaves*G:
				risk[m] += weight(lo)
			case m < dies*G:
				risk[m-leaves*G] -= weight(lo)
			default:
				risk[m-dies*G] -= weight(lo)
			}
		}
	}
}

// add adds one event time and returns the number at risk.
func (s *rankSums) add(risk, die []float64, d, surv float64) float64 {
	y := 0.0
	for _, r := range risk {
		y += r
	}
	w := 1.0
	if s.rho != 0 {
		w = math.Pow(surv, s.rho)
	}
	for g := range risk {
		expected := d * risk[g] / y
		s.groups[g].Observed += float64(w * die[g])
		s.groups[g].Expected += float64(w * expected)
		s.u[g] += float64(w * (die[g] - expected))
	}
	if y > 1 {
		c := w * w * d * (y - d) / (y - 1)
		v := s.v.RawSymmetric()
		for g := range risk {
			row := v.Data[g*v.Stride:]
			for h := g; h < len(risk); h++ {
				x := -risk[g] / y * risk[h] / y
				if g == h {
					x = risk[g] / y * (y - risk[g]) / y
				}
				row[h] += float64(c * x)
			}
		}
	}
	return y
}
