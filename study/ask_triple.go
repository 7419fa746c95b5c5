package study

import (
	"errors"
	"fmt"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/report"
	"utfall/table"
)

// Triple is the effect of staggered entry on the part of each unit that it is meant for, with the other part as a second comparison.
type Triple struct {
	Eligible string `yaml:"eligible,omitempty"` // column: 1 = the part that is treated from the cohort on
	DID      `yaml:",inline"`
}

var (
	_ question  = (*Triple)(nil)
	_ namer     = (*Triple)(nil)
	_ drawer    = (*Triple)(nil)
	_ unplanned = (*Triple)(nil)
	_ inPanel   = (*Triple)(nil)
)

func (q *Triple) defaults(s *Spec, a *Analysis) {
	q.Inference = or(q.Inference, standardErrors)
	q.DID.defaults(s, a)
}

func (q *Triple) check(s *Spec, c *checker, path []any, a *Analysis) {
	q.DID.check(s, c, path, a)
	if q.Inference != standardErrors {
		c.add(at(path, "inference"), "triple: inference is standard: the other ways reassign whole units and know no parts")
	}
	if q.Size != "" {
		c.add(at(path, "size"), "triple: size is not used")
	}
	switch {
	case q.Eligible == "":
		c.add(path, "triple: eligible: name the column")
	case s.Data[q.Data].Path != "":
		s.column(c, at(path, "eligible"), q.Data, q.Eligible)
	}
}

func (q *Triple) rests() basis {
	b := q.DID.rests()
	b.compared, b.layout = q.compared(), append(b.layout, q.Eligible)
	return b
}

func (q *Triple) compared() string { return "triple/" + panelName(&q.DID) + "/" + q.Eligible }

func (q *Triple) dry(s *state, _ *Analysis) error {
	_, _, _, err := s.tripleFrame(q)
	return err
}

func (q *Triple) estimate(s *state, a *Analysis) (analysisResult, error) {
	r := analysisResult{method: "triple", kind: "effect"}
	f, eligible, notes, err := s.tripleFrame(q)
	if err != nil {
		return r, err
	}
	gt, err := panel.Triple{GroupTime: q.groupTime(s), Eligible: eligible}.Fit(s.ctx, f)
	if err != nil {
		return r, s.panelError(q.columns(), err, q.Eligible)
	}
	r.notes = append(notes, table.Note{Code: "triple-smallest", Text: "The number of comparison units is that of the smallest of the three groups that the target group is compared with: the others in the same units, and both parts of those not yet in."})
	return s.averages(a, &q.DID, gt, r)
}

// tripleFrame resolves the columns.
func (s *state) tripleFrame(q *Triple) (*panel.Frame, []bool, []table.Note, error) {
	p := q.columns()
	t, notes, err := s.panelRows(p, q.Eligible)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := s.panelColumns(t, p, q.Cohort)
	if err != nil {
		return nil, nil, nil, err
	}
	v, err := t.Float(q.Eligible)
	if err != nil {
		return nil, nil, nil, err
	}
	eligible := make([]bool, len(v.Values))
	for i, x := range v.Values {
		if x != 0 && x != 1 {
			return nil, nil, nil, fmt.Errorf("%w: column %q must be 0 or 1 in every row", errEligible, q.Eligible)
		}
		eligible[i] = x == 1
	}
	return f, eligible, notes, nil
}

var errEligible = errors.New("who is eligible")

func (q *Triple) words(*state, *analysisResult) (estimand, errors, also string) {
	return "triple", "influence", ""
}

func (q *Triple) plan(a *Analysis) {
	bare := *q
	bare.DID = *q.DID.bare()
	a.Triple = &bare
}

func (q *Triple) arm(arm string, l lang.Lang) string { return q.columns().arm(arm, "triple", l) }

func (q *Triple) comparison(s *state) report.Comparison {
	return q.columns().comparison(s, "triple", q.compared())
}

func (q *Triple) figures(s *state, r *analysisResult) []drawing {
	if len(r.event) == 0 {
		return nil
	}
	return []drawing{{"event-study", func(r *analysisResult) (plots.Figure, error) {
		return s.eventFigure(r, q.Window, "study.triple-subtitle")
	}}}
}

func (q *Triple) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "triple", "overall", estimate.MeanDifference
}
