package synthetic

import "math"

// The measures a förbund finances, in the bytes of Windows-1252.
const guidance = 1

var measureNames = [4]string{"samordningsteam", "v\xe4gledning", "arbetstr\xe4ning", "st\xf6d till anst\xe4llning"}

// An episode is one participation, months counted from the start of the register.
type episode struct {
	start, end int // end is exclusive; beyond the data while it goes on
	measure    int
	reason     int // index into reasonNames; -1 while it goes on
}

var reasonNames = [6]string{"work", "studies", "continued-rehab", "illness", "moved", "other"}

// An arm is one version of a person's life.
type arm struct {
	shown    []state // what the register shows, month by month
	latent   state
	counts   [nStates]int16
	episodes [maxEpisodes]episode
	n        int
	phase    int
	treat    [nPhases][nLive + 1]float64
}

// first is the month of the first start, or -1.
func (a *arm) first() int {
	if a.n == 0 {
		return -1
	}
	return a.episodes[0].start
}

// Policies of an arm: who decides whether participation starts.
type policy int

const (
	natural policy = iota // the hazard decides
	never                 // participation never starts
)

// horizon is the length of the follow-up of the truth, in months after the first start;
// longHorizon that of stable self-support: stableRun months in a row without support.
const (
	horizon     = 24
	longHorizon = 36
	stableRun   = 12
)

// A simulator holds the scratch memory of one worker.
type simulator struct {
	o        Options
	sc       *scenario
	g        *geography
	months   int
	bound    float64
	p        person
	d        draw
	mult     [][nLive + 1]float64 // per calendar year; valid where multOK
	multOK   []bool
	rows     [nLive + 1]row
	fact     arm // what happened
	untreat  arm // the same person, never taking part
	waiting  arm // the same person, not taking part in the month of the first start
	hasArms  bool
	observer func(o *observed, t int, started bool, h float64) // tests only
}

// A row is the cumulated intensities out of one state.
type row struct {
	ok    bool
	total float64
	cum   [nLive]float64
}

func newSimulator(o Options, g *geography) *simulator {
	sc, _ := findScenario(o.Scenario)
	s := &simulator{o: o, sc: sc, g: g, months: o.Years * 12, bound: hazardBound()}
	s.mult = make([][nLive + 1]float64, o.Years)
	s.multOK = make([]bool, o.Years)
	for _, a := range []*arm{&s.fact, &s.untreat, &s.waiting} {
		a.shown = make([]state, s.months)
	}
	return s
}

// simulate lives the life of one person, and for a participant whose follow-up of
// 24 months fits into the register the two lives it is compared with.
func (s *simulator) simulate(index int) {
	s.g.drawPerson(s.o.Seed, index, s.months, &s.p, &s.d)
	clear(s.multOK)
	a := &s.fact
	a.counts, a.episodes, a.n, a.phase = [nStates]int16{}, [maxEpisodes]episode{}, 0, phaseNone
	a.latent = s.firstState()
	a.shown[0] = a.latent
	a.counts[a.latent]++
	s.hasArms = false
	s.run(a, 1, s.months, natural, -1)
	if s.hasArms {
		first, to := a.first(), min(a.first()+longHorizon+1, s.months)
		s.run(&s.untreat, first, to, never, -1)
		s.run(&s.waiting, first, to, natural, first)
	}
	for k := range a.n {
		s.finish(&a.episodes[k], k, a)
	}
}

func (s *simulator) firstState() state {
	m := s.multipliers(0)
	total := 0.0
	for k, w := range startWeight {
		total += float64(w * m[k])
	}
	x := s.d.start * total
	for k, w := range startWeight {
		if x -= float64(w * m[k]); x < 0 {
			return state(k)
		}
	}
	return none
}

// run lives months from ≤ t < to of an arm; participation does not start in month skip.
// At the first start of the natural life it copies the arm for the other two lives.
func (s *simulator) run(a *arm, from, to int, by policy, skip int) {
	p := &s.p
	place := &s.g.places[p.place]
	o := observed{woman: p.woman, abroad: p.abroad, education: p.education, county: place.county}
	year := -1
	for t := from; t < to; t++ {
		if t >= p.end {
			for ; t < to; t++ {
				a.shown[t] = p.endState
			}
			return
		}
		if y := t / 12; y != year {
			year = y
			s.forget()
		}
		if t > window {
			a.counts[a.shown[t-window-1]]--
		}
		if t >= window && t != skip && by == natural && place.memberIn(FirstYear+year) && s.idle(a, t) {
			s.enter(a, &o, t)
		}
		if phase := a.phaseAt(t); phase != a.phase {
			a.phase = phase
			s.forget()
		}
		a.latent = s.move(a, t)
		shown := a.latent
		if s.sc.overlay != nil && a.n > 0 {
			shown = s.sc.overlay(shown, t-a.episodes[0].start, p.age(t), &s.d)
		}
		a.shown[t] = shown
		a.counts[shown]++
	}
}

// idle says whether the person could start a participation: none goes on, none is left.
func (s *simulator) idle(a *arm, t int) bool {
	return a.n < maxEpisodes && (a.n == 0 || t >= a.episodes[a.n-1].end+2)
}

