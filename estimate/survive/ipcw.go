package survive

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// IPCW estimates shares and mean times where censoring depends on covariates x: those who
// have an event count for the people like them who were censored before they could. In each group
//
//	F_c(t) = Σ_i w_i·1{T_i ≤ t, cause c}/G_i(T_i−) / Σ_i w_i,   G_i(u) = exp(−Λ_g(u)·e^{x_i'γ})
//
// with γ and the baseline Λ_g of the group from a Cox model of the time to censoring (Breslow; an event comes before a
// censoring at the same time). Survival is 1 − ΣF_c, the restricted mean τ − Σ w(τ − T)₊1{event}/G / Σ w. The variance is
// Σ IF·IF' with what the estimate of γ and Λ adds (METHODS.md), within clusters with the factor G/(G−1).
//
// Estimates, group by group: with Survival term time=T[,group=G], measure survival; with Tau group=G (overall without
// groups), measure restricted-mean-time, then for each other group B and the first A contrast=B-A; else time=T,cause=C[,group=G], measure
// cumulative-incidence. Details: censoring ([]CensoringTerm), max_weight, censored, vcov; tau.
//
// Errors: those of [Competing.Check]; [ErrLateEntry] for entry times; [estimate.ErrWeights] for frequency weights;
// those of the censoring model as of [Cox]; [estimate.ErrTooFew] where nobody is censored; [estimate.ErrNotIdentified]
// for a time after the last of a group, where shares do not exist.
//
// Source: Robins and Rotnitzky 1992; Scheike, Zhang and Gerds 2008.
type IPCW struct {
	At       []float64 // times, ≥ 0, no duplicates; not with Tau
	Survival bool      // survival instead of the incidence of each cause
	Tau      float64   // horizon of restricted means; 0 for none
	Workers  int       // goroutines; 0 means all cores. Never changes a result
}

// ErrLateEntry is about entry times in a method that has no place for them.
var ErrLateEntry = errors.New("this method has no place for entry times")

// A CensoringTerm is a row of details.censoring: a log hazard ratio of being censored.
type CensoringTerm struct {
	Term     string  `json:"term"`
	Estimate float64 `json:"estimate"`
}

// Fit estimates from competing events and covariates of censoring, which it does not change.
func (e IPCW) Fit(ctx context.Context, f *CompetingCovaried) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("ipcw: %w", err)
	}
	return res, nil
}

// ipcwColumn is one reported number: the mean of h(T, cause) among the units of a group.
type ipcwColumn struct {
	group int
	h     func(t float64, cause int) float64
}

func (e IPCW) check(f *CompetingCovaried) error {
	if err := checkTimes(e.At); err != nil {
		return err
	}
	switch {
	case !(e.Tau >= 0) || math.IsInf(e.Tau, 0):
		return fmt.Errorf("tau %v must be finite and above 0, or 0 for none", e.Tau)
	case (len(e.At) == 0) == (e.Tau == 0):
		return fmt.Errorf("either times or tau must be given")
	case e.Tau > 0 && e.Survival:
		return fmt.Errorf("a restricted mean is of survival anyway: leave Survival out")
	}
	if err := f.Check(); err != nil {
		return err
	}
	switch {
	case f.Entry != nil:
		return ErrLateEntry
	case f.Stratum != nil || f.CensoringStratum != nil:
		return fmt.Errorf("%w: strata have no part here; give them as covariates or groups", estimate.ErrInvalidFrame)
	case f.Weight.Kind == estimate.Frequency:
		return fmt.Errorf("%w: frequency weights have no place among tied censorings; write one unit a row", estimate.ErrWeights)
	}
	return checkColumns(f.X, f.XNames, len(f.Time))
}

func (e IPCW) fit(ctx context.Context, f *CompetingCovaried) (*estimate.Result, error) {
	if err := e.check(f); err != nil {
		return nil, err
	}
	order, err := idOrder(f.Unit)
	if err != nil {
		return nil, err
	}
	order = active(f.Weight.Values, order)
	c, err := newCensored(ctx, f, order, e.Workers)
	if err != nil {
		return nil, err
	}
	columns, err := e.columns(f, c)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "ipcw", InfluenceUnit: f.Unit, Fit: estimate.Convergence{Converged: true, Iterations: c.iterations}, Notes: weightNote(f.Weight),
		Influence: mat.NewDense(len(f.Time), len(columns), nil), N: estimate.Counts{Units: len(order)},
	}
	value := make([]float64, len(columns))
	for q, col := range columns {
		value[q] = c.column(col, func(i int32, x float64) { res.Influence.Set(int(i), q, x) })
	}
	for _, i := range order {
		if f.Cause[i] != Censored {
			res.N.Events++
		}
	}
	if res.Cov, res.N.Clusters, err = Covariance(res.Influence, order, f.Cluster, e.Workers); err != nil {
		return nil, err
	}
	sayFewClusters(res)
	e.estimates(res, f, value)
	var terms []CensoringTerm
	for j, name := range f.XNames {
		terms = append(terms, CensoringTerm{name, c.gamma[j]})
	}
	res.Details = map[string]any{"censoring": terms, "max_weight": c.most, "censored": len(order) - res.N.Events, "vcov": vcovName(res.N.Clusters) + ", censoring model included"}
	if e.Tau > 0 {
		res.Details["tau"] = e.Tau
	}
	if dropped := len(f.Time) - len(order); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	return res, nil
}

