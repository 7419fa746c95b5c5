package plots

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/internal/lang"
)

var plain = Style{Lang: lang.SV}

func wald(term string, v, se float64) estimate.Estimate {
	return estimate.Wald(term, estimate.MeanDifference, v, se, math.Inf(1), 0.95)
}

// The CSV holds what was drawn, in the order in which it was drawn, digit for digit.
func TestCSV(t *testing.T) {
	third := 1.0 / 3
	f, err := Love(cohort.Balance{Denominator: "sd-treated", Rows: []cohort.BalanceRow{
		{Variable: "b", Before: cohort.BalanceStat{SMD: -0.1}, After: cohort.BalanceStat{SMD: 0.05}},
		{Variable: "a", Before: cohort.BalanceStat{SMD: third}, After: cohort.BalanceStat{SMD: -1e-17}},
	}}, Labels{"a": "=Ålder", "b": "Kön, \"juridiskt\""}, plain)
	require.NoError(t, err)
	require.Equal(t, "variable,label,abs_smd_before,abs_smd_after,smd_before,smd_after,denominator\n"+
		"a,'=Ålder,0.3333333333333333,1e-17,0.3333333333333333,-1e-17,sd-treated\n"+
		"b,\"Kön, \"\"juridiskt\"\"\",0.1,0.05,-0.1,0.05,sd-treated\n", string(f.csv))

	e0 := wald("event=0", -0.25, 0.125)
	e0.CI.Lo, e0.CI.Hi = -0.5, 0.0625
	f, err = EventStudy(EventStudyData{Estimates: []estimate.Estimate{e0, wald("event=-1", 0, math.NaN())}, Known: map[int]float64{0: -0.3}}, plain)
	require.NoError(t, err)
	require.Equal(t, "term,event,estimate,std_error,conf_low,conf_high,conf_level,conf_method,reference,known\n"+
		"event=-1,-1,0,,,,0.95,normal,true,\n"+
		"event=0,0,-0.25,0.125,-0.5,0.0625,0.95,normal,false,-0.3\n", string(f.csv))

	f, err = States(StateData{Times: []float64{0, 0.5}, States: []State{{Name: "x"}, {Name: "y"}},
		Groups: []StateGroup{{Name: "g", P: [][]float64{{1, 0}, {0.7, 0.3}}}}}, Labels{"x": "arbete"}, plain)
	require.NoError(t, err)
	require.Equal(t, "group,group_label,time,state,state_label,probability\ng,g,0,x,arbete,1\ng,g,0,y,y,0\ng,g,0.5,x,arbete,0.7\ng,g,0.5,y,y,0.3\n", string(f.csv))

	f, err = Forest(ForestData{Groups: []ForestGroup{{Heading: "@h", Rows: []ForestRow{{Estimate: e0, Overall: true}}}}}, Labels{"event=0": "år 0"}, plain)
	require.NoError(t, err)
	require.Equal(t, "heading,label,term,measure,estimate,std_error,conf_low,conf_high,conf_level,conf_method,overall,known\n"+
		"'@h,år 0,event=0,mean-difference,-0.25,0.125,-0.5,0.0625,0.95,normal,true,\n", string(f.csv))

	f, err = Attrition([]cohort.Step{{Name: "age", Rule: "a > 1", UnitsIn: 10, UnitsOut: 7, TreatedIn: 4, TreatedOut: 3, Missing: 2}}, nil, plain)
	require.NoError(t, err)
	require.Equal(t, "step,label,rule,units_in,units_out,units_left_out,treated_in,treated_out,treated_left_out,missing\nage,age,a > 1,10,7,3,4,3,1,2\n", string(f.csv))

	f, err = Trend(TrendData{Level: 0.9, Series: []Series{
		{Name: "s", X: []float64{1, 2}, Y: []float64{0.1, -0.2}, Lo: []float64{0, -0.3}, Hi: []float64{0.2, -0.1}},
		{Name: "u", X: []float64{1}, Y: []float64{5}},
	}}, nil, plain)
	require.NoError(t, err)
	require.Equal(t, "series,label,x,y,conf_low,conf_high,conf_level\ns,s,1,0.1,0,0.2,0.9\ns,s,2,-0.2,-0.3,-0.1,0.9\nu,u,1,5,,,\n", string(f.csv))
}

