package study

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/sensitivity"
	"utfall/internal/num"
)

const trustStudy = `utfall: 1
name: trust
language: en
seed: 3
data:
  flat: {kind: flat, path: flat.csv, key: [id], columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: x, type: number}, {name: z, type: number}, {name: place, type: category, levels: [a, b, c, d, e]}, {name: half, type: category, levels: [a, b]}, {name: y, type: number}, {name: v, type: number}, {name: w, type: number}, {name: b1, type: number}, {name: b2, type: number}, {name: b3, type: number}, {name: b4, type: number}, {name: b5, type: number}, {name: b6, type: number}, {name: p1, type: number}, {name: p2, type: number}]}
cohorts:
  - {name: pairs, base: flat, id: id, treatment: t, propensity: {covariates: [x, z]}, match: {ratio: 1, caliper: 0.5}}
families:
  - {name: main, analyses: [claim, share], method: sup-t}
analyses:
  - {name: claim, unit: months, outcome_label: {en: Months}, effect: {cohort: pairs, outcome: y, method: regression, covariates: [x, z]}}
  - {name: share, unit: percentage-points, effect: {cohort: pairs, outcome: w}}
  - {name: third, effect: {cohort: pairs, outcome: p2}}
  - {name: n1, role: negative-control, effect: {cohort: pairs, outcome: b1}}
  - {name: n2, role: negative-control, effect: {cohort: pairs, outcome: b2}}
  - {name: n3, role: negative-control, effect: {cohort: pairs, outcome: b3}}
  - {name: n4, role: negative-control, effect: {cohort: pairs, outcome: b4}}
  - {name: n5, role: negative-control, effect: {cohort: pairs, outcome: b5}}
  - {name: n6, role: negative-control, effect: {cohort: pairs, outcome: b6}}
  - {name: q1, role: placebo, unit: months, effect: {cohort: pairs, outcome: p1}}
  - {name: q2, role: placebo, unit: months, effect: {cohort: pairs, outcome: p2}}
  - {name: sure, trust: {of: claim, evalue: true, rosenbaum: {gamma: [1.2, 2]}, omitted: {benchmarks: [x, z], strength: [1, 2], together: true}, leave_out: place, tipping: {delta: [-1, 1]}, negative_controls: [n1, n2, n3, n4, n5, n6], placebo: {analyses: [q1, q2], share: 0.4}}}
  - {name: sure-share, unit: percentage-points, trust: {of: share, evalue: true, rosenbaum: {}, omitted: {}, leave_out: half, tipping: {}}}
`

// trustData is 1,200 people with a hidden cause of treatment, of the outcome and of the
// negative controls. Place e has few people.
func trustData(t *testing.T, dir string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("id,t,x,z,place,half,y,v,w,b1,b2,b3,b4,b5,b6,p1,p2\n")
	for i := range 1200 {
		s := num.NewStream(11, "trust data", uint64(i))
		hidden, x, z := s.Normal(), s.Normal(), s.Normal()
		treated := 0
		if s.Normal() < -.6+.5*x+.3*z+.3*hidden {
			treated = 1
		}
		y := 2 + x + .5*z + .7*hidden + 1.5*float64(treated) + s.Normal()
		text := fmt.Sprintf("%.4f,%.4f", y, -y)
		if s.Float() < .08 {
			text = "," // nobody knows
		}
		w := 0
		if y > 2.5 {
			w = 1
		}
		place := string("abcd"[s.Intn(4)])
		if i < 14 {
			place = "e"
		}
		fmt.Fprintf(&b, "%d,%d,%.4f,%.4f,%s,%s,%s,%d", i+1, treated, x, z, place, string("ab"[i%2]), text, w)
		for k := range 6 {
			fmt.Fprintf(&b, ",%.4f", float64(k+1)*((.2+.1*float64(k))*hidden+.3*x+s.Normal()))
		}
		fmt.Fprintf(&b, ",%.4f,%.4f\n", .1*hidden+.3*s.Normal(), s.Normal())
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "flat.csv"), []byte(b.String()), 0o644))
}

