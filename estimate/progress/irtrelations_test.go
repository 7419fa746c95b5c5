package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

// pick takes rows and columns.
func (a *Answers) pick(rows, columns []int) *Answers {
	out := &Answers{X: mat.NewDense(len(rows), len(columns), nil), Level: a.Level, GroupNames: a.GroupNames}
	for _, j := range columns {
		out.Names = append(out.Names, a.Names[j])
	}
	for r, i := range rows {
		out.Unit = append(out.Unit, a.Unit[i])
		for c, j := range columns {
			out.X.Set(r, c, a.X.At(i, j))
		}
		if a.Group != nil {
			out.Group = append(out.Group, a.Group[i])
		}
	}
	return out
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// The order of the rows and the number of workers change no bit; the order of the items changes rounding only.
func TestIRTOrder(t *testing.T) {
	a := gradedAnswers(21, 700, 5, 3)
	a.X.Set(3, 1, math.NaN())
	r := graded(t, a)
	back := upTo(700)
	slices.Reverse(back)
	for workers, b := range map[int]*Answers{1: a, 3: a.pick(back, upTo(5))} {
		other, err := GradedResponse{Workers: workers}.Fit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, r.Estimates, other.Estimates)
		require.Equal(t, r.Details["loglik"], other.Details["loglik"])
	}
	turned := graded(t, a.pick(upTo(700), []int{3, 0, 4, 2, 1}))
	for _, e := range r.Estimates {
		o := named(t, turned, e.Term)
		reftest.Near(t, e.Term, o.Value, e.Value, 1e-7)
		reftest.Agree(t, e.Term, o.SE, e.SE, 7)
	}
}

// Only the order of the categories counts; an item turned round has the slope and thresholds of the
// other sign, and the same likelihood; all items turned round turn the trait round.
func TestIRTRecoding(t *testing.T) {
	a := gradedAnswers(22, 400, 4, 3)
	r := graded(t, a)
	b := a.pick(upTo(400), upTo(4))
	for i := range 400 {
		b.X.Set(i, 1, []float64{-7, 3, 3.5}[int(a.X.At(i, 1))])
		b.X.Set(i, 2, 2-a.X.At(i, 2))
	}
	s := graded(t, b)
	reftest.Agree(t, "loglik", s.Details["loglik"].(float64), r.Details["loglik"].(float64), 12)
	for _, term := range []string{"q1/a", "q1/b1", "q2/a", "q2/b2"} {
		reftest.Near(t, term, value(t, s, term), value(t, r, term), 1e-7)
	}
	reftest.Near(t, "slope", value(t, s, "q3/a"), -value(t, r, "q3/a"), 1e-7)
	reftest.Near(t, "threshold", value(t, s, "q3/b1"), value(t, r, "q3/b2"), 1e-7)
	require.Contains(t, codes(s), "item-reversed")
	require.NotContains(t, codes(r), "item-reversed")
	i := slices.Index(codes(s), "item-reversed")
	require.Equal(t, "q3", s.Notes[i].Args["item"])
	for i := range 400 {
		for j := range 4 {
			b.X.Set(i, j, 2-a.X.At(i, j))
		}
	}
	s = graded(t, b)
	reftest.Near(t, "slope", value(t, s, "q3/a"), value(t, r, "q3/a"), 1e-7)
	reftest.Near(t, "threshold", value(t, s, "q3/b1"), -value(t, r, "q3/b2"), 1e-7)
	reftest.Near(t, "score", s.Details["scores"].(TraitScores).EAP[5], -r.Details["scores"].(TraitScores).EAP[5], 1e-7)
	rasch := gradedAnswers(23, 200, 4, 2)
	for i := range 200 {
		rasch.X.Set(i, 0, 1-rasch.X.At(i, 0))
	}
	s, err := Rasch{}.Fit(t.Context(), rasch)
	require.NoError(t, err)
	require.Contains(t, codes(s), "item-reversed")
}

