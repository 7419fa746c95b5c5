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

// VisitScores are n people with a score at the baseline and at T visits, from one of which on some are missing.
type VisitScores struct {
	Persons
	Before []float64  // n
	After  *mat.Dense // n×T in the order of the visits; NaN = missing, and so are then those after it
	Visits []string   // T names
}

// ReferenceBased asks what is left of an effect at each visit if participants who were lost fared from then on otherwise than those who
// stayed. Given arm and baseline the visits are multivariate normal with one covariance; what is missing is filled in by its conditional
// mean around the mean m that a strategy gives,
//
//	y_t* = m_t + Φ_t(y*_{<t} − m_{<t})
//
// mar: m that of the own arm; jump-to-reference: that of comparison people after the loss; copy-reference: theirs throughout;
// copy-increments: the own one at the last visit seen plus their increments from there; delta=D: mar plus D. The effect is the coefficient of taking part in
// least squares of the completed score on taking part and baseline.
//
// Estimates, visit by visit: visit=V,strategy=S and visit=V,delta=D (mean-difference), in the unit of the score. Errors by jackknife;
// strategies based on the reference carry the error of mar (information-anchored), details.repeated_std_error has that under
// repetition. Details: missing (by group and visit), jackknife_groups, repeated_std_error, vcov.
//
// Errors: [estimate.ErrInvalidFrame] for loss that is not monotone; [estimate.ErrTooFew] under MinPerArm persons in an arm at the last visit;
// [estimate.ErrCollinear]; [estimate.ErrNoTreated], [estimate.ErrNoControls]; [estimate.ErrWeights] for frequencies.
//
// Carpenter, Roger and Kenward (2013); Wolbers et al. (2022).
type ReferenceBased struct {
	Delta     []float64 // shifts of what is missing of participants, in the unit of the score
	MinPerArm int       // 0 means 15
	Workers   int       // goroutines; 0 means all cores. Never changes a result
}

// The strategies, in the order of the estimates.
var strategies = [...]string{"mar", "jump-to-reference", "copy-reference", "copy-increments"}

// jackknifeGroups is how many parts are left out in turn where there are more persons.
const jackknifeGroups = 500

// Fit estimates from scores, which it does not change.
func (e ReferenceBased) Fit(ctx context.Context, s *VisitScores) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("missing at several visits: %w", err)
	}
	return res, nil
}

// visitFit is the data of people of weight above 0, in the order of their units.
type visitFit struct {
	order   []int32
	arm     []int
	x, w    []float64
	y       [][]float64 // people × visits
	seen    []int       // visits of each
	T       int
	workers int
}

