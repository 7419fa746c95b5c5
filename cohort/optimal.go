package cohort

import (
	"context"
	"errors"
	"fmt"

	"utfall/internal/num"
	"utfall/table"
)

// ErrTooLarge says that a design would take more memory or time than is reasonable.
var ErrTooLarge = errors.New("the matching problem is too large")

// Optimal matches each unit of one group (the treated for att, the untreated for atc) to
// Ratio partners of the other, each partner once, so that of all such matchings
//
//	as many units as possible have a partner,
//	then there are as many pairs as possible,
//	then Σ d(i,j) over the pairs is least.
//
// d and the constraints are those of [Nearest]; pairs that break one do not exist. d is
// rounded to a whole number of [Optimum].Unit, and for these numbers the result is exact: the
// prices in Optimum prove it, and [VerifyOptimal] checks the proof against all pairs that keep
// the constraints. Blocks of Exact are solved one by one and in parallel. Which of several
// optima it is depends on the keyed hash of the ids and on nothing else.
//
// In each block a unit is offered its K·m + 1 nearest partners, m the units there: beyond
// them no optimum needs to look. [ErrTooLarge] when a block has more pairs to offer than MaxArcs.
//
// Errors otherwise: those of [Nearest]. Source: Rosenbaum (1989), Optimal Matching for
// Observational Studies, JASA 84. Registry: cohort/METHODS.md#optimal-pairs.
type Optimal struct {
	Distance     string             // see [Nearest]
	Ratio        int                // partners per unit; 0 = 1
	Caliper      float64            // in SD of the score; 0 = none
	CaliperRaw   float64            // in units of the distance; 0 = none
	CaliperOn    map[string]float64 // in the column's units
	CaliperScore float64            // in SD of the score, when the distance is a metric; 0 = none
	Exact        []string           // any columns without missing values
	Estimand     string             // att (default) or atc
	Seed         uint64             // key of the hash by which ties are broken
	MaxArcs      int                // most pairs on offer in one block; 0 = 100 million (3.6 GB)
}

// Optimum proves that an optimal or full matching has the least total distance.
type Optimum struct {
	Unit    float64 // distances are whole numbers of it, a power of two
	Total   float64 // Σ distance over the pairs
	Price   []int64 // by row, in units; see [num.Links.Certify]
	Forfeit []int64 // by row: the cost of a link that is lacking in the block of the row
	Offered int     // pairs that the search could choose from
	Kept    int     // pairs within the blocks that keep all calipers
	Pairs   int     // pairs within the blocks
}

// nearest is the greedy design with the same distance and constraints.
func (m Optimal) nearest() Nearest {
	return Nearest{
		Distance: m.Distance, Ratio: m.Ratio, Caliper: m.Caliper, CaliperRaw: m.CaliperRaw, CaliperOn: m.CaliperOn, CaliperScore: m.CaliperScore,
		Exact: m.Exact, Order: RandomOrder, Estimand: m.Estimand, Seed: m.Seed,
	}
}

// Check lists every problem with the options, each as an [ErrOption].
func (m Optimal) Check() []error {
	if m.Estimand == ATE {
		e := m
		e.Estimand = ""
		return append(e.Check(), fmt.Errorf("%w: optimal pairs serve one group, so that they cannot aim at the effect on all (ate): use full matching or weighting", ErrOption))
	}
	errs := m.nearest().Check()
	if m.MaxArcs < 0 {
		errs = append(errs, fmt.Errorf("%w: max arcs must be at least 1", ErrOption))
	}
	return errs
}

// Match runs the design on all rows of the table.
func (m Optimal) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	if errs := append(m.Check(), m.nearest().checkSpec(d)...); len(errs) > 0 {
		return nil, joined(errs)
	}
	j, err := m.nearest().prepare(ctx, t, d)
	if err != nil {
		return nil, err
	}
	focal, pool := j.split()
	f := newOffers(j, focal, pool, m.MaxArcs)
	f.most = func(units int) int { return j.Ratio*units + 1 }
	if err := f.solve(ctx, num.Degree{Min: j.Ratio, Max: j.Ratio}, num.Degree{Max: 1}); err != nil {
		return nil, err
	}
	j.blockNotes(focal, pool)
	links := f.links()
	if len(links) == 0 {
		return nil, f.noSupport()
	}
	j.out.Counts.Treated, j.out.Counts.Control, j.out.Counts.Blocks = j.u.count, j.u.n-j.u.count, j.blocks
	j.out.Estimand = j.Estimand
	j.number(links)
	j.weigh(links)
	j.matchNotes() // before the calipers are told, whose notes are those of a greedy choice
	f.finish()
	if err := VerifyOptimal(t, d, m, j.out); err != nil {
		return nil, err
	}
	return j.out, ctx.Err()
}

// prepare reads the table up to the point where ties are broken and partners chosen.
func (m Nearest) prepare(ctx context.Context, t *table.Table, d Spec) (*job, error) {
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	j := &job{Nearest: m.defaults(), asked: m.Order, d: d, u: u, out: &Matched{}}
	if err := j.distances(ctx, t); err != nil {
		return nil, err
	}
	if err := j.constraints(t); err != nil {
		return nil, err
	}
	return j, nil
}
