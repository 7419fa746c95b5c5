package study

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/ingest/synthetic"
	"utfall/internal/lang"
	"utfall/study/report"
)

// optionStudy uses every key of a study file, each with a value that is not its default
// where it has one.
const optionStudy = `utfall: 1
name: options
title: {en: The title}
question: {en: The question}
background: {en: The background}
language: en
seed: 11
level: 0.95
disclosure: {min_count: 10, round_to: 5}
data:
  people: {kind: people, path: people.csv, key: [person], columns: [{name: person, type: text, role: unit, required: true}, {name: birth_year, type: integer, required: true}, {name: sex, type: category, levels: [woman, man]}, {name: born, type: category, levels: [sweden, abroad]}], extra: ignore}
  spells: {kind: spells, path: spells.csv, key: [person, from], columns: [{name: person, type: text, required: true}, {name: state, type: category, required: true, levels: [work, subsidised-work, studies, work-training, rehab, sickness-benefit, disability-benefit, activity-compensation, social-assistance, unemployment-programme, none, death, emigration, age-pension]}, {name: from, type: date, required: true}, {name: to, type: date}], extra: ignore}
  starts: {kind: participations, path: participations.csv, key: [person, start], columns: [{name: person, type: text, required: true}, {name: start, type: date, required: true}], extra: ignore}
  flat: {kind: flat, path: flat.csv, key: [id], columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: t2, type: integer}, {name: id2, type: text}, {name: x, type: number}, {name: z, type: number}, {name: g, type: category, levels: [a, b]}, {name: y, type: number}, {name: y2, type: number}]}
  panel: {kind: flat, path: panel.csv, key: [u, time], columns: [{name: u, type: integer, role: unit, required: true}, {name: time, type: integer, role: time, required: true}, {name: u2, type: text}, {name: time2, type: integer}, {name: first, type: integer}, {name: first2, type: integer}, {name: x, type: number}, {name: w, type: number}, {name: c, type: integer}, {name: y, type: number}, {name: y2, type: number}]}
  paths: {kind: flat, path: paths.csv, key: [id, start], columns: [{name: id, type: text, role: unit, required: true}, {name: id2, type: text}, {name: from, type: category, levels: [low, mid, high]}, {name: from2, type: category, levels: [low, mid, high]}, {name: to, type: category, levels: [low, mid, high, cens]}, {name: to2, type: category, levels: [low, mid, high, cens]}, {name: start, type: number}, {name: start2, type: number}, {name: stop, type: number}, {name: stop2, type: number}, {name: by, type: category, levels: [m, n]}, {name: by2, type: category, levels: [m, n]}]}
labels:
  g: {en: The group}
cohorts:
  - name: register
    base: people
    time_zero:
      spells: spells
      participations: starts
      from: 2013-01
      to: 2015-12
      look_back: [6, 24]
      follow_up: 36
      drop: [born]
      outcomes:
        - {name: work, states: [work], at: 24}
        - {name: months, states: [work], over: 24}
  - name: flat
    label: {en: The cohort}
    base: flat
    id: id
    treatment: t
    groups: {treated: {en: the treated}, control: {en: the others}}
    trial: {eligibility: {en: Trial E}, treated: {en: Trial T}, control: {en: Trial C}, assignment: {en: Trial D}, follow_up: {en: Trial F}, outcomes: {en: Trial O}, contrast: {en: Trial K}, assumptions: {en: Trial U}, analysis: {en: Trial A}}
    eligibility:
      - {name: small, keep: z < 2, label: {en: The rule}}
    propensity: {covariates: [x, z], link: logit}
    match: {method: nearest, distance: logit, ratio: 2, replace: false, caliper: 0.4, caliper_on: {z: 2}, exact: [g], order: largest, ties: hash, estimand: att}
    balance: [x, z]
  - name: metric
    base: flat
    id: id
    treatment: t
    propensity: {covariates: [x, z]}
    match: {distance: mahalanobis, caliper_raw: 1, caliper_score: 0.5, order: random}
analyses:
  - name: columns
    describe: {data: flat, columns: [x]}
  - name: unit-columns
    describe: {cohort: flat, columns: [y]}
  - name: before
    before_after: {cohort: register, states: [work], before: 1, after: 24}
  - name: participants
    effect: {cohort: register, outcome: work, method: difference}
  - name: participants-months
    effect: {cohort: register, outcome: months}
  - name: adjusted
    question: {en: The one}
    outcome_label: {en: The outcome}
    good: up
    unit: kronor
    relevant: 0.1
    expect: {sd: 0.3}
    headline: true
    truth: {att: a}
    effect: {cohort: flat, outcome: y, method: regression, covariates: [x, z], interactions: true, where: z < 1.5, vcov: cr1}
  - name: by-metric
    effect: {cohort: metric, outcome: y}
  - name: panel
    did: {label: {en: The panel}, groups: {treated: {en: entered}, control: {en: not entered}}, data: panel, unit: u, time: time, cohort: first, outcome: y, covariates: [x], weights: w, cluster: c, where: x < 2, method: dr, control: not-yet, base: varying, anticipation: 1, aggregate: [simple, dynamic], balance_event: 1, window: [-2, 2], bands: uniform, replicates: 199, inference: cr3}
  - name: by-size
    did: {data: panel, unit: u, time: time, cohort: first, outcome: y, aggregate: [simple], inference: ferman-pinto, size: w}
  - name: register-paths
    states: {cohort: register, at: [6], tau: 12, merge: {death: left, emigration: left, age-pension: left}}
  - name: paths
    states: {data: paths, id: id, from: from, to: to, start: start, stop: stop, by: by, at: [3, 6], tau: 8, merge: {low: bottom}, order: [bottom, mid, high], ladder: {bottom: 1, mid: 2, high: 3}, alternative_ladders: {two: {bottom: 1, mid: 1, high: 2}}}
  - name: to-work
    time_to: {cohort: register, states: [work], stable: 2, competing: {gone: [death, emigration, age-pension]}, at: [6, 12], tau: 14, covariates: [age], model: cox, where: age < 60}
  - name: entry
    did: {data: panel, unit: u, time: time, cohort: first, outcome: y}
  - name: trust
    trends: {of: entry, estimators: [sun-abraham, twfe], honest: {type: relative, m: [1]}, placebo_dates: [1], negative_outcomes: [y2]}
  - name: levels
    reconcile: {individual: participants, municipal: by-size, take_up: 0.2, take_up_error: 0.01, per: 100, errors: independent}
  - name: levels-counted
    reconcile: {individual: participants, municipal: panel, term: "event=0", participants: starts, population: people}
lock: {required: false, gate: {max_smd: 0.3, min_kept: 0.1, min_support: 0.1, min_treated: 5, min_ess: 5, power: 0.7}}
known_truth: known.json
report: {caveats: {en: The caveat}, contact: {en: The contact}}
`

