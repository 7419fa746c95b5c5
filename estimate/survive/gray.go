package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// GrayTest tests, cause by cause, that the cumulative incidence of the cause is the same
// in all groups (within strata). At each event time of a stratum, with Y_g at risk, d_g
// events of the cause, S_g Kaplan–Meier's curve of any event and F_g the cumulative
// incidence of the cause just before it, in group g,
//
//	h_g = Y_g/S_g,  R_g = h_g(1−F_g),  F(t) = Σ_{t_k≤t} d/Σh,  L = (1−F(t−))^ρ
//	U_g = Σ L(d_g − d·R_g/ΣR)
//	a_gk = L·h_g(1{g=k} − h_k/Σh),  c_gk(t) = Σ_{t_l≤t} a_gk(t_l)·d/(Σh·(1−F(t_l−)))
//	V_gj = Σ_k [ Σ τ₁(a_gk + b₁C_gk)(a_jk + b₁C_jk) + Σ τ₂ b₂² C_gk C_jk ],  C = c(end) − c(t)
//	τ₁ = (1 − (d−1)/(Σh·S_k−1))·S_k·d/(Σh·Y_k),      b₁ = 1 − (1−F(t))/S_k(t) (1 where S_k(t) = 0)
//	τ₂ = (1 − (e_k−1)/(Y_k−1))·S_k²·e_k/Y_k²,         b₂ = (1−F(t))/S_k(t)   (no term where S_k(t) = 0)
//
// where e_k counts events of other causes in group k, and the factors of ties are 1
// for a single event. χ² = U'V⁻U on (groups − 1) degrees of freedom.
//
// With sampling or matching weights, clusters or entry times (ρ = 0 only) it is the score test of the groups in Fine–Gray regression
// at β = 0 with a censoring curve for each group: the same U, but V from the influence function, the step that estimates the
// censoring curves included, summed within clusters without a factor.
//
// Estimates: term gray,cause=C, measure chi-square, causes as named. Details: gray ([]GrayRow), rho, vcov.
//
// Errors: those of [Competing.Check]; [estimate.ErrWeights] for frequency weights with clusters or entry times; [estimate.ErrTooFew] for fewer than two
// groups; [estimate.ErrNotIdentified] where the variance of a cause is singular.
//
// Source: Gray 1988, Annals of Statistics 16, with the corrections of cmprsk 2.2-11 for ties.
type GrayTest struct {
	Rho float64 // power of 1 − F in the weight, from 0
}

// A GrayRow is a row of details.gray.
type GrayRow struct {
	Cause     string  `json:"cause"`
	Events    int     `json:"events"`
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	P         float64 `json:"p_value"`
}

// Fit tests, and does not change f.
func (e GrayTest) Fit(ctx context.Context, f *Competing) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("gray: %w", err)
	}
	return res, nil
}

func (e GrayTest) fit(ctx context.Context, f *Competing) (*estimate.Result, error) {
	if !(e.Rho >= 0) || math.IsInf(e.Rho, 0) {
		return nil, fmt.Errorf("rho %v must be a finite number of at least 0", e.Rho)
	}
	times, err := f.times()
	if err != nil {
		return nil, err
	}
	if len(f.GroupNames) < 2 {
		return nil, fmt.Errorf("%w: the test compares two groups or more", estimate.ErrTooFew)
	}
	all := times.allRows()
	G := len(f.GroupNames)
	use := make([]bool, G)
	for _, i := range all {
		use[f.Group[i]] = true
	}
	for g, ok := range use {
		if !ok {
			return nil, fmt.Errorf("%w: group %q has no row with a weight above 0", estimate.ErrTooFew, f.GroupNames[g])
		}
	}
	if f.robust() || f.Entry != nil {
		if f.Weight.Kind == estimate.Frequency {
			return nil, fmt.Errorf("%w: frequency weights with entry times or clusters; write one unit a row", estimate.ErrWeights)
		}
		return e.robust(ctx, f, all)
	}
	rows := strata(f.Stratum, all)
	for s := range rows {
		rows[s] = byTime(f.Time, rows[s])
	}
	res := &estimate.Result{Method: "gray", Fit: estimate.Convergence{Converged: true}, N: estimate.Counts{Units: len(all)}}
	var list []GrayRow
	for j, name := range f.CauseNames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		u, v := make([]float64, G), mat.NewSymDense(G, nil)
		events := 0
		for _, r := range rows {
			newGray(e.Rho, f, j, u, v).stratum(r)
		}
		for _, i := range all {
			if f.Cause[i] == j {
				events++
			}
		}
		stat, df, err := chiSquare(u, v, use)
		if err != nil {
			return nil, fmt.Errorf("cause %q: %w", name, err)
		}
		est := chiSquareTest("gray,cause="+name, stat, df)
		res.Estimates = append(res.Estimates, est)
		res.N.Events += events
		list = append(list, GrayRow{Cause: name, Events: events, Statistic: stat, DF: df, P: est.Test.P})
	}
	if dropped := len(f.Time) - len(all); dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	res.Details = map[string]any{"gray": list, "rho": e.Rho, "vcov": "gray"}
	return res, nil
}

