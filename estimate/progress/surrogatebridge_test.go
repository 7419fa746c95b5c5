package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// bridgeCells: older treated s = 1 with 4, 2 and s = 0 with 1, 0, 2, others 2, 0 and 0, 1, -1; programme as in byHand.
func bridgeCells() [][4]float64 {
	return [][4]float64{
		{1, 1, 1, 4}, {1, 1, 1, 2}, {1, 1, 0, 1}, {1, 1, 0, 0}, {1, 1, 0, 2}, {1, 0, 1, 2}, {1, 0, 1, 0}, {1, 0, 0, 0}, {1, 0, 0, 1}, {1, 0, 0, -1},
		{0, 1, 1, noOutcome}, {0, 1, 1, noOutcome}, {0, 1, 1, noOutcome}, {0, 1, 0, noOutcome}, {0, 0, 1, noOutcome}, {0, 0, 0, noOutcome}, {0, 0, 0, noOutcome}, {0, 0, 0, noOutcome},
	}
}

// μ₁ = 3, 1 and μ₀ = 1, 0 at s = 1, 0: μ̄₁ = 10/4, μ̄₀ = 1/4, τ = 9/4. 1/(1-π) = 9/4. Odds (1-γ_w)/γ_w: treated 3/2 at s = 1, 1/3 at s = 0; others
// ½ and 1; ϱ = ½. ψ - τ in the older cohort: ±27/4 (two), ±3/2 (two, one 0), ±9/4, ±9/2 (two, one 0); in the programme 9/2·(μ - μ̄):
// 9/4 (three), -27/4, -27/8, 9/8 (three). Sum of squares 222.1875. The weights of the treated are 3, 3, 2/3 (three): effective (8)²/(58/3) =
// 3.31 of 5; of the others 1, 1, 2 (three): 8²/14 = 4.57. The index: ν = 2 at s = 1, ½ at s = 0: ½·3/2.
func TestOutcomeBridgeByHand(t *testing.T) {
	r, err := OutcomeBridge{MinPerArm: 1}.Fit(t.Context(), surrogateCells(bridgeCells()...))
	require.NoError(t, err)
	near := func(what string, got, want float64) { t.Helper(); reftest.Near(t, what, got, want, 1e-9) }
	require.Equal(t, []string{"bridge", "index", "difference"}, []string{r.Estimates[0].Term, r.Estimates[1].Term, r.Estimates[2].Term})
	near("bridge", r.Estimates[0].Value, 2.25)
	near("error", r.Estimates[0].SE, math.Sqrt(222.1875)/18)
	near("index", r.Estimates[1].Value, .75)
	near("difference", r.Estimates[2].Value, 1.5)
	require.Equal(t, "bridge", r.Details["headline"])
	near("plug-in", r.Details["plug_in"].(float64), 2.25)
	near("largest weight", r.Details["max_weight"].(float64), 3)
	near("effective", r.Details["ess"].(float64), 64/(58.0/3))
	require.Equal(t, map[string]int{"older-treated": 5, "older-control": 5, "treated": 4, "control": 4}, r.Details["persons"])

	// Without covariates the two populations are alike; somebody whose treatment is not known has no part and is counted.
	more := append(bridgeCells(), [4]float64{1, -1, 1, 9})
	o, err := OutcomeBridge{MinPerArm: 1, Population: "older"}.Fit(t.Context(), surrogateCells(more...))
	require.NoError(t, err)
	near("older", o.Estimates[0].Value, 2.25)
	near("its error", o.Estimates[0].SE, r.Estimates[0].SE)
	require.Equal(t, 18, o.N.Units)
	require.Contains(t, noteCodes(o.Notes), "older-treatment-missing")

	// The programme's outcomes have come, twice over so that an error can be estimated: the rectified estimate is the difference of
	// means, and the bridge is graded by it.
	came := bridgeCells()
	for i, y := range []float64{3, 3, 3, 1, 1, 0, 0, 0} {
		came[10+i][3] = y
	}
	came = append(came, came...)
	g, err := OutcomeBridge{MinPerArm: 1}.Fit(t.Context(), surrogateCells(came...))
	require.NoError(t, err)
	require.Equal(t, "rectified", g.Details["headline"])
	near("rectified", g.Estimates[3].Value, 2.25)
	row := g.Details["truth"].([]SurrogateTruth)[0]
	near("long-term", row.LongTerm, 2.25)
	near("difference", row.Difference, 0)
	require.Equal(t, "programme", row.Sample)
	// The programme's outcomes are what the surrogates say to the digit: only the older cohort's leave an error of the difference.
	older := 2*27.0*27/16 + 2*9.0/4 + 2*81.0/16 + 2*81.0/4
	near("error of the difference", row.StdError, math.Sqrt(2*older)/36)
}

