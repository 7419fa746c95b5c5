package progress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// surrogateFit is a sample in the order of its units, with the models' predictions.
type surrogateFit struct {
	e        Surrogate
	s        *SurrogateSample
	n        int
	unit     []string
	rows     []int // of the sample
	older    []bool
	treated  []float64 // 1, 0; 0 where not known
	known    []bool    // treatment and outcome
	y        []float64 // NaN where not known
	cluster  []int
	w        []float64 // of mean 1; nil without weights
	fold     []int     // nil if none
	folds    int
	count    [2]int // arms of the programme
	olderArm [2]int // and of the older cohort, where treatment is known
	arrived  int    // outcomes of the programme that are known
	binary   bool
	outcome  string
	design   []float64 // n×width by rows: 1, X, S, less collinear columns
	names    []string  // width
	base     int       // columns of 1, X
	notes    []table.Note

	nuOf [][]float64 // ν for everybody, by the fold that had no part in it; nil if nothing is tilted

	nu, nu1, nu0       []float64 // ν and ν̄ of each arm
	rhoS, rhoX         []float64
	gammaS, gammaX     []float64
	maxWeight, ess, r2 float64
}

// take adds a row of the sample.
func (f *surrogateFit) take(i int) {
	s := f.s
	known := s.TreatedKnown == nil || s.TreatedKnown[i]
	w := 0.0
	if known && s.Treated[i] {
		w = 1
	}
	if y := s.Y[i]; !math.IsNaN(y) && y != 0 && y != 1 {
		f.binary = false
	}
	f.n++
	f.unit, f.rows = append(f.unit, s.Unit[i]), append(f.rows, i)
	f.older, f.treated, f.y = append(f.older, s.Older[i]), append(f.treated, w), append(f.y, s.Y[i])
	f.known = append(f.known, known && !math.IsNaN(s.Y[i]))
	if s.Cluster != nil {
		f.cluster = append(f.cluster, s.Cluster[i])
	}
	if s.Weight.Values != nil {
		f.w = append(f.w, s.Weight.Values[i])
	}
	if s.Older[i] && known {
		f.olderArm[int(w)]++
	}
	if !s.Older[i] {
		f.count[int(w)]++
		if !math.IsNaN(s.Y[i]) {
			f.arrived++
		}
	}
}

// scaleWeights gives the weights the mean 1: only their relations count.
func (f *surrogateFit) scaleWeights() {
	if total := num.Sum(f.w); total > 0 {
		for i := range f.w {
			f.w[i] *= float64(f.n) / total
		}
	}
}

// weight of a person.
func (f *surrogateFit) weight(i int) float64 {
	if f.w == nil {
		return 1
	}
	return f.w[i]
}

// weightsOf are those of rows, nil without weights.
func (f *surrogateFit) weightsOf(rows []int) []float64 {
	if f.w == nil {
		return nil
	}
	out := make([]float64, len(rows))
	for k, i := range rows {
		out[k] = f.w[i]
	}
	return out
}

// dot is Σ w·a·b over rows.
func (f *surrogateFit) dot(rows []int, a, b []float64) float64 {
	if f.w == nil {
		return num.Dot(a, b)
	}
	v := make([]float64, len(rows))
	for k, i := range rows {
		v[k] = float64(f.w[i] * a[k])
	}
	return num.Dot(v, b)
}

