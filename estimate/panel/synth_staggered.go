package panel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// cohortBlock is the block of one cohort: its units beside the never treated, over all periods.
type cohortBlock struct {
	*block
	start int // first treated period
}

// stagger splits a frame whose units start in several periods: a block for each cohort, with the same controls.
func (s *Synthetic) stagger(f *Frame, treated []bool) ([]cohortBlock, []table.Note, error) {
	l, offset, err := layWhole(f, treated)
	if err != nil {
		return nil, nil, err
	}
	if !l.hasNever() {
		return nil, nil, fmt.Errorf("%w: no unit that is never treated is seen in every period", estimate.ErrNoControls)
	}
	k := len(l.periods)
	var controls, names = [][]float64(nil), []string(nil)
	units := map[int][]int{}
	for i := 0; i < len(l.y); i += k {
		if l.cohort[i] == never {
			controls, names = append(controls, l.y[i:i+k]), append(names, l.names[l.unit[i]])
		} else {
			units[l.cohort[i]] = append(units[l.cohort[i]], i)
		}
	}
	periods := make([]int, k)
	for p, t := range l.periods {
		periods[p] = t + offset
	}
	var out []cohortBlock
	fewest := s.fewestBefore()
	var short []int
	for _, g := range l.cohortsIn() {
		b := &block{y: slices.Clone(controls), names: slices.Clone(names), periods: periods, n0: len(controls)}
		for _, t := range l.periods {
			if t < g {
				b.t0++
			}
		}
		if b.t0 < fewest {
			short = append(short, g+offset)
			continue
		}
		for _, i := range units[g] {
			b.y, b.names = append(b.y, l.y[i:i+k]), append(b.names, l.names[l.unit[i]])
		}
		out = append(out, cohortBlock{b, g + offset})
	}
	if len(out) == 0 {
		return nil, nil, fmt.Errorf("%w: no cohort has %d before treatment", ErrFewPeriods, fewest)
	}
	for _, g := range short {
		l.note("cohort-too-early", map[string]any{"group": g, "periods": fewest},
			"Cohort %d has fewer than %d periods before its treatment and is left out.", g, fewest)
	}
	return out, l.notes, nil
}

// fewestBefore is the fewest periods before treatment that a method needs.
func (s *Synthetic) fewestBefore() int {
	switch s.Method {
	case DifferenceInMeans:
		return 1
	case AugmentedSynthetic:
		return 3
	}
	return 2
}

// staggered estimates each cohort by itself and weighs by treated units and periods. Terms group=G, overall last.
func (s *Synthetic) staggered(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	if len(s.Predictors) > 0 {
		return nil, fmt.Errorf("%w: predictors have windows before one starting period; treatment starts in several", ErrOption)
	}
	cohorts, notes, err := s.stagger(f, treated)
	if err != nil {
		return nil, err
	}
	weights := make([]*synthWeights, len(cohorts))
	values := make([]float64, len(cohorts))
	rows := make([]map[string]any, len(cohorts))
	worst, units := 0.0, cohorts[0].n0
	for i, c := range cohorts {
		if weights[i], err = s.weigh(c.block); err != nil {
			return nil, fmt.Errorf("cohort %d: %w", c.start, err)
		}
		var gaps []float64
		values[i], gaps = c.effect(weights[i])
		rows[i] = c.details(weights[i], gaps)
		rows[i]["group"], rows[i]["treated"] = c.start, len(c.y)-c.n0
		worst = max(worst, weights[i].unitKKT, weights[i].timeKKT)
		units += len(c.y) - c.n0
	}
	theta := weighCohorts(cohorts, values)
	if !finite(append(values, theta)...) {
		return nil, fmt.Errorf("%w: the effect is not a number; rescale the outcome", estimate.ErrNotIdentified)
	}
	errs, spread, err := s.staggeredErrors(ctx, cohorts, weights, theta)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "synth", Notes: notes, Fit: estimate.Convergence{Converged: true, Tolerance: worst},
		N:       estimate.Counts{Units: units, Treated: units - cohorts[0].n0},
		Details: map[string]any{"errors": s.Errors, "cohorts": rows, "path": pathByEvent(cohorts, rows)}}
	for i, c := range cohorts {
		res.Estimates = append(res.Estimates, estimate.Wald(fmt.Sprintf("group=%d", c.start), estimate.MeanDifference, values[i], errs[i], math.Inf(1), f.Level))
	}
	res.Estimates = append(res.Estimates, estimate.Wald(Overall, estimate.MeanDifference, theta, errs[len(cohorts)], math.Inf(1), f.Level))
	if spread != nil {
		res.Details[s.Errors] = spread
	}
	if s.Errors == NoErrors {
		res.Notes = append(res.Notes, table.Note{Code: "errors-not-asked", Text: "No standard error was asked for."})
	}
	return res, nil
}

