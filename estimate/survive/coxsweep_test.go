package survive

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

// coxPlain writes the likelihood out: for each event time of each stratum, sums over everybody
// in the stratum. l is the score residual of each row of the frame, wanted at b in the scale of the columns.
func coxPlain(f *Covaried, efron bool, b []float64) (ll float64, u []float64, info *mat.Dense, l *mat.Dense) {
	n, k := f.X.Dims()
	u, info, l = make([]float64, k), mat.NewDense(k, k, nil), mat.NewDense(n, k, nil)
	members := map[int][]int{}
	for i := range n {
		members[f.Stratum[i]] = append(members[f.Stratum[i]], i)
	}
	r := func(i int) float64 { return math.Exp(num.Dot(b, f.X.RawRowView(i))) }
	for _, rows := range members {
		times := map[float64]bool{}
		for _, i := range rows {
			if f.Event[i] {
				times[f.Time[i]] = true
			}
		}
		for t := range times {
			ties, wd := 0.0, 0.0
			for _, i := range rows {
				if f.Event[i] && f.Time[i] == t {
					ties++
					wd += f.weight(int32(i))
					ll += f.weight(int32(i)) * math.Log(r(i))
				}
			}
			steps := ties
			if !efron {
				steps = 1
			}
			for s := range int(steps) {
				s0, s1, s2 := 0.0, make([]float64, k), mat.NewDense(k, k, nil)
				part := make(map[int]float64)
				for _, i := range rows {
					if f.Time[i] < t || f.Entry != nil && f.Entry[i] >= t {
						continue
					}
					part[i] = 1
					if f.Event[i] && f.Time[i] == t {
						part[i] = 1 - float64(s)/ties
					}
					x, v := f.X.RawRowView(i), part[i]*f.weight(int32(i))*r(i)
					s0 += v
					for a := range k {
						s1[a] += v * x[a]
						for c := range k {
							s2.Set(a, c, s2.At(a, c)+v*x[a]*x[c])
						}
					}
				}
				each := wd / steps
				ll -= each * math.Log(s0)
				for a := range k {
					u[a] -= each * s1[a] / s0
					for c := range k {
						info.Set(a, c, info.At(a, c)+each*(s2.At(a, c)/s0-s1[a]/s0*s1[c]/s0))
					}
				}
				for i, p := range part {
					x := f.X.RawRowView(i)
					own := f.Event[i] && f.Time[i] == t
					for a := range k {
						d := x[a] - s1[a]/s0
						v := -p * r(i) * each / s0 * d
						if own {
							v += d / steps
						}
						l.Set(i, a, l.At(i, a)+v)
					}
				}
			}
			for _, i := range rows {
				if f.Event[i] && f.Time[i] == t {
					for a, x := range f.X.RawRowView(i) {
						u[a] += f.weight(int32(i)) * x
					}
				}
			}
		}
	}
	return ll, u, info, l
}

// Likelihood, score, information, score residuals and the sums of the proportionality test are those
// of the formula written out, over many chunks of rows: few strata and many, late entry, weights, both kinds of ties.
func TestCoxIsTheFormulaWrittenOut(t *testing.T) {
	for _, c := range []struct {
		n, strata   int
		late, efron bool
		weights     bool
	}{{20000, 1, true, false, true}, {6000, 1, false, true, false}, {8500, 2, true, true, true}, {9000, 1500, true, false, false}, {9000, 1500, false, true, true}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			f := coxSample(11, c.n, c.late)
			for i := range f.Stratum {
				f.Stratum[i] = i * 7 % c.strata
				f.Event[i] = f.Event[i] && (!c.efron || c.strata > 2 || i%9 == 0) // terms of Efron's likelihood times rows are what this takes
				if c.weights {
					f.Weight.Values, f.Weight.Kind = append(f.Weight.Values, 0.5+float64(i%5)), estimate.Sampling
				}
			}
			order, err := idOrder(f.Unit)
			require.NoError(t, err)
			m, err := newCoxModel(f, order, c.efron, 0)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(m.chunks)-1, 1+c.n/6000)
			b := []float64{0.3, -0.02, 0.4}
			scaled := make([]float64, 3)
			shift := 0.0
			for a := range b {
				scaled[a] = b[a] * m.sd[a]
				shift += b[a] * m.mean[a]
			}
			p := m.point(scaled)
			ll, u, info, l := coxPlain(f, c.efron, b)
			reftest.Agree(t, "log likelihood", p.ll, ll, 11)
			p.chol = make([]float64, 9)
			require.Negative(t, cholesky(p.info, p.chol, 0))
			inf := m.influence(p)
			solve := mat.NewDense(3, 3, nil)
			require.NoError(t, solve.Inverse(info))
			for a := range 3 {
				reftest.Near(t, "score", p.u[a]*m.sd[a], u[a], 1e-9*math.Sqrt(info.At(a, a)))
				for q := range 3 {
					reftest.Near(t, "information", p.info.At(a, q)*m.sd[a]*m.sd[q], info.At(a, q), 1e-9*math.Sqrt(info.At(a, a)*info.At(q, q)))
				}
			}
			for i := 0; i < c.n; i += 13 {
				for a := range 3 {
					want := 0.0
					for q := range 3 {
						want += solve.At(a, q) * f.weight(int32(i)) * l.At(i, q)
					}
					reftest.Near(t, "influence", inf.At(i, a), want, 1e-9*math.Sqrt(solve.At(a, a)))
				}
			}
		})
	}
}

