package panel

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// spillPanel has units whose changes from period 1 to 2 are given: treated in 2, exposed
// from 2 with the given exposure, and clean.
func spillPanel(treated, exposed, clean, share []float64) (*Frame, []float64) {
	f := &Frame{Level: 0.95}
	var exposure []float64
	add := func(name string, g int, d, e float64) {
		for t := 1; t <= 2; t++ {
			f.Unit, f.Time, f.Cohort = append(f.Unit, name), append(f.Time, t), append(f.Cohort, g)
			f.Y = append(f.Y, 3+d*float64(t-1))
			exposure = append(exposure, e*float64(t-1))
		}
	}
	for i, d := range treated {
		add(fmt.Sprintf("t%d", i), 2, d, 0)
	}
	for i, d := range exposed {
		add(fmt.Sprintf("e%d", i), 0, d, share[i])
	}
	for i, d := range clean {
		add(fmt.Sprintf("c%d", i), 0, d, 0)
	}
	return f, exposure
}

// Treated change by 5 and 7, exposed by 2, 3 and 4, clean ones by 0, 1 and 2. Against the
// clean the treated gain 5 and the exposed 2; against all untreated (mean 2) the treated
// seem to gain 4. V of treated: 2/2 + 1/3 (Welch); of exposed 1/3 + 1/3. Two of the
// exposed have half of their neighbours treated (2 and 3: 1.5), one all (4: 3).
func TestSpilloverByHand(t *testing.T) {
	f, exposure := spillPanel([]float64{5, 7}, []float64{2, 3, 4}, []float64{0, 1, 2}, []float64{0.5, 0.5, 1})
	res, err := Spillover{Borders: []float64{0.5}, ByEvent: true}.Fit(t.Context(), f, exposure)
	require.NoError(t, err)
	var names []string
	e := byTerm(res)
	for _, x := range res.Estimates {
		names = append(names, x.Term)
	}
	require.Equal(t, []string{"treated", "exposed", "exposed,above=0", "exposed,above=0.5", "treated,event=0", "exposed,event=0"}, names)
	reftest.Agree(t, "treated", e["treated"].Value, 5, 14)
	reftest.Agree(t, "its error", e["treated"].SE*e["treated"].SE, 4.0/3, 14)
	reftest.Agree(t, "its df", e["treated"].Test.DF, 25.0/11, 13)
	reftest.Agree(t, "exposed", e["exposed"].Value, 2, 14)
	reftest.Agree(t, "its error", e["exposed"].SE*e["exposed"].SE, 2.0/3, 14)
	reftest.Agree(t, "half", e["exposed,above=0"].Value, 1.5, 14)
	reftest.Agree(t, "all", e["exposed,above=0.5"].Value, 3, 14)
	require.True(t, math.IsNaN(e["exposed,above=0.5"].SE), "one unit has no spread")
	require.True(t, hasNote(res, "inference-lone-cohorts"))
	naive := res.Details["naive"].(map[string]float64)
	reftest.Agree(t, "naive", naive["estimate"], 4, 14)
	require.Equal(t, 8, res.N.Units)
	require.Equal(t, 2, res.N.Treated)
	require.Equal(t, 3, res.Details["exposed_units"])
}

// Shares of treated neighbours: a has b (treated from 2) and c (never, weight 3): 1/4
// from 2 on; c has d, who is not among the units. By region a's others are b and c.
func TestExposures(t *testing.T) {
	unit := []string{"a", "a", "b", "b", "c", "c"}
	time := []int{1, 2, 1, 2, 1, 2}
	cohort := []int{0, 0, 2, 2, 0, 0}
	got, missing, err := ExposureByNeighbours(unit, time, cohort, []Edge{{"a", "b", 1}, {"a", "c", 3}, {"c", "d", 1}})
	require.NoError(t, err)
	require.Equal(t, []float64{0, 0.25, 0, 0, 0, 0}, got)
	require.Equal(t, 1, missing)
	for _, bad := range [][]Edge{{{"a", "a", 1}}, {{"a", "b", 0}}, {{"a", "b", 1}, {"a", "b", 1}}} {
		_, _, err = ExposureByNeighbours(unit, time, cohort, bad)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	}
	got, err = ExposureByRegion(unit, time, cohort, []string{"r", "r", "r", "r", "r", "r"})
	require.NoError(t, err)
	require.Equal(t, []float64{0, 0.5, 0, 0, 0, 0.5}, got)
	_, err = ExposureByRegion(unit, time, cohort, []string{"r", "s", "r", "r", "r", "r"})
	require.ErrorIs(t, err, ErrNotNested)
}

