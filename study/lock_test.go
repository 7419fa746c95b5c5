package study

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lockStudy is a small matched study with a lock; body replaces parts of it by old/new pairs.
func lockStudy(t *testing.T, replace ...string) *Spec {
	t.Helper()
	text := `utfall: 1
name: locked
data:
  people:
    kind: flat
    path: people.csv
    key: [id]
    columns:
      - {name: id, type: integer, role: unit, required: true}
      - {name: treat, type: integer, min: 0, max: 1, required: true}
      - {name: age, type: integer}
      - {name: before, type: number}
      - {name: y, type: number, role: outcome}
      - {name: z, type: number}
cohorts:
  - name: all
    base: people
    id: id
    treatment: treat
    propensity: {covariates: [age, before]}
    match: {caliper: 0.2}
analyses:
  - {name: first, expect: {sd: 10}, relevant: 4, effect: {cohort: all, outcome: y}}
  - {name: second, effect: {cohort: all, outcome: z}}
  - {name: about, describe: {data: people, columns: [age]}}
lock:
  gate: {min_kept: 0.5}
`
	r := strings.NewReplacer(replace...)
	if len(replace) > 0 {
		require.NotEqual(t, text, r.Replace(text), "the replacement must change the study")
	}
	spec, err := Parse("study.yaml", strings.NewReader(r.Replace(text)))
	require.NoError(t, err)
	return spec
}

// lockData writes 600 people, a third of them treated; shift is added to every outcome.
func lockData(t *testing.T, dir string, shift float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(4, 2))
	var b strings.Builder
	b.WriteString("id,treat,age,before,y,z\n")
	for i := range 600 {
		treat := 0
		if i%3 == 0 {
			treat = 1
		}
		age, before := 20+rng.IntN(40)+2*treat, rng.NormFloat64()+0.2*float64(treat)
		fmt.Fprintf(&b, "%d,%d,%d,%.3f,%.3f,%.3f\n", i+1, treat, age, before, 10*rng.NormFloat64()+before+shift, rng.NormFloat64()-shift)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(b.String()), 0o600))
}

func lockOptions(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	lockData(t, dir, 0)
	return Options{DataDir: dir, OutDir: filepath.Join(dir, "bundle"), LockFile: filepath.Join(dir, "locked.lock.json"), Workers: 1}
}

func standings(o *Outcome) map[string]string {
	out := map[string]string{}
	for _, r := range o.Records {
		out[r.Analysis] = r.Plan
	}
	return out
}

func TestOutcomesStayClosedWithoutAPlan(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	_, err := Run(ctx, lockStudy(t), o)
	require.ErrorIs(t, err, ErrLocked)
	require.NoFileExists(t, filepath.Join(o.OutDir, manifestFile))

	// A lock that is not required, and no lock at all: the run says that nothing was planned.
	for _, spec := range []*Spec{lockStudy(t, "lock:\n", "lock:\n  required: false\n"), lockStudy(t, "lock:\n  gate: {min_kept: 0.5}\n", "")} {
		done, err := Run(ctx, spec, o)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"first": PlanNone, "second": PlanNone, "about": PlanNone}, standings(done))
		v, err := Verify(ctx, o.OutDir, o.DataDir, Options{Workers: 1})
		require.NoError(t, err)
		require.NoError(t, v.Err())
	}
}

func TestLockThenRun(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	lines, err := LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err)
	require.NotEmpty(t, lines)
	done, err := Run(ctx, lockStudy(t), o)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"first": PlanLocked, "second": PlanLocked, "about": PlanLocked}, standings(done))
	for _, data := range []string{"", o.DataDir} {
		v, err := Verify(ctx, o.OutDir, data, Options{Workers: 1})
		require.NoError(t, err)
		require.NoError(t, v.Err())
	}
	page, err := os.ReadFile(filepath.Join(o.OutDir, reportFile))
	require.NoError(t, err)
	require.True(t, strings.Contains(string(page), "The plan was locked before the outcomes were opened, and it was followed"))
	require.False(t, strings.Contains(string(page), "[["), "a text is missing")
}

