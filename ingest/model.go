package ingest

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what the rows of a file are in the participant model.
type Kind string

// The kinds. The column names are the model's: a file that has others gives them
// under source.
const (
	People         Kind = "people"         // a row per person
	Spells         Kind = "spells"         // a row per spell of a person in a state, [from, to); no to = still going on
	Participations Kind = "participations" // a row per participation of a person; no end = still going on
	Assessments    Kind = "assessments"    // a row per answer of a person to an item
	Municipalities Kind = "municipalities" // a row per municipality and year
	Memberships    Kind = "memberships"    // a row per spell of a municipality in an association, [from, to), as a source tells it
	Changes        Kind = "changes"        // a row per code of a municipality that another took over, from a year on
	Costs          Kind = "costs"          // a row per amount
	Flat           Kind = "flat"           // anything: no model
)

// modelColumn is a column that a kind needs (or may have: optional), and of which types.
type modelColumn struct {
	name     string
	types    string
	optional bool
}

const idTypes = "text, integer, category"

// modelColumns are the columns whose meaning the model fixes; others are free.
func modelColumns(k Kind) []modelColumn {
	switch k {
	case People:
		return []modelColumn{{"person", idTypes, false}, {"birth_year", "integer", true}, {"birth_date", "date, month", true},
			{"end_date", "date, month", true}, {"municipality", "category, text", true}}
	case Spells:
		return []modelColumn{{"person", idTypes, false}, {"state", "category, text", false}, {"from", "date, month", false}, {"to", "date, month", false}}
	case Participations:
		return []modelColumn{{"person", idTypes, false}, {"start", "date, month", false}, {"end", "date, month", true}}
	case Assessments:
		return []modelColumn{{"person", idTypes, false}, {"date", "date, month", false}, {"instrument", "category, text", false},
			{"item", "category, text, integer", false}, {"value", "number, integer, category", false}}
	case Municipalities:
		return []modelColumn{{"municipality", "category, text", false}, {"year", "integer", false}}
	case Memberships:
		return []modelColumn{{"municipality", "category, text", false}, {"association", "category, text", true}, {"from", "date, month", false},
			{"to", "date, month", true}, {"source", "category, text", true}}
	case Changes:
		return []modelColumn{{"from_code", "category, text", false}, {"to_code", "category, text", false}, {"year", "integer", false}, {"share", "number", true}}
	case Costs:
		return []modelColumn{{"amount", "number, integer", false}}
	case Flat:
		return []modelColumn{}
	}
	return nil
}

// CheckKind lists what the declaration of a file lacks for its kind: columns that are
// missing or of a type that cannot carry their meaning. Each error wraps [ErrSpec].
func CheckKind(k Kind, src *Source) (errs []error) {
	need := modelColumns(k)
	if need == nil {
		return []error{fmt.Errorf("%w: kind %q is none of: people, spells, participations, assessments, municipalities, memberships, changes, costs, flat", ErrSpec, k)}
	}
	for _, m := range need {
		i := slices.IndexFunc(src.Columns, func(c Column) bool { return c.Name == m.name })
		switch {
		case i < 0 && m.optional:
		case i < 0:
			errs = append(errs, fmt.Errorf("%w: %s need a column %q (%s); if the file calls it something else, give that name under source", ErrSpec, k, m.name, m.types))
		case !slices.Contains(strings.Split(m.types, ", "), src.Columns[i].Type):
			errs = append(errs, fmt.Errorf("%w: column %q of %s is %s, it must be one of: %s", ErrSpec, m.name, k, src.Columns[i].Type, m.types))
		}
	}
	return errs
}

// Member is a file of the register with its kind. CheckRegister changes Result.
type Member struct {
	Name   string
	Kind   Kind
	Source *Source
	Result *Result
}

// RegisterOptions say how the model is checked.
type RegisterOptions struct {
	// Overlap is what happens to spells of a person that overlap: "reject" (the default)
	// rejects the one that begins later; "keep" leaves both, for studies that say which
	// state goes first.
	Overlap string
}

// CheckRegister checks rows against each other, within and between the files of a
// register, moves what cannot be true into quarantine with a reason, and judges each
// file's share of rejected rows again.
//
//	people          a person twice (all rows where they differ, all but one where they
//	                do not), an end before birth, an end before the first participation
//	spells          to before or on from, overlap with another spell of the person
//	participations  end before start
//	spells, participations, assessments: a person who is not among the people
//	municipalities  a code that is not four digits, a municipality twice in a year
//
// What is rejected depends on the rows, never on their order.
func CheckRegister(o RegisterOptions, members ...*Member) error {
	if o.Overlap != "" && o.Overlap != "reject" && o.Overlap != "keep" {
		return fmt.Errorf("%w: overlap %q is neither \"reject\" nor \"keep\"", ErrSpec, o.Overlap)
	}
	for _, m := range members {
		if errs := CheckKind(m.Kind, m.Source); len(errs) > 0 {
			return errs[0]
		}
	}
	first, err := firstStarts(members)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	havePeople := false
	for _, m := range members {
		if m.Kind != People {
			continue
		}
		havePeople = true
		if err := m.people(first); err != nil {
			return err
		}
		ids, _, err := m.Result.Table.Text("person")
		if err != nil {
			return err
		}
		for _, id := range ids {
			known[id] = true
		}
	}
	for _, m := range members {
		if havePeople && (m.Kind == Spells || m.Kind == Participations || m.Kind == Assessments) {
			if err := m.strangers(known); err != nil {
				return err
			}
		}
		switch m.Kind {
		case Spells:
			err = m.spells(o.Overlap != "keep")
		case Participations:
			err = m.backwards("start", "end", false)
		case Municipalities:
			err = m.municipalities()
		}
		if err != nil {
			return err
		}
	}
	for _, m := range members {
		m.Result.renote()
		if err := m.Result.Report.tooMany(m.Source.maxRejected()); err != nil {
			return err
		}
	}
	return nil
}

