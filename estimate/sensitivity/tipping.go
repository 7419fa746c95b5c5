package sensitivity

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [Tipping] beside that of the effect.
const (
	Shift        estimate.Measure = "shift"
	MissingShare estimate.Measure = "missing-share"
)

// Tipping asks how much the people without an outcome must differ from those with one for
// a difference in means to lose its sign. In arm a, with weights w, R = 1 where the
// outcome is known, ȳ the weighted mean of the known and π the weighted share missing,
//
//	m_a(δ) = ȳ_a + π_a·δ_a,  effect(δ) = m₁ - m₀
//	φᵢ = ±w{R(y - ȳ_a)/Σ_a wR + δ_a((1-R) - π_a)/Σ_a w},  var = c·Σ_g (Σ_{i∈g} φᵢ)²
//
// over clusters (f.Cluster, else f.Set, else rows) with c = G/(G-1)·(N-1)/(N-2) and
// Student's t on G-1, or c = N/(N-2) on N-2 without clusters; N and G count rows with an
// outcome, so that δ = 0 is the plain difference of those.
//
// Paths: "treated" (δ₁ = δ), "control" (δ₀ = δ), "opposite" (δ₁ = δ, δ₀ = -δ). The
// estimates are the term "known" (δ = 0), "arm=treated" and "arm=control" (measure
// missing-share), "tipping,path=P" (measure shift: the δ nearest 0 at which the interval
// touches 0), with an outcome of 0 and 1 "worst-low" and "worst-high" (all missing
// outcomes 0 in one arm and 1 in the other), and the curve "path=P,delta=D".
// Details: mean_treated and mean_control (of the known), vcov.
//
// A tipping point is NaN where no possible shift does it (note "no-tipping") or nothing
// is missing ("nothing-missing", "nothing-missing-path"), and 0 where the interval holds 0 already
// ("already-tipped").
//
// It reads f.Y (ignored where missing), f.Treated, f.Weight, f.Set, f.Cluster; f.X is not
// used. Errors: [ErrOption], [estimate.ErrWeights] (frequency), [estimate.ErrNoTreated],
// [estimate.ErrNoControls] (with a known outcome), [estimate.ErrTooFew].
//
// Source: Yan, Lee and Li (2009), Journal of Biopharmaceutical Statistics 19:1085–1098;
// delta adjustment: Carpenter and Kenward (2013), Multiple Imputation, ch. 10.
type Tipping struct {
	Missing []bool    // n: the outcome is not known
	Delta   []float64 // shifts of the curve; nil = no curve
}

var _ estimate.Estimator = Tipping{}

// tippingPaths are the shifts of the treated and of the comparison arm per unit of δ.
func tippingPaths() []tippingPath {
	return []tippingPath{{"treated", 1, 0}, {"control", 0, 1}, {"opposite", 1, -1}}
}

type tippingPath struct {
	name             string
	treated, control float64
}

// Fit implements [estimate.Estimator].
func (o Tipping) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(f)
	if err != nil {
		return nil, fmt.Errorf("tipping point: %w", err)
	}
	return res, ctx.Err()
}

// tippingModel is the effect and its variance as functions of the two shifts.
type tippingModel struct {
	mean, share [2]float64    // of arm 0 and 1
	inner       [3][3]float64 // of the cluster sums of the three parts of the influence, times c
	df          float64
	binary      bool
}

func (m *tippingModel) at(d1, d0 float64) (value, se float64) {
	value = m.mean[1] + float64(m.share[1]*d1) - m.mean[0] - float64(m.share[0]*d0)
	c := [3]float64{1, d1, d0}
	v := 0.0
	for i := range 3 {
		for j := range 3 {
			v += float64(c[i] * c[j] * m.inner[i][j])
		}
	}
	return value, math.Sqrt(math.Max(v, 0))
}

// possible reports whether outcomes of 0 and 1 can have such shifts, in an arm that has missing ones.
func (m *tippingModel) possible(d1, d0 float64) bool {
	in := func(arm int, d float64) bool {
		p := m.mean[arm] + d
		return m.share[arm] == 0 || p >= -1e-12 && p <= 1+1e-12
	}
	return !m.binary || in(1, d1) && in(0, d0)
}

