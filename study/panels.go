package study

import (
	"fmt"
	"slices"

	"utfall/cohort"
	"utfall/ingest"
	"utfall/table"
)

// Panel puts a table of places over periods on the codes of the last period and adds who
// was a member when, so that did can read it.
type Panel struct {
	Changes  string            `yaml:"changes,omitempty"`  // data of kind changes: which code became which
	Sum      []string          `yaml:"sum,omitempty"`      // columns that are added where places became one
	Mean     map[string]string `yaml:"mean,omitempty"`     // columns that are averaged → the column that weighs them
	Members  string            `yaml:"members,omitempty"`  // data of kind memberships
	Priority []string          `yaml:"priority,omitempty"` // sources of memberships, the first decides
	On       string            `yaml:"on,omitempty"`       // month-day on which a year's membership counts
}

// membershipColumns are those that memberships add to a panel.
var membershipColumns = []string{cohort.MemberColumn, cohort.GroupColumn, cohort.FirstMemberColumn, cohort.LeftColumn}

// The columns that name the place and the period of data of kind municipalities.
const (
	placeColumn  = "municipality"
	periodColumn = "year"
)

func (s *Spec) checkPanel(c *checker, path []any, name string, p *Panel) {
	src := s.Data[name]
	if src.Kind != string(ingest.Municipalities) {
		c.add(path, "panel is used only with data of kind municipalities")
		return
	}
	if p.Changes == "" && p.Members == "" {
		c.add(path, "panel: give changes (of codes), members (of associations), or both")
	}
	if p.Changes != "" {
		s.data(c, at(path, "changes"), p.Changes, string(ingest.Changes))
	} else if len(p.Sum)+len(p.Mean) > 0 {
		c.add(path, "panel: sum and mean are used only with changes")
	}
	if p.Members != "" {
		s.data(c, at(path, "members"), p.Members, string(ingest.Memberships))
		for i, col := range src.Columns {
			if slices.Contains(membershipColumns, col.Name) {
				c.add([]any{"data", name, "columns", i}, "column %q is made by panel: give this one another name", col.Name)
			}
		}
	} else if p.Priority != nil || p.On != "" {
		c.add(path, "panel: priority and on are used only with members")
	}
	numeric := func(key, col string) {
		i := slices.IndexFunc(src.Columns, func(x ingest.Column) bool { return x.Name == col })
		switch {
		case i < 0:
			c.add(at(path, key), "data %q have no column %q", name, col)
		case src.Columns[i].Type != "number" && src.Columns[i].Type != "integer", col == periodColumn:
			c.add(at(path, key), "panel: %s: column %q is no number that could be added", key, col)
		}
	}
	for i, col := range p.Sum {
		numeric("sum", col)
		if slices.Contains(p.Sum[:i], col) {
			c.add(at(path, "sum", i), "panel: sum names %q twice", col)
		}
	}
	for _, col := range sortedKeys(p.Mean) {
		numeric("mean", col)
		numeric("mean", p.Mean[col])
		if slices.Contains(p.Sum, col) {
			c.add(at(path, "mean", col), "panel: %q is under sum and under mean", col)
		}
	}
}

// added are the columns that the panel of a data set makes.
func (src Source) added() []string {
	if src.Panel != nil && src.Panel.Members != "" {
		return membershipColumns
	}
	return nil
}

// panels makes the panels of the study; data were read and checked.
func (s *state) panels() error {
	for _, name := range sortedKeys(s.data) {
		if p := s.spec.Data[name].Panel; p != nil {
			if err := s.panel(s.data[name], p); err != nil {
				return fmt.Errorf("data %s: panel: %w", name, cohortError(err))
			}
		}
		if s.spec.Data[name].Published {
			d := s.data[name]
			d.result.Report.Notes = append(slices.Clone(d.result.Report.Notes), table.Note{
				Code: "published-places", Text: "The values are published statistics about places, no data about people. Numbers that rest on few places are shown, too.",
			})
		}
	}
	return nil
}

