package study

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

// onlyForecast is the study without the third question, with keys added to the second.
func onlyForecast(t *testing.T, more string) string {
	t.Helper()
	text := withoutBlock(progressStudy(t), "      assessments:", ", life: 0.05", ", life: study_population.overall.life_12.versus_wait.net_share")
	require.Contains(t, text, "older_to: 2013-12")
	return strings.NewReplacer("older_to: 2013-12", "older_to: 2014-06"+more, "as_of: 2016-12", "as_of: 2017-06").Replace(text)
}

// Under latent unconfoundedness the forecast is the outcome bridge of the sample that the study makes, its region the bridge's, and its tests
// those of the bridge, each year from those before it.
func TestForecastUnderLatentUnconfoundedness(t *testing.T) {
	s := opened(t, progressData(t), onlyForecast(t, ", assume: latent-unconfoundedness, tilt: [0.1, 0.3]"))
	a := &s.spec.Analyses[0]
	b := s.cohorts[a.Progress.Cohort]
	u, err := newProgressUnits(b)
	require.NoError(t, err)
	own := &progressResult{ladder: s.ladders[a.Progress.Ladder], notes: map[string][]table.Note{}}
	r, h := &analysisResult{own: own}, &headline{term: termForecast}
	require.NoError(t, s.forecast(r, a, u, h))
	require.Nil(t, h.not)
	d, err := s.forecastData(r, a.Progress, u)
	require.NoError(t, err)
	e := progress.Surrogate{Folds: 5, Seed: s.seedOf("progress-forecast"), Region: []float64{.1, .3}}
	res, err := progress.OutcomeBridge(e).Fit(t.Context(), d.sample)
	require.NoError(t, err)
	require.Equal(t, res.Estimates[0].Value, h.estimate.Value)
	require.Equal(t, "bridge", res.Estimates[0].Term)
	plain, err := progress.Surrogate{Folds: 5, Seed: s.seedOf("progress-forecast")}.Fit(t.Context(), d.sample)
	require.NoError(t, err)
	require.NotEqual(t, plain.Estimates[0].Value, h.estimate.Value)
	value := map[string]estimate.Estimate{}
	for _, n := range r.numbers {
		value[n.term] = n.e
		require.Equal(t, "check", n.kind)
	}
	for k, term := range []string{"", "forecast,part=index", "forecast,part=difference", "forecast,tilt=0.1,bound=low", "forecast,tilt=0.1,bound=high", "forecast,tilt=0.3,bound=low", "forecast,tilt=0.3,bound=high"} {
		if term != "" {
			require.Equal(t, res.Estimates[k].Value, value[term].Value, term)
			require.Equal(t, res.Estimates[k].SE, value[term].SE, term)
		}
	}
	require.Len(t, res.Estimates, 7)
	require.Less(t, value["forecast,tilt=0.3,bound=low"].Value, value["forecast,tilt=0.1,bound=low"].Value)
	eta, ok := res.Details["tilt_breakdown"].(float64)
	require.True(t, ok)
	require.InDelta(t, math.Exp(eta), own.strength.odds, 1e-12)
	// One year has a year before it; its test is that of the year alone.
	rows, err := progress.OutcomeBridge(e).Truths(t.Context(), d.sample, d.olderYears(u))
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"", "2014"}, []string{own.tests[0].label, own.tests[1].label})
	require.Equal(t, rows[0], own.tests[1].row)
	require.Equal(t, math.Abs(rows[1].Difference), h.benchmark)
	require.Equal(t, rows[0].Difference, value["truth,year=2014,part=difference"].Value)
	require.Equal(t, rows[0].Persons, own.tests[1].basis.Treated+own.tests[1].basis.Control)
	require.NotContains(t, value, "truth,part=difference", "it would say the same")

	// The quality of the forecast is that of a model for each arm.
	k := len(d.sample.SNames)
	arms := d.byArm()
	for i, in := range d.sample.Treated {
		for j := range k {
			want := 0.0
			if in {
				want = d.sample.S.At(i, j)
			}
			require.Equal(t, d.sample.S.At(i, j), arms.S.At(i, j))
			require.Equal(t, want, arms.S.At(i, k+1+j))
		}
		require.Equal(t, in, arms.S.At(i, k) == 1)
	}
	require.Len(t, arms.SNames, 2*k+1)
}

// What is said of a forecast: how it did for each year whose numbers may be shown, what it rests on, and, of one that says a direction, what it would
// stand. An interval of 2 to 8 of 100 and an error of 1: twice as much; of .1: beyond ten times as much.
func TestForecastSaysWhatItWouldStand(t *testing.T) {
	for _, language := range []lang.Lang{lang.SV, lang.EN} {
		s := &state{lang: language, bundle: &assembled{findings: map[string]release.Estimate{}}}
		own := &progressResult{strength: forecastStrength{asked: true, odds: 1.234}, tests: []truthTest{{label: ""}}}
		for year, verdict := range map[string]string{"2011": "validated", "2012": "withdrawn", "2013": "unproven", "2014": "unproven", "2015": "validated"} {
			own.tests = append(own.tests, truthTest{label: year, row: progress.SurrogateTruth{Verdict: verdict}})
			s.bundle.findings["progress/truth,year="+year+",part=difference/risk-difference"] = release.Estimate{Shown: year != "2015"}
		}
		f := &Forecast{Assume: assumeLatentUnconfounded, Tilt: []float64{.1}}
		r := &analysisResult{spec: &Analysis{Name: "progress", Progress: &Headlines{Forecast: f}}, own: own}
		h := &headline{term: termForecast, benchmark: .01, estimate: estimate.Estimate{Value: .05, CI: estimate.Interval{Lo: .02, Hi: .08}}}
		h.finding.Word = progress.Better
		says := func(key string, args ...any) string { return language.Text("study.progress-say-"+key, args...) }
		tested, bridge := says("tested", "years", 4, "held", 1, "fell", 1, "open", 2), says("bridge")
		require.Equal(t, []string{tested, bridge, says("tilt", "factor", language.Number(1.23, 2)), says("benchmark", "times", language.Number(2, 1))}, s.forecastSays(r, h))
		h.benchmark, own.strength.odds = .001, math.Inf(1)
		require.Equal(t, []string{says("tilt-far", "factor", language.Number(math.Exp(3), 2)), says("benchmark-far", "times", language.Number(10, 1))}, s.forecastSays(r, h)[2:])
		h.finding.Word = progress.CannotBeKnown
		require.Equal(t, []string{tested, bridge}, s.forecastSays(r, h), "nothing to stand or fall")
		h.finding.Word, own.rectified = progress.Better, true
		require.Equal(t, []string{tested}, s.forecastSays(r, h), "people's own outcomes lead")
		f.Assume, f.Tilt, own.rectified, own.strength, h.benchmark, own.tests = assumeSurrogacy, nil, false, forecastStrength{}, 0, nil
		require.Empty(t, s.forecastSays(r, h))
	}
}

func TestForecastAssumptionMistakes(t *testing.T) {
	for more, says := range map[string]string{
		", assume: nothing": "assume", ", tilt: [0]": "above 0", ", tilt: [4]": "at most 3", ", tilt: [0.1, 0.1]": "twice", ", tilt: [.nan]": "above 0",
	} {
		_, err := Parse("study.yaml", strings.NewReader(onlyForecast(t, more)))
		require.ErrorIs(t, err, ErrSpec, more)
		require.ErrorContains(t, err, says, more)
	}
}
