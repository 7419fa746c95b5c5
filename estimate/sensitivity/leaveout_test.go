package sensitivity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
)

// Treated 4, 6, 8 in groups a, b, c; comparison 1, 2, 3. Differences of means: all 6 - 2 = 4; without a (4, 1)
// 7 - 2.5; without b 6 - 2; without c 5 - 1.5. Influence of the rows of a: (4-6)/3 - (1-2)/3 = -1/3: forecast 4 + (1/3)·6/4.
func TestLeaveOutByHand(t *testing.T) {
	f := &estimate.Frame{Level: .95, Y: []float64{4, 6, 8, 1, 2, 3}, Treated: []bool{true, true, true, false, false, false}}
	for i := range 6 {
		f.Unit = append(f.Unit, fmt.Sprint(i))
	}
	o := LeaveOut{Each: effect.Difference{}, Group: []int{0, 1, 2, 0, 1, 2}, Names: []string{"a", "b", "c"}}
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	e := byTerm(r)
	for term, want := range map[string]float64{"all": 4, "without=a": 4.5, "without=b": 4, "without=c": 3.5, "smallest": 3.5, "largest": 4.5} {
		require.InDelta(t, want, e[term].Value, 1e-14, term)
	}
	rows := r.Details["groups"].([]LeftOut)
	require.Equal(t, 2, rows[0].Units)
	require.InDelta(t, 4.5, rows[0].Forecast, 1e-14)
	require.Equal(t, e["without=a"].SE, rows[0].SE)
	require.Equal(t, 0, r.Details["sign_changes"])
	require.Equal(t, 3, r.Details["interval_changes"], "four rows are too few for an interval without 0")

	o.Group[3] = -1 // in no group: stays
	r, err = o.Fit(t.Context(), f)
	require.NoError(t, err)
	require.InDelta(t, 7-2., byTerm(r)["without=a"].Value, 1e-14)
}

func groupedFrame() (*estimate.Frame, []int, []string) {
	s := num.NewStream(9, "leave out", 0)
	f := &estimate.Frame{Level: .95, XNames: []string{"x"}, Weight: estimate.Weights{Kind: estimate.Matching}}
	var group []int
	var x []float64
	for i := range 300 {
		f.Unit, f.Treated, f.Set, f.Cluster = append(f.Unit, fmt.Sprint(i)), append(f.Treated, i%3 == 0), append(f.Set, i/3), append(f.Cluster, i/6)
		w := 1.0
		if i%3 > 0 {
			w = .5
		}
		f.Weight.Values = append(f.Weight.Values, w)
		v := s.Normal()
		x = append(x, v)
		y := v + s.Normal()
		if i%3 == 0 {
			y += .8
		}
		f.Y = append(f.Y, y)
		group = append(group, s.Intn(7))
	}
	f.X = mat.NewDense(300, 1, x)
	return f, group, []string{"a", "b", "c", "d", "e", "f", "g"}
}

// Against a refit on a frame made by hand; sets go whole; workers change nothing.
func TestLeaveOutIsTheRefit(t *testing.T) {
	f, group, names := groupedFrame()
	o := LeaveOut{Each: effect.Regression{}, Term: "att", Group: group, Names: names, Workers: 1}
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	gone := map[int]bool{}
	for i, g := range group {
		if g == 2 {
			gone[f.Set[i]] = true
		}
	}
	h := &estimate.Frame{Level: .95, XNames: f.XNames, Weight: estimate.Weights{Kind: estimate.Matching}}
	var x []float64
	for i := range f.Y {
		if !gone[f.Set[i]] {
			h.Unit, h.Y, h.Treated, h.Set, h.Cluster = append(h.Unit, f.Unit[i]), append(h.Y, f.Y[i]), append(h.Treated, f.Treated[i]), append(h.Set, f.Set[i]), append(h.Cluster, f.Cluster[i])
			h.Weight.Values = append(h.Weight.Values, f.Weight.Values[i])
			x = append(x, f.X.At(i, 0))
		}
	}
	h.X = mat.NewDense(len(x), 1, x)
	want, err := effect.Regression{}.Fit(t.Context(), h)
	require.NoError(t, err)
	got := byTerm(r)["without=c"]
	require.InDelta(t, want.Estimates[0].Value, got.Value, 1e-13)
	require.InDelta(t, want.Estimates[0].SE, got.SE, 1e-13)
	rows := r.Details["groups"].([]LeftOut)
	require.Equal(t, 3*len(gone), rows[2].Units)
	for _, row := range rows {
		require.InDelta(t, row.Estimate, row.Forecast, .05, "first order")
	}
	o.Workers = 4
	again, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Equal(t, r.Estimates, again.Estimates)
}

func TestLeaveOutNotesAndErrors(t *testing.T) {
	f, group, names := groupedFrame()
	all := make([]int, 300)
	for i := range all {
		all[i] = 1
	}
	all[0], all[1], all[2] = 0, 0, 0
	r, err := LeaveOut{Each: effect.Difference{}, Group: all, Names: []string{"few", "nearly all"}}.Fit(t.Context(), f)
	require.NoError(t, err)
	require.Contains(t, noteCodes(r), "group-indispensable")
	require.True(t, math.IsNaN(byTerm(r)["without=nearly all"].Value))
	require.Equal(t, byTerm(r)["without=few"].Value, byTerm(r)["largest"].Value)

	ok := LeaveOut{Each: effect.Difference{}, Group: group, Names: names}
	for name, change := range map[string]func(o *LeaveOut){
		"estimator": func(o *LeaveOut) { o.Each = nil },
		"rows":      func(o *LeaveOut) { o.Group = group[:3] },
		"one":       func(o *LeaveOut) { o.Names = names[:1] },
		"unnamed":   func(o *LeaveOut) { o.Names = names[:6] },
		"twice":     func(o *LeaveOut) { o.Names = []string{"a", "a", "c", "d", "e", "f", "g"} },
		"term":      func(o *LeaveOut) { o.Term = "nope" },
		"many":      func(o *LeaveOut) { o.Names = make([]string, 2001) },
	} {
		o := ok
		change(&o)
		_, err := o.Fit(t.Context(), f)
		require.ErrorIs(t, err, ErrOption, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = ok.Fit(ctx, f)
	require.Error(t, err)
	// A failure of the method is not the group's doing.
	ok.Each = failing{effect.Difference{}, len(f.Y)}
	_, err = ok.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrNotConverged)
}

type failing struct {
	estimate.Estimator
	rows int
}

func (e failing) Fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if len(f.Y) < e.rows {
		return nil, errors.Join(errors.New("stopped"), estimate.ErrNotConverged)
	}
	return e.Estimator.Fit(ctx, f)
}
