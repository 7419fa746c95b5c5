package study

import (
	"fmt"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/study/report"
)

// Trends asks how far the effect of staggered entry can be trusted: other estimators beside it, how far trends may depart from parallel, what the test
// before entry could have found, entry moved earlier, and outcomes that entry cannot change. It says what was found, never that an assumption holds.
type Trends struct {
	Of               string   `yaml:"of,omitempty"`         // an earlier analysis with did
	Estimators       []string `yaml:"estimators,omitempty"` // beside callaway-santanna, which the analysis has
	Honest           *Honest  `yaml:"honest,omitempty"`
	PlaceboDates     []int    `yaml:"placebo_dates,omitempty"`     // periods that entry is moved earlier
	NegativeOutcomes []string `yaml:"negative_outcomes,omitempty"` // columns that entry cannot change
	Data             string   `yaml:"-"`                           // of the analysis, filled in by defaults
}

// Honest is how far trends may depart from parallel.
type Honest struct {
	Type string    `yaml:"type,omitempty"` // relative or smoothness
	M    []float64 `yaml:"m,omitempty"`
}

var (
	_ question  = (*Trends)(nil)
	_ namer     = (*Trends)(nil)
	_ sentencer = (*Trends)(nil)
)

// trendEstimators are the estimators that stand beside the effect; the last is what not to use.
var trendEstimators = []string{"sun-abraham", "imputation", "two-stage", "etwfe", "stacked", "lpdid", "dcdh", "twfe"}

func (q *Trends) defaults(s *Spec, _ *Analysis) {
	for i := range s.Analyses {
		if o := &s.Analyses[i]; o.Name == q.Of && o.DID != nil {
			q.Data = o.DID.Data
		}
	}
	if q.Honest != nil {
		q.Honest.Type = or(q.Honest.Type, "relative")
		if q.Honest.M == nil {
			q.Honest.M = []float64{0.5, 1, 2}
			if q.Honest.Type == "smoothness" {
				q.Honest.M = []float64{0}
			}
		}
	}
}

func (q *Trends) check(s *Spec, c *checker, path []any, a *Analysis) {
	of := s.checkOf(c, at(path, "of"), a, q.Of, "did")
	for i, e := range q.Estimators {
		c.oneOf(at(path, "estimators", i), "estimator", e, trendEstimators...)
		if slices.Contains(q.Estimators[:i], e) {
			c.add(at(path, "estimators", i), "trends: estimators names %s twice", e)
		}
	}
	for i, n := range q.PlaceboDates {
		if n < 1 || slices.Contains(q.PlaceboDates[:i], n) {
			c.add(at(path, "placebo_dates", i), "trends: a placebo date is a number of periods, at least 1 and given once")
		}
	}
	if q.Honest != nil {
		c.oneOf(at(path, "honest", "type"), "type", q.Honest.Type, "relative", "smoothness")
		for i, m := range q.Honest.M {
			if !(m >= 0 && m <= 1e6) || slices.Contains(q.Honest.M[:i], m) {
				c.add(at(path, "honest", "m", i), "trends: each m is a number of at least 0, given once")
			}
		}
	}
	if len(q.Estimators)+len(q.PlaceboDates)+len(q.NegativeOutcomes) == 0 && q.Honest == nil {
		c.add(path, "trends: name estimators, honest, placebo_dates or negative_outcomes")
	}
	if of == nil || of.DID == nil {
		return
	}
	if of.DID.Base == "varying" && (q.Honest != nil || len(q.PlaceboDates) > 0) {
		c.add(path, "trends: honest and placebo_dates need base: universal in %s: a varying base gives steps before entry", q.Of)
	}
	for i, col := range q.NegativeOutcomes {
		s.column(c, at(path, "negative_outcomes", i), of.DID.Data, col)
		if col == of.DID.Outcome || slices.Contains(q.NegativeOutcomes[:i], col) {
			c.add(at(path, "negative_outcomes", i), "trends: a negative outcome is another column than the outcome, given once")
		}
	}
}

func (q *Trends) rests() basis {
	b := basis{of: []string{q.Of}}
	if q.Data != "" {
		b.data, b.outcomes = []string{q.Data}, q.NegativeOutcomes
	}
	return b
}

func (q *Trends) dry(*state, *Analysis) error { return nil } // its panel is that of the analysis it is of

func (q *Trends) estimate(s *state, a *Analysis) (analysisResult, error) {
	return (&trendsRun{s: s, q: q, a: a}).run()
}

func (q *Trends) words(*state, *analysisResult) (estimand, errors, also string) {
	return "trends", "trends", ""
}

func (q *Trends) label(s *state, a *Analysis, n found) string {
	key, value, _ := strings.Cut(n.term, "=")
	switch key {
	case "estimator":
		return s.lang.Text("study.trends-estimator-" + value)
	case "honest:M":
		return s.lang.Text("study.trends-honest-"+q.Honest.Type, "m", s.lang.Significant(n.e.Test.Null, 3))
	case "placebo-date":
		var k int
		fmt.Sscan(value, &k)
		return s.lang.Text("study.trends-placebo", "k", k)
	case "negative":
		return s.lang.Text("study.trends-negative", "what", s.label(value))
	}
	return s.lang.Text("study.trends-" + key)
}

func (q *Trends) unit(_ *Analysis, n found) report.Unit {
	switch n.term {
	case "twfe-forbidden-share":
		return report.Percent
	case "breakdown":
		if q.Honest.Type == "relative" {
			return report.Plain
		}
	case "pretest":
		return report.Plain
	}
	return ""
}

func (q *Trends) shows(_ *Analysis, n found) bool { return n.term != "pretest" }

func (q *Trends) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "trends", "answer", estimate.MeanDifference
}
