package effect

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// Expected is what is expected of outcomes before any is seen. SD or Share is given, not
// both: the standard deviation of a number within an arm, or the share of the comparison
// units with a 1. The correlations are those of two outcomes of one matched set and of one
// cluster beyond that; 0 counts on none.
type Expected struct {
	SD, Share                          float64
	SetCorrelation, ClusterCorrelation float64
}

// Power says how sure a test must be: Level of its interval (0.95) and the Power (0.8) with
// which an effect is to be found. Lower asks for a decrease of a share.
type Power struct {
	Expected
	Level, Power float64
	Lower        bool
}

// A Comparison is what is known of a design without a table of it: effective numbers of
// units, and the clusters that are treated or not as a whole, with their mean size and its
// coefficient of variation (0 = no clusters).
type Comparison struct {
	Treated, Control                float64
	ClusterSize, ClusterSizeVariety float64
}

// parts are the sums of a design's coefficients, so that
//
//	Var θ̂ = s₁²·Q₁₁ + s₀²·Q₀₀ + 2·s₁s₀·Q₁₀
//
// with s_a the standard deviation of an outcome in arm a.
type parts struct{ q11, q00, q10 float64 }

func (q parts) variance(s1, s0 float64) float64 {
	return float64(s1*s1*q.q11) + float64(s0*s0*q.q00) + float64(2*s1*s0*q.q10)
}

// parts of sets of one treated and n₀/n₁ comparison units and of clusters as a whole: with
// ρ the set and ι the cluster correlation,
//
//	D = 1 + (m(1+CV²) - 1)ι  (Kish; unequal sizes: Eldridge, Ashby and Kerry 2006)
//	Q₁₁ = D/n₁,  Q₀₀ = D/n₀·(1-ρ) + ρ/n₁,  Q₁₀ = -ρ/n₁
//
// Sets and clusters together need the cohort itself.
func (p Power) partsOf(c Comparison) (parts, error) {
	rho, icc := p.SetCorrelation, p.ClusterCorrelation
	switch {
	case !(c.Treated >= 2) || !(c.Control >= 2) || math.IsInf(c.Treated+c.Control, 0):
		return parts{}, fmt.Errorf("%w: power needs two units in each group", ErrOption)
	case icc > 0 && !(c.ClusterSize >= 1):
		return parts{}, fmt.Errorf("%w: a cluster correlation needs the mean size of clusters", ErrOption)
	case icc == 0 && (c.ClusterSize != 0 || c.ClusterSizeVariety != 0):
		return parts{}, fmt.Errorf("%w: the size of clusters matters only with a cluster correlation", ErrOption)
	case c.ClusterSizeVariety < 0:
		return parts{}, fmt.Errorf("%w: the coefficient of variation of cluster sizes is at least 0", ErrOption)
	case rho > 0 && icc > 0:
		return parts{}, fmt.Errorf("%w: sets and clusters together need the cohort itself", ErrOption)
	case rho > 0 && c.Control < c.Treated:
		return parts{}, fmt.Errorf("%w: sets of one treated need at least as many comparison units", ErrOption)
	}
	d := 1.0
	if icc > 0 {
		v := c.ClusterSizeVariety
		d = 1 + (c.ClusterSize*(1+float64(v*v))-1)*icc
	}
	return parts{
		q11: d / c.Treated,
		q00: d/c.Control*(1-rho) + rho/c.Treated,
		q10: -rho / c.Treated,
	}, nil
}

