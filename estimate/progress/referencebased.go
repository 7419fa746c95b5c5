package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// The measures of [ReferenceBased] beside mean-difference and important-changes.
const (
	Shift estimate.Measure = "shift" // of the scores that were not given, in their unit
)

// DeltaShift is added to what is filled in from the event on, by arm, in the unit of the score.
type DeltaShift struct {
	Participants, Comparison float64
}

// term is the shift as part of the name of an estimate: delta=D, or delta=D:C with comparison people shifted too.
func (s DeltaShift) term() string {
	out := "delta=" + survive.FormatTime(s.Participants)
	if s.Comparison != 0 {
		out += ":" + survive.FormatTime(s.Comparison)
	}
	return out
}

// ReferenceBased asks what is left of an effect at each visit if people fared otherwise after an intercurrent event (drop-out, a switch, a
// programme broken off) than those of their arm who stayed. Given arm and X the visits are multivariate normal with means linear in both, visit by visit, and an
// unstructured covariance (a mixed model for repeated measures), by restricted maximum likelihood from all scores seen, gaps allowed. What is missing is filled in by its
// mean given everything seen of the person,
//
//	y_M* = m_M + Σ_MO Σ_OO⁻¹(y_O − m_O)
//
// with m and Σ that a [Strategy] gives: those of the own arm before the event, in gaps and for people without an event, those of the strategy from the event on. delta=D: mar plus D in what is
// missing of participants from the event on (delta=D:C: and plus C for comparison people). The effect is the coefficient of taking part in least squares of the completed
// score on taking part and X. Strategies other than mar leave scores from the event on out of the model, not out of the effect.
//
// Estimates, visit by visit: visit=V,model (mean-difference: the model's own coefficient with the error and degrees of freedom of Kenward and Roger; without weights and clusters only), visit=V,strategy=S and
// visit=V,delta=D (mean-difference), visit=V,tipping (shift; with MIC important-changes): the D nearest 0 at which the interval of delta=D touches 0.
//
// Errors of mar and delta by jackknife, both steps anew. The other strategies carry that of mar (information-anchored: what nobody saw adds no certainty), or with Repeated their
// own by jackknife; details.repeated_std_error has the latter always. Details: missing (by group and visit), from_event (those of them from the event on), jackknife_groups, repeated_std_error,
// tipping ([ShiftLine] by visit), covariance (by group, on and below the diagonal), iterations, vcov.
//
// Errors: [estimate.ErrTooFew] under MinPerArm persons seen at a visit in an arm; [estimate.ErrNotIdentified] for visits at which nobody was seen at both; [estimate.ErrCollinear]; [estimate.ErrNotConverged];
// [estimate.ErrNoTreated], [estimate.ErrNoControls]; [estimate.ErrWeights] for frequencies.
//
// Carpenter, Roger and Kenward (2013); Wolbers et al. (2022); Cro, Carpenter and Kenward (2019).
type ReferenceBased struct {
	Strategies []Strategy // nil = all; mar is always among them
	Delta      []DeltaShift
	MIC        float64 // smallest important change, above 0; 0: tipping in units of the score
	ByArm      bool    // a covariance for each arm
	ML         bool    // maximum likelihood instead of restricted
	Repeated   bool    // errors of reference-based strategies under repetition
	HoldErrors bool    // tipping with the error of mar held as it is
	MinPerArm  int     // 0 means 15
	Workers    int     // goroutines; 0 means all cores. Never changes a result
}

// jackknifeGroups is how many parts are left out in turn where there are more persons or clusters.
const jackknifeGroups = 500

// Fit estimates from scores, which it does not change.
func (e ReferenceBased) Fit(ctx context.Context, s *VisitScores) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("missing at several visits: %w", err)
	}
	return res, nil
}

// options puts the options in order.
func (e *ReferenceBased) options() error {
	for k, s := range e.Strategies {
		if !slices.Contains(allStrategies, s) {
			return invalid("strategy %q is not one of %v", string(s), allStrategies)
		}
		if slices.Contains(e.Strategies[:k], s) {
			return invalid("strategy %q is asked for twice", string(s))
		}
	}
	asked := e.Strategies
	e.Strategies = nil
	for _, s := range allStrategies {
		if asked == nil || s == MissingAtRandom || slices.Contains(asked, s) {
			e.Strategies = append(e.Strategies, s)
		}
	}
	for k, d := range e.Delta {
		if sum := d.Participants + d.Comparison; math.IsNaN(sum) || math.IsInf(sum, 0) || slices.Contains(e.Delta[:k], d) {
			return invalid("a shift must be finite and be asked for once")
		}
	}
	switch {
	case e.MIC < 0 || math.IsNaN(e.MIC) || math.IsInf(e.MIC, 1):
		return invalid("the smallest important change must be finite and above 0")
	case e.MinPerArm < 0:
		return invalid("persons per arm below 0")
	case e.MinPerArm == 0:
		e.MinPerArm = MinArm
	}
	return nil
}

// answer is everything that the jackknife repeats: effects by strategy and the slopes of mar.
type visitAnswer struct {
	by    map[Strategy][]float64
	slope [2][]float64
}