func TestHarmless(t *testing.T) {
	for _, s := range []string{"=cmd|'/c calc'!A1", " =1+1", "a\n=1", "a\r\n +1", "a\r=1", "+1", "-1", "@x", "\tx", "\rx", "\u00a0=1", "\u202f@"} {
		require.Equal(t, "'"+s, harmless(s))
	}
	for _, s := range []string{"", "a=1", "Ålder", "−1", "18–29", "a\nb", "'=x"} {
		require.Equal(t, s, harmless(s))
	}
}

// The forest's column says the estimate and its interval, in the reader's language.
func TestForestNumbers(t *testing.T) {
	e := wald("x", -0.061, 0.01)
	e.CI.Lo, e.CI.Hi = -0.0812, -0.0408
	texts := func(d ForestData, l lang.Lang) string {
		d.Groups = []ForestGroup{{Rows: []ForestRow{{Estimate: e}}}}
		f, err := Forest(d, nil, Style{Lang: l})
		require.NoError(t, err)
		return string(paintSVG(f.scene, "", l))
	}
	require.Contains(t, texts(ForestData{Decimals: 1, PercentagePoints: true}, lang.SV), "−6,1 (−8,1\u00a0till\u00a0−4,1)")
	require.Contains(t, texts(ForestData{Decimals: 3}, lang.EN), "−0.061 (−0.081\u00a0to\u00a0−0.041)")
	// Half width 0.0202: two significant digits are three decimals.
	require.Contains(t, texts(ForestData{Decimals: -1}, lang.EN), "−0.061 (")
	require.Contains(t, texts(ForestData{Decimals: -1, PercentagePoints: true}, lang.EN), "−6.1 (")
}

// A number whose data did not vary has no interval: it is drawn as a point, its cells of the
// CSV are empty, and nobody is told that it is clear of zero.
func TestPointWithoutInterval(t *testing.T) {
	e := wald("event=0", 0.5, 0)
	e.CI.Lo, e.CI.Hi = math.NaN(), math.NaN()
	f, err := Forest(ForestData{Groups: []ForestGroup{{Rows: []ForestRow{{Estimate: e}}}}}, nil, plain)
	require.NoError(t, err)
	require.Contains(t, string(f.csv), "event=0,mean-difference,0.5,0,,,")
	f, err = EventStudy(EventStudyData{Estimates: []estimate.Estimate{e, wald("event=1", 0.5, 0.1)}}, plain)
	require.NoError(t, err)
	require.Contains(t, string(f.csv), "event=0,0,0.5,0,,,0.95")
	e.SE = 0.1
	_, err = EventStudy(EventStudyData{Estimates: []estimate.Estimate{e}}, plain)
	require.ErrorIs(t, err, ErrNotFinite, "with an error the interval has to be there")
}

func TestForestArrowsOnlyWhereAnIntervalGoesOn(t *testing.T) {
	rows := func(last float64) []forestRow {
		var out []forestRow
		for _, se := range []float64{0.1, 0.1, 0.1, last} {
			out = append(out, forestRow{est: wald("x", 0.5, se)})
		}
		return out
	}
	_, _, clipped := forestRange(rows(0.4))
	require.False(t, clipped)
	lo, hi, clipped := forestRange(rows(5))
	require.True(t, clipped)
	require.True(t, lo > -1 && hi < 2, "the axis follows the others")
}

