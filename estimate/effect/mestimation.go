package effect

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Ratios of the two means of a 0/1 outcome. Their estimates are on the natural scale,
// with interval and test of 1 on the log scale.
const (
	RiskRatio estimate.Measure = "risk-ratio"
	OddsRatio estimate.Measure = "odds-ratio"
)

// causal is the sample of the estimators of two potential outcome means. Its rows are
// in the order of the keyed hash of their unit, so that the order of the frame
// changes no bit of a sum.
type causal struct {
	*sample
	n, k     int
	treated  []bool
	x        []float64 // n×k by rows, the first column 1
	names    []string  // k
	cluster  []int     // nil without clusters
	tally    estimate.Counts
	units    float64 // N: rows, or the sum of frequency weights
	arm      [2]float64
	binary   bool
	vcov     Vcov
	params   int // K of hc1 and cr1, set by the method
	workers  int
	iterated int
	// learner fits the nuisance models; nil is regression without a penalty. Scores are
	// kept within bound (0: as they are); guarded refuses those that decide alone.
	learner *learner
	bound   float64
	guarded bool
}

// causalOptions are what the estimators on causal share.
type causalOptions struct {
	method     string
	estimand   string
	estimands  []string
	vcov       Vcov
	ratios     bool
	sets       bool // sets and matching weights are of use
	covariates bool // at least one is needed
	workers    int
}

