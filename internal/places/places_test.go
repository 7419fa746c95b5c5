package places

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// 290 codes, each with a square of its own, within the grid.
func TestEveryMunicipalityHasOneTile(t *testing.T) {
	require.Len(t, Codes(), 290)
	seen, at := map[string]bool{}, map[[2]int]string{}
	for _, x := range Tiles() {
		require.False(t, seen[x.Code], x.Code)
		require.Empty(t, at[[2]int{x.Col, x.Row}])
		seen[x.Code], at[[2]int{x.Col, x.Row}] = true, x.Code
		require.True(t, x.Col >= 0 && x.Col < Columns && x.Row >= 0 && x.Row < Rows)
	}
	for _, c := range Codes() {
		require.True(t, seen[c], "no tile for %s", c)
		require.NotEmpty(t, Letter(c))
	}
	require.Equal(t, "AB", Letter("0180"))
	require.Empty(t, Letter("9"))
}

// The tiles of a county hang together, edge to edge.
func TestCountiesHangTogether(t *testing.T) {
	at := map[[2]int]string{}
	size := map[string]int{}
	for _, x := range Tiles() {
		at[[2]int{x.Col, x.Row}] = Letter(x.Code)
		size[Letter(x.Code)]++
	}
	require.Len(t, size, 21)
	done := map[string]bool{}
	for place, letter := range at {
		if done[letter] {
			continue
		}
		done[letter] = true
		seen := map[[2]int]bool{}
		var walk func(p [2]int)
		walk = func(p [2]int) {
			if at[p] != letter || seen[p] {
				return
			}
			seen[p] = true
			for _, d := range [][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
				walk([2]int{p[0] + d[0], p[1] + d[1]})
			}
		}
		walk(place)
		require.Len(t, seen, size[letter], letter)
	}
}
