package panel

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// marked returns the frame without cohorts, and the treatment of each row.
func marked(f *Frame) (*Frame, []bool) {
	d := make([]bool, len(f.Y))
	for i, g := range f.Cohort {
		d[i] = g != 0 && f.Time[i] >= g
	}
	return &Frame{Unit: f.Unit, Time: f.Time, Y: f.Y, Level: f.Level}, d
}

// rect is a panel of one unit a row: periods from 1, y by period.
func rect(cohorts []int, y [][]float64) *Frame {
	f := &Frame{Level: 0.95}
	for u, series := range y {
		for t, v := range series {
			f.Unit, f.Time = append(f.Unit, fmt.Sprintf("u%02d", u)), append(f.Time, t+1)
			f.Cohort, f.Y = append(f.Cohort, cohorts[u]), append(f.Y, v)
		}
	}
	return f
}

func parts(res *estimate.Result) map[string]BaconComponent {
	out := map[string]BaconComponent{}
	for _, c := range res.Details["components"].([]BaconComponent) {
		out[fmt.Sprintf("%d-%d", c.Treated, c.Comparison)] = c
	}
	return out
}

// By hand. D = 2/3, 1/3, 0 for the units entering in 2, 3 and never, one unit each.
// Weights before scaling: 2 against never 2/3·1/3 = 2/9, 3 against never 1/3·2/3 = 2/9,
// 2 against 3 (periods 1, 2) 1/3·1/3 = 1/9, 3 against 2 (periods 2, 3) 1/3·1/3 = 1/9;
// their sum is 6/9. Estimates: (4-0)-(1-0) = 3; (2-1)-(1-1/2) = 1/2; (2-0)-(1-1) = 2;
// (2-1)-(6-2) = -3. Together 3/3 + 1/6 + 2/6 - 3/6 = 1.
//
// With a fourth unit treated throughout (D = 1, y = 5, 6, 8): 2 against always
// 1·(1-2/3)·2/3 = 2/9, (4-0)-(7-5) = 2; 3 against always 2/3·1/3 = 2/9,
// (2-1)-(8-11/2) = -3/2. The sum is 10/9: weights 2/10 and 1/10, overall
// (2·3 + 2·1/2 + 2 - 3 + 2·2 - 2·3/2)/10 = 7/10.
func TestBaconByHand(t *testing.T) {
	f := rect([]int{2, 3, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}})
	frame, d := marked(f)
	res, err := Bacon{}.Fit(t.Context(), frame, d)
	require.NoError(t, err)
	checkResult(t, res)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 1, 14)
	got := parts(res)
	require.Len(t, got, 4)
	check := func(key, kind string, value, weight float64) {
		c, ok := got[key]
		require.True(t, ok, key)
		require.Equal(t, kind, c.Type)
		reftest.Agree(t, key, c.Estimate, value, 14)
		reftest.Agree(t, key+" weight", c.Weight, weight, 14)
	}
	check("2-0", TreatedNever, 3, 1.0/3)
	check("3-0", TreatedNever, 0.5, 1.0/3)
	check("2-3", EarlierLater, 2, 1.0/6)
	check("3-2", LaterEarlier, -3, 1.0/6)
	require.Equal(t, 3, res.N.Units)
	require.Equal(t, 2, res.N.Treated)

	frame, d = marked(rect([]int{2, 3, 0, 1}, [][]float64{{0, 2, 6}, {1, 1, 2}, {0, 1, 1}, {5, 6, 8}}))
	res, err = Bacon{}.Fit(t.Context(), frame, d)
	require.NoError(t, err)
	reftest.Agree(t, "overall", res.Estimates[0].Value, 0.7, 14)
	got = parts(res)
	require.Len(t, got, 6)
	check("2-1", LaterAlways, 2, 0.2)
	check("3-1", LaterAlways, -1.5, 0.2)
	check("3-2", LaterEarlier, -3, 0.1)
	require.True(t, hasNote(res, "already-treated-as-comparison"))
	require.True(t, hasNote(res, "always-treated-compared"))
	require.False(t, hasNote(res, "always-treated-dropped"))
}

