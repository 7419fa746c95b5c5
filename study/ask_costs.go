package study

import (
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/study/report"
)

// Costs is what each payer paid more for participants than for comparison people, and with an effect what a
// net month cost.
type Costs struct {
	Cohort       string                        `yaml:"cohort,omitempty"`        // built by time_zero
	Months       int                           `yaml:"months,omitempty"`        // from the start on
	Payers       []string                      `yaml:"payers,omitempty"`        // in the order of the report; they add up to the total
	Data         string                        `yaml:"data,omitempty"`          // of kind costs: person, month, payer, amount
	Amount       string                        `yaml:"amount,omitempty"`        // column of the cohort's spells: money a month in the state
	States       map[string]map[string]float64 `yaml:"states,omitempty"`        // state → payer → share of that money; below 0 it comes in
	Programme    map[string]float64            `yaml:"programme,omitempty"`     // payer → what the measure costs it for a participant, paid at the start
	Discount     float64                       `yaml:"discount,omitempty"`      // rate a year
	PriceYear    int                           `yaml:"price_year,omitempty"`    // whose money the report is in …
	PriceFactors map[string]float64            `yaml:"price_factors,omitempty"` // … and what money of each other year is multiplied by
	Errors       string                        `yaml:"errors,omitempty"`        // influence (if absent) or bootstrap
	Replicates   int                           `yaml:"replicates,omitempty"`    // of the bootstrap; 999 if absent
	Effect       string                        `yaml:"effect,omitempty"`        // an earlier analysis whose net months are paid for
	Willingness  []float64                     `yaml:"willingness,omitempty"`   // prices of a net month
}

var (
	_ question  = (*Costs)(nil)
	_ namer     = (*Costs)(nil)
	_ drawer    = (*Costs)(nil)
	_ releaser  = (*Costs)(nil)
	_ sentencer = (*Costs)(nil)
	_ summed    = (*Costs)(nil)
	_ chief     = (*Costs)(nil)
)

func (q *Costs) defaults(*Spec, *Analysis) {
	q.Errors = or(q.Errors, "influence")
	if q.Errors == "bootstrap" {
		q.Replicates = orInt(q.Replicates, 999)
	}
}

func (q *Costs) check(s *Spec, c *checker, path []any, a *Analysis) {
	co := s.registerCohort(c, path, a, "costs", q.Cohort)
	checkOwnUnit(c, path, "costs", a, "kronor")
	if q.Months < 1 || co != nil && q.Months > co.TimeZero.FollowUp {
		c.add(at(path, "months"), "costs: months must lie between 1 and the cohort's follow_up")
	}
	for i, name := range q.Payers {
		if !nameRule.MatchString(name) || slices.Contains(q.Payers[:i], name) {
			c.add(at(path, "payers", i), "costs: payers have names of letters, digits and hyphens, each once")
		}
	}
	if len(q.Payers) == 0 {
		c.add(path, "costs: payers: name who pays, such as state, region, municipality")
	}
	if q.Data == "" && len(q.States) == 0 && len(q.Programme) == 0 {
		c.add(path, "costs: say what is paid: data of kind costs, the money of states (amount and states), or programme")
	}
	q.checkSources(s, c, path, co)
	q.checkMoney(c, path)
	if q.Effect == "" {
		if len(q.Willingness) > 0 {
			c.add(at(path, "willingness"), "costs: willingness is a price of a net month: name the analysis that counts them under effect")
		}
		return
	}
	if o := s.checkOf(c, at(path, "effect"), a, q.Effect, "progress"); o != nil && o.Progress != nil {
		if o.Progress.Cohort != q.Cohort {
			c.add(at(path, "effect"), "costs: the net months of %q are those of cohort %q: costs and effect must be of the same people", q.Effect, o.Progress.Cohort)
		}
		if o.Progress.Tau != q.Months {
			c.add(at(path, "effect"), "costs: the net months of %q are counted over %d months, the costs over %d: they must be the same", q.Effect, o.Progress.Tau, q.Months)
		}
	}
	for i, v := range q.Willingness {
		if !(v > 0) || math.IsInf(v, 0) || slices.Contains(q.Willingness[:i], v) {
			c.add(at(path, "willingness", i), "costs: willingness: prices lie above 0 and are given once")
		}
	}
}

// checkSources tests what says what is paid.
func (q *Costs) checkSources(s *Spec, c *checker, path []any, co *Cohort) {
	payer := func(name string, of ...any) {
		if !slices.Contains(q.Payers, name) {
			c.add(at(path, of...), "costs: %q is not among the payers", name)
		}
	}
	if q.Data != "" && s.data(c, at(path, "data"), q.Data, "costs") {
		for _, column := range []string{"person", "month", "payer", "amount"} {
			s.column(c, at(path, "data"), q.Data, column)
		}
		s.stateNames(c, at(path, "payers"), q.Data, "payer", q.Payers)
	}
	if (q.Amount == "") != (len(q.States) == 0) {
		c.add(path, "costs: amount, the column of the spells with the money of a month, and states, whose money it is, go together")
	}
	if co != nil {
		if q.Amount != "" {
			s.column(c, at(path, "amount"), co.TimeZero.Spells, q.Amount)
		}
		s.stateNames(c, at(path, "states"), co.TimeZero.Spells, "state", sortedKeys(q.States))
	}
	for _, state := range sortedKeys(q.States) {
		for _, name := range sortedKeys(q.States[state]) {
			payer(name, "states", state)
			if v := q.States[state][name]; v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
				c.add(at(path, "states", state), "costs: states: a share of the money is a number other than 0")
			}
		}
		if len(q.States[state]) == 0 {
			c.add(at(path, "states", state), "costs: states: say who pays the money of this state")
		}
	}
	for _, name := range sortedKeys(q.Programme) {
		payer(name, "programme")
		if v := q.Programme[name]; v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
			c.add(at(path, "programme", name), "costs: programme: what a participant costs is a number other than 0")
		}
	}
	if q.Data == "" {
		for i, name := range q.Payers {
			used := q.Programme[name] != 0
			for _, shares := range q.States {
				used = used || shares[name] != 0
			}
			if !used {
				c.add(at(path, "payers", i), "costs: nothing says what %q pays", name)
			}
		}
	}
}