// pathByEvent is the mean gap of the treated by periods since their start, over the
// cohorts that are seen then.
func pathByEvent(cohorts []cohortBlock, rows []map[string]any) []map[string]any {
	sum, count := map[int]float64{}, map[int]int{}
	for i, c := range cohorts {
		n := len(c.y) - c.n0
		for t, p := range rows[i]["path"].([]PathPoint) {
			sum[t-c.t0] += float64(float64(n) * p.Gap)
			count[t-c.t0] += n
		}
	}
	var out []map[string]any
	for _, e := range slices.Sorted(maps.Keys(count)) {
		out = append(out, map[string]any{"event": e, "gap": sum[e] / float64(count[e]), "units": count[e]})
	}
	return out
}

// weighCohorts is the mean over treated units and periods from treatment on.
func weighCohorts(cohorts []cohortBlock, values []float64) float64 {
	sum, total := 0.0, 0.0
	for i, c := range cohorts {
		if n := len(c.y) - c.n0; n > 0 {
			w := float64(n * (len(c.periods) - c.t0))
			sum += float64(w * values[i])
			total += w
		}
	}
	return sum / total
}

// staggeredErrors are the standard errors of the cohorts and, last, of overall. Placebo: controls are called treated, as many in each cohort as it has,
// the treated left out; bootstrap: units of all kinds; jackknife: one unit left out at a time with weights fixed.
func (s *Synthetic) staggeredErrors(ctx context.Context, cohorts []cohortBlock, weights []*synthWeights, theta float64) ([]float64, map[string]any, error) {
	k, n0, n1 := len(cohorts), cohorts[0].n0, 0
	out := slices.Repeat([]float64{math.NaN()}, k+1)
	for _, c := range cohorts {
		n1 += len(c.y) - n0
	}
	var draw func(i int) []cohortBlock
	stage := "synth-staggered-" + s.Errors
	switch {
	case s.Errors == NoErrors:
		return out, nil, nil
	case s.Errors == JackknifeErrors:
		return jackknifeCohorts(cohorts, weights, out)
	case s.Errors == PlaceboErrors && n0 <= n1:
		return nil, nil, fmt.Errorf("%w: placebo errors need more controls (%d) than treated units (%d); use the jackknife or the bootstrap", estimate.ErrTooFew, n0, n1)
	case s.Errors == BootstrapErrors && loneCohort(cohorts) >= 0:
		return nil, nil, fmt.Errorf("%w: the bootstrap needs two treated units or more in every cohort, and the one that starts at %d has one; use placebo errors", estimate.ErrTooFew, cohorts[loneCohort(cohorts)].start)
	case s.Errors == BootstrapErrors && (n0 < 2 || n1 < 2):
		return nil, nil, fmt.Errorf("%w: the bootstrap needs two treated units and two controls or more; use placebo errors", estimate.ErrTooFew)
	case s.Errors == PlaceboErrors:
		draw = func(i int) []cohortBlock {
			r := num.NewStream(s.Seed, stage, uint64(i))
			order := make([]int, n0)
			for u := range order {
				order[u] = u
			}
			for u := range n1 {
				v := u + r.Intn(n0-u)
				order[u], order[v] = order[v], order[u]
			}
			rest := slices.Clone(order[n1:])
			slices.Sort(rest)
			var set []cohortBlock
			at := 0
			for _, c := range cohorts {
				n := len(c.y) - n0
				set = append(set, cohortBlock{c.pick(append(slices.Clone(rest), order[at:at+n]...), n0-n1), c.start})
				at += n
			}
			return set
		}
	default:
		draw = func(i int) []cohortBlock {
			r := num.NewStream(s.Seed, stage, uint64(i))
			for {
				var controls []int
				picked := make([][]int, k)
				some := 0
				for range n0 + n1 {
					u := r.Intn(n0 + n1)
					if u < n0 {
						controls = append(controls, u)
						continue
					}
					u -= n0
					for c := range cohorts {
						if n := len(cohorts[c].y) - n0; u < n {
							picked[c] = append(picked[c], n0+u)
							some++
							break
						} else {
							u -= n
						}
					}
				}
				if some == 0 || len(controls) == 0 {
					continue
				}
				slices.Sort(controls)
				var set []cohortBlock
				for c := range cohorts {
					slices.Sort(picked[c])
					set = append(set, cohortBlock{cohorts[c].pick(append(slices.Clone(controls), picked[c]...), len(controls)), cohorts[c].start})
				}
				return set
			}
		}
	}
	n := s.replicates()
	draws, fails := make([][]float64, n), make([]error, n)
	num.ForEach(n, s.Workers, func(i int) {
		if fails[i] = ctx.Err(); fails[i] != nil {
			return
		}
		set := draw(i)
		row := slices.Repeat([]float64{math.NaN()}, k+1)
		for c := range set {
			if len(set[c].y) == set[c].n0 {
				continue
			}
			w, err := s.weigh(set[c].block)
			if err != nil {
				fails[i] = fmt.Errorf("%s %d: %w", s.Errors, i+1, err)
				return
			}
			row[c], _ = set[c].effect(w)
		}
		values := make([]float64, k)
		for c, v := range row[:k] {
			if finite(v) {
				values[c] = v
			}
		}
		row[k] = weighCohorts(set, values)
		draws[i] = row
	})
	if err := errors.Join(fails...); err != nil {
		return nil, nil, err
	}
	larger := 0
	for j := range k + 1 {
		var v []float64
		for _, row := range draws {
			if finite(row[j]) {
				v = append(v, row[j])
				if j == k && math.Abs(row[j]) >= math.Abs(theta) {
					larger++
				}
			}
		}
		out[j] = deviation(v, 0)
	}
	spread := map[string]any{"draws": n}
	if s.Errors == PlaceboErrors {
		spread["all"], spread["p_value"] = false, float64(1+larger)/float64(1+n)
	}
	return out, spread, nil
}