func (s *state) panel(d *dataset, p *Panel) error {
	changes, err := s.changes(p)
	if err != nil {
		return err
	}
	var notes []table.Note
	lines := d.line
	if p.Changes != "" {
		t, origin, n, err := cohort.Recode(d.table, cohort.RecodeSpec{Unit: placeColumn, Time: periodColumn, Sum: p.Sum, Mean: p.Mean}, changes)
		if err != nil {
			return s.rowError(d.name, err)
		}
		d.table, d.line = t, func(row int) int { return lines(origin[row]) }
		notes = append(notes, table.Note{
			Code: "codes-recoded", Text: fmt.Sprintf("%d rows of the panel were put on later codes; %d rows were made of several places, and %d places were divided by the shares given", n.Rows, n.Merged, n.Split),
			Args: map[string]any{"recoded": n.Rows, "merged": n.Merged, "split": n.Split},
		})
	}
	if p.Members != "" {
		spells, err := s.memberSpells(p.Members)
		if err != nil {
			return err
		}
		lines := d.line
		t, kept, n, err := cohort.Memberships(d.table, cohort.MembershipSpec{Unit: placeColumn, Time: periodColumn, Priority: p.Priority, On: p.On}, spells, changes)
		if err != nil {
			return s.rowError(p.Members, err)
		}
		d.table, d.line = t, func(row int) int { return lines(kept[row]) }
		notes = append(notes, table.Note{
			Code: "membership", Text: fmt.Sprintf("%d of %d places were members at some time, %d left again, and %d passed from one association to another, which is no exit", n.Ever, n.Places, n.Left, n.Moved),
			Args: map[string]any{"ever": n.Ever, "places": n.Places, "left": n.Left, "moved": n.Moved},
		})
		if n.Differ > 0 {
			notes = append(notes, table.Note{
				Code: "membership-differs", Text: fmt.Sprintf("for %d place-periods of %d places another source says otherwise; the source that goes first was followed", n.Differ, n.DifferPlaces),
				Args: map[string]any{"cells": n.Differ, "places": n.DifferPlaces},
			})
		}
		if n.Mixed > 0 {
			notes = append(notes, table.Note{
				Code: "membership-mixed", Text: fmt.Sprintf("%d places were left out of the panel: they became one of several, of which some were members and some were not", n.Mixed),
				Args: map[string]any{"mixed": n.Mixed},
			})
		}
	}
	places, periods, missing, err := balance(d.table)
	if err != nil {
		return err
	}
	if missing == 0 {
		notes = append(notes, table.Note{
			Code: "panel-balanced", Text: fmt.Sprintf("the panel is balanced: %d places in each of %d periods", places, periods),
			Args: map[string]any{"places": places, "periods": periods},
		})
	} else {
		notes = append(notes, table.Note{
			Code: "panel-unbalanced", Text: fmt.Sprintf("the panel is not balanced: of %d places in %d periods, %d rows are missing", places, periods, missing),
			Args: map[string]any{"places": places, "periods": periods, "missing": missing},
		})
	}
	d.result.Report.Notes = append(slices.Clone(d.result.Report.Notes), notes...)
	return nil
}

// balance counts the places and periods of a panel, and the rows that it lacks.
func balance(t *table.Table) (places, periods, missing int, err error) {
	unit, _, err := t.Text(placeColumn)
	if err != nil {
		return 0, 0, 0, err
	}
	time, err := t.Integer(periodColumn)
	if err != nil {
		return 0, 0, 0, err
	}
	u, p := map[string]bool{}, map[int64]bool{}
	for i := range unit {
		u[unit[i]], p[time.Values[i]] = true, true
	}
	return len(u), len(p), len(u)*len(p) - len(unit), nil
}

func (s *state) changes(p *Panel) ([]cohort.CodeChange, error) {
	if p.Changes == "" {
		return nil, nil
	}
	t := s.data[p.Changes].table
	from, _, err := t.Text("from_code")
	if err != nil {
		return nil, err
	}
	to, _, err := t.Text("to_code")
	if err != nil {
		return nil, err
	}
	period, err := t.Integer(periodColumn)
	if err != nil {
		return nil, err
	}
	var share table.Floats
	if t.Has("share") {
		if share, err = t.Float("share"); err != nil {
			return nil, err
		}
	}
	out := make([]cohort.CodeChange, len(from))
	for i := range out {
		if !period.Has(i) || from[i] == "" || to[i] == "" {
			return nil, s.rowError(p.Changes, &table.RowError{Row: i, Err: fmt.Errorf("a change needs from_code, to_code and %s", periodColumn)})
		}
		out[i] = cohort.CodeChange{From: from[i], To: to[i], Period: int(period.Values[i]), Share: 1, Row: i}
		if t.Has("share") && share.Has(i) {
			out[i].Share = share.Values[i]
		}
	}
	return out, nil
}

func (s *state) memberSpells(name string) ([]cohort.MemberSpell, error) {
	t := s.data[name].table
	place, _, err := t.Text(placeColumn)
	if err != nil {
		return nil, err
	}
	text := func(column string) (func(i int) string, error) {
		if !t.Has(column) {
			return func(int) string { return "" }, nil
		}
		v, _, err := t.Text(column)
		return func(i int) string { return v[i] }, err
	}
	group, err := text("association")
	if err != nil {
		return nil, err
	}
	source, err := text("source")
	if err != nil {
		return nil, err
	}
	from, err := t.Float("from")
	if err != nil {
		return nil, err
	}
	to := table.Floats{}
	if t.Has("to") {
		if to, err = t.Float("to"); err != nil {
			return nil, err
		}
	}
	out := make([]cohort.MemberSpell, len(place))
	for i := range out {
		if !from.Has(i) || place[i] == "" {
			return nil, s.rowError(name, &table.RowError{Row: i, Err: fmt.Errorf("a membership needs %s and from", placeColumn)})
		}
		out[i] = cohort.MemberSpell{Place: place[i], Group: group(i), Source: source(i), From: int32(from.Values[i]), To: cohort.Ongoing, Row: i}
		if t.Has("to") && to.Has(i) {
			out[i].To = int32(to.Values[i])
		}
	}
	return out, nil
}
