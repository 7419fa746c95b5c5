package study

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"utfall/ingest/synthetic"
	"utfall/internal/lang"
)

// Demo simulates a register at out/data, puts the study file "both" beside it, tests
// the design and locks the plan, runs the whole study, and leaves the bundle at
// out/bundle. With so few people that the design does not pass, it goes on without a plan.
func Demo(ctx context.Context, out string, people int, seed uint64, o Options) (*Outcome, error) {
	b, err := Template("both")
	if err != nil {
		return nil, err
	}
	if people < fewPeople {
		b = withoutRare(b)
	}
	open := b
	b = bytes.Replace(b, []byte("required: false"), []byte("required: true"), 1)
	spec, err := Parse("study.yaml", bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	bundle := filepath.Join(out, "bundle")
	if err := replaceable(bundle, spec.Name); err != nil {
		return nil, err
	}
	data := filepath.Join(out, "data")
	if err := Simulate(ctx, data, synthetic.Options{People: people, Seed: seed, Workers: o.Workers}, o); err != nil {
		return nil, err
	}
	o.DataDir, o.OutDir, o.LockFile = data, bundle, filepath.Join(out, spec.Name+".lock.json")
	if err := os.Remove(o.LockFile); err != nil && !errors.Is(err, os.ErrNotExist) { // of an earlier demo
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	lines, err := LockPlan(ctx, spec, o, false)
	if errors.Is(err, ErrLocked) {
		// So few people are no design to rest on. A study would end here; a demonstration goes
		// on without a plan, and says so.
		b = open
		if spec, err = Parse("study.yaml", bytes.NewReader(b)); err != nil {
			return nil, err
		}
		lines = append(lines, lang.Lang(or(o.Lang, spec.Language)).Text("study.demo-unlocked"))
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(out, "study.yaml"), b, 0o644); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResource, err)
	}
	done, err := Run(ctx, spec, o)
	if err == nil { // what was read and built is said by the lock
		done.lines = append(lines, done.lines[len(spec.Data)+len(spec.Cohorts):]...)
	}
	return done, err
}

// fewPeople is a register in which some background is so rare that only participants,
// or only others, have it.
const fewPeople = 10000

// withoutRare leaves the rare background out of the demo's study: people on disability
// benefit, and the county.
func withoutRare(study []byte) []byte {
	for _, change := range [][2]string{
		{"education, county, last_state", "education, last_state"},
		{"months_sickness-benefit_24, months_disability-benefit_24, months_activity-compensation_24", "months_sickness-benefit_24, months_activity-compensation_24"},
		{`last_state not in ["death", "emigration", "age-pension"]`, `last_state not in ["death", "emigration", "age-pension", "disability-benefit"]`},
		{"Bor i landet och har inte ålderspension", "Bor i landet och har inte ålderspension eller sjukersättning"},
		{"Resident and not on age pension", "Resident and not on age pension or disability benefit"},
	} {
		study = bytes.ReplaceAll(study, []byte(change[0]), []byte(change[1]))
	}
	return study
}

// Simulate writes a synthetic register with known truth to dir. An older register at
// that place, known by its truth.json, is replaced.
func Simulate(ctx context.Context, dir string, so synthetic.Options, o Options) error {
	if err := so.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrSpec, err)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, "truth.json")); err != nil {
			return fmt.Errorf("%w: %s exists and is not a simulated register: choose another --out, or remove it", ErrResource, dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	_, err := synthetic.Write(ctx, dir, so, func(done, total int) { o.report("simulate", "", done, total) })
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	return err
}
