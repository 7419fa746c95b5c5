package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
)

// placeboMonths is how long before the start the measure is tried where nothing can be an effect.
const placeboMonths = 12

// stepBands is the difference in the share on each step, month by month, with bands that hold together.
type stepBands struct {
	steps  []int
	months []float64
	value  [][]float64 // steps × months
	lo, hi [][]float64
	basis  [][]release.Basis
}

// groupMonths are the net months of a group of people.
type groupMonths struct {
	column, level string
	e             estimate.Estimate
	basis         release.Basis
}

// pathSpells makes spells of some units from month from on: state j of the paths is
// states[code[j]]. A change of state between two months is a move at the later one; whoever is
// not observed in a month is not followed to its start (see cohortSpells).
func (s *state) pathSpells(u *progressUnits, units []int, from, length int, states []string, code []int) *survive.Spells {
	b := u.b
	sp := &survive.Spells{States: states, Level: s.spec.Level, GroupNames: []string{"control", "treated"}}
	var cluster []int
	var weight []float64
	for _, i := range units {
		if b.paths.At(i, from) < 0 {
			continue
		}
		k := len(sp.ID)
		sp.ID = append(sp.ID, u.id[i])
		g := 0
		if b.treated[i] {
			g = 1
		}
		sp.Group = append(sp.Group, g)
		if b.cluster != nil {
			cluster = append(cluster, b.cluster[i])
		}
		if b.weight != nil {
			weight = append(weight, b.weight[i])
		}
		add := func(a, to, start int, stop float64) {
			sp.Person, sp.From, sp.To = append(sp.Person, k), append(sp.From, a), append(sp.To, to)
			sp.Start, sp.Stop = append(sp.Start, float64(start)), append(sp.Stop, stop)
		}
		start, m := 0, 0
		for ; m < length && b.paths.At(i, from+m) >= 0; m++ {
			if m > 0 && code[b.paths.At(i, from+m)] != code[b.paths.At(i, from+m-1)] {
				add(code[b.paths.At(i, from+m-1)], code[b.paths.At(i, from+m)], start, float64(m))
				start = m
			}
		}
		add(code[b.paths.At(i, from+m-1)], survive.Censored, start, float64(m)-0.5)
	}
	if cluster != nil {
		rows := make([]int, len(cluster))
		for i := range rows {
			rows[i] = i
		}
		sp.Cluster = dense(cluster, rows)
	}
	if weight != nil {
		sp.Weight = estimate.Weights{Kind: estimate.Matching, Values: weight}
	}
	return sp
}

func identity(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// netMonths answers the first question, and what stands beside it.
func (s *state) netMonths(r *analysisResult, a *Analysis, u *progressUnits, h *headline) error {
	p, b, own := a.Progress, u.b, r.own.(*progressResult)
	states := b.paths.States
	ladder, err := own.ladder.of(states)
	if err != nil {
		return err
	}
	orders, err := own.ladder.orders(states)
	if err != nil {
		return err
	}
	if err := s.checkAbsorbing(u, own.ladder); err != nil {
		return err
	}
	at := make([]float64, len(p.At))
	for i, m := range p.At {
		at[i] = float64(m)
	}
	net := progress.NetMonths{ReweighLoss: p.ReweighLoss, Ladder: ladder, Alternatives: orders, Administrative: own.ladder.administrative(states), Tau: float64(p.Tau), At: at, Workers: s.o.Workers}
	all := identity(len(u.id))
	h.basis = release.Basis{Treated: u.sizes.Treated, Control: u.sizes.Control, DF: math.Inf(1)}
	h.gates = append(h.gates, progress.ArmSize(u.sizes.Treated, u.sizes.Control))
	res, err := net.Fit(s.ctx, s.pathSpells(u, all, 0, b.paths.After, states, all[:len(states)]))
	if err != nil {
		if why, ok := refusable(err); ok {
			h.not = why
			return nil
		}
		return err
	}
	own.notes[termMonths] = append(own.notes[termMonths], res.Notes...)
	h.estimate, h.influence = res.Estimates[0], onto(u, res, 0)
	for _, e := range res.Estimates[1:] {
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: h.basis})
	}
	check := res.Details["order"].(progress.OrderCheck)
	if check, err = s.leaving(r, u, own, net, h.basis, check); err != nil {
		return err
	}
	own.orders = check.Verdict
	if share, ok := res.Details["administrative"].(progress.AdministrativeShare); ok {
		own.share = share.Share
	}
	own.dominance = res.Details["dominance"].([]progress.Dominance)
	for _, d := range own.dominance {
		term := termDominance + ",time=" + survive.FormatTime(d.Time)
		r.numbers = append(r.numbers, found{term: term, e: d.Estimate(term, s.spec.Level), basis: dominanceBasis(h.basis, d)})
	}
	if err := s.quality(r, p, u, h, check, net); err != nil {
		return err
	}
	if err := s.steps(r, p, u); err != nil {
		return err
	}
	if err := s.support(r, p, u); err != nil {
		return err
	}
	return s.monthsByGroup(r, p, u, net)
}

