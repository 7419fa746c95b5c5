package study

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"utfall/internal/lang"
)

// Where a number stands towards the plan. The words are those of results.jsonl.
const (
	PlanNone      = "none"      // no plan was locked before the outcomes were opened
	PlanLocked    = "locked"    // asked and designed as locked
	PlanDeviation = "deviation" // the analysis, or what it rests on, is not the locked one
)

// Plan is a lock file: what was to be done, written down before any outcome was
// opened. It holds no outcome and no clock; who wants to prove when a plan was made
// deposits its digest.
type Plan struct {
	Format   int               `json:"format"`
	Study    string            `json:"study"`
	Program  string            `json:"program"`
	Resolved string            `json:"study_sha256"` // of the resolved study file
	Parts    map[string]string `json:"parts"`        // digests of its parts: settings, gate, data/…, cohort/…, analysis/…
	Data     map[string]string `json:"data"`         // logical hash of each data set as it was read
	Cohorts  map[string]string `json:"cohorts"`      // digest of who is compared with whom
	Gate     []GateResult      `json:"gate"`
}

// Deviation is a part of the study that is not the locked one.
type Deviation struct {
	Part string `json:"part"` // as in [Plan.Parts]; data-content/NAME and cohort-content/NAME for what was read and built
	What string `json:"what"` // changed, added or removed
}

// parts digests the study file piece by piece. What only the reader sees (titles,
// labels, questions, the language) is no part of the plan.
func (s *Spec) parts() (map[string]string, error) {
	out := map[string]string{}
	put := func(name string, v any) error {
		b, err := yaml.Marshal(v)
		out[name] = digest(b)
		return err
	}
	var errs []error
	errs = append(errs, put("settings", struct {
		Seed       uint64
		Level      float64
		Disclosure Disclosure
	}{s.Seed, s.Level, s.Disclosure}))
	if s.Lock != nil {
		errs = append(errs, put("gate", s.Lock.Gate))
	}
	for _, name := range sortedKeys(s.Data) {
		src := s.Data[name]
		src.Path = "" // where the file lies is not what it says
		errs = append(errs, put("data/"+name, src))
	}
	for i := range s.Cohorts {
		co := s.Cohorts[i]
		co.Label, co.Groups, co.Trial = nil, nil, nil
		co.Eligibility = slices.Clone(co.Eligibility)
		for j := range co.Eligibility {
			co.Eligibility[j].Label = nil
		}
		errs = append(errs, put("cohort/"+co.Name, co))
	}
	for i := range s.Analyses {
		a := s.Analyses[i]
		a.Question, a.Outcome, a.Truth = nil, nil, nil
		for _, q := range a.questions() {
			if u, ok := q.question.(unplanned); ok {
				u.plan(&a)
			}
		}
		errs = append(errs, put("analysis/"+a.Name, a))
	}
	for _, f := range s.Families {
		errs = append(errs, put("family/"+f.Name, f))
	}
	return out, errors.Join(errs...)
}

// uses are the parts of the study that an analysis rests on, its own among them.
func (s *Spec) uses(a *Analysis) []string {
	out := []string{"settings", "analysis/" + a.Name}
	if f := s.familyOf(a.Name); f != nil {
		out = append(out, "family/"+f.Name)
	}
	rests := a.rests()
	for _, n := range rests.data {
		out = append(out, "data/"+n, "data-content/"+n)
	}
	for _, n := range rests.files {
		out = append(out, "data-content/"+n)
	}
	if rests.cohort != "" {
		out = append(out, s.cohortParts(rests.cohort)...)
	}
	for i := range s.Analyses {
		if o := &s.Analyses[i]; slices.Contains(rests.of, o.Name) {
			out = append(out, s.uses(o)...)
		}
	}
	return out
}

// cohortParts are the parts of the study that a cohort rests on.
func (s *Spec) cohortParts(name string) []string {
	out := []string{"settings", "gate", "cohort/" + name, "cohort-content/" + name}
	co := s.findCohort(name)
	if co == nil {
		return out
	}
	sources := []string{co.Base}
	if t := co.TimeZero; t != nil {
		sources = append(sources, t.Spells, t.Participations, t.Amounts)
	}
	for _, n := range sources {
		if n != "" {
			out = append(out, "data/"+n, "data-content/"+n)
		}
	}
	return out
}

