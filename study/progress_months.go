package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
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
	net := progress.NetMonths{Ladder: ladder, Alternatives: orders, Administrative: own.ladder.administrative(states), Tau: float64(p.Tau), At: at, Workers: s.o.Workers}
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
	own.orders = check.Verdict
	if share, ok := res.Details["administrative"].(progress.AdministrativeShare); ok {
		own.share = share.Share
	}
	for _, d := range res.Details["dominance"].([]progress.Dominance) {
		if d.Shown {
			own.dominant = append(own.dominant, d.Time)
		}
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
	h.gates = append(h.gates, progress.Coverage(float64(covered), float64(expected)), progress.Overlaps(0), progress.FollowUp(lost, tested, false))
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
	h.gates = append(h.gates, progress.Placebo(before, h.estimate.Value), progress.Orders(check))
	return nil
}

// stepName is a step as a state of its own.
func stepName(k int) string { return "step " + strconv.Itoa(k) }

// steps estimates the months on each step, and the share on it month by month.
func (s *state) steps(r *analysisResult, p *Headlines, u *progressUnits) error {
	own := r.own.(*progressResult)
	values := own.ladder.values()
	names := make([]string, len(values))
	for k, v := range values {
		names[k] = stepName(v)
	}
	code := make([]int, len(u.b.paths.States))
	for j, name := range u.b.paths.States {
		code[j] = slices.Index(values, own.ladder.Steps[name])
	}
	sp := s.pathSpells(u, identity(len(u.id)), 0, u.b.paths.After, names, code)
	at := make([]float64, p.Tau+1)
	for m := range at {
		at[m] = float64(m)
	}
	res, err := survive.AalenJohansen{At: at, Tau: float64(p.Tau), Workers: s.o.Workers}.Fit(s.ctx, sp)
	if err != nil {
		if _, ok := refusable(err); ok {
			return nil
		}
		return err
	}
	all := release.Basis{Treated: u.sizes.Treated, Control: u.sizes.Control, DF: math.Inf(1)}
	bands := &stepBands{steps: values, months: at}
	f := combine.Family{Method: combine.SupTMethod, Level: s.spec.Level, Replicates: 999, Seed: s.seedOf("progress-bands"), Workers: s.o.Workers}
	type cell struct{ step, month int }
	var cells []cell
	share := map[string]float64{}
	for c, e := range res.Estimates {
		parts := termParts(e.Term)
		step := slices.Index(names, parts["state"])
		switch e.Measure {
		case estimate.Occupation:
			share[e.Term] = e.Value
		case restrictedMeanDifference:
			e.Term = "months,step=" + strconv.Itoa(values[step])
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: all})
		case estimate.RiskDifference:
			m, err := strconv.Atoi(parts["time"])
			if err != nil {
				return err
			}
			cells = append(cells, cell{step, m})
			f.Members = append(f.Members, combine.Member{Name: e.Term, Estimate: e, Influence: onto(u, res, c), Group: u.cluster})
		}
	}
	adj, err := f.Adjust(s.ctx)
	if err != nil {
		return fmt.Errorf("bands of the steps: %w", err)
	}
	for range values {
		nan := make([]float64, len(at))
		for m := range nan {
			nan[m] = math.NaN()
		}
		bands.value, bands.lo, bands.hi = append(bands.value, slices.Clone(nan)), append(bands.lo, slices.Clone(nan)), append(bands.hi, slices.Clone(nan))
		bands.basis = append(bands.basis, make([]release.Basis, len(at)))
	}
	for k, c := range cells {
		e := f.Members[k].Estimate
		lo, hi := adj.Interval[k].Lo, adj.Interval[k].Hi
		if math.IsNaN(lo) { // both groups are alike to a person: matched so
			lo, hi = e.Value, e.Value
		}
		bands.value[c.step][c.month], bands.lo[c.step][c.month], bands.hi[c.step][c.month] = e.Value, lo, hi
		on := all
		on.Events = &release.Arms{}
		for g, n := range []*int{&on.Events.Control, &on.Events.Treated} {
			size := []int{u.sizes.Control, u.sizes.Treated}[g]
			name := []string{"control", "treated"}[g]
			*n = int(math.Round(share[fmt.Sprintf("time=%d,state=%s,group=%s", c.month, names[c.step], name)] * float64(size)))
		}
		bands.basis[c.step][c.month] = on
	}
	own.bands = bands
	return nil
}

