package synthetic

import (
	"math"
	"strconv"
)

// A Number is a float64 that is null in JSON where it does not exist.
type Number float64

// MarshalJSON writes the shortest number that reads back the same; NaN is null.
func (n Number) MarshalJSON() ([]byte, error) {
	x := float64(n)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, x, 'g', -1, 64), nil
}

// UnmarshalJSON reads null as NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	x, err := strconv.ParseFloat(string(b), 64)
	*n = Number(x)
	return err
}

// Truth is what is true of a register by construction: the content of truth.json.
// Effects come from counting people in simulated lives with and without
// participation that share their random numbers; no estimator is involved.
type Truth struct {
	Format      int               `json:"format"`      // 1
	Options     TruthOptions      `json:"options"`     // what was simulated
	Definitions map[string]string `json:"definitions"` // each word used below, in a sentence
	States      []string          `json:"states"`      // in the order of Occupation
	Ladder      map[string]int    `json:"ladder"`      // state → step
	Rows        map[string]int64  `json:"rows"`        // file → rows without the header
	Counts      Counts            `json:"counts"`

	Participants    Population `json:"participants"`     // first start with 24 months of follow-up in the register
	Consenting      Population `json:"consenting"`       // of them, those with rows in the register
	Anonymous       Population `json:"anonymous"`        // of them, those without
	StudyPopulation Population `json:"study_population"` // consenting, first start 2013-01 to 2015-12, age 20 to 62

	Municipal MunicipalTruth   `json:"municipal"`
	Dirty     map[string]int64 `json:"dirty"` // defect → people with it; all zero in a clean register
}

// TruthOptions repeats the options, defaults filled in, without Workers.
type TruthOptions struct {
	People     int    `json:"people"`
	Years      int    `json:"years"`
	Seed       uint64 `json:"seed"`
	Scenario   string `json:"scenario"`
	Dirty      bool   `json:"dirty"`
	FirstMonth string `json:"first_month"` // "2010-01-01"
	DataEnd    string `json:"data_end"`    // first day after the register
}

// Counts are plain counts and shares of the whole register, anonymous people included.
type Counts struct {
	People                int64   `json:"people"`
	AnonymousPeople       int64   `json:"anonymous_people"`
	Participants          int64   `json:"participants"` // people who ever take part
	AnonymousParticipants int64   `json:"anonymous_participants"`
	Participations        int64   `json:"participations"`
	RepeatParticipants    int64   `json:"repeat_participants"` // with two or more
	Deaths                int64   `json:"deaths"`
	Emigrations           int64   `json:"emigrations"`
	AgePensions           int64   `json:"age_pensions"`
	ShareParticipating    Number  `json:"share_participating"` // participants / people
	ShareWomen            Number  `json:"share_women"`         // of participants, as the next four
	ShareYoung            Number  `json:"share_under_30"`      // at the first start
	ShareCompulsory       Number  `json:"share_compulsory"`    // compulsory school only
	ShareAbroad           Number  `json:"share_born_abroad"`
	ShareAnonymous        Number  `json:"share_anonymous"`
	ShareRepeat           Number  `json:"share_repeat"`
	SicknessStarters      int64   `json:"sickness_starters"`    // sickness benefit in the month before the first start
	SicknessMonths        Number  `json:"sickness_mean_months"` // their mean spell so far, cut at the register's start
	ActivityStarters      int64   `json:"activity_starters"`    // the same for activity compensation
	ActivityMonths        Number  `json:"activity_mean_months"`
	EndedWork             Number  `json:"ended_work"` // share of ended participations, by reason
	EndedStudies          Number  `json:"ended_studies"`
	EndedRehab            Number  `json:"ended_continued_rehab"`
	EndedIllness          Number  `json:"ended_illness"`
	Years                 []int   `json:"years"`        // calendar years of the next two
	AtRisk                []int64 `json:"at_risk"`      // not yet participants, in the target group of a member municipality in January
	FirstStarts           []int64 `json:"first_starts"` // during the year
}

// Population holds the truth for one set of participants.
type Population struct {
	Definition  string           `json:"definition"`
	Overall     Group            `json:"overall"`
	BySex       map[string]Group `json:"by_sex"`        // man, woman
	ByAge       map[string]Group `json:"by_age"`        // at the first start: 17-29, 30-49, 50-64
	ByEducation map[string]Group `json:"by_education"`  // compulsory, secondary, tertiary
	ByCounty    map[string]Group `json:"by_county"`     // county code
	ByYear      map[string]Group `json:"by_start_year"` // year of the first start
	Path        Path             `json:"path"`          // of everybody in the population
}

