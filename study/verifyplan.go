package study

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
)

// checkPlan compares the lock file of a bundle with its study file, its data and the
// mark that every number carries.
func checkPlan(fsys fs.FS, m *Manifest) []string {
	var out []string
	problem := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	b, err := fs.ReadFile(fsys, specFile)
	if err != nil {
		return nil // checkSpecFile says so
	}
	spec, err := Parse(specFile, bytes.NewReader(b))
	if err != nil {
		return nil
	}
	lock, err := fs.ReadFile(fsys, lockFile)
	deviations := m.Plan.Deviations
	switch {
	case m.Plan.Lock == "" && err == nil:
		problem("%s: the manifest knows of no plan", lockFile)
	case m.Plan.Lock == "":
		if spec.lockRequired() {
			problem("%s: the study file keeps outcomes closed until a plan is locked, and there is none", manifestFile)
		}
	case err != nil:
		problem("%s: the manifest names a plan, and the file cannot be read", lockFile)
		return out
	case digest(lock) != m.Plan.Lock:
		problem("%s: is not the plan that the run had", lockFile)
		return out
	default:
		plan, err := readPlan(lock)
		if err != nil || plan.Study != m.Study {
			problem("%s: is not a plan of this study", lockFile)
			return out
		}
		parts, err := spec.parts()
		if err != nil {
			return append(out, err.Error())
		}
		now := &Plan{Parts: parts, Data: map[string]string{}, Cohorts: plan.Cohorts}
		for _, f := range m.Inputs {
			if _, ok := spec.Data[f.Name]; ok {
				now.Data[f.Name] = f.Logical
			} else if spec.namesLadder(f.File) {
				now.Data[f.File] = f.Logical
			}
		}
		for _, d := range plan.deviations(now) {
			if !slices.Contains(deviations, d) {
				problem("%s: %s was %s since the plan was locked, and the manifest does not say so", lockFile, d.Part, d.What)
				deviations = append(slices.Clone(deviations), d)
			}
		}
	}
	records, err := fs.ReadFile(fsys, resultsFile)
	if err != nil {
		return out
	}
	rs, err := readResults(records)
	if err != nil {
		return out
	}
	for _, r := range rs {
		want := PlanNone
		if i := slices.IndexFunc(spec.Analyses, func(a Analysis) bool { return a.Name == r.Analysis }); i >= 0 && m.Plan.Lock != "" {
			want = spec.standing(&spec.Analyses[i], deviations)
		}
		if r.Plan != want {
			problem("%s: its mark towards the plan is %q, and should be %q", r.Address, r.Plan, want)
		}
	}
	return out
}
