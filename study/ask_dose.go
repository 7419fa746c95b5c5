package study

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// Dose is how the effect of staggered entry varies with the size of the treatment: money per inhabitant, share of the target group reached.
type Dose struct {
	PanelColumns `yaml:",inline"`
	Cohort       string    `yaml:"cohort,omitempty"` // first period of treatment; 0 or missing = never
	Dose         string    `yaml:"dose,omitempty"`   // column: size of the treatment, one for each treated unit
	Control      string    `yaml:"control,omitempty"`
	Anticipation int       `yaml:"anticipation,omitempty"`
	At           []float64 `yaml:"at,omitempty"` // sizes that are shown; round numbers within the sizes there are if absent
	Degree       int       `yaml:"degree,omitempty"`
	Knots        int       `yaml:"knots,omitempty"`
}

var (
	_ question  = (*Dose)(nil)
	_ namer     = (*Dose)(nil)
	_ drawer    = (*Dose)(nil)
	_ unplanned = (*Dose)(nil)
	_ inPanel   = (*Dose)(nil)
)

func (q *Dose) defaults(*Spec, *Analysis) {
	q.Control = or(q.Control, panel.NotYetTreated)
	if q.Degree == 0 {
		q.Degree = 3
	}
}

func (q *Dose) check(s *Spec, c *checker, path []any, _ *Analysis) {
	q.PanelColumns.check(s, c, path, "dose", map[string]string{"cohort": q.Cohort, "dose": q.Dose})
	c.oneOf(at(path, "control"), "control", q.Control, panel.NeverTreated, panel.NotYetTreated)
	if q.Anticipation < 0 {
		c.add(at(path, "anticipation"), "dose: anticipation must be at least 0 periods")
	}
	for i, v := range q.At {
		if !(v > 0) || math.IsInf(v, 1) || slices.Contains(q.At[:i], v) {
			c.add(at(path, "at", i), "dose: a size that is shown is a number above 0, given once")
		}
	}
	if q.Degree < 1 || q.Degree > 5 {
		c.add(at(path, "degree"), "dose: degree must be from 1 to 5")
	}
	if q.Knots < 0 {
		c.add(at(path, "knots"), "dose: knots must be at least 0")
	}
}

func (q *Dose) rests() basis { return q.PanelColumns.rests("dose", q.Cohort, q.Dose) }

func (q *Dose) dry(s *state, _ *Analysis) error {
	_, _, _, err := s.doseFrame(q)
	return err
}

// doseFrame resolves the columns.
func (s *state) doseFrame(q *Dose) (*panel.Frame, []float64, []table.Note, error) {
	t, notes, err := s.panelRows(&q.PanelColumns, q.Dose)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := s.panelColumns(t, &q.PanelColumns, q.Cohort)
	if err != nil {
		return nil, nil, nil, err
	}
	d, err := t.Float(q.Dose)
	return f, d.Values, notes, err
}

func (q *Dose) estimate(s *state, _ *Analysis) (analysisResult, error) {
	r := analysisResult{method: "dose", kind: "effect"}
	f, doses, notes, err := s.doseFrame(q)
	if err != nil {
		return r, err
	}
	sizes := treatedDoses(f, doses)
	o := panel.Dose{Dose: doses, Control: q.Control, Anticipation: q.Anticipation, At: q.At, Degree: q.Degree, Knots: q.Knots}
	if o.At == nil {
		o.At = roundDoses(sizes, s.policy.Threshold())
	}
	res, err := o.Fit(s.ctx, f)
	if err != nil {
		return r, s.panelError(&q.PanelColumns, err, q.Dose)
	}
	r.notes = append(notes, res.Notes...)
	fewest := res.Details["fewest_compared"].(int)
	if fewest < fewComparison {
		r.notes = append(r.notes, fewToCompare())
	}
	for _, est := range res.Estimates {
		n := found{term: est.Term, e: est, basis: release.Basis{Treated: res.N.Treated, Control: fewest, DF: math.Inf(1), Published: s.spec.Data[q.Data].Published}}
		if v, ok := doseOf(est.Term); ok {
			below, _ := slices.BinarySearch(sizes, math.Nextafter(v, math.Inf(1)))
			above, _ := slices.BinarySearch(sizes, v)
			// All treated units are under the curve; where few lie on a side of the size, it rests on these.
			if side := min(below, len(sizes)-above); side < s.policy.Threshold() {
				n.basis.Treated = side
			}
		}
		r.numbers = append(r.numbers, n)
	}
	return r, nil
}

