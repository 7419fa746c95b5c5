package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Models of untreated outcomes with factors.
const (
	MatrixCompletion    = "mc"
	InteractiveEffects  = "ife"
	factorFolds         = 5
	factorPenalties     = 20
	factorPenaltyRange  = 1e-3
	mostFactors         = 5
	completionTolerance = 1e-9
	completionSteps     = 20000
)

// FactorModel imputes untreated outcomes of treated units by unit effects, period effects and factors; units may start in different periods.
//
//	mc   least ½Σ (y - α[i] - δ[t] - L[i,t])² + λ·|L|* over untreated rows; |L|* the sum of singular values, α and δ without penalty
//	     (Athey, Bayati, Doudchenko, Imbens and Khosravi 2021); λ from five folds of untreated rows
//	ife  α[i] + ξ[t] + Σ_r l[i,r]·f[r,t]: ξ and f from the never treated (principal components of their outcomes less both means), α and l of a treated unit by
//	     least squares on its periods before treatment (Xu 2017); the number of factors by leaving out one of these periods after the other
//
// Terms event=E, E = 0, 1, …: mean of y less its imputed value E periods after the start; overall: over all treated rows.
//
// Errors: jackknife (one unit left out at a time), bootstrap (of units) or placebo (never-treated units take the places of the treated, which are left out), with λ or the number of
// factors of the data, or none. Intervals normal.
//
// Fit needs Unit, Time, Y and treated. Units that lack a period or are treated from the first are left out and counted.
//
// Errors: as [Synthetic], but for [ErrStaggered]. METHODS.md#factor-models.
type FactorModel struct {
	Method     string   // mc or ife
	Errors     string   // jackknife, bootstrap, placebo or none; required
	Replicates int      // of bootstrap and placebo; 0 = 200
	Seed       uint64   // of bootstrap, placebo and the folds of mc
	Lambda     *float64 // mc: λ in outcome units, ≥ 0; nil = by cross-validation
	Factors    *int     // ife: number of factors; nil = by cross-validation, at most 5
	Workers    int      // never changes the result
}

// factorPanel is a balanced panel: outcomes of units by period and the index of the first treated period, the number of periods for the never treated.
type factorPanel struct {
	y       [][]float64
	start   []int
	names   []string
	periods []int
}

// Fit estimates. treated says of each row whether the unit is treated then.
func (m FactorModel) Fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	res, err := m.fit(ctx, f, treated)
	if err != nil {
		return nil, fmt.Errorf("factor model (%s): %w", m.Method, err)
	}
	return res, nil
}

func (m *FactorModel) check() error {
	bad := func(format string, a ...any) error { return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)) }
	drawn := m.Errors == PlaceboErrors || m.Errors == BootstrapErrors
	switch {
	case m.Method != MatrixCompletion && m.Method != InteractiveEffects:
		return bad("method %q is not mc or ife", m.Method)
	case !slices.Contains([]string{PlaceboErrors, JackknifeErrors, BootstrapErrors, NoErrors}, m.Errors):
		return bad("errors %q are not one of jackknife, bootstrap, placebo, none", m.Errors)
	case m.Replicates < 0 || m.Replicates == 1:
		return bad("%d replicates; at least 2 are needed", m.Replicates)
	case m.Replicates > 0 && !drawn:
		return bad("replicates are for placebo and bootstrap errors")
	case m.Seed != 0 && !drawn && (m.Method != MatrixCompletion || m.Lambda != nil):
		return bad("a seed is for placebo and bootstrap errors and for the folds of mc")
	case m.Lambda != nil && m.Method != MatrixCompletion:
		return bad("a penalty lambda is for mc")
	case m.Lambda != nil && !(*m.Lambda >= 0 && *m.Lambda < math.Inf(1)):
		return bad("the penalty lambda must be a finite number of at least 0")
	case m.Factors != nil && m.Method != InteractiveEffects:
		return bad("a number of factors is for ife")
	case m.Factors != nil && *m.Factors < 0:
		return bad("%d factors", *m.Factors)
	}
	return nil
}

