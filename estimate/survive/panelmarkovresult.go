package survive

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// result makes the estimates from the maximum.
func (m *panelModel) result(lvl float64) (*estimate.Result, error) {
	p := len(m.pairs)
	var chol mat.Cholesky
	if !chol.Factorize(m.info) {
		return nil, fmt.Errorf("%w: the information is not positive definite", estimate.ErrNotConverged)
	}
	var v mat.SymDense
	if err := chol.InverseTo(&v); err != nil {
		return nil, fmt.Errorf("%w: the information has no inverse", estimate.ErrNotConverged)
	}
	out := m.quantities()
	k := len(out)
	J := mat.NewDense(k, p, nil)
	for i, q := range out {
		J.SetRow(i, q.slope)
	}
	var jv, cov mat.Dense
	jv.Mul(J, &v)
	cov.Mul(&jv, J.T())
	res := &estimate.Result{Method: "panel-markov", Cov: mat.NewSymDense(k, nil), InfluenceUnit: m.person, Notes: m.notes,
		Fit: estimate.Convergence{Converged: true, Iterations: m.iterations, Tolerance: m.step}}
	for i, q := range out {
		for j := i; j < k; j++ {
			res.Cov.SetSym(i, j, cov.At(i, j))
		}
		se := math.Sqrt(max(0, cov.At(i, i)))
		ci := estimate.Interval{Lo: math.NaN(), Hi: math.NaN()}
		z := num.StudentQuantile(lvl, math.Inf(1)) * se
		switch q.measure {
		case Intensity, MeanSojournTime:
			ci = estimate.Interval{Lo: q.value * math.Exp(-z/q.value), Hi: q.value * math.Exp(z/q.value), Level: lvl, Method: "log"}
		case TransitionProbability:
			ci = Logit(q.value, se, lvl)
		default:
			if se > 0 {
				ci = estimate.Interval{Lo: q.value - z, Hi: q.value + z, Level: lvl, Method: "normal"}
			}
		}
		res.Estimates = append(res.Estimates, level(q.term, q.measure, q.value, se, ci))
	}
	res.Influence = mat.NewDense(len(m.person), k, nil)
	scores := m.scores()
	res.Influence.Mul(scores, jv.T())
	moves := []Transition{}
	for a, pair := range m.pairs {
		from, to := m.states[pair[0]], m.states[pair[1]]
		moves = append(moves, Transition{From: from, To: to, Count: m.seen[a], Weight: float64(m.seen[a])})
		if math.Sqrt(v.At(a, a)) > 1 {
			res.Notes = append(res.Notes, table.Note{Code: "sparse-transition", Text: fmt.Sprintf("The data say little of how fast people move from %s to %s at once.", from, to), Args: map[string]any{"from": from, "to": to}})
		}
	}
	res.Notes = append(res.Notes, table.Note{Code: "panel-markov-assumed", Text: "The model takes it that what comes next depends on the present state only, at rates that do not change, and that when people are seen has nothing to do with their state."})
	intervals := 0.0
	for _, c := range m.cells {
		intervals += c.count
		if c.from != c.to {
			res.N.Events += int(c.count)
		}
	}
	res.N.Units = len(m.person)
	res.Details = map[string]any{"states": m.states, "transitions": moves, "loglik": m.loglik, "minus2loglik": -2 * m.loglik, "exact_death": m.e.ExactDeath, "tau": m.e.Tau, "intervals": int(intervals), "vcov": "observed information"}
	return res, nil
}

// panelQuantity is a number that is reported, with its derivatives by θ.
type panelQuantity struct {
	term    string
	measure estimate.Measure
	value   float64
	slope   []float64
}

func (m *panelModel) quantities() (out []panelQuantity) {
	p, K := len(m.theta), len(m.states)
	q := m.rates(m.theta)
	for a, pair := range m.pairs {
		slope := make([]float64, p)
		slope[a] = q[a]
		out = append(out, panelQuantity{fmt.Sprintf("from=%s,to=%s", m.states[pair[0]], m.states[pair[1]]), Intensity, q[a], slope})
	}
	for r, name := range m.states {
		if !m.leaves[r] {
			continue
		}
		total, slope := 0.0, make([]float64, p)
		for a, pair := range m.pairs {
			if pair[0] == r {
				total += q[a]
			}
		}
		for a, pair := range m.pairs {
			if pair[0] == r {
				slope[a] = -q[a] / (total * total)
			}
		}
		out = append(out, panelQuantity{"state=" + name, MeanSojournTime, 1 / total, slope})
	}
	list := func(x *panelExp, column int, measure estimate.Measure, prefix string) {
		for r, from := range m.states {
			if !m.leaves[r] {
				continue
			}
			for s, to := range m.states {
				at := r*x.n + column + s
				slope := make([]float64, p)
				for a := range slope {
					slope[a] = q[a] * x.d[a][at]
				}
				out = append(out, panelQuantity{fmt.Sprintf("%sfrom=%s,state=%s", prefix, from, to), measure, x.p[at], slope})
			}
		}
	}
	for _, t := range m.e.At {
		x := newPanelExp(K, m.pairs, 1)
		x.eval(m.generator(q, K), t)
		list(x, 0, TransitionProbability, fmt.Sprintf("time=%v,", t))
	}
	if m.e.Tau > 0 {
		n := 2 * K
		x, M := newPanelExp(n, m.pairs, 1), m.generator(q, n)
		for k := range K {
			M[k*n+K+k] = 1
		}
		x.eval(M, m.e.Tau)
		list(x, K, estimate.RestrictedMeanTime, "")
	}
	return out
}
