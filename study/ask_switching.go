package study

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/report"
	"utfall/table"
)

// Switching is the effect of a treatment that begins, ends or changes in size, such as a membership that some leave again.
type Switching struct {
	PanelColumns `yaml:",inline"`
	Treatment    string `yaml:"treatment,omitempty"` // column: 0 and 1, or a size, in each row
	Anticipation int    `yaml:"anticipation,omitempty"`
	Before       *int   `yaml:"before,omitempty"` // last events on each side; all that can be compared if absent
	After        *int   `yaml:"after,omitempty"`
	Errors       string `yaml:"errors,omitempty"` // analytic or bootstrap
	Bands        string `yaml:"bands,omitempty"`
	Replicates   int    `yaml:"replicates,omitempty"`
}

var (
	_ question  = (*Switching)(nil)
	_ namer     = (*Switching)(nil)
	_ drawer    = (*Switching)(nil)
	_ unplanned = (*Switching)(nil)
	_ inPanel   = (*Switching)(nil)
	_ sentencer = (*Switching)(nil)
)

const bootstrapErrors = "bootstrap"

func (q *Switching) defaults(*Spec, *Analysis) {
	q.Errors = or(q.Errors, "analytic")
	q.Bands = or(q.Bands, panel.Pointwise)
	if (q.Bands == panel.Uniform || q.Errors == bootstrapErrors) && q.Replicates == 0 {
		q.Replicates = 999
	}
}

func (q *Switching) check(s *Spec, c *checker, path []any, _ *Analysis) {
	q.PanelColumns.check(s, c, path, "switching", map[string]string{"treatment": q.Treatment})
	c.oneOf(at(path, "errors"), "errors", q.Errors, "analytic", bootstrapErrors)
	c.oneOf(at(path, "bands"), "bands", q.Bands, panel.Pointwise, panel.Uniform)
	switch {
	case q.Anticipation < 0:
		c.add(at(path, "anticipation"), "switching: anticipation must be at least 0 periods")
	case q.Before != nil && *q.Before < 1+q.Anticipation:
		c.add(at(path, "before"), "switching: before must be at least 1 more than anticipation")
	}
	if q.After != nil && *q.After < 0 {
		c.add(at(path, "after"), "switching: after must be at least 0")
	}
	switch drawn := q.Bands == panel.Uniform || q.Errors == bootstrapErrors; {
	case !drawn && q.Replicates != 0:
		c.add(at(path, "replicates"), "switching: replicates are used only with bands: uniform or errors: bootstrap")
	case drawn && q.Replicates < 99:
		c.add(at(path, "replicates"), "switching: at least 99 replicates are needed")
	}
}

func (q *Switching) rests() basis { return q.PanelColumns.rests("switching", q.Treatment) }

func (q *Switching) dry(s *state, a *Analysis) error {
	t, _, err := s.panelRows(&q.PanelColumns, q.Treatment)
	if err != nil {
		return err
	}
	d, err := t.Float(q.Treatment)
	if err != nil {
		return err
	}
	if err := q.whole(a, d.Values); err != nil {
		return err
	}
	_, err = s.panelColumns(t, &q.PanelColumns, "")
	return err
}

