package study

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// datedStudy is a flat study whose units have dates.
const datedStudy = `utfall: 1
name: dated
disclosure: {min_count: 3, round_to: 1}
data:
  people:
    kind: flat
    path: people.csv
    columns:
      - {name: id, type: integer, role: unit, required: true}
      - {name: treat, type: integer, min: 0, max: 1, required: true}
      - {name: zero, type: date}
      - {name: start, type: date}
      - {name: income, type: number}
      - {name: income_date, type: date}
      - {name: finished, type: integer}
      - {name: y, type: number, role: outcome}
cohorts:
  - name: all
    base: people
    id: id
    treatment: treat
    dates: {time_zero: zero, start: start}
    known: {income: income_date, finished: after}
    propensity: {covariates: [income]}
    match: {ratio: 1}
analyses:
  - {name: a, effect: {cohort: all, outcome: y}}
`

// datedRows are twelve people, of whom the odd ones start at their time zero; row is
// put in the place of the first.
func datedRows(row string) string {
	var b strings.Builder
	b.WriteString("id,treat,zero,start,income,income_date,finished,y\n" + row + "\n")
	for i := 2; i <= 12; i++ {
		line := "%,0,2015-03-01,,1.%,2015-02-01,0,2.%\n"
		if i%2 == 1 {
			line = "%,1,2015-03-01,2015-03-01,1.%,2015-02-01,1,3.%\n"
		}
		b.WriteString(strings.ReplaceAll(line, "%", strconv.Itoa(i)))
	}
	return b.String()
}

func lintRun(t *testing.T, study, rows string) error {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(rows), 0o600))
	spec, err := Parse("study.yaml", strings.NewReader(study))
	if err != nil {
		return err
	}
	_, err = Run(t.Context(), spec, Options{DataDir: dir, OutDir: filepath.Join(dir, "bundle"), Workers: 1})
	return err
}

const sound = "1,1,2015-03-01,2015-03-01,1.5,2015-02-01,1,3"

// Each way to compare people by what lies in the future is refused with its reason and
// the number of units, and never with a value.
func TestDesignLinterRefuses(t *testing.T) {
	require.NoError(t, lintRun(t, datedStudy, datedRows(sound)), "a sound design passes")
	for _, c := range []struct{ row, want string }{
		{"1,1,2015-03-01,2015-05-01,1.5,2015-02-01,1,3", lintImmortal + ": 1 treated units"},
		{"1,1,2015-03-01,2015-01-01,1.5,2015-02-01,1,3", lintPrevalent + ": 1 treated units"},
		{"1,0,2015-03-01,2015-03-01,1.5,2015-02-01,1,3", lintPrevalent + ": 1 comparison units"},
		{"1,1,,2015-03-01,1.5,2015-02-01,1,3", "time-zero-missing: 1 units"},
		{"1,1,2015-03-01,,1.5,2015-02-01,1,3", "dates: 1 treated units have no date of start"},
		{"1,1,2015-03-01,2015-03-01,1.5,2015-03-02,1,3", lintLate + `: "income" is dated after time zero in 1 units`},
	} {
		err := lintRun(t, datedStudy, datedRows(c.row))
		require.ErrorIs(t, err, ErrInput, c.row)
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "2015", "no value in a message")
	}
	for _, c := range []struct{ from, to, want string }{
		{"covariates: [income]", "covariates: [income, finished]", lintLate + `: propensity reads "finished"`},
		{"covariates: [income]", "covariates: [y]", lintOutcome + `: propensity reads "y"`},
		{"match: {ratio: 1}", "match: {ratio: 1}\n    eligibility: [{name: never, keep: is_missing(start) or treat == 1}]", lintFuture + `: eligibility never reads "start"`},
		{"match: {ratio: 1}", "match: {ratio: 1}\n    eligibility: [{name: done, keep: finished == 1}]", lintFuture + `: eligibility done reads "finished"`},
		{"outcome: y}", "outcome: y, where: finished == 1}", lintFuture + `: where reads "finished"`},
		{"outcome: y}", "outcome: y, method: regression, covariates: [finished]}", lintLate + `: effect reads "finished"`},
		{"dates: {time_zero: zero, start: start}", "dates: {time_zero: zero}", "dates: start: name the column"},
		{"dates: {time_zero: zero, start: start}\n", "\n", "give dates: time_zero"},
		{"finished: after", "finished: nowhere", `no column "nowhere"`},
	} {
		require.Contains(t, datedStudy, c.from)
		err := lintRun(t, strings.Replace(datedStudy, c.from, c.to, 1), datedRows(sound))
		require.ErrorIs(t, err, ErrSpec, c.to)
		require.ErrorContains(t, err, c.want)
	}
}

// Comparison people who start later stay, and the reader is told.
func TestControlsMayStartLater(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(datedRows("1,0,2015-03-01,2015-09-01,1.5,2015-02-01,1,3")), 0o600))
	spec, err := Parse("study.yaml", strings.NewReader(datedStudy))
	require.NoError(t, err)
	s, err := newState(t.Context(), spec, Options{DataDir: dir, Workers: 1})
	require.NoError(t, err)
	require.NoError(t, s.ingest())
	require.NoError(t, s.buildCohorts())
	require.Equal(t, "controls-start-later", s.cohorts["all"].notes[0].Code)
	require.Equal(t, 1, s.cohorts["all"].notes[0].Args["units"])
}

// A background that reaches back to before the registers is refused with the month
// from which it would work.
func TestLookBackBeforeTheData(t *testing.T) {
	data := register(t, 7)
	for from, to := range map[string]string{
		"from: 2013-01":      "from: 2011-06",
		"look_back: [6, 24]": "look_back: [6, 48]",
	} {
		_, err := Run(t.Context(), template(t, "both", from, to), Options{DataDir: data, OutDir: filepath.Join(t.TempDir(), "bundle")})
		require.ErrorIs(t, err, ErrInput, to)
		require.ErrorContains(t, err, lintLookBack)
	}
	_, err := Run(t.Context(), template(t, "both", "look_back: [6, 24]", "look_back: [6, 24]\n      lag: 13"), Options{DataDir: data, OutDir: filepath.Join(t.TempDir(), "bundle")})
	require.ErrorContains(t, err, lintLookBack, "what the register does not tell yet lies further back")
}