// checkMoney tests in what money costs are counted, and how sure they are.
func (q *Costs) checkMoney(c *checker, path []any) {
	if !(q.Discount >= 0 && q.Discount < 1) {
		c.add(at(path, "discount"), "costs: discount is a rate a year of at least 0 and below 1, such as 0.03")
	}
	if (q.PriceYear == 0) != (len(q.PriceFactors) == 0) {
		c.add(path, "costs: price_year and price_factors, what money of the other years is multiplied by, go together")
	}
	for _, year := range sortedKeys(q.PriceFactors) {
		n, err := strconv.Atoi(year)
		v := q.PriceFactors[year]
		switch {
		case err != nil || n < 1900 || n > 2200:
			c.add(at(path, "price_factors"), "costs: price_factors: %q is not a year", year)
		case !(v > 0) || math.IsInf(v, 0) || n == q.PriceYear && v != 1:
			c.add(at(path, "price_factors", year), "costs: price_factors lie above 0, and that of price_year is 1")
		}
	}
	c.oneOf(at(path, "errors"), "errors", q.Errors, "influence", "bootstrap")
	if q.Replicates != 0 && (q.Errors != "bootstrap" || q.Replicates < 99 || q.Replicates > 1<<20) {
		c.add(at(path, "replicates"), "costs: replicates are of errors: bootstrap, between 99 and %d", 1<<20)
	}
}

func (q *Costs) rests() basis {
	b := basis{cohort: q.Cohort}
	if q.Data != "" {
		b.data = []string{q.Data}
	}
	if q.Effect != "" {
		b.of = []string{q.Effect}
	}
	return b
}

func (q *Costs) dry(s *state, _ *Analysis) error {
	_, err := s.newCostsRun(q)
	return err
}

func (q *Costs) estimate(s *state, a *Analysis) (analysisResult, error) { return s.costs(a) }

func (q *Costs) words(*state, *analysisResult) (estimand, errors, also string) {
	if q.Errors == "bootstrap" {
		return "costs", "costs-bootstrap", ""
	}
	return "costs", "influence", ""
}

func (q *Costs) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "costs", "total", estimate.MeanDifference
}

func (q *Costs) shows(*Analysis, found) bool { return true }

func (q *Costs) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case progress.Acceptability:
		return report.PercentagePoints
	case breakEvenMonth:
		return report.Plain
	}
	return report.Kronor
}

func (q *Costs) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	payer := s.lang.Text("study.costs-all")
	if name := parts["payer"]; name != "" {
		payer = capital(s.label(name))
	}
	switch {
	case n.e.Measure == progress.CostPerUnit:
		return s.lang.Text("study.costs-ratio")
	case n.e.Measure == breakEvenMonth:
		return s.lang.Text("study.costs-break-even")
	case n.e.Measure == progress.NetBenefitMoney, n.e.Measure == progress.Acceptability:
		return s.lang.Text("study.costs-"+string(n.e.Measure), "price", s.lang.Significant(q.price(parts["willingness"]), 3))
	case parts["group"] != "":
		return s.lang.Text("study.costs-arm", "payer", payer, "group", s.group(s.spec.findCohort(q.Cohort), parts["group"]))
	}
	return s.lang.Text("study.costs-difference", "payer", payer, "months", q.Months)
}

// price is the willingness of a term.
func (q *Costs) price(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// addend says which numbers are parts of a sum that is shown too: payers and total, in each group and in the difference; what
// is made of the total goes with it.
func (q *Costs) addend(n found) (sum, with string) {
	parts := termParts(n.term)
	switch n.e.Measure {
	case estimate.MeanDifference, estimate.Mean:
		return "group=" + parts["group"], ""
	}
	return "", "total"
}

func (q *Costs) figures(s *state, r *analysisResult) []drawing {
	if r.own == nil { // refused
		return nil
	}
	out := []drawing{{"payers", s.payersFigure}, {"months", s.costMonthsFigure}}
	if len(q.Willingness) > 0 && len(r.own.(*costsResult).acceptable) > 0 {
		out = append(out, drawing{"acceptability", s.acceptabilityFigure})
	}
	return out
}

// release releases the curve of what has added up.
func (q *Costs) release(s *state, _ *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	if r.own == nil {
		return nil
	}
	r.own.(*costsResult).thin(s.policy, r.spec.Name, keep)
	return nil
}
