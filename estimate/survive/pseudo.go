package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// PseudoRegression regresses where people are at a time, or how long they are in a state, on covariates, although
// not everybody is followed to the end. With θ the Aalen–Johansen estimate over n persons and IF its influence function,
//
//	θ_i = θ + n·IF_i,  Σ_i x_i·m'(x_i'β)·(θ_i − m(x_i'β)) = 0,  V = A⁻¹(Σ r_i²·d_i d_i')A⁻¹
//
// with d_i = m'(x_i'β)x_i, r_i = θ_i − m, A = Σ d_i d_i'; by cluster the sums are over clusters, with G/(G − 1). m is the inverse of
// Link. The pseudo-values average to θ exactly, also where people start in several states. The error takes the pseudo-values as
// given, which is slightly too large.
//
// Estimates: a term for each coefficient, (intercept) first, measure coefficient, log-odds-ratio or log-hazard-ratio by link. Details:
// mean, estimate, link, pseudo_values of nobody (they are kept out), persons.
//
// Persons whose covariates are not known (NaN) have a part in θ and none in the regression (note rows-missing). Censoring must not
// depend on the covariates.
//
// Errors: [estimate.ErrWeights] for weights; [estimate.ErrInvalidFrame]; [estimate.ErrNotConverged]; [estimate.ErrCollinear];
// [estimate.ErrNotIdentified] beyond follow-up and where somebody is observed from later than 0 on; those of [Spells.Check].
//
// Andersen, Klein and Rosthøj (2003); Overgaard, Parner and Pedersen (2017).
type PseudoRegression struct {
	State string
	// Time of the probability, or Tau of the months in the state: one of them, above 0.
	Time, Tau float64
	// Link: identity (""), for both; logit or cloglog for probabilities, log for months.
	Link    string
	X       *mat.Dense // persons in the order of the spells' ID × columns, no intercept; NaN = not known
	Names   []string
	Workers int // never changes a result
}

// pseudoLink is an inverse link with its slope.
type pseudoLink struct {
	mean, slope func(eta float64) float64
	of          func(mu float64) float64
	measure     estimate.Measure
}

func (e PseudoRegression) link() (pseudoLink, error) {
	one := func(float64) float64 { return 1 }
	same := func(v float64) float64 { return v }
	switch {
	case e.Link == "" || e.Link == "identity":
		return pseudoLink{same, one, same, estimate.Coefficient}, nil
	case e.Link == "log" && e.Tau > 0:
		return pseudoLink{math.Exp, math.Exp, math.Log, estimate.Coefficient}, nil
	case e.Link == "logit" && e.Time > 0:
		return pseudoLink{num.LogitLink.Mean, num.LogitLink.Slope, func(p float64) float64 { return math.Log(p / (1 - p)) }, estimate.LogOddsRatio}, nil
	case e.Link == "cloglog" && e.Time > 0:
		return pseudoLink{num.CloglogLink.Mean, num.CloglogLink.Slope,
			func(p float64) float64 { return math.Log(-math.Log1p(-p)) }, estimate.LogHazardRatio}, nil
	}
	return pseudoLink{}, fmt.Errorf("%w: link %q; identity for both, logit and cloglog for probabilities, log for months", estimate.ErrInvalidFrame, e.Link)
}

// Fit estimates from spells, which it does not change.
func (e PseudoRegression) Fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("pseudo-value regression: %w", err)
	}
	return res, nil
}

