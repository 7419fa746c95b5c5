package cohort

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/table"
)

// Metric is a distance between units, d(x,y) = √((x-y)'M(x-y)), on the columns of
// the covariates with a dummy for every level of a category.
//
// mahalanobis: M is the Moore–Penrose inverse of the pooled within-group covariance,
//
//	S = Σ_g Σ_{i in g} (x_i - mean_g)(x_i - mean_g)' / (n - 2),
//
// formed on columns scaled to unit SD. robust-mahalanobis (Rosenbaum 2010, §8.3): x
// are average ranks and M the inverse of their covariance (divisor n-1) rescaled so
// that every variance is that of n ranks without ties. euclidean: M is diagonal with
// one over the pooled within-group variance, divisor n-2; for a number column of only
// 0 and 1 the variance is p(1-p) within each group, divisor n. Directions whose
// eigenvalue is below 1e-8 of the largest are left out.
type Metric struct {
	Kind    string
	Columns []string
	M       *mat.SymDense
	ranks   bool
}

// whitened is n×dims coordinates in which the metric is the Euclidean distance up to
// rounding, which steers the search, and what [whitened.between] needs.
type whitened struct {
	metric *Metric
	dims   int
	points []float64
	slack  float64 // a distance between points is this close to between
	raw    *Matrix
	scale  []float64
	load   []float64 // k×dims
	notes  []table.Note
}

// between is the metric: d² = Σ_d (Σ_j (x_j - y_j)/scale_j · load_jd)². It starts from
// the differences of the columns themselves, so that units equally far off on either
// side are at exactly one distance and tie; gap is room for k numbers.
func (w *whitened) between(a, b int32, gap []float64) float64 {
	k := len(w.scale)
	x, y := w.raw.Values[int(a)*k:int(a+1)*k], w.raw.Values[int(b)*k:int(b+1)*k]
	for j := range k {
		gap[j] = (x[j] - y[j]) / w.scale[j]
	}
	sum := 0.0
	for d := range w.dims {
		c := 0.0
		for j, g := range gap {
			c += float64(g * w.load[j*w.dims+d])
		}
		sum += float64(c * c)
	}
	return math.Sqrt(sum)
}

func whiten(kind string, cov []covariate, u *units, workers int) (*whitened, error) {
	x := fillDesign(cov, u.n, DesignOptions{AllLevels: true, Workers: workers}, nil)
	w := &whitened{metric: &Metric{Kind: kind, ranks: kind == RobustMahalanobisDistance}}
	redundant := 0 // a category's dummies sum to one
	for _, c := range cov {
		if c.codes != nil {
			redundant++
		}
	}
	var constant []string
	x, constant = dropConstant(x)
	if len(constant) > 0 {
		w.notes = append(w.notes, table.Note{
			Code: "constant-covariate",
			Text: fmt.Sprintf("%d columns (%s) are the same for everyone and play no part in the distance.", len(constant), strings.Join(constant, ", ")),
			Args: map[string]any{"columns": constant, "n": len(constant)},
		})
	}
	k := len(x.Columns)
	if k == 0 {
		return nil, fmt.Errorf("%w: every covariate is constant, so that no distance exists", ErrCovariate)
	}
	if u.n < 3 {
		return nil, fmt.Errorf("%w: the spread within two groups needs at least three units", ErrCovariate)
	}
	w.metric.Columns = x.Names()
	binary := binaryNumbers(x, cov)
	if w.metric.ranks {
		rankColumns(x)
	}
	mean, scale, s := spread(kind, x, u, binary, workers)
	for j := range k {
		if !(scale[j] > 0) {
			return nil, fmt.Errorf("%w: column %q does not vary within the groups, so that %s distance has no scale for it", ErrCovariate, x.Columns[j].Name, kind)
		}
	}
	load, dims, err := loadings(s)
	if err != nil {
		return nil, err
	}
	if k-dims > redundant {
		w.notes = append(w.notes, table.Note{
			Code: "collinear-covariate",
			Text: fmt.Sprintf("%d directions of the covariates have no spread of their own within the groups and play no part in the distance.", k-dims-redundant),
			Args: map[string]any{"n": k - dims - redundant},
		})
	}
	w.dims, w.raw, w.scale, w.load = dims, x, scale, load
	w.points = make([]float64, u.n*dims)
	chunk := make([]float64, u.n/num.Chunk+1)
	num.ForChunks(u.n, workers, func(c, lo, hi int) {
		z := make([]float64, k)
		for i := lo; i < hi; i++ {
			size := 0.0
			for j := range k {
				z[j] = (x.Values[i*k+j] - mean[j]) / scale[j]
				size += math.Abs(z[j])
			}
			chunk[c] = math.Max(chunk[c], size)
			for d := range dims {
				sum := 0.0
				for j := range k {
					sum += float64(z[j] * load[j*dims+d])
				}
				w.points[i*dims+d] = sum
			}
		}
	})
	// Loadings are at most 1e4 (see loadings); this is some 100 times the rounding.
	steepest := 0.0
	for _, l := range load {
		steepest = math.Max(steepest, math.Abs(l))
	}
	w.slack = 1e-14 * float64(k*dims) * (1 + steepest*slices.Max(chunk))
	w.metric.M = mat.NewSymDense(k, nil)
	for a := range k {
		for b := a; b < k; b++ {
			sum := 0.0
			for d := range dims {
				sum += float64(load[a*dims+d] * load[b*dims+d])
			}
			w.metric.M.SetSym(a, b, sum/scale[a]/scale[b])
		}
	}
	return w, nil
}

