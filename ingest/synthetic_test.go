package ingest_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/ingest"
	"utfall/ingest/synthetic"
)

// The dirty register of known defects: each one is found, and nothing else is rejected.
func TestSyntheticRegister(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "reg")
	ctx := context.Background()
	truth, err := synthetic.Write(ctx, dir, synthetic.Options{People: 20_000, Seed: 3, Dirty: true}, nil)
	require.NoError(t, err)
	all := 1.0
	low, high := 1920.0, 2010.0
	c := func(name, typ string) ingest.Column { return ingest.Column{Name: name, Type: typ} }
	people := ingest.Source{Path: "people.csv", MaxRejected: &all, Columns: []ingest.Column{
		{Name: "person", Type: "text", Role: "unit", Required: true}, {Name: "birth_year", Type: "integer", Min: &low, Max: &high}, c("sex", "category"), c("born", "category"),
		{Name: "education", Type: "category", Missing: []string{"uppgift saknas"}}, {Name: "municipality", Type: "category", Pad: 4}, c("county", "category"), c("anonymous", "boolean"),
		c("end_date", "date"), c("end_reason", "category")}}
	spells := ingest.Source{Path: "spells.csv", MaxRejected: &all, Columns: []ingest.Column{
		c("person", "text"), c("state", "category"), c("authority", "category"), c("from", "date"), c("to", "date"), c("extent", "number"), c("amount", "number")}}
	parts := ingest.Source{Path: "participations.csv", MaxRejected: &all, Columns: []ingest.Column{
		c("person", "text"), c("measure", "category"), c("forbund", "category"), c("start", "date"), c("end", "date"), c("reason", "category")}}
	read := func(s ingest.Source) *ingest.Result {
		r, err := ingest.Read(ctx, filepath.Join(dir, s.Path), s, ingest.Options{Workers: 2})
		require.NoError(t, err, s.Path)
		return r
	}
	ms := []*ingest.Member{{Name: "people", Kind: ingest.People, Source: &people, Result: read(people)},
		{Name: "spells", Kind: ingest.Spells, Source: &spells, Result: read(spells)},
		{Name: "participations", Kind: ingest.Participations, Source: &parts, Result: read(parts)}}
	require.NoError(t, ingest.CheckRegister(ingest.RegisterOptions{}, ms...))
	got := map[string]int{}
	for _, m := range ms {
		for _, r := range m.Result.Report.Reasons {
			got[m.Name+" "+r.Column+" "+r.Code] += r.Count
		}
		for _, c := range m.Result.Report.Columns {
			got[m.Name+" "+c.Name+" padded"] += c.Padded
		}
	}
	d := truth.Dirty
	require.Positive(t, d["duplicated-person"])
	require.EqualValues(t, d["duplicated-person"], got["people  duplicate-row"])
	require.EqualValues(t, d["age-109"], got["people birth_year out-of-range"])
	require.EqualValues(t, d["municipality-without-zero"], got["people municipality padded"])
	require.EqualValues(t, d["death-before-start"], got["people end_date death-before-start"])
	require.EqualValues(t, d["broken-date"], got["spells from not-a-date"])
	require.EqualValues(t, d["ragged-row"], got["spells  ragged"])
	require.EqualValues(t, d["decimal-point"], got["spells amount not-a-number"])
	require.EqualValues(t, d["overlapping-spells"], got["spells from overlap"])
	require.Zero(t, got["spells to end-before-start"])
	require.Zero(t, got["people  duplicate-key"])
}
