package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Dose estimates how the effect of a treatment varies with its size (money per inhabitant, share of the target group reached), from units that stay untreated and units
// treated with different doses from their cohort on.
//
//	δ[i]     mean over periods t ≥ g of y[i,t] - y[i,b] less the same change of the comparison units of t, b the base period of i's cohort g
//	β        weighted least squares of δ on ψ(dose) over treated units, ψ a B-spline (polynomial without knots) of Degree with Knots at equally spaced quantiles of the doses
//	dose=D   ψ(D)'β: the average effect of dose D on units that got it, per period
//	acrt=D   ψ'(D)'β: its slope; overall: mean of δ; overall-acrt: mean of ψ'(dose)'β over treated units
//
// dose=D needs parallel trends towards untreated units only. That acrt=D says what more of the treatment would do needs strong parallel trends: units with different doses would
// have gained alike from the same dose. The note strong-parallel-trends says so. With cohorts of different length of treatment doses may be confounded with time since entry.
//
// Errors: by influence, no small-sample factor, summed by cluster: A·ψ[i]w[i](δ[i] - ψ[i]'β) for treated units, A = (Σwψψ')⁻¹; for a comparison unit its part in the means that are
// taken off; and for overall terms the spread of doses. Normal.
//
// Source: Callaway, Goodman-Bacon and Sant'Anna (2024), NBER 32117. METHODS.md#dose.
type Dose struct {
	Dose         []float64 // of each row: that of the unit; may be 0 before treatment, 0 for units never treated
	Control      string    // not-yet (default) or never
	Anticipation int
	At           []float64 // doses that are shown; nil = the deciles of the doses of treated units
	Degree       int       // 0 = 3
	Knots        int
}

// Fit estimates. f is read only. Covariates, with their values in the base period, take off of δ[i] what comparison units with the same x changed by least squares, instead of
// their mean: see [doseRun.untreated].
//
// Errors: as [GroupTime.Fit]; [ErrOption]; [estimate.ErrTooFew] with fewer than three treated units a coefficient; [estimate.ErrCollinear] with too few different doses.
func (o Dose) Fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("dose: %w", err)
	}
	return res, nil
}

func (o Dose) fit(ctx context.Context, f *Frame) (*estimate.Result, error) {
	g, err := GroupTime{Control: o.Control, Anticipation: o.Anticipation}.options()
	switch {
	case err != nil:
		return nil, err
	case o.Degree < 0 || o.Degree > 5 || o.Knots < 0:
		return nil, fmt.Errorf("%w: degree %d with %d knots; degrees 1 to 5 and no negative number of knots", ErrOption, o.Degree, o.Knots)
	case len(o.Dose) != len(f.Y):
		return nil, fmt.Errorf("%w: %d doses for %d outcomes", estimate.ErrInvalidFrame, len(o.Dose), len(f.Y))
	}
	if o.Degree == 0 {
		o.Degree = 3
	}
	if err := f.check(false); err != nil {
		return nil, err
	}
	doses, err := o.ofUnits(f)
	if err != nil {
		return nil, err
	}
	l, err := layPanel(f, g.Anticipation)
	if err != nil {
		return nil, err
	}
	r := &GroupTimeResult{Options: g, Level: f.Level, layout: l}
	if err := r.plan(); err != nil {
		return nil, err
	}
	s := &doseRun{l: l, r: r, doses: doses, degree: o.Degree}
	if err := s.changes(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.result(o, f.Level)
}

// ofUnits is the dose of each unit.
func (o *Dose) ofUnits(f *Frame) (map[string]float64, error) {
	out := map[string]float64{}
	bad := func(i int, text string) error {
		return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, text)}
	}
	last := slices.Max(f.Time)
	for i, v := range o.Dose {
		u := f.Unit[i]
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0) || v < 0:
			return nil, bad(i, "a dose must be a finite number of at least 0")
		case v > 0 && f.Cohort[i] == 0:
			return nil, bad(i, "a unit that is never treated has a dose")
		case v > 0 && out[u] != 0 && out[u] != v:
			return nil, bad(i, "the dose of a unit changes; give one for the whole time")
		case v > 0:
			out[u] = v
		}
	}
	for i, g := range f.Cohort {
		if g != 0 && g <= last && out[f.Unit[i]] == 0 {
			return nil, bad(i, "a treated unit has no dose above 0")
		}
	}
	return out, nil
}

type doseRun struct {
	l      *layout
	r      *GroupTimeResult
	doses  map[string]float64
	degree int
	knots  []float64

	units  []int // positions of treated units that can be compared
	cohort []int // index of each one's cohort
	dose   []float64
	w      []float64
	delta  []float64
	low    float64 // smallest dose, and the range: the scale of ψ
	width  float64
	pull   map[int][][]float64 // of each cohort: how each comparison unit moves what is taken off its δ, a row of 1 and covariates; nil = not at all
	base   map[int]int         // base period of each cohort
	lost   []string
	fewest int // comparison units of any period and cohort
}