// refused is what a case expects where another value is an error: the key is read.
const refused = "refused"

// Every key of a study file changes the numbers, the report or a figure, or is an error.
func TestEveryKeyMatters(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the study once a key")
	}
	dir := t.TempDir()
	optionData(t, dir)
	base := optionRun(t, dir, optionStudy)
	// key of the study file (lists without their positions) → text, replacement, and "" or refused
	cases := map[string][3]string{
		"utfall": {"utfall: 1", "utfall: 2", refused}, "name": {"name: options", "name: other", ""}, "title": {"The title", "Another", ""},
		"question": {"The question", "Another", ""}, "background": {"The background", "Another", ""}, "language": {"language: en", "language: sv", ""},
		"seed": {"seed: 11", "seed: 12", ""}, "level": {"level: 0.95", "level: 0.9", ""},
		"disclosure.min_count": {"min_count: 10", "min_count: 60", ""}, "disclosure.round_to": {"round_to: 5", "round_to: 10", ""},
		// What these do is in TestMissingKeys.
		"analyses.missing.of": {"describe: {data: flat, columns: [x]}", "missing: {of: x}", refused}, "analyses.missing.methods": {"describe: {data: flat, columns: [x]}", "missing: {methods: [x]}", refused}, "analyses.missing.range": {"describe: {data: flat, columns: [x]}", "missing: {range: [1]}", refused}, "analyses.missing.unlinked": {"describe: {data: flat, columns: [x]}", "missing: {unlinked: 2}", refused}, "analyses.missing.background": {"describe: {data: flat, columns: [x]}", "missing: {background: [x]}", refused}, "analyses.missing.imputations": {"describe: {data: flat, columns: [x]}", "missing: {imputations: 1}", refused}, "analyses.missing.iterations": {"describe: {data: flat, columns: [x]}", "missing: {iterations: 1}", refused},
		// What these do is in TestPlacesKeys.
		"analyses.places.of": {"describe: {data: flat, columns: [x]}", "places: {of: x}", refused}, "analyses.places.by": {"describe: {data: flat, columns: [x]}", "places: {by: x}", refused}, "analyses.places.method": {"describe: {data: flat, columns: [x]}", "places: {method: x}", refused}, "analyses.places.test": {"describe: {data: flat, columns: [x]}", "places: {test: x}", refused}, "analyses.places.map.tiles": {"describe: {data: flat, columns: [x]}", "places: {map: {tiles: true}}", refused}, "analyses.places.map.boundaries": {"describe: {data: flat, columns: [x]}", "places: {map: {boundaries: x}}", refused}, "analyses.places.map.property": {"describe: {data: flat, columns: [x]}", "places: {map: {property: x}}", refused},
		// What these do is in TestPanelKeys.
		"data.panel.changes": {"kind: people, path", "kind: people, panel: {changes: x}, path", refused}, "data.panel.members": {"kind: people, path", "kind: people, panel: {members: x}, path", refused}, "data.panel.sum": {"kind: people, path", "kind: people, panel: {sum: [x]}, path", refused}, "data.panel.mean": {"kind: people, path", "kind: people, panel: {mean: {x: y}}, path", refused}, "data.panel.priority": {"kind: people, path", "kind: people, panel: {priority: [x]}, path", refused}, "data.panel.on": {"kind: people, path", "kind: people, panel: {on: 07-01}, path", refused},
		"data.kind": {"kind: people", "kind: spells", refused}, "labels": {"The group", "Another", "figure"},
		"known_truth":    {"known.json", "known2.json", ""},
		"report.caveats": {"The caveat", "Another", ""}, "report.contact": {"The contact", "Another", ""},

		"lock.required": {"required: false", "required: true", refused + " at the run"}, "lock.gate.max_smd": {"max_smd: 0.3", "max_smd: 0.4", ""}, "lock.gate.min_kept": {"min_kept: 0.1", "min_kept: 0.2", ""},
		"lock.gate.min_support": {"min_support: 0.1", "min_support: 0.2", ""}, "lock.gate.min_treated": {"min_treated: 5", "min_treated: 6", ""}, "lock.gate.min_ess": {"min_ess: 5", "min_ess: 6", ""}, "lock.gate.power": {"power: 0.7", "power: 0.9", ""}, "lock.gate.simulate": {"power: 0.7}", "power: 0.7, simulate: 200}", ""},
		"cohorts.trial.eligibility": {"Trial E", "Another", ""}, "cohorts.trial.treated": {"Trial T", "Another", ""}, "cohorts.trial.control": {"Trial C", "Another", ""}, "cohorts.trial.assignment": {"Trial D", "Another", ""},
		"cohorts.trial.follow_up": {"Trial F", "Another", ""}, "cohorts.trial.outcomes": {"Trial O", "Another", ""}, "cohorts.trial.contrast": {"Trial K", "Another", ""}, "cohorts.trial.assumptions": {"Trial U", "Another", ""}, "cohorts.trial.analysis": {"Trial A", "Another", ""},
		"analyses.expect.sd": {"expect: {sd: 0.3}", "expect: {sd: 0.5}", ""}, "analyses.expect.share": {"expect: {sd: 0.3}", "expect: {share: 0.3}", ""},
		"cohorts.time_zero.censoring.covariates": {"follow_up: 36", "follow_up: 36\n      censoring: {covariates: [age]}", refused}, "cohorts.time_zero.censoring.absorbing": {"follow_up: 36", "follow_up: 36\n      censoring: {absorbing: [death]}", refused},
		"cohorts.time_zero.censoring.horizon": {"follow_up: 36", "follow_up: 36\n      censoring: {horizon: 24}", refused}, "cohorts.time_zero.censoring.stabilised": {"follow_up: 36", "follow_up: 36\n      censoring: {stabilised: true}", refused},
		"cohorts.time_zero.grace":                {"follow_up: 36", "follow_up: 36\n      grace: 99", refused},
		"cohorts.time_zero.censoring.initiation": {"follow_up: 36", "follow_up: 36\n      later: censor\n      censoring: {initiation: uniform}", refused},
		"cohorts.time_zero.amounts":              {"follow_up: 36", "follow_up: 36\n      amounts: spells", refused}, "cohorts.time_zero.known_from": {"follow_up: 36", "follow_up: 36\n      known_from: {born: nobody}", refused},

		"cohorts.dates.time_zero": {"treatment: t\n    groups", "treatment: t\n    dates: {start: x}\n    groups", refused}, "cohorts.dates.start": {"treatment: t\n    groups", "treatment: t\n    dates: {time_zero: x}\n    groups", refused},
		"cohorts.known": {"treatment: t\n    groups", "treatment: t\n    known: {x: after}\n    groups", refused},

		"cohorts.name": {"name: metric", "name: metric2", refused}, "cohorts.label": {"The cohort", "Another", ""}, "cohorts.base": {"name: flat\n    label: {en: The cohort}\n    base: flat", "name: flat\n    label: {en: The cohort}\n    base: panel", refused},
		"cohorts.id": {"id: id\n    treatment: t\n    groups", "id: id2\n    treatment: t\n    groups", ""}, "cohorts.treatment": {"treatment: t\n    groups", "treatment: t2\n    groups", ""},
		"cohorts.groups": {"the treated", "another", ""}, "cohorts.balance": {"balance: [x, z]", "balance: [x]", ""},
		"cohorts.eligibility.name": {"name: small", "name: tiny", ""}, "cohorts.eligibility.keep": {"keep: z < 2", "keep: z < 1", ""}, "cohorts.eligibility.label": {"The rule", "Another", ""},
		"cohorts.propensity.covariates": {"propensity: {covariates: [x, z], link", "propensity: {covariates: [x], link", ""}, "cohorts.propensity.link": {"link: logit", "link: probitt", refused},

		"cohorts.match.method": {"method: nearest", "method: nearer", refused}, "cohorts.match.distance": {"distance: logit", "distance: linear-logit", ""}, "cohorts.match.ratio": {"ratio: 2", "ratio: 1", ""},
		"cohorts.match.replace": {"replace: false", "replace: true", ""}, "cohorts.match.caliper": {"caliper: 0.4", "caliper: 0.02", ""}, "cohorts.match.caliper_raw": {"caliper_raw: 1", "caliper_raw: 0.1", ""},
		"cohorts.match.caliper_on": {"caliper_on: {z: 2}", "caliper_on: {z: 0.1}", ""}, "cohorts.match.caliper_score": {"caliper_score: 0.5", "caliper_score: 0.02", ""},
		"cohorts.match.exact": {"exact: [g]", "exact: []", ""}, "cohorts.match.order": {"order: largest", "order: smallest", ""}, "cohorts.match.ties": {"ties: hash", "ties: data", ""},
		"cohorts.match.estimand": {"estimand: att", "estimand: atc", refused}, "cohorts.match.seed": {"order: random", "order: random, seed: 3", refused},

		"cohorts.time_zero.spells": {"spells: spells", "spells: starts", refused}, "cohorts.time_zero.participations": {"participations: starts", "participations: spells", refused},
		"cohorts.time_zero.from": {"from: 2013-01", "from: 2014-01", ""}, "cohorts.time_zero.to": {"to: 2015-12", "to: 2014-12", ""}, "cohorts.time_zero.look_back": {"look_back: [6, 24]", "look_back: [6, 30]", ""},
		"cohorts.time_zero.follow_up": {"follow_up: 36", "follow_up: 23", refused}, "cohorts.time_zero.drop": {"drop: [born]", "drop: [born2]", refused},
		"cohorts.time_zero.outcomes.name": {"{name: work,", "{name: work2,", refused}, "cohorts.time_zero.outcomes.states": {"states: [work], at", "states: [work, studies], at", ""},
		"cohorts.time_zero.data_end": {"follow_up: 36", "follow_up: 36\n      data_end: 2016-12", ""}, "cohorts.time_zero.design": {"follow_up: 36", "follow_up: 36\n      design: risk-set", ""},
		"cohorts.time_zero.participation": {"follow_up: 36", "follow_up: 36\n      participation: each", refused}, "cohorts.time_zero.washout": {"follow_up: 36", "follow_up: 36\n      washout: 3", refused},
		"cohorts.time_zero.later": {"follow_up: 36", "follow_up: 36\n      later: censor", refused}, "cohorts.time_zero.lag": {"follow_up: 36", "follow_up: 36\n      lag: 12", ""},
		"cohorts.time_zero.origin": {"follow_up: 36", "follow_up: 36\n      origin: [work]", refused}, "cohorts.time_zero.durations": {"follow_up: 36", "follow_up: 36\n      durations: [3]", refused},
		"cohorts.time_zero.draws": {"follow_up: 36", "follow_up: 36\n      draws: 5", refused},
		"cohorts.time_zero.lags":  {"follow_up: 36", "follow_up: 36\n      lags: {spells: 12}", ""}, "cohorts.time_zero.features": {"follow_up: 36", "follow_up: 36\n      features: [amounts]", refused},
		"cohorts.time_zero.outcomes.at": {"at: 24}\n", "at: 12}\n", ""}, "cohorts.time_zero.outcomes.over": {"over: 24", "over: 12", ""},

		"analyses.name": {"name: by-metric", "name: by-other", ""}, "analyses.question": {"The one", "Another", ""}, "analyses.outcome_label": {"The outcome", "Another", ""}, "analyses.good": {"good: up", "good: down", ""},
		"analyses.unit": {"unit: kronor", "unit: months", ""}, "analyses.relevant": {"relevant: 0.1", "relevant: 9", ""}, "analyses.headline": {"headline: true", "headline: false", ""}, "analyses.truth": {"att: a}", "att: b}", ""},
		"analyses.describe.cohort": {"cohort: flat, columns: [y]", "cohort: metric, columns: [y]", ""}, "analyses.describe.data": {"data: flat, columns: [x]", "data: panel, columns: [x]", ""}, "analyses.describe.columns": {"columns: [x]}\n", "columns: [z]}\n", ""},
		"analyses.before_after.cohort": {"before_after: {cohort: register", "before_after: {cohort: flat", refused}, "analyses.before_after.states": {"states: [work], before", "states: [studies, work], before", ""},
		"analyses.before_after.before": {"before: 1", "before: 12", ""}, "analyses.before_after.after": {"after: 24", "after: 12", ""},
		"analyses.effect.cohort": {"cohort: metric, outcome", "cohort: flat, outcome", ""}, "analyses.effect.outcome": {"outcome: y, method", "outcome: y2, method", ""}, "analyses.effect.method": {"method: difference", "method: regression", refused},
		"analyses.effect.covariates": {"covariates: [x, z], inter", "covariates: [x], inter", ""}, "analyses.effect.interactions": {"interactions: true", "interactions: false", ""}, "analyses.effect.where": {"where: z < 1.5", "where: z < 1", ""}, "analyses.effect.vcov": {"vcov: cr1", "vcov: hc1", ""},

		"analyses.trends.of": {"of: entry", "of: panel", refused}, "analyses.trends.estimators": {"[sun-abraham, twfe]", "[sun-abraham, imputation]", ""}, "analyses.trends.placebo_dates": {"placebo_dates: [1]", "placebo_dates: [2]", ""},
		"analyses.trends.honest.type": {"type: relative", "type: smoothness", ""}, "analyses.trends.honest.m": {"m: [1]", "m: [1, 2]", ""}, "analyses.trends.negative_outcomes": {"[y2]", "[x]", ""},
		"analyses.time_to.cohort": {"time_to: {cohort: register", "time_to: {cohort: flat", refused}, "analyses.time_to.states": {"states: [work], stable", "states: [work, studies], stable", ""}, "analyses.time_to.stable": {"stable: 2", "stable: 3", ""},
		"analyses.time_to.competing": {"[death, emigration, age-pension]}, at", "[death, emigration, age-pension, disability-benefit]}, at", ""}, "analyses.time_to.at": {"at: [6, 12], tau: 14", "at: [6, 11], tau: 14", ""}, "analyses.time_to.tau": {"tau: 14", "tau: 16", ""},
		"analyses.time_to.covariates": {"covariates: [age], model", "covariates: [], model", ""}, "analyses.time_to.model": {"model: cox", "model: fine-gray", ""}, "analyses.time_to.where": {"where: age < 60", "where: age < 50", ""},
		"analyses.did.label": {"The panel", "Another", ""}, "analyses.did.groups": {"not entered", "another", ""}, "analyses.did.data": {"data: panel, unit", "data: flat, unit", refused}, "analyses.did.unit": {"unit: u,", "unit: u2,", refused + " at the run"},
		"analyses.did.time": {"time: time,", "time: time2,", ""}, "analyses.did.cohort": {"cohort: first,", "cohort: first2,", ""}, "analyses.did.outcome": {"outcome: y, covariates: [x], w", "outcome: y2, covariates: [x], w", ""}, "analyses.did.covariates": {"covariates: [x], weights", "covariates: [], weights", ""},
		"analyses.did.weights": {"weights: w, ", "", ""}, "analyses.did.cluster": {"cluster: c, ", "", ""}, "analyses.did.where": {"where: x < 2", "where: x < 1", ""}, "analyses.did.method": {"method: dr", "method: reg", ""}, "analyses.did.control": {"control: not-yet", "control: never", ""},
		"analyses.did.base": {"base: varying", "base: universal", ""}, "analyses.did.anticipation": {"anticipation: 1", "anticipation: 0", ""}, "analyses.did.aggregate": {"aggregate: [simple, dynamic]", "aggregate: [dynamic]", ""}, "analyses.did.balance_event": {"balance_event: 1", "balance_event: 2", ""},
		"analyses.did.window": {"window: [-2, 2]", "window: [-1, 1]", ""}, "analyses.did.bands": {"bands: uniform, replicates: 199", "bands: pointwise", ""}, "analyses.did.replicates": {"replicates: 199", "replicates: 299", ""},
		"analyses.reconcile.individual": {"individual: participants, municipal: by-size", "individual: adjusted, municipal: by-size", ""}, "analyses.reconcile.municipal": {"municipal: by-size", "municipal: panel", ""},
		"analyses.reconcile.term": {"event=0", "event=1", ""}, "analyses.reconcile.take_up": {"take_up: 0.2", "take_up: 0.3", ""}, "analyses.reconcile.take_up_error": {"take_up_error: 0.01, ", "", ""},
		"analyses.reconcile.participants": {"participants: starts", "participants: spells", ""}, "analyses.reconcile.population": {"population: people}", "population: flat}", refused},
		"analyses.reconcile.per": {"per: 100", "per: 1", ""}, "analyses.reconcile.errors": {"errors: independent", "errors: any", ""},
		"analyses.did.inference": {"inference: cr3", "inference: standard", ""}, "analyses.did.size": {"size: w}", "size: x}", refused + " at the run"}, // sizes of 0

		"analyses.states.cohort": {"states: {cohort: register", "states: {cohort: flat", refused}, "analyses.states.data": {"data: paths, id", "data: flat, id", refused}, "analyses.states.id": {"id: id, from", "id: id2, from", refused + " at the run"},
		"analyses.states.from": {"from: from,", "from: from2,", ""}, "analyses.states.to": {"to: to,", "to: to2,", refused + " at the run"}, "analyses.states.start": {"start: start,", "start: start2,", ""}, "analyses.states.stop": {"stop: stop,", "stop: stop2,", ""},
		"analyses.states.reweigh_loss": {"tau: 8, merge: {low", "tau: 8, reweigh_loss: true, merge: {low", ""},
		"analyses.states.by":           {"by: by,", "by: by2,", ""}, "analyses.states.at": {"at: [3, 6]", "at: [3, 5]", ""}, "analyses.states.tau": {"tau: 8", "tau: 7", ""}, "analyses.states.merge": {"low: bottom}, order: [bottom, mid, high], ladder: {bottom: 1, mid: 2, high: 3}, alternative_ladders: {two: {bottom", "low: base}, order: [base, mid, high], ladder: {base: 1, mid: 2, high: 3}, alternative_ladders: {two: {base", ""},
		"analyses.states.order": {"order: [bottom, mid, high]", "order: [mid, bottom, high]", "figure"}, "analyses.states.ladder": {"mid: 2, high: 3", "mid: 2, high: 2", ""}, "analyses.states.alternative_ladders": {"mid: 1, high: 2", "mid: 2, high: 2", ""},
	}
	for key := range keysOf(reflect.TypeFor[Spec](), "") {
		if _, ok := designKeys[key]; ok {
			continue
		}
		if _, ok := trustKeys[key]; ok {
			continue
		}
		if _, ok := progressKeys()[key]; ok {
			continue
		}
		if _, ok := trustKeys[key]; ok {
			continue
		}
		if _, ok := underKeys()[strings.TrimPrefix(key, "analyses.")]; ok {
			continue
		}
		if _, ok := costsKeys()[strings.TrimPrefix(key, "analyses.costs.")]; ok && strings.HasPrefix(key, "analyses.costs.") {
			continue
		}
		if _, ok := effectKeys[key]; ok {
			continue
		}
		if _, ok := placeKeys[key]; ok {
			continue
		}
		if slices.ContainsFunc(leakKeys(), func(c keyCase) bool { return c.key == key }) {
			continue
		}
		if _, ok := cases[key]; !ok {
			t.Errorf("no case shows that the key %q has an effect", key)
		}
	}
	figures := ""
	for _, key := range slices.Sorted(maps.Keys(cases)) {
		c := cases[key]
		require.Contains(t, optionStudy, c[0], key)
		text := strings.Replace(optionStudy, c[0], c[1], 1)
		spec, err := Parse("study.yaml", strings.NewReader(text))
		switch c[2] {
		case refused:
			if err == nil {
				_, err = optionTry(t, dir, spec, false)
			}
			require.ErrorIs(t, err, ErrSpec, key)
			continue
		case refused + " at the run":
			require.NoError(t, err, key)
			_, err = optionTry(t, dir, spec, false)
			require.Error(t, err, key)
			continue
		case "figure":
			if figures == "" {
				was, err := Parse("study.yaml", strings.NewReader(optionStudy))
				require.NoError(t, err)
				figures, err = optionTry(t, dir, was, true)
				require.NoError(t, err)
			}
			require.NoError(t, err, key)
			now, err := optionTry(t, dir, spec, true)
			require.NoError(t, err, key)
			if now == figures {
				t.Errorf("%s has no effect", key)
			}
			continue
		}
		require.NoError(t, err, key)
		now, err := optionTry(t, dir, spec, false)
		require.NoError(t, err, key)
		if now == base {
			t.Errorf("%s has no effect", key)
		}
	}
}

