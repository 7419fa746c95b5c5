package study

import (
	"fmt"
	"slices"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/report"
)

// DID is the effect of staggered entry in a panel, by group and time.
type DID struct {
	Label        Text            `yaml:"label,omitempty"`
	Groups       map[string]Text `yaml:"groups,omitempty"` // what the treated and control units are called
	Data         string          `yaml:"data,omitempty"`
	Unit         string          `yaml:"unit,omitempty"`
	Time         string          `yaml:"time,omitempty"`
	Cohort       string          `yaml:"cohort,omitempty"` // first period of treatment; 0 or missing = never
	Outcome      string          `yaml:"outcome,omitempty"`
	Covariates   []string        `yaml:"covariates,omitempty"`
	Weights      string          `yaml:"weights,omitempty"`
	Cluster      string          `yaml:"cluster,omitempty"`
	Where        string          `yaml:"where,omitempty"`
	Method       string          `yaml:"method,omitempty"`
	Control      string          `yaml:"control,omitempty"`
	Base         string          `yaml:"base,omitempty"`
	Anticipation int             `yaml:"anticipation,omitempty"`
	Aggregate    []string        `yaml:"aggregate,omitempty"` // none, simple, group, dynamic, calendar
	BalanceEvent *int            `yaml:"balance_event,omitempty"`
	Window       []int           `yaml:"window,omitempty"` // event times shown in the figure, [from, to]
	Bands        string          `yaml:"bands,omitempty"`
	Replicates   int             `yaml:"replicates,omitempty"`
	Inference    string          `yaml:"inference,omitempty"` // how intervals come about: auto, standard, or one method
	Size         string          `yaml:"size,omitempty"`      // column with the size of a unit: small ones vary more
}

var (
	_ question  = (*DID)(nil)
	_ namer     = (*DID)(nil)
	_ drawer    = (*DID)(nil)
	_ unplanned = (*DID)(nil)
	_ inPanel   = (*DID)(nil)
)

func (d *DID) defaults(*Spec, *Analysis) {
	d.Method = or(d.Method, "dr")
	d.Control = or(d.Control, "not-yet")
	d.Base = or(d.Base, "universal")
	d.Bands = or(d.Bands, "pointwise")
	d.Inference = or(d.Inference, string(panel.FewAuto))
	if d.Aggregate == nil {
		d.Aggregate = []string{"simple", "dynamic"}
	}
	if d.Bands == "uniform" && d.Replicates == 0 {
		d.Replicates = 999
	}
}

