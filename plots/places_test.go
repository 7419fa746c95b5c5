package plots

import (
	"bytes"
	"encoding/csv"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/internal/places"
)

func placeSamples() []sample {
	return []sample{{"funnel", sampleFunnel}, {"tiles", sampleTiles}, {"tiles-counties", sampleCounties}, {"choropleth", sampleChoropleth}}
}

func sampleFunnel(l lang.Lang) (Figure, error) {
	d := FunnelData{Centre: 0.06, YLabel: pick(l, "Effekt på andelen i arbete", "Effect on the share in work"), PercentagePoints: true}
	for i := range 70 {
		se := 0.012 + 0.05*math.Abs(math.Sin(float64(i)*1.7))
		v := 0.06 + se*1.4*math.Sin(float64(i)*2.3)
		d.Points = append(d.Points, FunnelPoint{Label: "f" + string(rune('a'+i%26)), Estimate: estimate.Wald("x", estimate.RiskDifference, v, se, math.Inf(1), 0.95), Differs: i == 11})
	}
	return Funnel(d, sampleStyle(l, "Förbundens effekter kring helheten", "Ett tecken per förbund", "The associations' effects around the whole", "A mark per association"))
}

func placeClasses(l lang.Lang) []PlaceClass {
	return []PlaceClass{
		{pick(l, "Högre än helheten", "Higher than the whole"), PlaceHigher}, {pick(l, "Skiljer sig inte", "Does not differ"), PlaceSame},
		{pick(l, "Lägre än helheten", "Lower than the whole"), PlaceLower}, {pick(l, "Visas inte", "Not shown"), PlaceHidden},
	}
}

func sampleTiles(l lang.Lang) (Figure, error) {
	d := PlaceData{Classes: placeClasses(l), Class: map[string]int{}, Value: map[string]float64{}}
	for i, c := range places.Codes() {
		if i%17 != 0 {
			d.Class[c], d.Value[c] = []int{1, 1, 1, 0, 3, 1, 2, 1, 1}[i%9], float64(i)
		}
	}
	return TileGrid(d, sampleStyle(l, "Kommuner", "", "Municipalities", ""))
}

func sampleCounties(l lang.Lang) (Figure, error) {
	d := PlaceData{Classes: placeClasses(l), Letters: true, Class: map[string]int{"01": 0, "14": 2, "12": 1, "25": 1, "23": 3, "09": 1}}
	return TileGrid(d, sampleStyle(l, "Län", "", "Counties", ""))
}

// A square with a hole, and a square beside it.
func sampleBoundaries() []Boundary {
	ring := func(x, y, w float64) [][2]float64 {
		return [][2]float64{{x, y}, {x + w, y}, {x + w, y + w}, {x, y + w}, {x, y}}
	}
	hole := ring(13, 58, 1)
	for i, j := 0, len(hole)-1; i < j; i, j = i+1, j-1 {
		hole[i], hole[j] = hole[j], hole[i]
	}
	return []Boundary{{"a", [][][2]float64{ring(12, 57, 3), hole}}, {"b", [][][2]float64{ring(15, 57, 3)}}, {"c", [][][2]float64{ring(12, 60, 2)}}}
}

func sampleChoropleth(l lang.Lang) (Figure, error) {
	d := PlaceData{Classes: placeClasses(l), Class: map[string]int{"a": 0, "b": 2}, Value: map[string]float64{"a": 1.5}}
	return Choropleth(d, sampleBoundaries(), sampleStyle(l, "Tre områden", "", "Three areas", ""))
}

func sheetOf(t *testing.T, f Figure) [][]string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(f.csv)).ReadAll()
	require.NoError(t, err)
	return rows
}

// Every municipality is a square once, a county's code colours all of its squares, and
// the CSV says what is drawn.
func TestTileGridDrawsEveryMunicipalityOnce(t *testing.T) {
	f, err := sampleCounties(lang.EN)
	require.NoError(t, err)
	rows := sheetOf(t, f)
	require.Len(t, rows, 291)
	n := map[string]int{}
	for _, r := range rows[1:] {
		n[r[1]]++
	}
	require.Equal(t, 26, n["Higher than the whole"], "01 has 26 municipalities")
	require.Equal(t, 49, n["Lower than the whole"])
	require.Contains(t, f.alt, "6 areas")
	f, err = sampleTiles(lang.EN)
	require.NoError(t, err)
	for _, r := range sheetOf(t, f)[1:] {
		require.Equal(t, r[1] == "", r[2] == "", "a class and a value, or neither")
	}
}

// Limits by hand: a place with error .02 around .06 has its 95 % limit at .06 + 1.96·.02.
func TestFunnelLimits(t *testing.T) {
	d := FunnelData{Centre: 0.06, Points: []FunnelPoint{{Label: "x", Estimate: estimate.Wald("x", estimate.RiskDifference, 0.1, 0.02, math.Inf(1), 0.95)}}}
	f, err := Funnel(d, Style{Lang: lang.SV})
	require.NoError(t, err)
	r := sheetOf(t, f)[1]
	require.Equal(t, []string{"x", "0.1", "0.02", "50", "no"}, r[:5])
	require.True(t, strings.HasPrefix(r[6], "0.09919927"), r[6])
	require.True(t, strings.HasPrefix(r[8], "0.12180464"), r[8])
}

func TestPlaceFiguresRefuse(t *testing.T) {
	st := Style{Lang: lang.EN}
	class := []PlaceClass{{"x", PlaceSame}}
	_, err := TileGrid(PlaceData{Classes: class, Class: map[string]int{"9999": 0}}, st)
	require.ErrorIs(t, err, ErrInconsistent)
	_, err = TileGrid(PlaceData{Classes: class}, st)
	require.ErrorIs(t, err, ErrEmpty)
	_, err = TileGrid(PlaceData{Classes: class, Class: map[string]int{"0180": 1}}, st)
	require.ErrorIs(t, err, ErrInconsistent)
	_, err = TileGrid(PlaceData{Classes: class, Class: map[string]int{"0180": 0}, Value: map[string]float64{"0180": math.NaN()}}, st)
	require.ErrorIs(t, err, ErrNotFinite)
	_, err = Choropleth(PlaceData{Classes: class, Class: map[string]int{"z": 0}}, sampleBoundaries(), st)
	require.ErrorIs(t, err, ErrInconsistent)
	_, err = Choropleth(PlaceData{Classes: class, Class: map[string]int{"a": 0}}, append(sampleBoundaries(), sampleBoundaries()[0]), st)
	require.ErrorIs(t, err, ErrInconsistent)
	_, err = Choropleth(PlaceData{Classes: class, Class: map[string]int{"a": 0}}, nil, st)
	require.ErrorIs(t, err, ErrEmpty)
	_, err = Funnel(FunnelData{}, st)
	require.ErrorIs(t, err, ErrEmpty)
	_, err = Funnel(FunnelData{Points: []FunnelPoint{{Estimate: estimate.Estimate{Value: 1, SE: 0}}}}, st)
	require.ErrorIs(t, err, ErrNotFinite)
}
