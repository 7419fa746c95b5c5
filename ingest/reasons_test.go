package ingest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/missing"
)

// The reasons of a schema are those of the library that bounds and imputes.
func TestMissingReasonsAreTheLibrarys(t *testing.T) {
	var names []string
	for _, r := range missing.Reasons() {
		if r != missing.Observed {
			names = append(names, r.String())
		}
	}
	require.ElementsMatch(t, names, missingReasons())
}

// Marks are missing and counted by reason, also where they are no number and outside the
// range; a true zero is the value 0.
func TestReadCountsWhyValuesAreMissing(t *testing.T) {
	least := 0.0
	path := dataFile(t, "v.csv", "id,days,place\na,5,x\nb,.e,x\nc,-9,.s\nd,.z,x\ne,-9,x\nf,,x\n")
	s := Source{Path: "v.csv", Columns: []Column{
		{Name: "id", Type: "text"},
		{Name: "days", Type: "integer", Min: &least, MissingAs: map[string]string{".e": "emigrated", "-9": "lag", ".z": "true-zero"}},
		{Name: "place", Type: "category", MissingAs: map[string]string{".s": "protected-identity"}},
	}}
	r, err := Read(context.Background(), path, s, Options{})
	require.NoError(t, err)
	days, err := r.Table.Integer("days")
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false, true, false, false}, days.Valid)
	require.Equal(t, int64(0), days.Values[3])
	require.Equal(t, map[string]int{"emigrated": 1, "lag": 2, "true-zero": 1}, r.Report.Columns[1].MissingAs)
	require.Equal(t, 4, r.Report.Columns[1].Missing)
	require.Equal(t, map[string]int{"protected-identity": 1}, r.Report.Columns[2].MissingAs)
	counts := map[any]any{}
	for _, n := range r.Report.Notes {
		if n.Code == "values-missing-as" {
			counts[n.Args["reason"]] = n.Args["count"]
		}
	}
	require.Equal(t, map[any]any{"emigrated": 1, "lag": 2, "protected-identity": 1}, counts)
}

func TestMissingAsIsChecked(t *testing.T) {
	for i, c := range []Column{
		{Name: "x", Type: "number", MissingAs: map[string]string{"-9": "gone"}},
		{Name: "x", Type: "number", MissingAs: map[string]string{"": "lag"}},
		{Name: "x", Type: "category", Levels: []string{"a"}, MissingAs: map[string]string{"a": "lag"}},
		{Name: "x", Type: "number", Missing: []string{"-9"}, MissingAs: map[string]string{"-9": "lag"}},
		{Name: "x", Type: "category", MissingAs: map[string]string{"z": "true-zero"}},
		{Name: "x", Type: "category", Of: map[string]string{"z": "a"}, MissingAs: map[string]string{"z": "lag"}},
	} {
		require.Len(t, c.check(), 1, "%d", i)
	}
	ok := Column{Name: "x", Type: "number", MissingAs: map[string]string{"-9": "true-zero"}}
	require.Empty(t, ok.check())
}
