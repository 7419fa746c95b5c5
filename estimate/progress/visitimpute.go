package progress

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// Strategy says what is assumed of people after an intercurrent event: of which distribution their scores come that nobody saw.
type Strategy string

// The strategies. Before the event, and of people without one, all are MAR.
const (
	MissingAtRandom Strategy = "mar"                       // as others of their arm with the same scores
	JumpToReference Strategy = "jump-to-reference"         // around the mean of comparison people from the event on
	CopyReference   Strategy = "copy-reference"            // around that of comparison people throughout
	CopyIncrements  Strategy = "copy-increments"           // from the own mean at the last visit before the event by comparison people's increments
	LastMean        Strategy = "last-mean-carried-forward" // around the own mean at the last visit before the event, in both arms
)

// allStrategies are the strategies in the order of the estimates.
var allStrategies = []Strategy{MissingAtRandom, JumpToReference, CopyReference, CopyIncrements, LastMean}

// visitEffects is the effect at each visit, and what one unit of shift of what is missing from the event on adds to it, by arm.
type visitEffects struct {
	effect []float64
	slope  [2][]float64
}

// distribution gives the coefficients (p×T) of the means that a group's scores come of, in units of the residuals, and their covariance.
func (d *visitData) distribution(m *visitModel, g *visitGroup, s Strategy) (*mat.Dense, *mat.SymDense) {
	own := m.sigma[m.which(g)]
	switch {
	case s == MissingAtRandom, g.event == d.T, g.arm == 0 && s != LastMean, s == LastMean && g.event == 0:
		return m.beta, own
	}
	// mean(t) is the coefficients of the mean at t in units of the score; a reference person's is a step of the arm below.
	mean := func(t int, reference bool) []float64 {
		c := make([]float64, d.p)
		less := 0.0
		for i := range c {
			c[i] = d.coef[t][i] + float64(d.scale[t]*m.beta.At(i, t))
			less += float64(d.step[i] * c[i])
		}
		if reference {
			for i, o := range d.one {
				c[i] -= float64(o * less)
			}
		}
		return c
	}
	beta := mat.DenseCopyOf(m.beta)
	set := func(t int, c []float64) {
		for i := range c {
			beta.Set(i, t, (c[i]-d.coef[t][i])/d.scale[t])
		}
	}
	e := g.event
	for t := range d.T {
		switch {
		case s == CopyReference, t >= e && (s == JumpToReference || s == CopyIncrements && e == 0):
			set(t, mean(t, true))
		case t >= e && s == CopyIncrements:
			c, from, ref := mean(e-1, false), mean(e-1, true), mean(t, true)
			for i := range c {
				c[i] += ref[i] - from[i]
			}
			set(t, c)
		case t >= e: // last mean
			set(t, mean(e-1, false))
		}
	}
	switch {
	case s == LastMean || !m.byArm:
		return beta, own
	case s == CopyReference || e == 0:
		return beta, m.sigma[0]
	}
	return beta, joined(own, m.sigma[0], e)
}

// joined is the covariance of scores that are as own before visit e, and given those as reference from e on (Carpenter, Roger and Kenward 2013).
func joined(own, reference *mat.SymDense, e int) *mat.SymDense {
	T := own.SymmetricDim()
	out := mat.NewSymDense(T, nil)
	var early mat.Cholesky
	early.Factorize(reference.SliceSym(0, e).(*mat.SymDense))
	// b = Σ₁₁⁻¹Σ₁₂ of the reference: scores after the event lean on those before by b.
	var b, lean, late mat.Dense
	cross := mat.NewDense(e, T-e, nil)
	for s := range e {
		for t := e; t < T; t++ {
			cross.Set(s, t-e, reference.At(s, t))
		}
	}
	if early.SolveTo(&b, cross) != nil {
		return reference
	}
	lean.Mul(own.SliceSym(0, e), &b)
	gap := mat.NewDense(e, e, nil)
	gap.Sub(own.SliceSym(0, e), reference.SliceSym(0, e))
	var half mat.Dense
	half.Mul(gap, &b)
	late.Mul(b.T(), &half)
	for s := range T {
		for t := range s + 1 {
			switch {
			case s < e:
				out.SetSym(s, t, own.At(s, t))
			case t < e:
				out.SetSym(s, t, lean.At(t, s-e))
			default:
				out.SetSym(s, t, reference.At(s, t)+(late.At(s-e, t-e)+late.At(t-e, s-e))/2)
			}
		}
	}
	return out
}

