package study

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"utfall/internal/lang"
	"utfall/study/release"
)

// Stage is how far a run goes.
type Stage int

// The stages, in order. The zero value means the whole run.
const (
	StageAll Stage = iota
	StageIngest
	StageCohort
	StageEstimate
	StagePlot
	StageReport
)

// Options are the circumstances of a run; none of them changes a number.
type Options struct {
	DataDir  string // what paths in the study file are relative to
	OutDir   string // the bundle
	StoreDir string // where read data are kept between stages; "" = nowhere
	Workers  int    // 0 = all processors
	Lang     string // overrides the study file's language; "" = does not
	LockFile string // the plan, where it is there; "" = none
	Resume   bool   // use the store where study and data are unchanged
	Until    Stage
	Progress func(Progress) // nil = silent
	// Large is told before a match begins how many bytes it needs beside those held; nil = nobody is.
	Large func(units int, bytes int64)

	plan []byte // the lock of a bundle that is run again
}

// Progress says what a run is doing.
type Progress struct {
	Stage string // "ingest", "cohort", …
	Item  string // the data, cohort, analysis or figure at hand
	Done  int
	Total int
}

func (o Options) report(stage, item string, done, total int) {
	if o.Progress != nil {
		o.Progress(Progress{stage, item, done, total})
	}
}

// Outcome is what a run leaves behind for its caller.
type Outcome struct {
	Bundle   string // folder of the bundle, or of what the stage left; "" after ingest
	Spec     *Spec
	Records  []Record
	Protocol release.Protocol
	Inputs   []InputFile
	Refused  []Refused // questions that these data cannot answer, in the order of the study file
	lines    []string  // what was read and built
	until    Stage
}

// state is a run in progress.
type state struct {
	ctx     context.Context
	spec    *Spec
	o       Options
	lang    lang.Lang
	policy  release.Policy
	data    map[string]*dataset
	cohorts map[string]*built
	results []analysisResult
	figures []figure
	truth   *truths
	ladders map[string]*Ladder // by file
	bundle  *assembled

	gate       []GateResult
	locked     *Plan  // nil = no plan was locked
	lockBytes  []byte // the lock file as it is
	deviations []Deviation
}

// newState prepares a run in the language asked for.
func newState(ctx context.Context, spec *Spec, o Options) (*state, error) {
	if o.Lang != "" {
		l, err := lang.Parse(o.Lang)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSpec, err)
		}
		copied := *spec
		copied.Language = string(l)
		spec = &copied
	}
	l, err := lang.Parse(spec.Language)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	return &state{ctx: ctx, spec: spec, o: o, lang: l, policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}}, nil
}

// Run carries out a study: data, cohorts, estimates, figures, report. The bundle
// appears at o.OutDir by one rename at the end; a run that fails or is interrupted
// leaves nothing. An existing bundle of the same study is replaced; any other
// folder at that place is an error.
func Run(ctx context.Context, spec *Spec, o Options) (*Outcome, error) {
	if o.Until == StageAll {
		o.Until = StageReport
	}
	s, err := newState(ctx, spec, o)
	if err != nil {
		return nil, err
	}
	spec = s.spec
	if o.Until >= StageCohort {
		if err := replaceable(o.OutDir, spec.Name); err != nil {
			return nil, err
		}
	}
	out := &Outcome{Spec: spec}
	for _, step := range []struct {
		stage Stage
		do    func() error
	}{
		{StageIngest, s.ingest}, {StageCohort, s.buildCohorts}, {StageEstimate, s.unlock}, {StageEstimate, s.estimate},
		{StagePlot, s.draw},
	} {
		if step.stage > o.Until {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step.do(); err != nil {
			return nil, err
		}
	}
	if o.Until == StageCohort {
		if s.bundle, err = s.assemble(); err != nil {
			return nil, err
		}
	}
	if o.Until >= StageCohort {
		if err := s.write(); err != nil {
			return nil, err
		}
	}
	out.lines = s.stageLines()
	if o.Until == StageCohort {
		out.lines = append(out.lines, s.gateLines()...)
	}
	for _, d := range s.deviations {
		out.lines = append(out.lines, s.lang.Text("study.deviation-line", "what", s.deviationText(d)))
	}
	if path, err := s.writeQuarantine(); err != nil {
		return nil, err
	} else if path != "" {
		out.lines = append(out.lines, s.lang.Text("study.quarantine", "path", path))
	}
	out.Inputs, out.Refused = s.inputs(), s.refusedAlone()
	if s.bundle != nil {
		out.Records, out.Protocol = s.bundle.records, s.bundle.protocol
		out.Bundle, out.until = o.OutDir, o.Until
	}
	return out, nil
}

// replaceable tests that a bundle may be written at dir: nothing is there, or an
// older bundle of the same study.
func replaceable(dir, name string) error {
	if dir == "" {
		return fmt.Errorf("%w: no folder for the bundle", ErrSpec)
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrResource, err)
	case len(entries) == 0:
		return nil
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err == nil {
		if m, err := decodeManifest(b); err == nil && m.Study == name {
			return nil
		}
	}
	return fmt.Errorf("%w: %s exists and is not a bundle of the study %q: choose another --out, or remove it", ErrResource, dir, name)
}

// publish moves a finished folder to its place in one rename.
func publish(tmp, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		old := tmp + ".old"
		if err := os.Rename(dir, old); err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
		if err := os.Rename(tmp, dir); err != nil {
			return errors.Join(fmt.Errorf("%w: %w", ErrResource, err), os.Rename(old, dir))
		}
		return os.RemoveAll(old)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	return nil
}
