package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// Spillover estimates the effect of treatment on treated units and on untreated units
// that it reaches through their neighbours (Butts 2021; Clarke 2017), by comparison with
// units that are neither treated nor exposed.
//
// Unit i is treated from g[i] and exposed from e[i], the first period in which its
// exposure (the share of its neighbours that are treated, say) is above Threshold; both
// stay. It starts at s[i] = min(g[i], e[i]). For the units of one (g, e) and bin of
// exposure, in a period t ≥ s, with base b the last period before s - K, K = Anticipation,
//
//	ATT = mean change y[t] - y[b] of these units - mean change of units with s > max(t, b)+K
//
// adjusted for covariates by the regression among the latter (as method reg of
// [GroupTime]). Cells with t ≥ g are averaged into treated, those with e ≤ t < g into
// exposed, each weighted by its units; the effect on the treated so includes what their
// own neighbours do to them.
//
// Errors are cr2 over the clusters with Student's t on Satterthwaite's degrees of freedom,
// given who starts when, as in [GroupTimeResult.Infer]. Units near each other are exposed
// by the same neighbours: cluster on the region.
//
// Terms: "treated", "exposed", "exposed,above=B" for each bin of exposure in the period
// (from B, exclusive, to the next border), and with ByEvent "treated,event=E" and
// "exposed,event=E", E periods since own treatment or first exposure. Details: naive
// {estimate, std_error}, the same average effect on the treated by comparison with all
// units not yet treated, exposed or not; cells, clean (units compared with, the fewest).
type Spillover struct {
	// Threshold is the exposure up to which a unit counts as unexposed; ≥ 0.
	Threshold float64
	// Borders divide exposure into bins, ascending and above Threshold; nil = one bin.
	Borders      []float64
	Anticipation int
	ByEvent      bool
	Workers      int
}

// spillKey is the units of a cell.
type spillKey struct{ g, e, period, bin int }

// Fit estimates the effects. exposure has one number for each row of f.
//
// Errors: [ErrOption]; those of [GroupTime.Fit]; [estimate.ErrNoControls] when no cell has
// units to compare with; [estimate.ErrNotIdentified] when no unit is exposed.
func (s Spillover) Fit(ctx context.Context, f *Frame, exposure []float64) (*estimate.Result, error) {
	res, err := s.fit(ctx, f, exposure)
	if err != nil {
		return nil, fmt.Errorf("spillover: %w", err)
	}
	return res, nil
}

func (s Spillover) check(f *Frame, exposure []float64) error {
	if !(s.Threshold >= 0) || math.IsInf(s.Threshold, 1) {
		return fmt.Errorf("%w: threshold %v is not a finite number of at least 0", ErrOption, s.Threshold)
	}
	if s.Anticipation < 0 {
		return fmt.Errorf("%w: anticipation %d is below 0", ErrOption, s.Anticipation)
	}
	last := s.Threshold
	for _, b := range s.Borders {
		if !(b > last) || math.IsInf(b, 1) {
			return fmt.Errorf("%w: borders must ascend and be above the threshold", ErrOption)
		}
		last = b
	}
	if err := f.check(false); err != nil {
		return err
	}
	if len(exposure) != len(f.Y) {
		return fmt.Errorf("%w: %d exposures for %d outcomes", estimate.ErrInvalidFrame, len(exposure), len(f.Y))
	}
	for i, v := range exposure {
		if !(v >= 0) || math.IsInf(v, 1) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the exposure is not a finite number of at least 0", estimate.ErrInvalidFrame)}
		}
	}
	return nil
}

// spill is a fit in the making.
type spill struct {
	Spillover
	w        *fewWork
	g, e     []int       // of each position: first treated and first exposed period, never if none
	exposure [][]float64 // of each period and position
	fewest   int
	dropped  int
}

