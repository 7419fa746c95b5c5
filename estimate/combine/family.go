package combine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// How a [Family] is adjusted.
const (
	HolmMethod               = "holm"
	BenjaminiHochbergMethod  = "bh"
	BenjaminiYekutieliMethod = "by"
	RomanoWolfMethod         = "romano-wolf"
	SupTMethod               = "sup-t"
)

// FamilyMethods returns the methods of [Family].
func FamilyMethods() []string {
	return []string{HolmMethod, BenjaminiHochbergMethod, BenjaminiYekutieliMethod, RomanoWolfMethod, SupTMethod}
}

// Member is one estimate of a family.
type Member struct {
	Name     string // unique in the family
	Estimate estimate.Estimate
	// Influence is the estimate's influence function (already divided by n, see
	// [estimate.Result]) and Group the name of the person or cluster that each row
	// belongs to: rows of one group are dependent, in this member and between members.
	// Both are needed for romano-wolf and sup-t only.
	Influence []float64
	Group     []string
}

// Family adjusts the tests of several estimates for there being several. The test of a
// member is its own (Estimate.Test): kind of error and degrees of freedom stay.
//
// holm, bh and by need the p-values alone ([Holm], [BenjaminiHochberg],
// [BenjaminiYekutieli]). romano-wolf and sup-t use how the estimates move together and
// so lose less power. With ψₖ(g) the sum of member k's influence over group g, a
// multiplier bootstrap with standard normal multipliers ξ of the groups,
//
//	Z*ₖ = Σ_g ξ(g)·ψₖ(g)/√(Σ_g ψₖ(g)²),
//
// is, given the data, normal with mean 0 and the correlations of the ψ, and is drawn as
// that. With zₖ the normal deviate of member k's own p-value and z₍₁₎ ≥ z₍₂₎ ≥ …,
//
//	romano-wolf: p̃₍ᵢ₎ = max(p̃₍ᵢ₋₁₎, (1 + #{max over j ≥ i of |Z*₍ⱼ₎| ≥ z₍ᵢ₎})/(B+1))
//	sup-t:       p̃ₖ   = (1 + #{max over all j of |Z*ⱼ| ≥ zₖ})/(B+1)
//
// Both hold the family-wise error. No p-value falls below 1/(B+1), nor below the
// member's own. sup-t also gives intervals that hold for all members at once, θ̂ ± c·SE,
// c the ⌈B·level⌉-th smallest maximum, as a t quantile where the member's test has
// degrees of freedom; ratios (a test of 1) on the log scale.
//
// A member without a p-value takes no part, is NaN in the result, and is counted in the
// note "family-without-test".
//
// Errors: [ErrOption], [estimate.ErrTooFew] (no member with a test),
// [estimate.ErrInvalidFrame] (influence that is missing, has another length than its
// groups, is not finite or is all 0; a name given twice).
//
// Source: Romano and Wolf (2005), Econometrica 73(4), algorithm 4.2 with studentised
// statistics; (2016), Statistics and Probability Letters 113, for p-values.
type Family struct {
	Members    []Member
	Method     string
	Level      float64 // of sup-t's intervals; 0 means 0.95
	Replicates int     // B of romano-wolf and sup-t, at least 199; 0 means 9999
	Seed       uint64
	Workers    int // never changes the result
}

// Adjusted is what [Family.Adjust] gives, in the order of the members.
type Adjusted struct {
	Method string
	P      []float64 // adjusted; NaN for a member without a test
	// Interval is each member's simultaneous interval; nil but for sup-t.
	Interval []estimate.Interval
	Critical float64 // sup-t's c; NaN otherwise
	Notes    []table.Note
}

// Adjust returns the adjusted p-values.
func (f Family) Adjust(ctx context.Context) (*Adjusted, error) {
	out, err := f.adjust(ctx)
	if err != nil {
		return nil, fmt.Errorf("family of %d tests: %w", len(f.Members), err)
	}
	return out, nil
}