func (d *DID) check(s *Spec, c *checker, path []any, _ *Analysis) {
	if s.data(c, at(path, "data"), d.Data) {
		for _, x := range []struct{ key, column string }{
			{"unit", d.Unit}, {"time", d.Time}, {"cohort", d.Cohort}, {"outcome", d.Outcome},
		} {
			if x.column == "" {
				c.add(path, "did: %s: name the column", x.key)
			} else {
				s.column(c, at(path, x.key), d.Data, x.column)
			}
		}
		for _, col := range d.Covariates {
			s.column(c, at(path, "covariates"), d.Data, col)
		}
		for key, col := range map[string]string{"weights": d.Weights, "cluster": d.Cluster, "size": d.Size} {
			if col != "" {
				s.column(c, at(path, key), d.Data, col)
			}
		}
	}
	for _, k := range sortedKeys(d.Groups) {
		c.oneOf(at(path, "groups", k), "group", k, "treated", "control")
	}
	c.text(at(path, "label"), d.Label)
	c.oneOf(at(path, "method"), "method", d.Method, "dr", "ipw", "reg")
	c.oneOf(at(path, "control"), "control", d.Control, "never", "not-yet")
	c.oneOf(at(path, "base"), "base", d.Base, "varying", "universal")
	c.oneOf(at(path, "bands"), "bands", d.Bands, "uniform", "pointwise")
	c.oneOf(at(path, "inference"), "inference", d.Inference, inferences()...)
	if d.Size != "" && d.Inference == standardErrors {
		c.add(at(path, "size"), "did: size is not used with inference: standard")
	}
	if d.Size == "" && d.Inference == string(panel.FewFermanPinto) {
		c.add(at(path, "inference"), "did: inference: ferman-pinto needs size, the column with the size of a unit")
	}
	for i, g := range d.Aggregate {
		c.oneOf(at(path, "aggregate", i), "aggregate", g, "none", "simple", "group", "dynamic", "calendar")
	}
	for i, g := range d.Aggregate {
		if slices.Contains(d.Aggregate[:i], g) {
			c.add(at(path, "aggregate", i), "did: aggregate names %s twice", g)
		}
	}
	series := func(kinds ...string) bool {
		return slices.ContainsFunc(d.Aggregate, func(g string) bool { return slices.Contains(kinds, g) })
	}
	if d.BalanceEvent != nil && !series("dynamic") {
		c.add(at(path, "balance_event"), "did: balance_event is used only with aggregate: dynamic")
	}
	if d.Window != nil && !series("dynamic") {
		c.add(at(path, "window"), "did: window is used only with aggregate: dynamic")
	}
	if d.Bands == "uniform" && !series("dynamic", "group", "calendar") {
		c.add(at(path, "bands"), "did: bands: uniform is used only with aggregate: dynamic, group or calendar")
	}
	if d.Anticipation < 0 {
		c.add(at(path, "anticipation"), "did: anticipation must be at least 0 periods")
	}
	if d.Replicates != 0 && d.Bands != "uniform" {
		c.add(at(path, "replicates"), "did: replicates are used only with bands: uniform")
	}
	if d.Bands == "uniform" && d.Replicates < 99 {
		c.add(at(path, "replicates"), "did: at least 99 replicates are needed")
	}
	if d.Window != nil && (len(d.Window) != 2 || d.Window[0] >= d.Window[1]) {
		c.add(at(path, "window"), "did: window is written as [from, to], for example [-5, 5]")
	}
}

func (d *DID) rests() basis {
	return basis{
		data: []string{d.Data}, outcomes: []string{d.Outcome}, compared: panelName(d),
		layout: append([]string{d.Unit, d.Time, d.Cohort, d.Weights, d.Cluster, d.Size}, d.Covariates...),
	}
}

func (d *DID) dry(s *state, _ *Analysis) error {
	_, _, err := s.panelFrame(d)
	return err
}

func (d *DID) estimate(s *state, a *Analysis) (analysisResult, error) { return s.did(a) }

func (d *DID) words(*state, *analysisResult) (estimand, errors, also string) {
	if d.Inference == standardErrors {
		return "did", "influence", ""
	}
	return "did", "few", ""
}

func (d *DID) plan(a *Analysis) {
	a.DID = d.bare()
}

func (d *DID) comparison(s *state) report.Comparison {
	return d.columns().comparison(s, "did", panelName(d))
}

func (d *DID) arm(arm string, l lang.Lang) string { return d.columns().arm(arm, "did", l) }

func (d *DID) window() []int { return d.Window }

// bare is the question without texts.
func (d *DID) bare() *DID {
	bare := *d
	bare.Label, bare.Groups = nil, nil
	return &bare
}

func (d *DID) label(*state, *Analysis, found) string { return "" }

func (d *DID) unit(*Analysis, found) report.Unit { return "" }

// shows leaves out events outside the window.
func (d *DID) shows(_ *Analysis, n found) bool {
	if d.Window != nil {
		var e int
		if k, _ := fmt.Sscanf(n.term, "event=%d", &e); k == 1 {
			return e >= d.Window[0] && e <= d.Window[1]
		}
	}
	return true
}

func (d *DID) figures(s *state, r *analysisResult) []drawing {
	if len(r.event) == 0 {
		return nil
	}
	return []drawing{{"event-study", func(r *analysisResult) (plots.Figure, error) {
		return s.eventFigure(r, d.Window, "study.event-subtitle")
	}}}
}

func (d *DID) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "did", "overall", estimate.MeanDifference
}
