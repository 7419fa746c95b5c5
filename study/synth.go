package study

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/study/release"
	"utfall/table"
)

// synthData is the panel of a synthetic control.
type synthData struct {
	frame   *panel.Frame
	treated []bool // of each row: treated in its period
	rows    *table.Table
	notes   []table.Note
}

// synthResult is what the figure needs: whether the series are those of the treated and
// the mixture, and when treatment started.
type synthResult struct {
	path  bool
	start int
}

// synthFrame resolves the columns. A row is treated from the first period of its unit on.
func (s *state) synthFrame(q *Synth) (*synthData, error) {
	p := q.columns()
	t, notes, err := s.panelRows(p)
	if err != nil {
		return nil, err
	}
	f, err := s.panelColumns(t, p, q.Cohort)
	if err != nil {
		return nil, err
	}
	d := &synthData{frame: f, rows: t, notes: notes, treated: make([]bool, len(f.Y))}
	for i, g := range f.Cohort {
		d.treated[i] = g != 0 && f.Time[i] >= g
	}
	if err := oneStart(f); err != nil {
		return nil, err
	}
	f.Cohort = nil // the methods read the marks
	return d, nil
}

// oneStart tests that a unit has one first period in all its rows.
func oneStart(f *panel.Frame) error {
	first := map[string]int{}
	for i, u := range f.Unit {
		if was, ok := first[u]; ok && was != f.Cohort[i] {
			return fmt.Errorf("%w: %w: a unit has one first treated period, in all its rows", ErrInput, panel.ErrCohortChanges)
		}
		first[u] = f.Cohort[i]
	}
	return nil
}

// fit runs the method.
func (q *Synth) fit(s *state, a *Analysis, d *synthData) (*estimate.Result, error) {
	seed := s.seedOf("synth/" + a.Name)
	if !q.drawn() && q.Method != panel.MatrixCompletion { // whose folds are drawn
		seed = 0
	}
	if q.factorModel() {
		return panel.FactorModel{
			Method: q.Method, Errors: q.Inference, Replicates: q.Replicates, Seed: seed, Lambda: q.Lambda, Factors: q.Factors, Workers: s.o.Workers,
		}.Fit(s.ctx, d.frame, d.treated)
	}
	m := panel.Synthetic{Method: q.Method, Errors: q.Inference, Replicates: q.Replicates, Seed: seed, Lambda: q.Lambda, PredictorWeights: q.PredictorWeights, Workers: s.o.Workers}
	for _, p := range q.Predictors {
		name, from, to, _ := predictorWindow(p)
		v, err := d.rows.Float(name)
		if err != nil {
			return nil, err
		}
		x := panel.Predictor{Name: p, Values: make([]float64, len(v.Values)), From: from, To: to}
		for i := range x.Values {
			x.Values[i] = math.NaN()
			if v.Has(i) {
				x.Values[i] = v.Values[i]
			}
		}
		m.Predictors = append(m.Predictors, x)
	}
	return m.Fit(s.ctx, d.frame, d.treated)
}

// synth estimates the effect on treated places against their mixtures.
func (s *state) synth(a *Analysis, q *Synth) (analysisResult, error) {
	r := analysisResult{method: "synth." + q.Method, kind: "effect"}
	d, err := s.synthFrame(q)
	if err != nil {
		return r, err
	}
	res, err := q.fit(s, a, d)
	if err != nil {
		var row *estimate.RowError
		if errors.As(err, &row) {
			err = row.Err // rows were left out: its number is not that of the file
		}
		return r, fmt.Errorf("data %s: %w", q.Data, err)
	}
	r.notes = append(d.notes, res.Notes...)
	x := &synthNumbers{s: s, q: q, res: res, published: s.spec.Data[q.Data].Published}
	x.named = x.published && s.mayName(q.Data, q.Unit, d.frame.Unit)
	x.whole = x.resting(s.placesBasis(q.Data, res.N.Treated, res.N.Units-res.N.Treated), res.Details)
	cohorts, staggered := res.Details["cohorts"].([]map[string]any)
	for _, c := range cohorts { // the whole and the other cohorts would give one back
		x.whole = x.resting(x.whole, c)
	}
	if err := x.effects(); err != nil {
		return r, err
	}
	out := &synthResult{}
	switch {
	case q.factorModel():
	case staggered:
		for _, c := range cohorts {
			x.mixture(fmt.Sprintf("group=%d,", c["group"]), fmt.Sprintf("group=%d", c["group"]), c)
		}
	default:
		out.path = true
		x.mixture("", panel.Overall, res.Details)
		for _, p := range res.Details["path"].([]panel.PathPoint) {
			x.add(treatedSeries+strconv.Itoa(p.Time), estimate.Mean, p.Treated, x.whole)
			x.add(syntheticSerie+strconv.Itoa(p.Time), estimate.Mean, p.Synthetic, x.whole)
		}
		for i, t := range d.frame.Time {
			if d.treated[i] && (out.start == 0 || t < out.start) {
				out.start = t
			}
		}
	}
	if path, ok := res.Details["path"].([]map[string]any); ok {
		for _, p := range path {
			x.add(fmt.Sprintf("event=%d", p["event"]), gapAfterStart, p["gap"].(float64), s.placesBasis(q.Data, p["units"].(int), x.whole.Control))
		}
	}
	if x.unpublished {
		r.notes = append(r.notes, table.Note{Code: "synth-unpublished", Text: "The weights are not shown: the data are not published statistics, and a weight tells of a single one. Effects and series are shown only where the mixture is of enough of them."})
	}
	if x.unnamed {
		r.notes = append(r.notes, table.Note{Code: "synth-unnamed", Text: "The weights of the places are not shown: their names would be printed, and the study file does not declare them."})
	}
	r.numbers, r.own = x.out, out
	return r, nil
}

