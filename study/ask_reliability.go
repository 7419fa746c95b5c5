package study

import (
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/report"
)

// Instrument asks how much of a questionnaire's scores is the person and how much is chance, and which change of them means
// something. Scales are of one rater each and never mixed.
type Instrument struct {
	Cohort   string     `yaml:"cohort,omitempty"` // built by time_zero
	Data     string     `yaml:"data,omitempty"`   // of kind assessments
	Scales   []Scale    `yaml:"scales,omitempty"`
	Window   int        `yaml:"window,omitempty"`    // months that an answer may lie from its time; 1 if absent
	After    int        `yaml:"after,omitempty"`     // months from the start to the second answers, of retest and anchor
	Retest   bool       `yaml:"retest,omitempty"`    // agreement of the scores with themselves, among comparison people
	Anchor   *Anchor    `yaml:"anchor,omitempty"`    // what people say themselves of the change
	Places   string     `yaml:"places,omitempty"`    // column: how much of a score goes with its values
	RaterDIF *RaterDIFs `yaml:"rater_dif,omitempty"` // items that two raters answer: do they mean the same by them?
}

// Scale is the sum of items that one rater answers.
type Scale struct {
	Name  string   `yaml:"name,omitempty"`
	Rater string   `yaml:"rater,omitempty"`
	Items []string `yaml:"items,omitempty"`
}

// Anchor is an item, later, by which people say whether they have become better.
type Anchor struct {
	Item    string  `yaml:"item,omitempty"`
	Rater   string  `yaml:"rater,omitempty"`
	AtLeast float64 `yaml:"at_least,omitempty"` // the answer from which on the improvement is important
}

// RaterDIFs are items that two raters answer.
type RaterDIFs struct {
	Items  []string `yaml:"items,omitempty"`
	Raters []string `yaml:"raters,omitempty"` // two
}

var (
	_ question  = (*Instrument)(nil)
	_ namer     = (*Instrument)(nil)
	_ sentencer = (*Instrument)(nil)
)

func (q *Instrument) defaults(*Spec, *Analysis) { q.Window = orInt(q.Window, 1) }

func (q *Instrument) check(s *Spec, c *checker, path []any, a *Analysis) {
	s.registerCohort(c, path, a, "reliability", q.Cohort)
	known := s.data(c, at(path, "data"), q.Data, "assessments")
	if known {
		for _, column := range []string{"person", "date", "item", "value", "rater"} {
			s.column(c, at(path, "data"), q.Data, column)
		}
	}
	items := func(p []any, list []string, least int) {
		if known {
			s.stateNames(c, at(p, "items"), q.Data, "item", list)
		}
		if len(list) < least {
			c.add(p, "reliability: items: name at least %d", least)
		}
		for i, name := range list {
			if slices.Contains(list[:i], name) {
				c.add(at(p, "items", i), "reliability: items names %q twice", name)
			}
		}
	}
	rater := func(p []any, name string) {
		if name == "" {
			c.add(p, "reliability: rater: say whose answers, such as self: those of different raters are never mixed")
		} else if known {
			s.stateNames(c, at(p, "rater"), q.Data, "rater", []string{name})
		}
	}
	if len(q.Scales) == 0 {
		c.add(path, "reliability: scales: name at least one")
	}
	seen := map[string]bool{}
	for i, scale := range q.Scales {
		p := at(path, "scales", i)
		c.name(p, "a scale", scale.Name, seen)
		items(p, scale.Items, 2)
		rater(p, scale.Rater)
	}
	later := q.Retest || q.Anchor != nil
	switch {
	case later && q.After < 1:
		c.add(path, "reliability: after: give the months from the start to the second answers")
	case !later && q.After != 0:
		c.add(at(path, "after"), "reliability: after goes with retest and anchor")
	case q.Window < 1, later && 2*q.Window >= q.After:
		c.add(at(path, "window"), "reliability: window must be at least 1 and less than half of after: an answer belongs to one time")
	}
	if x := q.Anchor; x != nil {
		p := at(path, "anchor")
		rater(p, x.Rater)
		if x.Item == "" || x.AtLeast == 0 {
			c.add(p, "reliability: anchor: name the item, and at_least, the answer from which on the improvement is important")
		} else if known {
			s.stateNames(c, at(p, "item"), q.Data, "item", []string{x.Item})
		}
		if !slices.ContainsFunc(q.Scales, func(s Scale) bool { return s.Rater == x.Rater }) {
			c.add(at(p, "rater"), "reliability: anchor: no scale is of this rater: the change that one rater sees is not judged by another")
		}
	}
	if x := q.RaterDIF; x != nil {
		p := at(path, "rater_dif")
		items(p, x.Items, 3)
		if len(x.Raters) != 2 || x.Raters[0] == x.Raters[1] {
			c.add(p, "reliability: rater_dif: raters: name two")
		} else if known {
			s.stateNames(c, at(p, "raters"), q.Data, "rater", x.Raters)
		}
	}
	checkOwnUnit(c, path, "reliability", a, "units")
	up := path[:len(path)-1]
	if a.Relevant != 0 {
		c.add(at(up, "relevant"), "reliability: its numbers are descriptions: relevant is not used")
	}
	if a.Good != "neutral" {
		c.add(at(up, "good"), "reliability: its numbers have no direction: good: %s is not used", a.Good)
	}
}