// spread returns the columns' means, what each is divided by, and the matrix that the
// metric inverts once they are.
func spread(kind string, x *Matrix, u *units, binary []bool, workers int) (mean, scale []float64, s *mat.SymDense) {
	k := len(x.Columns)
	n := float64(u.n)
	group := [2]float64{n - float64(u.count), float64(u.count)}
	row := func(i int) ([]float64, int) {
		r := int(u.order[i])
		return x.Values[r*k : (r+1)*k], arm(u.treated[r])
	}
	sums := num.SumChunks(u.n, 2*k, workers, func(lo, hi int, acc []float64) {
		for i := lo; i < hi; i++ {
			v, g := row(i)
			for j := range k {
				acc[g*k+j] += v[j]
			}
		}
	})
	mean = make([]float64, k)
	within := [2][]float64{make([]float64, k), make([]float64, k)} // group means about the overall one
	for j := range k {
		mean[j] = (sums[j] + sums[k+j]) / n
		within[0][j], within[1][j] = sums[j]/group[0]-mean[j], sums[k+j]/group[1]-mean[j]
	}
	// Products about the overall mean or, for pooled ones, about the group's.
	robust := kind == RobustMahalanobisDistance
	cross := num.SumChunks(u.n, k*k, workers, func(lo, hi int, acc []float64) {
		d := make([]float64, k)
		for i := lo; i < hi; i++ {
			v, g := row(i)
			for j := range k {
				if d[j] = v[j] - mean[j]; !robust {
					d[j] -= within[g][j]
				}
			}
			for a := range k {
				for b := a; b < k; b++ {
					acc[a*k+b] += float64(d[a] * d[b])
				}
			}
		}
	})
	scale = make([]float64, k)
	s = mat.NewSymDense(k, nil)
	for j := range k {
		v := cross[j*k+j] / (n - 2)
		if robust {
			// The variance of 1…n is n(n+1)/12.
			scale[j] = math.Sqrt(n * (n + 1) / 12)
			if cross[j*k+j] <= 0 {
				scale[j] = 0
			}
			continue
		}
		if kind == EuclideanDistance && binary[j] {
			v = cross[j*k+j] / n
		}
		// What is left of a column without spread within the groups is rounding.
		if total := cross[j*k+j] + float64(group[0]*within[0][j]*within[0][j]) + float64(group[1]*within[1][j]*within[1][j]); cross[j*k+j] > 1e-20*total {
			scale[j] = math.Sqrt(v)
		}
	}
	for a := range k {
		for b := a; b < k; b++ {
			switch {
			case a == b:
				s.SetSym(a, b, 1)
			case kind != EuclideanDistance:
				s.SetSym(a, b, cross[a*k+b]/math.Sqrt(cross[a*k+a])/math.Sqrt(cross[b*k+b]))
			}
		}
	}
	return mean, scale, s
}

