package sensitivity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// mostGroups bounds the fits that one call may need.
const mostGroups = 2000

// LeaveOut fits an effect again without each group of units in turn: does it rest on one
// association, one municipality, one site? Each fit is exact. A matched set with a member
// in the group goes whole.
//
// The estimates are the term "all", "without=NAME" in the order of Names, then "smallest"
// and "largest" of those. Details: groups (rows [LeftOut]), sign_changes, and
// interval_changes (groups without which the interval holds 0 and did not, or the other
// way round).
//
// A group without which nothing can be estimated has NaN and is named in the note
// "group-indispensable".
//
// Errors: [ErrOption] (fewer than two groups, more than 2,000, no such term), and those
// of Each on all units.
type LeaveOut struct {
	Each  estimate.Estimator
	Term  string // of the estimate that is followed; "" is the first
	Group []int  // n: index in Names; -1 = in no group, always kept
	Names []string
	// Workers never changes the result.
	Workers int
}

var _ estimate.Estimator = LeaveOut{}

// LeftOut is a row of the details.
type LeftOut struct {
	Group    string  `json:"group"`
	Units    int     `json:"units_left_out"`
	Estimate float64 `json:"estimate"`
	SE       float64 `json:"std_error"`
	Lower    float64 `json:"conf_low"`
	Upper    float64 `json:"conf_high"`
	P        float64 `json:"p_value"`
	Forecast float64 `json:"forecast"` // of the influence function
}

// Fit implements [estimate.Estimator].
func (o LeaveOut) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	res, err := o.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("leave one out: %w", err)
	}
	return res, nil
}

func (o LeaveOut) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := o.check(f); err != nil {
		return nil, err
	}
	whole, err := o.Each.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	at := 0
	if o.Term != "" {
		at = slices.IndexFunc(whole.Estimates, func(e estimate.Estimate) bool { return e.Term == o.Term })
	}
	if at < 0 || len(whole.Estimates) == 0 {
		return nil, fmt.Errorf("%w: the method has no number with the term %q", ErrOption, o.Term)
	}
	all := whole.Estimates[at]
	stays := o.Stays(f)
	fits := make([]estimate.Estimate, len(o.Names))
	rows := make([]LeftOut, len(o.Names))
	failed := make([]error, len(o.Names))
	num.ForEach(len(o.Names), o.Workers, func(g int) {
		if ctx.Err() != nil {
			return
		}
		keep := stays(g)
		row := LeftOut{Group: o.Names[g], Units: len(f.Y) - len(keep), Forecast: math.NaN()}
		e := bare("", all.Measure, math.NaN())
		if row.Units == 0 {
			e = all
		} else if r, err := o.Each.Fit(ctx, takeRows(f, keep)); err != nil {
			failed[g] = err
		} else if at < len(r.Estimates) && r.Estimates[at].Term == all.Term {
			e = r.Estimates[at]
		}
		e.Term = "without=" + o.Names[g]
		if whole.Influence != nil {
			row.Forecast = forecast(all.Value, whole.Influence, at, keep)
		}
		row.Estimate, row.SE, row.Lower, row.Upper, row.P = e.Value, e.SE, e.CI.Lo, e.CI.Hi, e.Test.P
		fits[g], rows[g] = e, row
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "leave-one-out", N: whole.N, Fit: whole.Fit, Notes: whole.Notes}
	first := all
	first.Term = "all"
	res.Estimates = append(append(res.Estimates, first), fits...)
	smallest, largest := bare("smallest", all.Measure, math.NaN()), bare("largest", all.Measure, math.NaN())
	signs, intervals := 0, 0
	var lost []string
	for g, e := range fits {
		if math.IsNaN(e.Value) {
			if err := failed[g]; err != nil && !indispensable(err) && rows[g].Units < len(f.Y) {
				return nil, fmt.Errorf("without group %d of %d: %w", g+1, len(o.Names), err)
			}
			lost = append(lost, o.Names[g])
			continue
		}
		if !(e.Value >= smallest.Value) {
			smallest = e
			smallest.Term = "smallest"
		}
		if !(e.Value <= largest.Value) {
			largest = e
			largest.Term = "largest"
		}
		if e.Value*all.Value < 0 {
			signs++
		}
		if holdsZero(e) != holdsZero(all) {
			intervals++
		}
	}
	res.Estimates = append(res.Estimates, smallest, largest)
	res.Details = map[string]any{"groups": rows, "sign_changes": signs, "interval_changes": intervals}
	if len(lost) > 0 {
		res.Notes = append(slices.Clone(res.Notes), table.Note{Code: "group-indispensable", Args: map[string]any{"groups": lost, "count": len(lost)},
			Text: fmt.Sprintf("Without %d of the groups nothing can be estimated: the finding rests on them.", len(lost))})
	}
	return res, nil
}

