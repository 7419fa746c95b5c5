package study

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate/panel"
	"utfall/ingest/synthetic"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// simulatedPanel is the municipal part of a simulated register, with its true effects
// by event.
func simulatedPanel(t testing.TB, seed uint64, outcome string) (*panel.Frame, map[string]float64) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	truth, err := synthetic.Write(t.Context(), dir, synthetic.Options{People: 1, Years: 5, Seed: seed, Workers: 1}, nil)
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(dir, "municipalities.csv"))
	require.NoError(t, err)
	r := csv.NewReader(strings.NewReader(string(b)))
	r.Comma = ';'
	rows, err := r.ReadAll()
	require.NoError(t, err)
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	number := func(row []string, name string) float64 {
		v, err := strconv.ParseFloat(strings.Replace(row[at[name]], ",", ".", 1), 64)
		require.NoError(t, err)
		return v
	}
	f := &panel.Frame{Level: 0.95, XNames: []string{"unemployment_2003"}}
	var x []float64
	for _, row := range rows[1:] {
		f.Unit = append(f.Unit, row[at["municipality"]])
		f.Time = append(f.Time, int(number(row, "year")))
		f.Cohort = append(f.Cohort, int(number(row, "first_year")))
		f.Y = append(f.Y, number(row, outcome))
		x = append(x, number(row, "unemployment_2003"))
	}
	f.X = mat.NewDense(len(x), 1, x)
	effects := map[string]float64{panel.Overall: float64(truth.Municipal.Aggregates[outcome].Simple)}
	for _, e := range truth.Municipal.Aggregates[outcome].ByEvent {
		effects[fmt.Sprintf("event=%d", e.Key)] = float64(e.Effect)
	}
	return f, effects
}

// On the simulated municipalities few are left to compare with late events, and they are
// unlike those that entered first. 40 panels: the chosen intervals cover, or are
// refused, where the normal ones do not; early events lose nothing.
func TestLateEventsCover(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const panels = 40
	type tally struct{ normal, chosen, covered float64 }
	events := func(from, to int, f func(term string)) {
		for e := from; e <= to; e++ {
			f(fmt.Sprintf("event=%d", e))
		}
	}
	got := map[string]*tally{}
	answers := make([]map[string]tally, panels)
	num.ForEach(panels, 2, func(i int) {
		out := map[string]tally{}
		f, truth := simulatedPanel(t, uint64(i), "sickness_benefit_share")
		gt, err := panel.GroupTime{Method: panel.Regression, Workers: 1}.Fit(t.Context(), f)
		if err != nil {
			panic(err)
		}
		for _, kind := range []panel.Aggregation{panel.Simple, panel.Dynamic} {
			res, err := gt.Aggregate(kind, panel.AggregateOptions{Bands: panel.Pointwise})
			if err != nil {
				panic(err)
			}
			few, err := gt.Infer(t.Context(), kind, panel.FewOptions{})
			if err != nil {
				panic(err)
			}
			in := func(lo, hi, v float64) float64 {
				if lo <= v && v <= hi {
					return 1
				}
				return 0
			}
			for _, e := range res.Estimates {
				if v, ok := truth[e.Term]; ok && (kind == panel.Simple || e.Term != panel.Overall) {
					a := out[e.Term]
					a.normal = in(e.CI.Lo, e.CI.Hi, v)
					out[e.Term] = a
				}
			}
			for _, x := range few.Terms {
				e := x.Estimate
				v, ok := truth[e.Term]
				if ok && x.Chosen != "" && (kind == panel.Simple || e.Term != panel.Overall) {
					a := out[e.Term]
					a.chosen, a.covered = 1, in(e.CI.Lo, e.CI.Hi, v)
					out[e.Term] = a
				}
			}
		}
		answers[i] = out
	})
	for _, a := range answers {
		for term, x := range a {
			if got[term] == nil {
				got[term] = &tally{}
			}
			got[term].normal += x.normal
			got[term].chosen += x.chosen
			got[term].covered += x.covered
		}
	}
	mean := func(from, to int) (normal, covered, chosen float64) {
		n := 0.0
		events(from, to, func(term string) {
			x := got[term]
			normal, covered, chosen, n = normal+x.normal, covered+x.covered, chosen+x.chosen, n+panels
			t.Logf("%s: normal %.3f, chosen %.3f of %.0f", term, x.normal/panels, x.covered/x.chosen, x.chosen)
		})
		return normal / n, covered / chosen, chosen / n
	}
	normal, covered, chosen := mean(0, 8)
	t.Logf("events 0 to 8: normal %.3f, chosen %.3f, refused %.3f", normal, covered, 1-chosen)
	require.Greater(t, covered, 0.92)
	require.Greater(t, chosen, 0.99)
	normal, covered, chosen = mean(9, 17)
	t.Logf("events 9 to 17: normal %.3f, chosen %.3f, refused %.3f", normal, covered, 1-chosen)
	require.Less(t, normal, 0.91)
	require.Greater(t, covered, 0.92)
	require.Greater(t, chosen, 0.7)
	x := got[panel.Overall]
	t.Logf("overall: normal %.3f, chosen %.3f of %.0f", x.normal/panels, x.covered/x.chosen, x.chosen)
	require.Greater(t, x.covered/x.chosen, 0.88) // 40 panels: 0.95 less two Monte Carlo errors
}

// A band of 2.8 errors under the normal distribution leaves 0.0051 outside; on 8 degrees
// of freedom Student's t leaves as much outside ± 3.799.
func TestBandOfStudent(t *testing.T) {
	e := found{}.e
	e.Value, e.SE = 1, 0.5
	e.CI.Lo, e.CI.Hi, e.CI.Method = 1-1.4, 1+1.4, "uniform-band"
	few := panel.FewTerm{Chosen: panel.FewCR2}
	few.Estimate.SE, few.Estimate.Test.DF, few.Estimate.CI.Method = 0.6, 8, "cr2"
	replaceInterval(&e, &few, 0.95)
	reftest.Agree(t, "tail", num.StudentTail((e.CI.Hi-1)/0.6, 8), num.NormalTail(2.8), 10)
	require.Equal(t, "uniform-band", e.CI.Method)
	// A refused term has no interval, whatever the band was.
	few = panel.FewTerm{}
	few.Estimate.SE, few.Estimate.CI.Lo, few.Estimate.CI.Method = math.NaN(), math.NaN(), "none"
	replaceInterval(&e, &few, 0.95)
	require.True(t, refusedInterval(e))
}
