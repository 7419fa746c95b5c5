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

// waves is factors with treated units that start in two periods.
func waves(seed uint64, n0, n1, periods int, starts []int, effect float64) (*Frame, []bool) {
	f, d := &Frame{Level: 0.95}, []bool(nil)
	common := make([]float64, periods)
	r := num.NewStream(seed, "waves", 0)
	for t := range common {
		common[t] = r.Normal()
	}
	for u := range n0 + n1 {
		r := num.NewStream(seed, "waves", uint64(u+1))
		level, load := r.Normal(), 1+0.5*r.Normal()
		start := math.MaxInt
		if u >= n0 {
			start = starts[u%len(starts)]
		}
		for t := range periods {
			y := level + load*common[t] + 0.5*r.Normal()
			if t+1 >= start {
				y += effect * float64(t+2-start)
			}
			f.Unit, f.Time, f.Y = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t+1), append(f.Y, y)
			d = append(d, t+1 >= start)
		}
	}
	return f, d
}

// Each cohort is what it is alone beside the never treated, and overall is their mean by treated units and periods; one cohort gives what it always gave.
func TestSyntheticStaggeredIsItsCohorts(t *testing.T) {
	f, d := waves(3, 12, 5, 10, []int{6, 8}, 1)
	first := map[string]int{}
	for i := range d {
		if d[i] && first[f.Unit[i]] == 0 {
			first[f.Unit[i]] = f.Time[i]
		}
	}
	for _, method := range []string{SyntheticControl, SyntheticDID, DifferenceInMeans, AugmentedSynthetic} {
		s := Synthetic{Method: method, Errors: NoErrors}
		res := mustSynth(t, s, f, d)
		require.Len(t, res.Estimates, 3)
		want, total := 0.0, 0.0
		for i, g := range []int{6, 8} {
			units := map[string]bool{}
			var rows []int
			var mark []bool
			for r := range f.Y {
				if first[f.Unit[r]] == 0 || first[f.Unit[r]] == g {
					rows, mark = append(rows, r), append(mark, d[r])
					if first[f.Unit[r]] == g {
						units[f.Unit[r]] = true
					}
				}
			}
			alone := mustSynth(t, s, f.rows(rows), mark).Estimates[0].Value
			require.Equal(t, fmt.Sprintf("group=%d", g), res.Estimates[i].Term)
			require.Equal(t, alone, res.Estimates[i].Value, method)
			w := float64(len(units) * (11 - g))
			want += w * alone
			total += w
		}
		reftest.Agree(t, method, res.Estimates[2].Value, want/total, 13)
		gap, rows := 0.0, 0.0 // the path from the start on has overall as its mean
		for _, p := range res.Details["path"].([]map[string]any) {
			if p["event"].(int) >= 0 {
				gap += p["gap"].(float64) * float64(p["units"].(int))
				rows += float64(p["units"].(int))
			}
		}
		reftest.Agree(t, method, gap/rows, res.Estimates[2].Value, 12)
	}
}

