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
	"utfall/study/release"
	"utfall/table"
)

// breakEvenMonth is the month from which on what has added up is no cost any more.
const breakEvenMonth estimate.Measure = "break-even-month"

// costsResult is what the method keeps for its figures and sentences.
type costsResult struct {
	words      progress.CostWords // "" = no ratio
	curve      []costMonth
	acceptable []progress.AcceptabilityPoint
	shown      []costMonth // of the curve, those released
}

// costMonth is what has added up to the end of a month, with a band over all months.
type costMonth struct {
	month         int
	value, lo, hi float64
	each          [2][]float64 // of comparison people and participants: what was paid for each in this month, as it counts
}

// costs answers what participants cost more than comparison people.
func (s *state) costs(a *Analysis) (analysisResult, error) {
	q := a.Costs
	r := analysisResult{method: "costs", kind: "association"}
	t, err := s.newCostsRun(q)
	if err != nil {
		return r, err
	}
	r.notes = append(slices.Clone(t.b.notes), t.notes...)
	if t.b.designed() {
		r.kind = "effect"
	}
	method := progress.Costs{Discount: q.Discount, Workers: s.o.Workers}
	if q.Errors == "bootstrap" {
		method.Errors, method.Replicates, method.Seed = q.Errors, q.Replicates, s.seedOf("costs/"+a.Name)
	}
	res, err := method.Fit(s.ctx, t.paid)
	if err != nil {
		return r, err
	}
	r.notes = append(r.notes, res.Notes...)
	own := &costsResult{}
	r.own = own
	money := t.money()
	base := release.Basis{Treated: t.u.sizes.Treated, Control: t.u.sizes.Control, DF: math.Inf(1)}
	for _, e := range res.Estimates {
		parts := termParts(e.Term)
		n := found{e: e, basis: base}
		n.basis.Money = money[len(q.Payers)]
		if k := slices.Index(q.Payers, parts["payer"]); k >= 0 {
			n.basis.Money = money[k]
		}
		if g := parts["group"]; g != "" {
			n.e.Term = strings.Replace(e.Term, "group="+g, "group="+map[string]string{"1": "treated", "0": "control"}[g], 1)
			n.kind = "description"
		}
		n.term = n.e.Term
		r.numbers = append(r.numbers, n)
	}
	whole := r.numbers[0].basis
	if m, ok := res.Details["break_even"].(*int); ok && m != nil {
		nan := math.NaN()
		ci, none := noInterval()
		e := estimate.Estimate{Term: "break-even", Measure: breakEvenMonth, Value: float64(*m), SE: nan, CI: ci, Test: none}
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: whole, kind: "description"})
	}
	if q.Effect != "" {
		more, err := t.perMonth(res, own, whole)
		if err != nil {
			return r, err
		}
		r.numbers = append(r.numbers, more...)
	}
	return r, t.curve(res, own)
}

// perMonth is what a net month cost.
func (t *costsRun) perMonth(costs *estimate.Result, own *costsResult, on release.Basis) ([]found, error) {
	s, q := t.s, t.q
	h := s.answered(q.Effect).own.(*progressResult).heads[0]
	if h.not != nil {
		return []found{refuse("ratio", progress.CostPerUnit, h.not.why, h.not.fix)}, nil
	}
	j := &progress.CostAndEffect{Unit: t.u.id, Cost: costs.Estimates[0].Value, Effect: h.estimate.Value, EffectInfluence: h.influence, Cluster: t.paid.Cluster, Level: s.spec.Level}
	for i := range t.u.id {
		j.CostInfluence = append(j.CostInfluence, costs.Influence.At(i, 0))
	}
	res, err := progress.CostPerEffect{Willingness: q.Willingness, Workers: s.o.Workers}.Fit(s.ctx, j)
	if why, ok := refusable(err); ok {
		return []found{refuse("ratio", progress.CostPerUnit, why.why, why.fix)}, nil
	}
	if err != nil {
		return nil, err
	}
	own.words = res.Details["words"].(progress.CostWords)
	own.acceptable = res.Details["acceptability"].([]progress.AcceptabilityPoint)
	var out []found
	for _, e := range res.Estimates {
		n := found{term: e.Term, e: e, basis: on}
		if e.Measure == progress.CostPerUnit {
			n.notes = res.Notes
		}
		out = append(out, n)
	}
	return out, nil
}

// money says for each payer, and for all together, who makes up what people were paid: what the programme costs is written in the study
// file, and whoever knows it takes it off.
func (t *costsRun) money() []*release.Money {
	var out []*release.Money
	all := make([]float64, len(t.u.id))
	for k := range t.q.Payers {
		one := make([]float64, len(t.u.id))
		for i := range one {
			for m := range t.q.Months {
				one[i] += t.own[k][i*t.q.Months+m]
			}
			all[i] += one[i]
		}
		out = append(out, t.moneyOf(one))
	}
	return append(out, t.moneyOf(all))
}

