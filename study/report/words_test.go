package report

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
)

func interval(lo, hi float64) estimate.Interval {
	return estimate.Interval{Lo: lo, Hi: hi, Level: 0.95, Method: "normal"}
}

// What may be said comes from the interval, the direction and the relevance alone.
func TestJudge(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		lo, hi, relevance float64
		up, down, neutral verdict
	}{
		{1, 2, 0, better, worse, more},
		{-2, -1, 0, worse, better, less},
		{-1, 1, 0, unclear, unclear, unclear},
		{-1, 1, 2, none, none, none},
		{-1, 1, 1, none, none, none},
		{-1.01, 1, 1, unclear, unclear, unclear},
		{-1, 1.01, 1, unclear, unclear, unclear},
		{0, 1, 0, unclear, unclear, unclear}, // touching zero does not exclude it
		{-1, 0, 0, unclear, unclear, unclear},
		{0.1, 0.2, 5, better, worse, more}, // clear, though small
		{0, 0, 1, none, none, none},
		{nan, nan, 0, silent, silent, silent},
		{nan, 1, 0, silent, silent, silent},
		{2, 1, 0, silent, silent, silent},
	} {
		ci := interval(c.lo, c.hi)
		require.Equal(t, c.up, judge(ci, Up, c.relevance), "%+v", c)
		require.Equal(t, c.down, judge(ci, Down, c.relevance), "%+v", c)
		require.Equal(t, c.neutral, judge(ci, Neutral, c.relevance), "%+v", c)
		require.Equal(t, c.neutral, judge(ci, "", c.relevance), "%+v", c)
	}
}

func finding(kind Kind, unit Unit, good Direction, relevance float64, e estimate.Estimate) Finding {
	return Finding{Address: "a/b/c", Outcome: "x", Kind: kind, Unit: unit, Good: good, Relevance: relevance,
		Estimate: release.Estimate{Number: e, Shown: true}}
}