// loadings returns the k×dims matrix L with LL' the Moore–Penrose inverse of s.
func loadings(s *mat.SymDense) (load []float64, dims int, err error) {
	k := s.SymmetricDim()
	diagonal := true
	for a := range k {
		for b := range a {
			diagonal = diagonal && s.At(a, b) == 0
		}
	}
	load = make([]float64, k*k)
	if diagonal { // unit: nothing to turn, and no rounding
		for j := range k {
			load[j*k+j] = 1
		}
		return load, k, nil
	}
	var eig mat.EigenSym
	if !eig.Factorize(s, true) {
		return nil, 0, fmt.Errorf("%w: the covariance of the covariates has no eigenvalues that can be found", ErrCovariate)
	}
	values := eig.Values(nil)
	var vectors mat.Dense
	eig.VectorsTo(&vectors)
	var keep []int
	for d, v := range values {
		if v > 1e-8*values[k-1] {
			keep = append(keep, d)
		}
	}
	dims = len(keep)
	load = make([]float64, k*dims)
	for j := range k {
		for i, d := range keep {
			load[j*dims+i] = vectors.At(j, d) / math.Sqrt(values[d])
		}
	}
	return load, dims, nil
}

// dropConstant returns the matrix without constant columns, and their names.
func dropConstant(x *Matrix) (*Matrix, []string) {
	k := len(x.Columns)
	var keep []int
	var names []string
	for j := range k {
		varies := false
		for i := 1; i < x.Rows && !varies; i++ {
			varies = x.Values[i*k+j] != x.Values[j]
		}
		if varies {
			keep = append(keep, j)
		} else {
			names = append(names, x.Columns[j].Name)
		}
	}
	if len(keep) == k {
		return x, nil
	}
	out := &Matrix{Rows: x.Rows, Values: make([]float64, x.Rows*len(keep))}
	for _, j := range keep {
		out.Columns = append(out.Columns, x.Columns[j])
	}
	for i := range x.Rows {
		for a, j := range keep {
			out.Values[i*len(keep)+a] = x.Values[i*k+j]
		}
	}
	return out, names
}

// binaryNumbers marks number columns that hold only 0 and 1.
func binaryNumbers(x *Matrix, cov []covariate) []bool {
	out := make([]bool, len(x.Columns))
	for j, c := range x.Columns {
		for i := range cov {
			if cov[i].name == c.Source && cov[i].codes == nil {
				out[j] = zeroOne(cov[i].values)
			}
		}
	}
	return out
}

func zeroOne(x []float64) bool {
	for _, v := range x {
		if v != 0 && v != 1 {
			return false
		}
	}
	return true
}

// rankColumns replaces each column by its ranks from 1, ties sharing their mean.
func rankColumns(x *Matrix) {
	k := len(x.Columns)
	col := make([]float64, x.Rows)
	for j := range k {
		for i := range col {
			col[i] = x.Values[i*k+j]
		}
		distinct, place := num.Ranks(col)
		count := make([]int, len(distinct))
		for _, p := range place {
			count[p]++
		}
		rank := make([]float64, len(distinct))
		below := 0
		for d, c := range count {
			rank[d] = float64(below) + float64(c+1)/2
			below += c
		}
		for i, p := range place {
			x.Values[i*k+j] = rank[p]
		}
	}
}
