package study

import (
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/num"
	"utfall/table"
)

// standardErrors is the value of inference that keeps the errors of the estimator.
const standardErrors = "standard"

// inferences are the values of did's key inference.
func inferences() []string {
	out := []string{string(panel.FewAuto), standardErrors}
	for _, m := range panel.FewMethods() {
		out = append(out, string(m))
	}
	return out
}

// chosenInference is how the intervals of an aggregation came about.
type chosenInference struct {
	notes [][]table.Note // of each estimate, where it differs from the aggregation's own
	main  []table.Note   // of the aggregation
}

// infer replaces the errors and intervals of an aggregation by those that hold for so
// many treated and comparison units. A uniform band stays one: its critical value c is
// carried over to Student's t by the tail that c has under the normal distribution.
func (s *state) infer(a *Analysis, d *DID, gt *panel.GroupTimeResult, kind string, res *estimate.Result) (chosenInference, error) {
	out := chosenInference{notes: make([][]table.Note, len(res.Estimates))}
	if d.Inference == standardErrors {
		return out, nil
	}
	o := panel.FewOptions{Method: panel.FewMethod(d.Inference), Seed: s.seedOf("inference/" + a.Name + "/" + kind), Level: s.spec.Level, Workers: s.o.Workers}
	if kind == "dynamic" {
		o.BalanceEvent = d.BalanceEvent
	}
	if d.Size != "" {
		size, err := s.panelSizes(d)
		if err != nil {
			return out, err
		}
		o.Size = size
	}
	few, err := gt.Infer(s.ctx, panel.Aggregation(kind), o)
	if err != nil {
		return out, err
	}
	at := map[string]*panel.FewTerm{}
	for i := range few.Terms {
		at[few.Terms[i].Estimate.Term] = &few.Terms[i]
	}
	for i := len(res.Estimates) - 1; i >= 0; i-- { // overall is last, and speaks for the others
		e := &res.Estimates[i]
		t := at[e.Term]
		if t == nil || !e.HasSE() {
			continue
		}
		replaceInterval(e, t, s.spec.Level)
		switch {
		case out.main == nil && t.Chosen != "":
			out.main = []table.Note{t.Why}
		case out.main == nil || t.Why.Code != out.main[0].Code:
			out.notes[i] = []table.Note{t.Why}
		}
	}
	return out, nil
}

// replaceInterval gives the estimate the term's error, test and interval.
func replaceInterval(e *estimate.Estimate, t *panel.FewTerm, level float64) {
	band := e.CI
	half := (band.Hi - band.Lo) / 2
	c := half / e.SE
	value := e.Value
	*e = t.Estimate
	e.Value = value
	if band.Method != "uniform-band" || (t.Chosen != panel.FewCR2 && t.Chosen != panel.FewCR3) || !(c > 0) {
		return
	}
	q := max(num.StudentQuantile(1-num.NormalTail(c), e.Test.DF), num.StudentQuantile(level, e.Test.DF))
	e.CI = estimate.Interval{Lo: value - float64(q*e.SE), Hi: value + float64(q*e.SE), Level: level, Method: band.Method}
}

// refusedInterval reports whether an estimate was left without an interval.
func refusedInterval(e estimate.Estimate) bool { return math.IsNaN(e.SE) && e.CI.Method == "none" }

// panelSizes is the size of each unit in its first period.
func (s *state) panelSizes(d *DID) (map[string]float64, error) {
	t := s.data[d.Data].table
	unit, _, err := t.Text(d.Unit)
	if err != nil {
		return nil, err
	}
	times, err := t.Integer(d.Time)
	if err != nil {
		return nil, err
	}
	v, err := t.Float(d.Size)
	if err != nil {
		return nil, err
	}
	out, first := map[string]float64{}, map[string]int64{}
	for i, u := range unit {
		if !v.Has(i) {
			continue
		}
		if p, seen := first[u]; !seen || times.Values[i] < p {
			first[u], out[u] = times.Values[i], v.Values[i]
		}
	}
	return out, nil
}

// addNew adds the notes whose codes are not there yet.
func addNew(notes, more []table.Note) []table.Note {
	for _, n := range more {
		if !slices.ContainsFunc(notes, func(o table.Note) bool { return o.Code == n.Code }) {
			notes = append(notes, n)
		}
	}
	return notes
}

// recordNotes are the caveats of a number: its own, then the analysis's. Where the number
// says itself how its interval came about, the analysis does not.
func recordNotes(n *found, r *analysisResult) []table.Note {
	inference := func(x table.Note) bool { return strings.HasPrefix(x.Code, "inference-") }
	out := slices.Clone(n.notes)
	for _, x := range r.notes {
		if !inference(x) || !slices.ContainsFunc(n.notes, inference) {
			out = append(out, x)
		}
	}
	return out
}