// The sentence as a whole, in both languages.
func TestSentence(t *testing.T) {
	pp := func(v, lo, hi float64) estimate.Estimate {
		return estimate.Estimate{Term: "att", Measure: estimate.RiskDifference, Value: v, SE: 1, CI: interval(lo, hi)}
	}
	hr := estimate.Estimate{Term: "hr", Measure: estimate.LogHazardRatio, Value: math.Log(1.5), SE: 0.1, CI: interval(math.Log(1.2), math.Log(1.875))}
	for _, c := range []struct {
		name   string
		f      Finding
		sv, en string
	}{
		{"better", finding(Effect, PercentagePoints, Up, 0, pp(0.05, 0.02, 0.08)),
			"deltagare jämfört med jämförelsepersoner: 5,0 procentenheter mer, vilket är bättre. Intervallet (2,0 till 8,0 procentenheter) ligger helt på ena sidan om ”ingen skillnad”.",
			"participants compared with comparison people: 5.0 percentage points more, which is better. The interval (2.0 to 8.0 percentage points) lies entirely on one side of “no difference”."},
		{"better by less", finding(Effect, Months, Down, 0, pp(-2, -3, -1)),
			"deltagare jämfört med jämförelsepersoner: 2,0 månader mindre, vilket är bättre. Intervallet (−3,0 till −1,0 månader) ligger helt på ena sidan om ”ingen skillnad”.",
			"participants compared with comparison people: 2.0 months less, which is better. The interval (−3.0 to −1.0 months) lies entirely on one side of “no difference”."},
		{"worse", finding(Effect, Kronor, Up, 0, pp(-5000, -8000, -2000)),
			"deltagare jämfört med jämförelsepersoner: 5 000 kronor mindre, vilket är sämre. Intervallet (−8 000 till −2 000 kronor) ligger helt på ena sidan om ”ingen skillnad”.",
			"participants compared with comparison people: 5,000 kronor less, which is worse. The interval (−8,000 to −2,000 kronor) lies entirely on one side of “no difference”."},
		{"neutral", finding(Effect, Plain, Neutral, 0, pp(2, 1, 3)),
			"deltagare jämfört med jämförelsepersoner: 2,00 mer. Intervallet (1,00 till 3,00) ligger helt på ena sidan om ”ingen skillnad”. Om det är bra eller dåligt säger måttet inte.",
			"participants compared with comparison people: 2.00 more. The interval (1.00 to 3.00) lies entirely on one side of “no difference”. The measure does not say whether that is good or bad."},
		{"ratio", finding(Effect, Plain, Up, 0, hr),
			"deltagare jämfört med jämförelsepersoner: 1,50 gånger så mycket, vilket är bättre. Intervallet (1,20 till 1,88) ligger helt på ena sidan om ”ingen skillnad”.",
			"participants compared with comparison people: 1.50 times as much, which is better. The interval (1.20 to 1.88) lies entirely on one side of “no difference”."},
		{"none", finding(Effect, PercentagePoints, Up, 0.02, pp(0.001, -0.01, 0.012)),
			"Ingen viktig skillnad mellan deltagare och jämförelsepersoner. Intervallet (−1,0 till 1,2 procentenheter) ligger inom −2,0 till 2,0 procentenheter, som studien räknar som för små skillnader för att spela roll.",
			"No important difference between participants and comparison people. The interval (−1.0 to 1.2 percentage points) lies within −2.0 to 2.0 percentage points, which the study counts as differences too small to matter."},
		{"unclear", finding(Effect, PercentagePoints, Up, 0, pp(0.01, -0.01, 0.03)),
			"Det går inte att avgöra om deltagare och jämförelsepersoner skiljer sig åt. Intervallet (−1,0 till 3,0 procentenheter) rymmer både mer och mindre. Det är inte samma sak som att effekt saknas.",
			"It cannot be settled whether participants and comparison people differ. The interval (−1.0 to 3.0 percentage points) holds both more and less. That is not the same as no effect."},
		{"unclear with relevance", finding(Effect, PercentagePoints, Up, 0.02, pp(0.01, -0.01, 0.03)),
			"Det går inte att avgöra om deltagare och jämförelsepersoner skiljer sig åt. Intervallet (−1,0 till 3,0 procentenheter) rymmer ingen skillnad alls men också skillnader som studien räknar som viktiga (utanför −2,0 till 2,0 procentenheter). Det är inte samma sak som att effekt saknas.",
			"It cannot be settled whether participants and comparison people differ. The interval (−1.0 to 3.0 percentage points) holds no difference at all but also differences that the study counts as important (outside −2.0 to 2.0 percentage points). That is not the same as no effect."},
		{"small", finding(Effect, PercentagePoints, Up, 0.05, pp(0.01, 0.005, 0.015)),
			"deltagare jämfört med jämförelsepersoner: 1,0 procentenheter mer, vilket är bättre. Intervallet (0,5 till 1,5 procentenheter) ligger helt på ena sidan om ”ingen skillnad”. Men hela intervallet ligger inom −5,0 till 5,0 procentenheter, som studien räknar som för små skillnader för att spela roll.",
			"participants compared with comparison people: 1.0 percentage points more, which is better. The interval (0.5 to 1.5 percentage points) lies entirely on one side of “no difference”. But the whole interval lies within −5.0 to 5.0 percentage points, which the study counts as differences too small to matter."},
		{"association", finding(Association, PercentagePoints, Up, 0, pp(-0.3, -0.4, -0.2)),
			"deltagare jämfört med jämförelsepersoner: 30,0 procentenheter mindre. Intervallet (−40,0 till −20,0 procentenheter) ligger helt på ena sidan om ”ingen skillnad”. Det är ett samband. Grupperna är inte gjorda lika, så skillnaden kan bero på annat än insatsen.",
			"participants compared with comparison people: 30.0 percentage points less. The interval (−40.0 to −20.0 percentage points) lies entirely on one side of “no difference”. This is an association. The groups were not made alike, so the difference may be due to something other than the programme."},
		{"description", finding(Description, PercentagePoints, Up, 0, estimate.Estimate{Measure: estimate.Mean, Value: 0.31, CI: interval(0.3, 0.32)}),
			"31,0 %. Det är en beskrivning utan jämförelse och säger inget om vad insatsen åstadkom.",
			"31.0%. This is a description without comparison and says nothing about what the programme achieved."},
		{"no interval", finding(Effect, PercentagePoints, Up, 0, pp(0.3, math.NaN(), math.NaN())),
			"Siffran har inget intervall. Då sägs inget om riktningen.", "The number has no interval, so nothing is said about its direction."},
		{"undefined", finding(Effect, PercentagePoints, Up, 0, pp(math.NaN(), 0.1, 0.2)),
			"Siffran finns inte. Anmärkningen säger varför.", "The number does not exist. The note says why."},
		{"withheld", Finding{Kind: Effect, Estimate: release.Estimate{Why: release.BelowMinimum}},
			"Siffran visas inte, för att skydda enskilda personer. Det betyder inte att den är noll. Skäl: för få personer.",
			"The number is not shown, to protect individuals. That does not mean that it is zero. Reason: too few people."},
		{"refused", Finding{Kind: Refused}, "Ingen siffra ges.", "No number is given."},
	} {
		for l, want := range map[lang.Lang]string{lang.SV: c.sv, lang.EN: c.en} {
			got := strings.ReplaceAll(c.f.sentence(l, namesOf(l, "", "")), "\u00a0", " ")
			require.Equal(t, want, got, "%s in %s", c.name, l)
		}
	}
}

