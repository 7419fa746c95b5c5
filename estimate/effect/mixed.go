package effect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Mixed is regression with a random intercept by group,
//
//	gaussian  y = x'β + u_g + e,  u ~ N(0, σ_u²), e ~ N(0, σ²)
//	binomial  logit P(y = 1) = x'β + u_g
//
// for groups (sites, places, people seen often) that are themselves a sample. f.Cluster
// holds the groups, Groups their names by code.
//
// gaussian: with λ = σ_u²/σ² and c_g = 1 - 1/√(1+n_gλ) the coefficients are least
// squares of y - c_gȳ_g on x - c_gx̄_g, σ² = RSS/(N-K), and λ minimises the profiled
//
//	(N-K)·(1 + log(2πRSS/(N-K))) + Σlog(1+n_gλ) + log|X*'X*|
//
// (REML; with ML N for N-K and without the last term; Bates et al. 2015). Errors are
// σ²(X*'X*)⁻¹. binomial: maximum of the marginal likelihood by adaptive Gauss–Hermite
// quadrature ([num.SiteLogit]), errors from the observed information with σ_u. Normal.
//
// Estimates: "(intercept)" first, then the covariates; measure coefficient. Weights are
// an error. Details: sd_group, sd_residual and icc (gaussian σ_u²/(σ_u²+σ²), binomial
// σ_u²/(σ_u²+π²/3)), logLik, criterion, random {group: conditional mean or mode},
// random_variance {group: conditional variance}, groups {number, smallest, largest}.
// Note "group-variance-zero" where the best σ_u is 0: the fit is that without groups.
//
// Errors: [ErrOption], [estimate.ErrTooFew] (fewer than 3 groups, or a row in each),
// [estimate.ErrWeights], [estimate.ErrSeparated], [estimate.ErrNotConverged].
type Mixed struct {
	Family num.GLMFamily // "" is gaussian; or binomial
	ML     bool          // gaussian: maximum likelihood instead of REML
	Nodes  int           // binomial: of the quadrature; 0 = 25, 1 = Laplace
	Trials []float64     // binomial: y is a share of so many; nil = 1
	Groups []string
	// NoIntercept fits without a constant (gaussian).
	NoIntercept bool
	Workers     int
}

var _ estimate.Estimator = Mixed{}

// Fit implements [estimate.Estimator].
func (m Mixed) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := m.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("mixed: %w", err)
	}
	return res, nil
}

func (m Mixed) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.Weight.Values != nil {
		return nil, fmt.Errorf("%w: random intercepts take no weights; use ols or glm with clusters", estimate.ErrWeights)
	}
	s, err := newSample(f, nil)
	if err != nil {
		return nil, err
	}
	if f.Cluster == nil {
		return nil, fmt.Errorf("%w: random intercepts need groups", ErrOption)
	}
	switch m.Family {
	case "", num.Gaussian:
		if m.Nodes != 0 || m.Trials != nil {
			return nil, fmt.Errorf("%w: quadrature nodes and trials belong to family binomial", ErrOption)
		}
		m.Family = num.Gaussian
	case num.Binomial:
		if m.ML || m.NoIntercept {
			return nil, fmt.Errorf("%w: ml and no-intercept belong to family gaussian", ErrOption)
		}
		if m.Nodes < 0 || m.Nodes > 100 {
			return nil, fmt.Errorf("%w: %d quadrature nodes; between 1 and 100", ErrOption, m.Nodes)
		}
	default:
		return nil, fmt.Errorf("%w: family %q; random intercepts have gaussian and binomial", ErrOption, string(m.Family))
	}
	codes, g := ranked(f.Cluster)
	rows := rowsOf(codes, g)
	if g < 3 || g == len(s.rows) {
		return nil, fmt.Errorf("%w: %d groups in %d rows; three groups at least, some of them with several rows", estimate.ErrTooFew, g, len(s.rows))
	}
	l := &linear{n: len(s.rows), y: s.y, workers: m.Workers, vcov: IID, normal: true}
	names, err := l.fill(s, !m.NoIntercept)
	if err != nil {
		return nil, err
	}
	fit := m.linearFit
	if m.Family == num.Binomial {
		fit = m.logitFit
	}
	out, err := fit(ctx, l, s, codes, rows, names)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "mixed", N: estimate.Counts{Units: s.count(nil), Clusters: g}, Cov: out.cov,
		Fit:       estimate.Convergence{Converged: true, Iterations: out.steps, Tolerance: out.tolerance},
		Influence: out.influence, InfluenceUnit: f.Unit, Details: out.details, Notes: append(s.notes, out.notes...),
	}
	for j, name := range names {
		res.Estimates = append(res.Estimates, estimate.Wald(name, estimate.Coefficient, out.coef[j], math.Sqrt(out.cov.At(j, j)), math.Inf(1), f.Level))
	}
	if out.zero {
		res.Notes = append(res.Notes, table.Note{Code: "group-variance-zero",
			Text: "The groups differ no more than chance makes them: the best standard deviation between groups is 0, and the fit is that without groups."})
	}
	if g < 30 {
		res.Notes = append(res.Notes, table.Note{Code: "few-clusters",
			Text: fmt.Sprintf("Only %d groups: the standard deviation between them is uncertain, and intervals of what varies between groups are too narrow.", g),
			Args: map[string]any{"clusters": g}})
	}
	m.groups(res, codes, rows, f.Cluster, out)
	return res, nil
}

