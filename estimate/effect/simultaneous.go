package effect

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Outcome is one of several outcomes of the same people: a month since start, say.
type Outcome struct {
	Name string
	Y    []float64 // as estimate.Frame.Y
}

// Simultaneous estimates one effect on several outcomes of the same people, with
// intervals that hold for all of them at once: a sup-t band
//
//	θ̂ₖ ± c·seₖ,  P(maxₖ |Zₖ| ≤ c) = level,  Z normal with the correlations of the estimates
//
// where the correlations are those of the influence functions (of their sums over
// clusters, where the errors are clustered) and c is the ⌈B·level⌉-th smallest of B
// simulated maxima. Errors on G-1 degrees of freedom take the t quantile of the level
// whose normal quantile is c. Tests and p-values stay those of each outcome alone.
//
// Each is the estimator; it must give one estimate, or Term names the one. f.Y is not used. Estimates are in
// the order of Outcomes, term "TERM,outcome=NAME". Details: outcomes (rows outcome,
// mean_treated, mean_control), bands (critical, mc_error, replicates, seed), vcov.
//
// Errors: [ErrOption], and those of the estimator.
//
// Source: Montiel Olea and Plagborg-Møller (2019), Journal of Applied Econometrics 34(1).
type Simultaneous struct {
	Each     estimate.Estimator
	Outcomes []Outcome
	Term     string // which of the estimates of Each; "" = there is one
	// Pointwise leaves each interval its own.
	Pointwise  bool
	Replicates int    // B, at least 199; 0 means 9999
	Seed       uint64 // of the draws
	Workers    int    // as in [IPW]
}

var _ estimate.Estimator = Simultaneous{}

// Fit implements [estimate.Estimator].
func (s Simultaneous) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if s.Replicates == 0 {
		s.Replicates = 9999
	}
	switch {
	case s.Each == nil || len(s.Outcomes) < 2:
		return nil, fmt.Errorf("simultaneous: %w: an estimator and at least two outcomes are needed", ErrOption)
	case s.Replicates < 199:
		return nil, fmt.Errorf("simultaneous: %w: replicates must be at least 199", ErrOption)
	}
	var out *estimate.Result
	rows := []map[string]any{}
	var phi [][]float64
	for k, o := range s.Outcomes {
		if slices.ContainsFunc(s.Outcomes[:k], func(x Outcome) bool { return x.Name == o.Name }) {
			return nil, fmt.Errorf("simultaneous: %w: two outcomes have one name", ErrOption)
		}
		g := *f
		g.Y = o.Y
		res, err := s.Each.Fit(ctx, &g)
		if err != nil {
			return nil, fmt.Errorf("outcome %s: %w", o.Name, err)
		}
		at := 0
		if s.Term != "" {
			at = slices.IndexFunc(res.Estimates, func(e estimate.Estimate) bool { return e.Term == s.Term })
		}
		if at < 0 || s.Term == "" && len(res.Estimates) != 1 {
			return nil, fmt.Errorf("simultaneous: %w: %d estimates for one outcome; ratios and quantiles are for one outcome at a time", ErrOption, len(res.Estimates))
		}
		e := res.Estimates[at]
		e.Term += ",outcome=" + o.Name
		phi = append(phi, mat.Col(nil, at, res.Influence))
		rows = append(rows, map[string]any{"outcome": o.Name, "mean_treated": res.Details["mean_treated"], "mean_control": res.Details["mean_control"]})
		if out == nil {
			out = &estimate.Result{Method: res.Method, N: res.N, Fit: res.Fit, InfluenceUnit: res.InfluenceUnit, Notes: res.Notes, Details: map[string]any{"vcov": res.Details["vcov"]}}
		} else {
			out.Notes = mergeNotes(out.Notes, res.Notes)
			out.Fit.Iterations = max(out.Fit.Iterations, res.Fit.Iterations)
		}
		out.Estimates = append(out.Estimates, e)
	}
	out.Details["outcomes"] = rows
	s.joint(f, out, phi)
	if !s.Pointwise {
		s.band(out, f.Level)
	}
	return out, ctx.Err()
}

// Average is the mean of some estimates of a result, the months after the start say, with
// its error from their joint covariance: SE² = 1'V1/k², on the degrees of freedom of the first.
func Average(res *estimate.Result, which []int, term string, level float64) (estimate.Estimate, error) {
	if len(which) == 0 || res.Cov == nil {
		return estimate.Estimate{}, fmt.Errorf("%w: the mean of no estimate", estimate.ErrTooFew)
	}
	k := float64(len(which))
	sum, v := 0.0, 0.0
	for _, a := range which {
		sum += res.Estimates[a].Value
		for _, b := range which {
			v += res.Cov.At(a, b)
		}
	}
	first := res.Estimates[which[0]]
	return estimate.Wald(term, first.Measure, sum/k, math.Sqrt(math.Max(0, v))/k, first.Test.DF, level), nil
}

