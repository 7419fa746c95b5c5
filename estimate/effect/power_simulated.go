package effect

import (
	"context"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
)

// SimulatedPower finds the power of a planned analysis on the cohort it will use, before
// outcomes are opened: outcomes are drawn from what is expected of them, with an effect
// planted, on the cohort's own weights, sets and clusters, and the analysis is run. For a
// number
//
//	y = SD·(√ρ·u_set + √ι·v_cluster + √(1-ρ-ι)·e) + δ·treated
//
// u, v, e standard normal. For a share y is 1 where the same sum, with ρ and ι turned into
// the correlations that give outcomes the stated ones at the expected share, lies below
// Φ⁻¹(p + δ·treated). The draws of a replicate are the same for every δ, so that a curve is
// smooth; they go to units in the order of a hash of their names, so that no order of rows
// changes them.
//
// The analysis is Planned, or [Difference] with its own errors where that is nil (computed
// here without its overhead, to the same digits). An outcome that does not vary counts as
// not rejected. An error of the analysis is an error.
type SimulatedPower struct {
	Power
	Replicates int // 0 = 500
	Seed       uint64
	Planned    estimate.Estimator // its first estimate is tested
	Workers    int
}

// Rejection is the share of the replicates in which 0 was rejected, and its Monte Carlo
// error √(p(1-p)/B).
type Rejection struct {
	Effect, Share, Error float64
}

// simulation is the fixed part of a run.
type simulation struct {
	o       *SimulatedPower
	f       *estimate.Frame
	s       *sample
	set     []uint64 // key of its set; nil = none
	cluster []uint64
	group   []int // clusters of the errors
	groups  int
	a, b, c float64 // loadings of set, cluster and own draw
	// critical is the quantile of Student's t that Difference tests by.
	critical float64
}

// At gives the power at each effect.
func (o SimulatedPower) At(ctx context.Context, f *estimate.Frame, effects ...float64) ([]Rejection, error) {
	m, err := o.simulation(f)
	if err != nil {
		return nil, fmt.Errorf("simulated power: %w", err)
	}
	out, err := m.at(ctx, effects)
	if err != nil {
		return nil, fmt.Errorf("simulated power: %w", err)
	}
	return out, nil
}

// Detectable is the smallest effect that is found with the power asked for, to a hundredth
// of the analytic one: the first of a grid of tenths of it, up to four times as large (for
// a share, as far as shares go), and then of a grid of tenths of a step before that. The
// rejection is that at the effect.
func (o SimulatedPower) Detectable(ctx context.Context, f *estimate.Frame) (Rejection, error) {
	r, err := o.detectable(ctx, f)
	if err != nil {
		return r, fmt.Errorf("simulated power: %w", err)
	}
	return r, nil
}

func (o SimulatedPower) detectable(ctx context.Context, f *estimate.Frame) (Rejection, error) {
	m, err := o.simulation(f)
	if err != nil {
		return Rejection{}, err
	}
	near, err := o.In(f)
	if err != nil {
		return Rejection{}, err
	}
	first := func(from, step float64, n int) (Rejection, bool, error) {
		var grid []float64
		for k := 1; k <= n; k++ {
			d := from + float64(float64(k)*step)
			if _, _, ok := o.spreads(d); ok {
				grid = append(grid, d)
			}
		}
		got, err := m.at(ctx, grid)
		if err != nil {
			return Rejection{}, false, err
		}
		for _, r := range got {
			if r.Share >= o.Power.Power {
				return r, true, nil
			}
		}
		return Rejection{}, false, nil
	}
	step := near / 10
	coarse, found, err := first(near/2, step, 9)
	for _, from := range []float64{1.4, 2.7} {
		if err == nil && !found {
			coarse, found, err = first(from*near, step, 13)
		}
	}
	if err != nil {
		return Rejection{}, err
	}
	if !found {
		return Rejection{}, fmt.Errorf("%w: an effect four times the analytic one is not found with this power", estimate.ErrNotIdentified)
	}
	fine, found, err := first(coarse.Effect-step, step/10, 10)
	if err != nil || !found { // the last of the fine grid is the coarse one but for rounding
		return coarse, err
	}
	return fine, nil
}

