package study

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/ingest/synthetic"
	"utfall/table"
)

// Ever treated against never treated, from one date on, conditions on the future and
// fails on the synthetic register; comparison within risk sets recovers the truth. Both
// are matched on the same background.
func TestEverAgainstNeverFailsWhereRiskSetsDoNot(t *testing.T) {
	if testing.Short() {
		t.Skip("a register at full size")
	}
	data := filepath.Join(t.TempDir(), "data")
	require.NoError(t, Simulate(t.Context(), data, synthetic.Options{People: 50000, Seed: 4, Workers: 2}, Options{}))
	spec := template(t, "both")
	s, err := newState(t.Context(), spec, Options{DataDir: data, Workers: 2})
	require.NoError(t, err)
	for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
		require.NoError(t, step())
	}
	truth, ok := s.truth.at("study_population.overall.versus_wait.work_24")
	require.True(t, ok)
	b := s.cohorts["deltagare"]
	work, err := b.table.Float("work_24")
	require.NoError(t, err)
	riskSet := differenceOf(work, b.weight, b.treated)
	require.InDelta(t, truth, riskSet.value, 2.2*riskSet.se, "risk sets")

	// Everybody from the first month of the intake, by whether they ever start within it:
	// to be one of those who do, one must first have stayed at risk, and fallen.
	co := spec.Cohorts[0]
	timing := co.TimeZero.Timing
	timing.Design, timing.Draws, timing.To = "", nil, timing.From
	made, err := cohort.BuildDesign(s.register(&co), timing, co.TimeZero.Drop, spec.Seed, 2)
	require.NoError(t, err)
	opened, err := made.Open(s.register(&co), nil, co.TimeZero.Outcomes, 2)
	require.NoError(t, err)
	first, err := opened.Table.Float(cohort.ParticipantColumn)
	require.NoError(t, err)
	ever := make([]bool, len(first.Values))
	for i, v := range first.Values {
		ever[i] = v == 1 || opened.Start[i] >= 0
	}
	units, err := opened.Table.With(table.NewBoolean(table.Field{Name: cohort.ParticipantColumn}, ever, nil))
	require.NoError(t, err)
	rule, err := table.CompileFilter(`between(age, 20, 62) and last_state not in ["death", "emigration", "age-pension"] and not is_missing(education)`, units.Fields())
	require.NoError(t, err)
	keep, _, err := rule.Apply(units)
	require.NoError(t, err)
	var rows []int
	for i, k := range keep {
		if k {
			rows = append(rows, i)
		}
	}
	units = units.Take(rows)
	m, err := cohort.Nearest{Distance: cohort.LinearLogitDistance, Caliper: 0.2, Exact: []string{"sex"}, Seed: 1}.Match(t.Context(), units,
		cohort.Spec{Treatment: cohort.ParticipantColumn, ID: cohort.UnitColumn, Covariates: co.Propensity.Covariates, Workers: 2})
	require.NoError(t, err)
	y, err := units.Float("work_24")
	require.NoError(t, err)
	naive := differenceOf(y, m.Weight, pickBool(ever, rows))
	t.Logf("truth %.4f, risk sets %.4f (%.4f), ever against never %.4f (%.4f)", truth, riskSet.value, riskSet.se, naive.value, naive.se)
	require.Greater(t, math.Abs(naive.value-truth), 5*naive.se, "ever against never must be visibly wrong")
}

type difference struct{ value, se float64 }

// differenceOf is the weighted difference of means of those with a value, with the
// error of two groups of people.
func differenceOf(y table.Floats, weight []float64, treated []bool) difference {
	var sum, squares, n [2]float64
	for i, w := range weight {
		if w == 0 || !y.Has(i) {
			continue
		}
		arm := 0
		if treated[i] {
			arm = 1
		}
		n[arm]++
		sum[arm] += y.Values[i]
		squares[arm] += y.Values[i] * y.Values[i]
	}
	mean := [2]float64{sum[0] / n[0], sum[1] / n[1]}
	v := 0.0
	for arm := range 2 {
		v += (squares[arm]/n[arm] - mean[arm]*mean[arm]) / n[arm]
	}
	return difference{mean[1] - mean[0], math.Sqrt(v)}
}
