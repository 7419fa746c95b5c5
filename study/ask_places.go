package study

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/effect"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// Places tells an effect place by place, each shrunken toward the whole: whether places
// differ, never which is best.
type Places struct {
	Of     string    `yaml:"of,omitempty"`     // an effect analysis before this one
	By     string    `yaml:"by,omitempty"`     // column of its cohort that names the place of a participant
	Method string    `yaml:"method,omitempty"` // of the variance between places: reml, pm, dl; reml if absent
	Test   string    `yaml:"test,omitempty"`   // knapp-hartung or z; knapp-hartung if absent
	Map    *PlaceMap `yaml:"map,omitempty"`
}

// PlaceMap draws the places: as squares of a grid where they are codes of municipalities
// or counties, or by boundaries that the user brings.
type PlaceMap struct {
	Tiles      bool   `yaml:"tiles,omitempty"`
	Boundaries string `yaml:"boundaries,omitempty"` // a GeoJSON file in the data folder
	Property   string `yaml:"property,omitempty"`   // of its features: the place
}

var (
	_ question  = (*Places)(nil)
	_ namer     = (*Places)(nil)
	_ drawer    = (*Places)(nil)
	_ sentencer = (*Places)(nil)
)

// placeResult is what the figures and sentences of places need, all of it released.
type placeResult struct {
	names                  []string // shown places, in order
	raw, shrunk            []estimate.Estimate
	differs                []bool
	hidden                 []string // withheld places: drawn as such
	pooled, tau, predicted estimate.Estimate
}

func (p *Places) defaults(*Spec, *Analysis) {
	p.Method, p.Test = or(p.Method, "reml"), or(p.Test, "knapp-hartung")
}

func (p *Places) check(s *Spec, c *checker, path []any, a *Analysis) {
	if p.By == "" {
		c.add(path, "places: by: name the column that says where a participant belongs")
	}
	c.oneOf(at(path, "method"), "method", p.Method, "reml", "pm", "dl")
	c.oneOf(at(path, "test"), "test", p.Test, "knapp-hartung", "z")
	if o := s.checkOf(c, at(path, "of"), a, p.Of, "effect"); o != nil {
		if co := s.findCohort(o.Effect.Cohort); co != nil {
			if why := s.whyLate(co, p.By, false); why != "" && p.By != "" {
				c.add(at(path, "by"), why, "places", p.By)
			}
		}
	}
	if m := p.Map; m != nil {
		switch {
		case m.Tiles == (m.Boundaries != ""):
			c.add(at(path, "map"), "places: map: give either tiles: true or boundaries, a GeoJSON file")
		case m.Boundaries != "" && m.Property == "":
			c.add(at(path, "map"), "places: map: property: name the property of the boundaries that holds the place")
		case m.Boundaries == "" && m.Property != "":
			c.add(at(path, "map", "property"), "places: map: property is used only with boundaries")
		}
	}
}

func (p *Places) rests() basis { return basis{of: []string{p.Of}} }

func (p *Places) dry(s *state, _ *Analysis) error {
	for i := range s.spec.Analyses {
		if o := &s.spec.Analyses[i]; o.Name == p.Of {
			_, err := s.placeNames(s.cohorts[o.Effect.Cohort], p.By)
			return err
		}
	}
	return nil
}

// placeNames are the places of the rows of a cohort. They are printed, so they must be
// levels that the study file declares, or codes of at most four digits.
func (s *state) placeNames(b *built, column string) ([]string, error) {
	names, ok, err := b.table.Text(column)
	if err != nil {
		return nil, err
	}
	for i := range names {
		if ok != nil && !ok[i] {
			names[i] = ""
		}
		if n := names[i]; len(n) > 4 || strings.Trim(n, "0123456789") != "" {
			return names, s.namedLevels(&Describe{Cohort: b.spec.Name}, b.table, column)
		}
	}
	return names, nil
}

