package progress

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// OutcomeBridge forecasts a long-term effect where treatment may move the outcome beside the surrogates, and where those
// treated in the older cohort differ from the others there in what is not measured, as long as that goes with the outcome only
// through the surrogates (latent unconfoundedness). What surrogates and covariates lead to is learnt apart for the treated and
// the others of the older cohort (G = 1), μ_w(s,x) = E[Y|W=w,S,X,G=1], and τ = E[μ̄₁(X) − μ̄₀(X)|G=0], μ̄_w = E[μ_w|W=w,X,G=0],
// estimated by the efficient influence function: τ = Σψᵢ/n,
//
//	ψ = ±G/(1-π)·(1-γ_W)/γ_W/ϱ_W(X)·(Y-μ_W) ± (1-G)/(1-π)·(μ_W-μ̄_W)/ϱ_W(X) + (1-G)/(1-π)·(μ̄₁-μ̄₀)
//
// with + for W = 1, γ_w = P(G=1|S,X,W=w), ϱ_w = P(W=w|X,G=0). Options, sample, weights, clusters and errors are those of
// [Surrogate]; people of the older cohort whose treatment or outcome is not known are left out, and each arm of it needs
// MinPerArm people and more than it has columns.
//
// Estimates: bridge (the forecast), index (the surrogate index of the same people) and difference, bridge less index; the
// last two are left out, with a note, where the index cannot be estimated. rectified, tilts and regions as for [Surrogate],
// of the bridge.
//
// Details: headline, arrived, population, outcome_model, treatment_model, folds, seed, plug_in, max_weight, ess (of the arm of
// the older cohort where it is the smaller share), r_squared, truth ([]SurrogateTruth: the bridge against the rectified
// estimate), persons, vcov.
//
// Source: Athey, Chetty and Imbens (2020), arXiv 2006.09676; Chen and Ritzwoller (2023), Journal of Econometrics.
type OutcomeBridge Surrogate

// Fit estimates from a sample, which it does not change.
func (e OutcomeBridge) Fit(ctx context.Context, s *SurrogateSample) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("outcome bridge: %w", err)
	}
	return res, nil
}

func (b OutcomeBridge) fit(ctx context.Context, s *SurrogateSample) (*estimate.Result, error) {
	e, err := Surrogate(b).check(s)
	if err != nil {
		return nil, err
	}
	e.bridge = true
	f, tau, inf, err := e.forecast(ctx, s)
	if err != nil {
		return nil, err
	}
	values, terms, all := []float64{tau}, []string{"bridge"}, mat.NewDense(f.n, 1, inf)
	plain, plainInf, err := f.unbridged(ctx)
	switch {
	case err == nil:
		values, terms, all = append(values, plain, tau-plain), append(terms, "index", "difference"), mat.NewDense(f.n, 3, nil)
		for i := range f.n {
			all.SetRow(i, []float64{inf[i], plainInf[i], inf[i] - plainInf[i]})
		}
	case ctx.Err() != nil || !impossible(err):
		return nil, err
	default:
		f.notes = append(f.notes, table.Note{Code: "index-not-possible", Text: "The surrogate index of the same people, to compare with, cannot be estimated."})
	}
	cov, clusters, err := f.covariance(all)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "outcome-bridge", Fit: estimate.Convergence{Converged: true}, InfluenceUnit: f.unit, Influence: all, Cov: cov, Notes: f.notes}
	for k, term := range terms {
		res.Estimates = append(res.Estimates, estimate.Wald(term, f.measure(), values[k], math.Sqrt(cov.At(k, k)), math.Inf(1), s.Level))
	}
	if len(terms) == 3 && !covers(res.Estimates[2]) {
		res.Notes = append(res.Notes, table.Note{Code: "index-differs", Text: "What leads to the outcome is not the same for participants and comparison people of the older cohort: the surrogate index would forecast something else."})
	}
	res.N = estimate.Counts{Units: f.n, Treated: f.count[1], Clusters: clusters}
	rows := []SurrogateTruth{}
	res.Details = map[string]any{
		"population": e.Population, "outcome_model": f.outcome, "treatment_model": e.TreatmentModel, "folds": f.folds, "seed": e.Seed,
		"plug_in": f.plugIn(), "max_weight": f.maxWeight, "ess": f.ess, "r_squared": f.r2, "truth": rows, "vcov": f.vcov(),
		"persons": map[string]int{"older-treated": f.olderArm[1], "older-control": f.olderArm[0], "treated": f.count[1], "control": f.count[0]},
	}
	f.arrive(res)
	if err := f.rectify(ctx, res, "bridge"); err != nil {
		return nil, err
	}
	if k := len(res.Estimates) - 1; res.Details["headline"] == "rectified" {
		row, err := f.gradeBridge(res, k)
		if err != nil {
			return nil, err
		}
		res.Details["truth"] = append(rows, row)
	}
	return res, f.tilt(ctx, res, "bridge")
}

