package effect

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Heterogeneity asks whether a model of who gains more says something true: it learns the
// effect given background, and tests what it learnt on people it never saw. It gives no
// effect of a person, and none leaves it: what is told is the test and, if that is passed,
// the mean effect in groups sorted by the prediction.
//
// For each fold k, from the people outside of it alone: p, m₁ and m₀ (as in [DML]), the
// doubly robust pseudo-outcome Γ = m₁ - m₀ + A(y-m₁)/p - (1-A)(y-m₀)/(1-p) by models that
// did not see the person (two halves), and a regression S(x) of Γ on the covariates (the
// DR-learner). In the fold, Γ is made by the models of the people outside, and S(x) is
// what is tested:
//
//	Γ = β₁ + β₂·(S - S̄_k) + e     (best linear predictor, least squares)
//	γ_g = mean of Γ in group g of the fold's people, sorted by S
//
// over all folds. β₁ is the average effect; β₂ = 0 if S says nothing of who gains more and
// 1 if its differences are those of the effects. Influence: (Γ-β₁)/n, which S leaves as it
// is, (S-S̄_k)·e/Σ(S-S̄_k)² and 1{g}(Γ-γ_g)/n_g.
// Median over repeats with the spread, as in [AIPW].
//
// Calibration is met if β₂ is above 0 (two-sided level of the frame) and its interval holds
// 1, or lies above it (differences are then larger than predicted). If it is not: note
// "heterogeneity-unsupported", and no groups.
//
// Estimates: "ate", "heterogeneity" (β₂, measure coefficient, test of 0), and if met
// "group=1" (least) … "group=G" with a band over the groups, and "most-least". Details:
// calibrated, p_one (test of β₂ = 1), groups, folds, repeats, spread, bands.
//
// Frame as [AIPW] without weights. Errors: as [DML]; [estimate.ErrWeights].
//
// Source: Chernozhukov, Demirer, Duflo and Fernández-Val (2025), Econometrica 93(4); Kennedy
// (2023), Electronic Journal of Statistics 17(2), for the pseudo-outcome's regression.
type Heterogeneity struct {
	Nuisance string // as in [DML]; also of S
	Groups   int    // 2 to 10; 0 means 5
	Folds    int    // as in [DML]
	Repeats  int    // as in [DML]
	Seed     uint64
	// Replicates of the band over the groups, at least 199; 0 means 9999.
	Replicates int
	Vcov       Vcov // hc0 (default), cr0 (default with clusters)
	Workers    int
}

var _ estimate.Estimator = Heterogeneity{}

// Fit implements [estimate.Estimator].
func (h Heterogeneity) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := h.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("cate: %w", err)
	}
	return res, nil
}

func (h Heterogeneity) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if h.Groups == 0 {
		h.Groups = 5
	}
	if h.Replicates == 0 {
		h.Replicates = 9999
	}
	s := splitting{h.Folds, h.Repeats, h.Seed}
	if s.folds == 0 {
		s.folds = 5
	}
	if s.repeats == 0 {
		s.repeats = 5
	}
	switch {
	case h.Groups < 2 || h.Groups > 10:
		return nil, fmt.Errorf("%w: groups must be between 2 and 10", ErrOption)
	case h.Replicates < 199:
		return nil, fmt.Errorf("%w: replicates must be at least 199", ErrOption)
	case s.folds < 2 || s.repeats < 1 || s.repeats%2 == 0:
		return nil, fmt.Errorf("%w: folds must be at least 2 and repeats an odd number", ErrOption)
	case h.Vcov != "" && h.Vcov != HC0 && h.Vcov != CR0:
		return nil, fmt.Errorf("%w: vcov %q; for cate there are hc0 and cr0", ErrOption, string(h.Vcov))
	}
	o := &causalOptions{method: "cate", estimand: "ate", estimands: []string{"ate"}, vcov: h.Vcov, covariates: true, workers: h.Workers}
	c, err := newCausal(ctx, f, o)
	if err != nil {
		return nil, err
	}
	if c.weight != nil {
		return nil, fmt.Errorf("%w: cate takes no weights", estimate.ErrWeights)
	}
	if err := c.learn(ctx, h.Nuisance, s); err != nil {
		return nil, err
	}
	c.guarded = true
	kind, err := c.outcomeKind("")
	if err != nil {
		return nil, err
	}
	var results []*estimate.Result
	notes := c.notes
	for r := range s.repeats {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.notes = append([]table.Note(nil), notes...)
		fold, err := c.fold(s, uint64(r))
		if err != nil {
			return nil, err
		}
		half, err := c.fold(splitting{folds: 2, seed: s.seed}, uint64(s.repeats+r))
		if err != nil {
			return nil, err
		}
		gamma, score, err := c.predictEffects(kind, fold, half, s.folds)
		if err != nil {
			return nil, fmt.Errorf("without one of %d folds: %w", s.folds, err)
		}
		results = append(results, h.test(c, gamma, score, fold, s.folds))
	}
	return h.decide(c, c.median(s, results), f), ctx.Err()
}

