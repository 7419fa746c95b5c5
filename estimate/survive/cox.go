package survive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Covaried are stratified times with covariates.
type Covaried struct {
	Stratified
	X      *mat.Dense // n×k, no intercept
	XNames []string   // k
	// Intervals says that the rows of one unit are intervals (Entry, Time] of its time, in which covariates, weight and
	// stratum may differ; they may leave gaps and may not overlap. Without it units are unique.
	Intervals bool
}

// Cox estimates log hazard ratios β of the model λ(t|x) = λ_s(t)·exp(x'β) in strata s, by
// partial likelihood. At an event time with the m events D, risk set R and weights w,
// S(l) = Σ_R w e^{x'β} − (l/m)·Σ_D w e^{x'β} and w̄ the mean weight of D,
//
//	ℓ = Σ_D w·x'β − w̄·Σ_{l<m} log S(l)
//
// (Efron; Breslow has l = 0 throughout; exact has the conditional likelihood of the m events given their number,
// Σ_D x'β − log Σ_{A⊂R,|A|=m} e^{Σ_A x'β}), maximised by Newton's method with step halving. The
// variance is the inverse of the observed information; with Robust, weights or clusters
// it is Σ IF·IF' of the influence function I⁻¹·w·(score residual), summed within
// clusters, without a finite-sample factor. Tests and intervals are normal. Where the rows of a unit are
// intervals its influence is their sum, and units that are at risk after an event have robust errors, too.
//
// Estimates: one term a column, in order, measure log-hazard-ratio. Details: loglik ([null,
// model]), score, wald, lr ([ChiSquareRow]), concordance, zph ([]ZPHRow,
// nil with too few event times), ties, events, vcov; with Intervals rows. wald is nil where the robust variance is singular;
// the influence function is nil with exact ties, which do not come apart into units.
//
// Errors: those of [Stratified.Check]; [estimate.ErrWeights] for frequency weights, and for any with exact ties, as
// [ErrExactTies] for robust errors and clusters; [ErrOverlap], [ErrVaries] (a cluster) for intervals;
// [estimate.ErrTooFew] for no event or one cluster; [estimate.ErrCollinear] names a column;
// [estimate.ErrSeparated] if the likelihood has no maximum (a column decides who has the
// event at every time); [estimate.ErrNotConverged].
//
// Source: Cox 1972; Efron 1977; Breslow 1974; Gail, Lubin and Rubinstein 1981; Lin and Wei 1989; Grambsch and Therneau 1994.
type Cox struct {
	Ties   string // "efron" (also ""), "breslow" or "exact"
	Robust bool   // variance from the influence function also without weights and clusters
	ZPH    string // clock of the test of proportional hazards: "km" (also "") or "identity"

	Workers int // goroutines; 0 means all cores. Never changes a result
}

// ErrExactTies is about errors from the influence function, which the exact likelihood of ties does not have.
var ErrExactTies = errors.New("exact ties have no score of each unit, so no robust or clustered errors; use efron")

// fewClusters is the number of clusters below which their standard errors carry a note.
const fewClusters = 30

// A ChiSquareRow is a test in details.
type ChiSquareRow struct {
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	P         float64 `json:"p_value"`
}

// A ZPHRow is a row of details.zph: the test that the effect of a term does not change
// with time; term GLOBAL tests all at once.
type ZPHRow struct {
	Term      string  `json:"term"`
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	P         float64 `json:"p_value"`
}

func chiSquareRow(stat float64, df int) ChiSquareRow {
	return ChiSquareRow{stat, df, num.ChiSquareTail(stat, float64(df))}
}

func zphRow(term string, stat float64, df int) ZPHRow {
	return ZPHRow{term, stat, df, num.ChiSquareTail(stat, float64(df))}
}

// Fit estimates from times and covariates, which it does not change.
func (e Cox) Fit(ctx context.Context, f *Covaried) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("cox: %w", err)
	}
	return res, nil
}

func (e Cox) check(f *Covaried) error {
	switch {
	case e.Ties != "" && e.Ties != "efron" && e.Ties != "breslow" && e.Ties != "exact":
		return fmt.Errorf("unknown handling of ties %q: efron, breslow or exact", e.Ties)
	case e.ZPH != "" && e.ZPH != "km" && e.ZPH != "identity":
		return fmt.Errorf("unknown clock %q of the test of proportional hazards: km or identity", e.ZPH)
	}
	if err := f.Check(); err != nil {
		return err
	}
	if f.Group != nil {
		return fmt.Errorf("%w: a Cox model has covariates, not groups", estimate.ErrInvalidFrame)
	}
	if f.Weight.Kind == estimate.Frequency {
		return fmt.Errorf("%w: frequency weights have no place among tied events; write one unit a row", estimate.ErrWeights)
	}
	if e.Ties == "exact" {
		switch {
		case f.Weight.Kind != estimate.NoWeights:
			return fmt.Errorf("%w: exact ties count subsets of units, which have no weights; use efron", estimate.ErrWeights)
		case e.Robust || f.Cluster != nil:
			return ErrExactTies
		}
	}
	return checkColumns(f.X, f.XNames, len(f.Time))
}

// checkColumns checks the covariates of n rows.
func checkColumns(x *mat.Dense, names []string, rows int) error {
	if x == nil {
		return fmt.Errorf("%w: no covariates", estimate.ErrInvalidFrame)
	}
	n, k := x.Dims()
	if n != rows || k != len(names) || k == 0 {
		return fmt.Errorf("%w: covariates are %d×%d, %d×%d expected", estimate.ErrInvalidFrame, n, k, rows, len(names))
	}
	for i := range n {
		for j, v := range x.RawRowView(i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: covariate %q is not a finite number", estimate.ErrInvalidFrame, names[j])}
			}
		}
	}
	return nil
}