// renote brings the note about rejected rows up to date.
func (r *Result) renote() {
	kept := r.Report.Notes[:0:0]
	for _, n := range r.Report.Notes {
		if n.Code != "rows-rejected" {
			kept = append(kept, n)
		}
	}
	r.Report.Notes = kept
	r.Report.noteRejected()
}

// firstStarts is the first day of participation of every participant.
func firstStarts(members []*Member) (map[string]float64, error) {
	out := map[string]float64{}
	for _, m := range members {
		if m.Kind != Participations {
			continue
		}
		ids, ok, err := m.Result.Table.Text("person")
		if err != nil {
			return nil, err
		}
		start, err := m.Result.Table.Float("start")
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			if !start.Has(i) || ok != nil && !ok[i] {
				continue
			}
			if was, seen := out[id]; !seen || start.Values[i] < was {
				out[id] = start.Values[i]
			}
		}
	}
	return out, nil
}

// repeated rejects rows that share the values of columns: all of them where they
// differ elsewhere, all but the first where they are the same.
func (m *Member) repeated(columns ...string) error {
	t := m.Result.Table
	k := newKeyChecks(&Source{Key: columns})[0]
	if err := k.add(t, m.Result.Line); err != nil {
		return err
	}
	var drop []dropped
	if err := sameRows(t, k, func(row int, code string) { drop = append(drop, dropped{row, "", code}) }); err != nil {
		return err
	}
	m.Result.drop(drop)
	return nil
}

// required rejects rows without a value in a column.
func (m *Member) required(column string) error {
	c, err := m.Result.Table.Column(column)
	if err != nil || c.Missing() == 0 {
		return err
	}
	var drop []dropped
	for i := range m.Result.Table.Rows() {
		if !c.Has(i) {
			drop = append(drop, dropped{i, column, "required"})
		}
	}
	m.Result.drop(drop)
	return nil
}

func (m *Member) people(first map[string]float64) error {
	if err := m.required("person"); err != nil {
		return err
	}
	if err := m.repeated("person"); err != nil {
		return err
	}
	t := m.Result.Table
	if !t.Has("end_date") {
		return nil
	}
	ids, _, err := t.Text("person")
	if err != nil {
		return err
	}
	end, err := t.Float("end_date")
	if err != nil {
		return err
	}
	born := func(int) (float64, bool) { return 0, false }
	if t.Has("birth_date") {
		b, err := t.Float("birth_date")
		if err != nil {
			return err
		}
		born = func(i int) (float64, bool) { return b.Values[i], b.Has(i) }
	} else if t.Has("birth_year") {
		b, err := t.Integer("birth_year")
		if err != nil {
			return err
		}
		born = func(i int) (float64, bool) {
			ok := b.Has(i) && b.Values[i] > 0 && b.Values[i] < 10_000
			if !ok {
				return 0, false
			}
			return float64(epochDays(int(b.Values[i]), 1, 1)), true
		}
	}
	var drop []dropped
	for i, id := range ids {
		if !end.Has(i) {
			continue
		}
		if b, ok := born(i); ok && end.Values[i] < b {
			drop = append(drop, dropped{i, "end_date", "birth-after-end"})
		}
		if s, ok := first[id]; ok && end.Values[i] < s {
			drop = append(drop, dropped{i, "end_date", "death-before-start"})
		}
	}
	m.Result.drop(drop)
	return nil
}

func (m *Member) strangers(known map[string]bool) error {
	if err := m.required("person"); err != nil {
		return err
	}
	ids, _, err := m.Result.Table.Text("person")
	if err != nil {
		return err
	}
	var drop []dropped
	for i, id := range ids {
		if !known[id] {
			drop = append(drop, dropped{i, "person", "unknown-person"})
		}
	}
	m.Result.drop(drop)
	return nil
}

// backwards rejects rows that end before they start; where open is true also those
// that end on the day they start, because the end is not part of them.
func (m *Member) backwards(from, to string, open bool) error {
	if err := m.required(from); err != nil {
		return err
	}
	t := m.Result.Table
	if !t.Has(to) {
		return nil
	}
	a, err := t.Float(from)
	if err != nil {
		return err
	}
	b, err := t.Float(to)
	if err != nil {
		return err
	}
	var drop []dropped
	for i := range a.Values {
		if b.Has(i) && (b.Values[i] < a.Values[i] || open && b.Values[i] == a.Values[i]) {
			drop = append(drop, dropped{i, to, "end-before-start"})
		}
	}
	m.Result.drop(drop)
	return nil
}

func (m *Member) municipalities() error {
	for _, c := range []string{"municipality", "year"} {
		if err := m.required(c); err != nil {
			return err
		}
	}
	codes, _, err := m.Result.Table.Text("municipality")
	if err != nil {
		return err
	}
	var drop []dropped
	for i, c := range codes {
		if len(c) != 4 || !onlyDigits([]byte(c)) {
			drop = append(drop, dropped{i, "municipality", "municipality-code"})
		}
	}
	m.Result.drop(drop)
	return m.repeated("municipality", "year")
}
