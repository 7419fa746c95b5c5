package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"utfall/study/release"
)

//go:embed report.html
var markup string

//go:embed style.css
var style string

// mostCards is how many key results a reader takes in at a glance.
const mostCards = 5

// Write writes the report as one HTML file without script and without any request to
// elsewhere. The bytes depend on the input alone. Nothing is written when the input
// is incomplete ([ErrInput]) or a figure cannot be shown ([ErrFigure]).
func Write(w io.Writer, in Input) error {
	p, err := build(in)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"t": p.Lang.Text,
		// Our own style sheet; nothing of the input is in it.
		"style": func() template.CSS { return template.CSS(style) },
		"upper": upper,
	}).Parse(markup)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (in Input) check() error {
	switch {
	case !in.Lang.Valid():
		return fmt.Errorf("%w: language %q", ErrInput, string(in.Lang))
	case strings.TrimSpace(in.Title) == "" || strings.TrimSpace(in.Question) == "":
		return fmt.Errorf("%w: a title and a question are needed", ErrInput)
	case in.Protocol.Threshold < 1:
		return fmt.Errorf("%w: no disclosure protocol", ErrInput)
	}
	seen := map[string]bool{}
	headlines := 0
	for _, f := range in.Findings {
		switch {
		case f.Address == "" || f.Outcome == "":
			return fmt.Errorf("%w: finding %q %q needs an address and an outcome", ErrInput, f.Address, f.Outcome)
		case seen[f.Address]:
			return fmt.Errorf("%w: two findings at %q", ErrInput, f.Address)
		case f.Relevance < 0 || math.IsNaN(f.Relevance) || math.IsInf(f.Relevance, 0):
			return fmt.Errorf("%w: finding %q: the smallest difference that matters is a size", ErrInput, f.Address)
		case f.Kind == Refused && (f.Why == "" || f.Fix == ""):
			return fmt.Errorf("%w: finding %q refuses without saying why and what would change it", ErrInput, f.Address)
		}
		if f.Kind == Check && len(f.Says) == 0 {
			return fmt.Errorf("%w: finding %q is a check that says nothing", ErrInput, f.Address)
		}
		switch f.Kind {
		case Effect, Association, Description, Refused, Check:
		default:
			return fmt.Errorf("%w: finding %q is of kind %q", ErrInput, f.Address, string(f.Kind))
		}
		switch f.Good {
		case Up, Down, Neutral, "":
		default:
			return fmt.Errorf("%w: finding %q: direction %q", ErrInput, f.Address, string(f.Good))
		}
		units := []Unit{f.Unit}
		for _, r := range f.Rows {
			units = append(units, r.Unit)
		}
		for _, u := range units {
			switch u {
			case PercentagePoints, Points, Months, Kronor, Percent, PValue, Plain, "":
			default:
				return fmt.Errorf("%w: finding %q: unit %q", ErrInput, f.Address, string(u))
			}
		}
		seen[f.Address] = true
		if f.Headline {
			headlines++
		}
	}
	if headlines > mostCards {
		return fmt.Errorf("%w: %d key results; at most %d are read", ErrInput, headlines, mostCards)
	}
	return nil
}

func build(in Input) (*page, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	p := &page{Lang: in.Lang, Title: in.Title, Question: in.Question, Background: in.Background, Summary: in.Summary,
		Publisher: in.Publisher, Simulated: in.Simulated, CannotSay: in.CannotSay, Plan: in.Plan,
		Version: in.Reproduction.version(), Command: in.Reproduction.Command,
		Seed: strconv.FormatUint(in.Reproduction.Seed, 10), Hashes: in.Reproduction.Hashes}
	names, labels := map[string]groupNames{}, map[string]string{}
	for _, c := range in.Comparisons {
		v, err := p.compared(c)
		if err != nil {
			return nil, err
		}
		p.Compared = append(p.Compared, v)
		names[c.Name], labels[c.Name] = namesOf(in.Lang, c.Treated, c.Control), v.Label
	}
	p.Period = p.months(in.Period)
	p.Level = level(in.Findings)
	p.Cases = math.Round(1000*p.Level) / 10
	about := map[string]bool{}
	for i, f := range in.Findings {
		n, ok := names[f.Comparison]
		if !ok {
			if f.Comparison != "" {
				return nil, fmt.Errorf("%w: finding %q is about the comparison %q, which is not described", ErrInput, f.Address, f.Comparison)
			}
			n = namesOf(in.Lang, "", "")
		}
		v, err := p.finding(i, f, n)
		if err != nil {
			return nil, err
		}
		if len(in.Comparisons) > 1 {
			v.Comparison = labels[f.Comparison]
		}
		p.Findings = append(p.Findings, v)
		p.appendix(f)
		if m := f.Method; m != nil {
			treated, control := counts(in.Lang, f.Estimate)
			p.Methods = append(p.Methods, methodView{f.Outcome, m.Estimand, m.Method, m.StandardErrors, treated, control})
		}
		if f.Headline {
			p.Cards = append(p.Cards, p.card(v, f))
			about[f.Comparison] = true
		}
		if f.Beside {
			p.Beside = append(p.Beside, p.card(v, f))
		}
	}
	for i, c := range in.Comparisons {
		if about[c.Name] {
			p.About = append(p.About, p.about(p.Compared[i], c))
		}
	}
	for _, d := range in.Destinations {
		v, err := p.destination(d)
		if err != nil {
			return nil, err
		}
		p.Destinations = append(p.Destinations, v)
	}
	for _, s := range in.Sources {
		p.Sources = append(p.Sources, p.source(s))
		p.SourceNotes = append(p.SourceNotes, p.notes(s.Notes)...)
	}
	p.Notes = p.notes(in.Notes)
	p.Disclosure = p.disclosure(in.Protocol, in.Published)
	return p, nil
}

// level is the confidence level of the first finding that has one.
func level(fs []Finding) float64 {
	for _, f := range fs {
		if l := f.Estimate.Number.CI.Level; l > 0 {
			return l
		}
	}
	return 0.95
}

func (r Reproduction) version() string {
	return strings.TrimSpace(r.Version + " " + r.Build)
}

// appendix adds every number of a finding with its address.
func (p *page) appendix(f Finding) {
	add := func(address string, u Unit, e release.Estimate, kind Kind) {
		l := p.Lang
		row := appendixRow{Address: address, Value: "..", Interval: "..", P: "..", Kind: l.Text("report.kind-" + string(kind))}
		row.Treated, row.Control = counts(l, e)
		g := newGauge(l, u, e.Number)
		switch {
		case g.ratio:
			row.Unit = l.Text("report.unit-ratio")
		case u == PercentagePoints && !differs(e):
			row.Unit = l.Text("report.unit-percent")
		case u != "":
			row.Unit = l.Text("report.unit-" + string(u))
		}
		if e.Shown {
			row.Value, row.P = g.signed(e.Number.Value), l.PValue(e.Number.Test.P)
			if !differs(e) {
				// A level is not tested against anything.
				row.Value, row.P = g.plain(e.Number.Value), "–"
			}
			row.Interval = g.bounds(e.Number.CI.Lo, e.Number.CI.Hi)
		}
		p.Appendix = append(p.Appendix, row)
	}
	if f.Kind == Refused {
		return
	}
	add(f.Address, f.Unit, f.Estimate, f.Kind)
	if f.Naive != nil && f.Naive.Address != "" {
		add(f.Naive.Address, f.Unit, f.Naive.Change, Description)
	}
	for _, r := range f.Rows {
		add(r.Address, r.unit(f), r.Estimate, f.Kind)
	}
}