// By hand, equal weights: controls (0,0,0,0) and (0,0,2,2); a starts in 3: 5, 5 after 1, 1; b in 4: 9 after 0, 0, 3. Control means 0, 0, 1, 1.
// a: mean of 4, 4 less 1 = 3; b: 8 less mean of 0, 0, 2 = 22/3. Overall (2·3 + 22/3)/3 = 40/9. Jackknife: without the first control 3 - 1 = 2 and (7 - 1/3) = 20/3; without the
// second 4 and 9 - 1 = 8; without a 22/3, without b 3.
func TestSyntheticStaggeredByHand(t *testing.T) {
	f := rect([]int{0, 0, 0, 0}, [][]float64{{0, 0, 0, 0}, {0, 0, 2, 2}, {1, 1, 5, 5}, {0, 0, 3, 9}})
	f.Cohort = nil
	d := make([]bool, 16)
	d[10], d[11], d[15] = true, true, true
	res := mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: JackknifeErrors}, f, d)
	reftest.Agree(t, "a", res.Estimates[0].Value, 3, 13)
	reftest.Agree(t, "b", res.Estimates[1].Value, 22.0/3, 13)
	reftest.Agree(t, "overall", res.Estimates[2].Value, 40.0/9, 13)
	for _, e := range res.Estimates { // one treated unit alone in a cohort: nobody knows how it varies
		require.False(t, e.HasSE(), e.Term)
	}
	_, err := Synthetic{Method: DifferenceInMeans, Errors: BootstrapErrors, Replicates: 50}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	require.ErrorContains(t, err, "starts at 3")
	// Each treated unit twice: the same effects. Without one a (2·3 + 2·22/3)/4 = 31/6, without one b (4·3 + 22/3)/5 = 58/15.
	f = rect([]int{0, 0, 0, 0, 0, 0}, [][]float64{{0, 0, 0, 0}, {0, 0, 2, 2}, {1, 1, 5, 5}, {1, 1, 5, 5}, {0, 0, 3, 9}, {0, 0, 3, 9}})
	f.Cohort = nil
	d = make([]bool, 24)
	for _, i := range []int{10, 11, 14, 15, 19, 23} {
		d[i] = true
	}
	res = mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: JackknifeErrors}, f, d)
	reftest.Agree(t, "overall", res.Estimates[2].Value, 40.0/9, 13)
	values := []float64{(4 + 20.0/3) / 3, (8 + 8) / 3.0, 31.0 / 6, 31.0 / 6, 58.0 / 15, 58.0 / 15}
	reftest.Agree(t, "jackknife", res.Estimates[2].SE, deviation(values, 0)*math.Sqrt(5), 12)
}

func TestSyntheticStaggeredErrors(t *testing.T) {
	f, d := waves(5, 14, 4, 10, []int{6, 8}, 1)
	for _, errs := range []string{PlaceboErrors, BootstrapErrors} {
		s := Synthetic{Method: SyntheticDID, Errors: errs, Replicates: 40, Seed: 2, Workers: 1}
		one := mustSynth(t, s, f, d)
		s.Workers = 3
		require.Equal(t, one.Estimates, mustSynth(t, s, f, d).Estimates)
		s.Seed = 3
		require.NotEqual(t, one.Estimates[2].SE, mustSynth(t, s, f, d).Estimates[2].SE)
		require.Greater(t, one.Estimates[0].SE, 0.0)
	}
	_, err := Synthetic{Method: SyntheticControl, Errors: PlaceboErrors, Predictors: []Predictor{{Name: "y", Values: f.Y}}}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, ErrOption)
	few, mark := waves(5, 3, 4, 10, []int{6, 8}, 1)
	_, err = Synthetic{Method: SyntheticDID, Errors: PlaceboErrors}.Fit(t.Context(), few, mark)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	early, mark := waves(5, 14, 4, 10, []int{2, 8}, 1)
	res := mustSynth(t, Synthetic{Method: SyntheticDID, Errors: NoErrors}, early, mark)
	require.True(t, hasNote(res, "cohort-too-early"))
	require.Len(t, res.Estimates, 2)
}

// One factor, entry in two periods, effects that grow: 1 to 5 and 1 to 3 over 3 + 3 units, mean (3·15 + 3·6)/(3·8) = 2.625.
func TestSyntheticStaggeredCovers(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f, d := waves(seed, 30, 6, 12, []int{8, 10}, 1)
		res, err := Synthetic{Method: SyntheticDID, Errors: PlaceboErrors, Replicates: 60, Seed: seed, Workers: 1}.Fit(t.Context(), f, d)
		if err != nil {
			panic(err)
		}
		e := res.Estimates[len(res.Estimates)-1]
		return map[string]bool{"overall": e.CI.Lo <= 2.625 && 2.625 <= e.CI.Hi}
	})
	if math.Abs(got["overall"]-0.95) > band {
		t.Errorf("covers in %.4f", got["overall"])
	}
	t.Log(fmt.Sprint(got))
}