func (q *Switching) estimate(s *state, a *Analysis) (analysisResult, error) {
	r := analysisResult{method: "switching", kind: "effect"}
	t, notes, err := s.panelRows(&q.PanelColumns, q.Treatment)
	if err != nil {
		return r, err
	}
	f, err := s.panelColumns(t, &q.PanelColumns, "")
	if err != nil {
		return r, err
	}
	varying, constant := splitCovariates(f)
	f = byPeriod(f, varying, constant)
	d, err := t.Float(q.Treatment)
	if err != nil {
		return r, err
	}
	if err := q.whole(a, d.Values); err != nil {
		return r, err
	}
	r.own = switchingSizes(!zeroOne(d.Values))
	e := panel.Intertemporal{Treatment: d.Values, Before: q.Before, After: q.After,
		EventOptions: panel.EventOptions{Anticipation: q.Anticipation, Bands: q.Bands, Replicates: q.Replicates, Seed: s.seedOf("switching/" + a.Name), Workers: s.o.Workers}}
	if q.Errors == bootstrapErrors {
		e.Bootstrap, e.Replicates = q.Replicates, 0
	}
	res, err := e.Fit(s.ctx, f)
	if err != nil {
		return r, s.panelError(&q.PanelColumns, err, q.Treatment)
	}
	r.notes = append(append(notes, res.Notes...), table.Note{Code: "per-unit-and-period",
		Text: "The effect is counted per unit and year of treatment, including what it does in years after the treatment ended."})
	under := map[string]map[string]any{}
	for _, c := range res.Details["compared"].([]map[string]any) {
		under[c["term"].(string)] = c
	}
	for _, est := range res.Estimates {
		c, ok := under[est.Term]
		if !ok { // the reference is 0 by definition, of all that changed
			c = under[panel.Overall]
		}
		n := found{term: est.Term, e: est, basis: s.placesBasis(q.Data, c["switchers"].(int), c["stayers"].(int))}
		if est.HasSE() && c["typical"].(float64) < fewComparison {
			n.notes = []table.Note{fewToCompare()}
		}
		r.numbers = append(r.numbers, n)
		if est.Term != panel.Overall {
			r.event = append(r.event, n)
		}
	}
	return r, nil
}

// switchingSizes says that the treatment has sizes: the number is then per unit of it.
type switchingSizes bool

// whole refuses the smallest difference that matters where the treatment has sizes: a
// difference per unit of treatment is none between those with and without.
func (q *Switching) whole(a *Analysis, treatment []float64) error {
	if a.Relevant != 0 && !zeroOne(treatment) {
		return fmt.Errorf("%w: analysis %s: relevant is used only where the treatment is 0 or 1: with sizes the effect is per unit of treatment and year", ErrSpec, a.Name)
	}
	return nil
}

// say tells that a number is per unit of a treatment that has sizes; else the usual sentence does.
func (q *Switching) say(s *state, r *analysisResult) []string {
	if sizes, ok := r.own.(switchingSizes); !ok || !bool(sizes) {
		return nil
	}
	n := r.numbers[max(mainNumber(r), 0)]
	re := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
	v, lo, hi := re.Number.Value, re.Number.CI.Lo, re.Number.CI.Hi
	if n.not != nil || !re.Shown || math.IsNaN(lo) || math.IsNaN(hi) {
		return nil
	}
	key := "study.switching-say-unclear"
	if lo > 0 || hi < 0 {
		key = "study.switching-say-clear"
	}
	size := func(v float64) string { return s.amount(r.spec, v) }
	return []string{s.lang.Text(key, "value", size(v), "lo", size(lo), "hi", size(hi))}
}

func (q *Switching) words(*state, *analysisResult) (estimand, errors, also string) {
	return "switching", "switching-" + q.Errors, ""
}

func (q *Switching) label(s *state, _ *Analysis, n found) string {
	text, ok := strings.CutPrefix(n.term, "event=")
	if !ok {
		return s.lang.Text("study.switching-overall")
	}
	e, _ := strconv.Atoi(text)
	switch {
	case e == -1-q.Anticipation:
		return s.lang.Text("study.switching-reference", "e", -e)
	case e < 0:
		return s.lang.Text("study.switching-before", "e", -e)
	}
	return s.lang.Text("study.switching-after", "e", e)
}

func (q *Switching) unit(*Analysis, found) report.Unit { return "" }

func (q *Switching) shows(*Analysis, found) bool { return true }

func (q *Switching) plan(a *Analysis) {
	bare := *q
	bare.PanelColumns = q.bare()
	a.Switching = &bare
}

func (q *Switching) arm(arm string, l lang.Lang) string {
	return q.PanelColumns.arm(arm, "switching", l)
}

func (q *Switching) comparison(s *state) report.Comparison {
	return q.PanelColumns.comparison(s, "switching", q.rests().compared)
}

func (q *Switching) window() []int { return nil }

func (q *Switching) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"event-study", func(r *analysisResult) (plots.Figure, error) {
		return s.eventFigure(r, nil, "study.switching-subtitle")
	}}}
}

func (q *Switching) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "switching", "overall", estimate.MeanDifference
}
