package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// Plausible are values of the trait drawn for each person: Draws completed data sets, each
// to be analysed as if the trait had been seen, and joined by Rubin's rules ([combine.Rubin]).
// NaN for a person who takes no part.
type Plausible struct {
	Unit   []string
	Before [][]float64 // draws × persons; the only wave of one-wave answers
	After  [][]float64 // nil for one wave
}

// PlausibleValues draws the trait of each person from its posterior given the answers and the
// group, at parameters drawn anew for each data set:
//
//	parameters* ~ N(estimate, V),  θ*_i ~ p(θ | answers of i, group of i, parameters*)
//
// V the covariance of the model: I⁻¹, with sampling or matching weights or clusters the sandwich.
// An analysis may use only groups that the model knew: give the groups to be compared with
// the answers. EAP scores in their place would be shrunken towards the mean and too alike.
// θ* is a node of the quadrature plus a uniform part of its cell, scaled to keep mean and
// variance of the posterior. Every draw has a stream of its own, keyed by seed, data set and unit.
//
// Weights and clusters belong into the analysis of the values as well. Errors: those of the model, and [estimate.ErrWeights]
// for frequencies: people in one row would get one value.
//
// Mislevy (1991); Rubin (1987).
type PlausibleValues struct {
	Model   ItemModel // "" = graded
	Draws   int       // data sets; 0 = 20
	Seed    uint64
	Workers int // goroutines; 0 means all cores. Never changes a result
}

func (e PlausibleValues) check(w estimate.Weights) (PlausibleValues, error) {
	if e.Draws < 0 || e.Draws == 1 {
		return e, invalid("%d data sets; at least 2 are needed to tell their spread", e.Draws)
	}
	if w.Values != nil && w.Kind == estimate.Frequency {
		return e, fmt.Errorf("plausible values: %w: frequencies; write one person a row", estimate.ErrWeights)
	}
	if e.Draws == 0 {
		e.Draws = 20
	}
	if e.Model == "" {
		e.Model = Graded
	}
	return e, nil
}

// Draw draws from the answers of one wave.
func (e PlausibleValues) Draw(ctx context.Context, a *Answers) (*Plausible, error) {
	e, err := e.check(a.Weight)
	if err != nil {
		return nil, err
	}
	f, err := newAnswerFit(ctx, a, e.Model, true, e.Workers)
	if err != nil {
		return nil, fmt.Errorf("plausible values: %w", err)
	}
	v, err := f.d.robust(f.p.of, f.post.score, f.v, e.Workers)
	if err != nil {
		return nil, err
	}
	draws, err := e.parameters(f.m.point(), v, func(p []float64) bool { f.m.get(p); return f.m.valid() })
	if err != nil {
		return nil, err
	}
	out := &Plausible{Unit: a.Unit}
	persons := f.d.byPattern(f.p)
	for k, p := range draws {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.m.get(p)
		f.m.nodes(f.m.fine)
		t := f.m.tables()
		value := missingValues(len(a.Unit))
		chunks := (f.p.n + irtChunk - 1) / irtChunk
		num.ForEach(chunks, e.Workers, func(c int) {
			path := newIRTPath(t, f.p)
			post := make([]float64, t.nq)
			for i := c * irtChunk; i < min((c+1)*irtChunk, f.p.n); i++ {
				prod, total, _ := path.step(i)
				floats.ScaleTo(post, 1/total, prod)
				for _, person := range persons[i] {
					st := e.stream(k, a.Unit[person])
					value[person] = smooth(st, f.m.theta, pick(st, post), post)
				}
			}
		})
		out.Before = append(out.Before, value)
	}
	return out, nil
}

// DrawWaves draws from both waves; change names what may differ between them.
func (e PlausibleValues) DrawWaves(ctx context.Context, w *Waves, change LatentChange) (*Plausible, error) {
	e, err := e.check(w.Weight)
	if err != nil {
		return nil, err
	}
	change.Model, change.NoErrors, change.Workers = e.Model, false, e.Workers
	f, err := change.fitWaves(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("plausible values: %w", err)
	}
	return e.drawWaves(ctx, f, w.Unit)
}

