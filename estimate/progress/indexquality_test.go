package progress

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// qualitySample is an older cohort whose outcome hangs on s by beta, and a programme.
func qualitySample(n int, beta float64, seed uint64) *SurrogateSample {
	rng := num.NewStream(seed, "quality", 0)
	s := &SurrogateSample{SNames: []string{"s"}, S: mat.NewDense(n, 1, nil), XNames: []string{"x"}, X: mat.NewDense(n, 1, nil), Level: 0.95}
	for i := range n {
		x, v := rng.Normal(), rng.Normal()
		s.X.Set(i, 0, x)
		s.S.Set(i, 0, v)
		s.Unit = append(s.Unit, unitName(i))
		s.Older, s.Treated = append(s.Older, i%3 != 0), append(s.Treated, i%2 == 0)
		y := 0.0
		if rng.Float() < 1/(1+math.Exp(-(0.5*x+beta*v))) {
			y = 1
		}
		if i%3 == 0 {
			y = math.NaN()
		}
		s.Y = append(s.Y, y)
	}
	return s
}

func unitName(i int) string {
	return string(rune('a'+i/676%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
}

// By hand: with predictions .8 for two people who have the outcome and .8 for one who has not, against .5
// throughout, the gains are log 1.6, log 1.6 and log .4: mean (2·.47000 − .91629)/3 = .007905. Off is .8 − 2/3.
func TestQualityByHand(t *testing.T) {
	f := &surrogateFit{n: 3, older: []bool{true, true, true}, y: []float64{1, 1, 0}, rows: []int{2, 0, 1}, s: &SurrogateSample{Level: 0.95}}
	q, err := f.quality([]float64{.8, .8, .8}, []float64{.5, .5, .5}, [][]bool{{false, true, true}, {false, false, false}})
	require.NoError(t, err)
	reftest.Near(t, "gain", q.Gain.Value, (2*math.Log(1.6)+math.Log(.4))/3, 1e-14)
	d1, d2 := math.Log(1.6)-q.Gain.Value, math.Log(.4)-q.Gain.Value
	reftest.Near(t, "error", q.Gain.SE, math.Sqrt(2*d1*d1+d2*d2)/3, 1e-14)
	reftest.Near(t, "off", q.Off, .8-2.0/3, 1e-14)
	reftest.Near(t, "rows 2 and 1 of the sample", q.Groups[0], (.8-1+.8)/2, 1e-14)
	require.True(t, math.IsNaN(q.Groups[1]))
	require.True(t, math.IsNaN(q.Slope), "one prediction has no slope")
}

func TestQualityTellsWhatPredicts(t *testing.T) {
	good, err := IndexQuality{Folds: 5, Seed: 1}.Fit(t.Context(), qualitySample(6000, 1, 3), nil)
	require.NoError(t, err)
	require.Greater(t, good.Gain.CI.Lo, 0.03)
	reftest.Near(t, "slope", good.Slope, 1, 0.12)
	reftest.Near(t, "off", good.Off, 0, 0.01)
	require.Equal(t, 4000, good.Persons)
	none, err := IndexQuality{Folds: 5, Seed: 1}.Fit(t.Context(), qualitySample(6000, 0, 4), nil)
	require.NoError(t, err)
	require.Less(t, none.Gain.CI.Lo, 0.0)
	// Row order and workers change nothing; clusters change the error; folds the split.
	s := qualitySample(900, 1, 5)
	q, err := IndexQuality{Folds: 3, Seed: 1, Workers: 1}.Fit(t.Context(), s, nil)
	require.NoError(t, err)
	back := *s
	rows := make([]int, len(s.Unit))
	for i := range rows {
		rows[i] = len(rows) - 1 - i
	}
	back.Unit, back.Older, back.Treated, back.Y = nil, nil, nil, nil
	back.S, back.X = mat.NewDense(len(rows), 1, nil), mat.NewDense(len(rows), 1, nil)
	for to, i := range rows {
		back.Unit, back.Older, back.Treated, back.Y = append(back.Unit, s.Unit[i]), append(back.Older, s.Older[i]), append(back.Treated, s.Treated[i]), append(back.Y, s.Y[i])
		back.S.Set(to, 0, s.S.At(i, 0))
		back.X.Set(to, 0, s.X.At(i, 0))
	}
	again, err := IndexQuality{Folds: 3, Seed: 1, Workers: 8}.Fit(t.Context(), &back, nil)
	require.NoError(t, err)
	require.Equal(t, q, again)
	other, err := IndexQuality{Folds: 3, Seed: 2}.Fit(t.Context(), s, nil)
	require.NoError(t, err)
	require.NotEqual(t, q.Gain, other.Gain)
	s.Cluster = make([]int, len(s.Unit))
	for i := range s.Cluster {
		s.Cluster[i] = i / 10
	}
	clustered, err := IndexQuality{Folds: 3, Seed: 1}.Fit(t.Context(), s, nil)
	require.NoError(t, err)
	require.NotEqual(t, q.Gain.SE, clustered.Gain.SE)
}

func TestQualityRefuses(t *testing.T) {
	s := qualitySample(300, 1, 1)
	_, err := IndexQuality{}.Fit(t.Context(), s, nil)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = IndexQuality{Folds: 2}.Fit(t.Context(), s, [][]bool{{true}})
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	s.Y[1] = 0.5
	_, err = IndexQuality{Folds: 2}.Fit(t.Context(), s, nil)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