// The sentence does not read the value: two estimates with one interval differ in
// the number they name and in nothing else, and a p-value plays no part.
func TestSentenceReadsTheInterval(t *testing.T) {
	a := finding(Effect, PercentagePoints, Up, 0, estimate.Estimate{Measure: estimate.RiskDifference, Value: 0.9, CI: interval(-0.01, 0.02), Test: estimate.Test{P: 1e-9}})
	b := a
	b.Estimate.Number.Value, b.Estimate.Number.Test.P = -0.9, 0.9
	for _, l := range lang.All() {
		require.Equal(t, a.sentence(l, namesOf(l, "", "")), b.sentence(l, namesOf(l, "", "")))
	}
	_, badge := a.badge(lang.EN)
	require.Equal(t, "Cannot be settled", badge)
	a.Kind = Association
	v, _ := a.badge(lang.SV)
	require.Equal(t, association, v, "groups that were not made alike give no better and no worse")
}

// Every reason of the release and every verdict has words.
func TestWordsExist(t *testing.T) {
	for _, why := range []release.Why{release.BelowMinimum, release.Difference, release.Complementary, release.WholeGroup, release.FewDF, release.AtRisk, release.EventCell, release.RestTooSmall} {
		require.True(t, lang.Has("report.why-"+string(why)), why)
	}
	for _, v := range []verdict{better, worse, more, less, none, unclear, silent, association} {
		require.True(t, lang.Has("report.badge-"+string(v)), v)
	}
	for _, v := range []verdict{better, worse, more, less, none, unclear} {
		require.True(t, lang.Has("report.say-"+string(v)), v)
	}
	for _, k := range []Kind{Effect, Association, Description, Refused} {
		require.True(t, lang.Has("report.kind-"+string(k)), k)
	}
	for _, u := range []Unit{PercentagePoints, Months, Kronor, Percent, Plain} {
		require.True(t, lang.Has("report.unit-"+string(u)), u)
	}
}

// A bound that is not zero is never written as zero: the sentence beside it says that
// the interval excludes zero.
func TestGaugeKeepsTheSideOfZero(t *testing.T) {
	for _, c := range []struct {
		unit           Unit
		v, lo, hi      float64
		value, between string
	}{
		{PercentagePoints, 0.02, 0.0003, 0.04, "+2.00", "0.03 to 4.00"},
		{PercentagePoints, 0.02, 0.01, 0.03, "+2.0", "1.0 to 3.0"},
		{Months, -1, -2, -0.04, "−1.00", "−2.00 to −0.04"},
		{Kronor, 9183, -2599, 20959, "+9,200", "−2,600 to 21,000"},
		{Kronor, 9183, 40, 20959, "+9,180", "40 to 20,960"},
		{Kronor, -0.697, -0.71, -0.684, "−0.697", "−0.710 to −0.684"},
		{Kronor, 2.82, 2.43, 3.21, "+2.82", "2.43 to 3.21"},
		{Kronor, 123456, 110001, 140002, "+123,000", "110,000 to 140,000"},
		{Plain, 1234.5, 1200, 1300, "+1,234", "1,200 to 1,300"},
		{Plain, 0.01234, 0.01, 0.02, "+0.0123", "0.0100 to 0.0200"},
		{Plain, 0, 0, 0, "0.00", "0.00 to 0.00"},
		{Percent, 0.5, 0.4, 0.6, "+50.0", "40.0 to 60.0"},
	} {
		e := estimate.Estimate{Measure: estimate.MeanDifference, Value: c.v, CI: interval(c.lo, c.hi)}
		g := newGauge(lang.EN, c.unit, e)
		require.Equal(t, c.value, g.signed(c.v), "%+v", c)
		require.Equal(t, c.between, strings.ReplaceAll(g.bounds(c.lo, c.hi), "\u00a0", " "), "%+v", c)
	}
	require.Equal(t, "–", newGauge(lang.EN, Kronor, estimate.Estimate{Value: math.NaN(), CI: interval(math.NaN(), math.NaN())}).with(math.NaN()))
}
