package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// The measures of [FollowUpMissing] beside mean-difference.
const (
	ImportantChanges estimate.Measure = "important-changes" // a shift in units of the important change
	ResponseRate     estimate.Measure = "response-rate"
)

// FollowUpScores are n people with a score before and one after, which some did not give.
type FollowUpScores struct {
	Persons
	Before, After []float64 // NaN in After: not answered
}

// FollowUpMissing asks what is left of an effect if those who did not answer fared otherwise than those who did. Missing
// scores are filled in by their expectation given the score before, and the effect is the coefficient of taking part in least squares of the
// completed score on taking part and the score before (ANCOVA):
//
//	mar                 missing after = a_g + b_g·before + δ_g, regression of those in arm g who answered, δ = 0
//	jump-to-reference   participants' missing scores by the comparison people's regression: who is lost has nothing of the programme
//	delta=D             mar with D added to the participants' missing scores
//	tipping             the δ nearest 0 that makes the interval of delta=δ touch 0, in important changes (gate G6)
//
// With c_i the weight of person i's score in the coefficient, τ = Σ c_i y_i*. The errors of mar and delta have both steps in them,
// IF_i = c_i·r_i + Σ_{j missing} c_j z_j'(Z_g'Z_g)⁻¹z_i·e_i; jump-to-reference keeps the error of mar (information-anchored: what nobody saw adds no
// certainty); its error under repetition is details.repeated_std_error.
//
// Estimates: mar, jump-to-reference, delta=D for each of Delta (mean-difference), tipping (important-changes), then response,group=G and
// response,group=G,tercile=T of the score before (response-rate), T 1 to 3. Details: missing (by group), response_gap, vcov.
//
// Errors: [estimate.ErrTooFew] under MinPerArm answers in an arm; [estimate.ErrNoTreated], [estimate.ErrNoControls];
// [estimate.ErrWeights] for frequencies; [estimate.ErrCollinear] where nobody's score before differs.
//
// Carpenter, Roger and Kenward (2013); Cro, Carpenter and Kenward (2019).
type FollowUpMissing struct {
	MIC       float64   // smallest important change, above 0; required
	Delta     []float64 // shifts of the curve, in the unit of the score
	MinPerArm int       // 0 means 15
	Workers   int       // never changes a result
}

// Fit estimates from scores, which it does not change.
func (e FollowUpMissing) Fit(ctx context.Context, s *FollowUpScores) (*estimate.Result, error) {
	res, err := e.fit(s)
	if err != nil {
		return nil, fmt.Errorf("missing follow-up: %w", err)
	}
	return res, ctx.Err()
}

// followUp is the data in the order of the units, of people of weight above 0.
type followUp struct {
	s       *FollowUpScores
	order   []int32
	w       []float64
	arm     []int
	x, y    []float64 // y NaN where missing
	c       []float64 // weight of each completed score in the effect
	coef    [2][2]float64
	inverse [2]*mat.SymDense
	known   [2]int
	count   [2]int
	workers int
}

func (e FollowUpMissing) fit(s *FollowUpScores) (*estimate.Result, error) {
	n := len(s.Unit)
	if len(s.Before) != n || len(s.After) != n {
		return nil, invalid("%d scores before and %d after for %d persons", len(s.Before), len(s.After), n)
	}
	frame := &estimate.Frame{Unit: s.Unit, Y: s.Before, Treated: s.Treated, Weight: s.Weight, Cluster: s.Cluster, Level: s.Level}
	if err := frame.Check(); err != nil {
		return nil, err
	}
	switch {
	case s.Weight.Kind == estimate.Frequency:
		return nil, fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case s.Treated == nil:
		return nil, estimate.ErrNoTreated
	case !(e.MIC > 0) || math.IsInf(e.MIC, 1):
		return nil, invalid("the smallest important change must be finite and above 0")
	case e.MinPerArm < 0:
		return nil, invalid("persons per arm below 0")
	}
	for i, v := range s.After {
		if math.IsInf(v, 0) {
			return nil, &estimate.RowError{Row: i, Err: invalid("the score after is infinite")}
		}
	}
	seen := map[float64]bool{}
	for _, d := range e.Delta {
		if math.IsNaN(d) || math.IsInf(d, 0) || seen[d] {
			return nil, invalid("a shift must be finite and be asked for once")
		}
		seen[d] = true
	}
	if e.MinPerArm == 0 {
		e.MinPerArm = MinArm
	}
	f := &followUp{s: s, workers: e.Workers}
	for _, i := range byUnit(s.Unit) {
		w := 1.0
		if s.Weight.Values != nil {
			w = s.Weight.Values[i]
		}
		if w == 0 {
			continue
		}
		a := arm(s.Treated[i])
		f.order, f.w, f.arm, f.x, f.y = append(f.order, int32(i)), append(f.w, w), append(f.arm, a), append(f.x, s.Before[i]), append(f.y, s.After[i])
		f.count[a]++
		if !math.IsNaN(s.After[i]) {
			f.known[a]++
		}
	}
	switch {
	case f.count[1] == 0:
		return nil, estimate.ErrNoTreated
	case f.count[0] == 0:
		return nil, estimate.ErrNoControls
	case min(f.known[0], f.known[1]) < e.MinPerArm:
		return nil, fmt.Errorf("%w: in an arm %d persons answered, at least %d are needed", estimate.ErrTooFew, min(f.known[0], f.known[1]), e.MinPerArm)
	}
	if err := f.models(); err != nil {
		return nil, err
	}
	return f.result(e)
}

