package effect

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// adjusted is what one cluster gives under Bell and McCaffrey's adjustment A, the
// symmetric root of the pseudo-inverse of its block of (I-H)(I-H)': the adjusted
// score Z'WAe and the q×q matrices that Satterthwaite's degrees of freedom need.
type adjusted struct {
	score   []float64
	zawz    *mat.Dense // Z'AWZ
	zwawz   *mat.Dense // Z'WAWZ
	squared *mat.Dense // Z'WA²WZ
}

// meatCR2 returns the meat of cr2 and, per coefficient c, Satterthwaite's degrees of
// freedom under independent homoskedastic errors (Bell and McCaffrey 2002;
// Pustejovsky and Tipton 2018):
//
//	df = (Σ_g p_gg)²/Σ_gh p_gh²,  p_gh = a_g'·(I-H)(I-H)'·a_h,  a_g = A_gW_gZ_gκ,  κ = R⁻ᵀc
//
// With P = Z'W²Z, f_g = (Z_g'a_g, Z_g'W_ga_g) and S = [[P,-I],[-I,0]] this is
// p_gh = 1(g=h)·a_g'a_g + f_g'Sf_h, so that the double sum needs only Φ = Σ f_gf_g':
// Σ_gh p_gh² = Σ_g a_g'a_g·(a_g'a_g + 2f_g'Sf_g) + tr(SΦSΦ).
func (l *linear) meatCR2(s *solution, rows [][]int) (*mat.SymDense, []float64, error) {
	q := s.fit.Rank
	if l.theta != nil {
		for _, rs := range rows {
			if len(rs) > modelRows {
				return nil, nil, fmt.Errorf("%w: vcov cr2 of a generalised linear model takes clusters of up to %d rows, and there is one of %d; use cr1 or cr3", ErrOption, modelRows, len(rs))
			}
		}
	}
	plain := l.weight == nil || l.kind == estimate.Frequency || l.theta != nil
	p := mat.NewSymDense(q, nil)
	if plain {
		for i := range q {
			p.SetSym(i, i, 1)
		}
	} else {
		p = symmetric(num.SumChunks(l.n, q*(q+1)/2, l.workers, func(lo, hi int, acc []float64) {
			z := make([]float64, q)
			for r := lo; r < hi; r++ {
				s.fit.Basis(l.x[r*l.k:(r+1)*l.k], z)
				addOuter(acc, z, float64(l.weight[r]*l.weight[r]))
			}
		}), q)
	}
	kappa := make([][]float64, q) // R⁻ᵀ of each unit vector of the coefficients
	for j := range q {
		kappa[j] = make([]float64, q)
		// Basis takes a row of the design; a unit row in the kept column gives R⁻ᵀe_j.
		x := make([]float64, l.k)
		x[s.fit.Kept[j]] = 1
		s.fit.Basis(x, kappa[j])
	}
	phi := 2 * q * (2*q + 1) / 2
	each := 2 + phi // Σp_gg, Σ d(d+2f'Sf), Φ
	meat := q * (q + 1) / 2
	sum := num.SumChunks(len(rows), meat+q*each, l.workers, func(lo, hi int, acc []float64) {
		f := make([]float64, 2*q)
		for g := lo; g < hi; g++ {
			var a adjusted
			switch {
			case l.theta != nil:
				a = l.adjustModel(s, rows[g])
			case plain:
				a = l.adjustPlain(s, rows[g])
			default:
				a = l.adjustWeighted(s, rows[g], p)
			}
			addOuter(acc[:meat], a.score, 1)
			for j := range q {
				into := acc[meat+j*each : meat+(j+1)*each]
				k := mat.NewVecDense(q, kappa[j])
				u := mat.NewVecDense(q, f[:q])
				v := mat.NewVecDense(q, f[q:])
				u.MulVec(a.zawz, k)
				v.MulVec(a.zwawz, k)
				d := mat.Inner(k, a.squared, k)
				fsf := mat.Inner(u, p, u) - 2*mat.Dot(u, v)
				into[0] += d + fsf
				into[1] += float64(d * (d + 2*fsf))
				addOuter(into[2:], f, 1)
			}
		}
	})
	df := make([]float64, q)
	middle := mat.NewDense(2*q, 2*q, nil)
	for i := range q {
		for j := range q {
			middle.Set(i, j, p.At(i, j))
		}
		middle.Set(i, q+i, -1)
		middle.Set(q+i, i, -1)
	}
	for j := range q {
		part := sum[meat+j*each : meat+(j+1)*each]
		var sp, sq mat.Dense
		sp.Mul(middle, symmetric(part[2:], 2*q))
		sq.Mul(&sp, &sp)
		df[j] = part[0] * part[0] / (part[1] + mat.Trace(&sq))
	}
	return symmetric(sum[:meat], q), df, nil
}

