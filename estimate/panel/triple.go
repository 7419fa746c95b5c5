package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// Triple estimates ATT(g,t) by triple differences: in cohort g the eligible are treated and the others are not, and how the two would have grown apart without
// treatment is taken from cohorts that are not treated (yet). A unit may be seen as eligible, as not, or in both parts (a municipality's target group and the rest).
//
// With D(a, b) the two-by-two estimate of [GroupTime] of eligible units of cohort g (a) against others (b), and c a comparison cohort,
//
//	ATT_c(g,t) = D(g eligible, g other) + D(g eligible, c eligible) - D(g eligible, c other)
//
// each with its own propensity and regressions, so that covariates may differ between all four groups; without covariates it is the difference of differences
// of differences of means. Control "never": c the never treated (cohort never enabled). "not-yet": also each cohort after max(t, base) + K by itself, and
//
//	ATT = Σ_c ω[c]·ATT_c,   ω = Ω⁻¹1/(1'Ω⁻¹1), Ω the covariance of the ATT_c
//
// since pooling comparison cohorts, as two-by-two estimates may, is biased here. Influence functions are added up by unit, errors as in [GroupTime]; clusters are units by
// default, both parts together. The result aggregates as [GroupTimeResult], cohorts by their eligible units.
//
// Needs that eligible and other units would have grown apart alike in all cohorts. Source: Olden and Møen (2022), Econometrics J. 25(3); Ortiz-Villavicencio and Sant'Anna (2025),
// arXiv:2505.09942. METHODS.md#triple.
type Triple struct {
	GroupTime
	Eligible []bool // of each row: the part of the unit that is treated from Cohort on
}

// Fit estimates. Cohort is that of the unit, for both of its parts.
//
// Errors: as [GroupTime.Fit]; [ErrOption] for repeated cross-sections; [estimate.ErrNoControls] without units that are not eligible.
func (d Triple) Fit(ctx context.Context, f *Frame) (*GroupTimeResult, error) {
	r, err := d.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("triple difference: %w", err)
	}
	return r, nil
}

func (d Triple) fit(ctx context.Context, f *Frame) (*GroupTimeResult, error) {
	g, err := d.GroupTime.options()
	switch {
	case err != nil:
		return nil, err
	case g.RepeatedCrossSection || g.Reproduce != "":
		return nil, fmt.Errorf("%w: triple differences need a panel and have no reproduction of other software", ErrOption)
	case len(d.Eligible) != len(f.Y):
		return nil, fmt.Errorf("%w: %d marks of who is eligible for %d outcomes", estimate.ErrInvalidFrame, len(d.Eligible), len(f.Y))
	}
	if err := f.check(false); err != nil {
		return nil, err
	}
	parts, cohorts, notes, err := d.split(f)
	if err != nil {
		return nil, err
	}
	whole := *parts // eligible units by cohort, all else beside them
	whole.Cohort = make([]int, len(parts.Y))
	for i, c := range parts.Cohort {
		if d.eligibleOf(parts, i) {
			whole.Cohort[i] = c
		}
	}
	l, err := layPanel(&whole, g.Anticipation)
	if err != nil {
		return nil, err
	}
	asked := g.Control
	g.Control = NeverTreated
	r := &GroupTimeResult{Options: g, Level: f.Level, layout: l, notes: append(notes, l.notes...), parts: countParts(parts, l.unit)}
	if err := r.plan(); err != nil {
		return nil, err
	}
	r.Options.Control = asked
	position := make(map[string]int, l.n)
	for i, u := range l.unit {
		position[u] = i
	}
	t := &tripleRun{d: &d, g: g, f: parts, r: r, position: position, cohorts: cohorts}
	byCohort := map[int][]int{}
	for i := range r.Cells {
		byCohort[r.Cells[i].Group] = append(byCohort[r.Cells[i].Group], i)
	}
	for _, c := range cohorts {
		if cells, ok := byCohort[c]; ok {
			if err := t.cohort(ctx, c, cells, asked); err != nil {
				return nil, err
			}
		}
	}
	return r, r.finish(nil)
}

// partMark stands between the name of a unit and 1 for its eligible part or 0 for the other.
const partMark = "\x1f"

type tripleRun struct {
	d        *Triple
	g        GroupTime
	f        *Frame // parts
	r        *GroupTimeResult
	position map[string]int
	cohorts  []int
}

