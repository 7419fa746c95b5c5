package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// forecastData is what a forecast is made from: a row a unit of which the steps up to the
// month of the forecast are known.
type forecastData struct {
	unit   []int     // of the cohort
	older  []bool    // of the older cohorts
	y      []float64 // stable self-support; NaN = not known (yet)
	sample *progress.SurrogateSample
}

// forecast answers the second question: what do the steps taken so far lead to, if they lead
// where they led people who started earlier?
func (s *state) forecast(r *analysisResult, a *Analysis, u *progressUnits, h *headline) error {
	f, own := a.Progress.Forecast, r.own.(*progressResult)
	d, err := s.forecastData(r, a.Progress, u)
	if err != nil {
		if why, ok := refusable(err); ok {
			h.not = why
			return nil
		}
		return err
	}
	fit := progress.Surrogate{Folds: f.Folds, Seed: s.seedOf("progress-forecast"), MinPerArm: progress.MinArm, Region: f.Tilt, Workers: s.o.Workers}
	if d.sample.X == nil {
		fit.TreatmentModel = "constant"
	}
	counts := d.arms(u, func(i int) bool { return !d.older[i] })
	h.gates = append(h.gates, progress.ArmSize(counts.Treated, counts.Control))
	h.basis = release.Basis{Treated: counts.Treated, Control: counts.Control, Cohort: u.sizes, DF: math.Inf(1)}
	res, err := f.fitted(s, fit, d.sample)
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		h.not = why
		return nil
	}
	own.notes[termForecast] = append(own.notes[termForecast], res.Notes...)
	main := 0
	if name, _ := res.Details["headline"].(string); name != "" {
		main = slices.IndexFunc(res.Estimates, func(e estimate.Estimate) bool { return e.Term == name })
		own.rectified = name == "rectified"
	}
	if !own.rectified {
		older := 0
		for k, o := range d.older {
			if o && !math.IsNaN(d.y[k]) {
				older++
			}
		}
		if older < steadyOlder {
			own.notes[termForecast] = append(own.notes[termForecast], table.Note{Code: "forecast-few-older", Text: "The forecast is made from rather few people of earlier years: in simulations one from so few leans towards no difference."})
		}
	}
	own.arrived, _ = res.Details["arrived"].(float64)
	own.strength = newForecastStrength(f, res)
	h.estimate, h.influence = res.Estimates[main], onto(u, res, main)
	h.estimate.Term, h.estimate.Measure = termForecast, estimate.RiskDifference
	h.within = func(in []bool) (*inGroup, error) { return s.forecastWithin(u, d, f, fit, in) }
	for k, e := range res.Estimates {
		if k == main {
			continue
		}
		if e.Term = partTerm(e.Term); own.rectified && strings.HasPrefix(e.Term, termForecast+",tilt=") {
			continue // participants' own outcomes lead: the older cohorts' odds do not matter
		}
		n := found{term: e.Term, e: e, basis: h.basis, kind: "check"}
		if math.IsNaN(e.Value) {
			n.notes = append(n.notes, table.Note{Code: "surrogacy-untested", Text: "Nobody's treatment and long-term outcome are both known in two comparable arms."})
		}
		r.numbers = append(r.numbers, n)
	}
	if own.rectified && len(f.Tilt) > 0 {
		own.notes[termForecast] = append(own.notes[termForecast], table.Note{Code: "tilt-not-needed", Text: "The forecast rests on the participants' own outcomes by now: how much the odds may differ from those of the older cohorts is not asked any more."})
	}
	return s.grade(r, a.Progress, u, h, d, res, fit)
}

// grade holds the forecast against what became of those who started earlier, and adds the gates.
func (s *state) grade(r *analysisResult, p *Headlines, u *progressUnits, h *headline, d *forecastData, res *estimate.Result, fit progress.Surrogate) error {
	f, own := p.Forecast, r.own.(*progressResult)
	tested := 0.0
	var rows []progress.SurrogateTruth
	var err error
	if f.bridges() {
		own.tests, err = s.bridgeTests(u, d, fit)
	} else {
		own.tests, err = s.indexTests(u, d, res)
	}
	if err != nil {
		return err
	}
	if len(own.tests) > 0 && own.tests[0].label == "" {
		rows, tested = append(rows, own.tests[0].row), float64(f.Within)
		h.benchmark = math.Abs(rows[0].Difference)
	}
	r.numbers = append(r.numbers, s.testNumbers(own)...)
	if own.rectified { // participants' own outcomes lead: nothing is forecast that they do not show
		h.benchmark = 0
		return nil
	}
	prediction, err := s.prediction(p, u, d)
	if err != nil {
		return err
	}
	h.gates = append(h.gates, prediction...)
	h.gates = append(h.gates, progress.Truth(rows...), progress.Horizon(float64(f.Within), tested))
	return nil
}

