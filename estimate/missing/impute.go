package missing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// Method is how a variable is imputed given the others.
type Method string

// The methods; the first of a kind is its own.
const (
	PMM         Method = "pmm"         // number: an observed value of somebody alike
	Linear      Method = "linear"      // number: Bayesian linear regression
	Logit       Method = "logit"       // binary: Bayesian logistic regression
	OrderedLog  Method = "ordered"     // ordered: proportional odds
	Multinomial Method = "multinomial" // nominal (and ordered): multinomial logit
)

// methodsOf are the methods of a kind, its own first.
func methodsOf(k Kind) []Method {
	switch k {
	case Number:
		return []Method{PMM, Linear}
	case Binary:
		return []Method{Logit, PMM}
	case Ordered:
		return []Method{OrderedLog, Multinomial, PMM}
	}
	return []Method{Multinomial}
}

// Impute completes data M times by chained equations (fully conditional specification):
// each incomplete variable in turn is drawn from its distribution given all others as
// they then stand, Iterations times over.
//
//	linear:      σ*² = RSS/χ²(n_obs - k), β* = β̂ + σ*·R⁻¹z, y* = x'β* + σ*·e
//	pmm:         the observed y of one of the Donors rows whose x'β̂ lies nearest to x'β*
//	logit, ordered, multinomial: θ* = θ̂ + U⁻¹z, U'U the expected information,
//	             of the data with White, Daniel and Royston's (2010) added rows
//
// z and e standard normal. Visiting order: fewest missing values first, then by name.
// Start: a random observed value. Everything that the analysis will use, its outcome and
// weights among them, belongs into the variables, or what it finds is pulled to zero.
// With Data.Arm all models are fitted in each arm apart, so that the effect may differ
// between people.
//
// A number depends on (Seed, imputation, iteration, variable, unit) and on no order of
// rows or variables. Categories with no observed row in an arm are not imputed there. A
// variable with one observed value is filled with it, note "impute-constant".
//
// Convergence: Gelman and Rubin's R̂ of the chains' means and standard deviations of the
// imputed values over the last half of the iterations; above 1.2 the note "impute-unmixed".
//
// Errors: [ErrOption], [ErrConstant] (no observed value), [estimate.ErrTooFew] (no more
// observed rows than columns), [estimate.ErrNotConverged].
//
// Source: van Buuren (2018), Flexible Imputation of Missing Data, ch. 3–4.
type Impute struct {
	M          int // completed data sets; 0 = 20
	Iterations int // 0 = 10
	Donors     int // of pmm; 0 = 5
	Seed       uint64
	Workers    int // never changes the result
}

// Data is what is imputed.
type Data struct {
	Unit      []string // n, unique: what the random numbers belong to
	Variables []Variable
	Arm       []int // n numbers from 0; nil = all together
}

// Imputations are M completed data sets.
type Imputations struct {
	M, Iterations int
	Imputed       []ImputedVariable // in visiting order
	Notes         []table.Note
	data          Data
	filled        [][][]float64 // imputation, then variable as given, then row as given; nil where complete
}

// ImputedVariable is what was done to a variable. The R̂ are NaN with fewer than 4
// iterations or 2 imputations, or where nothing varies.
type ImputedVariable struct {
	Name             string
	Missing          int
	Method           Method
	MeanRhat, SDRhat float64
}

// Completed returns the variables of one imputation (from 0), rows and order as given.
func (im *Imputations) Completed(k int) []Variable {
	out := slices.Clone(im.data.Variables)
	for j := range out {
		if im.filled[k][j] != nil {
			out[j].Values, out[j].Missing = im.filled[k][j], nil
		}
	}
	return out
}

// Run imputes.
func (o Impute) Run(ctx context.Context, d Data) (*Imputations, error) {
	im, err := o.run(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("impute: %w", err)
	}
	return im, nil
}

