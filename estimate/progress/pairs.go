package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// An Outcome is one level of a prioritised comparison: a number, or a time to an event.
type Outcome struct {
	Name  string
	Value []float64 // n: the number, or the time observed
	Event []bool    // n: the event came at Value, false = not yet; nil for a number
	// Threshold is the smallest difference that decides a pair, at least 0; 0 = any difference.
	Threshold float64
	Lower     bool // a smaller number, an earlier event, is better
}

// PairSample are people compared outcome by outcome.
type PairSample struct {
	Persons
	Outcomes []Outcome // most important first
}

// PrioritisedPairs compares every participant with every comparison person on the most important outcome; what it leaves
// undecided goes to the next. Times that have not ended are scored by what is expected of them (Péron et al. 2018): with
// S_a Kaplan–Meier's curve of arm a and x, y the times of a pair, the share of the pair won is
//
//	P(X ≥ Y + threshold | what is known of X and Y),  P(Y > u | Y > y) = S(u)/S(y)
//
// and the share that neither wins nor loses goes on. Undecided pairs are never thrown together with ties because
// somebody was not followed for long (Gehan's scoring, which is not offered: its sign can turn with the length of follow-up).
// Times are compared up to Horizon: beyond it nobody is followed on purpose, so that the answer does not hang on who was
// followed for how long.
//
// With s_ij the share won less that lost over all levels, net benefit = Σ w_i w_j s_ij/(W₁W₀). The influence function has the
// pairs and the curves: S of each arm by its own, times the derivative of the net benefit with respect to S at every time.
// V = Σ IF², no factor, with clusters G/(G−1)·Σ_c(Σ IF)².
//
// Estimates and intervals as [Wins]: term overall with win-probability, win-odds, net-benefit, win-ratio. Details: levels
// ([]OutcomeLevel), horizon, persons, win_share, loss_share, tie_share, vcov.
//
// Errors: [estimate.ErrTooFew] under MinPerArm an arm or above 200 million pairs' worth of work (a sample will do);
// [estimate.ErrInvalidFrame]; [estimate.ErrWeights] for frequency weights; [estimate.ErrNotIdentified] where nobody of an arm is
// followed to the horizon.
//
// Buyse (2010); Péron, Buyse, Ozenne, Roche and Roy (2018).
type PrioritisedPairs struct {
	// Horizon of all times, above 0, in their unit; +Inf compares for as long as anybody is followed (note horizon-open).
	// Required if an outcome is a time, else 0.
	Horizon   float64
	MinPerArm int // 0 means 15
	Workers   int // never changes a result
}

// An OutcomeLevel is a row of details.levels: weighted shares of all pairs.
type OutcomeLevel struct {
	Outcome   string  `json:"outcome"`
	Reached   float64 `json:"reached"` // share of pairs that the levels before left
	Won       float64 `json:"won"`
	Lost      float64 `json:"lost"`
	Undecided float64 `json:"undecided"`
	Benefit   float64 `json:"net_benefit"` // of this level and those before
}

// MostPairs bounds the work.
const MostPairs = 200_000_000

// Fit compares the sample, which it does not change.
func (e PrioritisedPairs) Fit(ctx context.Context, s *PairSample) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("prioritised pairs: %w", err)
	}
	return res, nil
}

func (e PrioritisedPairs) check(s *PairSample) error {
	n := len(s.Unit)
	f := &estimate.Frame{Unit: s.Unit, Y: make([]float64, n), Treated: s.Treated, Weight: s.Weight, Cluster: s.Cluster, Level: s.Level}
	if err := f.Check(); err != nil {
		return err
	}
	switch {
	case s.Weight.Kind == estimate.Frequency:
		return fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case s.Treated == nil:
		return estimate.ErrNoTreated
	case len(s.Outcomes) == 0:
		return invalid("no outcomes")
	case e.MinPerArm < 0:
		return invalid("persons per arm below 0")
	}
	times := false
	seen := map[string]bool{}
	for _, o := range s.Outcomes {
		switch {
		case len(o.Value) != n || o.Event != nil && len(o.Event) != n:
			return invalid("outcome %q has %d values and %d events for %d persons", o.Name, len(o.Value), len(o.Event), n)
		case !(o.Threshold >= 0) || math.IsInf(o.Threshold, 0):
			return invalid("the threshold of outcome %q must be finite and at least 0", o.Name)
		case seen[o.Name]:
			return invalid("outcome %q comes twice", o.Name)
		}
		seen[o.Name] = true
		times = times || o.Event != nil
		for i, v := range o.Value {
			if math.IsNaN(v) || math.IsInf(v, 0) || o.Event != nil && v < 0 {
				return &estimate.RowError{Row: i, Err: invalid("outcome %q is missing, infinite, or a time below 0; an unknown outcome cannot be compared", o.Name)}
			}
		}
	}
	switch {
	case times && !(e.Horizon > 0):
		return invalid("times need a horizon above 0: without one the answer hangs on how long people were followed")
	case !times && e.Horizon != 0:
		return invalid("no outcome is a time, so a horizon has no part")
	}
	return nil
}

