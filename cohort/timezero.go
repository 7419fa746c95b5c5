package cohort

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Timing says when each person's follow-up starts, and is the emulation of "start
// the measure this month, or go on as before" on register data.
//
// drawn-month (the default): a person who takes up a participation in a month of the
// intake window is a participant with that month as time zero. Every person is also a
// comparison candidate at one month of the window, drawn by a keyed hash of the
// person, and stays one if observed and not yet a participant in that month:
// comparison people are drawn at risk, and whether they take part later plays no role
// in the draw. So one person may be a comparison person first and a participant later;
// the two rows are two units of one person (see [PersonColumn]).
//
// risk-set: each participant is compared with people at risk in the same calendar
// month who come from the same state and have been in it for as long (in bands): the
// category [RiskSetColumn], on which a match is to be exact. Of those at risk at most
// Draws for each participant are drawn by a keyed hash; with all of them, every month
// is a trial of its own (sequential trials). A person can be drawn in several months.
//
// grace-period: everybody who could start in the month drawn, whether or not the person
// does; [Opened.Clone] makes two clones of each. There is no treatment column until then.
//
// Source: risk-set designs in Fredriksson and Johansson (2008) and the target-trial
// emulation of Hernán and Robins (2016). Registry: cohort/METHODS.md, "Time zero and
// background".
type Timing struct {
	From     string `yaml:"from,omitempty"`      // first month of the intake window, "2013-01"
	To       string `yaml:"to,omitempty"`        // last month of the intake window
	LookBack []int  `yaml:"look_back,omitempty"` // months before time zero over which states are counted, e.g. 6, 12, 24
	FollowUp int    `yaml:"follow_up,omitempty"` // months after time zero that outcomes may use
	DataEnd  string `yaml:"data_end,omitempty"`  // last month that the register covers; absent = the last in which a spell begins, or goes on that has an end

	Design        string   `yaml:"design,omitempty"`        // drawn-month (default), risk-set, grace-period
	Origin        []string `yaml:"origin,omitempty"`        // risk-set: states that people come from; absent = all
	Durations     []int    `yaml:"durations,omitempty"`     // risk-set: months at which a band of time spent in the state begins; absent = 1, 3, 6, 12, 24
	Draws         *int     `yaml:"draws,omitempty"`         // risk-set: people at risk drawn for each participant; absent = 20, 0 = all
	Grace         int      `yaml:"grace,omitempty"`         // grace-period: months within which a start counts
	Participation string   `yaml:"participation,omitempty"` // which starts count: first (default), each, washout
	Washout       int      `yaml:"washout,omitempty"`       // months without participation before time zero, of participation: washout
	Later         string   `yaml:"later,omitempty"`         // comparison people who start later: stay (default), censor; grace-period: of the strategy not to start, after the grace period

	// Shift, 0 or below, moves every start of a participation by so many months: a placebo time
	// zero, at which nobody has started yet. Follow-up ends before people start, so that there is
	// no effect, and what is found all the same is not one.
	Shift int `yaml:"shift,omitempty"`

	Lag      int            `yaml:"lag,omitempty"`      // months after its end that the register tells of a month
	Lags     map[string]int `yaml:"lags,omitempty"`     // the same by source (spells, participations, amounts), where it is another
	Features []string       `yaml:"features,omitempty"` // of what lies before time zero: months (default), changes, trend, amounts, participations
}

// Designs of [Timing.Design].
const (
	DrawnMonth  = "drawn-month"  // a comparison month a person, by lot
	RiskSet     = "risk-set"     // those at risk when and where a participant starts
	GracePeriod = "grace-period" // everybody eligible at a month by lot, to be cloned: "start within some months" against "do not"
)

