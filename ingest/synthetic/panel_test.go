package synthetic

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

func TestRollOut(t *testing.T) {
	g := newGeography(1)
	require.Len(t, g.places, 290)
	require.Equal(t, strings.Fields("01 03 04 05 06 07 08 09 10 12 13 14 17 18 19 20 21 22 23 24 25"), g.counties)
	require.Len(t, g.counties, nCounties)
	count := func(year int) (municipalities, forbund int) {
		seen := map[int]bool{}
		for i := range g.places {
			if f := g.forbundOf(&g.places[i], year); f >= 0 {
				municipalities++
				seen[f] = true
			}
		}
		return municipalities, len(seen)
	}
	for year, want := range map[int]int{2004: 0, 2011: 213, 2012: 221, 2016: 247, 2018: 260, 2022: 273} {
		n, _ := count(year)
		require.Equal(t, want, n, "municipalities at the end of %d", year)
	}
	for _, seed := range []uint64{1, 2, 3} {
		g = newGeography(seed)
		for year, want := range map[int]int{2016: 83, 2019: 83, 2020: 80, 2021: 77, 2022: 75} {
			_, f := count(year)
			require.Equal(t, want, f, "förbund in %d", year)
		}
		_, early := count(2012)
		require.GreaterOrEqual(t, early, 80)
		first := map[int]int{}
		for i := range g.places {
			if y := g.places[i].firstYear; y > 0 && (first[g.places[i].county] == 0 || y < first[g.places[i].county]) {
				first[g.places[i].county] = y
			}
		}
		require.Len(t, first, nCounties, "every county has members")
		for _, y := range first {
			require.LessOrEqual(t, y, 2008)
		}
		home := map[int]int{}
		for i := range g.places {
			if f := g.forbundOf(&g.places[i], 2022); f >= 0 {
				if c, ok := home[f]; ok {
					require.Equal(t, c, g.places[i].county, "a förbund stays in its county")
				}
				home[f] = g.places[i].county
			}
		}
	}
}

// By hand: first member in 2012, year 2014: cohort factor 1.5 - 7/14 = 1, exposure 3,
// 0.35 a year, scale 1.1: 1.155. Exposure stops growing at 10.
func TestMunicipalEffectByHand(t *testing.T) {
	sc, _ := findScenario("finsam")
	p := &place{firstYear: 2012, scale: 1.1}
	reftest.Agree(t, "work in 2014", municipalEffect(sc, p, 2, 2014), 1.155, 13)
	reftest.Agree(t, "sickness in 2012", municipalEffect(sc, p, 0, 2012), -0.066, 13)
	require.Zero(t, municipalEffect(sc, p, 2, 2011))
	require.Zero(t, municipalEffect(sc, &place{scale: 1}, 2, 2022))
	require.Equal(t, municipalEffect(sc, p, 1, 2021), municipalEffect(sc, p, 1, 2022))
}

// By hand: cohorts of 1 (effects 2, 4 in 2021, 2022) and 3 (effect 1 in 2022).
// simple (2+4+3·1)/5; event 0 (2+3)/4, event 1 4, dynamic 21/8; group (3 + 3·1)/4; calendar (2 + 7/4)/2.
func TestAggregateByHand(t *testing.T) {
	cell := func(g, year, n int, x Number) CohortYear {
		return CohortYear{Group: g, Year: year, Municipalities: n, Effect: map[string]Number{"y": x}}
	}
	a := aggregate([]CohortYear{cell(2021, 2021, 1, 2), cell(2021, 2022, 1, 4), cell(2022, 2022, 3, 1)}, "y")
	reftest.Agree(t, "simple", float64(a.Simple), 9.0/5, 14)
	reftest.Agree(t, "dynamic", float64(a.Dynamic), 21.0/8, 14)
	reftest.Agree(t, "group", float64(a.Group), 6.0/4, 14)
	reftest.Agree(t, "calendar", float64(a.Calendar), 15.0/8, 14)
	require.Equal(t, []KeyedEffect{{0, 1.25, 4}, {1, 4, 1}}, a.ByEvent)
	require.Equal(t, []KeyedEffect{{2021, 3, 1}, {2022, 1, 3}}, a.ByGroup)
}

// A panelRow is a row of municipalities.csv.
type panelRow struct {
	unit, year, first int
	x, y              float64
}

func readPanel(t *testing.T, dir, outcome string) []panelRow {
	t.Helper()
	names := strings.Split(municipalHeader, ";")
	col := -1
	for k, name := range names {
		if name == outcome {
			col = k
		}
	}
	number := func(text string) float64 {
		require.NotContains(t, text, ".")
		x, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
		require.NoError(t, err)
		return x
	}
	var out []panelRow
	for i, row := range rows(t, dir, "municipalities.csv") {
		require.Len(t, row[0], 4)
		require.Equal(t, row[0][:2], row[2])
		year, _ := strconv.Atoi(row[3])
		first, _ := strconv.Atoi(row[6])
		require.Equal(t, row[5] == "1", first > 0 && year >= first)
		require.Equal(t, row[5] == "1", row[4] != "")
		y := number(row[col])
		require.Positive(t, y, "no share sits on the floor of zero")
		require.Less(t, y, 100.0)
		out = append(out, panelRow{i / 20, year, first, number(row[8]), y})
	}
	require.Len(t, out, 290*20)
	return out
}

