package progress

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// SurrogateSample is what [Surrogate] reads: n people of a programme whose long-term
// outcome has not come, and of an older cohort in which it has. Rows may come in any order.
type SurrogateSample struct {
	Unit    []string // n, unique
	Older   []bool   // n; true = older cohort, false = programme
	Treated []bool   // n
	// TreatedKnown is false where the treatment of a person of the older cohort is not
	// known; nil if all are.
	TreatedKnown []bool
	Y            []float64        // n, long-term outcome; NaN where it is not known
	S            *mat.Dense       // n×s, surrogates: measured after the start, before the outcome
	SNames       []string         // s
	X            *mat.Dense       // n×x, covariates measured before the start; nil if none
	XNames       []string         // x
	Weight       estimate.Weights // sampling or matching, known; matching weights make it the effect on those who are matched to
	Cluster      []int            // n, dense from 0; nil if independent
	Fold         []int            // n, from 0: folds made elsewhere; nil for none
	Level        float64
}

// Surrogate forecasts a long-term effect from short-term surrogates: what surrogates and
// covariates lead to is learnt in an older cohort, ν(s,x) = E[Y|S,X,G=1], and its effect
// estimated in the programme (G = 0) by the efficient influence function
//
//	τ = Σψᵢ/n,  ψ = G/(1-π)·(1-γ(S,X))/γ(S,X)·(ϱ(S,X)-ϱ(X))/(ϱ(X)(1-ϱ(X)))·(Y-ν)
//	              + (1-G)/(1-π)·[W(ν-ν̄₁)/ϱ(X) - (1-W)(ν-ν̄₀)/(1-ϱ(X)) + ν̄₁ - ν̄₀]
//
// with γ = P(G=1|·), ϱ = P(W=1|·,G=0), ν̄_w = E[ν|W=w,X,G=0]. Standard errors √Σ IF²,
// divisor n; by cluster G/(G-1)·Σ(Σ IF)². METHODS.md has the models, the assumptions and
// the equations of the other terms.
//
// Estimates, in this order: index (the forecast), direct (coefficient of treatment beside
// the surrogates, where treatment and outcome are known: 0 under surrogacy; NaN if nobody
// is), breakdown (the constant direct effect, turned round, that would make the long-term
// effect 0), long-term where treatment and outcome are known, and, once a third of the
// programme's own outcomes have come, rectified: the long-term effect from them, with the
// surrogates for the others and without surrogacy. details.headline names the term to show
// (index, then rectified). Then index,tilt=η for each η of Tilt, and index,tilt=η,bound=low and bound=high for each of Region. Measure risk-difference for an outcome of 0 and 1, else
// mean-difference.
//
// Details: headline, arrived (share of the programme whose outcome has come), population, outcome_model, treatment_model, folds, seed, plug_in, max_weight, ess
// (older cohort), r_squared (of ν in the older cohort), partial_r2_treatment, truth
// ([]SurrogateTruth), benchmark (a [SurrogateBenchmark], where the older cohort's arms are known), tilt_breakdown (with Region),
// persons, vcov.
//
// Errors: [estimate.ErrInvalidFrame]; [estimate.ErrTooFew]; [estimate.ErrSeparated] where
// cohorts or arms do not overlap; [estimate.ErrNotConverged]; [estimate.ErrNotIdentified].
//
// Source: Athey, Chetty, Imbens and Kang (2025), Review of Economic Studies; Chen and
// Ritzwoller (2023), Journal of Econometrics.
type Surrogate struct {
	// Folds of cross-fitting: 0 for none (or those of the sample), else at least 2.
	Folds int
	Seed  uint64 // of the folds
	// OutcomeModel of ν: "linear" or "logistic"; "" is logistic for an outcome of 0 and 1.
	OutcomeModel string
	// TreatmentModel of ϱ(X): "logistic" ("") or "constant", for randomised programmes.
	TreatmentModel string
	// Population of the forecast: "programme" ("") or "older".
	Population string
	// Tilt asks for the index if the odds of the outcome given surrogates and covariates were e^η times those of the
	// older cohort, for each η: how far comparability may fail. For an outcome of 0 and 1.
	Tilt []float64
	// Region asks, for each η above 0, for the least and the largest index if nobody's odds differ from the older cohort's by
	// more than e^η, whoever they are: how far comparability and surrogacy may fail. For an outcome of 0 and 1.
	Region []float64
	// MinPerArm is the least number of people in an arm of the programme; 0 means 15.
	MinPerArm int
	Workers   int // goroutines; 0 means all cores. Never changes a result

	bridge bool // treated and others of the older cohort apart: OutcomeBridge
}

