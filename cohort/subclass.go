package cohort

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"utfall/table"
)

// SubclassCuts is the key of the subclasses' cut points in [Matched.Cuts].
const SubclassCuts = "distance"

// Subclass sorts all units into Number subclasses of the score, each with units of
// both groups. The cut points are the quantiles 1/K … (K-1)/K (type 7) of the score in
// the treated (att), the untreated (atc) or all (ate); subclass k is [q_{k-1}, q_k),
// the first and the last open outwards. Nobody is left out; weights as in [Matched].
//
// Subclasses that nobody is in are taken away (note fewer-subclasses). Where a
// subclass lacks a group, one unit at a time is moved into it from the nearest
// subclass that has some, on the side on which more units of the group are near
// (Σ over the subclasses there of (units - 1) / distance, the left at equality): that
// with the largest score from the left, with the smallest from the right. Of equal
// scores that with the smallest (KeyedHash(Seed, id), id) moves, or with Ties data the
// first row. This is the rule of MatchIt with min.n = 1, where the first row moves.
//
// Errors: those of [Propensity]; [ErrNoSupport] when a group has fewer units than
// there are subclasses. Source: Rosenbaum and Rubin (1984), JASA 79. Registry:
// cohort/METHODS.md#subclassification.
type Subclass struct {
	Number   int    // subclasses, ≥ 2; 0 = 6
	Distance string // "logit" (default) or "linear-logit", or the score column where Spec has one
	Ties     string // hash (default) or data
	Estimand string // att (default), atc or ate
	Seed     uint64 // key of ties
}

// Check lists every problem with the options, each as an [ErrOption].
func (m Subclass) Check() []error {
	errs := checkCellEstimand(m.Estimand)
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if m.Number != 0 && m.Number < 2 {
		bad("there must be at least 2 subclasses")
	}
	if m.Distance != "" && m.Distance != LogitDistance && m.Distance != LinearLogitDistance {
		bad("subclasses are of a score: distance %q is not logit or linear-logit", m.Distance)
	}
	if m.Ties != "" && m.Ties != HashTies && m.Ties != DataTies {
		bad("ties %q does not exist; there are: hash, data", m.Ties)
	}
	if m.Ties == DataTies && m.Seed != 0 {
		bad("the seed is of ties by hash, and ties data has none")
	}
	return errs
}

func (m Subclass) checkSpec(d Spec) []error {
	var errs []error
	switch {
	case d.Score != "" && m.Distance != "":
		errs = append(errs, fmt.Errorf("%w: distance %q is estimated from covariates, and the score column %q is another: give one", ErrOption, m.Distance, d.Score))
	case d.Score == "" && len(d.Covariates) == 0:
		errs = append(errs, fmt.Errorf("%w: subclasses need covariates or a score column", ErrOption))
	}
	return errs
}

