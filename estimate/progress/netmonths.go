package progress

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// NetMonths estimates how much longer participants are on a higher step of a ladder
// than comparison people, falls subtracted. With p_a(t) the Aalen–Johansen occupation
// probabilities of arm a and sg[j,h] the sign of step j less step h,
//
//	net(τ) = ∫_0^τ p_1(t)'·sg·p_0(t)dt = win months − loss months
//
// as exact integrals of step functions, in the unit of the spells. Standard errors come
// from the influence function over both arms (METHODS.md: no factor without clusters,
// G/(G−1) with; for matched sets put set numbers in Spells.Cluster). Months have normal
// intervals, probabilities logit ones.
//
// Estimates, in this order: net-months (measure net-months), win-months (win-months),
// loss-months (loss-months); for each time T of At time=T (win-probability) and time=T
// (loss-probability); for each alternative in byte order net-months,order=NAME
// (net-months); with Administrative net-months,administrative=merged (net-months).
//
// Details: administrative (AdministrativeShare), participants, comparison (group names), tau, steps, order (OrderCheck),
// dominance ([]Dominance), persons (by group), vcov.
//
// Errors: [estimate.ErrTooFew] below MinPerArm persons in an arm;
// [estimate.ErrInvalidFrame] for a ladder that does not fit the states or other than two
// groups; [estimate.ErrNotIdentified] beyond follow-up; those of [survive.Spells.Check].
type NetMonths struct {
	Ladder       Ladder            // main order: every state has a step
	Alternatives map[string]Ladder // other declared orders, by name
	// Administrative are states that the programme itself puts people in (work training, say). Net months
	// are given once more with each of them on the highest other step below it, and how much of the net months
	// they make up.
	Administrative []string
	Tau            float64   // horizon, above 0; required
	At             []float64 // times of win and loss probabilities and of the dominance check
	Participants   string    // group of the participants; "" means the second of GroupNames
	// ReweighLoss lets those who are still followed stand in for those lost in the same state at the same time
	// ([survive.ReweighLoss]); for loss that depends on the state (gate G0).
	ReweighLoss bool
	MinPerArm   int // fewest persons per arm; 0 means 15
	Workers     int // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from spells in two groups, which it does not change.
func (e NetMonths) Fit(ctx context.Context, s *survive.Spells) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("net months: %w", err)
	}
	return res, nil
}

func (e NetMonths) fit(ctx context.Context, s *survive.Spells) (*estimate.Result, error) {
	part, err := e.check(s)
	if err != nil {
		return nil, err
	}
	steps, err := e.Ladder.steps(s.States)
	if err != nil {
		return nil, err
	}
	ladders, names := [][]int{steps}, []string{""}
	for _, name := range slices.Sorted(maps.Keys(e.Alternatives)) {
		alt, err := e.Alternatives[name].steps(s.States)
		if err != nil {
			return nil, fmt.Errorf("order %q: %w", name, err)
		}
		ladders, names = append(ladders, alt), append(names, name)
	}
	if len(e.Administrative) > 0 {
		merged, err := withoutAdministrative(s.States, steps, e.Administrative)
		if err != nil {
			return nil, err
		}
		ladders = append(ladders, merged)
	}
	horizon := e.Tau
	for _, t := range e.At {
		horizon = max(horizon, t)
	}
	if e.ReweighLoss {
		return e.reweighed(ctx, s, part)
	}
	groups, err := survive.Occupy(s, horizon)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	arms := [2]*survive.Occupation{groups[1-part], groups[part]}
	for _, o := range arms {
		if err := e.enough(o); err != nil {
			return nil, err
		}
	}
	c := newContrast(arms, ladders, e.Tau, e.At)
	inf := c.influence(len(s.ID), e.Workers)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.result(s, c, inf, names)
}