func (f Family) adjust(ctx context.Context) (*Adjusted, error) {
	if f.Level == 0 {
		f.Level = 0.95
	}
	drawn := f.Method == RomanoWolfMethod || f.Method == SupTMethod
	switch {
	case !slices.Contains(FamilyMethods(), f.Method):
		return nil, fmt.Errorf("%w: multiplicity %q; known are %s", ErrOption, f.Method, strings.Join(FamilyMethods(), ", "))
	case !drawn && (f.Replicates != 0 || f.Seed != 0):
		return nil, fmt.Errorf("%w: %s draws nothing and uses neither replicates nor seed", ErrOption, f.Method)
	case drawn && f.Replicates != 0 && f.Replicates < 199:
		return nil, fmt.Errorf("%w: replicates must be at least 199", ErrOption)
	case !(f.Level > 0 && f.Level < 1):
		return nil, fmt.Errorf("%w: confidence level %v is not between 0 and 1", ErrOption, f.Level)
	}
	if f.Replicates == 0 {
		f.Replicates = 9999
	}
	out := &Adjusted{Method: f.Method, P: make([]float64, len(f.Members)), Critical: math.NaN()}
	var in []int
	seen := map[string]bool{}
	for i, m := range f.Members {
		if seen[m.Name] {
			return nil, fmt.Errorf("%w: two members have one name", estimate.ErrInvalidFrame)
		}
		seen[m.Name] = true
		out.P[i] = math.NaN()
		if !math.IsNaN(m.Estimate.Test.P) {
			in = append(in, i)
		}
	}
	if gone := len(f.Members) - len(in); gone > 0 {
		out.Notes = append(out.Notes, table.Note{Code: "family-without-test", Args: map[string]any{"members": gone},
			Text: fmt.Sprintf("%d of the numbers that are tested together have no test of their own and do not count among them.", gone)})
	}
	// Members by name, so that the order in which they are listed moves no draw.
	slices.SortFunc(in, func(a, b int) int { return strings.Compare(f.Members[a].Name, f.Members[b].Name) })
	p := make([]float64, len(in))
	for k, i := range in {
		p[k] = f.Members[i].Estimate.Test.P
	}
	var err error
	switch f.Method {
	case HolmMethod:
		p, err = Holm(p)
	case BenjaminiHochbergMethod:
		p, err = BenjaminiHochberg(p)
	case BenjaminiYekutieliMethod:
		p, err = BenjaminiYekutieli(p)
	default:
		p, err = f.drawn(ctx, in, p, out)
	}
	if err != nil {
		return nil, err
	}
	for k, i := range in {
		out.P[i] = p[k]
	}
	return out, ctx.Err()
}