func (e PrioritisedPairs) fit(ctx context.Context, s *PairSample) (*estimate.Result, error) {
	if err := e.check(s); err != nil {
		return nil, err
	}
	if e.MinPerArm == 0 {
		e.MinPerArm = MinArm
	}
	p := &pairing{s: s, weight: make([]float64, len(s.Unit))}
	for _, i := range byUnit(s.Unit) {
		p.weight[i] = 1
		if s.Weight.Values != nil {
			p.weight[i] = s.Weight.Values[i]
		}
		if p.weight[i] == 0 {
			continue
		}
		a := 0
		if s.Treated[i] {
			a = 1
		}
		p.arm[a] = append(p.arm[a], i)
		p.total[a] += p.weight[i]
	}
	switch {
	case len(p.arm[1]) == 0:
		return nil, estimate.ErrNoTreated
	case len(p.arm[0]) == 0:
		return nil, estimate.ErrNoControls
	case min(len(p.arm[0]), len(p.arm[1])) < e.MinPerArm:
		return nil, fmt.Errorf("%w: an arm has %d persons, at least %d are needed", estimate.ErrTooFew, min(len(p.arm[0]), len(p.arm[1])), e.MinPerArm)
	case len(p.arm[0])*len(p.arm[1]) > MostPairs:
		return nil, fmt.Errorf("%w: %d pairs are too many to compare one by one; take a sample of the comparison people, at random, or compare at one time (Wins) or over time (NetMonths)",
			estimate.ErrInvalidFrame, len(p.arm[0])*len(p.arm[1]))
	}
	for _, o := range s.Outcomes {
		l, err := newPairLevel(p, o, e.Horizon)
		if err != nil {
			return nil, err
		}
		p.level = append(p.level, l)
	}
	if err := p.compare(ctx, e.Workers); err != nil {
		return nil, err
	}
	return p.result(e)
}

// pairing is the comparison under way; win and loss are kept apart all through.
type pairing struct {
	s      *PairSample
	weight []float64
	arm    [2][]int
	total  [2]float64
	level  []*pairLevel

	win, loss float64
	inf       [2][]float64 // by kind (win, loss): of the persons
}

func (p *pairing) result(e PrioritisedPairs) (*estimate.Result, error) {
	n := len(p.s.Unit)
	var order []int32
	for _, i := range byUnit(p.s.Unit) {
		if p.weight[i] > 0 {
			order = append(order, int32(i))
		}
	}
	inf := mat.NewDense(n, 2, nil)
	inf.SetCol(0, p.inf[0])
	inf.SetCol(1, p.inf[1])
	cov, clusters, err := survive.Covariance(inf, order, p.s.Cluster, e.Workers)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "prioritised-pairs", InfluenceUnit: p.s.Unit, Influence: mat.NewDense(n, 4, nil), Cov: mat.NewSymDense(4, nil), Fit: estimate.Convergence{Converged: true},
		N: estimate.Counts{Units: len(order), Treated: len(p.arm[1]), Clusters: clusters}}
	c := &winCount{s: &Steps{Frame: estimate.Frame{Level: p.s.Level, Y: make([]float64, n), Weight: p.s.Weight, Cluster: p.s.Cluster}}, zero: n - len(order), weight: p.weight, win: p.win, loss: p.loss}
	c.strata = []*winStratum{{n: [2]float64{float64(len(p.arm[0])), float64(len(p.arm[1]))}}}
	c.estimates(res, inf, cov)
	var levels []OutcomeLevel
	benefit := 0.0
	for _, l := range p.level {
		benefit += l.won - l.lost
		levels = append(levels, OutcomeLevel{l.o.Name, l.reached, l.won, l.lost, l.reached - l.won - l.lost, benefit})
	}
	res.Details["levels"], res.Details["horizon"], res.Details["vcov"] = levels, e.Horizon, "influence, curves included"
	if clusters > 0 {
		res.Details["vcov"] = "influence, curves included, clustered, factor G/(G-1)"
	}
	if math.IsInf(e.Horizon, 1) {
		res.Notes = append(res.Notes, table.Note{Code: "horizon-open", Text: "Times are compared for as long as anybody is followed: what is compared then hangs on the length of follow-up."})
	}
	return res, nil
}

