package cohort

import (
	"errors"
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
	At     int      `yaml:"at,omitempty"`     // in one of the states At months after time zero: 0 or 1; below 0: before it, a placebo outcome
	Over   int      `yaml:"over,omitempty"`   // months in the states during the first Over months
}

// Opened is what lies after time zero for units of a [Built].
type Opened struct {
	Table *table.Table // the units' rows of Built.Table, and the outcomes
	Paths *Paths
	Units []int // their rows in Built.Table
	// Start is, for a comparison unit, the month after time zero in which its person next
	// starts a participation, and -1 where none is seen within the follow-up; for a
	// participant 0. In a design with a grace period a start in the month of time zero is 0.
	Start []int

	b        *Built
	s        *sources
	last     Month
	outcomes []Outcome
}

// Open reads what comes after time zero for the given rows of b.Table, as after
// matching; nil means all. The people table of r is not read.
//
// Follow-up ends with the last month that the register covers, which is [Timing.DataEnd]
// or, without it, the last month in which any spell begins or a spell that has an end
// goes on: later months are not observed, though a spell without an end lasts. An intake
// window that goes on after that month is an error. With [LaterCensors] the follow-up
// of a comparison unit ends the month before its own start: outcomes that need more are
// missing, and [Opened.Censor] gives the weights that make up for it.
func (b *Built) Open(r Register, units []int, outcomes []Outcome, workers int) (*Opened, error) {
	s := &sources{person: map[string]int{}}
	if units == nil {
		units = every(len(b.units))
	}
	for _, u := range units {
		if u < 0 || u >= len(b.units) {
			return nil, errors.New("units: there is no such row in the table of the design")
		}
		if id := b.units[u].person; !has(s.person, id) {
			s.person[id] = len(s.ids)
			s.ids = append(s.ids, id)
		}
	}
	if err := s.read(r, b.timing); err != nil {
		return nil, err
	}
	return b.open(r, s, units, outcomes, workers)
}

func has(m map[string]int, key string) bool { _, ok := m[key]; return ok }

func every(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// open makes paths and outcomes from sources that hold the units' persons.
func (b *Built) open(r Register, s *sources, units []int, outcomes []Outcome, workers int) (*Opened, error) {
	last, err := b.timing.dataEnd(r)
	if err != nil {
		return nil, err
	}
	o := &Opened{Table: b.Table, Units: units, b: b, s: s, last: last, outcomes: outcomes}
	if units == nil {
		o.Units = every(len(b.units))
	} else {
		o.Table = b.Table.Take(units)
	}
	t := b.timing
	o.Start = make([]int, len(o.Units))
	o.Paths = &Paths{States: s.h.states, Before: t.maxLookBack(), After: t.FollowUp + 1}
	for _, out := range outcomes {
		o.Paths.Before = max(o.Paths.Before, -out.At)
	}
	width := o.Paths.Before + o.Paths.After
	o.Paths.Code = make([]int8, len(o.Units)*width)
	num.ForChunks(len(o.Units), workers, func(_, lo, hi int) {
		for k := lo; k < hi; k++ {
			u := b.units[o.Units[k]]
			p, code := s.person[u.person], o.Paths.Code[k*width:(k+1)*width]
			until := min(u.zero+Month(o.Paths.After), last+1)
			s.h.fill(p, u.zero-Month(o.Paths.Before), until, code)
			if u.treated {
				continue
			}
			o.Start[k] = -1
			if next, ok := s.parts.next(p, u.zero); ok && next < until {
				o.Start[k] = int(next - u.zero)
				if t.later() == LaterCensors && t.design() != GracePeriod {
					for m := o.Start[k]; m < o.Paths.After; m++ {
						code[o.Paths.Before+m] = -1
					}
				}
			}
		}
	})
	o.Table, err = withOutcomes(o.Table, o.Paths, outcomes)
	return o, err
}

// withOutcomes adds the outcomes that the paths hold.
func withOutcomes(t *table.Table, p *Paths, outcomes []Outcome) (*table.Table, error) {
	for _, out := range outcomes {
		c, err := out.column(p, t.Rows())
		if err != nil {
			return nil, err
		}
		if t.Has(c.Name) {
			return nil, fmt.Errorf("outcome %q has the name of another column", c.Name)
		}
		if t, err = t.With(c); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// dataEnd is the last month that the register covers.
func (t Timing) dataEnd(r Register) (Month, error) {
	to, _ := ParseMonth(t.To)
	if t.DataEnd != "" {
		return ParseMonth(t.DataEnd)
	}
	last, err := lastMonth(r.Spells)
	if err != nil {
		return 0, fmt.Errorf("spells: %w", err)
	}
	if last < to {
		return 0, fmt.Errorf("%w: to: the intake window goes on after the last month that the spells cover; end it earlier, or say with data_end how far the data go", ErrOption)
	}
	return last, nil
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
	if o.At < -240 || o.Over < 0 || max(o.At, o.Over) > followUp {
		errs = append(errs, fmt.Errorf("outcome %q: at and over must lie between 1 and the follow-up of %d months; at below 0 is months before time zero, 240 at most", o.Name, followUp))
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
