package effect

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// linear is a weighted least-squares problem with the inference asked for. Its rows
// are those of the frame with positive weight.
type linear struct {
	start   []float64 // k: coefficients near the solution; nil where none are known
	spent   bool      // nobody reads x after the errors: the influence takes its place
	scores  []float64 // of each row, where they do not come from residuals: see GLM.solve
	n, k    int
	x       []float64 // n×k by rows
	y       []float64
	weight  []float64 // nil = 1
	kind    estimate.WeightKind
	cluster []int // nil if none
	second  []int // another way of clustering, nil if none
	place   *places
	vcov    Vcov
	centred bool // a constant is in the span: R² about the mean
	// A generalised linear model is solved as the least squares of its last step.
	dispersion float64   // known variance of the errors; 0 = estimated
	normal     bool      // without clusters the reference distribution is the normal
	theta      []float64 // working variance of each row for cr2, nil for least squares
	// Absorbed effects: y and x are already residuals from them.
	rawY         []float64 // outcome before absorbing, nil if none
	absorbed     int       // coefficients that the absorbed effects take
	absorbedOpen int       // the same, those nested in clusters counted once
	hat          []float64 // leverage of the absorbed dummies by row, nil if not needed
	tolerance    float64   // reached in absorbing
	workers      int
}

// solution is the fit of a linear problem, k numbers a term; NaN where a column was
// left out as collinear.
type solution struct {
	fit          num.LsqFit
	coef, se, df []float64
	cov          *mat.SymDense // k×k
	influence    []float64     // n×k by rows
	units        float64       // N
	params       int           // K
	clusters     int           // G, 0 without clusters
	vcov         string
	rSquared, adjRSquared, withinRSquared,
	sigma float64
	concentration *concentration // nil without clusters
	wild          map[string]any // of the wild bootstrap, nil without
	notes         []table.Note
}

// solve fits the problem. The names are for messages.
func (l *linear) solve(names []string) (*solution, error) {
	fit, err := num.LeastSquares(num.LsqData{N: l.n, K: l.k, X: l.x, Y: l.y, Weight: l.weight, DropCollinear: true, Start: l.start, Workers: l.workers})
	switch {
	case errors.Is(err, num.ErrNoConvergence):
		return nil, fmt.Errorf("%w: %w", estimate.ErrNotConverged, err)
	case err != nil:
		return nil, err
	}
	l.zeroRounding(&fit)
	s, err := l.errors(names, fit)
	if err != nil {
		return nil, err
	}
	l.describe(s)
	return s, nil
}

// errors gives the covariance and influence of a fit.
func (l *linear) errors(names []string, fit num.LsqFit) (*solution, error) {
	s := &solution{fit: fit, units: float64(l.n)}
	if l.kind == estimate.Frequency {
		s.units = num.Sum(l.weight)
	}
	s.params = fit.Rank + l.absorbed
	if s.units <= float64(s.params) {
		return nil, fmt.Errorf("%w: %g rows for %d coefficients", estimate.ErrTooFew, s.units, s.params)
	}
	if fit.Rank == 0 {
		return nil, fmt.Errorf("%w: no column varies", estimate.ErrCollinear)
	}
	if len(fit.Collinear) > 0 {
		gone := []string{}
		for _, j := range fit.Collinear {
			gone = append(gone, names[j])
		}
		s.notes = append(s.notes, collinearNote(gone))
	}
	if fit.Condition > 1e8 {
		s.notes = append(s.notes, table.Note{Code: "ill-conditioned",
			Text: fmt.Sprintf("The columns are nearly collinear (condition number %.1e): about %.0f of 16 digits of the data are lost in the coefficients.", fit.Condition, math.Log10(fit.Condition)),
			Args: map[string]any{"condition": fit.Condition}})
	}
	inner, df, err := l.covariance(s)
	if err != nil {
		return nil, err
	}
	l.spread(s, inner, df)
	if l.second != nil || l.place != nil {
		s.nonNegative()
	}
	if l.vcov.clustered() {
		l.concentration(s, names)
	}
	return s, nil
}

func collinearNote(gone []string) table.Note {
	return table.Note{Code: "collinear-dropped",
		Text: fmt.Sprintf("%d columns depend linearly on columns before them or on absorbed effects and have no coefficient: %s.", len(gone), strings.Join(gone, ", ")),
		Args: map[string]any{"columns": gone, "count": len(gone)}}
}

// zeroRounding makes residuals exactly 0 where the fit is exact: what is left is the
// rounding of the outcome, and a standard error of it would look like evidence.
func (l *linear) zeroRounding(fit *num.LsqFit) {
	y := l.y
	if l.rawY != nil {
		y = l.rawY
	}
	if fit.RSS <= 1e-30*l.sumOfSquares(y, false) {
		fit.RSS = 0
		clear(fit.Residual)
	}
}

