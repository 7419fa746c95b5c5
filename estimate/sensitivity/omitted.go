package sensitivity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The scales of the numbers of [OmittedVariable] beside coefficient.
const (
	PartialR2       estimate.Measure = "partial-r2"
	RobustnessValue estimate.Measure = "robustness-value"
	R2Treatment     estimate.Measure = "r2dz.x"
	R2Outcome       estimate.Measure = "r2yz.dx"
)

// Benchmark is a measured covariate (one column, or the dummies of a category) that a
// hidden one is compared with.
type Benchmark struct {
	Name    string
	Columns []string // names of columns of the frame's X
}

// OmittedVariable asks how strong a hidden covariate must be to change a least-squares
// coefficient. With t and df of the treatment's coefficient (classical errors),
//
//	R²Y~D|X = t²/(t²+df),  f = q·|t|/√df,  RVq = ½(√(f⁴+4f²) - f²)
//	f* = t{1-α/2, df-1}/√(df-1),  f' = f - f*
//	RVqα = 0 if f' ≤ 0; (f²-f*²)/(1+f²) if f > 1/f*; else ½(√(f'⁴+4f'²) - f'²)
//
// RVq is the share of what is left of both treatment and outcome that a hidden
// covariate must explain to take away the fraction q of the coefficient, RVqα to bring
// the interval of level 1-α to it. A hidden covariate k times as strong as a benchmark j,
// with the benchmark's partial R² r = R²D~j|X, s = R²Y~j|D,X, has
//
//	R²D~Z|X = k·r/(1-r),  g = k·r²/((1-k·r)(1-r))
//	R²Y~Z|D,X = min(1, ((√k+√g)/√(1-g))²·s/(1-s))
//	bias = se·√(df·R²Y~Z·R²D~Z/(1-R²D~Z)),  adjusted = sign(b)·(|b| - bias)
//	adjusted se = se·√((1-R²Y~Z)/(1-R²D~Z)·df/(df-1))
//
// with the interval from t on df degrees of freedom, as the source's software has it. The
// bias is taken toward 0 and beyond.
//
// It reads f.Y and f.X, in which Treatment names the column of the treatment (any
// number); an intercept is added. The partial R² of several columns is that of their
// joint test. The estimates are the term Treatment (coefficient), "r2yd.x", "rv_q",
// "rv_qa", and for every benchmark and k the term "Kx NAME" with measures r2dz.x, r2yz.dx
// and coefficient (adjusted). Details hold the same under the names of the source.
//
// Collinear columns after the treatment are left out with a note. Errors: [ErrOption],
// [ErrBenchmark] (k times the benchmark explains all), [estimate.ErrWeights],
// [estimate.ErrCollinear] (the treatment, or all of a benchmark, depends on other
// columns), [estimate.ErrTooFew], [estimate.ErrNotIdentified] (no residual variation).
//
// Source: Cinelli and Hazlett (2020), JRSS B 82:39–67.
type OmittedVariable struct {
	Treatment  string
	Benchmarks []Benchmark
	Strength   []float64 // k: times a benchmark, each above 0; nil means 1
	Q          float64   // fraction of the coefficient to take away, above 0; 0 means 1
	Alpha      float64   // of RVqα, in (0, 1); 0 means 1 - f.Level
	Workers    int       // never changes the result
}

var _ estimate.Estimator = OmittedVariable{}

// Bound is a row of the details.
type Bound struct {
	Label     string  `json:"bound_label"`
	Benchmark string  `json:"benchmark"`
	Strength  float64 `json:"k"`
	R2DZ      float64 `json:"r2dz.x"`
	R2YZ      float64 `json:"r2yz.dx"`
	Estimate  float64 `json:"adjusted_estimate"`
	SE        float64 `json:"adjusted_se"`
	T         float64 `json:"adjusted_t"`
	Lower     float64 `json:"adjusted_lower_CI"`
	Upper     float64 `json:"adjusted_upper_CI"`
}

// Fit implements [estimate.Estimator].
func (o OmittedVariable) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("omitted-variable bounds: %w", err)
	}
	return res, nil
}

