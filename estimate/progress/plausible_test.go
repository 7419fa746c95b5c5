package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// The difference in change from plausible values, each analysed as if the traits were seen and joined by Rubin's
// rules, is that of the model, with about its error; the same difference of EAP scores is shrunken.
func TestPlausibleValuesAgreeWithTheModel(t *testing.T) {
	if testing.Short() {
		t.Skip("two fits and their draws")
	}
	w := simWaves(41, 0, 500, d10())
	r := latentChange(t, LatentChange{}, w)
	p, err := PlausibleValues{Draws: 12, Seed: 1}.DrawWaves(t.Context(), w, LatentChange{})
	require.NoError(t, err)
	var tables []combine.Imputed
	var spread float64
	for k := range p.Before {
		var group [2][]float64
		for i, v := range p.After[k] {
			g := i % 2
			group[g] = append(group[g], v-p.Before[k][i])
		}
		m0, v0 := stat.MeanVariance(group[0], nil)
		m1, v1 := stat.MeanVariance(group[1], nil)
		se := math.Sqrt(v0/float64(len(group[0])) + v1/float64(len(group[1])))
		tables = append(tables, combine.Imputed{Name: fmt.Sprint(k), Estimates: []estimate.Estimate{estimate.Wald("difference", TraitChangeDifference, m1-m0, se, math.Inf(1), 0.95)}})
		spread += stat.Variance(p.Before[k], nil) / 12
	}
	pooled, err := combine.Rubin{Level: 0.95}.Pool(tables)
	require.NoError(t, err)
	model, draw := r.Estimates[0], pooled.Estimates[0]
	require.InDelta(t, model.Value, draw.Value, 0.5*model.SE)
	require.InDelta(t, model.SE, draw.SE, 0.25*model.SE)
	require.InDelta(t, 1, spread, 0.15) // of the scores: about the reliability, .75
	w = simWaves(41, 0, 120, d10())
	p, err = PlausibleValues{Draws: 2, Seed: 1, Workers: 2}.DrawWaves(t.Context(), w, LatentChange{})
	require.NoError(t, err)
	again, err := PlausibleValues{Draws: 2, Seed: 1, Workers: 1}.DrawWaves(t.Context(), w, LatentChange{})
	require.NoError(t, err)
	require.Equal(t, p, again)
}

// Draws of one person have the mean and spread of the posterior, also where nodes are far apart.
func TestPlausibleDrawsKeepMoments(t *testing.T) {
	theta := num.SymmetricNodes(6, 0.4)
	post := num.NormalWeights(theta, 0.37, 0.5)
	var v []float64
	for i := range 40000 {
		st := num.NewStream(3, "moments", uint64(i))
		v = append(v, smooth(st, theta, pick(st, post), post))
	}
	mean, variance := stat.MeanVariance(v, nil)
	require.InDelta(t, 0.37, mean, 4*0.5/200)
	require.InDelta(t, 0.25, variance, 4*0.25*math.Sqrt(2.0/40000))
	require.Equal(t, 2, pick(num.NewStream(1, "x", 1), []float64{0, 0, 1, 0}))
}

func TestPlausibleOneWave(t *testing.T) {
	a := gradedAnswers(42, 300, 4, 3)
	for j := range 4 {
		a.X.Set(9, j, math.NaN())
	}
	p, err := PlausibleValues{Seed: 7}.Draw(t.Context(), a)
	require.NoError(t, err)
	require.Len(t, p.Before, 20)
	require.True(t, math.IsNaN(p.Before[0][9]))
	require.NotEqual(t, p.Before[0][1], p.Before[1][1])
	r := graded(t, a)
	s := r.Details["scores"].(TraitScores)
	mean := make([]float64, 300)
	for _, d := range p.Before {
		floats.AddScaled(mean, 1.0/20, d)
	}
	for _, i := range []int{0, 50, 200} {
		require.InDelta(t, s.EAP[i], mean[i], 5*s.SE[i]/math.Sqrt(20))
	}
	other, err := PlausibleValues{Seed: 8}.Draw(t.Context(), a)
	require.NoError(t, err)
	require.NotEqual(t, p.Before[0][1], other.Before[0][1])
	back := a.pick([]int{2, 1, 0}, upTo(4)) // a person's stream is keyed by the unit
	require.Equal(t, "p000002", back.Unit[0])
	for name, bad := range map[string]func() error{
		"one":   func() error { _, err := PlausibleValues{Draws: 1}.Draw(t.Context(), a); return err },
		"model": func() error { _, err := PlausibleValues{Model: "x"}.Draw(t.Context(), a); return err },
		"weights": func() error {
			b := *a
			b.Weight = estimate.Weights{Kind: estimate.Frequency, Values: slices.Repeat([]float64{1}, 300)}
			_, err := PlausibleValues{}.Draw(t.Context(), &b)
			return err
		},
	} {
		require.Error(t, bad(), name)
	}
}