// Group is the truth for participants of one kind. Numbers are null if there are none.
type Group struct {
	Participants int64    `json:"participants"`
	VersusNever  Contrast `json:"versus_never"` // take part now (and again as it happens) against never
	VersusWait   Contrast `json:"versus_wait"`  // against not now, and later as it happens
	Naive        Naive    `json:"naive"`
	Readiness    []Number `json:"readiness"` // mean effect on the questionnaires' latent trait, months 0 to 24
	Life12       Life     `json:"life_12"`   // what the questionnaires measure, from month 0 to month 12
	Life24       Life     `json:"life_24"`
}

// Life is the effect on what people say themselves. With D the change of a person's
// trait between two waves, N(gain, 2·0.35²), and L half a standard deviation of the trait at the start.
type Life struct {
	SD       Number `json:"sd"`       // of the trait at the start, without participation
	Improved Number `json:"improved"` // P(D > L) with participation
	Worse    Number `json:"worsened"` // P(D < -L) with participation
	Never    Change `json:"versus_never"`
	Wait     Change `json:"versus_wait"` // who waits and starts later gains, too
}

// Change is with participation less without.
type Change struct {
	SD       Number `json:"change"`    // mean change of the trait, in SD
	NetShare Number `json:"net_share"` // P(D > L) - P(D < -L)
}

// Contrast is the mean of participants' lives with participation minus that without.
// Month m is the calendar month m after the month of the first start.
type Contrast struct {
	Work12       Number            `json:"work_12"`         // effect on being in work in month 12, as a share
	Work24       Number            `json:"work_24"`         // … in month 24
	Work24With   Number            `json:"work_24_with"`    // level with participation
	Work24Less   Number            `json:"work_24_without"` // level without
	States12     map[string]Number `json:"states_12"`       // effect on being in each state in month 12
	States24     map[string]Number `json:"states_24"`       // … in month 24
	Months       map[string]Number `json:"months"`          // effect on months in each state during months 0 to 23; sums to 0
	MonthsWith   map[string]Number `json:"months_with"`     // level with participation; sums to 24
	MonthsLess   map[string]Number `json:"months_without"`  // level without; sums to 24
	NetMonths    Number            `json:"net_months"`      // win minus loss
	WinMonths    Number            `json:"win_months"`      // Σ over months 0 to 23 of P(with is on a higher step than without), independent draws
	LossMonths   Number            `json:"loss_months"`
	HigherStep24 Number            `json:"higher_step_24"` // P(higher) - P(lower) in month 24
	Stable36     Number            `json:"stable_36"`      // effect on stable self-support within 36 months, as a share of those with so long a follow-up
	Stable36With Number            `json:"stable_36_with"`
	Stable36Less Number            `json:"stable_36_without"`
}

// Naive is what the participants' own numbers say without a comparison.
type Naive struct {
	WorkBefore24 Number `json:"work_minus_24"` // share in work 24 months before the first start
	WorkBefore1  Number `json:"work_minus_1"`  // in the month before
	WorkAfter24  Number `json:"work_plus_24"`  // in month 24
	Change       Number `json:"change"`        // after minus the month before: what a before/after table shows
}

// Path is the population's life month by month.
type Path struct {
	Months      []int           `json:"months"`    // -24 to 24
	WorkWith    []Number        `json:"work_with"` // share in work; before the start all arms are one
	WorkNever   []Number        `json:"work_never"`
	WorkWait    []Number        `json:"work_wait"`
	ByMonth     []MonthlyEffect `json:"by_month"`        // work_with less work_wait
	States      []string        `json:"states"`          // columns of the next two
	Occupation  [][]Number      `json:"occupation_with"` // months 0 to 24 × states
	OccupationN [][]Number      `json:"occupation_never"`
}

// MonthlyEffect is an effect in a month from the start.
type MonthlyEffect struct {
	Key    int    `json:"key"`
	Effect Number `json:"effect"`
}

func share(a, b int64) Number {
	if b == 0 {
		return Number(math.NaN())
	}
	return Number(float64(a) / float64(b))
}