// Fit estimates from a sample, which it does not change.
func (e Surrogate) Fit(ctx context.Context, s *SurrogateSample) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("surrogate index: %w", err)
	}
	return res, nil
}

func (e Surrogate) check(s *SurrogateSample) (Surrogate, error) {
	if e.Population == "" {
		e.Population = "programme"
	}
	if e.TreatmentModel == "" {
		e.TreatmentModel = "logistic"
	}
	if e.MinPerArm == 0 {
		e.MinPerArm = 15
	}
	switch {
	case e.Folds < 0 || e.Folds == 1:
		return e, fmt.Errorf("folds must be 0 or at least 2")
	case e.Folds > 0 && s.Fold != nil:
		return e, fmt.Errorf("the sample has folds of its own: leave the number of folds out")
	case e.Folds == 0 && e.Seed != 0:
		return e, fmt.Errorf("a seed goes with a number of folds")
	case !slices.Contains([]string{"", "linear", "logistic"}, e.OutcomeModel):
		return e, fmt.Errorf("outcome model %q is not one of linear, logistic", e.OutcomeModel)
	case !slices.Contains([]string{"logistic", "constant"}, e.TreatmentModel):
		return e, fmt.Errorf("treatment model %q is not one of logistic, constant", e.TreatmentModel)
	case !slices.Contains([]string{"programme", "older"}, e.Population):
		return e, fmt.Errorf("population %q is not one of programme, older", e.Population)
	case e.MinPerArm < 1:
		return e, fmt.Errorf("the least number of people in an arm must be at least 1")
	}
	return e, e.checkTilt()
}

func (s *SurrogateSample) check() error {
	n := len(s.Unit)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case n == 0:
		return bad("no rows")
	case len(s.Older) != n || len(s.Treated) != n || len(s.Y) != n:
		return bad("%d units, %d sample marks, %d treatment marks, %d outcomes", n, len(s.Older), len(s.Treated), len(s.Y))
	case s.TreatedKnown != nil && len(s.TreatedKnown) != n, s.Cluster != nil && len(s.Cluster) != n, s.Fold != nil && len(s.Fold) != n:
		return bad("known treatments, clusters or folds are not as many as units")
	case s.S == nil:
		return bad("no surrogates")
	case s.Weight.Values != nil && len(s.Weight.Values) != n:
		return bad("%d weights for %d people", len(s.Weight.Values), n)
	case (s.Weight.Values == nil) != (s.Weight.Kind == estimate.NoWeights):
		return bad("weights without a kind, or a kind without weights")
	case s.Weight.Kind != estimate.NoWeights && s.Weight.Kind != estimate.Sampling && s.Weight.Kind != estimate.Matching:
		return fmt.Errorf("%w: %q; write one person a row", estimate.ErrWeights, s.Weight.Kind)
	case !(s.Level > 0.5 && s.Level < 1):
		return bad("confidence level %v is not between 0.5 and 1", s.Level)
	}
	for _, m := range []struct {
		what  string
		x     *mat.Dense
		names []string
	}{{"surrogate", s.S, s.SNames}, {"covariate", s.X, s.XNames}} {
		if m.x == nil {
			if len(m.names) > 0 {
				return bad("%ss have names and no values", m.what)
			}
			continue
		}
		if r, k := m.x.Dims(); r != n || k != len(m.names) {
			return bad("%ss are %d×%d, %d×%d expected", m.what, r, k, n, len(m.names))
		}
		for i := range n {
			for j, v := range m.x.RawRowView(i) {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: %s %q is not a finite number", estimate.ErrInvalidFrame, m.what, m.names[j])}
				}
			}
		}
	}
	for i := range n {
		var err error
		switch {
		case math.IsInf(s.Y[i], 0):
			err = fmt.Errorf("%w: the outcome is infinite", estimate.ErrInvalidFrame)
		case !s.Older[i] && s.TreatedKnown != nil && !s.TreatedKnown[i]:
			err = fmt.Errorf("%w: the treatment of a person of the programme is not known", estimate.ErrInvalidFrame)
		case s.Weight.Values != nil && !(s.Weight.Values[i] >= 0 && s.Weight.Values[i] <= math.MaxFloat64):
			err = fmt.Errorf("%w: a weight is negative or not finite", estimate.ErrInvalidFrame)
		case s.Cluster != nil && s.Cluster[i] < 0, s.Fold != nil && s.Fold[i] < 0:
			err = fmt.Errorf("%w: a cluster or fold below 0", estimate.ErrInvalidFrame)
		}
		if err != nil {
			return &estimate.RowError{Row: i, Err: err}
		}
	}
	return nil
}