// trustRunOf runs the study as far as its released numbers.
func trustRunOf(t *testing.T, dir, text string) (*state, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	s, err := newState(context.Background(), spec, Options{DataDir: dir, Workers: 2})
	require.NoError(t, err)
	for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
		if err := step(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *state) numberOf(t *testing.T, analysis, term string, m estimate.Measure) found {
	t.Helper()
	var terms []string
	for _, n := range s.answered(analysis).numbers {
		if n.term == term && n.e.Measure == m {
			return n
		}
		terms = append(terms, n.term+" "+string(n.e.Measure))
	}
	require.Fail(t, "no number", "%s %s among %s", term, m, strings.Join(terms, "; "))
	return found{}
}

// The numbers of trust are those of the library on the frame of the claimed effect.
func TestTrustNumbersAreTheLibrarys(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	of := s.answered("claim")
	f, claim := of.fitted.frame, of.numbers[0].e
	value := func(term string, m estimate.Measure) float64 { return s.numberOf(t, "sure", term, m).e.Value }

	// E-value: the standard deviation within groups, to two digits.
	sd := spread(f)
	ev, err := sensitivity.EValue{Measure: "md", Estimate: claim.Value, ConfLow: claim.CI.Lo, ConfHi: claim.CI.Hi, StdError: math.NaN(), SD: sd, Level: .95}.Value()
	require.NoError(t, err)
	require.Equal(t, ev.Estimates[1].Value, value("evalue", sensitivity.EValueMeasure))
	require.Equal(t, ev.Estimates[2].Value, value("evalue-limit", sensitivity.EValueMeasure))
	require.InDelta(t, 1.5, sd, .35)
	require.InDelta(t, math.Round(sd*10), sd*10, 1e-9, "two digits")

	// Rosenbaum: the pairs' differences, whatever the covariates.
	g := *f
	g.X, g.XNames, g.Cluster, g.Weight = nil, nil, nil, estimate.Weights{}
	ro, err := sensitivity.Rosenbaum{Gamma: []float64{1.2, 2}}.Fit(t.Context(), &g)
	require.NoError(t, err)
	require.Equal(t, ro.Estimates[0].Value, value("gamma=1.2", sensitivity.PUpper))
	require.Equal(t, ro.Estimates[len(ro.Estimates)-1].Value, value("gamma", sensitivity.GammaValue))

	// Omitted: the coefficient of the unweighted regression is the effect's.
	require.Less(t, value("robustness-limit", sensitivity.RobustnessValue), value("robustness", sensitivity.RobustnessValue))
	require.Less(t, value("omitted=1x x+z", estimate.MeanDifference), value("omitted=1x x", estimate.MeanDifference))
	require.Less(t, value("omitted=2x x", estimate.MeanDifference), claim.Value)

	// Leave out: a refit on the frame without the sets of place b.
	names := []string{"a", "b", "c", "d", "e"}
	place, err := textOf(s.cohorts["pairs"].table.Take(of.fitted.rows), "place")
	require.NoError(t, err)
	group := make([]int, len(place))
	for i, p := range place {
		group[i] = int(p[0] - 'a')
	}
	lo, err := sensitivity.LeaveOut{Each: effect.Regression{Vcov: "cr1"}, Group: group, Names: names}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, lo.Estimates[2].Value, value("without=b", estimate.MeanDifference))
	require.Equal(t, lo.Estimates[2].SE, s.numberOf(t, "sure", "without=b", estimate.MeanDifference).e.SE)

	// Tipping: everybody in the cohort, also the sets that the effect left out.
	n := s.cohorts["pairs"].table.Rows()
	require.Greater(t, n, len(f.Y))
	y, err := s.cohorts["pairs"].table.Float("y")
	require.NoError(t, err)
	gone := 0
	for i := range n {
		if !y.Has(i) && s.cohorts["pairs"].treated[i] {
			gone++
		}
	}
	require.InDelta(t, 2*float64(gone)/float64(n), value("arm=treated", sensitivity.MissingShare), 1e-12)
	require.Less(t, value("tipping,path=opposite", sensitivity.Shift), 0.)
	require.Less(t, value("path=treated,delta=-1", estimate.MeanDifference), value("path=treated,delta=1", estimate.MeanDifference))

	// Calibration: in standard deviations and back, with the covariances of the estimates.
	require.InDelta(t, claim.Value/sd, claim.Value/spread(f), 1e-15)
	o := sensitivity.Calibration{Estimate: claim.Value / sd, SE: claim.SE / sd, DF: claim.Test.DF, Measure: estimate.MeanDifference, Level: .95}
	var list []*scaled
	run := &trustRun{s: s}
	for _, name := range []string{"n1", "n2", "n3", "n4", "n5", "n6"} {
		c, err := run.scaled(s.answered(name))
		require.NoError(t, err)
		list = append(list, c)
		o.Controls = append(o.Controls, sensitivity.Control{Name: name, Estimate: c.e.Value, SE: c.e.SE, DF: c.e.Test.DF})
	}
	independent, err := o.Value()
	require.NoError(t, err)
	calibrated := s.numberOf(t, "sure", "calibrated", estimate.MeanDifference).e
	require.NotEqual(t, independent.Estimates[0].SE*sd, calibrated.SE, "people are the same")
	require.InDelta(t, independent.Estimates[0].Value*sd, calibrated.Value, .1)
	require.InDelta(t, list[0].e.SE*list[0].e.SE, covariance(list[0], list[0]), 1e-12)
	require.InDelta(t, covariance(list[0], list[1]), covariance(list[1], list[0]), 1e-15)
	// A control in another unit is the same control.
	require.InDelta(t, s.answered("n3").numbers[0].e.Value/list[2].sd, value("control=n3", standardised), 1e-14)

	// Placebo: against the share of the claimed effect.
	p := s.answered("q1").numbers[0].e
	e := s.numberOf(t, "sure", "placebo=q1", sensitivity.EquivalenceTest).e
	require.InDelta(t, .4*claim.Value-math.Abs(p.Value), e.Value, 1e-12)
	require.Less(t, e.Test.P, .05, "a small placebo is shown to be small")
}