// inverseRoot is x^(-1/2), 0 for an eigenvalue that is 0 up to rounding, the
// threshold of clubSandwich.
func inverseRoot(x float64) float64 {
	if x <= 1e-12 {
		return 0
	}
	return 1 / math.Sqrt(x)
}

// adjustPlain is the cluster without weights (or with frequency weights, whose
// copies have none): I-H is I-ZZ', and with N = Z'Z = VΛV' the adjusted columns are
// AZ = Z·V(I-Λ)^(-1/2)V'.
func (l *linear) adjustPlain(s *solution, rows []int) adjusted {
	q := s.fit.Rank
	n := l.gram(s, rows)
	var eig mat.EigenSym
	if !eig.Factorize(n, true) {
		panic("effect: eigenvalues of a symmetric matrix did not converge")
	}
	var v, scaled, t mat.Dense
	eig.VectorsTo(&v)
	scaled.CloneFrom(&v)
	for j, lambda := range eig.Values(nil) {
		f := inverseRoot(1 - lambda)
		for i := range q {
			scaled.Set(i, j, f*v.At(i, j))
		}
	}
	t.Mul(&scaled, v.T())
	score, z := make([]float64, q), make([]float64, q)
	for _, r := range rows {
		l.score(s, r, z)
		for i, x := range z {
			score[i] += x
		}
	}
	out := mat.NewVecDense(q, nil)
	out.MulVec(&t, mat.NewVecDense(q, score))
	var nt, tnt mat.Dense
	nt.Mul(n, &t)
	tnt.Mul(&t, &nt)
	return adjusted{score: out.RawVector().Data, zawz: &nt, zwawz: &nt, squared: &tnt}
}

// modelRows is the largest cluster whose matrix of rows by rows is taken apart.
const modelRows = 2000

// adjustModel is the cluster of a generalised linear model in whitened rows √w·z, with
// the working variances θ of its rows: Pustejovsky and Tipton's A = D'(D(I-H)ΦD')^(-1/2)D
// with Φ = D'D = diag θ, which in whitened coordinates is (θ(I-ZZ')θ)^(-1/2)·θ. Without
// a common θ it is not the symmetric root of [linear.adjustPlain].
func (l *linear) adjustModel(s *solution, rows []int) adjusted {
	q, n := s.fit.Rank, len(rows)
	z, e := mat.NewDense(n, q, nil), mat.NewVecDense(n, nil)
	theta := make([]float64, n)
	for i, r := range rows {
		root := math.Sqrt(l.w(r))
		row := z.RawRowView(i)
		s.fit.Basis(l.x[r*l.k:(r+1)*l.k], row)
		for j := range row {
			row[j] *= root
		}
		theta[i] = l.theta[r]
		e.SetVec(i, root*s.fit.Residual[r]*theta[i])
	}
	var tz, core mat.Dense
	tz.Apply(func(i, _ int, v float64) float64 { return theta[i] * v }, z)
	core.Mul(&tz, tz.T())
	sym := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			v := -(core.At(i, j) + core.At(j, i)) / 2
			if i == j {
				v += theta[i] * theta[i]
			}
			sym.SetSym(i, j, v)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, true) {
		panic("effect: eigenvalues of a symmetric matrix did not converge")
	}
	var v, scaled, bz mat.Dense
	eig.VectorsTo(&v)
	scaled.Mul(v.T(), z)
	for i, lambda := range eig.Values(nil) {
		f := inverseRoot(lambda)
		for j := range q {
			scaled.Set(i, j, f*scaled.At(i, j))
		}
	}
	bz.Mul(&v, &scaled) // (θ(I-ZZ')θ)^(-1/2)·Z
	score := mat.NewVecDense(q, nil)
	score.MulVec(bz.T(), e)
	bz.Apply(func(i, _ int, x float64) float64 { return theta[i] * x }, &bz)
	var zaz, squared mat.Dense
	zaz.Mul(z.T(), &bz)
	squared.Mul(bz.T(), &bz)
	return adjusted{score: score.RawVector().Data, zawz: &zaz, zwawz: &zaz, squared: &squared}
}