// changes works out δ of the treated units.
func (s *doseRun) changes() error {
	l := s.l
	s.pull, s.base = map[int][][]float64{}, map[int]int{}
	used := map[int]int{}
	sum := make([]float64, l.n)
	for i := range s.r.Cells {
		cell, x := &s.r.Cells[i], s.r.index[i]
		if !cell.Post {
			continue
		}
		controls := s.r.controls(x)
		untreated, err := s.untreated(x, controls)
		if err != nil {
			return fmt.Errorf("%s: %w", cell.term(), err)
		}
		if untreated == nil {
			s.lost = append(s.lost, cell.term())
			continue
		}
		for p := l.start[x.cohort]; p < l.start[x.cohort+1]; p++ {
			sum[p] += l.y[x.period][p] - l.y[x.base][p] - untreated(p)
		}
		used[x.cohort]++
	}
	for c := range l.cohorts {
		n := used[c]
		if n == 0 {
			continue
		}
		for _, q := range s.pull[c] {
			for j := range q {
				q[j] /= float64(n)
			}
		}
		for p := l.start[c]; p < l.start[c+1]; p++ {
			s.units, s.cohort = append(s.units, p), append(s.cohort, c)
			s.dose, s.w = append(s.dose, s.doses[l.unit[p]]), append(s.w, l.w[0][p])
			s.delta = append(s.delta, sum[p]/float64(n))
		}
	}
	if len(s.units) == 0 {
		return fmt.Errorf("%w: no cohort has a period with untreated units from treatment on", estimate.ErrNoControls)
	}
	s.low = slices.Min(s.dose)
	s.width = slices.Max(s.dose) - s.low
	if !(s.width > 0) {
		return fmt.Errorf("%w: all treated units have the same dose; use did without a dose", estimate.ErrCollinear)
	}
	return nil
}

// basis is ψ at a dose, and its slope: powers of the place in the range of doses, and of what lies above each knot, which spans the B-splines.
func (s *doseRun) basis(dose float64) (value, slope []float64) {
	x := (dose - s.low) / s.width
	p := float64(s.degree)
	for j := range s.degree + 1 {
		value = append(value, math.Pow(x, float64(j)))
		d := 0.0
		if j > 0 {
			d = float64(j) * math.Pow(x, float64(j-1)) / s.width
		}
		slope = append(slope, d)
	}
	for _, k := range s.knots {
		above := math.Max(x-(k-s.low)/s.width, 0)
		value = append(value, math.Pow(above, p))
		d := 0.0
		if above > 0 {
			d = p * math.Pow(above, p-1) / s.width
		}
		slope = append(slope, d)
	}
	return value, slope
}

func (s *doseRun) quantile(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s.dose))
	h := share * float64(len(sorted)-1)
	low := int(h)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	return sorted[low] + float64((h-float64(low))*(sorted[low+1]-sorted[low]))
}

