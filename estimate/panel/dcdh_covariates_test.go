package panel

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

// By hand: a enters in 3, c and d never. Changes of x in period 2: a 2, c 1, d 3, mean 2; in period 3, a has entered: c 0, d 2, mean 1. Of y: 4, 1, 5 and 0, 2.
// θ = (0·4 - 1 + 5 - 0 + 2)/(0 + 1 + 1 + 1 + 1) = 1.5. Event 0: a 10 - 1.5·4 = 4, c 0, d 2 - 3 = -1: 4.5. Event -2: a -(4 - 3) = -1, c -(1 - 1.5), d -(5 - 4.5): -1.
// Residuals of θ, period means 10/3 and 1: c 1 - 10/3 + 1.5 = -5/6 and -1 + 1.5 = 1/2, d 5 - 10/3 - 1.5 = 1/6 and 1 - 1.5: θ moves with c by (5/6 - 1/2)/4 = 1/12, with d by
// (1/6 - 1/2)/4 = -1/12, and event 0 with θ by -(4 - 1) = -3. a is alone: 4 - (4 + 0 - 1)/3 = 3; c and d -√2/2·(±1/2). SE² = 3² + 2(√2/4 + 1/4)².
func TestIntertemporalCovariatesByHand(t *testing.T) {
	f := rect([]int{3, 0, 0}, [][]float64{{0, 4, 14}, {0, 1, 1}, {2, 7, 9}})
	f.X, f.XNames = mat.NewDense(9, 1, []float64{0, 2, 6, 1, 2, 2, 0, 3, 5}), []string{"x"}
	res := mustStudy(t, Intertemporal{EventOptions: EventOptions{Bands: Pointwise}}, f)
	got := byTerm(res)
	for term, want := range map[string]float64{"event=-2": -1, "event=0": 4.5, Overall: 4.5} {
		reftest.Agree(t, term, got[term].Value, want, 12)
	}
	reftest.Agree(t, "error", got["event=0"].SE, math.Sqrt(9+2*math.Pow(math.Sqrt2/4+0.25, 2)), 12)
	x := res.Details["covariates"].([]map[string]any)[0]
	reftest.Agree(t, "theta", x["estimate"].(float64), 1.5, 12)
	reftest.Agree(t, "error of theta", x["std_error"].(float64), math.Sqrt2/12, 12)
	require.NotContains(t, res.Details, "did_m")
}

// drifting is onAndOff with a covariate that grows faster among units that will change, and an outcome that follows it.
func drifting(seed uint64, units int) (*Frame, []float64) {
	f, d := onAndOff(seed, units)
	start := map[string]bool{}
	for i := range d {
		if i > 0 && f.Unit[i] == f.Unit[i-1] && d[i] != d[i-1] {
			start[f.Unit[i]] = true
		}
	}
	f.XNames = []string{"x"}
	f.X = mat.NewDense(len(f.Y), 1, nil)
	for i, u := range f.Unit {
		r := num.NewStream(seed, "drifting", num.KeyedHash(uint64(f.Time[i]), u))
		x := r.Normal() + 0.3*float64(f.Time[i])
		if start[u] {
			x += 0.5 * float64(f.Time[i])
		}
		f.X.Set(i, 0, x)
		f.Y[i] += 1.2 * x
	}
	return f, d
}