// impossible is an error of the data, not of the program.
func impossible(err error) bool {
	for _, e := range []error{estimate.ErrTooFew, estimate.ErrSeparated, estimate.ErrNotIdentified, estimate.ErrNotConverged} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// noArm is a sample without participants or without others.
func noArm(err error) bool {
	return errors.Is(err, estimate.ErrNoTreated) || errors.Is(err, estimate.ErrNoControls)
}

// unbridged is the surrogate index of the same people, with the same folds.
func (f *surrogateFit) unbridged(ctx context.Context) (float64, []float64, error) {
	g := *f
	g.e.bridge, g.e.Tilt, g.e.Region, g.notes, g.maxWeight = false, nil, nil, nil, 0
	if err := g.nuisances(ctx); err != nil {
		return 0, nil, err
	}
	return g.index()
}

// armed fits μ and γ(S,X) to each arm by itself.
func (f *surrogateFit) armed(mu, cohort []float64, fit, to func(i int) bool) error {
	width := len(f.names)
	for w := range 2 {
		arm := func(i int) bool { return f.treated[i] == float64(w) }
		older := func(i int) bool { return f.older[i] && arm(i) && fit(i) }
		people := 0
		for i := range f.n {
			if older(i) {
				people++
			}
		}
		if people <= width {
			return fmt.Errorf("%w: an arm of the older cohort has %d people for %d columns", estimate.ErrTooFew, people, width)
		}
		if err := f.model("the long-term outcome in an arm", f.outcome == "logistic", width, f.y, mu, older, arm); err != nil {
			return err
		}
		if err := f.model("the cohort, given the surrogates, in an arm", true, width, cohort, f.gammaS,
			func(i int) bool { return arm(i) && fit(i) }, func(i int) bool { return arm(i) && to(i) }); err != nil {
			return err
		}
	}
	return nil
}

// gradeBridge holds the bridge, the first estimate, against the rectified one, number k, in the same people.
func (f *surrogateFit) gradeBridge(res *estimate.Result, k int) (SurrogateTruth, error) {
	t := &surrogateTruth{persons: f.arrived, long: res.Estimates[k].Value, index: res.Estimates[0].Value}
	t.longInf, t.idxInfl = make([]float64, f.n), make([]float64, f.n)
	for i := range f.n {
		t.longInf[i], t.idxInfl[i] = res.Influence.At(i, k), res.Influence.At(i, 0)
	}
	// What is left of the effect once the steps are taken into account is, here, the difference itself.
	t.direct, t.directInf = t.long-t.index, make([]float64, f.n)
	for i := range f.n {
		t.directInf[i] = t.longInf[i] - t.idxInfl[i]
	}
	return f.grade("programme", t)
}

// forecast fits the models of a checked estimator and gives the forecast that it is named for, with its influence function: the index
// or, with bridge, the outcome bridge.
func (e Surrogate) forecast(ctx context.Context, s *SurrogateSample) (f *surrogateFit, tau float64, inf []float64, err error) {
	if err = s.check(); err != nil {
		return nil, 0, nil, err
	}
	if f, err = newSurrogateFit(e, s); err != nil {
		return nil, 0, nil, err
	}
	if err = f.tiltable(); err != nil {
		return nil, 0, nil, err
	}
	if err = f.nuisances(ctx); err != nil {
		return nil, 0, nil, err
	}
	tau, inf, err = f.index()
	return f, tau, inf, err
}