// dominanceBasis counts the people at or below the step that decides, and those above it: the difference of
// their shares is shown.
func dominanceBasis(b release.Basis, d progress.Dominance) release.Basis {
	b.Events = &release.Arms{Treated: b.Treated / 2, Control: b.Control / 2}
	for arm, n := range []*int{&b.Events.Control, &b.Events.Treated} {
		if cell := shareCell(d.AtOrBelow[arm], []int{b.Control, b.Treated}[arm]); cell != noCell {
			*n = min(*n, cell)
		}
	}
	return b
}

// onto puts an influence function on the units of the cohort; who took no part has 0.
func onto(u *progressUnits, res *estimate.Result, column int) []float64 {
	place := make(map[string]int, len(u.id))
	for i, id := range u.id {
		place[id] = i
	}
	out := make([]float64, len(u.id))
	for k, id := range res.InfluenceUnit {
		if i, ok := place[id]; ok {
			out[i] = res.Influence.At(k, column)
		}
	}
	return out
}

// checkAbsorbing tests that nobody leaves a state that the ladder says nobody leaves.
func (s *state) checkAbsorbing(u *progressUnits, l *Ladder) error {
	p := u.b.paths
	end := make([]bool, len(p.States))
	for j, name := range p.States {
		end[j] = slices.Contains(l.Absorbing, name)
	}
	for i := range u.id {
		for m := 1; m < p.After; m++ {
			if a, c := p.At(i, m-1), p.At(i, m); a >= 0 && c >= 0 && a != c && end[a] {
				return fmt.Errorf("%w: %s: absorbing: somebody leaves the state %q: correct the spells or the ladder", ErrInput, l.file, p.States[a])
			}
		}
	}
	return nil
}

// quality adds the gates of the first question: are the data whole, were the groups alike
// before, and does the order of the steps decide?
func (s *state) quality(r *analysisResult, p *Headlines, u *progressUnits, h *headline, check progress.OrderCheck, net progress.NetMonths) error {
	b := u.b
	covered, expected, lost := 0, 0, 0
	t := survive.Stratified{Times: survive.Times{GroupNames: []string{"control", "treated"}, Level: s.spec.Level}}
	for i := range u.id {
		seen := 0
		for m := 0; m <= p.Tau && b.paths.At(i, m) >= 0; m++ {
			seen++
		}
		covered, expected = covered+seen, expected+p.Tau+1
		g := 0
		if b.treated[i] {
			g = 1
		}
		gone := seen <= p.Tau
		if gone {
			lost++
		}
		t.Unit, t.Time, t.Event, t.Group = append(t.Unit, u.id[i]), append(t.Time, float64(seen)), append(t.Event, gone), append(t.Group, g)
	}
	tested := math.NaN()
	if lost > 0 {
		if res, err := (survive.LogRank{Workers: s.o.Workers}).Fit(s.ctx, &t); err == nil && len(res.Estimates) > 0 {
			tested = res.Estimates[0].Test.P
		}
	}
	h.gates = append(h.gates, progress.Coverage(float64(covered), float64(expected)), progress.Overlaps(0), progress.FollowUp(lost, tested, p.ReweighLoss))
	before := estimate.Interval{}
	if b.paths.Before >= placeboMonths {
		net.At, net.Tau, net.Alternatives, net.Administrative = nil, placeboMonths-1, nil, nil
		sp := s.pathSpells(u, identity(len(u.id)), -placeboMonths, placeboMonths, b.paths.States, identity(len(b.paths.States)))
		res, err := net.Fit(s.ctx, sp)
		if err == nil {
			e := res.Estimates[0]
			before = e.CI
			e.Term = termBefore
			r.numbers = append(r.numbers, found{term: termBefore, e: e, basis: h.basis, kind: "check"})
		} else if _, ok := refusable(err); !ok {
			return err
		}
	}
	h.gates = append(h.gates, progress.Placebo(before, h.estimate, h.relevance), progress.Orders(check))
	return nil
}
