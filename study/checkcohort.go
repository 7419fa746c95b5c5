package study

import (
	"slices"

	"utfall/cohort"
	"utfall/table"
)

// matchDefaults writes out the options that the method uses.
func matchDefaults(m *cohort.MatchSpec, seed uint64) {
	m.Method, m.Estimand = or(m.Method, cohort.NearestMethod), or(m.Estimand, cohort.ATT)
	uses := cohort.Uses(m.Method)
	has := func(name string) bool { return slices.Contains(uses, name) }
	if has("distance") {
		m.Distance = or(m.Distance, cohort.LogitDistance)
	}
	scored := m.Distance == cohort.LogitDistance || m.Distance == cohort.LinearLogitDistance || m.CaliperScore != nil
	if has("order") && scored {
		m.Order = or(m.Order, cohort.LargestOrder)
	}
	if has("ties") && m.Order != cohort.DataOrder {
		m.Ties = or(m.Ties, cohort.HashTies)
	}
	if has("ratio") && m.Ratio == 0 {
		m.Ratio = 1
	}
	if has("seed") && m.Seed == 0 && (m.Method != cohort.CEMMethod || m.PairWithin) {
		m.Seed = seed
	}
}

func (s *Spec) checkCohort(c *checker, path []any, co *Cohort) {
	c.text(at(path, "label"), co.Label)
	for _, k := range sortedKeys(co.Groups) {
		c.oneOf(at(path, "groups", k), "group", k, "treated", "control")
	}
	if s.data(c, at(path, "base"), co.Base, "people", "flat") && co.TimeZero == nil {
		if co.ID == "" || co.Treatment == "" {
			c.add(path, "cohort %q needs id and treatment: the columns that name the unit and mark the treated", co.Name)
		} else {
			s.column(c, at(path, "id"), co.Base, co.ID)
			s.column(c, at(path, "treatment"), co.Base, co.Treatment)
		}
	}
	if t := co.TimeZero; t != nil {
		p := at(path, "time_zero")
		c.errs(p, t.Check())
		if t.Design == cohort.GracePeriod && (co.Propensity != nil || co.Match != nil || co.Weight != nil || len(co.Balance) > 0) {
			c.add(at(p, "design"), "design: %s compares clones of everybody by the weights of censoring: leave propensity, match, weight and balance out", t.Design)
		}
		if co.ID != cohort.UnitColumn || co.Treatment != cohort.ParticipantColumn {
			c.add(path, "cohort %q: time_zero makes the units and says who takes part: leave id and treatment out", co.Name)
		}
		if _, ok := s.Data[co.Base]; ok {
			for i, col := range t.Drop {
				s.column(c, at(p, "drop", i), co.Base, col)
			}
		}
		s.data(c, at(p, "spells"), t.Spells, "spells")
		s.data(c, at(p, "participations"), t.Participations, "participations")
		if t.Amounts != "" {
			s.data(c, at(p, "amounts"), t.Amounts, "costs")
		}
		if (t.Amounts != "") != slices.Contains(t.Features, cohort.AmountFeatures) {
			c.add(at(p, "amounts"), "amounts (data of kind costs) and the feature amounts go together")
		}
		if _, ok := s.Data[co.Base]; ok {
			for _, column := range sortedKeys(t.KnownFrom) {
				s.column(c, at(p, "known_from", column), co.Base, column)
				s.column(c, at(p, "known_from", column), co.Base, t.KnownFrom[column])
			}
		}
		s.checkCensoring(c, p, t)
		for i, o := range t.Outcomes {
			c.errs(at(p, "outcomes", i), o.Check(t.FollowUp))
			s.stateNames(c, at(p, "outcomes", i, "states"), t.Spells, "state", o.States)
		}
	}
	seen := map[string]bool{}
	for i, f := range co.Eligibility {
		p := at(path, "eligibility", i)
		c.name(p, "an eligibility rule", f.Name, seen)
		c.text(at(p, "label"), f.Label)
		if f.Keep == "" {
			c.add(p, "eligibility rule %q needs keep: the rule that rows must meet", f.Name)
		} else if err := table.CheckFilterSyntax(f.Keep); err != nil {
			c.add(at(p, "keep"), "%v", err)
		}
	}
	if pr := co.Propensity; pr != nil {
		p := at(path, "propensity")
		if len(pr.Covariates) == 0 {
			c.add(p, "propensity: name the covariates")
		}
		c.errs(p, pr.Check())
		if pr.Folded() && pr.Seed != s.Seed {
			c.add(at(p, "seed"), "propensity: the seed of the study is used: leave seed out here")
		}
		if len(pr.Categorical) > 0 {
			c.add(at(p, "categorical"), "propensity: categorical is of the command line: declare the column with type: category")
		}
		if pr.Estimand != "" && pr.Estimand != cohort.ATT {
			c.add(at(p, "estimand"), "propensity: the effects of a study are those on the treated: leave estimand out here")
		}
	}
	s.checkDesign(c, path, co)
	switch {
	case co.Match != nil && co.Weight != nil:
		c.add(at(path, "weight"), "a cohort is either matched or weighted: leave match or weight out")
	case co.Match != nil:
		s.checkMatch(c, path, co)
	case co.Weight != nil:
		s.checkWeight(c, path, co)
	default:
		if co.Propensity != nil {
			c.add(at(path, "propensity"), "propensity is used only with match or weight")
		}
		if len(co.BalanceBy) > 0 {
			c.add(at(path, "balance_by"), "balance_by is used only with match or weight")
		}
		if len(co.Balance) > 0 {
			c.add(at(path, "balance"), "balance is used only with match or weight")
		}
	}
}

