package study

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever decides who is compared, or with what adjustment, may not read what was
// measured after time zero: neither an outcome that time_zero makes nor a column with
// the role outcome.
func TestOutcomesDecideNothing(t *testing.T) {
	both, err := Template("both")
	require.NoError(t, err)
	for _, c := range []struct{ from, to, want string }{
		{"exact: [risk_set, sex]", "exact: [sex, work_24]", `outcome-in-design: match reads "work_24"`},
		{"balance: [age,", "balance: [months_work, age,", `outcome-in-design: balance reads "months_work"`},
		{"propensity:\n      covariates: [age,", "propensity:\n      covariates: [sickness_24, age,", `outcome-in-design: propensity reads "sickness_24"`},
		{"covariates: [age, education, born, last_state,", "covariates: [disability_24, education, born, last_state,", `outcome-in-design: effect reads "disability_24"`},
	} {
		require.Contains(t, string(both), c.from)
		_, err := Parse("s.yaml", strings.NewReader(strings.Replace(string(both), c.from, c.to, 1)))
		require.ErrorContains(t, err, c.want)
		require.ErrorContains(t, err, "s.yaml:")
	}
	_, err = Parse("s.yaml", strings.NewReader(strings.NewReplacer(
		"name: y, type: number", "name: y, type: number, role: outcome", "treatment: treat}", "treatment: treat, propensity: {covariates: [y]}, match: {ratio: 1}}").Replace(small)))
	require.ErrorContains(t, err, `outcome-in-design: propensity reads "y"`)

	data := register(t, 7)
	for from, to := range map[string]string{
		"keep: between(age, 20, 62)": "keep: work_24 == 1",
		`where: sex == "woman"`:      "where: months_work > 3",
	} {
		_, err := Run(t.Context(), template(t, "both", from, to), Options{DataDir: data, OutDir: filepath.Join(t.TempDir(), "bundle")})
		require.ErrorIs(t, err, ErrSpec)
		require.ErrorContains(t, err, "measured after time zero")
	}
}