// By hand: a control that is 0, the treated 1, -1, 1, 5 in four periods, the last treated, equal weights. The gaps less their mean are in size 0.5, 2.5, 0.5, 3.5: the last is
// the largest of four shifts, p = 1/4. With e taken off, z = 5 - e, the last is (3z - 1)/4 and the second -(5 + z)/4: not above the others for z from -1 to 3: e from 2 to 6.
func TestConformalByHand(t *testing.T) {
	f := rect([]int{0, 0}, [][]float64{{0, 0, 0, 0}, {1, -1, 1, 5}})
	f.Cohort, f.Level = nil, 0.7
	d := make([]bool, 8)
	d[7] = true
	e := mustSynth(t, Synthetic{Method: DifferenceInMeans, Errors: ConformalErrors}, f, d).Estimates[0]
	require.Equal(t, 0.25, e.Test.P)
	require.InDelta(t, 2, e.CI.Lo, 1e-6)
	require.InDelta(t, 6, e.CI.Hi, 1e-6)
	require.Equal(t, "conformal", e.CI.Method)
	require.False(t, e.HasSE())
	f.Level = 0.95
	_, err := Synthetic{Method: DifferenceInMeans, Errors: ConformalErrors}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	_, err = Synthetic{Method: AugmentedSynthetic, Errors: ConformalErrors}.Fit(t.Context(), f, d)
	require.ErrorIs(t, err, ErrOption)
}

// A control that is 0, the last periods treated, level 0.7. In each case the estimate is out and 0 is in: the set is to both sides of the estimate, to one side, and 0 alone. By
// hand for the last, whose estimate is -2.1: the gaps less their mean, 1, are 0, 0, 1, 2, 0, 0, -3 and the last two are 3 together; so are the third and fourth, and the shift by one
// has the last and the first, 3: p = 3/7. Of e > 0 and e < 0 one of these shifts at least has less, then p ≤ 2/7.
func TestConformalHoldsWhatIsNotRejected(t *testing.T) {
	for _, c := range []struct {
		y            []float64
		treated      int
		theta, p, lo float64
		hi           float64
	}{
		{[]float64{1, 0, 0, 4, 2}, 2, 8. / 3, 2. / 5, -4, 11},
		{[]float64{2, -2, 1, 0, 0, -5, 0}, 3, -23. / 12, 4. / 7, 0, 8},
		{[]float64{1, 1, 2, 3, 1, 1, -2}, 2, -2.1, 3. / 7, 0, 0},
	} {
		n := len(c.y)
		f := rect([]int{0, 0}, [][]float64{make([]float64, n), c.y})
		f.Cohort, f.Level = nil, 0.7
		d := make([]bool, 2*n)
		for t := range c.treated {
			d[2*n-1-t] = true
		}
		s := Synthetic{Method: DifferenceInMeans, Errors: ConformalErrors}
		res := mustSynth(t, s, f, d)
		e := res.Estimates[0]
		b, _, err := s.block(f, d)
		require.NoError(t, err)
		p := func(at float64) float64 {
			p, err := (&conformal{s: &s, b: b, level: 0.7}).p(t.Context(), at)
			require.NoError(t, err)
			return p
		}
		require.InDelta(t, c.theta, e.Value, 1e-12)
		require.Less(t, p(e.Value), 0.3)
		require.InDelta(t, c.p, e.Test.P, 1e-12)
		require.InDelta(t, c.lo, e.CI.Lo, 1e-6)
		require.InDelta(t, c.hi, e.CI.Hi, 1e-6)
		for at := -40.0; at <= 40; at += 0.125 {
			require.True(t, p(at) < 0.3 || at > e.CI.Lo-1e-6 && at < e.CI.Hi+1e-6, at)
		}
		for _, x := range res.Notes {
			require.NotEqual(t, "conformal-empty", x.Code)
		}
	}
}

// The test of the true effect rejects in 1 of 24 shifts where noise is independent; the interval has the truth when the test does.
func TestConformalSize(t *testing.T) {
	got := simulate(t, func(seed uint64) map[string]bool {
		f, d := factors(seed, 12, 1, 20, 4, 2)
		out := map[string]bool{}
		for _, method := range []string{SyntheticControl, SyntheticDID, DifferenceInMeans} {
			s := Synthetic{Method: method, Errors: ConformalErrors}
			b, _, err := s.block(f, d)
			if err != nil {
				panic(err)
			}
			p, err := (&conformal{s: &s, b: b, level: 0.95}).p(t.Context(), 2)
			if err != nil {
				panic(err)
			}
			out[method] = p > 0.05
		}
		return out
	})
	for method, share := range got {
		if math.Abs(share-23.0/24) > band {
			t.Errorf("%s holds the truth in %.4f, want %.4f", method, share, 23.0/24)
		}
	}
	t.Log(fmt.Sprint(got))
}
