package study

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
	"utfall/study/release"
	"utfall/table"
)

// reconciled runs the question on an effect of -0.03 (error 0.01, 60 degrees of freedom)
// and a municipal effect of -0.5 (error 0.2, 12).
func reconciled(t *testing.T, q Reconcile, change func(individual, municipal *found)) analysisResult {
	t.Helper()
	one := found{term: "att", e: estimate.Wald("att", estimate.RiskDifference, -0.03, 0.01, 60, 0.95), basis: release.Basis{Treated: 400, Control: 400, DF: math.Inf(1)}}
	both := found{term: "overall", e: estimate.Wald("overall", estimate.MeanDifference, -0.5, 0.2, 12, 0.95), basis: release.Basis{Treated: 200, Control: 90, DF: math.Inf(1)}}
	both.e.CI.Method = "cr2"
	if change != nil {
		change(&one, &both)
	}
	q.Individual, q.Municipal = "people", "places"
	s := &state{spec: &Spec{Level: 0.95, Analyses: []Analysis{{Name: "people"}, {Name: "places"}}}, policy: (&Spec{}).Disclosure.Policy()}
	s.results = []analysisResult{{spec: &s.spec.Analyses[0], numbers: []found{one}}, {spec: &s.spec.Analyses[1], numbers: []found{both}}}
	q.defaults(s.spec, nil)
	r, err := s.reconcile(&Analysis{Name: "levels", Reconcile: &q})
	require.NoError(t, err)
	return r
}

// 5 in 100 take part: -0.03 is -3 of 100 participants and -0.15 of 100 inhabitants, with
// an error of 0.05, and with an error of 0.01 of the share √(0.05² + 0.03²). The
// municipalities have -0.5: the difference is -0.35 with an error of at most 0.25, and of
// √(0.05² + 0.2²) if independent, on 12 degrees of freedom; it would take -10 of 100
// participants (error 4, and with that of the share √(4² + 2²)).
func TestReconcileByHand(t *testing.T) {
	check := func(r analysisResult, term string, value, se, df float64) {
		t.Helper()
		for _, n := range r.numbers {
			if n.term == term {
				reftest.Agree(t, term, n.e.Value, value, 13)
				reftest.Agree(t, "error of "+term, n.e.SE, se, 13)
				require.Equal(t, df, n.e.Test.DF, term)
				return
			}
		}
		t.Errorf("no number %s", term)
	}
	r := reconciled(t, Reconcile{TakeUp: 0.05, Per: 100}, nil)
	require.Equal(t, "check", r.kind)
	check(r, "difference", -0.35, 0.25, 12)
	check(r, "implied", -0.15, 0.05, 60)
	check(r, "municipal", -0.5, 0.2, 12)
	check(r, "individual", -3, 1, 60)
	check(r, "needed", -10, 4, 12)
	require.Equal(t, "cr2", r.numbers[2].e.CI.Method)
	require.Len(t, r.notes, 2)
	r = reconciled(t, Reconcile{TakeUp: 0.05, TakeUpError: 0.01, Per: 100, Errors: "independent"}, nil)
	check(r, "difference", -0.35, math.Sqrt(0.0034+0.04), 12)
	check(r, "implied", -0.15, math.Sqrt(0.0034), 60)
	check(r, "needed", -10, math.Sqrt(20), 12)
	require.Len(t, r.notes, 1)
	r = reconciled(t, Reconcile{TakeUp: 0.05}, nil)
	check(r, "implied", -0.0015, 0.0005, 60)
}

// What is withheld of one level is withheld of the difference, and what was refused an
// interval has none in it.
func TestReconcileWithheldAndRefused(t *testing.T) {
	policy := (&Spec{}).Disclosure.Policy()
	shown := func(r analysisResult, i int) bool {
		re, _ := policy.Estimate("x", r.numbers[i].e, r.numbers[i].basis)
		return re.Shown
	}
	r := reconciled(t, Reconcile{TakeUp: 0.05}, nil)
	for i := range r.numbers {
		require.True(t, shown(r, i), r.numbers[i].term)
	}
	r = reconciled(t, Reconcile{TakeUp: 0.05}, func(one, _ *found) { one.basis.Treated = 4 })
	require.False(t, shown(r, 0), "difference")
	require.False(t, shown(r, 1), "implied")
	require.False(t, shown(r, 3), "individual")
	r = reconciled(t, Reconcile{TakeUp: 0.05}, func(_, both *found) { both.basis.Control = 4 })
	require.False(t, shown(r, 0), "difference")
	require.False(t, shown(r, 4), "needed")
	require.True(t, shown(r, 1), "implied")
	r = reconciled(t, Reconcile{TakeUp: 0.05}, func(_, both *found) {
		both.e.SE, both.e.CI.Lo, both.e.CI.Hi = math.NaN(), math.NaN(), math.NaN()
		both.notes = []table.Note{{Code: "inference-refused"}}
	})
	require.True(t, math.IsNaN(r.numbers[0].e.SE))
	require.Equal(t, "inference-refused", r.numbers[0].notes[0].Code)
	reftest.Agree(t, "difference", r.numbers[0].e.Value, -0.5+0.0015, 13)
}

func TestReconcileBadStudies(t *testing.T) {
	for text, want := range map[string]string{
		"individual: panel, municipal: by-size, take_up: 0.2":                                                        `asks did`,
		"individual: participants, municipal: columns, take_up: 0.2":                                                 `asks describe`,
		"individual: nobody, municipal: by-size, take_up: 0.2":                                                       `no analysis "nobody"`,
		"individual: participants, municipal: by-size":                                                               "give take_up",
		"individual: participants, municipal: by-size, take_up: 1.2":                                                 "at most 1",
		"individual: participants, municipal: by-size, take_up: 0.2, population: people":                             "give take_up, or",
		"individual: participants, municipal: by-size, participants: starts":                                         "population: name the data",
		"individual: participants, municipal: by-size, participants: starts, population: spells":                     "no column with role unit",
		"individual: participants, municipal: by-size, take_up: 0.2, per: -1":                                        "per must be",
		"individual: participants, municipal: by-size, take_up: 0.2, errors: none":                                   "errors",
		"individual: participants, municipal: by-size, take_up: 0.2, take_up_error: -0.1":                            "at least 0",
		"individual: participants, municipal: by-size, participants: starts, population: people, take_up_error: 0.1": "goes with take_up",
	} {
		study := strings.Replace(optionStudy, "individual: participants, municipal: by-size, take_up: 0.2, take_up_error: 0.01, per: 100, errors: independent", text, 1)
		_, err := Parse("study.yaml", strings.NewReader(study))
		require.Error(t, err, text)
		require.True(t, errors.Is(err, ErrSpec), text)
		require.ErrorContains(t, err, want, text)
	}
}
