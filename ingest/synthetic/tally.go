package synthetic

import "math"

// The populations the truth is given for.
const (
	everyParticipant = iota // first start with 24 months of follow-up in the register
	consenting              // of them, those with rows in the register
	anonymousOnly           // of them, those without
	studyPopulation         // consenting, first start 2013-01 to 2015-12, 20 to 62 years old
	nPopulations
)

// The groups within a population: everybody, then sex, age, education, county, year.
const (
	groupAll       = 0
	groupSex       = 1
	groupAge       = 3
	groupEducation = 6
	groupCounty    = 9
	nCounties      = 21
	groupYear      = groupCounty + nCounties
)

const (
	armTreated = iota
	armNever
	armWaiting
	nArms
)

// A group counts people by arm, month since the first start and state. Whole numbers
// only: sums do not depend on the order or on the workers.
type group struct {
	n          int64
	occupation [nArms][horizon + 1][nStates]int64
	before     [window]int64      // people in work 24 … 1 months before the first start
	readiness  [horizon + 1]int64 // sum of gains, in millionths
	followed   int64              // people whose longHorizon lies in the register
	stable     [nArms]int64       // of them, those with stable self-support within it
	trait      [2]int64           // sum and sum of squares of the trait without participation, in thousandths
	// waited[k][m] counts people who, 12 (k = 0) and 24 months after, have waited and started m
	// months before; the last place is for those who have not started.
	waited [2][horizon + 2]int64
}

// A tally is what one worker has counted.
type tally struct {
	years     int
	groups    [nPopulations][]group
	defects   [nDefects]int64
	started   []int64 // participations per förbund and year
	anonymous []int64 // participations of people without consent, per year and sex
	atRisk    []int64 // per year: people who could have started for the first time, in January
	begun     []int64 // per year: first starts
	count     counts
}

// counts are the plain counts of the register.
type counts struct {
	people, anonymousPeople, womenPeople                       int64
	participants, women, young, compulsory, abroad, anonymous  int64
	participations, repeaters, ended, endedIllness             int64
	endedStudies, endedRehab, endedWork                        int64
	sickStarters, sickMonths, activityStarters, activityMonths int64
	deaths, emigrations, pensions                              int64
}

func newTally(years int) *tally {
	t := &tally{
		years: years, started: make([]int64, peakForbund*years), anonymous: make([]int64, 2*years),
		atRisk: make([]int64, years), begun: make([]int64, years),
	}
	for k := range t.groups {
		t.groups[k] = make([]group, groupYear+years)
	}
	return t
}

// ageGroup is the index of the age group at the first start: under 30, 30–49, 50 and over.
func ageGroup(age int) int {
	switch {
	case age < 30:
		return 0
	case age < 50:
		return 1
	}
	return 2
}

// add counts the person that s has just simulated.
func (t *tally) add(s *simulator) {
	t.addPerson(s)
	if s.hasArms {
		t.addEffects(s)
	}
}

func (t *tally) addPerson(s *simulator) {
	p, a, c := &s.p, &s.fact, &t.count
	bump := func(n *int64, yes bool) {
		if yes {
			*n++
		}
	}
	c.people++
	bump(&c.anonymousPeople, p.anonymous)
	bump(&c.womenPeople, p.woman)
	if p.end < s.months {
		bump(&c.deaths, p.endState == death)
		bump(&c.emigrations, p.endState == emigration)
		bump(&c.pensions, p.endState == pension)
	}
	first := a.first()
	for y := window / 12; y < t.years; y++ {
		m := y * 12
		if (first < 0 || first >= m) && m < p.end && s.inTarget(m) && s.g.places[p.place].memberIn(FirstYear+y) {
			t.atRisk[y]++
		}
	}
	if a.n == 0 {
		return
	}
	t.begun[first/12]++
	c.participants++
	age := p.age(first)
	bump(&c.women, p.woman)
	bump(&c.young, age < 30)
	bump(&c.compulsory, p.education == compulsory)
	bump(&c.abroad, p.abroad)
	bump(&c.anonymous, p.anonymous)
	bump(&c.repeaters, a.n > 1)
	if last := a.shown[first-1]; last == sickness || last == activity {
		m := first - 1
		for m > 0 && a.shown[m-1] == last {
			m--
		}
		if last == sickness {
			c.sickStarters++
			c.sickMonths += int64(first - m)
		} else {
			c.activityStarters++
			c.activityMonths += int64(first - m)
		}
	}
	for k := range a.n {
		e := &a.episodes[k]
		c.participations++
		t.started[s.g.forbundOf(&s.g.places[p.place], FirstYear+e.start/12)*t.years+e.start/12]++
		if p.anonymous {
			t.anonymous[2*(e.start/12)+int(indicator(p.woman))]++
		}
		bump(&c.ended, e.reason >= 0)
		bump(&c.endedWork, e.reason == 0)
		bump(&c.endedStudies, e.reason == 1)
		bump(&c.endedRehab, e.reason == 2)
		bump(&c.endedIllness, e.reason == 3)
	}
}

