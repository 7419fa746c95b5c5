package survive

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
)

func mustGray(t testing.TB, rho float64, f *Competing) *estimate.Result {
	t.Helper()
	res, err := GrayTest{Rho: rho}.Fit(t.Context(), f)
	require.NoError(t, err)
	return res
}

// twoCauses: A has cause x at 1 and 3; B cause y at 2 and one censored at 5.
func twoCauses() *Competing {
	return &Competing{Stratified: Stratified{Times: Times{
		Unit: []string{"a", "b", "c", "d"}, Time: []float64{1, 3, 2, 5}, Group: []int{0, 0, 1, 1}, GroupNames: []string{"A", "B"}, Level: 0.95,
	}}, Cause: []int{0, 0, 1, Censored}, CauseNames: []string{"x", "y"}}
}

// By hand, cause x. At 1: h = 2, 2, R the same, U = 1 − 1/2; F = 1/4; a = ±1, c = ±1/4. At 3:
// Y = 1, 1, S = 1/2, 1/2, F_A = 1/2: h = 2, 2, R = 1, 2, U += 1 − 1/3, U = 7/6; F = 1/2;
// a = ±1; c += ±1/(4·3/4), so that c(end) − c(1) = ±1/3.
// V: at 1, τ = 1/8; A: b = 1 − (3/4)/(1/2) = −1/2: (1 − 1/6)²/8; B: b = 1/4: (1 + 1/12)²/8.
// At 2 (cause y in B): τ = 1/4, b = (3/4)/(1/2) = 3/2: (1/2)²/4. At 3: τ = 1/8, twice 1/8.
// V = (100 + 169)/1152 + 1/16 + 1/4 = 629/1152, χ² = (49/36)·1152/629 = 1568/629.
// With ρ = 1 the weights are 1 and 3/4: U = 1/2 + 1/2 = 1; a = ±1, ±3/4; c(end) − c(1) = ±1/4:
// V = (1 − 1/8)²/8 + (1 + 1/16)²/8 + (3/8)²/4 + 2·(9/16)/8 = (196 + 289 + 72 + 288)/2048 = 845/2048.
func TestGrayByHand(t *testing.T) {
	f := twoCauses()
	f.Cause[2] = 1
	for rho, want := range map[float64]float64{0: 1568.0 / 629, 1: 2048.0 / 845} {
		res := mustGray(t, rho, f)
		e := res.Estimates[0]
		require.Equal(t, "gray,cause=x", e.Term)
		require.Equal(t, ChiSquare, e.Measure)
		reftest.Agree(t, "chi-square", e.Value, want, 13)
		require.Equal(t, 1.0, e.Test.DF)
		reftest.Agree(t, "p", e.Test.P, math.Erfc(math.Sqrt(want/2)), 12)
		row := res.Details["gray"].([]GrayRow)[0]
		require.Equal(t, GrayRow{"x", 2, e.Value, 1, e.Test.P}, row)
	}
	// Twice the same stratum doubles the statistic.
	g := twoCauses()
	f.Unit = append(f.Unit, "e", "f", "g", "h")
	f.Time, f.Cause, f.Group = append(f.Time, g.Time...), append(f.Cause, g.Cause...), append(f.Group, g.Group...)
	f.Stratum = []int{1, 1, 1, 1, 0, 0, 0, 0}
	reftest.Agree(t, "strata", mustGray(t, 0, f).Estimates[0].Value, 2*1568.0/629, 13)
}

