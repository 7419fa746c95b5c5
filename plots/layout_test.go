package plots

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/internal/lang"
)

// edgeSamples are the shapes that break layouts: one of a kind, narrow pages, words
// without a space, extreme numbers.
func edgeSamples() []sample {
	compound := "Arbetslöshetsförsäkringskassehandläggningsärendeuppföljningssystem"
	narrow := func(l lang.Lang) Style {
		return Style{Lang: l, Title: compound + " " + compound, Subtitle: compound, Caption: strings.Repeat("ord och ", 60), Width: 9}
	}
	one := func(v, se float64) estimate.Estimate {
		return estimate.Wald("event=0", estimate.MeanDifference, v, se, math.Inf(1), 0.95)
	}
	return append(progressEdges(), []sample{
		{"love-one-narrow", func(l lang.Lang) (Figure, error) {
			return Love(cohort.Balance{Rows: []cohort.BalanceRow{{Variable: compound}}}, nil, narrow(l))
		}},
		{"event-one", func(l lang.Lang) (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{one(1234567, 2000000)}}, narrow(l))
		}},
		{"event-tiny", func(l lang.Lang) (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{one(3e-7, 1e-8)}}, Style{Lang: l})
		}},
		{"event-flat", func(l lang.Lang) (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{one(0, 0)}}, Style{Lang: l})
		}},
		{"states-three-groups", func(l lang.Lang) (Figure, error) { return sampleStates(l, 7, 3) }},
		{"forest-narrow", func(l lang.Lang) (Figure, error) {
			return Forest(ForestData{Decimals: -1, XLabel: compound, Groups: []ForestGroup{{Heading: compound, Rows: []ForestRow{
				{Label: compound, Estimate: one(-0.5, 0.1)}, {Estimate: estimate.Wald("no-interval", estimate.Mean, 2, math.NaN(), 3, 0.9)},
			}}}}, nil, Style{Lang: l, Width: 12})
		}},
		{"attrition-narrow", func(l lang.Lang) (Figure, error) {
			return Attrition(sampleSteps(), Labels{"history": compound}, narrow(l))
		}},
		{"trend-six", func(l lang.Lang) (Figure, error) {
			var d TrendData
			for i := range 6 {
				d.Series = append(d.Series, sampleSeries(fmt.Sprintf("%s %d", compound, i), 0, 3, func(x float64) float64 { return 1e6*x*float64(i) - 2e6 }, 0))
			}
			d.Marks = []Mark{{0, "första"}, {0.1, "andra märket"}, {3, "sista märket"}}
			d.YLabel = compound
			return Trend(d, nil, narrow(l))
		}},
		{"mirrored-narrow", func(l lang.Lang) (Figure, error) {
			d := DistributionData{Edges: []float64{-1e6, 0, 2.5e6}, XLabel: compound, Before: Binned{[]float64{1, 0}, []float64{0, 3}}, After: &Binned{[]float64{1, 1}, []float64{5, 1e-3}}}
			return Mirrored(d, narrow(l))
		}},
		{"ecdf-one-bin", func(l lang.Lang) (Figure, error) {
			return ECDF(DistributionData{Edges: []float64{0, 1e-6}, Before: Binned{[]float64{1}, []float64{3}}}, Style{Lang: l, Width: 8, Height: 7})
		}},
		{"trend-point", func(l lang.Lang) (Figure, error) {
			return Trend(TrendData{Series: []Series{{Name: "a", X: []float64{5}, Y: []float64{0.3}}}}, nil, Style{Lang: l, Width: 8, Height: 7})
		}},
	}...)
}

