package report

import (
	"math"
	"strconv"
	"strings"

	"utfall/study/release"
)

// limit is the standardised difference above which groups are usually not called alike.
const limit = 0.1

type comparedView struct {
	Label, Population, TimeZero, Period, Design string
	Counts, Kept                                string
	Treated, Control                            string
	Flow                                        []flowRow
	Missing                                     string
	Balance                                     *balanceView
	Figures                                     []drawing
	Notes                                       []noteView
	Trial                                       []TrialRow
	Known                                       []string
}

type flowRow struct{ Step, Rule, LeftTreated, LeftControl, OutTreated, OutControl string }

type balanceView struct {
	Say, Hidden, Counts, RowAbove, Smd, MeanTreated, MeanControl string
	Rows                                                         []balanceRow
}

type balanceRow struct{ Label, Treated, Control, Before, After string }

type destinationView struct {
	Label, Treated, Control string
	Rows                    []destinationRow
	Figures                 []drawing
	Notes                   []noteView
}

// destinationRow has the numbers of 100 and, for the bars, the same as a width.
type destinationRow struct {
	Label, Treated, Control      string
	TreatedWidth, ControlWidth   float64
	TreatedHidden, ControlHidden bool
}

type sourceView struct {
	Name, File, Rows, Rejected string
	Reasons                    []reasonView
}

type reasonView struct{ Text, Rows string }

type disclosureView struct {
	Rule, Total string
	Rows        []disclosureRow
}

type disclosureRow struct{ Place, Why, Cells string }

func label(labels map[string]string, name string) string {
	if s, ok := labels[name]; ok && s != "" {
		return s
	}
	return name
}

func (p *page) compared(c Comparison) (comparedView, error) {
	l, names := p.Lang, namesOf(p.Lang, c.Treated, c.Control)
	v := comparedView{Label: c.Label, Population: c.Population, TimeZero: c.TimeZero, Period: c.Period, Design: c.Design,
		Treated: names.Treated, Control: names.Control, Notes: p.notes(c.Notes), Trial: c.Trial, Known: c.Known}
	if v.Label == "" {
		v.Label = c.Name
	}
	var err error
	if v.Figures, err = drawAll(c.Figures); err != nil {
		return v, err
	}
	if c.Attrition != nil && len(c.Attrition.Steps) > 0 {
		a := c.Attrition
		v.Flow = append(v.Flow, flowRow{Step: l.Text("report.flow-start"), LeftTreated: count(l, a.Start.Treated), LeftControl: count(l, a.Start.Control), OutTreated: "–", OutControl: "–"})
		for _, s := range a.Steps {
			v.Flow = append(v.Flow, flowRow{Step: label(c.StepLabels, s.Name), Rule: s.Rule,
				LeftTreated: count(l, s.Left.Treated), LeftControl: count(l, s.Left.Control),
				OutTreated: count(l, s.Excluded.Treated), OutControl: count(l, s.Excluded.Control)})
		}
		last := a.Steps[len(a.Steps)-1].Left
		v.Counts = l.Text("report.groups-value", "treated_n", count(l, last.Treated), "treated", names.Treated,
			"control_n", count(l, last.Control), "control", names.Control)
		v.Kept = kept(p, a.Start.Treated, last.Treated)
		if !a.Missing.Zero() {
			v.Missing = l.Text("report.flow-missing", "n", count(l, a.Missing))
		}
	}
	if c.Balance != nil {
		v.Balance = p.balance(*c.Balance, c.RowLabels, names)
	}
	return v, nil
}

// about says in a line whom a comparison is about, against whom, and when they began.
func (p *page) about(v comparedView, c Comparison) aboutView {
	l, out := p.Lang, aboutView{Label: v.Label}
	if v.Counts == "" {
		out.Says = []string{upper(l.Text("report.about-groups", "treated", v.Treated, "control", v.Control))}
	} else {
		a := c.Attrition
		last := a.Steps[len(a.Steps)-1].Left
		out.Says = []string{l.Text("report.about-counts", "treated_n", count(l, last.Treated), "treated", v.Treated,
			"control_n", count(l, last.Control), "control", v.Control)}
		n, ok := a.Start.Treated.Int()
		if m, also := last.Treated.Int(); ok && also && m < n {
			out.Says = append(out.Says, l.Text("report.about-kept", "share", l.Percent(float64(m)/float64(n), 0), "start", l.Int(n), "treated", v.Treated))
		}
	}
	if v.Period != "" {
		out.Says = append(out.Says, l.Text("report.about-period", "period", p.months(v.Period)))
	}
	return out
}

// months writes "2013-01–2015-12" with the names of months, and any other period as it is.
func (p *page) months(period string) string {
	parts := strings.Split(period, "–")
	for i, part := range parts {
		year, month, ok := strings.Cut(part, "-")
		m, err := strconv.Atoi(month)
		if !ok || len(year) != 4 || len(month) != 2 || err != nil || m < 1 || m > 12 {
			return period
		}
		parts[i] = p.Lang.Text("report.month-"+month) + "\u00a0" + year
	}
	return strings.Join(parts, " – ")
}