// loneCohort is the first cohort with a single treated unit, or -1: drawing it again or leaving
// it out says nothing of how it varies.
func loneCohort(cohorts []cohortBlock) int {
	return slices.IndexFunc(cohorts, func(c cohortBlock) bool { return len(c.y)-c.n0 == 1 })
}

// jackknifeCohorts leaves out one unit of all after the other; the errors of single cohorts need two treated units.
func jackknifeCohorts(cohorts []cohortBlock, weights []*synthWeights, out []float64) ([]float64, map[string]any, error) {
	k, n0, n1 := len(cohorts), cohorts[0].n0, 0
	for i, c := range cohorts {
		n1 += len(c.y) - n0
		if se, err := c.jackknife(weights[i]); err == nil {
			out[i] = se
		}
	}
	if n1 < 2 {
		return nil, nil, fmt.Errorf("%w: the jackknife needs two treated units or more; use placebo errors", estimate.ErrTooFew)
	}
	var values []float64
	leave := func(control int, cohort, unit int) error {
		set := make([]cohortBlock, k)
		each := make([]float64, k)
		for c := range cohorts {
			b := cohorts[c]
			one := &synthWeights{lambda: weights[c].lambda}
			units, sum, left := []int(nil), 0.0, n0
			for u := range b.y {
				if u == control || c == cohort && u == unit {
					continue
				}
				units = append(units, u)
				if u < n0 {
					one.omega = append(one.omega, weights[c].omega[u])
					sum += weights[c].omega[u]
				}
			}
			if control >= 0 {
				left--
			}
			if !(sum > 0) {
				return fmt.Errorf("%w: one control has all the weight in cohort %d, so that none can be left out; use placebo errors", estimate.ErrTooFew, b.start)
			}
			for i := range one.omega {
				one.omega[i] /= sum
			}
			set[c] = cohortBlock{b.pick(units, left), b.start}
			if len(set[c].y) > left {
				each[c], _ = set[c].effect(one)
			}
		}
		values = append(values, weighCohorts(set, each))
		return nil
	}
	for u := range n0 {
		if err := leave(u, -1, -1); err != nil {
			return nil, nil, err
		}
	}
	for c := range cohorts {
		for u := n0; u < len(cohorts[c].y); u++ {
			if err := leave(-1, c, u); err != nil {
				return nil, nil, err
			}
		}
	}
	if loneCohort(cohorts) < 0 { // without its only unit a cohort vanishes: that is no draw of another one
		out[k] = deviation(values, 0) * math.Sqrt(float64(len(values)-1))
	}
	return out, map[string]any{"units": len(values)}, nil
}
