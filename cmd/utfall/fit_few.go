package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"utfall/estimate/panel"
)

// fitFew is the choice of an interval for a panel with few treated or few comparison
// units.
type fitFew struct {
	f                                 *flagSet
	did                               fitDid // the panel and its cells
	treated, size, comparison, method string
	statistic                         string
	draws                             int
	seed                              uint64
	balanceEvent                      int
}

func (m *fitFew) flags(f *flagSet) {
	m.f, m.did.f, m.did.panel = f, f, true
	f.column(&m.did.unit, "unit", "names the unit that is followed")
	f.column(&m.did.time, "time", "period, a whole number")
	f.column(&m.did.cohort, "cohort", "first treated period; 0 or empty = never treated (one of the two throughout)")
	f.column(&m.treated, "treated", "in place of --cohort: 1 = the unit is treated in the period, 0 = not (yet); it stays treated")
	f.column(&m.did.outcome, "outcome", "a number")
	f.list(&m.did.covariates, "covariates", "`columns`, comma separated; their values in the base period count")
	f.text(&m.comparison, "comparison", panel.Regression, "how covariates enter: reg, dr or ipw; resampling methods need reg")
	f.text(&m.did.control, "control", panel.NotYetTreated, "who is compared with: never or not-yet")
	f.text(&m.did.base, "base", panel.Universal, "base period: varying or universal")
	f.whole(&m.did.anticipation, "anticipation", 0, "by how many periods before treatment outcomes may react")
	f.text(&m.did.aggregate, "aggregate", "simple", "simple, group, dynamic, calendar or none")
	f.whole(&m.balanceEvent, "balance-event", 0, "with dynamic: only cohorts seen for this many periods after treatment")
	f.column(&m.did.weights, "weights", "sampling weight above 0, or inhabitants when effects on people are asked for")
	f.column(&m.did.cluster, "cluster", "rows with its same value are dependent (default: the unit)")
	f.column(&m.size, "size", "size of the unit (inhabitants), above 0: small units vary more; its value in the first period counts")
	f.text(&m.method, "method", string(panel.FewAuto), "auto, cr2, cr3, wild, randomisation, sign-changes, conley-taber, ferman-pinto or placebo")
	f.text(&m.statistic, "statistic", "", "of randomisation: studentised or difference (default: by the design)")
	f.whole(&m.draws, "draws", 999, "of resampling methods, at least 99")
	f.seed(&m.seed, "seed of the draws")
	f.need("unit", "time", "outcome")
}

func (m *fitFew) columns() fitColumns {
	c := fitColumns{}
	c.apart("unit", m.did.unit)
	c.apart("time", m.did.time)
	c.put(fitColumn{flag: "cohort", name: m.did.cohort, missing: true, apart: true})
	c.apart("treated", m.treated)
	c.apart("outcome", m.did.outcome)
	c.apart("covariates", m.did.covariates...)
	c.add("weights", m.did.weights)
	c.add("cluster", m.did.cluster)
	c.add("size", m.size)
	return c
}

