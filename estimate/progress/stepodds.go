package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// StepOdds asks at which steps a programme helps. With y on steps 1 to K, x the covariates and, first among them, treatment,
//
//	proportional:  logit P(Y ≥ k) = α_k + x'β            partial:  logit P(Y ≥ k) = α_k + x₁β_k + x₂'β
//
// by maximum likelihood, x₁ the treatment. Twice the difference of the log likelihoods, on K − 2 degrees of freedom, tests that
// the odds ratio of treatment is the same at all steps. If it is not, the odds ratios step by step say where it helps; the
// win probability ([Wins]) stands whatever they are and is the measure to report.
//
// Estimates: overall (log-odds-ratio, proportional), then step>=S for each step but the lowest (partial). Standard errors
// are the sandwich of the persons' scores (clusters with G/(G − 1)), as one of the two models is wrong where they differ. Details: proportional_odds
// {statistic, df, p_value}, proportional_odds_wald (the same test by W = β̃'(CVC')⁻¹β̃, β̃_k = β_k − β_1, V the sandwich: also with weights and
// clusters), loglik [proportional, partial], steps, vcov.
//
// Errors: [estimate.ErrTooFew] under MinPerArm in an arm or with one step; [estimate.ErrSeparated] where an arm is never, or
// always, on a step or above; [estimate.ErrNotConverged]; [estimate.ErrCollinear]; [estimate.ErrWeights] for frequencies.
//
// McCullagh (1980); Peterson and Harrell (1990).
type StepOdds struct {
	MinPerArm int // 0 means 15
	Workers   int // never changes a result
}

// Fit estimates from a frame: outcome the step, covariates other than treatment in X.
func (e StepOdds) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := e.fit(f)
	if err != nil {
		return nil, fmt.Errorf("odds by step: %w", err)
	}
	return res, ctx.Err()
}

func (e StepOdds) fit(f *estimate.Frame) (*estimate.Result, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	switch {
	case f.Treated == nil:
		return nil, estimate.ErrNoTreated
	case f.Weight.Kind == estimate.Frequency:
		return nil, fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case f.Set != nil:
		return nil, invalid("odds take no sets; put the set numbers into clusters")
	}
	c, err := newStepOdds(f, e)
	if err != nil {
		return nil, err
	}
	plain, err := c.maximise(false)
	if err != nil {
		return nil, err
	}
	partial, err := c.maximise(true)
	if err != nil {
		return nil, err
	}
	return c.result(plain, partial, e.Workers)
}

// stepOdds is the data: K steps, width covariates with treatment first.
type stepOdds struct {
	f     *estimate.Frame
	order []int32
	step  []float64 // the steps' values
	at    []int     // of each row, its step
	x     []float64
	width int
	w     []float64
	arm   [2]int
}