// Trends that differ by a covariate are covered with it and missed without it.
func TestIntertemporalCovariatesCover(t *testing.T) {
	truth := map[string]float64{"event=-3": 0, "event=-2": 0, "event=0": 10.0 / 7, "event=1": 20.0 / 7, "event=2": (6 + 6 + 4 + 3 + 3 + 2) / 6.0}
	got := simulate(t, func(seed uint64) map[string]bool {
		f, d := drifting(seed, 240)
		out := map[string]bool{}
		for _, with := range []bool{true, false} {
			g := *f
			if !with {
				g.X, g.XNames = nil, nil
			}
			res, err := Intertemporal{EventOptions: EventOptions{Bands: Pointwise}, Treatment: d}.Fit(t.Context(), &g)
			if err != nil {
				panic(err)
			}
			for _, e := range res.Estimates {
				if want, ok := truth[e.Term]; ok && e.HasSE() {
					out[fmt.Sprint(e.Term, with)] = e.CI.Lo <= want && want <= e.CI.Hi
				}
			}
		}
		return out
	})
	for term := range truth {
		if share := got[term+"true"]; math.Abs(share-0.95) > band {
			t.Errorf("%s covers in %.4f", term, share)
		}
	}
	require.Less(t, got["event=2false"], 0.5)
	t.Log(fmt.Sprint(got))
}

// Row order, workers, levels of units and the scale of a covariate change nothing; weights, clusters and anticipation do; analytic and bootstrap errors agree; what x explains
// entirely leaves no effect.
func TestIntertemporalCovariatesRelations(t *testing.T) {
	f, d := drifting(5, 120)
	fit := func(e Intertemporal, g *Frame) *estimate.Result {
		if e.Treatment == nil {
			e.Treatment = d
		}
		res, err := e.Fit(t.Context(), g)
		require.NoError(t, err)
		return res
	}
	base := fit(Intertemporal{}, f)
	var rows []int
	var moved []float64
	for i := range f.Y {
		rows = append(rows, (i*7919+11)%len(f.Y))
		moved = append(moved, d[rows[i]])
	}
	for _, draws := range []int{0, 99} {
		a := fit(Intertemporal{Bootstrap: draws, EventOptions: EventOptions{Workers: 1}}, f)
		b := fit(Intertemporal{Bootstrap: draws, Treatment: moved, EventOptions: EventOptions{Workers: 3}}, f.rows(rows))
		require.Equal(t, fmt.Sprint(a.Estimates), fmt.Sprint(b.Estimates))
	}
	scaled := f.clone()
	for i, u := range f.Unit {
		scaled.X.Set(i, 0, 100*f.X.At(i, 0)+float64(num.KeyedHash(1, u)%50)+float64(f.Time[i]*f.Time[i]))
	}
	same := fit(Intertemporal{}, scaled)
	for i, e := range base.Estimates {
		reftest.Near(t, e.Term, same.Estimates[i].Value, e.Value, 1e-9)
		if e.HasSE() {
			reftest.Agree(t, e.Term+" se", same.Estimates[i].SE, e.SE, 7)
		}
	}
	drawn := fit(Intertemporal{Bootstrap: 499}, f)
	for i, e := range base.Estimates {
		if e.HasSE() {
			require.InDelta(t, 1.15, drawn.Estimates[i].SE/e.SE, 0.4, e.Term)
		}
	}
	heavy := f.clone()
	heavy.Weight = make([]float64, len(f.Y))
	for i, u := range f.Unit {
		heavy.Weight[i] = 0.5 + float64(num.KeyedHash(2, u)%100)/100
	}
	grouped := f.clone()
	grouped.Cluster = make([]string, len(f.Y))
	for i, u := range f.Unit {
		grouped.Cluster[i] = u[:3]
	}
	require.NotEqual(t, base.Estimates[0].Value, fit(Intertemporal{}, heavy).Estimates[0].Value)
	require.NotEqual(t, base.Estimates[0].SE, fit(Intertemporal{}, grouped).Estimates[0].SE)
	require.NotEqual(t, byTerm(base)["event=0"].Value, byTerm(fit(Intertemporal{EventOptions: EventOptions{Anticipation: 1}}, f))["event=0"].Value)
	// Weights of the last period are of no base row. What switchers do in the period before a change says nothing of θ where it may be anticipated.
	late := heavy.clone()
	early := f.clone()
	start := map[string]int{}
	for i := range d {
		if i > 0 && f.Unit[i] == f.Unit[i-1] && d[i] != d[i-1] && start[f.Unit[i]] == 0 {
			start[f.Unit[i]] = f.Time[i]
		}
	}
	for i, u := range f.Unit {
		if f.Time[i] == 6 {
			late.Weight[i] *= 3
		}
		if f.Time[i] == start[u]-1 {
			early.Y[i] += 9 * f.X.At(i, 0)
		}
	}
	require.Equal(t, fmt.Sprint(fit(Intertemporal{}, heavy).Estimates), fmt.Sprint(fit(Intertemporal{}, late).Estimates))
	one := Intertemporal{EventOptions: EventOptions{Anticipation: 1}}
	require.Equal(t, fit(one, f).Details["covariates"], fit(one, early).Details["covariates"])
	// Swapping 0 and 1 turns every effect around and changes no error.
	swapped := make([]float64, len(d))
	level := map[string]float64{}
	for i, v := range d {
		swapped[i] = 1 - v
		if f.Time[i] == 1 {
			level[f.Unit[i]] = v
		}
	}
	for i, e := range fit(Intertemporal{Treatment: swapped}, f).Estimates {
		reftest.Near(t, e.Term, e.Value, -base.Estimates[i].Value, 1e-11)
		if e.HasSE() {
			reftest.Agree(t, e.Term+" se", e.SE, base.Estimates[i].SE, 10)
		}
	}
	// Each first treatment has a slope and periods of its own.
	own := mapY(f, func(i int, _ float64) float64 {
		return 7 + (2.5-4*level[f.Unit[i]])*f.X.At(i, 0) + (0.1+level[f.Unit[i]])*float64(f.Time[i])
	})
	for _, e := range fit(Intertemporal{}, own).Estimates {
		reftest.Near(t, e.Term, e.Value, 0, 1e-10)
	}
	only := mapY(f, func(i int, _ float64) float64 { return 7 + 2.5*f.X.At(i, 0) + 0.1*float64(f.Time[i]) })
	for _, e := range fit(Intertemporal{}, only).Estimates {
		reftest.Near(t, e.Term, e.Value, 0, 1e-10)
	}
}

