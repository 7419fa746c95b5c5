package cohort

import (
	"fmt"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// Groups of features ([Timing.Features]), each over every look-back L of the timing;
// all end with the last month known at time zero (see [Timing.Lag]). The state of that
// month and how long it had lasted are always there.
const (
	MonthFeatures         = "months"         // months_STATE_L: months in each state; their sum over states is L
	ChangeFeatures        = "changes"        // changes_L: months whose state is not that of the month before, both in L; spells_STATE_L: runs of months in the state
	TrendFeatures         = "trend"          // trend_STATE_L: months in the state in the last ⌊L/2⌋ months minus those in the ⌊L/2⌋ before
	AmountFeatures        = "amounts"        // amount_L: sum; amount_trend_L: as trend
	ParticipationFeatures = "participations" // participations_L: starts
)

// Sources of features that are made; a register may be behind in each ([Timing.Lags]).
const (
	SpellSource         = "spells"
	ParticipationSource = "participations"
	AmountSource        = "amounts"
)

// columnMaker fills one integer column from a unit's past.
type columnMaker struct {
	field   table.Field
	feature Feature
	values  []int64
}

// historyColumns makes the columns of the units that come from histories. want picks
// columns by name; nil means all of the timing.
func (s *sources) historyColumns(cands []candidate, t Timing, want func(string) bool, workers int) ([]table.Column, []Feature, error) {
	n, states, lag := len(cands), s.h.states, t.lag(SpellSource)
	var makers []*columnMaker
	add := func(name, unit string, months int) []int64 {
		if want != nil && !want(name) {
			return nil
		}
		m := &columnMaker{
			table.Field{Name: name, Unit: unit},
			Feature{Column: name, Source: SpellSource, Known: KnownLookBack, From: months + lag, To: lag}, make([]int64, n),
		}
		makers = append(makers, m)
		return m.values
	}
	lasted := add(DurationColumn, "months", t.maxLookBack())
	type window struct {
		months               int
		in, runs, trend      [][]int64 // by state; nil where not wanted
		changes              []int64
		anyIn, anyRuns, anyT bool
	}
	var windows []window
	perState := func(format string, months int, group string) ([][]int64, bool) {
		if !t.has(group) {
			return nil, false
		}
		out, some := make([][]int64, len(states)), false
		for i, state := range states {
			out[i] = add(fmt.Sprintf(format, state, months), "months", months)
			some = some || out[i] != nil
		}
		return out, some
	}
	for _, months := range t.LookBack {
		w := window{months: months}
		w.in, w.anyIn = perState("months_%s_%d", months, MonthFeatures)
		if t.has(ChangeFeatures) {
			w.changes = add(fmt.Sprintf("changes_%d", months), "changes", months)
		}
		w.runs, w.anyRuns = perState("spells_%s_%d", months, ChangeFeatures)
		w.trend, w.anyT = perState("trend_%s_%d", months, TrendFeatures)
		windows = append(windows, w)
	}
	last := make([]int8, n)
	count := func(to [][]int64, code int8, u int, by int64) {
		if to[code] != nil {
			to[code][u] += by
		}
	}
	num.ForChunks(n, workers, func(_, lo, hi int) {
		buf := make([]int8, t.pastMonths())
		for u := lo; u < hi; u++ {
			seen := s.h.past(cands[u].person, cands[u].zero, buf).known(t.maxLookBack(), lag)
			end := len(seen)
			last[u] = seen[end-1]
			if lasted != nil {
				lasted[u] = int64(runLength(seen))
			}
			for _, w := range windows {
				months := seen[end-w.months:]
				if w.anyIn {
					for _, c := range months {
						count(w.in, c, u, 1)
					}
				}
				for i, c := range months {
					if i > 0 && c != months[i-1] && w.changes != nil {
						w.changes[u]++
					}
					if w.anyRuns && (i == 0 || c != months[i-1]) {
						count(w.runs, c, u, 1)
					}
				}
				if half := w.months / 2; w.anyT {
					for i, c := range months[w.months-2*half:] {
						if i < half {
							count(w.trend, c, u, -1)
						} else {
							count(w.trend, c, u, 1)
						}
					}
				}
			}
		}
	})
	var cols []table.Column
	var features []Feature
	if want == nil || want(LastStateColumn) {
		codes := make([]int32, n)
		for u, c := range last {
			codes[u] = int32(c)
		}
		// Every state is a level, so that a rule may name one that nobody here is in.
		c, err := table.NewCategory(table.Field{Name: LastStateColumn}, codes, states, nil)
		if err != nil {
			return nil, nil, err
		}
		cols = append(cols, c)
		features = append(features, Feature{Column: LastStateColumn, Source: SpellSource, Known: KnownLookBack, From: lag + 1, To: lag})
	}
	for _, m := range makers {
		cols = append(cols, table.NewInteger(m.field, m.values, nil))
		features = append(features, m.feature)
	}
	if t.has(ParticipationFeatures) {
		more, f := s.participationColumns(cands, t, want)
		cols, features = append(cols, more...), append(features, f...)
	}
	if t.has(AmountFeatures) {
		more, f := s.amountColumns(cands, t, want)
		cols, features = append(cols, more...), append(features, f...)
	}
	return cols, features, nil
}

// runLength is how many of the last months were spent in the state of the last.
func runLength(months []int8) int {
	n := len(months)
	for i := n - 1; i >= 0; i-- {
		if months[i] != months[n-1] {
			return n - 1 - i
		}
	}
	return n
}

// pastMonths is how many months up to and including time zero a unit's past has.
func (t Timing) pastMonths() int { return t.maxLookBack() + t.lag(SpellSource) + 1 }

// participationColumns counts starts in each look-back.
func (s *sources) participationColumns(cands []candidate, t Timing, want func(string) bool) (cols []table.Column, features []Feature) {
	lag := t.lag(ParticipationSource)
	for _, months := range t.LookBack {
		name := fmt.Sprintf("participations_%d", months)
		if want != nil && !want(name) {
			continue
		}
		v := make([]int64, len(cands))
		for u, c := range cands {
			until := c.zero - Month(lag)
			for _, p := range s.parts.spans[c.person] {
				if p.from >= until {
					break
				}
				if p.from >= until-Month(months) {
					v[u]++
				}
			}
		}
		cols = append(cols, table.NewInteger(table.Field{Name: name, Unit: "starts"}, v, nil))
		features = append(features, Feature{Column: name, Source: ParticipationSource, Known: KnownLookBack, From: months + lag, To: lag})
	}
	return cols, features
}

// amounts holds each person's amounts by month, in order of month.
type amounts struct {
	month [][]Month
	value [][]float64
}

// readAmounts groups amounts by person and adds those of a month. Amounts of a person
// and month are added in ascending order, so that the order of the rows changes no bit.
func readAmounts(t *table.Table, person map[string]int, n int) (*amounts, error) {
	if t == nil {
		return nil, fmt.Errorf("%w: features: amounts: the register has no table of amounts", ErrOption)
	}
	ids, has, err := t.Text("person")
	if err != nil {
		return nil, err
	}
	when, err := t.Float("month")
	if err != nil {
		return nil, err
	}
	amount, err := t.Float("amount")
	if err != nil {
		return nil, err
	}
	type entry struct {
		month Month
		value float64
	}
	by := make([][]entry, n)
	for i, id := range ids {
		p, known := person[id]
		if (has != nil && !has[i]) || !known || !when.Has(i) || !amount.Has(i) {
			continue
		}
		by[p] = append(by[p], entry{MonthOfDays(int32(when.Values[i])), amount.Values[i]})
	}
	out := &amounts{make([][]Month, n), make([][]float64, n)}
	for p, es := range by {
		slices.SortFunc(es, func(a, b entry) int {
			if a.month != b.month {
				return int(a.month - b.month)
			}
			switch {
			case a.value < b.value:
				return -1
			case a.value > b.value:
				return 1
			}
			return 0
		})
		for _, e := range es {
			if k := len(out.month[p]); k > 0 && out.month[p][k-1] == e.month {
				out.value[p][k-1] += e.value
				continue
			}
			out.month[p], out.value[p] = append(out.month[p], e.month), append(out.value[p], e.value)
		}
	}
	return out, nil
}

// sum adds a person's amounts in months [from, to).
func (a *amounts) sum(p int, from, to Month) float64 {
	i, _ := slices.BinarySearch(a.month[p], from)
	s := 0.0
	for ; i < len(a.month[p]) && a.month[p][i] < to; i++ {
		s += a.value[p][i]
	}
	return s
}

// amountColumns adds amounts over each look-back; a month without a row is 0.
func (s *sources) amountColumns(cands []candidate, t Timing, want func(string) bool) (cols []table.Column, features []Feature) {
	lag := t.lag(AmountSource)
	for _, months := range t.LookBack {
		half := Month(months / 2)
		for _, c := range []struct {
			name  string
			value func(p int, until Month) float64
		}{
			{"amount_%d", func(p int, until Month) float64 { return s.money.sum(p, until-Month(months), until) }},
			{"amount_trend_%d", func(p int, until Month) float64 {
				return s.money.sum(p, until-half, until) - s.money.sum(p, until-2*half, until-half)
			}},
		} {
			name := fmt.Sprintf(c.name, months)
			if want != nil && !want(name) {
				continue
			}
			v := make([]float64, len(cands))
			for u, unit := range cands {
				v[u] = c.value(unit.person, unit.zero-Month(lag))
			}
			cols = append(cols, table.NewFloat(table.Field{Name: name}, v, nil))
			features = append(features, Feature{Column: name, Source: AmountSource, Known: KnownLookBack, From: months + lag, To: lag})
		}
	}
	return cols, features
}
