package panel

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"utfall/estimate"
	"utfall/internal/num"
)

// A coverDesign is a staggered roll-out whose effects differ by cohort and grow, so that two-way fixed effects must fail: cohort 3 gains t - g + 1, cohort 5
// half of that, errors are correlated within units (0.6 of the last period's, beside noise). Seven periods.
type coverDesign struct {
	name                        string
	covariates, early, clusters bool
}

var coverDesigns = []coverDesign{
	{name: "plain"},
	{name: "covariate", covariates: true}, // those who enter first, and the untreated trend, differ by x
	{name: "anticipation", early: true},   // half an effect in the period before entry
	{name: "clusters", clusters: true},    // entry by place, shocks shared in it, sampling weights
}

func (d coverDesign) draw(seed uint64) *Frame {
	s := growing
	if d.covariates {
		s.units, s.cohorts, s.covariates, s.trend = 400, []int{3, 5, 0, 0}, 1, 0.3
	}
	f := s.draw(seed)
	last := 0.0
	if d.clusters {
		f.Cluster, f.Weight = make([]string, len(f.Y)), make([]float64, len(f.Y))
	}
	for i, u := range f.Unit {
		if i == 0 || u != f.Unit[i-1] {
			last = 0
		}
		last = 0.6*last + 0.6*num.NewStream(seed, "carry", uint64(i)).Normal()
		f.Y[i] += last
		if d.early && f.Cohort[i] != 0 && f.Time[i] == f.Cohort[i]-1 {
			f.Y[i] += 0.5
		}
		if d.clusters {
			place := int(num.KeyedHash(seed, u) % 120)
			was := 0.0
			if g := f.Cohort[i]; g != 0 && f.Time[i] >= g {
				was = s.effect(g, f.Time[i])
			}
			f.Cohort[i] = s.cohorts[num.NewStream(seed, "entry", uint64(place)).Intn(len(s.cohorts))]
			if g := f.Cohort[i]; g != 0 && f.Time[i] >= g {
				f.Y[i] += s.effect(g, f.Time[i])
			}
			f.Y[i] += 0.5*num.NewStream(seed, "place", uint64(100*place+f.Time[i])).Normal() - was
			f.Cluster[i], f.Weight[i] = fmt.Sprint(place), 0.5+num.NewStream(seed, "weight", num.KeyedHash(9, u)).Float()
		}
	}
	return f
}

// truths gives the effect that a term stands for, when cohorts 3 and 5 have the shares p and q of all rows: their own in the data, for estimators that take
// them as known, or those of the population. lpdid by variance weighs by treated and comparison units.
func (d coverDesign) truths(p, q float64, kind string) func(term string) float64 {
	effect := growing.effect
	mean := func(in func(g, t int) bool, weight func(g, e int) float64) float64 {
		sum, total := 0.0, 0.0
		for g, share := range map[int]float64{3: p, 5: q} {
			for t := 1; t <= growing.periods; t++ {
				if in(g, t) {
					v := 0.0
					if t >= g {
						v = effect(g, t)
					} else if d.early && t == g-1 {
						v = 0.5
					}
					w := share * weight(g, t-g)
					sum += w * v
					total += w
				}
			}
		}
		return sum / total
	}
	even := func(int, int) float64 { return 1 }
	variance := func(g, e int) float64 { // W_D·W_C/(W_D + W_C), share W_D taken out
		own, controls := p, 1-p-q
		if g == 5 {
			own = q
		} else if e < 2 { // not yet treated at entry and one period on
			controls += q
		}
		return controls / (own + controls)
	}
	event := func(e int) float64 {
		if kind == "variance" {
			return mean(func(g, t int) bool { return t-g == e }, variance)
		}
		return mean(func(g, t int) bool { return t-g == e }, even)
	}
	return func(term string) float64 {
		var e int
		if n, _ := fmt.Sscanf(term, "event=%d", &e); n == 1 {
			return event(e)
		}
		sum := 0.0
		switch kind {
		case "dynamic":
			for e := range 5 {
				sum += event(e) / 5
			}
		case "window": // events 0 … 2, which both cohorts have
			for e := range 3 {
				sum += event(e) / 3
			}
		case "variance": // controls untreated throughout: the never treated
			return mean(func(g, t int) bool { return t >= g && t-g <= 2 }, func(g, _ int) float64 { return variance(g, 2) })
		case "group":
			for g, share := range map[int]float64{3: p, 5: q} {
				sum += share / (p + q) * mean(func(h, t int) bool { return h == g && t >= g }, even)
			}
		case "calendar":
			for at := 3; at <= growing.periods; at++ {
				sum += mean(func(g, t int) bool { return t == at && t >= g }, even) / 5
			}
		default: // static
			return mean(func(g, t int) bool { return t >= g }, even)
		}
		return sum
	}
}