// enter lets the hazard decide whether a participation starts in month t.
func (s *simulator) enter(a *arm, o *observed, t int) {
	x := s.d.enter[t]
	if x >= s.bound && s.observer == nil {
		return
	}
	o.months, o.last, o.age, o.year, o.previous = a.counts, a.shown[t-1], s.p.age(t), FirstYear+t/12, a.n
	if !o.mayEnter() {
		return
	}
	h := o.hazard(s.g.pull)
	started := x < h
	if s.observer != nil && a.n == 0 {
		s.observer(o, t, started, h)
	}
	if !started {
		return
	}
	if a == &s.fact && a.n == 0 && t+horizon < s.months {
		s.hasArms = true
		s.untreat.copyLife(a, t)
		s.waiting.copyLife(a, t)
	}
	k := a.n
	e := episode{start: t, end: t + 6 + int(s.d.duration[k]*13), measure: pickMeasure(s.d.measure[k]), reason: -1}
	e.end = min(e.end, s.p.end)
	a.episodes[k] = e
	a.n++
	if k == 0 && s.sc.intensities {
		treatments(&a.treat, &s.p, s.p.age(t), e.measure, s.g.strength(&s.p, s.d.worker))
	}
}

// copyLife takes over what has happened before month t.
func (a *arm) copyLife(from *arm, t int) {
	shown := a.shown
	*a = *from
	a.shown = shown
	copy(a.shown[:t], from.shown[:t])
	if t > window {
		a.counts[a.shown[t-window-1]]++ // run drops this month again
	}
}

func pickMeasure(x float64) int {
	switch {
	case x < 0.45:
		return 0
	case x < 0.60:
		return guidance
	case x < 0.85:
		return 2
	}
	return 3
}

func (a *arm) phaseAt(t int) int {
	if a.n == 0 {
		return phaseNone
	}
	since := t - a.episodes[0].start
	switch {
	case t-a.episodes[a.n-1].start < lockInMonths:
		return phaseLockIn
	case since < effectMonths:
		return phaseEffect
	}
	return phaseFaded
}

// forget makes the cached rows invalid: another year, another phase or another arm.
func (s *simulator) forget() {
	for k := range s.rows {
		s.rows[k].ok = false
	}
}

func (s *simulator) multipliers(year int) *[nLive + 1]float64 {
	if !s.multOK[year] {
		multipliers(&s.mult[year], &s.p, s.d.frailty, s.g.places[s.p.place].county, FirstYear+year, s.g.jobs)
		s.multOK[year] = true
	}
	return &s.mult[year]
}

// move draws the state of month t from that of the month before: the same uniform
// number in every arm.
func (s *simulator) move(a *arm, t int) state {
	from := a.latent
	k := from
	if from == activity && s.p.age(t) >= 30 {
		k = activityUp
	}
	r := &s.rows[k]
	if !r.ok {
		s.build(r, a, k, t/12)
	}
	x := s.d.move[t] * (1 + r.total)
	if x >= r.total {
		return from
	}
	for d, c := range r.cum {
		if x < c {
			return state(d)
		}
	}
	return from
}

func (s *simulator) build(r *row, a *arm, from state, year int) {
	m := s.multipliers(year)
	var sum float64
	for d, q := range baseRate[from] {
		q *= m[d]
		if from == activityUp {
			q = baseRate[from][d] // an age limit of the benefit, the same for everybody
		}
		if from == work {
			q *= m[nLive]
		}
		if s.sc.intensities && a.phase != phaseNone {
			q *= a.treat[a.phase][d]
			if from == sickness {
				q *= a.treat[a.phase][nLive]
			}
		}
		sum += q
		r.cum[d] = sum
	}
	r.total, r.ok = sum, true
}

// finish gives an episode the reason it ended for, from the state it ended in.
func (s *simulator) finish(e *episode, k int, a *arm) {
	if e.end > s.months || (e.end == s.months && s.p.end >= s.months) {
		return
	}
	x := s.d.reason[k]
	at := s.p.endState
	if e.end < s.months {
		at = a.shown[e.end]
	}
	e.reason = reasonFor(at, x)
}

func reasonFor(at state, x float64) int {
	const studying, rehabilitation, illness, moved, other = 1, 2, 3, 4, 5
	switch at {
	case work, subsidised:
		return 0
	case studies:
		return studying
	case emigration:
		return moved
	case death, pension, disability:
		return other
	case rehab, sickness:
		if x < 0.35 {
			return illness
		}
		return rehabilitation
	}
	switch {
	case x < 0.28:
		return rehabilitation
	case x < 0.36:
		return moved
	}
	return other
}

// gain is how far participation has moved what the questionnaires measure, since
// months after the start: it peaks after ten months and half of it is lost again.
func gain(since int) float64 {
	if since < 0 {
		return 0
	}
	m := float64(since)
	return 0.55 * (1 - math.Exp(-m/4)) * (0.45 + float64(0.55*math.Exp(-math.Max(0, m-10)/10)))
}