// keysOf lists the keys of a study file's types. What a column or a file is, is the
// business of package ingest.
func keysOf(t reflect.Type, prefix string) map[string]bool {
	out := map[string]bool{}
	for i := range t.NumField() {
		name, inline, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		f := t.Field(i).Type
		for f.Kind() == reflect.Pointer || f.Kind() == reflect.Slice || (f.Kind() == reflect.Map && f.Elem().Kind() == reflect.Struct) {
			f = f.Elem()
		}
		switch {
		case name == "-":
		case inline == "inline" && f.PkgPath() == "utfall/ingest":
		case inline == "inline":
			maps.Copy(out, keysOf(f, prefix))
		case f.Kind() == reflect.Struct:
			maps.Copy(out, keysOf(f, prefix+name+"."))
		default:
			out[prefix+name] = true
		}
	}
	return out
}

func optionRun(t *testing.T, dir, text string) string {
	t.Helper()
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	out, err := optionTry(t, dir, spec, false)
	require.NoError(t, err)
	return out
}

// optionTry runs a study up to its report and gives everything it would print.
func optionTry(t *testing.T, dir string, spec *Spec, figures bool) (string, error) {
	t.Helper()
	s := &state{ctx: t.Context(), spec: spec, o: Options{DataDir: dir, Workers: 2}, lang: lang.Lang(spec.Language), policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}
	steps := []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate}
	if figures {
		steps = append(steps, s.draw)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return "", err
		}
	}
	for i := range s.results { // what a test tries is answered, or says why not
		if err := s.results[i].alone; err != nil {
			return "", err
		}
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(s.bundle.records); err != nil {
		return "", err
	}
	fmt.Fprint(&b, s.attritionRows(), s.balanceRows(), s.strataRows())
	for _, f := range s.figures {
		b.Write(f.drawn.SVG)
	}
	in, err := s.reportInput("")
	if err != nil {
		return "", err
	}
	err = report.Write(&b, in)
	return b.String(), err
}