func (s *doseRun) result(o Dose, level float64) (*estimate.Result, error) {
	l := s.l
	for k := range o.Knots {
		s.knots = append(s.knots, s.quantile(float64(k+1)/float64(o.Knots+1)))
	}
	k := s.degree + 1 + o.Knots
	if len(s.units) < 3*k {
		return nil, fmt.Errorf("%w: %d treated units for %d coefficients; lower the degree or the number of knots", estimate.ErrTooFew, len(s.units), k)
	}
	d := num.LsqData{N: len(s.units), K: k, Y: s.delta, Weight: s.w}
	for _, v := range s.dose {
		row, _ := s.basis(v)
		d.X = append(d.X, row...)
	}
	fit, err := num.LeastSquares(d)
	var column *num.SingularColumn
	switch {
	case errors.As(err, &column):
		return nil, fmt.Errorf("%w: too few different doses for %d coefficients; lower the degree or the number of knots", estimate.ErrCollinear, k)
	case err != nil:
		return nil, err
	}
	// Influence on β of each unit, by rows.
	beta := mat.NewDense(l.n, k, nil)
	m := 1 + l.k
	moved := map[int][]float64{} // Σ wψ(1, x)' of a cohort, by rows
	for i, p := range s.units {
		row := d.X[i*k : (i+1)*k]
		e := s.w[i] * (s.delta[i] - num.Dot(row, fit.Coef))
		c := s.cohort[i]
		if moved[c] == nil {
			moved[c] = make([]float64, k*m)
		}
		x := s.covariates(s.base[c], p)
		for j, v := range row {
			beta.Set(p, j, beta.At(p, j)+float64(v*e))
			for a, z := range x {
				moved[c][j*m+a] += float64(s.w[i] * v * z)
			}
		}
	}
	for c := range l.cohorts {
		for p, q := range s.pull[c] {
			if q != nil {
				for j := range k {
					beta.Set(p, j, beta.At(p, j)-num.Dot(moved[c][j*m:(j+1)*m], q))
				}
			}
		}
	}
	solved := make([]float64, k)
	for p := range l.n {
		copy(solved, beta.RawRowView(p))
		basis := make([]float64, k)
		fit.Basis(solved, basis)
		fit.Unbasis(basis)
		beta.SetRow(p, basis)
	}
	at := o.At
	if at == nil {
		for i := 1; i <= 9; i++ {
			at = append(at, tidy(s.quantile(float64(i)/10)))
		}
		at = slices.Compact(at)
	}
	var names []string
	var measures []estimate.Measure
	var values []float64
	var inf [][]float64
	add := func(name string, m estimate.Measure, value float64, column []float64) {
		names, measures, values, inf = append(names, name), append(measures, m), append(values, value), append(inf, column)
	}
	combine := func(c []float64) (float64, []float64) {
		out := make([]float64, l.n)
		for p := range out {
			out[p] = num.Dot(c, beta.RawRowView(p))
		}
		return num.Dot(c, fit.Coef), out
	}
	for _, v := range at {
		if !(v >= s.low && v <= s.low+s.width) {
			return nil, fmt.Errorf("%w: a dose that is asked for lies outside those of treated units", ErrOption)
		}
	}
	for _, v := range at {
		level, _ := s.basis(v)
		value, column := combine(level)
		add(fmt.Sprintf("dose=%v", v), estimate.MeanDifference, value, column)
	}
	for _, v := range at {
		_, slope := s.basis(v)
		value, column := combine(slope)
		add(fmt.Sprintf("acrt=%v", v), estimate.Coefficient, value, column)
	}
	total, mean, slopes := num.Sum(s.w), num.Dot(s.w, s.delta), make([]float64, k)
	mean /= total
	for i := range s.units {
		_, slope := s.basis(s.dose[i])
		for j, v := range slope {
			slopes[j] += float64(s.w[i] / total * v)
		}
	}
	acrt, spread := combine(slopes)
	overall := make([]float64, l.n)
	share := map[int][]float64{} // of each cohort: Σ w(1, x) over its units, of all
	for i, p := range s.units {
		overall[p] += float64(s.w[i] / total * (s.delta[i] - mean))
		c := s.cohort[i]
		if share[c] == nil {
			share[c] = make([]float64, m)
		}
		for a, z := range s.covariates(s.base[c], p) {
			share[c][a] += float64(s.w[i] / total * z)
		}
		_, slope := s.basis(s.dose[i])
		spread[p] += float64(s.w[i] / total * (num.Dot(slope, fit.Coef) - acrt))
	}
	for c := range l.cohorts {
		for p, q := range s.pull[c] {
			if q != nil {
				overall[p] -= num.Dot(share[c], q)
			}
		}
	}
	add(Overall, estimate.MeanDifference, mean, overall)
	add(Overall+"-acrt", estimate.Coefficient, acrt, spread)
	return s.estimates(o, level, names, measures, values, inf)
}

func (s *doseRun) estimates(o Dose, level float64, names []string, measures []estimate.Measure, values []float64, inf [][]float64) (*estimate.Result, error) {
	l := s.l
	sums := make([][]float64, len(inf))
	for j := range inf {
		sums[j] = inf[j]
		if l.cluster != nil {
			sums[j] = l.clusterSums([]span{{0, l.n}}, inf[j])
		}
	}
	n := s.r.counts()
	n.Treated = len(s.units)
	res := &estimate.Result{Method: "did", Cov: covarianceOf(sums, 1), Influence: denseOf(inf, l.n), InfluenceUnit: l.unit, N: n, Fit: estimate.Convergence{Converged: true}, Notes: slices.Clone(l.notes),
		Details: map[string]any{"estimator": "dose", "degree": s.degree, "knots": s.knots, "doses": map[string]float64{"min": s.low, "median": s.quantile(0.5), "max": s.low + s.width},
			"control": s.r.Options.Control, "anticipation": o.Anticipation, "fewest_compared": s.fewest}}
	for j, name := range names {
		e := estimate.Wald(name, measures[j], values[j], math.Sqrt(num.Dot(sums[j], sums[j])), math.Inf(1), level)
		if !finite(e.Value, e.SE) {
			return nil, fmt.Errorf("%w: %s is not a number; rescale the outcome", estimate.ErrNotIdentified, name)
		}
		res.Estimates = append(res.Estimates, e)
	}
	note := func(code string, args map[string]any, format string, a ...any) {
		res.Notes = append(res.Notes, table.Note{Code: code, Text: fmt.Sprintf(format, a...), Args: args})
	}
	note("strong-parallel-trends", nil, "The slopes say what more of the treatment would do only if units with different doses would have gained alike from the same dose.")
	if len(s.pull) > 1 {
		note("dose-composition", map[string]any{"cohorts": len(s.pull)}, "Effects are means over the periods since entry, which differ between %d cohorts: doses that are related to entry are compared over different spans.", len(s.pull))
	}
	if len(s.lost) > 0 {
		note("cells-not-compared", map[string]any{"cells": len(s.lost), "names": s.lost}, "%d cells have no unit that is untreated for long enough to compare with, or lack rows, and are left out.", len(s.lost))
	}
	if l.clusters < 30 {
		note("few-clusters", map[string]any{"clusters": l.clusters}, "Standard errors rest on %d independent units or clusters; below about 30 normal intervals are too narrow.", l.clusters)
	}
	return res, nil
}

// tidy rounds to twelve digits: a term is read and written by people.
func tidy(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	if err != nil {
		return v
	}
	return out
}