// effects fills in what is missing by its mean given everything seen, and gives the coefficient of the arm in least squares of the
// completed scores on z. Both are linear in the scores: the sums of products of the groups are enough.
func (d *visitData) effects(groups []visitGroup, m *visitModel, s Strategy) (*visitEffects, error) {
	zz, zy, shift := mat.NewSymDense(d.p, nil), mat.NewDense(d.p, d.T, nil), [2]*mat.Dense{mat.NewDense(d.p, d.T, nil), mat.NewDense(d.p, d.T, nil)}
	for k := range groups {
		g := &groups[k]
		for i := range d.p {
			for j := range i + 1 {
				zz.SetSym(i, j, zz.At(i, j)+g.zz[i*d.p+j])
			}
		}
		var seen, missing []int
		for t := range d.T {
			if g.seen&(1<<t) != 0 {
				seen = append(seen, t)
			} else {
				missing = append(missing, t)
			}
		}
		for _, t := range seen {
			for i := range d.p {
				zy.Set(i, t, zy.At(i, t)+g.zy[i*d.T+t])
			}
		}
		if len(missing) == 0 {
			continue
		}
		beta, sigma := d.distribution(m, g, s)
		// off is Σ z(y − z'β) of what was seen, and lean what is missing takes of it.
		var off, lean mat.Dense
		if len(seen) > 0 {
			off = *mat.NewDense(d.p, len(seen), nil)
			within, cross := mat.NewSymDense(len(seen), nil), mat.NewDense(len(seen), len(missing), nil)
			for a, t := range seen {
				for i := range d.p {
					off.Set(i, a, g.zy[i*d.T+t]-fitted(g.zz, beta, i, t))
				}
				for b, u := range seen[:a+1] {
					within.SetSym(a, b, sigma.At(t, u))
				}
				for b, u := range missing {
					cross.Set(a, b, sigma.At(t, u))
				}
			}
			var ch mat.Cholesky
			if !ch.Factorize(within) || ch.SolveTo(&lean, cross) != nil {
				return nil, fmt.Errorf("%w: the visits' covariance", estimate.ErrNotIdentified)
			}
		}
		for b, t := range missing {
			for i := range d.p {
				v := fitted(g.zz, beta, i, t)
				for a := range seen {
					v += float64(off.At(i, a) * lean.At(a, b))
				}
				zy.Set(i, t, zy.At(i, t)+v)
				if t >= g.event {
					sum := 0.0 // Σ z
					for j, o := range d.one {
						sum += float64(g.zz[i*d.p+j] * o)
					}
					shift[g.arm].Set(i, t, shift[g.arm].At(i, t)+sum)
				}
			}
		}
	}
	var ch mat.Cholesky
	if !ch.Factorize(zz) {
		return nil, fmt.Errorf("%w: arm and covariates decide each other", estimate.ErrCollinear)
	}
	out := &visitEffects{effect: make([]float64, d.T), slope: [2][]float64{make([]float64, d.T), make([]float64, d.T)}}
	of := func(right *mat.Dense) (v []float64) {
		var c mat.Dense
		_ = ch.SolveTo(&c, right)
		v = make([]float64, d.T)
		for t := range v {
			for i, h := range d.step {
				v[t] += float64(h * c.At(i, t))
			}
		}
		return v
	}
	for t, v := range of(zy) {
		out.effect[t] = float64(d.scale[t] * v)
		for i, h := range d.step {
			out.effect[t] += float64(h * d.coef[t][i])
		}
	}
	for a := range 2 {
		out.slope[a] = of(shift[a])
	}
	return out, nil
}

// fitted is Σ z_i z'β_t of a group.
func fitted(zz []float64, beta *mat.Dense, i, t int) float64 {
	p, _ := beta.Dims()
	v := 0.0
	for j := range p {
		v += float64(zz[i*p+j] * beta.At(j, t))
	}
	return v
}