func (o Tipping) fit(f *estimate.Frame) (*estimate.Result, error) {
	rows, notes, err := o.rows(f)
	if err != nil {
		return nil, err
	}
	m, n, err := o.model(f, rows)
	if err != nil {
		return nil, err
	}
	measure := estimate.MeanDifference
	if m.binary {
		measure = estimate.RiskDifference
	}
	vcov := "hc1"
	if f.Cluster != nil || f.Set != nil {
		vcov = "cr1"
	}
	res := &estimate.Result{Method: "tipping", Notes: notes, N: n, Fit: estimate.Convergence{Converged: true}, Details: map[string]any{"mean_treated": m.mean[1], "mean_control": m.mean[0], "vcov": vcov}}
	wald := func(term string, d1, d0 float64) estimate.Estimate {
		v, se := m.at(d1, d0)
		return estimate.Wald(term, measure, v, se, m.df, f.Level)
	}
	known := wald("known", 0, 0)
	res.Estimates = []estimate.Estimate{known, bare("arm=treated", MissingShare, m.share[1]), bare("arm=control", MissingShare, m.share[0])}
	note := func(code, text string, args map[string]any) {
		res.Notes = append(res.Notes, table.Note{Code: code, Text: text, Args: args})
	}
	missing := m.share[0] > 0 || m.share[1] > 0
	tipped := known.CI.Lo <= 0 && 0 <= known.CI.Hi
	var none, complete []string
	for _, p := range tippingPaths() {
		d := math.NaN()
		switch {
		case !missing:
		case m.share[1]*p.treated == 0 && m.share[0]*p.control == 0:
			complete = append(complete, p.name)
		case tipped:
			d = 0
		default:
			if d = m.tip(p, f.Level); math.IsNaN(d) {
				none = append(none, p.name)
			}
		}
		res.Estimates = append(res.Estimates, bare("tipping,path="+p.name, Shift, d))
	}
	switch {
	case !missing:
		note("nothing-missing", "No outcome is missing, so that there is nothing to shift: tipping points do not exist, and the effect is that of everybody.", nil)
	case tipped:
		note("already-tipped", "The interval holds 0 without any shift.", nil)
	}
	if missing && len(complete) > 0 {
		note("nothing-missing-path", "On some paths no outcome is missing, so that there is nothing to shift.", map[string]any{"paths": complete})
	}
	if len(none) > 0 {
		note("no-tipping", "On some paths no possible shift of the missing outcomes brings the interval to 0: the finding stands whatever they are.", map[string]any{"paths": none})
	}
	if m.binary && missing {
		res.Estimates = append(res.Estimates, wald("worst-low", -m.mean[1], 1-m.mean[0]), wald("worst-high", 1-m.mean[1], -m.mean[0]))
	}
	impossible := 0
	for _, p := range tippingPaths() {
		for _, d := range o.Delta {
			term := "path=" + p.name + ",delta=" + strconv.FormatFloat(d, 'g', -1, 64)
			if !m.possible(p.treated*d, p.control*d) {
				impossible++
				res.Estimates = append(res.Estimates, bare(term, measure, math.NaN()))
				continue
			}
			res.Estimates = append(res.Estimates, wald(term, p.treated*d, p.control*d))
		}
	}
	if impossible > 0 {
		note("shift-impossible", fmt.Sprintf("%d points of the curve do not exist: the mean of the missing would lie outside 0 to 1.", impossible), map[string]any{"points": impossible})
	}
	return res, nil
}

// rows are those that take part.
func (o Tipping) rows(f *estimate.Frame) ([]int, []table.Note, error) {
	if err := f.Check(); err != nil {
		return nil, nil, err
	}
	switch {
	case f.Treated == nil:
		return nil, nil, fmt.Errorf("%w: no treatment", estimate.ErrInvalidFrame)
	case len(o.Missing) != len(f.Y):
		return nil, nil, fmt.Errorf("%w: %d marks of missing outcomes for %d rows", ErrOption, len(o.Missing), len(f.Y))
	case f.Weight.Kind == estimate.Frequency:
		return nil, nil, fmt.Errorf("%w: give one row for each unit", estimate.ErrWeights)
	}
	for i, d := range o.Delta {
		if math.IsNaN(d) || math.IsInf(d, 0) || slices.Contains(o.Delta[:i], d) {
			return nil, nil, fmt.Errorf("%w: each delta is a finite number, given once", ErrOption)
		}
	}
	both := map[int][2]bool{}
	for i, s := range f.Set {
		v := both[s]
		if f.Treated[i] {
			v[1] = true
		} else {
			v[0] = true
		}
		both[s] = v
	}
	var rows []int
	none, empty := 0, 0
	half := map[int]bool{}
	for i := range f.Y {
		switch {
		case f.Weight.Values != nil && f.Weight.Values[i] == 0:
			empty++
		case f.Set != nil && f.Set[i] < 0:
			none++
		case f.Set != nil && both[f.Set[i]] != [2]bool{true, true}:
			half[f.Set[i]] = true
		default:
			rows = append(rows, i)
		}
	}
	var notes []table.Note
	for _, x := range []struct {
		n                int
		code, text, name string
	}{
		{empty, "rows-without-weight", "%d rows with weight 0 are not part of the estimate.", "rows"},
		{none, "units-in-no-pair", "%d units are in no matched pair and were left out.", "units"},
		{len(half), "pairs-incomplete", "%d matched sets lack the treated or the comparison unit and were left out.", "sets"},
	} {
		if x.n > 0 {
			notes = append(notes, table.Note{Code: x.code, Text: fmt.Sprintf(x.text, x.n), Args: map[string]any{x.name: x.n}})
		}
	}
	return rows, notes, nil
}