// indexTests are the surrogate index against what came, among all older people and by the year they started.
func (s *state) indexTests(u *progressUnits, d *forecastData, res *estimate.Result) ([]truthTest, error) {
	var out []truthTest
	known := func(i int) bool { return !math.IsNaN(d.y[i]) }
	truth := func(res *estimate.Result) (progress.SurrogateTruth, bool) {
		for _, row := range res.Details["truth"].([]progress.SurrogateTruth) {
			if row.Sample == "older" {
				return row, true
			}
		}
		return progress.SurrogateTruth{}, false
	}
	if row, ok := truth(res); ok {
		out = append(out, truthTest{label: "", row: row, basis: d.basis(u, func(i int) bool { return d.older[i] && known(i) })})
	}
	// Each older year by itself: the others take no part in its test.
	for _, year := range d.years(u) {
		in := func(i int) bool { return d.older[i] && known(i) && u.zero[d.unit[i]]/12 == year }
		sample := someRows(d.sample, func(i int) bool { return !d.older[i] || in(i) })
		one := progress.Surrogate{Workers: s.o.Workers}
		if sample.X == nil {
			one.TreatmentModel = "constant"
		}
		yearly, err := one.Fit(s.ctx, sample)
		if err != nil {
			if _, ok := refusable(err); ok {
				continue
			}
			return nil, err
		}
		if row, ok := truth(yearly); ok {
			out = append(out, truthTest{label: strconv.Itoa(year), row: row, basis: d.basis(u, in)})
		}
	}
	return out, nil
}

// forecastData gathers units whose steps up to the month of the forecast are known by the month as_of.
func (s *state) forecastData(r *analysisResult, p *Headlines, u *progressUnits) (*forecastData, error) {
	f, own, b := p.Forecast, r.own.(*progressResult), u.b
	support, err := countedStates(b.paths.States, p.SelfSupport)
	if err != nil {
		return nil, err
	}
	older, err := cohort.ParseMonth(f.OlderTo)
	if err != nil {
		return nil, fmt.Errorf("%w: older_to: %w", ErrSpec, err)
	}
	asOf := cohort.Month(math.MaxInt32)
	if f.AsOf != "" {
		if asOf, err = cohort.ParseMonth(f.AsOf); err != nil {
			return nil, fmt.Errorf("%w: as_of: %w", ErrSpec, err)
		}
	}
	d := &forecastData{}
	for i := range u.id {
		if b.paths.At(i, f.At) < 0 || cohort.Month(u.zero[i]+f.At) > asOf {
			continue
		}
		d.unit = append(d.unit, i)
		d.older = append(d.older, cohort.Month(u.zero[i]) <= older)
		d.y = append(d.y, stableBy(b.paths, i, support, f.Run, f.Within, int(asOf)-u.zero[i]))
	}
	n := len(d.unit)
	sample := &progress.SurrogateSample{Unit: make([]string, n), Older: d.older, Treated: make([]bool, n), Y: d.y, Level: s.spec.Level}
	cluster := make([]int, n)
	for k, i := range d.unit {
		sample.Unit[k], sample.Treated[k] = u.id[i], b.treated[i]
		if b.cluster != nil {
			cluster[k] = b.cluster[i]
		}
	}
	if b.cluster != nil {
		sample.Cluster = dense(cluster, identity(n))
	}
	if !evenWeights(b) { // those of the design: the forecast is about those whom it is about
		sample.Weight = estimate.Weights{Kind: estimate.Matching, Values: pickFloat(b.weight, d.unit)}
	}
	if p.ReweighLoss {
		if err := s.lossBefore(own, u, d, sample, f.At); err != nil {
			return nil, err
		}
	}
	if d.surrogates(sample, u, own.ladder, f) {
		own.notes[termForecast] = append(own.notes[termForecast], table.Note{Code: "forecast-steps-joined", Text: "Too few older people with or without the outcome have been on some steps. They count as one with the step beside them in the forecast, which then cannot tell where they lead by themselves."})
	}
	if sample.S == nil {
		return nil, fmt.Errorf("%w: on no two steps there are people with and people without the outcome", estimate.ErrTooFew)
	}
	if len(f.Background) > 0 {
		x, err := cohort.Design(b.table.Take(d.unit), f.Background, cohort.DesignOptions{Workers: s.o.Workers})
		if err != nil {
			return nil, fmt.Errorf("forecast: background: %w", err)
		}
		alike, err := oneLevel(b.table, d.unit, f.Background)
		if err != nil {
			return nil, err
		}
		own.notes[termForecast] = append(own.notes[termForecast], alike...)
		all, names := mat.NewDense(x.Rows, len(x.Columns), x.Values), x.Names()
		var kept []int
		for k := range names {
			v := mat.Col(nil, k, all)
			if !zeroOne(v) || d.tells(v) { // a rare background decides the outcome of the few who have it
				kept = append(kept, k)
			}
		}
		if len(kept) > 0 {
			sample.X = mat.NewDense(n, len(kept), nil)
			for to, k := range kept {
				sample.X.SetCol(to, mat.Col(nil, k, all))
				sample.XNames = append(sample.XNames, names[k])
			}
		}
		if rare := len(names) - len(kept); rare > 0 {
			own.notes[termForecast] = append(own.notes[termForecast], table.Note{Code: "rare-background", Text: fmt.Sprintf("%d background columns were left out of the forecast: too few people have them with and without the outcome", rare), Args: map[string]any{"columns_out": rare}})
		}
	}
	d.sample = sample
	return d, nil
}