// With cells for everything and folds from elsewhere: the paper's form of the weights, ρ_w(s,x) = P(W=w|x,G=1)·[P(G=1|s,x,w)/P(G=0|s,x,w)]·
// [P(G=0|x,w)/P(G=1|x,w)] and (1-γ(x))/γ(x)/ρ_w, is what is used; the published software's, P(W=1|x,G=1) for both arms and without the last
// factor, is another number.
func TestOutcomeBridgeIsThePapersForm(t *testing.T) {
	type person struct{ g, w, s, x, y float64 }
	var people []person
	d := &SurrogateSample{SNames: []string{"s", "sx"}, XNames: []string{"x"}, Level: .95}
	var sv, xv []float64
	for i := range 600 {
		st := num.NewStream(41, "cells", uint64(i))
		bit := func(p float64) float64 {
			if st.Bernoulli(p) {
				return 1
			}
			return 0
		}
		p := person{x: bit(.5)}
		p.g = bit(.4 + .2*p.x)
		p.w = bit(.5 + .2*p.g - .1*p.x)
		p.s = bit(.3 + .3*p.w + .1*p.g)
		p.y = p.s + .5*p.w + p.x + st.Normal()
		people = append(people, p)
		d.Unit, d.Older, d.Treated, d.Y, d.Fold = append(d.Unit, fmt.Sprintf("u%03d", i)), append(d.Older, p.g == 1), append(d.Treated, p.w == 1), append(d.Y, p.y), append(d.Fold, (i*i/7)%3)
		sv, xv = append(sv, p.s, p.s*p.x), append(xv, p.x)
		if p.g == 0 {
			d.Y[i] = noOutcome
		}
	}
	d.S, d.X = mat.NewDense(600, 2, sv), mat.NewDense(600, 1, xv)
	form := func(peer bool) (tau, se float64) {
		mean := func(out int, value func(p person) float64, keep func(p person) bool) float64 {
			sum, n := 0.0, 0.0
			for i, p := range people {
				if d.Fold[i] != out && keep(p) {
					sum, n = sum+value(p), n+1
				}
			}
			return sum / n
		}
		share := 0.0
		for _, p := range people {
			share += (1 - p.g) / 600
		}
		psi := make([]float64, 600)
		for i, p := range people {
			k := d.Fold[i]
			mu := func(w, s float64) float64 {
				return mean(k, func(q person) float64 { return q.y }, func(q person) bool { return q.g == 1 && q.w == w && q.s == s && q.x == p.x })
			}
			is := func(keep func(q person) bool, of func(q person) bool) float64 {
				return mean(k, func(q person) float64 {
					if of(q) {
						return 1
					}
					return 0
				}, keep)
			}
			older := func(q person) bool { return q.g == 1 }
			bar := func(w float64) float64 {
				at := [2]float64{mu(w, 0), mu(w, 1)}
				return mean(k, func(q person) float64 { return at[int(q.s)] }, func(q person) bool { return q.g == 0 && q.w == w && q.x == p.x })
			}
			b1, b0, sign := bar(1), bar(0), 2*p.w-1
			if p.g == 1 {
				arm := p.w
				if peer {
					arm = 1
				}
				rho := is(func(q person) bool { return q.g == 1 && q.x == p.x }, func(q person) bool { return q.w == arm })
				gs := is(func(q person) bool { return q.s == p.s && q.x == p.x && q.w == p.w }, older)
				gw := is(func(q person) bool { return q.x == p.x && q.w == p.w }, older)
				gx := is(func(q person) bool { return q.x == p.x }, older)
				rho *= gs / (1 - gs)
				if !peer {
					rho *= (1 - gw) / gw
				}
				psi[i] = sign / rho * (1 - gx) / gx * (p.y - mu(p.w, p.s)) / share
			} else {
				rho := is(func(q person) bool { return q.g == 0 && q.x == p.x }, func(q person) bool { return q.w == p.w })
				psi[i] = (sign*(mu(p.w, p.s)-bar(p.w))/rho + b1 - b0) / share
			}
			tau += psi[i] / 600
		}
		for i, p := range people {
			v := psi[i] - (1-p.g)*tau/share
			se += v * v / (600 * 600)
		}
		return tau, math.Sqrt(se)
	}
	r, err := OutcomeBridge{OutcomeModel: "linear"}.Fit(t.Context(), d)
	require.NoError(t, err)
	// ν̄ linear in a covariate of 0 and 1 and ϱ logistic are cells, too; ν linear in s, x and sx is.
	tau, se := form(false)
	reftest.Near(t, "bridge", r.Estimates[0].Value, tau, 1e-8)
	reftest.Near(t, "error", r.Estimates[0].SE, se, 1e-8)
	tau, se = form(true)
	require.Greater(t, math.Abs(r.Estimates[0].Value-tau), 1e-3)
	require.Greater(t, math.Abs(r.Estimates[0].SE-se), 1e-3)
}