// Names of groups and causes, rows, a monotone change of time and copies for frequencies carry no information.
func TestGrayRelations(t *testing.T) {
	f := competing(12, 140, 2, false)
	f.GroupNames = []string{"x", "y", "z"}
	f.Weight.Kind = estimate.Frequency
	long := &Competing{Stratified: Stratified{Times: Times{Level: 0.95, GroupNames: []string{"a", "b", "c"}}}, CauseNames: []string{"q", "p"}}
	for i := range f.Unit {
		f.Group[i] = num.NewStream(12, "g", uint64(i)).Intn(3)
		f.Weight.Values = append(f.Weight.Values, float64(1+i%3))
		f.Stratum = append(f.Stratum, i%2)
	}
	for _, i := range permutation(num.NewStream(12, "p", 0), 140) {
		for r := range 1 + i%3 {
			long.Unit = append(long.Unit, f.Unit[i]+FormatTime(float64(r)))
			long.Time, long.Group = append(long.Time, math.Exp(f.Time[i]/5)), append(long.Group, (f.Group[i]+2)%3)
			long.Stratum = append(long.Stratum, 1-f.Stratum[i])
			c := f.Cause[i]
			if c != Censored {
				c = 1 - c
			}
			long.Cause = append(long.Cause, c)
		}
	}
	a, b := mustGray(t, 1, f).Estimates, mustGray(t, 1, long).Estimates
	for q := range a {
		require.Equal(t, 2.0, a[q].Test.DF)
		reftest.Agree(t, "chi-square", a[q].Value, b[1-q].Value, 10)
	}
	require.NotEqual(t, a[0].Value, mustGray(t, 0, f).Estimates[0].Value)
	f.Stratum = nil
	require.NotEqual(t, a[0].Value, mustGray(t, 1, f).Estimates[0].Value)
}

// Without another cause and censoring the score is that of the log-rank test.
func TestGrayScoreIsLogRank(t *testing.T) {
	f := competing(13, 60, 1, false)
	lr := &Stratified{Times: f.Times}
	for i := range f.Cause {
		f.Cause[i] = 0
		lr.Event = append(lr.Event, true)
	}
	u, v := make([]float64, 2), mustLogRank(t, 0, lr)
	g := newGray(0, f, 0, u, mat.NewSymDense(2, nil))
	g.stratum(byTime(f.Time, f.allRows()))
	row := v.Details["groups"].([]LogRankGroup)[0]
	reftest.Agree(t, "score", u[0], row.Observed-row.Expected, 11)
}

func TestGrayErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *GrayTest, f *Competing)
		err    error
	}{
		"rho":     {func(e *GrayTest, _ *Competing) { e.Rho = math.NaN() }, nil},
		"group":   {func(_ *GrayTest, f *Competing) { f.Group, f.GroupNames = nil, nil }, estimate.ErrTooFew},
		"empty":   {func(_ *GrayTest, f *Competing) { f.GroupNames = []string{"A", "B", "C"} }, estimate.ErrTooFew},
		"nothing": {func(_ *GrayTest, f *Competing) { f.CauseNames = []string{"x", "y", "z"} }, estimate.ErrNotIdentified},
		"cause":   {func(_ *GrayTest, f *Competing) { f.Cause[0] = -3 }, estimate.ErrInvalidFrame},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := GrayTest{}, twoCauses()
			c.change(&e, f)
			_, err := e.Fit(t.Context(), f)
			require.Error(t, err)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
			}
		})
	}
}

// Under equal incidences of cause x the test rejects at 5% inside the 99.8% binomial band.
func TestGraySize(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps = 800 * sim.Factor
	rejected := 0
	for r := range uint64(reps) {
		f := &Competing{Stratified: Stratified{Times: Times{Level: 0.95, GroupNames: []string{"x", "y"}}}, CauseNames: []string{"x", "y"}}
		for i := range 160 {
			st := num.NewStream(3000+r, "gray", uint64(i))
			cause, x := 0, 10*st.Exp()
			if st.Bernoulli(0.4) { // the share and times of cause x are the same; cause y comes later in group y
				cause, x = 1, 10*float64(1+i%2)*st.Exp()
			}
			if c := 30 * st.Float(); c < x {
				cause, x = Censored, c
			}
			f.Unit, f.Group = append(f.Unit, FormatTime(float64(i))), append(f.Group, i%2)
			f.Time, f.Cause = append(f.Time, math.Ceil(x)), append(f.Cause, cause)
		}
		if mustGray(t, 0, f).Estimates[0].Test.P < 0.05 {
			rejected++
		}
	}
	rate, half := float64(rejected)/reps, sim.Band(reps)
	sim.Share(t, "gray's test rejects", rate, reps)
	if math.Abs(rate-0.05) > half {
		t.Errorf("rejects %.3f, want 0.05 ± %.3f", rate, half)
	}
}