// compare goes through all pairs: sums of each person, and the derivatives by the curves.
func (p *pairing) compare(ctx context.Context, workers int) error {
	n1, n0 := len(p.arm[1]), len(p.arm[0])
	// The parts do not depend on workers, so that the order of every sum is fixed; there are few, as each holds the curves.
	rows := max(64, (n1+31)/32)
	parts := make([]*pairPart, (n1+rows-1)/rows)
	num.ForEach(len(parts), workers, func(k int) {
		part := p.newPart(min(rows, n1-k*rows))
		for row := range part.treated[0] {
			if ctx.Err() != nil {
				return
			}
			for b := range n0 {
				p.pair(part, k*rows+row, b, row)
			}
		}
		parts[k] = part
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	all := p.newPart(0)
	own := [2][2][]float64{{make([]float64, n0), make([]float64, n1)}, {make([]float64, n0), make([]float64, n1)}} // kind, arm
	for k, part := range parts {
		all.add(part)
		for kind := range 2 {
			for b, v := range part.control[kind] {
				own[kind][0][b] += v
			}
			copy(own[kind][1][k*rows:], part.treated[kind])
		}
	}
	w := p.total[0] * p.total[1]
	p.win, p.loss = num.Sum(own[0][1])/w, num.Sum(own[1][1])/w
	for l := range p.level {
		p.level[l].reached, p.level[l].won, p.level[l].lost = all.share[l][0]/w, all.share[l][1]/w, all.share[l][2]/w
	}
	for kind, value := range []float64{p.win, p.loss} {
		p.inf[kind] = make([]float64, len(p.weight))
		for arm := range 2 {
			for k, i := range p.arm[arm] {
				// own has the person's weight in it
				p.inf[kind][i] = own[kind][arm][k]/w - p.weight[i]*value/p.total[arm]
			}
		}
		for k, l := range p.level {
			if l.event == nil {
				continue
			}
			l.expand(all.curve[k][kind], all.rest[k][kind])
			for arm := range 2 {
				l.curve[arm].influence(all.curve[k][kind][arm], p.weight, w, p.inf[kind])
			}
		}
	}
	return nil
}

// pairCurve is an arm's curve over its distinct event times.
type pairCurve struct {
	rows  []int
	time  []float64
	surv  []float64 // after the time; surv[0] = 1 at no time
	risk  []float64 // weight at risk, from 1
	dead  []float64
	at    []int // of each person of the arm, the number of event times ≤ own time
	event []bool
}

func newPairCurve(rows []int, value []float64, event []bool, weight []float64) *pairCurve {
	c := &pairCurve{rows: rows, surv: []float64{1}, risk: []float64{0}, dead: []float64{0}, at: make([]int, len(value)), event: event}
	for _, i := range rows {
		if event[i] {
			c.time = append(c.time, value[i])
		}
	}
	slices.Sort(c.time)
	c.time = slices.Compact(c.time)
	atRisk, dead := make([]float64, len(c.time)+1), make([]float64, len(c.time)+1)
	for _, i := range rows {
		k := c.index(value[i])
		c.at[i] = k
		atRisk[k] += weight[i]
		if event[i] {
			dead[k] += weight[i]
		}
	}
	for k := len(c.time) - 1; k >= 1; k-- {
		atRisk[k] += atRisk[k+1]
	}
	for k := 1; k <= len(c.time); k++ {
		s := c.surv[k-1] * (1 - dead[k]/atRisk[k])
		if atRisk[k]-dead[k] <= rounding*atRisk[k] {
			s = 0
		}
		c.surv = append(c.surv, s)
		c.risk, c.dead = append(c.risk, atRisk[k]), append(c.dead, dead[k])
	}
	return c
}

// index is the number of event times ≤ t, before the number of those < t.
func (c *pairCurve) index(t float64) int {
	k, found := slices.BinarySearch(c.time, t)
	if found {
		k++
	}
	return k
}

func (c *pairCurve) before(t float64) int {
	k, _ := slices.BinarySearch(c.time, t)
	return k
}

// influence adds what the curve's error brings: with gradient g of the sum over pairs with respect to S after each step and
// A_k = Σ_{m≥k} g_m·S_m, person i adds −w_i[δ_i·A/(Y − d) at the own time − Σ_{l ≤ own} A_l·d_l/(Y_l(Y_l − d_l))].
func (c *pairCurve) influence(g, weight []float64, total float64, out []float64) {
	K := len(c.time)
	tail, drift := make([]float64, K+2), make([]float64, K+1)
	for k := K; k >= 1; k-- {
		tail[k] = tail[k+1] + float64(g[k]*c.surv[k])
	}
	for k := 1; k <= K; k++ {
		drift[k] = drift[k-1]
		if c.surv[k] > 0 {
			drift[k] += tail[k] * c.dead[k] / (c.risk[k] * (c.risk[k] - c.dead[k]))
		}
	}
	for _, i := range c.rows {
		k := c.at[i]
		v := drift[k]
		if c.event[i] && c.surv[k] > 0 {
			v -= tail[k] / (c.risk[k] - c.dead[k])
		}
		out[i] += weight[i] * v / total
	}
}
