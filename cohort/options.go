package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

// The distances that [Nearest] matches on.
const (
	LogitDistance             = "logit"              // |p - p'| of the propensity score
	LinearLogitDistance       = "linear-logit"       // |x'β - x''β| of its linear predictor
	MahalanobisDistance       = "mahalanobis"        // of the covariates, pooled within-group covariance
	RobustMahalanobisDistance = "robust-mahalanobis" // of their ranks
	EuclideanDistance         = "euclidean"          // of the covariates, each over its pooled within-group SD
)

// The orders in which [Nearest] serves the units.
const (
	LargestOrder  = "largest"  // descending score
	SmallestOrder = "smallest" // ascending score
	DataOrder     = "data"     // rows as they are
	ClosestOrder  = "closest"  // the pair with the smallest distance first
	RandomOrder   = "random"   // keyed hash of the seed and the id
)

// The tie rules of [Nearest].
const (
	HashTies = "hash" // ascending keyed hash of the id
	DataTies = "data" // first in the data
)

// Estimands that a design aims at.
const (
	ATT = "att" // effect on the treated
	ATC = "atc" // effect on the untreated
	ATE = "ate" // effect on all
	ATM = "atm" // effect on the units that found a match
)

// MatchSpec is a matching design as a study file or a command line states it. Of which method
// an option is says [Uses].
// Caliper, CaliperRaw and CaliperScore are pointers so that a width of 0 is an error
// and not the absence of a caliper, Tolerance so that 0 is not its default.
type MatchSpec struct {
	Method       string             `yaml:"method,omitempty"`        // one of [MatchMethods]; "nearest" if absent
	Distance     string             `yaml:"distance,omitempty"`      // "logit" (default without a score column), "linear-logit", "mahalanobis", "robust-mahalanobis", "euclidean"
	Ratio        int                `yaml:"ratio,omitempty"`         // most partners per unit; 0 = 1
	Replace      bool               `yaml:"replace,omitempty"`       // a partner may serve several units
	Caliper      *float64           `yaml:"caliper,omitempty"`       // widest distance, in SD of the score over all units
	CaliperRaw   *float64           `yaml:"caliper_raw,omitempty"`   // widest distance, in its own units
	CaliperOn    map[string]float64 `yaml:"caliper_on,omitempty"`    // widest difference in a column, in its units
	CaliperScore *float64           `yaml:"caliper_score,omitempty"` // widest difference in the score, in its SD, when the distance is another
	Exact        []string           `yaml:"exact,omitempty"`         // columns on which partners must be equal
	Order        string             `yaml:"order,omitempty"`         // see [Nearest.Order]
	Ties         string             `yaml:"ties,omitempty"`          // see [Nearest.Ties]
	Estimand     string             `yaml:"estimand,omitempty"`      // "att" (default) or "atc"
	Seed         uint64             `yaml:"seed,omitempty"`          // key of ties and of the random order

	MinControls float64               `yaml:"min_controls,omitempty"` // see [Full.MinControls]
	MaxControls float64               `yaml:"max_controls,omitempty"` // see [Full.MaxControls]
	Subclasses  int                   `yaml:"subclasses,omitempty"`   // 0 = 6
	Bins        map[string]Coarsening `yaml:"cutpoints,omitempty"`    // by covariate; the others have Sturges' bins
	PairWithin  bool                  `yaml:"pair_within,omitempty"`  // see [CEM.PairWithin], [Cardinality.PairWithin]
	Tolerance   *float64              `yaml:"tolerance,omitempty"`    // of means, in SD; nil = 0.05; 0 = equal means
	ToleranceOn map[string]float64    `yaml:"tolerance_on,omitempty"` // by covariate, instead of Tolerance
}

// Width makes a caliper of a number.
func Width(w float64) *float64 { return &w }

