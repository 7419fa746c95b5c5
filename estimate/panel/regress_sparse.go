package panel

import (
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
)

// wellConditioned is the condition number, of cross-products scaled to a unit diagonal, up to which they lose at most about 1e-10.
const wellConditioned = 1e6

// entry is a value of a column in a row.
type entry struct {
	column int
	value  float64
}

// sparse is a regression whose rows have few columns that are not 0: one dummy, one period and the covariates. Unit effects are taken off
// the cross-products exactly,
//
//	A = Σ_units (Σ w·zz' - ss'/W),   s = Σ w·z, W = Σ w of the unit
//
// so that the work is that of the columns a unit has and not of all.
type sparse struct {
	l       *long
	k       int // columns: dummies, covariates, periods but the first
	rows    [][]entry
	first   []int // first row of each unit, and the end
	weight  []float64
	scale   []float64 // 1/√A[j,j]
	inverse *mat.SymDense
	coef    []float64
	e       []float64 // residual of each row
}

// regressSparse is [long.regress] by cross-products. ok is false where they would cost digits, and where columns, clusters or residuals call
// for what the orthogonal factorisation says about them.
func (l *long) regressSparse(d dummies) (out *regressed, ok bool) {
	s := newSparse(l, d)
	params := s.k + 1
	if l.clusters < 2 || len(l.y) <= params || !s.solve() {
		return nil, false
	}
	alone, ok := s.alone()
	if !ok {
		return nil, false
	}
	g, n := float64(l.clusters), float64(len(l.y))
	root := math.Sqrt(g / (g - 1) * (n - 1) / (n - float64(params)))
	m := len(d.names)
	out = &regressed{coef: s.coef[:m:m], inf: make([][]float64, m), df: g - 1}
	for j := range out.inf {
		out.inf[j] = make([]float64, len(l.names))
	}
	covariates := make([][]float64, len(l.x)) // by cluster
	for j := range covariates {
		covariates[j] = make([]float64, l.clusters)
	}
	s.scores(func(u int, score []entry) {
		for j := range m + len(l.x) {
			v := root * s.applied(j, score)
			if j < m {
				out.inf[j][u] = v
			} else {
				covariates[j-m][l.cluster[u]] += v
			}
		}
	})
	sums := make([]float64, l.clusters)
	for j := range m {
		clear(sums)
		for u, v := range out.inf[j] {
			sums[l.cluster[u]] += v
		}
		if num.Dot(sums, sums) == 0 {
			return nil, false
		}
	}
	for j, sums := range covariates {
		se := math.Sqrt(num.Dot(sums, sums))
		if se == 0 {
			return nil, false
		}
		out.covariates = append(out.covariates, map[string]any{"name": l.xnames[j], "estimate": s.coef[m+j], "std_error": se})
	}
	if rank := m + len(l.x); l.clusters <= rank {
		l.note("clusters-below-coefficients", map[string]any{"clusters": l.clusters, "coefficients": rank},
			"%d clusters for %d coefficients: their joint covariance is singular, so that no joint test of all of them exists.", l.clusters, rank)
	}
	var names []string
	for j, name := range d.names {
		if alone[j] {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		l.noteOneCluster(names)
	}
	return out, true
}

// noteOneCluster says that coefficients rest on one cluster.
func (l *long) noteOneCluster(names []string) {
	said := strings.Join(names[:min(10, len(names))], ", ")
	if len(names) > 10 {
		said += ", …"
	}
	l.note("one-cluster-decides", map[string]any{"columns": names},
		"One cluster alone decides %s: no clustered standard error can show how far that would move with another cluster in its place. The error printed is far too small: hold the number against what the other clusters give in its place instead (placebo, as fit synth --se placebo; randomisation).", said)
}

// newSparse makes the rows. A covariate that is not 0 in any row of a unit counts from the unit's mean, which the unit effect takes up.
func newSparse(l *long, d dummies) *sparse {
	m := len(d.names)
	s := &sparse{l: l, k: m + len(l.x) + len(l.periods) - 1, rows: make([][]entry, len(l.y)), weight: make([]float64, len(l.names))}
	for i, u := range l.unit {
		if i == 0 || u != l.unit[i-1] {
			s.first = append(s.first, i)
		}
		s.weight[u] += l.weight(i)
		if j := d.column(i); j >= 0 {
			s.rows[i] = append(s.rows[i], entry{j, 1})
		}
	}
	s.first = append(s.first, len(l.y))
	for j, x := range l.x {
		for u := range l.names {
			sum, full := 0.0, true
			lo, hi := s.first[u], s.first[u+1]
			for i := lo; i < hi; i++ {
				full = full && x[i] != 0
				sum += float64(l.weight(i) * (x[i] - x[lo]))
			}
			from := 0.0
			if full {
				from = x[lo] + sum/s.weight[u]
			}
			for i := lo; i < hi; i++ {
				if v := x[i] - from; math.Abs(v) > 1e-14*math.Abs(x[i]) {
					s.rows[i] = append(s.rows[i], entry{m + j, v})
				}
			}
		}
	}
	for i, p := range l.period {
		if p > 0 {
			s.rows[i] = append(s.rows[i], entry{m + len(l.x) + p - 1, 1})
		}
	}
	return s
}

// gather returns Σ weight·z over a unit's rows, columns in the order of their first appearance; at is what marks returns and is left so.
func (s *sparse) gather(u int, weight func(i int) float64, at []int, out []entry) []entry {
	out = out[:0]
	for i := s.first[u]; i < s.first[u+1]; i++ {
		w := weight(i)
		for _, c := range s.rows[i] {
			if at[c.column] < 0 {
				at[c.column] = len(out)
				out = append(out, entry{column: c.column})
			}
			out[at[c.column]].value += float64(w * c.value)
		}
	}
	for _, c := range out {
		at[c.column] = -1
	}
	return out
}

// marks is -1 for each column.
func (s *sparse) marks() []int {
	at := make([]int, s.k)
	for j := range at {
		at[j] = -1
	}
	return at
}

// addGram adds a unit's part of A to a, k×k by rows.
func (s *sparse) addGram(a []float64, u int, at []int, sum []entry) []entry {
	l := s.l
	for i := s.first[u]; i < s.first[u+1]; i++ {
		w := l.weight(i)
		for _, c := range s.rows[i] {
			for _, b := range s.rows[i] {
				a[c.column*s.k+b.column] += float64(w * c.value * b.value)
			}
		}
	}
	sum = s.gather(u, l.weight, at, sum)
	for _, c := range sum {
		for _, b := range sum {
			a[c.column*s.k+b.column] -= float64(c.value * b.value / s.weight[u])
		}
	}
	return sum
}

// scaled divides a by the scales of its columns.
func (s *sparse) scaled(a []float64) *mat.SymDense {
	for i := range s.k {
		for j := range s.k {
			a[i*s.k+j] *= s.scale[i] * s.scale[j]
		}
	}
	return mat.NewSymDense(s.k, a)
}

// solve finds coefficients and residuals: Cholesky of A, and refinement by the residuals until they stand.
func (s *sparse) solve() bool {
	l, k := s.l, s.k
	a := make([]float64, k*k)
	at := s.marks()
	var sum []entry
	for u := range l.names {
		sum = s.addGram(a, u, at, sum)
	}
	s.scale = make([]float64, k)
	for j := range k {
		if !(a[j*k+j] > 0) {
			return false
		}
		s.scale[j] = 1 / math.Sqrt(a[j*k+j])
	}
	var chol mat.Cholesky
	if !chol.Factorize(s.scaled(a)) || chol.Cond() > wellConditioned {
		return false
	}
	s.coef, s.e = make([]float64, k), l.fromFirst()
	y := l.fromFirst()
	size := s.residual(y)
	last := math.Inf(1)
	g, step := mat.NewVecDense(k, nil), mat.NewVecDense(k, nil)
	for try := 0; ; try++ {
		g.Zero()
		for i, row := range s.rows {
			w := l.weight(i) * s.e[i]
			for _, c := range row {
				g.SetVec(c.column, g.AtVec(c.column)+float64(w*c.value*s.scale[c.column]))
			}
		}
		if chol.SolveVecTo(step, g) != nil {
			return false
		}
		move := mat.Norm(step, 2)
		if try > 0 && move >= last/2 { // the last bits
			if move > 1e-9*(1+size) {
				return false
			}
			break
		}
		if try == 20 {
			return false
		}
		last = move
		for j := range k {
			s.coef[j] += float64(step.AtVec(j) * s.scale[j])
		}
		left := s.residual(y)
		if !(left > 1e-15*size) { // an exact fit
			return false
		}
	}
	s.inverse = mat.NewSymDense(k, nil)
	if chol.InverseTo(s.inverse) != nil {
		return false
	}
	for i := range k {
		for j := i; j < k; j++ {
			s.inverse.SetSym(i, j, s.inverse.At(i, j)*s.scale[i]*s.scale[j])
		}
	}
	return true
}

// residual fills e and returns its length.
func (s *sparse) residual(y []float64) float64 {
	l := s.l
	total := 0.0
	for u := range l.names {
		mean := 0.0
		for i := s.first[u]; i < s.first[u+1]; i++ {
			v := y[i]
			for _, c := range s.rows[i] {
				v -= float64(c.value * s.coef[c.column])
			}
			s.e[i] = v
			mean += float64(l.weight(i) * v)
		}
		mean /= s.weight[u]
		for i := s.first[u]; i < s.first[u+1]; i++ {
			s.e[i] -= mean
			total += float64(l.weight(i) * float64(s.e[i]*s.e[i]))
		}
	}
	return math.Sqrt(total)
}

// scores calls f with Σ w·z·e of each unit.
func (s *sparse) scores(f func(u int, score []entry)) {
	at := s.marks()
	var score []entry
	for u := range s.l.names {
		score = s.gather(u, func(i int) float64 { return s.l.weight(i) * s.e[i] }, at, score)
		f(u, score)
	}
}

// applied is row j of A⁻¹ times a score.
func (s *sparse) applied(j int, score []entry) float64 {
	sum := 0.0
	for _, c := range score {
		sum += float64(s.inverse.At(j, c.column) * c.value)
	}
	return sum
}