// population is the shares from which the design draws.
func (d coverDesign) population() (p, q float64) {
	if d.covariates {
		return 0.15 + 0.85/4, 0.85 / 4
	}
	return 1.0 / 3, 1.0 / 3
}

// sample is the shares in the data, by weight.
func (d coverDesign) sample(f *Frame) (p, q float64) {
	total := 0.0
	for i, g := range f.Cohort {
		w := 1.0
		if f.Weight != nil {
			w = f.Weight[i]
		}
		total += w
		switch g {
		case 3:
			p += w
		case 5:
			q += w
		}
	}
	return p / total, q / total
}

// A coverCase is an estimator with its options.
type coverCase struct {
	design, estimator, options string
	kind                       string // what overall stands for
	known                      bool   // cohort shares are those of the data
	fails                      bool   // must not cover
	wide                       bool   // errors count differences between cohorts as noise: may cover more
	fit                        func(f *Frame, seed uint64) (*estimate.Result, error)
}

func (c coverCase) name() string { return c.design + " | " + c.estimator + " | " + c.options }

// coverCases is every estimator with every option that makes another number or another error.
func coverCases(t testing.TB) []coverCase {
	var out []coverCase
	const draws = 299
	att := func(design string, g GroupTime, kind Aggregation, fails bool) {
		options := fmt.Sprintf("%s, %s, %s", g.Method, g.Control, g.Base)
		if kind != Dynamic {
			options += ", " + string(kind)
		}
		if fails {
			options = "without covariate"
		}
		out = append(out, coverCase{design: design, estimator: "att-gt", options: options, kind: string(kind), fails: fails, fit: func(f *Frame, seed uint64) (*estimate.Result, error) {
			g.Workers = 1
			if fails {
				f = f.clone()
				f.X, f.XNames = nil, nil
			}
			r, err := g.Fit(t.Context(), f)
			if err != nil {
				return nil, err
			}
			return r.Aggregate(kind, AggregateOptions{Bands: Uniform, Replicates: draws, Seed: seed})
		}})
	}
	event := func(design, name, options, kind string, wide bool, make func(o EventOptions) eventEstimator) {
		out = append(out, coverCase{design: design, estimator: name, options: options, kind: kind, known: true, wide: wide, fails: name == "twfe", fit: func(f *Frame, seed uint64) (*estimate.Result, error) {
			o := EventOptions{Bands: Uniform, Replicates: draws, Seed: seed, Workers: 1}
			if design == "anticipation" {
				o.Anticipation = 1
			}
			return make(o).Fit(t.Context(), f)
		}})
	}
	for _, d := range coverDesigns {
		anticipation := 0
		if d.early {
			anticipation = 1
		}
		methods := []string{DoublyRobust} // without covariates the three are one number
		if d.covariates {
			methods = []string{DoublyRobust, Weighting, Regression}
		}
		for _, m := range methods {
			for _, control := range []string{NeverTreated, NotYetTreated} {
				for _, base := range []string{Universal, Varying} {
					att(d.name, GroupTime{Method: m, Control: control, Base: base, Anticipation: anticipation}, Dynamic, false)
				}
			}
		}
		if d.name == "plain" {
			for _, kind := range []Aggregation{Simple, Group, Calendar} {
				att(d.name, GroupTime{Method: DoublyRobust, Control: NotYetTreated, Base: Universal}, kind, false)
			}
		}
		if d.covariates {
			att(d.name, GroupTime{Method: DoublyRobust, Control: NotYetTreated, Base: Universal}, Dynamic, true)
		}
		for _, control := range []string{NeverTreated, NotYetTreated} {
			event(d.name, "etwfe", control, "static", false, func(o EventOptions) eventEstimator {
				return ExtendedTwoWay{EventOptions: o, Control: control}
			})
		}
		event(d.name, "twfe", "", "static", false, func(o EventOptions) eventEstimator { return TwoWay{o} })
		if d.covariates { // x is fixed in each unit: the others cannot use it
			continue
		}
		event(d.name, "sun-abraham", "", "static", false, func(o EventOptions) eventEstimator { return SunAbraham{EventOptions: o} })
		event(d.name, "imputation", "", "static", true, func(o EventOptions) eventEstimator { return Imputation{EventOptions: o} })
		event(d.name, "two-stage", "", "static", true, func(o EventOptions) eventEstimator { return TwoStage{EventOptions: o} })
		for _, control := range []string{NeverTreated, NotYetTreated} {
			event(d.name, "stacked", control, "window", true, func(o EventOptions) eventEstimator { return Stacked{EventOptions: o, Control: control} })
			event(d.name, "lpdid", control+", reweighted", "window", true, func(o EventOptions) eventEstimator {
				return LocalProjections{EventOptions: o, Control: control, Reweight: true}
			})
		}
		event(d.name, "lpdid", "not-yet, by variance", "variance", true, func(o EventOptions) eventEstimator { return LocalProjections{EventOptions: o} })
		event(d.name, "dcdh", "", "static", false, func(o EventOptions) eventEstimator { return Intertemporal{EventOptions: o} })
	}
	return out
}