// collinear makes the design and leaves out columns that depend on those before them.
func (f *surrogateFit) collinear() error {
	names := append(append([]string{"(intercept)"}, f.s.XNames...), f.s.SNames...)
	base, k := 1+len(f.s.XNames), len(names)
	full := make([]float64, 0, f.n*k)
	for _, r := range f.rows {
		full = append(full, 1)
		if f.s.X != nil {
			full = append(full, f.s.X.RawRowView(r)...)
		}
		full = append(full, f.s.S.RawRowView(r)...)
	}
	kept, gone, _, err := num.Rank(num.LsqData{N: f.n, K: k, X: full, Y: make([]float64, f.n), Workers: f.e.Workers})
	if err != nil {
		return err
	}
	for _, j := range kept {
		f.names = append(f.names, names[j])
		if j < base {
			f.base++
		}
	}
	if f.base == len(kept) {
		return fmt.Errorf("%w: no surrogate varies beyond the covariates", estimate.ErrNotIdentified)
	}
	for i := range f.n {
		for _, j := range kept {
			f.design = append(f.design, full[i*k+j])
		}
	}
	if len(gone) > 0 {
		var columns []string
		for _, j := range gone {
			columns = append(columns, names[j])
		}
		f.notes = append(f.notes, table.Note{Code: "collinear-dropped", Args: map[string]any{"columns": columns, "count": len(columns)},
			Text: fmt.Sprintf("%d columns depend linearly on columns before them and have no part in the models: %s.", len(columns), strings.Join(columns, ", "))})
	}
	return nil
}

// model fits y on the first k columns of the design over the rows that keep lets in and
// writes its predictions for the rows that to lets in.
func (f *surrogateFit) model(what string, logistic bool, k int, y, out []float64, keep, to func(i int) bool) error {
	width := len(f.names)
	var x, z []float64
	var rows []int
	for i := range f.n {
		if keep(i) {
			x, z, rows = append(x, f.design[i*width:i*width+k]...), append(z, y[i]), append(rows, i)
		}
	}
	weight := f.weightsOf(rows)
	fit, err := num.LeastSquares(num.LsqData{N: len(z), K: k, X: x, Y: z, Weight: weight, DropCollinear: true, Workers: f.e.Workers})
	if err != nil {
		return fmt.Errorf("the model of %s: %w", what, err)
	}
	if !logistic {
		for i := range f.n {
			if to(i) {
				out[i] = 0
				for a, j := range fit.Kept {
					out[i] += float64(fit.Coef[a] * f.design[i*width+j])
				}
			}
		}
		return nil
	}
	// In coordinates in which the columns are orthonormal, columns that nearly depend on
	// each other (a total and its rounded parts) cost no digits and stop no iteration.
	r := fit.Rank
	q := make([]float64, len(z)*r)
	for i := range z {
		fit.Basis(x[i*k:(i+1)*k], q[i*r:(i+1)*r])
	}
	logit, err := num.Logit(num.LogitData{N: len(z), K: r, X: q, Y: z, Weight: weight, Workers: f.e.Workers})
	if err != nil {
		return f.explain(what, &fit, x, z, k, err)
	}
	at := make([]float64, r)
	for i := range f.n {
		if to(i) {
			fit.Basis(f.design[i*width:i*width+k], at)
			eta := 0.0
			for a, v := range at {
				eta += float64(logit.Coef[a] * v)
			}
			out[i] = num.LogitLink.Mean(eta)
		}
	}
	return nil
}

// explain says why a logistic model has no maximum; the columns are named by those that
// separate as they were given.
func (f *surrogateFit) explain(what string, fit *num.LsqFit, x, z []float64, k int, err error) error {
	if errors.Is(err, num.ErrSeparated) {
		var raw []float64
		for i := range z {
			for _, j := range fit.Kept {
				raw = append(raw, x[i*k+j])
			}
		}
		by := "the columns together"
		var separated *num.SeparatingColumns
		if _, again := num.Logit(num.LogitData{N: len(z), K: fit.Rank, X: raw, Y: z, Workers: f.e.Workers}); errors.As(again, &separated) {
			var names []string
			for _, j := range separated.Columns {
				names = append(names, f.names[fit.Kept[j]])
			}
			by = strings.Join(names, ", ")
		}
		return fmt.Errorf("%w: %s is decided by %s, so that nobody is comparable; take columns out, or limit the data to where both sides occur", estimate.ErrSeparated, what, by)
	}
	if errors.Is(err, num.ErrNoConvergence) {
		return fmt.Errorf("%w: the model of %s", estimate.ErrNotConverged, what)
	}
	return fmt.Errorf("the model of %s: %w", what, err)
}