func (m *FactorModel) fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	p, notes, err := layFactor(f, treated)
	if err != nil {
		return nil, err
	}
	details := map[string]any{"errors": m.Errors, "method": m.Method}
	if m.Method == MatrixCompletion {
		if m.Lambda == nil {
			lambda, err := p.chooseLambda(ctx, m.Seed, m.Workers)
			if err != nil {
				return nil, err
			}
			m.Lambda = &lambda
			details["chosen"] = "cross-validation"
		}
		details["lambda"] = *m.Lambda
	} else {
		if m.Factors == nil {
			r, mse, err := p.chooseFactors()
			if err != nil {
				return nil, err
			}
			m.Factors = &r
			details["chosen"], details["cross_validation"] = "cross-validation", mse
		}
		details["factors"] = *m.Factors
	}
	got, err := m.effects(p)
	if err != nil {
		return nil, err
	}
	errs, spread, err := m.spread(ctx, p, len(got.values))
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "synth", Notes: notes, Details: details, N: estimate.Counts{Units: len(p.y), Treated: p.treated()},
		Fit: estimate.Convergence{Converged: true, Iterations: got.steps, Tolerance: got.tolerance}}
	if m.Method == MatrixCompletion {
		details["rank"] = got.rank
	}
	if spread != nil {
		details[m.Errors] = spread
	}
	details["path"] = got.path
	for e, v := range got.values {
		name := eventTerm(e)
		if e == len(got.values)-1 {
			name = Overall
		}
		if name == Overall && !finite(v) {
			return nil, fmt.Errorf("%w: the effect is not a number; rescale the outcome", estimate.ErrNotIdentified)
		}
		if finite(v) { // an event between those of two cohorts may have no row
			res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.MeanDifference, v, errs[e], math.Inf(1), f.Level))
		}
	}
	if m.Errors == NoErrors {
		res.Notes = append(res.Notes, table.Note{Code: "errors-not-asked", Text: "No standard error was asked for."})
	}
	return res, nil
}

func layFactor(f *Frame, treated []bool) (*factorPanel, []table.Note, error) {
	switch {
	case len(treated) != len(f.Y):
		return nil, nil, fmt.Errorf("%w: %d treatment marks for %d outcomes", estimate.ErrInvalidFrame, len(treated), len(f.Y))
	case f.X != nil || f.Weight != nil || f.Cluster != nil:
		return nil, nil, fmt.Errorf("%w: factor models have no covariates, weights or clusters", ErrOption)
	}
	l, offset, err := layWhole(f, treated)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(l.cohortsIn()) == 0:
		return nil, nil, fmt.Errorf("%w: none is left that is untreated first and treated later, and seen in every period", estimate.ErrNoTreated)
	case !l.hasNever():
		return nil, nil, fmt.Errorf("%w: no unit that is never treated is seen in every period", estimate.ErrNoControls)
	}
	k := len(l.periods)
	p := &factorPanel{}
	for _, t := range l.periods {
		p.periods = append(p.periods, t+offset)
	}
	for i := 0; i < len(l.y); i += k {
		at := k
		for q, t := range l.periods {
			if l.cohort[i] != never && t >= l.cohort[i] {
				at = q
				break
			}
		}
		p.y, p.start, p.names = append(p.y, l.y[i:i+k]), append(p.start, at), append(p.names, l.names[l.unit[i]])
	}
	return p, l.notes, nil
}

func (p *factorPanel) treated() int {
	n := 0
	for _, s := range p.start {
		if s < len(p.periods) {
			n++
		}
	}
	return n
}

// pick is the panel of some units, with their starts or others.
func (p *factorPanel) pick(units, start []int) *factorPanel {
	out := &factorPanel{periods: p.periods}
	for i, u := range units {
		s := p.start[u]
		if start != nil {
			s = start[i]
		}
		out.y, out.start, out.names = append(out.y, p.y[u]), append(out.start, s), append(out.names, p.names[u])
	}
	return out
}

// factorEffects are the means by event and, last, overall; NaN where there is no row.
type factorEffects struct {
	values    []float64
	path      []map[string]any
	steps     int
	tolerance float64
	rank      int
}

func (m *FactorModel) effects(p *factorPanel) (*factorEffects, error) {
	var imputed [][]float64
	out := &factorEffects{}
	var err error
	if m.Method == MatrixCompletion {
		c := newCompletion(p, nil)
		if err = c.solve(*m.Lambda, completionTolerance); err != nil {
			return nil, err
		}
		imputed, out.steps, out.tolerance, out.rank = c.fitted(), c.steps, c.moved, c.rank
	} else if imputed, err = p.interactive(*m.Factors, -1); err != nil {
		return nil, err
	}
	t := len(p.periods)
	earliest := t
	for _, s := range p.start {
		earliest = min(earliest, s)
	}
	sum, count := make([]float64, 2*t), make([]float64, 2*t)
	for u, y := range p.y {
		if p.start[u] == t {
			continue
		}
		for q := range y {
			sum[q-p.start[u]+t] += y[q] - imputed[u][q]
			count[q-p.start[u]+t]++
		}
	}
	total, rows := 0.0, 0.0
	out.values = make([]float64, t-earliest+1)
	for e := range t - earliest {
		out.values[e] = sum[e+t] / count[e+t]
		total += sum[e+t]
		rows += count[e+t]
	}
	out.values[t-earliest] = total / rows
	for e := range 2 * t {
		if count[e] > 0 {
			out.path = append(out.path, map[string]any{"event": e - t, "gap": sum[e] / count[e], "units": int(count[e])})
		}
	}
	return out, nil
}

