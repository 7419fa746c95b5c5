package study

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"utfall/estimate"
)

// truths is the file beside a simulated register that says what was put in.
type truths struct {
	root  any
	bytes int64
	sum   string
}

// loadTruth reads the known truth, where the study has one.
func (s *state) loadTruth() (*truths, error) {
	if s.spec.KnownTruth == "" {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(s.o.DataDir, s.spec.KnownTruth))
	if err != nil {
		return nil, fmt.Errorf("%w: known_truth: %w", ErrInput, err)
	}
	t := &truths{bytes: int64(len(b)), sum: digest(b)}
	if err := json.Unmarshal(b, &t.root); err != nil {
		return nil, fmt.Errorf("%w: known_truth: %w", ErrInput, err)
	}
	return t, nil
}

// at follows a path of keys, "study_population.overall.work_24". In a list of objects
// with a "key", the segment is that key.
func (t *truths) at(path string) (float64, bool) {
	if t == nil {
		return 0, false
	}
	v := t.root
	for _, seg := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[seg]
		case []any:
			v = keyed(x, seg)
		default:
			return 0, false
		}
	}
	f, ok := v.(float64)
	return f, ok
}

func keyed(list []any, key string) any {
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			if k, ok := m["key"].(float64); ok && strconv.FormatFloat(k, 'f', -1, 64) == key {
				return m
			}
		}
	}
	return nil
}

// truthOf is the known truth of a term of an analysis, if the study file points to one.
func (s *state) truthOf(a *Analysis, term string) (float64, bool) {
	if path, ok := a.Truth[term]; ok {
		return s.truth.at(path)
	}
	if e, ok := strings.CutPrefix(term, "event="); ok {
		if path, has := a.Truth["event"]; has {
			return s.truth.at(path + "." + e + ".effect")
		}
	}
	return 0, false
}

// knownEvents are the true effects by event time, drawn beside the estimates.
func (s *state) knownEvents(r *analysisResult, es []estimate.Estimate) map[int]float64 {
	out := map[int]float64{}
	for _, e := range es {
		if v, ok := s.truthOf(r.spec, e.Term); ok {
			event, err := strconv.Atoi(strings.TrimPrefix(e.Term, "event="))
			if err == nil {
				out[event] = v
			}
		}
	}
	return out
}

// checkTruth tests that every path the study file names leads to a number.
func (s *state) checkTruth() error {
	for i := range s.spec.Analyses {
		a := &s.spec.Analyses[i]
		for _, term := range sortedKeys(a.Truth) {
			if term == "event" {
				continue
			}
			if _, ok := s.truth.at(a.Truth[term]); !ok {
				return fmt.Errorf("%w: analysis %s: truth: %q leads to no number in %s", ErrSpec, a.Name, a.Truth[term], s.spec.KnownTruth)
			}
		}
	}
	return nil
}