// support estimates the old yardstick: who supports him- or herself at the end.
func (s *state) support(r *analysisResult, p *Headlines, u *progressUnits) error {
	counts, err := countedStates(u.b.paths.States, p.SelfSupport)
	if err != nil {
		return err
	}
	code := make([]int, len(counts))
	for j, yes := range counts {
		if yes {
			code[j] = 1
		}
	}
	sp := s.pathSpells(u, identity(len(u.id)), 0, u.b.paths.After, []string{"other", termSupport}, code)
	at := float64(p.Tau)
	res, err := survive.AalenJohansen{At: []float64{at}, Tau: at, Workers: s.o.Workers}.Fit(s.ctx, sp)
	if err != nil {
		if _, ok := refusable(err); ok {
			return nil
		}
		return err
	}
	sizes := []int{u.sizes.Control, u.sizes.Treated}
	events := &release.Arms{}
	var levels []found
	for _, e := range res.Estimates {
		if !strings.Contains(e.Term, "state="+termSupport) || e.Measure == estimate.RestrictedMeanTime || e.Measure == restrictedMeanDifference {
			continue
		}
		if e.Measure == estimate.Occupation {
			g := 0
			if strings.HasSuffix(e.Term, "group=treated") {
				g = 1
			}
			in := int(math.Round(e.Value * float64(sizes[g])))
			*[]*int{&events.Control, &events.Treated}[g] = in
			e.Term = termSupport + ",group=" + []string{"control", "treated"}[g]
			levels = append(levels, found{term: e.Term, e: e, basis: release.Basis{Single: true, Treated: sizes[g], Events: &release.Arms{Treated: in}, DF: math.Inf(1)}, kind: "description"})
			continue
		}
		e.Term = termSupport
		r.numbers = append(r.numbers, found{term: termSupport, e: e, basis: release.Basis{Treated: sizes[1], Control: sizes[0], Events: events, DF: math.Inf(1)}})
	}
	r.numbers = append(r.numbers, levels...)
	return nil
}

// monthsByGroup estimates net months within each level of the columns asked for. They are
// exploratory: no error level is shared among them.
func (s *state) monthsByGroup(r *analysisResult, p *Headlines, u *progressUnits, net progress.NetMonths) error {
	own := r.own.(*progressResult)
	net.At, net.Alternatives, net.Administrative = nil, nil, nil
	for _, column := range p.Groups {
		c, err := u.b.table.Category(column)
		if err != nil {
			return fmt.Errorf("%w: groups: %w", ErrSpec, err)
		}
		for level, name := range c.Levels {
			var units []int
			in := release.Arms{}
			for i := range u.id {
				if !c.Has(i) || int(c.Codes[i]) != level {
					continue
				}
				units = append(units, i)
				if u.b.treated[i] {
					in.Treated++
				} else {
					in.Control++
				}
			}
			g := groupMonths{column: column, level: name, basis: release.Basis{Treated: in.Treated, Control: in.Control, Cohort: u.sizes, DF: math.Inf(1)}}
			if len(units) == 0 {
				continue
			}
			res, err := net.Fit(s.ctx, s.pathSpells(u, units, 0, u.b.paths.After, u.b.paths.States, identity(len(u.b.paths.States))))
			if err != nil {
				if why, ok := refusable(err); ok {
					n := refuse(fmt.Sprintf("%s,%s=%s", termMonths, column, name), estimate.NetMonths, why.why, why.fix)
					r.numbers = append(r.numbers, n)
					continue
				}
				return err
			}
			g.e = res.Estimates[0]
			g.e.Term = fmt.Sprintf("%s,%s=%s", termMonths, column, name)
			own.forest = append(own.forest, g)
			r.numbers = append(r.numbers, found{term: g.e.Term, e: g.e, basis: g.basis,
				notes: []table.Note{{Code: "exploratory-group", Text: "Groups of people are looked at without a common error level: exploratory."}}})
		}
	}
	return nil
}

// flowCounts counts who went from which step to which, by group, among those observed at both.
func flowCounts(p *Headlines, u *progressUnits, l *Ladder) [2][][]int {
	values := l.values()
	var out [2][][]int
	for g := range out {
		for range values {
			out[g] = append(out[g], make([]int, len(values)))
		}
	}
	step := func(c int8) int { return slices.Index(values, l.Steps[u.b.paths.States[c]]) }
	for i, treated := range u.b.treated {
		from, to := u.b.paths.At(i, 0), u.b.paths.At(i, p.Tau)
		if from < 0 || to < 0 {
			continue
		}
		g := 0
		if treated {
			g = 1
		}
		out[g][step(from)][step(to)]++
	}
	return out
}
