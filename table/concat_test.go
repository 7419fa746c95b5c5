package table

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConcat(t *testing.T) {
	tab := sample(t)
	a, b, c := tab.Take([]int{0, 1}), tab.Take([]int{2}), tab.Take([]int{3})
	got, err := Concat(a, b, c)
	require.NoError(t, err)
	same(t, tab, got)
	one, err := Concat(tab)
	require.NoError(t, err)
	require.Equal(t, tab, one)
	none, err := Concat()
	require.NoError(t, err)
	require.Zero(t, none.Rows())
	_, err = Concat(tab, tab.Without("ill"))
	require.ErrorIs(t, err, ErrShape)
}

func TestConcatUnitesLevels(t *testing.T) {
	make_ := func(levels []string, codes ...int32) *Table {
		c, err := NewCategory(Field{Name: "c"}, codes, levels, nil)
		require.NoError(t, err)
		tab, err := New(c)
		require.NoError(t, err)
		return tab
	}
	// the same levels keep their order, which need not be the byte order
	got, err := Concat(make_([]string{"low", "high"}, 0, 1), make_([]string{"low", "high"}, 1))
	require.NoError(t, err)
	v, err := got.Category("c")
	require.NoError(t, err)
	require.Equal(t, []string{"low", "high"}, v.Levels)
	require.Equal(t, []int32{0, 1, 1}, v.Codes)
	got, err = Concat(make_([]string{"low", "high"}, 0, 1), make_([]string{"mid"}, 0))
	require.NoError(t, err)
	v, err = got.Category("c")
	require.NoError(t, err)
	require.Equal(t, []string{"high", "low", "mid"}, v.Levels)
	require.Equal(t, []int32{1, 0, 2}, v.Codes)
	got, err = got.WithLevels("c", []string{"low", "mid", "high"})
	require.NoError(t, err)
	v, err = got.Category("c")
	require.NoError(t, err)
	require.Equal(t, []int32{0, 2, 1}, v.Codes)
	_, err = got.WithLevels("c", []string{"low", "mid"})
	require.Error(t, err)
}
