package survive

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
)

// An error of times names the row and the one rule that it breaks.
func TestTimesSayWhichRule(t *testing.T) {
	for text, change := range map[string]func(f *Times){
		"row 2: times no unit can have: the time is negative":                              func(f *Times) { f.Time[1] = -1 },
		"row 3: times no unit can have: the time is not a finite number":                   func(f *Times) { f.Time[2] = math.Inf(1) },
		"row 1: times no unit can have: the time is not after the entry time":              func(f *Times) { f.Entry = []float64{3, 0, 0} },
		"row 3: times no unit can have: the entry time is negative; the clock starts at 0": func(f *Times) { f.Entry = []float64{0, 0, -0.5} },
		"row 2: times no unit can have: the entry time is not a finite number":             func(f *Times) { f.Entry = []float64{0, math.NaN(), 0} },
	} {
		f := &Times{Unit: []string{"a", "b", "c"}, Time: []float64{3, 4, 5}, Event: make([]bool, 3), Level: .95}
		change(f)
		err := f.Check()
		require.ErrorIs(t, err, ErrTime)
		require.ErrorContains(t, err, text)
		var row *estimate.RowError
		require.ErrorAs(t, err, &row)
	}
	for text, change := range map[string]func(s *Spells){
		"the start is negative":           func(s *Spells) { s.Start[0] = -1 },
		"the stop is not a finite number": func(s *Spells) { s.Stop[0] = math.NaN() },
		"the stop is not after the start": func(s *Spells) { s.Stop[0] = 0 },
	} {
		s := &Spells{Person: []int{0}, From: []int{0}, To: []int{Censored}, Start: []float64{0}, Stop: []float64{2}, States: []string{"s"}, ID: []string{"a"}, Level: .95}
		change(s)
		err := s.Check()
		require.ErrorIs(t, err, ErrTimes)
		require.ErrorContains(t, err, text)
	}
}

// Rows of one unit, as covariates that change would be written, have no place in a Fine–Gray model.
func TestFineGrayRefusesRowsOfOneUnit(t *testing.T) {
	f := fgSample(8, 60)
	f.Unit = slices.Clone(f.Unit)
	f.Unit[1] = f.Unit[0]
	_, err := FineGray{Cause: "x"}.Fit(t.Context(), f)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	require.ErrorContains(t, err, "covariates that change")
}

// Few clusters are said wherever errors are of clusters.
func TestFewClustersAreSaid(t *testing.T) {
	f := fgSample(8, 120)
	for _, k := range []int{fewClusters - 1, fewClusters} {
		f.Cluster = nil
		for i := range f.Time {
			f.Cluster = append(f.Cluster, i%k)
		}
		causes := f.Competing
		causes.Stratum = nil
		curves := causes.Times
		for _, c := range f.Cause {
			curves.Event = append(curves.Event, c >= 0)
		}
		require.Equal(t, k < fewClusters, slices.Contains(codes(mustFG(t, FineGray{Cause: "x"}, f)), "few-clusters"), k)
		for _, e := range []func() (*estimate.Result, error){
			func() (*estimate.Result, error) { return KaplanMeier{At: []float64{1}}.Fit(t.Context(), &curves) },
			func() (*estimate.Result, error) { return RMST{}.Fit(t.Context(), &curves) },
			func() (*estimate.Result, error) {
				return CumulativeIncidence{At: []float64{1}}.Fit(t.Context(), &causes)
			},
		} {
			res, err := e()
			require.NoError(t, err)
			require.Equal(t, k < fewClusters, slices.Contains(codes(res), "few-clusters"), "%s with %d", res.Method, k)
		}
	}
}