func kept(p *page, start, last release.Count) string {
	n, ok := start.Int()
	m, ok2 := last.Int()
	if !ok || !ok2 || n == 0 {
		return p.Lang.Text("report.kept-hidden")
	}
	return p.Lang.Text("report.kept", "share", p.Lang.Percent(float64(m)/float64(n), 0), "kept", p.Lang.Int(m), "start", p.Lang.Int(n))
}

func (p *page) balance(b release.BalanceTable, labels map[string]string, names groupNames) *balanceView {
	l := p.Lang
	above, of := b.Above(limit)
	written := l.Number(limit, 1)
	v := &balanceView{
		Say:         l.Text("report.balance-say", "above", above, "of", of, "limit", written),
		Counts:      l.Text("report.balance-counts", "above", above, "of", of),
		RowAbove:    l.Text("report.balance-row-above", "limit", written),
		Smd:         l.Text("report.balance-smd", "limit", written),
		MeanTreated: upper(l.Text("report.balance-mean", "group", names.Treated)),
		MeanControl: upper(l.Text("report.balance-mean", "group", names.Control)),
	}
	hidden := 0
	mean := func(x float64) string { return l.Significant(x, 3) }
	smd := func(x float64) string { return l.Signed(x, 2) }
	for _, r := range b.Rows {
		mean := mean
		if r.Group != "" {
			mean = func(x float64) string { return l.Percent(x, 0) }
		}
		row := balanceRow{Label: label(labels, r.Variable),
			Treated: value(r.After.MeanTreated, mean), Control: value(r.After.MeanControl, mean),
			Before: value(r.Before.SMD, smd), After: value(r.After.SMD, smd)}
		if x, ok := r.After.SMD.Float(); ok && math.Abs(x) > limit {
			row.After += "\u00a0*"
		}
		if r.After.SMD.Suppressed() {
			hidden++
		}
		v.Rows = append(v.Rows, row)
	}
	if hidden > 0 {
		v.Hidden = l.Text("report.balance-hidden", "n", hidden)
	}
	return v
}

func (p *page) destination(d Destination) (destinationView, error) {
	l, names := p.Lang, namesOf(p.Lang, d.Treats, d.Controls)
	v := destinationView{Label: d.Label, Treated: names.Treated, Control: names.Control, Notes: p.notes(d.Notes)}
	var err error
	if v.Figures, err = drawAll(d.Figures); err != nil {
		return v, err
	}
	row := func(name string, t, c release.Value) destinationRow {
		r := destinationRow{Label: name, Treated: value(t, p.ofHundred), Control: value(c, p.ofHundred), TreatedHidden: t.Suppressed(), ControlHidden: c.Suppressed()}
		if x, ok := t.Float(); ok {
			r.TreatedWidth = math.Round(1000*x) / 10
		}
		if x, ok := c.Float(); ok {
			r.ControlWidth = math.Round(1000*x) / 10
		}
		return r
	}
	control := map[string]release.Value{}
	for _, s := range d.Control.Classes {
		control[s.Label] = s.Value
	}
	for _, s := range d.Treated.Classes {
		v.Rows = append(v.Rows, row(label(d.Names, s.Label), s.Value, control[s.Label]))
		delete(control, s.Label)
	}
	for _, s := range d.Control.Classes { // classes that no participant is in
		if c, ok := control[s.Label]; ok {
			v.Rows = append(v.Rows, row(label(d.Names, s.Label), release.Value{}, c))
		}
	}
	if !d.Treated.Together.N.Zero() || !d.Control.Together.N.Zero() {
		v.Rows = append(v.Rows, row(l.Text("report.dest-together"), d.Treated.Together.Value, d.Control.Together.Value))
	}
	return v, nil
}

func (p *page) ofHundred(share float64) string { return p.Lang.Number(100*share, 0) }

func (p *page) source(s Source) sourceView {
	v := sourceView{Name: s.Name, File: s.File, Rows: count(p.Lang, s.Rows), Rejected: count(p.Lang, s.Rejected)}
	for _, r := range s.Reasons {
		v.Reasons = append(v.Reasons, reasonView{r.Text, count(p.Lang, r.Rows)})
	}
	return v
}

func (p *page) disclosure(pr release.Protocol, published []string) disclosureView {
	l := p.Lang
	threshold := l.Int(pr.Threshold)
	v := disclosureView{Rule: l.Text("report.disc-rule-exact", "threshold", threshold),
		Total: l.Int(pr.Cells())}
	if pr.RoundTo > 1 {
		v.Rule = l.Text("report.disc-rule", "threshold", threshold, "base", l.Int(pr.RoundTo))
	}
	if len(published) > 0 {
		v.Rule += " " + l.Text("report.disc-published", "names", strings.Join(published, ", "))
	}
	for _, w := range pr.Withheld {
		v.Rows = append(v.Rows, disclosureRow{w.Place, l.Text("report.why-" + string(w.Why)), l.Int(w.Cells)})
	}
	return v
}

func drawAll(figs []Figure) ([]drawing, error) {
	var out []drawing
	for _, f := range figs {
		d, err := draw(f)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
