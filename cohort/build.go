package cohort

import (
	"fmt"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// Built is a cohort table: one row per unit, with background known at time zero. Of
// [BuildDesign] it holds nothing from after time zero; [Built.Open] reads that.
type Built struct {
	Table     *table.Table
	Paths     *Paths // of [Build]; nil after [BuildDesign]
	Attrition []Step
	Features  []Feature // of every background column: its source and when it was known
	Estimand  string    // the effect that the design is for, such as StartVersusWait
	Notes     []table.Note

	timing Timing
	units  []unit
}

// unit is a person at a time zero, by name, so that a register read again finds it.
type unit struct {
	person  string
	zero    Month
	treated bool
}

// BuildDesign is the design stage: it turns a register into a cohort table by the
// [Timing], and sees nothing of a person after the unit's time zero. Rows are sorted by
// person and time zero whatever the order of the input.
//
// Background columns see only months before time zero, less those of which the register
// does not tell yet ([Timing.Lag]): age in completed years by calendar year, the state of
// the last month, how long it had lasted (within the longest look-back), and the features
// of [Timing.Features] over each look-back ("months_STATE_12"). A person whose longest
// look-back is not fully observed is left out and counted. Columns of the people table
// are carried along except those named in drop (what was not known at time zero, such as
// the date of death), those of [Register.KnownFrom] without the values of which the date
// is after time zero. [Built.Features] lists what was made and when it was known.
//
// Histories are handed to it as [past]s, which end with the month of time zero; of that
// month it asks only whether the person was observed. That the window lies within the
// data is not asked here, because the end of the data is known only from later spells:
// [Built.Open] refuses if it does not.
func BuildDesign(r Register, t Timing, drop []string, seed uint64, workers int) (*Built, error) {
	if errs := t.Check(); len(errs) > 0 {
		return nil, errs[0]
	}
	s, err := readSources(r, t)
	if err != nil {
		return nil, err
	}
	return s.design(r, t, drop, seed, workers)
}

// Build is [BuildDesign] and [Built.Open] for all units in one.
func Build(r Register, t Timing, outcomes []Outcome, drop []string, seed uint64, workers int) (*Built, error) {
	if errs := t.Check(); len(errs) > 0 {
		return nil, errs[0]
	}
	s, err := readSources(r, t)
	if err != nil {
		return nil, err
	}
	b, err := s.design(r, t, drop, seed, workers)
	if err != nil {
		return nil, err
	}
	o, err := b.open(r, s, nil, outcomes, workers)
	if err != nil {
		return nil, err
	}
	b.Table, b.Paths = o.Table, o.Paths
	return b, nil
}

// sources is a register by person.
type sources struct {
	ids    []string // by row of the people table
	person map[string]int
	h      *histories
	parts  *participations
	money  *amounts // nil unless a feature needs it
}

// readSources reads the register for everybody in the people table.
func readSources(r Register, t Timing) (*sources, error) {
	ids, has, err := r.People.Text("person")
	if err != nil {
		return nil, err
	}
	s := &sources{ids: ids, person: make(map[string]int, len(ids))}
	for i, id := range ids {
		if has != nil && !has[i] {
			return nil, fmt.Errorf("people: row %d has no person", i+1)
		}
		if _, dup := s.person[id]; dup {
			return nil, fmt.Errorf("people: row %d: the person is there twice", i+1)
		}
		s.person[id] = i
	}
	return s, s.read(r, t)
}

// read groups the tables by the persons in s.
func (s *sources) read(r Register, t Timing) (err error) {
	if s.h, err = readHistories(r.Spells, s.person, len(s.ids)); err != nil {
		return fmt.Errorf("spells: %w", err)
	}
	if s.parts, err = readParticipations(r.Participations, s.person, len(s.ids), t); err != nil {
		return fmt.Errorf("participations: %w", err)
	}
	if t.has(AmountFeatures) {
		if s.money, err = readAmounts(r.Amounts, s.person, len(s.ids)); err != nil {
			return fmt.Errorf("amounts: %w", err)
		}
	}
	return nil
}

// design draws the units and makes the columns known at time zero.
func (s *sources) design(r Register, t Timing, drop []string, seed uint64, workers int) (*Built, error) {
	from, _ := ParseMonth(t.From)
	to, _ := ParseMonth(t.To)
	b := &Built{timing: t, Estimand: t.estimand()}
	if t.Shift < 0 {
		b.Notes = append(b.Notes, table.Note{Code: "placebo-time-zero", Args: map[string]any{"months": -t.Shift},
			Text: fmt.Sprintf("every start was moved to %d months earlier, when nobody had started: what is found here is no effect", -t.Shift)})
	}
	var cands []candidate
	var sets *riskSetDrawer
	var err error
	switch t.design() {
	case RiskSet:
		if sets, cands, b.Attrition, err = s.riskSets(t, seed, riskWave, workers); err != nil {
			return nil, err
		}
		if n := sets.alone; n > 0 {
			b.Notes = append(b.Notes, table.Note{
				Code: "nobody-at-risk", Text: fmt.Sprintf("%d participants had nobody at risk in their month, state and time in it and were left out: the effect is on the others", n),
				Args: map[string]any{"participants": n},
			})
		}
	default:
		buf := make([]int8, 2)
		cands, b.Attrition = drawnMonths(s.ids, s.parts, from, to, t.design() == GracePeriod, seed, func(p int, m Month) bool { return s.h.past(p, m, buf).present() })
		cands, b.Attrition = s.completeLookBack(cands, b.Attrition, t, workers)
	}
	b.units = make([]unit, len(cands))
	for u, c := range cands {
		b.units[u] = unit{s.ids[c.person], c.zero, c.treated}
	}
	return b, s.unitTable(b, r, cands, t, sets, drop, workers)
}

// completeLookBack leaves out units whose longest look-back has a month that was not observed.
func (s *sources) completeLookBack(cands []candidate, steps []Step, t Timing, workers int) ([]candidate, []Step) {
	prev := steps[len(steps)-1]
	step := Step{
		Name: "look-back", Rule: fmt.Sprintf("observed in all of the %d months before time zero", t.pastMonths()-1),
		UnitsIn: prev.UnitsOut, TreatedIn: prev.TreatedOut,
	}
	ok := make([]bool, len(cands))
	num.ForChunks(len(cands), workers, func(_, lo, hi int) {
		buf := make([]int8, t.pastMonths())
		for u := lo; u < hi; u++ {
			ok[u] = whole(s.h.past(cands[u].person, cands[u].zero, buf))
		}
	})
	var kept []candidate
	for u, c := range cands {
		if !ok[u] {
			continue
		}
		kept = append(kept, c)
		if c.treated {
			step.TreatedOut++
		}
	}
	step.UnitsOut = len(kept)
	return kept, append(steps, step)
}

// unitTable makes the table of what is known at time zero, and the list of its features.
func (s *sources) unitTable(b *Built, r Register, cands []candidate, t Timing, sets *riskSetDrawer, drop []string, workers int) error {
	n := len(cands)
	rows := make([]int, n)
	units, persons := make([]string, n), make([]string, n)
	treated := make([]bool, n)
	zero := make([]int64, n)
	quarter := make([]string, n)
	month, quarters := map[Month]string{}, map[Month]string{}
	for u, c := range cands {
		if _, ok := month[c.zero]; !ok {
			month[c.zero], quarters[c.zero] = "@"+c.zero.String(), fmt.Sprintf("%04d-Q%d", int(c.zero)/12, int(c.zero)%12/3+1)
		}
		rows[u], quarter[u] = c.person, quarters[c.zero]
		persons[u] = s.ids[c.person]
		units[u] = persons[u] + month[c.zero]
		if c.treated && t.participation() == FirstParticipation {
			units[u] = persons[u]
		}
		treated[u] = c.treated
		zero[u] = int64(c.zero)
	}
	cols := []table.Column{
		table.NewText(table.Field{Name: UnitColumn, Role: table.UnitRole}, units, nil),
		table.NewText(table.Field{Name: PersonColumn, Role: table.ClusterRole}, persons, nil),
		table.NewInteger(table.Field{Name: ZeroColumn, Unit: "month", Role: table.TimeRole}, zero, nil),
		table.CategoryOf(table.Field{Name: QuarterColumn}, quarter),
	}
	if t.design() != GracePeriod {
		cols = slices.Insert(cols, 2, table.NewBoolean(table.Field{Name: ParticipantColumn, Role: table.TreatmentRole}, treated, nil))
	}
	for _, c := range []string{ZeroColumn, QuarterColumn} {
		b.Features = append(b.Features, Feature{Column: c, Source: designSource, Known: KnownAtZero})
	}
	if sets != nil {
		c, f, err := sets.column(cands)
		if err != nil {
			return err
		}
		cols, b.Features = append(cols, c), append(b.Features, f)
	}
	made, features, err := s.historyColumns(cands, t, nil, workers)
	if err != nil {
		return err
	}
	b.Features = append(b.Features, features...)
	if b.Table, err = table.New(append(cols, made...)...); err != nil {
		return err
	}
	return b.background(r, rows, zero, drop)
}

const (
	peopleSource = "people"
	designSource = "design"
)

// background adds the columns of the people table, and the age at time zero.
func (b *Built) background(r Register, rows []int, zero []int64, drop []string) error {
	for _, name := range sortedNames(r.KnownFrom) {
		if slices.Contains(drop, name) || slices.Contains(drop, r.KnownFrom[name]) {
			return fmt.Errorf("people: known_from: column %q or the date of it is dropped as well; do one of the two", name)
		}
	}
	background, lost, err := notYetKnown(r.People.Without(drop...).Take(rows), r.KnownFrom, zero)
	if err != nil {
		return err
	}
	for _, name := range sortedNames(lost) {
		b.Notes = append(b.Notes, table.Note{
			Code: "not-yet-known", Text: fmt.Sprintf("column %q: in %d units the value became known after time zero and was taken away", name, lost[name]),
			Args: map[string]any{"column": name, "units": lost[name]},
		})
	}
	out := b.Table
	for _, f := range background.Fields() {
		if f.Name == PersonColumn {
			continue
		}
		if out.Has(f.Name) {
			return fmt.Errorf("people: the column name %q is taken by the design", f.Name)
		}
		c, err := background.Column(f.Name)
		if err != nil {
			return err
		}
		if out, err = out.With(c); err != nil {
			return err
		}
		feature := Feature{Column: f.Name, Source: peopleSource, Known: KnownTaken}
		if date := r.KnownFrom[f.Name]; date != "" {
			feature.Known, feature.Dated = KnownDated, date
		}
		for _, date := range r.KnownFrom {
			if f.Name == date {
				feature.Known, feature.Dated = KnownDated, date
			}
		}
		b.Features = append(b.Features, feature)
	}
	b.Table = out
	if !background.Has("birth_year") {
		return nil
	}
	born, err := out.Integer("birth_year")
	if err != nil {
		return err
	}
	age := make([]int64, len(zero))
	for u := range age {
		age[u] = zero[u]/12 - born.Values[u]
	}
	b.Features = append(b.Features, Feature{Column: AgeColumn, Source: peopleSource, Known: KnownAtZero})
	b.Table, err = out.With(table.NewInteger(table.Field{Name: AgeColumn, Unit: "years"}, age, born.Valid))
	return err
}
