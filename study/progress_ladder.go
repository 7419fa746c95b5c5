package study

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v4"

	"utfall/estimate/progress"
)

// Ladder is a ladder file: which states are on which step, who decided it and when. It is
// a file of its own because others than those who evaluate decide on it.
type Ladder struct {
	Name           string                    `yaml:"name"`
	DecidedBy      string                    `yaml:"decided_by"`
	DecidedOn      string                    `yaml:"decided_on"`               // a date, 2025-03-01
	Steps          map[string]int            `yaml:"steps"`                    // state → step, more is better
	Labels         map[int]Text              `yaml:"labels,omitempty"`         // what the steps are called
	Absorbing      []string                  `yaml:"absorbing,omitempty"`      // states that nobody leaves
	Administrative []int                     `yaml:"administrative,omitempty"` // steps on which the programme itself places people
	Orders         map[string]map[string]int `yaml:"orders,omitempty"`         // other orders: the states that stand elsewhere in them
	Authorities    map[string]string         `yaml:"authorities,omitempty"`    // state → who answers for the person; nobody = between the chairs

	file   string
	digest string
	bytes  int64
}

var dateRule = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$`)

// readLadder reads a ladder file. Unknown keys and more than one document are errors.
func readLadder(name string, b []byte) (*Ladder, error) {
	if len(b) > maxSpecBytes {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrSpec, name, maxSpecBytes)
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: %s is empty", ErrSpec, name)
		}
		return nil, &SpecError{yamlProblems(name, err)}
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %s holds more than one document (---)", ErrSpec, name)
	}
	if p := plain(&doc, 0); p != nil {
		p.File = name
		return nil, &SpecError{[]Problem{*p}}
	}
	l := &Ladder{file: name, digest: digest(b), bytes: int64(len(b))}
	strict := yaml.NewDecoder(bytes.NewReader(b))
	strict.KnownFields(true)
	if err := strict.Decode(l); err != nil {
		return nil, &SpecError{yamlProblems(name, err)}
	}
	c := &checker{file: name, doc: &doc}
	l.check(c)
	if len(c.out) > 0 {
		return nil, &SpecError{c.out}
	}
	return l, nil
}

func (l *Ladder) check(c *checker) {
	if l.Name == "" {
		c.add(nil, "name: a ladder needs a name")
	}
	if l.DecidedBy == "" {
		c.add(nil, "decided_by: say who decided the order of the steps")
	}
	if !dateRule.MatchString(l.DecidedOn) {
		c.add([]any{"decided_on"}, "decided_on: give the date as 2025-03-01")
	}
	steps := l.values()
	if len(steps) < 2 {
		c.add([]any{"steps"}, "steps: a ladder needs states on at least two steps")
	}
	for _, k := range sortedSteps(l.Labels) {
		c.text([]any{"labels", k}, l.Labels[k])
		if !slices.Contains(steps, k) {
			c.add([]any{"labels", k}, "labels: no state is on step %d", k)
		}
	}
	for i, name := range l.Absorbing {
		if _, ok := l.Steps[name]; !ok {
			c.add([]any{"absorbing", i}, "absorbing: the state %q has no step", name)
		}
	}
	for i, k := range l.Administrative {
		if !slices.Contains(steps, k) {
			c.add([]any{"administrative", i}, "administrative: no state is on step %d", k)
		}
		if slices.Contains(l.Administrative[:i], k) {
			c.add([]any{"administrative", i}, "administrative: step %d is named twice", k)
		}
	}
	for _, state := range sortedKeys(l.Authorities) {
		if _, ok := l.Steps[state]; !ok {
			c.add([]any{"authorities", state}, "authorities: the state %q has no step", state)
		}
		if l.Authorities[state] == "" {
			c.add([]any{"authorities", state}, "authorities: name who answers for a person in %q, or write nobody", state)
		}
	}
	for _, order := range sortedKeys(l.Orders) {
		if !nameRule.MatchString(order) {
			c.add([]any{"orders", order}, "orders: name %q: use small letters a-z, digits and hyphens", order)
		}
		moved := 0
		for _, state := range sortedKeys(l.Orders[order]) {
			to := l.Orders[order][state]
			switch from, ok := l.Steps[state]; {
			case !ok:
				c.add([]any{"orders", order, state}, "orders: the state %q has no step", state)
			case from != to:
				moved++
			}
		}
		if moved == 0 {
			c.add([]any{"orders", order}, "orders: %q is the ladder itself: name the states that stand elsewhere", order)
		}
	}
}

// values are the steps, lowest first.
func (l *Ladder) values() []int {
	var out []int
	for _, k := range l.Steps {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

func sortedSteps[V any](m map[int]V) []int {
	out := make([]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// of is the ladder of the states that occur; a state without a step is an error.
func (l *Ladder) of(states []string) (progress.Ladder, error) {
	out := progress.Ladder{}
	for _, name := range states {
		k, ok := l.Steps[name]
		if !ok {
			return nil, fmt.Errorf("%w: %s: the state %q occurs and has no step: give it one", ErrSpec, l.file, name)
		}
		out[name] = k
	}
	return out, nil
}

// orders are the declared other orders of the states that occur, those left out that do not differ for them.
func (l *Ladder) orders(states []string) (map[string]progress.Ladder, error) {
	main, err := l.of(states)
	if err != nil {
		return nil, err
	}
	out := map[string]progress.Ladder{}
	for _, name := range sortedKeys(l.Orders) {
		alt, differs := progress.Ladder{}, false
		for state, k := range main {
			if to, ok := l.Orders[name][state]; ok && to != k {
				k, differs = to, true
			}
			alt[state] = k
		}
		if differs {
			out[name] = alt
		}
	}
	return out, nil
}

// administrative are the states that occur on administrative steps.
func (l *Ladder) administrative(states []string) []string {
	var out []string
	for _, name := range states {
		if slices.Contains(l.Administrative, l.Steps[name]) {
			out = append(out, name)
		}
	}
	return out
}

// nobody stands in a ladder file for a state in which no authority answers for the person.
const nobody = "nobody"

// authority says who answers for a person in each state that occurs. Support of one's own
// and states that nobody leaves need no authority.
func (l *Ladder) authority(states, support []string) (progress.Map, error) {
	out := progress.Map{}
	for _, name := range states {
		who, ok := l.Authorities[name]
		switch {
		case l.Authorities == nil && !slices.Contains(l.Absorbing, name) && !slices.Contains(support, name):
			out[name] = unsaid
		case slices.Contains(l.Absorbing, name):
			out[name] = progress.Left
		case slices.Contains(support, name):
			out[name] = progress.OwnSupport
		case !ok:
			return nil, fmt.Errorf("%w: %s: authorities: say who answers for a person in the state %q, or nobody", ErrSpec, l.file, name)
		case who == nobody:
			out[name] = progress.Nobody
		default:
			out[name] = progress.Authority(who)
		}
	}
	return out, nil
}

// loadLadders reads the ladder files that analyses name.
func (s *state) loadLadders() error {
	for i := range s.spec.Analyses {
		for _, file := range s.spec.Analyses[i].rests().files {
			if s.ladders[file] != nil {
				continue
			}
			b, err := os.ReadFile(filepath.Join(s.o.DataDir, filepath.FromSlash(file)))
			if err != nil {
				return fmt.Errorf("%w: ladder: %w", ErrInput, err)
			}
			l, err := readLadder(file, b)
			if err != nil {
				return err
			}
			if s.ladders == nil {
				s.ladders = map[string]*Ladder{}
			}
			s.ladders[file] = l
		}
	}
	return nil
}

// namesLadder reports whether an analysis reads the ladder of this file.
func (s *Spec) namesLadder(file string) bool {
	return slices.ContainsFunc(s.Analyses, func(a Analysis) bool { return slices.Contains(a.rests().files, file) })
}
