package num

import (
	"errors"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// linearData is arithmeticData with a number as outcome.
func linearData() PenalisedData {
	x, _, _ := arithmeticData()
	d := PenalisedData{N: 240, K: 5, X: x}
	for i := 1; i <= 240; i++ {
		d.Y = append(d.Y, 3+0.5*x[(i-1)*5+1]-0.2*x[(i-1)*5+2]+float64(i*71%241)/20)
	}
	return d
}

// One column ±1 of mean 0 and SD 1, Σxy/N = 2, s = √5: ridge 2/(1+λ/s), lasso 2-λ, elastic net
// (2-αλ)/(1+(1-α)λ/s); the constant is the mean, and the path begins at 2.
func TestPenalisedLinearByHand(t *testing.T) {
	d := PenalisedData{N: 4, K: 2, X: []float64{1, 1, 1, 1, 1, -1, 1, -1}, Y: []float64{13, 11, 9, 7}, Lambda: []float64{0.5}}
	for alpha, want := range map[float64]float64{0: 2 / (1 + 0.5/math.Sqrt(5)), 1: 1.5, 0.5: 1.75 / (1 + 0.25/math.Sqrt(5))} {
		d.Alpha = alpha
		f, err := PenalisedLinear(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		reftest.Agree(t, "slope", f.Coef[0][1], want, 14)
		reftest.Agree(t, "constant", f.Coef[0][0], 10, 14)
		reftest.Agree(t, "RSS", f.Deviance[0], 4*(1+(2-want)*(2-want)), 13)
		reftest.Agree(t, "null RSS", f.NullDev, 20, 14)
	}
	d.Alpha, d.Lambda = 1, nil
	f, err := PenalisedLinear(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "smallest λ without slopes", f.Lambda[0], 2, 14)
	if f.NonZero[0] != 0 || f.NonZero[1] != 1 {
		t.Error("slopes at the start of the path", f.NonZero[:2])
	}
}

// glmnet 4.1-6 (R 4.2.2), thresh 1e-22: coefficients, RSS, and the cross-validated mean
// squared error with its error, folds by i mod 5.
func TestPenalisedLinearAgreesWithGlmnet(t *testing.T) {
	d := linearData()
	d.Lambda, d.Folds = []float64{1, 0.3, 0.05}, 5
	for i := 1; i <= 240; i++ {
		d.Fold = append(d.Fold, int32(i%5))
	}
	for _, c := range []struct {
		alpha    float64
		at       int
		coef     []float64
		rss      float64
		mean, se []float64
	}{
		{1, 1, []float64{8.7943175535070797, 0.3233426340745513, -0.0674408431152392, 0.1029277279045272, 0}, 2913.91488803272,
			[]float64{13.3713276386520, 12.5526584764685, 12.3722747163855}, []float64{0.637859058667296, 0.454057721989913, 0.297477565084233}},
		{0, 2, []float64{8.5607113955301308, 0.3829640777877558, -0.1799319494327114, 0.1962296040854873, 0.0780693727686257}, 2864.12774571219,
			[]float64{12.3190863720514, 12.3322949842760, 12.3661241366250}, []float64{0.367090213724773, 0.313314897554899, 0.285943290307411}},
		{0.5, 2, []float64{8.5905325365795218, 0.3810422667728494, -0.1716265943294622, 0.1871533302359865, 0.0283254750311177}, 2864.66433813714,
			[]float64{12.7056392889675, 12.4065879143554, 12.3675502239232}, []float64{0.525485608705841, 0.375152797452869, 0.290709561937098}},
	} {
		d.Alpha = c.alpha
		f, err := PenalisedLinear(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for j, want := range c.coef {
			if want == 0 {
				if f.Coef[c.at][j] != 0 {
					t.Errorf("α %g: slope %d is %g", c.alpha, j, f.Coef[c.at][j])
				}
				continue
			}
			reftest.Agree(t, "coefficient", f.Coef[c.at][j], want, 10)
		}
		reftest.Agree(t, "RSS", f.Deviance[c.at], c.rss, 12)
		for i := range c.mean {
			reftest.Agree(t, "CV mean", f.CV.Mean[i], c.mean[i], 11)
			reftest.Agree(t, "CV error", f.CV.SE[i], c.se[i], 10)
		}
	}
	d.Alpha, d.Lambda, d.Fold = 1, nil, nil
	f, err := PenalisedLinear(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "first λ", f.Lambda[0], 1.37436496481072, 13)
	reftest.Agree(t, "second λ", f.Lambda[1], 1.25227016924551, 13)
	if len(f.Lambda) != 60 {
		t.Errorf("the path has %d λ, glmnet's 60", len(f.Lambda))
	}
}

// Units of the columns and of the outcome change nothing but the units; a column twice
// shares a ridge's slope; no penalty is least squares; held-out rows are predicted from
// the other folds.
func TestPenalisedLinearRelations(t *testing.T) {
	d := linearData()
	d.Lambda, d.Folds, d.HeldOut = []float64{0.2}, 4, true
	for i := range d.N {
		d.Fold = append(d.Fold, int32(i%4))
	}
	base, err := PenalisedLinear(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	moved := d
	moved.X, moved.Y = append([]float64(nil), d.X...), append([]float64(nil), d.Y...)
	for i := range d.N {
		moved.X[i*5+2] = 1000 + 8*moved.X[i*5+2]
		moved.Y[i] = -50 + 4*moved.Y[i]
	}
	moved.Lambda = []float64{0.8}
	scaled, err := PenalisedLinear(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "slope in other units", scaled.Coef[0][2], base.Coef[0][2]/2, 10)
	reftest.Agree(t, "held out in other units", scaled.HeldOut[7], -50+4*base.HeldOut[7], 10)
	one := d
	one.Fold, one.X, one.Y, one.N = nil, nil, nil, 0
	for i := range d.N {
		if d.Fold[i] != 3 {
			one.X, one.Y, one.N = append(one.X, d.X[i*5:i*5+5]...), append(one.Y, d.Y[i]), one.N+1
		}
	}
	part, err := PenalisedLinear(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "held out", base.HeldOut[7], Dot(part.Coef[0], d.X[35:40]), 11)
	free := d
	free.Fold, free.Lambda = nil, []float64{0}
	for _, alpha := range []float64{0, 1} {
		free.Alpha = alpha
		f, err := PenalisedLinear(t.Context(), free)
		if err != nil {
			t.Fatal(err)
		}
		ols, err := LeastSquares(LsqData{N: d.N, K: d.K, X: d.X, Y: d.Y})
		if err != nil {
			t.Fatal(err)
		}
		for j := range d.K {
			reftest.Agree(t, "least squares", f.Coef[0][j], ols.Coef[j], 10)
		}
	}
	twice := d
	twice.K, twice.X, twice.Fold = 6, nil, nil
	for i := range d.N {
		twice.X = append(append(twice.X, d.X[i*5:i*5+5]...), d.X[i*5+1])
	}
	f, err := PenalisedLinear(t.Context(), twice)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "shared slope", f.Coef[0][1], f.Coef[0][5], 10)
	for _, workers := range []int{1, 8} {
		d.Workers = workers
		again, err := PenalisedLinear(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if again.Coef[0][1] != base.Coef[0][1] || again.CV.Mean[0] != base.CV.Mean[0] {
			t.Error("workers move the fit")
		}
	}
}

// An outcome without spread is its mean; a value that is not finite and an empty fold are errors.
func TestPenalisedLinearEdges(t *testing.T) {
	d := linearData()
	d.Alpha = 1
	for i := range d.Y {
		d.Y[i] = 0.3
	}
	f, err := PenalisedLinear(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "constant", f.Coef[0][0], 0.3, 14)
	if f.NonZero[0] != 0 || len(f.Lambda) != 1 {
		t.Error("an outcome without spread has slopes", f.Coef)
	}
	d.Y[3] = math.NaN()
	if _, err := PenalisedLinear(t.Context(), d); !errors.Is(err, ErrDomain) {
		t.Error(err)
	}
	d = linearData()
	d.Fold, d.Folds = make([]int32, d.N), 2
	if _, err := PenalisedLinear(t.Context(), d); !errors.Is(err, ErrDomain) {
		t.Error(err)
	}
}
