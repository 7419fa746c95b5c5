package cohort

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Timing says when each person's follow-up starts, and is the emulation of "start
// the measure this month, or go on as before" on register data.
//
// A person who takes up a first participation in a month of the intake window is a
// participant with that month as time zero. Every person is also a comparison
// candidate at one month of the window, drawn by a keyed hash of the person, and
// stays one if observed and not yet a participant in that month: comparison people
// are drawn at risk, and whether they take part later plays no role in the draw. So
// one person may be a comparison person first and a participant later; the two rows
// are two units of one person (see [PersonColumn]).
//
// Source: risk-set designs in Fredriksson and Johansson (2008) and the target-trial
// emulation of Hernán and Robins (2016).
type Timing struct {
	From     string `yaml:"from,omitempty"`      // first month of the intake window, "2013-01"
	To       string `yaml:"to,omitempty"`        // last month of the intake window
	LookBack []int  `yaml:"look_back,omitempty"` // months before time zero over which states are counted, e.g. 6, 12, 24
	FollowUp int    `yaml:"follow_up,omitempty"` // months after time zero that outcomes may use
}

// Columns that [Build] adds beside those of the people table.
const (
	UnitColumn        = "unit"        // text, unique: the person, and for comparison rows the month of time zero
	PersonColumn      = "person"      // text: the person, for errors clustered on people
	ParticipantColumn = "participant" // boolean: the treatment
	ZeroColumn        = "time_zero"   // integer: month of time zero, 12·year + month-1
	QuarterColumn     = "zero_quarter"
	LastStateColumn   = "last_state"
	DurationColumn    = "months_in_last_state"
	AgeColumn         = "age"
)

// Month is a calendar month counted as 12·year + month-1.
type Month int

// ParseMonth reads "2013-01".
func ParseMonth(s string) (Month, error) {
	var y, m int
	if n, err := fmt.Sscanf(s, "%4d-%2d", &y, &m); err != nil || n != 2 || len(s) != 7 || m < 1 || m > 12 {
		return 0, errors.New("a month is written as 2013-01")
	}
	return Month(12*y + m - 1), nil
}

// MonthOfDays returns the calendar month of a civil date in days since 1970-01-01.
func MonthOfDays(days int32) Month {
	y, m := civil(int(days))
	return Month(12*y + m - 1)
}

func (m Month) String() string { return fmt.Sprintf("%04d-%02d", int(m)/12, int(m)%12+1) }

// civil returns year and month of a day count (Hinnant's days-to-civil, proleptic Gregorian).
func civil(z int) (year, month int) {
	z += 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month
}

// Check lists what is wrong with the options.
func (t Timing) Check() []error {
	var errs []error
	from, err := ParseMonth(t.From)
	if err != nil {
		errs = append(errs, fmt.Errorf("from: %w", err))
	}
	to, err := ParseMonth(t.To)
	if err != nil {
		errs = append(errs, fmt.Errorf("to: %w", err))
	} else if from > to {
		errs = append(errs, errors.New("from: the intake window ends before it starts"))
	}
	if len(t.LookBack) == 0 {
		errs = append(errs, errors.New("look_back: give at least one number of months"))
	}
	for i, l := range t.LookBack {
		if slices.Contains(t.LookBack[:i], l) {
			errs = append(errs, fmt.Errorf("look_back: %d months are there twice", l))
		}
		if l < 1 || l > 240 {
			errs = append(errs, errors.New("look_back: months must lie between 1 and 240"))
			break
		}
	}
	if t.FollowUp < 1 || t.FollowUp > 240 {
		errs = append(errs, errors.New("follow_up: months must lie between 1 and 240"))
	}
	return errs
}

// Register is what [Build] reads: the participant model as tables. Rows may come in
// any order. All dates are civil dates; a state holds in a month if it holds on the
// month's first day.
type Register struct {
	People         *table.Table // person, birth_year, and background columns
	Spells         *table.Table // person, state, from, to (exclusive; missing = goes on)
	Participations *table.Table // person, start
}

// Paths are the month-by-month states of the units around time zero.
type Paths struct {
	States []string
	Before int    // months before time zero
	After  int    // months from time zero on
	Code   []int8 // units × (Before+After): index in States, -1 where not observed
}

// At returns the state of unit u in month m relative to time zero, -1 if not observed.
func (p *Paths) At(u, m int) int8 { return p.Code[u*(p.Before+p.After)+p.Before+m] }

// Take returns the paths of the given units in the given order.
func (p *Paths) Take(units []int) *Paths {
	w := p.Before + p.After
	out := &Paths{States: p.States, Before: p.Before, After: p.After, Code: make([]int8, 0, len(units)*w)}
	for _, u := range units {
		out.Code = append(out.Code, p.Code[u*w:(u+1)*w]...)
	}
	return out
}

// candidate is a person at a month of the intake window.
type candidate struct {
	person  int // row of the people table
	zero    Month
	treated bool
}

// candidates returns the participants and the comparison draws, sorted by person and
// month, with the attrition row that counts those that were not at risk. first holds
// each person's first participation month, 0 where there is none.
func candidates(ids []string, first []Month, from, to Month, seed uint64, observed func(person int, m Month) bool) ([]candidate, []Step) {
	var out []candidate
	start := Step{Name: "candidates", Rule: fmt.Sprintf("first participation in %s to %s, or the month drawn for comparison", from, to)}
	risk := Step{Name: "at-risk", Rule: "observed in the month before and in the month of time zero, and no participation before it"}
	span := uint64(to - from + 1)
	for p, id := range ids {
		s := first[p]
		if s >= from && s <= to {
			start.UnitsIn++
			start.TreatedIn++
			if observed(p, s-1) && observed(p, s) {
				out = append(out, candidate{p, s, true})
				risk.TreatedOut++
			}
		}
		start.UnitsIn++
		m := from + Month(num.KeyedHash(seed, "time-zero/"+id)%span)
		if (s == 0 || s > m) && observed(p, m-1) && observed(p, m) {
			out = append(out, candidate{p, m, false})
		}
	}
	start.UnitsOut, start.TreatedOut = start.UnitsIn, start.TreatedIn
	risk.UnitsIn, risk.TreatedIn, risk.UnitsOut = start.UnitsOut, start.TreatedOut, len(out)
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if c := strings.Compare(ids[a.person], ids[b.person]); c != 0 {
			return c < 0
		}
		if a.zero != b.zero {
			return a.zero < b.zero
		}
		return !a.treated && b.treated
	})
	return out, []Step{start, risk}
}

// firstStarts returns each person's first participation month.
func firstStarts(t *table.Table, person map[string]int, n int) ([]Month, error) {
	ids, has, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	start, err := t.Float("start")
	if err != nil {
		return nil, err
	}
	first := make([]Month, n)
	for i, id := range ids {
		p, known := person[id]
		if (has != nil && !has[i]) || !known || !start.Has(i) {
			continue
		}
		if m := MonthOfDays(int32(start.Values[i])); first[p] == 0 || m < first[p] {
			first[p] = m
		}
	}
	return first, nil
}

// maxLookBack is the longest look-back.
func (t Timing) maxLookBack() int { return slices.Max(t.LookBack) }
