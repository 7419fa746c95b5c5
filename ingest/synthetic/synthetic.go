// Package synthetic writes a Swedish-like register whose true effects are known,
// because every participant is simulated with and without participation.
//
// The numbers that drive the simulation are chosen so that the register resembles
// what has been published about coordinated rehabilitation in Sweden; the effects
// are chosen, not found. METHODS.md beside this file says which is which.
package synthetic

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrOptions is wrapped by every error about [Options]; ErrExists by the refusal to overwrite a folder.
var (
	ErrOptions = errors.New("synthetic register")
	ErrExists  = errors.New("output folder already holds files")
)

// The defaults and bounds of [Options].
const (
	DefaultPeople   = 50_000
	DefaultYears    = 10
	DefaultScenario = "finsam"

	FirstYear = 2010 // the register starts in January of this year
	minYears  = 5    // 24 months of history, a year of intake, 24 months of follow-up
	maxYears  = 30
	maxPeople = 9_999_999 // a person is P and seven digits
)

// Options says what to simulate. The zero value is the default register.
type Options struct {
	People   int    // number of people, 1 to 9,999,999; 0 means 50,000
	Years    int    // calendar years from 2010, 5 to 30; 0 means 10 (2010-01 to 2019-12)
	Seed     uint64 // the register is a function of Options without Workers; 0 is a seed like any other
	Scenario string // one of Scenarios(); "" means "finsam"
	Dirty    bool   // also write the defects of METHODS.md §10; the truth stays that of the clean register
	Workers  int    // people simulated at a time; < 1 means all processors. Never changes a byte
}

// Scenarios returns the names that Options.Scenario accepts, the default first.
func Scenarios() []string {
	out := make([]string, len(scenarios))
	for i, s := range scenarios {
		out[i] = s.name
	}
	return out
}

// Check says what is wrong with o, all of it at once.
func (o Options) Check() error {
	var errs []error
	if o.People < 0 || o.People > maxPeople {
		errs = append(errs, fmt.Errorf("%w: people is %d, allowed is 1 to %d", ErrOptions, o.People, maxPeople))
	}
	if o.Years != 0 && (o.Years < minYears || o.Years > maxYears) {
		errs = append(errs, fmt.Errorf("%w: years is %d, allowed is %d to %d", ErrOptions, o.Years, minYears, maxYears))
	}
	if _, ok := findScenario(o.withDefaults().Scenario); !ok {
		errs = append(errs, fmt.Errorf("%w: unknown scenario %q, allowed are %s", ErrOptions, o.Scenario, strings.Join(Scenarios(), ", ")))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.People == 0 {
		o.People = DefaultPeople
	}
	if o.Years == 0 {
		o.Years = DefaultYears
	}
	if o.Scenario == "" {
		o.Scenario = DefaultScenario
	}
	return o
}

// Write simulates the register and writes it into the new folder dir: people.csv,
// spells.csv, participations.csv, assessments.csv, anonymous.csv,
// municipalities.csv, costs.csv, ladder.yaml and truth.json. The CSV files are in
// the Swedish normal form: semicolon, decimal comma, Windows-1252, CRLF-free lines.
//
// The files are written into a folder beside dir that is renamed to dir at the
// end, so that dir never holds half a register. Write returns [ErrExists] if dir
// exists and is not an empty folder, and ctx's error if ctx ends first; in both
// cases, and after any other error, nothing is left behind.
//
// progress, if not nil, is called from one goroutine at a time with the number of
// people written so far and the number in all.
func Write(ctx context.Context, dir string, o Options, progress func(done, total int)) (*Truth, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	var truth *Truth
	err := inFolder(dir, func(tmp string) error {
		var err error
		truth, err = writeRegister(ctx, tmp, o, progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	return truth, nil
}