func (t *tally) addEffects(s *simulator) {
	p, first := &s.p, s.fact.first()
	age := p.age(first)
	member := [nPopulations]bool{
		everyParticipant: true,
		consenting:       !p.anonymous,
		anonymousOnly:    p.anonymous,
		studyPopulation:  !p.anonymous && inStudyWindow(first) && age >= studyMinAge && age <= studyMaxAge,
	}
	cells := [...]int{
		groupAll, groupSex + int(indicator(p.woman)), groupAge + ageGroup(age), groupEducation + p.education,
		groupCounty + s.g.places[p.place].county, groupYear + first/12,
	}
	for k, yes := range member {
		if !yes {
			continue
		}
		for _, cell := range cells {
			t.groups[k][cell].add(s, first)
		}
	}
}

// The demonstration study's intake: first starts from 2013-01 to 2015-12, at 20 to 62.
const (
	studyFirst  = (2013 - FirstYear) * 12
	studyLast   = (2015-FirstYear)*12 + 11
	studyMinAge = 20
	studyMaxAge = 62
)

func inStudyWindow(month int) bool { return month >= studyFirst && month <= studyLast }

func (g *group) add(s *simulator, first int) {
	g.n++
	for m := range horizon + 1 {
		g.occupation[armTreated][m][s.fact.shown[first+m]]++
		g.occupation[armNever][m][s.untreat.shown[first+m]]++
		g.occupation[armWaiting][m][s.waiting.shown[first+m]]++
		if s.sc.readiness && first+m < s.p.end {
			g.readiness[m] += int64(math.Round(gain(m) * 1e6))
		}
	}
	for k, at := range lifeMonths {
		since := at - (s.waiting.first() - first)
		if s.waiting.first() < 0 || since < 0 {
			since = horizon + 1
		}
		g.waited[k][since]++
	}
	base := int64(math.Round(s.trait() * 1e3))
	addTo(g.trait[:], []int64{base, base * base})
	if to := first + longHorizon; to <= s.months {
		g.followed++
		for a, life := range []*arm{&s.fact, &s.untreat, &s.waiting} {
			if stable(life.shown[first:to]) {
				g.stable[a]++
			}
		}
	}
	for m := range window {
		if s.fact.shown[first-window+m] == work {
			g.before[m]++
		}
	}
}

// merge adds what another worker has counted.
func (t *tally) merge(o *tally) {
	for k := range t.groups {
		for c := range t.groups[k] {
			t.groups[k][c].merge(&o.groups[k][c])
		}
	}
	addTo(t.defects[:], o.defects[:])
	addTo(t.started, o.started)
	addTo(t.anonymous, o.anonymous)
	addTo(t.atRisk, o.atRisk)
	addTo(t.begun, o.begun)
	t.count.merge(&o.count)
}

func (g *group) merge(o *group) {
	g.n += o.n
	for a := range g.occupation {
		for m := range g.occupation[a] {
			addTo(g.occupation[a][m][:], o.occupation[a][m][:])
		}
	}
	addTo(g.before[:], o.before[:])
	addTo(g.readiness[:], o.readiness[:])
	g.followed += o.followed
	addTo(g.stable[:], o.stable[:])
	addTo(g.trait[:], o.trait[:])
	for k := range g.waited {
		addTo(g.waited[k][:], o.waited[k][:])
	}
}

func addTo(a, b []int64) {
	for i, x := range b {
		a[i] += x
	}
}

func (c *counts) merge(o *counts) {
	for _, pair := range [...][2]*int64{
		{&c.people, &o.people}, {&c.anonymousPeople, &o.anonymousPeople}, {&c.womenPeople, &o.womenPeople},
		{&c.participants, &o.participants}, {&c.women, &o.women}, {&c.young, &o.young}, {&c.compulsory, &o.compulsory},
		{&c.abroad, &o.abroad}, {&c.anonymous, &o.anonymous}, {&c.participations, &o.participations},
		{&c.repeaters, &o.repeaters}, {&c.ended, &o.ended}, {&c.endedIllness, &o.endedIllness},
		{&c.endedStudies, &o.endedStudies}, {&c.endedRehab, &o.endedRehab}, {&c.endedWork, &o.endedWork},
		{&c.sickStarters, &o.sickStarters}, {&c.sickMonths, &o.sickMonths},
		{&c.activityStarters, &o.activityStarters}, {&c.activityMonths, &o.activityMonths},
		{&c.deaths, &o.deaths}, {&c.emigrations, &o.emigrations}, {&c.pensions, &o.pensions},
	} {
		*pair[0] += *pair[1]
	}
}