func (o Tipping) model(f *estimate.Frame, rows []int) (*tippingModel, estimate.Counts, error) {
	m := &tippingModel{binary: true}
	var n estimate.Counts
	weight := func(i int) float64 {
		if f.Weight.Values == nil {
			return 1
		}
		return f.Weight.Values[i]
	}
	arm := func(i int) int {
		if f.Treated[i] {
			return 1
		}
		return 0
	}
	var parts [6][]float64 // weights known, w·y known and weights of each arm
	for _, i := range rows {
		a, w := arm(i), weight(i)
		n.Units++
		n.Treated += a
		parts[4+a] = append(parts[4+a], w)
		if !o.Missing[i] {
			n.Events++
			parts[a] = append(parts[a], w)
			parts[2+a] = append(parts[2+a], w*f.Y[i])
			m.binary = m.binary && (f.Y[i] == 0 || f.Y[i] == 1)
		}
	}
	known := float64(n.Events)
	n.Events = 0
	var with, all [2]float64
	for a := range 2 {
		with[a], all[a] = num.Sum(parts[a]), num.Sum(parts[4+a])
		if !(with[a] > 0) {
			return nil, n, []error{fmt.Errorf("%w with a known outcome", estimate.ErrNoControls), fmt.Errorf("%w with a known outcome", estimate.ErrNoTreated)}[a]
		}
		m.mean[a], m.share[a] = num.Sum(parts[2+a])/with[a], (all[a]-with[a])/all[a]
		if len(parts[a]) == len(parts[4+a]) {
			m.share[a] = 0
		}
	}
	cluster := f.Cluster
	if cluster == nil {
		cluster = f.Set
	}
	code := map[int]int{}
	var sums [][3]float64
	seen := map[int]bool{}
	for k, i := range rows {
		g := k
		if cluster != nil {
			c, ok := code[cluster[i]]
			if !ok {
				c = len(code)
				code[cluster[i]] = c
			}
			g = c
		}
		if g == len(sums) {
			sums = append(sums, [3]float64{})
		}
		a, w := arm(i), weight(i)
		sign := float64(2*a - 1)
		if o.Missing[i] {
			sums[g][2-a] += sign * w * (1 - m.share[a]) / all[a]
			continue
		}
		seen[g] = true
		sums[g][0] += sign * w * (f.Y[i] - m.mean[a]) / with[a]
		sums[g][2-a] -= sign * w * m.share[a] / all[a]
	}
	factor := known / (known - 2)
	m.df = known - 2
	if cluster != nil {
		n.Clusters = len(sums)
		g := float64(len(seen))
		factor = g / (g - 1) * (known - 1) / (known - 2)
		m.df = g - 1
	}
	if known < 3 || m.df < 1 {
		return nil, n, fmt.Errorf("%w: an error needs three rows (two clusters) with an outcome", estimate.ErrTooFew)
	}
	for p := range 3 {
		for q := p; q < 3; q++ {
			products := make([]float64, len(sums))
			for g := range sums {
				products[g] = sums[g][p] * sums[g][q]
			}
			v := factor * num.Sum(products)
			m.inner[p][q], m.inner[q][p] = v, v
		}
	}
	return m, n, nil
}

// tip returns the shift nearest 0 at which the interval touches 0: with effect θ + aδ and
// variance v₀ + 2v₁δ + v₂δ², a root of (a² - q²v₂)δ² + 2(aθ - q²v₁)δ + θ² - q²v₀.
func (m *tippingModel) tip(p tippingPath, level float64) float64 {
	theta := m.mean[1] - m.mean[0]
	a := float64(m.share[1]*p.treated) - float64(m.share[0]*p.control)
	q := num.StudentQuantile(level, m.df)
	q *= q
	d := [3]float64{0, p.treated, p.control}
	var v1, v2 float64
	for i := 1; i < 3; i++ {
		v1 += float64(d[i] * m.inner[0][i])
		for j := 1; j < 3; j++ {
			v2 += float64(d[i] * d[j] * m.inner[i][j])
		}
	}
	A, B, C := float64(a*a)-float64(q*v2), float64(a*theta)-float64(q*v1), float64(theta*theta)-float64(q*m.inner[0][0])
	disc := float64(B*B) - float64(A*C)
	if disc < 0 {
		return math.NaN()
	}
	t := -(B + math.Copysign(math.Sqrt(disc), B))
	best := math.NaN()
	for _, root := range []float64{C / t, t / A} {
		if math.IsNaN(root) || math.IsInf(root, 0) || !m.possible(p.treated*root, p.control*root) {
			continue
		}
		if math.IsNaN(best) || math.Abs(root) < math.Abs(best) {
			best = root
		}
	}
	return best
}