// partsIn are those of the rows of a cohort that [Difference] would use: with a_i = w_i/Σw
// for the treated and -w_i/Σw for the others, ρ and ι the set and cluster correlation,
//
//	Q = (1-ρ-ι)·Σa_i² + ρ·Σ_sets(Σa)² + ι·Σ_clusters(Σa)²
//
// split by arm: exact for unequal sets, weights and clusters that hold both arms.
func (p Power) partsIn(f *estimate.Frame) (parts, *sample, error) {
	s, err := plannedRows(f)
	if err != nil {
		return parts{}, nil, err
	}
	rho, icc := p.SetCorrelation, p.ClusterCorrelation
	switch {
	case rho > 0 && f.Set == nil:
		return parts{}, nil, fmt.Errorf("%w: a set correlation needs matched sets", ErrOption)
	case icc > 0 && f.Cluster == nil:
		return parts{}, nil, fmt.Errorf("%w: a cluster correlation needs clusters", ErrOption)
	}
	total := s.armWeights()
	var q parts
	add := func(share float64, code func(r int) int) {
		if share == 0 {
			return
		}
		at := map[int]int{}
		var sums [][2]float64
		for i, r := range s.rows {
			c := code(r)
			k, ok := at[c]
			if !ok {
				k = len(sums)
				at[c] = k
				sums = append(sums, [2]float64{})
			}
			a := index(f.Treated[r])
			sums[k][a] += s.w(i) / total[a]
		}
		for _, v := range sums {
			q.q11 += share * v[1] * v[1]
			q.q00 += share * v[0] * v[0]
			q.q10 -= share * v[1] * v[0]
		}
	}
	for i, r := range s.rows {
		a := index(f.Treated[r])
		v := s.w(i) / total[a]
		if a == 1 {
			q.q11 += (1 - rho - icc) * v * v
		} else {
			q.q00 += (1 - rho - icc) * v * v
		}
	}
	add(rho, func(r int) int { return f.Set[r] })
	add(icc, func(r int) int { return f.Cluster[r] })
	return q, s, nil
}

// plannedRows are the rows that [Difference] uses; outcomes are not read.
func plannedRows(f *estimate.Frame) (*sample, error) {
	g := *f
	g.Y = make([]float64, len(f.Unit))
	if err := g.Check(); err != nil {
		return nil, err
	}
	if f.Treated == nil {
		return nil, fmt.Errorf("%w: no treatment", estimate.ErrInvalidFrame)
	}
	if f.Weight.Kind == estimate.Frequency {
		return nil, fmt.Errorf("%w: power takes sampling and matching weights; write a row for each copy", estimate.ErrWeights)
	}
	use, _, _, err := usableSets(&g)
	if err != nil {
		return nil, err
	}
	s, err := newSample(&g, use)
	if err != nil {
		return nil, err
	}
	switch treated := s.count(func(r int) bool { return f.Treated[r] }); {
	case treated < 2 || s.count(nil)-treated < 2:
		return nil, fmt.Errorf("%w: power needs two units in each group", estimate.ErrTooFew)
	}
	return s, nil
}

func (s *sample) w(i int) float64 {
	if s.weight == nil {
		return 1
	}
	return s.weight[i]
}

func (s *sample) armWeights() (total [2]float64) {
	for i, r := range s.rows {
		total[index(s.frame.Treated[r])] += s.w(i)
	}
	return total
}

func (p Power) check() error {
	bad := func(text string) error { return fmt.Errorf("%w: %s", ErrOption, text) }
	switch {
	case (p.SD != 0) == (p.Share != 0):
		return bad("power needs the standard deviation of a number or the expected share, one of them")
	case p.SD != 0 && (!(p.SD > 0) || math.IsInf(p.SD, 0)):
		return bad("the standard deviation must be above 0")
	case p.Share != 0 && !(p.Share > 0 && p.Share < 1):
		return bad("the expected share lies between 0 and 1")
	case !(p.Level > 0 && p.Level < 1) || !(p.Power > 0 && p.Power < 1):
		return bad("level and power lie between 0 and 1")
	case !(p.SetCorrelation >= 0) || !(p.ClusterCorrelation >= 0) || p.SetCorrelation+p.ClusterCorrelation >= 1:
		return bad("correlations are at least 0 and together below 1")
	case p.Lower && p.Share == 0:
		return bad("a decrease is a question of shares: the power for a number is the same both ways")
	}
	return nil
}

// spreads are the standard deviations in the arms under an effect; ok is false where no
// share can have it.
func (p Power) spreads(effect float64) (s1, s0 float64, ok bool) {
	if p.Share == 0 {
		return p.SD, p.SD, true
	}
	with := p.Share + effect
	if with < 0 || with > 1 {
		return 0, 0, false
	}
	return math.Sqrt(with * (1 - with)), math.Sqrt(p.Share * (1 - p.Share)), true
}