func (q *Instrument) rests() basis { return basis{cohort: q.Cohort, data: []string{q.Data}} }

func (q *Instrument) dry(s *state, _ *Analysis) error {
	b := s.cohorts[q.Cohort]
	if q.Places != "" {
		if _, _, err := b.table.Text(q.Places); err != nil {
			return err
		}
	}
	for _, scale := range q.Scales {
		if _, err := s.questionnaires(b, q.asked(scale)); err != nil {
			if _, ok := refusable(err); !ok {
				return err
			}
		}
	}
	return nil
}

func (q *Instrument) estimate(s *state, a *Analysis) (analysisResult, error) { return s.instrument(a) }

func (q *Instrument) words(*state, *analysisResult) (estimand, errors, also string) {
	return "reliability", "reliability", ""
}

func (q *Instrument) shows(*Analysis, found) bool { return true }

func (q *Instrument) unit(*Analysis, found) report.Unit { return report.Plain }

// say tells for each scale how large a change of one person is more than chance, and means something.
func (q *Instrument) say(s *state, r *analysisResult) []string {
	var out []string
	for _, scale := range q.Scales {
		at := "scale=" + scale.Name
		sdc, ok := s.releasedNumber(r, at, progress.DetectableChange)
		if !ok {
			continue
		}
		args := []any{"scale", s.label(scale.Name), "sdc", s.lang.Number(sdc.Number.Value, 1)}
		if mic, ok := s.releasedNumber(r, at+",mic=adjusted", progress.ImportantChange); ok {
			out = append(out, s.lang.Text("study.reliability-say-both", append(args, "mic", s.lang.Number(mic.Number.Value, 1), "both", s.lang.Number(max(mic.Number.Value, sdc.Number.Value), 1))...))
		} else {
			out = append(out, s.lang.Text("study.reliability-say", args...))
		}
	}
	if len(q.Scales) > 1 {
		out = append(out, s.lang.Text("study.reliability-say-apart"))
	}
	return out
}

func (q *Instrument) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	word := string(n.e.Measure)
	for _, key := range []string{"coefficient", "retest", "mic", "places"} {
		if parts[key] != "" {
			word = key + "-" + parts[key]
			if key == "retest" {
				word = key + "-" + string(n.e.Measure)
			}
		}
	}
	if item := parts["item"]; item != "" {
		return s.lang.Text("study.reliability-dif", "item", s.label(item))
	}
	args := []any{"scale", s.label(parts["scale"])}
	switch {
	case parts["retest"] != "":
		args = append(args, "after", q.After)
	case parts["places"] != "":
		args = append(args, "place", strings.ToLower(s.label(q.Places)))
	}
	return s.lang.Text("study.reliability-"+word, args...)
}

func (q *Instrument) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "reliability", "scale=" + q.Scales[0].Name, progress.ReliabilityCoefficient
}