// The hidden cause makes the claimed effect too large; what the controls show takes it off.
func TestTrustSeesHiddenCauses(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	claim, calibrated := s.answered("claim").numbers[0].e, s.numberOf(t, "sure", "calibrated", estimate.MeanDifference).e
	require.Greater(t, claim.CI.Lo, 1.5, "the true effect is 1.5, and the interval misses it")
	require.Less(t, calibrated.Value, claim.Value)
	require.LessOrEqual(t, calibrated.CI.Lo, 1.5)
	require.GreaterOrEqual(t, calibrated.CI.Hi, 1.5)
}

// An effect that lowers the outcome is as sure as one that raises its opposite.
func TestTrustOfALoweredOutcome(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	up, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	down, err := trustRunOf(t, dir, strings.Replace(trustStudy, "outcome: y, method", "outcome: v, method", 1))
	require.NoError(t, err)
	for term, m := range map[string]estimate.Measure{
		"evalue-limit": sensitivity.EValueMeasure, "gamma": sensitivity.GammaValue, "gamma=1.2": sensitivity.PUpper, "robustness-limit": sensitivity.RobustnessValue,
	} {
		require.InDelta(t, up.numberOf(t, "sure", term, m).e.Value, down.numberOf(t, "sure", term, m).e.Value, 2e-2, term)
	}
	require.InDelta(t, -up.numberOf(t, "sure", "tipping,path=opposite", sensitivity.Shift).e.Value, down.numberOf(t, "sure", "tipping,path=opposite", sensitivity.Shift).e.Value, 1e-9)
	require.InDelta(t, -up.numberOf(t, "sure", "without-largest", estimate.MeanDifference).e.Value, down.numberOf(t, "sure", "without-smallest", estimate.MeanDifference).e.Value, 1e-9)
}

