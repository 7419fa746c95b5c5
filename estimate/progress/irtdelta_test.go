package progress

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// slopesOf compares the derivatives of the delta method with differences of the estimates.
func slopesOf(t *testing.T, at []float64, get func([]float64), rows func() *irtRows) {
	t.Helper()
	const h = 1e-6
	get(at)
	r := rows()
	for a := range at {
		move := func(by float64) []float64 {
			p := append([]float64{}, at...)
			p[a] += by
			get(p)
			defer get(at)
			return rows().values
		}
		up, down := move(h), move(-h)
		for e, term := range r.terms {
			got := 0.0
			if r.jac[e] != nil {
				got = r.jac[e][a]
			}
			require.InDelta(t, (up[e]-down[e])/(2*h), got, 1e-6, "%s %d", term, a)
		}
	}
}

func TestDeltaMethod(t *testing.T) {
	a := gradedAnswers(71, 200, 4, 3)
	a.Group, a.GroupNames = make([]int, 200), []string{"0", "1"}
	for i := range a.Group {
		a.Group[i] = i % 2
	}
	for _, model := range []ItemModel{Graded, GeneralisedPartialCredit, PartialCreditModel} {
		f, err := newAnswerFit(t.Context(), a, model, false, 1)
		require.NoError(t, err)
		slopesOf(t, f.m.point(), f.m.get, f.rows)
	}
	w := simWaves(72, 0, 200, d10())
	for _, e := range []LatentChange{{Shift: []string{"i6"}, Free: []string{"i2"}, Differ: []string{"i3"}}, {Model: PartialCreditModel, Shift: []string{"i1"}}} {
		f, err := e.fitWaves(t.Context(), w)
		require.NoError(t, err)
		slopesOf(t, append([]float64{}, f.free...), func(p []float64) { f.m.get(p); f.free = p }, f.rows)
	}
}

// Turning the trait round turns slopes and the means of the groups, and leaves the likelihood as it is.
func TestOrientation(t *testing.T) {
	a := gradedAnswers(73, 200, 4, 3)
	a.Group, a.GroupNames = make([]int, 200), []string{"0", "1"}
	for i := range a.Group {
		a.Group[i] = i % 2
	}
	f, err := newAnswerFit(t.Context(), a, Graded, false, 1)
	require.NoError(t, err)
	for _, it := range f.m.items {
		it.a = -it.a
	}
	f.m.latent[1].e1 = 0.4
	before, _, _ := f.m.expect(f.p, 1)
	f.m.orient()
	after, _, _ := f.m.expect(f.p, 1)
	require.InDelta(t, before, after, 1e-9)
	require.Equal(t, -0.4, f.m.latent[1].e1)
	require.Positive(t, f.m.items[0].a)

	w, err := LatentChange{Shift: []string{"i6"}, NoErrors: true}.fitWaves(t.Context(), simWaves(74, 0, 200, d10()))
	require.NoError(t, err)
	for _, it := range w.m.items {
		it.a = -it.a
	}
	before, _, _, _ = w.m.expect(w.p, false, 1)
	mean, change := w.m.mean1[1], w.free[w.at["shift/i6"]]
	w.orient()
	after, _, _, _ = w.m.expect(w.p, false, 1)
	require.InDelta(t, before, after, 1e-9)
	require.Equal(t, -mean, w.m.mean1[1])
	require.Equal(t, change, w.free[w.at["shift/i6"]])
	w.m.get(w.free)
	again, _, _, _ := w.m.expect(w.p, false, 1)
	require.InDelta(t, before, again, 1e-9)
}