// synthNumbers gathers the numbers of a synthetic control.
type synthNumbers struct {
	s              *state
	q              *Synth
	res            *estimate.Result
	whole          release.Basis
	published      bool
	named, unnamed bool // whether places may be named, and whether that left some out
	unpublished    bool // whether weights were left out because the data are not published
	out            []found
}

func (x *synthNumbers) add(term string, m estimate.Measure, value float64, on release.Basis) {
	e := estimate.Estimate{Term: term, Measure: m, Value: value, SE: math.NaN()}
	e.CI, e.Test = noInterval()
	n := found{term: term, e: e, basis: on}
	if m != placeboP {
		n.kind = "description"
	}
	x.out = append(x.out, n)
}

// effects are the numbers of the method, the overall effect first.
func (x *synthNumbers) effects() error {
	bases := map[string]release.Basis{}
	if rows, ok := x.res.Details["cohorts"].([]map[string]any); ok {
		fewest := x.res.N.Treated // of a cohort: one that is withheld is what the whole less the others is
		for _, c := range rows {
			fewest = min(fewest, c["treated"].(int))
		}
		for _, c := range rows {
			n := c["treated"].(int)
			if !x.published && fewest < x.s.policy.Threshold() {
				n = fewest
			}
			bases[fmt.Sprintf("group=%d", c["group"])] = x.resting(x.s.placesBasis(x.q.Data, n, x.res.N.Units-x.res.N.Treated), c)
		}
	}
	if path, ok := x.res.Details["path"].([]map[string]any); ok {
		for _, p := range path {
			bases[fmt.Sprintf("event=%d", p["event"])] = x.s.placesBasis(x.q.Data, p["units"].(int), x.whole.Control)
		}
	}
	k := len(x.res.Estimates) - 1 // overall is the last
	for i := range x.res.Estimates {
		e := x.res.Estimates[(i+k)%(k+1)]
		on := x.whole
		if b, ok := bases[e.Term]; ok {
			on = b
		}
		x.out = append(x.out, found{term: e.Term, e: e, basis: on})
	}
	if x.out[0].term != panel.Overall {
		return fmt.Errorf("the method %s gave no overall effect", x.q.Method)
	}
	if p, ok := x.res.Details[panel.PlaceboErrors].(map[string]any); ok {
		if v, ok := p["p_value"].(float64); ok {
			x.add(panel.Overall, placeboP, v, x.whole)
		}
	}
	return nil
}

// resting lowers the controls under a number to the effective size 1/Σw² of the mixture
// where that is too small: what is a mixture of few in all but name gives their values
// away, however many have a weight. Nothing changes where the data are published.
func (x *synthNumbers) resting(on release.Basis, details map[string]any) release.Basis {
	weights, ok := details["unit_weights"].(map[string]float64)
	if !ok || x.published {
		return on
	}
	squares := 0.0
	for _, name := range sortedKeys(weights) {
		squares += float64(weights[name] * weights[name])
	}
	if size := (1 + 1e-9) / squares; size < float64(x.s.policy.Threshold()) {
		on.Control = min(on.Control, int(size))
	}
	return on
}

// mixture adds how close the mixture was before the start and what it is made of.
func (x *synthNumbers) mixture(prefix, term string, details map[string]any) {
	on := x.whole
	if n, ok := details["treated"].(int); ok {
		on = x.resting(x.s.placesBasis(x.q.Data, n, x.res.N.Units-x.res.N.Treated), details)
	}
	x.add(term, gapBefore, details["pre_rmse"].(float64), on)
	if !x.published {
		x.unpublished = true
		return
	}
	weights := details["unit_weights"].(map[string]float64)
	for _, name := range sortedKeys(weights) {
		switch {
		case !(math.Abs(weights[name]) >= leastWeight):
		case !x.named:
			x.unnamed = true
		default:
			x.add(prefix+"unit="+name, mixtureWeight, weights[name], on)
		}
	}
	if x.q.Method != panel.SyntheticDID { // others weigh the periods before alike, or not at all
		return
	}
	times := details["time_weights"].(map[string]float64)
	for _, t := range sortedKeys(times) {
		if math.Abs(times[t]) >= leastWeight {
			x.add(prefix+"time="+t, mixtureWeight, times[t], on)
		}
	}
}

// placesBasis is what a number about places rests on.
func (s *state) placesBasis(data string, treated, control int) release.Basis {
	return release.Basis{Treated: treated, Control: control, DF: math.Inf(1), Published: s.spec.Data[data].Published}
}

// isCode reports whether a name is a code as municipalities have.
func isCode(name string) bool { return len(name) <= 4 && strings.Trim(name, "0123456789") == "" }

// mayName reports whether the places of published data may be printed: they are codes of at
// most four digits, as municipalities have, or levels that the study file declares. Of other
// data none may: a short number may be a person's.
func (s *state) mayName(data, column string, names []string) bool {
	for _, n := range names {
		if !isCode(n) {
			t := s.data[data].table
			c, err := t.Column(column)
			return err == nil && (c.Kind == table.CategoryKind || c.Kind == table.TextKind) && s.namedLevels(&Describe{Data: data}, t, column) == nil
		}
	}
	return true
}
