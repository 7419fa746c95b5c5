package study

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/study/release"
	"utfall/table"
)

// followUpRun is the scores of a cohort before and at visits; rows are those with a score before and every covariate.
type followUpRun struct {
	s      *state
	q      *FollowUp
	b      *built
	rows   []int
	scores *progress.VisitScores
	notes  []table.Note
}

func (s *state) newFollowUpRun(q *FollowUp) (*followUpRun, error) {
	t := &followUpRun{s: s, q: q, b: s.cohorts[q.Cohort]}
	before, after, err := t.columns()
	if q.Data != "" {
		before, after, err = t.questionnaires()
	}
	if err != nil {
		return nil, err
	}
	var known []table.Column
	for _, name := range q.Covariates {
		c, err := t.b.table.Column(name)
		if err != nil {
			return nil, err
		}
		known = append(known, c)
	}
	// A set that loses a member stays: the model takes the score before and the covariates into account, and those who answered at the start are the
	// people of the third headline, too.
	var rows []int
	gone := 0
	for i := range before {
		has := !math.IsNaN(before[i])
		for _, c := range known {
			has = has && c.Has(i)
		}
		switch {
		case t.b.weight != nil && t.b.weight[i] == 0:
		case has:
			rows = append(rows, i)
		default:
			gone++
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: follow_up: nobody of cohort %s has a score before and every covariate", ErrInput, q.Cohort)
	}
	if gone > 0 {
		t.notes = append(t.notes, table.Note{Code: "no-score-before", Args: map[string]any{"rows": gone},
			Text: fmt.Sprintf("%d rows are left out because they have no score before or lack a covariate.", gone)})
	}
	alike, err := oneLevel(t.b.table, rows, q.Covariates)
	if err != nil {
		return nil, err
	}
	t.notes = append(t.notes, alike...)
	f, err := s.frameOf(t.b, &Effect{Covariates: q.Covariates}, rows, pickFloat(before, rows), t.b.weight)
	if err != nil {
		return nil, err
	}
	t.rows = rows
	t.scores = &progress.VisitScores{Visits: q.visits(), XNames: append([]string{"before"}, f.XNames...)}
	t.scores.Unit, t.scores.Treated, t.scores.Weight, t.scores.Level, t.scores.Cluster = f.Unit, f.Treated, f.Weight, f.Level, f.Cluster
	if !unevenly(f.Weight.Values) {
		t.scores.Weight = estimate.Weights{}
	}
	if f.Cluster == nil && f.Set != nil {
		t.scores.Cluster = f.Set
	}
	n := len(rows)
	t.scores.X, t.scores.After = mat.NewDense(n, 1+len(f.XNames), nil), mat.NewDense(n, len(t.scores.Visits), nil)
	for k, i := range rows {
		t.scores.X.Set(k, 0, before[i])
		for j := range f.XNames {
			t.scores.X.Set(k, 1+j, f.X.At(k, j))
		}
		for v := range t.scores.Visits {
			t.scores.After.Set(k, v, after[v][i])
		}
	}
	return t, nil
}

// columns reads the scores from the cohort's table.
func (t *followUpRun) columns() (before []float64, after [][]float64, err error) {
	if t.q.Data != "" {
		return nil, nil, nil
	}
	read := func(name string) ([]float64, error) {
		c, err := t.b.table.Float(name)
		if err != nil {
			return nil, err
		}
		out := make([]float64, len(c.Values))
		for i, v := range c.Values {
			if out[i] = v; !c.Has(i) {
				out[i] = math.NaN()
			}
		}
		return out, nil
	}
	if before, err = read(t.q.Before); err != nil {
		return nil, nil, err
	}
	for _, name := range t.q.Columns {
		v, err := read(name)
		if err != nil {
			return nil, nil, err
		}
		after = append(after, v)
	}
	return before, after, nil
}

// questionnaires makes the scores: the mean of the items that are answered, at least half of them, nearest to the start and to each visit.
func (t *followUpRun) questionnaires() (before []float64, after [][]float64, err error) {
	n := t.b.table.Rows()
	empty := func() []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.NaN()
		}
		return out
	}
	before = empty()
	for _, month := range t.q.At {
		w, err := t.s.questionnaires(t.b, &Assessments{Data: t.q.Data, Rater: t.q.Rater, Items: t.q.Items, After: month, Window: t.q.Window})
		if err != nil {
			return nil, nil, err
		}
		later := empty()
		for k, i := range w.unit {
			before[i], later[i] = meanOfItems(w.before.RawRowView(k)), meanOfItems(w.after.RawRowView(k))
		}
		after = append(after, later)
		if month == t.q.At[len(t.q.At)-1] {
			t.notes = append(t.notes, w.notes...)
		}
	}
	return before, after, nil
}

