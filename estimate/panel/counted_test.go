package panel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A unit that crosses its first treatment is in no effect from then on, and is counted:
// unit 1 goes from 0 to 1 to -1, unit 2 stays at 1.
func TestSwitchersThatTurnAreCounted(t *testing.T) {
	f := rect([]int{0, 0, 0, 0}, [][]float64{{1, 3, 0}, {1, 3.2, 4}, {1, 1.1, 1}, {1, 1.3, 1.2}})
	f.Cohort = nil
	d := []float64{0, 1, -1, 0, 1, 1, 0, 0, 0, 0, 0, 0}
	res, err := Intertemporal{Treatment: d}.Fit(t.Context(), f)
	require.NoError(t, err)
	codes := map[string]map[string]any{}
	for _, n := range res.Notes {
		codes[n.Code] = n.Args
	}
	require.Equal(t, map[string]any{"units": 1}, codes["switchers-turned"])
	d[2] = 1
	res, err = Intertemporal{Treatment: d}.Fit(t.Context(), f)
	require.NoError(t, err)
	for _, n := range res.Notes {
		require.NotEqual(t, "switchers-turned", n.Code)
	}
}

// A level of exposure that nobody is in is said, not passed over.
func TestEmptyLevelsOfExposureAreCounted(t *testing.T) {
	f, exposure := spillPanel([]float64{5, 7, 6}, []float64{2, 3, 4}, []float64{0, 1, 2}, []float64{0.5, 0.5, 0.5})
	count := func(borders ...float64) any {
		res, err := Spillover{Borders: borders}.Fit(t.Context(), f, exposure)
		require.NoError(t, err)
		for _, n := range res.Notes {
			if n.Code == "exposure-empty" {
				return n.Args["bins"]
			}
		}
		return nil
	}
	require.Equal(t, 3, count(0.3, 0.7, 0.9), "between 0 and .3, above .7 and above .9")
	require.Equal(t, 1, count(0.3))
	require.Nil(t, count())
}