func (e Surrogate) fit(ctx context.Context, s *SurrogateSample) (*estimate.Result, error) {
	e, err := e.check(s)
	if err != nil {
		return nil, err
	}
	f, tau, inf, err := e.forecast(ctx, s)
	if err != nil {
		return nil, err
	}
	ratio, ratioInf, err := f.untied()
	if err != nil {
		return nil, err
	}
	truth, err := f.truths()
	if err != nil {
		return nil, err
	}
	const terms = 4
	all := mat.NewDense(f.n, terms, nil)
	values := []float64{tau, math.NaN(), tau * ratio, math.NaN()}
	for i := range f.n {
		all.Set(i, 0, inf[i])
		all.Set(i, 2, float64(inf[i]*ratio)+float64(tau*ratioInf[i]))
	}
	if t := truth["all"]; t != nil {
		values[1], values[3] = t.direct, t.long
		for i := range f.n {
			all.Set(i, 1, t.directInf[i])
			all.Set(i, 3, t.longInf[i])
		}
	}
	cov, clusters, err := f.covariance(all)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "surrogate", Fit: estimate.Convergence{Converged: true}, InfluenceUnit: f.unit, Influence: all, Cov: cov, Notes: f.notes}
	for k, term := range []string{"index", "direct", "breakdown", "long-term"} {
		se := math.Sqrt(cov.At(k, k))
		if math.IsNaN(values[k]) {
			se = math.NaN()
			if term == "long-term" { // it is the last: nothing else moves
				res.Influence, res.Cov = all.Slice(0, f.n, 0, terms-1).(*mat.Dense), cov.SliceSym(0, terms-1).(*mat.SymDense)
				continue
			}
		}
		res.Estimates = append(res.Estimates, estimate.Wald(term, f.measure(), values[k], se, math.Inf(1), s.Level))
	}
	res.N = estimate.Counts{Units: f.n, Treated: f.count[1], Clusters: clusters}
	if err := f.describe(res, ratio, truth); err != nil {
		return nil, err
	}
	if err := f.rectify(ctx, res, "index"); err != nil {
		return nil, err
	}
	return res, f.tilt(ctx, res, "index")
}

func (f *surrogateFit) covariance(inf *mat.Dense) (*mat.SymDense, int, error) {
	order := make([]int32, f.n)
	for i := range order {
		order[i] = int32(i)
	}
	return survive.Covariance(inf, order, f.cluster, f.e.Workers)
}

func (f *surrogateFit) measure() estimate.Measure {
	if f.binary {
		return estimate.RiskDifference
	}
	return estimate.MeanDifference
}

// describe fills the details and the notes that rest on the estimates.
func (f *surrogateFit) describe(res *estimate.Result, ratio float64, truth map[string]*surrogateTruth) error {
	note := func(code, text string, args map[string]any) {
		res.Notes = append(res.Notes, table.Note{Code: code, Text: text, Args: args})
	}
	rows := []SurrogateTruth{}
	for _, sample := range []string{"all", "older", "programme"} {
		if t := truth[sample]; t != nil {
			row, err := f.grade(sample, t)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
	}
	direct, breakdown := res.Estimates[1], res.Estimates[2]
	switch {
	case math.IsNaN(direct.Value):
		note("surrogacy-untested", "Nobody's treatment and long-term outcome are both known in two comparable arms: that the surrogates carry the whole effect is an assumption here, and direct does not exist.", nil)
	case direct.CI.Lo > 0 || direct.CI.Hi < 0:
		note("surrogacy-rejected", "Treatment goes with the long-term outcome beyond what the surrogates explain: the forecast misses that part.", nil)
	}
	if reach := max(math.Abs(direct.CI.Lo), math.Abs(direct.CI.Hi)); reach >= math.Abs(breakdown.Value) {
		note("breakdown-within-reach", "The data allow a direct effect as large as the one that would turn the forecast into no effect.", nil)
	}
	f.arrive(res)
	res.Details = map[string]any{
		"population": f.e.Population, "outcome_model": f.outcome, "treatment_model": f.e.TreatmentModel, "folds": f.folds, "seed": f.e.Seed,
		"plug_in": f.plugIn(), "max_weight": f.maxWeight, "ess": f.ess, "r_squared": f.r2, "partial_r2_treatment": 1 - 1/ratio, "truth": rows, "vcov": f.vcov(),
		"persons": map[string]int{"older": f.n - f.count[0] - f.count[1], "treated": f.count[1], "control": f.count[0]},
	}
	for _, row := range rows {
		if row.Sample == "older" {
			res.Details["benchmark"] = benchmark(res.Estimates[0], row)
		}
	}
	return nil
}

// arrive notes where the programme's own outcomes say more than a forecast.
func (f *surrogateFit) arrive(res *estimate.Result) {
	if switchShare*f.arrived >= f.count[0]+f.count[1] && f.arrived > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "outcome-arrived", Text: "A third or more of the programme's own long-term outcomes are known; they say more than a forecast."})
	}
}