// imputer holds the data in its own order: units by (hash, name), variables by name.
type imputer struct {
	o      Impute
	rows   []int // place → row as given
	hash   []uint64
	vars   []Variable
	given  []int // variable → place as given
	groups [][]int
	visit  []int
	gone   [][]int // variable → places without value
}

func (o Impute) run(ctx context.Context, d Data) (*Imputations, error) {
	p, err := o.prepare(d)
	if err != nil {
		return nil, err
	}
	o = p.o
	im := &Imputations{M: o.M, Iterations: o.Iterations, data: d, filled: make([][][]float64, o.M)}
	trace := make([][][2][]float64, o.M) // imputation, variable, mean and sd by iteration
	errs := make([]error, o.M)
	constant := make([]int, o.M)
	num.ForEach(o.M, o.Workers, func(k int) {
		c := p.chain(k)
		errs[k] = c.run(ctx)
		im.filled[k], trace[k], constant[k] = c.asGiven(len(d.Unit), len(d.Variables)), c.trace, c.constant
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	unmixed := 0
	for _, v := range p.visit {
		iv := ImputedVariable{Name: p.vars[v].Name, Missing: len(p.gone[v]), Method: p.vars[v].Method}
		var r [2]float64
		for s := range r {
			chains := make([][]float64, o.M)
			for k := range chains {
				chains[k] = trace[k][v][s][o.Iterations/2:]
			}
			r[s] = rhat(chains)
		}
		iv.MeanRhat, iv.SDRhat = r[0], r[1]
		if iv.MeanRhat > 1.2 || iv.SDRhat > 1.2 {
			unmixed++
		}
		im.Imputed = append(im.Imputed, iv)
	}
	if unmixed > 0 {
		im.Notes = append(im.Notes, table.Note{Code: "impute-unmixed", Args: map[string]any{"columns": unmixed},
			Text: fmt.Sprintf("The imputations of %d columns have not come to rest after %d iterations: take more.", unmixed, o.Iterations)})
	}
	if constant[0] > 0 {
		im.Notes = append(im.Notes, table.Note{Code: "impute-constant", Args: map[string]any{"columns": constant[0]},
			Text: fmt.Sprintf("%d columns (in an arm, where arms are imputed apart) have one observed value only, which fills the gaps.", constant[0])})
	}
	return im, nil
}

// prepare checks and puts everything in the order that results do not depend on.
func (o Impute) prepare(d Data) (*imputer, error) {
	bad := func(format string, a ...any) (*imputer, error) {
		return nil, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...))
	}
	for v, def := range map[*int]int{&o.M: 20, &o.Iterations: 10} {
		if *v == 0 {
			*v = def
		}
	}
	n := len(d.Unit)
	switch {
	case o.M < 1 || o.M > 10000:
		return bad("%d imputations; between 1 and 10000", o.M)
	case o.Iterations < 1 || o.Iterations > 10000:
		return bad("%d iterations; between 1 and 10000", o.Iterations)
	case o.Donors < 0 || o.Donors > 1000:
		return bad("%d donors; between 1 and 1000", o.Donors)
	case n == 0:
		return bad("no rows")
	case d.Arm != nil && len(d.Arm) != n:
		return bad("%d arms for %d rows", len(d.Arm), n)
	}
	p := &imputer{o: o, rows: make([]int, n), hash: make([]uint64, n)}
	for i := range p.rows {
		p.rows[i] = i
		p.hash[i] = num.KeyedHash(o.Seed, d.Unit[i])
	}
	hash := slices.Clone(p.hash)
	slices.SortFunc(p.rows, func(a, b int) int {
		if hash[a] != hash[b] {
			if hash[a] < hash[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(d.Unit[a], d.Unit[b])
	})
	for i, r := range p.rows {
		p.hash[i] = hash[r]
		if i > 0 && d.Unit[r] == d.Unit[p.rows[i-1]] {
			return bad("a unit is named twice")
		}
	}
	for j := range d.Variables {
		p.given = append(p.given, j)
	}
	slices.SortStableFunc(p.given, func(a, b int) int { return strings.Compare(d.Variables[a].Name, d.Variables[b].Name) })
	donors := false
	for i, j := range p.given {
		v := d.Variables[j]
		if err := v.check(); err != nil {
			return nil, err
		}
		switch {
		case len(v.Values) != n:
			return bad("%d values of %q for %d rows", len(v.Values), v.Name, n)
		case i > 0 && v.Name == p.vars[i-1].Name:
			return bad("two variables have the name %q", v.Name)
		}
		own := methodsOf(v.Kind)
		var gone []int
		w := v
		w.Values = make([]float64, n)
		w.Missing = make([]bool, n)
		for i, r := range p.rows {
			w.Values[i], w.Missing[i] = v.Values[r], v.missing(r)
			if w.Missing[i] {
				gone = append(gone, i)
			}
		}
		switch {
		case w.Method == "":
			w.Method = own[0]
		case !slices.Contains(own, w.Method):
			return bad("%q is %s, which %q cannot impute; there is %v", v.Name, v.Kind, string(v.Method), own)
		case len(gone) == 0:
			return bad("%q lacks no value, so that nothing imputes it", v.Name)
		}
		if len(gone) == n {
			return nil, fmt.Errorf("%w: %q has no value in any row", ErrConstant, v.Name)
		}
		if len(gone) > 0 {
			p.visit = append(p.visit, i)
			donors = donors || w.Method == PMM
		}
		p.vars, p.gone = append(p.vars, w), append(p.gone, gone)
	}
	if o.Donors > 0 && !donors {
		return bad("donors belong to pmm, and no variable is imputed by it")
	}
	if o.Donors == 0 {
		p.o.Donors = 5
	}
	slices.SortStableFunc(p.visit, func(a, b int) int { return len(p.gone[a]) - len(p.gone[b]) })
	return p, p.arms(d.Arm)
}

// arms splits the rows; every variable needs an observed value in each.
func (p *imputer) arms(arm []int) error {
	if arm == nil {
		all := make([]int, len(p.rows))
		for i := range all {
			all[i] = i
		}
		p.groups = [][]int{all}
		return nil
	}
	by := map[int][]int{}
	for i, r := range p.rows {
		by[arm[r]] = append(by[arm[r]], i)
	}
	keys := make([]int, 0, len(by))
	for a := range by {
		keys = append(keys, a)
	}
	slices.Sort(keys)
	for _, a := range keys {
		p.groups = append(p.groups, by[a])
		for _, v := range p.visit {
			if !slices.ContainsFunc(by[a], func(i int) bool { return !p.vars[v].Missing[i] }) {
				return fmt.Errorf("%w: %q has no value in one of the arms", ErrConstant, p.vars[v].Name)
			}
		}
	}
	return nil
}

// rhat is Gelman and Rubin's: chains of T draws each, W the mean within-chain variance
// and B/T the variance of their means, √(((T-1)/T·W + B/T)/W).
func rhat(chains [][]float64) float64 {
	t := float64(len(chains[0]))
	if len(chains) < 2 || t < 2 {
		return math.NaN()
	}
	means := make([]float64, len(chains))
	w := 0.0
	for k, c := range chains {
		var v float64
		means[k], v = meanVar(c)
		w += v / float64(len(chains))
	}
	_, between := meanVar(means)
	if !(w > 0) {
		return math.NaN()
	}
	return math.Sqrt(((t-1)/t*w + between) / w)
}

// meanVar returns mean and variance (divisor n-1; 0 for one value).
func meanVar(x []float64) (mean, variance float64) {
	mean = num.Sum(x) / float64(len(x))
	if len(x) < 2 {
		return mean, 0
	}
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = float64((v - mean) * (v - mean))
	}
	return mean, num.Sum(d) / float64(len(x)-1)
}
