package study

import (
	"math"
	"strconv"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// The three questions, by the term of the number that answers each.
const (
	termMonths    = "net-months"
	termForecast  = "forecast"
	termLife      = "life"
	termDominance = "dominance"    // are participants higher on the ladder, whatever points the steps have?
	termBefore    = "before"       // net months in the year before the start: nothing can be an effect there
	termSupport   = "self-support" // the old yardstick
)

// headline is one of the three answers before and after its gates.
type headline struct {
	term      string
	measure   estimate.Measure
	relevance float64
	estimate  estimate.Estimate // as estimated; then with the interval of the family of three
	basis     release.Basis
	influence []float64 // of the estimate, by unit of the cohort; nil where there is no number
	gates     []progress.Gate
	benchmark float64 // by which an unconfirmed forecast is widened
	finding   progress.Finding
	within    func(in []bool) (*inGroup, error) // the same question among some units of the cohort; nil = not asked
	not       *refusal                          // nil where there is a number
}

// progressResult is what the method keeps for its figures and sentences.
type progressResult struct {
	ladder    *Ladder
	heads     []*headline
	notes     map[string][]table.Note // by term of a headline
	dominance []progress.Dominance    // of the participants' steps, by time
	orders    progress.Verdict
	share     float64 // of net months that are administrative steps; NaN = none
	rectified bool    // the forecast is the rectified estimate
	arrived   float64 // share of the participants of the forecast whose outcome has come
	strength  forecastStrength
	response  [2]float64
	lost      int // participants who answered at the start only
	tests     []truthTest
	bands     *stepBands
	forest    []groupMonths
	groups    map[string][]groupMonths // by term of a headline: its numbers in groups of people
	items     *itemInformation
	tip       *tippingCurve
}

// truthTest is a forecast for people who started in a year, against what became of them.
type truthTest struct {
	label string
	row   progress.SurrogateTruth
	basis release.Basis
}

// progressUnits are the units of a cohort as the library names them.
type progressUnits struct {
	b       *built
	id      []string
	cluster []string // the name of each unit's cluster: rows of one are dependent
	zero    []int    // month of time zero
	person  []string
	sizes   release.Arms
}

func newProgressUnits(b *built) (*progressUnits, error) {
	u := &progressUnits{b: b, sizes: arms(b.treated)}
	var err error
	if u.id, _, err = b.table.Text(cohort.UnitColumn); err != nil {
		return nil, err
	}
	if u.person, _, err = b.table.Text(cohort.PersonColumn); err != nil {
		return nil, err
	}
	zero, err := b.table.Integer(cohort.ZeroColumn)
	if err != nil {
		return nil, err
	}
	u.zero, u.cluster = make([]int, len(u.id)), make([]string, len(u.id))
	for i := range u.id {
		u.zero[i] = int(zero.Values[i])
		u.cluster[i] = u.id[i]
		if b.cluster != nil {
			u.cluster[i] = "cluster " + strconv.Itoa(b.cluster[i])
		}
	}
	return u, nil
}

// progress answers the three questions.
func (s *state) progress(a *Analysis) (analysisResult, error) {
	p, b := a.Progress, s.cohorts[a.Progress.Cohort]
	own := &progressResult{ladder: s.ladders[p.Ladder], notes: map[string][]table.Note{}, groups: map[string][]groupMonths{}, share: math.NaN()}
	r := analysisResult{method: "progress", kind: "association", own: own}
	if b.designed() {
		r.kind = "effect"
	}
	r.notes = append(r.notes, b.notes...)
	u, err := newProgressUnits(b)
	if err != nil {
		return r, err
	}
	relevant := Relevant{}
	if p.Relevant != nil {
		relevant = *p.Relevant
	}
	months := &headline{term: termMonths, measure: estimate.NetMonths, relevance: relevant.Months}
	own.heads = append(own.heads, months)
	if err := s.netMonths(&r, a, u, months); err != nil {
		return r, err
	}
	if p.Forecast != nil {
		h := &headline{term: termForecast, measure: estimate.RiskDifference, relevance: relevant.Forecast}
		own.heads = append(own.heads, h)
		if err := s.forecast(&r, a, u, h); err != nil {
			return r, err
		}
	}
	if p.Assessments != nil {
		h := &headline{term: termLife, measure: progress.NetImproved, relevance: relevant.Life}
		own.heads = append(own.heads, h)
		if err := s.life(&r, a, u, h); err != nil {
			return r, err
		}
	}
	if err := s.bouncing(&r, a, u); err != nil {
		return r, err
	}
	if err := s.judge(&r, a, u); err != nil {
		return r, err
	}
	return r, s.byGroup(&r, p, u)
}

// stop refuses the number of a headline.
func (h *headline) stop(why, fix table.Note) { h.not = &refusal{why, fix} }