// checkCensoring tests the model of who starts when, which the weights of people whose
// follow-up ends with their start need.
func (s *Spec) checkCensoring(c *checker, p []any, t *TimeZero) {
	grace := t.Design == cohort.GracePeriod
	needed := grace || t.Later == cohort.LaterCensors
	switch {
	case needed && t.Censoring == nil:
		c.add(p, "time_zero: later: censor and a grace period need censoring: the covariates of who starts when")
		return
	case !needed && t.Censoring != nil:
		c.add(at(p, "censoring"), "censoring is used only with later: censor or a grace period")
	}
	if !needed {
		return
	}
	if grace {
		c.errs(at(p, "censoring"), t.Censoring.Check(t.Timing))
	} else {
		c.errs(at(p, "censoring"), t.Censoring.CensorSpec.Check(t.FollowUp))
		if t.Censoring.Initiation != "" {
			c.add(at(p, "censoring", "initiation"), "censoring: initiation is of a grace period")
		}
	}
	for _, o := range t.Outcomes {
		if slices.Contains(t.Censoring.Covariates, o.Name) {
			c.add(at(p, "censoring", "covariates"), lintOutcome+": censoring reads %q, an outcome: it is measured after time zero", o.Name)
		}
	}
	s.stateNames(c, at(p, "censoring", "absorbing"), t.Spells, "state", t.Censoring.Absorbing)
}

func (s *Spec) checkMatch(c *checker, path []any, co *Cohort) {
	m := co.Match
	c.errs(at(path, "match"), m.Check())
	if co.Propensity == nil {
		c.add(at(path, "match"), "match needs propensity: the covariates on which people are made comparable")
	}
	if m.Estimand != cohort.ATT {
		c.add(at(path, "match", "estimand"), "estimand %s: the effects of a matched cohort are those on the treated; use att", m.Estimand)
	}
	if m.Seed != 0 && m.Seed != s.Seed {
		c.add(at(path, "match", "seed"), "match: the seed of the study is used: leave seed out here")
	}
	if p := co.Propensity; p != nil && p.Model != cohort.LogitModel && m.Method == cohort.SubclassMethod && m.Distance == cohort.LinearLogitDistance {
		c.add(at(path, "match", "distance"), "match: subclasses of a %s score are the same for logit and linear-logit: use logit", p.Model)
	}
}

func (s *Spec) checkWeight(c *checker, path []any, co *Cohort) {
	w, p := *co.Weight, at(path, "weight")
	if co.Propensity == nil {
		c.add(p, "weight needs propensity: the covariates on which the groups are made alike")
		return
	}
	balances := w.Method == cohort.EntropyMethod || w.Method == cohort.CBPSMethod
	if !balances || w.Trim != nil {
		w.Propensity = co.Propensity
	} else if q := co.Propensity; q.Model != cohort.LogitModel || q.Link != "logit" || q.CrossFit {
		c.add(at(path, "propensity"), "weighting by %s needs only the covariates of propensity: leave the model out", w.Method)
	}
	c.errs(p, w.Check())
}