// Any number of workers and any order of rows: the same bytes.
func TestCoxWorkers(t *testing.T) {
	f := coxSample(12, 12000, true)
	for i := range f.Stratum {
		f.Weight.Values, f.Weight.Kind = append(f.Weight.Values, 0.5+num.NewStream(12, "w", uint64(i)).Float()), estimate.Matching
	}
	base := mustCox(t, Cox{Workers: 1}, f)
	for _, workers := range []int{2, 7} {
		res := mustCox(t, Cox{Workers: workers}, f)
		require.Equal(t, base.Estimates, res.Estimates)
		require.Equal(t, base.Details, res.Details)
		require.Equal(t, base.Influence, res.Influence)
	}
}

// Two hazards that cross: the test of proportional hazards says so. On the sums of slots written out: U = Σ g·u and its variance.
func TestCoxZPHIsTheFormulaWrittenOut(t *testing.T) {
	f := coxSample(13, 6000, true)
	for _, clock := range []string{"identity", "km"} {
		e := Cox{ZPH: clock, Ties: "breslow"}
		res := mustCox(t, e, f)
		order, err := idOrder(f.Unit)
		require.NoError(t, err)
		m, err := newCoxModel(f, order, false, 0)
		require.NoError(t, err)
		g := map[float64]float64{}
		if clock == "identity" {
			for _, x := range f.Time {
				g[x] = x
			}
		} else {
			km := f.Times
			c, err := km.curves(0)
			require.NoError(t, err)
			for s, x := range c[0].time {
				g[x] = 1 - c[0].surv[s]
			}
		}
		b := make([]float64, 3)
		for a, est := range res.Estimates {
			b[a] = est.Value
		}
		// Event time by event time: the formula on those who have the event at one time only.
		u, v, vg, vgg := make([]float64, 3), mat.NewDense(3, 3, nil), mat.NewDense(3, 3, nil), mat.NewDense(3, 3, nil)
		for x, gx := range g {
			one := *f
			one.Event = make([]bool, len(f.Event))
			any := false
			for i := range f.Event {
				one.Event[i] = f.Event[i] && f.Time[i] == x
				any = any || one.Event[i]
			}
			if !any {
				continue
			}
			_, ux, vx, _ := coxPlain(&one, false, b)
			for a := range 3 {
				u[a] += gx * ux[a]
				for c := range 3 {
					v.Set(a, c, v.At(a, c)+vx.At(a, c))
					vg.Set(a, c, vg.At(a, c)+gx*vx.At(a, c))
					vgg.Set(a, c, vgg.At(a, c)+gx*gx*vx.At(a, c))
				}
			}
		}
		var inv, tmp, fix mat.Dense
		require.NoError(t, inv.Inverse(v))
		tmp.Mul(vg, &inv)
		fix.Mul(&tmp, vg)
		vgg.Sub(vgg, &fix)
		rows := res.Details["zph"].([]ZPHRow)
		for a := range 3 {
			reftest.Agree(t, clock, rows[a].Statistic, u[a]*u[a]/vgg.At(a, a), 7)
		}
		require.NoError(t, inv.Inverse(vgg))
		var all float64
		for a := range 3 {
			for c := range 3 {
				all += u[a] * inv.At(a, c) * u[c]
			}
		}
		reftest.Agree(t, clock+" global", rows[3].Statistic, all, 7)
		require.NotEmpty(t, m.clock(clock == "identity"))
	}
}

// Concordance pair by pair, in few strata and many, with late entry and with weights.
func TestCoxConcordancePairByPair(t *testing.T) {
	for _, weights := range []bool{false, true} {
		f := coxSample(17, 400, true)
		for i := range f.Stratum {
			if f.Stratum[i] = i % 90; i < 100 {
				f.Stratum[i] = 0
			}
			if weights {
				f.Weight.Values, f.Weight.Kind = append(f.Weight.Values, float64(1+i%3)), estimate.Sampling
			}
			f.X.Set(i, 0, math.Round(2*f.X.At(i, 0)))
			f.X.Set(i, 1, math.Round(f.X.At(i, 1)/20)+float64(i%2))
		}
		res := mustCox(t, Cox{}, f)
		eta := func(i int) (x float64) {
			for a, e := range res.Estimates {
				x += e.Value * f.X.At(i, a)
			}
			return x
		}
		agree, pairs := 0.0, 0.0
		for i := range f.Time {
			for j := range f.Time {
				if !f.Event[i] || f.Stratum[i] != f.Stratum[j] || f.Entry[j] >= f.Time[i] || f.Time[j] < f.Time[i] || f.Time[j] == f.Time[i] && f.Event[j] {
					continue
				}
				w := f.weight(int32(i)) * f.weight(int32(j))
				pairs += w
				switch d := eta(i) - eta(j); {
				case math.Abs(d) < 1e-9:
					agree += w / 2
				case d > 0:
					agree += w
				}
			}
		}
		reftest.Agree(t, "concordance", res.Details["concordance"].(float64), agree/pairs, 12)
	}
}
