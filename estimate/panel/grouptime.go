package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
)

// Comparison groups and base periods.
const (
	NotYetTreated = "not-yet"
	NeverTreated  = "never"
	Universal     = "universal"
	Varying       = "varying"
)

// GroupTime estimates the average effect on cohort g in period t, ATT(g,t), for
// every cohort and period (Callaway and Sant'Anna 2021): the change of the cohort's
// outcome since a base period less the change of units that are not yet treated.
//
// A unit belongs to the cohort of its first treated period, and stays treated. With
// K = Anticipation the base period of cohort g is the last one before g-K; with base
// "varying" cells before g use the period just before instead. The comparison group
// of a cell with base b is the never treated and, with control "not-yet", the units
// of other cohorts first treated after max(t,b)+K. Each cell is a two-by-two
// estimate (Sant'Anna and Zhao 2020): METHODS.md#att-gt has the equations as coded.
//
// The standard error of a cell is √Σ ψ[i]² over the units (or Σ of squared cluster
// sums), ψ the influence function with divisor n and no small-sample factor;
// intervals use the normal distribution.
//
// Source: Callaway and Sant'Anna (2021), J. Econometrics 225(2); Sant'Anna and Zhao
// (2020), J. Econometrics 219(1). Agrees with R's did 2.1.2 and DRDID 1.0.7.
type GroupTime struct {
	// Method is "dr" (doubly robust; default), "ipw" or "reg". Without covariates
	// the three are the same number.
	Method string
	// Control is "not-yet" (not-yet-treated and never-treated units; default) or "never".
	Control string
	// Base is "universal" (one base period for each cohort; default) or "varying".
	Base string
	// Anticipation is by how many time units before treatment outcomes may react; ≥ 0.
	Anticipation int
	// RepeatedCrossSection says that rows are independent observations: no unit is followed.
	RepeatedCrossSection bool
	// Reproduce "did-2.1.2" gives the standard errors of R's did 2.1.2 with DRDID 1.0.7
	// also where their influence functions are not the derivative of the estimate (the
	// overall effect by cohort; doubly robust cross-sections: METHODS.md#differences).
	// For comparison with published numbers only; they are off by up to 0.5 %. Default
	// "": as derived.
	Reproduce string
	// Workers is the number of cells worked on at a time; < 1 = all processors. It
	// never changes the result.
	Workers int
}

// options returns the estimator with its defaults filled in.
func (g GroupTime) options() (GroupTime, error) {
	pick := func(value *string, what string, allowed ...string) error {
		if *value == "" {
			*value = allowed[0]
		}
		if !slices.Contains(allowed, *value) {
			return fmt.Errorf("%w: %s %q is not one of %s", ErrOption, what, *value, strings.Join(allowed, ", "))
		}
		return nil
	}
	err := errors.Join(
		pick(&g.Method, "method", DoublyRobust, Weighting, Regression),
		pick(&g.Control, "control", NotYetTreated, NeverTreated),
		pick(&g.Base, "base", Universal, Varying))
	if g.Reproduce != "" {
		err = errors.Join(err, pick(&g.Reproduce, "reproduce", DidVersion))
	}
	if g.Anticipation < 0 {
		err = errors.Join(err, fmt.Errorf("%w: anticipation %d is below 0", ErrOption, g.Anticipation))
	}
	return g, err
}

// A Cell is the effect on one cohort in one period.
type Cell struct {
	Group, Time int
	Base        int     // the period the change is counted from
	ATT         float64 // outcome units; 0 by definition in the reference cell
	SE          float64 // NaN in the reference cell and where not identified
	Post        bool    // Time ≥ Group
	Reference   bool    // Time == Base: no estimate, the zero of the cohort's series
	Treated     int     // units (rows of cross-sections)
	Control     int
	Err         error // why the cell is not identified; nil if it is

	spans  []span    // positions of inf
	inf    []float64 // influence divided by n
	fewest int       // of triple differences, whose comparison has three groups
	beyond int       // of triple differences, the smaller of the two groups of other cohorts
}

// Fewest is the size of the smallest group that the treated are compared with: of triple differences there are three, else it is Control.
func (c *Cell) Fewest() int {
	if c.fewest > 0 {
		return c.fewest
	}
	return c.Control
}

