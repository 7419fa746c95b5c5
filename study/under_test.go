package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
	"utfall/study/report"
)

// underStudy is the cohort of the study file "both" with questions that stand under the headlines.
func underStudy(t *testing.T, analyses ...string) string {
	t.Helper()
	text := progressStudy(t)
	from, to := strings.Index(text, "analyses:\n"), strings.Index(text, "known_truth:")
	require.True(t, 0 < from && from < to)
	return text[:from] + "analyses:\n" + strings.Join(analyses, "") + text[to:]
}

const (
	underPairs = `  - name: pairs
    outcome_label: {sv: Arbete, en: Work}
    unit: percentage-points
    pairs: {cohort: deltagare, horizon: 24, outcomes: [{name: work, states: [work], stable: 3, better: earlier, threshold: 1}, {name: months, outcome: months_work, better: more, threshold: 1}]}
`
	underLadder = `  - name: steps
    outcome_label: {sv: Steg, en: Steps}
    unit: percentage-points
    ladder: {cohort: deltagare, ladder: ladder.yaml, at: [12, 24], odds: true}
`
	underScales = `  - name: scales
    outcome_label: {sv: Formuläret, en: The questionnaire}
    unit: units
    reliability: {cohort: deltagare, data: assessments, after: 12, window: 1, retest: true, anchor: {item: health, rater: self, at_least: 4}, places: municipality, scales: [{name: own, rater: self, items: [health, coping, everyday]}, {name: theirs, rater: caseworker, items: [job-chance, cooperation]}]}
`
	underFollowUp = `  - name: wellbeing
    outcome_label: {sv: Poäng, en: Score}
    follow_up: {cohort: deltagare, data: assessments, rater: self, items: [health, coping, hope, everyday], at: [6, 12], window: 2, covariates: [age, sex], mic: 0.3}
`
	underColumns = `  - name: months-of-work
    outcome_label: {sv: Månader, en: Months}
    follow_up: {cohort: deltagare, columns: [months_work, sickness_24], before: months_work_24, covariates: [age], mic: 2}
`
	underDistance = `  - name: distance
    outcome_label: {sv: Avstånd, en: Distance}
    unit: units
    distance: {cohort: deltagare, self_support: [work, studies], at: 6, within: 30, run: 6, folds: 4, background: [age], answers: {data: assessments, rater: self, items: [health, hope], window: 1}}
`
	underReturns = `  - name: returns
    outcome_label: {sv: Åter, en: Back}
    unit: units
    recurrent: {cohort: deltagare, states: [sickness-benefit, social-assistance], terminal: [death, emigration, age-pension], at: [12, 24]}
`
	underChanges = `  - name: changes
    outcome_label: {sv: Byten, en: Changes}
    unit: units
    recurrent: {cohort: deltagare, ladder: ladder.yaml, self_support: [work, studies], at: [24]}
`
	underLandmark = `  - name: landmark
    outcome_label: {sv: Arbete, en: Work}
    unit: percentage-points
    landmark: {cohort: deltagare, state: sickness-benefit, month: 6, to: work, at: [12, 24], tau: 30, merge: {studies: work}, markov: [3, 6], draws: 199}
`
	underSequences = `  - name: sequences
    outcome_label: {sv: Månaderna, en: The months}
    unit: units
    sequences: {cohort: deltagare, to: 24, merge: {studies: work}, distance: hamming, permutations: 199, people: 400}
`
)

// ask gives the numbers of another study file's analyses on the data and cohorts of s.
func (s *state) ask(t *testing.T, text string) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	again := *s
	again.spec, again.results, again.figures, again.lang, again.policy = spec, nil, nil, lang.Lang(spec.Language), spec.Disclosure.Policy()
	for _, step := range []func() error{again.loadLadders, again.estimate} {
		if err := step(); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(again.bundle.records)
	require.NoError(t, err)
	return string(b), nil
}

