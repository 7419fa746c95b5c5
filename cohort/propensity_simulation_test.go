package cohort

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/internal/sim"
	"utfall/table"
)

// trial is n units with k covariates, treated with the logistic probability of eta and with
// the outcome base(x) + A(1 + x₀/2) + noise: the effect on all is 1.
func trial(t testing.TB, seed uint64, n, k int, eta, base func(x []float64) float64) (tab *table.Table, names []string, y []float64, treat []bool, x []float64) {
	t.Helper()
	s := num.NewStream(seed, "trial", 0)
	columns := make([][]float64, k)
	id := make([]int64, n)
	x = make([]float64, n*k)
	for i := range n {
		row := x[i*k : (i+1)*k]
		for j := range row {
			row[j] = s.Normal()
			columns[j] = append(columns[j], row[j])
		}
		treat = append(treat, s.Bernoulli(num.LogitLink.Mean(eta(row))))
		y = append(y, base(row)+float64(arm(treat[i]))*(1+row[0]/2)+s.Normal())
		id[i] = int64(i)
	}
	all := []table.Column{table.NewInteger(table.Field{Name: "id"}, id, nil), table.NewBoolean(table.Field{Name: "treated"}, treat, nil)}
	for j, v := range columns {
		names = append(names, fmt.Sprintf("x%d", j))
		all = append(all, table.NewFloat(table.Field{Name: names[j]}, v, nil))
	}
	tab, err := table.New(all...)
	require.NoError(t, err)
	return tab, names, y, treat, x
}

// contrast is the difference of weighted means, and its standard error: the influence
// function less its regression on the score of the propensity model, (A-p)·(1, x).
func contrast(w *Weighted, y []float64, treat []bool, x []float64) (estimate, se float64) {
	n, k := len(y), len(x)/len(y)
	var sum, weight [2]float64
	for i, v := range y {
		a := arm(treat[i])
		sum[a] += w.Weight[i] * v
		weight[a] += w.Weight[i]
	}
	mean := [2]float64{sum[0] / weight[0], sum[1] / weight[1]}
	phi, score := mat.NewVecDense(n, nil), mat.NewDense(n, k+1, nil)
	for i, v := range y {
		a := arm(treat[i])
		sign := 2*float64(a) - 1
		phi.SetVec(i, sign*w.Weight[i]*(v-mean[a])*float64(n)/weight[a])
		r := float64(a) - w.Score[i]
		score.Set(i, 0, r)
		for j := range k {
			score.Set(i, j+1, r*x[i*k+j])
		}
	}
	var b mat.VecDense
	if err := b.SolveVec(score, phi); err == nil {
		var fit mat.VecDense
		fit.MulVec(score, &b)
		phi.SubVec(phi, &fit)
	}
	ss := 0.0
	for i := range n {
		ss += phi.AtVec(i) * phi.AtVec(i)
	}
	return mean[1] - mean[0], math.Sqrt(ss) / float64(n)
}