// Beyond is the size of the smallest group of other cohorts that the treated are compared with: of triple differences [Cell.Fewest] may be the part
// of the cohort itself that is not eligible, whose number is about that of the treated.
func (c *Cell) Beyond() int {
	if c.fewest > 0 {
		return c.beyond
	}
	return c.Control
}

// Identified reports whether the cell has a number.
func (c *Cell) Identified() bool { return c.Err == nil }

func (c *Cell) term() string { return fmt.Sprintf("group=%d,time=%d", c.Group, c.Time) }

// job is the cells that share treated units, comparison units and covariates.
type job struct {
	spans   []span
	treated int
	sheetX  int
	sheetW  int
	cells   []int
}

// Fit estimates all cells. f is read only. A cell without comparison units, or whose
// covariates are collinear or separate its groups, is left out and named in a note;
// it is an error only when no cell is left.
//
// Errors: [ErrOption], [estimate.ErrInvalidFrame], [estimate.ErrWeights],
// [ErrDuplicate], [ErrCohortChanges], [ErrNotNested], [ErrOnePeriod],
// [estimate.ErrNoTreated], [estimate.ErrNoControls], [estimate.ErrTooFew], and what
// keeps every cell from being identified.
func (g GroupTime) Fit(ctx context.Context, f *Frame) (*GroupTimeResult, error) {
	g, err := g.options()
	if err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	if err := f.check(g.RepeatedCrossSection); err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	lay := layPanel
	if g.RepeatedCrossSection {
		lay = layCrossSections
	}
	l, err := lay(f, g.Anticipation)
	if err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	r := &GroupTimeResult{Options: g, Level: f.Level, layout: l, notes: slices.Clone(l.notes)}
	if err := r.plan(); err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	jobs := r.jobs()
	poor := make([]int, len(jobs))
	num.ForEach(len(jobs), g.Workers, func(i int) {
		if ctx.Err() == nil {
			poor[i] = r.run(&jobs[i])
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	if err := r.finish(poor); err != nil {
		return nil, fmt.Errorf("att(g,t): %w", err)
	}
	return r, nil
}

// plan lists the cells in the order of cohort and time.
func (r *GroupTimeResult) plan() error {
	l, g := r.layout, r.Options
	treated := 0
	hasNever := l.cohorts[len(l.cohorts)-1] == never
	last := l.periods[len(l.periods)-1]
	for c, cohort := range l.cohorts {
		if cohort > last {
			continue
		}
		treated++
		base := -1
		for p, t := range l.periods {
			if t+g.Anticipation < cohort {
				base = p
			}
		}
		if base < 0 {
			r.noBase = append(r.noBase, cohort)
			continue
		}
		for p, t := range l.periods {
			b := base
			if g.Base == Varying {
				if p == 0 {
					continue
				}
				if t < cohort {
					b = p - 1
				}
			}
			r.Cells = append(r.Cells, Cell{Group: cohort, Time: t, Base: l.periods[b], Post: t >= cohort,
				Reference: p == b, SE: math.NaN(), Treated: l.start[c+1] - l.start[c]})
			r.index = append(r.index, cellIndex{c, p, b})
		}
	}
	switch {
	case treated == 0:
		return fmt.Errorf("%w: no cohort starts after the first period and by the last", estimate.ErrNoTreated)
	case g.Control == NeverTreated && !hasNever:
		return fmt.Errorf("%w: no unit is never treated; use not-yet-treated comparison units", estimate.ErrNoControls)
	case len(r.Cells) == 0:
		return fmt.Errorf("%w: no cohort has a period before treatment and its %d periods of anticipation", estimate.ErrNotIdentified, g.Anticipation)
	}
	return nil
}

// controls returns the runs of positions of the cell's comparison group.
func (r *GroupTimeResult) controls(x cellIndex) []int {
	l := r.layout
	limit := max(l.periods[x.period], l.periods[x.base]) + r.Options.Anticipation
	var out []int
	for c, cohort := range l.cohorts {
		if c != x.cohort && (cohort == never || (r.Options.Control == NotYetTreated && cohort > limit)) {
			out = append(out, c)
		}
	}
	return out
}

// jobs groups the panel cells that can share a propensity and a factorisation; each
// cell of cross-sections is its own job.
func (r *GroupTimeResult) jobs() []job {
	l := r.layout
	var jobs []job
	byKey := map[string]int{}
	for i := range r.Cells {
		cell, x := &r.Cells[i], r.index[i]
		if cell.Reference {
			cell.SE = math.NaN()
			if l.crossSection {
				cell.Treated = l.cell[x.cohort][x.period+1] - l.cell[x.cohort][x.period]
			}
			continue
		}
		controls := r.controls(x)
		if len(controls) == 0 {
			cell.Err = notIdentified(estimate.ErrNoControls, "no comparison unit is untreated then")
			continue
		}
		if l.crossSection {
			jobs = append(jobs, job{cells: []int{i}})
			continue
		}
		earlier := min(x.base, x.period)
		j := job{spans: []span{{l.start[x.cohort], l.start[x.cohort+1]}}, sheetX: sheet(l.x, earlier), sheetW: sheet(l.w, earlier)}
		j.treated = j.spans[0].len()
		for _, c := range controls {
			if last := &j.spans[len(j.spans)-1]; len(j.spans) > 1 && last.hi == l.start[c] {
				last.hi = l.start[c+1]
			} else {
				j.spans = append(j.spans, span{l.start[c], l.start[c+1]})
			}
		}
		key := fmt.Sprint(j.spans, j.sheetX, j.sheetW)
		at, ok := byKey[key]
		if !ok {
			at = len(jobs)
			byKey[key] = at
			jobs = append(jobs, j)
		}
		jobs[at].cells = append(jobs[at].cells, i)
	}
	return jobs
}

// run estimates the cells of a job and returns how many comparison rows have a
// propensity near 1.
func (r *GroupTimeResult) run(j *job) int {
	l := r.layout
	if l.crossSection {
		return r.runCross(j.cells[0])
	}
	d, err := newPanelDesign(l, j.spans, j.treated, j.sheetX, j.sheetW, r.Options.Method)
	if err != nil {
		for _, i := range j.cells {
			r.Cells[i].Err = err
			r.Cells[i].Control = length(j.spans) - j.treated
		}
		return 0
	}
	dy, scratch := make([]float64, d.n), make([]float64, d.n)
	for _, i := range j.cells {
		cell, x := &r.Cells[i], r.index[i]
		cell.Control = d.n - d.treated
		cell.spans, cell.inf = j.spans, make([]float64, d.n)
		l.change(j.spans, x.base, x.period, dy)
		cell.ATT = d.estimate(dy, cell.inf, scratch)
		cell.SE = math.Sqrt(r.variance(cell))
	}
	return d.poor
}

// runCross estimates one cell of repeated cross-sections.
func (r *GroupTimeResult) runCross(i int) int {
	l := r.layout
	cell, x := &r.Cells[i], r.index[i]
	var spans []span
	var border [5]int
	add := func(c, p int) int {
		s := span{l.cell[c][p], l.cell[c][p+1]}
		spans = append(spans, s)
		return s.len()
	}
	// Before is the base period, also when it lies later: the change is counted from it.
	border[treatedAfter] = add(x.cohort, x.base)
	border[otherBefore] = border[treatedAfter] + add(x.cohort, x.period)
	controls := r.controls(x)
	at := border[otherBefore]
	for b, p := range [2]int{x.base, x.period} {
		for _, c := range controls {
			at += add(c, p)
		}
		border[otherBefore+b+1] = at
	}
	cell.Treated, cell.Control = border[otherBefore], border[4]-border[otherBefore]
	for b, group := range [4]string{"treated row in the base period", "treated row in the period", "comparison row in the base period", "comparison row in the period"} {
		if border[b] == border[b+1] {
			err := estimate.ErrNoTreated
			if b >= otherBefore {
				err = estimate.ErrNoControls
			}
			cell.Err = notIdentified(err, "there is no %s", group)
			return 0
		}
	}
	att, inf, d, err := crossCell(l, spans, border, r.Options)
	if err != nil {
		cell.Err = err
		return 0
	}
	cell.ATT, cell.spans, cell.inf = att, spans, inf
	cell.SE = math.Sqrt(r.variance(cell))
	return d.poor
}
