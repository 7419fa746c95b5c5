package study

import (
	"reflect"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/study/report"
)

// question is one method of an analysis, as the study file asks it. Whatever a study
// does with a method goes through this interface: a method is one type in one file, and
// nothing else in the package knows what it computes.
//
// A method may also implement [namer], [chief], [drawer], [releaser], [sentencer], [finder] and [unplanned].
type question interface {
	// defaults writes out what the study file leaves unsaid.
	defaults(s *Spec, a *Analysis)
	// check adds the problems that can be seen without data. path is that of the method's key.
	check(s *Spec, c *checker, path []any, a *Analysis)
	// rests says what the method's numbers rest on.
	rests() basis
	// dry finds rows and columns, as a run does before it estimates.
	dry(s *state, a *Analysis) error
	// estimate answers. Outcomes are open.
	estimate(s *state, a *Analysis) (analysisResult, error)
	// words says in the report's table of methods whom the numbers are about and what
	// their errors are: keys of study.estimand-… and study.errors-…, and what is added.
	words(s *state, r *analysisResult) (estimand, errors, also string)
}

// basis is what an analysis rests on: it decides what is locked, what is sealed, and
// where the report puts the answer.
type basis struct {
	cohort   string   // "" = none
	data     []string // beside those of the cohort
	files    []string // beside the data: ladder files
	of       []string // earlier analyses whose numbers are used; the report puts the answer under the first
	outcomes []string // columns of the cohort's base or of data[0] that are known only after the start
	layout   []string // columns of data[0] that say who is who: read before outcomes are opened
	compared string   // the report's comparison, where it is not the cohort
}

// namer names the numbers of a method for the reader.
type namer interface {
	label(s *state, a *Analysis, n found) string // "" = as usual
	unit(a *Analysis, n found) report.Unit       // "" = the analysis's own
	shows(a *Analysis, n found) bool             // false: not in the report's tables; a figure shows it
}

// drawer makes figures of a method from released numbers.
type drawer interface {
	figures(s *state, r *analysisResult) []drawing
}

// chief names the number that the report leads with, also where it is refused: the method
// under which it stands, its term and its measure.
type chief interface {
	chief(s *state, a *Analysis) (method, term string, m estimate.Measure)
}

// chiefOf names the number that an analysis leads with; a method without a name for it has an answer.
func chiefOf(s *state, a *Analysis) (method, term string, m estimate.Measure) {
	q := a.questions()[0]
	if c, ok := q.question.(chief); ok {
		return c.chief(s, a)
	}
	return q.name, "answer", estimate.Mean
}

// releaser releases what a method found beside its numbers.
type releaser interface {
	release(s *state, a *assembled, r *analysisResult, keep func([]release.Withheld)) error
}

// sentencer says in plain sentences what the numbers mean; without it the report makes
// its sentence from the interval of the main number.
type sentencer interface {
	say(s *state, r *analysisResult) []string
}

// finder makes the report's findings itself: a method that answers more than one question.
type finder interface {
	findings(s *state, r *analysisResult) []report.Finding
}

// unplanned is the method without what only the reader sees: texts are no part of the plan.
type unplanned interface {
	plan(a *Analysis)
}

// asked is a question under its key in the study file.
type asked struct {
	name string
	question
}

// questions are the methods that the analysis names, one in a valid study file: the
// fields of [Analysis] that hold a question, in their order.
func (a *Analysis) questions() []asked {
	var out []asked
	v := reflect.ValueOf(a).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Pointer || f.IsNil() {
			continue
		}
		if q, ok := f.Interface().(question); ok {
			out = append(out, asked{yamlName(v.Type().Field(i)), q})
		}
	}
	return out
}

// questionNames are the keys that questions may have.
func questionNames() []string {
	var names []string
	t := reflect.TypeFor[Analysis]()
	for i := range t.NumField() {
		if f := t.Field(i); f.Type.Implements(reflect.TypeFor[question]()) {
			names = append(names, yamlName(f))
		}
	}
	return names
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// ask is the question of an analysis that has been checked.
func (a *Analysis) ask() question { return a.questions()[0].question }

// rests says what a checked analysis rests on.
func (a *Analysis) rests() basis {
	if q := a.questions(); len(q) == 1 {
		return q[0].rests()
	}
	return basis{}
}

// Methods returns the methods the analysis names: exactly one in a valid study file.
func (a *Analysis) Methods() []string {
	var names []string
	for _, q := range a.questions() {
		names = append(names, q.name)
	}
	return names
}

// inPanel is a question about places that are followed over time: the report describes its comparison, and its effects by
// event can be drawn again from a bundle.
type inPanel interface {
	question
	comparison(s *state) report.Comparison // by the name in rests().compared
	arm(arm string, l lang.Lang) string    // what treated and control units are called
	window() []int                         // of the figure of events; nil = all
}

// fitted is an estimate with the units it was made from, for analyses that rest on it:
// rows are those of the cohort's table, in the frame's order.
type fitted struct {
	frame  *estimate.Frame
	result *estimate.Result
	rows   []int
}

// answered is an earlier analysis's result.
func (s *state) answered(name string) *analysisResult {
	for i := range s.results {
		if s.results[i].spec.Name == name {
			return &s.results[i]
		}
	}
	return nil
}

// checkOf tests that an analysis named elsewhere stands before this one and asks one of
// the methods; it returns it, or nil.
func (s *Spec) checkOf(c *checker, path []any, a *Analysis, name string, methods ...string) *Analysis {
	for i := range s.Analyses {
		o := &s.Analyses[i]
		if o.Name == a.Name {
			break
		}
		if o.Name != name {
			continue
		}
		if m := o.Methods(); len(m) == 1 && len(methods) > 0 && !slices.Contains(methods, m[0]) {
			c.add(path, "analysis %q asks %s; one of %v is needed here", name, m[0], methods)
			return nil
		}
		return o
	}
	c.add(path, "there is no analysis %q before this one", name)
	return nil
}