// Row order and workers move nothing; every option and weight moves something; copies are weights.
func TestOutcomeBridgeRelations(t *testing.T) {
	base := confounded(53, 0, 400, true)
	n := len(base.Unit)
	for i := range n {
		base.Cluster = append(base.Cluster, i/4)
	}
	e := OutcomeBridge{Folds: 3, Seed: 2, Tilt: []float64{.2}, Region: []float64{.1}}
	a, err := e.Fit(t.Context(), base)
	require.NoError(t, err)
	turned := base.pick(func(i int) int { return n - 1 - i })
	for i := range n {
		turned.Cluster = append(turned.Cluster, base.Cluster[n-1-i])
	}
	e.Workers = 3
	b, err := e.Fit(t.Context(), turned)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(a.Estimates, a.Details, a.Notes), fmt.Sprint(b.Estimates, b.Details, b.Notes))
	require.Equal(t, []string{"bridge", "index", "difference", "bridge,tilt=0.2", "bridge,tilt=0.1,bound=low", "bridge,tilt=0.1,bound=high"}, terms(a))
	for name, other := range map[string]OutcomeBridge{
		"folds": {Folds: 4, Seed: 2}, "seed": {Folds: 3, Seed: 3}, "outcome model": {Folds: 3, Seed: 2, OutcomeModel: "linear"},
		"treatment model": {Folds: 3, Seed: 2, TreatmentModel: "constant"}, "population": {Folds: 3, Seed: 2, Population: "older"},
	} {
		r, err := other.Fit(t.Context(), base)
		require.NoError(t, err)
		require.NotEqual(t, a.Estimates[0].Value, r.Estimates[0].Value, name)
	}
	alone := base.pick(func(i int) int { return i })
	r, err := OutcomeBridge{}.Fit(t.Context(), alone)
	require.NoError(t, err)
	alone.Cluster = base.Cluster
	c, err := OutcomeBridge{}.Fit(t.Context(), alone)
	require.NoError(t, err)
	require.NotEqual(t, r.Estimates[0].SE, c.Estimates[0].SE)

	// A weight of 2 is two people.
	weighted, copies := base.pick(func(i int) int { return i }), &SurrogateSample{SNames: base.SNames, XNames: base.XNames, Level: base.Level}
	weighted.Weight.Kind = estimate.Matching
	var sv, xv []float64
	for i := range n {
		w := 1 + i%2
		weighted.Weight.Values, weighted.Cluster = append(weighted.Weight.Values, float64(w)), append(weighted.Cluster, i)
		for k := range w {
			copies.Unit, copies.Older, copies.Treated = append(copies.Unit, fmt.Sprintf("%s-%d", base.Unit[i], k)), append(copies.Older, base.Older[i]), append(copies.Treated, base.Treated[i])
			copies.Y, copies.Cluster = append(copies.Y, base.Y[i]), append(copies.Cluster, i)
			sv, xv = append(sv, base.S.At(i, 0)), append(xv, base.X.At(i, 0))
		}
	}
	copies.S, copies.X = mat.NewDense(len(sv), 1, sv), mat.NewDense(len(xv), 1, xv)
	p, err := OutcomeBridge{Region: []float64{.1}}.Fit(t.Context(), weighted)
	require.NoError(t, err)
	q, err := OutcomeBridge{Region: []float64{.1}}.Fit(t.Context(), copies)
	require.NoError(t, err)
	for k := range p.Estimates {
		reftest.Agree(t, p.Estimates[k].Term, p.Estimates[k].Value, q.Estimates[k].Value, 8)
		reftest.Agree(t, "error of "+p.Estimates[k].Term, p.Estimates[k].SE, q.Estimates[k].SE, 7)
	}

	// The arms the other way round turn the sign.
	swapped := base.pick(func(i int) int { return i })
	for i := range swapped.Treated {
		swapped.Treated[i] = !swapped.Treated[i]
	}
	w, err := OutcomeBridge{}.Fit(t.Context(), swapped)
	require.NoError(t, err)
	reftest.Agree(t, "swapped", w.Estimates[0].Value, -r.Estimates[0].Value, 9)
	reftest.Agree(t, "its error", w.Estimates[0].SE, r.Estimates[0].SE, 8)
}

