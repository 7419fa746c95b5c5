package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func scores(k int, v ...float64) *Scores {
	s := &Scores{X: mat.NewDense(len(v)/k, k, v), Level: 0.95}
	for i := range len(v) / k {
		s.Unit = append(s.Unit, fmt.Sprintf("u%06d", i))
	}
	for j := range k {
		s.Names = append(s.Names, fmt.Sprint("q", j+1))
	}
	return s
}

func reliability(t *testing.T, s *Scores) *estimate.Result {
	t.Helper()
	r, err := Reliability{}.Fit(t.Context(), s)
	require.NoError(t, err)
	return r
}

func named(t *testing.T, r *estimate.Result, term string) estimate.Estimate {
	t.Helper()
	i := slices.IndexFunc(r.Estimates, func(e estimate.Estimate) bool { return e.Term == term })
	require.GreaterOrEqual(t, i, 0, term)
	return r.Estimates[i]
}

// Items 1, 2, 3 and 1, 3, 2: variances 2/3 (divisor 3), covariance 1/3, sum 2, so alpha =
// 2·(1 − (4/3)/2) = 2/3; the sum's variance with divisor 2 is 3 and sem = √(3·1/3) = 1.
func TestAlphaByHand(t *testing.T) {
	r := reliability(t, scores(2, 1, 1, 2, 3, 3, 2))
	reftest.Agree(t, "alpha", named(t, r, "alpha").Value, 2.0/3, 14)
	reftest.Agree(t, "sem", named(t, r, "sem").Value, 1, 14)
	reftest.Agree(t, "sdc", named(t, r, "sdc").Value, 1.959963984540054*math.Sqrt2, 14)
	require.True(t, math.IsNaN(named(t, r, "omega").Value))
	require.Equal(t, []string{"omega-few-items"}, codes(r))
	require.InDelta(t, 0.5, r.Details["item_rest"].(map[string]float64)["q1"], 1e-14)
	// Influences on alpha: 2·(trace·T²/all² − own/all)/3 with T = (−2, 1, 1), own = (2, 1, 1).
	reftest.Agree(t, "influence", r.Influence.At(0, 0), 2*(4.0/3*4/4-1)/3, 13)
	reftest.Agree(t, "influence", r.Influence.At(1, 0), 2*(4.0/3*1/4-0.5)/3, 13)
}

// Shrout and Fleiss (1979), table 2, and the intervals that psych 2.2.9 prints for it.
func TestShroutFleiss(t *testing.T) {
	s := scores(4, 9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7)
	s.Raters = true
	r := reliability(t, s)
	for _, c := range []struct {
		term          string
		value, digits float64
		lo, hi        float64
	}{
		{"icc-1-1", 0.17, 0.005, -0.133, 0.72}, {"icc-2-1", 0.29, 0.005, 0.019, 0.76}, {"icc-3-1", 0.71, 0.005, 0.342, 0.95},
		{"icc-1-k", 0.44, 0.005, -0.884, 0.91}, {"icc-2-k", 0.62, 0.005, 0.071, 0.93}, {"icc-3-k", 0.91, 0.005, 0.676, 0.99},
	} {
		e := named(t, r, c.term)
		require.InDelta(t, c.value, e.Value, c.digits, c.term)
		require.InDelta(t, c.lo, e.CI.Lo, 5.1e-4, c.term)
		require.InDelta(t, c.hi, e.CI.Hi, 5.1e-3, c.term)
		require.Positive(t, e.SE)
	}
	// Agreement: v = (C − E)/6 + E with C = 32.486 on 3 and E = 1.0194 on 15 degrees of freedom.
	C, E := r.Details["mean_squares"].(map[string]float64)["raters"], r.Details["mean_squares"].(map[string]float64)["residual"]
	v := 2*C*C/3/36 + 25.0/36*2*E*E/15
	reftest.Agree(t, "se of sem", named(t, r, "sem").SE, math.Sqrt(v)/(2*math.Sqrt((C-E)/6+E)), 12)
	// A rater who is 3 higher throughout changes agreement, not consistency; other units nothing.
	shifted := mat.DenseCopyOf(s.X)
	for i := range 6 {
		shifted.Set(i, 1, shifted.At(i, 1)+3)
	}
	other := *s
	other.X = shifted
	o := reliability(t, &other)
	reftest.Agree(t, "3,1", named(t, o, "icc-3-1").Value, named(t, r, "icc-3-1").Value, 12)
	require.Greater(t, named(t, o, "icc-2-1").Value, named(t, r, "icc-2-1").Value)
	other.X = mat.DenseCopyOf(s.X)
	other.X.Scale(10, s.X)
	o = reliability(t, &other)
	reftest.Agree(t, "scaled", named(t, o, "icc-2-1").CI.Lo, named(t, r, "icc-2-1").CI.Lo, 10)
	reftest.Agree(t, "scaled sem", named(t, o, "sem").SE, 10*named(t, r, "sem").SE, 12)
	// Spearman–Brown joins one rater and k; the mean of items is the same table.
	v = named(t, r, "icc-3-1").Value
	reftest.Agree(t, "Spearman–Brown", named(t, r, "icc-3-k").Value, 4*v/(1+3*v), 13)
	items := *s
	items.Raters = false
	reftest.Agree(t, "alpha is ICC(3,k)", named(t, reliability(t, &items), "alpha").Value, named(t, r, "icc-3-k").Value, 13)
}

