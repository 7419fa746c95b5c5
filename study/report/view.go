package report

import (
	"cmp"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

// groupNames are what the two groups are called in running text.
type groupNames struct{ Treated, Control string }

func namesOf(l lang.Lang, treated, control string) groupNames {
	if treated == "" {
		treated = l.Text("report.treated")
	}
	if control == "" {
		control = l.Text("report.control")
	}
	return groupNames{treated, control}
}

// page is what the template lays out: words and written numbers, nothing to compute.
type page struct {
	Lang                                            lang.Lang
	Title, Question, Background, Summary, Publisher string
	Period                                          string
	Simulated                                       bool
	Level, Cases                                    float64
	Cards, Beside                                   []card
	About                                           []aboutView
	Compared                                        []comparedView
	Plan                                            *Plan
	Findings                                        []findingView
	Destinations                                    []destinationView
	Notes                                           []noteView
	CannotSay                                       []string
	Sources                                         []sourceView
	SourceNotes                                     []noteView
	Disclosure                                      disclosureView
	Methods                                         []methodView
	Version, Seed, Command                          string
	Hashes                                          []Hash
	Appendix                                        []appendixRow
}

// aboutView says whom the key results are about, against whom and when.
type aboutView struct {
	Label string
	Says  []string
}

type card struct {
	ID, Outcome, Verdict, Badge, Value, Interval, Sentence, Deviation string
	Gates                                                             string // how many of its tests the number met
	Strip                                                             template.HTML
	HasNotes                                                          bool
}

type noteView struct {
	Text    string
	Foreign bool // in English in a report in another language
}

type findingView struct {
	ID, Question, Outcome, Address, Kind, Verdict, Badge, Sentence, Naive string
	Why, Fix, Deviation                                                   string
	Says                                                                  []string // after the first
	Under                                                                 bool
	Comparison                                                            string
	Table, Further                                                        *numberTable
	Gates                                                                 []Gate
	Notes                                                                 []noteView
	Figures                                                               []drawing
}

// numberTable is a table of numbers with the same columns throughout the report.
type numberTable struct {
	Caption, Interval, Treated, Control string
	Rows                                []numberRow
	Foot                                []footnote
}

// footnote is said once of all the rows that carry its mark.
type footnote struct {
	Mark string
	noteView
}

// gather makes a footnote of what is said of several rows, in the order of the rows.
func (t *numberTable) gather() {
	said := map[noteView]int{}
	for _, r := range t.Rows {
		for _, n := range r.Notes {
			said[n]++
		}
	}
	mark := map[noteView]string{}
	for i := range t.Rows {
		r := &t.Rows[i]
		var own []noteView
		for _, n := range r.Notes {
			if said[n] == 1 {
				own = append(own, n)
				continue
			}
			if mark[n] == "" {
				mark[n] = string(rune('a' + len(mark)))
				t.Foot = append(t.Foot, footnote{mark[n], n})
			}
			r.Marks = append(r.Marks, mark[n])
		}
		slices.Sort(r.Marks)
		r.Notes = own
	}
}

type numberRow struct {
	Label, Value, Interval, Treated, Control string
	Marks                                    []string   // of footnotes
	Notes                                    []noteView // of this row alone
}

type methodView struct{ Outcome, Estimand, Method, StandardErrors, Treated, Control string }

type appendixRow struct {
	Address, Value, Interval, Unit, P, Treated, Control, Kind string
}

func count(l lang.Lang, c release.Count) string {
	if n, ok := c.Int(); ok {
		return l.Int(n)
	}
	return ".."
}

// counts are those of both groups under a number; one about a group alone stands under that group.
func counts(l lang.Lang, e release.Estimate) (treated, control string) {
	switch {
	case e.Single && strings.HasSuffix(e.Number.Term, "group=control"):
		return "–", count(l, e.Treated)
	case e.Single:
		return count(l, e.Treated), "–"
	}
	return count(l, e.Treated), count(l, e.Control)
}

// value writes a released value with the writer, ".." when withheld, "–" when undefined.
func value(v release.Value, write func(float64) string) string {
	x, ok := v.Float()
	switch {
	case ok:
		return write(x)
	case v.Suppressed():
		return ".."
	}
	return "–"
}

func (p *page) note(n table.Note) noteView {
	args := make(map[string]any, len(n.Args))
	hidden := false
	for k, v := range n.Args {
		if v == ".." { // a withheld count; as NaN it still chooses the plural
			v, hidden = math.NaN(), true
		}
		args[k] = v
	}
	s := p.Lang.Note(n.Code, n.Text, args)
	foreign := s == n.Text && p.Lang != lang.EN
	if hidden && !foreign {
		s = withDots(s)
	}
	return noteView{Text: s, Foreign: foreign}
}

// withDots turns the dash of an undefined number into the mark of a withheld one.
func withDots(s string) string {
	out := []rune(s)
	for i, r := range out {
		if r == '–' {
			out = slices.Replace(out, i, i+1, '.', '.')
		}
	}
	return string(out)
}

func (p *page) notes(ns []table.Note) []noteView {
	out := make([]noteView, len(ns))
	for i, n := range ns {
		out[i] = p.note(n)
	}
	return out
}

// finding prepares one answer.
func (p *page) finding(i int, f Finding, names groupNames) (findingView, error) {
	v, badge := f.badge(p.Lang)
	out := findingView{
		ID: "f" + strconv.Itoa(i+1), Question: f.Question, Outcome: f.Outcome, Address: f.Address, Kind: p.Lang.Text("report.kind-" + string(f.Kind)),
		Verdict: string(v), Badge: badge, Sentence: upper(f.sentence(p.Lang, names)), Notes: p.notes(f.Notes),
		Deviation: f.Deviation, Under: f.Under, Gates: f.Gates,
	}
	if len(f.Says) > 1 && (out.Sentence == upper(f.Says[0]) || f.Says[0] == "" && f.Estimate.Shown) {
		out.Says = f.Says[1:]
	}
	if f.Kind == Refused {
		out.Why, out.Fix = f.Why, f.Fix
	}
	for _, fig := range f.Figures {
		d, err := draw(fig)
		if err != nil {
			return out, err
		}
		out.Figures = append(out.Figures, d)
	}
	out.Table = p.numbers(f, names)
	if f.Naive != nil && f.Naive.Change.Shown {
		n := f.Naive.Change.Number
		out.Naive = p.Lang.Text("report.naive", "change", newGauge(p.Lang, f.Unit, n).signedWith(n.Value))
	}
	if len(f.Rows) > 0 {
		t := p.newTable(p.Lang.Text("report.h-further"), f.Rows[0].Estimate, names)
		for _, r := range f.Rows {
			row := p.estimateRow(r.Label, r.unit(f), r.Estimate, f.Signed || differs(r.Estimate))
			row.Notes = p.notes(r.Notes)
			t.Rows = append(t.Rows, row)
		}
		t.gather()
		out.Further = t
	}
	return out, nil
}

func (r Row) unit(f Finding) Unit {
	if r.Unit != "" {
		return r.Unit
	}
	return f.Unit
}

func (p *page) newTable(caption string, e release.Estimate, names groupNames) *numberTable {
	t := &numberTable{Caption: caption, Interval: p.Lang.Text("report.col-interval-any"),
		Treated: p.Lang.Text("report.col-n-treated", "treated", names.Treated), Control: p.Lang.Text("report.col-n-control", "control", names.Control)}
	if level := e.Number.CI.Level; level > 0 {
		t.Interval = p.Lang.Text("report.col-interval", "level", level)
	}
	return t
}

// numbers is the table behind an answer: every number of its text stands in it.
func (p *page) numbers(f Finding, names groupNames) *numberTable {
	l, e := p.Lang, f.Estimate.Number
	t := p.newTable(l.Text("report.table-finding"), f.Estimate, names)
	g := newGauge(l, f.Unit, e)
	if f.Kind != Refused {
		label := l.Text("report.row-description")
		if f.Kind == Check {
			label = l.Text("report.row-check")
		}
		if f.Kind == Effect || f.Kind == Association {
			label = l.Text("report.row-difference", "kind", l.Text("report.kind-"+string(f.Kind)))
		}
		label = cmp.Or(f.Row, label)
		t.Rows = append(t.Rows, p.estimateRow(label, f.Unit, f.Estimate, f.Kind == Effect || f.Kind == Association || f.Signed || differs(f.Estimate)))
	}
	mean := func(label string, m release.Mean) numberRow {
		return numberRow{Label: label, Value: value(m.Value, g.level), Treated: count(l, m.N), Control: "–", Interval: "–"}
	}
	if f.Means != nil {
		t.Rows = append(t.Rows, mean(l.Text("report.row-mean", "group", names.Treated), f.Means.Treated))
		c := mean(l.Text("report.row-mean", "group", names.Control), f.Means.Control)
		c.Treated, c.Control = c.Control, c.Treated
		t.Rows = append(t.Rows, c)
	}
	if f.Kind == Effect && f.Relevance > 0 {
		t.Rows = append(t.Rows, numberRow{Label: l.Text("report.row-relevance"), Value: g.interval(-f.Relevance, f.Relevance), Interval: "–", Treated: "–", Control: "–"})
	}
	if f.Truth != nil {
		row := numberRow{Label: l.Text("report.row-truth"), Value: g.signedWith(f.Truth.Value), Interval: "–", Treated: "–", Control: "–"}
		if e.CI.Lo <= f.Truth.Value && f.Truth.Value <= e.CI.Hi {
			row.Interval = l.Text("report.row-truth-in")
		} else if f.Estimate.Shown {
			row.Interval = l.Text("report.row-truth-out")
		}
		t.Rows = append(t.Rows, row)
	}
	if f.Naive != nil {
		t.Rows = append(t.Rows, mean(l.Text("report.row-before"), f.Naive.Before), mean(l.Text("report.row-after"), f.Naive.After),
			p.estimateRow(l.Text("report.row-change"), f.Unit, f.Naive.Change, true))
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

func (p *page) estimateRow(label string, u Unit, e release.Estimate, difference bool) numberRow {
	row := numberRow{Label: label, Value: "..", Interval: ".."}
	row.Treated, row.Control = counts(p.Lang, e)
	if !e.Shown {
		return row
	}
	g := newGauge(p.Lang, u, e.Number)
	row.Value, row.Interval = g.signedWith(e.Number.Value), g.interval(e.Number.CI.Lo, e.Number.CI.Hi)
	if !difference {
		level := g
		if u == PercentagePoints {
			level.unit = Percent
		}
		row.Value, row.Interval = level.with(e.Number.Value), level.interval(e.Number.CI.Lo, e.Number.CI.Hi)
	}
	return row
}

// card is a key result: the number, its interval and the sentence.
func (p *page) card(v findingView, f Finding) card {
	c := card{ID: v.ID, Outcome: v.Outcome, Verdict: v.Verdict, Badge: v.Badge, Sentence: v.Sentence, Deviation: v.Deviation, HasNotes: len(v.Notes) > 0}
	if f.Kind != Refused {
		row := p.estimateRow("", f.Unit, f.Estimate, f.Kind == Effect || f.Kind == Association || differs(f.Estimate))
		c.Value, c.Interval = row.Value, row.Interval
		if f.Estimate.Shown && (f.Kind == Effect || f.Kind == Association) {
			c.Strip = strip(p.Lang, f)
		}
	}
	if met := len(f.Gates); met > 0 {
		for _, g := range f.Gates {
			if !g.Met {
				met--
			}
		}
		c.Gates = p.Lang.Text("report.card-gates", "met", met, "all", len(f.Gates))
	}
	return c
}

// upper makes the first letter of a sentence a capital.
func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