// Match runs the design on all rows of the table.
func (m Subclass) Match(ctx context.Context, t *table.Table, d Spec) (*Matched, error) {
	if errs := slices.Concat(m.Check(), m.checkSpec(d)); len(errs) > 0 {
		return nil, joined(errs)
	}
	if m.Number == 0 {
		m.Number = 6
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	s := newStrata(u, d, m.Estimand)
	if err := m.score(ctx, t, s); err != nil {
		return nil, err
	}
	cuts := m.cuts(s)
	s.out.Cuts = map[string][]float64{SubclassCuts: cuts}
	s.out.Set = make([]int, u.n)
	used := make([]int, len(cuts)+1)
	for i, v := range s.out.Score {
		s.out.Set[i] = binOf(cuts, v)
		used[s.out.Set[i]]++
	}
	number := 0
	for k, n := range used {
		if n > 0 {
			number++
		}
		used[k] = number
	}
	for i, k := range s.out.Set {
		s.out.Set[i] = used[k]
	}
	s.cells = number
	if number < m.Number {
		s.note("fewer-subclasses", fmt.Sprintf("Too few different scores lie between the cut points: %d subclasses instead of %d.", number, m.Number),
			map[string]any{"n": number, "asked": m.Number})
	}
	if least := min(u.count, u.n-u.count); least < number {
		return nil, fmt.Errorf("%w: a group with %d units cannot be in each of %d subclasses", ErrNoSupport, least, number)
	}
	if s.out.Moved = m.fill(s, number); s.out.Moved > 0 {
		s.note("subclass-filled", fmt.Sprintf("%d units were moved to a neighbouring subclass so that each has both groups: the groups hardly overlap there.", s.out.Moved),
			map[string]any{"n": s.out.Moved})
	}
	s.finish(number)
	if err := VerifySubclass(t, d, m, s.out); err != nil {
		return nil, err
	}
	return s.out, ctx.Err()
}

func (m Subclass) score(ctx context.Context, t *table.Table, s *strata) error {
	if s.d.Score != "" {
		c, problem := readCovariate(t, s.d.Score, false)
		switch {
		case problem != "":
			return fmt.Errorf("%w: score: %s", ErrCovariate, problem)
		case c.codes != nil:
			return fmt.Errorf("%w: score: column %q is not of numbers", ErrCovariate, s.d.Score)
		}
		s.out.Score, s.out.ScoreName = c.values, s.d.Score
		return nil
	}
	fit, err := Propensity{Covariates: s.d.Covariates, Categorical: s.d.Categorical}.fit(ctx, t, s.d, s.u)
	if err != nil {
		return err
	}
	s.out.Propensity = fit
	s.out.Score, s.out.ScoreName = fit.Score, LogitDistance
	if m.Distance == LinearLogitDistance {
		s.out.Score, s.out.ScoreName = fit.Linear, LinearLogitDistance
	}
	return nil
}

// cuts returns the different inner quantiles.
func (m Subclass) cuts(s *strata) []float64 {
	var of []float64
	for i, v := range s.out.Score {
		if s.aim == ATE || s.u.treated[i] == (s.aim == ATT) {
			of = append(of, v)
		}
	}
	slices.Sort(of)
	var out []float64
	for k := 1; k < m.Number; k++ {
		out = append(out, quantile7(of, k, m.Number))
	}
	return slices.Compact(out)
}

// fill moves units until every subclass has both groups, and counts those whose
// subclass is another in the end.
func (m Subclass) fill(s *strata, number int) int {
	set, before := s.out.Set, slices.Clone(s.out.Set)
	place := s.u.tiesBy(m.Ties, m.Seed, s.d.Workers)
	for a := range 2 {
		members := make([][]int32, number+1)
		for i, k := range set {
			if arm(s.u.treated[i]) == a {
				members[k] = append(members[k], int32(i))
			}
		}
		for empty := firstEmpty(members); empty > 0; empty = firstEmpty(members) {
			from, largest := donor(members, empty)
			row := extreme(members[from], s.out.Score, place, largest)
			members[from] = slices.DeleteFunc(members[from], func(r int32) bool { return r == row })
			members[empty] = append(members[empty], row)
			set[row] = empty
		}
	}
	moved := 0
	for i := range set {
		if set[i] != before[i] {
			moved++
		}
	}
	return moved
}

func firstEmpty(members [][]int32) int {
	for k := 1; k < len(members); k++ {
		if len(members[k]) == 0 {
			return k
		}
	}
	return 0
}

// donor is the nearest subclass with members on the fuller side of the empty one.
func donor(members [][]int32, empty int) (from int, largest bool) {
	near := func(lo, hi int) (sum float64) {
		for k := lo; k < hi; k++ {
			gap := k - empty
			if gap < 0 {
				gap = -gap
			}
			sum += float64(max(len(members[k])-1, 0)) / float64(gap)
		}
		return sum
	}
	last := len(members) - 1
	if empty == last || empty > 1 && near(1, empty) >= near(empty+1, last+1) {
		for from = empty - 1; len(members[from]) == 0; from-- {
		}
		return from, true
	}
	for from = empty + 1; len(members[from]) == 0; from++ {
	}
	return from, false
}

// extreme is the member with the largest or the smallest score, ties by place.
func extreme(rows []int32, score []float64, place ties, largest bool) int32 {
	return slices.MinFunc(rows, func(a, b int32) int {
		c := cmp.Compare(score[a], score[b])
		if largest {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(place.of(a), place.of(b)))
	})
}