func randomItems(seed uint64, n int, loading ...float64) *Scores {
	var v []float64
	for i := range n {
		st := num.NewStream(seed, "items", uint64(i))
		trait := st.Normal()
		for _, l := range loading {
			v = append(v, float64(l*trait)+st.Normal())
		}
	}
	return scores(len(loading), v...)
}

func withAnchor(s *Scores, seed uint64) *Scores {
	for i := range s.Unit {
		st := num.NewStream(seed, "anchor", uint64(i))
		c := math.Round(3 + 6*st.Normal())
		s.Change = append(s.Change, c)
		s.Anchor = append(s.Anchor, c+2*st.Normal() > 4+3*st.Normal())
	}
	return s
}

// With three items the factor is exact: λ1² = s12·s13/s23.
func TestOmega(t *testing.T) {
	s := randomItems(1, 60, 1, 0.8, 1.3)
	r := reliability(t, s)
	var cov [3][3]float64
	for a := range 3 {
		for b := range 3 {
			x, y := mat.Col(nil, a, s.X), mat.Col(nil, b, s.X)
			for i := range x {
				cov[a][b] += (x[i] - num.Sum(x)/60) * (y[i] - num.Sum(y)/60) / 60
			}
		}
	}
	l := []float64{math.Sqrt(cov[0][1] * cov[0][2] / cov[1][2]), math.Sqrt(cov[0][1] * cov[1][2] / cov[0][2]), math.Sqrt(cov[0][2] * cov[1][2] / cov[0][1])}
	sum, unique := 0.0, 0.0
	for j := range l {
		reftest.Agree(t, "loading", r.Details["loadings"].(map[string]float64)[s.Names[j]], l[j], 9)
		sum, unique = sum+l[j], unique+cov[j][j]-l[j]*l[j]
	}
	reftest.Agree(t, "omega", named(t, r, "omega").Value, sum*sum/(sum*sum+unique), 10)
	require.Greater(t, named(t, r, "omega").Value, named(t, r, "alpha").Value)
}

// The third item is the sum of the others: it has no error of its own and omega does not exist.
func TestOmegaWithoutOwnError(t *testing.T) {
	s := randomItems(6, 50, 1, 0.8, 0)
	for i := range 50 {
		s.X.Set(i, 2, 5*s.X.At(i, 0)+s.X.At(i, 1))
	}
	r := reliability(t, s)
	require.Contains(t, codes(r), "omega-not-fitted")
	require.True(t, math.IsNaN(named(t, r, "omega").Value))
	require.Positive(t, named(t, r, "alpha").SE)
}

// A person more moves each number as the influence function says: all persons 150 times,
// and one of them once more.
func TestReliabilityInfluence(t *testing.T) {
	const n, copies = 60, 150
	base := withAnchor(randomItems(2, n, 1, 0.7, 1.2, 0.9), 2)
	repeat := func(extra int) *estimate.Result {
		var v []float64
		long := &Scores{}
		for c := range copies + 1 {
			for i := range n {
				if c == copies && i != extra {
					continue
				}
				v = append(v, base.X.RawRowView(i)...)
				long.Change, long.Anchor = append(long.Change, base.Change[i]), append(long.Anchor, base.Anchor[i])
			}
		}
		s := scores(4, v...)
		s.Change, s.Anchor = long.Change, long.Anchor
		return reliability(t, s)
	}
	r, all := reliability(t, base), repeat(-1)
	require.Len(t, r.Estimates, 6)
	for _, i := range []int{0, 11, 59} {
		more := repeat(i)
		for q, e := range r.Estimates {
			got := (more.Estimates[q].Value - all.Estimates[q].Value) * (copies + 1.0/n)
			scale := e.SE / math.Sqrt(n)
			require.InDelta(t, r.Influence.At(i, q), got, 0.02*math.Abs(got)+0.03*scale, "%s of %d", e.Term, i)
		}
	}
	for q, e := range r.Estimates {
		reftest.Agree(t, e.Term, math.Sqrt(r.Cov.At(q, q)), e.SE, 12)
	}
}

