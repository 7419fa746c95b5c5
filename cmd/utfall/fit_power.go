package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// fitPower is what a design can find, before its outcomes are seen.
type fitPower struct {
	f                      *flagSet
	sd, share, power       float64
	setCor, clusterCor     float64
	lower                  bool
	effects                []string
	treated, control       float64
	clusterSize, clusterCV float64
	treatment              string
	weights                fitWeights
	sets, cluster          string
	simulate               int
	seed                   uint64
}

func (m *fitPower) flags(f *flagSet) {
	m.f = f
	f.number(&m.sd, "sd", 0, "expected standard deviation of the outcome within a group")
	f.number(&m.share, "share", 0, "or expected share of the comparison units with an outcome of 1")
	f.number(&m.power, "power", 0.8, "probability with which the effect is to be found")
	f.yes(&m.lower, "lower", false, "with --share: the smallest decrease")
	f.list(&m.effects, "effect", "`numbers`: the power to find each of these too")
	f.number(&m.setCor, "set-correlation", 0, "of outcomes within a matched set")
	f.number(&m.clusterCor, "cluster-correlation", 0, "of outcomes within a cluster (intraclass correlation)")
	f.number(&m.treated, "treated", 0, "without --data: treated units")
	f.number(&m.control, "control", 0, "without --data: comparison units (effective number, if they are weighted)")
	f.number(&m.clusterSize, "cluster-size", 0, "without --data: mean size of clusters that are treated or not as a whole")
	f.number(&m.clusterCV, "cluster-cv", 0, "without --data: coefficient of variation of their sizes")
	f.column(&m.treatment, "treatment", "0 or 1, of the cohort in --data; its outcomes are not needed")
	m.weights.flags(f, "matching", "")
	f.column(&m.sets, "sets", "matched sets; empty = in none, and the row is left out")
	f.column(&m.cluster, "cluster", "rows with its same value are dependent (instead of sets)")
	f.whole(&m.simulate, "simulate", 0, "also by simulation on the cohort, with so many replicates (500, say)")
	f.seed(&m.seed, "of the simulation")
}

// needsNoFile says that the design is on the command line.
func (m *fitPower) needsNoFile() bool { return !m.f.given("data") }

func (m *fitPower) columns() fitColumns {
	c := fitColumns{unique: true}
	if m.needsNoFile() {
		return c
	}
	c.apart("treatment", m.treatment)
	c.add("weights", m.weights.column)
	c.put(fitColumn{flag: "sets", name: m.sets, missing: true})
	c.add("cluster", m.cluster)
	return c
}

func (m *fitPower) check() (problems []string) {
	bad := func(format string, a ...any) { problems = append(problems, fmt.Sprintf(format, a...)) }
	if m.f.given("sd") == m.f.given("share") {
		bad("--sd (of a number) or --share (of an outcome of 0 and 1) is needed, one of them")
	}
	own := []string{"treatment", "weights", "weight-kind", "sets", "cluster", "simulate", "id", "where", "categorical", "separator", "decimal", "encoding"}
	other := []string{"treated", "control", "cluster-size", "cluster-cv"}
	needed, unused, how := []string{"treatment"}, other, "with --data the design is that of its rows, which"
	if m.needsNoFile() {
		needed, unused, how = []string{"treated", "control"}, own, "without --data the design is --treated and --control, which"
	}
	for _, n := range needed {
		if !m.f.given(n) {
			bad("--%s is needed (or give a cohort by --data and --treatment)", n)
		}
	}
	for _, n := range unused {
		if m.f.given(n) {
			bad("%s does not use --%s", how, n)
		}
	}
	problems = append(problems, m.weights.check(m.f)...)
	if m.weights.kind == string(estimate.Frequency) {
		bad("power does not use --weight-kind frequency; write a row for each copy")
	}
	if m.f.given("seed") && !m.f.given("simulate") {
		bad("--seed goes with --simulate")
	}
	if m.f.given("simulate") && m.simulate < 100 {
		bad("--simulate must be at least 100")
	}
	_, more := m.effectList()
	return append(problems, more...)
}