func (p *Places) estimate(s *state, a *Analysis) (analysisResult, error) {
	of := s.answered(p.Of)
	r := analysisResult{method: "places", kind: "check"} // of the whole: each number is of the kind of the effect
	if of.fitted == nil {
		return r, fmt.Errorf("%w: the analysis %q gives no effect that could be told by place", ErrSpec, p.Of)
	}
	names, err := s.placeNames(s.cohorts[of.spec.Effect.Cohort], p.By)
	if err != nil {
		return r, err
	}
	frames, left := byPlace(of.fitted, names)
	if left > 0 {
		r.notes = append(r.notes, table.Note{Code: "places-unknown", Text: fmt.Sprintf("%d rows have no place, or belong to a set with participants of several, and were left out", left), Args: map[string]any{"rows": left}})
	}
	out := &placeResult{}
	var numbers []found
	effects := &combine.Effects{Level: s.spec.Level}
	all := release.Arms{}
	type place struct {
		name  string
		e     estimate.Estimate
		basis release.Basis
		shown bool
	}
	var list []place
	hidden := 0
	for _, name := range sortedKeys(frames) {
		f := frames[name]
		x := place{name: name, basis: release.Basis{Treated: armsOf(f).Treated, Control: armsOf(f).Control, DF: math.Inf(1)}}
		if zeroOne(f.Y) {
			x.basis.Events = eventsOf(f)
		}
		res, err := effect.Difference{Vcov: effect.Vcov(of.spec.Effect.Vcov)}.Fit(s.ctx, f)
		if err == nil { // else nothing can be said of the place, as of one that is withheld
			x.e = res.Estimates[0]
			x.e.Term, x.basis.DF = "place="+name, x.e.Test.DF
			released, _ := s.policy.Estimate(a.Name+"/"+x.e.Term, x.e, x.basis)
			x.shown = released.Shown && x.e.SE > 0
		}
		if !x.shown {
			hidden++
		}
		list = append(list, x)
	}
	if hidden == 1 { // the whole and the others would give it away
		least := -1
		for k, x := range list {
			if x.shown && (least < 0 || x.basis.Treated < list[least].basis.Treated) {
				least = k
			}
		}
		if least >= 0 {
			list[least].shown = false
			hidden++
		}
	}
	for _, x := range list {
		if !x.shown {
			out.hidden = append(out.hidden, x.name)
			continue
		}
		numbers = append(numbers, found{term: x.e.Term, e: x.e, basis: x.basis, kind: of.kind})
		effects.Unit, effects.Y, effects.Variance = append(effects.Unit, x.name), append(effects.Y, x.e.Value), append(effects.Variance, float64(x.e.SE*x.e.SE))
		out.names, out.raw = append(out.names, x.name), append(out.raw, x.e)
		all.Treated += x.basis.Treated
		all.Control += x.basis.Control
	}
	if hidden > 0 {
		r.notes = append(r.notes, table.Note{Code: "places-thin", Text: fmt.Sprintf("%d places have too few people to be shown, and are in none of these numbers", hidden), Args: map[string]any{"places": hidden}})
	}
	if len(out.names) < 3 {
		r.numbers = []found{refuse("pooled", estimate.Mean,
			table.Note{Code: "places-too-few", Text: "fewer than three places have enough people to be told apart from chance"},
			table.Note{Code: "places-too-few-fix", Text: "choose larger places, such as counties, or wait for more participants"})}
		r.own = out
		return r, nil
	}
	meta, err := combine.Meta{Method: p.Method, Test: p.Test}.Fit(s.ctx, effects)
	if err != nil {
		return r, err
	}
	r.notes = append(r.notes, meta.Notes...)
	basis := release.Basis{Treated: all.Treated, Control: all.Control, DF: math.Inf(1)}
	for _, e := range meta.Estimates {
		on := basis
		switch name, isPlace := strings.CutPrefix(e.Term, "unit="); {
		case isPlace:
			e.Term = "place=" + name
			k := slices.Index(out.names, name)
			on = numbers[k].basis
			out.shrunk = append(out.shrunk, e)
		case e.Term == "pooled":
			out.pooled = e
		case e.Term == "tau2":
			out.tau = e
		case e.Term == "prediction":
			out.predicted = e
		}
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: on, kind: of.kind})
	}
	r.numbers = append(r.numbers, numbers...)
	for _, e := range out.shrunk {
		out.differs = append(out.differs, out.pooled.Value < e.CI.Lo || out.pooled.Value > e.CI.Hi)
	}
	r.own = out
	return r, nil
}