// numbersOf asks the first analysis of another study file alone.
func (s *state) numbersOf(t *testing.T, text string) (string, error) {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	again := *s
	again.spec = spec
	if err := again.loadLadders(); err != nil {
		return "", err
	}
	r, err := spec.Analyses[0].ask().estimate(&again, &spec.Analyses[0])
	out := fmt.Sprint(r.notes)
	for _, n := range r.numbers {
		out += fmt.Sprintln(n.term, n.e, n.notes, n.not != nil)
	}
	return out, err
}

// page is the report of the analyses of another study file.
func (s *state) page(t *testing.T, text string) string {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	again := *s
	again.spec, again.results, again.figures, again.lang = spec, nil, nil, lang.Lang(spec.Language)
	for _, step := range []func() error{again.loadLadders, again.estimate, again.draw} {
		require.NoError(t, step())
	}
	in, err := again.reportInput("")
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, report.Write(&page, in))
	for _, room := range []string{"study.", "report.", "notes.", "plots."} {
		_, after, missing := strings.Cut(page.String(), "[["+room)
		require.False(t, missing, "the text %s%.40s is missing", room, after)
	}
	return page.String()
}

// underKeys are the keys of the methods: the analysis, what is in it, and what stands there instead.
func underKeys() map[string][4]string {
	return map[string][4]string{
		"pairs.cohort": {underPairs, "cohort: deltagare", "cohort: nobody", refused}, "pairs.horizon": {underPairs, "horizon: 24", "horizon: 12", ""},
		"pairs.outcomes.name": {underPairs, "name: work,", "name: a-job,", ""}, "pairs.outcomes.outcome": {underPairs, "outcome: months_work", "outcome: sickness_24", ""},
		"pairs.outcomes.states": {underPairs, "states: [work]", "states: [work, studies]", ""}, "pairs.outcomes.stable": {underPairs, "stable: 3", "stable: 6", ""},
		"pairs.outcomes.better": {underPairs, "better: more", "better: less", ""}, "pairs.outcomes.threshold": {underPairs, "threshold: 1}, {", "threshold: 6}, {", ""},
		"ladder.cohort": {underLadder, "cohort: deltagare", "cohort: nobody", refused}, "ladder.ladder": {underLadder, "ladder: ladder.yaml", "ladder: none.yaml", "input"},
		"ladder.at": {underLadder, "at: [12, 24]", "at: [12, 18]", ""}, "ladder.odds": {underLadder, ", odds: true", "", ""}, "ladder.strata": {underLadder, "odds: true", "strata: [sex]", ""},
		"follow_up.cohort": {underFollowUp, "cohort: deltagare", "cohort: nobody", refused}, "follow_up.data": {underFollowUp, "data: assessments", "data: people", refused}, "follow_up.rater": {underFollowUp, "rater: self", "rater: nobody", refused},
		"follow_up.items": {underFollowUp, "hope, everyday]", "hope]", ""}, "follow_up.at": {underFollowUp, "at: [6, 12]", "at: [6, 18]", ""}, "follow_up.window": {underFollowUp, "window: 2", "window: 1", ""},
		"follow_up.columns": {underColumns, "[months_work, sickness_24]", "[sickness_24, months_work]", ""}, "follow_up.before": {underColumns, "before: months_work_24", "before: months_work_6", ""},
		"follow_up.covariates": {underFollowUp, "covariates: [age, sex]", "covariates: [age]", ""}, "follow_up.strategies": {underFollowUp, "mic: 0.3", "strategies: [copy-reference], mic: 0.3", ""},
		"follow_up.covariance": {underFollowUp, "mic: 0.3", "covariance: by-arm, mic: 0.3", ""}, "follow_up.errors": {underFollowUp, "mic: 0.3", "errors: jackknife, mic: 0.3", ""},
		"follow_up.tipping": {underFollowUp, "mic: 0.3", "tipping: held, mic: 0.3", ""}, "follow_up.mic": {underFollowUp, "mic: 0.3", "mic: 0.5", ""},
		"reliability.cohort": {underScales, "cohort: deltagare", "cohort: nobody", refused}, "reliability.data": {underScales, "data: assessments", "data: people", refused},
		"reliability.after": {underScales, "after: 12", "after: 6", ""}, "reliability.window": {underScales, "window: 1", "window: 3", ""}, "reliability.retest": {underScales, "retest: true, ", "", ""},
		"reliability.anchor.item": {underScales, "item: health", "item: coping", ""}, "reliability.anchor.rater": {underScales, "health, rater: self", "job-chance, rater: caseworker", ""},
		"reliability.anchor.at_least": {underScales, "at_least: 4", "at_least: 3", ""}, "reliability.places": {underScales, "places: municipality", "places: county", ""},
		// Caseworkers were asked other questions; what the items do is tested by hand.
		"reliability.rater_dif.items":  {underScales, "places: municipality", "rater_dif: {items: [health, coping, hope], raters: [self, caseworker]}", ""},
		"reliability.rater_dif.raters": {underScales, "places: municipality", "rater_dif: {items: [health, coping, hope], raters: [self, self]}", refused},
		"reliability.scales.name":      {underScales, "name: own", "name: mine", ""}, "reliability.scales.rater": {underScales, "name: theirs, rater: caseworker", "name: theirs, rater: self", ""},
		"reliability.scales.items": {underScales, "[health, coping, everyday]", "[health, coping]", ""},
		"distance.cohort":          {underDistance, "cohort: deltagare", "cohort: nobody", refused}, "distance.self_support": {underDistance, "[work, studies]", "[work]", ""}, "distance.at": {underDistance, "at: 6", "at: 9", ""},
		"distance.within": {underDistance, "within: 30", "within: 24", ""}, "distance.run": {underDistance, "run: 6", "run: 3", ""}, "distance.folds": {underDistance, "folds: 4", "folds: 3", ""}, "distance.background": {underDistance, "[age]", "[age, sex]", ""},
		"distance.answers.data": {underDistance, "data: assessments", "data: people", refused}, "distance.answers.rater": {underDistance, "self, items: [health, hope]", "caseworker, items: [job-chance]", ""},
		"distance.answers.items": {underDistance, "[health, hope]", "[health]", ""}, "distance.answers.window": {underDistance, "window: 1", "window: 2", ""},
		"recurrent.cohort": {underReturns, "cohort: deltagare", "cohort: nobody", refused}, "recurrent.states": {underReturns, "sickness-benefit, social", "social", ""},
		"recurrent.terminal": {underReturns, "terminal: [death, emigration, age-pension]", "terminal: [death, emigration, age-pension, work]", ""},
		"recurrent.at":       {underReturns, "at: [12, 24]", "at: [12, 18]", ""}, "recurrent.ladder": {underChanges, "ladder: ladder.yaml", "ladder: none.yaml", "input"},
		"recurrent.self_support": {underChanges, "[work, studies]", "[work, studies, unemployment-programme]", ""},
		"landmark.cohort":        {underLandmark, "cohort: deltagare", "cohort: nobody", refused}, "landmark.state": {underLandmark, "state: sickness-benefit", "state: social-assistance", ""},
		"landmark.month": {underLandmark, "month: 6", "month: 9", ""}, "landmark.to": {underLandmark, "to: work", "to: none", ""}, "landmark.at": {underLandmark, "at: [12, 24]", "at: [12, 18]", ""},
		"landmark.tau": {underLandmark, "tau: 30", "tau: 24", ""}, "landmark.merge": {underLandmark, "{studies: work}", "{studies: work, subsidised-work: work}", ""},
		"landmark.markov": {underLandmark, "markov: [3, 6]", "markov: [3, 9]", ""}, "landmark.draws": {underLandmark, "draws: 199", "draws: 299", ""},
		"sequences.cohort": {underSequences, "cohort: deltagare", "cohort: nobody", refused}, "sequences.to": {underSequences, "to: 24", "to: 12", ""},
		"sequences.merge": {underSequences, "{studies: work}", "{}", ""}, "sequences.distance": {underSequences, "hamming", "lcs", ""},
		"sequences.permutations": {underSequences, "permutations: 199", "permutations: 299", ""}, "sequences.people": {underSequences, "people: 400", "people: 300", ""},
	}
}

