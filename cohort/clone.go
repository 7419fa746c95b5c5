package cohort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// How the strategy "start within the grace period" starts ([CloneSpec.Initiation]).
const (
	NaturalInitiation = "natural" // as people do, and in the last month of grace at the latest
	UniformInitiation = "uniform" // in a month of grace drawn by lot, each with the same probability
)

// CloneSpec is how clones are weighted.
type CloneSpec struct {
	CensorSpec `yaml:",inline"`
	Initiation string `yaml:"initiation,omitempty"` // natural (default) or uniform
}

// Check lists what is wrong with the options, given the timing.
func (s CloneSpec) Check(t Timing) []error {
	errs := s.CensorSpec.Check(t.FollowUp)
	for _, err := range oneOf("initiation", s.Initiation, NaturalInitiation, UniformInitiation) {
		errs = append(errs, fmt.Errorf("%w: %w", ErrOption, err))
	}
	if s.Stabilised {
		errs = append(errs, fmt.Errorf("%w: stabilised: weights of clones are those of their strategy", ErrOption))
	}
	if s.Horizon > 0 && s.Horizon < t.Grace {
		errs = append(errs, fmt.Errorf("%w: horizon: it must not be before the end of the grace period of %d months", ErrOption, t.Grace))
	}
	return errs
}

// Cloned is a cohort of clones: two rows a unit, one for each strategy.
type Cloned struct {
	// Table has, for each unit in turn, the clone that is to start within the grace period
	// (participant true) and the one that is not to (false): the columns of the design,
	// and the outcomes, missing where the clone's follow-up was ended before. The column
	// unit has the ending "/start" or "/not"; errors are to be clustered on person.
	Table    *table.Table
	Paths    *Paths
	Censored            // weights by clone and month
	Strategy [2]string  // in words: of the clones that are to start, and of those that are not
	ESSOf    [2]float64 // effective sample size at the horizon, the same way; ESS is the smaller
}

// Clone makes clones of all units of a design with [GracePeriod] g = Timing.Grace: one
// that follows "start in one of the months 0 … g-1", one that follows "do not start in
// them" (or, with [LaterCensors], "do not start within the follow-up"). A clone's
// follow-up ends when its person does what its strategy forbids: that of the first kind
// in month g-1 if the person could have started in it and had not, that of the second
// in the month of the start. No clone is one of a group because of what comes later, so
// that there is no immortal time.
//
// Those who are left in month m are weighted. With p(k) the probability of a start in
// month k for those who have not started, as in [Opened.Censor] but from k = 0 and over
// all units,
//
//	not to start:       w(m) = Π_{k≤m} 1/(1 - p(k)), over months in which it is forbidden
//	to start, natural:  w(m) = 1, and from m = g-1 on 1/p(g-1) for those who start in it
//	to start, uniform:  w(m) = (1/g) / (p(s) Π_{k<s} (1 - p(k))) from the start s on; before
//	                    it, with d = min(m+1, months at risk), (1 - d/g) / Π_{k<d} (1 - p(k))
//
// A person whom death or another absorbing state keeps from starting follows both
// strategies. With small p(g-1) natural initiation rests on the few who start in the
// last month; uniform uses all who start within the grace period.
//
// The effect is on all units (ate). Assumption: starting is as good as random given x(k).
// Errors as in [Opened.Censor], [ErrNoTreated] where nobody starts within the grace
// period, [ErrNoSupport] where with natural initiation nobody does in its last month. Errors of a weighted difference are to be clustered on persons. Stabilised
// weights are refused: each strategy has its own. Sources: Cain, Robins, Lanoy, Logan,
// Costagliola and Hernán (2010), Int. J. Biostat. 6(2):18; Hernán and Robins (2016).
// Registry: cohort/METHODS.md, "Grace periods".
func (o *Opened) Clone(ctx context.Context, spec CloneSpec, workers int) (*Cloned, error) {
	t := o.b.timing
	if t.design() != GracePeriod {
		return nil, fmt.Errorf("%w: clones need design: %s, in which everybody eligible is there whatever the person does then", ErrOption, GracePeriod)
	}
	if errs := spec.Check(t); len(errs) > 0 {
		return nil, joined(errs)
	}
	m, err := o.startModel(ctx, spec.CensorSpec, 0, o.lastForbidden(spec), func(int) bool { return true }, workers)
	if err != nil {
		return nil, err
	}
	c := &Cloned{Censored: *m.result(), Strategy: [2]string{
		fmt.Sprintf("start within %d months", t.Grace), fmt.Sprintf("do not start within %d months", t.Grace),
	}}
	if t.later() == LaterCensors {
		c.Strategy[1] = "do not start within the follow-up"
	}
	if err := o.weighClones(c, m, spec); err != nil {
		return nil, err
	}
	return c, o.cloneTable(c, workers)
}

// lastForbidden is the last month in which a start, or none, is against a strategy.
func (o *Opened) lastForbidden(spec CloneSpec) int {
	if o.b.timing.later() == LaterCensors {
		return spec.horizon(o.b.timing.FollowUp)
	}
	return o.b.timing.Grace - 1
}