// regions of six units: in half of the regions two enter, in 4 or in 6, and move the
// others as much as themselves.
func regionsWithSpillover(seed uint64, regions int) (*Frame, []float64) {
	f := &Frame{Level: 0.95}
	var region []string
	for r := range regions {
		common := num.NewStream(seed, "spill-region", uint64(r))
		shock := make([]float64, 9)
		for t := range shock {
			shock[t] = 0.5 * common.Normal()
		}
		entry := []int{4, 6}[common.Intn(2)]
		for u := range 6 {
			s := num.NewStream(seed, "spill-unit", uint64(6*r+u))
			level, g := 2*s.Normal(), 0
			if r%2 == 0 && u < 2 {
				g = entry
			}
			for t := 1; t <= 8; t++ {
				y := level + 0.2*float64(t) + shock[t] + s.Normal()
				switch {
				case g > 0 && t >= g:
					y += 2 + 2 // its own, and its neighbour's
				case g == 0 && r%2 == 0 && t >= entry:
					y += 2
				}
				f.Unit, f.Time, f.Cohort, f.Y = append(f.Unit, fmt.Sprintf("r%02du%d", r, u)), append(f.Time, t), append(f.Cohort, g), append(f.Y, y)
				f.Cluster = append(f.Cluster, fmt.Sprintf("r%02d", r))
				region = append(region, fmt.Sprintf("r%02d", r))
			}
		}
	}
	exposure, err := ExposureByRegion(f.Unit, f.Time, f.Cohort, region)
	if err != nil {
		panic(err)
	}
	return f, exposure
}

// Where neighbours gain too, the comparison with all untreated units is wrong and the one
// with units that are not exposed is right; errors by region cover.
func TestSpilloverCoverage(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f, exposure := regionsWithSpillover(seed, 40)
		res, err := Spillover{Workers: 1}.Fit(t.Context(), f, exposure)
		if err != nil {
			panic(err)
		}
		e := byTerm(res)
		in := func(e estimate.Estimate, v float64) bool { return e.CI.Lo <= v && v <= e.CI.Hi }
		naive := res.Details["naive"].(map[string]float64)
		return map[string]bool{"treated": in(e["treated"], 4), "exposed": in(e["exposed"], 2),
			"naive": math.Abs(naive["estimate"]-4) <= 2*naive["std_error"]}
	})
	for _, k := range []string{"treated", "exposed"} {
		if math.Abs(got[k]-0.95) > band {
			t.Errorf("%s covers in %.4f, want 0.95 ± %.4f", k, got[k], band)
		}
	}
	if got["naive"] > 0.5 {
		t.Errorf("the naive comparison covers in %.3f: nothing spills over", got["naive"])
	}
	t.Log(got)
}

// Order of rows and workers change nothing; scale and levels as they should; without
// anybody exposed it is an error, and each option changes a number.
func TestSpilloverRelations(t *testing.T) {
	f, exposure := regionsWithSpillover(3, 12)
	fit := func(s Spillover, f *Frame, x []float64) *estimate.Result {
		t.Helper()
		res, err := s.Fit(t.Context(), f, x)
		require.NoError(t, err)
		return res
	}
	want := fit(Spillover{ByEvent: true}, f, exposure)
	list := f.all()
	s := num.NewStream(1, "shuffle", 0)
	for i := len(list) - 1; i > 0; i-- {
		j := s.Intn(i + 1)
		list[i], list[j] = list[j], list[i]
	}
	x := make([]float64, len(list))
	for i, r := range list {
		x[i] = exposure[r]
	}
	other := fit(Spillover{ByEvent: true, Workers: 3}, f.rows(list), x)
	require.Equal(t, fmt.Sprint(want.Estimates), fmt.Sprint(other.Estimates))
	scaled := fit(Spillover{ByEvent: true}, mapY(f, func(i int, y float64) float64 { return 3*y + 7*float64(f.Time[i]) + float64(len(f.Unit[i])) }), exposure)
	for i, e := range want.Estimates {
		reftest.Near(t, e.Term, scaled.Estimates[i].Value, 3*e.Value, 1e-11)
		reftest.Near(t, "error of "+e.Term, scaled.Estimates[i].SE, 3*e.SE, 1e-11)
	}
	require.NotEqual(t, want.Estimates[0].Value, fit(Spillover{Anticipation: 1}, f, exposure).Estimates[0].Value)
	_, err := Spillover{Threshold: 0.5}.Fit(t.Context(), f, exposure) // 2 of 5 neighbours at most
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	_, err = Spillover{}.Fit(t.Context(), f, make([]float64, len(exposure)))
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	all := make([]float64, len(exposure))
	for i := range all {
		all[i] = 1
	}
	_, err = Spillover{}.Fit(t.Context(), f, all)
	require.Error(t, err)
	for _, o := range []Spillover{{Threshold: -1}, {Anticipation: -1}, {Borders: []float64{0.5, 0.5}}, {Threshold: 1, Borders: []float64{0.5}}} {
		_, err = o.Fit(t.Context(), f, exposure)
		require.ErrorIs(t, err, ErrOption)
	}
	exposure[5] = math.NaN()
	_, err = Spillover{}.Fit(t.Context(), f, exposure)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