// drawn adjusts the p-values of the members in by their joint distribution.
func (f Family) drawn(ctx context.Context, in []int, p []float64, out *Adjusted) ([]float64, error) {
	if _, err := Holm(p); err != nil { // its checks
		return nil, err
	}
	r, err := f.correlation(in)
	if err != nil {
		return nil, err
	}
	z := make([]float64, len(p))
	order := make([]int, len(p))
	for k, v := range p {
		z[k], order[k] = -num.NormalQuantile(v/2), k
	}
	if f.Method == RomanoWolfMethod {
		slices.SortStableFunc(order, func(a, b int) int { return compare(p[a], p[b]) })
	}
	// largest[i] of a draw is the largest |Z| among order[i:].
	count := make([]int, len(p))
	root := rootOf(r)
	top := make([]float64, f.Replicates)
	const block = 64
	blocks := (f.Replicates + block - 1) / block
	counts := make([][]int, blocks)
	num.ForEach(blocks, f.Workers, func(b int) {
		counts[b] = make([]int, len(p))
		e, d := make([]float64, len(p)), make([]float64, len(p))
		for draw := b * block; draw < min((b+1)*block, f.Replicates); draw++ {
			if ctx.Err() != nil {
				return
			}
			stream := num.NewStream(f.Seed, "multiplicity", uint64(draw))
			for j := range e {
				e[j] = stream.Normal()
			}
			for j := range d {
				d[j] = math.Abs(num.Dot(root.RawRowView(j), e))
			}
			top[draw] = slices.Max(d)
			largest := 0.0
			for i := len(order) - 1; i >= 0; i-- {
				largest = math.Max(largest, d[order[i]])
				reach := largest
				if f.Method == SupTMethod {
					reach = top[draw]
				}
				if reach >= z[order[i]] {
					counts[b][i]++
				}
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, c := range counts {
		for i, v := range c {
			count[i] += v
		}
	}
	adj := make([]float64, len(p))
	last := 0.0
	for i, k := range order {
		adj[k] = math.Max(p[k], float64(1+count[i])/float64(f.Replicates+1))
		if f.Method == RomanoWolfMethod {
			last = math.Max(last, adj[k])
			adj[k] = last
		}
	}
	if f.Method == SupTMethod {
		slices.Sort(top)
		rank := min(int(math.Ceil(float64(f.Replicates)*f.Level))-1, f.Replicates-1)
		out.Critical = math.Max(top[rank], num.StudentQuantile(f.Level, math.Inf(1)))
		out.Interval = make([]estimate.Interval, len(f.Members))
		for i := range out.Interval {
			out.Interval[i] = estimate.Interval{Lo: math.NaN(), Hi: math.NaN(), Level: f.Level, Method: "uniform-band"}
		}
		for _, i := range in {
			out.Interval[i] = f.interval(f.Members[i].Estimate, out.Critical)
		}
	}
	return adj, nil
}

// interval is that of a member at the critical value.
func (f Family) interval(e estimate.Estimate, critical float64) estimate.Interval {
	q := critical
	if !math.IsInf(e.Test.DF, 1) {
		q = num.StudentQuantile(1-num.NormalTail(critical), e.Test.DF)
	}
	i := estimate.Interval{Level: f.Level, Method: "uniform-band"}
	if e.Test.Null == 1 {
		s := float64(q*e.SE) / e.Value
		i.Lo, i.Hi = e.Value*math.Exp(-s), e.Value*math.Exp(s)
		return i
	}
	i.Lo, i.Hi = e.Value-float64(q*e.SE), e.Value+float64(q*e.SE)
	return i
}

// correlation is that of the members' influence, summed by group.
func (f Family) correlation(in []int) (*mat.SymDense, error) {
	index := map[string]int{}
	var names []string
	for _, i := range in {
		m := f.Members[i]
		if len(m.Influence) == 0 || len(m.Influence) != len(m.Group) {
			return nil, fmt.Errorf("%w: member %q: %d rows of influence for %d groups; %s needs both, holm needs neither", estimate.ErrInvalidFrame, m.Name, len(m.Influence), len(m.Group), f.Method)
		}
		for r, g := range m.Group {
			if math.IsNaN(m.Influence[r]) || math.IsInf(m.Influence[r], 0) {
				return nil, fmt.Errorf("%w: member %q: row %d of its influence is not a finite number", estimate.ErrInvalidFrame, m.Name, r+1)
			}
			if _, ok := index[g]; !ok {
				index[g] = 0
				names = append(names, g)
			}
		}
	}
	slices.Sort(names)
	for at, g := range names {
		index[g] = at
	}
	sums := make([][]float64, len(in))
	for k, i := range in {
		m := f.Members[i]
		sum := sumByGroup(m, index)
		length := math.Sqrt(num.Dot(sum, sum))
		if !(length > 0 && length <= math.MaxFloat64) {
			return nil, fmt.Errorf("%w: member %q: its influence is 0 in every group", estimate.ErrInvalidFrame, m.Name)
		}
		for g := range sum {
			sum[g] /= length
		}
		sums[k] = sum
	}
	r := mat.NewSymDense(len(in), nil)
	for a := range in {
		r.SetSym(a, a, 1)
		for b := a + 1; b < len(in); b++ {
			r.SetSym(a, b, math.Max(-1, math.Min(1, num.Dot(sums[a], sums[b]))))
		}
	}
	return r, nil
}

// sumByGroup adds a member's influence up by group, the rows of a group in the order of
// their values: that of the rows must not move the rounding.
func sumByGroup(m Member, index map[string]int) []float64 {
	sum := make([]float64, len(index))
	for _, r := range num.OrderFloats(m.Influence) {
		sum[index[m.Group[r]]] += m.Influence[r]
	}
	return sum
}

// rootOf returns M with MM' = r, for correlations that may be singular.
func rootOf(r *mat.SymDense) *mat.Dense {
	var eig mat.EigenSym
	if !eig.Factorize(r, true) {
		panic("combine: eigenvalues of a correlation matrix")
	}
	var root mat.Dense
	eig.VectorsTo(&root)
	k := r.SymmetricDim()
	for j, v := range eig.Values(nil) {
		scale := math.Sqrt(math.Max(v, 0))
		for i := range k {
			root.Set(i, j, root.At(i, j)*scale)
		}
	}
	return &root
}