// drawWaves draws from a fit, which it leaves at other parameters.
func (e PlausibleValues) drawWaves(ctx context.Context, f *waveFit, unit []string) (*Plausible, error) {
	v, err := f.d.robust(f.p.of, f.score, f.v, e.Workers)
	if err != nil {
		return nil, err
	}
	draws, err := e.parameters(f.free, v, func(p []float64) bool { f.m.get(p); return f.m.valid() })
	if err != nil {
		return nil, err
	}
	out := &Plausible{Unit: unit}
	persons := f.d.byPattern(&f.p.irtPatterns)
	for k, p := range draws {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f.m.get(p)
		f.m.nodes(min(f.m.step, fineStep))
		t := f.m.tables()
		before, after := missingValues(len(unit)), missingValues(len(unit))
		num.ForEach(len(f.p.ranges), e.Workers, func(r int) {
			g, lo, hi := f.p.ranges[r][0], f.p.ranges[r][1], f.p.ranges[r][2]
			c := f.p.likelihood(t, f.p.ranges[r])
			p1, p2, next := make([]float64, t.nq), make([]float64, t.nq), make([]float64, t.nq)
			for i := range hi - lo {
				floats.MulTo(p1, c.before.RawRowView(i), c.toBefore.RawRowView(i))
				floats.Scale(1/c.total[i], p1)
				floats.MulTo(p2, c.after.RawRowView(i), c.toAfter.RawRowView(i))
				floats.Scale(1/c.total[i], p2)
				for _, person := range persons[lo+i] {
					st := e.stream(k, unit[person])
					q := pick(st, p1)
					floats.MulTo(next, t.next[g].RawRowView(q), c.after.RawRowView(i))
					floats.Scale(1/floats.Sum(next), next)
					s := pick(st, next)
					before[person] = smooth(st, f.m.theta, q, p1)
					after[person] = smooth(st, f.m.theta, s, p2)
				}
			}
		})
		out.Before, out.After = append(out.Before, before), append(out.After, after)
	}
	return out, nil
}

// robust is the covariance of the parameters: v, or with weights or clusters that of their influence functions.
func (d *irtData) robust(of []int32, score *mat.Dense, v *mat.SymDense, workers int) (*mat.SymDense, error) {
	if d.cluster == nil && d.kind == estimate.NoWeights {
		return v, nil
	}
	var inf mat.Dense
	inf.Mul(score, v)
	_, k := inf.Dims()
	all, order := mat.NewDense(len(of), k, nil), make([]int32, 0, len(d.order))
	for _, i := range d.order {
		floats.ScaleTo(all.RawRowView(int(i)), d.weight[i], inf.RawRowView(int(of[i])))
		order = append(order, int32(i))
	}
	out, _, err := survive.Covariance(all, order, d.cluster, workers)
	return out, err
}

func missingValues(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}

// byPattern lists the persons of each pattern.
func (d *irtData) byPattern(p *irtPatterns) [][]int {
	out := make([][]int, p.n)
	for _, i := range d.order {
		out[p.of[i]] = append(out[p.of[i]], i)
	}
	return out
}

func (e PlausibleValues) stream(draw int, unit string) *num.Stream {
	return num.NewStream(e.Seed, fmt.Sprint("plausible-values/", draw), num.KeyedHash(e.Seed, unit))
}

// parameters draws points from the normal distribution around the estimate; one that is no model (thresholds
// out of order) is drawn again.
func (e PlausibleValues) parameters(at []float64, v *mat.SymDense, valid func([]float64) bool) ([][]float64, error) {
	defer valid(at)
	if len(at) == 0 {
		out := make([][]float64, e.Draws)
		return out, nil
	}
	var chol mat.Cholesky
	if !chol.Factorize(v) {
		return nil, fmt.Errorf("plausible values: %w: the covariance of the parameters", estimate.ErrNotIdentified)
	}
	var l mat.TriDense
	chol.LTo(&l)
	var out [][]float64
	for k := range e.Draws {
		st := num.NewStream(e.Seed, "plausible-parameters", uint64(k))
		for try := 0; ; try++ {
			if try == 1000 {
				return nil, fmt.Errorf("plausible values: %w: the parameters are so uncertain that draws of them are no model", estimate.ErrNotIdentified)
			}
			p := make([]float64, len(at))
			z := make([]float64, len(at))
			for a := range z {
				z[a] = st.Normal()
			}
			for a := range p {
				p[a] = at[a]
				for b := range a + 1 {
					p[a] += float64(l.At(a, b) * z[b])
				}
			}
			if valid(p) {
				out = append(out, p)
				break
			}
		}
	}
	return out, nil
}

// pick draws a node.
func pick(st *num.Stream, p []float64) int {
	u, sum := st.Float(), 0.0
	for q, v := range p {
		if sum += v; u < sum {
			return q
		}
	}
	last := len(p) - 1
	for last > 0 && p[last] == 0 {
		last--
	}
	return last
}

// smooth spreads a node over its cell, then pulls towards the posterior mean so that mean and variance of
// the posterior stay what they were.
func smooth(st *num.Stream, theta []float64, q int, post []float64) float64 {
	h := theta[1] - theta[0]
	mean, square := floats.Dot(post, theta), 0.0
	for i, p := range post {
		e := theta[i] - mean
		square += float64(p * e * e)
	}
	v := theta[q] + float64(h*(st.Float()-0.5))
	return mean + float64((v-mean)*math.Sqrt(square/(square+h*h/12)))
}