func newStepOdds(f *estimate.Frame, e StepOdds) (*stepOdds, error) {
	c := &stepOdds{f: f, width: 1 + len(f.XNames), w: make([]float64, len(f.Y)), at: make([]int, len(f.Y))}
	for _, i := range byUnit(f.Unit) {
		c.w[i] = 1
		if f.Weight.Values != nil {
			c.w[i] = f.Weight.Values[i]
		}
		if c.w[i] > 0 {
			c.order = append(c.order, int32(i))
			c.step = append(c.step, f.Y[i])
			if f.Treated[i] {
				c.arm[1]++
			} else {
				c.arm[0]++
			}
		}
	}
	least := e.MinPerArm
	if least == 0 {
		least = MinArm
	}
	switch {
	case c.arm[1] == 0:
		return nil, estimate.ErrNoTreated
	case c.arm[0] == 0:
		return nil, estimate.ErrNoControls
	case min(c.arm[0], c.arm[1]) < least:
		return nil, fmt.Errorf("%w: an arm has %d persons, at least %d are needed", estimate.ErrTooFew, min(c.arm[0], c.arm[1]), least)
	}
	slices.Sort(c.step)
	c.step = slices.Compact(c.step)
	if len(c.step) < 2 {
		return nil, fmt.Errorf("%w: everybody is on one step", estimate.ErrTooFew)
	}
	if len(c.step) > 100 {
		return nil, invalid("%d steps; a ladder has at most 100", len(c.step))
	}
	// Of each arm somebody must be on the lowest step it could leave and above: else an odds ratio has no bound.
	for k := 1; k < len(c.step); k++ {
		var above [2]int
		for _, i := range c.order {
			if f.Y[i] >= c.step[k] {
				above[arm(f.Treated[i])]++
			}
		}
		for a := range 2 {
			if above[a] == 0 || above[a] == c.arm[a] {
				return nil, fmt.Errorf("%w: in one arm nobody, or everybody, is on the %d highest steps; join steps", estimate.ErrSeparated, len(c.step)-k)
			}
		}
	}
	// A step in between that one arm is never on: its two thresholds run together there, on the boundary of the model.
	for k, step := range c.step {
		var on [2]int
		for _, i := range c.order {
			if f.Y[i] == step {
				on[arm(f.Treated[i])]++
			}
		}
		if on[0] == 0 || on[1] == 0 {
			return nil, fmt.Errorf("%w: in one arm nobody is on step %d of %d from below, so that odds by step lie on the boundary; join it with a step beside it", estimate.ErrSeparated, k+1, len(c.step))
		}
	}
	var design []float64
	for _, p := range c.order {
		i := int(p)
		c.at[i], _ = slices.BinarySearch(c.step, f.Y[i])
		row := []float64{float64(arm(f.Treated[i]))}
		if f.X != nil {
			row = append(row, f.X.RawRowView(i)...)
		}
		c.x = append(c.x, row...)
		design = append(append(design, 1), row...)
	}
	_, gone, _, err := num.Rank(num.LsqData{N: len(c.order), K: c.width + 1, X: design, Y: make([]float64, len(c.order)), Workers: e.Workers})
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		return nil, fmt.Errorf("%w: covariate %q depends on the columns before it", estimate.ErrCollinear, f.XNames[max(0, gone[0]-2)])
	}
	return c, nil
}

func arm(treated bool) int {
	if treated {
		return 1
	}
	return 0
}

// oddsFit is a maximum: parameters α_1 … α_{K−1}, treatment (1 or K − 1 of them), the other covariates.
type oddsFit struct {
	beta    []float64
	loglik  float64
	info    *mat.SymDense
	scores  *mat.Dense // rows as order, weights in them
	steps   int
	partial bool
}

func (c *stepOdds) cuts() int { return len(c.step) - 1 }

func (c *stepOdds) size(partial bool) int {
	if partial {
		return 2*c.cuts() + c.width - 1
	}
	return c.cuts() + c.width
}

// linear gives η_k of a row and where its derivatives are 1 or x: of cut k (0 to K − 2).
func (c *stepOdds) linear(row []float64, k int, beta []float64, partial bool, d []float64) float64 {
	cuts := c.cuts()
	clear(d)
	d[k] = 1
	at := cuts
	if partial {
		d[cuts+k] = row[0]
		at = 2 * cuts
	} else {
		d[cuts] = row[0]
		at = cuts + 1
	}
	copy(d[at:], row[1:])
	return num.Dot(d, beta)
}