func (o OmittedVariable) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if o.Q == 0 {
		o.Q = 1
	}
	if o.Alpha == 0 {
		o.Alpha = 1 - f.Level
	}
	if o.Strength == nil {
		o.Strength = []float64{1}
	}
	treatment, err := o.check(f)
	if err != nil {
		return nil, err
	}
	outcome, err := regress(f, f.Y, -1, o.Workers)
	if err != nil {
		return nil, err
	}
	at := outcome.place(treatment)
	if at < 0 {
		return nil, fmt.Errorf("%w: treatment %q depends linearly on other columns", estimate.ErrCollinear, o.Treatment)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, se, df := outcome.fit.Coef[at], math.Sqrt(outcome.sigma2*outcome.fit.Inverse.At(at, at)), outcome.df
	e := estimate.Wald(o.Treatment, estimate.Coefficient, b, se, df, f.Level)
	t := e.Test.Stat
	r2 := float64(t*t) / (float64(t*t) + df)
	rv, rva := o.robustness(math.Abs(t), df)
	res := &estimate.Result{Method: "omitted-variable", N: estimate.Counts{Units: len(f.Y)}, Fit: estimate.Convergence{Converged: true, Iterations: outcome.fit.Steps}}
	res.Estimates = []estimate.Estimate{e, bare("r2yd.x", PartialR2, r2), bare("rv_q", RobustnessValue, rv), bare("rv_qa", RobustnessValue, rva)}
	res.Details = map[string]any{
		"estimate": b, "se": se, "t": t, "dof": df, "r2yd.x": r2, "f2yd.x": float64(t*t) / df, "rv_q": rv, "rv_qa": rva, "q": o.Q, "alpha": o.Alpha,
	}
	if len(outcome.fit.Collinear) > 0 {
		names := []string{}
		for _, j := range outcome.fit.Collinear {
			names = append(names, outcome.names[j])
		}
		res.Notes = append(res.Notes, table.Note{Code: "collinear-dropped", Text: fmt.Sprintf("%d columns depend linearly on columns before them and have no coefficient.", len(names)),
			Args: map[string]any{"columns": names, "count": len(names)}})
	}
	if len(o.Benchmarks) == 0 {
		return res, nil
	}
	d := make([]float64, len(f.Y))
	mat.Col(d, treatment, f.X)
	assigned, err := regress(f, d, treatment, o.Workers)
	if err != nil {
		return nil, err
	}
	bounds := []Bound{}
	for _, m := range o.Benchmarks {
		r, err := assigned.partialR2(m)
		if err != nil {
			return nil, err
		}
		s, err := outcome.partialR2(m)
		if err != nil {
			return nil, err
		}
		for _, k := range o.Strength {
			bound, adjusted, clipped, err := o.bound(m, k, r, s, b, se, df, f.Level)
			if err != nil {
				return nil, err
			}
			bounds = append(bounds, bound)
			res.Estimates = append(res.Estimates, bare(bound.Label, R2Treatment, bound.R2DZ), bare(bound.Label, R2Outcome, bound.R2YZ), adjusted)
			if clipped {
				res.Notes = append(res.Notes, table.Note{Code: "bound-clipped", Args: map[string]any{"bound": bound.Label},
					Text: fmt.Sprintf("A hidden covariate %s would explain more than all of what is left of the outcome; it is taken to explain all.", bound.Label)})
			}
		}
	}
	res.Details["bounds"] = bounds
	return res, nil
}

func (o OmittedVariable) check(f *estimate.Frame) (treatment int, err error) {
	bad := func(format string, a ...any) (int, error) {
		return 0, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...))
	}
	treatment = slices.Index(f.XNames, o.Treatment)
	switch {
	case f.Weight.Values != nil:
		return 0, fmt.Errorf("%w: the bounds hold for unweighted least squares", estimate.ErrWeights)
	case f.Cluster != nil:
		return bad("the bounds do not use clusters")
	case f.X == nil || treatment < 0:
		return bad("treatment %q is not a column", o.Treatment)
	case !(o.Q > 0) || math.IsInf(o.Q, 0):
		return bad("q must be a finite number above 0")
	case !(o.Alpha > 0 && o.Alpha < 1):
		return bad("alpha must be between 0 and 1")
	}
	for _, k := range o.Strength {
		if !(k > 0) || math.IsInf(k, 0) {
			return bad("a strength must be a finite number above 0")
		}
	}
	for _, m := range o.Benchmarks {
		if len(m.Columns) == 0 {
			return bad("benchmark %q has no column", m.Name)
		}
		for _, c := range m.Columns {
			if c == o.Treatment || !slices.Contains(f.XNames, c) {
				return bad("benchmark %q: %q is not a covariate", m.Name, c)
			}
		}
	}
	return treatment, nil
}

// robustness returns RVq and RVqα.
func (o OmittedVariable) robustness(t, df float64) (rv, rva float64) {
	f := o.Q * t / math.Sqrt(df)
	value := func(f float64) float64 {
		f2 := f * f
		return (math.Sqrt(float64(f2*f2)+4*f2) - f2) / 2
	}
	rv = value(f)
	crit := num.StudentQuantile(1-o.Alpha, df-1) / math.Sqrt(df-1)
	switch less := f - crit; {
	case math.IsNaN(crit):
		return rv, math.NaN()
	case less <= 0:
		return rv, 0
	case f > 1/crit:
		return rv, (float64(f*f) - float64(crit*crit)) / (1 + float64(f*f))
	default:
		return rv, value(less)
	}
}

