package progress

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
)

// SurrogateTruth is a row of details.truth: the forecast against what came, in the same
// people, both by least squares. Difference is LongTerm less Index.
type SurrogateTruth struct {
	Sample        string  `json:"sample"` // "all", "older" or "programme"
	Persons       int     `json:"persons"`
	LongTerm      float64 `json:"long_term"`
	Index         float64 `json:"index"`
	IndexError    float64 `json:"index_std_error"`
	Difference    float64 `json:"difference"`
	StdError      float64 `json:"std_error"`
	ConfLow       float64 `json:"conf_low"`
	ConfHigh      float64 `json:"conf_high"`
	ConfLevel     float64 `json:"conf_level"`
	Margin        float64 `json:"margin"`
	Verdict       string  `json:"verdict"` // "validated", "unproven" or "withdrawn"
	Direct        float64 `json:"direct"`
	DirectError   float64 `json:"direct_std_error"`
	PartialR2     float64 `json:"partial_r2_treatment"`
	LongTermError float64 `json:"long_term_std_error"`
}

// surrogateTruth are the linear effects of treatment on the outcome among people whose
// treatment and outcome are known; influence functions over all people.
type surrogateTruth struct {
	persons                     int
	direct, long, index, r2     float64
	directInf, longInf, idxInfl []float64
}

// vanish is the share of the treatment's variation under which the columns decide it.
const vanish = 1e-10

// untied returns 1/(1-R²), R² the partial R² of treatment on the surrogates in the
// programme, and its influence function.
func (f *surrogateFit) untied() (float64, []float64, error) {
	var rows []int
	for i, g := range f.older {
		if !g {
			rows = append(rows, i)
		}
	}
	x, err := f.residuals(rows, f.treated, f.base)
	if err != nil {
		return 0, nil, err
	}
	z, err := f.residuals(rows, f.treated, len(f.names))
	if err != nil {
		return 0, nil, err
	}
	b, a := f.dot(rows, x, x), f.dot(rows, z, z)
	if b <= vanish*float64(len(rows)) || a <= vanish*b {
		return 0, nil, fmt.Errorf("%w: covariates and surrogates decide who is treated in the programme", estimate.ErrNotIdentified)
	}
	inf := make([]float64, f.n)
	for k, i := range rows {
		inf[i] = f.weight(i) * (float64(x[k]*x[k]) - float64(b/a*float64(z[k]*z[k]))) / a
	}
	return b / a, inf, nil
}

// truths estimates direct and long-term effects where they are known, together and by sample.
func (f *surrogateFit) truths() (map[string]*surrogateTruth, error) {
	out := map[string]*surrogateTruth{}
	for _, sample := range []string{"all", "older", "programme"} {
		var rows []int
		for i, known := range f.known {
			if known && (sample == "all" || f.older[i] == (sample == "older")) {
				rows = append(rows, i)
			}
		}
		t, err := f.truth(rows)
		if err != nil {
			return nil, err
		}
		out[sample] = t
	}
	return out, nil
}

// truth is nil where an arm is empty, the columns decide the treatment, or no degree of
// freedom is left for an error.
func (f *surrogateFit) truth(rows []int) (*surrogateTruth, error) {
	if len(rows) < len(f.names)+2 {
		return nil, nil
	}
	var r [4][]float64 // treatment on X, on X and S; outcome on X, on X and S
	for k, m := range []struct {
		y []float64
		k int
	}{{f.treated, f.base}, {f.treated, len(f.names)}, {f.y, f.base}, {f.y, len(f.names)}} {
		var err error
		if r[k], err = f.residuals(rows, m.y, m.k); err != nil {
			return nil, err
		}
	}
	wx, wz, yx, yz := r[0], r[1], r[2], r[3]
	b, a := f.dot(rows, wx, wx), f.dot(rows, wz, wz)
	if b <= vanish*float64(len(rows)) || a <= vanish*b {
		return nil, nil
	}
	t := &surrogateTruth{persons: len(rows), direct: f.dot(rows, wz, yz) / a, long: f.dot(rows, wx, yx) / b, r2: 1 - a/b}
	explained := make([]float64, len(rows)) // the index less its regression on X
	for k := range rows {
		explained[k] = yx[k] - yz[k]
	}
	t.index = f.dot(rows, wx, explained) / b
	t.directInf, t.longInf, t.idxInfl = make([]float64, f.n), make([]float64, f.n), make([]float64, f.n)
	for k, i := range rows {
		w := f.weight(i)
		t.directInf[i] = w * float64(wz[k]*(yz[k]-float64(t.direct*wz[k]))) / a
		t.longInf[i] = w * float64(wx[k]*(yx[k]-float64(t.long*wx[k]))) / b
		t.idxInfl[i] = w * (float64(wx[k]*(explained[k]-float64(t.index*wx[k]))) + float64((wx[k]-wz[k])*yz[k])) / b
	}
	return t, nil
}

// grade is the truth test: is the forecast's error within what was agreed to be small?
func (f *surrogateFit) grade(sample string, t *surrogateTruth) (SurrogateTruth, error) {
	inf := mat.NewDense(f.n, 4, nil)
	for i := range f.n {
		inf.SetRow(i, []float64{t.longInf[i] - t.idxInfl[i], t.idxInfl[i], t.directInf[i], t.longInf[i]})
	}
	cov, _, err := f.covariance(inf)
	if err != nil {
		return SurrogateTruth{}, err
	}
	se := func(k int) float64 { return math.Sqrt(cov.At(k, k)) }
	row := SurrogateTruth{Sample: sample, Persons: t.persons, LongTerm: t.long, LongTermError: se(3), Index: t.index, IndexError: se(1), Direct: t.direct, DirectError: se(2), PartialR2: t.r2}
	row.judge(se(0), f.s.Level, f.binary)
	return row, nil
}

// judge says whether the interval of the forecast's error, of the level at which both of its ends are tested, lies within what was agreed to be small.
func (r *SurrogateTruth) judge(se, level float64, binary bool) {
	e := estimate.Wald("", estimate.MeanDifference, r.LongTerm-r.Index, se, math.Inf(1), 2*level-1)
	r.Difference, r.StdError, r.ConfLow, r.ConfHigh, r.ConfLevel = e.Value, se, e.CI.Lo, e.CI.Hi, 2*level-1
	r.Margin, r.Verdict = math.Abs(r.LongTerm)/3, "unproven"
	if binary {
		r.Margin = max(r.Margin, 0.02)
	}
	switch {
	case e.CI.Lo > -r.Margin && e.CI.Hi < r.Margin:
		r.Verdict = "validated"
	case e.CI.Lo > r.Margin || e.CI.Hi < -r.Margin:
		r.Verdict = "withdrawn"
	}
}
