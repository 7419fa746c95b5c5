package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

// A large job is announced on stderr, a small one and a quiet one are not.
func TestLargeMatchingsAreAnnounced(t *testing.T) {
	for _, c := range []struct {
		rows  int
		quiet bool
		says  string
	}{{3_000_000, false, "3000000 units: this needs about 331 MiB"}, {3_000_000, true, ""}, {1000, false, ""}} {
		tab, err := table.New(table.NewBoolean(table.Field{Name: "treat"}, make([]bool, c.rows), nil))
		require.NoError(t, err)
		m := &fitMatch{}
		(&app{}).fitMethodCmd(fitEntry{name: "match", make: func() fitMethod { return m }})
		m.treatment, m.score = "treat", "p"
		var b bytes.Buffer
		(&app{err: &b, quiet: c.quiet}).announce(m, &fitData{t: tab})
		if c.says == "" {
			require.Empty(t, b.String())
			continue
		}
		require.Contains(t, b.String(), c.says)
	}
	var b bytes.Buffer
	(&app{err: &b}).announce(&fitDescribe{}, nil) // a method that does not say what it needs
	require.Empty(t, b.String())
}