// evaluate gives the log likelihood, NaN outside its domain, and with derivatives the information and the scores.
func (c *stepOdds) evaluate(beta []float64, partial, derivatives bool) *oddsFit {
	m, cuts := c.size(partial), c.cuts()
	o := &oddsFit{beta: beta, partial: partial}
	if derivatives {
		o.info, o.scores = mat.NewSymDense(m, nil), mat.NewDense(len(c.order), m, nil)
	}
	up, down := make([]float64, m), make([]float64, m)
	likes := make([]float64, len(c.order))
	for r, p := range c.order {
		i := int(p)
		row := c.x[r*c.width : (r+1)*c.width]
		// P(Y = y) = P(Y ≥ y) − P(Y ≥ y + 1).
		hi, lo, fh, fl, gh, gl := 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
		clear(up)
		clear(down)
		if k := c.at[i] - 1; k >= 0 {
			eta := c.linear(row, k, beta, partial, up)
			hi, fh = num.LogitLink.Mean(eta), num.LogitLink.Slope(eta)
			gh = fh * (1 - 2*hi)
		}
		if k := c.at[i]; k < cuts {
			eta := c.linear(row, k, beta, partial, down)
			lo, fl = num.LogitLink.Mean(eta), num.LogitLink.Slope(eta)
			gl = fl * (1 - 2*lo)
		}
		pr := hi - lo
		if !(pr > 0) {
			o.loglik = math.NaN()
			return o
		}
		w := c.w[i]
		likes[r] = w * math.Log(pr)
		if !derivatives {
			continue
		}
		a, b := fh/pr, fl/pr
		haa, hbb, hab := gh/pr-a*a, -gl/pr-b*b, a*b
		s := o.scores.RawRowView(r)
		for q := range m {
			s[q] = w * (float64(a*up[q]) - float64(b*down[q]))
			for t := q; t < m; t++ {
				h := float64(haa*up[q]*up[t]) + float64(hbb*down[q]*down[t]) + float64(hab*(float64(up[q]*down[t])+float64(down[q]*up[t])))
				o.info.SetSym(q, t, o.info.At(q, t)-float64(w*h))
			}
		}
	}
	o.loglik = num.Sum(likes)
	return o
}

func (c *stepOdds) maximise(partial bool) (*oddsFit, error) {
	m, cuts := c.size(partial), c.cuts()
	beta := make([]float64, m)
	total, above := 0.0, make([]float64, cuts)
	for _, i := range c.order {
		total += c.w[i]
		for k := range cuts {
			if c.at[i] > k {
				above[k] += c.w[i]
			}
		}
	}
	for k := range cuts {
		beta[k] = math.Log(above[k] / (total - above[k]))
	}
	now := c.evaluate(beta, partial, true)
	for step := 1; step <= 100; step++ {
		score := mat.NewVecDense(m, nil)
		for r := range c.order {
			score.AddVec(score, mat.NewVecDense(m, now.scores.RawRowView(r)))
		}
		var chol mat.Cholesky
		if !chol.Factorize(now.info) {
			return nil, fmt.Errorf("%w: the information is not positive definite", estimate.ErrNotConverged)
		}
		var d mat.VecDense
		if err := chol.SolveVecTo(&d, score); err != nil {
			return nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
		}
		if mat.Dot(&d, score) < 1e-18 {
			now.steps = step
			return now, nil
		}
		moved := false
		for t := 1.0; t > 1e-10; t /= 2 {
			next := make([]float64, m)
			for q := range next {
				next[q] = now.beta[q] + float64(t*d.AtVec(q))
			}
			if try := c.evaluate(next, partial, false); try.loglik >= now.loglik-1e-12*math.Abs(now.loglik) {
				now, moved = c.evaluate(next, partial, true), true
				break
			}
		}
		if !moved {
			break
		}
	}
	return nil, fmt.Errorf("%w: the likelihood of the ordered model has no maximum that was found in 100 steps", estimate.ErrNotConverged)
}

// influence gives I⁻¹·score for each person.
func (o *oddsFit) influence() (*mat.Dense, error) {
	var chol mat.Cholesky
	if !chol.Factorize(o.info) {
		return nil, fmt.Errorf("%w: the information is not positive definite", estimate.ErrNotConverged)
	}
	var t mat.Dense
	if err := chol.SolveTo(&t, o.scores.T()); err != nil {
		return nil, fmt.Errorf("%w: the information is singular", estimate.ErrNotConverged)
	}
	return mat.DenseCopyOf(t.T()), nil
}