func (e ReferenceBased) take(s *VisitScores) (*visitFit, error) {
	n := len(s.Unit)
	frame := &estimate.Frame{Unit: s.Unit, Y: s.Before, Treated: s.Treated, Weight: s.Weight, Cluster: s.Cluster, Level: s.Level}
	if len(s.Before) != n || s.After == nil {
		return nil, invalid("%d scores before for %d persons, and scores at visits", len(s.Before), n)
	}
	if err := frame.Check(); err != nil {
		return nil, err
	}
	r, T := s.After.Dims()
	switch {
	case r != n || T != len(s.Visits) || T == 0:
		return nil, invalid("scores after are %d×%d, %d×%d expected", r, T, n, len(s.Visits))
	case s.Weight.Kind == estimate.Frequency:
		return nil, fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case s.Treated == nil:
		return nil, estimate.ErrNoTreated
	case e.MinPerArm < 0:
		return nil, invalid("persons per arm below 0")
	}
	for k, name := range s.Visits {
		if slices.Contains(s.Visits[:k], name) {
			return nil, invalid("visit %q is there twice", name)
		}
	}
	for k, d := range e.Delta {
		if math.IsNaN(d) || math.IsInf(d, 0) || slices.Contains(e.Delta[:k], d) {
			return nil, invalid("a shift must be finite and be asked for once")
		}
	}
	f := &visitFit{T: T, workers: e.Workers}
	var last, all [2]int
	for _, i := range byUnit(s.Unit) {
		w := 1.0
		if s.Weight.Values != nil {
			w = s.Weight.Values[i]
		}
		if w == 0 {
			continue
		}
		y := slices.Clone(s.After.RawRowView(i))
		seen := 0
		for t, v := range y {
			switch {
			case math.IsInf(v, 0):
				return nil, &estimate.RowError{Row: i, Err: invalid("a score is infinite")}
			case math.IsNaN(v):
			case seen < t:
				return nil, &estimate.RowError{Row: i, Err: invalid("a score at visit %q after one that is missing: leave it out, or fill the gap in first", s.Visits[t])}
			default:
				seen++
			}
		}
		a := arm(s.Treated[i])
		f.order, f.arm, f.x, f.w, f.y, f.seen = append(f.order, int32(i)), append(f.arm, a), append(f.x, s.Before[i]), append(f.w, w), append(f.y, y), append(f.seen, seen)
		all[a]++
		if seen == T {
			last[a]++
		}
	}
	least := e.MinPerArm
	if least == 0 {
		least = MinArm
	}
	switch {
	case all[1] == 0:
		return nil, estimate.ErrNoTreated
	case all[0] == 0:
		return nil, estimate.ErrNoControls
	case min(last[0], last[1]) < least:
		return nil, fmt.Errorf("%w: in an arm %d persons were seen at the last visit, at least %d are needed", estimate.ErrTooFew, min(last[0], last[1]), least)
	}
	return f, nil
}

// effects are the strategies' effects by visit, then what one unit of shift adds to mar: 5×T numbers, without the people of out.
func (f *visitFit) effects(out func(k int) bool) ([]float64, error) {
	coef := make([][]float64, f.T) // 1, a, x, Y_1 …
	for t := range f.T {
		var z, y, w []float64
		for k := range f.y {
			if f.seen[k] > t && !out(k) {
				z = append(append(z, 1, float64(f.arm[k]), f.x[k]), f.y[k][:t]...)
				y, w = append(y, f.y[k][t]), append(w, f.w[k])
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: len(y), K: 3 + t, X: z, Y: y, Weight: w, DropCollinear: true, Workers: 1})
		if err != nil {
			return nil, err
		}
		if fit.Rank < 3+t {
			return nil, fmt.Errorf("%w: arm, baseline and visits before decide each other", estimate.ErrCollinear)
		}
		coef[t] = fit.Coef
	}
	mean := func(a int, x float64) []float64 {
		m := make([]float64, f.T)
		for t, c := range coef {
			m[t] = c[0] + float64(c[1]*float64(a)) + float64(c[2]*x) + num.Dot(c[3:], m[:t])
		}
		return m
	}
	var design, w []float64
	var people []int
	for k := range f.y {
		if !out(k) {
			design, w, people = append(design, 1, float64(f.arm[k]), f.x[k]), append(w, f.w[k]), append(people, k)
		}
	}
	completed := make([][]float64, (len(strategies)+1)*f.T)
	for q := range completed {
		completed[q] = make([]float64, len(people))
	}
	m, y, off := make([]float64, f.T), make([]float64, f.T), make([]float64, f.T)
	for at, k := range people {
		own, reference, d := mean(f.arm[k], f.x[k]), mean(0, f.x[k]), f.seen[k]
		for s, name := range strategies {
			for t := range f.T {
				m[t] = own[t]
				switch {
				case f.arm[k] == 0 || name == "mar":
				case name == "copy-reference", t >= d && (name == "jump-to-reference" || d == 0):
					m[t] = reference[t]
				case t >= d:
					m[t] = own[d-1] + reference[t] - reference[d-1]
				}
			}
			for t := range f.T {
				if y[t] = f.y[k][t]; t >= d {
					y[t] = m[t] + num.Dot(coef[t][3:], off[:t])
				}
				off[t] = y[t] - m[t]
				completed[s*f.T+t][at] = y[t]
			}
		}
		for t := d; t < f.T; t++ {
			completed[len(strategies)*f.T+t][at] = float64(f.arm[k])
		}
	}
	values := make([]float64, len(completed))
	for q, v := range completed {
		fit, err := num.LeastSquares(num.LsqData{N: len(v), K: 3, X: design, Y: v, Weight: w, Workers: 1})
		if err != nil {
			return nil, err
		}
		values[q] = fit.Coef[1]
	}
	return values, nil
}

