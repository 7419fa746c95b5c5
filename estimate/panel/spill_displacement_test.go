package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// people in places: of each place its outcomes of participants and of others.
func inPlaces(places [][2][]float64) *estimate.Frame {
	f := &estimate.Frame{Level: 0.95}
	for p, place := range places {
		for kind, list := range place {
			for _, y := range list {
				f.Unit = append(f.Unit, fmt.Sprintf("u%03d", len(f.Y)))
				f.Y, f.Cluster, f.Treated = append(f.Y, y), append(f.Cluster, p), append(f.Treated, kind == 0)
			}
		}
	}
	return f
}

func terms(res *estimate.Result) map[string]estimate.Estimate { return byTerm(res) }

// Without the programme people have 10 on the mean. Where a quarter take part they have
// 13 and the others 9: +3, -1, within +4, net (3 - 3·1)/4 = 0. Where half take part 12
// and 7: +2, -3, within +5, net -1/2. Together in one bin: participants (13 + 2·12)/3,
// others (3·9 + 2·7)/5.
func TestDisplacementByHand(t *testing.T) {
	f := inPlaces([][2][]float64{{nil, {9, 11, 10, 10}}, {nil, {8, 12}}, {{13}, {9, 8, 10}}, {{12, 12}, {7, 7}}, {{14}, {9, 9, 9}}, {{12}, {9, 9, 9}}, {{11, 13}, {8, 6}}})
	res, err := Displacement{Borders: []float64{0.3}}.Fit(t.Context(), f, nil)
	require.NoError(t, err)
	e := terms(res)
	for term, v := range map[string]float64{"participants,above=0": 3, "non-participants,above=0": -1, "within,above=0": 4, "net,above=0": 0,
		"participants,above=0.3": 2, "non-participants,above=0.3": -3, "within,above=0.3": 5, "net,above=0.3": -0.5} {
		reftest.Near(t, term, e[term].Value, v, 1e-12)
	}
	for j, x := range res.Estimates {
		reftest.Near(t, x.Term, x.SE*x.SE, res.Cov.At(j, j), 1e-12)
		require.Greater(t, x.SE, 0.0)
	}
	require.Equal(t, 7, res.N.Clusters)
	require.Equal(t, []map[string]any{{"above": 0.0, "places": 3, "participants": 3, "others": 9, "share": 0.25}, {"above": 0.3, "places": 2, "participants": 4, "others": 4, "share": 0.5}}, res.Details["bins"])
	one, err := Displacement{}.Fit(t.Context(), f, nil)
	require.NoError(t, err)
	reftest.Near(t, "one bin", terms(one)["participants,above=0"].Value, (13.0+14+12+12+12+11+13)/7-10, 1e-12)
	reftest.Near(t, "one bin, others", terms(one)["non-participants,above=0"].Value, (27.0+27+27+14+14)/13-10, 1e-12)
}

// A programme that takes jobs from others: +1 for participants, -1·share for others. The
// comparison within places is wrong by the displacement, the one with places that have
// no programme is right, and errors by place cover.
func TestDisplacementCoverage(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f := &estimate.Frame{Level: 0.95, XNames: []string{"x"}}
		var x []float64
		for p := range 36 {
			c := num.NewStream(seed, "displacement-place", uint64(p))
			level := 0.5 * c.Normal()
			share := []float64{0, 0.25, 0.5}[p%3]
			for i := range 20 {
				s := num.NewStream(seed, "displacement-person", uint64(20*p+i))
				v := s.Normal()
				part := float64(i) < 20*share
				y := level + v + s.Normal()
				if part {
					y += 1
				} else {
					y -= share
				}
				f.Unit = append(f.Unit, fmt.Sprintf("p%02d-%02d", p, i))
				f.Y, f.Treated, f.Cluster, x = append(f.Y, y), append(f.Treated, part), append(f.Cluster, p), append(x, v)
			}
		}
		f.X = mat.NewDense(len(x), 1, x)
		res, err := Displacement{Borders: []float64{0.3}, Workers: 1}.Fit(t.Context(), f, nil)
		if err != nil {
			panic(err)
		}
		e := terms(res)
		in := func(term string, v float64) bool { return e[term].CI.Lo <= v && v <= e[term].CI.Hi }
		return map[string]bool{"participants,above=0": in("participants,above=0", 1), "non-participants,above=0": in("non-participants,above=0", -0.25),
			"participants,above=0.3": in("participants,above=0.3", 1), "non-participants,above=0.3": in("non-participants,above=0.3", -0.5),
			"net,above=0.3": in("net,above=0.3", 0.25), "within,above=0.3": in("within,above=0.3", 1.5), "naive": in("within,above=0.3", 1)}
	})
	for k, v := range got {
		if k != "naive" && math.Abs(v-0.95) > band {
			t.Errorf("%s covers in %.4f, want 0.95 ± %.4f", k, v, band)
		}
	}
	if got["naive"] > 0.3 {
		t.Errorf("the comparison within places covers the effect on participants in %.3f", got["naive"])
	}
	t.Log(got)
}

func TestDisplacementBadInput(t *testing.T) {
	f := inPlaces([][2][]float64{{nil, {9, 11}}, {nil, {8, 12}}, {{13}, {9, 8, 10}}, {{12, 12}, {7, 7}}})
	fit := func(d Displacement, f *estimate.Frame, x []float64) error {
		_, err := d.Fit(t.Context(), f, x)
		return err
	}
	ok := []float64{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2}
	require.NoError(t, fit(Displacement{}, f, ok))
	require.ErrorIs(t, fit(Displacement{Borders: []float64{0.5, 0.2}}, f, ok), ErrOption)
	require.ErrorIs(t, fit(Displacement{Borders: []float64{5}}, f, ok), estimate.ErrNoTreated)
	for _, bad := range [][]float64{{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3}, {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}, {0, 0, 0, 0, 1, 1, 1, 1, -2, -2, -2, -2}, {0}} {
		require.ErrorIs(t, fit(Displacement{}, f, bad), estimate.ErrInvalidFrame)
	}
	g := *f
	g.Cluster = nil
	require.ErrorIs(t, fit(Displacement{}, &g, ok), estimate.ErrInvalidFrame)
	g = *f
	g.Treated = nil
	require.ErrorIs(t, fit(Displacement{}, &g, ok), estimate.ErrInvalidFrame)
	everywhere := inPlaces([][2][]float64{{{1}, {9, 11}}, {{13}, {9, 8, 10}}})
	require.ErrorIs(t, fit(Displacement{}, everywhere, nil), estimate.ErrNoControls)
	// Weights are used, with cr1.
	w := *f
	w.Weight = estimate.Weights{Kind: estimate.Sampling, Values: []float64{1, 2, 1, 1, 1, 1, 3, 1, 1, 2, 1, 1}}
	a, err := Displacement{}.Fit(t.Context(), f, ok)
	require.NoError(t, err)
	b, err := Displacement{}.Fit(t.Context(), &w, ok)
	require.NoError(t, err)
	require.NotEqual(t, a.Estimates[1].Value, b.Estimates[1].Value)
	require.Equal(t, "cr1", b.Details["vcov"])
}
