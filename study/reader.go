package study

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/plots"
	"utfall/study/release"
	"utfall/study/report"
)

// Bundle is a finished study opened for reading: what notebooks and scripts use to
// quote and redraw numbers that exist. It computes none. Whether the bundle is whole
// is the business of [Verify]. Its methods may be called from several goroutines.
type Bundle struct {
	contents *contents
	spec     *Spec
	close    func() error
}

// OpenBundle opens a bundle, a folder or the same folder zipped. The error wraps
// [ErrInput] where it is no bundle, and [ErrDiffers] where a part is not readable.
// The caller closes it.
func OpenBundle(name string) (*Bundle, error) {
	fsys, done, err := openBundle(name)
	if err != nil {
		return nil, err
	}
	c, err := readBundle(fsys)
	if err != nil {
		done()
		return nil, err
	}
	b := &Bundle{contents: c, close: done}
	text, err := b.File(specFile)
	if err == nil {
		b.spec, err = Parse(specFile, bytes.NewReader(text))
	}
	if err != nil {
		done()
		return nil, err
	}
	return b, nil
}

// Close closes the bundle.
func (b *Bundle) Close() error { return b.close() }

// Title is the study's title in a language, sv or en.
func (b *Bundle) Title(language string) string { return b.spec.Title.In(language) }

// Question is what the study asks, in a language, sv or en.
func (b *Bundle) Question(language string) string { return b.spec.Question.In(language) }

