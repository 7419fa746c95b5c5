package study

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/missing"
	"utfall/estimate/progress"
	"utfall/estimate/survive"
	"utfall/table"
)

// standIn weighs those who answered again so that they stand for all who answered at the start: 1/P(answered again), logistic
// in what is known of both. Without that a comparison group whose members leave the panel when they start themselves would be
// one of those who never start, and the answer another than that of the other headlines. It returns the rows of w and their weights,
// those of the design times those of the answers.
func (s *state) standIn(w *answers, u *progressUnits, p *Headlines) (*standIns, error) {
	q := p.Assessments
	started, err := s.startedBy(w, u, q.After+q.Window)
	if err != nil {
		return nil, err
	}
	base := make([]float64, len(w.unit))
	for k, i := range w.unit {
		if base[k] = 1; u.b.weight != nil {
			base[k] = u.b.weight[i]
		}
	}
	x := &standIns{}
	lost := 0
	for k, again := range w.again {
		switch {
		case !again:
			lost++
		case base[k] > 0:
			x.rows = append(x.rows, k)
		}
	}
	if x.weight = pickFloat(base, x.rows); lost == 0 {
		return x, nil
	}
	f, err := s.answeredAgain(w, u, p, started, base)
	if err != nil {
		return nil, err
	}
	if x.fit, err = (missing.Consent{Workers: s.o.Workers}).Fit(s.ctx, f); err != nil {
		return nil, fmt.Errorf("who answered again: %w", err)
	}
	largest := 0.0
	for at, k := range x.rows {
		x.weight[at] *= x.fit.Weight[k]
		largest = max(largest, x.fit.Weight[k])
	}
	x.notes = append(x.notes, table.Note{Code: "answers-weighted", Text: "Those who answered both times stand in for those who answered at the start only and are like them in group, answers at the start, step on the ladder and whether a comparison person has started since.",
		Args: map[string]any{"persons": lost, "largest": math.Round(10*largest) / 10}})
	return x, nil
}

// standIns are the rows of those who answered both times and the weights by which they stand for all who answered at the start.
type standIns struct {
	rows   []int
	weight []float64
	fit    *missing.ConsentFit // nil where everybody answered again
	notes  []table.Note
}

// carry gives an influence function (rows of x × estimates) the part of the model of the weights, on those who answered at
// the start (rows of w), and its covariance.
func (x *standIns) carry(w *answers, u *progressUnits, inf *mat.Dense) (*mat.Dense, *mat.SymDense, error) {
	_, q := inf.Dims()
	all := mat.NewDense(len(w.unit), q, nil)
	for at, k := range x.rows {
		all.SetRow(k, inf.RawRowView(at))
	}
	if x.fit != nil {
		var err error
		if all, err = x.fit.Adjust(all); err != nil {
			return nil, nil, err
		}
	}
	cov, err := w.covariance(u, all)
	return all, cov, err
}

// covariance is that of an influence function on the rows of w, by cluster where the design has any.
func (w *answers) covariance(u *progressUnits, inf *mat.Dense) (*mat.SymDense, error) {
	var cluster []int
	if u.b.cluster != nil {
		cluster = dense(u.b.cluster, w.unit)
	}
	order := make([]int32, len(w.unit))
	for k := range order {
		order[k] = int32(k)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(u.id[w.unit[a]], u.id[w.unit[b]]) })
	cov, _, err := survive.Covariance(inf, order, cluster, 1)
	return cov, err
}

// ofUnits puts a column of an influence function on the rows of w on the units of the cohort.
func (w *answers) ofUnits(u *progressUnits, inf *mat.Dense, column int) []float64 {
	out := make([]float64, len(u.id))
	for k, i := range w.unit {
		out[i] = inf.At(k, column)
	}
	return out
}

