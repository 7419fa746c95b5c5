package study

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
)

// later turns the register study of the template into one of another design.
func designOf(t *testing.T, design string) *Spec {
	t.Helper()
	b, err := Template("both")
	require.NoError(t, err)
	text := string(b)
	cut := func(from, to string) {
		i := strings.Index(text, from)
		require.GreaterOrEqual(t, i, 0, from)
		j := strings.Index(text[i:], to)
		require.GreaterOrEqual(t, j, 0, to)
		text = text[:i] + text[i+j:]
	}
	cut("      design: risk-set", "      look_back:")
	cut("    propensity:", "\nanalyses:")
	head, rest, ok := strings.Cut(text, "\nanalyses:\n")
	require.True(t, ok)
	body, tail, ok := strings.Cut(rest, "# What the design must meet")
	require.True(t, ok)
	text = head + "\nanalyses:\n"
	for _, part := range strings.Split(body, "  - name: ")[1:] { // effects that weights by month can carry
		name, _, _ := strings.Cut(part, "\n")
		if slices.Contains([]string{"work-24", "subsidised-24", "sickness-24", "disability-24"}, name) {
			text += "  - name: " + part
		}
	}
	text += "# What the design must meet" + tail
	cut("lock:", "known_truth:")
	text = strings.Replace(text, "      look_back: [6, 24]", design+"      look_back: [6, 24]", 1)
	text = regexp.MustCompile(`(?m)^    truth: \{att: .*\n`).ReplaceAllString(text, "") // of another estimand
	spec, err := Parse("study.yaml", strings.NewReader(text))
	require.NoError(t, err)
	return spec
}

// Strategies with a grace period, and comparison people who are censored when they
// start, give the numbers of the library, and a report without a missing word.
func TestGraceAndCensoringInAStudy(t *testing.T) {
	if testing.Short() {
		t.Skip("builds two cohorts from a register")
	}
	data := register(t, 7)
	covariates := "censoring: {covariates: [age, sex, last_state, months_sickness-benefit_24], absorbing: [death, emigration, age-pension]"
	for name, design := range map[string]string{
		"grace":  "      design: grace-period\n      grace: 6\n      " + covariates + ", initiation: uniform}\n",
		"censor": "      later: censor\n      " + covariates + "}\n",
	} {
		spec := designOf(t, design)
		out := filepath.Join(t.TempDir(), "bundle")
		o := Options{DataDir: data, OutDir: out, Workers: 2}
		_, err := Run(t.Context(), spec, o)
		require.NoError(t, err, name)
		page, err := os.ReadFile(filepath.Join(out, reportFile))
		require.NoError(t, err)
		_, missing, found := strings.Cut(string(page), "[[")
		require.False(t, found, "%s: %.60s", name, missing)

		s, err := newState(t.Context(), spec, o)
		require.NoError(t, err)
		for _, step := range []func() error{s.ingest, s.buildCohorts, s.unlock, s.estimate} {
			require.NoError(t, step(), name)
		}
		b := s.cohorts["deltagare"]
		y, err := b.table.Float("work_24")
		require.NoError(t, err)
		w, err := b.censored.For(cohort.Outcome{Name: "work_24", At: 24})
		require.NoError(t, err)
		var sum, total [2]float64
		both := map[string]int{}
		persons, _, err := b.table.Text(cohort.PersonColumn)
		require.NoError(t, err)
		for i, in := range b.treated {
			both[persons[i]]++
			arm := 0
			if in {
				arm = 1
			}
			if y.Has(i) {
				sum[arm] += w[i] * y.Values[i]
				total[arm] += w[i]
			}
		}
		var difference float64
		for _, r := range s.results {
			if r.spec.Name == "subsidised-24" {
				difference = r.numbers[0].e.Value
				require.Equal(t, "effect", r.kind)
				require.Equal(t, map[string]string{"grace": "ate", "censor": "att"}[name], r.numbers[0].term)
			}
		}
		if name == "grace" {
			for p, n := range both {
				require.Equal(t, 2, n, p)
			}
		}
		// The same by hand, of another outcome with the same weights.
		z, err := b.table.Float("subsidised_24")
		require.NoError(t, err)
		sum, total = [2]float64{}, [2]float64{}
		for i, in := range b.treated {
			if z.Has(i) {
				arm := 0
				if in {
					arm = 1
				}
				sum[arm] += w[i] * z.Values[i]
				total[arm] += w[i]
			}
		}
		require.InDelta(t, sum[1]/total[1]-sum[0]/total[0], difference, 1e-10, name)
	}
}