// bound is a hidden covariate k times as strong as a benchmark with partial R² r with
// the treatment and s with the outcome.
func (o OmittedVariable) bound(m Benchmark, k, r, s, b, se, df, level float64) (Bound, estimate.Estimate, bool, error) {
	label := strconv.FormatFloat(k, 'g', -1, 64) + "x " + m.Name
	dz := k * r / (1 - r)
	g := k * r * r / ((1 - k*r) * (1 - r))
	if !(dz < 1) || !(g < 1) || k*r >= 1 {
		return Bound{}, estimate.Estimate{}, false, fmt.Errorf("%w: a hidden covariate %s would explain all of the treatment; take a smaller strength", ErrBenchmark, label)
	}
	yz := math.Pow((math.Sqrt(k)+math.Sqrt(g))/math.Sqrt(1-g), 2) * s / (1 - s)
	clipped := yz > 1
	yz = math.Min(yz, 1)
	adjusted, ase := adjust(b, se, df, dz, yz)
	e := estimate.Wald(label, estimate.Coefficient, adjusted, ase, df, level)
	return Bound{Label: label, Benchmark: m.Name, Strength: k, R2DZ: dz, R2YZ: yz, Estimate: adjusted, SE: e.SE, T: e.Test.Stat, Lower: e.CI.Lo, Upper: e.CI.Hi}, e, clipped, nil
}

// adjust is the coefficient and its error had a covariate with these partial R² been in
// the regression and worked against the coefficient.
func adjust(b, se, df, dz, yz float64) (adjusted, adjustedSE float64) {
	bias := se * math.Sqrt(df*yz*dz/(1-dz))
	return (math.Abs(b) - bias) * math.Copysign(1, b), se * math.Sqrt((1-yz)/(1-dz)*df/(df-1))
}

// regression is a least-squares fit with classical errors.
type regression struct {
	fit        num.LsqFit
	names      []string // of its columns
	sigma2, df float64
}

// regress fits y on an intercept and the frame's columns but one (-1 = all).
func regress(f *estimate.Frame, y []float64, without, workers int) (*regression, error) {
	g := &regression{names: []string{"(intercept)"}}
	for j, n := range f.XNames {
		if j != without {
			g.names = append(g.names, n)
		}
	}
	k := len(g.names)
	x := make([]float64, 0, len(y)*k)
	for i := range y {
		x = append(x, 1)
		for j, v := range f.X.RawRowView(i) {
			if j != without {
				x = append(x, v)
			}
		}
	}
	var err error
	g.fit, err = num.LeastSquares(num.LsqData{N: len(y), K: k, X: x, Y: y, DropCollinear: true, Workers: workers})
	switch {
	case errors.Is(err, num.ErrNoConvergence):
		return nil, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
	case err != nil:
		return nil, err
	}
	g.df = float64(len(y) - g.fit.Rank)
	if g.df < 2 {
		return nil, fmt.Errorf("%w: %d rows for %d coefficients; the bounds need two rows more than coefficients", estimate.ErrTooFew, len(y), g.fit.Rank)
	}
	var total float64
	for _, v := range y {
		total += float64(v * v)
	}
	if g.fit.RSS <= 1e-28*total {
		return nil, fmt.Errorf("%w: the columns explain all of the outcome or of the treatment", estimate.ErrNotIdentified)
	}
	g.sigma2 = g.fit.RSS / g.df
	return g, nil
}

// place is where the column of the frame is among the coefficients; -1 if it was left out.
func (g *regression) place(column int) int { return slices.Index(g.fit.Kept, column+1) }

// partialR2 is W/(W+df), W = b'V⁻¹b of the benchmark's coefficients with classical V: for
// one column t²/(t²+df).
func (g *regression) partialR2(m Benchmark) (float64, error) {
	var at []int
	for _, c := range m.Columns {
		if p := slices.Index(g.fit.Kept, slices.Index(g.names, c)); p >= 0 {
			at = append(at, p)
		}
	}
	q := len(at)
	if q == 0 {
		return 0, fmt.Errorf("%w: benchmark %q depends linearly on other columns", estimate.ErrCollinear, m.Name)
	}
	v := mat.NewSymDense(q, nil)
	b := mat.NewVecDense(q, nil)
	for i, p := range at {
		b.SetVec(i, g.fit.Coef[p])
		for j := i; j < q; j++ {
			v.SetSym(i, j, g.fit.Inverse.At(p, at[j]))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(v) {
		return 0, fmt.Errorf("%w: columns of benchmark %q", estimate.ErrCollinear, m.Name)
	}
	var s mat.VecDense
	if err := chol.SolveVecTo(&s, b); err != nil {
		return 0, fmt.Errorf("%w: columns of benchmark %q", estimate.ErrCollinear, m.Name)
	}
	w := mat.Dot(b, &s) / g.sigma2
	return w / (w + g.df), nil
}
