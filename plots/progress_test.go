package plots

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
)

// progressSamples are the figures about progress: ladders, forecasts and questionnaires.
func progressSamples() []sample {
	return []sample{
		{"panels-steps", samplePanels},
		{"panels-own", sampleInformation},
		{"ladder-flow", sampleFlow},
		{"graded", sampleGraded},
	}
}

func progressEdges() []sample {
	long := "Arbetslöshetsförsäkringskassehandläggningsärendeuppföljningssystem"
	return []sample{
		{"panels-one-narrow", func(l lang.Lang) (Figure, error) {
			return Panels(PanelData{Panels: []Panel{{Name: long, Series: []Series{{Name: "a", X: []float64{0.5}, Y: []float64{1e6}}}}}}, nil, Style{Lang: l, Width: 8})
		}},
		{"flow-one-step", func(l lang.Lang) (Figure, error) {
			return Flow(FlowData{Steps: []string{long}, FromLabel: long, ToLabel: long,
				Groups: []FlowGroup{{Name: long, From: []float64{1}, To: []float64{1}, P: [][]float64{{math.NaN()}}}}}, nil, Style{Lang: l, Width: 9})
		}},
		{"graded-one", func(l lang.Lang) (Figure, error) {
			return Graded(GradedData{Rows: []GradedRow{{Label: long, Forecast: wald("x", 1e-7, 1e-8), Verdict: "nej"}}, XLabel: long}, Style{Lang: l, Width: 11})
		}},
	}
}

func samplePanels(l lang.Lang) (Figure, error) {
	names := []string{pick(l, "Arbete eller studier", "Work or studies"), pick(l, "Arbete med lönestöd", "Subsidised work"), pick(l, "Arbetsträning", "Work training"),
		pick(l, "Rehabilitering eller arbetsmarknadsprogram", "Rehabilitation or labour-market programme"), pick(l, "Sjukpenning, sjukersättning eller ekonomiskt bistånd", "Benefits"), pick(l, "Avliden", "Died")}
	d := PanelData{Level: 0.95, Simultaneous: true, PercentagePoints: true, XLabel: pick(l, "Månader sedan start", "Months since the start"), YLabel: pick(l, "Deltagare minus jämförelsegrupp", "Participants less comparison people")}
	for k, name := range names {
		d.Panels = append(d.Panels, Panel{name, []Series{sampleSeries("difference", 0, 24, func(x float64) float64 {
			return (0.05 - 0.02*float64(k)) * (1 - math.Exp(-x/8))
		}, 0.015)}})
	}
	return Panels(d, nil, sampleStyle(l, "Fler är högre upp på trappan", "Skillnad i andel på varje steg, procentenheter", "More are higher on the ladder", "Difference in the share on each step, percentage points"))
}

// sampleInformation has two panels with units of their own.
func sampleInformation(l lang.Lang) (Figure, error) {
	bump := func(name string, at, height float64) Series {
		var s Series
		s.Name = name
		for x := -4.0; x <= 4; x += 0.25 {
			s.X, s.Y = append(s.X, x), append(s.Y, height*math.Exp(-(x-at)*(x-at)))
		}
		return s
	}
	items := []Series{bump(pick(l, "Hälsa", "Health"), -1, 0.7), bump(pick(l, "Framtidstro", "Hope"), 0.5, 0.9), bump(pick(l, "Vardag", "Everyday life"), 1, 0.4)}
	return Panels(PanelData{Columns: 2, OwnY: true, XLabel: pick(l, "Läge på skalan", "Place on the scale"), Panels: []Panel{
		{pick(l, "Varje fråga", "Each question"), items}, {pick(l, "Alla frågor tillsammans", "All questions together"), []Series{bump(pick(l, "Alla frågor", "All questions"), 0, 12)}},
	}}, nil, sampleStyle(l, "Frågorna mäter säkrast i mitten", "Information", "The questions measure best in the middle", "Information"))
}

