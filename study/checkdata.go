package study

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"utfall/internal/lang"
)

// Check reads every data file of the study and builds its cohorts, and says what it
// found. Nothing is written. All data files are read even when one of them fails, so
// that every problem is in the error.
func Check(ctx context.Context, spec *Spec, o Options) ([]string, error) {
	l, err := lang.Parse(or(o.Lang, spec.Language))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	s := &state{ctx: ctx, spec: spec, o: o, lang: l, policy: spec.Disclosure.Policy(), cohorts: map[string]*built{}, data: map[string]*dataset{}}
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
	if s.truth, err = s.loadTruth(); err != nil {
		return lines, err
	}
	if err := s.checkTruth(); err != nil {
		return lines, err
	}
	if err := s.buildCohorts(); err != nil {
		return lines, err
	}
	return append(lines, s.stageLines()[len(spec.Data):]...), nil
}