func (o SimulatedPower) simulation(f *estimate.Frame) (*simulation, error) {
	if o.Replicates == 0 {
		o.Replicates = 500
	}
	if o.Replicates < 100 || o.Replicates > 1000000 {
		return nil, fmt.Errorf("%w: %d replicates; between 100 and 1000000", ErrOption, o.Replicates)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	_, s, err := o.partsIn(f)
	if err != nil {
		return nil, err
	}
	s = byHash(s)
	m := &simulation{o: &o, f: f, s: s}
	rho, icc := o.SetCorrelation, o.ClusterCorrelation
	if o.Share != 0 {
		rho, icc = latent(rho, o.Share), latent(icc, o.Share)
		if rho+icc >= 1 {
			return nil, fmt.Errorf("%w: these correlations are too strong for this share", ErrOption)
		}
	}
	m.a, m.b, m.c = math.Sqrt(rho), math.Sqrt(icc), math.Sqrt(1-rho-icc)
	if rho > 0 {
		m.set = m.keys(f.Set)
	}
	if icc > 0 {
		m.cluster = m.keys(f.Cluster)
	}
	code := f.Cluster
	if code == nil {
		code = f.Set
	}
	if code != nil {
		m.group = s.codes(code)
		for _, g := range m.group {
			m.groups = max(m.groups, g+1)
		}
		if m.groups < 2 {
			return nil, fmt.Errorf("%w: one cluster has no spread", estimate.ErrTooFew)
		}
	}
	m.critical = num.StudentQuantile(o.Level, m.df())
	return m, nil
}

func (m *simulation) df() float64 {
	if m.group != nil {
		return float64(m.groups - 1)
	}
	return float64(len(m.s.rows) - 2)
}

// keys name each group by the first of its units in byte order, which no order of rows changes.
func (m *simulation) keys(code []int) []uint64 {
	first := map[int]string{}
	for _, r := range m.s.rows {
		if u, ok := first[code[r]]; !ok || strings.Compare(m.f.Unit[r], u) < 0 {
			first[code[r]] = m.f.Unit[r]
		}
	}
	out := make([]uint64, len(m.s.rows))
	for i, r := range m.s.rows {
		out[i] = num.KeyedHash(m.o.Seed, first[code[r]])
	}
	return out
}

// latent is the correlation r of two standard normals that gives their indicators of being
// below Φ⁻¹(p) the correlation rho: ∫φ(x)·Φ((t-√r·x)/√(1-r))² dx = p² + rho·p(1-p).
func latent(rho, p float64) float64 {
	if rho == 0 {
		return 0
	}
	t := num.NormalQuantile(p)
	x := num.SymmetricNodes(8, .05)
	w := num.NormalWeights(x, 0, 1)
	lo, hi := 0.0, 1.0
	for range 60 {
		r := (lo + hi) / 2
		both := 0.0
		for j, v := range x {
			below := math.Erfc(-(t-math.Sqrt(r)*v)/math.Sqrt(2*(1-r))) / 2
			both += float64(w[j] * below * below)
		}
		if both < p*p+rho*p*(1-p) {
			lo = r
		} else {
			hi = r
		}
	}
	return (lo + hi) / 2
}

// at runs all replicates.
func (m *simulation) at(ctx context.Context, effects []float64) ([]Rejection, error) {
	for _, d := range effects {
		if _, _, ok := m.o.spreads(d); !ok || math.IsNaN(d) || math.IsInf(d, 0) {
			return nil, fmt.Errorf("%w: the expected share and the effect leave the range from 0 to 1", ErrOption)
		}
	}
	b := m.o.Replicates
	hit := make([][]bool, b)
	errs := make([]error, b)
	num.ForEach(b, m.o.Workers, func(r int) {
		if errs[r] = ctx.Err(); errs[r] == nil {
			hit[r], errs[r] = m.replicate(ctx, r, effects)
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	out := make([]Rejection, len(effects))
	for j, d := range effects {
		n := 0
		for _, h := range hit {
			if h[j] {
				n++
			}
		}
		p := float64(n) / float64(b)
		out[j] = Rejection{Effect: d, Share: p, Error: math.Sqrt(p * (1 - p) / float64(b))}
	}
	return out, nil
}

func (m *simulation) replicate(ctx context.Context, r int, effects []float64) ([]bool, error) {
	stage := fmt.Sprintf("power/%d", r)
	groupStage := stage + "/group"
	z := make([]float64, len(m.s.rows))
	shared := func(keys []uint64, load float64, which string) {
		drawn := map[uint64]float64{}
		for i, k := range keys {
			v, ok := drawn[k]
			if !ok {
				v = num.NewStream(m.o.Seed, groupStage+which, k).Normal()
				drawn[k] = v
			}
			z[i] += float64(load * v)
		}
	}
	shared(m.set, m.a, "/set")
	shared(m.cluster, m.b, "/cluster")
	own := num.NewStream(m.o.Seed, stage, 0)
	for i := range z {
		z[i] += float64(m.c * own.Normal())
	}
	out := make([]bool, len(effects))
	y := make([]float64, len(z))
	for j, d := range effects {
		var cut [2]float64
		if m.o.Share != 0 {
			cut = [2]float64{num.NormalQuantile(m.o.Share), num.NormalQuantile(m.o.Share + d)}
		}
		for i, v := range z {
			a := index(m.f.Treated[m.s.rows[i]])
			switch {
			case m.o.Share == 0:
				y[i] = float64(m.o.SD*v) + float64(d*float64(a))
			case v < cut[a]:
				y[i] = 1
			default:
				y[i] = 0
			}
		}
		var err error
		if out[j], err = m.rejects(ctx, y); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// rejects reports whether the planned analysis rejects 0; what has no test does not.
func (m *simulation) rejects(ctx context.Context, y []float64) (bool, error) {
	if m.o.Planned == nil {
		value, se := m.difference(y)
		return math.Abs(value) > m.critical*se && se > 0, nil
	}
	g := *m.f
	g.Y = make([]float64, len(m.f.Unit))
	for i, r := range m.s.rows {
		g.Y[r] = y[i]
	}
	res, err := m.o.Planned.Fit(ctx, &g)
	if err != nil {
		return false, err
	}
	return res.Estimates[0].Test.P < 1-m.o.Level, nil
}

// difference is [Difference] on the sample: θ̂, and V = G/(G-1)·(N-1)/(N-2)·Σ_g(Σφ)² on
// G - 1 degrees of freedom, or N/(N-2)·Σφ² on N - 2, φ_i = ±w_i(y_i - ȳ_a)/Σ_a w.
func (m *simulation) difference(y []float64) (value, se float64) {
	total := m.s.armWeights()
	var mean [2]float64
	for i, r := range m.s.rows {
		a := index(m.f.Treated[r])
		mean[a] += float64(m.s.w(i) * y[i])
	}
	mean[0], mean[1] = mean[0]/total[0], mean[1]/total[1]
	n := float64(len(y))
	phi := make([]float64, len(y))
	if m.group != nil {
		phi = phi[:m.groups]
	}
	for i, r := range m.s.rows {
		a := index(m.f.Treated[r])
		v := m.s.w(i) * (y[i] - mean[a]) / total[a]
		if a == 0 {
			v = -v
		}
		if m.group == nil {
			phi[i] = v
		} else {
			phi[m.group[i]] += v
		}
	}
	v := num.Dot(phi, phi) * n / (n - 2)
	if m.group != nil {
		g := float64(m.groups)
		v *= (n - 1) / n * g / (g - 1)
	}
	return mean[1] - mean[0], math.Sqrt(v)
}
