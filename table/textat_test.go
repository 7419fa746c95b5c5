package table

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextAtReadsWhatTextReads(t *testing.T) {
	tab, err := New(
		NewText(Field{Name: "whole"}, []string{"a", "", "ö"}, nil),
		NewText(Field{Name: "gaps"}, []string{"a", "gone", "c"}, []bool{true, false, true}),
		NewInteger(Field{Name: "number"}, []int64{7, 8, -9}, nil),
		CategoryOf(Field{Name: "category"}, []string{"y", "x", "y"}),
		NewFloat(Field{Name: "float"}, []float64{1, 2, 3}, nil),
	)
	require.NoError(t, err)
	for _, name := range []string{"whole", "gaps", "number", "category"} {
		want, _, err := tab.Text(name)
		require.NoError(t, err)
		at, missing, err := tab.TextAt(name)
		require.NoError(t, err)
		for i, w := range want {
			require.Equal(t, w, at(i), name)
		}
		require.Equal(t, name == "gaps", missing == 1)
	}
	_, _, err = tab.TextAt("float")
	require.ErrorIs(t, err, ErrKind)
	_, _, err = tab.TextAt("absent")
	require.ErrorIs(t, err, ErrNoColumn)
}