// Every key of the methods changes a number, or is an error; every text is there in both languages.
func TestEveryKeyUnderTheHeadlinesMatters(t *testing.T) {
	if testing.Short() {
		t.Skip("estimates once a key")
	}
	cases := underKeys()
	for name, method := range map[string]reflect.Type{"pairs": reflect.TypeFor[Pairs](), "ladder": reflect.TypeFor[Steps](), "follow_up": reflect.TypeFor[FollowUp](), "reliability": reflect.TypeFor[Instrument](), "distance": reflect.TypeFor[Distance](), "recurrent": reflect.TypeFor[Recurrent](), "landmark": reflect.TypeFor[Landmark](), "sequences": reflect.TypeFor[Sequences]()} {
		for key := range keysOf(method, name+".") {
			require.Contains(t, cases, key)
		}
	}
	all := []string{underPairs, underLadder, underScales, underDistance, underFollowUp, underColumns, underReturns, underChanges, underLandmark, underSequences}
	s := opened(t, progressData(t), underStudy(t, all...))
	var err error
	base := map[string]string{}
	for _, a := range all {
		base[a], err = s.numbersOf(t, underStudy(t, a))
		require.NoError(t, err)
	}
	for _, key := range slices.Sorted(maps.Keys(cases)) {
		c := cases[key]
		require.Contains(t, c[0], c[1], key)
		now, err := s.numbersOf(t, underStudy(t, strings.Replace(c[0], c[1], c[2], 1)))
		switch c[3] {
		case refused:
			require.ErrorIs(t, err, ErrSpec, key)
		case "input":
			require.ErrorIs(t, err, ErrInput, key)
		default:
			require.NoError(t, err, key)
			require.NotEqual(t, base[c[0]], now, "%s has no effect", key)
		}
	}
}