// gray is the test of one cause in one stratum. The variance needs C = c(end) − c(t), which
// is known only at the end: it is kept as the sums of τb² (square), τab (cross) and τa².
type gray struct {
	rho   float64
	f     *Competing
	cause int
	u     []float64
	v     *mat.SymDense

	risk, own, other []float64 // by group: at risk; events of the cause and of others now
	surv, inc        []float64 // by group, just before: S and F of the cause
	next             []float64 // S just after
	pooled           float64   // F just before
	a, c, cross      *mat.Dense
	square           []float64
}

func newGray(rho float64, f *Competing, cause int, u []float64, v *mat.SymDense) *gray {
	G := len(u)
	s := &gray{rho: rho, f: f, cause: cause, u: u, v: v, a: mat.NewDense(G, G, nil), c: mat.NewDense(G, G, nil), cross: mat.NewDense(G, G, nil)}
	for _, x := range []*[]float64{&s.risk, &s.own, &s.other, &s.surv, &s.inc, &s.next, &s.square} {
		*x = make([]float64, G)
	}
	for g := range G {
		s.surv[g], s.next[g] = 1, 1
	}
	return s
}

// stratum sweeps over rows in the order of time. Counts are whole numbers, so that the order of ties changes nothing.
func (s *gray) stratum(rows []int32) {
	f := s.f
	for _, i := range rows {
		s.risk[f.Group[i]] += f.weight(i)
	}
	for lo := 0; lo < len(rows); {
		t := f.Time[rows[lo]]
		hi, found := lo, false
		clear(s.own)
		clear(s.other)
		for ; hi < len(rows) && f.Time[rows[hi]] == t; hi++ {
			i := rows[hi]
			switch f.Cause[i] {
			case Censored:
			case s.cause:
				s.own[f.Group[i]] += f.weight(i)
				found = true
			default:
				s.other[f.Group[i]] += f.weight(i)
				found = true
			}
		}
		if found {
			s.step()
		}
		for ; lo < hi; lo++ {
			s.risk[f.Group[rows[lo]]] -= f.weight(rows[lo])
		}
	}
	s.finish()
}

// step adds one time with an event.
func (s *gray) step() {
	G := len(s.u)
	var d, others, h, r float64
	for g := range G {
		d, others = d+s.own[g], others+s.other[g]
		if s.risk[g] > 0 {
			s.next[g] = s.surv[g] * (s.risk[g] - s.own[g] - s.other[g]) / s.risk[g]
			h += s.risk[g] / s.surv[g]
			r += s.risk[g] * (1 - s.inc[g]) / s.surv[g]
		}
	}
	after := s.pooled + d/h
	L := math.Pow(1-s.pooled, s.rho)
	for g := range G {
		for k := range G {
			s.a.Set(g, k, 0)
			if s.risk[g] > 0 && s.risk[k] > 0 {
				x := -s.risk[k] / s.surv[k] / h
				if g == k {
					x++
				}
				s.a.Set(g, k, L*s.risk[g]/s.surv[g]*x)
				s.c.Set(g, k, s.c.At(g, k)+float64(s.a.At(g, k)*d/(h*(1-s.pooled))))
			}
		}
		if s.risk[g] > 0 {
			s.u[g] += float64(L * (s.own[g] - d*s.risk[g]*(1-s.inc[g])/(s.surv[g]*r)))
		}
	}
	for k := range G {
		if y := s.risk[k]; y > 0 {
			if d > 0 {
				b := 1.0
				if s.next[k] > 0 {
					b = 1 - (1-after)/s.next[k]
				}
				ties := 1.0
				if d > 1 {
					ties = 1 - (d-1)/(h*s.surv[k]-1)
				}
				s.variance(k, ties*s.surv[k]*d/(h*y), b, true)
			}
			if e := s.other[k]; e > 0 && s.next[k] > 0 {
				ties := 1.0
				if e > 1 {
					ties = 1 - (e-1)/(y-1)
				}
				s.variance(k, ties*s.surv[k]*s.surv[k]*e/(y*y), (1-after)/s.next[k], false)
			}
			s.inc[k] += s.surv[k] * s.own[k] / y
		}
	}
	s.pooled = after
	copy(s.surv, s.next)
}

// variance adds τ(x_g + b·c_g(end))(x_j + b·c_j(end)) for group k, x = a − b·c(t) for the
// cause itself and −b·c(t) for another.
func (s *gray) variance(k int, tau, b float64, own bool) {
	x := func(g int) float64 {
		v := -float64(b * s.c.At(g, k))
		if own {
			v += s.a.At(g, k)
		}
		return v
	}
	s.square[k] += float64(tau * b * b)
	for g := range s.u {
		s.cross.Set(g, k, s.cross.At(g, k)+float64(tau*b*x(g)))
		for j := g; j < len(s.u); j++ {
			s.v.SetSym(g, j, s.v.At(g, j)+float64(tau*x(g)*x(j)))
		}
	}
}

func (s *gray) finish() {
	for g := range s.u {
		for j := g; j < len(s.u); j++ {
			v := s.v.At(g, j)
			for k := range s.u {
				cg, cj := s.c.At(g, k), s.c.At(j, k)
				v += float64(cg*cj*s.square[k]) + float64(cg*s.cross.At(j, k)) + float64(cj*s.cross.At(g, k))
			}
			s.v.SetSym(g, j, v)
		}
	}
}