func TestReliabilityRelations(t *testing.T) {
	s := withAnchor(randomItems(3, 80, 1, 1, 1), 3)
	r := reliability(t, s)
	back := &Scores{Names: s.Names, Level: s.Level, X: mat.NewDense(80, 3, nil)}
	for i := range 80 {
		j := 79 - i
		back.Unit, back.Change, back.Anchor = append(back.Unit, s.Unit[j]), append(back.Change, s.Change[j]), append(back.Anchor, s.Anchor[j])
		back.X.SetRow(i, s.X.RawRowView(j))
	}
	o, err := Reliability{Workers: 6}.Fit(t.Context(), back)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(r.Estimates, r.Details), fmt.Sprint(o.Estimates, o.Details))
	for i := range s.Change {
		s.Change[i] *= 5
	}
	reftest.Agree(t, "mic in other units", named(t, reliability(t, s), "mic-adjusted").Value, 5*named(t, r, "mic-adjusted").Value, 10)
	// A reversed item is named.
	for i := range 80 {
		s.X.Set(i, 2, -s.X.At(i, 2))
	}
	require.Contains(t, codes(reliability(t, s)), "item-reversed")
}

func TestMICGuards(t *testing.T) {
	s := withAnchor(randomItems(4, 200, 1, 1, 1), 4)
	require.True(t, reliability(t, s).Details["mic"].(MICFit).Allowed)
	require.False(t, math.IsNaN(named(t, reliability(t, s), "mic").Value))
	m := reliability(t, s).Details["mic"].(MICFit)
	gap := (0.09 + 0.103*m.Correlation) * m.SD * math.Log(m.Improved/(1-m.Improved))
	require.InDelta(t, named(t, reliability(t, s), "mic").Value-gap, named(t, reliability(t, s), "mic-adjusted").Value, 1e-12)
	refused := func(code string, change func(i int) (float64, bool)) {
		t.Helper()
		c := *s
		c.X, c.Change, c.Anchor = nil, nil, nil
		for i := range s.Unit {
			x, y := change(i)
			c.Change, c.Anchor = append(c.Change, x), append(c.Anchor, y)
		}
		r := reliability(t, &c)
		require.Contains(t, codes(r), code)
		require.True(t, math.IsNaN(named(t, r, "mic").Value) && math.IsNaN(named(t, r, "mic-adjusted").Value))
		require.False(t, r.Details["mic"].(MICFit).Allowed)
	}
	refused("mic-share-improved", func(i int) (float64, bool) { return s.Change[i], s.Anchor[i] && i%4 == 0 })
	refused("mic-weak-anchor", func(i int) (float64, bool) { return s.Change[i], i%2 == 0 })
	refused("mic-separated", func(i int) (float64, bool) { return s.Change[i], s.Change[i] > 2.5 })
}

func TestReliabilityRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		want error
		s    *Scores
	}{
		"nothing":      {estimate.ErrInvalidFrame, &Scores{Unit: []string{"a", "b", "c"}, Level: 0.95}},
		"one item":     {estimate.ErrTooFew, scores(1, 1, 2, 3)},
		"two persons":  {estimate.ErrTooFew, scores(2, 1, 2, 3, 4)},
		"ceiling":      {estimate.ErrNotIdentified, scores(2, 5, 1, 5, 2, 5, 3)},
		"opposite":     {estimate.ErrNotIdentified, scores(2, 1, 3, 2, 2, 3, 1)},
		"no number":    {estimate.ErrInvalidFrame, scores(2, 1, 3, 2, math.NaN(), 3, 1)},
		"change alone": {estimate.ErrInvalidFrame, &Scores{Unit: []string{"a", "b", "c"}, Change: []float64{1, 2, 3}, Level: 0.95}},
		"one anchor":   {estimate.ErrNotIdentified, &Scores{Unit: []string{"a", "b", "c"}, Change: []float64{1, 2, 3}, Anchor: make([]bool, 3), Level: 0.95}},
	} {
		_, err := Reliability{}.Fit(t.Context(), c.s)
		require.ErrorIs(t, err, c.want, name)
	}
	s := scores(2, 1, 2, 2, 3, 3, 4)
	s.Raters = true
	r := reliability(t, s) // raters agree up to a constant
	require.Contains(t, codes(r), "no-residual-spread")
	require.True(t, math.IsNaN(named(t, r, "icc-3-1").SE))
}

// Alpha and omega of 4 items with loadings 1, .7, 1.2, .9 and errors of variance 1, 150 persons:
// alpha = 4/3·(1 − (4 + 3.74)/(3.8² + 4)), omega = 3.8²/(3.8² + 4).
func TestReliabilityCoverage(t *testing.T) {
	reps, band := 4000, 2.0
	if testing.Short() {
		reps, band = 200, 3.09
	}
	truth := map[string]float64{"alpha": 4.0 / 3 * (1 - 7.74/18.44), "omega": 14.44 / 18.44}
	covered := map[string]int{}
	for rep := range reps {
		r := reliability(t, randomItems(uint64(1000+rep), 150, 1, 0.7, 1.2, 0.9))
		for term, v := range truth {
			if e := named(t, r, term); e.CI.Lo <= v && v <= e.CI.Hi {
				covered[term]++
			}
		}
	}
	for term := range truth {
		share := float64(covered[term]) / float64(reps)
		t.Logf("%s: coverage %.3f", term, share)
		require.InDelta(t, 0.95, share, band*math.Sqrt(0.95*0.05/float64(reps)), term)
	}
}