func flowData(l lang.Lang) FlowData {
	nan := math.NaN()
	return FlowData{
		Steps:     []string{pick(l, "Försörjningsstöd eller sjukpenning", "Benefits"), pick(l, "Rehabilitering", "Rehabilitation"), pick(l, "Arbetsträning", "Work training"), pick(l, "Arbete eller studier", "Work or studies")},
		FromLabel: pick(l, "Vid start", "At the start"), ToLabel: pick(l, "Efter 24 månader", "After 24 months"),
		Groups: []FlowGroup{
			{Name: pick(l, "Deltagare", "Participants"), From: []float64{0.6, 0.3, 0.1, 0}, To: []float64{0.38, 0.25, 0.17, 0.2},
				P: [][]float64{{0.3, 0.1, 0.1, 0.1}, {0.06, 0.12, 0.05, 0.07}, {0.02, 0.03, 0.02, 0.03}, {nan, nan, nan, nan}}},
			{Name: pick(l, "Jämförelsegrupp", "Comparison people"), From: []float64{0.6, 0.3, 0.1, 0}, To: []float64{0.5, 0.25, 0.12, 0.13},
				P: [][]float64{{0.42, 0.08, 0.04, 0.06}, {0.06, 0.14, 0.05, 0.05}, {nan, 0.03, 0.03, 0.02}, {0, 0, 0, 0}}},
		},
	}
}

func sampleFlow(l lang.Lang) (Figure, error) {
	return Flow(flowData(l), nil, sampleStyle(l, "Vart deltagarna tog vägen", "Andel av gruppen, från steg till steg", "Where participants went", "Share of the group, from step to step"))
}

func gradedData(l lang.Lang) GradedData {
	w := func(v, se float64) estimate.Estimate {
		return estimate.Wald("index", estimate.RiskDifference, v, se, math.Inf(1), 0.95)
	}
	come, known := w(0.061, 0.021), 0.055
	wrong := w(-0.02, 0.02)
	return GradedData{PercentagePoints: true, XLabel: pick(l, "Fler med egen försörjning inom 36 månader", "More with self-support within 36 months"), Rows: []GradedRow{
		{Label: pick(l, "Start 2013", "Started 2013"), Forecast: w(0.05, 0.012), Outcome: &come, Known: &known, Verdict: pick(l, "prövad: höll", "tested: held")},
		{Label: pick(l, "Start 2014", "Started 2014"), Forecast: w(0.045, 0.011), Outcome: &wrong, Verdict: pick(l, "prövad: höll inte", "tested: did not hold")},
		{Label: pick(l, "Start 2015", "Started 2015"), Forecast: w(0.04, 0.012), Verdict: pick(l, "utfall saknas", "not come yet")},
	}}
}

func sampleGraded(l lang.Lang) (Figure, error) {
	return Graded(gradedData(l), sampleStyle(l, "Prognosen prövad på tidigare årskullar", "Av 100 deltagare, jämfört med liknande personer", "The forecast tested on earlier cohorts", "Of 100 participants, against comparable people"))
}

func TestProgressCSV(t *testing.T) {
	f, err := Graded(GradedData{Rows: []GradedRow{{Label: "a", Forecast: wald("x", 0, 0), Verdict: "ok"}}}, plain)
	require.NoError(t, err)
	require.Equal(t, "label,forecast,forecast_std_error,forecast_low,forecast_high,outcome,outcome_std_error,outcome_low,outcome_high,conf_level,verdict,known\na,0,0,0,0,,,,,0.95,ok,\n", string(f.csv))
	f, err = Flow(FlowData{Steps: []string{"l", "h"}, Groups: []FlowGroup{{Name: "g", From: []float64{0.5, 0.5}, To: []float64{0.25, 0.75}, P: [][]float64{{0.25, 0.25}, {math.NaN(), 0.5}}}}}, Labels{"h": "högst"}, plain)
	require.NoError(t, err)
	require.Equal(t, "group,group_label,from,from_label,to,to_label,share\ng,g,l,l,l,l,0.25\ng,g,l,l,h,högst,0.25\ng,g,h,högst,l,l,\ng,g,h,högst,h,högst,0.5\n", string(f.csv))
	f, err = Panels(PanelData{Level: 0.9, Panels: []Panel{{"p", []Series{{Name: "s", X: []float64{1, 2}, Y: []float64{0.1, 0.2}, Lo: []float64{0, 0.1}, Hi: []float64{0.2, 0.3}}}}}}, nil, plain)
	require.NoError(t, err)
	require.Equal(t, "panel,panel_label,series,label,x,y,conf_low,conf_high,conf_level\np,p,s,s,1,0.1,0,0.2,0.9\np,p,s,s,2,0.2,0.1,0.3,0.9\n", string(f.csv))
	require.Contains(t, f.alt, "1 av dem", "the band leaves 0 out at 2")
}