// check returns the number of the participants' group.
func (e NetMonths) check(s *survive.Spells) (int, error) {
	if !(e.Tau > 0) || math.IsInf(e.Tau, 1) {
		return 0, fmt.Errorf("tau %v must be finite and above 0: net months need a horizon", e.Tau)
	}
	seen := map[float64]bool{}
	for _, t := range e.At {
		if !(t >= 0) || math.IsInf(t, 1) || seen[t] {
			return 0, fmt.Errorf("time %v: times to report must be finite, at least 0, and asked for once", t)
		}
		seen[t] = true
	}
	if e.MinPerArm < 0 {
		return 0, fmt.Errorf("the fewest persons per arm cannot be %d", e.MinPerArm)
	}
	if len(s.GroupNames) != 2 {
		return 0, fmt.Errorf("%w: net months compare two groups, the spells have %d", estimate.ErrInvalidFrame, len(s.GroupNames))
	}
	if e.Participants == "" {
		return 1, nil
	}
	g := slices.Index(s.GroupNames, e.Participants)
	if g < 0 {
		return 0, fmt.Errorf("%w: no group %q of participants; the groups are %q", estimate.ErrInvalidFrame, e.Participants, s.GroupNames)
	}
	return g, nil
}

func (e NetMonths) enough(o *survive.Occupation) error {
	least := e.MinPerArm
	if least == 0 {
		least = 15
	}
	if n := len(o.Persons); n < least {
		return fmt.Errorf("%w: group %q has %d persons, at least %d are needed for an effect: add persons or entry cohorts to this group, or report the group by itself as a description",
			estimate.ErrTooFew, o.Group, n, least)
	}
	if !o.Observed(e.Tau) {
		last := survive.FormatTime(o.Last)
		return fmt.Errorf("%w: nobody of group %q is observed after time %s, so net months to tau %s do not exist; choose tau of at most %s",
			estimate.ErrNotIdentified, o.Group, last, survive.FormatTime(e.Tau), last)
	}
	return nil
}

// reweighed fits the pieces and puts the result on the persons.
func (e NetMonths) reweighed(ctx context.Context, s *survive.Spells, part int) (*estimate.Result, error) {
	w, err := survive.ReweighLoss(s)
	if err != nil {
		return nil, err
	}
	arm, seen := [2]int{}, make([]bool, len(s.ID))
	for _, p := range w.Owner {
		if !seen[p] {
			seen[p] = true
			if s.Group[p] == part {
				arm[1]++
			} else {
				arm[0]++
			}
		}
	}
	least := e.MinPerArm
	if least == 0 {
		least = MinArm
	}
	if min(arm[0], arm[1]) < least {
		return nil, fmt.Errorf("%w: a group has %d persons, at least %d are needed for an effect", estimate.ErrTooFew, min(arm[0], arm[1]), least)
	}
	e.ReweighLoss, e.MinPerArm = false, 1
	res, err := e.fit(ctx, w.Spells)
	if err != nil {
		return nil, err
	}
	w.Collapse(res, s.ID)
	res.N.Units, res.N.Treated = arm[0]+arm[1], arm[1]
	if s.Cluster == nil {
		res.N.Clusters = 0
	}
	res.Details["persons"] = map[string]int{s.GroupNames[1-part]: arm[0], s.GroupNames[part]: arm[1]}
	res.Details["vcov"] = "influence, persons as clusters, factor G/(G-1)"
	res.Details["largest_loss_weight"] = w.Largest
	res.Notes = append(res.Notes, table.Note{Code: "loss-reweighed", Text: "Those who are still followed stand in for those who were lost in the same state at the same time.", Args: map[string]any{"persons": w.Lost, "largest": w.Largest}})
	return res, nil
}