// Parameters are drawn from the covariance that the model reports: with weights and clusters the sandwich. Everybody written twice, as
// one cluster, is nothing new.
func TestPlausibleParametersFollowTheCovariance(t *testing.T) {
	w := simWaves(43, 0, 150, d10())
	w.Weight = estimate.Weights{Kind: estimate.Sampling}
	for i := range w.Unit {
		w.Weight.Values = append(w.Weight.Values, 1+float64(i%3))
	}
	f, err := LatentChange{}.fitWaves(t.Context(), w)
	require.NoError(t, err)
	v, err := f.d.robust(f.p.of, f.score, f.v, 1)
	require.NoError(t, err)
	// The one free parameter that an estimate is: the mean of participants before.
	r := latentChange(t, LatentChange{}, w)
	for _, e := range r.Estimates {
		if e.Term == "trait/mean,wave=1,group=1" {
			rows := f.rows()
			at := slices.Index(rows.terms, e.Term)
			reftest.Agree(t, "sandwich", math.Sqrt(quadratic(rows.jac[at], v)), e.SE, 10)
			require.Greater(t, math.Abs(e.SE/math.Sqrt(quadratic(rows.jac[at], f.v))-1), .01, "not the information")
		}
	}
	p, err := PlausibleValues{Draws: 3, Seed: 2}.DrawWaves(t.Context(), w, LatentChange{})
	require.NoError(t, err)
	require.Len(t, p.After, 3)
	twice := *w
	n := len(w.Unit)
	twice.Before, twice.After = mat.NewDense(2*n, 6, nil), mat.NewDense(2*n, 6, nil)
	twice.Unit, twice.Treated, twice.Weight = nil, nil, estimate.Weights{Kind: estimate.Sampling}
	for k := range 2 * n {
		i := k % n
		twice.Unit, twice.Treated = append(twice.Unit, fmt.Sprintf("%d%s", k/n, w.Unit[i])), append(twice.Treated, w.Treated[i])
		twice.Weight.Values, twice.Cluster = append(twice.Weight.Values, w.Weight.Values[i]), append(twice.Cluster, i)
		twice.Before.SetRow(k, w.Before.RawRowView(i))
		twice.After.SetRow(k, w.After.RawRowView(i))
	}
	g, err := LatentChange{}.fitWaves(t.Context(), &twice)
	require.NoError(t, err)
	v2, err := g.d.robust(g.p.of, g.score, g.v, 1)
	require.NoError(t, err)
	reftest.Agree(t, "written twice", v2.At(0, 0), v.At(0, 0)*float64(n)/float64(n-1), 6)
}

// Of ten participants 4 improved by more than 2 and 1 worsened, of ten comparison people 2 and 2: net
// .3 and 0, difference .3; variances (.5 − .09)/10 and .4/10.
func TestBeyondChangeByHand(t *testing.T) {
	change := []float64{3, 3, 2.5, 9, -3, 2, -2, 0, 1, 0, 5, 2.1, -9, -3, 0, 0, 0, 1, -1, 2}
	p := &Persons{Level: 0.95}
	for i := range change {
		p.Unit, p.Treated = append(p.Unit, fmt.Sprintf("u%02d", i)), append(p.Treated, i < 10)
	}
	e := BeyondChange{MIC: 2, SDC: 1.5, MinPerArm: 10}
	r, err := e.Fit(t.Context(), p, change)
	require.NoError(t, err)
	require.Equal(t, "difference", r.Estimates[0].Term)
	reftest.Agree(t, "difference", r.Estimates[0].Value, 0.3, 14)
	reftest.Agree(t, "se", r.Estimates[0].SE, math.Sqrt((0.5-0.09)/10+0.4/10), 14)
	require.Equal(t, 2.0, r.Details["limit"])
	got := map[string]float64{}
	for _, x := range r.Estimates {
		got[x.Term+" "+string(x.Measure)] = x.Value
	}
	reftest.Agree(t, "improved", got["group=1 share-improved"], 0.4, 14)
	reftest.Agree(t, "worsened", got["group=1 share-worsened"], 0.1, 14)
	reftest.Agree(t, "net", got["group=1 net-improved"], 0.3, 14)
	reftest.Near(t, "net", got["group=0 net-improved"], 0, 1e-15)
	class, known := e.Classify([]float64{2, 2.1, -2.1, math.NaN()})
	require.Equal(t, []int{0, 1, -1, 0}, class)
	require.Equal(t, []bool{true, true, true, false}, known)
	e.SDC = 4 // the error decides where it is larger than what matters
	r, err = e.Fit(t.Context(), p, change)
	require.NoError(t, err)
	reftest.Near(t, "difference", r.Estimates[0].Value, 0.1, 1e-15)
	p.Weight = estimate.Weights{Kind: estimate.Matching, Values: make([]float64, 20)}
	for i := range 20 {
		p.Weight.Values[i] = 1
	}
	p.Weight.Values[10] = 3 // one comparison person who improved counts three times: 3/12 less 1/12
	r, err = e.Fit(t.Context(), p, change)
	require.NoError(t, err)
	reftest.Agree(t, "weighted", r.Estimates[0].Value, 0.1-2.0/12, 13)
	p.Cluster = make([]int, 20)
	for i := range 20 {
		p.Cluster[i] = i / 2
	}
	c, err := e.Fit(t.Context(), p, change)
	require.NoError(t, err)
	require.NotEqual(t, r.Estimates[0].SE, c.Estimates[0].SE)
	p.Cluster, p.Weight = nil, estimate.Weights{}
	// The same changes as two data sets: nothing between them, so that Rubin's error is the error of one.
	m, err := BeyondChange{MIC: 4, MinPerArm: 10}.Fit(t.Context(), p, change, change)
	require.NoError(t, err)
	reftest.Near(t, "pooled", m.Estimates[0].Value, 0.1, 1e-15)
	change[4] = math.NaN()
	r, err = BeyondChange{MIC: 2, SDC: 1, MinPerArm: 5}.Fit(t.Context(), p, change)
	require.NoError(t, err)
	require.Contains(t, codes(r), "change-unknown")
	require.Equal(t, 19, r.N.Units)
	for name, bad := range map[string]struct {
		e BeyondChange
		c [][]float64
	}{
		"no limit": {BeyondChange{MinPerArm: 5}, [][]float64{change}}, "no sdc": {BeyondChange{MIC: 2, MinPerArm: 5}, [][]float64{change}},
		"twice the error": {BeyondChange{MIC: 2, SDC: 2, MinPerArm: 5}, [][]float64{change, change}}, "few": {BeyondChange{MIC: 2, SDC: 2}, [][]float64{change}},
		"length": {BeyondChange{MIC: 2, SDC: 2}, [][]float64{change[:3]}}, "none": {BeyondChange{MIC: 2, SDC: 2}, nil}, "negative": {BeyondChange{MIC: -1, SDC: 2}, [][]float64{change}},
	} {
		_, err := bad.e.Fit(t.Context(), p, bad.c...)
		require.Error(t, err, name)
	}
}

