package study

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/num"
)

// fewPanel has units entering in 4 and others never; the outcome is noise.
func fewPanel(treated, never int) *panel.Frame {
	f := &panel.Frame{Level: 0.95}
	for u := range treated + never {
		s := num.NewStream(9, "few-panel", uint64(u))
		g := 0
		if u < treated {
			g = 4
		}
		for t := 1; t <= 6; t++ {
			f.Unit, f.Time, f.Cohort, f.Y = append(f.Unit, fmt.Sprintf("u%03d", u)), append(f.Time, t), append(f.Cohort, g), append(f.Y, s.Normal())
		}
	}
	return f
}

// inferred runs the inference of a study on the aggregation by event.
func inferred(t *testing.T, f *panel.Frame, d DID) (before, after *estimate.Result, how chosenInference) {
	t.Helper()
	gt, err := panel.GroupTime{Method: panel.Regression}.Fit(t.Context(), f)
	require.NoError(t, err)
	get := func() *estimate.Result {
		res, err := gt.Aggregate(panel.Dynamic, panel.AggregateOptions{Bands: panel.Pointwise})
		require.NoError(t, err)
		return res
	}
	before, after = get(), get()
	s := &state{ctx: t.Context(), spec: &Spec{Level: 0.95, Seed: 4}}
	how, err = s.infer(&Analysis{Name: "a"}, &d, gt, "dynamic", after)
	require.NoError(t, err)
	require.Len(t, how.notes, len(after.Estimates))
	return before, after, how
}

// Estimates stay; errors and intervals are those of the method that the design allows,
// which the analysis says once; standard changes nothing; where nothing holds there is no
// interval.
func TestDidInference(t *testing.T) {
	before, after, how := inferred(t, fewPanel(2, 60), DID{Inference: "auto"})
	require.Equal(t, "inference-randomisation", how.main[0].Code)
	for i, e := range after.Estimates {
		require.Equal(t, before.Estimates[i].Value, e.Value)
		require.Equal(t, before.Estimates[i].Term, e.Term)
		require.Empty(t, how.notes[i])
		if e.HasSE() {
			require.Equal(t, "randomisation", e.CI.Method)
			require.NotEqual(t, before.Estimates[i].CI, e.CI)
		} else {
			require.False(t, refusedInterval(e), "the base period is a zero, not a refusal")
		}
	}
	before, after, how = inferred(t, fewPanel(2, 60), DID{Inference: "standard"})
	require.Equal(t, fmt.Sprint(before.Estimates), fmt.Sprint(after.Estimates))
	require.Nil(t, how.main)
	_, after, how = inferred(t, fewPanel(20, 60), DID{Inference: "auto"})
	require.Equal(t, "inference-cr2", how.main[0].Code)
	require.Equal(t, "cr2", after.Estimates[0].CI.Method)
	_, after, how = inferred(t, fewPanel(20, 60), DID{Inference: "placebo"})
	require.Equal(t, "inference-named", how.main[0].Code)
	require.Equal(t, "placebo", after.Estimates[0].CI.Method)
	_, after, how = inferred(t, fewPanel(1, 8), DID{Inference: "auto"})
	require.Nil(t, how.main)
	for i, e := range after.Estimates {
		if e.Value != 0 {
			require.True(t, refusedInterval(e), e.Term)
			require.Equal(t, "inference-refused", how.notes[i][0].Code)
		}
	}
}

// A number that says how its interval came about does not repeat what the analysis says.
func TestRecordNotes(t *testing.T) {
	_, _, one := inferred(t, fewPanel(2, 60), DID{Inference: "auto"})
	_, _, other := inferred(t, fewPanel(1, 8), DID{Inference: "auto"})
	r := &analysisResult{notes: one.main}
	require.Equal(t, one.main, recordNotes(&found{}, r))
	n := &found{notes: other.notes[0]}
	require.Equal(t, other.notes[0], recordNotes(n, r))
}