// Caveats are what the study says it cannot say, one sentence or paragraph each.
func (b *Bundle) Caveats(language string) []string {
	text := strings.TrimSpace(b.spec.Report.Caveats.In(language))
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// Records are all released numbers, in the order of results.jsonl. The slice is the caller's.
func (b *Bundle) Records() []Record { return slices.Clone(b.contents.records) }

// Number is the record of an address, analysis/term/measure; [ErrInput] where there is none.
func (b *Bundle) Number(address string) (Record, error) {
	i := slices.IndexFunc(b.contents.records, func(r Record) bool { return r.Address == address })
	if i < 0 {
		return Record{}, fmt.Errorf("%w: no number has the address %q", ErrInput, address)
	}
	return b.contents.records[i], nil
}

// AttritionStep is one line of attrition.csv: counts as they were released, rounded,
// ".." where withheld, empty where there is none.
type AttritionStep struct {
	Cohort, Step, Rule             string
	TreatedKept, ControlKept       string
	TreatedDropped, ControlDropped string
}

// Attrition is who was left after each step, for all cohorts of the study in its order.
func (b *Bundle) Attrition() ([]AttritionStep, error) {
	rows, err := b.csv(attritionCSV, attritionHeader)
	if err != nil {
		return nil, err
	}
	out := make([]AttritionStep, len(rows))
	for i, r := range rows {
		out[i] = AttritionStep{r[0], r[1], r[2], r[3], r[4], r[5], r[6]}
	}
	return out, nil
}

// File is a file of the bundle by its name there, "figures/work-trend.csv".
func (b *Bundle) File(name string) ([]byte, error) {
	text, err := fs.ReadFile(b.contents.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	return text, nil
}

// Statement is a number in the words of the report: what was measured, the value and
// its interval as a reader sees them, and the sentence that the interval allows.
type Statement struct{ Outcome, Value, Interval, Sentence string }

// Say puts the number of an address into the words of the report, in a language, sv
// or en. This is the place for a text to take a rounded number from.
func (b *Bundle) Say(address, language string) (Statement, error) {
	l, err := lang.Parse(language)
	if err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	r, err := b.Number(address)
	if err != nil {
		return Statement{}, err
	}
	a, err := b.analysis(r.Analysis)
	if err != nil {
		return Statement{}, err
	}
	e := r.estimate()
	outcome := or(a.Outcome.In(language), a.Name)
	f := report.Finding{
		Address: r.Address, Outcome: outcome, Kind: report.Kind(r.Kind), Unit: unitOf(a, found{e: e}), Good: report.Neutral,
		Estimate: release.Estimate{Number: e, Shown: !r.Withheld},
	}
	// What is good, and what matters, was said of the analysis's main number: more
	// months on a lower step are no success where more on a higher one are.
	if r.Measure == b.mainMeasure(a.Name) {
		f.Good, f.Relevance = report.Direction(a.Good), a.Relevant
	}
	said := report.Say(f, l, b.group(a, "treated", language), b.group(a, "control", language))
	return Statement{Outcome: outcome, Value: said.Value, Interval: said.Interval, Sentence: said.Sentence}, nil
}

// mainMeasure is the measure of the number an analysis is about.
func (b *Bundle) mainMeasure(analysis string) string {
	var r analysisResult
	for _, x := range b.contents.records {
		if x.Analysis == analysis {
			r.numbers = append(r.numbers, found{term: x.Term, e: x.estimate()})
		}
	}
	if i := mainNumber(&r); i >= 0 {
		return string(r.numbers[i].e.Measure)
	}
	return ""
}

// EventStudy is what the bundle's event study of an analysis shows, for
// [plots.EventStudy]: the released estimates of the events in the study's window and,
// where the data are simulated, the effects that were put in. Drawn again it gives the
// numbers of figures/ANALYSIS-event-study.csv.
func (b *Bundle) EventStudy(analysis, language string) (plots.EventStudyData, error) {
	var d plots.EventStudyData
	a, err := b.analysis(analysis)
	if err != nil {
		return d, err
	}
	q, ok := a.ask().(inPanel)
	switch q.(type) {
	case *Dose, *Synth, *Spillover: // what they have by time is no series of effects
		ok = false
	}
	if !ok {
		return d, fmt.Errorf("%w: the analysis %q has no event times", ErrInput, analysis)
	}
	d.YLabel, d.PercentagePoints = a.Outcome.In(language), a.Unit == "percentage-points"
	for _, r := range b.contents.records {
		if r.Analysis != analysis || !isEvent(r.Term) || r.Withheld {
			continue
		}
		var e int
		fmt.Sscanf(r.Term, "event=%d", &e)
		if w := q.window(); w == nil || (e >= w[0] && e <= w[1]) {
			d.Estimates = append(d.Estimates, r.estimate())
		}
	}
	d.Known, err = b.knownEvents(analysis)
	return d, err
}

// knownEvents reads the known effects from the figure's own numbers: the file with the
// truth is not part of a bundle.
func (b *Bundle) knownEvents(analysis string) (map[int]float64, error) {
	rows, err := b.csv(figuresDir+"/"+analysis+"-event-study.csv",
		[]string{"term", "event", "estimate", "std_error", "conf_low", "conf_high", "conf_level", "conf_method", "reference", "known"})
	if err != nil {
		return nil, err
	}
	known := map[int]float64{}
	for _, r := range rows {
		if r[9] == "" {
			continue
		}
		e, err := strconv.Atoi(r[1])
		if err == nil {
			known[e], err = strconv.ParseFloat(r[9], 64)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: figure of %s: %s: not a number", ErrDiffers, analysis, r[0])
		}
	}
	return known, nil
}

// csv reads a table of the bundle that has this header.
func (b *Bundle) csv(name string, header []string) ([][]string, error) {
	text, err := b.File(name)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDiffers, name, err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], header) {
		return nil, fmt.Errorf("%w: %s: the columns are not %s", ErrDiffers, name, strings.Join(header, ", "))
	}
	return rows[1:], nil
}

func (b *Bundle) analysis(name string) (*Analysis, error) {
	i := slices.IndexFunc(b.spec.Analyses, func(a Analysis) bool { return a.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: the study has no analysis %q", ErrInput, name)
	}
	return &b.spec.Analyses[i], nil
}

// group is what an arm of the analysis's cohort is called; empty where it has no name.
func (b *Bundle) group(a *Analysis, arm, language string) string {
	if q, ok := a.ask().(inPanel); ok {
		return q.arm(arm, lang.Lang(language))
	}
	name := a.rests().cohort
	if co := b.spec.findCohort(name); co != nil {
		return co.Groups[arm].In(language)
	}
	return ""
}

// estimate is the number of a record as the estimators gave it; NaN where it does not
// exist or was withheld.
func (r Record) estimate() estimate.Estimate {
	v := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	e := estimate.Estimate{
		Term: r.Term, Measure: estimate.Measure(r.Measure), Value: v(r.Estimate), SE: v(r.StdError),
		CI:   estimate.Interval{Lo: v(r.ConfLow), Hi: v(r.ConfHigh), Method: r.ConfMethod},
		Test: estimate.Test{Stat: v(r.Statistic), DF: v(r.DF), P: v(r.PValue)},
	}
	if r.ConfLevel != nil {
		e.CI.Level = *r.ConfLevel
	}
	return e
}