func (c *stepOdds) result(plain, partial *oddsFit, workers int) (*estimate.Result, error) {
	cuts, n := c.cuts(), len(c.f.Y)
	a, err := plain.influence()
	if err != nil {
		return nil, err
	}
	b, err := partial.influence()
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "odds-by-step", InfluenceUnit: c.f.Unit, Influence: mat.NewDense(n, 1+cuts, nil),
		N: estimate.Counts{Units: len(c.order), Treated: c.arm[1]}, Fit: estimate.Convergence{Converged: true, Iterations: plain.steps + partial.steps, Tolerance: 1e-18}}
	for r, p := range c.order {
		row := []float64{a.At(r, cuts)}
		for k := range cuts {
			row = append(row, b.At(r, cuts+k))
		}
		res.Influence.SetRow(int(p), row)
	}
	if res.Cov, res.N.Clusters, err = survive.Covariance(res.Influence, c.order, c.f.Cluster, workers); err != nil {
		return nil, err
	}
	vcov := "sandwich of the scores"
	if c.f.Cluster == nil {
		res.N.Clusters = 0
	} else {
		vcov += " by cluster, factor G/(G-1)"
	}
	se := func(k int) float64 { return math.Sqrt(res.Cov.At(k, k)) }
	res.Estimates = append(res.Estimates, estimate.Wald("overall", estimate.LogOddsRatio, plain.beta[cuts], se(0), math.Inf(1), c.f.Level))
	for k := range cuts {
		res.Estimates = append(res.Estimates, estimate.Wald("step>="+survive.FormatTime(c.step[k+1]), estimate.LogOddsRatio, partial.beta[cuts+k], se(k+1), math.Inf(1), c.f.Level))
	}
	stat := 2 * (partial.loglik - plain.loglik)
	h := Heterogeneity{Statistic: max(0, stat), DF: cuts - 1, P: math.NaN()}
	if h.DF > 0 {
		h.P = num.ChiSquareTail(h.Statistic, float64(h.DF))
	}
	res.Details = map[string]any{"proportional_odds": h, "proportional_odds_wald": alike(partial.beta[cuts:2*cuts], res.Cov, 1), "loglik": []float64{plain.loglik, partial.loglik}, "steps": c.step, "vcov": vcov}
	switch {
	case c.f.Cluster != nil || c.f.Weight.Values != nil:
		delete(res.Details, "proportional_odds") // twice a pseudo likelihood is no chi-square
		res.Notes = append(res.Notes, table.Note{Code: "odds-test-left-out", Text: "With weights or clusters the likelihood ratio has no chi-square distribution: the Wald test by the scores stands instead."})
	case h.P < 0.05:
		res.Notes = append(res.Notes, table.Note{Code: "odds-not-proportional", Text: "The odds ratio differs between steps by more than chance: read it step by step.", Args: map[string]any{"p_value": h.P}})
	}
	return res, nil
}

// alike is the Wald test that numbers are all one: those of cov from column first on.
func alike(beta []float64, cov *mat.SymDense, first int) Heterogeneity {
	h := Heterogeneity{Statistic: math.NaN(), DF: len(beta) - 1, P: math.NaN()}
	if h.DF < 1 {
		return h
	}
	d, v := mat.NewVecDense(h.DF, nil), mat.NewSymDense(h.DF, nil)
	for a := range h.DF {
		d.SetVec(a, beta[a+1]-beta[0])
		for b := a; b < h.DF; b++ {
			i, j := first+a+1, first+b+1
			v.SetSym(a, b, cov.At(i, j)-cov.At(i, first)-cov.At(first, j)+cov.At(first, first))
		}
	}
	var chol mat.Cholesky
	var x mat.VecDense
	if !chol.Factorize(v) || chol.SolveVecTo(&x, d) != nil {
		return h
	}
	h.Statistic = mat.Dot(d, &x)
	h.P = num.ChiSquareTail(h.Statistic, float64(h.DF))
	return h
}
