package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
)

// What is said of several rows of a table is said once, under it; what is said of one stands in it.
func TestNotesOfSeveralRowsAreFootnotes(t *testing.T) {
	both, one := noteView{Text: "both"}, noteView{Text: "one"}
	other := noteView{Text: "other"}
	table := numberTable{Rows: []numberRow{{Notes: []noteView{both, one}}, {}, {Notes: []noteView{other, both}}, {Notes: []noteView{both, other}}}}
	table.gather()
	require.Equal(t, []footnote{{"a", both}, {"b", other}}, table.Foot)
	require.Equal(t, numberRow{Marks: []string{"a"}, Notes: []noteView{one}}, table.Rows[0])
	require.Empty(t, table.Rows[1].Marks)
	require.Equal(t, numberRow{Marks: []string{"a", "b"}}, table.Rows[2])
	require.Equal(t, numberRow{Marks: []string{"a", "b"}}, table.Rows[3])
}

// A p-value is never written as zero.
func TestPValueAsANumber(t *testing.T) {
	e := estimate.Estimate{Measure: "adjusted-p", Value: 1e-9, SE: math.NaN()}
	e.CI.Lo, e.CI.Hi = math.NaN(), math.NaN()
	g := newGauge(lang.SV, PValue, e)
	require.Equal(t, "<0,001", g.with(e.Value))
	require.Equal(t, "0,016", g.plain(0.0160))
}

// Where data are published statistics of places, the report does not promise that every number is about many.
func TestPublishedDataAreAnException(t *testing.T) {
	in := Input{Lang: lang.SV, Title: "T", Question: "F?", Protocol: release.Policy{}.Protocol()}
	require.NotContains(t, written(t, in), "Undantag")
	in.Published = []string{"Kommunernas nyckeltal"}
	require.Contains(t, written(t, in), "Undantag: Kommunernas nyckeltal är redan publicerad statistik")
}