func TestIntertemporalCovariatesRefuse(t *testing.T) {
	f, d := drifting(6, 60)
	with := func(x func(i int) float64) *Frame {
		g := *f
		g.XNames = []string{"x", "z"}
		g.X = mat.NewDense(len(f.Y), 2, nil)
		for i := range f.Y {
			g.X.Set(i, 0, f.X.At(i, 0))
			g.X.Set(i, 1, x(i))
		}
		return &g
	}
	for name, x := range map[string]func(i int) float64{
		"constant in time": func(i int) float64 { return float64(num.KeyedHash(1, f.Unit[i]) % 9) },
		"alike for all":    func(i int) float64 { return 1e4 + 0.1*float64(f.Time[i]) },
		"another's":        func(i int) float64 { return 3*f.X.At(i, 0) + 5 },
	} {
		_, err := Intertemporal{Treatment: d}.Fit(t.Context(), with(x))
		require.ErrorIs(t, err, estimate.ErrCollinear, name)
		require.ErrorContains(t, err, `"z"`, name)
	}
	small := rect([]int{2, 0}, [][]float64{{0, 1}, {0, 2}})
	small.X, small.XNames = mat.NewDense(4, 1, []float64{1, 2, 1, 5}), []string{"x"}
	_, err := Intertemporal{}.Fit(t.Context(), small)
	require.ErrorIs(t, err, estimate.ErrCollinear)
	small = rect([]int{3, 0, 0}, [][]float64{{0, 1, 1}, {0, 2, 2}, {0, 2, 2}})
	small.X, small.XNames = mat.NewDense(9, 3, []float64{1, 2, 1, 5, 3, 3, 2, 2, 1, 4, 6, 6, 3, 8, 5, 4, 2, 2, 2, 9, 1, 7, 7, 8, 0, 1, 1}), []string{"x", "z", "v"}
	_, err = Intertemporal{}.Fit(t.Context(), small)
	require.ErrorIs(t, err, estimate.ErrTooFew)
}