// What changes after the lock is labelled where it matters, and only there.
func TestDeviationsAreLabelled(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	_, err := LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		spec *Spec
		want map[string]string
	}{
		"an analysis":          {lockStudy(t, "outcome: z}", "outcome: z, vcov: cr2}"), map[string]string{"first": PlanLocked, "second": PlanDeviation, "about": PlanLocked}},
		"a new analysis":       {lockStudy(t, "name: second", "name: other"), map[string]string{"first": PlanLocked, "other": PlanDeviation, "about": PlanLocked}},
		"the design":           {lockStudy(t, "caliper: 0.2", "caliper: 0.1"), map[string]string{"first": PlanDeviation, "second": PlanDeviation, "about": PlanLocked}},
		"the gate":             {lockStudy(t, "min_kept: 0.5", "min_kept: 0.4"), map[string]string{"first": PlanDeviation, "second": PlanDeviation, "about": PlanLocked}},
		"the seed":             {lockStudy(t, "name: locked\n", "name: locked\nseed: 9\n"), map[string]string{"first": PlanDeviation, "second": PlanDeviation, "about": PlanDeviation}},
		"words for the reader": {lockStudy(t, "name: locked\n", "name: locked\ntitle: {en: T}\n"), map[string]string{"first": PlanLocked, "second": PlanLocked, "about": PlanLocked}},
	} {
		done, err := Run(ctx, c.spec, o)
		require.NoError(t, err, name)
		require.Equal(t, c.want, standings(done), name)
		v, err := Verify(ctx, o.OutDir, o.DataDir, Options{Workers: 1})
		require.NoError(t, err, name)
		require.NoError(t, v.Err(), name)
		page, err := os.ReadFile(filepath.Join(o.OutDir, reportFile))
		require.NoError(t, err)
		departs := strings.Contains(fmt.Sprint(c.want), PlanDeviation)
		require.Equal(t, departs, strings.Contains(strings.Join(done.Summary(), "\n"), "Deviation from the locked plan"), name)
		require.Equal(t, departs, strings.Contains(string(page), "Deviation from the plan"), name)
		figure, err := os.ReadFile(filepath.Join(o.OutDir, figuresDir, "effects-units.svg"))
		require.NoError(t, err)
		require.Equal(t, departs, strings.Contains(string(figure), "Deviation from the locked plan"), name)
	}
	// Other data, the same plan.
	lockData(t, o.DataDir, 5)
	done, err := Run(ctx, lockStudy(t), o)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"first": PlanDeviation, "second": PlanDeviation, "about": PlanDeviation}, standings(done))
}

// The mark of a number cannot be changed without a word from verify, nor the plan.
func TestVerifySeesAChangedPlan(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	_, err := LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err)
	_, err = Run(ctx, lockStudy(t, "outcome: z}", "outcome: z, vcov: cr2}"), o)
	require.NoError(t, err)
	for _, name := range []string{lockFile, manifestFile} {
		path := filepath.Join(o.OutDir, name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, change := range [][2]string{{`"analysis/second": "`, `"analysis/second": "0`}, {`"part": "analysis/second"`, `"part": "analysis/first"`}} {
			b := strings.Replace(string(whole), change[0], change[1], 1)
			if b == string(whole) {
				continue
			}
			require.NoError(t, os.WriteFile(path, []byte(b), 0o600))
			v, err := Verify(ctx, o.OutDir, "", Options{})
			require.NoError(t, err)
			require.ErrorIs(t, v.Err(), ErrDiffers, "%s: %s", name, change[1])
		}
		require.NoError(t, os.WriteFile(path, whole, 0o600))
	}
}

func TestGateKeepsOutcomesClosed(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	for what, c := range map[string][]string{
		"number of participants":          {"{min_kept: 0.5}", "{min_treated: 5000}"},
		"effective size":                  {"{min_kept: 0.5}", "{min_ess: 5000}"},
		"largest standardised difference": {"{min_kept: 0.5}", "{max_smd: 0.0001}"},
		"share of participants with":      {"caliper: 0.2", "caliper: 0.001", "{min_kept: 0.5}", "{min_kept: 0.99}"},
		"smallest difference that can be": {"relevant: 4", "relevant: 0.5"},
	} {
		_, err := LockPlan(ctx, lockStudy(t, c...), o, false)
		require.ErrorIs(t, err, ErrLocked, what)
		require.ErrorContains(t, err, what)
		require.NoFileExists(t, o.LockFile)
	}
}