func terms(r *estimate.Result) (out []string) {
	for _, e := range r.Estimates {
		out = append(out, e.Term)
	}
	return out
}

func TestOutcomeBridgeRefuses(t *testing.T) {
	few := confounded(54, 0, 300, true)
	few.TreatedKnown = make([]bool, 300)
	for i := range few.TreatedKnown {
		few.TreatedKnown[i] = !few.Older[i] || !few.Treated[i] || i < 40
	}
	_, err := OutcomeBridge{}.Fit(t.Context(), few)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	require.ErrorContains(t, err, "older cohort")
	for i := range few.TreatedKnown {
		few.TreatedKnown[i] = !few.Older[i]
	}
	_, err = OutcomeBridge{}.Fit(t.Context(), few)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	// More folds than treated people of the older cohort.
	split := confounded(54, 0, 300, false)
	left := 8
	for i, old := range split.Older {
		if old && split.Treated[i] {
			if left--; left < 0 {
				split.Treated[i] = false
			}
		}
	}
	_, err = OutcomeBridge{MinPerArm: 1, Folds: 9}.Fit(t.Context(), split)
	require.ErrorContains(t, err, "9 folds")
	// Nobody of the older cohort's treated has what the programme's have.
	apart := confounded(54, 0, 300, false)
	for i := range 300 {
		if apart.Treated[i] == apart.Older[i] {
			apart.S.Set(i, 0, 10+apart.S.At(i, 0))
		}
	}
	_, err = OutcomeBridge{}.Fit(t.Context(), apart)
	require.ErrorIs(t, err, estimate.ErrSeparated)
	_, err = OutcomeBridge{Region: []float64{-1}}.Fit(t.Context(), confounded(54, 0, 300, true))
	require.Error(t, err)
	_, err = OutcomeBridge{Region: []float64{1}}.Fit(t.Context(), confounded(54, 0, 300, false))
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