// What the layout promises: every text and shape on the page, and no text on another.
func TestNothingIsClippedOrOverlaps(t *testing.T) {
	for _, sm := range append(samples(), edgeSamples()...) {
		for _, l := range lang.All() {
			f, err := sm.make(l)
			require.NoError(t, err, sm.name)
			var texts []text
			for _, item := range f.scene.items {
				switch it := item.(type) {
				case text:
					b := it.box()
					require.True(t, b.x0 >= 2 && b.y0 >= 2 && b.x1 <= f.scene.w-2 && b.y1 <= f.scene.h-2, "%s %s: %q leaves the page", sm.name, l, it.s)
					require.NotContains(t, it.s, "[[", sm.name)
					require.False(t, math.IsNaN(it.at.x+it.at.y), sm.name)
					texts = append(texts, it)
				case shape:
					for _, p := range it.points {
						require.True(t, p.x >= 0 && p.y >= 0 && p.x <= f.scene.w && p.y <= f.scene.h, "%s %s: a line leaves the page", sm.name, l)
					}
				case disc:
					require.True(t, it.at.x > it.r && it.at.x < f.scene.w-it.r && it.at.y > it.r && it.at.y < f.scene.h-it.r, "%s %s: a marker leaves the page", sm.name, l)
				}
			}
			const tolerance = 0.6
			for i, a := range texts {
				for _, b := range texts[:i] {
					p, q := a.box(), b.box()
					require.False(t, min(p.x1, q.x1)-max(p.x0, q.x0) > tolerance && min(p.y1, q.y1)-max(p.y0, q.y0) > tolerance,
						"%s %s: %q stands on %q", sm.name, l, a.s, b.s)
				}
			}
		}
	}
}

// A tick label's place says what a place means; a marker must stand where its value is.
func TestMarkersStandWhereTheTicksSay(t *testing.T) {
	f, err := sampleEvent(lang.EN, -5, 5, "normal")
	require.NoError(t, err)
	ys, xs := map[string]float64{}, map[string]float64{}
	for _, item := range f.scene.items {
		if it, ok := item.(text); ok && it.size == labelSize {
			if it.anchor == end {
				ys[it.s] = it.at.y - midHeight*labelSize
			} else if it.anchor == middle {
				xs[it.s] = it.at.x
			}
		}
	}
	y := func(v float64) float64 { return ys["0"] + (ys["10"]-ys["0"])*v/0.10 }
	x := func(v float64) float64 { return xs["0"] + (xs["5"]-xs["0"])*v/5 }
	var marks []point
	var bars []shape
	for _, item := range f.scene.items {
		switch it := item.(type) {
		case disc:
			marks = append(marks, it.at)
		case shape:
			if len(it.points) == 2 && it.stroke == any(blue) {
				bars = append(bars, it)
			}
		}
	}
	marks, bars = marks[1:], bars[1:] // the first is the legend's
	es := sampleEvents(-5, 5, "normal")[5:]
	require.Len(t, marks, len(es))
	require.Len(t, bars, len(es))
	for i, e := range es {
		require.InDelta(t, x(float64(i)), marks[i].x, 0.005)
		require.InDelta(t, y(e.Value), marks[i].y, 0.005)
		require.InDelta(t, y(e.CI.Lo), bars[i].points[0].y, 0.005)
		require.InDelta(t, y(e.CI.Hi), bars[i].points[1].y, 0.005)
	}
}

