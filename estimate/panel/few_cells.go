package panel

import (
	"errors"
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// fewCell is one cell of a fit as a linear form: ATT = Σ k·Δ over its rows, treated
// first, Δ the change of the outcome since the base period.
type fewCell struct {
	cellIndex
	cell     int
	controls []bool // of each cohort: compared with in the cell
	spans    []span
	treated  int       // rows 0 … treated-1
	k        []float64 // Σ over the treated is 1, over the others -1
	inf      []float64 // influence of the row, as in the fit
	lever    []float64 // leverage of the row's cluster in its arm: 1 = it is all of the arm
	beta     []float64 // covariate adjustment of method reg; nil without covariates
	sheetX   int

	value, size float64 // of a cell that is in no fit: its effect, and the weight of its treated
}

// fewWork is what the methods for few treated units share for all terms of one fit.
type fewWork struct {
	r       *GroupTimeResult
	l       *layout
	o       FewOptions
	alpha   float64
	cells   []*fewCell // of r.Cells; nil where there is nothing to estimate
	cluster []int      // of each position
	groups  int
	cohort  []int     // index of the cohort of each position
	weight  []float64 // of each position; nil when weights change over time
	size    []float64 // of each position; nil = unknown
	serial  float64
}

// prepare recomputes the cells with their linear forms.
func (r *GroupTimeResult) prepareFew(o FewOptions, level float64) (*fewWork, error) {
	l := r.layout
	w := &fewWork{r: r, l: l, o: o, alpha: 1 - level, cells: make([]*fewCell, len(r.Cells)), groups: l.n,
		cluster: make([]int, l.n), cohort: make([]int, l.n)}
	for i := range w.cluster {
		w.cluster[i] = i
		if l.cluster != nil {
			w.cluster[i] = int(l.cluster[i])
		}
	}
	if l.cluster != nil {
		w.groups = l.clusters
	}
	for c := range l.cohorts {
		for i := l.start[c]; i < l.start[c+1]; i++ {
			w.cohort[i] = c
		}
	}
	if len(l.w) == 1 {
		w.weight = l.w[0]
	}
	if o.Size != nil {
		w.size = make([]float64, l.n)
		for i, u := range l.unit {
			m, ok := o.Size[u]
			if !ok || !(m > 0) || math.IsInf(m, 1) {
				return nil, fmt.Errorf("%w: the size of a unit is missing or not a finite number above 0; give every unit one", ErrOption)
			}
			w.size[i] = m
		}
	}
	jobs := r.jobs()
	fail := make([]error, len(jobs))
	num.ForEach(len(jobs), o.Workers, func(i int) { fail[i] = w.job(&jobs[i]) })
	if err := errors.Join(fail...); err != nil {
		return nil, err
	}
	w.serial = w.autocorrelation()
	return w, nil
}

// job fills the cells that share a design.
func (w *fewWork) job(j *job) error {
	l := w.l
	identified := false
	for _, i := range j.cells {
		identified = identified || w.r.Cells[i].Identified()
	}
	if !identified {
		return nil
	}
	d, err := newPanelDesign(l, j.spans, j.treated, j.sheetX, j.sheetW, w.r.Options.Method)
	if err != nil {
		return err
	}
	k, lever := d.kernel(), d.leverage()
	w.shareLeverage(j, lever)
	scratch := make([]float64, d.n)
	for _, i := range j.cells {
		x := w.r.index[i]
		c := &fewCell{cellIndex: x, cell: i, controls: make([]bool, len(l.cohorts)), spans: j.spans, treated: j.treated,
			k: k, inf: make([]float64, d.n), lever: lever, sheetX: j.sheetX}
		for _, g := range w.r.controls(x) {
			c.controls[g] = true
		}
		dy := make([]float64, d.n)
		l.change(j.spans, x.base, x.period, dy)
		if d.ls != nil && d.method == Regression {
			c.beta = d.ls.coef(dy[d.treated:], scratch)
		}
		d.estimate(dy, c.inf, scratch)
		w.cells[i] = c
	}
	return nil
}

// kernel returns the derivative of the effect in the change of each row's outcome; with
// propensities these are held.
func (d *panelDesign) kernel() []float64 {
	k := make([]float64, d.n)
	scaled := func(lo int, w []float64, sign float64) {
		total := num.Sum(w)
		for i, v := range w {
			k[lo+i] = sign * v / total
		}
	}
	t := d.treated
	scaled(0, d.w[:t], 1)
	switch {
	case d.x == nil:
		scaled(t, d.w[t:], -1)
	case d.method != Regression:
		scaled(t, d.wOdds, -1)
	}
	if d.x != nil && d.v != nil {
		for i := t; i < d.n; i++ {
			k[i] -= float64(d.w[i] * d.product(i, d.v))
		}
	}
	return k
}

// leverage returns each row's own weight in what it is compared with: w/Σw in its arm
// without covariates; of comparison rows the leverage in the outcome regression and,
// with propensities, no less than the share of the odds.
func (d *panelDesign) leverage() []float64 {
	h := make([]float64, d.n)
	share := func(lo int, w []float64) {
		total := num.Sum(w)
		for i, v := range w {
			h[lo+i] = max(h[lo+i], v/total)
		}
	}
	t := d.treated
	share(0, d.w[:t])
	if d.x == nil {
		share(t, d.w[t:])
		return h
	}
	if d.ls != nil {
		for i := t; i < d.n; i++ {
			for _, q := range d.ls.q {
				h[i] += float64(q[i-t] * q[i-t])
			}
		}
	}
	if d.wOdds != nil {
		share(t, d.wOdds)
	}
	return h
}

// shareLeverage replaces the leverages of rows by those of their clusters within the
// arm, which is their sum: exact for a mean, an upper bound else; at most 1.
func (w *fewWork) shareLeverage(j *job, h []float64) {
	if w.l.cluster == nil {
		return
	}
	sum := [2]map[int]float64{{}, {}}
	each := func(f func(arm, cluster, row int)) {
		row := 0
		for _, s := range j.spans {
			for i := s.lo; i < s.hi; i++ {
				arm := 0
				if row >= j.treated {
					arm = 1
				}
				f(arm, w.cluster[i], row)
				row++
			}
		}
	}
	each(func(arm, c, row int) { sum[arm][c] += h[row] })
	each(func(arm, c, row int) { h[row] = min(1, sum[arm][c]) })
}

// rows calls f for each row of the cell: its number, its position, whether treated.
func (c *fewCell) rows(f func(row, pos int, treated bool)) {
	row := 0
	for _, s := range c.spans {
		for i := s.lo; i < s.hi; i++ {
			f(row, i, row < c.treated)
			row++
		}
	}
}

// changes returns, for all units, the change that a cell compares, less what covariates
// explain of it.
func (w *fewWork) changes(c *fewCell) []float64 {
	l := w.l
	d := make([]float64, l.n)
	for i := range d {
		d[i] = l.y[c.period][i] - l.y[c.base][i]
		if c.beta != nil {
			d[i] -= c.beta[0]
			for j, b := range c.beta[1:] {
				d[i] -= float64(b * l.x[c.sheetX][i*l.k+j])
			}
		}
	}
	return d
}

// fewTerm is a term of an aggregation: θ = Σ weight·cell.
type fewTerm struct {
	w      *fewWork
	name   string
	value  float64
	weight []float64
	cells  []*fewCell
	post   bool // its cells lie after treatment

	changes [][]float64 // of each cell, all units
	control []float64   // of each cell, the mean change of the comparison group
	donor   []int       // positions compared with in every cell
	treated []int       // positions treated in some cell, ascending
	kernel  [][]float64 // of each position, its weight in each period; nil = none
	design  FewDesign
	larger  bool // large donors vary more than small ones, which no size model here allows
}

// terms flattens the aggregation to weighted cells; a mean of reference cells is left out.
func (w *fewWork) terms(kind Aggregation, balance *int) []*fewTerm {
	targets := w.r.targets(kind, balance)
	var flat func(t *target, by float64, into map[int]float64)
	flat = func(t *target, by float64, into map[int]float64) {
		for i, v := range t.weights {
			if t.parts != nil {
				flat(&targets[t.parts[i]], float64(by*v), into)
			} else if !w.r.Cells[t.cells[i]].Reference {
				into[t.cells[i]] += float64(by * v)
			}
		}
	}
	var out []*fewTerm
	for i := range targets {
		into := map[int]float64{}
		flat(&targets[i], 1, into)
		t := &fewTerm{w: w, name: targets[i].term, post: true}
		for c := range w.r.Cells {
			if v, ok := into[c]; ok {
				t.weight = append(t.weight, v)
				t.cells = append(t.cells, w.cells[c])
				t.value += float64(v * w.r.Cells[c].ATT)
				t.post = t.post && w.r.Cells[c].Post
			}
		}
		if len(t.cells) > 0 {
			t.describe()
			out = append(out, t)
		}
	}
	return out
}

// describe finds who takes part and how the weight lies.
func (t *fewTerm) describe() {
	w, l := t.w, t.w.l
	t.kernel = make([][]float64, l.n)
	isTreated := make([]bool, l.n)
	inAll := make([]int, len(l.cohorts))
	fewest := math.MaxInt
	for a, c := range t.cells {
		c.rows(func(row, pos int, treated bool) {
			if t.kernel[pos] == nil {
				t.kernel[pos] = make([]float64, len(l.periods))
			}
			v := float64(t.weight[a] * c.k[row])
			t.kernel[pos][c.period] += v
			t.kernel[pos][c.base] -= v
			isTreated[pos] = isTreated[pos] || treated
		})
		for g, is := range c.controls {
			if is {
				inAll[g]++
			}
		}
		fewest = min(fewest, length(c.spans)-c.treated)
	}
	clusters, treatedClusters := map[int]bool{}, map[int]bool{}
	for i := range l.n {
		if isTreated[i] {
			t.treated = append(t.treated, i)
			treatedClusters[w.cluster[i]] = true
		} else if inAll[w.cohort[i]] == len(t.cells) {
			t.donor = append(t.donor, i)
		}
		if t.kernel[i] != nil {
			clusters[w.cluster[i]] = true
		}
	}
	t.design = FewDesign{Treated: len(t.treated), Comparison: fewest, Donors: len(t.donor),
		Clusters: len(clusters), TreatedClusters: len(treatedClusters), Serial: w.serial, SizeP: math.NaN()}
}

// adjusted fills the changes that resampling works on, once. It needs weights that do
// not change and an adjustment that the comparison units alone decide.
func (t *fewTerm) adjust() {
	if t.changes != nil {
		return
	}
	t.changes, t.control = make([][]float64, len(t.cells)), make([]float64, len(t.cells))
	for a, c := range t.cells {
		t.changes[a] = t.w.changes(c)
		sum, total := 0.0, 0.0
		c.rows(func(_, pos int, treated bool) {
			if !treated {
				sum += float64(t.w.weight[pos] * t.changes[a][pos])
				total += t.w.weight[pos]
			}
		})
		t.control[a] = sum / total
	}
}

// autocorrelation is the first-order autocorrelation of the outcomes of the units
// never treated inside the window, less unit and period means: Σe[t]e[t-1]/Σe[t-1]².
func (w *fewWork) autocorrelation() float64 {
	l := w.l
	last := len(l.cohorts) - 1
	if l.cohorts[last] != never || l.start[last+1]-l.start[last] < 2 || len(l.periods) < 3 {
		return math.NaN()
	}
	lo, hi := l.start[last], l.start[last+1]
	n, periods := hi-lo, len(l.periods)
	e := make([][]float64, periods)
	unit := make([]float64, n)
	for p := range e {
		e[p] = append([]float64(nil), l.y[p][lo:hi]...)
		mean := num.Sum(e[p]) / float64(n)
		for i := range e[p] {
			e[p][i] -= mean
			unit[i] += e[p][i] / float64(periods)
		}
	}
	var cross, square float64
	for p := range e {
		for i := range e[p] {
			e[p][i] -= unit[i]
			if p > 0 {
				cross += float64(e[p][i] * e[p-1][i])
				square += float64(e[p-1][i] * e[p-1][i])
			}
		}
	}
	if !(square > 0) {
		return math.NaN()
	}
	return cross / square
}

// usable says why resampling cannot work on these data; nil if it can.
func (w *fewWork) usable() error {
	switch {
	case w.l.k > 0 && w.r.Options.Method != Regression:
		return fmt.Errorf("%w: with covariates resampling needs method reg", estimate.ErrNotIdentified)
	case w.weight == nil:
		return fmt.Errorf("%w: resampling needs weights that do not change over time", estimate.ErrWeights)
	}
	return nil
}