func (m *fitFew) check() (problems []string) {
	add := func(p ...string) { problems = append(problems, p...) }
	if (m.did.cohort == "") == (m.treated == "") {
		add("give one of --cohort and --treated")
	}
	methods := []string{string(panel.FewAuto)}
	for _, x := range panel.FewMethods() {
		methods = append(methods, string(x))
	}
	for flag, v := range map[string]string{"method": m.method, "comparison": m.comparison, "control": m.did.control, "base": m.did.base, "aggregate": m.did.aggregate} {
		if v == "" {
			add(fmt.Sprintf("--%s is empty", flag))
		}
	}
	add(oneOf("method", m.method, methods...)...)
	add(oneOf("comparison", m.comparison, panel.Regression, panel.DoublyRobust, panel.Weighting)...)
	add(oneOf("control", m.did.control, panel.NeverTreated, panel.NotYetTreated)...)
	add(oneOf("base", m.did.base, panel.Varying, panel.Universal)...)
	add(oneOf("aggregate", m.did.aggregate, "none", "simple", "group", "dynamic", "calendar")...)
	add(oneOf("statistic", m.statistic, panel.Studentised, panel.Difference)...)
	if m.did.anticipation < 0 {
		add("--anticipation must be at least 0")
	}
	if m.f.given("comparison") && len(m.did.covariates) == 0 {
		add("--comparison goes with --covariates")
	}
	if m.f.given("balance-event") && m.did.aggregate != "dynamic" {
		add("--balance-event goes with --aggregate dynamic")
	}
	if m.balanceEvent < 0 {
		add("--balance-event must be at least 0")
	}
	if m.draws < 99 || m.draws > 1<<20 {
		add(fmt.Sprintf("--draws must be between 99 and %d", 1<<20))
	}
	if m.statistic != "" && m.method != string(panel.FewAuto) && m.method != string(panel.FewRandomisation) {
		add("--statistic goes with --method randomisation or auto")
	}
	if m.method == string(panel.FewFermanPinto) && m.size == "" {
		add("--method ferman-pinto needs --size")
	}
	slices.Sort(problems)
	return problems
}

// frame reads the panel, with the cohort from either column.
func (m *fitFew) frame(d *fitData) (*panel.Frame, error) {
	if m.did.cohort != "" {
		return m.did.frame(d)
	}
	treated, err := d.binary(m.treated)
	if err != nil {
		return nil, err
	}
	did := m.did
	did.cohort = m.treated // 0 and 1 are read as cohorts and replaced
	f, err := did.frame(d)
	if err != nil {
		return nil, err
	}
	f.Cohort, err = panel.Entries(f.Unit, f.Time, treated)
	return f, err
}

// sizes reads the size of each unit in its first period.
func (m *fitFew) sizes(d *fitData, f *panel.Frame) (map[string]float64, error) {
	if m.size == "" {
		return nil, nil
	}
	v, err := d.numbers(m.size)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return !(v[i] > 0) }); i >= 0 {
		return nil, d.at(i, m.size, fmt.Errorf("a size must be above 0"))
	}
	out, first := map[string]float64{}, map[string]int{}
	for i, u := range f.Unit {
		if t, seen := first[u]; !seen || f.Time[i] < t {
			first[u], out[u] = f.Time[i], v[i]
		}
	}
	return out, nil
}

func (m *fitFew) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f, err := m.frame(d)
	if err != nil {
		return nil, err
	}
	size, err := m.sizes(d, f)
	if err != nil {
		return nil, err
	}
	r, err := panel.GroupTime{Method: m.comparison, Control: m.did.control, Base: m.did.base, Anticipation: m.did.anticipation, Workers: d.workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	o := panel.FewOptions{Method: panel.FewMethod(m.method), Draws: m.draws, Seed: m.seed, Size: size, Statistic: m.statistic, Alternatives: true, Workers: d.workers}
	if m.f.given("balance-event") {
		o.BalanceEvent = &m.balanceEvent
	}
	answer, err := r.Infer(ctx, panel.Aggregation(m.did.aggregate), o)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(answer.Result(), "treated")
	for _, t := range answer.Terms {
		table := fitTable{title: "Methods for " + t.Estimate.Term, header: []string{"method", "std_error", "conf_low", "conf_high", "p_value", "fits"}}
		for _, a := range t.Answers {
			fits := "no: " + strings.TrimPrefix(a.Why.Code, "inference-")
			switch {
			case a.Method == t.Chosen:
				fits = "used"
			case a.Valid:
				fits = "yes"
			}
			e := a.Estimate
			table.rows = append(table.rows, []any{string(a.Method), e.SE, e.CI.Lo, e.CI.Hi, e.Test.P, fits})
		}
		out.tables = append(out.tables, table)
	}
	return out, nil
}