// versus are the two-by-two estimates of eligible units of cohort g against one group; nil if that is empty.
func (t *tripleRun) versus(ctx context.Context, g int, other func(cohort int, eligible bool) bool) (map[int]*Cell, *GroupTimeResult, error) {
	var rows []int
	some := false
	for i, c := range t.f.Cohort {
		e := t.d.eligibleOf(t.f, i)
		if c == g && e {
			rows = append(rows, i)
		} else if other(c, e) {
			rows = append(rows, i)
			some = true
		}
	}
	if !some {
		return nil, nil, nil
	}
	f := pickRows(t.f, rows)
	for i, r := range rows {
		if !(t.f.Cohort[r] == g && t.d.eligibleOf(t.f, r)) {
			f.Cohort[i] = 0
		}
	}
	res, err := t.g.Fit(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	out := map[int]*Cell{}
	for i := range res.Cells {
		out[res.Cells[i].Time] = &res.Cells[i]
	}
	return out, res, nil
}

// cohort fills the cells of one cohort.
func (t *tripleRun) cohort(ctx context.Context, g int, cells []int, control string) error {
	never := func(c int) bool { return !slices.Contains(t.cohorts, c) }
	own, ownFit, err := t.versus(ctx, g, func(c int, e bool) bool { return c == g && !e })
	if err != nil {
		return fmt.Errorf("cohort %d, eligible against others: %w", g, err)
	}
	type comparison struct {
		start             int // first period in which it is treated
		eligible, other   map[int]*Cell
		eligFit, otherFit *GroupTimeResult
	}
	var all []comparison
	add := func(start int, in func(c int) bool) error {
		c := comparison{start: start}
		if c.eligible, c.eligFit, err = t.versus(ctx, g, func(k int, e bool) bool { return in(k) && e }); err != nil {
			return fmt.Errorf("cohort %d against eligible units of comparison cohorts: %w", g, err)
		}
		if c.other, c.otherFit, err = t.versus(ctx, g, func(k int, e bool) bool { return in(k) && !e }); err != nil {
			return fmt.Errorf("cohort %d against other units of comparison cohorts: %w", g, err)
		}
		if c.eligible != nil && c.other != nil {
			all = append(all, c)
		}
		return nil
	}
	if err := add(math.MaxInt, never); err != nil {
		return err
	}
	if control == NotYetTreated {
		for _, c := range t.cohorts {
			if c > g {
				if err := add(c, func(k int) bool { return k == c }); err != nil {
					return err
				}
			}
		}
	}
	for _, i := range cells {
		cell := &t.r.Cells[i]
		if cell.Reference {
			continue
		}
		var values []float64
		var inf [][]float64
		eligible, others := 0, 0 // of the comparison cohorts
		reason := notIdentified(estimate.ErrNoControls, "no cohort with eligible and other units is untreated then")
		if own == nil {
			reason = notIdentified(estimate.ErrNoControls, "the cohort has no units that are not eligible")
		}
		for _, c := range all {
			if own == nil || c.start <= max(cell.Time, cell.Base)+t.g.Anticipation && c.start != math.MaxInt {
				continue
			}
			sum, v, bad := make([]float64, t.r.layout.n), 0.0, error(nil)
			for _, part := range []struct {
				cells map[int]*Cell
				fit   *GroupTimeResult
				times float64
			}{{own, ownFit, 1}, {c.eligible, c.eligFit, 1}, {c.other, c.otherFit, -1}} {
				p := part.cells[cell.Time]
				if p == nil || p.Err != nil {
					bad = reason
					if p != nil {
						bad = p.Err
					}
					break
				}
				v += float64(part.times * p.ATT)
				one := make([]float64, part.fit.layout.n)
				for k := range part.fit.Cells {
					if &part.fit.Cells[k] == p {
						part.fit.Influence(k, part.times, one)
					}
				}
				for k, u := range part.fit.layout.unit {
					sum[t.position[u]] += one[k]
				}
				switch part.fit {
				case c.eligFit:
					eligible += p.Control
				case c.otherFit:
					others += p.Control
				}
			}
			if bad != nil {
				reason = bad
				continue
			}
			values, inf = append(values, v), append(inf, sum)
		}
		if len(values) == 0 {
			cell.Err = reason
			continue
		}
		cell.Control = own[cell.Time].Control + eligible + others
		cell.fewest, cell.beyond = min(own[cell.Time].Control, eligible, others), min(eligible, others)
		if err := t.combine(cell, values, inf); err != nil {
			return err
		}
	}
	return nil
}

// combine weighs the comparison cohorts by the inverse of their covariance.
func (t *tripleRun) combine(cell *Cell, values []float64, inf [][]float64) error {
	l := t.r.layout
	cell.spans = []span{{0, l.n}}
	omega := []float64{1}
	if k := len(values); k > 1 {
		sums := make([][]float64, k)
		for i := range sums {
			sums[i] = inf[i]
			if l.cluster != nil {
				sums[i] = l.clusterSums(cell.spans, inf[i])
			}
		}
		var chol mat.Cholesky
		v := covarianceOf(sums, 1)
		if !chol.Factorize(v) || chol.Cond() > 1e12 {
			return fmt.Errorf("%w: the estimates of %s by comparison cohort have a singular covariance; use control never", estimate.ErrNotIdentified, cell.term())
		}
		ones := mat.NewVecDense(k, slices.Repeat([]float64{1}, k))
		var w mat.VecDense
		if err := chol.SolveVecTo(&w, ones); err != nil {
			return errors.Join(estimate.ErrNotIdentified, err)
		}
		omega = make([]float64, k)
		total := mat.Dot(&w, ones)
		for i := range omega {
			omega[i] = w.AtVec(i) / total
		}
	}
	cell.inf = make([]float64, l.n)
	for c, w := range omega {
		cell.ATT += float64(w * values[c])
		for i, v := range inf[c] {
			cell.inf[i] += float64(w * v)
		}
	}
	cell.SE = math.Sqrt(t.r.variance(cell))
	return nil
}