// treatedDoses are the sizes of the units that are treated within the panel, ascending.
func treatedDoses(f *panel.Frame, doses []float64) []float64 {
	first, last := slices.Min(f.Time), slices.Max(f.Time)
	of := map[string]float64{}
	for i, g := range f.Cohort {
		if g > first && g <= last && doses[i] > 0 {
			of[f.Unit[i]] = doses[i]
		}
	}
	out := make([]float64, 0, len(of))
	for _, v := range of {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// roundDoses are at most ten round numbers with k of the sizes on each side of them; the sizes themselves say nothing else.
func roundDoses(sizes []float64, k int) []float64 {
	out := []float64{}
	if len(sizes) < 2*k {
		return out
	}
	lo, hi := sizes[k-1], sizes[len(sizes)-k]
	if !(hi > lo) {
		return out
	}
	power := math.Floor(math.Log10((hi - lo) / 10))
	for ; ; power++ {
		for _, digit := range []float64{1, 2, 2.5, 5} {
			step := digit * math.Pow(10, power)
			from, to := math.Ceil(lo/step), math.Floor(hi/step)
			if to-from+1 > 10 {
				continue
			}
			for i := from; i <= to; i++ {
				text := strconv.FormatFloat(float64(i*step), 'g', 12, 64) // 3 · 0.1 is 0.3
				v, err := strconv.ParseFloat(text, 64)
				if err == nil {
					out = append(out, v)
				}
			}
			return out
		}
	}
}

// doseOf is the size that a term is about.
func doseOf(term string) (float64, bool) {
	key, text, _ := strings.Cut(term, "=")
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && (key == "dose" || key == "acrt")
}

func (q *Dose) words(*state, *analysisResult) (estimand, errors, also string) {
	return "dose", "influence", ""
}

func (q *Dose) label(s *state, _ *Analysis, n found) string {
	v, ok := doseOf(n.term)
	_, decimals, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), ".")
	size := s.lang.Number(v, len(decimals))
	switch {
	case ok && n.e.Measure == estimate.MeanDifference:
		return s.lang.Text("study.dose-at", "dose", s.label(q.Dose), "v", size)
	case ok:
		return s.lang.Text("study.dose-slope-at", "dose", s.label(q.Dose), "v", size)
	case n.e.Measure == estimate.MeanDifference:
		return s.lang.Text("study.dose-overall")
	}
	return s.lang.Text("study.dose-slope", "dose", s.label(q.Dose))
}

func (q *Dose) unit(*Analysis, found) report.Unit { return "" }

// shows leaves slopes at each size out: the figure's curve shows them.
func (q *Dose) shows(_ *Analysis, n found) bool { return !strings.HasPrefix(n.term, "acrt=") }

func (q *Dose) plan(a *Analysis) {
	bare := *q
	bare.PanelColumns = q.bare()
	a.Dose = &bare
}

func (q *Dose) arm(arm string, l lang.Lang) string { return q.PanelColumns.arm(arm, "dose", l) }

func (q *Dose) comparison(s *state) report.Comparison {
	return q.PanelColumns.comparison(s, "dose", q.rests().compared)
}

func (q *Dose) window() []int { return nil }

func (q *Dose) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"dose", s.doseFigure}}
}

// doseFigure is the curve of the effect over sizes, from the released numbers.
func (s *state) doseFigure(r *analysisResult) (plots.Figure, error) {
	q := r.spec.Dose
	line := plots.Series{Name: s.lang.Text("study.dose-curve")}
	level := s.spec.Level
	for _, n := range r.numbers {
		re, ok := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
		if v, dose := doseOf(n.term); ok && re.Shown && dose && n.e.Measure == estimate.MeanDifference && re.Number.CI.Lo < re.Number.CI.Hi {
			line.X, line.Y = append(line.X, v), append(line.Y, re.Number.Value)
			line.Lo, line.Hi = append(line.Lo, re.Number.CI.Lo), append(line.Hi, re.Number.CI.Hi)
		}
	}
	if len(line.X) < 2 {
		return plots.Figure{}, errWithheld
	}
	d := plots.TrendData{Series: []plots.Series{line}, Level: level, XLabel: s.label(q.Dose), YLabel: r.spec.Outcome.In(s.spec.Language), Percent: r.spec.Unit == "percentage-points"}
	if r.spec.Unit == "points" {
		d.YLabel = s.lang.Text("plots.points", "label", d.YLabel)
	}
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), r.spec.Question.In(s.spec.Language), s.lang.Text("study.dose-subtitle")))
}

func (q *Dose) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "dose", "overall", estimate.MeanDifference
}