// The weights add up to 1 and the components to the regression, for any cohort sizes,
// any origin of time (a period 0 is a period), without never treated, any row order.
func TestBaconAddsUp(t *testing.T) {
	for name, s := range map[string]staggered{
		"never":    {units: 40, periods: 6, cohorts: []int{3, 4, 0, 6}, noise: 2, effect: func(g, t int) float64 { return float64(t * g) }},
		"no never": {units: 37, periods: 5, cohorts: []int{2, 4, 5}, noise: 1},
		"always":   {units: 40, periods: 5, cohorts: []int{1, 4, 0}, noise: 1},
	} {
		f := s.draw(5)
		frame, d := marked(f)
		res, err := Bacon{}.Fit(t.Context(), frame, d)
		require.NoError(t, err, name)
		weight, sum := 0.0, 0.0
		for _, c := range res.Details["components"].([]BaconComponent) {
			weight += c.Weight
			sum += c.Weight * c.Estimate
			require.NotEqual(t, c.Treated, c.Comparison)
			require.Positive(t, c.Weight)
		}
		reftest.Agree(t, name+" weights", weight, 1, 13)
		reftest.Agree(t, name+" sum", sum, twoWay(f), 11)
		reftest.Agree(t, name+" overall", res.Estimates[0].Value, twoWay(f), 11)

		moved := &Frame{Unit: slices.Clone(frame.Unit), Time: slices.Clone(frame.Time), Y: slices.Clone(frame.Y), Level: 0.95}
		marks := slices.Clone(d)
		for i := range moved.Time {
			moved.Time[i] -= 3 // entry in period 0 for the cohort of 3
		}
		for i := range moved.Y {
			j := num.NewStream(4, "shuffle", uint64(i)).Intn(len(moved.Y))
			moved.Unit[i], moved.Unit[j] = moved.Unit[j], moved.Unit[i]
			moved.Time[i], moved.Time[j] = moved.Time[j], moved.Time[i]
			moved.Y[i], moved.Y[j] = moved.Y[j], moved.Y[i]
			marks[i], marks[j] = marks[j], marks[i]
		}
		again, err := Bacon{}.Fit(t.Context(), moved, marks)
		require.NoError(t, err, name)
		require.Equal(t, res.Estimates, again.Estimates, name)
		a, b := res.Details["components"].([]BaconComponent), again.Details["components"].([]BaconComponent)
		for i := range a {
			require.Equal(t, a[i].Treated-3, b[i].Treated)
			require.Equal(t, a[i].Weight, b[i].Weight)
			require.Equal(t, a[i].Estimate, b[i].Estimate)
		}
	}
}

// A high common level costs no digits: the components are those of the data without it.
func TestBaconOnAHighLevel(t *testing.T) {
	f := staggered{units: 20, periods: 5, cohorts: []int{2, 4, 0}, noise: 1, balanced: true}.draw(6)
	f = mapY(f, func(_ int, y float64) float64 { return math.Round(y * 1024) })
	frame, d := marked(f)
	a, err := Bacon{}.Fit(t.Context(), frame, d)
	require.NoError(t, err)
	frame, _ = marked(mapY(f, func(_ int, y float64) float64 { return y + 1<<40 }))
	b, err := Bacon{}.Fit(t.Context(), frame, d)
	require.NoError(t, err)
	for key, c := range parts(a) {
		reftest.Agree(t, key, parts(b)[key].Estimate, c.Estimate, 9)
	}
}

func TestBaconRefuses(t *testing.T) {
	f := rect([]int{2, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}})
	frame, d := marked(f)
	fit := func(f *Frame, d []bool) error {
		_, err := Bacon{}.Fit(t.Context(), f, d)
		return err
	}
	undone := slices.Clone(d)
	undone[2] = false
	err := fit(frame, undone)
	require.ErrorIs(t, err, ErrNotAbsorbing)
	var row *estimate.RowError
	require.True(t, errors.As(err, &row))
	require.Equal(t, 2, row.Row)
	require.ErrorIs(t, fit(frame, make([]bool, 6)), estimate.ErrNoTreated)
	require.ErrorIs(t, fit(frame, d[:3]), estimate.ErrInvalidFrame)
	require.ErrorIs(t, fit(frame, []bool{true, true, true, true, true, true}), estimate.ErrNoControls)
	require.ErrorIs(t, fit(frame, []bool{false, true, true, false, true, true}), estimate.ErrNoControls)
	require.ErrorIs(t, fit(frame, []bool{true, true, true, false, false, false}), estimate.ErrNoTreated)
	weighted := *frame
	weighted.Weight = ones(6)
	require.ErrorIs(t, fit(&weighted, d), ErrOption)
	twice := *frame
	twice.Time = []int{1, 2, 2, 1, 2, 3}
	require.ErrorIs(t, fit(&twice, d), ErrDuplicate)
	// A unit with a gap is left out and counted.
	three, d := marked(rect([]int{2, 0, 0}, [][]float64{{0, 2, 6}, {1, 1, 2}, {1, 1, 2}}).where(func(i int) bool { return i != 7 }))
	res, err := Bacon{}.Fit(t.Context(), three, d)
	require.NoError(t, err)
	require.Equal(t, 2, res.N.Units)
	require.True(t, hasNote(res, "unbalanced-units-dropped"))
}
