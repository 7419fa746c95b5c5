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
	res, err := s.occupation(sp, survive.AalenJohansen{At: at, Tau: float64(p.Tau), Workers: s.o.Workers}, p.ReweighLoss)
	if err != nil {
		if _, ok := refusable(err); ok {
			return nil
		}
		return err
	}
	bases, err := stateBases(res.Estimates, sp, float64(p.Tau))
	if err != nil {
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
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: bases[c]})
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
	res, err := s.occupation(sp, survive.AalenJohansen{At: []float64{at}, Tau: at, Workers: s.o.Workers}, p.ReweighLoss)
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