// byPlace divides the rows of an effect: a set goes where its participants belong, rows
// without sets where they belong themselves. left are rows of no place.
func byPlace(f *fitted, names []string) (map[string]*estimate.Frame, int) {
	where := make([]string, len(f.rows))
	if f.frame.Set == nil {
		for k, row := range f.rows {
			where[k] = names[row]
		}
	} else {
		of, mixed := map[int]string{}, map[int]bool{}
		for k, row := range f.rows {
			if !f.frame.Treated[k] {
				continue
			}
			set := f.frame.Set[k]
			if was, ok := of[set]; ok && was != names[row] {
				mixed[set] = true
			}
			of[set] = names[row]
		}
		for k := range f.rows {
			if set := f.frame.Set[k]; !mixed[set] {
				where[k] = of[set]
			}
		}
	}
	rows := map[string][]int{}
	left := 0
	for k, name := range where {
		if name == "" {
			left++
			continue
		}
		rows[name] = append(rows[name], k)
	}
	out := map[string]*estimate.Frame{}
	for name, ks := range rows {
		out[name] = subframe(f.frame, ks)
	}
	return out, left
}

// subframe is the frame of some rows, without covariates.
func subframe(f *estimate.Frame, rows []int) *estimate.Frame {
	out := &estimate.Frame{Level: f.Level, Weight: estimate.Weights{Kind: f.Weight.Kind}, Treated: pickBool(f.Treated, rows)}
	for _, k := range rows {
		out.Unit, out.Y = append(out.Unit, f.Unit[k]), append(out.Y, f.Y[k])
		if f.Weight.Values != nil {
			out.Weight.Values = append(out.Weight.Values, f.Weight.Values[k])
		}
	}
	if f.Set != nil {
		out.Set = dense(f.Set, rows)
	}
	if f.Cluster != nil {
		out.Cluster = dense(f.Cluster, rows)
	}
	return out
}

func armsOf(f *estimate.Frame) release.Arms { return arms(f.Treated) }

// eventsOf counts the outcomes of 1 in both groups.
func eventsOf(f *estimate.Frame) *release.Arms {
	out := &release.Arms{}
	for i, treated := range f.Treated {
		switch {
		case f.Y[i] != 1:
		case treated:
			out.Treated++
		default:
			out.Control++
		}
	}
	return out
}

func (p *Places) words(*state, *analysisResult) (estimand, errors, also string) {
	return "places", "meta", ""
}

func (p *Places) unit(_ *Analysis, n found) report.Unit { return "" }

// shows leaves the places' own estimates to the funnel plot: alone they mislead.
func (p *Places) shows(_ *Analysis, n found) bool {
	switch n.term {
	case "tau2", "I2", "H2", "Q":
		return false
	}
	return n.e.Measure == combine.Shrunken || n.term == "prediction"
}

func (p *Places) label(s *state, a *Analysis, n found) string {
	name, ok := strings.CutPrefix(n.term, "place=")
	if !ok {
		return s.lang.Text("study.places-" + n.term)
	}
	out := s.answered(a.Name).own.(*placeResult)
	text := s.placeLabel(p.By, name)
	if k := slices.Index(out.names, name); k >= 0 && k < len(out.differs) {
		key := "study.places-same"
		if out.differs[k] {
			key = "study.places-differs"
		}
		text += ": " + s.lang.Text(key)
	}
	return text
}

// placeLabel is what the study file calls a place: by its code under the column's name,
// or the code itself.
func (s *state) placeLabel(by, place string) string {
	if l := s.label(by + "-" + place); l != by+"-"+place {
		return l
	}
	if l := s.label(place); l != place {
		return l
	}
	return s.label(by) + " " + place
}

func (p *Places) say(s *state, r *analysisResult) []string {
	out := r.own.(*placeResult)
	if len(out.names) == 0 || out.pooled.Term == "" {
		return nil
	}
	differ := 0
	for _, d := range out.differs {
		if d {
			differ++
		}
	}
	n := len(out.names)
	first := s.lang.Text("study.places-say-none", "n", n)
	if differ > 0 {
		first = s.lang.Text("study.places-say-some", "n", n, "differ", differ)
	}
	return []string{first, s.lang.Text("study.places-say-shrunken")}
}

func (p *Places) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "places", "pooled", estimate.Mean
}