// stableBy says whether some run months in a row within the first months are self-support: 1 or 0,
// NaN where it is not known. last is the last month that is known.
func stableBy(p *cohort.Paths, unit int, support []bool, run, within, last int) float64 {
	row := 0
	for m := range within {
		c := p.At(unit, m)
		if c < 0 || m > last {
			return math.NaN()
		}
		if row++; !support[c] {
			row = 0
		}
		if row == run {
			// Somebody who gets there early is known to have got there, but who does not is not: to
			// count the one and leave the other out would be to forecast success.
			if within-1 > last || p.At(unit, within-1) < 0 {
				return math.NaN()
			}
			return 1
		}
	}
	return 0
}

// fewOnStep is how many of those with and of those without the outcome must be on a step for it to
// have a column of its own.
const fewOnStep = 10

// prediction holds the forecast against people of the older cohorts who were not used to make it
// (gate G2), and asks whether the measure moves what it is made from (gate G3).
func (s *state) prediction(p *Headlines, u *progressUnits, d *forecastData) ([]progress.Gate, error) {
	f := p.Forecast
	var groups [][]bool
	for _, name := range p.Groups {
		c, err := u.b.table.Category(name)
		if err != nil {
			return nil, err
		}
		for level := range c.Levels {
			in, people := make([]bool, len(d.unit)), 0
			for k, i := range d.unit {
				in[k] = c.Has(i) && int(c.Codes[i]) == level
				if in[k] && d.older[k] {
					people++
				}
			}
			if people >= fewInGroup {
				groups = append(groups, in)
			}
		}
	}
	nan := math.NaN()
	q := &progress.Quality{Slope: nan, Off: nan}
	sample := d.sample
	if f.bridges() {
		sample = d.byArm()
	}
	found, err := progress.IndexQuality{Folds: f.Folds, Seed: s.seedOf("progress-forecast"), Workers: s.o.Workers}.Fit(s.ctx, sample, groups)
	if err == nil {
		q = found
	} else if _, ok := refusable(err); !ok {
		return nil, err
	}
	out := []progress.Gate{progress.LogScoreGain(q.Gain.CI), progress.CalibrationSlope(q.Slope), progress.InTheLarge(q.Off)}
	if len(q.Groups) > 0 {
		out = append(out, progress.InTheLargeGroup(q.Groups...))
	}
	moved, err := s.moved(p, u)
	return append(out, progress.Responds(moved)), err
}

const (
	// fewInGroup is how many older people a group needs for the forecast to be tried in it: with fewer
	// chance alone puts it off by the 3 percentage points that are allowed.
	fewInGroup = 400
	// steadyOlder is how many older people with an outcome it takes until a forecast does not lean towards no difference
	// (docs/simulations.md).
	steadyOlder = 750
)

// moved is the p-value of net months up to the month of the forecast: did what the forecast is made from move?
func (s *state) moved(p *Headlines, u *progressUnits) (float64, error) {
	b := u.b
	ladder, err := s.ladders[p.Ladder].of(b.paths.States)
	if err != nil {
		return 0, err
	}
	net := progress.NetMonths{Ladder: ladder, Tau: float64(p.Forecast.At), Workers: s.o.Workers}
	res, err := net.Fit(s.ctx, s.pathSpells(u, identity(len(u.id)), 0, b.paths.After, b.paths.States, identity(len(b.paths.States))))
	if err != nil {
		if _, ok := refusable(err); ok {
			return math.NaN(), nil
		}
		return 0, err
	}
	return res.Estimates[0].Test.P, nil
}