// pseudo is the doubly robust pseudo-outcome of a row.
func (c *causal) pseudo(i int, ps, m0, m1 *model) float64 {
	g := m1.mu[i] - m0.mu[i]
	if c.treated[i] {
		return g + float64((c.y[i]-m1.mu[i])*other("ate", 1, ps.eta[i]).h)
	}
	return g - float64((c.y[i]-m0.mu[i])*other("ate", 0, ps.eta[i]).h)
}

// predictEffects returns, for each row, the pseudo-outcome by models without its fold, and
// the prediction of it by a regression that rests on the other folds alone.
func (c *causal) predictEffects(kind string, fold, half []int, folds int) (gamma, score []float64, err error) {
	gamma, score = make([]float64, c.n), make([]float64, c.n)
	models := func(use func(i int) bool) (m [3]*model, err error) {
		if m[0], err = c.propensity(use); err != nil {
			return m, err
		}
		for a := range 2 {
			if m[1+a], err = c.outcome(kind, c.y, a, use); err != nil {
				return m, err
			}
		}
		return m, nil
	}
	eta := make([]float64, c.n)
	for k := range folds {
		inside := make([]float64, c.n) // pseudo-outcomes of the others
		for j := range 2 {
			m, err := models(func(i int) bool { return fold[i] != k && half[i] != j })
			if err != nil {
				return nil, nil, err
			}
			for i := range inside {
				if fold[i] != k && half[i] == j {
					inside[i] = c.pseudo(i, m[0], m[1], m[2])
				}
			}
		}
		m, err := models(func(i int) bool { return fold[i] != k })
		if err != nil {
			return nil, nil, err
		}
		s, err := c.outcomeModel("the model of the effect", LinearOutcome, inside, c.allWeights(func(i int) bool { return fold[i] != k }))
		if err != nil {
			return nil, nil, err
		}
		for i, f := range fold {
			if f == k {
				gamma[i], score[i], eta[i] = c.pseudo(i, m[0], m[1], m[2]), s.mu[i], m[0].eta[i]
			}
		}
	}
	if err := c.bounded("ate", eta); err != nil {
		return nil, nil, err
	}
	c.overlap("ate", eta)
	return gamma, score, nil
}

