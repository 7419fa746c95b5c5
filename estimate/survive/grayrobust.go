package survive

import (
	"context"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// robust is the test where Gray's variance does not hold: the score test of the groups in Fine–Gray regression at β = 0, with
// the variance of its influence function, a censoring curve for each group. Its U is Gray's with ρ = 0.
func (e GrayTest) robust(ctx context.Context, f *Competing, all []int32) (*estimate.Result, error) {
	if e.Rho != 0 {
		return nil, fmt.Errorf("rho %v: with weights, clusters or entry times the test has rho 0", e.Rho)
	}
	if err := f.checkRobust(); err != nil {
		return nil, err
	}
	order, err := idOrder(f.Unit)
	if err != nil {
		return nil, err
	}
	order = active(f.Weight.Values, order)
	n, k := len(f.Time), len(f.GroupNames)-1
	c := &CompetingCovaried{Competing: *f, X: mat.NewDense(n, k, nil), XNames: f.GroupNames[1:], CensoringStratum: f.Group}
	c.Group, c.GroupNames = nil, nil
	for i, g := range f.Group {
		if g > 0 {
			c.X.Set(i, g-1, 1)
		}
	}
	res := &estimate.Result{Method: "gray", Fit: estimate.Convergence{Converged: true}, N: estimate.Counts{Units: len(all)}, Notes: weightNote(f.Weight)}
	var list []GrayRow
	name := ""
	for j, cause := range f.CauseNames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := e.score(c, order, j, res)
		if err != nil {
			return nil, fmt.Errorf("cause %q: %w", cause, err)
		}
		name = row.vcov
		row.Cause = cause
		res.Estimates = append(res.Estimates, chiSquareTest("gray,cause="+cause, row.Statistic, row.DF))
		res.N.Events += row.Events
		list = append(list, row.GrayRow)
	}
	if dropped := n - len(order); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	res.Details = map[string]any{"gray": list, "rho": e.Rho, "vcov": name}
	return res, nil
}

type grayScore struct {
	GrayRow
	vcov string
}

func (e GrayTest) score(c *CompetingCovaried, order []int32, cause int, res *estimate.Result) (grayScore, error) {
	var row grayScore
	m, err := newFineGrayModel(c, order, cause, false)
	if err != nil {
		return row, err
	}
	p := m.point(make([]float64, m.k))
	p.chol = make([]float64, m.k*m.k)
	if cholesky(p.info, p.chol, 1e-10) >= 0 {
		return row, fmt.Errorf("%w: the groups are never at risk together", estimate.ErrNotIdentified)
	}
	step := slices.Clone(p.u)
	forwardSolve(p.chol, m.k, step)
	backSolve(p.chol, m.k, step)
	for a := range step {
		step[a] /= m.sd[a]
	}
	// I⁻¹U in the covariance of I⁻¹·(what units add) is U in that of what they add.
	one := &estimate.Result{Influence: m.influence(p)}
	if row.vcov, err = robustCovariance(one, order, c.Cluster, 0); err != nil {
		return row, err
	}
	stat, ok := quadratic(one.Cov, step)
	if !ok {
		return row, fmt.Errorf("%w: the variance of the test is singular", estimate.ErrNotIdentified)
	}
	if len(one.Notes) > 0 && res.N.Clusters == 0 {
		res.Notes = append(res.Notes, one.Notes...)
	}
	res.N.Clusters = one.N.Clusters
	x := chiSquareRow(stat, m.k)
	row.GrayRow = GrayRow{Events: m.events, Statistic: x.Statistic, DF: x.DF, P: x.P}
	return row, nil
}