// weighClones fills the weights of clones 2u (to start) and 2u+1 (not to).
func (o *Opened) weighClones(c *Cloned, m *startModel, spec CloneSpec) error {
	g, width := o.b.timing.Grace, c.Horizon+1
	c.Weight = make([]float64, 2*len(o.Units)*width)
	var left [2][]float64
	started, last, starters := 0, 0, 0 // within the grace period; at risk in its last month, and starting in it
	for u := range o.Units {
		start, not := c.Weight[2*u*width:(2*u+1)*width], c.Weight[(2*u+1)*width:(2*u+2)*width]
		s := o.Start[u]
		started += arm(s >= 0 && s < g)
		free, w := 1.0, 1.0 // Π(1-p) so far; the weight of the clone that is to start
		for k := range width {
			p, atRisk := m.at(u, k)
			if k == g-1 && atRisk {
				last++
				starters += arm(k == s)
			}
			if k < g && (s < 0 || k <= s) && atRisk {
				w = startWeight(spec.Initiation, g, k, p, free, k == s)
			}
			if atRisk {
				free *= 1 - p
			}
			start[k], not[k] = w, 1/free
			if s >= 0 && k >= s && s <= m.last {
				not[k] = 0
			}
		}
		for k, w := range []float64{start[width-1], not[width-1]} {
			if w > 0 {
				left[k] = append(left[k], w)
			}
		}
	}
	switch {
	case started == 0 || len(left[0]) == 0:
		return fmt.Errorf("%w: nobody starts within the grace period of %d months", ErrNoTreated, g)
	case len(left[1]) == 0:
		return fmt.Errorf("%w: everybody starts in the months in which the other strategy forbids it", ErrNoControls)
	case last > 0 && starters == 0 && spec.Initiation != UniformInitiation:
		return fmt.Errorf("%w: nobody starts in the last month of grace, so that nobody can stand for those who then have to; take another grace period, or initiation: uniform", ErrNoSupport)
	}
	c.ESSOf = [2]float64{effectiveSize(left[0]), effectiveSize(left[1])}
	c.ESS, c.Max = min(c.ESSOf[0], c.ESSOf[1]), max(slices.Max(left[0]), slices.Max(left[1]))
	share := min(c.ESSOf[0]/float64(len(left[0])), c.ESSOf[1]/float64(len(left[1])))
	c.Notes = append(c.Notes, table.Note{
		Code: "clone-weights",
		Text: fmt.Sprintf("clones whose follow-up ended because of what their person did are made up for by weights: the largest is %.1f, and those left at the horizon count as no less than %.0f per cent of their number in either strategy", c.Max, 100*share),
		Args: map[string]any{"max": math.Round(10*c.Max) / 10, "share": share},
	})
	return nil
}

// startWeight is the weight in month k, at risk, of a clone that is to start within g
// months: f(k)/P(k) with f the strategy's probability of what the person has done so far
// and P the person's own; free is the probability of not having started before k.
func startWeight(initiation string, g, k int, p, free float64, starts bool) float64 {
	if initiation == UniformInitiation {
		if starts {
			return 1 / float64(g) / (p * free)
		}
		return float64(g-1-k) / float64(g) / (free * (1 - p))
	}
	switch {
	case k < g-1:
		return 1
	case starts:
		return 1 / p
	}
	return 0
}

// cloneTable writes the rows of the clones, with outcomes from the paths that are left.
func (o *Opened) cloneTable(c *Cloned, workers int) error {
	n := len(o.Units)
	rows := make([]int, 2*n)
	for i := range rows {
		rows[i] = o.Units[i/2]
	}
	clones := o.b.Table.Take(rows)
	names, _, err := clones.Text(UnitColumn)
	if err != nil {
		return err
	}
	unit, strategy := make([]string, 2*n), make([]bool, 2*n)
	for i, name := range names {
		unit[i], strategy[i] = name+"/not", i%2 == 0
		if strategy[i] {
			unit[i] = name + "/start"
		}
	}
	for _, col := range []table.Column{
		table.NewText(table.Field{Name: UnitColumn, Role: table.UnitRole}, unit, nil),
		table.NewBoolean(table.Field{Name: ParticipantColumn, Role: table.TreatmentRole}, strategy, nil),
	} {
		if clones, err = clones.With(col); err != nil {
			return err
		}
	}
	own := make([]int, 2*n)
	for i := range own {
		own[i] = i / 2
	}
	c.Paths = o.Paths.Take(own)
	width := c.Paths.Before + c.Paths.After
	num.ForChunks(2*n, workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			code := c.Paths.Code[i*width+c.Paths.Before : (i+1)*width]
			for m := range code {
				// After the horizon there are no weights, so that there is nothing to be seen.
				if m > c.Horizon || c.At(i, m) == 0 {
					code[m] = -1
				}
			}
		}
	})
	c.Table, err = withOutcomes(clones, c.Paths, o.outcomes)
	return err
}

// checkGrace lists what is wrong with the grace period.
func (t Timing) checkGrace() []error {
	var errs []error
	switch {
	case t.design() != GracePeriod && t.Grace != 0:
		errs = append(errs, fmt.Errorf("grace: it belongs to design: %s", GracePeriod))
	case t.design() == GracePeriod && (t.Grace < 1 || t.Grace > max(t.FollowUp, 1)):
		errs = append(errs, errors.New("grace: give the months within which a start counts, from 1 to the follow-up"))
	}
	return errs
}