// indispensable says that data are lacking, not that the method failed.
func indispensable(err error) bool {
	for _, e := range []error{estimate.ErrNoTreated, estimate.ErrNoControls, estimate.ErrTooFew, estimate.ErrNotIdentified, estimate.ErrSeparated, estimate.ErrCollinear} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func holdsZero(e estimate.Estimate) bool { return e.CI.Lo <= 0 && 0 <= e.CI.Hi }

func (o LeaveOut) check(f *estimate.Frame) error {
	if err := f.Check(); err != nil {
		return err
	}
	switch {
	case o.Each == nil:
		return fmt.Errorf("%w: no estimator", ErrOption)
	case len(o.Group) != len(f.Y):
		return fmt.Errorf("%w: %d group numbers for %d rows", ErrOption, len(o.Group), len(f.Y))
	case len(o.Names) < 2:
		return fmt.Errorf("%w: at least two groups are needed to leave one out", ErrOption)
	case len(o.Names) > mostGroups:
		return fmt.Errorf("%w: %d groups are more than %d; take a coarser grouping", ErrOption, len(o.Names), mostGroups)
	}
	for i, g := range o.Group {
		if g < -1 || g >= len(o.Names) {
			return fmt.Errorf("%w: row %d has a group without a name", ErrOption, i+1)
		}
	}
	for i, n := range o.Names {
		if slices.Contains(o.Names[:i], n) {
			return fmt.Errorf("%w: two groups have one name", ErrOption)
		}
	}
	return nil
}

// Stays returns for each group the rows that are left without it.
func (o LeaveOut) Stays(f *estimate.Frame) func(g int) []int {
	in := map[int][]int{} // set → its groups
	if f.Set != nil {
		for i, s := range f.Set {
			if s >= 0 && o.Group[i] >= 0 && !slices.Contains(in[s], o.Group[i]) {
				in[s] = append(in[s], o.Group[i])
			}
		}
	}
	return func(g int) (keep []int) {
		for i := range f.Y {
			if o.Group[i] == g || f.Set != nil && f.Set[i] >= 0 && slices.Contains(in[f.Set[i]], g) {
				continue
			}
			keep = append(keep, i)
		}
		return keep
	}
}

// takeRows is the frame of some rows; sets and clusters are numbered anew.
func takeRows(f *estimate.Frame, rows []int) *estimate.Frame {
	g := &estimate.Frame{Level: f.Level, XNames: f.XNames, Weight: estimate.Weights{Kind: f.Weight.Kind}}
	g.Unit, g.Y = make([]string, len(rows)), make([]float64, len(rows))
	if f.Treated != nil {
		g.Treated = make([]bool, len(rows))
	}
	if f.Weight.Values != nil {
		g.Weight.Values = make([]float64, len(rows))
	}
	if f.X != nil && len(rows) > 0 {
		g.X = mat.NewDense(len(rows), len(f.XNames), nil)
	}
	for k, i := range rows {
		g.Unit[k], g.Y[k] = f.Unit[i], f.Y[i]
		if f.Treated != nil {
			g.Treated[k] = f.Treated[i]
		}
		if f.Weight.Values != nil {
			g.Weight.Values[k] = f.Weight.Values[i]
		}
		if g.X != nil {
			copy(g.X.RawRowView(k), f.X.RawRowView(i))
		}
	}
	g.Set, g.Cluster = renumber(f.Set, rows), renumber(f.Cluster, rows)
	return g
}

// renumber numbers the values of some rows from 0 in order of appearance; -1 stays.
func renumber(v, rows []int) []int {
	if v == nil {
		return nil
	}
	number := map[int]int{-1: -1}
	out := make([]int, len(rows))
	for k, i := range rows {
		if _, ok := number[v[i]]; !ok {
			number[v[i]] = len(number) - 1
		}
		out[k] = number[v[i]]
	}
	return out
}

// forecast is θ̂ - Σφ·n/(n - n_left) over the rows that are not kept.
func forecast(value float64, influence *mat.Dense, column int, keep []int) float64 {
	n, _ := influence.Dims()
	if len(keep) == 0 {
		return math.NaN()
	}
	sum := 0.0 // of the rows kept; all sum to 0
	for _, i := range keep {
		sum += influence.At(i, column)
	}
	return value + sum*float64(n)/float64(len(keep))
}