// What becomes of a comparison person who starts after time zero ([Timing.Later]), and
// the names of the effects that are then estimated.
const (
	LaterStays   = "stay"   // follow-up goes on: StartVersusWait
	LaterCensors = "censor" // follow-up ends, and weights make up for it: StartVersusNot

	StartVersusWait = "start-now-versus-wait"
	StartVersusNot  = "start-now-versus-not-within-follow-up"

	// Of a design with a grace period.
	GraceVersusNotInGrace = "start-within-grace-versus-not-within-grace"
	GraceVersusNot        = "start-within-grace-versus-not-within-follow-up"
)

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
	RiskSetColumn     = "risk_set" // category: calendar month, origin state and band of months in it
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

// Register is what [Build] reads: the participant model as tables. Rows may come in
// any order. All dates are civil dates; a state holds in a month if it holds on the
// month's first day.
type Register struct {
	People         *table.Table // person, birth_year, and background columns
	Spells         *table.Table // person, state, from, to (exclusive; missing = goes on)
	Participations *table.Table // person, start, end (exclusive; missing = goes on; read where several participations a person count)
	Amounts        *table.Table // person, month (a date in it), amount; nil where no feature needs it
	// KnownFrom names, for columns of People, the date column of People that says when the
	// value became known: units whose time zero is before have no value.
	KnownFrom map[string]string
}

// Paths are the month-by-month states of the units around time zero.
type Paths struct {
	States []string
	Before int    // months before time zero
	After  int    // months from time zero on
	Code   []int8 // units × (Before+After): index in States, -1 where not observed
}

// At returns the state of unit u in month m relative to time zero, -1 if not observed.
func (p *Paths) At(u, m int) int8 {
	if m < -p.Before || m >= p.After {
		return -1
	}
	return p.Code[u*(p.Before+p.After)+p.Before+m]
}

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
	cell    int32 // risk-set: the cell
}

// drawnMonths returns the participants and a comparison month a person, with the
// attrition row that counts those that were not at risk. With grace everybody who could
// start in the month drawn is a candidate, and nobody a participant yet.
func drawnMonths(ids []string, parts *participations, from, to Month, grace bool, seed uint64, observed func(person int, m Month) bool) ([]candidate, []Step) {
	var out []candidate
	start := Step{Name: "candidates", Rule: fmt.Sprintf("%s in %s to %s, or the month drawn for comparison", parts.what(), from, to)}
	if grace {
		start.Rule = fmt.Sprintf("everybody, at a month drawn in %s to %s", from, to)
	}
	risk := Step{Name: "at-risk", Rule: "observed in the month before and in the month of time zero, and " + parts.free()}
	span := uint64(to - from + 1)
	for p, id := range ids {
		for _, m := range parts.zeros(p, from, to) {
			if grace {
				break
			}
			start.UnitsIn++
			start.TreatedIn++
			if observed(p, m) {
				out = append(out, candidate{person: p, zero: m, treated: true})
				risk.TreatedOut++
			}
		}
		start.UnitsIn++
		m := from + Month(num.KeyedHash(seed, "time-zero/"+id)%span)
		if parts.ready(p, m) && (grace || !parts.starts(p, m)) && observed(p, m) {
			out = append(out, candidate{person: p, zero: m})
		}
	}
	start.UnitsOut, start.TreatedOut = start.UnitsIn, start.TreatedIn
	risk.UnitsIn, risk.TreatedIn, risk.UnitsOut = start.UnitsOut, start.TreatedOut, len(out)
	sortCandidates(out, ids)
	return out, []Step{start, risk}
}

// sortCandidates orders units by person and time zero.
func sortCandidates(c []candidate, ids []string) {
	// People are ranked once, because a person may have many units.
	order, rank := every(len(ids)), make([]int32, len(ids))
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(ids[a], ids[b]) })
	for k, p := range order {
		rank[p] = int32(k)
	}
	slices.SortFunc(c, func(a, b candidate) int {
		if a.person != b.person { // no person is there twice
			return int(rank[a.person] - rank[b.person])
		}
		if a.zero != b.zero {
			return int(a.zero - b.zero)
		}
		return arm(a.treated) - arm(b.treated)
	})
}