func newTruth(o Options, sc *scenario, g *geography, t *tally, rows map[string]int64) *Truth {
	dates := calendar(o.Years * 12)
	truth := &Truth{
		Format: 1,
		Options: TruthOptions{
			People: o.People, Years: o.Years, Seed: o.Seed, Scenario: o.Scenario, Dirty: o.Dirty,
			FirstMonth: dates[0], DataEnd: dates[len(dates)-1],
		},
		Definitions: definitions(),
		States:      States(), Ladder: Ladder(), Rows: rows,
		Counts:          newCounts(t),
		Participants:    newPopulation(g, t, everyParticipant),
		Consenting:      newPopulation(g, t, consenting),
		Anonymous:       newPopulation(g, t, anonymousOnly),
		StudyPopulation: newPopulation(g, t, studyPopulation),
		Municipal:       newMunicipalTruth(sc, g),
		Dirty:           map[string]int64{},
	}
	for k, name := range defectNames {
		if defect(k) != clean {
			truth.Dirty[name] = t.defects[k]
		}
	}
	return truth
}

func newCounts(t *tally) Counts {
	c := &t.count
	out := Counts{
		People: c.people, AnonymousPeople: c.anonymousPeople, Participants: c.participants, AnonymousParticipants: c.anonymous,
		Participations: c.participations, RepeatParticipants: c.repeaters,
		Deaths: c.deaths, Emigrations: c.emigrations, AgePensions: c.pensions,
		ShareParticipating: share(c.participants, c.people), ShareWomen: share(c.women, c.participants),
		ShareYoung: share(c.young, c.participants), ShareCompulsory: share(c.compulsory, c.participants),
		ShareAbroad: share(c.abroad, c.participants), ShareAnonymous: share(c.anonymous, c.participants),
		ShareRepeat:      share(c.repeaters, c.participants),
		SicknessStarters: c.sickStarters, SicknessMonths: share(c.sickMonths, c.sickStarters),
		ActivityStarters: c.activityStarters, ActivityMonths: share(c.activityMonths, c.activityStarters),
		EndedWork: share(c.endedWork, c.ended), EndedStudies: share(c.endedStudies, c.ended),
		EndedRehab: share(c.endedRehab, c.ended), EndedIllness: share(c.endedIllness, c.ended),
		AtRisk: t.atRisk[window/12:], FirstStarts: t.begun[window/12:],
	}
	for y := window / 12; y < t.years; y++ {
		out.Years = append(out.Years, FirstYear+y)
	}
	return out
}

func newPopulation(g *geography, t *tally, k int) Population {
	cells := t.groups[k]
	p := Population{
		Definition: populationText[k],
		Overall:    newGroup(&cells[groupAll]), Path: newPath(&cells[groupAll]),
		BySex: map[string]Group{}, ByAge: map[string]Group{}, ByEducation: map[string]Group{},
		ByCounty: map[string]Group{}, ByYear: map[string]Group{},
	}
	for i, name := range []string{"man", "woman"} {
		p.BySex[name] = newGroup(&cells[groupSex+i])
	}
	for i, name := range []string{"17-29", "30-49", "50-64"} {
		p.ByAge[name] = newGroup(&cells[groupAge+i])
	}
	for i, name := range educationNames {
		p.ByEducation[name] = newGroup(&cells[groupEducation+i])
	}
	for i, name := range g.counties {
		p.ByCounty[name] = newGroup(&cells[groupCounty+i])
	}
	for y := window / 12; y < t.years; y++ {
		if y*12+horizon < t.years*12 {
			p.ByYear[strconv.Itoa(FirstYear+y)] = newGroup(&cells[groupYear+y])
		}
	}
	return p
}

func newGroup(c *group) Group {
	out := Group{
		Participants: c.n,
		VersusNever:  newContrast(c, armNever),
		VersusWait:   newContrast(c, armWaiting),
		Naive: Naive{
			WorkBefore24: share(c.before[0], c.n), WorkBefore1: share(c.before[window-1], c.n),
			WorkAfter24: share(c.occupation[armTreated][horizon][work], c.n),
			Change:      share(c.occupation[armTreated][horizon][work]-c.before[window-1], c.n),
		},
	}
	for _, sum := range c.readiness {
		out.Readiness = append(out.Readiness, share(sum, c.n*1_000_000))
	}
	out.Life12, out.Life24 = newLife(c, 0), newLife(c, 1)
	return out
}

// lifeMonths are the months of the later wave.
var lifeMonths = [2]int{12, 24}