// Nearest returns the design of method nearest; every problem, another method among them,
// is in the error.
func (s MatchSpec) Nearest() (Nearest, error) {
	errs := s.Check()
	if s.Method != "" && s.Method != NearestMethod && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%w: method %s where method nearest alone is %w", ErrOption, s.Method, ErrNotBuilt))
	}
	if len(errs) > 0 {
		return Nearest{}, joined(errs)
	}
	return s.nearest(), nil
}

func (s MatchSpec) nearest() Nearest {
	value := func(p *float64) float64 {
		if p == nil || !(*p > 0) { // Check has its own words for these
			return 0
		}
		return *p
	}
	return Nearest{
		Distance: s.Distance, Ratio: s.Ratio, Replace: s.Replace,
		Caliper: value(s.Caliper), CaliperRaw: value(s.CaliperRaw), CaliperOn: s.CaliperOn, CaliperScore: value(s.CaliperScore),
		Exact: s.Exact, Order: s.Order, Ties: s.Ties, Estimand: s.Estimand, Seed: s.Seed,
	}
}

// joined makes one error of several: the first carries what errors.Is finds.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	format := make([]string, len(errs))
	args := make([]any, len(errs))
	for i, e := range errs {
		format[i], args[i] = "%w", e
	}
	return fmt.Errorf(strings.Join(format, "; "), args...)
}

// metric reports whether the distance is one of the covariates and not of a score.
func (m Nearest) metric() bool {
	return m.Distance == MahalanobisDistance || m.Distance == RobustMahalanobisDistance || m.Distance == EuclideanDistance
}

// Check lists every problem with the options, each as an [ErrOption].
func (m Nearest) Check() []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	oneOf := func(what, got string, allowed ...string) {
		if got != "" && !slices.Contains(allowed, got) {
			bad("%s %q does not exist; there are: %s", what, got, strings.Join(allowed, ", "))
		}
	}
	oneOf("distance", m.Distance, LogitDistance, LinearLogitDistance, MahalanobisDistance, RobustMahalanobisDistance, EuclideanDistance)
	oneOf("order", m.Order, LargestOrder, SmallestOrder, DataOrder, ClosestOrder, RandomOrder)
	oneOf("ties", m.Ties, HashTies, DataTies)
	if m.Estimand == ATE {
		bad("nearest-neighbour matching serves one group, so that it cannot aim at the effect on all (ate): use att or atc, or weighting")
	} else {
		oneOf("estimand", m.Estimand, ATT, ATC)
	}
	if m.Ratio < 0 {
		bad("ratio must be at least 1")
	}
	width := func(name string, w float64) {
		if w < 0 || math.IsNaN(w) || math.IsInf(w, 0) {
			bad("%s must be a finite number above 0", name)
		}
	}
	width("caliper", m.Caliper)
	width("caliper-raw", m.CaliperRaw)
	width("caliper-score", m.CaliperScore)
	for _, c := range sortedKeys(m.CaliperOn) {
		if w := m.CaliperOn[c]; !(w > 0) || math.IsInf(w, 0) {
			bad("caliper-on for column %q must be a finite number above 0", c)
		}
	}
	if m.Caliper != 0 && m.CaliperRaw != 0 {
		bad("caliper and caliper-raw are two widths of one distance: give one")
	}
	if m.metric() && m.Caliper != 0 {
		bad("caliper is in SD of a score and the distance is %s: use caliper-score for a score or caliper-raw for the distance", m.Distance)
	}
	if !m.metric() && m.CaliperScore != 0 {
		bad("caliper-score goes with a distance of covariates; with a score as the distance use caliper")
	}
	if m.metric() && m.CaliperScore == 0 && (m.Order == LargestOrder || m.Order == SmallestOrder) {
		bad("order %q is by a score, and %s distance without caliper-score has none: use data, closest or random", m.Order, m.Distance)
	}
	if m.Ties == HashTies && m.Order == DataOrder {
		bad("order data breaks ties by the data; leave ties out")
	}
	for i, c := range m.Exact {
		if slices.Contains(m.Exact[:i], c) {
			bad("column %q is named twice in exact", c)
		}
	}
	return errs
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