// mergeNotes adds the notes that are not there yet.
func mergeNotes(all, more []table.Note) []table.Note {
	for _, n := range more {
		if !slices.ContainsFunc(all, func(m table.Note) bool { return m.Code == n.Code && m.Text == n.Text }) {
			all = append(all, n)
		}
	}
	return all
}

// joint fills influence and covariance: each outcome's own variance, and between them
// the correlation of the influence.
func (s Simultaneous) joint(f *estimate.Frame, out *estimate.Result, phi [][]float64) {
	k := len(phi)
	out.Influence = mat.NewDense(len(phi[0]), k, nil)
	sums := make([][]float64, k)
	var code []int
	groups := 0
	if vcov, _ := out.Details["vcov"].(string); strings.HasPrefix(vcov, "cr") {
		if code = f.Cluster; code == nil {
			code = f.Set
		}
		code, groups = dense(code)
	}
	for j := range phi {
		out.Influence.SetCol(j, phi[j])
		sums[j] = phi[j]
		if code != nil {
			sums[j] = make([]float64, groups)
			for i, g := range code {
				sums[j][g] += phi[j][i]
			}
		} else if f.Weight.Kind == estimate.Frequency {
			sums[j] = make([]float64, len(phi[j]))
			for i, v := range phi[j] {
				if v != 0 {
					sums[j][i] = v / math.Sqrt(f.Weight.Values[i])
				}
			}
		}
	}
	out.Cov = mat.NewSymDense(k, nil)
	for a := range k {
		for b := a; b < k; b++ {
			se := out.Estimates[a].SE * out.Estimates[b].SE
			if a != b && se > 0 {
				se *= num.Dot(sums[a], sums[b]) / math.Sqrt(num.Dot(sums[a], sums[a])*num.Dot(sums[b], sums[b]))
			}
			out.Cov.SetSym(a, b, se)
		}
	}
}

// band replaces the intervals by those of the uniform band over the estimates with an
// error above 0.
func (s Simultaneous) band(out *estimate.Result, level float64) {
	var in []int
	for j, e := range out.Estimates {
		if e.SE > 0 {
			in = append(in, j)
		}
	}
	details := map[string]any{"type": "uniform", "critical": math.NaN(), "mc_error": math.NaN(), "replicates": s.Replicates, "seed": s.Seed}
	out.Details["bands"] = details
	if len(in) == 0 {
		return
	}
	k := len(in)
	r := mat.NewSymDense(k, nil)
	for a, i := range in {
		for b := a; b < k; b++ {
			j := in[b]
			r.SetSym(a, b, out.Cov.At(i, j)/(out.Estimates[i].SE*out.Estimates[j].SE))
		}
	}
	critical, mc := supT(r, level, s.Replicates, s.Seed, s.Workers)
	details["critical"], details["mc_error"] = critical, mc
	for _, j := range in {
		e := &out.Estimates[j]
		q := critical
		if !math.IsInf(e.Test.DF, 1) {
			q = num.StudentQuantile(1-num.NormalTail(critical), e.Test.DF)
		}
		e.CI = estimate.Interval{Lo: e.Value - float64(q*e.SE), Hi: e.Value + float64(q*e.SE), Level: level, Method: "uniform-band"}
	}
}

// supT simulates the quantile of the largest |Z| for the correlations r, with its Monte
// Carlo error: half the distance of the order statistics one binomial deviation away.
// It is never below the normal quantile of one estimate.
func supT(r *mat.SymDense, level float64, b int, seed uint64, workers int) (critical, mc float64) {
	k := r.SymmetricDim()
	var eig mat.EigenSym
	if !eig.Factorize(r, true) {
		panic("effect: eigenvalues of a correlation matrix")
	}
	var root mat.Dense
	eig.VectorsTo(&root)
	for j, v := range eig.Values(nil) {
		scale := math.Sqrt(math.Max(v, 0))
		for i := range k {
			root.Set(i, j, root.At(i, j)*scale)
		}
	}
	t := make([]float64, b)
	const run = 64
	num.ForEach((b+run-1)/run, workers, func(c int) {
		z := make([]float64, k)
		for draw := c * run; draw < min((c+1)*run, b); draw++ {
			stream := num.NewStream(seed, "simultaneous-band", uint64(draw))
			for j := range z {
				z[j] = stream.Normal()
			}
			for i := range k {
				t[draw] = math.Max(t[draw], math.Abs(num.Dot(root.RawRowView(i), z)))
			}
		}
	})
	slices.Sort(t)
	rank := min(int(math.Ceil(float64(b)*level))-1, b-1)
	spread := int(math.Ceil(math.Sqrt(float64(b) * level * (1 - level))))
	mc = (t[min(rank+spread, b-1)] - t[max(rank-spread, 0)]) / 2
	return math.Max(t[rank], num.StudentQuantile(level, math.Inf(1))), mc
}
