package study

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// costsRun is one costs analysis with what was paid for whom.
type costsRun struct {
	s     *state
	q     *Costs
	b     *built
	u     *progressUnits
	paid  *progress.Payments
	own   [][]float64 // what people themselves were paid: without programme, which is the same for everybody and hides nobody
	notes []table.Note
}

func (s *state) newCostsRun(q *Costs) (*costsRun, error) {
	b := s.cohorts[q.Cohort]
	u, err := newProgressUnits(b)
	if err != nil {
		return nil, err
	}
	t := &costsRun{s: s, q: q, b: b, u: u, paid: &progress.Payments{Payers: q.Payers, Months: q.Months}}
	p := t.paid
	p.Unit, p.Treated, p.Level = u.id, b.treated, s.spec.Level
	if b.cluster != nil {
		p.Cluster = dense(b.cluster, identity(len(u.id)))
	}
	if b.weight != nil {
		p.Weight = estimate.Weights{Kind: estimate.Matching, Values: b.weight}
	}
	for range q.Payers {
		p.Amount = append(p.Amount, make([]float64, len(u.id)*q.Months))
	}
	for i := range u.id {
		m := 0
		for m < q.Months && b.paths.At(i, m) >= 0 {
			m++
		}
		p.Followed = append(p.Followed, m)
	}
	for _, step := range []func() error{t.states, t.data} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	for _, amounts := range p.Amount {
		t.own = append(t.own, slices.Clone(amounts))
	}
	t.programme()
	if q.PriceYear == 0 {
		t.notes = append(t.notes, table.Note{Code: "prices-as-they-are", Text: "Amounts are in the money of the year in which they were paid."})
	}
	return t, nil
}

// add puts an amount of a month, in the money of that month, on a payer of a unit.
func (t *costsRun) add(payer, unit, month int, amount float64) error {
	if t.q.PriceYear != 0 {
		year := (t.u.zero[unit] + month) / 12
		f, ok := t.q.PriceFactors[strconv.Itoa(year)]
		switch {
		case ok:
			amount *= f
		case year != t.q.PriceYear:
			return fmt.Errorf("%w: costs: price_factors: something was paid in %d, which has no factor", ErrSpec, year)
		}
	}
	t.paid.Amount[payer][unit*t.q.Months+month] += amount
	return nil
}

// units are the rows of the cohort by person.
func (t *costsRun) units() map[string][]int {
	of := map[string][]int{}
	for i, p := range t.u.person {
		of[p] = append(of[p], i)
	}
	return of
}

// monthFrom is the first month whose first day is not before a date: a state holds in a month if it holds on its first day.
func monthFrom(days int32) cohort.Month {
	m := cohort.MonthOfDays(days)
	if cohort.MonthOfDays(days-1) == m {
		m++
	}
	return m
}

// states adds the money of the state that each unit is in, month by month: that of the spell that holds then.
func (t *costsRun) states() error {
	if len(t.q.States) == 0 {
		return nil
	}
	name := t.b.spec.TimeZero.Spells
	spells := t.s.data[name].table
	person, _, err := spells.Text("person")
	if err != nil {
		return err
	}
	state, err := spells.Category("state")
	if err != nil {
		return err
	}
	from, err := spells.Integer("from")
	if err != nil {
		return err
	}
	to, err := spells.Integer("to")
	if err != nil {
		return err
	}
	amount, err := spells.Float(t.q.Amount)
	if err != nil {
		return err
	}
	for _, s := range sortedKeys(t.q.States) {
		if !slices.Contains(t.b.paths.States, s) {
			return fmt.Errorf("%w: costs: states: no spell has the state %q", ErrSpec, s)
		}
	}
	units := t.units()
	// held is the row of the spell that holds in a month of a unit, that which began first of those of its state.
	held := make([]int32, len(t.u.id)*t.q.Months)
	began := make([]cohort.Month, len(held))
	for k := range held {
		held[k] = -1
	}
	for row, p := range person {
		of := units[p]
		if len(of) == 0 || !state.Has(row) || !from.Has(row) {
			continue
		}
		start := monthFrom(int32(from.Values[row]))
		for _, i := range of {
			zero := cohort.Month(t.u.zero[i])
			end := zero + cohort.Month(t.paid.Followed[i])
			if to.Has(row) {
				end = min(end, monthFrom(int32(to.Values[row])))
			}
			for m := max(start, zero); m < end; m++ {
				k := i*t.q.Months + int(m-zero)
				if t.b.paths.States[t.b.paths.At(i, int(m-zero))] == state.Levels[state.Codes[row]] && (held[k] < 0 || start < began[k]) {
					held[k], began[k] = int32(row), start
				}
			}
		}
	}
	missing := 0
	for k, row := range held {
		if row < 0 {
			continue
		}
		shares := t.q.States[state.Levels[state.Codes[row]]]
		if len(shares) == 0 {
			continue
		}
		if !amount.Has(int(row)) {
			missing++
			continue
		}
		for j, payer := range t.q.Payers {
			if share := shares[payer]; share != 0 {
				if err := t.add(j, k/t.q.Months, k%t.q.Months, share*amount.Values[row]); err != nil {
					return err
				}
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%w: costs: some months in states that somebody pays for have no value of %q in data %s: costs that are not known are not 0; make the column required, which leaves such spells out as rows that were rejected, or correct the file", ErrInput, t.q.Amount, name)
	}
	return nil
}

// data adds the rows of the data of kind costs.
func (t *costsRun) data() error {
	if t.q.Data == "" {
		return nil
	}
	rows := t.s.data[t.q.Data].table
	person, has, err := rows.Text("person")
	if err != nil {
		return err
	}
	month, err := rows.Integer("month")
	if err != nil {
		return err
	}
	payer, err := rows.Category("payer")
	if err != nil {
		return err
	}
	amount, err := rows.Float("amount")
	if err != nil {
		return err
	}
	units := t.units()
	late := 0
	for row, p := range person {
		of := units[p]
		if len(of) == 0 || has != nil && !has[row] {
			continue
		}
		if !month.Has(row) || !payer.Has(row) || !amount.Has(row) {
			return t.s.rowError(t.q.Data, &estimate.RowError{Row: row, Err: errors.New("a payment needs month, payer and amount")})
		}
		j := slices.Index(t.q.Payers, payer.Levels[payer.Codes[row]])
		for _, i := range of {
			m := int(cohort.MonthOfDays(int32(month.Values[row]))) - t.u.zero[i]
			switch {
			case m < 0 || m >= t.q.Months:
				continue
			case m >= t.paid.Followed[i]:
				late++
				continue
			case j < 0:
				return t.s.rowError(t.q.Data, &estimate.RowError{Row: row, Err: errors.New("a payer that payers does not name: the total would not be one")})
			}
			if err := t.add(j, i, m, amount.Values[row]); err != nil {
				return err
			}
		}
	}
	if late > 0 {
		t.notes = append(t.notes, table.Note{Code: "payments-after-follow-up", Text: "Some payments lie in months in which the person is not followed; they are left out, and those who are followed stand in for them.", Args: map[string]any{"rows": late}})
	}
	return nil
}

// programme adds what the measure costs for each participant, in the month of the start and in the money of the report.
func (t *costsRun) programme() {
	for j, payer := range t.q.Payers {
		for i := range t.u.id {
			if v := t.q.Programme[payer]; v != 0 && t.b.treated[i] && t.paid.Followed[i] > 0 {
				t.paid.Amount[j][i*t.q.Months] += v
			}
		}
	}
}