func (e NetMonths) result(s *survive.Spells, c *contrast, inf *mat.Dense, names []string) (*estimate.Result, error) {
	for a, t := range e.At {
		if !c.arms[0].Observed(t) || !c.arms[1].Observed(t) {
			c.erase(inf, a)
		}
	}
	var order []int32
	for _, p := range mergeByID(s.ID, c.arms[0].Persons, c.arms[1].Persons) {
		order = append(order, int32(p))
	}
	full, clusters, err := survive.Covariance(inf, order, s.Cluster, e.Workers)
	if err != nil {
		return nil, err
	}
	shown := c.reported()
	res := &estimate.Result{
		Method: "net-months", InfluenceUnit: s.ID,
		Cov:       mat.NewSymDense(shown, nil),
		Influence: mat.DenseCopyOf(inf.Slice(0, len(s.ID), 0, shown)),
		N:         estimate.Counts{Units: len(order), Treated: len(c.arms[1].Persons), Clusters: clusters},
		Fit:       estimate.Convergence{Converged: true},
	}
	for a := range shown {
		for b := a; b < shown; b++ {
			res.Cov.SetSym(a, b, full.At(a, b))
		}
	}
	se := make([]float64, c.columns())
	for a := range se {
		se[a] = math.Sqrt(full.At(a, a))
	}
	for _, o := range c.arms {
		for _, n := range o.Counts {
			res.N.Events += n
		}
		res.Notes = append(res.Notes, o.Notes(e.At, e.Tau)...)
	}
	res.Notes = append(res.Notes, notes(s, len(order))...)
	check := e.estimates(res, c, se, names, s.Level)
	res.Details = map[string]any{
		"participants": c.arms[1].Group, "comparison": c.arms[0].Group, "tau": e.Tau,
		"steps": e.Ladder, "order": check, "dominance": c.dominance(e.At, se, s.Level),
		"persons": map[string]int{c.arms[0].Group: len(c.arms[0].Persons), c.arms[1].Group: len(c.arms[1].Persons)},
		"vcov":    "influence",
	}
	if len(e.Administrative) > 0 {
		share, caution := administrative(e.Administrative, c.value[0], c.value[shown-1])
		res.Details["administrative"] = share
		res.Notes = append(res.Notes, caution...)
	}
	if clusters > 0 {
		res.Details["vcov"] = "influence, clustered, factor G/(G-1)"
	}
	return res, nil
}

// estimates appends the reported estimates in their documented order.
func (e NetMonths) estimates(res *estimate.Result, c *contrast, se []float64, names []string, level float64) OrderCheck {
	wald := func(term string, m estimate.Measure, q int) estimate.Estimate {
		return estimate.Wald(term, m, c.value[q], se[q], math.Inf(1), level)
	}
	months := func(term string, m estimate.Measure, q int) estimate.Estimate {
		est := wald(term, m, q)
		est.Test = noTest()
		return est
	}
	res.Estimates = append(res.Estimates,
		wald("net-months", estimate.NetMonths, 0),
		months("win-months", estimate.WinMonths, 1),
		months("loss-months", estimate.LossMonths, 2))
	for a, t := range e.At {
		for i, m := range []estimate.Measure{estimate.WinProbability, estimate.LossProbability} {
			q := 3 + 2*a + i
			res.Estimates = append(res.Estimates, estimate.Estimate{
				Term: "time=" + survive.FormatTime(t), Measure: m, Value: c.value[q], SE: se[q],
				CI: survive.Logit(c.value[q], se[q], level), Test: noTest(),
			})
		}
	}
	orders := []OrderResult{{NetMonths: c.value[0], StdError: se[0]}}
	for i, name := range names[1:] {
		q := 3 + 2*len(e.At) + i
		res.Estimates = append(res.Estimates, wald("net-months,order="+name, estimate.NetMonths, q))
		orders = append(orders, OrderResult{Name: name, NetMonths: c.value[q], StdError: se[q]})
	}
	if len(e.Administrative) > 0 {
		res.Estimates = append(res.Estimates, wald("net-months,administrative=merged", estimate.NetMonths, c.reported()-1))
	}
	check := orderCheck(orders)
	if check.Verdict == Disagree {
		res.Notes = append(res.Notes, table.Note{
			Code: "order-sensitive", Text: "The sign of the net months depends on the declared order of the steps: show every order and say neither better nor worse.",
			Args: map[string]any{"orders": len(orders)},
		})
	}
	return check
}

func noTest() estimate.Test {
	return estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()}
}

func notes(s *survive.Spells, used int) []table.Note {
	var out []table.Note
	if s.Weight.Values != nil {
		out = append(out, table.Note{
			Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.",
			Args: map[string]any{"kind": string(s.Weight.Kind)},
		})
	}
	if dropped := len(s.ID) - used; dropped > 0 {
		out = append(out, table.Note{
			Code: "zero-weight", Text: "Persons with weight 0 take no part.", Args: map[string]any{"persons": dropped},
		})
	}
	return out
}

// mergeByID merges two lists of persons, each in byte order of id.
func mergeByID(id []string, a, b []int) []int {
	out := make([]int, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if id[a[0]] < id[b[0]] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