func TestSentinels(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	outside := wald("event=0", 1, 0.1)
	outside.CI.Hi = 0.5
	uniform := wald("event=1", 1, 0.1)
	uniform.CI.Method = "uniform-band"
	other := wald("event=1", 1, 0.1)
	other.CI.Level = 0.9
	step := cohort.Step{Name: "s", UnitsIn: 10, UnitsOut: 8, TreatedIn: 4, TreatedOut: 3}
	wrong := step
	wrong.UnitsOut = 11
	balance := func(before, after float64) cohort.Balance {
		return cohort.Balance{Rows: []cohort.BalanceRow{{Variable: "v", Before: cohort.BalanceStat{SMD: before}, After: cohort.BalanceStat{SMD: after}}}}
	}
	forest := func(es ...estimate.Estimate) ForestData {
		var g ForestGroup
		for _, e := range es {
			g.Rows = append(g.Rows, ForestRow{Estimate: e})
		}
		return ForestData{Groups: []ForestGroup{g}}
	}
	states := func(times []float64, p ...[]float64) StateData {
		return StateData{Times: times, States: []State{{Name: "a"}, {Name: "b"}}, Groups: []StateGroup{{Name: "g", P: p}}}
	}
	trend := func(x, y, lo, hi []float64) TrendData {
		return TrendData{Level: 0.95, Series: []Series{{Name: "s", X: x, Y: y, Lo: lo, Hi: hi}}}
	}
	bad := states([]float64{0, 1}, []float64{0.5, 0.5}, []float64{0.5, 0.5})
	bad.States[0].Color = "#12345g"
	two := []float64{0, 1}
	for _, c := range []struct {
		figure string
		what   string
		want   error
		do     func() (Figure, error)
	}{
		{"Love plot", "empty", ErrEmpty, func() (Figure, error) { return Love(cohort.Balance{}, nil, plain) }},
		{"Love plot", "nan", ErrNotFinite, func() (Figure, error) { return Love(balance(nan, 0), nil, plain) }},
		{"Love plot", "inf", ErrNotFinite, func() (Figure, error) { return Love(balance(0, inf), nil, plain) }},
		{"event study", "empty", ErrEmpty, func() (Figure, error) { return EventStudy(EventStudyData{}, plain) }},
		{"event study", "nan", ErrNotFinite, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", nan, 1)}}, plain)
		}},
		{"event study", "inf", ErrNotFinite, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, inf)}}, plain)
		}},
		{"event study", "term", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("overall", 0, 1)}}, plain)
		}},
		{"event study", "twice", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, 1), wald("event=0", 0, 1)}}, plain)
		}},
		{"event study", "outside", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{outside}}, plain)
		}},
		{"event study", "two methods", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, 1), uniform}}, plain)
		}},
		{"event study", "known elsewhere", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, 1)}, Known: map[int]float64{1: 0}}, plain)
		}},
		{"event study", "known nan", ErrNotFinite, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, 1)}, Known: map[int]float64{0: nan}}, plain)
		}},
		{"event study", "two levels", ErrInconsistent, func() (Figure, error) {
			return EventStudy(EventStudyData{Estimates: []estimate.Estimate{wald("event=0", 0, 1), other}}, plain)
		}},
		{"forest plot", "empty", ErrEmpty, func() (Figure, error) { return Forest(ForestData{Groups: []ForestGroup{{Heading: "h"}}}, nil, plain) }},
		{"forest plot", "nan", ErrNotFinite, func() (Figure, error) { return Forest(forest(wald("x", nan, 1)), nil, plain) }},
		{"forest plot", "inf", ErrNotFinite, func() (Figure, error) { return Forest(forest(wald("x", 0, inf)), nil, plain) }},
		{"forest plot", "outside", ErrInconsistent, func() (Figure, error) { return Forest(forest(outside), nil, plain) }},
		{"forest plot", "two levels", ErrInconsistent, func() (Figure, error) { return Forest(forest(wald("event=0", 0, 1), other), nil, plain) }},
		{"forest plot", "known nan", ErrNotFinite, func() (Figure, error) {
			d := forest(wald("x", 0, 1))
			d.Groups[0].Rows[0].Known = &nan
			return Forest(d, nil, plain)
		}},
		{"forest plot", "decimals", ErrStyle, func() (Figure, error) {
			d := forest(wald("x", 0, 1))
			d.Decimals = 7
			return Forest(d, nil, plain)
		}},
		{"attrition flow", "empty", ErrEmpty, func() (Figure, error) { return Attrition(nil, nil, plain) }},
		{"attrition flow", "grows", ErrInconsistent, func() (Figure, error) { return Attrition([]cohort.Step{wrong}, nil, plain) }},
		{"attrition flow", "starts elsewhere", ErrInconsistent, func() (Figure, error) {
			return Attrition([]cohort.Step{step, {Name: "t", UnitsIn: 7, UnitsOut: 7, TreatedIn: 3, TreatedOut: 3}}, nil, plain)
		}},
		{"attrition flow", "treated start elsewhere", ErrInconsistent, func() (Figure, error) {
			return Attrition([]cohort.Step{step, {Name: "t", UnitsIn: 8, UnitsOut: 8, TreatedIn: 2, TreatedOut: 2}}, nil, plain)
		}},
		{"attrition flow", "more treated than people gone", ErrInconsistent, func() (Figure, error) {
			return Attrition([]cohort.Step{{Name: "t", UnitsIn: 8, UnitsOut: 7, TreatedIn: 6, TreatedOut: 4}}, nil, plain)
		}},
		{"attrition flow", "gap", ErrInconsistent, func() (Figure, error) { return Attrition([]cohort.Step{step, step}, nil, plain) }},
		{"state occupation", "empty", ErrEmpty, func() (Figure, error) { return States(StateData{}, nil, plain) }},
		{"state occupation", "nan", ErrNotFinite, func() (Figure, error) {
			return States(states(two, []float64{1, 0}, []float64{nan, 0}), nil, plain)
		}},
		{"state occupation", "sum", ErrInconsistent, func() (Figure, error) {
			return States(states(two, []float64{1, 0}, []float64{0.5, 0.4}), nil, plain)
		}},
		{"state occupation", "negative", ErrInconsistent, func() (Figure, error) {
			return States(states(two, []float64{1, 0}, []float64{1.5, -0.5}), nil, plain)
		}},
		{"state occupation", "rows", ErrInconsistent, func() (Figure, error) { return States(states(two, []float64{1, 0}), nil, plain) }},
		{"state occupation", "times", ErrInconsistent, func() (Figure, error) {
			return States(states([]float64{1, 1}, []float64{1, 0}, []float64{1, 0}), nil, plain)
		}},
		{"state occupation", "colour", ErrStyle, func() (Figure, error) { return States(bad, nil, plain) }},
		{"trend", "empty", ErrEmpty, func() (Figure, error) { return Trend(TrendData{}, nil, plain) }},
		{"trend", "nan", ErrNotFinite, func() (Figure, error) { return Trend(trend(two, []float64{0, nan}, nil, nil), nil, plain) }},
		{"trend", "huge", ErrNotFinite, func() (Figure, error) { return Trend(trend(two, []float64{0, 1e300}, nil, nil), nil, plain) }},
		{"trend", "lengths", ErrInconsistent, func() (Figure, error) { return Trend(trend(two, []float64{0}, nil, nil), nil, plain) }},
		{"trend", "half a band", ErrInconsistent, func() (Figure, error) { return Trend(trend(two, two, two, nil), nil, plain) }},
		{"trend", "order", ErrInconsistent, func() (Figure, error) { return Trend(trend([]float64{1, 0}, two, nil, nil), nil, plain) }},
		{"trend", "outside", ErrInconsistent, func() (Figure, error) { return Trend(trend(two, two, []float64{0, 2}, []float64{0, 3}), nil, plain) }},
	} {
		_, err := c.do()
		require.ErrorIs(t, err, c.want, "%s: %s", c.figure, c.what)
		require.True(t, strings.HasPrefix(err.Error(), c.figure+": "), err.Error())
	}
}
