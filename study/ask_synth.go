package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/study/report"
)

// Synth compares treated places with a mixture of places that are never treated.
type Synth struct {
	Label            Text            `yaml:"label,omitempty"`
	Groups           map[string]Text `yaml:"groups,omitempty"` // what the treated and control units are called
	Data             string          `yaml:"data,omitempty"`
	Unit             string          `yaml:"unit,omitempty"`
	Time             string          `yaml:"time,omitempty"`
	Cohort           string          `yaml:"cohort,omitempty"` // first period of treatment; 0 or missing = never
	Outcome          string          `yaml:"outcome,omitempty"`
	Where            string          `yaml:"where,omitempty"`
	Method           string          `yaml:"method,omitempty"`            // sc, sdid, did, augmented, mc or ife
	Inference        string          `yaml:"inference,omitempty"`         // placebo, jackknife, bootstrap, conformal or none
	Replicates       int             `yaml:"replicates,omitempty"`        // of placebo and bootstrap
	Predictors       []string        `yaml:"predictors,omitempty"`        // column, or column:from-to
	PredictorWeights []float64       `yaml:"predictor_weights,omitempty"` // nil = searched
	Lambda           *float64        `yaml:"lambda,omitempty"`            // nil = searched
	Factors          *int            `yaml:"factors,omitempty"`           // nil = searched
}

var (
	_ inPanel   = (*Synth)(nil)
	_ namer     = (*Synth)(nil)
	_ drawer    = (*Synth)(nil)
	_ unplanned = (*Synth)(nil)
)

// Measures of the numbers beside the effect.
const (
	placeboP       estimate.Measure = "placebo-p"
	gapBefore      estimate.Measure = "gap-before"
	mixtureWeight  estimate.Measure = "weight"
	gapAfterStart  estimate.Measure = "gap"
	shownWeight                     = 0.01 // smaller weights are in results.jsonl alone
	leastWeight                     = 1e-6 // smaller ones are 0 but for the solver's last steps
	synthPlacebos                   = 200
	treatedSeries                   = "series=treated,time="
	syntheticSerie                  = "series=synthetic,time="
)

func (q *Synth) drawn() bool {
	return q.Inference == panel.PlaceboErrors || q.Inference == panel.BootstrapErrors
}

func (q *Synth) factorModel() bool {
	return q.Method == panel.MatrixCompletion || q.Method == panel.InteractiveEffects
}

func (q *Synth) defaults(*Spec, *Analysis) {
	q.Method, q.Inference = or(q.Method, panel.SyntheticControl), or(q.Inference, panel.PlaceboErrors)
	if q.drawn() && q.Replicates == 0 {
		q.Replicates = synthPlacebos
	}
}

// columns are those that every question about a panel has.
func (q *Synth) columns() *PanelColumns {
	return &PanelColumns{Label: q.Label, Groups: q.Groups, Data: q.Data, Unit: q.Unit, Time: q.Time, Outcome: q.Outcome, Where: q.Where}
}

func (q *Synth) check(s *Spec, c *checker, path []any, _ *Analysis) {
	q.columns().check(s, c, path, "synth", map[string]string{"cohort": q.Cohort})
	c.oneOf(at(path, "method"), "method", q.Method, panel.SyntheticControl, panel.SyntheticDID, panel.DifferenceInMeans, panel.AugmentedSynthetic, panel.MatrixCompletion, panel.InteractiveEffects)
	c.oneOf(at(path, "inference"), "inference", q.Inference, panel.PlaceboErrors, panel.JackknifeErrors, panel.BootstrapErrors, panel.ConformalErrors, panel.NoErrors)
	switch {
	case q.Replicates != 0 && !q.drawn():
		c.add(at(path, "replicates"), "synth: replicates are for inference: placebo and bootstrap")
	case q.drawn() && (q.Replicates < 19 || q.Replicates > 1e6):
		c.add(at(path, "replicates"), "synth: replicates must be between 19 and 1,000,000")
	}
	if q.Inference == panel.JackknifeErrors && q.Method == panel.AugmentedSynthetic {
		c.add(at(path, "inference"), "synth: the jackknife holds weights fixed, which has no meaning with method augmented; use placebo or bootstrap")
	}
	if q.Inference == panel.ConformalErrors && (q.factorModel() || q.Method == panel.AugmentedSynthetic || len(q.Predictors) > 0) {
		c.add(at(path, "inference"), "synth: conformal inference is for sc without predictors, sdid and did: it finds the weights from all periods")
	}
	switch {
	case q.Lambda == nil:
	case q.Method != panel.AugmentedSynthetic && q.Method != panel.MatrixCompletion:
		c.add(at(path, "lambda"), "synth: lambda is for the methods augmented and mc")
	case !(*q.Lambda > 0) || math.IsInf(*q.Lambda, 1):
		c.add(at(path, "lambda"), "synth: lambda must be a number above 0")
	}
	switch {
	case q.Factors == nil:
	case q.Method != panel.InteractiveEffects:
		c.add(at(path, "factors"), "synth: factors are for the method ife")
	case *q.Factors < 0:
		c.add(at(path, "factors"), "synth: factors must be a whole number of at least 0")
	}
	q.checkPredictors(s, c, path)
}

