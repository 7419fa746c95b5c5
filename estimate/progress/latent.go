package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// Measures of change in a trait.
const (
	TraitChange           estimate.Measure = "trait-change"
	TraitChangeDifference estimate.Measure = "trait-change-difference"
	TraitCorrelation      estimate.Measure = "correlation"
	ThresholdShift        estimate.Measure = "threshold-shift"
)

// Waves are the answers of n persons to the same J items before and after. NaN is no
// answer; a person who answered only one wave takes part with it (missing at random).
type Waves struct {
	Unit          []string   // n, unique
	Names         []string   // J items
	Before, After *mat.Dense // n×J
	Weight        estimate.Weights
	Treated       []bool // n; nil = one group
	Cluster       []int  // n, dense from 0; nil if persons are independent
	Level         float64
}

// LatentChange estimates the change of a trait between two waves and, with participants and
// comparison people, the difference in change, by marginal maximum likelihood: the items are
// those of Model and equal in both waves,
//
//	(θ1, θ2) bivariate normal, θ1 ~ N(μ1_g, 1), θ2 = α_g + β·θ1 + τ·ε
//
// with μ1 = 0 for comparison people, so that the unit is their standard deviation before.
// The answers enter directly: no score is made whose shrinkage or error would weaken the change.
// With Rasch and partial credit items all slopes are one free number, which is the same model.
//
// Estimates: difference (trait-change-difference: the change of participants less that of
// comparison people), change[,group=G] (trait-change), trait/mean,wave=W[,group=G],
// trait/variance,wave=2, trait/correlation, item/shift for items of Shift, item/shift-difference
// for items of Differ (threshold-shift), then item/a and item/b1 …; items of Free have item/a,wave=2 … too.
// group is 0 (comparison) and 1 (participants).
//
// Details: loglik, parameters, gradient_norm, patterns, nodes, persons (by group and wave),
// vcov. Errors as [GradedResponse], and [estimate.ErrNoTreated], [estimate.ErrNoControls],
// [estimate.ErrTooFew] if nobody answered one of the waves.
//
// Andersen (1985); Embretson (1991); Oort (2005) for shifts.
type LatentChange struct {
	Model ItemModel // "" = graded
	// Shift names items whose thresholds may all move by one amount between the waves
	// (recalibration), Free those with thresholds and slope of their own after, Differ those
	// whose thresholds may move by another amount for participants. The other items anchor the scale: at least 2.
	Shift, Free, Differ []string
	NoErrors            bool // leave standard errors and influence out
	Workers             int  // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from waves, which it does not change.
func (e LatentChange) Fit(ctx context.Context, w *Waves) (*estimate.Result, error) {
	f, err := e.fitWaves(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("latent change: %w", err)
	}
	res, err := f.result(e.Workers)
	if err != nil {
		return nil, fmt.Errorf("latent change: %w", err)
	}
	return res, nil
}

func (e LatentChange) options(names []string, kind irtKind) (itemsOfWave, error) {
	o := itemsOfWave{shift: map[string]bool{}, free: map[string]bool{}, differ: map[string]bool{}, equal: kind.equalSlopes}
	loose := map[string]bool{}
	for _, l := range []struct {
		list []string
		into map[string]bool
	}{{e.Shift, o.shift}, {e.Free, o.free}, {e.Differ, o.differ}} {
		for _, name := range l.list {
			if !slices.Contains(names, name) {
				return o, invalid("there is no item %q to free", name)
			}
			l.into[name], loose[name] = true, true
		}
	}
	for name := range o.free {
		if o.shift[name] {
			return o, invalid("item %q is both in Shift and in Free, which holds the shift already", name)
		}
	}
	if len(names)-len(loose) < 2 {
		return o, fmt.Errorf("%w: fewer than 2 items are equal in both waves: nothing anchors the scale", estimate.ErrNotIdentified)
	}
	return o, nil
}

func (e LatentChange) fitWaves(ctx context.Context, w *Waves) (*waveFit, error) {
	if e.Model == "" {
		e.Model = Graded
	}
	kind, err := e.Model.kind()
	if err != nil {
		return nil, err
	}
	if kind.fixedSlope {
		kind.fixedSlope, kind.equalSlopes = false, true
	}
	o, err := e.options(w.Names, kind)
	if err != nil {
		return nil, err
	}
	if w.Before == nil || w.After == nil {
		return nil, invalid("both waves are needed")
	}
	if len(e.Differ) > 0 && w.Treated == nil {
		return nil, invalid("Differ needs participants and comparison people")
	}
	frame := irtFrame{unit: w.Unit, weight: w.Weight, cluster: w.Cluster, level: w.Level}
	if w.Treated != nil {
		if len(w.Treated) != len(w.Unit) {
			return nil, invalid("%d treatment marks for %d persons", len(w.Treated), len(w.Unit))
		}
		frame.group, frame.groups = make([]int, len(w.Unit)), []string{"0", "1"}
		for i, t := range w.Treated {
			if t {
				frame.group[i] = 1
			}
		}
	}
	d, err := newIRTData(frame, w.Names, []*mat.Dense{w.Before, w.After}, kind)
	if err != nil {
		return nil, err
	}
	if err := d.bothWaves(); err != nil {
		return nil, err
	}
	if err := d.freeUsed(o.free); err != nil {
		return nil, err
	}
	d.start()
	if o.equal {
		for _, it := range d.items {
			if it.a < 0 {
				d.reversed(it.name)
			}
		}
		d.equalSlopes()
	}
	f := newWaveFit(d, o)
	f.m.get(f.point())
	return f, f.finish(ctx, !e.NoErrors, e.Workers)
}

// freeUsed checks that each wave uses every category of the items that are free after: a threshold next
// to a category that nobody chose has no estimate.
func (d *irtData) freeUsed(free map[string]bool) error {
	for c, col := range d.columns {
		it := d.items[col.item]
		if !free[it.name] {
			continue
		}
		used := make([]bool, it.cats)
		for _, i := range d.order {
			if col.x[i] >= 0 {
				used[col.x[i]] = true
			}
		}
		if slices.Contains(used, false) {
			return fmt.Errorf("%w: in wave %d nobody chose one of the categories of item %q, so that it cannot have thresholds of its own; let them shift together",
				estimate.ErrNotIdentified, 1+c/len(d.items), it.name)
		}
	}
	return nil
}

// persons counts who answered, by group and wave.
func (d *irtData) persons() [][2]int {
	n := make([][2]int, len(d.groups))
	half := len(d.columns) / 2
	for _, i := range d.order {
		var has [2]bool
		for c, col := range d.columns {
			has[c/half] = has[c/half] || col.x[i] >= 0
		}
		for w := range has {
			if has[w] {
				n[d.group[i]][w]++
			}
		}
	}
	return n
}

// bothWaves checks that every group has answers in both waves, and every item too.
func (d *irtData) bothWaves() error {
	for g, n := range d.persons() {
		switch {
		case n[0]+n[1] == 0 && g == 0 && len(d.groups) > 1:
			return estimate.ErrNoControls
		case n[0]+n[1] == 0 && g == 1:
			return estimate.ErrNoTreated
		case n[0] == 0 || n[1] == 0:
			return fmt.Errorf("%w: nobody in group %q answered in one of the waves", estimate.ErrTooFew, d.groups[g])
		}
	}
	return nil
}

// rows are the estimates in their documented order, with their derivatives in the free parameters.
func (f *waveFit) rows() *irtRows {
	m, d := f.m, f.d
	rows := &irtRows{}
	local := func(grad map[int]float64) []float64 { // derivatives before the links → free
		out := make([]float64, len(f.from))
		for at, v := range grad {
			for a := range out {
				out[a] += float64(v * m.link.At(at, a))
			}
		}
		return out
	}
	G := m.groups()
	tau2, beta := m.tau2(), m.kappa*m.tau2()
	at := func(g int) (mu, ga, ka, om int) {
		mu, ga, ka, om = m.latentAt(g)
		return m.own + mu, m.own + ga, m.own + ka, m.own + om
	}
	// θ2 of group g has mean τ²·(γ_g + κ·μ1_g); dτ²/dω = 2·τ⁴.
	second := func(g int, by float64, into map[int]float64) float64 {
		mu, ga, ka, om := at(g)
		inner := m.gamma[g] + float64(m.kappa*m.mean1[g])
		into[ga] += float64(by * tau2)
		into[ka] += float64(by * tau2 * m.mean1[g])
		into[om] += float64(by * 2 * tau2 * tau2 * inner)
		if g > 0 {
			into[mu] += float64(by * tau2 * m.kappa)
		}
		return tau2 * inner
	}
	change := func(g int, by float64, into map[int]float64) float64 {
		v := second(g, by, into) - m.mean1[g]
		if g > 0 {
			mu, _, _, _ := at(g)
			into[mu] -= by
		}
		return v
	}
	name := func(g int) string {
		if G == 1 {
			return ""
		}
		return ",group=" + d.groups[g]
	}
	if G == 2 {
		grad := map[int]float64{}
		v := change(1, 1, grad)
		v -= change(0, -1, grad)
		rows.put("difference", TraitChangeDifference, v, local(grad))
	}
	for g := range G {
		grad := map[int]float64{}
		v := change(g, 1, grad)
		rows.put("change"+name(g), TraitChange, v, local(grad))
	}
	for g := range G {
		if g > 0 {
			mu, _, _, _ := at(g)
			rows.put("trait/mean,wave=1"+name(g), TraitMean, m.mean1[g], local(map[int]float64{mu: 1}))
		}
		grad := map[int]float64{}
		v := second(g, 1, grad)
		rows.put("trait/mean,wave=2"+name(g), TraitMean, v, local(grad))
	}
	// Var θ2 = β² + τ² with β = κ·τ²; correlation β/√(β² + τ²).
	_, _, ka, om := at(0)
	span := float64(beta*beta) + tau2
	dka, dom := 2*beta*tau2, (2*float64(beta*m.kappa)+1)*2*tau2*tau2
	rows.put("trait/variance,wave=2", TraitVariance, span, local(map[int]float64{ka: dka, om: dom}))
	root := math.Sqrt(span)
	rows.put("trait/correlation", TraitCorrelation, beta/root, local(map[int]float64{
		ka: tau2/root - float64(beta*dka)/(2*span*root), om: m.kappa*2*tau2*tau2/root - float64(beta*dom)/(2*span*root)}))
	f.shifts(rows, local)
	f.itemRows(rows, local)
	return rows
}

// result is the answer.
func (f *waveFit) result(workers int) (*estimate.Result, error) {
	m, d := f.m, f.d
	for _, it := range d.items {
		if !f.equal && it.a < 0 {
			d.reversed(it.name)
		}
	}
	res, err := f.rows().result("latent-change", d, f.p.of, f.score, f.v, workers)
	if err != nil {
		return nil, err
	}
	for a := range res.Estimates { // a number between −1 and 1 with a test of 0
		if e := &res.Estimates[a]; e.Measure == TraitCorrelation && e.HasSE() {
			z, s := math.Atanh(e.Value), e.SE/(1-e.Value*e.Value)
			ci := estimate.Wald(e.Term, e.Measure, z, s, math.Inf(1), d.level).CI
			e.CI = estimate.Interval{Lo: math.Tanh(ci.Lo), Hi: math.Tanh(ci.Hi), Level: d.level, Method: "fisher-z"}
		}
	}
	res.Fit = f.conv
	persons := map[string]map[string]int{}
	for g, n := range d.persons() {
		persons["group="+d.groups[g]] = map[string]int{"before": n[0], "after": n[1]}
		if g == 1 {
			res.N.Treated = 0
			for _, i := range d.order {
				res.N.Treated += d.group[i]
			}
		}
		if 10*n[1] < 6*n[0] {
			d.note("second-wave-low", "Fewer than 60 % of those who answered before answered after: the change hangs on what is assumed about the others.",
				map[string]any{"group": d.groups[g], "share": float64(n[1]) / float64(n[0])})
		}
	}
	res.Details["persons"] = persons
	res.Details["loglik"], res.Details["parameters"] = f.post.ll, len(f.from)
	res.Details["gradient_norm"], res.Details["patterns"], res.Details["nodes"] = f.conv.Tolerance, f.p.n, len(m.theta)
	res.Notes = d.notes
	return res, nil
}

// shifts adds how far thresholds moved: b after less b before, −c/a for a shift c of the intercepts.
func (f *waveFit) shifts(rows *irtRows, local func(map[int]float64) []float64) {
	for _, it := range f.d.items {
		for _, what := range []struct{ key, term string }{{"shift/", "/shift"}, {"differ/", "/shift-difference"}} {
			at, has := f.at[what.key+it.name]
			if !has {
				continue
			}
			c := f.free[at]
			jac := local(map[int]float64{it.par: c / (it.a * it.a)})
			jac[at] -= 1 / it.a
			rows.put(it.name+what.term, ThresholdShift, -c/it.a, jac)
		}
	}
}

// itemRows adds slopes and thresholds before, and after where an item is free.
func (f *waveFit) itemRows(rows *irtRows, local func(map[int]float64) []float64) {
	J := len(f.d.items)
	for i, it := range f.m.items[:2*J] {
		wave := ""
		if i >= J {
			if wave = ",wave=2"; !f.freed[it.name] {
				continue
			}
		}
		own := &irtRows{}
		own.items([]*irtItem{it}, f.m.own)
		for r, jac := range own.jac {
			grad := map[int]float64{}
			for at, v := range jac {
				if v != 0 {
					grad[at] = v
				}
			}
			rows.put(own.terms[r]+wave, own.measures[r], own.values[r], local(grad))
		}
	}
}