// A group of few is not left out by name, and with it goes the next smallest: the number
// with everybody would give the one away.
func TestTrustDoesNotTellOfSmallGroups(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	s, err := trustRunOf(t, dir, trustStudy)
	require.NoError(t, err)
	withheld := 0
	for _, r := range s.bundle.records {
		if strings.HasPrefix(r.Address, "sure/without=") && r.Withheld {
			withheld++
			require.Nil(t, r.Estimate)
		}
		if r.Address == "sure/without=e/mean-difference" {
			require.True(t, r.Withheld)
		}
	}
	require.Equal(t, 2, withheld)
	smallest, largest := s.numberOf(t, "sure", "without-smallest", estimate.MeanDifference), s.numberOf(t, "sure", "without-largest", estimate.MeanDifference)
	require.Less(t, smallest.e.Value, largest.e.Value)
	require.NotEqual(t, s.numberOf(t, "sure", "without=e", estimate.MeanDifference).e.Value, smallest.e.Value)
	require.NotEqual(t, s.numberOf(t, "sure", "without=e", estimate.MeanDifference).e.Value, largest.e.Value)
	// Levels that the study file does not declare are not even named.
	free, err := trustRunOf(t, dir, strings.Replace(trustStudy, "{name: place, type: category, levels: [a, b, c, d, e]}", "{name: place, type: category}", 1))
	require.NoError(t, err)
	hidden := 0
	for _, r := range free.bundle.records {
		require.NotEqual(t, "sure/without=e/mean-difference", r.Address)
		if r.Address == "sure/without=../mean-difference" {
			hidden++
			require.True(t, r.Withheld)
			require.Nil(t, r.Estimate)
		}
	}
	require.Equal(t, 1, hidden)
	require.Equal(t, smallest.e.Value, free.numberOf(t, "sure", "without-smallest", estimate.MeanDifference).e.Value)
	kept := s.bundle.findings["sure/without-smallest/mean-difference"]
	n, _ := kept.Treated.Int()
	all, _ := s.bundle.findings["claim/att/mean-difference"].Treated.Int()
	require.Less(t, n, all)
}

// Every key of trust, of roles and of families has an effect, or is an error.
func TestEveryTrustKeyMatters(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	out := func(text string) (string, error) {
		spec, err := Parse("study.yaml", strings.NewReader(text))
		if err != nil {
			return "", err
		}
		return optionTry(t, dir, spec, false)
	}
	base, err := out(trustStudy)
	require.NoError(t, err)
	for _, room := range []string{"[[study.", "[[report.", "[[notes."} {
		require.NotContains(t, base, room)
	}
	sv, err := out(strings.Replace(trustStudy, "language: en", "language: sv", 1))
	require.NoError(t, err)
	require.NotContains(t, sv, "[[study.")
	for key, c := range trustKeys {
		require.Contains(t, trustStudy, c[0], key)
		now, err := out(strings.Replace(trustStudy, c[0], c[1], 1))
		if c[2] == refused {
			require.ErrorIs(t, err, ErrSpec, key)
			continue
		}
		require.NoError(t, err, key)
		if now == base {
			t.Errorf("%s has no effect", key)
		}
	}
}

var trustKeys = map[string][3]string{
	"analyses.role":                        {"{name: q2, role: placebo", "{name: q2, role: negative-control", refused},
	"analyses.trust.of":                    {"trust: {of: share", "trust: {of: claim", ""},
	"analyses.trust.evalue":                {"of: claim, evalue: true", "of: claim, evalue: false", ""},
	"analyses.trust.rosenbaum.gamma":       {"gamma: [1.2, 2]", "gamma: [1.2, 3]", ""},
	"analyses.trust.omitted.benchmarks":    {"benchmarks: [x, z]", "benchmarks: [z, x]", ""},
	"analyses.trust.omitted.strength":      {"strength: [1, 2]", "strength: [1, 3]", ""},
	"analyses.trust.omitted.together":      {"together: true", "together: false", ""},
	"analyses.trust.leave_out":             {"leave_out: place", "leave_out: half", ""},
	"analyses.trust.tipping.delta":         {"delta: [-1, 1]", "delta: [-1, 2]", ""},
	"analyses.trust.negative_controls":     {"[n1, n2, n3, n4, n5, n6]", "[n1, n2, n3, n4, n5]", refused}, // n6 would be asked for by nobody
	"analyses.trust.placebo.analyses":      {"analyses: [q1, q2], share", "analyses: [q2, q1], share", ""},
	"analyses.trust.placebo.share":         {"share: 0.4", "share: 0.6", ""},
	"families.name":                        {"name: main", "name: other", ""},
	"families.analyses":                    {"analyses: [claim, share]", "analyses: [claim, share, third]", ""},
	"families.method":                      {"method: sup-t", "method: romano-wolf", ""},
	"cohorts.time_zero.shift":              {"treatment: t,", "treatment: t, time_zero: {shift: -1},", refused},
	"analyses.trust.rosenbaum.gamma twice": {"gamma: [1.2, 2]", "gamma: [2, 2]", refused},
}