// plan writes down the study as it is now: after the design stage, outcomes closed.
func (s *state) plan() (*Plan, error) {
	spec := *s.spec
	spec.Language = string(lang.EN) // the reader's choice, no part of the plan
	resolved, err := spec.resolved()
	if err != nil {
		return nil, err
	}
	p := &Plan{Format: Version, Study: s.spec.Name, Program: ProgramVersion, Resolved: digest(resolved), Data: map[string]string{}, Cohorts: map[string]string{}, Gate: s.gate}
	if p.Parts, err = s.spec.parts(); err != nil {
		return nil, err
	}
	for name, d := range s.data {
		p.Data[name] = d.logical
	}
	for name, l := range s.ladders {
		p.Data[name] = l.digest
	}
	for name, b := range s.cohorts {
		if p.Cohorts[name], err = b.digest(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// deviations lists what of the plan now is not what was locked, in byte order.
func (p *Plan) deviations(now *Plan) []Deviation {
	var out []Deviation
	compare := func(prefix string, locked, now map[string]string) {
		for _, k := range sortedKeys(locked) {
			if v, ok := now[k]; !ok {
				out = append(out, Deviation{prefix + k, "removed"})
			} else if v != locked[k] {
				out = append(out, Deviation{prefix + k, "changed"})
			}
		}
		for _, k := range sortedKeys(now) {
			if _, ok := locked[k]; !ok {
				out = append(out, Deviation{prefix + k, "added"})
			}
		}
	}
	compare("", p.Parts, now.Parts)
	compare("data-content/", p.Data, now.Data)
	compare("cohort-content/", p.Cohorts, now.Cohorts)
	slices.SortFunc(out, func(a, b Deviation) int { return strings.Compare(a.Part, b.Part) })
	return out
}

// digest is one of who is compared with whom: units, arms, sets and weights.
func (b *built) digest() (string, error) {
	ids, _, err := b.table.Text(b.spec.ID)
	if err != nil {
		return "", err
	}
	h := newHash()
	for i, id := range ids {
		set, weight := 0, 1.0
		if b.set != nil {
			set = b.set[i]
		}
		if b.weight != nil {
			weight = b.weight[i]
		}
		fmt.Fprintf(h, "%q %t %d %x\n", id, b.treated[i], set, weight)
	}
	return hexSum(h), nil
}

// readPlan reads a lock file; unknown keys are an error.
func readPlan(b []byte) (*Plan, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var p Plan
	if err := dec.Decode(&p); err != nil || dec.More() {
		return nil, fmt.Errorf("%w: it is not a lock file of this program", ErrLocked)
	}
	if p.Format != Version {
		return nil, fmt.Errorf("%w: it has format %d, this program reads %d", ErrLocked, p.Format, Version)
	}
	for _, g := range p.Gate {
		if !g.Passed {
			return nil, fmt.Errorf("%w: the gate it records was not passed", ErrLocked)
		}
	}
	return &p, nil
}

// loadPlan takes the lock of the run: what its caller holds, or the file.
func (s *state) loadPlan() error {
	b := s.o.plan
	if b == nil && s.o.LockFile != "" {
		var err error
		b, err = os.ReadFile(s.o.LockFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
	}
	if b == nil {
		return nil
	}
	p, err := readPlan(b)
	if err != nil {
		return fmt.Errorf("lock file: %w", err)
	}
	if p.Study != s.spec.Name {
		return fmt.Errorf("%w: the lock file is that of another study, %q", ErrLocked, p.Study)
	}
	s.locked, s.lockBytes = p, b
	return nil
}

// unlock opens the outcomes where the plan allows it, and notes every deviation from it.
func (s *state) unlock() error {
	if err := s.loadPlan(); err != nil {
		return err
	}
	if s.locked == nil {
		if s.spec.lockRequired() {
			return fmt.Errorf("%w: the outcomes of this study are closed until its plan is locked: run `utfall lock` on the study file; it tests the design first, without outcomes", ErrLocked)
		}
		return s.open()
	}
	now, err := s.plan()
	if err != nil {
		return err
	}
	s.deviations = s.locked.deviations(now)
	if err := gateError(s.gate); err != nil && len(s.deviations) > 0 {
		return fmt.Errorf("%w\nthe plan was changed after it was locked, and the design it has now does not pass", err)
	}
	return s.open()
}

func (s *Spec) lockRequired() bool {
	return s.Lock != nil && (s.Lock.Required == nil || *s.Lock.Required)
}

// standing is where an analysis stands towards the plan.
func (s *state) standing(a *Analysis) string {
	if s.locked == nil {
		return PlanNone
	}
	return s.spec.standing(a, s.deviations)
}

// standing is where an analysis of a study with a plan stands towards it.
func (s *Spec) standing(a *Analysis, deviations []Deviation) string {
	uses := s.uses(a)
	for _, d := range deviations {
		if slices.Contains(uses, d.Part) {
			return PlanDeviation
		}
	}
	return PlanLocked
}

// LockPlan runs the design stage, which has no outcomes, and writes the plan to
// o.LockFile where the design passes the gate. A plan that is there already stays,
// unless it says the same or replace is set. The lines say what was found, also
// beside an error.
func LockPlan(ctx context.Context, spec *Spec, o Options, replace bool) ([]string, error) {
	s, err := newState(ctx, spec, o)
	if err != nil {
		return nil, err
	}
	if o.LockFile == "" {
		return nil, fmt.Errorf("%w: name the lock file", ErrSpec)
	}
	if err := s.ingest(); err != nil {
		return nil, err
	}
	if err := s.buildCohorts(); err != nil {
		return nil, err
	}
	lines := append(s.stageLines(), s.gateLines()...)
	if err := gateError(s.gate); err != nil {
		return lines, err
	}
	p, err := s.plan()
	if err != nil {
		return lines, err
	}
	var b bytes.Buffer
	if err := encodeJSON(&b, p); err != nil {
		return lines, err
	}
	switch old, err := os.ReadFile(o.LockFile); {
	case err == nil && bytes.Equal(old, b.Bytes()):
		return append(lines, s.lang.Text("study.locked-already", "path", o.LockFile, "digest", digest(old))), nil
	case err == nil && !replace:
		return lines, fmt.Errorf("%w: %s holds another plan. A run of the changed study labels what differs as a deviation. --replace writes a new plan, which is honest only before outcomes were seen", ErrLocked, o.LockFile)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return lines, fmt.Errorf("%w: %w", ErrResource, err)
	}
	if err := writeWhole(o.LockFile, b.Bytes()); err != nil {
		return lines, err
	}
	return append(lines, s.lang.Text("study.locked-at", "path", o.LockFile, "digest", digest(b.Bytes()))), nil
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(file string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(file)), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	tmp := file + ".tmp"
	if err := writeSynced(tmp, b); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	return nil
}