// models fits the regressions of those who answered, and the weights c of the scores.
func (f *followUp) models() error {
	for a := range 2 {
		var z, y, w []float64
		for k, v := range f.y {
			if f.arm[k] == a && !math.IsNaN(v) {
				z, y, w = append(z, 1, f.x[k]), append(y, v), append(w, f.w[k])
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: len(y), K: 2, X: z, Y: y, Weight: w, DropCollinear: true, Workers: f.workers})
		if err != nil {
			return err
		}
		if fit.Rank < 2 {
			return fmt.Errorf("%w: in one arm all who answered have the same score before", estimate.ErrCollinear)
		}
		f.coef[a], f.inverse[a] = [2]float64{fit.Coef[0], fit.Coef[1]}, fit.Inverse
	}
	var z, part []float64
	for k, x := range f.x {
		z, part = append(z, 1, x), append(part, float64(f.arm[k]))
	}
	fit, err := num.LeastSquares(num.LsqData{N: len(part), K: 2, X: z, Y: part, Weight: f.w, Workers: f.workers})
	if err != nil {
		return err
	}
	squares := make([]float64, len(part))
	for k, r := range fit.Residual {
		squares[k] = float64(f.w[k] * r * r)
	}
	total := num.Sum(squares)
	if !(total > rounding*float64(len(part))) {
		return fmt.Errorf("%w: the score before decides who takes part", estimate.ErrNotIdentified)
	}
	f.c = make([]float64, len(part))
	for k, r := range fit.Residual {
		f.c[k] = f.w[k] * r / total
	}
	return nil
}

// completed gives the scores with the missing ones filled in by the regression of arm from[g], plus shift for participants.
func (f *followUp) completed(from [2]int, shift float64) []float64 {
	out := slices.Clone(f.y)
	for k, v := range out {
		if math.IsNaN(v) {
			b := f.coef[from[f.arm[k]]]
			out[k] = b[0] + float64(b[1]*f.x[k]) + shift*float64(f.arm[k])
		}
	}
	return out
}

// effect gives the coefficient and its influence function with both steps in it.
func (f *followUp) effect(from [2]int, shift float64) (float64, []float64, error) {
	y := f.completed(from, shift)
	terms := make([]float64, len(y))
	var design []float64
	for k, v := range y {
		terms[k] = f.c[k] * v
		design = append(design, 1, float64(f.arm[k]), f.x[k])
	}
	fit, err := num.LeastSquares(num.LsqData{N: len(y), K: 3, X: design, Y: y, Weight: f.w, Workers: f.workers})
	if err != nil {
		return 0, nil, err
	}
	inf := make([]float64, len(y))
	var lever [2][2]float64 // Σ over the missing that arm a's regression fills in of c_j·z_j
	for k, v := range f.y {
		inf[k] = f.c[k] * fit.Residual[k]
		if math.IsNaN(v) {
			a := from[f.arm[k]]
			lever[a][0] += f.c[k]
			lever[a][1] += f.c[k] * f.x[k]
		}
	}
	for k, v := range f.y {
		if math.IsNaN(v) {
			continue
		}
		a := f.arm[k]
		e := v - f.coef[a][0] - float64(f.coef[a][1]*f.x[k])
		z := [2]float64{1, f.x[k]}
		sum := 0.0
		for p := range 2 {
			for q := range 2 {
				sum += lever[a][p] * f.inverse[a].At(p, q) * z[q]
			}
		}
		inf[k] += float64(sum * f.w[k] * e)
	}
	return num.Sum(terms), inf, nil
}