func (q *Synth) checkPredictors(s *Spec, c *checker, path []any) {
	if len(q.Predictors) > 0 && q.Method != panel.SyntheticControl {
		c.add(at(path, "predictors"), "synth: predictors are for the method sc")
	}
	for i, p := range q.Predictors {
		name, _, _, ok := predictorWindow(p)
		switch {
		case !ok:
			c.add(at(path, "predictors", i), "synth: a predictor is written column or column:from-to, for example income:1998-2003")
		case s.Data[q.Data].Path != "":
			s.column(c, at(path, "predictors", i), q.Data, name)
		}
		if slices.Contains(q.Predictors[:i], p) {
			c.add(at(path, "predictors", i), "synth: predictors name %q twice", p)
		}
	}
	if q.PredictorWeights == nil {
		return
	}
	sum := 0.0
	for i, v := range q.PredictorWeights {
		if !(v >= 0) || math.IsInf(v, 1) {
			c.add(at(path, "predictor_weights", i), "synth: a predictor's weight is a number of at least 0")
		}
		sum += v
	}
	if len(q.PredictorWeights) != len(q.Predictors) || sum == 0 {
		c.add(at(path, "predictor_weights"), "synth: give one weight for each predictor, not all of them 0")
	}
}

// predictorWindow reads column:from-to; without a window from and to are nil.
func predictorWindow(p string) (name string, from, to *int, ok bool) {
	cut := strings.LastIndex(p, ":")
	if cut < 0 {
		return p, nil, nil, p != ""
	}
	first, last, two := strings.Cut(p[cut+1:], "-")
	if !two {
		last = first
	}
	a, err := strconv.Atoi(first)
	b, err2 := strconv.Atoi(last)
	return p[:cut], &a, &b, cut > 0 && err == nil && err2 == nil && a <= b
}

func (q *Synth) rests() basis {
	b := q.columns().rests("synth", q.Cohort)
	for _, p := range q.Predictors {
		// The outcome before the start may be a predictor; it stays closed all the same.
		if name, _, _, ok := predictorWindow(p); ok && name != q.Outcome {
			b.layout = append(b.layout, name)
		}
	}
	return b
}

func (q *Synth) dry(s *state, _ *Analysis) error {
	_, err := s.synthFrame(q)
	return err
}

func (q *Synth) estimate(s *state, a *Analysis) (analysisResult, error) {
	r, err := s.synth(a, q)
	r.mixed = byCohort(r.numbers)
	return r, err
}

func (q *Synth) words(*state, *analysisResult) (estimand, errors, also string) {
	return "synth", "synth-" + q.Inference, ""
}

func (q *Synth) plan(a *Analysis) {
	bare := *q
	bare.Label, bare.Groups = nil, nil
	a.Synth = &bare
}

func (q *Synth) comparison(s *state) report.Comparison {
	return q.columns().comparison(s, "synth", q.rests().compared)
}

func (q *Synth) arm(arm string, l lang.Lang) string { return q.columns().arm(arm, "synth", l) }

func (q *Synth) window() []int { return nil }

func (q *Synth) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	text := ""
	switch n.e.Measure {
	case placeboP:
		return s.lang.Text("study.synth-placebo")
	case gapBefore:
		text = s.lang.Text("study.synth-gap-before")
	case mixtureWeight:
		text = s.lang.Text("study.synth-period-weight", "t", parts["time"])
		if parts["unit"] != "" {
			text = s.lang.Text("study.synth-weight", "place", s.placeLabel(q.Unit, parts["unit"]))
		}
	default:
		return ""
	}
	if g := parts["group"]; g != "" {
		var year int
		fmt.Sscan(g, &year)
		text += ", " + strings.ToLower(s.lang.Text("study.term-group", "g", year))
	}
	return text
}

func (q *Synth) unit(_ *Analysis, n found) report.Unit {
	switch n.e.Measure {
	case placeboP:
		return report.PValue
	case mixtureWeight:
		return report.Plain
	}
	return ""
}

// shows leaves the series to the figure and weights near 0 to results.jsonl.
func (q *Synth) shows(_ *Analysis, n found) bool {
	switch n.e.Measure {
	case estimate.Mean, gapAfterStart:
		return false
	case mixtureWeight:
		return math.Abs(n.e.Value) >= shownWeight
	}
	return true
}

func (q *Synth) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "synth." + q.Method, "overall", estimate.MeanDifference
}