func TestTrustProblems(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"of: claim", "of: nothing", `no analysis "nothing" before this one`},
		{"of: claim", "of: n1", "has the role negative-control and claims nothing"},
		{"{of: share, evalue: true, rosenbaum: {}, omitted: {}, leave_out: half, tipping: {}}", "{of: share}", "ask at least one of"},
		{"gamma: [1.2, 2]", "gamma: [0.5]", "odds of at least 1"},
		{"benchmarks: [x, z]", "benchmarks: [y]", "not a covariate of the effect"},
		{"method: regression, covariates: [x, z]", "method: regression, interactions: true, covariates: [x, z]", "omitted is about a regression"},
		{"omitted: {}", "omitted: {strength: [2]}", "strength is used only with benchmarks"},
		{"strength: [1, 2]", "strength: [0]", "above 0"},
		{"[n1, n2,", "[n1, n1,", "named twice"},
		{"[n1, n2,", "[q1, n2,", "needs role: negative-control"},
		{"analyses: [q1, q2], share: 0.4", "analyses: [], share: 0.4", "name the analyses"},
		{"share: 0.4", "share: -1", "share must be above 0"},
		{"{name: q1, role: placebo, unit: months", "{name: q1, role: placebo, unit: kronor", "they must be the same"},
		{"role: placebo, unit: months, effect: {cohort: pairs, outcome: p1}", "role: placebo, unit: months, headline: true, effect: {cohort: pairs, outcome: p1}", "no key result"},
		{"{name: third, effect", "{name: third, role: placebo, effect", "no analysis of trust asks for it"},
		{"analyses: [claim, share]", "analyses: [claim]", "from two analyses on"},
		{"analyses: [claim, share]", "analyses: [claim, sure]", "claims no effect"},
		{"analyses: [claim, share]", "analyses: [claim, n1]", "claims no effect"},
		{"analyses: [claim, share]", "analyses: [claim, none]", `no analysis "none"`},
		{"method: sup-t}", "method: sup-t}\n  - {name: again, analyses: [claim, third]}", "in the family"},
		{"method: sup-t", "method: bonferroni", "is not one of"},
	} {
		require.Contains(t, trustStudy, c.from)
		_, err := Parse("s.yaml", strings.NewReader(strings.Replace(trustStudy, c.from, c.to, 1)))
		require.ErrorIs(t, err, ErrSpec, c.to)
		require.ErrorContains(t, err, c.says, c.to)
	}
}

// Without pairs, or with few controls, the number is not given, and the report says why.
func TestTrustRefusesAndSaysWhy(t *testing.T) {
	dir := t.TempDir()
	trustData(t, dir)
	text := strings.NewReplacer("match: {ratio: 1, caliper: 0.5}", "match: {ratio: 2, caliper: 0.02}", "[n1, n2, n3, n4, n5, n6]", "[n1, n2]",
		"{name: n3, role: negative-control, ", "{name: n3, ", "{name: n4, role: negative-control, ", "{name: n4, ",
		"{name: n5, role: negative-control, ", "{name: n5, ", "{name: n6, role: negative-control, ", "{name: n6, ").Replace(trustStudy)
	s, err := trustRunOf(t, dir, text)
	require.NoError(t, err)
	for term, m := range map[string]estimate.Measure{"gamma": sensitivity.GammaValue, "robustness": sensitivity.RobustnessValue, "calibrated": estimate.MeanDifference} {
		require.NotNil(t, s.numberOf(t, "sure", term, m).not, term)
	}
	say := strings.Join(s.spec.findAnalysis("sure").Trust.say(s, s.answered("sure")), "\n")
	require.Contains(t, say, "The bounds need pairs")
	require.Contains(t, say, "2 negative controls are too few")
	require.Contains(t, say, "people count differently here")
}