// test returns the best linear predictor and the sorted groups of one split.
func (h Heterogeneity) test(c *causal, gamma, score []float64, fold []int, folds int) *estimate.Result {
	n := float64(c.n)
	x := make([]float64, c.n) // S less its mean in the fold
	group := make([]int, c.n)
	for k := range folds {
		var rows []int
		var s []float64
		for i, f := range fold {
			if f == k {
				rows, s = append(rows, i), append(s, score[i])
			}
		}
		mean := num.Sum(s) / float64(len(s))
		for at, r := range num.OrderFloats(s) { // equal scores in the order of the keyed hash
			x[rows[r]] = s[r] - mean
			group[rows[r]] = at * h.Groups / len(rows)
		}
	}
	mean, xx := num.Sum(gamma)/n, num.Dot(x, x)
	phi := [][]float64{make([]float64, c.n), make([]float64, c.n)}
	slope, scale := math.NaN(), 0.0
	for _, v := range score {
		scale = math.Max(scale, math.Abs(v))
	}
	if math.Sqrt(xx/n) > 1e-9*scale { // not the rounding of one prediction for all
		slope = num.Dot(x, gamma) / xx
	}
	for i, g := range gamma {
		phi[0][i] = (g - mean) / n
		if !math.IsNaN(slope) {
			phi[1][i] = x[i] * (g - mean - float64(slope*x[i])) / xx
		}
	}
	values := []float64{mean, slope}
	for g := range h.Groups {
		sum, size := 0.0, 0.0
		for i, of := range group {
			if of == g {
				sum += gamma[i]
				size++
			}
		}
		p := make([]float64, c.n)
		for i, of := range group {
			if of == g {
				p[i] = (gamma[i] - sum/size) / size
			}
		}
		values, phi = append(values, sum/size), append(phi, p)
	}
	last := make([]float64, c.n)
	for i := range last {
		last[i] = phi[1+h.Groups][i] - phi[2][i]
	}
	values, phi = append(values, values[1+h.Groups]-values[2]), append(phi, last)

	res := &estimate.Result{Method: "cate", N: c.tally, Fit: estimate.Convergence{Converged: true, Iterations: c.iterated}, Cov: c.covariance(phi)}
	measure := estimate.MeanDifference
	if c.binary {
		measure = estimate.RiskDifference
	}
	for j, v := range values {
		term, m, se := "most-least", measure, math.Sqrt(res.Cov.At(j, j))
		switch {
		case j == 0:
			term = "ate"
		case j == 1:
			term, m = "heterogeneity", estimate.Coefficient
			if math.IsNaN(v) {
				se = v
			}
		case j < len(values)-1:
			term = "group=" + strconv.Itoa(j-1)
		}
		res.Estimates = append(res.Estimates, estimate.Wald(term, m, v, se, c.df(), c.frame.Level))
	}
	c.place(res, phi)
	res.Details = map[string]any{"vcov": c.vcovText(), "groups": h.Groups}
	c.sayNuisance(res, h.Nuisance)
	res.Notes = c.notes
	return res
}

// decide leaves the groups out where the predictions do not hold, and gives them a band
// where they do.
func (h Heterogeneity) decide(c *causal, res *estimate.Result, f *estimate.Frame) *estimate.Result {
	b := res.Estimates[1]
	p := math.NaN()
	if b.SE > 0 {
		p = num.StudentTail((b.Value-1)/b.SE, c.df())
	}
	met := b.CI.Lo > 0 && b.CI.Hi >= 1
	res.Details["calibrated"], res.Details["p_one"] = met, p
	if !met {
		text := "What the model says of who gains more is not borne out by people whom it never saw: no groups are given, and no one's effect may be predicted by it."
		if math.IsNaN(b.Value) {
			text = "The model predicts one effect for all: there are no groups to sort people into."
		}
		res.Notes = append(res.Notes, table.Note{Code: "heterogeneity-unsupported", Text: text})
		keep := res.Estimates[:2]
		cov := mat.NewSymDense(2, nil)
		for i := range 2 {
			for j := i; j < 2; j++ {
				cov.SetSym(i, j, res.Cov.At(i, j))
			}
		}
		rows, _ := res.Influence.Dims()
		res.Estimates, res.Cov, res.Influence = keep, cov, mat.DenseCopyOf(res.Influence.Slice(0, rows, 0, 2))
		if math.IsNaN(b.Value) {
			res.Cov.SetSym(1, 1, math.NaN())
			res.Cov.SetSym(0, 1, math.NaN())
		}
		return res
	}
	r := mat.NewSymDense(h.Groups, nil)
	for i := range h.Groups {
		for j := i; j < h.Groups; j++ {
			r.SetSym(i, j, res.Cov.At(2+i, 2+j)/(res.Estimates[2+i].SE*res.Estimates[2+j].SE))
		}
	}
	critical, mc := supT(r, f.Level, h.Replicates, h.Seed, h.Workers)
	res.Details["bands"] = map[string]any{"type": "uniform", "critical": critical, "mc_error": mc, "replicates": h.Replicates, "seed": h.Seed}
	for i := range h.Groups {
		e := &res.Estimates[2+i]
		q := critical
		if !math.IsInf(e.Test.DF, 1) {
			q = num.StudentQuantile(1-num.NormalTail(critical), e.Test.DF)
		}
		e.CI = estimate.Interval{Lo: e.Value - float64(q*e.SE), Hi: e.Value + float64(q*e.SE), Level: f.Level, Method: "uniform-band"}
	}
	return res
}