func (s Spillover) fit(ctx context.Context, f *Frame, exposure []float64) (*estimate.Result, error) {
	if err := s.check(f, exposure); err != nil {
		return nil, err
	}
	c, err := s.lay(f, exposure)
	if err != nil {
		return nil, err
	}
	cells, keys, err := c.cells(ctx)
	if err != nil {
		return nil, err
	}
	terms := c.terms(cells, keys)
	res := &estimate.Result{Method: "spillover", Fit: estimate.Convergence{Converged: true}, InfluenceUnit: c.w.l.unit, Details: map[string]any{}}
	if len(terms) == 0 || terms[0].name != "treated" {
		return nil, fmt.Errorf("%w: no treated unit has units to compare with that are neither treated nor exposed", estimate.ErrNoControls)
	}
	if !slices.ContainsFunc(terms, func(t *fewTerm) bool { return t.name == "exposed" }) {
		return nil, fmt.Errorf("%w: no untreated unit is exposed in a period that can be compared; without exposure the effect on the treated is that of method did", estimate.ErrNotIdentified)
	}
	bins := 0
	for _, t := range terms {
		if strings.HasPrefix(t.name, "exposed,above=") {
			bins++
		}
	}
	if empty := len(s.Borders) + 1 - bins; len(s.Borders) > 0 && empty > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "exposure-empty", Args: map[string]any{"bins": empty},
			Text: fmt.Sprintf("No untreated unit is in %d of the levels of exposure that were asked for: they are missing from the answer.", empty)})
	}
	res.Influence = mat.NewDense(c.w.l.n, len(terms), nil)
	sums := make([][]float64, len(terms))
	lean := 0
	for j, t := range terms {
		t.describe()
		t.spread()
		e := t.robust(0.5, f.Level, FewCR2)
		if t.design.Alone > fewAlone || t.design.DF < 1 {
			e = estimate.Wald(t.name, estimate.MeanDifference, t.value, math.NaN(), math.Inf(1), f.Level)
			e.CI.Method = "none"
			lean++
		}
		res.Estimates = append(res.Estimates, e)
		sums[j] = make([]float64, c.w.groups)
		for a, cell := range t.cells {
			cell.rows(func(row, pos int, _ bool) {
				v := float64(t.weight[a] * cell.inf[row])
				res.Influence.Set(pos, j, res.Influence.At(pos, j)+v)
				sums[j][c.w.cluster[pos]] += v
			})
		}
	}
	res.Cov = covarianceOf(sums, 1)
	c.finish(f, res, terms, lean)
	return res, nil
}

// lay puts the units in order of their start.
func (s Spillover) lay(f *Frame, exposure []float64) (*spill, error) {
	g, e := map[string]int{}, map[string]int{}
	at := map[string]map[int]float64{}
	for i, u := range f.Unit {
		if f.Cohort[i] != 0 {
			g[u] = f.Cohort[i]
		}
		if exposure[i] > s.Threshold {
			if was, ok := e[u]; !ok || f.Time[i] < was {
				e[u] = f.Time[i]
			}
		}
		if at[u] == nil {
			at[u] = map[int]float64{}
		}
		at[u][f.Time[i]] = exposure[i]
	}
	start := *f
	start.Cohort = make([]int, len(f.Y))
	for i, u := range f.Unit {
		start.Cohort[i] = g[u]
		if v, ok := e[u]; ok && (g[u] == 0 || v < g[u]) {
			start.Cohort[i] = v
		}
	}
	first := map[string]int{} // a unit has one cohort, in all its rows
	for i, u := range f.Unit {
		if was, ok := first[u]; ok && f.Cohort[was] != f.Cohort[i] {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: row %d of the same unit has another; a unit has one first treated period, in all its rows", ErrCohortChanges, was+1)}
		} else if !ok {
			first[u] = i
		}
	}
	l, err := layPanel(&start, s.Anticipation)
	if err != nil {
		return nil, err
	}
	r := &GroupTimeResult{Options: GroupTime{Method: Regression, Workers: s.Workers}, Level: f.Level, layout: l}
	w := &fewWork{r: r, l: l, alpha: 1 - f.Level, groups: l.n, cluster: make([]int, l.n), cohort: make([]int, l.n), serial: math.NaN()}
	if l.cluster != nil {
		w.groups = l.clusters
	}
	c := &spill{Spillover: s, w: w, g: make([]int, l.n), e: make([]int, l.n), exposure: make([][]float64, len(l.periods)), fewest: math.MaxInt}
	for p := range c.exposure {
		c.exposure[p] = make([]float64, l.n)
	}
	for i, u := range l.unit {
		w.cluster[i] = i
		if l.cluster != nil {
			w.cluster[i] = int(l.cluster[i])
		}
		c.g[i], c.e[i] = never, never
		if v, ok := g[u]; ok {
			c.g[i] = v
		}
		if v, ok := e[u]; ok {
			c.e[i] = v
		}
		for p, t := range l.periods {
			c.exposure[p][i] = at[u][t]
		}
	}
	for k := range l.cohorts {
		for i := l.start[k]; i < l.start[k+1]; i++ {
			w.cohort[i] = k
		}
	}
	return c, nil
}