// adjustWeighted is the cluster with sampling or matching weights and the identity
// as working covariance: (I-H)(I-H)' = I - ZZ'W - WZZ' + ZPZ' differs from I only in
// the span of (Z, WZ), in which its root is taken.
func (l *linear) adjustWeighted(s *solution, rows []int, p *mat.SymDense) adjusted {
	q, n := s.fit.Rank, len(rows)
	z, wz := mat.NewDense(n, q, nil), mat.NewDense(n, q, nil)
	e := mat.NewVecDense(n, nil)
	for i, r := range rows {
		s.fit.Basis(l.x[r*l.k:(r+1)*l.k], z.RawRowView(i))
		for j, v := range z.RawRowView(i) {
			wz.Set(i, j, l.weight[r]*v)
		}
		e.SetVec(i, s.fit.Residual[r])
	}
	u := orthonormal(z, wz)
	_, m := u.Dims()
	var uz, uwz, up, core, t mat.Dense
	uz.Mul(u.T(), z)
	uwz.Mul(u.T(), wz)
	up.Mul(&uz, p)
	core.Mul(&up, uz.T())
	t.Mul(&uz, uwz.T())
	sym := mat.NewSymDense(m, nil)
	for i := range m {
		for j := i; j < m; j++ {
			x := (core.At(i, j)+core.At(j, i))/2 - t.At(i, j) - t.At(j, i)
			if i == j {
				x++
			}
			sym.SetSym(i, j, x)
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(sym, true) {
		panic("effect: eigenvalues of a symmetric matrix did not converge")
	}
	var v, scaled, root mat.Dense
	eig.VectorsTo(&v)
	scaled.CloneFrom(&v)
	for j, lambda := range eig.Values(nil) {
		f := inverseRoot(lambda) - 1
		for i := range m {
			scaled.Set(i, j, f*v.At(i, j))
		}
	}
	root.Mul(&scaled, v.T()) // A = I + U·root·U'
	var awz, mid mat.Dense
	mid.Mul(&root, &uwz)
	awz.Mul(u, &mid)
	awz.Add(&awz, wz)
	out := mat.NewVecDense(q, nil)
	out.MulVec(awz.T(), e)
	var zawz, zwawz, squared mat.Dense
	zawz.Mul(z.T(), &awz)
	zwawz.Mul(wz.T(), &awz)
	squared.Mul(awz.T(), &awz)
	return adjusted{score: out.RawVector().Data, zawz: &zawz, zwawz: &zwawz, squared: &squared}
}

// orthonormal returns an orthonormal basis of the span of the columns of the
// matrices, by Gram–Schmidt applied twice; a column within 1e-12 of the span of
// those before it adds nothing.
func orthonormal(ms ...*mat.Dense) *mat.Dense {
	n, _ := ms[0].Dims()
	var basis [][]float64
	for _, m := range ms {
		_, k := m.Dims()
		for j := range k {
			c := mat.Col(nil, j, m)
			length := math.Sqrt(num.Dot(c, c))
			for range 2 {
				for _, b := range basis {
					t := num.Dot(b, c)
					for i, x := range b {
						c[i] -= float64(t * x)
					}
				}
			}
			left := math.Sqrt(num.Dot(c, c))
			if left <= 1e-12*length || len(basis) == n {
				continue
			}
			for i := range c {
				c[i] /= left
			}
			basis = append(basis, c)
		}
	}
	u := mat.NewDense(n, max(len(basis), 1), nil)
	for j, b := range basis {
		u.SetCol(j, b)
	}
	return u
}