// columns are the numbers to find, in the order of the estimates; survival and restricted means as their complement.
func (e IPCW) columns(f *CompetingCovaried, c *censored) ([]ipcwColumn, error) {
	var out []ipcwColumn
	at := append([]float64(nil), e.At...)
	sort.Float64s(at)
	for g := range c.groups {
		horizon := e.Tau
		for _, t := range at {
			horizon = max(horizon, t)
		}
		if horizon > c.groups[g].last {
			return nil, fmt.Errorf("%w: nobody%s is observed after time %s, so that nothing is known of time %s", estimate.ErrNotIdentified, c.groups[g].where, FormatTime(c.groups[g].last), FormatTime(horizon))
		}
		if e.Tau > 0 {
			out = append(out, ipcwColumn{g, func(t float64, _ int) float64 { return max(0, e.Tau-t) }})
			continue
		}
		for _, at := range at {
			if e.Survival {
				out = append(out, ipcwColumn{g, func(t float64, _ int) float64 { return before(t, at) }})
				continue
			}
			for j := range f.CauseNames {
				out = append(out, ipcwColumn{g, func(t float64, cause int) float64 {
					if cause != j {
						return 0
					}
					return before(t, at)
				}})
			}
		}
	}
	return out, nil
}

func before(t, at float64) float64 {
	if t <= at {
		return 1
	}
	return 0
}

// estimates names the numbers. Those that are a complement turn the sign of their influence.
func (e IPCW) estimates(res *estimate.Result, f *CompetingCovaried, value []float64) {
	groups := f.GroupNames
	if len(groups) == 0 {
		groups = []string{""}
	}
	at := append([]float64(nil), e.At...)
	sort.Float64s(at)
	q := 0
	add := func(term string, m estimate.Measure, complement float64) {
		v, se := value[q], math.Sqrt(res.Cov.At(q, q))
		if complement > 0 {
			v = complement - v
			for i := range f.Time {
				res.Influence.Set(i, q, -res.Influence.At(i, q))
			}
		}
		ci := Logit(v, se, f.Level)
		if m == estimate.RestrictedMeanTime {
			ci = estimate.Wald(term, m, v, se, math.Inf(1), f.Level).CI
		}
		res.Estimates = append(res.Estimates, level(term, m, v, se, ci))
		value[q] = v
		q++
	}
	in := func(term, group string) string {
		if group != "" {
			term += ",group=" + group
		}
		return term
	}
	for _, g := range groups {
		if e.Tau > 0 {
			term := "overall"
			if g != "" {
				term = "group=" + g
			}
			add(term, estimate.RestrictedMeanTime, e.Tau)
			continue
		}
		for _, t := range at {
			if e.Survival {
				add(in("time="+FormatTime(t), g), estimate.Survival, 1)
				continue
			}
			for _, name := range f.CauseNames {
				add(in("time="+FormatTime(t)+",cause="+name, g), CumulativeIncidenceMeasure, 0)
			}
		}
	}
	for b := 1; e.Tau > 0 && b < len(groups); b++ {
		v := res.Cov.At(0, 0) + res.Cov.At(b, b) - 2*res.Cov.At(0, b)
		res.Estimates = append(res.Estimates, estimate.Wald("contrast="+groups[b]+"-"+groups[0], RestrictedMeanTimeDifference, value[b]-value[0], math.Sqrt(max(0, v)), math.Inf(1), f.Level))
	}
	if e.Tau == 0 || len(groups) == 1 {
		return
	}
	// The differences join the influence function and the covariance.
	k, n := len(groups), len(f.Time)
	J := mat.NewDense(len(res.Estimates), k, nil)
	for g := range k {
		J.Set(g, g, 1)
		if g > 0 {
			J.Set(k+g-1, g, 1)
			J.Set(k+g-1, 0, -1)
		}
	}
	inf := mat.NewDense(n, len(res.Estimates), nil)
	inf.Mul(res.Influence, J.T())
	var jv, full mat.Dense
	jv.Mul(J, res.Cov)
	full.Mul(&jv, J.T())
	cov := mat.NewSymDense(len(res.Estimates), nil)
	for a := range res.Estimates {
		for b := a; b < len(res.Estimates); b++ {
			cov.SetSym(a, b, full.At(a, b))
		}
	}
	res.Influence, res.Cov = inf, cov
}