func TestStackedAreasMeetAtTheirProbabilities(t *testing.T) {
	d := StateData{Times: []float64{0, 1, 3}, States: []State{{Name: "a"}, {Name: "b", Color: "#102030"}},
		Groups: []StateGroup{{Name: "g", P: [][]float64{{0.25, 0.75}, {0.5, 0.5}, {1, 0}}}}}
	f, err := States(d, nil, Style{Lang: lang.SV})
	require.NoError(t, err)
	var areas []shape
	for _, item := range f.scene.items {
		if it, ok := item.(shape); ok && it.closed && it.fill != any(white) && len(it.points) > 4 {
			areas = append(areas, it)
		}
	}
	require.Len(t, areas, 2)
	a, b := areas[0].points, areas[1].points
	require.Equal(t, any(rgb(0x102030)), areas[1].fill)
	// Upper edge of a, as steps: (0,¼) (1,¼) (1,½) (3,½) (3,1), then back along 0.
	x := func(v float64) float64 { return a[0].x + (a[4].x-a[0].x)*v/3 }
	base, top := a[5].y, a[4].y
	y := func(v float64) float64 { return base + (top-base)*v }
	for i, want := range []point{{0, 0.25}, {1, 0.25}, {1, 0.5}, {3, 0.5}, {3, 1}} {
		require.InDelta(t, x(want.x), a[i].x, 0.005)
		require.InDelta(t, y(want.y), a[i].y, 0.005)
		require.InDelta(t, top, b[i].y, 0.005, "the areas add up to 1")
		require.Equal(t, a[i], b[len(b)-1-i], "b lies on a")
	}
}

func TestTicks(t *testing.T) {
	labels := func(ts []tick) (out []string) {
		for _, k := range ts {
			out = append(out, k.label)
		}
		return out
	}
	require.Equal(t, []string{"−0,5", "0,0", "0,5", "1,0"}, labels(ticks(-0.5, 1, 3, decimalTicks, lang.SV)))
	require.Equal(t, []string{"0.00", "0.25", "0.50"}, labels(ticks(0, 0.5, 2, decimalTicks, lang.EN)))
	require.Equal(t, []string{"0\u00a0%", "20\u00a0%", "40\u00a0%"}, labels(ticks(0, 0.4, 2, percentTicks, lang.SV)))
	require.Equal(t, []string{"0.0", "0.5", "1.0"}, labels(ticks(0, 0.01, 2, pointTicks, lang.EN)))
	require.Equal(t, []string{"−12", "0", "12", "24"}, labels(ticks(-20, 24, 4, wholeTicks, lang.SV)))
	require.Equal(t, []string{"2010", "2015"}, labels(ticks(2009, 2018, 2, yearTicks, lang.SV)))
	require.Equal(t, []string{"0", "250,000", "500,000"}, labels(ticks(0, 5e5, 2, decimalTicks, lang.EN)))
}

func TestWrapAndClean(t *testing.T) {
	require.Empty(t, wrap("  \n ", 8, false, 100))
	for _, l := range wrap(strings.Repeat("å", 300)+" b", 8, false, 60) {
		require.LessOrEqual(t, textWidth(l, 8, false), 60.0)
	}
	require.Equal(t, []string{"12\u00a0000 kr"}, wrap("12\u00a0000 kr", 8, false, 100))
	require.Equal(t, "a b c", clean("a\tb\x00\u202e\r\nc"))
	require.Equal(t, "\ufffd \ufffd", clean("\U0001f600 \xff"))
}

func TestStyleErrors(t *testing.T) {
	b := cohort.Balance{Rows: []cohort.BalanceRow{{Variable: "x"}}}
	_, err := Love(b, nil, Style{})
	require.ErrorIs(t, err, ErrStyle)
	_, err = Love(b, nil, Style{Lang: lang.SV, Width: -1})
	require.ErrorIs(t, err, ErrStyle)
	_, err = Love(b, nil, Style{Lang: lang.SV, Width: math.NaN()})
	require.ErrorIs(t, err, ErrStyle)
	_, err = Love(b, nil, Style{Lang: lang.SV, Height: 1})
	require.ErrorIs(t, err, ErrTooSmall)
	_, err = Love(b, nil, Style{Lang: lang.SV, Width: 3})
	require.ErrorIs(t, err, ErrTooSmall)
	f, err := Love(b, nil, Style{Lang: lang.SV, Width: 20, Height: 12})
	require.NoError(t, err)
	require.InDelta(t, 20*pointsPerCM, f.scene.w, 1e-9)
	require.InDelta(t, 12*pointsPerCM, f.scene.h, 1e-9)
}
