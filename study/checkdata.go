package study

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Check reads every data file of the study and builds its cohorts, and says what it
// found. Nothing is written. All data files are read even when one of them fails, so
// that every problem is in the error.
func Check(ctx context.Context, spec *Spec, o Options) ([]string, error) {
	s, err := newState(ctx, spec, o)
	if err != nil {
		return nil, err
	}
	s.data = map[string]*dataset{}
	var errs []error
	var lines []string
	for _, name := range sortedKeys(spec.Data) {
		d, err := s.read(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.data[name] = d
	}
	said := func() {
		for _, name := range sortedKeys(s.data) {
			lines = append(lines, strings.Split(s.data[name].result.Report.Text(), "\n")...)
		}
	}
	if len(errs) > 0 {
		said()
		return lines, errors.Join(errs...)
	}
	err = s.settle()
	said()
	if err != nil {
		return lines, err
	}
	s.seal()
	if s.truth, err = s.loadTruth(); err != nil {
		return lines, err
	}
	if err := s.loadLadders(); err != nil {
		return lines, err
	}
	if err := s.checkTruth(); err != nil {
		return lines, err
	}
	if err := s.buildCohorts(); err != nil {
		return lines, err
	}
	lines = append(append(lines, s.stageLines()[len(spec.Data):]...), s.gateLines()...)
	if err := s.unlock(); errors.Is(err, ErrLocked) && s.locked == nil {
		return append(lines, s.lang.Text("study.check-closed")), nil
	} else if err != nil {
		return lines, err
	}
	for i := range spec.Analyses {
		a := &spec.Analyses[i]
		err := a.ask().dry(s, a)
		if not, ok := refusable(err); ok {
			r := s.refusedOf(a.Name, not, err)
			lines = append(lines, s.lang.Text("study.refused-ahead", "name", r.Analysis, "why", r.Why, "fix", r.Fix))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("analysis %s: %w", a.Name, cohortError(err)))
		}
	}
	return lines, errors.Join(errs...)
}