// meanOfItems is the mean of the answers where at least half are there.
func meanOfItems(items []float64) float64 {
	sum, n := 0.0, 0
	for _, v := range items {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	if 2*n < len(items) || n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

// followUp estimates the effect at each visit, the last first, and what is left of it.
func (s *state) followUp(a *Analysis) (analysisResult, error) {
	q := a.FollowUp
	r := analysisResult{method: "follow_up", kind: "association"}
	t, err := s.newFollowUpRun(q)
	if err != nil {
		return r, err
	}
	if t.b.designed() {
		r.kind = "effect"
	}
	r.notes = append(append(r.notes, t.b.notes...), t.notes...)
	res, err := t.fit(s.ctx)
	if err != nil {
		return r, err
	}
	r.notes = append(r.notes, res.Notes...)
	lost, ok := res.Details["from_event"].(map[string]map[string]int)
	lines, also := res.Details["tipping"].(map[string]progress.ShiftLine)
	if !ok || !also {
		return r, fmt.Errorf("follow_up: the missing scores are not counted")
	}
	for k := len(t.scores.Visits) - 1; k >= 0; k-- {
		t.visit(&r, res, t.scores.Visits[k], lost)
	}
	visit := t.scores.Visits[len(t.scores.Visits)-1]
	t.curve(&r, lines[visit], visit, lost)
	return r, nil
}

func (t *followUpRun) fit(ctx context.Context) (*estimate.Result, error) {
	e := progress.ReferenceBased{Strategies: []progress.Strategy{}, MIC: t.q.MIC, ByArm: t.q.Covariance == "by-arm", Repeated: t.q.Errors == "jackknife", HoldErrors: t.q.Tipping == "held", Workers: t.s.o.Workers}
	for _, name := range t.q.Strategies {
		e.Strategies = append(e.Strategies, progress.Strategy(name))
	}
	return e.Fit(ctx, t.scores)
}

// basis is who a number is about. A number that shifts or replaces what is missing differs from that at random by those who are
// lost: they are the threshold or more, in each arm that it touches.
func (t *followUpRun) basis(lost map[string]map[string]int, visit string, treated, control bool) release.Basis {
	n := arms(t.scores.Treated)
	b := release.Basis{Treated: n.Treated, Control: n.Control, Cohort: arms(t.b.treated), DF: math.Inf(1)}
	if !treated {
		return b
	}
	b.Events = &release.Arms{Treated: n.Treated / 2, Control: n.Control / 2}
	if m := lost["1"][visit]; m > 0 {
		b.Events.Treated = m
	}
	if m := lost["0"][visit]; m > 0 && control {
		b.Events.Control = m
	}
	return b
}

// visit takes over the numbers of a visit, and how many have a score.
func (t *followUpRun) visit(r *analysisResult, res *estimate.Result, visit string, lost map[string]map[string]int) {
	prefix := "visit=" + visit
	for _, e := range res.Estimates {
		parts := termParts(e.Term)
		if parts["visit"] != visit {
			continue
		}
		switch strategy := parts["strategy"]; {
		case strategy != "":
			shifts, both := strategy != string(progress.MissingAtRandom), strategy == string(progress.LastMean)
			if shifts && lost["1"][visit] == 0 && !(both && lost["0"][visit] > 0) {
				continue // nobody whom the strategy is about: the number at random once more
			}
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: t.basis(lost, visit, shifts, both)})
		case e.Measure == progress.ImportantChanges && !math.IsNaN(e.Value):
			n := bare(e.Term, e.Measure, e.Value)
			n.kind, n.basis = "check", t.basis(lost, visit, true, false)
			r.numbers = append(r.numbers, n)
		}
	}
	place := 0
	for k, name := range t.scores.Visits {
		if name == visit {
			place = k
		}
	}
	all, seen := arms(t.scores.Treated), release.Arms{}
	for k, treated := range t.scores.Treated {
		switch {
		case math.IsNaN(t.scores.After.At(k, place)):
		case treated:
			seen.Treated++
		default:
			seen.Control++
		}
	}
	for _, g := range []struct {
		name    string
		seen, n int
	}{{"treated", seen.Treated, all.Treated}, {"control", seen.Control, all.Control}} {
		n := bare(prefix+",group="+g.name, responseShare, share(g.seen, g.n))
		n.basis = release.Basis{Single: true, Treated: g.n, Events: &release.Arms{Treated: g.seen}, DF: math.Inf(1)}
		r.numbers = append(r.numbers, n)
	}
}

// curve is what is left at the last visit as those lost of the participants fare worse, in important changes.
func (t *followUpRun) curve(r *analysisResult, line progress.ShiftLine, visit string, lost map[string]map[string]int) {
	if lost["1"][visit] == 0 {
		return
	}
	c := line.Curve(t.s.spec.Level, t.q.MIC)
	sign := -1.0
	if (line.Value < 0) != (line.Slope < 0) {
		sign = 1
	}
	for k, d := range c.Delta {
		shift := 0.0 // and not −0
		if d > 0 {
			shift = sign * d
		}
		e := estimate.Estimate{Term: "visit=" + visit + ",delta=" + survive.FormatTime(shift), Measure: estimate.MeanDifference, Value: c.Value[k]}
		_, e.SE = line.At(shift * t.q.MIC)
		e.CI = estimate.Interval{Lo: c.Lo[k], Hi: c.Hi[k], Level: t.s.spec.Level, Method: "normal"}
		_, e.Test = noInterval()
		r.numbers = append(r.numbers, found{term: e.Term, e: e, kind: "check", basis: t.basis(lost, visit, true, false)})
	}
}