// reach is the probability to reject 0 under an effect: Φ(|δ|/σ - z) + Φ(-|δ|/σ - z).
func (p Power) reach(q parts, effect float64) (float64, error) {
	s1, s0, ok := p.spreads(effect)
	if !ok {
		return math.NaN(), fmt.Errorf("%w: the expected share and the effect leave the range from 0 to 1", ErrOption)
	}
	z := num.NormalQuantile((1 + p.Level) / 2)
	d := math.Abs(effect) / math.Sqrt(q.variance(s1, s0))
	return (math.Erfc((z-d)/math.Sqrt2) + math.Erfc((z+d)/math.Sqrt2)) / 2, nil
}

// detectable is the least δ with |δ| ≥ (z_{(1+level)/2} + z_power)·σ(δ): in closed form for
// a number, by bisection for a share, whose σ depends on δ.
func (p Power) detectable(q parts) (float64, error) {
	z := num.NormalQuantile((1+p.Level)/2) + num.NormalQuantile(p.Power)
	if z <= 0 {
		return math.NaN(), fmt.Errorf("%w: this power is below the level of the test itself", ErrOption)
	}
	if p.Share == 0 {
		return z * math.Sqrt(q.variance(p.SD, p.SD)), nil
	}
	sign, most := 1.0, 1-p.Share
	if p.Lower {
		sign, most = -1, p.Share
	}
	short := func(d float64) bool {
		s1, s0, _ := p.spreads(sign * d)
		return d < z*math.Sqrt(q.variance(s1, s0))
	}
	if short(most) {
		return math.NaN(), fmt.Errorf("%w: no effect on this share is large enough to be found with this power", estimate.ErrNotIdentified)
	}
	lo, hi := 0.0, most
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if short(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return sign * hi, nil
}

// Of is the minimum detectable effect of a comparison,
//
//	MDE = (z_{(1+level)/2} + z_power)·√(s₁²Q₁₁ + s₀²Q₀₀ + 2s₁s₀Q₁₀)
//
// with s the outcome's standard deviation (for a share √(p(1-p)), that of the treated at
// p + MDE), Q₁₁ = D/n₁, Q₀₀ = D/n₀·(1-ρ) + ρ/n₁, Q₁₀ = -ρ/n₁, ρ the correlation within
// sets of one treated and n₀/n₁ others, D = 1 + (m(1+CV²)-1)ι the design effect of
// clusters that are treated or not as a whole (Kish; Eldridge, Ashby and Kerry 2006).
// Normal approximation; for few clusters simulate. Without correlations it is
// [MinimumDetectable].
//
// Errors: [ErrOption]; [estimate.ErrNotIdentified] where no share is far enough.
func (p Power) Of(c Comparison) (float64, error) {
	if err := p.check(); err != nil {
		return math.NaN(), err
	}
	q, err := p.partsOf(c)
	if err != nil {
		return math.NaN(), err
	}
	return p.detectable(q)
}

// Reach is the power of a comparison to find an effect, both signs of rejection counted.
func (p Power) Reach(c Comparison, effect float64) (float64, error) {
	if err := p.check(); err != nil {
		return math.NaN(), err
	}
	q, err := p.partsOf(c)
	if err != nil {
		return math.NaN(), err
	}
	return p.reach(q, effect)
}

// In is the minimum detectable effect of a cohort, whose outcomes are not read: as
// [Power.Of] with the sums of its own weights, sets and clusters,
//
//	Q = (1-ρ-ι)·Σa_i² + ρ·Σ_sets(Σa)² + ι·Σ_clusters(Σa)²,  a_i = ±w_i/Σ_arm w
//
// by arm; f as [Difference] reads it.
func (p Power) In(f *estimate.Frame) (float64, error) {
	if err := p.check(); err != nil {
		return math.NaN(), err
	}
	q, _, err := p.partsIn(f)
	if err != nil {
		return math.NaN(), err
	}
	return p.detectable(q)
}

// ReachIn is the power of a cohort to find an effect.
func (p Power) ReachIn(f *estimate.Frame, effect float64) (float64, error) {
	if err := p.check(); err != nil {
		return math.NaN(), err
	}
	q, _, err := p.partsIn(f)
	if err != nil {
		return math.NaN(), err
	}
	return p.reach(q, effect)
}
