package study

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/sensitivity"
	"utfall/study/release"
	"utfall/table"
)

// Roles of an analysis whose answer says how far another may be trusted: what it is
// about cannot have been changed by the measure.
const (
	negativeControl = "negative-control" // background settled before the start
	placebo         = "placebo"          // at a placebo time zero, or of a placebo outcome
)

// trustRun is one analysis of trust at work.
type trustRun struct {
	s     *state
	q     *Trust
	of    *analysisResult
	b     *built
	basis release.Basis
	e     estimate.Estimate // the claimed effect
	r     *analysisResult
}

// trust asks how far an effect may be trusted.
func (s *state) trust(a *Analysis) (analysisResult, error) {
	r := analysisResult{method: "trust", kind: "check"}
	t := &trustRun{s: s, q: a.Trust, of: s.answered(a.Trust.Of), r: &r}
	t.b = s.cohorts[t.of.spec.Effect.Cohort]
	t.e, t.basis = t.of.numbers[0].e, t.of.numbers[0].basis
	for _, part := range []struct {
		asked bool
		do    func() error
		term  string // of its first number
		m     estimate.Measure
	}{
		{t.q.EValue, t.evalue, "evalue", sensitivity.EValueMeasure}, {t.q.Rosenbaum != nil, t.pairs, "gamma", sensitivity.GammaValue},
		{t.q.Omitted != nil, t.omitted, "robustness", sensitivity.RobustnessValue}, {t.q.LeaveOut != "", t.leaveOut, "without-smallest", t.e.Measure},
		{t.q.Tipping != nil, t.tipping, "tipping,path=opposite", sensitivity.Shift}, {len(t.q.Controls) > 0, t.controls, "calibrated", t.e.Measure},
		{t.q.Placebo != nil, t.placebos, "placebo", sensitivity.ShareOfClaim},
	} {
		if !part.asked {
			continue
		}
		if err := s.ctx.Err(); err != nil {
			return r, err
		}
		err := part.do()
		if lacking(err) {
			t.refuse(part.term, part.m, note("trust-too-little", "There are too few people, or too little differs among them, for this check."), note("trust-more-people", "More people would make the comparison sharper."))
			continue
		}
		if err != nil {
			if errors.Is(err, sensitivity.ErrOption) || errors.Is(err, sensitivity.ErrBenchmark) {
				err = fmt.Errorf("%w: %w", ErrSpec, err)
			}
			return r, err
		}
	}
	return r, nil
}