// try returns whether overall, each event and the whole band hold the truth in one data set; keys "NAME overall", "NAME event=E", "NAME band".
func (c coverCase) try(t testing.TB, d coverDesign, f *Frame, seed uint64) map[string]bool {
	p, q := d.population()
	if c.known {
		p, q = d.sample(f)
	}
	truth := d.truths(p, q, c.kind)
	out := map[string]bool{}
	res, err := c.fit(f, seed)
	if err != nil {
		t.Errorf("%s, seed %d: %v", c.name(), seed, err)
		return nil
	}
	joint, events := true, false
	for _, e := range res.Estimates {
		if !e.HasSE() || c.estimator == "two-stage" && strings.HasPrefix(e.Term, "event=-") { // before treatment: residuals of its own fit
			continue
		}
		if v, _, ok := strings.Cut(e.Term, "="); ok && v != "event" { // averages by cohort or period
			continue
		}
		want := truth(e.Term)
		out[c.name()+" "+e.Term] = math.Abs(e.Value-want) <= e.SE*num.StudentQuantile(0.95, e.Test.DF)
		if e.Term != Overall {
			joint, events = joint && e.CI.Lo <= want && want <= e.CI.Hi, true
		}
	}
	if events {
		out[c.name()+" band"] = joint
	}
	return out
}

// coverTable runs the cases and returns rows of METHODS.md; shares that miss are errors.
func coverTable(t *testing.T, draws int, pick func(c coverCase) bool) string {
	t.Helper()
	cases := coverCases(t)
	answers := make([]map[string]bool, draws)
	num.ForEach(draws, 2, func(i int) {
		answers[i] = map[string]bool{}
		for _, d := range coverDesigns {
			var f *Frame
			for _, c := range cases {
				if c.design != d.name || !pick(c) {
					continue
				}
				if f == nil {
					f = d.draw(uint64(1000 + i))
				}
				for key, in := range c.try(t, d, f, uint64(i)) {
					answers[i][key] = in
				}
			}
		}
	})
	share := map[string]float64{}
	for _, a := range answers {
		for key, in := range a {
			if _, ok := share[key]; !ok {
				share[key] = 0
			}
			if in {
				share[key] += 1 / float64(draws)
			}
		}
	}
	allowed := 3.29 * math.Sqrt(0.95*0.05/float64(draws))
	var b strings.Builder
	b.WriteString("| design | estimator | options | overall | events | band |\n|---|---|---|---|---|---|\n")
	for _, c := range cases {
		if !pick(c) {
			continue
		}
		low, high, events := 1.0, 0.0, false
		for e := -6; e <= 6; e++ {
			if v, ok := share[fmt.Sprintf("%s event=%d", c.name(), e)]; ok {
				low, high, events = min(low, v), max(high, v), true
			}
		}
		overall := share[c.name()+" "+Overall]
		fmt.Fprintf(&b, "| %s | %s | %s | %.3f |", c.design, c.estimator, c.options, overall)
		if events {
			fmt.Fprintf(&b, " %.3f to %.3f | %.3f |\n", low, high, share[c.name()+" band"])
		} else {
			b.WriteString(" – | – |\n")
		}
		if c.fails {
			if overall > 0.5 {
				t.Errorf("%s covers overall in %.3f: the design does not show its bias", c.name(), overall)
			}
			continue
		}
		miss := func(what string, got, tolerance float64) {
			if got < 0.95-tolerance || got > 0.95+tolerance && !c.wide {
				t.Errorf("%s: %s covers in %.4f, want 0.95 ± %.4f", c.name(), what, got, tolerance)
			}
		}
		event, band := 1.2*allowed, allowed+0.01 // the least and most of up to ten; and the Monte Carlo error of 299 draws
		if c.design == "clusters" {              // 40 places a cohort are few for bands of asymptotic errors: METHODS says by how much
			event, band = event+0.03, band+0.04
		}
		miss("overall", overall, allowed)
		if events {
			miss("the event covered least", low, event)
			miss("the event covered most", high, event)
			miss("the band", share[c.name()+" band"], band)
		}
	}
	return b.String()
}

// Staggered entry with effects that differ and grow: the estimators and options that nothing else here simulates cover overall, every event and, with the
// band, all events at once; two-way fixed effects do not. The table of all is that of the nightly run.
func TestCoverageOfOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	some := map[string]bool{
		"plain | etwfe | never": true, "plain | att-gt | dr, never, varying": true, "plain | lpdid | never, reweighted": true, "plain | twfe | ": true,
	}
	t.Log("\n" + coverTable(t, reps, func(c coverCase) bool { return some[c.name()] }))
}