// The report has every text in both languages, the curves, and beside the numbers what they are.
func TestReportUnderTheHeadlines(t *testing.T) {
	text := underStudy(t, underPairs, underLadder, underScales, underDistance, underFollowUp, underReturns, underChanges, underLandmark, underSequences)
	s := opened(t, progressData(t), text)
	for language, says := range map[string][]string{
		"en": {"Share of pairs in which the participant fares better", "work: share of pairs still undecided", "in which both are on the same step after 12 months", "The index describes groups", "own: error of measurement of the sum", "12 months later, comparison people", "are never added up", "give the same sign after 24 months", "The test of whether the difference is the same at all steps after 24 months", "How many times it has happened, month by month", "Times per person",
			"among those who were in the state after 6", "a difference between the groups is no effect", "have no direction", "chosen after the start, and who they are may differ", "paths goes with the group", "Test of whether the past has a part",
			"The test of whether the past has a part, ", "the p-value is ", "if answers are missing at random given what is known", "fared like the comparison group from then on", "If those who were lost fared otherwise", "important changes lower than others like them"},
		"sv": {"Andel par där det går bättre för deltagaren", "Hur många gånger det hänt", "där båda är på samma steg efter 12 månader", "Indexet beskriver grupper", "own: mätfel i summan", "12 månader senare, jämförelsepersoner", "läggs aldrig ihop", "Prövningen av om skillnaden är lika stor på alla steg", "bland dem som var i läget efter 6", "De är valda efter starten", "har ingen riktning", "av skillnaderna mellan människors vägar följer gruppen", "spelar roll, ", "p-värdet är ", "om svaren saknas på måfå", "därefter förändrades som jämförelsegruppen", "Slutsatsen är densamma under alla antaganden"},
	} {
		page := s.page(t, strings.Replace(text, "language: sv", "language: "+language, 1))
		for _, want := range says {
			require.True(t, strings.Contains(page, want), want)
		}
	}
}