func TestProgressSentinels(t *testing.T) {
	nan := math.NaN()
	other := wald("x", 1, 0.1)
	other.CI.Level = 0.9
	outside := wald("x", 1, 0.1)
	outside.CI.Lo = 2
	flow := func(change func(*FlowGroup)) error {
		g := FlowGroup{Name: "g", From: []float64{0.5, 0.5}, To: []float64{0.5, 0.5}, P: [][]float64{{0.5, 0}, {0, 0.5}}}
		change(&g)
		_, err := Flow(FlowData{Steps: []string{"a", "b"}, Groups: []FlowGroup{g}}, nil, plain)
		return err
	}
	require.NoError(t, flow(func(*FlowGroup) {}))
	for _, c := range []struct {
		what string
		err  error
		want error
	}{
		{"from", flow(func(g *FlowGroup) { g.From = nil }), ErrInconsistent},
		{"row", flow(func(g *FlowGroup) { g.P[0] = nil }), ErrInconsistent},
		{"negative", flow(func(g *FlowGroup) { g.P[0][1] = -0.1 }), ErrInconsistent},
		{"nan bar", flow(func(g *FlowGroup) { g.To[0] = nan }), ErrNotFinite},
		{"infinite", flow(func(g *FlowGroup) { g.P[0][0] = math.Inf(1) }), ErrNotFinite},
		{"more than there are", flow(func(g *FlowGroup) { g.P[0][1] = 0.3 }), ErrInconsistent},
		{"above 1", flow(func(g *FlowGroup) { g.From[0] = 0.7 }), ErrInconsistent},
	} {
		require.ErrorIs(t, c.err, c.want, c.what)
	}
	for _, c := range []struct {
		rows []GradedRow
		want error
	}{
		{nil, ErrEmpty}, {[]GradedRow{{Forecast: wald("x", nan, 1)}}, ErrNotFinite}, {[]GradedRow{{Forecast: wald("x", 1, 1), Outcome: &other}}, ErrInconsistent},
		{[]GradedRow{{Forecast: outside}}, ErrInconsistent}, {[]GradedRow{{Forecast: other, Known: &nan}}, ErrNotFinite},
	} {
		_, err := Graded(GradedData{Rows: c.rows}, plain)
		require.ErrorIs(t, err, c.want)
	}
	line := func(name string) Series { return Series{Name: name, X: []float64{0}, Y: []float64{1}} }
	for _, c := range []struct {
		d    PanelData
		want error
	}{
		{PanelData{}, ErrEmpty}, {PanelData{Columns: -1}, ErrStyle},
		{PanelData{Panels: []Panel{{"a", []Series{line("x"), line("x")}}}}, ErrInconsistent},
		{PanelData{Panels: []Panel{{"a", []Series{line("1"), line("2"), line("3"), line("4")}}, {"b", []Series{line("5"), line("6"), line("7")}}}}, ErrInconsistent},
		{PanelData{Panels: []Panel{{"a", nil}}}, ErrEmpty},
	} {
		_, err := Panels(c.d, nil, plain)
		require.ErrorIs(t, err, c.want)
	}
}

// A ribbon is as wide as its share at both ends, and ribbons of a bar do not meet.
func TestRibbonsFillTheirBars(t *testing.T) {
	f, err := sampleFlow(lang.EN)
	require.NoError(t, err)
	var ribbons []shape
	var bar box
	for _, item := range f.scene.items {
		it, ok := item.(shape)
		switch {
		case ok && it.closed && len(it.points) == 50:
			ribbons = append(ribbons, it)
		case ok && it.closed && it.stroke == any(white) && bar == (box{}):
			bar = box{it.points[0].x, it.points[0].y, it.points[2].x, it.points[2].y}
		}
	}
	require.Len(t, ribbons, 12+11)
	full := (bar.y1 - bar.y0) / 0.6 // the first bar is the lowest step of the participants, .6
	want := []float64{0.3, 0.1, 0.1, 0.1}
	below := bar.y1
	for i, q := range want {
		ps := ribbons[i].points
		require.InDelta(t, q*full, ps[0].y-ps[49].y, 0.01, "width at the start")
		require.InDelta(t, q*full, ps[24].y-ps[25].y, 0.01, "width at the end")
		if i == 0 {
			below = ps[0].y
		}
		require.InDelta(t, below, ps[0].y, 0.01, "one on the other")
		below = ps[49].y
	}
	// At the other end ribbons to one step lie on each other too: those to the lowest step are .3, .06 and .02.
	at := bar.y1
	for _, r := range []int{0, 4, 8} {
		require.InDelta(t, at, ribbons[r].points[24].y, 0.01)
		at = ribbons[r].points[25].y
	}
}
