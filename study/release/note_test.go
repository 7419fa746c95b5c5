package release

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

func TestNote(t *testing.T) {
	in := table.Note{Code: "rows-dropped", Text: "3 of 1203 rows in 2013 had no value, 3.", Args: map[string]any{"n": 3, "rows": 1203.0, "time": 2013}}
	out := Policy{}.Note(in)
	require.Equal(t, table.Note{Code: "rows-dropped", Text: ".. of 1205 rows in 2013 had no value, ...",
		Args: map[string]any{"n": "..", "rows": 1205, "time": 2013}}, out)
	require.Equal(t, 3, in.Args["n"], "the note that was given is unchanged")
	require.Equal(t, out, Policy{}.Note(out))
	plain := table.Note{Code: "x", Text: "In 3 places."}
	require.Equal(t, plain, Policy{}.Note(plain))
	columns := table.Note{Code: "constant-covariate", Text: "2 columns.", Args: map[string]any{"n": 2, "columns": []string{"a", "b"}}}
	require.Equal(t, columns, Policy{}.Note(columns), "a number of columns is no number of people")
	share := Policy{}.Note(table.Note{Code: "estimand-changed", Text: "1014 of 1017 units (99.7 %).", Args: map[string]any{"matched": 1014, "all": 1017, "share": 1014.0 / 1017}})
	require.Equal(t, "1015 of 1015 units (100 %).", share.Text)
	require.Equal(t, 1.0, share.Args["share"])
	zero := table.Note{Code: "x", Text: "0 rows.", Args: map[string]any{"rows": 0}}
	require.Equal(t, zero, Policy{}.Note(zero))
}

// 42/41 tells that one of 42 was lost.
func TestNoteLargestWeight(t *testing.T) {
	of := func(persons int) any {
		n := Policy{}.Note(table.Note{Code: "loss-reweighed", Args: map[string]any{"persons": persons, "largest": 42.0 / 41}})
		require.Equal(t, n, Policy{}.Note(n))
		return n.Args["largest"]
	}
	require.Equal(t, 1.0, of(12))
	require.Equal(t, "..", of(1))
}

// What the text masks the arguments do too.
func TestNoteBlocks(t *testing.T) {
	n := Policy{}.Note(table.Note{Code: "few-controls", Text: "In 2 exact groups 40 units ask for 2 partners each out of 60.",
		Args: map[string]any{"blocks": 2, "units": 40, "ratio": 2, "partners": 60}})
	require.Equal(t, "..", n.Args["blocks"])
}

// A note names columns, never a level: it may have been found in the data.
func TestNoteNamesNoLevel(t *testing.T) {
	n := table.Note{Code: "no-denominator", Text: "4 columns (place[Ann [x]], place[Bo], age, g[a]*h[b]) have none", Args: map[string]any{"columns": []string{"place[Ann [x]]", "place[Bo]", "age", "g[a]*h[b]"}, "n": 3}}
	got := Policy{}.Note(n)
	require.Equal(t, []string{"place", "age", "g"}, got.Args["columns"])
	require.Equal(t, got, Policy{}.Note(got))
	require.Equal(t, "4 columns (place, age, g) have none", got.Text)
	require.Len(t, n.Args["columns"], 4, "the caller's note is as it was")
}
