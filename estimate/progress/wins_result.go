package progress

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// StepShare is a row of details.step_table: weighted share of each arm on a step, strata together.
type StepShare struct {
	Step    float64 `json:"step"`
	Treated float64 `json:"share_treated"`
	Control float64 `json:"share_control"`
}

// StratumWins is a row of details.per_stratum.
type StratumWins struct {
	Stratum  string  `json:"stratum"`
	Treated  int     `json:"treated"`
	Control  int     `json:"control"`
	Weight   float64 `json:"weight"` // ω_s
	WinProb  float64 `json:"win_probability"`
	StdError float64 `json:"std_error"`
}

// Heterogeneity is Cochran's test that the win probability is one in all strata.
type Heterogeneity struct {
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	P         float64 `json:"p_value"`
}

// LogRatio is a logarithm of a ratio with its standard error.
type LogRatio struct {
	Estimate float64 `json:"estimate"`
	StdError float64 `json:"std_error"`
}

// estimates adds the four measures, each with its column of the influence function.
func (c *winCount) estimates(res *estimate.Result, inf *mat.Dense, cov *mat.SymDense) {
	level, w, l := c.s.Level, c.win, c.loss
	p := 0.5 + (w-l)/2
	// Weights of the influence on (win, loss) in each measure.
	grad := [4][2]float64{{0.5, -0.5}, {math.NaN(), math.NaN()}, {1, -1}, {math.NaN(), math.NaN()}}
	value := [4]float64{p, math.NaN(), w - l, math.NaN()}
	if p < 1-rounding {
		value[1], grad[1] = p/(1-p), [2]float64{0.5 / ((1 - p) * (1 - p)), -0.5 / ((1 - p) * (1 - p))}
	}
	if l > rounding {
		value[3], grad[3] = w/l, [2]float64{1 / l, -w / (l * l)}
	}
	for i := range len(c.s.Y) {
		a, b := inf.At(i, 0), inf.At(i, 1)
		for m, g := range grad {
			if c.weight[i] > 0 {
				res.Influence.Set(i, m, float64(g[0]*a)+float64(g[1]*b))
			}
		}
	}
	for m, g := range grad {
		for n := m; n < 4; n++ {
			h := grad[n]
			v := float64(g[0]*h[0]*cov.At(0, 0)) + float64((g[0]*h[1]+g[1]*h[0])*cov.At(0, 1)) + float64(g[1]*h[1]*cov.At(1, 1))
			if n == m {
				v = max(0, v)
			}
			res.Cov.SetSym(m, n, v)
		}
	}
	logit := survive.Logit(p, math.Sqrt(probVar(cov)), level)
	test := estimate.Test{Stat: math.NaN(), DF: math.Inf(1), P: math.NaN(), Null: 0.5}
	se := math.Sqrt(probVar(cov))
	spread := se > rounding && p > rounding && p < 1-rounding
	ratios := spread && w > rounding && l > rounding
	if spread {
		test.Stat = (math.Log(p) - math.Log1p(-p)) / (se / (p * (1 - p)))
		test.P = num.NormalTail(test.Stat)
	} else {
		logit = noInterval()
	}
	change := func(f func(float64) float64) estimate.Interval {
		out := logit
		out.Lo, out.Hi = f(logit.Lo), f(logit.Hi)
		return out
	}
	null := func(v float64) estimate.Test { t := test; t.Null = v; return t }
	ratio := LogRatio{math.NaN(), math.NaN()}
	ci, ratioTest := noInterval(), null(1)
	ratioTest.Stat, ratioTest.P = math.NaN(), math.NaN()
	if ratios {
		ratio = LogRatio{math.Log(w / l), math.Sqrt(max(0, res.Cov.At(3, 3))) * l / w}
		ci, ratioTest = logInterval(ratio, level), logTest(ratio)
	}
	for m, est := range []estimate.Estimate{
		{Measure: estimate.WinProbability, CI: logit, Test: test},
		{Measure: WinOdds, CI: change(func(x float64) float64 { return x / (1 - x) }), Test: null(1)},
		{Measure: NetBenefit, CI: change(func(x float64) float64 { return 2*x - 1 }), Test: null(0)},
		{Measure: WinRatio, CI: ci, Test: ratioTest},
	} {
		est.Term, est.Value, est.SE = "overall", value[m], math.Sqrt(res.Cov.At(m, m))
		if !spread || m == 3 && !ratios {
			est.SE = math.NaN()
		}
		res.Estimates = append(res.Estimates, est)
	}
	res.Notes = append(res.Notes, c.notes()...)
	if !ratios {
		res.Notes = append(res.Notes, table.Note{Code: "wins-one-sided", Text: "No pair is won, or none is lost: the win ratio has no interval, and where all pairs end alike the other numbers have none either.",
			Args: map[string]any{"tie_share": 1 - w - l}})
	}
	log := LogRatio{math.NaN(), math.NaN()}
	if spread {
		log = LogRatio{math.Log(p) - math.Log1p(-p), se / (p * (1 - p))}
	}
	res.Details = map[string]any{
		"win_share": w, "loss_share": l, "tie_share": 1 - w - l, "log_win_odds": log, "log_win_ratio": ratio, "vcov": c.vcov(),
		"persons": map[string]int{"treated": c.units(1), "control": c.units(0)},
	}
}

