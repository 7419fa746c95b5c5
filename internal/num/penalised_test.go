package num

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// arithmeticData is 240 rows that any program can make again: four covariates after a
// constant column, an outcome and 12 sites.
func arithmeticData() (x, y []float64, site []int32) {
	u := []float64{-0.9, 0.4, 0.1, -0.3, 0.8, 1.1, -0.6, 0.2, -1.2, 0.5, 0, -0.1}
	for i := 1; i <= 240; i++ {
		x1, x2 := float64(i*37%101)/10, float64(i*53%97)/10
		x3, x4 := x1/2+float64(i*29%89)/20, 0.0
		if i%3 == 0 {
			x4 = 1
		}
		x = append(x, 1, x1, x2, x3, x4)
		site = append(site, int32(i%12))
		eta := -2.2 + 0.25*x1 - 0.15*x2 + 0.35*x3 + 0.8*x4 + u[i%12]
		v := 0.0
		if float64(i*71%241)/241 < LogitLink.Mean(eta) {
			v = 1
		}
		y = append(y, v)
	}
	return x, y, site
}

// One column of ±1 and as many rows of each sign: the SD is 1, and by symmetry the
// constant is 0 when the outcomes are mirrored. 3 of 4 have y = 1 at +1 and 1 of 4 at -1,
// so that the mean of x·(y-p) is 3/4 - 1/2 - (p-1/2) with p = logistic(β) at +1:
// ridge: 3/4 - p = λβ; lasso: 3/4 - p = λ, β = log((3/4-λ)/(1/4+λ)), and 0 from λ = 1/4 on.
func TestPenalisedLogitByHand(t *testing.T) {
	x := []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, -1, 1, -1, 1, -1}
	y := []float64{1, 1, 1, 0, 1, 0, 0, 0}
	d := PenalisedData{N: 8, K: 2, X: x, Y: y, Alpha: 1, Lambda: []float64{0.3, 0.1}}
	f, err := PenalisedLogit(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if f.Coef[0][1] != 0 || f.NonZero[0] != 0 || f.NonZero[1] != 1 {
		t.Errorf("at 0.3 the slope is %g", f.Coef[0][1])
	}
	reftest.Agree(t, "lasso", f.Coef[1][1], math.Log(0.65/0.35), 9)
	reftest.Near(t, "constant", f.Coef[1][0], 0, 1e-12)
	reftest.Agree(t, "deviance", f.Deviance[1], -2*(6*math.Log(0.65)+2*math.Log(0.35)), 9)
	d.Lambda = nil
	f, err = PenalisedLogit(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "smallest λ without slopes", f.Lambda[0], 0.25, 12)
	reftest.Agree(t, "next λ", f.Lambda[1]/f.Lambda[0], math.Pow(1e-4, 1.0/99), 12)
	d.Alpha, d.Lambda = 0, []float64{0.2}
	f, err = PenalisedLogit(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	b := f.Coef[0][1]
	reftest.Agree(t, "ridge", 0.75-LogitLink.Mean(b), 0.2*b, 9)
}

// R 4.2.2, glmnet 4.1-6: glmnet(thresh = 1e-20) and cv.glmnet with the folds (7i mod 5).
func TestPenalisedLogitAgreesWithGlmnet(t *testing.T) {
	x, y, _ := arithmeticData()
	fold := make([]int32, 240)
	for i := range fold {
		fold[i] = int32(7 * (i + 1) % 5)
	}
	lambda := []float64{0.2, 0.1, 0.05, 0.02, 0.01, 0.001}
	for _, c := range []struct {
		alpha                float64
		coef                 map[int][]float64
		dev, mean, se        []float64
		first, last          float64
		length, min, withone int
	}{
		{0, map[int][]float64{
			0: {-0.899400050992208, 0.137672528819716, -0.0660852822663003, 0.169766565643029, -0.0698181163667875},
			3: {-1.33835833731598, 0.241432779387951, -0.137513936731105, 0.23877083508697, -0.158424434623703},
			5: {-1.39653767814235, 0.273723619459027, -0.158098341210315, 0.24164062692571, -0.180510316662511}},
			[]float64{275.450073577816, 269.208134920923, 266.022683885157, 264.481619837533, 264.15597543636, 264.02346496738},
			[]float64{1.17489776826056, 1.15704592046493, 1.15213807921623, 1.15501403734141, 1.15844566867876, 1.16361715403094},
			[]float64{0.0416716434817744, 0.0527029956560369, 0.0622694474963844, 0.0711147374936165, 0.0750325489460208, 0.0792080666420441},
			224.170002322918, 0.0224170002322918, 100, 2, 0},
		{0.5, map[int][]float64{
			1: {-1.04203142211008, 0.157744556134416, -0.0376948510960385, 0.145321044217532, 0},
			4: {-1.36301231692204, 0.257815949574321, -0.141125369531378, 0.227998646559201, -0.115698430416929}},
			[]float64{293.567807179179, 276.665630221612, 268.513490679389, 265.024654864387, 264.298418195058, 264.024937383812},
			[]float64{1.23942281608882, 1.18944084188685, 1.16394933266417, 1.15957326408034, 1.16077244732621, 1.16383826449747},
			[]float64{0.0216047615512553, 0.0404865654097047, 0.054962496602038, 0.0677431180480762, 0.0731901223749707, 0.0790065412856327},
			0.448340004645836, 0.0022313987679551, 58, 3, 1},
		{1, map[int][]float64{
			0: {0.0655175192548857, 0.0337063718174765, 0, 0, 0},
			2: {-1.15085051369479, 0.204308510891246, -0.0503505839109032, 0.133621120491639, 0},
			5: {-1.39445027710115, 0.274219924298235, -0.156811700819808, 0.238484213003038, -0.169146475251536}},
			[]float64{319.444704036744, 287.210392804078, 272.388934797747, 265.826340944346, 264.559839371727, 264.027597469747},
			[]float64{1.34261631674127, 1.2189280886965, 1.18407499133475, 1.16393041774882, 1.16312112404115, 1.16406668898792},
			[]float64{0.0161320643055878, 0.0248027136400605, 0.0460157046413798, 0.0636522006007151, 0.0712316464174711, 0.0788031781807678},
			0.224170002322918, 0.00161868877442482, 54, 4, 1},
	} {
		d := PenalisedData{N: 240, K: 5, X: x, Y: y, Alpha: c.alpha, Lambda: lambda, Fold: fold, Folds: 5}
		f, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.coef {
			for j, w := range want {
				if w == 0 {
					if f.Coef[i][j] != 0 {
						t.Errorf("α %g: slope %d is %g, not 0", c.alpha, j, f.Coef[i][j])
					}
					continue
				}
				reftest.Agree(t, fmt.Sprintf("α %g, λ %d, coefficient %d", c.alpha, i, j), f.Coef[i][j], w, 7)
			}
		}
		for i := range lambda {
			reftest.Agree(t, "deviance", f.Deviance[i], c.dev[i], 10)
			reftest.Agree(t, "held-out deviance", f.CV.Mean[i], c.mean[i], 7)
			reftest.Agree(t, "its error", f.CV.SE[i], c.se[i], 6)
			if f.Gap[i] > 1e-10 {
				t.Errorf("α %g: gap %g at λ %d", c.alpha, f.Gap[i], i)
			}
		}
		if f.CV.Min != c.min || f.CV.OneSE != c.withone {
			t.Errorf("α %g: chosen %d and %d", c.alpha, f.CV.Min, f.CV.OneSE)
		}
		d.Lambda, d.Fold = nil, nil
		p, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Lambda) != c.length {
			t.Errorf("α %g: a path of %d", c.alpha, len(p.Lambda))
		}
		reftest.Agree(t, "first λ", p.Lambda[0], c.first, 12)
		reftest.Agree(t, "last λ", p.Lambda[len(p.Lambda)-1], c.last, 11)
	}
}