// PseudoValues gives θ and each person's pseudo-value, in the order of the spells' ID.
func (e PseudoRegression) PseudoValues(ctx context.Context, s *Spells) (float64, []float64, error) {
	switch {
	case s.Weight.Values != nil:
		return 0, nil, fmt.Errorf("%w: a pseudo-value stands for one person", estimate.ErrWeights)
	case s.GroupNames != nil:
		return 0, nil, fmt.Errorf("%w: groups are covariates here", estimate.ErrInvalidFrame)
	case (e.Time > 0) == (e.Tau > 0) || math.IsInf(e.Time+e.Tau, 1):
		return 0, nil, fmt.Errorf("%w: either a time or a horizon, finite and above 0", estimate.ErrInvalidFrame)
	}
	h, err := s.histories()
	if err != nil {
		return 0, nil, err
	}
	if h.late > 0 { // what is expected of one who came late is not what is expected of all
		return 0, nil, fmt.Errorf("%w: %d persons are observed from later than 0 on; pseudo-values need everybody from the start", estimate.ErrNotIdentified, h.late)
	}
	aj := AalenJohansen{Tau: e.Tau, Workers: e.Workers}
	term := "state=" + e.State
	if e.Time > 0 {
		aj.At, aj.Tau = []float64{e.Time}, e.Time
		term = "time=" + FormatTime(e.Time) + "," + term
	}
	r, err := aj.fit(ctx, s)
	if err != nil {
		return 0, nil, err
	}
	for k, x := range r.Estimates {
		if x.Term != term {
			continue
		}
		out := mat.Col(nil, k, r.Influence)
		for i := range out {
			out[i] = x.Value + float64(float64(len(s.ID))*out[i])
		}
		return x.Value, out, nil
	}
	return 0, nil, fmt.Errorf("%w: no state %q", estimate.ErrInvalidFrame, e.State)
}

func (e PseudoRegression) fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	link, err := e.link()
	if err != nil {
		return nil, err
	}
	k := len(e.Names)
	if e.X == nil != (k == 0) {
		return nil, fmt.Errorf("%w: covariates without names, or names without covariates", estimate.ErrInvalidFrame)
	}
	if e.X != nil {
		if r, c := e.X.Dims(); r != len(s.ID) || c != k {
			return nil, fmt.Errorf("%w: covariates are %d×%d, %d×%d expected", estimate.ErrInvalidFrame, r, c, len(s.ID), k)
		}
	}
	theta, value, err := e.PseudoValues(ctx, s)
	if err != nil {
		return nil, err
	}
	order, err := idOrder(s.ID)
	if err != nil {
		return nil, err
	}
	var rows []int32
	var x, y []float64
	for _, i := range order {
		row := []float64{1}
		if e.X != nil {
			row = append(row, e.X.RawRowView(int(i))...)
		}
		known := true
		for j, v := range row {
			if math.IsInf(v, 0) {
				return nil, fmt.Errorf("%w: covariate %q is infinite for a person", estimate.ErrInvalidFrame, e.Names[j-1])
			}
			known = known && !math.IsNaN(v)
		}
		if known {
			rows, x, y = append(rows, i), append(x, row...), append(y, value[i])
		}
	}
	width := k + 1
	if len(rows) <= width {
		return nil, fmt.Errorf("%w: %d persons with known covariates for %d coefficients", estimate.ErrTooFew, len(rows), width)
	}
	_, collinear, _, err := num.Rank(num.LsqData{N: len(rows), K: width, X: x, Y: y, Workers: e.Workers})
	if err != nil {
		return nil, err
	}
	if len(collinear) > 0 {
		name := "(intercept)"
		if collinear[0] > 0 {
			name = e.Names[collinear[0]-1]
		}
		return nil, fmt.Errorf("%w: %s depends on the columns before it", estimate.ErrCollinear, name)
	}
	beta, steps, bread, err := e.solve(link, x, y, width, theta)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "pseudo-values", InfluenceUnit: s.ID, Influence: mat.NewDense(len(s.ID), width, nil),
		N: estimate.Counts{Units: len(rows)}, Fit: estimate.Convergence{Converged: true, Iterations: steps, Tolerance: pseudoStep}}
	d := mat.NewVecDense(width, nil)
	for r, i := range rows {
		row := x[r*width : (r+1)*width]
		eta := num.Dot(row, beta)
		c := link.slope(eta) * (y[r] - link.mean(eta))
		if err := bread.SolveVecTo(d, mat.NewVecDense(width, scaled(row, c))); err != nil {
			return nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotIdentified)
		}
		res.Influence.SetRow(int(i), d.RawVector().Data)
	}
	if res.Cov, res.N.Clusters, err = Covariance(res.Influence, rows, s.Cluster, e.Workers); err != nil {
		return nil, err
	}
	for j := range width {
		name := "(intercept)"
		if j > 0 {
			name = e.Names[j-1]
		}
		res.Estimates = append(res.Estimates, estimate.Wald(name, link.measure, beta[j], math.Sqrt(res.Cov.At(j, j)), math.Inf(1), s.Level))
	}
	sayFewClusters(res)
	res.Details = map[string]any{"estimate": theta, "mean": num.Sum(value) / float64(len(value)), "link": e.Link, "persons": len(s.ID), "vcov": vcovName(res.N.Clusters)}
	if gone := len(s.ID) - len(rows); gone > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "rows-missing", Text: "Persons without a value in a covariate have no part in the regression.", Args: map[string]any{"rows": gone}})
	}
	if few := min(theta, 1-theta) * float64(len(s.ID)); e.Time > 0 && link.measure == estimate.Coefficient && few < fewInState {
		res.Notes = append(res.Notes, table.Note{Code: "pseudo-rare", Text: "Few people are in the state, or outside it, at that time: with the link identity the intervals are too narrow; use logit or cloglog."})
	}
	return res, nil
}