// newLife counts on the trait of the people as they are: the spread is that of what they
// would be without participation, plus that from wave to wave.
func newLife(c *group, k int) Life {
	n := float64(c.n)
	if c.n == 0 {
		nan := Number(math.NaN())
		return Life{nan, nan, nan, Change{nan, nan}, Change{nan, nan}}
	}
	mean := float64(c.trait[0]) / n
	sd := math.Sqrt(float64(c.trait[1])/n/1e6 - float64(mean*mean)/1e6 + float64(waveSpread*waveSpread))
	below := func(x float64) float64 { return 0.5 * math.Erfc(-x/(2*waveSpread)) } // of N(0, 2·waveSpread²)
	limit := importantChange * sd
	shares := func(up float64) (improved, worse float64) { return below(up - limit), below(-limit - up) }
	up := float64(c.readiness[lifeMonths[k]]) / n / 1e6
	improved, worse := shares(up)
	var later, net float64 // of those who wait
	for since, people := range c.waited[k] {
		if c.readiness[lifeMonths[k]] == 0 || since == horizon+1 {
			continue // the programme moves nobody, or not yet
		}
		i, w := shares(gain(since))
		later += float64(people) / n * gain(since)
		net += float64(people) / n * (i - w)
	}
	return Life{Number(sd), Number(improved), Number(worse), Change{Number(up / sd), Number(improved - worse)}, Change{Number((up - later) / sd), Number(improved - worse - net)}}
}

// importantChange is the change that counts as clear, in standard deviations of the trait.
const importantChange = 0.5

func newContrast(c *group, other int) Contrast {
	with, less := &c.occupation[armTreated], &c.occupation[other]
	out := Contrast{
		Work12:     share(with[12][work]-less[12][work], c.n),
		Work24:     share(with[24][work]-less[24][work], c.n),
		Work24With: share(with[24][work], c.n), Work24Less: share(less[24][work], c.n),
		States12: map[string]Number{}, States24: map[string]Number{},
		Months: map[string]Number{}, MonthsWith: map[string]Number{}, MonthsLess: map[string]Number{},
	}
	for s, name := range stateNames {
		var a, b int64
		for m := range horizon {
			a += with[m][s]
			b += less[m][s]
		}
		out.States12[name] = share(with[12][s]-less[12][s], c.n)
		out.States24[name] = share(with[24][s]-less[24][s], c.n)
		out.Months[name], out.MonthsWith[name], out.MonthsLess[name] = share(a-b, c.n), share(a, c.n), share(b, c.n)
	}
	var win, loss float64
	for m := range horizon {
		w, l := higher(&with[m], &less[m], c.n)
		win += w
		loss += l
	}
	w24, l24 := higher(&with[horizon], &less[horizon], c.n)
	out.WinMonths, out.LossMonths, out.NetMonths = Number(win), Number(loss), Number(win-loss)
	out.HigherStep24 = Number(w24 - l24)
	out.Stable36With, out.Stable36Less = share(c.stable[armTreated], c.followed), share(c.stable[other], c.followed)
	out.Stable36 = share(c.stable[armTreated]-c.stable[other], c.followed)
	return out
}

// higher returns the probabilities that a person drawn from a is on a higher, and on
// a lower, step than one drawn independently from b; NaN if there is nobody.
func higher(a, b *[nStates]int64, n int64) (win, loss float64) {
	var w, l int64
	for j, x := range a {
		for k, y := range b {
			switch {
			case steps[j] > steps[k]:
				w += x * y
			case steps[j] < steps[k]:
				l += x * y
			}
		}
	}
	pairs := float64(n) * float64(n)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	return float64(w) / pairs, float64(l) / pairs
}

func newPath(c *group) Path {
	p := Path{States: States()}
	for m := -window; m <= horizon; m++ {
		p.Months = append(p.Months, m)
		if m < 0 {
			x := share(c.before[m+window], c.n)
			p.WorkWith, p.WorkNever, p.WorkWait = append(p.WorkWith, x), append(p.WorkNever, x), append(p.WorkWait, x)
			p.ByMonth = append(p.ByMonth, MonthlyEffect{Key: m})
			continue
		}
		p.WorkWith = append(p.WorkWith, share(c.occupation[armTreated][m][work], c.n))
		p.WorkNever = append(p.WorkNever, share(c.occupation[armNever][m][work], c.n))
		p.WorkWait = append(p.WorkWait, share(c.occupation[armWaiting][m][work], c.n))
		p.ByMonth = append(p.ByMonth, MonthlyEffect{Key: m, Effect: p.WorkWith[len(p.WorkWith)-1] - p.WorkWait[len(p.WorkWait)-1]})
		var with, never []Number
		for s := range nStates {
			with = append(with, share(c.occupation[armTreated][m][s], c.n))
			never = append(never, share(c.occupation[armNever][m][s], c.n))
		}
		p.Occupation, p.OccupationN = append(p.Occupation, with), append(p.OccupationN, never)
	}
	return p
}