func noInterval() estimate.Interval { return estimate.Interval{Lo: math.NaN(), Hi: math.NaN()} }

// logInterval is the interval of a ratio from that of its logarithm.
func logInterval(r LogRatio, level float64) estimate.Interval {
	q := num.StudentQuantile(level, math.Inf(1)) * r.StdError
	return estimate.Interval{Lo: math.Exp(r.Estimate - q), Hi: math.Exp(r.Estimate + q), Level: level, Method: "log"}
}

// logTest is the test that a ratio is 1.
func logTest(r LogRatio) estimate.Test {
	t := estimate.Test{Stat: r.Estimate / r.StdError, DF: math.Inf(1), Null: 1}
	t.P = num.NormalTail(t.Stat)
	return t
}

func (c *winCount) details(res *estimate.Result, naive *mat.SymDense, workers int) {
	res.Details["std_error_divisor_n"] = math.Sqrt(probVar(naive))
	pairs := map[string]float64{}
	shares := make([]StepShare, len(c.steps))
	var total [2]float64
	for _, g := range c.strata {
		all := g.total[0] * g.total[1]
		pairs["wins"] += float64(all * g.win)
		pairs["losses"] += float64(all * g.loss)
		pairs["ties"] += float64(all * (1 - g.win - g.loss))
		for k, step := range c.steps {
			shares[k].Step = step
			shares[k].Treated += float64(g.share[1][k] * g.total[1])
			shares[k].Control += float64(g.share[0][k] * g.total[0])
		}
		total[0], total[1] = total[0]+g.total[0], total[1]+g.total[1]
	}
	for k := range shares {
		shares[k].Treated /= total[1]
		shares[k].Control /= total[0]
	}
	if c.s.Weight.Kind == estimate.NoWeights || c.s.Weight.Kind == estimate.Frequency {
		for k, v := range pairs {
			pairs[k] = math.Round(v) // whole numbers but for rounding
		}
	}
	res.Details["pairs"], res.Details["step_table"] = pairs, shares
	if c.s.Stratum != nil {
		c.byStratum(res, workers)
	}
}

// byStratum describes the strata and tests whether they agree.
func (c *winCount) byStratum(res *estimate.Result, workers int) {
	rows := make([]StratumWins, len(c.strata))
	inf := c.influence()
	var weight, mean, squares float64
	tested := c.s.Cluster == nil && len(c.strata) > 1 // clusters may lie in several strata
	for k, g := range c.strata {
		v := 0.0
		for arm, list := range g.rows {
			part, _, err := survive.Covariance(inf, list, nil, workers)
			if err != nil || c.s.Cluster != nil {
				v = math.NaN()
				break
			}
			v += g.n[arm] / (g.n[arm] - 1) * probVar(part)
		}
		v /= g.omega * g.omega
		rows[k] = StratumWins{g.name, int(g.n[1]), int(g.n[0]), g.omega, g.prob(), math.Sqrt(v)}
		tested = tested && v > 0
		weight += 1 / v
		mean += g.prob() / v
	}
	res.Details["per_stratum"] = rows
	if !tested {
		return
	}
	for _, r := range rows {
		d := (r.WinProb - mean/weight) / r.StdError
		squares += float64(d * d)
	}
	h := Heterogeneity{squares, len(rows) - 1, num.ChiSquareTail(squares, float64(len(rows)-1))}
	res.Details["heterogeneity"] = h
	if h.P < 0.05 {
		res.Notes = append(res.Notes, table.Note{Code: "strata-disagree", Text: "The win probability differs between strata by more than chance: show it by stratum.",
			Args: map[string]any{"strata": len(rows), "p_value": h.P}})
	}
}