// spread are the standard errors of the events and overall.
func (m *FactorModel) spread(ctx context.Context, p *factorPanel, k int) ([]float64, map[string]any, error) {
	out := slices.Repeat([]float64{math.NaN()}, k)
	n, n1, t := len(p.y), p.treated(), len(p.periods)
	n0 := n - n1
	replicates := m.Replicates
	if replicates == 0 {
		replicates = defaultReplicates
	}
	var controls, entered []int
	for u, s := range p.start {
		if s == t {
			controls = append(controls, u)
		} else {
			entered = append(entered, u)
		}
	}
	var draw func(i int) *factorPanel
	switch m.Errors {
	case NoErrors:
		return out, nil, nil
	case JackknifeErrors:
		if n1 < 2 || n0 < 2 {
			return nil, nil, fmt.Errorf("%w: the jackknife needs two treated units and two controls or more; use placebo errors", estimate.ErrTooFew)
		}
		replicates = n
		draw = func(i int) *factorPanel {
			var units []int
			for u := range n {
				if u != i {
					units = append(units, u)
				}
			}
			return p.pick(units, nil)
		}
	case BootstrapErrors:
		if n1 < 2 || n0 < 2 {
			return nil, nil, fmt.Errorf("%w: the bootstrap needs two treated units and two controls or more; use placebo errors", estimate.ErrTooFew)
		}
		draw = func(i int) *factorPanel {
			r := num.NewStream(m.Seed, "factor-bootstrap", uint64(i))
			for {
				units := make([]int, n)
				in := 0
				for j := range units {
					units[j] = r.Intn(n)
					if p.start[units[j]] < t {
						in++
					}
				}
				if in > 0 && in < n {
					slices.Sort(units)
					return p.pick(units, nil)
				}
			}
		}
	default:
		if n0 <= n1 {
			return nil, nil, fmt.Errorf("%w: placebo errors need more controls (%d) than treated units (%d); use the jackknife or the bootstrap", estimate.ErrTooFew, n0, n1)
		}
		draw = func(i int) *factorPanel {
			chosen := choose(num.NewStream(m.Seed, "factor-placebo", uint64(i)), n0, n1)
			// In a random order, or the chosen with the first names would always start first.
			var order []int
			r := num.NewStream(m.Seed, "factor-placebo-order", uint64(i))
			for u := range n1 {
				order = append(order, u)
				v := r.Intn(u + 1)
				order[u], order[v] = order[v], order[u]
			}
			start := slices.Repeat([]int{t}, n0)
			for j, c := range chosen {
				start[c] = p.start[entered[order[j]]]
			}
			return p.pick(controls, start)
		}
	}
	draws, fails := make([][]float64, replicates), make([]error, replicates)
	num.ForEach(replicates, m.Workers, func(i int) {
		if fails[i] = ctx.Err(); fails[i] != nil {
			return
		}
		got, err := m.effects(draw(i))
		if err != nil {
			fails[i] = fmt.Errorf("%s %d: %w", m.Errors, i+1, err)
			return
		}
		// A draw without the earliest cohort has fewer events.
		row := slices.Repeat([]float64{math.NaN()}, k)
		copy(row, got.values[:len(got.values)-1])
		row[k-1] = got.values[len(got.values)-1]
		draws[i] = row
	})
	if err := errors.Join(fails...); err != nil {
		return nil, nil, err
	}
	for j := range k {
		var v []float64
		for _, row := range draws {
			if finite(row[j]) {
				v = append(v, row[j])
			}
		}
		if len(v) < 2 || m.Errors == JackknifeErrors && len(v) < replicates {
			continue
		}
		out[j] = deviation(v, 0)
		if m.Errors == JackknifeErrors {
			out[j] *= math.Sqrt(float64(len(v) - 1))
		}
	}
	return out, map[string]any{"draws": replicates}, nil
}
