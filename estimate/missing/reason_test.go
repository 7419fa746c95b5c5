package missing

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Five rows: one lacks a (emigrated) and b (lag), one b (dead), one has a true zero in a.
func TestCompleteCasesByHand(t *testing.T) {
	keep, m, notes, err := CompleteCases(5, []Typed{
		{"a", []Reason{Observed, Emigrated, TrueZero, Observed, Observed}},
		{"b", []Reason{Observed, Lag, Observed, Dead, Lag}},
		{Name: "c"},
	})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, true, false, false}, keep)
	require.Equal(t, 2, m.Complete)
	require.Equal(t, 1, m.Variables[0].Missing)
	require.Equal(t, 1, m.Variables[0].Count[TrueZero])
	require.Equal(t, 3, m.Variables[1].Missing)
	require.Equal(t, 2, m.Variables[1].Count[Lag])
	require.Equal(t, 1, m.Variables[1].Count[Dead])
	require.Equal(t, 5, m.Variables[2].Count[Observed])
	require.Equal(t, []Pattern{{[]string{"b"}, 2}, {[]string{"a", "b"}, 1}}, m.Patterns)
	require.Equal(t, "complete-case", notes[0].Code)
	require.Equal(t, map[string]any{"rows": 3, "all": 5}, notes[0].Args)
	_, _, notes, err = CompleteCases(5, nil)
	require.NoError(t, err)
	require.Empty(t, notes)
	_, _, _, err = CompleteCases(5, []Typed{{"a", []Reason{Observed}}})
	require.ErrorIs(t, err, ErrOption)
	_, _, _, err = CompleteCases(1, []Typed{{"a", []Reason{reasons}}})
	require.ErrorIs(t, err, ErrOption)
}

func TestReasonsHaveNames(t *testing.T) {
	for _, r := range Reasons() {
		back, err := ParseReason(r.String())
		require.NoError(t, err)
		require.Equal(t, r, back)
		require.Equal(t, r == Observed || r == TrueZero, r.HasValue())
	}
	_, err := ParseReason("gone")
	require.ErrorIs(t, err, ErrOption)
}

func TestIndicatorByHand(t *testing.T) {
	out, notes, err := Indicator([]Variable{
		{Name: "age", Kind: Number, Values: []float64{2, 0, 4}, Missing: []bool{false, true, false}},
		{Name: "sex", Kind: Nominal, Levels: []string{"f", "m"}, Values: []float64{0, 1, 0}, Missing: []bool{false, false, true}},
		{Name: "ill", Kind: Binary, Values: []float64{0, 1, 1}},
		{Name: "old", Kind: Binary, Values: []float64{0, 1, 1}, Missing: []bool{true, false, false}},
	})
	require.NoError(t, err)
	require.Len(t, out, 6)
	require.Equal(t, []float64{2, 3, 4}, out[0].Values)
	require.Equal(t, "age[missing]", out[1].Name)
	require.Equal(t, []float64{0, 1, 0}, out[1].Values)
	require.Equal(t, []float64{0, 1, 2}, out[2].Values)
	require.Equal(t, []string{"f", "m", "missing"}, out[2].Levels)
	require.Equal(t, []float64{1, 1, 1}, out[4].Values)
	require.Equal(t, "indicator-biased", notes[0].Code)
	require.Equal(t, map[string]any{"columns": 3}, notes[0].Args)
	_, _, err = Indicator([]Variable{{Name: "age", Kind: Number, Values: []float64{2}, Missing: []bool{true}}})
	require.ErrorIs(t, err, ErrConstant)
	_, _, err = Indicator([]Variable{{Name: "age", Kind: "x", Values: []float64{2}}})
	require.ErrorIs(t, err, ErrOption)
	_, notes, err = Indicator([]Variable{{Name: "ill", Kind: Binary, Values: []float64{0, 1, 1}}})
	require.NoError(t, err)
	require.Empty(t, notes)
}