// fewInState is the number of people in the state, or outside it, below which normal intervals of differences of shares are not to be trusted.
const fewInState = 20

func scaled(row []float64, c float64) []float64 {
	out := make([]float64, len(row))
	for j, v := range row {
		out[j] = c * v
	}
	return out
}

// pseudoStep is the largest step in units of the coefficients' errors at which the equations are solved.
const pseudoStep = 1e-10

// solve is Gauss–Newton on the estimating equations, with steps halved until the squares fall.
func (e PseudoRegression) solve(link pseudoLink, x, y []float64, width int, theta float64) ([]float64, int, *mat.Cholesky, error) {
	n := len(y)
	beta := make([]float64, width)
	beta[0] = link.of(theta)
	if math.IsNaN(beta[0]) || math.IsInf(beta[0], 0) {
		return nil, 0, nil, fmt.Errorf("%w: everybody, or nobody, is in the state: this link has no coefficients", estimate.ErrNotIdentified)
	}
	squares := func(b []float64) float64 {
		out := make([]float64, n)
		for i := range n {
			r := y[i] - link.mean(num.Dot(x[i*width:(i+1)*width], b))
			out[i] = r * r
		}
		return num.Sum(out)
	}
	now := squares(beta)
	for step := 1; step <= 100; step++ {
		a, score := mat.NewSymDense(width, nil), mat.NewVecDense(width, nil)
		for i := range n {
			row := x[i*width : (i+1)*width]
			eta := num.Dot(row, beta)
			m := link.slope(eta)
			r := y[i] - link.mean(eta)
			for p := range width {
				score.SetVec(p, score.AtVec(p)+float64(m*r*row[p]))
				for q := p; q < width; q++ {
					a.SetSym(p, q, a.At(p, q)+float64(m*m*row[p]*row[q]))
				}
			}
		}
		var chol mat.Cholesky
		if !chol.Factorize(a) {
			return nil, 0, nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotIdentified)
		}
		var d mat.VecDense
		if err := chol.SolveVecTo(&d, score); err != nil {
			return nil, 0, nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotIdentified)
		}
		if math.Sqrt(max(0, mat.Dot(&d, score))/(now/float64(n))) < pseudoStep {
			return beta, step, &chol, nil
		}
		moved := false
		for f := 1.0; f > 1e-8; f /= 2 {
			next := make([]float64, width)
			for j := range next {
				next[j] = beta[j] + float64(f*d.AtVec(j))
			}
			if s := squares(next); s <= now*(1+1e-15) {
				beta, now, moved = next, s, true
				break
			}
		}
		if !moved {
			break
		}
	}
	return nil, 0, nil, fmt.Errorf("%w: the estimating equations were not solved in 100 steps", estimate.ErrNotConverged)
}