// optionData writes the files that optionStudy names: a small register, and small tables
// in which nothing is exactly alike, so that every choice shows.
func optionData(t *testing.T, dir string) {
	t.Helper()
	reg := filepath.Join(t.TempDir(), "register")
	_, err := synthetic.Write(t.Context(), reg, synthetic.Options{People: 2000, Seed: 7}, nil)
	require.NoError(t, err)
	for _, name := range []string{"people.csv", "spells.csv", "participations.csv"} {
		b, err := os.ReadFile(filepath.Join(reg, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	rng := rand.New(rand.NewPCG(5, 6))
	half := func() float64 { return float64(rng.IntN(40)) / 20 } // ties on purpose
	var flat, panel, paths strings.Builder
	flat.WriteString("id,t,t2,id2,x,z,g,y,y2\n")
	for i := range 800 {
		x, z := half(), half()*1.1
		treated, other := 0, 0
		if rng.Float64() < 0.1+0.08*x {
			treated = 1
		}
		if rng.Float64() < 0.2 {
			other = 1
		}
		fmt.Fprintf(&flat, "%d,%d,%d,k%d,%g,%g,%s,%g,%g\n", i+1, treated, other, 7919*i%800, x, z, string("ab"[rng.IntN(2)]), x+z*z+float64(treated)*(1+x)+rng.NormFloat64(), rng.NormFloat64())
	}
	panel.WriteString("u,time,u2,time2,first,first2,x,w,c,y,y2\n")
	for u := range 240 {
		first, x, w := []int{0, 4, 5, 6}[u%4], half()*1.1, 0.5+rng.Float64()
		for time := 1; time <= 8; time++ {
			effect := 0.0
			if first > 0 && time >= first {
				effect = float64(time - first + 1)
			}
			first2 := first
			if first == 5 {
				first2 = 0
			}
			fmt.Fprintf(&panel, "%d,%d,k%d,%d,%d,%d,%g,%g,%d,%g,%g\n", u, time, u/2, time+1, first, first2, x, w, u/4, effect+x*float64(time)/4+rng.NormFloat64(), rng.NormFloat64())
		}
	}
	paths.WriteString("id,id2,from,from2,to,to2,start,start2,stop,stop2,by,by2\n")
	states := []string{"low", "mid", "high"}
	for p := range 300 {
		a, b := rng.IntN(3), rng.IntN(2)
		next := (a + 1 + b) % 3
		move := 1 + rng.IntN(7)
		late, ends := float64(p%3/2)/2, 10
		if p%3 == 0 && move < 5 {
			ends = 5
		}
		by := string("mn"[p%2]) + "," + string("mn"[p/2%2])
		fmt.Fprintf(&paths, "p%d,q%d,%s,%s,%s,%s,0,%g,%d,%d,%s\n", p, p/2, states[a], states[(a+b)%3], states[next], states[(a+2-b)%3], late, move, move, by)
		fmt.Fprintf(&paths, "p%d,q%d,%s,%s,cens,cens,%d,%d,10,%d,%s\n", p, p/2, states[next], states[next], move, move, ends, by)
	}
	for name, text := range map[string]string{
		"flat.csv": flat.String(), "panel.csv": panel.String(), "paths.csv": paths.String(), "known.json": `{"a": 1, "b": 2}`, "known2.json": `{"a": 3, "b": 2}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}