// spread turns the covariance in orthonormal coordinates into that of the k terms,
// with standard errors and influence.
func (l *linear) spread(s *solution, inner *mat.SymDense, df []float64) {
	q, k := s.fit.Rank, l.k
	half := mat.NewDense(q, q, nil) // R⁻¹·inner, by columns of inner
	col := make([]float64, q)
	for j := range q {
		for i := range q {
			col[i] = inner.At(i, j)
		}
		s.fit.Unbasis(col)
		half.SetCol(j, col)
	}
	s.coef, s.se, s.df = nans(k), nans(k), nans(k)
	s.cov = mat.NewSymDense(k, nil)
	for i := range k {
		for j := range k {
			s.cov.SetSym(i, j, math.NaN())
		}
	}
	for i, a := range s.fit.Kept {
		copy(col, half.RawRowView(i))
		s.fit.Unbasis(col)
		for j, b := range s.fit.Kept {
			if j >= i {
				s.cov.SetSym(a, b, col[j])
			}
		}
		s.coef[a], s.se[a], s.df[a] = s.fit.Coef[i], math.Sqrt(math.Max(col[i], 0)), df[i]
	}
	for _, j := range s.fit.Collinear {
		if math.IsInf(df[0], 1) { // a number that does not exist has the reference distribution of the others
			s.df[j] = df[0]
		}
	}
	if s.influence == nil {
		l.influence(s)
	}
}

// influence writes R⁻¹R⁻ᵀx·w·e of each row.
func (l *linear) influence(s *solution) {
	s.influence = l.x
	if !l.spent {
		s.influence = make([]float64, l.n*l.k)
	}
	num.ForChunks(l.n, l.workers, func(_, lo, hi int) {
		p, f := num.NewRowPanel(s.fit.Rank), make([]float64, num.PanelRows)
		for at := lo; at < hi; at += num.PanelRows {
			n := min(num.PanelRows, hi-at)
			p.Load(l.x[at*l.k:], n, l.k, s.fit.Kept)
			p.SolveTransposed(s.fit.R)
			l.influenceOf(s, at, n, p, f, s.influence)
		}
	})
}

// influenceOf writes the influence of n rows of which the panel holds R⁻ᵀx, NaN for columns without coefficient.
func (l *linear) influenceOf(s *solution, at, n int, p *num.RowPanel, f, to []float64) {
	p.Solve(s.fit.R)
	for r := range n {
		f[r] = l.factor(s, at+r)
	}
	p.Store(to[at*l.k:], l.k, s.fit.Kept, f)
	for _, j := range s.fit.Collinear {
		for r := range n {
			to[(at+r)*l.k+j] = math.NaN()
		}
	}
}

// factor is w·e of a row, by which its columns are multiplied in its score.
func (l *linear) factor(s *solution, r int) float64 {
	switch {
	case l.scores != nil:
		return l.scores[r]
	case l.weight != nil:
		return l.weight[r] * s.fit.Residual[r]
	}
	return s.fit.Residual[r]
}

// score stores w·e·R⁻ᵀx of a row in z.
func (l *linear) score(s *solution, r int, z []float64) {
	s.fit.Basis(l.x[r*l.k:(r+1)*l.k], z)
	e := l.factor(s, r)
	for i := range z {
		z[i] *= e
	}
}

// describe computes σ and R². Sampling and matching weights are scaled to mean 1 for
// σ, so that their unit does not matter.
func (l *linear) describe(s *solution) {
	dfResidual := s.units - float64(s.params)
	total := s.units
	if l.weight != nil {
		total = num.Sum(l.weight)
	}
	s.sigma = math.Sqrt(s.fit.RSS * (s.units / total) / dfResidual)
	y := l.y
	if l.rawY != nil {
		y = l.rawY
	}
	tss := l.sumOfSquares(y, l.centred || l.rawY != nil)
	used := 0.0
	if l.centred || l.rawY != nil {
		used = 1
	}
	s.rSquared = 1 - s.fit.RSS/tss
	s.adjRSquared = 1 - (1-s.rSquared)*(s.units-used)/dfResidual
	s.withinRSquared = math.NaN()
	if l.rawY != nil {
		s.withinRSquared = 1 - s.fit.RSS/l.sumOfSquares(l.y, false)
	}
}

// sumOfSquares returns Σ w·(y-m)², m the weighted mean or 0.
func (l *linear) sumOfSquares(y []float64, centre bool) float64 {
	return num.SumOfSquares(y[:l.n], l.weight, centre, l.workers)
}

func (l *linear) w(i int) float64 {
	if l.weight == nil {
		return 1
	}
	return l.weight[i]
}

func nans(k int) []float64 {
	out := make([]float64, k)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// dense renumbers codes from 0 in their order of first appearance.
func dense(codes []int) ([]int, int) {
	out := make([]int, len(codes))
	lo, hi := math.MaxInt, math.MinInt
	for _, c := range codes {
		lo, hi = min(lo, c), max(hi, c)
	}
	next := 0
	if len(codes) > 0 && lo >= -1<<40 && hi <= 1<<40 && hi-lo <= 4*len(codes)+1024 { // a table costs a tenth of a map
		seen := make([]int32, hi-lo+1)
		for i, c := range codes {
			d := seen[c-lo]
			if d == 0 {
				next++
				d = int32(next)
				seen[c-lo] = d
			}
			out[i] = int(d) - 1
		}
		return out, next
	}
	seen := make(map[int]int)
	for i, c := range codes {
		d, ok := seen[c]
		if !ok {
			d = next
			next++
			seen[c] = d
		}
		out[i] = d
	}
	return out, next
}