// Neither workers nor the order of rows change a byte; with a large threshold nothing is shown.
func TestUnderTheHeadlinesDependsOnTheDataAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the cohort twice")
	}
	text := underStudy(t, underPairs, underLadder, underScales, underDistance, underFollowUp, underReturns, underChanges, underLandmark, underSequences)
	s := opened(t, progressData(t), text)
	want, err := s.ask(t, text)
	require.NoError(t, err)
	s.o.Workers = 7
	now, err := s.ask(t, text)
	require.NoError(t, err)
	require.Equal(t, want, now)
	mixed := opened(t, shuffled(t, progressData(t)), text)
	now, err = mixed.ask(t, text)
	require.NoError(t, err)
	require.Equal(t, want, now)

	hidden := strings.Replace(text, "min_count: 10", "min_count: 5000", 1)
	require.NotEqual(t, text, hidden)
	now, err = s.ask(t, hidden)
	require.NoError(t, err)
	require.NotContains(t, now, `"withheld":false,"notes":[]`)
	require.NotRegexp(t, `"estimate":[0-9-]`, now)
}

// What cannot be used is said before anything runs.
func TestUnderTheHeadlinesRefuses(t *testing.T) {
	for _, c := range []struct{ from, what, to, says string }{
		{underPairs, "unit: percentage-points", "unit: months", "unit: months is not used"},
		{underPairs, "    unit: percentage-points", "    relevant: 0.1", "say unit: percentage-points"},
		{underPairs, "    unit: percentage-points", "    good: down", "good: down is not used"},
		{underLadder, "unit: percentage-points", "unit: months", "unit: months is not used"},
		{underLadder, "    unit: percentage-points", "    good: down", "good: down is not used"},
		{underLadder, "ladder: ladder.yaml, ", "", "name the ladder file"},
		{underLadder, "at: [12, 24]", "at: [12, 40]", "between 1"},
		{underLadder, "at: [12, 24], ", "", "give the months"},
		{underLadder, "odds: true", "odds: true, strata: [sex]", "not compared within strata"},
		{underLadder, "odds: true", "strata: [sex, sex]", "twice"},
		{underLadder, "odds: true", "strata: [age]", "levels"},
		{underLadder, "odds: true", "strata: [months_work]", "an outcome"},
		{underScales, "unit: units", "unit: months", "unit: months is not used"},
		{underScales, "unit: units", "relevant: 1", "relevant is not used"},
		{underScales, "unit: units", "good: up", "good: up is not used"},
		{underScales, "rater: caseworker, items", "items", "never mixed"},
		{underScales, "name: theirs", "name: own", "used twice"},
		{underScales, "[job-chance, cooperation]", "[job-chance]", "at least 2"},
		{underScales, "[job-chance, cooperation]", "[job-chance, job-chance]", "twice"},
		{underScales, "[job-chance, cooperation]", "[job-chance, wealth]", "wealth"},
		{underScales, "after: 12, ", "", "give the months"},
		{underScales, "window: 1", "window: 6", "less than half"},
		{underScales, "retest: true, anchor: {item: health, rater: self, at_least: 4}, ", "", "goes with retest"},
		{underScales, "health, rater: self", "health, rater: doctor", "doctor"},
		{underScales, "at_least: 4", "at_least: 0", "name the item"},
		{underDistance, "unit: units", "good: up", "good: up is not used"},
		{underDistance, "self_support: [work, studies], ", "", "support themselves"},
		{underDistance, "at: 6", "at: 30", "before within"},
		{underDistance, "run: 6", "run: 40", "between 1 and within"},
		{underDistance, "within: 30", "within: 90", "follow_up"},
		{underDistance, "folds: 4", "folds: 1", "at least 2"},
		{underDistance, "background: [age]", "background: [months_work]", "an outcome"},
		{underDistance, "background: [age]", "background: [age, age]", "twice"},
		{underDistance, "items: [health, hope]", "items: [health, health]", "twice"},
		{underDistance, "rater: self, ", "", "whose answers"},
		{underDistance, "window: 1", "window: 3", "less than half"},
		{underReturns, "unit: units", "unit: months", "unit: months is not used"},
		{underLandmark, "unit: percentage-points", "unit: months\n    relevant: 2", "unit: months is not used"},
		{underSequences, "unit: units", "unit: percent", "unit: percent is not used"},
		{underSequences, "unit: units", "relevant: 1", "relevant is not used"},
		{underSequences, "unit: units", "good: up", "good: up is not used"},
		{underPairs, "stable: 3, ", "outcome: months_work, ", "either outcome"},
		{underPairs, "horizon: 24, ", "", "hangs on how long"},
		{underPairs, "horizon: 24", "horizon: 36", "up to month 34"},
		{underPairs, "better: earlier", "better: more-so", "earlier, later"},
		{underPairs, "better: more", "better: later", "more, less"},
		{underPairs, "name: months,", "name: work,", "used twice"},
		{underPairs, "months_work", "age", "no outcome"},
		{underPairs, "threshold: 1}]", "threshold: -1}]", "at least 0"},
		{underPairs, "outcome: months_work", "outcome: months_work, stable: 2", "goes with states"},
		{underReturns, "states: [sickness-benefit, social-assistance], ", "", "name either states"},
		{underReturns, "terminal: [death", "terminal: [sickness-benefit, death", "both counted and terminal"},
		{underReturns, "at: [12, 24]", "at: [12, 12]", "twice"},
		{underReturns, "at: [12, 24]", "at: [0, 40]", "between 1"},
		{underReturns, "states: [sick", "states: [lost, sick", "lost"},
		{underChanges, ", self_support: [work, studies]", "", "self_support"},
		{underChanges, "at: [24]", "terminal: [death], at: [24]", "not used"},
		{underLandmark, "month: 6", "month: 12", "between 13"},
		{underLandmark, "tau: 30", "tau: 20", "tau lies between"},
		{underLandmark, "state: sickness-benefit, ", "", "name the state"},
		{underLandmark, "{studies: work}", "{studies: work, work: studies}", "name the last one"},
		{underLandmark, "markov: [3, 6], ", "", "draws goes with markov"},
		{underLandmark, "draws: 199", "draws: 9", "at least 99"},
		{underSequences, "to: 24, ", "", "the last month"},
		{underSequences, "hamming", "euclid", "euclid"},
		{underSequences, "permutations: 199", "permutations: 9", "at least 99"},
		{underSequences, "people: 400", "people: 9000", "between 50"},
	} {
		require.Contains(t, c.from, c.what)
		_, err := Parse("study.yaml", strings.NewReader(underStudy(t, strings.Replace(c.from, c.what, c.to, 1))))
		require.ErrorIs(t, err, ErrSpec, c.to)
		require.ErrorContains(t, err, c.says)
	}
}

// One month is one.
func TestWholeMonth(t *testing.T) {
	for month, want := range map[string]string{"1": "within 1 month, x", "12": "within 12 months, x"} {
		require.Contains(t, lang.EN.Text("study.recurrent-arm", "t", wholeMonth(month), "group", "x"), want)
		require.Contains(t, lang.EN.Text("study.time-to-arm", "t", wholeMonth(month), "group", "x"), want)
	}
	require.Contains(t, lang.SV.Text("study.recurrent-difference", "t", wholeMonth("1")), "inom 1 månad")
	require.Contains(t, lang.SV.Text("study.recurrent-rate"), "(kvot)")
	for l, word := range map[lang.Lang]string{lang.SV: "trappsteg", lang.EN: "step"} { // the pairs of a study have no steps
		require.NotContains(t, l.Note("many-ties", word, nil), word)
	}
}