// parts are the groups that the jackknife leaves out: clusters, persons, or 500 parts by the keyed hash of the unit.
func (f *visitFit) parts(s *VisitScores) ([]int, int) {
	part := make([]int, len(f.order))
	if s.Cluster != nil {
		number := map[int]int{}
		for k, i := range f.order {
			c := s.Cluster[i]
			if _, ok := number[c]; !ok {
				number[c] = len(number)
			}
			part[k] = number[c]
		}
		return part, len(number)
	}
	hash := make([]uint64, len(f.order))
	for k, i := range f.order {
		hash[k] = num.KeyedHash(0, s.Unit[i])
	}
	groups := min(len(part), jackknifeGroups)
	for at, k := range num.OrderKeys(hash) {
		part[k] = at % groups
	}
	return part, groups
}

func (e ReferenceBased) fit(ctx context.Context, s *VisitScores) (*estimate.Result, error) {
	f, err := e.take(s)
	if err != nil {
		return nil, err
	}
	value, err := f.effects(func(int) bool { return false })
	if err != nil {
		return nil, err
	}
	part, G := f.parts(s)
	if G < 2 {
		return nil, fmt.Errorf("%w: one cluster has no error", estimate.ErrTooFew)
	}
	left, errs := make([][]float64, G), make([]error, G)
	num.ForEach(G, e.Workers, func(g int) {
		if ctx.Err() == nil {
			left[g], errs[g] = f.effects(func(k int) bool { return part[k] == g })
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("without one of %d groups: %w", G, err)
		}
	}
	// spread of a number that is linear in those of effects
	spread := func(of func(v []float64) float64) float64 {
		var v []float64
		mean := 0.0
		for _, l := range left {
			v = append(v, of(l))
			mean += of(l) / float64(G)
		}
		for k := range v {
			v[k] = (v[k] - mean) * (v[k] - mean)
		}
		return math.Sqrt(num.Sum(v) * float64(G-1) / float64(G))
	}
	res := &estimate.Result{Method: "reference-based", N: estimate.Counts{Units: len(f.order)}, Fit: estimate.Convergence{Converged: true}}
	repeated, missing := map[string]float64{}, map[string]map[string]int{"0": {}, "1": {}}
	for k, a := range f.arm {
		res.N.Treated += a
		for t := f.seen[k]; t < f.T; t++ {
			missing[fmt.Sprint(a)][s.Visits[t]]++
		}
	}
	for t, visit := range s.Visits {
		put := func(term string, v, se float64) {
			res.Estimates = append(res.Estimates, estimate.Wald("visit="+visit+","+term, estimate.MeanDifference, v, se, math.Inf(1), s.Level))
		}
		se := spread(func(v []float64) float64 { return v[t] })
		for k, name := range strategies {
			put("strategy="+name, value[k*f.T+t], se)
			repeated["visit="+visit+",strategy="+name] = spread(func(v []float64) float64 { return v[k*f.T+t] })
		}
		slope := len(strategies)*f.T + t
		for _, d := range e.Delta {
			of := func(v []float64) float64 { return v[t] + float64(d*v[slope]) }
			put("delta="+survive.FormatTime(d), of(value), spread(of))
		}
	}
	if s.Cluster != nil {
		res.N.Clusters = G
	}
	if s.Weight.Values != nil {
		res.Notes = append(res.Notes, table.Note{Code: "weights-fixed", Text: "Standard errors take the weights as known; the step that estimated them is not in them.", Args: map[string]any{"kind": string(s.Weight.Kind)}})
	}
	res.Details = map[string]any{"missing": missing, "jackknife_groups": G, "repeated_std_error": repeated, "vcov": "jackknife, both steps; strategies based on the reference information-anchored"}
	return res, nil
}
