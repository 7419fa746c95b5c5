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
	zero := table.Note{Code: "x", Text: "0 rows.", Args: map[string]any{"rows": 0}}
	require.Equal(t, zero, Policy{}.Note(zero))
}