// effectList are the effects asked for, which may be below 0.
func (m *fitPower) effectList() (out []float64, problems []string) {
	out, problems = numbersAbove("effect", m.effects, math.Inf(-1), true)
	if slices.Contains(out, 0) {
		problems = append(problems, "--effect 0 is no effect: it is rejected with the probability 1 - level")
	}
	return out, problems
}

func (m *fitPower) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	p := effect.Power{
		Expected: effect.Expected{SD: m.sd, Share: m.share, SetCorrelation: m.setCor, ClusterCorrelation: m.clusterCor},
		Level:    d.level, Power: m.power, Lower: m.lower,
	}
	effects, _ := m.effectList()
	out := &fitOutput{n: map[string]int{}, details: map[string]any{"power": m.power}}
	if m.needsNoFile() {
		c := effect.Comparison{Treated: m.treated, Control: m.control, ClusterSize: m.clusterSize, ClusterSizeVariety: m.clusterCV}
		mde, err := p.Of(c)
		if err != nil {
			return nil, err
		}
		out.number("minimum-detectable", p.Share != 0, mde)
		return out, m.curve(out, effects, func(e float64) (float64, error) { return p.Reach(c, e) })
	}
	f, err := m.cohort(d)
	if err != nil {
		return nil, err
	}
	out.n["units"] = len(f.Unit)
	for _, t := range f.Treated {
		if t {
			out.n["treated"]++
		}
	}
	mde, err := p.In(f)
	if err != nil {
		return nil, err
	}
	out.number("minimum-detectable", p.Share != 0, mde)
	if err := m.curve(out, effects, func(e float64) (float64, error) { return p.ReachIn(f, e) }); err != nil {
		return nil, err
	}
	if m.simulate == 0 {
		return out, nil
	}
	s := effect.SimulatedPower{Power: p, Replicates: m.simulate, Seed: m.seed, Workers: d.workers}
	least, err := s.Detectable(ctx, f)
	if err != nil {
		return nil, err
	}
	out.number("simulated", p.Share != 0, least.Effect)
	out.details["simulated"] = map[string]any{"replicates": m.simulate, "power": least.Share, "power_error": least.Error}
	if len(effects) == 0 {
		return out, nil
	}
	curve, err := s.At(ctx, f, effects...)
	if err != nil {
		return nil, err
	}
	for _, r := range curve {
		out.estimates = append(out.estimates, estimate.Estimate{
			Term: "simulated,effect=" + shortest(r.Effect), Measure: "power", Value: r.Share, SE: r.Error,
			CI: none(), Test: noTest(),
		})
	}
	return out, nil
}

// cohort is the design; its outcomes are not read.
func (m *fitPower) cohort(d *fitData) (*estimate.Frame, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: d.units, Level: d.level}
	var err error
	if f.Treated, err = d.treated(m.treatment); err != nil {
		return nil, err
	}
	if f.Weight, err = m.weights.read(d); err != nil {
		return nil, err
	}
	if m.sets != "" {
		if f.Set, _, err = d.codes(m.sets); err != nil {
			return nil, err
		}
	}
	if m.cluster != "" {
		if f.Cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// curve adds the power at each effect.
func (m *fitPower) curve(out *fitOutput, effects []float64, at func(float64) (float64, error)) error {
	for _, e := range effects {
		v, err := at(e)
		if err != nil {
			return err
		}
		out.estimates = append(out.estimates, estimate.Estimate{Term: "effect=" + shortest(e), Measure: "power", Value: v, SE: math.NaN(), CI: none(), Test: noTest()})
	}
	return nil
}

// number adds a smallest effect.
func (o *fitOutput) number(term string, share bool, v float64) {
	measure := estimate.MeanDifference
	if share {
		measure = estimate.RiskDifference
	}
	o.estimates = append(o.estimates, estimate.Estimate{Term: term, Measure: measure, Value: v, SE: math.NaN(), CI: none(), Test: noTest()})
}

func none() estimate.Interval { return estimate.Interval{Lo: math.NaN(), Hi: math.NaN()} }

func noTest() estimate.Test {
	return estimate.Test{Stat: math.NaN(), DF: math.NaN(), P: math.NaN()}
}