// twfe is the coefficient of membership with unit and year effects, by demeaning
// twice: exact in a balanced panel.
func twfe(rows []panelRow) float64 {
	d := make([]float64, len(rows))
	y := make([]float64, len(rows))
	for i, r := range rows {
		d[i], y[i] = indicator(r.first > 0 && r.year >= r.first), r.y
	}
	for _, x := range [][]float64{d, y} {
		unit, year := map[int]float64{}, map[int]float64{}
		var all float64
		for i, r := range rows {
			unit[r.unit] += x[i] / 20
			year[r.year] += x[i] / 290
			all += x[i] / float64(len(rows))
		}
		for i, r := range rows {
			x[i] += all - unit[r.unit] - year[r.year]
		}
	}
	var dd, dy float64
	for i := range d {
		dd += d[i] * d[i]
		dy += d[i] * y[i]
	}
	return dy / dd
}

// regressionATT is the simple average of ATT(g,t) by outcome regression: the change
// since g-1 of cohort g minus what a straight line in x, fitted to the not yet
// treated, says about it. adjust false leaves x out.
func regressionATT(rows []panelRow, adjust bool) float64 {
	at := func(unit, year int) panelRow { return rows[unit*20+year-panelFirst] }
	var sum, cells float64
	for g := 2005; g <= 2019; g++ {
		for year := g; year <= panelLast; year++ {
			var n, sx, sy, sxx, sxy, tn, tx, ty float64
			for u := range 290 {
				r, base := at(u, year), at(u, g-1)
				dy, x := r.y-base.y, r.x
				switch {
				case r.first == g:
					tn, tx, ty = tn+1, tx+x, ty+dy
				case r.first == 0 || r.first > year:
					n, sx, sy, sxx, sxy = n+1, sx+x, sy+dy, sxx+x*x, sxy+x*dy
				}
			}
			if tn == 0 {
				continue
			}
			slope := 0.0
			if adjust {
				slope = (sxy - sx*sy/n) / (sxx - sx*sx/n)
			}
			sum += ty - tn*(sy/n+slope*(tx/tn-sx/n))
			cells += tn
		}
	}
	return sum / cells
}

// Two-way fixed effects miss the truth by much; differences within cohorts, given
// unemployment in 2003, do not, and without it they do.
func TestTwoWayFixedEffectsFail(t *testing.T) {
	dir, truth := register(t)
	for _, outcome := range municipalOutcomes {
		panel := readPanel(t, dir, outcome)
		want := float64(truth.Municipal.Aggregates[outcome].Simple)
		static, adjusted, plain := twfe(panel), regressionATT(panel, true), regressionATT(panel, false)
		t.Logf("%-26s truth %7.3f  two-way %7.3f  cohorts given x %7.3f  cohorts %7.3f", outcome, want, static, adjusted, plain)
		require.Greater(t, math.Abs(static-want), 0.25*math.Abs(want), outcome)
		require.Less(t, math.Abs(adjusted-want), 0.5*math.Abs(static-want), outcome)
		require.Less(t, math.Abs(adjusted-want), 0.5*math.Abs(plain-want), outcome)
	}
}

// The file is the path without membership plus the true effect: the same draws under
// scenario null differ from finsam by exactly the truth, up to the file's rounding.
func TestPanelIsPathPlusEffect(t *testing.T) {
	dir, truth := write(t, Options{People: 10, Seed: 9})
	null, _ := write(t, Options{People: 10, Seed: 9, Scenario: "null"})
	for _, outcome := range municipalOutcomes {
		a, b := readPanel(t, dir, outcome), readPanel(t, null, outcome)
		for i := range a {
			m := truth.Municipal.Municipalities[a[i].unit]
			require.Equal(t, m.FirstYear, a[i].first)
			reftest.Near(t, outcome, a[i].y-b[i].y, float64(m.Effect[outcome][a[i].year-panelFirst]), 0.00101)
		}
	}
}

func TestCostsAreSplitAsTheLawSays(t *testing.T) {
	dir, truth := register(t)
	sums := map[string]float64{}
	for _, row := range rows(t, dir, "costs.csv") {
		x, err := strconv.ParseFloat(strings.Replace(row[3], ",", ".", 1), 64)
		require.NoError(t, err)
		sums[row[2]] += x
	}
	reftest.Agree(t, "region", sums["region"], sums["municipality"], 12)
	reftest.Agree(t, "state", sums["state"], 2*sums["region"], 12)
	perStart := (sums["state"] + sums["region"] + sums["municipality"]) / float64(truth.Counts.Participations)
	require.InDelta(t, costPerStart, perStart, 2500)
}

func TestAppendDecimal(t *testing.T) {
	require.Equal(t, "0,00", string(appendDecimal(nil, 0, 2)))
	require.Equal(t, "12,05", string(appendDecimal(nil, 1205, 2)))
	require.Equal(t, "3,007", string(appendDecimal(nil, 3007, 3)))
}