// mixedFit is what both families give.
type mixedFit struct {
	coef             []float64
	cov              *mat.SymDense
	influence        *mat.Dense
	random, variance []float64 // by group
	steps            int
	tolerance        float64
	zero             bool
	details          map[string]any
	notes            []table.Note
}

// groups names the random intercepts.
func (m Mixed) groups(res *estimate.Result, _ []int, rows [][]int, cluster []int, out *mixedFit) {
	random, variance := map[string]float64{}, map[string]float64{}
	small, large := len(rows[0]), 0
	for g, rs := range rows {
		name := strconv.Itoa(cluster[rs[0]])
		if c := cluster[rs[0]]; c >= 0 && c < len(m.Groups) {
			name = m.Groups[c]
		}
		random[name], variance[name] = out.random[g], out.variance[g]
		small, large = min(small, len(rs)), max(large, len(rs))
	}
	res.Details["random"], res.Details["random_variance"] = random, variance
	res.Details["groups"] = map[string]int{"number": len(rows), "smallest": small, "largest": large}
	res.Details["family"] = string(m.Family)
}

// logitFit is the binomial family. Shares of several trials are laid out as trials.
func (m Mixed) logitFit(ctx context.Context, l *linear, s *sample, codes []int, rows [][]int, names []string) (*mixedFit, error) {
	d := num.SiteLogitData{K: l.k, Sites: len(rows), Nodes: m.Nodes, Workers: m.Workers}
	if d.Nodes == 0 {
		d.Nodes = 25
	}
	constant := 0.0
	for i := range l.n {
		trials, y := 1.0, s.y[i]
		if m.Trials != nil {
			trials = m.Trials[s.rows[i]]
		}
		events := math.Round(trials * y)
		if trials != math.Trunc(trials) || trials < 1 || trials > 1e6 || y < 0 || y > 1 || math.Abs(events-trials*y) > 1e-9*trials {
			return nil, &estimate.RowError{Row: s.rows[i], Err: fmt.Errorf("%w: the outcome is 0 or 1, or a share of a whole number of trials", estimate.ErrInvalidFrame)}
		}
		if d.N += int(trials); d.N > 2e7 {
			return nil, fmt.Errorf("%w: more than 20 million trials", estimate.ErrInvalidFrame)
		}
		for t := range int(trials) {
			d.X, d.Site = append(d.X, l.x[i*l.k:(i+1)*l.k]...), append(d.Site, int32(codes[i]))
			if float64(t) < events {
				d.Y = append(d.Y, 1)
			} else {
				d.Y = append(d.Y, 0)
			}
		}
		a, _ := math.Lgamma(trials + 1)
		b, _ := math.Lgamma(events + 1)
		c, _ := math.Lgamma(trials - events + 1)
		constant += a - b - c
	}
	fit, err := num.SiteLogit(ctx, d)
	var singular *num.SingularColumn
	var separating *num.SeparatingColumns
	switch {
	case err == nil:
	case errors.As(err, &singular):
		return nil, fmt.Errorf("%w: %s depends linearly on the columns before it; leave it out", estimate.ErrCollinear, names[singular.Column])
	case errors.As(err, &separating):
		var terms []string
		for _, j := range separating.Columns {
			terms = append(terms, names[j])
		}
		return nil, fmt.Errorf("%w: the outcome is perfectly predicted along %s", estimate.ErrSeparated, listed(terms))
	case errors.Is(err, num.ErrSeparated):
		return nil, fmt.Errorf("%w: the outcome has one value only, or is perfectly predicted", estimate.ErrSeparated)
	case errors.Is(err, num.ErrNoConvergence):
		return nil, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
	default:
		return nil, err
	}
	out := &mixedFit{coef: fit.Coef, cov: fit.Cov, random: fit.Effect, variance: make([]float64, len(rows)),
		steps: fit.Iterations, tolerance: fit.Gradient, zero: fit.SD == 0}
	for i := range d.N {
		eta := fit.Effect[d.Site[i]]
		for j, x := range d.X[i*d.K : (i+1)*d.K] {
			eta += float64(x * fit.Coef[j])
		}
		p := num.LogitLink.Mean(eta)
		out.variance[d.Site[i]] += float64(p * (1 - p))
	}
	v := fit.SD * fit.SD
	for g, w := range out.variance {
		out.variance[g] = v / (1 + float64(v*w))
	}
	criterion := fmt.Sprintf("marginal likelihood, adaptive Gauss-Hermite quadrature with %d nodes", d.Nodes)
	if d.Nodes == 1 {
		criterion = "marginal likelihood, Laplace's approximation"
	}
	out.details = map[string]any{
		"sd_group": fit.SD, "icc": v / (v + math.Pi*math.Pi/3), "criterion": criterion, "iterations": fit.Iterations,
		"logLik": fit.LogLik + constant, "vcov": "inverse of the observed information with the standard deviation between groups; normal",
		"lr_group": 2 * (fit.LogLik - fit.NullLogLik),
	}
	return out, nil
}