// models are the model of all scores and that of those before the event; one and the same where nothing comes after.
func (e *ReferenceBased) models(d *visitData, visits []string) (all, before *visitModel, err error) {
	if all, err = newVisitModel(d, visits, e.ByArm, e.ML, false); err != nil {
		return nil, nil, err
	}
	after := false
	for _, g := range d.groups {
		after = after || g.seen>>g.event != 0
	}
	if !after || len(e.Strategies) == 1 {
		return all, all, nil
	}
	for a := range 2 {
		for t := range d.T {
			n := 0
			for _, g := range d.groups {
				if g.arm == a && g.event > t && g.seen&(1<<t) != 0 {
					n += g.people
				}
			}
			if n < e.MinPerArm {
				return nil, nil, fmt.Errorf("%w: in an arm %d persons were seen at visit %q before an event, at least %d are needed", estimate.ErrTooFew, n, visits[t], e.MinPerArm)
			}
		}
	}
	before, err = newVisitModel(d, visits, e.ByArm, e.ML, true)
	return all, before, err
}

func (e *ReferenceBased) answer(d *visitData, groups []visitGroup, all, before *visitModel) (*visitAnswer, error) {
	out := &visitAnswer{by: map[Strategy][]float64{}}
	for _, s := range e.Strategies {
		m := before
		if s == MissingAtRandom {
			m = all
		}
		r, err := d.effects(groups, m, s)
		if err != nil {
			return nil, err
		}
		out.by[s] = r.effect
		if s == MissingAtRandom {
			out.slope = r.slope
		}
	}
	return out, nil
}

// parts are the groups that the jackknife leaves out: clusters or persons, or 500 parts of them by the keyed hash of the (first) unit. It also counts the clusters.
func (d *visitData) parts(s *VisitScores) (parts [][]int, clusters int) {
	var own [][]int // of each cluster, or person
	number := map[int]int{}
	for k, i := range d.order {
		if s.Cluster == nil {
			own = append(own, []int{k})
			continue
		}
		c, known := number[s.Cluster[i]]
		if !known {
			c = len(own)
			number[s.Cluster[i]] = c
			own = append(own, nil)
		}
		own[c] = append(own[c], k)
	}
	hash := make([]uint64, len(own))
	for c, people := range own {
		hash[c] = num.KeyedHash(0, s.Unit[d.order[people[0]]])
	}
	parts = make([][]int, min(len(own), jackknifeGroups))
	for at, c := range num.OrderKeys(hash) {
		parts[at%len(parts)] = append(parts[at%len(parts)], own[c]...)
	}
	return parts, len(number)
}

// leaveOut repeats everything without each part. Each model starts at the whole one's answer with its information, so that a few steps are enough.
func (e *ReferenceBased) leaveOut(ctx context.Context, d *visitData, parts [][]int, all, before *visitModel) ([]*visitAnswer, error) {
	left, errs := make([]*visitAnswer, len(parts)), make([]error, len(parts))
	all.aim(d.groups)
	if before != all {
		before.aim(d.groups)
	}
	num.ForEach(len(parts), e.Workers, func(g int) {
		if ctx.Err() != nil {
			return
		}
		groups := d.without(parts[g])
		a := all.copy()
		if errs[g] = a.fit(groups); errs[g] != nil {
			return
		}
		b := a
		if before != all {
			b = before.copy()
			if errs[g] = b.fit(groups); errs[g] != nil {
				return
			}
		}
		left[g], errs[g] = e.answer(d, groups, a, b)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("without one of %d groups: %w", len(parts), err)
		}
	}
	return left, nil
}

// jackknifed is the covariance (G − 1)/G·Σ(a − mean)(b − mean) of two numbers over the answers without each part.
func jackknifed(left []*visitAnswer, a, b func(v *visitAnswer) float64) float64 {
	G := float64(len(left))
	x, y := make([]float64, len(left)), make([]float64, len(left))
	for k, l := range left {
		x[k], y[k] = a(l), b(l)
	}
	mx, my := num.Sum(x)/G, num.Sum(y)/G
	for k := range x {
		x[k] = float64((x[k] - mx) * (y[k] - my))
	}
	return num.Sum(x) * (G - 1) / G
}

func (e ReferenceBased) fit(ctx context.Context, s *VisitScores) (*estimate.Result, error) {
	if err := e.options(); err != nil {
		return nil, err
	}
	d, err := takeVisits(s, e.MinPerArm)
	if err != nil {
		return nil, err
	}
	all, before, err := e.models(d, s.Visits)
	if err != nil {
		return nil, err
	}
	value, err := e.answer(d, d.groups, all, before)
	if err != nil {
		return nil, err
	}
	parts, clusters := d.parts(s)
	if len(parts) < 2 {
		return nil, fmt.Errorf("%w: one cluster has no error", estimate.ErrTooFew)
	}
	left, err := e.leaveOut(ctx, d, parts, all, before)
	if err != nil {
		return nil, err
	}
	res := e.result(s, d, all, value, left)
	res.N.Clusters = clusters
	return res, nil
}