func (f *surrogateFit) vcov() string {
	if f.cluster != nil {
		return "influence function summed by cluster, factor G/(G-1)"
	}
	return "influence function, divisor n"
}

// newSurrogateFit puts the rows into the order of their units, leaves out who cannot take
// part and counts the arms.
func newSurrogateFit(e Surrogate, s *SurrogateSample) (*surrogateFit, error) {
	order := make([]int, len(s.Unit))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(s.Unit[a], s.Unit[b]) })
	f := &surrogateFit{e: e, s: s, binary: true}
	gone, without, unknown := 0, 0, 0
	for k, i := range order {
		if k > 0 && s.Unit[i] == s.Unit[order[k-1]] {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a unit comes twice", estimate.ErrInvalidFrame)}
		}
		if s.Older[i] && math.IsNaN(s.Y[i]) {
			gone++
			continue
		}
		if e.bridge && s.Older[i] && s.TreatedKnown != nil && !s.TreatedKnown[i] {
			unknown++
			continue
		}
		if s.Weight.Values != nil && s.Weight.Values[i] == 0 {
			without++
			continue
		}
		f.take(i)
	}
	f.scaleWeights()
	if without > 0 {
		f.notes = append(f.notes, table.Note{Code: "zero-weight", Text: "Persons with weight 0 take no part.", Args: map[string]any{"persons": without}})
	}
	if f.w != nil {
		f.notes = append(f.notes, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(s.Weight.Kind)}})
	}
	if gone > 0 {
		f.notes = append(f.notes, table.Note{Code: "older-outcome-missing", Args: map[string]any{"persons": gone},
			Text: fmt.Sprintf("%d people of the older cohort have no long-term outcome and were left out.", gone)})
	}
	if unknown > 0 {
		f.notes = append(f.notes, table.Note{Code: "older-treatment-missing", Args: map[string]any{"persons": unknown},
			Text: fmt.Sprintf("Of %d people of the older cohort it is not known whether they took part; they were left out.", unknown)})
	}
	older := f.n - f.count[0] - f.count[1]
	least := min(f.olderArm[0], f.olderArm[1])
	switch {
	case older == 0:
		return nil, fmt.Errorf("%w: the older cohort has nobody whose outcome is known", estimate.ErrTooFew)
	case f.count[1] == 0:
		return nil, fmt.Errorf("%w in the programme", estimate.ErrNoTreated)
	case f.count[0] == 0:
		return nil, fmt.Errorf("%w in the programme", estimate.ErrNoControls)
	case min(f.count[0], f.count[1]) < e.MinPerArm:
		return nil, fmt.Errorf("%w: an arm of the programme has %d people; at least %d are needed", estimate.ErrTooFew, min(f.count[0], f.count[1]), e.MinPerArm)
	case e.bridge && least < e.MinPerArm:
		return nil, fmt.Errorf("%w: an arm of the older cohort has %d people whose treatment and outcome are known; at least %d are needed", estimate.ErrTooFew, least, e.MinPerArm)
	}
	f.outcome = e.OutcomeModel
	switch {
	case f.outcome == "" && f.binary:
		f.outcome = "logistic"
	case f.outcome == "":
		f.outcome = "linear"
	case f.outcome == "logistic" && !f.binary:
		return nil, fmt.Errorf("%w: a logistic outcome model needs an outcome of 0 and 1", estimate.ErrInvalidFrame)
	}
	if err := f.split(); err != nil {
		return nil, err
	}
	return f, f.collinear()
}