// The design is the same whatever the outcomes are, and the stage that builds it
// works on a store that has none.
func TestDesignSeesNoOutcome(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	plan := func() *Plan {
		_, err := LockPlan(ctx, lockStudy(t), o, true)
		require.NoError(t, err)
		b, err := os.ReadFile(o.LockFile)
		require.NoError(t, err)
		p, err := readPlan(b)
		require.NoError(t, err)
		return p
	}
	a := plan()
	lockData(t, o.DataDir, 50)
	b := plan()
	require.NotEqual(t, a.Data, b.Data)
	require.Equal(t, a.Cohorts, b.Cohorts)
	require.Equal(t, a.Gate, b.Gate)

	o.StoreDir, o.Resume, o.Until = filepath.Join(o.DataDir, "store"), true, StageCohort
	_, err := Run(ctx, lockStudy(t), o)
	require.NoError(t, err, "the design stage needs no plan")
	// The outcomes lie apart: take them away, and the design stage does not notice.
	require.NoError(t, os.RemoveAll(filepath.Join(o.StoreDir, storeOutcomes)))
	_, err = Run(ctx, lockStudy(t), o)
	require.NoError(t, err)
	s, err := newState(ctx, lockStudy(t), o)
	require.NoError(t, err)
	s.data = map[string]*dataset{}
	loaded, err := s.loadStore()
	require.NoError(t, err)
	require.True(t, loaded)
	require.False(t, s.data["people"].table.Has("y"))
	require.False(t, s.data["people"].table.Has("z"), "named as an outcome, though it has no role")
	require.True(t, s.data["people"].table.Has("before"))
	// And with them in place a resumed run has the numbers of a fresh one.
	lockData(t, o.DataDir, 7)
	o.Until = StageReport
	_, err = LockPlan(ctx, lockStudy(t), o, true)
	require.NoError(t, err)
	resumed, err := Run(ctx, lockStudy(t), o)
	require.NoError(t, err)
	o.Resume = false
	fresh, err := Run(ctx, lockStudy(t), o)
	require.NoError(t, err)
	require.Equal(t, fresh.Records, resumed.Records)
}

// Another plan is not written over without a word, and a file that is none is refused.
func TestLockFileIsKept(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	_, err := LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err)
	before, err := os.ReadFile(o.LockFile)
	require.NoError(t, err)
	_, err = LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err, "the same plan")
	_, err = LockPlan(ctx, lockStudy(t, "caliper: 0.2", "caliper: 0.1"), o, false)
	require.ErrorIs(t, err, ErrLocked)
	after, err := os.ReadFile(o.LockFile)
	require.NoError(t, err)
	require.Equal(t, before, after)
	for _, bad := range []string{"", "{}", "{\"format\": 9}", string(before) + "x", strings.Replace(string(before), `"passed": true`, `"passed": false`, 1), strings.Replace(string(before), `"study": "locked"`, `"study": "other"`, 1)} {
		require.NoError(t, os.WriteFile(o.LockFile, []byte(bad), 0o600))
		_, err = Run(ctx, lockStudy(t), o)
		require.ErrorIs(t, err, ErrLocked, bad)
	}
}

func TestLockKeysAreChecked(t *testing.T) {
	_, err := Parse("s.yaml", strings.NewReader(`utfall: 1
name: x
data:
  p: {kind: flat, path: p.csv, columns: [{name: a, type: number}]}
analyses:
  - {name: d, expect: {share: 0.5}, describe: {data: p, columns: [a]}}
lock: {gate: {max_smd: -1, min_kept: 2, min_support: 2, min_treated: 0, min_ess: 0, power: 0.3}}
`))
	for _, key := range []string{"max_smd", "min_kept", "min_support", "min_treated", "min_ess", "power", "expect"} {
		require.ErrorContains(t, err, key)
	}
}

// check tests the design and says what the gate finds; where outcomes are closed it does
// not look at them.
func TestCheckKeepsOutcomesClosed(t *testing.T) {
	ctx, o := context.Background(), lockOptions(t)
	lines, err := Check(ctx, lockStudy(t), o)
	require.NoError(t, err)
	require.Contains(t, strings.Join(lines, "\n"), "closed until the plan is locked")
	require.Contains(t, strings.Join(lines, "\n"), "largest standardised difference")
	_, err = LockPlan(ctx, lockStudy(t), o, false)
	require.NoError(t, err)
	lines, err = Check(ctx, lockStudy(t), o)
	require.NoError(t, err)
	require.NotContains(t, strings.Join(lines, "\n"), "closed until")
	// What an analysis names is tried once outcomes may be opened.
	_, err = Check(ctx, lockStudy(t, "outcome: z}", "outcome: z, where: nobody > 1}"), o)
	require.ErrorContains(t, err, "nobody")
}