func TestParetianChangeByHand(t *testing.T) {
	// Two dimensions, 1 best: better in one; worse in one; both ways; the same; the same at the best; no answer; no level.
	before := []float64{2, 2, 2, 2, 2, 2, 2, 3, 1, 1, 2, 2, 2, 6}
	after := []float64{1, 2, 3, 2, 1, 3, 2, 3, 1, 1, math.NaN(), 2, 2, 1}
	p := &Profiles{Names: []string{"a", "b"}, Before: mat.NewDense(7, 2, before), After: mat.NewDense(7, 2, after)}
	for i := range 7 {
		p.Unit = append(p.Unit, fmt.Sprint("u", i))
	}
	p.Level = 0.95
	e := ParetianChange{Lowest: 1, Highest: 3, HighIsWorse: true, MinPerArm: 5}
	r, err := e.Fit(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"improved": 1, "worsened": 1, "mixed": 1, "unchanged": 1, "no_problems": 1}, r.Details["counts"])
	require.Equal(t, []string{"levels-outside", "levels-missing"}, codes(r))
	last := r.Estimates[len(r.Estimates)-1]
	require.Equal(t, NetImproved, last.Measure)
	reftest.Near(t, "net", last.Value, 0, 1e-15)
	reftest.Agree(t, "se", last.SE, math.Sqrt(0.4/5), 13)
	up := e
	up.HighIsWorse = false
	s, err := up.Fit(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 0, s.Details["counts"].(map[string]int)["no_problems"])
	_, err = ParetianChange{MinPerArm: 5}.Fit(t.Context(), p)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	p.After = nil
	_, err = e.Fit(t.Context(), p)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}

// Parameters are drawn from the normal distribution of the estimate, and again where they are no model.
func TestPlausibleParameters(t *testing.T) {
	v := mat.NewSymDense(2, []float64{0.04, 0.01, 0.01, 0.09})
	e := PlausibleValues{Draws: 4000, Seed: 5}
	draws, err := e.parameters([]float64{1, 2}, v, func([]float64) bool { return true })
	require.NoError(t, err)
	x := mat.NewDense(4000, 2, nil)
	for i, d := range draws {
		x.SetRow(i, d)
	}
	var c mat.SymDense
	stat.CovarianceMatrix(&c, x, nil)
	require.InDelta(t, 0.04, c.At(0, 0), 0.004)
	require.InDelta(t, 0.09, c.At(1, 1), 0.009)
	require.InDelta(t, 0.01, c.At(0, 1), 0.004)
	require.InDelta(t, 1, stat.Mean(mat.Col(nil, 0, x), nil), 0.015)
	draws, err = e.parameters([]float64{1, 2}, v, func(p []float64) bool { return p[0] > 1 })
	require.NoError(t, err)
	require.Len(t, draws, 4000)
	for _, d := range draws {
		require.Greater(t, d[0], 1.0)
	}
	_, err = e.parameters([]float64{1, 2}, v, func([]float64) bool { return false })
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
}