func TestPenalisedLogitRelations(t *testing.T) {
	x, y, _ := arithmeticData()
	fold := make([]int32, 240)
	for i := range fold {
		fold[i] = int32(i % 4)
	}
	for _, alpha := range []float64{0, 0.3, 1} {
		d := PenalisedData{N: 240, K: 5, X: x, Y: y, Alpha: alpha, Fold: fold, Folds: 4, HeldOut: true}
		base, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for _, gap := range base.Gap {
			if gap > 1e-10 {
				t.Fatalf("α %g: gap %g", alpha, gap)
			}
		}
		for _, w := range []int{1, 2, 5} {
			d.Workers = w
			f, err := PenalisedLogit(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			for j, b := range f.Coef[f.Best] {
				if b != base.Coef[base.Best][j] || f.HeldOut[7] != base.HeldOut[7] {
					t.Fatalf("α %g: workers %d change a bit", alpha, w)
				}
			}
		}
		// The unit of a column does not matter: the penalty is per SD.
		s := d
		s.X = append([]float64(nil), x...)
		for i := range 240 {
			s.X[5*i+1] = 5e6 + 1000*s.X[5*i+1]
		}
		f, err := PenalisedLogit(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if f.Best != base.Best {
			t.Errorf("α %g: a unit changes λ", alpha)
		}
		reftest.Agree(t, "slope in other units", 1000*f.Coef[f.Best][1], base.Coef[base.Best][1], 8)
		reftest.Agree(t, "held-out predictor in other units", f.HeldOut[3], base.HeldOut[3], 8)
		// Held-out predictors are those of a fit without the fold.
		sub := PenalisedData{K: 5, Alpha: alpha, Lambda: base.Lambda[base.Best : base.Best+1]}
		for i := range 240 {
			if fold[i] != 2 {
				sub.N++
				sub.X, sub.Y = append(sub.X, x[5*i:5*i+5]...), append(sub.Y, y[i])
			}
		}
		g, err := PenalisedLogit(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		eta := 0.0
		for j, b := range g.Coef[0] {
			eta += b * x[5*6+j]
		}
		reftest.Agree(t, "held out", base.HeldOut[6], eta, 8)
		// One standard error is the larger λ.
		d.OneSE = true
		one, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if one.Best != one.CV.OneSE || !(one.Lambda[one.Best] > base.Lambda[base.Best]) {
			t.Errorf("α %g: one standard error chooses %d, the least %d", alpha, one.Best, base.Best)
		}
	}
}

// Separated outcomes and dependent columns have penalised fits; a column without spread
// in a fold's complement has the slope 0 there.
func TestPenalisedLogitAcceptsSeparation(t *testing.T) {
	d := PenalisedData{N: 40, K: 4, Lambda: []float64{0.1, 0.01}, Folds: 4}
	for i := range 40 {
		v, rare := float64(i), 0.0
		if i == 4 {
			rare = 1
		}
		d.X = append(d.X, 1, v, 2*v+1, rare)
		y := 0.0
		if i >= 20 {
			y = 1
		}
		d.Y = append(d.Y, y)
		d.Fold = append(d.Fold, int32(i%4))
	}
	for _, alpha := range []float64{0, 1} {
		d.Alpha = alpha
		f, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if !(f.Coef[1][1]+2*f.Coef[1][2] > 0.1) || f.Gap[1] > 1e-10 {
			t.Errorf("α %g: %v, gap %g", alpha, f.Coef[1], f.Gap[1])
		}
	}
	d.Fold = make([]int32, 40)
	for i := range d.Fold { // without fold 0 all outcomes are 1
		if i >= 20 {
			d.Fold[i] = int32(1 + i%3)
		}
	}
	if _, err := PenalisedLogit(t.Context(), d); !errors.Is(err, ErrDomain) {
		t.Errorf("a fold with all untreated: %v", err)
	}
}
