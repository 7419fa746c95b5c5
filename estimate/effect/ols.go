package effect

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// OLS is (weighted) least-squares regression of the outcome on the frame's
// covariates,
//
//	β̂ = argmin Σ w·(y - α - x'β)²
//
// with the covariance that Vcov names: V = (X'WX)⁻¹·M·(X'WX)⁻¹ with M as the
// constants of [Vcov] say (METHODS.md writes each out). Coefficients come from
// Householder QR with double-double refinement.
//
// It reads f.Y, f.X, f.Weight and, for the clustered covariances, f.Cluster; f.Treated
// and f.Set are not used. Frequency weights are copies: N is their sum. Sampling and
// matching weights allow only robust covariances. Rows of weight 0 are left out and
// counted in a note.
//
// The estimates have the term "(intercept)" first (unless NoIntercept or Absorb),
// then one per covariate in the frame's order, measure coefficient. A collinear
// column has a NaN estimate and the note "collinear-dropped". Influence row i is
// (X'WX)⁻¹x·w·e: SE² of hc0 is the sum over rows of its square (with frequency
// weights, of its square over the weight), of cr0 the sum over clusters of the
// squared cluster sums, and hc1 and cr1 multiply that by their factor.
//
// Details: r_squared, adj_r_squared, within_r_squared (with Absorb), sigma (weights
// scaled to mean 1 unless frequency), rank (absorbed effects too), condition, vcov;
// with clusters effective_clusters and effective_clusters_independent {term: G*} and
// leverage {row_max, cluster_max, cluster_mean}; wild {weights, draws, enumerated}.
// Notes on clusters: few-clusters, few-effective-clusters, clusters-below-coefficients,
// one-cluster-decides; covariance-repaired, wild-unbounded.
//
// Errors: [ErrOption], [estimate.ErrTooFew] (no residual degree of freedom, fewer
// than 2 clusters), [estimate.ErrCollinear] (nothing varies),
// [estimate.ErrNotIdentified] (leverage 1 under hc2, hc3, hc4, cr3, jackknife),
// [estimate.ErrWeights], [estimate.ErrNotConverged].
type OLS struct {
	// Vcov is the covariance estimator; "" is cr1 with clusters, hc1 with sampling or
	// matching weights, iid otherwise.
	Vcov Vcov
	// NoIntercept fits without a constant.
	NoIntercept bool
	// Second holds one code per frame row of another way of clustering beside f.Cluster:
	// V = V₁ + V₂ - V₁₂. Allowed with cr0 and cr1.
	Second []int
	// Conley places the rows for vcov conley; Wild draws for vcov wild.
	Conley *Conley
	Wild   WildBootstrap
	// Absorb holds one code per frame row for each set of fixed effects to absorb, and
	// AbsorbNames their names. They replace the intercept. hc2, hc3 and hc4 are allowed
	// with one set; cr2 (without sampling or matching weights), cr3, jackknife and wild
	// where every set is nested in the clusters, for then they equal those with dummies.
	Absorb      [][]int
	AbsorbNames []string
	// Workers never changes the result; < 1 means all processors.
	Workers int
}

var _ estimate.Estimator = OLS{}

// Fit implements [estimate.Estimator].
func (o OLS) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("ols: %w", err)
	}
	return res, nil
}

func (o OLS) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := newSample(f, nil)
	if err != nil {
		return nil, err
	}
	if o.NoIntercept && o.Absorb != nil {
		return nil, fmt.Errorf("%w: absorbed effects replace the intercept; leave no-intercept out", ErrOption)
	}
	if len(o.AbsorbNames) != len(o.Absorb) {
		return nil, fmt.Errorf("%w: %d names for %d absorbed effects", ErrOption, len(o.AbsorbNames), len(o.Absorb))
	}
	for i, codes := range o.Absorb {
		if len(codes) != len(f.Y) {
			return nil, fmt.Errorf("%w: absorbed effect %q has %d codes for %d rows", ErrOption, o.AbsorbNames[i], len(codes), len(f.Y))
		}
	}
	intercept := !o.NoIntercept && o.Absorb == nil
	l := &linear{y: s.y, centred: intercept, workers: o.Workers}
	e := errorKind{vcov: o.Vcov, second: o.Second, conley: o.Conley, wild: o.Wild}
	if err := e.into(l, s); err != nil {
		return nil, err
	}
	names, err := l.fill(s, intercept)
	if err != nil {
		return nil, err
	}
	if o.Absorb != nil {
		if err := l.absorb(ctx, o, s); err != nil {
			return nil, err
		}
	}
	l.spent = !l.vcov.clustered()
	sol, err := l.solve(names)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "ols",
		N:      estimate.Counts{Units: s.count(nil), Clusters: sol.clusters},
		Fit:    estimate.Convergence{Converged: true, Iterations: sol.fit.Steps, Tolerance: l.tolerance},
		Notes:  append(s.notes, sol.notes...),
	}
	if f.Treated != nil {
		res.N.Treated = s.count(func(r int) bool { return f.Treated[r] })
	}
	for j, name := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.Coefficient, sol.coef[j], sol.se[j], sol.df[j], f.Level))
	}
	if l.vcov == Wild {
		notes, err := l.wild(ctx, sol, e.wild, res.Estimates)
		if err != nil {
			return nil, err
		}
		res.Notes = append(res.Notes, notes...)
	}
	res.Cov = sol.cov
	sol.place(res, s, nil)
	res.Details = sol.details(l)
	sol.clustered(res.Details, names)
	res.Notes = append(res.Notes, zeroError(res.Estimates)...)
	return res, nil
}