// newCausal checks frame and options and takes the rows that take part.
func newCausal(ctx context.Context, f *estimate.Frame, o *causalOptions) (*causal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.estimand == "" {
		o.estimand = "att"
	}
	if !slices.Contains(o.estimands, o.estimand) {
		return nil, fmt.Errorf("%w: estimand %q; known are %v", ErrOption, o.estimand, o.estimands)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	switch {
	case f.Treated == nil:
		return nil, fmt.Errorf("%w: no treatment", estimate.ErrInvalidFrame)
	case o.covariates && f.X == nil:
		return nil, fmt.Errorf("%w: no covariates; use difference", estimate.ErrInvalidFrame)
	case !o.sets && f.Set != nil:
		return nil, fmt.Errorf("%w: matched sets are not used by %s, which makes its own comparison; use difference, regression or g-computation", ErrOption, o.method)
	case !o.sets && f.Weight.Kind == estimate.Matching:
		return nil, fmt.Errorf("%w: %s makes its own weights and cannot use matching weights; use difference, regression or g-computation, or say that the weights are sampling or frequency weights", estimate.ErrWeights, o.method)
	}
	var use func(int) bool
	c := &causal{workers: o.workers}
	var setNotes []table.Note
	if o.sets {
		var err error
		if use, setNotes, c.tally.Sets, err = usableSets(f); err != nil {
			return nil, err
		}
	}
	s, err := newSample(f, use)
	if err != nil {
		return nil, err
	}
	c.sample = byHash(s)
	c.notes = append(setNotes, c.notes...)
	c.n = len(c.rows)
	c.binary = true
	c.treated = make([]bool, c.n)
	for i, r := range c.rows {
		c.treated[i] = f.Treated[r]
		c.arm[index(c.treated[i])] += c.copies(i)
		c.binary = c.binary && (c.y[i] == 0 || c.y[i] == 1)
	}
	c.units = c.arm[0] + c.arm[1]
	c.tally.Units, c.tally.Treated = int(c.units), int(c.arm[1])
	switch {
	case c.arm[1] == 0:
		return nil, estimate.ErrNoTreated
	case c.arm[0] == 0:
		return nil, estimate.ErrNoControls
	case o.ratios && !c.binary:
		return nil, fmt.Errorf("%w: ratios of risks need an outcome of 0 and 1", ErrOption)
	}
	if err := c.clusters(o); err != nil {
		return nil, err
	}
	return c, c.design()
}

// byHash orders the rows of a sample by the keyed hash of their unit.
func byHash(s *sample) *sample {
	keys := make([]uint64, len(s.rows))
	for i, r := range s.rows {
		keys[i] = num.KeyedHash(0, s.frame.Unit[r])
	}
	out := &sample{frame: s.frame, kind: s.kind, notes: s.notes}
	for _, i := range num.OrderKeys(keys) {
		out.rows, out.y = append(out.rows, s.rows[i]), append(out.y, s.y[i])
		if s.weight != nil {
			out.weight = append(out.weight, s.weight[i])
		}
	}
	return out
}

func index(treated bool) int {
	if treated {
		return 1
	}
	return 0
}

func (c *causal) w(i int) float64 {
	if c.weight == nil {
		return 1
	}
	return c.weight[i]
}

// copies is the number of units that a row stands for.
func (c *causal) copies(i int) float64 {
	if c.kind == estimate.Frequency {
		return c.weight[i]
	}
	return 1
}

// clusters settles covariance and clusters: f.Cluster, else the sets.
func (c *causal) clusters(o *causalOptions) error {
	codes := c.frame.Cluster
	if codes == nil {
		codes = c.frame.Set
	}
	c.vcov = o.vcov
	switch c.vcov {
	case "":
		c.vcov = HC0
		if codes != nil {
			c.vcov = CR0
		}
	case HC0, HC1, CR0, CR1:
	default:
		return fmt.Errorf("%w: vcov %q; for %s there are hc0, hc1, cr0 and cr1", ErrOption, string(c.vcov), o.method)
	}
	if !c.vcov.clustered() {
		return nil
	}
	if codes == nil {
		return fmt.Errorf("%w: vcov %s needs clusters; name the cluster column, or use hc0", ErrOption, c.vcov)
	}
	c.cluster, c.tally.Clusters = dense(c.codes(codes))
	if c.tally.Clusters < 2 {
		return fmt.Errorf("%w: clustered errors need at least 2 clusters, there is %d", estimate.ErrTooFew, c.tally.Clusters)
	}
	if c.tally.Clusters < 30 {
		c.notes = append(c.notes, table.Note{Code: "few-clusters",
			Text: fmt.Sprintf("Only %d clusters: clustered standard errors are too small when clusters are few.", c.tally.Clusters),
			Args: map[string]any{"clusters": c.tally.Clusters}})
	}
	return nil
}

// potential are the means of the outcome without (0) and with (1) treatment in the
// population of the estimand, and their influence, already divided by n.
type potential struct {
	theta [2]float64
	phi   [2][]float64
}

func (c *causal) newPotential() *potential {
	return &potential{phi: [2][]float64{make([]float64, c.n), make([]float64, c.n)}}
}

// contrast gives a number that is a function of the means, with its derivatives.
type contrast struct {
	term    string
	measure estimate.Measure
	value   float64
	d       [2]float64
}

// result turns the means into estimates.
func (c *causal) result(o *causalOptions, p *potential) (*estimate.Result, error) {
	if (c.vcov == HC1 || c.vcov == CR1) && c.units <= float64(c.params) {
		return nil, fmt.Errorf("%w: vcov %s: %g rows for %d parameters", estimate.ErrTooFew, c.vcov, c.units, c.params)
	}
	for a := range p.phi {
		if math.Sqrt(num.Dot(p.phi[a], p.phi[a])) <= c.rounding() {
			clear(p.phi[a])
		}
	}
	m0, m1 := p.theta[0], p.theta[1]
	list := []contrast{{o.estimand, estimate.MeanDifference, m1 - m0, [2]float64{-1, 1}}}
	if c.binary {
		list[0].measure = estimate.RiskDifference
	}
	if o.ratios {
		rr, or := math.NaN(), math.NaN()
		if m0 > 0 && m1 > 0 {
			rr = m1 / m0
			if m0 < 1 && m1 < 1 {
				or = m1 / (1 - m1) * ((1 - m0) / m0)
			}
		}
		list = append(list, contrast{o.estimand, RiskRatio, rr, [2]float64{-rr / m0, rr / m1}},
			contrast{o.estimand, OddsRatio, or, [2]float64{-or / (m0 * (1 - m0)), or / (m1 * (1 - m1))}})
		if math.IsNaN(rr) || math.IsNaN(or) {
			c.notes = append(c.notes, table.Note{Code: "no-ratio",
				Text: "A mean that is not strictly between 0 and 1 leaves a ratio without a value."})
		}
	}
	res := &estimate.Result{Method: o.method, N: c.tally, Fit: estimate.Convergence{Converged: true, Iterations: c.iterated}}
	phi := make([][]float64, len(list))
	for j, t := range list {
		phi[j] = make([]float64, c.n)
		for i := range phi[j] {
			phi[j][i] = float64(t.d[0]*p.phi[0][i]) + float64(t.d[1]*p.phi[1][i])
		}
	}
	res.Cov = c.covariance(phi)
	for j, t := range list {
		se := math.Sqrt(res.Cov.At(j, j))
		if t.measure == RiskRatio || t.measure == OddsRatio {
			res.Estimates = append(res.Estimates, naturalRatio(t.term, t.measure, t.value, se, c.df(), c.frame.Level))
		} else {
			res.Estimates = append(res.Estimates, estimate.Wald(t.term, t.measure, t.value, se, c.df(), c.frame.Level))
		}
	}
	c.place(res, phi)
	res.Details = map[string]any{"mean_treated": m1, "mean_control": m0, "vcov": c.vcovText()}
	res.Notes = append(c.notes, zeroError(res.Estimates)...)
	return res, nil
}

// naturalRatio has its interval and its test of 1 on the log scale.
func naturalRatio(term string, m estimate.Measure, ratio, se, df, level float64) estimate.Estimate {
	e := estimate.Wald(term, m, math.Log(ratio), se/ratio, df, level)
	e.Value, e.SE = ratio, se
	e.CI.Lo, e.CI.Hi, e.CI.Method = math.Exp(e.CI.Lo), math.Exp(e.CI.Hi), "log"
	e.Test.Null = 1
	return e
}

// covariance returns the joint covariance of estimates with the given influence:
// Σ φφ' over rows (over w for w copies) or over clusters of their sums, with the
// factor of hc1 and cr1.
func (c *causal) covariance(phi [][]float64) *mat.SymDense {
	parts := phi
	if c.cluster != nil {
		parts = make([][]float64, len(phi))
		for j := range phi {
			parts[j] = make([]float64, c.tally.Clusters)
			for i, g := range c.cluster {
				parts[j][g] += phi[j][i]
			}
		}
	} else if c.kind == estimate.Frequency {
		parts = make([][]float64, len(phi))
		for j := range phi {
			parts[j] = make([]float64, c.n)
			for i, v := range phi[j] {
				parts[j][i] = v / math.Sqrt(c.weight[i])
			}
		}
	}
	factor := 1.0
	if c.vcov == HC1 {
		factor = c.units / (c.units - float64(c.params))
	}
	if c.vcov == CR1 {
		g := float64(c.tally.Clusters)
		factor = g / (g - 1) * (c.units - 1) / (c.units - float64(c.params))
	}
	cov := mat.NewSymDense(len(phi), nil)
	for a := range parts {
		for b := a; b < len(parts); b++ {
			cov.SetSym(a, b, factor*num.Dot(parts[a], parts[b]))
		}
	}
	return cov
}

// rounding is the size of an error below which it is the rounding of the outcomes, and
// would look like evidence: it is then 0.
func (c *causal) rounding() float64 {
	largest := 0.0
	for _, y := range c.y {
		largest = math.Max(largest, math.Abs(y))
	}
	return 1e-14 * largest
}

func (c *causal) df() float64 {
	if c.vcov.clustered() {
		return float64(c.tally.Clusters - 1)
	}
	return math.Inf(1)
}

func (c *causal) vcovText() string {
	switch c.vcov {
	case HC1:
		return fmt.Sprintf("hc1: influence function, independent rows, factor N/(N-K) with K = %d; normal", c.params)
	case CR0:
		return "cr0: influence function summed by cluster, no factor; t on G-1"
	case CR1:
		return fmt.Sprintf("cr1: influence function summed by cluster, factor G/(G-1)*(N-1)/(N-K) with K = %d; t on G-1", c.params)
	}
	return "hc0: influence function, independent rows, divisor n; normal"
}

// place writes the influence to the result: a row per frame row, 0 for those left out.
func (c *causal) place(res *estimate.Result, phi [][]float64) {
	m := mat.NewDense(len(c.frame.Y), len(phi), nil)
	for j := range phi {
		for i, r := range c.rows {
			m.Set(r, j, phi[j][i])
		}
	}
	res.Influence, res.InfluenceUnit = m, c.frame.Unit
}
