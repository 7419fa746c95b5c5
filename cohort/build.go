package cohort

import (
	"fmt"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// Outcome is a column made from the paths after time zero. Exactly one of At and
// Over is set. The value is missing where a month it needs is not observed; death,
// emigration and pension are states, so they are observed.
type Outcome struct {
	Name   string   `yaml:"name,omitempty"`
	States []string `yaml:"states,omitempty"` // the states that count
	At     int      `yaml:"at,omitempty"`     // in one of the states At months after time zero: 0 or 1
	Over   int      `yaml:"over,omitempty"`   // months in the states during the first Over months
}

// Built is what [Build] gives: one row per unit, with background known at time zero
// and outcomes after it, and the paths that both were made from.
type Built struct {
	Table     *table.Table
	Paths     *Paths
	Attrition []Step
}

// Build turns a register into a cohort table by the [Timing]. Rows are sorted by
// person and time zero whatever the order of the input.
//
// Background columns see only months before time zero: age in completed years by
// calendar year, the state of the last month, how long it had lasted (within the
// longest look-back), and months in each state over each look-back
// ("months_STATE_12"). A person whose longest look-back is not fully observed is
// left out and counted. Columns of the people table are carried along except those
// named in drop (what was not known at time zero, such as the date of death).
func Build(r Register, t Timing, outcomes []Outcome, drop []string, seed uint64, workers int) (*Built, error) {
	if errs := t.Check(); len(errs) > 0 {
		return nil, errs[0]
	}
	ids, has, err := r.People.Text("person")
	if err != nil {
		return nil, err
	}
	person := make(map[string]int, len(ids))
	for i, id := range ids {
		if has != nil && !has[i] {
			return nil, fmt.Errorf("people: row %d has no person", i+1)
		}
		if _, dup := person[id]; dup {
			return nil, fmt.Errorf("people: row %d: the person is there twice", i+1)
		}
		person[id] = i
	}
	h, err := readHistories(r.Spells, person, len(ids))
	if err != nil {
		return nil, fmt.Errorf("spells: %w", err)
	}
	last, err := lastMonth(r.Spells)
	if err != nil {
		return nil, fmt.Errorf("spells: %w", err)
	}
	first, err := firstStarts(r.Participations, person, len(ids))
	if err != nil {
		return nil, fmt.Errorf("participations: %w", err)
	}
	from, _ := ParseMonth(t.From)
	to, _ := ParseMonth(t.To)
	cands, steps := candidates(ids, first, from, to, seed, func(p int, m Month) bool { return m <= last && h.at(p, m) >= 0 })

	paths := &Paths{States: h.states, Before: t.maxLookBack(), After: t.FollowUp + 1}
	width := paths.Before + paths.After
	paths.Code = make([]int8, len(cands)*width)
	num.ForChunks(len(cands), workers, func(_, lo, hi int) {
		for u := lo; u < hi; u++ {
			h.fill(cands[u].person, cands[u].zero, paths.Before, paths.After, last, paths.Code[u*width:(u+1)*width])
		}
	})
	cands, paths, steps = completeLookBack(cands, paths, steps)

	b := &Built{Paths: paths, Attrition: steps}
	if b.Table, err = unitTable(r.People.Without(drop...), ids, cands, paths, t); err != nil {
		return nil, err
	}
	for _, o := range outcomes {
		c, err := o.column(paths, len(cands))
		if err != nil {
			return nil, err
		}
		if b.Table.Has(c.Name) {
			return nil, fmt.Errorf("outcome %q has the name of another column", c.Name)
		}
		if b.Table, err = b.Table.With(c); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// completeLookBack leaves out units whose longest look-back has a month that was not observed.
func completeLookBack(cands []candidate, paths *Paths, steps []Step) ([]candidate, *Paths, []Step) {
	prev := steps[len(steps)-1]
	s := Step{
		Name: "look-back", Rule: fmt.Sprintf("observed in all of the %d months before time zero", paths.Before),
		UnitsIn: prev.UnitsOut, TreatedIn: prev.TreatedOut,
	}
	var keep []int
	for u, c := range cands {
		whole := true
		for m := -paths.Before; m < 0 && whole; m++ {
			whole = paths.At(u, m) >= 0
		}
		if !whole {
			continue
		}
		keep = append(keep, u)
		if c.treated {
			s.TreatedOut++
		}
	}
	s.UnitsOut = len(keep)
	kept := make([]candidate, len(keep))
	for i, u := range keep {
		kept[i] = cands[u]
	}
	return kept, paths.Take(keep), append(steps, s)
}

// unitTable makes the columns known at time zero.
func unitTable(people *table.Table, ids []string, cands []candidate, paths *Paths, t Timing) (*table.Table, error) {
	n := len(cands)
	rows := make([]int, n)
	units, persons := make([]string, n), make([]string, n)
	treated := make([]bool, n)
	zero := make([]int64, n)
	quarter := make([]string, n)
	for u, c := range cands {
		rows[u] = c.person
		persons[u] = ids[c.person]
		units[u] = persons[u] + "@" + c.zero.String()
		if c.treated {
			units[u] = persons[u]
		}
		treated[u] = c.treated
		zero[u] = int64(c.zero)
		quarter[u] = fmt.Sprintf("%04d-Q%d", int(c.zero)/12, int(c.zero)%12/3+1)
	}
	cols := []table.Column{
		table.NewText(table.Field{Name: UnitColumn, Role: table.UnitRole}, units, nil),
		table.NewText(table.Field{Name: PersonColumn, Role: table.ClusterRole}, persons, nil),
		table.NewBoolean(table.Field{Name: ParticipantColumn, Role: table.TreatmentRole}, treated, nil),
		table.NewInteger(table.Field{Name: ZeroColumn, Unit: "month", Role: table.TimeRole}, zero, nil),
		table.CategoryOf(table.Field{Name: QuarterColumn}, quarter),
	}
	last, lasted := make([]string, n), make([]int64, n)
	counts := make([][]int64, len(t.LookBack)*len(paths.States))
	for i := range counts {
		counts[i] = make([]int64, n)
	}
	for u := range n {
		code := paths.At(u, -1)
		last[u] = paths.States[code]
		for m := -1; m >= -paths.Before && paths.At(u, m) == code; m-- {
			lasted[u]++
		}
		for l, months := range t.LookBack {
			for m := -months; m < 0; m++ {
				counts[l*len(paths.States)+int(paths.At(u, m))][u]++
			}
		}
	}
	cols = append(cols,
		table.CategoryOf(table.Field{Name: LastStateColumn}, last),
		table.NewInteger(table.Field{Name: DurationColumn, Unit: "months"}, lasted, nil))
	for l, months := range t.LookBack {
		for s, state := range paths.States {
			f := table.Field{Name: fmt.Sprintf("months_%s_%d", state, months), Unit: "months"}
			cols = append(cols, table.NewInteger(f, counts[l*len(paths.States)+s], nil))
		}
	}
	out, err := table.New(cols...)
	if err != nil {
		return nil, err
	}
	background := people.Take(rows)
	for _, f := range background.Fields() {
		if f.Name == PersonColumn {
			continue
		}
		if out.Has(f.Name) {
			return nil, fmt.Errorf("people: the column name %q is taken by the design", f.Name)
		}
		c, err := background.Column(f.Name)
		if err != nil {
			return nil, err
		}
		if out, err = out.With(c); err != nil {
			return nil, err
		}
	}
	if !people.Has("birth_year") {
		return out, nil
	}
	born, err := out.Integer("birth_year")
	if err != nil {
		return nil, err
	}
	age := make([]int64, n)
	for u := range age {
		age[u] = zero[u]/12 - born.Values[u]
	}
	return out.With(table.NewInteger(table.Field{Name: AgeColumn, Unit: "years"}, age, born.Valid))
}

// Check lists what is wrong with the outcome, given the follow-up of the timing.
func (o Outcome) Check(followUp int) []error {
	var errs []error
	if o.Name == "" {
		errs = append(errs, fmt.Errorf("outcome: give it a name"))
	}
	if len(o.States) == 0 {
		errs = append(errs, fmt.Errorf("outcome %q: states: name at least one state", o.Name))
	}
	if (o.At == 0) == (o.Over == 0) {
		errs = append(errs, fmt.Errorf("outcome %q: give either at or over, in months", o.Name))
	}
	if o.At < 0 || o.Over < 0 || max(o.At, o.Over) > followUp {
		errs = append(errs, fmt.Errorf("outcome %q: at and over must lie between 1 and the follow-up of %d months", o.Name, followUp))
	}
	return errs
}

func (o Outcome) column(p *Paths, n int) (table.Column, error) {
	counts := make([]bool, len(p.States))
	for _, s := range o.States {
		k := slices.Index(p.States, s)
		if k < 0 {
			return table.Column{}, fmt.Errorf("outcome %q: no spell has the state %q", o.Name, s)
		}
		counts[k] = true
	}
	values, ok := make([]float64, n), make([]bool, n)
	lo, hi := o.At, o.At+1
	if o.Over > 0 {
		lo, hi = 0, o.Over
	}
	for u := range n {
		ok[u] = true
		for m := lo; m < hi; m++ {
			code := p.At(u, m)
			if code < 0 {
				ok[u] = false
				break
			}
			if counts[code] {
				values[u]++
			}
		}
	}
	f := table.Field{Name: o.Name, Role: table.OutcomeRole, Unit: "share"}
	if o.Over > 0 {
		f.Unit = "months"
	}
	return table.NewFloat(f, values, ok), nil
}