// nuisances fits every model, to all people or fold by fold.
func (f *surrogateFit) nuisances(ctx context.Context) error {
	for _, v := range []*[]float64{&f.nu, &f.nu1, &f.nu0, &f.rhoS, &f.rhoX, &f.gammaS, &f.gammaX} {
		*v = make([]float64, f.n)
	}
	if f.fold == nil {
		all := func(int) bool { return true }
		return f.part(all, all)
	}
	for k := range f.folds {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.part(func(i int) bool { return f.fold[i] != k }, func(i int) bool { return f.fold[i] == k }); err != nil {
			return fmt.Errorf("without one of %d folds: %w", f.folds, err)
		}
	}
	return nil
}

// part fits the models to the rows of fit and predicts for the rows of to.
func (f *surrogateFit) part(fit, to func(i int) bool) error {
	older := func(i int) bool { return f.older[i] && fit(i) }
	programme := func(i int) bool { return !f.older[i] && fit(i) }
	arm := func(w float64) func(i int) bool {
		return func(i int) bool { return programme(i) && f.treated[i] == w }
	}
	count := [3]int{}
	for i := range f.n {
		switch {
		case older(i):
			count[2]++
		case fit(i):
			count[int(f.treated[i])]++
		}
	}
	if min(count[0], count[1], count[2]) == 0 {
		return fmt.Errorf("%w: nobody of the older cohort, or of an arm of the programme, is left to fit to", estimate.ErrTooFew)
	}
	cohort := make([]float64, f.n)
	for i, g := range f.older {
		if g {
			cohort[i] = 1
		}
	}
	width, binary := len(f.names), f.outcome == "logistic"
	all := func(int) bool { return true }
	// ν is needed of the people whom ν̄ is fitted to as well as of those predicted for.
	nu := make([]float64, f.n)
	if f.e.bridge {
		if err := f.armed(nu, cohort, fit, to); err != nil {
			return err
		}
	} else if err := f.model("the long-term outcome", binary, width, f.y, nu, older, all); err != nil {
		return err
	}
	for i := range f.n {
		if to(i) {
			f.nu[i] = nu[i]
		}
	}
	if len(f.e.Tilt) > 0 || len(f.e.Region) > 0 {
		f.nuOf = append(f.nuOf, nu)
	}
	if f.e.TreatmentModel == "constant" {
		var in, all float64
		for i := range f.n {
			if programme(i) {
				in, all = in+float64(f.weight(i)*f.treated[i]), all+f.weight(i)
			}
		}
		share := in / all
		for i := range f.n {
			if to(i) {
				f.rhoX[i] = share
			}
		}
	} else if err := f.model("treatment", true, f.base, f.treated, f.rhoX, programme, to); err != nil {
		return err
	}
	for _, m := range []struct {
		what     string
		logistic bool
		k        int
		y, out   []float64
		keep     func(i int) bool
	}{
		{"the index of the treated", false, f.base, nu, f.nu1, arm(1)},
		{"the index of the untreated", false, f.base, nu, f.nu0, arm(0)},
		{"treatment, given the surrogates,", true, width, f.treated, f.rhoS, programme},
		{"the cohort, given the surrogates,", true, width, cohort, f.gammaS, fit},
		{"the cohort", true, f.base, cohort, f.gammaX, fit},
	} {
		if f.e.Population != "older" && &m.out[0] == &f.gammaX[0] || f.e.bridge && (&m.out[0] == &f.rhoS[0] || &m.out[0] == &f.gammaS[0]) {
			continue // nothing is weighed by it
		}
		if err := f.model(m.what, m.logistic, m.k, m.y, m.out, m.keep, to); err != nil {
			return err
		}
	}
	return nil
}