// answeredAgain is the frame of who answered again: taking part, the mean of the answers at the start in each group, the step in the month of the
// later wave, and whether a comparison person had started.
func (s *state) answeredAgain(w *answers, u *progressUnits, p *Headlines, started []bool, base []float64) (*estimate.Frame, error) {
	steps, err := s.ladders[p.Ladder].of(u.b.paths.States)
	if err != nil {
		return nil, err
	}
	n := len(w.unit)
	names := []string{"participant", "started since", "answers at the start", "answers at the start of participants", "step", "not observed"}
	var step, start average
	for k, i := range w.unit {
		if c := u.b.paths.At(i, p.Assessments.After); c >= 0 {
			step.add(float64(steps[u.b.paths.States[c]]))
		}
		start.add(w.mean(k))
	}
	columns := make([][]float64, len(names))
	for c := range columns {
		columns[c] = make([]float64, n)
	}
	f := &estimate.Frame{Level: s.spec.Level, Y: make([]float64, n), Weight: estimate.Weights{Kind: estimate.Sampling, Values: base}}
	for k, i := range w.unit {
		f.Unit = append(f.Unit, u.id[i])
		if w.again[k] {
			f.Y[k] = 1
		}
		columns[2][k] = w.mean(k) - start.value()
		if u.b.treated[i] {
			columns[0][k], columns[3][k] = 1, columns[2][k]
		} else if started[k] {
			columns[1][k] = 1
		}
		if c := u.b.paths.At(i, p.Assessments.After); c >= 0 {
			columns[4][k] = float64(steps[u.b.paths.States[c]])
		} else {
			columns[4][k], columns[5][k] = step.value(), 1
		}
	}
	var kept [][]float64
	for c, v := range columns {
		if slices.Min(v) < slices.Max(v) && (!zeroOne(v) || tellsAnswered(v, f.Y)) {
			kept, f.XNames = append(kept, v), append(f.XNames, names[c])
		}
	}
	f.X = mat.NewDense(n, len(kept), nil)
	for c, v := range kept {
		f.X.SetCol(c, v)
	}
	return f, nil
}

// mean is the mean of a unit's answers at the start, at least one of which there is.
func (w *answers) mean(k int) float64 {
	var a average
	for _, v := range w.before.RawRowView(k) {
		if !math.IsNaN(v) {
			a.add(v)
		}
	}
	return a.value()
}

// average is a mean in the making.
type average struct{ sum, n float64 }

func (a *average) add(v float64) { a.sum, a.n = a.sum+v, a.n+1 }

func (a *average) value() float64 { return a.sum / a.n }

// tellsAnswered reports whether enough of those with a mark answered again, and enough did not, to say how likely it was.
func tellsAnswered(mark, again []float64) bool {
	var n [2]int
	for k, v := range mark {
		if v == 1 {
			n[int(again[k])]++
		}
	}
	return min(n[0], n[1]) >= fewOnStep
}

// startedBy says which units of w had a participation of their own begin after their time zero and at most within months later.
func (s *state) startedBy(w *answers, u *progressUnits, within int) ([]bool, error) {
	out := make([]bool, len(w.unit))
	if u.b.spec.TimeZero == nil {
		return out, nil
	}
	t := s.register(u.b.spec).Participations
	person, has, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	start, err := t.Integer("start")
	if err != nil {
		return nil, err
	}
	of := map[string][]int{}
	for k, i := range w.unit {
		of[u.person[i]] = append(of[u.person[i]], k)
	}
	for row, name := range person {
		if has != nil && !has[row] || !start.Has(row) {
			continue
		}
		month := int(cohort.MonthOfDays(int32(start.Values[row])))
		for _, k := range of[name] {
			if since := month - u.zero[w.unit[k]]; since > 0 && since <= within {
				out[k] = true
			}
		}
	}
	return out, nil
}

// pick are the answers of some rows, with weights.
func (w *answers) pick(rows []int) *answers {
	items := w.before.RawMatrix().Cols
	out := &answers{before: missingAnswers(len(rows), items), after: missingAnswers(len(rows), items), notes: w.notes}
	for at, k := range rows {
		out.unit, out.again = append(out.unit, w.unit[k]), append(out.again, w.again[k])
		out.before.SetRow(at, w.before.RawRowView(k))
		out.after.SetRow(at, w.after.RawRowView(k))
	}
	return out
}

// weighted are the waves of both answers with weights and clusters, for estimates; tests of items do without.
func (w *answers) weighted(u *progressUnits, q *Assessments, level float64, weight []float64) *progress.Waves {
	out := w.waves(u, q, level)
	if slices.Min(weight) < slices.Max(weight) {
		out.Weight = estimate.Weights{Kind: estimate.Matching, Values: weight}
	}
	if u.b.cluster != nil {
		out.Cluster = dense(u.b.cluster, w.unit)
	}
	return out
}