func (t *costsRun) moneyOf(amounts []float64) *release.Money {
	each := t.byArm(amounts)
	return release.NewMoney(each[1], each[0])
}

// byArm are amounts as they count, those of nobody left out.
func (t *costsRun) byArm(amounts []float64) (out [2][]float64) {
	for i, v := range amounts {
		if t.b.weight != nil {
			v *= t.b.weight[i]
		}
		g := 0
		if t.b.treated[i] {
			g = 1
		}
		out[g] = append(out[g], v)
	}
	return out
}

// curve is what has added up month by month, with a band that holds for all months.
func (t *costsRun) curve(res *estimate.Result, own *costsResult) error {
	s := t.s
	f := combine.Family{Method: combine.SupTMethod, Level: s.spec.Level, Replicates: 999, Seed: s.seedOf("costs-bands"), Workers: s.o.Workers}
	var band []int // of the members, the month
	months := res.Details["curve"].([]progress.CostMonth)
	for k, m := range months {
		c := costMonth{month: m.Month, value: m.Sum, lo: m.Sum, hi: m.Sum}
		one := make([]float64, len(t.u.id))
		for i := range one {
			for j := range t.q.Payers {
				one[i] += t.own[j][i*t.q.Months+k]
			}
		}
		c.each = t.byArm(one)
		own.curve = append(own.curve, c)
		if m.SumError > 0 {
			band = append(band, k)
			f.Members = append(f.Members, combine.Member{Name: strconv.Itoa(m.Month), Group: t.u.cluster, Influence: m.Influence,
				Estimate: estimate.Wald(strconv.Itoa(m.Month), estimate.MeanDifference, m.Sum, m.SumError, math.Inf(1), s.spec.Level)})
		}
	}
	if len(f.Members) < 2 {
		return nil
	}
	adj, err := f.Adjust(s.ctx)
	if err != nil {
		return fmt.Errorf("band of the costs by month: %w", err)
	}
	for k, m := range band {
		own.curve[m].lo, own.curve[m].hi = adj.Interval[k].Lo, adj.Interval[k].Hi
	}
	return nil
}

// thin releases the curve: a month is shown where what was paid since the last shown month may be shown by itself.
func (c *costsResult) thin(p release.Policy, place string, keep func([]release.Withheld)) {
	var since [2][]float64
	hidden := 0
	for _, m := range c.curve {
		for g := range since {
			if since[g] == nil {
				since[g] = make([]float64, len(m.each[g]))
			}
			for i, v := range m.each[g] {
				since[g][i] += v
			}
		}
		re, _ := p.Estimate(place, estimate.Estimate{}, release.Basis{Treated: len(since[1]), Control: len(since[0]), DF: math.Inf(1), Money: release.NewMoney(since[1], since[0])})
		if !re.Shown {
			hidden++
			continue
		}
		since = [2][]float64{}
		x := m
		for _, v := range []*float64{&x.value, &x.lo, &x.hi} {
			mean, _ := p.Mean(place, *v, min(len(m.each[0]), len(m.each[1])))
			*v, _ = mean.Value.Float()
		}
		c.shown = append(c.shown, x)
	}
	if hidden > 0 {
		keep([]release.Withheld{{Place: place + "/months", Why: release.FewContributors, Cells: hidden}})
	}
}

// summed is a method some of whose numbers add up to another that is shown.
type summed interface {
	// addend gives the name of the sum that a number is part of, or the term of the number that it goes with; "" = none.
	addend(n found) (sum, with string)
}

// releaseSums releases the parts of sums as series whose sum is released, and withholds what goes with a number that is withheld.
func (s *state) releaseSums(r *analysisResult, released []release.Estimate, keep func([]release.Withheld)) error {
	q, ok := r.spec.ask().(summed)
	if !ok {
		return nil
	}
	of := map[string][]int{}
	for i, n := range r.numbers {
		if sum, _ := q.addend(n); sum != "" && n.not == nil {
			of[sum] = append(of[sum], i)
		}
	}
	for _, sum := range sortedKeys(of) {
		var es []estimate.Estimate
		var on []release.Basis
		for _, i := range of[sum] {
			es, on = append(es, r.numbers[i].e), append(on, r.numbers[i].basis)
		}
		series, w, err := s.policy.Series(r.spec.Name+"/"+sum, es, on, true)
		if err != nil {
			return err
		}
		keep(w)
		for k, i := range of[sum] {
			released[i] = series[k]
		}
	}
	for i, n := range r.numbers {
		_, with := q.addend(n)
		if with == "" || n.not != nil {
			continue
		}
		for j, m := range r.numbers {
			if m.term == with && !released[j].Shown && released[i].Shown {
				w := release.Withheld{Place: r.spec.Name + "/" + n.term, Why: release.Complementary, Cells: 1}
				released[i] = release.Estimate{Number: refuse(n.term, n.e.Measure, table.Note{}, table.Note{}).e, Why: w.Why}
				keep([]release.Withheld{w})
			}
		}
	}
	return nil
}