// A row that is there three times is a row of frequency 3; sampling weights of one size change the errors
// to the robust ones and nothing else; every person a cluster of their own is the robust error times √(n/(n−1)).
func TestIRTWeights(t *testing.T) {
	a := gradedAnswers(24, 300, 4, 3)
	var rows []int
	w := make([]float64, 300)
	for i := range 300 {
		w[i] = float64(i%3 + 1)
		for range i%3 + 1 {
			rows = append(rows, i)
		}
	}
	long := a.pick(rows, upTo(4))
	for i := range long.Unit {
		long.Unit[i] = fmt.Sprintf("%05d", i)
	}
	l := graded(t, long)
	a.Weight = estimate.Weights{Kind: estimate.Frequency, Values: w}
	f := graded(t, a)
	for i, e := range l.Estimates {
		reftest.Near(t, e.Term, f.Estimates[i].Value, e.Value, 1e-9)
		reftest.Agree(t, e.Term, f.Estimates[i].SE, e.SE, 9)
	}
	reftest.Agree(t, "reliability", f.Details["reliability"].(float64), l.Details["reliability"].(float64), 10)
	reftest.Agree(t, "bic", f.Details["bic"].(float64), l.Details["bic"].(float64), 12)
	sum := func(r *estimate.Result) (v float64) {
		n, _ := r.Influence.Dims()
		for i := range n {
			v += r.Influence.At(i, 0) * r.Influence.At(i, 0)
		}
		return v
	}
	reftest.Agree(t, "influence", sum(f), sum(l), 8)
	for i := range w {
		w[i] = 5
	}
	a.Weight = estimate.Weights{}
	plain := graded(t, a)
	a.Weight = estimate.Weights{Kind: estimate.Sampling, Values: w}
	s := graded(t, a)
	reftest.Near(t, "slope", value(t, s, "q2/a"), value(t, plain, "q2/a"), 1e-8)
	reftest.Agree(t, "weights of mean 1", s.Details["loglik"].(float64), plain.Details["loglik"].(float64), 12)
	reftest.Agree(t, "robust", s.Estimates[0].SE*s.Estimates[0].SE, sum(plain), 8)
	require.InDelta(t, plain.Estimates[0].SE, s.Estimates[0].SE, 0.2*plain.Estimates[0].SE)
	require.NotEqual(t, plain.Estimates[0].SE, s.Estimates[0].SE)
	require.Contains(t, codes(s), "weights-fixed")
	a.Weight, a.Cluster = estimate.Weights{}, upTo(300)
	c := graded(t, a)
	reftest.Agree(t, "clusters", c.Estimates[0].SE*c.Estimates[0].SE*299/300, sum(plain), 8)
	require.Equal(t, 300, c.N.Clusters)
	w[0] = 0
	a.Weight, a.Cluster = estimate.Weights{Kind: estimate.Frequency, Values: w}, nil
	require.Contains(t, codes(graded(t, a)), "zero-weight")
}

// Groups with the same answers have the same trait; an item is the same in both.
func TestIRTGroups(t *testing.T) {
	a := gradedAnswers(25, 600, 4, 3)
	double := a.pick(append(upTo(600), upTo(600)...), upTo(4))
	for i := range double.Unit {
		double.Unit[i] = fmt.Sprintf("%05d", i)
		double.Group = append(double.Group, i/600)
	}
	double.GroupNames = []string{"0", "1"}
	r := graded(t, double)
	reftest.Near(t, "mean", value(t, r, "trait/mean,group=1"), 0, 1e-7)
	reftest.Near(t, "variance", value(t, r, "trait/variance,group=1"), 1, 1e-6)
	one := graded(t, a)
	reftest.Near(t, "slope", value(t, r, "q2/a"), value(t, one, "q2/a"), 1e-6)
	reftest.Agree(t, "loglik", r.Details["loglik"].(float64), 2*one.Details["loglik"].(float64), 10)
	require.Equal(t, "log", named(t, r, "trait/variance,group=1").CI.Method)
	require.True(t, math.IsNaN(named(t, r, "trait/variance,group=1").Test.P))
}

func TestIRTNotes(t *testing.T) {
	a := gradedAnswers(26, 120, 4, 4)
	for i := range 120 {
		if a.X.At(i, 0) == 2 { // a category that nobody chose
			a.X.Set(i, 0, 1)
		}
		if a.X.At(i, 1) == 3 { // the highest, chosen twice
			a.X.Set(i, 1, 2)
		}
	}
	a.X.Set(0, 1, 3)
	a.X.Set(1, 1, 3)
	for j := range 4 {
		a.X.Set(5, j, math.NaN())
	}
	r := graded(t, a)
	want := map[string]any{"category-empty": "q1", "category-sparse": "q2"}
	for code, item := range want {
		i := slices.Index(codes(r), code)
		require.GreaterOrEqual(t, i, 0, code)
		require.Equal(t, item, r.Notes[i].Args["item"])
	}
	require.Equal(t, 4, r.Notes[slices.Index(codes(r), "answers-missing")].Args["count"])
	require.Equal(t, 1, r.Notes[slices.Index(codes(r), "persons-without-answers")].Args["persons"])
	require.Equal(t, 120, r.Notes[slices.Index(codes(r), "few-for-slopes")].Args["persons"])
	require.NotContains(t, codes(r), "scores-at-limit")
	require.Equal(t, 119, r.N.Units)
	require.True(t, math.IsNaN(r.Details["scores"].(TraitScores).EAP[5]))
	require.Zero(t, r.Influence.At(5, 0))
	b, err := r.Details["scores"].(TraitScores).MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(b), `"p000005":{"eap":null,"se":null}`)
	rasch, err := Rasch{}.Fit(t.Context(), gradedAnswers(27, 150, 3, 2))
	require.NoError(t, err)
	require.Contains(t, codes(rasch), "scores-at-limit")
	require.NotContains(t, codes(rasch), "few-for-slopes")
}