// absorb replaces outcome and covariates by their residuals from the effects.
func (l *linear) absorb(ctx context.Context, o OLS, s *sample) error {
	var codes [][]int
	for _, c := range o.Absorb {
		codes = append(codes, s.codes(c))
	}
	e := newEffects(codes, s.weight)
	l.rawY, l.absorbed = s.y, e.rank()
	l.absorbedOpen = l.absorbed
	if l.cluster != nil && l.vcov.clustered() {
		l.absorbedOpen = e.open(l.cluster, l.second)
	}
	if err := l.canAbsorb(e); err != nil {
		return err
	}
	columns := make([][]float64, l.k+1)
	reached := make([]float64, l.k+1)
	failed := make([]error, l.k+1)
	num.ForEach(l.k+1, o.Workers, func(j int) {
		col := make([]float64, l.n)
		for i := range col {
			if j == l.k {
				col[i] = l.y[i]
			} else {
				col[i] = l.x[i*l.k+j]
			}
		}
		before := math.Sqrt(l.sumOfSquares(col, true))
		scale := math.Sqrt(l.sumOfSquares(col, false))
		reached[j], failed[j] = e.absorb(ctx, col)
		// What is left of a column in the span of the effects is rounding: no column.
		if j < l.k && math.Sqrt(l.sumOfSquares(col, false)) <= math.Max(1e-10*before, 1e-14*scale) {
			clear(col)
		}
		columns[j] = col
	})
	for j := range columns {
		if failed[j] != nil {
			return failed[j]
		}
		l.tolerance = math.Max(l.tolerance, reached[j])
	}
	x := make([]float64, len(l.x))
	for j := range l.k {
		for i, v := range columns[j] {
			x[i*l.k+j] = v
		}
	}
	l.x, l.y = x, columns[l.k]
	return nil
}

// place writes the influence of the chosen terms (nil = all) to the result: a row
// per frame row, 0 for those left out.
func (sol *solution) place(res *estimate.Result, s *sample, terms []int) {
	k := len(sol.coef)
	if terms == nil {
		for j := range k {
			terms = append(terms, j)
		}
	}
	inPlace := len(terms) == k && len(s.rows) == len(s.frame.Y)
	for i, r := range s.rows {
		inPlace = inPlace && i == r
	}
	if inPlace {
		res.Influence, res.InfluenceUnit = mat.NewDense(len(s.rows), k, sol.influence), s.frame.Unit
		return
	}
	m := mat.NewDense(len(s.frame.Y), len(terms), nil)
	for i, r := range s.rows {
		row := m.RawRowView(r)
		for a, j := range terms {
			row[a] = sol.influence[i*k+j]
		}
	}
	res.Influence, res.InfluenceUnit = m, s.frame.Unit
}

func (sol *solution) details(l *linear) map[string]any {
	d := map[string]any{
		"r_squared": sol.rSquared, "adj_r_squared": sol.adjRSquared, "sigma": sol.sigma,
		"rank": sol.fit.Rank + l.absorbed, "condition": sol.fit.Condition, "vcov": sol.vcov,
	}
	if l.rawY != nil {
		d["within_r_squared"] = sol.withinRSquared
	}
	return d
}

// zeroError notes estimates whose standard error is 0: no test and no real interval.
func zeroError(es []estimate.Estimate) []table.Note {
	n := 0
	for _, e := range es {
		if e.SE == 0 {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []table.Note{{Code: "no-residual-variation", Text: fmt.Sprintf("%d estimates have a standard error of 0 because the outcome does not vary about the fit; they have no test.", n), Args: map[string]any{"estimates": n}}}
}