func (f *followUp) result(e FollowUpMissing) (*estimate.Result, error) {
	own, reference := [2]int{0, 1}, [2]int{0, 0}
	var values []float64
	var cols [][]float64
	put := func(v float64, inf []float64) { values, cols = append(values, v), append(cols, inf) }
	mar, inf, err := f.effect(own, 0)
	if err != nil {
		return nil, err
	}
	put(mar, inf)
	jump, jumpInf, err := f.effect(reference, 0)
	if err != nil {
		return nil, err
	}
	put(jump, jumpInf)
	one, oneInf, err := f.effect(own, 1)
	if err != nil {
		return nil, err
	}
	// Everything is linear in the shift: value and influence at δ are those at 0 plus δ times what a shift of 1 adds.
	slope, slopeInf := one-mar, make([]float64, len(inf))
	for k := range inf {
		slopeInf[k] = oneInf[k] - inf[k]
	}
	put(slope, slopeInf)
	terms := []string{"mar", "jump-to-reference"}
	for _, d := range e.Delta {
		at := make([]float64, len(inf))
		for k := range at {
			at[k] = inf[k] + float64(d*slopeInf[k])
		}
		put(mar+float64(d*slope), at)
		terms = append(terms, "delta="+survive.FormatTime(d))
	}
	rates, rateTerms := f.response()
	for _, r := range rates {
		put(r.value, r.inf)
	}
	all := mat.NewDense(len(f.s.Unit), len(values), nil)
	for q, c := range cols {
		for k, p := range f.order {
			all.Set(int(p), q, c[k])
		}
	}
	cov, clusters, err := survive.Covariance(all, f.order, f.s.Cluster, e.Workers)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "missing-follow-up", N: estimate.Counts{Units: len(f.order), Treated: f.count[1], Clusters: clusters}, Fit: estimate.Convergence{Converged: true}}
	if f.s.Cluster == nil {
		res.N.Clusters = 0
	}
	se := func(q int) float64 { return math.Sqrt(cov.At(q, q)) }
	wald := func(term string, v, se float64) {
		res.Estimates = append(res.Estimates, estimate.Wald(term, estimate.MeanDifference, v, se, math.Inf(1), f.s.Level))
	}
	wald("mar", mar, se(0))
	wald("jump-to-reference", jump, se(0))
	for k, d := range terms[2:] {
		wald(d, values[3+k], se(3+k))
	}
	tip := ShiftLine{Value: mar, Slope: slope, Var: cov.At(0, 0), Cov: cov.At(0, 2), SlopeVar: cov.At(2, 2)}.Tips(f.s.Level)
	res.Estimates = append(res.Estimates, estimate.Estimate{Term: "tipping", Measure: ImportantChanges, Value: tip / e.MIC, SE: math.NaN(), CI: noInterval(), Test: noTest()})
	for k, term := range rateTerms {
		q := 3 + len(e.Delta) + k
		x := estimate.Estimate{Term: term, Measure: ResponseRate, Value: values[q], SE: se(q), CI: survive.Logit(values[q], se(q), f.s.Level), Test: noTest()}
		if !(x.SE > 0) {
			x.SE, x.CI = math.NaN(), noInterval()
		}
		res.Estimates = append(res.Estimates, x)
	}
	res.Details = map[string]any{
		"missing":      map[string]int{"0": f.count[0] - f.known[0], "1": f.count[1] - f.known[1]},
		"response_gap": rates[1].value - rates[0].value, "repeated_std_error": se(1), "tipping_shift": tip, "mic": e.MIC,
		"vcov": "influence, both steps; jump-to-reference information-anchored",
	}
	res.Notes = f.notes(mar, tip, res.Estimates[0])
	return res, nil
}

// notes say why a tipping point is not there, and what the weights are.
func (f *followUp) notes(mar, tip float64, e estimate.Estimate) (out []table.Note) {
	switch {
	case f.count == f.known:
		out = append(out, table.Note{Code: "nothing-missing", Text: "Everybody answered: there is no tipping point."})
	case e.CI.Lo <= 0 && e.CI.Hi >= 0:
		out = append(out, table.Note{Code: "already-tipped", Text: "The interval covers 0 without any shift: there is nothing to tip."})
	case math.IsNaN(tip):
		out = append(out, table.Note{Code: "no-tipping", Text: "No shift of the scores that were not given makes the interval cover 0."})
	}
	if f.s.Weight.Values != nil {
		out = append(out, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(f.s.Weight.Kind)}})
	}
	return out
}

// rate is a share with its influence function.
type rate struct {
	value float64
	inf   []float64
}
