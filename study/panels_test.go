package study

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
	"utfall/internal/num"
)

const panelStudy = `utfall: 1
name: places
seed: 3
data:
  towns: {kind: municipalities, path: towns.csv, columns: [{name: municipality, type: category, pad: 4, required: true}, {name: year, type: integer, required: true}, {name: people, type: integer}, {name: y, type: number}]
    , panel: {changes: codes, sum: [people], mean: {y: people}, members: members, priority: [first, second], on: "07-01"}}
  codes: {kind: changes, path: codes.csv, columns: [{name: from_code, type: category, pad: 4}, {name: to_code, type: category, pad: 4}, {name: year, type: integer}, {name: share, type: number}]}
  members: {kind: memberships, path: members.csv, columns: [{name: municipality, type: category, pad: 4}, {name: association, type: category}, {name: from, type: date}, {name: to, type: date}, {name: source, type: category}]}
analyses:
  - {name: y, did: {data: towns, unit: municipality, time: year, cohort: first_member, outcome: y, aggregate: [simple]}}
`

// panelFiles: sixty towns over eight years. Town k joins in 2003, 2005 or never; entry
// moves y by 2. Towns 1 and 2 were one until 2004, under the code 900; the second source
// says that town 3 joined a year later.
func panelFiles(t testing.TB, dir string) {
	var towns, members strings.Builder
	towns.WriteString("municipality;year;people;y\n")
	members.WriteString("municipality;association;from;to;source\n")
	joins := func(k int) int { return []int{0, 2003, 2005}[k%3] }
	for k := 1; k <= 60; k++ {
		s := num.NewStream(1, "panel-town", uint64(k))
		level := s.Normal()
		for year := 2000; year < 2008; year++ {
			y := level + 0.3*float64(year-2000) + 0.05*s.Normal()
			if j := joins(k); j > 0 && year >= j {
				y += 2
			}
			if (k == 3 || k == 6) && year < 2004 {
				continue
			}
			fmt.Fprintf(&towns, "%d;%d;%d;%s\n", k, year, 1000*k, strings.Replace(fmt.Sprint(y), ".", ",", 1))
		}
		if j := joins(k); j > 0 {
			fmt.Fprintf(&members, "%d;a%d;%d-01-01;;first\n", k, k%4, j)
			if k == 4 {
				fmt.Fprintf(&members, "%d;a%d;%d-01-01;;second\n", k, k%4, j+1)
			}
		}
	}
	for year := 2000; year < 2004; year++ {
		fmt.Fprintf(&towns, "900;%d;9000;%s\n", year, strings.Replace(fmt.Sprint(0.3*float64(year-2000)), ".", ",", 1))
	}
	for name, text := range map[string]string{"towns.csv": towns.String(), "members.csv": members.String(), "codes.csv": "from_code;to_code;year;share\n900;3;2004;0,4\n900;6;2004;0,6\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

func panelRun(t testing.TB, dir, text string) (*Outcome, error) {
	spec, err := Parse("study.yaml", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	return Run(context.Background(), spec, Options{DataDir: dir, OutDir: filepath.Join(t.TempDir(), "b"), Until: StageEstimate})
}

// Codes and memberships out of three files become the panel that did reads, and the
// effect that was put in is found; the panel says what was done to it.
func TestPanelOfPlaces(t *testing.T) {
	dir := t.TempDir()
	panelFiles(t, dir)
	out, err := panelRun(t, dir, panelStudy)
	require.NoError(t, err)
	require.Len(t, out.Records, 1)
	require.InDelta(t, 2, *out.Records[0].Estimate, 0.1)

	spec, err := Parse("study.yaml", strings.NewReader(panelStudy))
	require.NoError(t, err)
	s, err := newState(context.Background(), spec, Options{DataDir: dir})
	require.NoError(t, err)
	require.NoError(t, s.ingest())
	codes := map[string]map[string]any{}
	for _, n := range s.data["towns"].result.Report.Notes {
		codes[n.Code] = n.Args
		require.NotEqual(t, n.Text, lang.SV.Note(n.Code, n.Text, n.Args), "a Swedish text for %s", n.Code)
	}
	require.Equal(t, map[string]any{"recoded": 4, "merged": 0, "split": 1}, codes["codes-recoded"])
	require.Equal(t, map[string]any{"cells": 1, "places": 1}, codes["membership-differs"])
	require.Equal(t, map[string]any{"ever": 40, "places": 60, "left": 0, "moved": 0}, codes["membership"])
	require.Equal(t, map[string]any{"places": 60, "periods": 8}, codes["panel-balanced"])
}

// Every key of a panel changes something or is an error.
func TestPanelKeys(t *testing.T) {
	dir := t.TempDir()
	panelFiles(t, dir)
	base, err := panelRun(t, dir, panelStudy)
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new, says string }{
		"priority":         {"priority: [first, second]", "priority: [second]", ""},
		"on":               {`on: "07-01"`, `on: "13-01"`, "month and a day"},
		"sum":              {"sum: [people], ", "", "name it under sum"},
		"mean":             {"mean: {y: people}, ", "", "name it under sum"},
		"changes":          {"changes: codes, sum: [people], mean: {y: people}, ", "", ""},
		"changes of what":  {"changes: codes", "changes: members", "kind"},
		"members of what":  {"members: members", "members: codes", "kind"},
		"sum of nothing":   {"sum: [people]", "sum: [nobody]", "no column"},
		"sum twice":        {"sum: [people]", "sum: [people, people]", "twice"},
		"both":             {"sum: [people]", "sum: [people, y]", "under sum and under mean"},
		"kind":             {"kind: municipalities", "kind: flat", "panel is used only"},
		"nothing":          {"changes: codes, sum: [people], mean: {y: people}, members: members, priority: [first, second], on: \"07-01\"", "", "give changes"},
		"without members":  {"members: members, ", "", "only with members"},
		"a column of ours": {"{name: people, type: integer}", "{name: people, type: integer}, {name: left, type: integer}", "made by panel"},
	} {
		require.Contains(t, panelStudy, c.old, name)
		got, err := panelRun(t, dir, strings.Replace(panelStudy, c.old, c.new, 1))
		if c.says != "" {
			require.ErrorContains(t, err, c.says, name)
			continue
		}
		require.NoError(t, err, name)
		require.NotEqual(t, base.Records[0].Estimate, got.Records[0].Estimate, name)
	}
	// A broken row is named by its line.
	text := "from_code;to_code;year;share\n900;3;2004;0,4\n900;6;2004;0,5\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "codes.csv"), []byte(text), 0o600))
	_, err = panelRun(t, dir, panelStudy)
	require.ErrorContains(t, err, "sum to 0.9")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "members.csv"), []byte("municipality;association;from;to;source\n1;a;2003-01-01;2002-01-01;first\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "codes.csv"), []byte("from_code;to_code;year;share\n900;3;2004;0,4\n900;6;2004;0,6\n"), 0o600))
	_, err = panelRun(t, dir, panelStudy)
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "members.csv:2")
}