func TestIRTBad(t *testing.T) {
	fresh := func() *Answers { return gradedAnswers(28, 80, 4, 3) }
	for name, c := range map[string]struct {
		change func(a *Answers)
		is     error
		says   string
	}{
		"ceiling":    {func(a *Answers) { column(a, 2, 4) }, estimate.ErrNotIdentified, `"q3"`},
		"all":        {func(a *Answers) { column(a, 0, 4); column(a, 1, 4); column(a, 2, 4); column(a, 3, 4) }, estimate.ErrNotIdentified, `"q1", "q2", "q3", "q4"`},
		"unanswered": {func(a *Answers) { column(a, 1, math.NaN()) }, estimate.ErrNotIdentified, `"q2"`},
		"infinite":   {func(a *Answers) { a.X.Set(3, 1, math.Inf(1)) }, estimate.ErrInvalidFrame, "row 4"},
		"twice":      {func(a *Answers) { a.Unit[9] = a.Unit[4] }, estimate.ErrInvalidFrame, "twice"},
		"item twice": {func(a *Answers) { a.Names[1] = "q1" }, estimate.ErrInvalidFrame, `"q1"`},
		"few items":  {func(a *Answers) { *a = *a.pick(upTo(80), upTo(2)) }, estimate.ErrTooFew, "3 or more"},
		"no answers": {func(a *Answers) { a.X = nil }, estimate.ErrInvalidFrame, ""},
		"level":      {func(a *Answers) { a.Level = 1 }, estimate.ErrInvalidFrame, "level"},
		"shape":      {func(a *Answers) { a.Names = a.Names[:3] }, estimate.ErrInvalidFrame, "80×4"},
		"weight":     {func(a *Answers) { a.Weight = estimate.Weights{Kind: estimate.Frequency, Values: make([]float64, 80)} }, estimate.ErrWeights, "every weight is 0"},
		"half a person": {func(a *Answers) {
			a.Weight = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{0.5}, 80)}
		}, estimate.ErrWeights, "whole"},
		"kind":       {func(a *Answers) { a.Weight = estimate.Weights{Kind: "other", Values: make([]float64, 80)} }, estimate.ErrWeights, "kind"},
		"group":      {func(a *Answers) { a.Group, a.GroupNames = slices.Repeat([]int{2}, 80), []string{"0", "1"} }, estimate.ErrInvalidFrame, "group"},
		"lone group": {func(a *Answers) { a.Group, a.GroupNames = make([]int, 80), []string{"0", "1"} }, estimate.ErrTooFew, `"1"`},
		"measurement": {func(a *Answers) {
			*a = *gradedAnswers(28, 300, 4, 3)
			for i := range 300 {
				a.X.Set(i, 0, float64(i))
			}
		}, estimate.ErrInvalidFrame, "measurement"},
		"copy of an item": {func(a *Answers) {
			for i := range 80 {
				a.X.Set(i, 0, a.X.At(i, 1))
				a.X.Set(i, 2, float64(i*37%2))
				a.X.Set(i, 3, float64(i*53%3))
			}
		}, nil, `"q`},
	} {
		a := fresh()
		c.change(a)
		_, err := GradedResponse{}.Fit(t.Context(), a)
		require.Error(t, err, name)
		if c.is != nil {
			require.ErrorIs(t, err, c.is, name)
		}
		require.ErrorContains(t, err, c.says, name)
	}
	_, err := Rasch{}.Fit(t.Context(), fresh())
	require.ErrorContains(t, err, "pcm")
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = TwoParameter{}.Fit(t.Context(), fresh())
	require.ErrorContains(t, err, "grm")
	noise := gradedAnswers(29, 400, 4, 2) // items that have nothing in common
	for i := range 400 {
		for j := range 4 {
			noise.X.Set(i, j, float64((i>>j)&1))
		}
	}
	_, err = Rasch{}.Fit(t.Context(), noise)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	require.ErrorContains(t, err, "variance of the trait")
}

func column(a *Answers, j int, v float64) {
	for i := range a.Unit {
		a.X.Set(i, j, v)
	}
}
