package plots

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
)

// sampleScores has bins of one width but for the last two, which were merged.
func sampleScores() DistributionData {
	d := DistributionData{Before: Binned{}, After: &Binned{}}
	for k := range 18 {
		x := (float64(k) + 0.5) / 20
		d.Edges = append(d.Edges, float64(k)/20)
		bump := func(at, width, n float64) float64 {
			z := (x - at) / width
			return math.Round(n*math.Exp(-z*z/2)/5) * 5
		}
		d.Before.Treated = append(d.Before.Treated, bump(0.42, 0.19, 300))
		d.Before.Control = append(d.Before.Control, bump(0.08, 0.13, 12000))
		d.After.Treated = append(d.After.Treated, bump(0.41, 0.18, 280))
		d.After.Control = append(d.After.Control, bump(0.40, 0.17, 285))
	}
	d.Edges = append(d.Edges, 1)
	return d
}

func sampleMirrored(l lang.Lang) (Figure, error) {
	return Mirrored(sampleScores(), sampleStyle(l, "Grupperna överlappar efter matchningen", "Skattad sannolikhet att delta: deltagare uppåt, jämförelsegrupp nedåt",
		"The groups overlap after matching", "Estimated probability of taking part: participants upwards, comparison group downwards"))
}

func sampleECDF(l lang.Lang) (Figure, error) {
	d := DistributionData{Edges: []float64{0, 3, 6, 9, 12, 15, 18, 21, 24}, XLabel: pick(l, "Månader med sjukpenning de senaste två åren", "Months with sickness benefit in the last two years"),
		Before: Binned{[]float64{120, 90, 110, 160, 240, 300, 420, 700}, []float64{41000, 3100, 1500, 900, 700, 500, 400, 600}},
		After:  &Binned{[]float64{115, 90, 110, 155, 235, 295, 410, 680}, []float64{130, 85, 105, 150, 245, 300, 400, 675}}}
	return ECDF(d, sampleStyle(l, "Sjukhistoriken är lika efter matchningen", "Andel av gruppen under varje antal månader",
		"Sickness histories are alike after matching", "Share of the group below each number of months"))
}

// Counts 3 and 1 in bins of width 1 and 2, 2 and 2 below: shares ¾ ¼ and ½ ½, heights ¾ ⅛ and ½ ¼.
func TestMirroredByHand(t *testing.T) {
	d := DistributionData{Edges: []float64{0, 1, 3}, Before: Binned{[]float64{3, 1}, []float64{2, 2}}}
	f, err := Mirrored(d, plain)
	require.NoError(t, err)
	require.Equal(t, "stage,from,to,treated,control,share_treated,share_control,height_treated,height_control\n"+
		"before,0,1,3,2,0.75,0.5,0.75,0.5\nbefore,1,3,1,2,0.25,0.5,0.125,0.25\n", string(f.csv))
	require.Contains(t, f.alt, "75\u00a0%")
	var bars []shape
	for _, item := range f.scene.items {
		if it, ok := item.(shape); ok && it.closed && len(it.points) == 4 {
			bars = append(bars, it)
		}
	}
	bars = bars[2:] // the first two are the legend's
	require.Len(t, bars, 4)
	height := func(b shape) float64 { return b.points[2].y - b.points[0].y }
	width := func(b shape) float64 { return b.points[1].x - b.points[0].x }
	require.InDelta(t, height(bars[0])*2/3, height(bars[1]), 0.005)
	require.InDelta(t, height(bars[0])/6, height(bars[2]), 0.005)
	require.InDelta(t, 2*width(bars[0]), width(bars[2]), 0.005)
	require.InDelta(t, bars[0].points[2].y, bars[1].points[0].y, 0.005, "both start at the line")
	// A share is never written with a minus sign.
	for _, item := range f.scene.items {
		if it, ok := item.(text); ok {
			require.False(t, strings.HasPrefix(it.s, "−"), it.s)
		}
	}
	step, even := d.narrowest()
	require.Equal(t, []any{1.0, false}, []any{step, even})
	f, err = ECDF(d, Style{Lang: lang.EN})
	require.NoError(t, err)
	require.Equal(t, "stage,value,treated,control,share_below_treated,share_below_control\nbefore,0,0,0,0,0\nbefore,1,3,2,0.75,0.5\nbefore,3,4,4,1,1\n", string(f.csv))
	require.Contains(t, f.alt, "at most 25% apart")
}

func TestDistributionRefuses(t *testing.T) {
	good := Binned{[]float64{1, 2}, []float64{2, 1}}
	edges := []float64{0, 1, 2}
	for what, c := range map[string]struct {
		d    DistributionData
		want error
	}{
		"nothing":       {DistributionData{}, ErrEmpty},
		"edges":         {DistributionData{Edges: []float64{0, 1, 1}, Before: good}, ErrInconsistent},
		"nan edge":      {DistributionData{Edges: []float64{0, math.NaN(), 1}, Before: good}, ErrNotFinite},
		"short":         {DistributionData{Edges: edges, Before: Binned{[]float64{1}, []float64{2, 1}}}, ErrInconsistent},
		"negative":      {DistributionData{Edges: edges, Before: Binned{[]float64{1, -1}, []float64{2, 1}}}, ErrInconsistent},
		"withheld":      {DistributionData{Edges: edges, Before: Binned{[]float64{1, math.NaN()}, []float64{2, 1}}}, ErrNotFinite},
		"no people":     {DistributionData{Edges: edges, Before: Binned{[]float64{1, 1}, []float64{0, 0}}}, ErrEmpty},
		"nothing after": {DistributionData{Edges: edges, Before: good, After: &Binned{}}, ErrInconsistent},
	} {
		_, err := Mirrored(c.d, plain)
		require.ErrorIs(t, err, c.want, what)
		require.ErrorContains(t, err, "mirrored histogram")
		_, err = ECDF(c.d, plain)
		require.ErrorIs(t, err, c.want, what)
		require.ErrorContains(t, err, "distribution functions")
	}
	_, err := Mirrored(DistributionData{Edges: edges, Before: good}, Style{})
	require.ErrorIs(t, err, ErrStyle)
	_, err = ECDF(DistributionData{Edges: edges, Before: good}, Style{Lang: lang.SV, Height: 2})
	require.ErrorIs(t, err, ErrTooSmall)
}