func (e Cox) fit(ctx context.Context, f *Covaried) (*estimate.Result, error) {
	if err := e.check(f); err != nil {
		return nil, err
	}
	units := &coxUnits{names: f.Unit, cluster: f.Cluster}
	var err error
	if f.Intervals {
		units, err = f.intervals()
	} else {
		units.order, err = idOrder(f.Unit)
		units.order = active(f.Weight.Values, units.order)
	}
	if err != nil {
		return nil, err
	}
	order := units.order
	m, err := newCoxModel(f, order, e.Ties != "breslow" && e.Ties != "exact", e.Workers)
	if err != nil {
		return nil, err
	}
	var exact *coxExact
	point := m.point
	if e.Ties == "exact" {
		if exact, err = newCoxExact(m); err != nil {
			return nil, err
		}
		point = exact.point
	}
	s, err := newton(ctx, f.XNames, point)
	if err != nil {
		return nil, err
	}
	k := m.k
	res := &estimate.Result{
		Method: "cox", Fit: estimate.Convergence{Converged: true, Iterations: s.iterations, Tolerance: s.tolerance},
		N: estimate.Counts{Units: len(order), Events: m.events}, Notes: weightNote(f.Weight),
	}
	var concordance float64
	var zph []ZPHRow
	if exact != nil {
		concordance, zph = m.concordance(s), exact.zph(s, e.ZPH == "identity")
	} else {
		// Concordance has no parallel form, so that the others are worked out beside it.
		num.ForEach(2, e.Workers, func(task int) {
			if task == 0 {
				concordance = m.concordance(s)
				return
			}
			res.Influence, zph = m.influence(s), m.zph(s, e.ZPH == "identity")
		})
		res.InfluenceUnit = f.Unit
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name, people := "information", order
	if f.Intervals {
		people, res.N.Units = units.all(), len(units.names)
		if exact == nil {
			res.Influence, res.InfluenceUnit = units.sum(res.Influence), units.names
		}
		if units.again > 0 {
			if exact != nil {
				return nil, fmt.Errorf("%w: %d units are at risk after an event, which needs robust errors", ErrExactTies, units.again)
			}
			res.Notes = append(res.Notes, table.Note{
				Code: "recurrent-events", Text: "Some units are at risk again after an event: the hazard is that of any event, and errors are robust.",
				Args: map[string]any{"units": units.again},
			})
		}
	}
	if e.Robust || f.robust() || units.again > 0 {
		if name, err = robustCovariance(res, people, units.cluster, e.Workers); err != nil {
			return nil, err
		}
	} else {
		res.Cov = s.covariance()
		m.unscale(res.Cov)
	}
	beta := make([]float64, k)
	for j, x := range f.XNames {
		beta[j] = s.b[j] / m.sd[j]
		res.Estimates = append(res.Estimates, estimate.Wald(x, estimate.LogHazardRatio, beta[j], math.Sqrt(res.Cov.At(j, j)), math.Inf(1), f.Level))
	}
	res.Details = map[string]any{
		"loglik": []float64{s.null, s.loglik}, "lr": chiSquareRow(2*(s.loglik-s.null), k), "score": chiSquareRow(s.score, k),
		"concordance": concordance, "zph": zph, "ties": cmp.Or(e.Ties, "efron"), "events": m.events, "vcov": name,
	}
	if f.Intervals {
		res.Details["rows"] = len(order)
	}
	if wald, ok := quadratic(res.Cov, beta); ok {
		res.Details["wald"] = chiSquareRow(wald, k)
	} else {
		res.Details["wald"] = nil
	}
	if dropped := len(f.Time) - len(order); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	return res, nil
}

// robustCovariance sets the covariance of a result from its influence function, without a factor for
// clusters, and says what it is.
func robustCovariance(res *estimate.Result, order []int32, cluster []int, workers int) (name string, err error) {
	if res.Cov, res.N.Clusters, err = Covariance(res.Influence, order, cluster, workers); err != nil {
		return "", err
	}
	if res.N.Clusters == 0 {
		return "influence", nil
	}
	res.Cov.ScaleSym(1/clusterFactor(res.N.Clusters), res.Cov)
	sayFewClusters(res)
	return "influence, clustered, no factor", nil
}

// sayFewClusters notes that errors rest on few clusters, where they do.
func sayFewClusters(res *estimate.Result) {
	if n := res.N.Clusters; n > 0 && n < fewClusters {
		res.Notes = append(res.Notes, table.Note{
			Code: "few-clusters", Text: "The standard errors rest on few clusters; intervals are probably too narrow, and a joint test of more terms than clusters does not exist.",
			Args: map[string]any{"clusters": n},
		})
	}
}

// quadratic is b'V⁻¹b; false if V is singular.
func quadratic(v *mat.SymDense, b []float64) (float64, bool) {
	k := len(b)
	s, y := mat.NewSymDense(k, nil), make([]float64, k)
	for i := range k {
		if !(v.At(i, i) > 0) {
			return math.NaN(), false
		}
		y[i] = b[i] / math.Sqrt(v.At(i, i))
		for j := i; j < k; j++ {
			s.SetSym(i, j, v.At(i, j)/math.Sqrt(v.At(i, i))/math.Sqrt(v.At(j, j)))
		}
	}
	l := make([]float64, k*k)
	if cholesky(s, l, 1e-12) >= 0 {
		return math.NaN(), false
	}
	forwardSolve(l, k, y)
	q := 0.0
	for _, x := range y {
		q += float64(x * x)
	}
	return q, true
}