// lacking says that the data are too few for a check: the answer that is checked stands.
func lacking(err error) bool {
	for _, e := range []error{estimate.ErrTooFew, estimate.ErrNoTreated, estimate.ErrNoControls, estimate.ErrNotIdentified, estimate.ErrCollinear} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// add keeps a number with the units it rests on; cells are further counts that must
// reach the smallest count that is shown, or the number is withheld.
func (t *trustRun) add(e estimate.Estimate, notes []table.Note, cells ...int) {
	on := t.basis
	for _, n := range cells {
		if n < t.s.policy.Threshold() {
			on = release.Basis{Treated: n, Control: n, DF: math.Inf(1)}
			break
		}
	}
	t.r.numbers = append(t.r.numbers, found{term: e.Term, e: e, basis: on, notes: notes})
}

func (t *trustRun) refuse(term string, m estimate.Measure, why, fix table.Note) {
	t.r.numbers = append(t.r.numbers, refuse(term, m, why, fix))
}

// column is where the analysis's first number stands in what its method gave.
func (r *analysisResult) column() int {
	main := r.numbers[0].e
	return slices.IndexFunc(r.fitted.result.Estimates, func(e estimate.Estimate) bool {
		return e.Measure == main.Measure && e.Value == main.Value && e.SE == main.SE
	})
}

// frame is that of the claimed effect.
func (t *trustRun) frame() *estimate.Frame { return t.of.fitted.frame }

// evalue is of the claimed difference. The comparison group's share is rounded to whole
// per cent and a standard deviation to two digits, so that no count can be worked out.
func (t *trustRun) evalue() error {
	o := sensitivity.EValue{Measure: "md", Estimate: t.e.Value, ConfLow: t.e.CI.Lo, ConfHi: t.e.CI.Hi, StdError: math.NaN(), Level: t.e.CI.Level}
	if t.e.Measure == estimate.RiskDifference {
		o.Measure, o.Baseline = "rd", math.Round(100*armMean(t.frame(), false))/100
		if !(o.Baseline > 0 && o.Baseline < 1) || !(o.Baseline+o.Estimate > 0 && o.Baseline+o.Estimate <= 1) {
			t.refuse("evalue", sensitivity.EValueMeasure, note("trust-share-extreme", "The comparison group's share is too near to 0 or 1 for a ratio."), note("trust-look-elsewhere", "The other checks do not need it."))
			return nil
		}
	} else {
		o.SD = spread(t.frame())
	}
	res, err := o.Value()
	if err != nil {
		return err
	}
	for _, e := range res.Estimates {
		switch e.Term {
		case "point":
			e.Term = "evalue"
			t.add(e, nil)
		case "interval":
			e.Term = "evalue-limit"
			t.add(e, nil)
		}
	}
	return nil
}

func note(code, text string) table.Note { return table.Note{Code: code, Text: text} }

// pairs bounds what a hidden cause can do in matched pairs; only there.
func (t *trustRun) pairs() error {
	f := *t.frame()
	f.Cluster, f.X, f.XNames = nil, nil, nil
	if !even(f.Weight.Values) || f.Set == nil {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-no-pairs", "The bounds need pairs: one comparison person for each participant."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	f.Weight = estimate.Weights{}
	o := sensitivity.Rosenbaum{Gamma: t.q.Rosenbaum.Gamma, Alternative: "greater", Binary: zeroOne(f.Y)}
	if t.e.Value < 0 {
		o.Alternative = "less"
	}
	res, err := o.Fit(t.s.ctx, &f)
	if errors.Is(err, sensitivity.ErrNotPairs) {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-no-pairs", "The bounds need pairs: one comparison person for each participant."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	if err != nil {
		return err
	}
	var cells []int
	if o.Binary {
		cells = []int{res.Details["discordant_treated_only"].(int), res.Details["discordant_control_only"].(int)}
	}
	last := res.Estimates[len(res.Estimates)-1]
	last.Term = "gamma"
	if math.IsNaN(last.Value) {
		t.refuse("gamma", sensitivity.GammaValue, note("trust-pairs-unclear", "The pairs alone do not establish the difference, so that there is nothing to explain away."), note("trust-more-people", "More people would make the comparison sharper."))
	} else {
		t.add(last, nil, cells...)
	}
	for _, e := range res.Estimates[:len(res.Estimates)-1] {
		if !math.IsNaN(e.Value) {
			t.add(e, nil, cells...)
		}
	}
	return nil
}

// even says that all weights are the same.
func even(w []float64) bool {
	for _, v := range w {
		if v != w[0] {
			return false
		}
	}
	return true
}

// omitted compares a hidden covariate with measured ones.
func (t *trustRun) omitted() error {
	f := *t.frame()
	if !even(f.Weight.Values) {
		t.refuse("robustness", sensitivity.RobustnessValue, note("trust-weighted", "The bounds hold for a comparison without weights, and people count differently here."), note("trust-match-pairs", "A match with ratio 1 makes pairs."))
		return nil
	}
	const treatment = "\x00treatment"
	n, k := len(f.Y), len(f.XNames)
	x := mat.NewDense(n, k+1, nil)
	for i := range n {
		if f.Treated[i] {
			x.Set(i, 0, 1)
		}
		for j := range k {
			x.Set(i, j+1, f.X.At(i, j))
		}
	}
	f.XNames, f.X = append([]string{treatment}, f.XNames...), x
	f.Weight, f.Cluster, f.Set = estimate.Weights{}, nil, nil
	o := sensitivity.OmittedVariable{Treatment: treatment, Strength: t.q.Omitted.Strength, Workers: t.s.o.Workers}
	all := sensitivity.Benchmark{Name: strings.Join(t.q.Omitted.Benchmarks, "+")}
	for _, name := range t.q.Omitted.Benchmarks {
		m := sensitivity.Benchmark{Name: name}
		for _, c := range f.XNames {
			if c == name || strings.HasPrefix(c, name+"[") && strings.HasSuffix(c, "]") {
				m.Columns = append(m.Columns, c)
			}
		}
		all.Columns = append(all.Columns, m.Columns...)
		o.Benchmarks = append(o.Benchmarks, m)
	}
	if t.q.Omitted.Together {
		o.Benchmarks = append(o.Benchmarks, all)
	}
	res, err := o.Fit(t.s.ctx, &f)
	if err != nil {
		return err
	}
	for _, e := range res.Estimates {
		switch {
		case e.Term == "rv_q":
			e.Term = "robustness"
		case e.Term == "rv_qa":
			e.Term = "robustness-limit"
		case e.Term == treatment || e.Term == "r2yd.x":
			continue
		default:
			e.Term = "omitted=" + e.Term
			if e.Measure == estimate.Coefficient {
				e.Measure = t.e.Measure
			}
		}
		t.add(e, nil)
	}
	t.r.notes = append(t.r.notes, res.Notes...)
	return nil
}

// leaveOut fits the effect again without each group.
func (t *trustRun) leaveOut() error {
	group, names, err := t.groups(t.q.LeaveOut)
	if err != nil {
		return err
	}
	f := t.frame()
	o := sensitivity.LeaveOut{Each: t.s.estimator(t.of.spec.Effect), Term: t.of.fitted.result.Estimates[t.of.column()].Term, Group: group, Names: names, Workers: t.s.o.Workers}
	res, err := o.Fit(t.s.ctx, f)
	if err != nil {
		return err
	}
	// The number with everybody less the one without a group is about the group: its people
	// must be many enough, and where one group alone is too small the next smallest hides it.
	stays := o.Stays(f)
	kept, least := make([]release.Basis, len(names)), make([]int, len(names))
	small := 0
	for g := range names {
		in := stays(g)
		kept[g] = basisOf(f, in, true, t.basis)
		least[g] = leastCell(basisOf(f, in, false, t.basis))
		if least[g] < t.s.policy.Threshold() {
			small++
		}
	}
	if small == 1 && len(names) > 1 {
		order := make([]int, len(names))
		for g := range order {
			order[g] = g
		}
		slices.SortStableFunc(order, func(a, b int) int { return least[a] - least[b] })
		least[order[1]] = 0
	}
	var smallest, largest *found
	unnamed := 0
	for g := range names {
		e := res.Estimates[g+1]
		if math.IsNaN(e.Value) {
			continue // the note says how many
		}
		if least[g] < t.s.policy.Threshold() && !t.declared(t.q.LeaveOut, names[g]) {
			unnamed++ // that a group of few is there is told by its name already
			continue
		}
		at := len(t.r.numbers)
		t.add(e, nil, least[g])
		if least[g] < t.s.policy.Threshold() {
			continue
		}
		n := &t.r.numbers[at]
		n.basis = kept[g]
		if smallest == nil || e.Value < smallest.e.Value {
			smallest = &found{e: e, basis: n.basis}
		}
		if largest == nil || e.Value > largest.e.Value {
			largest = &found{e: e, basis: n.basis}
		}
	}
	if unnamed > 0 {
		e := res.Estimates[0]
		e.Term = "without=.."
		t.add(e, nil, 0)
	}
	if smallest == nil {
		for _, term := range []string{"without-smallest", "without-largest"} {
			t.refuse(term, t.e.Measure, note("trust-groups-small", "Every group is too small to be left out without telling about it."), note("trust-coarser", "Take a coarser grouping."))
		}
	}
	if smallest != nil {
		for _, x := range []struct {
			term string
			n    found
		}{{"without-smallest", *smallest}, {"without-largest", *largest}} {
			x.n.e.Term, x.n.term = x.term, x.term
			t.r.numbers = append(t.r.numbers, x.n)
		}
	}
	for _, n := range res.Notes {
		if n.Code == "group-indispensable" {
			n.Args = map[string]any{"count": n.Args["count"]}
			t.r.notes = append(t.r.notes, n)
		}
	}
	return nil
}

// declared reports whether the study file itself names a level of a column.
func (t *trustRun) declared(column, level string) bool {
	sources := []string{t.b.spec.Base}
	if z := t.b.spec.TimeZero; z != nil {
		sources = append(sources, z.Participations)
	}
	for _, name := range sources {
		for _, c := range t.s.spec.Data[name].Columns {
			if c.Name == column && slices.Contains(c.Levels, level) {
				return true
			}
		}
	}
	return false
}

// basisOf counts the people of the rows in, or of the others.
func basisOf(f *estimate.Frame, in []int, kept bool, main release.Basis) release.Basis {
	mark := make([]bool, len(f.Y))
	for _, i := range in {
		mark[i] = true
	}
	out := release.Basis{DF: main.DF, Cohort: release.Arms{Treated: main.Treated, Control: main.Control}}
	var events release.Arms
	for i, t := range f.Treated {
		if mark[i] != kept {
			continue
		}
		n, ev := &out.Control, &events.Control
		if t {
			n, ev = &out.Treated, &events.Treated
		}
		*n++
		if f.Y[i] == 1 {
			*ev++
		}
	}
	if main.Events != nil {
		out.Events = &events
	}
	return out
}

// armMean is a group's mean of the outcome under the weights of the design.
func armMean(f *estimate.Frame, treated bool) float64 {
	var sum, total float64
	for i, t := range f.Treated {
		if t == treated {
			w := weightOf(f, i)
			sum += float64(w * f.Y[i])
			total += w
		}
	}
	return sum / total
}

func weightOf(f *estimate.Frame, i int) float64 {
	if f.Weight.Values == nil {
		return 1
	}
	return f.Weight.Values[i]
}

// spread is the standard deviation of the outcome within the groups, to two digits.
func spread(f *estimate.Frame) float64 {
	v := 0.0
	for _, treated := range []bool{false, true} {
		mean := armMean(f, treated)
		var sum, total float64
		for i, t := range f.Treated {
			if t == treated {
				w := weightOf(f, i)
				d := f.Y[i] - mean
				sum += float64(w * d * d)
				total += w
			}
		}
		v += sum / total / 2
	}
	if !(v > 0) {
		return 0
	}
	sd := math.Sqrt(v)
	p := math.Pow(10, 1-math.Floor(math.Log10(sd)))
	return math.Round(sd*p) / p
}
