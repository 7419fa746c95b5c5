package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"time"

	"utfall/table"
)

// MemberSpell is a spell of a place in a group, [From, To) in days since 1970-01-01, told by a source.
type MemberSpell struct {
	Place, Group, Source string
	From, To             int32 // To = [Ongoing] where it goes on
	Row                  int   // of the table of spells, for messages
}

// Ongoing is the end of a spell that has not ended.
const Ongoing = math.MaxInt32

// MembershipSpec says how memberships are read from spells.
type MembershipSpec struct {
	Unit, Time string   // columns of the panel
	Priority   []string // sources, the first decides; those not named come behind, in byte order
	On         string   // month-day on which a year's membership counts; "07-01" if absent
}

// MembershipCounts say what [Memberships] found.
type MembershipCounts struct {
	Places, Ever, Left, Moved int // places of the panel; members at any time in it; that left; that changed groups
	Differ, DifferPlaces      int // place-periods, and places, where another source says otherwise
	Mixed                     int // places left out: a part was a member and a part was not
}

// Names of the columns that [Memberships] adds.
const (
	MemberColumn      = "member"
	GroupColumn       = "member_of"
	FirstMemberColumn = "first_member"
	LeftColumn        = "left"
)

// Memberships adds to a panel on the last codes whether each place was a member in each
// period, of what, since when, and when it left: see METHODS, "Places over time". kept
// are the rows of the panel that are in it.
func Memberships(t *table.Table, spec MembershipSpec, spells []MemberSpell, changes []CodeChange) (out *table.Table, kept []int, n MembershipCounts, err error) {
	on, err := time.Parse("01-02", orDefault(spec.On))
	if err != nil {
		return nil, nil, n, fmt.Errorf("%w: on %q is not a month and a day such as 07-01", ErrOption, spec.On)
	}
	day := func(year int) int32 {
		return int32(time.Date(year, on.Month(), on.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
	}
	s, err := newSuccession(changes)
	if err != nil {
		return nil, nil, n, err
	}
	for _, sp := range spells {
		if sp.To <= sp.From {
			return nil, nil, n, &table.RowError{Row: sp.Row, Err: fmt.Errorf("a membership ends before it begins, or when it does")}
		}
	}
	unit, _, err := t.Text(spec.Unit)
	if err != nil {
		return nil, nil, n, err
	}
	period, err := t.Integer(spec.Time)
	if err != nil {
		return nil, nil, n, err
	}
	told, err := tellings(spells, s, spec.Priority)
	if err != nil {
		return nil, nil, n, err
	}
	places := slices.Compact(slices.Sorted(slices.Values(unit)))
	first, left, mixed := map[string]int{}, map[string]int{}, map[string]bool{}
	lo, hi := math.MaxInt, math.MinInt
	for i := range unit {
		if !period.Has(i) {
			return nil, nil, n, &table.RowError{Row: i, Err: fmt.Errorf("a row of a panel needs %s", spec.Time)}
		}
		lo, hi = min(lo, int(period.Values[i])), max(hi, int(period.Values[i]))
	}
	for _, p := range places {
		tl := told[p]
		if tl == nil {
			continue
		}
		from := lo
		for _, sp := range tl.spells {
			from = min(from, yearOf(sp.From))
		}
		for year := from; year <= hi; year++ {
			in, part := tl.at(day(year))
			switch {
			case part && year >= lo:
				mixed[p] = true
			case in && first[p] == 0:
				first[p] = year
			case !in && first[p] != 0 && left[p] == 0:
				left[p] = year
			}
		}
	}
	member, since, gone := []int64(nil), []int64(nil), []int64(nil)
	var group []string
	var has []bool
	ever, moved, differ := map[string]bool{}, map[string]map[string]bool{}, map[string]bool{}
	for i, p := range unit {
		if mixed[p] {
			continue
		}
		kept = append(kept, i)
		in, name := false, ""
		if tl := told[p]; tl != nil {
			d := day(int(period.Values[i]))
			in, _ = tl.at(d)
			name = tl.group(d)
			if tl.contradicted(d, in) {
				n.Differ++
				differ[p] = true
			}
		}
		x := int64(0)
		if in {
			x, ever[p] = 1, true
			if moved[p] == nil {
				moved[p] = map[string]bool{}
			}
			moved[p][name] = true
		}
		member, since, gone = append(member, x), append(since, int64(first[p])), append(gone, int64(left[p]))
		group, has = append(group, name), append(has, in && name != "")
	}
	if len(kept) == 0 {
		return nil, nil, n, fmt.Errorf("%w: no place of the panel is left: of each a part was a member and a part was not", ErrNoSupport)
	}
	n.Places, n.Ever, n.DifferPlaces, n.Mixed = len(places)-len(mixed), len(ever), len(differ), len(mixed)
	for _, p := range places {
		if !mixed[p] && left[p] != 0 && left[p] >= lo {
			n.Left++
		}
		if len(moved[p]) > 1 {
			n.Moved++
		}
	}
	levels := slices.Compact(slices.Sorted(slices.Values(group)))
	codes := make([]int32, len(group))
	for k, g := range group {
		c, _ := slices.BinarySearch(levels, g)
		codes[k] = int32(c)
	}
	groups, err := table.NewCategory(table.Field{Name: GroupColumn}, codes, levels, has)
	if err != nil {
		return nil, nil, n, err
	}
	out = t.Take(kept)
	for _, c := range []table.Column{
		table.NewInteger(table.Field{Name: MemberColumn}, member, nil), groups,
		table.NewInteger(table.Field{Name: FirstMemberColumn}, since, nil), table.NewInteger(table.Field{Name: LeftColumn}, gone, nil),
	} {
		if out, err = out.With(c); err != nil {
			return nil, nil, n, err
		}
	}
	return out, kept, n, nil
}

func yearOf(day int32) int { return time.Unix(int64(day)*86400, 0).UTC().Year() }

func orDefault(on string) string {
	if on == "" {
		return "07-01"
	}
	return on
}

// telling is what the sources say of one place of the last codes.
type telling struct {
	spells []MemberSpell // of the sources that decide, one for each old code
	others []MemberSpell // of the other sources
	codes  []string      // the place and all codes that became it, in byte order
	s      *succession
}

// tellings gives each place of the last codes the spells of the codes that became it,
// from the first source in priority that mentions each code.
func tellings(spells []MemberSpell, s *succession, priority []string) (map[string]*telling, error) {
	rank := func(source string) int {
		if i := slices.Index(priority, source); i >= 0 {
			return i
		}
		return len(priority)
	}
	sorted := slices.Clone(spells)
	sort.SliceStable(sorted, func(i, j int) bool {
		a, b := sorted[i], sorted[j]
		switch {
		case rank(a.Source) != rank(b.Source):
			return rank(a.Source) < rank(b.Source)
		case a.Source != b.Source:
			return a.Source < b.Source
		case a.Place != b.Place:
			return a.Place < b.Place
		case a.From != b.From:
			return a.From < b.From
		}
		return a.Group < b.Group
	})
	decides := map[string]string{} // code → source
	out := map[string]*telling{}
	for _, sp := range sorted {
		source, known := decides[sp.Place]
		if !known {
			source, decides[sp.Place] = sp.Source, sp.Source
		}
		heirs, err := s.heirs(sp.Place, 0)
		if err != nil {
			return nil, err
		}
		for _, h := range heirs {
			tl := out[h.place]
			if tl == nil {
				tl = &telling{s: s, codes: s.ancestors(h.place)}
				out[h.place] = tl
			}
			if source == sp.Source {
				tl.spells = append(tl.spells, sp)
			} else {
				tl.others = append(tl.others, sp)
			}
		}
	}
	return out, nil
}

// ancestors are a place and all codes that became it.
func (s *succession) ancestors(place string) []string {
	out := []string{place}
	for from := range s.by {
		if from != place && s.reaches(from, place) {
			out = append(out, from)
		}
	}
	slices.Sort(out)
	return out
}

// reaches reports whether a code is, or becomes, another; codes do not come round.
func (s *succession) reaches(from, to string) bool {
	return from == to || slices.ContainsFunc(s.by[from], func(c CodeChange) bool { return s.reaches(c.To, to) })
}

// alive reports whether a code exists in a year: from the change that made it to the one
// that ended it.
func (s *succession) alive(code string, year int) bool {
	if s.ceased(code, year) {
		return false
	}
	for _, list := range s.by {
		for _, c := range list {
			if c.To == code && year < c.Period {
				return false
			}
		}
	}
	return true
}

// at reports whether the place was a member on a day, and whether only a part of it was.
// A spell told under a code that does not exist then counts for what became, or will
// become, of it.
func (tl *telling) at(day int32) (in, part bool) {
	year, all, members := yearOf(day), 0, 0
	for _, code := range tl.codes {
		if !tl.s.alive(code, year) {
			continue
		}
		all++
		if slices.ContainsFunc(tl.spells, func(sp MemberSpell) bool {
			return sp.From <= day && day < sp.To && (tl.s.reaches(sp.Place, code) || tl.s.reaches(code, sp.Place))
		}) {
			members++
		}
	}
	return members > 0 && members == all, members > 0 && members < all
}

// group is what the place was a member of: of several at once the one entered last.
func (tl *telling) group(day int32) string {
	name, from := "", int32(math.MinInt32)
	for _, sp := range tl.spells {
		if sp.From <= day && day < sp.To && sp.From >= from {
			name, from = sp.Group, sp.From
		}
	}
	return name
}

// contradicted reports whether a source that did not decide says otherwise.
func (tl *telling) contradicted(day int32, in bool) bool {
	says := map[string]bool{}
	for _, sp := range tl.others {
		says[sp.Source] = says[sp.Source] || sp.From <= day && day < sp.To
	}
	for _, x := range says {
		if x != in {
			return true
		}
	}
	return false
}