// Coverage of 95 % intervals of the effect on all by ipw, 400 draws: the band is 95 ± 3.59.
// A penalty leaves some of the imbalance: at λ = 0.003 the lasso's weights are biased by
// 0.05, half a standard error, and cover 0.91, as METHODS.md says. Without weights it is
// less than half.
func TestPropensityModelsCoverTheTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps, n = 400 * sim.Factor, 500
	models := map[string]PropensitySpec{
		"logit": {}, "ridge": {Model: RidgeModel, Lambda: Width(0.003)}, "lasso": {Model: LassoModel, Lambda: Width(0.0005)},
		"heavy lasso": {Model: LassoModel, Lambda: Width(0.003)},
	}
	covered, total := map[string]int{}, map[string]float64{}
	for rep := range reps {
		tab, names, y, treat, x := trial(t, uint64(1000+rep), n, 5,
			func(x []float64) float64 { return -0.3 + 0.5*x[0] - 0.4*x[1] + 0.3*x[2] },
			func(x []float64) float64 { return x[0] - x[1] + 0.5*x[2] })
		d := Spec{Treatment: "treated", ID: "id", Covariates: names, Workers: 1}
		for name, m := range models {
			w := weighSpec(t, tab, WeightSpec{Estimand: ATE, Propensity: &m}, d)
			est, se := contrast(w, y, treat, x)
			total[name] += est - 1
			if math.Abs(est-1) <= 1.959964*se {
				covered[name]++
			}
		}
		plain := &Weighted{Weight: make([]float64, n), Score: make([]float64, n)}
		for i := range n {
			plain.Weight[i], plain.Score[i] = 1, 0.5
		}
		if est, se := contrast(plain, y, treat, x); math.Abs(est-1) <= 1.959964*se {
			covered["none"]++
		}
	}
	for name := range models {
		share := float64(covered[name]) / reps
		t.Logf("%s: %.4f covered, bias %.4f", name, share, total[name]/reps)
		if name == "heavy lasso" {
			require.Greater(t, total[name]/reps, 0.04)
			continue
		}
		require.InDelta(t, 0.95, share, 0.0359, name)
		require.InDelta(t, 0, total[name]/reps, 0.03, name)
	}
	require.Less(t, covered["none"], reps/2)
}

// A bent confounder: the logit in x is biased by 0.65 however many units there are, the
// trees less and less. Thirty columns that say nothing: what the penalties leave of the
// imbalance goes away with n, too.
func TestPropensityModelsFindTheTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	mean := func(m PropensitySpec, n, k, reps int, eta, base func(x []float64) float64) (bias float64) {
		for rep := range reps {
			tab, names, y, treat, x := trial(t, uint64(50+rep), n, k, eta, base)
			w := weighSpec(t, tab, WeightSpec{Estimand: ATE, Propensity: &m}, Spec{Treatment: "treated", ID: "id", Covariates: names})
			est, _ := contrast(w, y, treat, x)
			bias += (est - 1) / float64(reps)
		}
		return bias
	}
	bent := func(x []float64) float64 { return 0.7 * (x[1]*x[1] - 1) }
	logit := mean(PropensitySpec{}, 3000, 3, 4, bent, bent)
	few := mean(PropensitySpec{Model: BoostedModel, Folds: 3, Depth: 2, Shrinkage: 0.3}, 800, 3, 4, bent, bent)
	trees := mean(PropensitySpec{Model: BoostedModel, Folds: 3, Depth: 2, Shrinkage: 0.3}, 8000, 3, 2, bent, bent)
	crossed := mean(PropensitySpec{Model: BoostedModel, Folds: 3, Depth: 2, Shrinkage: 0.3, CrossFit: true}, 8000, 3, 2, bent, bent)
	balance := mean(PropensitySpec{Model: BoostedModel, Stop: BalanceStop, Depth: 2, Shrinkage: 0.3}, 8000, 3, 2, bent, bent)
	t.Logf("bent: logit %.3f; trees of 800 units %.3f, of 8000 %.3f, cross-fitted %.3f, by balance %.3f", logit, few, trees, crossed, balance)
	require.Greater(t, logit, 0.5)
	require.Less(t, math.Abs(trees), 0.12)
	require.Less(t, math.Abs(trees), math.Abs(few))
	require.Less(t, math.Abs(crossed), 0.15)
	require.Less(t, math.Abs(balance), 0.2)
	straight := func(x []float64) float64 { return 0.6*x[0] - 0.6*x[1] }
	for _, model := range []string{LassoModel, RidgeModel} {
		m := PropensitySpec{Model: model, Folds: 3}
		few, many := mean(m, 500, 32, 6, straight, straight), mean(m, 6000, 32, 1, straight, straight)
		t.Logf("30 columns that say nothing: %s of 500 units %.3f, of 6000 %.3f", model, few, many)
		require.Less(t, math.Abs(many), 0.1)
		require.Less(t, math.Abs(many), math.Abs(few))
	}
}
